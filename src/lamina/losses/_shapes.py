"""Whether targets fit outputs: their shapes, and once per data set their values.

``prepare`` looks at shapes alone and costs about a microsecond, so it runs in every step. What a
loss or metric expects it says itself: ``targets`` is "outputs" for one target per output, "classes"
for class numbers, None where it is not known, as for a user's function.
"""

import math

from lamina import backend
from lamina.autograd import namespace
from lamina.errors import counted

_ONE_HOT = frozenset(
    "CategoricalCrossentropy CategoricalFocalCrossentropy CategoricalHinge KLDivergence "
    "CategoricalAccuracy TopKCategoricalAccuracy F1Score FBetaScore AUC Precision Recall "
    "TruePositives TrueNegatives FalsePositives FalseNegatives".split()
)
_ONE_CHOICE = ("CategoricalCrossentropy", "CategoricalFocalCrossentropy")
_SPARSE = {
    "CategoricalCrossentropy": "sparse_categorical_crossentropy",
    "CategoricalFocalCrossentropy": "sparse_categorical_crossentropy",
    "CategoricalAccuracy": "sparse_categorical_accuracy",
    "TopKCategoricalAccuracy": "sparse_top_k_categorical_accuracy",
}
_DENSE = {
    "SparseCategoricalCrossentropy": "categorical_crossentropy",
    "SparseCategoricalAccuracy": "categorical_accuracy",
    "SparseTopKCategoricalAccuracy": "top_k_categorical_accuracy",
}


def prepare(y_true, y_pred, what):
    """``y_true`` in the shape that ``what`` needs for outputs ``y_pred``.

    Shapes that differ only by a last axis of 1 are made equal: (n,) against (n, 1) never becomes
    (n, n). Nothing is read from the arrays.

    Args:
        y_true, y_pred: arrays or tensors.
        what: a ``Loss`` or ``Metric``, or None.

    Raises:
        ValueError: for shapes that do not fit, naming both and the remedy.
    """
    shape, wanted = y_true.shape, y_pred.shape
    targets = getattr(what, "targets", None)
    if targets == "classes":
        return _class_numbers(y_true, shape, wanted, what)
    if targets is not None and what.role == "loss":
        if len(wanted) < 2 or (wanted[-1] == 1 and type(what).__name__ in _ONE_CHOICE):
            raise _bad_outputs(wanted, what)
    if shape == wanted:
        return y_true
    if len(shape) + 1 == len(wanted) and wanted[-1] == 1:
        if shape == wanted[:-1]:
            return _reshape(y_true, wanted)
    elif len(shape) == len(wanted) + 1 and shape[-1] == 1 and shape[:-1] == wanted:
        return _reshape(y_true, wanted)
    if targets is None:
        return y_true
    raise _misfit(shape, wanted, what)


def _class_numbers(y_true, shape, outputs, what):
    axis = what.class_axis
    rows = outputs[:-1] if axis == -1 else _without(outputs, axis)
    if len(outputs) > 1 and outputs[axis] > 1:
        if shape == rows:
            return y_true
        if len(shape) == len(outputs) and shape[axis] == 1 and _without(shape, axis) == rows:
            return _reshape(y_true, rows)
    raise _misfit_classes(shape, outputs, rows, what)


def _without(shape, axis):
    axis %= len(shape)
    return shape[:axis] + shape[axis + 1 :]


def _reshape(y, shape):
    return namespace(y).reshape(y, tuple(shape))


def fit_weights(xp, weights, wanted):
    """Weights of samples, or of values, in a shape that broadcasts to that of the values.

    They get an axis of 1 for each axis that the values have beyond theirs.

    Args:
        xp: the namespace of the weights.
        weights: an array or tensor.
        wanted: the shape of the values.

    Raises:
        ValueError: for weights of neither samples nor values.
    """
    given, wanted = tuple(weights.shape), tuple(wanted)
    if given == wanted:
        return weights
    shape = given[:-1] if len(given) == len(wanted) + 1 and given[-1] == 1 else given
    if len(shape) > len(wanted) or any(n not in (1, m) for n, m in zip(shape, wanted)):
        raise ValueError(
            f"sample_weight must have one weight per sample or per value {wanted}, "
            f"got shape {given}"
        )
    return xp.reshape(weights, (*shape, *(1,) * (len(wanted) - len(shape))))


def _bad_outputs(outputs, what):
    if len(outputs) < 2:
        return ValueError(
            f"the {what} needs outputs with a batch axis and a last axis to reduce, got shape "
            f"{tuple(outputs)}: give the outputs a last axis, for example with layers.Dense(1)"
        )
    return _too_few_outputs(outputs, what)


def _too_few_outputs(outputs, what):
    return ValueError(
        f"the {what} needs one output per class, got shape {tuple(outputs)}: use "
        "binary_crossentropy for one output, or give the last layer as many units as classes"
    )


