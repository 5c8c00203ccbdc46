"""Losses of targets and outputs: how far one is from the other, one value per sample.

Every definition takes ``y_true`` and ``y_pred`` of one shape and reduces the last axis. To add a
loss, add its definition here and its class in ``lamina/losses``. Those of probabilities are in
``crossentropies.py`` and can be had from here as well.

Both arrays are floating point, of one dtype. Formulas and constants are those of Keras 3.
"""

import math

from lamina import config
from lamina.ops._op import op
from lamina.ops.crossentropies import binary_crossentropy as binary_crossentropy
from lamina.ops.crossentropies import binary_focal_crossentropy as binary_focal_crossentropy
from lamina.ops.crossentropies import categorical_crossentropy as categorical_crossentropy
from lamina.ops.crossentropies import (
    categorical_focal_crossentropy as categorical_focal_crossentropy,
)
from lamina.ops.crossentropies import (
    sparse_categorical_crossentropy as sparse_categorical_crossentropy,
)


@op
def mean_squared_error(xp, y_true, y_pred):
    """Mean squared difference: ``mean((y_pred - y_true)**2)`` over the last axis.

    Args:
        y_true: targets, shape (..., n).
        y_pred: outputs, shape (..., n).

    Returns:
        shape (...).

    Example:
        >>> mean_squared_error(np.array([[0.0, 1.0]]), np.array([[1.0, 1.0]]))
        array([0.5])
    """
    return xp.mean(xp.square(y_pred - y_true), axis=-1)


@op
def sum_of_squares(xp, y_true, y_pred):
    """Half the summed squared error: ``sum((y_pred - y_true)**2) / 2`` over the last axis.

    Its gradient with respect to an output is the plain difference ``y_pred - y_true``, which is why
    textbooks derive backpropagation from it. Summed over the batch (``reduction="sum"``) it is the
    E of Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors",
    1986, equation 3.
    """
    return 0.5 * xp.sum(xp.square(y_pred - y_true), axis=-1)


@op
def mean_absolute_error(xp, y_true, y_pred):
    """Mean absolute difference: ``mean(|y_pred - y_true|)``; its derivative at 0 is 0."""
    return xp.mean(xp.abs(y_pred - y_true), axis=-1)


@op
def mean_absolute_percentage_error(xp, y_true, y_pred):
    """Mean difference in percent of the target: ``100 * mean(|(y_true - y_pred) / y_true|)``.

    Targets smaller than epsilon (1e-7) count as epsilon.
    """
    scale = xp.maximum(xp.abs(y_true), config.epsilon())
    return 100.0 * xp.mean(xp.abs((y_true - y_pred) / scale), axis=-1)


@op
def mean_squared_logarithmic_error(xp, y_true, y_pred):
    """Mean squared difference of logarithms: ``mean((log(1 + y_pred) - log(1 + y_true))**2)``.

    Values below epsilon (1e-7) count as epsilon, so it is for targets that are not negative.
    """
    tiny = config.epsilon()
    difference = xp.log1p(xp.maximum(y_pred, tiny)) - xp.log1p(xp.maximum(y_true, tiny))
    return xp.mean(xp.square(difference), axis=-1)


@op
def huber(xp, y_true, y_pred, *, delta=1.0):
    """Squared for small differences, linear for large ones, so that outliers pull less.

        d = y_pred - y_true
        out = mean(d**2 / 2                      where |d| <= delta,
                   delta * |d| - delta**2 / 2    elsewhere)

    Source: Huber, "Robust estimation of a location parameter", 1964.
    """
    d = y_pred - y_true
    size = xp.abs(d)
    linear = delta * size - 0.5 * delta * delta
    return xp.mean(xp.where(size <= delta, 0.5 * d * d, linear), axis=-1)


@op
def log_cosh(xp, y_true, y_pred):
    """``mean(log(cosh(y_pred - y_true)))``: near d**2 / 2 for small d, |d| - log(2) for large.

    Computed as ``log(exp(d) + exp(-d)) - log(2)`` without overflow.
    """
    d = y_pred - y_true
    return xp.mean(xp.logaddexp(d, -d) - math.log(2.0), axis=-1)


@op
def cosine_similarity(xp, y_true, y_pred, *, axis=-1):
    """Minus the cosine of the angle between targets and outputs: -1 where they point one way.

        out = -sum(y_true * y_pred) / (|y_true| * |y_pred|)

    A vector of zeros has similarity 0 to everything.
    """
    return -xp.sum(_direction(xp, y_true, axis) * _direction(xp, y_pred, axis), axis=axis)


def _direction(xp, x, axis):
    squares = xp.sum(x * x, axis=axis, keepdims=True)
    return x / xp.sqrt(xp.maximum(squares, config.epsilon() ** 2))


@op
def hinge(xp, y_true, y_pred):
    """``mean(max(1 - y_true * y_pred, 0))`` for labels -1 and 1.

    Labels that are all 0 or 1 are taken as -1 and 1.
    """
    return xp.mean(xp.maximum(1.0 - _signs(xp, y_true) * y_pred, 0.0), axis=-1)


@op
def squared_hinge(xp, y_true, y_pred):
    """``mean(max(1 - y_true * y_pred, 0)**2)`` for labels -1 and 1, or 0 and 1 as in ``hinge``."""
    return xp.mean(xp.square(xp.maximum(1.0 - _signs(xp, y_true) * y_pred, 0.0)), axis=-1)


def _signs(xp, y_true):
    """Labels 0 and 1 as -1 and 1; others as they are."""
    binary = xp.all((y_true == 0) | (y_true == 1))
    return xp.where(binary, 2.0 * y_true - 1.0, y_true)


@op
def categorical_hinge(xp, y_true, y_pred):
    """The margin between the score of the true class and the best of the others.

        out = max(max((1 - y_true) * y_pred) - sum(y_true * y_pred) + 1, 0)

    ``y_true`` is one-hot.
    """
    positive = xp.sum(y_true * y_pred, axis=-1)
    negative = xp.max((1.0 - y_true) * y_pred, axis=-1)
    return xp.maximum(negative - positive + 1.0, 0.0)


@op
def kl_divergence(xp, y_true, y_pred):
    """How much a distribution differs from the true one: ``sum(y_true * log(y_true / y_pred))``.

    Probabilities are cut to [1e-7, 1].

    Source: Kullback and Leibler, "On information and sufficiency", 1951.
    """
    y_true = xp.clip(y_true, config.epsilon(), 1.0)
    y_pred = xp.clip(y_pred, config.epsilon(), 1.0)
    return xp.sum(y_true * xp.log(y_true / y_pred), axis=-1)


@op
def poisson(xp, y_true, y_pred):
    """The negative log-likelihood of counts, less a constant.

        out = mean(y_pred - y_true * log(y_pred))

    ``y_pred`` is the expected count; epsilon (1e-7) is added to it within the logarithm.
    """
    return xp.mean(y_pred - y_true * xp.log(y_pred + config.epsilon()), axis=-1)
