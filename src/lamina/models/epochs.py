"""The epochs of ``fit``: which batches each of them has."""

from lamina.errors import warn


class Epochs:
    """The epochs of a source of batches; each iteration is one of them.

    Args:
        source: an ``ArrayBatches`` or ``IterableBatches``.
        order: None, or a function from the number of rows to a new random order of them.
        steps: batches in an epoch, which may end within the data; the next then goes on from there.
            None is all there are.

    Attributes:
        steps: batches in an epoch, where that is known.
    """

    def __init__(self, source, order=None, steps=None):
        self._source = source
        self._order = order if source.rows is not None else None
        self._per_epoch = steps
        self._rest = None  # of the pass over the data that is under way
        self.steps = steps or source.steps

    def __iter__(self):
        if self._per_epoch is None:
            if self._rest is not None and self._source.is_spent_by_use:
                warn(
                    "the generator had no batches for another epoch: pass steps_per_epoch to share "
                    "them out, or something that can be iterated again"
                )
                return
            self._begin()
            yield from self._rest
            return
        for _ in range(self._per_epoch):
            batch = self._next()
            if batch is None:
                warn(
                    "the data ran out before steps_per_epoch batches: lower steps_per_epoch, or "
                    "pass more data"
                )
                return
            yield batch

    def _next(self):
        """The next batch, of the next pass where one has ended; None where there is none left."""
        batch = None if self._rest is None else next(self._rest, None)
        if batch is None and (self._rest is None or not self._source.is_spent_by_use):
            self._begin()
            batch = next(self._rest, None)
        return batch

    def _begin(self) -> None:
        order = None if self._order is None else self._order(self._source.rows)
        self._rest = iter(self._source.epoch(order))
