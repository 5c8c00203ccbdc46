"""Pictures of networks show the kernels, maps and slopes that are there, and the right images."""

import numpy as np
import pytest

pytest.importorskip("matplotlib").use("Agg")

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

import lamina
from lamina import applications, explain, layers, plotting

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(4, 10, 8, 3)).astype("float32")


def network(channels=3, backend=None, data_format="channels_last", end="softmax"):
    lamina.utils.set_random_seed(0)
    how = {"data_format": data_format}
    last = data_format == "channels_last"
    return lamina.Sequential(
        [
            layers.Input((10, 8, channels) if last else (channels, 10, 8)),
            layers.Conv2D(6, 3, activation="relu", name="first", **how),
            layers.MaxPooling2D(2, name="pool", **how),
            layers.Conv2D(5, (3, 2), name="second", **how),
            layers.GlobalAveragePooling2D(**how),
            layers.Dense(4, end, name="end"),
        ],
        backend=backend,
    )


def drawn(axis):
    return [np.asarray(image.get_array()) for image in axis.images]


def places(axis):
    """The left and top of each picture on a sheet."""
    return np.asarray([[im.get_extent()[0], im.get_extent()[3]] for im in axis.images])


SEVERAL_PANELS = {
    "feature_maps": lambda **kw: plotting.feature_maps(network(), X[0], **kw),
    "saliency": lambda **kw: plotting.saliency(network(), X[:2], **kw),
    "grad_cam": lambda **kw: plotting.grad_cam(network(), X[:2], [0, 3], **kw),
}
ONE_PANEL = {
    "filters": lambda **kw: plotting.filters(network(), **kw),
    "more filters": lambda **kw: plotting.filters(network(), layer="second", **kw),
    "most_wrong": lambda **kw: plotting.most_wrong(network(), X, [0, 1, 2, 3], count=1, **kw),
}
DRAWINGS = {**SEVERAL_PANELS, **ONE_PANEL}


@pytest.mark.parametrize("name", DRAWINGS)
class TestEveryPicture:
    def test_is_saved_and_leaves_pyplot_alone(self, name, tmp_path):
        before = plt.get_fignums()
        path = tmp_path / "new" / "picture.png"
        figure = DRAWINGS[name](path=path)
        with Image.open(path) as picture:
            assert np.abs(picture.size - figure.get_size_inches() * 150).max() <= 1
            assert np.asarray(picture.convert("L")).std() > 1
        assert plt.get_fignums() == before

    def test_nothing_is_written_outside_the_figure(self, name):
        figure = DRAWINGS[name]()
        figure.draw_without_rendering()
        width, height = figure.get_size_inches()
        box = figure.get_tightbbox()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height

    def test_draws_into_given_axes(self, name):
        figure = Figure()
        count = 7 if name in SEVERAL_PANELS else 1
        axes = np.ravel(figure.subplots(1, count))
        assert DRAWINGS[name](ax=axes) is figure
        assert axes[0].has_data()

    def test_pixels_stay_square(self, name):
        axes = [axis for axis in DRAWINGS[name]().axes if axis.images]
        assert axes and all(axis.get_aspect() == 1 for axis in axes)


