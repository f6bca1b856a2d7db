"""A short text that changes when a function changes: how results on disk are found again.

>>> def half(x):
...     return x / 2
>>> def third(x):
...     return x / 3
>>> fingerprint(half) == fingerprint(half), fingerprint(half) == fingerprint(third)
(True, False)
"""

from __future__ import annotations

import dis
import hashlib
import pickle
from contextlib import suppress
from functools import partial
from itertools import chain
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any


def fingerprint(thing: Any, home: str = "") -> str:
    """32 hexadecimal digits that stand for a function or a value, the same in every process.

    home: the name of the module that counts as one's own, by default that of the function.

    A function counts with its code, its defaults, and all that it uses of its own module or
    notebook: functions, classes and values. What it imports from elsewhere counts by its name
    alone. Comments, the place in the file and the function's own name do not count. A value that
    cannot be pickled counts by its class. Another version of Python makes other code.
    """
    home = home or home_of(thing)
    return hashlib.sha256(repr(_described(thing, home, {})).encode()).hexdigest()[:32]


def home_of(function: Any) -> str:
    """The name of the module in which a function, or what a `partial` calls, is defined."""
    return getattr(getattr(function, "func", function), "__module__", None) or ""


def _described(thing: Any, home: str, seen: dict[int, tuple[int, Any]]) -> Any:
    """`thing` as nested tuples of texts.

    home: the module whose functions and classes are followed.
    seen: what may contain itself and is described already; it is kept, so that no id comes twice.
    """

    def all_of(*things: Any) -> tuple[Any, ...]:
        return tuple(_described(one, home, seen) for one in things)

    if thing is None or isinstance(thing, (bool, int, float, complex, str, bytes)):
        return repr(thing)
    if isinstance(thing, tuple):
        return "tuple", *all_of(*thing)
    if isinstance(thing, (set, frozenset)):  # in an order that is the same in each process
        return "set", *sorted(map(repr, thing))
    if id(thing) in seen:
        return "again", seen[id(thing)][0]
    seen[id(thing)] = len(seen), thing
    if isinstance(thing, list):
        return "list", *all_of(*thing)
    if isinstance(thing, dict):
        return "dict", *all_of(*thing.items())
    if isinstance(thing, CodeType):
        names = (thing.co_names, thing.co_varnames, thing.co_freevars)
        return "code", thing.co_code.hex(), *all_of(thing.co_consts, *names)
    if isinstance(thing, partial):
        return "partial", *all_of(thing.func, thing.args, thing.keywords)
    if isinstance(thing, property):
        return "property", *all_of(thing.fget, thing.fset)
    if isinstance(thing, MethodType):
        return "method", *all_of(thing.__func__, thing.__self__)
    if isinstance(thing, ModuleType):
        return "module", thing.__name__
    if isinstance(thing, (FunctionType, type)):
        if thing.__module__ != home:
            return "elsewhere", thing.__module__, thing.__qualname__
        if isinstance(thing, type):
            body = {name: part for name, part in vars(thing).items() if name not in _ON_ANY_CLASS}
            return "class", *all_of(thing.__bases__, body)
        return "function", *all_of(
            thing.__code__, thing.__defaults__, thing.__kwdefaults__, _used_by(thing)
        )
    if hasattr(thing, "__wrapped__"):  # staticmethod, classmethod, functools.cache
        return type(thing).__name__, *all_of(thing.__wrapped__)
    return "value", *all_of(type(thing), _pickled(thing))


_ON_ANY_CLASS = ("__dict__", "__weakref__", "__doc__", "__firstlineno__", "__static_attributes__")


def _used_by(function: FunctionType) -> list[Any]:
    """The values that a function takes from around it, each after its name."""
    used = [(name, function.__globals__.get(name)) for name in _global_names(function.__code__)]
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        with suppress(ValueError):  # not assigned yet
            used.append((name, cell.cell_contents))
    return used


def _global_names(code: CodeType) -> list[str]:
    """The names that a function, or a function inside it, looks up in its module."""
    looks_up = ("LOAD_GLOBAL", "LOAD_NAME")  # not LOAD_ATTR: of an attribute
    names = [step.argval for step in dis.get_instructions(code) if step.opname in looks_up]
    inner = [const for const in code.co_consts if isinstance(const, CodeType)]
    return [*dict.fromkeys(names), *chain.from_iterable(map(_global_names, inner))]


def _pickled(thing: Any) -> bytes:
    """The content of a value; nothing if it cannot be pickled."""
    with suppress(Exception):  # of any kind: __reduce__ is the class's own
        return pickle.dumps(thing)
    return b""
