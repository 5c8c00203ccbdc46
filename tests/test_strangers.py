"""Derivatives through code that no one here wrote: einops, array-api-extra, SciPy.

SciPy takes arrays of any library where SCIPY_ARRAY_API is set before it is imported, so its part
runs in a process of its own.
"""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest

import lamina
from lamina import Tensor, grad, xp
from lamina.testing import assert_close, check_grads

CUBE = np.linspace(-1.0, 1.0, 24).reshape(2, 3, 4)
ROW = np.asarray([0.5, -1.25, 2.0])

# ---- einops -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [
        lambda e, x: e.rearrange(x, "a b c -> c (b a)"),
        lambda e, x: e.rearrange(x, "a b (c d) -> (a c) d b", d=2),
        lambda e, x: e.reduce(x, "a b c -> a c", "mean"),
        lambda e, x: e.reduce(x, "a b (c d) -> b c", "sum", d=2),
        lambda e, x: e.reduce(x, "a b c -> b", "max"),
        lambda e, x: e.repeat(x, "a b c -> a d b (c e)", d=2, e=3),
        lambda e, x: e.pack([x, x[:, 0, :]], "a * c")[0],
        lambda e, x: e.unpack(x, [[1], [2]], "a * c")[1],
    ],
)
@pytest.mark.parametrize("package", ["einops", "einops.array_api"])
def test_einops(package, f):
    einops = pytest.importorskip(package)
    assert_close(np.asarray(f(einops, Tensor(CUBE))), np.asarray(f(einops, CUBE)))
    check_grads(lambda x: f(einops, x) ** 2, (CUBE,))


@pytest.mark.parametrize(
    "f",
    [
        lambda e, x: e.einsum(x, x, "a b c, d b c -> a d"),
        lambda e, x: e.einsum(x, "a b c -> c a"),
        lambda e, x: e.einsum(x, x, x, "a b c, a b d, e b c -> d e"),
        lambda e, x: e.einsum(x, "... c -> ..."),
        lambda e, x: e.rearrange([x, 2 * x], "n a b c -> (n a) c b"),
        lambda e, x: e.reduce(x + 2.0, "a b c -> a b", "prod"),
        lambda e, x: e.reduce(x, "a b (c d) -> a b c", lambda x, axes: xp.max(x, axis=axes), d=2),
        lambda e, x: e.rearrange(x, "... c -> c ..."),
    ],
)
def test_einops_alone(f):
    einops = pytest.importorskip("einops")
    assert_close(np.asarray(f(einops, Tensor(CUBE))), f(einops, CUBE))
    check_grads(lambda x: f(einops, x) ** 2, (CUBE,))


def test_einops_on_every_backend(backend):
    einops = pytest.importorskip("einops")
    x = backend.asarray(CUBE)
    check_grads(lambda x: einops.reduce(x, "a b (c d) -> d (a b)", "mean", d=2) ** 2, (x,))
    check_grads(lambda x: einops.repeat(x, "a b c -> b (a d) c e", d=2, e=1) ** 2, (x,))
    check_grads(lambda x: einops.einsum(x, x, "a b c, d b c -> a d") ** 2, (x,))
    assert einops.parse_shape(Tensor(x), "a _ c") == {"a": 2, "c": 4}
    numbers = Tensor(backend.asarray(np.arange(6).reshape(2, 3)))
    assert_close(einops.reduce(numbers, "a b -> b", "max"), backend.asarray(np.asarray([3, 4, 5])))
    with pytest.raises(Exception, match="mean is not available"):
        einops.reduce(numbers, "a b -> b", "mean")


