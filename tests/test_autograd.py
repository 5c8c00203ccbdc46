"""Tensors and the tape, through the public face: what is recorded, kept, freed, refused."""

import gc
import math
import operator
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

import lamina
from lamina import Parameter, Tensor, grad, no_grad, value_and_grad, xp
from lamina.autograd import _unruled, namespace
from lamina.ops._op import KERNELS, OPS, kernel, op
from lamina.testing import assert_close, check_grads


def floats(*values):
    return np.asarray(values, dtype=np.float64)


def leaf(*values):
    return Tensor(floats(*values), requires_grad=True)


# ---- the sweep --------------------------------------------------------------------------------


def test_a_diamond_counts_every_path():
    a = leaf(1.0, 2.0)
    b = a + a
    c = b + b
    xp.sum(c * b).backward()
    assert_close(a.grad, 16 * a.data)


def test_gradients_of_many_uses_add_up():
    x = leaf(3.0)
    total = x * 0
    for _ in range(10):
        total = total + x * x
    xp.sum(total).backward()
    assert_close(x.grad, floats(60))


def test_a_shared_gradient_is_never_written_to():
    x, y, z = leaf(1.0, 2.0), leaf(3.0, 4.0), leaf(5.0, 6.0)
    seed = floats(1.0, 10.0)
    # the sum hands one array on to all; x gets three shares, the later ones added in place
    total = (x + y) + (x + z) + x
    total.backward(seed)
    assert_close(x.grad, 3 * floats(1, 10))
    assert_close(y.grad, floats(1, 10))
    assert_close(z.grad, floats(1, 10))
    assert_close(seed, floats(1, 10))


def test_views_of_a_gradient_survive_adding_to_another():
    x = leaf(1.0, 2.0, 3.0)
    a = x + 0.0
    parts = xp.reshape(a, (3, 1)), xp.flip(a), a[::1], xp.broadcast_to(a, (2, 3)), a
    y = xp.concat([xp.reshape(p, (-1,)) for p in parts])
    weights = np.arange(18.0)
    y.backward(weights)
    expected = weights[:3] + weights[5:2:-1] + weights[6:9] + weights[9:12] + weights[12:15]
    assert_close(x.grad, expected + weights[15:18])
    assert_close(weights, np.arange(18.0))


def test_a_deep_chain_neither_recurses_nor_leaks():
    x = leaf(1.0)
    y = x
    for _ in range(20_000):
        y = y + 1e-4
    xp.sum(y).backward()
    assert_close(x.grad, floats(1))
    node = weakref.ref(y)
    del y
    assert node() is None


def test_a_deep_chain_has_second_derivatives():
    def f(x):
        y = x * x
        for _ in range(3000):
            y = y * 1.0001
        return y

    assert_close(grad(grad(f))(2.0), np.float32(2 * 1.0001**3000), rtol=1e-3)


def test_the_sweep_frees_as_it_goes():
    x = leaf(*range(100))
    seen = []

    @op
    def witness(xp, x):
        return x * 1.0

    try:

        @kernel("witness")
        def fast(xp, needs, x):
            def pullback(g):
                seen.append(later() is None)
                return (g,)

            return x * 1.0, pullback

        a = witness(x)
        b = xp.exp(a)
        later = weakref.ref(b.data)
        out = xp.sum(b)
        del b
        assert later() is not None  # exp keeps its result
        out.backward()
        assert seen == [True]
    finally:
        forget("witness")


def test_what_no_rule_names_is_not_kept():
    data, weights = np.ones((50, 3)), Tensor(np.ones((3, 2)), requires_grad=True)
    constant = weakref.ref(data)
    product = data @ weights
    shifted = product + 1.0
    gone = weakref.ref(product.data)
    del data, product
    assert constant() is not None  # the gradient of the weights needs it
    assert gone() is None  # the sum needs neither of its arguments
    xp.sum(shifted).backward()
    assert constant() is None
    assert_close(weights.grad, np.full((3, 2), 50.0))


def test_a_product_with_a_constant_keeps_only_the_constant():
    weights = Tensor(np.ones((3, 2)), requires_grad=True)
    held = weakref.ref(weights.data)
    out = np.ones((5, 3)) @ weights
    weights.data = np.zeros((3, 2))
    assert held() is None
    xp.sum(out).backward()


def test_a_tape_is_swept_once():
    x = leaf(1.0, 2.0)
    y = xp.sum(xp.exp(x))
    y.backward()
    with pytest.raises(RuntimeError, match="swept before"):
        y.backward()


def test_backward_adds_to_grad():
    x = leaf(1.0, 2.0)
    for _ in range(3):
        xp.sum(x * x).backward()
    assert_close(x.grad, 6 * x.data)
    before = x.grad
    x.grad = None
    xp.sum(x).backward()
    assert_close(x.grad, floats(1, 1))
    assert_close(before, floats(6, 12))


