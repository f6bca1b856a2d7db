"""`micrograd-plus step`: writes a page that steps through both passes of an expression."""

from __future__ import annotations

import argparse
from typing import Any

from ..explorer import step_through
from .arguments import add_command, add_expression, read_expression

_EXAMPLE = (
    'micrograd-plus step "tanh(x1*w1 + x2*w2 + b)" x1=2 x2=0 w1=-3 w2=1 b=6.88 -o lesson.html'
)


def add(commands: Any) -> None:
    """Adds the command and its arguments."""
    help_ = "write a page that steps through the forward and backward pass of an expression"
    parser = add_command(commands, "step", help_, _EXAMPLE)
    add_expression(parser)
    parser.add_argument("-o", "--output", default="lesson.html", help="the HTML file [%(default)s]")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Writes the page, and prints its path."""
    root = read_expression(options)
    written = step_through(root, title=options.expression.strip()).save(options.output)
    print(f"{options.expression.strip()} = {root.data:g}\nwrote {written}: open it in a browser")
    return 0
