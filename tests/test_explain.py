"""Layer outputs, saliency and Grad-CAM: against finite differences, PyTorch and work by hand."""

import sys
import threading

import numpy as np
import pytest

import lamina
from lamina import applications, explain, layers, ops

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 8, 10, 3))


def network(backend=None, data_format="channels_last", end="softmax"):
    lamina.utils.set_random_seed(0)
    how = {"data_format": data_format}
    shape = (8, 10, 3) if data_format == "channels_last" else (3, 8, 10)
    return lamina.Sequential(
        [
            layers.Input(shape),
            layers.Conv2D(6, 3, activation="tanh", name="first", **how),
            layers.AveragePooling2D(2, name="pool", **how),
            layers.Conv2D(5, 2, activation="tanh", name="second", **how),
            layers.Flatten(),
            layers.Dense(1 if end == "sigmoid" else 4, end, name="end"),
        ],
        backend=backend,
        dtype="float64",
    )


def for_format(x, data_format):
    return x if data_format == "channels_last" else np.moveaxis(x, -1, 1)


def logits(model, x):
    """The logits by hand: the last layer's inputs, times its kernel, plus its bias."""
    inputs = explain.layer_outputs(model, x, model.layers[-2])
    kernel, bias = model.layers[-1].get_weights()
    return next(iter(inputs.values())) @ kernel + bias


def slopes(function, x, step=1e-5):
    """The gradient of each row's number in that row, by central differences."""
    found = np.empty(x.shape)
    for place in np.ndindex(x.shape[1:]):
        high, low = x.copy(), x.copy()
        high[:, *place] += step
        low[:, *place] -= step
        found[:, *place] = (function(high) - function(low)) / (2 * step)
    return found


