"""ops.einsum against numpy.einsum and PyTorch's, in values and in gradients, on every backend."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamina import Tensor, ops, xp
from lamina.testing import assert_close, check_grads

RNG = np.random.default_rng(0)
PATTERNS = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ba", (2, 3)),
    ("ii", (3, 3)),
    ("ii->i", (3, 3)),
    ("iji->j", (2, 3, 2)),
    ("iii->i", (3, 3, 3)),
    ("ij->", (2, 3)),
    ("i,i->", (3,), (3,)),
    ("i,j->ji", (2,), (3,)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 2)),
    ("bhqd,bkhd->bhqk", (2, 2, 3, 4), (2, 5, 2, 4)),
    ("ijk,jil->kl", (2, 3, 4), (3, 2, 5)),
    ("bi,ij,bj->b", (2, 3), (3, 4), (2, 4)),
    ("ab,bc,cd,de->ae", (2, 3), (3, 4), (4, 2), (2, 3)),
    ("ij,ij,ij->i", (2, 3), (2, 3), (2, 3)),
    ("i,j,k->kj", (2,), (3,), (4,)),
    ("ii,ij->j", (2, 2), (2, 3)),
    ("...ij,...jk->...ik", (2, 1, 2, 3), (5, 3, 2)),
    ("...i,i->...", (2, 3, 4), (4,)),
    ("i...,...j", (2, 3), (3, 4)),
    ("...", (2, 3)),
    ("a...a->a...", (2, 3, 2)),
    ("ij,jk->ik", (2, 0), (0, 3)),
    ("ij,jk->ik", (0, 2), (2, 3)),
    ("ii->i", (0, 0)),
    (",->", (), ()),
    (" i j , j -> i ", (2, 3), (3,)),
]
everything = pytest.mark.parametrize("pattern", PATTERNS, ids=lambda p: p[0].replace(" ", "_"))


@everything
def test_it_is_numpys(backend, pattern):
    subscripts, *shapes = pattern
    arrays = [RNG.normal(size=shape) for shape in shapes]
    given = [backend.asarray(x) for x in arrays]
    out = ops.einsum(subscripts, *given)
    wanted = backend.backend.asarray(np.einsum(subscripts, *arrays))
    assert_close(out, wanted, atol=1e-14)
    tensors = [Tensor(x) if i % 2 == 0 else x for i, x in enumerate(given)]
    constant = ops.einsum(subscripts, *tensors)
    assert isinstance(constant, Tensor) and not constant.requires_grad
    assert_close(constant, wanted, atol=1e-14)


@everything
def test_its_derivatives(backend, pattern):
    subscripts, *shapes = pattern
    arrays = tuple(backend.asarray(RNG.normal(size=shape)) for shape in shapes)
    check_grads(lambda *x: ops.einsum(subscripts, *x) ** 2, arrays)


@everything
def test_its_gradients_are_pytorchs(pattern):
    torch = pytest.importorskip("torch")
    subscripts, *shapes = pattern
    arrays = [RNG.normal(size=shape) for shape in shapes]
    ours = [Tensor(x, requires_grad=True) for x in arrays]
    theirs = [torch.tensor(x, requires_grad=True) for x in arrays]
    xp.sum(xp.sin(ops.einsum(subscripts, *ours))).backward()
    torch.sum(torch.sin(torch.einsum(subscripts, *theirs))).backward()
    for own, other in zip(ours, theirs):
        assert_close(own.grad, other.grad.numpy(), rtol=1e-10, atol=1e-13)


@st.composite
def contractions(draw):
    """Subscripts of up to four terms, with letters again and again, and arrays that fit them."""
    lengths = dict(zip("abcde", draw(st.lists(st.integers(0, 3), min_size=5, max_size=5))))
    spread = draw(st.lists(st.integers(1, 3), max_size=2))
    terms, arrays = [], []
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    for _ in range(draw(st.integers(1, 4))):
        letters = draw(st.lists(st.sampled_from("abcde"), max_size=4))
        shape = [lengths[letter] for letter in letters]
        if draw(st.booleans()):
            at = draw(st.integers(0, len(letters)))
            wide = draw(st.integers(0, len(spread)))
            lying = [draw(st.sampled_from([1, n])) for n in spread[len(spread) - wide :]]
            letters.insert(at, "...")
            shape[at:at] = lying
        terms.append("".join(letters))
        arrays.append(rng.normal(size=shape))
    subscripts = ",".join(terms)
    if draw(st.booleans()):
        known = sorted({*subscripts} - {*".,"})
        kept = draw(st.lists(st.sampled_from(known), unique=True)) if known else []
        if "..." in subscripts:
            kept.insert(draw(st.integers(0, len(kept))), "...")
        subscripts += "->" + "".join(kept)
    return subscripts, arrays


@given(contractions())
def test_any_contraction_is_numpys(contraction):
    subscripts, arrays = contraction
    found, wanted = ops.einsum(subscripts, *arrays), np.einsum(subscripts, *arrays)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


def test_a_chain_is_multiplied_from_its_small_end():
    square = np.ones((300, 300))
    out, peak = measured(lambda: ops.einsum("cd,bc,ab->ad", square, square, np.ones((1, 300))))
    assert_close(out, np.full((1, 300), 300.0**2))
    assert peak < square.nbytes / 10  # rows in between, never a square


def measured(f):
    """The result of f and the most bytes held on the way."""
    tracemalloc.start()
    try:
        return f(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("dtype", ["int8", "int32", "float32", "complex128"])
def test_it_keeps_the_dtype(dtype):
    x = np.arange(9).reshape(3, 3).astype(dtype)
    for subscripts in ("ij->i", "ii", "ij->ji"):
        assert_close(ops.einsum(subscripts, x), np.einsum(subscripts, x), rtol=1e-6)
    assert_close(ops.einsum("ij,jk->", x, x), np.einsum("ij,jk->", x, x), rtol=1e-6)
    assert ops.einsum("ij,jk", x, np.ones((3, 3))).dtype == np.result_type(dtype, "float64")


def test_it_is_differentiated_by_complex_numbers():
    x, y = (RNG.normal(size=(2, 2, 3)) @ np.asarray([[1], [1j], [0]]) for _ in range(2))
    check_grads(lambda x, y: ops.einsum("ijk,ilk,ii->jl", x, y, x[..., 0]), (x, y))


@pytest.mark.parametrize(
    ("subscripts", "shapes", "message"),
    [
        ("ij,jk", [(2, 3)], "an array for each term, got 2 in 'ij,jk' and 1 arrays"),
        ("ij", [(2, 3, 4)], "a letter for each axis, got 'ij' in 'ij' for an array with 3"),
        ("ijk...", [(2, 3)], "a letter for each axis, got 'ijk...'"),
        ("i1", [(2, 3)], "subscripts of letters"),
        ("i->j->k", [(2,)], "subscripts of letters"),
        ("......", [(2,)], "subscripts of letters"),
        ("ij->ii", [(2, 3)], "each letter of the result once and among the arrays', got 'i'"),
        ("ij->k", [(2, 3)], "each letter of the result once and among the arrays', got 'k'"),
        ("...i->i", [(2, 3)], 'needs "..." in the result'),
        ("ij,jk", [(2, 3), (4, 5)], "one length for axis 'j' of 'ij,jk', got 3 and 4"),
        ("ij,ij", [(2, 3), (1, 3)], "one length for axis 'i'"),
        ("ii", [(2, 3)], "one length for axis 'i'"),
        ("...,...", [(2, 3), (4, 3)], 'one length for the axes of "..."'),
    ],
)
def test_what_it_refuses(subscripts, shapes, message):
    with pytest.raises(ValueError, match=message.replace("...", r"\.\.\.")):
        ops.einsum(subscripts, *[np.ones(shape) for shape in shapes])


def test_what_it_does_not_take():
    with pytest.raises(TypeError, match="subscripts as a string before the arrays"):
        ops.einsum(np.ones(2), "i")
    with pytest.raises(TypeError, match="needs an array after its subscripts"):
        ops.einsum("i")
    with pytest.raises(TypeError, match="needs arrays or tensors, got list"):
        ops.einsum("i", [1.0])
    with pytest.raises(TypeError, match="needs numbers, got booleans"):
        ops.einsum("i", np.ones(2) > 0)
    strict = pytest.importorskip("array_api_strict")
    for x in (np.ones(2), Tensor(np.ones(2))):
        with pytest.raises(ValueError, match="einsum needs arrays on one backend .*got .*numpy"):
            ops.einsum("i,i", x, strict.ones(2))
