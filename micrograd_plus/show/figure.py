"""`Plot`: a matplotlib `Figure` that notebooks display without pyplot.

This module needs matplotlib, so it is imported only when the first plot is made.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure

from ..support.files import write_atomically

_DOTS_PER_INCH = 150


class Plot(Figure):
    """A figure with enough pixels for a projector; `save("x.png")` writes it to a file."""

    def save(self, path: str | Path) -> Path:
        """Writes the figure to a file, in the format of the file's extension; returns the path."""
        path = Path(path)
        return write_atomically(path, self._content(path.suffix[1:] or "png"))

    def _content(self, kind: str) -> bytes:
        content = BytesIO()
        self.savefig(content, format=kind, dpi=_DOTS_PER_INCH)
        return content.getvalue()

    def _repr_png_(self) -> bytes:
        return self._content("png")