class TestFilters:
    def test_of_one_channel_are_blue_and_red_about_zero(self):
        model = network(channels=1)
        kernel = model.layers[0].get_weights()[0]
        axis = plotting.filters(model, columns=4).axes[0]
        np.testing.assert_array_equal(drawn(axis), np.moveaxis(kernel[:, :, 0], -1, 0))
        low, high = axis.images[0].get_clim()
        assert -low == high == np.abs(kernel).max()
        to_colour = axis.images[0].cmap
        blue, white, red = (to_colour(part) for part in (0.0, 0.5, 1.0))
        assert blue[2] > blue[0] and min(white) > 0.99 and red[0] > red[2]
        at = places(axis)
        assert len(set(at[:4, 1])) == 1 and at[4, 1] > at[0, 1] and at[4, 0] == at[0, 0]

    def test_of_three_channels_are_in_colours_with_grey_for_zero(self):
        model = network()
        kernel = model.layers[0].get_weights()[0].copy()
        kernel[..., 0] = 0
        model.layers[0].set_weights([kernel, np.zeros(6)])
        pictures = drawn(plotting.filters(model).axes[0])
        expected = 0.5 + 0.5 * np.moveaxis(kernel, -1, 0) / np.abs(kernel).max()
        np.testing.assert_allclose(pictures, expected, atol=1e-6)
        assert (pictures[0] == 0.5).all()

    def test_of_more_channels_a_row_is_a_filter_and_a_column_a_channel(self):
        model = network()
        kernel = model.layers[2].get_weights()[0]  # 3 x 2, 6 channels, 5 filters
        figure = plotting.filters(model, layer="second")
        axis = figure.axes[0]
        pictures = np.asarray(drawn(axis)).reshape(5, 6, 3, 2)
        np.testing.assert_array_equal(pictures, np.transpose(kernel, (3, 2, 0, 1)))
        at = places(axis).reshape(5, 6, 2)
        assert (np.diff(at[:, :, 0], axis=1) > 0).all() and (np.ptp(at[:, :, 1], axis=1) == 0).all()
        assert "5 filters of 3 x 2" in axis.get_title() and "6 channels" in axis.get_title()
        fewer = plotting.filters(model, layer="second", count=2).axes[0]
        assert len(fewer.images) == 12 and "2 of 5 filters" in fewer.get_title()

    @pytest.mark.parametrize(
        ("layer", "expected"),
        [
            (layers.Conv2DTranspose(4, 3), lambda w: np.transpose(w, (2, 3, 0, 1))),
            (layers.DepthwiseConv2D(3, depth_multiplier=2),
             lambda w: np.transpose(w, (2, 3, 0, 1)).reshape(-1, 1, 3, 3)),
            (layers.SeparableConv2D(5, 3),
             lambda w: np.transpose(w, (2, 3, 0, 1)).reshape(-1, 1, 3, 3)),
        ],
    )  # fmt: skip
    def test_of_every_convolution_of_images(self, layer, expected):
        layer(np.ones((1, 8, 8, 2), "float32"))
        kernels = expected(layer.get_weights()[0])
        pictures = np.asarray(drawn(plotting.filters(layer).axes[0]))
        np.testing.assert_array_equal(pictures, kernels.reshape(-1, 3, 3))

    def test_of_a_model_they_are_its_first_convolutions(self):
        model = applications.ResNet20((8, 8, 3), filters=2)
        assert model.layers[0].name in plotting.filters(model).axes[0].get_title()
        inner = model.layers[3].body[3]
        assert inner.name in plotting.filters(model, layer=inner.name).axes[0].get_title()

    def test_errors(self):
        model = network()
        with pytest.raises(ValueError, match="of images, such as Conv2D, and .*pool.* is none"):
            plotting.filters(model, layer="pool")
        with pytest.raises(ValueError, match="has none inside"):
            plotting.filters(lamina.Sequential([layers.Input((3,)), layers.Dense(2)]))
        with pytest.raises(ValueError, match="did you mean 'second'"):
            plotting.filters(model, layer="secnd")
        with pytest.raises(ValueError, match="has no kernels yet"):
            plotting.filters(layers.Conv2D(2, 3))
        with pytest.raises(ValueError, match="count as a whole number from 1 on, got 0"):
            plotting.filters(model, count=0)
        with pytest.raises(ValueError, match="columns as a whole number from 1 on, got 0"):
            plotting.filters(model, columns=0)
        with pytest.raises(TypeError, match="a layer or a model, got list"):
            plotting.filters([1])


