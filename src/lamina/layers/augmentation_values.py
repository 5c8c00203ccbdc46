"""Images with other contrast and brightness, or with a part erased, at random in training."""

from lamina import backend, xp
from lamina.layers._augmentation import Augmentation, factor_range, value_range_of


class RandomContrast(Augmentation):
    """``(inputs - mean) * contrast + mean``, with the mean of each channel of each image.

    In training only.

    Args:
        factor: the contrast is drawn from 1 - f to 1 + f for one number f, or from 1 - low to
            1 + high for a pair; numbers from 0 to 1.
        value_range: the least and the largest value of images, which the result keeps to.
        seed: a whole number, for changes that repeat themselves whatever else is random.
    """

    def __init__(self, factor, value_range=(0, 255), seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        low, high = factor_range(self, "factor", factor, 0, 1)
        self.factor = factor
        self._contrast = (1.0 - (low if isinstance(factor, tuple | list) else high), 1.0 + high)
        self.value_range = value_range_of(self, value_range)

    def augment(self, images, random):
        contrast = self.per_image(random, *self._contrast, images)
        axes = (2, 3) if self.data_format == "channels_first" else (1, 2)
        mean = xp.mean(images, axis=axes, keepdims=True)
        out = (images - mean) * contrast + mean
        return xp.clip(out, *self.value_range)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor, "value_range": self.value_range}


class RandomBrightness(Augmentation):
    """``inputs + shift * (high - low)`` for values from low to high.

    In training only.

    Args:
        factor: the shift is drawn from a pair of numbers from -1 (black) to 1 (white), or from -f
            to f for one number f.
        value_range: the least and the largest value of images, which the result keeps to.
        seed: a whole number, for changes that repeat themselves whatever else is random.
    """

    def __init__(self, factor, value_range=(0, 255), seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        self.factor = factor
        self._shift = factor_range(self, "factor", factor, -1, 1)
        self._asks_for_range = True
        self.value_range = value_range_of(self, value_range)

    def augment(self, images, random):
        low, high = self.value_range
        shift = self.per_image(random, *self._shift, images) * (high - low)
        return xp.clip(images + shift, low, high)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor, "value_range": self.value_range}


class RandomErasing(Augmentation):
    """A rectangle of an image, erased.

    In training only.

    Zhong et al., "Random erasing data augmentation", 2017.

    Args:
        factor: the probability for each image, itself drawn from a pair of numbers from 0 to 1, or
            from 0 to f for one number f.
        scale: height and width of the rectangle are each the square root of a number from this
            pair, times those of the image: at (0.25, 0.25) half of each.
        fill_value: what is put there: a number, or one per channel; None is noise.
        value_range: the least and the largest value of images, which the filling keeps to.
        seed: a whole number, for changes that repeat themselves whatever else is random.
        data_format: "channels_last" or "channels_first"; None is "channels_last".
    """

    def __init__(
        self,
        factor=1.0,
        scale=(0.02, 0.33),
        fill_value=None,
        value_range=(0, 255),
        seed=None,
        data_format=None,
        **kwargs,
    ):
        super().__init__(seed, data_format, **kwargs)
        self.factor, self.scale = factor, scale
        self._chance = factor_range(self, "factor", factor, 0, 1)
        self._area = factor_range(self, "scale", scale, 0, 1)
        self.fill_value = fill_value
        self.value_range = value_range_of(self, value_range)
        self._asks_for_range = fill_value is None  # of noise

    def augment(self, images, random):
        raw, height, width = self.backend.xp, *self.spatial(images.shape)

        def draw(low=0.0, high=1.0):
            return random.uniform((images.shape[0], 1, 1), low, high, "float32", self.backend)

        inside = draw() < draw(*self._chance)
        for length, shape in ((height, (1, -1, 1)), (width, (1, 1, -1))):
            side = raw.sqrt(draw(*self._area)) * length
            start = draw() * (length - side)
            number = raw.arange(length, dtype=raw.float32, device=self.backend.device)
            number = raw.reshape(number, shape)
            inside = inside & (number >= start) & (number < start + side)
        mask = raw.expand_dims(inside, axis=self._channel_axis())
        return xp.where(mask, self._filling(images, random), images)

    def _filling(self, images, random):
        """What erased pixels become, so that it broadcasts over ``images``."""
        low, high = self.value_range
        dtype = self.backend.dtype_name(images.dtype)
        if self.fill_value is None:
            values = random.normal(images.shape, 0.0, high, dtype, self.backend)
            return self.backend.xp.clip(values, low, high)
        host = backend.get("numpy").xp
        values = host.clip(host.asarray(self.fill_value, dtype="float64"), low, high)
        shape = [1, 1, 1, 1]
        shape[self._channel_axis()] = values.size
        return self.backend.asarray(values.reshape(shape), dtype)

    def _channel_axis(self) -> int:
        return 1 if self.data_format == "channels_first" else 3

    def check_input(self, shape):
        super().check_input(shape)
        if isinstance(self.fill_value, tuple | list):
            if shape[self._channel_axis()] not in (None, len(self.fill_value)):
                raise self.input_error(
                    f"images with as many channels as its fill_value {self.fill_value}", shape
                )

    def get_config(self):
        return {
            **super().get_config(),
            "factor": self.factor,
            "scale": self.scale,
            "fill_value": self.fill_value,
            "value_range": self.value_range,
        }
