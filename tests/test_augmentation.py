"""Augmentation: known transforms exactly, ranges, repeatability, and Keras where installed."""


import numpy as np
import pytest

import lamina
from lamina import config, layers, ops
from lamina.testing import check_grads

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(size=(6, 8, 8, 3)).astype("float32")
WIDE = RNG.uniform(size=(4, 5, 7, 2)).astype("float32")

ALL = [
    lambda **how: layers.RandomFlip(**how),
    lambda **how: layers.RandomCrop(6, 5, **how),
    lambda **how: layers.RandomTranslation(0.3, 0.2, **how),
    lambda **how: layers.RandomRotation(0.2, **how),
    lambda **how: layers.RandomZoom(0.4, **how),
    lambda **how: layers.RandomContrast(0.5, (0, 1), **how),
    lambda **how: layers.RandomBrightness(0.3, (0, 1), **how),
    lambda **how: layers.RandomErasing((1, 1), value_range=(0, 1), **how),
]
NAMES = [make().__class__.__name__ for make in ALL]


def train(layer, x, backend=None):
    """The result in training, as a NumPy array with the channels last."""
    if backend is not None:
        x = backend.asarray(x)
    return layer(x, training=True).numpy()


# ---- the transform of the plane ------------------------------------------------------------------


def matrix(a, b, c, d, e, f, count=4):
    return np.tile(np.array([[a, b, c], [d, e, f]], "float32"), (count, 1, 1))


