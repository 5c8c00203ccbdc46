"""CuPy without CuPy: its module over NumPy, as far as lamina's own code for it reaches.

`install` puts it where lamina looks, so that the real `lamina.backend.Backend` opens and runs it.
As on a device, NumPy cannot see the values of an array: all that reads them goes by its ``get``.
"""

import sys
import types

import numpy as np

import _host_cuda
from lamina import backend, config
from lamina.backend import _backend, _cuda


class OutOfMemoryError(MemoryError):
    """As CuPy's is named and worded."""

    def __init__(self, size, total):
        told = f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes)."
        super().__init__(told)


class Pool:
    """Notes what a memory pool is asked."""

    def __init__(self):
        self.asked = []

    def free_all_blocks(self):
        self.asked.append("free")

    def set_limit(self, **how):
        self.asked.append(how)


class _Device:
    """Notes in ``entered`` which devices were made the current one."""

    def __init__(self, number):
        self.id = number

    def __eq__(self, other):
        return isinstance(other, _Device) and self.id == other.id

    def __hash__(self):
        return hash(self.id)

    def __enter__(self):
        self.entered.append(self.id)
        self.current.append(self)
        return self

    def __exit__(self, *exc_info):
        self.current.pop()


class _Array(np.lib.mixins.NDArrayOperatorsMixin):
    """What the array class inherits: methods that read do it by ``get``, on the current device."""

    def __init__(self, values, device):
        self._values = np.asarray(values)
        self.device = device

    shape = property(lambda self: self._values.shape)
    dtype = property(lambda self: self._values.dtype)
    ndim = property(lambda self: self._values.ndim)
    strides = property(lambda self: self._values.strides)
    size = property(lambda self: self._values.size)
    data = property(lambda self: types.SimpleNamespace(ptr=self._values.ctypes.data))

    def get(self):
        return self._values

    def item(self):
        return self.get().item()

    def tolist(self):
        return self.get().tolist()

    def nonzero(self):
        return int(self), self.get().nonzero()

    def view(self, dtype):
        return self._like(self._values.view(dtype))

    def __bool__(self):
        return bool(self.get())

    def __int__(self):
        return int(self.get().sum())

    def __float__(self):
        return float(self.get().sum())

    def __repr__(self):
        return repr(self.get())

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __getitem__(self, key):
        return self._like(self._values[_raw(key)])

    def __setitem__(self, key, values):
        self._values[_raw(key)] = _raw(values)

    def __dlpack__(self, *, stream=None, dl_device=None):
        return "capsule"

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        if out is None:
            return self._like(getattr(ufunc, method)(*_raw(inputs), **options))
        getattr(ufunc, method)(*_raw(inputs), out=_raw(out), **options)
        return out[0]

    def _like(self, values):
        return type(self)(values, self.device)


def _raw(value):
    """``value`` with what NumPy sees in the place of arrays."""
    if isinstance(value, tuple | list):
        return type(value)(map(_raw, value))
    return value._values if isinstance(value, _Array) else value


class _Standard(types.ModuleType):
    """The standard's namespace: NumPy's functions, from arrays to arrays."""

    def __init__(self, array):
        super().__init__("array_api_compat.cupy")
        self._array = array

    def __getattr__(self, name):
        if name.startswith("__"):  # where its files are, for one
            raise AttributeError(name)
        found = getattr(backend.get("numpy").xp, name)
        if isinstance(found, type) or not callable(found):
            return found

        def function(*args, device=None, **options):
            options = {name: _raw(option) for name, option in options.items()}
            made = found(*_raw(args), **options)
            return self._array(made) if isinstance(made, np.ndarray | np.generic) else made

        setattr(self, name, function)  # where those who count calls find it
        return function


def modules(devices=2):
    """What `sys.modules` holds where CuPy is installed and there are so many devices.

    CuPy's own module has but what is written here, so that no name of it is taken for another; and
    besides ``pool`` and ``pinned``, its pools of memory, and ``cuda.Device.entered``.
    """
    current = [_Device(0)]
    device = type("Device", (_Device,), {"entered": [], "current": current})
    array = type("ndarray", (_Array,), {"__slots__": ()})

    cupy = types.ModuleType("cupy")
    cupy.ndarray = array
    cupy.asarray = lambda values: array(values, current[-1])
    cupy.ascontiguousarray = lambda x: x._like(np.ascontiguousarray(x._values))
    cupy.nonzero = lambda x: x.nonzero()
    cupy.ElementwiseKernel, cupy.RawKernel = _host_cuda.ElementwiseKernel, _host_cuda.RawKernel
    cupy.is_available = lambda: True
    cupy.cuda = types.SimpleNamespace(
        Device=device, runtime=types.SimpleNamespace(getDeviceCount=lambda: devices)
    )
    cupy.pool, cupy.pinned = Pool(), Pool()
    cupy.get_default_memory_pool = lambda: cupy.pool
    cupy.get_default_pinned_memory_pool = lambda: cupy.pinned
    return {"cupy": cupy, "array_api_compat.cupy": _Standard(cupy.asarray)}


def install(monkeypatch):
    """The module, in the place of CuPy until the test ends; no device is in use yet."""
    for table in ("_backends", "_names", "_namespaces"):
        monkeypatch.setattr(_backend, table, dict(getattr(_backend, table)))
    monkeypatch.setattr(_cuda, "used_by", None)
    monkeypatch.setattr(config, "_tf32_is_settled", False)
    found = modules()
    for name, module in found.items():
        monkeypatch.setitem(sys.modules, name, module)
    return found["cupy"]
