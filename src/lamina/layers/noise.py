"""Noise in training, against overfitting: Gaussian, and dropout in other shapes."""

import math

from lamina import xp
from lamina.layers._layer import Layer
from lamina.layers._options import take_seed
from lamina.layers.dropout import Dropout
from lamina.ops.activations import SELU_ALPHA, SELU_SCALE


class SpatialDropout(Dropout):
    """Dropout of whole channels: what is set to 0 is so at every position of a sample.

    Neighbouring positions resemble one another, so single ones that are missing hide nothing.
    Tompson et al., "Efficient object localization using convolutional networks", 2015, section 3.2.

    Args:
        rate: the share of channels set to 0, from 0 to below 1.
        data_format: "channels_last" or "channels_first"; None is "channels_last".
        seed: makes the masks repeatable on their own.
    """

    rank = 0  # how many axes positions have

    def __init__(self, rate, data_format=None, seed=None, name=None, dtype=None, **kwargs):
        super().__init__(rate, seed=seed, name=name, dtype=dtype, **kwargs)
        if data_format not in (None, "channels_last", "channels_first"):
            raise ValueError(
                f'{self} needs data_format "channels_last" or "channels_first", got {data_format!r}'
            )
        self.data_format = data_format or "channels_last"
        ones = (1,) * self.rank
        last = self.data_format == "channels_last"
        self.noise_shape = (None, *ones, None) if last else (None, None, *ones)

    def check_input(self, shape):
        if len(shape) != self.rank + 2:
            names = ("steps",) if self.rank == 1 else ("depth", "height", "width")[-self.rank :]
            last = self.data_format == "channels_last"
            names = (*names, "channels") if last else ("channels", *names)
            raise self.input_error(f"inputs of shape (batch, {', '.join(names)})", shape)

    def get_config(self):
        config = {**super().get_config(), "data_format": self.data_format}
        del config["noise_shape"]
        return config


class SpatialDropout1D(SpatialDropout):
    """Dropout of whole channels of (batch, steps, channels): see ``SpatialDropout2D``.

    Args:
        rate: the share of channels set to 0, from 0 to below 1.
        seed: makes the masks repeatable on their own.
    """

    rank = 1

    def __init__(self, rate, seed=None, name=None, dtype=None, **kwargs):
        super().__init__(rate, None, seed, name, dtype, **kwargs)

    def get_config(self):
        config = super().get_config()
        del config["data_format"]
        return config


class SpatialDropout2D(SpatialDropout):
    __doc__ = SpatialDropout.__doc__
    rank = 2


class SpatialDropout3D(SpatialDropout):
    __doc__ = SpatialDropout.__doc__
    rank = 3


class GaussianNoise(Layer):
    """In training, ``inputs + noise``, noise normal with mean 0; otherwise ``inputs``.

    Args:
        stddev: the standard deviation of the noise.
        seed: makes the noise repeatable on its own.
    """

    def __init__(self, stddev, seed=None, **kwargs):
        super().__init__(**kwargs)
        if isinstance(stddev, bool | str) or not stddev >= 0:
            raise ValueError(f"{self} needs a stddev from 0 on, got {stddev!r}")
        self.stddev = float(stddev)
        take_seed(self, seed)

    def call(self, inputs, training=False):
        if not training or not self.stddev:
            return inputs
        return inputs + _normal(self, inputs, 0.0, self.stddev)

    def get_config(self):
        return {**super().get_config(), "stddev": self.stddev, "seed": self.given_seed}


class GaussianDropout(Layer):
    """In training, ``inputs * noise``, noise normal with mean 1; otherwise ``inputs``.

    Its standard deviation, sqrt(rate / (1 - rate)), is that of dropout's mask.
    Srivastava et al., "Dropout", JMLR 15, 2014, section 10.

    Args:
        rate: as of dropout, from 0 to below 1.
        seed: makes the noise repeatable on its own.
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.rate = _checked_rate(self, rate)
        take_seed(self, seed)

    def call(self, inputs, training=False):
        if not training or not self.rate:
            return inputs
        return inputs * _normal(self, inputs, 1.0, math.sqrt(self.rate / (1.0 - self.rate)))

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.given_seed}


class AlphaDropout(Dropout):
    """Dropout that keeps mean 0 and variance 1, to go with the activation selu.

        a * where(kept, inputs, low) + b,    low = -1.0507 * 1.6733, which selu tends to

    with a and b such that the first two moments stay. Only in training, otherwise ``inputs``.
    Klambauer et al., "Self-normalizing neural networks", 2017, section "New dropout technique".

    Args:
        rate: the share of inputs set to ``low``, from 0 to below 1.
        noise_shape: the shape of the mask, as in ``Dropout``.
        seed: makes the masks repeatable on their own.
    """

    def call(self, inputs, training=False):
        if not training or self.rate == 0:
            return inputs
        low = -SELU_SCALE * SELU_ALPHA
        a = 1.0 / math.sqrt((1.0 - self.rate) * (1.0 + self.rate * low * low))
        return xp.where(self._kept(inputs), inputs, low) * a - a * low * self.rate


def _checked_rate(layer, rate) -> float:
    if isinstance(rate, bool | str) or not 0 <= rate < 1:
        raise ValueError(f"{layer} needs a rate from 0 to below 1, got {rate!r}")
    return float(rate)


def _normal(layer, inputs, mean, stddev):
    """Normal numbers like the inputs, from the layer's stream of this call."""
    dtype = layer.backend.dtype_name(inputs.dtype)
    return layer.random().normal(inputs.shape, mean, stddev, dtype, layer.backend)
