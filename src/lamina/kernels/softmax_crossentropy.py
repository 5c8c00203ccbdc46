"""Softmax and crossentropy in one on NumPy: with respect to the logits the gradient is p - y."""

import numpy as np

from lamina import config
from lamina.ops._op import kernel


@kernel("softmax_crossentropy", "numpy")
def softmax_crossentropy(xp, needs, y_true, logits):
    if needs[0] or logits.ndim != 2 or not logits.size:
        return NotImplemented
    if y_true.ndim != 1 and y_true.shape != logits.shape:
        return NotImplemented
    p = logits - np.maximum.reduce(logits, axis=1, keepdims=True)
    np.exp(p, p)
    p /= np.add.reduce(p, axis=1, keepdims=True)
    low, high = config.epsilon(), 1.0 - config.epsilon()
    if y_true.ndim == 1:
        # the flat places of the true classes; two index arrays would cost twice as much
        places = np.arange(0, p.size, p.shape[1])
        places += y_true
        chosen = p.reshape(-1)[places]
        clipped = np.minimum(np.maximum(chosen, low), high)
        values = -np.log(clipped)
    else:
        clipped = np.minimum(np.maximum(p, low), high)
        values = -np.vecdot(y_true, np.log(clipped))

    def pullback(gradients):
        g, g_probabilities = gradients
        d = np.zeros_like(p) if g is None else _values_back(g)
        if g_probabilities is not None:
            d += (g_probabilities - np.vecdot(g_probabilities, p)[:, None]) * p
        return None, d

    def _values_back(g):
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
