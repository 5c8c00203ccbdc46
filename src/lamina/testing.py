"""Checking code that is built on lamina: gradients, arrays, and the backends to run tests on.

``check_grads`` compares what the rules and kernels say with finite differences; it is how lamina's
own rules are tested, and yours can be. To look for a new backend, add its name to ``BACKENDS``.
"""

import functools
import importlib.util
import operator

import numpy as np

import lamina
from lamina import backend
from lamina.autograd import _nest
from lamina.autograd._forward import ahead
from lamina.autograd._functional import Run
from lamina.autograd._functional import kind as _kind

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
    f, args, order: int = 2, *, modes=("forward", "reverse"), rtol: float = 1e-5,
    atol: float = 1e-7, eps: float = 1e-6, seed: int = 0,
) -> None:  # fmt: skip
    """Assert that the derivatives of ``f`` at ``args`` are those that finite differences give.

    For every argument x, with a random direction v, and weights w for the results:

        D = <w, f(x + eps v) - f(x - eps v)> / (2 eps)        <a, b> = sum of Re(conj(a) b)
        reverse: <grad <w, f>(x), v> = D        forward: <w, jvp(f, x, v)> = D

    and from order 2 on the same is asked of the gradient as a function of ``args``: forward over
    reverse and reverse over reverse; where forward is the only mode, of the jvp. A derivative that
    is wrong by one part in a thousand fails. f must be smooth within ``eps`` of ``args``. Of a
    complex argument both a real and an imaginary direction are tried.

    Args:
        f: a function of ``args`` that returns an array or any nest of arrays.
        args: a tuple of arrays of any backend, tensors, Python numbers, or nests of these: lists,
            tuples, dicts, dataclasses. What is not floating point is a constant, passed on as it
            is. Everything else reaches f as a tensor in float64 or complex128, whatever its own
            precision: in less, differences have no digits left. Python floats go to the backend of
            the first array.
        order: the highest order of derivative to check.
        modes: how to differentiate: "forward", "reverse", or both.
        rtol: allowed difference relative to the derivative along v.
        atol: allowed difference where that derivative is near 0.
        eps: length of the step.
        seed: of w and v.

    Raises:
        AssertionError: naming the argument, the order, the mode, both values along v, and the
            element that differs most: of the argument in reverse mode, of the result in forward.
        TypeError: where no argument is floating point, or f returns no floating-point array.
        ValueError: for a mode that is none.

    Example:
        >>> lamina.testing.check_grads(lamina.xp.tanh, (x,))
    """
    given = (modes,) if isinstance(modes, str) else tuple(modes)
    modes = [mode for mode in ("reverse", "forward") if mode in given]
    if not modes or not set(given) <= set(modes):
        raise ValueError(f'modes must be "forward", "reverse" or both, got {given}')
    args = tuple(args) if type(args) in (list, tuple) else (args,)
    leaves, structure = _nest.flatten(args)
    arrays = [raw for raw in map(_raw, leaves) if backend.is_array(raw)]
    place = backend.of(arrays[0]) if arrays else backend.get()
    fixed, values, paths = [], [], []
    for leaf, path in zip(leaves, structure.paths("args"), strict=True):
        value = _wide(leaf, place)
        fixed.append(leaf if value is None else None)
        if value is not None:
            values.append(value)
            paths.append(path)
    if not values:
        raise TypeError("check_grads needs an argument of floating-point numbers, got none")

    def on_leaves(*parts):
        rest = iter(parts)
        return f(*structure.fill([next(rest) if leaf is None else leaf for leaf in fixed]))

    what = getattr(f, "__name__", None) or type(f).__name__
    for now in range(1, order + 1):
        check = _Check(on_leaves, values, rtol, atol, eps, (seed, now))
        check.run(f"derivative {now} of {what}", paths, modes)
        on_leaves = check.derivative(modes[0])


