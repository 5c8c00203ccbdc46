"""Pooling: against PyTorch where installed, finite differences, and windows taken one by one."""

import itertools
import math

import numpy as np
import pytest

import lamina
from lamina import layers, ops
from lamina.models.chain import links_of
from lamina.testing import check_grads

RNG = np.random.default_rng(0)


def distinct(*shape):
    """Numbers of which no two are equal, so that no window has two largest."""
    return RNG.permutation(math.prod(shape)).reshape(shape) / 7.0 - 3.0


def by_hand(x, size, stride, same, reduce):
    """Pooling of channels-last ``x``, window by window."""
    lengths, axes = x.shape[1:-1], range(x.ndim - 2)
    counts, before = [], []
    for n, k, s in zip(lengths, size, stride, strict=True):
        counts.append(-(-n // s) if same else (n - k) // s + 1)
        before.append(max(0, (counts[-1] - 1) * s + k - n) // 2 if same else 0)
    out = np.empty((x.shape[0], *counts, x.shape[-1]))
    for place in itertools.product(*map(range, counts)):
        first = [place[a] * stride[a] - before[a] for a in axes]
        cut = tuple(slice(max(0, f), f + k) for f, k in zip(first, size, strict=True))
        window = x[(slice(None), *cut)].reshape(x.shape[0], -1, x.shape[-1])
        out[(slice(None), *place)] = reduce(window, axis=1)
    return out


REDUCE = {"max_pool": np.max, "average_pool": np.mean}
SIZES = [  # the lengths of the spatial axes, the size of windows, strides
    ((8,), 2, None),
    ((7,), 3, 2),
    ((9,), 2, 3),
    ((6, 6), 2, None),
    ((7, 5), 2, None),
    ((7, 6), 3, 2),
    ((5, 7), (3, 2), (1, 2)),
    ((8, 7), (2, 3), 4),
    ((1, 6), (1, 2), None),
    ((4, 6, 4), 2, None),
    ((5, 4, 6), (3, 1, 2), (2, 1, 3)),
]


@pytest.mark.parametrize("lengths, size, stride", SIZES)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("kind", POOLS := ["max_pool", "average_pool"])
def test_windows_one_by_one(kind, lengths, size, stride, padding, data_format, backend):
    x = distinct(2, *lengths, 3)
    rank = len(lengths)
    sizes = (size,) * rank if isinstance(size, int) else size
    strides = sizes if stride is None else (stride,) * rank if isinstance(stride, int) else stride
    expected = by_hand(x, sizes, strides, padding == "same", REDUCE[kind])
    given = np.moveaxis(x, -1, 1) if data_format == "channels_first" else x
    out = getattr(ops, kind)(
        backend.asarray(given),
        pool_size=size, strides=stride, padding=padding, data_format=data_format,
    )  # fmt: skip
    out = backend.to_numpy(out)
    if data_format == "channels_first":
        out = np.moveaxis(out, 1, -1)
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("lengths, size, stride", SIZES)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("kind", POOLS)
def test_gradients_are_those_of_finite_differences(kind, lengths, size, stride, padding):
    operation = getattr(ops, kind)

    def f(x):
        return operation(x * x, pool_size=size, strides=stride, padding=padding)

    check_grads(f, (distinct(2, *lengths, 2) + 4.0,), order=2)


TORCH = [  # the shape of a channels-last image, windows, strides, padding in PyTorch's way
    ((3, 8, 8, 4), 2, 2),
    ((2, 9, 7, 3), 2, 2),
    ((2, 9, 8, 3), 3, 2),
    ((2, 9, 8, 3), 3, 1),
    ((2, 9, 8, 3), (2, 3), (3, 1)),
    ((0, 4, 4, 3), 2, 2),
    ((2, 2, 2, 1), 2, 2),
    ((2, 8, 5), 2, 2),
    ((2, 9, 5), 3, 2),
    ((2, 6, 4, 5, 3), 2, 2),
    ((1, 5, 5, 5, 2), 3, 1),
]


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("shape, size, stride", TORCH)
@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-10)])
@pytest.mark.parametrize("kind", POOLS)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_values_and_gradients_are_pytorchs(
    kind, shape, size, stride, dtype, tolerance, data_format
):
    torch = pytest.importorskip("torch")
    x = distinct(*shape).astype(dtype)
    rank = x.ndim - 2
    theirs = getattr(torch.nn.functional, kind.replace("average", "avg") + f"{rank}d")
    first = torch.tensor(np.moveaxis(x, -1, 1).copy(), requires_grad=True)
    out = theirs(first, size, stride)
    weight = np.asarray(RNG.normal(size=out.shape), dtype)
    out.backward(torch.tensor(weight))

    mine = np.moveaxis(x, -1, 1) if data_format == "channels_first" else x
    w = weight if data_format == "channels_first" else np.moveaxis(weight, 1, -1)
    t = lamina.Tensor(mine, requires_grad=True)
    y = getattr(ops, kind)(t, pool_size=size, strides=stride, data_format=data_format)
    lamina.xp.sum(y * w).backward()
    back = (lambda a: a) if data_format == "channels_first" else (lambda a: np.moveaxis(a, -1, 1))
    assert y.dtype == t.grad.dtype == np.dtype(dtype)
    how = {"rtol": tolerance, "atol": tolerance / 10}
    np.testing.assert_allclose(back(y.numpy()), out.detach().numpy(), **how)
    np.testing.assert_allclose(back(t.grad), first.grad.numpy(), **how)


