"""Listing: what is done with every object of a long list.

`native.py` compiles this file; without llvmlite Python does the same, at more cost. As in
`making.py`, an object is its address, and 0 in place of one means that there is an error.
"""

from __future__ import annotations

from typing import Any

# What `native.py` writes in LLVM's language: numbers at an address, an object's type, and
# functions of Python's C API.
integers: Any = None
places: Any = None
type_of: Any = None
put_type: Any = None
PyBool_FromLong: Any = None
PyErr_BadArgument: Any = None
PyErr_Occurred: Any = None
PyList_GetItem: Any = None
PyList_Size: Any = None
PyLong_AsSsize_t: Any = None
PyObject_GetItem: Any = None
Py_DecRef: Any = None
Py_IncRef: Any = None


def copy_numbers(own: int, arguments: int, count: int) -> int:
    """`copy_numbers(numbers, to)`: copies whole numbers to an address."""
    given = integers(arguments)
    if count != 2:
        return int(PyErr_BadArgument())
    numbers, to = given[0], places(PyLong_AsSsize_t(given[1]))
    for k in range(PyList_Size(numbers)):
        to[k] = PyLong_AsSsize_t(PyList_GetItem(numbers, k))
    return 0 if PyErr_Occurred() else int(PyBool_FromLong(1))


def copy_found(own: int, arguments: int, count: int) -> int:
    """`copy_found(keys, table, to)`: copies the whole number that a dictionary has for each key."""
    given = integers(arguments)
    if count != 3:
        return int(PyErr_BadArgument())
    keys, table, to = given[0], given[1], places(PyLong_AsSsize_t(given[2]))
    last = found = 0
    for k in range(PyList_Size(keys)):
        key = PyList_GetItem(keys, k)
        if key != last:
            number = PyObject_GetItem(table, key)
            if number == 0:
                return 0
            last, found = key, PyLong_AsSsize_t(number)
            Py_DecRef(number)
        to[k] = found
    return int(PyBool_FromLong(1))


def give_class(own: int, arguments: int, count: int) -> int:
    """`give_class(values, old, new)`: the values of one class get another of the same memory."""
    given = integers(arguments)
    if count != 3:
        return int(PyErr_BadArgument())
    values, old, new = given[0], given[1], given[2]
    for k in range(PyList_Size(values)):
        value = PyList_GetItem(values, k)
        if type_of(value) == old:
            put_type(value, new)
            Py_IncRef(new)
            Py_DecRef(old)
    return int(PyBool_FromLong(1))


ENTRIES = ("copy_numbers", "copy_found", "give_class")
