"""Arguments that several commands share, such as an expression with numbers: `"a*b" a=2 b=-3`."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..engine import Value
from ..formulas.parse import parse


def add_command(commands: Any, name: str, help_: str, example: str) -> argparse.ArgumentParser:
    """Adds a command whose help text ends with an example."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help_,
        description=help_[0].upper() + help_[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def add_folder(parser: argparse.ArgumentParser, folder: str) -> None:
    """Adds the output folder."""
    parser.add_argument(
        "--out", type=Path, default=Path(folder), help="the output folder [%(default)s]"
    )


def add_output(parser: argparse.ArgumentParser, folder: str) -> None:
    """Adds the output folder and the random seed."""
    add_folder(parser, folder)
    parser.add_argument("--seed", type=int, default=0, help="random seed [%(default)s]")


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Adds a folder for checkpoints, and whether to continue from there."""
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FOLDER",
        help="write the training's state there every minute, and after Ctrl-C",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue from the newest checkpoint in that folder, if there is one",
    )


def checkpoint_of(options: argparse.Namespace, training: str = "") -> dict[str, Any]:
    """The arguments `checkpoint` and `resume` of `fit`; ValueError if they do not fit together.

    training: the name of the folder inside, for a command that has several trainings.
    """
    if options.resume and options.checkpoint is None:
        raise ValueError("--resume needs --checkpoint FOLDER, the folder with the checkpoint")
    folder = options.checkpoint and options.checkpoint / training
    return {"checkpoint": folder, "resume": options.resume}


def add_lr(parser: Any, default: float) -> None:
    """Adds the learning rate to a parser or to a group of its arguments."""
    parser.add_argument(
        "--lr", type=above_zero, default=default, help="learning rate [%(default)s]"
    )


def add_number(parser: Any, name: str, default: int, help_: str = "") -> None:
    """Adds a whole number to a parser or to a group of its arguments."""
    parser.add_argument(
        name, type=at_least_one, default=default, help=f"{help_} [%(default)s]".lstrip()
    )


def add_expression(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that `read_expression` reads."""
    parser.add_argument("expression", help='such as "tanh(x*w + b)"; ** is power')
    parser.add_argument("numbers", nargs="*", metavar="name=number", help="the number of each name")


def keep_expressions_whole(arguments: Sequence[str]) -> list[str]:
    """Adds a space before an expression such as `-3*x`: argparse would take it for an option."""
    option = re.compile(r"-[ho]|--[a-z][a-z-]+(=.*)?|-?[\d.]+")
    return [
        f" {text}" if text.startswith("-") and not option.fullmatch(text) else text
        for text in arguments
    ]


def at_least_one(text: str) -> int:
    """Reads a whole number of at least 1."""
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")


def above_zero(text: str) -> float:
    """Reads a number above 0."""
    with suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"must be a number above 0, not {text!r}")


def share(text: str) -> float:
    """Reads a number between 0 and 1."""
    with suppress(ValueError):
        if 0 < float(text) < 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"must be a number between 0 and 1, not {text!r}")


def widths(text: str) -> list[int]:
    """Reads whole numbers separated by commas."""
    parts = [part.strip() for part in text.split(",")]
    if all(part.isdecimal() and int(part) > 0 for part in parts):
        return [int(part) for part in parts]
    raise argparse.ArgumentTypeError(f"must be whole numbers separated by commas, not {text!r}")


def read_expression(options: argparse.Namespace) -> Value:
    """Returns the Value of the expression, after `backward()`; ValueError for bad input."""
    numbers: dict[str, float] = {}
    for assignment in options.numbers:
        name, equals, number = assignment.partition("=")
        if name in numbers:
            raise ValueError(f"{name} is given twice: {numbers[name]:g} and {number}")
        try:
            numbers[name] = float(number)
        except ValueError:
            equals = ""
        if not equals:
            raise ValueError(f"{assignment!r} must be a name, = and a number, such as x=2.5")
    root = parse(options.expression, numbers)
    root.backward()
    return root
