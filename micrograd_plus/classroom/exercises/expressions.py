"""Random expressions on which a class `Value` is tested, and the simplest of those that fail.

>>> shared = Expression((2.0, -3.0), (("*", (0, 1)), ("+", (2, 0))))
>>> print(shared)
(a * b) + a at a = 2, b = -3
>>> shared.build(Value)[-1].data
-4.0
"""

from __future__ import annotations

import math
import operator
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from ...engine import Value
from .exercise import ValueClass

BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
}
"""The operators of two operands; the second of `**` is always a plain number."""

METHODS = {
    "+": "__add__", "-": "__sub__", "*": "__mul__", "/": "__truediv__", "**": "__pow__",
    "neg": "__neg__",
}  # fmt: skip
"""The method that Python calls for each operator."""

REFLECTED = {"+": "__radd__", "-": "__rsub__", "*": "__rmul__", "/": "__rtruediv__"}
"""The same for an operator with a plain number on its left."""

_RANDOM = 25  # so many random expressions, in addition to those with one or two steps
_MOST_STEPS = 6
_NUMBERS = [x / 2 for x in range(-6, 7) if x]
_LARGEST = 1000.0  # of a number on the way: tanh of more is 1 in all digits
_SIMPLE = (2.0, -3.0, 0.5, 3.0, 1.0, -1.0, -2.0)  # numbers, those that are preferred first
_LEAVES = "abcdefghijklmnop"
_INNER = "uvwxyz"

Operand = int | float
"""An int is a place among the nodes; a float is a plain number."""


class Expression(NamedTuple):
    """An expression with shared parts: leaves, and steps that each make a node of earlier ones.

    numbers: those of the leaves, which are the first nodes.
    steps: the op and the operands of each further node; the last is the root.
    """

    numbers: tuple[float, ...]
    steps: tuple[tuple[str, tuple[Operand, ...]], ...]

    @classmethod
    def from_plain(cls, numbers: Sequence[float], steps: Sequence[Any]) -> Expression:
        """From nested lists, as JSON gives them."""
        return cls(tuple(numbers), tuple((op, tuple(operands)) for op, operands in steps))

    def build(self, value_class: Callable[[float], Any]) -> list[Any]:
        """All nodes, made by this class; the last is the root."""
        return self.build_on([value_class(number) for number in self.numbers])

    def build_on(self, leaves: Sequence[Any]) -> list[Any]:
        """All nodes, made from these leaves."""
        nodes = list(leaves)
        for op, operands in self.steps:
            nodes.append(apply(op, [nodes[x] if isinstance(x, int) else x for x in operands]))
        return nodes

    def names(self) -> list[str]:
        """A name for each leaf, and for each step its formula."""
        names = self.letters()[: len(self.numbers)]
        for op, operands in self.steps:
            names.append(self._written(op, operands, names))
        return names

    def letters(self) -> list[str]:
        """A letter for each leaf, and for each step that is used more than once; else nothing."""
        inner, shared = iter(_INNER), self.shared_steps
        steps = range(len(self.numbers), len(self.numbers) + len(self.steps))
        return [*_LEAVES[: len(self.numbers)], *[next(inner) if n in shared else "" for n in steps]]

    @property
    def uses(self) -> Counter[int]:
        """How often each node is used as an operand."""
        return Counter(x for _, operands in self.steps for x in operands if isinstance(x, int))

    @property
    def shared_steps(self) -> list[int]:
        """The computed nodes that are used more than once."""
        return [n for n, count in self.uses.items() if count > 1 and n >= len(self.numbers)]

    def __str__(self) -> str:
        letters = self.letters()
        texts = letters[: len(self.numbers)]
        definitions = ""
        for (op, operands), letter in zip(self.steps, letters[len(texts) :]):
            text = self._written(op, operands, texts)
            texts.append(letter or text)
            definitions += f"{letter} = {text}; " * bool(letter)
        at = ", ".join(f"{name} = {number:g}" for name, number in zip(letters, self.numbers))
        return f"{definitions}{texts[-1]} at {at}"

    @staticmethod
    def _written(op: str, operands: Sequence[Operand], texts: Sequence[str]) -> str:
        written = [texts[x] if isinstance(x, int) else f"{x:g}" for x in operands]
        bracketed = [f"({text})" if " " in text or "-" in text[:1] else text for text in written]
        if op in BINARY:
            return f"{bracketed[0]} {op} {bracketed[1]}"
        return f"-{bracketed[0]}" if op == "neg" else f"{bracketed[0]}.{op}()"


