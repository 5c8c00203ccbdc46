"""The room of models: stacking layers, training them, watching them train."""

from lamina.errors import missing
from lamina.models.model import NOT_WHOLE, Model
from lamina.models.profiling import Profile, profile
from lamina.models.sequential import Sequential

__all__ = ["Model", "Profile", "Sequential", "profile"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str):
    if name in ("load_model", "save_model"):
        raise AttributeError(f"lamina has no {name!r} yet: {NOT_WHOLE}")
    raise missing("model", name, __all__)
