"""Normalization layers: against NumPy, PyTorch and Keras; what they keep from step to step."""

import copy
import warnings

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.testing import check_grads

RNG = np.random.default_rng(0)
X = (2 + 3 * RNG.normal(size=(12, 4, 5, 3))).astype("float32")


def torch_module(name, *args, **kwargs):
    torch = pytest.importorskip("torch")
    return torch, getattr(torch.nn, name)(*args, dtype=torch.float64, **kwargs)


def keras_layers():
    """Keras on JAX: it is the layers that are asked, not what computes them."""
    pytest.importorskip("jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("keras").layers


def gradients_of(layer, x, g, **kwargs):
    """Output, gradient of the input and of all trainable weights, for the gradient g of it."""
    x = lamina.Tensor(x, requires_grad=True)
    layer(x, **kwargs)
    for p in layer.trainable_weights:
        p.grad = None
    x.grad = None
    out = layer(x, **kwargs)
    out.backward(g)
    return out.numpy(), x.grad, [p.grad for p in layer.trainable_weights]


# ---- batch normalization -------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [-1, 1, 3, -2])
def test_batch_normalization_uses_the_batch_in_training_and_averages_otherwise(axis, backend):
    with lamina.use(backend.backend):
        layer = layers.BatchNormalization(axis=axis, momentum=0.8, epsilon=1e-5)
        x = backend.asarray(X)
        rested = layer(x).numpy()
        np.testing.assert_allclose(rested, X / np.sqrt(1 + 1e-5), rtol=1e-6)
        trained = layer(x, training=True).numpy()
        over = tuple(i for i in range(4) if i != axis % 4)
        mean, var = X.mean(over, keepdims=True), X.var(over, keepdims=True)
        np.testing.assert_allclose(trained, (X - mean) / np.sqrt(var + 1e-5), rtol=1e-4, atol=1e-5)
        gamma, beta, moving_mean, moving_variance = layer.get_weights()
        np.testing.assert_allclose(moving_mean, 0.2 * mean.ravel(), rtol=1e-5)
        np.testing.assert_allclose(moving_variance, 0.8 + 0.2 * var.ravel(), rtol=1e-5)
        np.testing.assert_array_equal(gamma, np.ones(X.shape[axis]))
        np.testing.assert_array_equal(beta, np.zeros(X.shape[axis]))
        along = [1, 1, 1, 1]
        along[axis] = -1
        used = (X - moving_mean.reshape(along)) / np.sqrt(moving_variance.reshape(along) + 1e-5)
        np.testing.assert_allclose(layer(x).numpy(), used, rtol=1e-4, atol=1e-5)
    assert all(backend.backend.owns(p.data) for p in layer.weights)


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("shape", [(8, 3), (6, 5, 3), (4, 3, 5, 3), (2, 3, 2, 4, 3), (2, 1, 1, 3)])
@pytest.mark.parametrize("training", [True, False])
def test_batch_normalization_is_pytorchs(shape, training):
    name = {2: "1d", 3: "1d", 4: "2d", 5: "3d"}[len(shape)]
    torch, module = torch_module("BatchNorm" + name, 3, eps=1e-3, momentum=0.3)
    x, g = RNG.normal(1, 2, size=shape), RNG.normal(size=shape)
    layer = layers.BatchNormalization(momentum=0.7, dtype="float64")
    layer(x)
    start = [RNG.normal(size=3), RNG.normal(size=3), RNG.normal(size=3), RNG.uniform(1, 2, 3)]
    layer.set_weights(start)
    with torch.no_grad():
        for p, v in zip([*module.parameters(), *module.buffers()], start, strict=False):
            p[...] = torch.tensor(v)
    out, dx, (d_gamma, d_beta) = gradients_of(layer, x, g, training=training)
    module.train(training)
    theirs = torch.tensor(np.moveaxis(x, -1, 1), requires_grad=True)
    result = module(theirs)
    result.backward(torch.tensor(np.moveaxis(g, -1, 1)))
    close = {"rtol": 1e-10, "atol": 1e-10}
    np.testing.assert_allclose(out, np.moveaxis(result.detach().numpy(), 1, -1), **close)
    np.testing.assert_allclose(dx, np.moveaxis(theirs.grad.numpy(), 1, -1), **close)
    np.testing.assert_allclose(d_gamma, module.weight.grad.numpy(), **close)
    np.testing.assert_allclose(d_beta, module.bias.grad.numpy(), **close)


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.5, "epsilon": 0.1, "axis": 1},
        {"center": False},
        {"scale": False, "gamma_initializer": "zeros"},
        {"moving_mean_initializer": "ones", "moving_variance_initializer": "zeros"},
        {"renorm": True, "renorm_momentum": 0.6},
        {
            "renorm": True,
            "scale": False,
            "renorm_clipping": {"rmax": 1.5, "rmin": 0.5, "dmax": 0.3},
        },
        {"renorm": True, "center": False, "renorm_clipping": {"rmax": 2.0}, "momentum": 0.9},
    ],
)
def test_batch_normalization_is_kerass(options):
    theirs = keras_layers().BatchNormalization(**options)
    ours = layers.BatchNormalization(**options)
    assert [p.name for p in ours.weights] == []
    for step in range(3):
        x = X + step
        np.testing.assert_allclose(
            ours(x, training=True).numpy(), np.asarray(theirs(x, training=True)),
            rtol=1e-4, atol=2e-5,
        )  # fmt: skip
    assert [p.name for p in ours.weights] == [w.name for w in theirs.weights]
    for a, b in zip(ours.get_weights(), theirs.weights, strict=True):
        np.testing.assert_allclose(a, np.asarray(b.value), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(ours(X).numpy(), np.asarray(theirs(X)), rtol=1e-4, atol=2e-5)
    made = keras_layers().BatchNormalization.from_config(
        {k: v for k, v in ours.get_config().items() if k in theirs.get_config()}
        | {"dtype": "float32"}
    )
    assert made.momentum == theirs.momentum


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("means", [(0.0, 1.0), (1e3, 0.0), (-1e3, 2e2), (1e-4, 0.0)])
@pytest.mark.parametrize("axis", [-1, 1])
def test_means_far_from_zero_cost_batch_normalization_no_digits(means, axis):
    """In float32 the difference of the mean square and the square of a mean of 1000 is noise."""
    means, scale = np.array(means), 1e-4 if 1e-4 in means else 1.0
    x = (means + scale * RNG.normal(size=(64, 9, 2))).astype("float32")
    g = RNG.normal(size=x.shape).astype("float32")
    wide = x.astype("float64")
    root = np.sqrt(wide.var((0, 1)) + 1e-12)
    w = (wide - wide.mean((0, 1))) / root
    dx = (g - g.mean((0, 1)) - w * (g * w).mean((0, 1))) / root
    layer = layers.BatchNormalization(axis=axis, epsilon=1e-12)
    given, gradient = (np.ascontiguousarray(np.moveaxis(a, -1, axis)) for a in (x, g))
    out, found, (d_gamma, d_beta) = gradients_of(layer, given, gradient, training=True)
    np.testing.assert_allclose(np.moveaxis(out, axis, -1), w, atol=3e-4)
    np.testing.assert_allclose(np.moveaxis(found, axis, -1) * root, dx * root, atol=3e-4)
    np.testing.assert_allclose(d_gamma, (g * w).sum((0, 1)), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(d_beta, g.sum((0, 1)), rtol=1e-5, atol=1e-4)


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("far", [0.0, 300.0])
@pytest.mark.parametrize("asked", [(0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)])
@pytest.mark.parametrize("axis", [-1, 1])
def test_statistics_of_a_batch_have_gradients_of_their_own(axis, asked, far):
    """Whichever of result, mean and variance a loss is made of."""
    x = RNG.normal(size=(4, 3, 5)) + far
    scale = RNG.normal(size=(2, x.shape[axis]))
    weights = [RNG.normal(size=shape) for shape in (x.shape, *[scale[0].shape] * 2)]

    def loss(function):
        given = [lamina.Tensor(a, requires_grad=True) for a in (x, *scale)]
        found = function(*given, axis=axis, epsilon=1e-3)
        parts = zip(asked, found, weights, strict=True)
        sum(lamina.xp.sum(part * weight) for one, part, weight in parts if one).backward()
        return [np.zeros_like(t.data) if t.grad is None else t.grad for t in given]

    op, xp = lamina.ops.batch_normalization, lamina.autograd.differentiable(np)
    wanted = loss(lambda *a, **options: op.definition(xp, *a, **options))
    for ours, theirs in zip(loss(op), wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)


@pytest.mark.usefixtures("both_ways")
def test_means_that_are_taken_off_first_warn_of_nothing():
    """Seen as they are, these numbers have no variance at all."""
    x = (1e4 + np.array([[0.0], [1e-3], [2e-3]])).astype("float32")
    out, _, _ = lamina.ops.batch_normalization(x, epsilon=0.0)
    wide = x.astype("float64")
    np.testing.assert_allclose(out, (wide - wide.mean()) / wide.std(), rtol=1e-3, atol=1e-3)


@pytest.mark.usefixtures("both_ways")
def test_averages_of_another_dtype_normalize():
    x, mean = RNG.normal(size=(6, 4)).astype("float32"), RNG.normal(size=4)
    given = [lamina.Tensor(a, requires_grad=True) for a in (x, mean, mean**2)]
    out = lamina.ops.standardize(*given, epsilon=1e-3)
    out.backward(np.ones_like(out.data))
    root = np.sqrt(mean**2 + 1e-3)
    np.testing.assert_allclose(out.data, (x - mean) / root, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(given[1].grad, -6 / root, rtol=1e-5)


@pytest.mark.usefixtures("both_ways")
def test_large_batches_are_worked_through_in_blocks(set_workers):
    """More than one block, shared by threads, side by side and channels first."""
    x = (5 + RNG.normal(size=(70, 30, 32, 16))).astype("float32")
    g = RNG.normal(size=x.shape).astype("float32")
    assert x.size > 1 << 20
    wide = x.astype("float64")
    mean, var = wide.mean((0, 1, 2)), wide.var((0, 1, 2))
    w = (wide - mean) / np.sqrt(var + 1e-3)
    expected = (g - g.mean((0, 1, 2)) - w * (g * w).mean((0, 1, 2))) / np.sqrt(var + 1e-3)
    found = []
    for workers in (1, 3):
        set_workers(workers)
        for axis, place in ((-1, -1), (1, 1)):
            given = np.ascontiguousarray(np.moveaxis(x, -1, place))
            gradient = np.ascontiguousarray(np.moveaxis(g, -1, place))
            layer = layers.BatchNormalization(axis=axis)
            out, dx, _ = gradients_of(layer, given, gradient, training=True)
            used = layers.BatchNormalization(axis=axis)
            np.testing.assert_allclose(used(given).numpy(), given / np.sqrt(1.001), rtol=1e-6)
            found.append((out, dx))
            np.testing.assert_allclose(np.moveaxis(out, place, -1), w, atol=2e-5)
            np.testing.assert_allclose(np.moveaxis(dx, place, -1), expected, atol=2e-5)
    for one, other in zip(found[:2], found[2:], strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def network(momentum=0.9, **options):
    lamina.utils.set_random_seed(3)
    model = lamina.Sequential(
        [layers.Input((6,)), layers.Dense(5), layers.BatchNormalization(momentum=momentum),
         layers.Activation("tanh"), layers.Dense(1)],
        **options,
    )  # fmt: skip
    model.compile(lamina.optimizers.SGD(0.1), "mse")
    return model


ROWS = RNG.normal(size=(300, 6)).astype("float32")
TARGETS = ROWS[:, :1] * ROWS[:, 1:2]


def test_a_step_moves_the_averages_once_and_nothing_else_does(backend, no_sync):
    model = network(backend=backend.backend)
    kernel, bias, *_ = model.get_weights()
    x, y = ROWS[:32], TARGETS[:32]
    names = [p.name for p in model.layers[1].weights]
    assert names == ["gamma", "beta", "moving_mean", "moving_variance"]
    before = model.get_weights()
    with no_sync():
        model.evaluate(backend.asarray(x), backend.asarray(y), verbose=0)
    model.predict(x, verbose=0)
    model.test_on_batch(x, y)
    model.summary(print_fn=lambda line: None)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.train_on_batch(x, y)
    _, _, mean, variance = model.layers[1].get_weights()
    hidden = x @ kernel + bias
    np.testing.assert_allclose(mean, 0.1 * hidden.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(variance, 0.9 + 0.1 * hidden.var(0), rtol=1e-4)


def test_a_step_that_fails_leaves_the_averages():
    class Failing(lamina.metrics.Metric):
        def update_state(self, y_true, y_pred, sample_weight=None):
            raise RuntimeError("no figures today")

    model = network()
    model.compile("sgd", "mse", metrics=[Failing()])
    before = model.get_weights()
    with pytest.raises(RuntimeError, match="no figures today"):
        model.train_on_batch(ROWS, TARGETS)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def coupled(dtype=None, front=(), width=600):
    """A network with work enough for its batches to be cut, and rows for it."""
    lamina.utils.set_random_seed(0)
    model = lamina.Sequential(
        [layers.Input((width,)), *front, layers.Dense(width),
         layers.BatchNormalization(momentum=0.0), layers.Activation("tanh"),
         layers.BatchNormalization(scale=False), layers.Dense(1)],
        dtype=dtype,
    )  # fmt: skip
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(256, width)).astype(dtype or "float32")
    return model, x, x[:, :1] * 2


def shards_of(model, x, y):
    """The parts of a step, which is not taken."""
    model._prepare()
    return model._step.gradients(x, y, None)


@pytest.mark.usefixtures("both_ways")
def test_shards_of_a_batch_have_the_statistics_and_gradients_of_the_whole():
    model, x, y = coupled("float64")
    parts = shards_of(model, x, y)
    assert [part.rows for part in parts] == [128, 128]
    found = [sum(gradients) for gradients in zip(*[p.gradients for p in parts], strict=True)]
    outputs = np.concatenate([part.outputs for part in parts])
    assert [len(part.updates) for part in parts] == [4, 0]
    model._step._divisible = False
    (whole,) = shards_of(model, x, y)
    np.testing.assert_allclose(outputs, whole.outputs, rtol=1e-10, atol=1e-12)
    for a, b in zip(found, whole.gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-13)
    kernel = model.get_weights()[0]
    model.train_on_batch(x, y)
    hidden = x @ kernel
    np.testing.assert_allclose(model.layers[1].moving_mean.numpy(), hidden.mean(0), rtol=1e-8)
    np.testing.assert_allclose(model.layers[1].moving_variance.numpy(), hidden.var(0), rtol=1e-8)


@pytest.mark.usefixtures("both_ways")
def test_training_is_the_same_for_any_number_of_workers(set_workers):
    runs = []
    for workers in (1, 2, 3):
        model, x, y = coupled()
        set_workers(workers)
        model.fit(x, y, batch_size=128, epochs=3, verbose=0)
        assert model._step._divisible
        runs.append(model.get_weights())
    for run in runs[1:]:
        for a, b in zip(runs[0], run, strict=True):
            np.testing.assert_array_equal(a, b)


class Wayward(layers.Layer):
    """Goes another way for some samples, or fails for them."""

    def __init__(self, what):
        super().__init__()
        self.what = what
        self.norm = layers.BatchNormalization()

    def call(self, inputs):
        first = bool(inputs.data[0, 0] > 100)
        if self.what == "leaves":
            return inputs if first else self.norm(inputs)
        if self.what == "crosses":
            return self.norm(inputs) if first else inputs * 1.0
        if first and inputs.shape[0] > 1:
            raise RuntimeError("not this one")
        return self.norm(inputs)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("what", ["leaves", "crosses"])
def test_shards_that_part_ways_are_done_as_one(what, workers, set_workers):
    set_workers(workers)
    model, x, y = coupled(front=[Wayward(what)])
    x[0, 0] = 1e3  # a mark on the first shard
    loss = model.train_on_batch(x, y)
    assert np.isfinite(loss)
    assert not model._step._divisible
    model.train_on_batch(x, y)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_one_shard_is_the_error_of_the_step(workers, set_workers):
    set_workers(workers)
    model, x, y = coupled(front=[Wayward("fails")])
    x[0, 0] = 1e3
    before = model.get_weights()
    with pytest.raises(RuntimeError, match="not this one"):
        model.train_on_batch(x, y)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_batch_renormalization_keeps_the_batch_whole():
    model, x, y = coupled(front=[layers.BatchNormalization(renorm=True)])
    assert len(shards_of(model, x, y)) == 1


@pytest.mark.usefixtures("both_ways")
def test_a_frozen_one_is_as_when_the_model_is_used():
    model = network()
    model.fit(ROWS, TARGETS, verbose=0)
    norm = model.layers[1]
    norm.trainable = False
    before = norm.get_weights()
    used = model.predict(ROWS, verbose=0)
    loss = model.train_on_batch(ROWS, TARGETS)
    np.testing.assert_allclose(loss, ((used - TARGETS) ** 2).mean(), rtol=1e-5)
    for a, b in zip(before, norm.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    norm.trainable = True
    model.train_on_batch(ROWS, TARGETS)
    assert (norm.get_weights()[2] != before[2]).any()
    assert not norm.moving_mean.trainable


def test_one_used_twice_in_a_step_averages_twice():
    class Twice(lamina.Model):
        def __init__(self):
            super().__init__()
            self.norm, self.out = layers.BatchNormalization(momentum=0.5), layers.Dense(1)

        def call(self, inputs):
            return self.out(self.norm(inputs) + self.norm(2.0 * inputs))

    model = Twice()
    model.compile("sgd", "mse")
    model.train_on_batch(ROWS, TARGETS)
    mean = ROWS.mean(0)
    np.testing.assert_allclose(
        model.norm.moving_mean.numpy(), 0.25 * mean + 0.5 * 2 * mean, rtol=1e-4, atol=1e-6
    )


def test_averages_go_to_files_and_other_backends(tmp_path):
    strict = pytest.importorskip("array_api_strict")
    model, other = network(), network()
    model.fit(ROWS, TARGETS, epochs=2, verbose=0)
    model.save_weights(tmp_path / "w.npz")
    other.load_weights(tmp_path / "w.npz")
    used = model.predict(ROWS, verbose=0)
    np.testing.assert_array_equal(other.predict(ROWS, verbose=0), used)
    assert strict
    moved = other.to("array_api_strict:device1")
    np.testing.assert_allclose(moved.predict(ROWS, verbose=0), used, rtol=1e-4, atol=1e-6)
    again = network()
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.predict(ROWS, verbose=0), used)


@pytest.mark.usefixtures("both_ways")
def test_several_steps_with_batch_normalization_are_pytorchs():
    torch = pytest.importorskip("torch")
    model = lamina.Sequential(
        [layers.Input((6,)), layers.Dense(5), layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
         layers.ReLU(), layers.Dense(1)],
        dtype="float64",
    )  # fmt: skip
    model.compile(lamina.optimizers.SGD(0.1, momentum=0.9), "mse")
    twin = torch.nn.Sequential(
        torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5, momentum=0.1), torch.nn.ReLU(),
        torch.nn.Linear(5, 1),
    ).double()  # fmt: skip
    k1, b1, gamma, beta, k2, b2, *_ = model.get_weights()
    with torch.no_grad():
        for p, v in zip(twin.parameters(), (k1.T, b1, gamma, beta, k2.T, b2), strict=True):
            p[...] = torch.tensor(v)
    optimizer = torch.optim.SGD(twin.parameters(), 0.1, momentum=0.9)
    x, y = ROWS.astype("float64"), TARGETS.astype("float64")
    for step in range(5):
        rows = slice(32 * step, 32 * step + 32)
        ours = model.train_on_batch(x[rows], y[rows])
        optimizer.zero_grad()
        loss = ((twin(torch.tensor(x[rows])) - torch.tensor(y[rows])) ** 2).mean()
        loss.backward()
        optimizer.step()
        np.testing.assert_allclose(ours, loss.item(), rtol=1e-10)
    theirs = [p.detach().numpy().T for p in twin.parameters()]
    for a, b in zip(model.get_weights()[:6], theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(model.get_weights()[6], twin[1].running_mean.numpy(), rtol=1e-10)


def test_a_batch_of_one_warns_and_does_what_keras_does():
    layer = layers.BatchNormalization(name="norm", beta_initializer="ones")
    with pytest.warns(UserWarning, match=r'"norm" trained on a batch with one value') as told:
        out = layer(ROWS[:1], training=True)
    assert told[0].filename == __file__
    np.testing.assert_array_equal(out.numpy(), np.ones((1, 6)))
    np.testing.assert_allclose(layer.moving_variance.numpy(), np.full(6, 0.99))
    layer(ROWS[:1], training=True)  # told once
    layer(ROWS[:1])
    layers.BatchNormalization()(X[:1], training=True)  # twenty values a channel


def test_a_batch_of_one_in_fit_is_told_at_the_line_of_fit():
    model = lamina.Sequential([layers.Input((6,)), layers.BatchNormalization(), layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="one value per channel") as told:
        model.fit(ROWS[:1], np.ones((1, 1)), verbose=0)
    assert [w.filename for w in told] == [__file__]


def test_an_empty_batch_passes_and_changes_nothing():
    layer = layers.BatchNormalization()
    assert layer(X[:0], training=True).shape == (0, 4, 5, 3)
    np.testing.assert_array_equal(layer.moving_mean.numpy(), np.zeros(3))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: layers.BatchNormalization(axis=0)(X), r"an axis 0 behind the batch.s, got"),
        (lambda: layers.BatchNormalization(axis=4)(X), "an axis 4 behind"),
        (lambda: layers.BatchNormalization(axis=[1, 2]), "axis as a whole number"),
        (lambda: layers.BatchNormalization(momentum=1.1), "momentum from 0 to 1, got 1.1"),
        (lambda: layers.BatchNormalization(epsilon=-1.0), "epsilon from 0 on"),
        (lambda: layers.BatchNormalization().build_for((None, None)), "axis -1 has a known length"),
        (lambda: layers.BatchNormalization(renorm_clipping={"max": 1}), '"rmin", "rmax", "dmax"'),
        (lambda: layers.BatchNormalization(renorm_clipping={"rmax": 1, "rmin": 2}), "not below"),
    ],
)
def test_wrong_settings_of_batch_normalization(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_channels_that_differ_name_the_layer():
    layer = layers.BatchNormalization(name="norm")
    layer(X)
    with pytest.raises(ValueError, match=r'"norm" expects 3 channels along axis -1, got .*another'):
        layer(np.moveaxis(X, -1, 1))


# ---- layer, group, rms and unit normalization ----------------------------------------------------

ALONE = [
    (lambda: layers.LayerNormalization(dtype="float64"), {}),
    (lambda: layers.LayerNormalization([1, 3], 0.1, gamma_initializer="ones", dtype="float64"), {}),
    (lambda: layers.LayerNormalization([2, -1], scale=False, dtype="float64"), {}),
    (lambda: layers.GroupNormalization(2, axis=1, dtype="float64", beta_initializer="normal"), {}),
    (lambda: layers.GroupNormalization(3, dtype="float64", gamma_initializer="normal"), {}),
    (lambda: layers.GroupNormalization(-1, dtype="float64", center=False), {}),
    (lambda: layers.RMSNormalization(dtype="float64"), {}),
    (lambda: layers.RMSNormalization([-2, -1], 0.1, dtype="float64"), {}),
    (lambda: layers.UnitNormalization(), {}),
    (lambda: layers.UnitNormalization([1, 2]), {}),
    (lambda: layers.BatchNormalization(dtype="float64"), {"training": True}),
    (lambda: layers.BatchNormalization(1, dtype="float64"), {"training": False}),
]


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize(("make", "how"), ALONE)
def test_gradients_are_those_of_finite_differences(make, how):
    layer = make()
    x = RNG.normal(1, 2, size=(3, 4, 2, 6))
    layer(x)
    for p in layer.weights:
        p.assign(RNG.uniform(0.5, 1.5, p.shape))
    names = ("gamma", "beta", "scale")
    names = [name for name in names if isinstance(getattr(layer, name, None), lamina.Tensor)]

    def run(inputs, *weights):
        twin = copy.copy(layer)
        vars(twin).update(zip(names, weights, strict=True))
        return twin.call(inputs, **how)

    check_grads(run, (x, *[getattr(layer, n).data for n in names]), order=2)


@pytest.mark.parametrize(
    ("name", "args", "ours"),
    [
        ("LayerNorm", (3, 1e-3), lambda: layers.LayerNormalization(dtype="float64")),
        ("LayerNorm", ((4, 5, 3), 0.1), lambda: layers.LayerNormalization(
            [3, 1, 2], 0.1, dtype="float64")),
        ("RMSNorm", (3, 1e-6), lambda: layers.RMSNormalization(dtype="float64")),
        ("RMSNorm", ((5, 3), 0.1), lambda: layers.RMSNormalization([-1, -2], 0.1, dtype="float64")),
        ("GroupNorm", (2, 4, 1e-3), lambda: layers.GroupNormalization(2, 1, dtype="float64")),
        ("GroupNorm", (4, 4, 1e-3), lambda: layers.GroupNormalization(-1, 1, dtype="float64")),
    ],
)  # fmt: skip
def test_normalization_of_samples_is_pytorchs(name, args, ours):
    torch, module = torch_module(name, *args)
    layer = ours()
    x, g = X.astype("float64"), RNG.normal(size=X.shape)
    layer(x)
    start = [RNG.normal(size=p.shape) for p in layer.weights]
    layer.set_weights(start)
    with torch.no_grad():
        for p, v in zip(module.parameters(), start, strict=True):
            p[...] = torch.tensor(v)
    out, dx, found = gradients_of(layer, x, g)
    theirs = torch.tensor(x, requires_grad=True)
    result = module(theirs)
    result.backward(torch.tensor(g))
    close = {"rtol": 1e-10, "atol": 1e-11}
    np.testing.assert_allclose(out, result.detach().numpy(), **close)
    np.testing.assert_allclose(dx, theirs.grad.numpy(), **close)
    for a, p in zip(found, module.parameters(), strict=True):
        np.testing.assert_allclose(a, p.grad.numpy(), **close)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("LayerNormalization", {}),
        ("LayerNormalization", {"axis": [2, 3], "center": False, "epsilon": 0.1}),
        ("LayerNormalization", {"axis": 1, "scale": False}),
        ("GroupNormalization", {"groups": 3}),
        ("GroupNormalization", {"groups": 2, "axis": 1, "epsilon": 0.1}),
        ("GroupNormalization", {"groups": -1}),
        ("RMSNormalization", {}),
        ("RMSNormalization", {"axis": 2, "epsilon": 0.1}),
        ("UnitNormalization", {}),
        ("UnitNormalization", {"axis": [1, 2]}),
    ],
)
def test_normalization_of_samples_is_kerass(name, options):
    ours, theirs = getattr(layers, name)(**options), getattr(keras_layers(), name)(**options)
    if name == "RMSNormalization" and options.get("axis", -1) != -1:
        x = np.moveaxis(X, -1, 2)[..., :5]  # Keras spreads the scale along the last axis
        ours, theirs = type(ours)(epsilon=0.1), type(theirs)(epsilon=0.1)
    else:
        x = X
    np.testing.assert_allclose(ours(x).numpy(), np.asarray(theirs(x)), rtol=1e-5, atol=1e-5)
    assert [(p.name, tuple(p.shape)) for p in ours.weights] == [
        (w.name, tuple(w.shape)) for w in theirs.weights
    ]


@pytest.mark.parametrize(("make", "how"), ALONE)
def test_normalization_on_every_backend(make, how, backend, no_sync):
    x, g = RNG.normal(1, 2, size=(3, 4, 2, 6)), RNG.normal(size=(3, 4, 2, 6))
    host = make()
    host(x)
    expected = gradients_of(host, x, g, **how)
    with lamina.use(backend.backend):
        layer = make()
        x, g = backend.asarray(x), backend.asarray(g)
        layer(x)
        layer.set_weights(host.get_weights())
        with no_sync():
            t = lamina.Tensor(x, requires_grad=True)
            out = layer(t, **how)
            out.backward(g)
    assert backend.backend.owns(out.data)
    assert backend.backend.owns(t.grad)
    np.testing.assert_allclose(out.numpy(), expected[0], rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(backend.to_numpy(t.grad), expected[1], rtol=1e-9, atol=1e-10)


def on_tape(layer):
    return lamina.Sequential([layer, layers.Dropout(0)])


def test_layer_normalization_is_a_link_of_a_chain():
    """Without a tape the numbers are the tape's."""
    ends = []
    for wrap in (lambda layer: layer, on_tape):
        lamina.utils.set_random_seed(0)
        model = lamina.Sequential(
            [layers.Input((6,)), layers.Dense(6), wrap(layers.LayerNormalization()),
             wrap(layers.GroupNormalization(2)), wrap(layers.RMSNormalization()), layers.Dense(1)]
        )  # fmt: skip
        if ends:
            model.set_weights(ends[0])
        else:
            ends.append(model.get_weights())
        model.compile("sgd", "mse")
        model.train_on_batch(ROWS, TARGETS)
        assert (model._step._chain is None) == (len(ends) == 2)
        ends.append(model.get_weights())
    for a, b in zip(*ends[1:], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (
            lambda: layers.GroupNormalization(2)(X),
            r"multiple of its 2 groups .*\[1, 3\], or -1 for",
        ),
        (lambda: layers.GroupNormalization(0), "groups as a whole number from 1 on, got 0"),
        (lambda: layers.GroupNormalization(axis="c"), "axis as a whole number"),
        (lambda: layers.LayerNormalization(axis="c"), "axis as a whole number or a list"),
        (lambda: layers.LayerNormalization(axis=[]), "axis as a whole number or a list"),
        (lambda: layers.LayerNormalization(axis=[1, 1.5]), "axis as a whole number or a list"),
        (lambda: layers.LayerNormalization(axis=0)(X), "an axis 0 behind the batch.s"),
        (lambda: layers.LayerNormalization(epsilon="small"), "epsilon from 0 on"),
        (lambda: layers.RMSNormalization(epsilon=-1), "epsilon from 0 on"),
        (lambda: layers.UnitNormalization(axis=7)(X), "an axis 7, got"),
        (lambda: layers.SpectralNormalization(layers.Dense(2), 0), "power_iterations as a whole"),
        (lambda: layers.SpectralNormalization(layers.ReLU())(X), "with a kernel or embeddings"),
    ],
)
def test_wrong_settings_of_normalization(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.LayerNormalization(),
        lambda: layers.GroupNormalization(1),
        lambda: layers.RMSNormalization(),
    ],
)
def test_other_lengths_name_the_layer(make):
    layer = make()
    layer(X)
    with pytest.raises(ValueError, match="expects inputs with 3 along axis 3, got .12, 4, 5, 2"):
        layer(X[..., :2])


