"""Backends: choosing one, moving arrays, random numbers, worker threads, BLAS, memory, settings."""

import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

import lamina
from lamina import backend as backends
from lamina import config
from lamina.backend import _backend, blas, random, workers
from lamina.testing import assert_close

strict = pytest.importorskip("array_api_strict")


def run_python(program, **environment):
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, timeout=60, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# ---- choosing ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "identifier",
    ["numpy", "array_api_strict", "array_api_strict:device1", "array_api_strict:device2"],
)
def test_a_name_gives_one_backend_and_back(identifier):
    place = backends.get(identifier)
    assert str(place) == identifier and backends.get(str(place)) is place
    assert backends.get(place) is place
    assert repr(place) == f"<backend {identifier}>"
    assert pickle.loads(pickle.dumps(place)) is place
    assert backends.name(place.xp) == place.name == identifier.partition(":")[0]


def test_numpy_is_the_default():
    assert str(backends.get()) == "numpy" and backends.get().is_host
    assert str(backends.get("numpy:cpu")).startswith("numpy")


def test_use_lasts_or_ends_with_its_block():
    with lamina.use("array_api_strict") as outer:
        assert backends.get() is outer
        with lamina.use("array_api_strict:device1"):
            assert str(backends.get()) == "array_api_strict:device1"
        assert backends.get() is outer
        with pytest.raises(ZeroDivisionError), lamina.use("numpy"):
            raise ZeroDivisionError
        assert backends.get() is outer
    assert str(backends.get()) == "numpy"
    choice = lamina.use("array_api_strict")
    try:
        assert str(backends.get()) == "array_api_strict"
        assert lamina.Tensor([1.0]).data.__class__.__module__.startswith("array_api_strict")
    finally:
        choice.__exit__()
    assert str(backends.get()) == "numpy"


def test_an_unknown_name_leaves_the_choice_alone():
    with pytest.raises(ValueError, match="did you mean 'numpy'"):
        lamina.use("nunpy")
    assert str(backends.get()) == "numpy"


def test_the_environment_names_the_default(monkeypatch):
    monkeypatch.setenv("LAMINA_BACKEND", "array_api_strict:device1")
    assert str(backends.get()) == "array_api_strict:device1"
    with lamina.use("numpy"):
        assert str(backends.get()) == "numpy"
    monkeypatch.setenv("LAMINA_BACKEND", "")
    assert str(backends.get()) == "numpy"


@pytest.mark.parametrize("name", ["nunpy", "os", "lamina_no_such_library"])
def test_what_is_no_array_library_is_refused(name):
    with pytest.raises(ValueError, match=f"unknown backend {name!r}"):
        backends.get(name)


@pytest.mark.parametrize("identifier", [1, np, ["numpy"]])
def test_what_is_no_name_is_refused(identifier):
    with pytest.raises(TypeError, match="named by a string such as 'numpy'"):
        backends.get(identifier)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="NumPy has one device"):
        backends.get("numpy:gpu")
    with pytest.raises(ValueError, match="device9"):
        backends.get("array_api_strict:device9")


# ---- CuPy, without CuPy -----------------------------------------------------------------------


def test_cupy_that_is_missing_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr(_backend, "_backends", {})
    with pytest.raises(RuntimeError, match=r"CuPy and an NVIDIA driver.*python -m lamina tells"):
        backends.get("cupy")
    assert str(backends.get("auto")) == "numpy"


@pytest.mark.parametrize(
    ("given", "meant"),
    [("gpu", "cupy"), ("cuda", "cupy"), ("cuda:0", "cupy"), ("cpu", "numpy"), ("CPU", "numpy")],
)
def test_devices_are_no_backends(given, meant):
    with pytest.raises(ValueError, match=f"unknown backend .*did you mean '{meant}'"):
        backends.get(given)


def test_cupy_without_a_device_says_so(fake_cupy):
    fake_cupy.is_available = lambda: False
    with pytest.raises(RuntimeError, match=r"needs a CUDA device, and none answers.*'auto'"):
        backends.get("cupy")
    assert str(backends.get("auto")) == "numpy"


def test_cupy_is_what_auto_means_where_a_device_answers(fake_cupy):
    assert backends.get("auto") is backends.get("cupy")
    assert backends.get("cupy").device.id == 0 and not backends.get("cupy").is_host


