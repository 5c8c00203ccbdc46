"""The differentiable namespace: the functions of the standard, on arrays and on tensors alike.

``differentiable(xp)`` is such a namespace over the raw namespace ``xp``; ``lamina.xp`` is the one
over the backend in use. On raw arrays its functions are the raw ones. With a tensor among the
arguments the result is a tensor, and is recorded where one of them requires a gradient and the
function has rules.
"""

import functools

from lamina import backend
from lamina.autograd import _debug, _rules_arrays  # noqa: F401, the latter fills the table
from lamina.autograd._rules import RULES, SIGNATURES
from lamina.autograd._standard import CONSTANT, ELSEWHERE, HALVES, OTHERS
from lamina.autograd._tape import BEYOND, OWN, RuleNode, mode, plain, vertex_of
from lamina.autograd._tensor import FLOATING, Tensor
from lamina.errors import nearest


@functools.cache
def function(name: str):
    """The function ``name`` of the standard, for arrays and tensors; made on first use."""
    if name in ("concat", "stack"):
        return _of_list(name)
    if name in RULES:
        return _with_rules(name)
    return _COMPOSED.get(name) or _without_rules(name)


def _with_rules(name: str):
    """A function with the standard's own signature that records what it does to tensors."""
    signature = SIGNATURES[name]
    arrays = tuple(RULES[name])
    parameters, call, keyword = [], [], False
    for part in signature.split(", "):
        if part == "/":
            keyword = True
        elif part != "*":
            parameter = part.partition("=")[0]
            parameters.append(parameter)
            call.append(f"{parameter}={parameter}" if keyword else parameter)
    options = tuple(p for p in parameters if p not in arrays)
    raw_call = f"f({', '.join(call)})"
    if name == "getitem":
        raw_call = "x[key]"
    elif name == "astype":  # array_api_strict takes device=None for its own default, not x's
        raw_call = f"f(x, dtype, copy=copy) if device is None else {raw_call}"
    scope = {}
    exec(f"def raw(f, {', '.join((*arrays, *options))}): return {raw_call}", scope)
    scope["apply"] = _applier(name, arrays, options, scope["raw"])
    exec(
        f"def {name}({signature}):\n"
        f"    return apply(({', '.join(arrays)},), ({''.join(o + ', ' for o in options)}))",
        scope,
    )
    made = scope[name]
    made.__module__ = "lamina.xp"
    made.__doc__ = f"The standard's ``{name}``, with its derivative."
    return made


def _applier(name, arrays, options, raw_call):
    """What runs a function on raw arrays, and keeps for its rules exactly what these name."""
    rules = [
        (rule, rule.__code__.co_varnames[2 : rule.__code__.co_argcount])
        for rule in RULES[name].values()
    ]
    place = {argument: i for i, argument in enumerate(arrays)}
    shapes = {f"{argument}_shape": i for i, argument in enumerate(arrays)}
    option_place = {option: i for i, option in enumerate(options)}
    beyond = name in BEYOND
    casts = "dtype" in options  # and may cast to integers, which have no derivative

    def apply(arguments, settings):
        raws, tensors, tracked, xp = [], False, False, None
        for argument in arguments:
            if isinstance(argument, Tensor):
                tensors = True
                tracked = tracked or argument.requires_grad
                argument = argument.data
            if xp is None and type(argument) not in NUMBERS:
                xp = backend.namespace(argument)
            raws.append(argument)
        for setting in settings:
            if isinstance(setting, Tensor):
                settings = tuple(_constant(name, s) for s in settings)
                tensors = True
                break
        if xp is None:  # numbers only, as in where(mask, 1.0, 0.0)
            xp = next((backend.namespace(s) for s in settings if backend.is_array(s)), None)
            xp = xp or backend.get().xp
        call = None if name == "getitem" else getattr(plain(xp) if beyond else xp, name)
        try:
            out = raw_call(call, *raws, *settings)
        except Exception:
            _refuse_mixture(name, raws)
            raise
        if _debug.enabled:
            _debug.check_result(name, out, raws)
        if not tensors:
            return out
        if not (tracked and mode.enabled) or (casts and not xp.isdtype(out.dtype, FLOATING)):
            return Tensor._of(out)
        return recorded(out, arguments, raws, settings, xp)

    def recorded(out, arguments, raws, settings, xp):
        edges, kept = [], {}
        for argument, raw, (rule, names) in zip(arguments, raws, rules, strict=True):
            if not (isinstance(argument, Tensor) and argument.requires_grad):
                continue
            edges.append((vertex_of(argument), rule, names, raw.shape, raw.dtype))
            for needed in names:
                if needed in kept:
                    continue
                if needed in place:
                    i = place[needed]
                    other = arguments[i]
                    live = isinstance(other, Tensor) and other.requires_grad
                    kept[needed] = (raws[i], vertex_of(other) if live else None)
                elif needed == "out":
                    kept[needed] = (out, OWN)
                elif needed in shapes:
                    kept[needed] = (raws[shapes[needed]].shape, None)
                else:
                    kept[needed] = (settings[option_place[needed]], None)
        return Tensor._of(out, RuleNode(name, edges, kept, xp))

    return apply


