"""A program as a function of jax.numpy, over a whole batch; an optimizer's update as another one.

The lines of the function are those that `as_source` writes.

>>> import random
>>> from micrograd_plus import nn
>>> from micrograd_plus.compiler import compile
>>> model = nn.Linear(2, 1, generator=random.Random(0))
>>> predict = compile(model)
>>> _ = predict([[1.0, 2.0]])
>>> (program,) = predict.programs.values()
>>> print(JaxCode(program, "float64").source)
def outputs(parameters, inputs, randoms):
    weights = parameters["weights"]
    weights_2 = parameters["weights_2"]
    # Linear
    v1 = inputs @ weights.T + weights_2
    return v1
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from ..compiler.layout import Program
from ..compiler.tape import DOT, MAP, PICK, Instruction
from ..export.array_code import ArrayCode
from ..export.array_program import ArrayProgram
from ..export.operands import Array, Operand, Piece, grids, mirrored, places
from ..optim.updates import Update
from . import jax_arrays
from .merging import PADDING, merged
from .pieces import Pieces


class JaxCode(ArrayProgram):
    """The function of one program.

    source: its text; outputs: the function itself. It takes the arrays of the parameters by their
    names, a row of inputs and one of random numbers for each example, and returns a row of outputs
    for each, the loss first.

    spread: for results with holes, by name: which of the results is at each place; -1 for none.
    """

    def __init__(self, program: Program, dtype: str) -> None:
        sizes = [("inputs", program.inputs), ("randoms", len(program.generators))]
        super().__init__(merged(program), "jax", sizes, [""] * program.own_begin)
        self.dtype = dtype
        self.taken |= {function.__name__ for function in jax_arrays.FUNCTIONS}
        self.padding = Array(self._name("PADDING"), (len(PADDING),), False, False)
        padding = range(program.own_end, program.own_end + len(PADDING))
        self.arrays.add(self.padding, mirrored(padding))
        self.spread: dict[str, list[int]] = {}
        self.source = self._written()

    @cached_property
    def outputs(self) -> Callable[..., Any]:
        """The function of the parameters, the inputs and the random numbers."""
        import numpy as np

        names: dict[str, Any] = {
            name: np.array(index, np.int32).reshape(size)
            for (size, index), name in self.indices.items()
        }
        names[self.numbers.name] = np.array(self.program.numbers, self.dtype)
        names[self.padding.name] = np.array(PADDING, self.dtype)
        names |= {function.__name__: function for function in jax_arrays.FUNCTIONS}
        helpers = [self.code.named(text) for text in self.helpers.values()]
        definitions = [*helpers, *self.definitions.values(), self.source]
        return _run(definitions, names)["outputs"]

    def _written(self) -> str:
        lines = [f'{array.name} = parameters["{array.name}"]' for array in self.weights]
        lines += [line for line in self._forward() if line]
        found = self._operand([self.program.outputs], False)
        text = self._read(found)
        lines += [*self._taken_lines()]
        lines.append(f"return {text if found.batched else f'join(len(inputs), {text})'}")
        body = "\n".join(f"    {self.code.named(line)}" for line in lines)
        return f"def outputs(parameters, inputs, randoms):\n{body}"

    def _read(self, found: Operand) -> str:
        """The expression that reads an operand: what is filled up has indices below 0."""
        arrays = [piece.array for piece in found.pieces]
        if self.padding not in arrays or not found.index:
            return super()._read(found)
        begin = sum(array.size for array in arrays[: arrays.index(self.padding)])
        size = self.padding.size
        index = [
            i if i < begin else begin - 1 - i if i < begin + size else i - size for i in found.index
        ]
        pieces = [piece for piece in found.pieces if piece.array != self.padding]
        return super()._read(Operand(pieces, found.size, found.repeated, index))

    def _by_index(self, found: Operand, text: str) -> str:
        """As steps through an array where that is possible: XLA is slow with an index."""
        steps = jax_arrays.steps_of(found.index)
        if not steps:
            width = sum(map(len, found.pieces))
            return f"taken({text}, {self._index(found)}, {width})"
        text = f"strided({text}, {steps[0]}, {steps[1]}, {found.size})"
        return f"filled({text}, {self._index(found)})" if min(found.index) < 0 else text

    def _cut(self, slots: Sequence[int]) -> Sequence[Sequence[int]]:
        """As one array, in the order in which the operand has them."""
        return [slots] if slots else []

    def _operands(self, instruction: Instruction) -> list[Operand]:
        """Those of picks are all indices, and the rows from which each of them picks."""
        if instruction.kind != PICK:
            return super()._operands(instruction)
        at, values = instruction.operands
        indices = [*at.places] or [at.place(0, 0)]
        rows = places(values, instruction.count, instruction.length)
        some = len(rows) // len(indices)
        if rows == rows[:some] * len(indices):  # by each index from the same rows
            rows = rows[:some]
        return [self._operand([indices], False), self._operand(rows, True)]

    def _value(self, instruction: Instruction, operands: list[Operand], result: Array) -> str:
        """The expression for the result; dots that share vectors are products of matrices."""
        if instruction.kind == PICK:
            index, given = operands
            some = instruction.count // index.size[0]
            return f"picked({self._read(given)}, {self._read(index)}, {some}, {given.batched})"
        if instruction.kind == MAP:
            operands = self._spread_out(operands, result)
        found = ""
        if instruction.kind == DOT and instruction.per_example:
            found = self._grids(instruction, operands, result)
        elif instruction.kind == DOT and instruction.count == 1:
            found = self._by_pieces(operands)
        return found or super()._value(instruction, operands, result)

    def _keep(self, instruction: Instruction, result: Array) -> None:
        """Says where the numbers of a result are."""
        if result.name not in self.spread:
            super()._keep(instruction, result)
            return
        layout = self.spread[result.name]
        wide = replace(result, shape=(len(layout),))
        self.arrays.add(wide, [None if i < 0 else instruction.out + i for i in layout])

    def _spread_out(self, operands: list[Operand], result: Array) -> list[Operand]:
        """The operands of an op of numbers, like the first of them that has holes."""
        layouts = [self.spread.get(found.pieces[0].array.name) for found in operands]
        for layout, found in zip(layouts, operands):
            if layout and found.index == _places_in(layout):
                self.spread[result.name] = layout
                return [self._like(layout, operand) for operand in operands]
        return operands

    def _like(self, layout: list[int], found: Operand) -> Operand:
        """An operand whose numbers are where this layout has them, with 0 in the holes."""
        if found.repeated or found.size == (1,):
            return found
        piece = found.pieces[0]
        if self.spread.get(piece.array.name) == layout and found.index == _places_in(layout):
            return Operand([piece], (len(layout),), False, [])
        index = found.index or range(sum(map(len, found.pieces)))
        return Operand(
            found.pieces, (len(layout),), False, [-1 if i < 0 else index[i] for i in layout]
        )

    def _by_pieces(self, operands: list[Operand]) -> str:
        """A dot of vectors that would have to be joined as a sum of dots; "" for others."""
        left, right, *_ = operands
        both = list(zip(left.pieces, right.pieces))
        if left.index or right.index or len(both) == 1 or any(len(a) != len(b) for a, b in both):
            return ""
        texts = [
            [self._read(Operand([piece], (1, len(piece)), False, [])) for piece in pair]
            for pair in both
        ]
        return " + ".join(f"dot({a}, {b})" for a, b in texts) + self._bias(operands)

    def _grids(self, instruction: Instruction, operands: list[Operand], result: Array) -> str:
        """The dots of each example as products of matrices; "" if too many would not be used.

        The causal attention of several heads is one: a product for each head, of which half the
        numbers are used. The others stay where they are, as holes.
        """
        sides = [list(map(tuple, places(*grid))) for grid in grids(instruction)[:2]]
        has_own = [any(place >= 0 for row in rows for place in row) for rows in sides]
        if not all(has_own):
            return ""
        found = jax_arrays.grids_of(*sides)
        if not found or found.lefts * found.rights == 1:
            return ""
        texts = [self._read(self._operand(rows, True)) for rows in (found.left, found.right)]
        product = f"products({texts[0]}, {texts[1]}, {found.count})"
        width, size = found.count * found.lefts * found.rights, len(found.index)
        if size == width or len({*found.index}) < size:
            if found.index != list(range(width)):
                array = Array("", (width,), True, False)
                there = Operand([Piece(array, 0, width)], (size,), False, found.index)
                product = self._by_index(there, product)
            return product + self._bias(operands)
        number = {place: i for i, place in enumerate(found.index)}
        layout = self.spread[result.name] = [number.get(place, -1) for place in range(width)]
        holes = Operand([], (width,), False, layout)
        biases = [self._like(layout, bias) for bias in operands[2:]]
        return f"filled({product}, {self._index(holes)})" + self._bias([*operands[:2], *biases])

    def arrays_of(self, pieces: Pieces, data: Sequence[Any]) -> dict[str, Any]:
        """The arrays of parameters by name, of the numbers of each piece."""
        return {
            array.name: pieces.array(data, slots).reshape(array.shape)
            for array, slots in self.weights.items()
        }


def update_function(update: Update, formulas: dict[str, Any], dtype: str) -> Callable[..., Any]:
    """An optimizer's formulas as a function of the gradient, the numbers and the state, by name.

    What is the same for all parameters is computed with 64 bits.
    """
    import jax.numpy as jnp

    code = ArrayCode("jax")
    own = {name: formula for name, formula in formulas.items() if name not in update.counted}
    common, rest = update.hoisted(own)
    shared = ["lr", *update.counted]
    lines = [f"{name} = narrow({code.write(part)})" for name, part in common.items()]
    counted = [f"{name!r}: wide({code.write(formulas[name])})" for name in update.counted]
    lines.append(f"after = {{{', '.join(counted)}}}")
    lines += [f"{name} = narrow({name})" for name in shared]
    lines += [f"after[{name!r}] = spread({code.write(part)}, data)" for name, part in rest.items()]
    lines.append("return after")
    arguments = ", ".join([*shared, "gradient", "data", *update.kept])
    source = f"def update({arguments}):\n" + "\n".join(f"    {line}" for line in lines)
    names = {
        "narrow": lambda number: jnp.asarray(number, dtype),
        "wide": lambda number: jnp.asarray(number, "float64"),
        "spread": lambda numbers, data: jnp.broadcast_to(numbers, data.shape),
    }
    return _run([source], names)["update"]


def _places_in(layout: Sequence[int]) -> list[int]:
    """Where a layout has each of its numbers."""
    return sorted((place for place, i in enumerate(layout) if i >= 0), key=layout.__getitem__)


def _run(definitions: list[str], names: dict[str, Any]) -> dict[str, Any]:
    """What these definitions define, which may use these names."""
    import functools
    import math

    import jax
    import jax.numpy as jnp

    scope = {"jax": jax, "jnp": jnp, "functools": functools, "math": math, **names}
    exec("\n\n\n".join(definitions), scope)
    return scope
