"""Training: what compile, fit, evaluate and predict mean, and that their numbers are right."""

import gc
import itertools
import os
import signal
import tracemalloc
import warnings

import numpy as np
import pytest

import lamina
from lamina import callbacks, layers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 3)).astype("float32")
Y = (X @ [[1.0], [-2.0], [0.5]] + 0.3).astype("float32")
W = RNG.uniform(0.5, 2, size=50).astype("float32")


def line(optimizer=None, loss="mse", backend=None, seed=1, **compiled):
    """A linear model, whose gradient is known: X.T @ 2 (out - y) / n."""
    lamina.utils.set_random_seed(seed)
    model = lamina.Sequential([layers.Input((3,)), layers.Dense(1)], backend=backend)
    model.compile(optimizer or lamina.optimizers.SGD(0.05), loss, **compiled)
    return model


def network(optimizer="adam", loss="mse", seed=1, units=8, **compiled):
    lamina.utils.set_random_seed(seed)
    model = lamina.Sequential(
        [layers.Input((3,)), layers.Dense(units, "tanh"), layers.Dropout(0.2), layers.Dense(1)]
    )
    model.compile(optimizer, loss, **compiled)
    return model


def step(weights, x, y, w=None, rate=0.05):
    """One step of ``line`` by hand, in float64."""
    kernel, bias = (np.asarray(part, "float64") for part in weights)
    error = 2 * (x @ kernel + bias - y) / len(x)
    error = error if w is None else error * np.asarray(w).reshape(-1, 1)
    return [kernel - rate * x.T @ error, bias - rate * error.sum(0)]


def mse(weights, x, y):
    return float(((x @ weights[0] + weights[1] - y) ** 2).mean())


def same(one, other, **close):
    for a, b in zip(one, other, strict=True):
        if close:
            np.testing.assert_allclose(a, b, **close)
        else:
            np.testing.assert_array_equal(a, b)


class Watch(callbacks.Callback):
    """Notes every call, with what was seen."""

    def __init__(self):
        super().__init__()
        self.calls, self.logs = [], []

    def wants(self, hook):
        return hook not in ("on_batch_begin", "on_batch_end")


def _note(hook):
    def method(self, *args):
        *position, logs = args
        self.calls.append((hook, *position))
        self.logs.append(dict(logs or {}))

    return method


for _hook in (
    "train_begin train_end test_begin test_end predict_begin predict_end epoch_begin epoch_end "
    "train_batch_begin train_batch_end test_batch_begin test_batch_end predict_batch_begin "
    "predict_batch_end"
).split():
    setattr(Watch, f"on_{_hook}", _note(_hook))


# ---- the arithmetic of fit -----------------------------------------------------------------------


