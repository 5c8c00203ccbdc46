"""The safetensors format: a length, a JSON header, and the bytes of the arrays.

    8 bytes              length N of the header, little-endian
    N bytes              {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
    the rest             the arrays, C order, little-endian, without gaps

Source: the format's description at https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import json
import math
import os
from typing import Any, BinaryIO

import numpy as np

CODES = {
    "BOOL": "?",
    "U8": "<u1",
    "I8": "<i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
}
NAMES = {np.dtype(code): name for name, code in CODES.items()}
LARGEST_HEADER = 100_000_000


def write(file: BinaryIO, arrays: dict[str, np.ndarray]) -> None:
    """Write little-endian arrays in C order.

    Raises:
        ValueError: for the name ``__metadata__``, which the format keeps for itself.
    """
    if "__metadata__" in arrays:
        raise ValueError("safetensors keeps the name '__metadata__' for itself: use another name")
    # Widest first, so that every array begins at a multiple of its item size.
    laid_out = sorted(arrays, key=lambda name: -arrays[name].dtype.itemsize)
    offsets, end = {}, 0
    for name in laid_out:
        offsets[name] = [end, end := end + arrays[name].nbytes]
    header = {
        name: {
            "dtype": NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": offsets[name],
        }
        for name, array in arrays.items()
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little"))
    file.write(text)
    for name in laid_out:
        file.write(_bytes(arrays[name]))


def read(file: BinaryIO) -> dict[str, np.ndarray]:
    """Read all arrays, after checking that the header and the file's size agree in everything.

    Raises:
        ValueError: saying what is wrong with the file.
    """
    size = os.fstat(file.fileno()).st_size
    header, start = _header(file, size)
    entries = {name: _entry(name, entry) for name, entry in header.items()}
    end = 0
    for name in sorted(entries, key=lambda name: entries[name][2:]):
        _, _, first, last = entries[name]
        if first != end:
            raise ValueError(f"{name!r} begins at byte {first}, where {end} was expected")
        end = last
    if start + end != size:
        raise ValueError(f"it has {size} bytes, where its header announces {start + end}")
    return {name: _array(file, start, *entry) for name, entry in entries.items()}


def _header(file: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(size - 8, LARGEST_HEADER):
        raise ValueError(f"it has {size} bytes and announces a header of {length}")
    try:
        header = json.loads(file.read(length).decode(), object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("its header is nested too deeply") from None
    if not isinstance(header, dict):
        raise ValueError("its header is not a JSON object")
    header.pop("__metadata__", None)
    return header, 8 + length


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError("its header holds a name twice")
    return entries


def _entry(name: str, entry: Any) -> tuple[np.dtype, tuple[int, ...], int, int]:
    """The dtype, the shape, the first byte and the one after the last, checked."""
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise ValueError(f"the header of {name!r} lacks a dtype, a shape or offsets")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in CODES:
        raise ValueError(f"{name!r} has the dtype {code!r}, which is not one of {', '.join(CODES)}")
    if not _counts(shape) or not _counts(offsets) or len(offsets) != 2:
        raise ValueError(f"{name!r} has the shape {shape!r} and the offsets {offsets!r}")
    dtype = np.dtype(CODES[code])
    first, last = offsets
    if last - first != math.prod(shape) * dtype.itemsize:
        raise ValueError(
            f"{name!r} has {last - first} bytes, where {code} of shape {tuple(shape)} has "
            f"{math.prod(shape) * dtype.itemsize}"
        )
    return dtype, tuple(shape), first, last


def _counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(v) is int and v >= 0 for v in values)


def _array(
    file: BinaryIO, start: int, dtype: np.dtype, shape: tuple[int, ...], first: int, last: int
) -> np.ndarray:
    array = np.empty(shape, dtype)
    file.seek(start + first)
    if file.readinto(_bytes(array)) != last - first:  # type: ignore[attr-defined]
        raise ValueError("it ended while it was being read")
    return array.astype(dtype.newbyteorder("="), copy=False)


def _bytes(array: np.ndarray) -> memoryview:
    """The memory of an array in C order, as bytes."""
    return array.reshape(-1).view(np.uint8).data
