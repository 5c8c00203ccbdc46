"""Every kernel equals its op's definition, in values and in gradients.

A kernel without a case here fails the suite.
"""

import inspect
import subprocess
import sys

import numpy as np
import pytest

import lamina
import lamina.kernels
from lamina import ops
from lamina.autograd import Tensor, differentiable, sweep, vertex_of
from lamina.ops._op import KERNELS, OPS, kernel, op

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape)


def probabilities(*shape):
    e = np.exp(normal(*shape))
    return e / e.sum(axis=-1, keepdims=True)


def one_hot(*shape):
    return np.eye(shape[-1])[RNG.integers(0, shape[-1], shape[:-1])]


def convolutions():
    """Every form of every convolution, in one, two and three dimensions."""
    first = {"data_format": "channels_first"}
    for name, more, filters in (
        ("conv", {}, (2, 3)), ("depthwise_conv", {}, (2, 2)), ("conv_transpose", {}, (3, 2)),
    ):  # fmt: skip
        bias = 4 if name == "depthwise_conv" else 3
        for image in ((7,), (5, 6), (4, 3, 5)):
            for strides, dilation in ((1, 1), (2, 1), (1, 2)):
                padding = "same" if dilation == 2 else "valid"
                options = {"strides": strides, "dilation_rate": dilation, "padding": padding}
                kernel = normal(*(3, 2, 2)[: len(image)], *filters)
                yield name, (normal(2, *image, 2), kernel, normal(bias)), {**options, **more}
        kernel = normal(3, 2, *filters)
        same = {"padding": "same", "strides": (3, 2)}
        yield name, (normal(2, 2, 5, 4), kernel, normal(bias)), {**same, **first}
        yield name, (normal(0, 5, 4, 2), kernel, None), {"activation": "relu"}
        yield name, (normal(2, 5, 1, 2), kernel, normal(bias)), {**same, "activation": "selu"}
        yield name, (normal(1, 2, 5, 4), kernel, normal(bias)), {**first, "activation": "softmax"}
    causal = {"padding": "causal", "dilation_rate": 2}
    yield "conv", (normal(2, 6, 2), normal(2, 2, 3), normal(3)), causal
    yield "depthwise_conv", (normal(2, 6, 2), normal(2, 2, 3), normal(6)), causal
    yield "conv", (normal(1, 140, 2), normal(2, 2, 3), normal(3)), {"padding": "same"}  # in turns
    yield "conv", (normal(2, 4, 4, 40), normal(1, 1, 40, 2), None), {"activation": "tanh"}
    yield "conv", (normal(2, 4, 4, 4), normal(3, 3, 2, 6), normal(6)), {"groups": 2}
    yield "conv", (normal(2, 4, 4, 4), normal(3, 3, 1, 8), normal(8)), {"groups": 4, "strides": 2}
    for p in (0, 1):
        options = {"strides": 2, "output_padding": p, "padding": "same"}
        yield "conv_transpose", (normal(2, 3, 4, 2), normal(3, 2, 3, 2), None), options


def pooled_convolutions():
    """Convolutions whose last windows the pooling leaves out, and others."""
    x, bias = normal(2, 8, 9, 2), normal(3)
    kernel = normal(3, 2, 2, 3)
    for options in (
        {},
        {"strides": 2, "padding": "same", "pool_size": (3, 2), "pool_strides": (1, 2)},
        {"dilation_rate": 2, "padding": "same", "pool_padding": "same"},
        {"pool_size": 3, "pool_strides": 2, "padding": "same"},
    ):
        yield "conv_max_pool", (x, kernel, bias), options
    yield "conv_max_pool", (x, kernel, None), {"pool_size": (4, 1), "pool_strides": (1, 3)}
    yield "conv_max_pool", (x, kernel, bias), {"activation": "relu", "pool_size": (2, 3)}
    yield "conv_max_pool", (x, kernel, bias), {"activation": "softmax", "padding": "same"}
    yield "conv_max_pool", (normal(2, 2, 6, 7), kernel, bias), {"data_format": "channels_first"}
    yield "conv_max_pool", (normal(0, 8, 9, 2), kernel, bias), {}
    yield "conv_max_pool", (normal(2, 6, 6, 4), normal(2, 2, 2, 6), normal(6)), {"groups": 2}
    yield "conv_max_pool", (normal(2, 6, 6, 4), normal(2, 2, 1, 8), normal(8)), {"groups": 4}
    yield "conv_max_pool", (normal(1, 140, 2), normal(2, 2, 3), bias), {"pool_size": 3}
    yield "conv_max_pool", (normal(1, 4, 6, 5, 2), normal(1, 2, 2, 2, 3), bias), {}


