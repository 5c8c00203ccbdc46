"""Grad-CAM: where in an image a class was seen."""

from lamina import ops
from lamina.autograd import no_grad
from lamina.explain._axes import channel_axis, channel_axis_of_maps
from lamina.explain._inside import batch, found, instead, outputs
from lamina.explain._score import Score
from lamina.layers._convolution import Convolution


def grad_cam(model, x, class_=None, layer=None):
    """``relu(sum over k of alpha_k * A_k)``, ``alpha_k = mean over places of d score / d A_k``.

    A_k are the maps, one per channel, that a layer makes of the image. The sum of those that speak
    for the class is stretched to the size of the image (bilinear).

    Args:
        model: a convolutional model that gives scores (batch, classes), or one number (batch, 1).
        x: a batch of images, with or without channels, in front or last as the model takes them.
        class_: the class, or one for each image; None is the class the model predicts.
        layer: the layer that makes the maps: itself, its name or path, or its place in
            ``model.layers``. None is the last convolution, or the last layer with one inside, with
            the normalization and activation behind it.

    Returns:
        a NumPy array of the shape of ``x`` without its channels. An image is 0 everywhere where the
        weighted sum is nowhere positive: no map of this layer speaks for the class, and another
        ``layer`` may. The score is that of ``saliency``.

    Raises:
        ValueError: for a model without a convolution, an unknown layer or one that makes no maps,
            and for a class out of range.

    Source: Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based
    localization", 2017, equations 1 and 2.
    """
    x = batch(model, x)
    return grad_cam_of(model, x, Score(model, x, class_), layer)


def grad_cam_of(model, x, score, layer=None):
    """``grad_cam`` of a batch whose score is there already, which takes a run of the model."""
    layer, maps, calls = _maps(model, x, layer)
    xp = model.backend.xp
    axis = channel_axis_of_maps(model, layer, maps.ndim)
    places = tuple(i for i in range(1, maps.ndim) if i != axis)
    image = tuple(n for i, n in enumerate(x.shape) if i and i != channel_axis(model, x.ndim))
    if len(image) != len(places):
        raise ValueError(
            f"grad_cam lays maps over images, and {model} takes samples of shape {x.shape[1:]}, "
            f"where {layer} gives {maps.shape[1:]}: build the model for images, (height, width) or "
            "(height, width, channels)"
        )

    def score_of(maps):
        with instead({layer: _giving(maps, calls)}):
            return score(x)

    slopes = score.slopes(score_of, maps.data)
    weights = xp.mean(slopes, axis=places, keepdims=True)
    seen = xp.sum(weights * maps.data, axis=axis)
    with no_grad(), model.backend.scope():
        seen = ops.resize(ops.relu(seen)[..., None], size=image)[..., 0]
    return model.backend.to_numpy(seen)


def _giving(maps, calls: int):
    """What stands for the call of a layer to give ``maps`` where it is called for the last time."""
    count = 0

    def call(own, *args, **kwargs):
        nonlocal count
        count += 1
        return maps if count == calls else own(*args, **kwargs)

    return call


def _maps(model, x, layer):
    """The layer that makes the maps, its output, and how often it is called."""
    if layer is None:
        _, given = outputs(model, x, model.layers_within()[1:])
        layer = _last(model, {one: tuple(out.shape) for one, out in given.items()
                              if hasattr(out, "shape")})  # fmt: skip
        if layer is None:
            raise ValueError(
                f"grad_cam needs a model with a convolution, and {model} has none that gives maps: "
                "lamina.explain.saliency explains any model of images"
            )
    else:
        _, layer = found(model, layer)
    calls = 0

    def counted(own, *args, **kwargs):
        nonlocal calls, maps
        calls += 1
        maps = own(*args, **kwargs)
        return maps

    maps = None
    with no_grad(), instead({layer: counted}):
        outputs(model, x)
    if maps is None:
        raise ValueError(f"{layer} did not run when {model} was used: choose another layer")
    if getattr(maps, "ndim", 0) < 3:
        shape = tuple(getattr(maps, "shape", ()))
        raise ValueError(
            f"grad_cam needs a layer that makes maps of the image, and {layer} gives {shape}: "
            "choose a convolution, or leave layer out"
        )
    return layer, maps, calls


def _last(holder, ran):
    """The last layer of ``holder`` that is or has a convolution and gives maps; None if none does.

    Args:
        ran: the shapes that layers gave, in the order they ended.
    """
    inside = holder.sublayers()
    inside = [layer for layer in ran if any(layer is one for one in inside)]
    for i, layer in reversed([*enumerate(inside)]):
        found = [one for one in layer.layers_within() if isinstance(one, Convolution)]
        if not found:
            continue
        if len(ran[layer]) != found[-1].rank + 2:
            return _last(layer, ran)
        for behind in inside[i + 1 :]:  # normalization and activation leave the shape
            if ran[behind] != ran[layer]:
                break
            layer = behind
        return layer
    return None