def test_cupys_devices_go_by_number(fake_cupy):
    second = backends.get("cupy:1")
    assert second.device.id == 1 and str(second) == "cupy:1"
    with second.scope():
        assert fake_cupy.cuda.Device.entered == [1]
    for wrong in ("cupy:2", "cupy:-1", "cupy:gpu"):
        with pytest.raises(ValueError, match=f"numbered 0 to 1 here, got '{wrong}'"):
            backends.get(wrong)


def test_tf32_is_chosen_before_cupy_is_used(fake_cupy, monkeypatch):
    monkeypatch.setenv("CUPY_TF32", "0")
    assert not config.tf32()
    config.set_tf32(True)
    assert os.environ["CUPY_TF32"] == "1"
    assert config.tf32()
    backends.get("cupy")
    config.set_tf32(True)  # as it is
    with pytest.raises(RuntimeError, match=r"set_tf32\(False\) must come before .*CUPY_TF32=0"):
        config.set_tf32(False)
    assert config.tf32()


# ---- arrays -----------------------------------------------------------------------------------


def test_lists_and_numbers(backend):
    place = backend.backend
    for data, dtype, shape in [
        ([1.0, 2.0], "float32", (2,)),
        ([[1.0], [2.0]], "float32", (2, 1)),
        ((1.0, 2), "float32", (2,)),
        (1.5, "float32", ()),
        (3, "int64", ()),
        ([1, 2], "int64", (2,)),
        ([True], "bool", (1,)),
        ([], "float32", (0,)),
        ([1 + 2j], "complex128", (1,)),
    ]:
        array = place.asarray(data)
        assert place.owns(array) and tuple(array.shape) == shape
        assert place.dtype_name(array.dtype) == dtype
        np.testing.assert_array_equal(place.to_numpy(array), np.asarray(data))


def test_floatx_is_what_python_floats_become():
    try:
        config.set_floatx("float64")
        assert backends.get().asarray([1.0]).dtype == np.float64
    finally:
        config.set_floatx("float32")
    assert backends.get().asarray([0.1], "float64")[0] == 0.1  # not by way of float32


def test_dtypes_by_name_and_by_object(backend):
    place = backend.backend
    for dtype in ("float32", place.dtype("float32")):
        assert place.dtype_name(place.asarray([1, 2], dtype).dtype) == "float32"
    array = place.asarray(np.ones(3))
    assert place.dtype_name(array.dtype) == "float64"
    assert place.dtype_name(place.asarray(array, "int32").dtype) == "int32"
    with pytest.raises(ValueError, match="unknown dtype 'flaot32': did you mean 'float32'"):
        place.dtype("flaot32")
    with pytest.raises(ValueError, match="unknown dtype 'sum'"):
        place.asarray([1.0], "sum")


def test_an_array_of_its_own_is_not_copied(backend):
    array = backend.asarray([1.0, 2.0], "float32")
    assert backend.backend.asarray(array) is array
    assert backend.backend.asarray(array, "float32") is array


def test_arrays_move_between_backends(backend):
    for name in ("numpy", "array_api_strict", "array_api_strict:device2"):
        there = backends.get(name)
        for dtype in ("float32", "float64", "int64", "bool"):
            array = there.asarray(np.asarray([[1, 0], [1, 1]], dtype=dtype))
            here = backend.backend.asarray(array)
            assert backend.backend.owns(here)
            back = there.asarray(here)
            assert_close(back, array)


@pytest.mark.parametrize(
    "data",
    [np.arange(6.0)[::-1], np.arange(6.0).reshape(2, 3).T, np.arange(6.0)[::2], np.float32(1.5)],
    ids=["backwards", "transposed", "strided", "scalar"],
)
def test_numpy_arrays_of_any_layout(backend, data):
    readonly = np.array(data)[...]
    if readonly.shape:
        readonly = data.view()
        readonly.flags.writeable = False
    for given in (data, readonly):
        array = backend.backend.asarray(given)
        assert backend.backend.owns(array)
        np.testing.assert_array_equal(backend.to_numpy(array), data)


