"""The tape: what a program is for the machine code, each kind of record defined once.

`layout.py` makes patterns and instructions, `running.py` everything else; `packed` writes their
numbers into NumPy arrays, and `kernels.py` reads them there by the names of the fields. The
field of a record is on the tape if its annotation is one of `NUMBERS`.

>>> packed(Group, [Group(program=0, first=4, size=3)])["first"].tolist()
[4]
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ctypes import Structure, addressof, c_char, c_double, c_int32, c_int64
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from math import prod
from operator import attrgetter
from typing import Any

from ..context import scope
from ..ops import Op

Address = int  # in memory
Long = int  # more than 32 bits may be needed
NUMBERS = {"bool": "i4", "int": "i4", "Long": "i8", "Address": "i8", "float": "f8"}

MAP, REDUCE, DOT, MATMUL, PICK = range(5)  # what an instruction does
AFFINE, BY_ROW, BY_ELEMENT = range(3)  # how an operand's numbers are found

# What products compute besides, while their results are in registers: an op of one number, whose
# slope can be computed from its result, and what it passes back.
NOTHING, ACTIVATE, PASS_BACK = range(3)
JOINED = "relu"
# How tiles are computed, as the sum of these, the last times what is computed besides: whether they
# are added to what is there; whether that, and the first matrix, may be outside the CPU's cache.
ADDS, FAR, AHEAD, THEN = 1, 2, 4, 8

BLOCK = 1024  # how many numbers are packed at a time

# Matrix products: up to how many numbers the second matrix is read where it is; how many its panel
# holds, in how many rows at most; and how many rows of the first matrix are taken at a time, which
# is some tiles of six.
IN_PLACE, PANEL, DEPTH, HEIGHT = 1 << 13, 1 << 15, 256, 48
PANEL_ROOM = PANEL + HEIGHT * DEPTH + HEIGHT * 32  # with what is copied, and the sums of a strip


@dataclass(slots=True)
class Pattern:
    """Where the numbers of one operand are, for each row and each element of the row.

    rule: AFFINE, in equal steps from `base`; BY_ROW, each row in equal steps from its slot in
        `places`; BY_ELEMENT, each element at its place in `places`.
    per_example: whether each example has numbers of its own. BY_ELEMENT tells it by the place:
        a slot per example, or ~slot of a shared number.
    active: whether a gradient goes to the operand.
    bounds: the lowest and the highest slot of these numbers, or place if they are BY_ELEMENT; not
        kept if they are AFFINE.
    first_place: where `places` begin in those of all programs; set when the tape is written.
    first_run: where it begins to say, for each row, how many from there on are the same; -1 if
        nothing says it; set when the tape is written.
    is_first: whether the backward pass has added no gradient to these numbers before, and all of
        them follow each other: then theirs is written, and not added. That of parameters is
        written by the first examples of a step, and added by later ones.
    is_read: whether the backward pass needs these numbers; set when the tape is written.
    usable: when the loop of an op can read rows of the operand where they are, side by side, as the
        sum of 1 and 2, for one row, of one example and of several, and 4 and 8, for several rows;
        set when the tape is written.
    """

    rule: int
    per_example: bool
    base: int
    row_stride: int
    stride: int
    active: bool
    places: Sequence[int]
    bounds: tuple[int, ...] = ()
    first_place: int = 0
    first_run: int = -1
    is_first: bool = False
    is_read: bool = True
    usable: int = 0

    def place(self, i: int, k: int) -> int:
        """The place of element k of row i: a slot per example, or ~slot of a shared number."""
        if self.rule == BY_ELEMENT:
            return self.places[i * self.row_stride + k]
        start = self.places[i] if self.rule == BY_ROW else self.base + i * self.row_stride
        slot = start + k * self.stride
        return slot if self.per_example else ~slot


@dataclass(slots=True)
class Instruction:
    """`count` results of one op, side by side from slot `out` on.

    length: how many elements each vector has that an operand's row holds; 1 for an op of numbers.
    per_example: whether it runs for each example, or once per batch.
    rows, columns: of a MATMUL, whose result i * columns + j is the dot of row i of the second
        operand and row j of the first.
    loop, first_operand, operand_count: where the addresses of the op's loops begin, and where its
        patterns; set when the tape is written.
    is_cleared: whether the gradients of the results must be 0 before others are added.
    joins, joins_back: of an activation and a MATMUL: whether this may compute that, too: forward
        the MATMUL that makes its operand, back the one that makes the gradients of its results.
    usable: as that of a pattern, for all operands; set when the tape is written.
    """

    kind: int
    op: Op | None
    count: int
    length: int
    out: int
    per_example: bool
    operands: list[Pattern]
    rows: int
    columns: int
    scope: scope | None
    loop: int = 0
    first_operand: int = 0
    operand_count: int = 0
    is_cleared: bool = True
    joins: bool = False
    joins_back: bool = False
    usable: int = 0

    @property
    def summary(self) -> str:
        """The op, and on how many numbers."""
        if self.kind == MATMUL:
            name, what = "matmul", f"{self.rows} × {self.columns} dots of {self.length}"
        elif self.kind == PICK:
            name, what = "pick", f"{self.count} of {self.length} each"
        else:
            name = self.op.name if self.op else ""
            what = f"{self.count}" + f" of {self.length}" * (self.kind in (DOT, REDUCE))
        return f"{name:<10} {what}"

    def __str__(self) -> str:
        return f"{self.summary:<35} {path_of(self.scope)}".rstrip()


@dataclass(slots=True)
class Header:
    """A program on the tape: ranges of what all programs have together, and its own sizes.

    shared, per_example: its instructions; numbers: its constants; outputs: the places of its
        results, and written: as in `layout.Program`, both in `Work.all_places`; first_seed: where
        its seeds begin.
    lanes, slots, own_begin, own_end: as in `layout.Program`.
    inputs, randoms: how many of the slots are filled before it runs; root: the place of the loss.
    """

    shared_begin: int
    shared_end: int
    per_example_begin: int
    per_example_end: int
    lanes: int
    slots: int
    inputs: int
    randoms: int
    root: int
    own_begin: int
    own_end: int
    numbers_begin: int
    numbers_end: int
    outputs_begin: int
    outputs_end: int
    written_begin: int
    written_end: int
    first_seed: int


@dataclass(slots=True)
class Group:
    """Examples of a step that run through one program: `size` of them, from `first` on."""

    program: int
    first: int
    size: int


@dataclass(slots=True)
class Work:
    """All that a run of steps reads and writes; `running.NativeMachine` fills it.

    A machine has one, as a `structure`, and changes a few fields for each run.
    """

    # the programs: the records of this file, and the lists into which they point
    headers: Address
    instructions: Address
    patterns: Address
    all_places: Address
    loops: Address
    numbers: Address

    # the memory, as `kernels.py` describes it
    data: Address
    grad: Address
    parameters: Long
    lane_begin: Long  # where the numbers per example begin
    scratch_begin: Long  # where operands are packed
    region: Long  # how many numbers the scratch holds for each operand
    panel: Address  # where parts of matrices are copied before they are multiplied
    at: Address  # where the operands of one op are
    is_fresh: bool  # whether no gradient of the parameters was added yet

    # the steps, as `batches.Batches` and `batches.Task`; rates, losses and norms have one number a
    # step; completed is how many steps of this run are done, also if Ctrl-C hides the result
    inputs: Address
    starts: Address
    groups: Address
    steps: Address
    first_step: int
    step_count: int
    seeds: Address
    stored: bool
    outputs: Address
    output_starts: Address
    rates: Address
    losses: Address
    norms: Address
    completed: int

    # what happens to the parameters, of which the optimizer moves the first `moved`; its settings
    # (lr and what is counted) and memory (a row for each name that is kept) are as in `loops.py`;
    # guard: data and memory as they were before the last update; settings have a row more for that
    differentiated: bool
    moved: int
    first_update: Address
    later_update: Address
    settings: Address
    setting_count: int
    memory: Address
    memory_size: Long
    clip: float
    guarded: bool
    guard: Address
    settings_after: Address  # what is counted, after an update

    # the threads that share the work; each has a `Work` with its own data, grad, panel and at
    number: int  # from 0 on
    threads: int  # how many there are
    has_parameters: bool  # whether data has the parameters' numbers; those of the first always has
    all_data: Address  # where each thread's data is
    total_data: Address  # those of the first
    total_grad: Address
    begun: Address  # 0 until the first thread is there
    finished: Address  # how many tasks are finished
    taken: Address  # for each task: the last phase in which a thread took it
    most_parts: int  # into which the examples of a step are cut
    piece: int  # how many parameters one task moves
    part_losses: Address  # of each part: the loss, where its gradients are, and where to keep them
    part_grads: Address
    part_rooms: Address
    squares: Address  # of the gradients, for each piece


@dataclass(slots=True)
class Columns:
    """What `reading.read` copies, and to where: the arguments of `count` examples.

    width: how many numbers an example has.
    ends: where the sizes of each argument end; `sizes` has those of one after the other, each
        from the outermost in.
    numbers: where they are copied to. view: room for C's description of an array.
    checks: how many numbers of each example are compared with those that are known; checked: which
        ones; known: for each of them as many numbers as
        `reading.KNOWN` says.
    list_type and others: where Python's types are.
    """

    count: int
    width: int
    arguments: int
    ends: Address
    sizes: Address
    numbers: Address
    view: Address
    checks: int
    checked: Address
    known: Address
    list_type: Address
    tuple_type: Address
    float_type: Address
    int_type: Address
    array_type: Address


@dataclass(slots=True)
class Making:
    """What `making.py` adds to while a function is recorded: Python's objects, by their addresses.

    variable: what has the engine in use, and engine: that of the recording, or 0.
    value: the class Value. methods: a tuple with the op of each operator, and Value's two methods.
    nary: the name of the attribute that tells ops of vectors; of_vectors: makes their nodes.
    ops: a list of the ops; numbers: an array of the numbers of their operands.
    results: the class of results; word: at which of its words a result has its number.
    known: the numbers of other Values, in a dictionary; parameters: a list of those that are
        first; next: the place of the one that may be asked for next.
    zero: an array with one number.
    """

    variable: Address
    engine: Address
    value: Address
    methods: Address
    nary: Address
    of_vectors: Address
    ops: Address
    numbers: Address
    results: Address
    word: int
    known: Address
    parameters: Address
    next: int
    zero: Address


RECORDS = (Pattern, Instruction, Header, Group, Work, Columns, Making)


def numbers_in(record: type) -> list[tuple[str, str]]:
    """The numbers of a record: the name and the NumPy type of each."""
    fields = record.__annotations__.items()
    return [(name, NUMBERS[kind]) for name, kind in fields if kind in NUMBERS]


@cache
def numpy_type(record: type) -> Any:
    """The NumPy type that holds the numbers of a record, by their names."""
    import numpy as np

    return np.dtype(numbers_in(record), align=True)


@cache
def structure(record: type) -> Any:
    """The C structure with the numbers of a record, whose fields can be set one by one."""
    kinds = {"i4": c_int32, "i8": c_int64, "f8": c_double}
    fields = [(name, kinds[kind]) for name, kind in numbers_in(record)]
    return type(record.__name__, (Structure,), {"_fields_": fields})


def packed(record: type, rows: Iterable[Any]) -> Any:
    """The numbers of these records as one NumPy array."""
    import numpy as np

    kind = numpy_type(record)
    return np.array(list(map(attrgetter(*kind.names), rows)), kind)


def address(numbers: Any) -> int:
    """Where a NumPy array is in memory; the fastest way to ask."""
    return addressof(c_char.from_buffer(numbers)) if numbers.size else 0


LINE = 64  # bytes of the CPU's cache; a vector that lies in two lines is read more slowly
PAGE = 4096  # bytes of memory


def whole_lines(numbers: int) -> int:
    """As many numbers, or a few more, as fill whole lines, whatever their dtype."""
    return -(-numbers // 16) * 16


def zeros(shape: Sequence[int], dtype: str) -> Any:
    """A NumPy array of zeros that begins a line of the CPU's cache.

    And at different places of a page: between two that begin whole pages apart, the CPU may take a
    number that is read for one that was just written.
    """
    import numpy as np

    size = prod(shape) * np.dtype(dtype).itemsize
    room = np.zeros(size + 2 * PAGE, np.uint8)
    begin = -room.ctypes.data % PAGE + next(_begins)
    return room[begin : begin + size].view(dtype).reshape(shape)


_begins = cycle(range(0, PAGE, 11 * LINE))


def scopes_of(opened: scope | None) -> list[scope]:
    """A scope and those around it, from the outermost in."""
    found: list[scope] = []
    while opened is not None:
        found.insert(0, opened)
        opened = opened.parent
    return found


def path_of(opened: scope | None) -> str:
    """The names of the scopes from the outermost in."""
    return ".".join(each.name for each in scopes_of(opened))
