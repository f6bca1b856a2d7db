"""`micrograd-plus train`: a network for a table of your own."""

from __future__ import annotations

import argparse
import random
import sys
from functools import partial
from pathlib import Path
from typing import Any

from .. import show
from ..data import train_test_split
from ..engine import Value, no_grad
from ..nested import flatten
from ..nn import MLP, save
from ..optim import Adam
from ..tables import Encoder, Table, read_csv
from ..train import fit
from .arguments import add_command

_EXAMPLE = "micrograd-plus train --csv iris.csv --target species --out iris-model"
_MOST_PROBLEMS = 20


def add(commands: Any) -> None:
    """The command's arguments."""
    parser = add_command(commands, "train", "train a network on a table in a CSV file", _EXAMPLE)
    parser.add_argument("--csv", required=True, type=Path, help="the table, with a header")
    parser.add_argument("--target", required=True, help="the column to be predicted")
    parser.add_argument(
        "--leave-out", nargs="+", default=[], metavar="COLUMN", help="unused columns"
    )
    parser.add_argument("--task", default="auto", choices=["auto", "classification", "regression"])
    parser.add_argument("--skip-bad-rows", action="store_true", help="report them and go on")
    parser.add_argument("--hidden", default="16", help="hidden widths, as 16,16 [%(default)s]")
    parser.add_argument("--epochs", type=int, default=60, help="[%(default)s]")
    parser.add_argument("--batch-size", type=int, default=16, help="[%(default)s]")
    parser.add_argument("--lr", type=float, default=0.01, help="learning rate [%(default)s]")
    parser.add_argument("--held-out", type=float, default=1 / 3, help="share to test on [1/3]")
    parser.add_argument("--seed", type=int, default=0, help="[%(default)s]")
    parser.add_argument("--out", type=Path, default=Path("trained"), help="[%(default)s]")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Trains, measures on the held-out rows, draws and saves; prints what was written."""
    table = read_csv(options.csv)
    encoder = Encoder.learn(table, options.target, options.leave_out, options.task)
    table = _good_rows(table, encoder, options.skip_bad_rows)
    train_rows, test_rows, _, _ = train_test_split(
        table.rows, table.rows, options.held_out, options.seed
    )
    encoder.standardise(Table(table.header, train_rows))
    X, y = encoder.encode(Table(table.header, train_rows))
    X_test, y_test = encoder.encode(Table(table.header, test_rows))

    classes = encoder.target.texts
    model = MLP(
        encoder.width,
        [*_widths(options.hidden), len(classes) or 1],
        activation="tanh",
        generator=random.Random(options.seed),
    )
    kind = f"{len(classes)} classes" if classes else "a number"
    print(f"{len(X)} rows to train on, {len(X_test)} held out; {options.target} is {kind}\n{model}")
    history = fit(
        model,
        X,
        y,
        loss="cross_entropy" if classes else "mse",
        optimizer=Adam(model.parameters(), lr=options.lr, weight_decay=1e-3),
        epochs=options.epochs,
        batch_size=options.batch_size,
        validation=(X_test, y_test),
        generator=random.Random(options.seed),
    )

    options.out.mkdir(parents=True, exist_ok=True)
    save(model, options.out / "model.json", table=encoder.to_dict())
    print(f"\nwrote {options.out / 'model.json'}")
    with no_grad():
        outputs = [[_number(v) for v in flatten(output)] for output in model(X_test)]
    if classes:
        decided = [output.index(max(output)) for output in outputs]
        share = sum(a == b for a, b in zip(decided, y_test)) / len(y_test)
        print(f"right on {share:.1%} of the held-out rows")
        draw_result = partial(show.plot_confusion_matrix, y_test, decided, classes)
    else:
        goal = encoder.target
        truth = [goal.mean + goal.std * t for t in y_test]
        guesses = [goal.mean + goal.std * output[0] for output in outputs]
        _print_regression(truth, guesses, options.target)
        draw_result = partial(show.plot_residuals, truth, guesses, options.target)

    show.plot_loss(history, path=options.out / "loss.png")
    name = "confusion-matrix.png" if classes else "residuals.png"
    draw_result(path=options.out / name)
    print(f"wrote {options.out / 'loss.png'} and {options.out / name}")
    return 0


def _good_rows(table: Table, encoder: Encoder, skip: bool) -> Table:
    """The table without its bad rows, if those are to be skipped; they are always reported."""
    problems = encoder.problems(table)
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


def _widths(text: str) -> list[int]:
    try:
        return [int(width) for width in text.split(",") if width.strip()]
    except ValueError:
        raise ValueError(
            f"--hidden takes whole numbers with commas, as 16,16; not {text!r}"
        ) from None


def _number(value: Any) -> float:
    return value.data if isinstance(value, Value) else float(value)


def _print_regression(truth: list[float], guesses: list[float], name: str) -> None:
    errors = [guess - true for guess, true in zip(guesses, truth)]
    mean = sum(truth) / len(truth)
    spread = sum((true - mean) ** 2 for true in truth)
    squares = sum(error**2 for error in errors)
    explained = 1 - squares / spread if spread else 0.0
    rmse = (squares / len(errors)) ** 0.5
    print(f"on the held-out rows: root mean squared error {rmse:.4g}, in the units of {name}")
    print(f"R² = {explained:.3f} (1 is perfect, 0 is as good as always saying the mean)")
