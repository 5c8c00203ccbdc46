"""Cases of complex numbers for the rules of functions that are not of an extension."""

import numpy as np

from _cases import Case, complexes, floats, integers, mask
from _cases_arrays import of_the_set

UNARY = """abs acos acosh asin asinh atan atanh conj cos cosh exp expm1 imag log log10 log1p log2
negative positive real reciprocal sign sin sinh sqrt square tan tanh""".split()


def cases():
    c, f = complexes, floats
    for name in UNARY:
        # one number in each quadrant, away from the points where the functions have none
        yield Case(name, np.asarray([0.5 + 0.7j, -0.6 + 0.4j, -0.8 - 1.1j, 1.2 - 0.3j]))
        yield Case(name, c(0, 2))
    for name in ("conj", "real"):
        yield Case(name, f(2, 3))
    for name in ("add", "divide", "multiply", "pow", "subtract"):
        one = c(2, 3, low=0.5)
        yield Case(name, one, c(3, low=0.5))
        yield Case(name, one, f(3, low=0.5))
        yield Case(name, f(2, 1, low=0.5), c(3, low=0.5))
        yield Case(name, one, 1.5 - 0.5j)
        yield Case(name, -2.0, one)
        yield Case(name, f(3, low=0.5), 2j)
    yield Case("pow", -f(3, low=0.5), c(3))
    yield Case("where", mask(2, 3), c(2, 3), f(3))
    yield Case("where", mask(2, 3), c(2, 3), 1.5)
    for s1, s2 in [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((4, 2, 3), (3, 2))]:
        yield Case("matmul", c(*s1), c(*s2))
    yield Case("matmul", f(2, 3), c(3, 2))
    yield Case("tensordot", c(2, 3, 2), c(3, 2, 2), axes=2)
    yield Case("vecdot", c(2, 3), c(3))
    yield Case("vecdot", c(3), f(2, 3))
    for name in ("sum", "mean", "prod"):
        yield Case(name, c(2, 3), axis=1)
    for name in ("cumulative_sum", "cumulative_prod"):
        yield Case(name, c(2, 5), axis=1, include_initial=True)
    yield Case("prod", np.asarray([0, 1j, 2 - 1j, 0]))
    yield Case("astype", f(3), lambda xp: xp.complex128)
    yield Case("reshape", c(6), (2, 3))
    yield Case("concat", [c(2), c(3)])
    yield Case("stack", [c(2), c(2)], axis=1)
    yield Case("unstack", c(2, 3), axis=1)
    yield Case("repeat", c(3), integers(2, 0, 1))
    yield Case("getitem", c(4), integers(0, 2, 2))
    yield Case("take", c(4), integers(0, 2, 2))
    yield Case("take_along_axis", c(2, 3), integers([0, 0], [2, 1]), axis=1)
    yield Case("unique_values", np.asarray([1 + 1j, 2.0, -1j]), after=of_the_set)
    yield Case("meshgrid", c(2), c(3))
