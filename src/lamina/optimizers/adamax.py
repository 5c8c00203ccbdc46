"""Adamax: Adam in the largest-element norm."""

from collections.abc import Callable

from lamina.optimizers import _options
from lamina.optimizers._counting import lack
from lamina.optimizers._optimizer import Optimizer


class Adamax(Optimizer):
    """Steps along the mean gradient over its decayed largest size.

    ::

        m = m + (1 - beta_1) * (g - m)
        u = max(beta_2 * u, abs(g))
        p = p - rate / (1 - beta_1**step) * m / (u + epsilon)

    Kingma and Ba, 2015, "Adam: a method for stochastic optimization", Algorithm 2.

    Args:
        learning_rate: the size of a step, or a function from the number of steps done to it.
        beta_1: how much of the mean ``m`` stays, in [0, 1).
        beta_2: how much of the largest size ``u`` stays, in [0, 1).
        epsilon: keeps the divisor above 0.
        weight_decay ... name: as every optimizer has them, see ``Optimizer``.
    """

    slots = ("m", "u")

    def __init__(
        self,
        learning_rate: float | Callable[[int], float] = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **unknown,
    ):
        super().__init__(
            learning_rate,
            weight_decay,
            clipnorm,
            clipvalue,
            global_clipnorm,
            use_ema,
            ema_momentum,
            ema_overwrite_frequency,
            loss_scale_factor,
            gradient_accumulation_steps,
            name,
            **unknown,
        )
        self.beta_1 = _options.fraction("Adamax", "beta_1", beta_1)
        self.beta_2 = _options.fraction("Adamax", "beta_2", beta_2)
        self.epsilon = _options.not_negative("Adamax", "epsilon", epsilon)

    def update(self, xp, p, g, state, step, rate):
        m, u = state
        m = m + (g - m) * (1 - self.beta_1)
        u = xp.maximum(u * self.beta_2, xp.abs(g))
        return p - m / (u + self.epsilon) * (rate / lack(xp, self.beta_1, step)), (m, u)
