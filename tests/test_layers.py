"""Layers: their formulas, gradients, shapes, configurations, randomness, and those users write."""

import copy
import pickle

import numpy as np
import pytest

import lamina
from lamina import layers, xp
from lamina.testing import check_grads

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3)).astype("float32")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * (np.exp(np.minimum(x, 0)) - 1))


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


class Scale(layers.Layer):
    """A layer as a user writes one."""

    def build(self, input_shape):
        self.scale = self.add_weight((input_shape[-1],), initializer="ones", name="scale")

    def call(self, inputs):
        return inputs * self.scale


FORMULAS = [
    (lambda: layers.Activation("tanh"), np.tanh),
    (lambda: layers.Activation(lambda x: x * 2), lambda x: x * 2),
    (lambda: layers.ReLU(), lambda x: np.maximum(x, 0)),
    (lambda: layers.ReLU(max_value=0.5), lambda x: np.clip(x, 0, 0.5)),
    (lambda: layers.ReLU(0.9, 0.1, 0.2), lambda x: np.where(
        x < 0.2, 0.1 * (x - 0.2), np.minimum(x, 0.9))),
    (lambda: layers.LeakyReLU(), lambda x: np.where(x > 0, x, 0.3 * x)),
    (lambda: layers.LeakyReLU(negative_slope=0.01), lambda x: np.where(x > 0, x, 0.01 * x)),
    (lambda: layers.PReLU(), lambda x: np.maximum(x, 0)),
    (lambda: layers.PReLU(alpha_initializer="ones"), lambda x: x),
    (lambda: layers.ELU(), elu),
    (lambda: layers.ELU(alpha=0.5), lambda x: elu(x, 0.5)),
    (lambda: layers.Softmax(), softmax),
    (lambda: layers.Softmax(axis=0), lambda x: softmax(x, 0)),
    (lambda: layers.Dropout(0.5), lambda x: x),
    (lambda: layers.Flatten(), lambda x: x),
    (lambda: layers.Reshape((3, 1)), lambda x: x[..., None]),
    (lambda: layers.Reshape((-1,)), lambda x: x),
    (lambda: layers.Rescaling(1 / 255, offset=-1), lambda x: x / 255 - 1),
    (lambda: layers.Rescaling([1.0, 2.0, 3.0]), lambda x: x * np.float32([1, 2, 3])),
    (lambda: layers.Normalization(mean=1.0, variance=4.0), lambda x: (x - 1) / 2),
    (lambda: layers.Normalization(mean=[1.0, 2, 3], variance=[4.0, 1, 9], invert=True),
     lambda x: x * [2, 1, 3] + [1, 2, 3]),
    (lambda: Scale(), lambda x: x),
]  # fmt: skip


