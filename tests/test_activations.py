"""Activations: values against formulas and PyTorch, derivatives against finite differences, kernels
against definitions, and what happens far out."""

import math

import numpy as np
import pytest

import lamina
from lamina import Tensor, activations
from lamina.backend import namespace
from lamina.kernels.activations import FUSED
from lamina.ops._op import KERNELS, OPS
from lamina.ops.fully_connected import FUSABLE

E = np.exp


def _sparsemax(x):
    """The projection onto the simplex, its threshold found by bisection."""
    low, high = x.max(-1, keepdims=True) - 1, x.max(-1, keepdims=True)
    for _ in range(100):
        middle = (low + high) / 2
        more = np.maximum(x - middle, 0).sum(-1, keepdims=True) > 1
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    return np.maximum(x - low, 0)


def _normal_share(x):
    return np.vectorize(lambda v: 0.5 * math.erfc(-v / math.sqrt(2)))(x)


def _pieces(x, *pieces):
    """Piecewise: (condition, value) ..., the first that holds; in plain Python's order."""
    return np.select([c for c, _ in pieces], [np.broadcast_to(v, x.shape) for _, v in pieces])


# name, options, and what it is in NumPy, in float64 and without regard for large numbers
CASES = [
    ("linear", {}, lambda x: x),
    ("relu", {}, lambda x: x * (x > 0)),
    ("relu", {"negative_slope": 0.1}, lambda x: x * (x > 0) + 0.1 * x * (x < 0)),
    ("relu", {"max_value": 2.0}, lambda x: np.clip(x, 0, 2)),
    ("relu", {"threshold": 0.6}, lambda x: x * (x > 0.6)),
    (
        "relu",
        {"negative_slope": 0.2, "max_value": 1.5, "threshold": 0.5},
        lambda x: _pieces(x, (x >= 1.5, 1.5), (x > 0.5, x), (x == x, 0.2 * (x - 0.5))),
    ),
    ("leaky_relu", {}, lambda x: np.where(x > 0, x, 0.2 * x)),
    ("leaky_relu", {"negative_slope": 0.3}, lambda x: np.where(x > 0, x, 0.3 * x)),
    ("leaky_relu", {"negative_slope": 1.5}, lambda x: np.where(x > 0, x, 1.5 * x)),
    ("relu6", {}, lambda x: np.clip(x, 0, 6)),
    ("elu", {}, lambda x: np.where(x > 0, x, E(x) - 1)),
    ("elu", {"alpha": 0.5}, lambda x: np.where(x > 0, x, 0.5 * (E(x) - 1))),
    ("elu", {"alpha": -0.5}, lambda x: np.where(x > 0, x, -0.5 * (E(x) - 1))),
    (
        "selu",
        {},
        lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * (E(x) - 1)),
    ),
    ("celu", {"alpha": 2.0}, lambda x: np.where(x > 0, x, 2 * (E(x / 2) - 1))),
    ("sigmoid", {}, lambda x: 1 / (1 + E(-x))),
    ("log_sigmoid", {}, lambda x: -np.log(1 + E(-x))),
    ("hard_sigmoid", {}, lambda x: np.clip(x + 3, 0, 6) / 6),
    ("sparse_sigmoid", {}, lambda x: np.clip((x + 1) / 2, 0, 1)),
    ("softplus", {}, lambda x: np.log(1 + E(x))),
    (
        "sparse_plus",
        {},
        lambda x: _pieces(x, (x <= -1, 0.0), (x < 1, (x + 1) ** 2 / 4), (x == x, x)),
    ),
    ("squareplus", {}, lambda x: (x + np.sqrt(x * x + 4)) / 2),
    ("squareplus", {"b": 0.5}, lambda x: (x + np.sqrt(x * x + 0.5)) / 2),
    ("silu", {}, lambda x: x / (1 + E(-x))),
    ("hard_silu", {}, lambda x: x * np.clip(x + 3, 0, 6) / 6),
    ("gelu", {}, lambda x: x * _normal_share(x)),
    (
        "gelu",
        {"approximate": True},
        lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    ),
    ("mish", {}, lambda x: x * np.tanh(np.log(1 + E(x)))),
    ("tanh", {}, lambda x: (E(x) - E(-x)) / (E(x) + E(-x))),
    ("hard_tanh", {}, lambda x: np.clip(x, -1, 1)),
    ("tanh_shrink", {}, lambda x: x - np.tanh(x)),
    ("soft_shrink", {}, lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0)),
    ("hard_shrink", {"threshold": 0.8}, lambda x: x * (np.abs(x) > 0.8)),
    ("threshold", {"threshold": 0.1, "default_value": 20}, lambda x: np.where(x > 0.1, x, 20.0)),
    ("softsign", {}, lambda x: x / (1 + np.abs(x))),
    ("exponential", {}, E),
    ("softmax", {}, lambda x: E(x) / E(x).sum(-1, keepdims=True)),
    ("softmax", {"axis": 0}, lambda x: E(x) / E(x).sum(0, keepdims=True)),
    ("softmax", {"axis": (0, 1)}, lambda x: E(x) / E(x).sum()),
    ("log_softmax", {}, lambda x: x - np.log(E(x).sum(-1, keepdims=True))),
    ("log_softmax", {"axis": 0}, lambda x: x - np.log(E(x).sum(0, keepdims=True))),
    ("sparsemax", {}, _sparsemax),
    ("sparsemax", {"axis": 0}, lambda x: _sparsemax(x.T).T),
    ("glu", {}, lambda x: x[:, :3] / (1 + E(-x[:, 3:]))),
    ("glu", {"axis": 0}, lambda x: x[:2] / (1 + E(-x[2:]))),
]
IDS = [name + "".join(f" {k}={v}" for k, v in options.items()) for name, options, _ in CASES]
X = np.random.default_rng(5).standard_normal((4, 6)) * 3

