"""`micrograd-plus exam`: writes a sheet with different numbers for each student, and the key."""

from __future__ import annotations

import argparse
import csv
import io
from pathlib import Path
from typing import Any

from ..classroom.exam import make_exam
from ..explorer.exam import write_exam
from ..support.words import many
from .arguments import add_command, add_number
from .sheets import add_sheet, write_sheets

_EXAMPLE = "micrograd-plus exam --seed 7 --students 30 -o exam.pdf"


def add(commands: Any) -> None:
    """Adds the command and its arguments."""
    help_ = "write an exam with different numbers for each student, and the key with all steps"
    parser = add_command(commands, "exam", help_, _EXAMPLE)
    parser.add_argument(
        "--seed", type=int, default=0, help="the same seed gives the same exam [%(default)s]"
    )
    who = parser.add_mutually_exclusive_group()
    add_number(who, "--students", 30, "how many; each sheet has a line for the name")
    who.add_argument(
        "--names",
        type=Path,
        metavar="FILE",
        help='a name on each line, or a CSV file with a column "name"',
    )
    parser.add_argument("--title", default="Backpropagation", help="the line above [%(default)s]")
    add_sheet(parser, "exam.pdf")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Writes the sheets and the key, and prints their paths; as HTML if no PDF can be made."""
    names = read_names(options.names) if options.names else [""] * options.students
    exam = make_exam(names, options.seed)
    (sheets, key), how = write_sheets(
        lambda path: write_exam(exam, path, options.title), options.output
    )
    print(
        f"an exam for {many(len(names), 'student')}, two pages each, with seed {options.seed}\n"
        f"wrote {sheets}\nwrote {key}, the key\n{how}",
        end="",
    )
    return 0


def read_names(path: Path) -> list[str]:
    """The names in a file: of a CSV file its column "name", otherwise its lines."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text in UTF-8: {error}") from None
    lines = text.splitlines()
    first = lines[0] if lines else ""
    separator = max(",;\t", key=first.count)
    titles = [t.strip().casefold() for t in next(csv.reader([first], delimiter=separator), [])]
    if "name" in titles:
        place = titles.index("name")
        _, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        lines = [row[place] for row in rows if len(row) > place]
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise ValueError(f"{path} has no names: write one on each line")
    return names
