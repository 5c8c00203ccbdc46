"""Every row of the table of rules against finite differences, on every backend.

A new row needs cases here: in `UNARY`, `BINARY` or `OTHERS`. `test_every_row_has_a_case` says so.
"""

import inspect

import numpy as np
import pytest

import lamina
from lamina import xp as lxp
from lamina.autograd import _namespace, differentiable
from lamina.autograd._rules import RULES
from lamina.testing import assert_close, check_grads

strict = pytest.importorskip("array_api_strict")

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


class Case:
    """A call of a function: arguments (floating-point arrays are differentiated) and options."""

    def __init__(self, name, *args, **options):
        self.name, self.args, self.options = name, args, options

    def __call__(self, *args):
        return find(self.name, *args)(*args, **self.options)

    def __repr__(self):
        told = [show(a) for a in self.args] + [f"{k}={show(v)}" for k, v in self.options.items()]
        return f"{self.name}({', '.join(told)})"


def show(value):
    if isinstance(value, list | tuple):
        return f"[{','.join(map(show, value))}]"
    if isinstance(value, np.ndarray):
        kind = {"f": "", "i": "i", "b": "b"}[value.dtype.kind]
        return kind + "x".join(map(str, value.shape))
    return str(value).replace("slice", "")


def find(name, *args):
    """The function ``name`` of the differentiable namespace of what is among ``args``."""
    if name in lamina.ops.__all__:
        return getattr(lamina.ops, name)
    arrays = [a for arg in args for a in (arg if isinstance(arg, list) else [arg])]
    first = next(a for a in arrays if hasattr(a, "shape"))
    raw = first.data if isinstance(first, lamina.Tensor) else first
    return getattr(differentiable(lamina.backend.namespace(raw)), name)


_count = iter(range(10**6))


def floats(*shape, low=-2.0, high=2.0):
    return np.random.default_rng(next(_count)).uniform(low, high, shape)


def spaced(array):
    """The same values in memory with gaps."""
    out = np.repeat(array, 2, axis=-1)[..., ::2]
    assert out.base is not None and not out.flags.c_contiguous
    return out


def integers(*values):
    return np.asarray(values, dtype=np.int64)


def mask(*shape):
    return np.asarray(np.random.default_rng(next(_count)).random(shape) > 0.4)


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


CASES = list(cases())
everything = pytest.mark.parametrize("case", CASES, ids=repr)


def on(place, value, dtype="float64"):
    """``value`` with its arrays put on a backend."""
    if isinstance(value, list | tuple):
        return type(value)(on(place, v, dtype) for v in value)
    if callable(value):
        return value(place.xp)
    if isinstance(value, np.ndarray):
        return place.asarray(value, dtype if value.dtype.kind == "f" else None)
    return value


def skip_what_torch_lacks(backend, case):
    if backend.name != "torch":
        return
    if any(steps_backwards(arg) for arg in case.args):
        pytest.skip("torch has no slices with negative steps")
    if case.name in ("var", "std"):
        if case.args[0].size == 0:
            pytest.skip("torch warns of a variance of no rows, each of several elements")
        if case.name == "std" and case.options.get("correction", 0) == 0.5:
            pytest.skip("torch's standard deviation takes whole corrections only")


def steps_backwards(value):
    if isinstance(value, tuple):
        return any(map(steps_backwards, value))
    return isinstance(value, slice) and (value.step or 1) < 0


def test_every_row_has_a_case():
    assert set(RULES) - {case.name for case in CASES} == set(), "rules without a case in this file"


@everything
def test_gradients_to_second_order(case):
    check_grads(case, on(lamina.backend.get("numpy"), case.args), order=2)


@everything
def test_gradients_on_every_backend(backend, case):
    skip_what_torch_lacks(backend, case)
    check_grads(case, on(backend, case.args), order=1)


