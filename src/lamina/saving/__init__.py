"""The room of saving: weights to files and back, each file format in a file of its own."""

from lamina.saving.weights import load_weights, save_weights

__all__ = ["load_weights", "save_weights"]


def __dir__() -> list[str]:
    return __all__
