"""Operators: a class whose + - * and / are machine code, for the Values of a recording.

A function that is recorded is mostly operators. As methods in Python, `Value.__add__` and the like,
they take most of the time of a recording; those of `making.py` do the same in half the time. They
leave all else to Value's methods: numbers, what is inside `no_grad`, and other threads.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from ..engine import Value, current_engine
from ..ops import TABLE
from . import making
from .native import addresses_in, is_installed

OPERATORS = {"add": ("add", 7), "sub": ("sub", 36), "mul": ("mul", 29), "truediv": ("div", 37)}
"""The op of each of `making.OPERATORS`, and the number that C has for the operator."""


@cache
def operators() -> tuple[type, ...]:
    """The class, as a base of others; none without llvmlite."""
    if not is_installed():
        return ()
    import ctypes

    class Slot(ctypes.Structure):  # C's PyType_Slot
        _fields_ = (("number", ctypes.c_int), ("address", ctypes.c_void_p))

    class Spec(ctypes.Structure):  # C's PyType_Spec
        _fields_ = (
            ("name", ctypes.c_char_p),
            ("size", ctypes.c_int),
            ("item_size", ctypes.c_int),
            ("flags", ctypes.c_uint),
            ("slots", ctypes.POINTER(Slot)),
        )

    addresses = addresses_in(making)
    kept: list[Any] = [current_engine, "node", type(len), Value]
    slots = []
    for name in making.OPERATORS:
        op, number = OPERATORS[name]
        kept += TABLE[op], getattr(Value, f"__{name}__"), getattr(Value, f"__r{name}__")
        slots.append(Slot(number, addresses[name]))
    ctypes.PYFUNCTYPE(None, ctypes.py_object)(addresses["keep"])(tuple(kept))
    can_be_a_base = 1 << 10  # C's Py_TPFLAGS_BASETYPE
    new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.POINTER(Spec))(
        ("PyType_FromSpec", ctypes.pythonapi)
    )
    size = object.__basicsize__
    listed = (Slot * (len(slots) + 1))(*slots)  # and one of zeros, the end
    return (new(Spec(_NAME, size, 0, can_be_a_base, listed)),)


_NAME = f"{__name__}.Operators".encode()
