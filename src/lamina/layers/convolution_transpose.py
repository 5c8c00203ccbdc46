"""Transposed convolutions: from few places to many, as a decoder needs."""

from lamina.layers._convolution import Convolution, checked_filters
from lamina.layers._spatial import each_axis
from lamina.ops._windows import transposed_windows
from lamina.ops.convolution import conv_transpose


class _ConvTranspose(Convolution):
    """``activation(conv_transpose(inputs, kernel) + bias)``; see ``ops.conv_transpose``.

    Args:
        filters: the number of channels that come out.
        kernel_size, strides, dilation_rate: a number, or one for each spatial axis; only one of
            strides and dilation_rate may be above 1.
        padding: "valid" keeps all that the inputs lay down, "same" makes ``length * stride``.
        output_padding: None, or a number below the stride, or one for each axis: how much longer
            the image is than ``(length - 1) * stride`` and the window (for "same": and 1 for odd
            windows).
        data_format: "channels_last" (None is the same) or "channels_first".
        activation, use_bias, and the rest: as for ``Conv2D``.

    Shapes:
        inputs (batch, *lengths, in), result (batch, *image, filters), with the channels in front
        for channels_first; kernel (*window, filters, in); bias (filters,).

    Raises:
        ValueError: as ``Conv2D``, and for an output_padding not below the stride.
    """

    op = conv_transpose
    paddings = ("same", "valid")

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        output_padding=None,
        data_format=None,
        dilation_rate=1,
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
        self.filters, _ = checked_filters(self, filters)
        self.output_padding = None
        if output_padding is not None:
            self.output_padding = each_axis(self, "output_padding", output_padding, self.rank, 0)
            if any(p >= s for p, s in zip(self.output_padding, self.strides, strict=True)):
                raise ValueError(
                    f"{self} needs an output_padding below its strides {self.strides}, got "
                    f"{output_padding!r}"
                )

    def shapes(self, channels):
        return [(*self.kernel_size, self.filters, channels)]

    def settings(self):
        return {**super().settings(), "output_padding": self.output_padding}

    def windows(self, counts):
        return transposed_windows(
            counts,
            self.kernel_size,
            self.strides,
            self.padding,
            self.output_padding,
            self.dilation_rate,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "output_padding": self.output_padding,
        }


class Conv1DTranspose(_ConvTranspose):
    rank = 1
    __doc__ = _ConvTranspose.__doc__.replace("*lengths", "steps").replace("*image", "steps")


class Conv2DTranspose(_ConvTranspose):
    rank = 2
    __doc__ = _ConvTranspose.__doc__


class Conv3DTranspose(_ConvTranspose):
    rank = 3
    __doc__ = _ConvTranspose.__doc__

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        output_padding=None,
        *args,
        **kwargs,
    ):
        """Keras has data_format and output_padding the other way round here."""
        super().__init__(
            filters, kernel_size, strides, padding, output_padding, data_format, *args, **kwargs
        )
