"""A backend: an array-API namespace together with one of its devices.

``get("numpy")``, ``get("cupy:1")``, ``get("array_api_strict:device1")``: the part after the colon
names the device. A backend is a property of a model or of an array, never of the process, so two of
them live side by side; ``use`` only chooses what is taken where nothing else is said.
"""

import contextlib
import functools
import importlib
import math
import os

import numpy as np

from lamina import config
from lamina.backend import _cuda, waits
from lamina.errors import unknown

_NAMES = ("numpy", "cupy", "torch", "array_api_strict", "auto")
_MEANT = {"cpu": "numpy", "cuda": "cupy", "gpu": "cupy"}
_DTYPES = frozenset(
    """bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 bfloat16 float32 float64
    complex64 complex128""".split()
)

_backends: dict[tuple[str, str], "Backend"] = {}
_namespaces: dict[type, object] = {}
_names: dict[object, str] = {}
_chosen: "Backend | None" = None
# os.environ decodes at every look-up, which costs more than making a small array
_KEY = "LAMINA_BACKEND"
_environment = getattr(os.environ, "_data", os.environ)
if _environment is not os.environ:
    _KEY = os.environ.encodekey(_KEY)
_by_environment: dict[object, "Backend"] = {}


class Backend:
    """Where arrays live and which functions work on them.

    Attributes:
        name: the library, such as "numpy" or "cupy".
        xp: its array-API namespace.
        device: its device object, or None where the library has only one.
        is_host: whether arrays lie in memory that NumPy reads directly.
    """

    def __init__(self, name: str, xp, device=None, device_name: str = ""):
        self.name = name
        self.xp = xp
        self.device = device
        self.is_host = name == "numpy"
        self._device_name = device_name

    def __str__(self) -> str:
        return f"{self.name}:{self._device_name}" if self._device_name else self.name

    def __repr__(self) -> str:
        return f"<backend {self}>"

    def __reduce__(self):
        return get, (str(self),)

    def dtype(self, name):
        """The dtype object of this library for a name such as "float32"; objects pass through."""
        if not isinstance(name, str):
            return name
        if name not in _DTYPES:
            raise unknown("dtype", name, _DTYPES)
        found = getattr(self.xp, name, None)
        if found is None:
            raise ValueError(f"the backend {self} has no dtype {name!r}")
        return found

    def dtype_name(self, dtype) -> str:
        """The standard's name of a dtype object: "float32" for ``numpy.dtype("float32")``."""
        return _dtype_name(type(dtype), dtype)

    def owns(self, array) -> bool:
        """Whether ``array`` belongs to this library and lies on this device."""
        if _namespaces.get(type(array)) is not self.xp and namespace(array) is not self.xp:
            return False
        return self.device is None or _device(array) == self.device

    def asarray(self, data, dtype=None):
        """``data`` as an array of this backend; copied only where it must be.

        Args:
            data: an array of any backend, anything NumPy understands (lists, numbers, pandas), or
                anything with ``__dlpack__``.
            dtype: a dtype of this library or its name; None keeps that of ``data``, and makes
                Python floats ``floatx()``.
        """
        dtype = self.dtype(dtype)
        if not is_array(data):
            data = _host(data, keep_dtype=dtype is not None)
        if not self.owns(data):
            home = of(data)
            data = np.asarray(data) if home.is_host else home.to_numpy(data)
            if self.is_host:
                return np.asarray(data, dtype=dtype)
            with self.scope():
                if dtype is None:
                    dtype = self.dtype(data.dtype.name)
                if not data.flags.writeable or any(stride < 0 for stride in data.strides):
                    data = data.copy()
                return self.xp.asarray(data, dtype=dtype, device=self.device)
        if dtype is None or data.dtype == dtype:
            return data
        return self.xp.astype(data, dtype)

    def to_numpy(self, array) -> np.ndarray:
        """The array in host memory: the one explicit transfer (and wait) there is."""
        if not waits.watchers:
            return self._read(array)
        with waits.waiting("to_numpy", array):
            return self._read(array)

    def _read(self, array) -> np.ndarray:
        if self.name == "numpy":
            return np.asarray(array)
        if self.name == "cupy":
            return array.get()
        if self.name == "torch":
            if str(array.dtype) == "torch.bfloat16":  # NumPy has none: float32 holds each of them
                array = array.float()
            return array.detach().cpu().resolve_conj().resolve_neg().numpy()
        if self.name == "array_api_strict":
            return np.asarray(array.to_device(self.xp.Device("CPU_DEVICE")))
        from array_api_compat import to_device

        return np.from_dlpack(to_device(array, "cpu"))

    def scalar(self, array):
        """A Python number from a 0-d array; waits for the device."""
        return self.to_numpy(array).item()

    def free_memory(self) -> int | None:
        """Bytes free on the device, or None where the library does not tell."""
        if self.name == "cupy":
            with self.scope():
                pool = self.library.get_default_memory_pool()
                return self.library.cuda.runtime.memGetInfo()[0] + pool.free_bytes()
        return None

    def synchronize(self) -> None:
        """Wait until the device has done all that it was given; a host has done it already."""
        if self.name == "cupy":
            self.device.synchronize()
        elif self.name == "torch" and str(self.device) != "cpu":
            getattr(self.library, self.device.type).synchronize(self.device)

    def size_of(self, array) -> int:
        """The bytes that the elements of ``array`` take."""
        bits = "".join(filter(str.isdigit, self.dtype_name(array.dtype))) or "8"  # bool has none
        return math.prod(array.shape) * int(bits) // 8

    def scope(self):
        """A context in which new arrays of this library land on this device.

        CuPy ignores ``device=`` in most creation functions and goes by the current device instead.
        """
        if self.name != "cupy":
            return contextlib.nullcontext()
        _cuda.check_process()
        return self.device

    @property
    def library(self):
        """The module of the array library itself."""
        return importlib.import_module(self.name)


