"""The fixed split of the embedded sets into training and test data."""

import numpy as np

Pair = tuple[np.ndarray, np.ndarray]


def split(x: np.ndarray, y: np.ndarray, test_split: float, seed: int | None) -> tuple[Pair, Pair]:
    """Shuffle, then take the last ``test_split`` of every class as test data.

    Args:
        x: samples, shape (n, ...).
        y: labels, integers of shape (n,).
        test_split: the share of test data, from 0 to below 1; each class is rounded on its own.
        seed: of the shuffle; None keeps the order given.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``.

    Raises:
        ValueError: ``test_split`` is not in [0, 1).
    """
    if not 0 <= test_split < 1:
        raise ValueError(
            f"test_split must be at least 0 and below 1, got {test_split!r}: "
            "0.2 keeps a fifth of every class for testing"
        )
    if seed is not None:
        # The raw bits of PCG64 are the same in every NumPy; those of its permutation may change.
        order = np.argsort(np.random.PCG64(seed).random_raw(len(y)), kind="stable")
        x, y = x[order], y[order]
    test = np.zeros(len(y), dtype=bool)
    for label in np.unique(y):
        members = np.flatnonzero(y == label)
        test[members[len(members) - round(test_split * len(members)) :]] = True
    return (x[~test], y[~test]), (x[test], y[test])
