"""Bad input: each a clear error, after which the model and the data are as they were."""

import contextlib
import copy

import numpy as np
import pytest

import lamina
from lamina import callbacks, layers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 8)).astype("float32")
Y = (X[:, :1] > 0).astype("float32")
CLASSES = RNG.integers(0, 3, 12)


def network(loss="binary_crossentropy", units=1, lazy=False, **options):
    """A network that has been trained a little, so that its optimizer has a state to lose."""
    lamina.utils.set_random_seed(1)
    model = lamina.Sequential(
        [
            layers.Dense(4, "relu", name="hidden", **({} if lazy else {"input_shape": (8,)})),
            layers.Dense(units, "softmax" if units > 1 else "sigmoid", name="out"),
        ],
        **options,
    )
    model.compile(lamina.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    if not lazy:
        model.fit(X, targets(model), verbose=0)
    return model


def targets(model):
    if model.loss.name.startswith("sparse"):
        return CLASSES
    return lamina.utils.to_categorical(CLASSES, 3) if model.output_shape[-1] > 1 else Y


def state(model):
    optimizer = model.optimizer.state() if model.optimizer.iterations else {}
    arrays = {
        name: model.backend.to_numpy(value) if "/" in name else value
        for name, value in optimizer.items()
    }
    return model.built, model.get_weights(), arrays


@contextlib.contextmanager
def refused(error, match, model=None, *data):
    """A block that must raise, and leave the model and the data as they are."""
    before = None if model is None else copy.deepcopy(state(model))
    given = [copy.deepcopy(part) for part in data]
    with pytest.raises(error, match=match) as caught:
        yield caught
    if model is not None:
        built, weights, optimizer = state(model)
        assert built == before[0]
        for old, new in zip(before[1], weights, strict=True):
            np.testing.assert_array_equal(old, new)
        assert optimizer.keys() == before[2].keys()
        for name in optimizer:
            np.testing.assert_array_equal(before[2][name], optimizer[name])
    for old, new in zip(given, data, strict=True):
        np.testing.assert_array_equal(old, new)


METHODS = ["fit", "evaluate", "train_on_batch", "test_on_batch", "predict", "predict_on_batch"]


def call(model, method, x, y=None, **how):
    if method in ("fit", "evaluate", "predict"):
        how["verbose"] = 0
    arguments = (x,) if method.startswith("predict") else (x, y)
    return getattr(model, method)(*arguments, **how)


# ---- shapes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_wrong_number_of_features_names_the_layer(method):
    model, x = network(), np.zeros((12, 7), "float32")
    match = r'Dense "hidden" expects inputs whose last axis is 8, got \(12, 7\)'
    with refused(ValueError, match, model, x, Y):
        call(model, method, x, Y)


def test_a_wrong_number_of_features_against_a_declared_input():
    model = lamina.Sequential([layers.Input((784,), name="pixels"), layers.Dense(1)])
    match = (
        r'Input "pixels" expects .* shape \(784,\), got \(32, 28, 28\): reshape x to \(32, 784\)'
    )
    with pytest.raises(ValueError, match=match):
        model.predict(np.zeros((32, 28, 28)))
    model = lamina.Sequential([layers.Dense(1, input_dim=784, name="hidden")])
    match = r'"hidden" expects inputs whose last axis is 784, .*28\): add layers.Flatten\(\) before'
    with pytest.raises(ValueError, match=match):
        model.predict(np.zeros((32, 28, 28)))


@pytest.mark.parametrize("method", METHODS)
def test_one_sample_without_the_batch_axis(method):
    model = network()
    with refused(ValueError, r'"hidden" expects .*\(8,\): .*x\[None\]', model, X, Y):
        call(model, method, X[0], Y[0])
    declared = lamina.Sequential([layers.Input((8,)), layers.Dense(1)])
    with pytest.raises(
        ValueError, match=r"got \(8,\): one sample lacks the batch axis: .*x\[None\]"
    ):
        declared.predict(X[0])


@pytest.mark.parametrize(
    "declared, shape, remedy",
    [
        ((8, 9, 3), (2, 3, 8, 9), r"channels-first: pass numpy\.moveaxis\(x, 1, -1\)"),
        ((3, 8, 9), (2, 8, 9, 3), r"channels-last: pass numpy\.moveaxis\(x, -1, 1\)"),
        ((None, None, 3), (2, 3, 8, 9), "channels-first"),
        ((8, 9, 1), (2, 8, 9), r"add the channel axis, x\[\.\.\., None\]$"),
        ((1, 8, 9), (2, 8, 9), r"add the channel axis, x\[:, None\]$"),
        ((8, 9, 3), (2, 8, 9), r"select or reshape the data, or declare Input\(\(8, 9\)\)"),
        ((8, 9, 3), (2, 9, 8, 3), "select or reshape the data"),
    ],
)
def test_images_with_their_channels_elsewhere_are_told_how_to_move_them(declared, shape, remedy):
    model = lamina.Sequential([layers.Input(declared), layers.GlobalAveragePooling2D()])
    x = np.arange(np.prod(shape), dtype="float32").reshape(shape)
    with refused(ValueError, f"seem to be {remedy}|: {remedy}", None, x):
        model.predict(x, verbose=0)


@pytest.mark.parametrize("method", METHODS)
def test_a_number_is_not_a_batch(method):
    with refused(ValueError, "one row per sample, got a single number", network()) as _:
        call(network(), method, 3.0, Y)


def test_lists_of_different_lengths():
    model = network()
    with refused(ValueError, "x has rows of different lengths", model):
        model.fit([[1.0] * 8, [1.0] * 7], Y[:2])
    for rows in ([[1.0] * 8, [1.0] * 7], [np.ones(8), np.ones(7)]):
        with refused(ValueError, "x has rows of different lengths: pad", model):
            model.fit(np.array(rows, dtype=object), Y[:2])
    alike = np.empty(2, dtype=object)
    alike[:] = [np.ones(8), np.ones(8)]
    with refused(ValueError, "x is an array of arrays: make them one with numpy.stack", model):
        model.fit(alike, Y[:2])


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_x_and_y_of_different_lengths(method):
    model = network()
    with refused(ValueError, "x and y must have as many rows, got 12 and 11", model, X, Y):
        call(model, method, X, Y[:11])
    match = "x and sample_weight must have as many rows, got 12 and 3"
    with refused(ValueError, match, model, X, Y):
        call(model, method, X, Y, sample_weight=np.ones(3))
    with refused(ValueError, "as many rows, got 12 and 3", model, X, Y):
        model.fit(X, Y, validation_data=(X, Y[:3]), verbose=0)


@pytest.mark.parametrize("method", METHODS)
def test_no_samples_at_all(method):
    model = network()
    with refused(ValueError, r"x has no rows, got shape \(0, 8\)", model):
        call(model, method, X[:0], Y[:0])


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_x_or_y_left_out(method):
    model = network()
    with refused(ValueError, "y is missing", model, X):
        call(model, method, X)
    with refused(ValueError, "x is missing", model, Y):
        call(model, method, None, Y)


def test_an_iterable_without_targets_or_batches():
    model = network()
    with refused(ValueError, r"y is missing: batches must be \(x, y\)", model):
        model.fit(iter([X, X]), verbose=0)
    with refused(ValueError, "brings its own y", model):
        model.fit(iter([(X, Y)]), Y, verbose=0)
    with refused(ValueError, "got 4 parts", model):
        model.fit(iter([(X, Y, Y, Y)]), verbose=0)
    with refused(ValueError, "no batch to evaluate on", model):
        model.evaluate(iter([]), verbose=0)
    with refused(ValueError, "no batch to predict from", model):
        model.predict(iter([]), verbose=0)


# ---- labels --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(12,), (12, 1)])
def test_labels_with_and_without_a_last_axis_are_the_same(shape):
    flat, column = network(), network()
    flat.fit(X, Y.reshape(shape), verbose=0)
    column.fit(X, Y, verbose=0)
    for a, b in zip(flat.get_weights(), column.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    regression = lamina.Sequential([layers.Dense(1, input_dim=8)])
    regression.compile("sgd", "mse")
    out = regression.predict(X, verbose=0)
    expected = float(((out - Y) ** 2).mean())
    assert regression.evaluate(X, Y.reshape(shape), verbose=0) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
@pytest.mark.parametrize(
    "bad, match",
    [
        (3, r"class numbers from 0 to 2, got 3(.0)? in row 5: number the classes from 0"),
        (-1, r"class numbers from 0 to 2, got -1(.0)? in row 5"),
        (1.5, "class numbers from 0 to 2, got 1.5 in row 5"),
        (np.nan, "class numbers from 0 to 2, got nan in row 5"),
        (np.inf, "class numbers from 0 to 2, got inf in row 5"),
    ],
)
def test_class_numbers_out_of_range_or_not_whole(method, bad, match):
    model = network("sparse_categorical_crossentropy", 3)
    y = CLASSES.astype(type(bad))
    y[5] = bad
    with refused(ValueError, match, model, X, y):
        call(model, method, X, y)


@pytest.mark.parametrize("bad", [-1.0, 2.0, 255.0])
def test_labels_of_a_crossentropy_lie_between_0_and_1(bad):
    model, y = network(), Y.copy()
    y[4] = bad
    with refused(ValueError, rf"labels between 0 and 1, got {bad} in row 4", model, X, y):
        model.fit(X, y, verbose=0)


@pytest.mark.parametrize("where", ["array", "file", "validation", "batches"])
def test_bad_labels_are_found_before_the_first_step(where, tmp_path):
    model = network("sparse_categorical_crossentropy", 3)
    y = CLASSES.copy()
    y[-1] = 7
    if where == "validation":
        good, arguments = CLASSES, {"validation_data": (X, y)}
    else:
        good, arguments = y, {}
    x = X
    if where == "file":
        good = np.memmap(tmp_path / "y", y.dtype, "w+", shape=y.shape)
        good[:] = y
    if where == "batches":
        x, good = iter([(X, y)]), None
    with refused(ValueError, "got 7 in row 11", model, X, y):
        model.fit(
            x, good, verbose=0, **({"batch_size": 4} if good is not None else {}), **arguments
        )


@pytest.mark.parametrize(
    "loss, units, y, match",
    [
        ("mse", 1, np.zeros((12, 2)), r"shape of the outputs \(.*1\), got \(.*2\): give the last"),
        ("categorical_crossentropy", 3, CLASSES, "use sparse_categorical_crossentropy, or make"),
        ("sparse_categorical_crossentropy", 3, np.eye(3)[CLASSES], "use categorical_crossentropy"),
        ("categorical_crossentropy", 1, Y, "binary_crossentropy"),
    ],
)
def test_targets_that_do_not_fit_the_loss(loss, units, y, match):
    lamina.utils.set_random_seed(1)
    model = lamina.Sequential([layers.Dense(units, "sigmoid", input_dim=8)])
    model.compile("adam", loss)
    with refused(ValueError, match, model, X, y):
        model.fit(X, y, verbose=0)


# ---- text, objects, missing values ---------------------------------------------------------------


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: np.array([["a"] * 8] * 12), "column 0, row 0 of x is str 'a'"),
        (lambda: [["a"] * 8] * 12, "column 0, row 0 of x is str 'a'"),
        (lambda: X.astype(object) + np.array(0), None),
        (lambda: mixed(3, 2, "n/a"), "column 2, row 3 of x is str 'n/a'"),
        (lambda: mixed(3, 2, None), "column 2, row 3 of x is missing: fill it or drop the row"),
        (lambda: mixed(0, 1, [1, 2]), r"column 1, row 0 of x is list '\[1, 2\]'"),
        (lambda: np.full((12, 8), np.datetime64("2020-01-01")), "row 0 of x is datetime.*2020"),
        (lambda: X.astype("complex64"), "complex numbers: pass real and imaginary"),
        (lambda: {"a": X[:, 0]}, "x must be one array, got a dict of a: put the columns side by"),
        (lambda: "data.csv", "x is str 'data.csv'"),
        (lambda: np.ma.masked_array(X, X > 1), "row .* of x is masked"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["fit", "predict"])
def test_text_and_objects(make, match, method):
    model, x = network(), make()
    if match is None:  # objects that are all numbers will do
        call(model, method, x, Y)
        return
    with refused(TypeError, match, model, Y):
        call(model, method, x, Y)


def mixed(row, column, value):
    x = X.astype(object)
    x[row, column] = value
    return x


@pytest.mark.parametrize(
    "column, value, match",
    [
        ("city", ["Rome"] * 12, 'row 0 of column "city" of x is str .Rome.'),
        ("price", ["1.0"] * 5 + ["n/a"] * 7, 'row 0 of column "price" of x is str .1.0.'),
        ("price", [1.0, None] * 6, "column 6, row 1|row 1"),
    ],
)
def test_tables_name_the_column(column, value, match):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcdefgh"))
    frame["g"] = value
    frame = frame.rename(columns={"g": column})
    model = network()
    with refused((TypeError, ValueError), match, model, X, Y):
        model.fit(frame, Y, verbose=0)
    labels = pandas.Series(["yes", "no"] * 6, name="answer")
    with refused(TypeError, 'row 0 of column "answer" of y is str .yes.: encode it', model, X):
        model.fit(X, labels, verbose=0)
    objects = pandas.DataFrame(X, columns=list("abcdefgh")).astype(object)
    objects.loc[7, "c"] = "?"
    with refused(TypeError, 'row 7 of column "c" of x is str', model, X):
        model.fit(objects, Y, verbose=0)


def test_labels_that_are_words():
    model = network("sparse_categorical_crossentropy", 3)
    words = np.array(["cat", "dog", "cow"])[CLASSES]
    with refused(TypeError, r"row 0 of y is str .*numpy.unique\(y, return_inv", model, X, words):
        model.fit(X, words, verbose=0)


@pytest.mark.parametrize("text", [np.array([["0.125"] * 8] * 12), [["0.125"] * 8] * 12])
def test_numbers_written_as_text(text):
    model = network()
    message = r"column 0, row 0 of x is str '0.125': .*\.astype\(\"float32\"\)"
    with refused(TypeError, message, model, text, Y):
        model.fit(text, Y, verbose=0)
    model.fit(np.asarray(text).astype("float32"), Y, verbose=0)


def test_words_as_inputs():
    model = network()
    with refused(TypeError, r"encode it as a number \(numpy.unique\(column, return_inverse", model):
        model.fit(np.array([["red"] * 8] * 12), Y, verbose=0)


def make_batches():
    yield X, Y


@pytest.mark.parametrize("options", [{}, {"validation_split": 0.5}])
def test_a_function_that_was_not_called(options):
    model = network()
    with refused(TypeError, r"x is a function: call it, fit\(make_batches\(\)\)", model):
        model.fit(make_batches, verbose=0, **options)
    with refused(TypeError, r"y is a function: call it, y=make_batches\(\)", model, X):
        model.fit(X, make_batches, verbose=0, **options)


def test_a_class_of_batches_that_was_not_called():
    class Batches:
        def __iter__(self):
            return make_batches()

    model = network()
    with refused(TypeError, r"x is a class: call it, fit\(Batches\(\)\)", model):
        model.fit(Batches, verbose=0)
    model.fit(Batches(), verbose=0)


def test_a_number_of_workers_that_is_none(monkeypatch):
    monkeypatch.setattr(lamina.config, "_workers", None)
    monkeypatch.setenv("LAMINA_WORKERS", "abc")
    model = lamina.Sequential([layers.Dense(1)])
    with pytest.raises(ValueError, match="LAMINA_WORKERS must be a whole number .*got 'abc'"):
        model.compile("sgd", "mse")
        model.fit(X, Y, verbose=0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", METHODS)
def test_numbers_that_are_not_finite(bad, method):
    model, x = network(), X.copy()
    x[9, 2] = bad
    with refused(ValueError, f"x must be finite, got {bad} in row 9, column 2", model, x, Y):
        call(model, method, x, Y)
    if not method.startswith("predict"):
        y = Y.copy()
        y[3] = bad
        with refused(ValueError, f"got {bad} in row 3", model, X, y):
            call(model, method, X, y)
        w = np.ones(12)
        w[7] = bad
        with refused(
            ValueError, f"sample_weight must be finite, got {bad} in row 7", model, X, Y, w
        ):
            call(model, method, X, Y, sample_weight=w)


def test_a_bad_number_in_a_file_is_told_by_its_row(tmp_path):
    x = np.memmap(tmp_path / "x", "float32", "w+", shape=X.shape)
    x[:] = X
    x[9, 2] = np.nan
    for shuffle in (True, False):
        with pytest.raises(ValueError, match="x must be finite, got nan in row 9, column 2"):
            network().fit(x, Y, batch_size=12, shuffle=shuffle, verbose=0)


def test_a_number_too_large_for_float32():
    model, x = network(), X.astype("float64")
    x[1, 1] = 1e300
    with refused(ValueError, r"x must fit into float32, got 1e\+300 in row 1, column 1", model, x):
        model.fit(x, Y, verbose=0)


@pytest.mark.parametrize("method", ["fit", "train_on_batch"])
def test_data_on_the_device_is_checked_as_well(method, backend):
    model = network(backend=backend.backend)
    x, y, w = X.copy(), Y.copy(), np.ones(12)
    x[3, 3], y[5], w[7] = np.inf, 3, -1
    x, y, w = (backend.asarray(part) for part in (x, y, w))
    good_x, good_y = backend.asarray(X), backend.asarray(Y)
    with refused(ValueError, "got inf in row 3, column 3", model):
        call(model, method, x, good_y)
    with refused(ValueError, "between 0 and 1, got 3.0 in row 5", model):
        call(model, method, good_x, y)
    with refused(ValueError, "must not be negative", model):
        call(model, method, good_x, good_y, sample_weight=w)
    call(model, method, good_x, good_y > 0.5, sample_weight=good_y[:, 0] > 2)


def test_weights_of_samples_and_classes():
    model = network()
    with refused(ValueError, "must not be negative: use 0 to leave a sample out", model, X, Y):
        model.fit(X, Y, sample_weight=-np.ones(12), verbose=0)
    with refused(ValueError, "either class_weight or sample_weight", model, X, Y):
        model.fit(X, Y, class_weight={0: 1.0}, sample_weight=np.ones(12), verbose=0)
    with refused(TypeError, "class_weight maps class numbers to weights", model, X, Y):
        model.fit(X, Y, class_weight=[1.0, 2.0], verbose=0)
    with refused(TypeError, "whole class numbers to weights, got 'yes'", model, X, Y):
        model.fit(X, Y, class_weight={"yes": 1.0}, verbose=0)
    with refused(ValueError, "must not be negative", model, X, Y):
        model.fit(X, Y, class_weight={0: -1.0}, verbose=0)
    with refused(
        ValueError, r"one weight per value of the loss \(12,\) or per sample", model, X, Y
    ):
        model.fit(X, Y, sample_weight=np.ones((12, 2)), verbose=0)


@pytest.mark.parametrize("lazy_error", ["labels", "nan", "short", "validation", "no y"])
def test_data_that_is_refused_does_not_build_the_model(lazy_error):
    model = network("sparse_categorical_crossentropy", 3, lazy=True)
    bad_x = X.copy()
    bad_x[0, 0] = np.nan
    arguments = {
        "labels": ((X, CLASSES + 9), {}),
        "nan": ((bad_x, CLASSES), {}),
        "short": ((X, CLASSES[:3]), {}),
        "validation": ((X, CLASSES), {"validation_data": (X, CLASSES + 9)}),
        "no y": ((X,), {}),
    }[lazy_error]
    with refused(ValueError, "y|x", model, X):
        model.fit(*arguments[0], verbose=0, **arguments[1])
    assert not model.built
    assert not model.layers[0].built
    model.fit(X[:, :5], CLASSES, verbose=0)  # another number of features than the refused data's
    assert model.input_shape == (None, 5)


# ---- options -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how, match",
    [
        ({"batch_size": 0}, "batch_size as a whole number from 1 on, got 0"),
        ({"batch_size": 2.5}, "batch_size as a whole number"),
        ({"epochs": -1}, "epochs as a whole number from 0 on, got -1"),
        ({"epochs": "3"}, "epochs as a whole number"),
        ({"initial_epoch": 0.5}, "initial_epoch as a whole number"),
        ({"steps_per_epoch": 0}, "steps_per_epoch as a whole number from 1 on"),
        ({"validation_split": 1.5}, "a share between 0 and 1, got 1.5"),
        ({"validation_split": 0.99}, "leaves nothing to train on"),
        ({"validation_data": X}, "validation_data is|one row per sample|y is missing|as many"),
        ({"validation_data": (X, Y, Y, Y)}, "got 4 parts"),
        ({"verbose": 3}, "verbose is 0"),
    ],
)
def test_options_out_of_range(how, match):
    model = network()
    with refused(ValueError, match, model, X, Y):
        model.fit(X, Y, **{"verbose": 0, **how})


@pytest.mark.parametrize(
    "third", [["accuracy"], ["accuracy", "mae"], "accuracy", [lamina.metrics.Mean()], {"a": "mae"}]
)
def test_metrics_in_the_place_of_loss_weights(third):
    model = network()
    with refused(TypeError, r"loss_weights are numbers, got .*did you mean metrics=\[", model):
        model.compile("adam", "binary_crossentropy", third)
    model.compile("adam", "binary_crossentropy", [np.float32(2)], ["accuracy"])


def test_a_model_is_not_saved_whole_yet():
    model = network()
    with refused(AttributeError, "no save yet: .* use save_weights and load_weights", model):
        model.save("m.keras")
    assert not hasattr(model, "save")  # what ModelCheckpoint asks


def test_callbacks_are_objects():
    model = network()
    with refused(
        TypeError, r"got the class EarlyStopping: write EarlyStopping\(...\)", model, X, Y
    ):
        model.fit(X, Y, callbacks=[callbacks.EarlyStopping], verbose=0)


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: network().compile(loss="binary_crosentropy"), "loss .*'binary_crossentropy'"),
        (lambda: network().compile("adm", "mse"), "optimizer 'adm': did you mean '[Aa]dam'"),
        (lambda: network().compile("adma", "mse"), "optimizer 'adma': did you mean 'Adam'"),
        (lambda: network().compile("adam", "mes"), "loss 'mes': did you mean 'mse'"),
        (lambda: network().compile("adam", "mse", metrics=["mes"]), "metric 'mes'.* 'mse'"),
        (lambda: network().compile("adam", "mse", metrics=["acuracy"]), "metric.*'accuracy'"),
        (lambda: layers.Dense(3, "sigmoyd"), "activation 'sigmoyd': did you mean 'sigmoid'"),
        (lambda: layers.Dense(3, kernel_initializer="glorot_unifrom"), "'glorot_uniform'"),
        (lambda: lamina.Sequential(backend="cuppy"), "backend 'cuppy': did you mean 'cupy'"),
        (lambda: lamina.use("nupmy"), "backend 'nupmy': did you mean 'numpy'"),
    ],
)
def test_an_unknown_name_brings_the_nearest_right_one(make, match):
    with pytest.raises(ValueError, match=f"unknown {match}" if "did" in match else match):
        make()


