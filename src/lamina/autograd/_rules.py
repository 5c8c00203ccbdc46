"""The derivative of the array API standard, a table: one row per function, a rule per argument.

A rule gets the namespace ``xp``, the gradient ``g`` of the result, and then exactly what it names:
arguments and options of the function by the standard's own names, ``out`` for the result,
``<argument>_shape`` for the shape of an argument. What no rule names is not kept. A rule returns
the gradient of its argument and may leave it in the broadcast shape: the tape sums it back, once
for all rules. Rules are mathematics in ``xp`` alone, so the same row serves raw arrays and, for
higher derivatives, tensors.

To add a function: its signature, then its rules, and a case in ``tests/test_rules.py``. This file
has the element-wise functions; ``_rules_reductions.py`` those that sum and multiply up,
``_rules_arrays.py`` those that move and choose elements, ``_rules_sorting.py``,
``_rules_linalg.py``, ``_rules_factorizations.py`` and ``_rules_fft.py`` the rest. What is a
composition of other functions needs no row and stands in ``_definitions.py``.

**Complex numbers.** The gradient of a real L at z = x + iy is dL/dx + i dL/dy, the direction of
steepest ascent. A pullback is thus the adjoint of the derivative under the real inner product
Re(conj(a) b). The derivative of a holomorphic f multiplies by f'(z), and the adjoint of that by
conj(f'(z)). Rows of ``vjp`` are written g * f'(z), as for real numbers, and where the result is
complex the engine conjugates g, and what the rule gives: conj(conj(g) f'(z)). A row of ``adjoint``
is the adjoint as it stands. So is, being linear with real coefficients, a rule that names no array,
and one whose result is real (abs, real, norms). A real argument gets the real part.

**Where there is no derivative** these are the choices:

- Ties in max, min, maximum and minimum share evenly, so do equal elements in a norm of infinite
  order. Within the bounds of clip, and on them, x has the whole gradient.
- sort, and a median taken from it, pass on to the elements as a stable sort orders them,
  unique_values to the first of equals.
- |x|'(0) = 0, and with it that of a complex abs, of hypot, std, vector_norm and matrix_norm at 0
  (also for a single element that is 0, whatever the order), of a singular value that is 0, and of
  copysign(0, x). relu'(0) = 0 too, see ``ops/activations.py``.
- sqrt'(0) = inf, as log'(0) and (x**p)'(0) for p < 1: the limits from the right.
- floor, round, sign and their kin, nextafter, comparisons and everything with integer results are
  constants. So are the sign of copysign's second argument and slogdet's sign of real matrices.

**where and nan.** ``where(x > 0, log(x), 0)`` has the gradient nan at x = 0: that of the branch not
taken is 0, and the rule of log makes 0 / 0 of it. The remedy is to keep the inner function off
the points where it is not finite: ``where(x > 0, log(where(x > 0, x, 1)), 0)``.

**Eigenvalues and singular values that coincide** are no trouble to eigvalsh, svdvals and norms,
whose gradients are those of a sum over the coinciding ones. The vectors of eigh and svd are then
no functions of x: what has gradients at vectors of coinciding values gets nan, and so have second
derivatives of the values; what has none there is not disturbed. pinv is differentiable while
the rank stays what it is.
"""

import cmath
import math

SIGNATURES: dict[str, str] = {}
RULES: dict[str, dict[str, object]] = {}
RESULTS: dict[str, tuple[str, ...]] = {}
"""The names of the results of functions with several."""
ADJOINT: set[str] = set()
"""Functions whose rules are not to be conjugated for complex numbers."""


def vjp(name: str, signature: str, **rules) -> None:
    """Add a row: the rules of the function ``name``, by the name of the argument.

    A rule None says that the function is constant in that argument. After ``->`` the signature
    names the results of a function with several: ``"x, / -> Q, R"``. The rules of such get for
    ``g`` a list of gradients, with None where none came, and may name results as well. ``-> *`` is
    a tuple of any number of results.
    """
    signature, several, results = signature.partition(" -> ")
    SIGNATURES[name] = signature
    RULES[name] = rules
    if several:
        RESULTS[name] = () if results == "*" else tuple(results.split(", "))


