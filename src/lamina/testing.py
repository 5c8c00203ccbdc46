"""Checking code that is built on lamina: gradients, arrays, and the backends to run tests on.

``check_grads`` compares what the rules and kernels say with finite differences; it is how lamina's
own rules are tested, and yours can be. To look for a new backend, add its name to ``BACKENDS``.
"""

import importlib.util

import numpy as np

import lamina
from lamina import backend

BACKENDS = ("numpy", "array_api_strict:device1", "torch", "cupy")
"""What tests run on. ``array_api_strict`` on its second device stands for a GPU where there is
none: nothing goes there or comes back unless told to, and it has nothing beyond the standard."""

_LARGEST_LISTED = 1000  # elements of an argument that are each looked at when it is wrong


def backends() -> dict[str, str | None]:
    """The backends of ``BACKENDS``, each with None, or with the reason why it cannot run here.

    Example:
        >>> [name for name, missing in lamina.testing.backends().items() if not missing]
        ['numpy', 'array_api_strict:device1']
    """
    return {name: _missing(name) for name in BACKENDS}


def _missing(name: str) -> str | None:
    library = name.partition(":")[0]
    if importlib.util.find_spec(library) is None:
        return f"the package {library} is not installed"
    if library == "cupy" and not importlib.import_module("cupy").is_available():
        return "CuPy is installed, but finds no CUDA device"
    return None


def assert_close(actual, desired, rtol: float | None = None, atol: float = 0.0) -> None:
    """Assert that two arrays have one library, device, dtype and shape, and nearly one value.

        |actual - desired| <= atol + rtol * |desired|        element by element; NaN equals NaN

    Args:
        actual: an array or tensor of any backend.
        desired: the same; or numbers or lists, which have no library and no dtype of their own.
        rtol: None is eps**0.75 of the dtype: 1.8e-12 for float64, 6.4e-6 for float32.
        atol: for values that are 0 but for rounding.

    Raises:
        AssertionError: that says what differs first, in this order.
    """
    actual = _raw(actual)
    place = backend.of(actual)
    if backend.is_array(_raw(desired)):
        desired = _raw(desired)
        for what, one, other in (
            ("library", place.name, backend.of(desired).name),
            ("device", str(place), str(backend.of(desired))),
            ("dtype", place.dtype_name(actual.dtype), place.dtype_name(desired.dtype)),
        ):
            if one != other:
                raise AssertionError(f"the {what} is {one}, expected {other}")
        desired = place.to_numpy(desired)
    else:
        desired = np.asarray(desired)
    actual = place.to_numpy(actual)
    if actual.shape != desired.shape:
        raise AssertionError(f"the shape is {actual.shape}, expected {desired.shape}")
    if rtol is None:
        inexact = np.issubdtype(actual.dtype, np.inexact)
        rtol = float(np.finfo(actual.dtype).eps) ** 0.75 if inexact else 0.0
    np.testing.assert_allclose(actual, desired, rtol, atol, strict=False)


