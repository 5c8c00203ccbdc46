"""Small data sets, each a module with ``load_data()``: ``lamina.datasets.mnist.load_data()``.

Real sets that are split return two tuples, as in Keras: ``(x_train, y_train), (x_test, y_test)``.
Sets that are not split, and the generated ones, return one: ``x, y``. Labels are int64 of shape
(n,); targets of regression are float32 of shape (n, 1), the shape of a network's output.

Shipped inside the package: ``digits``, ``iris``. Generated: ``blobs``, ``circles``,
``house_prices``, ``moons``, ``sine``, ``spirals``, ``xor``. Downloaded once, then kept:
``airline_passengers``, ``cifar10``, ``fashion_mnist``, ``mnist``, ``pima_diabetes``,
``tiny_shakespeare``; ``LAMINA_DATA`` names folders to look in first (see ``fetch.py``).

To add a set, write its module beside these and name it in ``__all__``; each module is imported
when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    from lamina.datasets import airline_passengers as airline_passengers
    from lamina.datasets import blobs as blobs
    from lamina.datasets import cifar10 as cifar10
    from lamina.datasets import circles as circles
    from lamina.datasets import digits as digits
    from lamina.datasets import fashion_mnist as fashion_mnist
    from lamina.datasets import house_prices as house_prices
    from lamina.datasets import iris as iris
    from lamina.datasets import mnist as mnist
    from lamina.datasets import moons as moons
    from lamina.datasets import pima_diabetes as pima_diabetes
    from lamina.datasets import sine as sine
    from lamina.datasets import spirals as spirals
    from lamina.datasets import tiny_shakespeare as tiny_shakespeare
    from lamina.datasets import xor as xor

__all__ = [
    "airline_passengers",
    "blobs",
    "cifar10",
    "circles",
    "digits",
    "fashion_mnist",
    "house_prices",
    "iris",
    "mnist",
    "moons",
    "pima_diabetes",
    "sine",
    "spirals",
    "tiny_shakespeare",
    "xor",
]


def __getattr__(name: str) -> "ModuleType":
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lamina.errors import unknown

    raise AttributeError(str(unknown("data set", name, __all__)))


def __dir__() -> list[str]:
    return __all__