@pytest.mark.parametrize("size, stride", [(2, 2), (3, 2), (3, 1), ((1, 2), (1, 2)), (2, 1)])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_of_equal_numbers_the_first_gets_the_gradient(size, stride, padding, data_format, backend):
    turned = data_format == "channels_first"
    x = RNG.integers(0, 3, (3, 7, 8, 2)).astype("float64")  # ties in most windows
    given = np.ascontiguousarray(np.moveaxis(x, -1, 1)) if turned else x
    t = lamina.Tensor(backend.asarray(given), requires_grad=True)
    how = {"strides": stride, "padding": padding, "data_format": data_format}
    y = ops.max_pool(t, pool_size=size, **how)
    weight = RNG.normal(size=y.shape)
    lamina.xp.sum(y * backend.asarray(weight)).backward()
    found = backend.to_numpy(t.grad)
    if turned:
        found, weight = np.moveaxis(found, 1, -1), np.moveaxis(weight, 1, -1)
    expected = np.zeros_like(x)
    for n, i, j, c in np.ndindex(weight.shape):
        seen = []  # of each axis: from which element to which
        for which, at in ((0, i), (1, j)):
            k, s = np.broadcast_to(size, 2)[which], np.broadcast_to(stride, 2)[which]
            lacking = max(0, (weight.shape[1 + which] - 1) * s + k - x.shape[1 + which])
            start = at * s - lacking // 2
            seen.append(slice(max(0, start), start + k))
        window = x[n, seen[0], seen[1], c]
        row, column = np.unravel_index(np.argmax(window), window.shape)  # row by row, the first
        expected[n, seen[0].start + row, seen[1].start + column, c] += weight[n, i, j, c]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.usefixtures("both_ways")
def test_a_pooling_keeps_no_image_for_its_gradient():
    """What is kept is who was the largest, in a byte or two for each window and number."""
    import tracemalloc

    x = distinct(8, 32, 32, 16)
    tracemalloc.start()
    out = ops.max_pool(lamina.Tensor(x, requires_grad=True), pool_size=2)
    kept = tracemalloc.get_traced_memory()[0] - out.data.nbytes
    tracemalloc.stop()
    assert kept < 0.2 * x.nbytes