ELEMENTWISE = (
    "elu", "exponential", "gelu", "hard_sigmoid", "leaky_relu", "log_sigmoid", "log_softmax",
    "relu", "relu6", "selu", "sigmoid", "silu", "softmax", "softplus", "softsign", "tanh",
)  # fmt: skip
FUSED_ALONE = (
    "celu", "hard_shrink", "hard_silu", "hard_tanh", "mish", "soft_shrink", "sparse_plus",
    "sparse_sigmoid", "squareplus", "tanh_shrink",
)  # fmt: skip
SHAPES = ((), (3,), (4, 5), (2, 3, 4), (64, 80))
LABELS = np.array([1, 0, 4, 2])
CERTAIN = np.array(  # probabilities that are cut, above and below, beside some that are not
    [[1, 1e-9, 0, 0, 0], [1, 0, 0, 0, 1e-9], [0.1, 0.3, 0.2, 0.4, 0], [1e-9, 0, 0, 1, 0]]
)

POOLED = [
    ((2, 6, 4, 3), {}),
    ((2, 5, 7, 2), {}),
    ((2, 7, 6, 1), {"pool_size": 3, "strides": 2, "padding": "same"}),
    ((2, 5, 6, 3), {"pool_size": (3, 2), "strides": 1}),
    ((2, 3, 5, 6), {"strides": 3, "data_format": "channels_first"}),
    ((0, 4, 4, 2), {}),
    ((2, 9, 2), {"pool_size": 4, "strides": 3, "padding": "same"}),
    ((1, 4, 6, 5, 2), {"pool_size": (1, 2, 3)}),
]
ADAPTED = [
    ((2, 6, 4, 3), {"output_size": 2}),
    ((2, 7, 5, 3), {"output_size": (3, 4)}),
    ((2, 3, 6, 2), {"output_size": (3, 1), "data_format": "channels_first"}),
    ((2, 3, 2), {"output_size": 5}),
    ((0, 4, 4, 2), {"output_size": 1}),
]
GLOBAL = [
    ((2, 5, 4, 3), {}),
    ((2, 3, 5), {"data_format": "channels_first"}),
    ((2, 2, 3, 4, 2), {"keepdims": True}),
]
RESIZED = [
    ((2, 3, 4, 2), {"size": (6, 5)}),
    ((2, 5, 7, 1), {"size": (3, 9), "interpolation": "nearest"}),
    ((2, 2, 5, 7), {"size": 3, "interpolation": "bicubic", "data_format": "channels_first"}),
    ((2, 9, 2), {"size": 4, "interpolation": "lanczos3", "antialias": True}),
    ((0, 4, 4, 2), {"size": 2, "antialias": True}),
]

