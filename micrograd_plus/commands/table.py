"""`micrograd-plus train --csv FILE`: a network for a table of your own."""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path
from typing import Any

from .. import show
from ..context import no_grad
from ..data import train_test_split
from ..nn import MLP, Module
from ..numbers import number_of
from ..optim import Adam
from ..support.nested import flatten
from ..train import fit
from .arguments import add_lr, add_number, add_output, share, widths
from .output import require_an_epoch, write_model
from .tables import Encoder, Table, read_csv

_MOST_PROBLEMS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of a training on a table."""
    parser.add_argument("--csv", type=Path, help="the table, with a header")
    parser.add_argument("--target", help="the column to be predicted")
    parser.add_argument(
        "--leave-out", nargs="+", default=[], metavar="COLUMN", help="columns not to learn from"
    )
    parser.add_argument(
        "--task",
        default="auto",
        choices=["auto", "classification", "regression"],
        help="what the target is; by itself: texts, or a few whole numbers, are classes",
    )
    parser.add_argument("--skip-bad-rows", action="store_true", help="report them and go on")
    parser.add_argument("--hidden", type=widths, default="16", help="as 16,16 [%(default)s]")
    add_number(parser, "--epochs", 60)
    add_number(parser, "--batch-size", 16)
    add_lr(parser, 0.01)
    parser.add_argument("--held-out", type=share, default=1 / 3, help="rows to test on [1/3]")
    add_output(parser, "trained")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Trains, measures on the held-out rows, saves and draws; prints what was written."""
    if options.csv is None or options.target is None:
        raise ValueError(
            "train takes --csv FILE and --target COLUMN, or one of cnn, rnn, lstm, gpt"
        )
    table = read_csv(options.csv)
    left_out = [name for given in options.leave_out for name in _columns(given, table.header)]
    encoder = Encoder.learn(table, options.target, left_out, options.task)
    table = good_rows(table, encoder.problems(table), options.skip_bad_rows)
    rows = train_test_split(table.rows, table.rows, options.held_out, options.seed)
    training, held_out = Table(table.header, rows[0]), Table(table.header, rows[1])
    encoder.standardise(training)
    options.out.mkdir(parents=True, exist_ok=True)

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
    )
    require_an_epoch(history)
    print()
    write_model(model, options.out, table=encoder.to_dict())

    truth = held_out.column(options.target)
    guesses = predictions(model, encoder, held_out)
    report = _report_classes if classes else _report_numbers
    show.plot_loss(history, path=options.out / "loss.png")
    print(f"wrote {options.out / 'loss.png'} and {report(truth, guesses, encoder, options.out)}")
    return 0


def predictions(model: Module, encoder: Encoder, table: Table) -> list[Any]:
    """For each row the class or the number that the model predicts."""
    with no_grad():
        outputs = model(encoder.inputs(table))
    return [encoder.decode([number_of(v) for v in flatten(output)]) for output in outputs]


def _columns(given: str, header: list[str]) -> list[str]:
    """One column's name, or several with commas between them."""
    return [given] if given in header else [name.strip() for name in given.split(",")]


def good_rows(table: Table, problems: dict[int, list[str]], skip: bool) -> Table:
    """The table without its bad rows, if those are to be skipped; they are always reported."""
    if not problems:
        return table
    lines = [f"  row {number} {what}" for number, wrong in problems.items() for what in wrong]
    shown = "\n".join(lines[:_MOST_PROBLEMS])
    more = f"\n  ... and {len(lines) - _MOST_PROBLEMS} more" * (len(lines) > _MOST_PROBLEMS)
    report = f"{len(problems)} of {len(table.rows)} rows cannot be read:\n{shown}{more}"
    if not skip:
        raise ValueError(f"{report}\nmend them, or leave them out with --skip-bad-rows")
    print(f"{report}\nthey are left out", file=sys.stderr)
    return Table(table.header, [row for row in table.rows if row.number not in problems])


def _report_classes(truth: list[str], guesses: list[str], encoder: Encoder, out: Path) -> Path:
    """Prints the share of right decisions and draws the confusion matrix; returns its path."""
    right = sum(guess == true for guess, true in zip(guesses, truth))
    print(f"right on {right / len(truth):.1%} of the held-out rows")
    classes, path = encoder.target.texts, out / "confusion-matrix.png"
    true, guessed = ([classes.index(text) for text in texts] for texts in (truth, guesses))
    show.plot_confusion_matrix(true, guessed, classes, path=path)
    return path


def _report_numbers(cells: list[str], guesses: list[float], encoder: Encoder, out: Path) -> Path:
    """Prints how far off the guesses are and draws the residuals; returns the picture's path."""
    truth = [float(cell) for cell in cells]
    mean = sum(truth) / len(truth)
    spread = sum((true - mean) ** 2 for true in truth)
    squares = sum((guess - true) ** 2 for guess, true in zip(guesses, truth))
    rmse, name = (squares / len(truth)) ** 0.5, encoder.target.name
    print(f"on the held-out rows: root mean squared error {rmse:.4g}, in the units of {name}")
    if spread:
        explained = 1 - squares / spread
        print(f"R² = {explained:.3f} (1 is perfect, 0 is as good as always saying the mean)")
    path = out / "residuals.png"
    show.plot_residuals(truth, guesses, name, path=path)
    return path
