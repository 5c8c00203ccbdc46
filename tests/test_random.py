"""Random numbers: Philox's known answers, and the same bits from one seed on every backend."""

import contextlib
import ctypes
import hashlib
import json
import pickle
import shutil
import subprocess
import threading

import numpy as np
import pytest

import lamina
from lamina import backend as backends
from lamina import initializers, layers
from lamina.backend import philox
from lamina.backend.random import Generator

FULL = 2**64 - 1
PI = 0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89
KEYS = [(0, 0), (FULL, FULL), (0x452821E638D01377, 0xBE5466CF34E90C6C), (1 << 63, 7)]
SHAPES = [(), (0,), (1,), (3, 0, 2), (5,), (2, 3, 5), (33, 4)]

# (counter, key, result), as published with the reference implementation (Random123, kat_vectors)
KNOWN = [
    (
        (0, 0, 0, 0),
        (0, 0),
        (0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B),
    ),
    (
        (FULL, FULL, FULL, FULL),
        (FULL, FULL),
        (0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0),
    ),
    (
        PI,
        (0x452821E638D01377, 0xBE5466CF34E90C6C),
        (0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6),
    ),
]


def fixed_shapes(backend):
    """A block in which array_api_strict refuses shapes that depend on data."""
    if not backend.name.startswith("array_api_strict"):
        return contextlib.nullcontext()
    return backend.xp.ArrayAPIStrictFlags(data_dependent_shapes=False, boolean_indexing=False)


def words(key, number, count):
    """The words of an array, by NumPy's own Philox."""
    counter = np.array([0, 0, 0, number], np.uint64)
    return np.random.Philox(key=np.array(key, np.uint64), counter=counter).random_raw(count)


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


# ---- the words --------------------------------------------------------------------------------


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN)
def test_known_answers_of_the_definition(counter, key, result, backend, no_sync):
    given = backend.asarray(np.array([counter, (1, 2, 3, 4)], np.uint64).view(np.int64).T)
    with no_sync(), fixed_shapes(backend):
        found = philox.philox4x64(backend.xp, given, key)
    assert backend.backend.owns(found)
    assert [int(word) % 2**64 for word in backend.to_numpy(found)[:, 0]] == list(result)


