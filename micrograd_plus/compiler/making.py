"""Making: the nodes of a recording and their results, for each operator of the user's function.

`native.py` compiles this file; without llvmlite `recording.py` does the same in Python. An object
is its address, as `id` gives it. What a function of Python's C API returns must be given back with
`Py_DecRef`, but for what `PyList_GetItem` and `item_of` find, and what becomes part of an object. 0
in place of an object means that there is an error.

`operators.py` makes a class of `add` and the others. While a function is recorded, they do in
one step what `Value.__add__`, the engine and `node` do in three.
"""

from __future__ import annotations

from typing import Any

from .passes import PARAMETERS as FIRST  # the number of the first parameter

# What `native.py` writes in LLVM's language: the words at an address, an object's type, an
# item of a tuple, the value of a context variable, what `keep` was given last, and functions of
# Python's C API.
integers: Any = None
type_of: Any = None
item_of: Any = None
value_of: Any = None
kept: Any = None
keep_object: Any = None
PyCFunction_GetSelf: Any = None
PyErr_BadArgument: Any = None
PyList_Append: Any = None
PyList_GetItem: Any = None
PyList_New: Any = None
PyList_SetItem: Any = None
PyList_Size: Any = None
PyLong_AsSsize_t: Any = None
PyLong_FromSsize_t: Any = None
PyObject_CallObject: Any = None
PyObject_GetAttr: Any = None
PyObject_GetItem: Any = None
PyObject_IsTrue: Any = None
PyObject_Vectorcall: Any = None
PySequence_List: Any = None
PySequence_Tuple: Any = None
PyTuple_New: Any = None
PyTuple_SetItem: Any = None
PyTuple_Size: Any = None
PyType_GenericAlloc: Any = None
PyType_IsSubtype: Any = None
Py_DecRef: Any = None
Py_IncRef: Any = None

# What the functions belong to, by its place in a tuple: lists to which the op and the numbers of
# the operands are added; the class of results, and at which of its words a result has its number;
# the numbers of other Values, and lists of the parameters among these and of their numbers; the
# address of the place of the parameter that may be next; the name of the attribute that tells ops
# of vectors, and what makes the nodes of these.
OPS, OPERANDS, RESULTS, WORD, PLACES, PARAMETERS, NUMBERS, NEXT, NARY, OF_VECTORS = range(10)


def add_number(own: int, numbers: int, value: int) -> int:
    """Adds the number of a Value to a list; -1 if there is an error."""
    if type_of(value) == item_of(own, RESULTS):
        words = integers(value)
        return int(PyList_Append(numbers, words[PyLong_AsSsize_t(item_of(own, WORD))]))
    # Most parameters follow the last one: to see that is faster than to find them.
    parameters = item_of(own, PARAMETERS)
    next_ = integers(PyLong_AsSsize_t(item_of(own, NEXT)))
    place = next_[0]
    if place < PyList_Size(parameters) and PyList_GetItem(parameters, place) == value:
        next_[0] = place + 1
        return int(PyList_Append(numbers, PyList_GetItem(item_of(own, NUMBERS), place)))
    number = PyObject_GetItem(item_of(own, PLACES), value)
    if number == 0:
        return -1
    next_[0] = PyLong_AsSsize_t(number) - FIRST + 1
    done = PyList_Append(numbers, number)
    Py_DecRef(number)
    return int(done)


def result_of(own: int, number: int) -> int:
    """A new result with this number, which now belongs to it."""
    result = PyType_GenericAlloc(item_of(own, RESULTS), 0)
    if result != 0:
        words = integers(result)
        words[PyLong_AsSsize_t(item_of(own, WORD))] = number
    return int(result)


def next_result(own: int, op: int) -> int:
    """The result of this op, whose operands have been added."""
    ops = item_of(own, OPS)
    number = PyLong_FromSsize_t(PyList_Size(ops))
    if number == 0 or PyList_Append(ops, op) < 0:
        return 0
    return result_of(own, number)