def test_pandas(backend):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    array = backend.backend.asarray(frame, "float32")
    np.testing.assert_array_equal(backend.to_numpy(array), [[1, 3], [2, 4]])
    series = backend.backend.asarray(frame["a"])
    assert backend.backend.dtype_name(series.dtype) == "float64"


class OnlyDLPack:
    """Data of a library that nobody here knows."""

    def __init__(self, data):
        self.data = data

    def __dlpack__(self, **options):
        return self.data.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.data.__dlpack_device__()


def test_anything_with_dlpack(backend):
    data = np.arange(6, dtype=np.float32).reshape(2, 3)
    array = backend.backend.asarray(OnlyDLPack(data))
    assert backend.backend.owns(array)
    np.testing.assert_array_equal(backend.to_numpy(array), data)


def test_numbers_come_to_python(backend):
    place = backend.backend
    assert place.scalar(place.asarray(1.5)) == 1.5
    assert place.scalar(place.asarray(True)) is True
    assert isinstance(place.scalar(place.asarray(3)), int)


def test_of_and_owns_know_the_device(backend):
    array = backend.asarray([1.0])
    assert backends.of(array) is backend.backend
    for name in ("array_api_strict", "array_api_strict:device1", "array_api_strict:device2"):
        there = backends.get(name)
        assert there.owns(array) == (there is backend.backend)
    assert backends.namespace(array) is backend.xp


def test_a_device_met_first_in_an_array_has_a_name(monkeypatch):
    monkeypatch.setattr(_backend, "_backends", {})
    array = strict.ones(2, device=strict.Device("device2"))
    assert str(backends.of(array)) == "array_api_strict:device2"
    assert backends.get("array_api_strict:device2") is backends.of(array)


def test_subclasses_and_numbers_of_numpy_are_numpys(tmp_path):
    on_disk = np.memmap(tmp_path / "data", np.float32, "w+", shape=(2,))
    for array in (on_disk, np.float32(1), np.bool_(True)):
        assert backends.is_array(array) and backends.namespace(array) is backends.get("numpy").xp
        assert backends.of(array) is backends.get("numpy")


@pytest.mark.parametrize(
    "value",
    [1.0, [1.0], "a", None, np.float32, object()],
    ids=["number", "list", "text", "none", "dtype", "object"],
)
def test_what_is_no_array(value):
    assert not backends.is_array(value)
    with pytest.raises(TypeError, match="expected an array"):
        backends.namespace(value)


def test_a_tensor_is_no_raw_array():
    for call in (backends.namespace, backends.of, backends.get("numpy").asarray):
        with pytest.raises(TypeError, match=r"raw array, got a lamina\.Tensor: pass its \.data"):
            call(lamina.Tensor([1.0]))


def test_two_backends_side_by_side():
    results = []
    for name in ("numpy", "array_api_strict:device1"):
        x = backends.get(name).asarray([1.0, 2.0], "float64")
        results.append(lamina.grad(lambda a: lamina.xp.sum(lamina.xp.exp(a) * a))(x))
    assert [str(backends.of(g)) for g in results] == ["numpy", "array_api_strict:device1"]
    assert_close(backends.get("numpy").asarray(results[1]), results[0])


# ---- random numbers ---------------------------------------------------------------------------


def draw(*stream):
    return random.Generator(2024, *stream)


def test_known_answers_that_shall_never_change():
    tight = {"rtol": 1e-7}
    assert_close(
        draw("a").uniform(4),
        np.asarray([0.24363095, 0.7777942, 0.6862699, 0.82735777], np.float32),
        **tight,
    )
    assert_close(
        draw("a").uniform(2, dtype="float64"), np.asarray([0.7777942200758566, 0.8273577701035584])
    )
    assert_close(
        draw("a").normal((2, 2)),
        np.asarray([[-0.39411116, -1.3817236], [0.94776285, 0.31035954]], np.float32),
        **tight,
    )
    assert_close(
        draw("a", 1).normal(2, dtype="float64"),
        np.asarray([0.6181815351861564, 0.9183313415430471]),
    )
    assert draw("a").integers(0, 100, 6).tolist() == [24, 77, 68, 82, 79, 38]
    assert draw("a").permutation(8).tolist() == [6, 0, 5, 3, 7, 1, 2, 4]


