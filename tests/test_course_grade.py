"""Grading a class: each submission costs only its own points, whatever its code does."""

import csv
import os
import pickle
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import small_course
from small_course import ANSWERS, NAME, check, code, notebook, with_answers, write

from micrograd_plus.__main__ import main
from micrograd_plus.classroom.exercises import UNITS, unit, unit_02
from micrograd_plus.classroom.exercises.check import judge, observe
from micrograd_plus.classroom.exercises.exercise import Behaviour, Exercise
from micrograd_plus.classroom.exercises.result import Result
from micrograd_plus.course import process, sandbox, source
from micrograd_plus.course.grading import Graded, Mark, grade
from micrograd_plus.course.report import write_report
from micrograd_plus.course.sending import packed
from micrograd_plus.course.submissions import submissions
from micrograd_plus.ops import TABLE


@pytest.fixture
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
    of("loops", double="import time\ndef double(x):\n    while True:\n        time.sleep(0.01)")
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


@pytest.mark.usefixtures("small")
def test_twelve_submissions(tmp_path, capsys):
    write_class(tmp_path / "class")
    status = main(
        ["course", "grade", "class", "--out", "out", "--timeout", "40", "--memory", "400",
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


def graded_alone(folder, *cells, timeout=40, **answers):
    """The points and remarks of one student with this notebook."""
    content = notebook(*cells) if cells else with_answers(**answers)
    write(folder / "class" / "ada" / NAME, content)
    (result,) = grade(folder / "class", folder / "out", timeout, memory=400)
    return result.points, " ".join(result.remarks), result


ATTACKS = """
import ctypes, os, pathlib, shutil, signal, socket, subprocess, sys
import micrograd_plus as mp

succeeded = []

def attack(name, action):
    try:
        action()
    except (OSError, AttributeError, ValueError, subprocess.SubprocessError):
        return
    succeeded.append(name)

package = pathlib.Path(mp.__path__[0])
outside = pathlib.Path(r"{outside}")
attack("read solutions", lambda: 1 / len((package / "classroom/exercises/unit_02.py").read_text()))
attack("read a classmate", lambda: (outside / "class/bob" / "{name}").read_text())
attack("read the notebooks", lambda: (outside / "notebooks" / "{name}").read_text())
attack("write", lambda: (outside / "forged.csv").write_text("ada,7"))
attack("delete", lambda: shutil.rmtree(outside / "class"))
attack("delete a file", lambda: (outside / "class/bob" / "{name}").unlink())
attack("rename", lambda: os.rename(outside / "class", "mine"))
attack("kill", lambda: os.kill({grader}, signal.SIGTERM))
attack("run", lambda: subprocess.run([sys.executable, "-c", ""], check=True))
attack("connect", lambda: socket.create_connection(("127.0.0.1", {port}), timeout=1))
"""
WITH_C = """
libc = ctypes.CDLL(None)
if libc.kill({grader}, 0) == 0:
    succeeded.append("kill by C")
if libc.open(os.fsencode(outside / "class/bob" / "{name}"), 0) >= 0:
    succeeded.append("read by C")
if libc.open(os.fsencode(outside / "forged.csv"), os.O_CREAT | os.O_WRONLY, 0o600) >= 0:
    succeeded.append("write by C")
if libc.umount2(os.fsencode(outside / "notebooks"), 2) == 0:
    succeeded.append("umount")
"""


@pytest.fixture
def attacks(small, tmp_path):
    """A cell that tries to break out, and the names of the attempts that nothing stopped."""
    write(tmp_path / "class" / "bob" / NAME, with_answers())
    server = socket.create_server(("127.0.0.1", 0))
    about = {
        "outside": tmp_path, "name": NAME, "grader": os.getpid(),
        "port": server.getsockname()[1],
    }  # fmt: skip

    def succeeded(cell):
        source = cell.format(**about) + "\ndef double(x):\n    raise ValueError(str(succeeded))"
        write(tmp_path / "class" / "ada" / NAME, notebook(code(source), check("double")))
        ada, bob = grade("class", Path("out"), timeout=60)  # relative paths, as a user types them
        assert bob.points == small_course.MOST
        assert not (tmp_path / "forged.csv").exists()
        said = ada.marks["02.2"].result.text
        return re.search(r"raises ValueError: (.*)\.$", said, re.MULTILINE)[1], ada

    with server:
        yield succeeded


def test_a_notebook_cannot_break_out(attacks):
    """By Python, and where the system has namespaces by C as well."""
    succeeded, ada = attacks(ATTACKS)
    assert succeeded == "[]"
    assert ada.is_suspicious
    if ada.unprotected:
        pytest.skip("this system does not allow namespaces")
    assert attacks(ATTACKS + WITH_C)[0] == "[]"


def test_without_namespaces_the_hook_refuses_the_same(attacks, monkeypatch):
    without = "from micrograd_plus.course import worker; worker.separate = lambda *_: False"
    start = process._START.replace("; worker.main()", f"; {without}; worker.main()")
    monkeypatch.setattr(process, "_START", start)
    succeeded, ada = attacks(ATTACKS)
    assert succeeded == "[]"
    assert ada.is_suspicious
    assert ada.unprotected == {"files and network against code that uses ctypes"}


IN_CAPITALS = """
import sys
from pathlib import Path
from micrograd_plus.course.sandbox import READS, fence
sys.platform = "darwin"
attempts, folder = [], Path(sys.argv[1])
fence(folder / "work", [folder / "solutions"], attempts.append)
try:
    open(folder / "SOLUTIONS" / "unit.py")
except PermissionError:
    assert attempts == [READS]
    print("refused")
"""


def test_capitals_do_not_get_around_the_hook(tmp_path):
    """Where the system opens a file whether its name is in capitals or not."""
    command = [sys.executable, "-c", IN_CAPITALS, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "refused\n", done.stderr


def test_a_limit_that_the_system_refuses_is_told(monkeypatch):
    """As macOS does for memory; the other limits are set."""
    resource = pytest.importorskip("resource")
    taken = []

    def setrlimit(kind, limits):
        if kind == resource.RLIMIT_DATA:
            raise ValueError("current limit exceeds maximum limit")
        taken.append(kind)

    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    assert sandbox.limit(10**9, 60.0) == ["memory"]
    assert taken == [resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE]


def test_students_code_finds_the_machine_code_of_this_user(tmp_path, monkeypatch):
    monkeypatch.setenv("MICROGRAD_PLUS_CACHE", "cache")
    monkeypatch.chdir(tmp_path)
    assert process._environment("work")["MICROGRAD_PLUS_CACHE"] == str(tmp_path / "cache")


STUBBORN = """
import time
while True:
    try:
        time.sleep(9)
    except BaseException:
        pass
"""


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("wrong", "points", "remark"),
    [
        ("import time\nwhile True:\n    time.sleep(1)", 6, "cell 4: stopped after 3 seconds"),
        (STUBBORN, 0, "stopped after 6 seconds, in cell 4"),
        ("raise SystemExit", 6, "cell 4: line 1: SystemExit"),
        ("def f():\n    return f()\nf()", 6, "line 2: RecursionError: maximum"),
        ("slope = -4.0\n%matplotlib inline\n!ls", 7, ""),
        ("import sys; sys.settrace(None); slope = -4.0; sys.exit = None", 7, ""),
        ("import ctypes; ctypes.string_at(0)", 0, "ended its own process in cell 4"),
    ],
)
def test_a_cell_that_ends_or_breaks_the_run(tmp_path, wrong, points, remark):
    timeout = 6 if "while True" in wrong else 40  # the others end by themselves
    found, remarks, _ = graded_alone(tmp_path, timeout=timeout, slope=wrong)
    assert (found, remark in remarks) == (points, True), remarks


@pytest.mark.usefixtures("small")
def test_the_page_says_why_there_is_no_answer(tmp_path):
    """Not that a name is missing, but what happened in the cell that should define it."""
    *_, result = graded_alone(tmp_path, slope="x / 0", double="def double(x:\n    return x")
    said = {id_: mark.result.text for id_, mark in result.marks.items()}
    assert "there is no answer: cell 4: line 1: NameError: name 'x'" in said["02.1"]
    assert "there is no answer: cell 7: SyntaxError" in said["02.2"]
    assert "fresh" in said["02.3"]


@pytest.mark.usefixtures("small")
def test_answers_count_where_they_are_checked(tmp_path):
    """A name may be used again; without a check cell the end counts; other cells may be gone."""
    cells = [code("slope = -4.0"), check("slope"), code("slope = 1"), code(ANSWERS["double"])]
    found, remarks, result = graded_alone(tmp_path, *cells)
    assert (found, remarks) == (3, "")
    assert "'total' is not defined" in result.marks["02.3"].result.text


@pytest.mark.usefixtures("small")
def test_a_notebook_may_read_the_files_beside_it(tmp_path):
    beside = tmp_path / "class" / "ada"
    beside.mkdir(parents=True)
    (beside / "table.csv").write_text("-4.0")
    (beside / "secret").symlink_to(Path(__file__))
    slope = (
        "import os\nslope = float(open('table.csv').read()) if os.listdir() == ['table.csv'] else 0"
    )
    assert graded_alone(tmp_path, slope=slope)[0] == small_course.MOST
    assert (beside / "table.csv").read_text() == "-4.0"


HUGE = [
    ("[" * 100_000, "it does not contain JSON"),
    ('{"cells": [{"cell_type": "code"}]}', "cell 1 has no kind or no text"),
    ('{"cells": [{"cell_type": "code", "source": [3]}]}', "cell 1 has no kind or no text"),
    ('{"cells": [{"cell_type": "raw", "source": ""}, 1]}', "cell 2 has no kind or no text"),
    ('{"cells": 3}', "it has no list of cells"),
    ('{"cells": []}', "the notebook has no code cells"),
    (" " * 20_000_001, "the file has more than 20 MB"),
]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("content", "remark"), HUGE, ids=[remark for _, remark in HUGE])
def test_files_that_are_no_notebooks(tmp_path, content, remark):
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "ada-02.ipynb").write_text(content)
    (ada,) = grade("class", Path("out"))
    assert ada.points == 0
    assert len(ada.marks) == len(small_course.EXERCISES)
    assert remark in ada.remarks[0]


