"""What the normalization layers share: a scale gamma and a shift beta, learnt after normalizing."""

from lamina import constraints, initializers, regularizers
from lamina.layers._layer import Layer


class Scaled(Layer):
    """A layer that ends in ``* gamma + beta``.

    Args:
        epsilon: added to the variance.
        center, scale: whether there is a beta, a gamma.
        options: of beta and gamma: initializer, regularizer and constraint, by Keras's names.
    """

    stays_wide = True

    def __init__(self, epsilon, center, scale, options, **kwargs):
        super().__init__(**kwargs)
        if isinstance(epsilon, bool | str) or not epsilon >= 0:
            raise ValueError(f"{self} needs epsilon from 0 on, got {epsilon!r}")
        self.epsilon = epsilon
        self.center, self.scale = center, scale
        for name, value in options.items():
            setattr(self, name, _ROOMS[name.partition("_")[2]].get(value))
        self.gamma = self.beta = None

    def add_scale(self, shape) -> None:
        """Make gamma and beta, where they are wanted."""
        if self.scale:
            self.gamma = self.add_weight(
                shape,
                self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                name="gamma",
            )
        if self.center:
            self.beta = self.add_weight(
                shape,
                self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                name="beta",
            )

    def compute_output_shape(self, input_shape):
        self.build_for(input_shape)
        return tuple(input_shape)

    def check_axes(self, axes, shape) -> None:
        """Raise where an axis is not one of a batch of ``shape``, is the batch's, or unknown."""
        for axis in axes:
            if not -len(shape) <= axis < len(shape) or axis % len(shape) == 0:
                raise self.input_error(f"inputs with an axis {axis} behind the batch's", shape)
            if shape[axis] is None:
                raise self.input_error(f"inputs whose axis {axis} has a known length", shape)

    def get_config(self):
        config = {
            **super().get_config(),
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
        }
        for which in ("beta", "gamma"):
            for what, room in _ROOMS.items():
                config[f"{which}_{what}"] = room.serialize(getattr(self, f"{which}_{what}"))
        return config


_ROOMS = {"initializer": initializers, "regularizer": regularizers, "constraint": constraints}


def axes(layer, axis):
    """An axis, or several as a list, checked."""
    given = [axis] if isinstance(axis, int) else axis
    if not isinstance(given, list | tuple) or not given:
        raise ValueError(f"{layer} needs axis as a whole number or a list of them, got {axis!r}")
    if any(isinstance(a, bool) or not isinstance(a, int) for a in given):
        raise ValueError(f"{layer} needs axis as a whole number or a list of them, got {axis!r}")
    return axis if isinstance(axis, int) else list(axis)
