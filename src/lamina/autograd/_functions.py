"""How a function of the standard comes to record: made of its row in the table of rules."""

import collections
import functools

from lamina import backend
from lamina.autograd import _debug, _source
from lamina.autograd._rules import ADJOINT, RESULTS, RULES, SIGNATURES
from lamina.autograd._tape import (
    BEYOND,
    DIFFERENT,
    OWN,
    Output,
    Part,
    RuleNode,
    mode,
    plain,
    raw_function,
    vertex_of,
)
from lamina.autograd._tensor import FLOATING, Tensor
from lamina.backend._backend import _namespaces as SPACES

NUMBERS = frozenset((int, float, bool, complex, type(None)))
"""The types that may stand among arrays and belong to no library."""

COMPOSED: dict[str, object] = {}
"""Functions that are made of others, by name; ``_composed.py`` and ``_definitions.py`` fill it."""


@functools.cache
def function(name: str):
    """The function ``name`` of the standard, for arrays and tensors; made on first use."""
    if name in ("concat", "stack"):
        return of_list(name)
    if name in RULES:
        return with_rules(name)
    if name in COMPOSED:
        return COMPOSED[name]
    from lamina.autograd._unruled import without_rule

    return without_rule(name)


def with_rules(name: str):
    """A function with the standard's own signature that records what it does to tensors."""
    signature = SIGNATURES[name]
    arrays = tuple(RULES[name])
    parameters, call = _source.parts(signature)
    options = tuple(p for p in parameters if p not in arrays)
    raw_call = f"f({', '.join(call)})"
    if name == "getitem":
        raw_call = "x[key]"
    elif name == "astype":  # array_api_strict takes device=None for its own default, not x's
        raw_call = f"f(x, dtype, copy=copy) if device is None else {raw_call}"
    rules = [_rule(name, arrays, options, rule) for rule in RULES[name].values()]
    scope = {
        "SPACES": SPACES, "NUMBERS": NUMBERS, "NAME": name, "OWN": OWN, "debug": _debug,
        "mode": mode, "Tensor": Tensor, "Node": RuleNode, "new": Tensor.__new__,
        "constant": Tensor._of, "complex_dtypes": complex_dtypes, "refuse_mixture": refuse_mixture,
        "FLOAT32": _host_dtype("float32"), "FLOAT64": _host_dtype("float64"),
    }  # fmt: skip
    for array, (rule, between, names, _) in zip(arrays, rules, strict=True):
        scope |= {f"rule_{array}": rule, f"between_{array}": between, f"names_{array}": names}
    exec(f"def raw(f, {', '.join((*arrays, *options))}): return {raw_call}", scope)
    scope["apply"] = _applier(name, arrays, options, scope["raw"], rules)
    plain_home = name not in BEYOND and name not in DIFFERENT
    recorded = plain_home and name not in RESULTS and name != "astype"
    kept = [
        [_kept(need, arrays, options) for need in needs] if rule and recorded else None
        for rule, *_, needs in rules
    ]
    source = _source.write(
        name,
        signature,
        arrays,
        options,
        raw_call,
        kept,
        straight=plain_home and name != "getitem",
        recorded=recorded,
    )
    exec(source, scope)
    short = name.rpartition(".")[2]
    return named(scope[short], name, f"The standard's ``{name}``, with its derivative.")


def _kept(need, arrays, options) -> tuple[str, str]:
    """The name of a value that a rule uses, and the source of what the tape keeps for it."""
    needed, kind, i = need
    if kind is _ARGUMENT:
        return needed, f"(raw_{arrays[i]}, at_{arrays[i]})"
    if kind is _OUT:
        return needed, "(out, OWN)"
    return needed, f"({options[i]}, None)" if kind is _OPTION else f"(raw_{arrays[i]}.shape, None)"


def _host_dtype(name):
    place = backend.get("numpy")
    return place.xp.empty(0, dtype=place.dtype(name)).dtype


def named(made, name: str, doc: str):
    """``made`` under the name that the standard gives it."""
    home, _, short = name.rpartition(".")
    made.__name__ = made.__qualname__ = short
    made.__module__ = f"lamina.xp.{home}" if home else "lamina.xp"
    made.__doc__ = doc
    return made


