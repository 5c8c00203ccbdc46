"""Noise layers: what they do to mean and variance, where they act, repeatability."""

import numpy as np
import pytest

import lamina
from lamina import layers

RNG = np.random.default_rng(0)
ONES = np.ones((400, 300), "float32")


@pytest.mark.parametrize(
    ("make", "mean", "stddev"),
    [
        (lambda: layers.GaussianNoise(0.3, seed=1), 1.0, 0.3),
        (lambda: layers.GaussianDropout(0.2, seed=1), 1.0, 0.5),
    ],
)
def test_noise_has_its_mean_and_deviation(make, mean, stddev, backend):
    with lamina.use(backend.backend):
        layer = make()
        out = layer(backend.asarray(ONES), training=True)
        assert backend.backend.owns(out.data)
        assert out.dtype == backend.xp.float32
    noise = out.numpy()
    error = stddev / np.sqrt(noise.size)
    assert abs(noise.mean() - mean) < 4 * error
    assert abs(noise.std() - stddev) < 4 * error
    third = ((noise - mean) ** 3).mean() / stddev**3
    fourth = ((noise - mean) ** 4).mean() / stddev**4
    assert abs(third) < 0.05
    assert abs(fourth - 3) < 0.1


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_alpha_dropout_keeps_mean_and_variance(rate, backend):
    x = RNG.normal(size=(400, 300)).astype("float32")
    with lamina.use(backend.backend):
        out = layers.AlphaDropout(rate, seed=3)(backend.asarray(x), training=True).numpy()
    assert abs(out.mean()) < 0.02
    assert abs(out.std() - 1) < 0.02
    low = -1.0507009873554805 * 1.6732632423543772
    a = ((1 - rate) * (1 + rate * low**2)) ** -0.5
    b = -a * low * rate
    dropped = np.isclose(out, a * low + b, atol=1e-6)
    assert abs(dropped.mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / out.size)
    np.testing.assert_allclose(out[~dropped], a * x[~dropped] + b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "shape", "over"),
    [
        (lambda: layers.SpatialDropout1D(0.3, seed=1), (50, 6, 40), (1,)),
        (lambda: layers.SpatialDropout2D(0.3, seed=1), (50, 6, 5, 40), (1, 2)),
        (lambda: layers.SpatialDropout2D(0.3, "channels_first", 1), (50, 40, 6, 5), (2, 3)),
        (lambda: layers.SpatialDropout3D(0.3, seed=1), (50, 3, 2, 5, 40), (1, 2, 3)),
    ],
)
def test_spatial_dropout_drops_whole_channels(make, shape, over, backend):
    with lamina.use(backend.backend):
        out = make()(backend.asarray(np.ones(shape, "float32")), training=True).numpy()
    kept = out != 0
    np.testing.assert_allclose(out[kept], 1 / 0.7, rtol=1e-6)
    assert (kept.all(over) | ~kept.any(over)).all()
    assert abs(kept.mean() - 0.7) < 5 * np.sqrt(0.21 / 2000)


NOISE = [
    lambda seed: layers.GaussianNoise(0.5, seed=seed),
    lambda seed: layers.GaussianDropout(0.5, seed=seed),
    lambda seed: layers.AlphaDropout(0.5, seed=seed),
    lambda seed: layers.SpatialDropout1D(0.5, seed=seed),
]


@pytest.mark.parametrize("make", NOISE)
def test_noise_is_of_training_alone_and_repeatable(make):
    x = np.ones((8, 5, 6), "float32")
    np.testing.assert_array_equal(make(1)(x).numpy(), x)
    np.testing.assert_array_equal(make(1)(x, training=False).numpy(), x)
    one, same, other = make(7), make(7), make(8)
    first, second = one(x, training=True).numpy(), one(x, training=True).numpy()
    assert (first != second).any()
    np.testing.assert_array_equal(same(x, training=True).numpy(), first)
    assert (other(x, training=True).numpy() != first).any()


@pytest.mark.parametrize("make", NOISE[:3])
def test_the_gradient_is_that_of_the_same_noise(make):
    x = RNG.normal(size=(8, 5))
    twice = [make(2), make(2)]
    t = lamina.Tensor(x, requires_grad=True)
    out = twice[0](t, training=True)
    lamina.xp.sum(out).backward()
    moved = twice[1](x + 1e-3, training=True).numpy()
    np.testing.assert_allclose((moved - out.numpy()) / 1e-3, t.grad, rtol=1e-6, atol=1e-8)


def test_noise_in_a_model_does_not_depend_on_workers_or_backends(backend):
    def run(place):
        lamina.utils.set_random_seed(1)
        model = lamina.Sequential(
            [layers.Input((6,)), layers.GaussianNoise(0.5), layers.Dense(8, "selu"),
             layers.AlphaDropout(0.2), layers.GaussianDropout(0.2), layers.Dense(1)],
            backend=place,
        )  # fmt: skip
        model.compile("sgd", "mse")
        x = np.linspace(-1, 1, 240, dtype="float32").reshape(40, 6)
        model.fit(x, x[:, :1], epochs=2, verbose=0)
        return model.get_weights()

    for a, b in zip(run(backend.backend), run("numpy"), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: layers.GaussianNoise(-0.1), "stddev from 0 on, got -0.1"),
        (lambda: layers.GaussianNoise("much"), "stddev from 0 on"),
        (lambda: layers.GaussianDropout(1.0), "rate from 0 to below 1, got 1.0"),
        (lambda: layers.AlphaDropout(-0.5), "rate from 0 to below 1"),
        (lambda: layers.GaussianNoise(0.1, seed=0.5), "seed as a whole number"),
        (lambda: layers.Dropout(0.5, seed="a"), "seed as a whole number from 0 on, got 'a'"),
        (lambda: layers.RandomFlip(seed="a"), "seed as a whole number from 0 on, got 'a'"),
        (lambda: layers.SpatialDropout2D(0.1, "last"), '"channels_last" or "channels_first"'),
        (lambda: layers.SpatialDropout1D(0.1)(ONES), r"shape \(batch, steps, channels\), got"),
        (lambda: layers.SpatialDropout2D(0.1, "channels_first")(ONES), "channels, height, width"),
    ],
)
def test_wrong_settings_of_noise(make, match):
    with pytest.raises(ValueError, match=match):
        make()
