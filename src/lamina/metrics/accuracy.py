"""Accuracies: the share of right answers, by what outputs and targets are.

The functions tell which answers are right, as booleans, without waiting for the device; the classes
take their mean.
"""

from lamina import backend
from lamina.metrics.reduction import Elementwise


def equal(y_true, y_pred):
    """Whether outputs equal targets."""
    return y_true == y_pred


def same_side(y_true, y_pred, threshold=0.5):
    """Whether ``y_pred > threshold`` is what ``y_true``, 0 or 1, says."""
    xp = backend.namespace(y_pred)
    return xp.astype(y_pred > threshold, y_true.dtype) == y_true


def same_sign(y_true, y_pred):
    """Whether outputs are positive where targets are: for labels -1 and 1, as hinge losses take."""
    return (y_pred > 0) == (y_true > 0)


def same_choice(y_true, y_pred):
    """Whether outputs are largest where targets are."""
    xp = backend.namespace(y_pred)
    return xp.argmax(y_true, axis=-1) == xp.argmax(y_pred, axis=-1)


def right_choice(y_true, y_pred):
    """Whether outputs are largest at the class numbers ``y_true``."""
    xp = backend.namespace(y_pred)
    choice = xp.argmax(y_pred, axis=-1)
    return y_true == (choice if choice.dtype == y_true.dtype else xp.astype(choice, y_true.dtype))


def among_best(y_true, y_pred, k=5):
    """Whether fewer than k outputs are larger than that of the class numbers ``y_true``."""
    xp = backend.namespace(y_pred)
    if not xp.isdtype(y_true.dtype, "integral"):
        y_true = xp.astype(y_true, xp.int64)
    own = xp.take_along_axis(y_pred, xp.expand_dims(y_true, axis=-1), axis=-1)
    return xp.count_nonzero(y_pred > own, axis=-1) < k


def choice_among_best(y_true, y_pred, k=5):
    """``among_best`` for one-hot targets."""
    return among_best(backend.namespace(y_true).argmax(y_true, axis=-1), y_pred, k)


class Accuracy(Elementwise):
    """The share of outputs that equal their targets.

    Args:
        name, dtype: as for ``Metric``.
    """

    def __init__(self, name="accuracy", dtype=None):
        super().__init__(equal, name, dtype)


class BinaryAccuracy(Elementwise):
    """The share of yes-or-no answers that are right, an answer being ``y_pred > threshold``.

    Args:
        name, dtype: as for ``Metric``.
        threshold: 0.5 for probabilities, 0 for logits.

    Example:
        >>> accuracy = lamina.metrics.BinaryAccuracy()
        >>> float(accuracy([[1], [1], [0], [0]], [[0.98], [1], [0], [0.6]]))
        0.75
    """

    def __init__(self, name="binary_accuracy", dtype=None, threshold=0.5):
        super().__init__(same_side, name, dtype, threshold=threshold)


class CategoricalAccuracy(Elementwise):
    """The share of samples whose largest output is where their one-hot target has its 1.

    Args:
        name, dtype: as for ``Metric``.
    """

    def __init__(self, name="categorical_accuracy", dtype=None):
        super().__init__(same_choice, name, dtype)


class SparseCategoricalAccuracy(Elementwise):
    """The share of samples whose largest output is that of their class number.

    Args:
        name, dtype: as for ``Metric``.
    """

    targets = "classes"

    def __init__(self, name="sparse_categorical_accuracy", dtype=None):
        super().__init__(right_choice, name, dtype)


class TopKCategoricalAccuracy(Elementwise):
    """The share of samples whose true class, given one-hot, is among the k largest outputs.

    Args:
        k: how many count; ties count in favour.
        name, dtype: as for ``Metric``.
    """

    def __init__(self, k=5, name="top_k_categorical_accuracy", dtype=None):
        super().__init__(choice_among_best, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(Elementwise):
    """The share of samples whose true class, given as its number, is among the k largest outputs.

    Args:
        k: how many count; ties count in favour.
        name, dtype: as for ``Metric``.
    """

    targets = "classes"

    def __init__(self, k=5, name="sparse_top_k_categorical_accuracy", dtype=None):
        super().__init__(among_best, name, dtype, k=k)
