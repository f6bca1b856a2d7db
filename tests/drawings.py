"""Reads back what a picture shows: boxes, arrows and texts, from the SVG that was rendered."""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from xml.etree import ElementTree

SVG = "{http://www.w3.org/2000/svg}"


class Drawn(NamedTuple):
    """boxes: title -> lines of text, an op's sign first; arrows: (tail, head, attributes).

    fills: title -> colour; stripes: title -> all its colours, as in a legend.
    """

    boxes: dict[str, list[str]]
    fills: dict[str, str]
    arrows: list[tuple[str, str, dict[str, str]]]
    texts: list[str]
    stripes: dict[str, list[str]]

    def find(self, *lines: str) -> str:
        """The title of the one box that has all these lines."""
        found = [title for title, texts in self.boxes.items() if set(lines) <= set(texts)]
        if len(found) != 1:
            raise LookupError(f"{len(found)} boxes show {lines}: {self.boxes}")
        return found[0]


def read(picture: Any) -> Drawn:
    return read_svg(picture.pipe("svg", encoding="utf-8"))


def read_svg(svg: str) -> Drawn:
    tree = ElementTree.fromstring(svg)
    drawn = Drawn({}, {}, [], [text_of(text) for text in tree.iter(f"{SVG}text")], {})
    for group in tree.iter(f"{SVG}g"):
        title = group.findtext(f"{SVG}title") or ""
        if group.get("class") == "node":
            drawn.boxes[title] = _lines([text_of(text) for text in group.iter(f"{SVG}text")])
            shapes = [shape for shape in group if not shape.tag.endswith("text")]
            fills = [fill for shape in shapes if (fill := shape.get("fill", "none")) != "none"]
            drawn.stripes[title] = [_hexadecimal(fill) for fill in fills]
            drawn.fills[title] = drawn.stripes[title][0] if fills else "none"
        elif group.get("class") == "edge":
            tail, head = re.split("->", title)
            line = group.find(f"{SVG}path")
            line = next(iter(group.iter(f"{SVG}polygon"))) if line is None else line
            drawn.arrows.append((tail.split(":")[0], head.split(":")[0], dict(line.attrib)))
    return drawn


def text_of(element: ElementTree.Element) -> str:
    return "".join(element.itertext()).replace("\xa0", " ").strip()


def _lines(texts: list[str]) -> list[str]:
    """With one space between a number's name and the number, which may be texts of their own."""
    lines: list[str] = []
    for text in texts:
        if lines and lines[-1] in ("data", "grad"):
            lines[-1] += f" {text}"
        else:
            lines.append(re.sub(r"^(data|grad) +", r"\1 ", text))
    return lines


def _hexadecimal(color: str) -> str:
    return {"white": "#ffffff", "black": "#000000"}.get(color, color)


def rgb(color: str) -> list[int]:
    return [int(color[i : i + 2], 16) for i in (1, 3, 5)]


def contrast(a: str, b: str) -> float:
    """The contrast ratio of two colours, as WCAG 2.2 defines it."""

    def luminance(color: str) -> float:
        parts = [part / 255 for part in rgb(color)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