def test_streams_do_not_depend_on_one_another():
    first = draw("dropout", 1, 7).normal(5), draw("dropout", 2, 7).normal(5)
    again = draw("dropout", 2, 7).normal(5), draw("dropout", 1, 7).normal(5)
    assert_close(first[0], again[1])
    assert_close(first[1], again[0])
    several = [first[0], first[1], draw("dropout", 1, 8).normal(5), draw("a").normal(5)]
    several.append(random.Generator(2025, "a").normal(5))
    assert len({array.tobytes() for array in several}) == 5
    one = draw("a")
    assert not np.array_equal(one.normal(5), one.normal(5))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3), 4])
def test_shapes_and_dtypes_of_random_numbers(shape, dtype):
    expected = (shape,) if isinstance(shape, int) else shape
    for array in (
        draw().uniform(shape, -1, 1, dtype),
        draw().normal(shape, 1, 2, dtype),
        draw().truncated_normal(shape, 1, 2, dtype),
    ):
        assert isinstance(array, np.ndarray) and array.shape == expected and array.dtype == dtype
    assert draw().integers(0, 5, shape).shape == expected


def test_distributions():
    n = 50_000
    u, z, t = draw().uniform(n, -1, 3), draw().normal(n, 2, 3), draw().truncated_normal(n, 2, 3)
    assert u.min() >= -1 and u.max() <= 3 and abs(u.mean() - 1) < 0.02
    assert abs(z.mean() - 2) < 0.05 and abs(z.std() - 3) < 0.05
    assert abs(t - 2).max() <= 6 and abs(t.mean() - 2) < 0.05
    assert abs(t.std() - 3 * 0.87962566) < 0.05  # of a normal cut at two deviations
    numbers = draw().integers(3, 6, n)
    assert set(numbers.tolist()) == {3, 4, 5} and numbers.dtype == np.int64
    assert sorted(draw().permutation(10).tolist()) == list(range(10))


def test_a_truncated_normal_draws_again_only_what_lies_too_far():
    z, t = draw().normal((50, 40)), draw().truncated_normal((50, 40))
    far = abs(z) > 2
    assert far.any() and np.array_equal(t[~far], z[~far]) and abs(t).max() <= 2
    assert not np.isin(t[far], z).any()


def test_a_random_seed_makes_the_seeds_that_follow_repeatable():
    lamina.utils.set_random_seed(7)
    first = [random.next_seed() for _ in range(3)]
    assert first[:2] == [2438833619697096782, 3700081575480579281]
    lamina.utils.set_random_seed(7)
    assert [random.next_seed() for _ in range(3)] == first
    lamina.utils.set_random_seed(8)
    assert random.next_seed() not in first


def test_without_a_seed_every_process_draws_its_own():
    program = "from lamina.backend import random; print(random.next_seed())"
    assert run_python(program) != run_python(program)


@pytest.mark.parametrize("seed", [-1, 1.5, "a", True, None])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(ValueError, match="a seed is a whole number from 0 on"):
        lamina.utils.set_random_seed(seed)


# ---- worker threads ---------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("parts", [0, 1, 2, 17])
def test_every_part_runs_once_whoever_takes_it(parts, count):
    results = [[] for _ in range(parts)]
    workers.run(lambda part: results[part].append(part * part), parts, count)
    assert results == [[k * k] for k in range(parts)]


def test_parts_run_at_the_same_time():
    together = threading.Barrier(2, timeout=30)
    threads = set()

    def part(_):
        together.wait()
        threads.add(threading.get_ident())

    workers.run(part, 2, 2)
    assert len(threads) == 2


def test_one_worker_is_the_calling_thread():
    threads = set()
    workers.run(lambda _: threads.add(threading.get_ident()), 5, 1)
    assert threads == {threading.get_ident()}


def test_an_error_in_a_part_is_raised_and_the_workers_live_on():
    def part(k):
        if k == 3:
            raise KeyError("part three")

    for _ in range(3):
        with pytest.raises(KeyError, match="part three"):
            workers.run(part, 6, 3)
    done = []
    workers.run(done.append, 6, 3)
    assert sorted(done) == list(range(6))


