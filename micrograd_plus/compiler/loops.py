"""Loops: what is compiled around the formulas of the op table and of an optimizer.

Around each formula and each partial derivative of an op stands one loop over numbers that lie
side by side; around an optimizer's formulas stands one loop over the parameters.

>>> from ..ops import TABLE
>>> print("\\n".join(OpLoops(TABLE["relu"]).forward()))
p0 = at[0]
for i in lanes(width):
    x_i = data[p0 + i]
    data[out + i] = 0.0 if x_i < 0.0 else x_i
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from ..formulas.writers import Python, Writer, is_reduction, name_shared_parts, walk
from ..ops import Op
from ..optim.updates import Update, symbols_in
from ..symbols import FUNCTIONS, Expression, Form, Function, Reduction, Symbol, flow
from .dtypes import FLOAT64, Dtype


def literal(number: float, dtype: Dtype) -> str:
    """A number in a loop; one of 64 bits would make 64 bits of all around it."""
    written = repr(float(number))
    return written if dtype is FLOAT64 else f"{dtype.name}({written})"


class _Native(Python):
    """Python as it is compiled; what differs from number to number ends in _i."""

    operations = {
        **Python.operations,
        "/": Writer.operations["/"],
        "**": Writer.operations["**"],
    }

    def __init__(self, dtype: Dtype) -> None:
        self.dtype = dtype

    def form_of(self, function: Function) -> Form:
        return function.native

    def number(self, number: float) -> str:
        return literal(number, self.dtype)

    def symbol(self, symbol: Symbol) -> str:
        return f"{symbol.name}_{'k' if symbol.vector else 'i'}"


class _Once(_Native):
    """What is the same for all parameters of an update: it has 64 bits, and ends in _once."""

    def __init__(self) -> None:
        super().__init__(FLOAT64)

    def symbol(self, symbol: Symbol) -> str:
        return f"{symbol.name}_once"


class OpLoops(_Native):
    """The loops of one op, over numbers that lie side by side in `data` and `grad`.

    Operand j begins at at[j], the result at `out`, and `width` results are computed. Element k of
    a vector follows `width` numbers after element k - 1.

    of_row: whether the loop goes along the elements of vectors, which follow each other, for one
        result, and not along results. Only an op that reduces vectors has such loops.
    """

    def __init__(self, op: Op, dtype: Dtype = FLOAT64, of_row: bool = False) -> None:
        super().__init__(dtype)
        self.op, self.of_row = op, of_row

    def forward(self) -> list[str]:
        """The lines that compute the op."""
        return self._lines(self.op.expression, ["data[out + i] = {}"])

    def backward(self, j: int) -> list[str]:
        """The lines that add the partial derivative by operand j times the gradient.

        Unless `adds`, they write it.
        """
        formula = flow(Symbol("upstream"), self.op.derivatives[j])
        place = f"grad[{self._element(j)}]" if self.op.nary else f"grad[p{j} + i]"
        last = [
            f"before_i = {place} if adds else {self.number(0.0)}",
            f"{place} = before_i + ({{}})",
        ]
        return self._lines(formula, self._each_element(formula, last) if self.op.nary else last)

    def _lines(self, formula: Any, last: list[str]) -> list[str]:
        """One loop, in which what is shared by all elements is computed in its order."""
        shared, (result,) = name_shared_parts((formula,))
        if isinstance(result, Expression) and is_reduction(result):
            shared = [*shared, (Symbol("result"), result)]
            result = shared[-1][0]
        body = [self._load(x) for x in _symbols(formula) if not x.vector]
        for part, value in shared:
            body += self._named(part, value)
        body += [line.format(self.write(result)) for line in last]
        begins = [f"p{j} = at[{j}]" for j in range(len(self.op.operands))]
        if self.of_row:
            return [*begins, "i = 0", *body]
        return [*begins, "for i in lanes(width):", *indented(body)]

    def _named(self, part: Symbol, value: Any) -> list[str]:
        """The lines that give a part of a formula its name; a reduction goes over all elements."""
        known = FUNCTIONS.get(value.name) if isinstance(value, Expression) else None
        name = self.symbol(part)
        if not isinstance(known, Reduction):
            return [f"{name} = {self.write(value)}"]
        term, start = known.term(*value.args), f"{name} = {self.number(known.start)}"
        joined = self.write(known.join(part, term))
        if self.of_row:
            joined = f"over_lanes({_join(known)}, {name}, {self.write(term)})"
        return [start, *self._each_element(value, [f"{name} = {joined}"])]

    def _each_element(self, formula: Any, lines: list[str]) -> list[str]:
        """The loop over the elements of vectors, which loads what `formula` has of them."""
        loads = [self._load(x) for x in _symbols(formula) if x.vector]
        each = "for k in lanes(n):" if self.of_row else "for k in range(n):"
        return [each, *indented([*loads, *lines])]

    def _load(self, x: Symbol) -> str:
        return f"{self.symbol(x)} = {self._place(x)}"

    def _place(self, symbol: Symbol) -> str:
        if symbol.name in ("out", "upstream"):
            return f"{'data' if symbol.name == 'out' else 'grad'}[out + i]"
        j = self.op.operands.index(symbol.name)
        return f"data[{self._element(j)}]" if symbol.vector else f"data[p{j} + i]"

    def _element(self, j: int) -> str:
        """The place of element k of operand j."""
        return f"p{j} + k" if self.of_row else f"p{j} + k * width + i"


def functions_of(op: Op, dtype: Dtype) -> str:
    """The source of an idempotent op of one number, and of what its gradient passes back.

    The second takes the result, or the operand, and the gradient of the result.
    """
    writer, x, upstream = _Native(dtype), Symbol(op.operands[0]), Symbol("upstream")
    return f"""
