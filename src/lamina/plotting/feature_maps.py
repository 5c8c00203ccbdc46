"""What every layer of a network makes of one image."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from lamina import explain
from lamina.explain._axes import channel_axis_of_maps
from lamina.explain._inside import found, paths
from lamina.layers._convolution import Convolution
from lamina.layers._options import whole_number
from lamina.layers.pooling import _Pooling
from lamina.plotting._figure import panels, require_finite, save
from lamina.plotting._looked_at import batch_of, pictures_of
from lamina.plotting._sheet import draw_sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lamina.plotting._figure import Panels

INCH = 1.0


def feature_maps(
    model: Any,
    image: Any,
    layers: Any = None,
    *,
    count: int = 8,
    ax: Panels | None = None,
    path: str | PathLike[str] | None = None,
) -> Figure:
    """Draw what the layers of a model make of one image: a row of maps for each layer.

    The image comes first. Maps that are nowhere negative go from black, 0, to white, the layer's
    largest number; others from blue over white, 0, to orange.

    Args:
        model: a model of images.
        image: one image, of the shape of the model's samples, with or without a batch axis.
        layers: the layers, names, paths or places, as in ``explain.layer_outputs``; None is every
            convolution and pooling, also those inside other layers, and the layers that hold them,
            such as residual blocks, where these give maps.
        count: the most maps of a layer to draw, the first ones.
        ax: axes to draw into, one for the image and one for each layer.
        path: file to save the picture to, a PNG unless its suffix says otherwise.

    Returns:
        the figure drawn on.

    Raises:
        ValueError: for more than one image or one of another shape, a layer that the model has not
            or that gives no maps or such as are not finite, and a model without convolution or
            pooling.

    Example:
        >>> plotting.feature_maps(model, x_test[0], path="maps.png")
    """
    count = whole_number("feature_maps", "count", count)
    x = batch_of(model, image, "feature maps")
    if len(x) != 1:
        raise ValueError(f"feature_maps draws one image, got {len(x)}: pass x[0]")
    rows = _rows(model, x, layers)
    most = max(min(count, len(maps)) for _, maps in rows)
    up = max(maps.shape[1] / maps.shape[2] for _, maps in rows)
    size = (INCH * max(most, 4) + 0.2, INCH * up + 0.32)
    figure, axes = panels(1 + len(rows), ax, size=size)
    picture = pictures_of(model, x, "feature_maps", "lamina.explain.layer_outputs")
    draw_sheet(axes[0], picture, most, cmap="gray", vmin=0, vmax=1)
    axes[0].set_title("image", fontsize=9, loc="left", pad=3)
    for axis, (title, maps) in zip(axes[1:], rows, strict=True):
        drawn = maps[:count]
        reach = float(np.abs(drawn).max()) or 1.0
        if drawn.min() < 0:
            draw_sheet(axis, drawn, most, reach=reach)
        else:
            draw_sheet(axis, drawn, most, cmap="gray", vmin=0, vmax=reach)
        more = f", {count} of {len(maps)} maps" if count < len(maps) else ""
        axis.set_title(f"{title}{more}", fontsize=9, loc="left", pad=3)
    return save(figure, path)


def _makes_maps(layer: Any) -> bool:
    return isinstance(layer, Convolution | _Pooling) and layer.rank == 2


def _rows(model: Any, x: np.ndarray, layers: Any) -> list[tuple[str, np.ndarray]]:
    """The title and the maps (count, height, width) of each layer."""
    if layers is None:
        known = paths(model)
        if not any(map(_makes_maps, known.values())):
            raise ValueError(
                f"feature_maps draws what convolutions and poolings of images give, and {model} "
                "has none: name the layers to draw"
            )
        given = {}
        for path, out in explain.layer_outputs(model, x).items():
            one = known[path]
            images = getattr(out, "ndim", 0) == 4 and any(map(_makes_maps, one.layers_within()))
            if images or _makes_maps(one):
                given[path] = out
    else:
        given = explain.layer_outputs(model, x, layers)
    if not given:
        raise ValueError("feature_maps draws one layer or more, got none: name them, or pass None")
    rows = []
    for path, out in given.items():
        _, layer = found(model, path)
        if getattr(out, "ndim", 0) != 4:
            shape = getattr(out, "shape", "several outputs")
            raise ValueError(
                f"feature_maps draws layers that give images, (batch, height, width, channels), "
                f"and {layer} gives {shape}: leave it out"
            )
        require_finite(out, f"what {layer} gives")
        shape = " x ".join(map(str, out.shape[1:]))
        maps = np.moveaxis(out[0], channel_axis_of_maps(model, layer, 4) - 1, 0)
        rows.append((f"{path} ({type(layer).__name__}), {shape}", maps))
    return rows
