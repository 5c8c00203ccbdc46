"""Lowering the learning rate when a figure no longer improves."""

from __future__ import annotations

from typing import Any

from lamina.layers._options import whole_number
from lamina.models.callbacks.callback import Logs
from lamina.models.callbacks.monitor import Monitor
from lamina.optimizers._options import number


class ReduceLROnPlateau(Monitor):
    """Multiply the learning rate by ``factor`` when ``monitor`` has stopped improving.

        learning_rate = max(learning_rate * factor, min_lr)

    after ``patience`` epochs without improvement, not counting the ``cooldown`` epochs that
    follow a reduction. The epoch's logs gain ``learning_rate``, the rate it was trained with.

    Args:
        monitor: name of a figure in the epoch's logs.
        factor: what the learning rate is multiplied by, at least 0 and below 1.
        patience: number of epochs without improvement after which the rate is reduced.
        verbose: 1 prints each reduction, 0 nothing.
        mode: ``"min"``, ``"max"``, or ``"auto"`` to decide by the name.
        min_delta: the smallest change that counts as an improvement, in the figure's unit.
        cooldown: number of epochs after a reduction in which none is counted.
        min_lr: the learning rate never goes below this.

    Raises:
        ValueError: when ``factor`` is out of range, ``mode="auto"`` cannot tell which way the
            figure improves, or a number of epochs is not a whole number from 0 on.

    Example:
        >>> slow_down = ReduceLROnPlateau(factor=0.2, patience=5, min_lr=1e-5)
        >>> model.fit(x, y, epochs=100, validation_split=0.2, callbacks=[slow_down])
    """

    logs_learning_rate = True

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        owner = type(self).__name__
        factor = number(owner, "factor", factor)
        if not 0 <= factor < 1:
            raise ValueError(
                f"ReduceLROnPlateau lowers the learning rate by a factor in [0, 1), got {factor}: "
                "pass for example factor=0.1"
            )
        super().__init__(monitor, mode, min_delta)
        self.factor = factor
        self.patience = whole_number(owner, "patience", patience, least=0)
        self.verbose = verbose
        self.cooldown = whole_number(owner, "cooldown", cooldown, least=0)
        self.min_lr = number(owner, "min_lr", min_lr)
        self._clear()

    def _clear(self) -> None:
        self.best = None
        self.wait = 0
        self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._clear()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = {} if logs is None else logs
        value = self.value(logs)
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        if value is None:
            return
        if self.cooldown_counter:
            self.cooldown_counter -= 1
        if self.improves(value, self.best):
            self.best = value
            self.wait = 0
        elif not self.cooldown_counter:
            self.wait += 1
            if self.wait >= self.patience and logs["learning_rate"] > self.min_lr:
                self._reduce(epoch, logs["learning_rate"])

    def _reduce(self, epoch: int, learning_rate: float) -> None:
        reduced = max(learning_rate * self.factor, self.min_lr)
        self.model.optimizer.learning_rate = reduced
        if self.verbose:
            print(f"Epoch {epoch + 1}: learning rate reduced to {reduced:.4g}")
        self.cooldown_counter = self.cooldown
        self.wait = 0

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "wait": self.wait, "cooldown_counter": self.cooldown_counter}

    def set_state(self, state: dict[str, Any]) -> None:
        self.best = state["best"]
        self.wait = state["wait"]
        self.cooldown_counter = state["cooldown_counter"]
