"""Which axes of a model's input, or of a layer's output, are an image's and which the channels."""

from lamina.layers import Layer


def channel_axis(model, ndim: int) -> int | None:
    """The axis of the channels in a batch of inputs of ``ndim`` axes; None where there is none.

    The model's first layer with spatial axes tells, if it is fed with inputs of that shape;
    without one, images of three axes have channels last.
    """
    first = _spatial(model)
    if first is None or first._input_shape is None:
        return ndim - 1 if ndim == 4 else None
    if first._input_shape[1:] == model.input_shape[1:]:
        return 1 if _first(first) else ndim - 1
    return ndim - 1 if ndim == first.rank + 2 else None


def channel_axis_of_maps(model, layer, ndim: int) -> int:
    """The axis of the channels in a layer's output."""
    spatial = _spatial(layer) or _spatial(model)
    return 1 if spatial is not None and _first(spatial) else ndim - 1


def _first(layer) -> bool:
    return layer.data_format == "channels_first"


def _spatial(holder) -> Layer | None:
    for layer in holder.layers_within():
        if hasattr(layer, "data_format") and hasattr(layer, "rank"):
            return layer
    return None
