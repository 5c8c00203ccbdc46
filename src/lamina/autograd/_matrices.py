"""Whole matrices of derivatives, and products with them: ``jacobian``, ``hessian``, ``hvp``."""

import functools
import math

from lamina import backend
from lamina.autograd._forward import ahead, jvp
from lamina.autograd._functional import Run, filled_at, grad, kind, numbered
from lamina.autograd._namespace import function
from lamina.autograd._tensor import Tensor

_MODES = ("forward", "reverse")


def jacobian(f, argnums: int | tuple[int, ...] = 0, mode: str | None = None):
    """A function that returns all derivatives of the results of ``f``: its Jacobian.

        J[i, ..., j, ...] = d out[i, ...] / d x[j, ...]        shape: out.shape + x.shape

    Args:
        f: a function of real arrays that returns an array or any nest of arrays.
        argnums: which positional argument to differentiate with respect to, or a tuple of them.
        mode: "reverse" sweeps the tape back once for each number among the results, "forward"
            ahead once for each number among the arguments; None takes the shorter way.

    Returns:
        a function of the same arguments. It returns the structure of f's result, in each of its
        places the structure of the argument (of a tuple of ``argnums`` a tuple of these).

    Raises:
        TypeError: where an argument is not real floating point, or f returns no array.

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
        if any(kind(x) != "real floating" for x in run.own):
            raise TypeError(
                "jacobian needs real arguments: make complex numbers of their real and imaginary "
                "parts within the function"
            )
        run.outs = [x if hasattr(x, "dtype") else backend.get().asarray(x) for x in run.outs]
        complex_out = any(kind(out) == "complex floating" for out in run.outs)
        if mode == "reverse" and complex_out:
            raise TypeError('jacobian of complex results goes forward: leave out mode="reverse"')
        inwards, outwards = sum(map(_size, run.own)), sum(map(_size, run.outs))
        forward = mode == "forward" or complex_out or (mode is None and inwards < outwards)
        blocks = _columns(run) if forward else _rows(run)
        nests = [run.inputs.fill(row) for row in blocks]
        return run.outputs.fill([nest[0] if single else nest for nest in nests])

    return wrapped


def hessian(f, argnums: int | tuple[int, ...] = 0):
    """A function that returns all second derivatives of ``f``: the Jacobian of its Jacobian.

        H[..., i, j] = d^2 f(x) / dx[i] dx[j]        shape: out.shape + x.shape + x.shape

    Args:
        f: a function of real arrays, usually one that returns one number.
        argnums: as of :func:`jacobian`, whose structure it takes twice.

    Example:
        >>> lamina.hessian(lambda x: xp.sum(x**3))(np.asarray([1.0, 2.0]))
        array([[ 6.,  0.],
               [ 0., 12.]])
    """
    return jacobian(jacobian(f, argnums), argnums)


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