# Name of the op, its arrays (integers get no gradient), its options.
CASES = [
    *[(name, (normal(*shape),), {}) for name in ELEMENTWISE for shape in SHAPES
      if not (shape == () and "softmax" in name)],
    *[(name, (2 * normal(4, 5),), {}) for name in FUSED_ALONE],
    ("threshold", (normal(4, 5),), {"threshold": 0.5, "default_value": 2.0}),
    ("gelu", (normal(4, 5),), {"approximate": True}),
    ("leaky_relu", (normal(4, 5),), {"negative_slope": 0.01}),
    ("relu", (3 * normal(4, 5),), {"negative_slope": 0.1, "max_value": 2.0, "threshold": 0.5}),
    ("elu", (normal(4, 5),), {"alpha": 0.5}),
    ("softmax", (normal(4, 5, 3),), {"axis": 1}),
    ("log_softmax", (normal(4, 5, 3),), {"axis": 0}),
    *[("dense", (normal(*lead, 3), normal(3, 4), normal(4)), {"activation": activation})
      for lead in ((2,), (5, 2), (0,))
      for activation in ("linear", "relu", "selu", "softmax", "tanh")],
    ("dense", (normal(5, 3), normal(3, 4), None), {"activation": "sigmoid"}),
    *convolutions(),
    *pooled_convolutions(),
    ("flatten", (normal(4, 2, 3),), {}),
    ("flatten", (normal(0, 2, 3),), {}),
    *[(name, (normal(*shape),), options) for shape, options in POOLED
      for name in ("average_pool", "max_pool")],
    *[(name, (normal(*shape),), options) for shape, options in ADAPTED
      for name in ("adaptive_average_pool", "adaptive_max_pool")],
    *[(name, (normal(*shape),), options) for shape, options in GLOBAL
      for name in ("global_average_pool", "global_max_pool")],
    *[("resize", (normal(*shape),), options) for shape, options in RESIZED],
    ("up_sample", (normal(2, 3, 4, 2),), {}),
    ("pad", (normal(2, 3),), {"pad_width": ((0, 0), (1, 2)), "value": -1.0}),
    ("pad", (normal(0, 3, 2),), {"pad_width": ((0, 0), (0, 0), (0, 1))}),
    ("crop", (normal(2, 5, 4),), {"cropping": ((0, 0), (1, 2), (0, 1))}),
    ("permute", (normal(2, 3, 4),), {"axes": (2, 0, 1)}),
    ("repeat_vector", (normal(2, 3),), {"n": 4}),
    ("up_sample", (normal(2, 2, 3, 4),), {
        "size": (3, 2), "interpolation": "bilinear", "data_format": "channels_first"}),
    ("rescale", (normal(4, 3),), {"scale": 0.5, "offset": -1.0}),
    ("rescale", (normal(4, 3),), {"scale": 2}),
    *[(name, (normal(4, 3), normal(4, 3)), {}) for name in
      ("mean_absolute_error", "mean_squared_error", "sum_of_squares")],
    ("mean_squared_error", (normal(4, 1), normal(4, 1)), {}),
    ("mean_squared_error", (normal(4, 2, 3), normal(4, 2, 3)), {}),
    ("binary_crossentropy", (one_hot(4, 3), probabilities(4, 3)), {}),
    ("binary_crossentropy", (one_hot(4, 3), normal(4, 3)), {"from_logits": True}),
    ("binary_crossentropy", (one_hot(4, 3), probabilities(4, 3)), {"label_smoothing": 0.1}),
    ("categorical_crossentropy", (one_hot(4, 5), probabilities(4, 5)), {}),
    ("binary_crossentropy", (one_hot(4, 3), CERTAIN[:, :3]), {}),
    ("categorical_crossentropy", (probabilities(4, 5), CERTAIN), {}),
    ("categorical_crossentropy", (one_hot(4, 5), 100 * normal(4, 5)), {"from_logits": True}),
    ("categorical_crossentropy", (2 * probabilities(4, 5), normal(4, 5)), {"from_logits": True}),
    ("sparse_categorical_crossentropy", (LABELS, probabilities(4, 5)), {}),
    ("sparse_categorical_crossentropy", (LABELS, CERTAIN), {}),
    ("sparse_categorical_crossentropy", (LABELS, normal(4, 5)), {"from_logits": True}),
    ("sparse_categorical_crossentropy", (LABELS, 100 * normal(4, 5)), {"from_logits": True}),
    ("sparse_categorical_crossentropy", (LABELS, probabilities(4, 5)), {"ignore_class": 0}),
    ("sparse_categorical_crossentropy", (LABELS[:, None], normal(4, 5)), {"from_logits": True}),
    ("softmax_crossentropy", (LABELS, normal(4, 5)), {}),
    ("softmax_crossentropy", (LABELS, 100 * normal(4, 5)), {}),
    ("softmax_crossentropy", (one_hot(4, 5), normal(4, 5)), {}),
    ("softmax_crossentropy", (probabilities(4, 5), 100 * normal(4, 5)), {}),
    *[("batch_normalization", (3 + normal(*shape), normal(shape[axis]), normal(shape[axis])),
       {"axis": axis})
      for shape, axis in (((6, 3), -1), ((4, 5, 5, 3), -1), ((4, 3, 5), 1), ((3, 1, 1), -1),
                          ((8, 6, 4), -1), ((0, 3), -1))],
    ("batch_normalization", (normal(4, 5, 3), None, normal(3)), {"epsilon": 1e-5}),
    ("batch_normalization", (normal(4, 3, 5), normal(3), None), {"axis": -2}),
    *[("standardize", (normal(*shape), normal(shape[axis]), probabilities(shape[axis]),
                       normal(shape[axis]), normal(shape[axis])), {"axis": axis})
      for shape, axis in (((6, 3), -1), ((4, 3, 5), 1), ((0, 3), -1))],
    ("standardize", (normal(4, 5, 3), normal(3), probabilities(3), None, None), {}),
    *[("layer_normalization", (normal(4, 5, 6), normal(*along), normal(*along)), {"axis": axis})
      for axis, along in ((-1, (6,)), ((1, 2), (5, 6)), (1, (5,)))],
    ("layer_normalization", (normal(4, 5, 6), None, normal(6)), {}),
    ("layer_normalization", (normal(0, 6), normal(6), None), {}),
    *[("group_normalization", (normal(4, 5, 6), normal(6), normal(6)), {"groups": groups})
      for groups in (1, 2, 6)],
    ("group_normalization", (normal(4, 6, 5, 2), normal(6), None), {"groups": 3, "axis": 1}),
    ("group_normalization", (normal(0, 5, 6), None, normal(6)), {"groups": 3}),
    *[("rms_normalization", (normal(4, 5, 6), normal(*along)), {"axis": axis})
      for axis, along in ((-1, (6,)), ((1, 2), (5, 6)), (1, (5,)))],
    ("rms_normalization", (normal(4, 5), None), {"epsilon": 1e-3}),
]  # fmt: skip


