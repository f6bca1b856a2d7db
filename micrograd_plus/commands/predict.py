"""`micrograd-plus predict`: predicts the target of new rows with a trained model."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from pathlib import Path
from typing import Any

from ..nn import saving
from ..support.files import write_atomically
from .arguments import add_command
from .table import good_rows, predictions
from .tables import Encoder, Table, read_csv

_EXAMPLE = "micrograd-plus predict --model iris-model/model.json --csv new.csv -o answers.csv"


def add(commands: Any) -> None:
    """Adds the command and its arguments."""
    help_ = "predict the target of each row of a table with a model that `train` saved"
    parser = add_command(commands, "predict", help_, _EXAMPLE)
    parser.add_argument(
        "--model", required=True, type=Path, help="model.json as written by `train`"
    )
    parser.add_argument("--csv", required=True, type=Path, help="a table with the same columns")
    parser.add_argument("--skip-bad-rows", action="store_true", help="report them and continue")
    parser.add_argument(
        "-o", "--output", type=Path, help="a CSV file; without it the rows are printed"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Writes the table with one more column, the predicted target."""
    kept = saving.read(options.model)
    if "table" not in kept:
        raise ValueError(f"{options.model} was not trained on a table by `micrograd-plus train`")
    encoder = Encoder.from_dict(kept["table"])
    table = read_csv(options.csv)
    missing = [c.name for c in encoder.columns if c.name not in table.header]
    if missing:
        raise ValueError(f"{options.csv} has no column {', '.join(map(repr, missing))}")
    table = good_rows(table, encoder.problems(table, with_target=False), options.skip_bad_rows)
    predicted = predictions(saving.model_in(kept, options.model).eval(), encoder, table)
    written = _as_csv(table, f"predicted {encoder.target.name}", predicted)
    if options.output:
        print(f"wrote {write_atomically(options.output, written)}")
    else:
        sys.stdout.write(written)
    return 0


def _as_csv(table: Table, name: str, column: list[Any]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*table.header, name])
    for row, value in zip(table.rows, column):
        writer.writerow([*row.cells, value if isinstance(value, str) else f"{value:.6g}"])
    return text.getvalue()
