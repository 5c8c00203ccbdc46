"""Setting the learning rate at the start of every epoch."""

from __future__ import annotations

from collections.abc import Callable

from lamina.models.callbacks.callback import Callback, Logs


class LearningRateScheduler(Callback):
    """Ask a function for the learning rate of every epoch.

        learning_rate = schedule(epoch, learning_rate)

    The epoch's logs gain ``learning_rate``. A schedule that changes with every step is a function
    of the steps done, handed to the optimizer as its ``learning_rate`` instead.

    Args:
        schedule: function of the epoch, counted from 0, and the present rate, that returns the
            new one. A function of the epoch alone will do as well.
        verbose: 1 prints each setting, 0 nothing.

    Raises:
        TypeError: when ``schedule`` is not callable, or returns something that is not a number.

    Example:
        >>> halve = LearningRateScheduler(lambda epoch, lr: lr / 2 if epoch % 10 == 9 else lr)
        >>> model.fit(x, y, epochs=50, callbacks=[halve])
    """

    logs_learning_rate = True

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        if not callable(schedule):
            raise TypeError(
                "schedule is a function of (epoch, learning_rate), "
                f"got {schedule!r}: pass for example lambda epoch, lr: lr * 0.9"
            )
        self.schedule = schedule
        self.verbose = verbose
        self._takes_rate = _takes_two(schedule)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        if self._takes_rate:
            returned = self.schedule(epoch, float(optimizer.learning_rate))
        else:
            returned = self.schedule(epoch)
        learning_rate = _number(returned, epoch)
        optimizer.learning_rate = learning_rate
        if self.verbose:
            print(f"Epoch {epoch + 1}: learning rate set to {learning_rate:.4g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


def _takes_two(function: Callable[..., float]) -> bool:
    from inspect import signature

    try:
        parameters = signature(function)
    except ValueError:
        return True
    try:
        parameters.bind(0, 0.1)
    except TypeError:
        return False
    return True


def _number(returned: object, epoch: int) -> float:
    try:
        if isinstance(returned, str | bool):
            raise TypeError
        return float(returned)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise TypeError(
            f"a learning rate schedule returns a number, got {returned!r} in epoch {epoch}: "
            "return the new rate, or the one it was given"
        ) from None