def activated({writer.write(x)}: Real) -> Real:
    return {writer.write(op.expression)}


def passed_back({writer.write(x)}: Real, {writer.write(upstream)}: Real) -> Real:
    return {writer.write(flow(upstream, op.derivatives[0]))}

"""


def _join(reduction: Reduction) -> str:
    """The name of the function that joins two terms."""
    return f"join_{reduction.name}"


def joins(dtype: Dtype) -> dict[str, str]:
    """The source of the functions that join two terms of a reduction, by their names."""
    writer, (a, b) = _Native(dtype), map(Symbol, "ab")
    return {
        _join(known): f"""
def {_join(known)}(a_i: Real, b_i: Real) -> Real:
    return {writer.write(known.join(a, b))}
"""
        for known in FUNCTIONS.values()
        if isinstance(known, Reduction)
    }


@cache
def numbers_read(op: Op, j: int) -> frozenset[str]:
    """The operands whose numbers the partial derivative by operand j needs."""
    return frozenset(symbol.name for symbol in _symbols(op.derivatives[j]))


def needs_operand(op: Op) -> bool:
    """Whether the derivative of an op of one number needs more than the result."""
    return not op.idempotent and op.operands[0] in numbers_read(op, 0)


def update_loop(update: Update, formulas: dict[str, Any], dtype: Dtype) -> list[str]:
    """The lines of the loop that moves the parameters from `begin` to `end` once.

    settings: lr, and what is counted; after: what is counted after this step, which is the same
    whatever parameters are moved. memory: what is kept, one row of `count` for each name. What is
    the same for all parameters is computed with 64 bits, as 1 - 0.999**steps needs them.
    """
    once, writer = _Once(), _Native(dtype)
    common, rest = update.hoisted(formulas)
    place = {"gradient": "grad[i]", "data": "data[i]"}
    place |= {name: f"memory[{j} * count + i]" for j, name in enumerate(update.kept)}
    place |= {name: f"settings[{j}]" for j, name in enumerate(("lr", *update.counted))}

    def loads(writer: _Native, formulas: Iterable[Any], names: Iterable[str]) -> list[str]:
        needed = set().union(*map(symbols_in, formulas))
        return [
            f"{writer.symbol(Symbol(name))} = {place[name]}" for name in names if name in needed
        ]

    lines = loads(once, [*common.values(), *rest.values()], ["lr", *update.counted])
    lines += [f"{name}_once = {once.write(part)}" for name, part in common.items()]
    lines += [
        f"after[{j}] = {once.write(rest[name])}" for j, name in enumerate(update.counted, start=1)
    ]
    changing = {name: formula for name, formula in rest.items() if name not in update.counted}
    shared, results = name_shared_parts(tuple(changing.values()))
    body = loads(writer, changing.values(), ["gradient", "data", *update.kept])
    body += [f"{writer.symbol(part)} = {writer.write(value)}" for part, value in shared]
    body += [f"{place[name]} = {writer.write(value)}" for name, value in zip(changing, results)]
    used = set().union(*map(symbols_in, changing.values())) & {"lr", *update.counted, *common}
    lines += [f"{name}_i = {dtype.name}({name}_once)" for name in sorted(used)]
    return [*lines, "for i in range(begin, end):", *indented(body)]


def _symbols(formula: Any) -> list[Symbol]:
    """The symbols in `formula`, each once."""
    return list(dict.fromkeys(part for part in walk(formula) if isinstance(part, Symbol)))


def indented(lines: Sequence[str]) -> list[str]:
    """The lines, four columns further right."""
    return [f"    {line}" for line in lines]
