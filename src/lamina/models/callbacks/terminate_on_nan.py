"""Ending a run that has diverged."""

from __future__ import annotations

from math import isfinite
from typing import Any

from lamina.models.callbacks.callback import Callback, Logs


class TerminateOnNaN(Callback):
    """Stop training as soon as the loss is NaN or infinite.

    It looks at the loss of every batch, and so makes the loop wait for the device every batch.

    Args:
        raise_error: whether to raise an error, rather than print a line and end ``fit`` in order.

    Raises:
        RuntimeError: in the batch in which the loss became NaN or infinite, if ``raise_error``.

    Example:
        >>> model.fit(x, y, epochs=20, callbacks=[TerminateOnNaN()])
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error
        self._epoch = 0
        self._message: str | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._message = None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss: Any = (logs or {}).get("loss", 0.0)
        if isfinite(loss) or self._message is not None:
            return
        self._message = (
            f"training stopped: the loss is {loss} after batch {batch + 1} of epoch "
            f"{self._epoch + 1}: lower the learning rate, scale the data, or pass clipnorm=1.0 "
            "to the optimizer"
        )
        self.model.stop_training = True
        if self.raise_error:
            raise RuntimeError(self._message)

    def on_train_end(self, logs: Logs | None = None) -> None:
        # Said here, where no progress bar is being drawn.
        if self._message is not None and not self.raise_error:
            print(self._message)
