"""`check` answers in words, whatever the student's answer does."""

from __future__ import annotations

import gc
import json
import math
import random
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from any_text import ANY_TEXT
from hostile import hostile_answers
from hypothesis import given
from hypothesis import strategies as st

import micrograd_plus as mp
from micrograd_plus.classroom.exercises import guard as guards
from micrograd_plus.classroom.exercises import unit_02
from micrograd_plus.classroom.exercises.check import judge, observe
from micrograd_plus.classroom.exercises.exercise import (
    Behaviour,
    Choice,
    Exercise,
    Number,
    ValueClass,
)
from micrograd_plus.classroom.exercises.guard import Guard, Outcome
from micrograd_plus.classroom.exercises.plain import plain, same, written
from micrograd_plus.classroom.exercises.result import STATUS_MIME, Evidence, Result
from micrograd_plus.classroom.exercises.stubs import is_unbegun

HINT = "x reaches the result on two paths."


def two_paths(x: float, y: float) -> float:
    return x * y + x


def case(generator: random.Random) -> tuple[float, float]:
    return generator.randint(1, 9) / 2, generator.randint(1, 9) / 2


SLOPE = Number(-4.0, ((4.5, "That is the value, not the slope."), (lambda: -8, "Twice!")))
PATHS = Behaviour(
    two_paths,
    case,
    (
        (lambda x, y: x * y, HINT),
        (lambda x, y: x + y, "One of the two is a product."),
        (lambda x, y: x[0], "A number has no items."),
    ),
)
QUIZ = Choice("b", {"a": "That is the sum.", "b": "The chain rule.", "c": "That is the first."})
CLASS = ValueClass(("+", "*"))
TESTS = [SLOPE, PATHS, QUIZ, CLASS]


def checked(test: Any, answer: Any, seed: int = 0) -> Result:
    exercise = Exercise("02.1", "An exercise", 1, test)
    return judge(exercise, seed, observe(exercise, seed, answer))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Endless loops are stopped soon, and not in Hypothesis's callback of a garbage collection."""
    monkeypatch.setattr(guards, "SECONDS", 0.2)
    gc.disable()
    yield
    gc.enable()


# ---- numbers and letters


@pytest.mark.parametrize(
    "answer", [-4, -4.0, -3.97, mp.Value(-4.0), np.float64(-4.0), np.array(-4.0)]
)
def test_a_right_number(answer: Any) -> None:
    assert checked(SLOPE, answer).passed


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (4, "The size is right, but the sign is wrong."),
        (-0.25, "It is 1 divided by"),
        (4.5, "That is the value, not the slope."),
        (-8, "Twice!"),
        (-2, "It is half of the right number"),
        (-400, "It is 100 times"),
        (-0.04, "divided by 100"),
        (17, ""),
        (math.nan, ""),
        (math.inf, ""),
        pytest.param(10**5000, "", id="huge"),
    ],
)
def test_a_wrong_number(answer: Any, hint: str) -> None:
    result = checked(SLOPE, answer)
    assert result.status == "wrong"
    assert hint in result.hint
    assert bool(hint) == bool(result.hint)


def test_a_wrong_number_is_told_without_the_right_one() -> None:
    assert repr(checked(SLOPE, 17)) == "02.1: wrong\n  your answer: 17"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("-4", "your answer: '-4'"),
        ([-4.0], "your answer: [-4]"),
        (two_paths, "your answer: a function"),
        (mp.Value, "your answer: the class Value"),
        (True, "your answer: True"),
        ({1}, "your answer: an object of the class set"),
        (range(3), "your answer: an object of the class range"),
    ],
)
def test_what_is_no_number(answer: Any, said: str) -> None:
    result = checked(SLOPE, answer)
    assert (result.status, result.text) == ("wrong", said)
    assert result.hint == "The answer is one number."


@pytest.mark.parametrize("answer", [(0, 85), (-4, 5), (78, 500)])
def test_a_decimal_comma_is_told(answer: Any) -> None:
    result = checked(SLOPE, answer)
    assert result.status == "wrong"
    assert "write a point, as in 0.5" in result.hint


@pytest.mark.parametrize(
    ("answer", "is_rounded"),
    [(0.37, True), (0.36, True), (0.4, True), (0.3, True), (0.35, False), (0, False), (1, False)],
)
def test_a_number_with_too_few_digits_is_told(answer: float, is_rounded: bool) -> None:
    result = checked(Number(0.36587), answer)
    assert result.status == "wrong"
    assert ("more digits" in result.hint) == is_rounded
    assert "digits" not in checked(Number(6.0), 6.1).hint


