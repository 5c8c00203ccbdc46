"""Derivatives of functions by going backward: ``grad``, ``value_and_grad`` and ``vjp``.

Arrays in, arrays out. Where something further out is being differentiated (the arguments are
tensors that require gradients, or the function closes over such), the gradient is a tensor on that
tape, so derivatives nest to any order. The gradient is asked for at this call's own arguments and
nowhere else, which is why nested calls cannot be confused with one another.

``Run`` is one run of a function on a tape, which all of these, and ``_forward.py``, start from.
"""

import functools

from lamina import backend
from lamina.autograd import _nest
from lamina.autograd._sweep import reach, sweep
from lamina.autograd._tape import Variable, alias, mode, recording, vertex_of
from lamina.autograd._tensor import FLOATING, LOST, Tensor


class Run:
    """One run of ``f``, recorded from vertices of its own.

    Args:
        f: the function.
        args: its positional arguments.
        numbers: which of them to differentiate with respect to; they may be nests.
        kwargs: its other arguments.
        has_aux: whether f returns a pair, of which only the first is differentiated.
        who: the name of the function that the user called, for messages.

    Attributes:
        inputs: the structure of the tuple of chosen arguments.
        own: their tensors, one for each leaf.
        outputs: the structure of the result.
        outs: its leaves, tensors or arrays.
        outside: whether something outside is being differentiated, so that results are tensors.
        aux: the second part of the pair.
    """

    def __init__(self, f, args, numbers, kwargs=None, has_aux=False, who="grad"):
        args = list(args)
        numbers = _places(numbers, len(args))
        chosen = tuple([args[number] for number in numbers])
        found, self.inputs = _nest.flatten(chosen)
        if any(type(x) in (float, complex) for x in found):  # which go where the arrays are
            place = _place(args)
            found = [place.asarray(x) if type(x) in (float, complex) else x for x in found]
        self.own = [self._traced(x, i, numbers) for i, x in enumerate(found)]
        if not found:
            raise TypeError(
                f"{who} needs an array, a tensor, a float or a nest of these to differentiate "
                f"with respect to, got {', '.join(type(x).__name__ for x in chosen) or 'nothing'}"
            )
        for number, argument in zip(numbers, self.inputs.fill(self.own), strict=True):
            args[number] = argument
        try:
            with recording() as recorded:  # no_grad() is for what lies outside
                result = f(*args, **(kwargs or {}))
        except ValueError as error:
            if LOST not in str(error.__cause__):
                raise
            raise TypeError(  # which NumPy has hidden behind a word on sequences
                "a NumPy array cannot hold a tensor that is being differentiated: write into "
                "lamina.xp.zeros_like(x), or put the parts together with lamina.xp.stack"
            ).with_traceback(error.__traceback__) from None
        finally:
            for tensor in self.own:
                if type(tensor) is Variable:
                    tensor.ended = True
        self.aux = None
        if has_aux:
            if not isinstance(result, tuple) or len(result) != 2:
                raise TypeError(
                    f"{who} with has_aux=True needs a function that returns a pair (result, aux), "
                    f"got {_described(result)}"
                )
            result, self.aux = result
        self.outs, self.outputs = _nest.flatten(result)
        if not any(isinstance(out, Tensor) for out in self.outs):
            raise TypeError(
                f"{who} needs a result computed from the arguments with lamina.xp or operators, "
                f"got {_described(result)}, which remembers nothing: use lamina.xp in place of "
                "math and numpy, and return what was computed"
            )
        self.wanted = [vertex_of(tensor) for tensor in self.own]
        ends = [vertex_of(out) for out in self.outs if is_tracked(out)]
        self._order, others = reach(ends, self.wanted)
        self.outside = recorded and (
            others or any(tensor._node is not None for tensor in self.own)
        )
        if has_aux:
            found, structure = _nest.flatten(self.aux)
            self.aux = structure.fill([self.told(x) for x in found])

    def _traced(self, value, i, numbers) -> Tensor:
        """Leaf i of the chosen arguments as a tensor with a vertex of its own."""
        tensor = value if isinstance(value, Tensor) else Tensor(value)
        if not kind(tensor):
            _, _, path = self.inputs.paths("")[i].partition("]")
            number, _, _ = self.inputs.paths("")[i][1:].partition("]")
            raise TypeError(
                "a derivative needs floating-point arguments, got "
                f"{backend.of(tensor.data).dtype_name(tensor.dtype)} as argument "
                f"{numbers[int(number)]}{path}: {_as_floats(value)}"
            )
        return alias(tensor)

    def told(self, value):
        """A result as the caller gets it: a tensor only where something outside needs it."""
        return value.data if isinstance(value, Tensor) and not self.outside else value

    def value(self):
        """The result of f."""
        return self.outputs.fill([self.told(out) for out in self.outs])

    def back(self, seeds, retain_graph=False) -> list:
        """Gradients at the leaves of the arguments of sum(out * seed); None is a seed of 0."""
        further = mode.enabled and (self.outside or any(map(is_tracked, seeds)))
        roots = []
        for out, seed in zip(self.outs, seeds, strict=True):
            if seed is not None and is_tracked(out):
                roots.append((out, in_kind(seed, further)))
        found = sweep(roots, self.wanted, further, retain_graph, self._order)
        return [
            zeros(tensor) if found.get(vertex) is None else found[vertex]
            for vertex, tensor in zip(self.wanted, self.own, strict=True)
        ]


