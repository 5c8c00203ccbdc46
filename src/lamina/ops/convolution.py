"""Convolutions over any number of spatial axes: what they are, in array-API calls.

One definition serves signals (batch, steps, channels), pictures (batch, rows, columns, channels)
and volumes. What a window sees from each of its places is a shifted slice of the padded image, so a
convolution is a sum of matrix products of shifted slices, and its derivative needs no rule of its
own. Where the windows lie is in ``_windows.py``; ``kernels/convolution.py`` makes it fast.
"""

import functools
import operator

from lamina.errors import counted
from lamina.ops import activations
from lamina.ops._axes import check_format, frozen
from lamina.ops._op import op
from lamina.ops._windows import transposed_windows, windows
from lamina.ops.pooling import max_pool


@op
def conv(
    xp, x, kernel, bias=None, *, strides=1, padding="valid", dilation_rate=1, groups=1,
    data_format="channels_last", activation="linear",
):  # fmt: skip
    """Every output is a weighted sum of all that one window sees, with the same weights everywhere.

        out[n, i, f] =
            sum over j, c of x[n, i * stride + j * dilation - before, c] * kernel[j, c, f]
        out = activation(out + bias)

    with i, j and the numbers beside them one for each spatial axis, and zeros off the image. What
    is called a convolution is, as everywhere in deep learning, a correlation: nothing is flipped.

    Args:
        x: shape (batch, *image, in), or (batch, in, *image) if channels first.
        kernel: shape (*window, in / groups, filters).
        bias: shape (filters,), or None.
        strides: from one window to the next; a number, or one for each spatial axis.
        padding: "valid" for windows within the image, "same" for ``ceil(image / stride)`` of them,
            the odd zero behind; "causal", for one axis, for windows that look back only.
        dilation_rate: from one place in a window to the next.
        groups: in how many equal parts the channels are cut, each with filters of its own.
        data_format: "channels_last" or "channels_first", of x and of the result.
        activation: one of the names in ``fully_connected.FUSABLE``.

    Returns:
        shape (batch, *windows, filters), or with the filters first.

    Raises:
        ValueError: for shapes that do not belong together, and where no window fits.

    Source: LeCun et al., "Gradient-based learning applied to document recognition", 1998; padding
    is TensorFlow's, https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2.
    """
    if activation != "linear":
        return _activated(
            conv, activation, x, kernel, bias, strides=strides, padding=padding,
            dilation_rate=dilation_rate, groups=groups, data_format=data_format,
        )  # fmt: skip
    w = conv_windows(x, kernel, strides, padding, dilation_rate, groups, data_format)
    x = padded(xp, channels_last(xp, x, data_format), w)
    out = _sum(_mixed(xp, seen(x, w, place), kernel[(*place, ...)], groups) for place in w.places())
    return _finished(xp, out, bias, data_format)


@op
def conv_max_pool(
    xp, x, kernel, bias=None, *, strides=1, padding="valid", dilation_rate=1, groups=1,
    data_format="channels_last", pool_size=2, pool_strides=None, pool_padding="valid",
    activation="linear",
):  # fmt: skip
    """A convolution and a max pooling: ``activation(max_pool(conv(x, kernel, bias)))``.

    As one op they cost less: sums that no window of the pooling reads need not be computed, and
    only the largest need a bias and an activation. (One that never falls, as relu, gives the same
    before the pooling.)

    Args:
        x, kernel, bias, strides, padding, dilation_rate, groups, data_format: as for ``conv``.
        pool_size, pool_strides, pool_padding: the pooling's, as for ``max_pool``.
        activation: one of the names in ``fully_connected.FUSABLE``.

    Returns:
        shape (batch, *windows of the pooling, filters), or with the filters first.

    Raises:
        ValueError: as ``conv`` and ``max_pool``.
    """
    if activation != "linear":
        return _activated(
            conv_max_pool, activation, x, kernel, bias, strides=strides, padding=padding,
            dilation_rate=dilation_rate, groups=groups, data_format=data_format,
            pool_size=pool_size, pool_strides=pool_strides, pool_padding=pool_padding,
        )  # fmt: skip
    out = conv(
        x, kernel, bias, strides=strides, padding=padding, dilation_rate=dilation_rate,
        groups=groups, data_format=data_format,
    )  # fmt: skip
    return max_pool(
        out, pool_size=pool_size, strides=pool_strides, padding=pool_padding,
        data_format=data_format,
    )  # fmt: skip


