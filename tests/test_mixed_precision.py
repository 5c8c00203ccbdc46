"""Dtype policies: what layers compute in and keep, and that training in half precision works."""

import pickle

import numpy as np
import pytest

import _backends
import lamina
from lamina import config, layers, optimizers, xp
from lamina.layers._casting import Master
from lamina.optimizers import LossScaleOptimizer

X = np.random.default_rng(0).normal(size=(6, 8)).astype("float32")
IMAGES = np.random.default_rng(1).normal(size=(4, 6, 6, 2)).astype("float32")
HALF = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}


@pytest.fixture(autouse=True)
def policy_as_it_was():
    yield
    config.set_dtype_policy(None)


@pytest.fixture(params=HALF)
def mixed(request, backend):
    """A mixed policy that the backend has; with the name of its half precision."""
    if not hasattr(backend.xp, HALF[request.param]):
        pytest.skip(f"{backend.name} has no {HALF[request.param]}")
    return request.param, HALF[request.param]


def keras_module():
    return pytest.importorskip("keras")


def name_of(backend, value):
    return backend.backend.dtype_name(value.dtype)


def as_numpy(backend, value):
    return backend.to_numpy(getattr(value, "data", value)).astype("float64")


# ---- policies -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["float32", "float64", "float16", *HALF])
def test_names_mean_what_they_mean_in_keras(name):
    theirs, ours = keras_module().DTypePolicy(name), lamina.DTypePolicy(name)
    assert ours.compute_dtype == theirs.compute_dtype
    assert ours.variable_dtype == theirs.variable_dtype
    assert repr(ours) == repr(theirs)
    assert lamina.DTypePolicy.from_config(ours.get_config()) == ours
    assert hash(lamina.DTypePolicy(name)) == hash(ours)


def test_a_policy_is_named_by_dtypes_too():
    for given in (np.float32, np.dtype("float32"), lamina.DTypePolicy("float32"), "float32"):
        assert layers.Dense(1, dtype=given).dtype_policy.name == "float32"
    assert lamina.DTypePolicy().name == "float32"
    assert lamina.dtype_policies.get(None) is None


def test_the_global_policy_holds_for_layers_made_under_it():
    assert config.dtype_policy().name == "float32"
    before = layers.Dense(1)
    config.set_dtype_policy("mixed_float16")
    assert config.dtype_policy() == lamina.DTypePolicy("mixed_float16") == lamina.DTypePolicy()
    made, told = layers.Dense(1), layers.Dense(1, dtype="float64")
    config.set_dtype_policy(lamina.DTypePolicy("float64"))
    assert layers.Dense(1).compute_dtype == "float64"
    config.set_dtype_policy(None)
    assert before.dtype_policy.name == "float32"
    assert before.dtype is None
    assert made.dtype_policy.name == "mixed_float16"
    assert (made.dtype, made.variable_dtype, made.compute_dtype) == (
        "float32",
        "float32",
        "float16",
    )
    assert told.dtype_policy.name == "float64"
    again = layers.Dense.from_config(made.get_config())
    assert again.dtype_policy.name == "mixed_float16"
    assert layers.Dense.from_config(before.get_config()).dtype is None
    assert layers.Input((3,), dtype="float64").get_config()["dtype"] == "float64"


@pytest.mark.parametrize("globally", [False, True])
def test_a_model_hands_its_policy_to_layers_that_name_none(globally):
    def stack():
        return [
            layers.Input((8,)),
            layers.Dense(4, "relu"),
            layers.Dense(4, dtype="float64"),
            layers.BatchNormalization(),
            layers.Dense(2),
        ]

    if globally:
        config.set_dtype_policy("mixed_float16")
    model = lamina.Sequential(stack(), dtype=None if globally else "mixed_float16")
    config.set_dtype_policy(None)
    names = [layer.dtype_policy.name for layer in model.layers]
    assert names == ["mixed_float16", "float64", "mixed_float16", "mixed_float16"]
    kinds = [[w.dtype for w in layer.weights] for layer in model.layers]
    assert kinds == [["float32"] * 2, ["float64"] * 2, ["float32"] * 4, ["float32"] * 2]
    values, seen = X, []
    for layer in model.layers:
        values = layer(values)
        seen.append(str(values.dtype))
    assert seen == ["float16", "float64", "float16", "float16"]
    assert model.predict(X, verbose=0).dtype == np.float16


