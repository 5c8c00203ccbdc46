"""Finding where a NaN or an infinity first appeared: ``with lamina.debug_nans():``.

Slow by nature (every result is looked at, which on a GPU waits for it), so off unless asked for.
"""

import functools
import linecache
import math
import sys
import threading

from lamina import backend

enabled = False


class _Layers(threading.local):
    names: tuple[str, ...] = ()
    pulling = None  # the node whose rule is running


_layers = _Layers()


class debug_nans:
    """Check every result and gradient; the first one that is not finite raises FloatingPointError.

    The message names the operation, the layer it ran in, the ranges of what went in, and the line
    of your program that asked for it; of a gradient, the line whose gradient it is. As a call it
    lasts (``lamina.debug_nans()``, ``lamina.debug_nans(False)``); as a block it ends with it. It
    concerns the whole process.
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
    if _layers.pulling is not None:  # its gradient is looked at when it is complete
        return
    for array in out if isinstance(out, tuple) else (out,):
        if _is_bad(array):
            ranges = ", ".join(_range(x) for x in inputs if hasattr(x, "dtype"))
            raise FloatingPointError(
                f"{name}{_of(current_layer())} gave {_range(array)} from {ranges or 'no arrays'}"
                f"{_at(current_line())}: "
                "look at what goes in, lower the learning rate or clip the gradients"
            )


def pulled(node, g, on_tensors: bool) -> list:
    """What ``node`` makes of the gradient ``g``: pairs (vertex, gradient), looked at."""
    with passing(node):
        found = list(node.pull_tensors(g) if on_tensors else node.pull(g))
    for _, gradient in found:
        check_passed(node, gradient, "gradient")
    return found


class passing:
    """A block in which derivatives pass ``node``: what it records belongs to the node's line."""

    def __init__(self, node):
        self.node = node

    def __enter__(self):
        self._before = _layers.pulling
        _layers.pulling = self.node

    def __exit__(self, *exc_info):
        _layers.pulling = self._before


def check_passed(node, value, what: str) -> None:
    """Raise where the gradient or tangent ``value`` that went through ``node`` is not finite."""
    value = value.data if hasattr(value, "_node") else value
    if value is not None and _is_bad(value):
        raise FloatingPointError(
            f"the {what} of {node.name}{_of(getattr(node, 'layer', ''))} is {_range(value)}"
            f"{_at(getattr(node, 'line', ''))}: "
            "look for a division by zero, a logarithm or root at 0, or clip the gradients"
        )


def current_line() -> str:
    """The line of the user's program that is running, as 'file.py:12: "y = xp.log(x)"'.

    It is the innermost one outside of lamina and of Python's own library; an empty string where
    there is none, as on a thread of lamina's own.
    """
    if _layers.pulling is not None:
        return getattr(_layers.pulling, "line", "")
    frame = sys._getframe(1)
    while frame is not None and _is_ours(frame):
        frame = frame.f_back
    if frame is None:
        return ""
    name, number = frame.f_code.co_filename, frame.f_lineno
    text = linecache.getline(name, number, frame.f_globals).strip()
    return f'{name}:{number}: "{text}"' if text else f"{name}:{number}"


def _is_ours(frame) -> bool:
    # functions that the namespace makes have no file, and no module but lamina's
    module = frame.f_globals.get("__name__", "lamina")
    return module.partition(".")[0] == "lamina" or _is_pythons(frame.f_code.co_filename)


@functools.cache
def _is_pythons(filename: str) -> bool:
    if filename.startswith("<frozen "):
        return True
    import pathlib  # which takes as long to load as a tenth of lamina
    import sysconfig

    library = pathlib.Path(sysconfig.get_paths()["stdlib"]).resolve()
    path = pathlib.Path(filename).resolve()
    return library in path.parents and not {"site-packages", "dist-packages"} & set(path.parts)


def _at(line: str) -> str:
    return f", at {line}" if line else ""


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
