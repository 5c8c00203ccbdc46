"""Pooling on NumPy: the portable kernel's passes, with as few and as long inner loops as possible.

What was measured (float32, (64, 26, 26, 32), windows of 2 x 2; one core): a pass over two of four
strided parts costs three times one over contiguous memory, so the first comparison runs over the
whole image shifted by one element of the axis, contiguous, and every other result is left unread;
masks as bools beat masks as numbers, ``copyto(where=)`` costs ten times a multiplication by a mask,
and a result laid contiguous and then copied beats one written with strides.
"""

import math

import numpy as np

from lamina.kernels.pooling import adaptive, bordered, shares
from lamina.ops._op import kernel
from lamina.ops._pool_windows import windows


@kernel("max_pool", "numpy")
def max_pool(xp, needs, x, *, pool_size, strides, padding, data_format):
    """As the portable kernel, in place."""
    if x.dtype.kind != "f":
        return NotImplemented
    places = windows(x.shape, pool_size, strides, padding, data_format)
    x, inside = bordered(np, x, places, -math.inf)
    steps = []
    for w in reversed(places):
        shape = x.shape
        x = _around(x, w)
        largest, masks = _fold(x, w, needs[0])
        steps.append((w, shape, masks))
        x = largest.reshape(*shape[: w.axis], w.count, *shape[w.axis + 1 :])

    def pullback(g):
        for w, shape, masks in reversed(steps):
            g = _unfold(g, w, shape, masks)
        return (g if inside is None else g[inside],)

    return x, pullback


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
        taps = taps_of(_around(x, w), w)
        total = taps[0] + taps[1] if w.size > 1 else taps[0].copy()
        for tap in taps[2:]:
            total += tap
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


def taps_of(x, w):
    """Element j of all windows along the middle axis of ``x``, for every j."""
    return [x[:, j : j + (w.count - 1) * w.stride + 1 : w.stride] for j in range(w.size)]


def _around(x, w):
    """``x``, contiguous, as (axes before that of the windows, this axis, axes behind)."""
    shape = x.shape
    before, after = math.prod(shape[: w.axis]), math.prod(shape[w.axis + 1 :])
    return np.ascontiguousarray(x).reshape(before, shape[w.axis], after)


def _fold(x, w, keep):
    """The largest of every window along the middle axis of ``x``, and who was larger than before.

    Mask j - 1 is where element j of a window is larger than all before it.
    """
    taps = taps_of(x, w)
    if w.size == 1:
        return taps[0].copy(), []
    masks = []
    if keep:
        masks.append(_first_mask(x, w) if w.stride <= 2 else np.greater(taps[1], taps[0]))
    largest = np.maximum(taps[0], taps[1])
    for tap in taps[2:]:
        if keep:
            masks.append(np.greater(tap, largest))
        np.maximum(largest, tap, out=largest)
    return largest, masks


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
    d = np.empty((len(parts[0]), length, parts[0].shape[2]), parts[0].dtype)
    for j in range(stride):  # the first to write to a place need not add
        filled = 0
        if j < w.size:
            filled = j + (w.count - 1) * stride + 1
            d[:, j:filled:stride] = parts[j]
            filled += stride - 1
        d[:, max(j, filled) :: stride] = 0.0
    for j in range(stride, w.size):
        d[:, j : j + (w.count - 1) * stride + 1 : stride] += parts[j]
    return d.reshape(shape)
