"""lamina: deep learning in plain Python on the array API standard.

    import lamina
    from lamina import layers

    model = lamina.Sequential([layers.Input((2,)), layers.Dense(8, "relu"), layers.Dense(1)])
    model.compile(optimizer="adam", loss="mse")
    model.fit(x, y, epochs=10)

The same program runs on NumPy and, with ``backend="cupy"``, on a CUDA GPU.
"""

from importlib import import_module

from lamina import _einops, backend, config, xp
from lamina.autograd import (
    Parameter,
    Tensor,
    checkpoint,
    custom_vjp,
    debug_nans,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    linearize,
    no_grad,
    primitive,
    stop_gradient,
    value_and_grad,
    vjp,
)
from lamina.backend import use
from lamina.errors import nearest

__version__ = "0.1.0"

# Rooms that a program may never enter are opened on first use.
_ROOMS = (
    "activations", "applications", "callbacks", "constraints", "datasets", "dtype_policies",
    "explain", "initializers", "kernels", "layers", "losses", "metrics", "models", "ops",
    "optimizers", "plotting", "regularizers", "saving", "testing", "utils",
)  # fmt: skip
_FROM_ROOMS = {
    "DTypePolicy": "dtype_policies", "Input": "layers", "Layer": "layers", "Model": "models",
    "Sequential": "models", "profile": "models",
}  # fmt: skip

__all__ = [
    "DTypePolicy",
    "Input",
    "Layer",
    "Model",
    "Parameter",
    "Sequential",
    "Tensor",
    "activations",
    "applications",
    "backend",
    "callbacks",
    "checkpoint",
    "config",
    "constraints",
    "custom_vjp",
    "datasets",
    "debug_nans",
    "dtype_policies",
    "explain",
    "grad",
    "hessian",
    "hvp",
    "initializers",
    "jacobian",
    "jvp",
    "kernels",
    "layers",
    "linearize",
    "losses",
    "metrics",
    "models",
    "no_grad",
    "ops",
    "optimizers",
    "plotting",
    "primitive",
    "profile",
    "regularizers",
    "saving",
    "stop_gradient",
    "testing",
    "use",
    "utils",
    "value_and_grad",
    "vjp",
    "xp",
]

_einops.watch()


def __getattr__(name: str):
    if name in _ROOMS:
        return import_module(f"lamina.{name}")
    if name in _FROM_ROOMS:
        return getattr(import_module(f"lamina.{_FROM_ROOMS[name]}"), name)
    close = None if name.startswith("_") else nearest(name, __all__)
    advice = f": did you mean {close!r}?" if close else ""
    raise AttributeError(f"module 'lamina' has no attribute {name!r}{advice}")


def __dir__() -> list[str]:
    return __all__
