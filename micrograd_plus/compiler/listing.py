"""Listing: what is done with every object of a long list.

`native.py` compiles this file; without llvmlite Python does the same, at more cost. As in
`making.py`, an object is its address, and 0 in place of one means that there is an error.
"""

from __future__ import annotations

from typing import Any

# What `native.py` writes in LLVM's language: numbers at an address, an object's type, and
# functions of Python's C API.
doubles: Any = None
integers: Any = None
places: Any = None
type_of: Any = None
put_type: Any = None
item_of: Any = None
number_of: Any = None
PyBool_FromLong: Any = None
PyDict_GetItemWithError: Any = None
PyErr_BadArgument: Any = None
PyErr_Occurred: Any = None
PyList_GetItem: Any = None
PyList_Size: Any = None
PyLong_AsSsize_t: Any = None
PyObject_GetItem: Any = None
Py_DecRef: Any = None
Py_IncRef: Any = None


def copy_found(own: int, arguments: int, count: int) -> int:
    """`copy_found(keys, table, to)`: copies the whole number that a dictionary has for each key."""
    given = integers(arguments)
    if count != 3:
        return int(PyErr_BadArgument())
    keys, table, to = given[0], given[1], places(PyLong_AsSsize_t(given[2]))
    for k in range(PyList_Size(keys)):
        key = PyList_GetItem(keys, k)
        number = PyDict_GetItemWithError(table, key)
        if number != 0:
            to[k] = PyLong_AsSsize_t(number)
        elif PyErr_Occurred() != 0:
            return 0
        else:
            added = PyObject_GetItem(table, key)
            if added == 0:
                return 0
            to[k] = PyLong_AsSsize_t(added)
            Py_DecRef(added)
    return int(PyBool_FromLong(1))


def copy_floats(own: int, arguments: int, count: int) -> int:
    """`copy_floats(values, class_, word, to)`: copies the floats that objects of a class have.

    word: at which of its words each has its float. False if one is of another class, or has
    something else there.
    """
    given = integers(arguments)
    if count != 4:
        return int(PyErr_BadArgument())
    values, class_, word = given[0], given[1], PyLong_AsSsize_t(given[2])
    to, float_type = doubles(PyLong_AsSsize_t(given[3])), type_of(item_of(own, 0))
    for k in range(PyList_Size(values)):
        value = PyList_GetItem(values, k)
        if type_of(value) != class_:
            return int(PyBool_FromLong(0))
        number = integers(value)[word]
        if number == 0 or type_of(number) != float_type:
            return int(PyBool_FromLong(0))
        to[k] = number_of(number)
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


ENTRIES = ("copy_floats", "copy_found", "give_class")
