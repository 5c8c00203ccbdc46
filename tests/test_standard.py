"""lamina.xp as a namespace: the standard's names and signatures, arrays made, questions answered,
tensors written to and handed to other libraries. Derivatives are tested in test_rules.py."""

import inspect
import math
import operator
import warnings

import numpy as np
import pytest

import lamina
from lamina import Parameter, Tensor, grad, no_grad, xp
from lamina.testing import assert_close, check_grads


@pytest.fixture
def chosen(backend):
    """The backend under test, also as that of lamina.xp."""
    with lamina.use(backend.backend):
        yield backend


def floats(*values):
    return np.asarray(values, dtype=np.float64)


# ---- names and signatures ---------------------------------------------------------------------


def signatures():
    """The name of every function of the standard, as in "linalg.qr", with array_api_strict's."""
    strict = pytest.importorskip("array_api_strict")
    names = [name for name in strict.__all__ if "flags" not in name.lower()]
    names += [f"linalg.{name}" for name in (*strict.linalg.__all__, "eig", "eigvals")]
    names += [f"fft.{name}" for name in strict.fft.__all__]
    for name in names:
        function = operator.attrgetter(name)(strict)
        if inspect.isfunction(function):
            yield name, function


def shape_of(function):
    """A signature as its parameters: name, kind and default."""
    found = []
    for p in inspect.signature(function).parameters.values():
        # array_api_strict tells "not given" from None in a few places, the standard does not
        default = None if type(p.default).__name__ == "Undef" else p.default
        found.append((p.name, p.kind, default))
    return found


def test_every_signature_is_the_standards():
    seen = 0
    for name, theirs in signatures():
        ours = operator.attrgetter(name)(xp)
        assert shape_of(ours) == shape_of(theirs), name
        assert ours.__name__ == name.rpartition(".")[2]
        assert ours.__doc__
        seen += 1
    assert seen > 170


def test_every_signature_is_the_standards_in_a_tensors_namespace():
    space = Tensor(floats(1.0)).__array_namespace__()
    for name, theirs in signatures():
        assert shape_of(operator.attrgetter(name)(space)) == shape_of(theirs), name


def test_constants():
    assert (xp.e, xp.pi, xp.inf) == (math.e, math.pi, math.inf)
    assert math.isnan(xp.nan) and xp.newaxis is None
    assert xp.__array_api_version__ == "2025.12"


def test_names_are_looked_up_once():
    for name in ("add", "zeros", "isdtype", "equal", "linalg", "meshgrid"):
        assert getattr(xp, name) is vars(xp)[name]


def test_what_a_backend_lacks_is_told(monkeypatch):
    with pytest.raises(AttributeError, match="the backend numpy has no 'bfloat16'"):
        _ = xp.bfloat16
    with pytest.raises(AttributeError, match=r"no 'svd': did you mean 'linalg\.svd'"):
        _ = xp.svd


# ---- arrays made ------------------------------------------------------------------------------

MAKERS = {
    "arange": lambda xp, **o: xp.arange(1, 7, 2, **o),
    "asarray": lambda xp, **o: xp.asarray([[1, 2], [3, 4]], **o),
    "empty": lambda xp, **o: xp.empty((2, 3), **o) * 0,
    "eye": lambda xp, **o: xp.eye(3, 4, k=1, **o),
    "full": lambda xp, **o: xp.full((2,), 7, **o),
    "linspace": lambda xp, **o: xp.linspace(0, 1, 5, endpoint=False, **o),
    "ones": lambda xp, **o: xp.ones(3, **o),
    "zeros": lambda xp, **o: xp.zeros((), **o),
    "fft.fftfreq": lambda xp, **o: xp.fft.fftfreq(5, d=0.5, **o),
    "fft.rfftfreq": lambda xp, **o: xp.fft.rfftfreq(5, **o),
}


@pytest.mark.parametrize("name", MAKERS)
def test_arrays_are_made_on_the_backend_in_use(chosen, name):
    made = MAKERS[name](xp, dtype=xp.float32)
    assert chosen.backend.owns(made) and made.dtype == chosen.xp.float32
    expected = np.asarray(MAKERS[name](np) if not name.startswith("fft") else made_by_numpy(name))
    assert_close(chosen.to_numpy(made), expected.astype("float32"))


def made_by_numpy(name):
    return np.fft.fftfreq(5, 0.5) if name == "fft.fftfreq" else np.fft.rfftfreq(5)


