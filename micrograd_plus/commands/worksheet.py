"""`micrograd-plus worksheet`: writes a sheet to fill in by hand, and its solution."""

from __future__ import annotations

import argparse
from typing import Any

from ..explorer import step_through
from .arguments import add_command, add_expression, read_expression
from .sheets import add_sheet, write_sheets

_EXAMPLE = 'micrograd-plus worksheet "a*b + tanh(a)" a=2 b=-3 -o sheet.pdf'


def add(commands: Any) -> None:
    """Adds the command and its arguments."""
    help_ = "write both passes of an expression as a worksheet with blanks, and its solution"
    parser = add_command(commands, "worksheet", help_, _EXAMPLE)
    add_expression(parser)
    add_sheet(parser, "worksheet.pdf")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Writes both sheets, and prints their paths; as HTML if no PDF can be made."""
    root = read_expression(options)
    explorer = step_through(root, title=options.expression.strip())
    (sheet, solution), how = write_sheets(explorer.worksheet, options.output)
    print(
        f"{options.expression.strip()} = {root.data:g}\nwrote {sheet}\nwrote {solution}\n{how}",
        end="",
    )
    return 0
