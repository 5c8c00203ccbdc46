"""Warnings for what would train without an error, but in vain."""

import math
import warnings

from lamina import ops
from lamina.layers import Activation, Dense

_WHERE = {
    "binary_crossentropy": 'activation="sigmoid"',
    "categorical_crossentropy": 'activation="softmax"',
    "sparse_categorical_crossentropy": 'activation="softmax"',
}
_NOT_PROBABILITIES = (ops.linear, ops.relu, ops.tanh)


def warn_of_outputs(model, loss) -> None:
    """Warn where the last layer's activation and the loss do not belong together."""
    last = model.layers[-1] if model.layers else None
    activation = getattr(last, "activation", None) if isinstance(last, Dense | Activation) else None
    shape = model.output_shape
    if activation is ops.softmax and shape is not None and shape[-1] == 1:
        _warn(
            f"{last} gives a softmax over one number, which is always 1, so nothing can be learnt: "
            'use activation="sigmoid" for two classes, or one unit per class'
        )
    name = getattr(getattr(loss, "fn", None), "__name__", "")
    if name in _WHERE and activation in _NOT_PROBABILITIES and not loss.options.get("from_logits"):
        _warn(
            f'the loss "{name}" takes probabilities, and {last} gives none: give it '
            f"{_WHERE[name]}, or the loss from_logits=True"
        )


def warn_of_divergence(logs: dict, epoch: int) -> bool:
    """Warn where the loss of an epoch is no finite number; tells whether it is not."""
    if math.isfinite(logs.get("loss", 0.0)):
        return False
    _warn(
        f"the loss became {logs['loss']} in epoch {epoch + 1}: lower the learning rate, scale the "
        "inputs, or clip the gradients (clipnorm=1.0); lamina.debug_nans() finds where it began, "
        "and callbacks.TerminateOnNaN() stops there"
    )
    return True


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=4)
