"""Circles, lines and texts at given places, as SVG that is written without Graphviz.

All numbers are in points; y grows upwards, as in Graphviz.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from .dot import lines_of, text_width
from .scale import TEXT
from .svg import FONT, SvgPicture

_SIZE, _ROW = 12.0, 14.0
_FRAME = "#555555"
KEY_WIDTH, KEY_HEIGHT, KEY_SIZE = 54.0, 18.0, 11.0
_BORDER = 8.0
_DASHES = {"dashed": ' stroke-dasharray="5,2"', "dotted": ' stroke-dasharray="1,5"'}


class Diagram:
    """A picture that grows by one part at a time; the lines are behind the rest."""

    def __init__(self, circle: float) -> None:
        self.radius = circle / 2
        self.places: dict[str, tuple[float, float]] = {}
        self.lines: list[str] = []
        self.parts: list[str] = []
        self.left = self.right = self.top = self.bottom = 0.0

    def circle(self, name: str, text: str, place: tuple[float, float], fill: str) -> None:
        """Adds a circle with a short text in it."""
        x, y = self._placed(place, self.radius, self.radius)
        self.places[name] = (x, y)
        self._add(
            name,
            f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{self.radius}" ry="{self.radius}" '
            f'fill="{fill}" stroke="{_FRAME}"/>{_text(text, x, y, size_in_circle(text))}',
        )

    def text(self, name: str, text: str, place: tuple[float, float]) -> None:
        """Adds a text of one line or more, with its middle at the place."""
        rows = lines_of(text)
        x, y = self._placed(place, text_width(text, _SIZE) / 2, len(rows) * _ROW / 2)
        first = y - (len(rows) - 1) * _ROW / 2
        self._add(name, "".join(_text(row, x, first + i * _ROW) for i, row in enumerate(rows)))

    def key(self, name: str, text: str, place: tuple[float, float], fill: str) -> None:
        """Adds a colour of the legend, with the number that it stands for."""
        x, y = self._placed(place, KEY_WIDTH / 2, KEY_HEIGHT / 2)
        self._add(
            name,
            f'<rect x="{x - KEY_WIDTH / 2:.1f}" y="{y - KEY_HEIGHT / 2:.1f}" '
            f'width="{KEY_WIDTH}" height="{KEY_HEIGHT}" fill="{fill}" stroke="{_FRAME}"/>'
            f"{_text(text, x, y, KEY_SIZE)}",
        )

    def line(self, tail: str, head: str, look: Mapping[str, str]) -> None:
        """Adds a line between two circles; its look is given in Graphviz's words."""
        (x1, y1), (x2, y2) = self.places[tail], self.places[head]
        self.lines.append(
            f'<g class="edge"><title>{escape(f"{tail}->{head}")}</title>'
            f'<path d="M{x1:.1f},{y1:.1f}L{x2:.1f},{y2:.1f}" fill="none" stroke="{look["color"]}" '
            f'stroke-width="{look["penwidth"]}"{_DASHES.get(look.get("style", ""), "")}/></g>'
        )

    def picture(self) -> SvgPicture:
        """The whole picture."""
        width = self.right - self.left + 2 * _BORDER
        height = self.bottom - self.top + 2 * _BORDER
        x, y = f"{self.left - _BORDER:.1f}", f"{self.top - _BORDER:.1f}"
        return SvgPicture(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.1f}" height="{height:.1f}" '
            f'viewBox="{x} {y} {width:.1f} {height:.1f}" style="max-width: 100%; height: auto" '
            f'font-family="{FONT}" fill="{TEXT}">'
            f'<rect x="{x}" y="{y}" width="100%" height="100%" fill="white"/>'
            f"{''.join(self.lines)}{''.join(self.parts)}</svg>"
        )

    def _placed(
        self, place: tuple[float, float], half_width: float, half_height: float
    ) -> tuple[float, float]:
        """The place in SVG's coordinates; the picture grows so that the part fits."""
        x, y = place[0], -place[1]
        self.left, self.right = min(self.left, x - half_width), max(self.right, x + half_width)
        self.top, self.bottom = min(self.top, y - half_height), max(self.bottom, y + half_height)
        return x, y

    def _add(self, name: str, content: str) -> None:
        self.parts.append(f'<g class="node"><title>{escape(name)}</title>{content}</g>')


def size_in_circle(text: str) -> float:
    """The size of a text that fits into a circle."""
    return _SIZE if len(text) <= 3 else 9.0


def _text(text: str, x: float, y: float, size: float = _SIZE) -> str:
    return (
        f'<text x="{x:.1f}" y="{y + size / 3:.1f}" font-size="{size:g}" '
        f'text-anchor="middle">{escape(text)}</text>'
    )
