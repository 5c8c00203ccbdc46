"""Derivatives by complex numbers: the convention, and PyTorch's, which has the same."""

import numpy as np
import pytest

import _cases_complex
import lamina
from _cases import complexes, floats
from lamina import xp
from lamina.testing import assert_close, check_grads

Z = np.asarray([1 + 2j, -0.5 + 1j, 2 - 1j])


def gradient(f, *args):
    return lamina.grad(lambda *a: xp.sum(f(*a)))(*args)


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda z: xp.real(z), np.ones(3) + 0j),
        (lambda z: xp.imag(z), np.full(3, 1j)),
        (lambda z: xp.abs(z) ** 2, 2 * Z),
        (lambda z: xp.real(z * xp.conj(z)), 2 * Z),
        (lambda z: xp.abs(z), Z / np.abs(Z)),
        # of Re f with holomorphic f: the conjugate of f'
        (lambda z: xp.real(z * z), 2 * np.conj(Z)),
        (lambda z: xp.real(xp.exp(z)), np.conj(np.exp(Z))),
        (lambda z: xp.imag(xp.exp(z)), 1j * np.conj(np.exp(Z))),
        (lambda z: xp.real(xp.conj(xp.exp(z))), np.conj(np.exp(Z))),
    ],
)
def test_a_gradient_is_the_direction_of_steepest_ascent(backend, f, expected):
    z = backend.asarray(Z)
    assert_close(gradient(f, z), backend.asarray(expected), rtol=1e-12)
    best = xp.sum(f(z + 1e-4 * gradient(f, z)))
    for turned in (1j, np.exp(0.3j), -1):
        worse = xp.sum(f(z + 1e-4 * complex(turned) * gradient(f, z)))
        assert float(backend.to_numpy(best)) > float(backend.to_numpy(worse))


def test_real_arguments_of_complex_results_get_real_gradients(backend):
    x, z = backend.asarray([0.5, 2.0, 1.0]), backend.asarray(Z)
    for f in (xp.multiply, xp.add, xp.divide, xp.pow, lambda a, b: xp.where(a > 1, a, b)):
        gx, gz = lamina.grad(lambda a, b, f=f: xp.sum(xp.abs(f(a, b))), (0, 1))(x, z)
        assert (gx.dtype, gz.dtype) == (x.dtype, z.dtype)
    check_grads(lambda a, b: xp.exp(1j * a) * b + xp.concat([a, b])[:3], (x, z))


def test_single_precision_stays_single():
    z = Z.astype(np.complex64)
    g = gradient(lambda a: xp.abs(xp.sin(a) * 2.0 + 1j) * xp.real(a), z)
    assert g.dtype == np.complex64
    assert gradient(lambda a: xp.real(a * (1 + 1j)), z.real.copy()).dtype == np.float32


def test_third_derivatives():
    check_grads(lambda z: xp.sin(z) * xp.conj(z) * xp.abs(z), Z, order=3)


def test_complex_numbers_of_size_zero_are_kinks():
    z = np.asarray([0, 1j])
    assert_close(gradient(xp.abs, z), np.asarray([0, 1j]))
    assert_close(gradient(lambda a: xp.real(xp.sign(a)), z), np.asarray([1, 1 + 0j]))


@pytest.mark.parametrize("case", list(_cases_complex.cases()), ids=repr)
def test_gradients_are_pytorchs(case):
    torch = pytest.importorskip("torch")
    import array_api_compat.torch as compat

    if case.name.startswith("unique"):
        pytest.skip("torch cannot sort complex numbers, and so has no sets of them")
    if case.name == "where" and case.args[1].dtype != getattr(case.args[2], "dtype", "complex128"):
        pytest.skip("torch has no derivative of a choice between real and complex numbers")
    where = tuple(
        i
        for i, a in enumerate(case.args)
        if isinstance(a, list) or (isinstance(a, np.ndarray) and a.dtype.kind in "fc")
    )
    raw = [a(np) if callable(a) else a for a in case.args]
    outs = case(*raw)
    many = isinstance(outs, tuple)
    weights = [
        (complexes if np.iscomplexobj(o) else floats)(*np.shape(o))
        for o in (outs if many else [outs])
    ]

    def contracted(xp, outs, weights):
        parts = [o * w for o, w in zip(outs if many else [outs], weights, strict=True)]
        return sum(xp.sum(xp.real(p) if "complex" in str(p.dtype) else p) for p in parts)

    def there(a):
        if isinstance(a, list):
            return [there(part) for part in a]
        if not isinstance(a, np.ndarray):
            return a(compat) if callable(a) else a
        return torch.tensor(a, requires_grad=a.dtype.kind in "fc")

    ours = lamina.grad(lambda *a: contracted(xp, case(*a), weights), where)(*raw)
    args = [there(a) for a in case.args]
    if case.name == "getitem":
        out = args[0][args[1]]
    else:
        out = getattr(compat, case.name)(*args, **case.options)
    theirs = contracted(compat, out, [torch.tensor(w) for w in weights])
    found = torch.autograd.grad(theirs, leaves([args[i] for i in where]))
    for mine, other in zip(leaves(ours), found, strict=True):
        assert_close(mine, other.resolve_conj().numpy(), rtol=1e-9, atol=1e-11)


def leaves(nest):
    """The arrays of lists and tuples of arrays, in order."""
    if isinstance(nest, list | tuple):
        return [leaf for part in nest for leaf in leaves(part)]
    return [nest]
