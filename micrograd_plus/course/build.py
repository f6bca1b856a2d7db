"""Writes the course into a folder: the student's edition, or the teacher's for nbgrader.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     print((Path(folder) / "README.md") in build(folder).written)
True

The student's edition has the notebooks without the solutions. The teacher's edition has them with
the solutions, in the folders and with the cell metadata that nbgrader expects.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from ..classroom.exercises import find
from ..support.files import write_atomically
from . import source
from .cells import checks_in, has_solution, without_solution

_RECORD = ".micrograd-plus-course.json"
"""The file in the output folder that says how each file was when it was written."""

_LINK = re.compile(r"\]\((\d\d)(?=-[\w-]+\.ipynb)")
"""The beginning of a link to another notebook, which nbgrader's layout has in another folder."""

_LINK_OF_A_PLAN = re.compile(r"\]\(\.\./(\d\d)(?=-[\w-]+\.ipynb)")
"""The same in a page for the teacher."""

_CONFIGURATION = "nbgrader_config.py"
"""The file that the teacher's edition alone has."""

_NBGRADER = """\
c = get_config()

c.CourseDirectory.course_id = "micrograd-plus"
c.ClearSolutions.code_stub = {"python": "pass  # write your answer in place of this line"}
c.ExecutePreprocessor.timeout = 120  # seconds for each cell
"""


class Built(NamedTuple):
    """The files that were written, and those that are kept because somebody changed them."""

    written: list[Path]
    kept: list[Path]


def build(out: str | Path, teacher: bool = False) -> Built:
    """Writes the course into the folder `out`. A second time, it writes what is new.

    A file that somebody has changed since is never overwritten: it is kept while the course's own
    file is still the same. ValueError if both have changed: then nothing is written.
    ValueError too if the other edition is in the folder, so that no student gets the solutions, or
    if a notebook of the course is not in order.
    """
    out = Path(out)
    contents = dict(_files(teacher))
    before = _record(out)
    if before and (_CONFIGURATION in before) != teacher:
        edition = "student's" if teacher else "teacher's"
        raise ValueError(f"{out} contains the {edition} edition: name another folder with --out")
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    kept: list[Path] = []
    conflicts: list[Path] = []
    for name, content in contents.items():
        path = out / name
        found = path.read_bytes() if path.is_file() else content
        if found != content and hashlib.sha256(found).hexdigest() != before.get(name):
            (kept if before.get(name) == sums[name] else conflicts).append(path)
    if conflicts:
        names = "\n".join(f"  {path}" for path in conflicts)
        raise ValueError(
            "these files are there already, and the course has another version of each; nothing "
            f"is written:\n{names}\nGive them other names, and run the command again; or name "
            "another folder with --out"
        )
    written = [
        write_atomically(out / name, content)
        for name, content in contents.items()
        if out / name not in kept
    ]
    write_atomically(out / _RECORD, json.dumps(sums, indent=1) + "\n")
    return Built(written, kept)


def _record(out: Path) -> Mapping[str, str]:
    path = out / _RECORD
    if not path.is_file():
        return {}
    try:
        sums = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        sums = None
    if not isinstance(sums, dict):
        raise ValueError(f"{path} is damaged: delete it, or name another folder with --out")
    return sums


def _files(teacher: bool) -> Iterator[tuple[str, bytes]]:
    """The files of an edition: path and content."""
    figures = {path.name: path.read_bytes() for path in source.folder().glob("figures/*")}
    rows = []
    for path in source.notebooks():
        notebook = source.read(path)
        unit = path.name[:2]
        place = f"source/{unit}/" if teacher else ""
        edition = (
            for_nbgrader(path.name, notebook) if teacher else for_students(path.name, notebook)
        )
        yield place + path.name, (json.dumps(edition, indent=1, ensure_ascii=False) + "\n").encode()
        for name, picture in _used(figures, notebook).items() if teacher else ():
            yield f"{place}figures/{name}", picture
        rows.append(_row(place + path.name, notebook))
    if teacher:
        yield from _plans(figures)
        yield _CONFIGURATION, _NBGRADER.encode()
    else:
        yield from ((f"figures/{name}", picture) for name, picture in figures.items())
    page = files(__package__) / "pages" / ("teacher.md" if teacher else "student.md")
    start = page.read_text(encoding="utf-8")
    yield "README.md", start.replace("{notebooks}", "\n".join(rows)).encode()