@pytest.mark.filterwarnings("ignore")
def test_dtypes_of_variables_and_outputs_are_those_of_keras():
    keras, found = keras_module(), []
    kinds = {
        "Dense": ({"units": 3, "activation": "relu"}, X),
        "Conv2D": ({"filters": 3, "kernel_size": 2, "activation": "tanh"}, IMAGES),
        "BatchNormalization": ({}, IMAGES),
        "LayerNormalization": ({}, X),
        "GlobalAveragePooling2D": ({}, IMAGES),
        "Flatten": ({}, IMAGES),
    }
    for room in (layers, keras.layers):
        dtypes = []
        for kind, (options, x) in kinds.items():
            layer = getattr(room, kind)(**options, dtype="mixed_float16")
            out = layer(x)
            kept = sorted(str(w.dtype).rpartition(".")[2] for w in layer.weights)
            dtypes.append((kind, kept, str(out.dtype).rpartition(".")[2]))
        found.append(dtypes)
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("given", "policy", "result"),
    [
        ("float16", "float64", "float64"),
        ("float16", "float32", "float32"),
        ("float64", "float32", "float32"),
        ("float64", "mixed_float16", "float16"),
        ("float32", "float16", "float16"),
        ("int32", "float64", "float64"),
        ("int64", "mixed_float16", "float16"),
        ("bool", "float16", "float16"),
        ("float64", None, "float64"),
    ],
)
def test_inputs_become_the_compute_dtype(backend, given, policy, result):
    if any(not hasattr(backend.xp, name) for name in (given, result)):
        pytest.skip(f"{backend.name} has no {given} or {result}")
    x = backend.asarray(np.arange(8).reshape(2, 4) % 2, given)
    for layer in (layers.Activation("relu", dtype=policy), layers.Dense(2, dtype=policy)):
        if policy is None and isinstance(layer, layers.Dense):
            continue
        assert name_of(backend, layer(x)) == result
        values = as_numpy(backend, layers.Activation("relu", dtype=policy)(x))
        assert np.array_equal(values, np.arange(8).reshape(2, 4) % 2)


def test_numbers_of_things_stay_whole():
    class Lookup(layers.Layer):
        takes_integers = True

        def build(self, input_shape):
            self.table = self.add_weight((5, 2), name="table")

        def call(self, inputs):
            return xp.take(self.table, xp.reshape(inputs, (-1,)), axis=0)

    layer = Lookup(dtype="mixed_float16")
    out = layer(np.asarray([[0, 4]]))
    assert (out.dtype, layer.table.dtype) == (np.float16, np.float32)


def test_a_list_of_inputs_is_brought_to_one_dtype(mixed, backend):
    policy, half = mixed
    a, b = backend.asarray(X), backend.asarray(X, "float64")
    assert name_of(backend, layers.Add(dtype=policy)([a, b])) == half


# ---- what is computed ---------------------------------------------------------------------------


def test_a_dense_layer_rounds_inputs_parameters_and_the_result():
    layer = layers.Dense(3, dtype="mixed_float16")
    out = layer(X).data
    kernel, bias = (w.data.astype("float16").astype("float32") for w in layer.weights)
    exact = X.astype("float16").astype("float32") @ kernel + bias
    assert np.array_equal(out, exact.astype("float16"))


