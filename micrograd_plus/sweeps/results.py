"""The results of a sweep: what came of each run, and the table of all settings."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..support import words
from ..support.rich import mimebundle

Settings = dict[str, Any]

_MOST_ERRORS = 5


class Outcome(NamedTuple):
    """What came of a run.

    curve: the numbers that `train` returned; a single number is a curve of one. Of a History it is
        val_loss or, without validation, loss; it ends with nan if the training diverged.
    notes: the warnings of `fit`.
    error: the error that `train` raised, or "". traceback: where it was raised.
    """

    curve: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    error: str = ""
    traceback: str = ""

    @property
    def number(self) -> float:
        """The last number of the curve; nan if `train` raised an error."""
        return self.curve[-1] if self.curve else math.nan


class Spread(NamedTuple):
    """Numbers of several seeds; nan where there is no finite number.

    median: a number that is not finite counts as worse than the others, so that the median is nan
        if half of the numbers are not finite.
    lowest, highest: the range of the finite numbers.
    """

    median: float
    lowest: float
    highest: float


def _spread(numbers: Sequence[float], mode: str) -> Spread:
    finite = [number for number in numbers if math.isfinite(number)]
    worst = math.inf if mode == "min" else -math.inf
    median = statistics.median([*finite, *[worst] * (len(numbers) - len(finite))])
    return Spread(
        median if math.isfinite(median) else math.nan,
        min(finite, default=math.nan),
        max(finite, default=math.nan),
    )


@dataclass(frozen=True)
class Row:
    """The settings of several runs, and the outcome for each seed."""

    settings: Settings
    outcomes: dict[int, Outcome]
    mode: str

    @property
    def spread(self) -> Spread:
        """Median and range of the runs' numbers."""
        return _spread([outcome.number for outcome in self.outcomes.values()], self.mode)

    @property
    def spreads(self) -> list[Spread]:
        """Median and range at each place of the curves.

        A curve that ends early counts as far as it goes; one that ends with nan or inf stays there.
        """
        curves = [outcome.curve or (math.nan,) for outcome in self.outcomes.values()]
        longest = max(map(len, curves))
        for i, curve in enumerate(curves):
            if not math.isfinite(curve[-1]):
                curves[i] = (*curve, *[math.nan] * (longest - len(curve)))
        steps = itertools.zip_longest(*curves)  # None after the end of a curve
        return [
            _spread([number for number in step if number is not None], self.mode) for step in steps
        ]

    @property
    def remarks(self) -> str:
        """How many runs have no finite number."""
        outcomes = self.outcomes.values()
        failed = sum(bool(outcome.error) for outcome in outcomes)
        wild = sum(not math.isfinite(outcome.number) for outcome in outcomes) - failed
        counts = ((wild, "not finite"), (failed, "failed"))
        return ", ".join(f"{count} of {len(outcomes)} {what}" for count, what in counts if count)


@dataclass(frozen=True, repr=False)
class Sweep:
    """The result of `sweep`; printed, it is a table.

    rows: one for each combination of settings that has a finished run, in the order of the grid.
    mode: "min" or "max": which numbers are the better ones.
    kept: how many of the runs were read from the folder.
    stopped: the reason, if the sweep ended early.
    """

    rows: list[Row]
    mode: str
    kept: int = 0
    stopped: str = ""

    @property
    def best(self) -> Settings:
        """The settings with the best median; ValueError if no median is finite."""
        row = self.best_row
        if row is None:
            raise ValueError(
                "no settings are the best: in every row of the table, half of the runs or more "
                "have no finite number"
            )
        return dict(row.settings)

    @property
    def best_row(self) -> Row | None:
        """The row with the best median; None if no median is finite."""
        rows = [row for row in self.rows if math.isfinite(row.spread.median)]
        choose = max if self.mode == "max" else min
        return choose(rows, key=lambda row: row.spread.median) if rows else None

    @property
    def title(self) -> str:
        """The size of the sweep, and the best settings."""
        seeds = max((len(row.outcomes) for row in self.rows), default=0)
        title = f"Sweep of {words.many(len(self.rows), 'setting')} × {words.many(seeds, 'seed')}"
        if best := self.best_row:
            title += f", best: {words.settings(best.settings)} ({best.spread.median:.4g})"
        if self.kept:
            title += f"; {words.many(self.kept, 'run')} read from the folder"
        return title + f"; stopped {self.stopped}" * bool(self.stopped)

    def table(self) -> list[list[str]]:
        """The rows of the table, its header first; the last column has the remarks."""
        several = any(len(row.outcomes) > 1 for row in self.rows)
        names = list(self.rows[0].settings) if self.rows else []
        rows = [[*names, *(Spread._fields if several else ["result"]), ""]]
        for row in self.rows:
            numbers = row.spread if several else row.spread[:1]
            texts = [f"{number:.4g}" if math.isfinite(number) else "–" for number in numbers]
            rows.append([*map(words.setting, row.settings.values()), *texts, row.remarks])
        return rows

    @property
    def remarks(self) -> list[str]:
        """The errors, with the settings that raised them, and the first warning."""
        runs = [
            (words.settings(row.settings | {"seed": seed}), outcome)
            for row in self.rows
            for seed, outcome in row.outcomes.items()
        ]
        errors = [f"{run}: {outcome.error}" for run, outcome in runs if outcome.error]
        warned = [f"{run}: {outcome.notes[0]}" for run, outcome in runs if outcome.notes]
        remarks, more = errors[:_MOST_ERRORS], len(errors) - _MOST_ERRORS
        if more > 0:
            remarks.append(f"… and {words.many(more, 'error')} more")
        if warned:
            remarks.append(
                f"{words.many(len(warned), 'run')} with a warning, the first {warned[0]}"
            )
        return remarks

    def __repr__(self) -> str:
        rows = self.table()
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = [
            "  ".join([*map(str.rjust, cells[:-1], widths), cells[-1]]).rstrip() for cells in rows
        ]
        return "\n".join([self.title, *[f"  {line}".rstrip() for line in lines], *self.remarks])

    _repr_mimebundle_ = mimebundle