def check_grads(
    f, args, order: int = 2, *, rtol: float = 1e-5, atol: float = 1e-7, eps: float = 1e-6,
    seed: int = 0,
) -> None:  # fmt: skip
    """Assert that the gradients of ``f`` at ``args`` are those that finite differences give.

    The outputs y of f are contracted with a fixed random w; the gradient at every argument x is
    then compared along a random direction v:

        <grad <w, f>(x), v>  =  (<w, f(x + eps v)> - <w, f(x - eps v)>) / (2 eps)

    and from order 2 on the same is asked of the gradient, as a function of ``args``. A gradient
    that is wrong by one part in a thousand fails. f must be smooth within ``eps`` of ``args``.
    For complex numbers <a, b> is Re(conj(a) b), and w and v have imaginary parts too.

    Args:
        f: a function of ``args`` that returns an array, or a tuple, list or dict of arrays.
        args: a tuple of arrays of any backend, tensors, Python floats, or lists, tuples and dicts
            of these. What is not floating point is a constant, passed on as it is. Everything else
            reaches f as a tensor in float64 or complex128, whatever its own precision: in less,
            differences have no digits left. Python floats go to the backend of the first array.
        order: the highest order of derivative to check.
        rtol: allowed difference relative to the derivative along v.
        atol: allowed difference where that derivative is near 0.
        eps: length of the step.
        seed: of w and v.

    Raises:
        AssertionError: naming the argument, the order, both values along v, and the element that
            differs most.
        TypeError: where no argument is floating point.

    Example:
        >>> lamina.testing.check_grads(lamina.xp.tanh, (x,))
    """
    args = tuple(args) if isinstance(args, list | tuple) else (args,)
    arrays = [raw for raw in map(_raw, _flat(args)) if backend.is_array(raw)]
    place = backend.of(arrays[0]) if arrays else backend.get()
    leaves = []
    structure = _take_leaves(args, "args", place, leaves)
    if not leaves:
        raise TypeError("check_grads needs an argument of floating-point numbers, got none")
    paths = [path for path, _ in leaves]
    values = [value for _, value in leaves]

    def on_leaves(parts):
        return f(*_put_leaves(structure, iter(parts)))

    what = getattr(f, "__name__", None) or type(f).__name__
    for now in range(1, order + 1):
        check = _Check(on_leaves, values, rtol, atol, eps, (seed, now))
        check.run(f"derivative {now} of {what}", paths)
        on_leaves = check.gradient


class _Check:
    """One order of derivative: of ``f``, a function of a list of arrays, at ``values``."""

    def __init__(self, f, values, rtol, atol, eps, stream):
        self.f, self.values = f, values
        self.rtol, self.atol, self.eps = rtol, atol, eps
        self.stream = stream

    def contracted(self, parts):
        """<w, f(parts)> as a tensor of shape ()."""
        total, count = None, 0
        for out in _flat(self.f(parts)):
            raw = _raw(out)
            if not backend.is_array(raw) or not _is_float(raw):
                continue
            weights = self._random(raw, "w", count)
            term = lamina.xp.sum(_inner(weights, out))
            total, count = term if total is None else total + term, count + 1
        if total is None:
            raise TypeError("check_grads needs a function that returns floating-point arrays")
        return total if isinstance(total, lamina.Tensor) else lamina.Tensor(total)

    def gradient(self, parts):
        """The gradients of ``contracted``, as a list like ``parts``."""
        return lamina.grad(self.contracted)(list(parts))

    def run(self, title, paths):
        gradients = self.gradient(self.values)
        for i, (path, x, g) in enumerate(zip(paths, self.values, gradients, strict=True)):
            if g.shape != x.shape or g.dtype != x.dtype or backend.of(g) is not backend.of(x):
                raise AssertionError(
                    f"{title}: the gradient of {path} is {_kind(g)}, but {path} is {_kind(x)}"
                )
            direction = self._random(x, "v", i)
            numeric = self._difference(i, direction)
            exact = _number(lamina.xp.sum(_inner(g, direction)))
            if not self._agree(exact, numeric):
                raise AssertionError(
                    f"{title} with respect to {path} is wrong:\n"
                    f"  along a random direction {_compared(exact, numeric)}" + self._worst(i, g)
                )

    def _agree(self, exact, numeric):
        return abs(exact - numeric) <= self.atol + self.rtol * max(abs(exact), abs(numeric))

    def _difference(self, i, direction):
        """The derivative of ``contracted`` along a direction of argument i, by differences."""
        x, step = self.values[i], self.eps * direction
        ends = []
        for moved in (x + step, x - step):
            parts = [lamina.Tensor(v) for v in self.values]
            parts[i] = lamina.Tensor(moved)
            ends.append(_number(self.contracted(parts)))
        return (ends[0] - ends[1]) / (2 * self.eps)

    def _worst(self, i, g):
        """Words on the element of argument i whose derivative differs most."""
        x, place = self.values[i], backend.of(self.values[i])
        exact = place.to_numpy(_raw(g))
        if not 1 < exact.size <= _LARGEST_LISTED:
            return ""
        numeric = np.zeros_like(exact)
        for index in np.ndindex(exact.shape):
            for part in (1.0, 1.0j)[: 1 + np.iscomplexobj(exact)]:
                unit = np.zeros_like(exact)
                unit[index] = part
                numeric[index] += part * self._difference(i, place.asarray(unit, x.dtype))
        off = np.nan_to_num(np.abs(exact - numeric), nan=np.inf)
        worst = tuple(map(int, np.unravel_index(np.argmax(off), off.shape)))
        return f"\n  at the worst element {worst} {_compared(exact[worst], numeric[worst])}"

    def _random(self, like, *stream):
        """Random numbers of the shape, dtype and device of ``like``."""
        generator = backend.random.Generator(*self.stream, *stream)
        numbers = generator.normal(like.shape, dtype="float64")
        if _is_complex(like):
            numbers = numbers + 1j * generator.normal(like.shape, dtype="float64")
        return backend.of(like).asarray(numbers, like.dtype)


