"""`Plot`: matplotlib's `Figure`, which shows itself in a notebook without pyplot.

This module is imported when the first plot is made, as it needs matplotlib.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure

from ..support.files import write_atomically

_DOTS_PER_INCH = 150


class Plot(Figure):
    """A figure, sharp enough for a projector; `save("x.png")` writes it to a file."""

    def save(self, path: str | Path) -> Path:
        """Writes the figure in the format that the file's name ends in; returns the path."""
        path = Path(path)
        return write_atomically(path, self._content(path.suffix[1:] or "png"))

    def _content(self, kind: str) -> bytes:
        content = BytesIO()
        self.savefig(content, format=kind, dpi=_DOTS_PER_INCH)
        return content.getvalue()

    def _repr_png_(self) -> bytes:
        return self._content("png")