MODES = {"constant": "constant", "nearest": "edge", "reflect": "symmetric", "wrap": "wrap"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("shift", [(0, 0), (2, -1), (-3, 4), (9, 0)])
def test_a_shift_by_whole_pixels_is_a_slice(mode, interpolation, shift, backend):
    down, right = shift
    fill = {"constant_values": 9.0} if mode == "constant" else {}
    padded = np.pad(WIDE, ((0, 0), (9, 9), (9, 9), (0, 0)), MODES[mode], **fill)
    expected = padded[:, 9 + down : 14 + down, 9 + right : 16 + right]
    out = ops.affine_transform(
        backend.asarray(WIDE), backend.asarray(matrix(1, 0, right, 0, 1, down)),
        interpolation=interpolation, fill_mode=mode, fill_value=9.0,
    )  # fmt: skip
    np.testing.assert_allclose(backend.to_numpy(out), expected, rtol=1e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_any_transform_is_scipys(mode, interpolation, data_format):
    ndimage = pytest.importorskip("scipy.ndimage")
    x = WIDE.astype("float64")
    t = np.array([[0.91, -0.43, 1.37], [0.353, 1.21, -1.73]])
    rows, columns = np.mgrid[0:5, 0:7]
    place = [
        t[1, 0] * columns + t[1, 1] * rows + t[1, 2],
        t[0, 0] * columns + t[0, 1] * rows + t[0, 2],
    ]
    modes = {"constant": "constant", "wrap": "grid-wrap"}
    given = np.moveaxis(x, -1, 1) if data_format == "channels_first" else x
    out = ops.affine_transform(
        given, np.tile(t, (4, 1, 1)), interpolation=interpolation, fill_mode=mode, fill_value=0.5,
        data_format=data_format,
    )  # fmt: skip
    out = np.moveaxis(out, 1, -1) if data_format == "channels_first" else out
    if mode == "constant":  # SciPy fades to its constant within the first pixel outside, as we do
        modes["constant"] = "grid-constant"
    for n in range(4):
        for c in range(2):
            expected = ndimage.map_coordinates(
                x[n, ..., c], place, order=0 if interpolation == "nearest" else 1,
                mode=modes.get(mode, mode), cval=0.5,
            )  # fmt: skip
            np.testing.assert_allclose(out[n, ..., c], expected, rtol=1e-12, atol=1e-12)


def test_gradients_of_the_transform():
    x = WIDE[:2].astype("float64")
    t = np.tile(np.array([[0.91, -0.43, 1.37], [0.353, 1.21, -1.73]]), (2, 1, 1))
    for mode in MODES:
        check_grads(lambda x, t, mode=mode: ops.affine_transform(x * x, t, fill_mode=mode), (x, t))
    check_grads(lambda x: ops.affine_transform(x * x, t, interpolation="nearest"), (x,))
    starts = np.array([[0, 3], [2, 1]])
    check_grads(lambda x: ops.crop_each(x * x, starts, size=(3, 4)), (x,))


@pytest.mark.parametrize(
    "options, match",
    [
        ({"interpolation": "bicubic"}, "unknown interpolation 'bicubic'"),
        ({"fill_mode": "reflct"}, "unknown fill_mode 'reflct': did you mean 'reflect'"),
    ],
)
def test_transforms_that_make_no_sense(options, match):
    with pytest.raises(ValueError, match=match):
        ops.affine_transform(WIDE, matrix(1, 0, 0, 0, 1, 0), **options)
    with pytest.raises(ValueError, match=r"transform \(batch, 2, 3\), got \(4, 5, 7, 2\) and \(1,"):
        ops.affine_transform(WIDE, matrix(1, 0, 0, 0, 1, 0, count=1))


# ---- what every layer keeps to -------------------------------------------------------------------


@pytest.mark.parametrize("make", ALL, ids=NAMES)
def test_acts_in_training_only(make, backend):
    layer = make(seed=1)
    with lamina.use(backend.backend):
        used = layer(backend.asarray(IMAGES))
        trained = layer(backend.asarray(IMAGES), training=True)
    assert backend.backend.owns(trained.data)
    assert used.shape == trained.shape == layer.compute_output_shape(IMAGES.shape)
    assert trained.dtype == backend.xp.float32
    if isinstance(layer, layers.RandomCrop):
        np.testing.assert_array_equal(used.numpy(), IMAGES[:, 1:7, 1:6])
    else:
        np.testing.assert_array_equal(used.numpy(), IMAGES)
    assert (used.numpy() != trained.numpy()).any()
    assert np.isfinite(trained.numpy()).all()


@pytest.mark.parametrize("make", ALL, ids=NAMES)
def test_is_repeatable_by_seed_and_new_in_each_call(make):
    one, same, other = make(seed=7), make(seed=7), make(seed=8)
    first, second = train(one, IMAGES), train(one, IMAGES)
    assert (first != second).any()
    np.testing.assert_array_equal(first, train(same, IMAGES))
    np.testing.assert_array_equal(second, train(same, IMAGES))
    assert (train(other, IMAGES) != first).any()


@pytest.mark.parametrize("make", ALL, ids=NAMES)
def test_is_the_same_on_every_backend(make, backend):
    with lamina.use(backend.backend):
        out = train(make(seed=3), IMAGES, backend)
    np.testing.assert_allclose(out, train(make(seed=3), IMAGES), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", ALL, ids=NAMES)
def test_channels_may_come_first(make):
    first = train(make(seed=3, data_format="channels_first"), np.moveaxis(IMAGES, -1, 1).copy())
    last = train(make(seed=3), IMAGES)
    if "Erasing" in type(make()).__name__:  # its noise is drawn in the shape of the images
        make = lambda **how: layers.RandomErasing((1, 1), fill_value=0.5, **how)
        first = train(make(seed=3, data_format="channels_first"), np.moveaxis(IMAGES, -1, 1).copy())
        last = train(make(seed=3), IMAGES)
    np.testing.assert_allclose(np.moveaxis(first, 1, -1), last, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", ALL, ids=NAMES)
def test_images_differ_within_a_batch(make):
    same = np.repeat(IMAGES[:1], 32, axis=0)
    out = train(make(seed=2), same)
    assert len({image.tobytes() for image in out}) > 2


@pytest.mark.parametrize("make", ALL, ids=NAMES)
def test_an_empty_batch_stays_empty_and_inputs_are_not_written_to(make):
    layer = make(seed=1)
    assert train(layer, IMAGES[:0]).shape == layer.compute_output_shape((0, *IMAGES.shape[1:]))
    before = IMAGES.copy()
    train(layer, IMAGES)
    np.testing.assert_array_equal(IMAGES, before)


@pytest.mark.parametrize("make", ALL, ids=NAMES)
def test_gradients_reach_the_images(make):
    x = RNG.uniform(0.3, 0.7, size=(2, 8, 8, 1))

    def f(x):
        layer = make(seed=5, dtype="float64")  # anew, so that it draws the same
        return layer(x, training=True)

    check_grads(f, (x,), order=2)


@pytest.mark.parametrize("make", ALL, ids=NAMES)
def test_whole_numbers_become_floats_and_are_not_scaled(make):
    whole = (IMAGES * 255).astype("uint8")
    layer = layers.RandomFlip("horizontal", seed=1)
    out = layer(whole, training=True)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(np.sort(out.numpy(), axis=2), np.sort(whole, axis=2))


@pytest.mark.parametrize("make", ALL, ids=NAMES)
def test_training_is_the_same_for_any_number_of_workers(make):
    x = RNG.uniform(size=(160, 8, 8, 3)).astype("float32")
    y = RNG.normal(size=(160, 1)).astype("float32")

    def weights(workers):
        lamina.utils.set_random_seed(4)
        model = lamina.Sequential(
            [layers.Input((8, 8, 3)), make(), layers.Flatten(), layers.Dense(5000, "relu"),
             layers.Dense(1)]
        )  # fmt: skip
        model.compile("sgd", "mse")
        before = config.workers()
        config.set_workers(workers)
        try:
            model.fit(x, y, batch_size=160, epochs=2, verbose=0)
        finally:
            config.set_workers(before)
        assert len(model._step._cuts[160]) > 1
        return model.get_weights()

    for one, other in zip(weights(1), weights(2), strict=True):
        np.testing.assert_array_equal(one, other)


# ---- each layer ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode, axes", [("horizontal", [2]), ("vertical", [1]),
                                        ("horizontal_and_vertical", [1, 2])])  # fmt: skip
def test_flips(mode, axes):
    x = np.repeat(IMAGES[:1], 400, axis=0)
    out = train(layers.RandomFlip(mode, seed=1), x)
    forms = [x[0]]
    for axis in axes:
        forms += [np.flip(form, axis - 1) for form in forms]
    counts = [sum((image == form).all() for image in out) for form in forms]
    assert sum(counts) == 400
    share = 400 / len(forms)
    assert all(abs(count - share) < 5 * np.sqrt(share) for count in counts)


def test_flipping_twice_by_the_same_seed_changes_nothing():
    one, two = layers.RandomFlip(seed=1), layers.RandomFlip(seed=1)
    np.testing.assert_array_equal(train(two, train(one, IMAGES)), IMAGES)


@pytest.mark.parametrize("turns", [0, 1, 2, 3, -1])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_a_quarter_turn_is_rot90(turns, interpolation, backend):
    layer = layers.RandomRotation((turns / 4, turns / 4), interpolation=interpolation)
    with lamina.use(backend.backend):
        out = train(layer, IMAGES, backend)
    np.testing.assert_allclose(out, np.rot90(IMAGES, turns, (1, 2)), rtol=1e-5, atol=1e-5)


def test_translation_goes_down_and_to_the_right():
    layer = layers.RandomTranslation((0.25, 0.25), (0.5, 0.5), "constant", fill_value=7.0)
    out = train(layer, IMAGES)
    np.testing.assert_allclose(out[:, 2:, 4:], IMAGES[:, :-2, :-4], rtol=1e-6)
    assert (out[:, :2] == 7).all()
    assert (out[:, :, :4] == 7).all()


def test_zooming_out_shows_more_and_in_less():
    x = np.tile(np.arange(9, dtype="float32")[None, :, None, None], (1, 1, 9, 1))
    out = train(layers.RandomZoom((1.0, 1.0), (0.0, 0.0), "nearest"), x)[0, :, 0, 0]
    np.testing.assert_allclose(out, [0, 0, 0, 2, 4, 6, 8, 8, 8], atol=1e-5)
    out = train(layers.RandomZoom((-0.5, -0.5)), x)[0, :, 0, 0]
    np.testing.assert_allclose(out, np.arange(9) / 2 + 2, atol=1e-5)


def test_crops_come_from_everywhere():
    x = np.arange(12.0, dtype="float32").reshape(1, 4, 3, 1).repeat(600, axis=0)
    out = train(layers.RandomCrop(2, 2, seed=0), x)
    corners, counts = np.unique(out[:, 0, 0, 0], return_counts=True)
    np.testing.assert_array_equal(corners, [0, 1, 3, 4, 6, 7])
    assert (abs(counts - 100) < 50).all()
    np.testing.assert_array_equal(out[:, 1, 1, 0], out[:, 0, 0, 0] + 4)
    whole = layers.RandomCrop(4, 3)
    np.testing.assert_array_equal(train(whole, x), x)


def test_contrast_keeps_the_mean_and_its_range():
    x = np.repeat(RNG.uniform(0.4, 0.6, size=(1, 8, 8, 3)), 300, axis=0).astype("float32")
    for factor, low, high in ((0.3, 0.7, 1.3), ((0.1, 0.2), 0.9, 1.2)):
        out = train(layers.RandomContrast(factor, (0, 1), seed=0), x)
        mean = x.mean(axis=(1, 2), keepdims=True)
        factors = ((out - mean) / (x - mean)).reshape(300, -1)
        drawn = np.median(factors, axis=1)
        np.testing.assert_allclose(factors, np.tile(drawn[:, None], 192), rtol=1e-2)
        assert low - 1e-3 <= drawn.min() < low + 0.05
        assert high - 0.05 < drawn.max() <= high + 1e-3
    out = train(layers.RandomContrast(1.0, (0.45, 0.55), seed=0), x)
    assert out.min() >= 0.45 - 1e-6
    assert out.max() <= 0.55 + 1e-6


def test_brightness_shifts_within_its_range():
    x = np.full((300, 2, 2, 1), 128.0, "float32")
    shift = train(layers.RandomBrightness((-0.1, 0.3), seed=0), x) - 128
    assert (shift == shift[:, :1, :1]).all()
    assert -25.5 <= shift.min() < -20
    assert 70 < shift.max() <= 76.5
    out = train(layers.RandomBrightness((1.0, 1.0)), x)
    assert (out == 255).all()


def test_erasing_covers_a_rectangle_of_its_scale():
    x = np.zeros((300, 20, 30, 2), "float32")
    out = train(layers.RandomErasing((1, 1), (0.04, 0.25), (3.0, 4.0), seed=0), x)
    for image in out:
        rows, columns = np.nonzero(image[..., 0])
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert len(rows) == height * width, "a full rectangle"
        assert 3 <= height <= 11
        assert 5 <= width <= 16
        np.testing.assert_array_equal(image[..., 1] * 3, image[..., 0] * 4)
    chance = (train(layers.RandomErasing((0.3, 0.3), seed=0, fill_value=1.0), x) != 0).any(
        (1, 2, 3)
    )
    assert abs(chance.mean() - 0.3) < 5 * np.sqrt(0.21 / 300)
    assert not train(layers.RandomErasing(0.0), x).any()
    noise = train(layers.RandomErasing((1, 1), 1.0, value_range=(0, 1), seed=0), x)
    assert noise.min() == 0
    assert noise.max() == 1
    assert len(np.unique(noise)) > 1000


KERAS = [
    ("RandomTranslation", ((0.25, 0.25), (0.3, 0.3))),
    ("RandomRotation", ((0.1, 0.1),)),
    ("RandomRotation", ((-0.37, -0.37),)),
    ("RandomZoom", ((0.3, 0.3), (-0.2, -0.2))),
    ("RandomZoom", ((-0.4, -0.4),)),
    ("RandomBrightness", ((0.2, 0.2), (0, 1))),
]


@pytest.mark.parametrize("name, arguments", KERAS)
def test_what_is_drawn_from_one_number_is_keras(name, arguments):
    pytest.importorskip("jax")
    keras = pytest.importorskip("keras")
    for mode in ("reflect", "constant"):
        how = {} if "Bright" in name else {"fill_mode": mode, "fill_value": 0.3}
        theirs = getattr(keras.layers, name)(*arguments, **how)
        expected = np.asarray(theirs(WIDE, training=True))
        out = train(getattr(layers, name)(*arguments, **how), WIDE)
        np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5)


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: layers.RandomFlip("horizontl"), "unknown mode .*did you mean 'horizontal'"),
        (lambda: layers.RandomCrop(0, 4), "height as a whole number"),
        (lambda: layers.RandomTranslation(2, 0), "height_factor as one number or a pair"),
        (lambda: layers.RandomTranslation(0, (1, 2, 3)), "width_factor as one number"),
        (lambda: layers.RandomTranslation(0, 0, "mirror"), "unknown fill_mode 'mirror'"),
        (lambda: layers.RandomRotation("10"), "needs factor as one number or a pair of them"),
        (lambda: layers.RandomRotation(0.1, interpolation="cubic"), "unknown interpolation"),
        (lambda: layers.RandomZoom((-1, 0)), "height_factor above -1"),
        (lambda: layers.RandomContrast(-0.1), "factor as one number .* from 0 to 1"),
        (lambda: layers.RandomBrightness(0.1, 255), r"value_range as a pair such as \(0, 1\)"),
        (lambda: layers.RandomBrightness(0.1, (1, 0)), "value_range as a pair"),
        (lambda: layers.RandomErasing(scale=(0.5, 1.5)), "scale as one number or a pair"),
    ],
)
def test_a_wrong_setting_is_told_at_once(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_images_that_do_not_fit():
    match = (
        r'"cut" expects images of at least \(9, 4\), got .*8, 8, 3\): crop less, or put layers.Res'
    )
    with pytest.raises(ValueError, match=match):
        layers.RandomCrop(9, 4, name="cut")(IMAGES)
    with pytest.raises(ValueError, match=r"add a channel axis, x\[..., None\]"):
        layers.RandomFlip()(IMAGES[..., 0])
    with pytest.raises(ValueError, match="as many channels as its fill_value"):
        layers.RandomErasing(fill_value=(1, 2))(IMAGES)


# ---- images that nobody scaled -------------------------------------------------------------------


def fit(x, *stack):
    ends = [layers.Flatten(), layers.Dense(1)]
    model = lamina.Sequential([layers.Input(x.shape[1:]), *stack, *ends])
    model.compile(lamina.optimizers.SGD(1e-6), "mse")
    for _ in range(2):
        model.fit(x, np.zeros((len(x), 1)), verbose=0)


def test_inputs_that_nobody_scaled_are_hinted_at_once():
    whole = RNG.integers(0, 256, (6, 4, 4, 1)).astype("uint8")
    with pytest.warns(
        UserWarning, match=r"inputs go from 0 to 255.*layers.Rescaling\(1 / 255\)"
    ) as w:
        whole[0, 0, 0], whole[0, 0, 1] = 0, 255
        fit(whole)
    assert len(w) == 1
    with pytest.warns(UserWarning, match=r"from -300 to .*layers.Normalization\(\)"):
        fit(np.where(whole == 255, -300.0, whole / 255.0))
    with pytest.warns(UserWarning, match="inputs go from"):
        fit(whole, layers.RandomFlip())
    with pytest.warns(UserWarning, match="inputs go from 0 to 255"):
        fit(whole.reshape(6, 16))


def test_inputs_on_another_scale_than_those_learnt_from_are_hinted_at_once():
    whole = RNG.integers(0, 256, (6, 4, 4, 1)).astype("uint8")
    whole[0, 0, 0], whole[0, 0, 1] = 0, 255
    y = np.zeros((6, 1))

    def trained(x, *parts, **options):
        model = lamina.Sequential([*parts, layers.Flatten(), layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(x, y, verbose=0, **options)
        return model

    asked = [
        lambda model, x: model.predict(x, verbose=0),
        lambda model, x: model.evaluate(x, y, verbose=0),
        lambda model, x: model.fit(x, y, verbose=0),
        lambda model, x: model.fit(whole / 255, y, validation_data=(x, y), verbose=0),
    ]
    for ask in asked:
        model = trained(whole / 255)
        ask(model, whole / 128)  # not far from what it knows
        with pytest.warns(UserWarning, match=r"from 0 to 255, and those of fit went to 1: scale"):
            ask(model, whole)
        ask(model, whole)
    model = trained(whole, layers.Rescaling(1 / 255))
    model.predict(np.zeros((2, 4, 4, 1)), verbose=0)
    with pytest.warns(UserWarning, match="from 0 to 1, and those of fit went to 255"):
        model.predict(whole / 255, verbose=0)
    lamina.Sequential([layers.Flatten(), layers.Dense(1)]).predict(whole, verbose=0)


def test_inputs_that_are_scaled_are_not_hinted_at():
    whole = RNG.integers(0, 256, (6, 4, 4, 1)).astype("uint8")
    fit(whole, layers.Rescaling(1 / 255))
    fit(whole, layers.RandomFlip(), layers.Rescaling(1 / 255))
    fit(whole / 255)
    fit(300.0 * RNG.normal(size=(6, 4)))  # a table
    fit(whole > 100)
    scale = layers.Normalization()
    scale.adapt(whole)
    fit(whole, scale)


@pytest.mark.parametrize("kind", [layers.RandomBrightness, layers.RandomErasing])
def test_scaled_images_are_asked_about_once(kind):
    match = r"from 0 to 255, and these go to 0.*value_range=\(0, 1\)"
    with pytest.warns(UserWarning, match=match) as told:
        layer = kind(0.2)
        layer(IMAGES)
        layer(IMAGES, training=True)
        layer(IMAGES, training=True)
    assert len(told) == 1
    kind(0.2)(255 * IMAGES, training=True)
    kind(0.2)(0 * IMAGES, training=True)
    kind(0.2, value_range=(0, 1))(IMAGES, training=True)
