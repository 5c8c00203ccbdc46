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
_APART = "the parts of a batch did not meet at {!r}"


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
        self._brought = [queue.SimpleQueue() for _ in range(parts)]  # by each part, to the first
        self._given = [queue.SimpleQueue() for _ in range(parts)]  # to each part, by the first
        self._lock = threading.Lock()
        self._error = None

    def run(self, function) -> None:
        """``function(part, exchange)`` for every part; ``exchange(key, value, work)`` is a meeting.

        The first part calls ``work`` with the values that all parts brought, in the order of the
        parts, and each part gets its own of the results. Meanwhile the others wait, or take parts
        of what ``work`` gives to ``workers.run``.

        Raises:
            Apart: where the parts did not meet at the same keys, as often.
        """
        workers.each_on_its_own(functools.partial(self._part, function), self.parts)
        if self._error is not None:
            raise self._error

    def _part(self, function, part: int) -> None:
        exchange = self._lead if part == 0 else functools.partial(self._follow, part)
        if self._slots is not None:
            self._slots.acquire()
        try:
            function(part, exchange)
        except BaseException as error:
            with self._lock:  # that others waited in vain matters less than why
                if self._error is None or isinstance(self._error, Apart):
                    self._error = error
        finally:
            for way in self._given[1:] if part == 0 else [self._brought[part]]:
                way.put(_GONE)
            if self._slots is not None:
                self._slots.release()

    def _lead(self, key, value, work):
        brought = [(key, value), *self._waiting(lambda: [way.get() for way in self._brought[1:]])]
        if any(other != key for other, _ in brought):
            raise Apart(_APART.format(key))
        with workers.helped_by(self._given[1:]):
            own, *others = work([value for _, value in brought])
        for way, result in zip(self._given[1:], others, strict=True):
            way.put((key, result))
        return own

    def _follow(self, part: int, key, value, work):
        self._brought[part].put((key, value))
        other, result = self._waiting(lambda: workers.serve(self._given[part]))
        if other != key:
            raise Apart(_APART.format(key))
        return result

    def _waiting(self, wait):
        """What ``wait`` gives, while which another part may compute."""
        if self._slots is None:
            return wait()
        self._slots.release()
        try:
            return wait()
        finally:
            self._slots.acquire()
