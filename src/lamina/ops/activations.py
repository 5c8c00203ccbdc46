"""Activations, element by element: the functions that make a network more than one matrix product.

Each is a definition to be read; ``kernels/activations.py`` makes the most used ones fast. Softmax
and its kin, which look at a whole axis, are in ``softmaxes.py`` and can be had from here as well.

At a kink, where two pieces meet, the derivative is that of the flat piece: 0 for relu at 0.
Where a piece would overflow or divide by zero outside of its range, its argument is replaced there
by a harmless one before, not after: a gradient of 0 times infinity is NaN.
"""

import math

from lamina.errors import unknown
from lamina.ops import special
from lamina.ops._op import op
from lamina.ops.softmaxes import log_softmax as log_softmax
from lamina.ops.softmaxes import softmax as softmax
from lamina.ops.softmaxes import sparsemax as sparsemax

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


@op
def linear(xp, x):
    """``x``: no activation."""
    return x


@op
def relu(xp, x, *, negative_slope=0.0, max_value=None, threshold=0.0):
    """Rectified linear unit: ``x`` where ``x > threshold``, else 0.

        out = min(x, max_value)                 where x > threshold
        out = negative_slope * (x - threshold)  elsewhere

    The derivative at the threshold is ``negative_slope``, at ``max_value`` 0.

    Args:
        x: any shape.
        negative_slope: slope below the threshold.
        max_value: what the output is cut to, or None.
        threshold: where the two pieces meet.

    Returns:
        shape and dtype of ``x``.

    Source: Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", 2010.

    Example:
        >>> relu(np.array([-2.0, 0.0, 3.0]))
        array([0., 0., 3.])
    """
    below = negative_slope * (x - threshold) if negative_slope else 0.0
    out = xp.where(x <= threshold, below, x)
    return out if max_value is None else xp.where(out >= max_value, max_value * 1.0, out)


@op
def leaky_relu(xp, x, *, negative_slope=0.2):
    """``x`` where positive, ``negative_slope * x`` elsewhere; the derivative at 0 is the slope.

    Source: Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic
    models", 2013.
    """
    return xp.where(x > 0, x, negative_slope * x)


@op
def relu6(xp, x):
    """``min(max(x, 0), 6)``; the derivative is 0 at 0 and at 6.

    Source: Krizhevsky, "Convolutional deep belief networks on CIFAR-10", 2010.
    """
    return xp.where(x <= 0, 0.0, xp.where(x >= 6, 6.0, x))


@op
def elu(xp, x, *, alpha=1.0):
    """Exponential linear unit: ``x`` where positive, ``alpha * (exp(x) - 1)`` elsewhere.

    Source: Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by
    exponential linear units", 2016, equation 15.
    """
    low = xp.where(x > 0, 0.0, x)
    return xp.where(x > 0, x, alpha * xp.expm1(low))


@op
def selu(xp, x):
    """Scaled elu, which keeps the mean 0 and the variance 1 through many dense layers.

        out = 1.0507 * elu(x, alpha=1.6733)

    Source: Klambauer et al., "Self-normalizing neural networks", 2017, equation 2.
    """
    low = xp.where(x > 0, 0.0, x)
    return SELU_SCALE * xp.where(x > 0, x, SELU_ALPHA * xp.expm1(low))


@op
def celu(xp, x, *, alpha=1.0):
    """Elu with a continuous derivative: ``x`` or ``alpha * (exp(x / alpha) - 1)``.

    Source: Barron, "Continuously differentiable exponential linear units", 2017.
    """
    low = xp.where(x > 0, 0.0, x)
    return xp.where(x > 0, x, alpha * xp.expm1(low / alpha))


@op
def sigmoid(xp, x):
    """Logistic function: ``1 / (1 + exp(-x))``, between 0 and 1.

    Computed as ``exp(a) / (exp(a) + exp(-b))`` with ``a = min(x, 0)``, ``b = max(x, 0)``: since
    ``a + b = x`` it is the same function, and neither exponential can overflow.
    """
    low = xp.exp(xp.minimum(x, 0.0))
    return low / (low + xp.exp(-xp.maximum(x, 0.0)))


@op
def log_sigmoid(xp, x):
    """``log(sigmoid(x))``, without going through a sigmoid that rounds to 0."""
    return -xp.logaddexp(-x, 0.0)


@op
def hard_sigmoid(xp, x):
    """Three straight pieces in the shape of a sigmoid: ``relu6(x + 3) / 6``."""
    return xp.where(x <= -3, 0.0, xp.where(x >= 3, 1.0, x / 6.0 + 0.5))


@op
def sparse_sigmoid(xp, x):
    """``(x + 1) / 2`` cut to between 0 and 1: the derivative of ``sparse_plus``."""
    return xp.where(x <= -1, 0.0, xp.where(x >= 1, 1.0, 0.5 * (x + 1.0)))


@op
def softplus(xp, x):
    """A smooth relu: ``log(1 + exp(x))``; its derivative is the sigmoid.

    Source: Dugas et al., "Incorporating second-order functional knowledge for better option
    pricing", 2001.
    """
    return xp.logaddexp(x, 0.0)


