"""The derivative of the array API standard, a table: one row per function, a rule per argument.

A rule gets the namespace ``xp``, the gradient ``g`` of the result, and then exactly what it names:
arguments and options of the function by the standard's own names, ``out`` for the result,
``<argument>_shape`` for the shape of an argument. What no rule names is not kept. A rule returns
the gradient of its argument and may leave it in the broadcast shape: the tape sums it back, once
for all rules. Rules are mathematics in ``xp`` alone, so the same row serves raw arrays and, for
higher derivatives, tensors.

To add a function: its signature, then its rules, and a case in ``tests/test_rules.py``. This file
has the element-wise functions; ``_rules_arrays.py`` those that sum, move and choose elements.

Where a function has a kink the choice is: ties in maximum and minimum share evenly, and the
derivative of |x| at 0 is 0 (that of relu too, see ``ops/activations.py``).
Complex numbers have no rules yet.
"""

import math

SIGNATURES: dict[str, str] = {}
RULES: dict[str, dict[str, object]] = {}


def vjp(name: str, signature: str, **rules) -> None:
    """Add a row: the rules of the function ``name``, by the name of the argument."""
    SIGNATURES[name] = signature
    RULES[name] = rules


# Constants of the rules below.
_LN2, _LN10 = math.log(2.0), math.log(10.0)


# ---- element-wise, one argument ---------------------------------------------------------------

vjp("abs", "x, /", x=lambda xp, g, x: g * xp.sign(x))
vjp("acos", "x, /", x=lambda xp, g, x: -g / xp.sqrt(1.0 - x * x))
vjp("acosh", "x, /", x=lambda xp, g, x: g / xp.sqrt(x * x - 1.0))
vjp("asin", "x, /", x=lambda xp, g, x: g / xp.sqrt(1.0 - x * x))
vjp("asinh", "x, /", x=lambda xp, g, x: g / xp.sqrt(x * x + 1.0))
vjp("atan", "x, /", x=lambda xp, g, x: g / (1.0 + x * x))
vjp("atanh", "x, /", x=lambda xp, g, x: g / (1.0 - x * x))
vjp("cos", "x, /", x=lambda xp, g, x: -g * xp.sin(x))
vjp("cosh", "x, /", x=lambda xp, g, x: g * xp.sinh(x))
vjp("exp", "x, /", x=lambda xp, g, out: g * out)
vjp("expm1", "x, /", x=lambda xp, g, out: g * (out + 1.0))
vjp("log", "x, /", x=lambda xp, g, x: g / x)
vjp("log10", "x, /", x=lambda xp, g, x: g / (x * _LN10))
vjp("log1p", "x, /", x=lambda xp, g, x: g / (1.0 + x))
vjp("log2", "x, /", x=lambda xp, g, x: g / (x * _LN2))
vjp("negative", "x, /", x=lambda xp, g: -g)
vjp("positive", "x, /", x=lambda xp, g: g)
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
vjp(
    "divide",
    "x1, x2, /",
    x1=lambda xp, g, x2: g / x2,
    x2=lambda xp, g, x2, out: -g * out / x2,
)
vjp(
    "hypot",
    "x1, x2, /",
    x1=lambda xp, g, x1, out: g * x1 / out,
    x2=lambda xp, g, x2, out: g * x2 / out,
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
    x2=lambda xp, g, x1, out: g * out * _log_or_zero(xp, x1),
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
    min=lambda xp, g, x, min: g * xp.astype(x < min, g.dtype),
    max=lambda xp, g, x, max: g * xp.astype(x > max, g.dtype),
)


def _larger(xp, g, a, b):
    """The gradient of maximum(a, b) with respect to ``a``: ties share evenly."""
    return g * (xp.astype(a > b, g.dtype) + 0.5 * xp.astype(a == b, g.dtype))


def _at_least_first_power(xp, exponent):
    """exponent - 1, or 0 in place of -1, whose factor is 0 anyway."""
    if isinstance(exponent, int | float):
        return 0 if exponent == 0 else exponent - 1
    return xp.where(exponent == 0, xp.zeros_like(exponent), exponent - 1.0)


def _log_or_zero(xp, base):
    """log(base), and 0 at base 0, where the power does not change with its exponent."""
    if isinstance(base, int | float):
        return math.log(base) if base > 0 else 0.0 if base == 0 else math.nan
    zero = base == 0
    return xp.log(xp.where(zero, xp.ones_like(base), base))


def _inside(x, low, high):
    if low is None:
        return x <= high if high is not None else x == x
    return (x >= low) & (x <= high) if high is not None else x >= low
