"""Convolutional layers: the same few weights at every place of a signal, picture or volume."""

from lamina.layers._convolution import Convolution, checked_filters
from lamina.ops.convolution import conv


class _Conv(Convolution):
    """``activation(conv(inputs, kernel) + bias)``; see ``ops.conv`` for the equation.

    Args:
        filters: the number of channels that come out.
        kernel_size: the length of the windows, a number or one for each spatial axis; so for
            ``strides`` and ``dilation_rate``, of which only one may be above 1.
        strides: from one window to the next.
        padding: "valid" for windows within the image, "same" for an output of
            ``ceil(length / stride)``; for Conv1D also "causal", which looks back only.
        data_format: "channels_last" (None is the same) or "channels_first".
        dilation_rate: from one place in a window to the next.
        groups: in how many equal parts the channels are cut, each with filters of its own.
        activation: a name or function; None leaves the sum as it is.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: where the parameters start.
        kernel_regularizer, bias_regularizer: penalties on them, added to the loss.
        activity_regularizer: a penalty on the output.
        kernel_constraint, bias_constraint: what they satisfy after every step.

    Shapes:
        inputs (batch, *image, in), result (batch, *windows, filters), with the channels in front
        of the image for channels_first; kernel (*window, in / groups, filters); bias (filters,).

    Raises:
        ValueError: for numbers below 1, filters or channels that the groups do not divide, strides
            together with dilation, and inputs of another rank or too small for one window.
    """

    op = conv

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
        groups=1,
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        options = {
            "kernel": (kernel_initializer, kernel_regularizer, kernel_constraint),
            "bias": (bias_initializer, bias_regularizer, bias_constraint),
        }
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            activity_regularizer, options, kwargs,
        )  # fmt: skip
        self.filters, self.groups = checked_filters(self, filters, groups)

    def shapes(self, channels):
        return [(*self.kernel_size, channels // self.groups, self.filters)]

    def settings(self):
        return {**super().settings(), "groups": self.groups}

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "groups": self.groups}


class Conv1D(_Conv):
    rank = 1
    __doc__ = _Conv.__doc__.replace("*image", "steps").replace("*windows", "windows")


class Conv2D(_Conv):
    rank = 2
    __doc__ = _Conv.__doc__.replace("*image", "rows, columns")


class Conv3D(_Conv):
    rank = 3
    __doc__ = _Conv.__doc__.replace("*image", "planes, rows, columns")
