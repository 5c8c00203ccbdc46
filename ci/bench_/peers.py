"""One work in each library: ``<library>(work, how, backend)`` gives a function of a step count.

The function has trained that many steps, and the device has finished them, when it returns. ``how``
is "step", the same batch given again and again, or "fit", epochs over many batches as a user writes
them. Importing a library happens inside its function, so that a process holds one only.
"""

import itertools


def lamina(work, how, backend):
    model = lamina_model(work, backend)
    wait = _cupy_wait if backend.startswith("cupy") else (lambda: None)
    if how == "fit":
        return _epochs(work, lambda x, y: model.fit(x, y, batch_size=work.batch, verbose=0), wait)
    x, y = map(model.backend.asarray, work.data()) if wait is _cupy_wait else work.data()

    def run(steps):
        for _ in range(steps):
            model.train_on_batch(x, y)
        wait()

    return run


def lamina_model(work, backend="numpy"):
    """The compiled model of a work."""
    import lamina
    from lamina import layers

    *hidden, outputs = work.sizes[1:]
    parts = [layers.Input((work.sizes[0],))]
    parts += [layers.Dense(units, activation=work.hidden) for units in hidden]
    if work.loss == "mse":
        parts.append(layers.Dense(outputs, activation="sigmoid"))
        loss = "mean_squared_error"
    else:
        parts.append(layers.Dense(outputs))
        loss = lamina.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = lamina.Sequential(parts, backend=backend)
    model.compile(optimizer=work.optimizer, loss=loss)
    return model


def torch(work, how, backend):
    import torch
    from torch import nn

    device = "cuda" if backend.startswith("cupy") else "cpu"
    parts = []
    for n, m in itertools.pairwise(work.sizes):
        parts += [nn.Linear(n, m), nn.Sigmoid() if work.hidden == "sigmoid" else nn.ReLU()]
    crossentropy = work.loss == "crossentropy"
    model = nn.Sequential(*(parts[:-1] if crossentropy else parts)).to(device)
    loss = nn.CrossEntropyLoss() if crossentropy else nn.MSELoss()
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[work.optimizer]
    optimizer = kind(model.parameters(), lr={"sgd": 0.01, "adam": 0.001}[work.optimizer])
    x, y = (torch.from_numpy(part).to(device) for part in work.data())

    def run(steps):
        for _ in range(steps):
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return run


def torch_inside(work, how, backend):
    """PyTorch in a process where lamina trains too, so that it gains by the memory kept."""
    lamina(work, "step", backend)(3)
    return torch(work, how, backend)


def keras(work, how, backend):
    import keras
    from keras import layers

    *hidden, outputs = work.sizes[1:]
    crossentropy = work.loss == "crossentropy"
    parts = [keras.Input((work.sizes[0],))]
    parts += [layers.Dense(units, activation=work.hidden) for units in hidden]
    parts.append(layers.Dense(outputs, activation=None if crossentropy else "sigmoid"))
    model = keras.Sequential(parts)
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
