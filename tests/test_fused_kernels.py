"""CuPy's fused kernels equal the definitions: their texts, compiled for the host.

`_host_cuda` runs them and `_cupy` stands for the library: all but the device is as on a GPU.
"""

import functools
import re
import shutil
import subprocess

import numpy as np
import pytest

import _backends
import _host_cuda
import lamina
import test_kernels
from lamina import backend as backends
from lamina import ops
from lamina.autograd import Tensor, differentiable, sweep
from lamina.kernels import launching, tracing
from lamina.ops._op import KERNELS, OPS

RNG = np.random.default_rng(0)
NUMPY = backends.get("numpy")
EXACT = {"float64": (1e-12, 1e-13), "float32": (1e-5, 1e-6), "float16": (4e-3, 4e-3)}
FUSED = sorted(name for name, kernels in KERNELS.items() if "cupy" in kernels)
CASES = [
    case for case in test_kernels.CASES
    if case[0] in FUSED and ("conv" not in case[0] or case[2].get("activation"))
]  # fmt: skip


class Home:
    """The library that stands for CuPy, as `test_kernels.run` wants a backend."""

    def __init__(self):
        self.backend = backends.get("cupy")
        self.xp = self.backend.xp
        self.asarray = self.backend.asarray

    def to_numpy(self, array):
        return array.get()


@pytest.fixture
def home(fake_cupy):
    if _host_cuda.COMPILER is None:  # they are C++: nothing else here runs them
        pytest.skip("there is no g++ to compile the kernels with")
    for kernels in launching.COMPILED:
        kernels.cache_clear()
    yield Home()
    for kernels in launching.COMPILED:
        kernels.cache_clear()


def launches(home, function, *args):
    """The result, and what was started for it: kernels, and functions that were used before."""
    names = []
    with backends.calls.counting(home.backend, names.append):
        return function(*args), names


def check(home, name, arrays, options, dtype):
    """Values and gradients of an op on the device's library, beside its definition's in float64.

    Returns the names of what was started.
    """
    made = OPS[name]
    arrays = [a if a is None or a.dtype.kind == "i" else a.astype(dtype) for a in arrays]
    ours, names = launches(
        home, test_kernels.run, home, lambda *a: made(*a, **options), name, arrays, dtype
    )
    xp = differentiable(NUMPY.xp)
    theirs = test_kernels.run(
        test_kernels._Plain, lambda *a: made.definition(xp, *a, **options), name, arrays, "float64"
    )
    for a, b in zip(ours[0] + ours[1], theirs[0] + theirs[1], strict=True):
        assert a.shape == b.shape and a.dtype == dtype
        rtol, atol = EXACT[dtype]
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol * max(1.0, np.abs(b).max(initial=0)))
    return names


@pytest.mark.parametrize("i", range(len(CASES)), ids=lambda i: f"{CASES[i][0]}-{i}")
def test_a_fused_kernel_equals_its_definition(home, i):
    check(home, *CASES[i], "float64")


def test_every_fused_kernel_serves_one_of_its_cases(home):
    for name in FUSED:
        served = False
        for _, arrays, options in [case for case in CASES if case[0] == name]:
            tensors = test_kernels.tensors_of(home, name, arrays, "float64")
            needs = tuple(t is not None and t.requires_grad for t in tensors)
            if name == "standardize":  # of frozen or moving statistics
                needs = (True, False, False, False, False)
            raws = [None if t is None else t.data for t in tensors]
            settings = {**OPS[name].defaults, **options}
            fast = KERNELS[name]["cupy"].__wrapped__
            served = served or fast(home.xp, needs, *raws, **settings) is not NotImplemented
        assert served, f"the fused kernel of {name} leaves every case alone"


ODD = np.array([-np.inf, -1e30, -200.0, -10.0, -1.0, -0.0, 0.0, 1e-30, 1.0, 10.0, 1e30, np.inf])
ALONE = [name for name in FUSED if OPS[name].arrays == ("x",) and len(OPS[name].options) < 2]


