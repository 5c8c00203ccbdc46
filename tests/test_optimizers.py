"""Optimizers: their rules against formulas, PyTorch and Keras, and all that is around the rules."""

import inspect
import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import lamina
from lamina import optimizers
from lamina.autograd import Parameter
from lamina.kernels import optimizers as kernels
from lamina.kernels import parameters as blocks

SHAPES = [(3, 4), (4,), (), (2, 3, 2)]

# What each rule says, by element, in float64 and from the papers' own symbols: s is a dictionary
# that lives on between steps, t the step from 1.


def sgd(w, g, s, t, lr, momentum=0.0, nesterov=False):
    s["v"] = v = momentum * s.get("v", 0) - lr * g
    return w + (momentum * v - lr * g if nesterov else v)


def rmsprop(w, g, s, t, lr, rho=0.9, momentum=0.0, centered=False, eps=1e-7):
    s["ms"] = rho * s.get("ms", 0) + (1 - rho) * np.square(g)
    s["mg"] = rho * s.get("mg", 0) + (1 - rho) * g
    spread = s["ms"] - np.square(s["mg"]) if centered else s["ms"]
    s["mom"] = momentum * s.get("mom", 0) + lr * g / np.sqrt(spread + eps)
    return w - s["mom"]


def adagrad(w, g, s, t, lr, start=0.1, eps=1e-7):
    s["sum"] = s.get("sum", start) + g**2
    return w - lr * g * (s["sum"] + eps) ** -0.5


def adadelta(w, g, s, t, lr, rho=0.95, eps=1e-7):
    s["g2"] = rho * s.get("g2", 0) + (1 - rho) * g**2
    change = -np.sqrt((s.get("x2", 0) + eps) / (s["g2"] + eps)) * g
    s["x2"] = rho * s.get("x2", 0) + (1 - rho) * change**2
    return w + lr * change


def adam(w, g, s, t, lr, b1=0.9, b2=0.999, eps=1e-7, amsgrad=False):
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g * g
    s["top"] = np.maximum(s.get("top", 0), s["v"])
    v = s["top"] if amsgrad else s["v"]
    m_hat, root_hat = s["m"] / (1 - b1**t), np.sqrt(v / (1 - b2**t))
    return w - lr * m_hat / (root_hat + eps / np.sqrt(1 - b2**t))


def adamw(w, g, s, t, lr, decay=0.004):
    return adam(w * (1 - lr * decay), g, s, t, lr)


def nadam(w, g, s, t, lr, b1=0.9, b2=0.999, eps=1e-7):
    mu = [b1 * (1 - 0.5 * 0.96**i) for i in range(1, t + 2)]
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g * g
    m_bar = mu[t] * s["m"] / (1 - np.prod(mu)) + (1 - mu[t - 1]) * g / (1 - np.prod(mu[:t]))
    return w - lr * m_bar / (np.sqrt(s["v"] / (1 - b2**t)) + eps)


def adamax(w, g, s, t, lr, b1=0.9, b2=0.999, eps=1e-7):
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["u"] = np.maximum(b2 * s.get("u", 0), np.abs(g))
    return w - lr / (1 - b1**t) * s["m"] / (s["u"] + eps)


# name: our class, its arguments, the formula, the formula's arguments
RULES = {
    "sgd": ("SGD", {}, sgd, {}),
    "momentum": ("SGD", {"momentum": 0.9}, sgd, {"momentum": 0.9}),
    "nesterov": (
        "SGD",
        {"momentum": 0.8, "nesterov": True},
        sgd,
        {"momentum": 0.8, "nesterov": True},
    ),
    "rmsprop": ("RMSprop", {}, rmsprop, {}),
    "rmsprop-centered": ("RMSprop", {"centered": True}, rmsprop, {"centered": True}),
    "rmsprop-momentum": ("RMSprop", {"momentum": 0.7}, rmsprop, {"momentum": 0.7}),
    "rmsprop-all": (
        "RMSprop",
        {"rho": 0.8, "momentum": 0.7, "centered": True, "epsilon": 1e-5},
        rmsprop,
        {"rho": 0.8, "momentum": 0.7, "centered": True, "eps": 1e-5},
    ),
    "adagrad": ("Adagrad", {}, adagrad, {}),
    "adagrad-0": ("Adagrad", {"initial_accumulator_value": 0.0}, adagrad, {"start": 0.0}),
    "adadelta": ("Adadelta", {}, adadelta, {}),
    "adam": ("Adam", {}, adam, {}),
    "adam-options": (
        "Adam",
        {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-4},
        adam,
        {"b1": 0.8, "b2": 0.9, "eps": 1e-4},
    ),
    "amsgrad": ("Adam", {"amsgrad": True, "beta_2": 0.5}, adam, {"amsgrad": True, "b2": 0.5}),
    "adamw": ("AdamW", {}, adamw, {}),
    "nadam": ("Nadam", {}, nadam, {}),
    "adamax": ("Adamax", {}, adamax, {}),
}


def numbers(seed=0, shapes=SHAPES):
    """Arrays of both signs and several sizes, some zeros among them."""
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(rng.normal(size=s) * 10.0 ** rng.integers(-2, 2, s)) for s in shapes]
    arrays[0].flat[0] = 0.0
    return arrays


