"""Spectral normalization, around another layer."""

import copy

from lamina import initializers, xp
from lamina.autograd import Tensor
from lamina.layers import _passes
from lamina.layers._casting import cast
from lamina.layers._layer import Layer
from lamina.layers._options import whole_number


class SpectralNormalization(Layer):
    """``layer`` with its kernel divided by its largest singular value: it stretches nothing.

        kernel / sigma,   sigma = v kernel u.T,   v = |u kernel.T|,   u = |v kernel|

    where |x| is x / length of x and the kernel a matrix with a column for each output. Every step
    of training goes ``power_iterations`` times from u to v and back, and keeps u; after a few steps
    u and v are the singular vectors. They are constants to the derivative, sigma is not.

    The layer's own kernel stays as it is trained, undivided, and is divided also when the model is
    used. (Keras replaces it by the divided one in each step of training, without the derivative of
    sigma, and takes what the last step left when the model is used.)

    Args:
        layer: a layer with a ``kernel``, or ``embeddings``.
        power_iterations: how often in a step.

    Source: Miyato et al., "Spectral normalization for generative adversarial networks", 2018,
    equations 8 and 12 and algorithm 1.
    """

    def __init__(self, layer, power_iterations=1, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            raise TypeError(f"{self} goes around a layer, got {layer!r}")
        self.layer = layer
        self.power_iterations = whole_number(self, "power_iterations", power_iterations)

    def build(self, input_shape):
        self.layer.build_for(input_shape)
        self._name = next((n for n in ("kernel", "embeddings") if hasattr(self.layer, n)), None)
        if self._name is None:
            raise ValueError(f"{self} needs a layer with a kernel or embeddings, got {self.layer}")
        kernel = getattr(self.layer, self._name)
        self.vector_u = self.add_weight(
            (1, kernel.shape[-1]),
            initializers.TruncatedNormal(stddev=0.02),
            dtype=self.backend.dtype_name(kernel.dtype),
            trainable=False,
            name="vector_u",
        )

    def call(self, inputs, training=False):
        kernel = getattr(self.layer, self._name)
        twin = copy.copy(self.layer)  # shares all but the kernel; other threads see the layer's own
        setattr(twin, self._name, self._divided(kernel, training))
        return twin(inputs, training=training)

    def _divided(self, kernel, training):
        matrix = xp.reshape(kernel, (-1, kernel.shape[-1]))
        known = matrix.data if isinstance(matrix, Tensor) else matrix
        u = self.vector_u.data
        for _ in range(self.power_iterations if training else 1):
            v = _unit(xp.matmul(u, xp.matrix_transpose(known)))
            u = _unit(xp.matmul(v, known))
        if training:
            _passes.add_update(self.vector_u, lambda _: u, of_batch=True)  # of the kernel, in truth
        sigma = xp.sum(xp.matmul(v, matrix) * u)
        divided = kernel / xp.maximum(sigma, 1e-12)  # a kernel of zeros stays one
        return cast(divided, self.layer.compute_dtype) if self.layer._reads_rounded else divided

    def compute_output_shape(self, input_shape):
        self.build_for(input_shape)
        return self.layer.compute_output_shape(input_shape)

    def check_input(self, shape):
        self.layer.check_input(shape)

    @classmethod
    def from_config(cls, config):
        from lamina import layers

        inner = config["layer"]
        kind = getattr(layers, inner["class_name"])
        return cls(**{**config, "layer": kind.from_config(inner["config"])})

    def get_config(self):
        own = {"class_name": type(self.layer).__name__, "config": self.layer.get_config()}
        return {**super().get_config(), "layer": own, "power_iterations": self.power_iterations}


def _unit(vector):
    """A raw row vector at length 1; one of zeros stays one."""
    return vector / xp.sqrt(xp.maximum(xp.sum(vector * vector), 1e-24))
