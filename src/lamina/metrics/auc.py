"""Areas under curves: how well outputs put the positives before the negatives."""

from lamina import backend, config
from lamina.errors import unknown
from lamina.metrics._metric import Metric, quotient, spread
from lamina.metrics.confusion import counts_over
from lamina.ops.activations import sigmoid

_CURVES = ("PR", "ROC")
_METHODS = ("interpolation", "majoring", "minoring")


class AUC(Metric):
    """The area under the ROC curve, or under that of precision over recall.

    By default the curve is drawn through ``num_thresholds`` points, so the state is small and the
    result near; ``exact=True`` keeps all outputs and takes every one as a threshold: for ROC the
    probability that a positive comes before a negative, for PR the average precision.

    Args:
        num_thresholds: points of the curve, evenly between 0 and 1.
        curve: "ROC" (recall over the share of negatives taken for positives) or "PR" (precision
            over recall).
        summation_method: "interpolation" (trapezoids; for PR the interpolation of Davis and
            Goadrich, "The relationship between precision-recall and ROC curves", 2006), "minoring"
            or "majoring" (the lower or upper end of each piece).
        name, dtype: as for ``Metric``.
        thresholds: the points, in place of ``num_thresholds``; 0 and 1 are added.
        multi_label: whether each column has a curve of its own; the result is their mean.
        num_labels: how many columns, where that shall be checked.
        label_weights: weights of the columns in that mean, or of their values without
            ``multi_label``.
        from_logits: whether outputs are the scores before the sigmoid.
        exact: see above.

    Example:
        >>> float(lamina.metrics.AUC(num_thresholds=3)([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9]))
        0.75
    """

    targets = "outputs"

    def __init__(
        self,
        num_thresholds=200,
        curve="ROC",
        summation_method="interpolation",
        name=None,
        dtype=None,
        thresholds=None,
        multi_label=False,
        num_labels=None,
        label_weights=None,
        from_logits=False,
        *,
        exact=False,
    ):
        super().__init__(dtype, name)
        if str(curve).upper() not in _CURVES:
            raise unknown("curve", curve, _CURVES)
        if str(summation_method).lower() not in _METHODS:
            raise unknown("summation method", summation_method, _METHODS)
        if thresholds is None:
            if num_thresholds < 2:
                raise ValueError(f"a curve needs at least 2 thresholds, got {num_thresholds}")
            inner = [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]
        else:
            inner = sorted(thresholds)
        self._settings = {
            "num_thresholds": num_thresholds,
            "curve": str(curve).upper(),
            "summation_method": str(summation_method).lower(),
            "thresholds": thresholds,
            "multi_label": multi_label,
            "num_labels": num_labels,
            "label_weights": label_weights,
            "from_logits": from_logits,
            "exact": exact,
        }
        self.thresholds = [-config.epsilon(), *inner, 1.0 + config.epsilon()]
        self._grid = None
        self._seen = []  # with exact=True the batches: (labels, outputs, weights)

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        xp, y_true, y_pred, weights = self._inputs(y_true, y_pred, sample_weight)
        columns = y_pred.shape[-1] if y_pred.ndim == 2 else 1
        labels = self._settings["num_labels"]
        if labels is not None and labels != columns:
            raise ValueError(f"the {self} was made for {labels} labels, got outputs of {columns}")
        if self._settings["from_logits"]:
            y_pred = sigmoid(y_pred)
        if weights is not None and weights.ndim == y_pred.ndim == 2 and weights.shape[-1] == 1:
            weights = weights[:, 0]
        weights = None if weights is None else spread(xp, weights, y_pred.shape)
        by_column = self._settings["label_weights"]
        if by_column is not None and not self._settings["multi_label"]:
            row = spread(xp, self._place.asarray([by_column], y_pred.dtype), y_pred.shape)
            weights = row if weights is None else weights * row
        batches = [(y_true != 0, y_pred, weights)]
        if self._settings["multi_label"]:
            if y_pred.ndim != 2:
                raise ValueError(
                    f"the {self} has multi_label=True and needs outputs of shape (batch, labels), "
                    f"got {tuple(y_pred.shape)}"
                )
            batches = [
                (y_true[:, i] != 0, y_pred[:, i], None if weights is None else weights[:, i])
                for i in range(columns)
            ]
        if self._settings["exact"]:
            self._keep(xp, batches)
            return
        if self._grid is None or not self._place.owns(self._grid):
            self._grid = self._place.asarray(self.thresholds, y_pred.dtype)
        counted = [
            counts_over(xp, label, xp.minimum(xp.maximum(p, 0.0), 1.0), self._grid, w, self._wide)
            for label, p, w in batches
        ]
        self.add(**{name: xp.stack([c[name] for c in counted]) for name in counted[0]})

    def _keep(self, xp, batches):
        """Lay the batches, one row for each curve, behind those before."""
        parts = {"labels": [], "outputs": [], "weights": []}
        for label, p, w in batches:
            label = xp.reshape(xp.astype(label, self._wide), (-1,))
            parts["labels"].append(label)
            parts["outputs"].append(xp.reshape(xp.astype(p, self._wide), (-1,)))
            w = xp.ones_like(label) if w is None else xp.reshape(xp.astype(w, self._wide), (-1,))
            parts["weights"].append(w)
        self._seen.append({name: xp.stack(rows) for name, rows in parts.items()})

    def state(self) -> dict:
        self._join()
        return super().state()

    def reset_state(self) -> None:
        super().reset_state()
        self._seen = []

    def _join(self):
        """Batches kept since the last look become part of the state."""
        if self._seen:
            xp = self._place.xp
            before = [self.sums] if self.sums else []
            self.sums = {
                name: xp.concat([part[name] for part in (*before, *self._seen)], axis=1)
                for name in self._seen[0]
            }
            self._seen = []

    def result(self):
        self._join()
        if not self.sums:
            return 0.0
        xp = self._namespace()
        if self._settings["exact"]:
            area = _average_precision if self._settings["curve"] == "PR" else _exact_roc
            rows = range(self.sums["labels"].shape[0])
            areas = xp.stack([area(xp, *(self.sums[n][i, ...] for n in self.sums)) for i in rows])
        else:
            areas = self._areas(xp)
        by_column = self._settings["label_weights"]
        if by_column is None or not self._settings["multi_label"]:
            return xp.mean(areas)
        by_column = backend.of(areas).asarray(by_column, areas.dtype)
        return quotient(xp, xp.sum(areas * by_column), xp.sum(by_column))

    def _areas(self, xp):
        """The area of each row of the counts."""
        tp, fp = self.sums["true_positives"], self.sums["false_positives"]
        fn, tn = self.sums["false_negatives"], self.sums["true_negatives"]
        curve, method = self._settings["curve"], self._settings["summation_method"]
        if curve == "PR" and method == "interpolation":
            return _interpolated_precision(xp, tp, fp, fn)
        recall = quotient(xp, tp, tp + fn)
        if curve == "ROC":
            x, y = quotient(xp, fp, fp + tn), recall
        else:
            x, y = recall, quotient(xp, tp, tp + fp)
        left, right = y[:, :-1], y[:, 1:]
        if method == "interpolation":
            heights = 0.5 * (left + right)
        else:
            heights = (xp.minimum if method == "minoring" else xp.maximum)(left, right)
        return xp.sum((x[:, :-1] - x[:, 1:]) * heights, axis=-1)

    def get_config(self) -> dict:
        return {**super().get_config(), **self._settings}


