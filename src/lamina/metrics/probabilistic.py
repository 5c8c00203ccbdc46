"""Metrics of probabilities and scores: crossentropies, divergence, hinges.

Each is the mean of a loss; its formula is in ``ops/losses.py`` or ``ops/crossentropies.py``.
"""

from lamina.metrics.reduction import Elementwise
from lamina.ops import losses as ops


class BinaryCrossentropy(Elementwise):
    """Crossentropy of independent yes-or-no answers; also "bce".

    Args:
        name, dtype: as for ``Metric``.
        from_logits: whether outputs are the scores before the sigmoid.
        label_smoothing: moves labels by this share towards 1/2.
    """

    def __init__(
        self, name="binary_crossentropy", dtype=None, from_logits=False, label_smoothing=0
    ):
        super().__init__(
            ops.binary_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
        )


class CategoricalCrossentropy(Elementwise):
    """Crossentropy of one choice among classes, for one-hot targets.

    Args:
        name, dtype: as for ``Metric``.
        from_logits: whether outputs are the scores before the softmax.
        label_smoothing: moves labels by this share towards 1 / classes.
        axis: the axis of the classes.
    """

    def __init__(
        self,
        name="categorical_crossentropy",
        dtype=None,
        from_logits=False,
        label_smoothing=0,
        axis=-1,
    ):
        super().__init__(
            ops.categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class SparseCategoricalCrossentropy(Elementwise):
    """Crossentropy of one choice among classes, for class numbers.

    Args:
        name, dtype: as for ``Metric``.
        from_logits: whether outputs are the scores before the softmax.
        ignore_class: a number, such as -1, of samples that do not count; or None.
        axis: the axis of the classes.
    """

    targets = "classes"

    def __init__(
        self,
        name="sparse_categorical_crossentropy",
        dtype=None,
        from_logits=False,
        ignore_class=None,
        axis=-1,
    ):
        super().__init__(
            ops.sparse_categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:  # type: ignore[override]
        ignored = self.options["ignore_class"]
        if ignored is not None:
            xp, y_true, y_pred, weights = self._inputs(y_true, y_pred, sample_weight)
            counts = xp.astype(y_true != ignored, self._wide)
            sample_weight = counts if weights is None else counts * weights
        super().update_state(y_true, y_pred, sample_weight)


class KLDivergence(Elementwise):
    """``sum(y_true * log(y_true / y_pred))`` of two distributions; also "kld"."""

    def __init__(self, name="kl_divergence", dtype=None):
        super().__init__(ops.kl_divergence, name, dtype)


class Hinge(Elementwise):
    """``mean(max(1 - y_true * y_pred, 0))`` for labels -1 and 1, or 0 and 1."""

    def __init__(self, name="hinge", dtype=None):
        super().__init__(ops.hinge, name, dtype)


class SquaredHinge(Elementwise):
    """``mean(max(1 - y_true * y_pred, 0)**2)`` for labels -1 and 1, or 0 and 1."""

    def __init__(self, name="squared_hinge", dtype=None):
        super().__init__(ops.squared_hinge, name, dtype)


class CategoricalHinge(Elementwise):
    """The margin between the true class's score and the best of the others, for one-hot targets."""

    def __init__(self, name="categorical_hinge", dtype=None):
        super().__init__(ops.categorical_hinge, name, dtype)
