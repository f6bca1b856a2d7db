"""Draws an expression for which the student's `Value` is wrong, with the wrong gradients marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...engine import Value
from ...show.boxes import boxes_of
from ...show.graph import picture_of
from ...show.scale import number
from ...show.shown import Shown
from ...show.sketch import sketch
from .expressions import Expression
from .plain import same

_PRECISION = 4


class FailedExpression(Shown):
    """The graph with the right numbers, and below a wrong gradient the student's, marked with ✗."""

    def __init__(self, expression: Expression, grad: Sequence[Any]) -> None:
        self.expression = expression
        self.grad = grad

    def pipe(self, format: str | None = None, *, encoding: str | None = None) -> Any:  # noqa: A002
        """The picture in a format, svg unless another is given."""
        nodes = self.expression.build(Value)
        for node, name in zip(nodes, self.expression.letters()):
            node.label = name
        nodes[-1].backward()
        given = dict(zip(nodes, self.grad))
        drawing = boxes_of(nodes[-1])
        look = sketch(drawing, "LR", _PRECISION, "gradient")
        for name, box in drawing.boxes.items():
            (value,) = box.values
            shape = look.shapes[name]
            if value in given and not same(given[value], value.grad):
                numbers = [*shape.numbers, ("yours", f"{_in_short(given[value])} ✗")]
                look.shapes[name] = shape._replace(numbers=numbers)
        return picture_of(look, format or "svg").pipe(format, encoding=encoding)


def _in_short(gradient: Any) -> str:
    return number(gradient, _PRECISION) if isinstance(gradient, (int, float)) else str(gradient)
