"""Where in an image a network looks: saliency and Grad-CAM, beside the image and over it."""

from __future__ import annotations

from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from lamina.explain._inside import batch
from lamina.explain._score import Score
from lamina.explain.grad_cam import grad_cam_of
from lamina.explain.saliency import saliency_of
from lamina.plotting._figure import panels, require_finite, save
from lamina.plotting._looked_at import batch_of, pictures_of
from lamina.plotting._sheet import bare

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lamina.plotting._figure import Panels

SIDE = 2.1
HEAT = "inferno"
DIMMED = 0.55  # the image below the heat
_NOTHING = {"Grad-CAM": "0 everywhere: try layer="}


def saliency(
    model: Any,
    image: Any,
    class_: Any = None,
    *,
    ax: Panels | None = None,
    path: str | PathLike[str] | None = None,
) -> Figure:
    """Draw an image, how much a class's score changes with each pixel, and the one over the other.

    The numbers, and which score it is, are those of ``explain.saliency``. Each image has its own
    scale, from 0 to the largest.

    Args:
        model: a model of images that gives scores of classes.
        image: one image, of the shape of the model's samples, or a few in a batch, a row each.
        class_: the class, or one for each image; None is the predicted class.
        ax: axes to draw into, three for each image.
        path: file to save the picture to, a PNG unless its suffix says otherwise.

    Returns:
        the figure drawn on.

    Raises:
        ValueError: as ``explain.saliency``, and for images of another shape than the model's.

    Source: Simonyan, Vedaldi and Zisserman, "Deep inside convolutional networks", 2013, section 3.
    """
    return _drawn(model, image, class_, saliency_of, "saliency", ax, path)


def grad_cam(
    model: Any,
    image: Any,
    class_: Any = None,
    layer: Any = None,
    *,
    ax: Panels | None = None,
    path: str | PathLike[str] | None = None,
) -> Figure:
    """Draw an image, where a class was seen in it, and the one over the other.

    The numbers are those of ``explain.grad_cam``, each image on its own scale, from 0 to the
    largest. Heat that is 0 everywhere means that no map of the layer speaks for the class, since
    the weighted sums of all are negative: try another ``layer=``.

    Args:
        model: a convolutional model that gives scores of classes.
        image, class_: as for ``saliency``.
        layer: the layer whose maps are weighed: itself, its name or path, or its place in
            ``model.layers``; None is the last convolution with what belongs to it.
        ax: axes to draw into, three for each image.
        path: file to save the picture to, a PNG unless its suffix says otherwise.

    Returns:
        the figure drawn on.

    Raises:
        ValueError: as ``explain.grad_cam``, and for images of another shape than the model's.

    Source: Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based
    localization", 2017, equations 1 and 2.
    """
    heat_of = partial(grad_cam_of, layer=layer)
    return _drawn(model, image, class_, heat_of, "Grad-CAM", ax, path)


def _drawn(
    model: Any, image: Any, class_: Any, heat_of: Any, what: str, ax: Any, path: Any
) -> Figure:
    """The picture of what ``heat_of`` gives of a model, a batch and its score, called ``what``."""
    x = batch_of(model, image, what)
    pictures = pictures_of(model, x, what)
    x = batch(model, x)
    score = Score(model, x, class_)
    heat = heat_of(model, x, score)
    require_finite(heat, what)
    names = [f"class {one}, {how}" for one, how in zip(score.classes, _said(score))]
    return save(_draw(pictures, heat, names, what, ax), path)


def _said(score: Score) -> list[str]:
    """What the model says of each image's class, as far as it says it in probabilities."""
    rows = score.outputs
    if rows.shape[1] == 1:
        own = [row[0] if one else 1 - row[0] for row, one in zip(rows, score.classes)]
    else:
        own = [row[one] for row, one in zip(rows, score.classes)]
    if score.kind == "logit" and rows.min() >= 0:
        return [f"{value:.1%}" for value in own]
    return [f"output {value:.3g}" for value in own]


def _draw(pictures: np.ndarray, heat: np.ndarray, names: list[str], what: str, ax: Any) -> Figure:
    high, wide = pictures.shape[1:3]
    inch = SIDE / max(high, wide)
    size = (inch * wide + 0.1, inch * high + 0.25)
    figure, axes = panels(3 * len(pictures), ax, size=size, columns=3)
    for i, (picture, warm, name) in enumerate(zip(pictures, heat, names, strict=True)):
        left, middle, right = axes[3 * i : 3 * i + 3]
        top = float(warm.max()) or 1.0
        left.imshow(picture, cmap="gray", vmin=0, vmax=1)
        right.imshow(DIMMED * picture, cmap="gray", vmin=0, vmax=1)
        middle.imshow(warm, cmap=HEAT, vmin=0, vmax=top)
        right.imshow(warm, cmap=HEAT, vmin=0, vmax=top, alpha=np.sqrt(warm / top))
        told = what if warm.any() else _NOTHING.get(what, f"{what}: 0 everywhere")
        for axis, title in ((left, name), (middle, told), (right, "over the image")):
            axis.set_title(title, fontsize=9, pad=3)
            bare(axis)
    return figure
