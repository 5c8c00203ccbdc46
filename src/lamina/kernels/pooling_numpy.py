"""Pooling on NumPy: the portable kernel's passes, with as few and as long inner loops as possible.

What was measured (float32, (64, 26, 26, 32), one core): a pass over every other row of 32 numbers
costs three times one over contiguous memory, and half of that when a row is moved as one element of
128 bytes; so rows are first brought together, and laid apart at the end. The first comparison runs
over the whole image shifted by one element of the axis, and every other result is left unread. Of
windows of 2 x 2 the two rows are compared first, in contiguous memory, a fifth quicker. Masks as
bools beat masks as numbers, ``copyto(where=)`` costs ten times a multiplication by a mask. Working
through blocks of samples that fit a cache gains nothing.
"""

import math

import numpy as np

from lamina.kernels import compiling
from lamina.kernels.pooling import adaptive, bordered, shares
from lamina.kernels.windows import as_image, table_of
from lamina.ops._op import kernel
from lamina.ops._pool_windows import windows

CHANNELS = 16
"""A multiple of so many side by side is what a loop is quicker for, where numba compiles one: a
third of the time for 16, a quarter for 64; a rest, which fills no vector, costs more than it all.
"""
_FEW = 4096  # numbers from which on, once numba is loaded, a loop is quicker than NumPy
_LONG = 512  # bytes of a row from which on NumPy's own loops are as quick as moving it whole


@kernel("max_pool", "numpy")
def max_pool(xp, needs, x, *, pool_size, strides, padding, data_format):
    """As the portable kernel, in place."""
    if x.dtype.kind != "f":
        return NotImplemented
    places = windows(x.shape, pool_size, strides, padding, data_format)
    x, inside = bordered(np, x, places, -math.inf)
    in_a_loop = data_format == "channels_last" and _is_compiled(x, places, needs[0])
    if not needs[0]:
        return (_largest_in_a_loop if in_a_loop else _largest)(x, places), None
    if in_a_loop:
        out, back = _in_a_loop(x, places)
    elif (moving := _two_by_two(places)) is not None:
        out, back = _of_two_by_two(x, *moving)
    else:
        out, back = _axis_by_axis(x, places)
    return out, lambda g: (back(g) if inside is None else back(g)[inside],)


def _two_by_two(places):
    """Rows and columns, where windows are of 2 x 2 side by side along two axes; else None."""
    moving = [w for w in places if (w.size, w.stride) != (1, 1)]
    return moving if [(w.size, w.stride) for w in moving] == [(2, 2), (2, 2)] else None


def _axis_by_axis(x, places):
    """The largest numbers of windows of any kind, and the way back."""
    steps = []
    for w in reversed(places):
        shape = x.shape
        x = _around(x, w)
        largest, masks = _fold(x, w)
        steps.append((w, shape, masks))
        x = largest.reshape(*shape[: w.axis], w.count, *shape[w.axis + 1 :])

    def back(g):
        for w, shape, masks in reversed(steps):
            g = _unfold(g, w, shape, masks)
        return g

    return x, back


@kernel("average_pool", "numpy")
def average_pool(xp, needs, x, *, pool_size, strides, padding, data_format):
    """As the portable kernel, in place."""
    if x.dtype.kind != "f":
        return NotImplemented
    places = windows(x.shape, pool_size, strides, padding, data_format)
    x, inside = bordered(np, x, places, 0.0)
    steps = []
    for w in reversed(places):
        shape = x.shape
        steps.append((w, shape))
        x = _around(x, w)
        total = _tap(x, w, 0)
        for j in range(1, w.size):
            total = np.add(total, _tap(x, w, j), out=None if j == 1 else total)
        total = total if w.size > 1 else total.copy()
        x = total.reshape(*shape[: w.axis], w.count, *shape[w.axis + 1 :])
    factors = shares(np, x, places)
    for factor in factors:
        x *= factor

    def pullback(g):
        for factor in factors:
            g = g * factor
        for w, shape in reversed(steps):
            g = _spread([_around(g, w)] * w.size, w, shape)
        return (g if inside is None else g[inside],)

    return x, pullback


adaptive_max_pool = kernel("adaptive_max_pool", "numpy")(adaptive(max_pool))


def _is_compiled(x, places, needs_back) -> bool:
    """Whether a loop goes over such windows."""
    once_loaded = None if needs_back else _FEW
    sizes = [w.size for w in places]
    return has_loop(x.shape[-1], sizes) and compiling.serves(x, once_loaded=once_loaded)


def has_loop(channels, sizes) -> bool:
    """Whether one is there for so many channels and such sizes of windows, whose places it numbers
    in bytes."""
    return channels % CHANNELS == 0 and len(sizes) < 3 and math.prod(sizes) < 256


def _table_of(places):
    """Windows as a loop takes them."""
    sizes, strides = tuple([w.size for w in places]), tuple([w.stride for w in places])
    return table_of(sizes, strides, (1,) * len(places), (0,) * len(places))


def _largest_in_a_loop(x, places):
    """The largest number of every window."""
    out = np.empty((len(x), *[w.count for w in places], x.shape[-1]), x.dtype)
    image = as_image(np.ascontiguousarray(x))
    compiling.loops().largest_alone(image, _table_of(places), as_image(out))
    return out


def _in_a_loop(x, places):
    """The largest number of every window, and the way back."""
    out = np.empty((len(x), *[w.count for w in places], x.shape[-1]), x.dtype)
    winners, win = np.empty(as_image(out).shape, np.uint8), _table_of(places)
    image = as_image(np.ascontiguousarray(x))
    compiling.loops().largest(image, win, as_image(out), winners)
    shape, dtype = x.shape, x.dtype
    overlaps = any(w.stride < w.size for w in places)
    all_seen = all(w.stride == w.size and w.count * w.size == shape[w.axis] for w in places)

    def back(g):
        d = np.empty(shape, dtype) if all_seen else np.zeros(shape, dtype)
        g = as_image(compiling.tidy(g, dtype))
        compiling.loops().give_to_winners(g, winners, win, overlaps, as_image(d))
        return d

    return out, back


