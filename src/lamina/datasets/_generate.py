"""What the generated sets share: checks of their arguments, balanced labels, noise."""

import numpy as np


def check(n: int, noise: float, at_least: int = 1) -> None:
    """Raise ValueError unless ``n`` is a whole number of points and ``noise`` a deviation."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < at_least:
        raise ValueError(
            f"n must be a whole number of points, {at_least} or more, got {n!r}: "
            "give the size of the whole set, all classes together"
        )
    if not 0 <= noise < np.inf:
        raise ValueError(
            f"noise must be a finite standard deviation, 0 or more, got {noise!r}: "
            "0 leaves the points where the equation puts them"
        )


def labels(n: int, classes: int) -> np.ndarray:
    """Labels 0, 1, ..., classes - 1, 0, 1, ...: any stretch of them is balanced."""
    return np.arange(n) % classes


def steps(n: int, classes: int) -> np.ndarray:
    """Each point's place within its class, evenly from 0 for the first to 1 for the last."""
    counts = (n - np.arange(classes) + classes - 1) // classes
    return np.arange(n) // classes / np.maximum(counts[labels(n, classes)] - 1, 1)


def blur(points: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """The points with normal noise added, as float32."""
    return (points + noise * rng.standard_normal(points.shape)).astype(np.float32)
