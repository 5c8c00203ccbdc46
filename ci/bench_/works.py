"""The works that every library trains: network, data, batch and optimizer."""

import dataclasses

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

    sizes: tuple[int, ...]
    hidden: str
    loss: str
    optimizer: str
    batch: int
    batches: int

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


WORKS = {
    "xor": Work((2, 4, 1), "sigmoid", "mse", "sgd", batch=4, batches=500),
    "64-64-10": Work((64, 64, 10), "relu", "crossentropy", "adam", batch=32, batches=200),
    "mlp": Work((784, 512, 512, 10), "relu", "crossentropy", "adam", batch=128, batches=40),
}


def mlp_of(width: int, batch: int) -> Work:
    """The mlp with another width of its hidden layers, and another batch."""
    return dataclasses.replace(WORKS["mlp"], sizes=(784, width, width, 10), batch=batch)
