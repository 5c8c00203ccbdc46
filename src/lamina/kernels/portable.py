"""Activations in array-API code, for every library that has no kernel of its own.

One node on the tape and a handful of passes: on a GPU each pass is a launch, and the launches are
what costs.
"""

import math

from lamina.ops._halves import is_half
from lamina.ops._op import kernel
from lamina.ops.special import erf


def _sigmoid(xp, x):
    e = xp.exp(-xp.abs(x))
    return xp.where(x < 0, e, 1.0) / (1.0 + e)


@kernel("sigmoid")
def sigmoid(xp, needs, x):
    """d out / dx = out * (1 - out)."""
    out = _sigmoid(xp, x)
    return out, lambda g: (g * out * (1.0 - out),)


@kernel("silu")
def silu(xp, needs, x):
    """With s = sigmoid(x): d out / dx = s + out * (1 - s)."""
    s = _sigmoid(xp, x)
    out = x * s
    return out, lambda g: (g * (s + out * (1.0 - s)),)


@kernel("elu")
def elu(xp, needs, x, *, alpha):
    """d out / dx = 1 where x > 0, else out + alpha."""
    positive = x > 0
    low = alpha * xp.expm1(xp.where(positive, 0.0, x))
    return xp.where(positive, x, low), lambda g: (xp.where(positive, g, g * (low + alpha)),)


@kernel("gelu")
def gelu(xp, needs, x, *, approximate):
    """With the share below x and the density: d out / dx = share + x * density."""
    near = xp.clip(x, -10.0, 10.0)
    if approximate:
        a, b = math.sqrt(2.0 / math.pi), 0.044715
        gate = 0.5 + 0.5 * xp.tanh(near * (a + (a * b) * near * near))
        return x * gate, lambda g: (
            g * (gate + near * gate * (1.0 - gate) * (2.0 * a + (6.0 * a * b) * near * near)),
        )
    share = 0.5 + 0.5 * erf(near * math.sqrt(0.5))
    density = math.sqrt(0.5 / math.pi)
    return x * share, lambda g: (g * (share + density * near * xp.exp(-0.5 * near * near)),)


@kernel("softmax")
def softmax(xp, needs, x, *, axis):
    """The gradient is (g - sum(g * out)) * out."""
    if is_half(x.dtype):
        return NotImplemented
    e = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
    out = e / xp.sum(e, axis=axis, keepdims=True)
    return out, lambda g: ((g - xp.sum(g * out, axis=axis, keepdims=True)) * out,)


@kernel("log_softmax")
def log_softmax(xp, needs, x, *, axis):
    """The gradient is g - softmax(x) * sum(g)."""
    if is_half(x.dtype):
        return NotImplemented
    z = x - xp.max(x, axis=axis, keepdims=True)
    out = z - xp.log(xp.sum(xp.exp(z), axis=axis, keepdims=True))
    return out, lambda g: (g - xp.exp(out) * xp.sum(g, axis=axis, keepdims=True),)