each_case = pytest.mark.parametrize(("name", "options", "formula"), CASES, ids=IDS)
each_name = pytest.mark.parametrize("name", sorted({name for name, _, _ in CASES}))


def options_of(name):
    return {"threshold": 0.1, "default_value": 20.0} if name == "threshold" else {}


def raw(x):
    return getattr(x, "data", x) if isinstance(x, Tensor) else x


def value_and_pullback(f, x, g):
    """f(x), and the gradient at x of the sum of g * f(x)."""
    t = Tensor(x, requires_grad=True)
    out = f(t)
    out.backward(g)
    return out.data, t.grad


def spread(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_every_activation_has_a_case():
    public = set(activations.__all__) - {"get", "serialize", "deserialize"}
    assert public - {"swish", "hard_swish"} == {name for name, _, _ in CASES}
    assert all(callable(getattr(activations, name)) for name in public)


@each_case
def test_values(backend, name, options, formula):
    f = getattr(activations, name)
    for dtype, tolerance in (("float64", 1e-12), ("float32", 2e-6)):
        x = backend.asarray(X, dtype)
        for out in (f(x, **options), f.definition(backend.xp, x, **options)):
            assert out.dtype == x.dtype
            assert backend.backend.owns(out)
            expected = formula(X.astype(dtype).astype("float64"))
            np.testing.assert_allclose(backend.to_numpy(out), expected, tolerance, tolerance)


@each_case
def test_options_also_by_position(name, options, formula):
    f = getattr(activations, name)
    given = list(f.options)[: len(options)]
    if list(options) == given:
        np.testing.assert_array_equal(f(X, *options.values()), f(X, **options))


@each_case
def test_gradients_of_both_orders(backend, name, options, formula):
    """Of the op (kernel, then definition) and of the definition alone, along random directions."""
    op, h = getattr(activations, name), 1e-6
    v = backend.asarray(spread(X.shape, 1))
    w = backend.asarray(np.cos(np.arange(formula(X).size)).reshape(formula(X).shape))
    xp = lamina.autograd.differentiable(backend.xp)

    def number(x):
        return backend.backend.scalar(raw(x))

    for f in (op, lambda x, **options: op.definition(namespace_of(x), x, **options)):

        def first(x, f=f):
            out = f(x, **options)
            return xp.sum(out * out * w)

        def second(x, first=first):
            return xp.sum(lamina.grad(first)(x) * v)

        for value in (first, second):
            found = number(xp.sum(raw(lamina.grad(value)(backend.asarray(X))) * v))
            up, down = (backend.asarray(X + s * backend.to_numpy(v)) for s in (h, -h))
            expected = (number(value(up)) - number(value(down))) / (2 * h)
            assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)