@pytest.mark.parametrize("answer", ["b", "B", "(b)", " b. "])
def test_a_right_letter(answer: str) -> None:
    assert repr(checked(QUIZ, answer)) == "02.1: right\n  your answer: b\n  The chain rule."


def test_other_letters() -> None:
    assert checked(QUIZ, "a").hint == "That is the sum."
    assert checked(QUIZ, "").status == "not yet"
    for answer in ("d", "abc", 2, two_paths):
        result = checked(QUIZ, answer)
        assert (result.status, result.hint) == ("wrong", 'The answer is one letter: "a", "b", "c".')


# ---- functions


def test_a_right_function() -> None:
    assert checked(PATHS, lambda x, y: x * (y + 1)).passed
    assert checked(PATHS, lambda x, y: mp.Value(x) * y + x).passed


def test_a_factor_is_told_only_if_it_is_that_of_every_case() -> None:
    test = Behaviour(lambda x: max(x, 0), lambda generator: (generator.randint(-9, 9),), ())
    assert checked(test, lambda x: 3 * max(x, 0)).hint == (
        "All results are 3 times what they should be."
    )
    assert "cases are right" in checked(test, lambda x: x).hint  # where x is not negative


def test_only_cases_that_differ_are_counted() -> None:
    def right(cases: Any) -> str:
        return checked(Behaviour(two_paths, cases, ()), lambda x, y: x * (y + 1)).text

    assert right(lambda generator: (generator.random(), 2.0)) == "It is right in 12 fresh cases."
    assert right(lambda generator: (generator.randint(1, 2), 2.0)) == (
        "It is right in 2 fresh cases."
    )
    assert right(lambda generator: (1.0, 2.0)) == "It is right."


def test_a_wrong_function_is_told_with_its_case() -> None:
    result = checked(PATHS, lambda x, y: x * y + 2 * x)
    given_in, came_out, expected = [said for _, said in result.rows]
    x, y = eval(given_in.removeprefix("two_paths"))
    assert float(came_out) == pytest.approx(x * y + 2 * x)
    assert float(expected) == pytest.approx(x * y + x)
    assert [label for label, _ in result.rows] == ["given in", "came out", "expected"]


@pytest.mark.parametrize(("answer", "hint"), PATHS.mistakes)
def test_a_mistake_gets_its_hint(answer: Any, hint: str) -> None:
    assert checked(PATHS, answer).hint == hint


def test_cases_are_fresh_unless_a_seed_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    exercise = Exercise("02.1", "Two paths", 2, PATHS)
    monkeypatch.setattr(unit_02, "EXERCISES", (exercise,))

    def wrong(x: float, y: float) -> float:
        return 0.0

    texts = {mp.classroom.check("02.1", wrong).text for _ in range(6)}
    assert len(texts) > 1
    assert len({mp.classroom.check("02.1", wrong, seed=5).text for _ in range(3)}) == 1


def test_a_factor_in_all_results_is_seen() -> None:
    assert checked(PATHS, lambda x, y: -two_paths(x, y)).hint == (
        "The size is right, but the sign is wrong."
    )
    assert checked(PATHS, lambda x, y: 3 * two_paths(x, y)).hint == (
        "All results are 3 times what they should be."
    )


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (lambda x, y: [-x, -x * y], "The size is right, but the sign is wrong."),
        (lambda x, y: [2 * x, 2 * x * y], "All results are 2 times what they should be."),
        (lambda x, y: [x / 3, 1.0], ""),
        (lambda x, y: [x, -x * y], ""),
        (lambda x, y: [1.5, 2], "It gives the same in every case. Does it use its arguments?"),
        (lambda x, y: x * y, "A number came out where a list is expected."),
        (lambda x, y: [x, x * y, y], "Your list has 3 items where 2 are expected."),
        (lambda x, y: [x], "Your list has 1 item where 2 are expected."),
    ],
)
def test_lists_that_are_all_wrong_in_the_same_way(answer: Any, hint: str) -> None:
    test = Behaviour(lambda x, y: [x, x * y], case, ())
    assert checked(test, answer).hint == hint