@functools.cache
def _dtype_name(kind, dtype) -> str:  # array_api_strict's warn when compared with NumPy's
    return str(dtype).rpartition(".")[2]


def get(identifier=None) -> Backend:
    """The backend that a name, a Backend or None stands for.

    Args:
        identifier: "numpy", "cupy", "torch", "array_api_strict" or any importable array-API
            namespace, each with an optional ``":device"``; "auto" is CuPy where a CUDA device
            answers, else NumPy; None is the default: ``use``, then ``LAMINA_BACKEND``, then NumPy.

    Raises:
        ValueError: for a name that is no array library.
        RuntimeError: where the library is missing or has no working device.
    """
    if identifier is None:
        if _chosen is not None:
            return _chosen
        found = _by_environment.get(_environment.get(_KEY))
        if found is not None:
            return found
        found = get(os.environ.get("LAMINA_BACKEND") or "numpy")
        _by_environment[_environment.get(_KEY)] = found
        return found
    if isinstance(identifier, Backend):
        return identifier
    if not isinstance(identifier, str):
        raise TypeError(f"a backend is named by a string such as 'numpy', got {identifier!r}")
    name, _, device_name = identifier.partition(":")
    if name == "auto":
        name = "cupy" if _cuda.answers() else "numpy"
    found = _backends.get((name, device_name))
    if found is None:
        found = _backends[name, device_name] = _open(name, device_name)
        if waits.watchers:  # its arrays, too
            waits.install()
    elif name == "cupy":
        _cuda.check_process()
    return found


class use:
    """Choose the backend for everything that does not name one itself.

    As a call it lasts, ``lamina.use("cupy")``; as a block, ``with lamina.use("numpy"):``, it ends
    with the block. It concerns the whole process; what has a backend already keeps it.
    """

    def __init__(self, backend):
        global _chosen
        self._before = _chosen
        self.backend = _chosen = get(backend)

    def __enter__(self) -> Backend:
        return self.backend

    def __exit__(self, *exc_info) -> None:
        global _chosen
        _chosen = self._before

    def __repr__(self) -> str:
        return f"use({str(self.backend)!r})"


def namespace(array):
    """The raw array-API namespace of an array: one dictionary look-up by type."""
    found = _namespaces.get(type(array))
    return found if found is not None else _resolve(array)


def name(xp) -> str:
    """The name of a raw namespace: "numpy", "cupy", ..."""
    return _names[xp]


def is_array(value) -> bool:
    """Whether ``value`` is an array of some array-API library (lists and numbers are not)."""
    if type(value) in _namespaces:
        return True
    if isinstance(value, type):  # numpy.float32 itself has the attributes of its instances
        return False
    from array_api_compat import is_array_api_obj

    return is_array_api_obj(value)


