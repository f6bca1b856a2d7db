"""`draw`: the computation graph of a Value as a picture.

>>> from micrograd_plus.engine import Value
>>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
>>> c = a * b
>>> c.backward()
>>> picture = draw(c)
>>> picture.pipe("svg")[:5]
b'<?xml'

Every Value is a box with its label, number and gradient, and with the sign of its operation where
its operands arrive; every operand is an arrow. A graph of more than 40 values is folded: what one
call of a module computed becomes one box. The explorer's page shows the same graph in the same way.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..engine import Value
from ..support.rich import selected
from ..support.words import in_short
from .boxes import boxes_of
from .dot import escape, new_picture, text_width
from .render import RenderError
from .sketch import Legend, Shape, Sketch, sketch
from .svg import SvgPicture, as_svg, layout_by_pyodide

if TYPE_CHECKING:
    from .picture import Picture

COLORS = ("gradient", "data", None)


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
) -> Picture | SvgPicture:
    """The graph that computed `root`, as a graphviz Digraph.

    In a notebook it shows itself; `.save("x.svg")` or `.png`, `.dot`, … writes it to a file.
    In Pyodide, where no Graphviz runs, it is an SVG image, laid out as in the explorer's page.

    direction: LR, RL, TB or BT, from the leaves to the root.
    precision: digits after the first; zeros at the end are left out.
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
        advice = ""
        if isinstance(root, (list, tuple)):
            advice = ": draw one of its elements"
        elif hasattr(root, "parameters"):
            advice = ": draw(model(x)) draws a call of it, network(model) its neurons"
        raise TypeError(
            f"draw takes a Value, not the {type(root).__name__} {in_short(root)}{advice}"
        )
    if direction not in _PORTS:
        raise ValueError(f"direction is one of {', '.join(_PORTS)}, not {direction!r}")
    if color not in COLORS:
        raise ValueError(f"color is 'gradient', 'data' or None, not {color!r}")
    if not isinstance(precision, int) or not 0 <= precision <= 17:
        raise ValueError(f"precision is a whole number from 0 to 17, not {precision!r}")

    look = sketch(boxes_of(root, expand, fold, merge), direction, precision, color)
    return picture_of(look, format)


def picture_of(look: Sketch, format: str = "svg") -> Picture | SvgPicture:  # noqa: A002
    """The picture of a sketch."""
    if sys.platform == "emscripten":  # Pyodide: no Graphviz, but JavaScript
        return SvgPicture(as_svg(look, layout_by_pyodide()))
    return _as_dot(look, format)


def draw_dot(root: Value, format: str = "svg", rankdir: str = "LR", **options: Any) -> Any:  # noqa: A002
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
    return selected(bundle, include, exclude)


# ---- as DOT


def _as_dot(sketch: Sketch, format: str) -> Picture:  # noqa: A002
    picture = new_picture(format)
    ranksep = f"{0.45 + 0.15 * sketch.crowding:.2f}"
    picture.attr(rankdir=sketch.direction, nodesep="0.18", ranksep=ranksep)
    if sketch.caption:
        picture.attr(label=escape(sketch.caption), labelloc="t", fontsize="14")
    if sketch.legend:
        _add_legend(picture, sketch.legend)
    across = sketch.direction in ("LR", "RL")
    for name, shape in sketch.shapes.items():
        if shape.kind == "constant":
            picture.node(name, escape(shape.title), **_CONSTANT)
            continue
        width = (text_width(shape.title, 12) + text_width(shape.sign, 12) + 16) / 72
        picture.node(
            name,
            _record(shape, across),
            fillcolor=shape.fill,
            width=f"{width:.2f}",
            **(_VALUE if shape.kind == "value" else _GROUP),
        )
    ends = {}
    if sketch.crowding > _CROWDED:
        picture.attr(splines="line")
        ends = dict(zip(("tailport", "headport"), _PORTS[sketch.direction]))
    for line in sketch.lines:
        picture.edge(
            line.tail,
            line.head,
            color=line.color,
            penwidth=line.width,
            style="dashed" if line.dashed else "solid",
            **ends,
        )
    return picture


_VALUE = {"shape": "record", "style": "filled", "ordering": "in"}  # a - b has a above b
_GROUP = {"shape": "record", "style": "rounded,filled", "penwidth": "1.5"}
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


def _record(shape: Shape, across: bool) -> str:
    """The label of a record: the op's sign, and beside it the title, lines and numbers.

    across: whether the picture runs from side to side, in which case a record's outer fields lie
    below each other, and only its inner ones side by side.
    """
    width = max(len(text) for _, text in shape.numbers)
    fields = [
        escape(shape.title),
        "".join(escape(line) + "\\l" for line in shape.lines),
        "".join(escape(f"{name} {text:>{width}}") + "\\l" for name, text in shape.numbers),
    ]
    column = "|".join(text for text in fields if text)
    if shape.sign:
        column = f"{escape(shape.sign)}|{{{column}}}"
        return f"{{{column}}}" if across else column
    return column if across else f"{{{column}}}"


def _add_legend(picture: Picture, legend: Legend) -> None:
    """Adds a strip with the colours of a few numbers, in a frame."""
    width = max(len(text) for text, _ in legend.keys) + 2
    label = "".join(text.center(width) for text, _ in legend.keys)
    picture.attr(pack="8", packmode="node")  # lay it out by itself, then where there is room
    with picture.subgraph(name="cluster_legend") as framed:
        framed.attr(label=legend.title, fontsize="11", color="#bbbbbb", style="rounded", margin="6")
        framed.node(
            "legend",
            escape(label),
            width=f"{text_width(label, 10) / 72:.3f}",  # Graphviz takes "−" for three letters
            fixedsize="true",
            style="striped",
            fillcolor=":".join(fill for _, fill in legend.keys),
            **_LEGEND,
        )
