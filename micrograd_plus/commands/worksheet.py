"""`micrograd-plus worksheet`: writes a sheet to fill in by hand, and its solution."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..explorer import step_through
from .arguments import add_command, add_expression, read_expression

_EXAMPLE = 'micrograd-plus worksheet "a*b + tanh(a)" a=2 b=-3 -o sheet.pdf'


def add(commands: Any) -> None:
    """Adds the command and its arguments."""
    help_ = "write both passes of an expression as a worksheet with blanks, and its solution"
    parser = add_command(commands, "worksheet", help_, _EXAMPLE)
    add_expression(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("worksheet.pdf"),
        help="a PDF file, which a browser prints, or an HTML file [%(default)s]",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Writes both sheets, and prints their paths; as HTML if no PDF can be made."""
    root = read_expression(options)
    explorer = step_through(root, title=options.expression.strip())
    how = ""
    try:
        paths = explorer.worksheet(options.output)
    except OSError as error:
        if options.output.suffix != ".pdf":
            raise
        paths = explorer.worksheet(options.output.with_suffix(".html"))
        how = f"no PDF: {error}\n"
    if paths[0].suffix == ".html":
        how += "open each in a browser, and print it there\n"
    print(
        f"{options.expression.strip()} = {root.data:g}\nwrote {paths[0]}\nwrote {paths[1]}\n{how}",
        end="",
    )
    return 0
