"""Writing to places given by numbers, which the array API standard leaves out.

All three make a new array of zeros and lay or add values into it; each is the transpose of a way of
reading. The portable forms use the standard alone; NumPy, CuPy and torch have their own.
"""

import math

from lamina.backend._backend import namespace


def setitem_zeros(values, key, shape):
    """An array z of zeros of ``shape`` after ``z[key] += values``: the transpose of ``x[key]``.

    A place that arrays of numbers in ``key`` name more than once gets the sum.
    """
    xp = namespace(values)
    parts = key if isinstance(key, tuple) else (key,)
    arrays = [part for part in parts if isinstance(part, list) or getattr(part, "ndim", 0)]
    # arrays of numbers may name a place more than once
    repeats = any(isinstance(a, list) or not xp.isdtype(a.dtype, "bool") for a in arrays)
    if repeats and not hasattr(xp.add, "at"):
        size = math.prod(shape)
        numbers = xp.reshape(xp.arange(size, device=values.device), tuple(shape))[key]
        return xp.reshape(add_at(xp.reshape(values, (-1,)), numbers, (size,), 0), tuple(shape))
    device = getattr(values, "device", None)  # NumPy 2.0's scalars have none
    out = xp.zeros(shape, dtype=values.dtype, device=device)
    if repeats:
        xp.add.at(out, key, values)
    else:
        if not arrays and any(part is None for part in parts):  # the standard writes to no new axes
            key = tuple(part for part in parts if part is not None)
            values = xp.reshape(values, out[key].shape)
        out[key] = values
    return out


def add_at(values, indices, shape, axis):
    """Zeros of ``shape``, to which slice i of ``values`` is added at ``indices[i]`` along ``axis``.

    Equal numbers add up; negative ones count from the end. The transpose of
    ``take(x, indices, axis=axis)``, also where ``indices`` has several axes.
    """
    xp = namespace(values)
    shape = tuple(shape)
    axis %= len(shape)
    before, length, after = shape[:axis], shape[axis], shape[axis + 1 :]
    indices = xp.reshape(indices, (-1,))
    count = indices.shape[0]
    values = xp.reshape(values, (*before, count, *after))
    if hasattr(values, "index_add"):  # torch, which has no negative numbers here
        zeros = xp.zeros(shape, dtype=values.dtype, device=values.device)
        return zeros.index_add(axis, xp.where(indices < 0, indices + length, indices), values)
    values = xp.moveaxis(values, axis, 0)
    if hasattr(xp.add, "at"):
        out = xp.zeros((length, *before, *after), dtype=values.dtype, device=values.device)
        xp.add.at(out, indices, values)
    else:
        hot = _one_hot(xp, indices, length, values.dtype)
        rows = xp.reshape(values, (count, math.prod(before + after)))
        out = xp.reshape(xp.matrix_transpose(hot) @ rows, (length, *before, *after))
    return xp.moveaxis(out, 0, axis)


def add_along_axis(values, indices, shape, axis):
    """Zeros of ``shape``, to which ``values`` are added where ``take_along_axis`` reads them."""
    xp = namespace(values)
    shape = tuple(shape)
    if hasattr(xp.add, "at"):
        places = [
            xp.reshape(xp.arange(n, device=values.device), (-1, *(1,) * (len(shape) - 1 - i)))
            for i, n in enumerate(shape)
        ]
        places[axis] = indices
        out = xp.zeros(shape, dtype=values.dtype, device=values.device)
        xp.add.at(out, tuple(places), values)
        return out
    values, indices = xp.moveaxis(values, axis, -1), xp.moveaxis(indices, axis, -1)
    hot = _one_hot(xp, indices, shape[axis], values.dtype)
    return xp.moveaxis(xp.sum(xp.expand_dims(values, axis=-1) * hot, axis=-2), -1, axis)


def _one_hot(xp, indices, length, dtype):
    """1 where the new last axis has the number that ``indices`` names, else 0."""
    numbers = xp.arange(length, dtype=indices.dtype, device=indices.device)
    indices = xp.where(indices < 0, indices + length, indices)
    return xp.astype(xp.expand_dims(indices, axis=-1) == numbers, dtype)
