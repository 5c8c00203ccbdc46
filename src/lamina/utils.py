"""Small things around training: seeds and labels."""

from lamina import backend
from lamina.backend.random import set_random_seed
from lamina.data import as_array


def to_categorical(x, num_classes=None):
    """Class numbers as rows with a 1 at the class's place: [0, 2] becomes [[1,0,0],[0,0,1]].

    Args:
        x: whole numbers from 0, shape (...) or (..., 1).
        num_classes: the length of a row; by default the largest number and one.

    Returns:
        a NumPy array of floats, shape (..., num_classes).

    Raises:
        ValueError: for numbers outside 0 ... num_classes - 1, or not whole.
        TypeError: for text and other things than numbers.
    """
    host = backend.get("numpy")
    xp = host.xp
    labels = host.asarray(as_array(x, "labels"))
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    whole = xp.astype(labels, xp.int64)
    if labels.size and not bool(xp.all(whole == labels)):
        raise ValueError(f"class numbers must be whole, got {labels[whole != labels][0]}")
    count = int(xp.max(whole)) + 1 if num_classes is None and whole.size else num_classes or 0
    if whole.size and (int(xp.min(whole)) < 0 or int(xp.max(whole)) >= count):
        bad = int(xp.min(whole)) if int(xp.min(whole)) < 0 else int(xp.max(whole))
        raise ValueError(f"class numbers must lie in 0 ... {count - 1}, got {bad}")
    return xp.astype(whole[..., None] == xp.arange(count), host.dtype(backend.floatx()))


def normalize(x, axis=-1, order=2):
    """``x`` with every vector along ``axis`` scaled to a norm of 1; zeros stay zeros."""
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
