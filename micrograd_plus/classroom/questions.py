"""Questions about the forward and backward pass of a graph, for paper or for other tools.

>>> from micrograd_plus.engine import Value
>>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
>>> question = questions(a * b + a, n=1, seed=3)[0]
>>> print(question.prompt)
L = v1 + a, with v1 = -6 and a = 2. What is L?
>>> question.is_right(-4.0), question.hint(4.0)
(True, 'The size is right, but the sign is wrong.')

The explorer's page asks the same questions, step by step, and gives the same hints.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from ..engine import Constant, Value, topological_order
from ..formulas.names import names_of
from ..formulas.shared import Shared
from ..formulas.symbolic import Rules, opens
from ..formulas.writers import Writer
from ..ops import Op
from ..support.checks import whole_number
from ..support.rich import mimebundle
from ..symbols import Symbol, equal
from .tape import BACKWARD, FORWARD, SEED, Step, tape

TOLERANCE = 0.01  # relative to the answer, so that two correct digits are enough
_MOST_OPERANDS = 8
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")

HINTS = {
    "sign": "The size is right, but the sign is wrong.",
    "subtracted": "That subtracts what this step contributes: add it to the gradient so far.",
    "other path": "That is only what this step contributes: add it to the gradient so far.",
    "upstream": "That is only the local derivative: multiply it by the upstream gradient.",
    "upstream, added": "That adds only the local derivative: multiply it by the upstream gradient "
    "first.",
    "local": "That is only the upstream gradient: multiply it by the local derivative.",
    "local, added": "That adds only the upstream gradient: multiply it by the local derivative "
    "first.",
    "operand": "That uses the derivative with respect to another operand.",
    "forward": "Put the numbers of the operands into the formula.",
    "backward": "Multiply upstream gradient and local derivative, and add the gradient so far.",
}
"""The hint for each kind of mistake."""


@dataclass(frozen=True, repr=False)
class Question:
    """A question whose answer is one number of a graph.

    Its repr does not give the answer away.

    prompt: the question, with all numbers that the answer needs.
    answer: the number. kind: "forward" for a value, "backward" for a gradient.
    mistakes: likely mistakes, as a key of `HINTS` and the number that each mistake leads to.
    solution: the way to the answer in one line, with all numbers.

    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> question = questions(a * b + a, n=1, seed=3)[0]
    >>> question.prompt
    'L = v1 + a, with v1 = -6 and a = 2. What is L?'
    >>> question.is_right(-4.0), question.hint(4.0)
    (True, 'The size is right, but the sign is wrong.')
    """

    prompt: str
    answer: float
    kind: str
    mistakes: Sequence[tuple[str, float]]
    solution: str = ""

    def __repr__(self) -> str:
        return f"Question({self.prompt!r})"

    _repr_mimebundle_ = mimebundle

    def is_right(self, given: float) -> bool:
        """Whether `given` is the answer, to within 1 %."""
        return bool(is_near(given, self.answer))

    def hint(self, given: float) -> str:
        """Returns a hint for the answer `given`, or an empty string if it is right."""
        if self.is_right(given):
            return ""
        made = (kind for kind, number in self.mistakes if is_near(given, number))
        return HINTS[next(made, self.kind)]


is_near = Shared(
    "isNear",
    lambda given, number: (
        equal(number - number, 0)  # it is finite
        & (abs(given - number) <= TOLERANCE * abs(number) + 1e-9)
    ),
)
"""Whether a given number is the right one, to within 1 %; False if that is inf or nan."""


def questions(root: Value, n: int = 5, seed: int | None = None) -> list[Question]:
    """Asks about `n` steps of the forward and backward pass of a graph, in order.

    Steps that cannot be done on paper are left out: steps with inf or nan, with more than eight
    operands, or with numbers whose first five digits do not lead to the answer.

    seed: the same seed gives the same questions. ValueError if the graph has fewer than n steps.

    >>> from micrograd_plus.engine import Value
    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> questions(a * b + a, n=1, seed=3)
    [Question('L = v1 + a, with v1 = -6 and a = 2. What is L?')]
    """
    if not isinstance(root, Value):
        raise TypeError(f"questions() takes a Value, not {root!r}")
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
    """Returns the value whose formula the step uses."""
    return step.user or step.value


def _is_fair(step: Step, op: Op) -> bool:
    """Whether the answer follows from the rounded numbers that the prompt shows."""
    numbers = [operand.data for operand in _made(step).operands]
    *numbers, before, upstream = (float(_shown(x)) for x in (*numbers, step.before, step.upstream))
    if len(numbers) > _MOST_OPERANDS or not all(map(math.isfinite, (*numbers, before, upstream))):
        return False
    answer = op.forward(*numbers)
    if step.kind == BACKWARD:
        answer = before + upstream * op.partials(answer, *numbers)[step.position]
    return bool(is_near(answer, step.after))


def _question(step: Step, op: Op, names: Mapping[Value, str]) -> Question:
    made, name = names[_made(step)], names[step.value]
    prompt = _relation(_made(step), op, names)
    if step.kind == FORWARD:
        prompt += f" What is {name}?"
    else:
        prompt += (
            f" In the backward pass, {made}.grad is {_shown(step.upstream)}, and {name}.grad is "
            f"{_shown(step.before)} so far. What is {name}.grad after the step from {made} to "
            f"{_which(step, op)}{name}?"
        )
    return Question(prompt, step.after, step.kind, mistakes(step), _solution(step, op, name))


def _solution(step: Step, op: Op, name: str) -> str:
    if step.kind == FORWARD:
        numbers = [Symbol(_in_brackets(operand.data)) for operand in step.value.operands]
        return f"{name} = {_written(op, numbers)} = {_shown(step.after)}"
    flow = f"{_in_brackets(step.upstream)} * {_in_brackets(step.local)}"
    return f"{name}.grad = {_shown(step.before)} + {flow} = {_shown(step.after)}"


def _in_brackets(number: float) -> str:
    """A number as it is written after a sign."""
    return f"({_shown(number)})" if number < 0 else _shown(number)


def _relation(made: Value, op: Op, names: Mapping[Value, str]) -> str:
    """Writes the formula of a value, its numbers, and the meaning of an op that is only named."""
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
    """Says which occurrence of the operand is meant, if the formula contains several."""
    operands = _made(step).operands
    if operands.count(step.value) == 1:
        return ""
    # The formula may have another order than the operands: dot([a, b], [c, d]) is a * c + b * d.
    written = _written(op, [Symbol(f"#{k}") for k in range(len(operands))])
    order = [int(k) for k in re.findall(r"#(\d+)", written)]
    same = [k for k in order if operands[k] is step.value]
    return f"the {_ORDINALS[same.index(step.position)]} "


def _written(op: Op, operands: Sequence[Symbol | float]) -> str:
    """Writes the op's formula with these operands."""
    return Writer().write(_rules(op).value(operands))


_rules = cache(Rules)


def _shown(number: float) -> str:
    return Writer().write(number)


BACKWARD_HINTS = (
    "other path",
    "upstream",
    "upstream, added",
    "local",
    "local, added",
    "sign",
    "subtracted",
)
"""The hint for each number of `backward_mistakes`."""

backward_mistakes = Shared(
    "backwardMistakes",
    lambda before, after, upstream, local: (
        after - before,
        local,
        before + local,
        upstream,
        before + upstream,
        -after,
        2 * before - after,
    ),
)
operand_mistake = Shared(
    "operandMistake", lambda before, upstream, other: before + upstream * other
)


def mistakes(step: Step) -> list[tuple[str, float]]:
    """Returns the likely mistakes at a step, each with the number that it leads to."""
    if step.kind == FORWARD:
        return [("sign", -step.after)]
    numbers = backward_mistakes(step.before, step.after, step.upstream, step.local)
    others = [operand_mistake(step.before, step.upstream, other) for other in step.others]
    return [*zip(BACKWARD_HINTS, numbers), *[("operand", number) for number in others]]
