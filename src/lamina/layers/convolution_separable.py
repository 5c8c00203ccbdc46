"""Cheap convolutions: every channel on its own, and a mixture of the channels after it."""

from lamina.layers._convolution import Convolution, checked_filters
from lamina.layers._options import whole_number
from lamina.ops.convolution import conv, depthwise_conv, separable_conv


class _DepthwiseConv(Convolution):
    """``activation(depthwise_conv(inputs, kernel) + bias)``: filters that see one channel each.

    Args:
        kernel_size, strides, dilation_rate: a number, or one for each spatial axis; only one of
            strides and dilation_rate may be above 1.
        padding: "valid" or "same", in one dimension also "causal".
        depth_multiplier: how many filters each channel has.
        data_format: "channels_last" (None is the same) or "channels_first".
        activation: a name or function; None leaves the sum as it is.
        use_bias: whether a bias is added.
        depthwise_initializer, depthwise_regularizer, depthwise_constraint: of the kernel.
        bias_initializer, bias_regularizer, bias_constraint: of the bias.
        activity_regularizer: a penalty on the output.

    Shapes:
        inputs (batch, *image, in), result (batch, *windows, in * depth_multiplier), with the
        channels in front for channels_first; kernel (*window, in, depth_multiplier); bias
        (in * depth_multiplier,).

    Raises:
        ValueError: as ``Conv2D``.
    """

    op = depthwise_conv
    stems = {"kernel": "depthwise"}

    def __init__(
        self,
        kernel_size,
        strides=1,
        padding="valid",
        depth_multiplier=1,
        data_format=None,
        dilation_rate=1,
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        depthwise_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        options = {
            "kernel": (depthwise_initializer, depthwise_regularizer, depthwise_constraint),
            "bias": (bias_initializer, bias_regularizer, bias_constraint),
        }
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            activity_regularizer, options, kwargs,
        )  # fmt: skip
        self.depth_multiplier = whole_number(self, "depth_multiplier", depth_multiplier)

    def shapes(self, channels):
        return [(*self.kernel_size, channels, self.depth_multiplier)]

    def outputs(self, channels):
        return channels * self.depth_multiplier

    def get_config(self):
        return {**super().get_config(), "depth_multiplier": self.depth_multiplier}


class DepthwiseConv1D(_DepthwiseConv):
    rank = 1
    __doc__ = _DepthwiseConv.__doc__.replace("*image", "steps").replace("*windows", "windows")


class DepthwiseConv2D(_DepthwiseConv):
    rank = 2
    __doc__ = _DepthwiseConv.__doc__.replace("*image", "rows, columns")


class _SeparableConv(Convolution):
    """A depthwise convolution, then one of windows of 1 that mixes the channels.

        activation(conv(depthwise_conv(inputs, depthwise_kernel), pointwise_kernel) + bias)

    Args:
        filters: the number of channels that come out.
        kernel_size, strides, dilation_rate: of the depthwise convolution; a number, or one for
            each spatial axis; only one of strides and dilation_rate may be above 1.
        padding: "valid" or "same", in one dimension also "causal".
        data_format: "channels_last" (None is the same) or "channels_first".
        depth_multiplier: how many depthwise filters each channel has.
        activation: a name or function; None leaves the sum as it is.
        use_bias: whether a bias is added.
        depthwise_initializer, depthwise_regularizer, depthwise_constraint: of the first kernel.
        pointwise_initializer, pointwise_regularizer, pointwise_constraint: of the second.
        bias_initializer, bias_regularizer, bias_constraint: of the bias.
        activity_regularizer: a penalty on the output.

    Shapes:
        inputs (batch, *image, in), result (batch, *windows, filters), with the channels in front
        for channels_first; depthwise_kernel (*window, in, depth_multiplier); pointwise_kernel
        (1, ..., 1, in * depth_multiplier, filters); bias (filters,).

    Raises:
        ValueError: as ``Conv2D``.
    """

    op = separable_conv
    stems = {"depthwise_kernel": "depthwise", "pointwise_kernel": "pointwise"}

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
        depth_multiplier=1,
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        pointwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        pointwise_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        depthwise_constraint=None,
        pointwise_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        options = {
            "depthwise_kernel": (
                depthwise_initializer, depthwise_regularizer, depthwise_constraint,
            ),
            "pointwise_kernel": (
                pointwise_initializer, pointwise_regularizer, pointwise_constraint,
            ),
            "bias": (bias_initializer, bias_regularizer, bias_constraint),
        }  # fmt: skip
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            activity_regularizer, options, kwargs,
        )  # fmt: skip
        self.filters, _ = checked_filters(self, filters)
        self.depth_multiplier = whole_number(self, "depth_multiplier", depth_multiplier)

    def shapes(self, channels):
        mixed = channels * self.depth_multiplier
        return [
            (*self.kernel_size, channels, self.depth_multiplier),
            (*(1,) * self.rank, mixed, self.filters),
        ]

    def links(self):
        own, *more = super().links()
        _, (depthwise, pointwise, bias), options = own
        ends = {"data_format": self.data_format, "activation": options["activation"]}
        first = (depthwise_conv, (depthwise, None), {**options, "activation": "linear"})
        second = (conv, (pointwise, bias), ends)
        return [first, second, *more]

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "depth_multiplier": self.depth_multiplier,
        }


class SeparableConv1D(_SeparableConv):
    rank = 1
    __doc__ = _SeparableConv.__doc__.replace("*image", "steps").replace("*windows", "windows")


class SeparableConv2D(_SeparableConv):
    rank = 2
    __doc__ = _SeparableConv.__doc__.replace("*image", "rows, columns")
