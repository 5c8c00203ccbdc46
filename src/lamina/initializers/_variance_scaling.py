"""Initializers that keep the variance of signals through a layer, going forward or back.

With n inputs to each unit (the fan in), weights of variance 1/n keep the variance of what goes
through; Glorot, He and Lecun differ in the fan and in the factor.
"""

import math

from lamina.initializers._initializer import RandomInitializer, host_dtype

# The standard deviation of a normal distribution of standard deviation 1 cut at -2 and 2.
_TRUNCATED = 0.87962566103423978
_MODES = ("fan_in", "fan_out", "fan_avg")
_DISTRIBUTIONS = ("normal", "truncated_normal", "untruncated_normal", "uniform")


class VarianceScaling(RandomInitializer):
    """Numbers of mean 0 and variance ``scale / n``, n the fan that ``mode`` names.

    Args:
        scale: more than 0.
        mode: "fan_in", "fan_out", or "fan_avg", their mean.
        distribution: "truncated_normal" (also called "normal"), "untruncated_normal", "uniform".
        seed: for the same values at every call; None to draw from the layer's stream.
        input_axes: the axes whose product is the fan in, where it is not the usual one.
        output_axes: the same for the fan out.

    Raises:
        ValueError: for a scale, mode or distribution that is none of these.
    """

    def __init__(
        self,
        scale=1.0,
        mode="fan_in",
        distribution="truncated_normal",
        seed=None,
        input_axes=None,
        output_axes=None,
    ):
        if not scale > 0:
            raise ValueError(f"VarianceScaling needs a scale above 0, got {scale!r}")
        for what, value, known in (
            ("mode", mode, _MODES),
            ("distribution", distribution, _DISTRIBUTIONS),
        ):
            if str(value).lower() not in known:
                raise ValueError(
                    f"VarianceScaling needs a {what} among {', '.join(known)}, got {value!r}"
                )
        super().__init__(seed)
        self.scale = scale
        self.mode = mode.lower()
        self.distribution = distribution.lower()
        if self.distribution == "normal":
            self.distribution = "truncated_normal"
        self.input_axes = input_axes
        self.output_axes = output_axes

    def __call__(self, shape, dtype=None, *, rng=None):
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        stream, dtype = self.stream(rng), host_dtype(dtype)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return stream.uniform(shape, -limit, limit, dtype)
        if self.distribution == "untruncated_normal":
            return stream.normal(shape, 0.0, math.sqrt(variance), dtype)
        return stream.truncated_normal(shape, 0.0, math.sqrt(variance) / _TRUNCATED, dtype)

    def get_config(self) -> dict:
        config = {
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            **super().get_config(),
        }
        return config | self._axes()

    def _axes(self) -> dict:
        if self.input_axes is None and self.output_axes is None:
            return {}
        return {"input_axes": self.input_axes, "output_axes": self.output_axes}


class _Named(VarianceScaling):
    """One of the settings that have a name."""

    setting: tuple

    def __init__(self, seed=None, input_axes=None, output_axes=None):
        super().__init__(*self.setting, seed, input_axes, output_axes)

    def get_config(self) -> dict:
        return {"seed": self.seed} | self._axes()


class GlorotUniform(_Named):
    """Uniform with variance ``2 / (fan_in + fan_out)``, also called Xavier.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010, equation 16.
    """

    setting = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Named):
    """Truncated normal with variance ``2 / (fan_in + fan_out)``.

    Source: Glorot and Bengio, 2010, equation 12.
    """

    setting = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Named):
    """Uniform with variance ``2 / fan_in``: for relu, which passes one half.

    Source: He et al., "Delving deep into rectifiers", 2015, equation 10.
    """

    setting = (2.0, "fan_in", "uniform")


class HeNormal(_Named):
    """Truncated normal with variance ``2 / fan_in``.

    Source: He et al., 2015, equation 10.
    """

    setting = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Named):
    """Uniform with variance ``1 / fan_in``: for selu.

    Source: LeCun et al., "Efficient BackProp", 1998, equation 16.
    """

    setting = (1.0, "fan_in", "uniform")


class LecunNormal(_Named):
    """Truncated normal with variance ``1 / fan_in``.

    Source: LeCun et al., 1998, equation 16.
    """

    setting = (1.0, "fan_in", "truncated_normal")


def compute_fans(shape, input_axes=None, output_axes=None) -> tuple[int, int]:
    """How many inputs feed a unit, and how many units an input feeds: (fan_in, fan_out).

    A matrix has shape (in, out); a convolution kernel (..., in, out), and its fans count every
    position of the window.
    """
    shape = tuple(shape)
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[a] for a in input_axes), math.prod(shape[a] for a in output_axes)
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]
