"""A user's data as arrays, with what is wrong with it said by column, row and value.

Nothing here copies an array that is right already, and ``numpy.memmap`` is never read whole.
"""

import math
from functools import partial
from types import FunctionType, MethodType

import numpy as np

from lamina import backend
from lamina.autograd import Tensor

_HOST = backend.get("numpy")
_PIECE = 1 << 22  # numbers looked at together


def as_array(data, what: str):
    """``data`` as an array of some backend with numbers in it.

    Args:
        data: an array of any backend, a tensor, lists, pandas objects, or anything with
            ``__array__`` or ``__dlpack__``.
        what: what it is, for messages: "x", "y", "sample_weight".

    Raises:
        TypeError: for text, dates and objects, naming the column and the first bad value, and for
            a function that was not called.
        ValueError: for lists whose rows differ in length.
    """
    if isinstance(data, Tensor):
        return data.data
    if isinstance(data, np.ma.MaskedArray) and data.mask.any():
        row = int(np.argwhere(data.mask)[0][0])
        raise TypeError(f"row {row} of {what} is masked: fill it (x.filled(...)) or drop the row")
    if isinstance(data, np.ndarray):
        data = data if isinstance(data, np.memmap) else np.asarray(data)
        return data if data.dtype.kind in "fiub" else _host_numbers(data, what)
    if isinstance(data, type | FunctionType | MethodType | partial):
        raise _uncalled(data, what)
    if not hasattr(data, "columns") and backend.is_array(data):
        return data
    if hasattr(data, "columns") and hasattr(data, "dtypes"):
        return _from_frame(data, what)
    if isinstance(data, dict):
        raise TypeError(
            f"{what} must be one array, got a dict of {', '.join(map(str, data))}: put the columns "
            "side by side (numpy.column_stack(list(x.values())))"
        )
    if hasattr(data, "__dlpack__") and not hasattr(data, "__array__"):
        return np.from_dlpack(data)
    if getattr(data, "name", None) is not None and hasattr(data, "to_numpy"):
        what = f'column "{data.name}" of {what}'  # a pandas Series
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise _uneven(data, what, f" ({error})") from error
    return array if array.dtype.kind in "fiub" else _host_numbers(array, what)


def _from_frame(frame, what: str) -> np.ndarray:
    """A table with named columns (pandas and its like); every column must hold numbers."""
    columns = []
    for name in frame.columns:
        values = frame[name]
        column = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
        if column.dtype.kind not in "fiub":
            column = _host_numbers(column, f'column "{name}" of {what}')
        columns.append(column)
    if not columns:
        raise ValueError(f"{what} has no columns: select at least one")
    return np.stack(columns, axis=1)


def _host_numbers(array: np.ndarray, what: str) -> np.ndarray:
    """An array of objects as numbers, where each of them is one; else the error that says which."""
    if array.dtype.kind == "O":
        for place, value in np.ndenumerate(array):
            if isinstance(value, bool | int | float | np.number | np.bool_):
                continue
            if value is None or type(value).__name__ == "NAType":
                raise TypeError(f"{_place(what, array, place)} is missing: fill it or drop the row")
            if array.ndim == 1 and (isinstance(value, list | tuple) or np.ndim(value)):
                raise _uneven(array, what)
            raise _not_a_number(what, array, place, value)
        return array.astype(np.float64)
    if array.dtype.kind == "c":
        raise TypeError(f"{what} holds complex numbers: pass real and imaginary parts as columns")
    if array.size == 0:
        return array.astype(np.float64)
    place = (0,) * array.ndim
    raise _not_a_number(what, array, place, array[place])


def _uneven(rows, what: str, said: str = "") -> ValueError:
    """The error for rows that are arrays or lists and do not make one array of numbers."""
    sizes = sorted({np.shape(row) for row in rows if hasattr(row, "shape")})
    if len(sizes) > 1 and min(map(len, sizes)) > 1:
        return ValueError(
            f"{what} has images of different sizes, {sizes[0]} and {sizes[-1]}: bring each to "
            "one size first, layers.Resizing(height, width)(image[None])[0]"
        )
    if len(sizes) == 1 and all(hasattr(row, "shape") for row in rows):
        return ValueError(f"{what} is an array of arrays: make them one with numpy.stack")
    return ValueError(f"{what} has rows of different lengths{said}: pad or cut them to one length")


def _place(what: str, array, place) -> str:
    if not place:
        return what
    if array.ndim == 1:
        return f"row {place[0]} of {what}"
    return f"column {place[1]}, row {place[0]} of {what}"


def _not_a_number(what, array, place, value) -> TypeError:
    kind = type(value).__name__.removesuffix("_").removesuffix("64")
    return TypeError(
        f"models compute with numbers, but {_place(what, array, place)} is {kind} {str(value)!r}: "
        f"{_remedy(what, array)}"
    )