@op
def depthwise_conv(
    xp, x, kernel, bias=None, *, strides=1, padding="valid", dilation_rate=1,
    data_format="channels_last", activation="linear",
):  # fmt: skip
    """A convolution of every channel on its own, ``multiplier`` times over.

        out[n, i, c * multiplier + m] =
            sum over j of x[n, i * stride + j * dilation - before, c] * kernel[j, c, m]

    Args:
        x: shape (batch, *image, in), or (batch, in, *image) if channels first.
        kernel: shape (*window, in, multiplier).
        bias: shape (in * multiplier,), or None.
        strides, padding, dilation_rate, data_format, activation: as for ``conv``.

    Returns:
        shape (batch, *windows, in * multiplier), or with the channels first.

    Raises:
        ValueError: as ``conv``.
    """
    if activation != "linear":
        return _activated(
            depthwise_conv, activation, x, kernel, bias, strides=strides, padding=padding,
            dilation_rate=dilation_rate, data_format=data_format,
        )  # fmt: skip
    w = depthwise_windows(x, kernel, strides, padding, dilation_rate, data_format)
    x = xp.expand_dims(padded(xp, channels_last(xp, x, data_format), w), axis=-1)
    out = _sum(seen(x, w, place) * kernel[(*place, ...)] for place in w.places())
    out = xp.reshape(out, (*out.shape[:-2], out.shape[-2] * out.shape[-1]))
    return _finished(xp, out, bias, data_format)


@op
def separable_conv(
    xp, x, depthwise_kernel, pointwise_kernel, bias=None, *, strides=1, padding="valid",
    dilation_rate=1, data_format="channels_last", activation="linear",
):  # fmt: skip
    """A depthwise convolution, then a mixture of its channels: a cheap stand-in for ``conv``.

        out = conv(depthwise_conv(x, depthwise_kernel), pointwise_kernel, bias)

    Args:
        x: shape (batch, *image, in), or (batch, in, *image) if channels first.
        depthwise_kernel: shape (*window, in, multiplier).
        pointwise_kernel: shape (1, ..., 1, in * multiplier, filters).
        bias: shape (filters,), or None.
        strides, padding, dilation_rate: of the depthwise convolution, as for ``conv``.
        data_format, activation: as for ``conv``.

    Returns:
        shape (batch, *windows, filters), or with the filters first.

    Raises:
        ValueError: as ``conv``.

    Source: Chollet, "Xception: deep learning with depthwise separable convolutions", 2017.
    """
    each = depthwise_conv(
        x, depthwise_kernel, None, strides=strides, padding=padding, dilation_rate=dilation_rate,
        data_format=data_format, activation="linear",
    )  # fmt: skip
    return conv(each, pointwise_kernel, bias, data_format=data_format, activation=activation)


