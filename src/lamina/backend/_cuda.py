"""Opening CuPy: what must be there, and what a process that was forked cannot use any more."""

import importlib
import os

used_by: int | None = None  # the process that has begun to use CUDA


def answers() -> bool:
    """Whether CuPy is installed and finds a device."""
    check_process()  # where it could find none, and NumPy would silently be taken
    try:
        return bool(importlib.import_module("cupy").is_available())
    except ImportError:
        return False


def device(name: str):
    """The module of CuPy and its device of that number; "" is the first.

    Raises:
        RuntimeError: where CuPy or a device is missing.
        ValueError: for a number that no device has.
    """
    global used_by
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        raise RuntimeError(
            "the backend 'cupy' needs CuPy and an NVIDIA driver, and CuPy does not import "
            f"({error}): python -m lamina tells which of them is missing and what to install, "
            "or use backend='numpy'"
        ) from error
    check_process()
    if not cupy.is_available():
        raise RuntimeError(
            "the backend 'cupy' needs a CUDA device, and none answers: run python -m lamina to "
            "see why, or use backend='numpy' (or 'auto')"
        )
    count = cupy.cuda.runtime.getDeviceCount()
    number = int(name) if name.isdecimal() else 0 if not name else -1
    if not 0 <= number < count:
        raise ValueError(f"CUDA devices are numbered 0 to {count - 1} here, got 'cupy:{name}'")
    used_by = os.getpid()
    return cupy, cupy.cuda.Device(number)


def check_process() -> None:
    """Raise in a process that was forked from one that used CUDA, which does not survive it."""
    if used_by is not None and used_by != os.getpid():
        raise RuntimeError(
            "this process was forked from one that had begun to use CUDA, which works in no such "
            "process: start processes anew, with multiprocessing.get_context('spawn'), use "
            "threads, or use backend='numpy' here"
        )
