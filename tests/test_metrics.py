"""Metrics: against counts by hand, formulas in NumPy, scikit-learn and Keras; batches against the
whole; weights; state; nothing waits for the device; names and what they mean.
"""

import numpy as np
import pytest

import lamina
from lamina import losses, metrics
from lamina.metrics._names import _METRICS

N, K = 40, 4


def _one_hot(y, k=K):
    return np.eye(k)[y]


def data(kind, n=N, seed=0):
    """Targets and outputs, in float64 and int64."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, K))
    shares = np.exp(scores)
    shares /= shares.sum(-1, keepdims=True)
    numbers = rng.integers(0, K, n)
    return {
        "numbers": lambda: (rng.normal(size=(n, K)), scores),
        "column": lambda: (rng.normal(size=(n, 1)), scores[:, :1]),
        "positive": lambda: (np.exp(rng.normal(size=(n, K))), shares),
        "binary": lambda: (
            rng.integers(0, 2, (n, 1)),
            # few digits, so that some outputs are equal
            np.round(1 / (1 + np.exp(-scores[:, :1])), 2),
        ),
        "multi_label": lambda: (rng.integers(0, 2, (n, K)), 1 / (1 + np.exp(-scores))),
        "classes": lambda: (numbers, shares),
        "one_hot": lambda: (_one_hot(numbers), shares),
        "distributions": lambda: (np.roll(shares, 1, axis=0), shares),
        "signs": lambda: (rng.choice([-1.0, 1.0], (n, 1)), scores[:, :1]),
    }[kind]()


def _mean(values, w):
    values = values.reshape(len(values), -1).mean(-1)
    return np.average(values, weights=w) if w is not None else values.mean()


def _unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _top(y, p, k):
    return (np.argsort(-p, axis=-1)[:, :k] == y[:, None]).any(-1)


def _of_loss(name, **options):
    return lambda y, p, w: _mean(getattr(losses, name)(y, p, **options), w)


def _count(label, answer):
    return lambda y, p, w: (
        ((y != 0) == label) * ((p > 0.5) == answer) * (1 if w is None else w[:, None])
    ).sum()


def _precision(y, p, w):
    hit, wrong = _count(True, True)(y, p, w), _count(False, True)(y, p, w)
    return hit / (hit + wrong)


def _recall(y, p, w):
    hit, missed = _count(True, True)(y, p, w), _count(True, False)(y, p, w)
    return hit / (hit + missed)


def _pairs(y, p, w):
    """The ROC area as the share of pairs in the right order."""
    y, p = y.ravel(), p.ravel()
    w = np.ones(len(y)) if w is None else w
    a, b = p[y == 1][:, None], p[y == 0][None]
    weight = w[y == 1][:, None] * w[y == 0][None]
    return (((a > b) + 0.5 * (a == b)) * weight).sum() / weight.sum()


def _f_scores(y, p, w, beta=1.0):
    w = np.ones((len(y), 1)) if w is None else w[:, None]
    answer = p == p.max(-1, keepdims=True)
    hits, yes, all_ = ((q * w).sum(0) for q in (answer * y, answer, y))
    precision, recall = hits / yes, hits / all_
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


def _r2(y, p, w):
    w = np.ones(len(y)) if w is None else w
    mean = np.average(y, axis=0, weights=w)
    return np.mean(1 - (w[:, None] * (y - p) ** 2).sum(0) / (w[:, None] * (y - mean) ** 2).sum(0))


# class, options, kind of data, formula of (y_true, y_pred, weights or None)
CASES = [
    ("Accuracy", {}, "binary", lambda y, p, w: _mean(y == p, w)),
    ("BinaryAccuracy", {}, "binary", lambda y, p, w: _mean(y == (p > 0.5), w)),
    ("BinaryAccuracy", {"threshold": 0.3}, "multi_label", lambda y, p, w: _mean(y == (p > 0.3), w)),
    (
        "CategoricalAccuracy",
        {},
        "one_hot",
        lambda y, p, w: _mean(y.argmax(-1) == p.argmax(-1), w),
    ),
    ("SparseCategoricalAccuracy", {}, "classes", lambda y, p, w: _mean(y == p.argmax(-1), w)),
    (
        "TopKCategoricalAccuracy",
        {"k": 2},
        "one_hot",
        lambda y, p, w: _mean(_top(y.argmax(-1), p, 2), w),
    ),
    (
        "SparseTopKCategoricalAccuracy",
        {"k": 3},
        "classes",
        lambda y, p, w: _mean(_top(y, p, 3), w),
    ),
    ("TruePositives", {}, "binary", _count(True, True)),
    ("FalsePositives", {}, "binary", _count(False, True)),
    ("TrueNegatives", {}, "multi_label", _count(False, False)),
    ("FalseNegatives", {}, "multi_label", _count(True, False)),
    ("Precision", {}, "binary", _precision),
    ("Recall", {}, "multi_label", _recall),
    (
        "Precision",
        {"class_id": 1},
        "multi_label",
        lambda y, p, w: _precision(y[:, 1:2], p[:, 1:2], w),
    ),
    (
        "Recall",
        {"top_k": 2},
        "multi_label",
        lambda y, p, w: _recall(y, p >= np.sort(p, -1)[:, -2:-1], w),
    ),
    (
        "Precision",
        {"thresholds": [0.2, 0.8]},
        "binary",
        lambda y, p, w: np.array([_precision(y, p - t + 0.5, w) for t in (0.2, 0.8)]),
    ),
    ("AUC", {"exact": True}, "binary", _pairs),
    ("F1Score", {}, "one_hot", _f_scores),
    ("F1Score", {"average": "macro"}, "one_hot", lambda y, p, w: _f_scores(y, p, w).mean()),
    ("FBetaScore", {"beta": 2.0}, "one_hot", lambda y, p, w: _f_scores(y, p, w, 2.0)),
    ("R2Score", {}, "numbers", _r2),
    ("R2Score", {}, "column", _r2),
    ("MeanSquaredError", {}, "numbers", lambda y, p, w: _mean((y - p) ** 2, w)),
    ("RootMeanSquaredError", {}, "numbers", lambda y, p, w: _mean((y - p) ** 2, w) ** 0.5),
    ("MeanAbsoluteError", {}, "numbers", lambda y, p, w: _mean(np.abs(y - p), w)),
    ("MeanAbsolutePercentageError", {}, "numbers", _of_loss("mean_absolute_percentage_error")),
    ("MeanSquaredLogarithmicError", {}, "positive", _of_loss("mean_squared_logarithmic_error")),
    ("LogCoshError", {}, "numbers", _of_loss("log_cosh")),
    ("CosineSimilarity", {}, "numbers", lambda y, p, w: _mean((_unit(y) * _unit(p)).sum(-1), w)),
    ("Poisson", {}, "positive", _of_loss("poisson")),
    ("KLDivergence", {}, "distributions", _of_loss("kl_divergence")),
    ("BinaryCrossentropy", {}, "binary", _of_loss("binary_crossentropy")),
    ("CategoricalCrossentropy", {}, "one_hot", _of_loss("categorical_crossentropy")),
    ("SparseCategoricalCrossentropy", {}, "classes", _of_loss("sparse_categorical_crossentropy")),
    ("Hinge", {}, "signs", _of_loss("hinge")),
    ("SquaredHinge", {}, "signs", _of_loss("squared_hinge")),
    ("CategoricalHinge", {}, "one_hot", _of_loss("categorical_hinge")),
]
IDS = ["-".join((name, kind, *map(str, options))) for name, options, kind, _ in CASES]
WEIGHTS = np.random.default_rng(7).uniform(0.0, 2.0, N)
cases = pytest.mark.parametrize(("name", "options", "kind", "formula"), CASES, ids=IDS)


def make(name, options):
    return getattr(metrics, name)(**options)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@cases
def test_values_of_batches(name, options, kind, formula, weights):
    y, p = data(kind)
    metric = make(name, options)
    for rows in (slice(0, 7), slice(7, 8), slice(8, N)):
        metric.update_state(y[rows], p[rows], None if weights is None else weights[rows])
    np.testing.assert_allclose(metric.result(), formula(y, p, weights), rtol=2e-6)
    metric.reset_state()
    assert float(metric.result()) == 0.0
    np.testing.assert_allclose(metric(y, p), formula(y, p, None), rtol=2e-6)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@cases
def test_nothing_waits_for_the_device(backend, no_sync, name, options, kind, formula, weights):
    y, p = data(kind)
    y_here = backend.asarray(y, "int64" if kind == "classes" else "float32")
    p_here = backend.asarray(p, "float32")
    parts = [y_here, p_here] if weights is None else [y_here, p_here, backend.asarray(weights)]
    metric = make(name, options)
    with no_sync():
        metric.update_state(*(part[:9, ...] for part in parts))
        metric.update_state(*(part[9:, ...] for part in parts))
        result = metric.result()
    assert backend.backend.owns(result) or backend.backend.is_host
    found = backend.to_numpy(result)
    p = p.astype("float32").astype("float64")
    np.testing.assert_allclose(found, formula(y, p, weights), rtol=2e-5)


@cases
def test_state_goes_on_exactly(backend, name, options, kind, formula):
    y, p = data(kind)
    y = backend.asarray(y, "int64" if kind == "classes" else "float32")
    p = backend.asarray(p, "float32")
    whole, first, second = (make(name, options) for _ in range(3))
    whole.update_state(y[:20, ...], p[:20, ...])
    whole.update_state(y[20:, ...], p[20:, ...])
    first.update_state(y[:20, ...], p[:20, ...])
    saved = {  # as a file holds it: host arrays and numbers
        key: value if isinstance(value, int) else backend.to_numpy(value).copy()
        for key, value in first.state().items()
    }
    second.set_state(saved)
    np.testing.assert_array_equal(second.result(), backend.to_numpy(first.result()))
    second.set_state(saved)
    second.update_state(y[20:, ...], p[20:, ...])
    again, expected = backend.to_numpy(second.result()), backend.to_numpy(whole.result())
    np.testing.assert_array_equal(again, expected)


@cases
def test_configurations_make_the_same_metric(name, options, kind, formula):
    metric = make(name, options)
    again = metrics.deserialize(metrics.serialize(metric))
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()
    y, p = data(kind)
    np.testing.assert_array_equal(again(y, p), metric(y, p))


def test_every_metric_has_a_case():
    by_name = {kind.__name__ for kind in _METRICS.classes.values()}
    assert by_name == {name for name, *_ in CASES}


# ---- against the peers --------------------------------------------------------------------------

KERAS_CASES = [c for c in CASES if "exact" not in c[1]] + [
    ("AUC", {}, "binary", None),
    ("AUC", {"curve": "PR"}, "binary", None),
    ("AUC", {"summation_method": "minoring"}, "binary", None),
    ("AUC", {"curve": "PR", "summation_method": "majoring"}, "binary", None),
    ("AUC", {"num_thresholds": 11}, "multi_label", None),
    ("AUC", {"thresholds": [0.2, 0.31, 0.7]}, "binary", None),
    ("AUC", {"multi_label": True}, "multi_label", None),
    ("AUC", {"multi_label": True, "label_weights": [1.0, 2.0, 0.5, 0.0]}, "multi_label", None),
    ("F1Score", {"average": "micro"}, "one_hot", None),
    ("F1Score", {"average": "weighted", "threshold": 0.4}, "multi_label", None),
    ("R2Score", {"class_aggregation": "variance_weighted_average"}, "numbers", None),
    ("R2Score", {"class_aggregation": None}, "numbers", None),
    ("R2Score", {"num_regressors": 3}, "column", None),
]


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize(("name", "options", "kind", "formula"), KERAS_CASES)
def test_against_keras(name, options, kind, formula, weighted):
    keras = pytest.importorskip("keras")
    y, p = data(kind, seed=2)
    y = y if kind == "classes" else y.astype("float32")
    p = p.astype("float32")
    w = WEIGHTS.astype("float32") if weighted else None
    ours, theirs = make(name, options), getattr(keras.metrics, name)(**options)
    for rows in (slice(0, 15), slice(15, N)):
        part = None if w is None else w[rows]
        ours.update_state(y[rows], p[rows], part)
        theirs.update_state(y[rows], p[rows], part)
    np.testing.assert_allclose(ours.result(), np.asarray(theirs.result()), rtol=2e-5, atol=1e-6)


def test_against_scikit_learn():
    theirs = pytest.importorskip("sklearn.metrics")
    y, p = data("binary", seed=3)
    answer = p > 0.5
    w = WEIGHTS
    flat = y.ravel(), p.ravel()
    pairs = [
        (metrics.AUC(exact=True)(y, p, w), theirs.roc_auc_score(*flat, sample_weight=w)),
        (
            metrics.AUC(exact=True, curve="PR")(y, p, w),
            theirs.average_precision_score(*flat, sample_weight=w),
        ),
        (metrics.Precision()(y, p, w), theirs.precision_score(y, answer, sample_weight=w)),
        (metrics.Recall()(y, p, w), theirs.recall_score(y, answer, sample_weight=w)),
        (metrics.F1Score()(y, p, w), theirs.f1_score(y, answer, sample_weight=w)),
        (metrics.BinaryAccuracy()(y, p, w), theirs.accuracy_score(y, answer, sample_weight=w)),
    ]
    y, p = data("numbers", seed=3)
    pairs += [
        (metrics.R2Score()(y, p, w), theirs.r2_score(y, p, sample_weight=w)),
        (metrics.MeanSquaredError()(y, p, w), theirs.mean_squared_error(y, p, sample_weight=w)),
    ]
    y, p = data("multi_label", seed=3)
    pairs.append((metrics.AUC(exact=True, multi_label=True)(y, p), theirs.roc_auc_score(y, p)))
    y, p = data("classes", seed=3)
    pairs.append(
        (
            metrics.SparseTopKCategoricalAccuracy(2)(y, p),
            theirs.top_k_accuracy_score(y, p, k=2),
        )
    )
    for ours, expected in pairs:
        assert float(ours) == pytest.approx(expected, rel=1e-6)


# ---- by hand ------------------------------------------------------------------------------------


def test_numbers_by_hand():
    assert float(metrics.BinaryAccuracy()([[1], [1], [0], [0]], [[0.98], [1], [0], [0.6]])) == 0.75
    assert float(metrics.Precision()([0, 1, 1, 1], [1, 0, 1, 1])) == pytest.approx(2 / 3)
    assert float(metrics.Recall()([0, 1, 1, 1], [1, 0, 1, 1])) == pytest.approx(2 / 3)
    assert float(metrics.AUC(num_thresholds=3)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])) == 0.75
    assert float(metrics.RootMeanSquaredError()([[0, 1], [0, 0]], [[1, 1], [0, 0]])) == 0.5
    assert float(metrics.R2Score()([[1], [4], [3]], [[2], [4], [4]])) == pytest.approx(4 / 7)
    mean = metrics.Mean()
    mean.update_state([1, 3, 5, 7], sample_weight=[1, 1, 0, 0])
    assert float(mean.result()) == 2.0
    total = metrics.Sum()
    total.update_state([1, 3, 5, 7])
    total.update_state(4.0)
    assert float(total.result()) == 20.0


def test_answers_at_the_threshold_are_no():
    assert float(metrics.BinaryAccuracy()([[0]], [[0.5]])) == 1.0
    assert float(metrics.TrueNegatives()([[0]], [[0.5]])) == 1.0
    assert metrics.FalsePositives([0.4, 0.5])([[0]], [[0.5]]).tolist() == [1.0, 0.0]


def test_counts_go_on_beyond_what_float32_counts():
    metric = metrics.BinaryAccuracy()
    metric.set_state({"total": np.asarray(2.0**24), "count": 2**24})
    metric.update_state(np.zeros((3, 1), "float32"), np.zeros((3, 1), "float32"))
    assert float(metric.sums["total"]) == 2**24 + 3
    assert metric.sums["count"] == 2**24 + 3


def test_weights_of_values_and_of_samples():
    y, p = data("multi_label")
    by_sample = metrics.BinaryAccuracy()(y, p, WEIGHTS)
    by_value = metrics.BinaryAccuracy()(y, p, np.repeat(WEIGHTS[:, None], K, axis=1))
    column = metrics.BinaryAccuracy()(y, p, WEIGHTS[:, None])
    assert float(by_sample) == pytest.approx(float(by_value))
    assert float(by_sample) == pytest.approx(float(column))
    with pytest.raises(ValueError, match="sample_weight must have one weight per sample"):
        metrics.BinaryAccuracy()(y, p, WEIGHTS[:5])
    assert float(metrics.BinaryAccuracy()(y, p, np.zeros(N))) == 0.0


def test_perfect_and_hopeless_curves():
    y = np.array([[0], [0], [1], [1]])
    for curve in ("ROC", "PR"):
        for exact in (False, True):
            area = float(metrics.AUC(curve=curve, exact=exact)(y, y.astype(float)))
            assert area == pytest.approx(1.0, abs=1e-6)
    assert float(metrics.AUC()(y, 1.0 - y)) == pytest.approx(0.0, abs=1e-6)
    logits = metrics.AUC(from_logits=True, exact=True)(y, 20.0 * y - 10.0)
    assert float(logits) == 1.0


def test_one_output_has_one_f1():
    y, p = data("binary")
    expected = 2 * _precision(y, p, None) * _recall(y, p, None)
    expected /= _precision(y, p, None) + _recall(y, p, None)
    assert float(metrics.F1Score()(y, p)) == pytest.approx(expected, rel=1e-6)


def test_constant_targets_have_a_score():
    assert float(metrics.R2Score()([[2], [2]], [[2], [2]])) == 1.0
    assert float(metrics.R2Score()([[2], [2]], [[2], [3]])) == 0.0
    with pytest.raises(ValueError, match="2 regressors needs at least 4 samples, got 3"):
        metrics.R2Score(num_regressors=2)([[1], [2], [3]], [[1], [2], [2]])


def test_a_row_of_zeros_is_no_answer():
    y, p = [[1, 0], [0, 1], [0, 1]], [[0.0, 0.0], [0.3, 0.7], [0.1, 0.9]]
    np.testing.assert_allclose(metrics.F1Score()(y, p), [0.0, 1.0], atol=1e-6)


def test_what_is_not_among_the_largest_is_a_no():
    y, p = [[1, 0, 0], [0, 1, 0]], [[0.9, 0.8, 0.1], [0.3, 0.4, 0.2]]
    assert float(metrics.Precision(thresholds=0.5, top_k=1)(y, p)) == pytest.approx(1.0)
    assert float(metrics.Precision(thresholds=0.5)(y, p)) == pytest.approx(0.5)
    assert float(metrics.Recall(thresholds=0.5, top_k=1)(y, p)) == pytest.approx(0.5)


def test_adjusted_score_by_hand():
    y, p = [[1.0], [2.0], [3.0], [6.0]], [[1.0], [2.0], [4.0], [5.0]]
    assert float(metrics.R2Score()(y, p)) == pytest.approx(1 - 2 / 14)
    assert float(metrics.R2Score(num_regressors=1)(y, p)) == pytest.approx(1 - 2 / 14 * 3 / 2)


def test_ignored_classes_do_not_count():
    metric = metrics.SparseCategoricalCrossentropy(ignore_class=-1)
    value = metric(np.array([0, -1]), np.array([[0.5, 0.5], [0.9, 0.1]]))
    assert float(value) == pytest.approx(np.log(2))


def test_functions_give_one_float_per_answer():
    y, p = data("multi_label")
    found = metrics.binary_accuracy(y, p)
    assert found.shape == (N, K)
    np.testing.assert_array_equal(found, (p > 0.5) == y)
    np.testing.assert_array_equal(metrics.binary_accuracy(y, p, 0.2), (p > 0.2) == y)
    y, p = data("classes")
    np.testing.assert_array_equal(metrics.sparse_categorical_accuracy(y, p), y == p.argmax(-1))
    np.testing.assert_array_equal(
        metrics.categorical_accuracy(_one_hot(y), p),
        metrics.sparse_categorical_accuracy(y[:, None], p),
    )
    np.testing.assert_array_equal(
        metrics.top_k_categorical_accuracy(_one_hot(y), p, k=2),
        metrics.sparse_top_k_categorical_accuracy(y, p, k=2),
    )
    assert metrics.accuracy([[1], [2]], [[1], [3]]).tolist() == [[1.0], [0.0]]
    assert metrics.cosine_similarity([[0.0, 1.0]], [[0.0, 3.0]]).tolist() == [1.0]


def test_sequences_are_answered_step_by_step():
    y = np.array([[0, 1, 2], [2, 2, 2]])
    p = _one_hot(np.array([[0, 1, 1], [2, 0, 0]]), 3)
    assert float(metrics.SparseCategoricalAccuracy()(y, p)) == pytest.approx(0.5)
    assert float(metrics.CategoricalAccuracy()(_one_hot(y, 3), p)) == pytest.approx(0.5)
    assert float(metrics.SparseCategoricalAccuracy()(y, p, [1.0, 0.0])) == pytest.approx(2 / 3)


# ---- names --------------------------------------------------------------------------------------


def test_what_get_takes():
    metric = metrics.AUC()
    assert metrics.get(metric) is metric
    assert metrics.get(None) is None
    for name, kind in [
        ("mse", "MeanSquaredError"),
        ("MAE", "MeanAbsoluteError"),
        ("auc", "AUC"),
        ("AUC", "AUC"),
        ("f1_score", "F1Score"),
        ("F1Score", "F1Score"),
        ("rmse", "RootMeanSquaredError"),
        ("logcosh", "LogCoshError"),
        ("r2", "R2Score"),
        ("SparseCategoricalAccuracy", "SparseCategoricalAccuracy"),
    ]:
        assert type(metrics.get(name)).__name__ == kind
    assert type(metrics.get(metrics.Recall)) is metrics.Recall
    assert type(metrics.get(metrics.binary_accuracy)) is metrics.BinaryAccuracy
    with pytest.raises(ValueError, match="unknown metric 'acuracy': did you mean 'accuracy'"):
        metrics.get("acuracy")
    for identifier in (7, dict):
        with pytest.raises(TypeError, match="a metric is given by its name"):
            metrics.get(identifier)


def test_a_function_becomes_its_mean():
    def largest_error(y_true, y_pred):
        return lamina.xp.max(lamina.xp.abs(y_true - y_pred), axis=-1)

    metric = metrics.get(largest_error)
    assert metric.name == "largest_error"
    y, p = data("numbers")
    assert float(metric(y, p)) == pytest.approx(np.abs(y - p).max(-1).mean())
    assert float(metrics.get(lambda y, p: 0.5)(y, p)) == 0.5
    loss = losses.Huber(0.5)
    assert metrics.get(loss).name == "huber_loss"
    assert float(metrics.get(loss)(y, p)) == pytest.approx(float(loss(y, p)))
    with pytest.raises(TypeError, match="is a function, which cannot be written down"):
        metrics.serialize(metric)


def test_a_metric_of_ones_own():
    class Largest(metrics.Metric):
        def update_state(self, y_true, y_pred, sample_weight=None):
            largest = abs(y_true - y_pred).max()
            self.sums["largest"] = max(self.sums.get("largest", 0.0), largest)

        def result(self):
            return self.sums["largest"]

    metric = Largest()
    assert metric.name == "largest"
    metric.update_state(np.zeros(2), np.array([1.0, -3.0]))
    assert metric(np.zeros(1), np.ones(1)) == 3.0
    with pytest.raises(NotImplementedError, match='define update_state for the metric "metric"'):
        metrics.Metric().update_state(0, 0)


BCE, SPARSE, CCE, MSE = (
    losses.get(name)
    for name in (
        "binary_crossentropy",
        "sparse_categorical_crossentropy",
        "categorical_crossentropy",
        "mse",
    )
)


@pytest.mark.parametrize(
    ("targets", "outputs", "loss", "kind", "entropy"),
    [
        ((8, 1), (8, 1), BCE, "BinaryAccuracy", "BinaryCrossentropy"),
        ((8,), (8, 1), MSE, "BinaryAccuracy", "BinaryCrossentropy"),
        ((8, 3), (8, 3), BCE, "BinaryAccuracy", "BinaryCrossentropy"),
        ((8,), (8, 3), SPARSE, "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy"),
        ((8, 1), (8, 3), SPARSE, "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy"),
        ((8, 5), (8, 5, 3), SPARSE, "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy"),
        ((8,), (8, 3), None, "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy"),
        ((8, 3), (8, 3), CCE, "CategoricalAccuracy", "CategoricalCrossentropy"),
        ((8, 3), (8, 3), MSE, "CategoricalAccuracy", "CategoricalCrossentropy"),
    ],
)
def test_accuracy_means_what_shapes_and_loss_say(targets, outputs, loss, kind, entropy):
    for name in ("accuracy", "acc"):
        metric = metrics.resolve(name, targets, outputs, loss)
        assert type(metric).__name__ == kind
        assert metric.name == name
    for name in ("crossentropy", "ce"):
        assert type(metrics.resolve(name, targets, outputs, loss)).__name__ == entropy


def test_logits_are_answered_at_0():
    loss = losses.BinaryCrossentropy(from_logits=True)
    y, p = np.array([[1.0], [1.0], [0.0], [0.0]]), np.array([[0.3], [2.0], [-0.1], [-3.0]])
    for name in ("accuracy", "precision", "recall", "auc", "BinaryAccuracy"):
        metric = metrics.resolve(name, y.shape, p.shape, loss)
        assert float(metric(y, p)) == pytest.approx(1.0, abs=1e-6)
        assert metric.name == name
    crossentropy = metrics.resolve("binary_crossentropy", y.shape, p.shape, loss)
    assert float(crossentropy(y, p)) == pytest.approx(float(loss(y, p)))
    given = metrics.BinaryAccuracy()
    assert metrics.resolve(given, y.shape, p.shape, loss) is given


def test_signs_are_answered_by_sign():
    metric = metrics.resolve("accuracy", (4, 1), (4, 1), losses.Hinge())
    assert float(metric([[-1], [1], [1], [-1]], [[-0.2], [0.2], [-3.0], [-2.0]])) == 0.75
    assert float(metric([[0], [1]], [[-0.2], [0.2]])) == pytest.approx(5 / 6)


# ---- what misfits --------------------------------------------------------------------------------


def test_what_misfits_is_told():
    y, p = data("classes")
    with pytest.raises(ValueError, match='"categorical_accuracy" needs .* class numbers'):
        metrics.CategoricalAccuracy()(y, p)
    with pytest.raises(ValueError, match="use categorical_accuracy"):
        metrics.SparseCategoricalAccuracy()(_one_hot(y), p)
    with pytest.raises(ValueError, match=r'"precision" .*to_categorical\(y, 4\)'):
        metrics.Precision()(y, p)
    with pytest.raises(ValueError, match="thresholds lie between 0 and 1, got 2"):
        metrics.Recall(thresholds=2)
    with pytest.raises(ValueError, match="unknown curve 'ROCK': did you mean 'ROC'"):
        metrics.AUC(curve="ROCK")
    with pytest.raises(ValueError, match="unknown average 'makro': did you mean 'macro'"):
        metrics.F1Score(average="makro")
    with pytest.raises(ValueError, match="at least 2 thresholds, got 1"):
        metrics.AUC(num_thresholds=1)


def test_a_column_is_no_product_of_all_pairs():
    y, p = data("column")
    expected = ((y - p) ** 2).mean()
    assert float(metrics.MeanSquaredError()(y.ravel(), p)) == pytest.approx(expected)
    assert float(metrics.R2Score()(y.ravel(), p)) == pytest.approx(_r2(y, p, None))