@pytest.mark.parametrize("order", ["lamina, einops", "einops, lamina"])
def test_einops_takes_tensors_whichever_is_imported_first(order):
    pytest.importorskip("einops")
    program = f"""
import {order}, gc, importlib, inspect
gc.collect()
for _ in range(2):
    x = lamina.Parameter(lamina.xp.ones((2, 3)))
    assert einops.rearrange(x, "a b -> (b a)").requires_grad
    assert einops.asnumpy(x).sum() == 6
    assert "class AbstractBackend" in inspect.getsource(einops._backends)
    importlib.reload(einops._backends)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_numpys_einsum_says_what_to_use():
    with pytest.raises(TypeError, match="use lamina.ops.einsum"):
        np.einsum("ij,jk", ROW[:, None], Tensor(CUBE[0, :1], requires_grad=True))


# ---- array-api-extra --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [
        lambda e, x: e.kron(x, x + 1.0),
        lambda e, x: e.cov(xp.stack([x, x**2])),
        lambda e, x: e.sinc(x),
        lambda e, x: e.pad(x, 2, constant_values=1.5),
        lambda e, x: e.create_diagonal(x, offset=1),
        lambda e, x: e.nan_to_num(x),
        lambda e, x: e.atleast_nd(x, ndim=3),
        lambda e, x: e.apply_where(x > 0, x, xp.sqrt, fill_value=0.5),
        lambda e, x: e.apply_where(x > 0, x, xp.sqrt, xp.square),
        lambda e, x: e.at(x * 1.0)[0].set(3.0),
        lambda e, x: e.at(x * 1.0)[1:].multiply(x[:2]),
        lambda e, x: e.at(x * 1.0, x > 0).add(2.0, copy=True),
        lambda e, x: e.partition(x, 1)[:2],
        lambda e, x: e.deg2rad(x),
    ],
)
def test_array_api_extra(f):
    extra = pytest.importorskip("array_api_extra")
    check_grads(lambda x: f(extra, x) ** 2, (ROW,))


def test_array_api_extra_on_constants():
    extra = pytest.importorskip("array_api_extra")
    x = Tensor(ROW)
    assert_close(np.asarray(extra.one_hot(Tensor(np.asarray([0, 2])), 3)), np.eye(3)[[0, 2]])
    assert bool(xp.all(extra.isclose(x, x + 1e-12)))
    assert int(extra.nunique(x)) == 3
    assert_close(np.asarray(extra.setdiff1d(x, x[:1])), np.asarray([-1.25, 2.0]))


# ---- array-api-compat -------------------------------------------------------------------------


def test_array_api_compat_takes_a_tensor_for_what_it_is():
    import array_api_compat as compat

    x = Tensor(ROW, requires_grad=True)
    assert compat.is_array_api_obj(x) and compat.device(x) == "cpu" and compat.size(x) == 3
    space = compat.array_namespace(x, 1.0, None, x * 2)
    assert space is x.__array_namespace__()
    assert compat.array_namespace(space.zeros(3), x) is space
    with pytest.raises(TypeError, match="[Mm]ultiple namespaces"):
        compat.array_namespace(x, ROW)


# ---- SciPy ------------------------------------------------------------------------------------

SCIPY = {
    "logsumexp": lambda special, stats, x: special.logsumexp(x),
    "logsumexp weighted": lambda special, stats, x: special.logsumexp(x, b=x * x),
    "softmax": lambda special, stats, x: special.softmax(x),
    "log_softmax": lambda special, stats, x: special.log_softmax(x),
    "xlogy": lambda special, stats, x: special.xlogy(x * x, x * x),
    "zmap": lambda special, stats, x: stats.zmap(x, x),
    "zscore": lambda special, stats, x: stats.zscore(x, ddof=1),
    "gmean": lambda special, stats, x: stats.gmean(x * x),
    "hmean": lambda special, stats, x: stats.hmean(x * x),
    "pmean": lambda special, stats, x: stats.pmean(x * x, 3),
    "skew": lambda special, stats, x: stats.skew(x),
    "moment": lambda special, stats, x: stats.moment(x, 3),
    "variation": lambda special, stats, x: stats.variation(x),
    "circmean": lambda special, stats, x: stats.circmean(x),
}


def test_scipy():
    pytest.importorskip("scipy")
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", __file__],
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == ["rosen", *" ".join(SCIPY).split(), "entropy"]


def test_refusals_name_whose_function_it_is_and_what_scipy_needs(monkeypatch):
    special = pytest.importorskip("scipy.special")
    monkeypatch.delenv("SCIPY_ARRAY_API", raising=False)
    needs = r"SCIPY_ARRAY_API=1 is set before SciPy is imported"

    def refused(f):
        with pytest.raises(TypeError) as caught:
            grad(f)(ROW)
        return str(caught.value)

    forgets = refused(lambda x: np.sum(np.asarray(x)))
    assert "NumPy would forget" in forgets and needs in forgets
    erf = refused(special.erf)
    assert erf.startswith("scipy.special.erf would lose") and "use lamina.ops.erf" in erf
    assert "compiled functions (erf, gammaln, norm.pdf, linalg.solve) know no gradients" in erf
    assert refused(special.gammaln).startswith("scipy.special.gammaln would lose")
    norm = refused(np.linalg.norm)
    assert norm.startswith("numpy.linalg.norm would lose") and "SciPy" not in norm
    assert "use lamina.xp.linalg.vector_norm" in norm
    assert "use lamina.xp.fft.fft" in refused(np.fft.fft)
    assert refused(np.add.reduce).startswith("numpy.add.reduce would lose")
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    assert "know no gradients" in refused(special.erf) and needs not in refused(special.erf)
    monkeypatch.delitem(sys.modules, "scipy")
    assert "SciPy" not in refused(lambda x: np.sum(np.asarray(x)))


def _scipy():
    from scipy import optimize, special, stats

    at = np.asarray([0.5, -1.25, 2.0, 0.75])
    assert_close(grad(optimize.rosen)(at), optimize.rosen_der(at), rtol=1e-12)
    rows = [grad(lambda x, i=i: grad(optimize.rosen)(x)[i])(at) for i in range(4)]
    assert_close(np.stack(rows), optimize.rosen_hess(at), rtol=1e-12)
    assert_close(np.asarray(optimize.rosen_der(Tensor(at))), optimize.rosen_der(at))
    print("rosen")
    for name, f in SCIPY.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            ours, theirs = f(special, stats, Tensor(ROW)), f(special, stats, ROW)
            assert_close(np.asarray(ours), np.asarray(theirs))
            check_grads(lambda x, f=f: f(special, stats, x), (ROW,), order=1)
        print(name)
    try:  # computed by compiled code, which knows no gradients: refused, not silently constant
        grad(stats.entropy)(ROW * ROW)
    except TypeError as error:
        assert "NumPy would forget" in str(error)
        print("entropy")


if __name__ == "__main__":
    lamina.use("numpy")
    _scipy()