def test_the_gradient_of_a_leaf_with_respect_to_itself():
    x = leaf(2.0)
    x.backward()
    assert_close(x.grad, floats(1))


# ---- seeds ------------------------------------------------------------------------------------


def test_seeds():
    x = leaf([1.0, 2.0], [3.0, 4.0])
    (x * x).backward([[1, 0], [0, 2]])
    assert_close(x.grad, floats([2, 0], [0, 16]))
    x.grad = None
    (x * x).backward(Tensor(np.ones((2, 2), dtype=np.float32)))
    assert_close(x.grad, 2 * x.data)


def test_several_numbers_need_a_seed():
    with pytest.raises(ValueError, match=r"shape \(2,\).*reduce it.*or pass gradient="):
        (leaf(1.0, 2.0) * 2).backward()


def test_a_seed_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"tensor's shape \(2,\), got \(3,\)"):
        (leaf(1.0, 2.0) * 2).backward(np.ones(3))


def test_nothing_to_differentiate_is_refused():
    with pytest.raises(RuntimeError, match="nothing behind this tensor requires a gradient"):
        xp.sum(Tensor([1.0, 2.0])).backward()


# ---- tensors ----------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [[1, 2], np.arange(3), np.array([True])])
def test_integers_cannot_require_a_gradient(data):
    with pytest.raises(TypeError, match=r"only floating-point .* got (int64|bool)"):
        Tensor(data, requires_grad=True)


def test_python_floats_become_floatx():
    assert Tensor([1.0, 2.0]).dtype == np.float32
    assert Tensor(1.0).shape == ()
    assert Tensor(floats(1)).dtype == np.float64


def test_no_grad_records_nothing_and_ends():
    x = leaf(1.0)
    with no_grad():
        inside = x * x
    outside = x * x

    @no_grad()
    def decorated(a):
        return a * a

    assert not inside.requires_grad and outside.requires_grad
    assert not decorated(x).requires_grad
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert (x * x).requires_grad


def test_no_grad_concerns_its_own_thread():
    x, found = leaf(1.0), []
    with no_grad():
        thread = threading.Thread(target=lambda: found.append((x * x).requires_grad))
        thread.start()
        thread.join()
    assert found == [True]


def test_grad_inside_no_grad_is_a_constant():
    w = leaf(3.0)
    with no_grad():
        g = grad(lambda x: xp.sum(x * x * w))(floats(2.0))
        assert not (w * w).requires_grad
    assert_close(g, floats(12))
    assert not isinstance(g, Tensor)


def test_grad_inside_no_grad_leaves_the_tape_outside_whole():
    w = leaf(3.0)
    y = w * w
    with no_grad():
        assert_close(grad(lambda x: xp.sum(x * y))(floats(2.0)), floats(9))
    xp.sum(y).backward()
    assert_close(w.grad, floats(6))


def test_a_function_that_fails_leaves_recording_as_it_was():
    def f(x):
        raise ZeroDivisionError

    x = leaf(1.0)
    with no_grad():
        with pytest.raises(ZeroDivisionError):
            grad(f)(x)
        assert not (x * x).requires_grad
    with pytest.raises(ZeroDivisionError):
        grad(f)(x)
    assert (x * x).requires_grad


def test_no_grad_inside_grad_makes_constants():
    def f(x):
        with no_grad():
            c = x * x
        return xp.sum(c * x)

    assert_close(grad(f)(floats(3.0)), floats(9))


def test_detach_is_a_constant():
    assert_close(grad(lambda x: xp.sum(x * x.detach()))(floats(3.0)), floats(3))
    assert_close(grad(lambda x: xp.sum(x * lamina.ops.stop_gradient(x)))(floats(3.0)), floats(3))


def test_numpy_is_a_copy(backend):
    x = Tensor(backend.asarray([1.0, 2.0], "float32"), requires_grad=True)
    host = (x * 1).numpy()
    assert isinstance(host, np.ndarray) and host.dtype == np.float32
    same = x.numpy()
    same[:] = 7
    assert_close(x.data, backend.asarray([1.0, 2.0], "float32"))


def test_a_tensor_on_every_backend(backend):
    data = backend.asarray([[1.0, -2.0], [3.0, 4.0]], "float32")
    x = Tensor(data, requires_grad=True)
    y = xp.sum(xp.tanh(x @ x.mT) * 0.5 + x**2 / 3)
    y.backward()
    for value in (y.data, x.grad):
        assert backend.backend.owns(value) and value.dtype == data.dtype
    assert isinstance(y.item(), float)
    assert y.shape == () and y.size == 1 and x.size == 4 and x.ndim == 2 and len(x) == 2
    assert x.device == lamina.xp.asarray(x).device


