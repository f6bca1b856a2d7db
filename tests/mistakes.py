"""What a student writes who makes a certain mistake, and whether the hints about it are true."""

from __future__ import annotations

import math
from collections.abc import Callable

from micrograd_plus.classroom.questions import HINTS, Question, mistakes
from micrograd_plus.classroom.tape import tape
from micrograd_plus.engine import Value

Hinted = Callable[[int, Question, float], str]

PREDICTED: dict[
    str, Callable[[float, float, float], float]
] = {  # what a student writes who makes the mistake
    "sign": lambda before, upstream, local: -(before + upstream * local),
    "subtracted": lambda before, upstream, local: before - upstream * local,
    "other path": lambda before, upstream, local: upstream * local,
    "upstream": lambda before, upstream, local: local,
    "upstream, added": lambda before, upstream, local: before + local,
    "local": lambda before, upstream, local: upstream,
    "local, added": lambda before, upstream, local: before + upstream,
}


def steps_and_mistakes(root: Value) -> list[tuple[Question, dict[str, list[float]]]]:
    """Each question of a graph, with what each mistake leads to, from the engine's numbers."""
    found = []
    for step in tape(root):
        made = step.user or step.value
        if step.kind == "seed" or made.op is None:
            continue
        question = Question("?", step.after, step.kind, mistakes(step))
        wrong = {"sign": [-step.after]}
        if step.kind == "backward":
            numbers = (step.before, step.upstream, step.local)
            wrong = {kind: [formula(*numbers)] for kind, formula in PREDICTED.items()}
            slopes = made.op.partials(made.data, *[operand.data for operand in made.operands])
            others = [slope for k, slope in enumerate(slopes) if k != step.position]
            wrong["operand"] = [step.before + step.upstream * slope for slope in others]
        found.append((question, wrong))
    return found


def apart(x: float, y: float) -> bool:
    return not math.isclose(x, y, rel_tol=0.03, abs_tol=1e-6)


def assert_hints_are_true(root: Value, hinted: Hinted, seen: dict[str, int]) -> None:
    """hinted: what is said to a number that is given as the answer to question number i."""
    for i, (question, wrong) in enumerate(steps_and_mistakes(root)):
        for kind, numbers in wrong.items():
            for number in filter(math.isfinite, numbers):
                if not apart(number, question.answer):
                    continue
                hint = hinted(i, question, number)
                others = [x for k, row in wrong.items() if k != kind for x in row]
                if all(apart(number, other) for other in others):
                    assert hint == HINTS[kind], (kind, number, question)
                    seen[kind] = seen.get(kind, 0) + 1
                if hint == HINTS["sign"]:
                    assert math.isclose(abs(number), abs(question.answer), rel_tol=0.02)
                    assert number * question.answer < 0
        given_ = 3.7 * abs(question.answer) + 1234.5
        if all(apart(given_, x) for row in wrong.values() for x in row):
            assert hinted(i, question, given_) == HINTS[question.kind]
