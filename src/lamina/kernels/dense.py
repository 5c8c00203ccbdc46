"""The fully connected layer on NumPy: product, bias and activation in one array, in place.

NumPy's own product of half precision is two hundred times slower than one of float32. So half
precision is computed in float32 and rounded at the end, as the units of a GPU do.
"""

import numpy as np

from lamina.kernels.activations import FUSED, WIDENING, bent_in_a_loop
from lamina.kernels.constants import ones
from lamina.ops._op import kernel


@kernel("dense", "numpy")
def dense(xp, needs, x, w, bias, *, activation):
    """With g the gradient before the activation: dx = g @ w.T, dw = x.T @ g, db = sum(g)."""
    pair = FUSED.get(activation)
    if x.ndim == 1 or pair is None:
        return NotImplemented
    if x.itemsize == 2 and x.dtype == np.float16:
        return _of_halves(xp, needs, (x, w, bias), activation)
    forward, backward = pair
    bent = activation != "linear"
    matrix = x.ndim == 2
    rows = x if matrix else x.reshape(-1, x.shape[-1])
    out = rows.dot(w)  # for matrices the same product as matmul, at half the price of the call
    if not bent_in_a_loop(out, bias, activation):
        if bias is not None:
            out += bias
        if bent:
            out = forward(out)
    needs_x, needs_w, needs_bias = needs

    def pullback(g):
        if not matrix:
            g = g.reshape(out.shape)
        if bent:
            g = backward(g, out)
        dx = dw = db = None
        if needs_x:
            dx = g.dot(w.T)
            if not matrix:
                dx = dx.reshape(x.shape)
        if needs_w:
            dw = rows.T.dot(g)
        if needs_bias:
            db = ones(len(g), g.dtype).dot(g)
        return dx, dw, db

    return (out if matrix else out.reshape(*x.shape[:-1], w.shape[1])), pullback


def _of_halves(xp, needs, arrays, activation):
    wide = [None if a is None else a.astype(np.float32) for a in arrays]
    out, pullback = dense(xp, needs, *wide, activation=activation)

    def rounded(g):
        found = pullback(g.astype(np.float32, copy=False))
        return [None if d is None else d.astype(np.float16) for d in found]

    return (out if activation in WIDENING else out.astype(np.float16)), rounded