def parameters(backend, dtype="float64", shapes=SHAPES, seed=0, **options):
    values = numbers(seed, shapes)
    return [
        Parameter(backend.asarray(v, dtype), name=f"layer/{'kernel' if v.ndim > 1 else 'bias'}{i}")
        for i, v in enumerate(values)
    ]


def gradients(backend, step, dtype="float64", shapes=SHAPES):
    return [backend.asarray(v, dtype) for v in numbers(100 + step, shapes)]


def values(backend, params):
    return [backend.to_numpy(p.data).copy() for p in params]


def run(backend, optimizer, steps=5, dtype="float64", params=None):
    params = parameters(backend, dtype) if params is None else params
    optimizer.build(params)
    for step in range(steps):
        optimizer.apply(gradients(backend, step, dtype))
    return values(backend, params)


def assert_equal(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def assert_close(ours, theirs, rtol=1e-12):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


def by_formula(formula, options, steps, lr):
    weights, states = numbers(), [{} for _ in SHAPES]
    for step in range(steps):
        triples = zip(weights, numbers(100 + step), states, strict=True)
        weights = [formula(w, g, s, step + 1, lr, **options) for w, g, s in triples]
    return weights


@pytest.fixture
def numpy_backend():
    from lamina import backend

    return backend.get("numpy")


@pytest.fixture(params=[8, 32])
def small_blocks(request, monkeypatch):
    """Blocks so small that the test's parameters are cut, gathered and shared among threads."""
    monkeypatch.setattr(blocks, "BLOCK", request.param)


@pytest.mark.parametrize("rule", RULES)
def test_rule_is_the_formula(backend, no_sync, rule):
    name, options, formula, formula_options = RULES[rule]
    optimizer = getattr(optimizers, name)(0.05, **options)
    params = parameters(backend)
    optimizer.build(params)
    steps = [gradients(backend, step) for step in range(6)]
    with no_sync():
        for g in steps:
            optimizer.apply(g)
    assert_close(values(backend, params), by_formula(formula, formula_options, 6, 0.05))
    assert optimizer.iterations == 6


@pytest.mark.parametrize("rule", RULES)
def test_rule_in_float32_stays_float32(backend, rule):
    name, options, formula, formula_options = RULES[rule]
    got = run(backend, getattr(optimizers, name)(0.01, **options), 3, "float32")
    assert all(g.dtype == np.float32 for g in got)
    assert_close(got, by_formula(formula, formula_options, 3, 0.01), rtol=2e-4)


@pytest.mark.parametrize("rule", RULES)
def test_one_vector_equals_each_parameter_alone(backend, rule):
    name, options, _, _ = RULES[rule]
    make = getattr(optimizers, name)
    together = run(backend, make(0.01, **options), 4, "float32")
    for i, expected in enumerate(together):
        optimizer, param = make(0.01, **options), parameters(backend, "float32")[i]
        for step in range(4):
            optimizer.apply([gradients(backend, step, "float32")[i]], [param])
        np.testing.assert_array_equal(backend.to_numpy(param.data), expected)


@pytest.mark.parametrize("rule", RULES)
def test_kernel_in_blocks_equals_pure_rule_to_the_last_bit(
    numpy_backend, rule, small_blocks, monkeypatch
):
    name, options, _, _ = RULES[rule]
    make = getattr(optimizers, name)
    fast = run(numpy_backend, make(0.01, **options), 4, "float32")
    monkeypatch.setattr(kernels, "RULES", {})
    monkeypatch.setattr("lamina.optimizers._layout.RULES", {})
    monkeypatch.setattr("lamina.optimizers._layout.STORAGES", {})
    assert_equal(fast, run(numpy_backend, make(0.01, **options), 4, "float32"))


def test_every_kernel_belongs_to_a_rule():
    modules = {getattr(optimizers, name).update.__module__ for name, *_ in RULES.values()}
    assert {module for module, _ in kernels.RULES} <= modules


def test_own_rule_of_a_subclass_is_used(numpy_backend):
    class Uphill(optimizers.SGD):
        def update(self, xp, p, g, state, step, rate):
            return p + rate * g, state

    assert_close(
        run(numpy_backend, Uphill(0.1), 1),
        [w + 0.1 * g for w, g in zip(numbers(), numbers(100), strict=True)],
    )


# ---- against other libraries ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        (lambda: optimizers.SGD(0.1), "SGD", {"lr": 0.1}),
        (lambda: optimizers.SGD(0.1, 0.9), "SGD", {"lr": 0.1, "momentum": 0.9}),
        (
            lambda: optimizers.SGD(0.1, 0.9, nesterov=True),
            "SGD",
            {"lr": 0.1, "momentum": 0.9, "nesterov": True},
        ),
        (lambda: optimizers.Adam(0.1, epsilon=0.0), "Adam", {"lr": 0.1, "eps": 0.0}),
        (
            lambda: optimizers.AdamW(0.1, 0.05, epsilon=0.0),
            "AdamW",
            {"lr": 0.1, "eps": 0.0, "weight_decay": 0.05},
        ),
        (lambda: optimizers.Adamax(0.1, epsilon=1e-12), "Adamax", {"lr": 0.1, "eps": 1e-12}),
        (
            lambda: optimizers.Adadelta(0.1, 0.9, 1e-6),
            "Adadelta",
            {"lr": 0.1, "rho": 0.9, "eps": 1e-6},
        ),
        (
            lambda: optimizers.RMSprop(0.1, epsilon=0.0),
            "RMSprop",
            {"lr": 0.1, "alpha": 0.9, "eps": 0},
        ),
        (
            lambda: optimizers.Adagrad(0.1, epsilon=0.0),
            "Adagrad",
            {"lr": 0.1, "initial_accumulator_value": 0.1, "eps": 0.0},
        ),
    ],
)
def test_against_pytorch_where_definitions_agree(numpy_backend, ours, theirs, options):
    torch = pytest.importorskip("torch")
    # gradients away from 0, where an epsilon of 0 would divide 0 by 0
    steps = [[np.where(g == 0, 0.5, g) for g in numbers(200 + i)] for i in range(6)]
    weights = [torch.tensor(w, requires_grad=True) for w in numbers()]
    other = getattr(torch.optim, theirs)(weights, **options)
    params, optimizer = parameters(numpy_backend), ours()
    for step in steps:
        optimizer.apply(step, params)
        for w, g in zip(weights, step, strict=True):
            w.grad = torch.tensor(g)
        other.step()
    assert_close(values(numpy_backend, params), [w.detach().numpy() for w in weights], rtol=1e-9)


