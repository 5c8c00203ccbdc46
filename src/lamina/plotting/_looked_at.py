"""One image or a few, as the model takes them and as a picture shows them."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.explain._axes import channel_axis
from lamina.plotting._figure import host, require_finite


def batch_of(model: Any, image: Any, what: str) -> np.ndarray:
    """``image`` as a batch: one gets the axis that it lacks.

    Raises:
        ValueError: where it is neither an image of the model's nor a batch of them, or is not
            finite.
    """
    image = host(image)
    shape = getattr(model, "input_shape", None)
    if not hasattr(model, "predict") or not hasattr(model, "layers_within"):
        raise TypeError(f"{what} looks into a lamina model, got {type(model).__name__}")
    model._require_built(f"draw its {what}")
    if image.ndim == len(shape) - 1:
        image = image[None]
    if image.ndim != len(shape) or not image.size:
        raise ValueError(
            f"{what} expects an image of shape {shape[1:]}, or a few in a batch, got {image.shape}"
        )
    require_finite(image, "the image")
    return image


def pictures_of(
    model: Any, images: np.ndarray, what: str, numbers: str = "lamina.explain"
) -> np.ndarray:
    """Images as a picture shows them: (n, h, w) of greys or (n, h, w, 3), between 0 and 1.

    Channels that are neither one nor three are drawn as their mean.

    Raises:
        ValueError: where they are no images; ``numbers`` is what serves those.
    """
    axis = channel_axis(model, images.ndim)
    if axis is not None:
        images = np.moveaxis(images, axis, -1)
        if images.shape[-1] != 3:
            images = images.mean(axis=-1)
    if images.shape[3:] not in ((), (3,)) or images.ndim < 3:
        raise ValueError(
            f"{what} draws images, and {model} takes samples of shape {model.input_shape[1:]}: "
            f"{numbers} gives the numbers of any model"
        )
    images = images.astype(np.float64)
    low, high = min(images.min(), 0.0), images.max()
    if low == 0:
        high = 255.0 if 1 < high <= 255 and images.ndim == 4 else max(high, 1.0)
    return (images - low) / ((high - low) or 1.0)