def registered():
    return {name for name, kernels in KERNELS.items() if kernels and not name.startswith("test_")}


def test_every_kernel_has_a_case_that_it_serves():
    place = lamina.backend.get("numpy")
    for name in registered():
        for namespace, fast in KERNELS[name].items():
            if namespace == "cupy":  # ``test_fused_kernels.py`` has those
                continue
            served = False
            for arrays, options in [case[1:] for case in CASES if case[0] == name]:
                tensors = tensors_of(place, name, arrays, "float64")
                needs = tuple(t is not None and t.requires_grad for t in tensors)
                raws = [None if t is None else t.data for t in tensors]
                settings = {**OPS[name].defaults, **options}
                served = served or fast(place.xp, needs, *raws, **settings) is not NotImplemented
            assert served, f"the kernel of {name} for {namespace} leaves every case alone"


def tensors_of(backend, name, arrays, dtype):
    """The arguments of an op: targets are constants, as kernels of losses want them."""
    made = []
    for parameter, array in zip(OPS[name].arrays, arrays, strict=False):
        if array is None:
            made.append(None)
        elif array.dtype.kind == "i":
            made.append(Tensor(backend.asarray(array, "int64")))
        else:
            made.append(Tensor(backend.asarray(array, dtype), requires_grad=parameter != "y_true"))
    return made


def run(backend, function, name, arrays, dtype):
    """Results, and gradients of a weighted sum of them, as NumPy arrays."""
    tensors = tensors_of(backend, name, arrays, dtype)
    out = function(*tensors)
    outs = out if isinstance(out, tuple) else (out,)
    weights = [np.random.default_rng(i).standard_normal(o.shape) for i, o in enumerate(outs)]
    found = sweep([(o, backend.asarray(w, dtype)) for o, w in zip(outs, weights, strict=True)])
    wanted = [t for t in tensors if t is not None and t.requires_grad]
    return (
        [backend.to_numpy(o.data) for o in outs],
        [backend.to_numpy(found[vertex_of(t)]) for t in wanted],
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "arrays", "options"), CASES, ids=[
    f"{name}-{i}" for i, (name, _, _) in enumerate(CASES)])  # fmt: skip
def test_kernel_equals_definition(backend, name, arrays, options, dtype):
    made = OPS[name]
    rtol, atol = (2e-5, 2e-5) if dtype == "float32" else (1e-10, 1e-12)
    fast = run(backend, lambda *a: made(*a, **options), name, arrays, dtype)
    xp = differentiable(backend.xp)
    slow = run(backend, lambda *a: made.definition(xp, *a, **options), name, arrays, dtype)
    for ours, theirs in zip(fast[0] + fast[1], slow[0] + slow[1], strict=True):
        assert ours.dtype == theirs.dtype == np.dtype(dtype)
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)


