"""Writing to places given by numbers, which the array API standard leaves out.

All three make a new array of zeros and lay or add values into it; each is the transpose of a way of
reading. The portable forms use the standard alone; NumPy has its own.
"""

import numpy as np

from lamina.backend._backend import namespace


def setitem_zeros(values, key, shape):
    """An array z of zeros of ``shape`` after ``z[key] = values``: the transpose of ``x[key]``."""
    xp = namespace(values)
    out = xp.zeros(shape, dtype=values.dtype, device=values.device)
    if xp is np and _repeats(key):
        np.add.at(out, key, values)
    else:
        out[key] = values
    return out


def _repeats(key) -> bool:
    """Whether ``key`` has arrays of numbers, which may name a place more than once."""
    parts = key if isinstance(key, tuple) else (key,)
    return any(isinstance(part, np.ndarray) and part.dtype != np.bool_ for part in parts)


def add_at(values, indices, shape, axis):
    """Zeros of ``shape``, to which slice i of ``values`` is added at ``indices[i]`` along ``axis``.

    Equal numbers add up. The transpose of ``take(x, indices, axis=axis)``.
    """
    xp = namespace(values)
    values = xp.moveaxis(values, axis, 0)
    shape = tuple(shape)
    axis %= len(shape)
    rest = shape[:axis] + shape[axis + 1 :]
    if xp is np:
        out = np.zeros((shape[axis], *rest), dtype=values.dtype)
        np.add.at(out, indices, values)
    else:
        numbers = xp.arange(shape[axis], dtype=indices.dtype, device=indices.device)
        hot = xp.astype(numbers[:, None] == indices[None, :], values.dtype)
        rows = xp.reshape(values, (values.shape[0], -1)) if rest else values[:, None]
        out = xp.reshape(xp.matmul(hot, rows), (shape[axis], *rest))
    return xp.moveaxis(out, 0, axis)


def add_along_axis(values, indices, shape, axis):
    """Zeros of ``shape``, to which ``values`` are added where ``take_along_axis`` reads them."""
    xp = namespace(values)
    shape = tuple(shape)
    if xp is np:
        out = np.zeros(shape, dtype=values.dtype)
        places = list(np.ogrid[tuple(slice(n) for n in indices.shape)])
        places[axis] = indices
        np.add.at(out, tuple(places), values)
        return out
    values, indices = xp.moveaxis(values, axis, -1), xp.moveaxis(indices, axis, -1)
    numbers = xp.arange(shape[axis], dtype=indices.dtype, device=indices.device)
    hot = xp.astype(xp.expand_dims(indices, axis=-1) == numbers, values.dtype)
    return xp.moveaxis(xp.sum(xp.expand_dims(values, axis=-1) * hot, axis=-2), -1, axis)
