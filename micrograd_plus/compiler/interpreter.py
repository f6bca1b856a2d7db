"""Run, in plain Python: the same programs without numba, one example after the other.

Slow, and short enough to read: what the kernels do, without what makes them fast. An instruction
is computed by the op table's own functions, number by number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..ops import TABLE, Op
from .kernels import DOT, MATMUL, PICK
from .layout import Instruction


class Numbers:
    """Values or gradients: shared ones, and those of one example."""

    def __init__(self, shared: list[float], width: int) -> None:
        self.shared = shared
        self.laned = [0.0] * width

    def __getitem__(self, place: int) -> float:
        return self.laned[place] if place >= 0 else self.shared[~place]

    def __setitem__(self, place: int, number: float) -> None:
        if place >= 0:
            self.laned[place] = number
        else:
            self.shared[~place] = number


def forward(instructions: Sequence[Instruction], data: Numbers) -> None:
    """Computes the values of `instructions`."""
    for instruction in instructions:
        for place, op, operands in _results(instruction, data):
            if op is None:
                data[place] = data[operands[0]]
            else:
                data[place] = op.forward(*[data[operand] for operand in operands])


def backward(instructions: Sequence[Instruction], data: Numbers, grad: Numbers) -> None:
    """The chain rule, from the last instruction to the first."""
    for instruction in reversed(instructions):
        active = [pattern.active for pattern in instruction.operands]
        if not any(active):
            continue
        for place, op, operands in _results(instruction, data):
            upstream = grad[place]
            if op is None:
                grad[operands[0]] += upstream
                continue
            partials = op.partials(data[place], *[data[operand] for operand in operands])
            share = len(operands) // len(active)
            for j, (operand, local) in enumerate(zip(operands, partials)):
                if active[j // share]:
                    grad[operand] += upstream * local


def _results(
    instruction: Instruction, data: Numbers
) -> Iterator[tuple[int, Op | None, list[int]]]:
    """Each result of an instruction: its place, its op, and the places of its operands.

    No op stands for a pick, whose operand is the one that was picked.
    """
    op, length = instruction.op, range(instruction.length)
    for i in range(instruction.count):
        place = ~(instruction.out + i) if instruction.shared else instruction.out + i
        rows = [i] * len(instruction.operands)
        if instruction.kind == MATMUL:
            rows = [i % instruction.columns, i // instruction.columns]
        if instruction.kind == PICK:
            index, values = instruction.operands
            yield place, None, [values.code(i, int(data[index.code(i, 0)]))]
        else:
            if instruction.kind in (DOT, MATMUL):
                op = TABLE["dot"]
            yield place, op, [
                pattern.code(row, k) for pattern, row in zip(instruction.operands, rows) for k in length
            ]
