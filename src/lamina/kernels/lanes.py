"""An array as normalization on NumPy goes through it: a matrix, block by block in the cache.

What was measured: a vector spread over a matrix of 16 columns costs three times what it costs over
one of 512, since every row begins a loop of its own; so channels that lie last are seen as several
samples side by side, and the vector is repeated. Rows of 4 KiB and more cost twice as much again,
where those of several arrays fall on the same places in the cache. Sums go by block too, each in
its own place, which keeps them independent of the number of threads, and more precise than one
long sum.
"""

import functools
import math
import operator

import numpy as np

from lamina.backend import workers
from lamina.kernels import compiling
from lamina.kernels.constants import ones, zeros

_WIDE = 512  # columns up to which samples are put side by side
_BLOCK = 1 << 18  # numbers that are worked on together
LEAST_COLUMNS = 64
"""Columns from which on loops that numba compiles serve: with fewer each sums more than is precise.
"""
_SHARED = 1 << 20  # numbers from which on threads share the blocks


def lanes_of(x, axis):
    """The matrix that x, of floats, is seen as, and the passes over it."""
    lanes = _lanes(Lanes, x.shape, x.dtype, axis)
    if lanes.is_last and lanes.shape[1] >= LEAST_COLUMNS and compiling.serves(x):
        return _lanes(_CompiledLanes, x.shape, x.dtype, axis)
    return lanes


@functools.lru_cache(maxsize=256)
def _lanes(kind, shape, dtype, axis):
    return kind(shape, dtype, axis)


class Lanes:
    """Arrays of a shape as matrices in which every channel has columns, or rows, of its own.

    Attributes:
        channels: how many there are.
        count: how many numbers each has.
        is_last: whether the columns are theirs.
        shape: of the matrix.
        blocks: slices of its rows.
    """

    def __init__(self, shape, dtype, axis):
        axis = axis % len(shape)
        size = math.prod(shape)
        self.channels = shape[axis]
        self.count = size // self.channels
        self._dtype = dtype
        self.is_last = math.prod(shape[axis + 1 :]) == 1
        if self.is_last:
            self._copies = _side_by_side(self.count, self.channels)
            self.shape = (self.count // self._copies, self._copies * self.channels)
        else:
            self._copies = math.prod(shape[:axis])
            self.shape = (self._copies * self.channels, self.count // self._copies)
        self.blocks = blocks_of(self.shape)

    def spread(self, *vectors):
        """For each block, numbers per channel in the shape that spreads over it, for each vector.

        They are copied at once, since every call that NumPy does without the interpreter is one
        more to wait for it.
        """
        wide = np.empty((len(vectors), self._copies, self.channels), self._dtype)
        wide[...] = np.array(vectors)[:, None]
        wide = wide.reshape(len(vectors), -1)
        if self.is_last:
            return [wide] * len(self.blocks)
        return [wide[:, block, None] for block in self.blocks]

    def matrix(self, array):
        """An array of the shape as this matrix: a view, or a copy."""
        return array.reshape(self.shape)

    def totals(self, parts):
        """Sums per channel, from those of the blocks: as many rows as each of these has."""
        if len(parts) == 1:
            (whole,) = parts
        else:
            whole = np.add.reduce(parts, 0) if self.is_last else np.concatenate(parts, 1)
        return np.add.reduce(whole.reshape(len(whole), self._copies, self.channels), 1)

    def sums(self, block, other):
        """Sums of a block along its rows, or columns, and those of its products with another."""
        if self.is_last:
            found = np.empty((2, block.shape[1]), block.dtype)
            ones(len(block), block.dtype).dot(block, out=found[0])
            np.einsum("ij,ij->j", block, other, out=found[1])
        else:
            found = np.empty((2, len(block)), block.dtype)
            np.add.reduce(block, 1, out=found[0])
            np.einsum("ij,ij->i", block, other, out=found[1])
        return found

    def each(self, work):
        """``work(number, slice)`` for every block; what it returns, in order."""
        return for_each(self.blocks, self.count * self.channels, work)

    # What follows sees numbers by their distance from ``starts``, a vector that was spread, or
    # as they are where that is None.

    def moments(self, block, starts):
        """Sums of what is seen, and of its squares."""
        seen = _from(starts, block)
        return self.sums(seen, seen)

    def matched_sums(self, block, starts, g):
        """Sums of ``g``, and of what is seen times ``g``."""
        return self.sums(g, _from(starts, block))

    def scaled(self, block, starts, factors, shifts, out):
        """``seen * factors + shifts`` into ``out``; shifts of None are zeros."""
        np.multiply(_from(starts, block), factors, out=out)
        if shifts is not None:
            out += shifts

    def combined(self, block, starts, g, factors, slopes, levels, out):
        """``(seen * slopes + levels + g) * factors`` into ``out``."""
        np.multiply(_from(starts, block), slopes, out=out)
        out += levels
        out += g
        out *= factors


def _from(starts, block):
    return block if starts is None else block - starts


class _CompiledLanes(Lanes):
    """Channels that lie last, and the same passes as loops that numba compiled."""

    def spread(self, *vectors):
        """The vectors as they are, since a loop spreads them itself."""
        return [[compiling.tidy(v, self._dtype) for v in vectors]] * len(self.blocks)

    def matrix(self, array):
        return compiling.tidy(array.reshape(self.shape), self._dtype)

    def totals(self, parts):
        return functools.reduce(operator.add, parts)

    def _new(self, block):
        return np.empty((2, self.channels), block.dtype)

    def moments(self, block, starts):
        out = self._new(block)
        compiling.loops().moments(block, self._or_zeros(starts), out)
        return out

    def matched_sums(self, block, starts, g):
        out = self._new(block)
        compiling.loops().matched_sums(block, self._or_zeros(starts), g, out)
        return out

    def scaled(self, block, starts, factors, shifts, out):
        starts, shifts = self._or_zeros(starts), self._or_zeros(shifts)
        compiling.loops().scaled(block, starts, factors, shifts, out)

    def combined(self, block, starts, g, factors, slopes, levels, out):
        starts = self._or_zeros(starts)
        compiling.loops().combined(block, starts, g, factors, slopes, levels, out)

    def _or_zeros(self, vector):
        return zeros(self.channels, self._dtype) if vector is None else vector


def for_each(blocks, size, work):
    """``work(number, slice)`` for every block of so many numbers in all; the results, in order."""
    if len(blocks) == 1 or size < _SHARED:
        return [work(i, block) for i, block in enumerate(blocks)]
    results = [None] * len(blocks)

    def run(i):
        results[i] = work(i, blocks[i])

    workers.run(run, len(blocks))
    return results


@functools.lru_cache(maxsize=256)
def _side_by_side(count, channels):
    """How many of ``count`` rows of so many channels go side by side, none left over."""
    most = max(1, min(count, _WIDE // channels))
    return next(k for k in range(most, 0, -1) if count % k == 0)


@functools.lru_cache(maxsize=256)
def blocks_of(shape):
    """Slices of the rows of a matrix, of about ``_BLOCK`` numbers each."""
    rows, columns = shape
    step = max(1, _BLOCK // columns)
    return [slice(start, start + step) for start in range(0, rows, step)]