class TestLayerOutputs:
    def test_are_those_of_the_layers_run_one_by_one(self, backend):
        model = network(backend.backend)
        given = explain.layer_outputs(model, backend.asarray(X))
        assert list(given) == [layer.name for layer in model.layers]
        x = backend.asarray(X, "float64")
        for layer, out in zip(model.layers, given.values(), strict=True):
            x = layer(x)
            assert type(out) is np.ndarray
            np.testing.assert_allclose(out, x.numpy(), rtol=1e-12)

    def test_of_layers_within_layers(self):
        model = applications.ResNet20((8, 8, 3), filters=2)
        given = explain.layer_outputs(model, X[:, :, :8])
        block = model.layers[3]
        inside = [f"{block.name}/{layer.name}" for layer in block.layers_within()[1:]]
        # one relu of a block is used only once its body is through; a block ends after all of it
        assert set(inside) < set(given) and list(given).index(block.name) > max(
            list(given).index(path) for path in inside
        )
        deep = block.body[1]
        for chosen in (deep, deep.name, f"{block.name}/{deep.name}"):
            one = explain.layer_outputs(model, X[:, :, :8], chosen)
            assert list(one) == [f"{block.name}/{deep.name}"]
            np.testing.assert_array_equal(one[f"{block.name}/{deep.name}"], given[next(iter(one))])

    def test_chosen_in_the_order_they_are_asked_for(self):
        model = network()
        assert list(explain.layer_outputs(model, X, np.int64(1))) == ["pool"]
        given = explain.layer_outputs(model, X, ["second", 0, model.layers[1]])
        assert list(given) == ["second", "first", "pool"]
        assert [out.shape for out in given.values()] == [(3, 2, 3, 5), (3, 6, 8, 6), (3, 3, 4, 6)]

    def test_of_a_layer_used_twice_it_is_the_last(self):
        class Twice(lamina.Model):
            def __init__(self):
                super().__init__()
                self.same = layers.Dense(3, "tanh", name="same")

            def call(self, inputs):
                return self.same(self.same(inputs))

        model = Twice()
        x = RNG.normal(size=(2, 3)).astype("float32")
        out = model(x).numpy()
        np.testing.assert_array_equal(explain.layer_outputs(model, x)["same"], out)

    def test_paths_tell_layers_of_one_name_apart(self):
        inner = [
            lamina.Sequential([layers.Dense(2, name="same")], name=name) for name in ("a", "b")
        ]
        model = lamina.Sequential([layers.Input((3,)), *inner])
        with pytest.raises(ValueError, match="2 layers named 'same': .*a/same or b/same"):
            explain.layer_outputs(model, np.ones((1, 3)), "same")
        given = explain.layer_outputs(model, np.ones((1, 3)), "b/same")
        np.testing.assert_array_equal(given["b/same"], model(np.ones((1, 3), "float32")).numpy())

    @pytest.mark.parametrize(
        ("layer", "error", "match"),
        [
            ("frst", ValueError, "unknown layer of .*'frst': did you mean 'first'"),
            (9, ValueError, "has 5 layers, got index 9"),
            (layers.Dense(1), ValueError, "is no layer inside"),
            (1.5, TypeError, "its place or itself, got float"),
        ],
    )
    def test_wrong_layers(self, layer, error, match):
        with pytest.raises(error, match=match):
            explain.layer_outputs(network(), X, [layer])

    def test_a_layer_that_does_not_run(self):
        class Idle(lamina.Model):
            def __init__(self):
                super().__init__()
                self.used, self.idle = layers.Dense(2), layers.Dense(2, name="idle")

            def call(self, inputs):
                return self.used(inputs)

        model = Idle()
        model(np.ones((1, 3)))
        with pytest.raises(ValueError, match="did not run .*leave 'idle' out"):
            explain.layer_outputs(model, np.ones((1, 3)), "idle")

    def test_wrong_models_and_inputs(self):
        with pytest.raises(TypeError, match="a model is needed .*got Dense"):
            explain.layer_outputs(layers.Dense(2), X)
        with pytest.raises(ValueError, match="must know its input shape to be looked into"):
            explain.layer_outputs(lamina.Sequential([layers.Dense(2)]), X)
        with pytest.raises(ValueError, match=r"pass x\[None\]"):
            explain.layer_outputs(network(), X[0])


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
class TestSaliency:
    def test_is_the_slope_of_the_logit(self, backend, data_format):
        model = network(backend.backend, data_format)
        x = for_format(X, data_format)
        given = explain.saliency(model, backend.asarray(x), [2, 0, 1])
        assert type(given) is np.ndarray and given.shape == (3, 8, 10)
        wanted = np.asarray([2, 0, 1])
        host = network("numpy", data_format)
        found = slopes(lambda x: logits(host, x)[np.arange(3), wanted], x)
        axis = -1 if data_format == "channels_last" else 1
        np.testing.assert_allclose(given, np.abs(found).max(axis=axis), atol=1e-8)

    def test_one_sigmoid_speaks_for_both_classes(self, data_format):
        model = network(None, data_format, "sigmoid")
        x = for_format(X, data_format)
        found = slopes(lambda x: logits(model, x)[:, 0], x)
        axis = -1 if data_format == "channels_last" else 1
        for one in (0, 1):
            given = explain.saliency(model, x, one)
            np.testing.assert_allclose(given, np.abs(found).max(axis=axis), atol=1e-8)


def test_saliency_takes_the_predicted_class_where_none_is_given():
    model = network()
    predicted = model.predict(X, verbose=0).argmax(axis=1)
    assert len(set(predicted)) > 1
    np.testing.assert_array_equal(explain.saliency(model, X), explain.saliency(model, X, predicted))


ENDS = {
    "linear": lambda: [layers.Dense(4, name="end")],
    "softmax": lambda: [layers.Dense(4, "softmax", name="end")],
    "sigmoid": lambda: [layers.Dense(4, "sigmoid", name="end")],
    "activation": lambda: [layers.Dense(4, name="end"), layers.Activation("softmax")],
    "layer": lambda: [layers.Dense(4, name="end"), layers.Softmax()],
    "nested": lambda: [lamina.Sequential([layers.Dense(4, "softmax", name="end")])],
}