NUMBERS = (int, float, bool, complex, type(None))
"""The types that may stand among arrays and belong to no library."""


def _refuse_mixture(name, raws) -> None:
    """Raise where ``name`` failed because its arrays lie on several backends or devices."""
    places = dict.fromkeys(str(backend.of(raw)) for raw in raws if backend.is_array(raw))
    if len(places) > 1:
        first = next(iter(places))
        raise ValueError(
            f"{name} needs arrays on one backend and device, got {' and '.join(places)}: "
            f"move them to one, for example with lamina.backend.get({first!r}).asarray(x)"
        )


def _constant(name, setting):
    """An argument that has no derivative, as a raw value."""
    if not isinstance(setting, Tensor):
        return setting
    if setting.requires_grad:
        raise NotImplementedError(
            f"{name} has no derivative with respect to this argument: pass it as .detach()"
        )
    return setting.data


def _of_list(name: str):
    """concat and stack: one rule for every array of the list, told its place."""
    rule = RULES[name]["arrays"]
    names = rule.__code__.co_varnames[2 : rule.__code__.co_argcount]

    def made(arrays, /, *, axis=0):
        arrays = tuple(arrays)
        if not any(isinstance(a, Tensor) for a in arrays):
            return getattr(backend.namespace(arrays[0]), name)(arrays, axis=axis)
        raws = [a.data if isinstance(a, Tensor) else a for a in arrays]
        xp = backend.namespace(raws[0])
        out = getattr(xp, name)(raws, axis=axis)
        edges = []
        kept = {"axis": (axis, None), "shapes": ([r.shape for r in raws], None)}
        if mode.enabled:
            for index, (array, raw) in enumerate(zip(arrays, raws, strict=True)):
                if isinstance(array, Tensor) and array.requires_grad:
                    kept[index] = (index, None)
                    wanted = tuple(index if n == "index" else n for n in names)
                    edges.append((vertex_of(array), rule, wanted, raw.shape, raw.dtype))
        return Tensor._of(out, RuleNode(name, edges, kept, xp) if edges else None)

    made.__name__ = name
    made.__module__ = "lamina.xp"
    made.__doc__ = f"The standard's ``{name}``, with its derivative."
    return made


def _without_rules(name: str, home=None):
    """A function without derivative: of constants it gives constants, else it refuses.

    Without arrays among its arguments it is the one of ``home``.
    """

    def made(*args, **kwargs):
        xp = _namespace_among((*args, *kwargs.values()), home)
        found = getattr(xp, name)
        if not _has_tensor((*args, *kwargs.values())):
            return found(*args, **kwargs)
        if name not in CONSTANT and mode.enabled and _has_tracked((*args, *kwargs.values())):
            raise NotImplementedError(
                f"lamina.xp.{name} has no derivative yet: pass x.detach() if a constant is meant"
            )
        return _wrap(found(*map(_raw, args), **{k: _raw(v) for k, v in kwargs.items()}))

    made.__name__ = name
    made.__module__ = "lamina.xp"
    made.__doc__ = f"The standard's ``{name}``, " + (
        "which is constant with respect to its arguments: no gradient flows through it."
        if name in CONSTANT
        else "which has no derivative yet: its arguments must require no gradient."
    )
    return made


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


def _unstack(x, /, *, axis=0):
    """The standard's ``unstack``: x cut into its slices along ``axis``."""
    lead = (slice(None),) * (axis % x.ndim)
    getitem = function("getitem")
    return tuple(getitem(x, (*lead, i, ...)) for i in range(x.shape[axis]))


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
    "unstack": _unstack,
}


@functools.cache
def standard() -> tuple[str, ...]:
    """The names of the standard but those with an underscore before them, in order."""
    names = {*RULES, *_COMPOSED, *CONSTANT, *OTHERS} - {*BEYOND, "getitem"}
    return tuple(sorted(name for name in names if not name.startswith("_")))


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
        close = ELSEWHERE.get(name) or nearest(name, standard())
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
