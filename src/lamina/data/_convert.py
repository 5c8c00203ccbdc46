"""A user's data as arrays, with what is wrong with it said by column, row and value.

Nothing here copies an array that is right already, and ``numpy.memmap`` is never read whole.
"""

import numpy as np

from lamina import backend
from lamina.autograd import Tensor


def as_array(data, what: str):
    """``data`` as an array of some backend with numbers in it.

    Args:
        data: an array of any backend, a tensor, lists, pandas objects, or anything with
            ``__array__`` or ``__dlpack__``.
        what: what it is, for messages: "x", "y", "sample_weight".

    Raises:
        TypeError: for text, dates and objects, naming the column and the first bad value.
        ValueError: for lists whose rows differ in length.
    """
    if isinstance(data, Tensor):
        return data.data
    if isinstance(data, np.ndarray):
        return data if data.dtype.kind in "fiub" else _host_numbers(data, what)
    if not hasattr(data, "columns") and backend.is_array(data):
        return data
    if hasattr(data, "columns") and hasattr(data, "dtypes"):
        return _from_frame(data, what)
    if hasattr(data, "__dlpack__") and not hasattr(data, "__array__"):
        return np.from_dlpack(data)
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ValueError(
            f"{what} has rows of different lengths ({error}): pad or cut them to one length"
        ) from error
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
            raise _not_a_number(what, array, place, value)
        return array.astype(np.float64)
    if array.dtype.kind == "c":
        raise TypeError(f"{what} holds complex numbers: pass real and imaginary parts as columns")
    if array.size == 0:
        return array.astype(np.float64)
    place = (0,) * array.ndim
    raise _not_a_number(what, array, place, array[place])


def _place(what: str, array, place) -> str:
    if array.ndim == 1:
        return f"row {place[0]} of {what}"
    return f"column {place[1]}, row {place[0]} of {what}"


def _not_a_number(what, array, place, value) -> TypeError:
    kind = type(value).__name__.removesuffix("_").removesuffix("64")
    return TypeError(
        f"models compute with numbers, but {_place(what, array, place)} is {kind} {str(value)!r}: "
        "encode it as a number (lamina.utils.to_categorical for classes), or drop the column"
    )


def check_finite(array, what: str, first_row: int = 0) -> None:
    """Raise where ``array`` has NaN or infinity, naming the first row that has."""
    xp = backend.namespace(array)
    if not xp.isdtype(array.dtype, "real floating"):
        return
    place = backend.of(array)
    if place.scalar(xp.all(xp.isfinite(array))):
        return
    host = np.atleast_1d(place.to_numpy(array))
    where = tuple(int(i) for i in np.argwhere(~np.isfinite(host))[0])
    row, column = where[0] + first_row, f", column {where[1]}" if len(where) == 2 else ""
    raise ValueError(
        f"{what} must be finite, got {host[where]} in row {row}{column}: "
        "clean the data first (numpy.nan_to_num, or drop the row)"
    )


def class_weights(labels, weights: dict) -> np.ndarray:
    """One weight per sample from a weight per class.

    Args:
        labels: class numbers of shape (n,) or (n, 1), or one row of class scores per sample.
        weights: from class number to weight, for every class that occurs.
    """
    if not isinstance(weights, dict):
        raise TypeError(
            f"class_weight maps class numbers to weights, such as {{0: 1.0, 1: 5.0}}, got {weights!r}"
        )
    host = backend.of(labels).to_numpy(labels)
    if host.ndim == 2 and host.shape[1] > 1:
        host = host.argmax(axis=1)
    elif host.size != host.shape[0]:
        raise ValueError(
            "class_weight needs one class per sample, got labels of shape "
            f"{tuple(host.shape)}: pass sample_weight instead"
        )
    classes, places = np.unique(host.reshape(-1), return_inverse=True)
    missing = [int(c) for c in classes if int(c) not in weights]
    if missing:
        raise ValueError(f"class_weight gives no weight to class {missing[0]}, which occurs in y")
    return np.asarray([weights[int(c)] for c in classes], dtype=np.float32)[places.reshape(-1)]
