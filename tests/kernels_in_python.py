"""The functions that are translated to machine code, run by Python: an oracle for the translation.

What they find by name, and `native.py` writes in LLVM's language, is written here in Python.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import c_byte, c_double, c_int32, c_int64, c_void_p, sizeof
from threading import Lock
from typing import Any

import pytest

from micrograd_plus.compiler import examples, kernels, reading, running, tape
from micrograd_plus.compiler.dtypes import FLOAT64


def numbers_at(kind: Any) -> Callable[[int], Any]:
    pointer = ctypes.POINTER(kind)
    return lambda address: ctypes.cast(address, pointer)


def record_at(record: type) -> Callable[[int, int], Any]:
    structure = tape.structure(record)
    return lambda address, i: structure.from_address(address + i * sizeof(structure))


@contextmanager
def finding(module: Any, objects: dict[str, Any]) -> Iterator[None]:
    """Inside, the functions of a module find these objects by their names."""
    with pytest.MonkeyPatch.context() as patch:
        for name in objects.keys() & vars(module):
            patch.setattr(module, name, objects[name])
        yield


MEMORY = {
    "floats": numbers_at(c_double),
    "doubles": numbers_at(c_double),
    "integers": numbers_at(c_int64),
    "places": numbers_at(c_int32),
    **{f"{record.__name__.lower()}_at": record_at(record) for record in tape.RECORDS},
}


# ---- the kernels

# Small sizes, so that small matrices and steps are cut as large ones are.
VECTOR = 4
SIZES = {"BLOCK": 8, "IN_PLACE": 12, "PANEL": 64, "DEPTH": 5, "HEIGHT": 6, "PART_SLOTS": 1}
LOCK = Lock()


def call(loop: int, arguments: tuple[Any, ...]) -> None:
    """Calls the machine code of an op or an optimizer."""
    kinds = [c_int64 if isinstance(argument, int) else type(argument) for argument in arguments]
    ctypes.CFUNCTYPE(None, *kinds)(loop)(*arguments)


def loaded(address: int) -> int:
    return c_int64.from_address(address).value


def exchanged(address: int, old: int, new: int) -> bool:
    with LOCK:
        is_old = loaded(address) == old
        if is_old:
            c_int64.from_address(address).value = new
        return is_old


def increment(address: int, by: int) -> None:
    with LOCK:
        c_int64.from_address(address).value += by


def give_way() -> None:
    time.sleep(0)


def tiles_of(breadth: int) -> Callable[..., None]:
    def pieces(
        how: int, values: Any, start: int, rows: int, strips: int, inner: int,
        a: Any, a0: int, a_tile: int, a_row: int, a_inner: int,
        b: Any, b0: int, b_strip: int, b_inner: int, c: Any, c0: int, c_row: int,
    ) -> None:  # fmt: skip
        for i in range(rows):
            begin = a0 + i // 6 * a_tile + i % 6 * a_row
            row = [a[begin + k * a_inner] for k in range(inner)]
            for j in range(strips * breadth):
                column = b0 + j // breadth * b_strip + j % breadth
                number = sum(x * b[column + k * b_inner] for k, x in enumerate(row))
                number += c[start + i] if start >= 0 else 0.0
                at = c0 + i * c_row + j
                number = c[at] + number if how & tape.ADDS else number
                then = how // tape.THEN
                if then == tape.ACTIVATE:
                    number = max(number, 0.0)
                elif then == tape.PASS_BACK:
                    number = number if values[at] > 0.0 else 0.0
                c[at] = number

    return pieces


def dots(rows: int) -> Callable[..., None]:
    def pieces(
        adds: int, count: int, outer: int, inner: int, a: Any, a0: int, a_row: int, a_outer: int,
        b: Any, b0: int, b_row: int, b_outer: int, c: Any, c0: int, c_row: int,
    ) -> None:  # fmt: skip
        for i in range(rows):
            for j in range(4 * count):
                number = sum(
                    a[a0 + i * a_row + t * a_outer + k] * b[b0 + j * b_row + t * b_outer + k]
                    for t in range(outer)
                    for k in range(inner)
                )
                at = c0 + i * c_row + j
                c[at] = c[at] + number if adds else number

    return pieces


def prefetch(a: Any, a0: int) -> None:
    """Changes nothing: only the time that it takes to find a number."""


def write_four_dots(adds: int, length: int, *given: Any) -> None:
    (a, *p), (b, *q), (c, c0) = given[:5], given[5:10], given[10:]
    for i in range(4):
        number = sum(a[p[i] + k] * b[q[i] + k] for k in range(length))
        c[c0 + i] = c[c0 + i] + number if adds else number


def copy_of(count: int) -> Callable[..., None]:
    def copied(a: Any, a0: int, c: Any, c0: int) -> None:
        for i in range(count):
            c[c0 + i] = a[a0 + i]

    return copied


def transpose_4(
    a: Any, p: int, q: int, r: int, s: int, c: Any, c0: int, c_row: int
) -> None:  # fmt: skip
    for i in range(4):
        for j, start in enumerate((p, q, r, s)):
            c[c0 + i * c_row + j] = a[start + i]


KERNELS = {
    **MEMORY,
    **SIZES,
    "tiles_of_strips": tiles_of(2 * VECTOR),
    "tiles_of_vectors": tiles_of(VECTOR),
    "tiles_of_fours": tiles_of(4),
    **{f"dots_{m}_4": dots(m) for m in (3, 2, 1)},
    **{f.__name__: f for f in (call, loaded, exchanged, increment, give_way)},
    **{f.__name__: f for f in (prefetch, write_four_dots, transpose_4)},
    **{f"copy_{n}": copy_of(n) for n in (4, 6)},
    "lanes": lambda count, *sizes: range(count),
    "over_lanes": lambda join, x, number: join(x, number),
    "pause": give_way,
    "flush_tiny": lambda: 0,
    "keep_tiny": lambda before: None,
    "VECTOR": VECTOR,
    "zero": 0.0,
    "below_one": FLOAT64.below_one,
}


@contextmanager
def kernels_in_python() -> Iterator[None]:
    """Inside, a machine that is made runs the kernels in Python; the loops stay machine code."""
    with finding(kernels, KERNELS), pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "run_kernel", lambda dtype: kernels.run)
        yield


# ---- reading

FAILED: list[Exception] = []  # the error that Python's C API keeps


def object_at(address: int) -> Any:
    return ctypes.cast(address, ctypes.py_object).value


def as_double(address: int) -> float:
    try:
        return float(object_at(address))
    except OverflowError as error:
        FAILED.append(error)
        return -1.0


def get_buffer(address: int, view: int, flags: int) -> int:
    array = ctypes.py_object(object_at(address))
    try:
        return int(ctypes.pythonapi.PyObject_GetBuffer(array, c_void_p(view), flags))
    except (BufferError, ValueError) as error:
        FAILED.append(error)
        return -1


def size_of(address: int) -> int:
    return len(object_at(address))


def item_of(address: int, i: int) -> int:
    return id(object_at(address)[i])


READING = {
    **MEMORY,
    "letters": numbers_at(c_byte),
    "type_of": lambda address: id(type(object_at(address))),
    "PyTuple_Size": size_of,
    "PyList_Size": size_of,
    "PyTuple_GetItem": item_of,
    "item_of": item_of,
    "items_of": lambda address: list(map(id, object_at(address))),
    "number_of": as_double,
    "PyLong_AsDouble": as_double,
    "PyErr_Occurred": lambda: len(FAILED),
    "PyErr_Clear": FAILED.clear,
    "PyObject_GetBuffer": get_buffer,
    "PyBuffer_Release": lambda view: ctypes.pythonapi.PyBuffer_Release(c_void_p(view)),
}


@contextmanager
def reading_in_python() -> Iterator[None]:
    """Inside, what is new reads the arguments of calls in Python."""

    def reader(own: Any) -> Callable[[Any], int]:
        return lambda batches: reading.copy_and_compare(reading.columns_at(own[0], 0), id(batches))

    with finding(reading, READING), pytest.MonkeyPatch.context() as patch:
        patch.setattr(examples, "reader", reader)
        yield