def namespace_of(x):
    return lamina.autograd.differentiable(namespace(raw(x)))


KERNEL_CASES = [
    pytest.param(name, options, id=f"{name} {options or ''}".strip())
    for name, options, _ in CASES
    if KERNELS.get(name)
]


def test_every_kernel_has_a_case():
    own = {name for name in KERNELS if KERNELS[name] and name in activations.__all__}
    assert own == {case.values[0] for case in KERNEL_CASES}
    assert FUSED.keys() <= {name for name, _, _ in CASES}
    assert FUSED.keys() == set(FUSABLE.values())


LAYOUTS = {
    "one number": lambda: np.asarray(0.3),
    "empty": lambda: np.ones((0, 6)),
    "vector": lambda: spread(6),
    "transposed": lambda: spread((6, 4)).T,
    "strided": lambda: spread((8, 12))[::2, ::-2],
    "large": lambda: 3 * spread((60, 70)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("name", "options"), KERNEL_CASES)
def test_kernels_equal_definitions(backend, name, options, dtype, layout):
    x = LAYOUTS[layout]().astype(dtype)
    axis = options.get("axis", -1)
    if "softmax" in name and (
        x.ndim < (len(axis) if isinstance(axis, tuple) else 1)
        or any(x.shape[a] == 0 for a in np.atleast_1d(axis))
    ):
        pytest.skip("there is no softmax of no numbers")
    op = getattr(activations, name)
    raw_x = backend.asarray(x, dtype)
    if backend.name.startswith("numpy"):
        raw_x = x.copy(order="K") if layout != "strided" else x
        raw_x.flags.writeable = backend.name == "numpy"
    g = backend.asarray(spread(x.shape, 2), dtype)
    before = backend.to_numpy(raw_x).copy(), backend.to_numpy(g).copy()
    out, gradient = value_and_pullback(lambda t: op(t, **options), raw_x, g)
    want, want_gradient = value_and_pullback(
        lambda t: op.definition(namespace_of(t), t, **options), raw_x, g
    )
    for found, expected in ((out, want), (gradient, want_gradient)):
        assert found.dtype == expected.dtype == raw_x.dtype
        assert found.shape == expected.shape
        assert backend.backend.owns(found)
        tolerance = 1e-12 if dtype == "float64" else 3e-6
        np.testing.assert_allclose(
            backend.to_numpy(found), backend.to_numpy(expected), tolerance, tolerance
        )
    np.testing.assert_array_equal(backend.to_numpy(raw_x), before[0])
    np.testing.assert_array_equal(backend.to_numpy(g), before[1])


@pytest.mark.parametrize("name", sorted(FUSED))
@pytest.mark.parametrize("shape", [(3, 5), (70, 60), (0, 4), (2, 3, 4)])
def test_fused_pairs_equal_definitions(name, shape):
    forward, backward = FUSED[name]
    x, g = spread(shape) * 3, spread(shape, 1)
    want, want_gradient = value_and_pullback(
        lambda t: getattr(activations, name).definition(namespace_of(t), t), x, g
    )
    out = forward(x.copy())
    np.testing.assert_allclose(out, want, 1e-12, 1e-12)
    kept, kept_g = out.copy(), g.copy()
    np.testing.assert_allclose(backward(g, out), want_gradient, 1e-10, 1e-10)
    np.testing.assert_array_equal(out, kept)
    np.testing.assert_array_equal(g, kept_g)


FAR = [-1e30, -1e10, -1000.0, -90.0, -20.0, -1e-30, 0.0, 1e-30, 20.0, 90.0, 1000.0, 1e10, 1e30]


@each_name
def test_far_out_nothing_overflows(backend, name):
    """Warnings are errors; values and gradients of float32 stay finite, by op and definition."""
    far = [v for v in FAR if v < 80] if name == "exponential" else [*FAR, -1e30]
    x = backend.asarray(np.array([far, far[::-1]]), "float32")
    op = getattr(activations, name)
    for f in (op, lambda t, **options: op.definition(namespace_of(t), t, **options)):
        shape = backend.to_numpy(raw(f(x, **options_of(name)))).shape
        g = backend.asarray(np.ones(shape), "float32")
        for found in value_and_pullback(lambda t, f=f: f(t, **options_of(name)), x, g):
            assert np.isfinite(backend.to_numpy(found)).all()


# NumPy's logaddexp says so when it meets one; the kernels do not.
@pytest.mark.filterwarnings("ignore:invalid value encountered in logaddexp:RuntimeWarning")
@each_name
def test_nan_stays_nan(backend, name):
    x = backend.asarray(np.array([math.nan, 1.0, math.nan, -1.0]), "float32")
    op = getattr(activations, name)
    for f in (op, lambda t, **options: op.definition(namespace_of(t), t, **options)):
        out = backend.to_numpy(raw(f(x, **options_of(name))))
        assert np.isnan(out[0])


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("relu", 0, math.inf),
        ("relu6", 0, 6),
        ("leaky_relu", -math.inf, math.inf),
        ("elu", -1, math.inf),
        ("sigmoid", 0, 1),
        ("hard_sigmoid", 0, 1),
        ("softplus", 0, math.inf),
        ("log_sigmoid", -math.inf, 0),
        ("tanh", -1, 1),
        ("hard_tanh", -1, 1),
        ("exponential", 0, math.inf),
    ],
)
def test_limits_at_infinity(backend, name, low, high):
    x = backend.asarray(np.array([-math.inf, math.inf]), "float32")
    op = getattr(activations, name)
    tiny = float(np.finfo("float32").tiny)  # what is smaller than any normal number counts as 0
    for out in (op(x), op.definition(backend.xp, x)):
        np.testing.assert_allclose(backend.to_numpy(out), [low, high], rtol=0, atol=tiny)