def test_gradients_reach_parameters_in_float32(mixed, backend):
    policy, half = mixed
    layer, exact = layers.Dense(3, "tanh", dtype=policy), layers.Dense(3, "tanh")
    x = backend.asarray(X)
    with lamina.use(str(backend.backend)):
        layer(x), exact(x)
        exact.set_weights(layer.get_weights())
    for one in (layer, exact):
        xp.sum(xp.astype(one(x), backend.xp.float32) ** 2).backward()
    for p, q in zip(layer.weights, exact.weights, strict=True):
        assert name_of(backend, p.grad) == name_of(backend, p) == "float32"
        tolerance = 1e-2 if half == "float16" else 8e-2
        np.testing.assert_allclose(
            as_numpy(backend, p.grad), as_numpy(backend, q.grad), rtol=tolerance, atol=tolerance
        )


def test_a_shared_parameter_adds_its_gradients_in_float32(mixed, backend):
    class Twice(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight((), "ones", name="w")

        def call(self, inputs):
            return inputs * self.w

    policy, _ = mixed
    layer = Twice(dtype=policy)
    big, small = backend.asarray([[1.0]], "float32"), backend.asarray([[2.0**-14]], "float32")
    out = layer(big) + layer(small)
    xp.sum(out).backward()
    assert as_numpy(backend, layer.w.grad) == 1 + 2.0**-14


def test_a_step_too_small_for_half_precision_is_kept(mixed, backend):
    policy, _ = mixed
    model = lamina.Sequential(
        [layers.Dense(1, use_bias=False, kernel_initializer="ones", input_dim=1)],
        backend=backend.backend,
        dtype=policy,
    )
    model.compile(optimizers.SGD(2.0**-16), "mse")
    for _ in range(4):
        model.train_on_batch([[1.0]], [[0.5]])
    assert model.get_weights()[0].item() == 1 - 4 * 2.0**-16


def test_what_half_precision_would_spoil_is_computed_wide():
    rows = (X * 300 + 6000).astype("float32")  # their squares are no float16
    exact = layers.LayerNormalization()(rows).data
    found = layers.LayerNormalization(dtype="mixed_float16")(rows)
    assert found.dtype == np.float16
    np.testing.assert_allclose(found.data, exact, atol=2e-3)
    tall = np.full((1, 40, 40, 1), 60.0, "float32")  # the sum is no float16
    assert layers.GlobalAveragePooling2D(dtype="mixed_float16")(tall).data.item() == 60.0
    scale = layers.Normalization(mean=1e6, variance=1e4, dtype="mixed_float16")
    x = np.asarray([[1e6 + 100]], "float32")
    assert scale(x).data.item() == 1.0
    model = lamina.Sequential([layers.Input((1,)), scale], dtype="mixed_float16")
    assert model.predict(x, verbose=0).item() == 1.0


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_probabilities_stay_float32(mixed, backend, name):
    policy, half = mixed
    layer = layers.Dense(4, name, dtype=policy)
    out = layer(backend.asarray(X))
    assert name_of(backend, out) == "float32"
    scores = backend.asarray([[0.0, 12.0]], half)
    found = as_numpy(backend, getattr(lamina.activations, name)(scores))
    exact = np.exp([[0.0, 12.0]]) / np.sum(np.exp([0.0, 12.0]))
    np.testing.assert_allclose(found, exact if name == "softmax" else np.log(exact), 1e-5, 1e-6)


NO_PLAIN_ONES = {"deserialize", "get", "glu", "serialize", "threshold"}
ACTIVATIONS = sorted(set(lamina.activations.__all__) - NO_PLAIN_ONES)


@pytest.mark.parametrize("fused", [False, True], ids=["alone", "in a dense layer"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_and_their_slopes_are_near_those_of_float32(mixed, backend, name, fused):
    policy, half = mixed
    numbers = np.asarray([[-8.0, -3.0, -0.5, 0.25, 1.0, 4.0, 8.0, 0.0]], "float32")
    found = []
    for dtype in (policy, "float64"):
        if fused:
            layer = layers.Dense(8, name, kernel_initializer="identity", dtype=dtype)
        else:
            layer = layers.Activation(name, dtype=dtype)
        x = lamina.Tensor(backend.asarray(numbers), requires_grad=True)
        with lamina.use(str(backend.backend)):
            out = layer(x)
        weights = backend.asarray(np.linspace(1, 2, 8, dtype="float32")[None, :])
        xp.sum(xp.astype(out, backend.xp.float32) * weights).backward()
        found.append((as_numpy(backend, out), as_numpy(backend, x.grad)))
        assert name_of(backend, x.grad) == "float32"
    tolerance = 4e-3 if half == "float16" else 3e-2
    for ours, exact in zip(*found, strict=True):
        np.testing.assert_allclose(ours, exact, rtol=tolerance, atol=tolerance)


def test_losses_and_metrics_are_computed_in_float32():
    truth, outputs = np.zeros((1, 4096)), np.full((1, 4096), 16.0, "float16")
    loss = lamina.losses.MeanSquaredError()(truth, outputs)
    assert (loss.dtype, float(loss)) == (np.float32, 256.0)
    model = lamina.Sequential([layers.Dense(4, input_dim=8)], dtype="mixed_float16")
    model.compile("sgd", "mse", metrics=["mae"])
    big = np.full((6, 4), 400.0, "float32")  # whose squares are no float16
    with np.errstate(over="raise"):
        found = model.evaluate(X, big, verbose=0)
    out = model.predict(X, verbose=0).astype("float32")
    assert found == pytest.approx([np.mean((out - big) ** 2), np.mean(np.abs(out - big))], rel=1e-5)


def test_penalties_are_taken_of_the_parameters_themselves():
    layer = layers.Dense(
        1, kernel_initializer="ones", kernel_regularizer="l2", activity_regularizer="l2",
        use_bias=False, input_dim=1, dtype="mixed_float16",
    )  # fmt: skip
    model = lamina.Sequential([layer])
    layer.kernel.assign([[1 + 2.0**-14]])
    model.compile("sgd", "mse")
    x, y = np.full((1, 1), 400.0, "float32"), np.full((1, 1), 400.0, "float32")
    expected = 0.01 * (1 + 2.0**-14) ** 2 + 0.01 * 400.0**2
    assert model.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-6)


def test_updates_of_state_are_done_in_its_own_dtype():
    class Counter(layers.Layer):
        def build(self, input_shape):
            self.total = self.add_weight((), "ones", trainable=False, name="total")

        def call(self, inputs):
            self.add_update(self.total, lambda old: old + 2.0**-14)
            self.total.assign(self.total.data * 1)  # reads rounded here, but keeps its dtype
            return inputs + self.total

    layer = Counter(dtype="mixed_float16")
    layer(X)
    assert layer.total.dtype == np.float32
    layer.total.assign(1.0)
    lamina.layers._passes.commit([(layer.total, lambda old: old + 2.0**-14)])
    assert layer.total.data == np.float32(1 + 2.0**-14)


def test_layers_inside_layers_and_the_derivatives_of_derivatives():
    class Residual(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inner = [layers.Dense(8, "tanh"), layers.BatchNormalization(), layers.Dense(8)]

        def call(self, inputs):
            x = inputs
            for layer in self.inner:
                x = layer(x)
            return inputs + x

    layer = Residual(dtype="mixed_float16")
    assert layer(X, training=True).dtype == np.float16
    assert {str(w.dtype) for w in layer.weights} == {"float32"}
    dense = layers.Dense(1, "tanh", dtype="mixed_float16")
    exact = layers.Dense(1, "tanh")
    dense(X), exact(X)
    exact.set_weights(dense.get_weights())
    found = []
    for one in (dense, exact):
        slope = lamina.grad(lambda x, one=one: xp.sum(xp.astype(one(x), xp.float32)))
        found.append(lamina.grad(lambda x, slope=slope: xp.sum(slope(x) ** 2))(X))
    assert found[0].dtype == np.float32
    np.testing.assert_allclose(found[0].numpy(), found[1].numpy(), atol=2e-2)


def test_spectral_normalization_measures_in_float32():
    # of singular values that lie near each other even these steps do not find the largest
    start = lamina.initializers.GlorotUniform(seed=1)
    inner = layers.Dense(4, kernel_initializer=start, dtype="mixed_float16")
    layer = layers.SpectralNormalization(inner, power_iterations=20, dtype="mixed_float16")
    out = layer(X, training=True)
    assert out.dtype == np.float16
    kernel = inner.kernel.numpy()
    exact = X @ (kernel / np.linalg.norm(kernel, 2))
    np.testing.assert_allclose(out.data, exact, atol=5e-3)
    assert {str(w.dtype) for w in layer.weights} == {"float32"}


def test_dense_layers_take_more_axes_through_one_product(backend):
    x = backend.asarray(np.random.default_rng(2).normal(size=(2, 3, 5)), "float64")
    layer = layers.Dense(4, "tanh", dtype="float64")
    out = layer(x)
    kernel, bias = (as_numpy(backend, w) for w in layer.weights)
    exact = np.tanh(as_numpy(backend, x) @ kernel + bias)
    np.testing.assert_allclose(as_numpy(backend, out), exact, rtol=1e-12)
    for shape in ((0, 3, 5), (2, 0, 5), (2, 3, 4, 5)):
        empty = backend.asarray(np.ones(shape), "float64")
        assert tuple(layer(empty).shape) == (*shape[:-1], 4)


# ---- models -------------------------------------------------------------------------------------


def xor_model(policy, place):
    return lamina.Sequential(
        [layers.Input((2,)), layers.Dense(8, "tanh"), layers.Dense(1, "sigmoid")],
        dtype=policy,
        backend=place,
    ), "binary_crossentropy"  # fmt: skip


def digits_model(policy, place):
    stack = [layers.Input((64,)), layers.Dense(64, "relu"), layers.Dense(10, "softmax")]
    loss = "sparse_categorical_crossentropy"
    return lamina.Sequential(stack, dtype=policy, backend=place), loss


def trained(make, policy, place, x, y, epochs, rate):
    model, loss = make(policy, place)
    for i, layer in enumerate(model.layers):
        rng = np.random.default_rng(i)
        shapes = [w.shape for w in layer.weights]
        layer.set_weights([rng.normal(size=s) * (len(s) > 1) / s[0] ** 0.5 for s in shapes])
    model.seed = 0
    model.compile(optimizers.Adam(rate), loss, metrics=["accuracy"])
    model.fit(x, y, epochs=epochs, verbose=0)
    return model, model.evaluate(x, y, verbose=0)


def test_xor_is_learnt_as_in_float32(mixed, backend):
    x, y = np.asarray([[0, 0], [0, 1], [1, 0], [1, 1]]), np.asarray([[0], [1], [1], [0]])
    for policy in (mixed[0], "float32"):
        model, (loss, accuracy) = trained(xor_model, policy, backend.backend, x, y, 100, 0.1)
        assert accuracy == 1.0
        assert loss < 0.1
    assert all(str(w.dtype).endswith("float32") for w in model.get_weights())


def test_digits_are_read_as_well_as_in_float32(mixed, backend):
    from sklearn.datasets import load_digits

    digits = load_digits()
    x, y = digits.data[:512] / 16, digits.target[:512]
    found = {}
    for policy in (mixed[0], "float32"):
        _, (_, found[policy]) = trained(digits_model, policy, backend.backend, x, y, 8, 0.01)
    assert found["float32"] > 0.98
    assert abs(found[mixed[0]] - found["float32"]) <= 0.01


@pytest.mark.parametrize(
    ("policy", "auto", "wrapped"),
    [
        ("mixed_float16", True, True),
        ("mixed_float16", False, False),
        ("float16", True, False),
        ("float32", True, False),
        (None, True, False),
    ],
)
def test_compile_scales_the_loss_where_halves_ask_for_it(policy, auto, wrapped):
    model = lamina.Sequential([layers.Dense(1, dtype=policy, input_dim=8)])
    model.compile("adam", "mse", auto_scale_loss=auto)
    assert isinstance(model.optimizer, LossScaleOptimizer) == wrapped
    model.train_on_batch(X, X[:, :1])
    twin = pickle.loads(pickle.dumps(model))
    assert isinstance(twin.optimizer, LossScaleOptimizer) == wrapped
    own = LossScaleOptimizer(optimizers.SGD())
    model.compile(own, "mse")
    assert model.optimizer is own
    fixed = optimizers.SGD(loss_scale_factor=8.0)
    model.compile(fixed, "mse")
    assert model.optimizer is fixed


def test_a_scale_too_large_is_halved_until_it_fits(backend):
    if not hasattr(backend.xp, "float16"):
        pytest.skip(f"{backend.name} has no float16")
    model = lamina.Sequential(
        [layers.Input((8,)), layers.Dense(4, "tanh"), layers.Dense(2)],
        dtype="mixed_float16", backend=backend.backend,
    )  # fmt: skip
    model.compile(LossScaleOptimizer(optimizers.Adam(0.01), 2.0**24), "mse")
    start = [w.tobytes() for w in model.get_weights()]
    skipped = 0
    for _ in range(30):
        model.train_on_batch(X, X[:, :2])
        if [w.tobytes() for w in model.get_weights()] != start:
            break
        skipped += 1
        assert backend.backend.scalar(model.optimizer.dynamic_scale) == 2.0 ** (24 - skipped)
        assert model.optimizer.iterations == 0
    assert 1 <= skipped < 20
    assert model.optimizer.iterations == 1


def test_images_train_as_in_float32(mixed, backend):
    found = []
    for policy in (mixed[0], "float32"):
        model = lamina.Sequential(
            [
                layers.Input((6, 6, 2)),
                layers.Conv2D(4, 3, padding="same", activation="relu"),
                layers.BatchNormalization(),
                layers.MaxPooling2D(),
                layers.SeparableConv2D(5, 2, activation="relu"),
                layers.GlobalAveragePooling2D(),
                layers.Dropout(0.1),
                layers.Dense(3, "softmax"),
            ],
            dtype=policy,
            backend=backend.backend,
        )
        rng = np.random.default_rng(0)
        weights = [np.abs(rng.normal(size=w.shape)) * 0.3 for w in model.weights]
        model.set_weights(weights)
        for i, layer in enumerate(model.layers):
            layer.seed = i
        model.compile(optimizers.SGD(0.05), "sparse_categorical_crossentropy")
        for _ in range(5):
            loss = model.train_on_batch(IMAGES, [0, 1, 2, 1])
        found.append((loss, model.get_weights()))
    tolerance = 0.01 if mixed[1] == "float16" else 0.1
    assert found[0][0] == pytest.approx(found[1][0], rel=tolerance)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance)


def test_predict_is_what_the_layers_give(mixed, backend):
    model, _ = xor_model(mixed[0], backend.backend)
    x = X[:, :2]
    out, values = model.predict(x, verbose=0), backend.asarray(x)
    for layer in model.layers:
        values = layer(values)
    assert np.array_equal(out.astype("float64"), as_numpy(backend, values))
    assert np.array_equal(out, model.predict_on_batch(x))


def test_weights_are_saved_and_moved_in_float32(mixed, backend, tmp_path):
    model, _ = xor_model(mixed[0], backend.backend)
    model.save_weights(tmp_path / "w.safetensors")
    other, _ = xor_model("float32", "numpy")
    other.load_weights(tmp_path / "w.safetensors")
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        assert a.dtype == b.dtype == np.float32
        assert np.array_equal(a, b)
    twin = pickle.loads(pickle.dumps(model))
    assert [type(w) for w in twin.weights] == [Master] * 4
    assert np.array_equal(twin.predict(X[:, :2], verbose=0), model.predict(X[:, :2], verbose=0))


def test_a_chain_of_one_wide_dtype_stays_a_chain():
    for policy, is_chain in (("float64", True), (None, True), ("mixed_float16", False)):
        model, loss = digits_model(policy, "numpy")
        model.compile("sgd", loss)
        model.train_on_batch(np.zeros((2, 64)), [0, 1])
        assert (model._step._chain is not None) == is_chain
    model = lamina.Sequential(
        [layers.Dense(3, dtype="float32", input_dim=8), layers.Dense(2, dtype="float64")]
    )
    model.compile("sgd", "mse")
    model.train_on_batch(X, X[:, :2])
    assert model.predict(X, verbose=0).dtype == np.float64
    first = model.layers[0](X)
    assert first.dtype == np.float32


# ---- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (
            lambda: layers.Dense(1, dtype="mixed_float15"),
            ValueError,
            "unknown dtype policy 'mixed_float15': did you mean 'mixed_float16'",
        ),
        (lambda: lamina.Sequential(dtype="fp8"), ValueError, "unknown dtype policy 'fp8'"),
        (lambda: lamina.DTypePolicy(3), ValueError, "unknown dtype policy"),
        (lambda: config.set_dtype_policy("mixed"), ValueError, "unknown dtype policy 'mixed'"),
        (lambda: config.set_dtype_policy("int32"), ValueError, "compute with floats .* 'int32'"),
        (
            lambda: layers.Dense(1, dtype="mixed_bfloat16")(X),
            ValueError,
            r'Dense ".*" has the policy "mixed_bfloat16", but the backend numpy has no bfloat16: '
            'use dtype="mixed_float16"',
        ),
    ],
)
def test_bad_policies(make, error, match):
    with pytest.raises(error, match=match):
        make()
    assert config.dtype_policy().name == "float32"


