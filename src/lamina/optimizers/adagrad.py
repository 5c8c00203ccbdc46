"""Adagrad: steps that shrink where gradients have been large."""

from collections.abc import Callable

from lamina.optimizers import _options
from lamina.optimizers._optimizer import Optimizer


class Adagrad(Optimizer):
    """Gradient descent, divided by the root of all squared gradients so far.

    ::

        s = s + g**2                            s starts at initial_accumulator_value
        p = p - rate * g / sqrt(s + epsilon)

    Duchi, Hazan and Singer, 2011, "Adaptive subgradient methods for online learning and stochastic
    optimization", section 1.2.

    Args:
        learning_rate: the size of a step, or a function from the number of steps done to it.
        initial_accumulator_value: what ``s`` starts from, at least 0.
        epsilon: keeps the root above 0.
        weight_decay ... name: as every optimizer has them, see ``Optimizer``.
    """

    slots = ("s",)

    def __init__(
        self,
        learning_rate: float | Callable[[int], float] = 0.001,
        initial_accumulator_value: float = 0.1,
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
        self.initial_accumulator_value = _options.not_negative(
            "Adagrad", "initial_accumulator_value", initial_accumulator_value
        )
        self.initial_state = self.initial_accumulator_value
        self.epsilon = _options.not_negative("Adagrad", "epsilon", epsilon)

    def update(self, xp, p, g, state, step, rate):
        (s,) = state
        s = s + g * g
        return p - g * rate / xp.sqrt(s + self.epsilon), (s,)
