"""Convolutions in array-API code, for every library that has no kernel of its own.

Few and large operations, for on a GPU each is a launch: the columns of many samples, or of many
rows of one large image, are laid side by side and multiplied once. Nothing here waits for the
device, and no loop is over samples but where one block of columns would not fit (``BLOCK``).
"""

import math

from lamina.kernels.pooling import max_pool
from lamina.kernels.windows import blocks, read_by, restricted
from lamina.ops._axes import frozen
from lamina.ops._op import kernel
from lamina.ops.convolution import (
    as_asked,
    channels_last,
    check_bias,
    conv_windows,
    depthwise_windows,
    image_windows,
    padded,
    seen,
)

BLOCK = 1 << 26
"""Numbers in the columns that are multiplied at once: 256 MiB in float32."""


@kernel("conv")
def conv(
    xp, needs, x, w, bias, *, strides, padding, dilation_rate, groups, data_format, activation
):
    """With g the gradient of the output: dw = columns.T @ g, dx[seen by j] += g @ w[j].T"""
    if activation != "linear":
        return NotImplemented
    win = conv_windows(x, w, strides, padding, dilation_rate, groups, data_format)
    out, back = _convolved(xp, channels_last(xp, x, data_format), w, win, groups)
    return _finished(xp, out, back, needs, bias, data_format)


@kernel("conv_max_pool")
def conv_max_pool(
    xp, needs, x, w, bias, *, strides, padding, dilation_rate, groups, data_format, pool_size,
    pool_strides, pool_padding, activation,
):  # fmt: skip
    """Only the sums that the pooling reads, and a bias only for the largest of them."""
    if activation != "linear":
        return NotImplemented
    win = conv_windows(x, w, strides, padding, dilation_rate, groups, data_format)
    win = read_by(win, frozen(pool_size), frozen(pool_strides), pool_padding)
    pooling = {"pool_size": pool_size, "strides": pool_strides, "padding": pool_padding,
               "data_format": "channels_last"}  # fmt: skip
    out, back = _convolved(xp, channels_last(xp, x, data_format), w, win, groups)
    pooled = max_pool(xp, (any(needs[:2]),), out, **pooling)
    if pooled is NotImplemented:
        return NotImplemented
    out, unpool = pooled

    def pooled_back(g, *needs):
        return back(*unpool(g), *needs) if any(needs) else (None, None)

    return _finished(xp, out, pooled_back, needs, bias, data_format)


