"""Pooling: one number for every window of an image, a signal or a volume."""

import math

from lamina.ops._axes import each_axis, spatial_axes
from lamina.ops._op import op
from lamina.ops._pool_windows import padded, windows
from lamina.ops._resampling import averages, parts, resampled


@op
def max_pool(xp, x, *, pool_size=2, strides=None, padding="valid", data_format="channels_last"):
    """The largest element of every window.

    ``out[n, i, j, c] = max over a, b of x[n, i * stride + a, j * stride + b, c]``: the largest
    along one axis, then of these along the next. NaN counts as larger than every number. The
    gradient goes to the largest element; where several are equal, to the first in the order of
    memory of a channels-last image (row by row), as in PyTorch and Keras.

    Args:
        x: images (batch, ..., channels), or (batch, channels, ...) for "channels_first", with any
            number of spatial axes.
        pool_size: the size of a window: one number, or one per spatial axis.
        strides: from one window to the next, alike; None is ``pool_size``.
        padding: "valid", only windows that lie inside; or "same", as many as there are strides,
            rounded up (what is outside is never the largest).

    Returns:
        (batch, ..., channels) with ``(length - size) // stride + 1`` windows along an axis, or
        ``ceil(length / stride)`` for "same".

    Raises:
        ValueError: where no window lies inside, and for arguments that make no sense.
    """
    places = windows(x.shape, pool_size, strides, padding, data_format)
    x = padded(xp, x, places, -math.inf)
    for w in reversed(places):
        largest = x[w.tap(0)]
        for j in range(1, w.size):
            other = x[w.tap(j)]
            largest = xp.where((other > largest) | (other != other), other, largest)
        x = largest
    return x


@op
def average_pool(xp, x, *, pool_size=2, strides=None, padding="valid", data_format="channels_last"):
    """The mean of every window.

    ``out[n, i, j, c] = mean over a, b of x[n, i * stride + a, j * stride + b, c]``. With "same"
    padding the mean is over the elements that are there.

    Args:
        x, pool_size, strides, padding, data_format: as for ``max_pool``.

    Returns:
        shape as from ``max_pool``.

    Raises:
        ValueError: as ``max_pool``.
    """
    places = windows(x.shape, pool_size, strides, padding, data_format)
    image = [1] * x.ndim
    for w in places:
        image[w.axis] = w.length
    ones = xp.ones(tuple(image), dtype=x.dtype, device=x.device)
    return _sums(xp, x, places) / _sums(xp, ones, places)


def _sums(xp, x, places):
    """The sum of every window, zeros being outside."""
    x = padded(xp, x, places, 0.0)
    for w in places:
        total = x[w.tap(0)]
        for j in range(1, w.size):
            total = total + x[w.tap(j)]
        x = total
    return x


@op
def adaptive_max_pool(xp, x, *, output_size, data_format="channels_last"):
    """The largest element of each of ``output_size`` parts along every spatial axis.

    Part i of an axis of n elements is from ``floor(i * n / output_size)`` up to, without,
    ``ceil((i + 1) * n / output_size)``: as even as can be, and overlapping where it must. Of equal
    elements the first gets the gradient.

    Args:
        x: images, as for ``max_pool``.
        output_size: one number, or one per spatial axis.
        data_format: as for ``max_pool``.

    Returns:
        (batch, *output_size, channels), or with the channels first.

    Raises:
        ValueError: for sizes that make no sense, and empty images.
    """
    for axis, count in reversed(adaptive_axes(x.shape, output_size, data_format)):
        edges = parts(x.shape[axis], count)
        largest = None
        for j in range(max(end - start for start, end in edges)):
            index = [min(start + j, end - 1) for start, end in edges]  # the last again and again
            other = xp.take(x, xp.asarray(index, device=x.device), axis=axis)
            if largest is None:
                largest = other
            else:
                largest = xp.where((other > largest) | (other != other), other, largest)
        x = largest
    return x


@op
def adaptive_average_pool(xp, x, *, output_size, data_format="channels_last"):
    """The mean of each of ``output_size`` parts along every spatial axis.

    Args:
        x, output_size, data_format: as for ``adaptive_max_pool``, which says what the parts are.

    Returns:
        (batch, *output_size, channels), or with the channels first.

    Raises:
        ValueError: for sizes that make no sense, and empty images.
    """
    for axis, count in adaptive_axes(x.shape, output_size, data_format):
        x = resampled(xp, x, axis, averages(x.shape[axis], count))
    return x


@op
def global_max_pool(xp, x, *, keepdims=False, data_format="channels_last"):
    """The largest element of every channel of an image; equal ones share the gradient evenly.

    Args:
        x: images, as for ``max_pool``.
        keepdims: whether to keep the spatial axes, with one element each.
        data_format: as for ``max_pool``.

    Returns:
        (batch, channels), or with ``keepdims`` as many axes as x has.
    """
    return xp.max(x, axis=spatial_axes(x.ndim, data_format), keepdims=keepdims)


@op
def global_average_pool(xp, x, *, keepdims=False, data_format="channels_last"):
    """The mean of every channel of an image.

    Args:
        x, keepdims, data_format: as for ``global_max_pool``.

    Returns:
        (batch, channels), or with ``keepdims`` as many axes as x has.
    """
    return xp.mean(x, axis=spatial_axes(x.ndim, data_format), keepdims=keepdims)


def adaptive_axes(shape, output_size, data_format) -> list[tuple[int, int]]:
    """The spatial axes with the number of parts of each.

    Raises:
        ValueError: for sizes that make no sense, and empty images.
    """
    axes = spatial_axes(len(shape), data_format)
    counts = each_axis("output_size", output_size, len(axes))
    if any(shape[a] == 0 for a in axes):
        raise ValueError(f"an image without elements has no parts, got shape {tuple(shape)}")
    return list(zip(axes, counts))
