"""Rows of the table of rules for products, reductions, changes of shape and indexing.

``_rules.py`` says what a row is.
"""

import math

from lamina.autograd._rules import vjp

# ---- helpers ----------------------------------------------------------------------------------


def _axes(axis, ndim: int) -> tuple[int, ...]:
    """An ``axis`` argument as a tuple of axes counted from the front."""
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, tuple) else (axis,)
    return tuple(a % ndim for a in axes)


def _kept(shape, axis) -> tuple[int, ...]:
    """The shape after a reduction over ``axis`` that keeps the reduced axes as 1."""
    axes = _axes(axis, len(shape))
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def _reduced(shape, axis) -> int:
    """How many elements a reduction over ``axis`` takes together."""
    return math.prod(shape[a] for a in _axes(axis, len(shape)))


def _spread(xp, g, shape, axis):
    """The gradient of a sum over ``axis``, broadcast back over the summed elements."""
    return xp.broadcast_to(xp.reshape(g, _kept(shape, axis)), shape)


def _share(xp, g, x, out, axis):
    """The gradient of max or min: to the elements that attain it, evenly."""
    kept = _kept(x.shape, axis)
    hit = xp.astype(x == xp.reshape(out, kept), g.dtype)
    return xp.reshape(g, kept) * hit / xp.sum(hit, axis=axis, keepdims=True)


def _deviation(xp, x, axis):
    return x - xp.mean(x, axis=axis, keepdims=True)


def _inverse(order) -> tuple[int, ...]:
    inverse = [0] * len(order)
    for place, axis in enumerate(order):
        inverse[axis] = place
    return tuple(inverse)


# ---- products ---------------------------------------------------------------------------------

vjp(
    "matmul",
    "x1, x2, /",
    x1=lambda xp, g, x2, x1_shape: _matmul_left(xp, g, x2, x1_shape),
    x2=lambda xp, g, x1, x2_shape: _matmul_right(xp, g, x1, x2_shape),
)
vjp(
    "vecdot",
    "x1, x2, /, *, axis=-1",
    x1=lambda xp, g, x2, axis: xp.expand_dims(g, axis=axis) * x2,
    x2=lambda xp, g, x1, axis: xp.expand_dims(g, axis=axis) * x1,
)
vjp(
    "tensordot",
    "x1, x2, /, *, axes=2",
    x1=lambda xp, g, x2, x1_shape, axes: _tensordot_left(xp, g, x2, x1_shape, axes),
    x2=lambda xp, g, x1, x2_shape, axes: _tensordot_right(xp, g, x1, x2_shape, axes),
)


def _matmul_left(xp, g, x2, x1_shape):
    if x2.ndim == 1:
        return xp.expand_dims(g, axis=-1) * x2
    if len(x1_shape) == 1:
        return xp.sum(xp.expand_dims(g, axis=-2) * x2, axis=-1)
    return xp.matmul(g, xp.matrix_transpose(x2))


def _matmul_right(xp, g, x1, x2_shape):
    if x1.ndim == 1:
        g = xp.expand_dims(g, axis=-2) if len(x2_shape) > 1 else xp.expand_dims(g, axis=-1)
        return xp.expand_dims(x1, axis=-1) * g if len(x2_shape) > 1 else x1 * g
    if len(x2_shape) == 1:
        return xp.sum(x1 * xp.expand_dims(g, axis=-1), axis=tuple(range(x1.ndim - 1)))
    return xp.matmul(xp.matrix_transpose(x1), g)


def _contracted(axes, ndim1: int, ndim2: int):
    """The axes that tensordot contracts, as two tuples of numbers from the front."""
    if isinstance(axes, int):
        return tuple(range(ndim1 - axes, ndim1)), tuple(range(axes))
    first, second = axes
    return tuple(a % ndim1 for a in first), tuple(a % ndim2 for a in second)


