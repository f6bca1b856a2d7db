"""Questions made from a graph: right, complete, fair, and with a hint for each mistake."""

from __future__ import annotations

import math
import random
import re
from typing import Any

import pytest
from graphs import LEAVES, STEPS, build, ours
from hypothesis import given
from hypothesis import strategies as st
from mistakes import PREDICTED, assert_hints_are_true

import micrograd_plus as mp
from micrograd_plus import Value, functional
from micrograd_plus.classroom.questions import (
    BACKWARD_HINTS,
    HINTS,
    Question,
    backward_mistakes,
    questions,
)
from micrograd_plus.engine import apply, topological_order
from micrograd_plus.ops import TABLE

NUMBER = r"-?(?:\d[\d.]*(?:e[-+]\d+)?|inf|nan)"


def every_question(root: Value) -> list[Question]:
    """All that can be asked."""
    with pytest.raises(ValueError, match="steps to ask about") as refused:
        questions(root, 10**6)
    count = int(re.findall(r"has (\d+) steps", str(refused.value))[0])
    return questions(root, count) if count else []


def graph() -> Value:
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    return a * b + a


# ---- what is asked


def test_the_questions_of_a_small_graph() -> None:
    asked = every_question(graph())
    back = "In the backward pass,"
    assert [(question.prompt, question.answer, question.kind) for question in asked] == [
        ("v1 = a * b, with a = 2 and b = -3. What is v1?", -6.0, "forward"),
        ("L = v1 + a, with v1 = -6 and a = 2. What is L?", -4.0, "forward"),
        (
            f"L = v1 + a, with v1 = -6 and a = 2. {back} L.grad is 1, and v1.grad is 0 so far. "
            "What is v1.grad after the step from L to v1?",
            1.0,
            "backward",
        ),
        (
            f"L = v1 + a, with v1 = -6 and a = 2. {back} L.grad is 1, and a.grad is 0 so far. "
            "What is a.grad after the step from L to a?",
            1.0,
            "backward",
        ),
        (
            f"v1 = a * b, with a = 2 and b = -3. {back} v1.grad is 1, and a.grad is 1 so far. "
            "What is a.grad after the step from v1 to a?",
            -2.0,
            "backward",
        ),
        (
            f"v1 = a * b, with a = 2 and b = -3. {back} v1.grad is 1, and b.grad is 0 so far. "
            "What is b.grad after the step from v1 to b?",
            2.0,
            "backward",
        ),
    ]


def relation(root: Value) -> str:
    """The first sentence of the question for the root's number."""
    forward = [question for question in every_question(root) if question.kind == "forward"]
    return forward[-1].prompt.removesuffix(" What is L?")


def test_how_relations_are_written() -> None:
    a, b, c = Value(2.0, label="a"), Value(-3.0, label="b"), Value(0.5, label="c")
    assert relation(a**2) == "L = a**2, with a = 2."
    assert relation((-2) ** a) == "L = (-2)**a, with a = 2."
    assert relation(3 * Value(1 / 3)) == "L = 3 * v1, with v1 = 0.33333."
    assert relation(functional.sum([a, b, c])) == "L = a + b + c, with a = 2, b = -3 and c = 0.5."
    assert relation(functional.dot([a, b], [c, 4.0])) == (
        "L = a * c + b * 4, with a = 2, b = -3 and c = 0.5."
    )
    assert relation(b.relu()) == "L = relu(b), with b = -3; relu(x) is max(x, 0)."
    assert relation(b.leaky_relu()) == (
        "L = leaky_relu(b, 0.01), with b = -3; leaky_relu(x, slope=0.01) is x where it is "
        "positive, else slope * x."
    )
    assert relation(apply(TABLE["lt"], a, 1)) == "L = 1 if a < 1 else 0, with a = 2."
    assert relation(apply(TABLE["where"], b, a, c)) == (
        "L = c if b == 0 else a, with b = -3, a = 2 and c = 0.5."
    )
    assert relation(a.detach() * b) == "L = a * b, with a = 2 and b = -3."
    assert relation(functional.dot([1.0, 2.0], [3.0, 4.0])) == "L = 1 * 3 + 2 * 4."


