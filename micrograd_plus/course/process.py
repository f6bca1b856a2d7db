"""Starts the process that runs a student's notebook, sends it commands, and ends it.

What it does is in `worker`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self, cast

from ..support import store
from .worker import LARGEST_ANSWER

_START_SECONDS = 60.0
_START = f"""
import sys; sys.path.insert(0, sys.argv[1])
from {__package__} import worker; worker.main()
"""
_ROOT = str(Path(__file__).resolve().parents[2])
"""Where the package is; the process with the student's code uses the same."""


@dataclass(frozen=True)
class Limits:
    """Seconds and memory of a notebook, and the files and folders that it must not read."""

    seconds: float
    memory: int  # bytes
    hidden: list[str]


class EndedError(Exception):
    """The process with the student's code has ended; the text says why."""


class StudentProcess:
    """The process with the student's code.

    doing: what it was asked last, in words. unprotected: what the system cannot protect.
    """

    def __init__(self, folder: str, limits: Limits) -> None:
        self.limits, self.doing = limits, "its start"
        self._why = ""
        self._popen = subprocess.Popen(
            [sys.executable, "-I", "-X", "utf8", "-c", _START, _ROOT],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            cwd=folder, env=_environment(folder), start_new_session=True,
        )  # fmt: skip
        self._commands = cast("IO[bytes]", self._popen.stdin)
        self._answers = cast("IO[bytes]", self._popen.stdout)
        self._timer = threading.Timer(_START_SECONDS, self._stop)
        self._timer.start()
        try:
            ready = self.ask(
                folder=folder, hidden=limits.hidden, memory=limits.memory,
                seconds=limits.seconds, cell_seconds=limits.seconds / 2,
            )  # fmt: skip
        except BaseException:
            self.__exit__()
            raise
        self.unprotected = set(ready["unlimited"])
        if not ready["is_separate"]:
            self.unprotected.add("files and network against code that uses ctypes")
        self._timer.cancel()
        self._timer = threading.Timer(limits.seconds, self._stop)
        self._timer.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._timer.cancel()
        self._end()
        for pipe in (self._commands, self._answers):
            with suppress(OSError):
                pipe.close()

    def ask(self, **command: Any) -> Mapping[str, Any]:
        """Sends a command and gives the answer; EndedError if there is none."""
        try:
            self._commands.write(json.dumps(command).encode() + b"\n")
            self._commands.flush()
            line = self._answers.readline(2 * LARGEST_ANSWER)
        except OSError:
            line = b""
        if not line:
            raise EndedError(self._why or f"the notebook ended its own process in {self.doing}")
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise EndedError(f"what came out of {self.doing} is too long, or cannot be read")
        return answer

    def _stop(self) -> None:
        self._why = f"stopped after {self.limits.seconds:g} seconds, in {self.doing}"
        self._end()

    def _end(self) -> None:
        """Ends it: a process that waits for another one ends that first."""
        self._popen.terminate()
        try:
            self._popen.wait(2)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()


def _environment(folder: str) -> dict[str, str]:
    """No more of this process's variables than Python and the library need."""
    kept = ("SYSTEMROOT", "LANG", "LC_ALL")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PATH": "", "HOME": folder, "TMPDIR": folder, "TEMP": folder, "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1", "LOKY_MAX_CPU_COUNT": "1",
        "MICROGRAD_PLUS_CACHE": str(store.folder().absolute()),  # else each compiles the kernels
    }  # fmt: skip