def apply(op: str, operands: Sequence[Any]) -> Any:
    """The result of an op, as a student's code computes it."""
    if op in BINARY:
        return BINARY[op](*operands)
    (operand,) = operands
    return -operand if op == "neg" else getattr(operand, op)()


def expressions(test: ValueClass, seed: int) -> list[Expression]:
    """The expressions of this seed: each op alone, each op after each other, and random ones."""
    generator = random.Random(seed)
    alone = [
        _fair(partial(_alone, op, xs), generator) for op in test.ops for xs in _forms(op, test)
    ]
    chains = [
        _fair(partial(_chain, first, then), generator) for then in test.ops for first in test.ops
    ]
    return alone + chains + [_fair(partial(_random, test), generator) for _ in range(_RANDOM)]


def _fair(make: Callable[[random.Random], Expression], generator: random.Random) -> Expression:
    while not is_fair(made := make(generator)):
        pass
    return made


def _forms(op: str, test: ValueClass) -> list[tuple[Operand, ...]]:
    """The operands of an op: two leaves, the same leaf twice, and plain numbers."""
    if op == "**":
        return [(0, 2.0), (0, 3.0)]
    if op not in BINARY:
        return [(0,)]
    return [(0, 1), (0, 0), *[(0, 2.0)] * test.numbers, *[(2.0, 0)] * test.reflected]


def _alone(op: str, operands: tuple[Operand, ...], generator: random.Random) -> Expression:
    leaves = len({x for x in operands if isinstance(x, int)})
    return Expression(_numbers(leaves, generator), ((op, operands),))


def _chain(first: str, then: str, generator: random.Random) -> Expression:
    """One op after the other, without a value that is used twice."""
    leaves = 3  # those that are not needed are left out
    steps = ((first, _operands(first, 0, 1)), (then, _operands(then, leaves, 2)))
    return _pruned(Expression(_numbers(leaves, generator), steps))


def _operands(op: str, one: int, two: int) -> tuple[Operand, ...]:
    return (one, 2.0) if op == "**" else (one, two) if op in BINARY else (one,)


def _numbers(count: int, generator: random.Random) -> tuple[float, ...]:
    return tuple(generator.choice(_NUMBERS) for _ in range(count))


def _random(test: ValueClass, generator: random.Random) -> Expression:
    numbers = _numbers(generator.randint(1, 3), generator)
    steps: list[tuple[str, tuple[Operand, ...]]] = []
    for _ in range(generator.randint(2, _MOST_STEPS)):
        count = len(numbers) + len(steps)

        def node(count: int = count) -> Operand:  # mostly a recent one, often the same twice
            return max(generator.randrange(count), generator.randrange(count))

        op = generator.choice(test.ops)
        operands: tuple[Operand, ...] = (node(),)
        if op == "**":
            operands = (node(), generator.choice((2.0, 3.0)))
        elif op in BINARY:
            operands = (node(), node())
            plain = generator.choice(_NUMBERS)
            form = generator.randrange(6)
            if form == 0 and test.numbers:
                operands = (node(), plain)
            elif form == 1 and test.reflected:
                operands = (plain, node())
        steps.append((op, operands))
    return _pruned(Expression(numbers, tuple(steps)))


def is_fair(expression: Expression) -> bool:
    """Whether all its numbers are finite and moderate, and no op but + and - gets a 0.

    At 0 a function may have a kink, and a division has no result.
    """
    nodes = expression.build(Value)
    for op, operands in expression.steps:
        numbers = [nodes[x].data if isinstance(x, int) else x for x in operands]
        if op not in ("+", "-") and not all(numbers):
            return False
    return all(math.isfinite(node.data) and abs(node.data) <= _LARGEST for node in nodes)


