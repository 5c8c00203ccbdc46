"""One work in each library: ``<library>(work, how, backend)`` gives a function of a step count.

The function has trained that many steps, and the device has finished them, when it returns. ``how``
is "step", the same batch given again and again, or "fit", epochs over many batches as a user writes
them. Of a backend other than NumPy the data are on its device from the start, as PyTorch's are.
Importing a library happens inside its function, so that a process holds one only. The small
libraries of lamina's own kind are in ``kin.py``.
"""

import importlib
import os

from kin import dezero, pydynet, smallpebble  # noqa: F401
from works import shapes


def lamina(work, how, backend):
    if backend == "numpy" and os.environ.get("LAMINA_NUMBA") == "1":
        importlib.import_module("numba")  # a row that is named for it needs it
    model = lamina_model(work, backend)
    wait = waiting(backend)
    place = (lambda a: a) if backend == "numpy" else model.backend.asarray
    if how == "fit":
        fit = lambda x, y: model.fit(x, y, batch_size=work.batch, verbose=0)
        return _epochs(work, fit, wait, place)
    x, y = map(place, work.data())

    def run(steps):
        for _ in range(steps):
            if work.trains:
                model.train_on_batch(x, y)
            else:
                model.predict_on_batch(x)
        wait()

    return run


def waiting(backend):
    """What waits until the device of a backend has done all it was given."""
    return _cupy_wait if backend.startswith("cupy") else _no_wait


def lamina_model(work, backend="numpy"):
    """The compiled model of a work."""
    import lamina

    parts = [lamina.layers.Input(work.sample), *_layers(lamina.layers, work)]
    loss = "mean_squared_error"
    if work.loss == "crossentropy":
        loss = lamina.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = lamina.Sequential(parts, backend=backend)
    model.compile(optimizer=work.optimizer, loss=loss)
    return model


def _layers(layers, work):
    """The parts of a network in lamina's layers or in Keras's, whose names are the same."""
    dimensions = f"{len(work.sample) - 1}D"
    for kind, *numbers in work.parts:
        if kind == "dense":
            yield layers.Dense(numbers[0], activation=numbers[1])
        elif kind == "flatten":
            yield layers.Flatten()
        elif kind == "pool":
            yield getattr(layers, f"MaxPooling{dimensions}")(numbers[0])
        elif kind == "mean":
            yield getattr(layers, f"GlobalAveragePooling{dimensions}")()
        elif kind == "normed":
            yield layers.Conv2D(numbers[0], 3, numbers[1], "same", use_bias=False)
            yield layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
            yield layers.ReLU()
        elif kind == "residual":
            from lamina.applications.resnet import ResidualBlock

            yield ResidualBlock(*numbers, "padding")
        elif kind == "conv":
            filters, size, padding = numbers
            make = getattr(layers, f"Conv{dimensions}")
            yield make(filters, size, padding=padding, activation="relu")
        else:
            filters, size, strides = numbers
            make = getattr(layers, f"SeparableConv{dimensions}")
            yield make(filters, size, strides=strides, padding="same", activation="relu")


def torch(work, how, backend):
    forward, optimizer = _torch_parts(work, backend)
    return _torch_steps(_torch_step(work, forward, optimizer, optimizer.step), backend)


def torch_compile(work, how, backend):
    """PyTorch with the network and its loss, and the optimizer's step, compiled."""
    import torch

    torch.compiler.reset()  # it compiles the same lines eight times, and then no more
    forward, optimizer = _torch_parts(work, backend)
    forward, update = torch.compile(forward, fullgraph=True), torch.compile(optimizer.step)
    return _torch_steps(_torch_step(work, forward, optimizer, update), backend)


def torch_graph(work, how, backend):
    """PyTorch with a whole step recorded as a CUDA graph, and replayed."""
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError("a CUDA graph needs a CUDA device")
    options = {"capturable": True} if work.optimizer == "adam" else {}
    forward, optimizer = _torch_parts(work, backend, **options)
    step = _torch_step(work, forward, optimizer, optimizer.step)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # where what is made at the first steps may be made
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    optimizer.zero_grad()  # gradients, to be the graph's own, are not there when it begins
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return _torch_steps(graph.replay, backend)


