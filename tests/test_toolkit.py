"""Derivatives of functions, forward and backward, over nests: right, nested, refused, freed."""

import collections
import dataclasses
import gc
import math
import weakref

import numpy as np
import pytest

import lamina
from lamina import (
    Parameter,
    Tensor,
    checkpoint,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    linearize,
    no_grad,
    ops,
    stop_gradient,
    value_and_grad,
    vjp,
    xp,
)
from lamina.testing import assert_close, check_grads


def floats(*values):
    return np.asarray(values, dtype=np.float64)


X = floats(0.3, 0.7, 1.1)
V = floats(1.0, -2.0, 0.5)
W = np.linspace(-1, 1, 9).reshape(3, 3) + 0.1 * np.eye(3)

Pair = collections.namedtuple("Pair", "first second")


@dataclasses.dataclass
class Layer:
    kernel: object
    bias: object = 0.0
    units: int = 3
    name: str = "dense"
    activation: object = xp.tanh


@dataclasses.dataclass(frozen=True, slots=True)
class Network:
    layers: list
    scale: object

    def __post_init__(self):
        assert self.layers, "a check that gradients need not pass"


def D_reverse(f):
    return lambda x: grad(f)(x)


def D_forward(f):
    return lambda x: jvp(f, (x,), (1.0,))[1]


# ---- nests ------------------------------------------------------------------------------------


def network(w, x):
    for layer in w.layers:
        x = layer.activation(xp.matmul(x, layer.kernel) + layer.bias)
    return xp.sum(x * x) * w.scale["all"][0]


def weights(place=np.asarray):
    layers = [Layer(place(W), place(X)), Layer(place(W.T), 0.5, name="last")]
    return Network(layers, {"all": Pair(place(2.0), None)})


def test_dataclasses_within_nests(backend):
    w = weights(lambda a: backend.asarray(a, "float64"))
    x = backend.asarray(V, "float64")
    g = grad(network)(w, x)
    assert type(g) is Network and type(g.layers[0]) is Layer and type(g.scale["all"]) is Pair
    assert (g.layers[1].name, g.layers[1].units, g.scale["all"].second) == ("last", 3, None)
    assert g.layers[0].activation is xp.tanh
    assert g.layers[0].kernel.shape == (3, 3)
    assert backend.backend.owns(g.layers[0].kernel)
    check_grads(network, (w, x))
    assert isinstance(w.layers[0].kernel, type(x))  # what came in is as it was


def test_dicts_of_other_kinds_and_key_orders():
    w = collections.defaultdict(list, a=X, b=V)
    g = grad(lambda w: xp.sum(w["a"] * w["b"]))(w)
    assert type(g) is collections.defaultdict and g.default_factory is list
    assert_close(g["a"], V)
    tangents = collections.defaultdict(list, b=X, a=V)  # by key, whatever the order
    _, t = jvp(lambda w: xp.sum(w["a"] * w["b"]), (w,), (tangents,))
    assert_close(t, np.sum(V * V + X * X))


def test_whole_numbers_are_settings_only_in_dataclasses():
    layer = Layer(X, 1.0, units=3)
    assert grad(lambda a: xp.sum(a.kernel) * a.units)(layer).units == 3
    with pytest.raises(TypeError, match=r"got int64 as argument 1\['n'\]\[0\]: pass 2\.0"):
        grad(lambda x, w: x * w["n"][0], 1)(1.0, {"n": [2]})


def test_nothing_to_differentiate_is_refused():
    with pytest.raises(TypeError, match="needs an array, .* with respect to, got dict"):
        grad(lambda w: xp.asarray(1.0))({"name": "a"})
    with pytest.raises(TypeError, match="vjp needs an array.* got nothing"):
        vjp(lambda: xp.asarray(1.0))


# ---- grad and value_and_grad ------------------------------------------------------------------


def test_aux_comes_along_as_plain_arrays():
    def f(x):
        y = xp.sin(x)
        return xp.sum(y), {"y": y, "n": 3, "name": "sine"}

    (value, aux), g = value_and_grad(f, has_aux=True)(X)
    assert_close(value, np.sum(np.sin(X)))
    assert type(aux["y"]) is np.ndarray and aux["n"] == 3 and aux["name"] == "sine"
    assert_close(g, np.cos(X))
    g, aux = grad(f, has_aux=True)(X)
    assert_close(aux["y"], np.sin(X))
    with pytest.raises(TypeError, match=r"returns a pair \(result, aux\), got ndarray"):
        grad(lambda x: x.data, has_aux=True)(X)


def test_aux_is_on_the_tape_outside():
    def outer(x):
        _, aux = grad(lambda y: (xp.sum(y**2), y**3), has_aux=True)(x)
        return xp.sum(aux)

    assert_close(grad(outer)(X), 3 * X**2)


@pytest.mark.parametrize("argnums", [(), "0", 1.5, (0, 0), True, (0, "1")])
def test_argnums_that_are_none(argnums):
    with pytest.raises(TypeError, match="argnums must be the number of an argument or a tuple"):
        grad(lambda x, y: x * y, argnums)


