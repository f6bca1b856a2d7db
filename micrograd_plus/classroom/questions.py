"""Questions about a graph's forward and backward pass, for paper or for any other tool.

>>> from micrograd_plus.engine import Value
>>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
>>> question = questions(a * b + a, n=1, seed=3)[0]
>>> print(question.prompt)
L = v1 + a, with v1 = -6 and a = 2. What is L?
>>> question.is_right(-4.0), question.hint(4.0)
(True, 'The size is right, the sign is not.')

The explorer's page asks the same of its reader, step by step, and gives the same hints.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..engine import Constant, Value, topological_order
from ..formulas.names import names_of
from ..formulas.symbolic import Rules, opens
from ..formulas.writers import Writer
from ..ops import Op
from ..support.checks import whole_number
from ..symbols import Symbol
from .tape import BACKWARD, FORWARD, SEED, Step, tape

TOLERANCE = 0.01  # of the answer: what a pocket calculator and two digits give is right
_MOST_OPERANDS = 8
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")

HINTS = {
    "sign": "The size is right, the sign is not.",
    "other path": "That is what arrives along this edge alone: add it to what was there before.",
    "upstream": "That is the local derivative alone: multiply it by the upstream gradient.",
    "local": "That is the upstream gradient unchanged: multiply it by the local derivative.",
    "operand": "That takes the derivative by another operand.",
    "forward": "Put the operands' numbers into the formula.",
    "backward": "Upstream gradient times local derivative, added to what was there before.",
}
"""What to say to a wrong answer, by the mistake that leads to it."""


@dataclass(frozen=True)
class Question:
    """One number of a graph to be found.

    prompt: the question, with all numbers that the answer needs.
    answer: the number. kind: "forward" for a value, "backward" for a gradient.
    mistakes: each likely mistake, a key of `HINTS`, and the number that it leads to.
    """

    prompt: str
    answer: float
    kind: str
    mistakes: Sequence[tuple[str, float]]

    def is_right(self, given: float) -> bool:
        """Whether `given` is the answer, to a hundredth."""
        return is_near(given, self.answer)

    def hint(self, given: float) -> str:
        """What to say to `given`; nothing if it is right."""
        if self.is_right(given):
            return ""
        made = (kind for kind, number in self.mistakes if is_near(given, number))
        return HINTS[next(made, self.kind)]


def is_near(given: float, number: float) -> bool:
    """Whether `given` is the number, to a hundredth; near inf and nan is nothing."""
    return math.isfinite(number) and abs(given - number) <= TOLERANCE * abs(number) + 1e-9


def questions(root: Value, n: int = 5, seed: int | None = None) -> list[Question]:
    """`n` of the steps of a graph's forward and backward pass, each as a question, in order.

    Steps that cannot be done on paper are left out: those with inf or nan, with more than eight
    operands, or with numbers whose first five digits do not lead to the answer.

    seed: the same seed asks the same questions. ValueError if the graph has fewer steps.
    """
    if not isinstance(root, Value):
        raise TypeError(f"questions are asked of a Value, not of {root!r}")
    n = whole_number("n", n)
    steps = [
        (step, op)
        for step in tape(root)
        if step.kind != SEED and (op := _made(step).op) and _is_fair(step, op)
    ]
    if n > len(steps):
        raise ValueError(f"this graph has {len(steps)} steps to ask about, not {n}")
    chosen = sorted(random.Random(seed).sample(range(len(steps)), n))
    names = names_of(topological_order(root))
    return [_question(*steps[i], names) for i in chosen]


def _made(step: Step) -> Value:
    """The value whose formula the step is about."""
    return step.user or step.value


def _is_fair(step: Step, op: Op) -> bool:
    """Whether the answer follows from the numbers as the prompt shows them."""
    numbers = [operand.data for operand in _made(step).operands]
    *numbers, before, upstream = (float(_shown(x)) for x in (*numbers, step.before, step.upstream))
    if len(numbers) > _MOST_OPERANDS or not all(map(math.isfinite, (*numbers, before, upstream))):
        return False
    answer = op.forward(*numbers)
    if step.kind == BACKWARD:
        answer = before + upstream * op.partials(answer, *numbers)[step.position]
    return is_near(answer, step.after)


def _question(step: Step, op: Op, names: Mapping[Value, str]) -> Question:
    made, name = names[_made(step)], names[step.value]
    prompt = _relation(_made(step), op, names)
    if step.kind == FORWARD:
        prompt += f" What is {name}?"
    else:
        prompt += (
            f" On the way back, {made}.grad is {_shown(step.upstream)}, and {name}.grad is "
            f"{_shown(step.before)} so far. What is {name}.grad after the step from {made} to "
            f"{_which(step, op)}{name}?"
        )
    return Question(prompt, step.after, step.kind, mistakes(step))


def _relation(made: Value, op: Op, names: Mapping[Value, str]) -> str:
    """How a value was made, with the operands' numbers, and what the op is if it is just named."""
    is_number = {x: isinstance(x, Constant) and not x.label for x in made.operands}
    operands = [x.data if is_number[x] else Symbol(names[x]) for x in made.operands]
    text = f"{names[made]} = {_written(op, operands)}"
    known = [f"{names[x]} = {_shown(x.data)}" for x in is_number if not is_number[x]]
    if known:
        *first, last = known
        text += f", with {', '.join(first)}{' and ' * bool(first)}{last}"
    if not opens(op):
        text += f"; {op.signature} is {op.doc or Writer().write(op.expression)}"
    return text + "."


def _which(step: Step, op: Op) -> str:
    """Which occurrence of the operand in the formula is meant, if there are several."""
    operands = _made(step).operands
    if operands.count(step.value) == 1:
        return ""
    # Not always in the order of the operands: dot([a, b], [c, d]) is written a * c + b * d.
    written = _written(op, [Symbol(f"#{k}") for k in range(len(operands))])
    order = [int(k) for k in re.findall(r"#(\d+)", written)]
    same = [k for k in order if operands[k] is step.value]
    return f"the {_ORDINALS[same.index(step.position)]} "


def _written(op: Op, operands: Sequence[Symbol | float]) -> str:
    """The op's formula over what stands for its operands."""
    return Writer().write(Rules(op).value(operands))


def _shown(number: float) -> str:
    return Writer().write(number)


def mistakes(step: Step) -> list[tuple[str, float]]:
    """What goes wrong at a step, and the number that comes of it."""
    if step.kind == FORWARD:
        return [("sign", -step.after)]
    return [
        ("other path", step.after - step.before),
        ("upstream", step.local),
        ("upstream", step.before + step.local),
        ("local", step.upstream),
        ("local", step.before + step.upstream),
        ("sign", -step.after),
        ("sign", 2 * step.before - step.after),
        *[("operand", step.before + step.upstream * local) for local in step.others],
    ]