class TestFeatureMaps:
    @pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
    def test_a_row_is_what_a_layer_gives(self, backend, data_format):
        first = data_format == "channels_first"
        x = np.moveaxis(X, -1, 1) if first else X
        model = network(3, backend.backend, data_format)
        figure = plotting.feature_maps(model, backend.asarray(x[0]), count=4)
        given = explain.layer_outputs(model, x[:1], ["first", "pool", "second"])
        assert len(figure.axes) == 4
        np.testing.assert_allclose(drawn(figure.axes[0])[0], X[0], atol=1e-6)
        for axis, (name, out) in zip(figure.axes[1:], given.items(), strict=True):
            maps = out[0] if first else np.moveaxis(out[0], -1, 0)
            np.testing.assert_array_equal(drawn(axis), maps[:4])
            title = axis.get_title(loc="left")
            shape = " x ".join(map(str, out.shape[1:]))
            assert title == f"{name} ({type(model.get_layer(name)).__name__}), {shape}, " + (
                f"4 of {len(maps)} maps"
            )
            low, high = axis.images[0].get_clim()
            assert high == np.abs(maps[:4]).max()
            assert low == (-high if (maps[:4] < 0).any() else 0)

    def test_layers_within_layers_and_a_batch_of_one(self):
        model = applications.ResNet20((8, 8, 3), filters=2)
        figure = plotting.feature_maps(model, X[:1, :8])
        block = model.layers[3]
        sums = [layer for layer in model.layers if isinstance(layer, type(block))]
        assert len(figure.axes) == 1 + 19 + len(sums) == 1 + 19 + 9
        titles = [axis.get_title(loc="left") for axis in figure.axes]
        at = next(i for i, title in enumerate(titles) if title.startswith(f"{block.name} (Resid"))
        assert titles[at - 1].startswith(f"{block.name}/{block.body[3].name} (Conv2D)")
        maps = np.moveaxis(explain.layer_outputs(model, X[:1, :8], block)[block.name][0], -1, 0)
        np.testing.assert_array_equal(drawn(figure.axes[at]), maps)
        title = figure.axes[2].get_title(loc="left")
        assert title.startswith(f"{block.name}/{block.body[0].name} (Conv2D), 8 x 8 x 2")
        assert len(plotting.feature_maps(model, X[0, :8], block).axes) == 2

    def test_images_without_channels(self):
        model = lamina.Sequential(
            [layers.Input((6, 6)), layers.Reshape((6, 6, 1)), layers.Conv2D(2, 3)]
        )
        figure = plotting.feature_maps(model, X[0, :6, :6, 0])
        np.testing.assert_allclose(drawn(figure.axes[0])[0], X[0, :6, :6, 0], atol=1e-6)

    def test_errors(self):
        model = network()
        with pytest.raises(ValueError, match=r"shape \(10, 8, 3\), or a few .*got \(8, 3\)"):
            plotting.feature_maps(model, X[0, 0])
        with pytest.raises(ValueError, match=r"draws one image, got 4: pass x\[0\]"):
            plotting.feature_maps(model, X)
        with pytest.raises(ValueError, match=r'"end" gives \(1, 4\): leave it out'):
            plotting.feature_maps(model, X[0], ["first", "end"])
        with pytest.raises(ValueError, match="did you mean 'pool'"):
            plotting.feature_maps(model, X[0], ["poool"])
        signals = [layers.Input((12,)), layers.Reshape((3, 4, 1)), layers.Conv2D(2, 2)]
        with pytest.raises(ValueError, match=r"draws images.*: lamina.explain.layer_outputs gives"):
            plotting.feature_maps(lamina.Sequential(signals), np.ones(12))
        with pytest.raises(ValueError, match="one layer or more, got none"):
            plotting.feature_maps(model, X[0], [])
        with pytest.raises(ValueError, match="has none: name the layers to draw"):
            flat = [layers.Input((10, 8, 3)), layers.Flatten(), layers.Dense(2)]
            plotting.feature_maps(lamina.Sequential(flat), X[0])
        with pytest.raises(ValueError, match="image must be finite"):
            plotting.feature_maps(model, np.full((10, 8, 3), np.nan))
        with pytest.raises(TypeError, match="a lamina model, got function"):
            plotting.feature_maps(lambda x: x, X[0])


HEATS = [(plotting.saliency, explain.saliency), (plotting.grad_cam, explain.grad_cam)]


