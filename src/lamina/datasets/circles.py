"""A circle inside another."""

import numpy as np

from lamina.datasets import _generate

__all__ = ["load_data"]


def load_data(
    n: int = 400,
    *,
    noise: float = 0.05,
    factor: float = 0.5,
    seed: int | np.random.Generator = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Points on ``r (cos a, sin a)``, r = 1 (class 0) and r = factor (class 1).

    ``a`` goes evenly once around within each class; the classes come in turn.

    Args:
        n: number of points, both classes together.
        noise: standard deviation of the normal noise added to x.
        factor: radius of the inner circle, between 0 and 1.
        seed: of the noise.

    Returns:
        ``x, y``: x float32 of shape (n, 2); y int64 of shape (n,), 0 or 1.

    Raises:
        ValueError: ``n``, ``noise`` or ``factor`` is out of range.

    Example:
        >>> x, y = circles.load_data(n=200, factor=0.3)
    """
    _generate.check(n, noise, at_least=2)
    if not 0 <= factor < 1:
        raise ValueError(
            f"factor must be at least 0 and below 1, got {factor!r}: "
            "it is the inner circle's radius, the outer one's is 1"
        )
    y = _generate.labels(n, 2)
    angle = 2 * np.pi * (np.arange(n) // 2) / ((n - y + 1) // 2)
    radius = np.where(y == 0, 1.0, factor)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _generate.blur(points, noise, np.random.default_rng(seed)), y
