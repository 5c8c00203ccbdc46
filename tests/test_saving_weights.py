"""Weights come back as they were saved, and a file that is not whole is refused."""

import json
import os

import numpy as np
import pytest

from lamina.saving import load_weights, save_weights

SUFFIXES = [".safetensors", ".npz"]
DTYPES = "bool uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 float32 float64".split()

both = pytest.mark.parametrize("suffix", SUFFIXES)


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype.newbyteorder("="), name
        assert found[name].shape == array.shape, name
        np.testing.assert_array_equal(found[name], array, err_msg=name)
        assert found[name].flags.writeable and found[name].flags.c_contiguous


def arrays():
    whole = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    return {
        "dense/kernel": whole,
        "transposed": whole.T,
        "strided": whole[:, ::2, ::-1],
        "broadcast": np.broadcast_to(np.float32(3), (2, 2)),
        "fortran": np.asfortranarray(whole),
        "odd number of bytes": np.array([True, False, True]),
        "0-d": np.array(2.5),
        "scalar": np.float16(1.5),
        "empty": np.zeros((0, 3), np.float32),
        "emptier": np.zeros((3, 0, 2), np.int64),
        "big-endian": np.array([1, 2, 70000], ">i4"),
        "file": np.array([np.nan, np.inf, -0.0, 5e-324]),
        "größe/../x": np.array([7], np.uint8),
    }


@both
def test_round_trip(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    save_weights(path, arrays())
    assert_same(load_weights(path), {k: np.asarray(v) for k, v in arrays().items()})
    assert os.listdir(tmp_path) == [path.name]


@both
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype(tmp_path, suffix, dtype):
    values = {"w": np.array([[0, 1], [2, 3]]).astype(dtype)}
    save_weights(tmp_path / f"w{suffix}", values)
    assert_same(load_weights(tmp_path / f"w{suffix}"), values)


@both
def test_no_arrays(tmp_path, suffix):
    save_weights(tmp_path / f"w{suffix}", {})
    assert load_weights(tmp_path / f"w{suffix}") == {}


@both
def test_same_arrays_same_bytes(tmp_path, suffix):
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    save_weights(first, arrays())
    save_weights(second, arrays())
    assert first.read_bytes() == second.read_bytes()


def test_the_bytes_of_safetensors(tmp_path):
    save_weights(
        tmp_path / "w.safetensors", {"b": np.array([1, 2], np.uint8), "w": np.float32([[1], [2]])}
    )
    raw = (tmp_path / "w.safetensors").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    assert length % 8 == 0
    assert json.loads(raw[8 : 8 + length]) == {
        "b": {"dtype": "U8", "shape": [2], "data_offsets": [8, 10]},
        "w": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]},
    }
    assert raw[8 + length :] == bytes.fromhex("0000803f 00000040 0102")


def test_numpy_reads_npz_and_npz_of_numpy_is_read(tmp_path):
    save_weights(tmp_path / "ours.npz", arrays())
    with np.load(tmp_path / "ours.npz") as theirs:
        assert_same(dict(theirs), {k: np.asarray(v) for k, v in arrays().items()})
    plain = {"w": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "b": np.arange(3)}
    for name, save in (("a.npz", np.savez), ("b.npz", np.savez_compressed)):
        save(tmp_path / name, **plain)
        assert_same(load_weights(tmp_path / name), plain)


def test_the_safetensors_package_agrees(tmp_path):
    package = pytest.importorskip("safetensors.numpy")
    expected = {k: np.array(v, v.dtype.newbyteorder("=")) for k, v in arrays().items()}
    save_weights(tmp_path / "ours.safetensors", arrays())
    theirs = package.load_file(tmp_path / "ours.safetensors")
    assert sorted(theirs) == sorted(expected)
    for name, array in expected.items():
        assert theirs[name].dtype == array.dtype and theirs[name].shape == array.shape
        np.testing.assert_array_equal(theirs[name], array)
    contiguous = {k: np.array(v, order="C") for k, v in expected.items()}
    package.save_file(contiguous, tmp_path / "theirs.safetensors", metadata={"format": "np"})
    ours = load_weights(tmp_path / "theirs.safetensors")
    assert_same({name: ours[name] for name in expected}, expected)


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5", ".keras", ""])
def test_other_suffixes_name_the_two_formats(tmp_path, suffix):
    for call in (lambda p: save_weights(p, {}), load_weights):
        with pytest.raises(ValueError, match=r"\.safetensors or \.npz.*model\.safetensors'$"):
            call(tmp_path / f"model{suffix.replace('.keras', '')}")
    assert os.listdir(tmp_path) == []


