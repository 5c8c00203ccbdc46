"""Rows of the table of rules for linear algebra, but for factorizations.

``_rules.py`` says what a row is. All functions take stacks of matrices. With
<A, B> = Re trace(A^H B), the adjoint of dA -> X dA Y is G -> X^H G Y^H, and of dA -> X dA^H Y it is
G -> Y G^H X; from these the rules follow, here and in ``_rules_factorizations.py``.

Sources: M. Giles, "An extended collection of matrix derivative results for forward and reverse mode
algorithmic differentiation" (2008); for pinv, G. Golub and V. Pereyra, SIAM J. Numer. Anal. 10
(1973).
"""

import math

from lamina.autograd._rules import adjoint, conj, nonzero, vjp
from lamina.autograd._rules_reductions import _kept

# ---- helpers ----------------------------------------------------------------------------------


def _h(xp, x):
    """The conjugate transpose."""
    return conj(xp, xp.matrix_transpose(x))


def _over_columns(xp, x):
    """A row of numbers per matrix, to multiply or divide its columns."""
    return xp.expand_dims(x, axis=-2)


def _over_rows(xp, x):
    return xp.expand_dims(x, axis=-1)


def _of_matrix(xp, x):
    """A number per matrix, to multiply the matrix."""
    return xp.expand_dims(xp.expand_dims(x, axis=-1), axis=-1)


def _eye(xp, rows, columns, like, offset=0):
    return xp.eye(rows, columns, k=offset, dtype=xp.bool, device=like.device)


# ---- products, inverses, determinants ---------------------------------------------------------

vjp(
    "linalg.outer",
    "x1, x2, /",
    x1=lambda xp, g, x2: xp.matmul(g, x2),
    x2=lambda xp, g, x1: xp.matmul(x1, g),
)
vjp(
    "linalg.cross",
    "x1, x2, /, *, axis=-1",
    x1=lambda xp, g, x2, axis: xp.linalg.cross(x2, g, axis=axis),
    x2=lambda xp, g, x1, axis: xp.linalg.cross(g, x1, axis=axis),
)
vjp(
    "linalg.inv",
    "x, /",
    x=lambda xp, g, out: -(xp.matrix_transpose(out) @ g @ xp.matrix_transpose(out)),
)
vjp(
    "linalg.solve",
    "x1, x2, /",
    x1=lambda xp, g, x1, x2, out: _solve_left(xp, g, x1, x2, out),
    x2=lambda xp, g, x1, x2_shape: _solve(xp, xp.matrix_transpose(x1), g, len(x2_shape) == 1),
)
vjp("linalg.det", "x, /", x=lambda xp, g, x: _of_matrix(xp, g) * xp.cofactors(x))
# Not of the standard: det(x) x^-T for any x. Its own derivative is that for x of full rank.
vjp("cofactors", "x, /", x=lambda xp, g, x, out: _undo_cofactors(xp, g, x, out))
adjoint(
    "linalg.slogdet",
    "x, / -> sign, logabsdet",
    x=lambda xp, g, x, sign: _undo_slogdet(xp, g, x, sign),
)
adjoint(
    "linalg.pinv",
    "x, /, *, rtol=None",
    x=lambda xp, g, x, out: _undo_pinv(xp, g, x, out),
)


def _solve(xp, a, b, vector):
    """a^-1 b, also for a stack of vectors b, where the standard's solve sees a matrix."""
    return xp.linalg.solve(a, _over_rows(xp, b))[..., 0] if vector else xp.linalg.solve(a, b)


def _solve_left(xp, g, x1, x2, out):
    vector = x2.ndim == 1
    back = _solve(xp, xp.matrix_transpose(x1), g, vector)
    if vector:
        return -(_over_rows(xp, back) * _over_columns(xp, out))
    return -(back @ xp.matrix_transpose(out))


def _undo_cofactors(xp, g, x, out):
    back = xp.matrix_transpose(xp.linalg.inv(x))
    inner = xp.sum(out * g, axis=(-2, -1), keepdims=True)
    return inner * back - out @ xp.matrix_transpose(g) @ back


def _undo_slogdet(xp, g, x, sign):
    """With t = trace(x^-1 dx): d logabsdet = Re t and d sign = i sign Im t."""
    g_sign, g_log = g
    factor = xp.zeros_like(sign) if g_log is None else g_log
    if g_sign is not None:  # sums to 0 for real numbers
        factor = factor + 0.5 * (g_sign * conj(xp, sign) - conj(xp, g_sign) * sign)
    return _of_matrix(xp, factor) * _h(xp, xp.linalg.inv(x))


def _undo_pinv(xp, g, x, out):
    out_h, g_h = _h(xp, out), _h(xp, g)
    gradient = -(out_h @ g @ out_h)
    gram = g_h @ out @ out_h
    gradient = gradient + gram - x @ (out @ gram)
    gram = out_h @ out @ g_h
    return gradient + gram - (gram @ out) @ x


# ---- diagonals --------------------------------------------------------------------------------

vjp(
    "linalg.trace",
    "x, /, *, offset=0, dtype=None",
    x=lambda xp, g, x_shape, offset: _undo_trace(xp, g, x_shape, offset),
)
vjp(
    "linalg.diagonal",
    "x, /, *, offset=0",
    x=lambda xp, g, x_shape, offset: _undo_diagonal(xp, g, x_shape, offset),
)


def _undo_trace(xp, g, shape, offset):
    g = _of_matrix(xp, g)
    return xp.where(_eye(xp, *shape[-2:], g, offset), g, xp.zeros_like(g))


def _undo_diagonal(xp, g, shape, offset):
    rows, columns = shape[-2:]
    above = min(max(-offset, 0), rows)
    below = rows - above - g.shape[-1]

    def zeros(count):
        return xp.zeros((*g.shape[:-1], count), dtype=g.dtype, device=g.device)

    each = _over_rows(xp, xp.concat([zeros(above), g, zeros(below)], axis=-1))
    return xp.where(_eye(xp, rows, columns, g, offset), each, xp.zeros_like(each))


# ---- norms ------------------------------------------------------------------------------------

vjp(
    "linalg.vector_norm",
    "x, /, *, axis=None, keepdims=False, ord=2",
    x=lambda xp, g, x, out, axis, ord: _undo_vector_norm(xp, g, x, out, _kept(x.shape, axis), ord),
)


def _undo_vector_norm(xp, g, x, out, kept, order):
    """out = (sum |x|^p)^(1/p) has the derivative sign(x) (|x| / out)^(p - 1); 0 at x = 0."""
    g, out = xp.reshape(g, kept), xp.reshape(out, kept)
    if order == 2:
        return g * (x / nonzero(xp, out))
    if order == 0:  # how many are not 0
        return g * xp.zeros_like(x)
    if order == 1:
        return g * xp.sign(x)
    size = xp.abs(x)
    if order in (math.inf, -math.inf):
        hit = xp.astype(size == out, g.dtype)
        axes = tuple(i for i, n in enumerate(kept) if n != x.shape[i])
        return g * xp.sign(x) * (hit / nonzero(xp, xp.sum(hit, axis=axes, keepdims=True)))
    zero = size == 0
    share = xp.where(zero, xp.ones_like(size), size / nonzero(xp, out)) ** (order - 1.0)
    return g * xp.sign(x) * xp.where(zero, xp.zeros_like(share), share)
