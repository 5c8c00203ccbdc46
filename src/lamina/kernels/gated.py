"""Activations of the form x times a gate between 0 and 1, on NumPy: silu and gelu."""

import math

import numpy as np

from lamina.kernels.activations import is_floating, sigmoid
from lamina.ops._op import kernel
from lamina.ops.special import erf

_ROOT_2_PI = math.sqrt(2.0 / math.pi)
_CUBE = 0.044715

# The normal distribution's share beyond a >= 0 is exp(-a**2 / 2) * (c1 * t + ... + c8 * t**8) with
# t = 1 / (1 + p * a). p and c are a least-squares fit over [0, 14]: relative error below 1e-7.
_P = 0.305
_C = (
    0.121639685, 0.122467548, 0.103416304, 0.121036659, -0.0380049016, 0.185747065, -0.153005593,
    0.0367032797,
)  # fmt: skip


@kernel("silu", "numpy")
def silu(xp, needs, x):
    """With s = sigmoid(x): out = x * s, d out / dx = s + out * (1 - s)."""
    if not is_floating(x):
        return NotImplemented
    s = sigmoid(x, np.empty_like(x))
    out = x * s

    def pullback(g):
        d = 1.0 - s
        d *= out
        d += s
        d *= g
        return (d,)

    return out, pullback


@kernel("gelu", "numpy")
def gelu(xp, needs, x, *, approximate):
    """With the share below x and the density: d out / dx = share + x * density."""
    if not is_floating(x):
        return NotImplemented
    near = np.clip(x, -10.0, 10.0)  # beyond, the share is 0 or 1, and no power overflows
    return _by_tanh(x, near) if approximate else _exact(x, near)


def _exact(x, near):
    bell = near * near
    bell *= -0.5
    bell = np.exp(bell)
    share = _share(near, bell)
    out = x * share

    def pullback(g):
        d = near * bell
        d *= math.sqrt(0.5 / math.pi)
        d += share
        d *= g
        return (d,)

    return out, pullback


def _share(x, bell):
    """The normal distribution's share below x; ``bell`` is exp(-x**2 / 2)."""
    if x.dtype == np.float64:
        share = erf(x * math.sqrt(0.5))
        share += 1.0
        share *= 0.5
        return share
    a = np.abs(x)
    a *= _P
    a += 1.0
    t = 1.0 / a
    beyond = t * _C[-1]
    for c in _C[-2::-1]:
        beyond += c
        beyond *= t
    beyond *= bell
    beyond = 0.5 - beyond
    beyond = np.copysign(beyond, x)
    beyond += 0.5
    return beyond


def _by_tanh(x, near):
    square = near * near
    inner = square * (_ROOT_2_PI * _CUBE)
    inner += _ROOT_2_PI
    inner *= near
    gate = np.tanh(inner)
    gate += 1.0
    gate *= 0.5
    out = x * gate

    def pullback(g):
        d = square * (6.0 * _ROOT_2_PI * _CUBE)  # twice the derivative of inner
        d += 2.0 * _ROOT_2_PI
        d *= 1.0 - gate
        d *= gate
        d *= near
        d += gate
        d *= g
        return (d,)

    return out, pullback