@pytest.mark.parametrize("width", [1, 8, 32, 64])
@pytest.mark.parametrize("number", [0, FULL])
def test_numbers_are_cut_from_the_words_of_numpys_philox(number, width, backend, no_sync):
    for key in KEYS[1:3]:
        for count in (0, 1, 67):
            expected = [
                (int(word) >> low) & ((1 << width) - 1)
                for word in words(key, number, -(-count * width // 64))
                for low in range(0, 64, width)
            ][:count]
            with no_sync(), fixed_shapes(backend):
                found = philox.numbers(backend.backend, key, number, width, count)
            assert backend.backend.owns(found) and tuple(found.shape) == (count,)
            assert [int(n) % 2**width for n in backend.to_numpy(found)] == expected


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The device's kernels, compiled as C."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler cc to try the device's kernels with")
    folder = tmp_path_factory.mktemp("kernel")
    names = """
        unsigned long long thread, threads;
        #define KERNEL
        #define FUNCTION static
        #define FIRST thread
        #define STRIDE threads
        static unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
        {
            return (unsigned __int128) a * b >> 64;
        }
        """
    (folder / "philox.c").write_text(names + philox.KERNELS)
    command = [compiler, "-std=c99", "-Wall", "-Werror", "-O1", "-shared", "-fPIC"]
    subprocess.run([*command, "philox.c", "-o", "philox.so"], check=True, cwd=folder, timeout=60)
    return ctypes.CDLL(str(folder / "philox.so"))


@pytest.fixture
def running(compiled, fake_cupy):
    """A stand-in for CuPy, whose threads run the kernels one by one."""

    class RawKernel:
        def __init__(self, code, name):
            assert code == philox.CUDA_NAMES + philox.KERNELS
            self.run = getattr(compiled, name)

        def __call__(self, grid, block, args):
            threads = grid[0] * block[0]
            ctypes.c_ulonglong.in_dll(compiled, "threads").value = threads
            *told, out = args
            assert all(type(number) is np.uint64 for number in told)  # eight bytes to the device
            told = [ctypes.c_ulonglong(int(number)) for number in told]
            for thread in range(threads):
                ctypes.c_ulonglong.in_dll(compiled, "thread").value = thread
                self.run(*told, ctypes.c_void_p(out.data.ptr))

    def empty(shape, dtype):
        more = np.full((shape[0] + 1,), 12345, dtype)  # a write past the end shows
        guarded = fake_cupy.asarray(more)
        guards.append(guarded)
        return guarded[:-1]

    guards = []
    fake_cupy.RawKernel, fake_cupy.empty = RawKernel, empty
    yield fake_cupy
    assert guards and all(guarded[-1].get() == 12345 for guarded in guards)


def same_words(cupy, key, number, count):
    found = philox.cuda_words(cupy, key, number, count)
    return same_bits(found.get().view(np.uint64), words(key, number, count))


def same_masks(cupy, key, number, count):
    place = backends.get("numpy")
    for told in ((1, 1), (8, 0), (8, 255), (32, 3_000_000_000), (32, 2**32 - 1)):
        found = philox.cuda_mask(cupy, key, number, *told, count)
        if not same_bits(found.get(), philox.mask(place, key, number, *told, count)):
            return False
    return True


@pytest.mark.parametrize("groups", [4096, 1])  # with one, every thread has several tasks
@pytest.mark.parametrize("key", KEYS)
def test_the_devices_kernels_run_as_c(key, groups, running, monkeypatch):
    monkeypatch.setattr(philox, "_MOST_GROUPS", groups)
    for number, count in ((0, 0), (0, 1), (3, 7), (FULL, 1501)):
        assert same_words(running, key, number, count)
        assert same_masks(running, key, number, 2 * count)


def test_what_a_generator_does_on_cupy(running):
    place = backends.get("cupy")
    for shape in SHAPES:
        for dtype in ("float32", "float64"):
            found = Generator(3).uniform(shape, -1.0, 2.0, dtype, place)
            expected = Generator(3).uniform(shape, -1.0, 2.0, dtype)
            assert place.owns(found) and same_bits(place.to_numpy(found), expected)
        for p in (0.0, 0.25, 0.5, 0.9, 1.0):
            found = Generator(3).bernoulli(shape, p, place)
            expected = Generator(3).bernoulli(shape, p)
            assert place.owns(found) and same_bits(place.to_numpy(found), expected)


@pytest.mark.gpu
@pytest.mark.parametrize("key", KEYS)
def test_the_devices_kernels_on_the_device(key):
    import cupy

    for number, count in ((0, 0), (0, 1), (3, 7), (FULL, 3_000_001)):
        assert same_words(cupy, key, number, count)
        assert same_masks(cupy, key, number, 2 * count)


# ---- what a generator makes of them -----------------------------------------------------------


def key_of(*stream):
    """The key of a stream: 16 bytes of BLAKE2b of its name, as two words, low bytes first."""
    name = "/".join(map(str, stream)).encode()
    return np.frombuffer(hashlib.blake2b(name, digest_size=16).digest(), "<u8")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_uniform_numbers_are_numpys_own(shape, dtype, backend, no_sync):
    oracle = np.random.Generator(np.random.Philox(key=np.array(key_of(3, "u"), np.uint64)))
    expected = np.asarray(oracle.random(shape, dtype))
    with no_sync(), fixed_shapes(backend):
        found = Generator(3, "u").uniform(shape, dtype=dtype, place=backend.backend)
        spread = Generator(3, "u").uniform(shape, -0.3, 2.7, dtype, backend.backend)
    assert backend.backend.owns(found) and backend.backend.owns(spread)
    assert same_bits(backend.to_numpy(found), expected)
    kind = np.dtype(dtype).type
    assert same_bits(backend.to_numpy(spread), np.asarray(expected * kind(3.0) + kind(-0.3)))


@pytest.mark.parametrize("p", [0.0, 1e-12, 0.1, 0.25, 0.5, 0.7, 255 / 256, 1 - 1e-12, 1.0])
def test_masks_are_the_same_everywhere_and_have_their_share(p, backend, no_sync):
    with no_sync(), fixed_shapes(backend):
        found = Generator(5, "m").bernoulli((200, 301), p, backend.backend)
    assert backend.backend.owns(found) and backend.xp.isdtype(found.dtype, "bool")
    found = backend.to_numpy(found)
    assert same_bits(found, Generator(5, "m").bernoulli((200, 301), p))
    sigma = np.sqrt(p * (1 - p) / found.size)
    assert abs(found.mean() - p) <= 4.5 * sigma
    for axis in (0, 1):  # no row or column differs from the others by more than chance
        share = found.mean(axis)
        assert abs(share - p).max() <= 5 * np.sqrt(p * (1 - p) / found.shape[axis])
    if p not in (0.0, 1e-12, 1 - 1e-12, 1.0):  # neighbours know nothing of one another
        for a, b in ((found[1:], found[:-1]), (found[:, 8:], found[:, :-8])):
            assert abs((a & b).mean() - p * p) < 0.01


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_of_masks(shape, backend):
    for p in (0.5, 0.25, 0.3):
        found = Generator(5).bernoulli(shape, p, backend.backend)
        assert tuple(found.shape) == shape
        assert same_bits(backend.to_numpy(found), Generator(5).bernoulli(shape, p))


@pytest.mark.parametrize("p", [0.3, 0.25, 0.5, 1 / 3])
def test_a_mask_is_true_for_the_highest_words(p):
    bits = 1 if p == 0.5 else 8 if p == 0.25 else 32
    raw = [
        (int(word) >> low) & ((1 << bits) - 1)
        for word in words(key_of(9), 0, 500)
        for low in range(0, 64, bits)
    ]
    least = (1 - p) * 2**bits
    expected = [number >= least for number in raw[:1000]]
    assert Generator(9).bernoulli(1000, p).tolist() == expected


@pytest.mark.parametrize("p", [-0.1, 1.01, float("nan")])
def test_a_probability_lies_between_0_and_1(p):
    with pytest.raises(ValueError, match="probability p from 0 to 1, got"):
        Generator(1).bernoulli(3, p)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal_numbers_are_the_hosts(dtype, backend):
    found = Generator(4).normal((3, 5), 1.0, 2.0, dtype, backend.backend)
    assert backend.backend.owns(found)
    assert same_bits(backend.to_numpy(found), Generator(4).normal((3, 5), 1.0, 2.0, dtype))


def test_an_array_does_not_depend_on_the_size_of_those_before_it(backend):
    place = backend.backend
    draws = [
        lambda g, n: g.uniform(n, place=place),
        lambda g, n: g.bernoulli(n, 0.3, place),
        lambda g, n: g.normal(n, place=place),
        lambda g, n: g.truncated_normal(n),
        lambda g, n: g.integers(0, 9, n),
        lambda g, n: g.permutation(n),
    ]
    seen = []
    for draw in draws:
        few, many = Generator(2, "order"), Generator(2, "order")
        draw(few, 3), draw(many, 50)
        second = few.uniform(40, place=place), many.uniform(40, place=place)
        assert same_bits(*map(backend.to_numpy, second))
        seen.append(backend.to_numpy(second[0]))
    assert all(same_bits(seen[0], other) for other in seen)
    first = Generator(2, "order").uniform(40, place=place)
    assert not np.isin(backend.to_numpy(first), seen[0]).any()


def test_a_generator_is_saved_where_it_stands(backend):
    generator = Generator(6, "saved")
    generator.uniform(5)
    again = pickle.loads(pickle.dumps(generator))
    for g in (generator, again):
        g.normal(4)
    a, b = (g.uniform(7, place=backend.backend) for g in (generator, again))
    assert same_bits(backend.to_numpy(a), backend.to_numpy(b))


def test_threads_do_not_disturb_one_another():
    expected = [Generator(8, i).normal(2000) for i in range(8)]
    found = [None] * 8

    def draw(i):
        for _ in range(5):
            found[i] = Generator(8, i).normal(2000)
            Generator(8, i, "other").bernoulli(999, 0.3)

    threads = [threading.Thread(target=draw, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same_bits(a, b) for a, b in zip(found, expected, strict=True))


# ---- one seed, the same numbers ---------------------------------------------------------------

LAYERS = {
    "dropout": ((6, 5), lambda: layers.Dropout(0.5, seed=1)),
    "dropout 1/4": ((6, 5), lambda: layers.Dropout(0.25, seed=1)),
    "dropout 0.3": ((6, 5), lambda: layers.Dropout(0.3, noise_shape=(None, 1, 5), seed=1)),
    "spatial 1": ((6, 5), lambda: layers.SpatialDropout1D(0.3, seed=2)),
    "spatial 2": ((5, 6, 4), lambda: layers.SpatialDropout2D(0.5, "channels_first", seed=2)),
    "spatial 3": ((3, 2, 2, 5), lambda: layers.SpatialDropout3D(0.2, seed=2)),
    "alpha": ((6, 5), lambda: layers.AlphaDropout(0.4, seed=3)),
    "noise": ((6, 5), lambda: layers.GaussianNoise(0.4, seed=4)),
    "gaussian": ((6, 5), lambda: layers.GaussianDropout(0.4, seed=4)),
    "flip": ((8, 8, 3), lambda: layers.RandomFlip(seed=5)),
    "crop": ((8, 8, 3), lambda: layers.RandomCrop(5, 6, seed=5)),
    "translation": ((8, 8, 3), lambda: layers.RandomTranslation(0.3, 0.2, seed=5)),
    "rotation": ((8, 8, 3), lambda: layers.RandomRotation(0.3, seed=5)),
    "zoom": ((8, 8, 3), lambda: layers.RandomZoom(0.3, seed=5)),
    "contrast": ((8, 8, 3), lambda: layers.RandomContrast(0.4, seed=5)),
    "brightness": ((8, 8, 3), lambda: layers.RandomBrightness(0.4, seed=5)),
    "erasing": ((8, 8, 3), lambda: layers.RandomErasing(seed=5)),
    "erasing by 7": ((8, 8, 3), lambda: layers.RandomErasing(fill_value=(1, 7, 2), seed=5)),
}


def test_every_random_layer_is_among_them():
    random = {
        kind.__name__
        for kind in vars(layers).values()
        if isinstance(kind, type) and issubclass(kind, layers.Layer)
        if kind.__name__.startswith("Random") or kind.__name__.endswith(("Dropout", "Noise"))
    }
    random |= {f"SpatialDropout{n}D" for n in (1, 2, 3)}
    assert {type(make()).__name__ for _, make in LAYERS.values()} == random - {"SpatialDropout"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
def test_random_layers_give_the_same_bits(name, dtype, backend, no_sync):
    shape, make = LAYERS[name]
    # Whole numbers, 64 to a channel, so that their mean is exact in whatever order they are added.
    x = np.random.default_rng(0).integers(0, 256, (7, *shape)).astype(dtype)
    given = backend.asarray(x)
    layer, on_host = make(), make()
    layer.build_for((None, *shape)), on_host.build_for((None, *shape))
    layer._backend = backend.backend
    for _ in range(2):
        with no_sync(), fixed_shapes(backend):
            found = layer(given, training=True)
        assert backend.backend.owns(found.data)
        expected = on_host(x, training=True)
        assert same_bits(found.numpy(), expected.numpy())
        assert not np.array_equal(expected.numpy(), x)


@pytest.mark.parametrize(
    "name", ["glorot_uniform", "he_normal", "random_normal", "random_uniform", "truncated_normal",
             "orthogonal", "variance_scaling"],
)  # fmt: skip
def test_first_weights_are_the_same_bits(name, backend):
    def weights(place, dtype):
        lamina.utils.set_random_seed(3)
        layer = layers.Dense(6, kernel_initializer=name, dtype=dtype)
        with lamina.use(place):
            layer(backends.get(place).asarray(np.ones((1, 5), dtype)))
        return layer.get_weights()[0]

    assert isinstance(initializers.get(name)((3, 2)), np.ndarray)
    for dtype in ("float32", "float64"):
        assert same_bits(weights(backend.backend, dtype), weights("numpy", dtype))


class Noted(layers.Layer):
    """Passes batches on and keeps a copy of each."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def call(self, inputs, training=False):
        if training:
            self.seen.append(inputs.numpy())
        return inputs


def test_shuffles_and_masks_of_training_are_the_same_bits(backend):
    def seen(place):
        lamina.utils.set_random_seed(11)
        noted = Noted(), Noted(), Noted()
        model = lamina.Sequential(
            [layers.Input((8, 8, 1)), noted[0], layers.RandomFlip(),
             layers.RandomErasing(value_range=(0, 1)),
             noted[1], layers.Flatten(), layers.Dropout(0.5), layers.Dropout(0.3), noted[2],
             layers.Dense(1)],
            backend=place,
        )  # fmt: skip
        model.compile("sgd", "mse")
        x = np.random.default_rng(0).uniform(size=(22, 8, 8, 1)).astype("float32")
        model.fit(x, x[:, 0, 0], batch_size=5, epochs=2, verbose=0)
        return [batch for layer in noted for batch in layer.seen]

    found, expected = seen(backend.backend), seen("numpy")
    assert len(found) == 3 * 10
    assert all(same_bits(a, b) for a, b in zip(found, expected, strict=True))


# ---- going on with an earlier run -------------------------------------------------------------


def network(place, seed):
    """A model with every kind of random number there is, compiled."""
    lamina.utils.set_random_seed(seed)
    model = lamina.Sequential(
        [layers.Input((8, 8, 1)), layers.RandomFlip(), layers.RandomCrop(6, 6),
         layers.GaussianNoise(0.1), layers.Flatten(), layers.Dense(9, "selu"),
         layers.BatchNormalization(), layers.AlphaDropout(0.2), layers.Dropout(0.5),
         layers.Dense(2)],
        backend=place,
    )  # fmt: skip
    model.compile("adam", "mse")
    return model


def train(model, first, last):
    x = np.random.default_rng(0).uniform(size=(22, 8, 8, 1)).astype("float32")
    model.fit(x, x[:, 0, :2, 0], batch_size=11, epochs=last, initial_epoch=first, verbose=0)
    return model


def by_pickle(model, folder, place):
    return pickle.loads(pickle.dumps(model))


def by_files(model, folder, place):
    model.save_weights(folder / "weights.safetensors")
    state = {"optimizer": pickle.dumps(model.optimizer.state()).hex()}
    state["random"] = model.random_state()
    (folder / "state.json").write_text(json.dumps(state))

    again = network(place, seed=77)  # with other weights and other seeds
    again.load_weights(folder / "weights.safetensors")
    state = json.loads((folder / "state.json").read_text())
    again.optimizer.set_state(pickle.loads(bytes.fromhex(state["optimizer"])))
    again.set_random_state(state["random"])
    return again


@pytest.mark.parametrize("save", [by_pickle, by_files])
def test_a_resumed_run_equals_one_that_never_stopped(save, backend, tmp_path):
    whole = train(network(backend.backend, 1), 0, 2)
    half = train(network(backend.backend, 1), 0, 1)
    resumed = train(save(half, tmp_path, backend.backend), 1, 2)
    for a, b in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        assert same_bits(a, b)
    assert resumed.random_state() == whole.random_state()
    assert not same_bits(half.get_weights()[0], whole.get_weights()[0])


def test_random_states_count_what_is_drawn():
    model = network("numpy", 1)
    before = model.random_state()
    assert before["steps"] == before["epochs"] == 0 and set(before["draws"].values()) == {0}
    train(model, 0, 2)
    x = np.zeros((2, 8, 8, 1), "float32")
    model(x, training=True)
    after = model.random_state()
    assert after["steps"] == 4 and after["epochs"] == 2 and after["seeds"] == before["seeds"]
    assert sum(after["draws"].values()) == 5
    first = model(x + 1, training=True).numpy()
    model.set_random_state(after)
    assert same_bits(model(x + 1, training=True).numpy(), first)


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda state: None, "a random state has draws, epochs, seeds, steps, got None"),
        (lambda state: {**state, "more": 1}, "pass what random_state"),
        (lambda state: {**state, "steps": -1}, "whole numbers from 0 on"),
        (lambda state: {**state, "epochs": 1.0}, "whole numbers from 0 on"),
        (lambda state: {**state, "seeds": {"model": 1}}, "of another model .* nothing was set"),
        (lambda state: {**state, "draws": 3}, "of another model"),
    ],
)
def test_a_wrong_random_state_changes_nothing(spoil, match):
    model = network("numpy", 1)
    before = model.random_state()
    other = network("numpy", 2).random_state()
    with pytest.raises(ValueError, match=match):
        model.set_random_state(spoil(other))
    assert model.random_state() == before
    model.set_random_state(other)
    assert model.random_state() == other


def test_a_random_state_is_set_after_compile():
    model = lamina.Sequential([layers.Dropout(0.5)])
    with pytest.raises(RuntimeError, match="set_random_state .* call compile"):
        model.set_random_state(model.random_state())


TAKING = (
    "crop",
    "translation",
    "rotation",
    "zoom",
)  # what they draw goes to an op, not an operator


@pytest.mark.parametrize("name", [name for name in LAYERS if name not in TAKING])
def test_arrays_of_another_backend_are_told(name):
    shape, make = LAYERS[name]
    x = np.ones((2, *shape), "float32")
    layer = make()
    layer(x)
    elsewhere = backends.get("array_api_strict:device1").asarray(x)
    with pytest.raises(ValueError, match="on one backend and device, got .*numpy"):
        layer(elsewhere, training=True)