@pytest.mark.parametrize(("draw", "numbers"), HEATS, ids=["saliency", "grad_cam"])
class TestHeat:
    def test_a_row_is_an_image_its_heat_and_both(self, draw, numbers):
        model = network()
        axes = draw(model, X[:2], [1, 3]).axes
        heat = numbers(model, X[:2], [1, 3])
        made = model.predict(X[:2], verbose=0)
        for i in (0, 1):
            left, middle, right = axes[3 * i : 3 * i + 3]
            np.testing.assert_allclose(drawn(left)[0], X[i], atol=1e-6)
            np.testing.assert_array_equal(drawn(middle)[0], heat[i])
            np.testing.assert_array_equal(drawn(right)[1], heat[i])
            assert middle.images[0].get_clim() == (0, heat[i].max() or 1)
            one = (1, 3)[i]
            assert left.get_title() == f"class {one}, {made[i, one]:.1%}"

    def test_one_image_and_the_predicted_class(self, draw, numbers):
        model = network(end=None)
        axes = draw(model, X[0]).axes
        made = model.predict(X[:1], verbose=0)[0]
        assert axes[0].get_title() == f"class {made.argmax()}, output {made.max():.3g}"
        np.testing.assert_array_equal(drawn(axes[1])[0], numbers(model, X[:1])[0])

    def test_images_with_channels_first(self, draw, numbers):
        model = network(data_format="channels_first")
        x = np.moveaxis(X, -1, 1)
        axes = draw(model, x[0], 2).axes
        np.testing.assert_allclose(drawn(axes[0])[0], X[0], atol=1e-6)
        np.testing.assert_array_equal(drawn(axes[1])[0], numbers(model, x[:1], 2)[0])

    def test_a_picture_takes_no_run_of_the_model_more_than_its_numbers(self, draw, numbers):
        runs = []

        class Counted(layers.Layer):
            def call(self, inputs):
                runs.append(self)
                return inputs

        model = network()
        model.add(Counted())
        model(X)
        runs.clear()
        numbers(model, X, [0, 1, 2, 3])
        needed = len(runs)
        draw(model, X, [0, 1, 2, 3])
        assert len(runs) == 2 * needed > 0

    def test_errors(self, draw, numbers):
        with pytest.raises(ValueError, match="classes 0 to 3, got class 7"):
            draw(network(), X[0], 7)
        flat = lamina.Sequential([layers.Input((5,)), layers.Dense(2)])
        with pytest.raises(ValueError, match=r"draws images, and .*samples of shape \(5,\)"):
            draw(flat, np.ones(5))


@pytest.mark.parametrize(
    ("draw", "match"),
    [
        (plotting.filters, 'the kernels of Conv2D "first".* must be finite'),
        (lambda model: plotting.feature_maps(model, X[0]), 'what Conv2D "first".* gives must be'),
        (lambda model: plotting.saliency(model, X[0]), "saliency must be finite"),
        (lambda model: plotting.grad_cam(model, X[0]), "Grad-CAM must be finite"),
        (lambda model: plotting.most_wrong(model, X, [0] * 4), "outputs must be finite"),
    ],
)
def test_a_network_that_diverged_is_not_drawn(draw, match):
    model = network()
    model.set_weights([np.full(w.shape, np.nan) for w in model.get_weights()])
    with pytest.raises(ValueError, match=match):
        draw(model)


def test_a_class_that_no_map_speaks_for_is_told():
    model = network()
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([0 * kernel, bias])
    figure = plotting.grad_cam(model, X[0], 1)
    axes = figure.axes
    assert axes[1].get_title() == "0 everywhere: try layer=" and (drawn(axes[1])[0] == 0).all()
    figure.draw_without_rendering()
    boxes = [axis.title.get_window_extent() for axis in axes]
    assert boxes[0].x1 < boxes[1].x0 and boxes[1].x1 < boxes[2].x0


class Fixed(lamina.Model):
    """Gives for each image the scores that its first pixels hold."""

    def __init__(self, columns=3):
        super().__init__()
        self.columns = columns

    def call(self, inputs):
        return inputs[:, 0, : self.columns]


def fixed(scores):
    scores = np.asarray(scores, "float32")
    x = RNG.uniform(size=(len(scores), 4, 4)).astype("float32")
    x[:, 0, : scores.shape[1]] = scores
    model = Fixed(scores.shape[1])
    model(x)
    return model, x


