"""Threads: what they share while they run the same steps, and what each has of its own.

`kernels.run` cuts every step into tasks, and each thread takes the next task that nobody has
taken. The thread that called starts the others and goes to work at once: it does what they have
not yet begun, so that it never waits for a thread that the system does not run.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from typing import Any

from .tape import BLOCK, Work, packed

MOST_PARTS = 8  # of a step: more threads than this do not help
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
    """The threads that share the steps of a machine; `data`, `grad` and `at` are of the first."""

    def __init__(self, parameters: int, data: Any, grad: Any, at: Any) -> None:
        import numpy as np

        self.np = np
        self.parameters = parameters
        self.own = [(data, grad, at)]
        self.kept = np.zeros((0, parameters))  # the gradients of each part
        self.part_rooms = np.zeros(MOST_PARTS, np.int64)
        self.part_losses = np.zeros(MOST_PARTS)
        self.part_grads = np.zeros(MOST_PARTS, np.int64)
        self.squares = np.zeros(MOST_PIECES)
        self.counters = self.counters_of_one = np.zeros(2 * _APART, np.int64)
        self.fields = {
            **self._of(0),
            "leads": True,
            "total_data": address(data),
            "total_grad": address(grad),
            "claimed": address(self.counters),
            "completed": address(self.counters[_APART:]),
            "most_parts": 1,
            "piece": max(1, parameters),
            "part_losses": address(self.part_losses),
            "part_grads": address(self.part_grads),
            "part_rooms": address(self.part_rooms),
            "squares": address(self.squares),
        }

    def work(self, count: int | None) -> dict[str, Any]:
        """What the first of `count` threads must know; None for one thread and no parts."""
        self.counters, changed = self.counters_of_one, {}
        if count is not None:
            if not len(self.kept):
                self.kept = self.np.empty((MOST_PARTS, self.parameters), self.own[0][0].dtype)
                self.part_rooms[:] = [address(row) for row in self.kept]
            blocks = -(-self.parameters // (BLOCK * MOST_PIECES))
            changed = {"most_parts": MOST_PARTS, "piece": max(1, blocks) * BLOCK}
        if count is not None and count > 1:
            # Threads that come late read the counters of their own run: all was done.
            self.counters = self.np.zeros(2 * _APART, self.np.int64)
            changed["claimed"] = address(self.counters)
            changed["completed"] = address(self.counters[_APART:])
        self.counters[0], self.counters[_APART] = -1, 0
        return {**self.fields, **changed}

    def run(self, kernel: Any, work: Work, count: int, used: Any) -> int:
        """Runs `work` in `count` threads; what they use stays in memory as long as they run."""
        np = self.np
        while len(self.own) < count:
            data, _, at = self.own[0]
            data, grad = (np.zeros(len(data), data.dtype) for _ in range(2))
            self.own.append((data, grad, at.copy()))
        others = [replace(work, leads=False, **self._of(i)) for i in range(1, count)]
        works = packed(Work, [work, *others])
        begin = address(works)
        used = (used, works, self, self.counters)
        try:
            for i in range(1, count):
                pool = _others(os.getpid(), count - 1)
                pool.submit(_help, kernel, begin + i * works.itemsize, used)
            return int(kernel(begin))
        except BaseException:  # Ctrl-C before the first thread began: the others must not
            self.counters[:] = _ALL_DONE
            raise

    def _of(self, i: int) -> dict[str, Any]:
        """What thread i has of its own."""
        data, grad, at = self.own[i]
        return {"data": address(data), "grad": address(grad), "at": address(at) + at.itemsize}


_APART = 16  # between two counters, so that a change of one does not delay reading the other
_ALL_DONE = 1 << 62


def _help(kernel: Any, work: int, used: Any) -> None:
    kernel(work)


@cache
def _others(process: int, count: int) -> ThreadPoolExecutor:
    """Threads that wait for work; a forked process has none of its parent's."""
    return ThreadPoolExecutor(count, "micrograd_plus")


def address(numbers: Any) -> int:
    """Where a NumPy array is in memory."""
    return int(numbers.ctypes.data)
