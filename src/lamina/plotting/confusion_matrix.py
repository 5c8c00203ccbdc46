"""Which classes a classifier takes for which: as numbers, and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from lamina.plotting._figure import BLUE, VERMILION, host, panels, save
from lamina.plotting._labels import PIXELS, labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CLASSES_WITH_NUMBERS = 30
LONGEST_SIDE = 14.0
POINTS_PER_INCH = 72
# The luminance on which white and nearly black ink are equally easy to read.
EQUAL_CONTRAST = 0.21


def confusion_counts(
    y_true: Any, y_pred: Any, *, class_names: Sequence[str] | None = None
) -> np.ndarray:
    """Count the samples of each true class that were predicted as each class.

    ``counts[i, j] = sum((y_true == i) & (y_pred == j))``

    Args:
        y_true: labels (n,) or (n, 1), or one-hot (n, k).
        y_pred: the same, or class scores (n, k), of which the largest is taken, or probabilities
            of class 1, (n,) or (n, 1), of which those above 0.5 are class 1.
        class_names: names of the classes 0, 1, ..., which also tell their number. Without them
            the classes are the columns of the scores, else the sorted labels that occur.

    Returns:
        an int64 array (k, k): rows are true classes, columns are predicted ones.

    Raises:
        ValueError: if the two differ in length, or a label is none of the classes.

    Example:
        >>> plotting.confusion_counts([0, 1, 1], [0, 1, 0])
        array([[1, 0],
               [1, 1]])
    """
    return _count(y_true, y_pred, class_names)[0]


def confusion_matrix(
    y_true: Any,
    y_pred: Any,
    *,
    class_names: Sequence[str] | None = None,
    normalize: bool = False,
    ax: Axes | None = None,
    path: str | PathLike[str] | None = None,
) -> Figure:
    """Draw the confusion matrix: a row for each true class, a column for each predicted one.

    Right answers are blue, wrong ones orange; the tint is the part of the row's class. Above 30
    classes the cells are drawn without numbers.

    Args:
        y_true: labels (n,) or (n, 1), or one-hot (n, k).
        y_pred: the same, or class scores (n, k), or probabilities of class 1, (n,) or (n, 1).
        class_names: names of the classes 0, 1, ...
        normalize: write parts of each row's class, from 0 to 1, instead of counts.
        ax: axes to draw into.
        path: file to save the picture to, a PNG unless its suffix says otherwise.

    Returns:
        the figure drawn on.

    Raises:
        ValueError: if the two differ in length, or a label is none of the classes.

    Example:
        >>> plotting.confusion_matrix(y_test, model.predict(x_test), path="confusion.png")
    """
    counts, names = _count(y_true, y_pred, class_names)
    totals = counts.sum(axis=1, keepdims=True)
    parts = counts / np.maximum(totals, 1)
    size = len(names)
    cell = 0.5 if size <= 12 else 0.36 if size <= MOST_CLASSES_WITH_NUMBERS else 0.2
    cell = min(max(cell, 2.0 / size), LONGEST_SIDE / size)
    side = cell * size + 1.2
    figure, (axis,) = panels(1, ax, size=(side, side))

    colours = _colours(parts)
    axis.imshow(colours)
    if size <= MOST_CLASSES_WITH_NUMBERS:
        texts = _texts(counts, parts, normalize)
        longest = max(len(text) for text in texts.flat)
        fontsize = min(11.0, cell * POINTS_PER_INCH / max(longest, 2) * 1.35)
        for (row, column), text in np.ndenumerate(texts):
            dark = _luminance(colours[row, column]) < EQUAL_CONTRAST
            ink = "white" if dark else "#222222" if counts[row, column] else "#AAAAAA"
            axis.text(column, row, text, ha="center", va="center", color=ink, fontsize=fontsize)
    _name_cells(axis, names, cell * POINTS_PER_INCH)
    right = int(np.trace(counts))
    axis.set_title(
        f"{right / counts.sum():.1%} right ({right:,} of {counts.sum():,})", fontsize="medium"
    )
    return save(figure, path)


def _count(
    y_true: Any, y_pred: Any, class_names: Sequence[str] | None
) -> tuple[np.ndarray, list[str]]:
    """The matrix, and what to call its rows."""
    true, true_count = labels(y_true, "y_true", PIXELS)
    _refuse_scores(y_true)
    predicted, predicted_count = labels(y_pred, "y_pred", PIXELS)
    if len(true) != len(predicted):
        raise ValueError(
            "a confusion matrix compares each label with one prediction, got "
            f"{len(true)} in y_true and {len(predicted)} in y_pred"
        )
    named = [str(name) for name in class_names] if class_names is not None else None
    count = len(named) if named is not None else max(true_count or 0, predicted_count or 0)
    both = np.concatenate([true, predicted])
    if named is not None and both.dtype.kind in "US":
        classes = np.asarray(named)
    else:
        classes = np.arange(count) if count else np.unique(both)
    order = np.argsort(classes, kind="stable")
    places = np.minimum(np.searchsorted(classes, both, sorter=order), len(classes) - 1)
    indices = order[places]
    strange = classes[indices] != both
    if strange.any():
        raise ValueError(
            f"labels must be among the {len(classes)} classes {classes[0]} to {classes[-1]}, got "
            f"{both[strange][0]}: count classes from 0, and pass a name for each in class_names"
        )
    rows, columns = np.split(indices, 2)
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(counts, (rows, columns), 1)
    return counts, named if named is not None else [str(label) for label in classes]


def _refuse_scores(y_true: Any) -> None:
    """Raise where what should be true classes is rows of scores, as of the predictions."""
    values = host(y_true)
    if values.ndim == 2 and values.shape[1] > 1:
        if not (((values == 0) | (values == 1)).all() and (values.sum(axis=1) == 1).all()):
            raise ValueError(
                "y_true expects labels (n,) or one-hot rows, got rows of other numbers, of shape "
                f"{values.shape}: the true classes come first, confusion_matrix(y_true, y_pred)"
            )


def _colours(parts: np.ndarray) -> np.ndarray:
    """Blue on the diagonal, orange beside it, each from white to full with the part of the row."""
    from matplotlib.colors import to_rgb

    wrong = parts * (1 - np.eye(len(parts)))
    # Orange is full at the worst confusion, but a few single errors must not look like a disaster.
    strength = np.where(np.eye(len(parts), dtype=bool), parts, wrong / max(wrong.max(), 0.2))
    full = np.where(
        np.eye(len(parts), dtype=bool)[..., None], np.asarray(to_rgb(BLUE)), to_rgb(VERMILION)
    )
    return 1 - strength[..., None] * (1 - full)


def _luminance(colour: np.ndarray) -> float:
    """Relative luminance of an sRGB colour (WCAG 2.2), which decides black or white ink."""
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def _texts(counts: np.ndarray, parts: np.ndarray, normalize: bool) -> np.ndarray:
    def text(count: int, part: float) -> str:
        if not normalize:
            return str(count)
        return "0" if count == 0 else "<0.01" if part < 0.005 else f"{part:.2f}"

    return np.vectorize(text, otypes=[object])(counts, parts)


def _name_cells(axis: Axes, names: list[str], cell: float) -> None:
    """Write the names along the sides of cells of ``cell`` points, slanted where they are long."""
    positions = range(len(names))
    fontsize = min(10.0, 0.65 * cell)
    slanted = max(len(name) for name in names) * 0.65 * fontsize > cell
    axis.set_xticks(
        positions,
        names,
        fontsize=fontsize,
        rotation=45 if slanted else 0,
        ha="right" if slanted else "center",
        rotation_mode="anchor" if slanted else "default",
    )
    axis.set_yticks(positions, names, fontsize=fontsize)
    axis.tick_params(length=0)
    axis.set(xlabel="predicted", ylabel="true")
    axis.spines[:].set_visible(False)
    edges = np.arange(len(names) + 1) - 0.5
    axis.set_xticks(edges, minor=True)
    axis.set_yticks(edges, minor=True)
    axis.grid(which="minor", color="#DDDDDD", linewidth=0.8)
    axis.tick_params(which="minor", length=0)
