"""Nadam: Adam that looks ahead along its momentum."""

from collections.abc import Callable
from itertools import accumulate

from lamina.optimizers import _options
from lamina.optimizers._counting import entry, lack
from lamina.optimizers._optimizer import Optimizer

# The products of 1 - 0.96**t / 2 for t = 0 (taken as 1), 1, 2, ...; beyond 900 factors are 1.0.
_WARMING = list(accumulate((1 - 0.5 * 0.96**t for t in range(1, 900)), float.__mul__, initial=1.0))


class Nadam(Optimizer):
    """Adam with Nesterov momentum.

    ::

        mu(t) = beta_1 * (1 - 0.96**t / 2),    P(t) = mu(1) * ... * mu(t)
        m = m + (1 - beta_1) * (g - m)
        v = v + (1 - beta_2) * (g**2 - v)
        a = mu(step + 1) * m / (1 - P(step + 1)) + (1 - mu(step)) * g / (1 - P(step))
        p = p - rate * a / (sqrt(v / (1 - beta_2**step)) + epsilon)

    Dozat, 2016, "Incorporating Nesterov momentum into Adam", Algorithm 2 with the schedule of
    momentum of its report.

    Args:
        learning_rate: the size of a step, or a function from the number of steps done to it.
        beta_1: how much of the mean ``m`` stays, in [0, 1).
        beta_2: how much of the mean square ``v`` stays, in [0, 1).
        epsilon: keeps the divisor above 0.
        weight_decay ... name: as every optimizer has them, see ``Optimizer``.
    """

    slots = ("m", "v")

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
        self.beta_1 = _options.fraction("Nadam", "beta_1", beta_1)
        self.beta_2 = _options.fraction("Nadam", "beta_2", beta_2)
        self.epsilon = _options.not_negative("Nadam", "epsilon", epsilon)

    def update(self, xp, p, g, state, step, rate):
        m, v = state
        m = m + (g - m) * (1 - self.beta_1)
        v = v + (g * g - v) * (1 - self.beta_2)
        ahead = self._momentum(step + 1) / (1 - self._momentum_product(xp, step + 1))
        here = (1 - self._momentum(step)) / (1 - self._momentum_product(xp, step))
        root = xp.sqrt(v / lack(xp, self.beta_2, step))
        return p - (m * ahead + g * here) * rate / (root + self.epsilon), (m, v)

    def _momentum(self, step):
        return self.beta_1 * (1 - 0.5 * 0.96**step)

    def _momentum_product(self, xp, step):
        """P(step): powers of beta_1 times what the schedule adds, which soon stays the same."""
        return self.beta_1**step * entry(xp, _WARMING, step)
