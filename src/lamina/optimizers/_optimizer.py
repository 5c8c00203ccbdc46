"""What all optimizers share: everything of a step but the rule.

A rule is one short pure function, ``update``, over pieces of any shape; see ``sgd.py`` for the
shortest. To add one: a class with ``slots`` and ``update`` in a file of its own, its name in
``__init__.py``, and its formula in the tests. How parameters are stored and stepped fast is in
``_layout.py``; clipping by norm and accumulation in ``_gradients.py``.
"""

from collections.abc import Callable, Iterable, Sequence

from lamina import backend
from lamina.autograd import Parameter
from lamina.optimizers import _options
from lamina.optimizers._counting import either
from lamina.optimizers._gradients import Accumulator, norm_factors, summed, unscaled
from lamina.optimizers._layout import Layout

_ELSEWHERE = {
    "step": "apply(gradients, parameters), or apply_gradients(pairs), does one step",
    "zero_grad": "gradients are not kept between steps: give new ones to apply or apply_gradients",
    "minimize": "take gradients with lamina.value_and_grad and give them to apply_gradients",
}
"""Names of other libraries, and what does their work here."""


class Optimizer:
    """Base class of optimizers: it moves parameters against their gradients.

    One step: gradients are summed and clipped, weights decay, the rule updates, averages follow,
    constraints are applied.

    Args:
        learning_rate: the size of a step, or a function from the number of steps done to it.
        weight_decay: before each update ``w -= w * weight_decay * learning_rate``, decoupled from
            the gradient (Loshchilov and Hutter, 2019, "Decoupled Weight Decay Regularization").
        clipnorm: scale the gradient of each parameter down to at most this norm.
        clipvalue: clip each element of a gradient to [-clipvalue, clipvalue].
        global_clipnorm: scale all gradients together down to at most this norm.
        use_ema: keep an average of every parameter,
            ``a = ema_momentum * a + (1 - ema_momentum) * w``.
        ema_momentum: how much of the average stays, in [0, 1).
        ema_overwrite_frequency: put the averages in place of the parameters every so many steps;
            None leaves that to ``finalize_variable_values``.
        loss_scale_factor: for half precision: gradients are those of the loss times this number
            (see ``scale_loss``) and are divided by it first. ``LossScaleOptimizer`` finds one.
        gradient_accumulation_steps: so many calls of ``apply`` make one step, with the mean
            of their gradients.
        name: a name for it; by default that of the class in lower case.

    Attributes:
        iterations: the number of steps done.
    """

    scales_loss = False
    """Whether gradients are to be those of ``scale_loss(loss)``."""

    slots: tuple[str, ...] = ()
    """Names of the arrays of state that the rule keeps for each parameter."""

    initial_state = 0.0
    """What the rule's state starts from."""

    def __init__(
        self,
        learning_rate: float | Callable[[int], float] = 0.001,
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
        owner = type(self).__name__
        if unknown:
            _options.refuse_unknown(owner, unknown, _options.arguments(type(self)))
        self.name = name or owner.lower()
        self.learning_rate = learning_rate
        self.weight_decay = _options.optional(
            _options.not_negative, owner, "weight_decay", weight_decay
        )
        self.clipnorm = _options.optional(_options.positive, owner, "clipnorm", clipnorm)
        self.clipvalue = _options.optional(_options.positive, owner, "clipvalue", clipvalue)
        self.global_clipnorm = _options.optional(
            _options.positive, owner, "global_clipnorm", global_clipnorm
        )
        if sum(c is not None for c in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise ValueError(
                f"{owner} takes at most one of clipnorm, clipvalue and global_clipnorm, got "
                f"{clipnorm=}, {clipvalue=}, {global_clipnorm=}"
            )
        self.use_ema = bool(use_ema)
        self.ema_momentum = _options.fraction(owner, "ema_momentum", ema_momentum)
        self.ema_overwrite_frequency = _options.optional(
            _options.count, owner, "ema_overwrite_frequency", ema_overwrite_frequency, 1
        )
        self.loss_scale_factor = _options.optional(
            _options.positive, owner, "loss_scale_factor", loss_scale_factor
        )
        self.scales_loss = self.loss_scale_factor is not None
        self.gradient_accumulation_steps = _options.optional(
            _options.count, owner, "gradient_accumulation_steps", gradient_accumulation_steps, 2
        )
        self.iterations = 0
        self._undecayed_parameters: list = []
        self._undecayed_names: list[str] = []
        self._accumulator = Accumulator(self.gradient_accumulation_steps)
        self._layout: Layout | None = None
        self._pending: dict | None = None

    def update(self, xp, p, g, state: tuple, step: int, rate: float):
        """The rule: a parameter, or any piece of some, and its state after a step. It is pure.

        Args:
            xp: the array-API namespace of the arrays.
            p: the parameter before.
            g: its gradient, in the shape of ``p``.
            state: one array in the shape of ``p`` for each of ``slots``.
            step: the number of this step, from 1; where steps may be skipped on a device, like the
                rate, an array without axes: see ``_counting.py``.
            rate: the learning rate of this step.

        Returns:
            the new ``p`` and the new ``state``.
        """
        raise NotImplementedError(f"{type(self).__name__} must define update")

    def advance(self, update, xp, p, g, state: tuple, step: int, rate: float, decays: bool):
        """All of a step that is elementwise: clip, decay, ``update``, average."""
        if self.clipvalue is not None:
            g = xp.clip(g, -self.clipvalue, self.clipvalue)
        if decays:
            p = p * (1 - self.weight_decay * rate)
        if not self.use_ema:
            return update(xp, p, g, state, step, rate)
        average = state[-1]
        p, state = update(xp, p, g, state[:-1], step, rate)
        mixed = self.ema_momentum * average + (1 - self.ema_momentum) * p
        average = either(xp, step == 1, p, mixed)
        if self.ema_overwrite_frequency:
            p = either(xp, step % self.ema_overwrite_frequency == 0, average, p)
        return p, (*state, average)

    def scale_loss(self, loss):
        """``loss``, times ``loss_scale_factor`` where there is one."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        rate = self._learning_rate
        return float(rate(self.iterations)) if callable(rate) else rate

    @learning_rate.setter
    def learning_rate(self, value) -> None:
        owner = type(self).__name__
        if callable(value):
            _options.check_schedule(owner, value)
        else:
            if callable(getattr(self, "_learning_rate", None)):
                raise TypeError(
                    f"the learning rate of this {owner} follows a function of the "
                    f"step and cannot be set to {value!r}: make the optimizer with a number"
                )
            value = _options.not_negative(owner, "learning_rate", value)
        self._learning_rate = value

    @property
    def built(self) -> bool:
        """Whether ``build`` was called."""
        return self._layout is not None

    def exclude_from_weight_decay(
        self, var_list: Iterable | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Leave some parameters out of weight decay; to be called before ``build``.

        Args:
            var_list: parameters.
            var_names: patterns; a parameter is left out if one is found in its name.
        """
        if self.built:
            raise ValueError(
                "exclude_from_weight_decay must be called before the optimizer is built, which "
                "this one is: call it before the first step"
            )
        self._undecayed_parameters += var_list or ()
        self._undecayed_names += var_names or ()

    def build(self, parameters: Iterable) -> None:
        """Make state for the parameters; those of the last ``build`` that stay keep theirs.

        Args:
            parameters: ``Parameter`` objects, all on one backend.
        """
        parameters = list(parameters)
        for p in parameters:
            if not isinstance(p, Parameter):
                raise TypeError(
                    f"{type(self).__name__} moves lamina.Parameter objects, got "
                    f"{type(p).__name__}: pass model.trainable_weights, or make one with "
                    "lamina.Parameter(array)"
                )
        if self._layout is not None and self._layout.holds(parameters):
            self._reread()
            return
        self._lay_out(parameters)
        if self._pending is not None:
            pending, self._pending = self._pending, None
            self.set_state(pending)

    def _lay_out(self, parameters) -> None:
        before = self._layout
        self._layout = Layout(self, parameters, before)
        self._constrained = [p for p in parameters if p.constraint is not None]
        if before is not None:
            self._accumulator.renumber(before.parameters, parameters)

    def _reread(self) -> Layout:
        """The layout, after parameters were given other data, perhaps on another backend."""
        if not self._layout.reread():
            self._lay_out(self._layout.parameters)
        return self._layout

    def decays(self, parameter) -> bool:
        """Whether weight decay applies to a parameter."""
        if not self.weight_decay or any(parameter is p for p in self._undecayed_parameters):
            return False
        import re

        return not any(re.search(pattern, parameter.name) for pattern in self._undecayed_names)

    def apply(self, gradients: Sequence, parameters: Iterable | None = None) -> None:
        """Do one step.

        Args:
            gradients: raw arrays, one for each parameter and in its shape; None leaves a parameter
                and its state unchanged.
            parameters: what to step; by default those of the last ``build``.

        Raises:
            ValueError: where the gradients do not fit the parameters, or all are None.
        """
        if parameters is not None:
            self.build(parameters)
        for p, g in zip(self._built_layout().parameters, gradients, strict=False):
            if g is not None and tuple(g.shape) != tuple(p.data.shape):
                raise ValueError(
                    f"a gradient has the shape of its parameter: {p.name} has "
                    f"{tuple(p.data.shape)}, its gradient {tuple(g.shape)}"
                )
        self.apply_shards([gradients])

    def apply_gradients(self, grads_and_vars: Iterable) -> None:
        """Do one step with pairs ``(gradient, parameter)``; see ``apply``."""
        gradients, parameters = zip(*grads_and_vars, strict=True)
        self.apply(list(gradients), parameters)

    def apply_shards(self, shards: Sequence[Sequence], workers=None, step=None) -> None:
        """Do one step with the sum of several lists of gradients, added in their order.

        Args:
            shards: lists as ``apply`` takes them, one for each micro-batch.
            workers: threads to share the work in host memory: None for the calling thread alone, a
                number, or an object whose ``map_blocks(function, n)`` calls ``function(i)`` for i
                below n and waits. The result does not depend on it.
            step: what is done, in place of the step itself, with the gradients, checked and
                gathered: a function of their lists.
        """
        layout = self._layout or self._built_layout()
        complete = layout.check(shards)
        if layout.rebound():
            self._reread()
        if self.loss_scale_factor is not None:
            shards = [unscaled(gradients, self.loss_scale_factor) for gradients in shards]
        if self.gradient_accumulation_steps is not None:
            shards = self._accumulator.add(shards)
            if shards is None:
                return
        elif not complete:
            shards = [summed(shards)]
        if not complete and all(g is None for g in shards[0]):
            raise ValueError("no parameter received a gradient: does the loss depend on any?")
        if step is not None:
            step(shards)
        else:
            self._step(shards, workers)

    def _step(self, shards, workers) -> None:
        factors = None
        if self.clipnorm is not None or self.global_clipnorm is not None:
            shards = [summed(shards)]
            factors = norm_factors(shards[0], self.clipnorm, self.global_clipnorm)
        rate = self._learning_rate
        if callable(rate):
            rate = float(rate(self.iterations))
        step = self.iterations + 1
        self._layout.step(step, rate, shards, factors, workers)
        self.iterations = step
        for p in self._constrained:
            p.data = p.constraint(p.data)

    def finalize_variable_values(self, parameters: Iterable | None = None) -> None:
        """With ``use_ema``, put the averages in place of the parameters: the end of training."""
        layout = self._built_layout()
        if self.use_ema:
            chosen = None if parameters is None else {id(p) for p in parameters}
            for p, slots in zip(layout.parameters, layout.slots(), strict=True):
                if chosen is None or id(p) in chosen:
                    p.assign(slots["average"])

    def state(self) -> dict:
        """All that decides the next steps but the parameters themselves, as copies.

        Returns:
            "iterations", "learning_rate" where it is a number, and arrays: "0/m" is the slot m of
            the parameter number 0; with accumulation "0/held", the gradients held back, and
            "held_calls".
        """
        state = {"iterations": self.iterations}
        if not callable(self._learning_rate):
            state["learning_rate"] = self._learning_rate
        if self.gradient_accumulation_steps is not None:
            state["held_calls"] = self._accumulator.done
        if self._layout is None:
            return state | (self._pending or {})
        for i, slots in enumerate(self._layout.slots()):
            if i in self._accumulator.held:
                slots = {**slots, "held": self._accumulator.held[i]}
            for slot, value in slots.items():
                state[f"{i}/{slot}"] = backend.namespace(value).asarray(value, copy=True)
        return state

    def set_state(self, state: dict) -> None:
        """Take up where ``state()`` was called; before ``build``, the arrays wait for it.

        Args:
            state: what ``state()`` returned, its arrays on any backend.

        Raises:
            ValueError: where it belongs to another optimizer or other parameters. Nothing is
                changed then.
        """
        if "iterations" not in state:
            raise ValueError(
                f"the state of an optimizer says its iterations, got only {sorted(state)}"
            )
        if self._layout is None:
            self._pending = dict(state)
        else:
            arrays = {name: value for name, value in state.items() if "/" in name}
            self._accumulator.held = self._reread().set_slots(arrays)
        self._accumulator.done = int(state.get("held_calls", 0))
        self.iterations = int(state["iterations"])
        if "learning_rate" in state and not callable(self._learning_rate):
            self.learning_rate = state["learning_rate"]

    def get_config(self) -> dict:
        """The arguments that make an optimizer like this one, without its state."""
        config = {name: getattr(self, name) for name in _options.arguments(type(self))}
        return {**config, "learning_rate": self._learning_rate}

    @classmethod
    def from_config(cls, config: dict) -> "Optimizer":
        """The optimizer that ``get_config`` described."""
        return cls(**config)

    def __getattr__(self, name: str):
        """Called for what is not there: where another library's name was meant, say ours."""
        if name in _ELSEWHERE:
            raise AttributeError(f"{type(self).__name__} has no {name!r}: {_ELSEWHERE[name]}")
        return object.__getattribute__(self, name)  # fails again, with Python's own words

    def __repr__(self) -> str:
        return f"<{type(self).__name__} learning_rate={self._learning_rate}>"

    def _built_layout(self):
        if self._layout is None:
            raise ValueError(
                f"{type(self).__name__} knows no parameters yet: call build(parameters), or give "
                "them to apply"
            )
        return self._layout
