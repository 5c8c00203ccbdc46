"""Derivatives of functions: ``grad`` and ``value_and_grad``.

Arrays in, arrays out. Where something further out is being differentiated (the arguments are
tensors that require gradients, or the function closes over such), the gradient is a tensor on that
tape, so derivatives nest to any order. The gradient is asked for at this call's own arguments and
nowhere else, which is why nested calls cannot be confused with one another.
"""

import functools

from lamina import backend
from lamina.autograd._tape import alias, leaves, mode, sweep, vertex_of
from lamina.autograd._tensor import FLOATING, Tensor


def value_and_grad(f, argnums: int | tuple[int, ...] = 0):
    """A function that returns (f(*args), the gradient of f at ``args``).

    Args:
        f: a function of arrays that returns one number.
        argnums: which positional argument to differentiate with respect to, or a tuple of them.
            An argument may be an array, a number, or a list, tuple or dict of arrays.

    Returns:
        a function of the same arguments. Its gradient has the structure of the argument; of a tuple
        of ``argnums`` it is a tuple.

    Raises:
        TypeError: where f does not return one number, or an argument is not floating point.

    Example:
        >>> lamina.value_and_grad(lambda x: x**3)(2.0)
        (np.float32(8.0), np.float32(12.0))
    """
    single = isinstance(argnums, int)
    numbers = (argnums,) if single else tuple(argnums)

    @functools.wraps(f)
    def wrapped(*args, **kwargs):
        args = list(args)
        traced = []
        for number in numbers:
            if not -len(args) <= number < len(args):
                raise TypeError(
                    f"argnums={argnums} asks for argument {number}, but {len(args)} positional "
                    "arguments were given"
                )
            args[number], own = _trace(args[number])
            traced.append((args[number], own))
        recorded, mode.enabled = mode.enabled, True  # no_grad() is for what lies outside
        try:
            value = f(*args, **kwargs)
        finally:
            mode.enabled = recorded
        if not isinstance(value, Tensor):
            raise TypeError(
                "grad needs a result computed from the arguments with lamina.xp or operators, got "
                f"{value!r}, which remembers nothing: use lamina.xp in place of math and numpy"
            )
        if value.size != 1:
            raise TypeError(
                f"grad needs a function that returns one number, got shape {tuple(value.shape)}: "
                "reduce it, for example with lamina.xp.sum"
            )
        wanted = [vertex_of(t) for _, own in traced for t in own]
        outside = recorded and (
            any(t._node is not None for _, own in traced for t in own)
            or bool(leaves([value], set(wanted)))
        )
        seed = value._seed(None)
        found = sweep([(value, Tensor._of(seed) if outside else seed)], wanted, outside)
        gradients = tuple(_collect(structure, found) for structure, _ in traced)
        return value if outside else value.data, gradients[0] if single else gradients

    return wrapped


def grad(f, argnums: int | tuple[int, ...] = 0):
    """A function that returns the gradient of ``f``: see :func:`value_and_grad`.

    Example:
        >>> second = lamina.grad(lamina.grad(lambda x: x**3))
        >>> second(2.0)
        np.float32(12.0)
    """
    both = value_and_grad(f, argnums)

    @functools.wraps(f)
    def wrapped(*args, **kwargs):
        return both(*args, **kwargs)[1]

    return wrapped


def _trace(argument):
    """The argument with its arrays replaced by tensors of their own, and the list of these."""
    if isinstance(argument, list | tuple):
        pairs = [_trace(part) for part in argument]
        return _like(argument, [p for p, _ in pairs]), [t for _, own in pairs for t in own]
    if isinstance(argument, dict):
        pairs = {key: _trace(part) for key, part in argument.items()}
        return {k: p for k, (p, _) in pairs.items()}, [t for _, own in pairs.values() for t in own]
    tensor = argument if isinstance(argument, Tensor) else Tensor(argument)
    if not backend.namespace(tensor.data).isdtype(tensor.dtype, FLOATING):
        raise TypeError(
            "a derivative needs floating-point arguments, got "
            f"{backend.of(tensor.data).dtype_name(tensor.dtype)}: pass 2.0 instead of 2"
        )
    tensor = alias(tensor)
    return tensor, [tensor]


def _like(sequence, parts):
    """``parts`` as a sequence of the same type: list, tuple or named tuple."""
    make = type(sequence)
    return make(*parts) if hasattr(make, "_fields") else make(parts)


def _collect(structure, found):
    """Gradients in the structure of the argument; zeros where the result does not depend on it."""
    if isinstance(structure, list | tuple):
        return _like(structure, [_collect(part, found) for part in structure])
    if isinstance(structure, dict):
        return {key: _collect(part, found) for key, part in structure.items()}
    g = found.get(vertex_of(structure))
    return backend.namespace(structure.data).zeros_like(structure.data) if g is None else g