@op
def sparse_plus(xp, x):
    """A smooth relu that reaches 0: 0 up to -1, ``(x + 1)**2 / 4``, then ``x`` from 1 on."""
    middle = xp.where(xp.abs(x) >= 1, 0.0, x) + 1.0
    return xp.where(x <= -1, 0.0, xp.where(x >= 1, x, 0.25 * middle * middle))


@op
def squareplus(xp, x, *, b=4):
    """A smooth relu without exponentials: ``(x + sqrt(x**2 + b)) / 2``.

    Below 0 computed as ``b / 2 / (sqrt(x**2 + b) - x)``, where nothing cancels.

    Source: Barron, "Squareplus: a softplus-like algebraic rectifier", 2021, equation 1.
    """
    root = xp.hypot(x, math.sqrt(b))
    return xp.where(x < 0, 0.5 * b / xp.where(x < 0, root - x, 1.0), 0.5 * (x + root))


@op
def silu(xp, x):
    """Sigmoid-weighted linear unit, also called swish: ``x * sigmoid(x)``.

    Source: Elfwing, Uchibe and Doya, "Sigmoid-weighted linear units", 2018, equation 4.
    """
    return x * sigmoid(x)


@op
def hard_silu(xp, x):
    """``x * hard_sigmoid(x)``, also called hard swish.

    Source: Howard et al., "Searching for MobileNetV3", 2019, section 5.2.
    """
    return x * hard_sigmoid(x)


@op
def gelu(xp, x, *, approximate=False):
    """Gaussian error linear unit: ``x`` times the normal distribution's share below ``x``.

        out = x * (1 + special.erf(x / sqrt(2))) / 2
        out = x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2    if approximate

    Source: Hendrycks and Gimpel, "Gaussian error linear units", 2016, section 2.
    """
    near = xp.clip(x, -10.0, 10.0)  # where the share is 0 or 1 already, and no power overflows
    if not approximate:
        return 0.5 * x * (1.0 + special.erf(near * math.sqrt(0.5)))
    inner = math.sqrt(2.0 / math.pi) * (near + 0.044715 * near * near * near)
    return 0.5 * x * (1.0 + xp.tanh(inner))


@op
def mish(xp, x):
    """``x * tanh(softplus(x))``.

    Source: Misra, "Mish: a self regularized non-monotonic activation function", 2020, equation 1.
    """
    return x * xp.tanh(softplus(x))


@op
def tanh(xp, x):
    """Hyperbolic tangent, between -1 and 1."""
    return xp.tanh(x)


@op
def hard_tanh(xp, x):
    """``x`` cut to between -1 and 1; the derivative at -1 and 1 is 0."""
    return xp.where(x <= -1, -1.0, xp.where(x >= 1, 1.0, x))


@op
def tanh_shrink(xp, x):
    """``x - tanh(x)``."""
    return x - xp.tanh(x)


@op
def soft_shrink(xp, x, *, threshold=0.5):
    """``x`` moved towards 0 by ``threshold``, and 0 where it is no further away than that."""
    return xp.where(xp.abs(x) <= threshold, 0.0, x - threshold * xp.sign(x))


@op
def hard_shrink(xp, x, *, threshold=0.5):
    """``x``, and 0 where it is no further from 0 than ``threshold``."""
    return xp.where(xp.abs(x) <= threshold, 0.0, x)


@op
def threshold(xp, x, *, threshold, default_value):
    """``x`` where it is greater than ``threshold``, ``default_value`` elsewhere."""
    return xp.where(x <= threshold, default_value * 1.0, x)


@op
def softsign(xp, x):
    """``x / (1 + abs(x))``, between -1 and 1.

    Source: Turian, Bergstra and Bengio, "Quadratic features and deep architectures for
    chunking", 2009.
    """
    return x / (1.0 + xp.abs(x))


@op
def exponential(xp, x):
    """``exp(x)``."""
    return xp.exp(x)


@op
def glu(xp, x, *, axis=-1):
    """Gated linear unit: ``a * sigmoid(b)``, where a and b are the halves of ``x`` along ``axis``.

    Raises:
        ValueError: where the axis has an odd length.

    Source: Dauphin et al., "Language modeling with gated convolutional networks", 2017.
    """
    n = x.shape[axis]
    if n % 2:
        raise ValueError(
            f"glu cuts its input in half: axis {axis} must have an even length, got shape "
            f"{tuple(x.shape)}"
        )
    lead = (slice(None),) * (axis % x.ndim)
    return x[(*lead, slice(0, n // 2), ...)] * sigmoid(x[(*lead, slice(n // 2, None), ...)])


def named(name: str):
    """The activation of a name, for ops that end in one.

    Raises:
        ValueError: where there is none.
    """
    found = globals().get(name) if isinstance(name, str) else None
    if not hasattr(found, "definition"):
        known = [key for key, value in globals().items() if hasattr(value, "definition")]
        raise unknown("activation", name, known)
    return found
