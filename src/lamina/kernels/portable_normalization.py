"""Normalization for every array library: one node on the tape instead of a dozen.

Each is two steps, forward and back: whitening over some axes, and a scale and shift by channel.
With w the whitened x and s the standard deviation, whitening takes the gradient g of w to

    dx = (g - mean(g) - w * mean(g * w)) / s
"""

from lamina.ops._op import kernel
from lamina.ops.normalization import axes_of, size_of


def _whitened(xp, x, over, epsilon):
    """(w, mean, variance, the pullback of w), where w is x whitened over the axes ``over``."""
    n = size_of(x.shape, over)
    mean = xp.sum(x, axis=over, keepdims=True) / n
    w = x - mean
    variance = xp.sum(w * w, axis=over, keepdims=True) / n
    inverse = 1.0 / xp.sqrt(variance + epsilon)
    w = w * inverse

    def back(g):
        level = xp.sum(g, axis=over, keepdims=True) / n
        slope = xp.sum(g * w, axis=over, keepdims=True) / n
        return (g - level - w * slope) * inverse

    return w, mean, variance, inverse, back


def _scaling(xp, needs, w, gamma, beta, along, others):
    """(out, pullback to w, gamma and beta) of ``w * gamma + beta`` spread over ``others``."""
    factor = None if gamma is None else xp.reshape(gamma, along)
    out = w if factor is None else w * factor
    out = out if beta is None else out + xp.reshape(beta, along)
    _, needs_gamma, needs_beta = needs
    shape = tuple(n for i, n in enumerate(along) if i not in others)

    def back(g):
        d_gamma = xp.reshape(xp.sum(g * w, axis=others), shape) if needs_gamma else None
        d_beta = xp.reshape(xp.sum(g, axis=others), shape) if needs_beta else None
        return (g if factor is None else g * factor), d_gamma, d_beta

    return out, back


def _channels(x, axis):
    """Of the channels along ``axis``: the shape to spread them in, and all other axes."""
    axis = axis % x.ndim
    along = tuple(n if i == axis else 1 for i, n in enumerate(x.shape))
    return along, tuple(i for i in range(x.ndim) if i != axis)


@kernel("standardize")
def standardize(xp, needs, x, mean, variance, gamma, beta, *, axis, epsilon):
    """One scale and one shift by channel."""
    needs_x, needs_mean, needs_variance, needs_gamma, needs_beta = needs
    along, others = _channels(x, axis)
    inverse = 1.0 / xp.sqrt(variance + epsilon)
    factor = inverse if gamma is None else gamma * inverse
    w = (x - xp.reshape(mean, along)) * xp.reshape(inverse, along)
    needs_w, needs_sum = needs_gamma or needs_variance, needs_beta or needs_mean
    out, back = _scaling(xp, (needs_x, needs_w, needs_sum), w, gamma, beta, along, others)

    def pullback(g):
        d, d_gamma, d_beta = back(g)
        return (
            d * xp.reshape(inverse, along) if needs_x else None,
            -factor * d_beta if needs_mean else None,
            d_gamma * factor * inverse * -0.5 if needs_variance else None,
            d_gamma,
            d_beta,
        )

    return out, pullback


@kernel("batch_normalization")
def batch_normalization(xp, needs, x, gamma, beta, *, axis, epsilon, exchange):
    """Whitening over all but the channels; the statistics are results too, with gradients."""
    if exchange is not None:
        return NotImplemented
    along, others = _channels(x, axis)
    w, mean, variance, inverse, whiten_back = _whitened(xp, x, others, epsilon)
    out, scale_back = _scaling(xp, needs, w, gamma, beta, along, others)
    channels = (x.shape[axis],)

    def pullback(gradients):
        g, g_mean, g_variance = gradients
        d, d_gamma, d_beta = (None, None, None) if g is None else scale_back(g)
        if not needs[0]:
            return None, d_gamma, d_beta
        d = xp.zeros_like(x) if d is None else whiten_back(d)
        n = size_of(x.shape, others)
        if g_mean is not None:
            d = d + xp.reshape(g_mean, along) / n
        if g_variance is not None:
            d = d + w * (xp.reshape(g_variance, along) * (2.0 / n) / inverse)
        return d, d_gamma, d_beta

    return (out, xp.reshape(mean, channels), xp.reshape(variance, channels)), pullback


@kernel("layer_normalization")
def layer_normalization(xp, needs, x, gamma, beta, *, axis, epsilon):
    """Whitening over the axes that are scaled."""
    over = axes_of(axis, x.ndim)
    along = tuple(n if i in over else 1 for i, n in enumerate(x.shape))
    others = tuple(i for i in range(x.ndim) if i not in over)
    w, _, _, _, whiten_back = _whitened(xp, x, over, epsilon)
    out, scale_back = _scaling(xp, needs, w, gamma, beta, along, others)

    def pullback(g):
        d, d_gamma, d_beta = scale_back(g)
        return (whiten_back(d) if needs[0] else None), d_gamma, d_beta

    return out, pullback


@kernel("group_normalization")
def group_normalization(xp, needs, x, gamma, beta, *, groups, axis, epsilon):
    """Whitening over positions and the channels of a group."""
    axis = axis % x.ndim
    along, others = _channels(x, axis)
    grouped = (*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :])
    over = tuple(i for i in range(1, len(grouped)) if i != axis)
    w, _, _, _, whiten_back = _whitened(xp, xp.reshape(x, grouped), over, epsilon)
    out, scale_back = _scaling(xp, needs, xp.reshape(w, x.shape), gamma, beta, along, others)

    def pullback(g):
        d, d_gamma, d_beta = scale_back(g)
        if needs[0]:
            d = xp.reshape(whiten_back(xp.reshape(d, grouped)), x.shape)
        return (d if needs[0] else None), d_gamma, d_beta

    return out, pullback


@kernel("rms_normalization")
def rms_normalization(xp, needs, x, gamma, *, axis, epsilon):
    """With w = x / s: dx = (g - w * mean(g * w)) / s."""
    over = axes_of(axis, x.ndim)
    along = tuple(n if i in over else 1 for i, n in enumerate(x.shape))
    others = tuple(i for i in range(x.ndim) if i not in over)
    n = size_of(x.shape, over)
    inverse = 1.0 / xp.sqrt(xp.sum(x * x, axis=over, keepdims=True) / n + epsilon)
    w = x * inverse
    out, scale_back = _scaling(xp, (*needs, False), w, gamma, None, along, others)

    def pullback(g):
        d, d_gamma, _ = scale_back(g)
        if needs[0]:
            slope = xp.sum(d * w, axis=over, keepdims=True) / n
            d = (d - w * slope) * inverse
        return (d if needs[0] else None), d_gamma

    return out, pullback