def is_namespace(value) -> bool:
    """Whether ``value`` is a namespace of array functions, as ``numpy`` and ``lamina.xp`` are."""
    return all(hasattr(value, name) for name in ("__name__", "asarray", "isdtype"))


def of(array) -> Backend:
    """The backend that an array belongs to."""
    xp = namespace(array)
    name = _names[xp]
    if name == "numpy":
        return get("numpy")
    device = _device(array)
    for (known, _), backend in tuple(_backends.items()):  # other threads may add to it
        if known == name and backend.device == device:
            return backend
    device_name = _device_name(device)
    found = _backends[name, device_name] = Backend(name, xp, device, device_name)
    return found


def _resolve(array):
    from array_api_compat import array_namespace

    if not is_array(array):
        kind = type(array).__name__
        if is_namespace(array):
            raise TypeError(
                f"expected an array, got the namespace {array.__name__}: leave it out, a function "
                "finds it by its arrays"
            )
        raise TypeError(
            f"expected an array (NumPy, CuPy, ... or lamina.Tensor), got {kind}: "
            "convert it first, for example with lamina.backend.get('numpy').asarray(...)"
        )
    if type(array).__module__.startswith("lamina."):
        raise TypeError(
            "expected a raw array, got a lamina.Tensor: pass its .data, or compute with lamina.xp"
        )
    if isinstance(array, np.ndarray | np.generic):
        xp, name = get("numpy").xp, "numpy"
    else:
        xp = array_namespace(array)
        name = xp.__name__.removeprefix("array_api_compat.").partition(".")[0]
    _names[xp] = name
    _namespaces[type(array)] = xp
    return xp


def _device(array):
    from array_api_compat import device

    return device(array)


def _device_name(device) -> str:
    """ "1" for CUDA device 1, "device1" for array_api_strict's, "cuda:0" for torch's."""
    number = getattr(device, "id", None)
    if number is not None:
        return str(number)
    return getattr(device, "_device", None) or str(device)


def _host(data, keep_dtype: bool) -> np.ndarray:
    """``data``, which is no array yet, as a NumPy array; Python floats become ``floatx()``."""
    if hasattr(data, "__dlpack__") and not hasattr(data, "__array__"):
        return np.from_dlpack(data)
    array = np.asarray(data)
    python = isinstance(data, list | tuple | float | complex)
    if python and array.dtype == np.float64 and not keep_dtype and config.floatx() != "bfloat16":
        return array.astype(config.floatx())
    return array


def _open(name: str, device_name: str) -> Backend:
    if name == "numpy":
        whole = hasattr(np, "cumulative_sum")  # NumPy has the standard's functions from 2.1 on
        xp = np if whole else importlib.import_module("array_api_compat.numpy")
        if device_name not in ("", "cpu"):
            raise ValueError(f"NumPy has one device, 'cpu', got {device_name!r}")
        _names[xp] = "numpy"
        _namespaces[np.ndarray] = xp
        return Backend("numpy", xp)
    if name == "cupy":
        return _open_cupy(device_name)
    if name.lower() in _MEANT:
        raise ValueError(f"unknown backend {name!r}: did you mean {_MEANT[name.lower()]!r}?")
    try:
        library = importlib.import_module(name)
    except ImportError as error:
        if name in _NAMES:
            raise RuntimeError(
                f"the backend {name!r} needs the package of that name, which does not import "
                f"({error}): install it with pip install {name.replace('_', '-')}"
            ) from error
        raise unknown("backend", name, _NAMES) from error
    if name == "torch":
        xp = importlib.import_module("array_api_compat.torch")
        device = library.device(device_name or "cpu")
    elif hasattr(library, "__array_namespace_info__"):
        xp = library
        if device_name:
            device = getattr(library, "Device", str)(device_name)
        else:
            device = xp.__array_namespace_info__().default_device()
    else:
        raise unknown("backend", name, _NAMES)
    _names[xp] = name
    return Backend(name, xp, device, device_name)


def opened(name: str) -> list[Backend]:
    """The backends of a library that were asked for so far."""
    return [backend for (known, _), backend in tuple(_backends.items()) if known == name]


def _open_cupy(device_name: str) -> Backend:
    cupy, device = _cuda.device(device_name)
    config.settle_tf32()
    xp = importlib.import_module("array_api_compat.cupy")
    _names[xp] = "cupy"
    _namespaces[cupy.ndarray] = xp
    return Backend("cupy", xp, device, device_name)


get("numpy")
