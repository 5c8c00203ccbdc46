"""Special functions that the standard lacks."""

import math

from lamina import backend
from lamina.autograd import primitive
from lamina.ops._halves import is_half

NATIVE_ERF: dict[str, object] = {}
"""By the name of the array library, the error function of those that have one."""

# W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23 (1969):
# numerators and denominators in ascending powers for |x| <= 0.46875, <= 4 and beyond.
_SMALL = (
    (3.20937758913846947e03, 3.77485237685302021e02, 1.13864154151050156e02, 3.16112374387056560e00,
     1.85777706184603153e-1),
    (2.84423683343917062e03, 1.28261652607737228e03, 2.44024637934444173e02, 2.36012909523441209e01,
     1.0),
)  # fmt: skip
_MIDDLE = (
    (1.23033935479799725e03, 2.05107837782607147e03, 1.71204761263407058e03, 8.81952221241769090e02,
     2.98635138197400131e02, 6.61191906371416295e01, 8.88314979438837594e00, 5.64188496988670089e-1,
     2.15311535474403846e-8),
    (1.23033935480374942e03, 3.43936767414372164e03, 4.36261909014324716e03, 3.29079923573345963e03,
     1.62138957456669019e03, 5.37181101862009858e02, 1.17693950891312499e02, 1.57449261107098347e01,
     1.0),
)  # fmt: skip
_LARGE = (
    (-6.58749161529837803e-4, -1.60837851487422766e-2, -1.25781726111229246e-1,
     -3.60344899949804439e-1, -3.05326634961232344e-1, -1.63153871373020978e-2),
    (2.33520497626869185e-3, 6.05183413124413191e-2, 5.27905102951428412e-1, 1.87295284992346725e00,
     2.56852019228982242e00, 1.0),
)  # fmt: skip


def _quotient(x, coefficients):
    numerator, denominator = coefficients
    top, bottom = numerator[-1], denominator[-1]
    for a in numerator[-2::-1]:
        top = top * x + a
    for b in denominator[-2::-1]:
        bottom = bottom * x + b
    return top / bottom


@primitive(x=lambda xp, g, x: g * (2.0 / math.sqrt(math.pi)) * xp.exp(-x * x))
def erf(x, /):
    """The error function, 2/sqrt(pi) times the integral of exp(-t**2) from 0 to x.

    Accurate to the last few bits of float64 (Cody, 1969).
    """
    xp = backend.namespace(x)
    native = NATIVE_ERF.get(backend.name(xp))
    if native is not None:
        return native(x)
    if is_half(x.dtype):  # whose largest number the quotients pass
        return xp.astype(erf(xp.astype(x, xp.float32)), x.dtype)
    y = xp.abs(x)
    small = xp.minimum(y, xp.full_like(y, 0.46875))
    middle = xp.minimum(xp.maximum(y, xp.full_like(y, 0.46875)), xp.full_like(y, 4.0))
    large = xp.maximum(y, xp.full_like(y, 4.0))
    near = small * _quotient(small * small, _SMALL)
    mid = 1.0 - xp.exp(-middle * middle) * _quotient(middle, _MIDDLE)
    inverse = 1.0 / (large * large)
    tail = (1.0 / math.sqrt(math.pi) + inverse * _quotient(inverse, _LARGE)) / large
    far = 1.0 - xp.exp(-large * large) * tail
    out = xp.where(y <= 0.46875, near, xp.where(y <= 4.0, mid, far))
    return xp.where(xp.isnan(x), x, xp.sign(x) * out)
