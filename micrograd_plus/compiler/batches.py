"""Batches: what a machine is given to run, and what it gives back.

`Batches` say which examples each step takes, and through which program each of them runs; a
`Task` says what to do with them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .examples import Examples
from .tape import Group


@dataclass
class Batches:
    """Which examples each step takes.

    inputs: the numbers of all examples; outputs: for what comes out for each, if it is stored.
    starts: where in `inputs` each example begins, in the order of the steps.
    groups: those examples of a step that run through one program.
    steps: where in `groups` each step begins; one more than there are steps.
    output_starts: where in `outputs` each example begins.
    addresses: where a machine has these, in this order.
    repeat: how often the same groups follow each other.
    """

    inputs: Any
    outputs: Any
    starts: Any
    groups: Any
    steps: Any
    output_starts: Any
    addresses: tuple[int, ...] = ()
    repeat: int = 1


@dataclass(eq=False)
class Task:
    """How to run batches.

    differentiated: whether to compute gradients, and, with an optimizer, to move the parameters.
    seeds: one for each random number of each program.
    clip: the largest norm of the gradient, or 0 for no limit.
    guarded: whether a step whose loss or gradient is not finite ends the run before its update;
        `restore` can then undo the update before it.
    rates: the learning rate of each step of a run; if empty, the optimizer's.
    threads: how many share the work, in parts that do not depend on their number; None for one
        thread and a step in one part.
    """

    differentiated: bool
    seeds: Sequence[int]
    clip: float = 0.0
    guarded: bool = False
    rates: Sequence[float] = ()
    threads: int | None = None


@dataclass(slots=True)
class Outcome:
    """A number for each step that was completed, and one more where a guarded run ended.

    norms: the lengths of the gradient, in a guarded run.
    """

    completed: int
    losses: list[float]
    norms: list[float]


def in_batches(
    examples: Examples,
    orders: Sequence[Sequence[int]],
    batch_size: int,
    programs: Sequence[int],
    output_sizes: Sequence[int] | None = None,
    repeat: int = 1,
) -> Batches:
    """The steps that take these orders of the examples in batches, `repeat` times over.

    programs: for each kind of examples, the position of its program.
    output_sizes: for each kind, how many numbers come out; None if they are not stored. They are
        stored in the order of the examples.
    """
    starts: list[int] = []
    output_starts: list[int] = []
    groups: list[Group] = []
    ends: list[int] = []
    stored = 0
    several = len(programs) > 1  # kinds; else a batch is one group, and its order that of outputs
    start_of_example = list(examples.starts)
    for order in orders:
        for begin in range(0, len(order), batch_size):
            batch = order[begin : begin + batch_size]
            alike = _by_kind(examples, batch) if several else {0: batch}
            for kind, members in alike.items():
                groups.append(Group(programs[kind], len(starts), len(members)))
                starts += [start_of_example[i] for i in members]
            ends.append(len(groups))
            if several and output_sizes is not None:
                start_of = {}
                for i in batch:
                    start_of[i] = stored
                    stored += output_sizes[examples.kinds[i]]
                output_starts += [start_of[i] for members in alike.values() for i in members]
    if not several and output_sizes is not None:
        (size,) = output_sizes
        output_starts = [size * place for place in range(len(starts))]
        stored = size * len(starts)
    steps: Sequence[int] = range(len(ends) * repeat + 1)
    if several:
        steps = [0, *[end + k * ends[-1] for k in range(repeat) for end in ends]]
    return Batches(
        inputs=examples.inputs,
        outputs=[0.0] * stored,
        starts=starts,
        groups=groups * repeat,
        steps=steps,
        output_starts=output_starts,
        repeat=repeat,
    )


def _by_kind(examples: Examples, batch: Sequence[int]) -> dict[int, Sequence[int]]:
    """The examples of a batch by their kind."""
    alike: dict[int, Any] = {}
    for i in batch:
        alike.setdefault(examples.kinds[i], []).append(i)
    return alike


def shuffled(count: int, generator: random.Random) -> list[int]:
    """The numbers in range(count) in a random order."""
    order = list(range(count))
    generator.shuffle(order)
    return order
