"""The images that a classifier is most sure of, and wrong."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from lamina.layers._options import whole_number
from lamina.plotting._figure import host, panels, require_finite, save
from lamina.plotting._labels import PIXELS, labels
from lamina.plotting._looked_at import batch_of, pictures_of
from lamina.plotting._sheet import bare
from lamina.plotting.images import images

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lamina.plotting._figure import Panels

_WHOLE = f"it looks at classes of whole images; for a confusion_matrix {PIXELS}"


def most_wrong(
    model: Any,
    x: Any,
    y: Any,
    *,
    count: int = 12,
    class_names: Sequence[str] | None = None,
    columns: int | None = None,
    cmap: str | None = None,
    ax: Panels | None = None,
    path: str | PathLike[str] | None = None,
) -> Figure:
    """Draw the images that the model is surest of among those it has wrong, the surest first.

    Above each stand what it is, and what the model takes it for with which probability. Outputs
    that are no probabilities count as logits.

    Args:
        model: a classifier of images: scores (batch, k), or one number (batch, 1) for class 1.
        x: images as the model takes them.
        y: their classes, (n,) or (n, 1), or one-hot (n, k).
        count: the most images to draw.
        class_names: names of the classes 0, 1, ...
        columns: images in a row; None makes the grid about square.
        cmap: matplotlib's name of the colours for greys; None is "gray".
        ax: axes to draw into, one for each image.
        path: file to save the picture to, a PNG unless its suffix says otherwise.

    Returns:
        the figure drawn on.

    Raises:
        ValueError: where x and y differ in length, a label is none of the classes, or the model
            gives no scores of classes.

    Example:
        >>> plotting.most_wrong(model, x_test, y_test, count=20, path="most_wrong.png")
    """
    count = whole_number("most_wrong", "count", count)
    x = batch_of(model, x, "most wrong images")
    true, _ = labels(y, "y", _WHOLE)
    if len(true) != len(x):
        raise ValueError(f"most_wrong expects a label for each image, got {len(true)} for {len(x)}")
    sure = _probabilities(model, x)
    _check(true, sure.shape[1], class_names)
    read = sure.argmax(axis=1)
    own = sure[np.arange(len(x)), read]
    wrong = np.flatnonzero(read != true)
    chosen = wrong[np.argsort(-own[wrong], kind="stable")][:count]
    if not len(chosen):
        return save(_none(len(x), ax), path)
    titles = [f"{_pair(true[i], read[i], class_names)}\n{own[i]:.1%}" for i in chosen]
    pictures = pictures_of(model, x[chosen], "most_wrong", "model.predict")
    return images(pictures, titles=titles, columns=columns, cmap=cmap, ax=ax, path=path)


def _pair(true: int, read: int, class_names: Sequence[str] | None) -> str:
    """What it is and what it was read as; names have a line each."""
    if class_names is None:
        return f"{true}, read {read}"
    return f"{class_names[true]}\nread {class_names[read]}"


def _probabilities(model: Any, x: np.ndarray) -> np.ndarray:
    """The probability of each class for each image, (n, k) with k at least 2."""
    outputs = host(model.predict(x, verbose=0)).astype(np.float64)
    if outputs.ndim != 2:
        raise ValueError(
            f"most_wrong expects a model that gives scores (batch, classes), got {outputs.shape}"
            f": {_WHOLE}"
        )
    require_finite(outputs, "the model's outputs")
    given = outputs.min() >= 0 and outputs.max() <= 1
    if outputs.shape[1] == 1:
        one = outputs if given else 1 / (1 + np.exp(-np.clip(outputs, -700, 700)))
        return np.concatenate([1 - one, one], axis=1)
    if given and np.abs(outputs.sum(axis=1) - 1).max() < 1e-3:
        return outputs
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _check(true: np.ndarray, classes: int, class_names: Sequence[str] | None) -> None:
    if class_names is not None and len(class_names) != classes:
        raise ValueError(
            f"most_wrong expects a name for each of {classes} classes, got {len(class_names)}"
        )
    if true.dtype.kind not in "iu":
        raise ValueError(
            f"most_wrong expects labels that are numbers of classes, got {true[0]!r}: with names "
            "pass names.index of each, and class_names=names"
        )
    if not 0 <= true.min() <= true.max() < classes:
        raise ValueError(
            f"labels must be among the classes 0 to {classes - 1} that the model tells, got "
            f"{true.min()} to {true.max()}: count classes from 0"
        )


def _none(total: int, ax: Panels | None) -> Figure:
    figure, (axis,) = panels(1, ax, size=(3.2, 1.0))
    axis.text(0.5, 0.5, f"none of {total:,} is wrong", ha="center", va="center")
    bare(axis)
    return figure
