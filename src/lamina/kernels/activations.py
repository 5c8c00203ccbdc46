"""Fast activations on NumPy: few calls for small arrays, few passes over memory for large ones.

``FUSED`` holds the activations whose derivative follows from their own output, as plain pairs of
functions, so that kernels of whole layers can use them too. To add one, add a pair and its row.

What was measured (float32; AVX2 and AVX-512): ``maximum`` with a number is four times slower than
``clip`` on large arrays, with an array of zeros half the price of either on small ones; ``where``
costs twenty times a multiplication by a mask; a mask costs a cast, so on small arrays ``sign`` is
cheaper; ``expm1`` and ``log1p`` without AVX-512 are fifteen times slower than ``tanh`` and ``log``,
which can stand in for them without losing digits.
"""

import numpy as np

from lamina.kernels import compiling
from lamina.kernels.constants import of_each_float, zeros
from lamina.ops._op import kernel
from lamina.ops.activations import SELU_ALPHA, SELU_SCALE

_SMALL = 4096  # elements below which the cost of a call outweighs that of its work
_MIDDLE = 32768  # and up to which an array of zeros beside the other costs less than clip
_INF = float("inf")
_ONE = of_each_float(lambda dtype: 1.0)
_LARGEST_EXPONENT = of_each_float(lambda dtype: np.log(np.finfo(dtype).max) - 1)


def expm1(x):
    """exp(x) - 1 for x <= 0, as ``2 t / (1 - t)`` with ``t = tanh(x / 2)``: a new array."""
    t = np.multiply(x, 0.5)
    t = np.tanh(t, out=t if t.ndim else None)
    low = 1.0 - t
    t *= 2.0
    t /= low
    return t


def log1p(x):
    """log(1 + x) for x >= 0, as ``log(u) + (x - (u - 1)) / u`` with u = 1 + x rounded.

    The second term gives back what rounding took. Overwrites x.
    """
    u = x + 1.0
    x -= u - 1.0
    x /= u
    x += np.log(u)
    return x


def _linear(z, out=None):
    return z


def _linear_back(g, out):
    return g


def _relu(z, out=None):
    out = z if out is None else out
    if z.size < _MIDDLE:
        return np.maximum(z, zeros(z.shape, z.dtype), out=out)
    numbers = compiling.flat(z, out)
    if numbers:
        compiling.loops().relu(*numbers)
        return out
    return np.clip(z, 0.0, _INF, out=out)


def _relu_back(g, out):
    if out.size < _SMALL:
        d = np.sign(out)
        d *= g
        return d
    numbers = compiling.flat(g, out)
    if numbers:
        d = np.empty_like(out)
        compiling.loops().relu_back(*numbers, d.reshape(-1))
        return d
    return g * (out > 0.0)


def _leaky_relu(z, out=None, negative_slope=0.2):
    return np.maximum(z, z * negative_slope, out=z if out is None else out)


def _leaky_relu_back(g, out, negative_slope=0.2):
    d = (out > 0.0) * out.dtype.type(1.0 - negative_slope)
    d += negative_slope
    d *= g
    return d


def _relu6(z, out=None):
    return np.clip(z, 0.0, 6.0, out=z if out is None else out)


def _relu6_back(g, out):
    return g * ((out > 0.0) & (out < 6.0))


def _hard_sigmoid(z, out=None):
    out = np.multiply(z, 1.0 / 6.0, out=z if out is None else out)
    out += 0.5
    return np.clip(out, 0.0, 1.0, out=out)


def _hard_sigmoid_back(g, out):
    d = g * ((out > 0.0) & (out < 1.0))
    d *= 1.0 / 6.0
    return d


def sigmoid(z, out=None):
    """1 / (1 + exp(-z)), into z or ``out``."""
    kind = z.dtype.char
    out = np.negative(z, z if out is None else out)
    np.minimum(out, _LARGEST_EXPONENT[kind], out=out)  # beyond, exp would overflow, with a warning
    np.exp(out, out)
    np.add(out, _ONE[kind], out)
    return np.reciprocal(out, out)


def _sigmoid_back(g, out):
    d = np.subtract(_ONE[out.dtype.char], out)
    d *= out
    d *= g
    return d


def _tanh(z, out=None):
    return np.tanh(z, out=z if out is None else out)


def _tanh_back(g, out):
    d = 1.0 - out * out
    d *= g
    return d


def _exponential(z, out=None):
    return np.exp(z, out=z if out is None else out)


def _exponential_back(g, out):
    return g * out


def _elu(z, out=None, alpha=1.0):
    low = expm1(np.minimum(z, 0.0))
    if alpha != 1.0:
        low *= alpha
    out = np.maximum(z, 0.0, out=z if out is None else out)
    out += low
    return out


def _elu_back(g, out, alpha=1.0):
    d = np.minimum(out, 0.0)
    d += alpha
    if alpha != 1.0:
        d += (out > 0.0) * out.dtype.type(1.0 - alpha)
    d *= g
    return d


def _selu(z, out=None):
    out = _elu(z, out, SELU_ALPHA)
    out *= SELU_SCALE
    return out


def _selu_back(g, out):
    d = np.minimum(out, 0.0)
    d += SELU_SCALE * SELU_ALPHA
    d += (out > 0.0) * out.dtype.type(SELU_SCALE * (1.0 - SELU_ALPHA))
    d *= g
    return d


