"""Products of what windows see, and what they give back, on NumPy: by block, or in a compiled loop.

A block is as many samples, or rows of one large image, as copy about ``BLOCK`` numbers of what
their windows see. These are copied, multiplied and copied again, made anew for the gradient rather
than kept, and never grow with the image or the batch. How they are laid out is in ``layouts.py``.
Loops, which numba compiles, do the same in smaller blocks; they take arrays without gaps, and have
others (channels first, one of several groups) copied whole.

What was measured (AVX2, float32): for the gradient of the image, adding the products of each place
of the window where it belongs beats products of the padded gradient, which multiply zeros.
"""

import functools
import math

import numpy as np

from lamina.kernels import compiling
from lamina.kernels.constants import fixed
from lamina.kernels.layouts import Copied, Strips, plan, strip
from lamina.kernels.products import FEWEST_ADDED, as_matrix, piece, product
from lamina.kernels.windows import blocks, rows_of, table_of

BLOCK = 1 << 20
"""Numbers that a block copies, or computes. A quarter of it, which caches hold, is 5 to 10 % faster
on one thread; with more, two threads wait for the interpreter less often, which gains as much.
"""
COMPILED_BLOCK = 1 << 17
"""The same of a loop, which waits for nothing."""
LEAST_COPIED = 16
"""Numbers side by side from which on a loop copies quicker than NumPy: fewer are the first layer's.
"""


def over_windows(x, w, win, out=None, finish=None, other=None):
    """Every window on x times the kernel into ``out``, and what they see matched with ``other``.

    Args:
        x: (batch, *image, channels).
        w: (*window, channels, filters).
        win: the windows.
        out: (batch, *windows, filters) to be written to, or None.
        finish: what to do with ``out``, in place, whole or part by part; or None.
        other: (batch, *windows, numbers), or None.

    Returns:
        for each place of a window, each channel and each number of ``other``, the sum over windows
        of what they see there times that number; None without ``other``.
    """
    if out is None and other is None:
        return None
    if _in_a_loop(x, w, win):
        return _over_windows_in_a_loop(x, w, win, out, finish, other)
    layout, found = plan(len(x), win, *w.shape[-2:], BLOCK)
    matrix = None if out is None else as_matrix(w, len(x) * math.prod(win.count))
    shape = None if other is None else (*win.size, x.shape[-1], other.shape[-1])
    matched = None if other is None else np.zeros(shape, x.dtype)
    for block in found:
        seen = layout(block, x, win)
        if out is not None:
            seen.times(matrix, out[block])
            if finish:
                finish(out[block])
        if other is not None:
            matched += seen.matched(other[block]).reshape(shape)
    return matched


def _over_windows_in_a_loop(x, w, win, out, finish, other):
    *size, channels, filters = w.shape
    high, width, numbers = size[0], size[1] * channels, 1 if other is None else other.shape[-1]
    none, rows = np.empty((0, *win.count, 1), x.dtype), len(x) * math.prod(win.count)
    layout, found = _table_of_blocks(len(x), win, channels, filters, COMPILED_BLOCK)
    if layout is Strips:
        over = compiling.loops_of_windows().over_strips
        matched, long = np.zeros((high, numbers, width), x.dtype), width
    else:
        over = compiling.loops_of_windows().over_columns
        matched, long = np.zeros((high * width, numbers), x.dtype), high * width
    over(
        compiling.tidy(x), np.ascontiguousarray(as_matrix(w, rows)), found,
        table_of(win.size, win.strides, win.dilation, win.before),
        piece(rows, high * width, filters, 1), none if out is None else out,
        none if other is None else compiling.tidy(other, x.dtype),
        piece(rows, long, numbers, FEWEST_ADDED), matched,
    )  # fmt: skip
    if finish:
        finish(out)
    if other is None:
        return None
    if layout is Strips:
        matched = np.swapaxes(matched, 1, 2)
    return matched.reshape(*size, channels, numbers)