@pytest.mark.parametrize(
    "make, error, match",
    [
        (lambda m: m.fit(X, Y, nb_epoch=5), TypeError, "fit .*'nb_epoch': it is called epochs"),
        (lambda m: m.fit(X, Y, epoch=5), TypeError, "'epoch': did you mean 'epochs'"),
        (lambda m: m.fit(X, Y, samples_per_epoch=5), TypeError, "steps_per_epoch today"),
        (
            lambda m: m.evaluate(X, Y, batchsize=5),
            TypeError,
            "'batchsize': did you mean 'batch_size'",
        ),
        (lambda m: m.predict(X, batchsize=5), TypeError, "did you mean 'batch_size'"),
        (lambda m: m.compile("sgd", "mse", metric=["mae"]), TypeError, "did you mean 'metrics'"),
        (lambda m: layers.Dense(3, init="uniform"), TypeError, "kernel_initializer today"),
        (lambda m: layers.Dense(3, W_regularizer="l2"), TypeError, "kernel_regularizer today"),
        (lambda m: layers.Dense(output_dim=3, units=3), TypeError, "units today"),
        (lambda m: layers.Dropout(p=0.3, rate=0.3), TypeError, "rate today"),
        (lambda m: lamina.optimizers.SGD(lr=0.1), TypeError, "learning_rate"),
        (lambda m: lamina.optimizers.Adam(lr=0.1, decay=0.1), TypeError, "learning_rate|decay"),
        (lambda m: m.predict_classes(X), AttributeError, r"use predict\(x\).argmax\(axis=-1\)"),
        (lambda m: m.predict_proba(X), AttributeError, r"use predict\(x\)"),
        (lambda m: m.fit_generator(iter([])), AttributeError, r"pass the generator to fit\(x\)"),
        (lambda m: m.evaluate_generator(iter([])), AttributeError, "evaluate"),
    ],
)
def test_an_old_spelling_is_told_todays(make, error, match):
    model = network()
    with refused(error, match, model, X, Y):
        make(model)


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_compile_comes_first(method):
    model = lamina.Sequential([layers.Dense(1, input_dim=8)])
    with pytest.raises(RuntimeError, match=rf"{method} needs .*: call compile\(optimizer, loss\)"):
        call(model, method, X, Y)
    model.compile("adam")
    if method in ("fit", "train_on_batch"):
        with pytest.raises(RuntimeError, match="needs a loss: name one in compile"):
            call(model, method, X, Y)
    assert model.predict(X, verbose=0).shape == (12, 1)