def _take_leaves(value, path, place, leaves):
    """The nest with its floating-point arrays taken out into ``leaves``, as (path, float64)."""
    if isinstance(value, dict):
        return {k: _take_leaves(v, f"{path}[{k!r}]", place, leaves) for k, v in value.items()}
    if isinstance(value, list | tuple):
        parts = [_take_leaves(v, f"{path}[{k}]", place, leaves) for k, v in enumerate(value)]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    raw = place.asarray(value, "float64") if type(value) is float else _raw(value)
    if not backend.is_array(raw):
        return value
    if not _is_float(raw):
        return value
    wide = "complex128" if _is_complex(raw) else "float64"
    leaves.append((path, backend.of(raw).asarray(raw, wide)))
    return _LEAF


_LEAF = object()


def _put_leaves(structure, leaves):
    """The nest that ``_take_leaves`` took apart, with other leaves."""
    if structure is _LEAF:
        return next(leaves)
    if isinstance(structure, dict):
        return {k: _put_leaves(v, leaves) for k, v in structure.items()}
    if isinstance(structure, list | tuple):
        parts = [_put_leaves(v, leaves) for v in structure]
        named = hasattr(structure, "_fields")
        return type(structure)(*parts) if named else type(structure)(parts)
    return structure


def _flat(value):
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, list | tuple):
        return [leaf for part in value for leaf in _flat(part)]
    return [value]


def _raw(value):
    return value.data if isinstance(value, lamina.Tensor) else value


def _is_float(array) -> bool:
    return backend.namespace(array).isdtype(array.dtype, ("real floating", "complex floating"))


def _is_complex(array) -> bool:
    return backend.namespace(array).isdtype(array.dtype, "complex floating")


def _inner(a, b):
    """Re(conj(a) b), element by element; ``b`` may be a tensor."""
    return lamina.xp.real(b * lamina.xp.conj(a)) if _is_complex(_raw(a)) else b * a


def _number(value) -> float:
    return float(backend.of(_raw(value)).scalar(_raw(value)))


def _kind(array) -> str:
    place = backend.of(_raw(array))
    return f"{place.dtype_name(array.dtype)} of shape {tuple(array.shape)} on {place}"


def _compared(exact, numeric) -> str:
    largest = max(abs(exact), abs(numeric))
    relative = f", relative difference {abs(exact - numeric) / largest:.1e}" if largest else ""
    return f"it is {exact:.9g}, by finite differences {numeric:.9g}{relative}"


__all__ = [
    "BACKENDS",
    "assert_close",
    "backends",
    "check_grads",
]


def __dir__() -> list[str]:
    return __all__