# ---- what is sent


BEHAVIOURS = [e for number in UNITS for e in unit(number) if isinstance(e.test, Behaviour)]


@pytest.mark.parametrize("exercise", BEHAVIOURS, ids=lambda exercise: exercise.id)
def test_an_exercise_is_sent_without_its_solution(exercise):
    sent = pickle.loads(packed(exercise))
    assert (sent.test.solution, sent.test.mistakes) == (None, ())
    evidence = observe(sent, 1, exercise.test.solution)
    assert judge(exercise, 1, evidence).passed


def test_an_op_that_has_been_used_is_sent():
    TABLE["sigmoid"].forward(0.0)  # from now on it is a function of no module
    forward = TABLE["sigmoid"].forward
    assert forward.__module__ is None
    test = Behaviour(None, lambda generator: (), (), run=lambda answer, x: forward(x))
    sent = pickle.loads(packed(Exercise("02.1", "An op", 1, test)))
    assert sent.test.run(None, 0.0) == 0.5


class Counter:
    """A class with what a class of an exercise may have."""

    step = 2

    def __init__(self):
        self.count = 0

    @staticmethod
    def twice(x):
        return Counter.step * x

    @classmethod
    def made(cls):
        return cls()

    @property
    def next(self):
        return self.count + self.step


def test_a_class_is_sent_with_all_kinds_of_methods(monkeypatch):
    monkeypatch.setattr(Counter, "__module__", unit_02.__name__)
    for function in (Counter.__init__, Counter.twice, Counter.made.__func__, Counter.next.fget):
        monkeypatch.setattr(function, "__module__", unit_02.__name__)

    def run(answer):
        return [Counter.made().next, Counter.twice(answer()), Counter.__name__]

    test = Behaviour(None, lambda generator: (), (), run=run)
    sent = pickle.loads(packed(Exercise("02.9", "A class", 1, test)))
    assert sent.test.run(lambda: 4) == [2, 8, "Counter"]
    assert sent.test.run.__globals__["Counter"] is not Counter


