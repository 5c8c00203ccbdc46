"""Derivatives of a user's own: primitive and custom_vjp, right to any order, refused where not."""

import math

import numpy as np
import pytest

import lamina
from lamina import (
    Tensor,
    checkpoint,
    custom_vjp,
    grad,
    hessian,
    hvp,
    jvp,
    primitive,
    stop_gradient,
    xp,
)
from lamina.backend import namespace
from lamina.testing import assert_close, check_grads

X = np.asarray([0.3, 0.7, 1.1])
Y = np.asarray([[2.0], [-3.0]])


# ---- primitive --------------------------------------------------------------------------------


@primitive(
    x=lambda xp, g, y, times: times * g * y,
    y=lambda xp, g, x, times: times * g * x,
)
def product_times(x, y, *, times=1):
    """times * x * y"""
    return times * x * y


@primitive(x=lambda xp, g, out: g[0] * out[1] - g[1] * out[0])
def sincos(x):
    xp = namespace(x)
    return xp.sin(x), xp.cos(x)


@primitive(x=lambda xp, g, x_shape: xp.reshape(g, x_shape))
def flat(x, unused=None):
    return namespace(x).reshape(x, (-1,))


def test_a_primitive_has_the_derivatives_of_its_rules(backend):
    x, y = backend.asarray(X, "float64"), backend.asarray(Y, "float64")
    check_grads(lambda a, b: product_times(a, b, times=3), (x, y), order=3)
    assert_close(product_times(x, x), x * x)
    assert_close(product_times(y=x, x=x, times=2), 2 * x * x)
    assert isinstance(product_times(Tensor(x), x), Tensor)
    assert product_times.__doc__ == "times * x * y"
    check_grads(lambda a: flat(a) ** 3, (y,))


def test_a_primitive_of_several_results(backend):
    x = backend.asarray(X, "float64")
    check_grads(sincos, (x,), order=4)
    check_grads(lambda x: sincos(x)[0], (x,), order=3)
    check_grads(lambda x: sincos(sincos(x)[1])[0], (x,), order=3)
    assert_close(grad(lambda x: xp.sum(sincos(x)[1]))(x), -xp.sin(x))
    out = sincos(Tensor(x))
    assert isinstance(out, tuple) and not out[0].requires_grad


def test_a_primitive_in_complex_numbers():
    power = primitive(z=lambda xp, g, z: 3 * g * z * z)(lambda z: z**3)
    check_grads(lambda z: power(z), (X * (1 + 0.5j),))


def test_a_primitive_under_a_name_of_the_standard_is_not_the_standards():
    @primitive(x=lambda xp, g, out: 2 * g * xp.sum(out))
    def exp(x):
        return 2 * namespace(x).sum(x)

    assert_close(xp.exp(X), np.exp(X))
    assert_close(jvp(xp.exp, (X,), (X,))[1], X * np.exp(X))


def test_a_wrong_rule_is_found():
    slope = lambda share: lambda xp, g, x: g * 2.0 * x * (1 + share)
    square = lambda share: primitive(x=slope(share))(lambda x: x * x)
    check_grads(square(0.0), (X,))
    for modes in ("reverse", "forward"):
        with pytest.raises(AssertionError, match=r"derivative 1 of[^\0]* difference 1\.0e-03"):
            check_grads(square(1e-3), (X,), modes=modes)


@pytest.mark.parametrize("modes", ["reverse", "forward", ("forward", "reverse")])
def test_a_rule_that_is_wrong_at_the_second_order_is_found(modes):
    """A thousandth of the slope is held constant: right itself, not so its derivative."""
    slope = lambda xp, g, x: 2 * g * (0.999 * x + 0.001 * stop_gradient(x))
    square = primitive(x=slope)(lambda x: x * x)
    check_grads(square, (X,), order=1, modes=modes)
    with pytest.raises(AssertionError, match="derivative 2 of"):
        check_grads(square, (X,), modes=modes)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"z": lambda xp, g: g}, r"has no 'z' \(a rule for\): did you mean|there are x, y"),
        ({"x": lambda xp, g, outt: g}, "has no 'outt' .in the rule of 'x'.: did you mean 'out'"),
        ({}, "needs a rule for one of its parameters"),
    ],
)
def test_rules_that_name_what_there_is_not(rules, words):
    with pytest.raises(TypeError, match=words):

        @primitive(**rules)
        def f(x, y):
            return x


