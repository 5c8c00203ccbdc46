"""Saving and loading named arrays; the suffix of the path chooses the file format.

A newcomer may add a format: a file with ``write(file, arrays)`` and ``read(file)``, and its suffix
in ``FORMATS``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import ModuleType

import numpy as np

from lamina.saving import npz, safetensors
from lamina.saving.atomic import replacing

FORMATS: dict[str, ModuleType] = {".safetensors": safetensors, ".npz": npz}

DTYPES = frozenset(
    "bool uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 float32 float64".split()
)


def check_suffix(path: str | os.PathLike[str]) -> str:
    """The suffix of a path for weights.

    Raises:
        ValueError: when it is not that of a known format.
    """
    path = os.fspath(path)
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in FORMATS:
        example = path.removesuffix(".h5").removesuffix(".weights") + ".safetensors"
        raise ValueError(
            f"weights are saved to a path that ends in {' or '.join(FORMATS)}, got {path!r}: "
            f"write for example {example!r}"
        )
    return suffix


def save_weights(
    path: str | os.PathLike[str],
    named_arrays: Mapping[str, np.ndarray],
    overwrite: bool = True,
) -> None:
    """Write named arrays to a file.

    The file is written whole or not at all. Shapes and dtypes are kept, and so is the order of
    the names; how an array lies in memory is not.

    Args:
        path: where to save; it ends in ``.safetensors`` or ``.npz``.
        named_arrays: NumPy arrays, of booleans, integers or floats of 16, 32 or 64 bits, by name.
        overwrite: whether a file that is already there may be replaced.

    Raises:
        ValueError: for another suffix, or a name the format cannot hold.
        TypeError: for what is not a NumPy array, or has another dtype.
        FileExistsError: when the file is there and ``overwrite`` is False.
        FileNotFoundError: when the folder is not there.

    Example:
        >>> save_weights("weights.safetensors", {"dense/kernel": kernel, "dense/bias": bias})
        >>> load_weights("weights.safetensors")["dense/bias"]
        array([0., 0.], dtype=float32)
    """
    suffix = check_suffix(path)
    arrays = {_name(name): _plain(name, array) for name, array in named_arrays.items()}
    if not overwrite and os.path.exists(path):
        raise FileExistsError(
            f"{os.fspath(path)!r} exists already: pass overwrite=True, or another path"
        )
    with replacing(path) as file:
        FORMATS[suffix].write(file, arrays)


def load_weights(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read the named arrays that ``save_weights``, or another writer of the format, wrote.

    Nothing in the file is run, and nothing is returned unless all of it is sound.

    Args:
        path: the file; it ends in ``.safetensors`` or ``.npz``.

    Returns:
        Writable NumPy arrays in the machine's byte order, by name, in the order of the file.

    Raises:
        ValueError: for another suffix, or a file that is cut short, damaged or of another kind.
        FileNotFoundError: when there is no such file.
    """
    suffix = check_suffix(path)
    with open(path, "rb") as file:
        try:
            return FORMATS[suffix].read(file)
        except ValueError as error:
            raise ValueError(
                f"{os.fspath(path)!r} is not a sound {suffix} file of weights: {error}: "
                "nothing was loaded; save or copy it again"
            ) from error


def _name(name: object) -> str:
    if isinstance(name, str) and name and "\0" not in name:
        return name
    raise ValueError(
        f"weights are saved under names, got {name!r}: use non-empty strings without null bytes"
    )


def _plain(name: str, value: object) -> np.ndarray:
    if not isinstance(value, np.ndarray | np.generic):
        raise TypeError(
            f"weights are saved from NumPy arrays, got {type(value).__name__} for {name!r}: "
            "bring it to the host first, lamina.backend.of(array).to_numpy(array)"
        )
    if value.dtype.name not in DTYPES:
        raise TypeError(
            f"weights are booleans, integers or floats of 16, 32 or 64 bits, got dtype "
            f"{value.dtype.name} for {name!r}: convert it, for example array.astype('float32')"
        )
    little = value.dtype.newbyteorder("<")
    # Unlike ascontiguousarray, this leaves a 0-d array 0-d.
    return np.asarray(value, dtype=little, order="C")