@pytest.mark.parametrize("name", MAKERS)
def test_the_namespace_of_a_tensor_makes_tensors(name):
    space = Tensor(floats(1.0)).__array_namespace__()
    made = MAKERS[name](space)
    assert isinstance(made, Tensor) and not made.requires_grad


def test_a_tensor_as_fill_value_has_its_derivative():
    check_grads(lambda x: xp.full((2, 3), x) ** 2, (np.asarray(3.0),))
    assert xp.full(2, Tensor(np.asarray(3.0)), dtype=xp.float32).dtype == np.float32
    with pytest.raises(ValueError, match=r"one number, got shape \(2,\)"):
        xp.full(2, Tensor(floats(1, 2)))


def test_constant_tensors_count_as_numbers():
    assert_close(xp.arange(Tensor(np.asarray(3))), np.arange(3))
    assert_close(xp.linspace(0.0, Tensor(np.asarray(1.0)), 3), np.linspace(0, 1, 3))


@pytest.mark.parametrize("f", [xp.arange, lambda x: xp.linspace(0.0, x, 3)])
def test_a_range_has_no_derivative_and_says_so(f):
    with pytest.raises(NotImplementedError, match="no derivative with respect to its numbers"):
        f(Tensor(np.asarray(2.0), requires_grad=True))


def test_asarray_of_a_tensor(chosen):
    x = Tensor(chosen.asarray([1.0, 2.0], "float32"), requires_grad=True)
    assert xp.asarray(x) is x
    copied = xp.asarray(x, copy=True)
    assert copied is not x and copied.requires_grad
    with pytest.raises(ValueError, match="copy=False"):
        xp.asarray(x, dtype=xp.float64, copy=False)


def test_likes_and_sets_of_tensors(chosen):
    x = Tensor(chosen.asarray([[3, 1], [1, 2]], "int32"))
    for f in (xp.zeros_like, xp.ones_like, xp.empty_like, lambda a: xp.full_like(a, 2)):
        assert isinstance(f(x), Tensor) and f(x).shape == (2, 2)
        assert chosen.backend.owns(f(x.data))
    order = xp.argsort(xp.reshape(x, (-1,)), descending=True)
    assert [int(i) for i in order] == [0, 3, 1, 2]
    assert int(xp.argmax(x)) == 0 and int(xp.count_nonzero(x == 1)) == 2
    if chosen.name != "torch":
        assert [int(v) for v in sorted(map(int, xp.unique_values(x)))] == [1, 2, 3]
    rows = xp.nonzero(x == 1)
    assert [[int(i) for i in row] for row in rows] == [[0, 1], [1, 0]]
    places = xp.searchsorted(chosen.asarray([1.0, 2.0]), Tensor(chosen.asarray([1.5, 3.0])))
    assert [int(i) for i in places] == [1, 2]


def test_broadcast_shapes():
    assert xp.broadcast_shapes((2, 1), (3,), ()) == (2, 3)
    assert xp.broadcast_shapes() == () and xp.broadcast_shapes((0, 1), (1, 4)) == (0, 4)
    with pytest.raises(ValueError, match=r"got \(2,\) and \(3,\)"):
        xp.broadcast_shapes((2,), (3,))


# ---- questions --------------------------------------------------------------------------------


def test_questions_on_dtypes(chosen):
    x = Tensor(chosen.asarray([1.0], "float32"), requires_grad=True)
    kind = chosen.xp.float32
    for asked in (kind, x, x.data):
        found = xp.finfo(asked)
        assert type(found.eps) is type(found.max) is type(found.smallest_normal) is float
        assert (found.bits, found.dtype, found.eps) == (32, kind, 2.0**-23)
    assert xp.iinfo(chosen.xp.int8).max == xp.iinfo(chosen.asarray([1], "int8")).max == 127
    assert xp.isdtype(x.dtype, "real floating") and not xp.isdtype(x.dtype, ("bool", "integral"))
    assert xp.can_cast(x, chosen.xp.float64) and xp.can_cast(kind, chosen.xp.float64)
    assert xp.result_type(x, chosen.xp.float64) == chosen.xp.float64
    assert xp.result_type(x, 1.0) == kind