@pytest.mark.parametrize("name", [n for n in ALONE if "softmax" not in n])
def test_activations_of_the_largest_numbers_and_of_nan(home, name):
    x = np.concatenate([ODD, [np.nan]])
    made = OPS[name]
    got = made(home.asarray(x)).get()
    strict = backends.get("array_api_strict:device1")  # NumPy's own sigmoid does not reach 0
    with np.errstate(all="ignore"):
        expected = strict.to_numpy(made.definition(strict.xp, strict.asarray(x)))
    np.testing.assert_allclose(got, expected, rtol=1e-14, atol=1e-300)


@pytest.mark.parametrize("name", ["gelu", "mish", "relu", "selu", "sigmoid"])
def test_half_precision_is_rounded_once(home, name):
    x = (3 * RNG.normal(size=(7, 5))).astype("float16")
    check(home, name, (x,), {}, "float16")
    if name == "gelu":  # near 0 the share loses digits of float32 too
        return
    got = OPS[name](home.asarray(x))
    assert got.dtype == np.float16
    exact = OPS[name].definition(NUMPY.xp, x.astype("float64"))
    error = np.abs(got.get().astype("float64") - exact)
    assert (error <= np.spacing(np.abs(exact).astype("float16")).astype("float64") * 0.51).all()


def graph(function, *arrays):
    """What is computed forward, and the gradients of its sum back."""
    tensors = [Tensor(a, requires_grad=True) for a in arrays]
    lamina.xp.sum(function(*tensors)).backward()
    return [t.grad for t in tensors]


def test_activations_take_arrays_of_any_layout(home):
    x = RNG.normal(size=(4, 6, 5))
    for view in (x[:, ::2], x.transpose(2, 0, 1), np.broadcast_to(x[:1], x.shape), x[:0]):
        got = ops.silu(home.xp.asarray(view)).get()
        np.testing.assert_allclose(got, view / (1 + np.exp(-view)), rtol=1e-14)


def forward_and_back(home, function, *arrays):
    """What is started forward, and what back."""
    for _ in range(2):  # functions of the library are counted from the second use on
        tensors = [Tensor(a, requires_grad=True) for a in arrays]
        out, forward = launches(home, function, *tensors)
        outs = out if isinstance(out, tuple) else (out,)
        roots = [(o, home.asarray(RNG.normal(size=o.shape), "float32")) for o in outs]
        _, back = launches(home, sweep, roots)
    return forward, sorted(back)


def test_an_activation_is_one_launch_forward_and_one_back(home):
    x = home.asarray(RNG.normal(size=(3, 4)), "float32")
    assert forward_and_back(home, ops.mish, x) == (["activation"], ["activation_back"])


def test_bias_and_activation_are_one_launch_after_the_product(home):
    x, w, b = (home.asarray(RNG.normal(size=s), "float32") for s in ((5, 3), (3, 4), (4,)))
    forward, back = forward_and_back(
        home, lambda x, w, b: ops.dense(x, w, b, activation="selu"), x, w, b
    )
    assert forward == ["matmul", "activation"]
    assert back == ["activation_back", "matmul", "matmul", "sum"]


