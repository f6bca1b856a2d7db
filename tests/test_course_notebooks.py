"""The course's notebooks have the form that their readers, the checks and the tools rely on."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pytest

from micrograd_plus.classroom.exercises import unit
from micrograd_plus.classroom.exercises.exercise import LEVELS, Choice, Exercise

FOLDER = Path(__file__).parent.parent / "notebooks"
COURSE = [
    *("00-start-here", "01-a-neuron-by-hand", "02-value-and-the-chain-rule"),
    *("03-stepping-through-backprop", "04-activations", "05-layers-and-decision-boundaries"),
    *("06-the-training-loop", "07-classic-bugs", "08-record-once-replay", "09-convolutions"),
    *("10-recurrence-and-memory", "11-attention-and-a-gpt", "12-going-on"),
]
NAMES = [name for name in COURSE if (FOLDER / f"{name}.ipynb").exists()]

OPENING = re.compile(
    r"# (?P<unit>\d\d) · \S.*\n\n"
    r"\| \| \|\n\|---\|---\|\n"
    r"\| \*\*You will be able to\*\* \| (?P<goals>\S.*) \|\n"
    r"\| \*\*You need to know\*\* \| (?P<needs>\S.*) \|\n"
    r"\| \*\*Time\*\* \| (?P<minutes>\d+) minutes, the core (?P<core>\d+) \|\n"
    r"\| \*\*Exercises\*\* \| (?P<first>\S+) to (?P<last>\S+) \|\n\n"
    r"!\[(?P<alt>[^\]]+)\]\((?P<picture>figures/(?P=unit)-[\w-]+\.(?:svg|png))\)"
)
EXERCISE = re.compile(r"### Exercise (?P<id>\S+) · (?P<title>.+) \((?P<level>[\w-]+)\)$", re.M)
OPTION = re.compile(r"^[-*]? *\((?:\*\*)?([a-h])(?:\*\*)?\) \S", re.M)
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
CHECK = re.compile(r'mp\.classroom\.check\("(?P<id>[^"]+)", (?P<name>\w+)\)')
MOST_CORE_CELLS = 25
MOST_BYTES = 150_000
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class Task(NamedTuple):
    """An exercise or a question, as the notebook poses it."""

    place: int  # of the answer's cell
    id: str
    text: str
    answer: str
    name: str  # which is checked

    @property
    def is_question(self) -> bool:
        return ".q" in self.id


class Section(NamedTuple):
    heading: str
    texts: list[str]
    codes: list[int]  # the places of its code cells


class Course:
    """A notebook of the course, with its cells' texts."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.unit = name[:2]
        self.notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
        self.cells = self.notebook.cells
        self.texts = [cell.source for cell in self.cells]
        self.markdown = [cell.source for cell in self.cells if cell.cell_type == "markdown"]

    def is_code(self, i: int) -> bool:
        return bool(self.cells[i].cell_type == "code")

    @property
    def opening(self) -> re.Match[str]:
        found = OPENING.fullmatch(self.texts[0].rstrip())
        assert found, f"the first cell has another form than {OPENING.pattern}"
        return found

    def tasks(self) -> Iterator[Task]:
        """Each check cell, with the answer's cell and the text before it."""
        for i, text in enumerate(self.texts):
            if self.is_code(i) and "classroom.check(" in text:
                found = CHECK.fullmatch(text.strip())
                assert found, f"cell {i} is not exactly a check: {text}"
                assert self.is_code(i - 1), f"cell {i - 1}, before the check, holds the answer"
                assert not self.is_code(i - 2), f"cell {i - 2} holds the task"
                yield Task(i - 1, found["id"], self.texts[i - 2], self.texts[i - 1], found["name"])

    def sections(self) -> list[Section]:
        """What stands below each heading, which may be inside a cell."""
        sections = [Section("", [], [])]
        for i, text in enumerate(self.texts):
            if self.is_code(i):
                sections[-1].codes.append(i)
                continue
            below, *others = re.split(r"^## ", text, flags=re.M)
            sections[-1].texts.append(below)
            for other in others:
                heading, _, below = other.partition("\n")
                sections.append(Section(heading, [below], []))
        return sections[1:]

    def section(self, heading: str) -> Section:
        (found,) = [section for section in self.sections() if section.heading == heading]
        return found


@pytest.fixture(scope="module", params=NAMES)
def course(request: pytest.FixtureRequest) -> Course:
    return Course(request.param)


def exercises_of(course: Course, of_the_quiz: bool) -> list[Exercise]:
    return [e for e in unit(course.unit) if (".q" in e.id) == of_the_quiz]


