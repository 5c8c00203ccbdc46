"""The progress bar of ``fit``, ``evaluate`` and ``predict``.

    Epoch 1/10
    24/24 ━━━━━━━━━━━━━━━━━━━━ 1s 3ms/step - loss: 0.6931

In a terminal and in a notebook the line is drawn over and over; in a file it is written once.
"""

from __future__ import annotations

import os
import sys
from time import perf_counter
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WIDTH = 20
INTERVAL = 0.05
NOTEBOOK_INTERVAL = 0.25
HEAVY, LIGHT = "━", "─"
ASCII = str.maketrans({HEAVY: "=", LIGHT: "."})


class ProgressBar:
    """Shows how far a pass over the data has come and how it goes.

    One object serves all epochs of a run. ``due`` costs one look at the clock, and nothing else
    is asked of the loop until it says yes, so that losses and metrics stay on the device.

    Args:
        verbose: 0 or False shows nothing, 1, True or ``"auto"`` a bar, 2 one line an epoch.
        stream: where to write; None is ``sys.stdout`` at the time of ``begin``.
        clock: function that returns seconds.

    Raises:
        ValueError: for another ``verbose``.

    Example:
        >>> bar = ProgressBar(verbose)
        >>> for epoch in range(epochs):
        ...     bar.begin(steps, f"Epoch {epoch + 1}/{epochs}")
        ...     for step in range(1, steps + 1):
        ...         train(step)
        ...         if bar.due(step):
        ...             bar.update(step, figures())
        ...     bar.finish(steps, figures())
    """

    def __init__(
        self,
        verbose: int | str = "auto",
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        if verbose not in (0, 1, 2, "auto"):
            raise ValueError(
                f"verbose is 0 (silent), 1 (a bar), 2 (a line an epoch) or 'auto', got "
                f"{verbose!r}: pass one of them"
            )
        self.verbose = 1 if verbose == "auto" else int(verbose)
        self._given_stream = stream
        self._stream: TextIO | None = stream
        self._clock = clock
        self._drawn = 0
        self._open = False
        self.begin(None)

    def begin(self, total: int | None = None, heading: str | None = None) -> None:
        """Start a pass over the data.

        Args:
            total: number of its steps, or None when that is not known.
            heading: a line to write first, such as ``Epoch 1/10``.
        """
        self.close()
        self._stream = sys.stdout if self._given_stream is None else self._given_stream
        self._total = total
        self._kind = _kind(self._stream) if self.verbose == 1 else "file"
        self._interval = NOTEBOOK_INTERVAL if self._kind == "notebook" else INTERVAL
        if heading is not None and self.verbose:
            self._write(heading + "\n")
        self._start = self._clock()
        self._first_step, self._first_time = 0, self._start
        self._last_step, self._last_time = 0, self._start
        self._next = -float("inf")

    def due(self, step: int) -> bool:
        """Whether it is time to show ``step``; asked after each step, counted from 1."""
        now = self._clock()
        if now < self._next:
            return False
        if not self._first_step:
            # The first step, which prepares memory and compiles kernels, tells nothing about
            # the others: the estimates start after it.
            self._first_step, self._first_time = step, now
            self._next = self._start + self._interval
            if self._kind == "file":
                self._next = float("inf")
        return now >= self._next and step != self._total

    def update(self, step: int, logs: Mapping[str, float] | None = None) -> None:
        """Show that ``step`` steps are done, and the figures so far.

        Called when ``due`` says so, and once when the steps are done but validation is to come.
        """
        now = self._clock()
        self._last_step, self._last_time = step, now
        if self._kind == "file":
            return
        seconds = self._seconds_per_step(step, now)
        if self._total is None:
            count, left = f"{step}/Unknown", now - self._start
        else:
            count, left = self._bar(step, self._total), seconds * max(self._total - step, 0)
        text = f"{count} {_duration(left)} {_rate(seconds)}{_figures(logs)}"
        if self._kind == "terminal":
            # A line that wraps could not be drawn over.
            text = text[: _columns(self._stream) - 1]
        self._draw(text)
        self._next = self._clock() + self._interval

    def finish(self, step: int, logs: Mapping[str, float] | None = None) -> None:
        """Write the line that stays: ``step`` steps were done, with these figures.

        The time a step took leaves validation out when ``update(step)`` was called before it.
        """
        now = self._clock()
        until = self._last_time if self._last_step == step else now
        self._next = float("inf")
        if not self.verbose:
            return
        total = step if self._total is None else self._total
        rate = _rate(self._seconds_per_step(step, until))
        elapsed = f"{now - self._start:.0f}s"
        if self.verbose == 2:
            count = f"{step:>{len(str(total))}}/{total}"
            self._draw(f"{count} - {elapsed} - {rate}{_figures(logs)}")
        else:
            self._draw(f"{self._bar(step, total)} {elapsed} {rate}{_figures(logs)}")
        self.close()

    def close(self) -> None:
        """End an unfinished line, as after an interruption; otherwise do nothing."""
        if self._open:
            self._write("\n")
        self._open, self._drawn = False, 0

    def _seconds_per_step(self, step: int, now: float) -> float:
        if 0 < self._first_step < step:
            return (now - self._first_time) / (step - self._first_step)
        return (now - self._start) / step if step else 0.0

    def _bar(self, step: int, total: int) -> str:
        done = min(WIDTH * step // total, WIDTH) if total else WIDTH
        return f"{step:>{len(str(total))}}/{total} {HEAVY * done}{LIGHT * (WIDTH - done)}"

    def _draw(self, text: str) -> None:
        back = "\r" if self._open else ""
        self._write(back + text + " " * (self._drawn - len(text)))
        self._open, self._drawn = True, len(text)

    def _write(self, text: str) -> None:
        stream = self._stream
        if stream is None:  # a program without a console
            return
        stream.write(encodable(text, stream, ASCII))
        stream.flush()


def encodable(text: str, stream: TextIO | None, ascii_signs: Mapping[int, str | int]) -> str:
    """``text``, with ``ascii_signs`` for its own where the stream's encoding lacks these."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(ascii_signs).encode(encoding, "replace").decode(encoding)
    return text


def _kind(stream: TextIO | None) -> str:
    """Where the stream leads: a "terminal", a "notebook" or a "file", which cannot go back."""
    module = type(stream).__module__.partition(".")[0]
    if module == "ipykernel":
        return "notebook"
    # The shell that comes with Python calls itself a terminal, but prints carriage returns.
    if module == "idlelib" or os.environ.get("TERM") == "dumb":
        return "file"
    return "terminal" if stream is not None and stream.isatty() else "file"


def _columns(stream: TextIO | None) -> int:
    if stream is None:
        return 80
    try:
        columns = int(os.environ.get("COLUMNS", 0))
        return columns or os.get_terminal_size(stream.fileno()).columns or 80
    except (AttributeError, ValueError, OSError):  # no terminal, as for a stream in memory
        return 80


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest:02d}"
    return f"{minutes}:{rest:02d}" if minutes else f"{rest}s"


def _rate(seconds: float) -> str:
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.0f}s/step"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.0f}ms/step"
    return f"{seconds * 1e6:.0f}us/step"


def _figures(logs: Mapping[str, float] | None) -> str:
    logs = logs or {}
    return "".join(f" - {name}: {_figure(logs[name])}" for name in sorted(logs, key=_rank))


def _figure(value: float) -> str:
    return f"{value:.4f}" if abs(value) > 1e-3 else f"{value:.4e}"


def _rank(name: str) -> tuple[bool, bool, str]:
    """Training figures, then those of validation, then the learning rate."""
    return name == "learning_rate", name.startswith("val_"), name