def _torch_parts(work, backend, **options):
    """A function of nothing that gives the loss (of a work that trains) or outputs; the optimizer.

    TF32 is as ``CUPY_TF32`` says, which is also lamina's switch.
    """
    import numpy as np
    import torch
    from torch import nn

    tf32 = os.environ.get("CUPY_TF32") == "1"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    device = _torch_device(backend)
    model = nn.Sequential(*_torch_modules(nn, work)).to(device)
    loss = nn.CrossEntropyLoss() if work.loss == "crossentropy" else nn.MSELoss()
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[work.optimizer]
    rate = {"sgd": 0.01, "adam": 0.001}[work.optimizer]
    optimizer = kind(model.parameters(), lr=rate, **options)
    x, y = work.data()
    x = np.ascontiguousarray(np.moveaxis(x, -1, 1)) if x.ndim > 2 else x
    x, y = (torch.from_numpy(part).to(device) for part in (x, y))
    return (lambda: loss(model(x), y)) if work.trains else (lambda: model(x)), optimizer


def _torch_device(backend):
    return "cuda" if backend.startswith("cupy") else "cpu"


def _torch_step(work, forward, optimizer, update):
    import torch

    def learn():
        optimizer.zero_grad()
        forward().backward()
        update()

    def use():
        with torch.no_grad():
            forward()

    return learn if work.trains else use


def _torch_steps(step, backend):
    import torch

    wait = torch.cuda.synchronize if _torch_device(backend) == "cuda" else _no_wait

    def run(steps):
        for _ in range(steps):
            step()
        wait()

    return run


def _torch_modules(nn, work):
    dimensions = f"{len(work.sample) - 1}d"
    activations = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU}
    for (kind, *numbers), before in zip(work.parts, shapes(work), strict=False):
        channels = before[-1]
        if kind == "dense":
            yield nn.Linear(channels, numbers[0])
            if numbers[1]:
                yield activations[numbers[1]]()
        elif kind == "flatten":
            yield nn.Flatten()
        elif kind == "pool":
            yield getattr(nn, f"MaxPool{dimensions}")(numbers[0])
        elif kind == "mean":
            yield from (nn.AdaptiveAvgPool2d(1), nn.Flatten())
        elif kind == "normed":
            yield from _torch_normed(nn, channels, *numbers)
            yield nn.ReLU()
        elif kind == "residual":
            yield _torch_residual(nn, channels, *numbers)
        elif kind == "conv":
            filters, size, padding = numbers
            yield getattr(nn, f"Conv{dimensions}")(channels, filters, size, padding=padding)
            yield nn.ReLU()
        else:
            filters, size, strides = numbers
            conv = getattr(nn, f"Conv{dimensions}")
            options = {"stride": strides, "padding": size // 2, "groups": channels, "bias": False}
            yield conv(channels, channels, size, **options)
            yield conv(channels, filters, 1)
            yield nn.ReLU()


def _torch_normed(nn, channels, filters, strides):
    yield nn.Conv2d(channels, filters, 3, strides, padding=1, bias=False)
    yield nn.BatchNorm2d(filters)


def _torch_residual(nn, channels, filters, strides):
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            first = _torch_normed(nn, channels, filters, strides)
            self.body = nn.Sequential(*first, nn.ReLU(), *_torch_normed(nn, filters, filters, 1))

        def forward(self, x):
            side = x if strides == 1 else x[:, :, ::strides, ::strides]
            side = nn.functional.pad(side, (0, 0, 0, 0, 0, filters - channels))
            return nn.functional.relu(self.body(x) + side)

    return Residual()


def torch_inside(work, how, backend):
    """PyTorch in a process where lamina trains too, so that it gains by the memory kept."""
    lamina(work, "step", backend)(3)
    return torch(work, how, backend)


def keras(work, how, backend):
    import keras

    model = keras.Sequential([keras.Input(work.sample), *_layers(keras.layers, work)])
    crossentropy = work.loss == "crossentropy"
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if crossentropy else "mse"
    model.compile(optimizer=work.optimizer, loss=loss)
    return _epochs(work, lambda x, y: model.fit(x, y, batch_size=work.batch, verbose=0))


def sklearn(work, how, backend):
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(work.sizes[1:-1], batch_size=work.batch, solver="adam")
    classes = list(range(work.sizes[-1]))
    return _epochs(work, lambda x, y: model.partial_fit(x, y, classes=classes))


def _no_wait():
    pass


def _epochs(work, epoch, wait=_no_wait, place=lambda a: a):
    """Steps as whole epochs: a run asks for a multiple of ``work.batches``."""
    x, y = map(place, work.data(work.batches))

    def run(steps):
        for _ in range(max(1, steps // work.batches)):
            epoch(x, y)
        wait()

    return run


def _cupy_wait():
    import cupy

    cupy.cuda.Device().synchronize()