def test_it_opens_with_what_it_is_for(course: Course) -> None:
    opening = course.opening
    assert opening["unit"] == course.unit
    assert 20 <= int(opening["minutes"]) <= 40
    assert int(opening["core"]) <= int(opening["minutes"])
    ids = [exercise.id for exercise in exercises_of(course, of_the_quiz=False)]
    assert [opening["first"], opening["last"]] == [ids[0], ids[-1]]
    earlier = re.findall(r"\]\((\d\d)-[\w-]+\.ipynb[^)]*\)", opening["needs"])
    assert all(number < course.unit for number in earlier)
    assert earlier or course.unit == "00", "it links to what must be known"
    picture = FOLDER / opening["picture"]
    assert picture.stat().st_size <= MOST_BYTES


def test_its_file_is_in_order(course: Course) -> None:
    assert (course.notebook.nbformat, course.notebook.nbformat_minor) == (4, 5)
    assert course.notebook.metadata == METADATA
    assert [cell.id for cell in course.cells] == [f"cell-{i:02}" for i in range(len(course.cells))]
    for cell in course.cells:
        assert cell.metadata == {}
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def test_its_links_lead_somewhere(course: Course) -> None:
    for text in course.markdown:
        for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text):
            is_of_the_course = link.removesuffix(".ipynb") in COURSE
            assert is_of_the_course or (FOLDER / link).is_file(), link


def test_its_sections_are_numbered_and_the_core_is_short(course: Course) -> None:
    of_exercises = {i for task in course.tasks() for i in (task.place, task.place + 1)}
    sections = course.sections()
    numbers = [int(found[1]) for s in sections if (found := re.match(r"(\d+)\. \S", s.heading))]
    core = [s for s in sections if not s.heading.endswith(" *(optional)*")]
    cells = {i for s in core for i in s.codes} - of_exercises
    assert numbers == [*range(1, len(numbers) + 1)]
    assert numbers
    assert len(cells) <= MOST_CORE_CELLS


def test_numbers_are_predicted_before_they_are_seen(course: Course) -> None:
    predictions = [i for i, text in enumerate(course.texts) if "**Predict:**" in text]
    assert len(predictions) >= 3
    for i in predictions:
        kinds = [course.is_code(place) for place in (i, i + 1, i + 2)]
        assert kinds == [False, True, False], f"after cell {i} come a code cell and an explanation"


def test_each_exercise_stands_there_once(course: Course) -> None:
    tasks = [task for task in course.tasks() if not task.is_question]
    headings = [found for text in course.markdown for found in EXERCISE.finditer(text)]
    assert len([text for text in course.markdown if "### Exercise" in text]) == len(headings)
    posed = [(found["id"], found["title"], found["level"]) for found in headings]
    wanted = exercises_of(course, of_the_quiz=False)
    assert posed == [(e.id, e.title, e.level_name) for e in wanted]
    assert [task.id for task in tasks] == [e.id for e in wanted]
    assert {e.level for e in wanted} == {*LEVELS}
    for task in tasks:
        assert f"### Exercise {task.id} ·" in task.text


def test_each_question_stands_there_once(course: Course) -> None:
    wanted = exercises_of(course, of_the_quiz=True)
    tasks = [task for task in course.tasks() if task.is_question]
    assert [task.id for task in tasks] == [e.id for e in wanted]
    assert 3 <= len(tasks) <= 5
    quiz = course.section("Quiz").codes
    for k, (task, exercise) in enumerate(zip(tasks, wanted), 1):
        assert task.place in quiz
        test = exercise.test
        assert isinstance(test, Choice)
        assert sorted(OPTION.findall(task.text)) == sorted(test.why)
        assert task.answer.split("\n") == [f"q{k} = ...", BEGIN, f'q{k} = "{test.right}"', END]


def test_solutions_are_marked(course: Course) -> None:
    tasks = [*course.tasks()]
    answers = {task.place for task in tasks}
    for i, text in enumerate(course.texts):
        assert (BEGIN in text) == (END in text) == (i in answers), f"cell {i}"
    for task in tasks:
        lines = [line.strip() for line in task.answer.split("\n")]
        begins = [i for i, line in enumerate(lines) if line == BEGIN]
        ends = [i for i, line in enumerate(lines) if line == END]
        assert len(begins) == len(ends) == task.answer.count(BEGIN) == task.answer.count(END)
        assert all(a < b for a, b in zip([*begins], [*ends]))
        assert all(a < b for a, b in zip(ends, begins[1:]))
        assert task.name in bound(task.answer)


def bound(source: str) -> set[str]:
    """The names that a cell defines."""
    names = set()
    for node in ast.parse(source).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        names |= {
            name.id
            for name in ast.walk(node)
            if isinstance(node, (ast.Assign, ast.AnnAssign))
            and isinstance(name, ast.Name)
            and isinstance(name.ctx, ast.Store)
        }
    return names