@pytest.mark.parametrize(
    "change",
    [
        lambda x: operator.setitem(x, 0, 1.0),
        lambda x: operator.setitem(x, slice(None), x * 2),
    ],
)
def test_writing_to_a_tensor_says_what_to_write_instead(change):
    x = leaf(1.0, 2.0)
    with pytest.raises(TypeError, match=r"never written to.*lamina\.xp\.where"):
        change(x)


def test_augmented_assignment_makes_a_new_tensor():
    x = leaf(1.0, 2.0)
    y = x
    y += 1
    y *= x
    assert y is not x
    assert_close(x.data, floats(1, 2))
    xp.sum(y).backward()
    assert_close(x.grad, floats(3, 5))


def test_a_numpy_array_is_not_changed_in_place_by_a_tensor():
    array = floats(1, 2)
    with pytest.raises(TypeError, match="would lose the gradient"):
        array += leaf(1.0, 2.0)
    assert_close(array, floats(1, 2))


@pytest.mark.parametrize(
    "f",
    [
        operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.mod,
        operator.matmul,
    ],
)  # fmt: skip
def test_numpy_arrays_on_the_left_of_operators(f):
    x, array = leaf(1.25, 2.5), floats(3.0, 4.5)
    result = f(array, x)
    assert isinstance(result, Tensor) and result.requires_grad
    assert_close(result.data, f(array, x.data))
    check_grads(lambda a: f(array, a), (x,))


def test_numpy_arrays_on_the_left_of_comparisons():
    x, array = leaf(1.5, 2.5), floats(3.0, 2.5)
    for f in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne):
        assert_close(f(array, x), f(array, x.data))


def test_arrays_of_other_libraries_on_the_left_of_operators(backend):
    if backend.name.startswith("array_api_strict"):
        pytest.skip("array_api_strict's own operators refuse what they do not know")
    array = backend.asarray([3.0, 4.0], "float64")
    x = Tensor(backend.asarray([1.0, 2.0], "float64"), requires_grad=True)
    out = xp.sum(array * x + array / x)
    out.backward()
    assert_close(x.grad, backend.asarray([0.0, 3.0], "float64"))


@pytest.mark.parametrize("f", [np.exp, np.sum, np.negative, np.add.reduce, np.concatenate, np.sort])
def test_numpys_functions_are_refused(f):
    x = leaf(1.0, 2.0)
    with pytest.raises(TypeError, match=r"gradient"):
        f([x, x] if f is np.concatenate else x)


@pytest.mark.parametrize("convert", [np.asarray, np.array, lambda x: np.ones(2) @ np.asarray([x])])
def test_a_tensor_that_requires_a_gradient_is_no_numpy_array(convert):
    with pytest.raises(TypeError, match=r"\.numpy\(\) or \.detach\(\)"):
        convert(leaf(1.0, 2.0))


def test_a_constant_tensor_is():
    x = Tensor(floats(1, 2))
    assert_close(np.asarray(x), x.data)
    assert np.asarray(x, dtype=np.float32).dtype == np.float32
    copied = np.array(x)
    copied[0] = 9
    assert_close(x.data, floats(1, 2))


def test_equality_is_element_by_element_and_none_is_not_equal():
    x = leaf(1.0, 2.0)
    assert_close(x == Tensor(floats(1, 3)), np.array([True, False]))
    assert_close(x != 1, np.array([False, True]))
    assert (x == None) is False  # noqa: E711
    assert (x != "a") is True
    assert x in {x: 1}


def test_conversions_to_python():
    x = Tensor(np.asarray(2.5))
    assert (float(x), int(x), bool(x), complex(x), x.item()) == (2.5, 2, True, 2.5, 2.5)
    assert [10, 20, 30][Tensor(np.asarray(1))] == 20
    assert Tensor([[2.0]]).item() == 2.0
    with pytest.raises(TypeError, match="no length"):
        len(x)
    assert [float(row) for row in Tensor([1.0, 2.0])] == [1, 2]


def test_transposes():
    x = leaf([1.0, 2.0, 3.0])
    assert x.T.shape == x.mT.shape == (3, 1)
    with pytest.raises(ValueError, match="T is for matrices, got 1 axes"):
        _ = leaf(1.0).T


def test_representations():
    assert repr(leaf(1.0)) == "Tensor(array([1.]), requires_grad=True)"
    assert repr(Parameter(np.ones((2, 3), np.float32), "kernel")) == (
        'Parameter("kernel", shape=(2, 3), dtype=float32)'
    )


# ---- the namespace ----------------------------------------------------------------------------


def test_constants_and_dtypes_of_the_namespace():
    assert xp.pi == math.pi and xp.newaxis is None and xp.float32 is np.float32
    assert xp.isdtype(xp.float32, "real floating")
    assert xp.finfo(xp.float32).eps == np.finfo(np.float32).eps
    with lamina.use("array_api_strict:device1"):
        made = xp.asarray([1.0, 2.0])
        assert lamina.backend.get().owns(made) and lamina.backend.get().owns(xp.zeros(3))
        assert lamina.backend.get().owns(xp.linspace(0.0, 1.0, 3))
        assert xp.float32 == lamina.backend.get().xp.float32
        host = lamina.backend.get("array_api_strict").xp.ones(2)
        assert xp.asarray(host).device == host.device  # and not that in use


