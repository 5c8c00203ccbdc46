"""Numbers and small arrays as NumPy arrays, made once, for the kernels that run on NumPy.

A ufunc takes an array without axes at half the price of a Python number, which it converts at every
call; and a product with ones sums rows or columns faster than ``sum`` does.
"""

import functools

import numpy as np


def of_each_float(value):
    """``value(dtype)`` as an array without axes, by the character of each floating dtype.

    A look-up here is quicker than one in ``number``, for activations of a few elements.
    """
    return {char: fixed(np.asarray(value(np.dtype(char)), char)) for char in "efdg"}


@functools.lru_cache(maxsize=256)
def number(value, dtype):
    """``value`` as an array without axes, not to be written to."""
    return fixed(np.asarray(value, dtype))


@functools.lru_cache(maxsize=256)
def ones(shape, dtype):
    """An array of ones, not to be written to."""
    return fixed(np.ones(shape, dtype))


@functools.lru_cache(maxsize=256)
def zeros(shape, dtype):
    """An array of zeros, not to be written to."""
    return fixed(np.zeros(shape, dtype))


@functools.lru_cache(maxsize=256)
def row_starts(rows, columns):
    """Where the rows of a matrix begin in its flat form."""
    return fixed(np.arange(0, rows * columns, columns))


def fixed(array):
    """The array, not to be written to."""
    array.flags.writeable = False
    return array
