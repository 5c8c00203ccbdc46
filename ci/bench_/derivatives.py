"""Gradients of plain functions: ``derivatives.py LIBRARY`` for lamina or HIPS autograd.

Prints one number of microseconds for each question, as JSON. To add a function, write it once, in
terms of a namespace ``xp``, and name it in ``FUNCTIONS``.
"""

import functools
import gc
import importlib
import json
import sys
import time

import numpy as np

RNG = np.random.default_rng(0)


def array(*shape):
    return (RNG.standard_normal(shape) * 0.1).astype("float32")


def chain(xp, x):
    """Twenty operations on one number."""
    for _ in range(10):
        x = xp.sin(x) * 1.1
    return x


def network(xp, parameters, x, target):
    """784-512-10 with relu and the crossentropy of a softmax, in plain operations."""
    w1, b1, w2, b2 = parameters
    hidden = xp.maximum(xp.matmul(x, w1) + b1, 0.0)
    logits = xp.matmul(hidden, w2) + b2
    logits = logits - xp.max(logits, axis=1, keepdims=True)
    total = xp.log(xp.sum(xp.exp(logits), axis=1, keepdims=True))
    return -xp.sum(target * (logits - total)) / x.shape[0]


def recurrence(xp, h, w, b):
    """A thousand steps of a recurrent layer of 16 units."""
    for _ in range(1000):
        h = xp.tanh(xp.matmul(h, w) + b)
    return xp.sum(h)


PARAMETERS = [array(784, 512), array(512), array(512, 10), array(10)]
BATCH = (array(32, 784), np.eye(10, dtype="float32")[RNG.integers(0, 10, 32)])
FUNCTIONS = {
    "20 operations": (chain, (np.float64(0.5),)),
    "784-512-10": (network, (PARAMETERS, *BATCH)),
    "1000 steps": (recurrence, (array(4, 16), array(16, 16), array(16))),
}
MASK, PLACES = np.eye(4) > 0, np.asarray([2, 0])
CALLS = {
    "sin": lambda xp, x: lambda: xp.sin(x),
    "add": lambda xp, x: lambda: xp.add(x, x),
    "sum": lambda xp, x: lambda: xp.sum(x),
    "matmul": lambda xp, x: lambda: xp.matmul(x, x),
    "reshape": lambda xp, x: lambda: xp.reshape(x, (16,)),
    "where": lambda xp, x: lambda: xp.where(MASK, x, x),
    "take": lambda xp, x: lambda: xp.take(x, PLACES, axis=0),
    "concat": lambda xp, x: lambda: xp.concat([x, x]),
    "stack": lambda xp, x: lambda: xp.stack([x, x]),
    "asarray": lambda xp, x: lambda: xp.asarray(1.0),
    "x[0]": lambda xp, x: lambda: x[0],
}
"""Functions whose calls on a tiny array are held against NumPy's own."""


def autograd() -> dict:
    """The gradients in HIPS autograd."""
    import autograd
    from autograd import numpy as xp

    return {name: best(gradient(autograd.grad, xp, *FUNCTIONS[name])) for name in FUNCTIONS}


def lamina() -> dict:
    """The gradients in lamina; what a call costs beyond NumPy's; what a second derivative costs."""
    import lamina
    from lamina import xp

    lamina.backend.memory.keep()  # as a model in training does
    found = {name: best(gradient(lamina.grad, xp, *FUNCTIONS[name])) for name in FUNCTIONS}
    x = np.ones((4, 4), "float32")
    tensor = lamina.Tensor(x, requires_grad=True)
    own = {name: best(make(np, x)) for name, make in CALLS.items()}
    for told, given in (("no gradient", x), ("on a tape", tensor)):
        beyond = {name: best(make(xp, given)) - own[name] for name, make in CALLS.items()}
        found[f"call, {told}"] = max(beyond.values())
    direction = [array(*p.shape) for p in PARAMETERS]
    first = lamina.grad(functools.partial(network, xp))

    def along(parameters, *batch):
        gradients = first(parameters, *batch)
        return sum(xp.sum(g * v) for g, v in zip(gradients, direction, strict=True))

    second = lamina.grad(along)
    found["784-512-10, second"] = best(lambda: second(PARAMETERS, *BATCH))
    return found


def gradient(grad, xp, function, arguments):
    derivative = grad(functools.partial(function, xp))
    return lambda: derivative(*arguments)


def best(call, rounds=9, seconds=0.05) -> float:
    """The least of some rounds, in microseconds per call."""
    call()
    start = time.perf_counter()
    call()
    count = max(1, int(seconds / (time.perf_counter() - start)))
    gc.collect()
    least = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(count):
            call()
        least = min(least, (time.perf_counter() - start) / count)
    return least * 1e6


if __name__ == "__main__":
    library = sys.argv[1]
    try:
        importlib.import_module(library)
    except ImportError as error:
        raise SystemExit(str(error)) from None
    print(json.dumps(globals()[library]()))
