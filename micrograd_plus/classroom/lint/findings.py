"""The report of the linter: each finding says where, what happened, and how to fix it.

>>> report = Report()
>>> report.add("step-without-backward", "no update.", "call loss.backward() first.")
>>> print(report)
lint: 1 finding
<BLANKLINE>
1. step-without-backward
   What happens: no update.
   What to do: call loss.backward() first.
"""

from __future__ import annotations

import linecache
import os
import re
import sys
import textwrap
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NamedTuple

_HERE = str(Path(__file__).parent) + os.sep
_PACKAGE = str(Path(__file__).parents[2]) + os.sep
_WIDTH = 88  # of a report in a terminal


class Place(NamedTuple):
    """A line of the user's code."""

    file: str
    line: int
    function: str = "<module>"

    @property
    def source(self) -> str:
        """The text of the line; empty if it cannot be read, as in an interactive session."""
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        """Returns `lesson.py:12`, or in a notebook `In[5], line 3`."""
        within = "" if self.function == "<module>" else f", in {self.function}"
        if cell := _cell(self.file):
            return f"{cell}, line {self.line}{within}"
        path = Path(self.file)
        if path.is_absolute():
            here = Path.cwd()
            path = path.relative_to(here) if path.is_relative_to(here) else Path(path.name)
        return f"{path}:{self.line}{within}"


def _cell(file: str) -> str:
    """Returns the name of the notebook cell with this file name; empty for a real file."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    name_of = getattr(getattr(shell, "compile", None), "format_code_name", None)
    if name_of and (named := name_of(file)):
        return str(named[1])  # of ("Cell", "In[5]")
    return "notebook cell" if re.search(r"ipykernel_\d+", file) else ""


def user_place() -> Place | None:
    """Returns the innermost line of the call stack that is outside of this package."""
    for frame in _frames():
        code = frame.f_code
        if not code.co_filename.startswith(_PACKAGE):
            return Place(code.co_filename, frame.f_lineno, code.co_name)
    return None


def called_by_user(*through: str) -> bool:
    """Whether the files `through`, which called the linter, were called by the user's code."""
    for frame in _frames():
        file = frame.f_code.co_filename
        if file not in through and not file.startswith(_HERE):
            return not file.startswith(_PACKAGE)
    return False


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


@dataclass
class Finding:
    """One mistake, which may have been made several times.

    kind: a short name that does not change. message: what happened. fix: what to do.
    place: the line of code, if there is one. count: how often it was found.
    """

    kind: str
    message: str
    fix: str
    place: Place | None = None
    count: int = 1

    @property
    def where(self) -> str:
        """The place and the count, as in `lesson.py:12, 80 times`."""
        times = f"{self.count} times" if self.count > 1 else ""
        return ", ".join(text for text in (str(self.place or ""), times) if text)

    def __str__(self) -> str:
        lines = [self.kind + f"  ({self.where})" * bool(self.where)]
        if self.place and self.place.source:
            lines.append(f"    {self.place.source}")
        for title, text in (("What happens", self.message), ("What to do", self.fix)):
            lines += textwrap.wrap(f"{title}: {text}", _WIDTH)
        return "\n".join(lines)

    def _repr_markdown_(self) -> str:
        source = self.place.source if self.place else ""
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", source)), default=0))
        parts = [
            f"**{_plain(self.kind)}** {f'({_plain(self.where)})' * bool(self.where)}".strip(),
            f"{fence}python\n{source}\n{fence}" if source else "",
            _plain(self.message),
            f"*What to do:* {_plain(self.fix)}",
        ]
        return "\n\n".join(filter(None, parts))


class Report:
    """A list of findings in the order in which they were found, false if it is empty.

    watched: a description of the code or the model that was checked.
    """

    def __init__(self) -> None:
        self._found: dict[Hashable, Finding] = {}
        self.watched = ""

    def add(
        self,
        kind: str,
        message: str,
        fix: str,
        place: Place | None = None,
        subject: Hashable = None,
    ) -> None:
        """Adds a finding, or counts one more of the same kind, place and subject."""
        known = self._found.setdefault(
            (kind, place, subject), Finding(kind, message, fix, place, 0)
        )
        known.count += 1

    @property
    def kinds(self) -> list[str]:
        """The kinds of the findings, without repetition."""
        return list(dict.fromkeys(finding.kind for finding in self))

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, index: int) -> Finding:
        return list(self)[index]

    @property
    def summary(self) -> str:
        """The number of findings, and what was checked."""
        count = f"{len(self) or 'no'} finding{'s' * (len(self) != 1)}"
        return f"lint: {count}" + f" ({self.watched})" * bool(self.watched)

    def __str__(self) -> str:
        parts = [self.summary]
        for number, finding in enumerate(self, start=1):
            indented = textwrap.indent(str(finding), "   ")
            parts.append(f"{number}.{indented[len(f'{number}.') :]}")
        return "\n\n".join(parts)

    def __repr__(self) -> str:
        return str(self)

    def _repr_markdown_(self) -> str:
        return "\n\n".join([_plain(self.summary), *[f._repr_markdown_() for f in self]])


def _plain(text: str) -> str:
    """Escapes text so that Markdown shows it unchanged."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&$])", r"\\\1", text)
