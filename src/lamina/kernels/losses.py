"""Fast losses: value and gradient in closed form, few calls for small batches.

Written in array-API calls with in-place arithmetic on their own arrays, so one kernel serves every
library; NumPy has shorter ways to sum rows and to pick entries. Gradients are with respect to
``y_pred``; where one of ``y_true`` is asked for, the definition serves.
"""

import numpy as np

from lamina import config
from lamina.kernels.softmax_crossentropy import from_logits as crossentropy_from_logits
from lamina.ops._op import kernel

_SMALL = 2048  # elements below which two calls cost less than one of clip


def _covers(needs, y_true, y_pred) -> bool:
    shape = y_pred.shape
    return not needs[0] and getattr(y_true, "shape", None) == shape and bool(shape and shape[-1])


def _row_dot(xp, a, b):
    """Sums of products over the last axis."""
    return np.vecdot(a, b) if xp is np else xp.sum(a * b, axis=-1)


def _row_sum(xp, a):
    return np.add.reduce(a, axis=-1) if xp is np else xp.sum(a, axis=-1)


def _row_mean(xp, a):
    n = a.shape[-1]
    return a[..., 0] if n == 1 else _row_sum(xp, a) * (1.0 / n)


def _probability(xp, p):
    low, high = config.epsilon(), 1.0 - config.epsilon()
    if xp is np and p.size >= _SMALL:
        return np.clip(p, low, high)
    return xp.minimum(xp.maximum(p, low), high)


@kernel("mean_squared_error")
def mean_squared_error(xp, needs, y_true, y_pred):
    """With d = y_pred - y_true: d out / dy_pred = 2 * d / n."""
    if not _covers(needs, y_true, y_pred):
        return NotImplemented
    d = y_pred - y_true
    n = d.shape[-1]
    values = (d * d)[..., 0] if n == 1 else _row_dot(xp, d, d) * (1.0 / n)
    return values, lambda g: (None, d * (g * (2.0 / n))[..., None])


@kernel("sum_of_squares")
def sum_of_squares(xp, needs, y_true, y_pred):
    """d out / dy_pred = y_pred - y_true."""
    if not _covers(needs, y_true, y_pred):
        return NotImplemented
    d = y_pred - y_true
    return _row_dot(xp, d, d) * 0.5, lambda g: (None, d * g[..., None])


@kernel("mean_absolute_error")
def mean_absolute_error(xp, needs, y_true, y_pred):
    """d out / dy_pred = sign(y_pred - y_true) / n."""
    if not _covers(needs, y_true, y_pred):
        return NotImplemented
    d = y_pred - y_true
    n = d.shape[-1]
    return _row_mean(xp, xp.abs(d)), lambda g: (None, xp.sign(d) * (g * (1.0 / n))[..., None])


@kernel("binary_crossentropy")
def binary_crossentropy(xp, needs, y_true, y_pred, *, from_logits, label_smoothing, axis):
    """With p = y_pred: d out / dp = (p - y_true) / (p * (1 - p)) / n.

    By logits, with p their sigmoid, (p - y_true) / n.
    """
    if axis not in (-1, y_pred.ndim - 1) or not _covers(needs, y_true, y_pred):
        return NotImplemented
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    share = 1.0 / y_pred.shape[-1]
    if from_logits:
        zero = 0.0 if xp is np else xp.zeros_like(y_pred)
        top = xp.logaddexp(y_pred, zero)

        def pullback(g):
            d = xp.exp(y_pred - top)  # the sigmoid, and nothing in it can overflow
            d -= y_true
            d *= (g * share)[..., None]
            return None, d

        return _row_mean(xp, top - y_true * y_pred), pullback

    p = _probability(xp, y_pred)
    q = 1.0 - p
    log_q = xp.log(q)
    values = log_q - xp.log(p)
    values *= y_true
    values -= log_q

    def pullback(g):
        d = p - y_true
        d /= p * q
        d *= xp.astype(p == y_pred, d.dtype)
        d *= (g * share)[..., None]
        return None, d

    return _row_mean(xp, values), pullback


