"""lamina.xp: the array API standard, differentiable, over the backend in use.

Functions of arrays go by their arguments' own library; functions that make arrays from numbers,
and the dtypes, are those of the backend that ``lamina.use`` chose, on its device.
"""

import functools

from lamina import backend
from lamina.autograd import differentiable
from lamina.autograd._namespace import CREATING, Extension, standard
from lamina.autograd._rules import RULES


def __getattr__(name: str):
    place = backend.get()
    found = getattr(differentiable(place.xp), name)
    if place.device is not None and (name in CREATING or name == "asarray"):
        return _placed(found, place)
    if place.device is not None and isinstance(found, Extension):
        return Extension(place.xp, name, lambda make: _placed(make, place))
    if name in RULES:  # the same for every backend, so the next look-up may be a plain one
        globals()[name] = found
    return found


def _placed(make, place):
    """``make``, with ``place`` as the device of what is made from numbers."""

    @functools.wraps(make)
    def made(*args, device=None, **options):
        given = any(backend.is_array(arg) for arg in args)  # and stays where it lies
        with place.scope():
            return make(*args, device=device if device or given else place.device, **options)

    return made


def __dir__() -> list[str]:
    return list(standard())
