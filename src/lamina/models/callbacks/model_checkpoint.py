"""Saving the model, or its weights, while it trains."""

from __future__ import annotations

import os
from typing import Any

from lamina.models.callbacks.callback import Logs
from lamina.models.callbacks.monitor import Monitor


class ModelCheckpoint(Monitor):
    """Save the model or its weights every epoch, every few batches, or when it is the best so far.

    A file is replaced only by a whole new one: an interruption leaves the old one as it was.

    Args:
        filepath: where to save. ``{epoch}``, counted from 1, and the names in the logs are filled
            in, as in ``"{epoch:02d}-{val_loss:.2f}.safetensors"``; ``{batch}``, from 1, too when
            ``save_freq`` is a number. Missing folders are made.
        monitor: name of the figure that decides which epoch is the best.
        verbose: 1 prints each decision, 0 nothing.
        save_best_only: whether to save only when ``monitor`` is better than ever.
        save_weights_only: whether to save the weights alone, to a path that ends in
            ``.safetensors`` or ``.npz``, rather than the whole model.
        mode: ``"min"``, ``"max"``, or ``"auto"`` to decide by the name; used with
            ``save_best_only``.
        save_freq: ``"epoch"``, or a number of batches. Between epochs the figures are those of
            the epoch so far.
        initial_value_threshold: with ``save_best_only``, the value that the first saved model
            must better.

    Attributes:
        best: the best value so far, kept from one ``fit`` to the next, or None.

    Raises:
        ValueError: for a ``save_freq`` or a path of another kind, a name in ``filepath`` that is
            not in the logs, or an undecidable ``mode="auto"``.
        TypeError: when the whole model is asked for and the model cannot be saved whole.

    Example:
        >>> best = ModelCheckpoint("best.safetensors", save_best_only=True, save_weights_only=True)
        >>> model.fit(x, y, epochs=50, validation_split=0.2, callbacks=[best])
        >>> model.load_weights("best.safetensors")
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        # Without save_best_only nothing is compared, and any name will do.
        super().__init__(monitor, mode if save_best_only or mode != "auto" else "min")
        if save_freq != "epoch" and (not isinstance(save_freq, int) or save_freq < 1):
            raise ValueError(
                f"save_freq is 'epoch' or a number of batches, got {save_freq!r}: "
                "pass for example save_freq=100"
            )
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self.best = initial_value_threshold
        self._epoch = 0
        self._batches = 0
        if save_weights_only:
            from lamina.saving.weights import check_suffix

            check_suffix(self.filepath)

    def wants(self, hook: str) -> bool:
        return super().wants(hook) and (hook != "on_train_batch_end" or self.save_freq != "epoch")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if not self.save_weights_only and not hasattr(self.model, "save"):
            raise TypeError(
                "ModelCheckpoint saves a whole model through model.save(), which "
                f"{type(self.model).__name__} does not have: pass save_weights_only=True and a "
                "path that ends in .safetensors or .npz"
            )

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self._batches == self.save_freq:
            self._batches = 0
            self._consider({"epoch": self._epoch + 1, "batch": batch + 1}, logs or {}, start="\n")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._consider({"epoch": epoch + 1}, logs or {})

    def _consider(self, position: dict[str, int], logs: Logs, start: str = "") -> None:
        path = self._path({**logs, **position})
        reason = ""
        if self.save_best_only:
            value = self.value(logs)
            if value is None:
                return
            before = "the start" if self.best is None else f"{self.best:.5f}"
            if not self.improves(value, self.best):
                self._say(position, f"{self.monitor} did not improve from {before}", start)
                return
            reason = f"{self.monitor} improved from {before} to {value:.5f}, "
            self._save(path)
            self.best = value
        else:
            self._save(path)
        self._say(position, f"{reason}saved {path}", start)

    def _path(self, figures: dict[str, float]) -> str:
        try:
            return self.filepath.format(**figures)
        except (KeyError, IndexError) as error:
            raise ValueError(
                f"filepath {self.filepath!r} is filled in from the epoch's figures, which have no "
                f"{error.args[0]!r}: use {', '.join(sorted(figures))}"
            ) from None

    def _save(self, path: str) -> None:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)

    def _say(self, position: dict[str, int], message: str, start: str) -> None:
        if self.verbose:
            print(f"{start}Epoch {position['epoch']}: {message}")

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "batches": self._batches}

    def set_state(self, state: dict[str, Any]) -> None:
        self.best = state["best"]
        self._batches = state["batches"]
