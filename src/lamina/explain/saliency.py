"""Saliency: which pixels a score changes with most."""

from lamina.explain._axes import channel_axis
from lamina.explain._inside import batch
from lamina.explain._score import Score


def saliency(model, x, class_=None):
    """``max over channels of abs(d score / d x)``, for every image of a batch.

    The score is the class's logit: the number before the softmax or the sigmoid that ends the
    model; a model that ends otherwise is taken at its output. Of a single output, class 1 is what
    raises it and class 0 what lowers it.

    Args:
        model: a model of images that gives scores (batch, classes), or one number (batch, 1).
        x: a batch of images, with or without channels, in front or last as the model takes them.
        class_: the class, or one for each image; None is the class the model predicts.

    Returns:
        a NumPy array of the shape of ``x`` without its channels.

    Raises:
        ValueError: for a class out of range, and for a model without such scores.

    Source: Simonyan, Vedaldi and Zisserman, "Deep inside convolutional networks", 2013, section 3.
    """
    x = batch(model, x)
    return saliency_of(model, x, Score(model, x, class_))


def saliency_of(model, x, score):
    """``saliency`` of a batch whose score is there already, which takes a run of the model."""
    slopes = score.slopes(score, x.data)
    place = model.backend
    axis = channel_axis(model, x.ndim)
    sizes = place.xp.abs(slopes)
    return place.to_numpy(sizes if axis is None else place.xp.max(sizes, axis=axis))
