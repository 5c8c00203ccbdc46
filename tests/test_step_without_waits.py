"""A step of training waits for no device, with any network, optimizer, loss and metric of fit.

It runs on arrays that stand for those of a GPU, without indexing by masks and without functions
whose result's shape depends on values: both would wait.
"""

import array_api_strict
import numpy as np
import pytest

import lamina
from lamina import applications, layers
from lamina.backend import forbid_sync

DEVICE = "array_api_strict:device1"
STEPS, BATCH = 3, 4


@pytest.fixture(autouse=True)
def fixed_shapes():
    with array_api_strict.ArrayAPIStrictFlags(boolean_indexing=False, data_dependent_shapes=False):
        yield


def xor():
    return (
        [layers.Dense(4, "sigmoid", input_shape=(2,)), layers.Dense(1, "sigmoid")],
        "mse",
        ["mae"],
    )


def digits():
    ends = [layers.Dense(64, "relu", input_shape=(64,)), layers.Dense(10, "softmax")]
    return ends, "sparse_categorical_crossentropy", ["accuracy"]


def mlp():
    hidden = [layers.Dense(16, "relu", input_shape=(20,)), layers.Dropout(0.5)]
    hidden += [layers.Dense(16, "gelu", kernel_regularizer="l2"), layers.Dense(10)]
    loss = lamina.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=3)
    return hidden, loss, ["accuracy"]


def cnn():
    found = [layers.Conv2D(4, 3, activation="relu", input_shape=(12, 12, 1))]
    found += [
        layers.MaxPooling2D(),
        layers.Conv2D(8, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
    ]
    return [*found, layers.Dense(10, "softmax")], "categorical_crossentropy", ["accuracy"]


def cnn_normalized():
    found = [layers.RandomFlip(input_shape=(8, 8, 3)), layers.Conv2D(4, 3, use_bias=False)]
    found += [layers.BatchNormalization(), layers.Activation("relu"), layers.SpatialDropout2D(0.2)]
    found += [layers.SeparableConv2D(4, 3), layers.LayerNormalization(), layers.AveragePooling2D(2)]
    found += [layers.GlobalAveragePooling2D(), layers.GaussianNoise(0.1), layers.Dense(1)]
    loss = lamina.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1)
    return found, loss, ["accuracy", "auc", "f1_score"]


def resnet():
    found = [layers.Input((6, 6, 3)), applications.ResidualBlock(4), applications.ResidualBlock(4)]
    found += [layers.GlobalAveragePooling2D(), layers.Dense(10, "softmax")]
    return found, "sparse_categorical_crossentropy", ["sparse_top_k_categorical_accuracy"]


def compiled(make, optimizer="adam", **how):
    """(a model of ``make`` on the device, inputs, targets)."""
    lamina.utils.set_random_seed(0)
    stack, loss, figures = make()
    model = lamina.Sequential(stack, backend=DEVICE)
    model.compile(optimizer, loss, metrics=figures, **how)
    rng = np.random.default_rng(0)
    rows = STEPS * BATCH
    x = rng.normal(size=(rows, *model.input_shape[1:])).astype("float32")
    outputs = model.output_shape[-1]
    if "sparse" in model.loss.name:
        return model, x, rng.integers(0, outputs, rows)
    if outputs == 1:
        return model, x, rng.integers(0, 2, (rows, 1)).astype("float32")
    return model, x, np.eye(outputs, dtype="float32")[rng.integers(0, outputs, rows)]


def assert_it_trains_without_waiting(model, x, y, **how):
    before = model.get_weights()
    with forbid_sync() as guard:
        history = model.fit(x, y, BATCH, epochs=2, verbose=0, **how).history
    assert len(guard.allowed) == 2 * len(history), guard.allowed
    assert np.isfinite(history["loss"]).all()
    after = model.get_weights()
    assert np.mean([(a != b).any() for a, b in zip(before, after, strict=True)]) > 0.5


NETWORKS = [xor, digits, mlp, cnn, cnn_normalized, resnet]


@pytest.mark.parametrize("make", NETWORKS)
def test_no_network_waits(make):
    assert_it_trains_without_waiting(*compiled(make))


OPTIMIZERS = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Nadam", "RMSprop"]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_no_optimizer_waits(name):
    assert_it_trains_without_waiting(*compiled(xor, getattr(lamina.optimizers, name)(0.1)))


def test_no_optimizer_is_left_out():
    kinds = {name for name in lamina.optimizers.__all__ if name[0].isupper()}
    assert kinds - {"Optimizer", "LossScaleOptimizer"} == set(OPTIMIZERS)


@pytest.mark.parametrize("scale", [2.0**15, 2.0**127])  # steps that are done, and first some left
def test_scaling_the_loss_does_not_wait(scale):
    scaled = lamina.optimizers.LossScaleOptimizer(lamina.optimizers.SGD(0.1), scale)
    assert_it_trains_without_waiting(*compiled(xor, scaled))


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: lamina.optimizers.Adam(0.1, clipnorm=0.1, amsgrad=True, weight_decay=0.1),
        lambda: lamina.optimizers.Adam(0.1, global_clipnorm=0.1, use_ema=True),
        lambda: lamina.optimizers.RMSprop(0.1, clipvalue=0.1, centered=True, momentum=0.5),
        lambda: lamina.optimizers.SGD(lambda step: 0.1 / (1 + step), 0.9, nesterov=True),
        lambda: lamina.optimizers.SGD(0.1, gradient_accumulation_steps=2),
    ],
    ids=["decay", "average", "centered", "schedule", "accumulation"],
)
def test_no_option_of_an_optimizer_waits(optimizer):
    assert_it_trains_without_waiting(*compiled(xor, optimizer()))


def test_weights_of_samples_and_classes_do_not_wait():
    model, x, y = compiled(digits)
    assert_it_trains_without_waiting(model, x, y, sample_weight=np.linspace(0, 1, len(x)))
    assert_it_trains_without_waiting(model, x, y, class_weight={1: 2.0, 3: 0.5})


@pytest.mark.parametrize("make", NETWORKS)
def test_a_step_alone_reads_its_figures_and_nothing_else(make):
    model, x, y = compiled(make)
    model.train_on_batch(x[:BATCH], y[:BATCH])
    with forbid_sync() as guard:
        figures = model.train_on_batch(x[:BATCH], y[:BATCH])
        model.test_on_batch(x[:BATCH], y[:BATCH])
    assert len(guard.allowed) == 2 * len(figures)
    with forbid_sync() as guard:
        model.predict(x, BATCH, verbose=0)
    assert len(guard.allowed) == STEPS  # one for the outputs of each batch


def test_batches_that_lie_on_the_device_are_looked_at_there_once_each():
    model, x, y = compiled(digits)
    x, y = (lamina.backend.get(DEVICE).asarray(a) for a in (x, y))
    with forbid_sync() as guard:
        model.fit(x, y, BATCH, epochs=3, verbose=0)
    assert len(guard.allowed) == 2 + 3 * 2  # inputs and labels before the first step
