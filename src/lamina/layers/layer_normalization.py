"""Normalization of each sample by itself: by layer, by group, by root mean square, to length 1."""

from lamina.layers._layer import Layer
from lamina.layers._options import whole_number
from lamina.layers._scaled import Scaled, axes
from lamina.ops.normalization import (
    axes_of,
    group_normalization,
    layer_normalization,
    rms_normalization,
    unit_normalization,
)


class LayerNormalization(Scaled):
    """``(inputs - mean) / sqrt(variance + epsilon) * gamma + beta`` over the features of a sample.

    Args:
        axis: the axis or axes that mean and variance are taken over, and that have a gamma and a
            beta for each place; counted with the batch as 0.
        epsilon: keeps features that hardly vary from being blown up.
        center, scale: whether there is a beta, a gamma.
        beta_initializer, gamma_initializer: where they start.
        beta_regularizer, gamma_regularizer: penalties on them, added to the loss.
        beta_constraint, gamma_constraint: what they satisfy after every step.

    Shapes:
        inputs (batch, ...); gamma and beta the inputs' along the axes; result as inputs.

    Source: Ba, Kiros and Hinton, "Layer normalization", 2016.
    """

    def __init__(
        self,
        axis=-1,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        **kwargs,
    ):
        options = {
            "beta_initializer": beta_initializer,
            "gamma_initializer": gamma_initializer,
            "beta_regularizer": beta_regularizer,
            "gamma_regularizer": gamma_regularizer,
            "beta_constraint": beta_constraint,
            "gamma_constraint": gamma_constraint,
        }
        super().__init__(epsilon, center, scale, options, **kwargs)
        self.axis = axes(self, axis)

    def build(self, input_shape):
        self.add_scale(tuple(input_shape[a] for a in axes_of(self.axis, len(input_shape))))

    def call(self, inputs):
        return layer_normalization(
            inputs, self.gamma, self.beta, axis=self.axis, epsilon=self.epsilon
        )

    def links(self):
        options = {"axis": self.axis, "epsilon": self.epsilon}
        return [(layer_normalization, (self.gamma, self.beta), options)]

    def check_input(self, shape):
        super().check_input(shape)
        self.check_axes([self.axis] if isinstance(self.axis, int) else self.axis, shape)
        _check_lengths(self, self.axis, shape)

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}


class GroupNormalization(Scaled):
    """Each sample's ``groups`` of neighbouring channels, each by its own mean and variance.

    Args:
        groups: how many; a divisor of the channels. 1 is one group of all, -1 a group for each
            channel, which is called instance normalization.
        axis: the axis of the channels, counted with the batch as 0.
        epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer,
        gamma_regularizer, beta_constraint, gamma_constraint: as in ``LayerNormalization``.

    Shapes:
        inputs (batch, ..., channels); gamma and beta (channels,); result as inputs.

    Source: Wu and He, "Group normalization", 2018.
    """

    def __init__(
        self,
        groups=32,
        axis=-1,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        **kwargs,
    ):
        options = {
            "beta_initializer": beta_initializer,
            "gamma_initializer": gamma_initializer,
            "beta_regularizer": beta_regularizer,
            "gamma_regularizer": gamma_regularizer,
            "beta_constraint": beta_constraint,
            "gamma_constraint": gamma_constraint,
        }
        super().__init__(epsilon, center, scale, options, **kwargs)
        self.groups = groups if groups == -1 else whole_number(self, "groups", groups)
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise ValueError(f"{self} needs axis as a whole number, got {axis!r}")
        self.axis = axis

    def build(self, input_shape):
        self.add_scale((input_shape[self.axis],))

    def call(self, inputs):
        return group_normalization(inputs, self.gamma, self.beta, **self._options(inputs.shape))

    def _options(self, shape):
        groups = shape[self.axis] if self.groups == -1 else self.groups
        return {"groups": groups, "axis": self.axis, "epsilon": self.epsilon}

    def links(self):
        options = self._options(self._input_shape)
        return [(group_normalization, (self.gamma, self.beta), options)]

    def check_input(self, shape):
        super().check_input(shape)
        self.check_axes([self.axis], shape)
        _check_lengths(self, self.axis, shape)
        channels = shape[self.axis]
        if self.groups > 0 and channels % self.groups:
            divisors = [n for n in range(1, channels + 1) if channels % n == 0]
            raise self.input_error(
                f"a multiple of its {self.groups} groups of channels along axis {self.axis}",
                shape,
                f"choose groups from {divisors}, or -1 for one per channel",
            )

    def get_config(self):
        return {**super().get_config(), "groups": self.groups, "axis": self.axis}


class RMSNormalization(Layer):
    """``inputs / sqrt(mean(inputs**2) + epsilon) * scale`` over the features of a sample.

    Args:
        axis: the axis or axes the mean is taken over, and that have a scale for each place.
        epsilon: keeps small inputs from being blown up.

    Shapes:
        inputs (batch, ...); scale the inputs' along the axes; result as inputs.

    Source: Zhang and Sennrich, "Root mean square layer normalization", 2019.
    """

    stays_wide = True

    def __init__(self, axis=-1, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        self.axis = axes(self, axis)
        if isinstance(epsilon, bool | str) or not epsilon >= 0:
            raise ValueError(f"{self} needs epsilon from 0 on, got {epsilon!r}")
        self.epsilon = epsilon
        self.scale = None

    def build(self, input_shape):
        shape = tuple(input_shape[a] for a in axes_of(self.axis, len(input_shape)))
        self.scale = self.add_weight(shape, "ones", name="scale")

    def call(self, inputs):
        return rms_normalization(inputs, self.scale, axis=self.axis, epsilon=self.epsilon)

    def links(self):
        options = {"axis": self.axis, "epsilon": self.epsilon}
        return [(rms_normalization, (self.scale,), options)]

    compute_output_shape = Scaled.compute_output_shape

    def check_input(self, shape):
        super().check_input(shape)
        Scaled.check_axes(self, [self.axis] if isinstance(self.axis, int) else self.axis, shape)
        _check_lengths(self, self.axis, shape)

    def get_config(self):
        return {**super().get_config(), "axis": self.axis, "epsilon": self.epsilon}


class UnitNormalization(Layer):
    """``inputs / |inputs|``: vectors along ``axis`` brought to length 1; zeros stay zeros."""

    stays_wide = True

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = axes(self, axis)

    def call(self, inputs):
        return unit_normalization(inputs, axis=self.axis)

    compute_output_shape = Scaled.compute_output_shape

    def check_input(self, shape):
        super().check_input(shape)
        for axis in [self.axis] if isinstance(self.axis, int) else self.axis:
            if not -len(shape) <= axis < len(shape):
                raise self.input_error(f"inputs with an axis {axis}", shape)

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}


def _check_lengths(layer, axis, shape) -> None:
    """Raise where an axis has another length than the weights were made for."""
    built = layer._input_shape
    if built is None:
        return
    for a in axes_of(axis, len(shape)):
        if shape[a] != built[a]:
            raise layer.input_error(f"inputs with {built[a]} along axis {a}", shape)
