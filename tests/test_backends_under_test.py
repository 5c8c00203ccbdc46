"""The fixtures that the other tests stand on do what they promise."""

import numpy as np
import pytest

import _backends
import conftest


def test_an_array_goes_to_the_backend_and_back(backend):
    data = np.arange(6, dtype="float32").reshape(2, 3)
    array = backend.asarray(data)
    assert backend.backend.owns(array)
    back = backend.to_numpy(array)
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, data)


def test_readonly_arrays_refuse_to_be_written_and_leave_the_data_alone():
    data = np.zeros(3)
    array = _backends.BackendUnderTest("numpy-readonly").asarray(data)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    data[0] = 1


def test_backends_are_chosen_by_the_environment(monkeypatch):
    monkeypatch.setenv("LAMINA_TEST_BACKENDS", "cupy, numpy")
    assert _backends.chosen() == ["numpy", "cupy"]
    monkeypatch.setenv("LAMINA_TEST_BACKENDS", "numppy")
    with pytest.raises(ValueError, match="numppy"):
        _backends.chosen()


def test_a_missing_gpu_fails_where_one_is_required(monkeypatch):
    monkeypatch.delenv("LAMINA_REQUIRE_GPU", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no device answers"):
        conftest._skip_or_fail("cupy", "no device answers")
    monkeypatch.setenv("LAMINA_REQUIRE_GPU", "1")
    with pytest.raises(pytest.fail.Exception, match="LAMINA_REQUIRE_GPU is set"):
        conftest._skip_or_fail("cupy", "no device answers")
    with pytest.raises(pytest.skip.Exception):
        conftest._skip_or_fail("torch", "the package torch is not installed")
