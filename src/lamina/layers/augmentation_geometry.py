"""Images flipped, cropped, moved, turned and zoomed at random in training."""

import math

from lamina import backend, xp
from lamina.errors import unknown
from lamina.layers._augmentation import Augmentation, factor_range
from lamina.layers._options import whole_number
from lamina.ops.arranging import crop
from lamina.ops.geometry import FILL_MODES, SAMPLINGS, affine_transform, crop_each

_FLIPS = ("horizontal", "vertical", "horizontal_and_vertical")


class RandomFlip(Augmentation):
    """Every other image, at random, as in a mirror.

    In training only.

    Args:
        mode: "horizontal" swaps left and right, "vertical" top and bottom;
            "horizontal_and_vertical" decides on each for itself.
        seed: a whole number, for changes that repeat themselves whatever else is random.
        data_format: "channels_last" or "channels_first"; None is "channels_last".
    """

    def __init__(self, mode="horizontal_and_vertical", seed=None, data_format=None, **kwargs):
        super().__init__(seed, data_format, **kwargs)
        if mode not in _FLIPS:
            raise ValueError(f"{self}: {unknown('mode', mode, _FLIPS)}")
        self.mode = mode

    def augment(self, images, random):
        height = 2 if self.data_format == "channels_first" else 1
        for axis, name in ((height + 1, "horizontal"), (height, "vertical")):
            if name in self.mode:
                flips = random.bernoulli((images.shape[0], 1, 1, 1), 0.5, self.backend)
                images = xp.where(flips, xp.flip(images, axis=axis), images)
        return images

    def get_config(self):
        return {**super().get_config(), "mode": self.mode}


