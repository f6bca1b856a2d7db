"""Operators: classes whose + - * and / are machine code, for the Values of a recording.

A function that is recorded is mostly operators. As methods in Python, `Value.__add__` and the like,
they take most of the time of a recording; those of `making.py` do the same in a fraction of it.
They leave all else to Value's methods: numbers, what is inside `no_grad`, and other threads.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from ..engine import Value, current_engine, engine_in_use
from ..ops import TABLE
from . import making
from .native import addresses_in, as_in_c, is_installed
from .tape import Making, structure

OPERATORS = {"add": ("add", 7), "sub": ("sub", 36), "mul": ("mul", 29), "truediv": ("div", 37)}
"""The op of each of `making.OPERATORS`, and the number that C has for the operator."""
DEALLOC, MEMBERS, WHOLE = 52, 72, 19
"""C's numbers for how an instance is freed, for attributes, and for one that is a whole number."""


@cache
def is_native() -> bool:
    """Whether recordings are made in machine code.

    It needs llvmlite, and a Python whose arrays have their size, their address and how much they
    have room for where `making.py` looks for them.
    """
    if not is_installed():
        return False
    numbers = array("i", range(3))
    begin = id(numbers) + 8 * making.SIZE
    size, items, room = (ctypes.c_int64 * 3).from_address(begin)
    return (size, items) == (3, numbers.buffer_info()[0]) and 3 <= room < 100


@cache
def operators() -> tuple[type, ...]:
    """A class of operators alone, as a base of others; none where recordings are made in Python."""
    can_be_a_base = 1 << 10  # C's Py_TPFLAGS_BASETYPE
    return (_class("Operators", object, 0, can_be_a_base, []),) if is_native() else ()


def class_of_results(base: type[Value]) -> Any:
    """A new class of results, with operators; `base` adds no slots to those of Value.

    Their `number` is one of their words, which follows the slots.
    """
    members = (_Member * 2)(_Member(b"number", WHOLE, Value.__basicsize__, 0, None))  # and the end
    free = addresses_in(making)["free_result"]
    slots = [_Slot(DEALLOC, free), _Slot(MEMBERS, ctypes.addressof(members))]
    return _class("Result", base, 8, 0, slots)


def making_of(**objects: Any) -> tuple[Any, list[Callable[..., Any]]]:
    """A record of these objects, and the functions `making.ENTRIES`, which add to them."""
    record = _record(**objects)
    return record, as_in_c(making)((ctypes.addressof(record), record, objects))


@contextmanager
def adding_to(record: Any) -> Iterator[None]:
    """Inside, the operators add to a recording what they make in this thread."""
    record.engine = id(engine_in_use())
    before = _keep()(ctypes.addressof(record))
    try:
        yield
    finally:
        record.engine = 0
        _keep()(before)


def _record(**objects: Any) -> Any:
    """A record for `making.py`, with the addresses of these objects."""
    addresses = {name: id(thing) for name, thing in (_known() | objects).items()}
    return structure(Making)(word=Value.__basicsize__ // 8, **addresses)


@cache
def _known() -> dict[str, Any]:
    """What all records have."""
    methods: list[Any] = []
    for name in making.OPERATORS:
        op, _ = OPERATORS[name]
        methods += TABLE[op], getattr(Value, f"__{name}__"), getattr(Value, f"__r{name}__")
    return {
        "variable": current_engine,
        "value": Value,
        "methods": tuple(methods),
        "nary": "nary",
        "zero": array("i", (0,)),
    }


@cache
def _keep() -> Callable[[int], int]:
    """`making.keep`, which has a record from the beginning."""
    keep = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(addresses_in(making)["keep"])
    nothing = _record()  # with which nothing is recorded
    for needed in (nothing, _known()):  # as long as there are results, even when Python ends
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(needed))
    keep(ctypes.addressof(nothing))
    return keep


class _Slot(ctypes.Structure):  # C's PyType_Slot
    _fields_ = (("number", ctypes.c_int), ("address", ctypes.c_void_p))


class _Spec(ctypes.Structure):  # C's PyType_Spec
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("size", ctypes.c_int),
        ("item_size", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.POINTER(_Slot)),
    )


class _Member(ctypes.Structure):  # C's PyMemberDef
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("kind", ctypes.c_int),
        ("place", ctypes.c_ssize_t),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


def _class(name: str, base: type, more: int, flags: int, slots: Sequence[_Slot]) -> Any:
    """A new class with operators, whose instances have some bytes more than those of `base`."""
    new, own = _new_class()
    listed = (_Slot * (len(own) + len(slots) + 1))(*own, *slots)  # and one of zeros, the end
    size, full_name = base.__basicsize__ + more, f"{__name__}.{name}".encode()
    return new(_Spec(full_name, size, 0, flags, listed), (base,))


@cache
def _new_class() -> tuple[Callable[..., Any], list[_Slot]]:
    """C's function that makes a class, and the operators."""
    _keep()
    addresses = addresses_in(making)
    types = ctypes.POINTER(_Spec), ctypes.py_object
    new = ctypes.PYFUNCTYPE(ctypes.py_object, *types)(
        ("PyType_FromSpecWithBases", ctypes.pythonapi)
    )
    return new, [_Slot(OPERATORS[name][1], addresses[name]) for name in making.OPERATORS]
