"""The standard's questions about dtypes and libraries: ``isdtype``, ``finfo``, what there is.

They are answered by the library that the arrays or dtypes asked about belong to; where there are
none, by ``home()``.
"""

import dataclasses
import functools

from lamina import backend
from lamina.autograd._tensor import Tensor
from lamina.backend._backend import _names as NAMES


@dataclasses.dataclass(frozen=True)
class finfo_object:
    """What ``finfo`` tells of a floating-point dtype, in Python's numbers."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: object


@dataclasses.dataclass(frozen=True)
class iinfo_object:
    """What ``iinfo`` tells of an integer dtype, in Python's numbers."""

    bits: int
    max: int
    min: int
    dtype: object


@functools.cache
def _module(kind):
    """The name of the library that a dtype of this type, or a dtype that is a type, is from."""
    return kind.__module__.partition(".")[0]


def _library(dtype, home):
    """The raw namespace that a dtype belongs to, ``home`` where that may be."""
    module = _module(dtype if isinstance(dtype, type) else type(dtype))
    name = NAMES.get(home)
    if module == name or (module == "numpy" and name == "cupy"):
        return home
    for space, name in tuple(NAMES.items()):
        if name == module:
            return space
    return home


_no_arrays = set()  # types of dtypes


def _asked(what, home):
    """An array or dtype as (its dtype, the raw namespace to ask)."""
    if isinstance(what, type) or type(what) in _no_arrays:
        return what, _library(what, home)
    if isinstance(what, Tensor):
        what = what.data
    if backend.is_array(what):
        return what.dtype, backend.namespace(what)
    _no_arrays.add(type(what))
    return what, _library(what, home)


@functools.lru_cache(maxsize=64)
def _finfo(space, dtype):
    found = space.finfo(dtype)
    numbers = (float(getattr(found, n)) for n in ("eps", "max", "min", "smallest_normal"))
    own = getattr(found, "dtype", dtype)
    if isinstance(own, str):  # torch's
        own = getattr(space, own)
    return finfo_object(int(found.bits), *numbers, own)


@functools.lru_cache(maxsize=64)
def _iinfo(space, dtype):
    found = space.iinfo(dtype)
    own = getattr(found, "dtype", dtype)
    if isinstance(own, str):
        own = getattr(space, own)
    return iinfo_object(int(found.bits), int(found.max), int(found.min), own)


class Info:
    """What ``__array_namespace_info__`` returns: what there is on a backend."""

    def __init__(self, place):
        self._place = place
        self._info = place.xp.__array_namespace_info__()

    def capabilities(self):
        """The optional parts of the standard that the library has, by the standard's names."""
        return {"max dimensions": None, **self._info.capabilities()}

    def default_device(self):
        """The device of what is made from numbers where none is named."""
        if self._place.device is not None:
            return self._place.device
        return self._info.default_device()

    def default_dtypes(self, *, device=None):
        """The dtypes that numbers get where none is named, by kind."""
        return self._info.default_dtypes(device=self._on(device))

    def devices(self):
        """The devices that answer."""
        return tuple(self._info.devices())

    def dtypes(self, *, device=None, kind=None):
        """The standard's dtypes that the library has, by name; those of ``kind`` where given."""
        return self._info.dtypes(device=self._on(device), kind=kind)

    def _on(self, device):
        return self._place.device if device is None else device


QUESTIONS = frozenset("__array_namespace_info__ can_cast finfo iinfo isdtype result_type".split())


@functools.cache
def questions(home) -> dict:
    """The functions of this file by name; ``home`` gives the backend to ask where none is named."""

    def can_cast(from_, to, /):
        """The standard's ``can_cast``."""
        dtype, space = _asked(from_, home().xp)
        return bool(space.can_cast(dtype, to))

    def finfo(type, /):
        """The standard's ``finfo``."""
        dtype, space = _asked(type, home().xp)
        return _finfo(space, dtype)

    def iinfo(type, /):
        """The standard's ``iinfo``."""
        dtype, space = _asked(type, home().xp)
        return _iinfo(space, dtype)

    def isdtype(dtype, kind):
        """The standard's ``isdtype``."""
        return _library(dtype, home().xp).isdtype(dtype, kind)

    def result_type(*arrays_and_dtypes):
        """The standard's ``result_type``."""
        space, values = None, []
        for value in arrays_and_dtypes:
            if isinstance(value, Tensor):
                value = value.data
            if space is None and backend.is_array(value):
                space = backend.namespace(value)
            values.append(value)
        if space is None:
            dtypes = [v for v in values if not isinstance(v, int | float | complex)]
            space = _library(dtypes[0], home().xp) if dtypes else home().xp
        return space.result_type(*values)

    def __array_namespace_info__():
        """The standard's inspection of what there is."""
        return Info(home())

    made = (can_cast, finfo, iinfo, isdtype, result_type, __array_namespace_info__)
    for function in made:
        function.__module__ = "lamina.xp"
        function.__qualname__ = function.__name__
    return {function.__name__: function for function in made}