def test_an_op_without_words_is_explained_by_its_formula() -> None:
    try:
        mp.op("cube", lambda x: x * x * x, lambda out, x: 3 * x * x)
        written = relation(Value(2.0, label="a").cube())
        assert written == "L = cube(a), with a = 2; cube(x) is x * x * x."
    finally:
        del TABLE["cube"], mp.ops.Methods.cube


def test_which_of_several_uses_is_meant() -> None:
    a, b, c = Value(2.0, label="a"), Value(-3.0, label="b"), Value(0.5, label="c")
    asked = every_question(functional.dot([c, a], [a, b]))  # c * a + a * b
    uses = [
        (question.prompt.partition("to ")[2], question.answer)
        for question in asked
        if "What is a.grad" in question.prompt
    ]
    # The engine takes the operands c, a, a, b in order: a gets b first, which is its second use.
    assert [text.rpartition("to ")[2] for text, _ in uses] == ["the second a?", "the first a?"]
    assert [answer for _, answer in uses] == [-3.0, -2.5]


# ---- the answer follows from the prompt alone

FUNCTIONS = {name: op.forward for name, op in TABLE.items() if name not in ("abs", "max", "min")}


def groups(pattern: str, text: str) -> tuple[str, ...]:
    found = re.match(pattern, text)
    assert found, text
    return found.groups()


def solve(prompt: str) -> float:
    """The answer, from nothing but the prompt: derivatives by nudging; at a kink, nan."""
    name, written = groups(r"(\w+) = (.*?)(?:, with |; |\. (?:What|In))", prompt)
    body, _, task = prompt.partition(". In the backward pass, ")
    known = {x: float(number) for x, number in re.findall(rf"(\w+) = ({NUMBER})\b", body)}
    known.pop(name, None)

    def value(formula: str, h: float = 0.0) -> float:
        return float(eval(formula, {**FUNCTIONS, **known, "h": h}))

    if not task:
        assert prompt.endswith(f". What is {name}?")
        return value(written)
    upstream, so_far = map(float, re.findall(rf"\.grad is ({NUMBER})\b", task))
    user, occurrence, leaf = groups(r".*the step from (\w+) to (?:the (\w+) )?(\w+)\?$", task)
    assert user == name
    ordinals = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"]
    uses = [match.span() for match in re.finditer(rf"\b{leaf}\b", written)]
    assert occurrence or len(uses) == 1
    start, end = uses[ordinals.index(occurrence)] if occurrence else uses[0]
    nudged = f"{written[:start]}({leaf} + h){written[end:]}"
    slopes = [(value(nudged, h) - value(written)) / h for h in (1e-6, -1e-6)]
    if not math.isclose(*slopes, rel_tol=1e-3, abs_tol=1e-4):
        return math.nan
    return so_far + upstream * sum(slopes) / 2


@given(LEAVES, STEPS)
def test_random_graphs_can_be_solved_from_the_prompts(numbers: list[float], steps: Any) -> None:
    root = build([Value(x) for x in numbers], steps, ours)
    for question in every_question(root)[:60]:
        answer = solve(question.prompt)
        near = pytest.approx(question.answer, rel=0.02, abs=1e-3)
        assert math.isnan(answer) or answer == near, question.prompt


@pytest.mark.parametrize("name", TABLE)
def test_every_op_can_be_asked_about(name: str) -> None:
    op = TABLE[name]
    labels = "abcd" if op.nary else "abc"[: len(op.operands)]
    leaves = [Value(x, label) for x, label in zip((0.7, 0.4, 1.3, 0.9), labels, strict=False)]
    asked = every_question(apply(op, *leaves))
    assert len(asked) == 1 + len(leaves)
    for question in asked:
        assert solve(question.prompt) == pytest.approx(question.answer, rel=1e-3, abs=1e-6)


