"""Residual networks: every block learns what to add to its input, so that depth does no harm."""

from lamina import layers, xp
from lamina.layers._options import whole_number
from lamina.models import Sequential


class ResidualBlock(layers.Layer):
    """``relu(body(inputs) + shortcut(inputs))``: a layer made of layers.

    The body is two convolutions of 3 x 3, each with batch normalization, the first with a relu.
    The shortcut is the input itself. Where the body halves the image or has more channels, it is

        "projection"    a convolution of 1 x 1 with batch normalization (option B of the paper)
        "padding"       every second position, with channels of zeros added (option A); it has no
                        parameters

    Args:
        filters: the channels of the result.
        strides: 2 halves height and width.
        shortcut: "projection" or "padding".
        momentum, epsilon: of the batch normalizations.

    Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2016, figure 2
    and section 3.3.
    """

    def __init__(
        self, filters, strides=1, shortcut="projection", momentum=0.9, epsilon=1e-5, **kwargs
    ):
        super().__init__(**kwargs)
        self.filters = whole_number(self, "filters", filters)
        self.strides = whole_number(self, "strides", strides)
        if shortcut not in ("projection", "padding"):
            raise ValueError(f'{self} needs a shortcut "projection" or "padding", got {shortcut!r}')
        self.shortcut = shortcut
        self.momentum, self.epsilon = momentum, epsilon
        self.body = [
            _convolution(filters, 3, strides),
            self._normalization(),
            layers.ReLU(),
            _convolution(filters, 3),
            self._normalization(),
        ]
        self.side = []
        self.relu = layers.ReLU()

    def _normalization(self):
        return layers.BatchNormalization(momentum=self.momentum, epsilon=self.epsilon)

    def build(self, input_shape):
        if self.shortcut == "projection" and (self.strides, self.filters) != (1, input_shape[-1]):
            self.side = [_convolution(self.filters, 1, self.strides), self._normalization()]

    def call(self, inputs):
        x, side = inputs, inputs
        for layer in self.body:
            x = layer(x)
        for layer in self.side:
            side = layer(side)
        if self.shortcut == "padding":
            side = self._padded(side)
        return self.relu(x + side)

    def _padded(self, x):
        """Every second position; channels of zeros behind those that there are."""
        if self.strides > 1:
            x = x[:, :: self.strides, :: self.strides, :]
        lacking = self.filters - x.shape[-1]
        if not lacking:
            return x
        place = self.backend
        shape = (*x.shape[:-1], lacking)
        zeros = place.xp.zeros(shape, dtype=x.dtype, device=place.device)
        return xp.concat([x, zeros], axis=-1)

    def check_input(self, shape):
        super().check_input(shape)
        if len(shape) != 4:
            raise self.input_error("images of shape (batch, height, width, channels)", shape)
        if self.shortcut == "padding" and shape[-1] > self.filters:
            raise self.input_error(f"at most {self.filters} channels to add zeros to", shape)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "shortcut": self.shortcut,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
        }


def ResNet20(
    input_shape=(32, 32, 3),
    classes=10,
    filters=16,
    classifier_activation="softmax",
    *,
    dtype=None,
    backend=None,
    name="resnet20",
):
    """The residual network of 20 layers for small images: 0.27 million parameters.

    A convolution, three stages of three blocks with ``filters``, twice and four times as many
    channels, whose shortcuts have no parameters, the mean over all positions, a dense layer.
    It is published as trained with SGD at 0.1, momentum 0.9 and weight decay 1e-4, the rate divided
    by 10 after 32,000 and 48,000 steps, on batches of 128 flipped and shifted images.

    Args:
        input_shape: of one image, channels last.
        classes: the number of outputs.
        filters: the channels of the first stage.
        classifier_activation: of the output; None gives logits.
        dtype, backend, name: as of ``lamina.Sequential``.

    Source: He et al., "Deep residual learning for image recognition", 2016, section 4.2, n = 3.
    """
    stack = [
        layers.Input(input_shape, dtype=dtype),
        _convolution(filters, 3),
        layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
        layers.ReLU(),
    ]
    for stage in range(3):
        for block in range(3):
            strides = 2 if stage and not block else 1
            stack.append(ResidualBlock(filters * 2**stage, strides, "padding"))
    stack += [layers.GlobalAveragePooling2D(), _classifier(classes, classifier_activation)]
    return Sequential(stack, dtype=dtype, backend=backend, name=name)


def ResNet18(
    input_shape=(224, 224, 3),
    classes=1000,
    filters=64,
    classifier_activation="softmax",
    *,
    dtype=None,
    backend=None,
    name="resnet18",
):
    """The residual network of 18 layers for photographs: 11.7 million parameters.

    A convolution of 7 x 7 and a maximum over 3 x 3 bring the image to a quarter of its height and
    width; four stages of two blocks with ``filters``, 2, 4 and 8 times as many channels, whose
    shortcuts are projections where the shape changes; the mean over all positions; a dense layer.

    Args:
        input_shape, classes, filters, classifier_activation, dtype, backend, name: as of
            ``ResNet20``.

    Source: He et al., "Deep residual learning for image recognition", 2016, table 1.
    """
    stack = [
        layers.Input(input_shape, dtype=dtype),
        _convolution(filters, 7, 2),
        layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
        layers.ReLU(),
        layers.MaxPooling2D(3, 2, "same"),
    ]
    for stage in range(4):
        for block in range(2):
            strides = 2 if stage and not block else 1
            stack.append(ResidualBlock(filters * 2**stage, strides, "projection"))
    stack += [layers.GlobalAveragePooling2D(), _classifier(classes, classifier_activation)]
    return Sequential(stack, dtype=dtype, backend=backend, name=name)


def _convolution(filters, size, strides=1):
    """Without a bias, which the batch normalization behind it would take away again."""
    return layers.Conv2D(
        filters, size, strides, "same", use_bias=False, kernel_initializer="he_normal"
    )


def _classifier(classes, activation):
    return layers.Dense(classes, activation, kernel_initializer="he_normal")
