"""Checks an answer to an exercise of the course, and says in words what is right or wrong.

>>> from micrograd_plus.classroom.exercises.exercise import Exercise, Number
>>> exercise = Exercise("02.9", "The slope of 3 x at 2", 1, Number(3.0, ((6.0, "That is 3 x."),)))
>>> judge(exercise, 0, observe(exercise, 0, 6.0))
02.9: wrong
  your answer: 6
  hint:        That is 3 x.

`check` finds the exercise by its id. It has two steps, which may run in two processes: `observe`
runs the answer on fresh cases, and gives plain data; `judge` compares that with the solution. The
seed of the cases connects the two.
"""

from __future__ import annotations

import random
from typing import Any

from . import find
from .behaviour import judge_behaviour, observe_behaviour
from .exercise import Behaviour, Choice, Exercise, Number, ValueClass
from .guard import Guard
from .one_answer import judge_choice, judge_number
from .own_value import judge_value_class, observe_value_class
from .result import Evidence, Result, not_yet
from .stubs import is_unbegun


def check(id: str, answer: Any, *, seed: int | None = None) -> Result:  # noqa: A002
    """Checks an answer: a number, a Value, a letter, a function or a class.

    id: the exercise, such as "02.3"; ValueError for one that does not exist.
    seed: the same seed tests the answer on the same cases; by default they are fresh each time.

    The result says "right", "wrong" or "not yet"; at the end of a cell it shows itself. Whatever
    the answer does, there is no exception: an error or an endless loop in it is told in words.

    >>> check("02.3", ...)
    02.3: not yet
      Replace the `...` with your answer and run its cell. Then run this cell again.
    >>> check("02.3", lambda: 1).passed
    False
    """
    exercise = find(id)
    seed = random.Random().getrandbits(32) if seed is None else seed
    return judge(exercise, seed, observe(exercise, seed, answer))


def observe(exercise: Exercise, seed: int, answer: Any) -> Evidence:
    """Runs the answer on the cases of this seed, and gives what came out as plain data."""
    if answer is None or answer is ...:
        return Evidence(is_begun=False)
    guard = Guard()
    match exercise.test:
        case Behaviour() as test:
            outcomes = observe_behaviour(test, seed, answer, guard)
        case ValueClass() as test:
            outcomes = observe_value_class(test, seed, answer, guard)
        case Number() | Choice():
            outcomes = [guard.run(lambda: answer)]
    is_stub = guard.run(lambda: is_unbegun(answer)).value is True
    return Evidence(tuple(outcomes), is_begun=not is_stub)


def judge(exercise: Exercise, seed: int, evidence: Evidence) -> Result:
    """The result for what `observe` gave with the same seed."""
    if not evidence.outcomes:
        return not_yet(exercise)
    match exercise.test:
        case Number() as test:
            return judge_number(exercise, test, evidence)
        case Choice() as test:
            return judge_choice(exercise, test, evidence)
        case Behaviour() as test:
            return judge_behaviour(exercise, test, seed, evidence)
        case ValueClass() as test:
            return judge_value_class(exercise, test, seed, evidence)
