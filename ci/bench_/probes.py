"""What needs a fresh process each time: ``probes.py NAME [ARGUMENT]`` prints one number as JSON."""

import time

START = time.perf_counter()

import gc  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402

import peers  # noqa: E402
from works import WORKS, mlp_of  # noqa: E402

BACKEND = os.environ.get("BENCH_BACKEND", "numpy")


def peak_megabytes(library, work):
    """Largest resident memory of a process that trains a work for 100 steps."""
    import resource

    getattr(peers, library)(WORKS[work], "step", BACKEND)(100)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def gflops():
    """Billions of multiplications and additions a second in a large product of float32."""
    import numpy as np

    if BACKEND != "numpy":
        return device_gflops()
    a, b = np.random.default_rng(0).standard_normal((2, 1024, 1024), dtype="float32")
    out = np.empty_like(a)

    def run(steps):
        for _ in range(steps):
            np.matmul(a, b, out=out)

    run(2)
    return 2e-9 * 1024**3 / min(_clocked(run, 5) for _ in range(20))


def device_gflops():
    """The same on the device of another backend, with TF32 where ``CUPY_TF32`` says so."""
    import numpy as np

    from lamina import backend

    size = 4096 if BACKEND.startswith("cupy") else 256
    a, b = np.random.default_rng(0).standard_normal((2, size, size), dtype="float32")
    a, b = map(backend.get(BACKEND).asarray, (a, b))

    def run(steps):
        for _ in range(steps):
            a @ b
        peers.waiting(BACKEND)()

    run(2)
    return 2e-9 * size**3 / min(_clocked(run, 5) for _ in range(20))


def first_step(library, work):
    """Seconds until a first training step is done: imports, the network, its kernels, the step."""
    getattr(peers, library)(WORKS[work], "step", BACKEND)(1)
    return time.perf_counter() - START


def device():
    """The device, its driver, and the versions of what drives it; None for what is missing."""
    from lamina.backend import diagnose

    cuda = diagnose.cuda_report()
    facts = {
        "devices": [{"name": one["name"], "memory": one["memory"]} for one in cuda["devices"]],
        "driver": _nvidia_smi("driver_version"),
        "driver runs CUDA": cuda["driver"],
        "cupy": cuda["cupy"],
        "cupy works": cuda["works"],
        "problem": cuda["problem"],
    }
    if cuda["works"]:
        import cupy

        facts["cupy version"] = cupy.__version__
        facts["cupy runs CUDA"] = cupy.cuda.runtime.runtimeGetVersion()
    try:
        import torch
    except ImportError:
        return facts
    return {
        **facts,
        "torch": torch.__version__,
        "torch runs CUDA": torch.version.cuda,
        "torch runs cuDNN": torch.backends.cudnn.version(),
        "torch's device": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _nvidia_smi(field):
    asked = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else None


def digits_seconds():
    """Seconds from nothing but the data to 97 % of unseen digits read, in steps of one epoch."""
    import lamina
    from lamina import layers

    (x, y), (x_test, y_test) = lamina.datasets.digits.load_data()
    x, x_test = (part.reshape(len(part), -1).astype("float32") / 16 for part in (x, x_test))
    lamina.utils.set_random_seed(0)
    start = time.perf_counter()
    model = lamina.Sequential(
        [layers.Input((64,)), layers.Dense(128, activation="relu"), layers.Dense(10, "softmax")],
        backend=BACKEND,
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    for _ in range(200):
        model.fit(x, y, batch_size=32, verbose=0)
        if model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"] >= 0.97:
            return time.perf_counter() - start
    raise RuntimeError("97 % was not reached in 200 epochs")


def fused():
    """Milliseconds of each op with a kernel of the library's own, and without it."""
    import kernels  # whose arrays would count as memory of the other probes

    return kernels.times(BACKEND)


def growth():
    """Milliseconds of an mlp step by batch (at width 512) and by width (at batch 128)."""
    found = {}
    for kind, sizes in (("batch", (64, 128, 256, 512, 1024)), ("width", (128, 256, 512, 1024))):
        for size in sizes:
            work = mlp_of(512, size) if kind == "batch" else mlp_of(size, 128)
            run = peers.lamina(work, "step", BACKEND)
            run(3)
            found[f"{kind} {size}"] = {
                "ms": 1e3 * min(_clocked(run, 5) for _ in range(7)),
                "parameters": work.parameters,
            }
    return found


def leak_kilobytes(calls):
    """Memory gained by that many calls of predict and train_on_batch, the collector being off."""
    gc.disable()
    work = WORKS["64-64-10"]
    model = peers.lamina_model(work, BACKEND)
    x, y = work.data()

    def call(count):
        for _ in range(count):
            model.train_on_batch(x, y)
            model.predict(x, verbose=0)

    call(int(calls) // 10)
    before = _resident_kilobytes()
    call(int(calls))
    return _resident_kilobytes() - before


def _resident_kilobytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def _clocked(run, steps):
    start = time.perf_counter()
    run(steps)
    return (time.perf_counter() - start) / steps


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    print(json.dumps(globals()[name](*arguments)))