def test_nan_is_never_hidden(backend):
    x = distinct(1, 4, 4, 1)
    x[0, 1, 1, 0] = np.nan
    out = backend.to_numpy(ops.max_pool(backend.asarray(x), pool_size=2))
    assert np.isnan(out[0, 0, 0, 0])
    assert np.isfinite(out).sum() == 3


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("kind", POOLS)
def test_inputs_that_are_not_contiguous(kind):
    x = distinct(3, 9, 12, 4).astype("float32")
    views = [x[::2, ::2, ::3], x[:, ::-1], np.moveaxis(np.moveaxis(x, -1, 1).copy(), 1, -1)]
    for view in views:
        before = view.copy()
        for size, stride in ((2, 2), (3, 2)):
            t, u = (
                lamina.Tensor(view, requires_grad=True),
                lamina.Tensor(before, requires_grad=True),
            )
            for one in (t, u):
                y = getattr(ops, kind)(one, pool_size=size, strides=stride)
                lamina.xp.sum(y * y).backward()
            np.testing.assert_array_equal(t.grad, u.grad)
        np.testing.assert_array_equal(view, before)


@pytest.mark.parametrize(
    "shape, options, match",
    [
        ((1, 4, 4, 1), {"pool_size": 5}, r"windows of \(5, 5\) need .* got \(4, 4\): .*\"same\""),
        ((1, 0, 4, 1), {"padding": "same"}, r"got \(0, 4\)"),
        ((1, 4, 4, 1), {"pool_size": (2, 2, 2)}, "one for each of 2 axes, got"),
        ((1, 4, 4, 1), {"pool_size": 0}, "pool_size is one whole number from 1 on"),
        ((1, 4, 4, 1), {"pool_size": True}, "pool_size is one whole number"),
        ((1, 4, 4, 1), {"pool_size": 2.5}, "pool_size is one whole number"),
        ((1, 4, 4, 1), {"strides": 0}, "strides is one whole number"),
        ((1, 4, 4, 1), {"padding": "full"}, 'padding is "valid" or "same", got \'full\''),
        ((1, 4, 4, 1), {"data_format": "NHWC"}, 'data_format is "channels_last" or'),
        ((4, 4), {}, r"add a channel axis, x\[..., None\]"),
    ],
)
@pytest.mark.parametrize("kind", POOLS)
def test_windows_that_make_no_sense(kind, shape, options, match):
    with pytest.raises(ValueError, match=match):
        getattr(ops, kind)(np.zeros(shape), **options)


# ---- parts and whole images ----------------------------------------------------------------------

PARTS = [
    ((2, 6, 3), 3),
    ((2, 7, 3), 3),
    ((2, 3, 2), 5),
    ((2, 8, 6, 2), 2),
    ((2, 7, 5, 3), (3, 4)),
    ((2, 5, 6, 2), 1),
    ((0, 5, 6, 2), 2),
    ((1, 5, 4, 7, 2), (2, 4, 3)),
]


