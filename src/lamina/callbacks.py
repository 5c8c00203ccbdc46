"""``lamina.callbacks``: the public name of ``lamina.models.callbacks``."""

from lamina.errors import missing
from lamina.models.callbacks import *  # noqa: F403
from lamina.models.callbacks import __all__ as __all__


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str):
    raise missing("callback", name, __all__)
