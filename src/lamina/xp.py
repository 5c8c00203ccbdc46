"""lamina.xp: the array API standard, differentiable, over the backend in use.

Functions of arrays go by their arguments' own library; functions that make arrays from numbers use
the backend that ``lamina.use`` chose.
"""

from lamina import backend
from lamina.autograd import differentiable


def __getattr__(name: str):
    return getattr(differentiable(backend.get().xp), name)


def __dir__() -> list[str]:
    return sorted(n for n in dir(backend.get().xp) if not n.startswith("_"))
