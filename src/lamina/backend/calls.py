"""Counting calls of an array library, in one place, and only while somebody counts.

A call of a function of the namespace, or of an operator of its arrays, starts as a rule one kernel
on a GPU, so their number is what a step pays before it computes anything. It is a count of calls
and not of CUDA launches: a reduction or a sort may start two or three, a matrix product none of
CuPy's own; one that was written as a single kernel starts one. Calls that only look at the same
memory in another shape, or ask of dtypes, start none and are left out (`FREE`).

NumPy's arrays are no Python class, so their operators cannot be counted, its functions can.
"""

import functools
import sys
import threading
import types

from lamina.backend import waits
from lamina.backend._replacing import Replacements

FREE = frozenset(
    """asanyarray asarray ascontiguousarray atleast_1d atleast_2d broadcast_arrays broadcast_shapes
    broadcast_to can_cast diagonal empty empty_like expand_dims finfo from_dlpack get_printoptions
    geterr iinfo isdtype isscalar issubdtype matrix_transpose may_share_memory min_scalar_type
    moveaxis ndim permute_dims promote_types ravel reshape result_type rollaxis set_printoptions
    seterr shape shares_memory size squeeze swapaxes transpose unstack""".split()
)
"""Functions that compute nothing: views, questions, and memory that is not written to."""

_OPERATORS = (
    "add and eq floordiv ge gt le lt lshift matmul mod mul ne or pow rshift sub truediv xor".split()
)
_REFLECTED = "add and floordiv lshift matmul mod mul or pow rshift sub truediv xor".split()
_METHODS = (
    *(f"__{name}__" for name in _OPERATORS),
    *(f"__r{name}__" for name in _REFLECTED),
    *(f"__i{name}__" for name in _REFLECTED),
    "__abs__", "__getitem__", "__invert__", "__neg__", "__setitem__",
    *"all any argmax argmin argsort astype clip conj copy cumsum dot fill max mean min".split(),
    *"prod round sort std sum take var".split(),
)  # fmt: skip
"""Of the arrays of libraries whose arrays are a class of Python."""

_UFUNC_METHODS = frozenset(("accumulate", "at", "outer", "reduce", "reduceat"))

_lock = threading.Lock()


class _Here(threading.local):
    within = False


_here = _Here()
_counter: "counting | None" = None
_remembered: list[dict] = []


class counting:
    """A block in which ``called(name)`` is called for every call of a library, on any thread.

    Calls that a library makes of itself are part of the one that was made. One block at a time.

    Args:
        place: the backend whose library is counted.
        called: a function of the name of what is called, such as "add" or "__mul__".

    Raises:
        RuntimeError: where another block counts already.
    """

    def __init__(self, place, called):
        self._place, self._called = place, called
        self._replacements = Replacements()

    def __enter__(self):
        global _counter
        if not _lock.acquire(blocking=False):
            raise RuntimeError(
                "calls are being counted already: profile one model at a time, on one thread"
            )
        try:
            for space in _spaces(self._place):
                for name, value in tuple(vars(space).items()):
                    counts = callable(value) and not isinstance(value, type)
                    if counts and not name.startswith("_") and name not in FREE:
                        make = functools.partial(_Function, self, name)
                        self._replacements.replace(space, name, make)
            for library, kind, _ in waits.classes():
                if library == self._place.name:
                    for name in _METHODS:
                        make = functools.partial(self._method, name)
                        self._replacements.replace(kind, name, make)
        except BaseException:
            self._leave()
            raise
        _counter = self
        _forget()
        return self

    def __exit__(self, *exc_info):
        self._leave()

    def _leave(self):
        global _counter
        _counter = None
        self._replacements.restore()
        _forget()
        _lock.release()

    def _method(self, name, original):
        @functools.wraps(original)
        def method(array, *args):
            if name == "__getitem__" and not _has_array(args[0]):  # a view
                return original(array, *args)
            return self.count(name, original, (array, *args), {})

        if name.startswith("__"):
            return method

        @functools.wraps(original)
        def with_options(array, *args, **kwargs):
            return self.count(name, original, (array, *args), kwargs)

        return with_options

    def count(self, name, function, args, kwargs):
        """``function(*args, **kwargs)``, counted where no other counted call makes it."""
        if _counter is not self or _here.within:
            return function(*args, **kwargs)
        _here.within = True
        try:
            self._called(name)
            return function(*args, **kwargs)
        finally:
            _here.within = False


class _Function:
    """Stands for a function of a namespace while it is counted."""

    def __init__(self, counter, name, function):
        self._counter, self._name, self._function = counter, name, function

    def __call__(self, *args, **kwargs):
        return self._counter.count(self._name, self._function, args, kwargs)

    def __getattr__(self, name):
        found = getattr(self._function, name)
        if name in _UFUNC_METHODS:
            return functools.partial(self._method, f"{self._name}.{name}", found)
        return found

    def _method(self, name, function, *args, **kwargs):
        return self._counter.count(name, function, args, kwargs)


def remembering(functions: dict) -> None:
    """Have ``functions``, where somebody keeps those of a namespace, forgotten around a count.

    Names with an underscore before them stay.
    """
    _remembered.append(functions)


def _forget() -> None:
    for functions in _remembered:
        for name in [name for name in functions if not name.startswith("_")]:
            functions.pop(name, None)


def launched(name: str) -> None:
    """Count a kernel of lamina's own, which no function of the library's namespace starts."""
    if _counter is not None:
        _counter.count(name, _nothing, (), {})


def _nothing():
    pass


def _spaces(place):
    """The namespaces of a library, with what extensions it has, that are loaded."""
    names = {place.xp.__name__, place.name}
    found = [sys.modules[name] for name in sorted(names) if name in sys.modules]
    for space in tuple(found):
        for extension in ("linalg", "fft"):
            module = getattr(space, extension, None)
            if isinstance(module, types.ModuleType):
                found.append(module)
    return found


def _has_array(key) -> bool:
    parts = key if isinstance(key, tuple) else (key,)
    return any(hasattr(part, "dtype") for part in parts)