def _around(x, w):
    """``x``, contiguous, as (axes before that of the windows, this axis, axes behind)."""
    shape = x.shape
    before, after = math.prod(shape[: w.axis]), math.prod(shape[w.axis + 1 :])
    return np.ascontiguousarray(x).reshape(before, shape[w.axis], after)


def _of_two_by_two(x, rows, columns):
    """The most usual windows: the larger of two rows first, whose numbers lie side by side.

    Of equal numbers the first of a window, row by row, gets the gradient: of equal winners of the
    two columns the right one, where it was in the upper row and the left one was not.
    """
    lower = np.greater(x[rows.tap(1)], x[rows.tap(0)])
    larger = np.maximum(x[rows.tap(0)], x[rows.tap(1)])
    flat, is_lower = _around(larger, columns), _around(lower, columns)
    first, second = _tap(flat, columns, 0), _tap(flat, columns, 1)
    right = first == second
    right &= is_lower[:, : 2 * columns.count : 2] > is_lower[:, 1 : 2 * columns.count : 2]
    right |= second > first
    out = np.maximum(first, second)
    shape, halved, halved_flat = x.shape, larger.shape, flat.shape  # the arrays are not kept
    out = out.reshape(*halved[: columns.axis], columns.count, *halved[columns.axis + 1 :])
    end_of_rows, end_of_columns = 2 * rows.count, 2 * columns.count  # no window has what is behind

    def back(g):
        g = _around(g, columns)
        of_rows = np.empty(halved_flat, g.dtype)
        of_rows[:, end_of_columns:] = 0.0
        part = g * right
        as_elements(of_rows)[:, 1:end_of_columns:2] = as_elements(part)
        np.subtract(g, part, out=part)
        as_elements(of_rows)[:, :end_of_columns:2] = as_elements(part)
        of_rows = of_rows.reshape(halved)
        d = np.empty(shape, g.dtype)
        d[(*(slice(None),) * rows.axis, slice(end_of_rows, None))] = 0.0
        of_lower = np.multiply(of_rows, lower, out=d[rows.tap(1)])
        np.subtract(of_rows, of_lower, out=d[rows.tap(0)])
        return d

    return out, back


def _largest(x, places):
    """The largest of every window, the axis with the longest rows behind it first."""
    for w in places:
        largest = x[w.tap(0)]
        for j in range(1, w.size):
            largest = np.maximum(largest, x[w.tap(j)], out=None if j == 1 else largest)
        x = largest
    return x if any(w.size > 1 for w in places) else x.copy()


def _fold(x, w):
    """The largest of every window along the middle axis of ``x``, and who was larger than before.

    Mask j - 1 is where element j of a window is larger than all before it.
    """
    masks = []
    largest = _tap(x, w, 0)
    for j in range(1, w.size):
        tap = _tap(x, w, j)
        if j == 1 and w.stride <= 2:
            masks.append(_first_mask(x, w))
        else:
            masks.append(np.greater(tap, largest))
        largest = np.maximum(largest, tap, out=None if j == 1 else largest)
    return (largest if w.size > 1 else largest.copy()), masks


def _tap(x, w, j):
    """Element ``j`` of every window along the middle axis of ``x``: a view, or together anew."""
    key = (slice(None), slice(j, j + (w.count - 1) * w.stride + 1, w.stride))
    rows = as_elements(x)
    if w.stride == 1 or rows is x:
        return x[key]
    return rows[key].copy().view(x.dtype).reshape(len(x), w.count, x.shape[2])


def as_elements(x):
    """``x``, contiguous, its last axis as one element where it is short: quicker to move."""
    row = x.shape[-1] * x.itemsize
    return x.view(f"V{row}")[..., 0] if 8 < row <= _LONG else x


def _first_mask(x, w):
    """``x[:, 1::stride] > x[:, ::stride]`` by one comparison of contiguous memory."""
    flat, after = x.reshape(-1), x.shape[2]
    larger = np.empty(x.shape, bool)
    np.greater(flat[after:], flat[:-after], out=larger.reshape(-1)[: flat.size - after])
    return larger[:, : (w.count - 1) * w.stride + 1 : w.stride]


def _unfold(g, w, shape, masks):
    """The gradient of ``_fold``, in ``shape``."""
    g = _around(g, w)
    parts = []
    for mask in reversed(masks):
        part = g * mask
        parts.append(part)
        g = g - part
    return _spread([g, *reversed(parts)], w, shape)


def _spread(parts, w, shape):
    """An array of ``shape`` where part j is added to element j of every window.

    Args:
        parts: arrays (axes before, windows, axes behind), one for each element of a window.
    """
    length, stride = shape[w.axis], w.stride
    before, count, after = parts[0].shape
    d = np.empty((before, length, after), parts[0].dtype)
    for first in range(min(stride, length)):  # the elements that are a multiple of strides apart
        own = parts[first::stride]
        reached = len(range(first, length, stride))
        if len(own) == 1 and reached == count:
            total = own[0]
        else:
            total = d if stride == 1 else np.empty((before, reached, after), d.dtype)
            if own:
                total[:, :count] = own[0]
            total[:, count if own else 0 :] = 0.0
            for later, part in enumerate(own[1:], 1):
                total[:, later : later + count] += part
        if total is not d:
            as_elements(d)[:, first::stride] = as_elements(total)
    return d.reshape(shape)
