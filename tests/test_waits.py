"""forbid_sync finds every way to wait for a device, allow_sync lets through what is meant."""

import sys
import threading

import array_api_strict
import numpy as np
import pytest

import _backends
import lamina
from lamina.backend import HiddenWait, allow_sync, forbid_sync

CONVERSIONS = [
    (bool, r"bool\(x\), as in `if x:`.*xp.where"),
    (lambda x: "yes" if x else "no", r"bool\(x\), as in `if x:`.*xp.where"),
    (float, r"float\(x\).*once an epoch"),
    (int, r"int\(x\).*once an epoch"),
    (complex, r"complex\(x\).*once an epoch"),
    (lambda x: ["a", "b"][x], r"x as an index.*xp.take"),
    (repr, r"repr\(x\), as in printing.*shapes and dtypes"),
    (str, r"printing.*shapes and dtypes"),
    (lambda x: f"{x}", r"printing.*shapes and dtypes"),
]


@pytest.fixture
def strict():
    return _backends.BackendUnderTest("array_api_strict:device1")


def refused(read, array, match):
    """Assert that ``read(array)`` raises in the block, and neither before nor after it."""
    before = read(array)
    with forbid_sync(), pytest.raises(HiddenWait, match=match) as raised:
        read(array)
    message = str(raised.value)
    assert "array_api_strict:device1" in message
    assert "with lamina.backend.allow_sync()" in message
    after = read(array)
    assert type(after) is type(before)
    with forbid_sync() as guard, allow_sync():
        read(array)
    assert len(guard.allowed) == 1


@pytest.mark.parametrize(("read", "match"), CONVERSIONS)
def test_values_of_arrays_on_a_device_are_not_read(strict, read, match):
    refused(read, strict.asarray(1, dtype="int32"), match)


@pytest.mark.parametrize(
    ("read", "match"),
    [
        *((read, match) for read, match in CONVERSIONS),
        (lambda x: x.item(), r"x.item\(\).*once an epoch"),
        (lambda x: x.numpy(), r"x.numpy\(\).*copy once"),
        (np.asarray, r"np.asarray\(x\).*copy once"),
        (lambda x: x.to_device(array_api_strict.Device("CPU_DEVICE")), r"x.to_device\(host\)"),
    ],
)
def test_values_of_tensors_on_a_device_are_not_read(strict, read, match):
    refused(read, lamina.Tensor(strict.asarray(1, dtype="int32")), match)


@pytest.mark.parametrize(
    ("read", "match"),
    [
        (lambda x, xp: xp.nonzero(x), r"nonzero\(x\).*shape depends on values.*known beforehand"),
        (lambda x, xp: xp.unique_values(x), r"unique_values\(x\).*shape depends on values"),
        (lambda x, xp: xp.unique_counts(x), r"unique_counts\(x\)"),
        (lambda x, xp: xp.unique_inverse(x), r"unique_inverse\(x\)"),
        (lambda x, xp: xp.unique_all(x), r"unique_all\(x\)"),
        (lambda x, xp: x[x > 1.0], r"x\[mask\].*xp.where"),
    ],
)
@pytest.mark.parametrize("kind", ["raw", "raw through lamina.xp", "tensor"])
def test_shapes_that_depend_on_values_are_refused(strict, read, match, kind):
    x = strict.asarray([1.0, 2.0, 2.0])
    xp = strict.xp if kind == "raw" else lamina.xp
    read(lamina.Tensor(x), lamina.xp)  # whatever was looked up before
    refused(lambda x: read(x, xp), lamina.Tensor(x) if kind == "tensor" else x, match)


def test_copies_by_lamina_are_refused_unless_they_are_meant(strict):
    x = strict.asarray([1.0, 2.0])
    refused(strict.backend.to_numpy, x, r"Backend.to_numpy\(x\)")
    refused(lambda x: strict.backend.scalar(x[0]), x, r"Backend.to_numpy\(x\)")
    refused(lamina.backend.get("numpy").asarray, x, r"Backend.to_numpy\(x\)")
    refused(lambda x: x.to_device(strict.xp.Device("CPU_DEVICE")), x, r"x.to_device\(host\)")


def test_one_read_is_told_once_however_many_copies_it_makes(strict):
    x = lamina.Tensor(strict.asarray(1.0))
    with forbid_sync() as guard:
        with allow_sync():
            float(x)
        with pytest.raises(HiddenWait):
            float(x)
    assert guard.allowed == ["float(x) of an array on array_api_strict:device1"]


def test_computing_on_the_device_is_free_and_so_is_the_host(backend):
    x = backend.asarray([1.0, 2.0, 3.0])
    with forbid_sync() as guard:
        y = backend.xp.sum(x[1:] * backend.xp.where(x[1:] > 2, x[1:], 0.0))
        z = lamina.grad(lambda v: lamina.xp.sum(v * v))(x)
        host = np.asarray([1.0, 2.0])
        assert host[host > 1].tolist() == [2.0]
        assert float(host[0]) == 1
        moved = backend.backend.asarray(host)
    assert guard.allowed == []
    np.testing.assert_array_equal(backend.to_numpy(z), [2.0, 4.0, 6.0])
    np.testing.assert_array_equal(backend.to_numpy(moved), host)
    assert backend.to_numpy(y) == 9


def test_what_lies_in_the_hosts_memory_may_be_read():
    for name in ("numpy", "array_api_strict:CPU_DEVICE"):
        x = lamina.backend.get(name).asarray([1.0, 2.0])
        with forbid_sync() as guard:
            assert float(x[0]) == 1
            assert lamina.Tensor(x)[1].item() == 2
            assert lamina.backend.of(x).to_numpy(x).tolist() == [1, 2]
            assert lamina.Tensor(x).data[x > 1.0].shape == (1,)
        assert guard.allowed == []


