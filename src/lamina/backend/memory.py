"""Keeping freed host memory in the process, so that a step reuses the last step's.

NumPy's large temporaries are mapped, zeroed by page faults and unmapped at every operation; for a
training step that is the largest single cost. glibc keeps them when told to; other C libraries
keep them on their own or are left alone.
"""

import sys

from lamina import config

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