def _applier(name, arrays, options, raw_call, rules):
    """What runs a function on raw arrays, and keeps for its rules exactly what these name."""
    holomorphic = any(plain is not conjugated for plain, conjugated, _, _ in rules)
    beyond, simple = name in BEYOND, "." not in name and name not in DIFFERENT
    # a cast to integers has no derivative
    cast = options.index("dtype") if "dtype" in options else None
    option_arrays = [i for i, option in enumerate(options) if option in _source.OPTION_ARRAYS]
    results = RESULTS.get(name)
    rebuilt = _rebuilder(name, results) if results is not None else None

    def apply(arguments, settings):
        raws, tensors, tracked, xp = [], False, False, None
        for argument in arguments:
            if isinstance(argument, Tensor):
                tensors = True
                tracked = tracked or argument.requires_grad
                argument = argument.data
            if type(argument) not in NUMBERS:
                if xp is None:
                    xp = backend.namespace(argument)
                elif SPACES.get(type(argument)) is not xp:
                    refuse_libraries(name, xp, (*raws, argument))
            raws.append(argument)
        for setting in settings:
            if isinstance(setting, Tensor):
                settings = tuple(_constant(name, s) for s in settings)
                tensors = True
                break
        if xp is None:  # numbers only, as in where(mask, 1.0, 0.0)
            xp = next((backend.namespace(s) for s in settings if backend.is_array(s)), None)
            xp = xp or backend.get().xp
        if option_arrays:
            refuse_libraries(name, xp, [settings[i] for i in option_arrays])
        if beyond:
            call = getattr(plain(xp), name)
        elif simple:
            call = None if name == "getitem" else getattr(xp, name)
        else:
            call = raw_function(xp, name)
        try:
            out = raw_call(call, *raws, *settings)
        except Exception:
            refuse_mixture(name, raws)
            raise
        if _debug.enabled:
            _debug.check_result(name, out, raws)
        if not tensors:
            return out
        if tracked and mode.enabled:  # and no cast to integers
            if cast is None or settings[cast] is None or xp.isdtype(out.dtype, FLOATING):
                return recorded(out, arguments, raws, settings, xp)
        return Tensor._of(out) if rebuilt is None else rebuilt(map(Tensor._of, out))

    def recorded(out, arguments, raws, settings, xp):
        edges, kept = [], {}
        conjugated = holomorphic and out.dtype in complex_dtypes(xp)
        for argument, raw, rule in zip(arguments, raws, rules, strict=True):
            if not (isinstance(argument, Tensor) and argument.requires_grad):
                continue
            formula, between, names, needs = rule
            if formula is None:
                continue
            if conjugated:
                formula = between
            edges.append((vertex_of(argument), formula, names, raw.shape, raw.dtype))
            for needed, kind, i in needs:
                if kind is _ARGUMENT:
                    other = arguments[i]
                    live = isinstance(other, Tensor) and other.requires_grad
                    kept[needed] = (raws[i], vertex_of(other) if live else None)
                elif kind is _OUT:
                    kept[needed] = (out, OWN)
                elif kind is _OPTION:
                    kept[needed] = (settings[i], None)
                elif kind is _SHAPE:
                    kept[needed] = (raws[i].shape, None)
                else:
                    kept[needed] = (out[i], Part(i, len(out)))
        node = RuleNode(name, edges, kept, xp) if edges else None
        if rebuilt is None:
            return Tensor._of(out, node)
        count = len(out)
        return rebuilt(Tensor._of(part, Output(node, i, count)) for i, part in enumerate(out))

    return apply


_ARGUMENT, _OUT, _OPTION, _SHAPE, _RESULT = range(5)


