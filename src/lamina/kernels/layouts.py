"""What the windows of a block see, laid out to be multiplied: copied, or looked at in turns.

Every k-th of the windows of length k along a signal begins where another ends, so k views of the
signal, each a matrix, hold them all, and nothing need be copied.

An image becomes such a signal when it is copied column after column, every position with the
numbers that one row of a window sees there: of windows of 3 x 3 a third, in one piece instead of
three. The zeros below a column are those above the next. Windows that lie across two columns are
multiplied as well and left out; that is the price, small for high columns. Measured, float32, a
convolution of 3 x 3 with as many filters as channels and both its gradients, against copying all:

    images    channels    AVX-512    AVX2
    32 x 32         16       0.77    0.95
    16 x 16         32       0.86    1.01    (0.95 in two threads)
    32 x 32         64       0.97    0.98
    16 x 16        128       1.10    1.13

Every class here is made of a block (slices of samples and of rows of windows), an array with its
channels last, and windows on it; ``plan`` chooses one, and the blocks.
"""

import functools
import math

import numpy as np

from lamina.kernels.products import FEWEST_ADDED, matched, product
from lamina.kernels.windows import blocks, part_seen, seen_at, side_by_side, span

_LONG = 64  # times as long as its windows a signal must be to be taken in turns
_SHORT = 24  # numbers side by side from which on what a row of a window sees is copied as a row;
# of fewer the transposed matrix is filled faster
_WIDE = 256  # such numbers up to which images are made signals; larger products hide all copying
_WASTED = 1.1  # times as many windows as are wanted that may be multiplied for it
_PRODUCTS = 1 << 20  # numbers of a signal's products that are made before they are added


class Copied:
    """Every window a row of a matrix, its *columns*.

    Args:
        apart: along each axis, of so many windows side by side the first ones come first, all of
            them, then the second ones, and so on; a divisor of how many there are. () for all in
            order.
    """

    def __init__(self, block, x, win, apart=()):
        count = (block[1].stop - block[1].start, *win.count[1:])
        x = part_seen(block, x, win)
        shape, strides, places, by_rows = _view(win, count, apart, x.shape, x.strides)
        seen = seen_at(x, shape, strides)
        self.columns = seen.reshape(-1, places) if by_rows else seen.reshape(places, -1).T

    def times(self, matrix, out) -> None:
        """Every window times the kernel, a matrix, into ``out``: (samples, *windows, filters)."""
        product(self.columns, matrix, out.reshape(-1, out.shape[-1]))

    def matched(self, other):
        """For each place of a window and each channel, the sum over windows of what they see there
        times the numbers of ``other``, which is shaped as ``out`` is."""
        return matched(self.columns, other.reshape(-1, other.shape[-1]))

    @staticmethod
    def numbers(win, channels) -> int:
        """How many are copied for every window."""
        return math.prod(win.size) * channels

    @staticmethod
    def suits(win, channels, found) -> bool:
        """Whether this is a quick way for the windows, in such blocks."""
        return True


