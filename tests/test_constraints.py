"""Constraints: what they make of weights, on every backend; names and configurations."""

import numpy as np
import pytest

from lamina import constraints

W = np.random.default_rng(4).standard_normal((5, 4)) * 2
W[:, 1] *= 0.01


def scaled(w, wanted, axis=0):
    """w with its norms along the axis changed to what ``wanted`` makes of them."""
    norm = np.sqrt((w**2).sum(axis=axis, keepdims=True))
    return w / norm * wanted(norm)


CASES = [
    (constraints.NonNeg(), lambda w: w.clip(0)),
    (constraints.MaxNorm(), lambda w: scaled(w, lambda n: np.minimum(n, 2))),
    (constraints.MaxNorm(1, axis=1), lambda w: scaled(w, lambda n: np.minimum(n, 1), 1)),
    (constraints.MaxNorm(3, axis=[0, 1]), lambda w: scaled(w, lambda n: np.minimum(n, 3), (0, 1))),
    (constraints.UnitNorm(), lambda w: scaled(w, lambda n: 1)),
    (constraints.UnitNorm(axis=(0, 1)), lambda w: scaled(w, lambda n: 1, (0, 1))),
    (constraints.MinMaxNorm(), lambda w: scaled(w, lambda n: n.clip(0, 1))),
    (
        constraints.MinMaxNorm(0.5, 1.5, rate=0.7, axis=1),
        lambda w: scaled(w, lambda n: 0.7 * n.clip(0.5, 1.5) + 0.3 * n, 1),
    ),
]
IDS = [repr(constraint) for constraint, _ in CASES]
each_case = pytest.mark.parametrize(("constraint", "formula"), CASES, ids=IDS)


@each_case
def test_values(backend, constraint, formula):
    for dtype in ("float64", "float32"):
        w = backend.asarray(W, dtype)
        out = constraint(w)
        assert out.dtype == w.dtype
        assert out.shape == w.shape
        assert backend.backend.owns(out)
        # norms are divided by 1e-7 more than they are, which small ones feel
        np.testing.assert_allclose(backend.to_numpy(out), formula(W), 1e-5, 1e-6)
        np.testing.assert_array_equal(backend.to_numpy(w), W.astype(dtype))


@each_case
def test_weights_of_zero_stay_zero(backend, constraint, formula):
    w = backend.asarray(np.zeros((3, 2)), "float32")
    np.testing.assert_array_equal(backend.to_numpy(constraint(w)), np.zeros((3, 2)))


@each_case
def test_configurations(constraint, formula):
    config = constraints.serialize(constraint)
    again = constraints.get(config)
    assert type(again) is type(constraint)
    assert again.get_config() == constraint.get_config() == config["config"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("max_norm", constraints.MaxNorm),
        ("MaxNorm", constraints.MaxNorm),
        ("non_neg", constraints.NonNeg),
        ("NonNeg", constraints.NonNeg),
        ("unit_norm", constraints.UnitNorm),
        ("UnitNorm", constraints.UnitNorm),
        ("min_max_norm", constraints.MinMaxNorm),
        (constraints.MinMaxNorm, constraints.MinMaxNorm),
    ],
)
def test_get(name, kind):
    assert type(constraints.get(name)) is kind


def test_get_takes_functions_and_none():
    assert constraints.get(None) is None
    assert constraints.get(np.abs) is np.abs
    assert constraints.max_norm(3).max_value == 3


def test_unknown_names_get_the_nearest_right_one():
    with pytest.raises(ValueError, match="unknown constraint 'maxnrm': did you mean 'max_norm'"):
        constraints.get("maxnrm")
    with pytest.raises(TypeError, match="a constraint is given by its name"):
        constraints.get(2)