def test_argnums_out_of_range_and_twice_the_same():
    f = lambda x, y: xp.sum(x * y)
    with pytest.raises(TypeError, match="argnums=2 asks for argument 2, but 2 positional"):
        grad(f, 2)(X, X)
    with pytest.raises(TypeError, match=r"argnums=\(0, -2\) names one of the 2 arguments twice"):
        grad(f, (0, -2))(X, X)
    with pytest.raises(TypeError, match="asks for argument -3"):
        jacobian(f, -3)(X, X)


@pytest.mark.parametrize("make", [grad, jacobian])
def test_a_result_that_is_no_array(make):
    with pytest.raises(TypeError, match="got str, which remembers nothing"):
        make(lambda x: "x")(X)


def test_a_result_that_depends_on_nothing_has_gradient_zero():
    assert_close(grad(lambda x: Tensor(floats(1.0)))(X), 0 * X)
    assert_close(jvp(lambda x: (Tensor(X), x), (X,), (V,))[1][0], 0 * X)


def test_whole_and_complex_results_are_refused():
    with pytest.raises(TypeError, match="one real number, got int64"):
        grad(lambda x: xp.sum(xp.astype(x > 0, xp.int64)))(X)
    with pytest.raises(TypeError, match="one real number, got complex128: take lamina.xp.real"):
        grad(lambda x: xp.sum(x * 1j))(X)


def test_the_gradient_of_a_complex_argument(backend):
    z = backend.asarray([1 + 2j, -0.5j], "complex128")
    g = grad(lambda z: xp.sum(xp.abs(z) ** 2))(z)
    assert_close(g, 2 * z)


# ---- vjp --------------------------------------------------------------------------------------


def several(x, w):
    h = xp.tanh(x @ w["kernel"])
    return {"h": h, "more": (xp.sum(h), [xp.cumulative_sum(x)])}


def test_vjp_of_several_results_more_than_once(backend):
    x, w = backend.asarray(X, "float64"), {"kernel": backend.asarray(W, "float64")}
    out, pullback = vjp(several, x, w)
    assert backend.backend.owns(out["h"])
    seeds = {"more": (2.0, [backend.asarray(V, "float64")]), "h": out["h"] * 0 + 1}
    total = lambda x, w: (
        xp.sum(several(x, w)["h"])
        + 2.0 * several(x, w)["more"][0]
        + xp.sum(several(x, w)["more"][1][0] * seeds["more"][1][0])
    )
    gx, gw = grad(total, (0, 1))(x, w)
    for _ in range(3):
        px, pw = pullback(seeds)
        assert_close(px, gx, rtol=1e-12)
        assert_close(pw["kernel"], gw["kernel"], rtol=1e-12)


def test_a_pullback_of_kernels_can_be_called_again():
    calls = []
    dense = lambda x: ops.softmax(ops.dense(x, W, X, activation="relu") + ops.gelu(x))
    _, pullback = vjp(lambda x: (calls.append(1), dense(x))[1], X[None, :])
    first, other = pullback(V[None, :])[0], pullback(2 * V[None, :])[0]
    assert_close(pullback(V[None, :])[0], first, rtol=0)
    assert_close(other, 2 * first, rtol=1e-12)
    assert len(calls) == 1


def test_a_pullback_is_a_linear_function_with_derivatives():
    _, pullback = vjp(lambda x: x**3, X)
    check_grads(lambda s: pullback(s), (V,))
    check_grads(lambda x, s: vjp(lambda x: x**3, x)[1](s), (X, V))


def test_vjp_with_aux():
    _, pullback, aux = vjp(lambda x: (x * 2, x + 1), X, has_aux=True)
    assert_close(aux, X + 1)
    assert_close(pullback(V)[0], 2 * V)


@pytest.mark.parametrize(
    ("seeds", "error", "words"),
    [
        (V, TypeError, r"seeds must be a tuple, got ndarray of shape \(3,\)"),
        ((V,), TypeError, "seeds must be a tuple with 2 parts, got one with 1 parts"),
        ((V, {"b": 1.0}), TypeError, r"seeds\[1\] must be a dict with a, got one with b"),
        ((V[:2], {"a": 1.0}), ValueError, r"seeds\[0\] must have the result's shape \(3,\)"),
        ((V, {"a": V}), ValueError, r"seeds\[1\]\['a'\] must have the result's shape \(\), got"),
        ((V * 1j, {"a": 1.0}), TypeError, r"seeds\[0\] must be real like the result, float64"),
        ((V, {"a": "1"}), TypeError, r"seeds\[1\]\['a'\] must be an array or a number, got str"),
        ((V, {"a": None}), TypeError, r"must be an array or a number, got NoneType"),
    ],
)
def test_seeds_that_do_not_fit(seeds, error, words):
    _, pullback = vjp(lambda x: (x, {"a": xp.sum(x)}), X)
    with pytest.raises(error, match=words):
        pullback(seeds)


