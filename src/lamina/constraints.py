"""Constraints: what weights are brought back to after every step of the optimizer.

Each is a function from a raw array to a raw array of its shape; to add one, write a class and its
name at the end.
"""

from lamina import backend, config
from lamina.registry import Configured, Registry


class Constraint(Configured):
    """A projection: ``constraint(w)`` gives the array that satisfies it, and changes no argument.

    Subclasses write ``__call__`` and, to be saved, ``get_config``.
    """

    def __call__(self, w):
        return w


class NonNeg(Constraint):
    """``max(w, 0)``."""

    def __call__(self, w):
        xp = backend.namespace(w)
        return xp.where(w <= 0, xp.zeros_like(w), w)


class MaxNorm(Constraint):
    """Weights no longer than ``max_value``: ``w * min(norm, max_value) / norm``.

    Args:
        max_value: the largest norm that stays as it is.
        axis: the axis, or axes, that one norm is over. 0 is right for the kernel of ``Dense``,
            ``[0, 1, 2]`` for that of ``Conv2D``.

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from
    overfitting", 2014, section 5.1.
    """

    def __init__(self, max_value=2, axis=0):
        self.max_value = max_value
        self.axis = axis

    def __call__(self, w):
        xp, norm = _norm(w, self.axis)
        return w * (xp.clip(norm, 0.0, float(self.max_value)) / (config.epsilon() + norm))

    def get_config(self) -> dict:
        return {"max_value": self.max_value, "axis": self.axis}


class UnitNorm(Constraint):
    """Weights of length 1: ``w / norm``.

    Args:
        axis: the axis, or axes, that one norm is over, as for ``MaxNorm``.
    """

    def __init__(self, axis=0):
        self.axis = axis

    def __call__(self, w):
        _, norm = _norm(w, self.axis)
        return w / (config.epsilon() + norm)

    def get_config(self) -> dict:
        return {"axis": self.axis}


class MinMaxNorm(Constraint):
    """Weights of a length between two bounds.

        wanted = rate * min(max(norm, min_value), max_value) + (1 - rate) * norm
        out = w * wanted / norm

    Args:
        min_value: the smallest norm.
        max_value: the largest norm.
        rate: 1 goes all the way at once, less a part of it at every step.
        axis: the axis, or axes, that one norm is over, as for ``MaxNorm``.
    """

    def __init__(self, min_value=0.0, max_value=1.0, rate=1.0, axis=0):
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = axis

    def __call__(self, w):
        xp, norm = _norm(w, self.axis)
        wanted = self.rate * xp.clip(norm, float(self.min_value), float(self.max_value))
        wanted = wanted + (1.0 - self.rate) * norm
        return w * (wanted / (config.epsilon() + norm))

    def get_config(self) -> dict:
        return {
            "min_value": self.min_value,
            "max_value": self.max_value,
            "rate": self.rate,
            "axis": self.axis,
        }


def _norm(w, axis):
    """The namespace of ``w``, and its Euclidean length over ``axis``, which stays as 1.

    Lengths are divided by epsilon more than they are, as in Keras: a weight of length 0 stays 0.
    """
    xp = backend.namespace(w)
    axis = tuple(axis) if isinstance(axis, list) else axis
    return xp, xp.sqrt(xp.sum(w * w, axis=axis, keepdims=True))


max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm

_registry = Registry(
    "constraint",
    Constraint,
    {"max_norm": MaxNorm, "min_max_norm": MinMaxNorm, "non_neg": NonNeg, "unit_norm": UnitNorm},
)
get = _registry.get
serialize = _registry.serialize
deserialize = _registry.deserialize

__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "deserialize",
    "get",
    "max_norm",
    "min_max_norm",
    "non_neg",
    "serialize",
    "unit_norm",
]


def __dir__() -> list[str]:
    return __all__
