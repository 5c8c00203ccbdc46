"""Activations by name, with Keras's names and defaults: ``lamina.activations.get("relu")``.

Each is a function of an array or tensor; their mathematics is in ``ops/activations.py``.
"""

from lamina.errors import unknown
from lamina.ops.activations import (
    celu,
    elu,
    exponential,
    gelu,
    glu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    linear,
    log_sigmoid,
    log_softmax,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_shrink,
    softmax,
    softplus,
    softsign,
    sparse_plus,
    sparse_sigmoid,
    sparsemax,
    squareplus,
    tanh,
    tanh_shrink,
    threshold,
)

swish = silu
hard_swish = hard_silu

__all__ = [
    "celu",
    "deserialize",
    "elu",
    "exponential",
    "gelu",
    "get",
    "glu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "serialize",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
    "threshold",
]


def __dir__() -> list[str]:
    return __all__


_ALL = (
    celu, elu, exponential, gelu, glu, hard_shrink, hard_sigmoid, hard_silu, hard_tanh,
    leaky_relu, linear, log_sigmoid, log_softmax, mish, relu, relu6, selu, sigmoid, silu,
    soft_shrink, softmax, softplus, softsign, sparse_plus, sparse_sigmoid, sparsemax, squareplus,
    tanh, tanh_shrink, threshold,
)  # fmt: skip
_FUNCTIONS = {f.__name__: f for f in _ALL}
_FUNCTIONS |= {"hard_swish": hard_silu, "swish": silu}


def get(identifier):
    """The activation that a name, a function or None stands for; None is ``linear``.

    Raises:
        ValueError: for an unknown name, with the nearest right one.
        TypeError: for what is neither a name nor a function.

    Example:
        >>> lamina.activations.get("swish") is lamina.activations.silu
        True
    """
    if identifier is None:
        return linear
    if isinstance(identifier, str):
        return deserialize(identifier)
    if callable(identifier):
        return identifier
    raise TypeError(
        f"an activation is given by its name, such as 'relu', or as a function, got {identifier!r}"
    )


def serialize(activation) -> str:
    """The name of an activation, from which ``deserialize`` finds it again.

    Raises:
        ValueError: for a function without a name of its own, such as a lambda.
    """
    name = getattr(activation, "__name__", None) or type(activation).__name__
    if name == "<lambda>":
        raise ValueError(
            "an activation is saved by its name, got a lambda: define it with def, and load it "
            "with custom_objects={name: function}"
        )
    return name


def deserialize(config: str, custom_objects: dict | None = None):
    """The activation called ``config``.

    Args:
        config: a name.
        custom_objects: functions of one's own, by name.

    Raises:
        ValueError: for an unknown name, with the nearest right one.
    """
    if custom_objects and config in custom_objects:
        return custom_objects[config]
    if config not in _FUNCTIONS:
        raise unknown("activation", config, (*_FUNCTIONS, *(custom_objects or ())))
    return _FUNCTIONS[config]