def test_numbers_that_are_all_wrong_in_the_same_way() -> None:
    test = Behaviour(lambda x, y: x / (1 + y), case, ())
    assert checked(test, lambda x, y: round(x / (1 + y), 2)).hint == (
        "The results are rounded. Return all digits."
    )
    assert (
        checked(test, lambda x, y: [x / (1 + y)]).hint
        == "A list came out where a number is expected."
    )
    assert checked(test, lambda x, y: 0).hint == (
        "It gives the same in every case. Does it use its arguments?"
    )


def test_a_generator_is_told_how_to_become_a_list() -> None:
    test = Behaviour(lambda x, y: [x, y], case, ())
    for answer in (lambda x, y: (z for z in (x, y)), lambda x, y: map(float, (x, y))):
        assert "`list(…)` makes a list of it" in checked(test, answer).text


def test_without_arguments_no_cases_are_counted() -> None:
    test = Behaviour(lambda: 2.0, lambda _: (), ())
    assert checked(test, lambda: 2.0).text == "It is right."


def test_a_factor_in_lists_is_seen() -> None:
    test = Behaviour(lambda x, y: [x, [x * y, 0.0]], case, ())
    for factor, said in ((-1, "the sign is wrong"), (2, "All results are 2 times")):
        assert said in checked(test, lambda x, y, k=factor: [k * x, [k * x * y, 0.0]]).hint
    assert not checked(test, lambda x, y: [x + 1, [x * y, 0.0]]).hint


ROW = Behaviour(lambda x, y: [x, [x, y]], case, ())
NAMED = Behaviour(lambda x, y: {"c": y, "b": {"a": x < y}}, case, ())


@pytest.mark.parametrize(
    ("test", "answer", "said"),
    [
        (ROW, lambda x, y: [x, [x]], "A list in your list has 1 item where 2 are expected."),
        (ROW, lambda x, y: [x], "Your list has 1 item where 2 are expected."),
        (ROW, lambda x, y: [x, x], "A number came out where a list is expected."),
        (ROW, lambda x, y: [x, None], "does each way through the function end with a `return`?"),
        (NAMED, lambda x, y: {"b": {"a": x < y}}, "Your dictionary has no entry 'c'."),
        (NAMED, lambda x, y: {"c": y, "b": {}}, "Your dictionary has no entry 'a'."),
        (NAMED, lambda x, y: {"c": y, "b": {"a": str(x < y)}}, "True or False is expected"),
        (ROW, lambda x, y: [[x], [x, y]], "A list came out where a number is expected."),
        (PATHS, lambda x, y: [x], "A list came out where a number is expected."),
        (PATHS, lambda x, y: [x][1], "The last of n items has the index n - 1."),
        (PATHS, lambda x, y: [x][y], "An index is a whole number."),
        (PATHS, lambda x, y: x + forgotten, "This name has no value there"),  # type: ignore[name-defined]  # noqa: F821
        (PATHS, lambda x, y: [x] / y, "one number at a time."),
        (PATHS, lambda x, y: math.log([x]), "one number at a time."),  # type: ignore[list-item]
        (PATHS, lambda x, y: mp.Value(x).tanh, "are its brackets missing?"),
        (PATHS, lambda x, y: two_paths(x, y) if x < 4 else 0.5, "cases are right. What is diff"),
    ],
)
def test_a_result_of_another_form_gets_a_hint(test: Any, answer: Any, said: str) -> None:
    assert said in checked(test, answer).hint


def test_an_answer_that_changes_its_arguments_does_not_change_what_is_expected() -> None:
    test = Behaviour(sorted, lambda r: ([r.random() for _ in range(3)],), ())

    def clears(row: list[float]) -> list[float]:
        copy = sorted(row)
        row.clear()
        return copy

    assert checked(test, clears).passed

    def clears_first(row: list[float]) -> list[float]:
        row.clear()
        return row

    result = checked(test, clears_first)
    assert result.status == "wrong"
    assert result.rows[0][1].count(",") == 2, "the case is shown as it was given"


def test_an_exception_can_be_what_is_expected() -> None:
    def root(x: float) -> float:
        if x < 0:
            raise ValueError("negative")
        return math.sqrt(x)

    test = Behaviour(root, lambda r: (r.choice([-1.0, 4.0]),), ())
    assert checked(test, root).passed

    def complains(x: float) -> float:
        if x < 0:
            raise ValueError("another text")
        return x**0.5

    assert checked(test, complains).passed
    assert checked(test, lambda x: abs(x) ** 0.5).rows[0] == ("given in", "root(-1)")


