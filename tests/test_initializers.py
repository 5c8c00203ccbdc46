"""Initializers: what they draw against the papers, streams and seeds, shapes, dtypes, names."""

import math

import numpy as np
import pytest

from lamina import backend, initializers, utils
from lamina.backend.random import Generator

RANDOM = [
    "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform",
    "orthogonal", "random_normal", "random_uniform", "truncated_normal", "variance_scaling",
]  # fmt: skip
ALL = [*RANDOM, "constant", "identity", "ones", "zeros"]
CUT = 0.87962566103423978  # the standard deviation left when a standard normal is cut at 2


def rng(*stream):
    return Generator(7, *stream)


@pytest.mark.parametrize(
    ("name", "shape", "variance", "limit"),
    [
        ("glorot_uniform", (300, 100), 2 / 400, math.sqrt(6 / 400)),
        ("glorot_normal", (300, 100), 2 / 400, 2 * math.sqrt(2 / 400) / CUT),
        ("he_uniform", (300, 100), 2 / 300, math.sqrt(6 / 300)),
        ("he_normal", (300, 100), 2 / 300, 2 * math.sqrt(2 / 300) / CUT),
        ("lecun_uniform", (300, 100), 1 / 300, math.sqrt(3 / 300)),
        ("lecun_normal", (300, 100), 1 / 300, 2 * math.sqrt(1 / 300) / CUT),
        ("variance_scaling", (300, 100), 1 / 300, 2 * math.sqrt(1 / 300) / CUT),
        ("he_normal", (3, 3, 50, 60), 2 / 450, 2 * math.sqrt(2 / 450) / CUT),
        ("glorot_uniform", (5, 40, 60), 2 / 500, math.sqrt(6 / 500)),
        ("lecun_normal", (20000,), 1 / 20000, 2 * math.sqrt(1 / 20000) / CUT),
        ("random_normal", (300, 100), 0.05**2, math.inf),
        ("random_uniform", (300, 100), 0.05**2 / 3, 0.05),
        ("truncated_normal", (300, 100), (0.05 * CUT) ** 2, 0.1),
    ],
)
def test_mean_variance_and_bounds(name, shape, variance, limit):
    values = initializers.get(name)(shape, rng=rng())
    assert values.shape == shape
    deviation = math.sqrt(variance)
    assert abs(values.mean()) < 4 * deviation / math.sqrt(values.size)
    assert values.std() == pytest.approx(deviation, rel=0.02)
    assert np.abs(values).max() <= limit * (1 + 1e-6)
    if limit < math.inf:
        assert np.abs(values).max() > 0.95 * limit


@pytest.mark.parametrize(
    ("settings", "variance"),
    [
        ({"scale": 3.0}, 3 / 200),
        ({"scale": 3.0, "mode": "fan_out"}, 3 / 300),
        ({"scale": 3.0, "mode": "fan_avg"}, 3 / 250),
        ({"distribution": "uniform"}, 1 / 200),
        ({"distribution": "untruncated_normal"}, 1 / 200),
        ({"distribution": "normal"}, 1 / 200),
        ({"input_axes": [0], "output_axes": [1]}, 1 / 200),
        ({"input_axes": [1], "output_axes": [0]}, 1 / 300),
    ],
)
def test_variance_scaling(settings, variance):
    values = initializers.VarianceScaling(seed=1, **settings)((200, 300))
    assert values.var() == pytest.approx(variance, rel=0.03)


@pytest.mark.parametrize(
    ("shape", "fans"),
    [
        ((), (1, 1)),
        ((7,), (7, 7)),
        ((4, 5), (4, 5)),
        ((3, 4, 5), (12, 15)),
        ((3, 2, 4, 5), (24, 30)),
        ((2, 2, 2, 1, 3), (8, 24)),
    ],
)
def test_fans_count_the_window(shape, fans):
    assert initializers.compute_fans(shape) == fans


