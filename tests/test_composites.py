"""Layers made of layers: found, built, named, frozen, saved, moved and told as one."""

import copy
import inspect
import json
import pickle
import textwrap

import numpy as np
import pytest

import lamina
from lamina import layers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3)).astype("float32")
Y = X[:, :1] * X[:, 1:2]


class Residual(layers.Layer):
    """As the first lines of ``layers/_layer.py`` show it, with a projection made in ``build``."""

    def __init__(self, units, rate=0.0, **kwargs):
        super().__init__(**kwargs)
        self.units, self.rate = units, rate
        self.inner = [
            layers.Dense(units, "tanh", kernel_regularizer="l2"),
            {"norm": layers.BatchNormalization(momentum=0.5)},
            (layers.Dropout(rate), layers.Dense(units)),
        ]
        self.project = None

    def build(self, input_shape):
        if input_shape[-1] != self.units:
            self.project = layers.Dense(self.units, use_bias=False)

    def call(self, inputs):
        first, named, (drop, second) = self.inner
        x = second(drop(named["norm"](first(inputs))))
        return x + (inputs if self.project is None else self.project(inputs))

    def get_config(self):
        return {**super().get_config(), "units": self.units, "rate": self.rate}


class Tower(layers.Layer):
    """Composites within a composite."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [Residual(4), Residual(4)]

    def call(self, inputs):
        for block in self.blocks:
            inputs = block(inputs)
        return inputs


def network(backend=None, seed=0, **options):
    lamina.utils.set_random_seed(seed)
    model = lamina.Sequential([layers.Input((3,)), Tower(**options), layers.Dense(1)],
                              backend=backend)  # fmt: skip
    model.compile(lamina.optimizers.SGD(0.1), "mse")
    return model


NAMES = [
    *[f"model/0/0/{i}/{name}" for i, names in (
        (0, ("kernel", "bias")), (1, ("gamma", "beta", "moving_mean", "moving_variance")),
        (3, ("kernel", "bias")), (4, ("kernel",))) for name in names],
    *[f"model/0/1/{i}/{name}" for i, names in (
        (0, ("kernel", "bias")), (1, ("gamma", "beta", "moving_mean", "moving_variance")),
        (3, ("kernel", "bias"))) for name in names],
    "model/1/kernel", "model/1/bias",
]  # fmt: skip


def test_weights_of_layers_inside_have_paths_of_their_own(backend):
    model = network(backend.backend)
    assert sorted(model.named_weights()) == sorted(NAMES)
    assert list(network(seed=1).named_weights()) == list(model.named_weights())
    assert all(backend.backend.owns(p.data) for p in model.weights)
    assert len(model.trainable_weights) == 7 + 6 + 2
    assert len(model.non_trainable_weights) == 4


@pytest.mark.parametrize(
    "build",
    [
        lambda layer: layer(X),
        lambda layer: layer.build_for((None, 3)),
        lambda layer: layer.compute_output_shape((None, 3)),
    ],
)
def test_a_composite_is_built_with_all_inside(build):
    tower = Tower(dtype="float64")
    build(tower)
    assert all(layer.built for layer in tower.layers_within())
    assert len(tower.weights) == 17
    assert {str(p.dtype) for p in tower.weights} == {"float64"}
    again = Tower(dtype="float64")
    again.build_for((None, 3))
    again.set_weights(tower.get_weights())
    np.testing.assert_array_equal(again(X).numpy(), tower(X).numpy())


def test_a_dtype_goes_to_the_nearest_inside():
    model = lamina.Sequential(
        [layers.Input((3,)), Tower(dtype="float64"), layers.Dense(1)], dtype="float32"
    )
    kinds = {name: str(p.dtype) for name, p in model.named_weights().items()}
    assert {kinds[name] for name in NAMES[:-2]} == {"float64"}
    assert {kinds[name] for name in NAMES[-2:]} == {"float32"}


def test_a_composite_learns_and_its_layers_are_told(backend, no_sync):
    model = network(backend.backend)
    before = model.named_weights()
    before = {name: p.numpy() for name, p in before.items()}
    with no_sync():
        losses = model.fit(
            backend.asarray(X), backend.asarray(Y), epochs=8, verbose=0
        ).history["loss"]
    assert losses[-1] < losses[0]
    moved = {name for name, p in model.named_weights().items() if (p.numpy() != before[name]).any()}
    still = {f"model/0/{i}/0/bias" for i in (0, 1)}  # batch normalization may undo a bias exactly
    assert moved | still == set(NAMES) | still


def test_regularizers_inside_are_added_to_the_loss():
    model = network()
    tower = model.layers[0]
    penalty = sum(0.01 * (block.inner[0].kernel.numpy() ** 2).sum() for block in tower.blocks)
    out = model.predict(X, verbose=0)
    expected = ((out - Y) ** 2).mean() + penalty
    np.testing.assert_allclose(model.evaluate(X, Y, verbose=0), expected, rtol=1e-5)


@pytest.mark.parametrize("when", ["in the constructor", "before", "after"])
def test_freezing_reaches_all_inside(when):
    model = network(trainable=when != "in the constructor")
    tower = model.layers[0]
    if when != "in the constructor":
        if when == "before":
            tower = Tower()
            tower.trainable = False
            model = lamina.Sequential([layers.Input((3,)), tower, layers.Dense(1)])
            model.compile("sgd", "mse")
        else:
            model.fit(X, Y, verbose=0)
            tower.trainable = False
    before = tower.get_weights()
    model.fit(X, Y, verbose=0)
    for a, b in zip(before, tower.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert tower.trainable_weights == []
    tower.blocks[1].trainable = True
    assert len(tower.trainable_weights) == 6
    assert not tower.blocks[1].inner[1]["norm"].moving_mean.trainable


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_composites_go_to_files(tmp_path, suffix, backend):
    path = tmp_path / f"w{suffix}"
    model, other = network(backend.backend), network(seed=1)
    model.fit(X, Y, verbose=0)
    model.save_weights(path)
    other.load_weights(path)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.to("numpy")
    np.testing.assert_allclose(
        model.predict(X, verbose=0), other.predict(X, verbose=0), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("how", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_holds_layers_of_its_own(how):
    model = network()
    model.fit(X, Y, verbose=0)
    twin = how(model)
    before = model.get_weights()
    twin.fit(X, Y, verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.fit(X, Y, verbose=0)
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_composite_is_made_anew_from_its_configuration():
    layer = Residual(4, 0.25, name="block")
    layer(X)
    again = Residual.from_config(json.loads(json.dumps(layer.get_config())))
    again(X)
    again.set_weights(layer.get_weights())
    assert again.name == "block"
    np.testing.assert_array_equal(again(X).numpy(), layer(X).numpy())


def test_the_summary_shows_what_is_inside_by_depth():
    lines = []
    network().summary(print_fn=lines.append, expand_nested=True)
    rows = [line for line in lines if line.startswith("│")]
    cells = [[cell.rstrip() for cell in row.strip("│").split("│")] for row in rows]
    depths = [(len(name) - len(name.lstrip()) - 1) // 2 for name, *_ in cells]
    assert depths == [0, 1, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 0]
    assert cells[0][2].strip() == f"{(16 + 16 + 20 + 12) + (20 + 16 + 20)}"
    assert cells[0][1].strip() == "(None, 4)"
    flat = []
    network().summary(print_fn=flat.append)
    assert len([line for line in flat if line.startswith("│")]) == 2
    assert flat[-3:] == lines[-3:]


def test_what_fails_inside_leaves_nothing_built():
    class Picky(layers.Layer):
        def call(self, inputs):
            if inputs.shape[-1] != 4:
                raise ValueError("four, please")
            return inputs

    class Pair(layers.Layer):
        def __init__(self):
            super().__init__()
            self.first, self.second = layers.Dense(3), Picky()

        def call(self, inputs):
            return self.second(self.first(inputs))

    pair = Pair()
    with pytest.raises(ValueError, match="four, please") as caught:
        pair.build_for((None, 3))
    assert "Picky" in caught.value.__notes__[0]
    assert not any(layer.built for layer in pair.layers_within())
    assert pair.weights == []


def test_a_loss_and_an_update_of_a_layer_inside_reach_the_step():
    class Counting(layers.Layer):
        def build(self, input_shape):
            self.seen = self.add_weight((), "zeros", trainable=False, name="seen")

        def call(self, inputs, training=False):
            if training:
                rows = float(inputs.shape[0])
                self.add_update(self.seen, lambda old: old + rows)
            self.add_loss(2.0)
            return inputs

    class Around(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inside = [Counting()]

        def call(self, inputs):
            return self.inside[0](inputs)

    model = lamina.Sequential([layers.Input((600,)), layers.Dense(600), Around(), layers.Dense(1)])
    model.compile(lamina.optimizers.SGD(0.0), "mse")
    x = RNG.normal(size=(512, 600)).astype("float32")  # enough to be cut into shards
    loss = model.train_on_batch(x, x[:, :1])
    seen = model.layers[1].inside[0].seen
    assert seen.numpy() == 512
    plain = ((model.predict(x, verbose=0) - x[:, :1]) ** 2).mean()
    assert loss == pytest.approx(plain + 2.0, rel=1e-4)
    model.evaluate(x, x[:, :1], verbose=0)
    assert seen.numpy() == 512
    layer = model.layers[1]
    layer(x, training=True)
    assert seen.numpy() == 1024, "outside of the training loop an update is done at once"
    layer(x)
    assert seen.numpy() == 1024


def test_an_update_of_another_shape_is_refused():
    layer = layers.Layer()
    weight = layer.add_weight((2,), "zeros", trainable=False, name="w")
    with pytest.raises(ValueError, match=r'"w" has shape \(2,\), got a value of shape \(3,\)'):
        layer.add_update(weight, lambda old: np.zeros(3))
    np.testing.assert_array_equal(weight.numpy(), np.zeros(2))


def test_the_examples_of_a_layer_of_ones_own_are_in_its_help_and_run():
    written = inspect.getdoc(lamina.Layer).split("\n")
    code = [line for line in written[: written.index("Args:")] if not line or line[0] == " "]
    there = {"lamina": lamina, "layers": layers}
    exec(textwrap.dedent("\n".join(code)), there)
    x = np.ones((2, 3), "float32")
    np.testing.assert_array_equal(there["Scale"]()(x).numpy(), x)
    assert there["Residual"](3)(x).shape == (2, 3)
    assert there["Residual"](3).get_config()["units"] == 3
