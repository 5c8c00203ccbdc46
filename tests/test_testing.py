"""lamina.testing tells right gradients from wrong ones, and says where and by how much."""

import numpy as np
import pytest

import lamina
from lamina import testing, xp
from lamina.ops import stop_gradient
from lamina.ops._op import KERNELS, OPS, kernel, op
from lamina.testing import assert_close, check_grads


@pytest.fixture
def halves():
    """An op with a kernel whose gradient at x[1, 0] is wrong by one in a thousand."""

    @op
    def halves(xp, x, y):
        return 0.5 * x * x + y

    @kernel("halves")
    def fast(xp, needs, x, y):
        def pullback(g):
            gx = g * x
            gx = xp.where(spoiled(xp, gx), 1.001 * gx, gx)
            return gx, g

        return 0.5 * x * x + y, pullback

    def spoiled(xp, x):
        rows = xp.arange(x.shape[0], device=x.device)[:, None] == 1
        return rows & (xp.arange(x.shape[1], device=x.device)[None, :] == 0)

    yield halves
    OPS.pop("halves")
    KERNELS.pop("halves")


def test_what_is_wrong_is_named(backend, halves):
    x = backend.asarray([[1.0, 2.0, 3.0], [40.0, 5.0, 6.0]], "float64")
    with pytest.raises(AssertionError) as caught:
        check_grads(halves, (x, x))
    told = str(caught.value)
    assert "derivative 1 of halves with respect to args[0] is wrong" in told
    assert "along a random direction it is" in told and "by finite differences" in told
    assert "relative difference" in told
    assert "at the worst element (1, 0) it is" in told and "relative difference 1.0e-03" in told


def test_what_is_right_passes():
    x = np.linspace(0.1, 1, 6).reshape(2, 3)
    check_grads(xp.tanh, (x,), order=4)
    check_grads(xp.tanh, x)
    check_grads(lambda a, b: a @ b, (x, x.T))


def test_a_thousandth_held_constant_is_found():
    x = np.linspace(0.5, 1, 4)
    with pytest.raises(AssertionError, match="derivative 1 of <lambda>"):
        check_grads(lambda a: a * (0.999 * a + 0.001 * stop_gradient(a)), (x,))


@pytest.mark.parametrize("share", [0.0, 0.001])
def test_a_thousandth_forgotten_at_the_second_order_is_found(share):
    @op
    def cubes(xp, x):
        """What the second order replays: of the right slope, but not of the right curvature."""
        slope = 3 * stop_gradient(x) ** 2
        return x**3 * (1 - share) + share * slope * x

    @kernel("cubes")
    def fast(xp, needs, x):
        return x**3, lambda g: (g * 3 * x**2,)

    x = np.linspace(0.5, 1, 4)
    try:
        check_grads(cubes, (x,), order=1)
        if share:
            with pytest.raises(AssertionError, match=r"derivative 2 of cubes .* args\[0\]"):
                check_grads(cubes, (x,), order=2)
        else:
            check_grads(cubes, (x,), order=2)
    finally:
        OPS.pop("cubes")
        KERNELS.pop("cubes")


def test_a_gradient_that_was_lost_is_found():
    with pytest.raises(AssertionError, match="it is 0, by finite differences"):
        check_grads(lambda a: xp.sin(a.detach()), (np.linspace(0.5, 1, 4),))


def test_a_gradient_that_is_not_finite_is_found():
    with np.errstate(all="ignore"), pytest.raises(AssertionError, match="nan|inf"):
        check_grads(lambda a: xp.where(a > 0, xp.log(a), 0.0), (np.asarray([0.0, 1.0]),))


def test_nests_numbers_and_constants(backend):
    w = {"kernel": backend.asarray(np.eye(2), "float32"), "bias": [0.5, (1.5,)]}
    rows = backend.asarray([1, 0, 1])
    seen = []

    def f(w, rows, times, name, nothing):
        assert isinstance(times, int) and name == "x" and nothing is None
        seen.append(
            (backend.backend.dtype_name(w["kernel"].dtype), isinstance(w["bias"][0], lamina.Tensor))
        )
        out = xp.take(w["kernel"], rows, axis=0) * w["bias"][0] ** times
        return {"a": out, "b": [w["bias"][1][0] * w["kernel"], rows]}

    check_grads(f, (w, rows, 3, "x", None))
    assert set(seen) == {("float64", True)}
    assert w["bias"] == [0.5, (1.5,)]


def test_the_argument_is_named_by_its_path():
    wrong = lambda w: w["a"][0] * w["b"] * w["b"].detach()
    with pytest.raises(AssertionError, match=r"with respect to args\[0\]\['b'\] is wrong"):
        check_grads(wrong, ({"a": [2.0], "b": np.asarray([1.5, 2.5])},))


def test_tensors_and_parameters_are_arguments_like_arrays():
    x = lamina.Parameter(np.asarray([1.0, 2.0], np.float32), "kernel")
    check_grads(lambda a: a**2, (x,))
    assert x.grad is None and x.dtype == np.float32


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(TypeError, match="argument of floating-point numbers, got none"):
        check_grads(xp.exp, (np.arange(3),))
    with pytest.raises(TypeError, match="returns floating-point arrays"):
        check_grads(lambda x: x > 0, (np.ones(2),))


