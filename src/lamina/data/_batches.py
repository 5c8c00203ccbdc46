"""Batches: what the training loop draws from, whatever the data came as.

A source tells ``steps`` (batches in an epoch, None where only trying tells), and ``epoch(order)``
iterates over (x, y, sample_weight) on the model's backend, with None for what there is not.
"""

import math

import numpy as np

from lamina import backend

_WHOLE = 1 << 30  # arrays up to this many bytes are converted whole, larger ones piece by piece
_NAMES = ("x", "y", "sample_weight")
_PIECE = 4 << 20  # bytes gathered at once when rows are taken in random order


def is_iterable_of_batches(x) -> bool:
    """Whether ``x`` yields batches, as generators and loaders do, rather than being the data."""
    if isinstance(x, list | tuple | str | bytes | dict | type) or hasattr(x, "columns"):
        return False
    if hasattr(x, "shape") or hasattr(x, "__array__") or hasattr(x, "__dlpack__"):
        return False
    return hasattr(x, "__iter__") or hasattr(x, "__getitem__")


class ArrayBatches:
    """Batches of rows of arrays.

    Args:
        arrays: x, y and sample_weight, each an array of any backend or None, of equal length.
        dtypes: the dtype that each becomes.
        batch_size: rows in a batch; the last may have fewer.
        place: the backend that batches are given on.
        convert: called with every array, or piece of a large one, its name, its dtype and the
            number of its first row, or of all its rows; gives it converted and checked.
    """

    is_spent_by_use = False

    def __init__(self, arrays, dtypes, batch_size, place, convert):
        self.rows = arrays[0].shape[0]
        self.batch_size = min(batch_size, self.rows)
        self.steps = -(-self.rows // self.batch_size)
        self._place = place
        self._columns = [
            None if array is None else _Column(array, dtype, place, name, convert)
            for array, dtype, name in zip(arrays, dtypes, _NAMES, strict=True)
        ]

    @property
    def inputs(self):
        """x as it was given."""
        return self._columns[0].source

    def epoch(self, order=None):
        """One pass over all rows.

        Args:
            order: None, or a NumPy permutation of the rows.
        """
        size, rows = self.batch_size, self.rows
        columns = self._columns
        if order is None and all(c is None or c.whole is not None for c in columns):
            piece_rows = rows
        else:
            row_bytes = max(c.row_bytes for c in columns if c is not None)
            piece_rows = max(1, _PIECE // max(1, row_bytes * size)) * size
        for start in range(0, rows, piece_rows):
            stop = min(start + piece_rows, rows)
            wanted = slice(start, stop) if order is None else order[start:stop]
            pieces = [None if c is None else c.take(wanted) for c in columns]
            if stop - start <= size:
                yield pieces
                continue
            for first in range(0, stop - start, size):
                last = min(first + size, stop - start)
                yield [None if p is None else p[first:last, ...] for p in pieces]


class _Column:
    """One array: converted whole where that is cheap, else piece by piece as it is read."""

    def __init__(self, array, dtype, place, name, convert):
        self.dtype, self.place, self.name, self.convert = dtype, place, name, convert
        self.source = array
        self.row_bytes = 4 * math.prod(array.shape[1:])
        limit = _WHOLE
        free = place.free_memory()
        if free is not None:
            limit = min(limit, free // 4)
        on_disk = isinstance(array, np.memmap)
        small = self.row_bytes * array.shape[0] <= limit
        ready = place.owns(array) and array.dtype == place.dtype(dtype)
        self.whole = None
        if not on_disk and (ready or small):
            self.whole = self._converted(array, 0)
        elif name == "y":  # labels are checked before the first step; inputs as they are read
            length = max(1, _PIECE // max(1, self.row_bytes))
            for start in range(0, array.shape[0], length):
                self.take(slice(start, min(start + length, array.shape[0])))

    def _converted(self, piece, rows):
        return self.convert(piece, self.name, self.dtype, rows)

    def take(self, wanted):
        """The rows of a slice, or of a NumPy array of row numbers."""
        if self.whole is not None:
            if isinstance(wanted, slice):
                return self.whole[wanted, ...]
            if self.place.is_host:
                return self.whole.take(wanted, axis=0)
            return self.place.xp.take(self.whole, self.place.asarray(wanted), axis=0)
        if isinstance(wanted, slice):
            piece = self.source[wanted, ...]
            piece = np.asarray(piece) if isinstance(piece, np.memmap) else piece
            return self._converted(piece, wanted.start)
        if isinstance(self.source, np.ndarray):
            return self._converted(self.source[wanted], wanted)
        source = backend.of(self.source)
        return self._converted(source.xp.take(self.source, source.asarray(wanted), axis=0), wanted)


class IterableBatches:
    """Batches from an iterable of x, (x, y) or (x, y, sample_weight).

    A list-like loader (``__len__`` and ``__getitem__``) starts anew every epoch; so does anything
    whose ``iter()`` does. A generator goes on where the epoch before left it.

    Args:
        iterable: where the batches come from.
        convert: called with (x, y, sample_weight) of every batch, returns them converted.
    """

    rows = None

    def __init__(self, iterable, convert):
        self._iterable = iterable
        self._convert = convert
        self.steps = len(iterable) if hasattr(iterable, "__len__") else None
        self.is_spent_by_use = (
            iter(iterable) is iterable if hasattr(iterable, "__iter__") else False
        )

    def epoch(self, order=None):
        """The batches from here on: all of an epoch, or of what a generator still has."""
        for batch in self._raw():
            parts = tuple(batch) if isinstance(batch, tuple | list) else (batch,)
            if not 1 <= len(parts) <= 3:
                raise ValueError(
                    "a batch is x, (x, y) or (x, y, sample_weight), got "
                    f"{len(parts)} parts: look at what the iterable yields"
                )
            x, y, weight = (*parts, None, None)[:3]
            yield self._convert(x, y, weight)

    def _raw(self):
        if hasattr(self._iterable, "__iter__") or self.steps is None:
            return iter(self._iterable)
        return (self._iterable[i] for i in range(self.steps))