# ---- forward mode -----------------------------------------------------------------------------


def test_jvp_against_the_jacobian(backend):
    x, v = backend.asarray(X, "float64"), backend.asarray(V, "float64")
    f = lambda x: xp.concat([xp.sin(x) * xp.sum(x), xp.cumulative_sum(x)[::2]])
    out, t = jvp(f, (x,), (v,))
    assert_close(out, f(x))
    assert_close(t, jacobian(f, mode="reverse")(x) @ v, rtol=1e-12)


def test_jvp_of_nests_and_of_several_arguments():
    out, t = jvp(several, (X, {"kernel": W}), (V, {"kernel": W.T}))
    assert t.keys() == out.keys() and isinstance(t["more"][1], list)
    assert_close(t["more"][1][0], np.cumsum(V))
    eps = 1e-6
    ends = [several(X + s * V, {"kernel": W + s * W.T}) for s in (eps, -eps)]
    assert_close(t["h"], (ends[0]["h"] - ends[1]["h"]) / (2 * eps), rtol=1e-7)


def test_jvp_through_kernels_goes_through_their_definitions():
    f = lambda x: ops.log_softmax(ops.gelu(ops.dense(x, W, X, activation="selu")))
    x, v = X[None, :], V[None, :]
    _, t = jvp(f, (x,), (v,))
    assert_close(t, (f(x + 1e-6 * v) - f(x - 1e-6 * v)) / 2e-6, rtol=1e-6)


def test_linearize_runs_the_function_once():
    runs = []

    def f(x):
        runs.append(1)
        return xp.sin(x), xp.sum(x**2)

    _, push = linearize(f, X)
    for v in (V, X, V):
        t = push(v)
        assert_close(t[0], np.cos(X) * v)
        assert_close(t[1], np.sum(2 * X * v))
    assert len(runs) == 1
    _, _, aux = linearize(lambda x: (x, 2 * x), X, has_aux=True)
    assert_close(aux, 2 * X)


def test_high_orders_by_forward_mode_alone():
    t = math.tanh(0.7)
    s = 1 - t * t
    f = xp.tanh
    for expected in [s, -2 * t * s, s * (6 * t * t - 2), s * (16 * t - 24 * t**3)]:
        f = D_forward(f)
        assert_close(f(np.asarray(0.7)), np.asarray(expected), rtol=1e-12)


def test_jvp_may_go_in_and_out_of_complex_numbers(backend):
    x = backend.asarray(X, "float64")
    check_grads(lambda x: xp.abs(xp.fft.fft(xp.exp(1j * x)) ** 2), (x,), order=2)
    z = backend.asarray([1 + 2j, -0.5j], "complex128")
    _, t = jvp(lambda z: z**2, (z,), (1j * z,))
    assert_close(t, 2j * z * z)


def test_vectors_of_coinciding_values_have_no_tangent():
    x = np.diag([1.0, 2.0, 2.0])
    t = jvp(lambda x: xp.linalg.eigh(x), (x,), (W + W.T,))[1]
    assert np.isnan(t.eigenvectors[1:, 1:]).all()
    assert np.isfinite(t.eigenvectors[:, 0]).all() and np.isfinite(t.eigenvalues).all()
    t = jvp(lambda x: xp.linalg.svd(x), (W[:, :2],), (W[:, 1:],))[1]
    assert np.isnan(t.U[:, 2]).all() and np.isfinite(t.U[:, :2]).all()
    assert np.isfinite(t.Vh).all() and np.isfinite(t.S).all()
    # vectors (1, -1, 0, 0) and (0, 0, 1, -1), of whose elements the sums are 0
    x = np.kron(np.eye(2), [[2.0, 1.0], [1.0, 2.0]])
    t = jvp(lambda x: xp.linalg.eigh(x), (x,), (np.outer(x[0] - 1, x[3]) + np.diag(x[0]),))[1]
    assert np.isnan(t.eigenvectors).all() and np.isfinite(t.eigenvalues).all()


def test_no_difference_hides_that_a_result_is_no_function():
    """Rules lose (nan) what is not 0 in a difference: so two results must not stand in alike."""
    lose = lambda xp, d: d * xp.where(d != 0, float("nan"), xp.ones_like(d))
    both = lamina.primitive(x=lambda xp, g: g[0] + lose(xp, g[0] - g[1]))(lambda x: (1 * x, 1 * x))
    assert all(np.isnan(t).all() for t in jvp(both, (X,), (V,))[1])


