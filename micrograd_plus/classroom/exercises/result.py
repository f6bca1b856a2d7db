"""What `check` gives: right, wrong or not yet, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ...support.rich import mimebundle, selected
from .exercise import Exercise
from .guard import Outcome

RIGHT, WRONG, NOT_YET = "right", "wrong", "not yet"
STATUS_MIME = "application/vnd.micrograd-plus.check+json"
"""The MIME type of a result's id and status, from which saved notebooks are read."""


@dataclass(frozen=True)
class Evidence:
    """What running an answer gave.

    outcomes: for each case what came out; none if the answer is `...` or None.
    is_begun: False if the body of the function, or of a method, is still `...`.
    """

    outcomes: tuple[Outcome, ...] = ()
    is_begun: bool = True


@dataclass(frozen=True, repr=False)
class Result:
    """The result of a check. It prints as text, and a notebook shows it in colour.

    id: the exercise. status: "right", "wrong" or "not yet".
    rows: what is said, as pairs of a label and a text; a sentence has no label.
    hint: what to think about; empty without one.
    picture: what draws the failing expression; None for most.
    """

    id: str
    status: str
    rows: tuple[tuple[str, str], ...] = ()
    hint: str = ""
    picture: Any = None

    @property
    def passed(self) -> bool:
        """Whether the answer is right."""
        return self.status == RIGHT

    @property
    def text(self) -> str:
        """What is said, one line a row, without the hint."""
        return "\n".join(f"{label}: {said}" if label else said for label, said in self.rows)

    def __repr__(self) -> str:
        hint = ("hint", self.hint)
        rows = [*self.rows, *[hint] * bool(self.hint)]
        width = max([len(label) for label, _ in rows], default=0) + 2
        lines = [f"  {label + ':':{width}}{said}" if label else f"  {said}" for label, said in rows]
        return "\n".join([f"{self.id}: {self.status}", *lines])

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None
    ) -> dict[str, Any]:
        bundle = mimebundle(self) | {STATUS_MIME: {"id": self.id, "status": self.status}}
        return selected(bundle, include, exclude)


def not_yet(exercise: Exercise, said: str = "") -> Result:
    """The result for an answer that has not been begun."""
    said = said or "Replace the `...` with your answer and run its cell. Then run this cell again."
    return Result(exercise.id, NOT_YET, (("", said),))
