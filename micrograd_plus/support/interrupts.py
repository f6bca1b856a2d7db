"""Ctrl-C that waits for a moment at which nothing is half done."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class LateCtrlC:
    """From `begin` to `end`, the first Ctrl-C only sets `pressed`; the next raises as always.

    It changes nothing in another thread than the main one, which alone gets Ctrl-C in Python, and
    nothing where a program handles Ctrl-C itself.
    """

    def __init__(self) -> None:
        self.pressed = self._waits = False

    def begin(self) -> None:
        """From now on Ctrl-C waits."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._waits = True
            signal.signal(signal.SIGINT, self._press)

    def end(self) -> None:
        """From now on Ctrl-C does what it did before."""
        if self._waits:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._waits = False

    def _press(self, number: int, frame: FrameType | None) -> None:
        if self.pressed:
            signal.default_int_handler(number, frame)
        self.pressed = True
