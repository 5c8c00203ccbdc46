"""Adding into places named by numbers: the sums are right, and the same bits every time."""

import ctypes
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest

import lamina
from lamina import backend as backends
from lamina import config
from lamina.backend import scatter

STRICT = backends.get("array_api_strict:device1")
RNG = np.random.default_rng(0)


def by_numpy(values, indices, length):
    """The sums one after the other, as NumPy adds."""
    out = np.zeros((length, *values.shape[1:]), values.dtype)
    for value, index in zip(values, indices, strict=True):
        out[index] += value
    return out


CASES = {
    "none": (0, 3),
    "one": (1, 1),
    "all to one place": (9, 1),
    "few to many places": (5, 50),
    "many to few places": (70, 3),
    "some": (33, 17),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_sums_are_those_of_numpy(backend, case, dtype):
    count, length = CASES[case]
    values = RNG.integers(-50, 50, (count, 4)).astype(dtype)  # whole numbers add up exactly
    indices = RNG.integers(-length, length, count)
    got = scatter.add_at(backend.asarray(values), backend.asarray(indices, "int64"), (length, 4), 0)
    expected = by_numpy(values, indices, length)
    got = backend.to_numpy(got)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


def test_rounding_is_all_that_differs_from_numpys_order(backend):
    values = RNG.normal(size=(500, 3)).astype("float32")
    indices = RNG.integers(0, 7, 500)
    got = scatter.add_at(backend.asarray(values), backend.asarray(indices, "int64"), (7, 3), 0)
    expected = by_numpy(values.astype("float64"), indices, 7)
    np.testing.assert_allclose(backend.to_numpy(got), expected, rtol=1e-5, atol=1e-5)


def test_a_sum_depends_on_its_own_values_alone_and_on_their_order():
    """To the last bit: whatever else is added elsewhere, before, after and between."""
    own = (RNG.normal(size=(37, 1)) * 10.0 ** RNG.integers(-3, 3, (37, 1))).astype("float32")

    def of_own(count, place):
        """The sum at a place when ``count`` other values come between."""
        values = RNG.normal(size=(37 + count, 1)).astype("float32")
        indices = RNG.integers(0, 9, 37 + count)
        indices[indices == place] = (place + 1) % 9
        at = np.sort(RNG.permutation(37 + count)[:37])
        values[at], indices[at] = own, place
        got = scatter.add_at(STRICT.asarray(values), STRICT.asarray(indices), (9, 1), 0)
        return STRICT.to_numpy(got)[place, 0]

    sums = {of_own(count, place).tobytes() for count in (0, 1, 40, 400) for place in (0, 4, 8)}
    assert len(sums) == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_place(backend, bad):
    values = np.ones((6, 1), "float32")
    values[2] = bad
    got = scatter.add_at(
        backend.asarray(values), backend.asarray([0, 1, 2, 2, 3, 0], "int64"), (5, 1), 0
    )
    np.testing.assert_array_equal(backend.to_numpy(got)[:, 0], [2, 1, bad, 1, 0])


def test_derivatives_of_reading_add_up_in_any_axis(backend):
    x = RNG.integers(-9, 9, (3, 5, 2)).astype("float64")
    numbers = np.asarray([4, 0, 4, -1, 4])
    w = RNG.integers(-9, 9, (3, 5, 2)).astype("float64")

    def read(x):
        taken = lamina.xp.take(x, backend.asarray(numbers, "int64"), axis=1)
        return lamina.xp.sum(taken * backend.asarray(w))

    got = backend.to_numpy(lamina.grad(read)(backend.asarray(x)))
    expected = np.moveaxis(by_numpy(np.moveaxis(w, 1, 0), numbers, 5), 0, 1)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_take_along_axis_has_its_transpose(backend, axis):
    x = RNG.integers(-9, 9, (3, 4, 2)).astype("float32")
    shape = list(x.shape)
    shape[axis] = 6
    numbers = RNG.integers(0, x.shape[axis], shape)
    w = RNG.integers(-9, 9, shape).astype("float32")

    def read(x):
        taken = lamina.xp.take_along_axis(x, backend.asarray(numbers, "int64"), axis=axis)
        return lamina.xp.sum(taken * backend.asarray(w))

    got = backend.to_numpy(lamina.grad(read)(backend.asarray(x)))
    expected = np.zeros_like(x)
    for place in np.ndindex(*shape):
        at = list(place)
        at[axis] = numbers[place]
        expected[tuple(at)] += w[place]
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint64"])
@pytest.mark.parametrize("axes", [1, 2])
def test_indices_may_be_too_narrow_for_the_axis(dtype, axes):
    numbers = STRICT.asarray(np.asarray([[1], [5], [100], [1]], dtype))
    read = lamina.xp.take_along_axis
    if axes == 1:
        numbers, read = numbers[:, 0], lamina.xp.take
    found = lamina.grad(lambda x: lamina.xp.sum(read(x, numbers, axis=0)))(
        STRICT.asarray(np.zeros((300, 1)))
    )
    expected = np.zeros((300, 1))
    np.add.at(expected, np.ravel(STRICT.to_numpy(numbers)), 1)
    np.testing.assert_array_equal(STRICT.to_numpy(found), expected)


def test_nothing_waits_and_no_shape_depends_on_values(backend, no_sync):
    values, indices = backend.asarray(np.ones((9, 2))), backend.asarray(np.arange(9) % 4, "int64")
    with no_sync():
        scatter.add_at(values, indices, (5, 2), 0)


# ---- CuPy's kernel, on an imitation -------------------------------------------------------------


def as_python(rows, order, starts, columns, size):
    """What the kernel's text says, for every element of the result."""
    rows, order, starts = (STRICT.to_numpy(a) for a in (rows, order, starts))
    flat = rows.reshape(-1)
    total = np.zeros(size, rows.dtype)
    for i in range(size):
        row = i // columns
        for k in range(starts[row], starts[row + 1]):
            total[i] += flat[order[k] * columns + i - row * columns]
    return STRICT.asarray(total)


def as_cpp(folder):
    """The text itself, compiled for the host."""
    source = (
        'typedef float T; extern "C" void run(long long size, const T* rows, const long long* '
        "order, const long long* starts, long long columns, T* out) {\n"
        "for (long long i = 0; i < size; ++i) { T& total = out[i];" + scatter.SUM + "}}"
    )
    (folder / "sum.cpp").write_text(source)
    command = ["g++", "-O2", "-ffp-contract=off", "-shared", "-fPIC", "-o"]
    subprocess.run([*command, folder / "s.so", folder / "sum.cpp"], check=True, timeout=60)
    run = ctypes.CDLL(str(folder / "s.so")).run

    def kernel(rows, order, starts, columns, size):
        arrays = [np.ascontiguousarray(STRICT.to_numpy(a)) for a in (rows, order, starts)]
        out = np.empty(size, "float32")
        rows, order, starts, total = (ctypes.c_void_p(a.ctypes.data) for a in (*arrays, out))
        wide = ctypes.c_longlong
        run(wide(size), rows, order, starts, wide(columns), total)
        return STRICT.asarray(out)

    return kernel


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("language", ["python", "c++"])
def test_cupys_kernel_adds_in_numpys_order_to_the_last_bit(case, language, monkeypatch, tmp_path):
    if language == "c++" and shutil.which("g++") is None:
        pytest.skip("there is no g++ to compile the text with")
    kernel = as_cpp(tmp_path) if language == "c++" else as_python
    monkeypatch.setitem(scatter._SUMS, "array_api_strict", scatter._by_kernel)
    monkeypatch.setattr(scatter, "_kernel", lambda: kernel)
    count, length = CASES[case]
    scale = 10.0 ** RNG.integers(-3, 3, (count, 4))
    values = (RNG.normal(size=(count, 4)) * scale).astype("float32")
    indices = RNG.integers(-length, length, count)
    got = scatter.add_at(STRICT.asarray(values), STRICT.asarray(indices), (length, 4), 0)
    np.testing.assert_array_equal(STRICT.to_numpy(got), by_numpy(values, indices, length))


def test_the_kernel_is_made_for_arrays_of_any_layout(monkeypatch):
    made = []
    module = types.ModuleType("cupy")
    module.ElementwiseKernel = lambda *given: made.append(given) or "kernel"
    monkeypatch.setitem(sys.modules, "cupy", module)
    scatter._kernel.cache_clear()
    try:
        assert scatter._kernel() == "kernel"
    finally:
        scatter._kernel.cache_clear()
    ((inputs, outputs, text, name),) = made
    assert inputs == "raw T rows, raw int64 order, raw int64 starts, int64 columns"
    assert (outputs, text, name) == ("T total", scatter.SUM, "lamina_scatter_add")


def test_atomic_additions_are_for_those_who_ask(monkeypatch):
    class AddAt:
        def at(self, out, indices, values):
            raise AssertionError("used")

    space = types.SimpleNamespace(add=AddAt())
    monkeypatch.setattr(scatter, "name_of", lambda xp: "cupy")
    assert config.deterministic()
    assert not scatter._adds_at(space)
    config.set_deterministic(False)
    try:
        assert scatter._adds_at(space)
    finally:
        config.set_deterministic(True)
    monkeypatch.setattr(scatter, "name_of", lambda xp: "numpy")
    assert scatter._adds_at(space)  # its order is fixed anyway


@pytest.mark.gpu
def test_on_the_device_the_sums_are_numpys_to_the_last_bit():
    home = backends.get("cupy")
    values = RNG.normal(size=(5000, 8)).astype("float32")
    indices = RNG.integers(-11, 11, 5000)
    runs = [
        home.to_numpy(scatter.add_at(home.asarray(values), home.asarray(indices), (11, 8), 0))
        for _ in range(3)
    ]
    for got in runs:
        np.testing.assert_array_equal(got, by_numpy(values, indices, 11))