def test_parameters_need_names():
    with pytest.raises(TypeError, match=r"not \*args, \*\*kwargs"):
        primitive(x=lambda xp, g: g)(lambda x, *args: x)


def test_an_argument_without_a_rule_is_a_constant():
    scaled = primitive(x=lambda xp, g, by: g * by)(lambda x, by: x * by)
    assert_close(grad(lambda x: xp.sum(scaled(x, Tensor(X))))(X), X)
    with pytest.raises(NotImplementedError, match="with respect to 'by': pass it as .detach"):
        grad(lambda x: xp.sum(scaled(x, x)))(X)


# ---- custom_vjp -------------------------------------------------------------------------------


def made(f, forward, backward):
    return custom_vjp(f).defvjp(forward, backward)


def test_second_derivatives_go_through_computed_residuals(backend):
    x, y = backend.asarray(X, "float64"), backend.asarray(Y, "float64")
    f = made(
        lambda x, y: xp.sum(xp.sin(x) * y),
        lambda x, y: (xp.sum(xp.sin(x) * y), (xp.cos(x), xp.sin(x), {"y": y})),
        lambda r, g: (g * xp.sum(r[0] * r[2]["y"], axis=0),
                      g * xp.sum(r[1], axis=-1, keepdims=True) + 0 * r[2]["y"]),
    )  # fmt: skip
    check_grads(f, (x, y), order=3)


def test_residuals_that_are_results_are_known_as_such():
    """Newton's iteration for a square root, which nobody wants to differentiate."""

    def root(x):
        assert not isinstance(x, Tensor)
        out = x * 0 + 1
        for _ in range(30):
            out = 0.5 * (out + x / out)
        return out

    sqrt = custom_vjp(root)
    forward = lambda x: (lambda out: (out, out))(root(x))
    sqrt.defvjp(forward, lambda out, g: (g / (2 * out),))
    check_grads(sqrt, (X,), order=3)
    third = grad(grad(grad(sqrt)))(np.asarray(4.0))
    assert_close(third, np.asarray(3 / 8 * 4**-2.5), rtol=1e-12)


def test_nests_in_and_out(backend):
    x = backend.asarray(X, "float64")

    def forward(w, power):
        e = xp.exp(w["x"])
        return {"e": e, "s": [xp.sum(w["x"] ** power)]}, (e, w, power)

    def backward(residuals, g):
        e, w, power = residuals
        slope = power * w["x"] ** (power - 1)
        return {"x": g["e"] * e + g["s"][0] * slope, "name": None}, None

    f = made(lambda w, power=2: forward(w, power)[0], forward, backward)
    check_grads(lambda x: f({"x": x, "name": "w"}), (x,), order=3)
    check_grads(lambda x: f({"x": x, "name": "w"}, power=3)["s"], (x,), order=2)
    assert backend.backend.owns(f({"x": x, "name": "w"})["e"])
    constant = f({"x": Tensor(x), "name": "w"})
    assert isinstance(constant["e"], Tensor) and not constant["e"].requires_grad
    assert_close(jvp(lambda x: f({"x": x, "name": ""})["e"], (x,), (x,))[1], x * xp.exp(x))


def test_a_gradient_other_than_the_functions():
    clipped = made(lambda x: x, lambda x: (x, ()), lambda _, g: (xp.clip(g, -1.0, 1.0),))
    assert_close(grad(lambda x: xp.sum(5 * clipped(x)))(X), np.ones(3))


