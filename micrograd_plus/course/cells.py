'''The cells of a notebook: where a solution is in one, and which exercise one checks.

The marks are nbgrader's: a line `### BEGIN SOLUTION` and a line `### END SOLUTION`.

>>> print(without_solution("""def double(x):
...     ### BEGIN SOLUTION
...     return 2 * x
...     ### END SOLUTION"""))
def double(x):
    ...
>>> checks_in('mp.classroom.check("02.3", slope)')
[Check(id='02.3', answer='slope')]
'''

from __future__ import annotations

import ast
import re
from typing import NamedTuple

_MARK = re.compile(r"(\s*)### (BEGIN|END) (SOLUTION|HIDDEN TESTS)\s*")
_LIKE_A_MARK = re.compile(r"\s*#+ *(BEGIN|END)\b.*\b(SOLUTION|TEST)S?\s*", re.IGNORECASE)


class Check(NamedTuple):
    """What a check cell checks: the id of an exercise, and the expression of the answer."""

    id: str
    answer: str


def checks_in(source: str) -> list[Check]:
    """The checks in a code cell: its statements `….check("02.3", answer)`."""
    try:
        statements = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = []
    for statement in statements:
        match statement:
            case ast.Expr(
                ast.Call(
                    ast.Attribute(attr="check") | ast.Name("check"),
                    [ast.Constant(str(id_)), answer, *_],
                )
            ):
                found.append(Check(id_, ast.unparse(answer)))
    return found


def has_solution(source: str) -> bool:
    """Whether a cell contains a solution; ValueError if its marks are not in order."""
    return any(kind == "SOLUTION" for _, kind in _marked(source))


def without_solution(source: str) -> str:
    """The student's form of a code cell. ValueError if the marks are not in order.

    A solution in a function or class becomes `...`; one that is not indented is left out, as what
    comes before it is the student's form: `slope = ...`. Hidden tests are left out.
    """
    lines: list[str] = []
    for text, kind in _marked(source):
        indent = text[: len(text) - len(text.lstrip())]
        if kind == "":
            lines.append(text)
        elif kind == "SOLUTION" and indent:
            lines.append(f"{indent}...")
    shorter = "\n".join(lines).rstrip()
    if shorter == source:
        return source
    try:
        ast.parse(shorter)
    except SyntaxError as error:
        raise ValueError(
            f"without its solution the cell is not valid Python: {error.msg} in line {error.lineno}"
        ) from None
    return shorter or "..."


def _marked(source: str) -> list[tuple[str, str]]:
    """The lines outside of marks, each with ""; and for each marked part its first line and kind.

    ValueError if the marks are not in order.
    """
    found: list[tuple[str, str]] = []
    opened = ("", "", 0)  # indent, kind and line of the mark that is open
    for number, line in enumerate(source.split("\n"), 1):
        mark = _MARK.fullmatch(line)
        if mark is None:
            if _LIKE_A_MARK.fullmatch(line):
                raise ValueError(
                    f"line {number} is {line.strip()!r}: a mark is exactly ### BEGIN SOLUTION, "
                    "### END SOLUTION, ### BEGIN HIDDEN TESTS or ### END HIDDEN TESTS"
                )
            if not opened[1]:
                found.append((line, ""))
            continue
        indent, side, kind = mark.groups()
        if side == "BEGIN" and opened[1]:
            raise ValueError(
                f"### BEGIN {kind} in line {number} comes before the part that begins in line "
                f"{opened[2]} has ended"
            )
        if side == "BEGIN":
            opened = (indent, kind, number)
            found.append((line, kind))
        elif (indent, kind) != opened[:2]:
            raise ValueError(
                f"### END {kind} in line {number} has no ### BEGIN {kind} with the same "
                "indentation before it"
            )
        else:
            opened = ("", "", 0)
    if opened[1]:
        raise ValueError(f"### BEGIN {opened[1]} in line {opened[2]} has no ### END {opened[1]}")
    return found
