"""`micrograd-plus train`: trains a network on a CSV table, or one of the example models."""

from __future__ import annotations

from typing import Any

from . import cnn, gpt, recurrent, table
from .arguments import add_command

_EXAMPLES = """micrograd-plus train --csv iris.csv --target species --out iris-model
  micrograd-plus train cnn
  micrograd-plus train gpt --width 32 --steps 10000 --lr 0.003"""


def add(commands: Any) -> None:
    """Adds the command, its arguments, and a subcommand for each model."""
    help_ = "train a network on a table in a CSV file, or a CNN, an RNN, an LSTM or a GPT"
    parser = add_command(commands, "train", help_, _EXAMPLES)
    table.add_arguments(parser)
    parser.usage = "%(prog)s --csv FILE --target COLUMN [...]\n       %(prog)s MODEL [...]"
    models = parser.add_subparsers(
        metavar="MODEL", title="models to train instead of a table", prog=parser.prog
    )
    cnn.add(models)
    recurrent.add(models)
    gpt.add(models)
