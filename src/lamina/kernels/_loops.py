"""Passes of NumPy's done in one: loops over numbers, compiled by numba.

They read as they run: plain Python on arrays, one number at a time. ``compiling.py`` says how they
are compiled, and when they serve; it alone imports this file. Whatever a loop calls must be in its
own file: numba keeps what it compiled in ``__pycache__`` until the file changes, and would not
notice a change elsewhere, nor one of how ``compiling.py`` has it compiled.
"""

import numpy as np

from lamina.kernels.compiling import BYTES, COUNTS, READ, WRITTEN, helper, loop

# ---- normalization -------------------------------------------------------------------------------
# Matrices with several samples side by side: column j is of channel j % channels.


@helper
def _along(vector, columns):
    """The numbers of channels, repeated along a row of the matrix."""
    wide = np.empty(columns, vector.dtype)
    for j in range(columns):
        wide[j] = vector[j % vector.size]
    return wide


@loop
def moments(rows: READ[2], starts: READ[1], out: WRITTEN[2]):
    """By channel, the sums of ``number - start`` and of its square."""
    columns = rows.shape[1]
    start = _along(starts, columns)
    sums = np.zeros((2, columns), rows.dtype)
    for i in range(len(rows)):
        for j in range(columns):
            number = rows[i, j] - start[j]
            sums[0, j] += number
            sums[1, j] += number * number
    _fold(sums, out)


@loop
def matched_sums(rows: READ[2], starts: READ[1], g: READ[2], out: WRITTEN[2]):
    """By channel, the sums of ``g`` and of ``(number - start) * g``."""
    columns = rows.shape[1]
    start = _along(starts, columns)
    sums = np.zeros((2, columns), rows.dtype)
    for i in range(len(rows)):
        for j in range(columns):
            sums[0, j] += g[i, j]
            sums[1, j] += (rows[i, j] - start[j]) * g[i, j]
    _fold(sums, out)


@helper
def _fold(sums, out):
    """Sums of columns, added up by channel."""
    columns, channels = sums.shape[1], out.shape[1]
    out[:] = 0
    for k in range(2):
        for j in range(columns):
            out[k, j % channels] += sums[k, j]


@loop
def scaled(rows: READ[2], starts: READ[1], factors: READ[1], shifts: READ[1], out: WRITTEN[2]):
    """``(number - start) * factor + shift``."""
    columns = rows.shape[1]
    start = _along(starts, columns)
    factor, shift = _along(factors, columns), _along(shifts, columns)
    for i in range(len(rows)):
        for j in range(columns):
            out[i, j] = (rows[i, j] - start[j]) * factor[j] + shift[j]


@loop
def combined(
    rows: READ[2], starts: READ[1], g: READ[2], factors: READ[1], slopes: READ[1], levels: READ[1],
    out: WRITTEN[2],
):  # fmt: skip
    """``((number - start) * slope + level + g) * factor``."""
    columns = rows.shape[1]
    start, factor = _along(starts, columns), _along(factors, columns)
    slope, level = _along(slopes, columns), _along(levels, columns)
    for i in range(len(rows)):
        for j in range(columns):
            bent = (rows[i, j] - start[j]) * slope[j] + level[j] + g[i, j]
            out[i, j] = bent * factor[j]


# ---- activations ---------------------------------------------------------------------------------


@loop
def relu(z: READ[1], out: WRITTEN[1]):
    """``max(z, 0)``, into z if need be; what is no number stays."""
    zero = z.dtype.type(0)
    for i in range(z.size):
        out[i] = zero if z[i] < zero else z[i]


@loop
def relu_back(g: READ[1], out: READ[1], d: WRITTEN[1]):
    """``g`` where the output was above 0, and 0 times g elsewhere."""
    zero, one = g.dtype.type(0), g.dtype.type(1)
    for i in range(g.size):
        d[i] = g[i] * (one if out[i] > zero else zero)


