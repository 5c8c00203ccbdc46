"""Crossentropy of a choice among classes on NumPy, with the softmax before it or from logits.

With respect to the logits the gradient is p - y, which is why the two belong together.
"""

import numpy as np

from lamina import config
from lamina.kernels.constants import number, ones, row_starts
from lamina.ops._op import kernel

_SAFE = 40.0  # numbers up to this have an exponential, and sums of them, in every float


def exponentials(z):
    """exp(z - shift) and shift, row by row, where the shift keeps exp from overflowing.

    Where no number can be large the shift is 0: the largest is at most the root of the sum of
    squares, and one product is cheaper than the maximum of every row.
    """
    flat = z.reshape(-1)
    if flat.dot(flat) < _SAFE * _SAFE:
        return np.exp(z), None
    shift = np.maximum.reduce(z, axis=1, keepdims=True)
    e = z - shift
    return np.exp(e, e), shift


@kernel("softmax_crossentropy", "numpy")
def softmax_crossentropy(xp, needs, y_true, logits):
    """With p = softmax(logits): d values / dlogits = p * sum(y_true) - y_true."""
    if needs[0] or logits.ndim != 2 or not logits.size:
        return NotImplemented
    if y_true.ndim != 1 and y_true.shape != logits.shape:
        return NotImplemented
    p, _ = exponentials(logits)
    p /= p.dot(ones((p.shape[1], 1), p.dtype))
    low, high = number(config.epsilon(), p.dtype), number(1.0 - config.epsilon(), p.dtype)
    if y_true.ndim == 1:
        places = row_starts(*p.shape) + y_true  # flat, at half the price of two index arrays
        chosen = p.reshape(-1)[places]
        clipped = np.minimum(np.maximum(chosen, low), high)
        values = np.log(clipped)
        np.negative(values, values)
    else:
        clipped = np.minimum(np.maximum(p, low), high)
        values = -np.vecdot(y_true, np.log(clipped))

    def pullback(gradients):
        g, g_probabilities = gradients
        d = np.zeros_like(p) if g is None else values_back(g)
        if g_probabilities is not None:
            d += (g_probabilities - np.vecdot(g_probabilities, p)[:, None]) * p
        return None, d

    def values_back(g):
        if y_true.ndim == 1:
            g = g * (chosen == clipped)  # where the loss was clipped it has no slope
            d = p * g[:, None]
            d.reshape(-1)[places] -= g
            return d
        kept = y_true * (p == clipped)
        d = p * np.add.reduce(kept, axis=1, keepdims=True)
        d -= kept
        d *= g[:, None]
        return d

    return (values, p), pullback


def from_logits(labels, logits):
    """``log(sum(exp(logits))) - logits[label]`` by row, and its pullback to labels and logits."""
    e, shift = exponentials(logits)
    total = e.dot(ones(e.shape[1], e.dtype))
    places = row_starts(*e.shape) + labels
    values = np.log(total)
    values -= logits.reshape(-1)[places]
    if shift is not None:
        values += shift[:, 0]

    def pullback(g):
        d = e * (g / total)[:, None]
        d.reshape(-1)[places] -= g
        return None, d

    return values, pullback