def value_and_grad(f, argnums: int | tuple[int, ...] = 0, has_aux: bool = False):
    """A function that returns (f(*args), the gradient of f at ``args``).

    Args:
        f: a function of arrays that returns one real number.
        argnums: which positional argument to differentiate with respect to, or a tuple of them.
            An argument may be an array, a number, or any nest of lists, tuples, dicts and
            dataclasses of arrays. Arrays keep their dtype; Python floats, also those of a list,
            which are differentiated one by one, become ``config.floatx()``: float32 as it starts.
            For float64 pass ``np.asarray([1.0, 2.0])``.
        has_aux: f returns a pair (number, aux), and the value is that pair.

    Returns:
        a function of the same arguments. Its gradient has the structure of the argument, of a tuple
        of ``argnums`` it is a tuple; it is 0 with respect to what the value does not depend on. Of
        a complex argument z = x + iy it is df/dx + i df/dy.

    Raises:
        TypeError: where f does not return one real number, or an argument is not floating point.

    Example:
        >>> lamina.value_and_grad(lambda x: x**3)(2.0)
        (np.float32(8.0), np.float32(12.0))
    """
    single, numbers = numbered(argnums)

    @functools.wraps(f)
    def wrapped(*args, **kwargs):
        run = Run(f, args, numbers, kwargs, has_aux)
        if not run.outputs.is_leaf:
            raise TypeError(
                "grad needs a function that returns one number, got "
                f"{_described(run.value())}: for several results use lamina.vjp or "
                "lamina.jacobian, or has_aux=True for (number, aux)"
            )
        out = run.outs[0]
        if out.size != 1:
            raise TypeError(
                f"grad needs a function that returns one number, got shape {tuple(out.shape)}: "
                "reduce it, for example with lamina.xp.sum"
            )
        if kind(out) != "real floating":
            raise TypeError(
                "grad needs a function that returns one real number, got "
                f"{backend.of(out.data).dtype_name(out.dtype)}: take lamina.xp.real or "
                "lamina.xp.abs of a complex one"
            )
        gradients = run.inputs.fill(run.back([backend.namespace(out.data).ones_like(out.data)]))
        value = run.told(out)
        value = (value, run.aux) if has_aux else value
        return value, gradients[0] if single else gradients

    return wrapped


def grad(f, argnums: int | tuple[int, ...] = 0, has_aux: bool = False):
    """A function that returns the gradient of ``f``: see :func:`value_and_grad`.

    With ``has_aux`` it returns (gradient, aux).

    Example:
        >>> second = lamina.grad(lamina.grad(lambda x: x**3))
        >>> second(2.0)
        np.float32(12.0)
    """
    both = value_and_grad(f, argnums, has_aux)

    @functools.wraps(f)
    def wrapped(*args, **kwargs):
        value, gradients = both(*args, **kwargs)
        return (gradients, value[1]) if has_aux else gradients

    return wrapped


def vjp(f, *primals, has_aux: bool = False):
    """The result of ``f`` at ``primals``, and its pullback: vector-Jacobian products.

        pullback(v) = v^T J        J = d f(*primals) / d primals

    Args:
        f: a function that returns an array or any nest of arrays.
        primals: its arguments, arrays or nests of arrays.
        has_aux: f returns a pair (result, aux).

    Returns:
        (result, pullback), or (result, pullback, aux). ``pullback`` takes v, called seeds in its
        errors, a nest like the result, as often as one likes, and returns a tuple with the gradient
        for each of ``primals``. The tape lives as long as it does.

    Raises:
        TypeError: where an argument is not floating point, f returns no array, or what is given
            to the pullback has another structure than the result.
        ValueError: where it has another shape.

    Example:
        >>> y, pullback = lamina.vjp(lambda x: {"s": xp.sin(x), "c": xp.cos(x)}, 0.0)
        >>> pullback({"s": 1.0, "c": 0.0})
        (np.float32(1.0),)
    """
    run = Run(f, primals, range(len(primals)), None, has_aux, "vjp")

    def pullback(seeds):
        seeds = run.outputs.match(seeds, "seeds")
        paths = run.outputs.paths("seeds")
        seeds = [
            fitting(seed, out, path, "result")
            for seed, out, path in zip(seeds, run.outs, paths, strict=True)
        ]
        return run.inputs.fill(run.back(seeds, retain_graph=True))

    return (run.value(), pullback, run.aux) if has_aux else (run.value(), pullback)


# ---- what arguments, seeds and tangents must be -----------------------------------------------