def test_a_loss_that_stays_a_list_of_numbers_is_refused_by_compile():
    with pytest.raises(ValueError, match='reduction="sum_over_batch_size"'):
        network().compile("adam", lamina.losses.MeanSquaredError(reduction=None))


# ---- devices, memory, divergence -----------------------------------------------------------------


def test_cupy_without_a_device(monkeypatch):
    import importlib.util

    if importlib.util.find_spec("cupy"):
        import cupy

        if cupy.is_available():
            pytest.skip("a CUDA device answers")
    for identifier in ("cupy", "cupy:1"):
        with pytest.raises(RuntimeError, match=r"python -m lamina .*or use backend='numpy'"):
            lamina.Sequential([layers.Dense(1)], backend=identifier)
    model = network()
    with refused(RuntimeError, "backend 'cupy' needs", model):
        model.to("cupy")
    assert str(lamina.Sequential([layers.Dense(1)], backend="auto").backend) == "numpy"


def test_layers_on_different_devices():
    pytest.importorskip("array_api_strict")
    here = layers.Dense(3)
    here(X)

    class Mixed(lamina.Model):
        def __init__(self):
            super().__init__(backend="array_api_strict:device1")
            self.first, self.here = layers.Dense(8), here

        def call(self, inputs):
            return self.here(self.first(inputs))

    model = Mixed()
    model.compile("adam", "mse")
    with pytest.raises(
        ValueError, match=r"Dense .* was built on numpy, .* array_api_strict:device1"
    ):
        model.fit(X, np.zeros((12, 3)), verbose=0)
    assert not model.built


