"""Cases of the rules for functions that are not of an extension of the standard."""

import numpy as np

from _cases import Case, floats, integers, mask, spaced

# Intervals on which the functions are smooth.
UNARY = {
    "abs": (-2, 2),
    "acos": (-0.9, 0.9),
    "acosh": (1.2, 3),
    "asin": (-0.9, 0.9),
    "asinh": (-2, 2),
    "atan": (-2, 2),
    "atanh": (-0.9, 0.9),
    "cos": (-2, 2),
    "cosh": (-2, 2),
    "erf": (-5, 5),
    "exp": (-2, 2),
    "expm1": (-2, 2),
    "log": (0.5, 3),
    "log10": (0.5, 3),
    "log1p": (-0.5, 3),
    "log2": (0.5, 3),
    "negative": (-2, 2),
    "positive": (-2, 2),
    "reciprocal": (0.5, 2),
    "sin": (-2, 2),
    "sinh": (-2, 2),
    "sqrt": (0.5, 2),
    "square": (-2, 2),
    "tan": (-1, 1),
    "tanh": (-2, 2),
}
BINARY = {
    "add": ((-2, 2), (-2, 2)),
    "atan2": ((0.5, 2), (0.5, 2)),
    "divide": ((-2, 2), (0.5, 2)),
    "hypot": ((0.5, 2), (0.5, 2)),
    "logaddexp": ((-2, 2), (-2, 2)),
    "maximum": ((-2, 2), (-2, 2)),
    "minimum": ((-2, 2), (-2, 2)),
    "multiply": ((-2, 2), (-2, 2)),
    "pow": ((0.5, 2), (-2, 2)),
    "remainder": ((5, 5.9), (2.1, 2.4)),
    "subtract": ((-2, 2), (-2, 2)),
}
SHAPES = [(), (4,), (2, 3), (0, 3)]
PAIRS = [
    ((), ()),
    ((3,), (3,)),
    ((2, 1), (3,)),
    ((2, 3), ()),
    ((1,), (2, 3)),
    ((0, 3), (3,)),
    ((1, 3), (0, 3)),
]


def cases():
    for name, (low, high) in UNARY.items():
        for shape in SHAPES:
            yield Case(name, floats(*shape, low=low, high=high))
        yield Case(name, spaced(floats(2, 3, low=low, high=high)))
    for name, ((low1, high1), (low2, high2)) in BINARY.items():
        for shape1, shape2 in PAIRS:
            one = floats(*shape1, low=low1, high=high1)
            yield Case(name, one, floats(*shape2, low=low2, high=high2))
        transposed = floats(3, 2, low=low2, high=high2).T
        yield Case(name, spaced(floats(2, 3, low=low1, high=high1)), transposed)
    yield from others()


