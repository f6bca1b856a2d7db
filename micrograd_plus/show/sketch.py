"""`Sketch`: a picture of a graph as plain data, from which DOT or SVG is written.

All that is seen is decided here: the texts, colours and widths. Where the boxes are is left to
the layout: Graphviz's, or `layout.js` where there is no Graphviz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .boxes import Box, Drawing
from .dot import NO_GRADIENTS, lines_of
from .scale import MIXED, NEUTRAL_LINE, Scale, number

UNKNOWN = "–"  # a gradient that has not been computed
_LONGEST_LINE, _MOST_LINES = 60, 8  # of a label


class Shape(NamedTuple):
    """A box: its op's sign, and below each other the title, lines of text, and named numbers.

    kind: value, constant or group, which have frames of their own.
    """

    kind: str
    sign: str
    title: str
    lines: Sequence[str]
    numbers: Sequence[tuple[str, str]]
    fill: str


class Line(NamedTuple):
    """An arrow between two shapes, which are given by name."""

    tail: str
    head: str
    color: str
    width: str
    dashed: bool


class Legend(NamedTuple):
    """The colours of a few numbers."""

    title: str
    keys: Sequence[tuple[str, str]]


@dataclass
class Sketch:
    """caption: the line above the picture; empty for nothing."""

    direction: str
    caption: str = ""
    legend: Legend | None = None
    shapes: dict[str, Shape] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)

    @property
    def crowding(self) -> float:
        """Arrows per box."""
        return len(self.lines) / max(1, len(self.shapes))


def sketch(drawing: Drawing, direction: str, precision: int, color: str | None) -> Sketch:
    """How a drawing looks; the arguments are those of `draw`."""
    boxes = drawing.boxes.values()
    gradients = Scale.over(
        [gradient for box in boxes for gradient in box.gradients]
        + [flow for arrow in drawing.arrows for flow in arrow.flows]
    )
    by_gradient = color == "gradient" and drawing.has_gradients
    scale = gradients if by_gradient else Scale.over(n for box in boxes for n in box.data)

    def coloring(box: Box) -> list[float]:
        return box.gradients if by_gradient else box.data if color == "data" else []

    made = Sketch(direction, "" if drawing.has_gradients else NO_GRADIENTS)
    if any(coloring(box) for box in boxes) and scale.largest > 0:
        mixed = any(_has_both_signs(coloring(box)) for box in boxes)
        keys = [("± both", MIXED)] * mixed + scale.key()
        made.legend = Legend("gradient: fill and width" if by_gradient else "data", keys)
    for name, box in drawing.boxes.items():
        fill = scale.fill(*coloring(box)) if coloring(box) else "white"
        made.shapes[name] = _shape(box, fill, precision, drawing.has_gradients)
    for arrow in drawing.arrows:
        line = {"color": NEUTRAL_LINE, "penwidth": "0.8"}
        if arrow.flows and drawing.has_gradients:
            line = gradients.line(*arrow.flows)
        made.lines.append(
            Line(
                arrow.tail,
                arrow.head,
                line["color"] if color == "gradient" else NEUTRAL_LINE,
                line["penwidth"],
                "style" in line,
            )
        )
    return made


def _shape(box: Box, fill: str, precision: int, has_gradients: bool) -> Shape:
    title = _shortened(box.title)
    if box.kind == "constant":
        text = f"{title} = " * bool(title) + number(box.data[0], precision)
        return Shape("constant", "", text, (), (), "none")
    numbers = [("data", _range(box.data, precision))]
    if box.gradients:
        gradient = _range(box.gradients, precision) if has_gradients else UNKNOWN
        numbers.append(("grad", gradient))
    kind = "value" if box.kind == "value" else "group"
    return Shape(kind, box.sign, title, box.lines, numbers, fill)


def _range(numbers: list[float], precision: int) -> str:
    """The one number, or the smallest and the largest."""
    ends = sorted({min(numbers), max(numbers)})
    return " … ".join(number(end, precision) for end in ends)


def _has_both_signs(numbers: list[float]) -> bool:
    return min(numbers, default=0.0) < 0 < max(numbers, default=0.0)


def _shortened(label: str) -> str:
    lines = lines_of(label)
    kept = [f"{line[:_LONGEST_LINE]}…" if len(line) > _LONGEST_LINE else line for line in lines]
    return "\n".join(kept if len(kept) <= _MOST_LINES else [*kept[:_MOST_LINES], "…"])