@pytest.mark.parametrize(
    "read",
    [
        float,
        bool,
        repr,
        lambda x: x.item(),
        lambda x: x.numpy(),
        np.asarray,
        lambda x: lamina.xp.stack([x, x])[lamina.xp.asarray([True, False])],
        lambda x: lamina.backend.get("numpy").to_numpy(x.data),
        lambda x: lamina.xp.nonzero(lamina.xp.reshape(x, (1,))),
        lambda x: lamina.xp.unique_values(x),
    ],
)
def test_a_rehearsal_takes_tensors_of_the_host_for_those_of_a_device(read):
    x = lamina.Tensor(np.float32(2.0).reshape(()))
    with forbid_sync(rehearse=True):
        with pytest.raises(HiddenWait, match="makes the host wait for numpy, which forbid_sync"):
            read(x)
        with allow_sync():
            read(x)
    read(x)


def test_a_rehearsed_step_of_training_reads_nothing_but_its_result():
    model = lamina.Sequential([lamina.layers.Dense(3, "relu", input_shape=(4,))])
    model.compile("adam", "mse", metrics=["mae"])
    x, y = np.ones((6, 4), "float32"), np.ones((6, 3), "float32")
    with forbid_sync(rehearse=True) as guard:
        model.train_on_batch(x, y)
    assert guard.allowed == ["Backend.to_numpy(x) of an array on numpy"] * 2


def test_the_guard_watches_every_thread_and_what_is_meant_is_meant_on_one(strict):
    x, found = strict.asarray(1.0), []

    def read():
        try:
            found.append(float(x))
        except HiddenWait as error:
            found.append(error)

    with forbid_sync(), allow_sync():
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
        assert float(x) == 1
    assert isinstance(found[0], HiddenWait)


def test_guards_nest_and_leave_no_trace(strict):
    kind = type(strict.asarray(1.0))
    with forbid_sync():
        pass  # reading by [] is looked at from the first guard on
    before = dict(vars(kind)), dict(vars(strict.xp)), dict(vars(lamina.Tensor))
    x = strict.asarray(1.0)
    with forbid_sync() as outer:
        with forbid_sync() as inner, allow_sync():
            float(x)
        with pytest.raises(HiddenWait):
            float(x)
        with pytest.raises(ZeroDivisionError), forbid_sync():
            _ = 1 / 0
        with pytest.raises(HiddenWait):
            float(x)
    assert len(outer.allowed) == len(inner.allowed) == 1
    with outer:
        with outer:
            pass
        with pytest.raises(HiddenWait):
            float(x)
    assert before == (dict(vars(kind)), dict(vars(strict.xp)), dict(vars(lamina.Tensor)))
    assert float(x) == 1


def test_the_thousandth_guard_is_as_good_as_the_first(strict):
    x = strict.asarray([1.0, 2.0])
    mask = x > 1.0

    def read(x):
        return x[mask]

    for _ in range(1200):
        assert read(x).shape == (1,)
        with forbid_sync(), pytest.raises(HiddenWait):
            read(x)


# ---- CuPy, by an imitation ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("read", "match"),
    [
        (float, r"float\(x\)"),
        (bool, r"bool\(x\)"),
        (int, r"int\(x\)"),
        (repr, r"repr\(x\)"),
        (lambda x: x.item(), r"x.item\(\)"),
        (lambda x: x.get(), r"x.get\(\)"),
        (lambda x: x.tolist(), r"x.tolist\(\)"),
        (lambda x: sys.modules["cupy"].nonzero(x), r"nonzero\(x\).*depends on values"),
        (lambda x: x.nonzero(), r"nonzero\(x\).*depends on values"),
        (lambda x: x[sys.modules["cupy"].asarray([True])], r"x\[mask\]"),
        (lambda x: lamina.backend.of(x).to_numpy(x), r"Backend.to_numpy\(x\)"),
        (lambda x: x.__dlpack__(dl_device=(1, 0)), "on the host"),
    ],
)
def test_cupys_arrays_are_watched_by_their_class(fake_cupy, read, match):
    x = lamina.backend.get("cupy:0").asarray([2.0])
    with forbid_sync():
        pass  # as above
    own = dict(vars(fake_cupy.ndarray))
    with forbid_sync():
        with pytest.raises(HiddenWait, match=match) as raised:
            read(x)
        assert "cupy:0" in str(raised.value)
        with allow_sync():
            read(x)
        assert x[0:1].shape == (1,)
        assert x.__dlpack__() == "capsule"
    assert dict(vars(fake_cupy.ndarray)) == own
    read(x)


def test_a_tensor_is_read_as_the_message_and_the_example_say():
    loss = lamina.xp.sum(lamina.Tensor([1.0, 2.0], requires_grad=True) ** 2)
    with forbid_sync(rehearse=True):
        with pytest.raises(HiddenWait, match=r"allow_sync\(\):`, of a tensor .* as x\.item\(\)"):
            float(loss)
        with allow_sync():
            assert loss.item() == 5.0
    lines = (line.strip() for line in allow_sync.__doc__.splitlines())
    code = "\n".join(line[4:] for line in lines if line[:4] in (">>> ", "... "))
    assert "print(" in code
    with forbid_sync(rehearse=True):
        exec(code, {"lamina": lamina, "loss": loss})
