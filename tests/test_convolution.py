"""Convolutions, as functions and as layers: against PyTorch, Keras and finite differences."""

import itertools
import math

import numpy as np
import pytest

import lamina
from lamina import layers, ops
from lamina.kernels import layouts, products
from lamina.ops._windows import windows
from lamina.testing import check_grads

RNG = np.random.default_rng(0)
LAST, FIRST = "channels_last", "channels_first"


def normal(*shape):
    return RNG.standard_normal(shape)


def gradients(function, arrays, g):
    """The result of ``function``, and the gradients of ``sum(result * g)`` by all arrays."""
    tensors = [lamina.Tensor(a, requires_grad=True) for a in arrays]
    out = function(*tensors)
    out.backward(g)
    return [out.numpy(), *[t.grad for t in tensors]]


def agree(ours, theirs, dtype):
    rtol = 1e-10 if dtype == "float64" else 1e-5
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * max(1, np.abs(b).max(initial=0)))


# ---- against PyTorch ----------------------------------------------------------------------------


def torch_gradients(function, arrays, g):
    """The same by PyTorch, whose images have their channels first."""
    torch = pytest.importorskip("torch")
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    out = function(*tensors)
    out.backward(torch.tensor(g))
    return [t.detach().numpy() for t in (out, *[t.grad for t in tensors])]


