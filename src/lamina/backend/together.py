"""Parts of one step that run side by side and meet on the way, to exchange numbers.

``workers.run`` lets whoever is free take the next part; here every part has a thread of its own,
since it waits for the others. Still no more than the set number of workers compute at a time. What
a part gets does not depend on who came first.
"""

import functools
import threading

from lamina import config
from lamina.backend import workers


class Apart(RuntimeError):
    """Parts that should have met did not: one took another way through the network."""


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
        self._meeting = threading.Condition()
        self._brought = [None] * parts  # what has come to the meeting under way
        self._keys = []
        self._taken = []  # what was brought to the last one
        self._count = 0  # meetings so far
        self._gone = False  # whether a part has ended, so that no meeting can be complete
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
            with self._meeting:  # that others waited in vain matters less than why
                if self._error is None or isinstance(self._error, Apart):
                    self._error = error
        finally:
            with self._meeting:
                self._gone = True
                self._meeting.notify_all()
            if self._slots is not None:
                self._slots.release()

    def _exchange(self, part: int, key, value) -> list:
        if self._slots is not None:
            self._slots.release()
        try:
            with self._meeting:
                self._brought[part] = value
                self._keys.append(key)
                now = self._count
                if len(self._keys) == self.parts and all(k == key for k in self._keys):
                    self._taken, self._brought = self._brought, [None] * self.parts
                    self._keys = []
                    self._count += 1
                    self._meeting.notify_all()
                while self._count == now:
                    if self._gone or len(self._keys) == self.parts:
                        self._meeting.notify_all()
                        raise Apart(f"the parts of a batch did not meet at {key!r}")
                    self._meeting.wait()
                return self._taken
        finally:
            if self._slots is not None:
                self._slots.acquire()
