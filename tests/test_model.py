"""Models: subclassing, weights in files, moving between backends, seeds."""

import copy
import pickle

import numpy as np
import pytest

import lamina
from lamina import layers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).astype("float32")
Y = (X[:, :1] - X[:, 1:2] ** 2).astype("float32")


def network(backend=None, dropout=0.2, seed=1):
    lamina.utils.set_random_seed(seed)
    return lamina.Sequential(
        [
            layers.Input((3,)),
            layers.Dense(8, "tanh"),
            layers.Dropout(dropout),
            layers.Dense(1),
        ],
        backend=backend,
    )


def same(one, other, exactly=True):
    for a, b in zip(one, other, strict=True):
        if exactly:
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


class Wide(lamina.Model):
    """Two ways side by side, with a list of layers and a training flag."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.ways = [layers.Dense(4, "relu"), layers.Dense(4, "tanh")]
        self.drop = layers.Dropout(0.5)
        self.out = layers.Dense(1)

    def call(self, inputs, training=False):
        both = lamina.xp.concat([way(inputs) for way in self.ways], axis=-1)
        return self.out(self.drop(both, training=training))


# ---- subclassed models ---------------------------------------------------------------------------


def test_a_subclassed_model_learns(backend, no_sync):
    lamina.utils.set_random_seed(0)
    model = Wide(backend=backend.backend)
    model.compile(lamina.optimizers.Adam(0.02), "mse")
    with no_sync():
        losses = model.fit(X, Y, epochs=8, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert all(backend.backend.owns(p.data) for p in model.weights)
    k1, b1, k2, b2, k3, b3 = model.get_weights()
    hidden = np.concatenate([np.maximum(X @ k1 + b1, 0), np.tanh(X @ k2 + b2)], axis=-1)
    np.testing.assert_allclose(model.predict(X, verbose=0), hidden @ k3 + b3, rtol=1e-4, atol=1e-5)


def test_a_subclassed_model_tells_its_layers_and_sums_up(capsys):
    model = Wide(name="wide")
    assert len(model.layers) == 4
    model(X)
    model.summary()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'Model: "wide"'
    assert [line.split()[-2] for line in lines[4:8]] == ["16", "16", "0", "9"]
    assert "(None, 8)" in lines[6]
    assert model.output_shape == (None, 1)


def test_a_model_may_have_parameters_of_its_own():
    class Line(lamina.Model):
        def build(self, input_shape):
            self.slope = self.add_weight((input_shape[-1], 1), "zeros", name="slope")
            super().build(input_shape)

        def call(self, inputs):
            return inputs @ self.slope

    model = Line()
    model.compile(lamina.optimizers.SGD(0.1), "mse")
    model.fit(X, X @ np.float32([[1], [2], [3]]), epochs=150, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], [[1], [2], [3]], atol=1e-3)


def test_a_model_built_by_calling_it(backend):
    model = Wide(backend=backend.backend)
    out = model(backend.asarray(X[:5]))
    assert out.shape == (5, 1)
    assert model.built
    out = model(X[:5].tolist())
    assert out.shape == (5, 1)


# ---- freezing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("rest_moves", [True, False])
def test_what_is_frozen_does_not_move(when, rest_moves, backend):
    model = network(backend.backend)
    first = model.layers[0]
    if when == "before":
        first.trainable = False
    model.compile(lamina.optimizers.SGD(0.1, momentum=0.9), "mse")
    if when == "after":
        model.fit(X, Y, epochs=2, verbose=0)
        first.trainable = False
    before = model.get_weights()
    model.fit(X, Y, epochs=2, verbose=0)
    after = model.get_weights()
    same(before[:2], after[:2])
    assert (before[2] != after[2]).any()
    first.trainable = True
    model.fit(X, Y, verbose=0)
    assert (model.get_weights()[0] != after[0]).any()


def test_freezing_one_layer_leaves_the_momentum_of_the_others():
    """The last layer alone has a gradient that does not depend on what moves before it."""

    def run(freeze):
        model = lamina.Sequential(
            [layers.Input((3,)), layers.Dense(3, kernel_initializer="zeros", use_bias=False),
             layers.Dense(1)]
        )  # fmt: skip
        model.layers[1].set_weights([np.ones((3, 1)), np.zeros(1)])
        model.compile(lamina.optimizers.SGD(0.01, momentum=0.9), "mse")
        model.layers[0].trainable = False
        model.train_on_batch(X, Y)
        model.optimizer.learning_rate = 0.0
        if freeze:
            model.layers[0].trainable = True
            model.train_on_batch(X, Y)
            model.layers[0].trainable = False
        else:
            model.train_on_batch(X, Y)
        model.optimizer.learning_rate = 0.01
        model.train_on_batch(X, Y)
        return model.layers[1].get_weights()

    same(run(True), run(False))


def test_a_layer_that_was_frozen_finds_its_momentum_again(backend):
    model = network(backend.backend, dropout=0)
    model.compile(lamina.optimizers.SGD(0.01, momentum=0.5), "mse")
    model.train_on_batch(X, Y)
    before = model.get_weights()
    nothing = np.zeros(len(X))
    model.train_on_batch(X, Y, sample_weight=nothing)  # moves by half of the last step
    rested = model.get_weights()[0]
    moved = rested - before[0]
    model.layers[0].trainable = False
    for _ in range(3):
        model.train_on_batch(X, Y)
    np.testing.assert_array_equal(model.get_weights()[0], rested)
    model.layers[0].trainable = True
    model.train_on_batch(X, Y, sample_weight=nothing)
    again = model.get_weights()[0] - rested
    np.testing.assert_allclose(again, moved / 2, rtol=1e-3, atol=1e-7)


# ---- weights in files ----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_weights_go_to_a_file_and_back(tmp_path, suffix, backend):
    path = tmp_path / f"weights{suffix}"
    one, other = network(backend.backend, seed=1), network(seed=2)
    one.save_weights(path)
    other.load_weights(path)
    same(one.get_weights(), other.get_weights())
    np.testing.assert_allclose(
        one.predict(X, verbose=0), other.predict(X, verbose=0), rtol=1e-4, atol=1e-6
    )


def test_it_does_not_matter_how_the_input_was_declared(tmp_path):
    path = tmp_path / "w.npz"
    one = lamina.Sequential([layers.Input((3,)), layers.Dense(2), layers.Dense(1)])
    other = lamina.Sequential([layers.Dense(2, input_dim=3), layers.Dense(1)])
    one.save_weights(path)
    other.load_weights(path)
    same(one.get_weights(), other.get_weights())


def test_parameters_of_one_name_are_kept_apart(tmp_path):
    class Double(layers.Layer):
        def build(self, input_shape):
            self.a = self.add_weight((1,), "ones", name="w")
            self.b = self.add_weight((1,), "zeros", name="w")

        def call(self, inputs):
            return inputs * self.a + self.b

    model = lamina.Sequential([layers.Input((3,)), Double()])
    model.save_weights(tmp_path / "w.npz")
    model.set_weights([np.zeros(1), np.zeros(1)])
    model.load_weights(tmp_path / "w.npz")
    same(model.get_weights(), [[1], [0]])


def test_a_file_of_another_model_is_told_apart(tmp_path):
    path = tmp_path / "w.npz"
    lamina.Sequential([layers.Input((3,)), layers.Dense(1, use_bias=False)]).save_weights(path)
    model = lamina.Sequential([layers.Input((3,)), *[layers.Dense(1) for _ in range(4)]])
    with pytest.raises(
        ValueError,
        match=r"it has 1 weight in 1 layer, the model 8 weights in 4 layers; it lacks "
        r"model/0/bias, .* and 3 more and has besides nothing: nothing was loaded",
    ):
        model.load_weights(path)


@pytest.mark.parametrize(("count", "words"), [(1, "has 1 layer, got"), (2, "has 2 layers, got")])
def test_layers_are_counted_in_words(count, words):
    model = lamina.Sequential([layers.Dense(1) for _ in range(count)])
    with pytest.raises(ValueError, match=words):
        model.get_layer(index=5)


def test_weights_are_counted_in_words():
    layer = layers.Dense(1, use_bias=False, input_shape=(3,))
    layer.build_for((None, 3))
    with pytest.raises(ValueError, match="has 1 weight, got 2"):
        layer.set_weights([X, X])


def test_a_file_of_another_model_changes_nothing(tmp_path):
    path = tmp_path / "w.npz"
    model = network()
    before = model.get_weights()
    lamina.Sequential([layers.Input((3,)), layers.Dense(8), layers.Dense(2)]).save_weights(path)
    with pytest.raises(ValueError, match="is of another model|has shape"):
        model.load_weights(path)
    wrong = lamina.Sequential(
        [layers.Input((3,)), layers.Dense(9), layers.Dropout(0.1), layers.Dense(1)]
    )
    wrong.save_weights(path)
    with pytest.raises(ValueError, match=r"has shape \(3, 8\), in .* \(3, 9\): nothing was loaded"):
        model.load_weights(path)
    same(before, model.get_weights())


def test_weights_need_a_built_model_a_suffix_and_leave(tmp_path):
    with pytest.raises(ValueError, match="must know its input shape to save its weights"):
        lamina.Sequential([layers.Dense(1)]).save_weights(tmp_path / "w.npz")
    with pytest.raises(ValueError, match="must know its input shape to load weights"):
        lamina.Sequential([layers.Dense(1)]).load_weights(tmp_path / "w.npz")
    with pytest.raises(ValueError, match=r"\.safetensors or \.npz"):
        network().save_weights(tmp_path / "w.weights.h5")
    path = tmp_path / "w.npz"
    network().save_weights(path)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        network().save_weights(path, overwrite=False)
    with pytest.raises(FileNotFoundError):
        network().load_weights(tmp_path / "none.npz")


# ---- backends ------------------------------------------------------------------------------------

OPTIMIZERS = [
    lambda: lamina.optimizers.SGD(0.05, momentum=0.9),
    lambda: lamina.optimizers.Adam(0.01, use_ema=True),
    lambda: lamina.optimizers.RMSprop(0.01, gradient_accumulation_steps=3),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("way", ["from numpy", "to numpy"])
def test_a_model_moves_in_the_middle_of_training(optimizer, way, backend):
    places = ["numpy", backend.backend]
    first, second = places if way == "from numpy" else reversed(places)
    stays, moves = network("numpy"), network(first)
    for model in (stays, moves):
        model.compile(optimizer(), "mse")
    for step in range(8):
        rows = slice(5 * step, 5 * step + 5)
        if step == 4:
            assert moves.to(second) is moves
        one = stays.train_on_batch(X[rows], Y[rows])
        other = moves.train_on_batch(X[rows], Y[rows])
        np.testing.assert_allclose(one, other, rtol=1e-4)
    same(stays.get_weights(), moves.get_weights(), exactly=False)
    assert moves.optimizer.iterations == stays.optimizer.iterations
    assert str(moves.backend) == str(lamina.backend.get(second))
    np.testing.assert_allclose(
        moves.predict(X, verbose=0), stays.predict(X, verbose=0), rtol=1e-3, atol=1e-5
    )
    np.testing.assert_allclose(
        moves.evaluate(X, Y, verbose=0), stays.evaluate(X, Y, verbose=0), rtol=1e-4
    )


def test_moving_there_and_back_changes_no_bit():
    pytest.importorskip("array_api_strict")
    stays, moves = network(), network()
    for model in (stays, moves):
        model.compile(lamina.optimizers.Adam(0.01), "mse")
        model.fit(X, Y, verbose=0)
    moves.to("array_api_strict:device1").to("numpy")
    for model in (stays, moves):
        model.fit(X, Y, epochs=2, verbose=0)
    same(stays.get_weights(), moves.get_weights())


def test_a_model_that_is_not_built_yet_can_be_moved(backend):
    model = lamina.Sequential([layers.Dense(2), layers.Dense(1)]).to(backend.backend)
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    assert all(backend.backend.owns(p.data) for p in model.weights)


def test_two_backends_in_one_program(backend):
    models = [network(place) for place in ("numpy", backend.backend)]
    for model in models:
        model.compile(lamina.optimizers.SGD(0.1), "mse")
    for start in (0, 10, 20):
        one, other = (
            m.train_on_batch(X[start : start + 10], Y[start : start + 10]) for m in models
        )
        np.testing.assert_allclose(one, other, rtol=1e-5)
    same(models[0].get_weights(), models[1].get_weights(), exactly=False)


def test_an_input_on_another_device_names_both_and_the_remedy():
    strict = pytest.importorskip("array_api_strict")
    model = network("array_api_strict:device1")
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"array_api_strict:device1, its input on numpy: move"):
        model(X)
    with pytest.raises(ValueError, match="lives on array_api_strict:device1, its input on"):
        model(strict.asarray(X))
    same(before, model.get_weights())


@pytest.mark.parametrize(
    "name, error, match",
    [
        ("nunpy", ValueError, "unknown backend 'nunpy': did you mean 'numpy'"),
        (3, TypeError, "named by a string"),
        ("numpy:cuda", ValueError, "one device"),
    ],
)
def test_unknown_backends(name, error, match):
    with pytest.raises(error, match=match):
        lamina.Sequential(backend=name)
    model = network()
    with pytest.raises(error, match=match):
        model.to(name)
    assert str(model.backend) == "numpy"


# ---- seeds and copies ----------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_run_bit_for_bit(backend):
    runs = []
    for _ in range(2):
        model = network(backend.backend, seed=5)
        model.compile("adam", "mse")
        history = model.fit(X, Y, epochs=3, batch_size=7, verbose=0).history
        runs.append((history["loss"], model.get_weights()))
    assert runs[0][0] == runs[1][0]
    same(runs[0][1], runs[1][1])
    other = network(seed=6)
    assert (other.get_weights()[0] != network(seed=5).get_weights()[0]).any()


def test_initial_weights_do_not_depend_on_the_backend_or_on_building_late(backend):
    early, lazy = network(backend.backend, seed=3), None
    lamina.utils.set_random_seed(3)
    lazy = lamina.Sequential([layers.Input((3,)), layers.Dense(8, "tanh")])
    same(early.get_weights()[:2], lazy.get_weights())


@pytest.mark.parametrize("how", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_trains_on_its_own(how):
    model = network()
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    twin = how(model)
    same(model.get_weights(), twin.get_weights())
    before = model.get_weights()
    twin.fit(X, Y, verbose=0)
    same(model.get_weights(), before)
    model.fit(X, Y, verbose=0)
    same(model.get_weights(), twin.get_weights())
    assert (before[0] != twin.get_weights()[0]).any()


def test_float64_all_the_way():
    model = lamina.Sequential(
        [layers.Input((3,), dtype="float64"), layers.Dense(4, dtype="float64"),
         layers.Dense(1, dtype="float64")]
    )  # fmt: skip
    model.compile(lamina.optimizers.SGD(0.1), "mse")
    assert model.predict(X, verbose=0).dtype == np.float64
    model.fit(X, Y, verbose=0)
    assert all(w.dtype == np.float64 for w in model.get_weights())


def test_a_model_keeps_the_dtype_it_was_built_with():
    model = network()
    try:
        lamina.config.set_floatx("float64")
        assert model.predict(X.astype("float64"), verbose=0).dtype == np.float32
    finally:
        lamina.config.set_floatx("float32")