@pytest.mark.parametrize(("name", "arrays", "options"), CASES, ids=[
    f"{name}-{i}" for i, (name, _, _) in enumerate(CASES)])  # fmt: skip
def test_second_derivatives_replay_the_definition(name, arrays, options):
    """The gradient of the gradient, through the kernel's node, against the definition's own."""
    made, place = OPS[name], lamina.backend.get("numpy")
    xp = differentiable(place.xp)

    def second(function):
        tensors = tensors_of(place, name, arrays, "float64")
        wanted = [t for t in tensors if t is not None and t.requires_grad]
        out = function(*tensors)
        outs = out if isinstance(out, tuple) else (out,)
        roots = [(o * o, Tensor(np.ones(o.shape))) for o in outs]
        first = sweep(roots, [vertex_of(t) for t in wanted], create_graph=True)
        found = sweep([(first[t] * first[t], np.ones(t.shape)) for t in wanted if t in first])
        return [found[t] for t in wanted if t in found]

    ours = second(lambda *a: made(*a, **options))
    theirs = second(lambda *a: made.definition(xp, *a, **options))
    assert len(ours) == len(theirs) > 0
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


def test_a_wrong_kernel_is_caught(monkeypatch):
    monkeypatch.setitem(
        KERNELS["relu"], "numpy", lambda xp, needs, x, **_: (x * (x > 0), lambda g: (g * 1.001,))
    )
    with pytest.raises(AssertionError):
        test_kernel_equals_definition(_Plain, "relu", (np.array([1.0, -1.0]),), {}, "float64")


class _Plain:
    name, xp = "numpy", np
    asarray = staticmethod(lambda data, dtype: np.asarray(data, dtype))
    to_numpy = staticmethod(np.asarray)


def test_a_kernel_may_decline(monkeypatch):
    @op
    def test_declined(xp, x):
        return x * 3.0

    @kernel("test_declined")
    def declines(xp, needs, x):
        return NotImplemented

    try:
        x = Tensor(np.ones(2), requires_grad=True)
        ops.stop_gradient(x)
        assert lamina.xp.sum(test_declined(x)).item() == 6.0
    finally:
        del KERNELS["test_declined"], OPS["test_declined"]


def test_kernels_serve_whoever_calls_an_op_first():
    """Also in a program that uses no layer, which would bring them along."""
    program = (
        "import sys; from lamina import ops, xp; before = 'lamina.kernels' in sys.modules; "
        "ops.relu(xp.ones((2,))); print(before, 'lamina.kernels' in sys.modules, "
        "sorted(ops._op.KERNELS['relu']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split(maxsplit=2) == ["False", "True", "['cupy', 'numpy']\n"], done


@pytest.mark.parametrize("name", sorted(OPS))
def test_the_signature_is_what_callers_give(name):
    shown = tuple(inspect.signature(OPS[name]).parameters)
    assert shown == OPS[name].arrays + OPS[name].options
    assert inspect.getsource(OPS[name]).startswith("@op\ndef ")


@pytest.mark.parametrize("space", [lamina.xp, np])
def test_a_namespace_given_first_is_said_to_be_too_much(space):
    x = np.ones((1, 3, 3, 1))
    for call in (
        lambda: ops.relu(space, x),
        lambda: ops.conv(space, x, x),
        lambda: ops.conv(space, x, x, None, strides=2),
        lambda: ops.mean_squared_error(space, x, x),
        lambda: ops.tanh(space, x),
        lambda: lamina.xp.tanh(space),
    ):
        with pytest.raises(TypeError, match="got the namespace .*: leave it out, "):
            call()


def test_threads_that_are_the_first_to_call_an_op_all_have_kernels():
    program = """
import threading
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from lamina import ops

barrier = threading.Barrier(8)


def call(x):
    barrier.wait()  # what the definition refuses
    return ops.batch_normalization(x, exchange=lambda key, value, work: work([value])[0])


with ThreadPoolExecutor(8) as threads:
    list(threads.map(call, [np.ones((4, 3))] * 8))
"""
    subprocess.run([sys.executable, "-c", program], check=True)
