"""lamina.xp: the array API standard, differentiable, over the backend in use.

Functions of arrays go by their arguments' own library; functions that make arrays from numbers,
and the dtypes, are those of the backend that ``lamina.use`` chose, on its device.
"""

from lamina import backend
from lamina.autograd._namespace import Namespace, standard
from lamina.autograd._standard import DTYPES, VERSION

__array_api_version__ = VERSION
_namespace = Namespace(backend.get)


def __getattr__(name: str):
    if name in DTYPES:  # which change with the backend in use
        return _namespace._constant(name)
    found = _namespace._function(name)
    if found is None:
        return _namespace._constant(name)
    globals()[name] = found  # the next look-up is a plain one
    return found


def __dir__() -> list[str]:
    return list(standard())
