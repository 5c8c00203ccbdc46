"""What layers of images, signals and volumes have in common: their axes and their checks."""

from lamina.layers._layer import Layer
from lamina.ops import _axes

_KINDS = {1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}


class Spatial(Layer):
    """A layer of inputs with ``rank`` spatial axes beside the batch and the channels.

    Args:
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels,
            ...); None is "channels_last".
    """

    rank = 2

    def __init__(self, data_format=None, **kwargs):
        super().__init__(**kwargs)
        if data_format is None:
            data_format = "channels_last"
        if data_format not in ("channels_last", "channels_first"):
            raise ValueError(
                f'{self} needs data_format "channels_last" or "channels_first", got {data_format!r}'
            )
        self.data_format = data_format

    def spatial(self, shape) -> tuple:
        """The lengths of the spatial axes of inputs of ``shape``."""
        return tuple(shape[2:] if self.data_format == "channels_first" else shape[1:-1])

    def with_spatial(self, shape, lengths) -> tuple:
        """``shape`` with other lengths of its spatial axes."""
        if self.data_format == "channels_first":
            return (*shape[:2], *lengths)
        return (shape[0], *lengths, shape[-1])

    def check_input(self, shape):
        shape = tuple(shape)
        if len(shape) != self.rank + 2:
            remedy = ""
            built = self._input_shape
            one_sample = built is not None and shape == tuple(built[1:])
            if len(shape) == self.rank + 1 and not one_sample:
                new = "x[..., None]" if self.data_format == "channels_last" else "x[:, None]"
                remedy = f"add a channel axis, {new}; or for one sample the batch's, x[None]"
            raise self.input_error(self.expected(), shape, remedy)

    def expected(self) -> str:
        """Inputs in words."""
        axes = [*_KINDS[self.rank]]
        axes.insert(0 if self.data_format == "channels_first" else self.rank, "channels")
        return f"inputs of shape (batch, {', '.join(axes)})"

    def get_config(self):
        return {**super().get_config(), "data_format": self.data_format}


class SpatialOp(Spatial):
    """A layer that is one op with options."""

    operation = None

    def options(self) -> dict:
        """The options of the op."""
        return {"data_format": self.data_format}

    def call(self, inputs):
        return type(self).operation(inputs, **self.options())

    def links(self):
        return [(type(self).operation, (), self.options())]

    def check_input(self, shape):
        super().check_input(shape)
        if 0 in self.spatial(shape):
            raise self.input_error("images with elements", shape, "drop what is empty")


def each_axis(owner, name: str, value, rank: int, least: int = 1) -> tuple[int, ...]:
    """``value``, one whole number or one per spatial axis, as one per axis.

    Raises:
        ValueError: for anything else, or a number below ``least``.
    """
    try:
        return _axes.each_axis(name, value, rank, least)
    except ValueError as error:
        raise ValueError(f"{owner}: {error}") from None