@everything
def test_float32_stays_on_its_backend_and_float32(backend, case):
    skip_what_torch_lacks(backend, case)
    if case.name == "astype":
        pytest.skip("changes the dtype by its nature")
    args = on(backend, case.args, "float32")
    tracked = [tracked_floats(a) for a in args]
    out = case(*tracked)
    plain = case(*args)
    assert isinstance(out, lamina.Tensor) and out.requires_grad
    assert not isinstance(plain, lamina.Tensor)
    assert_close(out, plain)
    one = lamina.xp.sum(out * backend.asarray(3.0, "float32"))
    one.backward()
    for arg in tracked:
        for leaf in arg if isinstance(arg, list) else [arg]:
            if isinstance(leaf, lamina.Tensor):
                assert leaf.grad.dtype == leaf.dtype
                assert tuple(leaf.grad.shape) == tuple(leaf.shape)
                assert backend.backend.owns(leaf.grad)


def tracked_floats(value):
    if isinstance(value, list):
        return [tracked_floats(v) for v in value]
    if hasattr(value, "dtype") and "float" in str(value.dtype):
        return lamina.Tensor(value, requires_grad=True)
    return value


# ---- the table as such ------------------------------------------------------------------------

STANDARD = sorted(n for n in (*RULES, *_namespace._COMPOSED) if hasattr(strict, n))


@pytest.mark.parametrize("name", STANDARD)
def test_signatures_are_the_standards(name):
    def parts(function):
        parameters = inspect.signature(function).parameters.values()
        defaults = [None if "Undef" in repr(p.default) else p.default for p in parameters]
        return [(p.name, p.kind, d) for p, d in zip(parameters, defaults)]

    assert parts(_namespace.function(name)) == parts(getattr(strict, name))


def test_rows_outside_the_standard_are_known():
    helpers = {"add_along_axis", "add_at", "getitem", "setitem_zeros"}
    assert set(RULES) - set(STANDARD) == helpers


@pytest.fixture
def fresh_functions(monkeypatch):
    """Functions are made of the table anew, and forgotten afterwards."""

    def forget():
        _namespace.function.cache_clear()
        _namespace.differentiable.cache_clear()

    forget()
    yield monkeypatch
    forget()


def parameters_of(rule):
    return ", ".join(rule.__code__.co_varnames[: rule.__code__.co_argcount])


@pytest.mark.parametrize(("name", "argument"), [(n, a) for n in RULES for a in RULES[n]])
def test_a_rule_that_is_wrong_by_a_thousandth_fails(fresh_functions, name, argument):
    rule = RULES[name][argument]
    given = parameters_of(rule)
    wrong = eval(f"lambda {given}: 1.001 * rule({given})", {"rule": rule})
    fresh_functions.setitem(RULES, name, {**RULES[name], argument: wrong})

    def passes(case):
        function = _namespace.function(name)
        args = on(lamina.backend.get(), case.args)
        try:
            check_grads(lambda *given: function(*given, **case.options), args, order=1)
        except AssertionError as error:
            assert "derivative 1" in str(error)
            return False
        return True

    assert not all(passes(case) for case in CASES if case.name == name)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("tanh", "out"), ("multiply", "x1"), ("divide", "out"), ("pow", "x1"), ("matmul", "x2"),
        ("std", "x"),
    ],
)  # fmt: skip
def test_a_rule_that_forgets_a_thousandth_fails_at_order_two(fresh_functions, name, kept):
    rules = {}
    for argument, rule in RULES[name].items():
        given = parameters_of(rule)
        body = f"rule({given})"
        if kept in given.split(", "):
            use = f"0.999 * {kept} + 0.001 * lamina.ops.stop_gradient({kept})"
            body = f"(lambda {kept}: {body})({use})"
        rules[argument] = eval(f"lambda {given}: {body}", {"rule": rule, "lamina": lamina})
    fresh_functions.setitem(RULES, name, rules)
    case = next(c for c in CASES if c.name == name and all(a.size > 1 for a in c.args))

    def f(*args):
        return _namespace.function(name)(*args, **case.options)

    check_grads(f, case.args, order=1)
    with pytest.raises(AssertionError, match="derivative 2"):
        check_grads(f, case.args, order=2)


# ---- kinks, zeros and infinities --------------------------------------------------------------


def gradient(f, *args):
    """The gradient of the sum of f's result at the first argument."""
    return lamina.grad(lambda *a: lxp.sum(f(*a)))(*args)


def numbers(*values):
    return np.asarray(values, dtype=np.float64)


