"""What every test can ask for: `backend`, which runs it on each of them, `no_sync`, `fake_cupy`.

The run ends with the list of backends that it covered and of those it skipped, with the reason.
"""

import collections
import os
import zlib

import hypothesis
import numpy as np
import pytest

import _backends
import _cupy
import lamina

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.pop("LAMINA_BACKEND", None)

hypothesis.settings.register_profile("lamina", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("lamina")

_passed = collections.Counter()


def _params():
    for name in _backends.chosen():
        marks = [pytest.mark.backends]
        if name == "cupy":
            marks.append(pytest.mark.gpu)
        yield pytest.param(name, marks=marks, id=name)


def _skip_or_fail(name, reason):
    if name == "cupy" and _backends.gpu_is_required():
        pytest.fail(f"LAMINA_REQUIRE_GPU is set, but {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def _the_same_start(request):
    """What a test draws, weights without a seed and numbers of its file's ``RNG``, is the same in
    every run, in any order of the tests and beside any others. Loops are compiled where a test asks
    for them."""
    lamina.config.set_numba(False)
    lamina.utils.set_random_seed(0)
    if hasattr(request.module, "RNG"):
        request.module.RNG = np.random.default_rng(zlib.crc32(request.node.name.encode()))


@pytest.fixture(params=list(_params()))
def backend(request):
    """The backend a test runs on, as `_backends.BackendUnderTest`; the test runs once on each."""
    reason = _backends.why_not(request.param)
    if reason is not None:
        _skip_or_fail(request.param, reason)
    if request.param == "numpy-compiled":
        request.getfixturevalue("compiled")
    return _backends.under_test(request.param)


@pytest.fixture
def compiled(monkeypatch):
    """Loops that numba compiles serve arrays of any size and shape, in blocks of few numbers."""
    pytest.importorskip("numba")
    monkeypatch.setattr("lamina.kernels.compiling.LEAST", 1)
    monkeypatch.setattr("lamina.kernels.gathering.COMPILED_BLOCK", 500)
    monkeypatch.setattr("lamina.kernels.gathering.LEAST_COPIED", 1)
    any_number = {"side by side": 1, "strides apart": 1}
    monkeypatch.setattr("lamina.kernels.depthwise.LEAST_CHANNELS", any_number)
    monkeypatch.setattr("lamina.kernels.lanes.LEAST_COLUMNS", 1)
    monkeypatch.setattr("lamina.kernels.pooling_numpy.CHANNELS", 1)
    lamina.config.set_numba(True)


@pytest.fixture(params=["operations", "loops"])
def both_ways(request):
    """The test runs with NumPy's operations, and with loops that numba compiles."""
    if request.param == "loops":
        request.getfixturevalue("compiled")


@pytest.fixture
def set_workers():
    """What sets the number of workers, for the length of a test."""
    before = lamina.config.workers()
    yield lamina.config.set_workers
    lamina.config.set_workers(before)


@pytest.fixture
def no_sync(backend):
    """``with no_sync():`` a block in which nothing may make the host wait for the device.

    It bites on CuPy and on array_api_strict, which stands for a device that the host cannot see.
    """
    from lamina.backend import forbid_sync

    return forbid_sync


@pytest.fixture
def fake_cupy(monkeypatch):
    """The module of `_cupy` in the place of CuPy, whether that is installed or not."""
    return _cupy.install(monkeypatch)


def pytest_runtest_setup(item):
    """A test marked gpu that does not take `backend` needs a working CuPy all the same."""
    callspec = getattr(item, "callspec", None)
    if item.get_closest_marker("gpu") and (callspec is None or "backend" not in callspec.params):
        reason = _backends.why_not("cupy")
        if reason is not None:
            _skip_or_fail("cupy", reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call" and report.passed and hasattr(item, "callspec"):
        report.backend = item.callspec.params.get("backend")
    return report


def pytest_runtest_logreport(report):
    """Count in the process that prints, whichever ran the test."""
    _passed[getattr(report, "backend", None)] += 1


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("backends")
    chosen = _backends.chosen()
    for name in _backends.NAMES:
        reason = "not among LAMINA_TEST_BACKENDS" if name not in chosen else _backends.why_not(name)
        if reason is None:
            told = f"{_passed[name]:6} tests passed, {_backends.version(name)}"
        else:
            told = f"skipped: {reason}"
        terminalreporter.write_line(f"{name:<26}{told}")
