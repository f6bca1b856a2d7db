"""Grading a class: each submission costs only its own points, whatever its code does."""

import csv
from pathlib import Path

import pytest
import small_course
from small_course import NAME, with_answers, write

from micrograd_plus.__main__ import main
from micrograd_plus.classroom.exercises import unit_02
from micrograd_plus.course import source

PACKAGE = Path(source.__file__).parent.parent


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    """The course is the small one."""
    write(tmp_path / "notebooks" / NAME, with_answers(**small_course.SOLUTIONS))
    monkeypatch.setattr(source, "folder", lambda: tmp_path / "notebooks")
    monkeypatch.setattr(unit_02, "EXERCISES", small_course.EXERCISES)
    monkeypatch.chdir(tmp_path)


FORGED = """
import json, os, sys
import micrograd_plus.classroom.exercises.check as checks
from micrograd_plus.classroom.exercises.result import Result
mp.classroom.check = checks.check = checks.judge = lambda id, *_, **__: Result(id, "right")
print(json.dumps({"outcomes": [[-4.0, "", "", ""]], "is_begun": True, "attempts": []}))
for number in range(3, 12):
    try:
        os.write(number, b'{"id": "02.1", "status": "right", "outcomes": [], "attempts": []}\\n')
    except OSError:
        pass
open("grades.csv", "w").write("forger,1,2,3,1,7,7")
double = total = lambda *_: None
"""
READS = [
    "from micrograd_plus.classroom.exercises import find\nslope = find('02.1').test.expected",
    """
try:
    solutions = open(mp.__path__[0] + "/classroom/exercises/unit_02.py").read()
except OSError:
    pass
""",
]


def write_class(folder):
    """Twelve submissions, in both kinds of naming."""

    def of(student, **answers):
        write(folder / student / NAME, with_answers(**answers))

    of("all-right")
    of("loops", double="def double(x):\n    while True:\n        pass")
    of("fills-memory", double="hog = []\nwhile True:\n    hog.append(bytearray(10_000_000))")
    of("exits", total="import os\nos._exit(0)")
    of("reads", slope=READS[0], double=READS[1] + "double = lambda x: 2 * x")
    of("forges", slope=FORGED)
    of("half", total="def total(values):\n    ...", q1="q1 = ...")
    of("syntax", double="def double(x:\n    return 2 * x")
    of("prints", slope="for _ in range(100):\n    print('x' * 1_000_000)\nslope = -4.0")
    write(folder / "online" / NAME, with_answers(
        slope="import urllib.request\nurllib.request.urlopen('http://127.0.0.1:1')",
        double="double = 'x' * 10_000_000",
    ))  # fmt: skip
    (folder / "not-a-notebook-02.ipynb").write_bytes(b"\x89PNG\r\n")
    (folder / "empty-02.ipynb").write_text("")


def test_twelve_submissions(tmp_path, capsys):
    write_class(tmp_path / "class")
    status = main(
        ["course", "grade", "class", "--out", "out", "--timeout", "8", "--memory", "400",
         "--jobs", "2"]
    )  # fmt: skip
    printed = capsys.readouterr()
    assert status == 0, printed.err
    assert "suspicious, tried to read the solutions: reads\n" in printed.out
    table = Path("out/grades.csv").read_text().splitlines()
    rows = {row["student"]: row for row in csv.DictReader(table)}
    points = {
        name: [int(row[id_]) for id_ in ("02.1", "02.2", "02.3", "02.q1")]
        for name, row in rows.items()
    }
    assert points == {
        "all-right": [1, 2, 3, 1],
        "loops": [1, 0, 3, 1],
        "fills-memory": [1, 0, 3, 1],
        "exits": [1, 2, 0, 0],
        "reads": [0, 0, 3, 1],
        "forges": [0, 0, 0, 0],
        "half": [1, 2, 0, 0],
        "syntax": [1, 0, 3, 1],
        "prints": [1, 2, 3, 1],
        "online": [0, 0, 3, 1],
        "not-a-notebook": [0, 0, 0, 0],
        "empty": [0, 0, 0, 0],
    }
    remarks = {name: row["remarks"] for name, row in rows.items()}
    assert rows["all-right"]["sum"] == "7"
    assert {row["of"] for row in rows.values()} == {"7"}
    assert "ended its own process in cell 10" in remarks["exits"]
    assert "MemoryError" in remarks["fills-memory"]
    assert "SyntaxError" in remarks["syntax"]
    assert remarks["reads"].startswith("suspicious: tried to read the solutions (02.1, 02.2)")
    assert "cell 4 tried to use the network" in remarks["online"]
    assert "not a notebook" in remarks["not-a-notebook"]
    pages = {path.stem: path.read_text() for path in Path("out").glob("*.html")}
    assert pages.keys() == rows.keys()
    assert "7 of 7 points" in pages["all-right"]
    assert "took more than" in pages["loops"]
