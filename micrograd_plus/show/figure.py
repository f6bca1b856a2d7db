"""`Plot`: a matplotlib `Figure` that notebooks display without pyplot.

This module needs matplotlib, so it is imported only when the first plot is made.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ..support.files import write_atomically


class Plot(Figure):
    """A figure; `save("x.png")` writes it to a file."""

    def save(self, path: str | Path) -> Path:
        """Writes the figure to a file, in the format of the file's extension; returns the path."""
        path = Path(path)
        return write_atomically(path, self._content(path.suffix[1:] or "png"))

    def _content(self, kind: str) -> bytes:
        content = BytesIO()
        layout = self.get_layout_engine()
        if layout is not None:
            layout.execute(self)
        # A higher level makes files a sixth to a third smaller, and takes up to twice as long.
        options: Any = {"pil_kwargs": {"compress_level": 3}} if kind == "png" else {}
        # With an engine, savefig would draw the figure twice: once for the layout alone.
        self.set_layout_engine(None)
        try:
            self.savefig(content, format=kind, **options)
        finally:
            self.set_layout_engine(layout)
        return content.getvalue()

    def _repr_png_(self) -> bytes:
        return self._content("png")
