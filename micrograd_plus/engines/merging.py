"""Fewer and larger instructions: those beside each other that do the same become one.

The compiler's own machine is as fast with several small instructions as with one large one; JAX
takes some microseconds for each. Causal attention is recorded as sums of 1, 2, 3, … numbers, each
length an instruction of its own. As one instruction the shorter rows are filled up with numbers
that change nothing: the 0 or the -inf of `PADDING`.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..compiler.layout import Program
from ..compiler.tape import BY_ELEMENT, DOT, PICK, REDUCE, Instruction, Pattern
from ..export.operands import grids, places

PADDING = (0.0, -math.inf)
"""Shared numbers, whose places come after the program's own."""

_NEUTRAL = {"sum": 0, "logsumexp": 1, "max": 1}  # for ops of a vector: which of them
_MOST = 2.5  # times as many numbers as before


def merged(program: Program) -> Program:
    """The program with fewer instructions for each example."""
    return replace(program, per_example=list(_merged(program.per_example, program.own_end)))


def _merged(instructions: Sequence[Instruction], padding: int) -> Iterator[Instruction]:
    group: list[Instruction] = []
    for instruction in instructions:
        if group and not _continues(group, instruction):
            yield from _as_one(group, padding)
            group = []
        group.append(instruction)
    yield from _as_one(group, padding)


def _continues(group: list[Instruction], instruction: Instruction) -> bool:
    """Whether an instruction does what those of a group do, beside them, and uses none of them."""
    first, last = group[0], group[-1]
    alike = (first.kind, first.op) == (instruction.kind, instruction.op)
    if first.kind == PICK:
        alike &= (first.count, first.length) == (instruction.count, instruction.length)
    begin, end = first.out, last.out + last.count
    return (
        alike
        and instruction.out == end
        and not any(
            begin <= place < end
            for grid in grids(instruction)
            for row in places(*grid)
            for place in row
        )
    )


def _as_one(group: list[Instruction], padding: int) -> list[Instruction]:
    """A group as one instruction, if that is possible, or as it is."""
    if len(group) < 2:
        return group
    first = group[0]
    columns = zip(*[[places(*grid) for grid in grids(instruction)] for instruction in group])
    sides = [[row for rows in column for row in rows] for column in columns]
    if first.kind == PICK:
        return [_instruction(group, first.length, [[row] for row in zip(*sides[0])] + [sides[1]])]
    longest = max(instruction.length for instruction in group)
    numbers = sum(instruction.count * instruction.length for instruction in group)
    if len(sides[0]) * longest > _MOST * numbers:
        return group
    if first.kind == DOT and len(first.operands) == 2:
        return [_instruction(group, longest, _filled_dots(sides, longest, ~padding))]
    if first.kind == REDUCE and first.op and first.op.name in _NEUTRAL and len(sides) == 1:
        neutral = ~(padding + _NEUTRAL[first.op.name])
        return [
            _instruction(group, longest, [[_filled(row, longest, neutral) for row in sides[0]]])
        ]
    return group


def _filled(row: Sequence[int], length: int, place: int) -> Sequence[int]:
    return [*row, *[place] * (length - len(row))]


def _filled_dots(
    sides: Sequence[list[Sequence[int]]], length: int, zero: int
) -> list[list[Sequence[int]]]:
    """Both sides of dots in rows of this length: where one is 0, the other may be any number.

    So it goes on as a longer row that begins like it, if there is one: then dots share vectors.
    """
    longer = [
        {tuple(row[:k]): row for row in side if len(row) == length for k in range(1, length)}
        for side in sides
    ]
    rows: list[list[Sequence[int]]] = [[], []]
    for pair in zip(*sides):
        known = [own.get(tuple(row)) for own, row in zip(longer, pair)]
        extended = 1 if known[1] else 0 if known[0] else None
        for j, row in enumerate(pair):
            whole = known[j] if j == extended else None
            rows[j].append(whole or _filled(row, length, zero))
    return rows


def _instruction(group: list[Instruction], length: int, sides: Sequence[Any]) -> Instruction:
    """The instruction for a group, with these places of its operands."""
    patterns = [
        Pattern(
            rule=BY_ELEMENT, per_example=False, base=0, row_stride=len(rows[0]), stride=0,
            active=any(instruction.operands[j].active for instruction in group),
            places=array("i", [place for row in rows for place in row]),
        )
        for j, rows in enumerate(sides)
    ]  # fmt: skip
    count = sum(instruction.count for instruction in group)
    return replace(group[0], count=count, length=length, operands=patterns)