@pytest.mark.parametrize("shape", [(8, 8), (12, 5), (5, 12), (3, 3, 4, 10), (2, 3, 20)])
def test_orthogonal(shape):
    values = initializers.Orthogonal(gain=2.0, seed=3)(shape, "float64")
    assert values.shape == shape
    matrix = values.reshape(-1, shape[-1])
    product = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)


def test_orthogonal_favours_no_sign():
    """Over many draws every entry of a uniformly drawn rotation has mean 0 and variance 1/n."""
    draw = initializers.Orthogonal()
    stream = rng("orthogonal")
    values = np.stack([draw((3, 3), "float64", rng=stream) for _ in range(2000)])
    assert np.abs(values.mean(axis=0)).max() < 4 * math.sqrt(1 / 3 / 2000)
    np.testing.assert_allclose(values.var(axis=0), 1 / 3, rtol=0.1)
    assert abs(np.linalg.det(values).mean()) < 0.1


def test_constants():
    np.testing.assert_array_equal(initializers.Zeros()((2, 3)), np.zeros((2, 3)))
    np.testing.assert_array_equal(initializers.Ones()((2, 3)), np.ones((2, 3)))
    np.testing.assert_array_equal(initializers.Constant(4.5)((2,)), [4.5, 4.5])
    np.testing.assert_array_equal(initializers.Constant([1, 2])((2, 2)), [[1, 2], [1, 2]])
    np.testing.assert_array_equal(initializers.Identity(2.0)((2, 3)), [[2, 0, 0], [0, 2, 0]])


def test_values_of_any_backend(backend):
    given = backend.asarray([[1.0, 2.0]], "float64")
    made = initializers.get(given)((1, 2))
    assert type(made) is np.ndarray
    assert made.dtype == "float32"
    np.testing.assert_array_equal(made, [[1, 2]])
    made[0, 0] = 9.0
    assert backend.to_numpy(given)[0, 0] == 1.0


@pytest.mark.parametrize("name", ALL)
def test_the_result_is_a_host_array_of_the_dtype_asked_for(name):
    made = initializers.get(name)
    assert made((4, 3), rng=rng()).dtype == "float32"
    for dtype in ("float64", "float32", "float16", np.float64, np.dtype("float32")):
        values = made((4, 3), dtype, rng=rng())
        assert type(values) is np.ndarray
        assert values.dtype == np.dtype(dtype)
        assert values.flags.writeable
    assert made((4, 3), "bfloat16", rng=rng()).dtype == "float32"
    before = backend.floatx()
    try:
        backend.set_floatx("float64")
        assert made((4, 3), rng=rng()).dtype == "float64"
    finally:
        backend.set_floatx(before)


@pytest.mark.parametrize("name", RANDOM)
def test_the_layers_stream_decides(name):
    made = initializers.get(name)
    one = made((4, 3), rng=rng("a"))
    np.testing.assert_array_equal(made((4, 3), rng=rng("a")), one)
    assert not np.array_equal(made((4, 3), rng=rng("b")), one)
    stream = rng("a")
    assert not np.array_equal(made((4, 3), rng=stream), made((4, 3), rng=stream))


@pytest.mark.parametrize("name", RANDOM)
def test_a_seed_gives_the_same_values_at_every_call(name):
    kind = type(initializers.get(name))
    made = kind(seed=5)
    one = made((4, 3))
    np.testing.assert_array_equal(made((4, 3)), one)
    np.testing.assert_array_equal(made((4, 3), rng=rng("a")), one)
    np.testing.assert_array_equal(kind(seed=5)((4, 3)), one)
    assert not np.array_equal(kind(seed=6)((4, 3)), one)


@pytest.mark.parametrize("name", RANDOM)
def test_without_seed_and_stream_each_object_has_values_of_its_own(name):
    made, other = initializers.get(name), initializers.get(name)
    np.testing.assert_array_equal(made((4, 3)), made((4, 3)))
    assert not np.array_equal(made((4, 3)), other((4, 3)))


def test_the_process_seed_decides_where_there_is_no_other():
    def draw():
        utils.set_random_seed(11)
        return initializers.RandomNormal()((3,))

    np.testing.assert_array_equal(draw(), draw())


