"""Counts of right and wrong yes-or-no answers, and what follows from them.

An answer is ``y_pred > threshold``. With several thresholds one sort of the outputs serves them
all.
"""

import math

from lamina.metrics._metric import Metric, quotient, spread


class Counts(Metric):
    """What the metrics of this file share: the counts of answers at each threshold.

    Args:
        thresholds: a number or a list of numbers from 0 to 1; None is 0.5.
        name, dtype: as for ``Metric``.
        top_k: take as yes the k largest outputs of each sample, and nothing else.
        class_id: look at this column of the outputs only.
    """

    targets = "outputs"
    wanted: tuple[str, ...] = (
        "true_positives",
        "false_positives",
        "true_negatives",
        "false_negatives",
    )

    def __init__(self, thresholds=None, name=None, dtype=None, top_k=None, class_id=None):
        super().__init__(dtype, name)
        given = [0.5] if thresholds is None else thresholds
        self.thresholds = list(given) if isinstance(given, list | tuple) else [given]
        for threshold in self.thresholds:
            if threshold is None or not 0 <= threshold <= 1:
                raise ValueError(f"thresholds lie between 0 and 1, got {threshold!r}")
        self.top_k = top_k
        self.class_id = class_id
        self._given = thresholds
        self._grid = None

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        xp, y_true, y_pred, weights = self._inputs(y_true, y_pred, sample_weight)
        if weights is not None and weights.ndim == y_pred.ndim == 2 and weights.shape[-1] == 1:
            weights = weights[:, 0]
        thresholds = self.thresholds
        if self.top_k is not None:
            chosen = _among_largest(xp, y_pred, self.top_k)
            if self._given is None:
                y_pred = xp.astype(chosen, y_pred.dtype)
            else:
                y_pred = xp.where(chosen, y_pred, -1.0)
        if self.class_id is not None:
            y_true, y_pred = y_true[..., self.class_id], y_pred[..., self.class_id]
        if weights is not None:
            weights = spread(xp, weights, y_pred.shape)
        if len(thresholds) == 1:
            counted = counts_at(xp, y_true != 0, y_pred > thresholds[0], weights, self._wide)
        else:
            if self._grid is None or not self._place.owns(self._grid):
                self._grid = self._place.asarray(thresholds, y_pred.dtype)
            counted = counts_over(xp, y_true != 0, y_pred, self._grid, weights, self._wide)
        self.add(**{name: counted[name] for name in self.wanted})

    def _share(self, top, other):
        """``top / (top + other)`` of two counts, by name."""
        if not self.sums:
            return 0.0
        top, other = self.sums[top], self.sums[other]
        return quotient(self._namespace(), top, top + other)

    def get_config(self) -> dict:
        return {**super().get_config(), "thresholds": self._given}


def _among_largest(xp, y_pred, k):
    """Whether an output is one of the k largest of its sample."""
    order = xp.argsort(-y_pred, axis=-1)
    return xp.argsort(order, axis=-1) < k


def counts_at(xp, label, answer, weights, wide) -> dict:
    """The four counts for answers given as booleans; numbers of any shape, summed over all."""
    label = xp.astype(label, wide)
    answer = xp.astype(answer, wide)
    if weights is not None:
        weights = xp.astype(weights, wide)
        total = xp.sum(weights)
        hits = xp.sum(label * answer * weights)
        label, answer = label * weights, answer * weights
    else:
        total = math.prod(label.shape)
        hits = xp.sum(label * answer)
    positives, yes = xp.sum(label), xp.sum(answer)
    return _four(hits, yes, positives, total)


def counts_over(xp, label, y_pred, thresholds, weights, wide) -> dict:
    """The four counts for every threshold, from one sort: arrays of the shape of ``thresholds``.

    With the outputs in rising order, those above a threshold are all from one place on, so that
    their count is the total less a cumulative sum at that place.
    """
    y_pred = xp.reshape(y_pred, (-1,))
    order = xp.argsort(y_pred)
    label = xp.astype(xp.reshape(label, (-1,)), wide)
    if weights is None:
        weights = xp.ones_like(label)
    else:
        weights = xp.astype(xp.reshape(weights, (-1,)), wide)
    below = xp.searchsorted(xp.take(y_pred, order, axis=0), thresholds, side="right")

    def above(values):
        sums = xp.cumulative_sum(xp.take(values, order, axis=0), include_initial=True)
        return sums[-1, ...] - xp.take(sums, below, axis=0), sums[-1, ...]

    hits, positives = above(label * weights)
    yes, total = above(weights)
    return _four(hits, yes, positives, total)


def _four(hits, yes, positives, total) -> dict:
    return {
        "true_positives": hits,
        "false_positives": yes - hits,
        "false_negatives": positives - hits,
        "true_negatives": total - yes - positives + hits,
    }


class _One(Counts):
    """One of the four counts; a number for one threshold, an array for several."""

    def __init__(self, thresholds=None, name=None, dtype=None):
        super().__init__(thresholds, name, dtype)

    def result(self):
        return self.sums.get(self.wanted[0], 0.0)


class TruePositives(_One):
    """How many answers are yes, and rightly.

    Args:
        thresholds: a number or a list of numbers from 0 to 1; None is 0.5.
        name, dtype: as for ``Metric``.
    """

    wanted = ("true_positives",)


class TrueNegatives(_One):
    """How many answers are no, and rightly; arguments as for ``TruePositives``."""

    wanted = ("true_negatives",)


class FalsePositives(_One):
    """How many answers are yes, and wrongly; arguments as for ``TruePositives``."""

    wanted = ("false_positives",)


class FalseNegatives(_One):
    """How many answers are no, and wrongly; arguments as for ``TruePositives``."""

    wanted = ("false_negatives",)


class _Share(Counts):
    def __init__(self, thresholds=None, top_k=None, class_id=None, name=None, dtype=None):
        super().__init__(thresholds, name, dtype, top_k, class_id)

    def result(self):
        return self._share(*self.wanted)

    def get_config(self) -> dict:
        return {**super().get_config(), "top_k": self.top_k, "class_id": self.class_id}


class Precision(_Share):
    """How many of the answers yes are right: ``true positives / (true + false positives)``.

    0 where there was no such answer.

    Args:
        thresholds: a number or a list of numbers from 0 to 1; None is 0.5.
        top_k: take as yes the k largest outputs of each sample, and nothing else.
        class_id: look at this column of the outputs only.
        name, dtype: as for ``Metric``.

    Example:
        >>> float(lamina.metrics.Precision()([0, 1, 1, 1], [1.0, 0.0, 1.0, 1.0]))
        0.6666666666666666
    """

    wanted = ("true_positives", "false_positives")


class Recall(_Share):
    """How many of those that are are found: ``true positives / (true pos. + false negatives)``.

    0 where there are none; arguments as for ``Precision``.
    """

    wanted = ("true_positives", "false_negatives")