def _rule(name, arrays, options, rule):
    """The rule of one argument: as it stands, for complex results, what it names and where it is.

    Where the function is holomorphic, the adjoint of its derivative is the rule between two
    conjugations: ``_rules.py`` says why. What names no array is linear with real coefficients and
    needs none. A function that is constant in this argument has None.
    """
    if rule is None:
        return None, None, (), ()
    names = rule.__code__.co_varnames[2 : rule.__code__.co_argcount]
    results = RESULTS.get(name) or ()
    places = {"out": (_OUT, None)}
    places |= {result: (_RESULT, i) for i, result in enumerate(results)}
    places |= {option: (_OPTION, i) for i, option in enumerate(options)}
    places |= {f"{argument}_shape": (_SHAPE, i) for i, argument in enumerate(arrays)}
    places |= {argument: (_ARGUMENT, i) for i, argument in enumerate(arrays)}
    conjugated = rule
    if name not in ADJOINT and {*arrays, "out"} & {*names}:
        conjugated = lambda xp, g, *used: xp.conj(rule(xp, xp.conj(g), *used))
    return rule, conjugated, names, tuple((needed, *places[needed]) for needed in names)


@functools.cache
def complex_dtypes(xp) -> frozenset:
    """The complex dtypes of a raw namespace."""
    names = [name for name in ("complex64", "complex128") if hasattr(xp, name)]
    return frozenset(xp.empty(0, dtype=getattr(xp, name)).dtype for name in names)


def _rebuilder(name, results):
    """What makes a function's several results into its own named tuple, or into a plain one."""
    if not results:
        return tuple
    short = name.rpartition(".")[2]
    title = short.upper() if len(short) < 4 else short.capitalize()
    made = collections.namedtuple(f"{title}Result", results)
    return lambda parts: made(*parts)


def refuse_mixture(name, arrays) -> None:
    """Raise where ``name`` failed because its arrays lie on several backends or devices."""
    places = dict.fromkeys(str(backend.of(raw)) for raw in arrays if backend.is_array(raw))
    if len(places) > 1:
        raise _mixture(name, places)


def refuse_libraries(name, xp, arrays) -> None:
    """Raise where an array is not of the library ``xp``, before that converts it unasked."""
    for array in arrays:
        if type(array) in NUMBERS or SPACES.get(type(array)) is xp or not backend.is_array(array):
            continue
        if backend.namespace(array) is not xp and not _is_scalar(array):
            others = [a for a in arrays if backend.is_array(a) and not _is_scalar(a)]
            places = [backend.name(xp), *(str(backend.of(a)) for a in others)]
            raise _mixture(name, dict.fromkeys(places[1:] if len({*places[1:]}) > 1 else places))


def _is_scalar(array) -> bool:
    """Whether it is one of NumPy's numbers, which other libraries take as they take Python's."""
    return type(array).__module__ == "numpy" and not hasattr(array, "__array_finalize__")


def _mixture(name, places):
    first = next(iter(places))
    return ValueError(
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


def of_list(name: str):
    """concat and stack: one rule for every array of the list, told its place."""
    rule = RULES[name]["arrays"]
    names = rule.__code__.co_varnames[3 : rule.__code__.co_argcount]  # after xp, g and index
    rules = _Placed(rule)

    def made(arrays, /, *, axis=0):
        if type(arrays) is not list:
            arrays = list(arrays)
        raws, edges, space, tensors = [], [], None, False
        for array in arrays:
            raw = array
            if isinstance(array, Tensor):
                raw, tensors = array.data, True
                if array.requires_grad:
                    vertex = array if array._node is None else array._node
                    edges.append((vertex, rules[len(raws)], names, raw.shape, raw.dtype))
            if space is None:
                space = SPACES.get(type(raw)) or backend.namespace(raw)
            elif SPACES.get(type(raw)) is not space:
                refuse_libraries(name, space, (*raws, raw))
            raws.append(raw)
        if space is None:
            raise ValueError(f"{name} needs at least one array, got none")
        try:
            out = getattr(space, name)(raws, axis=axis)
        except Exception:
            refuse_mixture(name, raws)
            raise
        if not tensors:
            return out
        if not (edges and mode.enabled):
            return Tensor._of(out)
        kept = {"axis": (axis, None)}
        if "shapes" in names:
            kept["shapes"] = ([raw.shape for raw in raws], None)
        return Tensor._of(out, RuleNode(name, edges, kept, space))

    return named(made, name, f"The standard's ``{name}``, with its derivative.")


class _Placed(dict):
    """A rule that is told the place of its array in a list, for each place without that."""

    def __init__(self, rule):
        self._rule = rule

    def __missing__(self, index):
        rule = self._rule
        placed = self[index] = lambda xp, g, *kept: rule(xp, g, index, *kept)
        return placed
