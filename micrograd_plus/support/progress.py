"""A progress bar, where tqdm is installed and a bar is wanted."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Self

from .sweeping import in_a_sweep


def bar(steps: int, unit: str, wanted: bool, delay: float = 0.0) -> Any:
    """Counts to `steps` when iterated over; appears after `delay` seconds.

    A run of a sweep shows none: the sweep has one.
    """
    if wanted and not in_a_sweep():
        with suppress(ImportError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a notebook's own bar needs ipywidgets
            from tqdm.auto import tqdm

            return tqdm(range(steps), unit=unit, delay=delay)
    return _NoBar(steps)


class _NoBar:
    """A progress bar that shows nothing."""

    def __init__(self, steps: int) -> None:
        self.steps = range(steps)

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