# ---- submissions and reports


def test_submissions_are_found_by_folder_and_by_name(tmp_path):
    for name in (
        "ada/02-value-and-the-chain-rule.ipynb", "ada/07.ipynb", "ada/essay.ipynb",
        "ada/02-copy.ipynb", "ada/.ipynb_checkpoints/03-x.ipynb", "bob/01/01-a.ipynb",
        "eve-02.ipynb", "student 12_03-stepping-through-backprop.ipynb", "notes.ipynb",
        "empty/readme.txt", ".hidden/02.ipynb", "grades/grades.csv",
    ):  # fmt: skip
        write(tmp_path / name, {})
    (tmp_path / "link-02.ipynb").symlink_to(tmp_path / "eve-02.ipynb")
    found = {
        s.student: (sorted(s.files), len(s.remarks))
        for s in submissions(tmp_path, tmp_path / "grades")
    }
    assert found == {
        "ada": (["02", "07"], 2), "bob": (["01"], 0), "eve": (["02"], 0),
        "student 12": (["03"], 0), "notes": ([], 1), "empty": ([], 1),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "there is no folder"),
        (["class/notes.txt"], "there are no submissions in"),
        (["class/02-value-and-the-chain-rule.ipynb", "class/figures/x.svg"], "alice-02.ipynb"),
    ],
)
def test_a_folder_without_submissions(tmp_path, files, said):
    for name in files:
        write(tmp_path / name, {})
    with pytest.raises(ValueError, match=said):
        grade(tmp_path / "class", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("small")
def test_what_a_student_writes_is_text_in_the_reports(tmp_path):
    evil = "<script>alert(1)</script>"
    marks = {"02.1": Mark(Result("02.1", "wrong", (("came out", evil),), hint="{rows}"))}
    students = [Graded(f"={evil}", dict(marks), [evil]), Graded("../x", dict(marks))]
    table, *pages = write_report(students, tmp_path / "out")
    assert [path.parent for path in pages] == [tmp_path / "out"] * 2
    assert evil not in "".join(path.read_text() for path in pages)
    assert "{rows}" in pages[0].read_text()
    rows = list(csv.reader(table.read_text().splitlines()))
    assert rows == [
        ["student", "02.1", "sum", "of", "remarks"],
        [f"'={evil}", "0", "0", "1", evil],
        ["../x", "0", "0", "1", ""],
    ]


def test_a_table_that_a_teacher_changed_is_kept(tmp_path):
    marks = {"02.1": Mark(Result("02.1", "right", ()))}
    before = tmp_path / "grades-before.csv"
    table, _ = write_report([Graded("ada", dict(marks))], tmp_path)
    write_report([Graded("ada", dict(marks))], tmp_path)
    assert not before.exists()
    table.write_text(table.read_text() + "bob,1,1,1,on paper\n")
    write_report([Graded("ada", dict(marks))], tmp_path)
    assert "bob" in before.read_text()
    assert "bob" not in table.read_text()
