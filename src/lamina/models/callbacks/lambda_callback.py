"""A callback made of plain functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lamina.errors import unknown
from lamina.models.callbacks.callback import HOOKS, Callback


class LambdaCallback(Callback):
    """Call plain functions at the moments of a run.

    Args:
        on_epoch_begin: function of ``(epoch, logs)``.
        on_epoch_end: function of ``(epoch, logs)``.
        on_train_begin: function of ``(logs)``.
        on_train_end: function of ``(logs)``.
        on_train_batch_begin: function of ``(batch, logs)``.
        on_train_batch_end: function of ``(batch, logs)``.
        **kwargs: functions for the other hooks of ``Callback``, by their names.

    Raises:
        ValueError: for a name that is not a hook.

    Example:
        >>> tell = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
        >>> model.fit(x, y, epochs=3, callbacks=[tell])
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **kwargs: Callable[..., Any] | None,
    ) -> None:
        super().__init__()
        functions = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **kwargs,
        }
        for hook, function in functions.items():
            if hook not in HOOKS:
                raise unknown("hook", hook, HOOKS)
            if function is not None:
                setattr(self, hook, function)
