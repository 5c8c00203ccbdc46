"""Loss scaling: its scale, its skips and its state, against hand computation, PyTorch and Keras."""

import copy
import inspect
import itertools
import pickle

import numpy as np
import pytest

import _backends
import lamina
from lamina import layers, optimizers
from lamina.autograd import Parameter
from lamina.optimizers import LossScaleOptimizer

SHAPES = [(3, 4), (4,), ()]
GOOD, BAD = 1, 0
#: gradients of these steps are finite or not
CALLS = [BAD, GOOD, GOOD, GOOD, GOOD, BAD, GOOD, BAD, BAD, GOOD, GOOD, GOOD, GOOD]
#: the scale and the counter after each of them, from 2**10 on and with growth after 3 steps
SCALES = [2.0**e for e in (9, 9, 9, 10, 10, 9, 9, 8, 7, 7, 7, 8, 8)]
COUNTERS = [0, 1, 2, 0, 1, 0, 1, 0, 0, 1, 2, 0, 1]

RULES = {
    "sgd": lambda **more: optimizers.SGD(0.1, **more),
    "momentum": lambda **more: optimizers.SGD(0.1, momentum=0.9, nesterov=True, **more),
    "adam": lambda **more: optimizers.Adam(0.1, **more),
    "amsgrad": lambda **more: optimizers.Adam(0.1, amsgrad=True, **more),
    "beta of 0": lambda **more: optimizers.Adam(0.1, beta_1=0.0, **more),
    "adamw": lambda **more: optimizers.AdamW(0.1, **more),
    "adamax": lambda **more: optimizers.Adamax(0.1, **more),
    "nadam": lambda **more: optimizers.Nadam(0.1, **more),
    "rmsprop": lambda **more: optimizers.RMSprop(0.1, momentum=0.5, centered=True, **more),
    "adagrad": lambda **more: optimizers.Adagrad(0.1, **more),
    "adadelta": lambda **more: optimizers.Adadelta(0.1, **more),
}
AROUND = {
    "plain": {},
    "decay": {"weight_decay": 0.1},
    "clipnorm": {"clipnorm": 0.5},
    "clipvalue": {"clipvalue": 0.2},
    "global_clipnorm": {"global_clipnorm": 0.5},
    "averages": {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3},
}


def parameters(backend, dtype="float32", constraint=None):
    rng = np.random.default_rng(0)
    place = backend.backend
    return [
        Parameter(
            place.asarray(np.asarray(rng.normal(size=s)), dtype), f"w{i}", constraint=constraint
        )
        for i, s in enumerate(SHAPES)
    ]


def gradients(backend, step, scale=1.0, good=GOOD, dtype="float32"):
    """Those of a loss times ``scale``; where not good, one number is not finite."""
    rng = np.random.default_rng(100 + step)
    found = [np.asarray(rng.normal(size=s) * scale, "float32") for s in SHAPES]
    if not good:
        found[step % 3].reshape(-1)[-1:] = (np.inf, -np.inf, np.nan)[step % 3]
    return [backend.asarray(g, dtype) for g in found]


def number(backend, value):
    return backend.to_numpy(value).item()


def values(backend, params):
    return [backend.to_numpy(p.data).copy() for p in params]


def everything(optimizer, params):
    """Parameters and all state but the scale and its counter, in bytes."""
    place = lamina.backend.of(params[0].data)
    state = optimizer.state()
    state = {k: v for k, v in state.items() if k not in ("dynamic_scale", "step_counter")}
    read = {k: place.to_numpy(v).tobytes() if "/" in k else v for k, v in state.items()}
    return read, [place.to_numpy(p.data).tobytes() for p in params]


def scaler(rule="adam", steps=3, **around):
    return LossScaleOptimizer(RULES[rule](**around), 2.0**10, steps)


def keras_module():
    return pytest.importorskip("keras")


