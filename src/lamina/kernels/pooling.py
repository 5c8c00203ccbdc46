"""Pooling in array-API code, for every library that has no kernel of its own.

Windows are taken axis by axis, so a window of 3 x 3 costs 2 + 2 operations on whole arrays instead
of 8. What is kept for the way back is a mask per operation, not the images.
"""

import math

from lamina.kernels.resizing import by_tables
from lamina.ops._axes import spatial_axes
from lamina.ops._op import kernel
from lamina.ops._pool_windows import windows
from lamina.ops._resampling import averages
from lamina.ops.pooling import adaptive_axes


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


@kernel("average_pool")
def average_pool(xp, needs, x, *, pool_size, strides, padding, data_format):
    """The gradient of an output, divided by the size of its window, goes to all of the window."""
    if not xp.isdtype(x.dtype, "real floating"):
        return NotImplemented
    places = windows(x.shape, pool_size, strides, padding, data_format)
    x, inside = bordered(xp, x, places, 0.0)
    shapes = []
    for w in reversed(places):
        shapes.append((w, x.shape))
        total = x[w.tap(0)]
        for j in range(1, w.size):
            total = total + x[w.tap(j)]
        x = total
    factors = shares(xp, x, places)
    for factor in factors:
        x = x * factor

    def pullback(g):
        for factor in factors:
            g = g * factor
        for w, shape in reversed(shapes):
            d = xp.zeros(shape, dtype=g.dtype, device=g.device)
            for j in range(w.size):
                d[w.tap(j)] = g if w.stride >= w.size else d[w.tap(j)] + g
            g = d
        return (g if inside is None else g[inside],)

    return x, pullback


def shares(xp, x, places):
    """What the sums of windows are multiplied by: one number, or with padding one per place."""
    if not any(w.before or w.after for w in places):
        return [1.0 / math.prod(w.size for w in places)]
    found = []
    for w in places:
        shape = [1] * x.ndim
        shape[w.axis] = w.count
        share = xp.asarray(w.shares(), dtype=x.dtype, device=x.device)
        found.append(xp.reshape(share, tuple(shape)))
    return found


def adaptive(pool):
    """Parts that are all of one size are windows; the others are left to the definition."""

    def fast(xp, needs, x, *, output_size, data_format):
        sizes = []
        for axis, count in adaptive_axes(x.shape, output_size, data_format):
            if x.shape[axis] % count:
                return NotImplemented
            sizes.append(x.shape[axis] // count)
        how = {"strides": None, "padding": "valid", "data_format": data_format}
        return pool(xp, needs, x, pool_size=tuple(sizes), **how)

    return fast


adaptive_max_pool = kernel("adaptive_max_pool")(adaptive(max_pool))


@kernel("adaptive_average_pool")
def adaptive_average_pool(xp, needs, x, *, output_size, data_format):
    """Back by the transposed tables."""
    changes = [
        (axis, averages, (x.shape[axis], count))
        for axis, count in adaptive_axes(x.shape, output_size, data_format)
    ]
    return by_tables(xp, x, changes)


@kernel("global_average_pool")
def global_average_pool(xp, needs, x, *, keepdims, data_format):
    """The gradient of a mean goes evenly to all."""
    axes = spatial_axes(x.ndim, data_format)
    shape = x.shape
    kept = tuple(1 if a in axes else n for a, n in enumerate(shape))
    share = 1.0 / max(1, math.prod(shape[a] for a in axes))
    out = xp.mean(x, axis=axes, keepdims=keepdims)
    return out, lambda g: (xp.broadcast_to(xp.reshape(g * share, kept), shape),)


@kernel("global_max_pool")
def global_max_pool(xp, needs, x, *, keepdims, data_format):
    """The gradient of a largest element goes evenly to all that equal it."""
    axes = spatial_axes(x.ndim, data_format)
    largest = xp.max(x, axis=axes, keepdims=True)
    out = largest if keepdims else xp.squeeze(largest, axis=axes)

    def pullback(g):
        hit = xp.astype(x == largest, g.dtype)
        share = xp.reshape(g, largest.shape) / xp.sum(hit, axis=axes, keepdims=True)
        return (share * hit,)

    return out, pullback


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