@pytest.mark.parametrize("make, formula", FORMULAS)
def test_the_output_is_the_formulas(make, formula, backend):
    with lamina.use(backend.backend):
        out = make()(backend.asarray(X))
    assert isinstance(out, lamina.Tensor)
    assert backend.backend.owns(out.data)
    assert out.dtype == backend.xp.float32
    np.testing.assert_allclose(out.numpy(), formula(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("activation", [None, "relu", "sigmoid", "softmax", "tanh", "gelu", np.abs])
@pytest.mark.parametrize("shape", [(4, 3), (2, 5, 3), (1, 3)])
def test_dense_is_a_matrix_product_a_bias_and_an_activation(activation, shape, backend):
    if activation is np.abs:
        activation, after = xp.abs, np.abs
    else:
        from math import erf

        after = {
            None: lambda z: z,
            "relu": lambda z: np.maximum(z, 0),
            "sigmoid": sigmoid,
            "softmax": softmax,
            "tanh": np.tanh,
            "gelu": lambda z: z * 0.5 * (1 + np.vectorize(erf)(z / np.sqrt(2))),
        }[activation]
    x = RNG.normal(size=shape).astype("float32")
    with lamina.use(backend.backend):
        layer = layers.Dense(6, activation, bias_initializer="uniform")
        out = layer(backend.asarray(x))
    kernel, bias = layer.get_weights()
    assert kernel.shape == (3, 6)
    assert bias.shape == (6,)
    np.testing.assert_allclose(out.numpy(), after(x @ kernel + bias), rtol=2e-5, atol=1e-5)


SMOOTH = [
    lambda: layers.Dense(3, "tanh"),
    lambda: layers.Dense(3, "softplus", use_bias=False),
    lambda: layers.Dense(2),
    lambda: layers.Activation("sigmoid"),
    lambda: layers.Softmax(),
    lambda: layers.ELU(),
    lambda: layers.PReLU(alpha_initializer="uniform"),
    lambda: layers.LeakyReLU(),
    lambda: layers.Flatten(),
    lambda: layers.Reshape((3, 1)),
    lambda: layers.Rescaling(2.0, 1.0),
    lambda: layers.Normalization(mean=1.0, variance=4.0),
    lambda: Scale(),
]


@pytest.mark.parametrize("make", SMOOTH)
def test_gradients_are_those_of_finite_differences(make):
    layer = make()
    layer.dtype = "float64"
    x = RNG.normal(size=(3, 3))
    layer(x)
    parameters = layer.trainable_weights
    values = [p.data for p in parameters]

    def run(inputs, *given):
        for parameter, value in zip(parameters, given, strict=True):
            for holder in layer.layers_within():
                for name, held in list(vars(holder).items()):
                    if held is parameter:
                        setattr(holder, name, value)
        try:
            return layer.call(inputs)
        finally:
            for parameter, value in zip(parameters, given, strict=True):
                for name, held in list(vars(layer).items()):
                    if held is value:
                        setattr(layer, name, parameter)

    check_grads(run, (x, *values), order=2)


# ---- shapes and building -------------------------------------------------------------------------


@pytest.mark.parametrize("declare", [{"input_shape": (3,)}, {"input_dim": 3}, {"input_shape": [3]}])
def test_a_first_layer_may_declare_the_shape(declare):
    model = lamina.Sequential([layers.Dense(4, **declare)])
    assert model.built
    assert model.input_shape == (None, 3)
    assert model.output_shape == (None, 4)


def test_without_a_shape_a_layer_is_built_by_its_first_call():
    layer = layers.Dense(4)
    assert not layer.built
    assert layer.weights == []
    layer(X)
    assert layer.built
    assert [p.name for p in layer.weights] == ["kernel", "bias"]


@pytest.mark.parametrize(
    "make, given, expected",
    [
        (lambda: layers.Dense(7), (None, 3), (None, 7)),
        (lambda: layers.Dense(7), (None, 5, 3), (None, 5, 7)),
        (lambda: layers.Dense(7), (None, None, 3), (None, None, 7)),
        (lambda: layers.Flatten(), (None, 2, 3), (None, 6)),
        (lambda: layers.Flatten(), (None, None, 3), (None, None)),
        (lambda: layers.Reshape((3, -1)), (None, 12), (None, 3, 4)),
        (lambda: layers.Reshape((-1, 2)), (None, None, 4), (None, None, 2)),
        (lambda: layers.Dropout(0.1), (None, 4), (None, 4)),
        (lambda: layers.Normalization(), (None, 4), (None, 4)),
        (lambda: layers.Softmax(), (8, 4), (8, 4)),
    ],
)
def test_output_shapes(make, given, expected):
    assert make().compute_output_shape(given) == expected


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: layers.Dense(0), "units as a whole number from 1 on, got 0"),
        (lambda: layers.Dense(2.5), "units as a whole number"),
        (lambda: layers.Dense("10"), "units as a whole number"),
        (lambda: layers.Dense(True), "units as a whole number"),
        (lambda: layers.Dense(3, activation="rleu"), "unknown activation 'rleu'.*'relu'"),
        (lambda: layers.Dense(3, kernel_initializer="glorot"), "unknown initializer 'glorot'"),
        (lambda: layers.Dense(3, kernel_regularizer="l3"), "unknown regularizer"),
        (lambda: layers.Dense(3, kernel_constraint="non_ngative"), "unknown constraint.*'non_neg'"),
        (lambda: layers.Dropout(1.0), "rate from 0 to below 1, got 1.0"),
        (lambda: layers.Dropout(-0.1), "rate from 0 to below 1"),
        (lambda: layers.Dropout("half"), "rate from 0 to below 1"),
        (lambda: layers.Reshape((-1, -1)), "one axis given as -1|-1"),
        (lambda: layers.LeakyReLU(-1), "negative_slope"),
        (lambda: layers.ReLU(max_value=-1), "max_value"),
        (lambda: layers.Input((2.5,)), "shape as a whole number"),
        (lambda: layers.Normalization(mean=1.0), "both mean and variance"),
        (lambda: layers.Dense(3, input_shape=(0,)), "input_shape as a whole number"),
    ],
)
def test_a_wrong_setting_is_told_at_once(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize("make", [lambda: layers.Input(8), lambda: layers.Dense(1, input_shape=8)])
def test_a_shape_is_a_tuple(make):
    with pytest.raises(TypeError, match=r"such as \(8,\) for eight features, got 8"):
        make()


@pytest.mark.parametrize(
    "make, shape, match",
    [
        (lambda: layers.Dense(2), (4, 5), 'Dense "inner" expects inputs whose last axis is 3'),
        (lambda: layers.PReLU(), (4, 5), r'PReLU "inner" expects samples of shape \(3,\)'),
        (lambda: layers.Normalization(mean=0.0, variance=1.0), (4, 5), 'Normalization "inner"'),
        (lambda: layers.Reshape((3,)), (4, 5), r'Reshape "inner".*target \(3,\)'),
        (lambda: layers.Dropout(0.1), (4, 5, 5), 'Dropout "inner" expects inputs with 2 axes'),
        (lambda: layers.Dropout(0.1, (None, 3)), (4, 5), r"noise_shape \(None, 3\)"),
    ],
)
def test_inputs_that_do_not_fit_name_the_layer(make, shape, match):
    layer = make()
    layer.name = "inner"
    layer(X)
    with pytest.raises(ValueError, match=match):
        layer(np.zeros(shape, "float32"))


def test_one_sample_without_its_batch_axis():
    layer = layers.Dense(2)
    layer(X)
    with pytest.raises(ValueError, match=r"x\[None\]"):
        layer(X[0])


def test_an_error_inside_a_users_layer_says_which_layer_it_was():
    class Broken(layers.Layer):
        def call(self, inputs):
            raise KeyError("lost")

    with pytest.raises(KeyError, match="lost") as caught:
        lamina.Sequential([Broken(name="culprit")])(X[:1])
    assert 'Broken "culprit", called with inputs of shape (1, 3)' in caught.value.__notes__[0]
    assert len(caught.value.__notes__) == 1


def test_a_layer_without_a_call_says_what_to_write():
    with pytest.raises(NotImplementedError, match="defines no call"):
        layers.Layer()(X)


def test_what_failed_to_build_is_not_half_built():
    class Picky(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight((2,), name="w")
            if input_shape[-1] != 4:
                raise ValueError("four, please")

        def call(self, inputs):
            return inputs * self.w[0]

    class Nest(layers.Layer):
        def __init__(self):
            super().__init__()
            self.first, self.second = layers.Dense(3), Picky()

        def build(self, input_shape):
            self.first.build_for(input_shape)
            self.second.build_for((None, 3))

    nest = Nest()
    with pytest.raises(ValueError, match="four, please"):
        nest.build_for((None, 2))
    assert not nest.first.built
    assert nest.weights == []
    picky = Picky()
    with pytest.raises(ValueError, match="four, please"):
        picky(X)
    picky(np.ones((2, 4), "float32"))
    assert len(picky.weights) == 1


# ---- weights and freezing ------------------------------------------------------------------------


def test_weights_go_out_and_in():
    one, other = layers.Dense(4, bias_initializer="uniform"), layers.Dense(4)
    one(X), other(X)
    other.set_weights(one.get_weights())
    np.testing.assert_array_equal(one(X).numpy(), other(X).numpy())
    given = one.get_weights()
    given[0][:] = 0
    assert one.get_weights()[0].any(), "get_weights gives copies"


@pytest.mark.parametrize(
    "weights, match",
    [
        ([np.zeros((3, 4))], "has 2 weights, got 1"),
        ([np.zeros((4, 3)), np.zeros(4)], r'"kernel" of Dense.*shape \(3, 4\), got \(4, 3\)'),
        ([np.zeros((3, 4)), np.zeros(3)], r'"bias" of Dense.*got \(3,\): nothing was set'),
    ],
)
def test_wrong_weights_change_nothing(weights, match):
    layer = layers.Dense(4)
    layer(X)
    before = layer.get_weights()
    with pytest.raises(ValueError, match=match):
        layer.set_weights(weights)
    for a, b in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_set_weights_before_building_says_so():
    with pytest.raises(ValueError, match="not built yet"):
        layers.Dense(4).set_weights([np.zeros((3, 4)), np.zeros(4)])


def test_freezing_goes_down_and_is_kept_until_built():
    class Pair(layers.Layer):
        def __init__(self):
            super().__init__()
            self.both = [layers.Dense(2), {"deep": layers.Dense(2)}]

        def call(self, inputs):
            return self.both[1]["deep"](self.both[0](inputs))

    pair = Pair()
    pair.trainable = False
    pair(X)
    assert pair.trainable_weights == []
    assert len(pair.non_trainable_weights) == 4
    pair.trainable = True
    assert len(pair.trainable_weights) == 4
    pair.both[0].trainable = False
    assert [p.shape for p in pair.trainable_weights] == [(2, 2), (2,)]


def test_constants_stay_constant_when_freed():
    scale = layers.Normalization(mean=0.0, variance=1.0)
    scale(X)
    scale.trainable = True
    assert scale.trainable_weights == []
    assert scale.count_params() == 6


def test_a_parameter_may_be_a_plain_attribute_and_a_layer_a_private_one():
    class Own(layers.Layer):
        def __init__(self):
            super().__init__()
            self.factor = lamina.Parameter(np.float32(2.0), name="factor")
            self._hidden = layers.Dense(3)

        def call(self, inputs):
            return self._hidden(inputs) * self.factor

    layer = Own()
    layer(X)
    assert [p.name for p in layer.weights] == ["factor", "kernel", "bias"]
    layer.trainable = False
    assert layer.trainable_weights == []


# ---- configurations ------------------------------------------------------------------------------

CONFIGURED = [
    lambda: layers.Input((3,), batch_size=4, dtype="float32"),
    lambda: layers.Dense(
        4, "relu", use_bias=False, kernel_initializer="he_normal", kernel_regularizer="l2",
        activity_regularizer="l1", kernel_constraint="max_norm", trainable=False, dtype="float64",
    ),
    lambda: layers.Dense(4, "softmax", bias_regularizer="l1", bias_constraint="non_neg"),
    lambda: layers.Activation("swish"),
    lambda: layers.Dropout(0.25, noise_shape=(None, 1), seed=3),
    lambda: layers.Flatten(),
    lambda: layers.Reshape((1, -1)),
    lambda: layers.Rescaling(0.5, 1.0),
    lambda: layers.Normalization(axis=None, mean=2.0, variance=3.0),
    lambda: layers.Normalization(axis=-1, mean=[2.0, 1.0, 0.0], variance=[3.0, 1.0, 1.0]),
    lambda: layers.ReLU(6.0, 0.1, 0.5),
    lambda: layers.LeakyReLU(0.2),
    lambda: layers.PReLU("ones", "l1", "non_neg", shared_axes=1),
    lambda: layers.ELU(0.3),
    lambda: layers.Softmax(axis=0),
    lambda: layers.BatchNormalization(1, 0.9, 0.01, gamma_regularizer="l2", renorm=True),
    lambda: layers.BatchNormalization(center=False, renorm_clipping={"rmax": 2.0}),
    lambda: layers.LayerNormalization([1], 0.01, scale=False, beta_constraint="non_neg"),
    lambda: layers.GroupNormalization(3, beta_initializer="ones"),
    lambda: layers.RMSNormalization(epsilon=0.01),
    lambda: layers.UnitNormalization(axis=1),
    lambda: layers.SpectralNormalization(layers.Dense(2, "relu", name="inner"), 2),
    lambda: layers.GaussianNoise(0.1, seed=2),
    lambda: layers.GaussianDropout(0.1),
    lambda: layers.AlphaDropout(0.1, (None, 1), seed=2),
    lambda: layers.SpatialDropout1D(0.1, seed=2),
    lambda: layers.SpatialDropout2D(0.1, "channels_first"),
    lambda: layers.SpatialDropout3D(0.1),
    layers.Add, layers.Average, layers.Maximum, layers.Minimum, layers.Multiply, layers.Subtract,
    lambda: layers.Concatenate(axis=1),
    lambda: layers.Dot((1, -1), normalize=True),
    *(lambda kind=kind, rank=rank: getattr(layers, f"{kind}Pooling{rank}D")(3, 2, "same")
      for kind in ("Average", "Max") for rank in (1, 2, 3)),
    *(lambda kind=kind, rank=rank: getattr(layers, f"{kind}Pooling{rank}D")(2)
      for kind in ("AdaptiveAverage", "AdaptiveMax") for rank in (1, 2, 3)),
    *(lambda kind=kind, rank=rank: getattr(layers, f"{kind}Pooling{rank}D")(keepdims=True)
      for kind in ("GlobalAverage", "GlobalMax") for rank in (1, 2, 3)),
    *(lambda kind=kind, rank=rank: getattr(layers, f"{kind}{rank}D")(2)
      for kind in ("Cropping", "UpSampling", "ZeroPadding") for rank in (1, 2, 3)),
    lambda: layers.Resizing(3, 5, "bicubic", True, fill_value=2.0, antialias=True),
    lambda: layers.RandomFlip("vertical", seed=1),
    lambda: layers.RandomCrop(3, 4, seed=1),
    lambda: layers.RandomTranslation(0.1, (-0.2, 0.3), "wrap", "nearest", 1, 2.0),
    lambda: layers.RandomRotation((0.1, 0.2), fill_mode="constant", seed=1),
    lambda: layers.RandomZoom(0.2, (0.1, 0.2), "nearest", seed=1),
    lambda: layers.RandomContrast((0.1, 0.2), (0, 1), 1),
    lambda: layers.RandomBrightness(0.1, (0, 1), 1, data_format="channels_first"),
    lambda: layers.RandomErasing(0.5, 0.2, (1.0, 2.0, 3.0), (0, 1), 1),
    lambda: layers.Permute((1,)),
    lambda: layers.RepeatVector(3),
    *(lambda kind=kind: kind(4, 2, 2, "same", name=kind.__name__) for kind in (
        layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.SeparableConv1D,
        layers.SeparableConv2D)),
    *(lambda kind=kind: kind(4, 3, 2, "same", output_padding=1, kernel_regularizer="l2")
      for kind in (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)),
    *(lambda kind=kind: kind(2, padding="same", depth_multiplier=2, activation="gelu",
                             depthwise_constraint="max_norm", depthwise_initializer="he_normal")
      for kind in (layers.DepthwiseConv1D, layers.DepthwiseConv2D)),
]  # fmt: skip


@pytest.mark.parametrize("make", CONFIGURED)
@pytest.mark.parametrize("built", [False, True])
def test_an_equal_layer_can_be_made_from_its_configuration(make, built):
    import json

    layer = make()
    x = sample(layer)
    if built:
        layer(x)
    config = json.loads(json.dumps(layer.get_config()))
    again = type(layer).from_config(config)
    assert json.loads(json.dumps(again.get_config())) == config
    assert again.name == layer.name
    out = layer(x)
    again(x)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(out.numpy(), again(x).numpy())


def sample(layer):
    """A batch that fits the layer: rows, or where it has a rank signals, images or volumes."""
    if layer.takes_several:
        return [X, X + 1]
    rank = getattr(layer, "rank", 0)
    return RNG.normal(size=(4, *(6,) * rank, 3)).astype("float32") if rank else X


def test_every_layer_is_in_the_configurations():
    known = {type(make()) for make in CONFIGURED} | {layers.Layer}
    made = [getattr(layers, name) for name in layers.__all__]
    assert {kind for kind in made if isinstance(kind, type)} == known


# ---- dropout -------------------------------------------------------------------------------------


def test_dropout_keeps_the_mean_and_drops_its_share(backend):
    with lamina.use(backend.backend):
        layer = layers.Dropout(0.3, seed=1)
        x = backend.asarray(np.ones((200, 500), "float32"))
        out = layer(x, training=True).numpy()
    kept = out != 0
    np.testing.assert_allclose(out[kept], 1 / 0.7, rtol=1e-6)
    assert abs(kept.mean() - 0.7) < 5 * np.sqrt(0.3 * 0.7 / out.size)
    assert abs(out.mean() - 1) < 0.01


def test_dropout_does_nothing_when_the_model_is_used():
    layer = layers.Dropout(0.9)
    np.testing.assert_array_equal(layer(X).numpy(), X)
    np.testing.assert_array_equal(layer(X, training=False).numpy(), X)
    np.testing.assert_array_equal(layers.Dropout(0)(X, training=True).numpy(), X)


def test_dropout_is_repeatable_by_seed_and_new_in_each_call():
    x = np.ones((8, 8), "float32")
    one, same, other = (layers.Dropout(0.5, seed=s) for s in (7, 7, 8))
    first, second = one(x, training=True).numpy(), one(x, training=True).numpy()
    assert (first != second).any()
    np.testing.assert_array_equal(first, same(x, training=True).numpy())
    assert (other(x, training=True).numpy() != first).any()


def test_dropout_masks_may_be_shared_along_an_axis():
    layer = layers.Dropout(0.5, noise_shape=(None, 1, 6), seed=0)
    out = layer(np.ones((5, 7, 6), "float32"), training=True).numpy()
    assert (out == out[:, :1]).all()
    assert (out[:, 0] != out[:1, 0]).any()


def test_dropout_used_twice_in_a_step_draws_twice():
    class Twice(lamina.Model):
        def __init__(self):
            super().__init__()
            self.drop, self.out = layers.Dropout(0.5), layers.Dense(1)
            self.seen = []

        def call(self, inputs):
            once, again = self.drop(inputs), self.drop(inputs)
            self.seen.append((once.numpy(), again.numpy()))
            return self.out(once + again)

    model = Twice()
    model.compile("sgd", "mse")
    model.train_on_batch(np.ones((20, 20)), np.ones((20, 1)))
    once, again = model.seen[-1]
    assert (once != again).any()
    assert (once == 0).any(), "layers inside are told that this is training"


# ---- normalization -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "axis, over", [(-1, (0, 1)), (None, (0, 1, 2)), ((1, 2), (0,)), (1, (0, 2)), ((2,), (0, 1))]
)
@pytest.mark.parametrize("batch_size", [None, 7])
def test_adapt_learns_what_numpy_says(axis, over, batch_size, backend):
    x = RNG.normal(3, 2, size=(50, 4, 5)).astype("float32")
    with lamina.use(backend.backend):
        layer = layers.Normalization(axis=axis)
        layer.adapt(backend.asarray(x), batch_size=batch_size)
        out = layer(backend.asarray(x)).numpy()
    mean = x.mean(axis=over, keepdims=True, dtype="float64")
    variance = x.var(axis=over, keepdims=True, dtype="float64")
    np.testing.assert_allclose(out, (x - mean) / np.sqrt(variance), rtol=1e-4, atol=1e-5)
    back = layers.Normalization(axis=axis, mean=mean[0], variance=variance[0], invert=True)
    np.testing.assert_allclose(back(out).numpy(), x, rtol=1e-4, atol=1e-4)


def test_adapt_loses_no_digits_far_from_zero():
    x = 1e6 + RNG.normal(size=(1000, 1))
    layer = layers.Normalization(dtype="float64")
    layer.adapt(x, batch_size=10)
    np.testing.assert_allclose(layer.get_weights()[1], [[x.var()]], rtol=1e-8)


def test_adapt_reads_a_file_in_pieces(tmp_path, monkeypatch):
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", "float32", (1000, 3))
    x[:] = RNG.normal(size=x.shape)
    monkeypatch.setattr("lamina.layers.rescaling._PIECE", 300)
    layer = layers.Normalization()
    layer.adapt(x)
    np.testing.assert_allclose(layer.get_weights()[0], x.mean(0, keepdims=True), atol=1e-5)


def test_adapt_takes_lists_and_tables():
    pandas = pytest.importorskip("pandas")
    layer = layers.Normalization()
    layer.adapt([[1.0, 10.0], [3.0, 30.0]])
    np.testing.assert_allclose(layer([[2.0, 20.0]]).numpy(), [[0, 0]])
    layer.adapt(pandas.DataFrame({"a": [0, 2], "b": [0, 4]}))
    np.testing.assert_allclose(layer.get_weights()[1], [[1, 4]])


def test_normalization_needs_its_statistics():
    layer = layers.Normalization(name="scale")
    with pytest.raises(ValueError, match=r'"scale" knows no mean and variance yet: call adapt'):
        layer(X)
    with pytest.raises(ValueError, match="NaN or infinity"):
        layer.adapt(np.array([[1.0, np.nan, 1.0]]))
    with pytest.raises(ValueError, match="no data"):
        layer.adapt(np.zeros((0, 3)))
    layer.adapt(X)
    with pytest.raises(ValueError, match=r"samples of shape \(3,\), got \(4, 2\)"):
        layer.adapt(X[:, :2])
    with pytest.raises(ValueError, match="batch, axis 0"):
        layers.Normalization(axis=0).adapt(X)


def test_a_constant_feature_becomes_zero():
    layer = layers.Normalization()
    layer.adapt(np.full((5, 1), 3.0))
    np.testing.assert_array_equal(layer(np.full((2, 1), 3.0, "float32")).numpy(), [[0], [0]])


# ---- what layers add to the loss, and layers of one's own ----------------------------------------


def test_an_activity_regularizer_adds_its_mean_per_sample(backend):
    model = lamina.Sequential(
        [layers.Dense(2, activity_regularizer=lamina.regularizers.L2(0.5), input_dim=3)],
        backend=backend.backend,
    )
    model.compile("sgd", "mse")
    target = np.ones((4, 2), "float32")
    kernel = model.get_weights()[0]
    out = X @ kernel
    expected = ((out - 1) ** 2).mean() + 0.5 * (out**2).sum() / 4
    loss = model.evaluate(X, target, verbose=0)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(model.train_on_batch(X, target), expected, rtol=1e-5)
    gradient = X.T @ ((out - 1) * 2 / 8 + out / 4)
    moved = model.get_weights()[0]
    np.testing.assert_allclose(moved, kernel - 0.01 * gradient, rtol=1e-4, atol=1e-6)


def test_training_reaches_layers_inside_of_a_call_that_is_not_told():
    class Told(layers.Layer):
        def call(self, inputs, training=False):
            return inputs * (2.0 if training else 1.0)

    class Untold(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inside = {"list": [Told()]}

        def call(self, inputs):
            return self.inside["list"][0](inputs)

    layer = lamina.Sequential([Untold(), layers.Dropout(0.0)])
    x = np.ones((1, 1), "float32")
    assert layer(x).item() == 1
    assert layer(x, training=True).item() == 2
    assert layer(x).item() == 1

    class Decorated(Told):
        call = lamina.no_grad()(Told.call)

    told = Decorated()
    told(x)
    assert told(x, training=True).item() == 2


def test_a_layer_of_ones_own_is_trained(backend, no_sync):
    model = lamina.Sequential([layers.Input((3,)), Scale()], backend=backend.backend)
    model.compile(lamina.optimizers.SGD(0.1), "mse")
    before = model.get_weights()[0]
    with no_sync():
        model.fit(backend.asarray(X), backend.asarray(X * 0), verbose=0)
    after = model.get_weights()[0]
    np.testing.assert_allclose(after, before - 0.1 * (2 * X**2 / 12).sum(0), rtol=1e-5)


def test_add_loss_in_a_call_is_trained_on():
    class Penal(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight((), "ones", name="w")

        def call(self, inputs):
            self.add_loss(3.0 * self.w * self.w)
            return inputs

    model = lamina.Sequential([Penal(), layers.Dense(1, kernel_initializer="zeros")])
    model.compile(lamina.optimizers.SGD(0.1), "mse")
    assert model.train_on_batch(X, np.zeros((4, 1))) == pytest.approx(3.0)
    assert model.get_weights()[0] == pytest.approx(1 - 0.1 * 6)


def test_layers_live_where_their_input_does(backend):
    layer = layers.Dense(2)
    layer(backend.asarray(X))
    assert backend.backend.owns(layer.kernel.data)


@pytest.mark.parametrize(
    "name, expected",
    [("Dense", "dense"), ("LeakyReLU", "leaky_re_lu"), ("PReLU", "p_re_lu"), ("ELU", "elu")],
)
def test_layers_are_named_after_their_class(name, expected):
    arguments = (3,) if name == "Dense" else ()
    assert getattr(layers, name)(*arguments).name.startswith(expected)


def test_an_option_that_does_not_exist():
    with pytest.raises(
        TypeError, match="Dense has no option 'activaton': did you mean 'activation'"
    ):
        layers.Dense(3, activaton="relu")
    with pytest.raises(TypeError, match="'init'.*kernel_initializer today"):
        layers.Dense(3, init="uniform")
    with pytest.raises(TypeError, match="'inputshape': did you mean 'input_shape'"):
        layers.Dense(3, inputshape=(2,))


class Forgetful(layers.Layer):
    def __init__(self):
        self.units = 3


def test_a_layer_that_forgot_its_base_says_so():
    message = r"Forgetful.__init__ must call super\(\).__init__\(\*\*kwargs\)"
    for use in (
        lambda: Forgetful()(X),
        lambda: lamina.Sequential([Forgetful()]),
        lambda: Forgetful().name,
        lambda: Forgetful().weights,
        lambda: Forgetful().trainable,
        lambda: Forgetful().add_weight((3,)),
    ):
        with pytest.raises(AttributeError, match=message):
            use()


def test_other_attributes_that_are_missing_are_as_always():
    class Broken(layers.Layer):
        @property
        def scale(self):
            return self.factor

    with pytest.raises(AttributeError, match="object has no attribute 'factor'"):
        _ = Broken().scale
    assert pickle.loads(pickle.dumps(layers.Dense(3, name="copied"))).name == "copied"
    assert copy.deepcopy(layers.Dense(3, name="copied")).name == "copied"


def test_the_shape_of_a_weight_comes_first():
    layer = layers.Layer()
    with pytest.raises(TypeError, match=r"the shape comes first: add_weight\(shape, .*name="):
        layer.add_weight("w", (4, 3))
    with pytest.raises(TypeError, match=r"needs the shape as a tuple, got 4: write \(4,\)"):
        layer.add_weight(4)
    assert layer.weights == []


def test_one_axis_is_one_axis():
    class Same(layers.Layer):
        def call(self, inputs):
            return inputs

    layer = Same()
    layer.build_for((None,))
    with pytest.raises(ValueError, match="inputs with 1 axis, got"):
        layer(X)
