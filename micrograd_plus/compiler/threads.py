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
        self.part_losses = np.zeros(MOST_PARTS)
        self.part_grads = np.zeros(MOST_PARTS, np.int64)
        self.part_rooms = np.zeros(MOST_PARTS, np.int64)
        self.squares = np.zeros(MOST_PIECES)
        self.kept = np.zeros((0, parameters))  # the gradients of each part
        self.counters = np.zeros(2 * _APART, np.int64)

    def work(self, count: int | None) -> dict[str, Any]:
        """What the first of `count` threads must know; None for one thread and no parts."""
        if count is not None and not len(self.kept):
            self.kept = self.np.empty((MOST_PARTS, self.parameters))
            self.part_rooms[:] = [_address(row) for row in self.kept]
        if count != 1 and count is not None:
            # Threads that come late read the old counters, and find nothing to do.
            self.counters = self.np.zeros(2 * _APART, self.np.int64)
        self.counters[:] = -1, *[0] * (2 * _APART - 1)
        blocks = -(-self.parameters // (BLOCK * MOST_PIECES))
        return {
            **self._of(0),
            "leads": True,
            "claimed": _address(self.counters),
            "completed": _address(self.counters[_APART:]),
            "most_parts": 1 if count is None else MOST_PARTS,
            "piece": self.parameters if count is None else max(1, blocks) * BLOCK,
            "part_losses": _address(self.part_losses),
            "part_grads": _address(self.part_grads),
            "part_rooms": _address(self.part_rooms),
            "squares": _address(self.squares),
        }

    def run(self, kernel: Any, work: Work, count: int, used: Any) -> int:
        """Runs `work` in `count` threads; what they use stays in memory as long as they run."""
        np = self.np
        while len(self.own) < count:
            data, grad, at = self.own[0]
            self.own.append((np.zeros(len(data)), np.zeros(len(grad)), at.copy()))
        others = [replace(work, leads=False, **self._of(i)) for i in range(1, count)]
        works = packed(Work, [work, *others])
        used = (used, works, self.own, self.counters)
        try:
            for i in range(1, count):
                _others(os.getpid(), count - 1).submit(_help, kernel, _address(works[i:]), used)
            return int(kernel(_address(works)))
        except BaseException:
            self.counters[:] = _NOTHING_LEFT
            raise

    def _of(self, i: int) -> dict[str, Any]:
        """What thread i has of its own."""
        data, grad, at = self.own[i]
        return {
            "data": _address(data),
            "grad": _address(grad),
            "at": _address(at) + at.itemsize,
        }


_APART = 16  # between two counters, so that a change of one does not delay reading the other
_NOTHING_LEFT = 1 << 62


def _help(kernel: Any, address: int, used: Any) -> None:
    kernel(address)


@cache
def _others(process: int, count: int) -> ThreadPoolExecutor:
    """Threads that wait for work; a forked process has none of its parent's."""
    return ThreadPoolExecutor(count, "micrograd_plus")


def _address(numbers: Any) -> int:
    """Where a NumPy array is in memory."""
    return int(numbers.ctypes.data)
