"""Regularizers: values and gradients against formulas, on arrays and tensors, names and errors."""

import numpy as np
import pytest

import lamina
from lamina import Tensor, regularizers

W = np.random.default_rng(2).standard_normal((5, 4))


def orthogonality(w, factor):
    """The factor times the mean absolute cosine between different rows."""
    unit = w / np.linalg.norm(w, axis=1, keepdims=True)
    n = len(w)
    pairs = [abs(unit[i] @ unit[j]) for i in range(n) for j in range(i)]
    return factor * np.mean(pairs)


CASES = [
    (regularizers.L1(), lambda w: 0.01 * np.abs(w).sum()),
    (regularizers.L1(0.3), lambda w: 0.3 * np.abs(w).sum()),
    (regularizers.L2(), lambda w: 0.01 * (w**2).sum()),
    (regularizers.L2(0.3), lambda w: 0.3 * (w**2).sum()),
    (regularizers.L1L2(), lambda w: 0.0),
    (regularizers.L1L2(l1=0.3), lambda w: 0.3 * np.abs(w).sum()),
    (regularizers.L1L2(l2=0.3), lambda w: 0.3 * (w**2).sum()),
    (regularizers.L1L2(0.1, 0.2), lambda w: 0.1 * np.abs(w).sum() + 0.2 * (w**2).sum()),
    (regularizers.OrthogonalRegularizer(), lambda w: orthogonality(w, 0.01)),
    (regularizers.OrthogonalRegularizer(0.5), lambda w: orthogonality(w, 0.5)),
    (regularizers.OrthogonalRegularizer(0.5, "columns"), lambda w: orthogonality(w.T, 0.5)),
]
IDS = [repr(penalty) for penalty, _ in CASES]
each_case = pytest.mark.parametrize(("penalty", "formula"), CASES, ids=IDS)


@each_case
def test_values(backend, penalty, formula):
    for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-6)):
        w = backend.asarray(W, dtype)
        for out in (penalty(w), penalty(Tensor(w)).data):
            assert out.shape == ()
            assert out.dtype == w.dtype
            assert backend.backend.owns(out)
            assert float(backend.to_numpy(out)) == pytest.approx(formula(W), rel=tolerance)


@each_case
def test_gradients(backend, penalty, formula):
    """Along a random direction, at order 1 and 2."""
    v = np.random.default_rng(3).standard_normal(W.shape)
    h = 1e-5

    def slope(w):
        found = backend.to_numpy(lamina.grad(penalty)(backend.asarray(w)))
        return (found * v).sum()

    assert slope(W) == pytest.approx(
        (formula(W + h * v) - formula(W - h * v)) / (2 * h), rel=1e-6, abs=1e-9
    )

    def inner(w):
        return lamina.xp.sum(lamina.grad(penalty)(w) * backend.asarray(v))

    with lamina.use(backend.backend):
        curvature = backend.to_numpy(lamina.grad(inner)(backend.asarray(W)))
    expected = (slope(W + h * v) - slope(W - h * v)) / (2 * h)
    assert (curvature * v).sum() == pytest.approx(expected, rel=1e-5, abs=1e-8)


def test_orthogonal_rows_cost_nothing():
    penalty = regularizers.OrthogonalRegularizer()
    assert penalty(np.eye(3, 5)) == 0
    assert penalty(np.ones((1, 5))) == 0
    np.testing.assert_array_equal(lamina.grad(penalty)(np.zeros((3, 4))), np.zeros((3, 4)))


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ("l1", regularizers.L1(0.01)),
        ("L2", regularizers.L2(0.01)),
        ("l1_l2", regularizers.L1L2(0.01, 0.01)),
        ("L1L2", regularizers.L1L2(0.01, 0.01)),
        ("orthogonal", regularizers.OrthogonalRegularizer()),
        ("orthogonal_regularizer", regularizers.OrthogonalRegularizer()),
        (regularizers.L2, regularizers.L2(0.01)),
        ({"class_name": "L1", "config": {"l1": 0.5}}, regularizers.L1(0.5)),
    ],
)
def test_get(identifier, expected):
    found = regularizers.get(identifier)
    assert type(found) is type(expected)
    assert repr(found) == repr(expected)
    assert repr(regularizers.get(regularizers.serialize(found))) == repr(found)


def test_get_takes_functions_and_none():
    assert regularizers.get(None) is None
    assert regularizers.serialize(None) is None
    assert regularizers.get(np.sum) is np.sum
    assert isinstance(regularizers.l2(0.1), regularizers.L2)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: regularizers.get("l3"), ValueError, "unknown regularizer 'l3'"),
        (lambda: regularizers.get(0.01), TypeError, "given by its name, as an object"),
        (lambda: regularizers.L1(-1), ValueError, "l1 to be a number from 0 on, got -1"),
        (lambda: regularizers.L2(float("nan")), ValueError, "l2 to be a number from 0 on"),
        (lambda: regularizers.OrthogonalRegularizer(mode="row"), ValueError, 'mode "rows" or'),
        (
            lambda: regularizers.OrthogonalRegularizer()(np.ones(3)),
            ValueError,
            r"is for matrices, got shape \(3,\)",
        ),
        (lambda: regularizers.Regularizer()(np.ones(3)), NotImplementedError, "must define"),
    ],
)
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()
