"""Many callbacks that act as one: what the training loop talks to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from lamina.models.callbacks.callback import HOOKS, Callback, Logs
from lamina.models.callbacks.history import History


class CallbackList(Callback):
    """A callback that passes every call on to each of its callbacks, in their order.

    Which callback does something in which hook is found out once, here: a hook that none wants
    costs nothing, and ``wants(hook)`` tells the loop what it need not prepare. A ``History``
    comes last, so that it records what the others added to the logs.

    Args:
        callbacks: a callback, an iterable of them, or None.
        add_history: whether to append a ``History`` when there is none.
        model: the model handed to every callback.
        **params: facts about the run handed to every callback, such as ``epochs=10``.

    Attributes:
        callbacks: the callbacks as a list.
        history: the ``History`` among them, or None.

    Raises:
        TypeError: when something in ``callbacks`` is not a ``Callback``.

    Example:
        >>> callbacks = CallbackList([EarlyStopping()], add_history=True, model=model, epochs=5)
        >>> callbacks.wants("on_train_batch_end")
        False
    """

    def __init__(
        self,
        callbacks: Callback | Iterable[Callback] | None = None,
        add_history: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        super().__init__()
        if callbacks is None:
            callbacks = ()
        given = list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
        for callback in given:
            _check(callback)
        histories = [c for c in given if isinstance(c, History)]
        if add_history and not histories:
            histories = [History()]
        self.history = histories[0] if histories else None
        others = [c for c in given if not isinstance(c, History)]
        self.callbacks: list[Callback] = [*others, *histories]
        self._find_calls()
        if model is not None:
            self.set_model(model)
        self.set_params(params)

    def _find_calls(self) -> None:
        self._calls = {
            hook: [getattr(c, hook) for c in self.callbacks if c.wants(hook)] for hook in HOOKS
        }
        self.logs_learning_rate = any(c.logs_learning_rate for c in self.callbacks)

    def append(self, callback: Callback) -> None:
        """Add a callback at the end."""
        _check(callback)
        self.callbacks.append(callback)
        callback.set_params(self.params)
        if self.model is not None:
            callback.set_model(self.model)
        self._find_calls()

    def __len__(self) -> int:
        return len(self.callbacks)

    def __iter__(self) -> Iterator[Callback]:
        return iter(self.callbacks)

    def set_model(self, model: Any) -> None:
        """Hand the model to every callback."""
        self.model = model
        for callback in self.callbacks:
            callback.set_model(model)

    def set_params(self, params: dict[str, Any]) -> None:
        """Hand the facts about the run to every callback."""
        self.params = params
        for callback in self.callbacks:
            callback.set_params(params)

    def wants(self, hook: str) -> bool:
        """Whether any of the callbacks does something in ``hook``."""
        return bool(self._calls[hook])

    def state(self) -> dict[str, Any]:
        """The state of every callback, in their order, each with its class's name."""
        return {
            "callbacks": [{"class": type(c).__name__, "state": c.state()} for c in self.callbacks]
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Hand every callback its state back.

        Raises:
            ValueError: when the callbacks are not those the state was taken from.
        """
        saved = [entry["class"] for entry in state["callbacks"]]
        here = [type(c).__name__ for c in self.callbacks]
        if saved != here:
            raise ValueError(
                f"a run goes on with the callbacks it was saved with, {', '.join(saved)}, "
                f"got {', '.join(here)}: pass the same ones in the same order"
            )
        for callback, entry in zip(self.callbacks, state["callbacks"], strict=True):
            callback.set_state(entry["state"])

    def epoch_logs(self, logs: Logs) -> Logs:
        """Add ``learning_rate`` to an epoch's logs when a callback asks for it; returns them.

        Called before the progress bar's last line and ``on_epoch_end``, so that both show the
        rate which the epoch was trained with.
        """
        if self.logs_learning_rate:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        return logs

    def _run(self, hook: str, *args: Any) -> None:
        *position, logs = args
        logs = {} if logs is None else logs
        for call in self._calls[hook]:
            call(*position, logs)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._run("on_train_begin", logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._run("on_train_end", logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._run("on_test_begin", logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._run("on_test_end", logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._run("on_predict_begin", logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._run("on_predict_end", logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._run("on_epoch_begin", epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._run("on_epoch_end", epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._run("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._run("on_train_batch_end", batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._run("on_test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._run("on_test_batch_end", batch, logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._run("on_predict_batch_begin", batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._run("on_predict_batch_end", batch, logs)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._run("on_train_batch_begin", batch, logs)

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._run("on_train_batch_end", batch, logs)


def _check(callback: object) -> None:
    if isinstance(callback, Callback):
        return
    if isinstance(callback, type) and issubclass(callback, Callback):
        received = f"the class {callback.__name__}"
        remedy = f"write {callback.__name__}(...) with its arguments"
    else:
        received = f"{callback!r} of type {type(callback).__name__}"
        remedy = "subclass lamina.callbacks.Callback, or wrap functions in LambdaCallback"
    raise TypeError(
        f"callbacks are instances of lamina.callbacks.Callback, got {received}: {remedy}"
    )
