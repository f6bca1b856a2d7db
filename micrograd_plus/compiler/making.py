"""Making: the nodes of a recording and their results, for each operator of the user's function.

`native.py` compiles this file; without llvmlite `recording.py` does the same in Python. An object
is its address, as `id` gives it. What a function of Python's C API returns must be given back with
`Py_DecRef`, but for what `PyDict_GetItemWithError`, `PyList_GetItem` and `item_of` find, and what
becomes part of an object. 0 in place of an object means that there is an error.

`operators.py` makes classes of `add` and the others. While a function is recorded, they do in
one step what `Value.__add__`, the engine and `node` do in three.
"""

from __future__ import annotations

from typing import Any

from .passes import PARAMETERS as FIRST  # the number of the first parameter
from .tape import Making

# What `native.py` writes in LLVM's language: numbers and records at an address, an object's type,
# an item of a tuple, the value of a context variable, what `keep` was given last, and functions of
# Python's C API.
integers: Any = None
places: Any = None
making_at: Any = None
type_of: Any = None
item_of: Any = None
value_of: Any = None
kept: Any = None
keep_address: Any = None
PyDict_GetItemWithError: Any = None
PyErr_BadArgument: Any = None
PyErr_Occurred: Any = None
PyList_Append: Any = None
PyList_GetItem: Any = None
PyList_New: Any = None
PyList_SetItem: Any = None
PyList_Size: Any = None
PyLong_AsSsize_t: Any = None
PyObject_CallObject: Any = None
PyObject_GC_Del: Any = None
PyObject_GC_UnTrack: Any = None
PyObject_GetAttr: Any = None
PyObject_GetItem: Any = None
PyObject_IsTrue: Any = None
PyObject_Vectorcall: Any = None
PySequence_InPlaceConcat: Any = None
PySequence_Repeat: Any = None
PySequence_Tuple: Any = None
PyTuple_New: Any = None
PyTuple_SetItem: Any = None
PyTuple_Size: Any = None
PyType_IsSubtype: Any = None
Py_DecRef: Any = None
Py_IncRef: Any = None
_PyObject_GC_New: Any = None

HEAD = object.__basicsize__ // 8  # with how many words all objects begin
SIZE, ITEMS, ROOM = range(HEAD, HEAD + 3)  # words of an array: see `operators.arrays_are_known`
WRONG = 1 << 62  # in place of a number: there is an error


def append(numbers: int, number: int) -> int:
    """Appends a number to an array; -1 if there is an error."""
    words = integers(numbers)
    size = words[SIZE]
    if size < words[ROOM]:
        words[SIZE] = size + 1
    else:
        longer = PySequence_InPlaceConcat(numbers, making_at(kept(), 0).zero)
        if longer == 0:
            return -1
        Py_DecRef(longer)
    places(words[ITEMS])[size] = number
    return 0


def found_number(making: Making, value: int) -> int:
    """The number of a Value, or WRONG."""
    if type_of(value) == making.results:
        return int(integers(value)[making.word])
    # Most parameters follow the last one: to see that is faster than to find them.
    parameters, place = making.parameters, making.next
    count = PyList_Size(parameters)
    if place < count and PyList_GetItem(parameters, place) == value:
        making.next = place + 1
        return FIRST + place
    known = PyDict_GetItemWithError(making.known, value)
    if known != 0:
        number = PyLong_AsSsize_t(known)
    elif PyErr_Occurred() != 0:
        return WRONG
    else:
        added = PyObject_GetItem(making.known, value)
        if added == 0:
            return WRONG
        number = PyLong_AsSsize_t(added)
        Py_DecRef(added)
    if number - FIRST < count:
        making.next = number - FIRST + 1
    return int(number)


def add_number(making: Making, value: int) -> int:
    """Adds the number of a Value to the operands; -1 if there is an error."""
    number = found_number(making, value)
    return -1 if number == WRONG else append(making.numbers, number)


def result_of(making: Making, number: int) -> int:
    """A new result with this number."""
    result = _PyObject_GC_New(making.results)
    if result != 0:
        words = integers(result)
        for k in range(HEAD, making.word):
            words[k] = 0
        words[making.word] = number
    return int(result)


