"""`Shown`: what every picture of a graph can do, however it is made: show and save itself."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..support.files import write_atomically
from ..support.rich import selected
from .render import FORMATS

Name = str | os.PathLike[str]


class Shown:
    """A picture with a method `pipe(format, encoding=None)`, which gives it in that format."""

    def pipe(self, format: str | None = None, *, encoding: str | None = None) -> Any:  # noqa: A002
        """The picture in a format, svg unless another was chosen; as text if given an encoding."""
        raise NotImplementedError

    def save(self, filename: Name | None = None, directory: Name | None = None, **_: Any) -> Path:
        """Writes the picture to `filename`, whose extension gives the format; returns the path.

        .svg, .png and .dot work everywhere, .pdf and others where Graphviz is installed.
        """
        path = Path(directory or "", filename or "")
        extension = path.suffix.removeprefix(".")
        if not extension:
            raise ValueError(
                f"{str(filename)!r} has no extension, so the format is unknown: "
                f"use .{', .'.join(FORMATS[:3])} or another"
            )
        return write_atomically(path, self.pipe(extension))

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None, **_: Any
    ) -> dict[str, Any]:
        """Returns the SVG, and HTML with an image of it that is at most as wide as the page."""
        svg = self.pipe("svg", encoding="utf-8")
        encoded = base64.b64encode(svg.encode()).decode()
        source = f"data:image/svg+xml;base64,{encoded}"
        bundle: dict[str, Any] = {
            "text/plain": repr(self),
            "image/svg+xml": svg,
            "text/html": f'<img src="{source}" alt="" style="max-width: 100%">',
        }
        if "image/png" in (include or ()):
            bundle["image/png"] = self.pipe("png")
        return selected(bundle, include or None, exclude)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: .save('x.svg') writes it to a file>"
