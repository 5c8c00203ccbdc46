"""What a forward pass gathers on the way: which step it belongs to, and losses that layers add.

The training loop opens a ``Pass`` for every shard; layers reach it through ``Layer.random`` and
``Layer.add_loss`` and ``Layer.add_update``. Each thread has its own.
"""

import threading

from lamina.layers._casting import Rounded


class _Current(threading.local):
    value: "Pass | None" = None
    training = False


_current = _Current()


class Pass:
    """One forward pass, as a ``with`` block.

    Args:
        step: the number of the training step; None where the model is only used.
        shard: which part of the batch this is.

    Attributes:
        losses: tensors of one number that layers added to the loss.
        updates: pairs of a parameter and what makes its new array of its old one.
        exchange: None, or a function (key, value, work) that gives this shard's part of what
            ``work`` makes of the values of all shards of the batch, which run side by side.
        of_shard: whether an update was made from this part of the batch alone.
    """

    __slots__ = (
        "_before", "_draws", "exchange", "losses", "of_shard", "shard", "step", "updates",
    )  # fmt: skip

    def __init__(self, step: int | None = None, shard: int = 0, exchange=None):
        self.step = step
        self.shard = shard
        self.exchange = exchange
        self.losses = []
        self.updates = []
        self.of_shard = False
        self._draws = None

    def __enter__(self):
        self._before = _current.value
        _current.value = self
        return self

    def __exit__(self, *exc_info):
        _current.value = self._before

    def draw(self, layer) -> int:
        """How often ``layer`` asked for random numbers before in this pass."""
        if self._draws is None:
            self._draws = {}
        number = self._draws.get(layer, 0)
        self._draws[layer] = number + 1
        return number


class Mode:
    """A block in which layers that are not told go by ``training``."""

    __slots__ = ("_before", "_training")

    def __init__(self, training: bool):
        self._training = training

    def __enter__(self):
        self._before = _current.training
        _current.training = self._training

    def __exit__(self, *exc_info):
        _current.training = self._before


def in_training() -> bool:
    """Whether the layer around is called for a step of training."""
    return _current.training


def current() -> Pass | None:
    """The pass that is running on this thread, or None outside of one."""
    return _current.value


def add_loss(loss) -> None:
    """Note a loss in the pass that is running; outside of one nobody asks for it."""
    if _current.value is not None:
        _current.value.losses.append(loss)


def add_update(parameter, new, of_batch=False) -> None:
    """Note an update in the pass that is running; outside of one it is done at once.

    Args:
        parameter, new: as in ``Layer.add_update``.
        of_batch: whether it is that of the whole batch, hence the same in all shards.
    """
    current = _current.value
    if current is None:
        commit([(parameter, new)])
    elif not of_batch:
        current.of_shard = True
        current.updates.append((parameter, new))
    elif current.shard == 0:
        current.updates.append((parameter, new))


def commit(updates) -> None:
    """Do the updates of a pass, in order, each on what the one before left."""
    with Rounded(None):
        for parameter, new in updates:
            parameter.assign(new(parameter.data))
