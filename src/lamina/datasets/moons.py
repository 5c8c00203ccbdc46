"""Two half circles that reach into each other."""

import numpy as np

from lamina.datasets import _generate

__all__ = ["load_data"]


def load_data(
    n: int = 400, *, noise: float = 0.1, seed: int | np.random.Generator = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Points on ``(cos a, sin a)`` (class 0) and ``(1 - cos a, 1/2 - sin a)`` (class 1).

    ``a`` goes evenly from 0 to pi within each class; the classes come in turn.

    Args:
        n: number of points, both classes together.
        noise: standard deviation of the normal noise added to x.
        seed: of the noise.

    Returns:
        ``x, y``: x float32 of shape (n, 2); y int64 of shape (n,), 0 or 1.

    Raises:
        ValueError: ``n`` or ``noise`` is out of range.

    Example:
        >>> x, y = moons.load_data(n=200, noise=0.2)
    """
    _generate.check(n, noise, at_least=2)
    y = _generate.labels(n, 2)
    angle = np.pi * _generate.steps(n, 2)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points = np.where(y[:, None] == 0, upper, [1.0, 0.5] - upper)
    return _generate.blur(points, noise, np.random.default_rng(seed)), y