def numbered(argnums) -> tuple[bool, tuple[int, ...]]:
    """Whether ``argnums`` is a single number, and all of them.

    Raises:
        TypeError: where they are no whole numbers, or none or one of them twice.
    """
    single = isinstance(argnums, int) and not isinstance(argnums, bool)
    numbers = (argnums,) if single else argnums
    if (
        not isinstance(numbers, tuple | list | range)
        or not numbers
        or len(set(numbers)) < len(numbers)
        or not all(isinstance(n, int) and not isinstance(n, bool) for n in numbers)
    ):
        raise TypeError(
            f"argnums must be the number of an argument or a tuple of different ones, got "
            f"{argnums!r}: for example argnums=0 or argnums=(0, 1)"
        )
    return single, tuple(numbers)


def _place(args):
    """The backend of the first array among ``args``."""
    for leaf in _nest.leaves_of(args):
        raw = leaf.data if isinstance(leaf, Tensor) else leaf
        if backend.is_array(raw):
            return backend.of(raw)
    return backend.get()


def _places(numbers, count: int) -> list[int]:
    """``numbers`` counted from the front, once it is known that there are such arguments."""
    told = numbers[0] if len(numbers) == 1 else tuple(numbers)
    for number in numbers:
        if not -count <= number < count:
            raise TypeError(
                f"argnums={told} asks for argument {number}, but {count} positional arguments "
                "were given"
            )
    places = [number % count for number in numbers]
    if len(set(places)) < len(places):
        raise TypeError(f"argnums={told} names one of the {count} arguments twice")
    return places


def fitting(value, like, path: str, whose: str):
    """A seed or tangent for ``like``: an array of its shape, dtype and place, or a tensor.

    None where ``like`` has no derivative. ``path`` and ``whose`` name the two in messages.

    Raises:
        TypeError: where it is no array or number, or complex for real numbers.
        ValueError: for another shape.
    """
    raw = value.data if isinstance(value, Tensor) else value
    if not (backend.is_array(raw) or isinstance(raw, int | float | complex)):
        raise TypeError(f"{path} must be an array or a number, got {_described(raw)}")
    like = like.data if isinstance(like, Tensor) else like
    if not backend.is_array(like):  # a number among the results
        like = backend.get().asarray(like)
    place = backend.of(like)
    shape = tuple(getattr(raw, "shape", ()))
    if shape != tuple(like.shape):
        raise ValueError(f"{path} must have the {whose}'s shape {tuple(like.shape)}, got {shape}")
    given = kind(raw) == "complex floating" if backend.is_array(raw) else isinstance(raw, complex)
    if given and kind(like) != "complex floating":
        raise TypeError(
            f"{path} must be real like the {whose}, {place.dtype_name(like.dtype)}, got complex "
            "numbers: take lamina.xp.real of it"
        )
    if not kind(like):  # its derivative is 0 whatever is given
        return None
    if isinstance(value, Tensor) and value.requires_grad:
        if value.dtype == like.dtype:
            return value
        from lamina.autograd._namespace import function

        return function("astype")(value, like.dtype)
    return place.asarray(raw, like.dtype)


def kind(array) -> str:
    """ "real floating", "complex floating", or "" of numbers that have no derivative."""
    raw = array.data if isinstance(array, Tensor) else array
    return _kind(backend.namespace(raw), raw.dtype)


@functools.cache
def _kind(xp, dtype) -> str:
    return next((name for name in FLOATING if xp.isdtype(dtype, name)), "")


def is_tracked(value) -> bool:
    """Whether ``value`` is a tensor that requires a gradient."""
    return isinstance(value, Tensor) and value.requires_grad


def in_kind(value, tensors: bool):
    """A seed or tangent as a tensor, or raw."""
    if isinstance(value, Tensor):
        return value if tensors else value.data
    return Tensor._of(value) if tensors else value


def filled_at(some, value, shape, dtype):
    """An array full of ``value`` on the backend and device of ``some``."""
    place = backend.of(some.data if isinstance(some, Tensor) else some)
    with place.scope():
        return place.xp.full(tuple(shape), value, dtype=dtype, device=place.device)


def zeros(like):
    """Zeros like a tensor or an array, raw."""
    raw = like.data if isinstance(like, Tensor) else like
    return backend.namespace(raw).zeros_like(raw)


def _as_floats(value) -> str:
    """What to write in place of whole numbers."""
    if isinstance(value, bool | int):
        return "pass 2.0 instead of 2"
    if hasattr(value, "astype"):
        return 'pass x.astype("float64")'
    return "pass lamina.xp.astype(x, lamina.xp.float64)"


def _described(value) -> str:
    """What a result is, briefly: "float", "tuple of 2", "ndarray of shape (3,)"."""
    kind = type(value).__name__
    if isinstance(value, Tensor) or backend.is_array(value):
        return f"{kind} of shape {tuple(value.shape)}"
    return f"{kind} of {len(value)}" if isinstance(value, tuple | list | dict) else kind
