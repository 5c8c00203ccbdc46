"""What goes wrong with devices, as far as a machine without one can see: each is told, and how to
mend it."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

import _cupy
import lamina
from lamina import backend as backends
from lamina import layers
from lamina.backend import memory

PLACE = "array_api_strict:device1"


# ---- memory -------------------------------------------------------------------------------------


def test_memory_is_given_back_on_every_device_in_use(fake_cupy):
    memory.give_back()  # CuPy is not in use yet
    assert fake_cupy.pool.asked == []
    backends.get("cupy:0")
    backends.get("cupy:1")
    memory.give_back()
    assert fake_cupy.cuda.Device.entered == [0, 1]
    assert fake_cupy.pool.asked == ["free", "free"]
    assert "free" in fake_cupy.pinned.asked


def test_memory_of_the_host_is_given_back():
    program = """
import os
import numpy as np
from lamina.backend import memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

if memory.keep():
    np.ones(1 << 22)
    before = resident()
    memory.give_back()
    print(before - resident())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    if done.returncode == 0 and not done.stdout:  # only glibc can be told to keep it
        pytest.skip("the C library keeps no freed memory")
    assert int(done.stdout) > 0.9 * (8 << 22), done


@pytest.mark.parametrize(
    ("size", "asked"),
    [(2**30, {"size": 2**30}), (0.5, {"fraction": 0.5}), (1.0, {"fraction": 1.0}),
     (None, {"size": 0})],
)  # fmt: skip
def test_memory_of_a_device_is_limited(fake_cupy, size, asked):
    memory.limit(size, "cupy:1")
    assert fake_cupy.pool.asked == [asked]
    assert fake_cupy.cuda.Device.entered == [1]


@pytest.mark.parametrize("size", [0, -1, 1.5, 0.0, True, "4 GiB"])
def test_a_limit_that_is_none_is_refused(fake_cupy, size):
    with pytest.raises(ValueError, match="a whole number of bytes, a share above 0 up to 1.0"):
        memory.limit(size)
    assert fake_cupy.pool.asked == []


def test_the_hosts_memory_has_no_limit_here():
    with pytest.raises(ValueError, match=r"is for CuPy's devices, got the backend numpy.*ulimit"):
        memory.limit(2**30, "numpy")


class Hungry(layers.Layer):
    """Runs out of a device's memory above two samples."""

    def call(self, inputs):
        if inputs.shape[0] > 2:
            raise _cupy.OutOfMemoryError(1 << 30, 1 << 20)
        return inputs * 1.0


@pytest.mark.parametrize("place", [PLACE, "numpy"])
def test_an_exhausted_device_names_the_layer_the_bytes_and_a_batch_that_fits(place, monkeypatch):
    given_back = []
    monkeypatch.setattr(memory, "give_back", lambda: given_back.append(1))
    stack = [layers.Dense(3, input_shape=(2,)), Hungry(name="hungry"), layers.Dense(1)]
    model = lamina.Sequential(stack, backend=place)
    model.compile("adam", "mse")
    x, y = np.ones((8, 2), "float32"), np.ones((8, 1), "float32")
    before = model.get_weights()
    match = (
        r'memory ran out in Hungry "hungry" for inputs of shape \(8, 3\) \(Out of memory '
        r"allocating 1,073,741,824 bytes .*\): a batch_size of 2 fits"
    )
    for run in (
        lambda: model.fit(x, y, batch_size=8, verbose=0),
        lambda: model.train_on_batch(x, y),
        lambda: model.predict(x, batch_size=8, verbose=0),
    ):
        with pytest.raises(MemoryError, match=match):
            run()
    assert len(given_back) == 3
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.fit(x, y, batch_size=2, verbose=0)


# ---- arrays of elsewhere ------------------------------------------------------------------------


def on(place, shape=(3,)):
    return backends.get(place).asarray(np.ones(shape, "float32"))


class Wrong(layers.Layer):
    """Computes with an array of elsewhere."""

    def __init__(self, function, **kwargs):
        super().__init__(name="wrong", **kwargs)
        self.function = function

    def call(self, inputs):
        return self.function(inputs)


ONE_PLACE = (
    r"needs arrays on one backend and device, got .*array_api_strict:device1.*: move them to one, "
    r"for example with lamina.backend.get\('.*'\).asarray\(x\)"
)


