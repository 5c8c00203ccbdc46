"""lamina: deep learning in plain Python on the array API standard.

    import lamina
    from lamina import layers

    model = lamina.Sequential([layers.Input((2,)), layers.Dense(8, "relu"), layers.Dense(1)])
    model.compile(optimizer="adam", loss="mse")
    model.fit(x, y, epochs=10)

The same program runs on NumPy and, with ``backend="cupy"``, on a CUDA GPU.
"""

from lamina import backend, config, kernels, xp
from lamina.autograd import Parameter, Tensor, debug_nans, grad, no_grad, value_and_grad
from lamina.backend import use
from lamina.models import Model, Sequential

__version__ = "0.1.0"

# Rooms that a program may never enter are opened on first use.
_ROOMS = (
    "activations", "callbacks", "constraints", "datasets", "initializers", "layers", "losses",
    "metrics", "ops", "optimizers", "plotting", "regularizers", "saving", "testing", "utils",
)  # fmt: skip

__all__ = [
    "Model",
    "Parameter",
    "Sequential",
    "Tensor",
    "activations",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "debug_nans",
    "grad",
    "initializers",
    "kernels",
    "layers",
    "losses",
    "metrics",
    "no_grad",
    "ops",
    "optimizers",
    "plotting",
    "regularizers",
    "saving",
    "testing",
    "use",
    "utils",
    "value_and_grad",
    "xp",
]


def __getattr__(name: str):
    if name in _ROOMS:
        import importlib

        return importlib.import_module(f"lamina.{name}")
    raise AttributeError(f"module 'lamina' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
