"""`micrograd-plus check`: compares the gradients of an expression with central differences."""

from __future__ import annotations

import argparse
from typing import Any

from ..gradcheck import gradcheck
from .arguments import add_command, add_expression, read_expression


def add(commands: Any) -> None:
    """Adds the command and its arguments."""
    help_ = "compare the gradients of an expression with central differences"
    parser = add_command(commands, "check", help_, 'micrograd-plus check "a*b + tanh(a)" a=2 b=-3')
    add_expression(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the report; returns 1 if a gradient is wrong."""
    report = gradcheck(read_expression(options))
    print(report)
    return 0 if report else 1
