"""The differentiable namespace: the functions of the standard, on arrays and on tensors alike.

``differentiable(xp)`` is such a namespace over the raw namespace ``xp``; ``lamina.xp`` is the one
over the backend in use. On raw arrays its functions are the raw ones. With a tensor among the
arguments the result is a tensor, and is recorded where one of them requires a gradient and the
function has rules.
"""

import functools

from lamina import backend
from lamina.autograd import _composed as _composed  # which fills COMPOSED
from lamina.autograd import _rules_arrays as _rules_arrays  # which fill the table of rules
from lamina.autograd import _rules_factorizations as _rules_factorizations
from lamina.autograd import _rules_fft as _rules_fft
from lamina.autograd import _rules_linalg as _rules_linalg
from lamina.autograd import _rules_reductions as _rules_reductions
from lamina.autograd import _rules_sorting as _rules_sorting
from lamina.autograd._creation import CREATING, creation
from lamina.autograd._dtypes import QUESTIONS, questions
from lamina.autograd._functions import COMPOSED, NUMBERS, function
from lamina.autograd._rules import RULES
from lamina.autograd._standard import (
    ALIASES,
    CONSTANT,
    CONSTANTS,
    DTYPES,
    EXTENSIONS,
    HALVES,
    VERSION,
    elsewhere,
)
from lamina.autograd._tape import BEYOND
from lamina.autograd._tensor import Tensor
from lamina.errors import near

__all__ = ["NUMBERS", "differentiable", "function", "namespace", "of_tensors", "standard"]


@functools.cache
def standard() -> tuple[str, ...]:
    """The names of the standard but those with an underscore before them, in order."""
    names = {*RULES, *COMPOSED, *CONSTANT, *CREATING, *QUESTIONS, *DTYPES, *CONSTANTS, *EXTENSIONS}
    names -= {*BEYOND, "getitem"}
    return tuple(sorted(name for name in names if not name.startswith("_") and "." not in name))


class Namespace:
    """The functions, dtypes and constants of the standard over one backend, or over that in use.

    Args:
        home: a function that gives the backend to ask where no array decides.
        tensors: whether what is made from numbers is a tensor.
    """

    __array_api_version__ = VERSION

    def __init__(self, home, tensors=False):
        self._home, self._tensors = home, tensors
        self.__name__ = "lamina.xp"

    def __getattr__(self, name: str):
        found = self._function(name)
        if found is None:
            found = self._constant(name)
        setattr(self, name, found)
        return found

    def _function(self, name: str):
        """The function ``name``, or an extension, which is the same for ever; else None."""
        if name in CREATING:
            return creation(self._home, self._tensors)[name]
        if name in QUESTIONS:
            return questions(self._home)[name]
        if name in EXTENSIONS:
            if not hasattr(self._home().xp, name):
                raise self._unknown(name)
            return Extension(name, self._home, self._tensors)
        if name in RULES or name in COMPOSED or name in CONSTANT:
            return function(name)
        return None

    def _constant(self, name: str):
        """The constant or dtype ``name`` of the backend."""
        if name in DTYPES or name in HALVES:
            found = getattr(self._home().xp, name, None)
            if found is not None:
                return found
        if name in CONSTANTS:
            return CONSTANTS[name]
        if name.startswith("_"):
            raise AttributeError(name)
        raise self._unknown(name)

    def _unknown(self, name) -> AttributeError:
        if name in DTYPES or name in HALVES or name in EXTENSIONS:
            return AttributeError(f"the backend {self._home()} has no {name!r}")
        within = (f"{home}.{name}" for home, names in EXTENSIONS.items() if name in names)
        close = elsewhere(name) or next(within, None)
        return _no(name, [close] if close else near(name, standard(), 2))

    def __dir__(self) -> list[str]:
        return list(standard())

    def __repr__(self) -> str:
        return f"<lamina.xp over {self._home()}>"


def _no(name, close) -> AttributeError:
    advice = f": did you mean {' or '.join(map(repr, close))}?" if close else ""
    return AttributeError(f"the array API standard has no {name!r}{advice}")


class Extension:
    """The functions of an extension of the standard, linalg or fft: see :class:`Namespace`."""

    def __init__(self, name, home, tensors=False):
        self._name, self._home, self._tensors = name, home, tensors
        self.__name__ = f"lamina.xp.{name}"

    def __getattr__(self, name: str):
        if name.startswith("_"):
            raise AttributeError(name)
        full = f"{self._name}.{name}"
        if name not in EXTENSIONS[self._name]:
            close = near(name, sorted(EXTENSIONS[self._name]), 2)
            there = elsewhere(full)
            raise _no(full, [there] if there else [f"{self._name}.{other}" for other in close])
        if full in CREATING:
            found = creation(self._home, self._tensors)[full]
        else:
            found = function(ALIASES.get(full, full))
        setattr(self, name, found)
        return found

    def __dir__(self) -> list[str]:
        return sorted(EXTENSIONS[self._name])

    def __repr__(self) -> str:
        return f"<{self.__name__}>"


@functools.cache
def differentiable(xp) -> Namespace:
    """The differentiable namespace over the raw namespace ``xp``: made arrays are raw ones."""
    place = _library(xp)
    return Namespace(lambda: place)


@functools.cache
def of_tensors(xp) -> Namespace:
    """The differentiable namespace over ``xp`` that a tensor names as its own: it makes tensors."""
    place = _library(xp)
    return Namespace(lambda: place, tensors=True)


def _library(xp):
    """The backend of a raw namespace, on no device in particular: that is for it to say."""
    return backend.Backend(backend.name(xp), xp)


def namespace(x):
    """The namespace to compute in: of an array its own, of a tensor the differentiable one."""
    if isinstance(x, Tensor):
        return differentiable(backend.namespace(x.data))
    return backend.namespace(x)
