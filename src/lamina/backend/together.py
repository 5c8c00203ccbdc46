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


_GONE = object(), None  # what the others find, in the place of a key and a value, at a part's end


class Together:
    """One run of ``parts`` parts.

    Example:
        >>> def part(i, exchange):
        ...     totals[i] = sum(exchange("total", values[i]))
        >>> Together(2).run(part)
    """

    def __init__(self, parts: int):
        self.parts = parts
        at_once = min(parts, config.workers())
        self._slots = threading.Semaphore(at_once) if at_once < parts else None
        # From each part to each other one, in which a part that comes last finds all and never
        # waits: half the switches of threads that a condition for all of them takes.
        self._ways = [[queue.SimpleQueue() for _ in range(parts)] for _ in range(parts)]
        self._lock = threading.Lock()
        self._error = None

    def run(self, function) -> None:
        """``function(part, exchange)`` for every part; ``exchange(key, value)`` is a meeting.

        It gives the values that all parts brought, in the order of the parts.

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
            self._bring(part, _GONE)
            if self._slots is not None:
                self._slots.release()

    def _bring(self, part: int, what) -> None:
        for way in self._ways[part]:
            way.put(what)

    def _exchange(self, part: int, key, value) -> list:
        self._bring(part, (key, value))
        if self._slots is not None:
            self._slots.release()
        try:
            brought = [ways[part].get() for ways in self._ways]
        finally:
            if self._slots is not None:
                self._slots.acquire()
        if any(other != key for other, _ in brought):
            raise Apart(f"the parts of a batch did not meet at {key!r}")
        return [value for _, value in brought]
