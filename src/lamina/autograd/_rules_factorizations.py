"""Rows of the table of rules for factorizations, eigenvalues and singular values.

``_rules.py`` says what a row is, and what there is where values coincide; ``_rules_linalg.py`` how
these rules are found. cholesky, eigh and eigvalsh take x for Hermitian and read one of its
triangles; their gradient is Hermitian, which is that of steepest ascent among such matrices.
"""

from lamina.autograd._rules import adjoint, conj, nonzero
from lamina.autograd._rules_linalg import _eye, _h, _over_columns, _over_rows

# ---- helpers ----------------------------------------------------------------------------------


def _hermitian(xp, x):
    return 0.5 * (x + _h(xp, x))


def _divided_right(xp, x, a):
    """x a^-H"""
    return _h(xp, xp.linalg.solve(a, _h(xp, x)))


def _lost(xp, gradient, elsewhere):
    """``gradient``, or nan where there is one ``elsewhere``, in what is no function of x.

    Like all rules this one is linear: the nan is a factor, so that it is seen going forward too.
    """
    bad = xp.any(elsewhere != 0, axis=(-2, -1), keepdims=True)
    total = xp.sum(elsewhere, axis=(-2, -1), keepdims=True)
    return gradient + total * xp.where(bad, float("nan"), xp.zeros_like(xp.real(total)))


# ---- rows -------------------------------------------------------------------------------------

adjoint(
    "linalg.cholesky",
    "x, /, *, upper=False",
    x=lambda xp, g, out, upper: (
        _undo_cholesky(xp, _h(xp, g), _h(xp, out)) if upper else _undo_cholesky(xp, g, out)
    ),
)
adjoint(
    "linalg.qr",
    "x, /, *, mode='reduced' -> Q, R",
    x=lambda xp, g, x_shape, Q, R: _undo_qr(xp, *g, x_shape, Q, R),
)
adjoint(
    "linalg.eigh",
    "x, / -> eigenvalues, eigenvectors",
    x=lambda xp, g, eigenvalues, eigenvectors: _undo_eigh(xp, *g, eigenvalues, eigenvectors),
)
adjoint(
    "linalg.eigvalsh",
    "x, /",
    x=lambda xp, g, x: _undo_eigvalsh(xp, g, xp.linalg.eigh(x)[1]),
)
adjoint(
    "linalg.eig",
    "x, / -> eigenvalues, eigenvectors",
    x=lambda xp, g, eigenvalues, eigenvectors: _undo_eig(xp, *g, eigenvalues, eigenvectors),
)
adjoint(
    "linalg.eigvals",
    "x, /",
    x=lambda xp, g, x: _undo_eig(xp, g, None, None, xp.linalg.eig(x)[1]),
)
adjoint(
    "linalg.svd",
    "x, /, *, full_matrices=True -> U, S, Vh",
    x=lambda xp, g, U, S, Vh: _undo_svd(xp, *g, U, S, Vh),
)
adjoint("linalg.svdvals", "x, /", x=lambda xp, g, x: _undo_svdvals(xp, g, x))


def _undo_cholesky(xp, g, low):
    """x = L L^H, L^-1 dL = the lower triangle of L^-1 dx L^-H with half of its diagonal."""
    inner = xp.tril(_h(xp, low) @ g)
    inner = xp.where(_eye(xp, *low.shape[-2:], low), 0.5 * inner, inner)
    low_h = _h(xp, low)
    return xp.linalg.solve(low_h, _h(xp, xp.linalg.solve(low_h, _hermitian(xp, inner))))


def _undo_qr(xp, g_q, g_r, shape, q, r):
    """R is upper triangular with a real diagonal; of a wide x = Q [U, V] first Q U, then V."""
    rows, columns = shape[-2:]
    k = min(rows, columns)
    extra = None
    if q.shape[-1] > k:  # mode "complete" of a tall x: its last columns are any that complete Q
        extra = None if g_q is None else g_q[..., k:]
        g_q = None if g_q is None else g_q[..., :k]
        g_r = None if g_r is None else g_r[..., :k, :]
        q, r = q[..., :k], r[..., :k, :]
    g_q = xp.zeros_like(q) if g_q is None else g_q
    g_r = xp.zeros_like(r) if g_r is None else g_r
    tail = None
    if columns > rows:
        tail = q @ g_r[..., k:]
        g_q = g_q + (q @ r[..., k:]) @ _h(xp, g_r[..., k:])
        r, g_r = r[..., :k], g_r[..., :k]
    inner = xp.triu(g_r @ _h(xp, r) - _h(xp, q) @ g_q)
    both = inner + _h(xp, inner)
    inner = xp.where(_eye(xp, k, k, q), 0.5 * both, both)
    gradient = _divided_right(xp, g_q + q @ inner, r)
    if tail is not None:
        gradient = xp.concat([gradient, tail], axis=-1)
    return gradient if extra is None else _lost(xp, gradient, extra)