def crossentropies():
    """Rows and columns that divide nothing, one of each, more columns than a block has threads."""
    for rows, columns in ((1, 1), (1, 7), (7, 1), (13, 31), (5, 257), (2, 10_000)):
        logits = 3 * RNG.normal(size=(rows, columns))
        labels = RNG.integers(0, columns, rows)
        yield "softmax_crossentropy", (labels, logits), {}
        yield "softmax_crossentropy", (test_kernels.probabilities(rows, columns), logits), {}
        yield "sparse_categorical_crossentropy", (labels, logits), {"from_logits": True}
        dense = test_kernels.probabilities(rows, columns)
        smoothed = {"from_logits": True, "label_smoothing": 0.1}
        yield "categorical_crossentropy", (dense, logits), smoothed
        outputs = 2 * test_kernels.probabilities(rows, columns)
        yield "sparse_categorical_crossentropy", (labels, outputs), {}
        yield "categorical_crossentropy", (dense, outputs), {"label_smoothing": 0.1}
    logits = RNG.normal(size=(3, 2, 5))
    labels = RNG.integers(0, 5, (3, 2))
    yield "softmax_crossentropy", (labels, 1e4 * logits), {}
    yield "softmax_crossentropy", (test_kernels.one_hot(3, 2, 5), 30 * logits), {}
    yield (
        "sparse_categorical_crossentropy",
        (labels[..., None], 1e4 * logits),
        {"from_logits": True},
    )
    ignoring = {"from_logits": True, "ignore_class": 2}
    yield "sparse_categorical_crossentropy", (np.full((3, 2), 2), logits), ignoring
    some, outputs = {"ignore_class": 2}, test_kernels.probabilities(3, 2, 5)
    yield "sparse_categorical_crossentropy", (labels[..., None], outputs), some
    yield "sparse_categorical_crossentropy", (np.array(3), logits[0, 0]), {"from_logits": True}


def in_dtypes(cases):
    """All in float64; the larger ones, which round the most, in float32 too."""
    return [
        pytest.param((name, arrays, options), dtype, id=f"{name}-{dtype}")
        for name, arrays, options in cases
        for dtype in ("float64", "float32")
        if dtype == "float64" or max(a.size for a in arrays if a is not None) >= 1000
    ]


@pytest.mark.parametrize(("case", "dtype"), in_dtypes(crossentropies()))
def test_crossentropy_equals_its_definition(home, case, dtype):
    names = check(home, *case, dtype)
    assert len(CROSSENTROPY & {*names}) == 2


CROSSENTROPY = {
    "crossentropy", "crossentropy_back", "softmax_crossentropy", "softmax_crossentropy_back",
}  # fmt: skip


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("shape", [(1, 1), (7, 31), (2, 3, 257), (5,), (2, 10_000)])
def test_softmax_equals_its_definition(home, name, shape):
    x = 30 * RNG.normal(size=shape)
    for dtype in ("float64", "float32") if x.size >= 1000 else ("float64",):
        assert {name, f"{name}_back"} <= {*check(home, name, (x,), {}, dtype)}
    x.flat[0] = np.inf
    assert np.isnan(getattr(ops, name)(home.asarray(x)).get()).reshape(-1)[0]


def test_softmax_over_another_axis_is_left_to_the_portable_kernel(home):
    assert "softmax" not in check(
        home, "softmax", (RNG.normal(size=(3, 4)),), {"axis": 0}, "float64"
    )


def test_a_dense_layer_may_end_in_a_softmax(home):
    x, w, b = (home.asarray(RNG.normal(size=s), "float32") for s in ((5, 3), (3, 4), (4,)))
    layer = functools.partial(ops.dense, activation="softmax")
    forward, back = forward_and_back(home, layer, x, w, b)
    assert forward == ["matmul", "__add__", "softmax"]
    assert back == ["matmul", "matmul", "softmax_back", "sum"]


def test_an_empty_batch_has_no_crossentropy(home):
    for logits in (np.zeros((0, 3)), np.zeros((0, 2, 3))):
        labels = np.zeros(logits.shape[:-1], "int64")
        assert "softmax_crossentropy" not in check(
            home, "softmax_crossentropy", (labels, logits), {}, "float32"
        )


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("label", [0, 2])
def test_what_is_not_finite_stays_in_its_row(home, odd, label):
    logits = RNG.normal(size=(3, 5))
    logits[1, 2] = odd
    strict = backends.get("array_api_strict:device1")
    labels = np.array([1, label, 3])
    results = []
    for place in (home, strict):
        x = Tensor(place.asarray(logits), requires_grad=True)
        with np.errstate(invalid="ignore"):
            values, p = ops.softmax_crossentropy(place.asarray(labels, "int64"), x)
            lamina.xp.sum(values).backward()
        results.append([place.to_numpy(a) for a in (values.data, p.data, x.grad)])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-15)
        assert np.isfinite(ours[[0, 2]]).all()


