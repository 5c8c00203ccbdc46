"""Waits of the host for a device: forbidden where they hide, allowed where they are meant.

A device computes on while Python goes ahead; whatever needs a value in Python (``float(x)``,
``if x:``, ``.item()``, printing, a shape that depends on values) stops Python until the device has
caught up. While somebody watches, and only then, the ways to do that are replaced on the array
classes of the libraries in use (`HOOKS`), and every wait is told to the watchers. A newcomer who
adds a library adds its array class to ``classes`` and its ways to read to `HOOKS`.

What is not seen: waits inside the driver (memory asked of it, a launch queue that is full), and
explicit calls such as ``cupy.cuda.Device.synchronize``.
"""

import functools
import sys
import threading

from lamina.backend._replacing import Replacements

_NUMBER = "keep it an array on the device, and read it once an epoch"
_CHOICE = "let the device decide, with xp.where(condition, a, b)"
_PRINT = "print shapes and dtypes, or the values once an epoch"
_SHAPE = (
    "its result's shape depends on values: use xp.where(mask, x, 0), or take a number of elements "
    "that is known beforehand"
)
_COPY = "stay with the array library's own functions, or copy once, after the last step"

_READS = {
    "__bool__": ("bool(x), as in `if x:`", _CHOICE),
    "__complex__": ("complex(x)", _NUMBER),
    "__float__": ("float(x)", _NUMBER),
    "__index__": ("x as an index", "take elements with xp.take(a, x, axis=0)"),
    "__int__": ("int(x)", _NUMBER),
    "__repr__": ("repr(x), as in printing", _PRINT),
    "__str__": ("str(x), as in printing", _PRINT),
    "__format__": ("format(x), as in an f-string", _PRINT),
    "__array__": ("np.asarray(x)", _COPY),
    "__dlpack__": ("from_dlpack(x) on the host", _COPY),
    "__getitem__": ("x[mask]", _SHAPE),
    "to_device": ("x.to_device(host)", _COPY),
    "get": ("x.get()", _COPY),
    "item": ("x.item()", _NUMBER),
    "nonzero": ("nonzero(x)", _SHAPE),
    "numpy": ("x.numpy()", _COPY),
    "to_numpy": ("Backend.to_numpy(x)", _COPY),
    "tobytes": ("x.tobytes()", _COPY),
    "tolist": ("x.tolist()", _NUMBER),
}
"""The ways to read: how a message shows each, and what to do instead."""

FUNCTIONS = (
    "argwhere", "flatnonzero", "nonzero", "unique", "unique_all", "unique_counts",
    "unique_inverse", "unique_values",
)  # fmt: skip
"""Functions whose result's shape depends on values, by their names in namespaces."""

_CONVERSIONS = ("__bool__", "__complex__", "__float__", "__index__", "__int__")
HOOKS = {
    "array_api_strict": (
        *_CONVERSIONS, "__array__", "__dlpack__", "__getitem__", "__repr__", "__str__",
        "to_device",
    ),
    "cupy": (
        *_CONVERSIONS, "__array__", "__dlpack__", "__format__", "__getitem__", "__repr__",
        "__str__", "get", "item", "nonzero", "tobytes", "tolist",
    ),
    "lamina": (
        *_CONVERSIONS, "__array__", "__getitem__", "__repr__", "item", "numpy",
    ),
}  # fmt: skip
"""By library, the methods of its arrays that read, or may."""

watchers: list = []
"""Who is told of waits: objects with ``met(call, place, remedy, meant)``, on every thread."""

_lock = threading.RLock()
_replacements = Replacements()
# CPython from 3.12 on gives a class a thousand versions, and after the last it may go on calling a
# ``__getitem__`` that is no longer there: so that one, which looks for watchers first, stays.
_lasting = Replacements()
_tensors: list = []  # the class of tensors, which the room after this one brings


class _Here(threading.local):
    meant = 0  # depth of ``allow_sync`` on this thread
    within = False  # whether a wait that was told of is under way, whose own reads are part of it


_here = _Here()


class HiddenWait(RuntimeError):
    """The host would have waited for a device within ``forbid_sync``."""


class forbid_sync:
    """A block in which nothing may make the host wait for a device, on any thread.

    Reading a value there raises `HiddenWait`, which says what to do instead: ``float(x)``,
    ``bool(x)`` and ``if x:``, ``int(x)``, an array as an index, ``.item()``, ``.tolist()``,
    ``np.asarray(x)``, printing, functions and masks whose result's shape depends on values, and
    copies to the host, lamina's own too. What is meant to be read goes into ``allow_sync()``; so
    lamina does when it shows progress, ends an epoch, or returns numbers.

    CuPy's arrays are watched, and those of ``array_api_strict`` that are not on its host device.
    Arrays of NumPy (and of PyTorch on a CPU) are read without waiting, so nothing is forbidden
    of them, unless ``rehearse`` asks for it: then lamina's tensors and copies by lamina count as
    if they lay on a device, whichever library they are of, so that a program can be tried where
    there is no GPU. NumPy's own arrays cannot be watched.

    Args:
        rehearse: whether tensors in the host's memory count as well.

    Attributes:
        allowed: the reads within ``allow_sync`` so far, as a list of strings.

    Raises:
        HiddenWait: from within the block, where the host would have waited.

    Example:
        >>> with lamina.backend.forbid_sync():
        ...     model.fit(x, y, epochs=2)
    """

    def __init__(self, rehearse: bool = False):
        self.rehearse = bool(rehearse)
        self.allowed: list[str] = []

    def __enter__(self) -> "forbid_sync":
        watch(self)
        return self

    def __exit__(self, *exc_info) -> None:
        unwatch(self)

    def met(self, call: str, place: str, remedy: str, meant: bool) -> None:
        """Take note of a wait that is meant, and raise at one that is not."""
        if meant:
            self.allowed.append(f"{call} of an array on {place}")
            return
        plain = call in ("float(x)", "int(x)", "complex(x)")
        raise HiddenWait(
            f"{call} makes the host wait for {place}, which forbid_sync() rules out: {remedy}; "
            "where the wait is meant, put it into `with lamina.backend.allow_sync():`"
            f"{', of a tensor with a gradient as x.item()' if plain else ''}"
        )


