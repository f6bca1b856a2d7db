"""Reads a table from a CSV file and encodes it as numbers to train a model on.

`read_csv` reads the cells, `Encoder.learn` finds the type of each column, and `Encoder.inputs`
and `Encoder.targets` turn rows into numbers: a column of numbers is standardised (mean 0, standard
deviation 1), a column of texts becomes one 0-or-1 input for each different text. Bad cells are
never ignored: `Encoder.problems` lists them all by row and column.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

MOST_TEXTS = 50  # different texts in one column; a column with more holds names or identifiers


@dataclass
class Row:
    """The cells of one row, and the number of the row in the file; the header is row 1."""

    number: int
    cells: list[str]


@dataclass
class Table:
    """A header and the rows below it, as texts."""

    header: list[str]
    rows: list[Row]

    def column(self, name: str) -> list[str]:
        """Returns the cells of one column; rows that are incomplete are left out."""
        k = self.header.index(name)
        return [row.cells[k] for row in self.rows if len(row.cells) == len(self.header)]


def read_csv(path: str | Path) -> Table:
    """Reads a CSV file whose cells are separated by commas, semicolons or tabs.

    ValueError for a file without a header and rows, or with two columns of the same name.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        separator = max(",;\t", key=text.split("\n", 1)[0].count)
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a CSV file in UTF-8: {error}") from None
    rows = [Row(k, [cell.strip() for cell in cells]) for k, cells in enumerate(lines, start=1)]
    rows = [row for row in rows if any(row.cells)]
    if len(rows) < 2:
        raise ValueError(f"{path} must contain a header and at least one row below it")
    header = rows[0].cells
    doubled = sorted({name for name in header if header.count(name) > 1 or not name})
    if doubled:
        raise ValueError(f"{path}: column names must be different and not empty; check {doubled}")
    return Table(header, rows[1:])


@dataclass
class Column:
    """A column of texts from a list, or of numbers with a mean and a standard deviation."""

    name: str
    texts: list[str] = field(default_factory=list)
    mean: float = 0.0
    std: float = 1.0

    @classmethod
    def learn(cls, name: str, cells: Sequence[str], as_text: bool = False) -> Column:
        """Finds the type of a column: numbers if most of its cells are numbers, otherwise texts."""
        filled = {cell for cell in cells if cell}
        if not _are_numbers(cells):
            return cls(name, texts=sorted(filled))
        if as_text:  # the classes 1, 2, 10; a single text among them is a bad cell, not a class
            return cls(name, texts=sorted(filter(_is_number, filled), key=float))
        column = cls(name)
        column.standardise(cells)
        return column

    def standardise(self, cells: Sequence[str]) -> None:
        """Computes mean and deviation from these cells, if this is a column of numbers."""
        numbers = [float(cell) for cell in cells if _is_number(cell)]
        if not self.texts and numbers:
            self.mean = sum(numbers) / len(numbers)
            variance = sum((x - self.mean) ** 2 for x in numbers) / len(numbers)
            self.std = math.sqrt(variance) or 1.0

    @property
    def width(self) -> int:
        """The number of inputs that encode the column."""
        return len(self.texts) or 1

    def describe(self) -> str:
        """Describes the column, as in `colour (3 texts)`."""
        return f"{self.name} ({f'{len(self.texts)} texts' if self.texts else 'a number'})"

    def problem(self, cell: str) -> str:
        """Describes the problem with a cell; returns an empty string if it is valid."""
        if not cell:
            return "is empty"
        if self.texts:
            unknown = f"contains {cell!r}, which is not a known value of this column"
            return "" if cell in self.texts else unknown
        return "" if _is_number(cell) else f"contains {cell!r}, which is not a number"

    def encode(self, cell: str) -> list[float]:
        """Returns the inputs for one cell."""
        if self.texts:
            return [float(cell == text) for text in self.texts]
        return [(float(cell) - self.mean) / self.std]


