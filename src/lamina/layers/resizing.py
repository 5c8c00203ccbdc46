"""Layers that make images larger or smaller."""

from lamina.errors import unknown
from lamina.layers._options import whole_number
from lamina.layers._spatial import Spatial, SpatialOp, each_axis
from lamina.ops._resampling import INTERPOLATIONS
from lamina.ops.arranging import crop, pad
from lamina.ops.resizing import resize, up_sample


class _UpSampling(SpatialOp):
    """Spatial axes ``size`` times as long."""

    operation = staticmethod(up_sample)

    def __init__(self, size, data_format=None, interpolation="nearest", **kwargs):
        super().__init__(data_format, **kwargs)
        self.size = each_axis(self, "size", size, self.rank)
        self.interpolation = known_interpolation(self, interpolation)

    def options(self):
        return {**super().options(), "size": self.size, "interpolation": self.interpolation}

    def get_config(self):
        size = self.size[0] if self.rank == 1 else self.size
        return {**super().get_config(), "size": size}


class UpSampling1D(_UpSampling):
    """Every step of signals (batch, steps, channels) ``size`` times."""

    rank = 1

    def __init__(self, size=2, **kwargs):
        super().__init__(size, **kwargs)


class UpSampling2D(_UpSampling):
    """Images ``size`` times as high and wide: see ``ops.up_sample``.

    Args:
        size: one number, or one for the height and one for the width.
        data_format: "channels_last" or "channels_first"; None is "channels_last".
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".

    Shapes:
        inputs (batch, height, width, channels), or with the channels first.
    """

    rank = 2

    def __init__(self, size=(2, 2), data_format=None, interpolation="nearest", **kwargs):
        super().__init__(size, data_format, interpolation, **kwargs)

    def get_config(self):
        return {**super().get_config(), "interpolation": self.interpolation}


class UpSampling3D(_UpSampling):
    """Every element of volumes (batch, depth, height, width, channels) ``size`` times each way."""

    rank = 3

    def __init__(self, size=(2, 2, 2), data_format=None, **kwargs):
        super().__init__(size, data_format, **kwargs)


class Resizing(Spatial):
    """Images in another size: see ``ops.resize``.

    Args:
        height, width: the new size.
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".
        crop_to_aspect_ratio: whether to crop images to the new proportions first, in their middle,
            so that nothing is distorted.
        pad_to_aspect_ratio: whether to pad them instead, on both sides alike.
        fill_mode: how to pad: "constant".
        fill_value: what to pad with.
        antialias: whether shrunken images are smoothed first.
        data_format: "channels_last" or "channels_first"; None is "channels_last".

    Shapes:
        inputs (batch, height, width, channels), or with the channels first.
    """

    stays_wide = True
    rank = 2

    def __init__(
        self,
        height,
        width,
        interpolation="bilinear",
        crop_to_aspect_ratio=False,
        pad_to_aspect_ratio=False,
        fill_mode="constant",
        fill_value=0.0,
        antialias=False,
        data_format=None,
        **kwargs,
    ):
        super().__init__(data_format, **kwargs)
        self.height = whole_number(self, "height", height)
        self.width = whole_number(self, "width", width)
        self.interpolation = known_interpolation(self, interpolation)
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ValueError(
                f"{self} takes one of crop_to_aspect_ratio and pad_to_aspect_ratio, got both"
            )
        if fill_mode != "constant":
            raise ValueError(f'{self} needs fill_mode "constant", got {fill_mode!r}')
        self.crop_to_aspect_ratio = bool(crop_to_aspect_ratio)
        self.pad_to_aspect_ratio = bool(pad_to_aspect_ratio)
        self.fill_mode, self.fill_value = fill_mode, fill_value
        self.antialias = bool(antialias)

    def call(self, inputs):
        height, width = self.spatial(inputs.shape)
        # what would have the new proportions, made with the whole height or the whole width
        fitted = int(width * self.height / self.width), int(height * self.width / self.height)
        if self.crop_to_aspect_ratio:
            ends = [(n, max(1, min(n, m))) for n, m in zip((height, width), fitted)]
            cropping = [(int((n - m) / 2), n - m - int((n - m) / 2)) for n, m in ends]
            inputs = crop(inputs, cropping=self._of_all_axes(cropping))
        elif self.pad_to_aspect_ratio:
            sides = [max(0, int((m - n) / 2)) for n, m in zip((height, width), fitted)]
            width_of_all = self._of_all_axes([(n, n) for n in sides])
            inputs = pad(inputs, pad_width=width_of_all, value=self.fill_value)
        return resize(inputs, **self._options())

    def _of_all_axes(self, pairs) -> tuple:
        return self.with_spatial(((0, 0),) * 4, pairs)

    def _options(self) -> dict:
        return {
            "size": (self.height, self.width),
            "interpolation": self.interpolation,
            "antialias": self.antialias,
            "data_format": self.data_format,
        }

    def links(self):
        if self.crop_to_aspect_ratio or self.pad_to_aspect_ratio:
            return None
        return [(resize, (), self._options())]

    def check_input(self, shape):
        super().check_input(shape)
        if 0 in self.spatial(shape):
            raise self.input_error("images with elements", shape, "drop what is empty")

    def get_config(self):
        return {
            **super().get_config(),
            "height": self.height,
            "width": self.width,
            "interpolation": self.interpolation,
            "crop_to_aspect_ratio": self.crop_to_aspect_ratio,
            "pad_to_aspect_ratio": self.pad_to_aspect_ratio,
            "fill_mode": self.fill_mode,
            "fill_value": self.fill_value,
            "antialias": self.antialias,
        }


def known_interpolation(owner, name) -> str:
    """``name`` in small letters, where it is an interpolation; else a ValueError."""
    lower = str(name).lower()
    if lower not in INTERPOLATIONS:
        raise ValueError(f"{owner}: {unknown('interpolation', name, INTERPOLATIONS)}")
    return lower
