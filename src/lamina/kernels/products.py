"""Products of tall matrices on NumPy, in pieces that the BLAS multiplies as they lie.

A BLAS copies what it multiplies into an order that suits it, which for a tall matrix and one with
few columns is a large part of the work. OpenBLAS has code that does without for small products on
processors with AVX-512, and is fed with pieces of rows here. Measured, float32, GFLOP/s of one
thread for 4608 rows, whole and in pieces: 144 columns by 16 69 and 86, 288 by 32 93 and 132, 320 by
64 113 and 136. The second matrix must begin where a line of the cache does, else a third of that is
lost. On processors without AVX-512 nothing is done here.
"""

import functools

import numpy as np

from lamina.backend import blas

_STEP = 8  # rows that the code takes at a time
_FEWEST_ADDED = 96  # rows of a piece, where the products of the pieces are added
_LINE = 64  # bytes of a line of the cache


def product(tall, matrix, out):
    """``tall @ matrix`` into ``out``; ``tall`` is a matrix, or a stack of them."""
    rows, columns = tall.shape[-2:]
    each = _rows(rows, columns * matrix.shape[1], _STEP)
    if each == rows:
        np.matmul(tall, matrix, out=out)
        return
    matrix = _on_a_line(matrix)
    rest = rows % each
    np.matmul(_cut(tall, each), matrix, out=_cut(out, each))
    if rest:
        np.matmul(tall[..., -rest:, :], matrix, out=out[..., -rest:, :])


def matched(tall, other):
    """``tall.T @ other``, two matrices of as many rows; or stacks, whose products are added."""
    rows, columns = tall.shape[-2:]
    each = _rows(rows, columns * other.shape[-1], _FEWEST_ADDED)
    rest = rows % each
    if each == rows and tall.ndim == 2:
        return tall.T.dot(other)
    total = _matched_one_by_one(_cut(tall, each), _cut(other, each))
    if rest:
        total += matched(tall[..., -rest:, :], other[..., -rest:, :])
    return total


def _matched_one_by_one(talls, others):
    found = np.matmul(np.swapaxes(talls, -1, -2), others)
    return np.add.reduce(found.reshape(-1, *found.shape[-2:]), axis=0)


@functools.lru_cache(maxsize=256)
def _rows(rows, products, fewest):
    """The rows of a piece, where one takes so many multiplications; all, if pieces gain nothing."""
    most = blas.small_product() // max(1, products) // _STEP * _STEP
    if most < fewest or rows <= most:
        return rows
    even = (each for each in range(most, most // 2, -_STEP) if rows % each == 0)
    return next(even, most)  # without a rest, if that can be


def _cut(matrix, each):
    """The rows, but for the rest, in pieces: a view."""
    *stack, rows, columns = matrix.shape
    many = rows // each
    return matrix[..., : many * each, :].reshape(*stack, many, each, columns)


def _on_a_line(matrix):
    """The matrix, in memory that begins where a line of the cache does."""
    if matrix.flags.c_contiguous and matrix.ctypes.data % _LINE == 0:
        return matrix
    memory = np.empty(matrix.nbytes + _LINE, np.uint8)
    start = -memory.ctypes.data % _LINE
    copy = memory[start : start + matrix.nbytes].view(matrix.dtype).reshape(matrix.shape)
    copy[...] = matrix
    return copy
