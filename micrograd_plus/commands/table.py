"""`micrograd-plus train --csv FILE`: trains a network on your own table."""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import show
from ..context import no_grad
from ..data import train_test_split
from ..nn import MLP, Module
from ..numbers import number_of
from ..optim import Adam
from ..support.files import make_folder
from ..support.nested import flatten
from ..train import fit
from .arguments import (
    add_checkpoint,
    add_lr,
    add_number,
    add_output,
    checkpoint_of,
    share,
    widths,
)
from .output import require_an_epoch, write_model, write_pictures
from .tables import Encoder, Table, read_csv

_MOST_PROBLEMS = 20

_Pictures = dict[str, Callable[[], Any]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of a training on a table."""
    parser.add_argument("--csv", type=Path, help="the table; its first row holds the column names")
    parser.add_argument("--target", help="the column to predict")
    parser.add_argument(
        "--leave-out", nargs="+", default=[], metavar="COLUMN", help="columns to ignore"
    )
    parser.add_argument(
        "--task",
        default="auto",
        choices=["auto", "classification", "regression"],
        help="auto: a target of texts, or of a few whole numbers, is a class [%(default)s]",
    )
    parser.add_argument("--skip-bad-rows", action="store_true", help="report them and continue")
    parser.add_argument(
        "--hidden", type=widths, default="16", help="widths of the hidden layers, as 16,16 [16]"
    )
    add_number(parser, "--epochs", 60, "passes over the data")
    add_number(parser, "--batch-size", 16, "rows of each step")
    add_lr(parser, 0.01)
    parser.add_argument(
        "--held-out", type=share, default=1 / 3, help="share of rows to test on [1/3]"
    )
    add_checkpoint(parser)
    add_output(parser, "trained")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Trains, tests on the held-out rows, saves and draws; prints the path of each file."""
    if options.csv is None or options.target is None:
        raise ValueError(
            "train needs --csv FILE and --target COLUMN, or one of cnn, rnn, lstm, gpt"
        )
    going_on = checkpoint_of(options)
    table = read_csv(options.csv)
    left_out = [name for given in options.leave_out for name in _columns(given, table.header)]
    encoder = Encoder.learn(table, options.target, left_out, options.task)
    table = good_rows(table, encoder.problems(table), options.skip_bad_rows)
    rows = train_test_split(table.rows, table.rows, options.held_out, options.seed)
    training, held_out = Table(table.header, rows[0]), Table(table.header, rows[1])
    encoder.standardise(training)
    make_folder(options.out)

    classes = encoder.target.texts
    model = MLP(
        encoder.width,
        [*options.hidden, len(classes) or 1],
        activation="tanh",
        generator=random.Random(options.seed),
    )
    kind = f"{len(classes)} classes" if classes else "a number"
    print(f"inputs: {', '.join(column.describe() for column in encoder.columns)}")
    print(f"target: {options.target}, {kind}")
    print(f"{len(training.rows)} rows to train on, {len(held_out.rows)} held out\n{model}")
    history = fit(
        model,
        encoder.inputs(training),
        encoder.targets(training),
        loss="cross_entropy" if classes else "mse",
        optimizer=Adam(model.parameters(), lr=options.lr, weight_decay=1e-3),
        epochs=options.epochs,
        batch_size=options.batch_size,
        validation=(encoder.inputs(held_out), encoder.targets(held_out)),
        generator=random.Random(options.seed),
        **going_on,
    )
    require_an_epoch(history)
    print()
    write_model(model, options.out, table=encoder.to_dict())

    truth = held_out.column(options.target)
    guesses = predictions(model, encoder, held_out)
    report = _report_classes if classes else _report_numbers
    write_pictures(
        {"loss": lambda: show.plot_loss(history), **report(truth, guesses, encoder)}, options.out
    )
    return 0


def predictions(model: Module, encoder: Encoder, table: Table) -> list[Any]:
    """Returns the class or the number that the model predicts for each row."""
    with no_grad():
        outputs = model(encoder.inputs(table))
    return [encoder.decode([number_of(v) for v in flatten(output)]) for output in outputs]


def _columns(given: str, header: list[str]) -> list[str]:
    """The names of columns: one name, or several separated by commas."""
    return [given] if given in header else [name.strip() for name in given.split(",")]


def good_rows(table: Table, problems: dict[int, list[str]], skip: bool) -> Table:
    """Reports the bad rows; returns the table without them, or ValueError unless `skip`."""
    if not problems:
        return table
    lines = [f"  row {number} {what}" for number, wrong in problems.items() for what in wrong]
    shown = "\n".join(lines[:_MOST_PROBLEMS])
    more = f"\n  ... and {len(lines) - _MOST_PROBLEMS} more" * (len(lines) > _MOST_PROBLEMS)
    report = f"{len(problems)} of {len(table.rows)} rows cannot be read:\n{shown}{more}"
    if not skip:
        raise ValueError(f"{report}\nfix them, or skip them with --skip-bad-rows")
    print(f"{report}\nthese rows are skipped", file=sys.stderr)
    return Table(table.header, [row for row in table.rows if row.number not in problems])


def _report_classes(truth: list[str], guesses: list[str], encoder: Encoder) -> _Pictures:
    """Prints the accuracy; returns how to draw the confusion matrix."""
    right = sum(guess == true for guess, true in zip(guesses, truth))
    print(f"accuracy on the held-out rows: {right / len(truth):.1%}")
    classes = encoder.target.texts
    true, guessed = ([classes.index(text) for text in texts] for texts in (truth, guesses))
    return {"confusion-matrix": lambda: show.plot_confusion_matrix(true, guessed, classes)}


def _report_numbers(cells: list[str], guesses: list[float], encoder: Encoder) -> _Pictures:
    """Prints the size of the errors; returns how to draw the residuals."""
    truth = [float(cell) for cell in cells]
    mean = sum(truth) / len(truth)
    spread = sum((true - mean) ** 2 for true in truth)
    squares = sum((guess - true) ** 2 for guess, true in zip(guesses, truth))
    rmse, name = (squares / len(truth)) ** 0.5, encoder.target.name
    print(f"root mean squared error on the held-out rows: {rmse:.4g}, in the unit of {name}")
    if spread:
        explained = 1 - squares / spread
        print(f"R² = {explained:.3f} (1 is perfect; always predicting the mean gives 0)")
    return {"residuals": lambda: show.plot_residuals(truth, guesses, name)}
