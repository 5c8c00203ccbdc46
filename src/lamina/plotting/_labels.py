"""Reads labels in any of their usual forms: class numbers, names, one-hot rows, class scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.plotting._figure import host, require_finite

PIXELS = "of pixels pass y_true.ravel() and scores.argmax(axis=-1).ravel()"
"""What ``confusion_matrix`` takes where each pixel has a class."""


def labels(array: Any, name: str, remedy: str = "") -> tuple[np.ndarray, int | None]:
    """One label per sample, and the number of classes where the shape tells it.

    Args:
        array: labels (n,) or (n, 1); or scores, probabilities or one-hot rows (n, k), of which the
            largest entry is taken. Fractions in (n,) or (n, 1) are probabilities of class 1.
        name: what to call ``array`` in an error.
        remedy: what to do where it has more axes.

    Raises:
        ValueError: if ``array`` has another shape, is empty, or holds NaN or infinity.
    """
    values = host(array)
    if values.size == 0 or values.ndim not in (1, 2):
        remedy = f": {remedy}" if remedy and values.ndim > 2 else ""
        raise ValueError(
            f"{name} expects labels (n,) or class scores (n, k) of at least one sample, "
            f"got shape {values.shape}{remedy}"
        )
    require_finite(values, name)
    if values.ndim == 2 and values.shape[1] > 1:
        return np.argmax(values, axis=1), values.shape[1]
    values = values.reshape(-1)
    if values.dtype.kind == "b":
        return values.astype(np.int64), None
    if values.dtype.kind == "f":
        rounded = np.rint(values)
        if not np.array_equal(rounded, values):
            rounded = values > 0.5
        return rounded.astype(np.int64), None
    return values, None
