"""Normalization on NumPy, which is bound by memory: few passes over what ``Lanes`` lays out."""

import functools
import math
import operator
from typing import NamedTuple

import numpy as np

from lamina.backend import workers
from lamina.kernels import portable_normalization as portable
from lamina.kernels.constants import ones
from lamina.kernels.lanes import blocks_of, for_each, lanes_of
from lamina.ops._op import kernel

_NEAR = 8.0  # times the variance that the square of a mean may be, for sums as they are
_KINDS = "fd"  # the floats that NumPy computes in


@kernel("batch_normalization", "numpy")
def batch_normalization(xp, needs, x, gamma, beta, *, axis, epsilon, exchange):
    """With c = x - mean, a = gamma / s and n numbers to a channel:

        dx = a * (g - sum(g) / n - c * sum(g * c) / (n * s**2))
        dgamma = sum(g * c) / s
        dbeta = sum(g)

    Of a shard of a batch mean, s, n and the sums in dx are the batch's; dgamma and dbeta are its
    own share, which the training loop adds to those of the other shards.
    """
    if not _serves(x, axis, gamma, beta):
        return portable.batch_normalization(
            xp, needs, x, gamma, beta, axis=axis, epsilon=epsilon, exchange=exchange
        )
    exchange = exchange or _alone
    shard = _Shard(x, axis)
    scales = functools.partial(_scales, gamma, beta, epsilon)
    # a pass less each way is worth trying first without taking the mean off
    found = exchange("moments", shard.moments(), functools.partial(scales, is_last=False))
    mean = found.mean
    if not found.is_near:
        shard.start_from(mean)
        found = exchange("moments from the mean on", shard.moments(), scales)
        mean = mean + found.mean
    out = shard.scaled(found.factor, found.shift)

    def pullback(gradients):
        g, *of_statistics = gradients
        g = shard.matrix(g)
        own = shard.sums(g)
        dx = None
        if needs[0]:
            slopes = functools.partial(_slopes, found)
            dx = shard.combined(g, *exchange("gradients", (own, *of_statistics), slopes))
        total, dot = own
        d_gamma = (dot - found.mean * total) * found.inverse if needs[1] else None
        return dx, d_gamma, total if needs[2] else None

    return (out, mean, found.variance), pullback


def _serves(x, axis, *vectors) -> bool:
    """Whether x is of floats that NumPy computes in, and every vector, or None, of its channels."""
    if not x.size or x.dtype.char not in _KINDS:
        return False
    return all(vector is None or vector.shape == (x.shape[axis],) for vector in vectors)


def _alone(key, value, work):
    """``exchange`` for a batch that is its own only shard."""
    return work([value])[0]


class _Scales(NamedTuple):
    """What normalizes a batch, whose numbers are taken as its shards see them.

    Attributes:
        n: numbers to a channel.
        mean, variance: of these.
        is_near: whether the variance has lost no digits, since no mean is more than a few standard
            deviations from 0.
        inverse: one divided by the deviation; like the rest None where numbers are looked at again.
        factor, shift: ``number * factor + shift`` is the result.
    """

    n: int
    mean: np.ndarray
    variance: np.ndarray
    is_near: bool
    inverse: np.ndarray | None = None
    factor: np.ndarray | None = None
    shift: np.ndarray | None = None


def _scales(gamma, beta, epsilon, found, is_last=True):
    """The same for every shard, from the (n, sums and sums of squares) of all of them."""
    n = sum(count for count, _ in found)
    mean, square = _sum([sums for _, sums in found]) / n
    with workers.quiet():
        mean_squared = mean * mean
        variance = square - mean_squared
        is_near = bool(np.logical_and.reduce(mean_squared <= _NEAR * variance))
    if not (is_near or is_last):
        return [_Scales(n, mean, variance, is_near)] * len(found)
    variance = np.maximum(variance, 0.0)
    inverse = 1.0 / np.sqrt(variance + epsilon)
    factor = inverse if gamma is None else gamma * inverse
    shift = mean * -factor
    if beta is not None:
        shift += beta
    return [_Scales(n, mean, variance, is_near, inverse, factor, shift)] * len(found)


def _slopes(scales, found):
    """For every shard what ``combined`` takes, from the sums and gradients of all of them."""
    own, of_mean, of_variance = zip(*found)
    n, mean, factor = scales.n, scales.mean, scales.factor
    less, tilt = _sum(own) / -n
    slope = (tilt - mean * less) * scales.inverse * scales.inverse
    level = less - mean * slope
    of_mean, of_variance = _sum(of_mean), _sum(of_variance)
    if of_mean is None and of_variance is None:
        return [(factor, slope, level)] * len(found)
    more = np.zeros_like(mean) if of_variance is None else of_variance * (2.0 / n)
    base = -mean * more
    if of_mean is not None:
        base = base + of_mean / n
    return [(factor, slope, level, more, base)] * len(found)


