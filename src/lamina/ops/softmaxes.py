"""Activations that share out one whole along an axis: softmax, its logarithm, sparsemax.

Of half precision the first two make float32: a loss divides by these numbers or looks at how much
they lack to 1, and half precision would have rounded both away.
"""

from lamina.ops._halves import is_half
from lamina.ops._op import op, stop_gradient


@op
def softmax(xp, x, *, axis=-1):
    """Positive numbers that sum to 1 along ``axis``: ``exp(x) / sum(exp(x))``.

    The maximum is subtracted first, which changes nothing but keeps exp from overflowing.

    Args:
        x: scores (logits).
        axis: an axis, or a tuple of axes taken together.

    Returns:
        shape and dtype of ``x``; float32 where that is half precision.

    Source: Bridle, "Probabilistic interpretation of feedforward classification network outputs",
    1990.

    Example:
        >>> softmax(np.array([0.0, 0.0]))
        array([0.5, 0.5])
    """
    if is_half(x.dtype):
        return softmax(xp.astype(x, xp.float32), axis=axis)
    e = xp.exp(x - stop_gradient(xp.max(x, axis=axis, keepdims=True)))
    return e / xp.sum(e, axis=axis, keepdims=True)


@op
def log_softmax(xp, x, *, axis=-1):
    """``log(softmax(x))``, exact also where the softmax rounds to 0.

        z = x - max(x)
        out = z - log(sum(exp(z)))

    Arguments and result are as for ``softmax``.
    """
    if is_half(x.dtype):
        return log_softmax(xp.astype(x, xp.float32), axis=axis)
    z = x - stop_gradient(xp.max(x, axis=axis, keepdims=True))
    return z - xp.log(xp.sum(xp.exp(z), axis=axis, keepdims=True))


@op
def sparsemax(xp, x, *, axis=-1):
    """The nearest point to ``x`` whose coordinates along ``axis`` are positive and sum to 1.

        out = max(x - tau, 0),  tau such that out sums to 1

    Unlike softmax most of its outputs are 0. With the scores in falling order z, those above tau
    are the first k, k the largest number with ``1 + k * z[k] > z[1] + ... + z[k]``.

    Source: Martins and Astudillo, "From softmax to sparsemax", 2016, algorithm 1.
    """
    x = x - stop_gradient(xp.max(x, axis=axis, keepdims=True))
    z = -xp.sort(-stop_gradient(x), axis=axis)
    shape = [1] * x.ndim
    shape[axis] = n = x.shape[axis]
    k = xp.reshape(xp.arange(1, n + 1, dtype=x.dtype, device=x.device), tuple(shape))
    left_out = z * k + 1.0 <= xp.cumulative_sum(z, axis=axis)
    zero = x <= _threshold(xp, z, left_out, axis)
    return xp.where(zero, 0.0, x - _threshold(xp, x, zero, axis))


def _threshold(xp, x, left_out, axis):
    """tau for which the differences ``x - tau`` of all that are not left out sum to 1."""
    count = xp.sum(xp.where(left_out, xp.zeros_like(x), 1.0), axis=axis, keepdims=True)
    return (xp.sum(xp.where(left_out, 0.0, x), axis=axis, keepdims=True) - 1.0) / count