@dataclass
class Encoder:
    """Encodes the columns of a table as inputs and a target; it is saved with the model."""

    columns: list[Column]
    target: Column

    @classmethod
    def learn(
        cls, table: Table, target: str, leave_out: Iterable[str] = (), task: str = "auto"
    ) -> Encoder:
        """Finds the type of each column.

        leave_out: columns that are not used.
        task: "classification", "regression", or "auto": a target of texts, or of at most ten
            different whole numbers, is a class.
        """
        for name in (target, *leave_out):
            if name not in table.header:
                close = get_close_matches(name, table.header, n=1)
                hint = f" (did you mean {close[0]!r}?)" if close else ""
                raise ValueError(
                    f"there is no column {name!r}; the columns are {', '.join(table.header)}{hint}"
                )
        used = [name for name in table.header if name != target and name not in leave_out]
        if not used:
            raise ValueError(f"there is no column left to predict {target!r} from")
        columns = [Column.learn(name, table.column(name)) for name in used]
        cells = [cell for cell in table.column(target) if cell]
        as_text = task == "classification" or (task == "auto" and _are_classes(cells))
        goal = Column.learn(target, cells, as_text)
        if wrong := [what for column in (*columns, goal) if (what := _unfit(column))]:
            raise ValueError("\n".join(wrong))
        if goal.texts and task == "regression":
            raise ValueError(f"column {target!r} contains texts: not a target for regression")
        if len(goal.texts) == 1:
            raise ValueError(f"column {target!r} contains only {goal.texts[0]!r}")
        return cls(columns, goal)

    @property
    def width(self) -> int:
        """The number of inputs."""
        return sum(column.width for column in self.columns)

    @property
    def is_classification(self) -> bool:
        """Whether the target is a class rather than a number."""
        return bool(self.target.texts)

    def standardise(self, table: Table) -> None:
        """Computes means and deviations from these rows only: those of the training set."""
        for column in (*self.columns, self.target):
            column.standardise(table.column(column.name))

    def problems(self, table: Table, with_target: bool = True) -> dict[int, list[str]]:
        """Returns descriptions of all invalid cells, by row number."""
        columns = [*self.columns, self.target] if with_target else self.columns
        found: dict[int, list[str]] = {}
        for row in table.rows:
            if len(row.cells) != len(table.header):
                expected = len(table.header)
                found[row.number] = [f"has {len(row.cells)} cells, not {expected}"]
                continue
            cells = dict(zip(table.header, row.cells))
            for column in columns:
                if wrong := column.problem(cells[column.name]):
                    found.setdefault(row.number, []).append(f"column {column.name!r} {wrong}")
        return found

    def inputs(self, table: Table) -> list[list[float]]:
        """Returns X: each row's inputs. No row may have a problem."""
        rows = [dict(zip(table.header, row.cells)) for row in table.rows]
        return [
            [x for column in self.columns for x in column.encode(cells[column.name])]
            for cells in rows
        ]

    def targets(self, table: Table) -> list[Any]:
        """Returns y: each row's class index or standardised number. No row may have a problem."""
        cells = table.column(self.target.name)
        if self.is_classification:
            return [self.target.texts.index(cell) for cell in cells]
        return [self.target.encode(cell)[0] for cell in cells]

    def decode(self, output: Sequence[float]) -> str | float:
        """Turns a model's output for one row into a class, or a number in the target's unit."""
        if self.is_classification:
            return self.target.texts[max(range(len(output)), key=output.__getitem__)]
        return self.target.mean + self.target.std * output[0]

    def to_dict(self) -> dict[str, Any]:
        """Returns the encoder as data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, kept: dict[str, Any]) -> Encoder:
        """Makes the encoder from the data that `to_dict` returned."""
        return cls([Column(**column) for column in kept["columns"]], Column(**kept["target"]))


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _are_numbers(cells: Sequence[str]) -> bool:
    """Whether most of the cells that are not empty are numbers."""
    filled = [cell for cell in cells if cell]
    return sum(map(_is_number, filled)) * 2 > len(filled)


def _are_classes(cells: Sequence[str]) -> bool:
    """Whether a target's cells are texts, or at most ten different whole numbers."""
    numbers = {float(cell) for cell in cells if _is_number(cell)}
    few = len(numbers) <= 10 and all(number.is_integer() for number in numbers)
    return few or not _are_numbers(cells)


def _unfit(column: Column) -> str:
    """Returns why a column cannot be used, or an empty string."""
    in_another_way = [text for text in column.texts if _is_number(_respelled(text))]
    if len(in_another_way) * 2 > len(column.texts) > 2 and not _are_numbers(column.texts):
        return (
            f"column {column.name!r} seems to contain numbers in another notation, such as "
            f"{in_another_way[0]!r}: write them with digits and a decimal point, such as 1234.5"
        )
    if len(column.texts) > MOST_TEXTS:
        return (
            f"column {column.name!r} contains {len(column.texts)} different texts, perhaps names "
            f"or dates; at most {MOST_TEXTS} are allowed: remove it with --leave-out"
        )
    return ""


def _respelled(cell: str) -> str:
    """Rewrites `0,5`, `1.234,50`, `12 %` or `€ 3` as a plain number."""
    bare = cell.strip(" %€$£").replace(" ", "").replace("'", "")
    return re.sub(r"[.,](?=\d{3}\b)", "", bare).replace(",", ".")
