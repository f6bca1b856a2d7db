"""Exams: the same tasks for every student, with other numbers, small enough for pencil and paper.

>>> exam = make_exam(["Ada", "Alan"], seed=1)
>>> [len(paper.questions) for paper in exam.papers]
[4, 4]
>>> print(exam.papers[0].questions[2].solution)
b.grad = -3 + 1 * 4 = 1
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..engine import Constant, Value, topological_order
from ..formulas.parse import parse
from .questions import Question, questions
from .tape import SEED, tape

_LEAVES = (-5, -4, -3, -2, 2, 3, 4, 5)  # a factor of 1 would hide that it was forgotten
_MOST_TRIES = 300

_PICTURES = (
    ("A value that is used twice", ("a*b + a*c", "(a + b)*(b + c)", "(a + b)*a - c")),
    ("A neuron", ("relu(w*x + b)*v", "(w*x + b - y)**2")),
)
"""For each task with a picture its title, and the expressions of which the seed takes one."""

_QUESTIONS = (
    (("a*b - c", 1), ("a - b*c", 1), ("(a - b)**2", 1)),  # the value of L
    (("(a*b - c)**2", 5), ("(a*b - c)**2", 6)),  # a gradient with an upstream that is not 1
    (("a*b + a", 4), ("a*b + b*c", 8)),  # a gradient that a path has reached before
    (("relu(a*b + c)*d", 6), ("(a*b - c)**2", 3)),  # the slope of a function
)
"""For each question the expressions of which the seed takes one, and the step that is asked for."""


@dataclass(frozen=True)
class Paper:
    """What one student gets.

    graphs: one for each task with a picture, after `backward()`; of the same form for all students.
    questions: each about another graph, so that none gives away the answer to another.
    """

    name: str
    graphs: list[Value]
    questions: list[Question]


@dataclass(frozen=True)
class Exam:
    """The papers of a class.

    titles: of the tasks with a picture. points: of each of them, one for each number to fill in.
    """

    titles: list[str]
    points: list[int]
    papers: list[Paper]


def make_exam(names: Sequence[str], seed: int) -> Exam:
    """An exam for these students; the same seed gives the same exam.

    Students who are added at the end change nothing for the others.

    In every graph all numbers of both passes have at most two digits, and none is 0.
    """
    generator = random.Random(seed)
    pictures = [_Family(generator.choice(forms), generator) for _, forms in _PICTURES]
    asked = [generator.choice(forms) for forms in _QUESTIONS]
    families = [(_Family(form, generator), step) for form, step in asked]
    papers = [
        Paper(
            name,
            [family.graph() for family in pictures],
            [every_question(family.graph())[step] for family, step in families],
        )
        for name in names
    ]
    points = [_blanks(graph) for graph in papers[0].graphs]
    return Exam([title for title, _ in _PICTURES], points, papers)


class _Family:
    """Graphs of the same form with different numbers."""

    def __init__(self, form: str, generator: random.Random) -> None:
        self.form = form
        self.generator = generator
        self.names = sorted({name for name in re.findall(r"[a-z]\w*", form) if name != "relu"})
        self.given: set[tuple[int, ...]] = set()

    def graph(self) -> Value:
        """The next graph, after `backward()`; numbers come again when all have been given."""
        for _ in range(_MOST_TRIES):
            numbers = tuple(self.generator.choice(_LEAVES) for _ in self.names)
            root = parse(self.form, dict(zip(self.names, numbers)))
            if numbers not in self.given and _is_easy(root):
                self.given.add(numbers)
                root.label = "L"
                root.backward()
                return root
        self.given.clear()
        return self.graph()


def _is_easy(root: Value) -> bool:
    """Whether all numbers of both passes have at most two digits, and none is 0."""
    return all(0 < abs(step.after) < 100 for step in tape(root))


def every_question(root: Value) -> list[Question]:
    """A question for each step of both passes, in order."""
    return questions(root, sum(step.kind != SEED for step in tape(root)))


def _blanks(root: Value) -> int:
    """How many numbers there are to fill in: of computed values the data, and all gradients."""
    values = [value for value in topological_order(root) if not isinstance(value, Constant)]
    return len(values) + sum(value.op is not None for value in values)