def test_questions_on_dtypes_go_to_the_tensors_own_library():
    strict = lamina.backend.get("array_api_strict:device1")
    namespace = Tensor(strict.asarray([1.0])).__array_namespace__()
    assert namespace.isdtype(strict.xp.float32, "real floating")
    assert namespace.result_type(strict.xp.float32, strict.xp.float64) == strict.xp.float64
    assert namespace.finfo(strict.xp.float32).bits == 32
    assert namespace.can_cast(strict.xp.float32, strict.xp.float64)


def test_asarray_keeps_the_tape():
    x = leaf(1.0, 2.0)
    check_grads(lambda a: xp.asarray(a) ** 2, (x,))
    check_grads(lambda a: xp.asarray(xp.asarray(a, dtype=xp.float64), copy=True) ** 2, (x,))
    check_grads(lambda a: xp.asarray([[a[0], 2], [a[1], a[0] * a[1]]]) ** 2, (x,))


def test_unknown_names_are_attribute_errors_with_the_right_name():
    with pytest.raises(AttributeError, match="no 'matmull': did you mean 'matmul'"):
        _ = xp.matmull


def test_what_has_no_rule_refuses_by_name():
    sort = _unruled.without_rule("sort")  # as if it had none
    with pytest.raises(NotImplementedError, match=r"lamina\.xp\.sort has no derivative yet"):
        sort(leaf(2.0, 1.0))
    assert_close(sort(Tensor(floats(2, 1))), floats(1, 2))
    assert_close(sort(floats(2, 1)), floats(1, 2))
    assert "no derivative yet" in sort.__doc__


@pytest.mark.parametrize("f", [xp.add, xp.matmul, operator.mul, lambda a, b: xp.where(a > 0, a, b)])
def test_mixed_devices_are_named(f):
    here = lamina.backend.get("array_api_strict").asarray([1.0, 2.0])
    there = lamina.backend.get("array_api_strict:device1").asarray([1.0, 2.0])
    with pytest.raises(ValueError, match=r"array_api_strict.* and array_api_strict.*asarray\(x\)"):
        f(Tensor(here), Tensor(there))


def test_composed_functions():
    a, b = floats([1, 2, 4], [8, 1, 0]), floats(1, 2, 3)
    check_grads(lambda x: xp.diff(x, axis=0), (a,))
    check_grads(lambda x, y: xp.diff(x, n=2, prepend=y), (b, b))
    twice = xp.diff(leaf(1.0, 4.0, 9.0), n=2, prepend=floats(0), append=floats(9, 8))
    assert_close(twice.data, np.diff([0.0, 1.0, 4.0, 9.0, 9.0, 8.0], n=2))
    check_grads(lambda x: xp.unstack(x, axis=1)[1] ** 2, (a,))
    check_grads(lambda x, y: xp.full_like(x, xp.sum(y)) * y, (a, b))
    assert not xp.full_like(leaf(1.0), 2.0).requires_grad
    assert xp.full_like(floats(1.0), 2.0) == 2
    check_grads(lambda x, y: xp.multiply(*xp.broadcast_arrays(x, y)), (a, b))


# ---- derivatives of functions -----------------------------------------------------------------


def test_a_derivative_within_a_derivative_keeps_its_own_variable():
    # d/dx [x * d/dy (x + y)] = 1: not 2, which confusing x with y would give
    inner = lambda x: x * grad(lambda y: x + y)(1.0)
    assert float(grad(inner)(1.0)) == 1
    # d/dx [x * d/dy (x * y)] = 2x
    assert float(grad(lambda x: x * grad(lambda y: x * y)(2.0))(3.0)) == 6
    # the inner derivative is taken at x itself
    assert float(grad(lambda x: grad(lambda y: x * y * y)(x))(3.0)) == 12
    # and of something that does not depend on y
    assert float(grad(lambda x: x * grad(lambda y: x * x)(x))(3.0)) == 0


def test_an_inner_derivative_that_is_thrown_away():
    def f(x):
        grad(lambda y: y * x)(x)
        return x * x

    assert float(grad(f)(3.0)) == 6


def test_tanh_to_the_fourth_order():
    x = 0.7
    t = math.tanh(x)
    s = 1 - t * t
    expected = [s, -2 * t * s, s * (6 * t * t - 2), s * (16 * t - 24 * t**3)]
    f = xp.tanh
    for value in expected:
        f = grad(f)
        assert_close(f(np.asarray(x)), np.asarray(value), rtol=1e-12)


