"""Convolutions of every channel on its own, on NumPy: sums of products without a matrix in them.

``einsum`` multiplies and adds in one pass, and goes through its axes in the order in which they lie
in memory: with positions and channels of a row as one long axis, and the kernel repeated along it,
its inner loop is a whole row, and a row of the result stays in the nearest cache until all places
of the window are added. That was three times as fast as multiplying and adding slices (AVX2), and
no slower than compiled code. Where windows are strides apart the loop is over the channels.
"""

import functools
import itertools
import math

import numpy as np

from lamina.kernels import compiling
from lamina.kernels.windows import (
    as_image,
    blocks,
    from_the_other_side,
    part_seen,
    seen_at,
    side_by_side,
    table_of,
)
from lamina.ops._windows import Windows

LEAST_CHANNELS = {"side by side": 32, "strides apart": 8}
"""Channels from which on a loop that numba compiles is quicker, by how windows lie."""
_PIECE = 1 << 19  # numbers of the result that are done together


def depthwise_parts(x, w, win, finisher):
    """The windows on x summed and finished, and ``back(g, needs_x, needs_w)``.

    With w of shape (*window, channels, multiplier): dx[seen by j] += g * w[j], and
    dw[j] = sum(x[seen by j] * g).
    """
    multiplier, channels = w.shape[-1], w.shape[-2] * w.shape[-1]
    if multiplier > 1:
        x = np.repeat(x, multiplier, axis=-1)
    w = w.reshape(*win.size, channels)
    if _is_compiled(x, w, win):
        out, gradients = _in_loops(x, w, win, finisher)
    else:
        out = _correlated(x, w, win, finisher)

        def gradients(g, needs_x, needs_w):
            dw = _matched(x, g, win) if needs_w else None
            return _laid(g, w, win) if needs_x else None, dw

    def back(g, needs_x, needs_w):
        dx, dw = gradients(g, needs_x, needs_w)
        if needs_x and multiplier > 1:
            apart = dx.reshape(*dx.shape[:-1], channels // multiplier, multiplier)
            dx = np.add.reduce(apart, axis=-1)
        return dx, dw

    return out, back


def _is_compiled(x, w, win) -> bool:
    """Whether loops are there for such windows, and quick for so many channels."""
    least = LEAST_CHANNELS["side by side" if max(win.strides) == 1 else "strides apart"]
    return len(win.size) < 3 and w.shape[-1] >= least and compiling.serves(x, w)


def _in_loops(x, w, win, finisher):
    """The sums and what gives the gradients, by loops that numba compiled."""
    loops, axes = compiling.loops(), table_of(win.size, win.strides, win.dilation, win.before)
    in_loops = lambda array: as_image(compiling.tidy(array, x.dtype))
    image, kernel = in_loops(x), np.ascontiguousarray(w).reshape(-1, w.shape[-1])
    out = np.empty((len(x), *win.count, w.shape[-1]), x.dtype)
    loops.depthwise(image, kernel, axes, as_image(out))
    if finisher:
        finisher(out)(out)

    def gradients(g, needs_x, needs_w):
        dx = np.zeros(image.shape if needs_x else (0, 1, 1, 1), x.dtype)
        dw = np.zeros(kernel.shape if needs_w else (0, 1), x.dtype)
        loops.depthwise_back(in_loops(g), image, kernel, axes, needs_x, needs_w, dx, dw)
        return dx.reshape(x.shape) if needs_x else None, dw.reshape(w.shape) if needs_w else None

    return out, gradients


def _pieces(samples, win, channels):
    return blocks(samples, win, math.prod(win.count[1:]) * channels, _PIECE)


def _correlated(x, w, win, finisher=None):
    """``out[window] = sum over places of x[seen] * w[place]``."""
    axes = len(win.size)
    out = np.empty((len(x), *win.count, w.shape[-1]), x.dtype)
    finish = finisher(out) if finisher else None
    along = np.empty((*win.size, win.count[-1], w.shape[-1]), w.dtype)
    along[...] = w[..., None, :]
    windows, places = list(range(axes)), list(range(axes, 2 * axes))
    if win.strides[-1] == 1:  # one axis for the row and its channels
        row = [2 * axes]
    else:
        row = [2 * axes, 2 * axes + 1]
    for piece in _pieces(len(x), win, w.shape[-1]):
        part = result = out[piece]
        kernel = along[..., : part.shape[-2], :]  # of a signal a piece has fewer positions
        if len(row) == 1:
            result = part.reshape(*part.shape[:-2], -1)
            kernel = kernel.reshape(*win.size, -1)
        seen = _seen(part_seen(piece, x, win), part.shape, win)
        np.einsum(seen, windows + places + row, kernel, places + row, windows + row, out=result)
        if finish:
            finish(part)
    return out


def _seen(x, shape, win):
    """What windows see, as (batch, windows but the last axis, places, row).

    Args:
        x: a part of the padded image.
        shape: of the part of the result.
    """
    x = side_by_side(x)
    batch, *steps, to_next_channel = x.strides
    to_windows = [a * b for a, b in zip(steps, win.strides)]
    to_places = [a * b for a, b in zip(steps, win.dilation)]
    *lead, width, channels = shape
    row = ((width * channels,), (to_next_channel,))
    if win.strides[-1] != 1:
        row = ((width, channels), (to_windows[-1], to_next_channel))
    strides = (batch, *to_windows[:-1], *to_places, *row[1])
    return seen_at(x, (*lead, *win.size, *row[0]), strides)


def _matched(x, g, win):
    """``dw[place] = sum over windows of x[seen from place] * g``: place by place, many at once."""
    channels = x.shape[-1]
    axes = list(range(len(win.size) + 2))
    pieces = list(_pieces(len(x), win, channels))
    longest = max((g[piece].shape[-2] for piece in pieces), default=0)
    sums = np.zeros((*win.size, longest, channels), g.dtype)  # by place in the row, summed at last
    for piece in pieces:
        part = g[piece]
        positions, lead = part.shape[-2], part.ndim - 2
        seen = _seen(part_seen(piece, x, win), part.shape, win)
        if win.strides[-1] == 1:
            part = part.reshape(*part.shape[:-2], -1)
            kept = axes[lead : lead + 1]
        else:
            kept = axes[lead : lead + 2]
        every = axes[:lead] + kept
        for place in win.places():
            one = seen[(*[slice(None)] * lead, *place)]
            total = np.einsum(one, every, part, every, kept)
            sums[place][:positions] += total.reshape(positions, channels)
    return np.add.reduce(sums, axis=-2)


def _laid(g, w, win):
    """``dx[seen from place] += g * w[place]``, as sums over the windows that a position lies in."""
    if max(win.strides) == 1:
        return _correlated(g, _turned(w), from_the_other_side(win))
    dx = np.zeros((len(g), *win.image, g.shape[-1]), g.dtype)
    for places, positions, around in _sets_of_positions(win):
        dx[:, *positions] = _correlated(g, _turned(w[places]), around)
    return dx


def _turned(w):
    return w[(*[slice(None, None, -1)] * (w.ndim - 1), ...)]


@functools.lru_cache(maxsize=256)
def _sets_of_positions(win):
    """Which positions lie at which places of the windows around them, and these as windows on g.

    Positions that are strides apart lie at the same places, and are one window apart on g.
    """
    axes = zip(*win)
    return [
        (
            tuple(places),
            tuple(positions),
            Windows(win.count, *map(tuple, (count, size, ones, apart, before, reach))),
        )
        for places, positions, count, size, ones, apart, before, reach in (
            zip(*parts) for parts in itertools.product(*[_along(*axis) for axis in axes])
        )
    ]


def _along(n, m, k, s, d, ahead, _):
    """The sets along one axis: (places, positions, and what ``Windows`` hold for them).

    Place j of window i is at position ``i * s + j * d - ahead``; so position ``q * s + start`` lies
    at place j of window ``q + (start + ahead - j * d) / s`` where that is a whole number.
    """
    for start in range(min(s, n)):
        places = [j for j in range(k) if (start + ahead - j * d) % s == 0]
        if not places:
            continue
        step = places[1] - places[0] if len(places) > 1 else s
        apart = step * d // s or 1
        oldest = (start + ahead - places[-1] * d) // s
        count = len(range(start, n, s))
        reach = count + (len(places) - 1) * apart
        taken = slice(places[0], None, step)
        yield taken, slice(start, None, s), count, len(places), 1, apart, -oldest, reach
