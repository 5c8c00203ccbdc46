"""lamina.xp: the array API standard, differentiable, over the backend in use.

Functions of arrays go by their arguments' own library; functions that make arrays from numbers,
and the dtypes, are those of the backend that ``lamina.use`` chose.
"""

from lamina import backend
from lamina.autograd import differentiable
from lamina.autograd._rules import RULES


def __getattr__(name: str):
    found = getattr(differentiable(backend.get().xp), name)
    if name in RULES:  # the same for every backend, so the next look-up may be a plain one
        globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(n for n in dir(backend.get().xp) if not n.startswith("_"))
