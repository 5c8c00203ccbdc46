"""Handwritten digits, 8 by 8 pixels: 1,797 real scans, shipped with the package.

The test part of "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak (1998),
UCI Machine Learning Repository, https://doi.org/10.24432/C50P49, CC BY 4.0; the same scans in the
same order as scikit-learn's ``load_digits``.
"""

from importlib.resources import files

import numpy as np

from lamina.datasets._split import Pair, split

__all__ = ["CLASS_NAMES", "load_data"]

CLASS_NAMES = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")


def load_data(test_split: float = 0.2, seed: int | None = 0) -> tuple[Pair, Pair]:
    """The digits, shuffled and split with the same share of every digit in both parts.

    Args:
        test_split: the share of test data, from 0 to below 1. 0.2 gives 1,438 and 359 scans.
        seed: of the shuffle; a seed gives the same split everywhere. None keeps the published
            order and tests on the last scans of every digit.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: x uint8 of shape (n, 8, 8), 0 (paper) to
        16 (ink); y int64 of shape (n,), 0 to 9.

    Raises:
        ValueError: ``test_split`` is not in [0, 1).

    Example:
        >>> (x_train, y_train), (x_test, y_test) = digits.load_data()
        >>> x_train.shape, x_test.shape
        ((1438, 8, 8), (359, 8, 8))
    """
    stored = files("lamina.datasets") / "_embedded" / "digits.npz"
    with stored.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        x, y = arrays["x"], arrays["y"]
    return split(x, y.astype(np.int64), test_split, seed)
