"""How a tensor is written to, and how it meets NumPy, DLPack and other devices."""

import os
import sys

from lamina import backend
from lamina.autograd._functions import function, refuse_libraries, refuse_mixture
from lamina.autograd._standard import EXTENSIONS, elsewhere
from lamina.autograd._tape import Alias, Node, mode, vertex_of
from lamina.autograd._tensor import Tensor
from lamina.autograd._unruled import items, raw

NoneType = type(None)

# ---- writing ----------------------------------------------------------------------------------


def _setitem(self, key, value, /):
    """Write into a tensor, as the standard has it, and record that where a gradient is needed.

    The tensor then stands for a new array, and a new place on the tape. What was computed from it
    before keeps the old ones: neither the array that it was made of, nor a view, nor what a tape
    keeps, ever changes, so no gradient is wrong by it.

    Raises:
        TypeError: for a tensor whose own gradient will be asked for, and for a value that the
            dtype cannot hold, as 0.5 in integers.
    """
    live = isinstance(value, Tensor) and value.requires_grad and mode.enabled
    if self.requires_grad and (type(self._node) in (NoneType, Alias) or not mode.enabled):
        raise TypeError(
            "tensors whose gradient will be asked for are values and are never written to: build a "
            "new one, for example lamina.xp.where(mask, new, old) or lamina.xp.concat([...]), or "
            "write into a copy, lamina.xp.asarray(x, copy=True)"
        )
    if live and hasattr(self, "changed"):
        raise TypeError(
            "a parameter cannot remember how a value was computed: write value.detach()"
        )
    key = index(key)
    plain = raw(value)
    xp = backend.namespace(self.data)
    refuse_libraries("writing to a tensor", xp, (self.data, plain))
    _refuse_another_kind(xp, self.dtype, plain)
    data = xp.asarray(self.data, copy=True)
    try:
        data[key] = plain
    except Exception:
        refuse_mixture("writing to a tensor", (self.data, plain))
        raise
    if live or self.requires_grad:
        self._node = _written(xp, self, key, value)._node
        self.requires_grad = True
    self.data = data
    if hasattr(self, "changed"):  # a parameter
        self.changed()


def _written(xp, x, key, value):
    """``x`` with ``value`` at ``key``, by functions that have derivatives."""
    for part in key if isinstance(key, tuple) else (key,):
        if isinstance(part, list) or (getattr(part, "ndim", 0) and part.dtype != xp.bool):
            raise TypeError(
                "writing where arrays of numbers point has no derivative, since they may name a "
                "place twice: write by a mask or slices, or use lamina.xp.where"
            )
    there = xp.zeros(x.shape, dtype=xp.bool, device=x.device)
    there[key] = True
    shape = tuple(there[key].shape)
    old = Tensor._of(x.data, x._node)
    if not isinstance(value, Tensor):
        value = Tensor._of(xp.asarray(value, dtype=x.dtype, device=x.device))
    value = function("broadcast_to")(function("astype")(value, x.dtype), shape)
    laid = function("setitem_zeros")(value, key, tuple(x.shape))
    return function("where")(there, laid, old)


_KINDS = ("bool", "integral", "real floating", "complex floating")


def _refuse_another_kind(xp, dtype, value) -> None:
    """Raise where ``dtype`` cannot hold ``value``, and libraries would cut it down to fit."""
    holds = next((i for i, kind in enumerate(_KINDS) if xp.isdtype(dtype, kind)), len(_KINDS))
    if backend.is_array(value):
        given = next((i for i, kind in enumerate(_KINDS) if xp.isdtype(value.dtype, kind)), 0)
    else:
        given = next((i for i, t in enumerate((bool, int, float, complex)) if type(value) is t), 0)
    if given > holds:
        raise TypeError(
            f"a tensor of {backend.of(xp.empty(0, dtype=dtype)).dtype_name(dtype)} cannot hold a "
            f"value that is {_KINDS[given]}: convert one of the two with lamina.xp.astype"
        )


def index(key):
    """An index with its tensors as raw arrays."""
    if isinstance(key, tuple):
        return tuple(map(raw, key))
    return raw(key)


def augmented(binary):
    """The operator that augments: ``x += y`` is ``x = x + y``, in the dtype and shape of x.

    It makes a new tensor, with a gradient or without, so that a program does the same in both.
    """

    def operator(self, other, /):
        out = binary(self, other)
        if out is NotImplemented:
            return out
        if tuple(out.shape) != tuple(self.shape) or out.dtype != self.dtype:
            told = backend.of(self.data).dtype_name
            raise TypeError(
                f"an augmented assignment keeps dtype and shape, {told(self.dtype)} "
                f"{tuple(self.shape)}, but the result is {told(out.dtype)} {tuple(out.shape)}: "
                "write it out, as in x = x + y"
            )
        return out

    return operator


# ---- NumPy ------------------------------------------------------------------------------------


def _array(self, dtype=None, copy=None):
    """The value for NumPy, which knows no gradients."""
    if self.requires_grad:
        raise TypeError(
            "NumPy would forget how this tensor was computed, and its gradient with it: use "
            f"the functions of lamina.xp, or say .numpy() or .detach() where it shall be{_scipy()}"
        )
    host = backend.of(self.data).to_numpy(self.data)
    host = host if dtype is None else host.astype(dtype)
    return host.copy() if copy else host


def _scipy() -> str:
    """What to say of SciPy where it may be what asks."""
    if "scipy" not in sys.modules:
        return ""
    told = "; SciPy's compiled functions (erf, gammaln, norm.pdf, linalg.solve) know no gradients"
    if not os.environ.get("SCIPY_ARRAY_API"):
        told += ", its others take tensors where SCIPY_ARRAY_API=1 is set before SciPy is imported"
    return told


