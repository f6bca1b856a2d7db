"""The editions of the course: for students without solutions, for teachers as nbgrader wants it."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import small_course
from small_course import NAME, code, notebook, text, with_answers, write

from micrograd_plus.__main__ import main
from micrograd_plus.classroom.exercises import find, unit_02
from micrograd_plus.course import source
from micrograd_plus.course.build import build
from micrograd_plus.course.cells import checks_in, without_solution

ROOT = Path(__file__).parent.parent


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The course is the small one, in a folder that is returned."""
    folder = tmp_path / "notebooks"
    write(folder / NAME, with_answers(**small_course.SOLUTIONS))
    (folder / "figures").mkdir()
    for name in ("neuron.svg", "other.svg"):
        (folder / "figures" / name).write_text(f"<svg>{name}</svg>")
    (folder / "teacher").mkdir()
    (folder / "teacher" / "02.md").write_text("[02](../02-small.ipynb), ![x](../figures/other.svg)")
    monkeypatch.setattr(source, "folder", lambda: folder)
    monkeypatch.setattr(unit_02, "EXERCISES", small_course.EXERCISES)
    monkeypatch.chdir(tmp_path)
    return folder


def cells_of(path):
    return source.read(path)["cells"]


def sources(path):
    return [source.text(cell) for cell in cells_of(path)]


