"""Convolutions of every channel on its own, on NumPy: sums of products without a matrix in them.

``einsum`` multiplies and adds in one pass, and goes through its axes in the order in which they lie
in memory: with positions and channels of a row as one long axis, and the kernel repeated along it,
its inner loop is a whole row, and a row of the result stays in the nearest cache until all places
of the window are added. That was three times as fast as multiplying and adding slices (AVX2), and
no slower than compiled code. Where windows are strides apart the loop is over the channels.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import as_strided

from lamina.kernels.windows import blocks, from_the_other_side, overlap, part_seen, span

_PIECE = 1 << 17  # numbers of the result that are done together


def depthwise_parts(x, w, win, finisher):
    """The windows on x summed and finished, and ``back(g, needs_x, needs_w)``.

    With w of shape (*window, channels, multiplier): dx[seen by j] += g * w[j], and
    dw[j] = sum(x[seen by j] * g).
    """
    multiplier, channels = w.shape[-1], w.shape[-2] * w.shape[-1]
    if multiplier > 1:
        x = np.repeat(x, multiplier, axis=-1)
    w = w.reshape(*win.size, channels)
    out = _correlated(x, w, win, finisher)

    def back(g, needs_x, needs_w):
        dx = dw = None
        if needs_w:
            dw = _matched(x, g, win)
        if needs_x:
            if max(win.strides) == 1:
                turned = w[(slice(None, None, -1),) * len(win.size)]
                dx = _correlated(g, turned, from_the_other_side(win))
            else:
                dx = _laid(g, w, win)
            if multiplier > 1:
                apart = dx.reshape(*dx.shape[:-1], channels // multiplier, multiplier)
                dx = np.add.reduce(apart, axis=-1)
        return dx, dw

    return out, back


def _pieces(samples, win, channels):
    return blocks(samples, win, math.prod(win.count[1:]) * channels, _PIECE)


def _correlated(x, w, win, finisher=None):
    """``out[window] = sum over places of x[seen] * w[place]``."""
    axes = len(win.size)
    out = np.empty((len(x), *win.count, w.shape[-1]), x.dtype)
    finish = finisher(out) if finisher else None
    along = np.broadcast_to(w[..., None, :], (*win.size, win.count[-1], w.shape[-1]))
    windows, places = list(range(axes)), list(range(axes, 2 * axes))
    if win.strides[-1] == 1:  # one axis for the row and its channels
        row = [2 * axes]
        along = along.reshape(*win.size, -1)
    else:
        row = [2 * axes, 2 * axes + 1]
    for piece in _pieces(len(x), win, w.shape[-1]):
        part = out[piece]
        result = part.reshape(*part.shape[:-2], -1) if len(row) == 1 else part
        seen = _seen(part_seen(piece, x, win), part.shape, win)
        np.einsum(seen, windows + places + row, along, places + row, windows + row, out=result)
        if finish:
            finish(part)
    return out


def _seen(x, shape, win):
    """What windows see, as (batch, windows but the last axis, places, row).

    Args:
        x: a part of the padded image.
        shape: of the part of the result.
    """
    if x.strides[-1] != x.itemsize or x.strides[-2] != x.itemsize * x.shape[-1]:
        x = np.ascontiguousarray(x)
    batch, *steps, to_next_channel = x.strides
    to_windows = [a * b for a, b in zip(steps, win.strides)]
    to_places = [a * b for a, b in zip(steps, win.dilation)]
    *lead, width, channels = shape
    row = ((width * channels,), (to_next_channel,))
    if win.strides[-1] != 1:
        row = ((width, channels), (to_windows[-1], to_next_channel))
    strides = (batch, *to_windows[:-1], *to_places, *row[1])
    return as_strided(x, (*lead, *win.size, *row[0]), strides)


def _matched(x, g, win):
    """``dw[place] = sum over windows of x[seen from place] * g``: place by place, many at once."""
    channels = x.shape[-1]
    axes = list(range(len(win.size) + 2))
    sums = np.zeros((*win.size, *g.shape[-2:]), g.dtype)  # by place in the row, summed up at last
    for piece in _pieces(len(x), win, channels):
        part = g[piece]
        seen = _seen(part_seen(piece, x, win), part.shape, win)
        lead = part.ndim - 2
        if win.strides[-1] == 1:
            part = part.reshape(*part.shape[:-2], -1)
            kept = axes[lead : lead + 1]
        else:
            kept = axes[lead : lead + 2]
        every = axes[:lead] + kept
        for place in win.places():
            one = seen[(*[slice(None)] * lead, *place)]
            total = np.einsum(one, every, part, every, kept)
            sums[place] += total.reshape(g.shape[-2:])
    return np.add.reduce(sums, axis=-2)


def _laid(g, w, win):
    """``dx[seen from place] += g * w[place]``, for windows that are strides apart."""
    dx = np.zeros((len(g), *win.image, g.shape[-1]), g.dtype)
    for piece in _pieces(len(g), win, g.shape[-1]):
        part = g[piece]
        product = np.empty_like(part)
        first, end = span(piece, win)
        laid = np.zeros((len(part), end - first, *win.reach[1:], g.shape[-1]), g.dtype)
        rows = piece[1].stop - piece[1].start
        for place in win.places():
            np.multiply(part, w[place], out=product)
            j, s = place[0] * win.dilation[0], win.strides[0]
            seen = (slice(j, j + (rows - 1) * s + 1, s), *win.seen_from(place)[1:])
            laid[:, *seen] += product
        inside, on_image = overlap(piece, win)
        dx[piece[0]][on_image] += laid[inside]
    return dx