AROUND = {
    "plain": {},
    "clipnorm": {"clipnorm": 0.5},
    "clipvalue": {"clipvalue": 0.1},
    "global_clipnorm": {"global_clipnorm": 0.5},
    "decay": {"weight_decay": 0.1},
    "ema": {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 3},
    "accumulation": {"gradient_accumulation_steps": 2, "clipnorm": 0.5},
}


def keras_module():
    return pytest.importorskip("keras")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("rule", "around"),
    [*itertools.product(RULES, ["plain"]), *itertools.product(["momentum", "adam"], AROUND)],
)
def test_against_keras(numpy_backend, rule, around):
    keras = keras_module()
    name, options, _, _ = RULES[rule]
    options = {**options, **AROUND[around]}
    weights = [keras.Variable(w.astype("float32")) for w in numbers()]
    other = getattr(keras.optimizers, name)(0.01, **options)
    params, optimizer = (
        parameters(numpy_backend, "float32"),
        getattr(optimizers, name)(0.01, **options),
    )
    other.build(weights)
    for step in range(6):
        g = gradients(numpy_backend, step, "float32")
        optimizer.apply(g, params)
        other.apply([keras.ops.convert_to_tensor(a) for a in g], weights)
    theirs = [keras.ops.convert_to_numpy(w.value) for w in weights]
    assert_close(values(numpy_backend, params), theirs, rtol=1e-4)
    assert optimizer.iterations == int(other.iterations)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted({name for name, *_ in RULES.values()}))
def test_arguments_are_those_of_keras(name):
    theirs = inspect.signature(getattr(keras_module().optimizers, name)).parameters
    ours = inspect.signature(getattr(optimizers, name)).parameters
    names = [n for n in theirs if n != "kwargs"]
    assert [n for n in ours if n != "unknown"] == names
    for n in names:
        if n != "name":
            assert ours[n].default == theirs[n].default, n


# ---- several micro-batches, several threads ----------------------------------------------------


class Pool:
    """Workers as the training loop hands them over."""

    def __init__(self, count):
        self.count = count

    def map_blocks(self, function, n):
        with ThreadPoolExecutor(self.count) as pool:
            list(pool.map(function, range(n)))


@pytest.mark.parametrize("clip", [{}, {"clipnorm": 0.3}, {"global_clipnorm": 0.3}])
@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
def test_bits_do_not_depend_on_workers(numpy_backend, small_blocks, name, clip):
    shapes = [(30, 7), (7,), (7, 90), (3,), (), (41,)]
    results = []
    for workers in (None, 1, 2, 3, Pool(1), Pool(3)):
        params = parameters(numpy_backend, "float32", shapes)
        optimizer = getattr(optimizers, name)(0.01, **clip)
        optimizer.build(params)
        for step in range(3):
            shards = [gradients(numpy_backend, 10 * step + i, "float32", shapes) for i in range(3)]
            optimizer.apply_shards(shards, workers)
        results.append(values(numpy_backend, params))
    for other in results[1:]:
        assert_equal(other, results[0])


def test_shards_are_summed_in_their_order(backend):
    shards = [gradients(backend, i, "float32") for i in range(3)]
    totals = [(a + b) + c for a, b, c in zip(*shards, strict=True)]
    split, whole = parameters(backend, "float32"), parameters(backend, "float32")
    first, second = optimizers.Adam(), optimizers.Adam()
    first.build(split)
    for _ in range(3):
        first.apply_shards(shards)
        second.apply(totals, whole)
    assert_equal(values(backend, split), values(backend, whole))


