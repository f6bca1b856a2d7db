"""Exams: fair numbers, a right key, and sheets that do not give the answers away."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from browser import Visit

from micrograd_plus.__main__ import main
from micrograd_plus.classroom.exam import Exam, every_question, make_exam
from micrograd_plus.classroom.questions import Question
from micrograd_plus.commands.exam import read_names
from micrograd_plus.engine import Constant, Value, topological_order
from micrograd_plus.explorer import paper as printing
from micrograd_plus.explorer.exam import write_exam
from micrograd_plus.formulas.description import formula

SEEDS = range(12)
NUMBER = r"-?\d+"


def calculated(text: str, numbers: dict[str, float]) -> float:
    """A formula as Python itself calculates it."""
    return float(eval(text, {"relu": lambda x: max(x, 0.0)}, numbers))


def slope(text: str, numbers: dict[str, float], name: str) -> float:
    """The derivative by finite differences."""
    up, down = (calculated(text, numbers | {name: numbers[name] + d}) for d in (1e-4, -1e-4))
    return (up - down) / 2e-4


def by_hand(prompt: str) -> float:
    """The answer to a question, from nothing but its text."""
    made, text, given = re.match(r"(\w+) = (.*?), with ([^.;]*)", prompt).groups()
    numbers = {name: float(x) for name, x in re.findall(rf"(\w+) = ({NUMBER})", given)}
    if prompt.endswith(f"What is {made}?"):
        return calculated(text, numbers)
    (upstream,) = re.findall(rf"pass, {made}\.grad is ({NUMBER})", prompt)
    name, before = re.findall(rf"(\w+)\.grad is ({NUMBER}) so far", prompt)[0]
    return float(before) + float(upstream) * slope(text, numbers, name)


def leaves(graph: Value) -> dict[str, float]:
    return {v.label: v.data for v in topological_order(graph) if v.op is None and v.label}


def prints(exam: Exam) -> list[Any]:
    """All that is particular to the papers."""
    return [
        (paper.name, [leaves(graph) for graph in paper.graphs], [q.prompt for q in paper.questions])
        for paper in exam.papers
    ]


# ---- the tasks


@pytest.mark.parametrize("seed", SEEDS)
def test_every_answer_follows_from_the_question(seed: int) -> None:
    for paper in make_exam([""] * 5, seed).papers:
        for question in paper.questions:
            assert question.answer == pytest.approx(by_hand(question.prompt), abs=1e-6)


def assert_solution(question: Question) -> None:
    """The way to the answer ends there, and its numbers are right."""
    _, *way, last = question.solution.split(" = ")
    assert float(last) == question.answer
    assert calculated(way[0], {}) == question.answer


@pytest.mark.parametrize("seed", SEEDS)
def test_all_numbers_are_fit_for_pencil_and_paper(seed: int) -> None:
    for paper in make_exam([""] * 5, seed).papers:
        for graph in paper.graphs:
            values = [v for v in topological_order(graph) if not isinstance(v, Constant)]
            for number in [v.data for v in values] + [v.grad for v in values]:
                assert number == int(number)
                assert 0 < abs(number) < 100
            for question in every_question(graph):
                assert_solution(question)
            text, numbers = formula(graph, depth=6), leaves(graph)
            for value in values:
                if value.op is None:
                    wanted = slope(text, numbers, value.label)
                    assert value.grad == pytest.approx(wanted, abs=1e-4)
        for question in paper.questions:
            assert 0 < abs(question.answer) < 100
            assert_solution(question)


def test_each_question_is_of_the_kind_that_it_should_be() -> None:
    for seed in SEEDS:
        value, upstream, before, slope_ = make_exam([""], seed).papers[0].questions
        assert value.kind == "forward"
        assert "grad is 0 so far" in upstream.prompt
        assert ".grad is 1, and" not in upstream.prompt
        assert "grad is 0 so far" not in before.prompt
        assert re.match(r"\w+ = (relu\(\w+\)|\w+\*\*2),", slope_.prompt)


def test_students_get_different_numbers_and_a_seed_the_same_exam() -> None:
    exam = prints(make_exam(["x"] * 30, 3))
    assert exam == prints(make_exam(["x"] * 30, 3))
    assert exam[:20] == prints(make_exam(["x"] * 20, 3)), "whoever is added at the end"
    for task in range(2):
        numbers = [tuple(paper[1][task].values()) for paper in exam]
        assert len(set(numbers)) == 30
    assert len({paper[2][0] for paper in exam}) > 20
    forms = {formula(make_exam([""], seed).papers[0].graphs[0]) for seed in SEEDS}
    assert len(forms) == 3


def test_a_class_may_be_larger_than_the_choice_of_numbers() -> None:
    assert len(make_exam([""] * 150, 1).papers) == 150


# ---- on paper

NAMES = ["Ada Lovelace", '"><img src=x onerror="window.hacked = 1">', ""]

BOXES = """
(task) => [...document.querySelectorAll(`[data-graph="${task}"]`)].map((graph) =>
  Object.fromEntries([...graph.querySelectorAll(".box")].map((box) => {
    const texts = [...box.querySelectorAll("text")].map((x) => x.textContent);
    const at = texts.indexOf("data");
    const numbers = texts.slice(at).filter((x) => x !== "data" && x !== "grad");
    return [texts[at - 1], numbers.map((x) => Number(x.replace("−", "-")))];
  })))
