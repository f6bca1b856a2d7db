"""The process that runs one student's notebook, as `grading` tells it to.

It reads one command a line, as JSON, and answers each with one line. It never learns what is right:
it gives what the student's code gave, and the other process judges.
"""

from __future__ import annotations

import base64
import json
import linecache
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from .. import classroom
from ..classroom.exercises.check import observe
from ..classroom.exercises.result import NOT_YET, Result
from .sandbox import fence, limit, separate

LARGEST_ANSWER = 1_000_000  # letters, as JSON
_LONGEST_ERROR = 500


class _TooLong(BaseException):
    """Ends a cell that takes too long; not an Exception, which students catch."""


def main() -> None:
    """Sets the limits, and then runs commands until they end."""
    commands, answers = _channel()
    setup = json.loads(commands.readline())
    folder, hidden = Path(setup["folder"]), [Path(place) for place in setup["hidden"]]
    unlimited = limit(setup["memory"], setup["seconds"])
    is_separate = separate(folder, hidden, setup["memory"])
    os.chdir(folder)
    sys.path.append(str(folder))
    attempts: list[str] = []
    fence(folder, hidden, attempts.append)
    _write(answers, {"is_separate": is_separate, "unlimited": unlimited})
    notebook = _Notebook(setup["cell_seconds"])
    for line in commands:
        command = json.loads(line)
        answer = notebook.check(**command) if "exercise" in command else notebook.run(**command)
        _write(answers, answer | {"attempts": attempts})
        attempts.clear()


def _channel() -> tuple[IO[str], IO[str]]:
    """Standard input and output, under other numbers; what the student prints is dropped."""
    commands, answers = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    return commands, answers


def _write(file: IO[str], answer: dict[str, Any]) -> None:
    file.write(json.dumps(answer) + "\n")
    file.flush()


class _Notebook:
    """The names of a running notebook."""

    def __init__(self, cell_seconds: float) -> None:
        self.cell_seconds = cell_seconds
        module = ModuleType("__main__")
        self.names = vars(module)
        self.names["display"] = lambda *_, **__: None
        sys.modules["__main__"] = module
        classroom.check = _not_here

    def run(self, name: str, source: str) -> dict[str, Any]:
        """Runs a cell; gives its error in one line, which is empty if there is none."""
        lines = [_without_magic(line) for line in source.splitlines(keepends=True)]
        linecache.cache[name] = (len(source), None, lines, name)

        def action() -> None:
            exec(compile("".join(lines), name, "exec"), self.names)

        return {"error": self._guarded(name, action)}

    def check(self, exercise: str, seed: int, answer: str) -> dict[str, Any]:
        """Runs an answer on fresh cases; gives what came out, or that there is no answer."""
        given: list[Any] = []
        error = self._guarded(answer, lambda: given.append(eval(answer, self.names)))
        if error:
            return {"missing": error}
        evidence = observe(pickle.loads(base64.b64decode(exercise)), seed, given[0])
        if len(json.dumps(evidence.outcomes)) > LARGEST_ANSWER:
            return {"missing": "what came out is too long"}
        return {"outcomes": evidence.outcomes, "is_begun": evidence.is_begun}

    def _guarded(self, name: str, action: Callable[[], Any]) -> str:
        try:
            with _at_most(self.cell_seconds):
                action()
        except _TooLong:
            return f"stopped after {self.cell_seconds:g} seconds"
        except BaseException as error:  # also SystemExit and KeyboardInterrupt
            return _told(error, name)
        return ""


def _not_here(id: str, answer: Any = None, **_: Any) -> Result:  # noqa: A002
    """Stands in for `check` in the student's own cells."""
    return Result(id, NOT_YET, (("", "It is checked outside of the notebook."),))


def _without_magic(line: str) -> str:
    """An empty line for one that only Jupyter understands."""
    return "\n" if line.startswith(("%", "!", "?")) else line


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raises _TooLong after that time, where the system can interrupt a cell."""
    if not hasattr(signal, "setitimer"):  # Windows
        yield
        return

    def stop(*_: Any) -> None:
        raise _TooLong

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.1)  # again, for code that catches everything
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _told(error: BaseException, name: str) -> str:
    try:
        message = " ".join(str(error).split())
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == name]
    except BaseException:
        message, lines = "", []
    where = f"line {lines[-1]}: " if lines else ""
    return f"{where}{type(error).__name__}: {message}"[:_LONGEST_ERROR]
