"""What a classifier of points in the plane answers everywhere, and where it changes its mind."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from lamina.plotting._figure import (
    BLUE,
    GREY,
    PALETTE,
    VERMILION,
    host,
    panels,
    require_finite,
    save,
)
from lamina.plotting._labels import labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "osD^vPX*"
POINTS_IN_A_BATCH = 4096


def decision_boundary(
    model: Any,
    x: Any,
    y: Any,
    *,
    resolution: int = 200,
    padding: float = 0.15,
    threshold: float = 0.5,
    ax: Axes | None = None,
    path: str | PathLike[str] | None = None,
) -> Figure:
    """Draw the answers of ``model`` over the plane, its decision boundary and the labelled points.

    A model with one output is drawn as a field of its values, with the contour
    ``model(x) == threshold``; one with k outputs as k regions of ``argmax(model(x), axis=1)``.

    Args:
        model: a model with ``predict``, or a function, from points (n, 2) to probabilities of
            class 1, (n,) or (n, 1), or to class scores (n, k).
        x: points, shape (n, 2).
        y: their labels: (n,) or (n, 1), or one-hot (n, k).
        resolution: points of the grid along each axis.
        padding: margin around the points, as a part of their range.
        threshold: value of a single output at the boundary; 0.0 for logits.
        ax: axes to draw into.
        path: file to save the picture to, a PNG unless its suffix says otherwise.

    Returns:
        the figure drawn on.

    Raises:
        ValueError: if ``x`` has not 2 features, ``y`` not a label for each point, or the model not
            an answer for each point; or where one of them holds NaN or infinity.

    Example:
        >>> x, y = lamina.datasets.moons.load_data()
        >>> plotting.decision_boundary(model, x, y, path="moons.png")
    """
    if resolution < 2:
        raise ValueError(f"decision_boundary needs a resolution of at least 2, got {resolution}")
    x, classes, indices = _points(x, y)
    low, high = x.min(axis=0), x.max(axis=0)
    # A feature with one value only still needs a plane to be drawn on.
    margin = padding * np.where(high > low, high - low, 1.0) + np.where(high > low, 0.0, 0.5)
    across, up = np.linspace(low - margin, high + margin, resolution).T
    grid = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2).astype(x.dtype)
    answers = _answers(model, grid)

    figure, (axis,) = panels(1, ax, size=(5.4, 4.4))
    field = answers.reshape(resolution, resolution, -1)
    if field.shape[-1] == 1:
        _draw_field(axis, across, up, field[..., 0], threshold)
    else:
        _draw_regions(axis, across, up, field)
    for index, label in enumerate(classes):
        mine = indices == index
        if not mine.any():
            continue
        axis.scatter(
            x[mine, 0],
            x[mine, 1],
            s=34,
            marker=MARKERS[index % len(MARKERS)],
            color=PALETTE[index % len(PALETTE)],
            edgecolor="white",
            linewidth=0.8,
            label=f"class {label}",
            zorder=3,
        )
    axis.set(xlim=across[[0, -1]], ylim=up[[0, -1]], xlabel="$x_1$", ylabel="$x_2$")
    axis.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=4,
        frameon=False,
        borderpad=0.2,
        borderaxespad=0,
        handletextpad=0.1,
        columnspacing=1.2,
    )
    return save(figure, path)


def _points(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The points, the sorted classes, and the index of each point's class."""
    x = host(x)
    if x.ndim != 2 or x.shape[1] != 2 or x.shape[0] == 0:
        raise ValueError(
            f"decision_boundary draws points with 2 features, shape (n, 2), got {x.shape}: "
            "choose two columns, x[:, [0, 1]], of the data the model was trained on"
        )
    if x.dtype.kind != "f":
        x = x.astype(np.float32)
    require_finite(x, "x")
    y, count = labels(y, "y")
    if len(y) != len(x):
        raise ValueError(
            f"decision_boundary expects a label for each point, got {len(x)} points and "
            f"{len(y)} labels"
        )
    classes, indices = np.unique(y, return_inverse=True)
    if count is not None or _are_class_numbers(classes):
        # Colour i is class i, as in the model's outputs, even where a class has no point.
        classes = np.arange(count or int(classes[-1]) + 1)
        indices = y.astype(np.int64)
    return x, classes, indices