def test_nests_of_arrays_come_back_as_they_went_in():
    w = {"kernel": floats([1, 2], [3, 4]), "bias": [floats(1, 2), (floats(5), floats(6))]}

    def loss(w, x):
        bias, (a, b) = w["bias"]
        return xp.sum(xp.tanh(x @ w["kernel"] + bias)) * a[0] * b[0]

    value, g = value_and_grad(loss)(w, floats([0.1, -0.2]))
    assert isinstance(g, dict) and isinstance(g["bias"], list) and isinstance(g["bias"][1], tuple)
    assert g["kernel"].shape == (2, 2) and not isinstance(value, Tensor)
    check_grads(loss, (w, floats([0.1, -0.2])))


def test_several_arguments():
    f = lambda a, b, c: xp.sum(a * b**2 * c)
    a, b, c = floats(1.0), floats(2.0), floats(3.0)
    assert_close(grad(f, 1)(a, b, c), floats(12))
    assert_close(grad(f, -1)(a, b, c), floats(4))
    both = grad(f, (2, 0))(a, b, c)
    assert_close(both[0], floats(4))
    assert_close(both[1], floats(12))
    assert isinstance(grad(f, (0,))(a, b, c), tuple)
    with pytest.raises(TypeError, match="asks for argument 3, but 3 positional"):
        grad(f, 3)(a, b, c)


def test_named_arguments_pass_through():
    assert float(grad(lambda x, *, power: x**power)(2.0, power=3)) == 12


def test_what_the_result_does_not_depend_on_has_gradient_zero(backend):
    a, b = backend.asarray([1.0, 2.0], "float32"), backend.asarray([[3.0]], "float32")
    g = grad(lambda a, b: xp.sum(a), (0, 1))(a, b)
    assert_close(g[1], backend.asarray([[0.0]], "float32"))


def test_closing_over_a_tensor_gives_a_tensor():
    w = leaf(3.0)
    g = grad(lambda x: xp.sum(w * w * x))(floats(2.0))
    assert isinstance(g, Tensor) and g.requires_grad
    xp.sum(g * g).backward()  # d/dw w**4
    assert_close(w.grad, floats(4 * 27))


def test_the_gradient_at_a_tensor_argument_is_on_its_tape():
    x = leaf(2.0)
    g = grad(lambda y: xp.sum(y**3))(x)
    xp.sum(g).backward()
    assert_close(x.grad, floats(12))


def test_a_function_must_return_one_number():
    with pytest.raises(TypeError, match="returns one number, got shape \\(2,\\): reduce it"):
        grad(lambda x: x * 2)(floats(1, 2))
    with pytest.raises(TypeError, match=r"got tuple of 2: for several results use lamina\.vjp"):
        grad(lambda x: (x, x))(1.0)


@pytest.mark.parametrize("result", [lambda x: 3.0, lambda x: (1.0, "x"), lambda x: None])
def test_a_function_must_compute_with_tensors(result):
    with pytest.raises(TypeError, match="remembers nothing: use lamina.xp"):
        grad(result)(floats(1, 2))


@pytest.mark.parametrize("convert", [float, int, complex, math.sin])
def test_hidden_conversions_do_not_lose_a_gradient_silently(convert):
    with pytest.raises(TypeError, match="would lose its gradient"):
        grad(lambda x: x * convert(x))(1.5)
    assert convert(lamina.Tensor(1.5)) == convert(1.5)
    assert leaf(1.5).item() == 1.5


@pytest.mark.parametrize("argument", [2, [1, 2], np.arange(3), True])
def test_derivatives_need_floats(argument):
    with pytest.raises(TypeError, match="floating-point arguments, got (int64|bool)"):
        grad(lambda x: xp.sum(x))(np.asarray(argument))


def test_python_floats_become_what_the_documentation_says():
    assert grad(xp.tanh)(0.5).dtype == Tensor(0.5).dtype == Tensor([0.5]).dtype == np.float32
    assert [g.dtype for g in grad(lambda x: x[0] * x[1])([1.0, 2.0])] == [np.float32] * 2
    assert np.asarray(xp.tanh(0.5)).dtype == xp.asarray(0.5).dtype == np.float64
    assert grad(lambda x: xp.sum(x * 0.5))(np.asarray([1.0, 2.0])).dtype == np.float64
    assert grad(lambda x: x * 0.5 + 1.0)(np.float16(1.0)).dtype == np.float16
    lamina.config.set_floatx("float64")
    try:
        assert grad(xp.tanh)(0.5).dtype == Tensor(0.5).dtype == np.float64
    finally:
        lamina.config.set_floatx("float32")


def test_whole_numbers_are_told_how_to_become_floats(backend):
    with pytest.raises(TypeError, match=r"argument 0: pass 2\.0 instead of 2"):
        grad(lambda x: x)(2)
    array = backend.asarray(np.arange(3), "int64")
    for derivative in (grad, lamina.hessian):
        with pytest.raises(TypeError, match="got int64 as argument 0: pass .*astype") as caught:
            derivative(lambda x: xp.sum(x))(array)
        advice = str(caught.value).partition(": pass ")[2]
        with lamina.use(backend.backend):
            floats = eval(advice, {"lamina": lamina, "x": array})
        assert_close(grad(lambda x: xp.sum(x * x))(floats), [0.0, 2.0, 4.0])