def torch_conv(x, kernel, bias, strides, padding, dilation, groups):
    """Keras's convolution by PyTorch's: the padding laid on by hand."""
    import torch

    rank = x.ndim - 2
    widths = []
    for n, k, s, d in zip(x.shape[2:], kernel.shape, strides, dilation, strict=False):
        total = max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n)
        before = {"valid": 0, "same": total // 2, "causal": (k - 1) * d}[padding]
        widths = [before, total - before if padding == "same" else 0, *widths]
    x = torch.nn.functional.pad(x, widths)
    kernel = kernel.permute(-1, -2, *range(rank)).contiguous()
    function = getattr(torch.nn.functional, f"conv{rank}d")
    return function(x, kernel, bias, stride=strides, dilation=dilation, groups=groups)


def by_torch(arrays, g, data_format, function):
    """PyTorch's result and gradients of arrays in our format."""
    x, *others = arrays
    if data_format == LAST:
        x, g = np.moveaxis(x, -1, 1), np.moveaxis(g, -1, 1)
    out, dx, *grads = torch_gradients(function, [x, *others], g)
    if data_format == LAST:
        out, dx = np.moveaxis(out, 1, -1), np.moveaxis(dx, 1, -1)
    return [out, dx, *grads]


def images(image, channels, data_format, batch=2):
    return normal(batch, *image, channels) if data_format == LAST else normal(
        batch, channels, *image)  # fmt: skip


SIZES = {1: ((8,), (3,)), 2: ((7, 6), (3, 2)), 3: ((5, 4, 3), (2, 2, 1))}
GRID = [
    case for case in itertools.product(
        (1, 2, 3), (1, 2, 3), (1, 2), (1, 2, 4), ("valid", "same", "causal"), (LAST, FIRST)
    ) if not (case[1] > 1 and case[2] > 1) and (case[4] != "causal" or case[0] == 1)
]  # fmt: skip


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("rank", "strides", "dilation", "groups", "padding", "data_format"), GRID)
def test_conv_and_its_gradients_are_pytorchs(
    rank, strides, dilation, groups, padding, data_format, dtype
):
    image, size = SIZES[rank]
    arrays = [images(image, 4, data_format), normal(*size, 4 // groups, 8), normal(8)]
    compare_conv(arrays, dtype, strides, dilation, groups, padding, data_format)


def compare_conv(arrays, dtype, strides=1, dilation=1, groups=1, padding="valid", fmt=LAST):
    arrays = [a.astype(dtype) for a in arrays]
    rank = arrays[0].ndim - 2

    def ours(x, kernel, bias):
        return ops.conv(
            x, kernel, bias, strides=strides, padding=padding, dilation_rate=dilation,
            groups=groups, data_format=fmt,
        )  # fmt: skip

    def theirs(x, kernel, bias):
        return torch_conv(x, kernel, bias, (strides,) * rank, padding, (dilation,) * rank, groups)

    g = normal(*ours(*arrays).shape).astype(dtype)
    agree(gradients(ours, arrays, g), by_torch(arrays, g, fmt, theirs), dtype)


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize(
    ("image", "size", "channels", "filters"),
    [
        ((1,), (1,), 1, 1),
        ((1, 5), (1, 3), 2, 1),
        ((6, 1), (3, 1), 1, 3),
        ((9, 8), (1, 1), 5, 7),
        ((9, 8), (5, 4), 1, 2),
        ((12, 11), (3, 3), 16, 8),
        ((31, 7), (4, 2), 12, 13),  # high enough to be made a signal
        ((400,), (5,), 3, 4),  # long enough to be taken in turns
        ((1, 300), (1, 2), 2, 2),
    ],
)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("batch", [0, 1, 3])
def test_conv_of_odd_shapes_is_pytorchs(image, size, channels, filters, padding, batch):
    arrays = [normal(batch, *image, channels), normal(*size, channels, filters), normal(filters)]
    compare_conv(arrays, "float64", padding=padding)


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [1, 2])
def test_large_images_are_worked_through_in_blocks(monkeypatch, padding, strides):
    for module in ("gathering", "convolution_portable"):
        monkeypatch.setattr(f"lamina.kernels.{module}.BLOCK", 500)
    monkeypatch.setattr("lamina.kernels.depthwise._PIECE", 100)
    for groups in (1, 2, 4):
        arrays = [normal(3, 13, 12, 4), normal(3, 3, 4 // groups, 8), normal(8)]
        compare_conv(arrays, "float64", strides, groups=groups, padding=padding)
    compare_conv([normal(2, 500, 2), normal(3, 2, 3), normal(3)], "float64", padding=padding)
    compare_transpose(
        [normal(2, 7, 9, 4), normal(3, 3, 2, 4), normal(2)], "float64", strides, 1, padding, None
    )


@pytest.mark.parametrize("most", [1 << 20, 200, 1])
def test_a_long_signals_products_are_bounded(monkeypatch, most):
    """They are made of all samples at once, of one at a time, or place by place."""
    monkeypatch.setattr("lamina.kernels.layouts._PRODUCTS", most)
    for padding in ("valid", "same"):
        compare_conv([normal(3, 500, 2), normal(3, 2, 3), normal(3)], "float64", padding=padding)


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("block", [1 << 20, 20_000, 11_000, 700])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    ("image", "size"), [((23, 9), (3, 3)), ((34, 6), (4, 2)), ((26, 5), (2, 1)), ((83, 4), (5, 3))]
)
def test_high_images_give_what_the_definition_gives(monkeypatch, image, size, padding, block):
    """Looked at in turns: of samples together, of one, and of some of its rows."""
    for which in ("BLOCK", "COMPILED_BLOCK"):
        monkeypatch.setattr(f"lamina.kernels.gathering.{which}", block)
    arrays = [normal(4, *image, 24), normal(*size, 24, 25), normal(25)]
    xp = lamina.autograd.differentiable(np)
    options = {**ops.conv.defaults, "padding": padding}
    g = normal(*ops.conv(*arrays, **options).shape)
    ours = gradients(lambda *a: ops.conv(*a, **options), arrays, g)
    wanted = gradients(lambda *a: ops.conv.definition(xp, *a, **options), arrays, g)
    agree(ours, wanted, "float64")
    x, *others = map(lamina.Tensor, arrays)
    others[0].requires_grad = True  # without the gradient of the image, as in a first layer
    ops.conv(x, *others, **options).backward(g)
    agree([others[0].grad], [wanted[2]], "float64")


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("block", [1 << 20, 2000, 50])
@pytest.mark.parametrize(
    ("image", "options"),
    [
        ((13, 12), {}),
        ((13, 12), {"pool_size": (3, 2), "padding": "same", "strides": (1, 2)}),
        ((15, 9), {"pool_size": (1, 3), "dilation_rate": 2, "activation": "relu"}),
        ((12, 12), {"pool_size": 4}),  # of more places than are compared one after the other
        ((11, 12), {"pool_padding": "same"}),  # with an edge that only one window has
        ((40,), {"pool_size": 3, "padding": "causal", "activation": "tanh"}),
        ((8, 5, 6), {"padding": "same"}),
    ],
)
@pytest.mark.parametrize("filters", [3, 20])
def test_pooled_convolutions_give_what_the_definition_gives(
    monkeypatch, image, options, block, filters
):
    """In blocks, of samples or of rows, and for the gradients of some or all arrays."""
    for module in ("gathering", "convolution_pooled"):
        monkeypatch.setattr(f"lamina.kernels.{module}.BLOCK", block)
    kernel = normal(*(3, 2, 2)[: len(image)], 3, filters)
    arrays = [normal(4, *image, 3), kernel, normal(filters)]
    xp = lamina.autograd.differentiable(np)
    options = {**ops.conv_max_pool.defaults, **options}
    g = normal(*ops.conv_max_pool(*arrays, **options).shape)
    ours = gradients(lambda *a: ops.conv_max_pool(*a, **options), arrays, g)
    wanted = gradients(lambda *a: ops.conv_max_pool.definition(xp, *a, **options), arrays, g)
    agree(ours, wanted, "float64")
    for only in range(3):
        made = [lamina.Tensor(a, requires_grad=i == only) for i, a in enumerate(arrays)]
        ops.conv_max_pool(*made, **options).backward(g)
        agree([made[only].grad], [wanted[1 + only]], "float64")


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("channels", [1, 24])
def test_of_equal_sums_the_first_of_a_pooling_gets_the_gradient(channels):
    x = lamina.Tensor(np.zeros((2, 12, 16, channels)), requires_grad=True)
    kernel = normal(1, 1, channels, 16)
    out = ops.conv_max_pool(x, kernel, strides=2, pool_size=(2, 4))
    g = normal(*out.shape)
    out.backward(g)
    wanted = np.zeros(x.shape)
    wanted[:, ::4, ::8] = g @ kernel[0, 0].T
    np.testing.assert_allclose(x.grad, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("image", "size", "channels", "options", "layout"),
    [
        ((32, 32), (3, 3), 16, {}, layouts.Strips),
        ((32, 32), (3, 3), 16, {"padding": "valid"}, layouts.Strips),
        ((32, 32), (3, 3), 7, {}, layouts.Copied),  # 21 numbers in a row of the window
        ((32, 32), (3, 3), 128, {}, layouts.Copied),  # 384
        ((9, 32), (3, 3), 16, {}, layouts.Copied),  # columns of 9
        ((32, 32), (1, 3), 16, {}, layouts.Copied),
        ((32, 32), (3, 3), 16, {"strides": 2}, layouts.Copied),
        ((32, 32), (3, 3), 16, {"dilation": 2}, layouts.Copied),
        ((4000, 4000), (3, 3), 64, {}, layouts.Copied),  # a row a block
        ((400,), (3,), 4, {}, layouts.Signal),
        ((100,), (3,), 4, {}, layouts.Copied),
        ((400,), (3,), 4, {"strides": 2}, layouts.Copied),
        ((400,), (3,), 4, {"dilation": 3}, layouts.Copied),
        ((32, 32, 32), (3, 3, 3), 16, {}, layouts.Copied),
    ],
)
def test_windows_are_laid_out_as_is_quickest(image, size, channels, options, layout):
    options = {"strides": 1, "padding": "same", "dilation": 1, **options}
    win = windows(image, size, **options)
    assert layouts.plan(2, win, channels, 16, 1 << 20)[0] is layout
    if math.prod(image) < 10_000:  # whatever is chosen, the numbers are the definition's
        x, kernel = normal(2, *image, channels), normal(*size, channels, 3)
        named = {"strides": options["strides"], "padding": options["padding"]}
        named |= {"dilation_rate": options["dilation"], "groups": 1, "data_format": LAST}
        wanted = ops.conv.definition(np, x, kernel, None, **named, activation="linear")
        np.testing.assert_allclose(ops.conv(x, kernel, **named), wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.usefixtures("both_ways")
def test_images_and_signals_may_lie_in_memory_in_any_way():
    """Channels apart, or between those of others, or one channel along an axis made for it."""
    x, kernel = normal(2, 30, 7, 24), normal(3, 3, 24, 4)
    wanted = ops.conv(x, kernel)
    first = np.ascontiguousarray(np.moveaxis(x, -1, 1))
    both = np.concatenate([x, normal(*x.shape)], axis=-1)
    np.testing.assert_array_equal(ops.conv(both[..., :24], kernel), wanted)
    np.testing.assert_allclose(
        np.moveaxis(ops.conv(first, kernel, data_format=FIRST), 1, -1), wanted, rtol=1e-12
    )
    in_groups = ops.conv(both, np.concatenate([kernel, kernel], axis=-1), groups=2)
    np.testing.assert_allclose(in_groups[..., :4], wanted, rtol=1e-12)
    signal, image = normal(2, 130), normal(2, 40, 30)
    for function, x, kernel in (
        (ops.conv, signal, normal(2, 1, 1)),
        (ops.conv, image, normal(2, 24, 1, 3)),
        (ops.conv_transpose, signal, normal(3, 2, 1)),
        (ops.depthwise_conv, signal, normal(2, 1, 1)),
        (ops.depthwise_conv, image, normal(2, 3, 1, 1)),
    ):
        wanted = function(x.reshape(*x.shape, 1), kernel)
        np.testing.assert_array_equal(function(x[..., None], kernel), wanted)
        found = function(x[:, None], kernel, data_format=FIRST)
        np.testing.assert_array_equal(np.moveaxis(found, 1, -1), wanted)


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("strides", [1, 2])
def test_long_signals_are_taken_in_pieces_channel_by_channel(monkeypatch, strides):
    arrays = [normal(2, 90, 3), normal(4, 3, 1)]
    g = normal(*ops.depthwise_conv(*arrays, strides=strides, padding="same").shape)
    found = []
    for piece in (1 << 19, 100):
        monkeypatch.setattr("lamina.kernels.depthwise._PIECE", piece)
        found.append(
            gradients(lambda *a: ops.depthwise_conv(*a, strides=strides, padding="same"), arrays, g)
        )
    agree(*found, "float64")


@pytest.mark.usefixtures("both_ways")
def test_what_is_no_number_spoils_only_the_windows_that_see_it():
    x, kernel = normal(2, 24, 6, 16), normal(3, 3, 16, 16)
    x[0, 23, 2], x[1, 0, 5] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        finite = np.isfinite(ops.conv(x, kernel, padding="same")).all(axis=-1)
    wanted = np.ones(finite.shape, bool)
    wanted[0, 22:, 1:4] = wanted[1, :2, 4:] = False
    np.testing.assert_array_equal(finite, wanted)


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("small", [0, 3_000, 40_000])
@pytest.mark.parametrize("strides", [1, 2])
def test_products_may_be_done_in_pieces(monkeypatch, small, strides):
    """In pieces of 8 and of 136 rows, with and without a rest, as on processors with AVX-512."""
    monkeypatch.setattr("lamina.backend.blas.small_product", lambda: small)
    monkeypatch.setattr("lamina.backend.blas.threads", lambda: 1)
    monkeypatch.setattr("lamina.kernels.products._rows", products._rows.__wrapped__)
    for padding in ("valid", "same"):
        arrays = [normal(3, 16, 13, 4), normal(3, 3, 4, 8), normal(8)]
        compare_conv(arrays, "float64", strides, padding=padding)
        compare_conv([normal(2, 500, 2), normal(3, 2, 3), normal(3)], "float64", padding=padding)
    compare_transpose(
        [normal(2, 7, 9, 4), normal(3, 3, 2, 4), normal(2)], "float64", strides, 1, "same", None
    )


@pytest.mark.parametrize("strides", [1, 2])
def test_blocks_do_not_change_the_portable_kernels(backend, monkeypatch, strides):
    arrays = [normal(3, 9, 8, 4), normal(3, 3, 4, 2), normal(2)]
    transposed = [normal(3, 5, 4, 4), normal(3, 3, 2, 4), normal(2)]
    results = []
    for block in (1 << 20, 300):
        monkeypatch.setattr("lamina.kernels.convolution_portable.BLOCK", block)
        monkeypatch.setattr("lamina.kernels.gathering.BLOCK", block)
        found = []
        for function, given in ((ops.conv, arrays), (ops.conv_transpose, transposed)):
            made = [lamina.Tensor(backend.asarray(a), requires_grad=True) for a in given]
            out = function(*made, strides=strides, padding="same")
            out.backward(backend.asarray(np.cos(np.arange(out.size).reshape(out.shape))))
            found += [backend.to_numpy(t) for t in (out.data, *[m.grad for m in made])]
        results.append(found)
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("multiplier", [1, 2, 3])
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("data_format", [LAST, FIRST])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_depthwise_conv_is_pytorchs_in_groups(rank, multiplier, strides, padding, data_format):
    image, size = SIZES[rank]
    bias = normal(3 * multiplier)
    arrays = [images(image, 3, data_format), normal(*size, 3, multiplier), bias]

    def ours(x, kernel, bias):
        return ops.depthwise_conv(
            x, kernel, bias, strides=strides, padding=padding, data_format=data_format
        )

    def theirs(x, kernel, bias):
        kernel = kernel.reshape(*size, 1, 3 * multiplier)
        return torch_conv(x, kernel, bias, (strides,) * rank, padding, (1,) * rank, 3)

    g = normal(*ours(*arrays).shape)
    agree(gradients(ours, arrays, g), by_torch(arrays, g, data_format, theirs), "float64")


def compare_transpose(arrays, dtype, strides, dilation, padding, output_padding, fmt=LAST):
    """Against PyTorch's, uncut, from which what Keras keeps is cut."""
    import torch

    arrays = [a.astype(dtype) for a in arrays]
    rank = arrays[0].ndim - 2
    size = arrays[1].shape[:rank]

    def ours(x, kernel, bias):
        return ops.conv_transpose(
            x, kernel, bias, strides=strides, padding=padding, dilation_rate=dilation,
            output_padding=output_padding, data_format=fmt,
        )  # fmt: skip

    def theirs(x, kernel, bias):
        function = getattr(torch.nn.functional, f"conv_transpose{rank}d")
        whole = function(x, kernel.permute(-1, -2, *range(rank)), stride=strides, dilation=dilation)
        cuts = []
        for k in size:
            span = (k - 1) * dilation + 1
            if padding == "valid":
                more = max(strides - span, 0) if output_padding is None else output_padding
                front, behind = 0, more
            else:  # as Keras pads the spread-out input, see its documentation of "same"
                total = strides + span - 2
                if output_padding is not None:
                    total = span + span % 2 - 2 + output_padding
                left = min(-(-total // 2), span - 1)
                front, behind = left - (span - 1), total - left - (span - 1)
            cuts = [front, behind, *cuts]
        out = torch.nn.functional.pad(whole, cuts)  # a negative width cuts
        return out + bias.reshape(-1, *(1,) * rank)

    g = normal(*ours(*arrays).shape).astype(dtype)
    agree(gradients(ours, arrays, g), by_torch(arrays, g, fmt, theirs), dtype)


TRANSPOSED = [
    case for case in itertools.product(
        (1, 2, 3), (1, 2, 3), (1, 2), ("valid", "same"), (None, 0, 1), (LAST, FIRST)
    ) if not (case[1] > 1 and case[2] > 1)
]  # fmt: skip


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("rank", "strides", "dilation", "padding", "output_padding", "data_format"), TRANSPOSED
)
def test_conv_transpose_and_its_gradients_are_pytorchs(
    rank, strides, dilation, padding, output_padding, data_format, dtype
):
    pytest.importorskip("torch")
    counts, size = SIZES[rank]
    arrays = [images(counts, 3, data_format), normal(*size, 2, 3), normal(2)]
    compare_transpose(arrays, dtype, strides, dilation, padding, output_padding, data_format)


# ---- against Keras ------------------------------------------------------------------------------

KERAS = [
    ("Conv1D", (4, 3), {"padding": "causal", "dilation_rate": 2}, (9, 3)),
    ("Conv1D", (4, 4), {"padding": "same", "strides": 3, "activation": "relu"}, (10, 3)),
    ("Conv2D", (4, (3, 2)), {"strides": (2, 3), "padding": "same", "groups": 2}, (7, 8, 4)),
    ("Conv2D", (4, 3), {"dilation_rate": 2, "activation": "softmax"}, (8, 7, 2)),
    ("Conv3D", (2, 2), {"strides": 2, "padding": "SAME"}, (5, 4, 3, 2)),
    ("DepthwiseConv1D", (3, 2, "same"), {"depth_multiplier": 2}, (6, 2)),
    ("DepthwiseConv2D", (3, 2, "same"), {"activation": "tanh"}, (7, 6, 3)),
    ("SeparableConv1D", (5, 3), {"depth_multiplier": 2, "padding": "same"}, (7, 3)),
    ("SeparableConv2D", (5, 3, 2), {"padding": "same", "activation": "relu"}, (7, 8, 3)),
    *[("Conv1DTranspose", (3, k), {"strides": s, "padding": p, "output_padding": more}, (5, 2))
      for k, s in ((1, 2), (2, 3), (4, 3)) for p in ("valid", "same") for more in (None, 1)],
    ("Conv2DTranspose", (3, (3, 2)), {"strides": 2, "padding": "same"}, (4, 5, 2)),
    ("Conv2DTranspose", (3, 3), {"dilation_rate": 2, "activation": "gelu"}, (4, 5, 2)),
    ("Conv3DTranspose", (2, 2, 2, "same", None, 1), {}, (2, 3, 2, 2)),
]  # fmt: skip


def test_layers_are_keras():
    keras = pytest.importorskip("keras")
    for name, args, options, shape in KERAS:
        x = normal(2, *shape).astype("float32")
        theirs = getattr(keras.layers, name)(*args, **options)
        theirs.build((None, *shape))
        ours = getattr(layers, name)(*args, **options)
        ours.build_for((None, *shape))
        given = [normal(*w.shape).astype("float32") for w in theirs.weights]
        assert [w.shape for w in ours.weights] == [w.shape for w in given], (name, options)
        ours.set_weights(given)
        theirs.set_weights(given)
        expected = keras.ops.convert_to_numpy(theirs(x))
        np.testing.assert_allclose(
            ours(x).numpy(), expected, rtol=1e-4, atol=1e-5, err_msg=f"{name} {options}"
        )
        assert ours.compute_output_shape((None, *shape)) == (None, *expected.shape[1:])


# ---- what stays as it was given, and any order of derivative ------------------------------------


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("name", ["conv", "depthwise_conv", "conv_transpose"])
def test_strided_and_read_only_inputs_give_what_whole_ones_give(name):
    x = normal(4, 9, 16, 6)[::2, ::-1, ::2, 1:4]
    kernel = normal(6, 3, 3, 3).transpose(2, 1, 3, 0)[..., ::2]
    kernel = np.broadcast_to(kernel, kernel.shape)
    assert not kernel.flags.writeable
    x.flags.writeable = False
    outputs = {"conv": 3, "depthwise_conv": 9, "conv_transpose": 3}[name]
    bias = normal(2 * outputs)[::2]
    function = getattr(ops, name)
    g = normal(*function(x, kernel, bias).shape)[:, ::-1]
    strided = gradients(function, [x, kernel, bias], g)
    whole = [np.array(a, order="C") for a in (x, kernel, bias, g)]
    agree(strided, gradients(function, whole[:3], whole[3]), "float64")


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize(
    ("function", "shapes", "options"),
    [
        (ops.conv, [(2, 5, 2), (2, 2, 3), (3,)], {"strides": 2, "activation": "tanh"}),
        (ops.conv, [(1, 4, 5, 4), (2, 3, 2, 4), (4,)], {"groups": 2, "padding": "same"}),
        (ops.conv, [(1, 3, 3, 2, 2), (2, 2, 1, 2, 1), (1,)], {}),
        (ops.depthwise_conv, [(2, 5, 2), (3, 2, 2), (4,)], {"padding": "causal"}),
        (ops.separable_conv, [(1, 4, 4, 2), (2, 2, 2, 1), (1, 1, 2, 3), (3,)], {"strides": 2}),
        (ops.conv_transpose, [(1, 3, 2, 2), (2, 3, 3, 2), (3,)], {"strides": 2}),
        (ops.conv_transpose, [(2, 4, 2), (3, 1, 2), (1,)], {"padding": "same", "strides": 3}),
    ],
)
def test_derivatives_of_two_orders(function, shapes, options):
    arrays = tuple(normal(*shape) for shape in shapes)

    def squared(*arrays):  # so that no gradient of a gradient is 0
        return function(*arrays, **options) ** 2

    check_grads(squared, arrays)
    definition = function.definition
    xp = lamina.autograd.differentiable(np)
    defaults = {**function.defaults, **options}
    check_grads(lambda *a: definition(xp, *a, **defaults) ** 2, arrays)


def test_a_convolution_written_out():
    """Three numbers that one can check in one's head."""
    signal = np.array([1.0, 2.0, 4.0]).reshape(1, 3, 1)
    kernel = np.array([10.0, 1.0]).reshape(2, 1, 1)
    assert ops.conv(signal, kernel).ravel().tolist() == [12.0, 24.0]
    assert ops.conv(signal, kernel, padding="same").ravel().tolist() == [12.0, 24.0, 40.0]
    assert ops.conv(signal, kernel, padding="causal").ravel().tolist() == [1.0, 12.0, 24.0]
    laid = ops.conv_transpose(signal, kernel, strides=2).ravel().tolist()
    assert laid == [10.0, 1.0, 20.0, 2.0, 40.0, 4.0]


def test_columns_stay_bounded_and_memory_linear_in_the_batch():
    """Peak memory of a step beside its images, for an image whose columns would take 150 MB."""
    import tracemalloc

    x, kernel = normal(1, 256, 256, 32).astype("f"), normal(3, 3, 32, 8).astype("f")
    peaks = []
    for batch in (1, 2):
        given = [lamina.Tensor(np.repeat(x, batch, axis=0)), lamina.Tensor(kernel, True)]
        tracemalloc.start()
        out = ops.conv(*given)
        out.backward(out.data)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    columns = 254 * 254 * 9 * 32 * 4
    assert peaks[0] < columns / 6
    assert peaks[1] < 2.1 * peaks[0]


# ---- layers -------------------------------------------------------------------------------------


def test_a_network_of_convolutions_trains_on_every_backend(backend):
    lamina.utils.set_random_seed(1)
    model = lamina.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.SeparableConv2D(6, 3, activation="gelu"),
            layers.Flatten(),
            layers.Dense(2, activation="softmax"),
        ],
        backend=backend.backend,
    )
    model.compile(lamina.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    x = np.zeros((16, 8, 8, 1), "float32")
    y = np.arange(16) % 2
    x[y == 0, 2] = 1.0  # a row, or a column
    x[y == 1, :, 2] = 1.0
    losses = model.fit(x, y, epochs=15, batch_size=8, verbose=0).history["loss"]
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.usefixtures("both_ways")
def test_a_pool_before_its_bias_and_relu_gives_the_same_numbers(monkeypatch):
    """The chain joins convolution and max pooling, relu behind; the tape does not.

    Only the gradient of a bias is summed in another order.
    """
    x, y = normal(12, 9, 9, 1), RNG.integers(0, 3, 12)
    found = []
    for taped in (False, True):
        if taped:
            monkeypatch.setattr("lamina.models.step.chain_of", lambda *_: None)
        lamina.utils.set_random_seed(2)
        model = lamina.Sequential(
            [
                layers.Input((9, 9, 1), dtype="float64"),
                layers.Conv2D(3, 3, activation="relu", dtype="float64"),
                layers.MaxPooling2D(2, dtype="float64"),
                layers.Conv2D(4, 2, dtype="float64"),
                layers.Activation("relu", dtype="float64"),
                layers.MaxPooling2D(2, dtype="float64"),
                layers.Flatten(dtype="float64"),
                layers.Dense(3, dtype="float64"),
            ]
        )
        loss = lamina.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("sgd", loss)
        losses = [model.train_on_batch(x, y) for _ in range(3)]
        assert (model._step._chain is None) == taped
        found.append((losses, model.get_weights()))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-14)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        assert a.dtype == np.float64
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-15)


def cnn(**options):
    lamina.utils.set_random_seed(3)
    model = lamina.Sequential(
        [
            layers.Input((20, 20, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )
    loss = lamina.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, **options)
    return model


@pytest.mark.usefixtures("both_ways")
def test_a_batch_of_images_is_cut_and_any_number_of_workers_gives_the_same(monkeypatch):
    monkeypatch.setattr("lamina.models.step.CUT", 1 << 20)
    x, y = normal(32, 20, 20, 1).astype("float32"), RNG.integers(0, 4, 32)
    before = lamina.config.workers()
    runs = []
    try:
        for count in (1, 2, 3):
            lamina.config.set_workers(count)
            model = cnn()
            model.fit(x, y, batch_size=32, epochs=3, verbose=0)
            assert len(model._step._cuts[32][0]) > 2
            runs.append([*model.get_weights(), model.predict(x, batch_size=32, verbose=0)])
    finally:
        lamina.config.set_workers(before)
    for run in runs[1:]:
        for a, b in zip(run, runs[0], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.usefixtures("both_ways")
def test_a_prediction_in_shards_is_the_whole_ones(monkeypatch):
    x = normal(32, 20, 20, 1).astype("float32")
    model = cnn()
    whole = model.predict(x, batch_size=32, verbose=0)
    monkeypatch.setattr("lamina.models.forward.SHARD", 1 << 19)
    np.testing.assert_allclose(model.predict(x, batch_size=32, verbose=0), whole, atol=1e-5)

    class Mixing(layers.Layer):  # and what mixes samples, as only one's own layers do, stays whole
        def call(self, inputs):
            return inputs - lamina.xp.mean(inputs, axis=0, keepdims=True)

    model.add(Mixing())
    out = model.predict(x, batch_size=32, verbose=0)
    np.testing.assert_allclose(out, whole - whole.mean(0), atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "shape", "work"),
    [
        (layers.Dense(5), (3,), 20),
        (layers.Dense(5), (7, 3), 140),
        (layers.Conv2D(8, 3, groups=2), (10, 9, 4), 8 * 7 * 9 * 2 * 8),
        (layers.Conv1D(8, 3, strides=2, padding="same"), (10, 4), 5 * 3 * 4 * 8),
        (layers.Conv1DTranspose(8, 3, strides=2), (10, 4), 10 * 3 * 4 * 8),
        (layers.SeparableConv2D(8, 3), (5, 5, 4), 9 * (9 * 4 + 4 * 8)),
        (layers.DepthwiseConv1D(3, depth_multiplier=2), (5, 4), 3 * 3 * 4 * 2),
        (layers.Flatten(), (5, 4), 0),
    ],
)
def test_a_layer_tells_its_work(layer, shape, work):
    layer.build_for((None, *shape))
    assert layer.multiplications() == work


@pytest.mark.usefixtures("both_ways")
def test_axes_of_any_length():
    model = lamina.Sequential([layers.Input((None, None, 3)), layers.Conv2D(4, 3, padding="same")])
    assert model.output_shape == (None, None, None, 4)
    for shape in ((1, 5, 6, 3), (2, 9, 3, 3)):
        assert model.predict(normal(*shape), verbose=0).shape == (*shape[:3], 4)


# ---- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "shape", "words"),
    [
        (lambda: layers.Conv2D(4, 3, name="c"), (2, 28, 28),
         r'Conv2D "c" expects inputs of shape \(batch, height, width, channels\), got '
         r"\(None, 28, 28\): add a channel axis, x\[..., None\]"),
        (lambda: layers.Conv2D(4, 3, data_format=FIRST), (2, 28, 28), r"axis, x\[:, None\]"),
        (lambda: layers.Conv1D(4, 3), (2, 7, 8, 9), r"inputs of shape \(batch, steps, channels\)"),
        (lambda: layers.Conv2D(4, 5, name="c"), (2, 4, 9, 1),
         r'Conv2D "c", given \(None, 4, 9, 1\): a window of \(5, 5\) does not fit into an image of '
         r"\(4, 9\): use a smaller kernel, padding='same', or larger images"),
        (lambda: layers.Conv1D(4, 3, dilation_rate=4), (2, 8, 1), r"\(9,\) \(kernel \(3,\), dil"),
        (lambda: layers.Conv2D(4, 3), (2, 0, 5, 1), "does not fit"),
        (lambda: layers.Conv2D(4, 3), (2, 1, 1, 8), "use a smaller kernel, padding='same', or"),
        (lambda: layers.Conv2D(4, 5), (2, 3, 3, 8), "use a smaller kernel, padding='same', or"),
        (lambda: layers.Conv2D(4, 5), (2, 3, 32, 32), r"seem to be channels-first: pass xp.moveaxis"
         r"\(x, 1, -1\), or give the layers data_format='channels_first'"),
        (lambda: layers.Conv2D(4, 3, groups=2), (2, 8, 8, 3), "channels that its 2 groups divide"),
        (lambda: layers.Conv1DTranspose(4, 1, padding="same"), (2, 0, 1), "leaves an image of"),
    ],
)  # fmt: skip
def test_inputs_that_no_window_fits_are_refused(make, shape, words):
    with pytest.raises(ValueError, match=words):
        make()(np.zeros(shape, "float32"))


def test_images_turned_after_building_are_seen():
    layer = layers.Conv2D(4, 3, name="c")
    layer(np.zeros((2, 32, 32, 3), "float32"))
    with pytest.raises(ValueError, match=r'"c" expects 3 channels.*seem to be channels-first'):
        layer(np.zeros((2, 3, 32, 32), "float32"))
    with pytest.raises(ValueError, match="one sample lacks the batch axis"):
        layer(np.zeros((32, 32, 3), "float32"))
    first = layers.Conv2D(4, 3, data_format=FIRST)
    first(np.zeros((2, 3, 32, 32), "float32"))
    with pytest.raises(ValueError, match=r"channels-last: pass xp.moveaxis\(x, -1, 1\)"):
        first(np.zeros((2, 32, 32, 3), "float32"))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.Conv2D(0, 3), "filters as a whole number from 1"),
        (lambda: layers.Conv2D(4, 0), "kernel_size is one whole number from 1 on, or one"),
        (lambda: layers.Conv2D(4, (3, 3, 3)), r'Conv2D "conv2d.*": kernel_size .* got \(3, 3, 3\)'),
        (lambda: layers.Conv2D(4, 3, strides=2, dilation_rate=(1, 2)), "not both"),
        (lambda: layers.Conv2D(3, 3, groups=2), "that its groups divide, got 3 filters in 2"),
        (lambda: layers.Conv2D(4, 3, padding="causal"), "unknown padding.*'causal'"),
        (lambda: layers.Conv1DTranspose(4, 3, padding="causal"), "unknown padding"),
        (lambda: layers.Conv2D(4, 3, padding="sam"), "did you mean 'same'"),
        (lambda: layers.Conv2D(4, 3, data_format="last"), "needs data_format"),
        (lambda: layers.Conv2DTranspose(4, 3, 2, output_padding=2), "below its strides"),
        (lambda: layers.DepthwiseConv2D(3, depth_multiplier=0), "depth_multiplier"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ops.conv(normal(2, 5, 5), normal(3, 3, 1, 2)), "2 spatial axes here, got shapes"),
        (lambda: ops.conv(normal(2, 5, 3), normal(3, 2, 2)), "conv in groups of 1 needs a kernel"),
        (lambda: ops.conv(normal(2, 5, 4), normal(3, 2, 3), groups=2), "divisible by 2"),
        (lambda: ops.conv(normal(2, 5, 4), normal(3, 4, 3), padding="full"), "unknown padding"),
        (lambda: ops.conv(normal(2, 5, 4), normal(3, 4, 3), activation="rleu"), "mean 'relu'"),
        (lambda: ops.conv_max_pool(normal(2, 5, 4), normal(3, 4, 3), activation=1), "activation 1"),
        (lambda: ops.dense(normal(2, 5), normal(5, 4), activation="rleu"), "mean 'relu'"),
        (lambda: ops.dense(normal(2, 5), normal(5, 4), activation="erf"), "activation 'erf'"),
        (lambda: ops.conv(normal(2, 5, 0), normal(3, 0, 3)), "at least one place, channel"),
        (lambda: ops.depthwise_conv(normal(2, 5, 4), normal(3, 4, 0)), "at least one place"),
        (lambda: ops.conv(normal(2, 5, 4), normal(3, 4, 3), strides=0), "strides is one whole"),
        (lambda: ops.conv(normal(2, 2, 4), normal(3, 4, 3)), r"\(3,\) does not fit .* \(2,\)"),
        (lambda: ops.depthwise_conv(normal(2, 5, 4), normal(3, 3, 1)), r"\(\*window, 4, mult"),
        (lambda: ops.conv_transpose(normal(2, 5, 4), normal(3, 4, 3)), r"\(\*window, filters, 4\)"),
    ],
)
def test_arguments_that_do_not_belong_together_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("shape", [(), (1,), (5,), (4, 1)])
@pytest.mark.parametrize(
    ("function", "kernel"),
    [
        (ops.conv, (3, 3, 4, 4)),
        (ops.conv_transpose, (3, 3, 4, 4)),
        (ops.depthwise_conv, (3, 3, 4, 1)),
        (lambda *a: ops.conv_max_pool(*a, pool_size=2), (3, 3, 4, 4)),
    ],
)
def test_a_bias_has_one_number_for_each_filter(function, kernel, shape, backend):
    x, kernel = backend.asarray(normal(2, 6, 6, 4)), backend.asarray(normal(*kernel))
    bias = lamina.Tensor(backend.asarray(normal(*shape)), requires_grad=True)
    with pytest.raises(ValueError, match=r"for each filter, shape \(4,\), got"):
        function(x, kernel, bias)
    with pytest.raises(ValueError, match=r"for each filter, shape \(4,\), got"):
        function(x, kernel, bias.data)