def test_the_answers_are_those_of_the_engine() -> None:
    root = mp.parse("tanh(x1*w1 + x2*w2 + b)", x1=2, x2=0.5, w1=-3, w2=1, b=6.88)
    last = {
        question.prompt.rpartition("What is ")[2].partition(" after")[0].rstrip("?"): question
        for question in every_question(root)
    }
    root.backward()
    for node in topological_order(root):
        if node.op is None:
            assert last[f"{node.label}.grad"].answer == pytest.approx(node.grad, rel=1e-12)
    assert last["L"].answer == root.data


# ---- which are asked


def test_a_seed_asks_the_same_again() -> None:
    root = mp.parse("tanh(x1*w1 + x2*w2 + b)", x1=2, x2=0.5, w1=-3, w2=1, b=6.88)
    every = [question.prompt for question in every_question(root)]
    assert len(set(every)) == len(every)
    chosen = {tuple(q.prompt for q in questions(root, 3, seed=seed)) for seed in range(20)}
    assert len(chosen) > 5
    for seed in range(20):
        asked = questions(root, 3, seed=seed)
        assert asked == questions(root, 3, seed=seed)
        positions = [every.index(question.prompt) for question in asked]
        assert positions == sorted(set(positions)), "in the order of the passes"


def test_nothing_in_the_graph_is_changed() -> None:
    root = graph()
    root.backward()
    order = topological_order(root)
    before = [(node.data, node.grad) for node in order]
    state = random.getstate()
    questions(root, 3)
    questions(root, 3, seed=1)
    assert [(node.data, node.grad) for node in order] == before
    assert random.getstate() == state


def test_values_without_labels_and_with_equal_ones_are_told_apart() -> None:
    a, b = Value(2.0, label="a"), Value(5.0, label="a")
    (question,) = [q for q in every_question(a * b) if q.kind == "forward"]
    names = re.findall(r"(\w+) = \d", question.prompt)
    assert len(set(names)) == 2
    (question,) = [q for q in every_question(Value(2.0) - Value(5.0)) if q.kind == "forward"]
    assert question.prompt == "L = v1 - v2, with v1 = 2 and v2 = 5. What is L?"


def test_inf_and_nan_are_not_asked_about() -> None:
    a, b = Value(0.0, label="a"), Value(2.0, label="b")
    asked = every_question(1 / a + a.log() * a + b * 3)
    assert [question.prompt for question in asked if question.kind == "forward"] == [
        "v5 = b * 3, with b = 2. What is v5?"
    ]
    assert all(math.isfinite(question.answer) for question in asked)
    assert not [question for question in asked if re.search(r"\b(inf|nan)\b", question.prompt)]


def test_what_five_digits_do_not_tell_is_not_asked() -> None:
    p, q = Value(1.000001, label="p"), Value(1.000002, label="q")
    difference = p - q
    asked = every_question(difference * difference)
    assert not [question for question in asked if "What is v1?" in question.prompt]
    assert [question for question in asked if "What is L?" in question.prompt]


def test_long_sums_are_not_asked_about() -> None:
    total = functional.sum([Value(0.1 * i) for i in range(1, 10)])
    assert [question.kind for question in every_question(total * 2)] == ["forward", "backward"]
    assert len(every_question(functional.sum([Value(0.1 * i) for i in range(1, 9)]))) == 9


@pytest.mark.parametrize(
    ("given_", "n", "error", "says"),
    [
        (graph(), 7, ValueError, "this graph has 6 steps to ask about, not 7"),
        (Value(2.0), 1, ValueError, "this graph has 0 steps to ask about, not 1"),
        (graph(), 0, ValueError, "n must be a whole number of at least 1, not 0"),
        (graph(), 2.5, ValueError, "n must be a whole number of at least 1, not 2.5"),
        (3.0, 1, TypeError, "questions() takes a Value, not 3.0"),
    ],
)
def test_what_cannot_be_asked(given_: Any, n: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=re.escape(says)):
        questions(given_, n)