def test_ties_share_evenly():
    x = numbers([1, 3, 3], [2, 2, 2])
    for f, xs in ((lxp.max, x), (lxp.min, -x)):
        in_rows = gradient(lambda a, f=f: f(a, axis=1), xs)
        assert_close(in_rows, numbers([0, 0.5, 0.5], [1 / 3] * 3))
        assert_close(gradient(f, xs), numbers([0, 0.5, 0.5], [0, 0, 0]))
    for f in (lxp.maximum, lxp.minimum):
        for g in lamina.grad(lambda a, b, f=f: lxp.sum(f(a, b)), (0, 1))(x, x):
            assert_close(g, np.full_like(x, 0.5))


def test_abs_is_flat_at_zero():
    assert_close(gradient(lxp.abs, numbers(-2, 0, 3)), numbers(-1, 0, 1))


def test_prod_with_zeros():
    assert_close(gradient(lxp.prod, numbers(2, 0, 3)), numbers(0, 6, 0))
    assert_close(gradient(lxp.prod, numbers(2, 0, 0)), numbers(0, 0, 0))


@pytest.mark.parametrize("form", [float, int, np.asarray], ids=["float", "int", "array"])
def test_powers_of_zero(form):
    x = numbers(0, 2)
    for exponent, first, second in ((0, (0, 0), (0, 0)), (1, (1, 1), (0, 0)), (2, (0, 4), (2, 2))):
        e = form(float(exponent)) if form is np.asarray else form(exponent)

        def once(a, e=e):
            return gradient(lambda b: b**e, a)

        assert_close(once(x), numbers(*first))
        assert_close(gradient(once, x), numbers(*second))


def test_the_exponent_of_zero_and_of_a_number():
    e = numbers(1, 2, 3)
    assert_close(gradient(lambda a: numbers(0, 0, 0) ** a, e), numbers(0, 0, 0))
    assert_close(gradient(lambda a: 0.0**a, e), numbers(0, 0, 0))
    assert_close(gradient(lambda a: 2.0**a, e), np.log(2.0) * 2.0**e)


def test_where_ignores_what_the_other_branch_holds():
    mask = np.asarray([True, False, False])
    bad = numbers(np.nan, np.inf, np.nan)
    assert_close(gradient(lambda a: lxp.where(mask, a, bad), numbers(1, 2, 3)), numbers(1, 0, 0))
    good = gradient(lambda a: lxp.where(mask, bad, a * a), numbers(1, 2, 3))
    assert_close(good, numbers(0, 4, 6))


def test_where_with_a_tensor_as_condition_and_numbers_as_branches():
    x = lamina.Tensor(numbers(-1, 2), requires_grad=True)
    assert_close(lxp.where(x > 0, 1.0, 0.0), numbers(0, 1))
    lxp.sum(lxp.where(x > 0, x, 0.0)).backward()
    assert_close(x.grad, numbers(0, 1))


def test_a_safe_root_at_zero_takes_two_wheres():
    def root(a):
        positive = a > 0
        return lxp.where(positive, lxp.sqrt(lxp.where(positive, a, 1.0)), 0.0)

    assert_close(gradient(root, numbers(0, 4)), numbers(0, 0.25))


def test_clip_at_its_bounds():
    x, low, high = numbers(-2, -1, 0, 1, 2), numbers(-1), numbers(1)
    gx, glow, ghigh = lamina.grad(lambda *a: lxp.sum(lxp.clip(*a)), (0, 1, 2))(x, low, high)
    assert_close(gx, numbers(0, 1, 1, 1, 0))
    assert_close(glow, numbers(1))
    assert_close(ghigh, numbers(1))
    assert_close(gradient(lxp.clip, x), np.ones(5))
    assert_close(gradient(lambda a: lxp.clip(a, min=1), x), numbers(0, 0, 0, 1, 1))
    assert_close(gradient(lambda a: lxp.clip(a, max=1), x), numbers(1, 1, 1, 1, 0))


def test_remainder_counts_whole_divisors():
    x = numbers(7, -7)
    assert_close(gradient(lambda a: x % a, numbers(3, 3)), numbers(-2, 3))
    assert_close(gradient(lambda a: a % 3, x), numbers(1, 1))
    assert_close(gradient(lambda a: 7 % a, numbers(3)), numbers(-2))


def test_nan_in_a_maximum_is_seen():
    x = lamina.Tensor(numbers(1, np.nan), requires_grad=True)
    assert np.isnan(lxp.max(x).item())


