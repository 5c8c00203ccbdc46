"""LeNet-5, the first convolutional network in everyday use: it read cheques."""

from lamina import layers
from lamina.models import Sequential


def LeNet5(
    input_shape=(28, 28, 1),
    classes=10,
    activation="tanh",
    classifier_activation="softmax",
    *,
    dtype=None,
    backend=None,
    name="lenet5",
):
    """Two convolutions of 5 x 5, each followed by averages over 2 x 2, and three dense layers.

    As published, but for two things that nobody builds today: every map of the second convolution
    sees all six of the first, and the output is a softmax. 61,706 parameters for 28 x 28 x 1.

    Args:
        input_shape: of one image, channels last; the publication pads 28 x 28 to 32 x 32, which
            the first convolution does here.
        classes: the number of outputs.
        activation: of the layers inside.
        classifier_activation: of the output; None gives logits.
        dtype, backend, name: as of ``lamina.Sequential``.

    Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document
    recognition", 1998, section II.B.
    """
    return Sequential(
        [
            layers.Input(input_shape, dtype=dtype),
            layers.Conv2D(6, 5, padding="same", activation=activation),
            layers.AveragePooling2D(2),
            layers.Conv2D(16, 5, activation=activation),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(120, activation),
            layers.Dense(84, activation),
            layers.Dense(classes, classifier_activation),
        ],
        dtype=dtype,
        backend=backend,
        name=name,
    )
