"""Losses of classes: crossentropies, their focal kin, divergence, hinges.

Each class names an op of ``ops/losses.py`` or ``ops/crossentropies.py``, where its formula is.
"""

from lamina.losses._loss import Elementwise
from lamina.ops import losses as ops


class BinaryCrossentropy(Elementwise):
    """Crossentropy of independent yes-or-no answers; also "bce".

    Args:
        from_logits: whether outputs are the scores before the sigmoid, which is more exact.
        label_smoothing: moves labels by this share towards 1/2.
        axis: the axis of the mean.
        reduction, name, dtype: as for ``Loss``.
    """

    labels = "probability"

    def __init__(
        self,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="binary_crossentropy",
        dtype=None,
    ):
        super().__init__(
            ops.binary_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class BinaryFocalCrossentropy(Elementwise):
    """Binary crossentropy in which samples that are answered well already count little.

    Args:
        apply_class_balancing: whether positives count ``alpha`` and negatives ``1 - alpha``.
        alpha: see there.
        gamma: how much less the good ones count; 0 is plain crossentropy.
        from_logits, label_smoothing, axis: as for ``BinaryCrossentropy``.
        reduction, name, dtype: as for ``Loss``.
    """

    labels = "probability"

    def __init__(
        self,
        apply_class_balancing=False,
        alpha=0.25,
        gamma=2.0,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="binary_focal_crossentropy",
        dtype=None,
    ):
        super().__init__(
            ops.binary_focal_crossentropy,
            reduction,
            name,
            dtype,
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class CategoricalCrossentropy(Elementwise):
    """Crossentropy of one choice among classes, for one-hot targets.

    Args:
        from_logits: whether outputs are the scores before the softmax, which is more exact.
        label_smoothing: moves labels by this share towards 1 / classes.
        axis: the axis of the classes.
        reduction, name, dtype: as for ``Loss``.
    """

    labels = "probability"
    one_choice = True

    def __init__(
        self,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="categorical_crossentropy",
        dtype=None,
    ):
        super().__init__(
            ops.categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class CategoricalFocalCrossentropy(Elementwise):
    """Categorical crossentropy in which samples that are answered well already count little.

    Args:
        alpha: a factor of all.
        gamma: how much less the good ones count; 0 is plain crossentropy.
        from_logits, label_smoothing, axis: as for ``CategoricalCrossentropy``.
        reduction, name, dtype: as for ``Loss``.
    """

    labels = "probability"
    one_choice = True

    def __init__(
        self,
        alpha=0.25,
        gamma=2.0,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="categorical_focal_crossentropy",
        dtype=None,
    ):
        super().__init__(
            ops.categorical_focal_crossentropy,
            reduction,
            name,
            dtype,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class SparseCategoricalCrossentropy(Elementwise):
    """Crossentropy of one choice among classes, for class numbers.

    Args:
        from_logits: whether outputs are the scores before the softmax, which is more exact.
        ignore_class: a number, such as -1, of samples that do not count; means are over the others.
        reduction: as for ``Loss``.
        axis: the axis of the classes.
        name, dtype: as for ``Loss``.

    Example:
        >>> loss = lamina.losses.SparseCategoricalCrossentropy(from_logits=True)
        >>> round(float(loss([0, 1], [[5.0, 0.0], [0.0, 5.0]])), 6)
        0.006715
    """

    targets = "classes"

    def __init__(
        self,
        from_logits=False,
        ignore_class=None,
        reduction="sum_over_batch_size",
        axis=-1,
        name="sparse_categorical_crossentropy",
        dtype=None,
    ):
        super().__init__(
            ops.sparse_categorical_crossentropy,
            reduction,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )

    def valid(self, y_true):
        ignored = self.options["ignore_class"]
        return None if ignored is None else y_true != ignored

    @property
    def masks(self):
        own = type(self).valid is SparseCategoricalCrossentropy.valid
        return not own or self.options["ignore_class"] is not None


class KLDivergence(Elementwise):
    """``sum(y_true * log(y_true / y_pred))`` of two distributions; also "kld"."""

    labels = "probability"
    one_choice = True

    def __init__(self, reduction="sum_over_batch_size", name="kl_divergence", dtype=None):
        super().__init__(ops.kl_divergence, reduction, name, dtype)


class Hinge(Elementwise):
    """``mean(max(1 - y_true * y_pred, 0))`` for labels -1 and 1, or 0 and 1."""

    def __init__(self, reduction="sum_over_batch_size", name="hinge", dtype=None):
        super().__init__(ops.hinge, reduction, name, dtype)


class SquaredHinge(Elementwise):
    """``mean(max(1 - y_true * y_pred, 0)**2)`` for labels -1 and 1, or 0 and 1."""

    def __init__(self, reduction="sum_over_batch_size", name="squared_hinge", dtype=None):
        super().__init__(ops.squared_hinge, reduction, name, dtype)


class CategoricalHinge(Elementwise):
    """The margin between the true class's score and the best of the others, for one-hot targets."""

    def __init__(self, reduction="sum_over_batch_size", name="categorical_hinge", dtype=None):
        super().__init__(ops.categorical_hinge, reduction, name, dtype)