@pytest.mark.parametrize("name", ALL)
def test_names_configurations_and_objects(name):
    made = initializers.get(name)
    kind = type(made)
    for identifier in (kind.__name__, name.upper(), kind, made, initializers.serialize(made)):
        again = initializers.get(identifier)
        assert type(again) is kind
        assert again.get_config() == made.get_config()
    assert type(getattr(initializers, name)()) is kind
    assert repr(made).startswith(kind.__name__ + "(")
    np.testing.assert_array_equal(made.clone()((3, 3), rng=rng()), made((3, 3), rng=rng()))


@pytest.mark.parametrize(
    ("alias", "kind"),
    [
        ("uniform", "RandomUniform"),
        ("normal", "RandomNormal"),
        ("zero", "Zeros"),
        ("one", "Ones"),
        ("IdentityInitializer", "Identity"),
        ("OrthogonalInitializer", "Orthogonal"),
    ],
)
def test_aliases(alias, kind):
    assert type(initializers.get(alias)).__name__ == kind


@pytest.mark.parametrize(
    "made",
    [
        initializers.RandomNormal(1.0, 2.0, seed=3),
        initializers.TruncatedNormal(1.0, 2.0, seed=3),
        initializers.RandomUniform(1.0, 2.0, seed=3),
        initializers.VarianceScaling(2.0, "fan_out", "uniform", 3, [0], [1]),
        initializers.HeNormal(seed=3, input_axes=[1], output_axes=[0]),
        initializers.Orthogonal(2.0, seed=3),
        initializers.Constant(np.array([1.0, 2.0])),
    ],
    ids=lambda made: type(made).__name__,
)
def test_a_configuration_carries_everything(made):
    config = initializers.serialize(made)
    assert config["class_name"] == type(made).__name__
    again = initializers.deserialize(config)
    np.testing.assert_array_equal(again((2, 2)), made((2, 2)))


def test_functions_and_classes_of_ones_own():
    made = initializers.get(lambda shape, dtype=None: np.full(shape, 3, dtype))
    np.testing.assert_array_equal(made((2,), rng=rng()), [3, 3])
    assert made((2,), rng=rng()).dtype == "float32"

    class Threes(initializers.Initializer):
        def __call__(self, shape, dtype=None):
            return np.full(shape, 3, dtype)

    assert initializers.get(Threes)((2,), "float32", rng=rng()).tolist() == [3, 3]
    config = initializers.serialize(initializers.get(Threes()))
    again = initializers.deserialize(config, {"Threes": Threes})
    assert isinstance(again, Threes)

    def drawn(shape, dtype=None, *, rng):
        return rng.normal(shape, dtype=dtype)

    assert initializers.get(drawn) is drawn
    assert initializers.get(None) is None


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: initializers.get("glorot_unifrm"), ValueError, "did you mean 'glorot_uniform'"),
        (lambda: initializers.get(3), TypeError, "an initializer is given by its name"),
        (lambda: initializers.RandomNormal(seed=-1), ValueError, "seed that is a whole number"),
        (lambda: initializers.HeNormal(seed=1.5), ValueError, "seed that is a whole number"),
        (lambda: initializers.VarianceScaling(0.0), ValueError, "a scale above 0, got 0.0"),
        (lambda: initializers.VarianceScaling(mode="fan"), ValueError, "a mode among fan_in"),
        (
            lambda: initializers.VarianceScaling(distribution="beta"),
            ValueError,
            "a distribution among",
        ),
        (
            lambda: initializers.Orthogonal()((3,)),
            ValueError,
            r"two axes or more, got shape \(3,\)",
        ),
        (lambda: initializers.Identity()((3,)), ValueError, r"of two axes, got shape \(3,\)"),
        (
            lambda: initializers.Constant([1, 2])((3,)),
            ValueError,
            r"shape \(3,\) cannot start from values of shape \(2,\)",
        ),
    ],
)
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()
