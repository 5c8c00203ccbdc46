"""Small things around training: seeds and labels."""

from lamina import backend
from lamina.backend.random import set_random_seed
from lamina.data import as_array


def to_categorical(x, num_classes=None):
    """Class numbers as rows with a 1 at the class's place: [0, 2] becomes [[1,0,0],[0,0,1]].

    Args:
        x: whole numbers from 0 on, shape (...) or (..., 1).
        num_classes: the length of a row; None is the largest number and one.

    Returns:
        a NumPy array of floats, shape (..., num_classes).

    Raises:
        ValueError: for numbers below 0, from ``num_classes`` on, or not whole.
        TypeError: for text and other things than numbers.
    """
    host = backend.get("numpy")
    xp = host.xp
    labels = host.asarray(as_array(x, "labels"))
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    whole = xp.astype(labels, xp.int64)
    if not xp.all(whole == labels):
        raise ValueError(f"class numbers must be whole, got {labels[whole != labels][0]}")
    least, largest = (int(xp.min(whole)), int(xp.max(whole))) if whole.size else (0, -1)
    count = largest + 1 if num_classes is None else num_classes
    if least < 0:
        raise ValueError(f"class numbers must be counted from 0, got {least}: add {-least} to all")
    if largest >= count:
        raise ValueError(
            f"class numbers must lie below num_classes={count}, got {largest}: count them from 0, "
            "or leave num_classes out"
        )
    return xp.astype(whole[..., None] == xp.arange(count), host.dtype(backend.floatx()))


def normalize(x, axis=-1, order=2):
    """``x / norm(x)`` for every vector along ``axis``; vectors of zeros stay as they are.

    Args:
        x: numbers of any shape.
        axis: the axis of the vectors.
        order: the p of the norm ``sum(abs(x)**p)**(1/p)``; 2 is length.

    Returns:
        a NumPy array of the shape of ``x``.

    Example:
        >>> lamina.utils.normalize([[3.0, 4.0]])
        array([[0.6, 0.8]], dtype=float32)
    """
    host = backend.get("numpy")
    xp = host.xp
    x = host.asarray(x)
    norm = xp.linalg.vector_norm(x, axis=axis, keepdims=True, ord=order)
    return x / xp.where(norm == 0, xp.ones_like(norm), norm)


__all__ = [
    "normalize",
    "set_random_seed",
    "to_categorical",
]


def __dir__() -> list[str]:
    return __all__
