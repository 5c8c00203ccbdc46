"""Adam and AdamW: means of the gradient and of its square."""

from collections.abc import Callable

from lamina.optimizers import _options
from lamina.optimizers._counting import lack, root
from lamina.optimizers._optimizer import Optimizer


class Adam(Optimizer):
    """Steps along the mean gradient over the root of the mean square.

    ::

        m = m + (1 - beta_1) * (g - m)
        v = v + (1 - beta_2) * (g**2 - v)
        alpha = rate * sqrt(1 - beta_2**step) / (1 - beta_1**step)
        p = p - alpha * m / (sqrt(v) + epsilon)

    Kingma and Ba, 2015, "Adam: a method for stochastic optimization", Algorithm 1 in the more
    efficient order of its section 2, so epsilon is that section's epsilon hat. With ``amsgrad``
    the largest ``v`` so far takes the place of ``v`` in the last line: Reddi, Kale and Kumar, 2018,
    "On the convergence of Adam and beyond", Algorithm 2.

    Args:
        learning_rate: the size of a step, or a function from the number of steps done to it.
        beta_1: how much of the mean ``m`` stays, in [0, 1).
        beta_2: how much of the mean square ``v`` stays, in [0, 1).
        epsilon: keeps the divisor above 0.
        amsgrad: whether the divisor never shrinks.
        weight_decay ... name: as every optimizer has them, see ``Optimizer``.
    """

    slots: tuple[str, ...] = ("m", "v")

    def __init__(
        self,
        learning_rate: float | Callable[[int], float] = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
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
        owner = type(self).__name__
        self.beta_1 = _options.fraction(owner, "beta_1", beta_1)
        self.beta_2 = _options.fraction(owner, "beta_2", beta_2)
        self.epsilon = _options.not_negative(owner, "epsilon", epsilon)
        self.amsgrad = bool(amsgrad)
        if self.amsgrad:
            self.slots = ("m", "v", "v_max")

    def update(self, xp, p, g, state, step, rate):
        m, v, *largest = state
        m = m + (g - m) * (1 - self.beta_1)
        v = v + (g * g - v) * (1 - self.beta_2)
        kept = (m, v)
        if self.amsgrad:
            v = xp.maximum(largest[0], v)
            kept = (*kept, v)
        alpha = rate * root(xp, lack(xp, self.beta_2, step)) / lack(xp, self.beta_1, step)
        return p - m / (xp.sqrt(v) + self.epsilon) * alpha, kept


class AdamW(Adam):
    """Adam with weights that decay: ``p = p - p * weight_decay * rate`` before each of its steps.

    Loshchilov and Hutter, 2019, "Decoupled weight decay regularization", Algorithm 2.

    Args:
        weight_decay: the part of each weight, times the rate, that a step takes away.
        learning_rate ... amsgrad: as ``Adam`` has them.
        clipnorm ... name: as every optimizer has them, see ``Optimizer``.
    """

    def __init__(
        self,
        learning_rate: float | Callable[[int], float] = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
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
        if weight_decay is None:
            raise ValueError(
                "AdamW expects weight_decay to be a number, got None: use Adam to do without"
            )
        super().__init__(
            learning_rate,
            beta_1,
            beta_2,
            epsilon,
            amsgrad,
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
