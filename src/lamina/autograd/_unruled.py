"""The functions of the standard that have no rule, with the standard's own signatures.

On raw arrays they are the raw ones. Of tensors they give constants; those that would lose a
gradient by it (``_standard.OTHERS``) refuse tensors that require one.
"""

import functools

from lamina import backend
from lamina.autograd import _rules
from lamina.autograd._functions import NUMBERS, named, refuse_libraries, refuse_mixture
from lamina.autograd._standard import CONSTANT, SIGNATURES
from lamina.autograd._tape import DIFFERENT, mode
from lamina.autograd._tensor import Tensor
from lamina.backend import waits
from lamina.backend._backend import _namespaces as SPACES

_ARRAYS = ("x", "x1", "x2", "sorter", "rtol")
"""Parameters that are arrays, or may be."""


def parts(signature: str):
    """The names of the parameters, and the arguments that hand them on: "x, axis=axis"."""
    parameters, call, keyword = [], [], False
    for part in signature.split(", "):
        if part == "/" or part.startswith("*"):
            keyword = True
            if len(part) > 1:
                parameters.append(part)
                call.append(part)
        else:
            parameter = part.partition("=")[0]
            parameters.append(parameter)
            call.append(f"{parameter}={parameter}" if keyword else parameter)
    return parameters, ", ".join(call)


def made(name: str, signature: str, body: str, doc: str, **scope):
    """The function ``name`` of the standard with this signature and body."""
    short = name.rpartition(".")[2]
    exec(f"def {short}({signature}):\n{body}", scope)
    return named(scope[short], name, doc)


@functools.cache
def without_rule(name: str):
    """The function ``name`` without derivative: of constants it gives constants, else it refuses.

    ``name`` may be that of an extension's function, as in "linalg.eig".
    """
    signature = SIGNATURES.get(name) or _rules.SIGNATURES[name]
    if signature.startswith("*"):
        return _of_many(name, signature)
    parameters, call = parts(signature)
    arrays = [p for p in parameters if p in _ARRAYS]
    listed = "".join(f"{a}, " for a in arrays)
    space = "whole(space)" if name in DIFFERENT else "space"
    alike = "".join(
        f" and (type({a}) in NUMBERS or SPACES.get(type({a})) is space)" for a in arrays[1:]
    )
    unwrap, result = "", "out"
    if name in CONSTANT:
        unwrap = "    tensors = False\n" + "".join(
            f"    if isinstance({a}, Tensor):\n        {a} = {a}.data\n        tensors = True\n"
            for a in arrays
        )
        result = ("wrap" if name == "nonzero" else "constant") + "(out) if tensors else out"
    rehearse = "    if watchers:\n        rehearsed(NAME, x)\n" if name in waits.FUNCTIONS else ""
    # of one library, arrays go straight to its function: a few look-ups more than calling it
    body = f"""
{rehearse}
    given = ({listed})
{unwrap}
    space = SPACES.get(type({arrays[0]}))
    if space is not None{alike}:
        try:
            out = {space}.{name}({call})
        except Exception:
            refuse_mixture(NAME, ({listed}))
            raise
        return {result}
    return slow(NAME, given, lambda space, {listed}: {space}.{name}({call}))
"""
    if name in CONSTANT:
        about = "which is constant with respect to its arguments: no gradient flows through it."
    else:
        about = "which has no derivative yet: its arguments must require no gradient."
    return made(
        name,
        signature,
        body,
        f"The standard's ``{name}``, {about}",
        SPACES=SPACES,
        NUMBERS=NUMBERS,
        Tensor=Tensor,
        constant=Tensor._of,
        wrap=wrap,
        NAME=name,
        whole=backend.whole,
        refuse_mixture=refuse_mixture,
        slow=_of_tensors,
        watchers=waits.watchers,
        rehearsed=waits.rehearsed,
    )


def _of_many(name: str, signature: str):
    """A function without rule of any number of arrays."""
    parameters, call = parts(signature)
    return made(
        name,
        signature,
        f"    return slow(NAME, {parameters[0][1:]}, lambda space, *arrays: space.{name}({call}))",
        f"The standard's ``{name}``.",
        NAME=name,
        slow=_of_tensors,
    )


def _of_tensors(name, arguments, raw_call):
    """``name`` where a tensor, or a library seen for the first time, is among the arguments."""
    tensors = False
    for argument in arguments:
        if isinstance(argument, Tensor):
            tensors = True
            if argument.requires_grad and mode.enabled and name not in CONSTANT:
                raise NotImplementedError(
                    f"lamina.xp.{name} has no derivative yet: "
                    "pass x.detach() if a constant is meant"
                )
    raws = [raw(argument) for argument in arguments]
    space = namespace_among(raws)
    refuse_libraries(name, space, raws)
    try:
        out = raw_call(space, *raws)
    except Exception:
        refuse_mixture(name, raws)
        raise
    return wrap(out) if tensors else out


def items(values):
    """What lists and tuples of lists and tuples hold, one after the other."""
    for value in values:
        if isinstance(value, list | tuple):
            yield from items(value)
        else:
            yield value


def namespace_among(values, home=None):
    """The raw namespace of the first array or tensor, else ``home``, else that of the backend."""
    for value in items(values):
        if isinstance(value, Tensor):
            return backend.namespace(value.data)
        if type(value) not in NUMBERS and not isinstance(value, str) and backend.is_array(value):
            return backend.namespace(value)
    return home or backend.get().xp


def has_tensor(values) -> bool:
    return any(isinstance(value, Tensor) for value in items(values))


def has_tracked(values) -> bool:
    return any(isinstance(value, Tensor) and value.requires_grad for value in items(values))


def raw(value):
    """The value with every tensor in it replaced by its array."""
    if isinstance(value, Tensor):
        return value.data
    if isinstance(value, list | tuple) and has_tensor(value):
        parts = [raw(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def wrap(out):
    """The result with every array in it as a constant tensor."""
    if isinstance(out, tuple | list):
        parts = [wrap(part) for part in out]
        return type(out)(*parts) if hasattr(out, "_fields") else type(out)(parts)
    return Tensor._of(out) if backend.is_array(out) else out
