"""Writes what `grading` found: a table for the teacher, and a page for each student."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from ..classroom.exercises import find
from ..classroom.exercises.result import NOT_YET, RIGHT, WRONG
from ..support.files import write_atomically
from .grading import Graded, Mark

_SIGNS = {RIGHT: "✓", WRONG: "✗", NOT_YET: "…"}


def write_report(graded: Sequence[Graded], out: str | Path) -> list[Path]:
    """Writes `grades.csv`, and a page for each student; gives the paths.

    grades.csv: one row a student, one column an exercise, the sum, the highest sum, remarks. An
        earlier table with another content is kept as grades-before.csv: a teacher may have written
        into it.
    """
    out = Path(out)
    table, path = _table(graded), out / "grades.csv"
    if path.is_file() and path.read_bytes() != table.encode():
        path.replace(path.with_stem("grades-before"))
    paths = [write_atomically(path, table)]
    taken: set[str] = set()
    for student in graded:
        name = re.sub(r"[^\w.@+-]+", "-", student.student).strip("-.") or "student"
        while name.lower() in taken:
            name += "-"
        taken.add(name.lower())
        paths.append(write_atomically(out / f"{name}.html", _page(student)))
    return paths


def _table(graded: Sequence[Graded]) -> str:
    ids = list(graded[0].marks)
    for student in graded:  # each has a mark for the same exercises, in an order of its own
        ids = sorted({*ids, *student.marks}, key=_order)
    most = sum(find(id_).level for id_ in ids)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["student", *ids, "sum", "of", "remarks"])
    for student in graded:
        points = [student.marks[id_].points for id_ in ids]
        remarks = "; ".join([*_suspicions(student), *student.remarks])
        writer.writerow([_cell(student.student), *points, sum(points), most, _cell(remarks)])
    return file.getvalue()


def _order(id_: str) -> tuple[str, bool, int]:
    """The order of the exercises in the course: those of a notebook before its quiz."""
    unit, _, rest = id_.partition(".")
    return unit, rest.startswith("q"), int(rest.lstrip("q"))


def _cell(text: str) -> str:
    """Text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _suspicions(student: Graded) -> list[str]:
    ids = [id_ for id_, mark in student.marks.items() if mark.is_suspicious]
    return [f"suspicious: tried to read the solutions ({', '.join(ids)})"] if ids else []


def _page(student: Graded) -> str:
    rows = []
    for id_ in sorted(student.marks, key=_order):
        mark = student.marks[id_]
        rows.append(
            f'<tr class="{mark.result.status.replace(" ", "-")}"><td>{escape(id_)}</td>'
            f"<td>{escape(find(id_).title)}</td>"
            f"<td>{_SIGNS[mark.result.status]} {mark.result.status}</td>"
            f'<td class="points">{mark.points} of {mark.most}</td><td>{_said(mark)}</td></tr>'
        )
    most = sum(mark.most for mark in student.marks.values())
    remarks = "".join(f"<li>{escape(remark)}</li>" for remark in student.remarks)
    filled = {
        "student": escape(student.student),
        "sum": f"{student.points} of {most} points",
        "rows": "\n".join(rows),
        "remarks": remarks and f"<h2>Remarks</h2>\n<ul>{remarks}</ul>",
    }
    page = (files(__package__) / "pages" / "grades.html").read_text(encoding="utf-8")
    return re.sub(r"\{(\w+)\}", lambda name: filled.get(name[1], name[0]), page)


def _said(mark: Mark) -> str:
    """What was said of the answer, and the hint."""
    lines = [f"{label}: {said}" if label else said for label, said in mark.result.rows]
    html = "<br>".join(escape(line) for line in lines)
    if mark.is_suspicious:
        html += "<p><b>No points: the code tried to read the solutions.</b></p>"
    if mark.result.hint:
        html += f"<p><b>Hint:</b> {escape(mark.result.hint)}</p>"
    return html