@kernel("categorical_crossentropy")
def categorical_crossentropy(xp, needs, y_true, y_pred, *, from_logits, label_smoothing, axis):
    """With p = y_pred / sum(y_pred): d out / dy_pred = (sum(y_true) - y_true / p) / sum(y_pred).

    By logits, with p their softmax, p * sum(y_true) - y_true.
    """
    if axis not in (-1, y_pred.ndim - 1) or not _covers(needs, y_true, y_pred):
        return NotImplemented
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + label_smoothing / y_true.shape[-1]
    if from_logits:
        z, e, total = _exponentials(xp, y_pred)
        z -= xp.log(total)[..., None]

        def pullback(g):
            d = e * (_row_sum(xp, y_true) / total)[..., None]
            d -= y_true
            d *= g[..., None]
            return None, d

        return -_row_dot(xp, y_true, z), pullback

    total = _row_sum(xp, y_pred)[..., None]
    share = y_pred / total
    p = _probability(xp, share)

    def pullback(g):
        d = y_true * xp.astype(p == share, y_true.dtype)
        whole = _row_sum(xp, d)[..., None]
        d /= p
        d = whole - d
        d *= g[..., None] / total
        return None, d

    return -_row_dot(xp, y_true, xp.log(p)), pullback


def _exponentials(xp, logits):
    """z = logits less their maximum, exp(z), and its sum."""
    if xp is np:
        z = logits - np.maximum.reduce(logits, axis=-1, keepdims=True)
    else:
        z = logits - xp.max(logits, axis=-1, keepdims=True)
    e = xp.exp(z)
    return z, e, _row_sum(xp, e)


def _class_numbers(needs, y_true, y_pred, axis):
    """The class numbers, one for each row of ``y_pred``, or None for what the kernels leave out."""
    rows = y_pred.shape[:-1]
    if needs[0] or not rows or not y_pred.shape[-1] or axis not in (-1, y_pred.ndim - 1):
        return None
    if y_true.shape == rows:
        return y_true
    return y_true[..., 0] if y_true.shape == (*rows, 1) else None


@kernel("sparse_categorical_crossentropy")
def sparse_categorical_crossentropy(xp, needs, y_true, y_pred, *, from_logits, ignore_class, axis):
    """As ``categorical_crossentropy``, its one-hot rows made of comparisons."""
    labels = _class_numbers(needs, y_true, y_pred, axis)
    if labels is None or ignore_class is not None:
        return NotImplemented
    classes = xp.arange(y_pred.shape[-1], dtype=labels.dtype, device=y_pred.device)
    chosen = labels[..., None] == classes

    def pick(a):
        return xp.sum(xp.where(chosen, a, 0.0), axis=-1)

    if from_logits:
        z, e, total = _exponentials(xp, y_pred)

        def pullback(g):
            d = e * (g / total)[..., None]
            d -= xp.astype(chosen, d.dtype) * g[..., None]
            return None, d

        return xp.log(total) - pick(z), pullback

    total = _row_sum(xp, y_pred)
    share = pick(y_pred) / total
    p = _probability(xp, share)

    def pullback(g):
        g = g * xp.astype(p == share, g.dtype) / total
        return None, g[..., None] - xp.astype(chosen, g.dtype) * (g / p)[..., None]

    return -xp.log(p), pullback


@kernel("sparse_categorical_crossentropy", "numpy")
def sparse_categorical_crossentropy_numpy(
    xp, needs, y_true, y_pred, *, from_logits, ignore_class, axis
):
    """The same, with the true class's entry picked and written to by its place."""
    labels = _class_numbers(needs, y_true, y_pred, axis)
    if labels is None or labels.dtype.kind not in "iu":
        return NotImplemented
    if from_logits and ignore_class is None and labels.ndim == 1:
        return crossentropy_from_logits(labels, y_pred)
    shape = labels.shape
    rows = y_pred if y_pred.ndim == 2 else y_pred.reshape(-1, y_pred.shape[-1])
    labels = labels.reshape(-1)
    ignored = None
    if ignore_class is not None:
        ignored = labels == ignore_class
        labels = np.where(ignored, 0, labels)
    chosen = (np.arange(labels.size), labels)
    if from_logits:
        z = rows - np.maximum.reduce(rows, axis=-1, keepdims=True)
        picked = z[chosen]
        e = np.exp(z, out=z)
        total = np.add.reduce(e, axis=-1)
        values = np.log(total)
        values -= picked
    else:
        total = np.add.reduce(rows, axis=-1)
        share = rows[chosen] / total
        p = _probability(np, share)
        values = np.log(p)
        np.negative(values, out=values)
    if ignored is not None:
        values[ignored] = 0.0

    def pullback(g):
        g = g.reshape(-1)
        if from_logits:
            d = e * (g / total)[:, None]
            d[chosen] -= g
        else:
            g = g * (p == share) / total
            d = np.repeat(g[:, None], rows.shape[-1], axis=1)
            d[chosen] -= g / p
        if ignored is not None:
            d[ignored] = 0.0
        return None, d.reshape(y_pred.shape)

    return values.reshape(shape), pullback