@pytest.mark.parametrize(
    ("primals", "tangents", "error", "words"),
    [
        (X, (X,), TypeError, r"primals must be a tuple .* got ndarray: .* write \(x,\)"),
        ((X,), X, TypeError, r"tangents must be a tuple .* got ndarray"),
        ((X,), (X, X), TypeError, "tangents must be a tuple with 1 parts, got one with 2 parts"),
        ((X,), (X[:2],), ValueError, r"tangents\[0\] must have the primal's shape \(3,\), got \(2"),
        ((X,), ({"a": X},), TypeError, r"tangents\[0\] must be an array or a number, got dict"),
        ((X,), (1.0,), ValueError, r"the primal's shape \(3,\), got \(\)"),
        ((X,), (1j * X,), TypeError, r"tangents\[0\] must be real like the primal"),
        ((np.arange(3),), (X,), TypeError, "floating-point arguments, got int64 as argument 0"),
    ],
)
def test_tangents_that_do_not_fit(primals, tangents, error, words):
    with pytest.raises(error, match=words):
        jvp(lambda x: x * 2, primals, tangents)


def test_jvp_needs_tensors_back():
    with pytest.raises(TypeError, match="jvp needs a result computed .* remembers nothing"):
        jvp(lambda x: 3.0, (X,), (V,))


# ---- jacobian, hessian, hvp -------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["forward", "reverse", None])
def test_jacobians_against_closed_forms(backend, mode):
    x, w = backend.asarray(X, "float64"), backend.asarray(W, "float64")
    assert_close(jacobian(xp.sin, mode=mode)(x), backend.asarray(np.diag(np.cos(X))), atol=1e-16)
    matrix = jacobian(lambda x: xp.matmul(w, x), mode=mode)(x)
    assert_close(matrix, w)
    wide = jacobian(lambda w: w @ x, mode=mode)(w)
    expected = np.einsum("ij,k->ijk", np.eye(3), X)
    assert_close(wide, backend.asarray(expected))


def test_jacobian_takes_the_shorter_way():
    seen = []

    probe = lamina.primitive(x=lambda xp, g: (seen.append("rule"), g)[1])(lambda x: x)
    jacobian(lambda x: xp.sum(probe(x)))(X)
    assert seen == ["rule"]  # three numbers to one: back once
    seen.clear()
    jacobian(lambda x: probe(xp.broadcast_to(x, (50,))))(floats(1.0))
    assert seen == ["rule"]  # one number to fifty: ahead once


def test_jacobians_of_nests():
    f = lambda a, b: {"s": a["x"] * b, "t": [xp.sum(a["x"] ** 2)]}
    a, b = {"x": X}, floats(2.0)
    for mode in ("forward", "reverse"):
        j = jacobian(f, (0, 1), mode)(a, b)
        assert_close(j["s"][0]["x"], 2 * np.eye(3))
        assert_close(j["s"][1], X[:, None])
        assert_close(j["t"][0][0]["x"], 2 * X)
        assert_close(j["t"][0][1], np.zeros(1))


def test_jacobians_of_scalars_constants_and_nothing(backend):
    x = backend.asarray(1.5, "float64")
    assert_close(jacobian(lambda x: x**2)(x), backend.asarray(3.0, "float64"))
    v = backend.asarray(X, "float64")
    j = jacobian(lambda x: (x, x > 0.5))(v)
    assert j[1].shape == (3, 3) and not xp.any(j[1])
    empty = backend.asarray(np.zeros((0, 2)), "float64")
    for mode in ("forward", "reverse"):
        assert jacobian(lambda x: x * 2, mode=mode)(empty).shape == (0, 2, 0, 2)
        assert jacobian(lambda x: xp.sum(x, axis=0), mode=mode)(empty).shape == (2, 0, 2)


def test_jacobian_of_complex_results():
    j = jacobian(lambda x: xp.exp(1j * x))(X)
    assert_close(j, np.diag(1j * np.exp(1j * X)))
    with pytest.raises(TypeError, match="complex results goes forward: leave out mode=.reverse"):
        jacobian(lambda x: 1j * x, mode="reverse")(X)
    with pytest.raises(ValueError, match='mode must be "forward", "reverse" or None'):
        jacobian(lambda x: x, mode="backward")


Z = np.asarray([0.3 + 0.2j, -0.7 + 1.1j, 0.9 - 0.4j])
HOLOMORPHIC = {
    "powers": lambda z: z**3 * z[0] + 1j,
    "functions": lambda z: xp.exp(1j * z) / (xp.sin(z) + 2.0),
    "matrices": lambda z: xp.linalg.inv(xp.reshape(xp.stack([z[0] + 2, z[1], z[1], z[2]]), (2, 2))),
    "constants": lambda z: z[:2] * 0 + 1j,
    "fft": lambda z: xp.fft.fft(z * z),
    "wide": lambda z: xp.reshape(z[:, None] * z[None, :2], (6,)),
    "one": lambda z: xp.sum(z * z * z),
}


