"""Convolutions on NumPy: matrix products of what the windows see, which ``gathering.py`` makes."""

import math

import numpy as np

from lamina.kernels.activations import FUSED, bent_in_a_loop, is_floating
from lamina.kernels.constants import ones
from lamina.kernels.depthwise import depthwise_parts
from lamina.kernels.gathering import laid_back, over_windows
from lamina.kernels.layouts import Signal
from lamina.kernels.windows import from_the_other_side
from lamina.ops._op import kernel
from lamina.ops.convolution import check_bias, conv_windows, depthwise_windows, image_windows

_NEARLY = 1.25  # times as many positions as windows up to which multiplying zeros is cheaper


@kernel("conv", "numpy")
def conv(
    xp, needs, x, w, bias, *, strides, padding, dilation_rate, groups, data_format, activation
):
    """With g the gradient before the activation: dw = columns.T @ g, dx[seen by j] += g @ w[j].T"""
    if not serves(x, w, data_format, activation):
        return NotImplemented
    win = conv_windows(x, w, strides, padding, dilation_rate, groups, data_format)
    out, back = convolved(last(x, data_format), w, win, groups, finisher(bias, activation))
    return finished(out, back, needs, w.shape, data_format, activation)


@kernel("conv_transpose", "numpy")
def conv_transpose(
    xp, needs, x, w, bias, *, strides, padding, output_padding, dilation_rate, data_format,
    activation,
):  # fmt: skip
    """The same three products as for ``conv``, with image and windows in each other's place."""
    if not serves(x, w, data_format, activation):
        return NotImplemented
    win = image_windows(x, w, strides, padding, output_padding, dilation_rate, data_format)
    x = last(x, data_format)
    out = _laid(np.ascontiguousarray(x), w, win)
    finisher(bias, activation)(out)(out)

    def back(g, needs_x, needs_w):
        dx = np.empty(x.shape, x.dtype) if needs_x else None
        return dx, over_windows(g, w, win, out=dx, other=x if needs_w else None)

    return finished(out, back, needs, w.shape, data_format, activation)


@kernel("depthwise_conv", "numpy")
def depthwise_conv(
    xp, needs, x, w, bias, *, strides, padding, dilation_rate, data_format, activation
):
    """dx[seen by j] += g * w[j], dw[j] = sum(x[seen by j] * g), channel by channel."""
    if not serves(x, w, data_format, activation):
        return NotImplemented
    win = depthwise_windows(x, w, strides, padding, dilation_rate, data_format)
    out, back = depthwise_parts(last(x, data_format), w, win, finisher(bias, activation))
    return finished(out, back, needs, w.shape, data_format, activation)


# ---- what all convolutions share ----------------------------------------------------------------


def serves(x, w, data_format, activation) -> bool:
    """Whether these kernels are for such arguments."""
    if activation not in FUSED or not is_floating(x) or getattr(w, "dtype", None) != x.dtype:
        return False
    # softmaxes are along the last axis of what is asked for
    return data_format == "channels_last" or "softmax" not in activation


def last(x, data_format):
    """A view with the channels as the last axis."""
    return x if data_format == "channels_last" else np.moveaxis(x, 1, -1)


def asked(x, data_format):
    """A view, in the format asked for, of what has its channels last."""
    return x if data_format == "channels_last" else np.moveaxis(x, -1, 1)


def finished(out, back, needs, w_shape, data_format, activation):
    """A kernel's answer: ``out``, and the pullback around ``back``.

    ``back(g, needs_x, needs_w)`` gives the gradients of x, channels last, and of w, in any shape.
    """
    backward = FUSED[activation][1]
    kept, dtype = None if activation == "linear" else out, out.dtype
    needs_x, needs_w, needs_bias = needs

    def pullback(g):
        g = np.ascontiguousarray(last(g, data_format), dtype)
        if kept is not None:
            g = backward(g, kept)
        rows = g.reshape(-1, g.shape[-1])
        db = ones(len(rows), g.dtype).dot(rows) if needs_bias else None
        dx, dw = back(g, needs_x, needs_w)
        if needs_x:
            dx = asked(dx, data_format)
        return dx, dw.reshape(w_shape) if needs_w else None, db

    return asked(out, data_format), pullback


def finisher(bias, activation):
    """``finisher(out)`` gives what adds bias and activation, in place, to a part of ``out``.

    The bias is repeated along the row, since a loop over a few channels costs more than its work.
    """
    forward = FUSED[activation][0]

    def finish_of(out):
        check_bias(bias, out.shape[-1])
        along = bias
        if bias is not None and out.ndim > 3:
            along = np.empty(out.shape[-2:], out.dtype)
            along[...] = bias

        def finish(part):
            if bent_in_a_loop(part, bias, activation):
                return
            if along is not None:
                part += along
            if activation != "linear":
                forward(part)

        return finish

    return finish_of


# ---- products -----------------------------------------------------------------------------------


def convolved(x, w, win, groups, finisher=None):
    """The windows on x (channels last) summed and finished, and what gives the gradients."""
    if groups == 1:
        return _gathered(x, w, win, finisher)
    if w.shape[-2] == 1:
        each = w.reshape(*win.size, groups, w.shape[-1] // groups)
        return depthwise_parts(x, each, win, finisher)
    out, back = _in_groups(x, w, win, groups)
    if finisher:
        finisher(out)(out)
    return out, back


def _gathered(x, w, win, finisher=None):
    """The windows on x summed and finished, and ``back``."""
    out = np.empty((len(x), *win.count, w.shape[-1]), x.dtype)
    over_windows(x, w, win, out, finisher(out) if finisher else None)
    return out, lambda g, *needs: gradients(g, x, w, win, *needs)


def gradients(g, x, w, win, needs_x, needs_w):
    """The gradients of x and w, those that are needed, from that of the sums."""
    if needs_x and needs_w and _is_dense(win) and not Signal.suits(win, w.shape[-2], ()):
        return _from_the_other_side(x, g, w, win)
    dw = over_windows(x, w, win, other=g) if needs_w else None
    return _laid(g, w, win) if needs_x else None, dw


def _from_the_other_side(x, g, w, win):
    """Both gradients from the same: what the windows over each position of x give it."""
    dx = np.empty((len(g), *win.image, w.shape[-2]), g.dtype)
    dw = over_windows(g, _turned(w), from_the_other_side(win), out=dx, other=x)
    return dx, _turned(dw)


def _turned(w):
    """The kernel that lays gradients where ``w`` took from: turned around, channels and filters
    swapped."""
    return np.swapaxes(w[(slice(None, None, -1),) * (w.ndim - 2)], -1, -2)


def _is_dense(win) -> bool:
    """Whether nearly as many windows as positions lie one position apart."""
    return max(win.strides) == 1 and math.prod(win.image) < _NEARLY * math.prod(win.count)


def _in_groups(x, w, win, groups):
    """Each group of channels with its filters, side by side."""
    xs, ws = np.split(x, groups, axis=-1), np.split(w, groups, axis=-1)
    outs, backs = zip(*[_gathered(a, b, win) for a, b in zip(xs, ws)])

    def back(g, *needs):
        parts = [
            own(np.ascontiguousarray(part), *needs)
            for own, part in zip(backs, np.split(g, groups, axis=-1))
        ]
        return [
            np.concatenate(found, axis=-1) if need else None
            for found, need in zip(zip(*parts), needs)
        ]

    return np.concatenate(outs, axis=-1), back


def _laid(g, w, win):
    """An image made of what every window of g gives to its places."""
    if _is_dense(win):
        return _gathered(g, _turned(w), from_the_other_side(win))[0]
    return laid_back(g, w, win)