@op
def conv_transpose(
    xp, x, kernel, bias=None, *, strides=1, padding="valid", output_padding=None, dilation_rate=1,
    data_format="channels_last", activation="linear",
):  # fmt: skip
    """The transpose of ``conv``: every input lays the kernel, times itself, onto a larger image.

        out[n, i * stride + j * dilation - before, f] += x[n, i, c] * kernel[j, f, c]

    for all i, j and c; what falls off the image is lost. Computed as the convolution of x, spread
    out by ``stride - 1`` zeros between its numbers, with the kernel turned around.

    Args:
        x: shape (batch, *counts, in), or (batch, in, *counts) if channels first.
        kernel: shape (*window, filters, in): the numbers of channels are the other way round than
            in ``conv``, of which this is the transpose.
        bias: shape (filters,), or None.
        strides: from one input to the next on the image.
        padding: "valid" keeps all that is laid, "same" makes an image of ``count * stride``.
        output_padding: None, or how much longer than at least the image is; see
            ``_windows.transposed_windows``.
        dilation_rate, data_format, activation: as for ``conv``.

    Returns:
        shape (batch, *image, filters), or with the filters first.

    Raises:
        ValueError: as ``conv``.

    Source: Zeiler et al., "Deconvolutional networks", 2010; lengths are Keras's.
    """
    if activation != "linear":
        return _activated(
            conv_transpose, activation, x, kernel, bias, strides=strides, padding=padding,
            output_padding=output_padding, dilation_rate=dilation_rate, data_format=data_format,
        )  # fmt: skip
    w = image_windows(x, kernel, strides, padding, output_padding, dilation_rate, data_format)
    x = _spread_out(xp, channels_last(xp, x, data_format), w.strides)
    # where the first window's last place lies on the image, and how far the image goes on
    spans = [(k - 1) * d + 1 for k, d in zip(w.size, w.dilation, strict=True)]
    front = [span - 1 - before for span, before in zip(spans, w.before, strict=True)]
    behind = [
        n + span - 1 - length - zeros
        for n, span, length, zeros in zip(w.image, spans, x.shape[1:-1], front, strict=True)
    ]
    x = _with_zeros(xp, x, front, behind)
    turned = xp.flip(kernel, axis=tuple(range(len(spans))))
    turned = xp.matrix_transpose(turned)
    around = windows(tuple(x.shape[1:-1]), w.size, 1, "valid", w.dilation)
    out = _sum(
        xp.matmul(seen(x, around, place), turned[(*place, ...)]) for place in around.places()
    )
    return _finished(xp, out, bias, data_format)


# ---- where windows lie, with the shapes checked -------------------------------------------------


def conv_windows(x, kernel, strides, padding, dilation_rate, groups, data_format):
    """The windows of ``conv``, its arguments checked."""
    return _conv_windows(
        tuple(x.shape), tuple(kernel.shape), frozen(strides), padding, frozen(dilation_rate),
        groups, data_format,
    )  # fmt: skip


@functools.lru_cache(maxsize=512)
def _conv_windows(x_shape, kernel_shape, strides, padding, dilation_rate, groups, data_format):
    image, channels = _image("conv", x_shape, kernel_shape, data_format)
    size, (each, filters) = kernel_shape[:-2], kernel_shape[-2:]
    if channels != each * groups or filters % groups:
        raise ValueError(
            f"conv in groups of {groups} needs a kernel of shape (*window, in / groups, filters), "
            f"both numbers of channels divisible by {groups}, got {kernel_shape} for "
            f"{channels} channels"
        )
    return windows(image, size, strides, padding, dilation_rate)


def depthwise_windows(x, kernel, strides, padding, dilation_rate, data_format):
    """The windows of ``depthwise_conv``, its arguments checked."""
    image, channels = _image("depthwise_conv", tuple(x.shape), tuple(kernel.shape), data_format)
    if channels != kernel.shape[-2]:
        raise ValueError(
            f"depthwise_conv needs a kernel of shape (*window, {channels}, multiplier) for "
            f"{channels} channels, got {tuple(kernel.shape)}"
        )
    size = tuple(kernel.shape[:-2])
    return windows(image, size, frozen(strides), padding, frozen(dilation_rate))


def image_windows(x, kernel, strides, padding, output_padding, dilation_rate, data_format):
    """The windows of ``conv_transpose``, its arguments checked."""
    counts, channels = _image("conv_transpose", tuple(x.shape), tuple(kernel.shape), data_format)
    if channels != kernel.shape[-1]:
        raise ValueError(
            f"conv_transpose needs a kernel of shape (*window, filters, {channels}) for "
            f"{channels} channels, got {tuple(kernel.shape)}"
        )
    return transposed_windows(
        counts, tuple(kernel.shape[:-2]), frozen(strides), padding, frozen(output_padding),
        frozen(dilation_rate),
    )  # fmt: skip


def check_bias(bias, filters):
    """That there is none, or one number for each filter, or a number of Python's for all.

    Raises:
        ValueError: for another shape.
    """
    shape = tuple(getattr(bias, "shape", (filters,)))
    if shape != (filters,):
        raise ValueError(
            f"the bias of a convolution has one number for each filter, shape ({filters},), "
            f"got {shape}"
        )


