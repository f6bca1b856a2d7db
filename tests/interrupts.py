"""Ctrl-C in the middle of a run."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def ctrl_c(when: Callable[[], bool]) -> Iterator[None]:
    """Inside, Ctrl-C comes as soon as `when` says so, in another thread; it must end the block."""
    if os.name == "nt":
        pytest.skip("there are no such signals")
    ended = threading.Event()

    def press() -> None:
        while not ended.wait(0.05):
            if when():
                os.kill(os.getpid(), signal.SIGINT)
                return

    # A shell's background process ignores the signal, and so would the tests in it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=press)
    try:
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012
            thread.start()
            yield
    finally:
        ended.set()
        thread.join()
        signal.signal(signal.SIGINT, before)