@pytest.mark.parametrize("shape, size", PARTS)
@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_parts_are_pytorchs(kind, shape, size, data_format, backend):
    torch = pytest.importorskip("torch")
    x, rank = distinct(*shape), len(shape) - 2
    name = f"adaptive_{kind.replace('average', 'avg')}_pool{rank}d"
    first = torch.tensor(np.moveaxis(x, -1, 1).copy(), requires_grad=True)
    out = getattr(torch.nn.functional, name)(first, size)
    weight = RNG.normal(size=out.shape)
    if out.numel():
        out.backward(torch.tensor(weight))
    else:  # PyTorch refuses the way back through an empty batch
        first.grad = torch.zeros_like(first)
    last = data_format == "channels_last"
    given, weight = (x, np.moveaxis(weight, 1, -1)) if last else (np.moveaxis(x, -1, 1), weight)
    t = lamina.Tensor(backend.asarray(np.ascontiguousarray(given)), requires_grad=True)
    y = getattr(ops, f"adaptive_{kind}_pool")(t, output_size=size, data_format=data_format)
    lamina.xp.sum(y * backend.asarray(np.ascontiguousarray(weight))).backward()
    back = (lambda a: np.moveaxis(a, -1, 1)) if last else (lambda a: a)
    np.testing.assert_allclose(back(y.numpy()), out.detach().numpy(), rtol=1e-12, atol=1e-12)
    got = back(backend.to_numpy(t.grad))
    np.testing.assert_allclose(got, first.grad.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape, size", PARTS)
@pytest.mark.parametrize("kind", ["max", "average"])
def test_gradients_of_parts(kind, shape, size):
    operation = getattr(ops, f"adaptive_{kind}_pool")
    if 0 not in shape:
        check_grads(lambda x: operation(x * x, output_size=size), (distinct(*shape) + 4.0,))


@pytest.mark.parametrize("kind, reduce", [("max", np.max), ("average", np.mean)])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("shape", [(2, 5, 3), (2, 4, 5, 3), (2, 3, 2, 4, 3)])
def test_whole_images(kind, reduce, keepdims, shape, backend):
    x, rank = distinct(*shape), len(shape) - 2
    for data_format, axes in (("channels_last", range(1, rank + 1)), ("channels_first", None)):
        axes = tuple(axes or range(2, rank + 2))
        expected = reduce(x, axis=axes, keepdims=keepdims)
        operation = getattr(ops, f"global_{kind}_pool")
        out = operation(backend.asarray(x), keepdims=keepdims, data_format=data_format)
        np.testing.assert_allclose(backend.to_numpy(out), expected, rtol=1e-12)
        with lamina.use(backend.backend):
            make = getattr(layers, f"Global{kind.title()}Pooling{rank}D")
            out = make(data_format, keepdims)(backend.asarray(x))
        np.testing.assert_allclose(out.numpy(), expected, rtol=1e-12)
    check_grads(lambda x: operation(x * x, keepdims=keepdims), (x + 4.0,))


@pytest.mark.parametrize("kind", ["Average", "Max"])
def test_layers_of_parts(kind):
    x = distinct(2, 7, 5, 3)
    layer = getattr(layers, f"Adaptive{kind}Pooling2D")((2, 4))
    np.testing.assert_array_equal(
        layer(x).numpy(), getattr(ops, f"adaptive_{kind.lower()}_pool")(x, output_size=(2, 4))
    )
    assert layer.compute_output_shape((None, None, None, 3)) == (None, 2, 4, 3)
    with pytest.raises(ValueError, match="output_size is one whole number from 1 on"):
        getattr(layers, f"Adaptive{kind}Pooling2D")(0)
    with pytest.raises(ValueError, match=r"channels\), got \(None, 28, 28\): add a channel axis"):
        getattr(layers, f"Global{kind}Pooling2D")()(np.zeros((4, 28, 28)))
    with pytest.raises(ValueError, match="images with elements"):
        getattr(layers, f"Global{kind}Pooling2D")()(np.zeros((4, 28, 0, 3)))


# ---- layers --------------------------------------------------------------------------------------

LAYERS = ["MaxPooling", "AveragePooling"]


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("data_format", [None, "channels_first"])
@pytest.mark.parametrize("settings", [{}, {"strides": 1}, {"padding": "same", "pool_size": 3}])
def test_layers_do_what_the_ops_do(kind, rank, data_format, settings, backend):
    make = getattr(layers, f"{kind}{rank}D")
    settings = {"pool_size": 2, **settings}
    x = distinct(2, *(5, 6, 4)[:rank], 3).astype("float32")
    with lamina.use(backend.backend):
        layer = make(**settings, data_format=data_format)
        out = layer(backend.asarray(x))
    operation = getattr(ops, {"Max": "max_pool", "Ave": "average_pool"}[kind[:3]])
    expected = operation(x, **settings, data_format=data_format or "channels_last")
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-6, atol=1e-6)
    assert layer.compute_output_shape(x.shape) == out.shape