def test_a_large_parameter_reads_its_gradient_where_it_is(numpy_backend, small_blocks):
    shapes = [(9, 11), (2,), (4, 8)]
    params = parameters(numpy_backend, shapes=shapes)
    before = values(numpy_backend, params)
    steps = gradients(numpy_backend, 0, shapes=shapes)
    steps[0] = np.asfortranarray(steps[0])
    for g in steps:
        g.flags.writeable = False
    optimizers.SGD(0.1).apply(steps, params)
    assert_close(
        values(numpy_backend, params), [w - 0.1 * g for w, g in zip(before, steps, strict=True)]
    )


# ---- around the rule --------------------------------------------------------------------------


def test_clipnorm_scales_each_gradient(backend, no_sync):
    params, g = parameters(backend), gradients(backend, 0)
    with no_sync():
        optimizers.SGD(1.0, clipnorm=0.5).apply(g, params)
    for p, w, grad in zip(params, numbers(), numbers(100), strict=True):
        norm = np.linalg.norm(grad)
        np.testing.assert_allclose(
            backend.to_numpy(p.data), w - grad * min(1, 0.5 / norm), rtol=1e-12, atol=1e-12
        )


def test_clipnorm_scales_gradients_of_every_size(numpy_backend, small_blocks):
    for options in ({"clipnorm": 0.5}, {"global_clipnorm": 0.5}):
        params = parameters(numpy_backend)
        optimizers.SGD(1.0, **options).apply(gradients(numpy_backend, 0), params)
        grads = numbers(100)
        norms = [np.linalg.norm(g.reshape(-1)) for g in grads]
        if "global_clipnorm" in options:
            norms = [np.linalg.norm(norms)] * len(grads)
        expected = [
            w - g * min(1, 0.5 / n) for w, g, n in zip(numbers(), grads, norms, strict=True)
        ]
        assert_close(values(numpy_backend, params), expected)


@pytest.mark.parametrize("limit", [0.5, 1e6])
def test_global_clipnorm_scales_all_gradients_alike(backend, no_sync, limit):
    params, g = parameters(backend), gradients(backend, 0)
    with no_sync():
        optimizers.SGD(1.0, global_clipnorm=limit).apply(g, params)
    norm = np.sqrt(sum(np.sum(grad**2) for grad in numbers(100)))
    expected = [
        w - grad * min(1, limit / norm) for w, grad in zip(numbers(), numbers(100), strict=True)
    ]
    assert_close(values(backend, params), expected)


def test_clipvalue_clips_each_element(backend):
    got = run(backend, optimizers.SGD(1.0, clipvalue=0.2), 1)
    assert_close(
        got, [w - np.clip(g, -0.2, 0.2) for w, g in zip(numbers(), numbers(100), strict=True)]
    )


def test_zero_gradient_survives_clipnorm(backend):
    params = parameters(backend)
    zeros = [g * 0.0 for g in gradients(backend, 0)]
    for option in ("clipnorm", "global_clipnorm"):
        optimizers.SGD(1.0, **{option: 1.0}).apply(zeros, params)
    assert_equal(values(backend, params), numbers())


def test_weight_decay_takes_away_from_the_weights(backend):
    got = run(backend, optimizers.SGD(0.1, weight_decay=0.5), 1)
    assert_close(
        got, [w - w * 0.05 - 0.1 * g for w, g in zip(numbers(), numbers(100), strict=True)]
    )


@pytest.mark.parametrize("by", ["var_names", "var_list"])
def test_some_parameters_are_left_out_of_weight_decay(backend, by):
    params = parameters(backend)
    spared = [p for p in params if "bias" in p.name]
    optimizer = optimizers.SGD(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(**{by: ["bias"] if by == "var_names" else spared})
    got = run(backend, optimizer, 1, params=params)
    for p, new, w, g in zip(params, got, numbers(), numbers(100), strict=True):
        kept = 1.0 if "bias" in p.name else 0.95
        np.testing.assert_allclose(new, w * kept - 0.1 * g, rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match="before the first step"):
        optimizer.exclude_from_weight_decay(var_names=["kernel"])


def test_averages_follow_and_take_over(backend):
    params = parameters(backend)
    optimizer = optimizers.SGD(0.1, use_ema=True, ema_momentum=0.8)
    optimizer.build(params)
    averages = None
    for step in range(4):
        optimizer.apply(gradients(backend, step))
        now = values(backend, params)
        if averages is None:
            averages = now
        averages = [0.8 * a + 0.2 * w for a, w in zip(averages, now, strict=True)]
    optimizer.finalize_variable_values(params[:2])
    assert_close(values(backend, params), averages[:2] + now[2:])
    optimizer.finalize_variable_values()
    assert_close(values(backend, params), averages)


def test_averages_overwrite_every_so_many_steps(backend):
    params = parameters(backend)
    optimizer = optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2)
    optimizer.build(params)
    optimizer.apply(gradients(backend, 0))
    first = values(backend, params)
    optimizer.apply(gradients(backend, 1))
    second = [w - 0.1 * g for w, g in zip(first, numbers(101), strict=True)]
    assert_close(values(backend, params), [(a + b) / 2 for a, b in zip(first, second, strict=True)])


