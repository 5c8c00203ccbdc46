"""Convolutions as loops that numba compiles, around products of NumPy's own BLAS.

What windows see is copied, multiplied, and what comes of it added or put where it belongs, without
the interpreter. Windows have two axes. As in ``_loops.py``, what a loop calls is in its own file.
"""

import numpy as np
from numpy.lib.stride_tricks import as_strided

from lamina.kernels.compiling import COUNTS, READ, WRITTEN, gemms, helper, loop

_BY_ROWS, _AS_IT_LIES, _TURNED = 101, 111, 112  # from the BLAS's cblas.h
_sgemm, _dgemm = gemms()


@helper
def _multiply(turns, a, b, adds, out):
    """``out = a @ b``, or with ``a.T`` where it ``turns``; or added to out.

    Rows may overlap or lie apart, numbers of a row not.
    """
    size = a.itemsize
    n, k = out.shape[1], b.shape[0]
    how = _TURNED if turns else _AS_IT_LIES
    # the steps from row to row, which of a single row may be anything
    a_step = max(a.shape[1], a.strides[0] // size)
    b_step = max(b.shape[1], b.strides[0] // size)
    step = max(n, out.strides[0] // size)
    beta = a.dtype.type(1 if adds else 0)  # times what is in out already
    if size == 4:
        _sgemm(
            _BY_ROWS, how, _AS_IT_LIES, len(out), n, k, 1, a.ctypes.data, a_step, b.ctypes.data,
            b_step, beta, out.ctypes.data, step,
        )  # fmt: skip
    else:
        _dgemm(
            _BY_ROWS, how, _AS_IT_LIES, len(out), n, k, 1, a.ctypes.data, a_step, b.ctypes.data,
            b_step, beta, out.ctypes.data, step,
        )  # fmt: skip


@helper
def _multiply_in_pieces(a, b, piece, out):
    """``out = a @ b``, so many rows at a time."""
    for i in range(0, len(out), piece):
        _multiply(False, a[i : i + piece], b, False, out[i : i + piece])


@helper
def _match_in_pieces(a, b, piece, out):
    """``out += a.T @ b``, so many rows at a time."""
    for i in range(0, len(a), piece):
        _multiply(True, a[i : i + piece], b[i : i + piece], True, out)


@helper
def _copy(seen, start, count, out, at):
    """So many numbers of a flat array from ``start`` on, to another's from ``at`` on.

    Indices without a sign spare the question whether they count from the end, at every number.
    """
    for j in range(count):
        out[np.uint64(at + j)] = seen[np.uint64(start + j)]


@helper
def _copy_run(seen, start, first, end, count, out, at):
    """The same, but zeros for the numbers before the ``first`` and from the ``end`` on.

    ``_copy`` is written out: called from here it is no part of the loop, at four times the cost.
    """
    for j in range(first):
        out[np.uint64(at + j)] = 0
    for j in range(first, end):
        out[np.uint64(at + j)] = seen[np.uint64(start + j)]
    for j in range(end, count):
        out[np.uint64(at + j)] = 0


@helper
def _runs(many, k, step, apart, before, width, channels):
    """What windows see of a row of the image, in runs of numbers that lie side by side.

    Returns:
        for each window along the row rows (first number of a run, counted from the row's own first,
        and the first and the end of those of the run's that are on the image); and a run's length.
    """
    each, count = (1, k * channels) if apart == 1 else (k, channels)
    found = np.empty((many, each, 3), np.int64)
    for c in range(many):
        for b in range(each):
            start = (c * step + b * apart - before) * channels
            first = min(max(0, -start), count)
            found[c, b, 0], found[c, b, 1] = start, first
            found[c, b, 2] = max(first, min(count, width * channels - start))
    return found, count


@loop
def over_columns(
    x: READ[4], w: READ[2], blocks: COUNTS[2], win: COUNTS[2], piece: int, out: WRITTEN[4],
    other: READ[4], matched_piece: int, matched: WRITTEN[2],
):  # fmt: skip
    """Windows on x times the kernel into ``out``, and what they see, matched with ``other``.

    Block by block what the windows see is copied, every window a row of a matrix, as ``Copied`` of
    ``layouts.py`` does.

    Args:
        x: (samples, height, width, channels).
        w: (places of a window * channels, filters).
        blocks: rows (first sample, end, first row of windows, end, and of strips the first row of
            the image and how many).
        win: rows (size, strides, dilation, zeros before), each along the height and the width.
        piece: how many rows are multiplied at a time.
        out: (samples, windows along the height, and the width, filters), or one of no samples.
        other: the same, of other filters, or one of no samples.
        matched: (places of a window * channels, those filters), to which is added.
    """
    k, step, apart, before = win
    _, height, width, channels = x.shape
    places, row_length = k[0] * k[1] * channels, width * channels
    many = max(out.shape[2], other.shape[2])
    runs, count = _runs(many, k[1], step[1], apart[1], before[1], width, channels)
    numbers, columns = x.reshape(-1), np.empty(_most_windows(blocks, many) * places, x.dtype)
    for first, end, top, bottom, _, _ in blocks:
        at = 0
        for n in range(first, end):
            for r in range(top, bottom):
                for c in range(many):
                    for a in range(k[0]):
                        row = r * step[0] + a * apart[0] - before[0]
                        for b in range(runs.shape[1]):
                            left = right = count
                            if 0 <= row < height:
                                left, right = runs[c, b, 1], runs[c, b, 2]
                            start = (n * height + row) * row_length + runs[c, b, 0]
                            _copy_run(numbers, start, left, right, count, columns, at)
                            at += count
        seen = columns[:at].reshape(-1, places)
        if len(out):
            _multiply_in_pieces(seen, w, piece, _rows(out, first, end, top, bottom))
        if len(other):
            _match_in_pieces(seen, _rows(other, first, end, top, bottom), matched_piece, matched)


@loop
def lay_back(
    g: READ[4], w: READ[2], blocks: COUNTS[2], win: COUNTS[2], piece: int, out: WRITTEN[4]
):
    """What every window gives to its places, added to an image.

    Args:
        g: (samples, windows along the height, and the width, filters).
        w: (filters, places of a window * channels).
        blocks, win, piece: as of ``over_columns``.
        out: (samples, height, width, channels).
    """
    k, step, apart, before = win
    _, height, width, channels = out.shape
    many, row_length = g.shape[2], width * channels
    runs, count = _runs(many, k[1], step[1], apart[1], before[1], width, channels)
    given = np.empty((_most_windows(blocks, many), w.shape[1]), g.dtype)
    image, flat = out.reshape(-1), given.reshape(-1)
    for first, end, top, bottom, _, _ in blocks:
        rows = _rows(g, first, end, top, bottom)
        _multiply_in_pieces(rows, w, piece, given[: len(rows)])
        at = 0
        for n in range(first, end):
            for r in range(top, bottom):
                for c in range(many):
                    for a in range(k[0]):
                        row = r * step[0] + a * apart[0] - before[0]
                        for b in range(runs.shape[1]):
                            if 0 <= row < height:
                                start = (n * height + row) * row_length + runs[c, b, 0]
                                for j in range(runs[c, b, 1], runs[c, b, 2]):
                                    image[np.uint64(start + j)] += flat[np.uint64(at + j)]
                            at += count


@helper
def _most_windows(blocks, many):
    """In any of the blocks, of so many windows to a row."""
    most = 0
    for first, end, top, bottom, _, _ in blocks:
        most = max(most, (end - first) * (bottom - top) * many)
    return most


@helper
def _rows(array, first, end, top, bottom):
    """A block of an array as a matrix: several whole samples, or some rows of one."""
    filters, size = array.shape[3], array.itemsize
    rows = (end - first) * (bottom - top) * array.shape[2]
    return as_strided(array[first, top:bottom], (rows, filters), (filters * size, size))


@loop
def over_strips(
    x: READ[4], w: READ[2], blocks: COUNTS[2], win: COUNTS[2], piece: int, out: WRITTEN[4],
    other: READ[4], matched_piece: int, matched: WRITTEN[3],
):  # fmt: skip
    """The same for windows one position apart, with ``Strips`` of ``layouts.py``.

    Args:
        matched: (places along the height, filters of other, places along the width * channels).
    """
    k, before = win[0], win[3]
    many = max(out.shape[2], other.shape[2])
    width, filters = k[1] * x.shape[3], w.shape[1]
    longest = 0
    for first, end, _, _, _, length in blocks:
        longest = max(longest, (end - first) * many * length)
    signal = np.empty((longest + 2 * (k[0] - 1), width), x.dtype)
    sums = np.empty((longest + k[0] if len(out) else 0, filters), x.dtype)
    along = np.empty((longest if len(other) else 0, other.shape[3]), x.dtype)
    for first, end, top, bottom, from_row, length in blocks:
        size = _lay_strips(x, first, end, from_row, length, many, before[1], k, signal)
        places = _places(first, end, top, bottom, length, max(out.shape[1], other.shape[1]), many)
        if len(out):
            turns = -(-size // k[0])
            for turn in range(k[0]):
                seen, into = _every(signal[turn:], k[0], turns), sums[turn:]
                into = as_strided(into, (turns, filters), (k[0] * into.strides[0], into.strides[1]))
                _multiply_in_pieces(seen, w, piece, into)
            _stand_up(sums, places, out)
        if len(other):
            _lie_down(other, places, along)
            for row in range(k[0]):
                seen = signal[row : row + size]
                _match_in_pieces(along[:size], seen, matched_piece, matched[row])


@helper
def _lay_strips(x, first, end, from_row, length, many, before, k, signal):
    """Columns of samples, one after another, each position with what a row of a window sees there.

    Returns how many rows of the signal these are; zeros follow, for the last windows.
    """
    _, height, width, channels = x.shape
    numbers, out, at = x.reshape(-1), signal.reshape(-1), 0
    runs, count = _runs(many, k[1], 1, 1, before, width, channels)
    for n in range(first, end):
        for c in range(many):
            start, left, right = runs[c, 0, 0], runs[c, 0, 1], runs[c, 0, 2]
            for row in range(from_row, from_row + length):
                if 0 <= row < height:
                    seen = (n * height + row) * width * channels + start
                    _copy_run(numbers, seen, left, right, count, out, at)
                else:
                    _copy_run(numbers, 0, count, count, count, out, at)
                at += count
    rows = at // count
    signal[rows : rows + 2 * (k[0] - 1)] = 0
    return rows


@helper
def _every(signal, k, turns):
    """Every k-th of the windows of so many rows, a row of a matrix each: a view."""
    rows, item = signal.strides
    return as_strided(signal, (turns, k * signal.shape[1]), (k * rows, item))


@helper
def _places(first, end, top, bottom, length, high, wide):
    """Which window, of those of all samples, each row of a block's strips is; -1 if not wanted."""
    found, column = np.full((end - first) * wide * length, -1), 0
    for n in range(first, end):
        for c in range(wide):
            for r in range(top, bottom):
                found[column + r - top] = (n * high + r) * wide + c
            column += length
    return found


@helper
def _stand_up(sums, places, out):
    """Sums that lie strip after strip, put where they belong."""
    flat, into, filters = sums.reshape(-1), out.reshape(-1), out.shape[3]
    for i in range(places.size):
        if places[i] >= 0:
            _copy(flat, i * filters, filters, into, places[i] * filters)


@helper
def _lie_down(other, places, along):
    """The other way: strip after strip, and zeros where a window is not wanted."""
    flat, into, filters = other.reshape(-1), along.reshape(-1), other.shape[3]
    for i in range(places.size):
        if places[i] >= 0:
            _copy(flat, places[i] * filters, filters, into, i * filters)
        else:
            along[i] = 0
