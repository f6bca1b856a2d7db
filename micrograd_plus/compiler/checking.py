"""Check: does the function, called again, do what was recorded?

A program replays what the function did once. If the function does something else the next time,
because it counts its calls or reads a clock, the program is wrong; so the function is recorded a
second time, and the two graphs are compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..engine import Constant, Value
from ..formulas.description import formula
from ..support.nested import flatten, plain
from .recording import Input, Picked, Random, Recorded, Recording, Shape, record_again


def check(
    function: Callable[..., Any],
    recording: Recording,
    shapes: Sequence[Shape],
    example: Sequence[Any],
) -> None:
    """Calls `function` again; ValueError if it does something else, with numbers of `example`."""
    again = record_again(function, shapes, recording)
    if len(again.outputs) != len(recording.outputs):
        raise ValueError(
            f"the compiled function returned {len(recording.outputs)} Values when it was "
            f"recorded, and {len(again.outputs)} when it was called again"
        )
    if not _is_same_graph(recording, again):
        _compare(recording, again, [float(x) for x in flatten(plain(list(map(plain, example))))])


def _is_same_graph(a: Recording, b: Recording) -> bool:
    """Whether both did the same in the same order: a fast comparison of all nodes at once."""
    one, other = a.graph, b.graph
    rows = [(g.nodes.kinds, g.nodes.tags, g.nodes.first, g.nodes.operands) for g in (one, other)]
    return (
        rows[0] == rows[1]
        and one.outputs == other.outputs
        and one.ops == other.ops
        and one.parameters == other.parameters
        and one.generators == other.generators
        and len(one.numbers) == len(other.numbers)
        and all(map(_same, one.numbers, other.numbers))
    )


def _compare(recording: Recording, again: Recording, inputs: Sequence[float]) -> None:
    """Walks both graphs from their outputs down; ValueError with the first difference."""
    pairs = list(zip(recording.outputs, again.outputs))
    known = set(pairs)
    differences: dict[Value, Value] = {}
    for one, other in pairs:  # which grows
        if _is_same_node(one, other, recording, again):
            new = dict.fromkeys(zip(one.operands, other.operands)).keys() - known
            known |= new
            pairs += new
        else:
            differences[one] = other
    for value in recording.order:
        if value in differences:
            other = differences[value]
            raise ValueError(
                "the compiled function does not do the same every time: it was recorded with "
                f"{_described(value, _numbers(recording, inputs))}, and called again it had "
                f"{_described(other, _numbers(again, inputs))} there; a choice that "
                "changes belongs into mp.where or mp.pick, a random number into mp.rand"
            )


def _is_same_node(one: Value, other: Value, recording: Recording, again: Recording) -> bool:
    """Whether two nodes are the same leaf, or the same op of as many operands."""
    if isinstance(one, Constant) and isinstance(other, Constant):
        return _same(one.data, other.data)
    if isinstance(one, Input) and isinstance(other, Input):
        return one.position == other.position
    if isinstance(one, Random) and isinstance(other, Random):
        return recording.randoms.index(one) == again.randoms.index(other)
    if not (isinstance(one, Recorded) and isinstance(other, Recorded)):
        return one is other
    return (
        type(one) is type(other)
        and one.op is other.op
        and one.keeps_graph == other.keeps_graph
        and len(one.operands) == len(other.operands)
    )


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-12)


def _numbers(recording: Recording, inputs: Sequence[float]) -> dict[Value, float]:
    """The numbers of all Values for these inputs."""
    numbers: dict[Value, float] = {}
    for value in recording.order:
        operands = [numbers[operand] for operand in value.operands]
        if isinstance(value, Input):
            numbers[value] = inputs[value.position]
        elif isinstance(value, Random):
            numbers[value] = 0.5  # as good as any other in [0, 1)
        elif isinstance(value, Picked):
            numbers[value] = operands[1 + int(operands[0])]
        elif value.op is None:
            numbers[value] = value.data
        else:
            numbers[value] = value.op.forward(*operands)
    return numbers


def _described(value: Value, numbers: dict[Value, float]) -> str:
    if isinstance(value, Constant):
        return f"the number {value.data:g}"
    if value.op is None:
        return value.label or f"a leaf of {numbers[value]:g}"
    return f"{formula(value, 1)} = {numbers[value]:g}"
