"""The whole house in a few seconds: derivatives, a network that learns, the diagnosis."""

import math

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.backend import diagnose


def test_a_second_derivative():
    def slope(x):
        return lamina.grad(lamina.xp.tanh)(x)

    x = np.asarray(0.3)
    first, second = float(slope(x)), float(lamina.grad(slope)(x))
    assert math.isclose(first, 1 - math.tanh(0.3) ** 2, rel_tol=1e-12)
    assert math.isclose(second, -2 * math.tanh(0.3) * first, rel_tol=1e-12)


def test_xor_is_learned_and_predicted():
    lamina.utils.set_random_seed(1)
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
    y = np.array([[0], [1], [1], [0]], "float32")
    model = lamina.Sequential(
        [layers.Input((2,)), layers.Dense(8, "tanh"), layers.Dense(1, "sigmoid")]
    )
    model.compile(lamina.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, batch_size=4, epochs=300, verbose=0)
    assert history.history["accuracy"][-1] == 1
    np.testing.assert_array_equal(np.round(model.predict(x, verbose=0)), y)


def test_weights_go_to_a_file_and_to_another_backend(tmp_path):
    pytest.importorskip("array_api_strict")
    x = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)
    models = []
    for place in ("numpy", "array_api_strict:device1"):
        model = lamina.Sequential(
            [layers.Input((3,)), layers.Dense(4, "relu"), layers.Dense(1)], backend=place
        )
        model.compile("sgd", "mse")
        models.append(model)
    here, there = models
    here.save_weights(tmp_path / "weights.npz")
    there.load_weights(tmp_path / "weights.npz")
    for model in models:
        model.fit(x, x[:, :1], epochs=3, verbose=0)
    np.testing.assert_allclose(
        here.predict(x, verbose=0), there.predict(x, verbose=0), rtol=1e-5, atol=1e-6
    )


def test_digits_are_read():
    (x, y), (x_test, y_test) = lamina.datasets.digits.load_data()
    x, x_test = (part.reshape(len(part), 64) / np.float32(16) for part in (x, x_test))
    lamina.utils.set_random_seed(0)
    model = lamina.Sequential([layers.Dense(64, "relu"), layers.Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=10, verbose=0)
    assert model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"] > 0.9


def test_the_diagnosis_answers():
    facts = diagnose.report()
    assert facts["packages"]["lamina"] == lamina.__version__
    assert "numpy" in diagnose.text(facts)