@loop
def biased(bias: READ[1], is_relu: bool, out: WRITTEN[2]):
    """``out + bias``, row by row, in place; then its relu, where that is asked for."""
    zero = bias.dtype.type(0)
    for i in range(len(out)):
        for j in range(out.shape[1]):
            number = out[i, j] + bias[j]
            out[i, j] = zero if is_relu and number < zero else number


# ---- pooling -------------------------------------------------------------------------------------
# Indices without a sign spare the question whether they count from the end, at every number.


@loop
def largest(x: READ[4], win: COUNTS[2], out: WRITTEN[4], winners: BYTES[4]):
    """The largest number of every window, and at which place it stands: of equal ones the first.

    NaN is larger than all.

    Args:
        x: (samples, height, width, channels).
        win: rows (size, strides, and what poolings have not), each along the height and the width.
        out, winners: (samples, windows along the height, and the width, channels).
    """
    size, step = win[0], win[1]
    samples, height, width, channels = x.shape
    _, high, wide, _ = out.shape
    numbers, best, winner = x.reshape(-1), out.reshape(-1), winners.reshape(-1)
    places = np.empty(channels, x.dtype)  # of the dtype of numbers, since vectors are of one length
    for n in range(samples):
        for r in range(high):
            for c in range(wide):
                at = ((n * high + r) * wide + c) * channels
                for place in range(size[0] * size[1]):
                    row, column, own = place // size[1], place % size[1], x.dtype.type(place)
                    seen = (n * height + r * step[0] + row) * width + c * step[1] + column
                    seen *= channels
                    if place == 0:
                        for j in range(channels):
                            best[np.uint64(at + j)] = numbers[np.uint64(seen + j)]
                            places[np.uint64(j)] = own
                        continue
                    for j in range(channels):
                        i, k = np.uint64(at + j), np.uint64(j)
                        number = numbers[np.uint64(seen + j)]
                        wins = (number > best[i]) | (number != number)
                        best[i] = number if wins else best[i]
                        places[k] = own if wins else places[k]
                for j in range(channels):
                    winner[np.uint64(at + j)] = np.uint8(places[np.uint64(j)])


@loop
def largest_alone(x: READ[4], win: COUNTS[2], out: WRITTEN[4]):
    """The same without the places, which only gradients ask for."""
    size, step = win[0], win[1]
    samples, height, width, channels = x.shape
    _, high, wide, _ = out.shape
    numbers, best = x.reshape(-1), out.reshape(-1)
    for n in range(samples):
        for r in range(high):
            for c in range(wide):
                at = ((n * high + r) * wide + c) * channels
                for place in range(size[0] * size[1]):
                    row, column = place // size[1], place % size[1]
                    seen = (n * height + r * step[0] + row) * width + c * step[1] + column
                    seen *= channels
                    for j in range(channels):
                        i, number = np.uint64(at + j), numbers[np.uint64(seen + j)]
                        wins = (place == 0) | (number > best[i]) | (number != number)
                        best[i] = number if wins else best[i]  # a choice, which vectors make


@loop
def give_to_winners(g: READ[4], winners: BYTES[4], win: COUNTS[2], adds: bool, out: WRITTEN[4]):
    """Of every window the gradient to the place that won, 0 to the others.

    Args:
        g, winners, win: as of ``largest``.
        adds: whether what is in ``out`` stays, as it must where windows overlap.
        out: (samples, height, width, channels).
    """
    size, step = win[0], win[1]
    samples, high, wide, channels = g.shape
    _, height, width, _ = out.shape
    given, winner, numbers = g.reshape(-1), winners.reshape(-1), out.reshape(-1)
    zero = given.dtype.type(0)
    for n in range(samples):
        for r in range(high):
            for place in range(size[0] * size[1]):
                row, column, own = place // size[1], place % size[1], np.uint8(place)
                for c in range(wide):
                    at = ((n * high + r) * wide + c) * channels
                    seen = (n * height + r * step[0] + row) * width + c * step[1] + column
                    seen *= channels
                    if adds:
                        for j in range(channels):
                            i = np.uint64(at + j)
                            numbers[np.uint64(seen + j)] += given[i] if winner[i] == own else zero
                    else:
                        for j in range(channels):
                            i = np.uint64(at + j)
                            numbers[np.uint64(seen + j)] = given[i] if winner[i] == own else zero


