"""Grades a folder of submissions: runs each notebook in a process of its own, and judges here.

The process with the student's code is told what to run, and gives what came out as plain data. It
has neither the solutions nor any influence on the result: the cases are made again and compared
here.
So a notebook that prints "right", changes `check`, or writes to the channel gains nothing.
"""

from __future__ import annotations

import base64
import random
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..classroom import exercises
from ..classroom.exercises import UNITS, find
from ..classroom.exercises.check import judge
from ..classroom.exercises.guard import Outcome
from ..classroom.exercises.plain import plain
from ..classroom.exercises.result import NOT_YET, WRONG, Evidence, Result
from ..support.files import make_folder
from ..support.progress import bar
from . import source
from .cells import Check, checks_in
from .process import EndedError, Limits, StudentProcess
from .sandbox import READS
from .sending import packed
from .submissions import Submission, submissions

_LARGEST_NOTEBOOK = 20_000_000  # bytes
_MOST_FILES, _LARGEST_FILE = 50, 10_000_000  # next to a notebook, such as a student's own table


@dataclass(frozen=True)
class Mark:
    """The result of one exercise, and its points; they are 0 if it is not right or suspicious."""

    result: Result
    is_suspicious: bool = False

    @property
    def most(self) -> int:
        """How many points the exercise gives: as many as its level."""
        return find(self.result.id).level

    @property
    def points(self) -> int:
        """How many points the answer gets."""
        return self.most if self.result.passed and not self.is_suspicious else 0


@dataclass
class Graded:
    """The marks of one student by the ids of the exercises, and remarks on the notebooks."""

    student: str
    marks: dict[str, Mark] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    unprotected: set[str] = field(default_factory=set)

    @property
    def points(self) -> int:
        """The sum of the points."""
        return sum(mark.points for mark in self.marks.values())

    @property
    def is_suspicious(self) -> bool:
        """Whether the code tried to read the solutions."""
        return any(mark.is_suspicious for mark in self.marks.values())


def grade(
    folder: str | Path,
    out: Path,
    timeout: float = 120.0,
    memory: int = 2000,
    jobs: int = 1,
    verbose: bool = False,
) -> list[Graded]:
    """Grades all submissions in a folder; see `submissions` for the names of the files.

    out: the folder for the report, which is made now; no notebook may read it.
    timeout: seconds for each notebook; one cell may take half of it.
    memory: megabytes for each notebook. jobs: so many notebooks run at a time.
    verbose: shows a progress bar.

    ValueError if there are no submissions; OSError if the folder for the report cannot be made.
    """
    handed_in = submissions(folder, out)
    make_folder(out)  # an error costs less here than after the grading
    checks = _checks()
    wanted = [unit for unit in checks if any(unit in each.files for each in handed_in)]
    places = [*_solutions(), out, *_places(handed_in)]
    # Whole paths, as the process with the code of a student has another working folder.
    hidden = [str(place.resolve()) for place in places]
    limits = Limits(timeout, memory * 1_000_000, hidden)

    def grade_one(submission: Submission) -> Graded:
        graded = Graded(submission.student, remarks=list(submission.remarks))
        for unit in sorted({*submission.files} - {*wanted}):
            graded.remarks.append(f"{submission.files[unit].name}: there is no notebook {unit}")
        for unit in wanted:
            _Grader(submission, checks[unit], limits, graded).grade(submission.files.get(unit))
        return graded

    with ThreadPoolExecutor(jobs) as pool, bar(len(handed_in), "student", verbose) as shown:
        results = []
        for result in pool.map(grade_one, handed_in):
            results.append(result)
            shown.update(1)
    return results


def _checks() -> dict[str, list[Check]]:
    """For each unit the checks of the course's own notebook."""
    units = {}
    for path in source.notebooks():
        cells = [c for c in source.read(path)["cells"] if c["cell_type"] == "code"]
        if path.name[:2] in UNITS:
            units[path.name[:2]] = [check for c in cells for check in checks_in(source.text(c))]
    return units


def _solutions() -> Iterator[Path]:
    """Where the solutions are: in the package, in the notebooks and, in a clone, next to them."""
    here = Path(exercises.__file__).parent
    yield from here.glob("unit_*.py")
    yield from here.glob("__pycache__/unit_*")
    notebooks = source.folder()
    yield notebooks
    if notebooks.name == "notebooks" and (notebooks.parent / ".git").exists():
        yield notebooks.parent / "tests"
        yield notebooks.parent / ".git"


def _places(handed_in: Iterable[Submission]) -> Iterator[Path]:
    """The files and folders of all students."""
    for submission in handed_in:
        yield from submission.folder or submission.files.values()


