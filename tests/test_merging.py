"""Merging layers, and other layers that take a list of inputs."""

import warnings

import numpy as np
import pytest

import lamina
from lamina import layers, xp
from lamina.testing import check_grads

RNG = np.random.default_rng(0)
A, B, C = (RNG.normal(size=(4, 2, 3)).astype("float32") for _ in range(3))

FORMULAS = [
    (layers.Add, layers.add, lambda *x: sum(x[1:], x[0])),
    (layers.Multiply, layers.multiply, lambda *x: np.prod(np.broadcast_arrays(*x), axis=0)),
    (layers.Average, layers.average, lambda *x: sum(x[1:], x[0]) / len(x)),
    (layers.Maximum, layers.maximum, lambda *x: np.max(np.broadcast_arrays(*x), axis=0)),
    (layers.Minimum, layers.minimum, lambda *x: np.min(np.broadcast_arrays(*x), axis=0)),
]


@pytest.mark.parametrize(("kind", "function", "formula"), FORMULAS)
@pytest.mark.parametrize("inputs", [(A,), (A, B), (A, B, C), (A, B[:, :1]), (A, B[:, :, :1], C)])
def test_the_output_is_the_formulas(kind, function, formula, inputs, backend):
    given = [backend.asarray(x) for x in inputs]
    with lamina.use(backend.backend):
        for out in (kind()(given), function(tuple(given)), kind(name="named")(given)):
            assert backend.backend.owns(out.data)
            np.testing.assert_allclose(out.numpy(), formula(*inputs), rtol=1e-6)


def test_subtract_takes_two(backend):
    given = [backend.asarray(A), backend.asarray(B)]
    np.testing.assert_array_equal(layers.Subtract()(given).numpy(), A - B)
    np.testing.assert_array_equal(layers.subtract(given).numpy(), A - B)
    for wrong in ([A], [A, B, C]):
        with pytest.raises(ValueError, match="expects a list of 2 inputs, got a list of"):
            layers.Subtract()(wrong)


def test_an_input_with_fewer_axes_is_widened_behind_the_batch():
    out = layers.Add()([A, C[:, 0]])
    np.testing.assert_allclose(out.numpy(), A + C[:, :1], rtol=1e-6)


@pytest.mark.parametrize("axis", [-1, 1, 2, 0])
def test_concatenate(axis, backend):
    given = [backend.asarray(x) for x in (A, B, C)]
    expected = np.concatenate([A, B, C], axis=axis)
    np.testing.assert_array_equal(layers.Concatenate(axis)(given).numpy(), expected)
    np.testing.assert_array_equal(layers.concatenate(given, axis).numpy(), expected)


D = RNG.normal(size=(4, 5, 3)).astype("float32")