def test_accumulation_steps_with_the_mean(backend):
    params, whole = parameters(backend), parameters(backend)
    optimizer = optimizers.Adam(0.01, gradient_accumulation_steps=3, clipnorm=0.5)
    plain = optimizers.Adam(0.01, clipnorm=0.5)
    optimizer.build(params)
    for step in range(2):
        parts = [gradients(backend, 3 * step + i) for i in range(3)]
        for i, part in enumerate(parts):
            assert optimizer.iterations == step
            before = values(backend, params)
            optimizer.apply(part)
            if i < 2:
                assert_equal(values(backend, params), before)
        plain.apply([(a + b + c) / 3 for a, b, c in zip(*parts, strict=True)], whole)
    assert optimizer.iterations == 2
    assert_close(values(backend, params), values(backend, whole))


def test_gradients_held_back_are_not_those_that_the_caller_writes_over(numpy_backend):
    p = parameters(numpy_backend, shapes=[(3,)])
    optimizer = optimizers.SGD(1.0, gradient_accumulation_steps=2)
    before, reused = values(numpy_backend, p)[0], np.ones(3)
    optimizer.apply([reused], p)
    reused[...] = 3.0
    optimizer.apply([reused])
    assert_close(values(numpy_backend, p), [before - (1.0 + 3.0) / 2])


def test_constraint_holds_after_each_step(backend):
    def at_least_zero(x):
        return backend.xp.clip(x, 0.0, None)

    params = parameters(backend)
    params[0].constraint = at_least_zero
    optimizer = optimizers.SGD(0.1, momentum=0.9)
    optimizer.build(params)
    expected, v = numbers()[0], 0.0
    for step in range(4):
        optimizer.apply(gradients(backend, step))
        v = 0.9 * v - 0.1 * numbers(100 + step)[0]
        expected = np.maximum(expected + v, 0)
        assert_close([backend.to_numpy(params[0].data)], [expected])


def test_learning_rate_can_be_read_and_set(backend):
    params, optimizer = parameters(backend), optimizers.SGD(0.1)
    optimizer.apply(gradients(backend, 0), params)
    assert optimizer.learning_rate == 0.1
    optimizer.learning_rate = np.float32(0.5)
    before = values(backend, params)
    optimizer.apply(gradients(backend, 1))
    assert_close(
        values(backend, params), [w - 0.5 * g for w, g in zip(before, numbers(101), strict=True)]
    )


def test_learning_rate_may_be_a_function_of_the_steps_done(backend):
    def rate(step):
        return 0.1 / (1 + step)

    params, optimizer = parameters(backend), optimizers.SGD(rate)
    optimizer.build(params)
    expected = numbers()
    for step in range(3):
        assert optimizer.learning_rate == rate(step)
        optimizer.apply(gradients(backend, step))
        expected = [w - rate(step) * g for w, g in zip(expected, numbers(100 + step), strict=True)]
    assert_close(values(backend, params), expected)
    with pytest.raises(TypeError, match="follows a function of the step"):
        optimizer.learning_rate = 0.1


# ---- parameters that change under the optimizer -------------------------------------------------


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_no_gradient_leaves_parameter_and_state_unchanged(backend, name):
    kinds = getattr(optimizers, name)
    params, alone = parameters(backend), parameters(backend)
    optimizer, other = kinds(0.1), kinds(0.1)
    optimizer.build(params)
    for step in range(3):
        g = gradients(backend, step)
        optimizer.apply([g[0], None, g[2], None])
        other.apply([g[0], g[2]], [alone[0], alone[2]])
    assert_equal(values(backend, params[::2]), values(backend, alone[::2]))
    assert_equal(values(backend, params[1::2]), numbers()[1::2])
    optimizer.apply(gradients(backend, 3))
    state = optimizer.state()
    for slot in optimizer.slots:
        ours = [backend.to_numpy(state[f"{i}/{slot}"]) for i in (1, 3)]
        fresh = kinds(0.1)
        fresh.apply([gradients(backend, 3)[i] for i in (1, 3)], [alone[1], alone[3]])
        theirs = [backend.to_numpy(fresh.state()[f"{i}/{slot}"]) for i in (0, 1)]
        assert_equal(ours, theirs)


def test_a_shard_may_lack_a_gradient_that_another_has(backend):
    params, g = parameters(backend), gradients(backend, 0)
    optimizer = optimizers.SGD(0.1)
    optimizer.build(params)
    optimizer.apply_shards([[g[0], None, None, g[3]], [None, None, g[2], g[3]]])
    factors = [1, 0, 1, 2]
    expected = [w - 0.1 * f * a for w, f, a in zip(numbers(), factors, numbers(100), strict=True)]
    assert_close(values(backend, params), expected)


@pytest.mark.parametrize("option", ["clipnorm", "global_clipnorm", "gradient_accumulation_steps"])
def test_missing_gradients_with_options(backend, option):
    params, alone = parameters(backend), parameters(backend)
    optimizer, other = optimizers.Adam(0.1, **{option: 2}), optimizers.Adam(0.1, **{option: 2})
    for step in range(4):
        g = gradients(backend, step)
        optimizer.apply([None, g[1], g[2], g[3]], params)
        other.apply(g[1:], alone[1:])
    assert_close(values(backend, params), values(backend, alone))


