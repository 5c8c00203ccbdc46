"""Normalization on NumPy, which is bound by memory: few passes, block by block in the cache.

What was measured: a vector spread over a matrix of 16 columns costs three times what it costs over
one of 512, since every row begins a loop of its own; so channels that lie last are seen as several
samples side by side, and the vector is repeated. Rows of 4 KiB and more cost twice as much again,
where those of several arrays fall on the same places in the cache. Sums go by block too, each in
its own place, which keeps them independent of the number of threads, and more precise than one
long sum.
"""

import functools
import operator

import numpy as np

from lamina.backend import workers
from lamina.kernels import portable_normalization as portable
from lamina.kernels.constants import ones
from lamina.ops._op import kernel

_WIDE = 512  # columns up to which samples are put side by side
_BLOCK = 1 << 18  # numbers that are worked on together
_SHARED = 1 << 20  # numbers from which on threads share the blocks
_NEAR = 8.0  # times the variance that the square of a mean may be, for sums as they are
_KINDS = "fd"  # the floats that NumPy computes in


class _Lanes:
    """x as a matrix in which every channel has columns of its own, or rows of its own.

    Attributes:
        count: how many numbers a channel has.
        shape: of the matrix.
        blocks: slices of its rows.
    """

    def __init__(self, x, axis):
        axis = axis % x.ndim
        self.channels = x.shape[axis]
        self.count = x.size // self.channels
        self._last = x.size // max(1, _product(x.shape[: axis + 1])) == 1
        if self._last:
            self._copies = _side_by_side(self.count, self.channels)
            self.shape = (self.count // self._copies, self._copies * self.channels)
        else:
            self._copies = _product(x.shape[:axis])
            self.shape = (self._copies * self.channels, x.size // self._copies // self.channels)
        self._shared = x.size >= _SHARED
        self.blocks = _blocks(self.shape)

    def spread(self, vector):
        """For each block, a number per channel in the shape that spreads over it."""
        wide = np.empty((self._copies, self.channels), vector.dtype)
        wide[...] = vector
        wide = wide.reshape(-1)
        if self._last:
            return [wide] * len(self.blocks)
        return [wide[block, None] for block in self.blocks]

    def totals(self, parts):
        """One sum per channel, from those of the blocks."""
        if len(parts) == 1:
            (whole,) = parts
        else:
            whole = np.add.reduce(parts, 0) if self._last else np.concatenate(parts)
        return np.add.reduce(whole.reshape(self._copies, self.channels), 0)

    def sums(self, block):
        """Sums of a block along its rows, or columns."""
        if self._last:
            return ones(len(block), block.dtype).dot(block)
        return np.add.reduce(block, 1)

    def dots(self, one, other):
        """Sums of products of two blocks."""
        return np.einsum("ij,ij->j" if self._last else "ij,ij->i", one, other)

    def each(self, work):
        """``work(number, slice)`` for every block; what it returns, in order."""
        results = [None] * len(self.blocks)

        def run(i):
            results[i] = work(i, self.blocks[i])

        _for_each(run, len(self.blocks), self._shared)
        return results


@kernel("batch_normalization", "numpy")
def batch_normalization(xp, needs, x, gamma, beta, *, axis, epsilon, exchange):
    """With c = x - mean, a = gamma / s and n numbers to a channel:

        dx = a * (g - sum(g) / n - c * sum(g * c) / (n * s**2))
        dgamma = sum(g * c) / s
        dbeta = sum(g)

    Of a shard of a batch mean, s, n and the sums in dx are the batch's; dgamma and dbeta are its
    own share, which the training loop adds to those of the other shards.
    """
    if not x.size or x.dtype.char not in _KINDS:
        return portable.batch_normalization(
            xp, needs, x, gamma, beta, axis=axis, epsilon=epsilon, exchange=exchange
        )
    exchange = exchange or _alone
    shard = _Shard(x, axis)
    n, mean, off, variance = _statistics(shard, exchange)
    inverse = 1.0 / np.sqrt(variance + epsilon)
    factor = inverse if gamma is None else gamma * inverse
    shift = -off * factor if beta is None else beta - off * factor
    out = shard.scaled(factor, shift)

    def pullback(gradients):
        g, of_mean, of_variance = gradients
        g = shard.matrix(g)
        total = shard.sums(g)
        dot = shard.dots(g) - off * total
        dx = None
        if needs[0]:  # g * factor + distance * slope + level
            own = total, dot, of_mean, of_variance
            total_of_all, dot_of_all, of_mean, of_variance = exchange("gradients", own, _added)
            slope = dot_of_all * (inverse * inverse * factor / -n) + of_variance * (2.0 / n)
            level = total_of_all * (factor / -n) + of_mean * (1.0 / n) - off * slope
            dx = shard.combined(g, factor, slope, level)
        return dx, dot * inverse if needs[1] else None, total if needs[2] else None

    return (out, mean, variance), pullback


def _alone(key, value, work):
    """``exchange`` for a batch that is its own only shard."""
    return work([value])[0]


def _statistics(shard, exchange):
    """(n, mean, the mean of the numbers as the shard sees them, variance), of the whole batch.

    Numbers are taken as they are, a pass less each way, where that loses no digits: where no mean
    is more than a few standard deviations from 0. Otherwise they are taken from the mean on.
    """
    n, mean, variance, is_near = exchange("moments", shard.moments(), _moments)
    if is_near:
        return n, mean, mean, variance
    shard.start_from(mean)
    n, off, variance, _ = exchange("moments from the mean on", shard.moments(), _moments)
    return n, mean + off, off, np.maximum(variance, 0.0)


def _moments(found):
    """For every shard (n, mean, variance, whether all means are near 0), of all of them."""
    n, sums, squares = _total(found)
    mean = sums / n
    with workers.quiet():
        variance = squares / n - mean * mean
        is_near = bool((mean * mean <= _NEAR * variance).all())
    return [(n, mean, variance, is_near)] * len(found)


def _added(found):
    """For every shard the sums, over all of them, of what each has found."""
    return [_total(found)] * len(found)


def _total(found):
    return tuple(map(_sum, zip(*found)))


class _Shard:
    """A shard of a batch, seen as a matrix, and the passes over its blocks."""

    def __init__(self, x, axis):
        self._shape = x.shape
        self._lanes = lanes = _Lanes(x, axis)
        self._starts = None
        self.rows = x.reshape(lanes.shape)

    def start_from(self, mean):
        """From now on take numbers by their distance from ``mean``, by channel."""
        self._starts = self._lanes.spread(mean)

    def _seen(self, i, block):
        rows = self.rows[block]
        return rows if self._starts is None else rows - self._starts[i]

    def matrix(self, g):
        """A gradient as the shard is seen; None stands for zeros."""
        return np.zeros_like(self.rows) if g is None else g.reshape(self.rows.shape)

    def sums(self, g):
        lanes = self._lanes
        return lanes.totals(lanes.each(lambda i, block: lanes.sums(g[block])))

    def dots(self, g):
        """Sums of the numbers times ``g``."""
        lanes = self._lanes
        return lanes.totals(lanes.each(lambda i, b: lanes.dots(g[b], self._seen(i, b))))

    def moments(self):
        """(how many numbers a channel has, their sums, the sums of their squares)."""
        lanes = self._lanes

        def run(i, block):
            seen = self._seen(i, block)
            return lanes.sums(seen), lanes.dots(seen, seen)

        sums, squares = zip(*lanes.each(run))
        return lanes.count, lanes.totals(sums), lanes.totals(squares)

    def scaled(self, factor, shift):
        """``numbers * factor + shift``."""
        lanes, out = self._lanes, np.empty_like(self.rows)
        factors, shifts = lanes.spread(factor), lanes.spread(shift)

        def run(i, block):
            part = np.multiply(self._seen(i, block), factors[i], out=out[block])
            part += shifts[i]

        lanes.each(run)
        return out.reshape(self._shape)

    def combined(self, g, factor, slope, level):
        """``g * factor + numbers * slope + level``."""
        lanes, dx = self._lanes, np.empty_like(self.rows)
        factors, slopes, levels = map(lanes.spread, (factor, slope, level))

        def run(i, block):
            part = np.multiply(self._seen(i, block), slopes[i], out=dx[block])
            part += levels[i]
            part += g[block] * factors[i]

        lanes.each(run)
        return dx.reshape(self._shape)


def _sum(values):
    """The sum, in order, of those that are not None; 0.0 where none is."""
    found = [value for value in values if value is not None]
    return functools.reduce(operator.add, found) if found else 0.0


@kernel("standardize", "numpy")
def standardize(xp, needs, x, mean, variance, gamma, beta, *, axis, epsilon):
    """``x * factor + shift``: two passes."""
    if not x.size or x.dtype.char not in _KINDS:
        return portable.standardize(
            xp, needs, x, mean, variance, gamma, beta, axis=axis, epsilon=epsilon
        )
    lanes = _Lanes(x, axis)
    rows = x.reshape(lanes.shape)
    out = np.empty_like(rows)
    inverse = 1.0 / np.sqrt(variance + epsilon)
    factor = inverse if gamma is None else gamma * inverse
    shift = -mean * factor if beta is None else beta - mean * factor
    factors, shifts = lanes.spread(factor), lanes.spread(shift)

    def scale(i, block):
        part = np.multiply(rows[block], factors[i], out=out[block])
        part += shifts[i]

    lanes.each(scale)

    def pullback(g):
        g = g.reshape(lanes.shape)
        dx = d_mean = d_variance = d_gamma = d_beta = None
        if needs[0]:
            dx = np.empty_like(rows)
            lanes.each(lambda i, b: np.multiply(g[b], factors[i], out=dx[b]))
            dx = dx.reshape(x.shape)
        if needs[1] or needs[4]:
            d_beta = lanes.totals(lanes.each(lambda i, b: lanes.sums(g[b])))
            d_mean = -factor * d_beta
        if needs[2] or needs[3]:
            means = lanes.spread(mean)
            dots = lanes.each(lambda i, b: lanes.dots(g[b], rows[b] - means[i]))
            d_gamma = lanes.totals(dots) * inverse
            d_variance = d_gamma * factor * inverse * -0.5
        return dx, d_mean, d_variance, d_gamma, d_beta

    return out.reshape(x.shape), pullback


@kernel("layer_normalization", "numpy")
def layer_normalization(xp, needs, x, gamma, beta, *, axis, epsilon):
    """Over the last axes: every block of rows in one go."""
    first = _first_of_last(x, axis)
    if first is None or not x.size or x.dtype.char not in _KINDS:
        return portable.layer_normalization(xp, needs, x, gamma, beta, axis=axis, epsilon=epsilon)
    return _by_rows(needs, x, gamma, beta, first, epsilon, centre=True)


@kernel("rms_normalization", "numpy")
def rms_normalization(xp, needs, x, gamma, *, axis, epsilon):
    """Over the last axes: every block of rows in one go."""
    first = _first_of_last(x, axis)
    if first is None or not x.size or x.dtype.char not in _KINDS:
        return portable.rms_normalization(xp, needs, x, gamma, axis=axis, epsilon=epsilon)
    out, pullback = _by_rows((*needs, False), x, gamma, None, first, epsilon, centre=False)
    return out, lambda g: pullback(g)[:2]


def _by_rows(needs, x, gamma, beta, first, epsilon, centre):
    """Every row divided by the root of its mean square, before which its mean may be taken off."""
    n = _product(x.shape[first:])
    shape = (x.size // n, n)
    rows = x.reshape(shape)
    blocks = _blocks(shape)
    shared = x.size >= _SHARED
    whitened, out = np.empty_like(rows), np.empty_like(rows)
    inverse = np.empty((shape[0], 1), x.dtype)
    unit = ones((n, 1), x.dtype)
    factor = None if gamma is None else gamma.reshape(n)
    shift = None if beta is None else beta.reshape(n)

    def forward(i):
        block = blocks[i]
        w = whitened[block]
        if centre:
            np.subtract(rows[block], rows[block].dot(unit) / n, out=w)
        else:
            w[...] = rows[block]
        square = np.einsum("ij,ij->i", w, w)[:, None] / n
        w *= np.divide(1.0, np.sqrt(square + epsilon), out=inverse[block])
        part = out[block]
        if factor is None:
            part[...] = w
        else:
            np.multiply(w, factor, out=part)
        if shift is not None:
            part += shift

    _for_each(forward, len(blocks), shared)

    def pullback(g):
        g = g.reshape(shape)
        dx = np.empty_like(rows) if needs[0] else None
        d_gammas, d_betas = [None] * len(blocks), [None] * len(blocks)

        def back(i):
            block = blocks[i]
            w, grown = whitened[block], g[block]
            if needs[1]:
                d_gammas[i] = np.einsum("ij,ij->j", grown, w)
            if needs[2]:
                d_betas[i] = np.add.reduce(grown, 0)
            if needs[0]:
                if factor is not None:
                    grown = grown * factor
                part = np.multiply(w, np.einsum("ij,ij->i", grown, w)[:, None] / -n, out=dx[block])
                part += grown
                if centre:
                    part -= grown.dot(unit) / n
                part *= inverse[block]

        _for_each(back, len(blocks), shared)
        return (
            dx.reshape(x.shape) if needs[0] else None,
            np.add.reduce(d_gammas, 0).reshape(gamma.shape) if needs[1] else None,
            np.add.reduce(d_betas, 0).reshape(beta.shape) if needs[2] else None,
        )

    return out.reshape(x.shape), pullback


def _first_of_last(x, axis):
    """The first of the axes where they are the last ones of x, else None."""
    over = portable.axes_of(axis, x.ndim)
    return over[0] if over == tuple(range(over[0], x.ndim)) else None


def _for_each(run, parts, shared):
    if shared and parts > 1:
        workers.run(run, parts)
    else:
        for i in range(parts):
            run(i)


def _product(shape):
    size = 1
    for n in shape:
        size *= n
    return size


@functools.lru_cache(maxsize=256)
def _side_by_side(count, channels):
    """How many of ``count`` rows of so many channels go side by side, none left over."""
    most = max(1, min(count, _WIDE // channels))
    return next(k for k in range(most, 0, -1) if count % k == 0)


@functools.lru_cache(maxsize=256)
def _blocks(shape):
    """Slices of the rows of a matrix, of about ``_BLOCK`` numbers each."""
    rows, columns = shape
    step = max(1, _BLOCK // columns)
    return [slice(start, start + step) for start in range(0, rows, step)]