def test_numbers_that_are_no_class_stand_for_no_class(home):
    """As in the definition; a device cannot raise without being waited for."""
    x = Tensor(home.asarray(RNG.normal(size=(3, 5))), requires_grad=True)
    values, _ = ops.softmax_crossentropy(home.asarray([-1, 5, 2**40], "int64"), x)
    lamina.xp.sum(values).backward()
    np.testing.assert_array_equal(values.data.get(), 0)
    np.testing.assert_array_equal(x.grad.get(), 0)


@pytest.mark.parametrize("from_logits", [True, False])
def test_rows_that_are_ignored_may_hold_anything(home, from_logits):
    logits = np.array([[np.nan, np.inf, 0.0], [1.0, 2.0, 3.0]])
    x = Tensor(home.asarray(logits), requires_grad=True)
    values = ops.sparse_categorical_crossentropy(
        home.asarray([-7, 2], "int64"), x, from_logits=from_logits, ignore_class=-7
    )
    lamina.xp.sum(values).backward()
    assert values.data.get()[0] == 0
    np.testing.assert_array_equal(x.grad.get()[0], 0)
    assert np.isfinite(x.grad.get()).all() and values.data.get()[1] > 0


@pytest.mark.parametrize("which", ["values", "probabilities", "both"])
def test_gradients_come_from_either_result(home, which):
    logits, labels = RNG.normal(size=(4, 5)), RNG.integers(0, 5, 4)
    weights = RNG.normal(size=4), RNG.normal(size=(4, 5))
    found = []
    for place, function in (
        (home, ops.softmax_crossentropy),
        (NUMPY, lambda *a: ops.softmax_crossentropy.definition(differentiable(NUMPY.xp), *a)),
    ):
        x = Tensor(place.asarray(logits, "float64"), requires_grad=True)
        outs = function(Tensor(place.asarray(labels, "int64")), x)
        roots = [(o, place.asarray(w, "float64")) for o, w in zip(outs, weights, strict=True)]
        wanted = {"values": roots[:1], "probabilities": roots[1:], "both": roots}[which]
        found.append(place.to_numpy(sweep(wanted)[x]))
    np.testing.assert_allclose(*found, rtol=1e-12, atol=1e-14)


def test_a_crossentropy_is_one_launch_forward_and_one_back(home):
    logits = home.asarray(RNG.normal(size=(3, 4)), "float32")
    labels = home.asarray([0, 1, 2], "int32")
    forward, back = forward_and_back(home, lambda x: ops.softmax_crossentropy(labels, x), logits)
    assert (forward, back) == (["softmax_crossentropy"], ["softmax_crossentropy_back"])


def test_one_gradient_for_all_rows_is_not_written_out(home):
    """As the mean's: a view in which one number is spread over all rows."""
    logits, labels = home.asarray(RNG.normal(size=(3, 4))), home.asarray([0, 1, 2], "int64")
    _, back = KERNELS["softmax_crossentropy"]["cupy"](home.xp, (False, True), labels, logits)
    spread = home.xp.broadcast_to(home.asarray(np.array(0.5)), (3,))
    assert spread.strides == (0,)
    whole = home.asarray(np.full(3, 0.5))
    np.testing.assert_array_equal(back((spread, None))[1].get(), back((whole, None))[1].get())


@pytest.mark.parametrize("labels", ["int8", "uint16", "int32", "uint64"])
def test_labels_may_be_of_any_integer_dtype(home, labels):
    y, logits = np.array([0, 2, 1]), RNG.normal(size=(3, 3))
    values, _ = ops.softmax_crossentropy(home.asarray(y.astype(labels)), home.asarray(logits))
    expected, _ = ops.softmax_crossentropy(y, logits)
    np.testing.assert_allclose(values.get(), expected, rtol=1e-12)


