"""Preparing inputs: nothing to gain but that a network stays a chain of kernels."""

import math

from lamina.ops._op import kernel


@kernel("flatten")
def flatten(xp, needs, x):
    """The gradient in the shape of x."""
    shape = x.shape
    flat = xp.reshape(x, (shape[0], math.prod(shape[1:])))
    return flat, lambda g: (xp.reshape(g, shape) if needs[0] else None,)


@kernel("rescale")
def rescale(xp, needs, x, *, scale, offset):
    """d out / dx = scale."""
    if not isinstance(scale, int | float) or not isinstance(offset, int | float):
        return NotImplemented
    out = x * scale
    return out + offset if offset else out, lambda g: (g * scale if needs[0] else None,)