# ---- the sequence -------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_steps_are_those_of_the_inner_optimizer_without_the_bad_ones(backend, no_sync, rule):
    plain, params, theirs = RULES[rule](), parameters(backend), parameters(backend)
    optimizer = scaler(rule)
    for step, good in enumerate(CALLS):
        scale = 2.0**10 if step == 0 else SCALES[step - 1]
        g = gradients(backend, step, scale, good)
        before = values(backend, params)
        optimizer.build(params)
        with no_sync():
            optimizer.apply(g)
        assert number(backend, optimizer.dynamic_scale) == SCALES[step]
        assert number(backend, optimizer.step_counter) == COUNTERS[step]
        assert (
            optimizer.iterations == sum(CALLS[: step + 1]) == optimizer.inner_optimizer.iterations
        )
        if good:
            plain.apply(gradients(backend, step), theirs)
        else:
            assert all(map(np.array_equal, before, values(backend, params)))
        for ours, other in zip(values(backend, params), values(backend, theirs), strict=True):
            np.testing.assert_allclose(ours, other, rtol=2e-5, atol=2e-6)
            assert ours.dtype == np.float32


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("rule", ["adam", "momentum"])
def test_what_the_inner_optimizer_does_sees_unscaled_gradients(backend, no_sync, rule, around):
    plain, params, theirs = RULES[rule](**AROUND[around]), parameters(backend), parameters(backend)
    optimizer = scaler(rule, **AROUND[around])
    optimizer.build(params)
    for step, good in enumerate(CALLS):
        g = gradients(backend, step, number(backend, optimizer.dynamic_scale), good)
        with no_sync():
            optimizer.apply(g)
        if good:
            plain.apply(gradients(backend, step), theirs)
    pairs = zip(values(backend, params), values(backend, theirs), strict=True)
    for ours, other in pairs:
        np.testing.assert_allclose(ours, other, rtol=2e-5, atol=2e-6)
    if backend.backend.is_host:
        assert everything(optimizer, params) == everything(plain, theirs)


@pytest.mark.parametrize(
    ("rule", "around"),
    [*itertools.product(RULES, ["plain"]), *itertools.product(["momentum"], AROUND)],
)
def test_a_skipped_step_changes_nothing_by_a_bit(backend, rule, around):
    params = parameters(backend, constraint=lambda w: w * 0.999)
    optimizer = scaler(rule, **AROUND[around])
    if backend.name == "numpy-readonly" or around == "averages":
        params = parameters(backend)
    optimizer.build(params)
    for step in range(3):
        optimizer.apply(gradients(backend, step))
    before = everything(optimizer, params)
    for step in range(3, 6):
        optimizer.apply(gradients(backend, step, good=BAD))
        assert everything(optimizer, params) == before
    optimizer.apply(gradients(backend, 6))
    assert everything(optimizer, params) != before


def test_in_float64_steps_are_the_inner_optimizers_too(backend):
    plain, params = optimizers.Nadam(0.1), parameters(backend, "float64")
    theirs, optimizer = parameters(backend, "float64"), scaler("nadam")
    for step, good in enumerate(CALLS):
        scale = 2.0**10 if step == 0 else SCALES[step - 1]
        optimizer.apply(gradients(backend, step, scale, good, "float64"), params)
        if good:
            plain.apply(gradients(backend, step, dtype="float64"), theirs)
    for ours, other in zip(values(backend, params), values(backend, theirs), strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-12, atol=1e-13)


@pytest.mark.filterwarnings("ignore")
def test_against_keras():
    keras, backend = keras_module(), _backends.BackendUnderTest("numpy")
    params = parameters(backend)[:1]
    weights = [keras.Variable(w) for w in values(backend, params)]
    options = {"weight_decay": 0.01, "clipnorm": 0.7}
    theirs = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(0.1, **options), initial_scale=2.0**10, dynamic_growth_steps=3
    )
    ours = scaler(**options)
    assert ours.scale_loss(3.0) == float(theirs.scale_loss(3.0))
    theirs.build(weights)
    apply = theirs.stateless_apply
    if keras.config.backend() == "jax":  # which compiles the choice of a step anew in every call
        apply = pytest.importorskip("jax").jit(apply)
    for step, good in enumerate(CALLS):
        g = gradients(backend, 3 * step, 300.0, good)[:1]
        ours.apply(g, params)
        numbers = [keras.ops.convert_to_tensor(backend.to_numpy(a)) for a in g]
        new = apply([v.value for v in theirs.variables], numbers, [w.value for w in weights])
        for variable, value in zip([*weights, *theirs.variables], [*new[0], *new[1]], strict=True):
            variable.assign(value)
        assert number(backend, ours.dynamic_scale) == float(theirs.dynamic_scale.value)
        assert number(backend, ours.step_counter) == int(theirs.step_counter.value)
        assert ours.iterations == int(theirs.iterations.value)
        for mine, other in zip(values(backend, params), weights, strict=True):
            other = keras.ops.convert_to_numpy(other.value)
            # Keras takes the powers of Adam's betas in float32
            np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


