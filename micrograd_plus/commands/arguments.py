"""An expression and its numbers as arguments of a command: `"a*b + c" a=2 b=-3 c=10`."""

from __future__ import annotations

import argparse
from typing import Any

from ..engine import Value
from ..parse import parse


def add_command(commands: Any, name: str, help_: str, example: str) -> argparse.ArgumentParser:
    """A command with a help text that ends in an example."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help_,
        description=help_[0].upper() + help_[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def add_expression(parser: argparse.ArgumentParser) -> None:
    """The arguments that `read_expression` reads."""
    parser.add_argument("expression", help='such as "tanh(x*w + b)"; ** is power')
    parser.add_argument("numbers", nargs="*", metavar="name=number", help="one for each name")


def read_expression(options: argparse.Namespace) -> Value:
    """The Value of the expression, after `backward()`; ValueError for bad input."""
    numbers = {}
    for assignment in options.numbers:
        name, equals, number = assignment.partition("=")
        try:
            numbers[name.strip()] = float(number)
        except ValueError:
            equals = ""
        if not equals:
            raise ValueError(f"{assignment!r} should be a name, = and a number, as in x=2.5")
    root = parse(options.expression, numbers)
    root.backward()
    return root
