"""Tests the student's own class `Value` on random expressions."""

from __future__ import annotations

from typing import Any

from .exercise import Exercise, ValueClass
from .guard import Guard, Outcome
from .result import Evidence, Result


def observe_value_class(test: ValueClass, seed: int, answer: Any, guard: Guard) -> list[Outcome]:
    """What the class gives for each expression."""
    raise NotImplementedError


def judge_value_class(
    exercise: Exercise, test: ValueClass, seed: int, evidence: Evidence
) -> Result:
    """The result for what came out for each expression."""
    raise NotImplementedError