@pytest.mark.parametrize("how", ["assign", "data"])
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_parameters_given_other_values_are_taken_as_they_are(backend, name, how):
    params, optimizer = parameters(backend), getattr(optimizers, name)(0.1)
    optimizer.build(params)
    optimizer.apply(gradients(backend, 0))
    new = backend.asarray(np.full((3, 4), 7.0))
    if how == "assign":
        params[0].assign(new)
    else:
        params[0].data = new
    before = values(backend, params)
    optimizer.apply([g * 0.0 for g in gradients(backend, 1)])
    if name == "SGD":
        assert_equal(values(backend, params), before)
    assert np.all(np.abs(backend.to_numpy(params[0].data) - 7.0) < 0.2)
    assert np.all(backend.to_numpy(new) == 7.0)


def test_two_optimizers_on_the_same_parameters(backend):
    params, expected = parameters(backend), numbers()
    first, second = optimizers.SGD(0.1), optimizers.SGD(0.01)
    first.build(params)
    second.build(params)
    for step in range(4):
        optimizer = (first, second)[step % 2]
        optimizer.apply(gradients(backend, step))
        rate = optimizer.learning_rate
        expected = [w - rate * g for w, g in zip(expected, numbers(100 + step), strict=True)]
    assert_close(values(backend, params), expected)


def test_what_stays_in_a_changed_list_keeps_its_state(backend):
    params, whole = parameters(backend), parameters(backend)
    optimizer, other = optimizers.Adam(0.1), optimizers.Adam(0.1)
    for step in range(2):
        optimizer.apply(gradients(backend, step), params)
        other.apply(gradients(backend, step), whole)
    kept = [params[3], params[0]]
    for step in range(2, 4):
        g = gradients(backend, step)
        optimizer.apply([g[3], g[0]], kept)
        other.apply(g, whole)
    assert_close(values(backend, kept), values(backend, [whole[3], whole[0]]))
    optimizer.build(list(kept))
    assert optimizer.iterations == 4


def test_parameters_that_move_to_another_backend_take_their_state_along(backend, numpy_backend):
    params, whole = parameters(numpy_backend), parameters(numpy_backend)
    optimizer, other = optimizers.Adam(0.1), optimizers.Adam(0.1)
    optimizer.apply(gradients(numpy_backend, 0), params)
    for p in params:
        p.data = backend.asarray(p.data)
    optimizer.apply(gradients(backend, 1))
    for step in range(2):
        other.apply(gradients(numpy_backend, step), whole)
    assert all(backend.backend.owns(p.data) for p in params)
    assert_close(values(backend, params), values(numpy_backend, whole))


def test_state_taken_before_a_move_is_set_after_it(backend, numpy_backend):
    params, whole = parameters(numpy_backend), parameters(numpy_backend)
    optimizer, other = optimizers.Adam(0.1), optimizers.Adam(0.1)
    optimizer.apply(gradients(numpy_backend, 0), params)
    state = optimizer.state()
    for p in params:
        p.data = backend.asarray(p.data)
    optimizer.build(params)
    optimizer.set_state(state)
    assert all(backend.backend.owns(optimizer.state()[f"{i}/m"]) for i in range(4))
    optimizer.apply(gradients(backend, 1))
    for step in range(2):
        other.apply(gradients(numpy_backend, step), whole)
    assert_close(values(backend, params), values(numpy_backend, whole))


def test_gradients_of_another_dtype_leave_the_parameters_theirs(backend):
    params = parameters(backend, "float32")
    optimizers.SGD(0.1).apply(gradients(backend, 0, "float64"), params)
    got = values(backend, params)
    assert {g.dtype.name for g in got} == {"float32"}
    assert_close(got, [w - 0.1 * g for w, g in zip(numbers(), numbers(100), strict=True)], 1e-5)


def test_parameters_of_several_dtypes(backend):
    single, double = parameters(backend, "float32"), parameters(backend, "float64")
    mixed = [single[0], double[1], single[2], double[3]]
    optimizer = optimizers.Adam(0.1, global_clipnorm=1e3)
    for step in range(3):
        g32, g64 = gradients(backend, step, "float32"), gradients(backend, step)
        optimizer.apply([g32[0], g64[1], g32[2], g64[3]], mixed)
    got = values(backend, mixed)
    assert [g.dtype.name for g in got] == ["float32", "float64"] * 2
    assert_close(got, run(backend, optimizers.Adam(0.1), 3), rtol=1e-5)


def test_backward_through_values_before_a_step_is_an_error(backend):
    w = Parameter(backend.asarray([1.0, 2.0], "float32"), name="w")
    optimizer = optimizers.SGD(0.1)
    optimizer.build([w])
    loss = lamina.xp.sum(w * w)
    optimizer.apply([backend.asarray([1.0, 1.0], "float32")])
    with pytest.raises(RuntimeError, match="chang"):
        loss.backward()


