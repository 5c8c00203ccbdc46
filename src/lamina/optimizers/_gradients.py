"""What happens to gradients before the rule sees them: added, held back, clipped by their norms."""

import math

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

    On a device, where every call is what costs, they are held as one vector while all are there.

    Args:
        calls: how many make a step, or None: then nothing is held back.
    """

    def __init__(self, calls: int | None):
        self.calls = calls
        self.done = 0
        self._held: dict[int, object] = {}
        self._vector = None  # in place of ``_held``
        self._shapes: list[tuple] = []

    @property
    def held(self) -> dict[int, object]:
        """The sums so far, by the number of the parameter."""
        if self._vector is not None:
            self._held, self._vector = dict(enumerate(self._split(self._vector))), None
        return self._held

    @held.setter
    def held(self, sums: dict[int, object]) -> None:
        self._held, self._vector = sums, None

    def add(self, shards):
        """Take the gradients of a call; their mean as the only shard, or None before the last."""
        for gradients in shards:
            if not self._added_as_one(gradients):
                self._add_each(gradients)
        self.done += 1
        if self.done < self.calls:
            return None
        self.done = 0
        if self._vector is not None:
            vector, self._vector = self._vector, None
            return [self._split(vector / self.calls)]
        held, self.held = self.held, {}
        return [[held[i] / self.calls if i in held else None for i in range(len(shards[0]))]]

    def _added_as_one(self, gradients) -> bool:
        """Add to the vector, where that can be done; tells whether it was."""
        first = gradients[0] if gradients else None
        if self._held or first is None or backend.of(first).is_host:
            return False
        if any(g is None or g.dtype != first.dtype for g in gradients):
            return False
        xp = backend.namespace(first)
        vector = xp.concat([xp.reshape(g, (-1,)) for g in gradients])
        self._shapes = [g.shape for g in gradients]
        self._vector = vector if self._vector is None else self._vector + vector
        return True

    def _add_each(self, gradients) -> None:
        held = self.held
        for i, g in enumerate(gradients):
            if g is not None:
                before = held.get(i)
                # never an alias of the caller's array
                copy = backend.namespace(g).asarray
                held[i] = copy(g, copy=True) if before is None else before + g

    def _split(self, vector) -> list:
        """Parts of a vector, one for each gradient, in its shape."""
        xp, parts, start = backend.namespace(vector), [], 0
        for shape in self._shapes:
            stop = start + math.prod(shape)
            parts.append(xp.reshape(vector[start:stop], shape))
            start = stop
        return parts

    def renumber(self, before, after) -> None:
        """Follow the parameters from their list ``before`` to the list ``after``."""
        held = {id(before[i]): g for i, g in self.held.items()}
        self.held = {
            i: backend.of(p.data).asarray(held[id(p)], p.data.dtype)
            for i, p in enumerate(after)
            if id(p) in held
        }
