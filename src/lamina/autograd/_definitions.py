"""Functions of the standard that have their derivatives from others they are made of.

A definition's first parameter is the differentiable namespace. It is used where something is to be
recorded; elsewhere the array library's own function is.
"""

import collections
import functools
import inspect
import math

from lamina import backend
from lamina.autograd._functions import complex_dtypes, named
from lamina.autograd._namespace import (
    _COMPOSED,
    _has_tracked,
    _namespace_among,
    _without_rules,
    differentiable,
)
from lamina.autograd._tape import mode


def composed(name: str):
    """Make a function of the standard of its definition."""

    def register(definition):
        raw = _without_rules(name)

        @functools.wraps(definition)
        def made(*args, **kwargs):
            if not (mode.enabled and _has_tracked((*args, *kwargs.values()))):
                return raw(*args, **kwargs)
            return definition(differentiable(_namespace_among(args)), *args, **kwargs)

        _, *rest = inspect.signature(definition).parameters.values()
        made.__signature__ = inspect.Signature(rest)
        _COMPOSED[name] = named(made, name, definition.__doc__)
        return made

    return register


@composed("meshgrid")
def meshgrid(xp, *arrays, indexing="xy"):
    """The standard's ``meshgrid``: each array along an axis of its own, broadcast to all."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"indexing must be 'xy' or 'ij', got {indexing!r}")
    n = len(arrays)
    axes = list(range(n))
    if indexing == "xy" and n > 1:
        axes[:2] = 1, 0
    shape = [0] * n
    for axis, array in zip(axes, arrays, strict=True):
        shape[axis] = math.prod(array.shape)
    lying = [
        xp.reshape(array, tuple(-1 if a == axis else 1 for a in range(n)))
        for axis, array in zip(axes, arrays, strict=True)
    ]
    return tuple(xp.broadcast_to(array, tuple(shape)) for array in lying)


@composed("sign")
def sign(xp, x, /):
    """The standard's ``sign``: x / |x| of complex numbers, a constant of real ones; 0 at 0."""
    if x.dtype not in complex_dtypes(backend.namespace(x.data)):
        return _without_rules("sign")(x)
    size = xp.abs(x)
    return x / xp.where(size == 0, xp.ones_like(size), size)


# ---- sets -------------------------------------------------------------------------------------


@composed("unique_values")
def unique_values(xp, x, /):
    """The standard's ``unique_values``; the gradient goes to the first of equal elements."""
    return _chosen(xp, x, _without_rules("unique_values")(x.detach()))


@composed("unique_counts")
def unique_counts(xp, x, /):
    """The standard's ``unique_counts``; the gradient goes to the first of equal elements."""
    found = _without_rules("unique_counts")(x.detach())
    return _Counts(_chosen(xp, x, found[0]), found[1])


@composed("unique_inverse")
def unique_inverse(xp, x, /):
    """The standard's ``unique_inverse``; the gradient goes to the first of equal elements."""
    found = _without_rules("unique_inverse")(x.detach())
    return _Inverse(_chosen(xp, x, found[0]), found[1])


@composed("unique_all")
def unique_all(xp, x, /):
    """The standard's ``unique_all``; the gradient goes to the first of equal elements."""
    found = _without_rules("unique_all")(x.detach())
    return _All(xp.take(xp.reshape(x, (-1,)), found[1]), *found[1:])


_Counts = collections.namedtuple("UniqueCountsResult", "values counts")
_Inverse = collections.namedtuple("UniqueInverseResult", "values inverse_indices")
_All = collections.namedtuple("UniqueAllResult", "values indices inverse_indices counts")


def _chosen(xp, x, values):
    """Elements of ``x`` that are ``values``, the first of equal ones."""
    x = xp.reshape(x, (-1,))
    found = x.detach()
    if x.dtype in complex_dtypes(backend.namespace(x.data)):  # which have no order
        equal = xp.expand_dims(found, axis=0) == xp.expand_dims(values, axis=-1)
        return xp.take(x, xp.argmax(xp.astype(equal, xp.int8), axis=-1))
    order = xp.argsort(found)
    places = xp.searchsorted(xp.take(found, order), values)
    return xp.take(x, xp.take(order, places))


# ---- linear algebra ---------------------------------------------------------------------------


@composed("linalg.matrix_power")
def matrix_power(xp, x, n, /):
    """The standard's ``matrix_power``, by repeated squaring."""
    if n < 0:
        x, n = xp.linalg.inv(x), -n
    if n == 0:
        return _without_rules("linalg.matrix_power")(x.detach(), 0)
    power = None
    while n:
        if n % 2:
            power = x if power is None else power @ x
        n //= 2
        if n:
            x = x @ x
    return power


@composed("linalg.matrix_norm")
def matrix_norm(xp, x, /, *, keepdims=False, ord="fro"):
    """The standard's ``matrix_norm``: by elements, column or row sums, singular values."""
    columns, rows = -1, -2
    if ord is None or ord == "fro":
        return xp.linalg.vector_norm(x, axis=(rows, columns), keepdims=keepdims)
    if ord in (1, -1):
        sums = xp.sum(xp.abs(x), axis=rows)
    elif ord in (math.inf, -math.inf):
        sums = xp.sum(xp.abs(x), axis=columns)
    elif ord in (2, -2, "nuc"):
        sums = xp.linalg.svdvals(x)
    else:
        raise ValueError(
            f"matrix_norm needs ord 1, -1, 2, -2, inf, -inf, 'fro' or 'nuc', got {ord!r}"
        )
    reduce = xp.sum if ord == "nuc" else xp.max if ord > 0 else xp.min
    out = reduce(sums, axis=-1)
    return xp.reshape(out, (*out.shape, 1, 1)) if keepdims else out