def _gaps(xp, values):
    """values[j] - values[i]"""
    return _over_columns(xp, values) - _over_rows(xp, values)


def _coupled(xp, inner, gaps):
    """(inner - inner^H) / gaps, by which vectors turn; 0 on the diagonal.

    Where two values coincide the quotient is 0 if the gradient has nothing there, else nan.
    """
    used = (inner != 0) | (xp.matrix_transpose(inner) != 0)
    return _over_gaps(xp, inner - _h(xp, inner), gaps, used)


def _over_gaps(xp, dividend, gaps, used):
    """dividend / gaps, and where a gap is 0 it is 0, or nan in ``used`` places off the diagonal."""
    same = gaps == 0
    lost = same & used & xp.logical_not(_eye(xp, *gaps.shape[-2:], gaps))
    factor = xp.where(same, xp.zeros_like(gaps), 1.0 / nonzero(xp, gaps))
    return dividend * xp.where(lost, xp.full_like(factor, float("nan")), factor)


def _undo_eigh(xp, g_values, g_vectors, values, vectors):
    if g_vectors is None:
        return _undo_eigvalsh(xp, g_values, vectors)
    vectors_h = _h(xp, vectors)
    inner = 0.5 * _coupled(xp, vectors_h @ g_vectors, _gaps(xp, values))
    gradient = vectors @ inner @ vectors_h
    if g_values is not None:
        gradient = gradient + _undo_eigvalsh(xp, g_values, vectors)
    return _hermitian(xp, gradient)


def _undo_eigvalsh(xp, g, vectors):
    return (vectors * _over_columns(xp, g)) @ _h(xp, vectors)


def _undo_eig(xp, g_values, g_vectors, values, vectors):
    """x V = V diag(values), where the columns of V have length 1 and any phase."""
    vectors_h = _h(xp, vectors)
    inner = xp.zeros_like(vectors)
    if g_vectors is not None:
        given = vectors_h @ g_vectors
        lengths = xp.real(xp.linalg.diagonal(given))
        given = given - (vectors_h @ vectors) * _over_columns(xp, lengths)
        inner = _over_gaps(xp, given, conj(xp, _gaps(xp, values)), given != 0)
    if g_values is not None:
        eye = _eye(xp, *vectors.shape[-2:], vectors)
        inner = inner + xp.where(eye, _over_columns(xp, g_values), xp.zeros_like(vectors))
    return xp.linalg.solve(vectors_h, inner @ vectors_h)


def _undo_svdvals(xp, g, x):
    u, s, vh = xp.linalg.svd(x, full_matrices=False)
    return _from_values(xp, g, u, s, vh)


def _from_values(xp, g, u, s, vh):
    """The gradient at x of g at the singular values: none where they are 0, as for |x|."""
    g = xp.where(s == 0, xp.zeros_like(g), g)
    return (u * _over_columns(xp, g)) @ vh


def _undo_svd(xp, g_u, g_s, g_vh, u, s, vh):
    k = s.shape[-1]
    extras = []
    if u.shape[-1] > k and g_u is not None:  # full_matrices: vectors that complete the others
        extras.append(g_u[..., k:])
        g_u = g_u[..., :k]
    if vh.shape[-2] > k and g_vh is not None:
        extras.append(g_vh[..., k:, :])
        g_vh = g_vh[..., :k, :]
    u, vh = u[..., :k], vh[..., :k, :]
    gradient = xp.zeros_like(u @ vh) if g_s is None else _from_values(xp, g_s, u, s, vh)
    if g_u is not None:
        gradient = gradient + _turned(xp, g_u, u, s, vh)
    if g_vh is not None:  # those of U for the transposed matrix
        gradient = gradient + _h(xp, _turned(xp, _h(xp, g_vh), _h(xp, vh), s, _h(xp, u)))
    for extra in extras:
        gradient = _lost(xp, gradient, extra)
    return gradient


def _turned(xp, g, u, s, vh):
    """The gradient at x of g at the left singular vectors."""
    inner = _h(xp, u) @ g
    columns = _over_columns(xp, s)
    sums = columns + _over_rows(xp, s)
    within = _coupled(xp, inner, _gaps(xp, s) * sums) * columns
    # The phases of u and v turn together: the gradient of what does not depend on them is shared.
    phase = 0.25 * (inner - _h(xp, inner)) / nonzero(xp, columns)
    turned = u @ xp.where(_eye(xp, *inner.shape[-2:], s), phase, within)
    if u.shape[-2] > u.shape[-1]:  # out of the space that u spans
        outside = g - u @ inner
        lost = (columns == 0) & (outside != 0)
        turned = turned + outside * xp.where(lost, float("nan"), 1.0 / nonzero(xp, columns))
    return turned @ vh