def _misfit(shape, outputs, what):
    kind = type(what).__name__
    lead = (
        f"the {what} needs y_true of the shape of the outputs {tuple(outputs)}, got {tuple(shape)}"
    )
    if shape[:1] != outputs[:1]:
        return ValueError(f"{lead}: both must have the same number of samples")
    rows = tuple(outputs[:-1])
    if outputs[-1:] != (1,) and tuple(shape) in (rows, (*rows, 1)):
        remedy = f"make them one-hot with lamina.utils.to_categorical(y, {outputs[-1]})"
        if kind not in _ONE_HOT:
            return ValueError(
                f"{lead}: for class numbers use sparse_categorical_crossentropy, or {remedy}; else "
                "give the last layer 1 unit"
            )
        if kind in _SPARSE:
            remedy = f"use {_SPARSE[kind]}, or {remedy}"
        return ValueError(f"{lead}: class numbers, it seems, so {remedy}")
    if kind in _ONE_HOT:
        return ValueError(
            f"{lead}: one-hot targets have one column per class, so give the last layer "
            f"{counted(shape[-1] if shape else 1, 'unit')} or mend y"
        )
    units = shape[-1] if len(shape) == len(outputs) else 1
    return ValueError(f"{lead}: give the last layer {counted(units, 'unit')}, or reshape y_true")


def _misfit_classes(shape, outputs, rows, what):
    kind = type(what).__name__
    lead = (
        f"the {what} needs class numbers of shape {tuple(rows)} for outputs {tuple(outputs)}, "
        f"got y_true of shape {tuple(shape)}"
    )
    if len(outputs) < 2 or outputs[what.class_axis] < 2:
        return _too_few_outputs(outputs, what)
    if shape == outputs:
        return ValueError(f"{lead}: one-hot, it seems, so use {_DENSE.get(kind, 'class numbers')}")
    if len(shape) == len(outputs) and shape[-1] > 1 and shape[:-1] == outputs[:-1]:
        return ValueError(
            f"{lead}: one-hot, it seems, with another number of classes; use "
            f"{_DENSE.get(kind, 'class numbers')} and give the last layer {shape[-1]} units"
        )
    if shape[:1] != outputs[:1]:
        return ValueError(f"{lead}: both must have the same number of samples")
    if len(shape) < len(rows):
        return ValueError(
            f"{lead}: for one class a sample put layers.Flatten() or a global pooling before the "
            "last layer; else give a class number for each row of outputs"
        )
    return ValueError(f"{lead}: give one class number for each row of outputs")


def wants_integers(what) -> bool:
    """Whether the loss or metric takes class numbers, so that labels should be integers."""
    return getattr(what, "targets", None) == "classes"


def check_labels(y, outputs, loss, first_row: int = 0) -> None:
    """Raise where labels have values that the loss cannot take; reads the labels, once.

    Class numbers must be whole numbers from 0 to below the number of classes (floats that are whole
    will do); labels of crossentropies lie between 0 and 1; counts are not negative; nothing is NaN.

    Args:
        y: labels, an array of any backend.
        outputs: the shape of the outputs; the batch axis may be None.
        loss: the ``Loss``.
        first_row: the number of the first row of ``y``, for the message.

    Raises:
        ValueError: naming the first bad value, its row and the remedy.
    """
    xp = backend.namespace(y)
    floating = xp.isdtype(y.dtype, "real floating")
    kind = getattr(loss, "labels", None)
    if wants_integers(loss):
        classes = outputs[loss.class_axis]
        good = (y >= 0) & (y < classes)
        ignored = loss.options.get("ignore_class")
        if ignored is not None:
            good = good | (y == ignored)
        if floating:
            good = good & (xp.round(y) == y)
        rule = f"class numbers from 0 to {classes - 1}"
        remedy = (
            f"number the classes from 0, or give the last layer one unit per class, not {classes}"
        )
    elif kind == "probability":
        good = (y >= 0) & (y <= 1)
        rule = "labels between 0 and 1"
        remedy = _PROBABILITY[loss.one_choice]
    elif kind == "count":
        good = y >= 0
        rule, remedy = "counts, which are not negative", "mend the data, or use mean_squared_error"
    elif floating:
        good = xp.isfinite(y)
        rule, remedy = "finite targets", "mend the data, or leave these rows out"
    else:
        return
    place = backend.of(y)
    if place.scalar(xp.all(good)):
        return
    place_of_first = int(place.to_numpy(xp.reshape(good, (-1,))).argmin())
    value = place.to_numpy(xp.reshape(y, (-1,)))[place_of_first].item()
    row = place_of_first // math.prod(y.shape[1:]) + first_row
    raise ValueError(f"the {loss} needs {rule}, got {value} in row {row}: {remedy}")


_PROBABILITY = {
    False: "map the two classes to 0 and 1, or use sparse_categorical_crossentropy with one output "
    "per class for more",
    True: "make rows one-hot with lamina.utils.to_categorical",
}
