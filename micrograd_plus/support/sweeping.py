"""Whether a run is part of a sweep, which then has the progress bar and reports the warnings."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_notes: ContextVar[list[str] | None] = ContextVar("notes", default=None)


def in_a_sweep() -> bool:
    """Whether the code that asks is a run of a sweep."""
    return _notes.get() is not None


@contextmanager
def part_of_a_sweep() -> Iterator[list[str]]:
    """Yields a list that collects what `warn` says inside the `with`."""
    notes: list[str] = []
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)


def warn(text: str, category: type[Warning], stacklevel: int = 1) -> None:
    """As `warnings.warn`; in a sweep the text becomes a note on the run."""
    notes = _notes.get()
    if notes is None:
        warnings.warn(text, category, stacklevel=stacklevel + 1)
    else:
        notes.append(text)