@pytest.mark.parametrize("mode", ["forward", "reverse", None])
@pytest.mark.parametrize("name", HOLOMORPHIC)
def test_jacobians_of_holomorphic_functions(backend, name, mode):
    f, z = HOLOMORPHIC[name], backend.asarray(Z)
    j = jacobian(f, mode=mode, holomorphic=True)(z)
    assert backend.backend.owns(j) and j.shape == (*f(z).shape, 3)
    for step in (1e-6, 1e-6j):
        columns = []
        for k in range(3):
            up, down = (backend.asarray(Z + sign * step * np.eye(3)[k]) for sign in (1, -1))
            difference = backend.to_numpy(f(up)) - backend.to_numpy(f(down))
            columns.append(difference / (2 * step))
        np.testing.assert_allclose(backend.to_numpy(j), np.stack(columns, -1), 1e-7, 1e-8)
    check_grads(lambda z: jacobian(f, mode=mode, holomorphic=True)(z), (z,), order=1)


def test_hessians_of_holomorphic_functions():
    h = hessian(lambda z: xp.sum(z**3) * z[0], holomorphic=True)(Z)
    expected = np.diag(6 * Z * Z[0])
    expected[0] += 3 * Z**2
    expected[:, 0] += 3 * Z**2
    assert_close(h, expected, rtol=1e-12)


@pytest.mark.parametrize("f", [HOLOMORPHIC["powers"], lambda z: z[:, None] * z[None, :2] / z[2]])
def test_holomorphic_jacobians_are_those_of_jax(f):
    jax = pytest.importorskip("jax")
    z = Z.astype("complex64")
    expected = np.asarray(jax.jacfwd(f, holomorphic=True)(z))
    assert_close(jacobian(f, holomorphic=True)(z), expected, rtol=1e-5, atol=1e-6)


def test_jacobians_of_real_results_by_complex_arguments(backend):
    z, x = backend.asarray(Z), backend.asarray(X, "float64")
    f = lambda z, x: xp.abs(z) ** 2 * x
    by_z, by_x = jacobian(f, (0, 1))(z, x)
    assert_close(by_z, backend.asarray(np.diag(2 * Z * X)), atol=1e-15)
    assert_close(by_x, backend.asarray(np.diag(np.abs(Z) ** 2)), atol=1e-15)
    g = lambda z: xp.real(z[0] * z[1] / xp.conj(z[2]))
    assert_close(jacobian(g)(z), grad(g)(z))
    with pytest.raises(TypeError, match="real results by complex arguments goes reverse"):
        jacobian(g, mode="forward")(z)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize(
    "f",
    [
        xp.conj,
        lambda z: 1j * xp.conj(z),
        lambda z: np.exp(1j) * xp.conj(z[:1]),
        lambda z: z * xp.abs(z),
        lambda z: {"right": z**2, "wrong": z + 1e-3 * xp.real(z)},
    ],
)
def test_what_is_not_holomorphic_is_found_out(f, mode):
    with pytest.raises(ValueError, match="told holomorphic=True of a function that is not"):
        jacobian(f, mode=mode, holomorphic=True)(Z)


def test_complex_jacobians_must_be_meant():
    with pytest.raises(TypeError, match="complex results by complex arguments needs .* holomorph"):
        jacobian(lambda z: z * z)(Z)
    with pytest.raises(TypeError, match="holomorphic=True is of complex .*, got real results"):
        jacobian(xp.abs, holomorphic=True)(Z)
    with pytest.raises(TypeError, match="holomorphic=True is of complex .*, got real arguments"):
        jacobian(lambda x: 1j * x, holomorphic=True)(X)
    with pytest.raises(TypeError, match="needs floating-point arguments"):
        jacobian(lambda x: x, holomorphic=True)(np.arange(3))


def rosen(x):
    return xp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def test_hessians(backend):
    x = backend.asarray(X, "float64")
    expected = np.diag([1200 * a * a - 400 * b + 2 for a, b in zip(X, X[1:])] + [200])
    expected[1, 1] += 200
    for i in range(2):
        expected[i, i + 1] = expected[i + 1, i] = -400 * X[i]
    assert_close(hessian(rosen)(x), backend.asarray(expected), rtol=1e-12)
    v = backend.asarray(V, "float64")
    (product,) = hvp(rosen, (x,), (v,))
    assert_close(product, backend.asarray(expected @ V), rtol=1e-12)


def test_hessian_and_hvp_of_nests():
    f = lambda w, b: xp.sum(w["a"] ** 2 * b) + b**3
    h = hessian(f, (0, 1))({"a": X}, np.asarray(2.0))
    assert_close(h[0]["a"][0]["a"], np.diag([4.0, 4.0, 4.0]))
    assert_close(h[1][0]["a"], 2 * X)
    out = hvp(f, ({"a": X}, np.asarray(2.0)), ({"a": V}, np.asarray(0.5)))
    assert_close(out[0]["a"], 4 * V + 2 * X * 0.5)
    assert_close(out[1], np.sum(2 * X * V) + 12 * 0.5)
    assert hessian(lambda x: xp.stack([xp.sum(x**2), xp.sum(x)]))(X).shape == (2, 3, 3)


