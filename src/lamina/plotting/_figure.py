"""What the pictures share: loading matplotlib, a figure with panels, colours, saving.

Change the look of every picture here. Colours are those of Okabe and Ito, "Color Universal Design"
(2008), which stay apart for colour-blind readers.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lamina import Tensor, backend
from lamina.errors import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Panels = Axes | Sequence[Axes] | np.ndarray

BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, YELLOW, GREY = "#E69F00", "#56B4E9", "#F0E442", "#6E6E6E"
PALETTE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, YELLOW, GREY)
SAVED_DPI = 150
MARGIN = 0.09


def require_matplotlib() -> None:
    """Load matplotlib, or say how to install it."""
    try:
        import matplotlib.figure  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'pictures need matplotlib, which is not installed: pip install "lamina[plot]"',
            name=error.name,
        ) from error


def panels(
    count: int, ax: Panels | None, *, size: tuple[float, float], columns: int = 1
) -> tuple[Figure, list[Axes]]:
    """The figure to draw on and its first ``count`` panels, in reading order.

    Args:
        count: how many panels the picture needs.
        ax: axes to draw into, one for each panel; None makes a new figure.
        size: width and height of one panel of a new figure, in inches.
        columns: panels in a row of a new figure.

    Raises:
        ValueError: if ``ax`` holds fewer axes than the picture has panels.
    """
    require_matplotlib()
    if ax is not None:
        given = list(np.ravel(np.asarray(ax, dtype=object)))
        if len(given) < count:
            raise ValueError(
                f"this picture has {counted(count, 'panel')} and needs one of the axes for each, "
                f"got {len(given)} in ax: leave ax out, or pass {count} axes"
            )
        return given[0].figure.figure, given[:count]

    from matplotlib.layout_engine import ConstrainedLayoutEngine

    from lamina.plotting._picture import Picture

    columns = min(columns, count)
    rows = -(-count // columns)
    layout = ConstrainedLayoutEngine(w_pad=MARGIN, h_pad=MARGIN, wspace=0.04)
    figure = Picture(figsize=(size[0] * columns, size[1] * rows), layout=layout)
    grid = np.ravel(figure.subplots(rows, columns, squeeze=False))
    for spare in grid[count:]:
        spare.remove()
    return figure, list(grid[:count])


def quiet_frame(axes: Axes) -> None:
    """Leave of the frame what helps to read values: left, bottom and a faint grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, alpha=0.25, linewidth=0.8)
    axes.set_axisbelow(True)


def save(figure: Figure, path: str | PathLike[str] | None) -> Figure:
    """Write ``figure`` to ``path`` if there is one, making its folder, and return it."""
    if path is not None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=SAVED_DPI)
    return figure


def require_finite(values: np.ndarray, name: str) -> None:
    """Raise ``ValueError`` where ``values`` holds NaN or infinity, which no picture can show."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        bad = int(np.size(values) - np.isfinite(values).sum())
        raise ValueError(
            f"{name} must be finite, got NaN or infinity in {bad:,} of {values.size:,} values: "
            "look for missing data, or for a training that diverged"
        )


def host(array: Any) -> np.ndarray:
    """``array``, of any backend or a list, as a NumPy array: the one way into this room."""
    if isinstance(array, Tensor):
        array = array.data
    if backend.is_array(array):
        return backend.of(array).to_numpy(array)
    return np.asarray(array)
