"""Gradients of several micro-batches added, and clipped by their norms."""

from lamina import backend


def summed(shards):
    """Lists of gradients added in their order, as one list; None where none of them has one."""
    total = list(shards[0])
    for gradients in shards[1:]:
        for i, g in enumerate(gradients):
            if g is not None:
                total[i] = g if total[i] is None else total[i] + g
    return total


def norm_factors(gradients, clipnorm: float | None, global_clipnorm: float | None) -> list:
    """What scales gradients down to a norm: ``limit / max(norm, limit)``, None for None.

    Args:
        gradients: raw arrays, or None.
        clipnorm: the limit of each gradient's own norm, or None.
        global_clipnorm: the limit of the norm of all of them together, where ``clipnorm`` is None.

    Returns:
        0-d arrays, one for each gradient, on the gradients' device.

    Pascanu, Mikolov and Bengio, 2013, "On the difficulty of training recurrent neural networks",
    Algorithm 1.
    """
    present = [g for g in gradients if g is not None]
    if not present:
        return list(gradients)
    xp = backend.namespace(present[0])
    squares = [xp.sum(g * g) for g in present]
    if clipnorm is not None:
        factors = [clipnorm / xp.clip(xp.sqrt(square), clipnorm, None) for square in squares]
    else:
        norm = xp.sqrt(sum(squares[1:], squares[0]))
        factor = global_clipnorm / xp.clip(norm, global_clipnorm, None)
        factors = [xp.asarray(factor, dtype=g.dtype) for g in present]
    remaining = iter(factors)
    return [None if g is None else next(remaining) for g in gradients]
