"""The fully connected layer's mathematics."""

from lamina.ops import activations
from lamina.ops._op import op


@op
def dense(xp, x, kernel, bias=None, *, activation="linear"):
    """``activation(x @ kernel + bias)``: every output is a weighted sum of all inputs.

    Args:
        x: inputs, shape (..., in).
        kernel: weights, shape (in, units).
        bias: shape (units,), or None.
        activation: the name of an op of one array in ``ops/activations.py``.

    Returns:
        shape (..., units).
    """
    out = xp.matmul(x, kernel)
    if bias is not None:
        out = out + bias
    return out if activation == "linear" else getattr(activations, activation)(out)
