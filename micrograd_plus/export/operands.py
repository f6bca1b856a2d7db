"""Where the operands of a program are: the places of numbers as parts of named arrays.

The compiler's program knows its numbers by their places. A file of array code has an array for the
results of each instruction, for each argument, and for parameters that are used together. Here an
operand, a list of places, becomes an expression that reads these arrays.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count, pairwise
from math import prod

from ..compiler.tape import BY_ELEMENT, DOT, MATMUL, PICK, Instruction, Pattern

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


_NOWHERE = range(0), Array("", (), False, False), 0


class Arrays:
    """For each place of a number its array, and which of the array's numbers it is.

    It keeps runs of places that are side by side, of which there are few.
    """

    def __init__(self) -> None:
        self._begins: list[int] = []  # the lowest place of each run
        self._runs: list[tuple[range, Array, int]] = []  # and where in the array it begins
        self._numbers: dict[Array, int] = {}  # in the order in which they came

    def add(self, array: Array, places: Sequence[int | None]) -> None:
        """Says at which place each number of an array is; None for one that has none."""
        self._numbers[array] = len(self._numbers)
        for offset, run in _side_by_side(places):
            begin = min(run[0], run[-1])
            at = bisect(self._begins, begin)
            self._begins.insert(at, begin)
            self._runs.insert(at, (run, array, offset))

    def __getitem__(self, place: int) -> tuple[Array, int]:
        run, array, offset = self._run(place)
        return array, offset + run.index(place)

    def order(self, place: int) -> tuple[int, int]:
        """A key that sorts places by their arrays."""
        array, offset = self[place]
        return self._numbers[array], offset

    def __contains__(self, place: int) -> bool:
        return place in self._run(place)[0]

    def lacks(self, places: Sequence[int]) -> list[int] | range:
        """Those of these places where no array is, each once."""
        if isinstance(places, range):
            ends = {bisect(self._begins, place) for place in (places[0], places[-1])}
            if len(ends) == 1 and places[0] not in self and places[-1] not in self:
                return places
        return [place for place in dict.fromkeys(places) if place not in self]

    def piece(self, places: Sequence[int]) -> Piece | None:
        """The numbers in a run of equal steps through one array, if it has them all."""
        if not isinstance(places, range) or places[-1] not in self._run(places[0])[0]:
            return None
        (array, begin), (_, end) = self[places[0]], self[places[-1]]
        step = (end - begin) // max(len(places) - 1, 1) or 1
        return Piece(array, begin, end + 1, step) if step > 0 else None

    def _run(self, place: int) -> tuple[range, Array, int]:
        at = bisect(self._begins, place) - 1
        return self._runs[at] if at >= 0 else _NOWHERE


def operand(
    arrays: Arrays, rows: Sequence[Sequence[int]], as_matrix: bool, may_repeat: bool = True
) -> Operand:
    """The operand that has the numbers at these places.

    as_matrix: in rows; else one after the other. may_repeat: whether it may be broadcast.
    """
    places = one_after_the_other(rows)
    if not as_matrix:
        rows = [[place] for place in places]
    repeated = may_repeat and len(rows) > 1 and all(row == rows[0] for row in rows)
    if repeated:
        rows = rows[:1]
        places = rows[0]
    size = (len(rows), len(rows[0])) if as_matrix else (len(rows),)
    piece = arrays.piece(places)
    if piece:
        return Operand([piece], size, repeated, [])
    elements = [arrays[place] for place in places]
    names = list(dict.fromkeys(array for array, _ in elements))
    if len(names) == 1:
        offsets = [offset for _, offset in elements]
        steps = {b - a for a, b in pairwise(offsets)} or {1}
        step = steps.pop()
        if not steps and step > 0:
            return Operand([Piece(names[0], offsets[0], offsets[-1] + 1, step)], size, repeated, [])
    pieces: list[Piece] = []
    for array, offset in elements:
        last = pieces[-1] if pieces else None
        if last and last.array == array and last.end == offset:
            pieces[-1] = Piece(array, last.begin, offset + 1)
        else:
            pieces.append(Piece(array, offset, offset + 1))
    if len(names) > 1 and len(pieces) <= _MOST_PIECES:
        return Operand(pieces, size, repeated, [])
    begins, end = {}, 0
    for array in names:
        begins[array], end = end, end + array.size
    index = [begins[array] + offset for array, offset in elements]
    return Operand([Piece(array, 0, array.size) for array in names], size, repeated, index)


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


def places(pattern: Pattern, rows: int, length: int) -> list[Sequence[int]]:
    """The places of an operand's numbers; a row in equal steps is a range."""
    return [_row(pattern, i, length) for i in range(rows)]


def _row(pattern: Pattern, i: int, length: int) -> Sequence[int]:
    first = pattern.place(i, 0)
    if pattern.rule == BY_ELEMENT:
        begin = i * pattern.row_stride
        return list(pattern.places[begin : begin + length])
    if length > 1 and pattern.stride == 0:
        return [first] * length
    step = (pattern.stride or 1) * (1 if pattern.per_example else -1)
    return range(first, first + step * length, step)


def mirrored(numbers: Sequence[int]) -> Sequence[int]:
    """The places of shared slots, or the slots at shared places."""
    if isinstance(numbers, range):
        return range(~numbers.start, ~numbers.stop, -numbers.step)
    return [~number for number in numbers]


def one_after_the_other(rows: Sequence[Sequence[int]]) -> Sequence[int]:
    """The places in rows as one row, which is a range if they are in equal steps."""
    first = rows[0]
    if isinstance(first, range) and len(first) > 1:
        size, step = len(first) * first.step, first.step
        expected = (range(begin, begin + size, step) for begin in count(first.start, size))
        if all(row == whole for row, whole in zip(rows, expected)):
            return range(first.start, first.start + len(rows) * size, step)
    return list(chain.from_iterable(rows))


def _side_by_side(places: Sequence[int | None]) -> Iterator[tuple[int, range]]:
    """Runs of places that follow each other, up or down, and where in `places` each begins."""
    begin = 0
    if isinstance(places, range) and places and abs(places.step) == 1:
        yield 0, places
        begin = len(places)
    while begin < len(places):
        first, end = places[begin], begin + 1
        if first is not None:
            step = -1 if end < len(places) and places[end] == first - 1 else 1
            while end < len(places) and places[end] == first + step * (end - begin):
                end += 1
            yield begin, range(first, first + step * (end - begin), step)
        begin = end


def runs(slots: Sequence[int]) -> list[range]:
    """The slots, which are sorted, in ranges of those that are side by side."""
    return [run for _, run in _side_by_side(slots)]