# ---- convolutions, channel by channel ------------------------------------------------------------


@helper
def _position(win, r, c, place, height, width):
    """Where on the image window (r, c) has a place, counted row by row; -1 off the image."""
    row = r * win[1, 0] + (place // win[0, 1]) * win[2, 0] - win[3, 0]
    column = c * win[1, 1] + (place % win[0, 1]) * win[2, 1] - win[3, 1]
    if row < 0 or row >= height or column < 0 or column >= width:
        return -1
    return row * width + column


@loop
def depthwise(x: READ[4], w: READ[2], win: COUNTS[2], out: WRITTEN[4]):
    """``out[window] = sum over places of x[seen] * w[place]``, each channel by itself.

    Args:
        x: (samples, height, width, channels).
        w: (places, channels).
        win: rows (size, strides, dilation, zeros before), each along the height and the width.
        out: (samples, windows along the height, and the width, channels).
    """
    places = win[0, 0] * win[0, 1]
    samples, height, width, channels = x.shape
    _, high, wide, _ = out.shape
    numbers, kernel, sums = x.reshape(-1), w.reshape(-1), out.reshape(-1)
    sums[:] = 0
    for n in range(samples):
        for r in range(high):
            for c in range(wide):
                at = ((n * high + r) * wide + c) * channels
                for place in range(places):
                    position = _position(win, r, c, place, height, width)
                    if position >= 0:
                        seen = (n * height * width + position) * channels
                        own = place * channels
                        for j in range(channels):
                            sums[np.uint64(at + j)] += (
                                numbers[np.uint64(seen + j)] * kernel[np.uint64(own + j)]
                            )


@loop
def depthwise_back(
    g: READ[4], x: READ[4], w: READ[2], win: COUNTS[2], needs_x: bool, needs_w: bool,
    dx: WRITTEN[4], dw: WRITTEN[2],
):  # fmt: skip
    """``dx[seen] += g * w[place]`` and ``dw[place] += x[seen] * g``, what is needed of them.

    The sums over a row of windows are added to ``dw`` as one, which costs fewer digits.
    """
    places = win[0, 0] * win[0, 1]
    samples, high, wide, channels = g.shape
    _, height, width, _ = x.shape
    given, numbers, kernel = g.reshape(-1), x.reshape(-1), w.reshape(-1)
    image, total = dx.reshape(-1), dw.reshape(-1)
    sums = np.empty(total.size, total.dtype)
    for n in range(samples):
        for r in range(high):
            sums[:] = 0
            for c in range(wide):
                at = ((n * high + r) * wide + c) * channels
                for place in range(places):
                    position = _position(win, r, c, place, height, width)
                    if position >= 0:
                        seen = (n * height * width + position) * channels
                        own = place * channels
                        if needs_x:
                            for j in range(channels):
                                image[np.uint64(seen + j)] += (
                                    given[np.uint64(at + j)] * kernel[np.uint64(own + j)]
                                )
                        if needs_w:
                            for j in range(channels):
                                sums[np.uint64(own + j)] += (
                                    given[np.uint64(at + j)] * numbers[np.uint64(seen + j)]
                                )
            for j in range(total.size):
                total[j] += sums[j]


# ---- optimizers ----------------------------------------------------------------------------------


@loop
def adam(
    p: WRITTEN[1], g: READ[1], m: WRITTEN[1], v: WRITTEN[1], share_1: float, share_2: float,
    epsilon: float, alpha: float,
):  # fmt: skip
    """The rule of ``kernels/optimizers.py``, number by number."""
    for i in range(p.size):
        m[i] += (g[i] - m[i]) * share_1
        v[i] += (g[i] * g[i] - v[i]) * share_2
        p[i] -= m[i] / (np.sqrt(v[i]) + epsilon) * alpha