def test_complex_arguments_and_results(backend):
    z = backend.asarray([[0.5 + 1j, -2.0], [0.25j, 1 - 1j]], "complex64")
    x = backend.asarray([1.5, 0.5], "float64")
    check_grads(lambda z, x: {"a": xp.exp(z) * x, "b": xp.abs(z)}, (z, x))
    twice = lambda z: xp.conj(z) * (z + z.detach())  # |z|**2 twice, once half held constant
    with pytest.raises(AssertionError, match=r"at the worst element \(\d, \d\) it is"):
        check_grads(twice, (z,))


def test_forward_mode_is_checked_by_itself():
    """A rule that is not linear in g has another transpose, which only forward mode sees."""
    wrong = lambda xp, g, x: 2 * g * x + 1e-3 * (g - stop_gradient(g)) * x
    square = lamina.primitive(x=wrong)(lambda x: x * x)
    check_grads(square, (np.linspace(0.5, 1, 6).reshape(2, 3),), order=1, modes="reverse")
    with pytest.raises(AssertionError) as caught:
        check_grads(square, (np.linspace(0.5, 1, 6).reshape(2, 3),), order=1)
    told = str(caught.value)
    assert "derivative 1 of" in told and "args[0] is wrong in forward mode" in told
    assert "at the worst element of the result (" in told and "relative difference 5.0e-04" in told


def test_forward_over_forward_and_reverse_over_reverse():
    x = np.linspace(0.1, 1, 6).reshape(2, 3)
    for modes in ("forward", "reverse", ("forward", "reverse"), ["reverse"]):
        check_grads(lambda a: {"a": xp.tanh(a) ** 2, "b": [xp.sum(a)]}, (x,), 3, modes=modes)
    for modes in ("backward", (), ("forward", "both")):
        with pytest.raises(ValueError, match='modes must be "forward", "reverse" or both, got'):
            check_grads(xp.tanh, (x,), modes=modes)


def test_which_of_several_results_is_wrong_going_forward():
    wrong = lambda xp, g, x: g * x * 2 + 0.01 * (g - stop_gradient(g))
    square = lamina.primitive(x=wrong)(lambda x: x * x)
    with pytest.raises(AssertionError, match=r"worst element of result 1 \(\d,\)"):
        check_grads(lambda x: (x, square(x)), (np.linspace(0.5, 1, 4),))


def test_dataclasses_and_custom_rules(backend):
    import dataclasses

    @dataclasses.dataclass(frozen=True)
    class State:
        place: object
        speed: object
        steps: int = 2

    @lamina.custom_vjp
    def cube(x):
        return x**3

    share = [0.0]
    cube.defvjp(lambda x: (x**3, x), lambda x, g: ((3 + share[0]) * g * x**2,))

    def f(state):
        for _ in range(state.steps):
            state = dataclasses.replace(state, place=state.place + cube(state.speed))
        return state

    x = backend.asarray([1.0, 2.0], "float64")
    check_grads(f, (State(x, x / 2),))
    share[0] = 0.003
    with pytest.raises(AssertionError, match=r"args\[0\]\.speed is wrong"):
        check_grads(f, (State(x, x / 2),))


def test_the_check_repeats_itself():
    told = []
    for _ in range(2):
        with pytest.raises(AssertionError) as caught:
            check_grads(lambda a: a * a.detach(), (np.linspace(1, 2, 5),), seed=3)
        told.append(str(caught.value))
    assert told[0] == told[1]


# ---- assert_close -----------------------------------------------------------------------------


def test_close_arrays_pass(backend):
    x = backend.asarray([1.0, 2.0, float("nan")], "float32")
    assert_close(x, x)
    assert_close(lamina.Tensor(x), x + 0)
    assert_close(x, [1.0, 2.0, float("nan")])
    assert_close(x * (1 + 1e-6), x)
    assert_close(backend.asarray(0.0), 1e-9, atol=1e-8)
    assert_close(backend.asarray([1, 2]), [1, 2])


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (np.asarray([1.0, 2.1]), "Mismatched elements: 1 / 2"),
        (np.asarray([[1.0, 2.0]]), r"shape is \(2,\), expected \(1, 2\)"),
        (np.asarray(1.0), r"shape is \(2,\), expected \(\)"),
        (np.asarray([1.0, 2.0], np.float32), "dtype is float64, expected float32"),
        ([1.0, 2.0 + 1e-11], "Mismatched elements: 1 / 2"),
    ],
)
def test_what_differs_is_said(other, words):
    with pytest.raises(AssertionError, match=words):
        assert_close(np.asarray([1.0, 2.0]), other)


def test_libraries_and_devices_differ():
    numpy, first, second = (
        lamina.backend.get(name).asarray([1.0])
        for name in ("numpy", "array_api_strict", "array_api_strict:device1")
    )
    with pytest.raises(AssertionError, match="library is numpy, expected array_api_strict"):
        assert_close(numpy, first)
    with pytest.raises(AssertionError, match="device is .*, expected array_api_strict:device1"):
        assert_close(first, second)


# ---- backends ---------------------------------------------------------------------------------


def test_backends_come_with_what_is_missing(monkeypatch):
    found = testing.backends()
    assert list(found) == list(testing.BACKENDS) and found["numpy"] is None
    monkeypatch.setattr(testing, "BACKENDS", ("numpy", "lamina_no_such_library:gpu"))
    assert testing.backends() == {
        "numpy": None,
        "lamina_no_such_library:gpu": "the package lamina_no_such_library is not installed",
    }