@pytest.mark.parametrize(
    ("name", "at", "slope"),
    [
        ("relu", 0, 0),
        ("relu6", 0, 0),
        ("relu6", 6, 0),
        ("leaky_relu", 0, 0.2),
        ("elu", 0, 1),
        ("hard_sigmoid", 3, 0),
        ("hard_tanh", -1, 0),
        ("soft_shrink", 0.5, 0),
        ("hard_shrink", 0.5, 0),
        ("sigmoid", 0, 0.25),
        ("softplus", 0, 0.5),
        ("silu", 0, 0.5),
        ("gelu", 0, 0.5),
        ("mish", 0, 0.6),
        ("softsign", 0, 1),
    ],
)
def test_derivatives_at_kinks_and_at_zero(backend, name, at, slope):
    op = getattr(activations, name)
    x, g = backend.asarray([float(at)], "float64"), backend.asarray([1.0], "float64")
    for f in (op, lambda t: op.definition(namespace_of(t), t)):
        _, found = value_and_pullback(f, x, g)
        assert backend.to_numpy(found)[0] == pytest.approx(slope, rel=1e-12)


def test_second_derivatives_at_zero():
    for name, curvature in (("sigmoid", 0.0), ("softplus", 0.25), ("silu", 0.5), ("tanh", 0.0)):
        f = getattr(activations, name)
        assert lamina.grad(lamina.grad(f))(np.asarray(0.0)) == pytest.approx(curvature, abs=1e-12)


def test_the_tails_keep_their_digits():
    """Relative accuracy in float32, where 1 minus something would leave none."""
    x = np.array([-15.0, -10.0, -5.0], "float32")
    exact = x.astype("float64")
    for name, expected in (
        ("sigmoid", 1 / (1 + E(-exact))),
        ("softplus", np.log1p(E(exact))),
        ("silu", exact / (1 + E(-exact))),
        ("squareplus", 2 / (np.sqrt(exact**2 + 4) - exact)),
    ):
        np.testing.assert_allclose(getattr(activations, name)(x), expected, 2e-6)
    np.testing.assert_allclose(activations.log_sigmoid(-x), -np.log1p(E(exact)), 2e-6)
    np.testing.assert_allclose(activations.elu(x / 1e5), np.expm1(exact / 1e5), 2e-6)


