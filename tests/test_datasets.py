"""The data sets: their shapes, their truth, their errors."""

import gzip
import hashlib
import importlib.resources
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from lamina import datasets
from lamina.datasets import _idx, cifar10, fashion_mnist, fetch, mnist

GENERATORS = ["blobs", "circles", "moons", "sine", "spirals", "xor"]
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def real(monkeypatch):
    """Call with file names: skips where one is missing in LAMINA_DATA and ../shared/data."""

    def need(*names):
        folders = [*fetch.data_folders(), SHARED]
        for name in names:
            if not any((folder / name).is_file() for folder in folders):
                pytest.skip(f"{name} is not in LAMINA_DATA or ../shared/data")
        monkeypatch.setenv("LAMINA_DATA", os.pathsep.join(map(str, folders)))

    return need


# The room


def test_names_are_sorted_modules_with_load_data():
    assert datasets.__all__ == sorted(datasets.__all__)
    for name in datasets.__all__:
        assert callable(getattr(datasets, name).load_data)
        assert name in dir(datasets)


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(AttributeError, match="did you mean 'mnist'"):
        datasets.minst  # noqa: B018


def test_import_loads_no_data_set():
    code = (
        "import sys, lamina.datasets as d;"
        "assert not [n for n in d.__all__ if f'lamina.datasets.{n}' in sys.modules];"
        "from lamina.datasets import moons; assert d.moons is moons"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


# Embedded


def test_digits_are_those_of_scikit_learn():
    truth = pytest.importorskip("sklearn.datasets").load_digits()
    (x, y), _ = datasets.digits.load_data(test_split=0, seed=None)
    np.testing.assert_array_equal(x, truth.images)
    np.testing.assert_array_equal(y, truth.target)


def test_iris_is_that_of_scikit_learn():
    truth = pytest.importorskip("sklearn.datasets").load_iris()
    (x, y), _ = datasets.iris.load_data(test_split=0, seed=None)
    np.testing.assert_array_equal(x, truth.data.astype(np.float32))
    np.testing.assert_array_equal(y, truth.target)
    assert list(datasets.iris.CLASS_NAMES) == truth.target_names.tolist()


def test_digits_published_facts():
    (x, y), (x_none, y_none) = datasets.digits.load_data(test_split=0, seed=None)
    assert x.shape == (1797, 8, 8) and x.dtype == np.uint8 and (x.min(), x.max()) == (0, 16)
    assert y.dtype == np.int64 and x_none.shape == (0, 8, 8) and y_none.shape == (0,)
    # class sizes as published with the test part of the set
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_iris_published_facts():
    (x, y), _ = datasets.iris.load_data(test_split=0, seed=None)
    assert x.shape == (150, 4) and x.dtype == np.float32 and y.dtype == np.int64
    assert np.bincount(y).tolist() == [50, 50, 50]
    # means of Fisher's table I, in centimetres
    means = [[5.006, 3.428, 1.462, 0.246], [5.936, 2.770, 4.260, 1.326]]
    means.append([6.588, 2.974, 5.552, 2.026])
    np.testing.assert_allclose([x[y == k].mean(axis=0) for k in range(3)], means, atol=1e-4)
    assert len(datasets.iris.FEATURE_NAMES) == 4


@pytest.mark.parametrize("name, total, tested", [("digits", 1797, 359), ("iris", 150, 30)])
def test_split(name, total, tested):
    load = getattr(datasets, name).load_data
    (x_train, y_train), (x_test, y_test) = load()
    (x_all, y_all), _ = load(test_split=0, seed=None)
    assert (len(x_train), len(x_test)) == (total - tested, tested)
    parts = [(*x.ravel(), y) for x, y in zip([*x_train, *x_test], [*y_train, *y_test])]
    assert sorted(parts) == sorted((*x.ravel(), y) for x, y in zip(x_all, y_all))
    shares = np.bincount(y_test) / np.bincount(y_all)
    np.testing.assert_allclose(shares, 0.2, atol=0.01)
    (again, _), _ = load()
    np.testing.assert_array_equal(again, x_train)
    (other, _), _ = load(seed=1)
    assert not np.array_equal(other, x_train)


@pytest.mark.parametrize(
    "name, expected", [("digits", "8736d9d1917c182d"), ("iris", "0c3cade8378999f3")]
)
def test_split_is_the_same_for_ever(name, expected):
    """Published accuracies rest on it, whatever NumPy and machine."""
    _, (x, y) = getattr(datasets, name).load_data()
    content = x.astype(x.dtype.newbyteorder("<")).tobytes() + y.astype("u1").tobytes()
    assert hashlib.sha256(content).hexdigest()[:16] == expected


@pytest.mark.parametrize("share", [-0.1, 1, 1.5, float("nan")])
def test_split_out_of_range(share):
    with pytest.raises(ValueError, match="test_split must be at least 0 and below 1, got"):
        datasets.iris.load_data(test_split=share)


def test_embedded_files_are_small_and_licensed():
    folder = importlib.resources.files("lamina.datasets") / "_embedded"
    assert sum(len(path.read_bytes()) for path in folder.iterdir()) < 60_000
    text = (folder / "README.md").read_text()
    assert text.count("CC BY 4.0") == 2 and "Alpaydin" in text and "Fisher" in text


# Generated


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("n", [4, 5, 101])
def test_generated(name, n):
    load = getattr(datasets, name).load_data
    x, y = load(n, noise=0.1)
    assert x.shape == (n, 1 if name == "sine" else 2) and x.dtype == np.float32
    if name == "sine":
        assert y.shape == (n, 1) and y.dtype == np.float32
    else:
        assert y.shape == (n,) and y.dtype == np.int64
        counts = np.bincount(y)
        assert counts.max() - counts.min() <= 1
    for part, same, other in zip((x, y), load(n, noise=0.1), load(n, noise=0.1, seed=1)):
        np.testing.assert_array_equal(part, same)
        assert part.dtype == np.int64 or not np.array_equal(part, other)
    for part, same in zip((x, y), load(n, noise=0.1, seed=np.random.default_rng(0))):
        np.testing.assert_array_equal(part, same)


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"n": 0}, "n must be a whole number of points, .* got 0"),
        ({"n": 10.0}, "n must be a whole number of points, .* got 10.0"),
        ({"n": True}, "n must be a whole number of points, .* got True"),
        ({"noise": -1}, "noise must be a finite standard deviation, 0 or more, got -1"),
        ({"noise": float("nan")}, "noise must be a finite standard deviation"),
    ],
)
def test_generated_out_of_range(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(datasets, name).load_data(**arguments)


def test_xor():
    x, y = datasets.xor.load_data()
    assert x.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert y.tolist() == [0, 1, 1, 0]
    x, y = datasets.xor.load_data(1000, noise=0.1)
    np.testing.assert_array_equal((x[:, 0] > 0.5) != (x[:, 1] > 0.5), y == 1)


def test_moons_and_circles_are_those_of_scikit_learn():
    truth = pytest.importorskip("sklearn.datasets")
    pairs = [
        (datasets.moons.load_data(60, noise=0.0), truth.make_moons(60, shuffle=False)),
        (
            datasets.circles.load_data(60, noise=0.0),
            truth.make_circles(60, shuffle=False, factor=0.5),
        ),
    ]
    for (x, y), (x_true, y_true) in pairs:
        for k in range(2):
            np.testing.assert_allclose(x[y == k], x_true[y_true == k], atol=1e-6)


def test_moons_lie_on_half_circles():
    x, y = datasets.moons.load_data(31, noise=0.0)
    centre = np.array([[0.0, 0.0], [1.0, 0.5]])[y]
    np.testing.assert_allclose(np.hypot(*(x - centre).T), 1, atol=1e-6)
    assert (x[y == 0, 1] >= -1e-6).all() and (x[y == 1, 1] <= 0.5 + 1e-6).all()
    np.testing.assert_allclose(x[y == 0][[0, -1]], [[1, 0], [-1, 0]], atol=1e-6)


def test_circles_have_their_radii():
    x, y = datasets.circles.load_data(31, noise=0.0, factor=0.25)
    np.testing.assert_allclose(np.hypot(*x.T), np.where(y == 0, 1, 0.25), atol=1e-6)
    for k in range(2):  # evenly around: the points of each circle balance
        np.testing.assert_allclose(x[y == k].mean(axis=0), 0, atol=1e-6)
    with pytest.raises(ValueError, match="factor must be at least 0 and below 1, got 1"):
        datasets.circles.load_data(factor=1)


def test_spirals_are_turned_copies():
    x, y = datasets.spirals.load_data(300, noise=0.0, classes=3, turns=1)
    points = x[:, 0] + 1j * x[:, 1]
    for k in (1, 2):
        turned = points[y == 0] * np.exp(2j * np.pi * k / 3)
        np.testing.assert_allclose(points[y == k], turned, atol=1e-6)
    np.testing.assert_allclose(np.abs(points[y == 0]), np.linspace(0, 1, 100), atol=1e-6)
    angles = np.unwrap(np.angle(points[y == 0][1:]))
    assert angles[-1] - angles[0] == pytest.approx(2 * np.pi * 98 / 99, abs=1e-4)
    with pytest.raises(ValueError, match="classes must be 2 or more, got 1"):
        datasets.spirals.load_data(classes=1)


def test_blobs_have_their_spread():
    x, y = datasets.blobs.load_data(8000, noise=2.0, classes=4, features=3)
    assert x.shape == (8000, 3) and np.bincount(y).tolist() == [2000] * 4
    for k in range(4):
        np.testing.assert_allclose(x[y == k].std(axis=0), 2, rtol=0.1)
        assert (abs(x[y == k].mean(axis=0)) < 10.2).all()
    with pytest.raises(ValueError, match="classes and features must be 1 or more"):
        datasets.blobs.load_data(features=0)


def test_sine():
    x, y = datasets.sine.load_data(50, noise=0.0)
    np.testing.assert_allclose(y, np.sin(x), atol=1e-6)
    assert abs(x).max() <= np.float32(np.pi)
    x, y = datasets.sine.load_data(5000, noise=0.3)
    assert (y - np.sin(x)).std() == pytest.approx(0.3, rel=0.05)


def test_house_prices():
    x, y = datasets.house_prices.load_data()
    assert x.tolist() == [[2, 7], [1, 3], [3, 9]] and y.tolist() == [[94], [89], [83]]
    assert x.dtype == y.dtype == np.float32


# Downloaded


def test_mnist_test_data(real):
    real("mnist-t10k-images-idx3-ubyte.gz", "mnist-t10k-labels-idx1-ubyte.gz")
    x, y = datasets.mnist.load_test_data()
    assert x.shape == (10000, 28, 28) and x.dtype == np.uint8 and x.flags.writeable
    assert y.shape == (10000,) and y.dtype == np.int64
    assert y[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    # class sizes and mean brightness as published for the test part
    assert np.bincount(y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert x.mean() / 255 == pytest.approx(0.1325, abs=1e-4)
    (x_train, y_train), (x_test, y_test) = datasets.mnist.load_sample()
    np.testing.assert_array_equal(np.concatenate([x_train, x_test]), x)
    np.testing.assert_array_equal(np.concatenate([y_train, y_test]), y)
    assert len(x_train) == len(y_train) == 8000


def test_pima_diabetes(real):
    real("pima-indians-diabetes.csv")
    x, y = datasets.pima_diabetes.load_data()
    assert x.shape == (768, 8) and x.dtype == np.float32
    assert y.dtype == np.int64 and np.bincount(y).tolist() == [500, 268]
    np.testing.assert_allclose(x[0], [6, 148, 72, 35, 0, 33.6, 0.627, 50], rtol=1e-6)
    # means published with the set
    published = [3.8, 120.9, 69.1, 20.5, 79.8, 32.0, 0.5, 33.2]
    np.testing.assert_allclose(x.mean(axis=0), published, atol=0.051)
    assert len(datasets.pima_diabetes.FEATURE_NAMES) == 8


def test_tiny_shakespeare(real):
    real("tinyshakespeare.txt")
    train, validation = datasets.tiny_shakespeare.load_data()
    assert (len(train), len(validation)) == (1_003_854, 111_540)
    assert train.startswith("First Citizen:\nBefore we proceed any further, hear me speak.")
    text = datasets.tiny_shakespeare.load_text()
    assert text == train + validation and len(set(text)) == 65


def test_airline_passengers(real):
    real("airline-passengers.csv")
    months, passengers = datasets.airline_passengers.load_data()
    expected = np.arange("1949-01", "1961-01", dtype="datetime64[M]")
    np.testing.assert_array_equal(months, expected)
    assert passengers.shape == (144,) and passengers.dtype == np.float32
    assert passengers[[0, 1, -1]].tolist() == [112, 118, 432] and passengers.max() == 622


def idx(array, kind=8):
    header = bytes([0, 0, kind, array.ndim])
    return header + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def offer(monkeypatch, folder, name, content):
    """Put ``content`` where it is looked for, and return its checksum."""
    (folder / name).write_bytes(content)
    monkeypatch.setenv("LAMINA_DATA", str(folder))
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("module, prefix", [(mnist, "mnist-"), (fashion_mnist, "fashion-mnist-")])
def test_mnist_and_fashion_read_all_four_files(tmp_path, monkeypatch, module, prefix):
    rng = np.random.default_rng(0)
    truth = []
    for part, n in (("train", 6), ("t10k", 3)):
        x = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        y = rng.integers(0, 10, n, dtype=np.uint8)
        for kind, array in (("images-idx3", x), ("labels-idx1", y)):
            name = f"{part}-{kind}-ubyte.gz"
            checksum = offer(monkeypatch, tmp_path, prefix + name, gzip.compress(idx(array)))
            monkeypatch.setitem(module._SHA256, name, checksum)
        truth.append((x, y))
    for (x, y), (x_true, y_true) in zip(module.load_data(), truth):
        np.testing.assert_array_equal(x, x_true)
        np.testing.assert_array_equal(y, y_true)
        assert x.dtype == np.uint8 and y.dtype == np.int64 and x.flags.writeable
    assert len(module.CLASS_NAMES) == 10


def test_mnist_without_files_names_them_and_the_sample(tmp_path, monkeypatch):
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path))
    monkeypatch.delenv("LAMINA_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(mnist, "_HOSTS", ["http://127.0.0.1:9/"])
    with pytest.raises(OSError, match=r"mnist-train-images-idx3-ubyte\.gz is needed") as caught:
        mnist.load_data()
    assert "load_sample" in caught.value.__notes__[0]


IMAGES = np.zeros((2, 28, 28), np.uint8)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"plain", "unpacks whole, got Not a gzipped file"),
        (gzip.compress(idx(IMAGES))[:-20], "unpacks whole, got "),
        (gzip.compress(b""), "magic 00 00 08 03.*got an empty file"),
        (gzip.compress(idx(IMAGES, kind=13)), "magic 00 00 08 03.*got 00 00 0d 03"),
        (gzip.compress(idx(IMAGES[0, 0])), "on 3 axes.*got 00 00 08 01"),
        (gzip.compress(idx(IMAGES)[:9]), "a header of 16 bytes, got 9 bytes"),
        (gzip.compress(idx(IMAGES[:, :27])), r"of shape \(any, 28, 28\), got \(2, 27, 28\)"),
        (gzip.compress(idx(IMAGES)[:-1]), r"the 1568 numbers of its shape \(2, 28, 28\), got 1567"),
        (gzip.compress(idx(IMAGES) + b"x"), "the 1568 numbers of its shape .*, got 1569"),
    ],
    ids="plain cut-zip empty kind axes header shape short long".split(),
)
def test_bad_idx_file(tmp_path, content, message):
    path = tmp_path / "bad-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        _idx.read(path, (None, 28, 28))
    assert str(path) in str(caught.value)


