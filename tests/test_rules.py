"""Every row of the table of rules against finite differences, on every backend.

A new row needs cases in one of the files ``_cases_*.py``. `test_every_row_has_a_case` says so.
"""

import inspect

import numpy as np
import pytest

import _backends
import _cases_arrays
import _cases_complex
import _cases_fft
import _cases_linalg
import lamina
from _cases import floats, integers, mask, on
from lamina import xp as lxp
from lamina.autograd import _functions, _namespace
from lamina.autograd._rules import RULES
from lamina.testing import assert_close, check_grads

strict = pytest.importorskip("array_api_strict")

CASES = [
    case
    for room in (_cases_arrays, _cases_linalg, _cases_fft, _cases_complex)
    for case in room.cases()
]
everything = pytest.mark.parametrize("case", CASES, ids=repr)


def skip_what_libraries_lack(backend, case):
    if backend.name.startswith("array_api_strict") and case.name == "clip":
        low, high = (*case.args[1:], None, None)[:2]
        if low is not None and high is not None and np.any(low > high):
            pytest.skip("array_api_strict refuses bounds in the wrong order")
    if backend.name != "torch":
        return
    if any(steps_backwards(arg) for arg in case.args):
        pytest.skip("torch has no slices with negative steps")
    if case.name in ("var", "std"):
        if case.args[0].size == 0:
            pytest.skip("torch warns of a variance of no rows, each of several elements")
        if case.name == "std" and case.options.get("correction", 0) == 0.5:
            pytest.skip("torch's standard deviation takes whole corrections only")
    if case.name == "linalg.matrix_norm" and case.options["ord"] is None:
        pytest.skip("torch has no norm of the order None")
    if case.name == "unique_all" or (case.name == "unique_values" and is_complex(case.args[0])):
        pytest.skip("torch has no unique_all, and no sets of complex numbers")
    if case.name.startswith("fft.") and 0 in case.args[0].shape:
        pytest.skip("torch has no transforms of no rows")


def steps_backwards(value):
    if isinstance(value, tuple):
        return any(map(steps_backwards, value))
    return isinstance(value, slice) and (value.step or 1) < 0


def test_every_row_has_a_case():
    elsewhere = {"broadcast_arrays", "broadcast_shapes", "diff", "full_like"}
    known = {*RULES, *_functions.COMPOSED} - elsewhere
    assert known - {case.name for case in CASES} == set(), "no case in the files _cases_*.py"


@everything
def test_gradients(backend, case):
    """To second order on the first backend, to first on the others, which run the same rules."""
    skip_what_libraries_lack(backend, case)
    order = 2 if backend.name == _backends.chosen()[0] else 1
    check_grads(case, on(backend, case.args), order=order)


@everything
def test_float32_stays_on_its_backend_and_float32(backend, case):
    skip_what_libraries_lack(backend, case)
    if case.name == "astype":
        pytest.skip("changes the dtype by its nature")
    args = on(backend, case.args, "float32")
    tracked = [tracked_floats(a) for a in args]
    outs, plains = parts(case(*tracked)), parts(case(*args))
    total = 0
    for out, plain in zip(outs, plains, strict=True):
        assert isinstance(out, lamina.Tensor) and not isinstance(plain, lamina.Tensor)
        # compositions round otherwise than the library's own function
        scale = np.max(np.abs(backend.to_numpy(plain)), initial=0.0)
        assert_close(out, plain, atol=6e-6 * scale if case.name in _functions.COMPOSED else 0.0)
        if is_float(plain):
            assert out.requires_grad
            three = backend.asarray(3.0, "float32")
            total = lxp.sum(lxp.real(out) * three if is_complex(plain) else out * three) + total
    total.backward()
    rules = list(RULES.get(case.name, {}).values())
    for i, arg in enumerate(tracked):
        for leaf in arg if isinstance(arg, list) else [arg]:
            if i < len(rules) and rules[i] is None:
                assert getattr(leaf, "grad", None) is None
            elif isinstance(leaf, lamina.Tensor):
                assert leaf.grad.dtype == leaf.dtype
                assert tuple(leaf.grad.shape) == tuple(leaf.shape)
                assert backend.backend.owns(leaf.grad)


def parts(out):
    return out if isinstance(out, tuple) else (out,)


def is_float(array):
    return any(kind in str(array.dtype) for kind in ("float", "complex"))


def is_complex(array):
    return "complex" in str(array.dtype)


def tracked_floats(value):
    if isinstance(value, list):
        return [tracked_floats(v) for v in value]
    if hasattr(value, "dtype") and is_float(value):
        return lamina.Tensor(value, requires_grad=True)
    return value


# ---- the table as such ------------------------------------------------------------------------


def of_the_standard(name):
    found = strict
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


STANDARD = sorted(n for n in (*RULES, *_functions.COMPOSED) if of_the_standard(n))


@pytest.mark.parametrize("name", STANDARD)
def test_signatures_are_the_standards(name):
    def parts(function):
        parameters = inspect.signature(function).parameters.values()
        defaults = [None if "Undef" in repr(p.default) else p.default for p in parameters]
        return [(p.name, p.kind, d) for p, d in zip(parameters, defaults)]

    assert parts(_functions.function(name)) == parts(of_the_standard(name))


def test_rows_outside_the_standard_are_known():
    assert lamina.ops.erf  # a primitive, with a row once it is there
    helpers = {"add_along_axis", "add_at", "cofactors", "getitem", "setitem_zeros"}
    assert set(RULES) - set(STANDARD) == helpers