def test_half_precision_is_left_to_the_definition_which_makes_float32(home):
    logits = RNG.normal(size=(3, 4)).astype("float16")
    labels = home.asarray([0, 1, 2], "int64")
    (values, _), names = launches(home, ops.softmax_crossentropy, labels, home.asarray(logits))
    assert values.dtype == np.float32
    assert "softmax_crossentropy" not in names


def normalizations():
    """Rows that are one, that divide nothing, that need several chunks; as many columns."""
    for rows, columns in ((1, 1), (1, 5), (6, 1), (7, 31), (301, 3), (2, 10_000)):
        x, gamma, beta = (RNG.normal(size=s) for s in ((rows, columns), columns, columns))
        yield "layer_normalization", (x + 1, gamma, beta), {"epsilon": 1e-2}
        yield "rms_normalization", (x, gamma), {"epsilon": 1e-2}
    for shape, axis in (((1, 3), -1), ((301, 35), -1), ((9, 15, 8, 3), -1), ((3, 2, 50, 41), 1)):
        x, gamma, beta = (RNG.normal(size=s) for s in (shape, shape[axis], shape[axis]))
        yield "batch_normalization", (100 + 9 * x, gamma, beta), {"axis": axis}
    x = RNG.normal(size=(4, 3, 5))
    yield "layer_normalization", (x, RNG.normal(size=(3, 5)), None), {"axis": (1, 2)}
    yield "layer_normalization", (x, None, None), {"axis": (0, 1, 2)}
    yield "rms_normalization", (x, None), {}
    yield "batch_normalization", (x, None, None), {}


NORMALIZING = {"normalization", "normalization_back", "batch_moments", "batch_back"}


@pytest.mark.parametrize(("case", "dtype"), in_dtypes(normalizations()))
def test_normalization_equals_its_definition(home, case, dtype):
    assert len(NORMALIZING & {*check(home, *case, dtype)}) == 2


def test_options_may_be_numbers_of_any_type(home):
    x, y = RNG.normal(size=(4, 3)), np.array([0, 2, 1, 1])
    one = np.float32(1)
    for name, arrays, options in (
        ("layer_normalization", (x, None, None), {"epsilon": 1}),
        ("rms_normalization", (x, None), {"epsilon": one}),
        ("batch_normalization", (x, None, None), {"epsilon": 1}),
        ("sparse_categorical_crossentropy", (y, x), {"from_logits": True, "ignore_class": one}),
        ("categorical_crossentropy", (x, x), {"from_logits": True, "label_smoothing": 0.75 * one}),
    ):
        assert (
            len((NORMALIZING | CROSSENTROPY) & {*check(home, name, arrays, options, "float64")})
            == 2
        )


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("axis", [-1, 1])
def test_statistics_that_are_given_are_applied_in_one_launch(home, scale, axis):
    x = RNG.normal(size=(4, 5, 3))
    vectors = [RNG.normal(size=x.shape[axis]) for _ in range(4)]
    vectors[1] = vectors[1] ** 2
    if not scale:
        vectors[2:] = None, None
    found = []
    for place in (home, NUMPY):
        given = [None if v is None else place.asarray(v, "float64") for v in vectors]
        tensor = Tensor(place.asarray(x, "float64"), requires_grad=True)
        out, names = launches(home, lambda t, *v: ops.standardize(t, *v, axis=axis), tensor, *given)
        g = place.asarray(np.cos(np.arange(60.0)).reshape(x.shape), "float64")
        (dx,), more = launches(home, lambda o, g: sweep([(o, g)]).values(), out, g)
        found.append([place.to_numpy(a) for a in (out.data, dx)])
        if place is home:
            assert (names, more) == (["standardize"], ["standardize_back"])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)


