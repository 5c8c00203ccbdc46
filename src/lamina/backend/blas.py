"""NumPy's matrix products: their threads, read and set, up to which size they copy nothing, and the
functions themselves, for what is compiled.

While worker threads share a batch each of them multiplies on its own thread; the products must then
not start threads of their own, and their sums must not depend on how many there would be.
"""

import ctypes
import functools
import glob
import os
import platform
import sys
import threading
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

# What a library calls its functions: OpenBLAS as NumPy's wheels build it, OpenBLAS as distributions
# do, and Intel's MKL, which does not tell the processor.
_SYMBOLS = (
    (
        "scipy_openblas_set_num_threads64_",
        "scipy_openblas_get_num_threads64_",
        "scipy_openblas_get_corename64_",
        "scipy_cblas_{}gemm64_",
    ),
    (
        "openblas_set_num_threads64_",
        "openblas_get_num_threads64_",
        "openblas_get_corename64_",
        "cblas_{}gemm64_",
    ),
    (
        "openblas_set_num_threads",
        "openblas_get_num_threads",
        "openblas_get_corename",
        "cblas_{}gemm",
    ),
    ("MKL_Set_Num_Threads", "MKL_Get_Max_Threads", None, "cblas_{}gemm"),
)
# Where a C int is passed in a register, or a place on the stack, as large as that of a long long:
# one kind of call does for libraries that count in either.
_WIDE = {"x86_64", "AMD64"}
_SMALL = 10**6  # multiplications up to which OpenBLAS multiplies matrices as they lie, on these:
_HAVE_SMALL = {"SkylakeX", "Cooperlake", "SapphireRapids"}


class _Controls(NamedTuple):
    """The file name of NumPy's BLAS, its functions, the processor that it chose, and where its
    ``cblas_sgemm`` and ``cblas_dgemm`` are."""

    name: str
    set_threads: Callable[[int], None]
    get_threads: Callable[[], int]
    core: str | None = None
    gemms: tuple[int, int] | None = None


@functools.cache
def _controls() -> _Controls | None:
    """None where the BLAS that NumPy loaded cannot be reached."""
    for path in _loaded_libraries():
        try:
            library = ctypes.CDLL(path)
            quick = ctypes.PyDLL(path)  # which does not let go of the interpreter
        except OSError:
            continue
        for setter, getter, namer, gemm in _SYMBOLS:
            if hasattr(library, setter) and hasattr(library, getter):
                namer = getattr(quick, namer, None) if namer else None
                if namer is not None:
                    namer.restype = ctypes.c_char_p
                functions = getattr(library, setter), getattr(quick, getter)
                core, gemms = namer and namer().decode(), _addresses(library, gemm)
                return _Controls(os.path.basename(path), *functions, core, gemms)
    return None


def _addresses(library, gemm) -> tuple[int, int] | None:
    """Of the two functions; None where one is missing, or the library counts in ints of 32 bits and
    the machine is not known to pass these as it passes ints of 64."""
    if not gemm.endswith("64_") and not (platform.machine() in _WIDE and sys.maxsize > 2**32):
        return None
    functions = [getattr(library, gemm.format(letter), None) for letter in "sd"]
    if None in functions:
        return None
    return tuple(ctypes.cast(function, ctypes.c_void_p).value for function in functions)


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
    return controls.name if controls else None


def threads() -> int | None:
    """How many threads a large matrix product uses now, or None where that is not known."""
    controls = _controls()
    return int(controls.get_threads()) if controls else None


def core() -> str | None:
    """The processor that OpenBLAS chose its code for, in its words; None where that is unknown."""
    controls = _controls()
    return controls.core if controls else None


def gemms() -> tuple[int, int] | None:
    """The addresses of ``cblas_sgemm`` and ``cblas_dgemm``, to be called with a ``long long`` for
    every size; None where they cannot be reached."""
    controls = _controls()
    return controls.gemms if controls else None


def small_product() -> int:
    """Multiplications up to which a product is known to be done without copies; 0 where unknown."""
    return _SMALL if core() in _HAVE_SMALL else 0


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
        with _lock:
            if _holders == 0:
                _before = self._controls.get_threads()
                self._controls.set_threads(1)
            _holders += 1

    def __exit__(self, *error):
        global _holders
        if self._controls is None:
            return
        with _lock:
            _holders -= 1
            if _holders == 0:
                self._controls.set_threads(_before)
