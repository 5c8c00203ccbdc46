"""Writing to places given by numbers, which the array API standard leaves out.

All three make a new array of zeros and lay or add values into it; each is the transpose of a way of
reading. NumPy adds in the order of the values, one after the other. On a GPU many values would add
to one place at once, in whatever order the device finds, and floats then differ from run to run;
so there the values are sorted by their place, stably, and every place adds up its own, in order.
``config.set_deterministic(False)`` has CuPy add as the device finds.
"""

import functools
import importlib
import math

from lamina import config
from lamina.backend import calls
from lamina.backend._backend import name as name_of
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
    if repeats and not _adds_at(xp):
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
    if _adds_at(xp):
        out = xp.zeros((length, *before, *after), dtype=values.dtype, device=values.device)
        xp.add.at(out, indices, values)
    else:
        rows = xp.reshape(values, (count, math.prod(before + after)))
        out = xp.reshape(_added(xp, rows, indices, length), (length, *before, *after))
    return xp.moveaxis(out, 0, axis)


def add_along_axis(values, indices, shape, axis):
    """Zeros of ``shape``, to which ``values`` are added where ``take_along_axis`` reads them."""
    xp = namespace(values)
    shape = tuple(shape)
    axis %= len(shape)
    places = [
        xp.reshape(xp.arange(n, device=values.device), (-1, *(1,) * (len(shape) - 1 - i)))
        for i, n in enumerate(shape)
    ]
    if _adds_at(xp):
        places[axis] = indices
        out = xp.zeros(shape, dtype=values.dtype, device=values.device)
        xp.add.at(out, tuple(places), values)
        return out
    places[axis] = _from_zero(xp, indices, shape[axis])
    numbers = xp.zeros_like(places[axis])
    for n, place in zip(shape, places, strict=True):
        numbers = numbers * n + xp.astype(place, numbers.dtype)
    numbers = xp.reshape(xp.broadcast_to(numbers, values.shape), (-1,))
    rows = xp.reshape(values, (-1, 1))
    return xp.reshape(_added(xp, rows, numbers, math.prod(shape)), shape)


def _adds_at(xp) -> bool:
    """Whether ``xp.add.at`` is there and may be used."""
    if not hasattr(xp.add, "at"):
        return False
    return name_of(xp) == "numpy" or not config.deterministic()


def _added(xp, rows, indices, length):
    """Row k of the result is the sum of the rows whose index is k, of ``length`` rows."""
    count, columns = rows.shape
    if not count or not columns or not length:
        return xp.zeros((length, columns), dtype=rows.dtype, device=rows.device)
    indices = _from_zero(xp, indices, length)
    order = xp.argsort(indices, stable=True)
    keys = xp.take(indices, order, axis=0)
    return _SUMS.get(name_of(xp), _by_doubling)(xp, rows, order, keys, length)


def _from_zero(xp, indices, length):
    """Indices from 0 to ``length - 1``, in int64: a narrow dtype may not hold the length."""
    indices = xp.astype(indices, xp.int64, copy=False)
    return xp.where(indices < 0, indices + length, indices)


def _by_doubling(xp, rows, order, keys, length):
    """Sums of the rows of each key, in calls of the standard alone.

    Row i of the sorted rows takes row i - 1 into itself where both are of one key, then row i - 2,
    which has taken i - 3 in, then i - 4 ...; the last of each key has then all of them. How rows
    of a key are bracketed depends on their number alone. It takes log2(rows) rounds.
    """
    rows = xp.take(rows, order, axis=0)
    count = rows.shape[0]
    step = 1
    while step < count:
        alike = xp.expand_dims(keys[step:] == keys[: count - step], axis=1)
        earlier = rows[: count - step, :]
        more = xp.where(alike, earlier, xp.zeros_like(earlier))
        rows = xp.concat([rows[:step, :], rows[step:, :] + more])
        step *= 2
    places = xp.arange(length, dtype=keys.dtype, device=keys.device)
    last = xp.searchsorted(keys, places, side="right") - 1
    last = xp.where(last < 0, xp.zeros_like(last), last)
    found = xp.take(rows, last, axis=0)
    there = xp.expand_dims(xp.take(keys, last, axis=0) == places, axis=1)
    return xp.where(there, found, xp.zeros_like(found))


SUM = """
const long long row = i / columns;
const long long column = i - row * columns;
T sum = T(0);
for (long long k = starts[row]; k < starts[row + 1]; ++k) {
    sum += rows[order[k] * columns + column];
}
total = sum;
"""
"""For CuPy: every element of the result adds up its own, in the order that NumPy adds."""


def _by_kernel(xp, rows, order, keys, length):
    """Sums of the rows of each key, in one launch once they are sorted."""
    places = xp.arange(length + 1, dtype=keys.dtype, device=keys.device)
    starts = xp.searchsorted(keys, places)
    columns = rows.shape[1]
    calls.launched("scatter_add")
    return xp.reshape(
        _kernel()(rows, order, starts, columns, size=length * columns), (length, columns)
    )


@functools.cache
def _kernel():
    cupy = importlib.import_module("cupy")
    inputs = "raw T rows, raw int64 order, raw int64 starts, int64 columns"
    return cupy.ElementwiseKernel(inputs, "T total", SUM, "lamina_scatter_add")


_SUMS = {"cupy": _by_kernel}
"""By the name of the array library, what adds up sorted rows; ``_by_doubling`` serves others."""
