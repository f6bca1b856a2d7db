"""Runs: one call of the user's function each, here, in several processes or on a cluster."""

from __future__ import annotations

import itertools
import math
import pickle
import sys
import traceback
from collections.abc import Callable, Generator, Iterator
from typing import Any

from ..numbers import number_of
from ..support.nested import plain
from ..support.sweeping import part_of_a_sweep
from ..support.words import in_short
from ..train import History
from .results import Outcome, Settings

Task = tuple[Settings, int]
"""The settings of a run, and its seed."""


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
            f"{in_short(result)}" + ": is a `return` missing?" * (result is None)
        ) from None


def outcomes_of(
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


_DIED = "the process of this run ended: too little memory, or a fault in native code"


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