def test_derivatives_of_jacobians():
    check_grads(lambda x: jacobian(lambda y: xp.sin(y) * y[0])(x), (X,), order=1)
    check_grads(lambda x: hessian(rosen)(x), (X,), order=1)
    check_grads(lambda x, v: hvp(rosen, (x,), (v,)), (X, V), order=1)


# ---- nesting ----------------------------------------------------------------------------------


KINDS = pytest.mark.parametrize("outer", [D_reverse, D_forward], ids=["reverse", "forward"])
INNER = pytest.mark.parametrize("inner", [D_reverse, D_forward], ids=["over-reverse", "over-fwd"])


@KINDS
@INNER
def test_no_perturbation_is_taken_for_another(outer, inner):
    # d/dx [x * d/dy (x + y)] = 1, not 2
    assert float(outer(lambda x: x * inner(lambda y: x + y)(1.0))(1.0)) == 1
    assert float(outer(lambda x: x * inner(lambda y: x * y)(2.0))(3.0)) == 6
    assert float(outer(lambda x: inner(lambda y: x * y * y)(x))(3.0)) == 12
    assert float(outer(lambda x: x * inner(lambda y: x * x + 0 * y)(x))(3.0)) == 0


@KINDS
@INNER
@pytest.mark.parametrize("middle", [D_reverse, D_forward])
def test_three_deep(outer, middle, inner):
    # d/dx x * d/dy y * d/dz (x * y * z) at z = y, y = x, x: x * d/dy [y * x * y] = 2 x**3
    f = lambda x: x * middle(lambda y: y * inner(lambda z: x * y * z)(y))(x)
    assert float(outer(f)(2.0)) == 6 * 4
    # the inner derivative is closed over, and used beside other variables
    g = lambda x: middle(lambda y: inner(lambda z: xp.sin(x) * z * y)(x) * x)(x)
    assert float(outer(g)(0.5)) == pytest.approx(math.cos(0.5) * 0.5 + math.sin(0.5), rel=1e-6)


@KINDS
def test_closures_over_both_variables(outer):
    def f(x):
        held = []
        inner = grad(lambda y: held.append(x * y) or x * y * y)(x)  # 2 x**2
        return inner + held[0]  # and x * y at y = x, which is on x's tape

    assert float(outer(f)(3.0)) == 4 * 3 + 2 * 3


@KINDS
@INNER
def test_an_inner_variable_that_is_closed_is_nothing_outside(outer, inner):
    """The result is an array: that the inner derivative was taken at t leaves no trace."""
    w = np.asarray(2.0)
    law = lambda w: inner(lambda t: inner(lambda s: xp.sin(w * s))(t) * t)(0.5)
    out = outer(law)(w)
    assert not isinstance(out, Tensor)
    assert not isinstance(jacobian(law)(w), Tensor) and not isinstance(law(w), Tensor)


# ---- what leaks out of a derivative -----------------------------------------------------------


def test_a_leaked_tensor_in_an_outer_computation():
    kept = []

    def f(x):
        kept.append(xp.sin(x))
        return xp.sum(xp.exp(kept[0]))

    grad(f)(X)
    leaked = kept[0]
    # its value is right, as a constant; asked for its own gradient it says that it has none
    g = grad(lambda w: xp.sum(w * leaked))(V)
    assert_close(g, np.sin(X))
    with pytest.raises(RuntimeError, match="swept before"):
        xp.sum(leaked * Tensor(V, requires_grad=True)).backward()
    with pytest.raises(RuntimeError, match="swept before"):
        xp.sum(leaked).backward()


def test_a_leaked_tensor_within_an_outer_derivative_is_right():
    def outer(x):
        kept = []
        g = grad(lambda y: kept.append(y * y) or xp.sum(y**3))(x)
        return xp.sum(g) + xp.sum(kept[0])

    assert_close(grad(outer)(X), 6 * X + 2 * X)
    assert_close(jvp(outer, (X,), (V,))[1], np.sum(8 * X * V))


def test_a_leaked_argument_is_a_constant():
    kept = []
    jvp(lambda x: kept.append(x) or x * x, (X,), (V,))
    _, t = jvp(lambda y: y * kept[0], (V,), (V,))
    assert_close(t, X * V)


# ---- backward ---------------------------------------------------------------------------------


def leaf(*values):
    return Tensor(floats(*values), requires_grad=True)


def test_create_graph_makes_gradients_that_have_gradients(backend):
    x = Tensor(backend.asarray(X, "float64"), requires_grad=True)
    xp.sum(x**3).backward(create_graph=True)
    first = x.grad
    assert isinstance(first, Tensor) and first.requires_grad
    x.grad = None
    xp.sum(first**2).backward()
    assert_close(x.grad, backend.asarray(36 * X**3), rtol=1e-12)  # d (3 x**2)**2
    assert backend.backend.owns(x.grad)


def test_gradients_of_both_kinds_add_up(backend):
    x = Tensor(backend.asarray(X, "float64"), requires_grad=True)
    xp.sum(x**2).backward()
    xp.sum(x**2).backward(create_graph=True)
    xp.sum(x**2).backward()
    assert isinstance(x.grad, Tensor)
    assert_close(x.grad.data, backend.asarray(6 * X))


