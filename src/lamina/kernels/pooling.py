"""Pooling in array-API code, for every library that has no kernel of its own.

Windows are taken axis by axis, so a window of 3 x 3 costs 2 + 2 operations on whole arrays instead
of 8. What is kept for the way back is a mask per operation, not the images.
"""

import math

from lamina.ops._op import kernel
from lamina.ops._pool_windows import windows


@kernel("max_pool")
def max_pool(xp, needs, x, *, pool_size, strides, padding, data_format):
    """Back along the fold: what is taken from an element is what a later one did not take."""
    if not xp.isdtype(x.dtype, "real floating"):
        return NotImplemented
    places = windows(x.shape, pool_size, strides, padding, data_format)
    x, inside = bordered(xp, x, places, -math.inf)
    steps = []
    for w in reversed(places):
        shape, largest, masks = x.shape, x[w.tap(0)], []
        for j in range(1, w.size):
            other = x[w.tap(j)]
            if needs[0]:
                masks.append(other > largest)
            largest = xp.maximum(largest, other)
        steps.append((w, shape, masks))
        x = largest

    def pullback(g):
        for w, shape, masks in reversed(steps):
            d = xp.zeros(shape, dtype=g.dtype, device=g.device)
            for j in range(w.size - 1, 0, -1):
                part = g * xp.astype(masks[j - 1], g.dtype)
                d[w.tap(j)] = part if w.stride >= w.size else d[w.tap(j)] + part
                g = g - part
            d[w.tap(0)] = g if w.stride >= w.size else d[w.tap(0)] + g
            g = d
        return (g if inside is None else g[inside],)

    return x, pullback


def bordered(xp, x, places, value):
    """``x`` with ``value`` around it, and the key of what was there; None where nothing is added.

    The definition's ``padded``, in one array.
    """
    if not any(w.before or w.after for w in places):
        return x, None
    shape, inside = list(x.shape), [slice(None)] * x.ndim
    for w in places:
        shape[w.axis] += w.before + w.after
        inside[w.axis] = slice(w.before, w.before + w.length)
    out = xp.full(tuple(shape), value, dtype=x.dtype, device=x.device)
    inside = tuple(inside)
    out[inside] = x
    return out, inside