@pytest.mark.parametrize("end", ENDS)
def test_the_score_is_the_logit_however_the_model_ends(end):
    lamina.utils.set_random_seed(0)
    stack = [layers.Input((4, 5)), layers.Flatten(), layers.Dense(6, "tanh"), *ENDS[end]()]
    model = lamina.Sequential(stack, dtype="float64")
    x = RNG.normal(size=(2, 4, 5))
    first, last = model.layers[1].get_weights(), model.layers[2].get_weights()
    inner = np.tanh(x.reshape(2, 20) @ first[0] + first[1])
    found = (1 - inner**2) * last[0][:, 3] @ first[0].T
    given = explain.saliency(model, x, 3)
    np.testing.assert_allclose(given, np.abs(found).reshape(2, 4, 5), rtol=1e-10)


def test_a_softmax_within_a_call_of_ones_own_is_taken_as_it_is():
    class Own(lamina.Model):
        def __init__(self):
            super().__init__(dtype="float64")
            self.out = layers.Dense(3, dtype="float64")

        def call(self, inputs):
            return ops.softmax(self.out(inputs))

    model = Own()
    x = RNG.normal(size=(2, 5))
    model(x)
    found = slopes(lambda x: model(x).numpy()[:, 1], x)
    np.testing.assert_allclose(explain.saliency(model, x, 1), np.abs(found), atol=1e-9)


def cam_by_hand(maps, slopes, size):
    """Equations 1 and 2, then PyTorch's bilinear stretch, for maps with channels last."""
    torch = pytest.importorskip("torch")
    weights = slopes.mean(axis=(1, 2), keepdims=True)
    seen = np.maximum((weights * maps).sum(axis=-1), 0)
    stretched = torch.nn.functional.interpolate(
        torch.tensor(seen)[:, None], size=size, mode="bilinear", align_corners=False
    )
    return stretched[:, 0].numpy()