class Hungry(layers.Layer):
    """Runs out of memory above so many rows."""

    def __init__(self, rows, in_use=True):
        super().__init__(name="hungry")
        self.rows, self.in_use = rows, in_use

    def call(self, inputs, training=False):
        if inputs.shape[0] > self.rows and (training or self.in_use):
            raise MemoryError("Unable to allocate 12.0 GiB")
        return inputs


@pytest.mark.parametrize("batch, fits", [(12, 3), (4, 2)])
def test_a_batch_too_large_for_the_memory(batch, fits):
    model = lamina.Sequential([layers.Dense(4, input_dim=8), Hungry(3), layers.Dense(1)])
    model.compile("adam", "mse")
    match = rf'memory ran out in Hungry "hungry" .*12.0 GiB.*: a batch_size of {fits} fits'
    for run in (
        lambda: model.fit(X, Y, batch_size=batch, shuffle=False, verbose=0),
        lambda: model.train_on_batch(X[:batch], Y[:batch]),
        lambda: model.evaluate(X, Y, batch_size=batch, verbose=0),
        lambda: model.predict(X, batch_size=batch, verbose=0),
    ):
        with refused(MemoryError, match, model, X, Y):
            run()
    model.fit(X, Y, batch_size=fits, verbose=0)
    hopeless = lamina.Sequential([layers.Dense(4, input_dim=8), Hungry(0, in_use=False)])
    hopeless.compile("adam", "mse")
    with refused(MemoryError, "not even one sample fits, so make the model smaller", hopeless):
        hopeless.fit(X, np.zeros((12, 4)), verbose=0)


