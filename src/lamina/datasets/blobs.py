"""Round clouds of points, one per class."""

import numpy as np

from lamina.datasets import _generate

__all__ = ["load_data"]


def load_data(
    n: int = 300,
    *,
    noise: float = 1.0,
    classes: int = 3,
    features: int = 2,
    seed: int | np.random.Generator = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Points ``x ~ Normal(centre[class], noise^2)``, centres uniform in [-10, 10].

    The classes come in turn.

    Args:
        n: number of points, all classes together.
        noise: standard deviation of every cloud.
        classes: number of clouds, 1 or more.
        features: number of coordinates, 1 or more.
        seed: of the centres and the noise.

    Returns:
        ``x, y``: x float32 of shape (n, features); y int64 of shape (n,), 0 to classes - 1.

    Raises:
        ValueError: ``n``, ``noise``, ``classes`` or ``features`` is out of range.

    Example:
        >>> x, y = blobs.load_data(n=500, classes=5)
    """
    if classes < 1 or features < 1:
        raise ValueError(
            f"classes and features must be 1 or more, got {classes!r} and {features!r}: "
            "the clouds and their coordinates are counted from 1"
        )
    _generate.check(n, noise, at_least=classes)
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-10, 10, (classes, features))
    y = _generate.labels(n, classes)
    return _generate.blur(centres[y], noise, rng), y