class TestGradCam:
    @pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
    def test_of_the_last_convolution_by_hand(self, backend, data_format):
        """Behind the maps the network is flat, so the slope at the maps is the dense kernel."""
        model = network(backend.backend, data_format)
        x = for_format(X, data_format)
        given = explain.grad_cam(model, backend.asarray(x), [1, 1, 3])
        maps = explain.layer_outputs(model, backend.asarray(x), "second")["second"]
        kernel = model.layers[-1].get_weights()[0]
        at = np.stack([kernel[:, one].reshape(maps.shape[1:]) for one in (1, 1, 3)])
        if data_format == "channels_first":
            maps, at = np.moveaxis(maps, 1, -1), np.moveaxis(at, 1, -1)
        assert type(given) is np.ndarray and (given > 0).any()
        np.testing.assert_allclose(given, cam_by_hand(maps, at, (8, 10)), atol=1e-12)

    def test_of_an_inner_layer_is_pytorchs_with_hooks(self):
        torch = pytest.importorskip("torch")
        model = network()
        w1, b1, w2, b2, w3, b3 = [torch.tensor(w) for w in model.get_weights()]
        F = torch.nn.functional
        kept = {}

        def forward(x):
            x = torch.tanh(F.conv2d(x, w1.permute(3, 2, 0, 1), b1))
            kept["first"] = x
            x = torch.tanh(F.conv2d(F.avg_pool2d(x, 2), w2.permute(3, 2, 0, 1), b2))
            return x.permute(0, 2, 3, 1).flatten(1) @ w3 + b3

        x = torch.tensor(X).permute(0, 3, 1, 2).requires_grad_()
        out = forward(x)
        kept["first"].register_hook(lambda g: kept.update(slopes=g))
        out[:, 2].sum().backward()
        maps, at = (kept[n].detach().permute(0, 2, 3, 1).numpy() for n in ("first", "slopes"))
        expected = cam_by_hand(maps, at, (8, 10))
        np.testing.assert_allclose(explain.grad_cam(model, X, 2, "first"), expected, atol=1e-12)
        saliency = x.grad.abs().amax(1).numpy()
        np.testing.assert_allclose(explain.saliency(model, X, 2), saliency, atol=1e-12)

    def test_class_0_of_one_output_is_what_lowers_it(self):
        model = network(end="sigmoid")
        maps = explain.layer_outputs(model, X, "second")["second"]
        kernel = model.layers[-1].get_weights()[0].reshape(maps.shape[1:])
        for one, sign in ((0, -1), (1, 1)):
            at = np.broadcast_to(sign * kernel, maps.shape)
            expected = cam_by_hand(maps, at, (8, 10))
            np.testing.assert_allclose(explain.grad_cam(model, X, one), expected, atol=1e-12)

    @pytest.mark.parametrize(
        ("make", "chosen"),
        [
            (lambda: applications.LeNet5((12, 12, 1)), lambda m: m.layers[2]),
            # the activation behind the last convolution and its normalization
            (lambda: applications.SmallVGG((8, 8, 1), 3, (4, 8), 8), lambda m: m.layers[-6]),
            (lambda: applications.ResNet20((8, 8, 1), 3, 2), lambda m: m.layers[-3]),
            (lambda: applications.ResNet18((32, 32, 1), 3, 2), lambda m: m.layers[-3]),
        ],
    )
    def test_the_layer_taken_where_none_is_named(self, make, chosen):
        lamina.utils.set_random_seed(0)
        model = make()
        x = RNG.normal(size=(2, *model.input_shape[1:]))
        given = explain.grad_cam(model, x, 1)
        assert given.shape == x.shape[:3]
        np.testing.assert_array_equal(given, explain.grad_cam(model, x, 1, chosen(model)))

    def test_of_a_convolution_in_a_model_in_a_model(self):
        body = lamina.Sequential(
            [layers.Conv2D(3, 3, name="inside"), layers.GlobalAveragePooling2D()], name="body"
        )
        model = lamina.Sequential([layers.Input((8, 10, 3)), body, layers.Dense(4)])
        given = explain.grad_cam(model, X, 1)
        np.testing.assert_array_equal(given, explain.grad_cam(model, X, 1, "body/inside"))

    def test_images_without_channels_and_a_layer_used_twice(self):
        class Twice(lamina.Model):
            def __init__(self):
                super().__init__(dtype="float64")
                self.shape = layers.Reshape((6, 6, 1))
                self.same = layers.Conv2D(1, 3, padding="same", activation="tanh", name="same")
                self.flat = layers.Flatten()
                self.out = layers.Dense(2, "softmax")

            def call(self, inputs):
                return self.out(self.flat(self.same(self.same(self.shape(inputs)))))

        model = Twice()
        x = RNG.normal(size=(2, 6, 6))
        model(x)
        maps = explain.layer_outputs(model, x, "same")["same"]
        at = np.broadcast_to(model.out.get_weights()[0][:, 1].reshape(1, 6, 6, 1), maps.shape)
        given = explain.grad_cam(model, x, 1)
        np.testing.assert_allclose(given, cam_by_hand(maps, at, (6, 6)), atol=1e-12)

    def test_of_signals(self):
        lamina.utils.set_random_seed(0)
        model = lamina.Sequential(
            [
                layers.Input((12, 2)),
                layers.Conv1D(3, 3, activation="relu"),
                layers.GlobalAveragePooling1D(),
                layers.Dense(2),
            ],
            dtype="float64",
        )
        x = RNG.normal(size=(2, 12, 2))
        assert explain.saliency(model, x).shape == (2, 12)
        maps = next(iter(explain.layer_outputs(model, x, 0).values()))
        weights = model.layers[-1].get_weights()[0][:, 1] / 10
        seen = np.maximum(maps @ weights, 0)
        at = (np.arange(12) + 0.5) * 10 / 12 - 0.5
        expected = [np.interp(at, np.arange(10), row) for row in seen]
        np.testing.assert_allclose(explain.grad_cam(model, x, 1), expected, atol=1e-12)


EXPLAIN = [explain.layer_outputs, explain.saliency, explain.grad_cam]


