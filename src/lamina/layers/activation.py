"""Activations as layers."""

from lamina import activations, constraints, initializers, regularizers
from lamina.layers._layer import Layer


class Activation(Layer):
    """``activation(inputs)``, for any activation by name or function.

    Example:
        >>> layers.Activation("tanh")
    """

    def __init__(self, activation, **kwargs):
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs):
        return self.activation(inputs)

    def links(self):
        return [(self.activation, (), {})]

    def get_config(self):
        return {**super().get_config(), "activation": activations.serialize(self.activation)}


class ReLU(Layer):
    """``max(inputs, 0)``, bounded by ``max_value``, with a slope below ``threshold``.

    Args:
        max_value: the largest output; None is unbounded.
        negative_slope: the slope below the threshold.
        threshold: below it the output is ``negative_slope * (inputs - threshold)``.
    """

    def __init__(self, max_value=None, negative_slope=0.0, threshold=0.0, **kwargs):
        super().__init__(**kwargs)
        for name, value in (("negative_slope", negative_slope), ("threshold", threshold)):
            if value is None or value < 0:
                raise ValueError(f"{self} needs {name} >= 0, got {value!r}")
        if max_value is not None and max_value < 0:
            raise ValueError(f"{self} needs max_value >= 0 or None, got {max_value!r}")
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold

    def call(self, inputs):
        return activations.relu(
            inputs,
            negative_slope=self.negative_slope,
            max_value=self.max_value,
            threshold=self.threshold,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }


class LeakyReLU(Layer):
    """``inputs`` where positive, else ``negative_slope * inputs``."""

    def __init__(self, negative_slope=0.3, **kwargs):
        super().__init__(**kwargs)
        if negative_slope is None or negative_slope < 0:
            raise ValueError(f"{self} needs negative_slope >= 0, got {negative_slope!r}")
        self.negative_slope = negative_slope

    def call(self, inputs):
        return activations.leaky_relu(inputs, negative_slope=self.negative_slope)

    def get_config(self):
        return {**super().get_config(), "negative_slope": self.negative_slope}


class PReLU(Layer):
    """``inputs`` where positive, else ``alpha * inputs`` with a trained ``alpha``.

    He et al., "Delving deep into rectifiers", 2015, equation 1.

    Args:
        alpha_initializer, alpha_regularizer, alpha_constraint: as for any parameter.
        shared_axes: axes (counted with the batch as 0) along which one alpha serves all.

    Shapes:
        alpha has the shape of a sample, with 1 along ``shared_axes``.
    """

    def __init__(
        self,
        alpha_initializer="zeros",
        alpha_regularizer=None,
        alpha_constraint=None,
        shared_axes=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        self.shared_axes = [shared_axes] if isinstance(shared_axes, int) else shared_axes
        self.alpha = None

    def build(self, input_shape):
        shape = list(input_shape[1:])
        for axis in self.shared_axes or ():
            shape[axis - 1 if axis > 0 else axis] = 1
        if None in shape:
            raise ValueError(
                f"{self} needs one alpha per number of a sample, got samples of shape "
                f"{tuple(input_shape[1:])}: put the axes of any length into shared_axes"
            )
        self.alpha = self.add_weight(
            tuple(shape),
            self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
            name="alpha",
        )

    def call(self, inputs):
        return activations.relu(inputs) - self.alpha * activations.relu(-inputs)

    def check_input(self, shape):
        super().check_input(shape)
        if self.built:
            pairs = zip(self.alpha.shape, shape[1:], strict=True)
            if any(n not in (1, m) for n, m in pairs):
                raise self.input_error(f"samples of shape {tuple(self._input_shape[1:])}", shape)

    def get_config(self):
        return {
            **super().get_config(),
            "alpha_initializer": initializers.serialize(self.alpha_initializer),
            "alpha_regularizer": regularizers.serialize(self.alpha_regularizer),
            "alpha_constraint": constraints.serialize(self.alpha_constraint),
            "shared_axes": self.shared_axes,
        }


class ELU(Layer):
    """``inputs`` where positive, else ``alpha * (exp(inputs) - 1)``."""

    def __init__(self, alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs):
        return activations.elu(inputs, alpha=self.alpha)

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha}


class Softmax(Layer):
    """``exp(inputs) / sum(exp(inputs))`` along ``axis``: numbers as probabilities."""

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs):
        return activations.softmax(inputs, axis=self.axis)

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}
