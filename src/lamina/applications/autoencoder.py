"""A convolutional autoencoder: a network that squeezes images through few numbers."""

import math

from lamina import layers
from lamina.layers._options import whole_number
from lamina.models import Model, Sequential


class ConvAutoencoder(Model):
    """``decoder(encoder(inputs))``, trained to give its input back through ``latent`` numbers.

    The encoder halves the image with each convolution, and ends in a dense layer; the decoder does
    the same backwards, with transposed convolutions. Train it on ``fit(x, x)``.

    Args:
        input_shape: of one image, channels last; height and width multiples of
            2**len(filters).
        latent: how many numbers stand for an image.
        filters: the channels after each halving.
        activation: of the layers inside.
        output_activation: "sigmoid" for images from 0 to 1, None for any.
        dtype, backend, name: as of ``lamina.Model``.

    Attributes:
        encoder: the model from images to codes, shape (batch, latent).
        decoder: the model from codes to images.

    Source: Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks",
    2006; with convolutions: Masci et al., "Stacked convolutional auto-encoders", 2011.
    """

    def __init__(
        self,
        input_shape=(28, 28, 1),
        latent=32,
        filters=(16, 32),
        activation="relu",
        output_activation="sigmoid",
        *,
        dtype=None,
        backend=None,
        name="conv_autoencoder",
    ):
        super().__init__(dtype=dtype, backend=backend, name=name)
        height, width, channels = input_shape
        step = 2 ** len(filters)
        if height % step or width % step:
            raise ValueError(
                f"{self} needs a height and width that are multiples of {step}, to be halved "
                f"{len(filters)} times, got {tuple(input_shape)}: pad or resize the images"
            )
        latent = whole_number(self, "latent", latent)
        small = (height // step, width // step, filters[-1])
        options = {"padding": "same", "activation": activation}
        self.encoder = Sequential(
            [
                layers.Input(input_shape, dtype=dtype),
                *[layers.Conv2D(n, 3, 2, **options) for n in filters],
                layers.Flatten(),
                layers.Dense(latent),
            ],
            dtype=dtype,
            backend=backend,
            name="encoder",
        )
        self.decoder = Sequential(
            [
                layers.Input((latent,), dtype=dtype),
                layers.Dense(math.prod(small), activation),
                layers.Reshape(small),
                *[layers.Conv2DTranspose(n, 3, 2, **options) for n in filters[-2::-1]],
                layers.Conv2DTranspose(
                    channels, 3, 2, padding="same", activation=output_activation
                ),
            ],
            dtype=dtype,
            backend=backend,
            name="decoder",
        )
        self.build_for((None, *input_shape))

    def call(self, inputs):
        return self.decoder(self.encoder(inputs))