def test_memory_that_runs_out_on_the_way_back_names_the_layer(monkeypatch):
    from lamina.ops._op import KERNELS

    model = lamina.Sequential(
        [layers.Dense(4, input_dim=8, name="first"), layers.Dropout(0.1), layers.Dense(1)]
    )
    model.compile("adam", "mse")
    fast = KERNELS["dense"]["numpy"]

    def starving(xp, needs, x, kernel, bias, **options):
        out, pullback = fast(xp, needs, x, kernel, bias, **options)

        def pull(g):
            if g.shape[0] > 5 and kernel.shape == (8, 4):
                raise MemoryError("Unable to allocate 3 GiB")
            return pullback(g)

        return out, pull

    monkeypatch.setitem(KERNELS["dense"], "numpy", starving)
    match = r'derivative of Dense "first" \(Unable to allocate 3 GiB\): a batch_size of 3 fits'
    with refused(MemoryError, match, model, X, Y):
        model.fit(X, Y, verbose=0)


def test_what_a_failed_step_held_is_let_go():
    import gc
    import weakref

    alive = []

    class Eats(layers.Layer):
        def call(self, inputs):
            big = np.ones(1000)
            alive.append(weakref.ref(big))
            if inputs.shape[0] > 3:
                assert all(ref() is None for ref in alive[:-1]), "memory of the try before is held"
                raise MemoryError("no")
            return inputs + float(big[0])

    model = lamina.Sequential([layers.Dense(4, input_dim=8), layers.Dense(1)])
    model.add(Eats())
    model.compile("adam", "mse")
    alive.clear()
    gc.disable()
    try:
        with pytest.raises(MemoryError, match="a batch_size of 3 fits"):
            model.train_on_batch(X, Y)
    finally:
        gc.enable()


