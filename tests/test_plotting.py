"""Pictures show what they were given, disturb nothing, and say what is wrong with bad input."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("matplotlib").use("Agg")

from matplotlib import pyplot as plt
from matplotlib import rcParams
from matplotlib.figure import Figure
from PIL import Image

import lamina
from lamina import plotting, xp

RUN = {
    "loss": [0.9, 0.5, 0.3, 0.2],
    "accuracy": [0.5, 0.7, 0.8, 0.9],
    "val_loss": [1.0, 0.6, 0.55, 0.7],
    "val_accuracy": [0.4, 0.6, 0.7, 0.65],
}
SQUARE = np.asarray([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def above(points):
    """A classifier whose boundary is the line x1 + x2 = 1."""
    return 1 / (1 + np.exp(-8 * (points.sum(axis=1, keepdims=True) - 1)))


def lines(axis):
    return {line.get_label(): line for line in axis.lines if not line.get_label().startswith("_")}


DRAWINGS = {
    "history": lambda **kw: plotting.history({"loss": [2.0, 1.0]}, **kw),
    "decision_boundary": lambda **kw: plotting.decision_boundary(
        above, SQUARE, [0, 0, 0, 1], resolution=20, **kw
    ),
    "activation": lambda **kw: plotting.activation(xp.tanh, **kw),
    "confusion_matrix": lambda **kw: plotting.confusion_matrix([0, 1, 1], [0, 1, 0], **kw),
    "images": lambda **kw: plotting.images(np.eye(8), **kw),
}


@pytest.fixture(params=DRAWINGS)
def draw(request):
    return DRAWINGS[request.param]


class TestEveryPicture:
    def test_saved_png_has_the_size_of_the_figure(self, draw, tmp_path):
        path = tmp_path / "a" / "new" / "folder" / "picture.png"
        figure = draw(path=path)
        with Image.open(path) as picture:
            picture.load()
            size = np.asarray(picture.size)
            assert picture.format == "PNG"
            assert np.asarray(picture.convert("L")).std() > 1
        assert np.abs(size - figure.get_size_inches() * 150).max() <= 1

    def test_leaves_pyplot_and_its_settings_alone(self, draw, tmp_path):
        before, settings = plt.get_fignums(), dict(rcParams)
        draw(path=tmp_path / "picture.png")
        assert plt.get_fignums() == before
        assert dict(rcParams) == settings

    def test_draws_into_given_axes_and_returns_their_figure(self, draw):
        figure = Figure()
        left, right = figure.subplots(1, 2)
        assert draw(ax=right) is figure
        assert right.has_data() and not left.has_data()

    def test_draws_into_a_part_of_a_figure(self, draw):
        figure = Figure()
        assert draw(ax=figure.subfigures(1, 2)[1].subplots()) is figure

    def test_shows_itself_in_a_notebook(self, draw):
        png, shown_at = draw()._repr_png_()
        assert png.startswith(b"\x89PNG")
        assert set(shown_at) == {"width", "height"}

    def test_nothing_is_written_outside_the_figure(self, draw):
        figure = draw()
        figure.draw_without_rendering()
        width, height = figure.get_size_inches()
        box = figure.get_tightbbox()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height


def test_matplotlib_loads_with_the_first_picture_only():
    code = "import sys, lamina.plotting; print('matplotlib' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.strip() == "False", answer.stderr


def test_no_picture_loads_pyplot():
    code = (
        "import sys; from lamina import plotting; plotting.history({'loss': [1.0]})._repr_png_();"
        "print('matplotlib.figure' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.strip() == "True False", answer.stderr


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "lamina\[plot\]"'):
        plotting.history(RUN)


def test_show_without_a_viewer_says_how_to_save(monkeypatch):
    from PIL import ImageShow

    monkeypatch.setattr(ImageShow, "_viewers", [])
    figure = plotting.history(RUN)
    with pytest.warns(UserWarning, match=r"path='picture.png'"):
        figure.show()
    figure.show(warn=False)


class TestHistory:
    def test_curves_are_the_history_from_epoch_1(self):
        loss, accuracy = plotting.history(SimpleNamespace(history=RUN, epoch=[0, 1, 2, 3])).axes
        for axis, name in ((loss, "loss"), (accuracy, "accuracy")):
            assert axis.get_ylabel() == name
            assert axis.get_xlabel() == "epoch"
            for label, key in (("training", name), ("validation", f"val_{name}")):
                np.testing.assert_array_equal(lines(axis)[label].get_xdata(), [1, 2, 3, 4])
                np.testing.assert_array_equal(lines(axis)[label].get_ydata(), RUN[key])

    def test_marks_the_epoch_of_the_lowest_validation_loss(self):
        loss, accuracy = plotting.history(RUN).axes
        mark = lines(loss)["best: 0.55 in epoch 3"]
        assert (list(mark.get_xdata()), list(mark.get_ydata())) == ([3], [0.55])
        assert not any("best" in label for label in lines(accuracy))

    def test_a_run_that_went_on_keeps_its_epochs(self):
        figure = plotting.history(SimpleNamespace(history={"loss": [2.0, 1.0]}, epoch=[7, 8]))
        np.testing.assert_array_equal(lines(figure.axes[0])["training"].get_xdata(), [8, 9])

    def test_one_epoch_is_a_visible_point(self):
        figure = plotting.history({"loss": [2.0], "val_loss": [3.0]})
        for label in ("training", "validation"):
            assert lines(figure.axes[0])[label].get_marker() == "o"

    def test_epochs_are_whole_numbers_from_1(self):
        for count in (1, 2, 3, 7, 30, 400):
            (axis,) = plotting.history({"loss": [1.0] * count}).axes
            low, high = axis.get_xlim()
            ticks = [tick for tick in axis.get_xticks() if low <= tick <= high]
            assert ticks and all(tick == int(tick) and tick >= 1 for tick in ticks)

    def test_chosen_metrics_only(self):
        run = RUN | {"auc": [0.1, 0.2, 0.3, 0.4]}
        assert [a.get_ylabel() for a in plotting.history(run).axes] == ["loss", "metrics"]
        assert [a.get_ylabel() for a in plotting.history(run, ["auc"]).axes] == ["loss", "auc"]
        assert [a.get_ylabel() for a in plotting.history(run, metrics=[]).axes] == ["loss"]

    def test_several_metrics_are_told_apart_by_name(self):
        run = RUN | {"auc": [0.1, 0.2, 0.3, 0.4]}
        axis = plotting.history(run).axes[1]
        assert set(lines(axis)) == {"accuracy, training", "accuracy, validation", "auc, training"}

    def test_learning_rate_has_a_panel_of_its_own(self):
        rates = [0.1, 0.1, 0.05, 0.05]
        figure = plotting.history(RUN | {"learning_rate": rates})
        assert [a.get_ylabel() for a in figure.axes] == ["loss", "accuracy", "learning rate"]
        np.testing.assert_array_equal(figure.axes[2].lines[0].get_ydata(), rates)
        assert len(figure.axes[1].get_legend_handles_labels()[0]) == 2

    def test_validation_every_second_epoch(self):
        figure = plotting.history({"loss": [4.0, 3.0, 2.0, 1.0, 0.5], "val_loss": [3.0, 5.0]})
        curve = lines(figure.axes[0])["validation"]
        np.testing.assert_array_equal(curve.get_xdata(), [2, 4])
        assert "best: 3 in epoch 2" in lines(figure.axes[0])

    def test_nan_losses(self):
        nan = float("nan")
        (axis,) = plotting.history({"loss": [1.0, nan], "val_loss": [0.5, nan]}).axes
        assert "best: 0.5 in epoch 1" in lines(axis)
        (axis,) = plotting.history({"loss": [nan], "val_loss": [nan]}).axes
        assert set(lines(axis)) == {"training", "validation"}

    def test_errors(self):
        with pytest.raises(ValueError, match="unknown metric 'acuracy': did you mean 'accuracy'"):
            plotting.history(RUN, metrics=["acuracy"])
        with pytest.raises(ValueError, match="no epoch"):
            plotting.history({})
        with pytest.raises(ValueError, match="no epoch"):
            plotting.history({"loss": []})
        with pytest.raises(TypeError, match=r"what fit returns.*list"):
            plotting.history([1.0, 2.0])
        with pytest.raises(ValueError, match=r"2 panels.*got 1"):
            plotting.history(RUN, ax=Figure().subplots())


class TestActivation:
    def test_value_and_derivative(self):
        def bump(x):
            return xp.exp(-x * x) + 0.5 * xp.tanh(x)

        axis = plotting.activation(bump, low=-3, high=2).axes[0]
        x = lines(axis)["value"].get_xdata()
        h = 1e-6

        def numeric(x):
            return np.exp(-x * x) + 0.5 * np.tanh(x)

        assert (x[0], x[-1]) == (-3, 2) and axis.get_title() == "bump"
        np.testing.assert_allclose(lines(axis)["value"].get_ydata(), numeric(x))
        slope = (numeric(x + h) - numeric(x - h)) / (2 * h)
        np.testing.assert_allclose(lines(axis)["derivative"].get_ydata(), slope, atol=1e-8)

    def test_by_name(self):
        pytest.importorskip("lamina.activations")
        axis = plotting.activation("relu").axes[0]
        x = lines(axis)["value"].get_xdata()
        np.testing.assert_array_equal(lines(axis)["value"].get_ydata(), np.maximum(x, 0))
        away = x != 0
        np.testing.assert_array_equal(lines(axis)["derivative"].get_ydata()[away], (x > 0)[away])
        with pytest.raises(ValueError, match=r"softmax.*mixes the entries"):
            plotting.activation("softmax")
        with pytest.raises(ValueError, match="did you mean 'sigmoid'"):
            plotting.activation("sigmoyd")

    def test_a_list_is_a_grid_with_one_legend(self):
        figure = plotting.activation([xp.tanh, xp.exp, xp.sin, xp.cos, xp.atan])
        assert len(figure.axes) == 5
        assert len(figure.legends) == 1
        assert all(axis.get_legend() is None for axis in figure.axes)

    def test_a_list_in_given_axes(self):
        figure = Figure()
        axes = figure.subplots(1, 2)
        assert plotting.activation([xp.tanh, xp.exp], ax=axes) is figure
        assert [len(lines(axis)) for axis in axes] == [2, 2]

    def test_errors(self):
        with pytest.raises(ValueError, match="low < high"):
            plotting.activation(xp.tanh, low=1, high=1)
        with pytest.raises(ValueError, match="empty list"):
            plotting.activation([])
        with pytest.raises(ValueError, match="mixes the entries"):
            plotting.activation(lambda x: xp.exp(x) / xp.sum(xp.exp(x)))


@pytest.mark.parametrize("name", ["array_api_strict:device1", "torch"])
def test_arrays_of_any_backend(name):
    pytest.importorskip(name.partition(":")[0])
    backend = lamina.backend.get(name)
    true, read = backend.asarray([0, 1, 1]), backend.asarray([0, 1, 0])
    np.testing.assert_array_equal(plotting.confusion_counts(true, read), [[1, 0], [1, 1]])
    plotting.images(backend.asarray(np.ones((2, 4, 4))))
    plotting.history({"loss": [backend.asarray(1.0), backend.asarray(0.5)]})
    plotting.decision_boundary(
        lambda p: backend.asarray(above(p)),
        backend.asarray(SQUARE),
        backend.asarray([0, 0, 0, 1]),
        resolution=10,
    )


def test_tensors_are_drawn_too():
    scores = lamina.Tensor(np.eye(2), requires_grad=True)
    np.testing.assert_array_equal(plotting.confusion_counts([0, 1], scores), np.eye(2))