class Signal:
    """Windows along one axis, looked at in turns."""

    def __init__(self, block, x, win):
        self._part, self._size = side_by_side(part_seen(block, x, win)), win.size[0]

    def times(self, matrix, out) -> None:
        part, k = self._part, self._size
        to_sample, step, to_channel = part.strides
        for turn in range(k):
            many = -(-(out.shape[1] - turn) // k)
            shape = len(part), many, k * part.shape[-1]
            seen = seen_at(part[:, turn:], shape, (to_sample, k * step, to_channel))
            product(seen, matrix, out[:, turn::k])

    def matched(self, other):
        """Some samples at a time, each from all places, so that a cache has them from the second
        place on: a tenth quicker than place by place, where the products are not too many."""
        part, k = self._part, self._size
        samples, length, filters = other.shape
        to_sample, step, to_channel = part.strides
        seen = seen_at(
            part, (k, samples, length, part.shape[-1]), (step, to_sample, step, to_channel)
        )
        sums = np.zeros((k, part.shape[-1], filters), other.dtype)
        most = sums.size * (length // FEWEST_ADDED + 1)  # numbers in the products of a sample
        if most > _PRODUCTS:
            for place in range(k):
                sums[place] = matched(seen[place], other)
            return sums
        each = _PRODUCTS // most
        for i in range(0, samples, each):
            sums += matched(seen[:, i : i + each], other[None, i : i + each], apart=1)
        return sums

    @staticmethod
    def numbers(win, channels) -> int:
        return channels

    @staticmethod
    def suits(win, channels, found) -> bool:
        return win.strides == win.dilation == (1,) and win.count[0] >= _LONG * win.size[0]


class Strips:
    """An image as a signal, whose windows are looked at in turns."""

    def __init__(self, block, x, win):
        part = side_by_side(part_seen(block, x, win))
        k, width = win.size[0], win.size[1] * part.shape[-1]
        self._wanted = block[1].stop - block[1].start
        self._shape = samples, many, length = len(part), win.count[1], strip(block, win)[1]
        to_sample, to_row, to_position, to_channel = part.strides
        strides = to_sample, to_position, to_row, to_channel
        seen = seen_at(part, (samples, many, length, width), strides)
        self._size, self._length = k, samples * many * length
        self._signal = np.empty((self._length + 2 * (k - 1), width), x.dtype)
        self._signal[: self._length].reshape(seen.shape)[...] = seen
        self._signal[self._length :] = 0  # the last windows, which are not wanted, look at it

    def times(self, matrix, out) -> None:
        k, filters = self._size, out.shape[-1]
        turns = -(-self._length // k)
        sums = np.empty((turns * k, filters), out.dtype)
        seen = self._windows((k, turns, k * self._signal.shape[1]), k)
        product(seen, matrix, sums.reshape(turns, k, filters).swapaxes(0, 1))
        sums = sums[: self._length].reshape(*self._shape, filters)
        out[...] = sums[:, :, : self._wanted].swapaxes(1, 2)

    def matched(self, other):
        """As of ``Copied``; but what is no number spoils every place of a window, since windows
        that are not wanted are multiplied by 0."""
        along = np.empty((*self._shape, other.shape[-1]), other.dtype)
        along[:, :, : self._wanted] = other.swapaxes(1, 2)
        along[:, :, self._wanted :] = 0
        seen = self._windows((self._size, self._length, self._signal.shape[1]), 1)
        along = along.reshape(1, self._length, -1)
        return np.swapaxes(matched(along, seen, apart=1), 1, 2)  # the quicker way round

    def _windows(self, shape, every):
        """From each of the first rows on, one in ``every`` rows and what follows it: a view."""
        step, item = self._signal.strides
        return seen_at(self._signal, shape, (step, every * step, item))

    @staticmethod
    def numbers(win, channels) -> int:
        return win.size[-1] * channels

    @staticmethod
    def suits(win, channels, found) -> bool:
        if not win.strides == win.dilation == (1, 1) or win.size[0] == 1 or not found:
            return False
        wanted = min(rows.stop - rows.start for _, rows in found)
        more = win.size[0] - 1
        if wanted == win.count[0]:
            more -= max(0, min(win.before[0], win.after[0]))
        is_high = wanted + more <= _WASTED * wanted
        return is_high and _SHORT <= win.size[1] * channels <= _WIDE


def strip(block, win):
    """The first row that a block sees of the image, and how many rows of it a strip has: without
    those of zeros that end one and begin another."""
    first, end = span(block, win)
    shared = max(0, min(-first, end - win.image[0]))
    return first, end - first - shared


def row_numbers(layout, win, channels, filters) -> int:
    """How many numbers are copied or computed for a row of windows, whichever are more."""
    return max(layout.numbers(win, channels), filters) * math.prod(win.count[1:])


@functools.lru_cache(maxsize=256)
def plan(samples, win, channels, filters, budget, only=None):
    """The quickest layout, or the one asked for, and blocks in which about ``budget`` numbers are
    copied or computed."""
    for layout in (only,) if only else (Signal, Strips, Copied):  # of which the last suits all
        found = list(blocks(samples, win, row_numbers(layout, win, channels, filters), budget))
        if layout.suits(win, channels, found):
            break
    return layout, found


@functools.lru_cache(maxsize=256)
def _view(win, count, apart, image, steps):
    """Shape and strides of what so many windows see on a part of the image.

    Returns:
        shape and strides, the numbers that a window sees, and whether windows come first.
    """
    samples, *_, channels = image
    ns, *steps, cs = steps
    to_next_window = [a * b for a, b in zip(steps, win.strides)]
    to_next_place = [a * b for a, b in zip(steps, win.dilation)]
    each = apart or (1,) * len(count)
    windows = (*apart, samples, *[n // k for n, k in zip(count, each)])
    to_windows = (*to_next_window[: len(apart)], ns)
    to_windows += tuple([a * k for a, k in zip(to_next_window, each)])
    places = math.prod(win.size) * channels
    if channels * win.size[-1] < _SHORT and math.prod(win.size) > 1:
        shape = (*win.size, channels, *windows)
        return shape, (*to_next_place, cs, *to_windows), places, False
    shape = (*windows, *win.size, channels)
    return shape, (*to_windows, *to_next_place, cs), places, True