def _are_class_numbers(classes: np.ndarray) -> bool:
    return classes.dtype.kind in "iu" and bool(classes[0] >= 0)


def _answers(model: Any, grid: np.ndarray) -> np.ndarray:
    """The model's outputs on the grid, shape (points, outputs)."""
    predict: Callable[..., Any] | None = getattr(model, "predict", None)
    if predict is None:
        answers = host(model(grid))
    else:
        from inspect import signature

        quick = {"batch_size": POINTS_IN_A_BATCH, "verbose": 0}
        known = signature(predict).parameters
        answers = host(predict(grid, **{k: v for k, v in quick.items() if k in known}))
    if answers.shape[:1] != grid.shape[:1] or answers.ndim > 2:
        raise ValueError(
            "decision_boundary expects the model to answer (n,), (n, 1) or (n, k) for n points, "
            f"got {answers.shape} for {len(grid)} points"
        )
    require_finite(answers, "the model's answers")
    return answers.reshape(len(grid), -1).astype(np.float64)


def _draw_field(
    axis: Axes, across: np.ndarray, up: np.ndarray, field: np.ndarray, threshold: float
) -> None:
    """A single output: its value as a tint on both sides of the threshold."""
    from matplotlib.colors import LinearSegmentedColormap

    tints = LinearSegmentedColormap.from_list(
        "two sides", [_tint(BLUE, 0.65), _tint(GREY, 0.04), _tint(VERMILION, 0.65)]
    )
    probabilities = threshold == 0.5 and field.min() >= 0 and field.max() <= 1
    reach = 0.5 if probabilities else float(np.abs(field - threshold).max()) or 1.0
    image = axis.imshow(
        field,
        cmap=tints,
        vmin=threshold - reach,
        vmax=threshold + reach,
        interpolation="bilinear",
        **_extent(across, up),
    )
    if field.min() < threshold < field.max():
        axis.contour(across, up, field, levels=[threshold], colors="#222222", linewidths=1.4)
    bar = axis.figure.colorbar(image, ax=axis, fraction=0.05, pad=0.03)
    bar.set_label("probability of class 1" if probabilities else "model output")
    bar.outline.set_visible(False)


def _draw_regions(axis: Axes, across: np.ndarray, up: np.ndarray, field: np.ndarray) -> None:
    """Several outputs: the region where each is the largest."""
    classes = field.shape[-1]
    colours = np.asarray([_tint(PALETTE[i % len(PALETTE)], 0.35) for i in range(classes)])
    axis.imshow(colours[field.argmax(axis=-1)], interpolation="nearest", **_extent(across, up))
    for index in range(classes):
        # The contour of the lead is smooth; edges of argmax would follow the grid.
        lead = field[..., index] - np.delete(field, index, axis=-1).max(axis=-1)
        if lead.min() < 0 < lead.max():
            axis.contour(across, up, lead, levels=[0.0], colors="#222222", linewidths=1.2)


def _extent(across: np.ndarray, up: np.ndarray) -> dict[str, Any]:
    """Where ``imshow`` puts the grid, so that the middle of each cell is its point."""
    half_x, half_y = (across[1] - across[0]) / 2, (up[1] - up[0]) / 2
    edges = (across[0] - half_x, across[-1] + half_x, up[0] - half_y, up[-1] + half_y)
    return {"extent": edges, "origin": "lower", "aspect": "auto"}


def _tint(colour: str, strength: float) -> tuple[float, float, float]:
    """``colour`` mixed with white."""
    from matplotlib.colors import to_rgb

    red, green, blue = (1 - strength * (1 - part) for part in to_rgb(colour))
    return red, green, blue
