"""Crossentropies: minus the logarithm of the probability that the outputs give to the truth.

Outputs are probabilities, or with ``from_logits=True`` the scores before the sigmoid or softmax,
which is the more exact way: it never takes the logarithm of a rounded 0. Probabilities are cut to
[epsilon, 1 - epsilon], epsilon being 1e-7, and where they are cut their derivative is 0.
"""

from lamina import config
from lamina.ops._op import op
from lamina.ops.activations import sigmoid
from lamina.ops.softmaxes import log_softmax, softmax


@op
def binary_crossentropy(xp, y_true, y_pred, *, from_logits=False, label_smoothing=0.0, axis=-1):
    """Crossentropy of independent yes-or-no answers, its mean over ``axis``.

        out = -mean(y_true * log(y_pred) + (1 - y_true) * log(1 - y_pred))
        out = mean(log(1 + exp(y_pred)) - y_true * y_pred)         from_logits

    Args:
        y_true: 0 or 1, or probabilities between; floating point, the shape of ``y_pred``.
        y_pred: probabilities, or logits.
        from_logits: whether ``y_pred`` are logits.
        label_smoothing: moves labels by this share towards 1/2.
        axis: the axis of the mean.

    Returns:
        the shape of ``y_pred`` without ``axis``.

    Example:
        >>> binary_crossentropy(np.array([[1.0]]), np.array([[0.5]]))
        array([0.69314718])
    """
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        values = xp.logaddexp(y_pred, xp.zeros_like(y_pred)) - y_true * y_pred
    else:
        values = _binary(xp, y_true, y_pred)
    return xp.mean(values, axis=axis)


def _binary(xp, y_true, y_pred):
    p = _probability(xp, y_pred)
    return -(y_true * xp.log(p) + (1.0 - y_true) * xp.log(1.0 - p))


def _probability(xp, p):
    return xp.clip(p, config.epsilon(), 1.0 - config.epsilon())


@op
def binary_focal_crossentropy(
    xp,
    y_true,
    y_pred,
    *,
    apply_class_balancing=False,
    alpha=0.25,
    gamma=2.0,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
):
    """Binary crossentropy in which samples that are answered well already count little.

        p_t = y_true * y_pred + (1 - y_true) * (1 - y_pred)
        out = mean((1 - p_t)**gamma * binary_crossentropy)

    With ``apply_class_balancing`` positives also count ``alpha``, negatives ``1 - alpha``.

    Source: Lin et al., "Focal loss for dense object detection", 2017, equations 4 and 5.
    """
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        y_pred = sigmoid(y_pred)
    p_t = y_true * y_pred + (1.0 - y_true) * (1.0 - y_pred)
    values = (1.0 - p_t) ** gamma * _binary(xp, y_true, y_pred)
    if apply_class_balancing:
        values = (y_true * alpha + (1.0 - y_true) * (1.0 - alpha)) * values
    return xp.mean(values, axis=axis)


@op
def categorical_crossentropy(
    xp, y_true, y_pred, *, from_logits=False, label_smoothing=0.0, axis=-1
):
    """Crossentropy of one choice among classes: ``-sum(y_true * log(y_pred))`` over ``axis``.

    Args:
        y_true: one-hot rows, or probabilities of the classes; floating point, the shape of
            ``y_pred``.
        y_pred: probabilities, which are divided by their sum, or logits.
        from_logits: whether ``y_pred`` are logits.
        label_smoothing: moves labels by this share towards 1 / classes.
        axis: the axis of the classes.

    Returns:
        the shape of ``y_pred`` without ``axis``.

    Example:
        >>> categorical_crossentropy(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]]))
        array([0.69314718])
    """
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + label_smoothing / y_true.shape[axis]
    return -xp.sum(y_true * _log_probability(xp, y_pred, from_logits, axis), axis=axis)


def _log_probability(xp, y_pred, from_logits, axis):
    if from_logits:
        return log_softmax(y_pred, axis=axis)
    return xp.log(_probability(xp, y_pred / xp.sum(y_pred, axis=axis, keepdims=True)))


@op
def categorical_focal_crossentropy(
    xp,
    y_true,
    y_pred,
    *,
    alpha=0.25,
    gamma=2.0,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
):
    """Categorical crossentropy in which samples that are answered well already count little.

        out = -sum(alpha * (1 - y_pred)**gamma * y_true * log(y_pred))

    Source: Lin et al., "Focal loss for dense object detection", 2017, equation 5.
    """
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + label_smoothing / y_true.shape[axis]
    if from_logits:
        y_pred = softmax(y_pred, axis=axis)
    p = _probability(xp, y_pred / xp.sum(y_pred, axis=axis, keepdims=True))
    return -xp.sum(alpha * (1.0 - p) ** gamma * y_true * xp.log(p), axis=axis)


@op
def sparse_categorical_crossentropy(
    xp, y_true, y_pred, *, from_logits=False, ignore_class=None, axis=-1
):
    """Crossentropy of one choice among classes, given as its number: ``-log(y_pred[y_true])``.

    Args:
        y_true: class numbers from 0 on, of an integer dtype; the shape of ``y_pred`` without
            ``axis``, or with 1 there.
        y_pred: probabilities, which are divided by their sum, or logits.
        from_logits: whether ``y_pred`` are logits.
        ignore_class: a number, such as -1, of samples whose value and gradient are 0; or None.
        axis: the axis of the classes.

    Returns:
        the shape of ``y_pred`` without ``axis``.

    Example:
        >>> sparse_categorical_crossentropy(np.array([1]), np.array([[0.5, 0.5]]))
        array([0.69314718])
    """
    if y_true.ndim == y_pred.ndim:
        y_true = xp.squeeze(y_true, axis=axis)
    if axis not in (-1, y_pred.ndim - 1):
        y_pred = xp.moveaxis(y_pred, axis, -1)
    y_true = xp.expand_dims(y_true, axis=-1)
    if ignore_class is not None:
        counts = y_true != ignore_class
        y_pred = xp.where(counts, y_pred, 1.0)  # whatever it was, even NaN, has no say
    classes = xp.arange(y_pred.shape[-1], dtype=y_true.dtype, device=y_pred.device)
    chosen = y_true == classes
    if ignore_class is not None:
        chosen = chosen & counts
    return -xp.sum(xp.where(chosen, _log_probability(xp, y_pred, from_logits, -1), 0.0), axis=-1)


@op
def softmax_crossentropy(xp, y_true, logits):
    """The crossentropy of ``softmax(logits)``, and the softmax itself: how a classifier ends.

    Args:
        y_true: class numbers, shape (...), or one row of probabilities per sample, shape (..., n).
        logits: shape (..., n).

    Returns:
        (values of shape (...), probabilities of shape (..., n)).
    """
    probabilities = softmax(logits)
    whole = y_true.ndim == logits.ndim
    loss = categorical_crossentropy if whole else sparse_categorical_crossentropy
    return loss(y_true, probabilities), probabilities
