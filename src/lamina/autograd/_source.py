"""The source of a function of the standard: written for each, since a loop over arguments costs.

What is raw goes straight to the library's function; a call on tensors records what its rules name.
Both leave to ``apply``, which does the same for any case, what is not usual: several results,
casts, options that are tensors, mixtures of libraries, and errors, which it can tell better.
"""

import itertools
import re

OPTION_ARRAYS = frozenset(("condition", "indices", "repeats", "rtol"))
"""Options that are arrays, or may be."""

STRAIGHT = """
    space = SPACES.get(type({first}))
    if space is not None and not debug.enabled{alike}:
        f = {function}
        try:
            return {call}
        except Exception:
            refuse_mixture(NAME, ({given},))
            raise
"""

RECORDED = """
    if not debug.enabled{usual}:
{unwrapped}
        space = {spaces}
        if space is not None and ({tensors}){alike}:
            f = {function}
            try:
                out = {raw_call}
            except Exception:
                return {apply}
            if not (mode.enabled and ({live})):
                return constant(out)
            kind = out.dtype
            plain = kind is FLOAT32 or kind is FLOAT64 or kind not in complex_dtypes(space)
            edges, kept = [], {{}}
{vertices}
{edges}
            result = new(Tensor)
            result.data = out
            result.grad = None
            result.requires_grad = True
            result._node = Node(NAME, edges, kept, space)
            return result
"""


def parts(signature: str):
    """The parameters of a signature, and the arguments that pass them on to a function."""
    parameters, call, keyword = [], [], False
    for part in signature.split(", "):
        if part == "/":
            keyword = True
        elif part != "*":
            parameter = part.partition("=")[0]
            parameters.append(parameter)
            call.append(f"{parameter}={parameter}" if keyword else parameter)
    return parameters, call


def write(name, signature, arrays, options, raw_call, rules, straight, recorded) -> str:
    """The source of the function ``name``.

    Args:
        signature, arrays, options: its parameters, all and by what they are.
        raw_call: the call of the raw function ``f`` on them.
        rules: for each array None, or (names of values, what they are and where) of its rule, in
            the words of ``_functions.py``; the rules themselves are ``rule_x`` and ``between_x``.
        straight, recorded: whether it has a straight way for raw arrays and one for tensors.
    """
    apply = f"apply(({', '.join(arrays)},), ({''.join(o + ', ' for o in options)}))"
    source = f"def {name.rpartition('.')[2]}({signature}):"
    also = tuple(o for o in options if o in OPTION_ARRAYS)
    function = f"space.{name}"
    if straight:
        first, *others = arrays + also
        source += STRAIGHT.format(
            first=first,
            alike=_alike(others),
            function=function,
            call=raw_call,
            given=", ".join((first, *others)),
        )
    if recorded:
        usual = "".join(f" and not isinstance({option}, Tensor)" for option in also)
        if "dtype" in options:
            usual += " and dtype is None"
        among = re.compile(rf"(?<![\w.])({'|'.join(arrays)})(?![\w=])")
        source += RECORDED.format(
            usual=usual,
            unwrapped="\n".join(
                f"        is_{a} = isinstance({a}, Tensor)\n"
                f"        raw_{a} = {a}.data if is_{a} else {a}"
                for a in arrays
            ),
            spaces=" or ".join(f"SPACES.get(type(raw_{a}))" for a in arrays),
            tensors=" or ".join(f"is_{a}" for a in arrays),
            alike=_alike([f"raw_{a}" for a in arrays] if len(arrays) > 1 else [], also),
            function=function if name != "getitem" else "None",
            raw_call=among.sub(r"raw_\1", raw_call),
            apply=apply,
            live=" or ".join(
                f"(is_{a} and {a}.requires_grad)"
                for a, rule in zip(arrays, rules, strict=True)
                if rule is not None
            ),
            vertices="\n".join(
                f"            at_{a} = None\n"
                f"            if is_{a} and {a}.requires_grad:\n"
                f"                at_{a} = {a} if {a}._node is None else {a}._node"
                for a in arrays
            ),
            edges="\n".join(
                _edge(a, rule) for a, rule in zip(arrays, rules, strict=True) if rule is not None
            ),
        )
    return f"{source}\n    return {apply}\n"


def _alike(*names) -> str:
    """The source that asks whether values are numbers or of the library ``space``."""
    return "".join(
        f" and (SPACES.get(type({name})) is space or type({name}) in NUMBERS)"
        for name in itertools.chain(*names)
    )


def _edge(array, needs) -> str:
    """The source that adds the edge of one argument and keeps what its rule names."""
    lines = [
        f"            if at_{array} is not None:",
        f"                formula = rule_{array} if plain else between_{array}",
        f"                edges.append((at_{array}, formula, names_{array}, raw_{array}.shape,"
        f" raw_{array}.dtype))",
    ]
    for needed, value in needs:
        lines.append(f"                kept[{needed!r}] = {value}")
    return "\n".join(lines)