@pytest.mark.parametrize("function", EXPLAIN)
def test_the_model_stays_as_it_was(function):
    model = applications.ResNet20((8, 8, 3), filters=2)
    model.compile("sgd", "sparse_categorical_crossentropy")
    x = X[:, :, :8]
    model.fit(x, [0, 1, 2], verbose=0)
    before, made = model.get_weights(), model.predict(x, verbose=0)
    function(model, x)
    with pytest.raises(ValueError, match="unknown layer"):
        explain.layer_outputs(model, x, "nothing like it")
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not any("call" in vars(layer) for layer in model.layers_within())
    assert all(p.grad is None for p in model.weights)
    np.testing.assert_array_equal(model.predict(x, verbose=0), made)


def test_threads_that_explain_one_model_do_not_mix_it_up():
    model = network()
    predicted = model.predict(X, verbose=0)
    expected = [explain.saliency(model, X), explain.grad_cam(model, X)]
    found, used = [], []

    def explain_often():
        for _ in range(10):
            found.append([explain.saliency(model, X), explain.grad_cam(model, X)])

    def use_often():
        for _ in range(40):
            used.append(model(X).numpy())

    threads = [threading.Thread(target=each) for each in (*[explain_often] * 3, use_often)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert len(found) == 30 and len(used) == 40
    for got in found:
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    np.testing.assert_allclose(used, [predicted] * 40, rtol=1e-12)
    assert not any("call" in vars(layer) for layer in model.layers_within())


def test_a_layer_that_fails_is_itself_again():
    model = network()
    model.layers[2].call = broken = lambda inputs: 1 / 0
    with pytest.raises(ZeroDivisionError):
        explain.layer_outputs(model, X)
    assert model.layers[2].call is broken
    assert not any("call" in vars(layer) for layer in model.layers if layer.name != "second")


@pytest.mark.parametrize("function", EXPLAIN[1:])
class TestErrors:
    def test_classes(self, function):
        with pytest.raises(ValueError, match="classes 0 to 3, got class 4"):
            function(network(), X, 4)
        with pytest.raises(ValueError, match="classes 0 to 1, got class -1"):
            function(network(end="sigmoid"), X, -1)
        with pytest.raises(ValueError, match="one for each of the 3, got 2 classes"):
            function(network(), X, [0, 1])
        for wrong in (1.0, "cat", np.eye(4)[:3]):
            with pytest.raises(TypeError, match="a whole number, or one for each image, got "):
                function(network(), X, wrong)

    def test_one_number_that_may_be_a_probability_or_a_logit(self, function):
        class Own(lamina.Model):
            def __init__(self, scale):
                super().__init__()
                self.scale, self.inner = scale, network(end="sigmoid")
                self(X)

            def call(self, inputs):
                return self.scale * self.inner(inputs)

        with pytest.raises(ValueError, match="probabilities or logits: say the class, class_=1"):
            function(Own(0.5), X)
        assert function(Own(0.5), X, 1).shape == function(Own(-3.0), X).shape

    def test_models_that_give_no_scores(self, function):
        model = applications.UNet((8, 8, 3), filters=2, depth=1)
        with pytest.raises(ValueError, match=r"gives no scores of shape \(batch, classes\) but"):
            function(model, X[:, :, :8])


def test_grad_cam_needs_maps():
    dense = lamina.Sequential([layers.Input((4, 4)), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(ValueError, match="needs a model with a convolution.*saliency explains any"):
        explain.grad_cam(dense, np.ones((1, 4, 4)))
    with pytest.raises(ValueError, match=r'layer that makes maps.*"end" gives \(3, 4\)'):
        explain.grad_cam(network(), X, layer="end")
    flat = lamina.Sequential(
        [layers.Input((16,)), layers.Reshape((4, 4, 1)), layers.Conv2D(2, 3), layers.Flatten(),
         layers.Dense(2)]
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"samples of shape \(16,\).*build the model for images"):
        explain.grad_cam(flat, np.ones((1, 16)))
