"""Sequential: stacking, shapes, names, summaries."""

import copy
import io
import json
import pickle
import sys

import numpy as np
import pytest

import lamina
from lamina import layers

X = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")


def test_layers_come_one_after_the_other(backend):
    model = lamina.Sequential(
        [layers.Dense(4, "relu"), layers.Dense(2)], backend=backend.backend, name="two"
    )
    out = model(backend.asarray(X))
    (k1, b1, k2, b2) = model.get_weights()
    expected = np.maximum(X @ k1 + b1, 0) @ k2 + b2
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, rtol=1e-5, atol=1e-6)
    assert all(backend.backend.owns(p.data) for p in model.weights)
    assert model.name == "two"


def test_shapes_are_known_with_the_first_layer_or_the_first_batch():
    declared = lamina.Sequential([layers.Input((3,)), layers.Dense(4)])
    assert declared.built
    assert (declared.input_shape, declared.output_shape) == ((None, 3), (None, 4))
    lazy = lamina.Sequential([layers.Dense(4)])
    assert not lazy.built
    assert (lazy.input_shape, lazy.output_shape) == (None, None)
    lazy.predict(X, verbose=0)
    assert (lazy.input_shape, lazy.output_shape) == ((None, 3), (None, 4))


def test_layers_can_be_added_and_taken_off():
    model = lamina.Sequential()
    model.add(layers.Input((3,)))
    assert not model.built
    model.add(layers.Dense(4))
    model.add(layers.Dense(2, name="top"))
    assert model.output_shape == (None, 2)
    assert len(model.weights) == 4
    assert model.pop().name == "top"
    assert model.output_shape == (None, 4)
    assert len(model.weights) == 2
    model.add(layers.Dense(1))
    assert model.predict(X, verbose=0).shape == (6, 1)
    model.pop(), model.pop()
    assert not model.built
    assert model.layers == []
    model.add(layers.Dense(5))
    assert model.predict(X, verbose=0).shape == (6, 5)
    for _ in range(2):
        model.pop()
    with pytest.raises(ValueError, match="no layer to take off"):
        model.pop()


def test_a_layer_added_to_a_trained_model_is_trained_too():
    model = lamina.Sequential([layers.Input((3,)), layers.Dense(4)])
    model.compile(lamina.optimizers.SGD(0.1, momentum=0.9), "mse")
    model.fit(X, np.ones((6, 4)), verbose=0)
    model.add(layers.Dense(1))
    before = model.get_weights()
    model.fit(X, np.ones((6, 1)), verbose=0)
    changed = [(a != b).any() for a, b in zip(before, model.get_weights(), strict=True)]
    assert all(changed)


@pytest.mark.parametrize(
    "add, error, match",
    [
        (layers.Dense, TypeError, r"made of layers.*write Dense\(...\)"),
        ("dense", TypeError, "made of layers, got 'dense'"),
        (layers.Dense(2, name="first"), ValueError, 'are named "first"'),
        (layers.Input((3,)), ValueError, "must come first"),
        (layers.Reshape((5,)), ValueError, 'Reshape "reshape.*target'),
    ],
)
def test_what_cannot_be_added_leaves_the_model_as_it_was(add, error, match):
    model = lamina.Sequential([layers.Input((3,)), layers.Dense(4, name="first")])
    with pytest.raises(error, match=match):
        model.add(add)
    assert [layer.name for layer in model.layers] == ["first"]
    assert model.output_shape == (None, 4)
    assert model.predict(X, verbose=0).shape == (6, 4)


@pytest.mark.parametrize("given", [(layers.Dense(3),), (layers.Dense(3), layers.Dense(1)), (3,)])
def test_layers_that_are_no_list(given):
    with pytest.raises(TypeError, match=r"pass a list of layers: Sequential\(\[\.\.\.\]\), got"):
        lamina.Sequential(*given)


def test_a_layer_is_stacked_once():
    layer = layers.Dense(3)
    with pytest.raises(ValueError, match="is in Sequential .* already"):
        lamina.Sequential([layer, layer])


def test_an_empty_model_says_so():
    with pytest.raises(ValueError, match="has no layers: add one"):
        lamina.Sequential().predict(X)