def _sum(values):
    """The sum, in order, of those that are not None; None where none is."""
    found = [value for value in values if value is not None]
    return functools.reduce(operator.add, found) if found else None


class _Shard:
    """A shard of a batch, seen as a matrix, and the passes over its blocks."""

    def __init__(self, x, axis):
        self._shape = x.shape
        self._lanes = lanes_of(x, axis)
        self._rows = self._lanes.matrix(x)
        self._starts = [[None]] * len(self._lanes.blocks)

    def start_from(self, mean):
        """From now on take numbers by their distance from ``mean``, by channel."""
        self._starts = self._lanes.spread(mean)

    def _seen(self, i, block):
        """What the lanes' passes take first: numbers, and where they start from."""
        return self._rows[block], *self._starts[i]

    def matrix(self, g):
        """A gradient as the shard is seen; None stands for zeros."""
        return np.zeros_like(self._rows) if g is None else self._lanes.matrix(g)

    def moments(self):
        """(how many numbers a channel has, their sums and the sums of their squares)."""
        lanes = self._lanes
        return lanes.count, lanes.totals(lanes.each(lambda i, b: lanes.moments(*self._seen(i, b))))

    def sums(self, g):
        """Sums of ``g``, and of the numbers times ``g``."""
        lanes = self._lanes
        run = lambda i, b: lanes.matched_sums(*self._seen(i, b), g[b])
        return lanes.totals(lanes.each(run))

    def scaled(self, factor, shift):
        """``numbers * factor + shift``."""
        lanes, out = self._lanes, np.empty_like(self._rows)
        scales = lanes.spread(factor, shift)
        lanes.each(lambda i, b: lanes.scaled(*self._seen(i, b), *scales[i], out[b]))
        return out.reshape(self._shape)

    def combined(self, g, factor, slope, level, *more):
        """``(numbers * slope + level + g) * factor``, plus ``numbers * more[0] + more[1]``."""
        lanes, dx = self._lanes, np.empty_like(self._rows)
        scales, others = lanes.spread(factor, slope, level), lanes.spread(*more) if more else None

        def run(i, block):
            lanes.combined(*self._seen(i, block), g[block], *scales[i], dx[block])
            if more:
                added = np.empty_like(dx[block])
                lanes.scaled(*self._seen(i, block), *others[i], added)
                dx[block] += added

        lanes.each(run)
        return dx.reshape(self._shape)


@kernel("standardize", "numpy")
def standardize(xp, needs, x, mean, variance, gamma, beta, *, axis, epsilon):
    """``x * factor + shift``: two passes."""
    if not _serves(x, axis, mean, variance, gamma, beta):
        return portable.standardize(
            xp, needs, x, mean, variance, gamma, beta, axis=axis, epsilon=epsilon
        )
    lanes = lanes_of(x, axis)
    rows = lanes.matrix(x)
    out = np.empty_like(rows)
    inverse = 1.0 / np.sqrt(variance + epsilon)
    factor = inverse if gamma is None else gamma * inverse
    shift = -mean * factor if beta is None else beta - mean * factor
    scales = lanes.spread(factor, shift)
    lanes.each(lambda i, b: lanes.scaled(rows[b], None, *scales[i], out[b]))

    def pullback(g):
        g = lanes.matrix(g)
        dx = d_mean = d_variance = d_gamma = d_beta = None
        if needs[0]:
            dx = np.empty_like(rows)
            lanes.each(lambda i, b: lanes.scaled(g[b], None, scales[i][0], None, dx[b]))
            dx = dx.reshape(x.shape)
        if any(needs[1:]):
            means = lanes.spread(mean)
            sums = lanes.each(lambda i, b: lanes.matched_sums(rows[b], *means[i], g[b]))
            d_beta, dot = lanes.totals(sums)
            d_mean = -factor * d_beta
            d_gamma = dot * inverse
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
    n = math.prod(x.shape[first:])
    shape = (x.size // n, n)
    rows = x.reshape(shape)
    blocks = blocks_of(shape)
    whitened, out = np.empty_like(rows), np.empty_like(rows)
    inverse = np.empty((shape[0], 1), x.dtype)
    unit = ones((n, 1), x.dtype)
    factor = None if gamma is None else gamma.reshape(n)
    shift = None if beta is None else beta.reshape(n)

    def forward(_, block):
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

    for_each(blocks, x.size, forward)

    def pullback(g):
        g = g.reshape(shape)
        dx = np.empty_like(rows) if needs[0] else None
        d_gammas, d_betas = [None] * len(blocks), [None] * len(blocks)

        def back(i, block):
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

        for_each(blocks, x.size, back)
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