def test_named_tuples_are_nests_too():
    import collections

    Pair = collections.namedtuple("Pair", "a b")
    g = grad(lambda p: xp.sum(p.a * p.b))(Pair(floats(2.0), floats(3.0)))
    assert_close(g.a, floats(3))
    assert_close(g.b, floats(2))


# ---- parameters -------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["assign", "rewritten"])
def test_a_parameter_changed_after_its_use_is_an_error(change):
    w = Parameter(floats(1, 2), "kernel")
    loss = xp.sum(w * w)
    if change == "assign":
        w.assign([3, 4])
    else:
        w.data -= 1
        w.changed()
    with pytest.raises(RuntimeError, match="changed after 'multiply' had used it"):
        loss.backward()


def test_a_parameter_assigned_before_its_use_is_fine():
    w = Parameter(floats(1, 2), "kernel")
    value = floats(3, 4)
    w.assign(value)
    value[0] = 100
    xp.sum(w * w).backward()
    assert_close(w.grad, floats(6, 8))
    with pytest.raises(ValueError, match=r'"kernel" has shape \(2,\), got .* \(3,\)'):
        w.assign([1, 2, 3])


def test_a_frozen_parameter_is_a_constant():
    w = Parameter(floats(1, 2), "kernel", trainable=False)
    x = leaf(1.0, 1.0)
    xp.sum(w * x).backward()
    assert w.grad is None and not w.trainable
    w.trainable = True
    xp.sum(w * x).backward()
    assert_close(w.grad, floats(1, 1))


# ---- threads and memory -----------------------------------------------------------------------


def test_threads_that_record_at_once_get_their_own_gradients():
    shared = leaf(*np.linspace(0.1, 1, 50))
    results, start = {}, threading.Barrier(4)

    def work(k):
        start.wait()
        found = []
        for i in range(30):
            own = floats(*np.full(50, k + i / 10))
            found.append(grad(lambda a: xp.sum(xp.tanh(a * shared.detach()) * a))(own))
        results[k] = found

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(4):
        for i, g in enumerate(results[k]):
            own, s = np.full(50, k + i / 10), shared.data
            t = np.tanh(own * s)
            assert_close(g, t + own * s * (1 - t * t), rtol=1e-9)


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def network(w, x):
    h = xp.maximum(x @ w["a"] + w["b"], 0.0)
    return xp.mean(xp.var(lamina.ops.erf(h), axis=0) + xp.max(h, axis=0) ** 2)


WEIGHTS = {"a": np.linspace(-1, 1, 12).reshape(3, 4), "b": np.linspace(0, 1, 4)}
X = np.linspace(-1, 2, 15).reshape(5, 3)


@pytest.mark.parametrize(
    "compute",
    [
        lambda: value_and_grad(network)(WEIGHTS, X),
        lambda: grad(lambda b: xp.sum(grad(network)({**WEIGHTS, "b": b}, X)["b"] ** 2))(
            WEIGHTS["b"]
        ),
        lambda: xp.sum(Tensor(X, requires_grad=True) ** 2).backward(),
        lambda: network({k: Tensor(v, requires_grad=True) for k, v in WEIGHTS.items()}, X),
    ],
    ids=["grad", "second", "backward", "unswept"],
)
def test_nothing_makes_reference_cycles(no_collector, compute):
    compute()
    gc.collect()
    for _ in range(3):
        compute()
    assert gc.collect() == 0


def test_a_thousand_gradients_leave_memory_flat(no_collector):
    call = value_and_grad(lambda w, x: xp.sum(xp.tanh(x @ w["a"] + w["b"])))
    tracemalloc.start()
    try:
        for _ in range(2500):  # CPython keeps up to 2,000 freed tuples of a length for reuse
            call(WEIGHTS, X)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            call(WEIGHTS, X)
        assert tracemalloc.get_traced_memory()[0] - before < 10_000
    finally:
        tracemalloc.stop()


# ---- finding NaN ------------------------------------------------------------------------------


def test_debug_nans_names_the_function_and_the_ranges_forward(backend):
    x = Tensor(backend.asarray([[-1.0, 2.0], [0.5, 7.0]], "float32"), requires_grad=True)
    caught = pytest.raises(FloatingPointError)
    with np.errstate(all="ignore"), lamina.debug_nans(), caught as error:
        xp.log(x)
    told = str(error.value)
    assert "log gave float32 (2, 2) with 1 of 4 elements not finite" in told
    assert "from float32 (2, 2) in [-1, 7]" in told