def test_inside_a_part_everything_stays_on_its_thread():
    found = []

    def outer(_):
        inner = set()
        workers.run(lambda _: inner.add(threading.get_ident()), 4, 4)
        found.append(inner == {threading.get_ident()})

    workers.run(outer, 4, 2)
    assert found == [True] * 4
    outer_again = set()
    workers.run(lambda _: outer_again.add(1), 2, 2)
    assert outer_again == {1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_workers_start_anew_after_a_fork():
    program = """
import os
from lamina.backend import workers
total = []
workers.run(total.append, 8, 4)
child = os.fork()
if child == 0:
    own = []
    workers.run(own.append, 8, 4)
    os._exit(0 if sorted(own) == list(range(8)) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run_python(program) == "0"


# ---- BLAS -------------------------------------------------------------------------------------

steered = pytest.mark.skipif(blas.threads() is None, reason="NumPy's BLAS cannot be steered here")


@steered
def test_one_thread_ends_with_its_block():
    before = blas.threads()
    with blas.one_thread():
        assert blas.threads() == 1
        with blas.one_thread():
            assert blas.threads() == 1
        assert blas.threads() == 1
    assert blas.threads() == before
    with pytest.raises(ZeroDivisionError), blas.one_thread():
        raise ZeroDivisionError
    assert blas.threads() == before


@steered
def test_blocks_that_overlap_in_threads_restore_at_the_last():
    before, inside, leave = blas.threads(), threading.Event(), threading.Event()

    def other():
        with blas.one_thread():
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=other)
    with blas.one_thread():
        thread.start()
        inside.wait(30)
    assert blas.threads() == 1
    leave.set()
    thread.join()
    assert blas.threads() == before


def test_the_processor_of_the_blas_is_the_one_that_threadpoolctl_finds():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    libraries = threadpoolctl.threadpool_info()
    found = {lib["architecture"] for lib in libraries if lib["internal_api"] == "openblas"}
    assert blas.core() in (found or {None})


def test_a_blas_that_cannot_be_steered_is_left_alone(monkeypatch):
    monkeypatch.setattr(blas, "_controls", lambda: None)
    assert blas.name() is None and blas.threads() is None and blas.core() is None
    with blas.one_thread():
        pass


# ---- memory -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 5), (7,), (1, 1, 33)])
def test_arrays_begin_where_a_line_of_the_cache_does(shape):
    for dtype in ("float32", "float64"):
        array = lamina.backend.memory.empty_on_a_line(shape, dtype)
        assert (array.shape, array.dtype) == (shape, dtype)
        assert array.ctypes.data % 64 == 0 and array.flags.c_contiguous
        array[...] = 1.0


MEMORY = """
import sys
import numpy as np
from lamina.backend import memory

def resident():
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[1]) * 4096

before = memory.keep() == memory.keep()
start = resident()
big = np.ones(16_000_000)
del big
print(memory.keep(), resident() - start > 100e6)
"""
glibc = pytest.mark.skipif(
    not (sys.platform == "linux" and os.path.exists("/proc/self/statm")), reason="not on Linux"
)


@glibc
def test_freed_memory_is_kept_unless_told_not_to():
    assert run_python(MEMORY, LAMINA_KEEP_MEMORY="1") in ("True True", "False False")
    assert run_python(MEMORY, LAMINA_KEEP_MEMORY="0") == "False False"


HUGE = """
import threading
import numpy as np
from lamina.backend import memory, workers

def flags(address):
    with open("/proc/self/smaps") as maps:
        for line in maps:
            if line[0] in "0123456789abcdef" and line.split()[0].count("-") == 1:
                start, end = (int(edge, 16) for edge in line.split()[0].split("-"))
            elif line.startswith("VmFlags") and start <= address < end:
                return line.split()[1:]

kept, found, both = memory.keep(), [], threading.Barrier(2, timeout=30)

