"""The room of applications: well-known architectures, without weights, made of public layers.

Each is a function that gives a model to compile and fit. Their files are meant to be read, and
copied from where one of your own shall differ.
"""

from lamina.applications.autoencoder import ConvAutoencoder
from lamina.applications.lenet import LeNet5
from lamina.applications.resnet import ResidualBlock, ResNet18, ResNet20
from lamina.applications.unet import UNet, UNetLevel
from lamina.applications.vgg import SmallVGG
from lamina.errors import missing

__all__ = [
    "ConvAutoencoder",
    "LeNet5",
    "ResNet18",
    "ResNet20",
    "ResidualBlock",
    "SmallVGG",
    "UNet",
    "UNetLevel",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str):
    raise missing("application", name, __all__)
