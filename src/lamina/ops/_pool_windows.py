"""Where the windows of a pooling lie, axis by axis: plain numbers, found once per shape."""

import functools
import math
from typing import NamedTuple

from lamina.ops._axes import each_axis, frozen, spatial_axes


class Window(NamedTuple):
    """How windows lie along one axis: window i begins at element ``i * stride - before``."""

    axis: int
    length: int  # elements of the axis
    size: int
    stride: int
    before: int  # elements of padding in front of the axis
    after: int  # and behind it
    count: int  # windows

    def tap(self, j: int) -> tuple:
        """The key of element ``j`` of every window, in the array with its padding."""
        return _tap(self.axis, j, j + (self.count - 1) * self.stride + 1, self.stride)

    def shares(self) -> list[float]:
        """One divided by how many elements of every window are no padding."""
        starts = [i * self.stride - self.before for i in range(self.count)]
        return [1.0 / (min(a + self.size, self.length) - max(a, 0)) for a in starts]


@functools.lru_cache(maxsize=1024)
def _tap(axis, start, stop, step):
    return (*(slice(None),) * axis, slice(start, stop, step), ...)


def windows(shape, pool_size, strides, padding, data_format) -> tuple[Window, ...]:
    """The windows of a pooling, along each spatial axis of ``shape``.

    "valid" takes the windows that lie inside; "same" as many as there are strides, rounded up, with
    the padding that this needs, the odd element of it behind.

    Raises:
        ValueError: where there is no window, and for arguments that make no sense.
    """
    return _windows(tuple(shape), frozen(pool_size), frozen(strides), padding, data_format)


@functools.lru_cache(maxsize=1024)
def _windows(shape, pool_size, strides, padding, data_format):
    axes = spatial_axes(len(shape), data_format)
    sizes = each_axis("pool_size", pool_size, len(axes))
    steps = sizes if strides is None else each_axis("strides", strides, len(axes))
    if padding not in ("valid", "same"):
        raise ValueError(f'padding is "valid" or "same", got {padding!r}')
    found = []
    for axis, size, stride in zip(axes, sizes, steps, strict=True):
        length = shape[axis]
        if padding == "same":
            count = math.ceil(length / stride)
            total = max(0, (count - 1) * stride + size - length)
        else:
            count, total = (length - size) // stride + 1, 0
        if count < 1:
            raise ValueError(
                f"windows of {sizes} need images at least as large, got "
                f"{tuple(shape[a] for a in axes)}: make pool_size smaller, or pool less often"
                + (', or pad (padding="same")' if length else "")
            )
        before = total // 2
        found.append(Window(axis, length, size, stride, before, total - before, count))
    return tuple(found)


def padded(xp, x, places, value):
    """``x`` with ``value`` in the padding of each of the windows ``places``."""
    for w in places:
        parts = [x]
        for index, width in ((0, w.before), (1, w.after)):
            if width:
                shape = (*x.shape[: w.axis], width, *x.shape[w.axis + 1 :])
                edge = xp.full(shape, value, dtype=x.dtype, device=x.device)
                parts.insert(index * len(parts), edge)
        if len(parts) > 1:
            x = xp.concat(parts, axis=w.axis)
    return x
