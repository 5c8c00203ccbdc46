"""Layers that bring data into a comfortable range."""

import math

from lamina import backend, config, xp
from lamina.autograd import Tensor
from lamina.layers._layer import Layer
from lamina.ops.preparing import rescale

_PIECE = 1 << 21  # numbers that adapt looks at together


class Rescaling(Layer):
    """``inputs * scale + offset``: 1/255 makes bytes of pictures numbers from 0 to 1."""

    stays_wide = True

    def __init__(self, scale, offset=0.0, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale
        self.offset = offset

    def call(self, inputs):
        return rescale(inputs, self._as_factor(self.scale), self._as_factor(self.offset))

    def links(self):
        numbers = isinstance(self.scale, int | float) and isinstance(self.offset, int | float)
        return [(rescale, (), {"scale": self.scale, "offset": self.offset})] if numbers else None

    def _as_factor(self, value):
        """One number, or one per feature on the layer's own backend."""
        if isinstance(value, int | float):
            return value
        return self.backend.asarray(value, self.dtype or config.floatx())

    def get_config(self):
        return {**super().get_config(), "scale": self.scale, "offset": self.offset}


class Normalization(Layer):
    """``(inputs - mean) / sqrt(variance)``, per position along ``axis``; learnt by ``adapt``.

    Args:
        axis: the axis or axes (counted with the batch as 0) that keep statistics of their own;
            None takes one mean and variance for everything.
        mean, variance: the statistics, where they are known; then ``adapt`` is not needed.
        invert: whether to undo a normalization: ``inputs * sqrt(variance) + mean``.

    Raises:
        ValueError: when called before its statistics are known.

    Example:
        >>> scale = layers.Normalization()
        >>> scale.adapt(x_train)
        >>> model = lamina.Sequential([scale, layers.Dense(1)])
    """

    stays_wide = True

    def __init__(self, axis=-1, mean=None, variance=None, invert=False, **kwargs):
        super().__init__(**kwargs)
        if (mean is None) != (variance is None):
            raise ValueError(f"{self} needs both mean and variance, or neither and adapt()")
        self.axis = axis
        self.input_mean, self.input_variance = mean, variance
        self.invert = invert
        self.mean = self.variance = None

    def build(self, input_shape):
        shape = self._kept_shape(input_shape)
        self.mean = self.add_weight(shape, "zeros", trainable=False, name="mean")
        self.variance = self.add_weight(shape, "ones", trainable=False, name="variance")
        if self.input_mean is not None:
            self._set(self.input_mean, self.input_variance)

    def adapt(self, data, batch_size=None) -> None:
        """Learn mean and variance from ``data``: an array, or anything NumPy understands.

        Summed in float64 on the host, in pieces, so that a file larger than memory may be given.
        """
        host = backend.get("numpy")
        data = data.data if isinstance(data, Tensor) else data
        data = data if backend.is_array(data) else host.asarray(data)
        if self.built:
            self.check_input(data.shape)
        kept = self._axes(len(data.shape))
        over = tuple(a for a in range(len(data.shape)) if a not in kept)
        count, mean, squares = 0, 0.0, 0.0
        step = batch_size or max(1, _PIECE // max(1, math.prod(data.shape[1:])))
        for start in range(0, data.shape[0], step):
            piece = data[start : min(start + step, data.shape[0]), ...]
            piece = host.asarray(piece, "float64")
            if not bool(xp.all(xp.isfinite(piece))):
                raise ValueError(
                    f"{self} cannot adapt to data with NaN or infinity: remove it first"
                )
            n = math.prod(piece.shape[a] for a in over)
            piece_mean = xp.mean(piece, axis=over, keepdims=True)
            piece_squares = xp.sum((piece - piece_mean) ** 2, axis=over, keepdims=True)
            # Chan, Golub, LeVeque, "Algorithms for computing the sample variance", 1983, eq. 2.1
            delta = piece_mean - mean
            total = count + n
            squares = squares + piece_squares + delta * delta * (count * n / total)
            mean = mean + delta * (n / total)
            count = total
        if not count:
            raise ValueError(f"{self} cannot adapt to no data, got shape {tuple(data.shape)}")
        self.build_for((None, *data.shape[1:]))
        self._set(mean, squares / count)

    def call(self, inputs):
        if not self._knows():
            raise ValueError(f"{self} knows no mean and variance yet: call adapt(data) first")
        deviation = self._deviation()
        if self.invert:
            return inputs * deviation + self.mean
        return (inputs - self.mean) / deviation

    def compute_output_shape(self, input_shape):
        self.build_for(input_shape)
        return tuple(input_shape)

    def _knows(self) -> bool:
        """Whether its statistics were given, adapted or loaded."""
        return self.mean.changed_at >= 0

    def _deviation(self):
        return xp.maximum(xp.sqrt(self.variance), config.epsilon())

    def _set(self, mean, variance) -> None:
        xp = self.backend.xp
        for parameter, value in ((self.mean, mean), (self.variance, variance)):
            value = self.backend.asarray(value, parameter.dtype)
            parameter.assign(
                xp.broadcast_to(xp.reshape(value, _fit(value, parameter)), parameter.shape)
            )

    def _axes(self, ndim: int) -> tuple[int, ...]:
        if self.axis is None:
            return ()
        axes = (self.axis,) if isinstance(self.axis, int) else tuple(self.axis)
        return tuple(a % ndim for a in axes)

    def _kept_shape(self, input_shape) -> tuple[int, ...]:
        kept = self._axes(len(input_shape))
        if 0 in kept:
            raise ValueError(f"{self} cannot keep statistics along the batch, axis 0")
        return tuple(n if i in kept else 1 for i, n in enumerate(input_shape))

    def check_input(self, shape):
        super().check_input(shape)
        if self.built:
            for n, m in zip(self.mean.shape, shape, strict=True):
                if n not in (1, m):
                    raise self.input_error(
                        f"samples of shape {tuple(self._input_shape[1:])}", shape
                    )

    def get_config(self):
        mean, variance = self.input_mean, self.input_variance
        if self.built and self._knows():
            mean, variance = self.mean.numpy(), self.variance.numpy()
        return {
            **super().get_config(),
            "axis": self.axis,
            "mean": _as_list(mean),
            "variance": _as_list(variance),
            "invert": self.invert,
        }


def _as_list(value):
    """Numbers as a configuration holds them: plain, or in lists."""
    return value.tolist() if hasattr(value, "tolist") else value


def _fit(value, parameter) -> tuple[int, ...]:
    """A shape of ``value`` that broadcasts to the parameter's: as it is, or along the kept axes."""
    if value.ndim == len(parameter.shape) or value.ndim == 0:
        return tuple(value.shape)
    kept = [n for n in parameter.shape if n != 1]
    if list(value.shape) == kept:
        return tuple(parameter.shape)
    return tuple(value.shape)