class allow_sync:
    """A block on this thread in which waiting for the device is meant, also in ``forbid_sync``.

    Example:
        >>> with lamina.backend.allow_sync():
        ...     print(loss.item())
    """

    def __enter__(self) -> None:
        _here.meant += 1

    def __exit__(self, *exc_info) -> None:
        _here.meant -= 1


def watch(watcher) -> None:
    """Tell ``watcher`` of every wait from now on; see `watchers`."""
    with _lock:
        watchers.append(watcher)
        install()


def unwatch(watcher) -> None:
    """Tell ``watcher`` no more; when the last one leaves, nothing is looked at any more."""
    with _lock:
        watchers.remove(watcher)  # once, where it has entered twice
        if not watchers:
            _replacements.restore()


def install() -> None:
    """Watch the libraries that are loaded; again where one was loaded since."""
    with _lock:
        for library, kind, raw_of in classes():
            for name in HOOKS[library]:
                make = functools.partial(_method, library, name, raw_of)
                done = _lasting if name == "__getitem__" else _replacements
                done.replace(kind, name, make)
        for space in _spaces():
            for name in FUNCTIONS:
                _replacements.replace(space, name, functools.partial(_function, name))


def of_tensors(kind: type) -> None:
    """Watch this class too, whose ``.data`` are arrays."""
    _tensors.append(kind)


class waiting:
    """A block that reads ``array``: it tells the watchers first, and of nothing within it."""

    def __init__(self, name: str, array, call: str | None = None):
        self._name, self._array, self._call = name, array, call

    def __enter__(self):
        self._before = _here.within
        if not _here.within:
            tell(self._name, self._array, self._call)
            _here.within = True

    def __exit__(self, *exc_info):
        _here.within = self._before


def tell(name: str, array, call: str | None = None) -> None:
    """Tell the watchers that ``array`` is about to be read in the way called ``name``."""
    shown, remedy = _READS.get(name, (f"{name}(x)", _SHAPE))
    place = str(_backend().of(array))
    away = is_away(array)
    for watcher in tuple(watchers):
        if away or getattr(watcher, "rehearse", False):
            watcher.met(call or shown, place, remedy, _here.meant > 0)


def is_away(array) -> bool:
    """Whether ``array`` lies on a device, so that reading it takes a wait."""
    place = _backend().of(array)
    return not (place.is_host or "cpu" in str(place.device).lower())


def rehearsed(name: str, array) -> None:
    """Tell those who rehearse of a function that would wait if ``array`` lay on a device.

    NumPy's own functions cannot be watched, which call one another: lamina's tell of themselves.
    """
    raw = array.data if isinstance(array, tuple(_tensors)) else array
    if not _here.within and _backend().is_array(raw) and not is_away(raw):
        tell(name, raw)


def _concerns(array) -> bool:
    return any(getattr(w, "rehearse", False) for w in watchers) or is_away(array)


def _method(library, name, raw_of, original):
    """What stands in for a method while somebody watches."""

    def method(self, *args, **kwargs):
        if watchers and not _here.within and _may_read(library, name, args, kwargs):
            raw = raw_of(self)
            if _concerns(raw):
                with waiting(name, raw):
                    return original(self, *args, **kwargs)
        return original(self, *args, **kwargs)

    method.__name__ = name
    return method


def _may_read(library, name, args, kwargs) -> bool:
    """Whether a call of a method that may read the device does so with these arguments."""
    if name == "__getitem__":
        key = args[0]
        return any(map(_is_mask, key if isinstance(key, tuple) else (key,)))
    if name == "to_device":
        return "cpu" in str(args[0]).lower()
    if name == "__dlpack__" and library == "cupy":  # from device to device it is put in order there
        return kwargs.get("dl_device") == (1, 0)
    return True


def _is_mask(key) -> bool:
    return getattr(key, "ndim", 0) > 0 and str(getattr(key, "dtype", "")).endswith("bool")


def _function(name, original):
    """What stands in for a function of a namespace while somebody watches."""

    def function(x, *args, **kwargs):
        if watchers and not _here.within and _backend().is_array(x) and _concerns(x):
            with waiting(name, x):
                return original(x, *args, **kwargs)
        return original(x, *args, **kwargs)

    function.__name__ = name
    return function


def classes():
    """(library, class of its arrays, how to get at the raw array) of what is loaded."""
    if "cupy" in sys.modules:
        yield "cupy", sys.modules["cupy"].ndarray, _itself
    if "array_api_strict" in sys.modules:
        yield "array_api_strict", type(sys.modules["array_api_strict"].empty(0)), _itself
    for kind in _tensors:
        yield "lamina", kind, _data


def _spaces():
    """The namespaces to watch: NumPy's own functions call one another, and are left alone."""
    loaded = ("array_api_compat.cupy", "array_api_strict", "cupy")
    return [sys.modules[name] for name in loaded if name in sys.modules]


def _itself(array):
    return array


def _data(tensor):
    return tensor.data


def _backend():
    from lamina.backend import _backend  # which tells this file of its own copies

    return _backend
