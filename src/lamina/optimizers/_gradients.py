"""What happens to gradients before the rule sees them: added, held back, clipped by their norms."""

from lamina import backend


def summed(shards):
    """Lists of gradients added in their order, as one list; None where none of them has one."""
    total = list(shards[0])
    for gradients in shards[1:]:
        for i, g in enumerate(gradients):
            if g is not None:
                total[i] = g if total[i] is None else total[i] + g
    return total


def unscaled(gradients, scale) -> list:
    """Each gradient divided by a number or an array without axes; None stays None."""
    return [None if g is None else g / scale for g in gradients]


def norm_factors(gradients, clipnorm: float | None, global_clipnorm: float | None):
    """What scales gradients down to a norm: ``limit / max(norm, limit)``, None for None.

    Args:
        gradients: raw arrays, or None.
        clipnorm: the limit of each gradient's own norm, or None.
        global_clipnorm: the limit of the norm of all of them together, where ``clipnorm`` is None.

    Returns:
        0-d arrays, one for each gradient, on the gradients' device; None where there is no limit.

    Pascanu, Mikolov and Bengio, 2013, "On the difficulty of training recurrent neural networks",
    Algorithm 1.
    """
    if clipnorm is None and global_clipnorm is None:
        return None
    present = [g for g in gradients if g is not None]
    if not present:
        return list(gradients)
    xp = backend.namespace(present[0])
    if backend.of(present[0]).is_host or len({str(g.dtype) for g in present}) > 1:
        squares = [xp.sum(g * g) for g in present]
        if clipnorm is not None:
            factors = [clipnorm / xp.clip(xp.sqrt(square), clipnorm, None) for square in squares]
        else:
            norm = xp.sqrt(sum(squares[1:], squares[0]))
            factor = global_clipnorm / xp.clip(norm, global_clipnorm, None)
            factors = [xp.asarray(factor, dtype=g.dtype) for g in present]
    else:
        factors = _few_calls(xp, present, clipnorm, global_clipnorm)
    remaining = iter(factors)
    return [None if g is None else next(remaining) for g in gradients]


def _few_calls(xp, present, clipnorm, global_clipnorm) -> list:
    """The factors of ``norm_factors`` for a device, where every call is what costs.

    A norm of all is a sum over one vector; for norms of each, a call a gradient is the least.
    """
    flat = [xp.reshape(g, (-1,)) for g in present]
    if clipnorm is not None:
        squares = xp.stack([xp.vecdot(g, g) for g in flat])
        factors = clipnorm / xp.clip(xp.sqrt(squares), clipnorm, None)
        return [factors[i] for i in range(len(present))]
    whole = xp.concat(flat)
    norm = xp.sqrt(xp.vecdot(whole, whole))
    return [global_clipnorm / xp.clip(norm, global_clipnorm, None)] * len(present)


class Accumulator:
    """Holds gradients back until enough calls have come for one step with their mean.

    Args:
        calls: how many make a step, or None: then nothing is held back.
    """

    def __init__(self, calls: int | None):
        self.calls = calls
        self.done = 0
        self.held: dict[int, object] = {}

    def add(self, shards):
        """Take the gradients of a call; their mean as the only shard, or None before the last."""
        for gradients in shards:
            for i, g in enumerate(gradients):
                if g is not None:
                    before = self.held.get(i)
                    # never an alias of the caller's array
                    copy = backend.namespace(g).asarray
                    self.held[i] = copy(g, copy=True) if before is None else before + g
        self.done += 1
        if self.done < self.calls:
            return None
        held, self.held, self.done = self.held, {}, 0
        return [[held[i] / self.calls if i in held else None for i in range(len(shards[0]))]]

    def renumber(self, before, after) -> None:
        """Follow the parameters from their list ``before`` to the list ``after``."""
        held = {id(before[i]): g for i, g in self.held.items()}
        self.held = {
            i: backend.of(p.data).asarray(held[id(p)], p.data.dtype)
            for i, p in enumerate(after)
            if id(p) in held
        }
