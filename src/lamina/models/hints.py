"""Warnings for what would train without an error, but in vain."""

import math

from lamina import backend, ops
from lamina.data import ArrayBatches
from lamina.errors import warn
from lamina.layers import Activation, Dense, Rescaling, Softmax
from lamina.layers._convolution import Convolution

_LARGE = 100  # inputs beyond this are asked about
_LOOKED_AT = 64  # rows
_FAR = 32  # times as large as those learnt from, inputs are likely on another scale

_WHERE = {
    "binary_crossentropy": 'activation="sigmoid"',
    "categorical_crossentropy": 'activation="softmax"',
    "sparse_categorical_crossentropy": 'activation="softmax"',
}
_PROBABILITIES = (ops.softmax, ops.sigmoid)
_NOT_PROBABILITIES = (ops.linear, ops.relu, ops.tanh)


def warn_of_outputs(model, loss) -> None:
    """Warn where the last layer's activation and the loss do not belong together."""
    last = model.layers[-1] if model.layers else None
    known = isinstance(last, Dense | Activation | Convolution)
    activation = ops.softmax if isinstance(last, Softmax) else last.activation if known else None
    axis = last.axis if isinstance(last, Softmax) else -1
    shape = model.output_shape if isinstance(axis, int) else None
    if activation is ops.softmax and shape is not None and shape[axis] == 1:
        warn(
            f"{last} gives a softmax over one number, which is always 1, so nothing can be learnt: "
            'use activation="sigmoid" for two classes, or one unit per class'
        )
    name = getattr(getattr(loss, "fn", None), "__name__", "")
    if name in _WHERE and activation in _NOT_PROBABILITIES and not loss.options.get("from_logits"):
        warn(
            f'the loss "{name}" takes probabilities, and {last} gives none: give it '
            f"{_WHERE[name]}, or the loss from_logits=True"
        )
    if name in _WHERE and activation in _PROBABILITIES and loss.options.get("from_logits"):
        warn(
            f'the loss "{name}" has from_logits=True, and {last} gives probabilities already: '
            "leave out one of the two"
        )


def warn_of_inputs(model, source) -> None:
    """Warn, once for a model, where images or signals are large and nothing scales them.

    Looks at the first rows, and only where no device has to be waited for. Tables are left alone:
    their columns have units, and many a one is learnt from as it is.
    """
    spread = None if model.trained_on else _spread(model, source)
    if spread is None:
        return
    low, high = spread
    model.trained_on = max(high, -low)
    if model.trained_on > _LARGE and not _scales(model):
        bytes_of_pictures = low >= 0 and high <= 255
        by = "Rescaling(1 / 255)" if bytes_of_pictures else "Normalization(), after its adapt(x)"
        warn(
            f"inputs go from {low:g} to {high:g}, and networks learn best from numbers around 1: "
            f"begin the model with layers.{by}"
        )


def warn_of_scale(model, source) -> None:
    """Warn, once for a model, of images or signals on another scale than those it learnt from."""
    if not model.trained_on or model.told_of_scale:
        return
    low, high = _spread(model, source) or (0.0, 0.0)
    largest, known = max(high, -low), model.trained_on
    if largest > max(_LARGE, _FAR * known) or (0 < largest <= 1 and known > _LARGE):
        model.told_of_scale = True
        warn(
            f"inputs go from {low:g} to {high:g}, and those of fit went to {known:g}: scale them "
            "alike, best by a layer that the model begins with, such as layers.Rescaling(1 / 255)"
        )


def _spread(model, source):
    """The least and the largest of the first inputs; None of what is not asked about."""
    if not isinstance(source, ArrayBatches) or "int" in str(model.input_dtype):
        return None
    x = source.inputs
    if not backend.of(x).is_host or (str(x.dtype) != "uint8" and x.ndim < 3):
        return None
    xp, rows = backend.namespace(x), x[:_LOOKED_AT]
    if xp.isdtype(x.dtype, "bool") or not math.prod(rows.shape):
        return None
    return float(xp.min(rows)), float(xp.max(rows))


def _scales(model) -> bool:
    """Whether a layer scales what comes in, no later than the first that learns."""
    for layer in model.layers_within():
        if isinstance(layer, Rescaling) or type(layer).__name__.endswith("Normalization"):
            return True
        if layer.own_weights():
            return False
    return False


def warn_of_divergence(logs: dict, epoch: int) -> bool:
    """Warn where the loss of an epoch is no finite number; tells whether it is not."""
    if math.isfinite(logs.get("loss", 0.0)):
        return False
    warn(
        f"the loss became {logs['loss']} in epoch {epoch + 1}: lower the learning rate, scale the "
        "inputs, or clip the gradients (clipnorm=1.0); lamina.debug_nans() finds where it began, "
        "and callbacks.TerminateOnNaN() stops there"
    )
    return True
