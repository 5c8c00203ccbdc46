"""Exclusive or: the smallest problem that a network without a hidden layer cannot learn."""

import numpy as np

from lamina.datasets import _generate

__all__ = ["load_data"]


def load_data(
    n: int = 4, *, noise: float = 0.0, seed: int | np.random.Generator = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The corners of the unit square, labelled ``y = x0 != x1``.

    Args:
        n: number of points; the four corners come in turn.
        noise: standard deviation of the normal noise added to x.
        seed: of the noise.

    Returns:
        ``x, y``: x float32 of shape (n, 2); y int64 of shape (n,), 0 or 1.

    Raises:
        ValueError: ``n`` or ``noise`` is out of range.

    Example:
        >>> x, y = xor.load_data()
        >>> y
        array([0, 1, 1, 0])
    """
    _generate.check(n, noise)
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])[np.arange(n) % 4]
    x = _generate.blur(corners, noise, np.random.default_rng(seed))
    return x, (corners[:, 0] ^ corners[:, 1]).astype(np.int64)