def test_a_backend_without_halves_says_so():
    reason = _backends.why_not("array_api_strict:device1")
    if reason:
        pytest.skip(reason)
    model = lamina.Sequential(
        [layers.Dense(1)], backend="array_api_strict:device1", dtype="mixed_float16"
    )
    for _ in range(2):  # nothing stays half built
        with pytest.raises(ValueError, match='has no float16: use dtype="float32"'):
            model.predict(X, verbose=0)
    assert not model.built


def test_a_built_layer_keeps_its_dtypes():
    layer = layers.Dense(1, dtype="float64")
    layer.dtype_policy = "float32"
    layer.dtype = "mixed_float16"
    assert layer(X).dtype == np.float16
    with pytest.raises(ValueError, match=r"is built, so its dtypes are settled as 'mixed_float16'"):
        layer.dtype_policy = "float32"
    layer.dtype_policy = "mixed_float16"


# ---- beside the rest of the library -------------------------------------------------------------


def test_checkpoints_compute_again_in_the_same_precision(mixed, backend):
    class Checked(layers.Layer):
        def __init__(self, checked, **kwargs):
            super().__init__(**kwargs)
            self.around = lamina.checkpoint if checked else lambda f: f

        def build(self, input_shape):
            self.w = self.add_weight((8, 3), name="w")

        def call(self, inputs):
            once = self.around(lambda x: xp.tanh(xp.matmul(x, self.w)))(inputs)
            return xp.matmul(once, xp.matrix_transpose(self.w))

    found = []
    for checked in (False, True):
        layer = Checked(checked, dtype=mixed[0])
        layer(backend.asarray(X))
        layer.set_weights([np.linspace(-1, 1, 24).reshape(8, 3)])
        out = xp.astype(layer(backend.asarray(X)), backend.xp.float32)
        xp.sum(out * out).backward()
        found.append(as_numpy(backend, layer.w.grad))
        assert name_of(backend, layer.w.grad) == "float32"
    assert np.array_equal(*found)


def test_profiles_and_debugging_take_mixed_models():
    model, loss = xor_model("mixed_float16", "numpy")
    model.compile("adam", loss)
    x, y = X[:, :2], X[:, :1] > 0
    before = [w.tobytes() for w in model.get_weights()]
    assert "dense" in str(lamina.profile(model, x, y)).lower()
    assert [w.tobytes() for w in model.get_weights()] == before
    assert model.optimizer.iterations == 0
    with lamina.debug_nans():
        assert np.isfinite(model.train_on_batch(x, y))
