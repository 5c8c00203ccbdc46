"""Memory: kept in the process for the next step, given back on request, and capped on a device.

NumPy's large temporaries are mapped, zeroed by page faults and unmapped at every operation; for a
training step that is the largest single cost. glibc keeps them when told to; other C libraries
keep them on their own or are left alone.
"""

import sys

from lamina import config
from lamina.backend import _backend

# mallopt's parameters, from glibc's malloc.h
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3

_done = False


def keep() -> bool:
    """Keep freed memory from now on, where ``config.keep_memory()`` says so and glibc is there.

    Returns:
        whether memory is being kept.
    """
    global _done
    if _done or not config.keep_memory():
        return _done
    if sys.platform == "linux":
        import ctypes

        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, 1 << 30)
            mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
            mallopt(_M_TOP_PAD, 64 << 20)
            _done = True
    return _done


def free(backend=None) -> int | None:
    """Give memory that is kept but not in use back to the device, or to the system.

    Arrays that something still refers to stay, so drop models and results first.

    Args:
        backend: "cupy", "cupy:1", "numpy", ...; None is the one in use.

    Returns:
        the bytes given back on a CuPy device; None where the library does not tell.
    """
    place = _backend.get(backend)
    if place.name == "cupy":
        with place.scope():
            pool = place._library.get_default_memory_pool()
            before = pool.total_bytes()
            pool.free_all_blocks()
            place._library.get_default_pinned_memory_pool().free_all_blocks()
            return before - pool.total_bytes()
    if place.name == "numpy" and sys.platform == "linux":
        import ctypes

        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
    return None


def set_limit(limit, backend="cupy") -> None:
    """Cap what this process may take of a CuPy device; beyond, training runs out of memory there.

    Args:
        limit: bytes as a whole number; a share of the device's memory as a float from above 0 to 1;
            None for no cap.
        backend: the device: "cupy" or "cupy:1".

    Raises:
        ValueError: for a backend other than CuPy, and a limit that is neither.
    """
    place = _backend.get(backend)
    if place.name != "cupy":
        raise ValueError(
            f"memory is capped on CuPy devices, got the backend {place}: use backend='cupy', or "
            "for host memory the system's own means, such as ulimit -v"
        )
    whole = isinstance(limit, int) and not isinstance(limit, bool) and limit > 0
    share = isinstance(limit, float) and 0 < limit <= 1
    if limit is not None and not whole and not share:
        raise ValueError(
            "a memory limit is a whole number of bytes, a share such as 0.5 of the device, or "
            f"None, got {limit!r}"
        )
    with place.scope():
        pool = place._library.get_default_memory_pool()
        if share:
            pool.set_limit(fraction=limit)
        else:
            pool.set_limit(size=limit or 0)  # CuPy's word for no limit