def test_a_model_that_diverged():
    model = lamina.Sequential([layers.Dense(1, input_dim=8)])
    model.compile(lamina.optimizers.SGD(1e25), "mse")
    with np.errstate(all="ignore"), pytest.raises(RuntimeError, match="loss"):
        model.fit(X, Y, batch_size=4, epochs=3, verbose=0,
                  callbacks=[callbacks.TerminateOnNaN(raise_error=True)])  # fmt: skip
    with np.errstate(all="ignore"):
        history = model.fit(
            X, Y, batch_size=4, epochs=3, verbose=0, callbacks=[callbacks.TerminateOnNaN()]
        )
    assert len(history.epoch) <= 1


def test_a_diverged_loss_is_told_of_once():
    model = lamina.Sequential([layers.Dense(1, input_dim=8)])
    model.compile(lamina.optimizers.SGD(1e25), "mse")
    with pytest.warns(UserWarning, match="loss became (nan|inf).* lower the learning rate") as told:
        model.fit(X, Y, batch_size=4, epochs=3, verbose=0)
    assert len(told) == 1


@pytest.mark.parametrize(
    ("units", "activation", "loss", "remedy"),
    [
        (1, "softmax", "binary_crossentropy", 'always 1.* use activation="sigmoid"'),
        (3, None, "sparse_categorical_crossentropy", 'activation="softmax", or .*from_logits'),
        (1, "relu", "binary_crossentropy", 'activation="sigmoid", or .*from_logits'),
        (1, "sigmoid", lamina.losses.BinaryCrossentropy(from_logits=True), "already: leave out"),
        (3, "softmax", lamina.losses.SparseCategoricalCrossentropy(True), "already: leave out"),
    ],
)
def test_an_output_that_does_not_fit_the_loss_is_warned_of(units, activation, loss, remedy):
    model = lamina.Sequential([layers.Dense(units, activation, input_dim=8)])
    model.compile("sgd", loss)
    labels = np.zeros((len(X), 1)) if units == 1 else np.zeros(len(X), int)
    with pytest.warns(UserWarning, match=remedy):
        model.fit(X, labels, verbose=0)


