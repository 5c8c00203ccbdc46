"""Writing a file whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of ``path`` when the block ends without an error.

    What is written goes to a temporary file in the same folder, reaches the disk, and is then
    renamed, which file systems do in one step: a reader sees the old file or the new one, never a
    part. After an error the old file is as it was and the temporary one is gone.

    Args:
        path: where the file shall be; its folder must exist.

    Yields:
        The binary file to write to.

    Raises:
        FileNotFoundError: when the folder does not exist.

    Example:
        >>> with replacing("numbers.bin") as file:
        ...     file.write(data)
    """
    path = os.fspath(path)
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"a file is written to a folder that exists, got {path!r}: "
            f"make the folder first, os.makedirs({folder!r})"
        )
    if os.path.isdir(path):
        raise IsADirectoryError(f"{path!r} is a folder: give the name of a file in it")
    temporary = os.path.join(folder, f".{os.path.basename(path)}.{os.urandom(4).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.remove(temporary)
        raise
