"""Making: adds a node to what is recorded, for each operator of the user's function.

`native.py` compiles this file; without llvmlite the recorder does the same in Python. An object is
its address, as `id` gives it. What Python's C API returns must be given back with `Py_DecRef`,
but for what `item_of` finds; 0 in place of an object means that there is an error.
"""

from __future__ import annotations

from typing import Any

# What `native.py` writes in LLVM's language: the words at an address, an object's type, an
# item of a tuple, and functions of Python's C API.
integers: Any = None
type_of: Any = None
item_of: Any = None
PyErr_BadArgument: Any = None
PyList_Append: Any = None
PyList_Size: Any = None
PyLong_AsSsize_t: Any = None
PyLong_FromSsize_t: Any = None
PyObject_GetAttr: Any = None
PyObject_GetItem: Any = None
PyObject_IsTrue: Any = None
PyObject_Vectorcall: Any = None
PyTuple_Size: Any = None
PyType_GenericAlloc: Any = None
Py_DecRef: Any = None

# What `node` belongs to, by its place in a tuple: lists to which the op and the numbers of the
# operands are added; the class of results, and at which of its words a result has its number;
# the numbers of other Values; the name of the attribute that tells ops of vectors, and what makes
# the nodes of these.
OPS, OPERANDS, RESULTS, WORD, PLACES, NARY, OF_VECTORS = range(7)


def add_operand(own: int, value: int) -> int:
    """Adds the number of a Value to the operands; -1 if there is an error."""
    operands = item_of(own, OPERANDS)
    if type_of(value) == item_of(own, RESULTS):
        words = integers(value)
        return int(PyList_Append(operands, words[PyLong_AsSsize_t(item_of(own, WORD))]))
    number = PyObject_GetItem(item_of(own, PLACES), value)
    if number == 0:
        return -1
    done = PyList_Append(operands, number)
    Py_DecRef(number)
    return int(done)


def node(own: int, arguments: int, count: int) -> int:
    """`node(op, operands)` of a recorder: a new result.

    arguments: where the addresses of the `count` arguments are.
    """
    given = integers(arguments)
    if count != 2:
        return int(PyErr_BadArgument())
    op, values = given[0], given[1]
    nary = PyObject_GetAttr(op, item_of(own, NARY))
    if nary == 0:
        return 0
    of_vectors = PyObject_IsTrue(nary)
    Py_DecRef(nary)
    if of_vectors:
        return int(PyObject_Vectorcall(item_of(own, OF_VECTORS), arguments, count, 0))
    width = PyTuple_Size(values)
    if width < 0:
        return 0
    for k in range(width):
        if add_operand(own, item_of(values, k)) < 0:
            return 0
    ops = item_of(own, OPS)
    number = PyLong_FromSsize_t(PyList_Size(ops))
    result = PyType_GenericAlloc(item_of(own, RESULTS), 0)
    if number == 0 or result == 0 or PyList_Append(ops, op) < 0:
        return 0
    words = integers(result)
    words[PyLong_AsSsize_t(item_of(own, WORD))] = number
    return int(result)
