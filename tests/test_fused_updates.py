"""A step of an optimizer in few calls: their number, and the kernel that a rule writes itself.

Without a device the kernel's text is run in two ways: by Python, whose operators it shares, on a
library that stands for a device; and as C++, compiled for the host, where a compiler is there.
"""

import collections
import ctypes
import shutil
import subprocess

import numpy as np
import pytest

import lamina
from lamina import backend as backends
from lamina import optimizers
from lamina.kernels import fused_updates, tracing
from lamina.kernels.fused_updates import FUSED

PLACE = "array_api_strict:device1"
RNG = np.random.default_rng(0)

RULES = {
    "sgd": lambda **how: optimizers.SGD(0.1, **how),
    "momentum": lambda **how: optimizers.SGD(0.1, 0.9, **how),
    "nesterov": lambda **how: optimizers.SGD(0.1, 0.9, nesterov=True, **how),
    "rmsprop": lambda **how: optimizers.RMSprop(0.01, centered=True, momentum=0.5, **how),
    "adagrad": lambda **how: optimizers.Adagrad(0.1, **how),
    "adadelta": lambda **how: optimizers.Adadelta(0.1, **how),
    "adam": lambda **how: optimizers.Adam(0.01, **how),
    "amsgrad": lambda **how: optimizers.Adam(0.01, amsgrad=True, **how),
    "adamax": lambda **how: optimizers.Adamax(0.01, **how),
    "nadam": lambda **how: optimizers.Nadam(0.01, **how),
}
AROUND = [
    {},
    {"clipvalue": 0.1},
    {"weight_decay": 0.1},
    {"use_ema": True, "ema_overwrite_frequency": 2},
]


def parameters(count):
    home = backends.get(PLACE)
    shapes = [(3, 1 + i % 3) for i in range(count)]
    return [lamina.Parameter(home.asarray(RNG.normal(size=s), "float32")) for s in shapes]


def calls_of_a_step(optimizer, count):
    """How many calls the third step of an optimizer of ``count`` parameters makes."""
    params = parameters(count)
    home = backends.get(PLACE)
    steps = [[home.asarray(RNG.normal(size=p.shape), "float32") for p in params] for _ in range(3)]
    made = collections.Counter()
    optimizer.build(params)
    optimizer.apply(steps[0])
    optimizer.apply(steps[1])
    with backends.calls.counting(home, lambda name: made.update([name])):
        optimizer.apply(steps[2])
    return made


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("around", [*AROUND, {"global_clipnorm": 0.1}])
def test_a_step_takes_as_many_calls_for_2_parameters_as_for_40(rule, around):
    few = calls_of_a_step(RULES[rule](**around), 2)
    many = calls_of_a_step(RULES[rule](**around), 40)
    assert few == many
    assert many.total() < 30


def test_adam_takes_13_calls_and_norms_of_each_gradient_one_more_each():
    assert calls_of_a_step(optimizers.Adam(), 40).total() == 13
    each = calls_of_a_step(optimizers.Adam(clipnorm=0.1), 40)
    assert each.pop("vecdot") == 40
    assert each.total() == 13 + 6  # stack, sqrt, clip, quotient; concat, product


def test_gradients_are_held_back_in_as_many_calls_for_2_parameters_as_for_40():
    made = []
    for count in (2, 40):
        params, home = parameters(count), backends.get(PLACE)
        optimizer = optimizers.Adam(gradient_accumulation_steps=3)
        optimizer.build(params)
        grads = [home.asarray(RNG.normal(size=p.shape), "float32") for p in params]
        for _ in range(3):
            optimizer.apply(grads)
        made.append(collections.Counter())
        with backends.calls.counting(home, lambda name: made[-1].update([name])):
            for _ in range(3):
                optimizer.apply(grads)
    assert made[0] == made[1]
    assert made[1].total() == 13 + 3 + 2 + 1  # Adam; joined, added, divided


