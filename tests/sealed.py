"""Values whose numbers nobody may read: they show that recording needs none."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from micrograd_plus.engine import Operand, Value, apply
from micrograd_plus.ops import TABLE, Op


class Sealed(Value):
    """A Value that keeps its number from the code under test; `reveal` is for the tests."""

    __slots__ = ("number",)

    def __init__(self, number: float) -> None:
        self.number = number
        self.grad, self.label, self.op, self.operands, self.scope = 0.0, "", None, (), None

    @property
    def data(self) -> float:  # type: ignore[override]
        raise AssertionError("the number of a recorded value was read")

    def __bool__(self) -> bool:
        raise AssertionError("a recorded value was taken for a bool")

    def __lt__(self, other: Operand) -> Any:
        return apply(TABLE["lt"], self, other)

    def __le__(self, other: Operand) -> Any:
        return apply(TABLE["le"], self, other)

    def __gt__(self, other: Operand) -> Any:
        return apply(TABLE["lt"], other, self)

    def __ge__(self, other: Operand) -> Any:
        return apply(TABLE["le"], other, self)


def reveal(x: Any) -> Any:
    """The numbers behind Values, in the nested lists in which they came."""
    if isinstance(x, (list, tuple)):
        return [reveal(item) for item in x]
    return x.number if isinstance(x, Sealed) else x.data


def sealed(x: Any) -> Any:
    """Nested lists of numbers as nested lists of Sealed."""
    return [sealed(item) for item in x] if isinstance(x, (list, tuple)) else Sealed(x)


class Computing:
    """A recorder that computes at once, behind the seals, and lists what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def reads_mode(self, module: Any) -> None:
        pass

    def scope_changed(self) -> None:
        pass

    def refuses(self, error: Exception) -> None:
        pass

    def node(self, op: Op, operands: tuple[Value, ...]) -> Value:
        self.asked.append((op.name, True))
        return self._computed(op, operands)

    def constant(self, op: Op, operands: tuple[Value, ...]) -> Value:
        self.asked.append((op.name, False))
        return self._computed(op, operands)

    def _computed(self, op: Op, operands: tuple[Value, ...]) -> Value:
        node = Sealed(op.forward(*[reveal(x) for x in operands]))
        node.op, node.operands = op, operands
        return node

    def call(self, function: Callable[..., Any], fixed: int, arguments: Any) -> Any:
        return function(*arguments)

    def call_each(self, function: Callable[..., Any], given: Any, calls: Any) -> Any:
        return [function(*given, *varying) for varying in calls]

    def random(self, generator: random.Random | None) -> Value:
        self.asked.append(("random", generator))
        return Sealed((generator or random).random())

    def pick(self, values: Any, index: Value) -> Any:
        self.asked.append(("pick", index))
        return values[reveal(index)]

    def require(self, value: Value, holds: Callable[[float], bool], message: str) -> None:
        self.asked.append(("require", value, holds(reveal(value)), message))
