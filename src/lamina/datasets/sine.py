"""One period of a sine with noise: the smallest problem of regression."""

import numpy as np

from lamina.datasets import _generate

__all__ = ["load_data"]


def load_data(
    n: int = 200, *, noise: float = 0.1, seed: int | np.random.Generator = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Points ``y = sin(x) + noise``, x uniform in [-pi, pi] and in no order.

    Args:
        n: number of points.
        noise: standard deviation of the normal noise added to y.
        seed: of x and the noise.

    Returns:
        ``x, y``: float32 of shape (n, 1) each, x in radians.

    Raises:
        ValueError: ``n`` or ``noise`` is out of range.

    Example:
        >>> x, y = sine.load_data(n=100, noise=0.2)
    """
    _generate.check(n, noise)
    rng = np.random.default_rng(seed)
    x = rng.uniform(-np.pi, np.pi, (n, 1)).astype(np.float32)
    return x, _generate.blur(np.sin(x), noise, rng)
