"""The IDX files of MNIST and its relatives.

An IDX file is two zero bytes, the type of its numbers (8: unsigned bytes), its number of axes,
each axis's length as a big-endian 32-bit integer, then the numbers in C order
(http://yann.lecun.com/exdb/mnist/, "The IDX file format"). The files here are gzipped.
"""

import gzip
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lamina.datasets import fetch
from lamina.datasets._split import Pair


def read(path: Path, shape: tuple[int | None, ...]) -> np.ndarray:
    """The uint8 array in a gzipped IDX file.

    Args:
        path: the file.
        shape: the shape it must have, None where any length will do.

    Raises:
        ValueError: the file is not gzipped, not IDX of unsigned bytes, or of another shape or
            length.
    """

    def expected(what: str, found: str) -> ValueError:
        return ValueError(
            f"{path} must be a gzipped IDX file {what}, got {found}: fetch the file again from "
            "its source"
        )

    try:
        with gzip.open(path) as file:
            content = file.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise expected("that unpacks whole", str(error)) from error
    axes = len(shape)
    if content[:3] != b"\0\0\x08" or content[3:4] != bytes([axes]):
        magic = content[:4].hex(" ") or "an empty file"
        raise expected(f"of unsigned bytes on {axes} axes (magic 00 00 08 {axes:02x})", magic)
    start = 4 + 4 * axes
    if len(content) < start:
        raise expected(f"with a header of {start} bytes", f"{len(content)} bytes in all")
    found = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    if any(want is not None and want != have for want, have in zip(shape, found)):
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise expected(f"of shape ({wanted})", str(found))
    size = int(np.prod(found, dtype=object))
    if len(content) - start != size:
        raise expected(f"with the {size} numbers of its shape {found}", str(len(content) - start))
    return np.frombuffer(content, np.uint8, offset=start).reshape(found).copy()


def load(prefix: str, hosts: Sequence[str], sha256: Mapping[str, str], part: str) -> Pair:
    """The images and labels of one part, ``"train"`` or ``"t10k"``.

    Args:
        prefix: what the local file names have before the published ones, to tell sets apart.
        hosts: addresses that end before the published file name.
        sha256: published file name to checksum.
        part: the beginning of the published file names.

    Returns:
        ``x, y``: x uint8 of shape (n, 28, 28); y int64 of shape (n,), 0 to 9.
    """
    arrays = []
    for kind, shape in (("images-idx3", (None, 28, 28)), ("labels-idx1", (None,))):
        name = f"{part}-{kind}-ubyte.gz"
        addresses = [host + name for host in hosts]
        arrays.append(read(fetch.get(prefix + name, addresses, f"sha256:{sha256[name]}"), shape))
    return arrays[0], arrays[1].astype(np.int64)
