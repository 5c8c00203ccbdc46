"""One work in each library: ``<library>(work, how, backend)`` gives a function of a step count.

The function has trained that many steps, and the device has finished them, when it returns. ``how``
is "step", the same batch given again and again, or "fit", epochs over many batches as a user writes
them. Importing a library happens inside its function, so that a process holds one only. The small
libraries of lamina's own kind are in ``kin.py``.
"""

from kin import dezero, pydynet, smallpebble  # noqa: F401
from works import shapes


def lamina(work, how, backend):
    model = lamina_model(work, backend)
    wait = _cupy_wait if backend.startswith("cupy") else (lambda: None)
    if how == "fit":
        return _epochs(work, lambda x, y: model.fit(x, y, batch_size=work.batch, verbose=0), wait)
    x, y = map(model.backend.asarray, work.data()) if wait is _cupy_wait else work.data()

    def run(steps):
        for _ in range(steps):
            if work.trains:
                model.train_on_batch(x, y)
            else:
                model.predict_on_batch(x)
        wait()

    return run


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
    import numpy as np
    import torch
    from torch import nn

    device = "cuda" if backend.startswith("cupy") else "cpu"
    model = nn.Sequential(*_torch_modules(nn, work)).to(device)
    loss = nn.CrossEntropyLoss() if work.loss == "crossentropy" else nn.MSELoss()
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[work.optimizer]
    optimizer = kind(model.parameters(), lr={"sgd": 0.01, "adam": 0.001}[work.optimizer])
    x, y = work.data()
    x = np.ascontiguousarray(np.moveaxis(x, -1, 1)) if x.ndim > 2 else x
    x, y = (torch.from_numpy(part).to(device) for part in (x, y))

    def run(steps):
        for _ in range(steps):
            if work.trains:
                optimizer.zero_grad()
                loss(model(x), y).backward()
                optimizer.step()
            else:
                with torch.no_grad():
                    model(x)
        if device == "cuda":
            torch.cuda.synchronize()

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


def _epochs(work, epoch, wait=lambda: None):
    """Steps as whole epochs: a run asks for a multiple of ``work.batches``."""
    x, y = work.data(work.batches)

    def run(steps):
        for _ in range(max(1, steps // work.batches)):
            epoch(x, y)
        wait()

    return run


def _cupy_wait():
    import cupy

    cupy.cuda.Device().synchronize()
