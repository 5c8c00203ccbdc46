"""The differentiable namespace: the functions of the standard, on arrays and on tensors alike.

``differentiable(xp)`` is such a namespace over the raw namespace ``xp``; ``lamina.xp`` is the one
over the backend in use. On raw arrays its functions are the raw ones. With a tensor among the
arguments the result is a tensor, and is recorded where one of them requires a gradient and the
function has rules.
"""

import functools

from lamina import backend
from lamina.autograd import _rules_arrays as _rules_arrays  # which fill the table of rules
from lamina.autograd import _rules_factorizations as _rules_factorizations
from lamina.autograd import _rules_fft as _rules_fft
from lamina.autograd import _rules_linalg as _rules_linalg
from lamina.autograd import _rules_reductions as _rules_reductions
from lamina.autograd import _rules_sorting as _rules_sorting
from lamina.autograd._functions import NUMBERS, named, of_list, with_rules
from lamina.autograd._rules import RULES
from lamina.autograd._standard import ALIASES, CONSTANT, ELSEWHERE, EXTENSIONS, HALVES, OTHERS
from lamina.autograd._tape import BEYOND, mode, raw_function
from lamina.autograd._tensor import Tensor
from lamina.errors import nearest


@functools.cache
def function(name: str):
    """The function ``name`` of the standard, for arrays and tensors; made on first use."""
    if name in ("concat", "stack"):
        return of_list(name)
    if name in RULES:
        return with_rules(name)
    return _COMPOSED.get(name) or _without_rules(name)


def _without_rules(name: str, home=None):
    """A function without derivative: of constants it gives constants, else it refuses.

    Without arrays among its arguments it is the one of ``home``.
    """

    def made(*args, **kwargs):
        xp = _namespace_among((*args, *kwargs.values()), home)
        found = raw_function(xp, name)
        if not _has_tensor((*args, *kwargs.values())):
            return found(*args, **kwargs)
        if name not in CONSTANT and mode.enabled and _has_tracked((*args, *kwargs.values())):
            raise NotImplementedError(
                f"lamina.xp.{name} has no derivative yet: pass x.detach() if a constant is meant"
            )
        return _wrap(found(*map(_raw, args), **{k: _raw(v) for k, v in kwargs.items()}))

    doc = f"The standard's ``{name}``, " + (
        "which is constant with respect to its arguments: no gradient flows through it."
        if name in CONSTANT
        else "which has no derivative yet: its arguments must require no gradient."
    )
    return named(made, name, doc)


def _items(values):
    for value in values:
        if isinstance(value, list | tuple):
            yield from _items(value)
        else:
            yield value


def _namespace_among(values, home=None):
    for value in _items(values):
        if isinstance(value, Tensor):
            return backend.namespace(value.data)
        if type(value) not in NUMBERS and not isinstance(value, str) and backend.is_array(value):
            return backend.namespace(value)
    return home or backend.get().xp


def _has_tensor(values) -> bool:
    return any(isinstance(value, Tensor) for value in _items(values))


def _has_tracked(values) -> bool:
    return any(isinstance(value, Tensor) and value.requires_grad for value in _items(values))


def _raw(value):
    if isinstance(value, Tensor):
        return value.data
    if isinstance(value, list | tuple) and _has_tensor(value):
        return type(value)(map(_raw, value))
    return value


def _wrap(out):
    if isinstance(out, tuple):
        parts = [_wrap(part) for part in out]
        return type(out)(*parts) if hasattr(out, "_fields") else tuple(parts)
    if not isinstance(out, list) and backend.is_array(out):
        return Tensor._of(out)
    return out


def _broadcast_arrays(*arrays):
    """The standard's ``broadcast_arrays``."""
    xp = _namespace_among(arrays)
    shape = xp.broadcast_arrays(*map(_raw, arrays))[0].shape
    return tuple(function("broadcast_to")(a, shape) for a in arrays)


def _diff(x, /, *, axis=-1, n=1, prepend=None, append=None):
    """The standard's ``diff``: differences of neighbours along ``axis``, ``n`` times."""
    parts = [part for part in (prepend, x, append) if part is not None]
    x = function("concat")(parts, axis=axis) if len(parts) > 1 else x
    lead = (slice(None),) * (axis % x.ndim)
    getitem, subtract = function("getitem"), function("subtract")
    for _ in range(n):
        after, before = (*lead, slice(1, None), ...), (*lead, slice(0, -1), ...)
        x = subtract(getitem(x, after), getitem(x, before))
    return x


def _full_like(x, /, fill_value, *, dtype=None, device=None):
    """The standard's ``full_like``, which also takes a tensor of one number."""
    if not isinstance(fill_value, Tensor):
        out = backend.namespace(_raw(x)).full_like(_raw(x), fill_value, dtype=dtype, device=device)
        return Tensor._of(out) if isinstance(x, Tensor) else out
    fill_value = fill_value if device is None else fill_value.to_device(device)
    cast = function("astype")(fill_value, x.dtype if dtype is None else dtype)
    return function("broadcast_to")(cast, x.shape)


