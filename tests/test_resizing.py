"""Images in other sizes and shapes: against PyTorch and Keras where installed, and NumPy."""


import numpy as np
import pytest

import lamina
from lamina import layers, ops
from lamina.testing import check_grads

RNG = np.random.default_rng(0)


def keras():
    pytest.importorskip("jax")
    return pytest.importorskip("keras")


SIZES = [
    ((2, 5, 3), 8, "linear"),
    ((2, 7, 1), 3, "linear"),
    ((2, 4, 6, 3), (7, 9), "bilinear"),
    ((2, 9, 8, 2), (3, 5), "bilinear"),
    ((2, 1, 3, 2), (2, 2), "bilinear"),
    ((2, 4, 6, 3), (4, 6), "bilinear"),
    ((0, 4, 6, 3), (2, 3), "bilinear"),
    ((1, 3, 4, 2, 2), (4, 2, 5), "trilinear"),
    ((2, 5, 3), 8, "nearest-exact"),
    ((2, 9, 8, 2), (4, 11), "nearest-exact"),
    ((1, 3, 4, 2, 2), (4, 2, 5), "nearest-exact"),
]


@pytest.mark.parametrize("shape, size, mode", SIZES)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_values_and_gradients_are_pytorchs(shape, size, mode, data_format, backend):
    torch = pytest.importorskip("torch")
    x = RNG.normal(size=shape)
    first = torch.tensor(np.moveaxis(x, -1, 1).copy(), requires_grad=True)
    align = None if mode.startswith("nearest") else False
    if x.size:
        out = torch.nn.functional.interpolate(first, size, mode=mode, align_corners=align)
    else:
        out = first[:, :, :2, :3]
    weight = RNG.normal(size=out.shape)
    out.backward(torch.tensor(weight))
    last = data_format == "channels_last"
    given, weight = (x, np.moveaxis(weight, 1, -1)) if last else (np.moveaxis(x, -1, 1), weight)
    t = lamina.Tensor(backend.asarray(np.ascontiguousarray(given)), requires_grad=True)
    name = "nearest" if mode.startswith("nearest") else "bilinear"
    y = ops.resize(t, size=size, interpolation=name, data_format=data_format)
    lamina.xp.sum(y * backend.asarray(np.ascontiguousarray(weight))).backward()
    back = (lambda a: np.moveaxis(a, -1, 1)) if last else (lambda a: a)
    got = back(backend.to_numpy(t.grad))
    np.testing.assert_allclose(back(y.numpy()), out.detach().numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(got, first.grad.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"])
@pytest.mark.parametrize("antialias", [False, True])
def test_every_interpolation_is_keras(name, antialias):
    theirs = keras()
    size = (4, 17) if antialias else (5, 14)
    x = RNG.normal(size=(2, 9, 11, 2)).astype("float32")
    expected = theirs.ops.image.resize(x, size, name, antialias, data_format="channels_last")
    out = ops.resize(x, size=size, interpolation=name, antialias=antialias)
    np.testing.assert_allclose(out, np.asarray(expected), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic", "lanczos3"])
@pytest.mark.parametrize("size", [(3, 8), (7, 2)])
def test_gradients_are_those_of_finite_differences(name, size):
    x = RNG.normal(size=(2, 4, 5, 2))
    check_grads(lambda x: ops.resize(x * x, size=size, interpolation=name, antialias=True), (x,))
    check_grads(lambda x: ops.up_sample(x * x, size=(1, 2), interpolation=name), (x,))


@pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"])
def test_one_colour_stays_one_colour(name, backend):
    x = backend.asarray(np.full((1, 7, 5, 2), 3.0))
    for antialias in (False, True):
        out = ops.resize(x, size=(4, 11), interpolation=name, antialias=antialias)
        np.testing.assert_allclose(backend.to_numpy(out), 3.0, rtol=1e-14)


def test_an_image_of_that_size_stays_as_it_is():
    x = RNG.normal(size=(2, 4, 5, 2))
    x[0, 1, 2] = np.inf
    for name in ("nearest", "bilinear", "bicubic"):
        np.testing.assert_array_equal(ops.resize(x, size=(4, 5), interpolation=name), x)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_nearest_up_sampling_repeats(rank, backend):
    x = RNG.normal(size=(2, *(3, 2, 4)[:rank], 3)).astype("float32")
    with lamina.use(backend.backend):
        out = getattr(layers, f"UpSampling{rank}D")(3)(backend.asarray(x))
    for axis in range(1, rank + 1):
        x = np.repeat(x, 3, axis=axis)
    np.testing.assert_array_equal(out.numpy(), x)
    layer = getattr(layers, f"UpSampling{rank}D")()
    assert layer.compute_output_shape((None, *(None, 4, 5)[:rank], 3)) == (
        None, *(None, 8, 10)[:rank], 3
    )  # fmt: skip


def test_up_sampling_between_pixels_is_resizing():
    x = RNG.normal(size=(2, 3, 4, 5)).astype("float32")
    for data_format in ("channels_last", "channels_first"):
        layer = layers.UpSampling2D((2, 3), data_format, interpolation="bilinear")
        size = (6, 12) if data_format == "channels_last" else (8, 15)
        expected = ops.resize(x, size=size, data_format=data_format)
        np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(2, 8, 5, 3), (2, 5, 13, 3)])
@pytest.mark.parametrize("how", [{}, {"crop_to_aspect_ratio": True}, {"pad_to_aspect_ratio": True}])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_resizing_is_keras(shape, how, data_format):
    theirs = keras()
    x = RNG.normal(size=shape).astype("float32")
    if data_format == "channels_first":
        x = np.moveaxis(x, -1, 1).copy()
    settings = {"fill_value": 0.5, "data_format": data_format, **how}
    expected = np.asarray(theirs.layers.Resizing(4, 7, **settings)(x))
    layer = layers.Resizing(4, 7, **settings)
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-5, atol=1e-6)
    assert layer.compute_output_shape((None, *x.shape[1:])) == (None, *expected.shape[1:])


