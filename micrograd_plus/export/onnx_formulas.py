"""Formulas of the op table as nodes of ONNX, so that every activation can be exported."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..ops import TABLE, Op
from ..symbols import Expression, Symbol
from .onnx_graph import Graph

_OPERATIONS = {
    **{"+": "Add", "-": "Sub", "*": "Mul", "/": "Div", "**": "Pow", "neg": "Neg"},
    **{"<": "Less", "<=": "LessOrEqual", ">": "Greater", ">=": "GreaterOrEqual"},
    **{"equal": "Equal", "and": "And", "where": "Where"},
    **{"exp": "Exp", "log": "Log", "sqrt": "Sqrt", "sin": "Sin", "cos": "Cos"},
    **{"tanh": "Tanh", "abs": "Abs"},
}
"""What a part of a formula is called in ONNX."""

_WHOLE = {TABLE["relu"].expression: "Relu", TABLE["sigmoid"].expression: "Sigmoid"}
"""Formulas that are one operation there; other formulas contain them."""


def apply(graph: Graph, op: Op, x: str, settings: Sequence[float] = ()) -> str:
    """Adds the nodes of an op of one array, with its other operands; returns the result.

    ValueError for a formula with a function that ONNX lacks.
    """
    numbers = [*settings, *op.defaults[len(settings) :]]
    operands = dict(zip(op.operands, [x, *map(graph.constant, numbers)]))
    return _Formula(graph, operands).add(op.expression)


class _Formula:
    """Adds the nodes of one formula; `done` has the result of each part."""

    def __init__(self, graph: Graph, operands: dict[str, str]) -> None:
        self.graph = graph
        self.done: dict[Any, str] = {Symbol(name): result for name, result in operands.items()}

    def add(self, part: Any) -> str:
        """The name of the result of a part of the formula."""
        if part not in self.done:
            self.done[part] = self._new(part)
        return self.done[part]

    def _new(self, part: Any) -> str:
        if not isinstance(part, Expression):
            return self.graph.constant(part)
        if part in _WHOLE:
            return self.graph.add(_WHOLE[part], self.done[Symbol("x")])
        arguments = map(self.add, part.args)
        if part.name in _OPERATIONS:
            return self.graph.add(_OPERATIONS[part.name], *arguments)
        if part.name not in _MADE:
            raise ValueError(f"ONNX has no function {part.name!r}")
        return _MADE[part.name](self.graph, *arguments)


def _tan(graph: Graph, x: str) -> str:
    return graph.add("Div", graph.add("Sin", x), graph.add("Cos", x))


def _expm1(graph: Graph, x: str) -> str:
    """tanh(x / 2) * (exp(x) + 1), which is precise near 0."""
    half = graph.add("Tanh", graph.add("Mul", x, graph.constant(0.5)))
    return graph.add("Mul", half, graph.add("Add", graph.add("Exp", x), graph.constant(1.0)))


def _log1p(graph: Graph, x: str) -> str:
    return graph.add("Log", graph.add("Add", x, graph.constant(1.0)))


_STEPS = 8  # from one place to the next, in each unit
_END = 6  # where 1 - erf is below the last digit of a double
_TERMS = 13  # the next one is below 1e-17


def _erf(graph: Graph, x: str) -> str:
    """The Taylor series at the nearest multiple of 1/8, as onnxruntime has Erf in float32 only."""
    size = graph.add("Min", graph.add("Abs", x), graph.constant(_END))
    place = graph.add("Round", graph.add("Mul", size, graph.constant(_STEPS)))
    row = graph.cast(place, "int64")
    row = graph.add("Max", graph.whole(0), graph.add("Min", row, graph.whole(_END * _STEPS)))  # nan
    factors = graph.constant([_taylor(k / _STEPS) for k in range(_END * _STEPS + 1)])
    distance = graph.add("Sub", size, graph.add("Div", place, graph.constant(_STEPS)))
    powers = graph.add(
        "Pow", graph.add("Unsqueeze", distance, graph.whole(-1)), graph.constant(range(_TERMS))
    )
    terms = graph.add("Mul", graph.add("Gather", factors, row), powers)
    series = graph.add("ReduceSum", terms, graph.whole(-1), keepdims=0)
    return graph.add("Mul", graph.add("Sign", x), series)


def _taylor(place: float) -> list[float]:
    """The factors of the powers of (x - place) in erf(x).

    The slope is s(x) = 2/√π exp(-x²), and s' = -2x · s gives each of its factors from the two
    before.
    """
    slope = [0.0, 2 / math.sqrt(math.pi) * math.exp(-place * place)]
    for n in range(1, _TERMS - 1):
        slope.append(-2 * (place * slope[-1] + slope[-2]) / n)
    return [math.erf(place), *[factor / n for n, factor in enumerate(slope[1:], start=1)]]


_MADE: dict[str, Callable[..., str]] = {
    "tan": _tan,
    "expm1": _expm1,
    "log1p": _log1p,
    "erf": _erf,
}
"""Functions that are made of others."""