def test_against_pytorch():
    torch = pytest.importorskip("torch")
    place = lamina.backend.get("numpy")
    numbers = np.random.default_rng(0).normal(size=(4,)).astype("float32")
    weight = torch.nn.Parameter(torch.tensor(numbers))
    sgd = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    scaling = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3)
    mine = Parameter(place.asarray(numbers), "w")
    optimizer = LossScaleOptimizer(optimizers.SGD(0.1, momentum=0.9), 2.0**10, 3)
    for step, good in enumerate(CALLS):
        factors = np.random.default_rng(step).normal(size=4).astype("float32")
        factors[0] *= 1.0 if good else np.inf
        sgd.zero_grad()
        scaling.scale((weight * torch.tensor(factors)).sum()).backward()
        scaling.step(sgd)
        scaling.update()
        loss = optimizer.scale_loss(lamina.xp.sum(mine * factors))
        loss.backward()
        optimizer.apply([mine.grad], [mine])
        mine.grad = None
        assert float(optimizer.dynamic_scale) == scaling.get_scale() == SCALES[step]
        np.testing.assert_allclose(mine.data, weight.detach().numpy(), rtol=1e-6, atol=1e-7)


def test_the_scale_stays_a_float32_that_can_be_divided_by(backend):
    params = parameters(backend)
    for start, good in ((2.0**126, GOOD), (2.0**-125, BAD)):
        optimizer = LossScaleOptimizer(optimizers.SGD(0.0), start, 1)
        for step in range(4):
            optimizer.apply(gradients(backend, step, 1.0, good), params)
        limit = 2.0**127 if good else 2.0**-126
        assert number(backend, optimizer.dynamic_scale) == limit


# ---- what is around -----------------------------------------------------------------------------


def test_a_schedule_goes_by_the_steps_done(backend, no_sync):
    seen = []

    def schedule(step):
        seen.append(step)
        return 0.5 / (1 + step)

    plain, params = optimizers.SGD(lambda step: 0.5 / (1 + step)), parameters(backend)
    theirs, optimizer = parameters(backend), LossScaleOptimizer(optimizers.SGD(schedule), 1.0)
    optimizer.build(params)
    calls = [GOOD, BAD, BAD, GOOD, GOOD] * 3
    for step, good in enumerate(calls):
        with no_sync():
            optimizer.apply(
                gradients(backend, step, 0.5 ** sum(c == BAD for c in calls[:step]), good)
            )
        if good:
            plain.apply(gradients(backend, step), theirs)
    for ours, other in zip(values(backend, params), values(backend, theirs), strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-5)
    assert optimizer.learning_rate == 0.5 / (1 + sum(calls))
    assert all(type(step) is int for step in seen)


def test_with_accumulation_the_gathered_step_is_skipped(backend, no_sync):
    params = parameters(backend)
    optimizer = scaler("sgd", gradient_accumulation_steps=2)
    optimizer.build(params)
    before = values(backend, params)
    for step, good in enumerate([BAD, GOOD]):
        with no_sync():
            optimizer.apply(gradients(backend, step, good=good))
    assert number(backend, optimizer.dynamic_scale) == 2.0**9
    assert all(map(np.array_equal, before, values(backend, params)))
    assert optimizer.iterations == 0
    for step in (2, 3):
        optimizer.apply(gradients(backend, step, 2.0**9))
    a, b = gradients(backend, 2), gradients(backend, 3)
    for old, new, one, other in zip(before, values(backend, params), a, b, strict=True):
        mean = (backend.to_numpy(one) + backend.to_numpy(other)) / 2
        np.testing.assert_allclose(new, old - 0.1 * mean, rtol=1e-5, atol=1e-6)
    assert optimizer.iterations == 1


def test_parameters_without_a_gradient_stay(backend, no_sync):
    params, optimizer = parameters(backend), scaler("adam")
    optimizer.build(params)
    before = values(backend, params)
    for step, good in enumerate([GOOD, BAD, GOOD]):
        g = gradients(backend, step, good=GOOD)
        g[1] = None
        if not good:
            g[0] = g[0] * float("inf")
        with no_sync():
            optimizer.apply(g)
    after = values(backend, params)
    assert np.array_equal(before[1], after[1])
    assert not np.array_equal(before[0], after[0])
    assert optimizer.iterations == 2


def test_several_lists_of_gradients_are_one_step(backend):
    params, theirs = parameters(backend), parameters(backend)
    optimizer, plain = scaler("adam"), RULES["adam"]()
    optimizer.build(params)
    plain.build(theirs)
    optimizer.apply_shards([gradients(backend, s, 2.0**10) for s in range(3)])
    plain.apply_shards([gradients(backend, s) for s in range(3)])
    for ours, other in zip(values(backend, params), values(backend, theirs), strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-5, atol=1e-6)
    optimizer.apply_shards([gradients(backend, s, good=s != 1) for s in range(3)])
    assert optimizer.iterations == 1


