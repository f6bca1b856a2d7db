"""A program as lines of array code: one for each instruction, over a whole batch.

The lines name arrays, which `operands.py` finds for the places of a program's numbers; formulas are
written by `array_code.py`. `array_file.py` makes a file of the lines; the engine for JAX runs them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from ..compiler.layout import Program
from ..compiler.tape import DOT, MAP, MATMUL, PICK, REDUCE, Instruction, path_of
from ..ops import Op
from ..symbols import Symbol
from .array_code import PREFIX, ArrayCode, backward_name, is_plain_reduction, is_short
from .helpers import helpers
from .operands import (
    Array,
    Arrays,
    Operand,
    Piece,
    grids,
    mirrored,
    one_after_the_other,
    operand,
    places,
    runs,
)

_MOST_JOINED = 3  # words in the name of an array
_WIDTH = 96  # of the lines of a function


class ArrayProgram:
    """The lines of one program.

    arguments: the name of each, and how many numbers of an example it has. labels: the name of
        each parameter, by slot; "" where there is none.

    arrays: for each place of a number its array, and which of the array's numbers it is.
    weights: the slots of each array of parameters.
    results: the array of each instruction. taken: the names that are in use.
    joins, indices: what else the lines read, by what it is; definitions: the functions.
    """

    def __init__(
        self, program: Program, library: str, arguments: Sequence[tuple[str, int]],
        labels: Sequence[str],
    ) -> None:  # fmt: skip
        self.program, self.library, self.labels = program, library, labels
        self.code, self.helpers = ArrayCode(library), helpers(library)
        self.taken = {"jax", "math", "functools", "g", "parameters", "loss", "PARAMETERS"}
        self.taken |= {*PREFIX.values(), *self.helpers, "predict", "loss_and_gradients"}
        self.arrays = Arrays()
        self.indices: dict[tuple[tuple[int, ...], tuple[int, ...]], str] = {}
        self.joins: dict[tuple[Piece, ...], str] = {}  # the names of arrays that are joined
        self.read: set[str] = set()  # the names of arrays that some line reads
        self.new_lines: list[str] = []  # that define them, before the next line
        self.functions: dict[str, str] = {}  # the names of ops
        self.definitions: dict[str, str] = {}  # the functions of ops, by their names
        self.arguments = [self._name(name) for name, _ in arguments]
        begin = 0
        for name, (_, size) in zip(self.arguments, arguments):
            end = begin + size
            self.arrays.add(Array(name, (size,), True, False), range(begin, end))
            begin = end
        self._name_weights()
        own = range(program.own_begin, program.own_begin + len(program.numbers))
        self.numbers = Array(self._name("NUMBERS"), (len(own),), False, False)
        self.arrays.add(self.numbers, mirrored(own))
        self.results: list[Array] = []
        for instruction in [*program.shared, *program.per_example]:
            name = self._name(f"v{len(self.results) + 1}")
            active = any(pattern.active for pattern in instruction.operands)
            result = Array(name, (instruction.count,), instruction.per_example, active)
            self.results.append(result)

    # ---- names

    def _name(self, wanted: str) -> str:
        """`wanted`, or with a number if that is taken."""
        name, number = wanted, 1
        while {name, f"d_{name}"} & self.taken:
            number += 1
            name = f"{wanted}_{number}"
        self.taken |= {name, f"d_{name}"}
        return name

    def _name_weights(self) -> None:
        """Makes arrays of the parameters: of those together that an operand uses first."""
        self.weights: dict[Array, Sequence[int]] = {}
        program = self.program
        operands: list[tuple[Sequence[Sequence[int]], bool]] = [
            (places(*grid), instruction.kind != MAP and j < 2)
            for instruction in [*program.per_example, *program.shared]
            for j, grid in enumerate(grids(instruction))
        ]
        own = range(-len(self.labels), 0)
        for rows, as_matrix in [*operands, ([program.outputs], False)]:
            given = used = one_after_the_other(rows)
            if not (isinstance(given, range) and given[0] in own and given[-1] in own):
                used = [place for place in given if place in own]
            for slots in self._cut(mirrored(self.arrays.lacks(used))):
                whole = as_matrix and list(slots) == list(mirrored(given))
                size = (len(rows), len(rows[0])) if whole else (len(slots),)
                name = self._name(_common([self.labels[slot] for slot in slots]))
                array = Array(name, size, False, True)
                self.weights[array] = slots
                self.arrays.add(array, mirrored(slots))

    def _cut(self, slots: Sequence[int]) -> Sequence[Sequence[int]]:
        """The slots of parameters that one operand is the first to use, one list for each array."""
        return runs(sorted(slots))

    def _index(self, found: Operand) -> str:
        """The name of the index array of an operand."""
        key = found.size, tuple(found.index)
        if key not in self.indices:
            self.indices[key] = self._name(f"I{len(self.indices) + 1}")
        return self.indices[key]

    # ---- operands

    def _operands(self, instruction: Instruction) -> list[Operand]:
        """The operands of an instruction, in the form in which its line reads them."""
        kind, found = instruction.kind, []
        product = self._is_product(instruction)
        given = [places(*grid) for grid in grids(instruction)]
        if kind == DOT and instruction.count == 1:  # in the order of the arrays
            order = self.arrays.order
            pairs = sorted(zip(given[0][0], given[1][0]), key=lambda pair: [*map(order, pair)])
            given[:2] = [[side] for side in zip(*pairs)]
        for j, own in enumerate(given):
            as_matrix = j < 2 if kind in (DOT, MATMUL) else kind == REDUCE or (kind, j) == (PICK, 1)
            if product and j == 1 and len(own) == 1 and instruction.per_example:
                as_matrix = False  # a row of each example: the batch is the matrix
            if kind == MATMUL and j == 2 and all(row == own[0] for row in own):
                own = own[:1]
            elif kind == MATMUL and j == 2:
                as_matrix = True
            may_repeat = kind == MAP or j == 2 or (kind == DOT and not product)
            found.append(self._operand(own, as_matrix, may_repeat))
        return found

    def _operand(
        self, rows: Sequence[Sequence[int]], as_matrix: bool, may_repeat: bool = False
    ) -> Operand:
        """The operand that has the numbers at these places."""
        return operand(self.arrays, rows, as_matrix, may_repeat)

    def _is_product(self, instruction: Instruction) -> bool:
        """Whether an instruction is a matrix product: a dot with parameters is one, too."""
        if instruction.kind != DOT or instruction.count > 1 or not instruction.per_example:
            return instruction.kind == MATMUL
        left, right = (
            any(place >= 0 for place in places(pattern, 1, instruction.length)[0])
            for pattern in instruction.operands[:2]
        )
        return right and not left

    def _read(self, found: Operand) -> str:
        """The expression that reads an operand."""
        if found.is_matrix:
            return found.pieces[0].array.name
        text = self._joined(found)
        if found.index:
            return self._by_index(found, text)
        if len(found.size) == 1:
            return text
        count = found.size[0]
        return f"rows({text}, {count})" if found.batched else f"{text}.reshape({count}, -1)"

    def _by_index(self, found: Operand, text: str) -> str:
        """The expression that takes numbers of an array by an index."""
        index = self._index(found)
        return f"{text}[:, {index}]" if found.batched else f"{text}[{index}]"

    def _joined(self, found: Operand) -> str:
        """The pieces of an operand side by side; several are joined in a line of their own."""
        parts = [piece.of(piece.array.name) for piece in found.pieces]
        self.read |= {piece.array.name for piece in found.pieces}
        if len(parts) == 1:
            return parts[0]
        key = tuple(found.pieces)
        if key not in self.joins:
            name = self.joins[key] = self._name(f"j{len(self.joins) + 1}")
            together = f"np.concatenate([{', '.join(parts)}])"
            if found.batched:
                together = f"join(len({self.arguments[0]}), {', '.join(parts)})"
            line = self.code.named(f"{name} = {together}")
            self.new_lines += wrap(line, _WIDTH, subsequent_indent="    ", break_long_words=False)
        return self.joins[key]

    def _term(self, found: Operand) -> Any:
        """An operand in a formula: a number, or a symbol for the expression that reads it."""
        [piece, *more] = found.pieces
        if piece.array == self.numbers and not more and not found.index and len(piece) == 1:
            return self.program.numbers[piece.begin]
        return Symbol(self._read(found))

    # ---- the lines of the forward pass

    def _instructions(self) -> list[tuple[Instruction, Array]]:
        """The instructions, in the order in which they run, and their results."""
        both = [*self.program.shared, *self.program.per_example]
        return list(zip(both, self.results))

    def _forward(self) -> list[str]:
        """The lines from the arguments to the last result."""
        lines: list[str] = []
        before: str | None = None
        for instruction, result in self._instructions():
            path = path_of(instruction.scope)
            lines += heading(path, before)
            before = path
            operands = self._operands(instruction)
            value = self._value(instruction, operands, result)
            if not result.active and any(found.active for found in operands):
                value = self._without_gradient(value)
            lines += [*self._taken_lines(), f"{result.name} = {value}"]
            self._keep(instruction, result)
        return lines

    def _keep(self, instruction: Instruction, result: Array) -> None:
        """Says where the numbers of a result are, for the instructions that follow."""
        own = range(instruction.out, instruction.out + instruction.count)
        self.arrays.add(result, own if instruction.per_example else mirrored(own))

    def _taken_lines(self) -> list[str]:
        """The lines that must come before the next one."""
        lines, self.new_lines = self.new_lines, []
        return lines

    def _without_gradient(self, value: str) -> str:
        detached = {"jax": f"jax.lax.stop_gradient({value})", "torch": f"({value}).detach()"}
        return detached.get(self.library, value)

    def _value(self, instruction: Instruction, operands: list[Operand], result: Array) -> str:
        """The expression for the result of an instruction."""
        if instruction.kind == MAP and instruction.op:
            terms = list(map(self._term, operands))
            if is_short(instruction.op.expression):
                named = dict(zip(instruction.op.operands, terms))
                return self.code.inline(instruction.op.expression, named)
            return f"{self._function(instruction.op)}({', '.join(map(self.code.write, terms))})"
        if instruction.kind == PICK:
            return f"pick({self._read(operands[1])}, {column(operands[0])})"
        texts = list(map(self._read, operands[:2]))
        if instruction.kind == REDUCE and instruction.op:
            if is_plain_reduction(instruction.op):
                whole = self.code.inline(
                    instruction.op.expression, {instruction.op.operands[0]: Symbol(texts[0])}
                )
                return whole.replace(", keepdims=True", "")
            return f"{self._function(instruction.op)}({texts[0]})"
        bias = self._bias(operands)
        if not self._is_product(instruction):
            return f"dot({texts[0]}, {texts[1]}){bias}"
        product = f"{texts[1]} @ {texts[0]}.T{bias}"
        if not instruction.per_example:
            return f"({product}).ravel()"
        return product if instruction.rows <= 1 else f"flat({product})"

    def _bias(self, operands: list[Operand]) -> str:
        """The text that adds to dots what is added to them."""
        bias = "".join(f" + {self.code.write(self._term(found))}" for found in operands[2:])
        return bias.removesuffix(" + 0.0")

    def _function(self, op: Op) -> str:
        """The name of the function of an op, which is defined in the file."""
        if op.name not in self.functions:
            name = self.functions[op.name] = self._name(op.name)
            if self.library != "numpy":
                for j in range(len(op.operands)):
                    self._backward_function(op, j)
            self.definitions[name] = self.code.op_function(name, op)
        return self.functions[op.name]

    def _backward_function(self, op: Op, j: int) -> str:
        """The name of the function for the gradient of operand j, which is defined in the file."""
        name = backward_name(self.functions.get(op.name, op.name), op, j)
        if name not in self.definitions:
            self.taken.add(name)
            self.definitions[name] = self.code.backward_function(name, op, j)
        return name


def heading(path: str, before: str | None) -> list[str]:
    """The lines above an instruction: its modules, if they are others than those before."""
    return [] if path == before else ["", f"# {path}"] if path else [""]


def _common(labels: Sequence[str]) -> str:
    """A name for these parameters: layers_0_neurons_w for layers.0.neurons.….w[1].

    Numbers in which their own names differ are left out; a few words are joined.
    """
    paths = [re.sub(r"\[.*", "", label).split(".") for label in dict.fromkeys(labels)]
    if len({*map(len, paths)}) > 1:
        return "weights"
    columns = [list(dict.fromkeys(names)) for names in zip(*paths)]
    parts = [
        "_and_".join(names)
        for names in columns
        if len(names) == 1 or (len(names) <= _MOST_JOINED and not names[0].isdigit())
    ]
    name = re.sub(r"\W+", "_", "_".join(parts)).strip("_")
    return name if name.isidentifier() else f"layer_{name}" if name else "weights"


def column(found: Operand) -> str:
    """The expression for one number of each example."""
    [piece] = found.pieces
    return f"{piece.array.name}[:, {piece.begin}]"