class _Grader:
    """Grades one notebook of one student, and adds marks and remarks to what is `graded`."""

    def __init__(
        self, submission: Submission, checks: list[Check], limits: Limits, graded: Graded
    ) -> None:
        self.submission, self.limits, self.graded = submission, limits, graded
        self.open = dict(checks)  # id → the expression of the answer
        self.has_read = False  # the solutions, since the last check
        self.failed = ""  # what stopped the last cell, until the next check
        self.file = ""

    def grade(self, path: Path | None) -> None:
        """Runs the notebook, with a check of each exercise where the student's check cell is."""
        if path is None:
            return self._give_up("not handed in")
        self.file = path.name
        try:
            cells = _cells(path)
        except (ValueError, OSError) as error:
            self._remark(str(error).replace(str(path), "the file"))
            return self._give_up("the file is not a notebook that can be read")
        if not cells:
            self._remark("the notebook has no code cells")
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            if self.submission.folder:
                _copy_files(path.parent, Path(folder))
            try:
                with StudentProcess(folder, self.limits) as process:
                    self.graded.unprotected |= process.unprotected
                    self._run(process, cells)
            except EndedError as ended:
                self._remark(str(ended))
                self._give_up(f"not graded: {ended}")
        return None

    def _run(self, process: StudentProcess, cells: list[tuple[int, str]]) -> None:
        for number, text in cells:
            name = f"cell {number}"
            process.doing = name
            answer = process.ask(name=name, source=text)
            self._note(name, answer)
            checks = checks_in(text)
            if (error := str(answer.get("error", ""))) and not checks:
                self.failed = f"{name}: {error}"
                self._remark(self.failed)
            for check in checks:
                if check.id in self.open:
                    self._check(process, check.id)
            if checks:
                self.failed = ""
        read_without_check, self.failed = self.has_read, ""
        for id_ in list(self.open):
            self.has_read = read_without_check
            self._check(process, id_)

    def _check(self, process: StudentProcess, id_: str) -> None:
        exercise, seed = find(id_), random.SystemRandom().getrandbits(32)
        process.doing = f"exercise {id_}"
        sent = base64.b64encode(packed(exercise)).decode()
        answer = process.ask(exercise=sent, seed=seed, answer=self.open[id_])
        del self.open[id_]
        self._note(process.doing, answer)
        if missing := answer.get("missing"):
            result = _result(id_, NOT_YET, f"there is no answer: {self.failed or missing}")
        else:
            try:
                evidence = _evidence(answer)
                if evidence.outcomes and evidence.is_begun:
                    result = judge(exercise, seed, evidence)
                else:
                    result = _result(id_, NOT_YET, "not begun")
            except Exception:  # whatever a process sends costs the student's points alone
                result = _result(id_, WRONG, "what came out cannot be judged")
        self.graded.marks[id_] = Mark(result, self.has_read)
        self.has_read = False

    def _note(self, name: str, answer: Mapping[str, Any]) -> None:
        """Remarks on what was refused."""
        for attempt in sorted({str(attempt)[:200] for attempt in answer.get("attempts", ())}):
            self.has_read |= attempt == READS
            self._remark(f"{name} {attempt}")

    def _remark(self, text: str) -> None:
        self.graded.remarks.append(f"{self.file}: {text}")

    def _give_up(self, why: str) -> None:
        for id_ in self.open:
            self.graded.marks[id_] = Mark(_result(id_, NOT_YET, why), self.has_read)


def _result(id_: str, status: str, text: str) -> Result:
    return Result(id_, status, (("", text),))


def _evidence(answer: Mapping[str, Any]) -> Evidence:
    """What the process sent; an exception if it is not what the process should send."""
    outcomes = [
        Outcome(plain(value), str(error), str(message), str(told))
        for value, error, message, told in answer["outcomes"]
    ]
    return Evidence(tuple(outcomes), is_begun=answer["is_begun"] is True)


def _cells(path: Path) -> list[tuple[int, str]]:
    """The code cells with their numbers, from 1 on; ValueError if the file is not a notebook."""
    if path.stat().st_size > _LARGEST_NOTEBOOK:
        raise ValueError(
            f"{path} has more than {_LARGEST_NOTEBOOK // 1_000_000} MB: it can be graded after "
            "its outputs have been cleared"
        )
    cells = enumerate(source.read(path)["cells"], 1)
    return [(number, source.text(cell)) for number, cell in cells if cell["cell_type"] == "code"]


def _copy_files(beside: Path, folder: Path) -> None:
    """Copies the files next to a notebook, such as a table that it reads."""
    files = [p for p in sorted(beside.iterdir()) if p.is_file() and not p.is_symlink()]
    for path in [p for p in files if p.suffix != ".ipynb"][:_MOST_FILES]:
        if path.stat().st_size <= _LARGEST_FILE:
            shutil.copy(path, folder)
