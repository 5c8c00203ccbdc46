"""Rows of the table of rules for changes of shape, lists of arrays and indexing.

``_rules.py`` says what a row is.
"""

import math

from lamina.autograd._rules import inverse_order, vjp

# ---- shapes -----------------------------------------------------------------------------------

vjp("astype", "x, dtype, /, *, copy=True, device=None", x=lambda xp, g: g)
vjp("broadcast_to", "x, /, shape", x=lambda xp, g: g)
vjp("expand_dims", "x, /, axis", x=lambda xp, g, x_shape: xp.reshape(g, x_shape))
vjp("flip", "x, /, *, axis=None", x=lambda xp, g, axis: xp.flip(g, axis=axis))
vjp("matrix_transpose", "x, /", x=lambda xp, g: xp.matrix_transpose(g))
vjp(
    "moveaxis",
    "x, source, destination, /",
    x=lambda xp, g, source, destination: xp.moveaxis(g, destination, source),
)
vjp(
    "permute_dims",
    "x, /, axes",
    x=lambda xp, g, axes: xp.permute_dims(g, inverse_order([a % g.ndim for a in axes])),
)
vjp(
    "reshape",
    "x, /, shape, *, copy=None",
    x=lambda xp, g, x_shape: xp.reshape(g, x_shape),
)
vjp(
    "repeat",
    "x, repeats, /, *, axis=None",
    x=lambda xp, g, x_shape, repeats, axis: _unrepeat(xp, g, x_shape, repeats, axis),
)
vjp(
    "roll",
    "x, /, shift, *, axis=None",
    x=lambda xp, g, shift, axis: xp.roll(
        g, -shift if isinstance(shift, int) else tuple(-s for s in shift), axis=axis
    ),
)
vjp("squeeze", "x, /, axis", x=lambda xp, g, x_shape: xp.reshape(g, x_shape))
vjp("tril", "x, /, *, k=0", x=lambda xp, g, k: xp.tril(g, k=k))
vjp("triu", "x, /, *, k=0", x=lambda xp, g, k: xp.triu(g, k=k))
vjp(
    "tile",
    "x, repetitions, /",
    x=lambda xp, g, x_shape, repetitions: _untile(xp, g, x_shape, repetitions),
)


def _unrepeat(xp, g, shape, repeats, axis):
    if axis is None:
        flat = _unrepeat(xp, g, (math.prod(shape),), repeats, 0)
        return xp.reshape(flat, shape)
    axis %= len(shape)
    n, before, after = shape[axis], shape[:axis], shape[axis + 1 :]
    if isinstance(repeats, int):
        return xp.sum(xp.reshape(g, (*before, n, repeats, *after)), axis=axis + 1)
    numbers = xp.repeat(xp.arange(n, device=repeats.device), repeats)
    return xp.add_at(g, numbers, shape, axis)


def _untile(xp, g, shape, repetitions):
    n = max(len(shape), len(repetitions))
    shape_n = (1,) * (n - len(shape)) + tuple(shape)
    times = (1,) * (n - len(repetitions)) + tuple(repetitions)
    split = tuple(k for pair in zip(times, shape_n, strict=True) for k in pair)
    return xp.reshape(xp.sum(xp.reshape(g, split), axis=tuple(range(0, 2 * n, 2))), shape)


# Functions of a list of arrays: the rule gets the place in the list as ``index`` and the list's
# ``shapes``.
vjp(
    "concat",
    "arrays, /, *, axis=0",
    arrays=lambda xp, g, index, shapes, axis: _piece(xp, g, index, shapes, axis),
)
vjp(
    "stack",
    "arrays, /, *, axis=0",
    arrays=lambda xp, g, index, axis: g[(*(slice(None),) * (axis % g.ndim), index, ...)],
)
# and one that gives a tuple of arrays
vjp(
    "unstack",
    "x, /, *, axis=0 -> *",
    x=lambda xp, g, axis: _restack(xp, g, axis),
)


def _restack(xp, g, axis):
    zeros = xp.zeros_like(next(part for part in g if part is not None))
    return xp.stack([zeros if part is None else part for part in g], axis=axis)


def _piece(xp, g, index, shapes, axis):
    if axis is None:
        start = sum(math.prod(shape) for shape in shapes[:index])
        return xp.reshape(g[start : start + math.prod(shapes[index])], shapes[index])
    axis %= g.ndim
    start = sum(shape[axis] for shape in shapes[:index])
    piece = slice(start, start + shapes[index][axis])
    return g[(*(slice(None),) * axis, piece, ...)]


# ---- indexing ---------------------------------------------------------------------------------

# Not functions of the standard: reading x[key], and its transpose, which lays g into zeros.
vjp("getitem", "x, key, /", x=lambda xp, g, x_shape, key: xp.setitem_zeros(g, key, x_shape))
vjp("setitem_zeros", "x, key, shape, /", x=lambda xp, g, key: g[key])
# Rows of a table by number, and the transpose, which adds rows that share a number.
vjp(
    "take",
    "x, indices, /, *, axis=None",
    x=lambda xp, g, x_shape, indices, axis: xp.add_at(
        g, indices, x_shape, 0 if axis is None else axis
    ),
)
vjp(
    "add_at",
    "x, indices, shape, axis, /",
    x=lambda xp, g, indices, axis: xp.take(g, indices, axis=axis),
)
vjp(
    "take_along_axis",
    "x, indices, /, *, axis=-1",
    x=lambda xp, g, x_shape, indices, axis: xp.add_along_axis(g, indices, x_shape, axis),
)
vjp(
    "add_along_axis",
    "x, indices, shape, axis, /",
    x=lambda xp, g, indices, axis: xp.take_along_axis(g, indices, axis=axis),
)
