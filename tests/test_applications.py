"""Architectures: published numbers of parameters, shapes, training, PyTorch's steps."""

import numpy as np
import pytest

import lamina
from lamina import applications, layers

RNG = np.random.default_rng(0)


def trained(model) -> int:
    return sum(p.size for p in model.trainable_weights)


def test_lenet_has_61706_parameters():
    model = applications.LeNet5()
    assert trained(model) == model.count_params() == 61_706
    shapes = [layer.compute_output_shape(layer._input_shape)[1:] for layer in model.layers]
    assert shapes[:4] == [(28, 28, 6), (14, 14, 6), (10, 10, 16), (5, 5, 16)]
    assert model.output_shape == (None, 10)


def test_resnet20_has_270_thousand_parameters():
    model = applications.ResNet20()
    assert trained(model) == 269_722  # 0.27 M in the paper's table 6
    convolutions = [x for x in model.layers_within() if isinstance(x, layers.Conv2D)]
    assert len(convolutions) == 19
    assert model.layers[3].get_config()["shortcut"] == "padding"
    assert model.output_shape == (None, 10)


def test_resnet18_has_11_7_million_parameters():
    model = applications.ResNet18((32, 32, 3))  # as many for any size; small ones are soon built
    assert trained(model) == 11_689_512
    assert model.output_shape == (None, 1000)
    last = [layer for layer in model.layers if isinstance(layer, applications.ResidualBlock)][-1]
    assert last.compute_output_shape((None, 14, 14, 256 * 2)) == (None, 14, 14, 512)


def test_small_vgg_and_its_parameters():
    model = applications.SmallVGG()
    stages = [(3, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128)]
    expected = sum(9 * a * b + 2 * b for a, b in stages) + (4 * 4 * 128 + 1) * 128 + 129 * 10
    assert trained(model) == expected
    assert model.predict(np.zeros((2, 32, 32, 3)), verbose=0).shape == (2, 10)


def test_unet_gives_classes_for_every_pixel(backend):
    model = applications.UNet(filters=4, depth=2, classes=3, backend=backend.backend)
    assert model.output_shape == (None, None, None, 3)
    for size in ((8, 12), (16, 4)):
        out = model.predict(RNG.normal(size=(2, *size, 1)), verbose=0)
        assert out.shape == (2, *size, 3)
        np.testing.assert_allclose(out.sum(-1), 1, rtol=1e-5)

    def pair(a, b):
        return 9 * a * b + b + 9 * b * b + b

    ups = (4 * 16 * 8 + 8) + (4 * 8 * 4 + 4)
    expected = pair(1, 4) + pair(4, 8) + pair(8, 16) + ups + pair(16, 8) + pair(8, 4) + 5 * 3
    assert trained(model) == expected
    with pytest.raises(ValueError, match="heights and widths that are multiples of 4.*pad or"):
        model(backend.asarray(np.zeros((1, 8, 10, 1), "float32")))


def test_a_summary_shows_no_size_that_was_only_tried():
    """Layers within layers too say None where the image may be of any size."""
    lines = []
    model = applications.UNet((None, 16, 3), filters=2, depth=1)
    model.summary(print_fn=lines.append, expand_nested=True)
    shapes = [line.split("(")[2].split(")")[0] for line in lines if line.startswith("│")]
    ends = ["16, 2"] * 3 + ["8, 2"] + ["8, 4"] * 3 + ["16, 2", "16, 4"] + ["16, 2"] * 3
    assert shapes == [f"None, None, {end}" for end in ends]


def test_an_autoencoder_gives_images_back_through_few_numbers():
    lamina.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(40, 3)).astype("float32")  # images of three numbers each
    images = (x @ rng.uniform(size=(3, 64)).astype("float32") / 3).reshape(-1, 8, 8, 1)
    model = applications.ConvAutoencoder((8, 8, 1), latent=3, filters=(8, 16))
    model.compile(lamina.optimizers.Adam(0.01), "mse")
    model.fit(images, images, epochs=300, batch_size=10, verbose=0)
    codes = model.encoder.predict(images, verbose=0)
    assert codes.shape == (40, 3)
    again = model.decoder.predict(codes, verbose=0)
    np.testing.assert_allclose(again, model.predict(images, verbose=0), rtol=1e-5)
    assert ((again - images) ** 2).mean() < 0.1 * images.var(axis=0).mean()
    with pytest.raises(ValueError, match="multiples of 4, to be halved 2 times"):
        applications.ConvAutoencoder((10, 10, 1))


