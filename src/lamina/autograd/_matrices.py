"""Whole matrices of derivatives, and products with them: ``jacobian``, ``hessian``, ``hvp``."""

import functools
import math

from lamina import backend
from lamina.autograd._forward import ahead, jvp, uneven
from lamina.autograd._functional import Run, filled_at, grad, kind, numbered
from lamina.autograd._namespace import function
from lamina.autograd._tensor import Tensor

_MODES = ("forward", "reverse")


def jacobian(
    f, argnums: int | tuple[int, ...] = 0, mode: str | None = None, *, holomorphic: bool = False
):  # fmt: skip
    """A function that returns all derivatives of the results of ``f``: its Jacobian.

        J[i, ..., j, ...] = d out[i, ...] / d x[j, ...]        shape: out.shape + x.shape

    Of a real result by a complex argument z = x + iy it is d out / dx + i d out / dy, row by row
    the gradient that :func:`grad` gives. Of a complex result by a complex argument there is one
    number d out / dz for each pair only where f is holomorphic, which ``holomorphic`` vouches for:

        out(z + v) = out(z) + J v + O(v^2)        for every complex v

    Args:
        f: a function of arrays that returns an array or any nest of arrays.
        argnums: which positional argument to differentiate with respect to, or a tuple of them.
        mode: "reverse" sweeps the tape back once for each number among the results, "forward"
            ahead once for each number among the arguments; None takes the shorter way.
        holomorphic: arguments and results are complex, and f has a complex derivative.

    Returns:
        a function of the same arguments. It returns the structure of f's result, in each of its
        places the structure of the argument (of a tuple of ``argnums`` a tuple of these).

    Raises:
        TypeError: where an argument is not floating point, f returns no array, complex results
            meet complex arguments without ``holomorphic``, or not all are complex with it.
        ValueError: where f is not holomorphic but was said to be.

    Example:
        >>> lamina.jacobian(lambda x: x**2)(np.asarray([1.0, 2.0]))
        array([[2., 0.],
               [0., 4.]])
    """
    if mode not in (None, *_MODES):
        raise ValueError(f'mode must be "forward", "reverse" or None, got {mode!r}')
    single, numbers = numbered(argnums)

    @functools.wraps(f)
    def wrapped(*args, **kwargs):
        run = Run(f, args, numbers, kwargs, who="jacobian")
        run.outs = [x if hasattr(x, "dtype") else backend.get().asarray(x) for x in run.outs]
        only = _only_way(run, mode, holomorphic)
        inwards, outwards = sum(map(_size, run.own)), sum(map(_size, run.outs))
        way = only or mode or ("forward" if inwards < outwards else "reverse")
        blocks = _columns(run) if way == "forward" else _rows(run)
        if holomorphic:
            if way == "reverse":  # which gave the adjoint
                blocks = [[function("conj")(block) for block in row] for row in blocks]
            _check_holomorphic(run, blocks)
        nests = [run.inputs.fill(row) for row in blocks]
        return run.outputs.fill([nest[0] if single else nest for nest in nests])

    return wrapped


def hessian(f, argnums: int | tuple[int, ...] = 0, *, holomorphic: bool = False):
    """A function that returns all second derivatives of ``f``: the Jacobian of its Jacobian.

        H[..., i, j] = d^2 f(x) / dx[i] dx[j]        shape: out.shape + x.shape + x.shape

    Args:
        f: a function of arrays, usually one that returns one number.
        argnums: as of :func:`jacobian`, whose structure it takes twice.
        holomorphic: as of :func:`jacobian`. Of a real f of complex numbers there is no such array:
            make these of their real and imaginary parts within it.

    Example:
        >>> lamina.hessian(lambda x: xp.sum(x**3))(np.asarray([1.0, 2.0]))
        array([[ 6.,  0.],
               [ 0., 12.]])
    """
    first = jacobian(f, argnums, holomorphic=holomorphic)
    return jacobian(first, argnums, holomorphic=holomorphic)


def hvp(f, primals, tangents):
    """The Hessian of ``f`` at ``primals``, times ``tangents``, at the price of a few gradients.

        H v = d/de grad f(primals + e v)        forward over reverse

    Args:
        f: a function of arrays that returns one real number.
        primals: a tuple of its arguments, arrays or nests of arrays.
        tangents: a tuple of nests like these.

    Returns:
        a tuple of nests like ``primals``.

    Example:
        >>> lamina.hvp(lambda x: xp.sum(x**3), (np.asarray([1.0, 2.0]),), (np.asarray([1.0, 0.0]),))
        (array([6., 0.]),)
    """
    count = len(primals) if isinstance(primals, tuple | list) else 1
    return jvp(grad(f, tuple(range(count)) or 0), primals, tangents)[1]


