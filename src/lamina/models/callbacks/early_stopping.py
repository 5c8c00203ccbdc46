"""Stopping when a figure no longer improves, and going back to the best weights."""

from __future__ import annotations

from typing import Any

from lamina.layers._options import whole_number
from lamina.models.callbacks.callback import Logs
from lamina.models.callbacks.monitor import Monitor
from lamina.optimizers._options import number, optional


class EarlyStopping(Monitor):
    """Stop training when ``monitor`` has not improved for ``patience`` epochs.

    Source: L. Prechelt, "Early stopping - but when?" (1998).

    Args:
        monitor: name of a figure in the epoch's logs.
        min_delta: the smallest change that counts as an improvement, in the figure's unit.
        patience: number of epochs without improvement after which training stops.
        verbose: 1 prints what it did when training ends, 0 nothing.
        mode: ``"min"``, ``"max"``, or ``"auto"`` to decide by the name.
        baseline: only an improvement that also beats this value resets the patience.
        restore_best_weights: whether to end with the weights of the best epoch, however training
            ends: stopped by this callback, out of epochs, or interrupted.
        start_from_epoch: number of first epochs that are not looked at.

    Attributes:
        best: the best value so far, or None.
        best_epoch: its epoch, counted from 0.
        wait: number of epochs since the last improvement.
        stopped_epoch: the epoch in which training was stopped, or 0.

    Raises:
        ValueError: when ``mode="auto"`` cannot tell which way the figure improves, or a number
            of epochs is not a whole number from 0 on.

    Example:
        >>> stop = EarlyStopping(patience=5, restore_best_weights=True)
        >>> model.fit(x, y, epochs=500, validation_split=0.2, callbacks=[stop])
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        owner = type(self).__name__
        self.patience = whole_number(owner, "patience", patience, least=0)
        self.verbose = verbose
        self.baseline = optional(number, owner, "baseline", baseline)
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = whole_number(owner, "start_from_epoch", start_from_epoch, least=0)
        self._clear()

    def _clear(self) -> None:
        self.best = None
        self.best_epoch = 0
        self.best_weights: list[Any] | None = None
        self.wait = 0
        self.stopped_epoch = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._clear()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.value(logs or {})
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self._keep_weights(epoch)
        self.wait += 1
        if self.improves(value, self.best):
            self.best = value
            self._keep_weights(epoch)
            if self.baseline is None or self.improves(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _keep_weights(self, epoch: int) -> None:
        self.best_epoch = epoch
        if self.restore_best_weights:
            self.best_weights = self.model.get_weights()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.verbose and self.stopped_epoch:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                print(f"Restoring the weights of the best epoch: {self.best_epoch + 1}")
            self.model.set_weights(self.best_weights)

    def state(self) -> dict[str, Any]:
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
            "wait": self.wait,
            "stopped_epoch": self.stopped_epoch,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self.best = state["best"]
        self.best_epoch = state["best_epoch"]
        self.best_weights = state["best_weights"]
        self.wait = state["wait"]
        self.stopped_epoch = state["stopped_epoch"]
