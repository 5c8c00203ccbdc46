"""Whether kernels of one array library earn their place: each beside what would serve without it.

To add a kernel, add arrays of a usual size for its op to `CASES`.
"""

import contextlib
import time

import numpy as np


def _normal(*shape):
    return np.random.default_rng(0).standard_normal(shape, dtype="float32")


def _labels(count, classes):
    return np.random.default_rng(0).integers(0, classes, count)


# Name of the op, its arrays (of integers: without a gradient), its options.
CASES = (
    ("relu", (_normal(4096, 1024),), {}),
    ("gelu", (_normal(4096, 1024),), {}),
    ("mish", (_normal(4096, 1024),), {}),
    ("dense", (_normal(256, 512), _normal(512, 512), _normal(512)), {"activation": "selu"}),
    ("conv", (_normal(64, 28, 28, 8), _normal(3, 3, 8, 32), _normal(32)), {"activation": "relu"}),
    ("softmax", (_normal(4096, 1024),), {}),
    ("softmax_crossentropy", (_labels(256, 10), _normal(256, 10)), {}),
    ("softmax_crossentropy", (_labels(2048, 8192), _normal(2048, 8192)), {}),
    ("layer_normalization", (_normal(4096, 512), _normal(512), _normal(512)), {}),
    ("rms_normalization", (_normal(4096, 512), _normal(512)), {}),
    ("batch_normalization", (_normal(64, 28, 28, 32), _normal(32), _normal(32)), {}),
    ("batch_normalization", (_normal(128, 512), _normal(512), _normal(512)), {}),
)


def times(backend: str, rounds: int = 7, seconds: float = 0.1) -> dict:
    """Milliseconds of forward and backward: {op and shape: {"kernel": ..., "without": ...}}.

    Best of some rounds, the two in turn.
    """
    import lamina
    from lamina.kernels import launching  # with which all kernels are registered

    place = lamina.backend.get(backend)
    found = {}
    for name, arrays, options in CASES:
        if place.name not in launching.KERNELS[name]:
            continue
        step = _step(lamina, place, name, arrays, options)
        row = {"kernel": [], "without": []}
        for _ in range(rounds):
            row["kernel"].append(_milliseconds(place, step, seconds))
            with _without(launching.KERNELS, place.name):
                row["without"].append(_milliseconds(place, step, seconds))
        shape = " x ".join(map(str, max((a.shape for a in arrays), key=np.prod)))
        found[f"{name} {shape}"] = {key: min(runs) for key, runs in row.items()}
    return found


def _step(lamina, place, name, arrays, options):
    op = getattr(lamina.ops, name)
    tensors = [
        lamina.Tensor(place.asarray(a), requires_grad=a.dtype.kind == "f") for a in arrays
    ]  # fmt: skip
    seeds = []

    def step():
        out = op(*tensors, **options)
        out = out[0] if isinstance(out, tuple) else out
        if not seeds:
            seeds.append(place.xp.ones_like(out.data))
        out.backward(seeds[0])
        for tensor in tensors:
            tensor.grad = None

    return step


@contextlib.contextmanager
def _without(kernels, library):
    """A block in which no op has a kernel of that library's own."""
    taken = {name: fast.pop(library) for name, fast in kernels.items() if library in fast}
    try:
        yield
    finally:
        for name, fast in taken.items():
            kernels[name][library] = fast


def _milliseconds(place, step, seconds):
    step()
    place.synchronize()
    start, steps = time.perf_counter(), 0
    while steps < 3 or time.perf_counter() - start < seconds:
        step()
        steps += 1
        if steps % 16 == 0:
            place.synchronize()  # else what is waiting to run is all that the clock sees
    place.synchronize()
    return (time.perf_counter() - start) / steps * 1e3