@pytest.mark.parametrize(
    "last, warned",
    [
        ([layers.Conv2D(1, 1, activation="softmax")], "always 1"),
        ([layers.Conv2D(1, 1), layers.Softmax()], "always 1"),
        ([layers.Conv2D(1, 1), layers.Permute((3, 1, 2)), layers.Softmax(1)], "always 1"),
        ([layers.Conv2D(1, 1)], 'takes probabilities.*activation="sigmoid"'),
        ([layers.Conv2D(1, 1, activation="sigmoid")], None),
        ([layers.Conv2D(1, 1), layers.Softmax((1, 2, 3))], None),
    ],
)
def test_outputs_of_convolutions_and_softmaxes_are_looked_at_too(last, warned):
    model = lamina.Sequential([layers.Input((4, 4, 1)), *map(copy.deepcopy, last)])
    model.compile("sgd", "binary_crossentropy")
    x = np.ones((2, 4, 4, 1), "float32")
    y = np.zeros((2, *model.output_shape[1:]))
    with pytest.warns(UserWarning, match=warned) if warned else contextlib.nullcontext():
        model.fit(x, y, verbose=0)


def test_layers_are_called_on_arrays_and_return_one():
    with pytest.raises(TypeError, match="got the layer Input .*Sequential"):
        layers.Dense(3)(layers.Input((4,)))

    class Forgets(layers.Layer):
        def call(self, inputs):
            inputs * 2

    with pytest.raises(TypeError, match='Forgets "forgets.*": its call gave None'):
        Forgets()(np.ones((2, 3), "float32"))


class Mismatched(lamina.Model):
    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(4, 3)

    def call(self, inputs):
        return inputs + self.conv(inputs)


@pytest.mark.parametrize("outer", [lambda model: model, lambda model: lamina.Sequential([model])])
def test_an_error_in_the_call_of_a_model_of_ones_own_names_it_once(outer):
    model = outer(Mismatched())
    model.compile("sgd", "mse")
    x = np.ones((2, 8, 8, 3), "float32")
    with pytest.raises(ValueError) as caught:
        model.fit(x, x, verbose=0)
    assert len(caught.value.__notes__) == 1
    assert 'This was in Mismatched "mis' in caught.value.__notes__[0]
    assert "inputs of shape (1, 8, 8, 3)" in caught.value.__notes__[0]
    assert not model.built


class MadeAnew(layers.Layer):
    """A layer that loses the layers it is made of."""

    def call(self, inputs):
        return lamina.Sequential([layers.Dense(3, name="lost")])(inputs)