def test_launches_of_normalizations(home):
    x, one = (home.asarray(RNG.normal(size=s), "float32") for s in ((6, 5), (5,)))
    long = home.asarray(RNG.normal(size=(900, 5)), "float32")
    for op, arrays, counted in (
        (ops.layer_normalization, (x, one, one), (1, 2)),
        (ops.rms_normalization, (x, one), (1, 2)),
        (ops.layer_normalization, (long, one, one), (1, 3)),
        (ops.batch_normalization, (x, one, one), (2, 2)),
        (ops.batch_normalization, (long, one, one), (3, 3)),
    ):
        for _ in range(2):
            tensors = [Tensor(a, requires_grad=True) for a in arrays]
            out, forward = launches(home, functools.partial(op, axis=-1), *tensors)
            out = out[0] if isinstance(out, tuple) else out
            _, back = launches(home, sweep, [(out, home.xp.zeros_like(out.data))])
        assert (len(forward), len(back)) == counted, (forward, back)


def test_what_normalization_does_not_serve_the_portable_kernels_do(home):
    x, gamma = RNG.normal(size=(4, 5, 6)), RNG.normal(size=5)
    for case in (
        ("layer_normalization", (x, gamma, gamma), {"axis": 1}),
        ("rms_normalization", (x, gamma), {"axis": 1}),
        ("layer_normalization", (x[:0], None, None), {}),
        ("batch_normalization", (x[:0], None, None), {}),
    ):
        assert not NORMALIZING & {*check(home, *case, "float64")}
    half, one = home.asarray(x.astype("float16")), home.asarray(gamma.astype("float16"))
    for op in (ops.batch_normalization, ops.layer_normalization):
        _, names = launches(home, lambda op=op: op(half, None, None))
        assert not NORMALIZING & {*names}
    _, names = launches(home, lambda: ops.standardize(half, one, one**2, axis=1))
    assert "standardize" not in names


@pytest.mark.parametrize("by_batch", [True, False])
def test_a_network_trains_as_on_numpy_in_few_launches(fake_cupy, home, by_batch):
    """Convolution, normalization, bias, activations and loss, all through the public face."""
    x = RNG.normal(size=(12, 6, 6, 2)).astype("float32")
    y = RNG.integers(0, 3, 12)

    def trained(place):
        lamina.utils.set_random_seed(0)
        layers = [
            lamina.layers.Input((6, 6, 2)),
            lamina.layers.Conv2D(4, 3, activation="selu"),
            *[lamina.layers.BatchNormalization()] * by_batch,
            lamina.layers.Flatten(),
            lamina.layers.Dense(8, activation="tanh"),
            lamina.layers.LayerNormalization(),
            lamina.layers.Dense(3, activation="softmax"),
        ]
        model = lamina.Sequential(layers, backend=place)
        model.compile("adam", "sparse_categorical_crossentropy")
        losses = [model.train_on_batch(x[k:], y[k:]) for k in range(4)]
        with backends.calls.counting(model.backend, names.append):
            losses.append(model.train_on_batch(x, y))
        with backends.calls.counting(model.backend, used.append):
            outputs = model.predict_on_batch(x)
        return losses, outputs

    names, used = [], []
    results = [trained("cupy")]
    assert (used.count("activation"), used.count("softmax")) == (2, 1)
    results.append(trained("numpy"))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    for name, count in (
        ("activation", 2), ("activation_back", 2), ("normalization", 1), ("normalization_back", 1),
        ("batch_moments", by_batch), ("standardize", by_batch), ("batch_back", by_batch),
        ("softmax_crossentropy", not by_batch), ("softmax_crossentropy_back", not by_batch),
        ("crossentropy", by_batch), ("crossentropy_back", by_batch), ("softmax", by_batch),
        ("update", 1),
    ):  # fmt: skip
        assert names.count(name) == count, name


def test_no_step_of_the_device_is_waited_for(home):
    x = home.asarray(RNG.normal(size=(5, 3)), "float32")
    w, b = (home.asarray(RNG.normal(size=s), "float32") for s in ((3, 4), (4,)))
    with backends.forbid_sync():
        graph(lambda x, w, b: ops.dense(x, w, b, activation="tanh"), x, w, b)


