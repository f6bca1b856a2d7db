"""`micrograd-plus reference`: writes the guide, the gallery and the pages of all public names."""

from __future__ import annotations

import argparse
from typing import Any

from .arguments import add_command, add_folder


def add(commands: Any) -> None:
    """Adds the command and its arguments."""
    help_ = "write the guide, a gallery of all pictures, and the reference of all public names"
    example = "micrograd-plus reference --out reference"
    add_folder(parser := add_command(commands, "reference", help_, example), "reference")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Writes the pages, and prints the path of the first."""
    from ..reference.site import build

    print(f"wrote {build(options.out)}: open it in a browser")
    return 0
