"""The fully connected layer on NumPy: product, bias and activation in one array, in place."""

from lamina.kernels.activations import FUSED
from lamina.kernels.constants import ones
from lamina.ops._op import kernel


@kernel("dense", "numpy")
def dense(xp, needs, x, w, bias, *, activation):
    """With g the gradient before the activation: dx = g @ w.T, dw = x.T @ g, db = sum(g)."""
    if x.ndim == 1 or activation not in FUSED:
        return NotImplemented
    forward, backward = FUSED[activation]
    rows = x if x.ndim == 2 else x.reshape(-1, x.shape[-1])
    out = rows.dot(w)  # for matrices the same product as matmul, at half the price of the call
    if bias is not None:
        out += bias
    out = forward(out)
    needs_x, needs_w, needs_bias = needs

    def pullback(g):
        if x.ndim != 2:
            g = g.reshape(out.shape)
        g = backward(g, out)
        dx = dw = db = None
        if needs_x:
            dx = g.dot(w.T)
            if x.ndim != 2:
                dx = dx.reshape(x.shape)
        if needs_w:
            dw = rows.T.dot(g)
        if needs_bias:
            db = ones(len(g), g.dtype).dot(g)
        return dx, dw, db

    return (out if x.ndim == 2 else out.reshape(*x.shape[:-1], -1)), pullback