@pytest.mark.parametrize("options", [{"max_value": float("inf")}, {"threshold": np.float32(0.5)}])
def test_options_that_are_not_to_be_written_are_left_to_the_definition(home, options):
    x = 2 * RNG.normal(size=(3, 4))
    got, names = launches(home, lambda: ops.relu(home.asarray(x), **options))
    assert "activation" not in names
    np.testing.assert_array_equal(got.get(), ops.relu.definition(NUMPY.xp, x, **options))


def test_dtypes_without_a_kernel_are_left_to_others(home):
    x = np.arange(-3, 3)
    got, names = launches(home, lambda: ops.relu(home.xp.asarray(x)))
    assert "activation" not in names
    np.testing.assert_array_equal(got.get(), np.maximum(x, 0))
    mixed = home.asarray(RNG.normal(size=(2, 3)), "float32")
    with_wide_bias = (home.asarray(np.ones(3), "float64"), "relu")
    assert lamina.kernels.fused_activations.bent(mixed, *with_wide_bias) is None


def test_while_debugging_the_operations_are_done_one_by_one(home):
    x = home.asarray(RNG.normal(size=(3, 4)), "float32")
    with lamina.debug_nans():
        for _ in range(2):
            _, names = launches(home, ops.mish, x)
    assert "activation" not in names and "tanh" in names


def test_nothing_is_compiled_twice(home):
    for _ in range(3):
        for shape in ((3, 4), (2,)):
            ops.gelu(home.asarray(RNG.normal(size=shape), "float32"))
    info = launching._elementwise.cache_info()
    assert (info.misses, info.hits) == (1, 5)


def test_numbers_that_only_python_knows_end_the_tracing():
    for function in (lambda xp, x: x if x > 0 else -x, lambda xp, x: xp.sum(x), lambda xp, x: x[0]):
        with pytest.raises(launching.TRACED):
            launching.written(function, "x")


def raw_on_host(body, *args):
    """A kernel of one block of 32 threads, which is given ``out`` and the arguments."""
    told = "".join(f", {kind} a{i}" for i, (kind, _) in enumerate(args))
    text = f'extern "C" __global__ void f(float* out{told}) {{ {body} }}'
    return lambda out: _host_cuda.RawKernel(text, "f")((1,), (32,), (out, *[a for _, a in args]))


@pytest.mark.parametrize(
    ("body", "args", "words"),
    [
        ("out[0] = threadIdx.x;", (), "race"),
        ("out[threadIdx.x] = threadIdx.x ? out[threadIdx.x - 1] + 1 : 0;", (), "race"),
        ("if (threadIdx.x < 16) __syncthreads();", (), "do not reach a barrier"),
        ("out[0] = a0;", (("double", 1),), "double got 1"),
        ("out[0] = a0[0];", (("const double*", "out"),), "got an array of float32"),
        ("__syncthreads(); out[threadIdx.x] = threadIdx.x;", (), None),
    ],
)
def test_what_is_wrong_with_a_kernel_is_seen_without_a_device(home, body, args, words):
    out = home.asarray(np.zeros(32), "float32")
    run = raw_on_host(body, *[(kind, out if a == "out" else a) for kind, a in args])
    if words is None:
        run(out)
        np.testing.assert_array_equal(out.get(), np.arange(32))
    else:
        with pytest.raises(AssertionError, match=words):
            run(out)


def test_a_barrier_that_is_missing_is_seen(home, monkeypatch):
    loop = "half /= 2) {\n        __syncthreads();"
    assert loop in launching.REDUCTIONS
    without = launching.REDUCTIONS.replace(loop, "half /= 2) {")
    monkeypatch.setattr(launching, "REDUCTIONS", without)
    with pytest.raises(AssertionError, match="race"):
        ops.softmax(home.asarray(RNG.normal(size=(2, 40)), "float32"))


NVCC = shutil.which("nvcc")
ON_DEVICE = """
#include <cuda_fp16.h>
typedef __half float16;
"""