def test_backward_through_values_that_a_step_left_alone(backend):
    still, moved = (Parameter(backend.asarray([2.0], "float32"), name=n) for n in "sm")
    optimizer = optimizers.SGD(0.1)
    optimizer.build([still, moved])
    losses = [lamina.xp.sum(p * p) for p in (still, moved)]
    optimizer.apply([None, backend.asarray([1.0], "float32")])
    losses[0].backward()
    np.testing.assert_array_equal(backend.to_numpy(still.grad), [4.0])
    with pytest.raises(RuntimeError, match="chang"):
        losses[1].backward()


# ---- state and configuration --------------------------------------------------------------------


@pytest.mark.parametrize("when", ["built", "unbuilt"])
@pytest.mark.parametrize(
    ("name", "options"),
    [*((name, options) for name, options, _, _ in RULES.values()), ("SGD", AROUND["ema"])],
)
def test_state_resumes_exactly(backend, name, options, when):
    make = getattr(optimizers, name)
    options = {**options, "gradient_accumulation_steps": 2}
    optimizer, params = make(0.01, **options), parameters(backend, "float32")
    for step in range(5):
        optimizer.apply(gradients(backend, step, "float32"), params)
    optimizer.learning_rate = 0.02
    state = {
        name: value if isinstance(value, int | float) else backend.to_numpy(value)
        for name, value in optimizer.state().items()
    }
    copies = [Parameter(backend.asarray(v)) for v in values(backend, params)]
    resumed = make(0.5, **options)
    if when == "built":
        resumed.build(copies)
    resumed.set_state(state)
    for step in range(5, 10):
        optimizer.apply(gradients(backend, step, "float32"))
        resumed.apply(gradients(backend, step, "float32"), copies)
    assert_equal(values(backend, copies), values(backend, params))
    assert resumed.iterations == optimizer.iterations == 5


def test_state_is_a_copy(backend):
    optimizer = optimizers.Adam(0.1)
    optimizer.apply(gradients(backend, 0), parameters(backend))
    state = optimizer.state()
    before = backend.to_numpy(state["0/m"]).copy()
    optimizer.apply(gradients(backend, 1))
    np.testing.assert_array_equal(backend.to_numpy(state["0/m"]), before)


def test_state_of_something_else_is_refused_and_changes_nothing(backend):
    adam, sgd = optimizers.Adam(), optimizers.SGD(momentum=0.9)
    adam.apply(gradients(backend, 0), parameters(backend))
    sgd.apply(gradients(backend, 0), parameters(backend))
    with pytest.raises(ValueError, match="differs in"):
        adam.set_state(sgd.state())
    state = adam.state()
    with pytest.raises(ValueError, match=r"has its shape \(3, 4\), got \(4,\)"):
        adam.set_state({**state, "iterations": 9, "0/m": state["1/m"]})
    with pytest.raises(ValueError, match="says its iterations"):
        adam.set_state({})
    assert adam.iterations == 1
    assert_equal([backend.to_numpy(state["0/m"])], [backend.to_numpy(adam.state()["0/m"])])


@pytest.mark.parametrize("rule", RULES)
def test_configuration_makes_the_same_optimizer(numpy_backend, rule):
    name, options, _, _ = RULES[rule]
    optimizer = getattr(optimizers, name)(0.03, **options, clipvalue=0.2, name="mine")
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()
    assert again.name == "mine"
    assert_equal(run(numpy_backend, again), run(numpy_backend, optimizer))


@pytest.mark.parametrize(
    ("identifier", "kind"),
    [
        ("adam", optimizers.Adam),
        ("SGD", optimizers.SGD),
        ("AdamW", optimizers.AdamW),
        ("rmsprop", optimizers.RMSprop),
        (optimizers.Nadam, optimizers.Nadam),
        (optimizers.Adamax(0.5), optimizers.Adamax),
        ({"class_name": "Adagrad", "config": {"learning_rate": 0.5}}, optimizers.Adagrad),
    ],
)
def test_get(identifier, kind):
    got = optimizers.get(identifier)
    assert type(got) is kind
    if isinstance(identifier, dict):
        assert got.learning_rate == 0.5
    if isinstance(identifier, optimizers.Optimizer):
        assert got is identifier


def test_get_of_none_is_none():
    assert optimizers.get(None) is None


# ---- bad input ----------------------------------------------------------------------------------


def test_unknown_names():
    with pytest.raises(ValueError, match="unknown optimizer 'adan': did you mean 'Adam'"):
        optimizers.get("adan")
    for identifier in (3, dict, len):
        with pytest.raises(TypeError, match="given by its name"):
            optimizers.get(identifier)


