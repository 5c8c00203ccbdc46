"""Linear algebra: PyTorch's gradients, where values coincide, ranks, and what refuses."""

import math

import numpy as np
import pytest

import _cases_fft
import _cases_linalg
import lamina
from _cases import complexes, floats, space
from lamina import xp
from lamina.testing import assert_close, check_grads

linalg = xp.linalg


def gradient(f, *args):
    return lamina.grad(lambda *a: xp.sum(f(*a)))(*args)


def numbers(*values):
    return np.asarray(values, dtype=np.float64)


# ---- against PyTorch --------------------------------------------------------------------------

# Functions that PyTorch lacks, has with other arguments, or refuses gradients of.
NOT_TORCHS = {"cofactors", "linalg.outer", "linalg.trace"}


def torchs():
    for case in (*_cases_linalg.cases(), *_cases_fft.cases()):
        options, name = case.options, case.name
        if name in NOT_TORCHS or any(0 in a.shape for a in case.args if hasattr(a, "shape")):
            continue
        if options.get("mode") == "complete" or options.get("ord", 2) in (None, 0):
            continue
        if name in ("linalg.svd", "linalg.eigh") and case.after is None:
            continue  # whose vectors have the sign that a library chooses
        if name == "linalg.svd" and options.get("full_matrices", True):
            continue
        yield case


@pytest.mark.parametrize("case", list(torchs()), ids=repr)
def test_gradients_are_pytorchs(case):
    torch = pytest.importorskip("torch")
    import array_api_compat.torch as compat

    def contracted(xp, outs, weights):
        outs = outs if isinstance(outs, tuple) else (outs,)
        return sum(xp.sum(xp.real(o * w) if "complex" in str(o.dtype) else o * w)
                   for o, w in zip(outs, weights, strict=True))  # fmt: skip

    args = case.args
    outs = case(*args)
    outs = outs if isinstance(outs, tuple) else (outs,)
    weights = [(complexes if np.iscomplexobj(o) else floats)(*np.shape(o)) for o in outs]
    where = tuple(i for i, a in enumerate(args) if isinstance(a, np.ndarray))
    ours = lamina.grad(lambda *a: contracted(xp, case(*a), weights), where)(*args)

    theirs_in = [torch.tensor(a).requires_grad_() if i in where else a for i, a in enumerate(args)]
    before = theirs_in
    if case.before is not None:
        before = [case.before(compat, theirs_in[0]), *theirs_in[1:]]
    function = compat
    for part in case.name.split("."):
        function = getattr(function, part)
    out = function(*before, **case.options)
    if case.after is not None:
        out = case.after(compat, out)
    if not isinstance(out, torch.Tensor):
        out = tuple(out)
    theirs = contracted(compat, out, [torch.tensor(w) for w in weights])
    found = torch.autograd.grad(theirs, [theirs_in[i] for i in where])
    for mine, other in zip(ours, found, strict=True):
        assert_close(mine, other.resolve_conj().numpy(), rtol=1e-7, atol=1e-9)


# ---- values that coincide ---------------------------------------------------------------------

EYE = np.eye(3)
SPECTRAL = [
    (lambda x: linalg.svdvals(x), lambda: EYE),
    (lambda x: linalg.svdvals(x) ** 2, lambda: 2 * EYE),
    (lambda x: linalg.eigvalsh(x) ** 3, lambda: 3 * EYE),
    (lambda x: linalg.svd(x)[1], lambda: EYE),
    (lambda x: linalg.eigh(x)[0], lambda: EYE),
    (lambda x: linalg.matrix_norm(x, ord="nuc"), lambda: EYE),
    (lambda x: linalg.matrix_norm(x, ord=2), lambda: EYE / 3),
    (lambda x: linalg.slogdet(x)[1], lambda: EYE),
    (lambda x: linalg.det(x), lambda: EYE),
]