def _only_way(run, mode, holomorphic) -> str | None:
    """The mode that complex numbers leave; None where any will do.

    Raises:
        TypeError: where they leave none, or not the one asked for.
    """
    into, out = ([kind(x) == "complex floating" for x in xs] for xs in (run.own, run.outs))
    if holomorphic:
        if not all(into + out):
            raise TypeError(
                "a jacobian with holomorphic=True is of complex results by complex arguments, got "
                f"real {'results' if all(into) else 'arguments'}: leave holomorphic out"
            )
        return None
    if any(into) and any(out):
        raise TypeError(
            "a jacobian of complex results by complex arguments needs a function with a complex "
            "derivative, and holomorphic=True; of another take the real and imaginary parts"
        )
    only = "reverse" if any(into) else "forward" if any(out) else None
    if only and mode not in (None, only):
        what = "real results by complex arguments" if any(into) else "complex results"
        raise TypeError(f'a jacobian of {what} goes {only}: leave out mode="{mode}"')
    return only


def _check_holomorphic(run, blocks) -> None:
    """Raise unless the blocks of the Jacobian tell where real and imaginary directions lead.

    Of f(z + v) = f(z) + A v + B conj(v) + ... columns are A + B and rows A + conj(B): only where B
    is 0, which are the Cauchy-Riemann equations, do they agree with f along both.
    """
    for phase in (1.0, 1.0j):
        directions = [phase * uneven(x, x.shape, x.dtype).data for x in run.own]
        for row, moved in zip(blocks, ahead(run, directions, retain_graph=True), strict=True):
            moved = _raw(moved)
            xp = backend.namespace(moved)
            told, size = xp.zeros_like(moved), xp.zeros_like(xp.real(moved))
            for block, v in zip(map(_raw, row), directions, strict=True):
                told = told + xp.tensordot(block, v, axes=v.ndim)
                size = size + xp.tensordot(xp.abs(block), xp.abs(v), axes=v.ndim)
            far = xp.abs(moved - told) > size * float(xp.finfo(moved.dtype).eps) ** 0.25
            with backend.allow_sync():
                wrong = bool(xp.any(far))
            if wrong:
                raise ValueError(
                    "jacobian was told holomorphic=True of a function that is not: it has another "
                    "derivative along imaginary directions than along real ones, as conj and abs "
                    "have. Differentiate by the real and imaginary parts of its arguments"
                )


def _raw(array):
    return array.data if isinstance(array, Tensor) else array


def _size(array) -> int:
    return math.prod(array.shape)


def _rows(run) -> list[list]:
    """For every result the blocks of the Jacobian, by argument: one sweep for each number."""
    blocks = []
    for place, out in enumerate(run.outs):
        rows = []
        for seed in _units(out):
            seeds = [None] * len(run.outs)
            seeds[place] = seed
            rows.append(run.back(seeds, retain_graph=True))
        shapes = [tuple(out.shape) + tuple(x.shape) for x in run.own]
        blocks.append(
            [_stacked([row[i] for row in rows], x, shapes[i], 0) for i, x in enumerate(run.own)]
        )
    return blocks


def _columns(run) -> list[list]:
    """The same, by one sweep ahead for each number among the arguments."""
    blocks = [[] for _ in run.outs]
    for place, x in enumerate(run.own):
        columns = []
        for unit in _units(x):
            tangents = [None] * len(run.own)
            tangents[place] = unit
            columns.append(ahead(run, tangents, retain_graph=True))
        for i, out in enumerate(run.outs):
            shape = tuple(out.shape) + tuple(x.shape)
            blocks[i].append(_stacked([column[i] for column in columns], out, shape, -1))
    return blocks


def _units(like):
    """Arrays like ``like``, each 1 in one place and 0 elsewhere; none where it has no slope."""
    raw = like.data if isinstance(like, Tensor) else like
    place, shape = backend.of(raw), tuple(raw.shape)
    if not kind(raw):
        return
    for i in range(_size(raw)):
        with place.scope():
            flat = place.xp.arange(_size(raw), device=place.device) == i
            yield place.xp.reshape(place.xp.astype(flat, raw.dtype), shape)


def _stacked(parts, like, shape, axis):
    """``parts`` stacked along a new axis, in ``shape``; zeros where there are none."""
    if parts:
        stacked = function("stack")(parts, axis=axis)
        return function("reshape")(stacked, shape)
    return filled_at(like, 0, shape, like.dtype)
