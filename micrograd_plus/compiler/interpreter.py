"""Run, in plain Python: the same programs without numba, one example after the other.

Slow, and short enough to read: what the kernels do, without what makes them fast. An instruction
is computed by the op table's own functions, number by number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..ops import TABLE, Op
from .tape import DOT, MATMUL, PICK, Instruction


class Numbers:
    """Values or gradients: the shared ones, and those of one example."""

    def __init__(self, shared: list[float], width: int) -> None:
        self.shared = shared
        self.per_example = [0.0] * width

    def __getitem__(self, place: int) -> float:
        return self.per_example[place] if place >= 0 else self.shared[~place]

    def __setitem__(self, place: int, number: float) -> None:
        if place >= 0:
            self.per_example[place] = number
        else:
            self.shared[~place] = number


def forward(instructions: Sequence[Instruction], data: Numbers) -> None:
    """Computes the values of `instructions`."""
    for instruction in instructions:
        for place, op, operands, bias in _results(instruction, data):
            if op is None:
                data[place] = data[operands[0]]
                continue
            result = op.forward(*[data[operand] for operand in operands])
            data[place] = result if bias is None else result + data[bias]


def backward(instructions: Sequence[Instruction], data: Numbers, grad: Numbers) -> None:
    """The chain rule, from the last instruction to the first."""
    for instruction in reversed(instructions):
        active = [pattern.active for pattern in instruction.operands]
        if not any(active):
            continue
        for place, op, operands, bias in _results(instruction, data):
            upstream = grad[place]
            if op is None:
                grad[operands[0]] += upstream
                continue
            if bias is not None and active[-1]:
                grad[bias] += upstream
            partials = op.partials(data[place], *[data[operand] for operand in operands])
            share = len(operands) // (len(active) - (bias is not None))
            for j, (operand, local) in enumerate(zip(operands, partials)):
                if active[j // share]:
                    grad[operand] += upstream * local


def _results(
    instruction: Instruction, data: Numbers
) -> Iterator[tuple[int, Op | None, list[int], int | None]]:
    """Each result: its place, its op, the places of its operands, and of what is added to it.

    No op stands for a pick, whose one operand is what was picked.
    """
    length = range(instruction.length)
    for i in range(instruction.count):
        place = instruction.out + i if instruction.per_example else ~(instruction.out + i)
        row, column = divmod(i, max(instruction.columns, 1))
        if instruction.kind == PICK:
            index, values = instruction.operands
            yield place, None, [values.place(i, int(data[index.place(i, 0)]))], None
        elif instruction.kind in (DOT, MATMUL):
            left, right, *given = instruction.operands
            rows = ((left, column if instruction.kind == MATMUL else i), (right, row))
            operands = [pattern.place(r, k) for pattern, r in rows for k in length]
            bias = given[0].place(row, column) if given else None
            yield place, TABLE["dot"], operands, bias
        else:
            operands = [pattern.place(i, k) for pattern in instruction.operands for k in length]
            yield place, instruction.op, operands, None
