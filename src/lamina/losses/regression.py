"""Losses of numbers: squared, absolute, relative, robust, of counts and of directions.

Each class names an op of ``ops/losses.py``, where its formula is.
"""

from lamina.losses._loss import Elementwise
from lamina.ops import losses as ops


class MeanSquaredError(Elementwise):
    """``mean((y_pred - y_true)**2)``; also "mse".

    Args:
        reduction, name, dtype: as for ``Loss``.

    Example:
        >>> float(lamina.losses.MeanSquaredError()([[0.0], [1.0]], [[1.0], [1.0]]))
        0.5
    """

    def __init__(self, reduction="sum_over_batch_size", name="mean_squared_error", dtype=None):
        super().__init__(ops.mean_squared_error, reduction, name, dtype)


class SumOfSquares(Elementwise):
    """``sum((y_pred - y_true)**2) / 2``: half the summed squared error, as textbooks derive with.

    The gradient of a sample's value is the plain difference ``y_pred - y_true``. For the textbooks'
    sum over all samples, too, use ``SumOfSquares(reduction="sum")``.
    """

    def __init__(self, reduction="sum_over_batch_size", name="sum_of_squares", dtype=None):
        super().__init__(ops.sum_of_squares, reduction, name, dtype)


class MeanAbsoluteError(Elementwise):
    """``mean(|y_pred - y_true|)``; also "mae"."""

    def __init__(self, reduction="sum_over_batch_size", name="mean_absolute_error", dtype=None):
        super().__init__(ops.mean_absolute_error, reduction, name, dtype)


class MeanAbsolutePercentageError(Elementwise):
    """``100 * mean(|(y_true - y_pred) / y_true|)``; also "mape"."""

    def __init__(
        self, reduction="sum_over_batch_size", name="mean_absolute_percentage_error", dtype=None
    ):
        super().__init__(ops.mean_absolute_percentage_error, reduction, name, dtype)


class MeanSquaredLogarithmicError(Elementwise):
    """``mean((log(1 + y_pred) - log(1 + y_true))**2)``; also "msle"."""

    def __init__(
        self, reduction="sum_over_batch_size", name="mean_squared_logarithmic_error", dtype=None
    ):
        super().__init__(ops.mean_squared_logarithmic_error, reduction, name, dtype)


class Huber(Elementwise):
    """Squared for differences up to ``delta``, linear beyond."""

    def __init__(self, delta=1.0, reduction="sum_over_batch_size", name="huber_loss", dtype=None):
        super().__init__(ops.huber, reduction, name, dtype, delta=delta)


class LogCosh(Elementwise):
    """``mean(log(cosh(y_pred - y_true)))``."""

    def __init__(self, reduction="sum_over_batch_size", name="log_cosh", dtype=None):
        super().__init__(ops.log_cosh, reduction, name, dtype)


class CosineSimilarity(Elementwise):
    """Minus the cosine of the angle between targets and outputs, along ``axis``."""

    def __init__(
        self, axis=-1, reduction="sum_over_batch_size", name="cosine_similarity", dtype=None
    ):
        super().__init__(ops.cosine_similarity, reduction, name, dtype, axis=axis)


class Poisson(Elementwise):
    """``mean(y_pred - y_true * log(y_pred))`` for counts ``y_true`` and expected counts."""

    labels = "count"

    def __init__(self, reduction="sum_over_batch_size", name="poisson", dtype=None):
        super().__init__(ops.poisson, reduction, name, dtype)
