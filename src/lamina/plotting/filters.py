"""The kernels of a convolution: the patterns that it looks for."""

from __future__ import annotations

import math
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from lamina.explain._inside import found
from lamina.layers import Conv2DTranspose, DepthwiseConv2D, Layer, SeparableConv2D
from lamina.layers._convolution import Convolution
from lamina.layers._options import whole_number
from lamina.plotting._figure import host, panels, require_finite, save
from lamina.plotting._sheet import draw_sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_FILTERS, MOST_ROWS, MOST_CHANNELS = 64, 16, 16
INCH, SMALL_INCH = 0.55, 0.34


def filters(
    layer_or_model: Any,
    *,
    layer: Any = None,
    count: int | None = None,
    columns: int | None = None,
    ax: Axes | None = None,
    path: str | PathLike[str] | None = None,
) -> Figure:
    """Draw the kernels of a two-dimensional convolution as a sheet of small pictures.

    A kernel of one channel is drawn blue where it is negative, white at 0, orange where it is
    positive; one of three channels in colours, with grey for 0. Of more channels each has a
    picture: a row is a filter, a column a channel, the first 16 of them. All are on one scale.

    Args:
        layer_or_model: a convolution; or a model, whose first convolution of images is taken.
        layer: which layer of a model: itself, its name or path, or its place.
        count: the most filters to draw; None is 64, or 16 rows where a filter is a row.
        columns: pictures in a row, for kernels of one or three channels; None makes the sheet
            about twice as wide as high.
        ax: axes to draw into.
        path: file to save the picture to, a PNG unless its suffix says otherwise.

    Returns:
        the figure drawn on.

    Raises:
        ValueError: for a layer that is no such convolution or has no kernels yet, a model without
            one, a name that no layer has, and kernels that are not finite.

    Example:
        >>> plotting.filters(model, path="filters.png")
    """
    chosen = _convolution(layer_or_model, layer)
    kernels = _kernels(chosen)
    require_finite(kernels, f"the kernels of {chosen}")
    total, height, width, channels = kernels.shape
    if count is None:
        count = MOST_FILTERS if channels in (1, 3) else MOST_ROWS
    shown = kernels[: whole_number("filters", "count", count)]
    reach = float(np.abs(shown).max()) or 1.0
    if channels == 3:
        pictures, how = 0.5 + 0.5 * shown / reach, {}
    else:
        shown = shown[..., :MOST_CHANNELS]
        pictures = np.moveaxis(shown, -1, 1).reshape(-1, *shown.shape[1:3])
        how = {"reach": reach}
    if channels in (1, 3):
        columns = _wide(len(pictures)) if columns is None else columns
        columns = min(whole_number("filters", "columns", columns), len(pictures))
    else:
        columns = shown.shape[-1]
    rows = -(-len(pictures) // columns)
    inch = INCH if channels in (1, 3) else SMALL_INCH
    size = (max(inch * columns + 0.9, 3.4), inch * rows * height / width + 0.75)
    figure, (axis,) = panels(1, ax, size=size)
    image = draw_sheet(axis, pictures, columns, **how)
    if how:
        bar = axis.figure.colorbar(image, ax=axis, fraction=0.04, pad=0.02, aspect=25, shrink=0.9)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8)
    axis.set_title(_title(chosen, total, min(count, total), channels, shown), fontsize="medium")
    return save(figure, path)


def _wide(count: int) -> int:
    return math.ceil(math.sqrt(2 * count))


def _title(layer: Any, total: int, drawn: int, channels: int, shown: np.ndarray) -> str:
    filters = f"{drawn} of {total} filters" if drawn < total else f"{total} filters"
    height, width = layer.kernel_size
    title = f"{layer.name}: {filters} of {height} x {width}"
    if channels in (1, 3):
        return title if channels == 1 else f"{title} in colours"
    part = f"the first {shown.shape[-1]} of " if shown.shape[-1] < channels else ""
    return f"{title}\na column for each of {part}{channels} channels"


def _convolution(layer_or_model: Any, layer: Any) -> Any:
    """The convolution to draw."""
    if not isinstance(layer_or_model, Layer):
        raise TypeError(f"filters expects a layer or a model, got {type(layer_or_model).__name__}")
    if layer is not None:
        _, one = found(layer_or_model, layer)
    else:
        inside = [x for x in layer_or_model.layers_within() if _draws(x)]
        one = inside[0] if inside else layer_or_model
    if not _draws(one):
        lacks = "has none inside" if one is layer_or_model and layer is None else "is none"
        raise ValueError(
            f"filters draws the kernels of a convolution of images, such as Conv2D, and {one} "
            f"{lacks}"
        )
    if not one.built:
        raise ValueError(f"{one} has no kernels yet: call it, or the model around it, on a batch")
    return one


def _draws(layer: Any) -> bool:
    return isinstance(layer, Convolution) and layer.rank == 2


def _kernels(layer: Any) -> np.ndarray:
    """The kernels as (filters, height, width, channels)."""
    if isinstance(layer, DepthwiseConv2D | SeparableConv2D):
        name = "kernel" if isinstance(layer, DepthwiseConv2D) else "depthwise_kernel"
        kernel = host(getattr(layer, name))  # (height, width, channels, multiplier)
        return np.moveaxis(kernel, (2, 3), (0, 1)).reshape(-1, *kernel.shape[:2], 1)
    kernel = host(layer.kernel)
    if isinstance(layer, Conv2DTranspose):  # (height, width, filters, channels)
        return np.moveaxis(kernel, 2, 0)
    return np.moveaxis(kernel, 3, 0)