def test_questions_find_the_dtypes_own_library():
    strict = pytest.importorskip("array_api_strict")
    assert xp.isdtype(strict.float32, "real floating")
    assert xp.finfo(strict.float64).bits == 64
    assert xp.result_type(strict.float32, strict.float64) == strict.float64


def test_the_inspection_of_what_there_is(chosen):
    info = xp.__array_namespace_info__()
    assert {"boolean indexing", "data-dependent shapes", "max dimensions"} <= {*info.capabilities()}
    assert isinstance(info.devices(), tuple)
    if chosen.backend.device is not None:
        assert info.default_device() == chosen.backend.device
    assert info.default_device() in info.devices()
    made = xp.zeros(1)
    assert info.default_dtypes()["real floating"] == made.dtype
    assert set(info.dtypes(kind="bool")) == {"bool"}


def test_versions_of_the_standard():
    x = Tensor(floats(1.0))
    assert x.__array_namespace__(api_version="2024.12") is x.__array_namespace__()
    with pytest.raises(ValueError, match=r"2025\.12 .* got api_version='2020\.01'"):
        x.__array_namespace__(api_version="2020.01")


# ---- writing ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ((0, 1), 5.0),
        ((slice(None), 1), 5.0),
        ((..., slice(None, None, -1)), [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
        ((1, ...), [7.0, 8.0, 9.0]),
        ("mask", 0.0),
    ],
)
def test_writing_to_a_constant(backend, key, value):
    if backend.name == "torch" and key == (..., slice(None, None, -1)):
        pytest.skip("torch has no steps backwards")
    host = np.arange(6.0).reshape(2, 3)
    given = backend.asarray(host.copy(), "float64")
    x = Tensor(given)
    same, view = x, x[0, ...]
    value = value if isinstance(value, float) else Tensor(backend.asarray(value, "float64"))
    if key == "mask":
        host[host > 2] = value
        x[x > 2] = value
    else:
        host[key] = value if isinstance(value, float) else value.numpy()
        x[key] = value
    assert_close(same.numpy(), host)
    assert_close(backend.to_numpy(given), np.arange(6.0).reshape(2, 3))  # nobody else's array
    assert_close(view.numpy(), np.arange(3.0))
    assert not x.requires_grad and backend.backend.owns(x.data)


def test_a_write_leaves_recorded_gradients_right():
    constant, w = Tensor(floats(2, 3)), Tensor(floats(1, 1), requires_grad=True)
    y = xp.sum(constant * w)
    constant[0] = 100.0
    y.backward()
    assert_close(w.grad, floats(2, 3))
    detached = w.detach()
    z = xp.sum(w * w)
    detached[...] = 50.0
    z.backward()
    assert_close(w.data, floats(1, 1))
    assert_close(w.grad, floats(4, 5))


def test_writes_are_recorded():
    def f(x, v):
        y = x * 2.0
        before = y * y
        y[1, :] = v
        y[y > 4.0] = 1.5
        return before + y * y

    check_grads(f, (floats([1.25, 3.0], [2.0, -1.0]), floats(0.75, -0.5)))

    def g(v):
        out = xp.asarray(np.zeros(3))
        out = Tensor(out)
        out[:2] = v
        out[2] = xp.sum(v)
        return out**2

    check_grads(g, (floats(0.75, -0.5),))


def test_writing_where_a_gradient_will_be_asked_for_is_refused():
    leaf = Tensor(floats(1, 2), requires_grad=True)
    with pytest.raises(TypeError, match=r"never written to.*asarray\(x, copy=True\)"):
        leaf[0] = 1.0

    def f(x):
        x[0] = 3.0
        return xp.sum(x * x)

    for order in (grad(f), grad(lambda x: xp.sum(grad(f)(x)))):
        with pytest.raises(TypeError, match="never written to"):
            order(floats(1, 2))
    inner = leaf * 2
    with no_grad(), pytest.raises(TypeError, match="never written to"):
        inner[0] = 1.0
    with pytest.raises(TypeError, match="may name a place twice"):
        inner[np.asarray([0, 0])] = leaf
    assert_close(inner.data, floats(2, 4))


