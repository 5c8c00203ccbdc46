"""Metrics by name, and what a name means given shapes and loss.

To make a metric known by a name, add it to the table below.
"""

from lamina.losses import Loss
from lamina.metrics._metric import Metric
from lamina.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    same_sign,
)
from lamina.metrics.auc import AUC
from lamina.metrics.confusion import (
    Counts,
    FalseNegatives,
    FalsePositives,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from lamina.metrics.f_score import F1Score, FBetaScore
from lamina.metrics.probabilistic import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    Hinge,
    KLDivergence,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from lamina.metrics.reduction import Elementwise, Mean, MeanMetricWrapper, Sum
from lamina.metrics.regression import (
    CosineSimilarity,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    R2Score,
    RootMeanSquaredError,
)
from lamina.registry import Registry

_METRICS = Registry(
    "metric",
    Metric,
    {
        "accuracy": Accuracy,
        "auc": AUC,
        "binary_accuracy": BinaryAccuracy,
        "binary_crossentropy": BinaryCrossentropy,
        "categorical_accuracy": CategoricalAccuracy,
        "categorical_crossentropy": CategoricalCrossentropy,
        "categorical_hinge": CategoricalHinge,
        "cosine_similarity": CosineSimilarity,
        "f1_score": F1Score,
        "false_negatives": FalseNegatives,
        "false_positives": FalsePositives,
        "fbeta_score": FBetaScore,
        "hinge": Hinge,
        "kl_divergence": KLDivergence,
        "log_cosh": LogCoshError,
        "mean_absolute_error": MeanAbsoluteError,
        "mean_absolute_percentage_error": MeanAbsolutePercentageError,
        "mean_squared_error": MeanSquaredError,
        "mean_squared_logarithmic_error": MeanSquaredLogarithmicError,
        "poisson": Poisson,
        "precision": Precision,
        "r2_score": R2Score,
        "recall": Recall,
        "root_mean_squared_error": RootMeanSquaredError,
        "sparse_categorical_accuracy": SparseCategoricalAccuracy,
        "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
        "sparse_top_k_categorical_accuracy": SparseTopKCategoricalAccuracy,
        "squared_hinge": SquaredHinge,
        "top_k_categorical_accuracy": TopKCategoricalAccuracy,
        "true_negatives": TrueNegatives,
        "true_positives": TruePositives,
    },
    {
        "acc": Accuracy,
        "bce": BinaryCrossentropy,
        "f1": F1Score,
        "kld": KLDivergence,
        "log_cosh_error": LogCoshError,
        "mae": MeanAbsoluteError,
        "mape": MeanAbsolutePercentageError,
        "mean": Mean,
        "mse": MeanSquaredError,
        "msle": MeanSquaredLogarithmicError,
        "r2": R2Score,
        "rmse": RootMeanSquaredError,
        "sum": Sum,
    },
)
_RESOLVED = {"accuracy": "accuracy", "acc": "accuracy", "crossentropy": "ce", "ce": "ce"}


def get(identifier) -> Metric | None:
    """The metric that a name, a class, a function, a loss, a configuration or a metric stands for.

    Args:
        identifier: "precision", "AUC", "mse" or another name, for the defaults; a ``Metric`` class
            or object; a ``Loss`` or a function (y_true, y_pred), whose mean is taken; a dictionary
            from ``serialize``; or None, which stays None. "accuracy" is here the share of outputs
            that equal their targets; see ``resolve``.

    Raises:
        ValueError: for an unknown name, with the nearest right one.
        TypeError: for anything else.

    Example:
        >>> lamina.metrics.get("auc").name
        'auc'
    """
    return None if identifier is None else _of(identifier)


def _of(identifier) -> Metric:
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, Loss):
        return MeanMetricWrapper(identifier.call, name=identifier.name)
    if isinstance(identifier, str | dict):
        return _METRICS.get(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return identifier()
    if (
        hasattr(identifier, "metric")
        and getattr(identifier, "__module__", "") == "lamina.metrics.functions"
    ):
        return identifier.metric()
    if callable(identifier) and not isinstance(identifier, type):
        return MeanMetricWrapper(identifier)
    raise TypeError(
        "a metric is given by its name, such as 'accuracy', as an object, such as "
        f"lamina.metrics.AUC(), or as a function (y_true, y_pred), got {identifier!r}"
    )


def resolve(identifier, y_true_shape, y_pred_shape, loss=None) -> Metric:
    """``get``, with what shapes and loss tell about names that can mean several things.

    "accuracy" (or "acc") is

    * of class numbers where the loss takes these, or targets lack the outputs' last axis;
    * of yes-or-no answers with a binary crossentropy, or one output per sample;
    * of signs with a hinge loss of -1 and 1;
    * of one-hot targets otherwise;

    and "crossentropy" (or "ce") likewise. With a loss of logits (``from_logits=True``) an answer is
    yes above 0 in place of 0.5, for metrics that are named, not given as objects.

    Args:
        identifier: as for ``get``.
        y_true_shape, y_pred_shape: shapes of targets and outputs.
        loss: the ``Loss`` they are trained with, or None.

    Returns:
        a ``Metric``; a name as given is its name.
    """
    if not isinstance(identifier, str):
        return _of(identifier)
    logits = bool(getattr(loss, "options", {}).get("from_logits"))
    meaning = _RESOLVED.get(identifier.lower())
    if meaning is None:
        metric = _of(identifier)
        if logits:
            metric = _for_logits(metric)
    else:
        kind = _kind(y_true_shape, y_pred_shape, loss)
        if meaning == "ce":
            metric = _CROSSENTROPIES[kind](from_logits=logits)
        elif kind == "binary":
            metric = BinaryAccuracy(threshold=0.0 if logits else 0.5)
        else:
            metric = _ACCURACIES[kind]()
    metric.name = identifier
    return metric


def _kind(targets, outputs, loss) -> str:
    """What accuracy is to compare: "classes", "binary", "signs" or "one_hot"."""
    name = type(loss).__name__
    if getattr(loss, "targets", None) == "classes":
        return "classes"
    if name in ("Hinge", "SquaredHinge"):
        return "signs"
    if name in ("BinaryCrossentropy", "BinaryFocalCrossentropy") or outputs[-1] == 1:
        return "binary"
    if len(targets) < len(outputs) or (targets[-1] == 1 and outputs[-1] > 1):
        return "classes"
    return "one_hot"


def _for_logits(metric):
    """The same metric for outputs that are logits."""
    if isinstance(metric, _TOLD_OF_LOGITS):
        return type(metric)(from_logits=True)
    if isinstance(metric, BinaryAccuracy):
        return BinaryAccuracy(threshold=0.0)
    if isinstance(metric, Counts):
        return type(metric)(thresholds=0.0)
    return metric


_TOLD_OF_LOGITS = (
    AUC,
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
_ACCURACIES = {
    "classes": SparseCategoricalAccuracy,
    "one_hot": CategoricalAccuracy,
    "signs": lambda: Elementwise(same_sign),
}
_CROSSENTROPIES = {
    "binary": BinaryCrossentropy,
    "classes": SparseCategoricalCrossentropy,
    "one_hot": CategoricalCrossentropy,
    "signs": BinaryCrossentropy,
}


def serialize(metric: Metric) -> dict:
    """What makes a metric again, without its state: ``{"class_name": ..., "config": ...}``.

    Raises:
        TypeError: for the metric of a user's function, which no configuration holds.
    """
    if type(metric) in (MeanMetricWrapper, Elementwise):
        raise TypeError(
            f"the {metric} is a function, which cannot be written down: pass it again after loading"
        )
    return _METRICS.serialize(metric)


def deserialize(config: dict, custom_objects: dict | None = None) -> Metric:
    """The metric that ``serialize`` described; ``custom_objects`` maps names to further classes."""
    return _METRICS.deserialize(config, custom_objects)