def test_keras_knows_them_by_two_names():
    for rank in (1, 2, 3):
        for kind in ("Average", "GlobalAverage", "GlobalMax", "Max"):
            short = getattr(layers, f"{kind.replace('Average', 'Avg')}Pool{rank}D")
            assert short is getattr(layers, f"{kind}Pooling{rank}D")
    assert layers.MaxPooling2D().pool_size == layers.MaxPooling2D().strides == (2, 2)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_lengths_that_are_not_known_yet(rank):
    layer = getattr(layers, f"MaxPooling{rank}D")(2)
    assert layer.compute_output_shape((None, *(None,) * rank, 3)) == (None, *(None,) * rank, 3)
    layer = getattr(layers, f"MaxPooling{rank}D")(2)
    assert layer.compute_output_shape((None, *(7,) * rank, 3)) == (None, *(3,) * rank, 3)


@pytest.mark.parametrize(
    "make, shape, match",
    [
        (lambda: layers.MaxPooling2D(name="pool"), (4, 28, 28),
         r'"pool" expects inputs of shape \(batch, height, width, channels\), got \(None, 28, '
         r"28\): add a channel axis, x\[..., None\]"),
        (lambda: layers.MaxPooling2D(data_format="channels_first"), (4, 28, 28),
         r"\(batch, channels, height, width\), got .*x\[:, None\]"),
        (lambda: layers.MaxPooling1D(name="pool"), (4, 28, 28, 3), r"\(batch, steps, channels\)"),
        (lambda: layers.MaxPooling2D(5, name="pool"), (4, 4, 9, 1),
         r'"pool" expects images of at least \(5, 5\), got \(None, 4, 9, 1\): .*padding="same"'),
        (lambda: layers.MaxPooling2D(padding="same"), (4, 0, 9, 1), "images with elements"),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit_name_the_layer(make, shape, match):
    with pytest.raises(ValueError, match=match):
        make()(np.zeros(shape, "float32"))


@pytest.mark.parametrize("kind", LAYERS)
def test_a_stack_that_pools_too_often_names_the_layer(kind):
    make = getattr(layers, f"{kind}2D")
    with pytest.raises(
        ValueError, match=r'"third" expects images of at least \(2, 2\), got \(None, 1'
    ):
        lamina.Sequential([layers.Input((7, 7, 1)), make(2), make(2), make(2, name="third")])


@pytest.mark.parametrize(
    "make, match",
    [
        (
            lambda: layers.MaxPooling2D(0, name="pool"),
            'MaxPooling2D "pool": pool_size is one whole',
        ),
        (lambda: layers.MaxPooling2D((2, 2, 2)), "one for each of 2 axes"),
        (lambda: layers.MaxPooling1D(2, "same"), "strides is one whole number"),
        (lambda: layers.MaxPooling2D(padding="full"), 'needs padding "valid" or "same", got .full'),
        (lambda: layers.MaxPooling2D(data_format="NHWC"), 'needs data_format "channels_last"'),
    ],
)
def test_a_wrong_setting_is_told_at_once(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_a_stack_with_pooling_runs_without_a_tape_and_alike(backend, no_sync):
    def network():
        lamina.utils.set_random_seed(1)
        model = lamina.Sequential(
            [layers.Input((6, 6, 2)), layers.MaxPooling2D(), layers.Flatten(), layers.Dense(1)],
            backend=backend.backend,
        )
        model.compile("sgd", "mse")
        return model

    x, y = distinct(4, 6, 6, 2).astype("float32") / 100, np.ones((4, 1), "float32")
    chained, taped = network(), network()
    assert links_of(chained) is not None
    taped.call = lambda inputs, call=taped.call, **how: call(inputs, **how)
    assert links_of(taped) is None
    for model in (chained, taped):
        model.fit(backend.asarray(x), backend.asarray(y), epochs=3, verbose=0)
    for one, other in zip(chained.get_weights(), taped.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
