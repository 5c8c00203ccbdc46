"""How many threads NumPy's matrix products use, read and set where the library lets us.

While worker threads share a batch each of them multiplies on its own thread; the products must then
not start threads of their own, and their sums must not depend on how many there would be.
"""

import ctypes
import functools
import glob
import os
import sys
import threading

import numpy as np

# OpenBLAS as NumPy's wheels build it, OpenBLAS as distributions do, and Intel's MKL.
_SYMBOLS = (
    ("scipy_openblas_set_num_threads64_", "scipy_openblas_get_num_threads64_"),
    ("openblas_set_num_threads64_", "openblas_get_num_threads64_"),
    ("openblas_set_num_threads", "openblas_get_num_threads"),
    ("MKL_Set_Num_Threads", "MKL_Get_Max_Threads"),
)


@functools.cache
def _controls():
    """(name, set, get) of the BLAS that NumPy loaded, or None where it cannot be reached."""
    for path in _loaded_libraries():
        try:
            library = ctypes.CDLL(path)
        except OSError:
            continue
        for setter, getter in _SYMBOLS:
            if hasattr(library, setter) and hasattr(library, getter):
                return os.path.basename(path), getattr(library, setter), getattr(library, getter)
    return None


def _loaded_libraries() -> list[str]:
    """Paths of shared libraries that may be NumPy's BLAS."""
    folder = os.path.dirname(np.__file__)
    beside = glob.glob(folder + ".libs/*blas*")
    beside += glob.glob(os.path.join(folder, ".dylibs", "*blas*"))
    if beside or sys.platform != "linux":
        return beside
    with open("/proc/self/maps") as maps:
        paths = {line.split()[-1] for line in maps if ".so" in line}
    return sorted(path for path in paths if "blas" in path.lower() or "mkl_rt" in path)


def name() -> str | None:
    """The file name of NumPy's BLAS, or None where it is not one that can be steered."""
    controls = _controls()
    return controls[0] if controls else None


def threads() -> int | None:
    """How many threads a large matrix product uses now, or None where that is not known."""
    controls = _controls()
    return int(controls[2]()) if controls else None


_lock = threading.Lock()
_holders = 0
_before = 0


class one_thread:
    """A block in which matrix products stay on the thread that asks for them.

    The setting is the process's: blocks may nest and overlap, the last to end restores it.
    """

    __slots__ = ("_controls",)

    def __enter__(self):
        global _holders, _before
        self._controls = _controls()
        if self._controls is None:
            return
        _, set_threads, get_threads = self._controls
        with _lock:
            if _holders == 0:
                _before = get_threads()
                set_threads(1)
            _holders += 1

    def __exit__(self, *error):
        global _holders
        if self._controls is None:
            return
        with _lock:
            _holders -= 1
            if _holders == 0:
                self._controls[1](_before)
