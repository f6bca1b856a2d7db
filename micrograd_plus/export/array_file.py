"""Writes the file of one program: the lines of `array_program.py`, and the backward pass.

What else a file needs comes from `helpers.py`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from itertools import chain
from math import prod
from typing import Any

from ..compiler.layout import Store, lay_out
from ..compiler.recording import Recording, Shape
from ..compiler.simplify import simplify
from ..compiler.tape import MAP, PICK, REDUCE, Instruction, path_of
from ..nn import Module
from ..support.nested import shape
from ..symbols import Expression, Symbol
from .array_code import gradient, is_short
from .array_program import ArrayProgram, column, heading
from .helpers import IMPORTS, array_of, nested
from .operands import Array, Operand, Piece


class ArrayFile(ArrayProgram):
    """Writes the file of one program.

    values: the parameters by slot.
    """

    def __init__(
        self, recording: Recording, library: str, arguments: Sequence[str], key: Sequence[Shape],
        is_model: bool,
    ) -> None:  # fmt: skip
        store = Store(recording.parameters)
        program = lay_out(simplify(recording), store, len(recording.inputs))
        self.structure, self.is_model = recording.structure, is_model
        self.values = store.in_order()
        names: dict[Any, str] = {}
        modules = [owner for owner in recording.owners if isinstance(owner, Module)]
        for name, value in chain.from_iterable(module.named_parameters() for module in modules):
            names.setdefault(value, name)
        labels = [names.get(value, value.label) for value in self.values]
        super().__init__(program, library, list(zip(arguments, map(prod, key))), labels)
        self.has_gradient: set[Array] = set()  # of which the lines of the backward pass know one

    def text(self) -> str:
        """The whole file."""
        forward = [f'{array.name} = parameters["{array.name}"]' for array in self.weights]
        forward += [f"{name} = batch({name})" for name in self.arguments]
        forward += self._forward()
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

    def _outputs(self) -> list[str]:
        """The lines that return the outputs of a model."""
        found = self._operand([self.program.outputs], False)
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
        return self._operand([self.program.outputs[:1]], False)

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
            lines += [*heading(path, before), *self._chain(instruction, result)]
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
            return f"pick_backward({upstream}, {values}, {column(operands[0])})"
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


def _bracketed(text: str) -> str:
    """An expression in brackets, if it needs them before a dot."""
    whole = isinstance(ast.parse(text, mode="eval").body, (ast.Name, ast.Call, ast.Subscript))
    return text if whole else f"({text})"