def test_softmax_ignores_a_common_shift_and_masked_scores():
    x = np.array([[1e4, 1e4 + 1, -math.inf]], "float32")
    expected = [[1 / (1 + math.e), math.e / (1 + math.e), 0]]
    np.testing.assert_allclose(activations.softmax(x), expected, 1e-6)
    np.testing.assert_allclose(E(activations.log_softmax(x)), expected, 1e-6)
    np.testing.assert_allclose(activations.sparsemax(x), [[0, 1, 0]])


TORCH = {
    "relu": "relu", "relu6": "relu6", "elu": "elu", "selu": "selu", "celu": "celu",
    "silu": "silu", "gelu": "gelu", "mish": "mish", "softplus": "softplus", "softsign": "softsign",
    "log_sigmoid": "logsigmoid", "hard_sigmoid": "hardsigmoid", "hard_silu": "hardswish",
    "hard_tanh": "hardtanh", "tanh_shrink": "tanhshrink", "soft_shrink": "softshrink",
    "hard_shrink": "hardshrink", "glu": "glu", "softmax": lambda t: t.softmax(-1),
    "log_softmax": lambda t: t.log_softmax(-1),
    "leaky_relu": lambda t: t.clip(min=0) + 0.2 * t.clip(max=0),
    "sigmoid": lambda t: t.sigmoid(), "tanh": lambda t: t.tanh(),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(TORCH))
def test_values_and_gradients_are_pytorchs(name):
    torch = pytest.importorskip("torch")
    theirs = TORCH[name]
    theirs = getattr(torch.nn.functional, theirs) if isinstance(theirs, str) else theirs
    t = torch.tensor(X, requires_grad=True)
    want = theirs(t)
    g = spread(tuple(want.shape), 3)
    want.backward(torch.tensor(g))
    out, gradient = value_and_pullback(getattr(activations, name), X, g)
    np.testing.assert_allclose(out, want.detach().numpy(), 1e-9, 1e-9)
    tolerance = 1e-7 if name == "hard_sigmoid" else 1e-9  # whose 1/6 is a float32 in PyTorch
    np.testing.assert_allclose(gradient, t.grad.numpy(), tolerance, tolerance)


def test_integers_are_taken_as_real_numbers():
    np.testing.assert_allclose(activations.sigmoid(np.array([0, 1])), [0.5, 1 / (1 + E(-1))])
    np.testing.assert_array_equal(activations.relu(np.array([-2, 3])), [0, 3])


@each_name
def test_get_and_serialize(name):
    f = activations.get(name)
    assert f is getattr(activations, name) is OPS[name]
    assert activations.get(f) is f
    assert activations.deserialize(activations.serialize(f)) is f


def test_get_understands_aliases_none_and_functions():
    assert activations.get("swish") is activations.silu
    assert activations.get("hard_swish") is activations.hard_silu
    assert activations.get(None) is activations.linear
    assert activations.get(np.sin) is np.sin


def test_unknown_names_get_the_nearest_right_one():
    with pytest.raises(ValueError, match="unknown activation 'sigmiod': did you mean 'sigmoid'"):
        activations.get("sigmiod")
    with pytest.raises(TypeError, match="by its name, such as 'relu', or as a function, got 3"):
        activations.get(3)


def test_functions_of_ones_own():
    def twice(x):
        return 2 * x

    assert activations.serialize(twice) == "twice"
    assert activations.deserialize("twice", {"twice": twice}) is twice
    with pytest.raises(ValueError, match="saved by its name, got a lambda"):
        activations.serialize(lambda x: x)


def test_glu_needs_two_halves():
    with pytest.raises(ValueError, match=r"axis -1 must have an even length, got shape \(2, 3\)"):
        activations.glu(np.ones((2, 3)))