def _tensordot_left(xp, g, x2, x1_shape, axes):
    c1, c2 = _contracted(axes, len(x1_shape), x2.ndim)
    free1 = tuple(a for a in range(len(x1_shape)) if a not in c1)
    free2 = tuple(a for a in range(x2.ndim) if a not in c2)
    n = len(free1)
    # g: (free1, free2), x2 over free2 leaves (free1, the contracted axes in ascending order of c2)
    product = xp.tensordot(g, x2, axes=(tuple(range(n, n + len(free2))), free2))
    ascending = sorted(range(len(c2)), key=c2.__getitem__)
    order = free1 + tuple(c1[i] for i in ascending)
    return xp.permute_dims(product, _inverse(order))


def _tensordot_right(xp, g, x1, x2_shape, axes):
    c1, c2 = _contracted(axes, x1.ndim, len(x2_shape))
    free1 = tuple(a for a in range(x1.ndim) if a not in c1)
    free2 = tuple(a for a in range(len(x2_shape)) if a not in c2)
    product = xp.tensordot(x1, g, axes=(free1, tuple(range(len(free1)))))
    ascending = sorted(range(len(c1)), key=c1.__getitem__)
    order = tuple(c2[i] for i in ascending) + free2
    return xp.permute_dims(product, _inverse(order))


# ---- reductions -------------------------------------------------------------------------------

vjp(
    "sum",
    "x, /, *, axis=None, dtype=None, keepdims=False",
    x=lambda xp, g, x_shape, axis: _spread(xp, g, x_shape, axis),
)
vjp(
    "mean",
    "x, /, *, axis=None, keepdims=False",
    x=lambda xp, g, x_shape, axis: _spread(xp, g / _reduced(x_shape, axis), x_shape, axis),
)
vjp(
    "max",
    "x, /, *, axis=None, keepdims=False",
    x=lambda xp, g, x, out, axis: _share(xp, g, x, out, axis),
)
vjp(
    "min",
    "x, /, *, axis=None, keepdims=False",
    x=lambda xp, g, x, out, axis: _share(xp, g, x, out, axis),
)
vjp(
    "var",
    "x, /, *, axis=None, correction=0.0, keepdims=False",
    x=lambda xp, g, x, axis, correction: (
        _spread(xp, 2.0 * g / (_reduced(x.shape, axis) - correction), x.shape, axis)
        * _deviation(xp, x, axis)
    ),
)
vjp(
    "std",
    "x, /, *, axis=None, correction=0.0, keepdims=False",
    x=lambda xp, g, x, out, axis, correction: (
        _spread(xp, g / (out * (_reduced(x.shape, axis) - correction)), x.shape, axis)
        * _deviation(xp, x, axis)
    ),
)
vjp(
    "prod",
    "x, /, *, axis=None, dtype=None, keepdims=False",
    x=lambda xp, g, x, axis: _spread(xp, g, x.shape, axis) * _product_of_others(xp, x, axis),
)
vjp(
    "cumulative_sum",
    "x, /, *, axis=None, dtype=None, include_initial=False",
    x=lambda xp, g, x_shape, axis, include_initial: _reversed_sum(
        xp, g, x_shape, 0 if axis is None else axis, include_initial
    ),
)


def _product_of_others(xp, x, axis):
    """For every element the product of the others it is multiplied with; right at zeros too."""
    shape, axes = x.shape, _axes(axis, x.ndim)
    rest = tuple(a for a in range(x.ndim) if a not in axes)
    order = rest + axes
    n = math.prod(shape[a] for a in axes)
    rows = xp.reshape(xp.permute_dims(x, order), (*(shape[a] for a in rest), 1, n))
    own = xp.eye(n, dtype=xp.bool, device=rows.device)
    others = xp.prod(xp.where(own, xp.ones_like(rows), rows), axis=-1)
    return xp.permute_dims(xp.reshape(others, tuple(shape[a] for a in order)), _inverse(order))


def _reversed_sum(xp, g, shape, axis, include_initial):
    if include_initial:
        lead = (slice(None),) * (axis % len(shape))
        g = g[(*lead, slice(1, None), ...)]
    return xp.flip(xp.cumulative_sum(xp.flip(g, axis=axis), axis=axis), axis=axis)


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
    x=lambda xp, g, axes: xp.permute_dims(g, _inverse([a % g.ndim for a in axes])),
)
vjp(
    "reshape",
    "x, /, shape, *, copy=None",
    x=lambda xp, g, x_shape: xp.reshape(g, x_shape),
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
