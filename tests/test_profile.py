"""A profile: its parts are the whole, its counts and sizes are known, and it changes nothing."""

import collections
import threading

import numpy as np
import pytest

import lamina
from lamina import backend as backends
from lamina import layers
from lamina.autograd import sweep
from lamina.layers._passes import Pass

RNG = np.random.default_rng(0)
STRICT = "array_api_strict:device1"


class Exp(layers.Layer):
    """One function of the standard, which keeps its result."""

    def call(self, inputs):
        return lamina.xp.exp(inputs)


class Three(layers.Layer):
    """Three functions of the standard."""

    def call(self, inputs):
        return lamina.xp.abs(inputs) * 2.0 + inputs


class Reader(layers.Layer):
    """A layer that waits for the device."""

    def call(self, inputs):
        return inputs * float(lamina.xp.sum(inputs.detach()))


def compiled(stack, place, optimizer="adam", loss="mse", **how):
    lamina.utils.set_random_seed(0)
    model = lamina.Sequential(stack, backend=place)
    model.compile(optimizer, loss, **how)
    return model


def network(place):
    """(a model with random numbers and moving averages, inputs, targets)."""
    stack = [layers.Conv2D(3, 3, activation="relu", input_shape=(6, 6, 2))]
    stack += [layers.BatchNormalization(), layers.Dropout(0.4), layers.Flatten()]
    stack += [layers.Dense(5, "tanh", kernel_regularizer="l2"), layers.Dense(1)]
    optimizer = lamina.optimizers.Adam(0.01, weight_decay=0.1, use_ema=True)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model = compiled(stack, place, optimizer, metrics=["mae"])
    x = RNG.normal(size=(8, 6, 6, 2)).astype("float32")
    return model, x, RNG.normal(size=(8, 1)).astype("float32")


def costs(report):
    return [cost for row in report.rows for cost in (row.forward, row.backward)]


def test_the_parts_add_up_to_the_whole(backend):
    model, x, y = network(backend.backend)
    report = lamina.profile(model, x, y)
    names = [layer.name for layer in model.layers]
    assert [row.name for row in report.rows] == [
        model.name, *names, "loss", "optimizer", "between",
    ]  # fmt: skip
    assert all(cost.seconds >= 0 for cost in costs(report))
    assert sum(cost.seconds for cost in costs(report)) == pytest.approx(report.seconds)
    total = report.total
    for what in ("seconds", "launches", "waits", "memory"):
        parts = sum(getattr(cost, what) for cost in costs(report))
        assert getattr(total.forward, what) + getattr(total.backward, what) == pytest.approx(parts)
    assert total.parameters == sum(4 * p.size for p in model.weights)
    for name in names:
        assert report[name].calls == 1
        assert report[name].forward.seconds > 0
    shapes = [report[name].output_shape for name in names]
    assert shapes == [(8, 4, 4, 3)] * 3 + [(8, 48), (8, 5), (8, 1)]
    assert report[names[0]].output == 8 * 4 * 4 * 3 * 4
    assert (report.batch, report.place) == (8, str(backend.backend))
    assert report.as_run > 0


@pytest.mark.parametrize("place", ["numpy", STRICT])
def test_as_many_calls_are_counted_as_are_made(place):
    _, x, y = network(place)
    stack = [layers.Conv2D(3, 3, activation="relu", input_shape=(6, 6, 2))]
    stack += [layers.BatchNormalization(), layers.Dropout(0.4), layers.Conv2D(4, 2)]
    stack += [layers.BatchNormalization(), layers.Flatten(), layers.Dense(5, "tanh")]
    model = compiled([*stack, layers.Dense(1)], place)
    model.train_on_batch(x, y)
    report = lamina.profile(model, x, y)
    made, home = collections.Counter(), backends.get(place)
    x = lamina.Tensor(home.asarray(x))
    with Pass(model._step.number), backends.calls.counting(home, lambda name: made.update([name])):
        outputs = model(x, training=True)
        forward, seed = made.total(), home.xp.ones_like(outputs.data)
        made.clear()
        sweep([(outputs, seed)])
    layered = [row for row in report.rows if row.kind]
    assert sum(row.forward.launches for row in layered) == forward > 5
    assert sum(row.backward.launches for row in layered) == made.total() > 5


def test_counts_of_a_tiny_network_are_known():
    model = compiled([layers.Dense(5, input_shape=(4,)), Three(), Exp(), layers.Flatten()], STRICT)
    x, y = np.ones((3, 4), "float32"), np.ones((3, 5), "float32")
    report = lamina.profile(model, x)
    names = [layer.name for layer in model.layers]
    dense, three, exp, flatten = (report[name].forward for name in names)
    assert (dense.launches, three.launches, exp.launches, flatten.launches) == (2, 3, 1, 0)
    assert report.total.forward.launches == 6
    assert [row.name for row in report.rows] == [model.name, *names, "between"]
    report = lamina.profile(model, x, y)
    dense, three, exp, flatten = (report[name] for name in names)
    assert (dense.forward.launches, three.forward.launches, exp.forward.launches) == (2, 3, 1)
    assert exp.backward.launches == 1  # g * out
    assert three.backward.launches == 3  # g * 2, times sign(x)
    assert flatten.backward.launches == 0


