"""Metrics as functions: one float per answer, not yet a mean.

Those that are losses are had from ``lamina.losses``.
"""

from lamina.metrics._metric import is_floating
from lamina.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)
from lamina.metrics.regression import CosineSimilarity


def _face(kind, name):
    """The function of a metric class: (y_true, y_pred, *its options) to one float per answer."""

    def function(y_true, y_pred, *args, **options):
        fitting = kind()
        xp, y_true, y_pred, _ = fitting._inputs(y_true, y_pred, None)
        values = fitting.fn(y_true, y_pred, *args, **options)
        if is_floating(xp, y_pred.dtype):
            return xp.astype(values, y_pred.dtype)
        return xp.astype(values, fitting._wide)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = kind().fn.__doc__
    function.metric = kind  # what metrics.get makes of it
    return function


accuracy = _face(Accuracy, "accuracy")
binary_accuracy = _face(BinaryAccuracy, "binary_accuracy")
categorical_accuracy = _face(CategoricalAccuracy, "categorical_accuracy")
cosine_similarity = _face(CosineSimilarity, "cosine_similarity")
sparse_categorical_accuracy = _face(SparseCategoricalAccuracy, "sparse_categorical_accuracy")
sparse_top_k_categorical_accuracy = _face(
    SparseTopKCategoricalAccuracy, "sparse_top_k_categorical_accuracy"
)
top_k_categorical_accuracy = _face(TopKCategoricalAccuracy, "top_k_categorical_accuracy")
