"""The npz format: a zip archive of one ``.npy`` file an array, as ``numpy.load`` reads it.

Written and read member by member, rather than through ``numpy.savez`` and ``numpy.load``: any name
is allowed, the same arrays give the same bytes, and a size is believed only if the archive agrees.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from typing import IO, BinaryIO

import numpy as np
from numpy.lib import format as npy

SUFFIX = ".npy"


def write(file: BinaryIO, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays in C order, uncompressed."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            # A fixed date, in place of today's.
            member = zipfile.ZipInfo(name + SUFFIX, date_time=(1980, 1, 1, 0, 0, 0))
            with archive.open(member, "w", force_zip64=True) as stream:
                npy.write_array(stream, array, version=(1, 0), allow_pickle=False)


def read(file: BinaryIO) -> dict[str, np.ndarray]:
    """Read all arrays.

    Raises:
        ValueError: saying what is wrong with the file.
    """
    arrays: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                name = member.filename.removesuffix(SUFFIX)
                if name in arrays:
                    raise ValueError(f"it holds {name!r} twice")
                with archive.open(member) as stream:
                    arrays[name] = _array(name, stream, member.file_size)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        # What zipfile raises, depending on which byte of the archive is wrong.
        raise ValueError(str(error) or type(error).__name__) from error
    return arrays


def _array(name: str, stream: IO[bytes], size: int) -> np.ndarray:
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"{name!r} is in version {version} of the npy format")
    header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran_order, dtype = header(stream)
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise ValueError(f"{name!r} has the dtype {dtype}, which is not one of weights")
    expected = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size - stream.tell() != expected:
        raise ValueError(f"{name!r} has not the {expected} bytes that its shape {shape} needs")
    # Reading on past the last byte makes the archive compare its checksum.
    data = bytearray(stream.read())
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran_order else "C")
    return array.astype(dtype.newbyteorder("="), order="C", copy=False)
