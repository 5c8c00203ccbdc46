"""Layers that change the shape of samples, not their numbers."""

import math

from lamina import xp
from lamina.layers._layer import Layer
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