def archive(batches):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in {"readme.html": b"<p>", **batches}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def test_cifar10(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    y = rng.integers(0, 10, 12, dtype=np.uint8)
    planes = x.transpose(0, 3, 1, 2).reshape(12, -1)
    records = [bytes([label]) + image.tobytes() for label, image in zip(y, planes)]
    names = [*(f"data_batch_{i}.bin" for i in (5, 4, 3, 2, 1)), "test_batch.bin"]
    places = [(8, 10), (6, 8), (4, 6), (2, 4), (0, 2), (10, 12)]
    batches = {name: b"".join(records[a:b]) for name, (a, b) in zip(names, places)}
    checksum = offer(monkeypatch, tmp_path, "cifar-10-binary.tar.gz", archive(batches))
    monkeypatch.setattr(cifar10, "_CHECKSUM", f"sha256:{checksum}")
    (x_train, y_train), (x_test, y_test) = cifar10.load_data()
    np.testing.assert_array_equal(np.concatenate([x_train, x_test]), x)
    np.testing.assert_array_equal(np.concatenate([y_train, y_test]), y)
    assert len(x_train) == 10 and y_train.dtype == np.int64 and x_train.flags.writeable
    assert len(cifar10.CLASS_NAMES) == 10

    batches["data_batch_3.bin"] += b"x"
    checksum = offer(monkeypatch, tmp_path, "cifar-10-binary.tar.gz", archive(batches))
    monkeypatch.setattr(cifar10, "_CHECKSUM", f"sha256:{checksum}")
    with pytest.raises(ValueError, match=r"data_batch_3\.bin with .* 3073 bytes, got 6147"):
        cifar10.load_data()
