"""`micrograd-plus draw`: draws the computation graph of an expression, with its gradients."""

from __future__ import annotations

import argparse
from typing import Any

from ..show import draw
from .arguments import add_command, add_expression, read_expression

_EXAMPLE = 'micrograd-plus draw "tanh(x1*w1 + x2*w2 + b)" x1=2 x2=0 w1=-3 w2=1 b=6.88 -o neuron.svg'


def add(commands: Any) -> None:
    """Adds the command and its arguments."""
    parser = add_command(commands, "draw", "draw an expression's computation graph", _EXAMPLE)
    add_expression(parser)
    parser.add_argument(
        "-o", "--output", default="graph.svg", help="an SVG, PNG or DOT file [%(default)s]"
    )
    parser.add_argument("--direction", default="LR", choices=["LR", "TB"], help="[%(default)s]")
    parser.add_argument("--precision", type=int, default=4, help="digits shown [%(default)s]")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Draws, and prints the path of the picture."""
    root = read_expression(options)
    picture = draw(root, direction=options.direction, precision=options.precision)
    print(f"{options.expression} = {root.data:g}\nwrote {picture.save(options.output)}")
    return 0
