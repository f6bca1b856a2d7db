"""`micrograd-plus explain`: derives the gradients of an expression, as text."""

from __future__ import annotations

import argparse
from typing import Any

from ..engine import topological_order
from ..show import explain
from .arguments import add_command, add_expression, read_expression


def add(commands: Any) -> None:
    """Adds the command and its arguments."""
    help_ = "derive the gradients of an expression step by step"
    parser = add_command(
        commands, "explain", help_, 'micrograd-plus explain "(a*b + a)*c" a=2 b=-3 c=0.5 --wrt a'
    )
    add_expression(parser)
    parser.add_argument("--wrt", metavar="NAME", help="only the gradient of this name")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the derivation."""
    root = read_expression(options)
    leaves = {value.label: value for value in topological_order(root) if value.label}
    if options.wrt is not None and options.wrt not in leaves:
        names = ", ".join(leaves) or "no names"
        raise ValueError(f"--wrt {options.wrt}: the expression has {names}")
    print(explain(root, wrt=leaves.get(options.wrt)))
    return 0
