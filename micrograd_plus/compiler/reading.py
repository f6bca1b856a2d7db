"""Reading: copies the numbers of a call's lists and arrays to where the programs take them.

`native.py` compiles this file; without llvmlite nothing here is used. It reads what most calls
give: nested lists or tuples of floats and ints, and NumPy arrays of float64 and int64, all in the
shapes of an earlier call and without nan. It refuses anything else, which `examples.py` then reads.

An object is its address, as `id` gives it. No object changes while it is read: the caller holds
Python's lock, and none of the functions of Python's C API that are called here runs other code.
"""

from __future__ import annotations

from typing import Any

from .tape import Columns

# What `native.py` writes in LLVM's language: numbers and records at an address, an object's type,
# and functions of Python's C API.
letters: Any = None
doubles: Any = None
integers: Any = None
places: Any = None
columns_at: Any = None
type_of: Any = None
item_of: Any = None
items_of: Any = None
number_of: Any = None
PyTuple_Size: Any = None
PyTuple_GetItem: Any = None
PyList_Size: Any = None
PyLong_AsDouble: Any = None
PyLong_AsSsize_t: Any = None
PyLong_FromSsize_t: Any = None
PyErr_BadArgument: Any = None
PyErr_Occurred: Any = None
PyErr_Clear: Any = None
PyObject_GetBuffer: Any = None
PyBuffer_Release: Any = None

CONTIGUOUS, FORMAT = 0x38, 0x4  # which array is asked for, and that it tells its dtype
VIEW = 10  # how many words describe the memory of an array: C's Py_buffer
BUF, ITEMSIZE, NDIM, LETTERS, SHAPE = 0, 3, 9, 5, 6  # some of them; NDIM has half a word

DOUBLE, LONG, LONG_LONG = map(ord, "dlq")  # an array's names for numbers of 64 bits

KNOWN = 32  # how many numbers are known of each that is checked; nan where there are fewer

REFUSED, READ, READ_AND_KNOWN = range(3)  # what `copy_and_compare` returns


def length(columns: Columns, x: int) -> int:
    """How many items a list or tuple has; -1 if it is none."""
    if type_of(x) == columns.list_type:
        return int(PyList_Size(x))
    if type_of(x) == columns.tuple_type:
        return int(PyTuple_Size(x))
    return -1


def item(columns: Columns, x: int, i: int) -> int:
    """An item of a list or tuple."""
    if type_of(x) == columns.list_type:
        return int(items_of(x)[i])
    return int(item_of(x, i))


def read_number(columns: Columns, x: int, to: int) -> int:
    """Copies a number; 0 if it is none, or nan."""
    numbers = doubles(columns.numbers)
    if type_of(x) == columns.float_type:
        number = number_of(x)
        numbers[to] = number
        return int(number == number)
    if type_of(x) == columns.int_type:
        numbers[to] = PyLong_AsDouble(x)
        if numbers[to] == -1.0 and PyErr_Occurred() != 0:  # no float is so large
            PyErr_Clear()
            return 0
        return 1
    return 0


def read_rows(columns: Columns, x: int, size: int, end: int, to: int) -> int:
    """Copies the numbers of nested lists; where they end, or -1 if these are others.

    size, end: where the sizes of the lists begin and end, from the outermost in.
    """
    if size == end:
        return to + 1 if read_number(columns, x, to) else -1
    count = integers(columns.sizes)[size]
    if length(columns, x) != count:
        return -1
    if size + 1 == end:
        for i in range(count):
            if not read_number(columns, item(columns, x, i), to + i):
                return -1
        return to + int(count)
    for i in range(count):
        to = read_rows(columns, item(columns, x, i), size + 1, end, to)
        if to < 0:
            return -1
    return to


def is_alike(columns: Columns, size: int, end: int) -> int:
    """Whether the array of the view has these sizes, and numbers that can be read."""
    view, sizes = integers(columns.view), integers(columns.sizes)
    shape, letter = integers(view[SHAPE]), letters(view[LETTERS])[0]
    if places(columns.view)[NDIM] != end - size or view[ITEMSIZE] != 8:
        return 0
    for k in range(end - size):
        if shape[k] != sizes[size + k]:
            return 0
    return int(letter in (DOUBLE, LONG, LONG_LONG))


def copy_array(columns: Columns, begin: int, each: int) -> int:
    """Copies the numbers of the array of the view, `each` for an example; 0 if one is nan."""
    view, numbers, width = integers(columns.view), doubles(columns.numbers), columns.width
    given, whole = doubles(view[BUF]), integers(view[BUF])
    is_double = letters(view[LETTERS])[0] == DOUBLE
    for i in range(columns.count):
        to, at = begin + i * width, i * each
        if is_double:
            for k in range(each):
                numbers[to + k] = given[at + k]
                if given[at + k] != given[at + k]:
                    return 0
        else:
            for k in range(each):
                numbers[to + k] = whole[at + k]
    return 1


def read_array(columns: Columns, x: int, size: int, end: int, begin: int, each: int) -> int:
    """Copies the numbers of an array; 0 if it is another kind of array, or has a nan."""
    if PyObject_GetBuffer(x, columns.view, CONTIGUOUS + FORMAT) != 0:
        PyErr_Clear()
        return 0
    done = is_alike(columns, size, end) and copy_array(columns, begin, each)
    PyBuffer_Release(columns.view)
    return int(done)


def copy_all(columns: Columns, batches: int) -> int:
    """Copies the numbers of a tuple of batches; 0 if one is not as `columns` say, or has a nan."""
    sizes, ends = integers(columns.sizes), integers(columns.ends)
    if PyTuple_Size(batches) != columns.arguments:
        return 0
    size = begin = 0
    for j in range(columns.arguments):
        batch, end, each = PyTuple_GetItem(batches, j), ends[j], 1
        for k in range(size + 1, end):
            each *= sizes[k]
        if type_of(batch) == columns.array_type:
            if not read_array(columns, batch, size, end, begin, each):
                return 0
        else:
            if length(columns, batch) != columns.count:
                return 0
            for i in range(columns.count):
                to = begin + i * columns.width
                if read_rows(columns, item(columns, batch, i), size + 1, end, to) < 0:
                    return 0
        size, begin = end, begin + each
    return 1


def all_known(columns: Columns) -> int:
    """Whether the numbers that were copied are known, those of them that are checked."""
    numbers, known = doubles(columns.numbers), doubles(columns.known)
    for j in range(columns.checks):
        at = integers(columns.checked)[j]
        for i in range(columns.count):
            number, k, end = numbers[at + i * columns.width], j * KNOWN, (j + 1) * KNOWN
            while k < end and known[k] != number:
                k += 1
            if k == end:
                return 0
    return 1


def copy_and_compare(columns: Columns, batches: int) -> int:
    """REFUSED if the numbers of a tuple of batches were not copied; READ if one is not known."""
    if not copy_all(columns, batches):
        return REFUSED
    return READ_AND_KNOWN if all_known(columns) else READ


def read(own: int, arguments: int, count: int) -> int:
    """`read(batches)`: as `copy_and_compare`; `own` begins with where `columns` are."""
    if count != 1:
        return int(PyErr_BadArgument())
    columns = columns_at(PyLong_AsSsize_t(item_of(own, 0)), 0)
    return int(PyLong_FromSsize_t(copy_and_compare(columns, integers(arguments)[0])))


ENTRIES = ("read",)
