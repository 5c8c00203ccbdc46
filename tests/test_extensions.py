"""lamina.xp.linalg and lamina.xp.fft as namespaces."""

import numpy as np
import pytest

import lamina
from lamina import Tensor, xp
from lamina.autograd import namespace
from lamina.testing import assert_close

strict = pytest.importorskip("array_api_strict")


@pytest.mark.parametrize("home", ["linalg", "fft"])
def test_they_have_the_standards_names_and_no_more(home):
    ours = getattr(xp, home)
    theirs = getattr(strict, home)
    assert set(dir(ours)) - set(theirs.__all__) <= {"eig", "eigvals"}  # not listed, but there
    assert set(theirs.__all__) <= set(dir(ours))
    for name in dir(ours):
        assert hasattr(theirs, name)
        made = getattr(ours, name)
        assert made is getattr(ours, name)
        assert made.__name__ == name
    assert repr(ours) == f"<lamina.xp.{home}>"


def test_functions_of_the_standard_itself_are_the_same():
    for name in ("matmul", "matrix_transpose", "tensordot", "vecdot"):
        found = getattr(xp.linalg, name)
        assert (found.__module__, found.__name__) == ("lamina.xp", name)


@pytest.mark.parametrize(
    ("look", "words"),
    [
        (lambda: xp.linalg.choleski, "no 'linalg.choleski': did you mean 'linalg.cholesky'"),
        (lambda: xp.linalg.norm, "no 'linalg.norm': did you mean 'linalg.vector_norm'"),
        (lambda: xp.fft.fft3, "no 'fft.fft3': did you mean 'fft.fftn?'"),
        (lambda: xp.svd, "no 'svd': did you mean 'linalg.svd'"),
        (lambda: xp.norm, "no 'norm': did you mean 'linalg.vector_norm'"),
        (lambda: xp.linalg.zzz, "no 'linalg.zzz'$"),
    ],
)
def test_unknown_names_are_attribute_errors_with_the_right_name(look, words):
    with pytest.raises(AttributeError, match=words):
        look()


def test_they_are_there_for_every_kind_of_array(backend):
    x = backend.asarray(np.eye(3), "float64")
    there = namespace(Tensor(x)).linalg
    for given in (x, Tensor(x), Tensor(x, requires_grad=True)):
        for found in (xp.linalg.inv(given), there.inv(given)):
            assert isinstance(found, Tensor) is isinstance(given, Tensor)
            assert_close(found, x)
    assert backend.backend.owns(namespace(Tensor(x)).fft.rfft(x))


def test_frequencies_are_made_where_the_backend_in_use_is():
    with lamina.use("array_api_strict:device1"):
        made = xp.fft.fftfreq(4), xp.fft.rfftfreq(4)
        assert all(map(lamina.backend.get().owns, made))
    assert isinstance(xp.fft.fftfreq(4), np.ndarray)


def test_mixed_devices_are_named():
    one = lamina.backend.get("array_api_strict").asarray(np.eye(2))
    other = lamina.backend.get("array_api_strict:device1").asarray(np.eye(2))
    for a, b in ((one, other), (Tensor(one), Tensor(other))):
        with pytest.raises(ValueError, match=r"linalg\.solve needs arrays on one backend"):
            xp.linalg.solve(a, b)


def test_raw_arrays_are_the_librarys_own_affair():
    x = np.asarray([[2.0, 1.0], [1.0, 3.0]])
    assert type(xp.linalg.eigh(x)) is type(np.linalg.eigh(x))
    with pytest.raises(np.linalg.LinAlgError):
        xp.linalg.inv(np.zeros((2, 2)))
    caught = pytest.raises(FloatingPointError, match="log gave")
    with lamina.debug_nans(), np.errstate(all="ignore"), caught:
        xp.log(np.zeros(2))
