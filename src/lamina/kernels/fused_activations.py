"""Activations on CuPy, alone or with the bias before them: one launch forward, one back.

Nothing here knows an activation's mathematics: the op runs on symbols, and what it does is the text
of the forward kernel; the tape runs back over the same symbols, and that is the text of the other.
So both are the op's own, and a new activation needs no more than its name in `ACTIVATIONS`.
What a pullback keeps is the sum before the activation: the rest is computed again, which costs a
kernel that waits for memory nothing.
"""

import functools
import math

from lamina import ops
from lamina.kernels import convolution_portable, fused_softmax
from lamina.kernels.launching import TRACED, elementwise, fused, type_of, written
from lamina.kernels.tracing import derivative
from lamina.ops.convolution import check_bias

ACTIVATIONS = tuple(
    """celu elu gelu hard_shrink hard_sigmoid hard_silu hard_tanh leaky_relu log_sigmoid mish relu
    relu6 selu sigmoid silu soft_shrink softplus softsign sparse_plus sparse_sigmoid squareplus tanh
    tanh_shrink threshold""".split()
)
"""Those that look at one element; softmax and its kin look at a row. ``exp`` is one already."""

_WITH_BIAS = frozenset((*ACTIVATIONS, "exponential", "linear"))


@functools.lru_cache(maxsize=512)
def _texts(activation, options, biased):
    """(forward, back): ``y`` is ``activation(z + b)``, or its derivative there times ``g``."""
    settings, names = dict(options), ("z", "b") if biased else ("z",)
    bend = getattr(ops, activation)

    def forward(xp, z, b=None):
        return bend(z if b is None else z + b, **settings)

    def back(xp, g, z, b=None):
        return derivative(lambda before: bend(before, **settings), g, z if b is None else z + b)

    return written(forward, *names), written(back, "g", *names)


def _bends(activation, *arrays) -> bool:
    """Whether an activation of arrays of such dtypes may be fused."""
    kind = type_of(*[array for array in arrays if array is not None])
    return activation in _WITH_BIAS and kind is not None


def bent(z, bias, activation, **options):
    """(``activation(z + bias)``, its pullback to z), or None where that is not to be fused.

    Args:
        z: any shape.
        bias: None, or what broadcasts to the shape of z.
        activation: the name of an op.
        options: of that op.
    """
    arrays = {"z": z} if bias is None else {"z": z, "b": bias}
    if not _bends(activation, *arrays.values()):
        return None
    if activation == "linear":
        return (z if bias is None else z + bias), lambda g: g
    try:
        forward, back = _texts(activation, tuple(sorted(options.items())), bias is not None)
    except TRACED:
        return None
    out = elementwise("activation", forward, **arrays)
    return out, lambda g: elementwise("activation_back", back, g=g, **arrays)


def _register(name):
    @fused(name)
    def activation(xp, needs, x, **options):
        done = bent(x, None, name, **options)
        if done is None:
            return NotImplemented
        out, back = done
        return out, lambda g: (back(g),)


for _name in ACTIVATIONS:
    _register(_name)


_BY_ROW = {name: getattr(fused_softmax, name) for name in ("log_softmax", "softmax")}


@fused("dense")
def dense(xp, needs, x, w, bias, *, activation):
    """With g the gradient before the activation: dx = g @ w.T, dw = x.T @ g, db = sum(g)."""
    by_row = _BY_ROW.get(activation)
    before = activation if by_row is None else "linear"
    if x.ndim == 1 or not _bends(before, x, w, bias):
        return NotImplemented
    rows = x if x.ndim == 2 else xp.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))
    done = bent(xp.matmul(rows, w), bias, before)
    if done is not None and by_row is not None:
        done = by_row(xp, (True,), done[0], axis=-1)
    if done is None or done is NotImplemented:
        return NotImplemented
    out, back = done if by_row is None else (done[0], lambda g: done[1](g)[0])
    needs_x, needs_w, needs_bias = needs

    def pullback(g):
        g = back(xp.reshape(g, out.shape))
        dx = xp.reshape(xp.matmul(g, xp.matrix_transpose(w)), x.shape) if needs_x else None
        dw = xp.matmul(xp.matrix_transpose(rows), g) if needs_w else None
        return dx, dw, xp.sum(g, axis=0) if needs_bias else None

    return xp.reshape(out, (*x.shape[:-1], w.shape[1])), pullback


def _convolution(name):
    portable = getattr(convolution_portable, name)

    @fused(name)
    def convolution(xp, needs, x, w, bias, *, activation, data_format, **options):
        """The portable kernel's sums, then bias and activation."""
        if not _bends(activation, x, w, bias):
            return NotImplemented
        options = {**options, "data_format": data_format, "activation": "linear"}
        sums, sums_back = portable(xp, (*needs[:2], False), x, w, None, **options)
        channel = sums.ndim - 1 if data_format == "channels_last" else 1
        check_bias(bias, sums.shape[channel])
        along = tuple(-1 if i == channel else 1 for i in range(sums.ndim))
        done = bent(sums, None if bias is None else xp.reshape(bias, along), activation)
        if done is None:
            return NotImplemented
        out, back = done

        def pullback(g):
            g = back(g)
            dx, dw, _ = sums_back(g)
            others = tuple(i for i in range(g.ndim) if i != channel)
            return dx, dw, xp.sum(g, axis=others) if needs[2] else None

        return out, pullback


for _name in ("conv", "conv_max_pool", "conv_transpose", "depthwise_conv"):
    _convolution(_name)