def part(i):
    both.wait()
    array = np.ones(1 << 18)
    found.append("hg" in flags(array.ctypes.data + array.nbytes // 2))

workers.run(part, 2, workers=2)
print(kept, *found)
"""


@glibc
@pytest.mark.skipif(
    not os.path.exists("/sys/kernel/mm/transparent_hugepage"), reason="no huge pages here"
)
def test_kept_memory_lies_in_huge_pages_on_every_thread():
    assert run_python(HUGE, LAMINA_KEEP_MEMORY="1") in ("True True True", "False False False")
    assert run_python(HUGE, LAMINA_KEEP_MEMORY="0") == "False False False"


# ---- settings ---------------------------------------------------------------------------------


@pytest.fixture
def settings(monkeypatch):
    for name in ("_floatx", "_epsilon", "_workers", "_keep_memory"):
        monkeypatch.setattr(config, name, getattr(config, name))
    return monkeypatch


def test_floatx(settings):
    config.set_floatx("float64")
    assert config.floatx() == backends.floatx() == "float64"
    with pytest.raises(ValueError, match="unknown float dtype 'float23': did you mean 'float32'"):
        config.set_floatx("float23")
    assert config.floatx() == "float64"


def test_epsilon(settings):
    assert config.epsilon() == 1e-7
    config.set_epsilon(1e-5)
    assert config.epsilon() == 1e-5
    for wrong in (0, 1, -1e-7, 2):
        with pytest.raises(ValueError, match="epsilon must lie between 0 and 1"):
            config.set_epsilon(wrong)


def test_workers(settings):
    config.set_workers(3)
    assert config.workers() == 3
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="number of workers must be at least 1"):
            config.set_workers(wrong)
    settings.setattr(config, "_workers", None)
    settings.setenv("LAMINA_WORKERS", "5")
    assert config.workers() == 5
    settings.setattr(config, "_workers", None)
    settings.setenv("LAMINA_WORKERS", "many")
    with pytest.raises(ValueError, match="LAMINA_WORKERS"):
        config.workers()
    settings.setattr(config, "_workers", None)
    settings.delenv("LAMINA_WORKERS")
    assert 1 <= config.workers() <= 8


def test_keep_memory(settings):
    config.set_keep_memory(False)
    assert config.keep_memory() is False
    config.set_keep_memory(True)
    assert config.keep_memory() is True


# ---- parts that meet -----------------------------------------------------------------------------


def turned(values):
    """A meeting's work: every part gets what the part before it brought, and all there is."""
    return [(values[i - 1], list(values)) for i in range(len(values))]


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("parts", [2, 3, 5])
def test_parts_that_run_together_exchange_in_order(parts, workers, monkeypatch):
    monkeypatch.setattr("lamina.config.workers", lambda: workers)
    found = [[] for _ in range(parts)]

    def part(i, exchange):
        for turn in range(50):
            found[i].append(exchange(turn, (i, turn), turned))

    backends.together.Together(parts).run(part)
    for i in range(parts):
        everything = [[(j, turn) for j in range(parts)] for turn in range(50)]
        assert found[i] == [(all_[i - 1], all_) for all_ in everything]


@pytest.mark.parametrize("workers", [1, 4])
def test_the_work_of_a_meeting_is_done_once(workers, monkeypatch):
    monkeypatch.setattr("lamina.config.workers", lambda: workers)
    done = []

    def part(i, exchange):
        for turn in range(50):
            exchange(turn, i, lambda values, turn=turn: done.append(turn) or values)

    backends.together.Together(3).run(part)
    assert done == list(range(50))


def test_an_error_in_the_work_of_a_meeting_ends_all_parts():
    def work(values):
        raise KeyError("why")

    with pytest.raises(KeyError, match="why"):
        backends.together.Together(3).run(lambda i, exchange: exchange("a", i, work))


@pytest.mark.parametrize("workers", [1, 3])
def test_parts_that_do_not_meet_are_told_and_all_end(workers, monkeypatch):
    monkeypatch.setattr("lamina.config.workers", lambda: workers)
    together = backends.together

    def leaves(i, exchange):
        if i != 1:
            exchange("a", i, turned)

    def crosses(i, exchange):
        exchange("a", i, turned)
        exchange("b" if i == 2 else "c", i, turned)

    def once_more(i, exchange):
        for _ in range(1 + (i == 0)):
            exchange("a", i, turned)

    for part in (leaves, crosses, once_more):
        with pytest.raises(together.Apart, match="did not meet at"):
            together.Together(3).run(part)

    def fails(i, exchange):
        if i == 2:
            raise KeyError("why")
        exchange("a", i, turned)

    with pytest.raises(KeyError, match="why"):
        together.Together(3).run(fails)