# ---- right and wrong answers


def question_about(text: str, root: Value) -> Question:
    (found,) = [question for question in every_question(root) if text in question.prompt]
    return found


def test_a_hint_for_each_mistake() -> None:
    # Upstream 0.5, local -3; 0.25 was there before: 0.25 + 0.5 * -3 = -1.25.
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    v = a * b
    v.label = "v"
    question = question_about("from v to a?", v * 0.5 + a * 0.25)
    assert "v.grad is 0.5, and a.grad is 0.25 so far" in question.prompt
    assert question.answer == -1.25
    assert question.is_right(-1.25)
    assert question.hint(-1.25) == ""
    for given_, kind in [
        (-1.5, "other path"),
        (-3.0, "upstream"),
        (-2.75, "upstream, added"),
        (0.5, "local"),
        (0.75, "local, added"),
        (1.25, "sign"),
        (1.75, "subtracted"),
        (1.25 + 0.001, "sign"),
        (99.0, "backward"),
        (math.nan, "backward"),
        (math.inf, "backward"),
    ]:
        assert not question.is_right(given_)
        assert question.hint(given_) == HINTS[kind], given_


def test_the_hint_for_another_operands_derivative() -> None:
    question = question_about("to b?", Value(2.0, label="a") * Value(-3.0, label="b") * 0.25)
    assert question.answer == 0.5
    assert question.hint(-0.75) == HINTS["operand"]


def test_hints_on_the_way_forward() -> None:
    question = question_about("What is L?", graph())
    assert question.hint(4.0) == HINTS["sign"]
    assert question.hint(5.0) == HINTS["forward"]


@pytest.mark.parametrize("off", [0.0, 0.009, -0.009])
def test_two_digits_are_enough(off: float) -> None:
    question = question_about("What is L?", graph())
    assert question.is_right(-4.0 * (1 + off))
    assert not question.is_right(-4.0 * 1.011)


def test_zero_is_right_or_wrong() -> None:
    question = question_about("from L to a?", Value(-1.0, label="a").relu())
    assert question.answer == 0.0
    assert question.is_right(0.0)
    assert not question.is_right(0.001)
    assert question.hint(1.0) == HINTS["local"]


def test_an_infinite_mistake_is_not_every_mistake() -> None:
    a, b = Value(0.0, label="a"), Value(0.5, label="b")
    question = question_about("to b?", a**b)  # by a, the derivative is infinite
    assert ("operand", math.inf) in question.mistakes
    assert question.hint(7.0) == HINTS["backward"]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_answer_itself_is_right(number: float) -> None:
    question = Question("?", number, "forward", [])
    assert question.is_right(number)
    assert question.hint(number) == ""


# ---- hints say only what is true


def test_every_mistake_gets_its_hint() -> None:
    """On random graphs, wherever no other mistake gives the same number."""
    seen: dict[str, int] = {}

    @given(LEAVES, STEPS)
    def check(numbers: list[float], steps: Any) -> None:
        root = build([Value(x) for x in numbers], steps[:8], ours)
        assert_hints_are_true(root, lambda i, question, number: question.hint(number), seen)

    check()
    assert seen.keys() == {*PREDICTED, "operand"}
    assert min(seen.values()) > 50


def test_a_number_of_another_size_is_not_called_the_right_size() -> None:
    """-10 + 35 is 25; to subtract 35 gives -45."""
    numbers = backward_mistakes(-10.0, 25.0, 5.0, 7.0)
    question = Question("?", 25.0, "backward", [*zip(BACKWARD_HINTS, numbers)])
    assert question.hint(-45.0) == HINTS["subtracted"]
    assert question.hint(-25.0) == HINTS["sign"]
