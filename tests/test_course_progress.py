"""The progress of a learner, read from what saved notebooks show."""

from pathlib import Path

import pytest
import small_course
from small_course import NAME, code, notebook, text, write

from micrograd_plus.__main__ import main
from micrograd_plus.classroom import check
from micrograd_plus.classroom.exercises import UNITS, unit_02
from micrograd_plus.classroom.exercises.result import STATUS_MIME
from micrograd_plus.course import progress as course_progress


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    """The course has exercises in notebook 02 alone."""
    monkeypatch.setattr(unit_02, "EXERCISES", small_course.EXERCISES)
    monkeypatch.setattr(
        course_progress, "unit", lambda number: unit_02.EXERCISES if number == "02" else ()
    )
    monkeypatch.chdir(tmp_path)


def saved(id_, answer):
    """A check cell after it has been run."""
    data = check(id_, answer)._repr_mimebundle_()
    shown = {"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": data}
    return code(f"check({id_!r})", outputs=[shown], execution_count=1)


def shown(capsys):
    status = main(["course", "progress"])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_the_last_saved_results_are_shown(capsys):
    cells = [
        saved("02.1", 4.0),
        saved("02.1", -4.0),
        saved("02.2", lambda x: x),
        saved("02.3", ...),
    ]
    printed = {"output_type": "stream", "name": "stdout", "text": "hello"}
    write(Path(NAME), notebook(*cells, code("1", outputs=[printed]), text("x")))
    assert shown(capsys) == (0, (
        "# right   x wrong   . not yet\n\n"
        "02-small  #x..   1 of  4\n\n"
        "1 of 4 exercises right\n"
        "next: 02.2 · Twice, in 02-small.ipynb\n"
    ), "")  # fmt: skip


def test_all_done(capsys):
    answers = {"02.1": -4.0, "02.2": lambda x: 2 * x, "02.3": sum, "02.q1": "b"}
    write(Path(NAME), notebook(*[saved(*pair) for pair in answers.items()]))
    assert shown(capsys)[1].endswith(
        "4 of 4 exercises right\nall exercises in this folder are right\n"
    )


def test_a_notebook_that_was_not_run_or_is_broken(capsys):
    write(Path(NAME), notebook(code("1")))
    assert "....   0 of  4  not run yet, or not saved since\n" in shown(capsys)[1]
    for content in ("{", '{"cells": [1]}', '{"cells": [{"cell_type": "code"}]}'):
        Path(NAME).write_text(content)
        assert "cannot be read: it is not a notebook\n" in shown(capsys)[1]
    for outputs in (3, [3], [{"data": 3}], [{"data": {STATUS_MIME: {"id": [], "status": {}}}}]):
        write(Path(NAME), notebook(code("1", outputs=outputs)))
        assert "0 of 4 exercises right" in shown(capsys)[1]


def test_a_folder_without_notebooks(capsys):
    status, printed, complaint = shown(capsys)
    assert (status, printed) == (2, "")
    assert "there is no notebook of the course in ." in complaint
    assert "course build" in complaint


def test_a_notebook_that_is_not_there_is_said(capsys, monkeypatch):
    monkeypatch.setattr(course_progress, "unit", lambda number: unit_02.EXERCISES)
    write(Path(NAME), notebook(saved("02.1", -4.0)))
    printed = shown(capsys)[1]
    assert printed.count("not in this folder\n") == len(UNITS) - 1
