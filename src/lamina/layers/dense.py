"""The fully connected layer."""

import math

from lamina import activations, constraints, initializers, regularizers
from lamina.layers._layer import Layer
from lamina.layers._options import whole_number
from lamina.ops.fully_connected import FUSABLE, dense


class Dense(Layer):
    """``activation(inputs @ kernel + bias)``: every output is a weighted sum of all inputs.

    Args:
        units: the number of outputs.
        activation: a name or function; None leaves the sum as it is.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: where the parameters start.
        kernel_regularizer, bias_regularizer: penalties on them, added to the loss.
        activity_regularizer: a penalty on the output.
        kernel_constraint, bias_constraint: what they satisfy after every step.

    Shapes:
        inputs (batch, ..., in); kernel (in, units); bias (units,); result (batch, ..., units).

    Raises:
        ValueError: for ``units`` below 1, and for inputs whose last axis is not what it was built
            for.
    """

    def __init__(
        self,
        units,
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
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = whole_number(self, "units", units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.kernel = self.bias = None
        self._fused = FUSABLE.get(self.activation)

    def build(self, input_shape):
        self.kernel = self.add_weight(
            (input_shape[-1], self.units),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
        )
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )

    def call(self, inputs):
        if self._fused is not None:
            return dense(inputs, self.kernel, self.bias, activation=self._fused)
        return self.activation(dense(inputs, self.kernel, self.bias, activation="linear"))

    def links(self):
        if self._fused is None:
            return None
        return [(dense, (self.kernel, self.bias), {"activation": self._fused})]

    def multiplications(self):
        """The kernel once for every row of a sample."""
        rows = math.prod(1 if n is None else n for n in (self._input_shape or ())[1:-1])
        return rows * super().multiplications()

    def check_input(self, shape):
        if len(shape) < 2 or shape[-1] is None:
            raise self.input_error(
                "inputs of shape (batch, ..., features)",
                shape,
                "pass x[None] for one sample" if len(shape) == 1 else "give the number of features",
            )
        features = self.kernel.shape[0] if self.built else shape[-1]
        if shape[-1] != features:
            remedy = ""
            if len(shape) > 2 and math.prod(shape[1:]) == features:
                remedy = "add layers.Flatten() before it"
            raise self.input_error(f"inputs whose last axis is {features}", shape, remedy)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
        }
