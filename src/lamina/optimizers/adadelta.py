"""Adadelta: steps in the units of the parameters."""

from collections.abc import Callable

from lamina.optimizers import _options
from lamina.optimizers._optimizer import Optimizer


class Adadelta(Optimizer):
    """Gradient descent, scaled by the running size of the steps over that of the gradients.

    ::

        s = rho * s + (1 - rho) * g**2
        d = g * sqrt(u + epsilon) / sqrt(s + epsilon)
        u = rho * u + (1 - rho) * d**2
        p = p - rate * d

    Zeiler, 2012, "ADADELTA: an adaptive learning rate method", Algorithm 1, where ``rate`` is 1.

    Args:
        learning_rate: the size of a step, or a function from the number of steps done to it.
        rho: how much of the averages stays, in [0, 1).
        epsilon: keeps the roots above 0.
        weight_decay ... name: as every optimizer has them, see ``Optimizer``.
    """

    slots = ("s", "u")

    def __init__(
        self,
        learning_rate: float | Callable[[int], float] = 0.001,
        rho: float = 0.95,
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
        self.rho = _options.fraction("Adadelta", "rho", rho)
        self.epsilon = _options.not_negative("Adadelta", "epsilon", epsilon)

    def update(self, xp, p, g, state, step, rate):
        s, u = state
        s = s * self.rho + g * g * (1 - self.rho)
        d = g * xp.sqrt(u + self.epsilon) / xp.sqrt(s + self.epsilon)
        u = u * self.rho + d * d * (1 - self.rho)
        return p - d * rate, (s, u)
