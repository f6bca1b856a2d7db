"""What an exercise of the course is, as data: an id, a title, a level, and the test of an answer.

>>> half = Exercise("00.1", "A half", 1, Number(0.5, ((2.0, "Turn the fraction over."),)))
>>> half.unit, half.level_name
('00', 'warm-up')

An exercise is tested in one of four ways: its answer is a number, a letter, a function or class,
or the student's own `Value`. A hint belongs to a mistake: the number, or the wrong function, that
the mistake leads to. An answer that gives the same gets the hint.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .plain import written

LEVELS = {1: "warm-up", 2: "core", 3: "challenge"}
"""The name of each level."""

Amount = float | Callable[[], float]
"""A number, or a function that computes it."""


def call(answer: Callable[..., Any], *case: Any) -> Any:
    """Calls the answer with the arguments of a case: the default of `Behaviour.run`."""
    return answer(*case)


@dataclass(frozen=True)
class Number:
    """The answer is one number; a Value counts as its data.

    expected: the right number, or a function that computes it.
    mistakes: for each mistake the number that it leads to, and the hint.
    tolerance: how far the answer may be from the right number, relative to it.

    Hints for a wrong sign, the reciprocal, a factor of 2 and percent are given without being
    listed, after those that are.
    """

    expected: Amount
    mistakes: tuple[tuple[Amount, str], ...] = ()
    tolerance: float = 0.01


@dataclass(frozen=True)
class Choice:
    """The answer is one letter.

    right: the right letter. why: for each letter a sentence that says why it is right or wrong.
    """

    right: str
    why: Mapping[str, str]


@dataclass(frozen=True)
class Behaviour:
    """The answer is a function or a class, which is run on fresh cases.

    solution: a right answer.
    cases: makes one case, a tuple of arguments, with the random.Random that it is given. It is
        called several times, and again from the same seed for each answer that is compared. So it
        must take its randomness from that generator alone, and make new lists and Values.
    mistakes: wrong answers, each with its hint: an answer that gives the same in all cases gets it.
    run: `run(answer, *case)` gives what is compared: numbers, Values (their data counts), bools,
        texts, None, or nested lists of them. By default it calls the answer.
    show: `show(*case)` writes the case for the student; by default as a call, `f(2, [1, 2])`.

    An exception counts as a result too: where the solution raises a ValueError, so must the answer.
    """

    solution: Any
    cases: Callable[[random.Random], tuple[Any, ...]]
    mistakes: tuple[tuple[Any, str], ...]
    run: Callable[..., Any] = call
    show: Callable[..., str] | None = None

    def shown(self, case: tuple[Any, ...]) -> str:
        """The case in words."""
        if self.show is not None:
            return self.show(*case)
        name = str(getattr(self.solution, "__name__", "f")).lstrip("_")
        name = name if name.isidentifier() else "f"
        return f"{name}({', '.join(written(argument) for argument in case)})"


@dataclass(frozen=True)
class ValueClass:
    """The answer is the student's own class `Value`, with data, grad and `backward()`.

    ops: what it can do: operators of two Values (`+`, `-`, `*`, `/`), `neg` for `-v`, and the
        names of methods without arguments, such as `tanh`.
    numbers: whether an operator takes a plain number on its right, as in `v * 2`.
    reflected: whether it takes one on its left too, as in `2 * v`.
    """

    ops: tuple[str, ...]
    numbers: bool = False
    reflected: bool = False


Test = Number | Choice | Behaviour | ValueClass


@dataclass(frozen=True)
class Exercise:
    """An exercise, or a question of a quiz.

    id: "02.3" is the third exercise of notebook 02, "02.q1" the first question of its quiz.
    title: a few words. level: a key of LEVELS; 1 for a question.
    test: how an answer is tested.
    """

    id: str
    title: str
    level: int
    test: Test

    @property
    def unit(self) -> str:
        """The number of the notebook, as two digits."""
        return self.id.partition(".")[0]

    @property
    def level_name(self) -> str:
        """The level in words."""
        return LEVELS[self.level]