def _is_compiled(array, w, win) -> bool:
    """Whether there is a loop for such windows."""
    return len(win.size) == 2 and compiling.serves(array, w) and compiling.multiplies()


def _in_a_loop(x, w, win) -> bool:
    """Whether a loop goes over the windows."""
    if not _is_compiled(x, w, win) or _as_they_lie(win):
        return False
    return win.size[1] * x.shape[-1] >= LEAST_COPIED


def _as_they_lie(win) -> bool:
    """Whether windows are the image's positions, one by one, so that nothing need be copied."""
    return max(win.size) == max(win.strides) == 1 and win.reach == win.image


def copies_all(x, w, win) -> bool:
    """Whether ``over_windows`` has NumPy copy what every window sees."""
    if _as_they_lie(win) or _in_a_loop(x, w, win):
        return False
    return plan(len(x), win, *w.shape[-2:], BLOCK)[0] is Copied


@functools.lru_cache(maxsize=256)
def _table_of_blocks(samples, win, channels, filters, budget, layout=None):
    """The layout, and the blocks as a loop takes them, with the rows that are laid for each."""
    layout, found = plan(samples, win, channels, filters, budget, layout)
    rows = [(a.start, a.stop, b.start, b.stop, *strip((a, b), win)) for a, b in found]
    return layout, fixed(np.array(rows, np.int64).reshape(-1, 6))


def laid_back(g, w, win):
    """An image made of what every window of g gives to its places."""
    *_, channels, filters = w.shape
    image = np.zeros((len(g), *win.image, channels), g.dtype)
    if _is_compiled(g, w, win):
        _laid_back_in_a_loop(g, w, win, image)
        return image
    numbers = max(channels, filters) * math.prod(win.count[1:])
    for samples, rows in blocks(len(g), win, numbers, BLOCK):
        part = rows_of(g, (samples, rows))
        into = image[samples]
        given = np.empty((len(part), channels), g.dtype)
        laid = given.reshape(len(into), rows.stop - rows.start, *win.count[1:], channels)
        for place, axes in _landings(win):
            (a, b, shift), *others = axes
            a, b = max(a, rows.start), min(b, rows.stop)
            if a >= b:
                continue
            product(part, w[place].T, given)
            taken = [slice(a - rows.start, b - rows.start), *[slice(m, n) for m, n, _ in others]]
            where = [
                slice(m * s + shift, (n - 1) * s + shift + 1, s)
                for (m, n, shift), s in zip([(a, b, shift), *others], win.strides)
            ]
            into[:, *where] += laid[:, *taken]
    return image


def _laid_back_in_a_loop(g, w, win, image):
    *_, channels, filters = w.shape
    rows = len(g) * math.prod(win.count)
    _, found = _table_of_blocks(len(g), win, channels, filters, COMPILED_BLOCK, Copied)
    matrix = as_matrix(np.ascontiguousarray(w.reshape(-1, filters).T), rows)
    step = piece(rows, *matrix.shape, 1)
    g = compiling.tidy(g)
    table = table_of(win.size, win.strides, win.dilation, win.before)
    compiling.loops_of_windows().lay_back(g, matrix, found, table, step, image)


@functools.lru_cache(maxsize=256)
def _landings(win):
    """For each place of a window, and each axis, which windows have it on the image, and its shift.

    Windows ``a`` to ``b``, the i-th at position ``i * stride + shift``; places that no window has
    on the image are left out.
    """
    found = []
    for place in win.places():
        axes = []
        for j, n, m, s, d, before in zip(
            place, win.image, win.count, win.strides, win.dilation, win.before
        ):
            shift = j * d - before
            axes.append((max(0, -(shift // s)), min(m, (n - 1 - shift) // s + 1), shift))
        if all(a < b for a, b, _ in axes):
            found.append((place, axes))
    return found