def test_a_class_is_run_as_the_exercise_says() -> None:
    class Counter:
        def __init__(self) -> None:
            self.count = 0

        def add(self, number: int) -> None:
            self.count += number

    def run(counter_class: Any, *numbers: int) -> Any:
        counter = counter_class()
        return [counter.add(number) or counter.count for number in numbers]

    test = Behaviour(Counter, lambda r: (r.randint(1, 5), r.randint(1, 5)), (), run)
    assert checked(test, Counter).passed

    class Forgetful(Counter):
        def add(self, number: int) -> None:
            self.count = number

    assert checked(test, Forgetful).status == "wrong"

    class Unbegun:
        def __init__(self) -> None: ...

        def add(self, number: int) -> None: ...

    class Empty: ...

    assert checked(test, Unbegun).status == "not yet"
    assert checked(test, Empty).status == "not yet"
    result = checked(test, Counter())
    assert "The answer is the class itself" in result.hint


def unbegun(x: float, y: float) -> Any: ...


def unbegun_with_text(x: float, y: float) -> Any:
    """Says what it should do."""
    ...


def gives_dots(x: float, y: float) -> Any:
    return ...


def raises_not_implemented(x: float, y: float) -> Any:
    raise NotImplementedError


def forgets_return(x: float, y: float) -> Any:
    x * y + x


@pytest.mark.parametrize(
    "answer", [..., None, unbegun, unbegun_with_text, gives_dots, raises_not_implemented]
)
def test_what_is_not_begun_is_not_wrong(answer: Any) -> None:
    result = checked(PATHS, answer)
    assert (result.status, result.hint) == ("not yet", "")
    assert "`...`" in result.text


def test_a_forgotten_return_is_named() -> None:
    assert "`return`" in checked(PATHS, forgets_return).text


def test_a_function_with_text_and_a_result_is_begun() -> None:
    assert is_unbegun(unbegun_with_text)
    assert not is_unbegun(two_paths)
    assert not is_unbegun(len)


# ---- errors and endless loops in the student's code


def divides(x: float, y: float) -> float:
    zero = y - y
    return x / zero


def loops(x: float, y: float) -> float:
    while True:
        x += 1


def loops_on_one_line(x: float, y: float) -> float:
    while True: pass  # noqa: E701  # fmt: skip


def loops_and_catches(x: float, y: float) -> float:
    while True:
        try:
            x += 1
        except:  # noqa: E722
            x -= 1


def loops_and_catches_outside(x: float, y: float) -> float:
    while True:
        try:
            loops(x, y)
        except BaseException:
            continue


def loops_in_a_generator(x: float, y: float) -> float:
    def numbers() -> Any:
        while True:
            yield x

    return sum(numbers())


def loops_over_values(x: float, y: float) -> float:
    value = mp.Value(x)
    while value.data < math.inf:
        value = value.tanh()
    return value.data


def calls_itself(x: float, y: float) -> float:
    return calls_itself(y, x)


def test_an_exception_is_told_with_its_line() -> None:
    line = divides.__code__.co_firstlineno + 2
    result = checked(PATHS, divides)
    assert result.rows[1] == (
        "came out",
        f"Line {line}, `return x / zero`, raises ZeroDivisionError: float division by zero.",
    )


def test_an_error_in_an_op_is_told_with_the_line_of_the_answer() -> None:
    def gives_a_text(x: float, y: float) -> Any:
        return mp.ops.TABLE["sigmoid"].forward("x")  # type: ignore[arg-type]

    assert '`return mp.ops.TABLE["sigmoid"]' in checked(PATHS, gives_a_text).text


def test_a_wrong_number_of_arguments_is_told() -> None:
    result = checked(PATHS, lambda x: x)
    assert "takes 1 positional argument but 2 were given" in result.text


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    "answer",
    [
        loops,
        loops_on_one_line,
        loops_and_catches,
        loops_and_catches_outside,
        loops_in_a_generator,
        loops_over_values,
    ],
)
def test_an_endless_loop_is_stopped(answer: Any) -> None:
    result = checked(PATHS, answer)
    assert result.status == "wrong"
    told = result.rows[1][1]
    assert told.startswith("Your code was stopped, because it took more than 0.2 seconds. It was")
    assert "Does a loop there never end, or take too many steps?" in told


@pytest.mark.usefixtures("short")
def test_the_line_of_an_endless_loop_is_told() -> None:
    line = loops_on_one_line.__code__.co_firstlineno + 1
    assert f"running line {line}, `while True: pass" in checked(PATHS, loops_on_one_line).text


