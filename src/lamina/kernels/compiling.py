"""Loops in plain Python, compiled by numba where it is installed: when they serve, and how.

Every operation of NumPy's is a pass over memory, lets go of the interpreter, and waits for it when
another thread has it. A loop of ``_loops.py`` does several in one pass, and the interpreter has no
part in it, so that threads which share a batch do not wait for each other. What no loop takes, and
all where numba is missing or ``config.numba()`` is off, NumPy's operations do; finite numbers
differ by rounding alone. (Of a pooling's window with a NaN the gradient goes to the NaN.)

numba is loaded, in a fifth of a second, when the first array of ``LEAST`` numbers comes. A loop is
compiled when it is first called, in up to two seconds, and kept on disk for other processes.
Whoever writes one says of every argument what it is, since it is compiled for that and for nothing
else, and looks at nothing: ``READ[2]`` is a matrix, ``WRITTEN[2]`` one that the loop writes to,
both without gaps and of the dtype of the first array; ``COUNTS[2]`` is a matrix of whole numbers,
``BYTES[2]`` one of small ones that may be written to; a float is of that dtype too.
"""

import functools
import importlib
import importlib.util
import inspect
import sys
import threading
import warnings

import numpy as np

from lamina import config
from lamina.backend import blas

LEAST = 1 << 15
"""Numbers in an array from which on loops serve: below, a call costs more than it saves."""

_AXES = range(1, 5)
READ, WRITTEN = {n: ("read", n) for n in _AXES}, {n: ("written", n) for n in _AXES}
COUNTS, BYTES = {n: ("counts", n) for n in _AXES}, {n: ("bytes", n) for n in _AXES}

_FLOATS = {"f": "float32", "d": "float64"}  # by NumPy's characters
_OPTIONS = {"nogil": True, "error_model": "numpy"}  # a division by zero is no exception
_lock = threading.Lock()


def serves(array, *others, once_loaded=None) -> bool:
    """Whether loops are there, and for these arrays: many floats, the others' of the same dtype.

    Args:
        once_loaded: numbers that are enough once numba is there for other arrays. Only for loops
            that give NumPy's numbers to the last bit, lest results depend on what was done before.
    """
    few = array.size < LEAST
    if few and (once_loaded is None or array.size < once_loaded or not _loaded()):
        return False
    for one in (array, *others):
        if one.dtype != array.dtype or not (one.dtype.isnative and one.flags.aligned):
            return False
    return are_there(array.dtype)


def are_there(dtype) -> bool:
    """Whether there are loops for a dtype; with which numba is imported."""
    return dtype.char in _FLOATS and config.numba() and _numba() is not None


def _loaded() -> bool:
    return "lamina.kernels._loops" in sys.modules


def tidy(array, dtype=None):
    """An array as loops take it, without gaps and aligned, and of a dtype: a copy if need be.

    What is so already is found out at a tenth of the price of NumPy's ``require``.
    """
    flags = array.flags
    if flags.c_contiguous and flags.aligned and (dtype is None or array.dtype == dtype):
        return array
    return np.require(array, dtype, "CA")


def flat(*arrays):
    """Arrays as loops go over them number by number, views; None where loops do not serve."""
    if serves(*arrays) and all(array.flags.c_contiguous for array in arrays):
        return [array.reshape(-1) for array in arrays]
    return None


@functools.cache
def _numba():
    """The module; None where it is missing, switched off, or does not import, which is told."""
    if importlib.util.find_spec("numba") is None:
        return None
    try:
        numba = importlib.import_module("numba")
    except Exception as error:  # of whatever kind: it says so of a NumPy that it does not know
        warnings.warn(
            f"numba is installed and does not import ({type(error).__name__}: {error}): NumPy's "
            'operations do its work. Mend it with pip install --upgrade "lamina[numba]", or set '
            "LAMINA_NUMBA=0 to do without",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return None if numba.config.DISABLE_JIT else numba


@functools.cache
def loops():
    """The module of loops over numbers, with which numba is imported."""
    return importlib.import_module("lamina.kernels._loops")


@functools.cache
def loops_of_windows():
    """The module of loops over windows; ``multiplies`` has to be asked before."""
    return importlib.import_module("lamina.kernels._loops_of_windows")


class loop:
    """A function compiled for the dtype of its first argument, when it is first called for it.

    It lets go of the interpreter, and looks at no argument: ``serves`` has to be asked before.
    """

    def __init__(self, function):
        functools.update_wrapper(self, function)
        self.by_dtype = {}

    def __call__(self, *args):
        char = args[0].dtype.char
        compiled = self.by_dtype.get(char)
        if compiled is None:
            with _lock:
                compiled = self.by_dtype.get(char) or self._compiled(char)
                self.by_dtype[char] = compiled
        compiled(*args)

    def _compiled(self, char):
        numba = _numba()
        signature = self._signature(numba.types, char)
        # what is on disk may be spoilt, or no folder may be there; to look at indices is not kept
        for cache in (False,) if numba.config.BOUNDSCHECK else (True, False):
            try:
                return numba.njit(signature, cache=cache, **_OPTIONS)(self.__wrapped__)
            except Exception as error:
                found = error
        raise RuntimeError(
            f"numba {numba.__version__} does not compile the loop {self.__name__!r}: install "
            "another version of numba, or set LAMINA_NUMBA=0 to do without"
        ) from found

    def _signature(self, types, char):
        """What numba calls the types of the arguments."""
        number = getattr(types, _FLOATS[char])

        def type_of(said):
            if said is float:
                return number
            if isinstance(said, type):
                return {int: types.int64, bool: types.boolean}[said]
            kind, axes = said
            of = {"counts": types.int64, "bytes": types.uint8}.get(kind, number)
            return types.Array(of, axes, "C", readonly=kind in ("read", "counts"))

        parameters = inspect.signature(self.__wrapped__).parameters.values()
        return types.void(*[type_of(p.annotation) for p in parameters])


def helper(function):
    """Compile a function that loops call, as part of each, for whatever they call it with."""
    return _numba().njit(**_OPTIONS)(function)


# ---- products ------------------------------------------------------------------------------------


def multiplies() -> bool:
    """Whether loops can call the matrix product of NumPy's BLAS."""
    return blas.gemms() is not None


@functools.cache
def gemms():
    """The BLAS's ``cblas_sgemm`` and ``cblas_dgemm``, as functions for loops."""
    binding = importlib.import_module("llvmlite.binding")
    types, found = _numba().types, []
    for address, number in zip(blas.gemms(), (types.float32, types.float64)):
        name = f"lamina_gemm_of_{number}"
        binding.add_symbol(name, address)
        matrix = types.intp, types.int64  # where it begins, and from row to row
        sizes = (types.int32,) * 3 + (types.int64,) * 3
        arguments = (*sizes, number, *matrix, *matrix, number, *matrix)
        found.append(types.ExternalFunction(name, types.void(*arguments)))
    return found
