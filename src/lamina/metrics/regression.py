"""Metrics of numbers: errors, squared, absolute and relative, and the share of variance explained.

Those that are the mean of a loss name an op of ``ops/losses.py``, where the formula is.
"""

from lamina.errors import unknown
from lamina.metrics._metric import Metric, spread
from lamina.metrics.reduction import Elementwise
from lamina.ops import losses as ops


class MeanSquaredError(Elementwise):
    """``mean((y_pred - y_true)**2)``; also "mse".

    Args:
        name, dtype: as for ``Metric``.
    """

    def __init__(self, name="mean_squared_error", dtype=None):
        super().__init__(ops.mean_squared_error, name, dtype)


class MeanAbsoluteError(Elementwise):
    """``mean(|y_pred - y_true|)``; also "mae"."""

    def __init__(self, name="mean_absolute_error", dtype=None):
        super().__init__(ops.mean_absolute_error, name, dtype)


class MeanAbsolutePercentageError(Elementwise):
    """``100 * mean(|(y_true - y_pred) / y_true|)``; also "mape"."""

    def __init__(self, name="mean_absolute_percentage_error", dtype=None):
        super().__init__(ops.mean_absolute_percentage_error, name, dtype)


class MeanSquaredLogarithmicError(Elementwise):
    """``mean((log(1 + y_pred) - log(1 + y_true))**2)``; also "msle"."""

    def __init__(self, name="mean_squared_logarithmic_error", dtype=None):
        super().__init__(ops.mean_squared_logarithmic_error, name, dtype)


class LogCoshError(Elementwise):
    """``mean(log(cosh(y_pred - y_true)))``."""

    def __init__(self, name="logcosh", dtype=None):
        super().__init__(ops.log_cosh, name, dtype)


class Poisson(Elementwise):
    """``mean(y_pred - y_true * log(y_pred))``."""

    def __init__(self, name="poisson", dtype=None):
        super().__init__(ops.poisson, name, dtype)


class RootMeanSquaredError(Elementwise):
    """``sqrt(mean((y_pred - y_true)**2))``: in the units of the targets; also "rmse"."""

    def __init__(self, name="root_mean_squared_error", dtype=None):
        super().__init__(ops.mean_squared_error, name, dtype)

    def result(self):
        mean = super().result()
        return mean**0.5


class CosineSimilarity(Elementwise):
    """The mean cosine of the angle between targets and outputs: 1 where they point one way.

    The loss of that name is minus this.

    Args:
        name, dtype: as for ``Metric``.
        axis: the axis of the vectors.
    """

    def __init__(self, name="cosine_similarity", dtype=None, axis=-1):
        super().__init__(cosine, name, dtype, axis=axis)


def cosine(y_true, y_pred, axis=-1):
    """The cosine of the angle between targets and outputs."""
    return -ops.cosine_similarity(y_true, y_pred, axis=axis)


class R2Score(Metric):
    """The share of the variance of the targets that the outputs explain.

        R2 = 1 - sum((y_true - y_pred)**2) / sum((y_true - mean(y_true))**2)

    1 is perfect, 0 no better than the mean, and there is no lower end. Targets that do not vary
    have score 1 where they are met exactly, else 0.

    Args:
        class_aggregation: what is done with several columns: "uniform_average", their mean;
            "variance_weighted_average", their mean by variance; None, one score for each.
        num_regressors: how many inputs the model has, for the adjusted score,
            ``1 - (1 - R2) * (n - 1) / (n - num_regressors - 1)``; 0 is the plain one.
        name, dtype: as for ``Metric``.

    Raises:
        ValueError: for the adjusted score of no more samples than ``num_regressors + 1``.

    Example:
        >>> round(float(lamina.metrics.R2Score()([[1], [4], [3]], [[2], [4], [4]])), 4)
        0.5714
    """

    targets = "outputs"

    def __init__(
        self, class_aggregation="uniform_average", num_regressors=0, name="r2_score", dtype=None
    ):
        super().__init__(dtype, name)
        if class_aggregation is not None and class_aggregation not in _AGGREGATIONS:
            raise unknown("class_aggregation", class_aggregation, _AGGREGATIONS)
        if num_regressors < 0:
            raise ValueError(f"num_regressors must not be negative, got {num_regressors}")
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        xp, y_true, y_pred, weights = self._inputs(y_true, y_pred, sample_weight)
        width = y_true.shape[-1] if y_true.ndim > 1 else 1
        y = xp.reshape(xp.astype(y_true, self._wide), (-1, width))
        error = y - xp.reshape(xp.astype(y_pred, self._wide), (-1, width))
        if weights is None:
            weights = xp.ones_like(y)
        else:
            weights = xp.astype(spread(xp, weights, y_true.shape), self._wide)
            weights = xp.reshape(weights, (-1, width))
        weighted = y * weights
        self.add(
            sum=xp.sum(weighted, axis=0),
            squared_sum=xp.sum(y * weighted, axis=0),
            residual=xp.sum(error * error * weights, axis=0),
            count=xp.sum(weights, axis=0),
            samples=y.shape[0],
        )

    def result(self):
        if not self.sums:
            return 0.0
        found = self.sums
        xp = self._namespace()
        total = found["squared_sum"] - found["sum"] * found["sum"] / found["count"]
        constant = total == 0
        explained = 1.0 - found["residual"] / xp.where(constant, xp.ones_like(total), total)
        met = xp.astype(found["residual"] == 0, total.dtype)
        score = xp.where(constant, met, explained)
        if self.class_aggregation == "uniform_average":
            score = xp.mean(score)
        elif self.class_aggregation is not None:
            score = xp.sum(total * score) / xp.sum(total)
        if not self.num_regressors:
            return score
        freedom = int(found["samples"]) - self.num_regressors - 1
        if freedom < 1:
            raise ValueError(
                f"the adjusted score of {self.num_regressors} regressors needs at least "
                f"{self.num_regressors + 2} samples, got {found['samples']}"
            )
        return 1.0 - (1.0 - score) * ((found["samples"] - 1) / freedom)

    def get_config(self) -> dict:
        settings = {
            "class_aggregation": self.class_aggregation,
            "num_regressors": self.num_regressors,
        }
        return {**super().get_config(), **settings}


_AGGREGATIONS = ("uniform_average", "variance_weighted_average")
