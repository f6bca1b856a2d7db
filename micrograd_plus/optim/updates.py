"""The formula of an optimizer, for a machine that updates all parameters at once.

`Optimizer.update` is plain Python, written once. Called with symbols it gives formulas: for the
parameter, and for the optimizer's state. `native.py` writes them as one loop. What is the same
for all parameters, such as the count of steps, is computed before the loop.

>>> from ..engine import Value
>>> from .optimizers import SGD
>>> print(trace(SGD([Value(1.0)], lr=0.1, momentum=0.9)).later["data"])
(- data (* lr (+ (* 0.9 velocity) (* 1.0 gradient))))
"""

from __future__ import annotations

import copy
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..formulas.writers import walk
from ..symbols import Expression, Symbol


@dataclass
class Update:
    """The formulas of an optimizer, for its first step and for every later one.

    Each gives the new "data", and the new numbers of the state, by name.
    kept: the names of the state of each parameter; counted: of the state of all together.
    starts_at_zero: whether the first step is a later one whose state is all zeros.
    """

    first: dict[str, Any]
    later: dict[str, Any]
    kept: list[str]
    counted: list[str]
    starts_at_zero: bool

    def hoisted(self, formulas: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The parts that are the same for all parameters, by new names, and the rest."""
        common = {"lr", *self.counted}
        parts: dict[Expression, Symbol] = {}

        def rest(formula: Any) -> Any:
            if not isinstance(formula, Expression) or not formula.args:
                return formula
            if symbols_in(formula) <= common:
                return parts.setdefault(formula, Symbol(f"common{len(parts)}"))
            if formula.name == "/" and symbols_in(formula.args[1]) <= common:
                dividend, divisor = formula.args  # one division for all, and a product for each
                return rest(dividend) * rest(1.0 / divisor)
            return Expression(formula.name, *map(rest, formula.args))

        remaining = {name: rest(formula) for name, formula in formulas.items()}
        return {symbol.name: part for part, symbol in parts.items()}, remaining


def trace(optimizer: Any) -> Update:
    """The formulas of `optimizer.update`, with its settings as they are; lr stays a symbol.

    TypeError if `update` needs numbers, as for `if gradient > 0` or `math.sqrt`.
    """
    traced = copy.copy(optimizer)
    traced.lr = Symbol("lr")

    def formulas(state: dict[str, Any]) -> dict[str, Any]:
        try:
            moved = traced.update(Symbol("gradient"), Symbol("data"), state)
        except TypeError as error:
            raise TypeError(
                f"{type(optimizer).__name__}.update cannot be compiled, because it needs more "
                "than formulas of its arguments; for sqrt, exp and where there is "
                f"micrograd_plus.symbols ({error})"
            ) from None
        return {"data": moved, **state}

    first = formulas({})
    names = [name for name in first if name != "data"]
    later = formulas({name: Symbol(name) for name in names})
    if first.keys() != later.keys():
        raise TypeError(f"{type(optimizer).__name__}.update remembers other things every time")
    counted = list(names)
    while dependent := [
        name
        for name in counted
        if not symbols_in(first[name]) | symbols_in(later[name]) <= {"lr", *counted}
    ]:
        counted = [name for name in counted if name not in dependent]
    starts_at_zero = False
    with suppress(ArithmeticError, TypeError):  # as for 1 / state
        starts_at_zero = formulas(dict.fromkeys(names, 0.0)) == first
    kept = [name for name in names if name not in counted]
    return Update(first, later, kept, counted, starts_at_zero)


def symbols_in(formula: Any) -> set[str]:
    """The names of the symbols in a formula."""
    return {part.name for part in walk(formula) if isinstance(part, Symbol)}
