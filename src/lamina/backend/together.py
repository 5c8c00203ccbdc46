"""Parts of one step that run side by side and meet on the way, to exchange numbers.

``workers.run`` lets whoever is free take the next part; here every part has a thread of its own,
since it waits for the others. Still no more than the set number of workers compute at a time. What
a part gets does not depend on who came first.
"""

import functools
import queue
import threading

from lamina import config
from lamina.backend import workers


class Apart(RuntimeError):
    """Parts that should have met did not: one took another way through the network."""


_GONE = object()  # what parts that wait are given when another has ended


class Together:
    """One run of ``parts`` parts.

    Example:
        >>> def part(i, exchange):
        ...     shares[i] = exchange("share", values[i], lambda all: [v / sum(all) for v in all])
        >>> Together(2).run(part)
    """

    def __init__(self, parts: int):
        self.parts = parts
        at_once = min(parts, config.workers())
        self._slots = threading.Semaphore(at_once) if at_once < parts else None
        self._brought = {}  # by part, at the meeting that is next or going on
        self._given = [queue.SimpleQueue() for _ in range(parts)]  # to each part, at its meetings
        self._ended = False  # whether any part has
        self._lock = threading.Lock()
        self._error = None

    def run(self, function) -> None:
        """``function(part, exchange)`` for every part; ``exchange(key, value, work)`` is a meeting.

        The part that comes last calls ``work`` with the values that all brought, in the order of
        the parts, and each gets its own of the results: so a part waits once at a meeting, or not
        at all.

        Raises:
            Apart: where the parts did not meet at the same keys, as often.
        """
        workers.each_on_its_own(functools.partial(self._part, function), self.parts)
        if self._error is not None:
            raise self._error

    def _part(self, function, part: int) -> None:
        if self._slots is not None:
            self._slots.acquire()
        try:
            function(part, functools.partial(self._exchange, part))
        except BaseException as error:
            with self._lock:  # that others waited in vain matters less than why
                if self._error is None or isinstance(self._error, Apart):
                    self._error = error
        finally:
            with self._lock:
                self._ended = True
                self._give([_GONE] * self.parts, part)
            if self._slots is not None:
                self._slots.release()

    def _exchange(self, part: int, key, value, work):
        with self._lock:
            ended = self._ended
            self._brought[part] = key, value
            brought = self._brought
            comes_last = len(brought) == self.parts
            if comes_last:
                self._brought = {}
        if comes_last:
            if all(other == key for other, _ in brought.values()):
                results = work([brought[i][1] for i in range(self.parts)])
                with self._lock:  # no part ends before all have their results
                    self._give(results, part)
                return results[part]
        elif not ended:
            result = self._wait(part)
            if result is not _GONE:
                return result
        raise Apart(f"the parts of a batch did not meet at {key!r}")

    def _give(self, results, own: int) -> None:
        """Each of the other parts its result."""
        for i, way in enumerate(self._given):
            if i != own:
                way.put(results[i])

    def _wait(self, part: int):
        """What this part is given, while which another may compute."""
        if self._slots is None:
            return self._given[part].get()
        self._slots.release()
        try:
            return self._given[part].get()
        finally:
            self._slots.acquire()