def adjoint(name: str, signature: str, **rules) -> None:
    """Add a row whose rules are right for complex numbers as they stand."""
    vjp(name, signature, **rules)
    ADJOINT.add(name)


# Constants of the rules below.
_LN2, _LN10 = math.log(2.0), math.log(10.0)


# ---- element-wise, one argument ---------------------------------------------------------------

vjp("abs", "x, /", x=lambda xp, g, x: g * xp.sign(x))
vjp("acos", "x, /", x=lambda xp, g, x: -g / xp.sqrt(1.0 - x * x))
# two roots: that of the product is on the other branch where a complex x has a negative real part
vjp("acosh", "x, /", x=lambda xp, g, x: g / (xp.sqrt(x - 1.0) * xp.sqrt(x + 1.0)))
vjp("asin", "x, /", x=lambda xp, g, x: g / xp.sqrt(1.0 - x * x))
vjp("asinh", "x, /", x=lambda xp, g, x: g / xp.sqrt(x * x + 1.0))
vjp("atan", "x, /", x=lambda xp, g, x: g / (1.0 + x * x))
vjp("atanh", "x, /", x=lambda xp, g, x: g / (1.0 - x * x))
vjp("conj", "x, /", x=lambda xp, g: conj(xp, g))
vjp("cos", "x, /", x=lambda xp, g, x: -g * xp.sin(x))
vjp("cosh", "x, /", x=lambda xp, g, x: g * xp.sinh(x))
vjp("exp", "x, /", x=lambda xp, g, out: g * out)
vjp("expm1", "x, /", x=lambda xp, g, out: g * (out + 1.0))
vjp("imag", "x, /", x=lambda xp, g: g * 1j)
vjp("log", "x, /", x=lambda xp, g, x: g / x)
vjp("log10", "x, /", x=lambda xp, g, x: g / (x * _LN10))
vjp("log1p", "x, /", x=lambda xp, g, x: g / (1.0 + x))
vjp("log2", "x, /", x=lambda xp, g, x: g / (x * _LN2))
vjp("negative", "x, /", x=lambda xp, g: -g)
vjp("positive", "x, /", x=lambda xp, g: g)
vjp("real", "x, /", x=lambda xp, g: g)
vjp("reciprocal", "x, /", x=lambda xp, g, out: -g * out * out)
vjp("sin", "x, /", x=lambda xp, g, x: g * xp.cos(x))
vjp("sinh", "x, /", x=lambda xp, g, x: g * xp.cosh(x))
vjp("sqrt", "x, /", x=lambda xp, g, out: g / (2.0 * out))
vjp("square", "x, /", x=lambda xp, g, x: g * (2.0 * x))
vjp("tan", "x, /", x=lambda xp, g, out: g * (1.0 + out * out))
vjp("tanh", "x, /", x=lambda xp, g, out: g * (1.0 - out * out))

# ---- element-wise, several arguments ----------------------------------------------------------

