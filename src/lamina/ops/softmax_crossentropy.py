"""Softmax and crossentropy in one, as a classifier ends and its loss begins."""

from lamina.ops._op import op
from lamina.ops.crossentropies import categorical_crossentropy, sparse_categorical_crossentropy
from lamina.ops.softmax import softmax


@op
def softmax_crossentropy(xp, y_true, logits):
    """The crossentropy of ``softmax(logits)``, and the softmax itself.

    Args:
        y_true: class numbers, shape (...), or one row of probabilities per sample, shape (..., n).
        logits: shape (..., n).

    Returns:
        (values of shape (...), probabilities of shape (..., n)).
    """
    probabilities = softmax(logits)
    whole = y_true.ndim == logits.ndim
    loss = categorical_crossentropy if whole else sparse_categorical_crossentropy
    return loss(y_true, probabilities), probabilities