@pytest.mark.parametrize(
    ("kind", "options", "error", "match"),
    [
        (optimizers.SGD, {"lr": 0.1}, TypeError, "it is called learning_rate"),
        (optimizers.Adam, {"decay": 0.1}, TypeError, "learning_rate a function of the step"),
        (optimizers.Adam, {"beta1": 0.1}, TypeError, "'beta1': did you mean 'beta_1'"),
        (optimizers.SGD, {"learning_rate": -0.1}, ValueError, "finite and at least 0, got -0.1"),
        (optimizers.SGD, {"learning_rate": float("nan")}, ValueError, "learning_rate to be finite"),
        (optimizers.SGD, {"learning_rate": "0.1"}, TypeError, "to be a number, got '0.1'"),
        (optimizers.SGD, {"learning_rate": None}, TypeError, "to be a number, got NoneType"),
        (optimizers.SGD, {"learning_rate": optimizers.Adam}, TypeError, "got the class Adam: pass"),
        (optimizers.SGD, {"learning_rate": optimizers.Adam()}, TypeError, "a number, got Adam"),
        (optimizers.SGD, {"learning_rate": lambda: 0.1}, TypeError, "takes the number of the step"),
        (optimizers.SGD, {"learning_rate": lambda a, b: a}, TypeError, "missing .* argument: 'b'"),
        (optimizers.SGD, {"momentum": 1.5}, ValueError, "momentum to be at least 0 and below 1"),
        (optimizers.Adam, {"beta_1": 1.0}, ValueError, "beta_1 to be at least 0 and below 1"),
        (optimizers.Nadam, {"beta_2": -0.1}, ValueError, "beta_2 to be at least 0 and below 1"),
        (optimizers.Adam, {"epsilon": -1e-7}, ValueError, "epsilon to be finite and at least 0"),
        (optimizers.RMSprop, {"rho": 2.0}, ValueError, "rho to be at least 0 and below 1"),
        (optimizers.AdamW, {"weight_decay": None}, ValueError, "use Adam to do without"),
        (optimizers.SGD, {"weight_decay": -1.0}, ValueError, "weight_decay to be finite"),
        (optimizers.SGD, {"clipnorm": 0.0}, ValueError, "clipnorm to be above 0, got 0.0"),
        (optimizers.SGD, {"clipnorm": 1.0, "clipvalue": 1.0}, ValueError, "at most one of"),
        (optimizers.SGD, {"loss_scale_factor": 0.0}, ValueError, "loss_scale_factor to be above 0"),
        (optimizers.SGD, {"gradient_accumulation_steps": 1}, ValueError, "2 or more, got 1"),
        (optimizers.SGD, {"ema_overwrite_frequency": 0.5}, ValueError, "1 or more, got 0.5"),
        (optimizers.SGD, {"ema_momentum": 1.0}, ValueError, "ema_momentum to be at least 0"),
    ],
)
def test_bad_options(kind, options, error, match):
    with pytest.raises(error, match=match):
        kind(**options)


def test_bad_gradients(backend):
    params, optimizer = parameters(backend), optimizers.Adam()
    with pytest.raises(ValueError, match=r"call build\(parameters\)"):
        optimizer.apply(gradients(backend, 0))
    optimizer.build(params)
    with pytest.raises(ValueError, match="has 4 parameters and needs a gradient"):
        optimizer.apply(gradients(backend, 0)[:2])
    with pytest.raises(ValueError, match=r"kernel0 has \(3, 4\), its gradient \(4,\)"):
        optimizer.apply([gradients(backend, 0)[1]] * 4)
    with pytest.raises(ValueError, match="no parameter received a gradient"):
        optimizer.apply([None] * 4)
    assert optimizer.iterations == 0
    assert_equal(values(backend, params), numbers())


def test_bad_parameters(backend, numpy_backend):
    params = parameters(backend)
    with pytest.raises(ValueError, match="every parameter once"):
        optimizers.SGD().build([params[0], params[0]])
    optimizer = optimizers.SGD()
    optimizer.build(params)
    params[1].data = backend.asarray(np.zeros(5))
    with pytest.raises(ValueError, match=r"bias1 had \(4,\), got \(5,\)"):
        optimizer.apply_shards([gradients(backend, 0)])
    if not backend.backend.is_host:
        with pytest.raises(ValueError, match="are all on one backend"):
            optimizers.SGD().build([params[0], parameters(numpy_backend)[0]])


def test_apply_gradients_takes_pairs(backend):
    params, optimizer = parameters(backend), optimizers.SGD(0.1)
    optimizer.apply_gradients(zip(gradients(backend, 0), params, strict=True))
    assert_close(
        values(backend, params),
        [w - 0.1 * g for w, g in zip(numbers(), numbers(100), strict=True)],
    )


def test_no_parameters_at_all():
    optimizer = optimizers.Adam()
    optimizer.build([])
    optimizer.apply([])
    assert optimizer.iterations == 1


def test_only_parameters_are_moved():
    weights = np.ones(3, "float32")
    with pytest.raises(TypeError, match=r"moves lamina.Parameter objects, got ndarray"):
        optimizers.SGD(0.1).apply_gradients([(weights, weights)])


@pytest.mark.parametrize("name", ["step", "zero_grad", "minimize"])
def test_methods_of_other_libraries(name):
    optimizer = optimizers.Adam()
    with pytest.raises(AttributeError, match=f"Adam has no '{name}': .*apply_gradients"):
        getattr(optimizer, name)
    assert not hasattr(optimizer, name)
    with pytest.raises(AttributeError, match="'Adam' object has no attribute 'other'"):
        _ = optimizer.other
