"""The command line: `micrograd-plus demo`, `train`, `draw`, `step`, `worksheet` and others."""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import platform
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper

from . import __version__
from .commands.arguments import keep_expressions_whole
from .show.render import RenderError

COMMANDS = (
    *("demo", "train", "predict", "export", "draw", "step", "playground"),
    *("worksheet", "exam", "explain", "check", "course", "reference"),
)
"""In the order in which `micrograd-plus --help` lists them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status.

    0, 1 if a check fails, 2 for bad input, 130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a file on Windows may have no letter for an arrow
            stream.reconfigure(errors="replace")
    # NumPy's BLAS, which no command uses, would start a thread on each processor, to wait busily.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Imports and graphs are many objects, and few of them are garbage. So a command, which has a
    # process of its own, seldom looks for it, and not at its end, as Python would, several times.
    gc.set_threshold(200_000)
    atexit.register(gc.freeze)
    parser = argparse.ArgumentParser(
        prog="micrograd-plus",
        description="Train, draw, step through and check networks made of scalars.",
        epilog="micrograd-plus COMMAND --help shows a command's options and an example.",
    )
    version = f"micrograd_plus {__version__}, Python {platform.python_version()}"
    parser.add_argument("--version", action="version", version=version, help="show it and exit")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    given = keep_expressions_whole(sys.argv[1:] if arguments is None else arguments)
    # The modules of the other commands are imported only when all commands are listed.
    chosen = [name for name in given[:1] if name in COMMANDS]
    for name in chosen or COMMANDS:
        import_module(f"{__package__}.commands.{name}").add(commands)
    options = parser.parse_args(given or ["--help"])
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
