"""What is done to inputs before the first layer that learns."""

import math

from lamina.ops._op import op


@op
def flatten(xp, x):
    """Each sample as one row: shape (batch, ...) becomes (batch, product of the rest)."""
    return xp.reshape(x, (x.shape[0], math.prod(x.shape[1:])))


@op
def rescale(xp, x, *, scale, offset=0.0):
    """``x * scale + offset``."""
    return x * scale + offset