def test_what_is_held_back_is_the_same_whether_or_not_as_one():
    """Bit for bit, also where a gradient is missing half way, and through a saved state."""

    def run(how):
        rng, home = np.random.default_rng(3), backends.get(PLACE)
        params = [lamina.Parameter(home.asarray(rng.normal(size=s), "float32")) for s in SHAPES]
        optimizer = optimizers.Adam(0.1, gradient_accumulation_steps=3)
        optimizer.build(params)
        for call in range(9):
            grads = [home.asarray(rng.normal(size=s), "float32") for s in SHAPES]
            if call == 4:
                grads[1] = None
            optimizer.apply(grads)
            if how == "looked at":
                assert optimizer.state()["held_calls"] == (call + 1) % 3
            if how == "saved" and call in (0, 3, 4, 7):
                state, optimizer = optimizer.state(), optimizers.Adam(
                    0.1, gradient_accumulation_steps=3
                )  # fmt: skip
                optimizer.build(params)
                optimizer.set_state(state)
        return [home.to_numpy(p.data) for p in params]

    SHAPES = [(3, 2), (4,), (2, 2, 2)]
    expected = run("plainly")
    for how in ("looked at", "saved"):
        for a, b in zip(run(how), expected, strict=True):
            np.testing.assert_array_equal(a, b)


# ---- the kernel ---------------------------------------------------------------------------------


def in_python(text, slots, told, numbers):
    """A kernel that runs its text line by line as Python, on arrays of any library."""

    def kernel(p, g, *rest):
        xp = backends.namespace(p)
        scope = {
            "T": lambda value: value,
            "exp": xp.exp,
            "expm1": xp.expm1,
            "fabs": xp.abs,
            "larger": lambda a, b: xp.where((a > b) | (a != a), a, b),
            "p": p,
            "g": g,
            "smaller": lambda a, b: xp.where((a < b) | (a != a), a, b),
            "sqrt": xp.sqrt,
        }
        counts = {"a": slots, "d": told, "c": numbers}
        names = [f"{letter}{k}" for letter, count in counts.items() for k in range(count)]
        scope |= dict(zip(names, rest, strict=True))
        for line in text.splitlines():
            exec(line.removeprefix("const T ").removesuffix(";"), scope)
        return tuple(scope[name] for name in ("q", *(f"b{k}" for k in range(slots))))

    return kernel


@pytest.fixture
def fused_here(monkeypatch):
    """The library that stands for a device has the fused step, its kernels run by Python.

    Gives the list of texts that were run.
    """
    texts = []
    monkeypatch.setattr(
        fused_updates, "_kernel", lambda text, *sizes: texts.append(text) or in_python(text, *sizes)
    )
    monkeypatch.setitem(FUSED, "array_api_strict", fused_updates.fused)
    return texts


def stepped(make, steps=5):
    """Parameters and state after some steps."""
    lamina.utils.set_random_seed(0)
    rng = np.random.default_rng(1)
    home = backends.get(PLACE)
    shapes = [(3, 2), (4,), (2, 2, 2)]
    params = [lamina.Parameter(home.asarray(rng.normal(size=s), "float32")) for s in shapes]
    optimizer = make()
    optimizer.build(params)
    for _ in range(steps):
        optimizer.apply([home.asarray(rng.normal(size=s), "float32") for s in shapes])
    arrays = [p.data for p in params] + [
        a for name, a in optimizer.state().items() if "/" in name
    ]  # fmt: skip
    return [home.to_numpy(a) for a in arrays]


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("rule", RULES)
def test_the_kernel_is_the_rule_to_the_last_bit(rule, around, request):
    make = lambda: RULES[rule](**around)
    expected = stepped(make)
    texts = request.getfixturevalue("fused_here")
    got = stepped(make)
    assert len(texts) == 5
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == b.dtype == np.float32
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("rule", RULES)
def test_a_fused_step_is_two_launches_for_any_number_of_parameters(rule, monkeypatch):
    monkeypatch.setitem(FUSED, "array_api_strict", fused_updates.fused)
    silent = lambda text, slots, told, numbers: lambda p, g, *rest: (p, *rest[:slots])
    monkeypatch.setattr(fused_updates, "_kernel", silent)
    for count in (2, 40):
        made = calls_of_a_step(RULES[rule](weight_decay=0.1, clipvalue=0.5, use_ema=True), count)
        assert made == {"concat": 1, "update": 1}


