"""`micrograd-plus export`: writes a trained model to a file that other libraries read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..export import export
from ..nn import saving
from . import onnx_table
from .arguments import add_command
from .tables import Encoder

_EXAMPLE = "micrograd-plus export trained/model.json model.onnx"
_PREPARED = (
    "it takes rows that are prepared as table.columns of {model} says; an .onnx file takes the "
    "columns as they are"
)


def add(commands: Any) -> None:
    """Adds the command and its arguments."""
    help_ = "write a trained model to a file that PyTorch, onnxruntime and others read"
    parser = add_command(commands, "export", help_, _EXAMPLE)
    parser.add_argument("model", type=Path, help="model.json as written by `train`")
    parser.add_argument("output", type=Path, help="an .onnx, .pt2 or .safetensors file")
    parser.add_argument(
        "--dtype", choices=["float64", "float32"], default="float64", help="of the numbers"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Exports, and prints the path of the file."""
    kept = saving.read(options.model)
    model = saving.model_in(kept, options.model).eval()
    about = {name: thing for name, thing in kept.items() if name not in saving.OWN}
    if options.output.suffix == ".onnx" and "table" in kept:
        onnx_table.write(
            model, Encoder.from_dict(kept["table"]), options.output, options.dtype, about
        )
    else:
        export(model, options.output, dtype=options.dtype, **about)
    print(f"wrote {options.output}")
    if options.output.suffix != ".onnx" and "table" in kept:
        print(_PREPARED.format(model=options.model))
    return 0
