"""Runs a function or class on fresh cases, and compares the results with the solution's."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from .exercise import Behaviour, Exercise
from .guard import ENDLESS, NOT_PLAIN, Guard, Outcome
from .plain import is_number, same, written
from .result import RIGHT, WRONG, Evidence, Result, not_yet

CASES = 12
"""On so many cases an answer is run."""

_ROUNDED = 0.01  # how far a rounded result may be from the right one, relative to it


def cases_of(test: Behaviour, seed: int) -> list[tuple[Any, ...]]:
    """The cases of this seed, new ones with each call: an answer may change what it is given."""
    generator = random.Random(seed)
    return [test.cases(generator) for _ in range(CASES)]


def observe_behaviour(test: Behaviour, seed: int, answer: Any, guard: Guard) -> list[Outcome]:
    """What the answer gives in each case."""
    if not callable(answer):
        return [guard.run(lambda: answer)]
    return [guard.run(partial(test.run, answer, *case)) for case in cases_of(test, seed)]


def judge_behaviour(exercise: Exercise, test: Behaviour, seed: int, evidence: Evidence) -> Result:
    """The result for what came out in each case."""
    given = evidence.outcomes
    if len(given) != CASES:  # it could not be called
        kind = "class" if isinstance(test.solution, type) else "function"
        what = given[0].message or written(given[0].value)
        hint = f"The answer is the {kind} itself: its name, without brackets behind it."
        return Result(exercise.id, WRONG, (("your answer", what),), hint)
    expected = observe_behaviour(test, seed, test.solution, Guard())
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
        or _hint_by_form(given[first], expected[first])
        or _hint_by_numbers(given, expected)
    )
    return Result(exercise.id, WRONG, rows, hint)


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


def _hint_by_form(given: Outcome, expected: Outcome) -> str:
    """A hint for a number in place of a list, for a list that is too short, and the like."""
    a, b = given.value, expected.value
    if expected.error or (given.error and given.error != NOT_PLAIN):
        return ""
    if isinstance(b, list):
        if given.error:
            return "A list is expected: `list(...)` makes one."
        if not isinstance(a, list):
            return f"A list of {len(b)} is expected."
        if len(a) != len(b):
            return f"A list of {len(b)} is expected, and this one has {len(a)}."
    if isinstance(a, list) and is_number(b):
        return "One number is expected, and not a list."
    return ""


def _hint_by_numbers(given: Sequence[Outcome], expected: Sequence[Outcome]) -> str:
    """A hint for results that are rounded, or numbers that are all wrong by the same factor."""
    if all(not a.error and same(a.value, b.value, _ROUNDED) for a, b in zip(given, expected)):
        return "The results are nearly right: are they rounded?"
    pairs = [
        (a.value, b.value)
        for a, b in zip(given, expected)
        if is_number(a.value) and is_number(b.value)
    ]
    factors = [a / b for a, b in pairs if b]
    if len(factors) < CASES // 2:
        return ""
    factor = factors[0]
    if not factor or not all(same(a, factor * b) for a, b in pairs):
        return ""
    if factor == -1:
        return "The size is right, but the sign is wrong."
    return f"All results are {factor:.4g} times what they should be."
