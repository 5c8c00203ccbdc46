"""``lamina.callbacks``: the public name of ``lamina.models.callbacks``."""

from lamina.models.callbacks import *  # noqa: F403
from lamina.models.callbacks import __all__ as __all__
