"""Orthogonal weights, which keep the length of what they multiply."""

import math

from lamina.initializers._initializer import RandomInitializer, host, host_dtype


class Orthogonal(RandomInitializer):
    """A matrix with orthonormal columns (rows, where it is wide), times ``gain``.

    Q of the QR decomposition of a normal matrix, with the signs of R's diagonal: without them Q
    would not be evenly spread over all orthogonal matrices. For more than two axes, the matrix has
    as many columns as the last axis is long, and is reshaped.

    Args:
        gain: a factor.
        seed: for the same values at every call; None to draw from the layer's stream.

    Raises:
        ValueError: for a shape of fewer than two axes.

    Source: Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in
    deep linear neural networks", 2014; Mezzadri, "How to generate random matrices from the
    classical compact groups", 2007, section 5 (the signs).
    """

    def __init__(self, gain=1.0, seed=None):
        super().__init__(seed)
        self.gain = gain

    def __call__(self, shape, dtype=None, *, rng=None):
        if len(shape) < 2:
            raise ValueError(
                f"Orthogonal is for weights of two axes or more, got shape {tuple(shape)}: use "
                "another initializer, such as zeros"
            )
        xp, dtype = host(), host_dtype(dtype)
        rows, columns = math.prod(shape[:-1]), shape[-1]
        long, short = max(rows, columns), min(rows, columns)
        # decompositions exist in float32 and float64 only
        exact = "float64" if dtype == "float64" else "float32"
        q, r = xp.linalg.qr(self.stream(rng).normal((long, short), dtype=exact))
        q = self.gain * xp.where(xp.linalg.diagonal(r) < 0, -q, q)
        return xp.reshape(q if rows >= columns else q.T, shape).astype(dtype)

    def get_config(self) -> dict:
        return {"gain": self.gain, **super().get_config()}
