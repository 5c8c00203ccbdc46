"""The room of layers: one concept per file; ``_layer.py`` is what they all are."""

from lamina import kernels as _kernels  # noqa: F401  the fast paths of ops
from lamina.errors import missing
from lamina.layers._layer import Layer
from lamina.layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from lamina.layers.batch_normalization import BatchNormalization
from lamina.layers.dense import Dense
from lamina.layers.dropout import Dropout
from lamina.layers.input import Input, InputLayer
from lamina.layers.rescaling import Normalization, Rescaling
from lamina.layers.reshaping import Flatten, Reshape

__all__ = [
    "ELU",
    "Activation",
    "BatchNormalization",
    "Dense",
    "Dropout",
    "Flatten",
    "Input",
    "InputLayer",
    "Layer",
    "LeakyReLU",
    "Normalization",
    "PReLU",
    "ReLU",
    "Rescaling",
    "Reshape",
    "Softmax",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str):
    raise missing("layer", name, __all__)
