"""A grid of settings: calls a function with all of them, and gathers the results."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from ..support import words
from ..support.checks import whole_number
from ..support.nested import plain
from ..support.progress import bar as progress_bar
from ..support.words import in_short
from .folder import Folder
from .results import Outcome, Row, Sweep
from .runs import outcomes_of


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
    store = None if folder is None else Folder(Path(folder), train)
    outcomes = store.read(tasks) if store else {}
    kept, stopped = len(outcomes), ""
    missing = {i: task for i, task in enumerate(tasks) if i not in outcomes}
    bar = progress_bar(len(missing), "run", progress and bool(missing))
    try:
        with closing(outcomes_of(train, missing, jobs)) as finished:
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
            f"{in_short(grid)}"
        )
    if "seed" in grid:
        raise ValueError("the seeds are not part of the grid: write seeds=5 for the seeds 0 to 4")
    lists = {}
    for name, choices in grid.items():
        choices = plain(choices)
        if not isinstance(choices, (list, tuple, range)):
            raise TypeError(f"grid[{name!r}] must be a list of settings, not {in_short(choices)}")
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
            f"train must be a function, not {in_short(train)}: write sweep(train, ...), "
            "without parentheses after train"
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