def test_retain_graph_keeps_the_tape():
    x = leaf(1.0, 2.0)
    y = xp.sum(xp.exp(x) * ops.gelu(x))
    y.backward(retain_graph=True)
    once, x.grad = x.grad, None
    y.backward()
    assert_close(x.grad, once, rtol=0)
    with pytest.raises(RuntimeError, match="swept before"):
        y.backward()


@pytest.mark.parametrize(
    ("seed", "error", "words"),
    [
        (np.ones(2) * 1j, TypeError, "gradient= must be real like the tensor, float64"),
        (np.ones(3), ValueError, r"gradient= must have the tensor's shape \(2,\), got \(3,\)"),
        (1.0, ValueError, r"the tensor's shape \(2,\), got \(\)"),
        ("1", TypeError, "gradient= must be an array or a number, got str"),
    ],
)
def test_seeds_of_backward(seed, error, words):
    with pytest.raises(error, match=words):
        (leaf(1.0, 2.0) * 2).backward(seed)


def test_a_complex_number_needs_a_seed():
    z = Tensor(np.asarray(1 + 1j), requires_grad=True)
    with pytest.raises(TypeError, match="the gradient of a complex number .* real"):
        (z * z).backward()
    (z * z).backward(1.0)
    assert_close(z.grad, np.asarray(2 - 2j))


# ---- checkpoint -------------------------------------------------------------------------------


def mlp(block, w, x):
    for _ in range(3):
        x = block(x, w)
    return xp.sum(x * x) + xp.sum(w["kernel"])


def plain_block(x, w):
    h = ops.gelu(ops.dense(x, w["kernel"], w["bias"], activation="tanh"))
    return h * xp.sum(w["bias"]) + ops.softmax(h)


NET = {"kernel": W, "bias": X}
ROWS = np.stack([X, V, X * V])


@pytest.mark.parametrize("nested", [False, True])
def test_checkpoint_gives_the_same_to_the_bit(nested):
    block = checkpoint(plain_block)
    if nested:
        inner = checkpoint(plain_block)
        block = checkpoint(lambda x, w: inner(x + inner(x, w), w))
        same = lambda x, w: plain_block(x + plain_block(x, w), w)
    else:
        same = plain_block
    f, g = (lambda w, x, b=b: mlp(b, w, x) for b in (same, block))
    a, b = value_and_grad(f, (0, 1))(NET, ROWS), value_and_grad(g, (0, 1))(NET, ROWS)
    assert (a[0] == b[0]).all()
    for key in NET:
        assert (a[1][0][key] == b[1][0][key]).all()
    assert (a[1][1] == b[1][1]).all()
    norm = lambda f: lambda w: sum(xp.sum(g**2) for g in grad(f)(w, ROWS).values())
    a, b = grad(norm(f))(NET), grad(norm(g))(NET)
    assert all((a[key] == b[key]).all() for key in NET)
    tangents = (NET, ROWS)
    assert jvp(f, tangents, tangents)[1] == jvp(g, tangents, tangents)[1]
    a, b = hvp(f, tangents, tangents), hvp(g, tangents, tangents)
    assert (a[0]["kernel"] == b[0]["kernel"]).all() and (a[1] == b[1]).all()


def test_checkpoint_over_closures(backend):
    w = Tensor(backend.asarray(W, "float64"), requires_grad=True)
    x = backend.asarray(ROWS, "float64")
    found = []
    for wrap in (lambda f: f, checkpoint):
        block = wrap(lambda x: xp.tanh(xp.matmul(x, w)))
        xp.sum(block(block(x)) * xp.sum(w)).backward()
        found.append(w.grad)
        w.grad = None
    assert xp.all(found[0] == found[1])
    check_grads(lambda x: checkpoint(lambda x: xp.tanh(x @ x + w.detach()))(x), (x,))


def test_checkpoint_keeps_arguments_and_results_alone():
    held = []

    def block(x):
        h = xp.exp(xp.sin(x))
        held.append(weakref.ref(h.data))
        return xp.cos(h)

    x = leaf(*range(5))
    out = block(x)
    assert held[-1]() is not None
    out = checkpoint(block)(x)
    assert held[-1]() is None
    xp.sum(out).backward()
    assert len(held) == 3 and held[-1]() is None


def test_checkpoint_runs_once_more_for_each_tape():
    runs = []
    block = checkpoint(lambda x: runs.append(1) or {"a": xp.sin(x), "b": (xp.cos(x), None)})
    out, pullback = vjp(block, X)
    assert out["b"][1] is None and len(runs) == 1
    pullback({"a": V, "b": (X, None)})
    pullback({"a": V, "b": (X, None)})
    assert len(runs) == 2
    with no_grad():
        block(Tensor(X, requires_grad=True))
    block(X)
    assert len(runs) == 4


