"""Pooling to a given size: of the whole image to one number, or of so many parts."""

from lamina.layers._spatial import SpatialOp, each_axis
from lamina.ops.pooling import (
    adaptive_average_pool,
    adaptive_max_pool,
    global_average_pool,
    global_max_pool,
)


class _Global(SpatialOp):
    """Pooling over all of the image.

    Args:
        data_format: "channels_last" or "channels_first"; None is "channels_last".
        keepdims: whether to keep the spatial axes, with one element each.
    """

    def __init__(self, data_format=None, keepdims=False, **kwargs):
        super().__init__(data_format, **kwargs)
        self.keepdims = bool(keepdims)

    def options(self):
        return {**super().options(), "keepdims": self.keepdims}

    def get_config(self):
        return {**super().get_config(), "keepdims": self.keepdims}


class _Adaptive(SpatialOp):
    """Pooling of so many parts.

    Args:
        output_size: how many parts along each spatial axis: one number, or one per axis.
        data_format: "channels_last" or "channels_first"; None is "channels_last".
    """

    def __init__(self, output_size, data_format=None, **kwargs):
        super().__init__(data_format, **kwargs)
        self.output_size = each_axis(self, "output_size", output_size, self.rank)

    def options(self):
        return {**super().options(), "output_size": self.output_size}

    def get_config(self):
        return {**super().get_config(), "output_size": self.output_size}


class GlobalAveragePooling1D(_Global):
    """The mean of every channel of a signal: see ``ops.global_average_pool``.

    Shapes:
        inputs (batch, steps, channels), result (batch, channels);
        or with the channels first.
    """

    stays_wide = True
    rank = 1
    operation = staticmethod(global_average_pool)


class GlobalAveragePooling2D(_Global):
    """The mean of every channel of an image: see ``ops.global_average_pool``.

    Shapes:
        inputs (batch, height, width, channels), result (batch, channels);
        or with the channels first.
    """

    stays_wide = True
    rank = 2
    operation = staticmethod(global_average_pool)


class GlobalAveragePooling3D(_Global):
    """The mean of every channel of a volume: see ``ops.global_average_pool``.

    Shapes:
        inputs (batch, depth, height, width, channels), result (batch, channels);
        or with the channels first.
    """

    stays_wide = True
    rank = 3
    operation = staticmethod(global_average_pool)


class GlobalMaxPooling1D(_Global):
    """The largest number of every channel of a signal: see ``ops.global_max_pool``.

    Shapes:
        inputs (batch, steps, channels), result (batch, channels);
        or with the channels first.
    """

    rank = 1
    operation = staticmethod(global_max_pool)


class GlobalMaxPooling2D(_Global):
    """The largest number of every channel of an image: see ``ops.global_max_pool``.

    Shapes:
        inputs (batch, height, width, channels), result (batch, channels);
        or with the channels first.
    """

    rank = 2
    operation = staticmethod(global_max_pool)


class GlobalMaxPooling3D(_Global):
    """The largest number of every channel of a volume: see ``ops.global_max_pool``.

    Shapes:
        inputs (batch, depth, height, width, channels), result (batch, channels);
        or with the channels first.
    """

    rank = 3
    operation = staticmethod(global_max_pool)


class AdaptiveAveragePooling1D(_Adaptive):
    """The mean of each of ``output_size`` parts of a signal: see ``ops.adaptive_average_pool``.

    Shapes:
        inputs (batch, steps, channels), result (batch, *output_size, channels);
        or with the channels first.
    """

    stays_wide = True
    rank = 1
    operation = staticmethod(adaptive_average_pool)


class AdaptiveAveragePooling2D(_Adaptive):
    """The mean of each of ``output_size`` parts of an image: see ``ops.adaptive_average_pool``.

    Shapes:
        inputs (batch, height, width, channels), result (batch, *output_size, channels);
        or with the channels first.
    """

    stays_wide = True
    rank = 2
    operation = staticmethod(adaptive_average_pool)


class AdaptiveAveragePooling3D(_Adaptive):
    """The mean of each of ``output_size`` parts of a volume: see ``ops.adaptive_average_pool``.

    Shapes:
        inputs (batch, depth, height, width, channels), result (batch, *output_size, channels);
        or with the channels first.
    """

    stays_wide = True
    rank = 3
    operation = staticmethod(adaptive_average_pool)


class AdaptiveMaxPooling1D(_Adaptive):
    """The largest number of each of ``output_size`` parts of a signal:
    see ``ops.adaptive_max_pool``.

    Shapes:
        inputs (batch, steps, channels), result (batch, *output_size, channels);
        or with the channels first.
    """

    rank = 1
    operation = staticmethod(adaptive_max_pool)


class AdaptiveMaxPooling2D(_Adaptive):
    """The largest number of each of ``output_size`` parts of an image:
    see ``ops.adaptive_max_pool``.

    Shapes:
        inputs (batch, height, width, channels), result (batch, *output_size, channels);
        or with the channels first.
    """

    rank = 2
    operation = staticmethod(adaptive_max_pool)


class AdaptiveMaxPooling3D(_Adaptive):
    """The largest number of each of ``output_size`` parts of a volume:
    see ``ops.adaptive_max_pool``.

    Shapes:
        inputs (batch, depth, height, width, channels), result (batch, *output_size, channels);
        or with the channels first.
    """

    rank = 3
    operation = staticmethod(adaptive_max_pool)


GlobalAvgPool1D, GlobalAvgPool2D, GlobalAvgPool3D = (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
)
GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = (
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
)