@pytest.mark.parametrize(
    "make, width",
    [
        (lambda **how: layers.ZeroPadding1D(**how), ((1, 1),)),
        (lambda **how: layers.ZeroPadding1D((0, 2), **how), ((0, 2),)),
        (lambda **how: layers.ZeroPadding2D(**how), ((1, 1), (1, 1))),
        (lambda **how: layers.ZeroPadding2D((1, 2), **how), ((1, 1), (2, 2))),
        (lambda **how: layers.ZeroPadding2D(((1, 0), (2, 3)), **how), ((1, 0), (2, 3))),
        (lambda **how: layers.ZeroPadding3D(2, **how), ((2, 2),) * 3),
    ],
)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_zero_padding_is_numpys_and_cropping_undoes_it(make, width, data_format, backend):
    rank = len(width)
    x = RNG.normal(size=(2, *(3, 4, 2)[:rank], 5)).astype("float32")
    none = (0, 0)
    last = data_format == "channels_last"
    with lamina.use(backend.backend):
        out = make(data_format=data_format)(backend.asarray(x))
        undo = getattr(layers, f"Cropping{rank}D")(
            width[0] if rank == 1 else width, data_format=data_format
        )
        again = undo(out)
    expected = np.pad(x, (none, *width, none) if last else (none, none, *width))
    np.testing.assert_array_equal(out.numpy(), expected)
    np.testing.assert_array_equal(again.numpy(), x)


def test_gradients_of_borders_and_axes():
    x = RNG.normal(size=(2, 4, 5, 2))
    width = ((0, 0), (1, 2), (0, 1), (0, 0))
    check_grads(lambda x: ops.pad(x * x, pad_width=width, value=3.0), (x,))
    check_grads(lambda x: ops.crop(x * x, cropping=width), (x,))
    check_grads(lambda x: ops.permute(x * x, axes=(0, 3, 1, 2)), (x,))
    check_grads(lambda x: ops.repeat_vector(x * x, n=3), (x[:, 0, 0],))


def test_permute_and_repeat_vector(backend):
    x = RNG.normal(size=(2, 3, 4)).astype("float32")
    with lamina.use(backend.backend):
        swapped = layers.Permute((2, 1))(backend.asarray(x))
        repeated = layers.RepeatVector(3)(backend.asarray(x[:, 0]))
    np.testing.assert_array_equal(swapped.numpy(), x.transpose(0, 2, 1))
    np.testing.assert_array_equal(repeated.numpy(), np.stack([x[:, 0]] * 3, axis=1))
    assert layers.Permute((2, 1)).compute_output_shape((None, 3, None)) == (None, None, 3)
    assert layers.RepeatVector(3).compute_output_shape((None, 7)) == (None, 3, 7)