def _used(figures: Mapping[str, bytes], notebook: Mapping[str, Any]) -> Mapping[str, bytes]:
    """The pictures that a notebook shows."""
    return _named(figures, "".join(source.text(cell) for cell in notebook["cells"]))


def _plans(figures: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """The pages for the teacher, and the pictures to which they link."""
    for path in sorted(source.folder().glob("teacher/*.md")):
        text = path.read_text(encoding="utf-8")
        yield f"teacher/{path.name}", _LINK_OF_A_PLAN.sub(r"](../source/\1/\1", text).encode()
        for name, picture in _named(figures, text).items():
            yield f"figures/{name}", picture


def _named(figures: Mapping[str, bytes], text: str) -> Mapping[str, bytes]:
    """The pictures that a text names."""
    return {name: picture for name, picture in figures.items() if f"figures/{name}" in text}


def _row(path: str, notebook: Mapping[str, Any]) -> str:
    """The notebook's row in the table of the start page: its title, and its time."""
    title, time = opening(notebook)
    return f"| [{title or path}]({path}) | {time} |"


def opening(notebook: Mapping[str, Any]) -> tuple[str, str]:
    """The notebook's title and its time, from its first cell; empty where it has none."""
    text = source.text(notebook["cells"][0])
    title = re.search(r"^# (.*)", text, re.MULTILINE)
    time = re.search(r"\*\*Time\*\* \| (.*?) *\|", text)
    return title[1] if title else "", time[1] if time else ""


# ---- one notebook


def for_students(name: str, notebook: Mapping[str, Any]) -> dict[str, Any]:
    """The notebook without its solutions; `name` is for the error, a ValueError."""
    edition = _copy(notebook)
    for number, cell in enumerate(edition["cells"], 1):
        if cell["cell_type"] == "code":
            with _in_cell(name, number):
                cell["source"] = _lines(without_solution(source.text(cell)))
    return edition


def for_nbgrader(name: str, notebook: Mapping[str, Any]) -> dict[str, Any]:
    """The notebook with its solutions, and with what nbgrader needs in its cells.

    A cell with a solution may be changed by the student. The check cell after it may not, and
    gives the exercise's points in a hidden test.
    """
    edition = _copy(notebook)
    waiting: list[tuple[int, dict[str, Any]]] = []  # cells with a solution, before their check cell
    for number, cell in enumerate(edition["cells"], 1):
        if cell["cell_type"] != "code":
            cell["source"] = _lines(_LINK.sub(r"](../\1/\1", source.text(cell)))
            continue
        with _in_cell(name, number):
            text = source.text(cell)
            if has_solution(text):
                without_solution(text)  # nbgrader's own edition has to be valid Python as well
                waiting.append((number, cell))
            elif checks := checks_in(text):
                ((id_, answer),) = checks
                key, points = id_.replace(".", "-"), find(id_).level
                cell["source"] = _lines(_with_hidden_test(text, id_, answer))
                _mark(cell, f"check-{key}", grade=True, points=points)
                for i, (_, solved) in enumerate(waiting):
                    _mark(solved, f"answer-{key}" + f"-{i + 1}" * (i > 0), solution=True)
                waiting = []
    for number, _ in waiting:
        with _in_cell(name, number):
            raise ValueError("no check cell comes after this solution")
    return edition


def _with_hidden_test(text: str, id_: str, answer: str) -> str:
    return (
        f"{text.rstrip()}\n### BEGIN HIDDEN TESTS\n"
        f'assert mp.classroom.check("{id_}", {answer}).passed, "{id_} is not right yet"\n'
        "### END HIDDEN TESTS"
    )


def _mark(cell: dict[str, Any], key: str, **about: Any) -> None:
    """Adds nbgrader's metadata, of its version 3, to a cell."""
    solution = about.get("solution", False)
    cell.setdefault("metadata", {})["nbgrader"] = {
        "grade": False, "grade_id": key, "locked": not solution, "schema_version": 3,
        "solution": False, "task": False, **about,
    }  # fmt: skip


def _copy(notebook: Mapping[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(dict(notebook))


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


@contextmanager
def _in_cell(name: str, number: int) -> Iterator[None]:
    """Says in a ValueError in which cell it was raised."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{name}, cell {number}: {error}") from error
