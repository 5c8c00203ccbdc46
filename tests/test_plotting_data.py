"""Decision boundaries, confusion matrices and images show the data and the answers as they are."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("matplotlib").use("Agg")

from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.contour import ContourSet

from lamina import plotting

SQUARE = np.asarray([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def above(points):
    """A classifier whose boundary is the line x1 + x2 = 1."""
    return 1 / (1 + np.exp(-8 * (points.sum(axis=1, keepdims=True) - 1)))


def contours(axis):
    return [c for c in axis.collections if isinstance(c, ContourSet)]


def points(axis):
    return [c for c in axis.collections if isinstance(c, PathCollection)]


def cells(axis):
    side = int(np.sqrt(len(axis.texts)))
    return np.asarray([text.get_text() for text in axis.texts]).reshape(side, side)


class TestDecisionBoundary:
    def test_contour_lies_where_the_answer_is_one_half(self):
        figure = plotting.decision_boundary(above, SQUARE, [0, 0, 0, 1], resolution=80)
        (contour,) = contours(figure.axes[0])
        path = contour.get_paths()[0].vertices
        assert len(path) > 50
        np.testing.assert_allclose(path.sum(axis=1), 1, atol=1e-3)

    def test_field_is_the_models_answer(self):
        axis = plotting.decision_boundary(above, SQUARE, [0, 1, 1, 1], resolution=31).axes[0]
        field = np.asarray(axis.images[0].get_array())
        low, high = axis.get_xlim()
        grid = np.stack(np.meshgrid(*[np.linspace(low, high, 31)] * 2), axis=-1)
        np.testing.assert_allclose(field, above(grid.reshape(-1, 2)).reshape(31, 31))

    @pytest.mark.parametrize("y", [[0, 1, 1, 0], [[0], [1], [1], [0]], np.eye(2)[[0, 1, 1, 0]]])
    def test_points_are_drawn_by_class(self, y):
        axis = plotting.decision_boundary(above, SQUARE, y, resolution=20).axes[0]
        zero, one = points(axis)
        np.testing.assert_array_equal(zero.get_offsets(), SQUARE[[0, 3]])
        np.testing.assert_array_equal(one.get_offsets(), SQUARE[[1, 2]])
        assert [zero.get_label(), one.get_label()] == ["class 0", "class 1"]
        assert zero.get_paths()[0].vertices.shape != one.get_paths()[0].vertices.shape

    def test_class_scores_make_regions(self):
        centres = np.asarray([[0.0, 0.0], [4.0, 0.0], [2.0, 3.0]])

        def scores(points):
            return -((points[:, None] - centres) ** 2).sum(axis=-1)

        axis = plotting.decision_boundary(scores, centres, [0, 1, 2], resolution=60).axes[0]
        colours = np.asarray(axis.images[0].get_array()).reshape(-1, 3)
        assert len(np.unique(colours, axis=0)) == 3
        borders = np.concatenate([c.get_paths()[0].vertices for c in contours(axis)])
        nearest = np.sort(((borders[:, None] - centres) ** 2).sum(axis=-1), axis=1)
        np.testing.assert_allclose(nearest[:, 0], nearest[:, 1], atol=0.05)

    def test_a_model_is_asked_quietly_and_in_large_batches(self):
        asked = []

        class Model:
            def predict(self, x, batch_size=32, verbose="auto"):
                asked.append((x.shape, x.dtype, batch_size > 32, verbose))
                return above(x)

        x = SQUARE.astype(np.float32)
        plotting.decision_boundary(Model(), x, [0, 0, 0, 1], resolution=30)
        assert asked == [((900, 2), np.float32, True, 0)]

    def test_a_predict_of_x_alone_will_do(self):
        model = SimpleNamespace(predict=lambda x: above(x)[:, 0])
        figure = plotting.decision_boundary(model, SQUARE, [0, 0, 0, 1], resolution=20)
        assert len(contours(figure.axes[0])) == 1

    def test_threshold_for_logits(self):
        figure = plotting.decision_boundary(
            lambda p: 3 * (p[:, 0] - 0.25), SQUARE, [-1, -1, 1, 1], threshold=0.0, resolution=50
        )
        (contour,) = contours(figure.axes[0])
        np.testing.assert_allclose(contour.get_paths()[0].vertices[:, 0], 0.25, atol=1e-6)
        assert [p.get_label() for p in points(figure.axes[0])] == ["class -1", "class 1"]

    def test_a_model_that_never_changes_its_mind(self):
        figure = plotting.decision_boundary(
            lambda p: np.full(len(p), 0.2), SQUARE[:1], [0], resolution=10
        )
        assert contours(figure.axes[0]) == []

    def test_errors(self):
        with pytest.raises(ValueError, match=r"2 features.*\(4, 3\).*choose two columns"):
            plotting.decision_boundary(above, np.ones((4, 3)), [0, 1, 0, 1])
        with pytest.raises(ValueError, match="4 points and 3 labels"):
            plotting.decision_boundary(above, SQUARE, [0, 1, 0])
        with pytest.raises(ValueError, match=r"got \(1,\) for 100 points"):
            plotting.decision_boundary(lambda p: np.ones(1), SQUARE, [0, 1, 1, 0], resolution=10)
        with pytest.raises(ValueError, match=r"x must be finite.*1 of 2 values"):
            plotting.decision_boundary(above, [[0.0, np.nan]], [0])
        with pytest.raises(ValueError, match=r"answers must be finite.*100 of 100 .*diverged"):
            plotting.decision_boundary(lambda p: p[:, 0] * np.nan, SQUARE, [0] * 4, resolution=10)
        with pytest.raises(ValueError, match="resolution of at least 2, got 1"):
            plotting.decision_boundary(above, SQUARE, [0, 1, 1, 0], resolution=1)


class TestConfusionMatrix:
    rng = np.random.default_rng(3)
    true, read = rng.integers(0, 5, 300), rng.integers(0, 5, 300)
    counts = np.zeros((5, 5), int)
    for pair in zip(true, read, strict=True):
        counts[pair] += 1

    def test_counts(self):
        counts = plotting.confusion_counts(self.true, self.read)
        np.testing.assert_array_equal(counts, self.counts)

    def test_counts_agree_with_scikit_learn(self):
        metrics = pytest.importorskip("sklearn.metrics")
        ours = plotting.confusion_counts(self.true, self.read)
        np.testing.assert_array_equal(ours, metrics.confusion_matrix(self.true, self.read))

    @pytest.mark.parametrize("shape", ["flat", "column", "one-hot", "scores", "float"])
    def test_every_form_of_labels(self, shape):
        forms = {
            "flat": self.read.tolist(),
            "column": self.read[:, None],
            "one-hot": np.eye(5)[self.read],
            "scores": np.eye(5)[self.read] * 3 - self.rng.random((300, 5)),
            "float": self.read.astype(np.float32),
        }
        counts = plotting.confusion_counts(self.true, forms[shape])
        np.testing.assert_array_equal(counts, self.counts)

    def test_probabilities_of_class_1(self):
        counts = plotting.confusion_counts([0, 1, 1, 0], [[0.1], [0.9], [0.4], [0.6]])
        np.testing.assert_array_equal(counts, [[1, 1], [1, 1]])

    def test_names_of_classes_as_labels(self):
        true, read = ["cat", "dog", "cat"], ["cat", "cat", "cat"]
        np.testing.assert_array_equal(plotting.confusion_counts(true, read), [[2, 0], [1, 0]])
        counts = plotting.confusion_counts(true, read, class_names=["dog", "cat", "owl"])
        np.testing.assert_array_equal(counts, [[0, 1, 0], [0, 2, 0], [0, 0, 0]])

    def test_classes_that_never_occur(self):
        counts = plotting.confusion_counts([0, 2], np.eye(4)[[0, 3]])
        assert counts.shape == (4, 4) and counts[2, 3] == 1 and counts.sum() == 2

    def test_cells_hold_the_counts(self):
        axis = plotting.confusion_matrix(self.true, self.read, class_names="abcde").axes[0]
        np.testing.assert_array_equal(cells(axis).astype(int), self.counts)
        assert [label.get_text() for label in axis.get_xticklabels()] == list("abcde")
        assert (axis.get_xlabel(), axis.get_ylabel()) == ("predicted", "true")
        assert f"({np.sum(self.true == self.read)} of 300)" in axis.get_title()

    def test_normalized_rows(self):
        axis = plotting.confusion_matrix(self.true, self.read, normalize=True).axes[0]
        parts = self.counts / self.counts.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(cells(axis).astype(float), parts, atol=0.0051)

    def test_numbers_are_readable_on_their_cells(self):
        axis = plotting.confusion_matrix([0] * 9 + [1] * 9, [0] * 10 + [1] * 5 + [0] * 3).axes[0]
        pixels = np.asarray(axis.images[0].get_array())

        def luminance(colour):
            colour = np.asarray(colour)
            parts = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
            return parts @ [0.2126, 0.7152, 0.0722]

        for text in axis.texts:
            if text.get_text() == "0":
                continue
            column, row = text.get_position()
            pair = sorted([luminance(pixels[row, column]), luminance(to_rgb(text.get_color()))])
            assert (pair[1] + 0.05) / (pair[0] + 0.05) > 3.5

    def test_figure_grows_with_the_number_of_classes(self):
        widths = [
            plotting.confusion_matrix(np.arange(k), np.arange(k)).get_size_inches()[0]
            for k in (2, 10, 25)
        ]
        assert widths == sorted(widths) and len(set(widths)) == 3

    def test_many_classes_have_no_numbers(self):
        figure = plotting.confusion_matrix(np.arange(100), np.arange(100))
        assert len(figure.axes[0].texts) == 0
        assert max(figure.get_size_inches()) < 16

    def test_errors(self):
        with pytest.raises(ValueError, match="3 in y_true and 2 in y_pred"):
            plotting.confusion_matrix([0, 1, 1], [0, 1])
        with pytest.raises(ValueError, match="classes 0 to 1, got 2"):
            plotting.confusion_matrix([0, 2], [0, 1], class_names=["a", "b"])
        with pytest.raises(ValueError, match=r"y_pred expects labels.*\(1, 2, 3\)"):
            plotting.confusion_matrix([0], np.ones((1, 2, 3)))
        y, scores = np.zeros((2, 4, 4), int), np.eye(3)[np.zeros((2, 4, 4), int)]
        remedy = r": of pixels pass y_true.ravel\(\) and scores.argmax\(axis=-1\).ravel\(\)"
        for given in ((y, scores), (y.ravel(), scores)):
            with pytest.raises(ValueError, match=remedy):
                plotting.confusion_matrix(*given)
        counts = plotting.confusion_counts(y.ravel(), scores.argmax(axis=-1).ravel())
        assert counts.tolist() == [[32]]
        with pytest.raises(ValueError, match=r"y_pred must be finite"):
            plotting.confusion_matrix([0, 1], [0.2, np.nan])
        with pytest.raises(ValueError, match=r"y_true expects labels.*\(0,\)"):
            plotting.confusion_matrix([], [])
        for rows in ([[0.8, 0.2], [0.1, 0.9]], [[1, 1], [0, 1]]):
            with pytest.raises(ValueError, match=r"come first, confusion_matrix\(y_true, y_pred\)"):
                plotting.confusion_matrix(rows, [0, 1])

    def test_few_errors_among_many_are_not_written_as_none(self):
        true, predicted = np.zeros(1000, int), np.zeros(1000, int)
        true[0], predicted[1:3] = 1, 1
        figure = plotting.confusion_matrix(true, predicted, normalize=True)
        assert [text.get_text() for text in figure.axes[0].texts] == ["1.00", "<0.01", "1.00", "0"]


class TestImages:
    @pytest.mark.parametrize("shape", [(6, 8, 5), (6, 8, 5, 1), (6, 8, 5, 3)])
    @pytest.mark.parametrize("dtype", ["uint8", "float32"])
    def test_every_image_is_drawn(self, shape, dtype):
        x = np.random.default_rng(0).random(shape)
        x = (x * 255).astype(dtype) if dtype == "uint8" else x.astype(dtype)
        axes = plotting.images(x).axes
        drawn = np.stack([np.asarray(axis.images[0].get_array(), dtype=float) for axis in axes])
        scale = 255 if dtype == "uint8" and shape[-1] == 3 else 1
        np.testing.assert_allclose(drawn, x.reshape(drawn.shape) / scale, atol=1e-6)

    def test_one_scale_for_all(self):
        x = np.stack([np.zeros((4, 4)), np.full((4, 4), 16.0)])
        assert [a.images[0].get_clim() for a in plotting.images(x).axes] == [(0, 16), (0, 16)]
        assert plotting.images(x / 64).axes[0].images[0].get_clim() == (0, 1)
        assert plotting.images(x - 8).axes[0].images[0].get_clim() == (-8, 8)

    def test_titles_and_highlights(self):
        titles = ["7", "9 (read 4)", "1"]
        axes = plotting.images(np.ones((3, 4, 4)), titles=titles, highlight=[0, 1, 0]).axes
        assert [axis.get_title() for axis in axes] == titles
        colours = [axis.spines["left"].get_edgecolor() for axis in axes]
        assert colours[0] == colours[2] != colours[1]

    def test_columns(self):
        for count, columns, expected in ((10, 5, (2, 5)), (9, None, (3, 3)), (3, 10, (1, 3))):
            figure = plotting.images(np.ones((count, 4, 4)), columns=columns)
            assert len(figure.axes) == count
            assert figure.axes[0].get_gridspec().get_geometry() == expected

    def test_pixels_stay_square(self):
        figure = plotting.images(np.ones((4, 30, 10)))
        assert all(axis.get_aspect() == 1 for axis in figure.axes)
        assert figure.get_size_inches()[1] > 2 * figure.get_size_inches()[0]

    def test_errors(self):
        with pytest.raises(ValueError, match=r"channels last.*\(5, 3, 8, 8\)"):
            plotting.images(np.ones((5, 3, 8, 8)))
        with pytest.raises(ValueError, match=r"got \(0, 8, 8\)"):
            plotting.images(np.ones((0, 8, 8)))
        with pytest.raises(ValueError, match=r"one entry of titles.*got 1 for 2"):
            plotting.images(np.ones((2, 8, 8)), titles=["a"])
        with pytest.raises(ValueError, match=r"one entry of highlight.*got 3 for 2"):
            plotting.images(np.ones((2, 8, 8)), highlight=[True, False, True])
        with pytest.raises(ValueError, match="columns of at least 1, got 0"):
            plotting.images(np.ones((2, 8, 8)), columns=0)
