"""Layers that change the shape of samples, not their numbers."""

import math

from lamina import xp
from lamina.layers._layer import Layer
from lamina.layers._options import whole_number
from lamina.ops.arranging import permute, repeat_vector
from lamina.ops.preparing import flatten


class Flatten(Layer):
    """Each sample as one row: (batch, ...) becomes (batch, product of the rest)."""

    def call(self, inputs):
        return flatten(inputs)

    def links(self):
        return [(flatten, (), {})]

    def check_input(self, shape):
        if len(shape) < 1:
            raise self.input_error("inputs of shape (batch, ...)", shape)


class Reshape(Layer):
    """Each sample in ``target_shape``, of as many numbers; one axis may be -1."""

    def __init__(self, target_shape, **kwargs):
        super().__init__(**kwargs)
        self.target_shape = tuple(target_shape)
        if sum(n == -1 for n in self.target_shape) > 1:
            raise ValueError(f"{self} can find one axis given as -1, got {self.target_shape}")

    def call(self, inputs):
        return xp.reshape(inputs, (inputs.shape[0], *self._target(inputs.shape)))

    def check_input(self, shape):
        if None not in shape[1:]:
            self._target(shape)

    def _target(self, shape) -> tuple:
        """The target with -1 found; an empty batch leaves nothing for the library to find it by."""
        size = math.prod(shape[1:])
        known = math.prod(n for n in self.target_shape if n != -1)
        fits = known and size % known == 0 if -1 in self.target_shape else size == known
        if not fits:
            raise self.input_error(
                f"samples of as many numbers as its target {self.target_shape}", shape
            )
        return tuple(size // known if n == -1 else n for n in self.target_shape)

    def get_config(self):
        return {**super().get_config(), "target_shape": self.target_shape}


class Permute(Layer):
    """The axes of samples in the order ``dims``, counted from 1: (2, 1) swaps two axes."""

    def __init__(self, dims, **kwargs):
        super().__init__(**kwargs)
        self.dims = tuple(dims) if isinstance(dims, tuple | list) else (dims,)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                f"{self} needs dims with the numbers from 1 on, each once, got {dims!r}: axis 0, "
                "the batch, stays in front"
            )

    def call(self, inputs):
        return permute(inputs, axes=(0, *self.dims))

    def links(self):
        return [(permute, (), {"axes": (0, *self.dims)})]

    def check_input(self, shape):
        if len(shape) != len(self.dims) + 1:
            raise self.input_error(
                f"inputs with {len(self.dims) + 1} axes, the batch and one for each of its dims "
                f"{self.dims}",
                shape,
            )

    def get_config(self):
        return {**super().get_config(), "dims": self.dims}


class RepeatVector(Layer):
    """Every row ``n`` times: (batch, features) becomes (batch, n, features)."""

    def __init__(self, n, **kwargs):
        super().__init__(**kwargs)
        self.n = whole_number(self, "n", n)

    def call(self, inputs):
        return repeat_vector(inputs, n=self.n)

    def links(self):
        return [(repeat_vector, (), {"n": self.n})]

    def check_input(self, shape):
        if len(shape) != 2:
            raise self.input_error("inputs of shape (batch, features)", shape)

    def get_config(self):
        return {**super().get_config(), "n": self.n}