# What NumPy calls when a NumPy array stands left of an operator and a tensor right of it.
_UFUNCS = {
    "add": "add",
    "bitwise_and": "bitwise_and",
    "bitwise_or": "bitwise_or",
    "bitwise_xor": "bitwise_xor",
    "divide": "divide",
    "equal": "equal",
    "floor_divide": "floor_divide",
    "greater": "greater",
    "greater_equal": "greater_equal",
    "left_shift": "bitwise_left_shift",
    "less": "less",
    "less_equal": "less_equal",
    "matmul": "matmul",
    "multiply": "multiply",
    "not_equal": "not_equal",
    "pow": "pow",
    "power": "pow",
    "remainder": "remainder",
    "right_shift": "bitwise_right_shift",
    "subtract": "subtract",
    "true_divide": "divide",
}


def _array_ufunc(self, ufunc, method, *inputs, **kwargs):
    """array + tensor becomes tensor + array; other NumPy functions lose gradients."""
    if method == "__call__" and not kwargs and ufunc.__name__ in _UFUNCS:
        return function(_UFUNCS[ufunc.__name__])(*inputs)
    _refuse_numpy(_home_of(ufunc), ufunc.__name__, method, (*inputs, *kwargs.values()))
    plain = {key: _plain(value) for key, value in kwargs.items()}
    return getattr(ufunc, method)(*map(_plain, inputs), **plain)


def _array_function(self, func, types, args, kwargs):
    """NumPy's own functions, which are the values' of constants, and lose gradients else."""
    _refuse_numpy(func.__module__, func.__name__, "__call__", (*args, *kwargs.values()))
    return func(*map(_plain, args), **{key: _plain(value) for key, value in kwargs.items()})


def _home_of(ufunc) -> str:
    """The module of an array function that knows it not itself: NumPy's or SciPy's, else ""."""
    for home in ("numpy", "scipy.special"):
        if getattr(sys.modules.get(home), ufunc.__name__, None) is ufunc:
            return home
    return ""


def _refuse_numpy(home, name, method, values) -> None:
    """Raise where NumPy's function ``home.name`` would lose a gradient or reach for a device."""
    tensors = [value for value in items(values) if isinstance(value, Tensor)]
    tracked = any(tensor.requires_grad for tensor in tensors)
    if not tracked and all(backend.of(tensor.data).is_host for tensor in tensors):
        return
    use = "the functions of lamina.xp"
    if home:
        short = f"{home}.{name}".removeprefix("scipy.special.").removeprefix("numpy.")
        use = _ours(short) or use
    told = ".".join(filter(None, (home, name, "" if method == "__call__" else method)))
    if tracked:
        raise TypeError(
            f"{told} would lose the gradient of a lamina.Tensor: "
            f"use {use}, or .numpy() or .detach() for a plain array"
            f"{_scipy() if home.startswith('scipy') else ''}"
        )
    places = " and ".join(dict.fromkeys(str(backend.of(tensor.data)) for tensor in tensors))
    raise TypeError(
        f"{told} works in the host's memory and the tensor is on {places}: "
        f"use {use}, or .numpy() for a copy"
    )


def _ours(name) -> str | None:
    """Where lamina has what NumPy calls ``name``, as in "linalg.norm"."""
    from lamina.autograd._namespace import standard

    home, _, short = name.rpartition(".")
    if short not in (EXTENSIONS.get(home, ()) if home else standard()):
        name = elsewhere(name)
    return name if name is None or name.startswith("lamina.") else f"lamina.xp.{name}"


def _plain(value):
    """A value with its tensors as NumPy arrays."""
    if isinstance(value, Tensor):
        return _array(value)
    if isinstance(value, list | tuple):
        parts = [_plain(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


# ---- DLPack, devices --------------------------------------------------------------------------


def _dlpack(self, /, *, stream=None, max_version=None, dl_device=None, copy=None):
    """The array for another library, which knows no gradients."""
    if self.requires_grad:
        raise TypeError(
            "another library would forget how this tensor was computed, and its gradient with it: "
            "hand it .detach() where it shall"
        )
    given = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
    given = {key: value for key, value in given.items() if value is not None}
    return self.data.__dlpack__(**given)


def _dlpack_device(self, /):
    return self.data.__dlpack_device__()


def _to_device(self, device, /, *, stream=None):
    """The tensor on another device of its library; its gradient comes back to this one."""
    here = self.device
    if device == here:
        return self
    from array_api_compat import to_device

    data = to_device(self.data, device, stream=stream)
    if not (self.requires_grad and mode.enabled):
        return Tensor._of(data)
    return Tensor._of(data, _Move(self, here))


class _Move(Node):
    """A tensor's way to another device, and its gradient's way back."""

    __slots__ = ("source",)

    def __init__(self, tensor, source):
        super().__init__("to_device", ((vertex_of(tensor),),))
        self.source = source

    def pull(self, g):
        from array_api_compat import to_device

        return ((self.edges[0][0], to_device(g, self.source)),)

    def pull_tensors(self, g):
        return ((self.edges[0][0], g.to_device(self.source)),)

    def release(self):
        pass


def _attach() -> None:
    Tensor.__setitem__ = _setitem
    Tensor.__array__ = _array
    Tensor.__array_ufunc__ = _array_ufunc
    Tensor.__array_function__ = _array_function
    Tensor.__dlpack__ = _dlpack
    Tensor.__dlpack_device__ = _dlpack_device
    Tensor.to_device = _to_device


_attach()