def test_a_fixed_scale(backend):
    params, theirs = parameters(backend), parameters(backend)
    fixed, plain = RULES["adam"](loss_scale_factor=64.0, clipnorm=0.5), RULES["adam"](clipnorm=0.5)
    assert fixed.scale_loss(2.0) == 128.0
    assert plain.scale_loss(2.0) == 2.0
    for step in range(3):
        fixed.apply(gradients(backend, step, 64.0), params)
        plain.apply(gradients(backend, step), theirs)
    assert all(map(np.array_equal, values(backend, params), values(backend, theirs)))


# ---- state --------------------------------------------------------------------------------------


@pytest.mark.parametrize("before_build", [True, False])
def test_state_is_taken_up_exactly(backend, before_build):
    def run(optimizer, params, steps):
        for step in steps:
            good = CALLS[step]
            optimizer.apply(gradients(backend, step, 300.0, good), params)

    params, optimizer = parameters(backend), scaler(use_ema=True)
    run(optimizer, params, range(6))
    state, resumed = optimizer.state(), scaler(use_ema=True)
    assert (state["dynamic_scale"], state["step_counter"]) == (SCALES[5], COUNTERS[5])
    assert state["iterations"] == sum(CALLS[:6])
    others = parameters(backend)
    for p, q in zip(others, params, strict=True):
        p.assign(q)
    if not before_build:
        resumed.build(others)
    resumed.set_state(state)
    assert resumed.state()["dynamic_scale"] == SCALES[5]
    run(optimizer, params, range(6, len(CALLS)))
    run(resumed, others, range(6, len(CALLS)))
    assert everything(resumed, others) == everything(optimizer, params)
    assert resumed.state()["dynamic_scale"] == optimizer.state()["dynamic_scale"] == SCALES[-1]


def test_a_state_that_does_not_fit_changes_nothing(backend):
    params, optimizer = parameters(backend), scaler()
    optimizer.apply(gradients(backend, 0, 2.0**10), params)
    before = everything(optimizer, params)
    with pytest.raises(ValueError, match=r"says its dynamic_scale .* inner_optimizer.set_state"):
        optimizer.set_state(optimizer.inner_optimizer.state())
    wrong = {**optimizer.state(), "0/q": params[0].data, "dynamic_scale": 5.0}
    with pytest.raises(ValueError, match="differs in"):
        optimizer.set_state(wrong)
    assert everything(optimizer, params) == before
    assert number(backend, optimizer.dynamic_scale) == 2.0**10


def test_configuration_and_copies():
    optimizer = LossScaleOptimizer(optimizers.Adam(0.01, beta_1=0.8), 8.0, 5, name="mine")
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    assert (again.initial_scale, again.dynamic_growth_steps, again.name) == (8.0, 5, "mine")
    assert again.inner_optimizer.beta_1 == again.beta_1 == 0.8
    assert "Adam learning_rate=0.01" in repr(again)
    again.learning_rate = 0.5
    assert again.inner_optimizer.learning_rate == again.learning_rate == 0.5
    for copied in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert copied.get_config() == optimizer.get_config()


@pytest.mark.filterwarnings("ignore")
def test_arguments_are_those_of_keras():
    theirs = inspect.signature(keras_module().optimizers.LossScaleOptimizer).parameters
    ours = inspect.signature(LossScaleOptimizer).parameters
    names = [n for n in theirs if n != "kwargs"]
    assert [n for n in ours if n != "unknown"] == names
    assert all(ours[n].default == theirs[n].default for n in names)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: LossScaleOptimizer("adam"), TypeError, r"around an optimizer .* got 'adam'"),
        (lambda: LossScaleOptimizer(scaler()), TypeError, "does not scale losses itself"),
        (
            lambda: LossScaleOptimizer(optimizers.SGD(loss_scale_factor=2.0)),
            TypeError,
            "does not scale losses itself",
        ),
        (
            lambda: LossScaleOptimizer(optimizers.SGD(), 0.0),
            ValueError,
            "initial_scale to be above",
        ),
        (
            lambda: LossScaleOptimizer(optimizers.SGD(), dynamic_growth_steps=0.5),
            ValueError,
            "dynamic_growth_steps to be a whole number, 1 or more",
        ),
        (
            lambda: LossScaleOptimizer(optimizers.SGD(), clipnorm=1.0),
            TypeError,
            r"no argument 'clipnorm' of its own: .*Adam\(clipnorm=",
        ),
        (
            lambda: LossScaleOptimizer(optimizers.SGD(), inital_scale=1.0),
            TypeError,
            "did you mean 'initial_scale'",
        ),
        (lambda: scaler().apply([]), ValueError, "knows no parameters yet"),
        (lambda: scaler().gamma, AttributeError, "gamma"),
        (lambda: scaler().zero_grad, AttributeError, "gradients are not kept between steps"),
    ],
)
def test_bad_use(make, error, match):
    with pytest.raises(error, match=match):
        make()


