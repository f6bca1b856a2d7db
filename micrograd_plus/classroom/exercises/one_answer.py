"""Judges an answer that is one number or one letter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..questions import HINTS
from .exercise import Amount, Choice, Exercise, Number
from .guard import NOT_PLAIN
from .plain import is_number, same, written
from .result import RIGHT, WRONG, Evidence, Result, not_yet

_AUTOMATIC: tuple[tuple[float, str], ...] = (
    (-1.0, HINTS["sign"]),
    (2.0, "It is twice the right number: is something counted two times?"),
    (0.5, "It is half of the right number: is a factor of 2 missing, or one of two parts?"),
    (100.0, "It is 100 times the right number: is the answer meant as a part of 1, not in %?"),
    (0.01, "It is the right number divided by 100: is the answer meant in %?"),
)
"""For each factor by which the answer is wrong, the hint."""

_ONE_NUMBER = "The answer is one number."
_COMMA = " In Python a comma separates two numbers: write a point, as in 0.5."
_ROUNDED = "It is near the right number, but rounded: give more digits."
_RECIPROCAL = "It is 1 divided by the right number: which number is divided by which?"


def judge_number(exercise: Exercise, test: Number, evidence: Evidence) -> Result:
    """The result for a number."""
    (outcome,) = evidence.outcomes
    given = outcome.value
    if outcome.error or not is_number(given):
        what = outcome.message if outcome.error == NOT_PLAIN else outcome.told or written(given)
        hint = _ONE_NUMBER + _COMMA * _has_comma(given)
        return Result(exercise.id, WRONG, (("your answer", what),), hint)
    expected = _computed(test.expected)
    rows = (("your answer", written(given)),)
    if same(given, expected, test.tolerance):
        return Result(exercise.id, RIGHT, rows)
    hints = (
        hint for number, hint in _numbered(test, expected) if same(given, number, test.tolerance)
    )
    hint = next(hints, "") or _ROUNDED * _is_rounded(given, expected)
    return Result(exercise.id, WRONG, rows, hint)


def _has_comma(given: Any) -> bool:
    """Whether these are two whole numbers, as Python reads 0,85."""
    return isinstance(given, list) and len(given) == 2 and all(type(x) is int for x in given)


def _is_rounded(given: float, expected: float) -> bool:
    """Whether the right number, cut off or rounded after a few digits, is this one."""
    return any(
        given == round(given, digits) and abs(given - expected) < 10**-digits
        for digits in (1, 2, 3)
        if expected != round(expected, digits)
    )


def _numbered(test: Number, expected: float) -> Iterator[tuple[float, str]]:
    """What each mistake leads to: first those of the exercise."""
    for amount, hint in test.mistakes:
        yield _computed(amount), hint
    if expected:
        for factor, hint in _AUTOMATIC:
            yield factor * expected, hint
        yield 1 / expected, _RECIPROCAL


def _computed(amount: Amount) -> float:
    return float(amount()) if callable(amount) else amount


def judge_choice(exercise: Exercise, test: Choice, evidence: Evidence) -> Result:
    """The result for a letter."""
    (outcome,) = evidence.outcomes
    given = outcome.value
    letter = given.strip(" ().").lower() if isinstance(given, str) else "?"
    if not letter:
        return not_yet(exercise)
    if letter not in test.why:
        what = outcome.message or written(given)
        letters = ", ".join(f'"{letter}"' for letter in test.why)
        return Result(
            exercise.id, WRONG, (("your answer", what),), f"The answer is one letter: {letters}."
        )
    rows = (("your answer", letter),)
    if letter == test.right:
        return Result(exercise.id, RIGHT, (*rows, ("", test.why[letter])))
    return Result(exercise.id, WRONG, rows, test.why[letter])