def simplest(expression: Expression, fails: Callable[[Expression], bool]) -> Expression:
    """The simplest expression that still fails: no single simplification of it does."""
    found = True
    while found:
        found = False
        for simpler in simplifications(expression):
            if fails(simpler):
                expression, found = simpler, True
                break
    return expression


def simplifications(expression: Expression) -> Iterator[Expression]:
    """The fair expressions that are one simplification away."""
    for simpler in map(_pruned, _simpler(expression)):
        if size(simpler) < size(expression) and is_fair(simpler):
            yield simpler


def size(expression: Expression) -> tuple[int, int, int, int]:
    """How far an expression is from simple: steps, plain numbers, shared nodes, odd numbers."""
    operands = [x for _, operands in expression.steps for x in operands]
    plain = sum(isinstance(x, float) for x in operands)
    shared = sum(count - 1 for count in expression.uses.values())
    return len(expression.steps), plain, shared, sum(map(_oddness, *_placed(expression)))


def _placed(expression: Expression) -> tuple[Sequence[int], Sequence[float]]:
    return range(len(expression.numbers)), expression.numbers


def _oddness(place: int, number: float) -> int:
    """0 for the number that the leaf at this place has by preference."""
    order = [_SIMPLE[place % 3], *_SIMPLE]
    return order.index(number) if number in order else len(order)


def _simpler(expression: Expression) -> Iterator[Expression]:
    numbers, steps = expression
    leaves = len(numbers)
    for end in range(len(steps)):  # an earlier step as the root
        yield Expression(numbers, steps[:end])
    for k, (_, operands) in enumerate(steps):  # without a step: one of its operands instead
        for instead in operands:
            if isinstance(instead, int):
                yield Expression(numbers, _without(steps, leaves + k, instead))
    for k, (op, operands) in enumerate(steps):  # a leaf of its own for an operand
        for position, operand in enumerate(operands):
            is_exponent = op == "**" and position == 1
            if not is_exponent and (isinstance(operand, float) or expression.uses[operand] > 1):
                number = (
                    operand if isinstance(operand, float) else expression.build(Value)[operand].data
                )
                yield _with_leaf(expression, k, position, number)
    for place in range(leaves):  # simpler numbers
        for number in (_SIMPLE[place % 3], *_SIMPLE):
            yield Expression((*numbers[:place], number, *numbers[place + 1 :]), steps)


def _without(
    steps: tuple[tuple[str, tuple[Operand, ...]], ...], node: int, instead: int
) -> tuple[tuple[str, tuple[Operand, ...]], ...]:
    """The steps with another node wherever this one was used; it is left unused."""
    return tuple(
        (op, tuple(instead if isinstance(x, int) and x == node else x for x in operands))
        for op, operands in steps
    )


def _with_leaf(expression: Expression, step: int, position: int, number: float) -> Expression:
    """With a new leaf as one operand of one step."""
    leaves = len(expression.numbers)
    steps = [
        (op, tuple(x + (x >= leaves) if isinstance(x, int) else x for x in operands))
        for op, operands in expression.steps
    ]
    op, operands = steps[step]
    steps[step] = op, (*operands[:position], leaves, *operands[position + 1 :])
    return Expression((*expression.numbers, number), tuple(steps))


def _pruned(expression: Expression) -> Expression:
    """Without what the root does not use; the leaves in the order in which they are used."""
    numbers, steps = expression
    leaves = len(numbers)
    used: dict[int, None] = {}

    def visit(node: int) -> None:
        if node >= leaves:
            for x in steps[node - leaves][1]:
                if isinstance(x, int):
                    visit(x)
        used.setdefault(node)

    visit(leaves + len(steps) - 1 if steps else 0)
    order = [n for n in used if n < leaves] + [n for n in used if n >= leaves]
    place = {node: i for i, node in enumerate(order)}
    return Expression(
        tuple(numbers[n] for n in order if n < leaves),
        tuple(
            (op, tuple(place[x] if isinstance(x, int) else x for x in operands))
            for op, operands in (steps[n - leaves] for n in order if n >= leaves)
        ),
    )