@pytest.mark.usefixtures("short")
def test_a_loop_is_stopped_in_another_thread_too() -> None:
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.append(checked(PATHS, loops)))
    thread.start()
    thread.join(120)
    assert "was stopped" in results[0].text


def test_a_deep_recursion_is_told() -> None:
    told = checked(PATHS, calls_itself).rows[1][1]
    assert "calls itself too often (RecursionError)" in told
    assert "`return calls_itself(y, x)`" in told


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("answer", [two_paths, loops, divides, calls_itself])
def test_the_trace_function_is_put_back(answer: Any) -> None:
    def tracer(*_: Any) -> None:
        return None

    before = sys.gettrace()
    try:
        sys.settrace(tracer)
        checked(PATHS, answer)
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)


def test_the_time_is_that_of_all_cases_together() -> None:
    guard = Guard(0.05)
    assert guard.run(lambda: loops(1, 1)).error == guards.ENDLESS
    assert guard.is_over
    assert guard.run(lambda: 1) == Outcome(error=guards.ENDLESS)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("test", TESTS, ids=lambda test: type(test).__name__)
def test_nothing_raises_out_of_a_check(test: Any) -> None:
    for which, answer in enumerate(hostile_answers()):
        result = checked(test, answer)
        assert result.status in ("wrong", "not yet"), which
        assert len(repr(result)) < 2000, which
        assert "text/html" in result._repr_mimebundle_(), which


# ---- results and ids


def test_a_result_says_its_status_by_mime_type() -> None:
    bundle = checked(PATHS, lambda x, y: x * y)._repr_mimebundle_()
    assert bundle[STATUS_MIME] == {"id": "02.1", "status": "wrong"}
    assert bundle["text/plain"].startswith("02.1: wrong\n  given in: two_paths(")
    assert "✗ wrong" in bundle["text/html"]
    assert HINT in bundle["text/html"]
    assert "<script" not in checked(SLOPE, "<script>")._repr_mimebundle_()["text/html"]


def test_the_evidence_can_be_sent_as_json() -> None:
    exercise = Exercise("02.1", "Two paths", 2, PATHS)
    for answer in (two_paths, divides, unbegun, 3, lambda x, y: math.nan):
        evidence = observe(exercise, 3, answer)
        sent = json.loads(json.dumps([list(outcome) for outcome in evidence.outcomes]))
        received = Evidence(tuple(Outcome(*outcome) for outcome in sent), evidence.is_begun)
        assert judge(exercise, 3, received) == judge(exercise, 3, evidence)


def test_ids_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_02, "EXERCISES", (Exercise("02.1", "A slope", 1, SLOPE),))
    with pytest.raises(ValueError, match=r"no exercise '02.9'; notebook 02 has 02.1$"):
        mp.classroom.check("02.9", 1)
    for wrong in ("2.1", "13.1", "", 2.1, None):
        with pytest.raises(ValueError, match="there are 00 to 12"):
            mp.classroom.check(wrong, 1)  # type: ignore[arg-type]


# ---- plain data

ROWS = st.recursive(
    st.one_of(st.floats(allow_nan=False), st.integers(), st.booleans(), ANY_TEXT, st.none()),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


@given(ROWS)
def test_plain_data_equals_itself_and_can_be_written(row: Any) -> None:
    assert same(plain(row), plain(row))
    assert len(written(row)) <= 201
    assert same(plain(row), json.loads(json.dumps(plain(row))))


def test_numbers_are_written_in_short_in_every_kind_of_collection() -> None:
    number = 0.1 + 0.2
    assert written([number, (number,)]) == "[0.3, (0.3,)]"
    assert written({"new": {"w": [number]}}) == "{'new': {'w': [0.3]}}"
    assert written({1: number}) == "{1: 0.3}"
    assert written(mp.Value(number)) == "Value(0.3)"


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1.0))
def test_numbers_are_equal_within_the_tolerance(x: float, relative: float) -> None:
    assert same(x * (1 + relative / 2), x, relative)
    assert not same(x * (1 + relative * 2) + 1e-6, x, relative) or abs(x) * relative < 1e-6


def test_what_looks_alike_is_not_the_same() -> None:
    assert not same([1.0], 1.0)
    assert not same([1.0], [1.0, 1.0])
    assert not same("1", 1)
    assert not same(None, 0)
    assert not same({"a": 1}, {"b": 1})
    assert same(math.nan, math.nan)
    assert same(-math.inf, -math.inf)
    assert not same(math.inf, -math.inf)
