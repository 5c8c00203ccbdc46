"""Regularizers: penalties on weights that are added to the loss.

Each is a function of an array or tensor that gives a single number; to add one, write a class and
its name at the end.
"""

import math

from lamina.autograd import namespace
from lamina.registry import Configured, Registry


class Regularizer(Configured):
    """A penalty: ``regularizer(x)`` gives a 0-d array, of a tensor a tensor with gradient.

    Subclasses write ``__call__`` and, to be saved, ``get_config``.
    """

    def __call__(self, x):
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, x)")


class L1L2(Regularizer):
    """``l1 * sum(abs(x)) + l2 * sum(x**2)``.

    Args:
        l1: weight of the absolute values, 0 or more.
        l2: weight of the squares, 0 or more.

    Example:
        >>> L1L2(l1=0.1, l2=0.01)(np.array([1.0, -2.0]))
        0.35
    """

    def __init__(self, l1=0.0, l2=0.0):
        self.l1 = _weight("l1", 0.0 if l1 is None else l1)
        self.l2 = _weight("l2", 0.0 if l2 is None else l2)

    def __call__(self, x):
        xp = namespace(x)
        if not self.l1:
            return self.l2 * xp.sum(x * x)
        absolute = self.l1 * xp.sum(xp.abs(x))
        return absolute + self.l2 * xp.sum(x * x) if self.l2 else absolute

    def get_config(self) -> dict:
        return {"l1": self.l1, "l2": self.l2}


class L1(Regularizer):
    """``l1 * sum(abs(x))``: drives weights to exactly 0.

    Source: Tibshirani, "Regression shrinkage and selection via the lasso", 1996.
    """

    def __init__(self, l1=0.01):
        self.l1 = _weight("l1", 0.01 if l1 is None else l1)

    def __call__(self, x):
        xp = namespace(x)
        return self.l1 * xp.sum(xp.abs(x))

    def get_config(self) -> dict:
        return {"l1": self.l1}


class L2(Regularizer):
    """``l2 * sum(x**2)``: keeps weights small. No factor of one half.

    Source: Krogh and Hertz, "A simple weight decay can improve generalization", 1992.
    """

    def __init__(self, l2=0.01):
        self.l2 = _weight("l2", 0.01 if l2 is None else l2)

    def __call__(self, x):
        return self.l2 * namespace(x).sum(x * x)

    def get_config(self) -> dict:
        return {"l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """``factor`` times the mean absolute cosine between different rows (or columns) of a matrix.

    Args:
        factor: weight of the penalty, 0 or more.
        mode: "rows" or "columns": what shall be orthogonal to each other.

    Source: Brock et al., "Neural photo editing with introspective adversarial networks", 2017.
    """

    def __init__(self, factor=0.01, mode="rows"):
        self.factor = _weight("factor", factor)
        if mode not in ("rows", "columns"):
            raise ValueError(f'OrthogonalRegularizer needs mode "rows" or "columns", got {mode!r}')
        self.mode = mode

    def __call__(self, x):
        if x.ndim != 2:
            raise ValueError(
                f"OrthogonalRegularizer is for matrices, got shape {tuple(x.shape)}: use it on "
                "weights of two axes, such as the kernel of Dense"
            )
        xp = namespace(x)
        rows = x if self.mode == "rows" else xp.matrix_transpose(x)
        n = rows.shape[0]
        if n < 2:
            return 0.0 * xp.sum(x)
        square = xp.sum(rows * rows, axis=1, keepdims=True)
        rows = rows / xp.sqrt(xp.where(square > 0, square, 1.0))
        cosines = xp.abs(xp.matmul(rows, xp.matrix_transpose(rows)))
        different = xp.triu(cosines, k=1)
        return self.factor / (n * (n - 1) / 2) * xp.sum(different)

    def get_config(self) -> dict:
        return {"factor": self.factor, "mode": self.mode}


def _weight(name, value) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"a regularizer needs {name} to be a number from 0 on, got {value!r}")
    return float(value)


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

_registry = Registry(
    "regularizer",
    Regularizer,
    {"l1": L1, "l2": L2, "l1_l2": L1L2, "orthogonal_regularizer": OrthogonalRegularizer},
    aliases={"orthogonal": OrthogonalRegularizer},
)


def get(identifier):
    """The regularizer that a name, a class, an object, a function or None stands for.

    "l1", "l2" and "l1_l2" weigh with 0.01.

    Raises:
        ValueError: for an unknown name, with the nearest right one.
        TypeError: for anything else.

    Example:
        >>> lamina.regularizers.get("l2")
        L2(l2=0.01)
    """
    found = _registry.get(identifier)
    if isinstance(identifier, str) and isinstance(found, L1L2):
        return L1L2(0.01, 0.01)  # by name alone a penalty of 0 is never meant
    return found


serialize = _registry.serialize
deserialize = _registry.deserialize

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "OrthogonalRegularizer",
    "Regularizer",
    "deserialize",
    "get",
    "l1",
    "l1_l2",
    "l2",
    "orthogonal_regularizer",
    "serialize",
]


def __dir__() -> list[str]:
    return __all__
