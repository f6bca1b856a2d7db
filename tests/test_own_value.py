"""A student's own Value: typical wrong classes, and the simplest expression that shows each."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from drawings import read_svg
from hypothesis import given
from hypothesis import strategies as st
from own_values import MINUS, POWER, REFLECTED, WITH_NUMBERS, WRONG, written

import micrograd_plus as mp
from micrograd_plus.classroom import faults
from micrograd_plus.classroom.exercises.check import judge, observe
from micrograd_plus.classroom.exercises.exercise import Exercise, ValueClass
from micrograd_plus.classroom.exercises.expressions import (
    Expression,
    expressions,
    is_fair,
    simplest,
    simplifications,
)
from micrograd_plus.classroom.exercises.guard import Guard, Outcome
from micrograd_plus.classroom.exercises.own_value import HINTS, is_wrong, observed
from micrograd_plus.classroom.exercises.result import Evidence, Result

THREE = ValueClass(("+", "*", "tanh"))
ALL = ValueClass(("+", "-", "*", "/", "**", "neg", "tanh", "exp"), numbers=True, reflected=True)


def checked(value_class: Any, test: ValueClass = THREE, seed: int = 0) -> Result:
    exercise = Exercise("02.1", "Your own Value", 3, test)
    return judge(exercise, seed, observe(exercise, seed, value_class))


@pytest.mark.parametrize("seed", range(5))
def test_a_right_class_passes(seed: int) -> None:
    assert checked(written(), seed=seed).passed
    numbers = ValueClass(THREE.ops, numbers=True, reflected=True)
    assert checked(written(*WITH_NUMBERS, *REFLECTED), numbers, seed).passed
    more = ValueClass(("+", "*", "-", "**"))
    assert checked(written(("def tanh", POWER), MINUS), more, seed).passed


def test_a_class_that_is_the_librarys_in_disguise_passes_with_every_op() -> None:
    class Own:
        """Computes by a Value inside, so that it has all ops."""

        def __init__(self, inner: Any) -> None:
            self.inner = inner if isinstance(inner, mp.Value) else mp.Value(inner)

        data = property(lambda self: self.inner.data)
        grad = property(
            lambda self: self.inner.grad, lambda self, grad: setattr(self.inner, "grad", grad)
        )

        def backward(self) -> None:
            self.inner.backward()

    def method(name: str) -> Any:
        def call(self: Any, *others: Any) -> Any:
            operands = [other.inner if isinstance(other, Own) else other for other in others]
            return Own(getattr(self.inner, name)(*operands))

        return call

    binary = ("add", "sub", "mul", "truediv", "pow")
    names = [f"__{r}{name}__" for name in binary for r in ("", "r")]
    for name in [*names, "__neg__", "tanh", "exp"]:
        setattr(Own, name, method(name))
    assert checked(Own, ALL).passed


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_class_gets_the_hint_for_its_mistake(name: str) -> None:
    replacements, kind = WRONG[name]
    for seed in range(2):
        result = checked(written(*replacements), seed=seed)
        assert result.status == "wrong"
        if kind:
            hints = {HINTS[kind].format(op=op) for op in THREE.ops}
            assert result.hint in hints, result


def test_the_hints_of_different_mistakes_differ() -> None:
    assert len({*HINTS.values()}) == len(HINTS)
    assert HINTS["assigned"] == faults.overwrite_gradients.story
    assert HINTS["recursion"] == faults.recurse_without_order.story


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("= for +=", "a + a at a = 2: a.grad is 1, should be 2."),
        ("upstream forgotten in *", "(a * b) * c at a = 2, b = -3, c = 0.5: a.grad is -3, should be"
         " -1.5; b.grad is 2, should be 1."),
        ("no gradient at the root", "a at a = 2: a.grad is 0, should be 1."),
        ("a wrong sum", "a + b at a = 2, b = -3: data is 5, should be -1."),
        ("a number instead of a Value", "a + b at a = 2, b = -3: `a + b` gives -1, which is not a "
         "Value of your class."),
        ("no tanh", "a.tanh() at a = 2: the class has no method `tanh`."),
        ("an error", "a.tanh() at a = 2: Line 26 raises AttributeError: 'Value' object has no "
         "attribute 'date'."),
    ],
)  # fmt: skip
def test_the_simplest_expression_is_told(name: str, said: str) -> None:
    for seed in range(3):
        assert checked(written(*WRONG[name][0]), seed=seed).text == said


@pytest.mark.parametrize("name", WRONG)
def test_no_simplification_of_it_fails(name: str) -> None:
    wrong = written(*WRONG[name][0])

    def fails(expression: Expression) -> bool:
        return is_wrong(expression, observed(expression, wrong, Guard()))

    failing = [expression for expression in expressions(THREE, 0) if fails(expression)]
    for expression in failing[:: max(1, len(failing) // 4)]:
        found = simplest(expression, fails)
        assert fails(found)
        assert not any(fails(simpler) for simpler in simplifications(found))


def test_what_does_not_work_with_plain_numbers_is_told() -> None:
    right, left = ValueClass(("+", "*"), numbers=True), ValueClass(("*",), reflected=True)
    result = checked(written(), right)
    assert "a + 2 at a = 2: Line 10 raises AttributeError: 'float' object" in result.text
    assert result.hint == HINTS["plain number"]
    result = checked(written(*WITH_NUMBERS), left)
    assert result.text == "2 * a at a = 2: the class has no method `__rmul__`."
    assert result.hint == "Write the method `__rmul__`. Python calls it for `2 * v`."


def test_a_wrong_sign_in_minus_is_the_fault_of_that_name() -> None:
    method = "def __sub__(self, other):\n        out = self + other\n"
    method += "        out.data = self.data - other.data\n        return out\n    def tanh"
    minus = ("def tanh", method)
    result = checked(written(minus), ValueClass(("+", "-")))
    assert result.hint == faults.wrong_sign.story


@pytest.mark.parametrize(
    ("wrong", "kind"), [("n * self.data**n", "exponent"), ("self.data**(n - 1)", "factor")]
)
def test_powers(wrong: str, kind: str) -> None:
    power = POWER.replace("n * self.data**(n - 1)", wrong)
    result = checked(written(("def tanh", power)), ValueClass(("**", "+")))
    assert result.hint == HINTS[kind].format(op="**")


class OnlyDots: ...


class Begun:
    def __init__(self, data: float) -> None:
        self.data = data
        self.grad = 0.0

    def __add__(self, other: Any) -> Any: ...

    def backward(self) -> None: ...


class Raises(Begun):
    def backward(self) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("value_class", [OnlyDots, Begun, ..., None])
def test_a_class_that_is_not_finished_is_not_wrong_yet(value_class: Any) -> None:
    assert checked(value_class).status == "not yet"


def test_what_is_no_class_of_the_students() -> None:
    for answer in (mp.Value, written()(2.0), "Value", lambda data: None):
        result = checked(answer)
        assert result.status == "wrong"
        assert "your own class" in result.hint


def test_an_endless_loop_is_stopped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("micrograd_plus.classroom.exercises.guard.SECONDS", 0.5)
    loops = written(("        visit(self)\n", "        visit(self)\n        while True: pass\n"))
    result = checked(loops)
    assert "Your code was stopped" in result.text
    assert "line 42" in result.text


def test_the_evidence_can_be_sent_as_json() -> None:
    exercise = Exercise("02.1", "Your own Value", 3, THREE)
    for wrong in (written(), *(written(*replacements) for replacements, _ in WRONG.values())):
        evidence = observe(exercise, 7, wrong)
        sent = json.loads(json.dumps([list(outcome) for outcome in evidence.outcomes]))
        received = Evidence(tuple(Outcome(*outcome) for outcome in sent), evidence.is_begun)
        assert repr(judge(exercise, 7, received)) == repr(judge(exercise, 7, evidence))


def test_a_claimed_failure_that_is_none_is_not_believed() -> None:
    """A simplest expression comes from the process of the answer: it is judged like the others."""
    exercise = Exercise("02.1", "Your own Value", 3, THREE)
    wrong = observe(exercise, 7, written(*WRONG["= for +="][0]))
    right = observe(exercise, 7, written())
    first = expressions(THREE, 7)[0]
    claimed = Outcome([first.numbers, first.steps, right.outcomes[0]])
    result = judge(exercise, 7, Evidence((*wrong.outcomes[:-1], claimed)))
    assert result.status == "wrong"
    assert "should be" in result.text


def test_the_failing_expression_is_drawn_with_the_wrong_gradients() -> None:
    result = checked(written(*WRONG["recursion, all operands first"][0]))
    picture = read_svg(result.picture.pipe("svg", encoding="utf-8"))
    assert len([text for text in picture.texts if re.fullmatch(r"yours .* ✗", text)]) == 1
    html = result._repr_mimebundle_()["text/html"]
    assert "data:image/svg+xml;base64," in html
    assert "✗ wrong" in html


@given(st.integers(0, 10**6))
def test_all_expressions_are_fair_and_their_words_are_python(seed: int) -> None:
    for expression in expressions(ALL, seed)[-5:]:
        assert is_fair(expression)
        text, _, at = str(expression).rpartition(" at ")
        *definitions, formula = text.split("; ")
        names = {
            name: mp.Value(float(x)) for name, _, x in (n.partition(" = ") for n in at.split(", "))
        }
        for definition in definitions:
            name, _, part = definition.partition(" = ")
            names[name] = eval(part, {}, names)
        root = expression.build(mp.Value)[-1]
        assert math.isclose(eval(formula, {}, names).data, root.data, rel_tol=1e-9)
