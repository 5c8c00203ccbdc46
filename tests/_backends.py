"""The backends that tests run on: their names, why one cannot run here, arrays of each.

"numpy-readonly" is NumPy given arrays that refuse to be written, "numpy-compiled" NumPy with loops
that numba compiles, for arrays of any size; elsewhere these are off.

``LAMINA_TEST_BACKENDS=numpy,cupy`` chooses among `NAMES`; by default all of them are tried.
"""

import functools
import importlib.metadata
import importlib.util
import os

from lamina import testing

NAMES = ("numpy", "numpy-readonly", "numpy-compiled", *testing.BACKENDS[1:])


class BackendUnderTest:
    """One backend as tests see it.

    Attributes:
        name: one of `NAMES`.
        backend: the `lamina.backend.Backend`.
        xp: its raw array-API namespace.
    """

    def __init__(self, name):
        from lamina import backend

        self.name = name
        self.backend = backend.get(_known(name))
        self.xp = self.backend.xp

    def __repr__(self):
        return self.name

    def asarray(self, data, dtype=None):
        """An array on this backend's device; on numpy-readonly, one that refuses to be written."""
        array = self.backend.asarray(data, dtype)
        if self.name == "numpy-readonly":
            array = array.copy()
            array.flags.writeable = False
        return array

    def to_numpy(self, array):
        """The array in host memory."""
        return self.backend.to_numpy(array)


under_test = functools.cache(BackendUnderTest)


def chosen():
    """The names to run, in the order of `NAMES`.

    Raises:
        ValueError: where ``LAMINA_TEST_BACKENDS`` has a name that is none of them.
    """
    wanted = [name.strip() for name in os.environ.get("LAMINA_TEST_BACKENDS", "").split(",")]
    wanted = [name for name in wanted if name] or NAMES
    strange = sorted(set(wanted) - set(NAMES))
    if strange:
        raise ValueError(f"LAMINA_TEST_BACKENDS: {strange} are none of {', '.join(NAMES)}")
    return [name for name in NAMES if name in wanted]


@functools.cache
def why_not(name):
    """Why a backend cannot run here, or None where it can."""
    if name == "numpy-compiled" and importlib.util.find_spec("numba") is None:
        return "the package numba is not installed"
    return testing.backends()[_known(name)]


def version(name):
    """The library behind a backend with its version, and for a GPU the device's name."""
    library = _library(name)
    if library == "cupy":
        import cupy

        device = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
        return f"cupy {cupy.__version__} on {device}"
    told = f"{library} {importlib.metadata.version(library.replace('_', '-'))}"
    if name == "numpy-compiled":
        told += f", numba {importlib.metadata.version('numba')}"
    return told


def gpu_is_required():
    """Whether a missing GPU is a failure and not a reason to skip."""
    return os.environ.get("LAMINA_REQUIRE_GPU", "0") not in ("", "0")


def _library(name):
    return _known(name).partition(":")[0]


def _known(name):
    """What lamina calls the backend."""
    return "numpy" if name.startswith("numpy") else name