def _interpolated_precision(xp, tp, fp, fn):
    """Davis and Goadrich, 2006: between two points, precision follows from counts in proportion."""
    p = tp + fp
    gain = tp[:, :-1] - tp[:, 1:]
    slope = quotient(xp, gain, xp.maximum(p[:, :-1] - p[:, 1:], 0.0))
    intercept = tp[:, 1:] - slope * p[:, 1:]
    both = (p[:, :-1] > 0) & (p[:, 1:] > 0)
    ratio = xp.where(both, quotient(xp, p[:, :-1], p[:, 1:]), 1.0)
    pieces = slope * (gain + intercept * xp.log(ratio))
    return xp.sum(quotient(xp, pieces, tp[:, 1:] + fn[:, 1:]), axis=-1)


def _ranked(xp, labels, outputs, weights):
    """Labels in rising order of outputs, the weights of positives and of all before each place, and
    for each sample the first place of its output and the one after its last."""
    order = xp.argsort(outputs)
    outputs = xp.take(outputs, order, axis=0)
    positive = xp.take(labels * weights, order, axis=0)
    everyone = xp.take(weights, order, axis=0)
    first = xp.searchsorted(outputs, outputs, side="left")
    last = xp.searchsorted(outputs, outputs, side="right")
    positives = xp.cumulative_sum(positive, include_initial=True)
    return positive, positives, xp.cumulative_sum(everyone, include_initial=True), first, last


def _exact_roc(xp, labels, outputs, weights):
    """The weight of pairs in which the positive comes before the negative, ties by half."""
    positive, positives, everyone, first, last = _ranked(xp, labels, outputs, weights)
    negatives = everyone - positives
    before, through = xp.take(negatives, first, axis=0), xp.take(negatives, last, axis=0)
    won = xp.sum(positive * 0.5 * (before + through))
    return quotient(xp, won, positives[-1, ...] * negatives[-1, ...])


def _average_precision(xp, labels, outputs, weights):
    """The mean over the positives of the precision at their own outputs."""
    positive, positives, everyone, first, _ = _ranked(xp, labels, outputs, weights)
    yes = everyone[-1, ...] - xp.take(everyone, first, axis=0)
    hits = positives[-1, ...] - xp.take(positives, first, axis=0)
    return quotient(xp, xp.sum(positive * quotient(xp, hits, yes)), positives[-1, ...])
