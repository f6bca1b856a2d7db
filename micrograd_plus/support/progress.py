"""A progress bar, where tqdm is installed and a bar is wanted."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Self

from .sweeping import in_a_sweep


def bar(steps: int, unit: str, wanted: bool, delay: float = 0.0, done: int = 0) -> Any:
    """Counts from `done` to `steps` when iterated over.

    delay: how many seconds later it appears.

    A run of a sweep shows none: the sweep has one.
    """
    left = range(done, steps)
    if not wanted or in_a_sweep():
        return _NoBar(left)
    return _LateBar(left, unit, delay) if delay else _tqdm(left, unit)


def _tqdm(steps: range, unit: str) -> Any:
    """A bar of tqdm, whose import takes longer than a short run."""
    with suppress(ImportError), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a notebook's own bar needs ipywidgets
        from tqdm.auto import tqdm

        return tqdm(steps, unit=unit, initial=steps.start, total=steps.stop)
    return _NoBar(steps)


class _NoBar:
    """A progress bar that shows nothing."""

    def __init__(self, steps: range) -> None:
        self.steps = steps

    def __iter__(self) -> Iterator[int]:
        return iter(self.steps)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def update(self, steps: int) -> None:
        pass

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        pass

    def close(self) -> None:
        pass


class _LateBar(_NoBar):
    """A progress bar that appears if the work takes longer than `delay` seconds."""

    def __init__(self, steps: range, unit: str, delay: float) -> None:
        super().__init__(steps)
        self.unit, self.appears = unit, time.monotonic() + delay
        self.done = 0
        self.shown: Any = None

    def update(self, steps: int) -> None:
        self.done += steps
        if self.shown is not None:
            self.shown.update(steps)
        elif time.monotonic() > self.appears:
            self.shown = _tqdm(self.steps, self.unit)
            self.shown.update(self.done)

    def __exit__(self, *exception: object) -> None:
        if self.shown is not None:
            self.shown.close()