def test_debug_nans_names_the_function_backward():
    x = leaf(0.0, 4.0)
    with np.errstate(all="ignore"), lamina.debug_nans():
        y = xp.sum(xp.sqrt(x))
        with pytest.raises(
            FloatingPointError, match=r"gradient of sqrt is float64 \(2,\) with 1 of 2"
        ):
            y.backward()


def test_debug_nans_looks_at_numbers_without_axes():
    wrong = pytest.raises(FloatingPointError, match=r"divide gave float64 \(\) with 1 of 1")
    with np.errstate(all="ignore"), lamina.debug_nans(), wrong:
        Tensor(np.asarray(1.0)) / 0.0


def test_debug_nans_ends_with_its_block():
    with lamina.debug_nans():
        xp.exp(leaf(1.0))
    with np.errstate(all="ignore"):
        assert math.isnan(xp.log(leaf(-1.0)).item())


# ---- ops, kernels, primitives -----------------------------------------------------------------


def forget(*names):
    for name in names:
        OPS.pop(name, None)
        KERNELS.pop(name, None)


@pytest.fixture
def cube():
    @op
    def cube(xp, x, y=None, *, scale=1.0):
        """scale * x**3 + y"""
        out = scale * x**3
        return out if y is None else out + y

    yield cube
    forget("cube")


def test_an_op_without_a_kernel_is_its_definition(cube, backend):
    x = backend.asarray([1.0, 2.0], "float64")
    assert_close(cube(x, scale=2.0), backend.asarray([2.0, 16.0], "float64"))
    check_grads(lambda a, b: cube(a, b, scale=2.0), (x, x), order=3)


def test_calls_of_an_op(cube):
    x = floats(1, 2)
    assert_close(cube(x, None, 2.0), 2 * x**3)
    assert_close(cube(x=x, y=x), x**3 + x)
    assert_close(cube(x, y=x, scale=3.0), 3 * x**3 + x)
    assert isinstance(cube(Tensor(x)), Tensor) and not cube(Tensor(x)).requires_grad
    with pytest.raises(TypeError, match="takes 3 arguments"):
        cube(x, x, 1.0, 2.0)
    with pytest.raises(TypeError, match="got scale twice"):
        cube(x, x, 1.0, scale=2.0)
    with pytest.raises(TypeError, match="needs its argument 'x'"):
        cube(y=x)


def test_a_kernel_serves_the_first_order_and_the_definition_the_second(cube):
    calls = []

    @kernel("cube", "numpy")
    def fast(xp, needs, x, y, *, scale):
        calls.append(needs)

        def pullback(g):
            return g * 1000.0 * x, (g if needs[1] else None)  # wrong on purpose

        return scale * x**3 + (0 if y is None else y), pullback

    x = floats(1, 2)
    assert_close(grad(lambda a: xp.sum(cube(a)))(x), 1000 * x)
    assert_close(grad(lambda a: xp.sum(cube(a, scale=2.0)))(x), 1000 * x)
    second = grad(lambda a: xp.sum(grad(lambda b: xp.sum(cube(b)))(a)))(x)
    assert_close(second, 6 * x)
    assert calls[0] == (True, False)
    cube(x)
    assert calls[-1] == (False, False)
    a, b = Tensor(x), Tensor(x, requires_grad=True)
    xp.sum(cube(a, b)).backward()
    assert calls[-1] == (False, True) and a.grad is None
    assert_close(b.grad, floats(1, 1))


def test_a_kernel_of_one_library_does_not_serve_another(cube, backend):
    @kernel("cube", "numpy")
    def fast(xp, needs, x, y, *, scale):
        return x * 0.0, lambda g: (g * 0.0, None)

    x = backend.asarray([1.0, 2.0], "float64")
    numpy = backend.backend.name == "numpy"
    expected = [0.0, 0.0] if numpy else [1.0, 8.0]
    assert_close(cube(x), backend.asarray(expected, "float64"))


def test_a_kernel_may_leave_a_case_to_the_definition(cube):
    @kernel("cube")
    def fast(xp, needs, x, y, *, scale):
        return NotImplemented

    assert_close(grad(lambda a: xp.sum(cube(a)))(floats(1, 2)), floats(3, 12))


def test_a_kernel_that_is_right_passes_the_check_at_order_two(cube):
    @kernel("cube")
    def fast(xp, needs, x, y, *, scale):
        out = scale * x * x * x

        def pullback(g):
            return (3 * scale) * g * x * x if needs[0] else None, g if needs[1] else None

        return out if y is None else out + y, pullback

    x, y = floats(0.5, 2.0), floats(1.5, -2.0)
    check_grads(lambda a, b: cube(a, b, scale=0.7), (x, y), order=3)
    check_grads(lambda a: cube(a, a * a), (x,), order=3)


@pytest.fixture
def polar():
    @op
    def polar(xp, x, y):
        """The two coordinates of a point as length squared and product."""
        return x * x + y * y, x * y

    yield polar
    forget("polar")


