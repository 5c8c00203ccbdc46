"""What a case is that a rule is tested on, and what cases are made of."""

import numpy as np

import lamina
from lamina.autograd import differentiable


class Case:
    """A call of a function: arguments (floating-point arrays are differentiated) and options.

    ``before(xp, x)`` makes the function's argument of the first of these, where not every array
    will do; ``after(xp, out)`` makes of the result what is a function of the arguments, where the
    result is not (vectors of any phase).
    """

    def __init__(self, name, *args, before=None, after=None, **options):
        self.name, self.args, self.options = name, args, options
        self.before, self.after = before, after

    def __call__(self, *args):
        return self.by(find(self.name, *args), *args)

    def by(self, function, *args):
        """The call, by a function that stands for the one of this name."""
        if self.before is not None:
            args = (self.before(space(*args), args[0]), *args[1:])
        out = function(*args, **self.options)
        return out if self.after is None else self.after(space(*args), out)

    def __repr__(self):
        told = [show(a) for a in self.args] + [f"{k}={show(v)}" for k, v in self.options.items()]
        told += [f.__name__ for f in (self.before, self.after) if f]
        return f"{self.name}({', '.join(told)})"


def show(value):
    if isinstance(value, list | tuple):
        return f"[{','.join(map(show, value))}]"
    if isinstance(value, np.ndarray):
        kind = {"f": "", "c": "c", "i": "i", "b": "b"}[value.dtype.kind]
        return kind + "x".join(map(str, value.shape))
    return "a function" if callable(value) else str(value).replace("slice", "")


def find(name, *args):
    """The function ``name`` of the differentiable namespace of what is among ``args``."""
    if name in lamina.ops.__all__:
        return getattr(lamina.ops, name)
    found = space(*args)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def space(*args):
    """The differentiable namespace of what is among ``args``."""
    arrays = [a for arg in args for a in (arg if isinstance(arg, list) else [arg])]
    first = next(a for a in arrays if hasattr(a, "shape"))
    raw = first.data if isinstance(first, lamina.Tensor) else first
    return differentiable(lamina.backend.namespace(raw))


_count = iter(range(10**6))


def floats(*shape, low=-2.0, high=2.0):
    return np.random.default_rng(next(_count)).uniform(low, high, shape)


def complexes(*shape, low=-2.0, high=2.0):
    numbers = floats(*shape, low=low, high=high) + 1j * floats(*shape, low=low, high=high)
    return np.asarray(numbers)


def spaced(array):
    """The same values in memory with gaps."""
    out = np.repeat(array, 2, axis=-1)[..., ::2]
    assert out.base is not None and not out.flags.c_contiguous
    return out


def integers(*values):
    return np.asarray(values, dtype=np.int64)


def mask(*shape):
    return np.asarray(np.random.default_rng(next(_count)).random(shape) > 0.4)


def on(place, value, dtype="float64"):
    """``value`` with its arrays put on a backend."""
    if isinstance(value, list | tuple):
        return type(value)(on(place, v, dtype) for v in value)
    if callable(value):
        return value(place.xp)
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "c":
            dtype = {"float64": "complex128", "float32": "complex64"}[dtype]
        return place.asarray(value, dtype if value.dtype.kind in "fc" else None)
    return value