class MadeAnewModel(lamina.Model):
    def call(self, inputs):
        return layers.Dropout(0.5)(layers.Dense(1, name="lost")(inputs))


def fitted(model):
    model.compile("sgd", "mse")
    return model.fit(X, Y, verbose=0)


@pytest.mark.parametrize(
    "use, inner, outer",
    [
        (lambda: MadeAnewModel()(X), "Dense", "MadeAnewModel"),
        (lambda: MadeAnew()(X), "Sequential", "MadeAnew"),
        (lambda: lamina.Sequential([layers.Input((8,)), MadeAnew()]), "Sequential", "MadeAnew"),
        (lambda: fitted(lamina.Sequential([MadeAnew(), layers.Dense(1)])), "Seq", "MadeAnew"),
        (lambda: layers.Activation(lambda x: layers.Dense(2)(x))(X), "Dense", "Activation"),
    ],
)
def test_a_layer_made_in_a_call_is_warned_of_where_it_is_lost(use, inner, outer):
    match = f'{inner}.*" was built in the call of {outer} .*make it in __init__ and keep it'
    with pytest.warns(UserWarning, match=match) as told:
        use()
    assert [w.filename for w in told] == [__file__]


class MadeLate(layers.Layer):
    """Layers that are there only from the first call on, but held."""

    late = None

    def build(self, input_shape):
        self.inner = [layers.Dense(4)]
        self.inner[0](np.ones((1, *input_shape[1:]), "float32"))

    def call(self, inputs):
        out = self.inner[0](inputs)
        if self.late is None:
            new = layers.Dense(3)
            new(out)
            self.late = {"deep": (new,)}
        flat = layers.Flatten()(out)  # has no weights
        return self.late["deep"][0](flat) + PARTNER["layer"].shared(out)


PARTNER = {}


class Shares(lamina.Model):
    """A model whose inner layer calls one that the model holds."""

    def __init__(self):
        super().__init__()
        self.shared, self.inner = layers.Dense(3), MadeLate()
        PARTNER["layer"] = self

    def call(self, inputs):
        return self.inner(inputs)


def test_layers_that_are_held_in_the_end_are_not_warned_of():
    assert len(Shares().compute_output_shape((None, 8))) == 2
    model = Shares()
    assert model(X).shape == (12, 3)
    assert len(model.weights) == 6
    with lamina.debug_nans():
        assert Shares()(X).shape == (12, 3)


def test_whole_numbers_become_floats_in_a_layer_called_by_itself():
    out = layers.Dense(2)(np.ones((2, 3), int))
    assert out.dtype == np.float32


class Log(layers.Layer):
    def call(self, inputs):
        return lamina.xp.log(inputs)


class Root(layers.Layer):
    """0 at 0, with an infinite slope there."""

    def call(self, inputs):
        return lamina.xp.sqrt(inputs)


def test_debug_nans_names_the_function_and_the_layer_forward():
    model = lamina.Sequential(
        [layers.Dense(4, "relu", input_dim=8), Log(name="logs"), layers.Dense(1)]
    )
    model.compile("adam", "mse")
    match = r'log of layer "logs" gave .* from float32 \(12, 4\) in \['
    with np.errstate(all="ignore"), lamina.debug_nans():
        with refused(FloatingPointError, match, model, X, Y):
            model.train_on_batch(X, Y)
        with refused(FloatingPointError, match, model, X, Y):
            model.predict(X, verbose=0)


def test_debug_nans_names_the_function_and_the_layer_backward():
    model = lamina.Sequential(
        [layers.Dense(4, "relu", input_dim=8), Root(name="roots"), layers.Dense(1)]
    )
    model.compile("adam", "mse")
    match = r'gradient of sqrt of layer "roots" is .*not finite'
    quiet, debugging = np.errstate(all="ignore"), lamina.debug_nans()
    with quiet, debugging, refused(FloatingPointError, match, model, X, Y):
        model.fit(X, Y, verbose=0)


def test_debug_nans_names_a_layer_that_is_one_kernel():
    model = lamina.Sequential([layers.Dense(4, input_dim=8, name="steep"), layers.Dense(1)])
    model.compile("adam", "mse")
    weights = model.get_weights()
    weights[0][:] = 1e38
    model.set_weights(weights)
    quiet, debugging = np.errstate(all="ignore"), lamina.debug_nans()
    with quiet, debugging, refused(FloatingPointError, 'dense of layer "steep" gave', model, X, Y):
        model.fit(X * 1e3, Y, verbose=0)
    with np.errstate(all="ignore"):
        assert not np.isfinite(model.predict(X * 1e3, verbose=0)).all()


def test_other_features_than_declared_are_told_with_a_remedy():
    model = lamina.Sequential([layers.Input((8,), name="measured"), layers.Dense(1)])
    model.compile("sgd", "mse")
    told = r'"measured" expects .* shape \(8,\), got \(10, 7\): .*declare Input\(\(7,\)\)'
    with pytest.raises(ValueError, match=told):
        model.fit(np.ones((10, 7)), np.ones((10, 1)), verbose=0)