# ---- spectral normalization ----------------------------------------------------------------------


def test_spectral_normalization_brings_the_largest_singular_value_to_one(backend):
    with lamina.use(backend.backend):
        layer = layers.SpectralNormalization(layers.Dense(5, use_bias=False))
        x = backend.asarray(ROWS)
        layer(x)
        for _ in range(60):
            layer(x, training=True)
        out = layer(x).numpy()
    kernel = layer.layer.get_weights()[0]
    largest = np.linalg.svd(kernel, compute_uv=False)[0]
    np.testing.assert_allclose(out, ROWS @ kernel / largest, rtol=1e-3, atol=1e-4)


def test_spectral_normalization_divides_as_keras_does():
    theirs = keras_layers().SpectralNormalization(keras_layers().Dense(5), 3)
    ours = layers.SpectralNormalization(layers.Dense(5), 3)
    theirs(ROWS), ours(ROWS)
    ours.layer.kernel.assign(np.asarray(theirs.layer.kernel.value))
    ours.vector_u.assign(np.asarray(theirs.vector_u.value))
    np.testing.assert_allclose(
        ours(ROWS, training=True).numpy(), np.asarray(theirs(ROWS, training=True)),
        rtol=1e-4, atol=1e-5,
    )  # fmt: skip
    np.testing.assert_allclose(
        ours.vector_u.numpy(), np.asarray(theirs.vector_u.value), rtol=1e-4, atol=1e-6
    )


