"""The room of optimizers: one rule per file, and what all share in ``_optimizer.py``.

Names, arguments and defaults are those of Keras 3, which differ from PyTorch's: see each class.
"""

from lamina import errors
from lamina.optimizers._optimizer import Optimizer
from lamina.optimizers.adadelta import Adadelta
from lamina.optimizers.adagrad import Adagrad
from lamina.optimizers.adam import Adam, AdamW
from lamina.optimizers.adamax import Adamax
from lamina.optimizers.nadam import Nadam
from lamina.optimizers.rmsprop import RMSprop
from lamina.optimizers.sgd import SGD

__all__ = [
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "SGD",
    "deserialize",
    "get",
    "serialize",
]

_CLASSES = (SGD, Adadelta, Adagrad, Adam, AdamW, Adamax, Nadam, RMSprop)


def get(identifier) -> Optimizer | None:
    """The optimizer that a name, a class, a configuration or an optimizer stands for.

    Args:
        identifier: "adam" or any other name in any case, for the defaults; an ``Optimizer`` class
            or object; a dictionary from ``serialize``; or None, which stays None.

    Raises:
        ValueError: for an unknown name.

    Example:
        >>> lamina.optimizers.get("adam")
        <Adam learning_rate=0.001>
    """
    if identifier is None or isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        return _named(identifier)()
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return identifier()
    raise TypeError(
        "an optimizer is given by its name, such as 'adam', or as an object, such as "
        f"lamina.optimizers.Adam(0.01), got {identifier!r}"
    )


def serialize(optimizer: Optimizer) -> dict:
    """What makes an optimizer again: ``{"class_name": ..., "config": ...}``."""
    return {"class_name": type(optimizer).__name__, "config": optimizer.get_config()}


def deserialize(config: dict) -> Optimizer:
    """The optimizer that ``serialize`` described."""
    return _named(config["class_name"]).from_config(config.get("config", {}))


def _named(name):
    for kind in _CLASSES:
        if kind.__name__.lower() == name.lower():
            return kind
    raise errors.unknown("optimizer", name, [kind.__name__ for kind in _CLASSES])