def test_the_text_stays_the_same_from_step_to_step():
    for make in RULES.values():
        rule = make(weight_decay=0.1)
        texts = {
            fused_updates._written(rule, len(rule.slots), step, 0.1 / step, True)[0]
            for step in range(1, 9)
        }
        assert len(texts) == 1


class Odd(optimizers.Optimizer):
    """A rule of one's own, with a function that kernels are not written with."""

    slots = ("m",)

    def update(self, xp, p, g, state, step, rate):
        return p - xp.sign(g) * rate, (xp.cumulative_sum(g * g),)


class Own(optimizers.Optimizer):
    """A rule of one's own that can be written."""

    slots = ("m",)

    def update(self, xp, p, g, state, step, rate):
        m = xp.minimum(xp.maximum(state[0], xp.square(g)), 4.0)
        return -(-p + g * rate / xp.exp(m)), (m,)


@pytest.mark.parametrize("make", [Odd, Own])
def test_rules_of_ones_own_are_written_or_else_done_as_they_stand(make, request):
    expected = stepped(make)
    texts = request.getfixturevalue("fused_here")
    got = stepped(make)
    assert len(texts) == (0 if make is Odd else 5)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    written = fused_updates._written(make(), 1, 1, 0.1, False)
    assert (written is None) == (make is Odd)


@pytest.mark.parametrize("rule", ["sgd", "adam", "amsgrad", "adamax"])
def test_a_step_that_may_be_skipped_is_written_too(rule, request):
    """With a loss scale the device alone knows how many steps were done."""

    def run():
        return stepped(lambda: optimizers.LossScaleOptimizer(RULES[rule](), initial_scale=1.0))

    expected = run()
    texts = request.getfixturevalue("fused_here")
    got = run()
    assert len(texts) == 5
    assert all("d0" in text for text in texts) == (rule != "sgd")
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


class OnDevice(optimizers.Optimizer):
    """Adam's rule for a number of steps that only the device knows."""

    slots = ("m", "v")

    def update(self, xp, p, g, state, step, rate):
        m, v = (s + (x - s) * 0.1 for s, x in zip(state, (g, g * g), strict=True))
        return p - m / (xp.sqrt(v) + 1e-7) * (rate / -xp.expm1(step * -0.1)), (m, v)


@pytest.mark.parametrize("rate", ["a number", "an array"])
def test_numbers_that_only_the_device_knows_are_part_of_the_kernel(rate, fused_here):
    home, rule = backends.get(PLACE), OnDevice()
    p, g, m, v = (home.asarray(RNG.normal(size=9) ** 2, "float32") for _ in range(4))
    step = home.asarray(3.0, "float32")
    rate = 0.1 if rate == "a number" else home.asarray(0.1, "float32")
    new, state = fused_updates.fused(rule, home.xp, p, g, (m, v), step, rate, False)
    assert len(fused_here) == 1
    assert ("d1" in fused_here[0]) == (not isinstance(rate, float))
    expected, expected_state = rule.update(home.xp, p, g, (m, v), step, rate)
    for a, b in zip((new, *state), (expected, *expected_state), strict=True):
        np.testing.assert_array_equal(home.to_numpy(a), home.to_numpy(b))


def test_parameters_without_a_gradient_stay_with_the_fused_step(fused_here):
    home = backends.get(PLACE)
    params = parameters(3)
    before = [home.to_numpy(p.data).copy() for p in params]
    optimizer = optimizers.Adam()
    optimizer.apply([None, params[1].data, None], params)
    for i, (p, old) in enumerate(zip(params, before, strict=True)):
        assert (home.to_numpy(p.data) == old).all() == (i != 1)


