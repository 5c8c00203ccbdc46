"""Memory: kept in the process so that a step reuses the last step's, aligned, given back, limited.

NumPy's large temporaries are mapped, zeroed by page faults and unmapped at every operation; for a
training step that is the largest single cost. glibc keeps them when told to; other C libraries
keep them on their own or are left alone. What is kept is asked to lie in huge pages, as NumPy asks
for arrays of 4 MiB and more: the processor finds it by fewer steps.
"""

import math
import os
import sys

import numpy as np

from lamina import config

LINE = 64  # bytes of a line of the processor's cache

# mallopt's parameters, from glibc's malloc.h
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3

_MADV_HUGEPAGE = 14  # from Linux's mman.h
_ROOM = 256 << 20  # bytes of the heap that are asked to lie in huge pages; taken when used
_ROOM_OF_THREAD = 48 << 20  # the same of the heap of a worker, at most 64 MiB for glibc

_done = _huge = False


def keep() -> bool:
    """Keep freed memory from now on, where ``config.keep_memory()`` says so and glibc is there.

    Returns:
        whether memory is being kept.
    """
    global _done, _huge
    if _done or not config.keep_memory():
        return _done
    if sys.platform == "linux":
        import ctypes

        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            _huge = bool(mallopt(_M_MMAP_THRESHOLD, 1 << 30))
            if not _huge:  # an older glibc, which maps more than this apart
                mallopt(_M_MMAP_THRESHOLD, 32 << 20)
            mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
            mallopt(_M_TOP_PAD, 64 << 20)
            _done = True
            use_huge_pages(_ROOM)
    return _done


def use_huge_pages(size: int = _ROOM_OF_THREAD) -> bool:
    """Have what this thread gets next from glibc lie in pages of 2 MiB, where memory is kept.

    A step of ResNet-20 is 3 to 6 % faster for it. Where Linux gives such pages to every program, or
    to none, it changes nothing.

    Returns:
        whether that has been asked for.
    """
    if not _huge:
        return False
    import ctypes

    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    start = libc.malloc(ctypes.c_size_t(size))
    if start:  # what malloc gives next once this is free again
        page = os.sysconf("SC_PAGE_SIZE")
        first = -(-start // page) * page
        libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(start + size - first), _MADV_HUGEPAGE)
        libc.free(ctypes.c_void_p(start))
    return True


def empty_on_a_line(shape, dtype):
    """A NumPy array, to be filled, that begins where a line of the cache does."""
    dtype = np.dtype(dtype)
    size = dtype.itemsize * math.prod(shape)
    memory = np.empty(size + LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    return memory[start : start + size].view(dtype).reshape(shape)


def on_a_line(array):
    """The same numbers in memory that begins where a line of the cache does.

    Products whose second matrix begins elsewhere take up to a third longer (OpenBLAS, AVX-512,
    which multiplies small ones as they lie). Arrays of other libraries, and such as begin there
    already, are given back as they are.
    """
    if type(array) is not np.ndarray or not array.size:
        return array
    if array.flags.c_contiguous and array.ctypes.data % LINE == 0:
        return array
    copy = empty_on_a_line(array.shape, array.dtype)
    copy[...] = array
    return copy


def give_back() -> None:
    """Give memory that is kept but not in use back to the system, and to other programs.

    The next step takes it anew, which costs time. It concerns the pools of CuPy, on every device in
    use and for transfers, and what glibc keeps of the host's.
    """
    from lamina.backend import _backend

    for place in _backend.opened("cupy"):
        with place.scope():
            place.library.get_default_memory_pool().free_all_blocks()
        place.library.get_default_pinned_memory_pool().free_all_blocks()
    if sys.platform == "linux":
        import ctypes

        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
            use_huge_pages(_ROOM)


def limit(size: int | float | None, backend="cupy") -> None:
    """Let CuPy take no more than so much memory of a device; beyond it, memory runs out.

    Args:
        size: bytes, as a whole number; or a share of the device's memory, as a number above 0 up to
            1; None lifts the limit. What is in use already stays.
        backend: "cupy", "cupy:1", or a Backend.

    Raises:
        ValueError: for another size, and for a backend that is not CuPy's.

    Example:
        >>> lamina.backend.memory.limit(4 * 2**30)  # 4 GiB
    """
    from lamina.backend import _backend

    place = _backend.get(backend)
    if place.name != "cupy":
        raise ValueError(
            f"a limit of memory is for CuPy's devices, got the backend {place}: for the memory of "
            "the host ask the system, for example with ulimit -v or resource.setrlimit"
        )
    whole = isinstance(size, int) and not isinstance(size, bool) and size > 0
    share = isinstance(size, float) and 0 < size <= 1
    if not (size is None or whole or share):
        raise ValueError(
            "a limit of memory is a whole number of bytes, a share above 0 up to 1.0, or None, "
            f"got {size!r}"
        )
    with place.scope():
        pool = place.library.get_default_memory_pool()
        if share:
            pool.set_limit(fraction=size)
        else:
            pool.set_limit(size=size or 0)  # CuPy's 0 is no limit
