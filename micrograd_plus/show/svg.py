"""SVG written without Graphviz: a sketch, laid out by the explorer's `layout.js`.

In Pyodide, Python runs beside JavaScript, so that the page's layout serves pictures as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from importlib.resources import files
from typing import Any, NamedTuple

from .dot import lines_of, text_width
from .render import RenderError
from .scale import TEXT
from .shown import Shown
from .sketch import Shape, Sketch

Layout = Callable[[list[dict[str, float]], list[dict[str, int]]], dict[str, Any]]
"""What `layOut` in layout.js takes and gives."""

_SIZE, _ROW, _MARGIN, _TAB = 12.0, 16.0, 8.0, 30.0
_FRAME, _TAB_FILL, _CONSTANT_FRAME = "#555555", "#e9e9ec", "#bbbbbb"
FONT = "ui-monospace, 'DejaVu Sans Mono', Menlo, 'Liberation Mono', monospace"
_ARROW, _HALF_HEAD = 8.0, 3.5  # an arrow head's length, and half of its width
_KEY_WIDTH, _KEY_HEIGHT = 64.0, 18.0  # of a colour in the legend
_BORDER = 8.0


class SvgPicture(Shown):
    """A picture as SVG, which is the only format that it can be written in."""

    def __init__(self, svg: str) -> None:
        self.svg = svg

    def pipe(self, format: str | None = None, *, encoding: str | None = None) -> Any:  # noqa: A002
        """The SVG, as bytes; as text if given an encoding."""
        if (format or "svg").lower() != "svg":
            raise RenderError(f"without Graphviz a picture is written as svg, not as {format!r}")
        return self.svg if encoding else self.svg.encode()


def layout_source() -> str:
    """The text of layout.js."""
    return files("micrograd_plus").joinpath("explorer", "layout.js").read_text("utf-8")


def layout_by_pyodide() -> Layout:
    """`layOut` in the JavaScript that Pyodide runs in."""
    from pyodide.code import run_js

    call = run_js(f"{layout_source()}\n(request) => JSON.stringify(layOut(...JSON.parse(request)))")
    return lambda boxes, edges: json.loads(call(json.dumps([boxes, edges])))


class _Size(NamedTuple):
    width: float
    height: float
    tab: float  # the width of the field with the op's sign


def as_svg(sketch: Sketch, layout: Layout) -> str:
    """The picture of a sketch."""
    upright = sketch.direction in ("TB", "BT")
    sizes = {name: _size(shape) for name, shape in sketch.shapes.items()}
    index = {name: i for i, name in enumerate(sizes)}
    boxes = [
        {"w": height, "h": width} if upright else {"w": width, "h": height}
        for width, height, _ in sizes.values()
    ]
    arrived: dict[str, int] = {}
    edges = []
    for line in sketch.lines:
        edge = {"from": index[line.tail], "to": index[line.head]}
        if sketch.shapes[line.head].sign:  # operands arrive in their order
            edge["port"] = arrived[line.head] = arrived.get(line.head, -1) + 1
        edges.append(edge)
    laid = layout(boxes, edges)
    turn = _turned(sketch.direction, laid["width"], laid["height"])
    width, height = laid["height"], laid["width"]
    if not upright:
        width, height = height, width

    parts = []
    for line, curve, tip in zip(sketch.lines, laid["curves"], laid["tips"]):
        dashes = ' stroke-dasharray="5,2"' if line.dashed else ""
        head = [tip, *_base_of_head(curve[-1], tip)]
        points = [f"{x:.1f},{y:.1f}" for x, y in map(turn, curve)]
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(turn, head))
        parts.append(
            f'<g class="edge"><title>{escape(f"{line.tail}->{line.head}")}</title>'
            f'<path d="M{points[0]}C{" ".join(points[1:])}" fill="none" stroke="{line.color}" '
            f'stroke-width="{line.width}"{dashes}/>'
            f'<polygon points="{corners}" fill="{line.color}"/></g>'
        )
    for (name, shape), place, box in zip(sketch.shapes.items(), laid["places"], boxes):
        corners_ = [turn(place), turn((place[0] + box["w"], place[1] + box["h"]))]
        x, y = (min(axis) for axis in zip(*corners_))
        parts.append(
            f'<g class="node" transform="translate({x:.1f},{y:.1f})">'
            f"<title>{escape(name)}</title>{_box(shape, sizes[name])}</g>"
        )
    top = 0.0
    if sketch.caption:
        top = 1.5 * _ROW
        width = max(width, text_width(sketch.caption, _SIZE))
        parts.append(_text(sketch.caption, width / 2, -0.5 * _ROW, "middle"))
    if sketch.legend:
        keys = sketch.legend.keys
        height += 2.5 * _ROW
        width = max(width, _KEY_WIDTH * len(keys))
        parts.append(_text(sketch.legend.title, 0, height - _KEY_HEIGHT - 5, "start"))
        parts.append('<g class="node"><title>legend</title>')
        for i, (text, fill) in enumerate(keys):
            left, above = i * _KEY_WIDTH, height - _KEY_HEIGHT
            frame = f'width="{_KEY_WIDTH}" height="{_KEY_HEIGHT}" stroke="{_CONSTANT_FRAME}"'
            parts.append(f'<rect x="{left}" y="{above}" {frame} fill="{fill}"/>')
            parts.append(_text(text, left + _KEY_WIDTH / 2, height - 5, "middle"))
        parts.append("</g>")
    width, height = width + 2 * _BORDER, height + top + 2 * _BORDER
    view = f"{-_BORDER} {-top - _BORDER} {width:.1f} {height:.1f}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.1f}" height="{height:.1f}" '
        f'viewBox="{view}" style="max-width: 100%; height: auto" font-family="{FONT}" '
        f'font-size="{_SIZE:g}" fill="{TEXT}">'
        f'<rect x="{-_BORDER}" y="{-top - _BORDER}" width="100%" height="100%" fill="white"/>'
        f"{''.join(parts)}</svg>"
    )


def _turned(direction: str, width: float, height: float) -> Callable[[Any], tuple[float, float]]:
    """Where a point of a layout from left to right goes in a picture of another direction."""
    return {
        "LR": lambda point: (point[0], point[1]),
        "RL": lambda point: (width - point[0], point[1]),
        "TB": lambda point: (point[1], point[0]),
        "BT": lambda point: (point[1], width - point[0]),
    }[direction]


def _base_of_head(end: Any, tip: Any) -> list[tuple[float, float]]:
    """The two corners of an arrow head behind its tip; edges arrive level."""
    back = -_ARROW if tip[0] >= end[0] else _ARROW
    return [(tip[0] + back, tip[1] - _HALF_HEAD), (tip[0] + back, tip[1] + _HALF_HEAD)]


def _size(shape: Shape) -> _Size:
    texts = [shape.title, *shape.lines, *(f"{name} {text}" for name, text in shape.numbers)]
    tab = max(_TAB, text_width(shape.sign, _SIZE) + 2 * _MARGIN) if shape.sign else 0.0
    width = max(text_width(text, _SIZE) for text in texts) + 2 * _MARGIN
    rows = len(_rows(shape))
    return _Size(width + tab, rows * _ROW + (4 if shape.kind == "constant" else 8), tab)


def _rows(shape: Shape) -> list[str]:
    return [*(lines_of(shape.title) if shape.title else []), *shape.lines, *map(str, shape.numbers)]


def _box(shape: Shape, size: _Size) -> str:
    width, height, tab = size
    radius = {"value": 4, "constant": 8, "group": 10}[shape.kind]
    line = _CONSTANT_FRAME if shape.kind == "constant" else _FRAME
    stroke = 1.5 if shape.kind == "group" else 1
    frame = f'width="{width:.1f}" height="{height:.1f}" rx="{radius}"'
    parts = [f'<rect {frame} fill="{shape.fill}" stroke="{line}" stroke-width="{stroke}"/>']
    if shape.sign:
        outline = (
            f"M{tab},0H{radius}A{radius},{radius} 0 0 0 0,{radius}V{height - radius}"
            f"A{radius},{radius} 0 0 0 {radius},{height}H{tab}Z"
        )
        parts.append(f'<path d="{outline}" fill="{_TAB_FILL}" stroke="{line}"/>')
        parts.append(_text(shape.sign, tab / 2, height / 2 + 4, "middle", "bold"))
    y = (height - _ROW * len(_rows(shape))) / 2 + 12
    middle = (tab + width) / 2
    for text in lines_of(shape.title) if shape.title else []:
        parts.append(_text(text, middle, y, "middle", "normal" if line != _FRAME else "bold"))
        y += _ROW
    for text in shape.lines:
        parts.append(_text(text, tab + _MARGIN, y, "start"))
        y += _ROW
    for name, text in shape.numbers:
        parts.append(_text(name, tab + _MARGIN, y, "start"))
        parts.append(_text(text, width - _MARGIN, y, "end"))
        y += _ROW
    return "".join(parts)


def _text(text: str, x: float, y: float, anchor: str, weight: str = "normal") -> str:
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    bold = ' font-weight="bold"' if weight == "bold" else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{bold} '
        f'xml:space="preserve">{escape(shown)}</text>'
    )
