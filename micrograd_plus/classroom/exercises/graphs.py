"""Graphs for exercises: random ones of sums and products, and the gradient of an expression.

>>> gradient("a*b + a", "a", a=2, b=-3)
-2.0
>>> steps = [("+", "a", "b"), ("*", "c", "a")]
>>> in_words(steps)
'c = a + b, d = c * a'
>>> leaves, root = built(steps)
>>> root.label, [leaf.label for leaf in leaves]
('d', ['a', 'b'])
"""

from __future__ import annotations

import random
import string

from ...engine import Value, topological_order
from ...formulas.parse import parse

Steps = list[tuple[str, str, str]]
"""For each computed value its operator and the labels of its operands; c is the first."""

_LEAVES = 2


def gradient(text: str, by: str, **numbers: float) -> float:
    """The gradient of the expression with respect to the leaf `by`."""
    root = parse(text, **numbers)
    root.backward()
    return next(value.grad for value in topological_order(root) if value.label == by)


def random_steps(generator: random.Random) -> Steps:
    """Three to five steps from the leaves a and b. The first step is used twice at least."""
    steps = [("+", "a", "b"), (generator.choice("+*"), "c", generator.choice("abc"))]
    for _ in range(generator.randint(0, 2)):
        names = string.ascii_lowercase[: _LEAVES + len(steps)]
        steps.append((generator.choice("+*"), names[-1], generator.choice(names)))
    operands = [root_of(steps), "c"]
    generator.shuffle(operands)
    return [*steps, (generator.choice("+*"), operands[0], operands[1])]


def built(steps: Steps) -> tuple[list[Value], Value]:
    """The leaves a = 0.5 and b = -2, and the value of the last step."""
    leaves = [Value(0.5, label="a"), Value(-2.0, label="b")]
    values = {leaf.label: leaf for leaf in leaves}
    for label, (operator, left, right) in zip(_labels(steps), steps):
        x, y = values[left], values[right]
        values[label] = x + y if operator == "+" else x * y
        values[label].label = label
    return leaves, values[label]


def root_of(steps: Steps) -> str:
    """The label of the last step's value."""
    return _labels(steps)[-1]


def in_words(steps: Steps) -> str:
    """The steps as assignments."""
    return ", ".join(
        f"{label} = {left} {operator} {right}"
        for label, (operator, left, right) in zip(_labels(steps), steps)
    )


def _labels(steps: Steps) -> str:
    return string.ascii_lowercase[_LEAVES : _LEAVES + len(steps)]
