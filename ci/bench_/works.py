"""The works that every library trains: network, data, batch and optimizer.

A network is a row of parts, each a tuple of its kind and its numbers:

    ("dense", units, activation)
    ("conv", filters, size, padding)                  with relu, in as many dimensions as the sample
    ("separable", filters, size, strides)             padded to the same size, with relu
    ("pool", size)                                    the largest of each window
    ("normed", filters, strides)                      3 x 3, same size, no bias, batch norm, relu
    ("residual", filters, strides)                    two of these around a shortcut
    ("mean",)                                         over all positions
    ("flatten",)
"""

import dataclasses
import math

import numpy as np


@dataclasses.dataclass(frozen=True)
class Work:
    """A network of dense layers and what it learns.

    Attributes:
        sizes: features in, units of each hidden layer, outputs.
        hidden: activation of the hidden layers.
        loss: "mse" after a sigmoid, or "crossentropy" of logits with integer labels.
        optimizer: "sgd" or "adam", at its usual learning rate.
        batch: samples in a step.
        batches: steps in an epoch of `fit`.
    """

    trains = True

    sizes: tuple[int, ...]
    hidden: str
    loss: str
    optimizer: str
    batch: int
    batches: int

    @property
    def sample(self) -> tuple[int, ...]:
        return self.sizes[:1]

    @property
    def parts(self) -> tuple:
        ends = [self.hidden] * (len(self.sizes) - 2)
        ends.append("sigmoid" if self.loss == "mse" else None)
        return tuple(("dense", n, end) for n, end in zip(self.sizes[1:], ends, strict=True))

    @property
    def parameters(self) -> int:
        return sum((n + 1) * m for n, m in zip(self.sizes, self.sizes[1:], strict=False))

    def data(self, batches: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (batches * batch, features) in float32 and their targets."""
        count = batches * self.batch
        if self.loss == "mse":
            x = np.resize(np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32"), (count, 2))
            return x, (x[:, :1] != x[:, 1:]).astype("float32")
        rng = np.random.default_rng(0)
        x = rng.standard_normal((count, self.sizes[0]), dtype="float32")
        return x, rng.integers(0, self.sizes[-1], count)


@dataclasses.dataclass(frozen=True)
class Images:
    """A convolutional network, with ten classes of pictures or signals.

    Attributes:
        sample: the shape of one, channels last.
        parts: the network, see above.
        batch, batches: as in `Work`.
        trains: False where only outputs are computed.
    """

    sample: tuple[int, ...]
    parts: tuple
    batch: int
    batches: int = 10
    trains: bool = True
    loss = "crossentropy"
    optimizer = "adam"

    def data(self, batches: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (batches * batch, *sample) in float32, and their classes."""
        count = batches * self.batch
        rng = np.random.default_rng(0)
        x = rng.standard_normal((count, *self.sample), dtype="float32")
        return x, rng.integers(0, 10, count)


def shapes(work) -> list[tuple[int, ...]]:
    """The shape of a sample before every part, and at the end."""
    found = [work.sample]
    for kind, *numbers in work.parts:
        *image, channels = found[-1]
        if kind == "dense":
            image, channels = [], numbers[0]
        elif kind == "flatten":
            image, channels = [], math.prod(found[-1])
        elif kind == "pool":
            image = [n // numbers[0] for n in image]
        elif kind == "mean":
            image = []
        elif kind == "conv":
            channels, size, padding = numbers
            image = image if padding == "same" else [n - size + 1 for n in image]
        else:
            channels, strides = numbers[0], numbers[-1]
            image = [-(-n // strides) for n in image]
        found.append((*image, channels))
    return found


def flops(work) -> float:
    """Multiplications and additions of a step in matrix products and convolutions.

    Twice a product each; in training thrice, less the gradient of the inputs, which nobody asks.
    """
    products = []
    sizes = shapes(work)
    for part, before, after in zip(work.parts, sizes, sizes[1:], strict=False):
        kind, *numbers = part
        *image, channels = after
        if kind == "dense":
            products.append(before[-1] * channels)
        elif kind == "conv":
            products.append(math.prod(after) * before[-1] * numbers[1] ** len(image))
        elif kind == "separable":
            window = numbers[1] ** len(image)
            products.append(math.prod(image) * before[-1] * (window + channels))
        elif kind in ("normed", "residual"):
            products.append(math.prod(after) * 9 * before[-1])
            if kind == "residual":
                products[-1] += math.prod(after) * 9 * channels
    times = 3 * sum(products) - products[0] if work.trains else sum(products)
    return 2.0 * work.batch * times


CNN = (
    ("conv", 32, 3, "valid"), ("pool", 2), ("conv", 64, 3, "valid"), ("pool", 2), ("flatten",),
    ("dense", 10, None),
)  # fmt: skip
SEPARABLE = (
    ("conv", 32, 3, "same"), ("separable", 64, 3, 1), ("separable", 128, 3, 2),
    ("separable", 128, 3, 1), ("separable", 256, 3, 2), ("pool", 8), ("flatten",),
    ("dense", 10, None),
)  # fmt: skip
SIGNAL = (*[("conv", 64, 5, "same")] * 3, ("pool", 10), ("flatten",), ("dense", 10, None))
RESNET = (
    ("normed", 16, 1), *[("residual", 16, 1)] * 3, ("residual", 32, 2), *[("residual", 32, 1)] * 2,
    ("residual", 64, 2), *[("residual", 64, 1)] * 2, ("mean",), ("dense", 10, None),
)  # fmt: skip

WORKS = {
    "xor": Work((2, 4, 1), "sigmoid", "mse", "sgd", batch=4, batches=500),
    "64-64-10": Work((64, 64, 10), "relu", "crossentropy", "adam", batch=32, batches=200),
    "mlp": Work((784, 512, 512, 10), "relu", "crossentropy", "adam", batch=128, batches=40),
    "cnn": Images((28, 28, 1), CNN, batch=64),
    "separable": Images((32, 32, 3), SEPARABLE, batch=32, batches=4),
    "resnet20": Images((32, 32, 3), RESNET, batch=32, batches=2),
    "signal": Images((1000, 64), SIGNAL, batch=32, batches=2),
    "cnn use 1": Images((28, 28, 1), CNN, batch=1, trains=False),
    "cnn use 256": Images((28, 28, 1), CNN, batch=256, trains=False),
}

LARGE = tuple(name for name in WORKS if name not in ("xor", "64-64-10"))
"""Those with arrays so large that numba may quicken them."""


def mlp_of(width: int, batch: int) -> Work:
    """The mlp with another width of its hidden layers, and another batch."""
    return dataclasses.replace(WORKS["mlp"], sizes=(784, width, width, 10), batch=batch)


# The order in which a GPU is asked: those with a bar first.
GPU_WORKS = {
    **{name: WORKS[name] for name in ("xor", "64-64-10", "mlp")},
    "mlp 4096": dataclasses.replace(mlp_of(512, 4096), batches=10),
    **{name: WORKS[name] for name in ("cnn", "cnn use 1", "cnn use 256", "signal", "separable")},
    "resnet20": WORKS["resnet20"],
}
WIDTHS, BATCHES = (32, 128, 512, 2048), (8, 32, 128, 512, 2048)
# Where a GPU is held against NumPy: "width x batch" of the mlp.
GRID = {f"{width} x {batch}": mlp_of(width, batch) for width in WIDTHS for batch in BATCHES}
ALL = {**WORKS, **GPU_WORKS, **GRID}