def test_axes_of_any_length():
    model = lamina.Sequential([layers.Input((None, 3)), layers.Dense(4)])
    assert model.output_shape == (None, None, 4)
    for length in (1, 5, 40):
        assert model.predict(np.zeros((2, length, 3)), verbose=0).shape == (2, length, 4)
    with pytest.raises(ValueError, match="number of features"):
        lamina.Sequential([layers.Input((None, 3)), layers.Flatten(), layers.Dense(4)])


def test_models_nest():
    inner = lamina.Sequential([layers.Dense(4, "tanh"), layers.Dropout(0.5)], name="inner")
    model = lamina.Sequential([layers.Input((3,)), inner, layers.Dense(1)])
    model.compile("sgd", "mse")
    before = inner.get_weights()
    model.fit(X, np.ones((6, 1)), verbose=0)
    assert (inner.get_weights()[0] != before[0]).any()
    assert len(model.weights) == 4
    inner.trainable = False
    frozen = inner.get_weights()
    model.fit(X, np.ones((6, 1)), verbose=0)
    np.testing.assert_array_equal(inner.get_weights()[0], frozen[0])


def test_get_layer():
    model = lamina.Sequential([layers.Dense(4, name="hidden"), layers.Dense(1, name="out")])
    assert model.get_layer("out") is model.layers[1]
    assert model.get_layer(index=-1) is model.layers[1]
    with pytest.raises(ValueError, match="'hiden': did you mean 'hidden'"):
        model.get_layer("hiden")
    with pytest.raises(ValueError, match="2 layers, got index 2"):
        model.get_layer(index=2)
    with pytest.raises(ValueError, match="either a name or an index"):
        model.get_layer()


def test_names_are_given_in_order():
    names = [layers.Dropout(0.1).name for _ in range(3)]
    base, number = names[0].rpartition("_")[::2] if names[0] != "dropout" else ("dropout", 0)
    assert names[1:] == [f"{base}_{int(number) + 1}", f"{base}_{int(number) + 2}"]
    assert layers.Dropout(0.1, name="mine").name == "mine"


SUMMARY = """\
Model: "net"
┏━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━┓
┃ Layer (type)      ┃ Output Shape ┃ Param # ┃
┡━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━┩
│ scale (Rescaling) │ (None, 2, 4) │       0 │
│ flat (Flatten)    │ (None, 8)    │       0 │
│ hidden (Dense)    │ (None, 1000) │   9,000 │
│ out (Dense)       │ (None, 1)    │   1,001 │
└───────────────────┴──────────────┴─────────┘
 Total params: 10,001 (39.07 KB)
 Trainable params: 1,001 (3.91 KB)
 Non-trainable params: 9,000 (35.16 KB)
"""


def test_the_summary(capsys):
    model = lamina.Sequential(
        [
            layers.Input((2, 4)),
            layers.Rescaling(0.5, name="scale"),
            layers.Flatten(name="flat"),
            layers.Dense(1000, name="hidden", trainable=False),
            layers.Dense(1, name="out"),
        ],
        name="net",
    )
    model.summary()
    assert capsys.readouterr().out == SUMMARY
    lines = []
    model.summary(print_fn=lines.append, show_trainable=True, layer_range=("flat", "hidden"))
    assert "Trainable" in lines[2]
    assert [line.split()[1] for line in lines[4:6]] == ["flat", "hidden"]
    assert lines[5].split()[-2] == "N"
    with pytest.raises(ValueError, match="did you mean 'hidden'"):
        model.summary(layer_range=("flat", "hiden"))


