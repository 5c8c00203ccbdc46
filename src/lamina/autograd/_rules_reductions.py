"""Rows of the table of rules for products of arrays, and for sums and other reductions.

``_rules.py`` says what a row is.
"""

import math

from lamina.autograd._rules import adjoint, conj, inverse_order, nonzero, vjp

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


# ---- products ---------------------------------------------------------------------------------

vjp(
    "matmul",
    "x1, x2, /",
    x1=lambda xp, g, x2, x1_shape: _matmul_left(xp, g, x2, x1_shape),
    x2=lambda xp, g, x1, x2_shape: _matmul_right(xp, g, x1, x2_shape),
)
adjoint(  # which conjugates x1
    "vecdot",
    "x1, x2, /, *, axis=-1",
    x1=lambda xp, g, x2, axis: conj(xp, xp.expand_dims(g, axis=axis)) * x2,
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
    return xp.permute_dims(product, inverse_order(order))


def _tensordot_right(xp, g, x1, x2_shape, axes):
    c1, c2 = _contracted(axes, x1.ndim, len(x2_shape))
    free1 = tuple(a for a in range(x1.ndim) if a not in c1)
    free2 = tuple(a for a in range(len(x2_shape)) if a not in c2)
    product = xp.tensordot(x1, g, axes=(free1, tuple(range(len(free1)))))
    ascending = sorted(range(len(c1)), key=c1.__getitem__)
    order = tuple(c2[i] for i in ascending) + free2
    return xp.permute_dims(product, inverse_order(order))


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
        _spread(xp, g / (_reduced(x.shape, axis) - correction), x.shape, axis)
        * (_deviation(xp, x, axis) / xp.reshape(nonzero(xp, out), _kept(x.shape, axis)))
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
vjp(
    "cumulative_prod",
    "x, /, *, axis=None, dtype=None, include_initial=False",
    x=lambda xp, g, x, axis, include_initial: _undo_cumulative_prod(
        xp, g, x, 0 if axis is None else axis, include_initial
    ),
)


def _product_of_others(xp, x, axis):
    """For every element the product of the others it is multiplied with; right at zeros too."""
    shape, axes = x.shape, _axes(axis, x.ndim)
    rest = tuple(a for a in range(x.ndim) if a not in axes)
    order = rest + axes
    n = math.prod(shape[a] for a in axes)
    rows = xp.reshape(xp.permute_dims(x, order), (*(shape[a] for a in rest), n))
    others = _others(xp, rows)
    return xp.permute_dims(xp.reshape(others, tuple(shape[a] for a in order)), inverse_order(order))


def _others(xp, rows):
    """The product of all but oneself along the last axis, without dividing: 3 n products.

    Pairs are multiplied, the others of each pair found in turn, and these times the partner are
    those of each. Every step is made of products, so it has derivatives of every order.
    """
    n = rows.shape[-1]
    if n <= 1:
        return xp.ones_like(rows)
    left, right = _pairs(xp, rows, 1)
    others = _others(xp, left * right)
    return _interleaved(xp, others * right, others * left, n)


def _pairs(xp, rows, filler):
    """Elements of even and of odd number along the last axis; the last partner may be missing."""
    n = rows.shape[-1]
    left, right = rows[..., 0:n:2], rows[..., 1:n:2]
    if n % 2:
        last = xp.full_like(rows[..., n - 1 :], filler)
        right = xp.concat([right, last], axis=-1)
    return left, right


def _interleaved(xp, left, right, n):
    """The rows whose elements of even and odd number are given, n long."""
    both = xp.stack([left, right], axis=-1)
    return xp.reshape(both, (*left.shape[:-1], 2 * left.shape[-1]))[..., :n]


def _undo_cumulative_prod(xp, g, x, axis, include_initial):
    """Sum over k >= i of g[k] x[0] ... x[k] without x[i]: right at zeros, in linear time.

    It is x[0] ... x[i - 1] times s[i], where s[i] = g[i] + x[i + 1] s[i + 1].
    """
    g, rows = xp.moveaxis(g, axis, -1), xp.moveaxis(x, axis, -1)
    n = rows.shape[-1]
    if include_initial:
        g = g[..., 1:]
    if n <= 1:
        return xp.moveaxis(g, -1, axis)
    following = xp.concat([rows[..., 1:], xp.zeros_like(rows[..., :1])], axis=-1)
    if following.dtype != g.dtype:  # of a product in another dtype
        rows, following = xp.astype(rows, g.dtype), xp.astype(following, g.dtype)
    before = xp.cumulative_prod(rows, axis=-1, include_initial=True)[..., :n]
    return xp.moveaxis(before * _recurrence(xp, following, g), -1, axis)


def _recurrence(xp, a, b):
    """s[i] = b[i] + a[i] s[i + 1] along the last axis, 0 beyond its end; by halves."""
    n = a.shape[-1]
    if n <= 1:
        return b
    (a1, a2), (b1, b2) = _pairs(xp, a, 0), _pairs(xp, b, 0)
    even = _recurrence(xp, a1 * a2, b1 + a1 * b2)  # s at even numbers
    after = xp.concat([even[..., 1:], xp.zeros_like(even[..., :1])], axis=-1)
    return _interleaved(xp, even, b2 + a2 * after, n)


def _reversed_sum(xp, g, shape, axis, include_initial):
    if include_initial:
        lead = (slice(None),) * (axis % len(shape))
        g = g[(*lead, slice(1, None), ...)]
    return xp.flip(xp.cumulative_sum(xp.flip(g, axis=axis), axis=axis), axis=axis)
