"""Products of tall matrices on NumPy, in pieces that the BLAS multiplies as they lie.

A BLAS copies what it multiplies into an order that suits it, which for a tall matrix and one with
few columns is a large part of the work. OpenBLAS has code that does without for small products on
processors with AVX-512, and is fed with pieces of rows here. Measured, float32, 4608 rows, GFLOP/s
of one thread:

    columns x columns of the other    whole    in pieces
                          144 x 16       69           86
                          288 x 32       93          132
                          320 x 64      113          136

The second matrix must begin where a line of the cache does, else up to all of the gain is lost.
Elsewhere, and where the BLAS has several threads to share a product, nothing is done here.
"""

import functools
import math

import numpy as np

from lamina.backend import blas
from lamina.backend.memory import on_a_line

_MANY = 256  # rows, in all, from which on it pays to put the other matrix where it should begin
_STEP = 8  # rows that the code takes at a time
FEWEST_ADDED = 96  # rows of a piece, below which adding the pieces' products costs what they gain


def product(tall, matrix, out):
    """``tall @ matrix`` into ``out``; ``tall`` is a matrix, or a stack of them."""
    each = _piece(tall, matrix, _STEP)
    if not each:
        np.matmul(tall, matrix, out=out)
        return
    matrix = on_a_line(matrix)
    np.matmul(_cut(tall, each), matrix, out=_cut(out, each))
    rest = tall.shape[-2] % each
    if rest:
        np.matmul(tall[..., -rest:, :], matrix, out=out[..., -rest:, :])


def matched(tall, other, apart=0):
    """``tall.T @ other``, two matrices of as many rows; or stacks, whose products are added.

    Along the first ``apart`` axes of the stacks they are not.
    """
    each = _piece(tall, other, FEWEST_ADDED)
    if not each or each == tall.shape[-2]:
        if tall.ndim == 2:
            return tall.T.dot(other)
        return _added(np.matmul(np.swapaxes(tall, -1, -2), other), apart)
    total = _added(np.matmul(np.swapaxes(_cut(tall, each), -1, -2), _cut(other, each)), apart)
    rest = tall.shape[-2] % each
    if rest:
        total += matched(tall[..., -rest:, :], other[..., -rest:, :], apart)
    return total


def piece(rows, columns, filters, fewest) -> int:
    """How many of so many rows, in all, are best multiplied at a time."""
    if not _pays(rows, columns, filters):
        return max(1, rows)
    most = _most(columns * filters)
    return most if most >= fewest else rows


def _added(products, apart):
    """The sum of a stack of matrices."""
    return np.add.reduce(products, axis=tuple(range(apart, products.ndim - 2)))


def _piece(tall, other, fewest):
    """The rows of a piece, all where they are few; 0 where pieces gain nothing."""
    rows, columns = tall.shape[-2:]
    many = tall.size // max(1, columns)
    if tall.dtype.char not in "fd" or not _pays(many, columns, other.shape[-1]):
        return 0
    return _rows(rows, columns * other.shape[-1], fewest)


def _pays(rows, columns, filters) -> bool:
    """Whether a product of so many rows in all is worth any preparation."""
    if rows < _MANY or blas.threads() != 1:
        return False
    return rows * columns * filters > 2 * blas.small_product() > 0


@functools.lru_cache(maxsize=256)
def _rows(rows, each_row, fewest):
    """The same, where a row takes so many multiplications."""
    most = _most(each_row)
    if rows <= most:
        return rows
    if most < fewest:
        return 0
    even = (each for each in range(most, most // 2, -_STEP) if rows % each == 0)
    return next(even, most)  # without a rest, if that can be


def _most(each_row):
    return blas.small_product() // max(1, each_row) // _STEP * _STEP


def _cut(matrix, each):
    """The rows, but for the rest, in pieces: a view."""
    *stack, rows, columns = matrix.shape
    many = rows // each
    return matrix[..., : many * each, :].reshape(*stack, many, each, columns)


def as_matrix(w, rows):
    """A kernel, whose last axis is that of filters, as the second matrix of products of so many
    rows."""
    shape = math.prod(w.shape[:-1]), w.shape[-1]
    return (on_a_line(w) if _pays(rows, *shape) else w).reshape(shape)
