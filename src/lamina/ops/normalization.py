"""Normalization: numbers brought to mean 0 and variance 1, or to length 1, along some axes.

All of them are ``(x - mean) / sqrt(variance + epsilon) * gamma + beta``; they differ in what the
mean and the variance are taken over:

    batch       all samples and positions, one pair for each channel
    layer       the features of one sample
    group       the positions and some of the channels of one sample
    rms         as layer, but the mean is taken to be 0

The variance is the mean of squared distances from the mean (divided by n, not by n - 1).
"""

import math

from lamina.backend.together import Apart
from lamina.ops._op import op


@op
def standardize(xp, x, mean, variance, gamma=None, beta=None, *, axis=-1, epsilon=1e-3):
    """``(x - mean) / sqrt(variance + epsilon) * gamma + beta``, by statistics that are given.

    Args:
        x: any shape with ``channels`` numbers along ``axis``.
        mean, variance: shape (channels,).
        gamma, beta: shape (channels,); None is 1, or 0.
        axis: the axis of the channels.
        epsilon: keeps what hardly varies from being blown up.

    Returns:
        shape of ``x``.
    """
    along = _along(x.ndim, axis, mean.shape[0])
    deviation = xp.sqrt(xp.reshape(variance, along) + epsilon)
    out = (x - xp.reshape(mean, along)) / deviation
    return _scaled(xp, out, gamma, beta, along)


@op
def batch_normalization(xp, x, gamma=None, beta=None, *, axis=-1, epsilon=1e-3, exchange=None):
    """``standardize`` by the batch's own statistics: of each channel over everything else.

    Args:
        x, gamma, beta, axis, epsilon: as in ``standardize``.
        exchange: None; the training loop's, where x is one of several shards of a batch: a function
            (key, value, work) that gives its part of what ``work`` makes of the values of all of
            them. Then the statistics are the batch's, and there is a kernel alone: mathematics of
            one shard cannot tell the others' gradients.

    Returns:
        (out, mean, variance): the shape of ``x``, and twice (channels,).

    Source: Ioffe and Szegedy, "Batch normalization", 2015, algorithm 1.
    """
    if exchange is not None:
        raise Apart("a shard of a batch has no second derivatives")
    channels = x.shape[axis]
    along = _along(x.ndim, axis, channels)
    over = tuple(i for i in range(x.ndim) if i != axis % x.ndim)
    centred, mean, variance = _centred(xp, x, over)
    out = centred / xp.sqrt(variance + epsilon)
    out = _scaled(xp, out, gamma, beta, along)
    return out, xp.reshape(mean, (channels,)), xp.reshape(variance, (channels,))


@op
def layer_normalization(xp, x, gamma=None, beta=None, *, axis=-1, epsilon=1e-3):
    """Each sample by its own mean and variance over ``axis``, scaled and shifted there.

    Args:
        x: any shape.
        gamma, beta: the shape of ``x`` along the axes, in ascending order; None is 1, or 0.
        axis: an axis or several.
        epsilon: as in ``standardize``.

    Returns:
        shape of ``x``.

    Source: Ba, Kiros and Hinton, "Layer normalization", 2016, equation 3.
    """
    over = axes_of(axis, x.ndim)
    along = tuple(n if i in over else 1 for i, n in enumerate(x.shape))
    centred, _, variance = _centred(xp, x, over)
    return _scaled(xp, centred / xp.sqrt(variance + epsilon), gamma, beta, along)


@op
def group_normalization(xp, x, gamma=None, beta=None, *, groups, axis=-1, epsilon=1e-3):
    """Each sample's groups of neighbouring channels, each by its own mean and variance.

    With one group this is a layer normalization over all but the batch, scaled by channel; with as
    many groups as channels it is instance normalization.

    Args:
        x: shape (batch, ..., channels), the channels along ``axis``.
        gamma, beta: shape (channels,); None is 1, or 0.
        groups: how many; a divisor of the channels.
        axis: the axis of the channels.
        epsilon: as in ``standardize``.

    Returns:
        shape of ``x``.

    Source: Wu and He, "Group normalization", 2018, equations 1 to 6.
    """
    axis = axis % x.ndim
    channels = x.shape[axis]
    grouped = (*x.shape[:axis], groups, channels // groups, *x.shape[axis + 1 :])
    over = tuple(i for i in range(1, len(grouped)) if i != axis)
    centred, _, variance = _centred(xp, xp.reshape(x, grouped), over)
    out = xp.reshape(centred / xp.sqrt(variance + epsilon), x.shape)
    return _scaled(xp, out, gamma, beta, _along(x.ndim, axis, channels))


@op
def rms_normalization(xp, x, gamma=None, *, axis=-1, epsilon=1e-6):
    """``x / sqrt(mean(x**2) + epsilon) * gamma``: divided by the root of the mean square.

    Args:
        x, gamma, axis: as in ``layer_normalization``.
        epsilon: as in ``standardize``.

    Returns:
        shape of ``x``.

    Source: Zhang and Sennrich, "Root mean square layer normalization", 2019, equation 4.
    """
    over = axes_of(axis, x.ndim)
    along = tuple(n if i in over else 1 for i, n in enumerate(x.shape))
    square = xp.sum(x * x, axis=over, keepdims=True) / size_of(x.shape, over)
    return _scaled(xp, x / xp.sqrt(square + epsilon), gamma, None, along)


@op
def unit_normalization(xp, x, *, axis=-1, epsilon=1e-12):
    """``x / max(|x|, epsilon)``: vectors along ``axis`` brought to length 1; zeros stay zeros."""
    square = xp.sum(x * x, axis=axes_of(axis, x.ndim), keepdims=True)
    return x / xp.sqrt(xp.maximum(square, epsilon * epsilon))


def axes_of(axis, ndim: int) -> tuple[int, ...]:
    """An axis or several as a tuple, counted from the front, in ascending order."""
    axes = (axis,) if isinstance(axis, int) else axis
    return tuple(sorted(a % ndim for a in axes))


def size_of(shape, axes) -> int:
    """How many numbers lie along ``axes``; 1 where there are none, to divide by."""
    return max(1, math.prod(shape[a] for a in axes))


def _along(ndim, axis, channels):
    """The shape in which one number per channel spreads over x."""
    shape = [1] * ndim
    shape[axis] = channels
    return tuple(shape)


def _centred(xp, x, over):
    """x less its mean over some axes; the mean and the variance, with axes of 1."""
    n = size_of(x.shape, over)
    mean = xp.sum(x, axis=over, keepdims=True) / n
    centred = x - mean
    return centred, mean, xp.sum(centred * centred, axis=over, keepdims=True) / n


def _scaled(xp, out, gamma, beta, along):
    if gamma is not None:
        out = out * xp.reshape(gamma, along)
    return out if beta is None else out + xp.reshape(beta, along)
