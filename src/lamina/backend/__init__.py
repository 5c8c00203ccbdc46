"""The room that knows array libraries: choosing one, moving arrays, random numbers, memory.

Everything above this room is written against the array API standard and never asks which library
it is running on. To support another library, look at ``_backend.py`` alone.
"""

from lamina.backend import blas, memory, random, workers
from lamina.backend._backend import Backend, get, namespace, of, use
from lamina.config import epsilon, floatx, set_floatx

__all__ = [
    "Backend",
    "blas",
    "epsilon",
    "floatx",
    "get",
    "memory",
    "namespace",
    "of",
    "random",
    "set_floatx",
    "use",
    "workers",
]
