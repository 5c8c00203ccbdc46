"""Losses: values against formulas, hand-made numbers, Keras and PyTorch; derivatives against finite
differences; kernels against definitions; reductions, weights, names; shapes and labels that misfit.
"""

import numpy as np
import pytest

import lamina
from lamina import Tensor, kernels, losses
from lamina.ops import losses as definitions
from lamina.ops._op import KERNELS, OPS
from lamina.testing import check_grads

EPSILON = 1e-7
ROWS, COLUMNS = 6, 4


def _cut(p):
    return np.clip(p, EPSILON, 1 - EPSILON)


def _log_softmax(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def _bce(y, p):
    return -(y * np.log(_cut(p)) + (1 - y) * np.log(1 - _cut(p))).mean(-1)


def _shares(p):
    return _cut(p / p.sum(-1, keepdims=True))


def _smooth(y, by, towards):
    return (1 - by) * y + by * towards


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _huber(d, delta):
    small = np.abs(d) <= delta
    return np.where(small, d**2 / 2, delta * (np.abs(d) - delta / 2)).mean(-1)


def _unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _chosen(table, y):
    return np.take_along_axis(table, y[..., None], -1)[..., 0]


# name, kind of data, options, formula of (y_true, y_pred) in NumPy
CASES = [
    ("mean_squared_error", "numbers", {}, lambda y, p: ((p - y) ** 2).mean(-1)),
    ("sum_of_squares", "numbers", {}, lambda y, p: ((p - y) ** 2).sum(-1) / 2),
    ("mean_absolute_error", "numbers", {}, lambda y, p: np.abs(p - y).mean(-1)),
    (
        "mean_absolute_percentage_error",
        "numbers",
        {},
        lambda y, p: 100 * np.abs((p - y) / y).mean(-1),
    ),
    (
        "mean_squared_logarithmic_error",
        "positive",
        {},
        lambda y, p: ((np.log(1 + p) - np.log(1 + y)) ** 2).mean(-1),
    ),
    ("huber", "numbers", {}, lambda y, p: _huber(p - y, 1.0)),
    ("huber", "numbers", {"delta": 0.4}, lambda y, p: _huber(p - y, 0.4)),
    ("log_cosh", "numbers", {}, lambda y, p: np.log(np.cosh(p - y)).mean(-1)),
    (
        "cosine_similarity",
        "numbers",
        {},
        lambda y, p: -(_unit(y) * _unit(p)).sum(-1),
    ),
    ("hinge", "signs", {}, lambda y, p: np.maximum(1 - y * p, 0).mean(-1)),
    ("hinge", "binary_scores", {}, lambda y, p: np.maximum(1 - (2 * y - 1) * p, 0).mean(-1)),
    ("squared_hinge", "signs", {}, lambda y, p: (np.maximum(1 - y * p, 0) ** 2).mean(-1)),
    (
        "categorical_hinge",
        "one_hot_scores",
        {},
        lambda y, p: np.maximum(((1 - y) * p).max(-1) - (y * p).sum(-1) + 1, 0),
    ),
    ("kl_divergence", "distributions", {}, lambda y, p: (y * np.log(y / p)).sum(-1)),
    ("poisson", "positive", {}, lambda y, p: (p - y * np.log(p + EPSILON)).mean(-1)),
    ("binary_crossentropy", "binary", {}, _bce),
    (
        "binary_crossentropy",
        "binary",
        {"label_smoothing": 0.2},
        lambda y, p: _bce(_smooth(y, 0.2, 0.5), p),
    ),
    (
        "binary_crossentropy",
        "binary_scores",
        {"from_logits": True},
        lambda y, p: _bce(y, _sigmoid(p)),
    ),
    (
        "binary_crossentropy",
        "binary_scores",
        {"from_logits": True, "label_smoothing": 0.1},
        lambda y, p: _bce(_smooth(y, 0.1, 0.5), _sigmoid(p)),
    ),
    ("binary_focal_crossentropy", "binary", {"gamma": 0.0}, _bce),
    (
        "binary_focal_crossentropy",
        "binary",
        {"apply_class_balancing": True, "alpha": 0.3, "gamma": 1.5},
        lambda y, p: (
            -(0.3 * y * (1 - p) ** 1.5 * np.log(p) + 0.7 * (1 - y) * p**1.5 * np.log(1 - p)).mean(
                -1
            )
        ),
    ),
    (
        "binary_focal_crossentropy",
        "binary_scores",
        {"from_logits": True},
        lambda y, p: (
            -(
                y * _sigmoid(-p) ** 2 * np.log(_sigmoid(p))
                + (1 - y) * _sigmoid(p) ** 2 * np.log(_sigmoid(-p))
            ).mean(-1)
        ),
    ),
    (
        "categorical_crossentropy",
        "one_hot",
        {},
        lambda y, p: -(y * np.log(_shares(p))).sum(-1),
    ),
    (
        "categorical_crossentropy",
        "one_hot",
        {"label_smoothing": 0.2},
        lambda y, p: -(_smooth(y, 0.2, 1 / COLUMNS) * np.log(_shares(p))).sum(-1),
    ),
    (
        "categorical_crossentropy",
        "one_hot_scores",
        {"from_logits": True},
        lambda y, p: -(y * _log_softmax(p)).sum(-1),
    ),
    (
        "categorical_crossentropy",
        "one_hot_scores",
        {"from_logits": True, "label_smoothing": 0.1},
        lambda y, p: -(_smooth(y, 0.1, 1 / COLUMNS) * _log_softmax(p)).sum(-1),
    ),
    (
        "categorical_focal_crossentropy",
        "one_hot",
        {},
        lambda y, p: -(0.25 * (1 - _shares(p)) ** 2 * y * np.log(_shares(p))).sum(-1),
    ),
    (
        "categorical_focal_crossentropy",
        "one_hot_scores",
        {"from_logits": True, "gamma": 1.0, "alpha": 1.0},
        lambda y, p: -((1 - np.exp(_log_softmax(p))) * y * _log_softmax(p)).sum(-1),
    ),
    (
        "sparse_categorical_crossentropy",
        "classes",
        {},
        lambda y, p: -np.log(_chosen(_shares(p), y)),
    ),
    (
        "sparse_categorical_crossentropy",
        "class_scores",
        {"from_logits": True},
        lambda y, p: -_chosen(_log_softmax(p), y),
    ),
    (
        "sparse_categorical_crossentropy",
        "class_scores",
        {"from_logits": True, "ignore_class": 1},
        lambda y, p: -_chosen(_log_softmax(p), y) * (y != 1),
    ),
    (
        "sparse_categorical_crossentropy",
        "classes",
        {"ignore_class": 0},
        lambda y, p: -np.log(_chosen(_shares(p), y)) * (y != 0),
    ),
]
IDS = [f"{name}-{kind}" + "".join(f"-{o}" for o in options) for name, kind, options, _ in CASES]
SHAPES = [(ROWS, COLUMNS), (2, 3, COLUMNS), (ROWS, 1)]
OF_CLASSES = ("classes", "class_scores", "distributions", "one_hot", "one_hot_scores")


def data(kind, shape=(ROWS, COLUMNS), seed=0):
    """Targets and outputs for a loss, in float64; no output lies on a kink."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=shape)
    parts = np.exp(rng.normal(size=shape))
    if kind == "numbers":
        return rng.normal(size=shape), scores
    if kind == "positive":
        return np.exp(rng.normal(size=shape)), parts
    if kind == "signs":
        return rng.choice([-1.0, 1.0], size=shape), scores
    if kind in ("binary", "binary_scores"):
        y = rng.integers(0, 2, size=shape).astype(float)
        return y, (_sigmoid(scores) if kind == "binary" else scores)
    if kind == "distributions":
        y = np.exp(rng.normal(size=shape))
        return y / y.sum(-1, keepdims=True), parts / parts.sum(-1, keepdims=True)
    numbers = rng.integers(0, shape[-1], size=shape[:-1])
    y = numbers if kind in ("classes", "class_scores") else np.eye(shape[-1])[numbers]
    return y, (scores if kind.endswith("scores") else parts)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "kind", "options", "formula"), CASES, ids=IDS)
def test_values(name, kind, options, formula, shape):
    if shape[-1] == 1 and kind in OF_CLASSES:
        pytest.skip("one class is no choice")
    y, p = data(kind, shape)
    found = getattr(losses, name)(y, p, **options)
    assert found.shape == shape[:-1]
    np.testing.assert_allclose(found, formula(y, p), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("name", "kind", "options", "formula"), CASES, ids=IDS)
def test_values_on_every_backend(backend, no_sync, name, kind, options, formula):
    y, p = data(kind)
    dtype = "int64" if y.dtype.kind == "i" else "float32"
    y_true, y_pred = backend.asarray(y, dtype), backend.asarray(p, "float32")
    with no_sync():
        found = OPS[name](y_true, y_pred, **options)
    assert found.dtype == backend.xp.float32
    assert backend.backend.owns(found)
    np.testing.assert_allclose(backend.to_numpy(found), formula(y, p), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "kind", "options", "formula"), CASES, ids=IDS)
def test_derivatives_to_the_second_order(name, kind, options, formula):
    y, p = data(kind, seed=1)
    check_grads(lambda p: OPS[name](y, p, **options), (p,))
    if kind in ("numbers", "positive", "distributions"):
        check_grads(lambda y, p: OPS[name](y, p, **options), (y, p))


assert kernels  # importing the room registers them
KERNEL_CASES = [(c, n) for c in CASES for n in KERNELS.get(c[0], ()) if n != "cupy"]


@pytest.mark.parametrize("shape", [*SHAPES, (0, COLUMNS), (COLUMNS,)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("case", "namespace"), KERNEL_CASES, ids=[f"{IDS[CASES.index(c)]}-{n}" for c, n in KERNEL_CASES]
)
def test_kernels_equal_definitions(case, namespace, dtype, shape):
    name, kind, options, _ = case
    if shape[-1] == 1 and kind in OF_CLASSES:
        pytest.skip("one class is no choice")
    y, p = data(kind, shape)
    y = y if np.asarray(y).dtype.kind == "i" else y.astype(dtype)
    p = p.astype(dtype)
    settings = {**(OPS[name].__wrapped__.__kwdefaults__ or {}), **options}
    done = KERNELS[name][namespace](np, (False, True), y, p, **settings)
    if done is NotImplemented:
        assert options.get("ignore_class") is not None or len(shape) == 1
        return
    values, pullback = done
    weights = np.random.default_rng(2).normal(size=shape[:-1]).astype(dtype)
    nothing, gradient = pullback(weights)
    again = pullback(weights)[1]
    x = Tensor(p, requires_grad=True)
    wanted = OPS[name].definition(lamina.autograd.differentiable(np), y, x, **options)
    wanted.backward(weights)
    tolerance = (
        {"rtol": 2e-5, "atol": 2e-6} if dtype == "float32" else {"rtol": 1e-9, "atol": 1e-12}
    )
    np.testing.assert_allclose(values, wanted.data, **tolerance)
    np.testing.assert_allclose(gradient, x.grad, **tolerance)
    np.testing.assert_array_equal(gradient, again)
    assert nothing is None
    assert values.dtype == gradient.dtype == dtype
    assert gradient.shape == shape


def test_every_loss_has_a_case():
    names = {kind().fn.__name__ for kind in losses._CLASSES.values()}
    assert names == {name for name, *_ in CASES}


@pytest.mark.parametrize(("name", "kind", "options", "formula"), CASES, ids=IDS)
def test_gradients_are_those_of_the_backend(backend, no_sync, name, kind, options, formula):
    """Portable kernels and definitions on every backend, against NumPy in float64."""
    y, p = data(kind)
    dtype = "int64" if y.dtype.kind == "i" else "float32"
    here = Tensor(backend.asarray(p, "float32"), requires_grad=True)
    there = Tensor(p, requires_grad=True)
    y_here = backend.asarray(y, dtype)
    seed = np.linspace(0.5, 1.5, ROWS)
    with no_sync():
        OPS[name](y_here, here, **options).backward(backend.asarray(seed, "float32"))
    OPS[name](y, there, **options).backward(seed)
    np.testing.assert_allclose(backend.to_numpy(here.grad), there.grad, rtol=1e-3, atol=1e-5)


# ---- against the peers --------------------------------------------------------------------------

KERAS_CASES = [c for c in CASES if c[0] != "sum_of_squares"]


@pytest.mark.parametrize(("name", "kind", "options", "formula"), KERAS_CASES)
def test_against_keras(name, kind, options, formula):
    keras = pytest.importorskip("keras")
    y, p = data(kind, seed=3)
    p = p.astype("float32")
    y = y if y.dtype.kind == "i" else y.astype("float32")
    theirs = getattr(keras.losses, name)(y, p, **options)
    ours = getattr(losses, name)(y, p, **options)
    np.testing.assert_allclose(ours, np.asarray(theirs), rtol=2e-5, atol=1e-6)
    kind = losses.get(name)
    rebuilt = type(kind)(**options)
    theirs = getattr(keras.losses, type(kind).__name__)(**options)
    weights = np.linspace(0.0, 2.0, ROWS, dtype="float32")
    np.testing.assert_allclose(rebuilt(y, p), np.asarray(theirs(y, p)), rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(
        rebuilt(y, p, weights), np.asarray(theirs(y, p, weights)), rtol=2e-5, atol=1e-6
    )


TORCH_CASES = {
    "mean_squared_error": ("numbers", lambda F, y, p: F.mse_loss(p, y)),
    "mean_absolute_error": ("numbers", lambda F, y, p: F.l1_loss(p, y)),
    "huber": ("numbers", lambda F, y, p: F.huber_loss(p, y)),
    "binary_crossentropy": ("binary", lambda F, y, p: F.binary_cross_entropy(p, y)),
    "kl_divergence": (
        "distributions",
        lambda F, y, p: F.kl_div(p.log(), y, reduction="batchmean"),
    ),
    "poisson": ("positive", lambda F, y, p: F.poisson_nll_loss(p, y, log_input=False, eps=1e-7)),
}


@pytest.mark.parametrize("name", TORCH_CASES)
def test_against_torch(name):
    torch = pytest.importorskip("torch")
    kind, theirs = TORCH_CASES[name]
    y, p = data(kind, seed=4)
    x, mine = torch.tensor(p, requires_grad=True), Tensor(p, requires_grad=True)
    value = theirs(torch.nn.functional, torch.tensor(y), x)
    value.backward()
    ours = losses.get(name)(y, mine)
    ours.backward()
    np.testing.assert_allclose(ours.item(), value.item(), rtol=1e-7)
    np.testing.assert_allclose(mine.grad, x.grad.numpy(), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_crossentropy_of_logits_against_torch(smoothing):
    torch = pytest.importorskip("torch")
    y, p = data("class_scores", seed=5)
    x, mine = torch.tensor(p, requires_grad=True), Tensor(p, requires_grad=True)
    value = torch.nn.functional.cross_entropy(x, torch.tensor(y), label_smoothing=smoothing)
    value.backward()
    one_hot = np.eye(COLUMNS)[y]
    loss = losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    loss(one_hot, mine).backward()
    np.testing.assert_allclose(mine.grad, x.grad.numpy(), rtol=1e-9)
    if not smoothing:
        mine = Tensor(p, requires_grad=True)
        losses.SparseCategoricalCrossentropy(from_logits=True)(y, mine).backward()
        np.testing.assert_allclose(mine.grad, x.grad.numpy(), rtol=1e-9)


# ---- by hand ------------------------------------------------------------------------------------


def test_numbers_by_hand():
    y, p = [[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]]
    assert float(losses.MeanSquaredError()(y, p)) == 0.5
    assert float(losses.MeanSquaredError(reduction="sum")(y, p)) == 1.0
    assert float(losses.SumOfSquares(reduction="sum")(y, p)) == 1.0
    assert float(losses.MeanSquaredError()(y, p, [0.7, 0.3])) == pytest.approx(0.25)
    assert losses.MeanSquaredError(reduction=None)(y, p).tolist() == [0.5, 0.5]
    assert float(losses.Huber()([[0.0]], [[3.0]])) == 2.5
    assert float(losses.Hinge()([[0.0, 1.0]], [[0.6, 0.4]])) == pytest.approx((1.6 + 0.6) / 2)
    assert float(losses.CosineSimilarity()([[0.0, 1.0]], [[0.0, 2.0]])) == pytest.approx(-1.0)
    assert float(losses.CosineSimilarity()([[0.0, 0.0]], [[0.0, 2.0]])) == 0.0
    # the three probabilities of the true classes: 0.95, 0.8 and 0.1
    sparse = losses.SparseCategoricalCrossentropy()
    p = [[0.05, 0.95, 0.0], [0.1, 0.8, 0.1], [0.8, 0.1, 0.1]]
    assert float(sparse([1, 1, 2], p)) == pytest.approx(-np.log(0.95 * 0.8 * 0.1) / 3, rel=1e-6)


def test_the_gradient_of_sum_of_squares_is_the_difference():
    y, p = data("numbers")
    x = Tensor(p, requires_grad=True)
    losses.SumOfSquares(reduction="sum")(y, x).backward()
    np.testing.assert_allclose(x.grad, p - y, rtol=1e-12)


@pytest.mark.parametrize("score", [-1e4, -90.0, 0.0, 90.0, 1e4])
def test_logits_far_out_are_exact(score):
    x = Tensor(np.array([[score]], "float32"), requires_grad=True)
    loss = losses.BinaryCrossentropy(from_logits=True)(np.ones((1, 1), "float32"), x)
    loss.backward()
    exact = max(-score, 0.0) + np.log1p(np.exp(-abs(score)))
    assert loss.item() == pytest.approx(exact, rel=1e-6, abs=1e-6)
    assert x.grad.item() == pytest.approx(-0.5 * (1 - np.tanh(score / 2)), abs=1e-7)
    x = Tensor(np.array([[score, 0.0]], "float32"), requires_grad=True)
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)(np.array([0]), x)
    loss.backward()
    assert loss.item() == pytest.approx(exact, rel=1e-6, abs=1e-6)
    assert np.isfinite(x.grad).all()


def test_probabilities_of_0_and_1_are_cut():
    y = np.array([[0.0], [1.0]], "float32")
    x = Tensor(1 - y, requires_grad=True)
    loss = losses.BinaryCrossentropy()(y, x)
    loss.backward()
    assert loss.item() == pytest.approx(-np.log(1e-7), rel=0.02)
    assert (x.grad == 0).all()


def test_label_smoothing_of_labels_that_are_probabilities_already():
    y = np.full((2, 1), 0.5)
    p = np.array([[0.3], [0.9]])
    assert float(losses.BinaryCrossentropy(label_smoothing=0.3)(y, p)) == pytest.approx(
        float(losses.BinaryCrossentropy()(y, p))
    )


@pytest.mark.parametrize("name", ["CategoricalCrossentropy", "CategoricalFocalCrossentropy"])
def test_label_smoothing_counts_the_classes_along_their_axis(name):
    make, swapped = getattr(losses, name), (0, 2, 1)
    y = np.eye(3)[np.array([[0, 2, 1, 1], [2, 2, 0, 1]])]
    p = np.random.default_rng(0).uniform(0.1, 0.9, y.shape)
    last = make(label_smoothing=0.3, axis=-1, reduction="none")(y, p)
    first = make(label_smoothing=0.3, axis=1, reduction="none")(
        y.transpose(swapped), p.transpose(swapped)
    )
    np.testing.assert_allclose(first, last)


# ---- reductions and weights ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [
        ("sum_over_batch_size", (1 * 1 + 2 * 4 + 0 * 9) / 3),
        ("mean", (1 * 1 + 2 * 4 + 0 * 9) / 3),
        ("sum", 1 * 1 + 2 * 4 + 0 * 9),
        ("mean_with_sample_weight", (1 * 1 + 2 * 4 + 0 * 9) / 3.0),
    ],
)
def test_reductions_by_hand(reduction, expected):
    y, p, w = np.zeros((3, 1)), np.array([[1.0], [2.0], [3.0]]), [1.0, 2.0, 0.0]
    loss = losses.MeanSquaredError(reduction=reduction)
    assert float(loss(y, p, w)) == pytest.approx(expected)
    assert float(loss(y, p, np.array(w)[:, None])) == pytest.approx(expected)


def test_mean_with_sample_weight_divides_by_the_weights():
    y, p = np.zeros((2, 1)), np.array([[1.0], [2.0]])
    loss = losses.MeanSquaredError(reduction="mean_with_sample_weight")
    assert float(loss(y, p, [3.0, 1.0])) == pytest.approx(7 / 4)
    assert float(loss(y, p)) == pytest.approx(5 / 2)
    assert float(loss(y, p, [0.0, 0.0])) == 0.0


def test_weights_of_samples_apply_to_all_their_values():
    y, p = np.zeros((2, 3, 1)), np.ones((2, 3, 1)) * np.arange(6.0).reshape(2, 3, 1)
    loss = losses.MeanSquaredError(reduction="sum")
    assert float(loss(y, p, [1.0, 0.0])) == 0 + 1 + 4
    assert float(loss(y, p, np.eye(2, 3))) == 0 + 16
    mean = losses.MeanSquaredError(reduction="mean_with_sample_weight")
    assert float(mean(y, p, [2.0, 0.0])) == pytest.approx(2 * (0 + 1 + 4) / (3 * 2))
    with pytest.raises(ValueError, match="sample_weight must have one weight per sample"):
        loss(y, p, [1.0, 2.0, 3.0])


def test_ignored_samples_are_no_part_of_the_mean():
    y, p = np.array([0, -1, 1]), np.array([[0.5, 0.5], [np.nan, 0.5], [0.5, 0.5]])
    loss = losses.SparseCategoricalCrossentropy(ignore_class=-1)
    x = Tensor(p, requires_grad=True)
    value = loss(y, x)
    value.backward()
    assert value.item() == pytest.approx(np.log(2))
    assert (x.grad[1] == 0).all()
    assert np.isfinite(x.grad).all()
    q = [[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]]
    expected = -(3 * np.log(0.5) + np.log(0.8)) / 2
    assert float(loss(y, q, [3.0, 5.0, 1.0])) == pytest.approx(expected)


def test_a_clear_margin_costs_nothing():
    loss = losses.CategoricalHinge(reduction="none")
    y, p = [[0.0, 1.0], [0.0, 1.0]], [[0.1, 3.0], [0.5, 1.0]]
    np.testing.assert_allclose(loss(y, p), [0.0, 0.5])


def test_outputs_without_a_last_axis_meet_targets_with_one():
    assert float(losses.MeanSquaredError()([[1.0], [2.0]], [1.0, 4.0])) == pytest.approx(2.0)


def test_classes_on_another_axis():
    y, p = data("class_scores", (2, 5, COLUMNS))
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, axis=1)
    plain = losses.SparseCategoricalCrossentropy(from_logits=True)
    assert float(loss(y, np.moveaxis(p, -1, 1))) == pytest.approx(float(plain(y, p)))
    check_grads(lambda p: loss.call(y, p), (np.moveaxis(p, -1, 1).copy(),))


def test_gradients_reach_targets_too():
    y, p = Tensor(np.ones((2, 3)), requires_grad=True), np.zeros((2, 3))
    losses.MeanSquaredError()(y, p).backward()
    np.testing.assert_allclose(y.grad, np.full((2, 3), 2 / 6))


# ---- by name -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        ("mse MSE mean_squared_error MeanSquaredError", "MeanSquaredError"),
        ("mae MAE mean_absolute_error MeanAbsoluteError", "MeanAbsoluteError"),
        ("mape MAPE MeanAbsolutePercentageError", "MeanAbsolutePercentageError"),
        ("msle MSLE MeanSquaredLogarithmicError", "MeanSquaredLogarithmicError"),
        ("bce BCE binary_crossentropy BinaryCrossentropy", "BinaryCrossentropy"),
        ("kld KLD kl_divergence kullback_leibler_divergence KLDivergence", "KLDivergence"),
        ("logcosh log_cosh LogCosh", "LogCosh"),
        ("huber Huber", "Huber"),
        ("sum_of_squares", "SumOfSquares"),
    ],
)
def test_names(names, kind):
    for name in names.split():
        assert type(losses.get(name)).__name__ == kind


def test_what_get_takes():
    loss = losses.Huber(0.5)
    assert losses.get(loss) is loss
    assert losses.get(None) is None
    assert isinstance(losses.get(losses.Huber), losses.Huber)
    assert isinstance(losses.get(losses.huber), losses.Huber)

    def pinball(y_true, y_pred):
        d = y_true - y_pred
        return lamina.xp.mean(lamina.xp.maximum(0.9 * d, -0.1 * d), axis=-1)

    own = losses.get(pinball)
    assert own.name == "pinball"
    assert own.per_sample is None
    assert float(own([[1.0], [0.0]], [[0.0], [1.0]])) == pytest.approx(0.5)
    assert losses.get("mse").per_sample is True
    for identifier in (3, dict):
        with pytest.raises(TypeError, match="a loss is given by its name"):
            losses.get(identifier)
    with pytest.raises(ValueError, match="unknown loss 'mean_square_error': did you mean 'mean_sq"):
        losses.get("mean_square_error")
    for name in ("crossentropy", "CrossEntropyLoss", "sparse_crossentropy"):
        match = f"unknown loss '{name}': use sparse_categorical_crossentropy for class numbers"
        with pytest.raises(ValueError, match=match):
            losses.get(name)
    with pytest.raises(ValueError, match="did you mean 'binary_crossentropy'"):
        losses.get("binary_crossentropi")
    with pytest.raises(ValueError, match="unknown reduction 'avg'"):
        losses.MeanSquaredError(reduction="avg")


@pytest.mark.parametrize("name", sorted(losses._CLASSES))
def test_configurations_make_the_same_loss(name):
    loss = losses.get(name)
    again = losses.deserialize(losses.serialize(loss))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    assert losses.get(losses.serialize(loss)).get_config() == loss.get_config()


def test_a_function_has_no_configuration():
    with pytest.raises(TypeError, match="is a function, which cannot be written down"):
        losses.serialize(losses.get(lambda y, p: p))


def test_a_subclass_needs_only_call():
    class Signed(losses.Loss):
        def call(self, y_true, y_pred):
            return lamina.xp.mean(y_pred - y_true, axis=-1)

    assert Signed().name == "signed"
    assert float(Signed()([[1.0], [2.0]], [[2.0], [4.0]])) == 1.5
    with pytest.raises(NotImplementedError, match=r"define call\(y_true, y_pred\)"):
        losses.Loss()([[1.0]], [[1.0]])


def test_options_by_position_as_in_keras():
    y, p = data("binary_scores")
    np.testing.assert_array_equal(
        losses.binary_crossentropy(y, p, True, 0.1),
        losses.binary_crossentropy(y, p, from_logits=True, label_smoothing=0.1),
    )
    np.testing.assert_array_equal(losses.huber(y, p, 0.3), losses.huber(y, p, delta=0.3))


# ---- shapes that misfit --------------------------------------------------------------------------


@pytest.mark.parametrize("shapes", [((5,), (5, 1)), ((5, 1), (5, 1)), ((5, 1, 1), (5, 1))])
def test_a_missing_last_axis_is_no_product_of_all_pairs(shapes):
    y, p = np.arange(5.0).reshape(shapes[0]), np.zeros(shapes[1])
    for loss in (losses.MeanSquaredError(), losses.get(lambda y, p: (y - p) ** 2)):
        assert losses.prepare(y, p, loss).shape == (5, 1)
        assert float(loss(y, p)) == pytest.approx(np.mean(np.arange(5.0) ** 2))
    assert losses.prepare(Tensor(y), Tensor(p), loss).shape == (5, 1)


MISFITS = [
    ("mse", (4, 3), (4, 1), r"\(4, 1\), got \(4, 3\): give the last layer 3 units"),
    ("mse", (4,), (4, 3), r"to_categorical\(y, 3\); else give the last layer 1 unit"),
    ("mse", (5, 1), (4, 1), "both must have the same number of samples"),
    ("bce", (4, 2), (4, 1), "give the last layer 2 units"),
    ("categorical_crossentropy", (4,), (4, 3), "so use sparse_categorical_crossentropy, or make"),
    ("categorical_crossentropy", (4, 1), (4, 3), r"to_categorical\(y, 3\)"),
    ("categorical_crossentropy", (4, 5), (4, 3), "give the last layer 5 units"),
    ("categorical_crossentropy", (4, 1), (4, 1), "use binary_crossentropy for one output"),
    ("kl_divergence", (4,), (4, 3), r"make them one-hot with lamina.utils.to_categorical\(y, 3\)"),
    ("sparse_categorical_crossentropy", (4, 3), (4, 3), "one-hot, .* use categorical_crossentropy"),
    ("sparse_categorical_crossentropy", (4, 5), (4, 3), "give the last layer 5 units"),
    ("sparse_categorical_crossentropy", (5,), (4, 3), "the same number of samples"),
    ("sparse_categorical_crossentropy", (4,), (4, 1), "use binary_crossentropy for one output"),
    ("sparse_categorical_crossentropy", (4, 2, 1), (4, 3), "one class number for each row"),
    ("sparse_categorical_crossentropy", (4,), (4, 5, 5, 3), r"layers.Flatten\(\) or a global pool"),
]


@pytest.mark.parametrize(("name", "y", "p", "message"), MISFITS)
def test_shapes_that_misfit(name, y, p, message):
    loss = losses.get(name)
    with pytest.raises(ValueError, match=message) as caught:
        losses.prepare(np.zeros(y, int if "sparse" in name else float), np.zeros(p), loss)
    assert str(caught.value).startswith(f'the loss "{loss.name}" needs ')


def test_outputs_need_an_axis_besides_the_batch():
    with pytest.raises(ValueError, match="needs outputs with a batch axis and a last axis"):
        losses.prepare(np.zeros(4), np.zeros(4), losses.get("mse"))
    assert float(losses.MeanSquaredError()([0.0, 1.0], [1.0, 1.0])) == 0.5


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_class_numbers_with_and_without_an_axis(shape):
    y, p = data("class_scores", (4, 3))
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    assert losses.prepare(y.reshape(shape), p, loss).shape == (4,)
    assert losses.wants_integers(loss)
    np.testing.assert_array_equal(
        losses.sparse_categorical_crossentropy(y.reshape(shape), p, from_logits=True),
        loss.call(y, p),
    )


# ---- labels that misfit --------------------------------------------------------------------------

BAD_LABELS = [
    ("sparse_categorical_crossentropy", [0, 3, 1], 3, "0 to 2, got 3 in row 1: number the classes"),
    ("sparse_categorical_crossentropy", [[0], [-1], [1]], 3, "got -1 in row 1"),
    ("sparse_categorical_crossentropy", [0.0, 1.5, 2.0], 3, "got 1.5 in row 1"),
    ("sparse_categorical_crossentropy", [0.0, 1.0, np.nan], 3, "got nan in row 2"),
    ("binary_crossentropy", [[0.0], [2.0]], 1, "between 0 and 1, got 2.0 in row 1: map the two"),
    ("binary_crossentropy", [[-1.0], [1.0]], 1, "got -1.0 in row 0"),
    ("binary_crossentropy", [[0.0], [np.nan]], 1, "got nan in row 1"),
    (
        "categorical_crossentropy",
        [[0.0, 1.0], [5.0, 0.0]],
        2,
        "got 5.0 in row 1: make rows one-hot",
    ),
    ("poisson", [[1.0], [-2.0]], 1, "got -2.0 in row 1"),
    ("mse", [[1.0], [np.inf]], 1, "finite targets, got inf in row 1"),
]


@pytest.mark.parametrize(("name", "labels", "outputs", "message"), BAD_LABELS)
def test_labels_that_misfit(backend, name, labels, outputs, message):
    host = np.asarray(labels)
    labels = backend.asarray(host, "int64" if host.dtype.kind == "i" else "float32")
    with pytest.raises(ValueError, match=message):
        losses.check_labels(labels, (None, outputs), losses.get(name))


def test_rows_are_counted_on():
    with pytest.raises(ValueError, match="in row 102"):
        losses.check_labels(np.array([0, 0, 9]), (None, 3), losses.get(BAD_LABELS[0][0]), 100)


@pytest.mark.parametrize(
    ("name", "labels", "outputs"),
    [
        ("sparse_categorical_crossentropy", [0.0, 2.0], 3),
        ("sparse_categorical_crossentropy", [[0], [2]], 3),
        ("binary_crossentropy", [[0.0], [0.3], [1.0]], 1),
        ("binary_crossentropy", [[0], [1]], 1),
        ("mse", [[-3]], 1),
        ("hinge", [[-1.0], [1.0]], 1),
    ],
)
def test_labels_that_fit(backend, name, labels, outputs):
    host = np.asarray(labels)
    labels = backend.asarray(host, "int64" if host.dtype.kind == "i" else "float32")
    losses.check_labels(labels, (None, outputs), losses.get(name))


def test_ignored_numbers_are_no_bad_labels():
    loss = losses.SparseCategoricalCrossentropy(ignore_class=-1)
    losses.check_labels(np.array([0, -1]), (None, 2), loss)


def test_a_loss_that_is_called_checks_its_class_numbers():
    with pytest.raises(ValueError, match="got 2 in row 1"):
        losses.SparseCategoricalCrossentropy()([0, 2], [[0.5, 0.5], [0.5, 0.5]])
    assert float(losses.SparseCategoricalCrossentropy()([0.0, 1.0], np.eye(2))) < 1e-6


def test_lists_and_integers_become_floats():
    assert losses.mean_squared_error([[0, 2]], [[1, 2]]).dtype == np.float32
    assert losses.MeanSquaredError(dtype="float64")([[0]], [[1]]).dtype == np.float64


def test_definitions_are_all_in_one_place():
    for name, *_ in CASES:
        assert getattr(definitions, name) is OPS[name]
