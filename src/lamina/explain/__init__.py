"""The room that looks into a trained network: what its layers make of an image, and why a class.

Each function takes a model and a batch and gives NumPy arrays; ``lamina.plotting`` draws them. The
model is used, not trained: its weights and moving averages stay what they are.
"""

from lamina.errors import missing
from lamina.explain.grad_cam import grad_cam
from lamina.explain.layer_outputs import layer_outputs
from lamina.explain.saliency import saliency

__all__ = [
    "grad_cam",
    "layer_outputs",
    "saliency",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str):
    raise missing("explanation", name, __all__)