class RandomCrop(Augmentation):
    """A window of every image: in training anywhere in it, else in its middle.

    Args:
        height, width: the size of the window.
        seed: a whole number, for changes that repeat themselves whatever else is random.
        data_format: "channels_last" or "channels_first"; None is "channels_last".

    Raises:
        ValueError: for images smaller than the window.
    """

    def __init__(self, height, width, seed=None, data_format=None, name=None, **kwargs):
        super().__init__(seed, data_format, name=name, **kwargs)
        self.height = whole_number(self, "height", height)
        self.width = whole_number(self, "width", width)

    def call(self, inputs, training=False):
        size = (self.height, self.width)
        spare = [n - m for n, m in zip(self.spatial(inputs.shape), size)]
        if not training:
            middle = [(n // 2, n - n // 2) for n in spare]
            return crop(inputs, cropping=self.with_spatial(((0, 0),) * 4, middle))
        random, count = self.random(), inputs.shape[0]
        host = backend.get("numpy").xp
        starts = host.stack([random.integers(0, n + 1, (count,)) for n in spare], axis=1)
        starts = self.backend.asarray(starts, "int64")
        return crop_each(inputs, starts, size=size, data_format=self.data_format)

    def check_input(self, shape):
        super().check_input(shape)
        size = (self.height, self.width)
        if any(n is not None and n < m for n, m in zip(self.spatial(shape), size)):
            raise self.input_error(
                f"images of at least {size}", shape, "crop less, or put layers.Resizing before it"
            )

    def get_config(self):
        return {**super().get_config(), "height": self.height, "width": self.width}


class _Affine(Augmentation):
    """A transform of the plane for every image; see ``ops.affine_transform``.

    A subclass defines ``transforms``.
    """

    def __init__(self, fill_mode, interpolation, seed, fill_value, data_format, **kwargs):
        super().__init__(seed, data_format, **kwargs)
        for name, value, known in (
            ("fill_mode", fill_mode, FILL_MODES),
            ("interpolation", interpolation, SAMPLINGS),
        ):
            if value not in known:
                raise ValueError(f"{self}: {unknown(name, value, known)}")
        self.fill_mode, self.fill_value = fill_mode, fill_value
        self.interpolation = interpolation

    def transforms(self, random, count: int, height: int, width: int) -> list:
        """The six numbers of each transform: three for columns, three for rows, each one number
        or ``count`` of them."""
        raise NotImplementedError

    def augment(self, images, random):
        count, host = images.shape[0], backend.get("numpy").xp
        found = self.transforms(random, count, *self.spatial(images.shape))
        numbers = [host.zeros((count,), dtype="float64") + number for number in found]
        dtype = self.backend.dtype_name(images.dtype)
        dtype = dtype if dtype == "float64" else "float32"
        matrix = self.backend.asarray(host.stack(numbers, axis=1).reshape(count, 2, 3), dtype)
        return affine_transform(
            images,
            matrix,
            interpolation=self.interpolation,
            fill_mode=self.fill_mode,
            fill_value=self.fill_value,
            data_format=self.data_format,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "fill_mode": self.fill_mode,
            "interpolation": self.interpolation,
            "fill_value": self.fill_value,
        }


class RandomTranslation(_Affine):
    """Every image moved by a part of its size.

    In training only.

    Args:
        height_factor, width_factor: how far, as a part of height and width, down and to the right:
            drawn from a pair of numbers from -1 to 1, or from -f to f for one number f.
        fill_mode, fill_value: what lies outside: see ``ops.affine_transform``.
        interpolation: "bilinear" or "nearest".
        seed: a whole number, for changes that repeat themselves whatever else is random.
        data_format: "channels_last" or "channels_first"; None is "channels_last".
    """

    def __init__(
        self,
        height_factor,
        width_factor,
        fill_mode="reflect",
        interpolation="bilinear",
        seed=None,
        fill_value=0.0,
        data_format=None,
        **kwargs,
    ):
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._rows = factor_range(self, "height_factor", height_factor, -1, 1)
        self._columns = factor_range(self, "width_factor", width_factor, -1, 1)

    def transforms(self, random, count, height, width):
        down = random.uniform((count,), *self._rows, "float64") * height
        right = random.uniform((count,), *self._columns, "float64") * width
        return [1.0, 0.0, -right, 0.0, 1.0, -down]

    def get_config(self):
        return {
            **super().get_config(),
            "height_factor": self.height_factor,
            "width_factor": self.width_factor,
        }


class RandomRotation(_Affine):
    """Every image turned about its middle.

    In training only.

    Args:
        factor: how far, as a part of a full turn, counter-clockwise: drawn from a pair of numbers
            from -1 to 1, or from -f to f for one number f.
        fill_mode, fill_value: what lies outside: see ``ops.affine_transform``.
        interpolation: "bilinear" or "nearest".
        seed: a whole number, for changes that repeat themselves whatever else is random.
        data_format: "channels_last" or "channels_first"; None is "channels_last".
    """

    def __init__(
        self,
        factor,
        fill_mode="reflect",
        interpolation="bilinear",
        seed=None,
        fill_value=0.0,
        data_format=None,
        **kwargs,
    ):
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.factor = factor
        self._turns = factor_range(self, "factor", factor, -1, 1)

    def transforms(self, random, count, height, width):
        host = backend.get("numpy").xp
        angle = random.uniform((count,), *self._turns, "float64") * (2.0 * math.pi)
        cos, sin = host.cos(angle), host.sin(angle)
        x, y = (width - 1) / 2, (height - 1) / 2  # the middle stays where it is
        return [cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y]

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


class RandomZoom(_Affine):
    """Every image zoomed about its middle.

    In training only.

    Args:
        height_factor: how much more is seen of the height: 0.2 zooms out by 20 %, -0.2 in. Drawn
            from a pair of numbers above -1 and up to 1, or from -f to f for one number f.
        width_factor: the same for the width; None keeps the proportions.
        fill_mode, fill_value: what lies outside: see ``ops.affine_transform``.
        interpolation: "bilinear" or "nearest".
        seed: a whole number, for changes that repeat themselves whatever else is random.
        data_format: "channels_last" or "channels_first"; None is "channels_last".
    """

    def __init__(
        self,
        height_factor,
        width_factor=None,
        fill_mode="reflect",
        interpolation="bilinear",
        seed=None,
        fill_value=0.0,
        data_format=None,
        **kwargs,
    ):
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._rows = self._range("height_factor", height_factor)
        self._columns = None if width_factor is None else self._range("width_factor", width_factor)

    def _range(self, name, value):
        found = factor_range(self, name, value, -1, 1)
        if found[0] == -1:
            raise ValueError(f"{self} needs {name} above -1, which would zoom in for ever")
        return found

    def transforms(self, random, count, height, width):
        rows = columns = 1.0 + random.uniform((count,), *self._rows, "float64")
        if self._columns is not None:
            columns = 1.0 + random.uniform((count,), *self._columns, "float64")
        x, y = (width - 1) / 2, (height - 1) / 2
        return [columns, 0.0, x - columns * x, 0.0, rows, y - rows * y]

    def get_config(self):
        return {
            **super().get_config(),
            "height_factor": self.height_factor,
            "width_factor": self.width_factor,
        }