class _Check:
    """One order of derivative: of ``f``, a function of several arrays, at ``values``."""

    def __init__(self, f, values, rtol, atol, eps, stream):
        self.f, self.values = f, values
        self.rtol, self.atol, self.eps = rtol, atol, eps
        self.stream = stream
        self.drawn = {}

    def floats(self, out):
        """The floating-point leaves of a result."""
        found = list(filter(_is_float, _nest.leaves_of(out)))
        if not found:
            raise TypeError("check_grads needs a function that returns floating-point arrays")
        return found

    def contracted(self, *parts):
        """<w, f(parts)> as a tensor of shape ()."""
        terms = [
            lamina.xp.sum(_inner(self._random(_raw(out), "w", i), out))
            for i, out in enumerate(self.floats(self.f(*parts)))
        ]
        total = functools.reduce(operator.add, terms)
        return total if isinstance(total, lamina.Tensor) else lamina.Tensor(total)

    def derivative(self, mode):
        """The derivative of ``f``, as a function like f."""
        if mode == "reverse":
            return lamina.grad(self.contracted, tuple(range(len(self.values))))
        directions = tuple(self._direction(i, 0) for i in range(len(self.values)))
        return lambda *parts: lamina.jvp(self._tensors, parts, directions)[1]

    def _tensors(self, *parts):
        return self.floats(self.f(*parts))

    def run(self, title, paths, modes):
        run = Run(self.f, self.values, range(len(self.values)), who="check_grads")
        places = [i for i, out in enumerate(run.outs) if _is_float(out)]
        outs = self.floats(run.outs)
        if "reverse" in modes:
            seeds = [None] * len(run.outs)
            for k, i in enumerate(places):
                seeds[i] = self._random(_raw(outs[k]), "w", k)
            gradients = list(map(_raw, run.back(seeds, retain_graph=True)))
        for i, (path, x) in enumerate(zip(paths, self.values, strict=True)):
            wrong = f"{title} with respect to {path} is wrong"
            if "reverse" in modes:
                self._alike(gradients[i], x, f"{title}: the gradient of {path}", path)
            for which in range(2 if _kind(x) == "complex floating" else 1):
                direction = self._direction(i, which)
                numeric = self._difference(i, direction)
                along = f"along {'an imaginary' if which else 'a random'} direction"
                if "reverse" in modes:
                    exact = _number(lamina.xp.sum(_inner(gradients[i], direction)))
                    if not self._agree(exact, numeric):
                        raise AssertionError(
                            f"{wrong}:\n  {along} {_compared(exact, numeric)}"
                            + self._worst(i, gradients[i])
                        )
                if "forward" in modes:
                    directions = [None] * len(self.values)
                    directions[i] = direction
                    tangents = ahead(run, directions, retain_graph=True)
                    tangents = [_raw(tangents[place]) for place in places]
                    for k, (t, out) in enumerate(zip(tangents, outs, strict=True)):
                        self._alike(t, _raw(out), f"{title}: the tangent of result {k}", "it")
                    exact = self._weighed(tangents)
                    if not self._agree(exact, numeric):
                        raise AssertionError(
                            f"{wrong} in forward mode:\n  {along} {_compared(exact, numeric)}"
                            + self._worst_out(i, direction, tangents)
                        )

    def _alike(self, derivative, of, what, path):
        same = derivative.shape == of.shape and derivative.dtype == of.dtype
        if not same or backend.of(derivative) is not backend.of(of):
            raise AssertionError(f"{what} is {_told(derivative)}, but {path} is {_told(of)}")

    def _weighed(self, outs) -> float:
        """<w, outs>."""
        return sum(
            _number(lamina.xp.sum(_inner(self._random(_raw(out), "w", i), _raw(out))))
            for i, out in enumerate(outs)
        )

    def _agree(self, exact, numeric):
        return abs(exact - numeric) <= self.atol + self.rtol * max(abs(exact), abs(numeric))

    def _ends(self, i, direction):
        """The results of f a step before and behind argument i."""
        x, step = self.values[i], self.eps * direction
        ends = []
        for moved in (x + step, x - step):
            parts = [lamina.Tensor(v) for v in self.values]
            parts[i] = lamina.Tensor(moved)
            ends.append(list(map(_raw, self.floats(self.f(*parts)))))
        return ends

    def _difference(self, i, direction) -> float:
        """<w, f> along a direction of argument i, by differences."""
        after, before = self._ends(i, direction)
        return (self._weighed(after) - self._weighed(before)) / (2 * self.eps)

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
        return f"\n  at the worst element {_largest_gap(exact, numeric)}"

    def _worst_out(self, i, direction, tangents):
        """Words on the element of the results whose change along the direction differs most."""
        after, before = self._ends(i, direction)
        worst, words = -1.0, ""
        for k, (t, a, b) in enumerate(zip(tangents, after, before, strict=True)):
            place = backend.of(a)
            exact, numeric = place.to_numpy(_raw(t)), place.to_numpy(a - b) / (2 * self.eps)
            gap = np.max(np.nan_to_num(np.abs(exact - numeric), nan=np.inf), initial=-1.0)
            if gap > worst:
                worst = gap
                which = f" of result {k}" if len(tangents) > 1 else " of the result"
                words = f"\n  at the worst element{which} {_largest_gap(exact, numeric)}"
        return words

    def _direction(self, i, which):
        """A random direction of argument i: real, or where ``which`` is 1 imaginary."""
        x = self.values[i]
        numbers = self._normal(x, "v", i, which)
        return backend.of(x).asarray(numbers * 1j if which else numbers, x.dtype)

    def _random(self, like, *stream):
        """Random numbers of the shape, dtype and device of ``like``, drawn once."""
        key = (*stream, tuple(like.shape), like.dtype, backend.of(like))
        found = self.drawn.get(key)
        if found is None:
            numbers = self._normal(like, *stream, 0)
            if _kind(like) == "complex floating":
                numbers = numbers + 1j * self._normal(like, *stream, 1)
            found = self.drawn[key] = backend.of(like).asarray(numbers, like.dtype)
        return found

    def _normal(self, like, *stream):
        generator = backend.random.Generator(*self.stream, *stream)
        return generator.normal(like.shape, dtype="float64")


def _is_float(value) -> bool:
    return backend.is_array(_raw(value)) and bool(_kind(value))


def _wide(leaf, place):
    """A floating-point leaf as a raw array in double precision; None of anything else."""
    raw = place.asarray(leaf) if type(leaf) in (float, complex) else _raw(leaf)
    if not backend.is_array(raw) or not _kind(raw):
        return None
    wide = "complex128" if _kind(raw) == "complex floating" else "float64"
    return (place if raw is not _raw(leaf) else backend.of(raw)).asarray(_raw(leaf), wide)


def _inner(a, b):
    """Re(conj(a) b), element by element; ``b`` may be a tensor."""
    if _kind(a) != "complex floating":
        return b * a
    return lamina.xp.real(b * lamina.xp.conj(a))


def _raw(value):
    return value.data if isinstance(value, lamina.Tensor) else value


def _number(value) -> float:
    return float(backend.of(_raw(value)).scalar(_raw(value)))


def _told(array) -> str:
    place = backend.of(array)
    return f"{place.dtype_name(array.dtype)} of shape {tuple(array.shape)} on {place}"


def _largest_gap(exact, numeric) -> str:
    off = np.nan_to_num(np.abs(exact - numeric), nan=np.inf)
    worst = tuple(map(int, np.unravel_index(np.argmax(off), off.shape)))
    return f"{worst} {_compared(exact[worst], numeric[worst])}"


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
