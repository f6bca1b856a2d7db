"""The command line: `micrograd-plus demo`, `train`, `draw`, `step`, `worksheet` and others."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .commands import (
    check,
    course,
    demo,
    draw,
    exam,
    explain,
    export,
    playground,
    predict,
    reference,
    step,
    train,
    worksheet,
)
from .commands.arguments import keep_expressions_whole
from .show.render import RenderError

COMMANDS = (
    *(demo, train, predict, export, draw, step, playground),
    *(worksheet, exam, explain, check, course, reference),
)
"""In the order in which `micrograd-plus --help` lists them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status.

    0, 1 if a check fails, 2 for bad input, 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(
        prog="micrograd-plus",
        description="Train, draw, step through and check networks made of scalars.",
        epilog="micrograd-plus COMMAND --help shows a command's options and an example.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    given = sys.argv[1:] if arguments is None else arguments
    options = parser.parse_args(keep_expressions_whole(given))
    try:
        return int(options.run(options))
    except (ValueError, OSError, ImportError, RenderError) as error:
        print(f"micrograd-plus: {_said(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("micrograd-plus: stopped by Ctrl-C", file=sys.stderr)
        return 130


def _said(error: Exception) -> str:
    """What is wrong, without the number that the system gives an error."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
