"""The machine that runs a tape: one interpreter, forward and backward, at native speed.

`native.py` compiles this file with numba, once per machine and not once per graph, together
with the loops that it writes from the op table; without numba nothing here is used.

All numbers live in two long rows of memory, `data` and `grad`, at the same places:

    shared numbers    one each: parameters, constants, what depends on no example
    laned numbers     `width` of them side by side, one for each example of a batch
    the scratch       where operands that do not lie side by side are packed

An instruction is ten numbers on the `tape`; each of its operands is seven numbers in `patterns`,
which say where its numbers are; `table` holds the places that follow no rule. `layout.py` writes
them. Arguments are whole numbers and addresses, as in C.
"""

from __future__ import annotations

import math
from typing import Any

Floats = Any  # the address of 64-bit floats
Integers = Any  # of 64-bit whole numbers
Places = Any  # of 32-bit whole numbers

# What `native.py` writes in LLVM's language: to call the loop of an op or an optimizer, and to
# add to a tile of a matrix product.
call: Any = None
tile_4_8: Any = None
tile_4_4: Any = None
tile_1_8: Any = None
tile_1_4: Any = None

# An instruction on the tape.
KIND, OP, COUNT, LENGTH, OUT, SHARED, FIRST, OPERANDS, ROWS, COLUMNS = range(10)
INSTRUCTION = 10
MAP, REDUCE, DOT, MATMUL, PICK = range(5)

# The pattern of an operand.
RULE, LANED, BASE, ROW_STRIDE, STRIDE, TABLE, ACTIVE = range(7)
PATTERN = 7
AFFINE, BY_ROW, BY_ELEMENT = range(3)

# A program: where its instructions, constants and results are.
SHARED_BEGIN, LANED_BEGIN, END, LANES, WIDTH, INPUTS, RANDOMS, ROOT = range(8)
LOCALS_BEGIN, LOCALS_END, NUMBERS_BEGIN, NUMBERS_END = range(8, 12)
OUTPUTS_BEGIN, OUTPUTS_END, SEEDS_BEGIN = range(12, 15)
PROGRAM = 15

# The geometry: where the parts of `data` begin, how many numbers are packed at a time, and how
# many the scratch has for each operand.
LANE_BEGIN, SCRATCH_BEGIN, BLOCK, REGION = range(4)


# ---- matrix products


def multiply(
    rows: int, inner: int, columns: int,
    a: Floats, a0: int, a_row: int, a_inner: int,
    b: Floats, b0: int, b_inner: int,
    c: Floats, c0: int, c_row: int,
) -> None:  # fmt: skip
    """c += a · b, in tiles of c, whose sums stay in registers.

    The columns of b and c lie side by side.
    """
    i = 0
    while i < rows:
        height = 4 if i + 4 <= rows else 1
        u, p = a0 + i * a_row, c0 + i * c_row
        j = 0
        while j < columns:
            width = 8 if j + 8 <= columns else 4 if j + 4 <= columns else 1
            if height == 4 and width == 8:
                tile_4_8(inner, a, u, a_row, a_inner, b, b0 + j, b_inner, c, p + j, c_row)
            elif height == 4 and width == 4:
                tile_4_4(inner, a, u, a_row, a_inner, b, b0 + j, b_inner, c, p + j, c_row)
            elif width == 8:
                tile_1_8(inner, a, u, a_row, a_inner, b, b0 + j, b_inner, c, p + j, c_row)
            elif width == 4:
                tile_1_4(inner, a, u, a_row, a_inner, b, b0 + j, b_inner, c, p + j, c_row)
            else:
                for r in range(height):
                    total = 0.0
                    for k in range(inner):
                        total += a[u + r * a_row + k * a_inner] * b[b0 + k * b_inner + j]
                    c[p + r * c_row + j] += total
            j += width
        i += height


