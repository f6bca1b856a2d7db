"""Where the operands of a program are: the places of numbers as parts of named arrays.

The compiler's program knows its numbers by their places. A file of array code has an array for the
results of each instruction, for each argument, and for parameters that are used together. Here an
operand, a list of places, becomes an expression that reads these arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

from ..compiler.tape import DOT, MATMUL, PICK, Instruction, Pattern

_MOST_PIECES = 8  # that are read one after the other; more are taken by an index


@dataclass(frozen=True)
class Array:
    """A named array of the file.

    shape: without the batch axis, which it has if it is `per_example`.
    active: whether a gradient goes to it.
    """

    name: str
    shape: tuple[int, ...]
    per_example: bool
    active: bool

    @property
    def size(self) -> int:
        """How many numbers it has, for each example."""
        return prod(self.shape)

    def flat(self, name: str) -> str:
        """The array with this name, without a second dimension."""
        return name if len(self.shape) == 1 else f"{name}.ravel()"


@dataclass(frozen=True)
class Piece:
    """The numbers from `begin` to before `end` of an array, in steps."""

    array: Array
    begin: int
    end: int
    step: int = 1

    @property
    def is_whole(self) -> bool:
        """Whether these are all numbers of the array."""
        return (self.begin, self.end, self.step) == (0, self.array.size, 1)

    def __len__(self) -> int:
        return len(range(self.begin, self.end, self.step))

    def of(self, name: str) -> str:
        """The text, if the array is called so."""
        if self.is_whole:
            return self.array.flat(name)
        step = f":{self.step}" * (self.step != 1)
        part = f"{self.begin}:{self.end}{step}"
        return (
            f"{name}[:, {part}]" if self.array.per_example else f"{self.array.flat(name)}[{part}]"
        )


@dataclass(frozen=True)
class Operand:
    """How an operand is read.

    size: (rows, length), or (count,); the batch axis comes before, if it is `batched`.
    repeated: whether all rows, or all numbers, are the same: then there is one, and broadcasting
        does the rest.
    index: the numbers' positions in the pieces; none if they are the pieces as they are.
    """

    pieces: list[Piece]
    size: tuple[int, ...]
    repeated: bool
    index: list[int]

    @property
    def batched(self) -> bool:
        """Whether it has a batch axis."""
        return any(piece.array.per_example for piece in self.pieces)

    @property
    def active(self) -> bool:
        """Whether one of its arrays gets a gradient."""
        return any(piece.array.active for piece in self.pieces)

    @property
    def is_matrix(self) -> bool:
        """Whether it is an array as it is, with two dimensions."""
        [piece, *more] = self.pieces
        is_as_it_is = not more and not self.index and piece.is_whole
        return is_as_it_is and piece.array.shape == self.size and len(self.size) == 2


def operand(
    rows: Sequence[Sequence[tuple[Array, int]]], as_matrix: bool, may_repeat: bool = True
) -> Operand:
    """The operand that has these elements, each a number of an array.

    as_matrix: in rows; else one after the other. may_repeat: whether it may be broadcast.
    """
    if not as_matrix:
        rows = [[element] for row in rows for element in row]
    repeated = may_repeat and len(rows) > 1 and all(row == rows[0] for row in rows)
    if repeated:
        rows = rows[:1]
    size = (len(rows), len(rows[0])) if as_matrix else (len(rows),)
    elements = [element for row in rows for element in row]
    arrays = list(dict.fromkeys(array for array, _ in elements))
    if len(arrays) == 1:
        offsets = [offset for _, offset in elements]
        steps = {b - a for a, b in pairwise(offsets)} or {1}
        step = steps.pop()
        if not steps and step > 0:
            return Operand(
                [Piece(arrays[0], offsets[0], offsets[-1] + 1, step)], size, repeated, []
            )
    pieces: list[Piece] = []
    for array, offset in elements:
        last = pieces[-1] if pieces else None
        if last and last.array == array and last.end == offset:
            pieces[-1] = Piece(array, last.begin, offset + 1)
        else:
            pieces.append(Piece(array, offset, offset + 1))
    if len(arrays) > 1 and len(pieces) <= _MOST_PIECES:
        return Operand(pieces, size, repeated, [])
    begins, end = {}, 0
    for array in arrays:
        begins[array], end = end, end + array.size
    index = [begins[array] + offset for array, offset in elements]
    return Operand([Piece(array, 0, array.size) for array in arrays], size, repeated, index)


def grids(instruction: Instruction) -> list[tuple[Pattern, int, int]]:
    """The pattern of each operand, with how many rows it has, and how many numbers a row."""
    count, length, operands = instruction.count, instruction.length, instruction.operands
    if instruction.kind == MATMUL:
        sizes = [(instruction.columns, length), (instruction.rows, length)]
        sizes.append((instruction.rows, instruction.columns))
    elif instruction.kind == DOT:
        sizes = [(count, length), (count, length), (count, 1)]
    elif instruction.kind == PICK:
        sizes = [(1, 1), (count, length)]
    else:
        sizes = [(count, length)] * len(operands)
    return [(pattern, *size) for pattern, size in zip(operands, sizes)]


def places(pattern: Pattern, rows: int, length: int) -> list[list[int]]:
    """The places of an operand's numbers."""
    return [[pattern.place(i, k) for k in range(length)] for i in range(rows)]


def runs(slots: Iterable[int]) -> list[list[int]]:
    """The slots, which are sorted, in lists of those that are side by side."""
    found: list[list[int]] = []
    for slot in slots:
        if found and found[-1][-1] + 1 == slot:
            found[-1].append(slot)
        else:
            found.append([slot])
    return found