@pytest.mark.parametrize(("f", "expected"), SPECTRAL)
def test_gradients_of_values_that_coincide(backend, f, expected):
    place = space(backend.asarray(EYE))
    found = lamina.grad(lambda x: place.sum(f(x)))(backend.asarray(EYE, "float64"))
    assert_close(found, backend.asarray(expected(), "float64"), atol=1e-12)


def test_a_sum_of_singular_values_that_coincide_has_its_derivative_along_every_direction():
    # ||x||_* at a rotation: any small change of it is seen to first order
    q = np.linalg.qr(floats(3, 3))[0]
    check_grads(lambda x: xp.sum(linalg.svdvals(x)), q, order=1)
    check_grads(lambda x: xp.sum(linalg.eigvalsh(0.5 * (x + x.mT)) ** 2), EYE, order=1)


def test_vectors_of_values_that_coincide_have_no_derivative():
    weights = floats(3, 3)
    for f in (
        lambda x: linalg.eigh(x)[1] * weights,
        lambda x: linalg.svd(x)[0] * weights,
        lambda x: linalg.svd(x)[2] * weights,
        # not even where the result is a function of x: the limit depends on more than the rule sees
        lambda x: (linalg.eigh(x)[1] * linalg.eigh(x)[0]) @ linalg.eigh(x)[1].mT * weights,
    ):
        assert np.isnan(gradient(f, EYE)).all()
    x = np.diag(numbers(2, 2, 5))
    second = gradient(lambda x: gradient(lambda a: linalg.eigvalsh(a) ** 3, x), x)
    assert np.isnan(second).all()


def test_vectors_of_other_values_are_not_disturbed_by_those_that_coincide():
    # the eigenvector of 5 turns with x; those of 2 turn at will and nothing depends on them
    x = np.diag(numbers(2, 2, 5)) + 0.0
    check_grads(lambda a: xp.abs(linalg.eigh(0.5 * (a + a.mT))[1][:, 2]) ** 2, x, order=1)
    top = lambda a: linalg.svd(a, full_matrices=False)[0][:, 0] ** 2
    low_rank = np.outer(numbers(1, 2, 2), numbers(2, 1))  # and a singular value near 0
    check_grads(top, low_rank, order=1)
    check_grads(top, np.diag(numbers(5, 2, 2)), order=1)


def test_singular_values_of_zero_have_gradient_zero():
    zero = np.zeros((3, 2))
    assert_close(gradient(linalg.svdvals, zero), zero)
    assert_close(gradient(lambda x: linalg.matrix_norm(x, ord="nuc"), zero), zero)
    for order in ("fro", 1, 2, math.inf):
        assert_close(gradient(lambda x, o=order: linalg.matrix_norm(x, ord=o), zero), zero)


def test_vectors_that_complete_others_have_no_derivative():
    x, weights = floats(4, 2), floats(4, 4)
    for f in (lambda x: linalg.svd(x)[0], lambda x: linalg.qr(x, mode="complete")[0]):
        assert np.isnan(gradient(lambda a, f=f: f(a) * weights, x)).all()
        check_grads(lambda a, f=f: f(a)[:, :2] * weights[:, :2], x, order=1)
    wide = lambda a: linalg.svd(a)[2]
    assert np.isnan(gradient(lambda a: wide(a) * weights, x.T)).all()
    check_grads(lambda a: wide(a)[:2, :] * weights[:2, :], x.T, order=1)


@pytest.mark.parametrize("make", [floats, complexes])
@pytest.mark.parametrize("rank", [0, 1, 2])
def test_the_determinant_of_singular_matrices(make, rank):
    x = make(3, rank) @ make(rank, 3)
    check_grads(linalg.det, x, order=1)
    check_grads(linalg.det, np.stack([x, make(3, 3)]), order=1)


def test_a_second_derivative_of_the_determinant_needs_full_rank():
    x = np.ones((2, 2))
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        gradient(lambda a: gradient(linalg.det, a), x)


