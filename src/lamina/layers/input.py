"""The declared shape of a model's input."""

import math

from lamina.layers._layer import Layer
from lamina.layers._options import sample_shape


class Input(Layer):
    """The shape of one sample, as the first layer of a model; passes its input through.

    Args:
        shape: the shape of a sample, without the batch axis; None for an axis of any length.
        batch_size: accepted for Keras's sake; batches of every size are taken.
        dtype: the dtype of the inputs; None is ``config.floatx()``.
        name: its name.
        batch_shape: the shape with the batch axis, instead of ``shape`` and ``batch_size``.

    Example:
        >>> lamina.Sequential([layers.Input((8,)), layers.Dense(1)])
    """

    casts_inputs = False  # the layer after it says what it takes

    def __init__(self, shape=None, batch_size=None, dtype=None, name=None, batch_shape=None):
        super().__init__(dtype=dtype, name=name)
        if batch_shape is not None:
            if shape is not None or batch_size is not None:
                raise ValueError(f"{self} takes either batch_shape, or shape and batch_size")
            batch_size, *shape = batch_shape
        self.shape = sample_shape(self, "shape", shape)
        self.batch_size = batch_size
        self.declared_shape = (None, *self.shape)

    def call(self, inputs):
        return inputs

    def links(self):
        return []

    def check_input(self, shape):
        if not self._fits(shape[1:]):
            raise self.input_error(
                f"batches of samples of shape {self.shape}", shape, self._remedy(tuple(shape))
            )

    def _fits(self, sample) -> bool:
        """Whether a sample of this shape is one of those declared."""
        return len(sample) == len(self.shape) and all(
            n is None or n == m for n, m in zip(self.shape, sample, strict=True)
        )

    def _remedy(self, shape) -> str:
        sample = shape[1:]
        if shape == self.shape:
            return "one sample lacks the batch axis: pass x[None]"
        if len(sample) > 1:
            if self._fits((*sample[1:], sample[0])):
                return "the samples seem to be channels-first: pass numpy.moveaxis(x, 1, -1)"
            if self._fits((sample[-1], *sample[:-1])):
                return "the samples seem to be channels-last: pass numpy.moveaxis(x, -1, 1)"
        for end, new in ((-1, "x[..., None]"), (0, "x[:, None]")):
            whole = (*sample, 1) if end else (1, *sample)
            if len(self.shape) > 1 and self.shape[end] == 1 and self._fits(whole):
                return f"add the channel axis, {new}"
        if len(self.shape) == 1 and None not in shape and math.prod(shape[1:]) == self.shape[0]:
            return f"reshape x to ({shape[0]}, {self.shape[0]}), or declare {shape[1:]} and Flatten"
        if len(shape) > 1 and None not in shape:
            return f"select or reshape the data, or declare Input({shape[1:]})"
        return ""

    def get_config(self):
        return {
            "shape": self.shape,
            "batch_size": self.batch_size,
            "dtype": self.policy_name(),
            "name": self.name,
        }


InputLayer = Input