def test_custom_vjp_under_checkpoint_and_hvp():
    f = made(lambda x: xp.sin(x), lambda x: (xp.sin(x), xp.cos(x)), lambda c, g: (g * c,))
    loss = lambda f: lambda x: xp.sum(f(f(2 * x)) ** 2)
    assert_close(hessian(loss(checkpoint(f)))(X), hessian(loss(xp.sin))(X), rtol=1e-10, atol=1e-14)
    assert_close(hvp(loss(f), (X,), (X,))[0], hvp(loss(xp.sin), (X,), (X,))[0], rtol=1e-10)


def test_forward_mode_does_not_need_forward_to_be_in_lamina_xp():
    f = made(lambda x: np.sin(x), lambda x: (np.sin(x), np.cos(x)), lambda c, g: (g * c,))
    assert_close(jvp(f, (X,), (X,))[1], X * np.cos(X))
    assert_close(grad(lambda x: xp.sum(f(x)))(X), np.cos(X))
    with pytest.raises(TypeError, match="lose the gradient"):  # never a silent constant
        hessian(lambda x: xp.sum(f(x)))(X)


@pytest.mark.parametrize("hide", [lambda c: lambda: c, lambda c: float(np.sum(c))])
def test_residuals_cannot_hide(hide):
    """A residual within a function or a number is computed again, or refused, never constant."""
    f = made(
        lambda x: xp.sum(xp.sin(x)),
        lambda x: (xp.sum(xp.sin(x)), hide(xp.cos(x))),
        lambda r, g: (g * (r() if callable(r) else r) + 0 * X,),
    )
    grad(f)(X)
    if hide(1.0) == 1.0:
        with pytest.raises(TypeError, match="gradient"):
            hessian(f)(X)
    else:
        assert_close(hessian(f)(X), np.diag(-np.sin(X)), atol=1e-15)


w = Tensor(X, requires_grad=True)


@pytest.mark.parametrize(
    ("forward", "backward", "error", "words"),
    [
        (lambda x, y: x, lambda r, g: (g, g), TypeError, r"return a pair \(out, residuals\), got"),
        (lambda x, y: (x * y, ()), lambda r, g: g, TypeError, "each of its 2 arguments, got nd"),
        (lambda x, y: (x * y, ()), lambda r, g: (g,), TypeError, "of its 2 arguments, got 1"),
        (lambda x, y: (x * y, ()), lambda r, g: (g[:2], g), ValueError,
         r"gradient 0 must have the argument's shape \(3,\), got \(2,\)"),
        (lambda x, y: (x * y, ()), lambda r, g: (g, {"a": g}), TypeError, "gradient 1 must be an"),
        (lambda x, y: (x * w, ()), lambda r, g: (g, g), TypeError, "its result with a tensor that"),
        (lambda x, y: (x * y, w * x), lambda r, g: (g, g), TypeError, "its residuals with a"),
        (lambda x, y: ("a", ()), lambda r, g: (g, g), TypeError, "must return arrays, got str"),
    ],
)  # fmt: skip
def test_functions_that_do_not_fit(forward, backward, error, words):
    f = made(lambda x, y: x * y, forward, backward)
    with pytest.raises(error, match=words):
        grad(lambda x: xp.sum(f(x, x)))(X)


def test_what_a_custom_vjp_needs():
    f = custom_vjp(lambda x: x)
    with pytest.raises(TypeError, match="no backward pass yet: call .*defvjp"):
        f(X)
    with pytest.raises(TypeError, match="cannot have keyword-only arguments: n"):
        made(lambda x, *, n=1: x, None, lambda r, g: (g,))(X, n=2)
    released = made(lambda x: x * 2, lambda x: (x * 2, x), lambda r, g: (2 * g,))
    out = xp.sum(released(Tensor(X, requires_grad=True)))
    out.backward()
    with pytest.raises(RuntimeError, match="swept before"):
        out.backward()


def test_erf_is_such_a_primitive():
    assert_close(lamina.ops.erf(np.asarray(0.5)), np.asarray(math.erf(0.5)), rtol=1e-15)
    check_grads(lamina.ops.erf, (X,), order=3)
