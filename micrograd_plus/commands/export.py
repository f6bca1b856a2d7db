"""`micrograd-plus export`: writes a trained model to a file that other libraries read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..export import export
from ..nn import load
from .arguments import add_command

_EXAMPLE = "micrograd-plus export trained/model.json model.safetensors"


def add(commands: Any) -> None:
    """Adds the command and its arguments."""
    help_ = "write a trained model to a file that PyTorch and other libraries read"
    parser = add_command(commands, "export", help_, _EXAMPLE)
    parser.add_argument("model", type=Path, help="model.json as written by `train`")
    parser.add_argument("output", type=Path, help="a .safetensors or .onnx file")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Exports, and prints the path of the file."""
    export(load(options.model).eval(), options.output)
    print(f"wrote {options.output}")
    return 0
