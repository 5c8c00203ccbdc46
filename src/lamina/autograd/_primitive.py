"""primitive: a function of your own with a rule for each argument.

For what the standard's functions cannot express, or express badly: a raw implementation, and rules
as in the table of ``_rules.py``.
"""

import functools
import inspect

from lamina import backend
from lamina.autograd import _debug
from lamina.autograd._functional import filled_at, in_kind, is_tracked, kind
from lamina.autograd._tape import OWN, Output, Part, RuleNode, mode, vertex_of
from lamina.autograd._tensor import FLOATING, Tensor
from lamina.errors import nearest


def primitive(**rules):
    """Make a differentiable function of a raw implementation and one rule for each argument.

    Args:
        rules: by the name of the argument, a function from the gradient of the result to that of
            the argument. It is called as ``rule(xp, g, ...)`` with the namespace, the gradient and
            then exactly what its parameters name: arguments of the function, ``out`` for the
            result, ``<argument>_shape``. What no rule names is not kept. Rules are written in
            ``xp``, so that they can be differentiated in turn, and may leave ``g`` in the broadcast
            shape. Where the function returns a tuple, ``g`` and ``out`` are tuples too. Of a
            complex result the rule multiplies by the slope f'(z), as in the table.

    Returns:
        a decorator for the implementation, a function of raw arrays. Parameters without a rule are
        constants.

    Raises:
        TypeError: where a rule is for no parameter, or names what there is not.

    Example:
        >>> @lamina.primitive(x=lambda xp, g, out: g * out)
        ... def exp(x):
        ...     return np.exp(x)
    """

    def register(implementation):
        name = implementation.__name__
        signature = inspect.signature(implementation)
        parameters = tuple(signature.parameters)
        places = {parameter: i for i, parameter in enumerate(parameters)}
        kinds = {p.kind for p in signature.parameters.values()}
        if kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
            raise TypeError(f"primitive {name!r} needs parameters with names, not *args, **kwargs")
        if not rules:
            raise TypeError(f"primitive {name!r} needs a rule for one of its parameters at least")
        known = {*parameters, "out", *(f"{p}_shape" for p in parameters)}
        needs = {}
        for argument, rule in rules.items():
            if argument not in places:
                raise _no_such(name, argument, parameters, "a rule for")
            needs[argument] = tuple(inspect.signature(rule).parameters)[2:]
            for needed in needs[argument]:
                if needed not in known:
                    raise _no_such(name, needed, known, f"in the rule of {argument!r}")
        positional = [p for p in signature.parameters.values() if p.kind != p.KEYWORD_ONLY]
        simple = len(positional) == len(parameters)

        @functools.wraps(implementation)
        def call(*args, **kwargs):
            if kwargs or not simple or len(args) != len(parameters):
                bound = signature.bind(*args, **kwargs)
                bound.apply_defaults()
                args = tuple(bound.arguments[p] for p in parameters)
            raws = [arg.data if isinstance(arg, Tensor) else arg for arg in args]
            keywords = {p: raws[i] for i, p in enumerate(parameters) if i >= len(positional)}
            out = implementation(*raws[: len(positional)], **keywords)
            if _debug.enabled:
                _debug.check_result(name, out, raws)
            if not any(isinstance(arg, Tensor) for arg in args):
                return out
            return _recorded(name, args, raws, out, rules, needs, places)

        return call

    return register


def _no_such(name, given, known, what) -> TypeError:
    close = nearest(given, known)
    advice = f"did you mean {close!r}?" if close else f"there are {', '.join(sorted(known))}"
    return TypeError(f"primitive {name!r} has no {given!r} ({what}): {advice}")


def _recorded(name, args, raws, out, rules, needs, places):
    several = isinstance(out, tuple)
    outs = list(out) if several else [out]
    xp = backend.namespace(outs[0])
    edges, kept = [], {}
    if mode.enabled and any(xp.isdtype(o.dtype, FLOATING) for o in outs):
        for argument, place in places.items():
            if not is_tracked(args[place]):
                continue
            if argument not in rules:
                raise NotImplementedError(
                    f"{name} has no derivative with respect to {argument!r}: pass it as .detach()"
                )
            rule, names = rules[argument], needs[argument]
            if several:
                rule, names = _of_several(rule, names, outs)
            elif not {*places, "out"}.isdisjoint(names) and kind(out) == "complex floating":
                rule = _conjugated(rule)
            for needed in names:
                kept.setdefault(needed, _needed(needed, args, raws, outs, places))
            edges.append(
                (vertex_of(args[place]), rule, names, raws[place].shape, raws[place].dtype)
            )
    node = RuleNode(name, edges, kept, xp) if edges else None
    if not several:
        return Tensor._of(out, node)
    floats = [node is not None and xp.isdtype(o.dtype, FLOATING) for o in outs]
    return tuple(
        Tensor._of(o, Output(node, i, len(outs)) if floats[i] else None) for i, o in enumerate(outs)
    )


def _needed(name, args, raws, outs, places):
    """What a rule names, as a node keeps it: the value, and where it stands on the tape."""
    if isinstance(name, int):  # one of several results
        return outs[name], Part(name, len(outs))
    if name in places:
        arg = args[places[name]]
        return raws[places[name]], vertex_of(arg) if is_tracked(arg) else None
    if name == "out":
        return outs[0], OWN
    return tuple(getattr(raws[places[name.removesuffix("_shape")]], "shape", ())), None


def _conjugated(rule):
    """The adjoint of a complex slope, as for the rows of the table."""
    return lambda xp, g, *used: xp.conj(rule(xp, xp.conj(g), *used))


def _of_several(rule, names, outs):
    """A rule that takes gradient and results as tuples, in the form and names that a node has."""
    likes = [(o.shape, o.dtype) for o in outs]
    count = len(outs) if "out" in names else 0
    others = [name for name in names if name != "out"]

    def made(xp, g, *values):
        own, rest = values[:count], iter(values[count:])
        used = [tuple(own) if name == "out" else next(rest) for name in names]
        return rule(xp, whole(g, likes), *used)

    return made, (*range(count), *others)


def whole(gs, likes) -> tuple:
    """The gradients of several results, with zeros for those that nothing depends on."""
    some = next(g for g in gs if g is not None)
    filled = []
    for g, (shape, dtype) in zip(gs, likes, strict=True):
        if g is None:
            g = in_kind(filled_at(some, 0.0, shape, dtype), isinstance(some, Tensor))
        filled.append(g)
    return tuple(filled)
