"""The declared shape of a model's input."""

from lamina.layers._layer import Layer


class Input(Layer):
    """The shape of one sample, as the first layer of a model; passes its input through.

    Args:
        shape: the shape of a sample, without the batch axis; None for an axis of any length.
        batch_size: accepted for Keras's sake; batches of every size are taken.
        dtype: the dtype of the inputs; None is ``config.floatx()``.
        name: its name.

    Example:
        >>> lamina.Sequential([layers.Input((8,)), layers.Dense(1)])
    """

    def __init__(self, shape=None, batch_size=None, dtype=None, name=None):
        super().__init__(dtype=dtype, name=name)
        if not isinstance(shape, tuple | list):
            raise TypeError(
                "Input needs the shape of one sample as a tuple, such as (8,) for eight features, "
                f"got {shape!r}"
            )
        self.shape = tuple(shape)
        self.batch_size = batch_size
        self.declared_shape = (None, *self.shape)

    def call(self, inputs):
        return inputs

    def links(self):
        return []

    def check_input(self, shape):
        same = len(shape) == len(self.declared_shape) and all(
            n is None or n == m for n, m in zip(self.shape, shape[1:], strict=True)
        )
        if not same:
            self._input_shape = self.declared_shape
            raise self.input_error(f"batches of samples of shape {self.shape}", shape)

    def get_config(self):
        return {"shape": self.shape, "dtype": self.dtype, "name": self.name}


InputLayer = Input
