"""The pages of an exam: a sheet for each student, and the answers to all of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from ..classroom.exam import Exam, Paper, every_question
from ..classroom.questions import Question
from ..engine import Value, topological_order
from ..support.words import many
from .explorer import SHEET_SCRIPTS, STYLES, write_page
from .lesson import Lesson, functions, language
from .paper import write_pages
from .views import Views

_TO_FILL_IN = (
    "Fill in the blanks: first the data, from the leaves to L; then the gradients, from L back to "
    "the leaves. A gradient is the derivative of L by a value."
)
_BLANK = '<span class="blank"></span>'
_TO_ANSWER = "Each question is about another graph. Write down how you find the number."


def write_exam(exam: Exam, path: str | Path, title: str) -> tuple[Path, Path]:
    """Writes exam.pdf with two pages for each student, and exam-key.pdf with all answers.

    Returns both paths. The key has for each student the numbers of every graph, all steps, and the
    way to each answer. `write_pages` says which errors there are.
    """
    sheets, key = write_pages(
        path, {"": _page(exam, title, is_key=False), "-key": _page(exam, title, is_key=True)}
    )
    return sheets, key


def _page(exam: Exam, title: str, is_key: bool) -> str:
    write = _answers if is_key else _sheet
    lessons = [Lesson(graph) for graph in exam.papers[0].graphs]
    ops = {op: None for lesson in lessons for op in lesson.ops}
    return write_page(
        "sheet.html",
        title=title,
        data=[{**language(ops), **_form(lesson)} for lesson in lessons],
        styles=(*STYLES, "exam.css"),
        functions=functions(ops, None),
        scripts=(*SHEET_SCRIPTS, "task.js"),
        papers="".join(write(exam, title, i, paper) for i, paper in enumerate(exam.papers, 1)),
        start=f"fillTasks({json.dumps(not is_key)});",
    )


def _form(lesson: Lesson) -> dict[str, Any]:
    """What the page needs to draw a graph, and all others of its form, with other numbers."""
    data = {**lesson.data(), "views": Views(lesson, False, None, 0).data()}
    for node in data["nodes"]:
        if "op" in node:
            node["data"] = 0  # the page computes it
    return data


def _sheet(exam: Exam, title: str, number: int, paper: Paper) -> str:
    """Two pages: the tasks with a picture, and the questions."""
    total = many(sum(exam.points) + len(paper.questions), "point")
    name = escape(paper.name) or f"Name {_BLANK}"
    asked = (
        f'<li><p>{escape(question.prompt)}</p><div class="room"></div>'
        f'<p class="answer">Answer {_BLANK}</p></li>'
        for question in paper.questions
    )
    return "".join(
        [
            _begin(title, f"Student {number} &emsp; {name}", "worksheet"),
            f'<p class="task">{_TO_FILL_IN} There are {total} in all.</p>',
            *(_task(exam, i, graph) for i, graph in enumerate(paper.graphs)),
            "</div>\n",
            _begin(title, escape(paper.name) or f"Student {number}", "worksheet"),
            _heading(len(exam.titles), "One step at a time", len(paper.questions)),
            f'<p>{_TO_ANSWER}</p><ol class="questions">{"".join(asked)}</ol></div>\n',
        ]
    )


def _answers(exam: Exam, title: str, number: int, paper: Paper) -> str:
    """A page with all numbers and steps."""
    whose = f"Student {number}" + f": {escape(paper.name)}" * bool(paper.name)
    tasks = (
        _task(exam, i, graph) + _steps(every_question(graph))
        for i, graph in enumerate(paper.graphs)
    )
    return "".join(
        [
            _begin(f"{title}: key", whose, "solution"),
            *tasks,
            _heading(len(exam.titles), "One step at a time", len(paper.questions)),
            _steps(paper.questions),
            "</div>\n",
        ]
    )


def _begin(title: str, whose: str, kind: str) -> str:
    """The beginning of a page."""
    return (
        f'<div class="sheet wide paper {kind}">'
        f'<div class="head"><h1>{escape(title)}</h1><p>{whose}</p></div>'
    )


def _heading(i: int, title: str, points: int) -> str:
    said = many(points, "point")
    return f'<h2>{i + 1}. {escape(title)} <span class="points">({said})</span></h2>'


def _task(exam: Exam, i: int, graph: Value) -> str:
    """The place of a picture, with the numbers of the leaves, and 0 for all that is computed."""
    leaves = json.dumps([v.data if v.op is None else 0 for v in topological_order(graph)])
    return _heading(i, exam.titles[i], exam.points[i]) + (
        f'<div class="figures graph-task" data-graph="{i}" data-numbers="{leaves}"></div>'
    )


def _steps(of: Sequence[Question]) -> str:
    lines = (f"<li>{escape(question.solution)}</li>" for question in of)
    return f'<ol class="steps">{"".join(lines)}</ol>'
