"""RMSprop: steps divided by a running size of the gradient."""

from collections.abc import Callable

from lamina.optimizers import _options
from lamina.optimizers._optimizer import Optimizer


class RMSprop(Optimizer):
    """Gradient descent, divided by the root of a moving average of the squared gradient.

    ::

        v = rho * v + (1 - rho) * g**2
        a = rho * a + (1 - rho) * g                              centered, else a = 0
        d = rate * g / sqrt(v - a**2 + epsilon)
        b = momentum * b + d;  p = p - b                         p = p - d where momentum = 0

    Tieleman and Hinton, 2012, "Lecture 6.5: rmsprop"; centered and with momentum: Graves, 2013,
    "Generating sequences with recurrent neural networks", equations 38 to 45.

    Args:
        learning_rate: the size of a step, or a function from the number of steps done to it.
        rho: how much of the averages stays, in [0, 1).
        momentum: how much of the last step ``b`` is taken again, in [0, 1).
        epsilon: keeps the root above 0.
        centered: divide by an estimate of the deviation instead of the size.
        weight_decay ... name: as every optimizer has them, see ``Optimizer``.
    """

    def __init__(
        self,
        learning_rate: float | Callable[[int], float] = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
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
        self.rho = _options.fraction("RMSprop", "rho", rho)
        self.momentum = _options.fraction("RMSprop", "momentum", momentum)
        self.epsilon = _options.not_negative("RMSprop", "epsilon", epsilon)
        self.centered = bool(centered)
        self.slots = ("v", *(("a",) if centered else ()), *(("b",) if self.momentum else ()))

    def update(self, xp, p, g, state, step, rate):
        v, *others = state
        v = v * self.rho + g * g * (1 - self.rho)
        size, kept = v, [v]
        if self.centered:
            a = others[0] * self.rho + g * (1 - self.rho)
            size = v - a * a
            kept.append(a)
        d = g * rate / xp.sqrt(size + self.epsilon)
        if self.momentum:
            d = others[-1] * self.momentum + d
            kept.append(d)
        return p - d, tuple(kept)