# ---- in a model ---------------------------------------------------------------------------------


def network(kind, place="numpy"):
    stack = {
        "chain": lambda: [layers.Dense(8, "tanh"), layers.Dense(3, "softmax")],
        "tape": lambda: [
            layers.Dense(8, "tanh", kernel_regularizer="l2", activity_regularizer="l2"),
            layers.BatchNormalization(),
            layers.Dropout(0.2, seed=1),
            layers.Dense(3, "softmax"),
        ],
        "shards": lambda: [layers.Dense(700, "relu"), layers.Dense(3, "softmax")],
    }[kind]()
    model = lamina.Sequential([layers.Input((5,)), *stack], backend=place)
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(size=w.shape) * 0.3 + (len(w.shape) == 1) for w in model.weights])
    for i, layer in enumerate(model.layers):
        layer.seed = i
    model.seed = 0
    return model


@pytest.mark.parametrize("kind", ["chain", "tape", "shards"])
@pytest.mark.parametrize("weighted", [False, True])
def test_in_float32_scaling_by_powers_of_two_changes_no_bit(kind, weighted, monkeypatch):
    if kind == "shards":
        monkeypatch.setattr(lamina.models.step, "CUT", 1 << 12)
    rng = np.random.default_rng(0)
    rows = 512 if kind == "shards" else 64
    x, y = rng.normal(size=(rows, 5)).astype("float32"), rng.integers(0, 3, size=rows)
    weights = rng.random(rows).astype("float32") if weighted else None
    found = []
    for wrap in (lambda o: o, lambda o: LossScaleOptimizer(o, 2.0**15, 2)):
        model = network(kind)
        model.compile(wrap(optimizers.Adam(0.01, clipnorm=1.0)), "sparse_categorical_crossentropy")
        history = model.fit(x, y, rows // 2, 4, sample_weight=weights, verbose=0)
        parts = model._step.gradients(x[:256], y[:256], None)
        assert len(parts) == (4 if kind == "shards" else 1)
        assert (model._step._chain is None) == (kind == "tape")
        found.append((history.history["loss"], [w.tobytes() for w in model.get_weights()]))
    assert found[0] == found[1]
    assert number(_Numpy, model.optimizer.dynamic_scale) == 2.0**19


def test_training_on_any_backend_waits_for_no_device(backend, no_sync):
    x = np.random.default_rng(0).normal(size=(16, 5))
    y = np.arange(16) % 3
    model = network("tape", backend.backend)
    optimizer = LossScaleOptimizer(optimizers.Adam(0.01))
    model.compile(optimizer, "sparse_categorical_crossentropy")
    model.train_on_batch(x, y)
    step = model._step
    place = backend.backend
    batch = place.asarray(x, "float32"), place.asarray(y, "int64"), None
    with no_sync(), place.scope():
        for _ in range(3):
            model._train_step(*batch)
    assert step.number == 4
    assert optimizer.iterations == 4


def test_models_keep_and_move_the_scale(backend):
    x, y = np.random.default_rng(0).normal(size=(8, 5)), np.arange(8) % 3
    model = network("chain")
    model.compile(
        LossScaleOptimizer(optimizers.Adam(0.01), 2.0**20, 2), "sparse_categorical_crossentropy"
    )
    for _ in range(4):
        model.train_on_batch(x, y)
    twin = pickle.loads(pickle.dumps(model))
    assert twin.optimizer.state()["dynamic_scale"] == 2.0**22
    twin.to(backend.backend)
    assert twin.optimizer.state()["dynamic_scale"] == 2.0**22
    assert twin.optimizer.iterations == 4
    losses = [m.train_on_batch(x, y) for m in (model, twin)]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert backend.backend.owns(twin.optimizer.dynamic_scale)


def test_a_fixed_scale_in_a_model_changes_no_bit():
    x, y = np.random.default_rng(0).normal(size=(32, 5)), np.arange(32) % 3
    found = []
    for factor in (None, 1024.0):
        model = network("tape")
        model.compile(
            optimizers.SGD(0.1, loss_scale_factor=factor), "sparse_categorical_crossentropy"
        )
        model.fit(x, y, epochs=3, verbose=0)
        found.append([w.tobytes() for w in model.get_weights()])
    assert found[0] == found[1]


class _Numpy:
    to_numpy = staticmethod(np.asarray)
