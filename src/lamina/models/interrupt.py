"""Ctrl-C between steps, never within one."""

import signal
import threading


class Interruptible:
    """A block in which Ctrl-C waits until ``check`` is called; pressed twice, it waits no longer.

    A step that is cut in half would leave some parameters moved and others not. Where another
    handler than Python's own is set, or outside of the main thread, nothing changes.
    """

    def __init__(self):
        self.pressed = False
        self._before = None

    def __enter__(self):
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *exc_info):
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number, frame):
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True

    def check(self) -> None:
        """Raise KeyboardInterrupt where Ctrl-C was pressed."""
        if self.pressed:
            self.pressed = False
            raise KeyboardInterrupt
