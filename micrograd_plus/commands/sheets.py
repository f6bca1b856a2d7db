"""Sheets for paper, which `worksheet` and `exam` write."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path


def add_sheet(parser: argparse.ArgumentParser, name: str) -> None:
    """Adds the file of the sheet."""
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path(name),
        help="a PDF file, which a browser prints, or an HTML file [%(default)s]",
    )


def write_sheets(
    write: Callable[[Path], tuple[Path, Path]], path: Path
) -> tuple[tuple[Path, Path], str]:
    """Writes two sheets, as HTML if no PDF can be made; gives their paths, and what to do next."""
    how = ""
    try:
        paths = write(path)
    except OSError as error:
        if path.suffix != ".pdf":
            raise
        paths = write(path.with_suffix(".html"))
        how = f"no PDF: {error}\n"
    if paths[0].suffix == ".html":
        how += "open each in a browser, and print it there\n"
    return paths, how