def test_they_train_without_a_tape():
    from lamina.models.chain import links_of

    stack = [
        layers.Input((4, 4, 2)), layers.ZeroPadding2D(), layers.UpSampling2D(),
        layers.Permute((3, 1, 2)), layers.Cropping2D(1, data_format="channels_first"),
        layers.Resizing(3, 3, data_format="channels_first"), layers.GlobalMaxPooling2D(
            "channels_first"), layers.RepeatVector(2), layers.Flatten(), layers.Dense(1),
    ]  # fmt: skip
    model = lamina.Sequential(stack)
    assert links_of(model) is not None
    model.compile("sgd", "mse")
    x = RNG.normal(size=(4, 4, 4, 2)).astype("float32")
    before = model.get_weights()[0]
    loss = model.train_on_batch(x, np.ones((4, 1)))
    np.testing.assert_allclose(loss, np.mean((features(stack, x) @ before - 1) ** 2), rtol=1e-5)


def features(stack, x):
    for layer in stack[:-1]:
        x = layer(x)
    return x.numpy()


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: layers.Resizing(0, 4), "height as a whole number from 1 on, got 0"),
        (lambda: layers.Resizing(4, 4, "bilinaer", name="r"), "\"r\": unknown .*mean 'bilinear'"),
        (lambda: layers.Resizing(4, 4, "bilinear", True, True), "takes one of .* got both"),
        (lambda: layers.Resizing(4, 4, fill_mode="wrap"), 'needs fill_mode "constant"'),
        (lambda: layers.UpSampling2D(0), "size is one whole number from 1 on"),
        (lambda: layers.UpSampling2D(interpolation="area"), "unknown interpolation 'area'"),
        (lambda: layers.ZeroPadding2D((1, 2, 3)), r"padding as .* 2 numbers, or 2 pairs"),
        (lambda: layers.ZeroPadding1D(-1), "padding as a whole number from 0 on, got -1"),
        (lambda: layers.ZeroPadding1D((1, 2, 3)), r"or one pair, got"),
        (lambda: layers.Cropping2D(((1, 2), (3,))), "cropping as"),
        (lambda: layers.Permute((0, 1)), "dims with the numbers from 1 on"),
        (lambda: layers.Permute((1, 1)), "each once"),
        (lambda: layers.RepeatVector(0), "n as a whole number from 1 on"),
    ],
)
def test_a_wrong_setting_is_told_at_once(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize(
    "make, shape, match",
    [
        (lambda: layers.Cropping2D(2, name="cut"), (3, 4, 9, 1),
         r'"cut" expects images of at least \(5, 5\), got \(None, 4, 9, 1\): crop less'),
        (lambda: layers.Resizing(3, 3), (3, 0, 9, 1), "images with elements"),
        (lambda: layers.Resizing(3, 3), (3, 9, 1), r"add a channel axis, x\[..., None\]"),
        (lambda: layers.UpSampling1D(), (3, 9), r"\(batch, steps, channels\)"),
        (lambda: layers.Permute((2, 1)), (3, 9), "inputs with 3 axes"),
        (lambda: layers.RepeatVector(2), (3, 9, 1), r"\(batch, features\)"),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit_name_the_layer(make, shape, match):
    with pytest.raises(ValueError, match=match):
        make()(np.zeros(shape, "float32"))


@pytest.mark.parametrize(
    "call, match",
    [
        (lambda x: ops.resize(x, size=0), "size is one whole number from 1 on"),
        (lambda x: ops.resize(x, size=2, interpolation="cubic"), "unknown .*mean 'bicubic'"),
        (lambda x: ops.resize(x[:, :0], size=2), "without elements cannot be resized"),
        (lambda x: ops.pad(x, pad_width=((0, 0),)), "pad_width has two whole numbers .* 4 axes"),
        (lambda x: ops.pad(x, pad_width=((0, -1),) * 4), "pad_width has two whole numbers"),
        (lambda x: ops.crop(x, cropping=((0, 0), (2, 2), (0, 0), (0, 0))), "leave something"),
    ],
)
def test_what_makes_no_sense(call, match):
    with pytest.raises(ValueError, match=match):
        call(np.zeros((2, 4, 4, 1)))


def test_images_of_mixed_sizes():
    images = [np.zeros((28, 28, 3)), np.zeros((32, 30, 3)), np.zeros((28, 28, 3))]
    model = lamina.Sequential([layers.GlobalAveragePooling2D(), layers.Dense(1)])
    match = r"x has images of different sizes, \(28, 28, 3\) and \(32, 30, 3\).*layers.Resizing"
    with pytest.raises(ValueError, match=match):
        model.predict(images)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=match):
        model.fit(images, np.zeros((3, 1)), verbose=0)
    with pytest.raises(ValueError, match=match):
        model.fit(np.array(images, dtype=object), np.zeros((3, 1)), verbose=0)
    resize = layers.Resizing(24, 24)
    model.predict([resize(image[None])[0].numpy() for image in images])
