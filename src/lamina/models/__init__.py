"""The room of models: stacking layers, training them, watching them train."""

from lamina.models.model import Model
from lamina.models.profiling import Profile, profile
from lamina.models.sequential import Sequential

__all__ = ["Model", "Profile", "Sequential", "profile"]


def __dir__() -> list[str]:
    return __all__