# Functions that are compositions of others, and have their derivative from them.
_COMPOSED = {
    "broadcast_arrays": _broadcast_arrays,
    "diff": _diff,
    "full_like": _full_like,
}


@functools.cache
def standard() -> tuple[str, ...]:
    """The names of the standard but those with an underscore before them, in order."""
    names = {*RULES, *_COMPOSED, *CONSTANT, *OTHERS} - {*BEYOND, "getitem"}
    return tuple(sorted(name for name in names if not name.startswith("_") and "." not in name))


class Namespace:
    """The functions, dtypes and constants of the standard over one raw namespace."""

    def __init__(self, xp):
        self._xp = xp
        self.__name__ = "lamina.xp"

    def __getattr__(self, name: str):
        if name.startswith("_") and name != "__array_namespace_info__":
            raise AttributeError(name)
        if name in RULES or name in _COMPOSED:
            found = function(name)
        elif name in EXTENSIONS and hasattr(self._xp, name):
            found = Extension(self._xp, name)
        else:
            known = name in CONSTANT or name in OTHERS or name in HALVES
            found = getattr(self._xp, name, _MISSING) if known else _MISSING
            if found is _MISSING:
                raise self._unknown(name, known)
            if callable(found) and not isinstance(found, type):
                found = self._bound(name, found)
        setattr(self, name, found)
        return found

    def _unknown(self, name, known) -> AttributeError:
        if known:
            return AttributeError(f"the backend {self._name()} has no {name!r}")
        within = (f"{home}.{name}" for home, names in EXTENSIONS.items() if name in names)
        close = ELSEWHERE.get(name) or next(within, None) or nearest(name, standard())
        advice = f": did you mean {close!r}?" if close else ""
        return AttributeError(f"the array API standard has no {name!r}{advice}")

    def _bound(self, name, raw):
        """Functions that make arrays of numbers, or ask about dtypes, do so in this namespace."""
        if name in CREATING:
            return raw
        return _asarray(self._xp) if name == "asarray" else _without_rules(name, self._xp)

    def __dir__(self) -> list[str]:
        return list(standard())

    def _name(self) -> str:
        return getattr(self._xp, "__name__", str(self._xp))

    def __repr__(self) -> str:
        return f"<lamina.xp over {self._name()}>"


class Extension:
    """The functions of an extension of the standard, linalg or fft, over one raw namespace.

    ``place``, where given, is a backend for what is made from numbers.
    """

    def __init__(self, xp, name, place=None):
        self._xp, self._home, self._place = xp, name, place
        self.__name__ = f"lamina.xp.{name}"

    def __getattr__(self, name: str):
        if name.startswith("_"):
            raise AttributeError(name)
        full = f"{self._home}.{name}"
        if name not in EXTENSIONS[self._home]:
            close = nearest(name, sorted(EXTENSIONS[self._home]))
            close = ELSEWHERE.get(full) or (f"{self._home}.{close}" if close else None)
            advice = f": did you mean {close!r}?" if close else ""
            raise AttributeError(f"the array API standard has no {full!r}{advice}")
        full = ALIASES.get(full, full)
        if full in RULES or full in _COMPOSED:
            found = function(full)
        elif name in ("fftfreq", "rfftfreq"):
            found = raw_function(self._xp, full)
            found = found if self._place is None else self._place(found)
        else:
            found = _without_rules(full, self._xp)
        setattr(self, name, found)
        return found

    def __dir__(self) -> list[str]:
        return sorted(EXTENSIONS[self._home])

    def __repr__(self) -> str:
        return f"<{self.__name__}>"


CREATING = frozenset("arange empty eye from_dlpack full linspace ones zeros".split())
_MISSING = object()


def _asarray(home):
    """The standard's ``asarray``: a tensor stays what it is, and on the tape."""

    def asarray(obj, /, *, dtype=None, device=None, copy=None):
        if isinstance(obj, Tensor):
            obj = obj if device is None else obj.to_device(device)
            return obj if dtype is None or dtype == obj.dtype else function("astype")(obj, dtype)
        if mode.enabled and _has_tracked((obj,)):
            raise NotImplementedError(
                "a list of tensors that require gradients becomes an array by lamina.xp.stack"
            )
        xp = _namespace_among((obj,), home)
        out = xp.asarray(_raw(obj), dtype=dtype, device=device, copy=copy)
        return Tensor._of(out) if _has_tensor((obj,)) else out

    return asarray


@functools.cache
def differentiable(xp) -> Namespace:
    """The differentiable namespace over the raw namespace ``xp``."""
    return Namespace(xp)


def namespace(x):
    """The namespace to compute in: of an array its own, of a tensor the differentiable one."""
    if isinstance(x, Tensor):
        return differentiable(backend.namespace(x.data))
    return backend.namespace(x)
