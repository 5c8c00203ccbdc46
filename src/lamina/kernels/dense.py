"""The fully connected layer on NumPy: product, bias and activation in one array, in place."""

import numpy as np

from lamina.kernels.activations import FUSED
from lamina.ops._op import kernel


@kernel("dense", "numpy")
def dense(xp, needs, x, w, bias, *, activation):
    if x.ndim == 1 or activation not in FUSED:
        return NotImplemented
    forward, backward = FUSED[activation]
    rows = x if x.ndim == 2 else x.reshape(-1, x.shape[-1])
    z = np.matmul(rows, w)
    if bias is not None:
        z += bias
    out = forward(z)
    needs_x, needs_w, needs_bias = needs

    def pullback(g):
        if x.ndim != 2:
            g = g.reshape(out.shape)
        g = backward(g, out)
        dx = dw = db = None
        if needs_x:
            dx = np.matmul(g, w.T)
            if x.ndim != 2:
                dx = dx.reshape(x.shape)
        if needs_w:
            dw = np.matmul(rows.T, g)
        if needs_bias:
            db = np.add.reduce(g, axis=0)
        return dx, dw, db

    return (out if x.ndim == 2 else out.reshape(*x.shape[:-1], -1)), pullback
