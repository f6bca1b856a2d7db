"""Packs an exercise for the process that runs a student's code, without its solution.

What a test needs there is the functions that make the cases and that run the answer. They are
in the same files as the solutions, which that process must not read. So they are sent as code:
each with those of its module's names that it uses.
"""

from __future__ import annotations

import builtins
import io
import marshal
import pickle
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

from ..classroom import exercises
from ..classroom.exercises.exercise import Behaviour, Choice, Exercise, Number


def packed(exercise: Exercise) -> bytes:
    """The exercise, with no more than is needed to run an answer; `pickle.loads` reads it.

    TypeError or pickle.PicklingError if a function of its test uses something that cannot be sent.
    """
    match exercise.test:
        case Number():
            shorter: Exercise = replace(exercise, test=Number(0.0))
        case Choice():
            shorter = replace(exercise, test=Choice("", {}))
        case Behaviour() as test:
            shorter = replace(exercise, test=replace(test, solution=None, mistakes=(), show=None))
        case _:
            shorter = exercise
    file = io.BytesIO()
    _Pickler(file).dump(shorter)
    return file.getvalue()


class _Pickler(pickle.Pickler):
    """Stores the functions and classes of the exercises by their content, not by their names."""

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, ModuleType):
            return import_module, (thing.__name__,)
        if isinstance(thing, (staticmethod, classmethod)):
            return type(thing), (thing.__func__,)
        if isinstance(thing, property):
            return property, (thing.fget, thing.fset, thing.fdel)
        if isinstance(thing, FunctionType) and _is_sent(thing):
            return _function, (marshal.dumps(thing.__code__),), _state(thing), None, None, _fill
        if isinstance(thing, type) and issubclass(thing, tuple) and _is_sent(thing):
            fields, defaults = thing._fields, tuple(thing._field_defaults.values())  # type: ignore[attr-defined]
            own = thing.__module__
            inside = {k: v for k, v in vars(thing).items() if getattr(v, "__module__", "") == own}
            return _named_tuple, (thing.__name__, fields, defaults), inside, None, None, _fill_class
        if isinstance(thing, type) and _is_sent(thing):
            inside = {k: v for k, v in vars(thing).items() if k not in _OWN}
            return _class, (thing.__name__, thing.__bases__), inside, None, None, _fill_class
        return NotImplemented


_EXERCISES = f"{exercises.__name__}.unit_"
_OWN = {"__dict__", "__weakref__", "__doc__"}


def _is_sent(thing: FunctionType | type) -> bool:
    """Whether the other process cannot import it: it is an exercise's, or has no name there."""
    if (thing.__module__ or "").startswith(_EXERCISES):  # an op's function is of no module
        return True
    found: Any = sys.modules.get(thing.__module__)
    for name in thing.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is not thing


def _state(function: FunctionType) -> dict[str, Any]:
    known = function.__globals__
    names = ["__package__", *_names(function.__code__)]  # the package: for relative imports
    return {
        "globals": {name: known[name] for name in names if name in known},
        "defaults": (function.__defaults__, function.__kwdefaults__),
        "closure": [cell.cell_contents for cell in function.__closure__ or ()],
        "name": (function.__name__, function.__qualname__),
    }


def _names(code: CodeType) -> Iterator[str]:
    """All names that this code, and the code inside of it, may look up."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


# ---- in the other process


def _function(code: bytes) -> FunctionType:
    loaded: CodeType = marshal.loads(code)
    closure = tuple(CellType() for _ in loaded.co_freevars)
    around = {"__builtins__": builtins, "__name__": "exercise"}
    return FunctionType(loaded, around, closure=closure)


def _fill(function: FunctionType, state: dict[str, Any]) -> None:
    function.__globals__.update(state["globals"])
    function.__defaults__, function.__kwdefaults__ = state["defaults"]
    for cell, content in zip(function.__closure__ or (), state["closure"]):
        cell.cell_contents = content
    function.__name__, function.__qualname__ = state["name"]


def _class(name: str, bases: tuple[type, ...]) -> type:
    return type(name, bases, {"__module__": "exercise"})


def _named_tuple(name: str, fields: tuple[str, ...], defaults: tuple[Any, ...]) -> type:
    return namedtuple(name, fields, defaults=defaults, module="exercise")


def _fill_class(made: type, inside: dict[str, Callable[..., Any]]) -> None:
    for name, value in inside.items():
        setattr(made, name, value)
