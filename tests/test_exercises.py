"""Every exercise of the course: its solution passes, and each typical mistake gets its own hint."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest

from micrograd_plus.classroom.exercises import UNITS, find, unit
from micrograd_plus.classroom.exercises.check import judge, observe
from micrograd_plus.classroom.exercises.exercise import (
    LEVELS,
    Behaviour,
    Choice,
    Exercise,
    Number,
)

EXERCISES = [exercise for number in UNITS for exercise in unit(number)]
SEEDS = (0, 1)


@pytest.fixture(autouse=True)
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer here is endless; and the guard's tracing would hide them from a coverage report."""
    monkeypatch.setattr(sys, "settrace", lambda trace: None)


def of_kind(*kinds: type) -> list[Any]:
    return [pytest.param(e, id=e.id) for e in EXERCISES if isinstance(e.test, kinds)]


def checked(exercise: Exercise, answer: Any, seed: int = 0) -> Any:
    return judge(exercise, seed, observe(exercise, seed, answer))


@pytest.mark.parametrize("number", UNITS)
def test_the_ids_are_in_order(number: str) -> None:
    ids = [exercise.id for exercise in unit(number)]
    questions = [name for name in ids if ".q" in name]
    others = [name for name in ids if ".q" not in name]
    assert others == [f"{number}.{k}" for k in range(1, len(others) + 1)]
    assert questions == [f"{number}.q{k}" for k in range(1, len(questions) + 1)]
    assert [find(name).id for name in ids] == ids


@pytest.mark.parametrize("exercise", of_kind(object))
def test_it_is_described_in_plain_words(exercise: Exercise) -> None:
    assert exercise.level in LEVELS
    assert exercise.title[0].isupper()
    assert exercise.title == exercise.title.strip(" .")


@pytest.mark.parametrize("exercise", of_kind(object))
@pytest.mark.parametrize("answer", [..., None], ids=["...", "None"])
def test_an_answer_that_is_not_begun_is_not_wrong(exercise: Exercise, answer: Any) -> None:
    assert checked(exercise, answer).status == "not yet"


@pytest.mark.parametrize("exercise", of_kind(Number))
def test_numbers(exercise: Exercise) -> None:
    test: Any = exercise.test
    expected = test.expected() if callable(test.expected) else test.expected
    assert checked(exercise, expected).passed
    for amount, hint in test.mistakes:
        result = checked(exercise, amount() if callable(amount) else amount)
        assert (result.status, result.hint) == ("wrong", hint)
    assert_hints([hint for _, hint in test.mistakes])


@pytest.mark.parametrize("exercise", of_kind(Choice))
def test_choices(exercise: Exercise) -> None:
    test: Any = exercise.test
    assert test.right in test.why
    assert [*test.why] == [*"abcdefgh"[: len(test.why)]]
    for letter in test.why:
        result = checked(exercise, letter)
        assert result.passed == (letter == test.right)
        assert test.why[letter] in (result.hint, result.rows[-1][1])
    assert len({*test.why.values()}) >= 3
    assert_sentences([*test.why.values()])


@pytest.mark.parametrize("exercise", of_kind(Behaviour))
def test_functions_and_classes(exercise: Exercise) -> None:
    test: Any = exercise.test
    for seed in SEEDS:
        result = checked(exercise, test.solution, seed)
        assert result.passed, result
    for seed in SEEDS:
        for answer, hint in test.mistakes:
            result = checked(exercise, answer, seed)
            assert (result.status, result.hint) == ("wrong", hint), result
    assert_hints([hint for _, hint in test.mistakes])


@pytest.mark.parametrize("exercise", of_kind(Behaviour))
def test_answers_of_another_kind_are_wrong(exercise: Exercise) -> None:
    for answer in (7, "text", [], [None], {}, lambda *_: "text", lambda *_: [1.0], lambda *_: None):
        result = checked(exercise, answer)
        assert result.status in ("wrong", "not yet"), (answer, result)
        assert not result.hint or result.hint[-1] in ".?!`)"


def assert_hints(hints: list[str]) -> None:
    """At least three, and all different."""
    assert len(hints) >= 3
    assert len({*hints}) == len(hints)
    assert_sentences(hints)


def assert_sentences(texts: list[str]) -> None:
    for text in texts:
        assert re.search(r"[.?!`)]$", text), f"no sentence: {text}"
        assert text == text.strip()
