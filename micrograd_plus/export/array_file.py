"""Writes the file of one program: a line of array code for each instruction, and the way back.

The lines name arrays, which `operands.py` finds for the places of a program's numbers; formulas are
written by `array_code.py`. What a file needs beside them comes from `helpers.py`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from math import prod
from textwrap import wrap
from typing import Any

from ..compiler.layout import Store, lay_out
from ..compiler.recording import Recording, Shape
from ..compiler.simplify import simplify
from ..compiler.tape import DOT, MAP, MATMUL, PICK, REDUCE, Instruction, path_of
from ..ops import Op
from ..support.nested import shape
from ..symbols import Expression, Symbol
from .array_code import PREFIX, ArrayCode, backward_name, gradient, is_plain_reduction, is_short
from .helpers import IMPORTS, array_of, helpers, nested
from .operands import Array, Operand, Piece, grids, operand, places, runs

_MOST_JOINED = 3  # words in the name of an array
_WIDTH = 96  # of the lines of a function


class ArrayFile:
    """Writes the file of one program.

    arrays: for each place of a number its array, and which of the array's numbers it is.
    weights: the slots of each array of parameters; values, labels: the parameters by slot.
    results: the array of each instruction. taken: the names that are in use.
    joins, indices: what the lines read beside arrays, by what it is; definitions: the functions.
    """

    def __init__(
        self, recording: Recording, library: str, arguments: Sequence[str], key: Sequence[Shape],
        is_model: bool,
    ) -> None:  # fmt: skip
        store = Store(recording.parameters)
        self.program = lay_out(simplify(recording), store, len(recording.inputs))
        self.structure, self.library, self.is_model = recording.structure, library, is_model
        self.code, self.helpers = ArrayCode(library), helpers(library)
        self.taken = {"jax", "math", "functools", "g", "parameters", "loss", "PARAMETERS"}
        self.taken |= {*PREFIX.values(), *self.helpers, "predict", "loss_and_gradients"}
        self.arrays: dict[int, tuple[Array, int]] = {}
        self.indices: dict[tuple[tuple[int, ...], tuple[int, ...]], str] = {}
        self.joins: dict[tuple[Piece, ...], str] = {}  # the names of arrays that are joined
        self.read: set[str] = set()  # the names of arrays that some line reads
        self.new_lines: list[str] = []  # that define them, before the next line
        self.functions: dict[str, str] = {}  # the names of ops
        self.definitions: dict[str, str] = {}  # the functions of ops, by their names
        self.arguments = [self._name(name) for name in arguments]
        begin = 0
        for name, size in zip(self.arguments, key):
            end = begin + prod(size)
            self._add(Array(name, (end - begin,), True, False), range(begin, end))
            begin = end
        self._name_weights(recording, store)
        own = range(self.program.own_begin, self.program.own_begin + len(self.program.numbers))
        self.numbers = Array(self._name("NUMBERS"), (len(own),), False, False)
        self._add(self.numbers, [~slot for slot in own])
        self.results: list[Array] = []
        for instruction in [*self.program.shared, *self.program.per_example]:
            first = instruction.out if instruction.per_example else ~instruction.out
            active = any(pattern.active for pattern in instruction.operands)
            result = Array(
                self._name(f"v{len(self.results) + 1}"),
                (instruction.count,),
                instruction.per_example,
                active,
            )
            self.results.append(result)
            step = 1 if instruction.per_example else -1
            self._add(result, range(first, first + step * instruction.count, step))
        self.has_gradient: set[Array] = set()  # of which the lines of the backward pass know one

    def text(self) -> str:
        """The whole file."""
        forward = self._forward()
        if self.is_model:
            body = [*forward, *self._outputs()]
            functions = [self._definition("predict", "The outputs for a batch.", body)]
        elif self.library == "numpy":
            body = [*forward, "", *self._backward()]
            what = "The mean loss of a batch, and its gradients by the parameters."
            functions = [self._definition("loss_and_gradients", what, body)]
        else:
            body = [*forward, f"return {self._loss}.mean()"]
            functions = [self._definition("loss", "The mean loss of a batch.", body)]
            functions.append(self._gradients())
        code = "\n\n\n".join([*self.definitions.values(), *functions])
        used = [
            self.code.named(text)
            for name, text in self.helpers.items()
            if re.search(rf"\b{name}\(", code)
        ]
        everything = "\n\n\n".join([*used, code])
        imports = [f"import {name}" for name in ("functools", "math") if f"{name}." in everything]
        start = "\n".join(
            [self._title(), "", *imports, *[""] * bool(imports), IMPORTS[self.library]]
        )
        return "\n\n\n".join([start, everything, "\n".join(self._data())]) + "\n"

    # ---- names

    def _name(self, wanted: str) -> str:
        """`wanted`, or with a number if that is taken."""
        name, number = wanted, 1
        while {name, f"d_{name}"} & self.taken:
            number += 1
            name = f"{wanted}_{number}"
        self.taken |= {name, f"d_{name}"}
        return name

    def _add(self, array: Array, own: Iterable[int]) -> None:
        """Says at which places the numbers of an array are."""
        for offset, place in enumerate(own):
            self.arrays[place] = array, offset

    def _name_weights(self, recording: Recording, store: Store) -> None:
        """Makes arrays of the parameters: of those together that an operand uses first."""
        self.values = store.in_order()
        names: dict[Any, str] = {}
        for module in recording.modules:
            for name, value in module.named_parameters():
                names.setdefault(value, name)
        self.labels = [names.get(value, value.label) for value in self.values]
        self.weights: dict[Array, list[int]] = {}
        program = self.program
        used = [
            (places(*grid), instruction.kind != MAP and j < 2)
            for instruction in [*program.per_example, *program.shared]
            for j, grid in enumerate(grids(instruction))
        ]
        for rows, as_matrix in [*used, ([program.outputs], False)]:
            given = [~place for row in rows for place in row]
            new = {slot for slot in given if slot in range(len(self.values))}
            for slots in runs(sorted(slot for slot in new if ~slot not in self.arrays)):
                whole = as_matrix and slots == given
                size = (len(rows), len(rows[0])) if whole else (len(slots),)
                name = self._name(_common([self.labels[slot] for slot in slots]))
                array = Array(name, size, False, True)
                self.weights[array] = slots
                self._add(array, [~slot for slot in slots])

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
        if kind == DOT and instruction.count == 1:  # in the order of the places
            pairs = sorted(zip(given[0][0], given[1][0]), key=lambda pair: [*map(abs, pair)])
            given[:2] = [[list(side)] for side in zip(*pairs)]
        for j, own in enumerate(given):
            rows = len(own)
            elements = [[self.arrays[place] for place in row] for row in own]
            as_matrix = j < 2 if kind in (DOT, MATMUL) else kind == REDUCE or (kind, j) == (PICK, 1)
            if product and j == 1 and rows == 1 and instruction.per_example:
                as_matrix = False  # a row of each example: the batch is the matrix
            if kind == MATMUL and j == 2 and all(row == elements[0] for row in elements):
                elements = elements[:1]
            elif kind == MATMUL and j == 2:
                as_matrix = True
            may_repeat = kind == MAP or j == 2 or (kind == DOT and not product)
            found.append(operand(elements, as_matrix, may_repeat))
        return found

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
            index = self._index(found)
            return f"{text}[:, {index}]" if found.batched else f"{text}[{index}]"
        if len(found.size) == 1:
            return text
        count = found.size[0]
        return f"rows({text}, {count})" if found.batched else f"{text}.reshape({count}, -1)"

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
        lines = [f'{array.name} = parameters["{array.name}"]' for array in self.weights]
        lines += [f"{name} = batch({name})" for name in self.arguments]
        before: str | None = None
        for instruction, result in self._instructions():
            path = path_of(instruction.scope)
            lines += _heading(path, before)
            before = path
            operands = self._operands(instruction)
            value = self._value(instruction, operands)
            if not result.active and any(found.active for found in operands):
                value = self._without_gradient(value)
            lines += [*self._taken_lines(), f"{result.name} = {value}"]
        return lines

    def _taken_lines(self) -> list[str]:
        """The lines that must come before the next one."""
        lines, self.new_lines = self.new_lines, []
        return lines

    def _without_gradient(self, value: str) -> str:
        detached = {"jax": f"jax.lax.stop_gradient({value})", "torch": f"({value}).detach()"}
        return detached.get(self.library, value)

    def _value(self, instruction: Instruction, operands: list[Operand]) -> str:
        """The expression for the result of an instruction."""
        if instruction.kind == MAP and instruction.op:
            terms = list(map(self._term, operands))
            if is_short(instruction.op.expression):
                named = dict(zip(instruction.op.operands, terms))
                return self.code.inline(instruction.op.expression, named)
            return f"{self._function(instruction.op)}({', '.join(map(self.code.write, terms))})"
        if instruction.kind == PICK:
            return f"pick({self._read(operands[1])}, {_column(operands[0])})"
        texts = list(map(self._read, operands[:2]))
        if instruction.kind == REDUCE and instruction.op:
            if is_plain_reduction(instruction.op):
                whole = self.code.inline(
                    instruction.op.expression, {instruction.op.operands[0]: Symbol(texts[0])}
                )
                return whole.replace(", keepdims=True", "")
            return f"{self._function(instruction.op)}({texts[0]})"
        bias = "".join(f" + {self.code.write(self._term(found))}" for found in operands[2:])
        bias = bias.removesuffix(" + 0.0")
        if not self._is_product(instruction):
            return f"dot({texts[0]}, {texts[1]}){bias}"
        product = f"{texts[1]} @ {texts[0]}.T{bias}"
        if not instruction.per_example:
            return f"({product}).ravel()"
        return product if instruction.rows <= 1 else f"flat({product})"

    def _function(self, op: Op) -> str:
        """The name of the function of an op, which is defined in the file."""
        if op.name not in self.functions:
            name = self.functions[op.name] = self._name(op.name)
            if self.library != "numpy":
                for j in range(len(op.operands)):
                    self._backward_function(op, j)
            self.definitions[name] = self.code.op_function(name, op)
        return self.functions[op.name]

    def _outputs(self) -> list[str]:
        """The lines that return the outputs of a model."""
        found = operand([[self.arrays[place] for place in self.program.outputs]], False, False)
        text = self._read(found)
        count = f"len({self.arguments[0]})"
        if not found.batched:
            text = f"join({count}, {text})"
        lines = ["", *self._taken_lines()]
        if self.structure is None:
            return [*lines, f"return {text}[:, 0]"]
        try:
            size = shape(self.structure)
        except ValueError:  # lists of different lengths, as an LSTM returns, stay in one row
            size = ()
        if len(size) < 2:
            return [*lines, f"return {text}"]
        return [*lines, f"return {text}.reshape({count}, {', '.join(map(str, size))})"]

    @property
    def _loss(self) -> str:
        return self._read(self._root)

    @property
    def _root(self) -> Operand:
        return operand([[self.arrays[self.program.outputs[0]]]], False)

    # ---- the lines of the backward pass

    def _backward(self) -> list[str]:
        """The lines from the loss back to the parameters, for NumPy."""
        root, loss = self._root, self._loss
        share = f"1 / len({self.arguments[0]})" if root.batched else "1.0"
        lines = ["# The way back: d_v1 is the gradient of the mean loss by v1."]
        lines += self._spread(root, f"np.full_like({loss}, {share})", root.batched)
        before: str | None = None
        for instruction, result in reversed(self._instructions()):
            if result not in self.has_gradient:
                continue
            path = path_of(instruction.scope)
            lines += [*_heading(path, before), *self._chain(instruction, result)]
            before = path
        rest = [array for array in self.weights if array not in self.has_gradient]
        lines += [f"d_{array.name} = np.zeros_like({array.name})" for array in rest]
        gradients = [f'    "{array.name}": d_{array.name},' for array in self.weights]
        return [*lines, "", "gradients = {", *gradients, "}", f"return {loss}.mean(), gradients"]

    def _chain(self, instruction: Instruction, result: Array) -> list[str]:
        """The lines that take the gradient of a result to the operands."""
        lines: list[str] = []
        operands = self._operands(instruction)
        for j, (found, pattern) in enumerate(zip(operands, instruction.operands)):
            if pattern.active:
                passed = self._passed(instruction, result, operands, j)
                is_pick = instruction.kind == PICK and not found.batched
                is_summed = is_pick or (j == 0 and self._is_product(instruction))
                if passed:
                    batched = instruction.per_example and not is_summed
                    lines += self._spread(found, passed, batched)
        return lines

    def _passed(
        self, instruction: Instruction, result: Array, operands: list[Operand], j: int
    ) -> str:
        """The gradient that goes to operand j, before what was repeated is added up."""
        upstream, op = f"d_{result.name}", instruction.op
        if instruction.kind == MAP and op:
            terms = list(map(self._term, operands))
            formula = gradient(op, j)
            if not isinstance(formula, Expression):
                return ""
            if is_short(formula):
                named = dict(zip(op.operands, terms))
                symbols = {"g": Symbol(upstream), "out": Symbol(result.name)}
                return self.code.inline(formula, {**named, **symbols})
            given = [upstream, result.name, *map(self.code.write, terms)]
            return f"{self._backward_function(op, j)}({', '.join(given)})"
        if instruction.kind == PICK:
            values = self._read(operands[1])
            return f"pick_backward({upstream}, {values}, {_column(operands[0])})"
        texts = list(map(self._read, operands[:2]))
        if instruction.kind == REDUCE and op:
            return f"{self._backward_function(op, j)}({upstream}, {result.name}, {texts[0]})"
        if not self._is_product(instruction):
            return upstream if j == 2 else f"{upstream}[..., None] * {texts[1 - j]}"
        rows, columns = max(instruction.rows, 1), max(instruction.columns, 1)
        if j == 2 and rows == 1:
            return upstream
        if j == 0 and rows > 1 and instruction.per_example:
            right = texts[1] if operands[1].index else self._joined(operands[1])
            length = instruction.length
            return f"{upstream}.reshape(-1, {columns}).T @ {right}.reshape(-1, {length})"
        if not instruction.per_example:
            upstream = f"{upstream}.reshape({rows}, -1)"
        elif rows > 1:
            upstream = f"rows({upstream}, {rows})"
        if j == 2:  # added to all rows, or each row has its own
            return f"{upstream}.sum(axis=-2)" if len(operands[2].size) == 1 else upstream
        return f"{upstream}.T @ {texts[1]}" if j == 0 else f"{upstream} @ {texts[0]}"

    def _backward_function(self, op: Op, j: int) -> str:
        """The name of the function for the gradient of operand j, which is defined in the file."""
        name = backward_name(self.functions.get(op.name, op.name), op, j)
        if name not in self.definitions:
            self.taken.add(name)
            self.definitions[name] = self.code.backward_function(name, op, j)
        return name

    def _spread(self, found: Operand, passed: str, batched: bool) -> list[str]:
        """The lines that add a gradient to those of the arrays from which an operand is read."""
        if batched and not found.batched:
            passed = f"{_bracketed(passed)}.sum(axis=0)"
        if found.repeated:
            passed = f"{_bracketed(passed)}.sum(axis=-{len(found.size)}, keepdims=True)"
        if found.is_matrix:
            return self._add_to(found.pieces[0], passed, is_matrix=True)
        if found.index:
            index = self._index(found)
            if len(found.pieces) == 1:
                array = found.pieces[0].array
                return [
                    *self._begin(array),
                    f"add_at({array.flat(f'd_{array.name}')}, {index}, {passed})",
                ]
            width = sum(piece.array.size for piece in found.pieces)
            size = f"(len({self.arguments[0]}), {width})" if found.batched else f"{width}"
            passed = f"add_at(np.zeros({size}), {index}, {passed})"
        elif len(found.size) == 2:
            passed = f"flat({passed})" if found.batched else f"{_bracketed(passed)}.ravel()"
        if len(found.pieces) == 1:
            return self._add_to(found.pieces[0], passed)
        lines, end = [f"g = {passed}"], 0
        for piece in found.pieces:
            begin, end = end, end + len(piece)
            if piece.array.active:
                part = f"g[:, {begin}:{end}]" if found.batched else f"g[{begin}:{end}]"
                if found.batched and not piece.array.per_example:
                    part += ".sum(axis=0)"
                lines += self._add_to(piece, part)
        return lines

    def _begin(self, array: Array) -> list[str]:
        """The line that sets the gradient of an array to 0, if nothing has been added to it."""
        if array in self.has_gradient:
            return []
        self.has_gradient.add(array)
        return [f"d_{array.name} = np.zeros_like({array.name})"]

    def _add_to(self, piece: Piece, passed: str, is_matrix: bool = False) -> list[str]:
        """The lines that add a gradient to that of a piece of an array; the first one sets it."""
        array, name = piece.array, f"d_{piece.array.name}"
        if not piece.is_whole:
            return [*self._begin(array), f"{piece.of(name)} += {passed}"]
        if len(array.shape) == 2 and not is_matrix:
            passed = f"{_bracketed(passed)}.reshape({array.shape[0]}, -1)"
        if array in self.has_gradient:
            return [f"{name} += {passed}"]
        self.has_gradient.add(array)
        is_other = isinstance(ast.parse(passed, mode="eval").body, (ast.Name, ast.Subscript))
        return [f"{name} = {passed}{'.copy()' * is_other}"]

    # ---- the rest of the file

    def _title(self) -> str:
        """The text that the file begins with."""
        name = {"numpy": "NumPy", "jax": "JAX", "torch": "PyTorch"}[self.library]
        return f'''"""A program of {len(self.results)} instructions for {name}.