"""


@pytest.fixture(scope="module")
def exam() -> Exam:
    return make_exam(NAMES, 5)


def test_the_key_is_right_and_the_sheets_have_blanks(
    browser: Any, exam: Exam, tmp_path: Path
) -> None:
    sheets, key = write_exam(exam, tmp_path / "exam.html", "Test <1>")
    visit = Visit(browser)
    page = visit.go(sheets)
    page.emulate_media(media="print")
    for i in range(2):
        for boxes, paper in zip(page.evaluate(BOXES, i), exam.papers, strict=True):
            shown = {name: numbers for name, numbers in boxes.items() if numbers}
            assert shown == {name: [x] for name, x in leaves(paper.graphs[i]).items()}
    blanks = page.locator(".graph path.blank").count()
    assert blanks == len(NAMES) * sum(exam.points)
    said = page.locator(".paper").all_inner_texts()
    assert len(said) == 2 * len(NAMES)
    assert all(text.startswith("Test <1>") for text in said)
    assert [("Ada Lovelace" in text, "Name" in text) for text in said[::2]] == [
        *[(True, False), (False, False), (False, True)]
    ]
    assert f"There are {sum(exam.points) + 4} points in all" in said[0]
    source = sheets.read_text("utf-8")
    assert not any(q.solution in source for paper in exam.papers for q in paper.questions)

    page = visit.go(key)
    for i in range(2):
        for boxes, paper in zip(page.evaluate(BOXES, i), exam.papers, strict=True):
            text, numbers = formula(paper.graphs[i], depth=6), leaves(paper.graphs[i])
            assert boxes["L"] == [calculated(text, numbers), 1]
            for name, number in numbers.items():
                assert boxes[name] == [number, pytest.approx(slope(text, numbers, name), abs=1e-4)]
    for said, paper in zip(page.locator(".paper").all_inner_texts(), exam.papers, strict=True):
        for question in paper.questions:
            assert question.solution in said
    visit.close()


def test_thirty_students_are_printed_on_two_pages_each(tmp_path: Path, capsys: Any) -> None:
    if not printing.find_browser() or not shutil.which("pdftotext"):
        pytest.skip("needs a browser and pdftotext")
    names = tmp_path / "names.txt"
    names.write_text("\n".join(f"Student {chr(65 + i % 26)}{i}" for i in range(30)), "utf-8")
    path = tmp_path / "exam.pdf"
    assert main(["exam", "--names", str(names), "--seed", "7", "-o", str(path)]) == 0
    assert f"wrote {path}\nwrote {tmp_path / 'exam-key.pdf'}, the key\n" in capsys.readouterr().out
    for name, each in (("exam.pdf", 2), ("exam-key.pdf", 1)):
        command = ["pdftotext", "-layout", str(tmp_path / name), "-"]
        text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        pages = text.split("\f")[:-1]
        assert len(pages) == 30 * each
        assert "Student D3" in pages[3 * each]
        assert "Student D3" in pages[4 * each - 1]
        assert "3. One step" in pages[each - 1]
        assert "2. A neuron" in pages[0]


# ---- the command


def test_without_a_browser_the_exam_is_html(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(printing.shutil, "which", lambda name: None)
    assert main(["exam", "--students", "2"]) == 0
    assert "wrote exam.html\nwrote exam-key.html, the key\nno PDF: " in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"exam.html", "exam-key.html"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Ada\n\n Alan Turing \n", ["Ada", "Alan Turing"]),
        ("Lovelace, Ada\nTuring, Alan\n", ["Lovelace, Ada", "Turing, Alan"]),
        ('\ufeffid,Name\n1,"Lovelace, Ada"\n2,Alan\n', ["Lovelace, Ada", "Alan"]),
        ("name;mail\nAda;a@b\n;c@d\n", ["Ada"]),
        ('"Id","Name"\n"1","Ada"\n', ["Ada"]),
    ],
)
def test_names_come_from_lines_or_from_a_column(
    tmp_path: Path, text: str, names: list[str]
) -> None:
    path = tmp_path / "names"
    path.write_text(text, "utf-8")
    assert read_names(path) == names


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--students", "0"], "must be a whole number of at least 1, not '0'"),
        (["--students", "2", "--names", "x"], "not allowed with argument"),
        (["--names", "missing.txt"], "missing.txt"),
        (["--names", "empty.txt"], "empty.txt has no names: write one on each line"),
        (["--names", "nothing.txt"], "nothing.txt has no names: write one on each line"),
        (["--names", "bytes.txt"], "bytes.txt is not a text in UTF-8"),
        (["-o", "exam.docx"], "a sheet is a .pdf or a .html file, not 'exam.docx'"),
    ],
)
def test_bad_arguments_are_explained(
    tmp_path: Path, monkeypatch: Any, capsys: Any, arguments: list[str], complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").write_text(" \n", "utf-8")
    Path("nothing.txt").touch()
    Path("bytes.txt").write_bytes(b"\xff\xfe\xfa")
    try:
        status = main(["exam", *arguments])
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    assert complaint in capsys.readouterr().err
    assert len([*tmp_path.iterdir()]) == 3
