"""LossScaleOptimizer: for training in half precision, whose small gradients would become 0.

On a device nothing here waits. Whether the gradients are finite stays there, as do the scale and
the number of steps done: a step is always computed, and then taken or not by ``where``. In host
memory looking costs nothing, so there a step that is skipped is not computed.
"""

from collections.abc import Iterable, Sequence
from functools import partial

from lamina import backend
from lamina.optimizers import _options
from lamina.optimizers._gradients import norm_factors, summed, unscaled
from lamina.optimizers._optimizer import Optimizer

_LEAST, _MOST = 2.0**-126, 2.0**127  # beyond, the scale or its reciprocal were no float32
_WINDOW = 32  # steps skipped since the host last looked that a schedule still tells apart


class LossScaleOptimizer(Optimizer):
    """Another optimizer, fed with gradients of the loss times a scale that adapts itself.

    Gradients are divided by the scale before anything else, such as clipping, sees them. Where one
    of them is not finite, the step is skipped, with parameters, state and ``iterations`` as they
    were, and the scale is halved; after ``dynamic_growth_steps`` steps without, it is doubled.

    ``compile`` puts it around the optimizer of a model whose policy is "mixed_float16". In a loop
    of one's own, take gradients of ``optimizer.scale_loss(loss)``. With
    ``gradient_accumulation_steps`` of the inner optimizer it is the gathered step that is skipped.

    Micikevicius et al., 2018, "Mixed precision training", section 3.2.

    Args:
        inner_optimizer: the optimizer that does the steps; clipping, decay and averages are its.
        initial_scale: the scale to begin with. One too large is soon halved.
        dynamic_growth_steps: so many steps in a row without a skip double the scale.
        name: a name for it.
    """

    scales_loss = True

    def __init__(
        self,
        inner_optimizer,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **unknown,
    ):
        owner = type(self).__name__
        if unknown:
            known = _options.arguments(type(self))
            for option in unknown.keys() & set(_options.arguments(Optimizer)):
                raise TypeError(
                    f"{owner} has no argument {option!r} of its own: give it to the inner "
                    f"optimizer, as in {owner}(Adam({option}=...))"
                )
            _options.refuse_unknown(owner, unknown, known)
        if not isinstance(inner_optimizer, Optimizer) or inner_optimizer.scales_loss:
            raise TypeError(
                f"{owner} goes around an optimizer that does not scale losses itself, such as "
                f"lamina.optimizers.Adam(), got {inner_optimizer!r}"
            )
        self.inner_optimizer = inner_optimizer
        self.initial_scale = _options.positive(owner, "initial_scale", initial_scale)
        self.dynamic_growth_steps = _options.count(
            owner, "dynamic_growth_steps", dynamic_growth_steps, 1
        )
        self.name = name or "loss_scale_optimizer"
        self._place = None  # the backend of the three arrays below
        self._scale = self._counter = self._done = None
        self._pending = None  # a scale and a counter that wait for ``build``
        self._calls = 0  # steps asked for since the host last knew how many were done
        self._rates = {}

    # ---- the scale ------------------------------------------------------------------------------

    @property
    def dynamic_scale(self):
        """What losses are multiplied by now: an array without axes, a number before ``build``."""
        return self.initial_scale if self._scale is None else self._scale

    @property
    def step_counter(self):
        """The number of steps since the scale last changed: an array without axes, or 0."""
        return 0 if self._counter is None else self._counter

    def scale_loss(self, loss):
        """``loss * dynamic_scale``: what to take the gradients of."""
        return loss * self.dynamic_scale

    def _set_arrays(self, scale: float, counter: int) -> None:
        self._place = place = self._home()
        self._scale, self._counter, self._done = (
            place.xp.asarray(value, dtype=place.dtype(name), device=place.device)
            for value, name in (
                (scale, "float32"), (counter, "int32"), (self.inner_optimizer.iterations, "int32")
            )
        )  # fmt: skip
        self._calls = 0

    def _home(self):
        """The backend of the parameters."""
        parameters = self.inner_optimizer._built_layout().parameters
        return backend.of(parameters[0].data) if parameters else backend.get()

    def _adapt(self, xp, finite) -> None:
        """The scale and the counter after a step whose gradients were ``finite``."""
        doubled = xp.where(self._scale <= _MOST / 2, self._scale, self._scale * 0.5) * 2.0
        halved = xp.where(self._scale >= _LEAST * 2, self._scale * 0.5, self._scale)
        counter = self._counter + 1
        full = counter >= self.dynamic_growth_steps
        self._scale = xp.where(finite, xp.where(full, doubled, self._scale), halved)
        goes_on = xp.logical_and(finite, xp.logical_not(full))
        self._counter = xp.where(goes_on, counter, xp.zeros_like(counter))

    # ---- steps ----------------------------------------------------------------------------------

    def build(self, parameters: Iterable) -> None:
        """``build`` of the inner optimizer; the scale goes where the parameters are."""
        inner = self.inner_optimizer
        inner.build(parameters)
        if self._scale is None:
            pending, self._pending = self._pending, None
            self._set_arrays(*(pending or (self.initial_scale, 0)))
        elif self._home() is not self._place:
            self._settle()
            self._set_arrays(self._place.scalar(self._scale), self._place.scalar(self._counter))

    def apply_shards(self, shards: Sequence[Sequence], workers=None, step=None) -> None:
        """Do one step, or skip it, with the sum of several lists of gradients of the scaled loss.

        Args:
            shards, workers, step: as in ``Optimizer.apply_shards``.
        """
        inner = self.inner_optimizer
        inner.apply_shards(shards, workers, step or partial(self._step, workers=workers))

    def _step(self, shards, workers) -> None:
        """A step with gathered gradients of the scaled loss, if they are finite."""
        inner = self.inner_optimizer
        if self._scale is None:
            self.build(inner._layout.parameters)
        total = summed(shards)
        xp = self._place.xp
        finite = _all_finite(xp, total)
        total = unscaled(total, self._scale)
        if self._place.is_host:
            if finite:
                inner._step([total], workers)
                self._done = self._done + 1
        else:
            with backend.quiet():  # of a step that is thrown away nobody needs to hear
                self._step_where(xp, finite, total)
        self._adapt(xp, finite)

    def _step_where(self, xp, finite, gradients) -> None:
        """A step, and where ``finite`` is false all as before, without knowing which it is."""
        inner = self.inner_optimizer
        layout = inner._layout
        before = layout.values()
        held = [(p, p.data) for p in inner._constrained]
        factors = norm_factors(gradients, inner.clipnorm, inner.global_clipnorm)
        layout.step(self._done + 1, self._rate(xp), [gradients], factors, None)
        layout.keep_where(finite, before)
        for p, data in held:
            p.data = xp.where(finite, p.constraint(p.data), data)
        self._done = xp.where(finite, self._done + 1, self._done)
        self._calls += 1

    def _rate(self, xp):
        """The learning rate of this step: a number, or one picked on the device from a table."""
        rate = self.inner_optimizer._learning_rate
        if not callable(rate):
            return rate
        last = self.inner_optimizer.iterations + self._calls
        steps = range(max(self.inner_optimizer.iterations, last - _WINDOW), last + 1)
        self._rates = {step: self._rates.get(step) or float(rate(step)) for step in steps}
        dtype = self.inner_optimizer._layout.parameters[0].data.dtype
        table = xp.asarray(list(self._rates.values()), dtype=dtype, device=self._place.device)
        place = self._done - steps[0]
        place = xp.where(place > 0, place, xp.zeros_like(place))
        return xp.reshape(xp.take(table, xp.reshape(place, (1,)), axis=0), ())

    def _settle(self) -> None:
        """Let the host know how many steps were done: it waits for the device, if need be."""
        if self._calls:
            self.inner_optimizer.iterations = int(self._place.scalar(self._done))
            self._calls = 0

    # ---- what belongs to the inner optimizer ----------------------------------------------------

    @property
    def iterations(self) -> int:
        """The number of steps done; skipped ones do not count. On a device this waits for it."""
        self._settle()
        return self.inner_optimizer.iterations

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        if callable(self.inner_optimizer._learning_rate):
            self._settle()
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value) -> None:
        self.inner_optimizer.learning_rate = value
        self._rates = {}

    @property
    def built(self) -> bool:
        """Whether ``build`` was called."""
        return self.inner_optimizer.built

    def _built_layout(self):
        return self.inner_optimizer._built_layout()

    def decays(self, parameter) -> bool:
        """Whether weight decay applies to a parameter."""
        return self.inner_optimizer.decays(parameter)

    def exclude_from_weight_decay(self, var_list=None, var_names=None) -> None:
        """As the inner optimizer does it."""
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

    def finalize_variable_values(self, parameters: Iterable | None = None) -> None:
        """As the inner optimizer does it."""
        self.inner_optimizer.finalize_variable_values(parameters)

    def state(self) -> dict:
        """The inner optimizer's, with "dynamic_scale" and "step_counter"."""
        self._settle()
        if self._scale is None:
            scale, counter = self._pending or (self.initial_scale, 0)
        else:
            scale, counter = self._place.scalar(self._scale), self._place.scalar(self._counter)
        inner = self.inner_optimizer.state()
        return {**inner, "dynamic_scale": float(scale), "step_counter": int(counter)}

    def set_state(self, state: dict) -> None:
        """Take up where ``state()`` was called.

        Raises:
            ValueError: where it belongs to another optimizer or other parameters. Nothing is
                changed then.
        """
        state = dict(state)
        if not {"dynamic_scale", "step_counter"} <= state.keys():
            raise ValueError(
                "the state of a LossScaleOptimizer says its dynamic_scale and step_counter, got "
                f"only {sorted(state)}: give that of another optimizer to inner_optimizer.set_state"
            )
        scale, counter = float(state.pop("dynamic_scale")), int(state.pop("step_counter"))
        self.inner_optimizer.set_state(state)
        self._rates = {}
        if self.built:
            self._set_arrays(scale, counter)
        else:
            self._pending = scale, counter

    def get_config(self) -> dict:
        """The arguments that make an optimizer like this one, without its state."""
        from lamina.optimizers import serialize

        return {
            "inner_optimizer": serialize(self.inner_optimizer),
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict) -> "LossScaleOptimizer":
        from lamina.optimizers import deserialize

        return cls(**{**config, "inner_optimizer": deserialize(config["inner_optimizer"])})

    def __getattr__(self, name: str):
        """What is not there is the inner optimizer's: ``model.optimizer.beta_1``."""
        inner = vars(self).get("inner_optimizer")
        if inner is None or name.startswith("__"):
            return object.__getattribute__(self, name)
        return getattr(inner, name)

    def __repr__(self) -> str:
        return f"<LossScaleOptimizer of {self.inner_optimizer!r}>"


def _all_finite(xp, gradients):
    """Whether all numbers of all gradients are finite, as an array without axes."""
    flat = [xp.reshape(g, (-1,)) for g in gradients if g is not None]
    kinds = {}
    for g in flat:
        kinds.setdefault(str(g.dtype), []).append(g)
    found = None
    for alike in kinds.values():
        good = xp.all(xp.isfinite(alike[0] if len(alike) == 1 else xp.concat(alike)))
        found = good if found is None else xp.logical_and(found, good)
    return found
