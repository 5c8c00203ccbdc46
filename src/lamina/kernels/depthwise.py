"""Convolutions of every channel on its own, on NumPy: multiplications and additions in the cache.

There is no matrix product in them: each place of the window is one multiplication of a shifted
slice and one addition. So the image is worked through in pieces that stay in the cache meanwhile,
and the kernel is repeated along the row, for then the loops run over whole rows at once.
"""

import math

import numpy as np

from lamina.kernels.constants import ones
from lamina.kernels.windows import blocks, overlap, part_seen, span

_PIECE = 1 << 15  # numbers of the result in a piece


def depthwise_parts(x, w, win):
    """Sums before the bias, and ``back(g, needs_x, needs_w)``, for x with its channels last.

    With w of shape (*window, channels, multiplier): dx[seen by j] += g * w[j], and
    dw[j] = sum(x[seen by j] * g).
    """
    multiplier, channels = w.shape[-1], w.shape[-2] * w.shape[-1]
    if multiplier > 1:
        x = np.repeat(x, multiplier, axis=-1)
    width = win.count[-1]
    row = (*win.size, *(1,) * (len(win.size) - 1), width, channels)
    w = w.reshape(*row[:-2], 1, channels)
    along = np.broadcast_to(w, row).copy()
    out = np.empty((len(x), *win.count, channels), x.dtype)
    pieces = list(blocks(len(x), win, math.prod(win.count[1:]) * channels, _PIECE))
    for piece in pieces:
        seen, total = part_seen(piece, x, win), out[piece]
        product = np.empty_like(total)
        for number, (place, slices) in enumerate(_places(win, piece)):
            if number:
                np.multiply(seen[slices], along[place], out=product)
                total += product
            else:
                np.multiply(seen[slices], along[place], out=total)

    def back(g, needs_x, needs_w):
        dx = np.zeros(x.shape, x.dtype) if needs_x else None
        dw = np.zeros((*win.size, channels), x.dtype) if needs_w else None
        for piece in pieces:
            part = g[piece]
            product = np.empty_like(part)
            matrix = product.reshape(-1, channels)
            sums = ones(len(matrix), g.dtype)
            if needs_w:
                seen = part_seen(piece, x, win)
                for place, slices in _places(win, piece):
                    np.multiply(seen[slices], part, out=product)
                    dw[place] += sums.dot(matrix)
            if needs_x:
                _lay(piece, part, along, win, product, dx)
        if needs_x and multiplier > 1:
            dx = np.add.reduce(dx.reshape(*dx.shape[:-1], -1, multiplier), axis=-1)
        return dx, dw

    return out, back


def _places(win, piece):
    """Each place, and which part of what a piece sees is seen from it."""
    rows = piece[1]
    for place in win.places():
        slices = win.seen_from(place)
        j, s = place[0] * win.dilation[0], win.strides[0]
        first = slice(j, j + (rows.stop - rows.start - 1) * s + 1, s)
        yield place, (slice(None), first, *slices[1:])


def _lay(piece, part, along, win, product, image):
    """Add to the image what a piece gives to its windows' places."""
    first, end = span(piece, win)
    laid = np.zeros((len(part), end - first, *win.reach[1:], part.shape[-1]), part.dtype)
    for place, slices in _places(win, piece):
        np.multiply(part, along[place], out=product)
        laid[slices] += product
    inside, on_image = overlap(piece, win)
    image[piece[0]][on_image] += laid[inside]
