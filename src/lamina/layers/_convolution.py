"""What the convolutional layers share: their settings, their checks, and how they are computed.

Each layer is its parameters and the op they go into: the mathematics is in ``ops/convolution.py``.
"""

import math

from lamina import activations, constraints, initializers, regularizers
from lamina.errors import unknown
from lamina.layers._options import whole_number
from lamina.layers._spatial import Spatial, each_axis
from lamina.ops._windows import PADDINGS, windows
from lamina.ops.fully_connected import FUSABLE

_BIG = 1 << 30  # stands for an axis of any length where only the others are checked


class Convolution(Spatial):
    """A layer of ``rank`` spatial axes that is one op of its inputs and its parameters.

    A subclass names the rank, the op and the parameters that go into it, and gives their shapes.

    Attributes:
        rank: how many spatial axes there are.
        op: one of ``ops/convolution.py``.
        stems: for the op's parameters but the bias, in order, what their options begin with.
    """

    rank: int
    op: object
    stems: dict[str, str] = {"kernel": "kernel"}
    paddings = PADDINGS
    groups = 1

    def __init__(
        self, kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
        activity_regularizer, options, kwargs,
    ):  # fmt: skip
        """``options`` has the initializer, regularizer and constraint of each parameter by name."""
        super().__init__(data_format, activity_regularizer=activity_regularizer, **kwargs)
        self.kernel_size = each_axis(self, "kernel_size", kernel_size, self.rank)
        self.strides = each_axis(self, "strides", strides, self.rank)
        self.dilation_rate = each_axis(self, "dilation_rate", dilation_rate, self.rank)
        self.padding = padding.lower() if isinstance(padding, str) else padding
        known = [name for name in self.paddings if self.rank == 1 or name != "causal"]
        if self.padding not in known:
            raise unknown(f"padding of {self}", padding, known)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{self} can have strides or dilation_rate above 1, not both, got strides "
                f"{self.strides} and dilation_rate {self.dilation_rate}"
            )
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.stems = {**type(self).stems, "bias": "bias"}
        for name in self.stems:
            setattr(self, f"{self.stems[name]}_initializer", initializers.get(options[name][0]))
            setattr(self, f"{self.stems[name]}_regularizer", regularizers.get(options[name][1]))
            setattr(self, f"{self.stems[name]}_constraint", constraints.get(options[name][2]))
            setattr(self, name, None)
        self._fused = FUSABLE.get(self.activation)
        if self.data_format == "channels_first" and "softmax" in (self._fused or ""):
            self._fused = None  # softmaxes are along the last axis, where the channels are not

    def parts(self):
        """The names of the parameters but the bias."""
        return type(self).stems

    # ---- computing --------------------------------------------------------------------------

    def build(self, input_shape):
        channels = input_shape[self._channel_axis]
        for name, shape in zip(self.parts(), self.shapes(channels), strict=True):
            setattr(self, name, self._parameter(name, shape))
        if self.use_bias:
            self.bias = self._parameter("bias", (self.outputs(channels),))

    def _parameter(self, name, shape):
        return self.add_weight(
            shape,
            getattr(self, f"{self.stems[name]}_initializer"),
            regularizer=getattr(self, f"{self.stems[name]}_regularizer"),
            constraint=getattr(self, f"{self.stems[name]}_constraint"),
            name=name,
        )

    def shapes(self, channels):
        """The shapes of the parameters but the bias, for so many channels."""
        raise NotImplementedError

    def outputs(self, channels):
        """How many channels come out."""
        return self.filters

    def settings(self) -> dict:
        """The op's options but for the activation."""
        return {
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "data_format": self.data_format,
        }

    def call(self, inputs):
        kernels = [getattr(self, name) for name in self.parts()]
        fused = self._fused or "linear"
        out = type(self).op(inputs, *kernels, self.bias, activation=fused, **self.settings())
        return out if self._fused else self.activation(out)

    def links(self):
        kernels = [getattr(self, name) for name in self.parts()]
        options = {**self.settings(), "activation": self._fused or "linear"}
        own = (type(self).op, (*kernels, self.bias), options)
        return [own] if self._fused else [own, (self.activation, (), {})]

    def multiplications(self):
        if not self.built:
            return 0
        numbers = sum(getattr(self, name).size for name in self.parts())
        return numbers * math.prod(self.windows(self._image(self._input_shape, 32)).count)

    # ---- checks -----------------------------------------------------------------------------

    @property
    def _channel_axis(self) -> int:
        return -1 if self.data_format == "channels_last" else 1

    def _image(self, shape, unknown):
        """The lengths of the spatial axes, ``unknown`` where they may be any."""
        return tuple(unknown if n is None else n for n in self.spatial(shape))

    def windows(self, image):
        """The windows on an image of such lengths."""
        return windows(image, self.kernel_size, self.strides, self.padding, self.dilation_rate)

    def check_input(self, shape):
        super().check_input(shape)
        built = self._input_shape
        channels = shape[self._channel_axis]
        if channels is None:
            raise self.input_error(self.expected(), shape, "give the number of channels")
        if built is not None and channels != built[self._channel_axis]:
            known = built[self._channel_axis]
            raise self.input_error(f"{known} channels", shape, self._turned_remedy(shape, known))
        if channels % self.groups:
            raise self.input_error(
                f"a number of channels that its {self.groups} groups divide", shape
            )
        try:
            self.windows(self._image(shape, _BIG))
        except ValueError as error:
            expected, _, remedy = str(error).partition(": ")
            if self._image(shape, _BIG)[0] in (1, 3) and self._fits_turned(shape):
                remedy = self._turned_remedy(shape, shape[1]) or remedy
            raise ValueError(f"{self}, given {tuple(shape)}: {expected}: {remedy}") from None

    def _fits_turned(self, shape) -> bool:
        """Whether windows would fit if the channels were at the other end."""
        batch, *inner = shape
        last = self.data_format == "channels_last"
        turned = (batch, *inner[1:], inner[0]) if last else (batch, inner[-1], *inner[:-1])
        try:
            self.windows(self._image(turned, _BIG))
        except ValueError:
            return False
        return True

    def _turned_remedy(self, shape, channels) -> str:
        """What to do where the channels seem to be at the other end."""
        other = 1 if self.data_format == "channels_last" else -1
        if shape[other] != channels:
            return ""
        found, axes = ("first", "1, -1") if other == 1 else ("last", "-1, 1")
        return (
            f"the images seem to be channels-{found}: pass xp.moveaxis(x, {axes}), or give the "
            f"layers data_format='channels_{found}'"
        )

    def get_config(self):
        config = {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
        }
        for kind, room in _KINDS.items():
            for stem in self.stems.values():
                option = f"{stem}_{kind}"
                config[option] = room.serialize(getattr(self, option))
        return config


_KINDS = {
    "initializer": initializers,
    "regularizer": regularizers,
    "constraint": constraints,
}


def checked_filters(layer, filters, groups=1) -> tuple[int, int]:
    """Numbers of filters and groups, one a multiple of the other."""
    filters = whole_number(layer, "filters", filters)
    groups = whole_number(layer, "groups", groups)
    if filters % groups:
        raise ValueError(
            f"{layer} needs a number of filters that its groups divide, got {filters} filters in "
            f"{groups} groups"
        )
    return filters, groups
