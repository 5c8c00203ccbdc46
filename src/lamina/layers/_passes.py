"""What a forward pass gathers on the way: which step it belongs to, and losses that layers add.

The training loop opens a ``Pass`` for every shard; layers reach it through ``Layer.random`` and
``Layer.add_loss``. Each thread has its own.
"""

import threading


class _Current(threading.local):
    value: "Pass | None" = None


_current = _Current()


class Pass:
    """One forward pass, as a ``with`` block.

    Args:
        step: the number of the training step.
        shard: which part of the batch this is.

    Attributes:
        losses: tensors of one number that layers added to the loss.
    """

    __slots__ = ("_before", "losses", "shard", "step")

    def __init__(self, step: int = 0, shard: int = 0):
        self.step = step
        self.shard = shard
        self.losses = []

    def __enter__(self):
        self._before = _current.value
        _current.value = self
        return self

    def __exit__(self, *exc_info):
        _current.value = self._before


def current() -> Pass | None:
    """The pass that is running on this thread, or None outside of one."""
    return _current.value


def add_loss(loss) -> None:
    """Note a loss in the pass that is running; outside of one nobody asks for it."""
    if _current.value is not None:
        _current.value.losses.append(loss)