def test_writing_what_the_dtype_cannot_hold_is_refused(backend):
    x = Tensor(backend.asarray([1, 2], "int32"))
    with pytest.raises(TypeError, match="int32 cannot hold a value that is real floating"):
        x[0] = 0.5
    with pytest.raises(TypeError, match="cannot hold"):
        x[...] = Tensor(backend.asarray([1.5, 2.5], "float32"))
    with pytest.raises(TypeError, match="bool cannot hold a value that is integral"):
        (x == 1)[0] = 2
    y = Tensor(backend.asarray([1.0, 2.0], "float32"))
    with pytest.raises(TypeError, match="float32 cannot hold a value that is complex"):
        y[0] = 1j
    y[0] = 3
    assert_close(y.numpy(), np.asarray([3, 2], "float32"))
    assert [int(v) for v in x] == [1, 2]


def test_writing_to_a_parameter():
    state = Parameter(np.zeros(2, "float32"), trainable=False)
    w = Tensor(np.ones(2, "float32"), requires_grad=True)
    state[0] = 1.0
    assert_close(state.data, np.asarray([1, 0], "float32"))
    with pytest.raises(TypeError, match=r"value\.detach\(\)"):
        state[...] = w
    with pytest.raises(TypeError, match="never written to"):
        Parameter(np.zeros(2, "float32"))[0] = 1.0


@pytest.mark.parametrize("tracked", [False, True])
def test_augmented_assignment(tracked):
    x = Tensor(floats(1, 2), requires_grad=tracked)
    for f, expected in (
        (operator.iadd, [4, 5]), (operator.isub, [-2, -1]), (operator.imul, [3, 6]),
        (operator.itruediv, [1 / 3, 2 / 3]), (operator.ipow, [1, 8]), (operator.imod, [1, 2]),
        (operator.ifloordiv, [0, 0]),
    ):  # fmt: skip
        out = f(x, 3.0)
        assert out is not x
        assert_close(out.data, floats(*expected))
    assert_close(x.data, floats(1, 2))
    bits = Tensor(np.asarray([1, 2]))
    for f, expected in (
        (operator.iand, [1, 0]), (operator.ior, [1, 3]), (operator.ixor, [0, 3]),
        (operator.ilshift, [2, 4]), (operator.irshift, [0, 1]),
    ):  # fmt: skip
        assert_close(f(bits, 1).data, np.asarray(expected))
    with pytest.raises(TypeError, match=r"keeps dtype and shape, float64 \(2,\)"):
        x += np.ones((3, 2))
    with pytest.raises(TypeError, match="the result is float64"):
        bits *= floats(1, 2)


# ---- indexing ---------------------------------------------------------------------------------


def test_keys_that_are_tensors(backend):
    x = Tensor(backend.asarray(np.arange(6.0).reshape(2, 3), "float64"), requires_grad=True)
    rows, columns = (Tensor(backend.asarray(i, "int64")) for i in ([0, 1, 1], [2, 0, 0]))
    picked = x[rows, columns]
    assert_close(picked.numpy(), floats(2, 3, 3))
    xp.sum(picked * picked).backward()
    assert_close(backend.to_numpy(x.grad), floats([0, 0, 4], [12, 0, 0]))
    assert_close(x[x.detach() > 3].numpy(), floats(4, 5))
    assert x[None, ..., 0].shape == (1, 2)


# ---- other libraries --------------------------------------------------------------------------


def test_numpy_functions_of_constants_are_those_of_their_values():
    x = Tensor(floats(1, 4))
    assert np.sum(x) == 5 and type(np.sqrt(x)) is np.ndarray
    assert_close(np.concatenate([x, x]), floats(1, 4, 1, 4))
    assert_close(np.where(np.asarray([True, False]), x, 0.0), floats(1, 0))
    assert isinstance(np.float64(2) * x, Tensor)


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (np.exp, r"numpy\.exp would lose the gradient.*use lamina\.xp\.exp"),
        (np.sum, r"numpy\.sum .*lamina\.xp\.sum"),
        (np.add.reduce, r"numpy\.add\.reduce .*lamina\.xp\.add"),
        (lambda x: np.concatenate([x, x]), r"numpy\.concatenate .*lamina\.xp\.concat,"),
        (lambda x: np.stack((x, x)), r"lamina\.xp\.stack"),
        (np.transpose, r"numpy\.transpose .*lamina\.xp\.permute_dims"),
        (lambda x: np.where([True, False], x, 0.0), r"numpy\.where"),
        (np.histogram, r"numpy\.histogram .*use the functions of lamina\.xp"),
        (lambda x: np.add(x, 1.0, out=np.zeros(2)), r"numpy\.add"),
    ],
)
def test_numpy_functions_that_would_lose_a_gradient_are_refused(f, words):
    with pytest.raises(TypeError, match=words):
        f(Tensor(floats(1, 2), requires_grad=True))


