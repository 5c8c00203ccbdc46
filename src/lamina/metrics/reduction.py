"""Means and sums over all batches, and the metric that a function becomes."""

import math

from lamina import backend
from lamina.autograd import Tensor
from lamina.metrics._metric import Metric, is_floating, quotient, spread


class Mean(Metric):
    """The mean of values, weighted where weights are given.

        result = sum(weight * value) / sum(weight)

    Of values with several axes the mean over all but the first is taken first, as one value of a
    sample.

    Args:
        name, dtype: as for ``Metric``.

    Example:
        >>> mean = lamina.metrics.Mean()
        >>> mean.update_state([1.0, 3.0, 5.0, 7.0])
        >>> float(mean.result())
        4.0
    """

    def __init__(self, name="mean", dtype=None):
        super().__init__(dtype, name)

    def update_state(self, values, sample_weight=None) -> None:  # type: ignore[override]
        """Take in values, one or several for each sample."""
        xp, _, values, weights = self._inputs(values, values, sample_weight)
        self._take(xp, values, weights)

    def result(self):
        if not self.sums:
            return 0.0
        return quotient(self._namespace(), self.sums["total"], self.sums["count"])

    def _take(self, xp, values, weights):
        if not backend.is_array(values):
            values = self._place.asarray(values)
        if not is_floating(xp, values.dtype):
            values = xp.astype(values, self._wide)
        if weights is not None:
            if weights.ndim and values.ndim > weights.ndim:
                trailing = tuple(range(weights.ndim, values.ndim))
                values = xp.mean(values, axis=trailing)
            weights = spread(xp, weights, values.shape)
            values = values * weights
        width = math.prod(values.shape[1:])
        total = xp.sum(values, dtype=self._wide)
        if weights is None:
            count = values.shape[0] if values.ndim else 1
        else:
            count = xp.sum(weights, dtype=self._wide)
            count = count / width if width > 1 else count
        self.add(total=total / width if width > 1 else total, count=count)


class Sum(Metric):
    """The sum of values, weighted where weights are given.

    Args:
        name, dtype: as for ``Metric``.
    """

    def __init__(self, name="sum", dtype=None):
        super().__init__(dtype, name)

    def update_state(self, values, sample_weight=None) -> None:  # type: ignore[override]
        """Take in values, one or several for each sample."""
        xp, _, values, weights = self._inputs(values, values, sample_weight)
        if weights is not None:
            values = values * spread(xp, weights, values.shape)
        if not is_floating(xp, values.dtype):
            values = xp.astype(values, self._wide)
        self.add(total=xp.sum(values, dtype=self._wide))

    def result(self):
        return self.sums.get("total", 0.0)


class MeanMetricWrapper(Mean):
    """The mean of a function's values.

    Args:
        fn: a function (y_true, y_pred, **options) of arrays on the device, with one value per
            sample, several, or one number for the batch.
        name: as for ``Metric``; that of the function where None.
        dtype: as for ``Metric``.
        options: further arguments of the function.
    """

    def __init__(self, fn, name=None, dtype=None, **options):
        super().__init__(name or getattr(fn, "__name__", type(fn).__name__), dtype)
        self.fn = fn
        self.options = options

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:  # type: ignore[override]
        xp, y_true, y_pred, weights = self._inputs(y_true, y_pred, sample_weight)
        values = self.fn(y_true, y_pred, **self.options)
        self._take(xp, values.data if isinstance(values, Tensor) else values, weights)

    def get_config(self) -> dict:
        return {**super().get_config(), **self.options}


class Elementwise(MeanMetricWrapper):
    """The mean of a function of this library, with one target per output."""

    targets = "outputs"
