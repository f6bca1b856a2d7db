"""Finished runs on disk, which the same sweep finds again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..support import words
from ..support.files import make_folder, write_atomically
from ..support.fingerprint import fingerprint, home_of
from .results import Outcome
from .runs import Task


class Folder:
    """Finished runs, each in a file whose name stands for `train`, the settings and the seed."""

    def __init__(self, path: Path, train: Callable[..., Any]) -> None:
        make_folder(path)
        self.path = path
        self.home = home_of(train)
        self.train = fingerprint(train)

    def read(self, tasks: Sequence[Task]) -> dict[int, Outcome]:
        """The runs that are there, by their place in `tasks`."""
        found = {}
        for i, task in enumerate(tasks):
            with suppress(OSError, ValueError, KeyError, TypeError):  # not there, or damaged
                kept = json.loads(self._file(task).read_text(encoding="utf-8"))
                found[i] = Outcome(tuple(map(float, kept["curve"])), tuple(kept["notes"]))
        return found

    def write(self, task: Task, outcome: Outcome) -> None:
        """Keeps a finished run, with its settings, for a person who opens the file."""
        settings, seed = task
        content = {
            "settings": {name: words.setting(value) for name, value in settings.items()},
            "seed": seed,
            "curve": outcome.curve,
            "notes": outcome.notes,
        }
        write_atomically(self._file(task), json.dumps(content))

    def _file(self, task: Task) -> Path:
        settings, seed = task
        key = fingerprint([self.train, sorted(settings.items()), seed], self.home)
        return self.path / f"{key}.json"
