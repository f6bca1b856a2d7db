"""Empty pictures, and text in DOT that comes out literally and fits its box.

Text is laid out as Courier. Without font metrics a layout can only guess how wide text will
be, and in a fixed-width font the guess is right: every character is 0.6 em wide.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from .render import FORMATS, SYSTEM_FORMATS
from .scale import TEXT

if TYPE_CHECKING:
    from .picture import Picture

FONT = "Courier"
CHARACTER = 0.6  # the width of a character, in font sizes

NO_GRADIENTS = "backward() has not been called yet: no gradients to show"


def new_picture(format: str = "svg") -> Picture:  # noqa: A002
    """An empty `Picture` with the fonts and colours that all pictures share.

    ValueError for a format that `render` does not know.
    """
    if format.lower() not in FORMATS + SYSTEM_FORMATS:
        raise ValueError(f"format is one of {', '.join(FORMATS + SYSTEM_FORMATS)}, not {format!r}")
    try:
        from .picture import Picture
    except ImportError as error:
        raise ImportError(
            "pictures of graphs are made with the package graphviz: pip install graphviz"
        ) from error
    font = {"fontname": FONT, "fontcolor": TEXT}
    return Picture(
        format=format,
        graph_attr={**font, "bgcolor": "white"},
        node_attr={**font, "fontsize": "12", "color": "#555555"},
        edge_attr={**font, "arrowsize": "0.65"},
    )


def lines_of(text: object) -> list[str]:
    """The lines of `text`, however they end; of a label that is no text, what prints."""
    return re.split("\r\n|\n|\r", str(text))


def escape(text: str) -> str:
    """`text` as a DOT label that shows it literally, in a record's field too.

    A line break starts a new line. What XML has no place for, control characters above all, is
    shown as Python writes it: \\x1b.
    """
    lines = lines_of(text)
    if len(lines) > 1:  # a first line of spaces would bring the bundled Graphviz down, in time
        lines = ["\N{NO-BREAK SPACE}" if line.strip(" ") == "" else line for line in lines]
    return "\\n".join("".join(map(_escaped, line)) for line in lines)


def _escaped(character: str) -> str:
    if character in "{}|<> \\":
        return "\\" + character
    if character == "&":
        return "&amp;"
    if unicodedata.category(character) in ("Cc", "Cs", "Cn"):
        return repr(character)[1:-1].replace("\\", "\\\\")
    return character


def text_width(text: str, size: float) -> float:
    """How wide the widest line of `text` is in points; wide characters count as two."""
    widths = [sum(map(_columns, line)) for line in lines_of(text)]
    return CHARACTER * size * max(widths, default=0)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