@pytest.mark.parametrize(
    ("function", "error", "match"),
    [
        (lambda x: x * np.ones(3, "float32"), ValueError, "multiply " + ONE_PLACE),
        (lambda x: np.ones(3, "float32") + x, ValueError, "add " + ONE_PLACE),
        (lambda x: lamina.xp.where(x > 0, x, np.zeros(3, "float32")), ValueError, ONE_PLACE),
        (lambda x: lamina.ops.softmax(x) @ np.ones((3, 3), "float32"), ValueError, ONE_PLACE),
        (lambda x: lamina.xp.matmul(x, on("array_api_strict:device2", (3, 3))), ValueError,
         "matmul " + ONE_PLACE),
        (np.exp, TypeError, r"works in the host's memory.*use lamina.xp.exp"),
        (lambda x: np.concatenate([x, x]), TypeError, r"host's memory.*use lamina.xp.concat"),
    ],
)  # fmt: skip
def test_arrays_of_the_host_and_of_other_devices_inside_a_model(function, error, match):
    model = lamina.Sequential([layers.Dense(3), Wrong(function)], backend=PLACE)
    model.compile("sgd", "mse")
    with pytest.raises(error, match=match) as raised:
        model.fit(np.ones((4, 2), "float32"), np.ones((4, 3), "float32"), verbose=0)
    assert any('This was in Wrong "wrong"' in note for note in raised.value.__notes__)


def test_a_model_called_with_an_array_of_another_device():
    model = lamina.Sequential([layers.Dense(3, input_shape=(2,))], backend=PLACE)
    match = (
        r"lives on array_api_strict:device1, its input on .*2: move the one with .*asarray\(x\), "
        r"or the model with model.to\("
    )
    with pytest.raises(ValueError, match=match):
        model(on("array_api_strict:device2", (4, 2)))


# ---- processes ----------------------------------------------------------------------------------

FORKING = """
import os, sys
from lamina import backend

sys.path.append(sys.argv[2])
import _cupy

sys.modules.update(_cupy.modules(devices=1))

def tried(what):
    try:
        what()
    except RuntimeError as error:
        print(error, flush=True)

def scope(place):
    with place.scope() as device:
        print("entered" if device.entered == [0] else device.entered, flush=True)

if sys.argv[1] == "used":
    place = backend.get("cupy")
child = os.fork()
if child:
    os.waitpid(child, 0)
    scope(backend.get("cupy"))
else:
    tried(lambda: backend.get("cupy"))
    tried(lambda: backend.get("auto"))
    if sys.argv[1] == "used":
        tried(lambda: scope(place))
    print(backend.get("numpy"), flush=True)
    os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_after_cuda_was_begun_is_told_in_the_child():
    def lines(word):
        command = [sys.executable, "-c", FORKING, word, os.path.dirname(_cupy.__file__)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout.splitlines()

    *told, host, parent = lines("used")
    assert len(told) == 3
    for line in told:
        assert line.startswith("this process was forked from one that had begun to use CUDA")
        assert "multiprocessing.get_context('spawn')" in line
    assert (host, parent) == ("numpy", "entered")
    assert lines("unused") == ["numpy", "entered"]  # a child may begin with CUDA itself


# ---- ops ----------------------------------------------------------------------------------------

IMAGE = np.ones((2, 4, 4, 3), "float32")
OP_CALLS = {
    "affine_transform": (IMAGE, np.ones((2, 2, 3), "float32")),
    "conv": (IMAGE, np.ones((2, 2, 3, 1), "float32")),
    "dense": (IMAGE, np.ones((3, 2), "float32"), None),
    "mean_squared_error": (IMAGE, IMAGE),
}


@pytest.mark.parametrize("name", OP_CALLS)
@pytest.mark.parametrize(
    "places", [(PLACE, "numpy"), ("numpy", PLACE), (PLACE, "array_api_strict")]
)
@pytest.mark.parametrize("tracked", [False, True])
def test_an_op_names_both_backends_of_its_arrays(name, places, tracked):
    x, y, *others = OP_CALLS[name]
    x, y = (backends.get(place).asarray(a) for place, a in zip(places, (x, y), strict=True))
    x = lamina.Tensor(x, requires_grad=True) if tracked else x
    both = re.escape(f"got {places[0]} and {places[1]}: move them to one, for example with")
    with pytest.raises(ValueError, match=f"^{name} needs arrays on one backend and device, {both}"):
        getattr(lamina.ops, name)(x, y, *others)


@pytest.mark.filterwarnings("error")
def test_names_of_dtypes_of_several_libraries():
    strict, numpy = backends.get(PLACE), backends.get("numpy")
    for name in ("float32", "int8", "bool", "complex64"):
        for _ in range(2):
            assert numpy.dtype_name(np.dtype(name)) == name
            assert strict.dtype_name(strict.dtype(name)) == name
