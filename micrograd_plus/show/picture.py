"""`Picture`: a graphviz `Digraph` that also works without a Graphviz installation.

This module needs the package graphviz, so it is imported only when the first picture is made.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import graphviz

from ..support.files import write_atomically
from .render import render
from .shown import Name, Shown


class Picture(Shown, graphviz.Digraph):  # type: ignore[misc]
    """A directed graph that notebooks display and that can be saved to a file.

    `save("x.svg")` writes a file in the format of its extension. The other methods are those of
    graphviz.Digraph: `source`, `node`, `edge`, `pipe()`, `render("x")`.
    """

    def save(self, filename: Name | None = None, directory: Name | None = None, **_: Any) -> Path:
        """Writes the picture to `filename`, whose extension gives the format; returns the path.

        .svg, .png and .dot work everywhere, .pdf and others where Graphviz is installed.
        """
        return super().save(filename or self.filename, directory or self.directory)

    def pipe(
        self,
        format: str | None = None,  # noqa: A002
        *,
        engine: str | None = None,
        encoding: str | None = None,
        **_: Any,
    ) -> Any:
        """Returns the picture as bytes, or as text if there is an encoding; the default is SVG."""
        content = render(self.source, format or self.format, engine or self.engine)
        return content.decode(encoding) if encoding else content

    def render(
        self,
        filename: Name | None = None,
        directory: Name | None = None,
        view: bool = False,
        cleanup: bool = False,
        format: str | None = None,  # noqa: A002
        *,
        outfile: Name | None = None,
        engine: str | None = None,
        quiet_view: bool = False,
        **_: Any,
    ) -> str:
        """Writes the DOT source to `filename` and the picture to `filename.svg`.

        format: the format of the picture, by default svg. outfile: another name for the picture.
        cleanup: whether not to keep the source. view: whether to open the picture.
        Returns the path of the picture.
        """
        folder = Path(directory or self.directory)
        chosen = format or (Path(outfile).suffix[1:] if outfile else "") or self.format
        source = folder / (
            filename or (Path(outfile).with_suffix(".gv") if outfile else self.filename)
        )
        picture = folder / outfile if outfile else source.with_name(f"{source.name}.{chosen}")
        content = self.pipe(chosen, engine=engine, encoding=None)
        if not cleanup:
            write_atomically(source, self.source)
        write_atomically(picture, content)
        if view or quiet_view:
            self._view(str(picture), format=chosen, quiet=quiet_view)
        return str(picture)
