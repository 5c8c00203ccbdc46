"""The room of layers: one concept per file; ``_layer.py`` is what they all are."""

from lamina import kernels as _kernels  # noqa: F401  the fast paths of ops
from lamina.errors import missing
from lamina.layers._layer import Layer
from lamina.layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from lamina.layers.batch_normalization import BatchNormalization
from lamina.layers.convolution import Conv1D, Conv2D, Conv3D
from lamina.layers.convolution_separable import (
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
)
from lamina.layers.convolution_transpose import Conv1DTranspose, Conv2DTranspose, Conv3DTranspose
from lamina.layers.dense import Dense
from lamina.layers.dropout import Dropout
from lamina.layers.input import Input, InputLayer
from lamina.layers.pooling import (
    MaxPool1D,
    MaxPool2D,
    MaxPool3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)
from lamina.layers.rescaling import Normalization, Rescaling
from lamina.layers.reshaping import Flatten, Reshape

__all__ = [
    "ELU",
    "Activation",
    "BatchNormalization",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Dropout",
    "Flatten",
    "Input",
    "InputLayer",
    "Layer",
    "LeakyReLU",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "Normalization",
    "PReLU",
    "ReLU",
    "Rescaling",
    "Reshape",
    "SeparableConv1D",
    "SeparableConv2D",
    "Softmax",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str):
    raise missing("layer", name, __all__)