class TestMostWrong:
    def test_the_surest_errors_come_first(self):
        y = RNG.integers(0, 3, 30)
        p = RNG.dirichlet(np.ones(3), 30).astype("float32")
        model, x = fixed(p)
        read = p.argmax(axis=1)
        wrong = [i for i in np.argsort(-p.max(axis=1)) if read[i] != y[i]][:6]
        axes = plotting.most_wrong(model, x, y, count=6).axes
        assert len(axes) == 6 and len(wrong) == 6
        for axis, i in zip(axes, wrong, strict=True):
            np.testing.assert_allclose(drawn(axis)[0], x[i], atol=1e-6)
            assert axis.get_title() == f"{y[i]}, read {read[i]}\n{p[i].max():.1%}"

    def test_logits_are_made_probabilities(self):
        logits = np.asarray([[4.0, -1.0, 0.5], [900.0, 3.0, -9.0], [-2.0, 1.0, 0.0]])
        model, x = fixed(logits)
        axes = plotting.most_wrong(model, x, [1, 0, 2], class_names=["cat", "dog", "owl"]).axes
        powers = np.exp(logits[[0, 2]])
        shares = (powers / powers.sum(axis=1, keepdims=True)).max(axis=1)
        titles = [f"dog\nread cat\n{shares[0]:.1%}", f"owl\nread dog\n{shares[1]:.1%}"]
        assert [axis.get_title() for axis in axes] == titles

    @pytest.mark.parametrize("scale", ["probability", "logit"])
    def test_one_output(self, scale):
        p = np.asarray([[0.9], [0.2], [0.4], [0.05]])
        model, x = fixed(p if scale == "probability" else np.log(p / (1 - p)))
        axes = plotting.most_wrong(model, x, [[0], [1], [0], [1]]).axes
        told = ["1, read 0\n95.0%", "0, read 1\n90.0%", "1, read 0\n80.0%"]
        assert [axis.get_title() for axis in axes] == told

    def test_long_names_stay_within_the_picture(self):
        model, x = fixed(np.eye(3))
        names = ["aeroplane", "hippopotamus", "motorcycle"]
        figure = plotting.most_wrong(model, x[:1], [1], class_names=names)
        figure.draw_without_rendering()
        box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height

    def test_labels_in_rows_and_none_wrong(self):
        model, x = fixed(np.eye(3))
        (axis,) = plotting.most_wrong(model, x, np.eye(3)).axes
        assert axis.texts[0].get_text() == "none of 3 is wrong"
        assert len(plotting.most_wrong(model, x, np.roll(np.eye(3), 1, axis=0)).axes) == 3

    def test_on_every_backend(self, backend):
        model = network(3, backend.backend)
        made = model.predict(X, verbose=0)
        y = backend.asarray((made.argmax(axis=1) + 1) % 4, "int64")
        axes = plotting.most_wrong(model, backend.asarray(X), y, count=2).axes
        surest = np.argsort(-made.max(axis=1))[:2]
        np.testing.assert_allclose([drawn(axis)[0] for axis in axes], X[surest], atol=1e-6)

    def test_errors(self):
        model, x = fixed(np.eye(3))
        with pytest.raises(ValueError, match="a label for each image, got 2 for 3"):
            plotting.most_wrong(model, x, [0, 1])
        with pytest.raises(ValueError, match="classes 0 to 2 .*got 0 to 3: count classes from 0"):
            plotting.most_wrong(model, x, [0, 1, 3])
        with pytest.raises(ValueError, match="numbers of classes, got .*'cat'.*class_names=names"):
            plotting.most_wrong(model, x, ["cat", "dog", "cat"])
        with pytest.raises(ValueError, match="a name for each of 3 classes, got 2"):
            plotting.most_wrong(model, x, [0, 1, 2], class_names=["a", "b"])
        flat = lamina.Sequential([layers.Input((5,)), layers.Dense(2)])
        wrong = 1 - flat.predict(np.ones((1, 5)), verbose=0).argmax(axis=1)
        with pytest.raises(ValueError, match=r"draws images, .*\(5,\): model.predict gives"):
            plotting.most_wrong(flat, np.ones((1, 5)), wrong)
        unet = applications.UNet((8, 8, 1), filters=2, depth=1)
        with pytest.raises(ValueError, match=r"scores .*, got \(3, 8, 8, 2\): .*y_true.ravel\(\)"):
            plotting.most_wrong(unet, np.ones((3, 8, 8, 1)), [0, 1, 1])
        with pytest.raises(ValueError, match=r"y expects .* \(3, 8, 8\): .*y_true.ravel\(\)"):
            plotting.most_wrong(unet, np.ones((3, 8, 8, 1)), np.zeros((3, 8, 8)))
