"""What layers that change images at random have in common."""

import math

from lamina import backend
from lamina.autograd import Tensor
from lamina.errors import warn
from lamina.layers._options import take_seed
from lamina.layers._spatial import Spatial

_FAR = 1 / 100  # of the largest value there may be: images below it have been scaled


class Augmentation(Spatial):
    """A layer that changes images (batch, height, width, channels) in training, and only there.

    What is random is drawn once per image, and the images are changed where they lie.
    A subclass defines ``augment``.

    Args:
        seed: makes the changes repeatable on their own.
        data_format: "channels_last" or "channels_first"; None is "channels_last".
    """

    stays_wide = True
    rank = 2
    _asks_for_range = False  # whether images of another range than value_range would be ruined

    def __init__(self, seed=None, data_format=None, **kwargs):
        super().__init__(data_format, **kwargs)
        take_seed(self, seed)

    def augment(self, images, random):
        """``images``, changed by what is drawn from ``random``."""
        raise NotImplementedError(f"{self} defines no augment(images, random): write one")

    def call(self, inputs, training=False):
        if not training:
            return inputs
        if self._asks_for_range:
            self._look_at(inputs)
        return self.augment(inputs, self.random())

    def _look_at(self, inputs) -> None:
        """Warn, once, where the first images have been scaled and the range of values has not."""
        self._asks_for_range = False
        data = inputs.data if isinstance(inputs, Tensor) else inputs
        place = backend.of(data)
        if not place.is_host or not math.prod(data.shape):
            return  # looking would mean waiting for the device
        largest = float(place.xp.max(place.xp.abs(data)))
        if 0 < largest <= 1 < _FAR * self.value_range[1]:
            warn(
                f"{self} takes images for values from {self.value_range[0]:g} to "
                f"{self.value_range[1]:g}, and these go to {largest:g}: give it "
                "value_range=(0, 1), or put it before Rescaling"
            )

    def per_image(self, random, low, high, images):
        """Numbers from low to high, one per image, so that they broadcast over ``images``."""
        dtype = self.backend.dtype_name(images.dtype)
        return random.uniform((images.shape[0], 1, 1, 1), low, high, dtype, self.backend)

    def get_config(self):
        return {**super().get_config(), "seed": self.given_seed}


def factor_range(owner, name: str, value, low: float, high: float) -> tuple[float, float]:
    """The range that a factor is drawn from: a pair as it is, one number from its negative on.

    Raises:
        ValueError: where it does not lie from ``low`` to ``high``.
    """
    pair = value if isinstance(value, tuple | list) else (value, value)
    real = [isinstance(v, int | float) and not isinstance(v, bool) for v in pair]
    if len(pair) != 2 or not all(real) or not low <= min(pair) <= max(pair) <= high:
        raise ValueError(
            f"{owner} needs {name} as one number or a pair of them, from {low:g} to {high:g}, "
            f"got {value!r}"
        )
    if isinstance(value, tuple | list):
        return float(min(pair)), float(max(pair))
    return max(low, -abs(float(value))), abs(float(value))


def value_range_of(owner, value) -> tuple[float, float]:
    """The least and the largest value that images have; else a ValueError."""
    right = isinstance(value, tuple | list) and len(value) == 2
    if not right or not value[0] < value[1]:
        raise ValueError(
            f"{owner} needs value_range as a pair such as (0, 1) or (0, 255), got {value!r}"
        )
    return tuple(value)
