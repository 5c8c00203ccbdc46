"""The room of initializers: the numbers that weights start from, drawn on the host.

Names, arguments and defaults are Keras's. To add one, subclass ``Initializer`` and give it a name
below.
"""

from lamina.backend import is_array
from lamina.initializers._constant import Constant, Identity, Ones, Zeros
from lamina.initializers._initializer import Function, Initializer, takes_rng
from lamina.initializers._orthogonal import Orthogonal
from lamina.initializers._random import RandomNormal, RandomUniform, TruncatedNormal
from lamina.initializers._variance_scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
    compute_fans,
)
from lamina.registry import Registry

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "compute_fans",
    "deserialize",
    "get",
    "serialize",
]


def __dir__() -> list[str]:
    return __all__


_CLASSES = {
    "constant": Constant,
    "glorot_normal": GlorotNormal,
    "glorot_uniform": GlorotUniform,
    "he_normal": HeNormal,
    "he_uniform": HeUniform,
    "identity": Identity,
    "lecun_normal": LecunNormal,
    "lecun_uniform": LecunUniform,
    "ones": Ones,
    "orthogonal": Orthogonal,
    "random_normal": RandomNormal,
    "random_uniform": RandomUniform,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "zeros": Zeros,
}
_ALIASES = {
    "identity_initializer": Identity,
    "normal": RandomNormal,
    "one": Ones,
    "orthogonal_initializer": Orthogonal,
    "uniform": RandomUniform,
    "zero": Zeros,
}
globals().update(_CLASSES)  # Keras also spells them initializers.glorot_uniform(seed=1)

_registry = Registry("initializer", Initializer, _CLASSES, _ALIASES)
deserialize = _registry.deserialize


def serialize(initializer):
    """``{"class_name": ..., "config": ...}`` of an initializer, the name of a function, or None."""
    function = isinstance(initializer, Function)
    return _registry.serialize(initializer.function if function else initializer)


def get(identifier):
    """The initializer that a name, a class, an object, a function or an array stands for.

    Args:
        identifier: "glorot_uniform" or another name; an ``Initializer``; a dictionary from
            ``serialize``; a function ``(shape, dtype) -> array``; the values themselves, as an
            array; or None, which stays None.

    Raises:
        ValueError: for an unknown name, with the nearest right one.
        TypeError: for anything else.

    Example:
        >>> lamina.initializers.get("uniform")
        RandomUniform(minval=-0.05, maxval=0.05, seed=None)
    """
    if type(identifier) is not str and is_array(identifier):
        return Constant(identifier)
    found = _registry.get(identifier)
    if found is None or type(found).__module__.startswith(__name__) or takes_rng(found):
        return found
    return Function(found)