@pytest.fixture
def fresh_functions(monkeypatch):
    """Functions are made of the table anew, and forgotten afterwards."""

    def forget():
        _functions.function.cache_clear()
        _namespace.differentiable.cache_clear()

    forget()
    yield monkeypatch
    forget()


def parameters_of(rule):
    return ", ".join(rule.__code__.co_varnames[: rule.__code__.co_argcount])


@pytest.mark.parametrize(
    ("name", "argument"),
    [(n, a) for n in RULES for a, rule in RULES[n].items() if rule],
)
def test_a_rule_that_is_wrong_by_a_thousandth_fails(fresh_functions, name, argument):
    rule = RULES[name][argument]
    given = parameters_of(rule)
    wrong = eval(f"lambda {given}: 1.001 * rule({given})", {"rule": rule})
    fresh_functions.setitem(RULES, name, {**RULES[name], argument: wrong})

    def passes(case):
        function = _functions.function(name)
        args = on(lamina.backend.get(), case.args)
        try:
            check_grads(lambda *given: case.by(function, *given), args, order=1)
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
        return _functions.function(name)(*args, **case.options)

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


def test_what_is_a_length_is_flat_at_zero():
    zero = numbers(0, 0)
    for g in lamina.grad(lambda a, b: lxp.sum(lxp.hypot(a, b)), (0, 1))(zero, numbers(0, 2)):
        assert g[0] == 0
    assert_close(gradient(lxp.std, numbers(3, 3, 3)), numbers(0, 0, 0))
    assert_close(gradient(lambda a: lxp.std(a, axis=1), numbers([3, 3], [1, 3])),
                 numbers([0, 0], [-0.5, 0.5]))  # fmt: skip
    assert_close(gradient(lxp.copysign, numbers(-2, 0, 3), numbers(-1, -1, -1)), numbers(1, 0, -1))


def test_roots_logarithms_and_powers_have_their_limits_at_zero():
    inf = np.full(1, np.inf)
    with np.errstate(divide="ignore"):
        for f in (lxp.sqrt, lxp.log, lambda a: a**0.5):
            assert_close(gradient(f, numbers(0)), inf)


def test_sorting_follows_a_stable_sort_at_ties():
    x, weights = numbers(2, 1, 2, 1), numbers(1, 10, 100, 1000)
    up = gradient(lambda a: lxp.sort(a) * weights, x)
    assert_close(up, numbers(100, 1, 1000, 10))
    down = gradient(lambda a: lxp.sort(a, descending=True) * weights, x)
    assert_close(down, numbers(1, 100, 10, 1000))
    median = gradient(lambda a: lxp.sort(a)[1], numbers(5, 3, 3))
    assert_close(median, numbers(0, 0, 1))


def test_the_first_of_equals_stands_for_its_value(backend):
    x = backend.asarray(numbers([2, 1], [2, 1]))
    g = gradient(lambda a: lxp.sort(lxp.unique_values(a)) ** 2, x)
    assert_close(g, backend.asarray(numbers([4, 2], [0, 0])))


@pytest.mark.parametrize("scale", [1, 10])
def test_products_of_many_take_linear_time(scale):
    n = 20_000 * scale  # squares of this many would not fit in memory
    x = np.full(n, 1.0)
    x[7] = 0.5
    expected = np.full(n, 0.5)
    expected[7] = 1.0
    assert_close(gradient(lxp.prod, x), expected)
    g = gradient(lambda a: lxp.cumulative_prod(a)[-1], x)
    assert_close(g, expected)


def test_prod_with_zeros():
    for prod in (lxp.prod, lambda a: lxp.cumulative_prod(a)[-1]):
        for x, first in (((2, 0, 3), (0, 6, 0)), ((2, 0, 0), (0, 0, 0)), ((0,), (1,))):
            assert_close(gradient(prod, numbers(*x)), numbers(*first))
        check_grads(prod, numbers(2, 0, 3, 0), order=3)


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


def test_the_branch_not_taken_gives_nan_where_its_own_derivative_is_not_finite():
    x = numbers(-1, 0, 2)

    def trap(a):
        return lxp.where(a > 0, lxp.log(a), 0.0)

    def remedy(a):
        return lxp.where(a > 0, lxp.log(lxp.where(a > 0, a, 1.0)), 0.0)

    with np.errstate(all="ignore"):
        assert_close(gradient(trap, x), numbers(0, np.nan, 0.5))
        assert_close(trap(x), remedy(x))
    assert_close(gradient(remedy, x), numbers(0, 0, 0.5))
    check_grads(remedy, x[[0, 2]])


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
    # bounds in the wrong order: max it is
    gx, glow, ghigh = lamina.grad(lambda *a: lxp.sum(lxp.clip(*a)), (0, 1, 2))(x, high, low)
    assert_close(gx, np.zeros(5))
    assert_close(glow, numbers(0))
    assert_close(ghigh, numbers(5))


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
        lxp.argsort,
        lxp.sign,
        lxp.round,
        lambda a: lxp.nextafter(a, 2 * a),
        lambda a: lxp.searchsorted(numbers(1, 2), a),
        lambda a: lxp.copysign(numbers(1, 2), a),
        lambda a: lxp.linalg.matrix_rank(lxp.linalg.outer(a, a)),
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