vjp("add", "x1, x2, /", x1=lambda xp, g: g, x2=lambda xp, g: g)
vjp(
    "atan2",
    "x1, x2, /",
    x1=lambda xp, g, x1, x2: g * x2 / (x1 * x1 + x2 * x2),
    x2=lambda xp, g, x1, x2: -g * x1 / (x1 * x1 + x2 * x2),
)
# |x1| with the sign of x2; multiplied out so that x1 = 0 has the derivative 0
vjp(
    "copysign",
    "x1, x2, /",
    x1=lambda xp, g, x1, x2: g * (xp.sign(x1) * xp.copysign(xp.ones_like(x1), x2)),
    x2=None,
)
vjp(
    "divide",
    "x1, x2, /",
    x1=lambda xp, g, x2: g / x2,
    x2=lambda xp, g, x2, out: -g * out / x2,
)
vjp(
    "hypot",
    "x1, x2, /",
    x1=lambda xp, g, x1, out: g * (x1 / nonzero(xp, out)),
    x2=lambda xp, g, x2, out: g * (x2 / nonzero(xp, out)),
)
vjp(
    "logaddexp",
    "x1, x2, /",
    x1=lambda xp, g, x1, out: g * xp.exp(x1 - out),
    x2=lambda xp, g, x2, out: g * xp.exp(x2 - out),
)
vjp(
    "maximum",
    "x1, x2, /",
    x1=lambda xp, g, x1, x2: _larger(xp, g, x1, x2),
    x2=lambda xp, g, x1, x2: _larger(xp, g, x2, x1),
)
vjp(
    "minimum",
    "x1, x2, /",
    x1=lambda xp, g, x1, x2: _larger(xp, g, x2, x1),
    x2=lambda xp, g, x1, x2: _larger(xp, g, x1, x2),
)
vjp(
    "multiply",
    "x1, x2, /",
    x1=lambda xp, g, x2: g * x2,
    x2=lambda xp, g, x1: g * x1,
)
vjp(
    "pow",
    "x1, x2, /",
    # x2 == 0 leaves 0 * x1**-1, which must be 0 also where x1 is 0
    x1=lambda xp, g, x1, x2: g * x2 * x1 ** _at_least_first_power(xp, x2),
    x2=lambda xp, g, x1, out: g * out * _log_or_zero(xp, x1, out.dtype),
)
vjp("remainder", "x1, x2, /", x1=lambda xp, g: g, x2=lambda xp, g, x1, x2: -g * xp.floor(x1 / x2))
vjp("subtract", "x1, x2, /", x1=lambda xp, g: g, x2=lambda xp, g: -g)
vjp(
    "where",
    "condition, x1, x2, /",
    x1=lambda xp, g, condition: xp.where(condition, g, xp.zeros_like(g)),
    x2=lambda xp, g, condition: xp.where(condition, xp.zeros_like(g), g),
)
vjp(
    "clip",
    "x, /, min=None, max=None",
    x=lambda xp, g, x, min, max: g * xp.astype(_inside(x, min, max), g.dtype),
    # bounds in the wrong order give max
    min=lambda xp, g, x, min, max: g * xp.astype((x < min) & _at_most(min, max), g.dtype),
    max=lambda xp, g, x, min, max: g * xp.astype(_above(x, min, max), g.dtype),
)


def _larger(xp, g, a, b):
    """The gradient of maximum(a, b) with respect to ``a``: ties share evenly."""
    return g * (xp.astype(a > b, g.dtype) + 0.5 * xp.astype(a == b, g.dtype))


def conj(xp, x):
    """The complex conjugate; a real x as it is, without the copy that libraries make."""
    return xp.conj(x) if is_complex(xp, x) else x


def is_complex(xp, x) -> bool:
    return xp.isdtype(x.dtype, "complex floating")


def nonzero(xp, divisor):
    """A divisor with 1 in place of 0, for quotients that shall be 0 where their dividend is."""
    return xp.where(divisor == 0, xp.ones_like(divisor), divisor)


def inverse_order(order) -> tuple[int, ...]:
    """The order of axes that undoes permute_dims with ``order``."""
    inverse = [0] * len(order)
    for place, axis in enumerate(order):
        inverse[axis] = place
    return tuple(inverse)


def _at_least_first_power(xp, exponent):
    """exponent - 1, or 0 in place of -1, whose factor is 0 anyway."""
    if isinstance(exponent, int | float | complex):
        return 0 if exponent == 0 else exponent - 1
    return xp.where(exponent == 0, xp.zeros_like(exponent), exponent - 1.0)


def _log_or_zero(xp, base, dtype):
    """log(base) in ``dtype``, and 0 at base 0, where the power is constant in its exponent."""
    if isinstance(base, int | float | complex):
        if isinstance(base, complex) or xp.isdtype(dtype, "complex floating"):
            return cmath.log(base) if base else 0.0
        return math.log(base) if base > 0 else 0.0 if base == 0 else math.nan
    base = base if base.dtype == dtype else xp.astype(base, dtype)
    return xp.log(nonzero(xp, base))


def _inside(x, low, high):
    if low is None:
        return x <= high if high is not None else x == x
    return (x >= low) & (x <= high) if high is not None else x >= low


def _at_most(low, high):
    return True if high is None else low <= high


def _above(x, low, high):
    return x > high if low is None else (x > high) | (low > high)
