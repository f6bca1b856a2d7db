"""`micrograd-plus playground`: writes the explorer as one page for any expression."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..explorer.playground import playground
from ..support.files import write_atomically
from .arguments import add_command


def add(commands: Any) -> None:
    """Adds the command and its arguments."""
    help_ = "write a page in which one types an expression and steps through it, without Python"
    example = "micrograd-plus playground --out page.html"
    parser = add_command(commands, "playground", help_, example)
    parser.add_argument(
        "--out", type=Path, default=Path("playground.html"), help="the HTML file [%(default)s]"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Writes the page, and prints its path and size."""
    path = write_atomically(options.out, playground())
    print(f"wrote {path}, {path.stat().st_size / 1000:.0f} kB: open it in a browser")
    return 0