def used(source: str) -> set[str]:
    """The names that a cell takes from the cells before it."""
    nodes = [*ast.walk(ast.parse(source))]
    names = [node for node in nodes if isinstance(node, ast.Name)]
    own = {node.arg for node in nodes if isinstance(node, ast.arg)} | bound(source)
    own |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return {node.id for node in names} - own


def test_nothing_depends_on_an_answer(course: Course) -> None:
    """A student may skip an exercise: later cells do not use the names of its answer."""
    answers: dict[str, int] = {}
    tasks = {task.place: task for task in course.tasks()}
    for i, text in enumerate(course.texts):
        if i - 1 in tasks or not course.is_code(i) or text.startswith("%"):
            continue
        for name in used(text) & answers.keys():
            pytest.fail(f"cell {i} uses {name}, which cell {answers[name]} lets the student define")
        if i in tasks:
            answers |= dict.fromkeys(bound(text), i)
        else:
            for name in bound(text):
                answers.pop(name, None)


@pytest.mark.parametrize("name", [name for name in NAMES if name >= "08"])
def test_plots_are_left_out_without_matplotlib(name: str) -> None:
    """A cell that plots asks first, prints a sentence and lets "run all" go on."""
    plots = set()
    for cell in Course(name).cells:
        nodes = [*ast.walk(ast.parse(cell.source))] if cell.cell_type == "code" else []
        asked = {
            id(inside)
            for node in nodes
            if isinstance(node, ast.If)
            and ast.unparse(node.test).startswith("not is_missing('matplotlib'")
            for inside in ast.walk(node)
        }
        for node in nodes:
            if isinstance(node, ast.Attribute) and node.attr.startswith("plot_"):
                plots.add(node.attr)
                assert id(node) in asked, f"{cell.id} plots without asking for matplotlib"
    assert plots or name[:2] in ("08", "12")


def test_it_ends_with_a_recap_and_sources(course: Course) -> None:
    recap = "\n".join(course.section("Recap").texts)
    numbered = re.findall(r"^(\d)\. \S", recap, re.M)
    assert numbered == ["1", "2", "3", "4", "5"]
    reading = "\n".join(course.section("Further reading").texts)
    sources = re.split(r"^- ", reading.partition("\n\n[")[0], flags=re.M)[1:]
    assert sources
    for source in sources:
        assert re.search(r"\b(19|20)\d\d\b", source), f"no year: {source}"
        assert re.search(r"\]\(https?://[^)]+\)|<https?://[^>]+>", source), f"no link: {source}"
    place = COURSE.index(course.name)
    for following in COURSE[place + 1 : place + 2]:
        assert f"({following}.ipynb)" in course.markdown[-1]


def test_the_sections_at_the_end_have_one_order(course: Course) -> None:
    headings = [section.heading for section in course.sections()]
    assert headings[-3:] == ["Quiz", "Recap", "Further reading"]


def test_the_teachers_plan_fits_the_notebook(course: Course) -> None:
    """90 minutes; each exercise has a place or is homework; the sections and letters are right."""
    page = (FOLDER / "teacher" / f"{course.unit}.md").read_text("utf-8")
    assert f"(../{course.name}.ipynb)" in page
    plan = page.partition("## Plan for 90 minutes")[2].partition("## ")[0]
    assert sum(map(int, re.findall(r"^\| (\d+) \|", plan, re.M))) == 90
    named = {*re.findall(rf"\b{course.unit}\.\d+", plan)}
    assert named == {exercise.id for exercise in exercises_of(course, of_the_quiz=False)}
    numbers = [found[1] for s in course.sections() if (found := re.match(r"(\d+)\.", s.heading))]
    sections = [int(n) for n in re.findall(r"[Ss]ection (\d+)", plan)]
    assert sections
    assert max(sections) <= int(numbers[-1])
    tests = [exercise.test for exercise in exercises_of(course, of_the_quiz=True)]
    letters = ", ".join(test.right for test in tests if isinstance(test, Choice))
    assert f"Quiz: {letters}." in page


@pytest.mark.parametrize("path", sorted(FOLDER.glob("teacher/*.md")), ids=lambda path: path.stem)
def test_the_links_of_the_teachers_pages_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", path.read_text("utf-8")):
        assert (path.parent / link).is_file(), link


def test_the_afternoon_has_four_hours() -> None:
    page = (FOLDER / "teacher" / "README.md").read_text("utf-8")
    afternoon = page.partition("## One afternoon: four hours")[2].partition("## ")[0]
    assert sum(map(int, re.findall(r"^\| (\d+) \|", afternoon, re.M))) == 4 * 60


def test_the_notebooks_import_the_library_as_mp(course: Course) -> None:
    source: list[Any] = [text for i, text in enumerate(course.texts) if course.is_code(i)]
    assert any("import micrograd_plus as mp" in text for text in source)
