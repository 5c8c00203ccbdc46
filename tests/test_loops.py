"""Loops that numba compiles: when they serve, and that they change nothing but the time.

That they give the numbers of the definitions and of PyTorch the other files test, on the backend
"numpy-compiled" and in tests that are done ``both_ways``.
"""

import collections
import concurrent.futures
import os
import subprocess
import sys

import numpy as np
import pytest

import lamina
from lamina import layers, ops
from lamina.autograd import Parameter

pytest.importorskip("numba")

from lamina.kernels import compiling

RNG = np.random.default_rng(0)


def normal(*shape, dtype="float64"):
    return RNG.standard_normal(shape).astype(dtype)


def printed(program, **environment):
    """What a program of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def network():
    """Of all that loops are for."""
    model = lamina.Sequential(
        [
            layers.Input((12, 12, 8)),
            layers.Conv2D(8, 3, padding="same"),
            layers.ReLU(),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.SeparableConv2D(32, 3, padding="same"),
            layers.Conv2D(9, 3, 2, activation="relu"),
            layers.Conv2DTranspose(4, 3, 2),
            layers.Flatten(),
            layers.Dense(200, activation="relu"),
            layers.Dense(1),
        ],
        dtype="float64",
    )
    model.compile("adam", "mse")
    return model


def trained(steps=5):
    """The weights of a network after some steps, and outputs, in one row."""
    lamina.utils.set_random_seed(3)
    model = network()
    rng = np.random.default_rng(5)
    for _ in range(steps):
        model.train_on_batch(rng.standard_normal((64, 12, 12, 8)), rng.standard_normal((64, 1)))
    outputs = model.predict_on_batch(rng.standard_normal((64, 12, 12, 8)))
    return np.concatenate([w.ravel() for w in (*model.get_weights(), outputs)])


def test_a_network_trains_as_it_does_without(request, monkeypatch, set_workers):
    wanted = trained()
    request.getfixturevalue("compiled")
    monkeypatch.setattr("lamina.kernels.gathering.COMPILED_BLOCK", 5000)
    called = collections.Counter()
    call = compiling.loop.__call__

    def counted(loop, *args):
        called[loop.__name__] += 1
        call(loop, *args)

    monkeypatch.setattr(compiling.loop, "__call__", counted)
    found = trained()
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-10)
    modules = compiling.loops(), compiling.loops_of_windows()
    every = {n for m in modules for n, v in vars(m).items() if isinstance(v, compiling.loop)}
    assert set(called) == every
    for workers in (1, 2, 3):
        set_workers(workers)
        np.testing.assert_array_equal(trained(), found)


@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        ((6, 40, 40, 16), lambda: layers.Conv2D(16, 3, padding="same", activation="relu")),
        ((6, 40, 40, 16), lambda: layers.Conv2D(24, 3, 2)),
        ((6, 24, 24, 32), lambda: layers.Conv2DTranspose(16, 3, 2, padding="same")),
        ((6, 40, 40, 32), lambda: layers.DepthwiseConv2D(3, 2)),
        ((6, 900, 32), lambda: layers.DepthwiseConv1D(5)),
        ((6, 40, 40, 32), lambda: layers.MaxPooling2D(3, 2, padding="same")),
        ((6, 900, 16), lambda: layers.MaxPooling1D(4)),
        ((6, 40, 40, 16), lambda: layers.BatchNormalization()),
        ((300, 200), lambda: layers.Dense(200, activation="relu")),
    ],
)
def test_arrays_are_large_enough_by_themselves(monkeypatch, shape, layer):
    """By the sizes as they are: that loops serve, and that they give NumPy's numbers."""
    called = []
    call = compiling.loop.__call__
    counted = lambda loop, *args: (called.append(loop.__name__), call(loop, *args))
    monkeypatch.setattr(compiling.loop, "__call__", counted)
    x, layer, found = normal(*shape, dtype="float32"), layer(), []
    g = None
    for on in (False, True):
        lamina.config.set_numba(on)
        tensor = lamina.Tensor(x, requires_grad=True)
        out = layer(tensor, training=True)
        g = normal(*out.shape, dtype="float32") if g is None else g
        out.backward(g)
        found.append([out.data, tensor.grad, *[w.grad for w in layer.trainable_weights]])
        for weight in layer.trainable_weights:
            weight.grad = None
        assert bool(called) == on
    for ours, wanted in zip(*reversed(found), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=2e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_step_of_adam_is_the_same_to_the_last_bit(request, dtype):
    def stepped():
        w = Parameter(normal(999, dtype=dtype))
        optimizer = lamina.optimizers.Adam(0.01)
        for _ in range(3):
            optimizer.apply([normal(999, dtype=dtype)], [w])
        return w.numpy()

    state = RNG.bit_generator.state
    wanted = stepped()
    RNG.bit_generator.state = state
    request.getfixturevalue("compiled")
    np.testing.assert_array_equal(stepped(), wanted)


@pytest.mark.parametrize("function", [ops.relu, lambda x: ops.max_pool(x, pool_size=2)])
def test_what_no_loop_is_for_is_done_all_the_same(compiled, function):
    """Half precision, numbers the other way round, at odd addresses, apart, and none at all."""
    x = normal(2, 192, 128, 1, dtype="float32")
    wanted = function(x)
    assert function(x.astype("float16")).dtype == np.float16
    np.testing.assert_array_equal(function(x.astype(">f4")), wanted)
    odd = np.frombuffer(b"-" + x.tobytes(), "float32", offset=1).reshape(x.shape)
    assert not odd.flags.aligned
    np.testing.assert_array_equal(function(odd), wanted)
    np.testing.assert_array_equal(function(np.repeat(x, 2, axis=-1)[..., ::2]), wanted)
    assert function(x[:0]).shape == (0, *wanted.shape[1:])


def test_numbers_that_are_none_stay(compiled):
    x = normal(4, 128, 128, dtype="float32")
    x[0, 0, 0], x[1, 1, 1], x[2, 2, 2] = np.nan, np.inf, -np.inf
    out = ops.relu(x)
    assert np.isnan(out[0, 0, 0])
    assert out[1, 1, 1] == np.inf
    assert out[2, 2, 2] == 0
    g, found = np.full(x.shape, 2, "float32"), []
    g[x < -1] = np.inf
    for on in (False, True):
        lamina.config.set_numba(on)
        tensor = lamina.Tensor(x, requires_grad=True)
        with np.errstate(invalid="ignore"):
            ops.relu(tensor).backward(g)
        found.append(tensor.grad)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("numba", [False, True])
def test_a_bias_is_one_number_or_one_of_each_unit(numba):
    lamina.config.set_numba(numba)
    x, w = np.ones((1000, 64), "float32"), np.ones((64, 64), "float32")
    for activation in ("linear", "relu"):
        out = ops.dense(x, w, 1.5, activation=activation)
        np.testing.assert_array_equal(out, np.full((1000, 64), 65.5, "float32"))
        for size in (32, 128):
            with pytest.raises(ValueError, match="broadcast"):
                ops.dense(x, w, np.ones(size, "float32"), activation=activation)


@pytest.mark.parametrize("numba", [False, True])
def test_scales_of_another_shape_are_told_or_taken(numba):
    lamina.config.set_numba(numba)
    x, gamma = normal(64, 32, 32, 3), normal(3)
    wanted, *_ = ops.batch_normalization(x, gamma, None)
    np.testing.assert_allclose(ops.batch_normalization(x, gamma[:, None], None)[0], wanted)
    with pytest.raises(ValueError, match="reshape"):
        ops.batch_normalization(x, normal(4), None)


@pytest.mark.parametrize("numba", [False, True])
def test_gradients_of_another_dtype_are_taken(numba):
    """A later layer of float64 gives them to a convolution of float32."""
    lamina.config.set_numba(numba)
    x, kernel, wide = normal(4, 32, 32, 16), normal(3, 3, 16, 16), normal(16, 2)
    found = []
    for dtype in ("float32", "float64"):
        tensors = [lamina.Tensor(a.astype(dtype), requires_grad=True) for a in (x, kernel)]
        out = ops.dense(ops.conv(*tensors, strides=2), wide, None)
        lamina.xp.sum(out).backward()
        found.append([t.grad for t in tensors])
    for narrow, exact in zip(*found, strict=True):
        assert narrow.dtype == np.float32
        np.testing.assert_allclose(narrow, exact, rtol=1e-4, atol=1e-4 * np.abs(exact).max())


def test_a_blas_that_is_not_found_leaves_convolutions_to_numpy(compiled, monkeypatch):
    x, kernel = normal(2, 9, 9, 3), normal(3, 3, 3, 4)
    wanted = ops.conv(x, kernel)
    monkeypatch.setattr("lamina.backend.blas.gemms", lambda: None)
    monkeypatch.setattr(compiling.loop, "__call__", None)
    np.testing.assert_allclose(ops.conv(x, kernel), wanted, rtol=1e-12)


@pytest.mark.parametrize("shape", [(65537, 1), (65537, 2), (32771, 3)])
def test_columns_too_few_for_a_loop_keep_their_digits(shape):
    """As many rows as are no product of small numbers cannot be put side by side."""
    lamina.config.set_numba(True)
    x = (normal(*shape) + 3).astype("float32")
    _, mean, variance = ops.batch_normalization(x, None, None, axis=-1, epsilon=1e-3)
    np.testing.assert_allclose(mean, x.mean(0, dtype="float64"), rtol=3e-6)
    np.testing.assert_allclose(variance, x.var(0, dtype="float64"), rtol=3e-5)


def test_a_loop_is_compiled_once_whoever_calls_it_first(compiled):
    """By several threads at once; and without a folder to keep it in, as that of a text."""
    text = "def doubled(x: READ[1], out: WRITTEN[1]):\n    out[:] = x * 2"
    names = {"READ": compiling.READ, "WRITTEN": compiling.WRITTEN}
    exec(text, names)
    doubled = compiling.loop(names["doubled"])
    x = normal(7)

    def call(_):
        out = np.empty_like(x)
        doubled(x, out)
        return out

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for out in pool.map(call, range(8)):
            np.testing.assert_array_equal(out, 2 * x)
    assert list(doubled.by_dtype) == ["d"]
    x.flags.writeable = False
    np.testing.assert_array_equal(call(0), 2 * x)


def test_a_loop_that_does_not_compile_says_what_to_do(compiled):
    names = {"READ": compiling.READ}
    exec("def odd(x: READ[1]):\n    return {}[x].nothing", names)
    with pytest.raises(RuntimeError, match="does not compile the loop 'odd'.*LAMINA_NUMBA=0"):
        compiling.loop(names["odd"])(normal(3))


# ---- in a process of its own ---------------------------------------------------------------------

def test_a_switch_is_0_or_1():
    for said in ("off", "False"):
        done = subprocess.run(
            [sys.executable, "-c", "import lamina"], capture_output=True, text=True,
            env={**os.environ, "LAMINA_NUMBA": said},
        )  # fmt: skip
        assert f"LAMINA_NUMBA must be 0 (off) or 1 (on), or not be set, got {said!r}" in done.stderr


SMALL_AND_LARGE = """
import sys, numpy as np, lamina
for size in (100, 200_000):
    x = lamina.Tensor(np.ones(size, "float32"), requires_grad=True)
    lamina.ops.relu(x).backward(np.ones(size, "float32"))
    print("numba" in sys.modules)
"""


def test_numba_is_loaded_for_large_arrays_alone():
    assert printed(SMALL_AND_LARGE) == ["False", "True"]


@pytest.mark.parametrize(
    ("before", "environment"),
    [
        ("", {"LAMINA_NUMBA": "0"}),
        ("import lamina; lamina.config.set_numba(False)", {}),
        ("import importlib.util as u; found = u.find_spec;"
         "u.find_spec = lambda name, *a: None if name == 'numba' else found(name, *a)", {}),
    ],
    ids=["by the environment", "by the program", "not installed"],
)  # fmt: skip
def test_all_goes_without_numba(before, environment):
    assert printed(before + SMALL_AND_LARGE, **environment) == ["False", "False"]


def test_a_numba_that_does_not_import_is_told_once(tmp_path):
    (tmp_path / "numba.py").write_text("raise ImportError('Numba needs NumPy 1.0 or less')")
    program = "import warnings; warnings.simplefilter('error')\n"
    program += "from unittest import mock; warnings.warn = mock.Mock()\n" + SMALL_AND_LARGE
    program += "\nprint(*[call.args[0].replace(' ', '_') for call in warnings.warn.mock_calls])"
    *loaded, told = printed(program, PYTHONPATH=str(tmp_path))
    assert loaded == ["False", "False"]
    assert "Numba_needs_NumPy_1.0_or_less" in told
    assert "LAMINA_NUMBA=0" in told


MEMORY = """
import resource, numpy as np, lamina
from lamina import ops
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
warm = np.ones((2, 64, 64, 8), "float32")
ops.conv(warm, np.ones((3, 3, 8, 8), "float32"))
x, before = np.ones((1, 1024, 1024, 8), "float32"), peak()
for size, strides in ((3, 1), (5, 1), (5, 2)):
    kernel = lamina.Tensor(np.ones((size, size, 8, 8), "float32"), requires_grad=True)
    out = ops.conv(lamina.Tensor(x, requires_grad=True), kernel, strides=strides)
    out.backward(np.ones(out.shape, "float32"))
print((peak() - before) / x.nbytes)
"""


def test_loops_that_are_not_compiled_are_not_used():
    """Where numba itself is told not to: they are slow then, and multiply nothing."""
    program = "import numpy as np, lamina\n"
    program += "x, kernel = np.ones((2, 40, 40, 16), 'f4'), np.ones((3, 3, 16, 4), 'f4')\n"
    program += "out = lamina.ops.conv(x, kernel); print(out.min(), out.max())"
    assert printed(program, NUMBA_DISABLE_JIT="1") == ["144.0", "144.0"]


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is counted in KiB on Linux alone")
def test_what_a_loop_copies_stays_bounded():
    """Beside the image itself: its gradient, the result, that one's gradient, and little else."""
    (images,) = printed(MEMORY)
    assert float(images) < 5


BOUNDS = """
import itertools, sys, numpy as np, lamina
from lamina import ops
from lamina.kernels import compiling, gathering, pooling_numpy
compiling.LEAST = gathering.LEAST_COPIED = pooling_numpy.CHANNELS = 1
rng = np.random.default_rng(0)
for image, size, strides, padding, block in itertools.product(
    ((9, 7), (40, 3), (1, 1)), ((1, 1), (3, 3), (4, 2)), (1, 2), ("same", "valid"), (50, 4000)
):
    gathering.COMPILED_BLOCK = block
    if padding == "valid" and (image[0] < size[0] or image[1] < size[1]):
        continue
    options = {"strides": strides, "padding": padding}
    x = lamina.Tensor(rng.standard_normal((3, *image, 13)), requires_grad=True)
    kernel = rng.standard_normal((*size, 13, 2))
    if strides == 1 and (padding == "same" or image[0] > 8):
        out = ops.conv(x, kernel, padding=padding, dilation_rate=2) if image[1] > 4 else x
        out.backward(np.ones(out.shape))
    out = ops.depthwise_conv(x, kernel[..., :1], **options)
    out.backward(np.ones(out.shape))
    for function, channels in ((ops.conv, (13, 2)), (ops.conv_transpose, (2, 13))):
        x = lamina.Tensor(rng.standard_normal((3, *image, 13)), requires_grad=True)
        kernel = lamina.Tensor(rng.standard_normal((*size, *channels)), requires_grad=True)
        out = function(x, kernel, **options)
        out.backward(np.ones(out.shape))
    x = lamina.Tensor(rng.standard_normal((3, *image, 2)), requires_grad=True)
    out = ops.max_pool(x, pool_size=size, **options)
    out.backward(np.ones(out.shape))
sys.path.insert(0, TESTS)
import test_loops
test_loops.trained(1)
loops = {**vars(compiling.loops()), **vars(compiling.loops_of_windows())}.values()
print(all(loop.by_dtype.keys() == {"d"} for loop in loops if isinstance(loop, compiling.loop)))
"""


def test_no_index_is_out_of_bounds(tmp_path):
    """Compiled to look at every one; views made by strides and the BLAS excepted."""
    program = BOUNDS.replace("TESTS", repr(os.path.dirname(__file__)))
    told = printed(program, NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(tmp_path))
    assert told == ["True"]
