"""Finding where a NaN or an infinity first appeared: ``with lamina.debug_nans():``.

Slow by nature (every result is looked at, which on a GPU waits for it), so off unless asked for.
"""

import math
import threading

from lamina import backend

enabled = False


class _Layers(threading.local):
    names: tuple[str, ...] = ()


_layers = _Layers()


class debug_nans:
    """Check every result and gradient; the first one that is not finite raises FloatingPointError.

    The message names the operation, the layer it ran in, and the ranges of what went in. As a call
    it lasts (``lamina.debug_nans()``, ``lamina.debug_nans(False)``); as a block it ends with it.
    It concerns the whole process.
    """

    def __init__(self, enable: bool = True):
        global enabled
        self._before = enabled
        enabled = bool(enable)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        global enabled
        enabled = self._before


class inside:
    """A block that belongs to the layer ``name``, for messages."""

    def __init__(self, name: str):
        self.name = name

    def __enter__(self):
        _layers.names = (*_layers.names, self.name)

    def __exit__(self, *exc_info):
        _layers.names = _layers.names[:-1]


def current_layer() -> str:
    """The innermost layer that is computing on this thread, or an empty string."""
    return _layers.names[-1] if _layers.names else ""


def check_result(name, out, inputs) -> None:
    """Raise where ``out``, computed by ``name`` from ``inputs``, is not finite."""
    for array in out if isinstance(out, tuple) else (out,):
        if _is_bad(array):
            ranges = ", ".join(_range(x) for x in inputs if hasattr(x, "dtype"))
            raise FloatingPointError(
                f"{name}{_of(current_layer())} gave {_range(array)} from {ranges or 'no arrays'}: "
                "look at what goes in, lower the learning rate or clip the gradients"
            )


def check_gradient(node, gradient) -> None:
    """Raise where a gradient that went back through ``node`` is not finite."""
    gradient = getattr(gradient, "data", gradient) if hasattr(gradient, "_node") else gradient
    if _is_bad(gradient):
        raise FloatingPointError(
            f"the gradient of {node.name}{_of(getattr(node, 'layer', ''))} is {_range(gradient)}: "
            "look for a division by zero, a logarithm or root at 0, or clip the gradients"
        )


def _of(layer: str) -> str:
    return f' of layer "{layer}"' if layer else ""


def _is_bad(array) -> bool:
    xp = backend.namespace(array)
    if not xp.isdtype(array.dtype, ("real floating", "complex floating")):
        return False
    return not backend.of(array).scalar(xp.all(xp.isfinite(array)))


def _range(array) -> str:
    """ "float32 (4, 3) in [-1.2, 7]", and how many elements are not finite."""
    xp = backend.namespace(array)
    place = backend.of(array)
    what = f"{place.dtype_name(array.dtype)} {tuple(array.shape)}"
    if not xp.isdtype(array.dtype, "real floating"):
        return what
    finite = xp.isfinite(array)
    count = place.scalar(xp.count_nonzero(finite))
    size = math.prod(array.shape)
    text = f"{what} with {size - count} of {size} elements not finite" if count < size else what
    if not count:
        return text
    low = place.scalar(xp.min(xp.where(finite, array, xp.full_like(array, float("inf")))))
    high = place.scalar(xp.max(xp.where(finite, array, xp.full_like(array, -float("inf")))))
    return f"{text} in [{low:.4g}, {high:.4g}]"
