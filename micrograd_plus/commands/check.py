"""`micrograd-plus check`: an expression's gradients against central differences."""

from __future__ import annotations

import argparse
from typing import Any

from ..gradcheck import gradcheck
from .arguments import add_command, add_expression, read_expression


def add(commands: Any) -> None:
    """The command's arguments."""
    help_ = "compare an expression's gradients with central differences"
    parser = add_command(commands, "check", help_, 'micrograd-plus check "a*b + tanh(a)" a=2 b=-3')
    add_expression(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the report; 1 if a gradient is wrong."""
    report = gradcheck(read_expression(options))
    print(report)
    return 0 if report else 1
