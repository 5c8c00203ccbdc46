"""A small network in the manner of VGG."""

from lamina import layers
from lamina.models import Sequential


def SmallVGG(
    input_shape=(32, 32, 3),
    classes=10,
    filters=(32, 64, 128),
    units=128,
    dropout=0.5,
    classifier_activation="softmax",
    *,
    dtype=None,
    backend=None,
    name="small_vgg",
):
    """Stages of two convolutions of 3 x 3 and a maximum over 2 x 2, then two dense layers.

    Two layers of 3 x 3 see as much as one of 5 x 5, with fewer parameters and one more relu: that
    is VGG's idea. Of its eleven to nineteen layers this keeps as many as small images can use;
    batch normalization, which came later, stands behind each convolution.

    Args:
        input_shape: of one image, channels last.
        classes: the number of outputs.
        filters: the channels of each stage.
        units: of the dense layer inside.
        dropout: the share of its outputs set to 0 in training.
        classifier_activation: of the output; None gives logits.
        dtype, backend, name: as of ``lamina.Sequential``.

    Source: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
    recognition", 2015.
    """
    stack = [layers.Input(input_shape, dtype=dtype)]
    for channels in filters:
        for _ in range(2):
            stack += [
                layers.Conv2D(
                    channels, 3, padding="same", use_bias=False, kernel_initializer="he_normal"
                ),
                layers.BatchNormalization(momentum=0.9),
                layers.ReLU(),
            ]
        stack.append(layers.MaxPooling2D(2))
    stack += [
        layers.Flatten(),
        layers.Dense(units, "relu", kernel_initializer="he_normal"),
        layers.Dropout(dropout),
        layers.Dense(classes, classifier_activation),
    ]
    return Sequential(stack, dtype=dtype, backend=backend, name=name)