def _remedy(what, array) -> str:
    """What to do with text, dates or objects: read them as numbers, or number them."""
    try:
        array.astype("float32")
    except (TypeError, ValueError):
        pass
    else:
        if array.dtype.kind in "OUS":
            return 'it reads as a number: convert it with .astype("float32")'
    name = what.rpartition(" ")[2]
    if name == "x":
        number = "numpy.unique(column, return_inverse=True)[1]"
        return f"encode it as a number ({number} numbers classes), or drop the column"
    return f"encode it as class numbers, numpy.unique({name}, return_inverse=True)[1]"


def _uncalled(function, what) -> TypeError:
    kind = "class" if isinstance(function, type) else "function"
    name = getattr(function, "__name__", "f")
    call = f"fit({name}())" if what == "x" else f"{what}={name}()"
    return TypeError(f"{what} is a {kind}: call it, {call}")


def is_ready(array, dtype, place) -> bool:
    """Whether an array is right as it is: of this host and dtype, its floats all finite."""
    return (
        place.is_host
        and type(array) is np.ndarray
        and array.dtype.kind == "f"
        and array.dtype == dtype
        and array.size <= _PIECE
        and bool(np.isfinite(array).all())
    )


def to_backend(array, what: str, dtype, place, rows=0):
    """``array`` on the backend ``place`` as ``dtype``, where all of it is finite.

    Args:
        array: an array of any backend.
        what: what it is, for messages.
        dtype: what it becomes.
        place: the backend.
        rows: the number of its first row, or the numbers of all its rows.

    Raises:
        ValueError: for NaN, infinity, and numbers too large for ``dtype``, naming the first row.
    """
    home = place
    if isinstance(array, np.ndarray) and hasattr(np, str(dtype)):
        home = _HOST  # what comes from the host is looked at there, so that no device is waited for
    with np.errstate(over="ignore"):
        converted = home.asarray(array, dtype)
    xp = home.xp
    if xp.isdtype(converted.dtype, "real floating"):
        length = max(1, _PIECE // max(1, math.prod(converted.shape[1:])))
        for first in range(0, converted.shape[0], length):
            piece = converted[first : min(first + length, converted.shape[0]), ...]
            if not home.scalar(xp.all(xp.isfinite(piece))):
                raise _not_finite(array, home.to_numpy(piece), what, dtype, rows, first)
    return converted if home is place else place.asarray(converted)


def _not_finite(array, piece, what, dtype, rows, first) -> ValueError:
    where = tuple(int(i) for i in np.argwhere(~np.isfinite(piece))[0])
    at = (where[0] + first, *where[1:])
    given = backend.of(array).scalar(array[at])
    if math.isfinite(given):
        return ValueError(
            f"{what} must fit into {dtype}, got {given} in {_row(rows, at)}: scale the data, or "
            'train in lamina.config.set_floatx("float64")'
        )
    return ValueError(
        f"{what} must be finite, got {given} in {_row(rows, at)}: "
        "clean the data first (numpy.nan_to_num, or drop the row)"
    )


def _row(rows, at) -> str:
    """The place ``at`` in a piece, as a place in the whole."""
    row = at[0] + rows if isinstance(rows, int) else int(rows[at[0]])
    return f"row {row}, column {at[1]}" if len(at) == 2 else f"row {row}"


def class_weights(labels, weights: dict) -> np.ndarray:
    """One weight per sample from a weight per class.

    Args:
        labels: class numbers of shape (n,) or (n, 1), or one row of class scores per sample.
        weights: from class number to weight; a class without one has weight 1.
    """
    if not isinstance(weights, dict):
        raise TypeError(
            "class_weight maps class numbers to weights, such as {0: 1.0, 1: 5.0}, got "
            f"{weights!r}"
        )
    host = backend.of(labels).to_numpy(labels)
    if host.ndim == 2 and host.shape[1] > 1:
        host = host.argmax(axis=1)
    elif host.size != host.shape[0]:
        raise ValueError(
            "class_weight needs one class per sample, got labels of shape "
            f"{tuple(host.shape)}: pass sample_weight instead"
        )
    strange = [key for key in weights if isinstance(key, bool | str) or key != int(key)]
    if strange:
        raise TypeError(f"class_weight maps whole class numbers to weights, got {strange[0]!r}")
    if host.dtype.kind == "f" and not (host == np.floor(host)).all():
        raise ValueError("class_weight needs whole class numbers as y: pass sample_weight instead")
    classes, places = np.unique(host.reshape(-1), return_inverse=True)
    return np.asarray([weights.get(int(c), 1.0) for c in classes], "float64")[places.reshape(-1)]
