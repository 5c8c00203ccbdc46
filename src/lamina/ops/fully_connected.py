"""The fully connected layer's mathematics."""

import math

from lamina.ops import activations
from lamina.ops._op import op


@op
def dense(xp, x, kernel, bias=None, *, activation="linear"):
    """``activation(x @ kernel + bias)``: every output is a weighted sum of all inputs.

    Args:
        x: inputs, shape (..., in).
        kernel: weights, shape (in, units).
        bias: shape (units,), or None.
        activation: one of the names in ``FUSABLE``.

    Returns:
        shape (..., units).
    """
    if x.ndim > 2:  # one product of matrices: CuPy has the fast ones of halves and TF32 for no more
        rows = xp.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))
        out = xp.reshape(xp.matmul(rows, kernel), (*x.shape[:-1], kernel.shape[-1]))
    else:
        out = xp.matmul(x, kernel)
    if bias is not None:
        out = out + bias
    return out if activation == "linear" else activations.named(activation)(out)


_NAMES = (
    "elu", "exponential", "hard_sigmoid", "leaky_relu", "linear", "log_sigmoid", "log_softmax",
    "relu", "relu6", "selu", "sigmoid", "softmax", "softplus", "softsign", "tanh",
)  # fmt: skip

FUSABLE = {getattr(activations, name): name for name in _NAMES}
"""Activations that can be part of the layer's own op, with their plain options."""
