"""The record of a training run: what ``fit`` returns."""

from __future__ import annotations

from typing import Any

from lamina.errors import counted
from lamina.models.callbacks.callback import Callback, Logs


class History(Callback):
    """Keeps the figures of every epoch.

    Training figures are running means over an epoch, taken while the weights moved; ``val_``
    figures are measured after it. They are therefore not comparable to the last digit:
    ``evaluate`` on the training data gives comparable ones.

    Attributes:
        history: a dict from the figure's name to a list with one float an epoch.
        epoch: the numbers of the epochs, counted from 0.

    Example:
        >>> history = model.fit(x, y, epochs=20, validation_split=0.2)
        >>> min(history.history["val_loss"])
        0.3127
        >>> history.plot()
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.history = {}
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def state(self) -> dict[str, Any]:
        return {
            "epoch": list(self.epoch),
            "history": {name: list(values) for name, values in self.history.items()},
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self.epoch = list(state["epoch"])
        self.history = {name: list(values) for name, values in state["history"].items()}

    def plot(self, *args: Any, **kwargs: Any) -> Any:
        """Draw the learning curves; arguments and result are those of ``plotting.history``."""
        from lamina import plotting

        return plotting.history(self, *args, **kwargs)

    def __repr__(self) -> str:
        if not self.epoch:
            return "<History of no epochs>"
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.history.items())
        return f"<History of {counted(len(self.epoch), 'epoch')}{': ' if last else ''}{last}>"