def test_numpy_functions_of_a_tensor_on_a_device_are_refused():
    strict = lamina.backend.get("array_api_strict:device1")
    with pytest.raises(TypeError, match=r"host's memory .*array_api_strict:device1.*\.numpy\(\)"):
        np.exp(Tensor(strict.asarray([1.0])))


def test_dlpack(backend):
    if backend.name == "numpy-readonly":
        pytest.skip("NumPy hands on no read-only memory before its version 2.1")
    x = Tensor(backend.asarray([1.0, 2.0], "float32"))
    if backend.name.startswith("array_api_strict"):
        with lamina.use("array_api_strict"):
            x = Tensor(lamina.xp.asarray([1.0, 2.0], dtype=lamina.xp.float32))
            assert isinstance(x.__array_namespace__().from_dlpack(x), Tensor)
            return
    assert x.__dlpack_device__() == x.data.__dlpack_device__()
    with lamina.use(backend.backend):
        assert_close(xp.from_dlpack(x).numpy(), np.asarray([1, 2], "float32"))
        leaf = Tensor(x.data, requires_grad=True)
        assert xp.from_dlpack(leaf).requires_grad
    with pytest.raises(TypeError, match=r"\.detach\(\)"):
        leaf.__dlpack__()


def test_dlpack_to_another_library():
    torch = pytest.importorskip("torch")
    x = Tensor(np.asarray([1.0, 2.0]))
    assert torch.from_dlpack(x).tolist() == [1, 2]
    with lamina.use("torch"):
        made = xp.from_dlpack(x)
        assert isinstance(made, torch.Tensor)
        with pytest.raises(NotImplementedError, match=r"numpy does not become one of torch"):
            xp.from_dlpack(Tensor(x.data, requires_grad=True))


def test_a_gradient_comes_back_from_another_device():
    strict = lamina.backend.get("array_api_strict").xp
    here, there = strict.Device("CPU_DEVICE"), strict.Device("device1")
    x = Tensor(strict.asarray([1.0, 2.0], dtype=strict.float64), requires_grad=True)
    y = x.to_device(there)
    assert y.device == there and x.to_device(here) is x
    xp.sum(y * y).backward()
    assert x.grad.device == here
    assert_close(x.grad, strict.asarray([2.0, 4.0], dtype=strict.float64))
    second = grad(lambda a: xp.sum(grad(lambda b: xp.sum(b.to_device(there) ** 3))(a)))
    assert_close(second(x.data), strict.asarray([6.0, 12.0], dtype=strict.float64))


@pytest.mark.parametrize(
    "f",
    [
        xp.add,
        xp.equal,
        xp.matmul,
        lambda a, b: xp.concat([a, b]),
        lambda a, b: xp.where(a > 0, a, b),
        xp.broadcast_arrays,
        lambda a, b: xp.searchsorted(a, b),
        operator.mul,
    ],
)
@pytest.mark.parametrize("wrap", [lambda a: a, Tensor], ids=["arrays", "tensors"])
def test_mixed_libraries_are_named(f, wrap):
    torch = pytest.importorskip("torch")
    if f is operator.mul and wrap is not Tensor:
        pytest.skip("the operators of arrays are their libraries'")
    a, b = np.asarray([1.0, 2.0]), torch.asarray([3.0, 4.0], dtype=torch.float64)
    with pytest.raises(ValueError, match=r"numpy and torch.*get\('numpy'\)\.asarray\(x\)"):
        f(wrap(a), wrap(b))
    with pytest.raises(ValueError, match=r"torch:?\w* and numpy"):
        f(wrap(b), wrap(a))


def test_a_failed_write_changes_nothing():
    x = Tensor(floats(1, 2))
    before = x.data
    with pytest.raises(IndexError):
        x[5] = 1.0
    with pytest.raises(ValueError):
        x[...] = floats(1, 2, 3)
    assert x.data is before
    assert_close(before, floats(1, 2))


def test_numpys_numbers_go_with_every_library(backend):
    x = Tensor(backend.asarray([1.0, 2.0], "float32"))
    if backend.name.startswith("array_api_strict"):
        return  # which refuses them itself
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert xp.multiply(x, np.float32(2.0)).shape == (2,)