def test_resnet20_overfits_64_images():
    lamina.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 8, 8, 3)).astype("float32")
    y = rng.integers(0, 10, 64)
    model = applications.ResNet20((8, 8, 3), filters=8)
    model.compile(
        lamina.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    history = model.fit(x, y, epochs=30, batch_size=32, verbose=0).history
    assert history["loss"][-1] < 0.02
    assert history["accuracy"][-1] == 1.0


SMALL = [
    lambda **how: applications.LeNet5((12, 12, 1), 3, **how),
    lambda **how: applications.SmallVGG((8, 8, 1), 3, (4, 8), 8, **how),
    lambda **how: applications.ResNet20((8, 8, 1), 3, 4, **how),
    lambda **how: applications.ResNet18((32, 32, 1), 3, 4, **how),
]


@pytest.mark.parametrize("make", SMALL)
def test_each_trains_on_every_backend(make, backend, no_sync):
    lamina.utils.set_random_seed(0)
    model = make(backend=backend.backend, dtype="float64", classifier_activation=None)
    assert all(p.data.dtype == backend.xp.float64 for p in model.weights)
    loss = lamina.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(lamina.optimizers.SGD(0.01), loss)
    x, y = RNG.normal(size=(6, *model.input_shape[1:])), np.arange(6) % 3
    before = model.get_weights()
    with no_sync():
        model.fit(backend.asarray(x), backend.asarray(y, "int64"), verbose=0)
    assert np.mean([(a != b).any() for a, b in zip(before, model.get_weights(), strict=True)]) > 0.9


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: applications.ResidualBlock(4, shortcut="none"), '"projection" or "padding"'),
        (lambda: applications.ResidualBlock(0), "filters as a whole number"),
        (lambda: applications.ResidualBlock(4)(np.zeros((2, 4))), "images of shape"),
        (lambda: applications.ResidualBlock(4, shortcut="padding")(np.zeros((2, 8, 8, 6))),
         "at most 4 channels to add zeros to"),
        (lambda: applications.UNetLevel(4, -1), "depth as a whole number"),
        (lambda: applications.UNet((8, 8, 1), classes=1), 'classes=1.*activation="sigmoid"'),
    ],
)  # fmt: skip
def test_wrong_settings(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_an_application_that_is_not_there():
    with pytest.raises(AttributeError, match="no application 'ResNet19': did you mean 'ResNet18'"):
        _ = applications.ResNet19


@pytest.mark.parametrize("shortcut", ["padding", "projection"])
def test_several_steps_of_a_residual_network_are_pytorchs(shortcut):
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    lamina.utils.set_random_seed(0)
    model = lamina.Sequential(
        [
            layers.Input((9, 9, 2)),
            layers.Conv2D(4, 3, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
            layers.ReLU(),
            applications.ResidualBlock(4, 1, shortcut),
            applications.ResidualBlock(6, 2, shortcut),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, "softmax"),
        ],
        dtype="float64",
    )
    model.compile(lamina.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    start = {name: torch.tensor(p.numpy()) for name, p in model.named_weights().items()}
    trained = {n: v.requires_grad_() for n, v in start.items() if "moving" not in n}

    def convolution(x, path, stride=1):
        w = trained[path + "/kernel"].permute(3, 2, 0, 1)
        n, size = x.shape[-1], w.shape[-1]
        pad = max((-(-n // stride) - 1) * stride + size - n, 0)
        low, high = pad // 2, pad - pad // 2
        return F.conv2d(F.pad(x, (low, high, low, high)), w, stride=stride)

    def normalization(x, path):
        mean, variance = start[path + "/moving_mean"], start[path + "/moving_variance"]
        gamma, beta = trained[path + "/gamma"], trained[path + "/beta"]
        n = x.numel() / x.shape[1]
        with torch.no_grad():
            mean.mul_(0.9).add_(0.1 * x.mean((0, 2, 3)))
            variance.mul_(0.9).add_(0.1 * x.var((0, 2, 3), correction=0))
        assert n > 1
        return F.batch_norm(x, None, None, gamma, beta, training=True, eps=1e-5)

    def block(x, path, stride, filters):
        y = F.relu(normalization(convolution(x, path + "/0", stride), path + "/1"))
        y = normalization(convolution(y, path + "/3"), path + "/4")
        if stride > 1 and shortcut == "padding":
            x = F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, filters - x.shape[1]))
        elif stride > 1:
            x = normalization(convolution(x, path + "/5", stride), path + "/6")
        return F.relu(x + y)

    def network(x):
        x = F.relu(normalization(convolution(x, "model/0"), "model/1"))
        x = block(block(x, "model/3", 1, 4), "model/4", 2, 6)
        return x.mean((2, 3)) @ trained["model/6/kernel"] + trained["model/6/bias"]

    optimizer = torch.optim.SGD(trained.values(), 0.1, momentum=0.9)
    for _ in range(5):
        x, y = RNG.normal(size=(8, 9, 9, 2)), RNG.integers(0, 3, 8)
        ours = model.train_on_batch(x, y)
        optimizer.zero_grad()
        loss = F.cross_entropy(network(torch.tensor(x).permute(0, 3, 1, 2)), torch.tensor(y))
        loss.backward()
        optimizer.step()
        np.testing.assert_allclose(ours, loss.item(), rtol=1e-9)
    for name, p in model.named_weights().items():
        np.testing.assert_allclose(p.numpy(), start[name].detach().numpy(), rtol=1e-8, atol=1e-10)