def multiply_transposed(
    rows: int, columns: int, inner: int,
    a: Floats, a0: int, a_row: int,
    b: Floats, b0: int, b_column: int,
    c: Floats, c0: int, c_row: int, c_column: int,
) -> None:  # fmt: skip
    """c += a · bᵀ; the inner elements of both lie side by side, and the loop runs over them.

    Four rows and four columns at a time: sixteen sums that stay in registers.
    """
    for i in range(0, rows - 3, 4):
        a1 = a0 + i * a_row
        a2, a3, a4 = a1 + a_row, a1 + 2 * a_row, a1 + 3 * a_row
        for j in range(0, columns - 3, 4):
            b1 = b0 + j * b_column
            b2, b3, b4 = b1 + b_column, b1 + 2 * b_column, b1 + 3 * b_column
            s11 = s12 = s13 = s14 = s21 = s22 = s23 = s24 = 0.0
            s31 = s32 = s33 = s34 = s41 = s42 = s43 = s44 = 0.0
            for k in range(inner):
                x1, x2, x3, x4 = (
                    a[a1 + k],
                    a[a2 + k],
                    a[a3 + k],
                    a[a4 + k],
                )
                y = b[b1 + k]
                s11 += x1 * y
                s21 += x2 * y
                s31 += x3 * y
                s41 += x4 * y
                y = b[b2 + k]
                s12 += x1 * y
                s22 += x2 * y
                s32 += x3 * y
                s42 += x4 * y
                y = b[b3 + k]
                s13 += x1 * y
                s23 += x2 * y
                s33 += x3 * y
                s43 += x4 * y
                y = b[b4 + k]
                s14 += x1 * y
                s24 += x2 * y
                s34 += x3 * y
                s44 += x4 * y
            c1 = c0 + i * c_row + j * c_column
            c2, c3, c4 = c1 + c_row, c1 + 2 * c_row, c1 + 3 * c_row
            c[c1] += s11
            c[c2] += s21
            c[c3] += s31
            c[c4] += s41
            c[c1 + c_column] += s12
            c[c2 + c_column] += s22
            c[c3 + c_column] += s32
            c[c4 + c_column] += s42
            c[c1 + 2 * c_column] += s13
            c[c2 + 2 * c_column] += s23
            c[c3 + 2 * c_column] += s33
            c[c4 + 2 * c_column] += s43
            c[c1 + 3 * c_column] += s14
            c[c2 + 3 * c_column] += s24
            c[c3 + 3 * c_column] += s34
            c[c4 + 3 * c_column] += s44
        for j in range(columns // 4 * 4, columns):
            b1 = b0 + j * b_column
            s11 = s21 = s31 = s41 = 0.0
            for k in range(inner):
                y = b[b1 + k]
                s11 += a[a1 + k] * y
                s21 += a[a2 + k] * y
                s31 += a[a3 + k] * y
                s41 += a[a4 + k] * y
            c1 = c0 + i * c_row + j * c_column
            c[c1] += s11
            c[c1 + c_row] += s21
            c[c1 + 2 * c_row] += s31
            c[c1 + 3 * c_row] += s41
    for i in range(rows // 4 * 4, rows):
        for j in range(columns):
            a1, b1 = a0 + i * a_row, b0 + j * b_column
            s11 = 0.0
            for k in range(inner):
                s11 += a[a1 + k] * b[b1 + k]
            c[c0 + i * c_row + j * c_column] += s11


# ---- where an operand's numbers are


def element(patterns: Integers, x: int, table: Places, i: int, k: int) -> int:
    """The slot of element k of row i of operand x: a laned one, or ~slot of a shared one."""
    rule = patterns[x + RULE]
    if rule == BY_ELEMENT:
        return int(table[patterns[x + TABLE] + i * patterns[x + ROW_STRIDE] + k])
    if rule == BY_ROW:
        slot = int(table[patterns[x + TABLE] + i]) + k * patterns[x + STRIDE]
    else:
        slot = patterns[x + BASE] + i * patterns[x + ROW_STRIDE] + k * patterns[x + STRIDE]
    return slot if patterns[x + LANED] else ~slot


def place(patterns: Integers, x: int, table: Places, i: int, lane0: int, width: int) -> int:
    """Where row i of operand x begins."""
    slot = element(patterns, x, table, i, 0)
    return lane0 + slot * width if slot >= 0 else ~slot


def in_place(patterns: Integers, x: int, count: int, length: int, width: int) -> int:
    """Whether all rows of operand x lie side by side already."""
    return (
        patterns[x + RULE] == AFFINE
        and (patterns[x + LANED] or width == 1)
        and (length == 1 or patterns[x + STRIDE] == 1)
        and (count == 1 or patterns[x + ROW_STRIDE] == length)
    )


def pack(
    patterns: Integers, x: int, table: Places, first: int, count: int, length: int,
    data: Floats, lane0: int, width: int, begin: int, by_element: int,
) -> None:  # fmt: skip
    """Copies `count` rows of operand x, from row `first` on, to `begin`, side by side.

    Row after row, or, by element, all first elements and then all second ones.
    """
    for i in range(count):
        for k in range(length):
            to = begin + width * (k * count + i if by_element else i * length + k)
            slot = element(patterns, x, table, first + i, k)
            if width == 1:
                data[to] = data[lane0 + slot if slot >= 0 else ~slot]
            elif slot >= 0:
                at = lane0 + slot * width
                for lane in range(width):
                    data[to + lane] = data[at + lane]
            else:
                number = data[~slot]
                for lane in range(width):
                    data[to + lane] = number


def unpack(
    patterns: Integers, x: int, table: Places, first: int, count: int, length: int,
    grad: Floats, lane0: int, width: int, begin: int, by_element: int,
) -> None:  # fmt: skip
    """Adds the gradients of packed rows to those of the numbers that were packed."""
    for i in range(count):
        for k in range(length):
            at = begin + width * (k * count + i if by_element else i * length + k)
            slot = element(patterns, x, table, first + i, k)
            if width == 1:
                grad[lane0 + slot if slot >= 0 else ~slot] += grad[at]
            elif slot >= 0:
                to = lane0 + slot * width
                for lane in range(width):
                    grad[to + lane] += grad[at + lane]
            else:
                total = 0.0
                for lane in range(width):
                    total += grad[at + lane]
                grad[~slot] += total


def clear(numbers: Floats, begin: int, count: int) -> None:
    """Sets `count` numbers to 0."""
    for i in range(begin, begin + count):
        numbers[i] = 0.0


# ---- ops number by number: the loops that are written from the op table


def usable(patterns: Integers, x: int, count: int, length: int, width: int, nary: int) -> int:
    """Whether the loop of an op can read operand x where it is.

    The elements of a vector must follow each other with all rows side by side: one row alone.
    """
    return (count == 1 or not nary) and in_place(patterns, x, count, length, width)


def block_of(
    patterns: Integers, first: int, last: int,
    count: int, length: int, width: int, nary: int, block: int,
) -> int:  # fmt: skip
    """How many rows are done at a time: all, if no operand must be packed."""
    for x in range(first, last, PATTERN):
        if not usable(patterns, x, count, length, width, nary):
            return min(count, max(1, block // (length * width)))
    return count


def locate(
    patterns: Integers, first: int, last: int, table: Places,
    i: int, n: int, count: int, length: int, nary: int,
    data: Floats, lane0: int, width: int, geometry: Integers, at: Integers,
) -> None:  # fmt: skip
    """Notes in `at` where n rows of each operand are, from row i on; packs those not in place."""
    for x in range(first, last, PATTERN):
        j = (x - first) // PATTERN
        if usable(patterns, x, count, length, width, nary):
            at[j] = place(patterns, x, table, i, lane0, width)
        else:
            at[j] = geometry[SCRATCH_BEGIN] + j * geometry[REGION]
            pack(patterns, x, table, i, n, length, data, lane0, width, at[j], nary)


def each_forward(
    loop: int, nary: int, count: int, length: int, out: int,
    patterns: Integers, first: int, last: int, table: Places,
    data: Floats, grad: Floats, lane0: int, width: int, geometry: Integers, at: Integers,
) -> None:  # fmt: skip
    """`count` results of one op, by the loop at this address."""
    block = block_of(patterns, first, last, count, length, width, nary, geometry[BLOCK])
    i = 0
    while i < count:
        n = min(block, count - i)
        locate(
            patterns, first, last, table, i, n, count, length, nary,
            data, lane0, width, geometry, at,
        )  # fmt: skip
        call(loop, (length, n * width, data, grad, out + i * width, at))
        i += n


def each_backward(
    loops: Integers, loop: int, nary: int, count: int, length: int, out: int,
    patterns: Integers, first: int, last: int, table: Places,
    data: Floats, grad: Floats, lane0: int, width: int, geometry: Integers, at: Integers,
) -> None:  # fmt: skip
    """The gradients of the operands of one op, by the loops whose addresses begin at `loop`."""
    block = block_of(patterns, first, last, count, length, width, nary, geometry[BLOCK])
    i = 0
    while i < count:
        n = min(block, count - i)
        locate(
            patterns, first, last, table, i, n, count, length, nary,
            data, lane0, width, geometry, at,
        )  # fmt: skip
        for x in range(first, last, PATTERN):
            if patterns[x + ACTIVE] and not usable(patterns, x, count, length, width, nary):
                clear(grad, at[(x - first) // PATTERN], n * length * width)
        for x in range(first, last, PATTERN):
            if patterns[x + ACTIVE]:
                j = (x - first) // PATTERN
                call(loops[loop + j], (length, n * width, data, grad, out + i * width, at))
                if not usable(patterns, x, count, length, width, nary):
                    unpack(patterns, x, table, i, n, length, grad, lane0, width, at[j], nary)
        i += n


# ---- dots, one by one


def begin_with(
    patterns: Integers, x: int, given: int, table: Places, rows: int, columns: int, out: int,
    data: Floats, width: int,
) -> None:  # fmt: skip
    """Sets results to the numbers that are added to them, which have no lanes; or to 0."""
    if not given:
        clear(data, out, rows * columns * width)
        return
    for i in range(rows):
        for j in range(columns):
            number = data[~element(patterns, x, table, i, j)]
            for lane in range(width):
                data[out + lane] = number
            out += width


def add_gradients(
    patterns: Integers, x: int, given: int, table: Places, rows: int, columns: int, out: int,
    grad: Floats, width: int,
) -> None:  # fmt: skip
    """The gradients of the numbers that were added to results."""
    if given and patterns[x + ACTIVE]:
        for i in range(rows):
            for j in range(columns):
                total = 0.0
                for lane in range(width):
                    total += grad[out + lane]
                grad[~element(patterns, x, table, i, j)] += total
                out += width


def vector(
    patterns: Integers, x: int, table: Places, i: int, length: int,
    data: Floats, lane0: int, width: int, scratch: int,
) -> int:  # fmt: skip
    """Where row i of operand x begins, after packing it if its elements follow no rule."""
    if patterns[x + RULE] != BY_ELEMENT:
        return place(patterns, x, table, i, lane0, width)
    pack(patterns, x, table, i, 1, length, data, lane0, width, scratch, 0)
    return scratch


def step_of(patterns: Integers, x: int, width: int) -> int:
    """How far apart the elements of a row are, once `vector` has been called."""
    if patterns[x + RULE] == BY_ELEMENT:
        return width
    return patterns[x + STRIDE] * width if patterns[x + LANED] else patterns[x + STRIDE]


def is_laned(patterns: Integers, x: int) -> int:
    """Whether the elements of a row have lanes, once `vector` has been called."""
    return patterns[x + LANED] or patterns[x + RULE] == BY_ELEMENT


def dots_forward(
    patterns: Integers, x: int, y: int, table: Places, count: int, length: int, out: int,
    data: Floats, lane0: int, width: int, scratch: int, region: int,
) -> None:  # fmt: skip
    """Adds `count` dots, each of a row of x and a row of y, to the results."""
    x_step, y_step = step_of(patterns, x, width), step_of(patterns, y, width)
    for i in range(count):
        a = vector(patterns, x, table, i, length, data, lane0, width, scratch)
        b = vector(patterns, y, table, i, length, data, lane0, width, scratch + region)
        total = 0.0
        if width > 1 and is_laned(patterns, x):
            for k in range(length):
                p, q = a + k * x_step, b + k * y_step
                for lane in range(width):
                    data[out + lane] += data[p + lane] * data[q + lane]
        elif width > 1:
            multiply(1, length, width, data, a, 0, x_step, data, b, y_step, data, out, 0)
        elif x_step == 1 and y_step == 1:
            for k in range(length):
                total += data[a + k] * data[b + k]
            data[out] += total
        else:
            for k in range(length):
                total += data[a + k * x_step] * data[b + k * y_step]
            data[out] += total
        out += width


def dots_backward(
    patterns: Integers, x: int, y: int, table: Places, count: int, length: int, out: int,
    data: Floats, grad: Floats, lane0: int, width: int, scratch: int, region: int,
) -> None:  # fmt: skip
    """What the gradients of dots mean for the elements of their vectors."""
    x_step, y_step = step_of(patterns, x, width), step_of(patterns, y, width)
    x_active, y_active = patterns[x + ACTIVE], patterns[y + ACTIVE]
    for i in range(count):
        a = vector(patterns, x, table, i, length, data, lane0, width, scratch)
        b = vector(patterns, y, table, i, length, data, lane0, width, scratch + region)
        if patterns[x + RULE] == BY_ELEMENT:
            clear(grad, a, length * width)
        if patterns[y + RULE] == BY_ELEMENT:
            clear(grad, b, length * width)
        if width == 1:
            g = grad[out]
            if x_active:
                for k in range(length):
                    grad[a + k * x_step] += g * data[b + k * y_step]
            if y_active:
                for k in range(length):
                    grad[b + k * y_step] += g * data[a + k * x_step]
        elif is_laned(patterns, x):
            for k in range(length):
                p, q = a + k * x_step, b + k * y_step
                if x_active:
                    for lane in range(width):
                        grad[p + lane] += grad[out + lane] * data[q + lane]
                if y_active:
                    for lane in range(width):
                        grad[q + lane] += grad[out + lane] * data[p + lane]
        else:
            if x_active:
                multiply_transposed(
                    1, length, width, grad, out, 0, data, b, y_step, grad, a, 0, x_step
                )
            if y_active:
                multiply(length, 1, width, data, a, x_step, 0, grad, out, 0, grad, b, y_step)
        if patterns[x + RULE] == BY_ELEMENT and x_active:
            unpack(patterns, x, table, i, 1, length, grad, lane0, width, a, 0)
        if patterns[y + RULE] == BY_ELEMENT and y_active:
            unpack(patterns, y, table, i, 1, length, grad, lane0, width, b, 0)
        out += width


# ---- dots that share their vectors: a matrix product


def is_matrix(patterns: Integers, x: int) -> int:
    """Whether the rows of operand x can be multiplied where they are."""
    return patterns[x + RULE] == AFFINE and patterns[x + STRIDE] == 1


def matmul_forward(
    patterns: Integers, x: int, y: int, table: Places,
    rows: int, columns: int, length: int, out: int,
    data: Floats, lane0: int, width: int, scratch: int, region: int,
) -> None:  # fmt: skip
    """Adds `rows` vectors y, each times every one of the `columns` vectors x, which are shared."""
    a, a_row = scratch, length
    if is_matrix(patterns, x):
        a, a_row = patterns[x + BASE], patterns[x + ROW_STRIDE]
    else:
        pack(patterns, x, table, 0, columns, length, data, lane0, 1, a, 0)
    b, b_row = scratch + region, length * width
    if is_matrix(patterns, y):
        b, b_row = place(patterns, y, table, 0, lane0, width), patterns[y + ROW_STRIDE] * width
    else:
        pack(patterns, y, table, 0, rows, length, data, lane0, width, b, 0)
    if width == 1:
        multiply_transposed(
            rows, columns, length, data, b, b_row, data, a, a_row, data, out, columns, 1
        )
    else:
        for i in range(rows):
            c = out + i * columns * width
            multiply(
                columns,
                length,
                width,
                data,
                a,
                a_row,
                1,
                data,
                b + i * b_row,
                width,
                data,
                c,
                width,
            )


def matmul_backward(
    patterns: Integers, x: int, y: int, table: Places,
    rows: int, columns: int, length: int, out: int,
    data: Floats, grad: Floats, lane0: int, width: int, scratch: int, region: int,
) -> None:  # fmt: skip
    """The gradients of both operands of a matrix product: two matrix products more."""
    a, a_row = scratch, length
    if is_matrix(patterns, x):
        a, a_row = patterns[x + BASE], patterns[x + ROW_STRIDE]
    else:
        pack(patterns, x, table, 0, columns, length, data, lane0, 1, a, 0)
        clear(grad, a, columns * length)
    b, b_row = scratch + region, length * width
    if is_matrix(patterns, y):
        b, b_row = place(patterns, y, table, 0, lane0, width), patterns[y + ROW_STRIDE] * width
    else:
        pack(patterns, y, table, 0, rows, length, data, lane0, width, b, 0)
        clear(grad, b, rows * length * width)
    if width == 1:
        if patterns[y + ACTIVE]:
            multiply(rows, columns, length, grad, out, columns, 1, data, a, a_row, grad, b, b_row)
        if patterns[x + ACTIVE]:
            multiply(columns, rows, length, grad, out, 1, columns, data, b, b_row, grad, a, a_row)
    else:
        for i in range(rows):
            c, r = out + i * columns * width, b + i * b_row
            if patterns[y + ACTIVE]:
                multiply(length, columns, width, data, a, 1, a_row, grad, c, width, grad, r, width)
            if patterns[x + ACTIVE]:
                multiply_transposed(
                    columns, length, width, grad, c, width, data, r, width, grad, a, a_row, 1
                )
    if not is_matrix(patterns, x) and patterns[x + ACTIVE]:
        unpack(patterns, x, table, 0, columns, length, grad, lane0, 1, a, 0)
    if not is_matrix(patterns, y) and patterns[y + ACTIVE]:
        unpack(patterns, y, table, 0, rows, length, grad, lane0, width, b, 0)


# ---- picks


def picked(
    patterns: Integers, x: int, y: int, table: Places, i: int,
    data: Floats, lane0: int, width: int, lane: int,
) -> int:  # fmt: skip
    """Where the number is that row i of a pick takes from row i of y, by the index in x."""
    index = int(data[place(patterns, x, table, i, lane0, width) + lane])
    slot = element(patterns, y, table, i, index)
    return lane0 + slot * width + lane if slot >= 0 else ~slot


def picks_forward(
    patterns: Integers, x: int, y: int, table: Places, count: int, out: int,
    data: Floats, lane0: int, width: int,
) -> None:  # fmt: skip
    """`count` numbers, each taken from where its index says."""
    for i in range(count):
        for lane in range(width):
            at = picked(patterns, x, y, table, i, data, lane0, width, lane)
            data[out + i * width + lane] = data[at]


def picks_backward(
    patterns: Integers, x: int, y: int, table: Places, count: int, out: int,
    data: Floats, grad: Floats, lane0: int, width: int,
) -> None:  # fmt: skip
    """The gradient goes to the number that was taken."""
    for i in range(count):
        for lane in range(width):
            at = picked(patterns, x, y, table, i, data, lane0, width, lane)
            grad[at] += grad[out + i * width + lane]


# ---- the tape


def forward(
    begin: int, end: int, tape: Integers, patterns: Integers, table: Places, loops: Integers,
    data: Floats, grad: Floats, lane0: int, width: int, geometry: Integers, at: Integers,
) -> None:  # fmt: skip
    """Computes the values of the instructions from `begin` to `end`."""
    scratch, region = geometry[SCRATCH_BEGIN], geometry[REGION]
    for t in range(begin * INSTRUCTION, end * INSTRUCTION, INSTRUCTION):
        kind, count, length = tape[t + KIND], tape[t + COUNT], tape[t + LENGTH]
        out = tape[t + OUT] if tape[t + SHARED] else lane0 + tape[t + OUT] * width
        x = tape[t + FIRST] * PATTERN
        y = x + PATTERN
        given = tape[t + OPERANDS] == 3
        if kind == MATMUL:
            begin_with(
                patterns, y + PATTERN, given, table, tape[t + ROWS], tape[t + COLUMNS], out,
                data, width,
            )  # fmt: skip
            matmul_forward(
                patterns, x, y, table, tape[t + ROWS], tape[t + COLUMNS], length, out,
                data, lane0, width, scratch, region,
            )  # fmt: skip
        elif kind == DOT:
            begin_with(patterns, y + PATTERN, given, table, count, 1, out, data, width)
            dots_forward(
                patterns, x, y, table, count, length, out,
                data, lane0, width, scratch, region,
            )  # fmt: skip
        elif kind == PICK:
            picks_forward(patterns, x, y, table, count, out, data, lane0, width)
        else:
            each_forward(
                loops[tape[t + OP]], kind == REDUCE, count, length, out,
                patterns, x, x + tape[t + OPERANDS] * PATTERN, table,
                data, grad, lane0, width, geometry, at,
            )  # fmt: skip


def backward(
    begin: int, end: int, tape: Integers, patterns: Integers, table: Places, loops: Integers,
    data: Floats, grad: Floats, lane0: int, width: int, geometry: Integers, at: Integers,
) -> None:  # fmt: skip
    """The chain rule: the instructions from `end` back to `begin`, each to its operands."""
    scratch, region = geometry[SCRATCH_BEGIN], geometry[REGION]
    for t in range((end - 1) * INSTRUCTION, (begin - 1) * INSTRUCTION, -INSTRUCTION):
        kind, count, length = tape[t + KIND], tape[t + COUNT], tape[t + LENGTH]
        out = tape[t + OUT] if tape[t + SHARED] else lane0 + tape[t + OUT] * width
        x = tape[t + FIRST] * PATTERN
        y = x + PATTERN
        given = tape[t + OPERANDS] == 3
        if kind == MATMUL:
            add_gradients(
                patterns, y + PATTERN, given, table, tape[t + ROWS], tape[t + COLUMNS], out,
                grad, width,
            )  # fmt: skip
            matmul_backward(
                patterns, x, y, table, tape[t + ROWS], tape[t + COLUMNS], length, out,
                data, grad, lane0, width, scratch, region,
            )  # fmt: skip
        elif kind == DOT:
            add_gradients(patterns, y + PATTERN, given, table, count, 1, out, grad, width)
            dots_backward(
                patterns, x, y, table, count, length, out,
                data, grad, lane0, width, scratch, region,
            )  # fmt: skip
        elif kind == PICK:
            picks_backward(patterns, x, y, table, count, out, data, grad, lane0, width)
        else:
            each_backward(
                loops, tape[t + OP] + 1, kind == REDUCE, count, length, out,
                patterns, x, x + tape[t + OPERANDS] * PATTERN, table,
                data, grad, lane0, width, geometry, at,
            )  # fmt: skip


# ---- one group of examples


def uniform(seed: int, count: int) -> float:
    """The random number from 0 up to 1 that belongs to `count`, in the series of `seed`.

    Philox (Salmon et al. 2011) with words of 31 bits, whose products fit into 64: Python's
    whole numbers and the machine's give the same.
    """
    word = 0x7FFFFFFF
    key, low, high = seed & word, count & word, ((count >> 31) ^ (seed >> 31)) & word
    for _ in range(10):
        product = low * 0x5256D193
        low, high = (product >> 31) ^ key ^ high, product & word
        key = (key + 0x1E3779B9) & word
    return ((high << 31 | low) >> 9) * 2.0**-53


def load_numbers(programs: Integers, p: int, numbers: Floats, data: Floats) -> None:
    """Puts a program's constants where its other shared numbers are."""
    begin, to = programs[p + NUMBERS_BEGIN], programs[p + LOCALS_BEGIN]
    for i in range(programs[p + NUMBERS_END] - begin):
        data[to + i] = numbers[begin + i]


def run_group(
    programs: Integers, p: int,
    tape: Integers, patterns: Integers, table: Places, loops: Integers, numbers: Floats,
    data: Floats, grad: Floats, geometry: Integers, at: Integers,
    inputs: Floats, starts: Integers, first: int, count: int, seed: float,
    seeds: Integers, serial: int, outputs: Floats, output_starts: Integers, stored: int,
) -> float:  # fmt: skip
    """Runs program p on `count` examples and returns the sum of their losses.

    The examples are taken as many at a time as there are lanes. The gradient of that sum times
    `seed`, if that is not 0, is added to the gradients of the parameters.
    """
    lane0, size = geometry[LANE_BEGIN], programs[p + INPUTS]
    root, randoms = programs[p + ROOT], programs[p + RANDOMS]
    series = programs[p + SEEDS_BEGIN]
    shared, laned, end = programs[p + SHARED_BEGIN], programs[p + LANED_BEGIN], programs[p + END]
    load_numbers(programs, p, numbers, data)
    forward(shared, laned, tape, patterns, table, loops, data, grad, lane0, 1, geometry, at)
    if seed != 0.0:
        begin = programs[p + LOCALS_BEGIN]
        clear(grad, begin, programs[p + LOCALS_END] - begin)
    total = 0.0
    done = 0
    while done < count:
        width = min(programs[p + LANES], count - done)
        for lane in range(width):
            start = starts[first + done + lane]
            for j in range(size):
                data[lane0 + j * width + lane] = inputs[start + j]
            for j in range(randoms):
                number = uniform(seeds[series + j], (serial + done + lane) * randoms + j)
                data[lane0 + (size + j) * width + lane] = number
        forward(laned, end, tape, patterns, table, loops, data, grad, lane0, width, geometry, at)
        if stored:
            for lane in range(width):
                to = output_starts[first + done + lane]
                for j in range(programs[p + OUTPUTS_BEGIN], programs[p + OUTPUTS_END]):
                    slot = int(table[j])
                    outputs[to] = data[lane0 + slot * width + lane if slot >= 0 else ~slot]
                    to += 1
        for lane in range(width):
            total += data[lane0 + root * width + lane if root >= 0 else ~root]
        if seed != 0.0:
            clear(grad, lane0, programs[p + WIDTH] * width)
            for lane in range(width):
                grad[lane0 + root * width + lane if root >= 0 else ~root] += seed
            backward(
                laned, end, tape, patterns, table, loops, data, grad, lane0, width, geometry, at
            )
        done += width
    if seed != 0.0:
        backward(shared, laned, tape, patterns, table, loops, data, grad, lane0, 1, geometry, at)
    return total


def copy(source: Floats, begin: int, target: Floats, to: int, count: int) -> None:
    """Copies `count` numbers."""
    for i in range(count):
        target[to + i] = source[begin + i]


# ---- a whole training


def run(
    programs: Integers, tape: Integers, patterns: Integers, table: Places, loops: Integers,
    numbers: Floats, geometry: Integers, at: Integers,
    data: Floats, grad: Floats, parameters: int,
    inputs: Floats, starts: Integers, groups: Integers, steps: Integers, count: int,
    seeds: Integers, serial: int, outputs: Floats, output_starts: Integers, stored: int,
    differentiated: int, moved: int, updates: Integers,
    settings: Floats, counted: int, memory: Floats, remembered: int,
    clip: float, guard: Floats, guarded: int, losses: Floats, norms: Floats,
) -> int:  # fmt: skip
    """Runs `count` steps and returns how many were completed.

    Step s is the groups from steps[s] to steps[s + 1]; a group is three numbers in `groups`: its
    program, its first example in `starts`, and how many. `updates` are the addresses of the loops
    that move the parameters, for the first step and for every later one.

    A guarded run ends before the update of a step whose loss or gradient is not finite; `guard`
    then holds what the last update changed.
    """
    for s in range(count):
        examples = 0
        for g in range(steps[s], steps[s + 1]):
            examples += groups[3 * g + 2]
        if differentiated:
            clear(grad, 0, parameters)
        seed = 1.0 / examples if differentiated else 0.0
        loss = 0.0
        for g in range(steps[s], steps[s + 1]):
            loss += run_group(
                programs, groups[3 * g] * PROGRAM,
                tape, patterns, table, loops, numbers, data, grad, geometry, at,
                inputs, starts, groups[3 * g + 1], groups[3 * g + 2], seed,
                seeds, serial, outputs, output_starts, stored,
            )  # fmt: skip
            serial += groups[3 * g + 2]
        losses[s] = loss / examples
        if guarded or clip > 0.0:
            squares = 0.0
            for i in range(moved):
                squares += grad[i] * grad[i]
            norms[s] = math.sqrt(squares)
        if guarded:
            if not (math.isfinite(losses[s]) and math.isfinite(norms[s])):
                return s
            copy(data, 0, guard, 0, moved)
            copy(memory, 0, guard, moved, remembered)
            copy(settings, 0, guard, moved + remembered, counted)
        if clip > 0.0 and norms[s] + 1e-6 > clip:
            for i in range(moved):
                grad[i] *= clip / (norms[s] + 1e-6)
        if moved:
            call(updates[0], (moved, settings, data, grad, memory))
            updates[0] = updates[1]
    return count
