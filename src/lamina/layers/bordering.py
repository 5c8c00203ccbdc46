"""Layers that put a border around images, or take one off."""

from lamina.layers._options import whole_number
from lamina.layers._spatial import SpatialOp
from lamina.ops.arranging import crop, pad


class _Bordered(SpatialOp):
    """A layer with a pair of widths for every spatial axis."""

    def pairs(self, name: str, value) -> tuple[tuple[int, int], ...]:
        """``value`` as one pair per spatial axis.

        Raises:
            ValueError: where it is neither one number, nor one number or pair per axis.
        """
        if self.rank == 1 and isinstance(value, tuple | list):
            value = (value,)
        values = value if isinstance(value, tuple | list) else (value,) * self.rank
        pairs = [v if isinstance(v, tuple | list) else (v, v) for v in values]
        if len(pairs) != self.rank or any(len(pair) != 2 for pair in pairs):
            one = "one pair" if self.rank == 1 else f"{self.rank} numbers, or {self.rank} pairs"
            raise ValueError(f"{self} needs {name} as one whole number, or {one}, got {value!r}")
        return tuple(tuple(whole_number(self, name, n, least=0) for n in pair) for pair in pairs)

    def widths(self, pairs) -> tuple:
        """``pairs`` with those of the batch and the channels."""
        none = (0, 0)
        if self.data_format == "channels_first":
            return (none, none, *pairs)
        return (none, *pairs, none)


class _ZeroPadding(_Bordered):
    """Zeros around every image.

    Args:
        padding: the width of the border: one number, one per spatial axis, or one pair (in front,
            behind) per spatial axis.
        data_format: "channels_last" or "channels_first"; None is "channels_last".
    """

    operation = staticmethod(pad)

    def __init__(self, padding, data_format=None, **kwargs):
        super().__init__(data_format, **kwargs)
        self.padding = self.pairs("padding", padding)

    def options(self):
        return {"pad_width": self.widths(self.padding)}

    def get_config(self):
        padding = self.padding[0] if self.rank == 1 else self.padding
        return {**super().get_config(), "padding": padding}


class _Cropping(_Bordered):
    """Every image without its border.

    Args:
        cropping: the width of the border: one number, one per spatial axis, or one pair (in front,
            behind) per spatial axis.
        data_format: "channels_last" or "channels_first"; None is "channels_last".

    Raises:
        ValueError: for images of which nothing would be left.
    """

    operation = staticmethod(crop)

    def __init__(self, cropping, data_format=None, **kwargs):
        super().__init__(data_format, **kwargs)
        self.cropping = self.pairs("cropping", cropping)

    def options(self):
        return {"cropping": self.widths(self.cropping)}

    def check_input(self, shape):
        super().check_input(shape)
        pairs = zip(self.spatial(shape), self.cropping, strict=True)
        if any(n is not None and n <= sum(pair) for n, pair in pairs):
            least = tuple(sum(pair) + 1 for pair in self.cropping)
            raise self.input_error(f"images of at least {least}", shape, "crop less")

    def get_config(self):
        cropping = self.cropping[0] if self.rank == 1 else self.cropping
        return {**super().get_config(), "cropping": cropping}


class ZeroPadding1D(_ZeroPadding):
    """Zeros around signals (batch, steps, channels), or with the channels first."""

    rank = 1

    def __init__(self, padding=1, data_format=None, **kwargs):
        super().__init__(padding, data_format, **kwargs)


class ZeroPadding2D(_ZeroPadding):
    """Zeros around images (batch, height, width, channels), or with the channels first."""

    rank = 2

    def __init__(self, padding=(1, 1), data_format=None, **kwargs):
        super().__init__(padding, data_format, **kwargs)


class ZeroPadding3D(_ZeroPadding):
    """Zeros around volumes (batch, depth, height, width, channels), or with the channels first."""

    rank = 3

    def __init__(self, padding=((1, 1), (1, 1), (1, 1)), data_format=None, **kwargs):
        super().__init__(padding, data_format, **kwargs)


class Cropping1D(_Cropping):
    """The inside of signals (batch, steps, channels), or with the channels first."""

    rank = 1

    def __init__(self, cropping=(1, 1), **kwargs):
        super().__init__(cropping, **kwargs)


class Cropping2D(_Cropping):
    """The inside of images (batch, height, width, channels), or with the channels first."""

    rank = 2

    def __init__(self, cropping=((0, 0), (0, 0)), data_format=None, **kwargs):
        super().__init__(cropping, data_format, **kwargs)


class Cropping3D(_Cropping):
    """The inside of volumes (batch, depth, height, width, channels), or with the channels first."""

    rank = 3

    def __init__(self, cropping=((1, 1), (1, 1), (1, 1)), data_format=None, **kwargs):
        super().__init__(cropping, data_format, **kwargs)