@pytest.mark.parametrize(
    ("inputs", "axes", "formula"),
    [
        ((A, D), 2, "bik,bjk->bij"),
        ((A, D), (-1, 2), "bik,bjk->bij"),
        ((A, B), 1, "bki,bkj->bij"),
        ((A, np.moveaxis(D, 1, 2)), (2, 1), "bik,bkj->bij"),
        ((A[:, 0], B[:, 0]), 1, "bk,bk->b"),
        ((A[:, 0], D), (1, 2), "bk,bjk->bj"),
        ((A, D[:, 0]), (2, 1), "bik,bk->bi"),
        ((RNG.normal(size=(4, 2, 6, 3)), D), (3, 2), "bhik,bjk->bhij"),
    ],
)
def test_dot_is_a_product_of_each_sample(inputs, axes, formula, backend):
    inputs = [x.astype("float32") for x in inputs]
    expected = np.einsum(formula, *inputs)
    expected = expected[:, None] if expected.ndim == 1 else expected
    given = [backend.asarray(x) for x in inputs]
    np.testing.assert_allclose(layers.Dot(axes)(given).numpy(), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layers.dot(given, axes).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_dot_may_give_cosines():
    a, b = A[:, 0], B[:, 0]
    cosines = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    out = layers.Dot(1, normalize=True)([a, b]).numpy()
    np.testing.assert_allclose(out, cosines[:, None], rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "shapes"),
    [
        *[(name, {}, ((4, 2, 3), (4, 2, 3))) for name in
          ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")],
        ("Add", {}, ((4, 2, 3), (4, 3))),
        ("Concatenate", {"axis": 1}, ((4, 2, 3), (4, 5, 3))),
        ("Dot", {"axes": 2}, ((4, 2, 3), (4, 5, 3))),
        ("Dot", {"axes": 1, "normalize": True}, ((4, 2, 3), (4, 2, 5))),
        ("Dot", {"axes": [1, 3]}, ((4, 2, 3), (4, 5, 6, 2))),
        ("Dot", {"axes": -1}, ((4, 3), (4, 3))),
    ],
)  # fmt: skip
def test_merging_is_kerass(name, options, shapes):
    pytest.importorskip("jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = getattr(pytest.importorskip("keras").layers, name)(**options)
    given = [RNG.normal(size=shape).astype("float32") for shape in shapes]
    out = getattr(layers, name)(**options)(given)
    expected = np.asarray(theirs(given))
    assert out.shape == expected.shape
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-4, atol=1e-5)
    shapes = [(None, *shape[1:]) for shape in shapes]
    made = getattr(layers, name)(**options)
    assert made.compute_output_shape(shapes) == (None, *expected.shape[1:])


@pytest.mark.parametrize(
    "layer",
    [*[kind() for kind, *_ in FORMULAS], layers.Subtract(), layers.Concatenate(1), layers.Dot(1),
     layers.Dot((2, 1), normalize=True)],
)  # fmt: skip
def test_gradients_are_those_of_finite_differences(layer):
    a, b = RNG.normal(size=(2, 3, 3)), RNG.normal(size=(2, 3, 3))
    check_grads(lambda a, b: layer.call([a, b]), (a, b), order=2)


def test_shapes_with_unknown_axes():
    assert layers.Add().compute_output_shape([(None, None, 3), (None, 1, 3)]) == (None, None, 3)
    joined = layers.Concatenate(axis=1).compute_output_shape([(None, 4, 3), (None, 2, 3)])
    assert joined == (None, 6, 3)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: layers.Add(name="sum")([A, D]),
         r'"sum" .*broadcast, got \(None, 2, 3\) and \(None, 5, 3\): axis 1 differs, 2 and 5'),
        (lambda: layers.Concatenate()([A, D]), "one shape but for axis -1, got .* and "),
        (lambda: layers.Concatenate()([A, A[:, 0]]), "one shape but for axis -1"),
        (lambda: layers.Concatenate(3)([A, A]), "inputs with an axis 3, got a list of 2 inputs"),
        (lambda: layers.Concatenate("last"), "axis as a whole number"),
        (lambda: layers.Dot(2)([A, A[:, :, :2]]), "axes of one length, got 3 and 2 along axes"),
        (lambda: layers.Dot(0)([A, A]), "axes 0 behind the batch's"),
        (lambda: layers.Dot((1, 2, 3)), "axes as a whole number or a pair"),
        (lambda: layers.Dot(1)([A]), "a list of 2 inputs"),
        (lambda: layers.Add()([]), "at least one input, got an empty list"),
        (lambda: layers.Add()(A), r"a list of 1 or more inputs, got \(None, 2, 3\): merge in the"),
        (lambda: lamina.Sequential([layers.Input((4, 3)), layers.Multiply()]), "merge in the call"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_names_the_layer_and_the_shapes(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_batches_of_other_lengths_do_not_merge():
    layer = layers.Add()
    layer([A, B])
    for wrong in ([A, B[:1]], [A, B[:3]]):
        with pytest.raises(ValueError, match="axis 0 differs, 4 and"):
            layer(wrong)
    with pytest.raises(ValueError, match="expects a list of 2 inputs of .* got a list of 3"):
        layer([A, B, C])


# ---- layers of one's own with several inputs -----------------------------------------------------


class Gate(layers.Layer):
    """x where a gate computed of y is open."""

    def build(self, input_shape):
        (*_, width), (*_, other) = input_shape
        self.kernel = self.add_weight((other, width), name="kernel")

    def call(self, inputs):
        x, y = inputs
        return x * lamina.activations.sigmoid(xp.matmul(y, self.kernel))


def test_a_layer_of_ones_own_may_take_a_list(backend):
    gate = Gate()
    x, y = RNG.normal(size=(4, 3)).astype("float32"), RNG.normal(size=(4, 2)).astype("float32")
    out = gate([backend.asarray(x), backend.asarray(y)])
    kernel = gate.get_weights()[0]
    np.testing.assert_allclose(out.numpy(), x / (1 + np.exp(-y @ kernel)), rtol=1e-5)
    assert gate._input_shape == [(None, 3), (None, 2)]
    assert gate.compute_output_shape([(None, 3), (None, 2)]) == (None, 3)
    with pytest.raises(ValueError, match=r"expects inputs with 2 axes, got \(4,\)"):
        gate([backend.asarray(x), backend.asarray(y[:, 0])])
    with pytest.raises(ValueError, match="a list of 2 inputs of shapes .*, got .4, 3."):
        gate(backend.asarray(x))


def test_a_list_of_numbers_is_one_array():
    class Double(layers.Layer):
        def call(self, inputs):
            return inputs * 2.0

    np.testing.assert_array_equal(Double()([[1.0, 2.0]]).numpy(), [[2.0, 4.0]])
    np.testing.assert_array_equal(layers.ReLU()([[-1.0, 2.0]]).numpy(), [[0.0, 2.0]])


def test_a_layer_of_one_input_refuses_a_list_of_tensors():
    tensors = [lamina.Tensor(A), lamina.Tensor(B)]
    with pytest.raises(TypeError, match=r'Dense "d" takes one input, got a list of 2: call it on'):
        layers.Dense(2, name="d")(tensors)


class TwoTowers(lamina.Model):
    """Merging layers inside a model of one's own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.left, self.right = layers.Dense(4, "tanh"), layers.Dense(4, "tanh")
        self.join = layers.Concatenate()
        self.sum = layers.Add()
        self.out = layers.Dense(1)

    def call(self, inputs):
        left, right = self.left(inputs), self.right(inputs)
        return self.out(self.join([self.sum([left, right]), right]))


def test_merging_inside_a_model_trains_and_sums_up(backend, no_sync):
    model = TwoTowers(backend=backend.backend)
    model.compile(lamina.optimizers.SGD(0.1), "mse")
    x = RNG.normal(size=(20, 3)).astype("float32")
    y = x[:, :1] * 2
    with no_sync():
        losses = model.fit(
            backend.asarray(x), backend.asarray(y), epochs=8, verbose=0
        ).history["loss"]
    assert losses[-1] < losses[0]
    lines = []
    model.summary(print_fn=lines.append)
    assert any("(Concatenate)" in line and "(None, 8)" in line for line in lines)


def test_a_model_called_on_a_list():
    class Joined(lamina.Model):
        def __init__(self):
            super().__init__()
            self.gate, self.out = Gate(), layers.Dense(2)

        def call(self, inputs):
            return self.out(self.gate(inputs))

    model = Joined()
    out = model([A[:, 0], B[:, 1]])
    assert out.shape == (4, 2)
    assert model.input_shape == [(None, 3), (None, 3)]
    assert model.output_shape == (None, 2)