def softplus(z, out=None):
    """log(1 + exp(z)) = max(z, 0) + log1p(exp(-abs(z))), into z or ``out``."""
    low = log1p(np.exp(-np.abs(z)))
    out = np.maximum(z, 0.0, out=z if out is None else out)
    out += low
    return out


def _softplus_back(g, out):
    d = expm1(-out)
    d *= -g
    return d


def _log_sigmoid(z, out=None):
    low = log1p(np.exp(-np.abs(z)))
    out = np.minimum(z, 0.0, out=z if out is None else out)
    out -= low
    return out


def _log_sigmoid_back(g, out):
    d = expm1(out)
    d *= -g
    return d


def _softsign(z, out=None):
    low = np.abs(z)
    low += 1.0
    return np.divide(z, low, out=z if out is None else out)


def _softsign_back(g, out):
    d = 1.0 - np.abs(out)
    d *= d
    d *= g
    return d


def _softmax(z, out=None, axis=-1):
    out = np.subtract(z, np.max(z, axis=axis, keepdims=True), out=z if out is None else out)
    np.exp(out, out=out)
    out /= np.add.reduce(out, axis=axis, keepdims=True)
    return out


def _softmax_back(g, out, axis=-1):
    if axis == -1:
        d = g - np.vecdot(g, out)[..., None]
    else:
        d = g - np.add.reduce(g * out, axis=axis, keepdims=True)
    d *= out
    return d


def _log_softmax(z, out=None, axis=-1):
    out = np.subtract(z, np.max(z, axis=axis, keepdims=True), out=z if out is None else out)
    out -= np.log(np.add.reduce(np.exp(out), axis=axis, keepdims=True))
    return out


def _log_softmax_back(g, out, axis=-1):
    d = np.exp(out)
    d *= np.add.reduce(g, axis=axis, keepdims=True)
    return np.subtract(g, d, out=d)


FUSED = {
    "elu": (_elu, _elu_back),
    "exponential": (_exponential, _exponential_back),
    "hard_sigmoid": (_hard_sigmoid, _hard_sigmoid_back),
    "leaky_relu": (_leaky_relu, _leaky_relu_back),
    "linear": (_linear, _linear_back),
    "log_sigmoid": (_log_sigmoid, _log_sigmoid_back),
    "log_softmax": (_log_softmax, _log_softmax_back),
    "relu": (_relu, _relu_back),
    "relu6": (_relu6, _relu6_back),
    "selu": (_selu, _selu_back),
    "sigmoid": (sigmoid, _sigmoid_back),
    "softmax": (_softmax, _softmax_back),
    "softplus": (softplus, _softplus_back),
    "softsign": (_softsign, _softsign_back),
    "tanh": (_tanh, _tanh_back),
}
"""By name: ``forward(z)``, which overwrites the NumPy array z (of at least one axis) and returns
the output, and ``backward(g, out)``, the gradient with respect to z as a new array (for "linear" g
itself). Softmax and its logarithm are over the last axis."""


def bent_in_a_loop(out, bias, activation) -> bool:
    """Add a bias, along the last axis, to ``out``, and bend it, in place, where a loop does so.

    Returns:
        whether that is done.
    """
    if out.size < compiling.LEAST or activation not in ("linear", "relu"):
        return False
    if not isinstance(bias, np.ndarray) or bias.shape != out.shape[-1:]:
        return False
    numbers = compiling.flat(out, bias)
    if numbers is None:
        return False
    compiling.loops().biased(numbers[1], activation == "relu", out.reshape(-1, bias.size))
    return True


WIDENING = frozenset(("log_softmax", "softmax"))
"""Those that make float32 of half precision, as their definitions do."""


def is_floating(x) -> bool:
    """Whether ``x`` is an array that kernels are for; the definitions serve everything else."""
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def _register(name):
    """As an op of its own; tanh and exp by themselves are as fast through their definitions."""
    forward, backward = FUSED[name]
    widens = name in WIDENING

    @kernel(name, "numpy")
    def fast(xp, needs, x, **options):
        if not is_floating(x) or (widens and x.dtype == np.float16):
            return NotImplemented
        out = forward(x, np.empty_like(x), **options)
        return out, lambda g: (backward(g, out, **options),)


for _name in FUSED.keys() - {"elu", "exponential", "leaky_relu", "linear", "relu", "tanh"}:
    _register(_name)


@kernel("relu", "numpy")
def relu_kernel(xp, needs, x, *, negative_slope, max_value, threshold):
    """relu without its options, which the definition serves."""
    if negative_slope or threshold or max_value is not None or not is_floating(x):
        return NotImplemented
    out = _relu(x, np.empty_like(x))
    return out, lambda g: (_relu_back(g, out),)


@kernel("elu", "numpy")
def elu_kernel(xp, needs, x, *, alpha):
    """elu of an alpha from which the output tells the branch."""
    if not alpha > 0.0 or not is_floating(x):
        return NotImplemented
    out = _elu(x, np.empty_like(x), alpha)
    return out, lambda g: (_elu_back(g, out, alpha),)


@kernel("leaky_relu", "numpy")
def leaky_relu_kernel(xp, needs, x, *, negative_slope):
    """leaky_relu of a slope from which the output tells the branch."""
    if not 0.0 < negative_slope <= 1.0 or not is_floating(x):
        return NotImplemented
    out = _leaky_relu(x, np.empty_like(x), negative_slope)
    return out, lambda g: (_leaky_relu_back(g, out, negative_slope),)
