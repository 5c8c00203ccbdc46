"""Initializers that draw from one distribution, whatever the shape."""

from lamina.initializers._initializer import RandomInitializer, host_dtype


class RandomNormal(RandomInitializer):
    """Normal numbers.

    Args:
        mean: their mean.
        stddev: their standard deviation.
        seed: for the same values at every call; None to draw from the layer's stream.
    """

    def __init__(self, mean=0.0, stddev=0.05, seed=None):
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def __call__(self, shape, dtype=None, *, rng=None):
        return self.stream(rng).normal(shape, self.mean, self.stddev, host_dtype(dtype))

    def get_config(self) -> dict:
        return {"mean": self.mean, "stddev": self.stddev, **super().get_config()}


class TruncatedNormal(RandomInitializer):
    """Normal numbers, drawn again where they lie beyond two standard deviations.

    Args:
        mean: the mean.
        stddev: the standard deviation before truncation; after it, 0.88 times as much.
        seed: for the same values at every call; None to draw from the layer's stream.
    """

    def __init__(self, mean=0.0, stddev=0.05, seed=None):
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def __call__(self, shape, dtype=None, *, rng=None):
        return self.stream(rng).truncated_normal(shape, self.mean, self.stddev, host_dtype(dtype))

    def get_config(self) -> dict:
        return {"mean": self.mean, "stddev": self.stddev, **super().get_config()}


class RandomUniform(RandomInitializer):
    """Numbers evenly spread over [minval, maxval).

    Args:
        minval: the smallest.
        maxval: what none reaches.
        seed: for the same values at every call; None to draw from the layer's stream.
    """

    def __init__(self, minval=-0.05, maxval=0.05, seed=None):
        super().__init__(seed)
        self.minval = minval
        self.maxval = maxval

    def __call__(self, shape, dtype=None, *, rng=None):
        return self.stream(rng).uniform(shape, self.minval, self.maxval, host_dtype(dtype))

    def get_config(self) -> dict:
        return {"minval": self.minval, "maxval": self.maxval, **super().get_config()}
