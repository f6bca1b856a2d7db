"""What a learner has done: the results of the check cells in saved notebooks.

Jupyter saves what a check cell showed together with the notebook. Nothing is run here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..classroom.exercises import UNITS, result, unit
from ..classroom.exercises.result import NOT_YET, RIGHT, WRONG
from ..support.words import many
from . import source

_SIGNS = {RIGHT: "#", WRONG: "x", NOT_YET: "."}


class Unit(NamedTuple):
    """One notebook: its file, what each exercise's last saved result was, and a remark."""

    number: str
    path: Path | None
    results: dict[str, str]
    remark: str


def progress(folder: str | Path) -> list[Unit]:
    """The progress in each notebook of the course, as the files in `folder` say.

    ValueError if there is no notebook of the course in the folder.
    """
    files = {
        path.name[:2]: path
        for path in sorted(Path(folder).glob("*.ipynb"))
        if source.NAME.fullmatch(path.name)
    }
    units = [_unit(number, files.get(number)) for number in UNITS if unit(number)]
    if not any(found.path for found in units):
        raise ValueError(
            f"there is no notebook of the course in {folder}: `micrograd-plus course build --out "
            "course` writes them, and `micrograd-plus course progress course` reads them"
        )
    return units


def _unit(number: str, path: Path | None) -> Unit:
    results = {exercise.id: NOT_YET for exercise in unit(number)}
    if path is None:
        return Unit(number, None, results, "not in this folder")
    try:
        cells = [cell for cell in source.read(path)["cells"] if cell["cell_type"] == "code"]
    except ValueError:
        return Unit(number, path, results, "cannot be read: it is not a notebook")
    for cell in cells:
        results |= {id_: status for id_, status in _saved(cell) if id_ in results}
    was_run = any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
    return Unit(number, path, results, "" if was_run else "not run yet, or not saved since")


def _saved(cell: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The id and the status of each result that a cell shows."""
    shown = cell.get("outputs")
    for output in shown if isinstance(shown, list) else ():
        match output:
            case {"data": {result.STATUS_MIME: {"id": str(id_), "status": str(status)}}}:
                if status in _SIGNS:
                    yield id_, status


def table(units: list[Unit]) -> str:
    """One line for each notebook, then the sum, and what to do next."""
    names = [found.path.stem if found.path else found.number for found in units]
    width = max(map(len, names))
    longest = max(len(found.results) for found in units)
    lines = [f"{_SIGNS[RIGHT]} right   {_SIGNS[WRONG]} wrong   {_SIGNS[NOT_YET]} not yet", ""]
    for name, found in zip(names, units):
        states = list(found.results.values())
        bar = "".join(_SIGNS[state] for state in states)
        share = f"{states.count(RIGHT):2} of {len(states):2}"
        lines.append(f"{name:{width}}  {bar:{longest}}  {share}  {found.remark}".rstrip())
    every = [state for found in units for state in found.results.values()]
    lines += ["", f"{every.count(RIGHT)} of {many(len(every), 'exercise')} right"]
    return "\n".join([*lines, _next(units)])


def _next(units: list[Unit]) -> str:
    """The first exercise that is not right, in a notebook that is there."""
    for found in units:
        for exercise in unit(found.number) if found.path else ():
            if found.results[exercise.id] != RIGHT:
                return f"next: {exercise.id} · {exercise.title}, in {found.path}"
    return "all exercises in this folder are right"