def test_derivatives_of_hermitian_functions_are_hermitian():
    x = floats(3, 3)
    x = x @ x.T + np.eye(3)
    weights = floats(3, 3)
    for f in (
        lambda a: linalg.cholesky(a) * weights,
        lambda a: linalg.eigh(a)[1] * weights,
        lambda a: linalg.eigvalsh(a) ** 2,
    ):
        g = gradient(f, x)
        assert_close(g, g.T, atol=1e-12)


def test_the_sign_of_a_determinant_is_constant_for_real_matrices():
    x = floats(3, 3)
    assert_close(gradient(lambda a: linalg.slogdet(a)[0], x), np.zeros((3, 3)))


def test_what_has_whole_numbers_as_result_is_constant():
    x = lamina.Tensor(floats(3, 2), requires_grad=True)
    rank = linalg.matrix_rank(x)
    assert isinstance(rank, lamina.Tensor) and not rank.requires_grad and rank.item() == 2


# ---- several results --------------------------------------------------------------------------


def test_results_have_names_on_every_backend(backend):
    x = backend.asarray(floats(3, 3), "float64")
    for tracked in (False, True):
        t = lamina.Tensor(x, requires_grad=tracked)
        assert linalg.qr(t)._fields == ("Q", "R")
        assert linalg.svd(t)._fields == ("U", "S", "Vh")
        assert linalg.eigh(t)._fields == ("eigenvalues", "eigenvectors")
        assert linalg.slogdet(t)._fields == ("sign", "logabsdet")
        assert all(part.requires_grad is tracked for part in linalg.qr(t))
    assert type(linalg.qr(x)[0]) is type(x)


def test_results_may_be_used_more_than_once_and_in_their_own_derivative():
    x = floats(3, 3)

    def f(a):
        q, r = linalg.qr(a)
        again = q @ (q.mT @ r)
        return again * q + xp.sin(r)

    check_grads(f, x)
    check_grads(lambda a: linalg.eigh(a + a.mT)[0] * linalg.eigh(a + a.mT)[0], x)
    inner = lambda a: xp.sum(linalg.qr(a)[1] ** 3)
    check_grads(lambda a: lamina.grad(inner)(linalg.qr(a)[0] * a), x, order=1)


def test_a_result_that_is_not_used_costs_no_gradient():
    x = lamina.Tensor(floats(3, 3), requires_grad=True)
    w, v = linalg.eigh(x + x.mT)
    del v
    xp.sum(w).backward()
    assert_close(x.grad, 2 * np.eye(3), atol=1e-12)


# ---- norms ------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2, 3, 0.5, -1, 0, math.inf, -math.inf])
def test_norms_are_flat_at_zero(order):
    norm = lambda x: linalg.vector_norm(x, ord=order)
    with np.errstate(divide="ignore"):  # NumPy's own 0**-1
        assert_close(gradient(norm, numbers(0, 0)), numbers(0, 0))
        assert gradient(norm, numbers(0, 3))[0] == 0
        zeros = np.zeros(2, dtype=np.complex128)
        assert_close(gradient(norm, zeros), zeros)


def test_norms_of_infinite_order_share_ties():
    x = numbers(-2, 2, 1)
    assert_close(gradient(lambda a: linalg.vector_norm(a, ord=math.inf), x), numbers(-0.5, 0.5, 0))
    x = numbers(-1, 1, 2, 1)
    found = gradient(lambda a: linalg.vector_norm(a, ord=-math.inf), x)
    assert_close(found, numbers(-1 / 3, 1 / 3, 0, 1 / 3))


def test_an_unknown_order_is_refused():
    with pytest.raises(ValueError, match="matrix_norm needs ord 1, -1, .* got 3"):
        linalg.matrix_norm(lamina.Tensor(np.eye(2), requires_grad=True), ord=3)
