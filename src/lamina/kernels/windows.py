"""Going through the windows of a batch block by block, on NumPy."""

import functools

import numpy as np
from numpy.lib.stride_tricks import as_strided

from lamina.kernels.constants import fixed
from lamina.ops._pool_windows import windows as pool_windows
from lamina.ops._windows import Windows


def blocks(samples, win, numbers, budget):
    """Pairs of slices, of samples and of windows along the first axis, that are done together.

    As many samples, or rows of windows of one sample, as stay within the budget where one row of
    windows takes so many ``numbers``.
    """
    count = win.count[0]
    if numbers * count <= budget:
        for samples_of_block in _even(samples, numbers * count, budget):
            yield samples_of_block, slice(0, count)
    else:
        for sample in range(samples):
            for rows in _even(count, numbers, budget):
                yield slice(sample, sample + 1), rows


def _even(length, numbers, budget):
    """``range(length)`` in slices of nearly one length that stay within the budget."""
    most = max(1, budget // max(1, numbers))
    parts = -(-length // most)
    for i in range(parts):
        yield slice(length * i // parts, length * (i + 1) // parts)


def from_the_other_side(win) -> Windows:
    """The windows that each position of the image lies in, as windows on an image of these.

    For windows that are one position apart.
    """
    reach = [(k - 1) * d for k, d in zip(win.size, win.dilation)]
    before = tuple(r - b for r, b in zip(reach, win.before))
    seen = tuple(n + r for n, r in zip(win.image, reach))
    return Windows(win.count, win.image, win.size, win.strides, win.dilation, before, seen)


def part_seen(block, x, win):
    """The part of the padded image that the windows of a block see; a view where it can be."""
    x = x[block[0]]
    first, end = span(block, win)
    if first >= 0 and end <= win.image[0] and _on_image(win):
        return x[:, first:end]
    out = np.zeros((len(x), end - first, *win.reach[1:], x.shape[-1]), x.dtype)
    inside, on_image = overlap(first, end, win)
    out[inside] = x[on_image]
    return out


def side_by_side(x):
    """The array, a row's positions and their channels one behind the other: else a copy.

    By the strides, since NumPy calls an array contiguous whatever the stride of an axis of one.
    """
    if x.strides[-2:] == (x.shape[-1] * x.itemsize, x.itemsize):
        return x
    return x.copy(order="C")


def as_image(array):
    """A signal (batch, positions, channels), contiguous, as an image of one row; an image as is."""
    return array if array.ndim > 3 else array.reshape(len(array), 1, *array.shape[1:])


@functools.lru_cache(maxsize=256)
def table_of(size, strides, dilation, before):
    """Windows as loops take them: a row for each of these, those of a signal as of an image of one
    row."""
    rows = [size, strides, dilation, before]
    if len(size) == 1:
        rows = [(of_row, *along) for of_row, along in zip((1, 1, 1, 0), rows)]
    return fixed(np.array(rows, np.int64))


@functools.lru_cache(maxsize=256)
def _on_image(win) -> bool:
    """Whether no window reaches over the edges of the image, but for the first axis."""
    return not any(win.before[1:]) and all(a <= 0 for a in win.after[1:])


def restricted(win, rows):
    """The rows of the image that some rows of windows see, and those windows on these alone."""
    first, end = span((None, rows), win)
    start, stop = max(first, 0), min(end, win.image[0])
    some = win._replace(
        image=(stop - start, *win.image[1:]),
        count=(rows.stop - rows.start, *win.count[1:]),
        before=(start - first, *win.before[1:]),
        reach=(end - first, *win.reach[1:]),
    )
    return slice(start, stop), some


def span(block, win):
    """The rows of the image, from and to, that a block sees; those off the image count too."""
    rows, s = block[1], win.strides[0]
    length = (rows.stop - rows.start - 1) * s + (win.size[0] - 1) * win.dilation[0] + 1
    first = rows.start * s - win.before[0]
    return first, first + length


@functools.lru_cache(maxsize=256)
def overlap(first, end, win):
    """Where the image and the part of it from row ``first`` to ``end`` meet, the borders counted.

    Returns:
        slices of the part, and slices of the image.
    """
    spans = [(first, end), *[(-b, r - b) for b, r in zip(win.before[1:], win.reach[1:])]]
    inside, on_image = [], []
    for (first, end), n in zip(spans, win.image):
        start = max(first, 0)
        stop = max(start, min(end, n))
        inside.append(slice(start - first, stop - first))
        on_image.append(slice(start, stop))
    return (slice(None), *inside), (slice(None), *on_image)


def seen_at(x, shape, strides):
    """A view of such a shape, whose steps along its axes are so many bytes; not to be written to.

    As NumPy's ``as_strided``, at a tenth of the price where x is one piece of memory.
    """
    if x.flags.c_contiguous and x.size:
        return np.ndarray(shape, x.dtype, x, 0, strides)
    return as_strided(x, shape, strides)


@functools.lru_cache(maxsize=256)
def read_by(win, pool_size, strides, padding):
    """Those of the windows that a pooling reads."""
    places = pool_windows((1, *win.count, 1), pool_size, strides, padding, "channels_last")
    count = [min(p.length, (p.count - 1) * p.stride + p.size) for p in places]
    axes = zip(count, win.strides, win.size, win.dilation)
    reach = [(m - 1) * s + (k - 1) * d + 1 for m, s, k, d in axes]
    return win._replace(count=tuple(count), reach=tuple(reach))


def rows_of(array, block):
    """The part of a contiguous array that a block is, as a matrix: a view."""
    samples, rows = block
    return array[samples, rows].reshape(-1, array.shape[-1])
