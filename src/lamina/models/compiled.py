"""What ``compile`` makes of a model, and what it must have been told before it can train."""

from lamina import config, losses, optimizers
from lamina.layers._options import unknown_option
from lamina.models.figures import Figures
from lamina.models.step import Step


class Compiled:
    """The part of a ``Model`` that knows how to train; see there."""

    optimizer = None
    _step = None

    def compile(
        self,
        optimizer="rmsprop",
        loss=None,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        run_eagerly=False,
        steps_per_execution=1,
        jit_compile="auto",
        auto_scale_loss=True,
        **old,
    ) -> None:
        """Say how to train.

        Args:
            optimizer: a name or an optimizer.
            loss: a name, a loss, or a function (y_true, y_pred) of one value per sample, or of
                one number for the batch. A function whose first batch shows that each value
                depends on its own sample alone may then be called with parts of a batch; for one
                that should not, return one number.
            loss_weights: a factor of the loss.
            metrics: names, metrics, or functions (y_true, y_pred), to watch.
            weighted_metrics: metrics that sample and class weights apply to.
            run_eagerly, steps_per_execution, jit_compile: accepted for Keras's sake; nothing is
                compiled here, so they change nothing.
            auto_scale_loss: whether to put a ``LossScaleOptimizer`` around the optimizer where a
                layer's policy is "mixed_float16".

        Raises:
            ValueError: for an unknown name, with the nearest right one.
        """
        if old:
            raise unknown_option("compile", old, self.compile)
        config.workers()  # a LAMINA_WORKERS that is no number is told here, not by a later step
        chosen = optimizers.get(optimizer)
        loss = None if loss is None else losses.get(loss)
        if loss is not None and loss.reduction in (None, "none"):
            raise ValueError(
                f'the loss "{loss.name}" has reduction=None, but training needs one number: '
                'use reduction="sum_over_batch_size"'
            )
        figures = Figures(loss, metrics, weighted_metrics)
        if auto_scale_loss and chosen is not None and not chosen.scales_loss:
            if any(layer.dtype_policy.name == "mixed_float16" for layer in self.layers_within()):
                chosen = optimizers.LossScaleOptimizer(chosen)
        self._loss_weight = _loss_weight(loss_weights)
        self.optimizer = chosen
        self.loss = loss
        self._figures = figures
        self._step = Step(self, loss, self._loss_weight)
        self._compiled = {
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "auto_scale_loss": auto_scale_loss,
        }

    def __getstate__(self) -> dict:
        """What ``copy`` and ``pickle`` keep: all but what the first step, or use, makes anew."""
        state = {**vars(self), "_step": None, "_figures": None, "_plan": None}
        if self._step is not None:
            kind, settings = type(self.optimizer), self.optimizer.get_config()
            state["optimizer"] = kind, settings, self.optimizer.state(), self._step.number
        return state

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)
        if isinstance(self.optimizer, tuple):
            kind, settings, moved, number = self.optimizer
            self.compile(kind.from_config(settings), **self._compiled)
            self.optimizer.set_state(moved)
            self._step.number = number

    def reset_metrics(self) -> None:
        """Begin the running figures anew."""
        if self._step is not None:
            self._figures.reset()

    @property
    def metrics_names(self) -> list[str]:
        """The names of the figures that ``evaluate`` returns, once a batch has been seen."""
        return ["loss", *[metric.name for metric, _ in self._figures.metrics or ()]]

    def _prepare(self) -> None:
        if self._step.refresh() or not self.optimizer.built:
            self.optimizer.build(self._step.parameters)

    def _forget_batches(self) -> None:
        """Drop what was kept on a backend that the model has left."""
        if self._step is not None:
            self._step.forget()
            self._figures.forget()

    def _require_compiled(self, method: str, loss: bool = False) -> None:
        if self._step is None:
            raise RuntimeError(
                f"{method} needs to know how to train: call compile(optimizer, loss) before it"
            )
        if loss and self.loss is None:
            raise RuntimeError(f"{method} needs a loss: name one in compile(loss=...)")


def _loss_weight(given) -> float:
    if given is None:
        return 1.0
    values = list(given.values()) if isinstance(given, dict) else given
    values = values if isinstance(values, list | tuple) else [values]
    if any(isinstance(value, str) or not hasattr(value, "__float__") for value in values):
        raise TypeError(
            f"loss_weights are numbers, got {given!r}: did you mean metrics=[...]? The third "
            "argument of compile is loss_weights, as in Keras"
        )
    if len(values) != 1:
        raise ValueError(f"the model has one output, got {len(values)} loss_weights")
    return float(values[0])


def _removed(name: str, today: str):
    def method(self, *args, **kwargs):
        raise AttributeError(f"{name} is gone from Keras and from here: {today}")

    method.__name__ = name
    return method


for _name, _today in {
    "predict_classes": "use predict(x).argmax(axis=-1), or (predict(x) > 0.5) for one sigmoid",
    "predict_proba": "use predict(x)",
    "fit_generator": "pass the generator to fit(x)",
    "evaluate_generator": "pass the generator to evaluate(x)",
    "predict_generator": "pass the generator to predict(x)",
}.items():
    setattr(Compiled, _name, _removed(_name, _today))
