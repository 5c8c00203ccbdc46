"""Pooling: one number for every window of an image, a signal or a volume."""

import math

from lamina.ops._op import op
from lamina.ops._pool_windows import padded, windows


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