def _convolved(xp, x, w, win, groups):
    """The windows on x (channels last) summed, and what gives the gradients of x and w."""
    matrices = _by_group(xp, w, groups)
    shape = (x.shape[0], *win.count, w.shape[-1])
    out = xp.empty(shape, dtype=x.dtype, device=x.device)
    for window_rows, image_rows, some in _blocks(x.shape[0], win, w):
        product = _mixed(xp, _columns(xp, x[image_rows], some, groups), matrices)
        out[window_rows] = xp.reshape(product, out[window_rows].shape)

    def back(g, needs_x, needs_w):
        dx = xp.zeros(x.shape, dtype=g.dtype, device=g.device) if needs_x else None
        dw = None
        for window_rows, image_rows, some in _blocks(x.shape[0], win, w):
            shape = (math.prod(g[window_rows].shape[:-1]), groups, w.shape[-1] // groups)
            part = xp.reshape(g[window_rows], shape)
            part = xp.permute_dims(part, (1, 0, 2))
            if needs_w:
                columns = _columns(xp, x[image_rows], some, groups)
                product = xp.matmul(xp.matrix_transpose(columns), part)
                dw = product if dw is None else dw + product
            if needs_x:
                columns = xp.matmul(part, xp.matrix_transpose(matrices))
                dx[image_rows] += _laid(xp, columns, some)
        if needs_w:
            dw = xp.reshape(xp.permute_dims(dw, (1, 0, 2)), w.shape)
        return dx, dw

    return out, back


@kernel("depthwise_conv")
def depthwise_conv(
    xp, needs, x, w, bias, *, strides, padding, dilation_rate, data_format, activation
):
    """dx[seen by j] += g * w[j], dw[j] = sum(x[seen by j] * g), channel by channel."""
    if activation != "linear":
        return NotImplemented
    win = depthwise_windows(x, w, strides, padding, dilation_rate, data_format)
    x = xp.expand_dims(padded(xp, channels_last(xp, x, data_format), win), axis=-1)
    out = None
    for place in win.places():
        term = seen(x, win, place) * w[(*place, ...)]
        out = term if out is None else out + term
    shape = out.shape
    out = xp.reshape(out, (*shape[:-2], shape[-2] * shape[-1]))

    def back(g, needs_x, needs_w):
        g = xp.reshape(g, shape)
        dx = dw = None
        if needs_x:
            laid = xp.zeros(x.shape[:-1], dtype=g.dtype, device=g.device)
            for place in win.places():
                laid[(slice(None), *win.seen_from(place), ...)] += xp.sum(
                    g * w[(*place, ...)], axis=-1
                )
            dx = _on_image(xp, laid, win)
        if needs_w:
            over = tuple(range(len(shape) - 2))
            sums = [xp.sum(seen(x, win, place) * g, axis=over) for place in win.places()]
            dw = xp.reshape(xp.stack(sums), w.shape)
        return dx, dw

    return _finished(xp, out, back, needs, bias, data_format)


@kernel("conv_transpose")
def conv_transpose(
    xp, needs, x, w, bias, *, strides, padding, output_padding, dilation_rate, data_format,
    activation,
):  # fmt: skip
    """The same three products as for ``conv``, with image and windows in each other's place."""
    if activation != "linear":
        return NotImplemented
    win = image_windows(x, w, strides, padding, output_padding, dilation_rate, data_format)
    x = channels_last(xp, x, data_format)
    matrix = _by_group(xp, w, 1)
    shape = (x.shape[0], *win.image, w.shape[-2])
    out = xp.zeros(shape, dtype=x.dtype, device=x.device)
    for window_rows, image_rows, some in _blocks(x.shape[0], win, w):
        rows = xp.reshape(x[window_rows], (1, -1, w.shape[-1]))
        out[image_rows] += _laid(xp, xp.matmul(rows, xp.matrix_transpose(matrix)), some)

    def back(g, needs_x, needs_w):
        dx = xp.empty(x.shape, dtype=g.dtype, device=g.device) if needs_x else None
        dw = None
        for window_rows, image_rows, some in _blocks(x.shape[0], win, w):
            columns = _columns(xp, g[image_rows], some, 1)
            if needs_x:
                product = xp.matmul(columns, matrix)
                dx[window_rows] = xp.reshape(product, dx[window_rows].shape)
            if needs_w:
                rows = xp.reshape(x[window_rows], (1, -1, w.shape[-1]))
                product = xp.matmul(xp.matrix_transpose(columns), rows)
                dw = product if dw is None else dw + product
        return dx, xp.reshape(dw, w.shape) if needs_w else None

    return _finished(xp, out, back, needs, bias, data_format)


def _blocks(samples, win, w):
    """For each block its windows, the part of the image they see, and the windows on that part."""
    numbers = math.prod(w.shape[:-1]) * math.prod(win.count[1:])
    for block in blocks(max(1, samples), win, numbers, BLOCK):
        rows, some = restricted(win, block[1])
        some_samples = slice(0, 0) if samples == 0 else block[0]
        yield (some_samples, block[1], ...), (some_samples, rows, ...), some


def _by_group(xp, w, groups):
    """The kernel as matrices, one for each group: (groups, places * in / groups, filters)."""
    matrix = xp.reshape(w, (-1, groups, w.shape[-1] // groups))
    return xp.permute_dims(matrix, (1, 0, 2))


def _columns(xp, x, win, groups):
    """What the windows see, one window a row: (groups, windows, places * in / groups)."""
    x = padded(xp, x, win)
    parts = [seen(x, win, place) for place in win.places()]
    rows = math.prod(parts[0].shape[:-1])
    each = x.shape[-1] // groups
    parts = [xp.reshape(part, (rows, groups, each)) for part in parts]
    columns = xp.concat(parts, axis=-1) if len(parts) > 1 else parts[0]
    return xp.permute_dims(columns, (1, 0, 2))


def _mixed(xp, columns, matrices):
    """The product, with the groups side by side: (windows, filters)."""
    out = xp.permute_dims(xp.matmul(columns, matrices), (1, 0, 2))
    return xp.reshape(out, (out.shape[0], out.shape[1] * out.shape[2]))


def _laid(xp, columns, win):
    """An image to which every window's row of ``columns`` is added where it lies."""
    groups, windows, numbers = columns.shape
    samples, each = windows // math.prod(win.count), numbers // math.prod(win.size)
    columns = xp.permute_dims(columns, (1, 0, 2))
    shape = (samples, *win.reach, groups * each)
    laid = xp.zeros(shape, dtype=columns.dtype, device=columns.device)
    for number, place in enumerate(win.places()):
        part = columns[..., number * each : (number + 1) * each]
        part = xp.reshape(part, (samples, *win.count, groups * each))
        laid[(slice(None), *win.seen_from(place), slice(None))] += part
    return _on_image(xp, laid, win)


def _on_image(xp, laid, win):
    """The image out of its padded form, with zeros where no window reaches."""
    inside, on_image, whole = [], [], True
    for before, n, reach in zip(win.before, win.image, win.reach, strict=True):
        length = min(n, reach - before)
        inside.append(slice(before, before + length))
        on_image.append(slice(0, length))
        whole = whole and length == n
    laid = laid[(slice(None), *inside, slice(None))]
    if whole:
        return laid
    shape = (laid.shape[0], *win.image, laid.shape[-1])
    image = xp.zeros(shape, dtype=laid.dtype, device=laid.device)
    image[(slice(None), *on_image, slice(None))] = laid
    return image


def _finished(xp, out, back, needs, bias, data_format):
    """A kernel's answer, from sums without a bias and what their gradients are."""
    needs_x, needs_w, needs_bias = needs
    check_bias(bias, out.shape[-1])
    if bias is not None:
        out = out + bias

    def pullback(g):
        g = channels_last(xp, g, data_format)
        dx, dw = back(g, needs_x, needs_w)
        db = xp.sum(g, axis=tuple(range(g.ndim - 1))) if needs_bias else None
        return as_asked(xp, dx, data_format) if needs_x else None, dw, db

    return as_asked(xp, out, data_format), pullback
