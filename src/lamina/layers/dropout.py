"""Dropout."""

from lamina.layers._layer import Layer
from lamina.layers._options import take_seed


class Dropout(Layer):
    """In training, sets inputs to 0 at random and scales the others so that the mean stays.

    ``inputs * mask / (1 - rate)``, where mask is 0 with probability ``rate``, else 1; otherwise
    ``inputs``. Srivastava et al., "Dropout", JMLR 15, 2014 (scaled in training, not in use).

    Args:
        rate: the share of inputs set to 0, from 0 to below 1.
        noise_shape: the shape of the mask, broadcast over the inputs: (None, 1, 8) uses one mask
            for all positions along the second axis. None stands for the inputs' own length.
        seed: makes the masks repeatable on their own.
    """

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        super().__init__(**kwargs)
        if isinstance(rate, bool | str) or not 0 <= rate < 1:
            raise ValueError(f"{self} needs a rate from 0 to below 1, got {rate!r}")
        self.rate = float(rate)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        take_seed(self, seed)

    def call(self, inputs, training=False):
        if not training or self.rate == 0:
            return inputs
        kept, place = self._kept(inputs), self.backend
        if not place.owns(inputs.data):
            return inputs * kept  # raises, and names both places
        return inputs * (place.xp.astype(kept, inputs.dtype) * (1.0 / (1.0 - self.rate)))

    def _kept(self, inputs):
        """Which inputs stay."""
        shape = tuple(inputs.shape)
        if self.noise_shape is not None:
            shape = tuple(
                n if wanted is None else wanted
                for n, wanted in zip(shape, self.noise_shape, strict=True)
            )
        return self.random().bernoulli(shape, 1.0 - self.rate, self.backend)

    def check_input(self, shape):
        super().check_input(shape)
        mask = self.noise_shape
        if mask is not None:
            pairs = zip(mask, shape, strict=False)
            if len(mask) != len(shape) or any(n not in (None, 1) and n != m for n, m in pairs):
                raise self.input_error(f"inputs over which noise_shape {mask} can spread", shape)

    def get_config(self):
        return {
            **super().get_config(),
            "rate": self.rate,
            "noise_shape": self.noise_shape,
            "seed": self.given_seed,
        }