Each line is one instruction over a whole batch. v1, v2, … have a row for each example; what is the
same for all examples has none, and broadcasting repeats it. PARAMETERS are at the end.
"""'''

    def _definition(self, name: str, what: str, body: Sequence[str]) -> str:
        """A function of the parameters and the arguments."""
        body = [self.code.named(line) for line in body]
        head = f"def {name}(parameters, {', '.join(self.arguments)}):"
        if self.library == "numpy":
            head = f'@np.errstate(all="ignore")  # inf and nan are results, too\n{head}'
        lines = "\n".join(f"    {line}".rstrip() for line in body)
        return f'{head}\n    """{what}"""\n{lines}'

    def _gradients(self) -> str:
        """The function for the loss and its gradients, which the library finds."""
        if self.library == "jax":
            return "loss_and_gradients = jax.jit(jax.value_and_grad(loss))"
        arguments = ", ".join(self.arguments)
        return f'''def loss_and_gradients(parameters, {arguments}):
    """The mean loss of a batch, and its gradients by the parameters."""
    leaves = {{name: array.detach().requires_grad_() for name, array in parameters.items()}}
    mean = loss(leaves, {arguments})
    found = torch.autograd.grad(mean, list(leaves.values()), materialize_grads=True)
    return mean.detach(), dict(zip(leaves, found))'''

    def _data(self) -> list[str]:
        """The lines that define the index arrays and the parameters."""
        lines = []
        for (size, index), name in self.indices.items():
            numbers = nested(index, size[1]) if len(size) == 2 else list(index)
            lines.append(array_of(self.library, numbers, whole=True, before=f"{name} = "))
        if self.numbers.name in self.read:
            name = self.numbers.name
            lines.append(array_of(self.library, self.program.numbers, before=f"{name} = "))
        lines += [""] * bool(lines)
        lines.append("PARAMETERS = {")
        for array, slots in self.weights.items():
            first, last = self.labels[slots[0]], self.labels[slots[-1]]
            if first and last:
                lines.append(f"    # {first}" + f" to {last}" * (len(slots) > 1))
            data = [float(self.values[slot].data) for slot in slots]
            rows = nested(data, array.shape[1]) if len(array.shape) == 2 else data
            lines.append(array_of(self.library, rows, before=f'    "{array.name}": ') + ",")
        return [*lines, "}"]


def _heading(path: str, before: str | None) -> list[str]:
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


def _column(found: Operand) -> str:
    """The expression for one number of each example."""
    [piece] = found.pieces
    return f"{piece.array.name}[:, {piece.begin}]"


def _bracketed(text: str) -> str:
    """An expression in brackets, if it needs them before a dot."""
    whole = isinstance(ast.parse(text, mode="eval").body, (ast.Name, ast.Call, ast.Subscript))
    return text if whole else f"({text})"