@both
@pytest.mark.parametrize(
    ("value", "error", "match"),
    [
        ([1.0, 2.0], TypeError, "NumPy arrays, got list for 'w'"),
        (np.array([1j]), TypeError, "got dtype complex128 for 'w'"),
        (np.array(["a"]), TypeError, "got dtype str"),
        (np.array([None]), TypeError, "got dtype object"),
        (np.zeros(2, [("a", "f4")]), TypeError, "got dtype void"),
    ],
)
def test_what_cannot_be_saved(tmp_path, suffix, value, error, match):
    path = tmp_path / f"w{suffix}"
    save_weights(path, {"w": np.arange(3)})
    before = path.read_bytes()
    with pytest.raises(error, match=match):
        save_weights(path, {"v": np.arange(2), "w": value})
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


@both
def test_bfloat16_is_refused_by_name(tmp_path, suffix):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    with pytest.raises(TypeError, match="got dtype bfloat16 for 'w'"):
        save_weights(tmp_path / f"w{suffix}", {"w": np.zeros(2, ml_dtypes.bfloat16)})


@both
@pytest.mark.parametrize("name", ["", 3, None, "a\0b"])
def test_names_are_non_empty_strings(tmp_path, suffix, name):
    with pytest.raises(ValueError, match="saved under names, got"):
        save_weights(tmp_path / f"w{suffix}", {name: np.zeros(2)})


def test_the_name_that_safetensors_keeps(tmp_path):
    with pytest.raises(ValueError, match="keeps the name '__metadata__'"):
        save_weights(tmp_path / "w.safetensors", {"__metadata__": np.zeros(2)})
    assert os.listdir(tmp_path) == []


