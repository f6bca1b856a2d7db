"""An optimizer's formula as a program: its examples are the parameters.

`Optimizer.update` is plain Python, written once. Called with symbols it gives formulas, for the
parameter and for what the optimizer remembers, and these become instructions as any other
function's do. What all parameters have in common, as the count of steps, is computed once.

>>> from ..optim import SGD
>>> print(trace(SGD([Value(1.0)], lr=0.1)).later["data"])
(- data (* lr (+ gradient (* 0.0 data))))
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..engine import Constant, Value, apply
from ..ops import TABLE
from ..symbols import Expression, Symbol
from .layout import Program, Store, lay_out
from .recording import Input, recorded
from .simplify import simplify

_OPS = {op.symbol: op for op in reversed(TABLE.values())} | TABLE


@dataclass
class Trace:
    """The formulas of an optimizer, for its first step and for every later one.

    Each says what "data" becomes, and each number that is remembered, by its name.
    kept: the names of what is remembered of each parameter; counted: of all together.
    """

    first: dict[str, Any]
    later: dict[str, Any]
    kept: list[str]
    counted: list[str]

    def programs(self, store: Store) -> list[Program]:
        """The two programs; the settings of both are lr and what is counted."""
        return [self._program(self.first, [], store), self._program(self.later, self.kept, store)]

    def _program(self, formulas: dict[str, Any], known: Sequence[str], store: Store) -> Program:
        """Inputs: gradient, data, what is known; outputs: data, what is kept, lr, counts."""
        lanes = ["gradient", "data", *known]
        inputs = {name: Input(position) for position, name in enumerate(lanes)}
        settings = {name: Value(0.0, label=name) for name in ("lr", *self.counted)}
        values: dict[str, Value] = {**settings, **inputs}

        def compute() -> list[Value]:
            made = [_value(formulas[name], values) for name in ("data", *self.kept)]
            return made + [_value(formulas.get(name, Symbol(name)), values) for name in settings]

        graph = simplify(recorded(compute, list(inputs.values())))
        return lay_out(graph, store, len(lanes), list(settings.values()))


def trace(optimizer: Any) -> Trace:
    """The formulas of `optimizer.update`, from its settings as they are; lr stays a symbol.

    TypeError if `update` needs numbers, as by `if gradient > 0` or `math.sqrt`.
    """
    traced = copy.copy(optimizer)
    traced.lr = Symbol("lr")
    gradient, data = Symbol("gradient"), Symbol("data")

    def formulas(state: dict[str, Any]) -> dict[str, Any]:
        try:
            moved = traced.update(gradient, data, state)
        except TypeError as error:
            raise TypeError(
                f"{type(optimizer).__name__}.update cannot be compiled, since it needs more than "
                "formulas of its arguments; for sqrt, exp and where there is "
                f"micrograd_plus.symbols ({error})"
            ) from None
        return {"data": moved, **state}

    first = formulas({})
    later = formulas({name: Symbol(name) for name in first if name != "data"})
    if first.keys() != later.keys():
        raise TypeError(f"{type(optimizer).__name__}.update remembers other things every time")
    names = [name for name in first if name != "data"]
    counted = list(names)
    while own := [
        name
        for name in counted
        if any(not _symbols(formula[name]) <= {"lr", *counted} for formula in (first, later))
    ]:
        counted = [name for name in counted if name not in own]
    return Trace(first, later, [name for name in names if name not in counted], counted)


def _symbols(formula: Any) -> set[str]:
    """The names of the symbols in a formula."""
    if isinstance(formula, Symbol):
        return {formula.name}
    parts = formula.args if isinstance(formula, Expression) else ()
    return {name for part in parts for name in _symbols(part)}


def _value(formula: Any, values: dict[str, Value]) -> Value:
    """The recorded Value of a formula."""
    if isinstance(formula, Symbol):
        return values[formula.name]
    if not isinstance(formula, Expression):
        return Constant(formula)
    return apply(_OPS[formula.name], *[_value(part, values) for part in formula.args])
