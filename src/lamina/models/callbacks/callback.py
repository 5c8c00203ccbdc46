"""What a callback is: the moments of a run at which it is called.

Start here to write your own: subclass ``Callback`` and override the hooks you need.
"""

from __future__ import annotations

from typing import Any

Logs = dict[str, float]

HOOKS = (
    "on_train_begin",
    "on_train_end",
    "on_test_begin",
    "on_test_end",
    "on_predict_begin",
    "on_predict_end",
    "on_epoch_begin",
    "on_epoch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
    "on_predict_batch_begin",
    "on_predict_batch_end",
    "on_batch_begin",
    "on_batch_end",
)

_OLD_NAME = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}


class Callback:
    """Something that is told what happens in ``fit``, ``evaluate`` and ``predict``.

    Override the hooks you need; a hook that nobody overrides costs the training loop nothing.
    Epochs and batches count from 0. ``logs`` maps the names of losses and metrics to Python
    floats: running means over the epoch so far in batch hooks, and the figures of the whole
    epoch, with ``val_`` ones, in ``on_epoch_end``. Setting ``self.model.stop_training = True``
    ends training after the current batch or epoch.

    Attributes:
        model: the model being run, from before the first hook on.
        params: facts about the run, such as ``epochs``, ``steps`` and ``verbose``.

    Example:
        >>> class Announce(lamina.callbacks.Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         print(f"epoch {epoch + 1}: loss {logs['loss']:.3f}")
        >>> model.fit(x, y, epochs=3, callbacks=[Announce()])
    """

    logs_learning_rate = False
    """Whether the epoch's logs should hold ``learning_rate`` when this callback takes part."""

    def __init__(self) -> None:
        self.model: Any = None
        self.params: dict[str, Any] = {}

    def set_model(self, model: Any) -> None:
        """Receive the model that is about to run."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Receive the facts about the run: ``epochs``, ``steps``, ``verbose``."""
        self.params = params

    def wants(self, hook: str) -> bool:
        """Whether this callback does something in ``hook``: by default, if it overrides it.

        The training loop asks once, before it starts. A callback that needs a hook only with
        some of its options overrides this, so that other users do not pay for it.
        """
        names = (hook, _OLD_NAME[hook]) if hook in _OLD_NAME else (hook,)
        return any(_overrides(self, name) for name in names)

    def state(self) -> dict[str, Any]:
        """What this callback must remember to go on exactly where it stopped.

        Returns:
            A dict of plain values (None, bool, int, float, str, lists and dicts of them) and
            arrays. Empty for a callback without memory.
        """
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take up what ``state()`` returned, after ``on_train_begin`` has cleared the memory."""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called once when ``fit`` starts."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called once when ``fit`` ends, also when it was interrupted."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Called when ``evaluate``, or the validation inside ``fit``, starts."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Called when ``evaluate``, or the validation inside ``fit``, ends."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Called when ``predict`` starts."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Called when ``predict`` ends."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before the first batch of an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after the epoch's validation; figures added to ``logs`` reach the History."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before each training batch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after each training batch; the loop then waits for the device each time."""
        self.on_batch_end(batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before each batch of ``evaluate`` or validation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after each batch of ``evaluate`` or validation."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before each batch of ``predict``."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after each batch of ``predict``."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """The older name of ``on_train_batch_begin``."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """The older name of ``on_train_batch_end``."""


def _overrides(callback: Callback, hook: str) -> bool:
    method = getattr(callback, hook)
    return getattr(method, "__func__", method) is not getattr(Callback, hook)
