"""The room that knows array libraries: choosing one, moving arrays, random numbers, memory.

Everything above this room is written against the array API standard and never asks which library
it is running on. To support another library, look at ``_backend.py`` alone.
"""

from lamina.backend import blas, calls, memory, random, scatter, together, waits, workers
from lamina.backend._backend import Backend, get, is_array, is_namespace, name, namespace, of, use
from lamina.backend._whole import spectrum, whole
from lamina.backend.waits import HiddenWait, allow_sync, forbid_sync
from lamina.backend.workers import quiet
from lamina.config import epsilon, floatx, set_floatx

__all__ = [
    "Backend",
    "HiddenWait",
    "allow_sync",
    "blas",
    "calls",
    "epsilon",
    "floatx",
    "forbid_sync",
    "get",
    "is_array",
    "is_namespace",
    "memory",
    "name",
    "namespace",
    "of",
    "quiet",
    "random",
    "scatter",
    "set_floatx",
    "spectrum",
    "together",
    "use",
    "waits",
    "whole",
    "workers",
]