def _image(name, x_shape, kernel_shape, data_format):
    """Lengths of the spatial axes and the number of channels."""
    check_format(data_format)
    if len(x_shape) < 3 or len(kernel_shape) != len(x_shape):
        axes = counted(max(1, len(kernel_shape) - 2), "spatial axis", "spatial axes")
        raise ValueError(
            f"{name} needs an x of batch, channels and as many spatial axes as the kernel has, "
            f"{axes} here, got shapes {x_shape} and {kernel_shape}"
        )
    if 0 in kernel_shape:
        raise ValueError(
            f"{name} needs a kernel with at least one place, channel and filter, got shape "
            f"{kernel_shape}"
        )
    if data_format == "channels_first":
        return x_shape[2:], x_shape[1]
    return x_shape[1:-1], x_shape[-1]


# ---- parts of the definitions -------------------------------------------------------------------


def channels_last(xp, x, data_format):
    """x with its channels as the last axis."""
    return x if data_format == "channels_last" else xp.moveaxis(x, 1, -1)


def as_asked(xp, out, data_format):
    """A result, which has its channels last, in the format that was asked for."""
    return out if data_format == "channels_last" else xp.moveaxis(out, -1, 1)


def padded(xp, x, w):
    """x (channels last) with zeros around it, cut to what the windows ``w`` see."""
    x = x[(slice(None), *[slice(0, n + min(0, a)) for n, a in zip(w.image, w.after)], ...)]
    return _with_zeros(xp, x, w.before, [max(0, a) for a in w.after])


def seen(x, w, place):
    """What the windows ``w`` on a padded x see from one place."""
    return x[(slice(None), *w.seen_from(place), ...)]


def _with_zeros(xp, x, before, after):
    """x with so many zeros before and behind it, axis by axis."""
    for axis, (front, behind) in enumerate(zip(before, after, strict=True), start=1):
        parts = [_zeros(xp, x, axis, front), x, _zeros(xp, x, axis, behind)]
        parts = [part for part in parts if part is not None]
        x = xp.concat(parts, axis=axis) if len(parts) > 1 else x
    return x


def _zeros(xp, x, axis, length):
    """Zeros of x's shape but for the length of one axis; None where that is 0."""
    if not length:
        return None
    shape = (*x.shape[:axis], length, *x.shape[axis + 1 :])
    return xp.zeros(shape, dtype=x.dtype, device=x.device)


def _spread_out(xp, x, strides):
    """x with ``stride - 1`` zeros after each of its numbers but the last, axis by axis."""
    for axis, (n, s) in enumerate(zip(x.shape[1:-1], strides, strict=True), start=1):
        if s > 1:
            x = xp.expand_dims(x, axis=axis + 1)
            x = xp.concat([x, _zeros(xp, x, axis + 1, s - 1)], axis=axis + 1)
            x = xp.reshape(x, (*x.shape[:axis], n * s, *x.shape[axis + 2 :]))
            x = x[(*[slice(None)] * axis, slice(0, (n - 1) * s + 1), ...)]
    return x


def _mixed(xp, x, matrix, groups):
    """``x @ matrix``, group of channels by group: the matrix has shape (in / groups, filters)."""
    if groups == 1:
        return xp.matmul(x, matrix)
    each, filters = matrix.shape
    rows = xp.reshape(x, (*x.shape[:-1], groups, 1, each))
    matrices = xp.permute_dims(xp.reshape(matrix, (each, groups, filters // groups)), (1, 0, 2))
    return xp.reshape(xp.matmul(rows, matrices), (*x.shape[:-1], filters))


def _sum(terms):
    return functools.reduce(operator.add, terms)


def _finished(xp, out, bias, data_format):
    """A sum of products with its bias, in the format asked for."""
    check_bias(bias, out.shape[-1])
    return as_asked(xp, out if bias is None else out + bias, data_format)


def _activated(convolution, activation, *arrays, **options):
    """An activation of what an op gives without one, by its kernel where it has one."""
    return activations.named(activation)(convolution(*arrays, **options))