def node(own: int, arguments: int, count: int) -> int:
    """`node(op, operands)`: a new result.

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
    width, operands = PyTuple_Size(values), item_of(own, OPERANDS)
    if width < 0:
        return 0
    for k in range(width):
        if add_number(own, operands, item_of(values, k)) < 0:
            return 0
    return next_result(own, op)


def numbers_of(own: int, arguments: int, count: int) -> int:
    """`numbers_of(values)`: a list of their numbers."""
    given = integers(arguments)
    if count != 1:
        return int(PyErr_BadArgument())
    values = PySequence_Tuple(given[0])
    if values == 0:
        return 0
    numbers = PyList_New(0)
    for k in range(PyTuple_Size(values)):
        if numbers != 0 and add_number(own, numbers, item_of(values, k)) < 0:
            Py_DecRef(numbers)
            numbers = 0
    Py_DecRef(values)
    return int(numbers)


def results_of(own: int, arguments: int, count: int) -> int:
    """`results_of(numbers)`: a list of new results with these numbers."""
    given = integers(arguments)
    if count != 1:
        return int(PyErr_BadArgument())
    numbers = PySequence_List(given[0])  # in which results take the place of the numbers
    if numbers == 0:
        return 0
    for k in range(PyList_Size(numbers)):
        number = PyList_GetItem(numbers, k)
        Py_IncRef(number)
        result = result_of(own, number)
        if result == 0:
            Py_DecRef(numbers)
            return 0
        PyList_SetItem(numbers, k, result)
    return int(numbers)


# ---- operators

# What `keep` is given, by its place in a tuple: the variable that has the engine in use; the name
# of its attribute `node`; the type of functions that are written in C; the class Value; and for
# each operator its op, and the two methods that Value has for it.
ENGINE, NODE, IN_C, VALUE, OP, LEFT, RIGHT = range(7)
ADD, SUB, MUL, TRUEDIV = 0, 3, 6, 9  # how much further these three are


def keep(x: int) -> None:
    """The operators find this object from now on."""
    Py_IncRef(x)
    keep_object(x)


def is_value(x: int) -> int:
    """Whether an object is a Value."""
    return int(PyType_IsSubtype(type_of(x), item_of(kept(), VALUE)))


def called(method: int, x: int, y: int) -> int:
    """What a method returns."""
    arguments = PyTuple_New(2)
    if arguments == 0:
        return 0
    Py_IncRef(x)
    Py_IncRef(y)
    PyTuple_SetItem(arguments, 0, x)
    PyTuple_SetItem(arguments, 1, y)
    result = PyObject_CallObject(method, arguments)
    Py_DecRef(arguments)
    return int(result)


def operated(operator: int, a: int, b: int) -> int:
    """The result of an operator, one of whose operands is a Value."""
    engine = value_of(item_of(kept(), ENGINE))
    if engine == 0:
        return 0
    node = PyObject_GetAttr(engine, item_of(kept(), NODE))
    Py_DecRef(engine)
    if node == 0:
        return 0
    # No other engine has a function for it that is written in C: it is `node`, as above.
    if type_of(node) == item_of(kept(), IN_C) and is_value(a) and is_value(b):
        own, result = PyCFunction_GetSelf(node), 0
        operands = item_of(own, OPERANDS)
        if add_number(own, operands, a) == 0 and add_number(own, operands, b) == 0:
            result = next_result(own, item_of(kept(), OP + operator))
    elif is_value(a):
        result = called(item_of(kept(), LEFT + operator), a, b)
    else:
        result = called(item_of(kept(), RIGHT + operator), b, a)
    Py_DecRef(node)
    return int(result)


def add(a: int, b: int) -> int:
    """`a + b`."""
    return operated(ADD, a, b)


def sub(a: int, b: int) -> int:
    """`a - b`."""
    return operated(SUB, a, b)


def mul(a: int, b: int) -> int:
    """`a * b`."""
    return operated(MUL, a, b)


def truediv(a: int, b: int) -> int:
    """`a / b`."""
    return operated(TRUEDIV, a, b)


ENTRIES = ("node", "numbers_of", "results_of")
OPERATORS = ("add", "sub", "mul", "truediv")
EXPORTED = ("keep", *OPERATORS)
