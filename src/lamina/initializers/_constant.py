"""Initializers that draw nothing: zeros, ones, given values, the identity."""

from lamina import backend
from lamina.initializers._initializer import Initializer, host, host_dtype


class Zeros(Initializer):
    """All 0."""

    def __call__(self, shape, dtype=None, *, rng=None):
        return host().zeros(shape, dtype=host_dtype(dtype))


class Ones(Initializer):
    """All 1."""

    def __call__(self, shape, dtype=None, *, rng=None):
        return host().ones(shape, dtype=host_dtype(dtype))


class Constant(Initializer):
    """The given value, or values.

    Args:
        value: a number, or an array (of any backend) or list that broadcasts to the shape.
    """

    def __init__(self, value=0.0):
        self.value = value

    def __call__(self, shape, dtype=None, *, rng=None):
        xp, shape = host(), tuple(shape)
        value = self.value
        if backend.is_array(value):
            value = backend.of(value).to_numpy(value)
        value = xp.asarray(value, dtype=host_dtype(dtype))
        try:
            return xp.broadcast_to(value, shape).copy()
        except ValueError:
            raise ValueError(
                f"weights of shape {shape} cannot start from values of shape {value.shape}: "
                "give values of the weights' own shape, or one number"
            ) from None

    def get_config(self) -> dict:
        value = self.value
        if backend.is_array(value):
            value = backend.of(value).to_numpy(value).tolist()
        return {"value": value}


class Identity(Initializer):
    """The identity matrix times ``gain``; for weights of two axes."""

    def __init__(self, gain=1.0):
        self.gain = gain

    def __call__(self, shape, dtype=None, *, rng=None):
        if len(shape) != 2:
            raise ValueError(
                f"Identity is for weights of two axes, got shape {tuple(shape)}: use another "
                "initializer, such as glorot_uniform"
            )
        return self.gain * host().eye(*shape, dtype=host_dtype(dtype))

    def get_config(self) -> dict:
        return {"gain": self.gain}
