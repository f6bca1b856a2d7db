"""Runs a function or class on fresh cases, and compares the results with the solution's."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

from .exercise import Behaviour, Exercise
from .general import hint_by_result, hint_by_results
from .guard import ENDLESS, NOT_PLAIN, Guard, Outcome
from .plain import same, written
from .result import RIGHT, WRONG, Evidence, Result, not_yet

CASES = 12
"""On so many cases an answer is run."""


def cases_of(test: Behaviour, seed: int) -> Iterator[tuple[Any, ...]]:
    """The cases of this seed, new ones with each call: an answer may change what it is given."""
    generator = random.Random(seed)
    return (test.cases(generator) for _ in range(CASES))


def observe_behaviour(test: Behaviour, seed: int, answer: Any, guard: Guard) -> list[Outcome]:
    """What the answer gives in each case."""
    if not callable(answer):
        return [guard.run(lambda: answer)]
    cases = [*cases_of(test, seed)]  # all of them before the answer runs
    return [guard.run(partial(test.run, answer, *case)) for case in cases]


def judge_behaviour(exercise: Exercise, test: Behaviour, seed: int, evidence: Evidence) -> Result:
    """The result for what came out in each case."""
    given = evidence.outcomes
    if len(given) != CASES:  # it could not be called
        kind = "class" if isinstance(test.solution, type) else "function"
        what = given[0].message or written(given[0].value)
        hint = f"The answer is the {kind} itself: its name, without brackets behind it."
        return Result(exercise.id, WRONG, (("your answer", what),), hint)
    expected = _expected(test, seed)
    wrong = [i for i, pair in enumerate(zip(given, expected)) if not _agree(*pair)]
    shown = [test.shown(case) for case in cases_of(test, seed)]
    if not wrong:
        different = len({*shown})
        where = f" in {different} fresh cases" * (different > 1)
        return Result(exercise.id, RIGHT, (("", f"It is right{where}."),))
    if not evidence.is_begun or all(o.error == "NotImplementedError" for o in given):
        return not_yet(exercise)
    if all(outcome == Outcome() for outcome in given):
        return not_yet(exercise, "It gives None: a function gives a result with `return`.")
    first = min(wrong, key=lambda i: _priority(given[i], shown[i]))
    rows = (
        ("given in", shown[first]),
        ("came out", _in_words(given[first])),
        ("expected", _in_words(expected[first])),
    )
    hint = (
        next(_hints(test, seed, given), "")
        or hint_by_result(given[first], expected[first])
        or hint_by_results(given, expected)
    )
    if not hint and len(wrong) < CASES - 1:
        hint = f"{CASES - len(wrong)} of {CASES} cases are right. What is different in this one?"
    return Result(exercise.id, WRONG, rows, hint)


@lru_cache(maxsize=100)
def _expected(test: Behaviour, seed: int) -> list[Outcome]:
    """What the solution gives in each case: the same for all students of a class."""
    return observe_behaviour(test, seed, test.solution, Guard())


def _priority(outcome: Outcome, shown: str) -> tuple[bool, bool, int]:
    """Which wrong case is shown: a short one, and of those that were stopped the first."""
    is_endless = outcome.error == ENDLESS
    return is_endless, is_endless and not outcome.told, len(shown)


def _agree(given: Outcome, expected: Outcome) -> bool:
    if expected.error:
        return given.error == expected.error
    return not given.error and same(given.value, expected.value)


def _hints(test: Behaviour, seed: int, given: Sequence[Outcome]) -> Iterator[str]:
    """The hints of the mistakes that give the same in all cases."""
    for answer, hint in test.mistakes:
        guard = Guard()
        made = (guard.run(partial(test.run, answer, *case)) for case in cases_of(test, seed))
        if all(a.message == b.message and _agree(a, b) for a, b in zip(given, made)):
            yield hint


def _in_words(outcome: Outcome) -> str:
    if outcome.error == NOT_PLAIN:
        return outcome.message
    return outcome.told if outcome.error else written(outcome.value)
