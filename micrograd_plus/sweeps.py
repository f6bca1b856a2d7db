"""Sweeps: the same training with many settings and seeds, in several processes or on a cluster.

>>> def train(lr, seed):
...     return [(1 - lr) ** step for step in range(4)]  # the losses
>>> print(sweep(train, {"lr": [0.1, 0.5]}, jobs=1, progress=False))
Sweep of 2 settings × 1 seed, best: lr=0.5 (0.125)
   lr  result
  0.1   0.729
  0.5   0.125
"""

from __future__ import annotations

import inspect
import itertools
import json
import math
import pickle
import statistics
import sys
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from .numbers import number_of
from .support import words
from .support.checks import whole_number
from .support.files import make_folder, write_atomically
from .support.fingerprint import fingerprint, home_of
from .support.nested import plain
from .support.progress import bar as progress_bar
from .support.rich import mimebundle
from .support.sweeping import part_of_a_sweep
from .train import History

Settings = dict[str, Any]
Task = tuple[Settings, int]
"""The settings of a run, and its seed."""

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


def sweep(
    train: Callable[..., Any],
    grid: Mapping[str, Sequence[Any]],
    *,
    seeds: int = 1,
    mode: Literal["min", "max"] = "min",
    folder: str | Path | None = None,
    jobs: int | None = None,
    progress: bool = True,
) -> Sweep:
    """Calls `train` with every combination of settings and every seed, several at the same time.

    train: a function that takes the names of the grid and `seed`, and returns a number, a list of
        numbers (a curve, such as the loss of each epoch) or the `History` of `fit`.
    grid: for each name the settings to try, such as {"lr": [0.01, 0.1], "width": [4, 8]}.
    seeds: how many seeds: 0, 1, 2, ...
    mode: whether the smallest number is the best ("min", as for a loss) or the largest ("max").
        Of a curve the last number counts.
    folder: where finished runs are kept, one file for each. The same call finds them again and
        makes only those that are missing: after a kill, with more seeds, or with a larger grid.
    jobs: how many processes, by default one for each core; 1 calls `train` in this process. Inside
        `with joblib.parallel_config("dask"):` (or "ray") the runs go to that cluster.
    progress: whether to show a progress bar.

    Returns a `Sweep` with the table `rows` and the settings `best`; `plot_sweep` draws it. A run
    that raises an error costs only itself: the table names the error and its settings. If every run
    fails, this is a RuntimeError. After Ctrl-C the Sweep has the runs that are finished.

    A kept run counts for the same settings, the same seed and the same `train`: its code, its
    defaults, and the functions, classes and values that it uses of its own module or notebook.
    Changes in what is imported from elsewhere, and in files that `train` reads, are not noticed:
    take another folder after them. Runs that raised an error are not kept.

    TypeError if `train` does not take these names or cannot be sent to another process, and for a
    grid that is not one; ValueError for an empty list of settings, or one that has a setting twice.

    Several processes need joblib: pip install "micrograd-plus[sweep]". In Pyodide, which has no
    processes, one run follows the other.

    >>> def train(lr, seed):
    ...     return abs(lr - 0.1) + 0.01 * seed
    >>> results = sweep(train, {"lr": [0.01, 0.1, 1.0]}, seeds=3, jobs=1, progress=False)
    >>> print(results)
    Sweep of 3 settings × 3 seeds, best: lr=0.1 (0.01)
        lr  median  lowest  highest
      0.01     0.1    0.09     0.11
       0.1    0.01       0     0.02
         1    0.91     0.9     0.92
    """
    grid = _checked(grid)
    _check_names(train, grid)
    seeds = whole_number("seeds", seeds)
    if jobs is not None:
        jobs = whole_number("jobs", jobs)
    if mode not in ("min", "max"):
        raise ValueError(f"mode is 'min' or 'max', not {mode!r}")
    rows = [dict(zip(grid, chosen)) for chosen in itertools.product(*grid.values())]
    tasks = [(settings, seed) for seed in range(seeds) for settings in rows]
    store = None if folder is None else _Folder(Path(folder), train)
    outcomes = store.read(tasks) if store else {}
    kept, stopped = len(outcomes), ""
    missing = {i: task for i, task in enumerate(tasks) if i not in outcomes}
    bar = progress_bar(len(missing), "run", progress and bool(missing))
    try:
        with closing(_outcomes(train, missing, jobs)) as finished:
            for i, outcome in finished:
                outcomes[i] = outcome
                if store and not outcome.error:
                    store.write(tasks[i], outcome)
                bar.update(1)
    except KeyboardInterrupt:
        stopped = f"by Ctrl-C after {len(outcomes)} of {len(tasks)} runs"
    finally:
        bar.close()
    if outcomes and all(outcome.error for outcome in outcomes.values()):
        first = min(outcomes)
        settings, seed = tasks[first]
        raise RuntimeError(
            f"every run failed; the first, with {words.settings(settings | {'seed': seed})}:\n"
            f"{outcomes[first].traceback}"
        )
    found: list[dict[int, Outcome]] = [{} for _ in rows]
    for i in sorted(outcomes):
        found[i % len(rows)][i // len(rows)] = outcomes[i]
    return Sweep(
        [Row(settings, of, mode) for settings, of in zip(rows, found) if of], mode, kept, stopped
    )


def _checked(grid: Any) -> dict[str, list[Any]]:
    """The grid with lists of settings; TypeError or ValueError if it is not one."""
    if not isinstance(grid, Mapping) or not grid:
        raise TypeError(
            "grid must give for each name the settings to try, such as {'lr': [0.01, 0.1]}, not "
            f"{grid!r:.60}"
        )
    if "seed" in grid:
        raise ValueError("the seeds are not part of the grid: write seeds=5 for the seeds 0 to 4")
    lists = {}
    for name, choices in grid.items():
        choices = plain(choices)
        if not isinstance(choices, (list, tuple, range)):
            raise TypeError(f"grid[{name!r}] must be a list of settings, not {choices!r:.60}")
        lists[name] = list(choices)
        if not choices:
            raise ValueError(f"grid[{name!r}] is empty: give at least one setting")
        for i, choice in enumerate(choices):
            if choice in lists[name][:i]:
                raise ValueError(f"grid[{name!r}] has {words.setting(choice)} twice")
    return lists


def _check_names(train: Any, names: Mapping[str, Any]) -> None:
    """TypeError if `train` cannot be called with these names and `seed`."""
    if not callable(train):
        raise TypeError(
            f"train must be a function, not {train!r:.60}: write sweep(train, ...), without "
            "parentheses after train"
        )
    try:
        signature = inspect.signature(train)
    except ValueError:  # of a function that is not written in Python
        return
    try:
        signature.bind(**dict.fromkeys([*names, "seed"]))
    except TypeError as error:
        raise TypeError(
            f"a sweep calls train({''.join(f'{name}=..., ' for name in names)}seed=...), but train "
            f"takes {signature}: {error}"
        ) from None


# ---- running


def _outcome(train: Callable[..., Any], settings: Settings, seed: int) -> Outcome:
    """Calls `train`, here or in another process."""
    with part_of_a_sweep() as notes:
        try:
            curve = _curve(train(**settings, seed=seed))
        except (Exception, SystemExit) as error:
            return _failed(error)
        return Outcome(curve, tuple(notes))


def _failed(error: BaseException) -> Outcome:
    return Outcome(
        error=f"{type(error).__name__}: {error}",
        traceback="".join(traceback.format_exception(error)),
    )


def _curve(result: Any) -> tuple[float, ...]:
    """What `train` returned, as floats; TypeError if it is something else."""
    if isinstance(result, History):
        curve = [*(result.val_loss or result.loss), *[math.nan] * result.diverged]
    else:
        result = plain(result)
        curve = list(result) if isinstance(result, (list, tuple)) else [result]
    try:
        if not curve:
            raise TypeError("it is empty")
        return tuple(map(number_of, curve))
    except TypeError:
        raise TypeError(
            "train must return a number, a list of numbers or a History, not "
            f"{result!r:.60}" + ": is a `return` missing?" * (result is None)
        ) from None


def _outcomes(
    train: Callable[..., Any], tasks: dict[int, Task], jobs: int | None
) -> Generator[tuple[int, Outcome], None, None]:
    """The number of each run and its outcome, as they finish."""
    if jobs == 1 or sys.platform == "emscripten":
        for i, task in tasks.items():
            yield i, _outcome(train, *task)
        return
    from concurrent.futures.process import BrokenProcessPool

    waiting = dict(tasks)
    alone = False  # whether the next run is the only one, to find out which run ends its process
    while waiting:
        some = dict(itertools.islice(waiting.items(), 1 if alone else None))
        count = len(waiting)
        try:
            for i, outcome in _in_parallel(train, some, jobs):
                del waiting[i]
                yield i, outcome
            alone = False
        except BrokenProcessPool as error:
            if alone:
                (i,) = some
                del waiting[i]
                yield i, Outcome(error=_DIED, traceback=f"{_DIED}\n{error}")
            alone = len(waiting) == count


_DIED = "the process of this run ended, for lack of memory or by a fault in native code"


def _in_parallel(
    train: Callable[..., Any], tasks: dict[int, Task], jobs: int | None
) -> Iterator[tuple[int, Outcome]]:
    try:
        import cloudpickle
        import joblib
        from joblib.parallel import get_active_backend
    except ImportError as error:
        raise ImportError(
            'a sweep in several processes needs joblib: pip install "micrograd-plus[sweep]", or '
            "write jobs=1 to make one run after the other"
        ) from error
    try:
        packed = cloudpickle.dumps(train)
        calls = [
            joblib.delayed(_unpacked)(i, packed, cloudpickle.dumps(task))
            for i, task in tasks.items()
        ]
    except Exception as error:  # of any kind: __reduce__ is the class's own
        raise TypeError(
            f"train and its settings cannot be sent to another process ({error}): make what train "
            "uses inside it, or write jobs=1 to call it in this process"
        ) from error
    backend, jobs_in_force = get_active_backend()  # of `with joblib.parallel_config(...)`
    jobs = jobs or jobs_in_force or -1
    if backend.supports_return_generator:
        # One run a batch: a batch that is not finished would be lost with all its runs.
        yield from joblib.Parallel(jobs, return_as="generator_unordered", batch_size=1)(calls)
        return
    at_once = joblib.effective_n_jobs(jobs)  # Ray gives its results only when all are there
    for begin in range(0, len(calls), at_once):
        yield from joblib.Parallel(jobs)(calls[begin : begin + at_once])


def _unpacked(i: int, train: bytes, task: bytes) -> tuple[int, Outcome]:
    """Makes a run in another process."""
    try:
        function, (settings, seed) = pickle.loads(train), pickle.loads(task)
    except Exception as error:  # a module that is not there, for example
        return i, _failed(error)
    return i, _outcome(function, settings, seed)


# ---- on disk


class _Folder:
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