def test_spectral_normalization_has_pytorchs_gradient():
    torch = pytest.importorskip("torch")
    layer = layers.SpectralNormalization(layers.Dense(5, use_bias=False), dtype="float64")
    layer(np.eye(6))
    kernel, u = layer.get_weights()
    module = torch.nn.utils.parametrizations.spectral_norm(
        torch.nn.Linear(5, 6, bias=False).double(), n_power_iterations=1
    )
    u = u / np.linalg.norm(u)
    layer.set_weights([kernel, u])
    with torch.no_grad():  # their v is our u: they begin at the other end of the matrix
        module.parametrizations.weight.original[...] = torch.tensor(kernel)
        module.parametrizations.weight[0]._v[...] = torch.tensor(u[0])
    g = RNG.normal(size=kernel.shape)
    module.weight.backward(torch.tensor(g))
    out = layer(np.eye(6), training=True)
    out.backward(g)
    weight = kernel / np.linalg.svd(kernel, compute_uv=False)[0]
    assert abs(out.numpy() - weight).max() < 0.3
    np.testing.assert_allclose(
        layer.layer.kernel.grad, module.parametrizations.weight.original.grad.numpy(),
        rtol=1e-8, atol=1e-10,
    )  # fmt: skip


def test_spectral_normalization_is_trained_and_leaves_zeros(backend, no_sync):
    model = lamina.Sequential(
        [layers.Input((6,)), layers.SpectralNormalization(layers.Dense(4, "tanh")),
         layers.Dense(1)], backend=backend.backend,
    )  # fmt: skip
    model.compile(lamina.optimizers.SGD(0.1), "mse")
    x, y = backend.asarray(ROWS), backend.asarray(TARGETS)
    before = model.get_weights()
    with no_sync():
        model.fit(x, y, verbose=0)
    assert all((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    zero = layers.SpectralNormalization(layers.Dense(4, kernel_initializer="zeros"))
    np.testing.assert_array_equal(zero(ROWS, training=True).numpy(), np.zeros((300, 4)))


def test_images_of_half_precision_are_summed_in_single():
    """Given to a layer of no policy, which casts nothing."""
    x = RNG.standard_normal((64, 32, 32, 3)).astype("float16")
    out = layers.BatchNormalization()(x, training=True).numpy()
    np.testing.assert_allclose(out.mean((0, 1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(out.std((0, 1, 2)), 1, atol=1e-2)