@pytest.mark.parametrize("place", ["numpy", STRICT])
def test_sizes_of_a_tiny_network_are_known(place):
    stack = [layers.Dense(5, "tanh", input_shape=(4,)), Exp(), layers.Dense(2, "tanh")]
    model = compiled(stack, place)
    x, y = np.ones((3, 4), "float32"), np.ones((3, 2), "float32")
    report = lamina.profile(model, x, y)
    first, exp, last = (report[layer.name] for layer in model.layers)
    assert (first.parameters, exp.parameters, last.parameters) == (4 * 25, 0, 4 * 12)
    assert (first.output, exp.output, last.output) == (4 * 15, 4 * 15, 4 * 6)
    # the batch and the weights are there anyway; what Exp keeps the last layer keeps no second time
    assert first.forward.memory == 4 * 15
    assert exp.forward.memory == 4 * 15
    assert last.forward.memory == 4 * 6
    through = (0, 0) if place == "numpy" else (15, 6)  # one kernel, or tanh on its own
    assert first.backward.memory == 4 * (20 + 5 + through[0])
    assert exp.backward.memory == 4 * 15
    assert last.backward.memory == 4 * (10 + 2 + 15 + through[1])
    assert lamina.profile(model, x).total.forward.memory == 0  # nothing is kept to be used


def test_calls_of_a_librarys_own_kernels_are_part_of_one():
    made, home = [], backends.get("numpy")
    x = np.ones((3, 4), "float32")
    with backends.calls.counting(home, made.append):
        np.mean(x)
        np.add.reduce(x)
        np.multiply(x, x, out=x)
        np.reshape(x, (4, 3))
        np.linalg.norm(x)
        backends.calls.launched("own")
    np.mean(x)
    backends.calls.launched("own")
    assert made == ["mean", "add.reduce", "multiply", "norm", "own"]


@pytest.mark.parametrize("place", ["numpy", STRICT])
def test_waits_are_counted_where_they_are_also_without_a_device(place):
    model = compiled([layers.Dense(5, input_shape=(4,)), Reader(name="reader")], place)
    x, y = np.ones((3, 4), "float32"), np.ones((3, 5), "float32")
    report = lamina.profile(model, x, y)
    assert report["reader"].forward.waits == 1
    assert report.total.forward.waits + report.total.backward.waits == 1
    model, x, y = network(place)
    total = lamina.profile(model, x, y).total
    assert total.forward.waits == total.backward.waits == 0


def test_a_profile_changes_nothing(backend):
    model, x, y = network(backend.backend)
    twin, _, _ = network(backend.backend)
    for one in (model, twin):
        one.set_weights(twin.get_weights())
        for layer, other in zip(one.layers_within(), twin.layers_within(), strict=True):
            layer.seed = other.seed
    for number in range(3):
        if number != 1:  # before the first step, and between later ones
            lamina.profile(model, x, y)
            lamina.profile(model, x)
        assert model.train_on_batch(x, y) == twin.train_on_batch(x, y)
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for (name, a), b in zip(
        model.optimizer.state().items(), twin.optimizer.state().values(), strict=True
    ):
        if "/" in name:
            a, b = backend.to_numpy(a), backend.to_numpy(b)
        np.testing.assert_array_equal(a, b)


def test_layers_used_twice_and_layers_of_layers_have_rows_of_their_own():
    class Twice(lamina.Model):
        def __init__(self):
            super().__init__()
            self.inner = layers.Dense(4, name="inner")

        def call(self, inputs):
            return self.inner(lamina.xp.exp(self.inner(inputs)))

    model = compiled([layers.Input((4,)), Twice(), layers.Dense(1)], "numpy")
    x, y = np.ones((3, 4), "float32"), np.ones((3, 1), "float32")
    report = lamina.profile(model, x, y)
    assert report["inner"].calls == 2
    whole = next(row for row in report.rows if row.kind == "Twice")
    assert whole.forward.launches == 1  # its own exp, without what its layer does
    assert "inner (Dense) x2" in str(report)


def test_a_profile_is_a_table_when_printed():
    model, x, y = network("numpy")
    text = str(lamina.profile(model, x, y))
    first, *_ = text.splitlines()
    assert first.startswith("one step on numpy, 8 samples: ")
    for word in ("forward ms", "backward ms", "kept", "loss", "optimizer", "between", "total"):
        assert word in text
    assert len({len(line) for line in text.splitlines() if line.startswith("---")}) == 1
    with pytest.raises(ValueError, match="row of this profile 'losss': did you mean 'loss'"):
        lamina.profile(model, x, y)["losss"]