# ---- solutions in cells


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a = ...\n### BEGIN SOLUTION\na = 1\n### END SOLUTION", "a = ..."),
        ("### BEGIN SOLUTION\na = 1\n### END SOLUTION", "..."),
        (
            "class A:\n    def f(self):\n        ### BEGIN SOLUTION\n        return 1\n"
            "        ### END SOLUTION\n\n    def g(self):\n        b = 2\n"
            "        ### BEGIN SOLUTION\n        return b\n        ### END SOLUTION",
            "class A:\n    def f(self):\n        ...\n\n"
            "    def g(self):\n        b = 2\n        ...",
        ),
        ("b = 1\n### BEGIN HIDDEN TESTS\nassert b\n### END HIDDEN TESTS", "b = 1"),
        ("x = 1  # BEGIN\n%magic", "x = 1  # BEGIN\n%magic"),
    ],
)
def test_a_solution_becomes_a_stub(before, after):
    assert without_solution(before) == after


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ("### BEGIN SOLUTION\na = 1", "### BEGIN SOLUTION in line 1 has no ### END SOLUTION"),
        ("a = 1\n### END SOLUTION", "line 2 has no ### BEGIN SOLUTION with the same"),
        ("def f():\n    ### BEGIN SOLUTION\n    a = 1\n### END SOLUTION", "the same indentation"),
        ("### BEGIN SOLUTION\n### BEGIN SOLUTION\n### END SOLUTION", "line 1 has ended"),
        ("### BEGIN SOLUTION\na\n### END HIDDEN TESTS", "END HIDDEN TESTS in line 3 has no"),
        ("## Begin Solution\na\n### END SOLUTION", "line 1 is '## Begin Solution': a mark is"),
        ("if x:\n### BEGIN SOLUTION\n    a\n### END SOLUTION", "is not valid Python: expected an"),
    ],
)
def test_marks_that_are_not_in_order(small, wrong, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        without_solution(wrong)
    write(small / NAME, notebook(text("# A"), code("1"), code(wrong)))
    for teacher in (False, True):
        with pytest.raises(ValueError, match=r"^02-small.ipynb, cell 3: "):
            build("out", teacher)
    assert not Path("out").exists()


def test_which_exercise_a_cell_checks():
    assert checks_in('mp.classroom.check("02.3", net.w[0])\ncheck("02.4", f)') == [
        ("02.3", "net.w[0]"),
        ("02.4", "f"),
    ]
    for other in ("check(id, f)", "check('02.1')", "print(check('02.1', f))", "def f(:", "%pip"):
        assert checks_in(other) == []


# ---- the student's edition


def test_the_students_edition_has_all_but_the_solutions(small, capsys):
    assert main(["course", "build", "--out", "out"]) == 0
    assert capsys.readouterr().out == "wrote 4 files; begin with out/README.md\n"
    made, own = cells_of(Path("out", NAME)), cells_of(small / NAME)
    assert [cell["cell_type"] for cell in made] == [cell["cell_type"] for cell in own]
    stubs = [text for text in sources(Path("out", NAME)) if "..." in text]
    assert stubs == [
        "slope = ...",
        "def double(x):\n    ...",
        'def total(values):\n    """Their sum."""\n    ...',
        "q1 = ...",
    ]
    start = Path("out", "README.md").read_text()
    assert f"| [02 · Small]({NAME}) | 20 minutes, the core 10 |" in start
    assert Path("out/figures/other.svg").is_file()


def test_no_solution_is_left_in_the_course_itself(tmp_path):
    build(tmp_path)
    made = sorted(tmp_path.glob("*.ipynb"))
    assert [path.name for path in made] == [path.name for path in source.notebooks()]
    for path in made:
        for before, after in zip(cells_of(source.folder() / path.name), cells_of(path)):
            assert "SOLUTION" not in source.text(after)
            solved = "### BEGIN SOLUTION" in source.text(before)
            assert solved == (source.text(before) != source.text(after))
            assert after == before | {"source": after["source"]}


def test_what_a_student_has_changed_is_never_lost(small, capsys):
    build("out")
    mine, picture = Path("out", NAME), Path("out/figures/other.svg")
    write(mine, with_answers())
    solved = mine.read_text()
    (small / "figures" / "other.svg").write_text("<svg>new</svg>")
    assert main(["course", "build", "--out", "out"]) == 0
    assert f"kept, because they were changed:\n  {mine}\n" in capsys.readouterr().out
    assert (mine.read_text(), picture.read_text()) == (solved, "<svg>new</svg>")

    changed = with_answers(**small_course.SOLUTIONS)
    write(small / NAME, changed | {"cells": [*changed["cells"], text("New.")]})
    (small / "figures" / "other.svg").write_text("<svg>newer</svg>")
    assert main(["course", "build", "--out", "out"]) == 2
    complaint = capsys.readouterr().err
    assert "the course has another version of each; nothing is written" in complaint
    assert str(mine) in complaint
    assert (mine.read_text(), picture.read_text()) == (solved, "<svg>new</svg>")

    mine.rename("out/mine.ipynb")
    assert main(["course", "build", "--out", "out"]) == 0
    assert "New." in sources(mine)
    assert Path("out/mine.ipynb").read_text() == solved


def test_a_file_that_the_course_did_not_write_is_not_overwritten(small, capsys):
    Path("out").mkdir()
    Path("out/README.md").write_text("mine")
    assert main(["course", "build", "--out", "out"]) == 2
    assert "out/README.md" in capsys.readouterr().err
    assert [path.name for path in Path("out").iterdir()] == ["README.md"]
    Path("out/.micrograd-plus-course.json").write_text("{")
    assert main(["course", "build", "--out", "out"]) == 2
    assert "is damaged" in capsys.readouterr().err


# ---- the teacher's edition


def test_the_teachers_edition_has_nbgraders_metadata(small):
    build("out", teacher=True)
    path = Path("out/source/02", NAME)
    marked = {
        about["grade_id"]: (cell, about)
        for cell in cells_of(path)
        if (about := cell["metadata"].get("nbgrader"))
    }
    points = {key: about["points"] for key, (_, about) in marked.items() if about["grade"]}
    assert points == {"check-02-1": 1, "check-02-2": 2, "check-02-3": 3, "check-02-q1": 1}
    for key, (cell, about) in marked.items():
        assert about["solution"] == key.startswith("answer") == (not about["locked"])
        assert ("BEGIN SOLUTION" in source.text(cell)) == about["solution"]
    assert source.text(marked["check-02-1"][0]) == (
        'mp.classroom.check("02.1", slope)\n### BEGIN HIDDEN TESTS\n'
        'assert mp.classroom.check("02.1", slope).passed, "02.1 is not right yet"\n'
        "### END HIDDEN TESTS"
    )
    files = {str(path.relative_to("out")) for path in Path("out").rglob("*") if path.is_file()}
    assert files >= {"README.md", "nbgrader_config.py", "teacher/02.md"}
    assert "source/02/figures/neuron.svg" in files
    assert "source/02/figures/other.svg" not in files


@pytest.mark.usefixtures("small")
def test_links_in_the_teachers_pages_hold():
    build("out", teacher=True)
    page = Path("out/teacher/02.md")
    assert page.read_text() == "[02](../source/02/02-small.ipynb), ![x](../figures/other.svg)"
    for link in re.findall(r"\]\((.*?)\)", page.read_text()):
        assert (page.parent / link).is_file()


@pytest.mark.usefixtures("small")
def test_the_two_editions_are_never_in_one_folder(capsys):
    """Else a teacher would hand out the solutions."""
    assert main(["course", "build"]) == 0
    assert main(["course", "build", "--teacher"]) == 0
    assert Path("course", NAME).is_file()
    assert Path("course-teacher/source/02", NAME).is_file()
    assert main(["course", "build", "--teacher", "--out", "course"]) == 2
    assert main(["course", "build", "--out", "course-teacher"]) == 2
    said = capsys.readouterr().err
    assert "course contains the student's edition: name another folder with --out" in said
    assert "course-teacher contains the teacher's edition: name another" in said
    assert not Path("course/source").exists()


def test_links_between_notebooks_hold_in_nbgraders_folders(small):
    write(small / NAME, notebook(text("[next](03-more.ipynb), [me](02-small.ipynb#end), [x](y)")))
    build("out", teacher=True)
    (linked,) = sources(Path("out/source/02", NAME))
    assert linked == "[next](../03/03-more.ipynb), [me](../02/02-small.ipynb#end), [x](y)"


def test_a_solution_that_nothing_checks(small):
    write(small / NAME, notebook(text("# A"), code(small_course.SOLUTIONS["slope"])))
    with pytest.raises(ValueError, match=r"small.ipynb, cell 2: no check cell comes after"):
        build("out", teacher=True)


NBGRADER = """
import json, os, pathlib, shutil, sys
from traitlets.config import Config
import nbgrader.api
from nbgrader.apps.api import NbGraderAPI

nbgrader.api.get_alembic_version = lambda: "new"  # else a process of seconds, for upgrades alone

config = Config()
exec(pathlib.Path("nbgrader_config.py").read_text(), {"get_config": lambda: config})
config.CourseDirectory.root = os.getcwd()
api = NbGraderAPI(config=config)
made = api.generate_assignment(sys.argv[1])
assert made["success"], made["log"]
for student, folder in (("right", "source"), ("half", "release")):
    shutil.copytree(f"{folder}/{sys.argv[1]}", f"submitted/{student}/{sys.argv[1]}")
(path,) = pathlib.Path("submitted/half").rglob("*.ipynb")
begun = json.loads(path.read_text())
for cell in begun["cells"]:
    if cell["metadata"].get("nbgrader", {}).get("grade_id") == f"answer-{sys.argv[1]}-q1":
        cell["source"] = sys.argv[2]
path.write_text(json.dumps(begun))
for student in ("right", "half"):
    graded = api.autograde(sys.argv[1], student)
    assert graded["success"], graded["log"]
    with api.gradebook as book:
        submission = book.find_submission(sys.argv[1], student)
        print(submission.score, submission.max_score)
"""
"""Makes an assignment, hands it in solved and with one answer alone, and grades both."""


def test_nbgrader_generates_and_grades(tmp_path, monkeypatch):
    pytest.importorskip("nbgrader")
    (unit,) = [path for path in source.notebooks() if path.name.startswith("02-value")]
    monkeypatch.setattr(source, "notebooks", lambda: [unit])
    build(tmp_path, teacher=True)
    right_letter = find("02.q1").test.right
    environment = os.environ | {"JUPYTER_DATA_DIR": str(tmp_path / "jupyter")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NBGRADER, "02", f"q1 = {right_letter!r}"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    most = sum(
        about["points"]
        for cell in cells_of(tmp_path / "source/02" / unit.name)
        if (about := cell["metadata"].get("nbgrader", {})).get("grade")
    )
    right, half = ([float(n) for n in line.split()] for line in done.stdout.splitlines())
    assert right == [most, most]
    assert half == [1, most]
    released = (tmp_path / "release/02" / unit.name).read_text()
    assert "SOLUTION" not in released
    assert "HIDDEN TESTS" not in released


# ---- an installed package


def test_an_installed_wheel_contains_the_course(wheel, tmp_path):
    """As `pip install --target` leaves it."""
    with zipfile.ZipFile(wheel) as content:
        content.extractall(tmp_path / "site")
    command = [sys.executable, "-m", "micrograd_plus", "course", "build", "--out", "out"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = {path.name for path in (tmp_path / "out").glob("*.ipynb")}
    assert made == {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    figures = {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    assert figures == {path.name for path in (ROOT / "notebooks" / "figures").iterdir()}
    assert json.loads((tmp_path / "out" / min(made)).read_text())["cells"]


def test_without_the_notebooks_the_error_says_where_they_were_looked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "__file__", str(tmp_path / "a" / "b" / "source.py"))
    with pytest.raises(FileNotFoundError, match=r"are neither in .* nor in .*: install"):
        source.folder()
