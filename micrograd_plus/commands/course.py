"""`micrograd-plus course`: writes the course, grades submissions, and shows the progress."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from ..support.words import many
from .arguments import above_zero, add_command, add_folder, at_least_one

_EXAMPLE = "micrograd-plus course build --out course"


def add(commands: Any) -> None:
    """Adds the command with its own commands."""
    parser = add_command(commands, "course", "write the course, grade it, see progress", _EXAMPLE)
    parts = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_build(parts)
    _add_grade(parts)
    _add_progress(parts)
    _add_site(parts)


def _add_build(parts: Any) -> None:
    help_ = "write the notebooks without the solutions, and a start page"
    parser = add_command(parts, "build", help_, _EXAMPLE)
    parser.add_argument(
        "--out", type=Path, help="the output folder [course; with --teacher, course-teacher]"
    )
    parser.add_argument(
        "--teacher", action="store_true", help="with the solutions, laid out for nbgrader"
    )
    parser.set_defaults(run=build)


def build(options: argparse.Namespace) -> int:
    """Writes an edition of the course."""
    from ..course.build import build

    out = options.out or Path("course-teacher" if options.teacher else "course")
    built = build(out, options.teacher)
    if built.kept:
        print("kept, because they were changed:", *built.kept, sep="\n  ")
    print(f"wrote {many(len(built.written), 'file')}; begin with {out / 'README.md'}")
    return 0


def _add_grade(parts: Any) -> None:
    help_ = "grade a folder of submissions: a table of points, and a page for each student"
    parser = add_command(parts, "grade", help_, "micrograd-plus course grade submissions")
    parser.add_argument(
        "folder", type=Path, help="with alice/02-value-and-the-chain-rule.ipynb, or alice-02.ipynb"
    )
    add_folder(parser, "grades")
    parser.add_argument(
        "--timeout", type=above_zero, default=120.0, metavar="SECONDS",
        help="for each notebook; one cell may take half of it [%(default)g]",
    )  # fmt: skip
    parser.add_argument(
        "--memory", type=at_least_one, default=2000, metavar="MB",
        help="for each notebook; not on Windows and macOS [%(default)s]",
    )  # fmt: skip
    parser.add_argument(
        "--jobs", type=at_least_one, default=max(1, (os.cpu_count() or 1) - 1),
        help="so many notebooks run at a time [%(default)s]",
    )  # fmt: skip
    parser.set_defaults(run=grade)


def grade(options: argparse.Namespace) -> int:
    """Grades the submissions, and prints a summary."""
    from ..course.grading import grade
    from ..course.report import write_report

    graded = grade(
        options.folder, options.out, options.timeout, options.memory, options.jobs, verbose=True
    )
    paths = write_report(graded, options.out)
    if weak := {what for student in graded for what in student.unprotected}:
        print(f"this system does not limit: {', '.join(sorted(weak))}", file=sys.stderr)
    mean = sum(student.points for student in graded) / len(graded)
    suspicious = [student.student for student in graded if student.is_suspicious]
    print(f"{many(len(graded), 'student')}, {mean:.1f} points on average")
    if suspicious:
        print(f"suspicious, tried to read the solutions: {', '.join(suspicious)}")
    print(f"wrote {paths[0]} and {many(len(paths) - 1, 'page')}")
    return 0


def _add_progress(parts: Any) -> None:
    help_ = "show which exercises are right in the saved notebooks of a folder"
    parser = add_command(parts, "progress", help_, "micrograd-plus course progress course")
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(), help="the notebooks' folder [%(default)s]"
    )
    parser.set_defaults(run=progress)


def progress(options: argparse.Namespace) -> int:
    """Prints one line for each notebook, and what to do next."""
    from ..course.progress import progress, table

    print(table(progress(options.folder)))
    return 0


def _add_site(parts: Any) -> None:
    help_ = "write the course as a static site, which runs in the browser with nothing installed"
    parser = add_command(parts, "site", help_, "micrograd-plus course site --out site")
    add_folder(parser, "site")
    parser.set_defaults(run=site)


def site(options: argparse.Namespace) -> int:
    """Builds the site, and says how to look at it."""
    from ..course.site import build_site

    built = build_site(options.out)
    print(
        f"wrote {many(built.files, 'file')}, {built.size / 1e6:.0f} MB, to {built.folder}: any "
        "file server can serve it. To look at it here:\n"
        f"  python -m http.server --bind 127.0.0.1 --directory {built.folder}\n"
        "  and open http://127.0.0.1:8000 in a browser"
    )
    return 0
