"""Spirals wound into each other: easy to see, hard for a shallow network."""

import numpy as np

from lamina.datasets import _generate

__all__ = ["load_data"]


def load_data(
    n: int = 400,
    *,
    noise: float = 0.02,
    classes: int = 2,
    turns: float = 1.5,
    seed: int | np.random.Generator = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Points on ``t (cos a, sin a)`` with ``a = 2 pi (turns t + class / classes)``.

    ``t`` goes evenly from 0 to 1 within each class; the classes come in turn.

    Args:
        n: number of points, all classes together.
        noise: standard deviation of the normal noise added to x.
        classes: number of arms, 2 or more.
        turns: how often an arm goes around.
        seed: of the noise.

    Returns:
        ``x, y``: x float32 of shape (n, 2); y int64 of shape (n,), 0 to classes - 1.

    Raises:
        ValueError: ``n``, ``noise`` or ``classes`` is out of range.

    Example:
        >>> x, y = spirals.load_data(n=300, classes=3, turns=1)
    """
    if classes < 2:
        raise ValueError(f"classes must be 2 or more, got {classes!r}: each arm is a class.")
    _generate.check(n, noise, at_least=classes)
    y = _generate.labels(n, classes)
    radius = _generate.steps(n, classes)
    angle = 2 * np.pi * (turns * radius + y / classes)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _generate.blur(points, noise, np.random.default_rng(seed)), y