def others():
    f = floats
    # ---- choosing ----
    for s1, s2 in PAIRS:
        yield Case("where", mask(*np.broadcast_shapes(s1, s2)), f(*s1), f(*s2))
    yield Case("where", mask(3), f(2, 3), spaced(f(2, 3)))
    yield Case("where", mask(2, 3), f(), f())
    yield Case("where", mask(2, 3), f(2, 3), 0.0)
    yield Case("where", mask(2, 3), 1.5, f(2, 3))
    yield Case("clip", f(3, 4), -0.5, 0.5)
    yield Case("clip", f(3, 4), min=-0.5)
    yield Case("clip", f(3, 4), max=0.5)
    yield Case("clip", f())
    yield Case("clip", f(3, 4), f(4, low=-1, high=-0.5), f(3, 1, low=0.5, high=1))
    yield Case("clip", f(3, 4), None, f(3, 4))
    yield Case("clip", f(0, 4), -0.5, f(4, low=0))
    yield Case("clip", f(3, 4), f(), None)
    yield Case("clip", f(3, 4), f(4, low=0.5, high=1), f(3, 1, low=-1, high=-0.5))
    yield Case("clip", f(3, 4), 0.5, f(3, 1, low=-1, high=-0.5))
    # ---- signs ----
    yield Case("copysign", f(4), f(3, 4))
    yield Case("copysign", f(2, 3), -1.5)
    yield Case("copysign", f(0, 3), f(3))
    # ---- sorting ----
    for x in (f(5), f(0, 3), spaced(f(3, 4)), f(4, 3).T):
        yield Case("sort", x)
        yield Case("sort", x, axis=0, descending=True)
    yield Case("sort", f(2, 3, 4), axis=1, stable=False)
    for name in ("unique_values", "unique_counts", "unique_inverse", "unique_all"):
        yield Case(name, np.asarray([[0.5, 2.0, 0.25], [2.5, -1.0, 1.5]]), after=of_the_set)
        yield Case(name, f(0), after=of_the_set)
    # ---- products ----
    for s1, s2 in [
        ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((5, 2, 3), (3,)),
        ((3,), (5, 3, 2)), ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)), ((5, 2, 3), (5, 3, 4)),
        ((5, 1, 2, 3), (4, 3, 2)), ((1, 2, 3), (5, 3, 2)), ((2, 0), (0, 3)), ((0, 3), (3, 2)),
        ((2, 3), (3, 0)), ((0,), (0,)),
    ]:  # fmt: skip
        yield Case("matmul", f(*s1), f(*s2))
    yield Case("matmul", f(3, 2).T, spaced(f(3, 4)))
    for s1, s2 in [
        ((3,), (3,)), ((2, 3), (2, 3)), ((2, 3), (3,)), ((4, 1, 3), (2, 3)), ((0, 3), (3,)),
    ]:  # fmt: skip
        yield Case("vecdot", f(*s1), f(*s2))
    yield Case("vecdot", f(3, 2), f(4, 3, 2), axis=-2)
    for axes in (
        0, 1, 2, ((2, 1), (1, 0)), ((1, 2), (0, 1)), ((-1,), (1,)), ((1,), (0,)), ((), ()),
    ):  # fmt: skip
        x1, x2 = f(2, 3, 4), f(3, 4, 2)
        if axes == 1:
            x2 = f(4, 3)
        if axes == 2:
            x2 = f(3, 4, 5)
        yield Case("tensordot", x1, x2, axes=axes)
    yield Case("tensordot", f(2, 3, 4), f(4, 2, 3), axes=((2, 0, 1), (0, 1, 2)))
    yield Case("tensordot", f(2, 3, 4, 5), f(5, 2, 6, 4), axes=((3, 0, 2), (0, 1, 3)))
    yield Case("tensordot", f(2, 0), f(0, 3), axes=1)
    yield Case("tensordot", f(3, 2).T, spaced(f(3, 4)), axes=1)
    # ---- reductions ----
    ways = [{}, {"axis": 0}, {"axis": -1}, {"axis": (0, -1)}, {"axis": (2, 0), "keepdims": True},
            {"axis": 1, "keepdims": True}, {"keepdims": True}]  # fmt: skip
    for name in ("sum", "mean", "max", "min", "prod", "var", "std"):
        for way in ways:
            yield Case(name, f(2, 3, 4), **way)
        yield Case(name, spaced(f(2, 3)), axis=0)
        yield Case(name, f(5, 4, 3).T, axis=(0, 1))
        yield Case(name, f(0, 3), axis=1)
        yield Case(name, f(4))
    for name in ("sum", "mean", "max", "min", "prod"):
        yield Case(name, f())
    for name in ("sum", "prod"):
        yield Case(name, f(0, 3), axis=0)
        yield Case(name, f(0))
    for correction in (1, 0.5):
        for name in ("var", "std"):
            yield Case(name, f(3, 4), correction=correction)
            yield Case(name, f(3, 4), correction=correction, axis=0, keepdims=True)
    yield Case("prod", np.asarray([[0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [1.0, 2.0, 3.0]]), axis=1)
    for first in (False, True):
        yield Case("cumulative_sum", f(4), include_initial=first)
        yield Case("cumulative_sum", f(2, 3, 4), axis=1, include_initial=first)
        yield Case("cumulative_sum", spaced(f(2, 3)), axis=-1, include_initial=first)
        yield Case("cumulative_sum", f(0, 3), axis=0, include_initial=first)
        yield Case("cumulative_prod", f(5), include_initial=first)
        yield Case("cumulative_prod", f(2, 4, 3), axis=1, include_initial=first)
        yield Case("cumulative_prod", spaced(f(2, 3)), axis=-1, include_initial=first)
        yield Case("cumulative_prod", f(0, 3), axis=0, include_initial=first)
        yield Case("cumulative_prod", f(3, 0), axis=0, include_initial=first)
        zeros = np.asarray([[0.0, 2, 3, 4], [1, 0, 0, 4], [1, 2, 3, 0]])
        yield Case("cumulative_prod", zeros, axis=1, include_initial=first)
    # ---- shapes ----
    for x in (f(), f(4), f(2, 3), f(0, 3), spaced(f(2, 3))):
        yield Case("astype", x, lambda xp: xp.float64)
    for s, shape in [
        ((), (2, 3)), ((3,), (2, 3)), ((2, 1), (2, 3)), ((1, 3), (0, 3)), ((2, 3), (2, 3)),
    ]:  # fmt: skip
        yield Case("broadcast_to", f(*s), shape)
    for s, axis in [((), 0), ((3,), -1), ((2, 3), 1), ((0, 3), 0)]:
        yield Case("expand_dims", f(*s), axis=axis)
    for s, axis in [
        ((), None), ((3,), 0), ((2, 3), None), ((2, 3), -1), ((2, 3), (0, 1)), ((0, 3), 0),
    ]:  # fmt: skip
        yield Case("flip", f(*s), axis=axis)
    for s in [(2, 3), (4, 2, 3), (0, 3)]:
        yield Case("matrix_transpose", f(*s))
    yield Case("matrix_transpose", spaced(f(2, 3)))
    for source, destination in [(0, 2), (-1, 0), ((0, 1), (2, 0)), ((2, -3), (0, 1))]:
        yield Case("moveaxis", f(2, 3, 4), source, destination)
    yield Case("moveaxis", f(0, 3), 0, 1)
    for axes in [(2, 0, 1), (0, 2, 1), (-1, 0, 1)]:
        yield Case("permute_dims", f(2, 3, 4), axes)
    yield Case("permute_dims", f(), ())
    yield Case("permute_dims", f(0, 3), (1, 0))
    for s, shape in [((), (1,)), ((6,), (2, 3)), ((2, 3), (-1,)), ((1,), ()), ((0, 3), (3, 0))]:
        yield Case("reshape", f(*s), shape)
    yield Case("reshape", f(3, 2).T, (6,))
    for shift, axis in [(1, None), (2, 0), (-1, 1), ((1, -2), (0, 1)), ((1, 1), (0, 0))]:
        yield Case("roll", f(3, 4), shift, axis=axis)
    yield Case("roll", f(0, 3), 1, axis=0)
    for s, axis in [((1,), 0), ((1, 3), 0), ((2, 1, 1), (1, 2)), ((0, 1), -1)]:
        yield Case("squeeze", f(*s), axis)
    for name in ("tril", "triu"):
        for k in (0, 1, -2):
            yield Case(name, f(3, 4), k=k)
        yield Case(name, f(2, 3, 3))
        yield Case(name, f(0, 3))
    for s, times in [((), (2,)), ((3,), (2,)), ((2, 3), (2, 1)), ((2, 3), (2,)), ((3,), (2, 3)),
                     ((2, 3), (0, 2)), ((0, 3), (2, 2)), ((2, 3), ())]:  # fmt: skip
        yield Case("tile", f(*s), times)
    for s, repeats, axis in [
        ((), 2, None), ((3,), 2, None), ((2, 3), 2, None), ((2, 3), 3, 0), ((2, 3), 2, -1),
        ((2, 3), 0, 1), ((0, 3), 2, 1), ((2, 3), integers(2, 0, 1), 1),
        ((3, 2), integers(1, 2, 0), -2),
        ((3,), integers(2, 0, 3), None),
    ]:  # fmt: skip
        yield Case("repeat", f(*s), repeats, axis=axis)
    for shapes in [((2,),), ((2,), (3,)), ((2,), (3,), (4,)), ((2,), (0,))]:
        for indexing in ("xy", "ij"):
            yield Case("meshgrid", *(f(*s) for s in shapes), indexing=indexing)
    for s, axis in [((3,), 0), ((2, 3), 1), ((2, 3), -2), ((2, 0), 0)]:
        yield Case("unstack", f(*s), axis=axis)
    yield Case("concat", [f(2, 3), f(1, 3), f(0, 3)])
    yield Case("concat", [f(2, 3), spaced(f(2, 2)), f(2, 1)], axis=-1)
    yield Case("concat", [f(2, 3), f(4), f()], axis=None)
    yield Case("stack", [f(), f()])
    yield Case("stack", [f(2, 3), spaced(f(2, 3)), f(2, 3)], axis=1)
    yield Case("stack", [f(2, 3), f(3, 2).T], axis=-1)
    yield Case("stack", [f(0, 3), f(0, 3)], axis=2)
    # ---- indexing ----
    for key in (
        (0, ...), (-1, ...), (slice(1, None), ...), (slice(None, None, 2), ...), ..., (None, ...),
        (slice(None, None, -1), ...), (0, 1, 1), (0, ..., 1), (slice(None), 1, slice(None)),
        (..., slice(0, 2)), (None, 1, None, ...), (slice(2, 2), ...),
        (slice(None), slice(3, 0, -1), 1),
    ):  # fmt: skip
        yield Case("getitem", f(3, 4, 2), key)
    yield Case("getitem", f(4), 1)
    yield Case("getitem", f(4), slice(1, 3))
    yield Case("getitem", f(), ())
    yield Case("getitem", f(), (None, ...))
    yield Case("getitem", f(0, 3), (..., 1))
    yield Case("getitem", f(3, 4), mask(3, 4))
    yield Case("getitem", f(3, 4), np.zeros((3, 4), dtype=bool))
    yield Case("getitem", f(5), integers(0, 2, 2, -1))
    yield Case("getitem", f(3, 4), (integers(0, 2, 2), integers(1, 3, 3)))
    yield Case("getitem", f(3, 4), (integers(0, 2, 2), 1))
    yield Case("setitem_zeros", f(2, 4), (slice(0, 2), ...), (3, 4))
    yield Case("setitem_zeros", f(3), (integers(0, 2, 2), integers(1, 3, 3)), (3, 4))
    for indices in (integers(0, 2, 2, 1), integers(), integers(-1, 0, -1)):
        yield Case("take", f(3), indices)
        for axis in (0, 1, -1):
            yield Case("take", f(3, 4, 5), indices, axis=axis)
        yield Case("add_at", f(2, len(indices), 3), indices, (2, 4, 3), 1)
    yield Case("take", spaced(f(4, 3)), integers(2, 2), axis=1)
    yield Case("take", f(4, 0), integers(2, 2), axis=0)
    yield Case("take_along_axis", f(3, 4), integers([0, 1], [2, 2], [3, 0]))
    yield Case("take_along_axis", f(3, 4), integers([0, 1, 2, 2], [1, 1, 0, 0]), axis=0)
    yield Case("take_along_axis", f(2, 3, 2), integers([[0, 1]], [[2, 2]]), axis=1)
    yield Case("take_along_axis", f(3, 4), integers([0, -1]), axis=1)
    yield Case("take_along_axis", f(1, 4), integers([0, 1], [2, 2], [3, 0]))
    yield Case("add_along_axis", f(3, 2), integers([0, 1], [2, 2], [3, 0]), (3, 4), -1)


def of_the_set(xp, out):
    """What does not change with the order of values, which the standard leaves open."""
    values = out[0] if isinstance(out, tuple) else out
    return xp.sum(values**3)
