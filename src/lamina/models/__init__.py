"""The room of models: stacking layers, training them, watching them train."""

from lamina.models.model import Model
from lamina.models.sequential import Sequential

__all__ = ["Model", "Sequential"]


def __dir__() -> list[str]:
    return __all__