def test_the_summary_where_the_encoding_has_no_lines(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", newline="\n"))
    lamina.Sequential([layers.Input((2,)), layers.Dense(1, name="out")], name="net").summary()
    sys.stdout.flush()
    lines = raw.getvalue().decode("ascii").splitlines()
    assert lines[1] == lines[3] == "+==============+==============+=========+"
    assert lines[4] == "| out (Dense)  | (None, 1)    |       3 |"
    assert lines[5] == "+--------------+--------------+---------+"


def test_the_summary_of_what_is_not_built_yet_or_nested():
    lines = []
    inner = lamina.Sequential([layers.Dense(4, name="deep")], name="inner")
    model = lamina.Sequential([inner])
    model.summary(print_fn=lines.append, expand_nested=True)
    assert "0 (unbuilt)" in lines[4]
    assert "?" in lines[4]
    model.predict(X, verbose=0)
    lines.clear()
    model.summary(print_fn=lines.append, expand_nested=True, line_length=80)
    assert ["deep" in line and "(None, 4)" in line for line in lines[4:6]] == [False, True]
    assert len(lines[4]) == 80


def test_a_frozen_model_freezes_what_is_added():
    model = lamina.Sequential([layers.Dense(2, input_dim=3)], trainable=False)
    model.add(layers.Dense(1))
    assert model.trainable_weights == []
    with pytest.raises(ValueError, match="no trainable weights: set trainable=True"):
        model.compile("sgd", "mse")
        model.fit(X, np.ones((6, 1)), verbose=0)
    model.trainable = True
    assert len(model.trainable_weights) == 4


def test_a_layer_of_another_backend_is_not_stacked():
    strict = "array_api_strict:device1"
    pytest.importorskip("array_api_strict")
    layer = layers.Dense(2)
    layer(X)
    model = lamina.Sequential([layers.Dense(3, input_dim=3)], backend=strict)
    with pytest.raises(ValueError, match=f"was built on numpy, .* is on {strict}"):
        model.add(layer)
    with pytest.raises(ValueError, match="was built on numpy"):
        lamina.Sequential([layer], backend=strict).predict(X)
    assert len(model.layers) == 1


def test_dtype_is_that_of_layers_that_name_none():
    dense = layers.Dense(2, dtype="float32")
    model = lamina.Sequential([layers.Input((3,)), layers.Dense(4), dense], dtype="float64")
    assert [str(w.dtype) for w in model.get_weights()] == ["float64"] * 2 + ["float32"] * 2


class Twice(layers.Layer):
    def call(self, inputs):
        return inputs * 2


def test_a_config_has_the_layers_and_makes_an_equal_model():
    inside = lamina.Sequential([layers.Dense(4, "relu"), Twice()], name="inside")
    frozen = layers.Dense(3, trainable=False, kernel_regularizer="l2")
    spectral = layers.SpectralNormalization(layers.Dense(2))
    model = lamina.Sequential([layers.Input((3,)), inside, frozen, spectral], name="whole")
    config = json.loads(json.dumps(model.get_config()))
    kinds = [one["class_name"] for one in config["layers"]]
    assert kinds == ["Input", "Sequential", "Dense", "SpectralNormalization"]
    assert config["build_input_shape"] == [None, 3]
    again = lamina.Sequential.from_config(config, {"Twice": Twice})
    assert again.name == "whole"
    assert [p.trainable for p in again.weights] == [p.trainable for p in model.weights]
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert json.loads(json.dumps(again.get_config())) == config
    match = r"no layer 'Twice': pass custom_objects=\{'Twice': Twice\}"
    with pytest.raises(ValueError, match=match):
        lamina.Sequential.from_config(config)


def test_a_config_of_layers_without_a_shape_or_with_one_of_the_first_batch():
    model = lamina.Sequential([layers.Dense(2)])
    assert not lamina.Sequential.from_config(model.get_config()).built
    model(X)
    again = lamina.Sequential.from_config(model.get_config())
    assert again.built
    assert again.input_shape == (None, 3)


@pytest.mark.parametrize("how", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_of_a_model_in_use_predicts_with_its_own_weights(how):
    model = lamina.Sequential([layers.Input((3,)), layers.Dense(2)])
    before = model.predict(X, verbose=0)
    twin = how(model)
    twin.set_weights([w + 1.0 for w in model.get_weights()])
    kernel, bias = twin.get_weights()
    np.testing.assert_allclose(twin.predict(X, verbose=0), X @ kernel + bias, rtol=1e-5)
    np.testing.assert_array_equal(model.predict(X, verbose=0), before)


def test_weights_begin_on_a_line_of_the_cache_and_are_nobody_elses():
    """Small products whose second matrix begins elsewhere take up to a third longer."""
    model = lamina.Sequential([layers.Input((7,)), layers.Dense(5), layers.Dense(9)])
    given = [np.ones(w.shape, w.dtype) for w in model.get_weights()]
    starts = [w.data.ctypes.data % 64 for w in model.weights]
    model.set_weights(given)
    starts += [w.data.ctypes.data % 64 for w in model.weights]
    assert starts == [0] * 8
    for own, theirs in zip(model.weights, given, strict=True):
        theirs[...] = 2.0
        assert np.all(own.data == 1.0)
