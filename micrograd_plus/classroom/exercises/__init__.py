"""The exercises of the course, by their ids, and what checks an answer.

>>> find("02.3")
Traceback (most recent call last):
ValueError: there is no exercise '02.3'; notebook 02 has none
"""

from __future__ import annotations

from importlib import import_module

from .exercise import Exercise

UNITS = tuple(f"{number:02}" for number in range(13))
"""The numbers of the notebooks."""


def unit(number: str) -> tuple[Exercise, ...]:
    """The exercises of a notebook, in order, such as `unit("02")`; ValueError if there is none."""
    if number not in UNITS:
        raise ValueError(f"there is no notebook {number!r}; there are {UNITS[0]} to {UNITS[-1]}")
    exercises: tuple[Exercise, ...] = import_module(f"{__name__}.unit_{number}").EXERCISES
    return exercises


def find(id: str) -> Exercise:  # noqa: A002
    """The exercise with this id; ValueError, which lists the ids of the notebook, if none has."""
    exercises = unit(str(id).partition(".")[0])
    for exercise in exercises:
        if exercise.id == id:
            return exercise
    ids = ", ".join(exercise.id for exercise in exercises) or "none"
    raise ValueError(f"there is no exercise {id!r}; notebook {id[:2]} has {ids}")
