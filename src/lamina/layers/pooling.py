"""Pooling layers: one number for every window of an image, a signal or a volume."""

from lamina.layers._spatial import SpatialOp, each_axis
from lamina.ops.pooling import average_pool, max_pool


class _Pooling(SpatialOp):
    """Pooling in windows.

    Args:
        pool_size: the size of a window: one number, or one per spatial axis.
        strides: from one window to the next, alike; None is ``pool_size``.
        padding: "valid", only windows that lie inside; or "same", as many as there are strides,
            rounded up.
        data_format: "channels_last" or "channels_first"; None is "channels_last".

    Raises:
        ValueError: for images smaller than a window.
    """

    def __init__(
        self, pool_size, strides=None, padding="valid", data_format=None, name=None, **kwargs
    ):
        super().__init__(data_format, name=name, **kwargs)
        self.pool_size = each_axis(self, "pool_size", pool_size, self.rank)
        self.strides = self.pool_size
        if strides is not None:
            self.strides = each_axis(self, "strides", strides, self.rank)
        if str(padding).lower() not in ("valid", "same"):
            raise ValueError(f'{self} needs padding "valid" or "same", got {padding!r}')
        self.padding = padding.lower()

    def options(self):
        return {
            **super().options(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
        }

    def check_input(self, shape):
        super().check_input(shape)
        pairs = zip(self.spatial(shape), self.pool_size, strict=True)
        if self.padding == "valid" and any(n is not None and n < size for n, size in pairs):
            raise self.input_error(
                f"images of at least {self.pool_size}",
                shape,
                'make pool_size smaller, or pool less often, or pad (padding="same")',
            )

    def get_config(self):
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
        }


class MaxPooling1D(_Pooling):
    """The largest number of every window of a signal: see ``ops.max_pool``.

    Shapes:
        inputs (batch, steps, channels), or with the channels first.
    """

    rank = 1
    operation = staticmethod(max_pool)

    def __init__(
        self,
        pool_size=2,
        strides=None,
        padding="valid",
        data_format=None,
        name=None,
        **kwargs,
    ):
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


class MaxPooling2D(_Pooling):
    """The largest number of every window of an image: see ``ops.max_pool``.

    Shapes:
        inputs (batch, height, width, channels), or with the channels first.
    """

    rank = 2
    operation = staticmethod(max_pool)

    def __init__(
        self,
        pool_size=(2, 2),
        strides=None,
        padding="valid",
        data_format=None,
        name=None,
        **kwargs,
    ):
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


class MaxPooling3D(_Pooling):
    """The largest number of every window of a volume: see ``ops.max_pool``.

    Shapes:
        inputs (batch, depth, height, width, channels), or with the channels first.
    """

    rank = 3
    operation = staticmethod(max_pool)

    def __init__(
        self,
        pool_size=(2, 2, 2),
        strides=None,
        padding="valid",
        data_format=None,
        name=None,
        **kwargs,
    ):
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


class AveragePooling1D(_Pooling):
    """The mean of every window of a signal: see ``ops.average_pool``.

    Shapes:
        inputs (batch, steps, channels), or with the channels first.
    """

    rank = 1
    operation = staticmethod(average_pool)


class AveragePooling2D(_Pooling):
    """The mean of every window of an image: see ``ops.average_pool``.

    Shapes:
        inputs (batch, height, width, channels), or with the channels first.
    """

    rank = 2
    operation = staticmethod(average_pool)


class AveragePooling3D(_Pooling):
    """The mean of every window of a volume: see ``ops.average_pool``.

    Shapes:
        inputs (batch, depth, height, width, channels), or with the channels first.
    """

    rank = 3
    operation = staticmethod(average_pool)


AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
