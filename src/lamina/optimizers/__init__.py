"""The room of optimizers: one rule per file, and what all share in ``_optimizer.py``.

Names, arguments and defaults are those of Keras 3, which differ from PyTorch's: see each class.
"""

from lamina.errors import missing
from lamina.optimizers._optimizer import Optimizer
from lamina.optimizers.adadelta import Adadelta
from lamina.optimizers.adagrad import Adagrad
from lamina.optimizers.adam import Adam, AdamW
from lamina.optimizers.adamax import Adamax
from lamina.optimizers.loss_scale import LossScaleOptimizer
from lamina.optimizers.nadam import Nadam
from lamina.optimizers.rmsprop import RMSprop
from lamina.optimizers.sgd import SGD
from lamina.registry import Registry

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "LossScaleOptimizer",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "serialize",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str):
    raise missing("optimizer", name, __all__)


_CLASSES = (SGD, Adadelta, Adagrad, Adam, AdamW, Adamax, LossScaleOptimizer, Nadam, RMSprop)
_OPTIMIZERS = Registry("optimizer", Optimizer, {kind.__name__: kind for kind in _CLASSES})


def get(identifier) -> Optimizer | None:
    """The optimizer that a name, a class, a configuration or an optimizer stands for.

    Args:
        identifier: "adam" or any other name in any case, for the defaults; an ``Optimizer`` class
            or object; a dictionary from ``serialize``; or None, which stays None.

    Raises:
        ValueError: for an unknown name, with the nearest right one.
        TypeError: for anything else.

    Example:
        >>> lamina.optimizers.get("adam")
        <Adam learning_rate=0.001>
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if identifier is None or isinstance(identifier, str | dict):
        return _OPTIMIZERS.get(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return identifier()
    raise TypeError(
        "an optimizer is given by its name, such as 'adam', or as an object, such as "
        f"lamina.optimizers.Adam(0.01), got {identifier!r}"
    )


def serialize(optimizer: Optimizer) -> dict:
    """What makes an optimizer again: ``{"class_name": ..., "config": ...}``."""
    return _OPTIMIZERS.serialize(optimizer)


def deserialize(config: dict, custom_objects: dict | None = None) -> Optimizer:
    """What ``serialize`` described; ``custom_objects`` maps names to further classes."""
    return _OPTIMIZERS.deserialize(config, custom_objects)
