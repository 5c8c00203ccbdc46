"""A sheet of small pictures on one panel, each with its own pixels, as wide as there is room for.

One picture an axes would be simpler, and take seconds for the hundreds of maps of a network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lamina.plotting._figure import BLUE, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

GAP = 0.08
BETWEEN = "#D9D9D9"


def draw_sheet(
    axis: Axes, pictures: np.ndarray, columns: int, *, reach: float | None = None, **how: Any
) -> Any:
    """Draw pictures (n, h, w) or (n, h, w, 3) in rows of ``columns``; returns the last image.

    Args:
        reach: numbers from -reach to reach are drawn from blue over white to vermilion.
        how: else cmap, vmin, vmax, as of ``imshow``.
    """
    if reach is not None:
        how = {"cmap": two_sides(), "vmin": -reach, "vmax": reach}
        axis.set_facecolor(BETWEEN)  # to tell a white edge from the gap
    count, height, width = pictures.shape[:3]
    up = height / width
    rows = -(-count // columns)
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        left, top = column * (1 + GAP), row * (up + GAP)
        image = axis.imshow(picture, extent=(left, left + 1, top + up, top), **how)
        image.set_interpolation("nearest")
    axis.set_xlim(-GAP / 2, columns * (1 + GAP) - GAP / 2)
    axis.set_ylim(rows * (up + GAP) - GAP / 2, -GAP / 2)
    axis.set_aspect("equal")
    bare(axis)
    return image


def bare(axis: Axes) -> None:
    """Nothing around the picture but its title."""
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)


def two_sides() -> Colormap:
    """Colours from blue, below 0, over white to vermilion, above it."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("two sides", [BLUE, "#FFFFFF", VERMILION])
