"""Threads that share the parts of one step.

NumPy releases the interpreter lock inside its loops and products, so parts of a batch run truly
side by side. A part is taken by whoever is free; what it computes never depends on who took it.
"""

import itertools
import os
import queue
import threading

import numpy as np

from lamina import config
from lamina.backend import memory


def quiet():
    """A block in which NumPy does not warn of overflows on this thread.

    A network that diverges is told of in the network's terms, not of NumPy's operations.
    """
    return np.errstate(over="ignore", divide="ignore", invalid="ignore", under="ignore")


class _Job:
    """One call of :func:`run`: parts to take, and the word that a helper has none left to do."""

    def __init__(self, function, parts: int):
        self.function = function
        self.parts = parts
        self.next_part = itertools.count()
        self.finished = queue.SimpleQueue()
        self.error = None

    def work(self) -> None:
        try:
            for part in self.next_part:
                if part >= self.parts or self.error is not None:
                    return
                self.function(part)
        except BaseException as error:
            self.error = self.error or error


_lock = threading.Lock()
_dispatch = threading.Lock()
_inboxes: list[queue.SimpleQueue] = []
_inside = threading.local()  # .part: whether this thread is within a part


def run(function, parts: int, workers: int | None = None) -> None:
    """Call ``function(part)`` for part = 0 ... parts - 1, on at most ``workers`` threads.

    The calling thread takes part. Returns when all parts are done; the first error of any of them
    is raised. Inside a part, and with one worker or one part, all runs on the calling thread.
    """
    workers = min(parts, workers or config.workers())
    if workers <= 1 or getattr(_inside, "part", False):
        for part in range(parts):
            function(part)
        return
    job = _Job(function, parts)
    inboxes = _helpers(workers - 1)
    for inbox in inboxes:
        inbox.put(job)
    _inside.part = True
    try:
        job.work()
    finally:
        _inside.part = False
        for _ in inboxes:
            job.finished.get()
    if job.error is not None:
        raise job.error


def each_on_its_own(function, parts: int) -> None:
    """Call ``function(part)`` for all parts at once, each on a thread of its own.

    For parts that wait for one another. It must not raise, and not be called inside a part.
    """
    jobs = [_Job(lambda _, part=part: function(part), 1) for part in range(1, parts)]
    inboxes = _helpers(parts - 1)
    with _dispatch:  # in one order everywhere, or two runs could wait for each other
        for inbox, job in zip(inboxes, jobs, strict=True):
            inbox.put(job)
    _inside.part = True
    try:
        function(0)
    finally:
        _inside.part = False
        for job in jobs:
            job.finished.get()


def _helpers(count: int) -> list[queue.SimpleQueue]:
    with _lock:
        while len(_inboxes) < count:
            inbox = queue.SimpleQueue()
            threading.Thread(
                target=_serve, args=(inbox,), name=f"lamina-worker-{len(_inboxes)}", daemon=True
            ).start()
            _inboxes.append(inbox)
        return _inboxes[:count]


def _serve(inbox: queue.SimpleQueue) -> None:
    _inside.part = True
    has_asked = False
    with quiet():
        while True:
            job = inbox.get()
            has_asked = has_asked or memory.use_huge_pages()
            job.work()
            finished = job.finished
            del job
            finished.put(True)


def _after_fork() -> None:
    """Threads do not survive a fork: let the child start its own."""
    global _lock, _dispatch
    _lock, _dispatch = threading.Lock(), threading.Lock()
    _inboxes.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
