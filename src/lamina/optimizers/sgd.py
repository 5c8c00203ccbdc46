"""Gradient descent, with momentum or without."""

from collections.abc import Callable

from lamina.optimizers import _options
from lamina.optimizers._optimizer import Optimizer


class SGD(Optimizer):
    """Gradient descent.

    ::

        p = p - rate * g                                         momentum = 0
        v = momentum * v - rate * g;  p = p + v                  momentum > 0
        v = momentum * v - rate * g;  p = p + momentum * v - rate * g     nesterov

    Sutskever, Martens, Dahl and Hinton, 2013, "On the importance of initialization and momentum in
    deep learning", equations 1 to 4; nesterov in the form of Bengio et al., 2012, "Advances in
    optimizing recurrent networks", equation 7.

    Args:
        learning_rate: the size of a step, or a function from the number of steps done to it.
        momentum: how much of the velocity ``v`` stays, in [0, 1).
        nesterov: whether to look ahead along the velocity.
        weight_decay ... name: as every optimizer has them, see ``Optimizer``.
    """

    def __init__(
        self,
        learning_rate: float | Callable[[int], float] = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
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
        self.momentum = _options.fraction("SGD", "momentum", momentum)
        self.nesterov = bool(nesterov)
        if self.momentum:
            self.slots = ("v",)

    def update(self, xp, p, g, state, step, rate):
        if not state:
            return p - g * rate, state
        (v,) = state
        v = v * self.momentum - g * rate
        if self.nesterov:
            return p - g * rate + v * self.momentum, (v,)
        return p + v, (v,)