def test_every_step_is_the_one_computed_by_hand(backend, no_sync):
    model = line(backend=backend.backend)
    weights, losses = model.get_weights(), []
    x, y = backend.asarray(X), backend.asarray(Y)
    with no_sync():
        history = model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    for _ in range(2):
        values = []
        for start in range(0, 50, 16):
            rows = slice(start, start + 16)
            values += [mse(weights, X[rows], Y[rows])] * len(X[rows])
            weights = step(weights, X[rows], Y[rows])
        losses.append(np.mean(values))
    same(model.get_weights(), weights, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(history.history["loss"], losses, rtol=1e-5)
    np.testing.assert_array_equal(backend.to_numpy(x), X)


def test_the_epochs_loss_is_weighted_by_the_size_of_batches():
    model = line(lamina.optimizers.SGD(0.0))
    history = model.fit(X, Y, batch_size=48, verbose=0).history
    np.testing.assert_allclose(history["loss"], [mse(model.get_weights(), X, Y)], rtol=1e-5)
    one = model.evaluate(X, Y, batch_size=48, verbose=0)
    np.testing.assert_allclose(one, model.evaluate(X, Y, batch_size=50, verbose=0), rtol=1e-6)


@pytest.mark.parametrize("sharded", [False, True])
def test_torch_takes_the_same_steps(sharded):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    rows, features, units = (256, 60, 200) if sharded else (32, 5, 8)
    x = rng.normal(size=(rows, features)).astype("float32")
    labels = rng.integers(0, 4, rows)
    model = lamina.Sequential(
        [
            layers.Input((features,)),
            layers.Dense(units, "tanh"),
            layers.Dense(units, "relu"),
            layers.Dense(4),
        ]
    )
    loss = lamina.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(lamina.optimizers.SGD(0.1), loss)
    peers = []
    for layer in model.layers:
        kernel, bias = layer.get_weights()
        peer = torch.nn.Linear(*kernel.shape)
        peer.weight.data = torch.tensor(kernel.T.copy())
        peer.bias.data = torch.tensor(bias)
        peers.append(peer)
    peer = torch.nn.Sequential(peers[0], torch.nn.Tanh(), peers[1], torch.nn.ReLU(), peers[2])
    descent = torch.optim.SGD(peer.parameters(), lr=0.1)
    for _ in range(5):
        descent.zero_grad()
        value = torch.nn.functional.cross_entropy(peer(torch.tensor(x)), torch.tensor(labels))
        value.backward()
        descent.step()
        assert model.train_on_batch(x, labels) == pytest.approx(value.item(), rel=1e-5)
    for layer, twin in zip(model.layers, peers, strict=True):
        kernel, bias = layer.get_weights()
        np.testing.assert_allclose(kernel, twin.weight.detach().numpy().T, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(bias, twin.bias.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_shuffling_takes_every_sample_once_in_a_new_order():
    seen = []

    class Look(layers.Layer):
        def call(self, inputs, training=False):
            if training:
                seen.append(inputs.numpy()[:, 0])
            return inputs

    def orders(seed, **how):
        seen.clear()
        lamina.utils.set_random_seed(seed)
        model = lamina.Sequential([Look(), layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(np.arange(20.0)[:, None], np.zeros(20), 8, 2, 0, **how)
        return [np.concatenate(seen[:3]), np.concatenate(seen[3:])]

    first, second = orders(0)
    assert sorted(first) == sorted(second) == list(range(20))
    assert (first != second).any()
    assert (first != np.arange(20)).any()
    same([first, second], orders(0))
    assert (orders(1)[0] != first).any()
    same(orders(0, shuffle=False), [np.arange(20)] * 2)


def test_a_second_fit_goes_on_where_the_first_ended():
    one, two = line("adam"), line("adam")
    one.fit(X, Y, epochs=4, verbose=0)
    two.fit(X, Y, epochs=2, verbose=0)
    history = two.fit(X, Y, epochs=4, initial_epoch=2, verbose=0)
    same(one.get_weights(), two.get_weights())
    assert history.epoch == [2, 3]
    assert two.fit(X, Y, epochs=2, initial_epoch=2, verbose=0).history == {}


def test_no_epochs_change_nothing():
    model = line()
    before = model.get_weights()
    assert model.fit(X, Y, epochs=0, verbose=0).history == {}
    same(before, model.get_weights())


# ---- validation ----------------------------------------------------------------------------------


def test_validation_split_is_the_tail_before_shuffling():
    model, other = line(metrics=["mae"]), line(metrics=["mae"])
    history = model.fit(X, Y, epochs=2, validation_split=0.25, verbose=0).history
    first = int(50 * 0.75)
    given = other.fit(
        X[:first], Y[:first], epochs=2, verbose=0, validation_data=(X[first:], Y[first:])
    ).history
    assert list(history) == ["loss", "mae", "val_loss", "val_mae"]
    assert history == given
    np.testing.assert_allclose(
        history["val_loss"][-1], mse(model.get_weights(), X[first:], Y[first:]), rtol=1e-5
    )


def test_validation_data_goes_before_validation_split():
    model, other = line(), line()
    both = model.fit(
        X, Y, epochs=2, validation_split=0.5, validation_data=(X[:10], Y[:10]), verbose=0
    ).history
    assert both == other.fit(X, Y, epochs=2, validation_data=(X[:10], Y[:10]), verbose=0).history


def test_validation_data_may_be_weighted_or_batches():
    model = line(lamina.optimizers.SGD(0.0))
    w = np.zeros(50)
    w[:5] = 1
    triple = model.fit(X, Y, validation_data=(X, Y, w), verbose=0).history["val_loss"][0]
    expected = mse(model.get_weights(), X[:5], Y[:5]) * 5 / 50
    np.testing.assert_allclose(triple, expected, rtol=1e-5)
    batches = [(X[:30], Y[:30]), (X[30:], Y[30:])]
    looped = model.fit(X, Y, validation_data=iter_again(batches), verbose=0, epochs=2).history
    np.testing.assert_allclose(looped["val_loss"], mse(model.get_weights(), X, Y), rtol=1e-5)


class iter_again:
    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


def test_validation_steps_batch_size_and_frequency():
    model = line(lamina.optimizers.SGD(0.0))
    seen = Watch()
    history = model.fit(
        X, Y, epochs=5, verbose=0, validation_data=(X, Y), validation_steps=2,
        validation_batch_size=10, validation_freq=2, callbacks=[seen],
    ).history  # fmt: skip
    np.testing.assert_allclose(
        history["val_loss"], [mse(model.get_weights(), X[:20], Y[:20])] * 2, rtol=1e-5
    )
    assert sum(call == ("test_batch_end", 1) for call in seen.calls) == 2
    assert not any(call == ("test_batch_end", 2) for call in seen.calls)
    history = model.fit(
        X, Y, epochs=4, verbose=0, validation_data=(X, Y), validation_freq=[1, 4]
    ).history
    assert len(history["val_loss"]) == 2


def test_a_spent_generator_validates_once():
    model = line()
    held = ((X[i : i + 10], Y[i : i + 10]) for i in (0, 10))
    with pytest.warns(UserWarning, match="validation.*no batches"):
        history = model.fit(X, Y, epochs=2, validation_data=held, verbose=0).history
    assert len(history["val_loss"]) == 1
    assert len(history["loss"]) == 2


# ---- weights of samples --------------------------------------------------------------------------

REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight"]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(50,), (50, 1)])
def test_a_sample_weight_is_a_factor_of_its_loss(reduction, shape, backend):
    loss = lamina.losses.MeanSquaredError(reduction=reduction)
    model = line(lamina.optimizers.SGD(0.001), loss, backend=backend.backend)
    before = model.get_weights()
    values = ((X @ before[0] + before[1] - Y) ** 2)[:, 0] * W
    expected = {
        "sum": values.sum(),
        "mean_with_sample_weight": values.sum() / W.sum(),
    }.get(reduction, values.mean())
    w = backend.asarray(W.reshape(shape))
    np.testing.assert_allclose(
        model.evaluate(X, Y, sample_weight=w, batch_size=50, verbose=0), expected, rtol=1e-5
    )
    found = model.train_on_batch(X, Y, sample_weight=w)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    factor = {"sum": 50 * W, "mean_with_sample_weight": W * 50 / W.sum()}.get(reduction, W)
    same(model.get_weights(), step(before, X, Y, factor, 0.001), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_weight_zero_leaves_out_and_weight_two_counts_twice(reduction):
    loss = lamina.losses.MeanSquaredError(reduction=reduction)
    rate = lamina.optimizers.SGD(0.001)
    w = np.ones(20)
    w[:4], w[4:8] = 0, 2
    x, y = np.concatenate([X[4:20], X[4:8]]), np.concatenate([Y[4:20], Y[4:8]])
    weighted, doubled = line(rate, loss), line(lamina.optimizers.SGD(0.001), loss)
    weighted.train_on_batch(X[:20], Y[:20], sample_weight=w)
    doubled.train_on_batch(x, y)
    same(weighted.get_weights(), doubled.get_weights(), rtol=1e-5, atol=1e-6)


def test_all_weights_zero_train_nothing():
    for reduction in REDUCTIONS:
        model = line(loss=lamina.losses.MeanSquaredError(reduction=reduction))
        before = model.get_weights()
        assert model.train_on_batch(X, Y, sample_weight=np.zeros(50)) == 0
        same(before, model.get_weights())


@pytest.mark.parametrize("one_hot", [False, True])
def test_class_weights_are_sample_weights(one_hot):
    labels = RNG.integers(0, 3, 50)
    y = lamina.utils.to_categorical(labels) if one_hot else labels
    loss = "categorical_crossentropy" if one_hot else "sparse_categorical_crossentropy"
    weights = {0: 0.5, 2: 3.0}  # class 1 has weight 1
    models = []
    for _ in range(2):
        lamina.utils.set_random_seed(1)
        model = lamina.Sequential([layers.Input((3,)), layers.Dense(3, "softmax")])
        model.compile("sgd", loss)
        models.append(model)
    by_class = models[0].fit(X, y, class_weight=weights, epochs=2, verbose=0).history
    by_sample = (
        models[1]
        .fit(
            X, y, sample_weight=np.array([weights.get(c, 1.0) for c in labels]), epochs=2, verbose=0
        )
        .history
    )
    assert by_class == by_sample
    same(models[0].get_weights(), models[1].get_weights())
    one = models[0].train_on_batch(X, y, class_weight=weights)
    other = models[1].train_on_batch(X, y, [weights.get(c, 1.0) for c in labels])
    assert one == other


def test_ignored_classes_count_nowhere():
    labels = RNG.integers(0, 3, 50)
    labels[::3] = -1
    results = []
    for x, y in ((X, labels), (X[labels >= 0], labels[labels >= 0])):
        lamina.utils.set_random_seed(1)
        model = lamina.Sequential([layers.Input((3,)), layers.Dense(3, "softmax")])
        model.compile("sgd", lamina.losses.SparseCategoricalCrossentropy(ignore_class=-1))
        results.append((model.train_on_batch(x, y), model.get_weights()))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    same(results[0][1], results[1][1], rtol=1e-5, atol=1e-7)


def test_weights_per_value_of_a_sequence():
    x = RNG.normal(size=(4, 6, 3)).astype("float32")
    y = RNG.normal(size=(4, 6, 1)).astype("float32")
    w = (RNG.uniform(size=(4, 6)) > 0.5).astype("float32")
    lamina.utils.set_random_seed(1)
    model = lamina.Sequential([layers.Input((6, 3)), layers.Dense(1)])
    model.compile("sgd", "mse")
    kernel, bias = model.get_weights()
    values = ((x @ kernel + bias - y) ** 2)[..., 0]
    found = model.test_on_batch(x, y, sample_weight=w)
    np.testing.assert_allclose(found, (values * w).mean(), rtol=1e-5)
    found = model.test_on_batch(x, y, sample_weight=w[:, 0])
    np.testing.assert_allclose(found, (values * w[:, :1]).mean(), rtol=1e-5)
    with pytest.raises(
        ValueError, match=r"one weight per value of the loss \(4, 6\) or per sample"
    ):
        model.test_on_batch(x, y, sample_weight=w[:, :3])


# ---- steps, iterables, generators ----------------------------------------------------------------


def batches(size=10, weights=False):
    for i in range(0, 50, size):
        rows = slice(i, i + size)
        yield (X[rows], Y[rows], W[rows]) if weights else (X[rows], Y[rows])


class Loader:
    """Like the loaders of other frameworks: a length and items, nothing else."""

    def __len__(self):
        return 5

    def __getitem__(self, i):
        return X[10 * i : 10 * i + 10], Y[10 * i : 10 * i + 10]


@pytest.mark.parametrize(
    "make", [lambda: iter_again(list(batches())), Loader, lambda: [*batches()].__iter__()]
)
def test_batches_may_come_from_an_iterable(make):
    model, other = line("adam"), line("adam")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one of them has batches for one epoch only
        found = model.fit(make(), epochs=2, verbose=0).history["loss"]
    expected = other.fit(X, Y, batch_size=10, shuffle=False, epochs=2, verbose=0).history["loss"]
    assert found == expected[: len(found)]
    np.testing.assert_allclose(
        model.evaluate(make(), verbose=0), mse(model.get_weights(), X, Y), rtol=1e-5
    )
    np.testing.assert_allclose(
        model.predict(make(), verbose=0), model.predict(X, verbose=0), rtol=1e-5, atol=1e-6
    )


def test_batches_may_be_weighted():
    model, other = line(), line()
    model.fit(batches(weights=True), verbose=0)
    other.fit(X, Y, sample_weight=W, batch_size=10, shuffle=False, verbose=0)
    same(model.get_weights(), other.get_weights())


def test_a_generator_is_shared_out_by_steps_per_epoch():
    model, other = line(), line()
    endless = itertools.cycle(list(batches()))
    watch = Watch()
    model.fit(endless, steps_per_epoch=4, epochs=3, verbose=0, callbacks=[watch])
    assert sum(call[0] == "train_batch_end" for call in watch.calls) == 12
    for x, y in itertools.islice(itertools.cycle(batches()), 12):
        other.train_on_batch(x, y)
    same(model.get_weights(), other.get_weights())


def test_a_generator_that_ends_too_soon_warns():
    model = line()
    with pytest.warns(UserWarning, match="generator had no batches for another epoch"):
        history = model.fit(batches(), epochs=3, verbose=0)
    assert len(history.history["loss"]) == 1
    with pytest.warns(UserWarning, match="ran out before steps_per_epoch"):
        history = model.fit(batches(), epochs=3, steps_per_epoch=4, verbose=0)
    assert len(history.history["loss"]) == 2


def test_arrays_go_on_from_epoch_to_epoch():
    model, other = line(), line()
    watch = Watch()
    model.fit(
        X,
        Y,
        batch_size=10,
        steps_per_epoch=3,
        epochs=5,
        shuffle=False,
        verbose=0,
        callbacks=[watch],
    )
    other.fit(X, Y, batch_size=10, epochs=3, shuffle=False, verbose=0)
    same(model.get_weights(), other.get_weights())
    assert sum(call[0] == "train_batch_end" for call in watch.calls) == 15
    watch.calls.clear()
    model.fit(X, Y, batch_size=10, steps_per_epoch=7, verbose=0, callbacks=[watch])
    assert watch.calls[-3] == ("train_batch_end", 6)


def test_steps_of_evaluate_and_predict():
    model = line()
    found = model.evaluate(X, Y, batch_size=10, steps=2, verbose=0)
    np.testing.assert_allclose(found, mse(model.get_weights(), X[:20], Y[:20]), rtol=1e-5)
    assert model.predict(X, batch_size=10, steps=2, verbose=0).shape == (20, 1)
    assert model.predict(itertools.cycle([X]), steps=3, verbose=0).shape == (150, 1)


# ---- what data may be ----------------------------------------------------------------------------


def as_pandas():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    return frame, pandas.Series(Y[:, 0], name="y", index=frame.index[::-1])


@pytest.mark.parametrize(
    "make",
    [
        lambda: (X.tolist(), Y.tolist()),
        lambda: (X.astype("float64"), Y[:, 0]),
        lambda: (list(X), tuple(Y)),
        lambda: (np.asfortranarray(X), Y[::-1][::-1]),
        lambda: (lamina.Tensor(X), lamina.Tensor(Y)),
        as_pandas,
        lambda: (lamina.backend.get("array_api_strict:device1").asarray(X), Y),
    ],
)
def test_data_may_come_as_anything_that_holds_numbers(make):
    pytest.importorskip("array_api_strict")
    model, other = line(), line()
    x, y = make()
    model.fit(x, y, verbose=0)
    other.fit(X, Y, verbose=0)
    same(model.get_weights(), other.get_weights())
    assert model.evaluate(x, y, verbose=0) == other.evaluate(X, Y, verbose=0)
    same([model.predict(x, verbose=0)], [other.predict(X, verbose=0)])


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16"])
def test_other_dtypes_become_floats(dtype):
    model, other = line(), line()
    x = (X > 0).astype(dtype)
    model.fit(x, Y, verbose=0)
    other.fit(x.astype("float32"), Y, verbose=0)
    same(model.get_weights(), other.get_weights())


def test_a_file_larger_than_memory_is_read_in_pieces(tmp_path):
    """1 GB that is a hole: only the rows that a step takes, and their neighbours, may be read."""
    rows, features = 1 << 16, 1 << 12
    x = np.memmap(tmp_path / "x", "float32", "w+", shape=(rows, features))
    y = np.memmap(tmp_path / "y", "float32", "w+", shape=(rows,))
    model = lamina.Sequential([layers.Input((features,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    tracemalloc.start()
    model.fit(x, y, batch_size=64, steps_per_epoch=6, verbose=0)
    model.evaluate(x, y, steps=5, verbose=0)
    model.predict(x, steps=5, verbose=0)
    model.fit(x, y, 64, steps_per_epoch=2, validation_split=0.5, validation_steps=2, verbose=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20


def test_a_small_file_trains_as_its_contents_do(tmp_path):
    x = np.memmap(tmp_path / "x", "float64", "w+", shape=X.shape)
    x[:] = X
    model, other = line(), line()
    model.fit(x, Y, epochs=3, batch_size=8, verbose=0)
    other.fit(X, Y, epochs=3, batch_size=8, verbose=0)
    same(model.get_weights(), other.get_weights())


def test_right_arrays_are_not_copied():
    x = np.zeros((200_000, 16), "float32")
    y = np.zeros((200_000, 1), "float32")
    model = lamina.Sequential([layers.Input((16,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    tracemalloc.start()
    model.fit(x, y, batch_size=1000, steps_per_epoch=3, shuffle=False, verbose=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes // 2


# ---- what comes back -----------------------------------------------------------------------------


def test_return_values():
    plain, watched = line(lamina.optimizers.SGD(0.0)), None
    loss = mse(plain.get_weights(), X, Y)
    watched = line(lamina.optimizers.SGD(0.0), metrics=["mae", "mse"])
    for method in ("evaluate", "test_on_batch", "train_on_batch"):
        silent = {"verbose": 0, "batch_size": 50} if method == "evaluate" else {}
        one = getattr(plain, method)(X, Y, **silent)
        assert isinstance(one, float)
        assert one == pytest.approx(loss, rel=1e-5)
        several = getattr(watched, method)(X, Y, **silent)
        assert isinstance(several, list)
        assert several == pytest.approx([loss, several[1], loss], rel=1e-5)
        named = getattr(watched, method)(X, Y, return_dict=True, **silent)
        assert list(named) == ["loss", "mae", "mse"]
        assert list(named.values()) == pytest.approx(several)
    out = plain.predict(X, verbose=0)
    assert type(out) is np.ndarray
    same([out], [plain.predict_on_batch(X)])
    out[:] = 0
    assert plain.predict_on_batch(X).any()


def test_predictions_are_the_callers_own():
    model = lamina.Sequential([layers.Flatten()])
    x = X.copy()
    model.predict(x, verbose=0)[:] = 7
    model.predict_on_batch(x)[:] = 7
    np.testing.assert_array_equal(x, X)


def test_train_on_batch_is_a_step_of_fit():
    one, other = network(), network()
    one.fit(X, Y, batch_size=50, shuffle=False, epochs=3, verbose=0)
    for _ in range(3):
        other.train_on_batch(X, Y)
    same(one.get_weights(), other.get_weights())


def test_metrics_are_named_by_what_they_measure():
    labels = (Y > 0).astype("int64")

    def sure(y_true, y_pred):
        return lamina.xp.mean(lamina.xp.abs(y_pred - 0.5), axis=-1)

    lamina.utils.set_random_seed(0)
    model = lamina.Sequential([layers.Input((3,)), layers.Dense(1, "sigmoid")])
    watched = ["accuracy", sure, lamina.metrics.AUC(name="area")]
    model.compile("sgd", "binary_crossentropy", metrics=watched, weighted_metrics=["accuracy"])
    w = np.zeros(50)
    w[:10] = 1
    found = model.evaluate(X, labels, sample_weight=w, verbose=0, return_dict=True)
    assert list(found) == ["loss", "accuracy", "sure", "area", "weighted_accuracy"]
    out = model.predict(X, verbose=0)
    right = (out > 0.5) == labels
    assert found["accuracy"] == pytest.approx(right.mean())
    assert found["weighted_accuracy"] == pytest.approx(right[:10].mean())
    assert found["sure"] == pytest.approx(abs(out - 0.5).mean(), rel=1e-5)
    history = model.fit(X, labels, validation_split=0.2, epochs=2, verbose=0).history
    assert set(history) == {*found, *(f"val_{name}" for name in found)}
    assert model.metrics_names == list(found)


@pytest.mark.parametrize(
    "loss, labels, units, expected",
    [
        ("binary_crossentropy", "column", 1, "binary"),
        ("sparse_categorical_crossentropy", "flat", 3, "sparse"),
        ("categorical_crossentropy", "one-hot", 3, "one-hot"),
    ],
)
def test_accuracy_goes_by_shapes(loss, labels, units, expected, backend):
    classes = RNG.integers(0, units if units > 1 else 2, 50)
    y = lamina.utils.to_categorical(classes) if labels == "one-hot" else classes
    y = y[:, None] if labels == "column" else y
    model = lamina.Sequential(
        [layers.Input((3,)), layers.Dense(units, "softmax" if units > 1 else "sigmoid")],
        backend=backend.backend,
    )
    model.compile("sgd", loss, metrics=["acc"])
    found = model.evaluate(X, y, verbose=0, return_dict=True)
    out = model.predict(X, verbose=0)
    guess = out.argmax(-1) if units > 1 else (out[:, 0] > 0.5).astype(int)
    assert list(found) == ["loss", "acc"]
    assert found["acc"] == pytest.approx((guess == classes).mean(), abs=1e-6)


def test_two_metrics_of_one_name():
    model = line(
        metrics=[lamina.metrics.MeanAbsoluteError("a"), lamina.metrics.MeanSquaredError("a")]
    )
    before = model.get_weights()
    with pytest.raises(ValueError, match='two metrics are called "a"'):
        model.fit(X, Y, verbose=0)
    same(before, model.get_weights())


# ---- losses --------------------------------------------------------------------------------------


def test_a_loss_may_be_a_function_of_samples_or_one_number(backend):
    def per_sample(y_true, y_pred):
        return lamina.xp.mean((y_pred - y_true) ** 2, axis=-1)

    def one_number(y_true, y_pred):
        return lamina.xp.mean((y_pred - y_true) ** 2)

    class Own(lamina.losses.Loss):
        def call(self, y_true, y_pred):
            return per_sample(y_true, y_pred)

    results = []
    for loss in ("mse", per_sample, one_number, Own()):
        model = line(loss=loss, backend=backend.backend)
        losses = model.fit(X, Y, epochs=2, batch_size=16, verbose=0).history["loss"]
        losses.append(model.evaluate(X, Y, verbose=0))
        results.append((losses, model.get_weights()))
    for losses, weights in results[1:]:
        np.testing.assert_allclose(losses, results[0][0], rtol=1e-5)
        same(weights, results[0][1], rtol=1e-5, atol=1e-6)


def test_one_number_for_a_batch_cannot_be_weighted():
    model = line(loss=lambda y, p: lamina.xp.mean((y - p) ** 2))
    before = model.get_weights()
    with pytest.raises(ValueError, match="one number for the batch, so samples cannot be weighted"):
        model.fit(X, Y, sample_weight=W, verbose=0)
    same(before, model.get_weights())


@pytest.mark.parametrize(
    "loss, match",
    [
        (
            lambda y, p: lamina.xp.ones((7,)) * lamina.xp.sum(p),
            r"one value per sample or one number",
        ),
        (lambda y, p: y * 1.0, "does not depend on the outputs"),
    ],
)
def test_a_loss_that_cannot_be_trained_on(loss, match):
    model = line(loss=loss)
    before = model.get_weights()
    with pytest.raises(ValueError, match=match):
        model.fit(X, Y, verbose=0)
    same(before, model.get_weights())


def test_a_factor_of_the_loss():
    one, other = (
        line(lamina.optimizers.SGD(0.1), loss_weights=0.5),
        line(lamina.optimizers.SGD(0.05)),
    )
    assert one.train_on_batch(X, Y) == pytest.approx(other.train_on_batch(X, Y) / 2)
    same(one.get_weights(), other.get_weights(), rtol=1e-6)


def test_regularizers_are_in_the_loss_and_in_the_gradient(backend):
    lamina.utils.set_random_seed(1)
    model = lamina.Sequential(
        [
            layers.Dense(
                1, input_dim=3, kernel_regularizer=lamina.regularizers.L2(0.1),
                bias_regularizer=lamina.regularizers.L1(0.2), bias_initializer="ones",
            )
        ],
        backend=backend.backend,
    )  # fmt: skip
    model.compile(lamina.optimizers.SGD(0.05), "mse")
    before = model.get_weights()
    penalty = 0.1 * (before[0] ** 2).sum() + 0.2
    expected = mse(before, X, Y) + penalty
    np.testing.assert_allclose(model.evaluate(X, Y, batch_size=50, verbose=0), expected, rtol=1e-5)
    np.testing.assert_allclose(model.train_on_batch(X, Y), expected, rtol=1e-5)
    after = step(before, X, Y)
    after = [after[0] - 0.05 * 0.2 * before[0], after[1] - 0.05 * 0.2]
    same(model.get_weights(), after, rtol=1e-5, atol=1e-6)
    model.layers[0].trainable = False
    np.testing.assert_allclose(
        model.evaluate(X, Y, batch_size=50, verbose=0), mse(model.get_weights(), X, Y), rtol=1e-5
    )


def test_constraints_hold_after_every_step(backend):
    model = lamina.Sequential(
        [
            layers.Dense(4, "tanh", input_dim=3, kernel_constraint="unit_norm"),
            layers.Dense(1, kernel_constraint="non_neg"),
        ],
        backend=backend.backend,
    )
    model.compile(lamina.optimizers.Adam(0.1), "mse")
    for _ in range(3):
        model.train_on_batch(X, Y)
        first, _, second, _ = model.get_weights()
        np.testing.assert_allclose(np.linalg.norm(first, axis=0), 1, rtol=1e-5)
        assert (second >= 0).all()


def test_accumulated_gradients_are_one_large_batch():
    small = line(lamina.optimizers.SGD(0.05, gradient_accumulation_steps=5))
    large = line()
    before = small.get_weights()
    for i in range(0, 40, 10):
        small.train_on_batch(X[i : i + 10], Y[i : i + 10])
        same(before, small.get_weights())
    small.train_on_batch(X[40:], Y[40:])
    large.train_on_batch(X, Y)
    same(small.get_weights(), large.get_weights(), rtol=1e-5, atol=1e-6)


# ---- shards --------------------------------------------------------------------------------------


@pytest.fixture
def big(monkeypatch):
    """A batch and a network, for tests in which less work than usual is worth cutting."""
    monkeypatch.setattr("lamina.models.step.CUT", 1 << 19)
    rng = np.random.default_rng(3)
    x = rng.normal(size=(512, 64)).astype("float32")
    return x, rng.integers(0, 5, 512)


def big_network(loss="sparse_categorical_crossentropy", units=5, optimizer="adam", **dense):
    lamina.utils.set_random_seed(4)
    model = lamina.Sequential(
        [
            layers.Input((64,)),
            layers.Dense(256, "relu", **dense),
            layers.Dropout(0.3),
            layers.Dense(128, "tanh"),
            layers.Dense(units, "softmax"),
        ]
    )
    model.compile(optimizer, loss, metrics=["accuracy"] if isinstance(loss, str) else None)
    return model


@pytest.fixture
def workers():
    before = lamina.config.workers()
    yield lamina.config.set_workers
    lamina.config.set_workers(before)


def test_the_cut_of_a_batch_looks_at_the_batch_alone():
    from lamina.models.step import cut

    shards = cut(512, 200_000)
    assert len(shards) > 1
    assert shards[0].start == 0
    assert [s.stop for s in shards[:-1]] == [s.start for s in shards[1:]]
    assert shards[-1].stop == 512
    assert cut(4, 17) == [slice(0, 4)]
    assert cut(128, 669_706) == [slice(0, 64), slice(64, 128)]


def test_the_tests_below_do_cut(big):
    from lamina.models.step import cut

    assert len(cut(512, big_network().count_params())) > 1
    assert len(cut(256, big_network().count_params())) > 1


def test_any_number_of_workers_gives_the_same_run_bit_for_bit(big, workers):
    x, y = big
    runs = []
    for count in (1, 2, 3, 5):
        workers(count)
        model = big_network()
        history = model.fit(
            x,
            y,
            batch_size=256,
            epochs=2,
            verbose=0,
            validation_split=0.1,
            sample_weight=x[:, 0] ** 2,
        ).history
        runs.append((history, model.get_weights()))
    for history, weights in runs[1:]:
        assert history == runs[0][0]
        same(weights, runs[0][1])


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_shards_sum_up_to_the_whole_batch(big, reduction, weighted, monkeypatch):
    x, y = big
    w = x[:, 0] ** 2 if weighted else None
    loss = lamina.losses.SparseCategoricalCrossentropy(reduction=reduction, ignore_class=2)
    results = []
    for whole in (False, True):
        if whole:
            monkeypatch.setattr("lamina.models.step.cut", lambda rows, *_: [slice(0, rows)])
        model = big_network(loss, optimizer=lamina.optimizers.SGD(1e-3))
        model.layers[1].rate = 0
        before = model.get_weights()
        found = model.train_on_batch(x, y, sample_weight=w)
        moved = [b - a for a, b in zip(model.get_weights(), before, strict=True)]
        results.append((found, moved))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-6)
    for a, b in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6 * max(1, abs(b).max()))


def test_a_loss_that_mixes_samples_is_not_cut(big, monkeypatch):
    x, y = big

    def centered(y_true, y_pred):
        middle = lamina.xp.mean(y_pred, axis=0, keepdims=True)
        return lamina.xp.mean((y_pred - middle - y_true) ** 2, axis=-1)

    results = []
    for whole in (False, True):
        if whole:
            monkeypatch.setattr("lamina.models.step.cut", lambda rows, *_: [slice(0, rows)])
        model = big_network(centered)
        model.layers[1].rate = 0
        targets = lamina.utils.to_categorical(y)
        results.append([model.train_on_batch(x, targets) for _ in range(3)])
    assert results[0] == results[1]


def test_what_layers_add_to_the_loss_is_that_of_the_whole_batch(big, monkeypatch):
    x, y = big

    class Penal(layers.Layer):
        def call(self, inputs):
            self.add_loss(lamina.xp.sum(lamina.xp.mean(inputs, axis=0) ** 2))
            return inputs

    results = []
    for whole in (False, True):
        if whole:
            monkeypatch.setattr("lamina.models.step.cut", lambda rows, *_: [slice(0, rows)])
        model = big_network(activity_regularizer=lamina.regularizers.L2(0.01))
        model.layers[1].rate = 0
        model.add(Penal())
        results.append([model.train_on_batch(x, y)[0] for _ in range(3)])
    assert results[0] == results[1]


def test_a_layer_may_ask_for_the_whole_batch(big):
    x, y = big
    seen = []

    class Together(layers.Layer):
        uses_whole_batch = True

        def call(self, inputs):
            seen.append(inputs.shape[0])
            return inputs

    model = big_network()
    model.add(Together())
    seen.clear()
    model.train_on_batch(x, y)
    assert seen == [512]


def test_an_error_in_one_shard_is_raised_and_changes_nothing(big, workers):
    x, y = big
    workers(2)

    class Sometimes(layers.Layer):
        def call(self, inputs, training=False):
            if training and lamina.xp.any(inputs.data == 99):
                raise ArithmeticError("ninety-nine")
            return inputs

    model = lamina.Sequential(
        [layers.Input((64,)), Sometimes(), layers.Dense(256), layers.Dense(5)]
    )
    model.compile("adam", lamina.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = model.get_weights()
    bad = x.copy()
    bad[500, 3] = 99
    with pytest.raises(ArithmeticError, match="ninety-nine"):
        model.train_on_batch(bad, y)
    same(before, model.get_weights())
    assert model.optimizer.iterations == 0


# ---- callbacks, interruption, output -------------------------------------------------------------


def test_callbacks_are_called_in_order():
    model, watch = line(), Watch()
    model.fit(X, Y, batch_size=25, epochs=2, validation_data=(X, Y), validation_batch_size=50,
              verbose=0, callbacks=[watch])  # fmt: skip
    epoch = lambda n: [
        ("epoch_begin", n),
        ("train_batch_begin", 0), ("train_batch_end", 0),
        ("train_batch_begin", 1), ("train_batch_end", 1),
        ("test_begin",), ("test_batch_begin", 0), ("test_batch_end", 0), ("test_end",),
        ("epoch_end", n),
    ]  # fmt: skip
    assert watch.calls == [("train_begin",), *epoch(0), *epoch(1), ("train_end",)]
    assert set(watch.logs[watch.calls.index(("epoch_end", 0))]) == {"loss", "val_loss"}
    assert watch.params["epochs"] == 2
    assert watch.params["steps"] == 2
    watch.calls.clear()
    model.predict(X, batch_size=25, verbose=0, callbacks=[watch])
    assert watch.calls == [
        ("predict_begin",), ("predict_batch_begin", 0), ("predict_batch_end", 0),
        ("predict_batch_begin", 1), ("predict_batch_end", 1), ("predict_end",),
    ]  # fmt: skip
    watch.calls.clear()
    model.evaluate(X, Y, batch_size=50, verbose=0, callbacks=[watch])
    assert [call[0] for call in watch.calls] == [
        "test_begin", "test_batch_begin", "test_batch_end", "test_end"
    ]  # fmt: skip


def test_batch_logs_are_running_means():
    model, watch = line(lamina.optimizers.SGD(0.0)), Watch()
    model.fit(X, Y, batch_size=20, shuffle=False, verbose=0, callbacks=[watch])
    ends = [log["loss"] for call, log in zip(watch.calls, watch.logs, strict=True)
            if call[0] == "train_batch_end"]  # fmt: skip
    weights = model.get_weights()
    expected = [mse(weights, X[:n], Y[:n]) for n in (20, 40, 50)]
    np.testing.assert_allclose(ends, expected, rtol=1e-5)


def test_a_callback_can_stop_training():
    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                self.model.stop_training = True

    model, watch = line(), Watch()
    history = model.fit(X, Y, batch_size=10, epochs=5, verbose=0, callbacks=[Stop(), watch])
    assert history.epoch == [0]
    assert ("train_batch_end", 2) not in watch.calls
    assert watch.calls[-1] == ("train_end",)
    assert len(model.fit(X, Y, epochs=2, verbose=0).epoch) == 2


def test_the_learning_rate_can_change_in_the_middle():
    class Halve(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer.learning_rate = 0.05 / 2**epoch

    model = line()
    weights = model.get_weights()
    model.fit(X, Y, batch_size=50, epochs=3, shuffle=False, verbose=0, callbacks=[Halve()])
    for epoch in range(3):
        weights = step(weights, X, Y, rate=0.05 / 2**epoch)
    same(model.get_weights(), weights, rtol=1e-5, atol=1e-6)


class PressCtrlC(callbacks.Callback):
    def __init__(self, epoch, batch):
        super().__init__()
        self.when = epoch, batch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.when:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def ctrl_c():
    """Python's own handling of Ctrl-C, which shells switch off for what runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_fit_between_two_steps(ctrl_c, capsys):
    model, other, watch = network(), network(), Watch()
    history = model.fit(
        X, Y, batch_size=10, epochs=9, callbacks=[PressCtrlC(2, 1), watch], verbose=2
    )
    assert "Interrupted" in capsys.readouterr().out
    assert history.epoch == [0, 1]
    assert watch.calls[-2:] == [("train_batch_end", 1), ("train_end",)]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert model.optimizer.iterations == 12
    other.fit(X, Y, batch_size=10, epochs=2, verbose=0)
    other.fit(X, Y, batch_size=10, epochs=3, initial_epoch=2, steps_per_epoch=2, verbose=0)
    same(model.get_weights(), other.get_weights())


def test_ctrl_c_restores_the_best_weights(ctrl_c):
    best = {}

    class Keep(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            best[logs["val_loss"]] = self.model.get_weights()

    model = network(lamina.optimizers.Adam(0.3))
    model.fit(
        X, Y, batch_size=10, epochs=9, validation_split=0.2, verbose=0,
        callbacks=[
            callbacks.EarlyStopping(patience=99, restore_best_weights=True), Keep(),
            PressCtrlC(6, 2),
        ],
    )  # fmt: skip
    same(model.get_weights(), best[min(best)])


def test_a_diverging_model_is_stopped():
    model = line(lamina.optimizers.SGD(1e20))
    with np.errstate(all="ignore"):
        history = model.fit(
            X, Y, batch_size=10, epochs=9, verbose=0, callbacks=[callbacks.TerminateOnNaN()]
        )
    assert len(history.epoch) == 1


def test_what_fit_prints(capsys):
    model = line(metrics=["mae"])
    model.fit(X, Y, batch_size=10, epochs=2, validation_split=0.2, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Epoch 1/2"
    assert lines[1].startswith("4/4 - 0s - ")
    names = [part.partition(": ")[0] for part in lines[1].split(" - ")[3:]]
    assert names == ["loss", "mae", "val_loss", "val_mae"]
    assert len(lines) == 4
    model.fit(X, Y, batch_size=10, verbose=1)
    assert "5/5 ━━━━━━━━━━━━━━━━━━━━" in capsys.readouterr().out
    model.evaluate(X, Y)
    assert "2/2 ━" in capsys.readouterr().out
    model.predict(X)
    assert "2/2 ━" in capsys.readouterr().out
    for quiet in (model.fit, model.evaluate):
        quiet(X, Y, verbose=0)
    model.predict(X, verbose=0)
    assert capsys.readouterr().out == ""


def test_metrics_and_losses_stay_on_the_device(backend, no_sync):
    lamina.utils.set_random_seed(0)
    model = lamina.Sequential(
        [
            layers.Input((3,)),
            layers.Dense(8, "relu"),
            layers.Dropout(0.2),
            layers.Dense(1, "sigmoid"),
        ],
        backend=backend.backend,
    )
    model.compile(
        lamina.optimizers.Adam(0.01, global_clipnorm=1.0), "binary_crossentropy",
        metrics=["accuracy", "mae"],
    )  # fmt: skip
    with no_sync():
        history = model.fit(
            X, (Y > 0).astype("float32"), sample_weight=W, epochs=9, validation_split=0.2, verbose=0
        ).history
        model.evaluate(X, (Y > 0), verbose=0)
        model.predict(X, verbose=0)
    assert history["loss"][-1] < history["loss"][0]


# ---- recompiling, memory -------------------------------------------------------------------------


def test_compiling_again_starts_a_new_optimizer_and_keeps_the_weights():
    model = network()
    model.fit(X, Y, verbose=0)
    before = model.get_weights()
    model.compile("sgd", "mae")
    same(before, model.get_weights())
    assert model.optimizer.iterations == 0
    model.fit(X, Y, verbose=0)


def test_a_failed_compile_changes_nothing():
    model = network()
    optimizer, loss = model.optimizer, model.loss
    for bad in ({"loss": "mean_square_error"}, {"optimizer": "adm"}, {"metrics": ["acuracy"]}):
        with pytest.raises(ValueError, match="did you mean"):
            model.compile(**{"optimizer": "sgd", "loss": "mae", **bad})
    assert (model.optimizer, model.loss) == (optimizer, loss)


@pytest.mark.parametrize("kind", ["chain", "tape"])
def test_memory_stays_flat_without_the_collector(kind):
    model = line(metrics=["mae"]) if kind == "chain" else network(metrics=["mae"])

    def calls(count):
        for _ in range(count):
            model.train_on_batch(X, Y)
            model.predict(X, verbose=0)
            model.test_on_batch(X, Y)

    calls(20)
    gc.collect()
    gc.disable()
    try:
        tracemalloc.start()
        calls(20)
        before = tracemalloc.get_traced_memory()[0]
        calls(300)
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert gc.collect() == 0
    finally:
        gc.enable()
    assert after - before < 20_000


def test_fit_leaves_no_cycles_but_its_own():
    model = network()
    model.fit(X, Y, verbose=0)
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            model.fit(X, Y, epochs=20, verbose=0)
        assert gc.collect() < 100
    finally:
        gc.enable()