def test_checkpoint_refuses_what_is_not_the_same_again():
    factor = [Tensor(np.asarray(2.0), requires_grad=True)]
    out = xp.sum(checkpoint(lambda x: xp.exp(x) * factor[0])(leaf(1.0, 2.0)))
    factor[0] = Tensor(np.asarray(3.0), requires_grad=True)
    with pytest.raises(RuntimeError, match="did not compute the same again"):
        out.backward()
    calls = []
    f = lambda x: xp.exp(x) if calls.append(1) or len(calls) < 2 else xp.sin(x)
    out = xp.sum(checkpoint(f)(leaf(1.0, 2.0)))
    with pytest.raises(RuntimeError, match="under lamina.checkpoint did not compute the same"):
        out.backward()


def test_checkpoint_knows_parameters_that_were_changed():
    w = Parameter(W, "kernel")
    x = leaf(1.0, 2.0, 3.0)
    out = xp.sum(checkpoint(lambda x: xp.sin(x @ (w * 2.0)))(x))
    w.assign(W + 1)
    with pytest.raises(RuntimeError, match="changed after"):
        out.backward()


def test_a_checkpoint_is_swept_once():
    out = xp.sum(checkpoint(xp.exp)(leaf(1.0, 2.0)))
    out.backward()
    with pytest.raises(RuntimeError, match="swept before"):
        out.backward()


# ---- stop_gradient ----------------------------------------------------------------------------


def test_stop_gradient_of_nests():
    def f(w):
        held = stop_gradient(w)
        return xp.sum(w["a"] * held["a"]) * held["b"][0]

    g = grad(f)({"a": X, "b": (2.0, "name")})
    assert_close(g["a"], 2 * X)
    assert g["b"] == (0.0, "name")
    assert jvp(stop_gradient, (X,), (V,))[1].tolist() == [0, 0, 0]
    assert stop_gradient(X) is X and ops.stop_gradient is stop_gradient


# ---- memory -----------------------------------------------------------------------------------


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@lamina.custom_vjp
def twice(x):
    return 2 * x


twice.defvjp(lambda x: (2 * x, (x, x + 1)), lambda residuals, g: (2 * g,))

COMPUTE = {
    "grad": lambda: grad(lambda w: network(w, V))(weights()),
    "vjp": lambda: vjp(several, X, {"kernel": W})[1](several(X, {"kernel": W})),
    "jvp": lambda: jvp(several, (X, {"kernel": W}), (V, {"kernel": W})),
    "hessian": lambda: hessian(rosen)(X),
    "hvp": lambda: hvp(rosen, (X,), (V,)),
    "checkpoint": lambda: grad(lambda w: mlp(checkpoint(plain_block), w, ROWS))(NET),
    "checkpoint unswept": lambda: mlp(
        checkpoint(plain_block), {k: Tensor(v, requires_grad=True) for k, v in NET.items()}, ROWS
    ),
    "second over checkpoint": lambda: hvp(
        lambda x: mlp(checkpoint(plain_block), NET, x), (ROWS,), (ROWS,)
    ),
    "custom": lambda: grad(lambda x: xp.sum(grad(lambda y: xp.sum(twice(y) ** 2))(x)))(X),
    "custom unswept": lambda: twice(Tensor(X, requires_grad=True)),
    "debug_nans": lambda: debugged(),
}


def debugged():
    with lamina.debug_nans():
        return grad(lambda x: xp.sum(xp.exp(x)))(X)


@pytest.mark.parametrize("name", COMPUTE)
def test_nothing_makes_reference_cycles(no_collector, name):
    COMPUTE[name]()
    gc.collect()
    for _ in range(3):
        COMPUTE[name]()
    assert gc.collect() == 0


@pytest.mark.parametrize("name", ["grad", "jvp", "hvp", "checkpoint", "custom"])
def test_calls_leave_nothing_behind(no_collector, name):
    for _ in range(3):
        COMPUTE[name]()
    before = len(gc.get_objects())
    for _ in range(20):
        COMPUTE[name]()
    assert len(gc.get_objects()) - before < 10


@pytest.mark.parametrize("which", ["jvp", "vjp", "checkpoint"])
def test_a_deep_chain_neither_recurses_nor_leaks(which):
    def chain(x):
        for _ in range(20_000):
            x = x + 1e-4
        return x

    if which == "jvp":
        _, t = jvp(chain, (X,), (V,))
    elif which == "vjp":
        (t,) = vjp(chain, X)[1](V)
    else:
        (t,) = vjp(checkpoint(chain), X)[1](V)
    assert_close(t, V)


def test_the_sweep_ahead_frees_as_it_goes():
    held, seen = [], []
    probe = lamina.primitive(x=lambda xp, g: (seen.append(held[0]() is None), g)[1])(lambda x: x)

    def f(x):
        first = xp.exp(x)
        held.append(weakref.ref(first.data))
        return probe(xp.sum(first))

    jvp(f, (X,), (V,))
    assert seen == [True]
