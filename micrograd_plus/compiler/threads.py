"""Threads: what they share while they run the same steps, and what each has of its own.

`kernels.run` cuts every step into tasks, and each thread begins with tasks of its own. The calling
thread starts the others and then works too: it also takes what they have not yet begun, so that it
never waits for a thread that the system does not run.
"""

from __future__ import annotations

import os
from ctypes import addressof
from functools import cache
from typing import Any

from .tape import BLOCK, address, zeros

MOST_PARTS = 16  # of a step: more threads than this do not help
MOST_PIECES = 64  # of the parameters


class Choice:
    """The number of threads that is the fastest, found by measuring steps that must run anyway.

    >>> choice = Choice(2)
    >>> for _ in range(6):
    ...     choice.took(0.3 if choice.threads == 2 else 0.5, steps=1)
    >>> choice.threads
    2
    """

    def __init__(self, most: int) -> None:
        counts = {min(2**i, most) for i in range(most.bit_length() + 1)}
        self._measured: dict[int, list[float]] = {count: [] for count in sorted(counts)}
        self._steps = dict.fromkeys(self._measured, 0)
        self.threads = 1

    def took(self, seconds: float, steps: int) -> None:
        """Takes how long some steps took with `threads`; chooses those for the next ones."""
        if self.is_made():
            return
        self._measured[self.threads].append(seconds / steps)
        self._steps[self.threads] += steps
        if self.is_made():  # the least that was measured is disturbed the least
            self.threads = min(self._measured, key=lambda count: min(self._measured[count]))
        else:
            self.threads = min(self._steps, key=self._steps.__getitem__)

    def is_made(self) -> bool:
        """Whether each number of threads was measured often enough."""
        return all(len(measured) >= _OFTEN for measured in self._measured.values())


_OFTEN = 3


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Threads:
    """The threads that share the steps of a machine.

    work: the first one's, whose data, grad, panel and at are given.
    """

    def __init__(
        self, work: Any, parameters: int, data: Any, grad: Any, panel: Any, at: Any
    ) -> None:
        import numpy as np

        self.np = np
        self.work, self.parameters = work, parameters
        self.own = [(data, grad, panel, at)]
        self.begin = addressof(work)
        self.part_losses = np.zeros(MOST_PARTS)
        self.part_grads, self.part_rooms = np.zeros((2, MOST_PARTS), np.int64)
        self.squares = np.zeros(MOST_PIECES)
        work.number = 0
        work.total_data, work.total_grad = address(data), address(grad)
        for name in ("part_losses", "part_grads", "part_rooms", "squares"):
            setattr(work, name, address(getattr(self, name)))
        self._set_own(work, 0)
        self._prepare(None)

    def run(self, kernel: Any, count: int | None, used: Any) -> None:
        """Runs the steps of `work` in `count` threads; None for one thread and no parts.

        What other threads use stays in memory as long as they run.
        """
        if count != self.count:
            self._prepare(count)
        if count is None or count == 1:
            kernel(self.begin)
        else:
            self._run_shared(kernel, count, used)

    def _prepare(self, count: int | None) -> None:
        """Writes into what the steps are cut."""
        work, self.count = self.work, count
        work.threads = count or 1
        work.most_parts, work.piece = 1, max(1, self.parameters)
        if count is not None:
            self.kept = self.np.empty((MOST_PARTS, self.parameters), self.own[0][0].dtype)
            self.part_rooms[:] = [address(row) for row in self.kept]
            blocks = -(-self.parameters // (BLOCK * MOST_PIECES))
            work.most_parts, work.piece = MOST_PARTS, max(1, blocks) * BLOCK

    def _run_shared(self, kernel: Any, count: int, used: Any) -> None:
        """Runs `work` in several threads. A thread that comes late finds all done."""
        counters = self.np.zeros(2 * _APART + MOST_PIECES, self.np.int64)  # which no other run has
        self.work.begun, self.work.finished, self.work.taken = [
            address(counters[begin:]) for begin in (0, _APART, 2 * _APART)
        ]
        while len(self.own) < count:
            *floats, at = self.own[0]
            own = [zeros(row.shape, row.dtype.name) for row in floats]
            self.own.append((*own, at.copy()))
        all_data = self.np.array([address(data) for data, *_ in self.own], self.np.int64)
        self.work.all_data = address(all_data)
        works = [type(self.work).from_buffer_copy(self.work) for _ in range(1, count)]
        used = (used, works, counters, all_data, self)
        try:
            for i, work in enumerate(works, start=1):
                work.number = i
                self._set_own(work, i)
                _others(os.getpid(), count - 1).submit(_help, kernel, addressof(work), used)
            kernel(addressof(self.work))
        finally:  # also after Ctrl-C before the first thread began: then the others must not begin
            counters[:] = _ALL_DONE

    def _set_own(self, work: Any, i: int) -> None:
        """Writes to a thread's `Work` what it has of its own."""
        data, grad, panel, at = self.own[i]
        work.data, work.grad, work.panel = address(data), address(grad), address(panel)
        work.at = address(at)


_APART = 16  # between two counters, so that a change of one does not delay reading the other
_ALL_DONE = 1 << 62


def _help(kernel: Any, work: int, used: Any) -> None:
    kernel(work)


@cache
def _others(process: int, count: int) -> Any:
    """Threads that wait for work; a forked process has none of its parent's."""
    from concurrent.futures import ThreadPoolExecutor  # which takes as long to import as all else

    return ThreadPoolExecutor(count, "micrograd_plus")