def test_a_table_is_at_most_a_hundred_columns_wide():
    from lamina import applications

    model = applications.ResNet20((8, 8, 3), filters=2)
    model.compile("sgd", "mse")
    x = RNG.uniform(size=(2, 8, 8, 3)).astype("float32")
    report = lamina.profile(model, x, np.ones((2, 10), "float32"))
    assert max(map(len, str(report).splitlines())) <= 100
    assert f"\n{model.layers[1].name} " in str(report)  # whose class need not be told
    used = str(lamina.profile(model, x))
    assert not any(word in used for word in ("backward", " back ", "grads", "kept"))
    assert all(word in used for word in ("forward ms", "calls", "waits", "weights"))

    long = compiled([layers.Dense(1, name="a" * 50 + "b" * 50, input_shape=(2,))], "numpy")
    lines = str(lamina.profile(long, x[0, 0, :, :2], np.ones((8, 1), "float32"))).splitlines()
    assert max(map(len, lines)) <= 100
    assert any(line.startswith("aaa") and "a..b" in line for line in lines)


@pytest.mark.parametrize(("rows", "quiet"), [(1, False), (64, True), (2000, True)])
@pytest.mark.parametrize("training", [False, True])
def test_products_have_as_many_threads_layer_by_layer_as_in_the_step(
    rows, quiet, training, monkeypatch
):
    now, seen = [4], []

    def spy(x):
        seen.append(now[0])
        return x * 1.0

    stack = [layers.Conv2D(8, 3, input_shape=(14, 14, 4)), layers.Activation(spy)]
    model = compiled([*stack, layers.Flatten(), layers.Dense(1)], "numpy")
    x, y = np.ones((rows, 14, 14, 4), "float32"), np.ones((rows, 1), "float32")
    set_threads, get_threads = lambda count: now.__setitem__(0, count), lambda: now[0]
    controls = backends.blas._Controls("fake", set_threads, get_threads)
    monkeypatch.setattr(backends.blas, "_controls", lambda: controls)
    for _ in range(2):
        seen.clear()
        model.train_on_batch(x, y) if training else model.predict(x, batch_size=rows, verbose=0)
    as_run = set(seen)
    seen.clear()
    lamina.profile(model, x, y if training else None)
    assert as_run == set(seen) == ({1} if quiet else {4})
    assert now == [4]


def test_the_libraries_are_as_they_were_afterwards():
    model, x, y = network("numpy")
    before = dict(vars(np)), dict(vars(layers.Layer))
    lamina.profile(model, x, y)
    assert before == (dict(vars(np)), dict(vars(layers.Layer)))

    class Failing(layers.Layer):
        def call(self, inputs):
            if not isinstance(np.add, np.ufunc):
                raise ZeroDivisionError("in the middle of counting")
            return inputs * 1.0

    failing = compiled([layers.Dense(2, input_shape=(2,)), Failing()], "numpy")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            lamina.profile(failing, np.ones((2, 2)), np.ones((2, 2)))
        assert before == (dict(vars(np)), dict(vars(layers.Layer)))


def test_one_profile_at_a_time_and_none_leaves_a_trace():
    before = dict(vars(layers.Layer))
    begun, told = threading.Event(), []

    class Asking(layers.Layer):
        """While its model is profiled, asks for a profile on another thread."""

        def call(self, inputs):
            if not begun.is_set():
                begun.set()
                thread = threading.Thread(target=profile_another)
                thread.start()
                thread.join()
            return inputs * 1.0

    def profile_another():
        with pytest.raises(RuntimeError, match="another profile is being taken: .*one model"):
            lamina.profile(compiled([layers.Dense(1, input_shape=(2,))], "numpy"), np.ones((1, 2)))
        told.append(dict(vars(layers.Layer)))

    begun.set()  # not while it is built
    model = compiled([layers.Dense(2, input_shape=(2,)), Asking()], "numpy")
    begun.clear()
    lamina.profile(model, np.ones((2, 2)))
    assert len(told) == 1
    assert dict(vars(layers.Layer)) == before


def test_bad_input_is_refused():
    model, x, y = network("numpy")
    with pytest.raises(TypeError, match="profile takes a lamina.Model, got Dense"):
        lamina.profile(layers.Dense(1), x)
    with pytest.raises(RuntimeError, match=r"profile needs to know how to train: call compile"):
        lamina.profile(lamina.Sequential([layers.Dense(1)]), np.ones((2, 2)), np.ones((2, 1)))
    with pytest.raises(ValueError, match=r"expects"):
        lamina.profile(model, x[:, :3], y)
    with pytest.raises(ValueError, match="as many rows, got 8 and 7"):
        lamina.profile(model, x, y[:7])
    model.trainable = False
    with pytest.raises(ValueError, match="no trainable weights"):
        lamina.profile(model, x, y)

    class Nested(layers.Layer):
        def call(self, inputs):
            if isinstance(np.add, np.ufunc):
                return inputs * 1.0
            with backends.calls.counting(backends.get("numpy"), print):
                return inputs

    nested = compiled([layers.Dense(2, input_shape=(2,)), Nested()], "numpy")
    with pytest.raises(RuntimeError, match="one model at a time"):
        lamina.profile(nested, np.ones((2, 2)), np.ones((2, 2)))
