"""Small things around training: labels as rows, vectors of length 1, seeds."""

import numpy as np
import pytest

import lamina
from lamina import utils


@pytest.mark.parametrize("labels", [[0, 2, 1], [[0], [2], [1]], np.array([0.0, 2.0, 1.0])])
def test_class_numbers_become_rows(labels):
    rows = utils.to_categorical(labels)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, [[1, 0, 0], [0, 0, 1], [0, 1, 0]])


def test_rows_keep_the_shape_of_the_labels_and_may_be_longer():
    rows = utils.to_categorical([[0, 1], [1, 1]], num_classes=4)
    assert rows.shape == (2, 2, 4)
    np.testing.assert_array_equal(rows.argmax(axis=-1), [[0, 1], [1, 1]])
    assert utils.to_categorical([], num_classes=3).shape == (0, 3)


@pytest.mark.parametrize(
    ("labels", "classes", "match"),
    [
        ([0, 3], 3, "must lie below num_classes=3, got 3"),
        ([-2, 1], None, "must be counted from 0, got -2: add 2"),
        ([0.0, 1.5], None, "must be whole, got 1.5"),
    ],
)
def test_numbers_that_are_no_classes(labels, classes, match):
    with pytest.raises(ValueError, match=match):
        utils.to_categorical(labels, classes)


def test_words_as_class_numbers():
    message = r"row 0 of labels is str 'a': encode .*numpy.unique\(labels, return_inverse=True\)"
    with pytest.raises(TypeError, match=message):
        utils.to_categorical(["a"])


def test_normalize():
    x = np.array([[3.0, 4.0], [0.0, 0.0], [-2.0, 0.0]])
    np.testing.assert_allclose(utils.normalize(x), [[0.6, 0.8], [0, 0], [-1, 0]])
    np.testing.assert_allclose(utils.normalize(x, axis=0), x / [[np.sqrt(13), 4]])
    np.testing.assert_allclose(utils.normalize(x, order=1)[0], [3 / 7, 4 / 7])
    assert utils.normalize([3, 4]).tolist() == pytest.approx([0.6, 0.8])


def test_a_seed_repeats_the_weights_that_follow():
    def draw(seed):
        utils.set_random_seed(seed)
        return lamina.layers.Dense(3)(np.ones((1, 4), np.float32)).numpy()

    np.testing.assert_array_equal(draw(7), draw(7))
    assert (draw(7) != draw(8)).any()
    for seed in (-1, 1.5, True):
        with pytest.raises(ValueError, match="a seed is a whole number from 0 on"):
            utils.set_random_seed(seed)
