"""Finds the notebooks that students have handed in.

Two ways to name them are understood, also mixed: a folder for each student with files that are
named as in the course, `alice/02-value-and-the-chain-rule.ipynb`, or one folder with files that
begin with the student's name, `alice-02.ipynb`. The folders that nbgrader makes are the first kind.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_IN_FOLDER = re.compile(r"(\d\d)\b.*\.ipynb")
_ALONE = re.compile(r"(?P<student>.+)[-_ ](?P<unit>\d\d)(-[a-zA-Z-]+)?\.ipynb")


class Submission(NamedTuple):
    """What one student has handed in.

    files: for each unit the notebook. folder: the student's own folder, if there is one.
    remarks: what is not graded, and why.
    """

    student: str
    files: dict[str, Path]
    folder: list[Path]
    remarks: list[str]


def submissions(folder: str | Path, out: Path) -> list[Submission]:
    """The submissions in a folder, in the order of the students' names.

    out: the folder for the report, which is no student's.

    ValueError if the folder does not exist, or contains no notebook of the course.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}")
    found: dict[str, Submission] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "_")) or path.is_symlink() or path.resolve() == out.resolve():
            continue
        if path.is_dir():
            _add_folder(_of(path.name, found), path)
        elif alone := _ALONE.fullmatch(path.name):
            _of(alone["student"], found).files[alone["unit"]] = path
        elif path.suffix == ".ipynb":
            _of(path.stem, found).remarks.append(_unknown(path.name, "alice-02.ipynb"))
    if not any(submission.files for submission in found.values()):
        raise ValueError(
            f"there are no submissions in {folder}: it must contain a folder for each student, "
            "such as alice/02-value-and-the-chain-rule.ipynb, or files such as alice-02.ipynb"
        )
    return [found[student] for student in sorted(found)]


def _of(student: str, found: dict[str, Submission]) -> Submission:
    return found.setdefault(student, Submission(student, {}, [], []))


def _add_folder(submission: Submission, folder: Path) -> None:
    submission.folder.append(folder)
    for path in sorted(folder.rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts or path.is_symlink():
            continue
        if named := _IN_FOLDER.fullmatch(path.name):
            if named[1] in submission.files:
                submission.remarks.append(
                    f"{path.name} is not graded: {submission.files[named[1]].name} is"
                )
            else:
                submission.files[named[1]] = path
        else:
            submission.remarks.append(_unknown(path.name, "02.ipynb"))
    if not submission.files:
        submission.remarks.append("no notebook of the course was handed in")


def _unknown(name: str, example: str) -> str:
    return f"{name} is not graded: its name must be such as {example}"
