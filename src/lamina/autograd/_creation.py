"""The functions of the standard that make arrays of numbers, lists and foreign arrays.

``creation(home)`` has them over the backend that ``home()`` gives, on its device; with ``tensors``
what they make is a constant tensor.
"""

import contextlib
import functools

from lamina import backend
from lamina.autograd._composed import filled
from lamina.autograd._functions import function
from lamina.autograd._standard import SIGNATURES
from lamina.autograd._tape import mode
from lamina.autograd._tensor import Tensor
from lamina.autograd._unruled import (
    NUMBERS,
    SPACES,
    has_tensor,
    has_tracked,
    items,
    made,
    namespace_among,
    parts,
    raw,
)

# Functions of numbers, with those parameters that are numbers of the array itself.
FROM_NUMBERS = {
    "arange": ("start", "stop", "step"),
    "empty": (),
    "eye": (),
    "full": ("fill_value",),
    "linspace": ("start", "stop"),
    "ones": (),
    "zeros": (),
    "fft.fftfreq": ("d",),
    "fft.rfftfreq": ("d",),
}
CREATING = frozenset((*FROM_NUMBERS, "asarray", "from_dlpack"))


def _from_numbers(name: str, home, tensors: bool):
    """The function ``name`` over the backend ``home()``, with the standard's signature."""
    signature = SIGNATURES[name]
    _, call = parts(signature)
    numbers = FROM_NUMBERS[name]
    space = "whole(place.xp)" if name.startswith("fft.") else "place.xp"
    body = ""
    if numbers:
        plain = " and ".join(f"type({n}) in NUMBERS" for n in numbers)
        fill = "return filled(shape, fill_value, dtype, device)" if name == "full" else "pass"
        body = f"""
    if not ({plain}):
        if type(fill_value := {numbers[0]}) not in NUMBERS and isinstance(fill_value, Tensor):
            {fill}
        {", ".join(numbers)}, = [number(NAME, n) for n in ({", ".join(numbers)},)]"""
    result = "wrap(out)" if tensors else "out"
    body += f"""
    place = home()
    if place.device is None:
        out = {space}.{name}({call})
        return {result}
    if device is None:
        device = place.device
    with place.scope():
        out = {space}.{name}({call})
        return {result}
"""
    doc = f"The standard's ``{name}``, on the backend and device in use."
    if tensors:
        doc = f"The standard's ``{name}``, as a constant tensor."
    names = {"NAME": name, "NUMBERS": NUMBERS, "Tensor": Tensor, "filled": filled, "home": home}
    return made(
        name, signature, body, doc, number=_number, whole=backend.whole, wrap=Tensor._of, **names
    )


def _scope(place):
    """Where the library goes by a current device, a context with that of ``place``."""
    return contextlib.nullcontext() if place.device is None else place.scope()


def _number(name, value):
    """An argument that is to be a number, as one that every library takes."""
    if not isinstance(value, Tensor):
        return value
    if value.requires_grad and mode.enabled:
        raise NotImplementedError(
            f"lamina.xp.{name} has no derivative with respect to its numbers: pass x.detach() if "
            "a constant is meant, or compute with an array, as in start + step * arange(n)"
        )
    return value.item()


def _asarray(home, tensors):
    def asarray(obj, /, *, dtype=None, device=None, copy=None):
        """The standard's ``asarray``: a tensor stays one, and on the tape."""
        space = SPACES.get(type(obj))
        if space is not None:
            if not tensors and device is None and copy is None:
                return space.asarray(obj, dtype=dtype)  # and stays where it lies
            out = space.asarray(obj, dtype=dtype, device=device, copy=copy)
            return Tensor._of(out) if tensors else out
        if type(obj) in NUMBERS:
            place = home()
            if place.device is None:
                out = place.xp.asarray(obj, dtype=dtype, device=device, copy=copy)
            else:
                device = place.device if device is None else device
                with place.scope():
                    out = place.xp.asarray(obj, dtype=dtype, device=device, copy=copy)
            return Tensor._of(out) if tensors else out
        if isinstance(obj, Tensor):
            return _tensor_as(obj, dtype, device, copy)
        if mode.enabled and has_tracked((obj,)):
            return _tensor_as(_stacked(obj, dtype), None, device, None)
        place = home()
        space = namespace_among((obj,), place.xp)
        constant = tensors or has_tensor((obj,))
        if device is None and space is place.xp and not backend.is_array(obj):
            device = place.device
        with _scope(place):
            out = space.asarray(raw(obj), dtype=dtype, device=device, copy=copy)
        return Tensor._of(out) if constant else out

    return asarray


def _stacked(obj, dtype):
    """A nested list with tensors that require gradients among its numbers, as one tensor."""
    values = list(items((obj,)))
    first = next(value for value in values if isinstance(value, Tensor))
    space = backend.namespace(first.data)
    if dtype is None:
        dtype = space.result_type(*map(raw, values))

    def stack(part):
        if isinstance(part, list | tuple):
            return function("stack")([stack(p) for p in part])
        if isinstance(part, Tensor) or backend.is_array(part):
            return function("astype")(part, dtype)
        return space.asarray(part, dtype=dtype, device=first.device)

    return stack(obj)


def _tensor_as(x, dtype, device, copy):
    casts = dtype is not None and dtype != x.dtype
    moves = device is not None and device != x.device
    if copy is False and (casts or moves):
        raise ValueError(
            "asarray(copy=False) keeps the memory, which another dtype or device needs anew: "
            "leave copy= out"
        )
    x = x.to_device(device) if moves else x
    if casts or copy:
        x = function("astype")(x, x.dtype if dtype is None else dtype, copy=True)
    return x


def _from_dlpack(home, tensors):
    def from_dlpack(x, /, *, device=None, copy=None):
        """The standard's ``from_dlpack``: a tensor of the same library stays on the tape."""
        place = home()
        if isinstance(x, Tensor):
            if backend.namespace(x.data) is place.xp:
                return _tensor_as(x, None, device, copy)
            if x.requires_grad and mode.enabled:
                raise NotImplementedError(
                    f"a tensor of {backend.of(x.data)} does not become one of {place} with its "
                    "gradient: pass x.detach() if a constant is meant"
                )
            x = x.data
        given = {"device": device, "copy": copy}
        options = {key: value for key, value in given.items() if value is not None}
        with _scope(place):
            out = place.xp.from_dlpack(x, **options)
        return Tensor._of(out) if tensors else out

    return from_dlpack


@functools.cache
def creation(home, tensors=False) -> dict:
    """The functions of this file by name."""
    found = {name: _from_numbers(name, home, tensors) for name in FROM_NUMBERS}
    found |= {"asarray": _asarray(home, tensors), "from_dlpack": _from_dlpack(home, tensors)}
    for name in ("asarray", "from_dlpack"):
        found[name].__module__, found[name].__qualname__ = "lamina.xp", name
    return found
