"""A convolution and the max pooling of its sums, on NumPy, as one.

Where the windows of the pooling lie side by side, the sums that are first in each of them are
computed together, then the second ones, and so on: where what the convolution's windows see is
copied anyway, it can be in this order as well as in any. So what the pooling compares are whole
arrays, of as many numbers as it leaves, and no step of it jumps through memory; and the sums of a
block of samples are compared at once and not kept.
"""

import functools
import itertools
import math

import numpy as np

from lamina.kernels import compiling
from lamina.kernels.convolution import convolved, finished, finisher, gradients, last, serves
from lamina.kernels.gathering import BLOCK, copies_all
from lamina.kernels.layouts import Copied, row_numbers
from lamina.kernels.pooling_numpy import as_elements, has_loop, max_pool
from lamina.kernels.products import as_matrix, product
from lamina.kernels.windows import blocks, read_by
from lamina.ops._axes import frozen
from lamina.ops._op import kernel
from lamina.ops._pool_windows import windows as pool_windows
from lamina.ops.convolution import conv_windows

# What was measured, against one after the other (float32, 32 images, one core): with 32 filters or
# more 0.7 to 1.0 of the time in prediction, 0.6 to 0.95 in training; with 16 0.95 to 1.1, and 0.85
# to 1.0; with fewer up to a quarter more, since numbers that are copied lie further apart.
_FILTERS = 16  # least
_PLACES = 9  # most of a pooling's window


@kernel("conv_max_pool", "numpy")
def conv_max_pool(
    xp, needs, x, w, bias, *, strides, padding, dilation_rate, groups, data_format, pool_size,
    pool_strides, pool_padding, activation,
):  # fmt: skip
    """Only the sums that the pooling reads; bias and activation only for the largest of them."""
    if not serves(x, w, data_format, activation):
        return NotImplemented
    win = conv_windows(x, w, strides, padding, dilation_rate, groups, data_format)
    pool_size, pool_strides = frozen(pool_size), frozen(pool_strides)
    win = read_by(win, pool_size, pool_strides, pool_padding)
    x = last(x, data_format)
    pool = _tiles(win, pool_size, pool_strides, pool_padding)
    if pool and groups == 1 and _pays(x, w, win, pool):
        out, back = _place_by_place(x, w, win, pool, any(needs[:2]))
    else:
        pooling = {"pool_size": pool_size, "strides": pool_strides, "padding": pool_padding,
                   "data_format": "channels_last"}  # fmt: skip
        out, back = _one_after_the_other(x, w, win, groups, pooling, any(needs[:2]))
    finisher(bias, activation)(out)(out)
    return finished(out, back, needs, w.shape, data_format, activation)


# ---- place by place of the pooling's windows -----------------------------------------------------


@functools.lru_cache(maxsize=256)
def _tiles(win, pool_size, strides, padding):
    """The size of the pooling's windows where they lie side by side, without gaps and padding, and
    are small; else None.

    Args:
        win: the convolution's windows that the pooling reads.
    """
    pools = pool_windows((1, *win.count, 1), pool_size, strides, padding, "channels_last")
    if any((along.stride, along.before, along.after) != (along.size, 0, 0) for along in pools):
        return None
    size = tuple([along.size for along in pools])
    return size if 1 < math.prod(size) <= _PLACES else None


def _pays(x, w, win, pool) -> bool:
    """Whether this is the quickest way: not where a loop is there, for the windows or the pooling,
    nor where the windows are not copied at all."""
    filters = w.shape[-1]
    if filters < _FILTERS or not copies_all(x, w, win):
        return False
    are_few = len(x) * math.prod(win.count) * filters < compiling.LEAST
    return are_few or not (has_loop(filters, pool) and compiling.are_there(x.dtype))


def _place_by_place(x, w, win, pool, needs_back):
    """The largest sums of every window of the pooling, and ``back``."""
    filters, many = w.shape[-1], math.prod(pool)
    out = np.empty((len(x), *_counts(win, pool), filters), x.dtype)
    matrix = as_matrix(w, len(x) * math.prod(win.count))
    kept = []
    for pooled, block in _blocks(len(x), win, pool, w.shape[-2], filters, BLOCK):
        seen = Copied(block, x, win, pool)
        sums = np.empty((many, *out[pooled].shape), x.dtype)
        columns = seen.columns.reshape(many, -1, len(matrix))
        product(columns, matrix, sums.reshape(many, -1, filters))
        if needs_back:
            kept.append((pooled, block, _largest(sums, out[pooled])))
        else:
            np.maximum.reduce(sums, axis=0, out=out[pooled])

    def back(g, needs_x, needs_w):
        if needs_x:
            whole = np.empty((len(x), *win.count, filters), g.dtype)
            for pooled, block, larger in kept:
                _lay_apart(_given(g[pooled], larger), whole[block], pool)
            return gradients(whole, x, w, win, needs_x, needs_w)
        dw = np.zeros(matrix.shape, g.dtype) if needs_w else None
        for pooled, block, larger in kept:
            dw += Copied(block, x, win, pool).matched(_given(g[pooled], larger))
        return None, dw

    return out, back


@functools.lru_cache(maxsize=256)
def _blocks(samples, win, pool, channels, filters, budget):
    """Blocks of the pooling's windows, each with the block of ``win`` that it reads."""
    pooled = win._replace(count=_counts(win, pool))
    numbers = row_numbers(Copied, win, channels, filters) * pool[0]
    return [
        ((some, rows), (some, slice(rows.start * pool[0], rows.stop * pool[0])))
        for some, rows in blocks(samples, pooled, numbers, budget)
    ]


def _counts(win, pool):
    """How many windows the pooling has, of so many places each."""
    return tuple([n // k for n, k in zip(win.count, pool)])


def _largest(sums, out):
    """The largest of the arrays ``sums`` into ``out``, and which were larger than those before."""
    larger = np.empty((len(sums) - 1, *out.shape), bool)
    before = sums[0]
    for own, is_larger in zip(sums[1:], larger):
        np.greater(own, before, out=is_larger)
        before = np.maximum(before, own, out=out)
    return larger


def _given(g, larger):
    """The gradients of the arrays whose largest was taken: g where one was it, of equal ones the
    first, and 0 elsewhere."""
    given = np.empty((len(larger) + 1, *g.shape), g.dtype)
    for own, is_larger in zip(given[:0:-1], larger[::-1]):
        np.multiply(g, is_larger, out=own)
        g = np.subtract(g, own, out=given[0])  # what is left for those before
    return given


def _lay_apart(parts, whole, pool):
    """One array for each place where the places are in ``whole``: (samples, *windows, filters)."""
    axes = len(pool)
    counts = parts.shape[2 : 2 + axes]
    parts, whole = as_elements(parts), as_elements(whole)
    each = parts.shape[2 + axes :]  # (filters,), or () where those are moved as one
    apart = whole.reshape(len(whole), *itertools.chain(*zip(counts, pool)), *each)
    order = [*range(2, 2 + 2 * axes, 2), 0, *range(1, 1 + 2 * axes, 2)]
    order += range(1 + 2 * axes, apart.ndim)
    apart.transpose(order)[...] = parts.reshape(*pool, *parts.shape[1:])


# ---- one after the other -------------------------------------------------------------------------


def _one_after_the_other(x, w, win, groups, pooling, needs_back):
    """The largest sums of every window of the pooling, and ``back``."""
    out, back = convolved(x, w, win, groups)
    out, unpool = max_pool(np, (needs_back,), out, **pooling)
    return out, lambda g, *needs: back(*unpool(g), *needs) if any(needs) else (None, None)