def polar_kernel():
    @kernel("polar")
    def fast(xp, needs, x, y):
        def pullback(gs):
            ga, gb = gs
            gx, gy = 0.0 * x, 0.0 * y
            if ga is not None:
                gx, gy = gx + 2.0 * ga * x, gy + 2.0 * ga * y
            if gb is not None:
                gx, gy = gx + gb * y, gy + gb * x
            return gx, gy

        return (x * x + y * y, x * y), pullback


@pytest.mark.parametrize("fast", [False, True])
def test_several_outputs(polar, fast, backend):
    if fast:
        polar_kernel()
    x, y = backend.asarray([1.0, 2.0], "float64"), backend.asarray([3.0, 4.0], "float64")
    check_grads(lambda a, b: polar(a, b), (x, y))
    check_grads(lambda a, b: polar(a, b)[0], (x, y))
    check_grads(lambda a, b: polar(a, b)[1] ** 2, (x, y))
    check_grads(lambda a, b: polar(*polar(a, b)), (x, y))
    plain = polar(x, y)
    assert isinstance(plain, tuple) and not isinstance(plain[0], Tensor)
    constant = polar(Tensor(x), y)
    assert isinstance(constant[1], Tensor) and not constant[1].requires_grad


def test_erf_against_the_standard_librarys(backend):
    x = np.concatenate([np.linspace(-6, 6, 241), [1e-300, -1e-12, 30.0]])
    expected = np.asarray([math.erf(v) for v in x])
    assert_close(
        lamina.ops.erf(backend.asarray(x)), backend.asarray(expected), rtol=1e-15, atol=1e-16
    )


def test_the_namespace_is_the_standard_and_no_more():
    strict = pytest.importorskip("array_api_strict")
    there = {name for name in dir(xp) if hasattr(strict, name)}
    own = {"Device", "ArrayAPIStrictFlags"}
    own |= {f"{verb}_array_api_strict_flags" for verb in ("get", "set", "reset")}
    assert set(dir(xp)) == there
    assert {name for name in strict.__all__ if name[0] != "_"} - there == own
    assert [name for name in dir(xp) if not hasattr(xp, name)] == []
    assert dir(xp) == dir(namespace(Tensor(1.0)))


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("absolute", ": did you mean 'abs'"),
        ("arcsin", ": did you mean 'asin'"),
        ("concatenate", ": did you mean 'concat'"),
        ("transpose", ": did you mean 'permute_dims'"),
        ("busday_count", ""),
    ],
)
def test_names_beyond_the_standard_are_not_there(name, advice):
    assert hasattr(np, name)
    with pytest.raises(AttributeError, match=f"the array API standard has no '{name}'{advice}"):
        getattr(xp, name)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("tahn", "'tanh' or 'tan'"),
        ("einsum", "'lamina.ops.einsum'"),
        ("relu", "'lamina.ops.relu'"),
        ("softmax", "'lamina.ops.softmax'"),
        ("cumsum", "'cumulative_sum'"),
    ],
)
def test_names_that_are_misspelt_or_live_elsewhere_are_told(name, advice):
    with pytest.raises(AttributeError) as caught:
        getattr(xp, name)
    assert str(caught.value).endswith(f"has no {name!r}: did you mean {advice}?")


@pytest.mark.parametrize("name", ["mean", "sum", "reshape", "max", "astype"])
def test_methods_of_others_are_said_to_be_functions(name):
    for x in (Tensor([1.0]), lamina.autograd.Parameter(np.ones(2))):
        kind = type(x).__name__
        with pytest.raises(AttributeError, match=f"'{kind}' object has .*use lamina.xp.{name}\\(x"):
            getattr(x, name)
        assert not hasattr(x, name) and name not in dir(x)
    with pytest.raises(AttributeError, match=r"'Variable' object .*use lamina.xp"):
        grad(lambda x: getattr(x, name)())(np.ones(3))
    with pytest.raises(AttributeError, match=r"attribute 'trace': use lamina\.xp\.linalg\.trace"):
        Tensor([[1.0]]).trace()


@pytest.mark.parametrize("x", [2.0, np.ones(2)])
def test_filling_a_numpy_array_is_refused_in_words(x):
    def fills(x):
        y = np.zeros((2, 2))
        y[0, 1] = xp.sum(x) ** 2
        return xp.sum(y)

    with pytest.raises(TypeError, match=r"NumPy array cannot .*xp\.zeros_like.*xp\.stack") as e:
        grad(fills)(x)
    assert "fills" in [entry.name for entry in e.traceback]

    def other(x):
        np.zeros(2)[0] = [1.0, 2.0]

    with pytest.raises(ValueError, match="setting an array element with a sequence"):
        grad(other)(x)


def test_functions_without_derivative_say_so():
    assert "constant with respect to its arguments" in xp.floor.__doc__
