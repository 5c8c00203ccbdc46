"""The U-Net, which says of every pixel what it belongs to."""

from lamina import activations, layers
from lamina.layers._options import whole_number
from lamina.models import Sequential


class UNetLevel(layers.Layer):
    """One level of the U, with all levels below it inside: a layer that holds its own kind.

        encoded = convolutions(inputs)
        result  = convolutions(join(encoded, up(level below(halved(encoded)))))

    The lowest level is the first line alone. What is joined past the levels below brings back the
    places that halving has lost.

    Args:
        filters: the channels of this level; each level below has twice as many.
        depth: how many levels are below.

    Shapes:
        inputs (batch, height, width, channels), height and width multiples of 2**depth; result the
        same with ``filters`` channels.
    """

    def __init__(self, filters, depth, **kwargs):
        super().__init__(**kwargs)
        self.filters = whole_number(self, "filters", filters)
        self.depth = whole_number(self, "depth", depth, 0)
        self.encode = [_convolution(filters), _convolution(filters)]
        if depth:
            self.halve = layers.MaxPooling2D(2)
            self.below = UNetLevel(2 * filters, depth - 1)
            self.up = layers.Conv2DTranspose(filters, 2, 2, kernel_initializer="he_normal")
            self.join = layers.Concatenate()
            self.decode = [_convolution(filters), _convolution(filters)]

    def call(self, inputs):
        x = inputs
        for layer in self.encode:
            x = layer(x)
        if not self.depth:
            return x
        x = self.join([x, self.up(self.below(self.halve(x)))])
        for layer in self.decode:
            x = layer(x)
        return x

    def check_input(self, shape):
        super().check_input(shape)
        if len(shape) != 4:
            raise self.input_error("images of shape (batch, height, width, channels)", shape)
        step = 2**self.depth
        if any(n is not None and n % step for n in shape[1:3]):
            raise self.input_error(
                f"heights and widths that are multiples of {step}, to be halved {self.depth} times",
                shape,
                "pad or resize the images",
            )

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "depth": self.depth}


def UNet(
    input_shape=(None, None, 1),
    classes=2,
    filters=64,
    depth=4,
    classifier_activation="softmax",
    *,
    dtype=None,
    backend=None,
    name="unet",
):
    """Classes for every pixel: convolutions down to a small image and up again, joined by level.

    As published, but for the borders: convolutions pad, so the result is as large as the image,
    where the publication lets the image shrink and cuts what is joined.

    Args:
        input_shape: of one image, channels last; None for heights and widths of any multiple of
            2**depth.
        classes: the number of outputs at each pixel.
        filters: the channels of the highest level.
        depth: how often the image is halved.
        classifier_activation: of the output; "sigmoid" for ``classes=1``, None gives logits.
        dtype, backend, name: as of ``lamina.Sequential``.

    Raises:
        ValueError: for a softmax over one class, which is always 1.

    Source: Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image
    segmentation", 2015, figure 1.
    """
    if classes == 1 and activations.get(classifier_activation) is activations.softmax:
        raise ValueError(
            "UNet needs a softmax over two classes or more, got classes=1, of which it is always "
            '1: pass classifier_activation="sigmoid", or classes=2'
        )
    return Sequential(
        [
            layers.Input(input_shape, dtype=dtype),
            UNetLevel(filters, depth),
            layers.Conv2D(classes, 1, activation=classifier_activation),
        ],
        dtype=dtype,
        backend=backend,
        name=name,
    )


def _convolution(filters):
    return layers.Conv2D(
        filters, 3, padding="same", activation="relu", kernel_initializer="he_normal"
    )