@both
def test_overwrite(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    save_weights(path, {"w": np.arange(3)}, overwrite=False)
    with pytest.raises(FileExistsError, match="pass overwrite=True"):
        save_weights(path, {"w": np.arange(4)}, overwrite=False)
    assert load_weights(path)["w"].shape == (3,)
    save_weights(path, {"w": np.arange(4)})
    assert load_weights(path)["w"].shape == (4,)


@both
def test_an_interrupted_save_leaves_the_old_file(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"w{suffix}"
    save_weights(path, {"w": np.arange(3)})

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_weights(path, {"w": np.arange(400)})
    assert os.listdir(tmp_path) == [path.name]
    assert load_weights(path)["w"].shape == (3,)


@both
def test_folders(tmp_path, suffix, monkeypatch):
    with pytest.raises(FileNotFoundError, match="make the folder first"):
        save_weights(tmp_path / "missing" / f"w{suffix}", {})
    with pytest.raises(FileNotFoundError):
        load_weights(tmp_path / f"w{suffix}")
    (tmp_path / f"folder{suffix}").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        save_weights(tmp_path / f"folder{suffix}", {})
    monkeypatch.chdir(tmp_path)
    save_weights(f"w{suffix}", {"w": np.arange(3)})
    assert load_weights(f"w{suffix}")["w"].shape == (3,)


@both
def test_permissions_are_those_of_a_new_file(tmp_path, suffix):
    (tmp_path / "new").touch()
    save_weights(tmp_path / f"w{suffix}", {})
    assert (tmp_path / f"w{suffix}").stat().st_mode == (tmp_path / "new").stat().st_mode


@both
def test_a_file_cut_short_anywhere_is_refused(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    save_weights(path, {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float32(1)})
    raw = path.read_bytes()
    for length in range(len(raw)):
        path.write_bytes(raw[:length])
        with pytest.raises(ValueError, match=r"not a sound .* file of weights.*nothing was loaded"):
            load_weights(path)
    path.write_bytes(raw + b"\0" * 70_000)
    with pytest.raises(ValueError, match="not a sound"):
        load_weights(path)


def test_any_wrong_byte_of_npz_is_harmless_or_refused(tmp_path):
    path = tmp_path / "w.npz"
    values = {"w": np.arange(6, dtype=np.float32).reshape(2, 3)}
    save_weights(path, values)
    raw = path.read_bytes()
    for position in range(len(raw)):
        for change in (0x01, 0x40, 0xFF):
            damaged = bytearray(raw)
            damaged[position] ^= change
            path.write_bytes(damaged)
            try:
                found = load_weights(path)
            except ValueError:
                continue
            if found:  # an archive whose directory says it is empty is a sound one
                assert_same(found, values)


def test_any_wrong_byte_of_a_safetensors_header_raises_nothing_but_valueerror(tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, {"w": np.arange(6, dtype=np.float32).reshape(2, 3)})
    raw = path.read_bytes()
    for position in range(len(raw) - 24):
        for change in (0x01, 0x40, 0xFF):
            damaged = bytearray(raw)
            damaged[position] ^= change
            path.write_bytes(damaged)
            try:
                found = load_weights(path)
            except ValueError:
                continue
            assert all(array.nbytes <= 24 for array in found.values())


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def write_safetensors(path, header, data=b"\0" * 8, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = len(text) if length is None else length
    path.write_bytes(length.to_bytes(8, "little") + text + data)


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ({"a": entry(), "b": entry()}, "'b' begins at byte 0, where 8 was expected"),
        ({"a": entry(shape=[1], offsets=(4, 8))}, "'a' begins at byte 4, where 0"),
        ({"a": entry(shape=[1], offsets=(0, 4))}, "where its header announces"),
        ({"a": entry(shape=[3])}, "'a' has 8 bytes, where F32 of shape"),
        ({"a": entry(shape=[4], offsets=(0, 16))}, "where its header announces"),
        ({"a": entry(shape=[-2], offsets=(8, 0))}, "'a' has the shape"),
        ({"a": entry(shape=[2.0])}, "'a' has the shape"),
        ({"a": entry(shape=[True, 2])}, "'a' has the shape"),
        ({"a": entry(shape=[2**62, 2**62, 4], offsets=(0, 8))}, "'a' has 8 bytes"),
        ({"a": entry(offsets=(0, 8, 8))}, "the offsets"),
        ({"a": entry("BF16", [4])}, "dtype 'BF16'"),
        ({"a": entry(["F32"])}, "has the dtype"),
        ({"a": {"dtype": "F32"}}, "lacks a dtype, a shape or offsets"),
        ({"a": 3}, "lacks a dtype"),
        ([], "not a JSON object"),
        (b'{"a":{},"a":{}}', "a name twice"),
        (b'{"a"', "not a sound"),
        (b"\xff\xfe", "not a sound"),
        (b"[" * 100_000, "not a sound"),
    ],
)
def test_unsound_safetensors(tmp_path, header, match):
    path = tmp_path / "w.safetensors"
    write_safetensors(path, header)
    with pytest.raises(ValueError, match=match):
        load_weights(path)


@pytest.mark.parametrize("length", [2**64 - 1, 2**40, 200])
def test_a_header_longer_than_the_file(tmp_path, length):
    write_safetensors(tmp_path / "w.safetensors", {}, length=length)
    with pytest.raises(ValueError, match=f"announces a header of {length}"):
        load_weights(tmp_path / "w.safetensors")


def test_metadata_of_other_writers_is_passed_over(tmp_path):
    path = tmp_path / "w.safetensors"
    write_safetensors(path, {"__metadata__": {"format": "pt"}, "a": entry()})
    assert_same(load_weights(path), {"a": np.zeros(2, np.float32)})


def test_npz_never_runs_what_it_reads(tmp_path):
    path = tmp_path / "w.npz"
    np.savez(path, w=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="'w' has the dtype object"):
        load_weights(path)


def test_npz_of_text(tmp_path):
    import zipfile

    path = tmp_path / "w.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w.npy", "hello, this is not an array")
    with pytest.raises(ValueError, match="not a sound"):
        load_weights(path)
