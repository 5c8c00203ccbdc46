"""CIFAR-10: 60,000 colour pictures of 32 by 32 pixels in ten classes.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009),
https://www.cs.toronto.edu/~kriz/cifar.html; free to use, with that citation. 170 MB, downloaded
once. The binary version is read: unlike the pickled one, it can hold nothing but numbers.
"""

import tarfile
from pathlib import Path

import numpy as np

from lamina.datasets import fetch
from lamina.datasets._split import Pair

__all__ = ["CLASS_NAMES", "load_data"]

CLASS_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

_NAME = "cifar-10-binary.tar.gz"
_ADDRESSES = [f"https://www.cs.toronto.edu/~kriz/{_NAME}"]
_CHECKSUM = "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"

_TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
_TEST = "test_batch.bin"
_RECORD = 1 + 3 * 32 * 32  # a label, then the red, green and blue planes


def load_data() -> tuple[Pair, Pair]:
    """The whole set, downloaded at the first call.

    Unlike Keras, whose labels here alone are of shape (n, 1), the labels are of shape (n,).

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: x uint8 of shape (50000, 32, 32, 3) and
        (10000, 32, 32, 3), red, green, blue, 0 to 255; y int64 of shape (50000,) and (10000,),
        places in ``CLASS_NAMES``.

    Raises:
        DownloadError: the file is neither on this machine nor to be downloaded.
        ValueError: the file in ``LAMINA_DATA`` has a wrong checksum.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = cifar10.load_data()
    """
    batches = _read(fetch.get(_NAME, _ADDRESSES, _CHECKSUM))
    return _unpack(b"".join(batches[name] for name in _TRAIN)), _unpack(batches[_TEST])


def _read(path: Path) -> dict[str, bytes]:
    """The archive's batches by file name; nothing is written to disk."""
    batches = {}
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            name = member.name.rpartition("/")[2]
            if name in (*_TRAIN, _TEST) and (file := archive.extractfile(member)):
                batches[name] = file.read()
    for name in (*_TRAIN, _TEST):
        size = len(batches.get(name, b""))
        if size == 0 or size % _RECORD:
            raise ValueError(
                f"{path} must hold {name} with records of {_RECORD} bytes, got {size} bytes: "
                f"fetch the file again from {_ADDRESSES[0]}"
            )
    return batches


def _unpack(content: bytes) -> Pair:
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, 0].astype(np.int64)
