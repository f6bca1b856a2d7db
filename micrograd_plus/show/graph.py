"""`draw`: the computation graph of a Value as a picture.

>>> from micrograd_plus.engine import Value
>>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
>>> c = a * b
>>> c.backward()
>>> picture = draw(c)
>>> picture.pipe("svg")[:5]
b'<?xml'

Every Value is a box with its label, number and gradient, every op a circle, and every operand
an arrow. A large graph is folded: what one call of a module computed becomes one box.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..engine import Value
from .boxes import Box, Drawing, boxes_of
from .dot import NO_GRADIENTS, escape, lines_of, new_picture, text_width
from .render import RenderError
from .scale import MIXED, NEUTRAL_LINE, Scale, number

if TYPE_CHECKING:
    from .picture import Picture

COLORS = ("gradient", "data", None)

_LONGEST_LINE, _MOST_LINES = 60, 8  # of a label


def draw(
    root: Value,
    *,
    direction: str = "LR",
    precision: int = 4,
    format: str = "svg",  # noqa: A002
    color: str | None = "gradient",
    expand: bool | None = None,
    fold: str | bool | None = None,
    merge: bool | None = None,
) -> Picture:
    """The graph that computed `root`, as a graphviz Digraph.

    In a notebook it shows itself; `.save("x.svg")` or `.png`, `.dot`, … writes it to a file.

    direction: LR, RL, TB or BT, from the leaves to the root.
    precision: digits after the decimal point.
    format: what `.render()` writes.
    color: by "gradient" or "data", orange for negative and blue for positive; or None.
    expand: whether a dot product is drawn as products and their sum; None, if there is room.
    fold: False for every single value; or the name of a module or scope ("Neuron", "Layer",
        "hinge") to draw each call of that size as one box; None, as much as is necessary.
    merge: whether all calls of the same module are one box, as over a batch; None, if needed.

    ValueError for a graph that is too large to be read even so, with advice.

    >>> from micrograd_plus.engine import Value
    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> draw(a * b, direction="TB")
    <Picture: .save('x.svg') writes it to a file>
    """
    if not isinstance(root, Value):
        advice = ": draw one of its elements" if isinstance(root, (list, tuple)) else ""
        raise TypeError(f"draw takes a Value, not the {type(root).__name__} {root!r:.60}{advice}")
    if direction not in _PORTS:
        raise ValueError(f"direction is one of {', '.join(_PORTS)}, not {direction!r}")
    if color not in COLORS:
        raise ValueError(f"color is 'gradient', 'data' or None, not {color!r}")
    if not isinstance(precision, int) or not 0 <= precision <= 17:
        raise ValueError(f"precision is a whole number from 0 to 17, not {precision!r}")

    return _paint(boxes_of(root, expand, fold, merge), direction, precision, color, format)


def draw_dot(root: Value, format: str = "svg", rankdir: str = "LR", **options: Any) -> Picture:  # noqa: A002
    """`draw` under the name and with the arguments it has in micrograd's notebooks.

    >>> from micrograd_plus.engine import Value
    >>> draw_dot(Value(2.0, label="a") ** 2)
    <Picture: .save('x.svg') writes it to a file>
    """
    return draw(root, format=format, direction=rankdir, **options)


def value_mimebundle(
    value: Value, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None
) -> dict[str, str]:
    """How a Value shows itself in a notebook: its graph, and its repr where that fails.

    A graph may be too large to draw, or there may be nothing to draw it with.
    """
    bundle = {"text/plain": repr(value)}
    if value.op is not None:  # a number that nothing computed has no graph
        with suppress(ImportError, RenderError, ValueError):
            bundle |= draw(value)._repr_mimebundle_(exclude=["text/plain"])
    wanted = set(bundle if include is None else include) - set(exclude or ())
    return {kind: content for kind, content in bundle.items() if kind in wanted}


# ---- how it is drawn


def _paint(
    drawing: Drawing,
    direction: str,
    precision: int,
    color: str | None,
    format: str,  # noqa: A002
) -> Picture:
    boxes = drawing.boxes.values()
    gradients = Scale.over(
        [gradient for box in boxes for gradient in box.gradients]
        + [flow for arrow in drawing.arrows for flow in arrow.flows]
    )
    by_gradient = color == "gradient" and drawing.has_gradients
    scale = gradients if by_gradient else Scale.over(n for box in boxes for n in box.data)

    def coloring(box: Box) -> list[float]:
        return box.gradients if by_gradient else box.data if color == "data" else []

    picture = new_picture(format)
    crowding = len(drawing.arrows) / len(drawing.boxes)
    picture.attr(rankdir=direction, nodesep="0.18", ranksep=f"{0.2 + 0.15 * crowding:.2f}")
    if not drawing.has_gradients:
        picture.attr(label=escape(NO_GRADIENTS), labelloc="t", fontsize="14")
    if any(coloring(box) for box in boxes) and scale.largest > 0:
        title = "gradient: fill and width" if by_gradient else "data"
        mixed = any(_has_both_signs(coloring(box)) for box in boxes)
        _add_legend(picture, title, scale, mixed)

    for name, box in drawing.boxes.items():
        if box.kind == "op":
            picture.node(name, escape(box.title), **(_SIGN if len(box.title) <= 3 else _OP))
        elif box.kind == "constant":
            label = f"{_shortened(box.title)} = " * bool(box.title) + f"{box.data[0]:.6g}"
            picture.node(name, escape(label), **_CONSTANT)
        else:
            label = _record(box, precision, drawing.has_gradients)
            picture.node(
                name,
                label if direction in ("LR", "RL") else f"{{{label}}}",
                fillcolor=scale.fill(*coloring(box)) if coloring(box) else "white",
                width=f"{(text_width(_shortened(box.title), 12) + 16) / 72:.2f}",
                **(_VALUE if box.kind == "value" else _GROUP),
            )

    ends = {}
    if crowding > _CROWDED:
        picture.attr(splines="line")
        ends = dict(zip(("tailport", "headport"), _PORTS[direction]))
    for arrow in drawing.arrows:
        if not arrow.flows or not drawing.has_gradients:
            line = {"color": NEUTRAL_LINE, "penwidth": "0.8"}
        else:
            line = gradients.line(*arrow.flows)
            if color != "gradient":
                line["color"] = NEUTRAL_LINE
        picture.edge(arrow.tail, arrow.head, **line, **ends)
    return picture


_VALUE = {"shape": "record", "style": "filled"}
_GROUP = {"shape": "record", "style": "rounded,filled", "penwidth": "1.5"}
_OP = {
    "shape": "box",
    "style": "rounded,filled",
    "fillcolor": "#eeeeee",
    "height": "0.38",
    "margin": "0.1,0.05",
    "ordering": "in",  # a - b has a above b
}
_SIGN = {**_OP, "shape": "circle", "width": "0.38", "fixedsize": "true"}
_LEGEND = {"shape": "box", "height": "0.22", "margin": "0", "fontsize": "10", "penwidth": "0.5"}
_CONSTANT = {
    "shape": "box",
    "style": "rounded",
    "color": "#bbbbbb",
    "fontsize": "11",
    "height": "0.25",
    "width": "0.3",
    "margin": "0.08,0.03",
}
_PORTS = {"LR": "ew", "RL": "we", "TB": "sn", "BT": "ns"}  # where arrows leave and arrive
_CROWDED = 3  # arrows per box, from which on straight ones are clearer


def _record(box: Box, precision: int, has_gradients: bool) -> str:
    """The label of a record: the title, other lines, the number and the gradient."""
    rows = [("data", box.data)]
    if has_gradients and box.gradients:
        rows.append(("grad", box.gradients))
    shown = [(name, _range(numbers, precision)) for name, numbers in rows]
    width = max(len(text) for _, text in shown)
    fields = [
        escape(_shortened(box.title)),
        "".join(escape(line) + "\\l" for line in box.lines),
        "".join(escape(f"{name} {text:>{width}}") + "\\l" for name, text in shown),
    ]
    return "|".join(text for text in fields if text)


def _range(numbers: list[float], precision: int) -> str:
    """The one number, or the smallest and the largest."""
    ends = sorted({min(numbers), max(numbers)})
    return " … ".join(number(end, precision) for end in ends)


def _add_legend(picture: Picture, title: str, scale: Scale, mixed: bool) -> None:
    """Adds a strip with the colours of a few numbers, in a frame.

    mixed: whether the colour of boxes that hold numbers of both signs is shown too.
    """
    keys = [("± both", MIXED)] * mixed + scale.key()
    width = max(len(text) for text, _ in keys) + 2
    picture.attr(pack="8", packmode="node")  # lay it out by itself, then where there is room
    with picture.subgraph(name="cluster_legend") as legend:
        legend.attr(label=title, fontsize="11", color="#bbbbbb", style="rounded", margin="6")
        legend.node(
            "legend",
            escape("".join(text.center(width) for text, _ in keys)),
            style="striped",
            fillcolor=":".join(fill for _, fill in keys),
            **_LEGEND,
        )


def _has_both_signs(numbers: list[float]) -> bool:
    return min(numbers, default=0.0) < 0 < max(numbers, default=0.0)


def _shortened(label: str) -> str:
    lines = lines_of(label)
    kept = [f"{line[:_LONGEST_LINE]}…" if len(line) > _LONGEST_LINE else line for line in lines]
    return "\n".join(kept if len(kept) <= _MOST_LINES else [*kept[:_MOST_LINES], "…"])