def test_nan_goes_through_the_kernels_comparisons(fused_here):
    home = backends.get(PLACE)
    p = lamina.Parameter(home.asarray([1.0, 1.0], "float32"))
    optimizers.Adamax(clipvalue=1.0).apply([home.asarray([np.nan, 1.0], "float32")], [p])
    assert np.isnan(home.to_numpy(p.data)).tolist() == [True, False]


def as_cpp(text, slots, numbers, folder):
    """The kernel's text compiled for the host: a function of float32 arrays."""
    inputs = ["p", "g", *(f"a{k}" for k in range(slots))]
    outputs = ["q", *(f"b{k}" for k in range(slots))]
    scalars = [f"c{k}" for k in range(numbers)]
    signature = [f"const T* {n}_" for n in inputs] + [f"T* {n}_" for n in outputs]
    signature += [f"T {n}" for n in scalars]
    body = [f"const T {n} = {n}_[k];" for n in inputs] + [f"T& {n} = {n}_[k];" for n in outputs]
    source = "\n".join(
        [
            "#include <cmath>\nusing std::fabs; using std::exp; using std::sqrt; typedef float T;",
            tracing.PREAMBLE.replace("__device__", ""),
            f'extern "C" void run(long n, {", ".join(signature)}) {{',
            "for (long k = 0; k < n; ++k) {",
            *body,
            text,
            "}}",
        ]
    )
    (folder / "kernel.cpp").write_text(source)
    command = ["g++", "-O2", "-ffp-contract=off", "-shared", "-fPIC", "-o"]
    subprocess.run([*command, folder / "k.so", folder / "kernel.cpp"], check=True, timeout=60)
    run = ctypes.CDLL(str(folder / "k.so")).run

    def kernel(*arrays_and_numbers):
        arrays, values = arrays_and_numbers[: 2 + slots], arrays_and_numbers[2 + slots :]
        results = [np.empty_like(arrays[0]) for _ in outputs]
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (*arrays, *results)]
        run(ctypes.c_long(arrays[0].size), *pointers, *map(ctypes.c_float, values))
        return results

    return kernel


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ to compile the text with")
@pytest.mark.parametrize("rule", ["adam", "amsgrad", "adamax", "rmsprop"])
def test_the_text_as_cpp_is_the_rule_to_the_last_bit(rule, tmp_path):
    made = RULES[rule](clipvalue=1.5, weight_decay=0.1)
    slots = len(made.slots)
    p, g = (RNG.normal(size=1000).astype("float32") for _ in range(2))
    state = tuple(RNG.uniform(1, 2, 1000).astype("float32") / 4**k for k in range(slots))
    text, numbers = fused_updates._written(made, slots, 3, 0.01, True)
    got = as_cpp(text, slots, len(numbers), tmp_path)(p, g, *state, *numbers)
    new, new_state = made.advance(made.update, np, p, g, state, 3, 0.01, True)
    for a, b in zip(got, (new, *new_state), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.gpu
@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("rule", RULES)
def test_on_the_device_the_kernel_is_the_rule_to_the_last_bit(rule, around, monkeypatch):
    home = backends.get("cupy")
    rng = np.random.default_rng(1)

    def run():
        params = [lamina.Parameter(home.asarray(w)) for w in weights]
        optimizer = RULES[rule](**around)
        for grads in steps:
            optimizer.apply([home.asarray(g) for g in grads], params)
        return [home.to_numpy(p.data) for p in params]

    weights = [rng.normal(size=(30, k)).astype("float32") for k in range(1, 12)]
    steps = [[rng.normal(size=w.shape).astype("float32") for w in weights] for _ in range(4)]
    fast = run()
    monkeypatch.delitem(FUSED, "cupy")
    for a, b in zip(fast, run(), strict=True):
        np.testing.assert_array_equal(a, b)