def free_result(result: int) -> None:
    """Frees a result, with what somebody has set in it."""
    PyObject_GC_UnTrack(result)
    words, class_ = integers(result), type_of(result)
    for k in range(HEAD, making_at(kept(), 0).word):
        if words[k] != 0:
            Py_DecRef(words[k])
    PyObject_GC_Del(result)
    Py_DecRef(class_)


def next_result(making: Making, op: int) -> int:
    """The result of this op, whose operands have been added."""
    number = PyList_Size(making.ops)
    if PyList_Append(making.ops, op) < 0:
        return 0
    return result_of(making, number)


def node(own: int, arguments: int, count: int) -> int:
    """`node(op, operands)`: a new result.

    own: begins with where the record of what is made is. arguments: where the addresses of the
        `count` arguments are.
    """
    making, given = making_at(PyLong_AsSsize_t(item_of(own, 0)), 0), integers(arguments)
    if count != 2:
        return int(PyErr_BadArgument())
    op, values = given[0], given[1]
    nary = PyObject_GetAttr(op, making.nary)
    if nary == 0:
        return 0
    of_vectors = PyObject_IsTrue(nary)
    Py_DecRef(nary)
    if of_vectors:
        return int(PyObject_Vectorcall(making.of_vectors, arguments, count, 0))
    width = PyTuple_Size(values)
    if width < 0:
        return 0
    for k in range(width):
        if add_number(making, item_of(values, k)) < 0:
            return 0
    return next_result(making, op)


def numbers_of(own: int, arguments: int, count: int) -> int:
    """`numbers_of(values)`: an array of their numbers."""
    making = making_at(PyLong_AsSsize_t(item_of(own, 0)), 0)
    if count != 1:
        return int(PyErr_BadArgument())
    values = PySequence_Tuple(integers(arguments)[0])
    if values == 0:
        return 0
    size = PyTuple_Size(values)
    numbers = PySequence_Repeat(making.zero, size)
    if numbers != 0:
        written = places(integers(numbers)[ITEMS])
        for k in range(size):
            number = found_number(making, item_of(values, k))
            if number == WRONG:
                Py_DecRef(numbers)
                Py_DecRef(values)
                return 0
            written[k] = number
    Py_DecRef(values)
    return int(numbers)


def results_of(own: int, arguments: int, count: int) -> int:
    """`results_of(first, step, count, places)`: a list of new results of nodes of equal stamps.

    Their numbers are first + place, for an array of places; then first + step + place, and so on.
    """
    making, given = making_at(PyLong_AsSsize_t(item_of(own, 0)), 0), integers(arguments)
    if count != 4:
        return int(PyErr_BadArgument())
    first, step = PyLong_AsSsize_t(given[0]), PyLong_AsSsize_t(given[1])
    turns, words = PyLong_AsSsize_t(given[2]), integers(given[3])
    size, chosen = words[SIZE], places(words[ITEMS])
    results = 0 if PyErr_Occurred() else PyList_New(turns * size)
    if results != 0:
        for k in range(turns):
            for j in range(size):
                result = result_of(making, first + k * step + chosen[j])
                if result == 0:
                    Py_DecRef(results)
                    return 0
                PyList_SetItem(results, k * size + j, result)
    return int(results)


# ---- operators

OP, LEFT, RIGHT = range(3)  # what `Making.methods` has for each operator
ADD, SUB, MUL, TRUEDIV = 0, 3, 6, 9  # how much further these three are


def keep(making: int) -> int:
    """The operators find this record from now on; the one before."""
    before = kept()
    keep_address(making)
    return int(before)


def is_value(making: Making, x: int) -> int:
    """Whether an object is a Value."""
    class_ = type_of(x)
    return 1 if class_ == making.results else int(PyType_IsSubtype(class_, making.value))


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
    making = making_at(kept(), 0)
    engine = value_of(making.variable)
    if engine == 0:
        return 0
    Py_DecRef(engine)  # which the variable still has
    if engine == making.engine and is_value(making, a) and is_value(making, b):
        if add_number(making, a) < 0 or add_number(making, b) < 0:
            return 0
        return next_result(making, item_of(making.methods, OP + operator))
    if is_value(making, a):
        return called(item_of(making.methods, LEFT + operator), a, b)
    return called(item_of(making.methods, RIGHT + operator), b, a)


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
EXPORTED = ("keep", "free_result", *OPERATORS)