# ---- dtypes -----------------------------------------------------------------------------------


def test_python_numbers_leave_float32_alone():
    x = np.asarray([0.5, 1.5], dtype=np.float32)

    def f(a):
        b = 2 * a + 1.5 - a / 3 + 0.5 / a - a**2 + a**0.5 + 2.0**a + a % 7 + (1 - a) * True
        return lxp.sum(b + lxp.clip(a, 0.0, 1.0) + lxp.maximum(a, 0.1) + lxp.where(a > 1, a, 2.0))

    first = lamina.grad(f)
    second = lamina.grad(lambda a: lxp.sum(first(a)))
    for value in (first(x), second(x), lamina.value_and_grad(f)(x)[0]):
        assert value.dtype == np.float32


@pytest.mark.parametrize("shape", [(), (3,)])
def test_gradients_have_their_arguments_dtype(backend, shape):
    narrow = backend.asarray(np.full(shape, 0.5), "float32")
    wide = backend.asarray(np.full((3,), 2.0), "float64")
    for f in (lxp.multiply, lxp.add, lxp.divide, lxp.maximum, lambda a, b: lxp.where(a < b, a, b)):
        if backend.name == "torch" and shape == ():
            continue  # torch lets arrays with axes decide, the standard does not
        g, h = lamina.grad(lambda a, b, f=f: lxp.sum(f(a, b)), (0, 1))(narrow, wide)
        assert (g.dtype, h.dtype) == (narrow.dtype, wide.dtype)
    flat = [lxp.reshape(narrow, (-1,)), wide]
    parts = lamina.grad(lambda a: lxp.sum(lxp.concat(a)))(flat)
    assert [p.dtype for p in parts] == [narrow.dtype, wide.dtype]


def test_sums_in_another_dtype_and_casts():
    x = np.ones(3, dtype=np.float32)
    assert gradient(lambda a: lxp.sum(a, dtype=lxp.float64), x).dtype == np.float32
    assert gradient(lambda a: lxp.astype(a, lxp.float64) ** 2, x).dtype == np.float32


@pytest.mark.parametrize(
    "cast",
    [
        lambda a: lxp.astype(a, lxp.int64),
        lambda a: lxp.sum(a, dtype=lxp.int64),
        lambda a: lxp.prod(a, dtype=lxp.int64),
        lambda a: lxp.asarray(a, dtype=lxp.int64),
        lambda a: a > 1,
        lxp.floor,
        lxp.argmax,
        lxp.sign,
    ],
)
def test_what_changes_in_jumps_requires_no_gradient(cast):
    x = lamina.Tensor(numbers(1.5, 2.5), requires_grad=True)
    assert not cast(x).requires_grad


# ---- indexing as NumPy has it, beyond the standard --------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        0,
        slice(1, None),
        None,
        [0, 2, 2],
        ([0, 2, 2], 1),
        [True, False, True],
        (slice(None), [1, 1]),
        (None, np.asarray([0, 0])),
        np.asarray([[0, 2], [2, 2]]),
        (np.asarray([0, 2]), None, np.asarray([1, 1])),
        (np.asarray([True, False, True]), None, 0),
        np.int64(1),
    ],
    ids=repr,
)
def test_numpy_keys(key):
    check_grads(lambda a: a[key], floats(3, 4))


def test_a_tensor_as_key():
    x, mask_, rows = floats(3, 4), mask(3, 4), integers(0, 2, 2)
    check_grads(lambda a: a[lamina.Tensor(mask_)], x)
    check_grads(lambda a: a[a > 0] * a[lamina.Tensor(rows), 1][0], x)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_take_by_a_table_of_numbers(axis):
    check_grads(lambda a: lxp.take(a, integers([0, 2], [2, -1]), axis=axis), (floats(3, 4),))


def test_operators_of_numpy_scalars():
    x = np.asarray([0.5, 1.5], dtype=np.float32)
    for scalar in (np.float32(2), np.int64(2), np.asarray(2, dtype=np.int8)):
        g = gradient(lambda a, s=scalar: s * a + a * s - s / a + s**a + (s - a) * (a % s), x)
        assert g.shape == x.shape and g.dtype == np.float32
    g = gradient(lambda a: np.float64(2) * a, x)
    assert_close(g, np.full_like(x, 2))