def as_elementwise(inputs, outputs, operation, preamble, element):
    """The text in a function, about as CuPy puts it there."""
    parameters = [part.split() for part in f"{inputs}, {outputs}".split(", ")]
    arrays = [f"{kind}* {name}in" for kind, name in parameters if kind == "E"]
    numbers = [f"double {name}" for kind, name in parameters if kind == "float64"]
    locals_ = "".join(f"E& {name} = {name}in[i]; " for kind, name in parameters if kind == "E")
    return (
        f"typedef {element} E;\n{preamble}\n__global__ void run({', '.join(arrays + numbers)}) "
        f"{{ const int i = threadIdx.x; {locals_}\n{operation}\n}}"
    )


@pytest.mark.skipif(NVCC is None, reason="there is no nvcc to compile the texts for a device")
def test_every_text_is_device_code(home, monkeypatch, tmp_path):
    """Of each op's first two cases, of long columns and of half precision."""
    for kind in (_host_cuda.ElementwiseKernel, _host_cuda.RawKernel):
        monkeypatch.setattr(kind, "made", [])
    for name in FUSED:
        for case in [case for case in CASES if case[0] == name and "conv" not in name][:2]:
            check(home, *case, "float64")
    chunked = [case for case in normalizations() if case[1][0].shape[0] == 301]
    for case in (*chunked, *list(crossentropies())[:4]):
        check(home, *case, "float64")
    check(home, "gelu", (RNG.normal(size=3),), {}, "float16")
    texts = [
        as_elementwise(*text, element)
        for text in _host_cuda.ElementwiseKernel.made
        for element in ("float16",) * ("typedef float T;" in text[2]) or ("float", "double")
    ]
    doubles = [text.replace('extern "C" ', "") for text in _host_cuda.RawKernel.made]
    texts += doubles + [text.replace("typedef double", "typedef float") for text in doubles]
    source = ON_DEVICE + "\n".join(
        f"namespace n{i} {{\n{_undefined(text)}{text}\n}}" for i, text in enumerate(texts)
    )
    (tmp_path / "all.cu").write_text(source)
    command = [
        NVCC,
        "-ptx",
        "-diag-suppress=177",
        "--Werror",
        "all-warnings",
        "-o",
        tmp_path / "all.ptx",
    ]
    done = subprocess.run(
        [*command, tmp_path / "all.cu"], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr


def _undefined(text):
    """Lines that forget what the text before may have defined."""
    return "".join(f"#undef {name}\n" for name in sorted({*re.findall(r"#define (\w+)", text)}))


def test_a_wrong_text_is_caught(home, monkeypatch):
    right = tracing.Trace.done
    monkeypatch.setattr(
        tracing.Trace, "done",
        lambda self, text, *a, **how: right(self, text.replace("tanh", "1.0001f * tanh"), *a, **how)
    )  # fmt: skip
    lamina.kernels.fused_activations._texts.cache_clear()
    try:
        with pytest.raises(AssertionError):
            check(home, "tanh", (RNG.normal(size=(3, 4)),), {}, "float32")
    finally:
        lamina.kernels.fused_activations._texts.cache_clear()


@pytest.mark.gpu
@pytest.mark.parametrize(("case", "dtype"), in_dtypes([*crossentropies(), *normalizations()]))
def test_on_the_device_they_equal_their_definitions(case, dtype):
    """Beyond what ``test_kernels.py`` runs there: the sizes at which blocks go round."""
    check(_backends.under_test("cupy"), *case, dtype)


@pytest.mark.gpu
def test_on_the_device_sums_are_the_same_every_time():
    place = _backends.under_test("cupy")
    arrays = [RNG.normal(size=s).astype("float32") for s in ((5000, 70), 70, 70)]
    for name in ("batch_normalization", "layer_normalization"):
        runs = [test_kernels.run(place, OPS[name], name, arrays, "float32") for _ in range(3)]
        first, *others = [[*values, *gradients] for values, gradients in runs]
        for again in others:
            for a, b in zip(again, first, strict=True):
                np.testing.assert_array_equal(a, b)
