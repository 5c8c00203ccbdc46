"""F-scores: precision and recall in one number."""

from lamina import config
from lamina.errors import unknown
from lamina.metrics._metric import Metric

_AVERAGES = ("macro", "micro", "weighted")


class FBetaScore(Metric):
    """The weighted harmonic mean of precision and recall of each class.

        F = (1 + beta**2) * precision * recall / (beta**2 * precision + recall)

    Args:
        average: None, one score for each class; "micro", one of all counts together; "macro", the
            mean over classes; "weighted", the mean by how often classes occur.
        beta: how much more recall counts than precision.
        threshold: outputs above it are answers yes; None takes the largest output of each sample
            (of a single output, those above 0.5).
        name, dtype: as for ``Metric``.

    Source: van Rijsbergen, "Information Retrieval", 1979.
    """

    targets = "outputs"

    def __init__(self, average=None, beta=1.0, threshold=None, name="fbeta_score", dtype=None):
        super().__init__(dtype, name)
        if average is not None and average not in _AVERAGES:
            raise unknown("average", average, _AVERAGES)
        if not beta > 0:
            raise ValueError(f"beta must be positive, got {beta!r}")
        if threshold is not None and not 0 < threshold <= 1:
            raise ValueError(f"threshold must lie above 0 and up to 1, got {threshold!r}")
        self.average, self.beta, self.threshold = average, float(beta), threshold

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        xp, y_true, y_pred, weights = self._inputs(y_true, y_pred, sample_weight)
        if y_pred.ndim == 1:
            y_true, y_pred = y_true[:, None], y_pred[:, None]
        if y_pred.ndim != 2:
            raise ValueError(
                f"the {self} needs outputs of shape (batch, classes), got {tuple(y_pred.shape)}"
            )
        threshold = self.threshold
        if threshold is None and y_pred.shape[-1] == 1:
            threshold = 0.5
        if threshold is None:
            largest = y_pred >= xp.max(y_pred, axis=-1, keepdims=True)
            answer = largest & (xp.abs(y_pred) > 1e-9)  # a row of zeros says nothing
        else:
            answer = y_pred > threshold
        answer = xp.astype(answer, self._wide)
        label = xp.astype(y_true, self._wide)
        hits, yes, positives = label * answer, answer, label
        if weights is not None:
            weights = xp.reshape(xp.astype(weights, self._wide), (-1, 1))
            hits, yes, positives = hits * weights, yes * weights, positives * weights
        self.add(
            hits=xp.sum(hits, axis=0), yes=xp.sum(yes, axis=0), positives=xp.sum(positives, axis=0)
        )

    def result(self):
        if not self.sums:
            return 0.0
        hits, yes, positives = (self.sums[n] for n in ("hits", "yes", "positives"))
        xp, tiny = self._namespace(), config.epsilon()
        if self.average == "micro":
            hits, yes, all_positives = xp.sum(hits), xp.sum(yes), xp.sum(positives)
        else:
            all_positives = positives
        precision, recall = hits / (yes + tiny), hits / (all_positives + tiny)
        square = self.beta * self.beta
        score = (1.0 + square) * precision * recall / (square * precision + recall + tiny)
        if self.average == "weighted":
            return xp.sum(score * positives) / (xp.sum(positives) + tiny)
        if self.average == "macro" or (score.ndim and score.shape[0] == 1):
            return xp.mean(score)
        return score

    def get_config(self) -> dict:
        settings = {"average": self.average, "beta": self.beta, "threshold": self.threshold}
        return {**super().get_config(), **settings}


class F1Score(FBetaScore):
    """The harmonic mean of precision and recall: ``2 * precision * recall / (precision + recall)``.

    Args:
        average, threshold, name, dtype: as for ``FBetaScore``.

    Example:
        >>> f1 = lamina.metrics.F1Score(average="macro", threshold=0.5)
        >>> round(float(f1([[1, 0], [0, 1]], [[0.9, 0.7], [0.1, 0.8]])), 4)
        0.8333
    """

    def __init__(self, average=None, threshold=None, name="f1_score", dtype=None):
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict:
        config = super().get_config()
        del config["beta"]
        return config
