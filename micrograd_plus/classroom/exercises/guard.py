"""Runs a student's code within limits, and tells in a sentence what went wrong in it.

>>> guard = Guard()
>>> guard.run(lambda: 1 / 0).error
'ZeroDivisionError'
>>> guard.run(lambda: 6 * 7)
Outcome(value=42, error='', message='', told='')

An endless loop is stopped by a trace function, which works in any thread, on every system and in
Pyodide, where there are no signals. It sees each instruction of the student's code, but only calls
in this package and the standard library, so that these stay fast. A single call that never
returns, such as `time.sleep(1e9)`, is not stopped.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from ..lint.findings import Place
from .plain import NotPlainError, plain

SECONDS = 5.0
"""How long all runs of one check may take together."""

_MOST_LETTERS = 300  # of an exception's text
_LIBRARIES = (
    str(Path(__file__).parents[2]),
    str(Path(os.__file__).parent),
    "<frozen",
    "<micrograd_plus",
)


class Outcome(NamedTuple):
    """What a run gave: plain data, or an error.

    value: the plain data; None after an error.
    error: the name of the exception's class; ENDLESS if the run was stopped.
    message: the exception's own text.
    told: the error in a sentence, with the line of the student's code.
    """

    value: Any = None
    error: str = ""
    message: str = ""
    told: str = ""


ENDLESS = "endless"
NOT_PLAIN = NotPlainError.__name__


class Stopped(BaseException):
    """Ends a run that takes too long; not an Exception, which students catch."""

    def __init__(self, guard: Guard, frame: FrameType) -> None:
        super().__init__()
        self.guard = guard
        self.place = _students_place(frame)

    def __del__(self) -> None:
        """Watches again: Python ends the tracing when the tracer raises.

        So a loop around `except:` that catches this exception is stopped again, at another line.
        """
        if self.guard.is_running:
            self.guard.watch(sys._getframe(1))


class Guard:
    """Runs actions that take at most so many seconds together."""

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = SECONDS if seconds is None else seconds
        self.remaining = self.seconds
        self.is_running = False
        self.is_over = False  # no time is left
        self._end = 0.0

    def run(self, action: Callable[[], Any]) -> Outcome:
        """What the action gives, as plain data, or its error; it never raises."""
        if self.is_over:
            return Outcome(error=ENDLESS)
        before = sys.gettrace()
        start = time.perf_counter()
        self._end = start + self.remaining
        self.is_running = True
        sys.settrace(self._trace)
        try:
            value = plain(action())
            return Outcome(value)
        except Stopped as stopped:
            self.is_running = False
            self.is_over = True
            return Outcome(error=ENDLESS, told=self._told_endless(stopped.place))
        except NotPlainError as error:
            return Outcome(error=NOT_PLAIN, message=str(error))
        except BaseException as error:
            return _told(error)
        finally:
            self.is_running = False
            sys.settrace(before)
            self.remaining -= time.perf_counter() - start

    def watch(self, frame: FrameType | None) -> None:
        """Traces this thread, and the frames that are already running in it."""
        while frame is not None and frame.f_code is not Guard.run.__code__:
            frame.f_trace = self._trace_inside(frame)
            frame = frame.f_back
        sys.settrace(self._trace)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if time.perf_counter() > self._end and self.is_running:
            raise Stopped(self, frame)
        return self._trace_inside(frame) if event == "call" else self._trace

    def _trace_inside(self, frame: FrameType) -> Any:
        """What traces the frame: each instruction, as `while True: pass` has no second line."""
        if _is_of_library(frame.f_code.co_filename):
            return None
        frame.f_trace_opcodes = True  # in Python 3.14 without effect where f_trace_lines is False
        return self._trace

    def _told_endless(self, place: Place | None) -> str:
        where = f" It was running line {_in_words(place)}." if place else ""
        return (
            f"Your code was stopped, because it took more than {self.seconds:g} seconds.{where} "
            "Does a loop there never end, or take too many steps?"
        )


@cache
def _is_of_library(file: str) -> bool:
    return file.startswith(_LIBRARIES) or "site-packages" in file


def _students_place(frame: FrameType | None) -> Place | None:
    while frame is not None and _is_of_library(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is None:
        return None
    return Place(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


def _told(error: BaseException) -> Outcome:
    """An exception in a sentence."""
    kind, message = "Exception", ""
    with suppress(BaseException):  # what the exception says of itself is the student's code too
        kind = str(type(error).__name__)
        message = " ".join(str(error).split())[:_MOST_LETTERS]
    place = _place_of(error)
    where = f"Line {_in_words(place)}" if place else "Your answer"
    where += "," * where.endswith("`")
    if isinstance(error, RecursionError):
        told = f"{where} calls itself too often (RecursionError). When does the recursion end?"
    else:
        told = f"{where} raises {kind}{': ' * bool(message)}{message}."
    return Outcome(error=kind, message=message, told=told)


def _place_of(error: BaseException) -> Place | None:
    """The innermost line of the student's code; in a deep recursion, the line that recurs."""
    places, traceback = [], error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not _is_of_library(code.co_filename):
            places.append(Place(code.co_filename, traceback.tb_lineno, code.co_name))
        traceback = traceback.tb_next
    if isinstance(error, RecursionError) and places:
        return Counter(places).most_common(1)[0][0]
    return places[-1] if places else None


def _in_words(place: Place) -> str:
    return f"{place.line}, `{place.source}`" if place.source else f"{place.line}"
