"""Check: does the function, called again with numbers, compute what was recorded?

A program replays what the function did once. If the function does something else the next time,
because it counts its calls or reads a clock, the program is wrong; so the first example is also
computed eagerly, and the two graphs are compared node by node.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

from ..engine import Constant, Value
from ..formulas.description import formula
from ..ops import TABLE
from ..support.nested import flatten, is_nested, plain
from .recording import Picked, Recording


def check(function: Callable[..., Any], recording: Recording, example: Sequence[Any]) -> None:
    """Calls `function` on one example, as numbers; ValueError if its graph is another one."""
    arguments = [_values(argument) for argument in example]
    states = {drawn.generator: _state(drawn.generator) for drawn in recording.randoms}
    numbers: dict[Value, float] = {}
    for leaf, value in zip(recording.inputs, flatten(arguments)):
        numbers[leaf] = value.data
    for drawn in recording.randoms:
        numbers[drawn] = (drawn.generator or random).random()
    _restore(states)
    try:
        returned = list(flatten(function(*arguments)))
    finally:
        _restore(states)
    if len(returned) != len(recording.outputs):
        raise ValueError(
            f"the compiled function returned {len(recording.outputs)} Values when it was "
            f"recorded, and {len(returned)} when it was called again"
        )
    _compute(recording, numbers)
    _compare(recording, numbers, returned)


class _Input(Constant):
    """A number of the example. Where the function wants an index, a token or a class, it is one."""

    __slots__ = ()

    def __index__(self) -> int:  # type: ignore[override]
        if not self.data.is_integer():
            raise TypeError(f"an index is a whole number, not {self.data:g}")
        return int(self.data)


def _values(argument: Any) -> Any:
    """An example's argument as nested lists of Values, which have every method of a Value."""
    argument = plain(argument)
    if is_nested([argument]):
        return [_values(item) for item in argument]
    return _Input(float(argument))  # bools, too


def _state(generator: random.Random | None) -> Any:
    return (generator or random).getstate()


def _restore(states: dict[random.Random | None, Any]) -> None:
    for generator, state in states.items():
        (generator or random).setstate(state)


def _compute(recording: Recording, numbers: dict[Value, float]) -> None:
    """The numbers of all recorded Values."""
    for value in recording.order:
        if value in numbers:
            continue
        if isinstance(value, Picked):
            index = int(numbers[value.operands[0]])
            numbers[value] = numbers[value.operands[1 + index]]
        elif value.op is None:
            numbers[value] = value.data
        else:
            numbers[value] = value.op.forward(*[numbers[operand] for operand in value.operands])


def _compare(recording: Recording, numbers: dict[Value, float], returned: Sequence[Value]) -> None:
    """Walks both graphs from their outputs down; the first difference is an error."""
    seen: dict[Value, Value] = {}
    stack = list(zip(recording.outputs, returned))
    differences: dict[Value, Value] = {}
    where = TABLE["where"]
    while stack:
        recorded, eager = stack.pop()
        if recorded is eager or seen.get(recorded) is eager:
            continue
        seen[recorded] = eager
        op = recorded.op
        if isinstance(eager, Constant) or isinstance(recorded, Constant):
            # computed from numbers alone, or without a graph
            if not _same(numbers[recorded], eager.data):
                differences[recorded] = eager
        elif op is not None and op is not where and op is eager.op:
            if len(recorded.operands) == len(eager.operands):
                stack += zip(recorded.operands, eager.operands)
            else:
                differences[recorded] = eager
        elif isinstance(recorded, Picked):
            index = int(numbers[recorded.operands[0]])
            stack.append((recorded.operands[1 + index], eager))
        elif op is where and not (eager.op is where and _same_kind(recorded, eager)):
            chosen = 1 if numbers[recorded.operands[0]] != 0 else 2
            stack.append((recorded.operands[chosen], eager))
        elif op is where:
            stack += zip(recorded.operands, eager.operands)
        else:
            differences[recorded] = eager  # another op, or another parameter
    for value in recording.order:
        if value in differences:
            raise ValueError(
                "the compiled function does not do the same every time: it was recorded with "
                f"{_described(value, numbers[value])}, and called again it had "
                f"{_described(differences[value], differences[value].data)} there; a choice that "
                "changes belongs into mp.where or mp.pick, a random number into mp.rand"
            )


def _same_kind(recorded: Value, eager: Value) -> bool:
    """Whether a choice was a Value in eager code too, and not a bool that has chosen already."""
    return recorded.operands[0].op is eager.operands[0].op


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-12)


def _described(value: Value, number: float) -> str:
    if isinstance(value, Constant):
        return f"the number {number:g}"
    if value.op is None:
        return value.label or f"a leaf of {number:g}"
    return f"{formula(value, 1)} = {number:g}"
