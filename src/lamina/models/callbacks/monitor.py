"""Watching one figure of the logs: which way is better, and whether it got better.

The base of the callbacks that have a ``monitor`` argument. A newcomer may add words to the two
sets of ``UP`` and ``DOWN``.
"""

from __future__ import annotations

from lamina.errors import nearest, unknown, warn
from lamina.models.callbacks.callback import Callback, Logs
from lamina.optimizers._options import number

UP = frozenset(
    "acc accuracy auc auroc bleu correlation dice explained f1 f2 fbeta iou jaccard kappa map "
    "precision r2 recall sensitivity similarity specificity true".split()
)
DOWN = frozenset(
    "bce brier cosh crossentropy deviance distance divergence entropy error false hinge huber "
    "kld loss mae mape mse msle nll perplexity poisson rmse".split()
)


def direction(monitor: str) -> str:
    """Whether a figure of this name should become small (``"min"``) or large (``"max"``).

    The last word of the name that is known decides, so that ``val_accuracy`` and ``auc_2`` go up
    and ``val_loss``, ``head_mean_squared_error`` and ``accuracy_loss`` go down.

    Args:
        monitor: a name from the logs, with or without ``val_``.

    Returns:
        ``"min"`` or ``"max"``.

    Raises:
        ValueError: when no word of the name is known.
    """
    words = monitor.lower().replace("io_u", "iou").split("_")
    for word in reversed(words):
        if word in UP:
            return "max"
        if word in DOWN:
            return "min"
    raise ValueError(
        f"mode='auto' knows from its name which way a metric gets better, got {monitor!r}: "
        "pass mode='min' or mode='max'"
    )


class Monitor(Callback):
    """A callback that watches one figure of each epoch's logs.

    A value improves on the best when ``value < best - min_delta`` (mode ``"min"``) or
    ``value > best + min_delta`` (mode ``"max"``); the first value always does, and NaN never.

    Args:
        monitor: the name in the logs.
        mode: ``"min"``, ``"max"``, or ``"auto"`` to decide by the name.
        min_delta: the smallest change that counts, in the metric's unit; its sign is ignored.
    """

    def __init__(
        self, monitor: str = "val_loss", mode: str = "auto", min_delta: float = 0.0
    ) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            raise unknown("mode", mode, ["auto", "max", "min"])
        self.monitor = monitor
        self.mode = direction(monitor) if mode == "auto" else mode
        self.min_delta = abs(number(type(self).__name__, "min_delta", min_delta))
        self.best: float | None = None
        self._seen = False

    def improves(self, value: float, best: float | None) -> bool:
        """Whether ``value`` is better than ``best`` by more than ``min_delta``."""
        if best is None:
            return value == value  # all but NaN, which as the best could never be beaten
        if self.mode == "min":
            return value < best - self.min_delta
        return value > best + self.min_delta

    def value(self, logs: Logs) -> float | None:
        """The monitored figure, or None when the logs lack it.

        Warns, naming the figures there are, unless an earlier epoch had it: with
        ``validation_freq`` it may well be missing now and then.
        """
        if self.monitor in logs:
            self._seen = True
            return float(logs[self.monitor])
        if not self._seen:
            warn(
                f"{type(self).__name__} did nothing this epoch: it monitors {self.monitor!r}, "
                f"which is not in the logs: {self._remedy(logs)}"
            )
        return None

    def _remedy(self, logs: Logs) -> str:
        there = ", ".join(sorted(logs)) or "none, the logs are empty"
        validation = self.monitor.startswith("val_")
        alike = [name for name in logs if name.startswith("val_") == validation]
        close = nearest(self.monitor, alike)
        if close:
            return f"did you mean {close!r}? There are {there}"
        if validation and not alike:
            return f"monitor one of {there}, or pass validation_data or validation_split to fit()"
        return f"monitor one of {there}"
