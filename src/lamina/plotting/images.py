"""A grid of pictures, as a first look at data or at what a network got wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from lamina.plotting._figure import VERMILION, host, panels, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lamina.plotting._figure import Panels

LONG_SIDE = 1.25
LINE = 0.2
LARGEST, SMALLEST = 9.0, 5.0
POINTS_PER_INCH, EMS = 72, 0.6  # a letter is so many times as wide as the font is high


def images(
    x: Any,
    *,
    titles: Sequence[Any] | None = None,
    highlight: Any = None,
    columns: int | None = None,
    cmap: str | None = None,
    ax: Panels | None = None,
    path: str | PathLike[str] | None = None,
) -> Figure:
    """Draw images in a grid, all on one scale of brightness.

    Args:
        x: images (n, h, w) or (n, h, w, 1) of greys, or (n, h, w, 3) of red, green and blue; one
            image (h, w) too. Values from 0 to 1, and colours from 0 to 255, are drawn as they are;
            other ranges are stretched from 0, or the smallest value below it, to the largest.
        titles: a line above each image, such as "9 (read 4)".
        highlight: booleans (n,): the images to set off by a coloured frame and title.
        columns: images in a row; None makes the grid about square.
        cmap: matplotlib's name of the colours for greys; None is "gray"; "gray_r" is ink on paper.
        ax: axes to draw into, one for each image.
        path: file to save the picture to, a PNG unless its suffix says otherwise.

    Returns:
        the figure drawn on.

    Raises:
        ValueError: if ``x`` is not of one of these shapes, or ``titles`` or ``highlight`` is not of
            its length.

    Example:
        >>> wrong = read != y_test
        >>> titles = [f"{y} (read {r})" for y, r in zip(y_test[wrong], read[wrong])]
        >>> plotting.images(x_test[wrong][:20], titles=titles[:20], columns=10)
    """
    if columns is not None and columns < 1:
        raise ValueError(f"images needs columns of at least 1, got {columns}")
    pictures = _pictures(x)
    count, height, width = pictures.shape[:3]
    chosen = None if highlight is None else host(highlight).astype(bool).reshape(-1)
    for name, given in (("titles", titles), ("highlight", chosen)):
        if given is not None and len(given) != count:
            raise ValueError(
                f"images expects one entry of {name} for each image, got {len(given)} for {count}"
            )
    lines = 0 if titles is None else max(str(title).count("\n") + 1 for title in titles)
    inch = LONG_SIDE / max(height, width)
    wide = inch * width + 0.1
    figure, axes = panels(
        count,
        ax,
        columns=columns or math.ceil(math.sqrt(count)),
        size=(wide, inch * height + 0.1 + LINE * lines),
    )
    fontsize = _fontsize(titles, wide)
    low, high = _range(pictures)
    if pictures.ndim == 4:
        pictures, low, high = np.clip((pictures - low) / (high - low), 0, 1), 0, 1
    for index, axis in enumerate(axes):
        axis.imshow(pictures[index], cmap=cmap or "gray", vmin=low, vmax=high)
        if titles is not None:
            axis.set_title(str(titles[index]), fontsize=fontsize, pad=3)
        _frame(axis, marked=chosen is not None and bool(chosen[index]))
    return save(figure, path)


def _fontsize(titles: Sequence[Any] | None, wide: float) -> float:
    """What the longest line needs to fit above an image ``wide`` inches wide, if it can be read."""
    longest = max((len(line) for t in titles or () for line in str(t).split("\n")), default=1)
    return min(LARGEST, max(SMALLEST, POINTS_PER_INCH * wide / (EMS * max(longest, 1))))


def _pictures(x: Any) -> np.ndarray:
    """The images as (n, h, w) or (n, h, w, 3)."""
    x = host(x)
    if x.ndim == 2:
        x = x[None]
    if x.ndim == 4 and x.shape[-1] == 1:
        x = x[..., 0]
    if x.ndim not in (3, 4) or (x.ndim == 4 and x.shape[-1] != 3) or x.size == 0:
        raise ValueError(
            "images expects (n, h, w), (n, h, w, 1) or (n, h, w, 3), channels last and at least "
            f"one image, got {x.shape}: flat images need x.reshape(n, h, w)"
        )
    return x.astype(np.float32) if x.dtype.kind != "f" or x.dtype.itemsize < 4 else x


def _range(pictures: np.ndarray) -> tuple[float, float]:
    """The values to draw as darkest and as brightest."""
    low, high = float(np.nanmin(pictures)), float(np.nanmax(pictures))
    if low < 0:
        return low, max(high, 0.0)
    in_bytes = pictures.ndim == 4 and 1 < high <= 255
    return 0.0, 255.0 if in_bytes else max(high, 1.0)


def _frame(axis: Axes, *, marked: bool) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set(visible=True, color="#BBBBBB", linewidth=0.6)
    if marked:
        axis.spines[:].set(color=VERMILION, linewidth=2.2)
        axis.title.set(color=VERMILION, fontweight="bold")
