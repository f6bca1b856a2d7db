"""The machine that runs a tape: one interpreter, forward and backward, at native speed.

`native.py` compiles this file, once per machine and not once per graph, and the loops that are
written from the op table; without llvmlite nothing here is used.

All numbers are in two long rows of memory, `data` and `grad`, at the same places; each thread has
two rows of its own:

    shared numbers         one each: parameters, constants, what depends on no example
    numbers per example    `width` of them side by side, one for each example that is computed
    the scratch            copies of operands that are not side by side

`width` is how many examples are computed together; for what is computed once per batch it is 1.
`tape.py` defines the records: `Work` has the addresses of everything else. The file is read from
its end: `run` calls `run_parts`, this `run_group`, this `forward` and `backward`, and these what
stands before them.

It is compiled once for each dtype. `Floats` are of that dtype, and so is what is computed from
them, if a sum starts with `zero`; a `float` and `Doubles` always have 64 bits.
"""

from __future__ import annotations

import math
from typing import Any

from .tape import (
    ACTIVATE,
    ADDS,
    AFFINE,
    AHEAD,
    BLOCK,
    BY_ELEMENT,
    BY_ROW,
    DEPTH,
    DOT,
    FAR,
    HEIGHT,
    IN_PLACE,
    MATMUL,
    NOTHING,
    PANEL,
    PASS_BACK,
    PICK,
    REDUCE,
    THEN,
    Group,
    Header,
    Instruction,
    Pattern,
    Work,
)

Real = Any  # a float of the dtype
Floats = Any  # the address of floats of the dtype
Doubles = Any  # of 64-bit floats
Integers = Any  # of 64-bit whole numbers
Places = Any  # of 32-bit whole numbers

PART_SLOTS = 1 << 14  # numbers per example in a part, if it has 8 to 64 examples
FEW_VECTORS = 2  # rows of at most so many are short for dots
ROWS_ALIKE = 16  # at most so many dots of one vector with others go backward together
PAUSES = 4000  # until a thread that waits gives way to others; each takes about 10 ns

# What `native.py` writes in LLVM's language: numbers and records at an address, a call of the
# loop of an op or an optimizer, what threads do with a number that they share, whether tiny
# results become 0, matrix products in tiles that are two vectors wide, one, or four numbers, so
# many rows of 4 dots, four dots of any rows, what tells the CPU that a number will be needed soon,
# and copies of 4 or 6 numbers and of 4 × 4. `lanes` is a range whose turns are done VECTOR at a
# time, as `translate.py` explains, and `over_lanes` joins what they give.
floats: Any = None
doubles: Any = None
integers: Any = None
places: Any = None
lanes: Any = None
over_lanes: Any = None
pattern_at: Any = None
instruction_at: Any = None
header_at: Any = None
group_at: Any = None
work_at: Any = None
call: Any = None
loaded: Any = None
exchanged: Any = None
increment: Any = None
pause: Any = None
give_way: Any = None
flush_tiny: Any = None
keep_tiny: Any = None
tiles_of_strips: Any = None
tiles_of_vectors: Any = None
tiles_of_fours: Any = None
dots_3_4: Any = None
dots_2_4: Any = None
dots_1_4: Any = None
write_four_dots: Any = None
prefetch: Any = None
copy_4: Any = None
copy_6: Any = None
transpose_4: Any = None
# Of the dtype: how many numbers a vector has, the number 0.0, and the largest float below 1.
VECTOR: Any = None
zero: Any = None
below_one: Any = None


# ---- numbers side by side


def clear(numbers: Floats, begin: int, count: int) -> None:
    """Sets `count` numbers to 0."""
    for i in range(begin, begin + count):
        numbers[i] = 0.0


def copy(source: Floats, begin: int, target: Floats, to: int, count: int) -> None:
    """Copies `count` numbers."""
    for i in lanes(count):
        target[to + i] = source[begin + i]


def fill(target: Floats, to: int, count: int, number: Real) -> None:
    """Sets `count` numbers to one."""
    for i in lanes(count):
        target[to + i] = number


def add(source: Floats, begin: int, target: Floats, to: int, count: int) -> None:
    """Adds `count` numbers to others."""
    for i in lanes(count):
        target[to + i] += source[begin + i]


def turn_four(
    source: Floats, p: int, q: int, r: int, s: int, count: int,
    target: Floats, to: int, to_next: int,
) -> None:  # fmt: skip
    """Copies four rows of `count` numbers to columns, whose rows are `to_next` apart."""
    whole = count // 4 * 4
    for k in range(0, whole, 4):
        transpose_4(source, p + k, q + k, r + k, s + k, target, to + k * to_next, to_next)
    for k in range(whole, count):
        at = to + k * to_next
        target[at], target[at + 1] = source[p + k], source[q + k]
        target[at + 2], target[at + 3] = source[r + k], source[s + k]


def plus(x: Real, y: Real) -> Real:
    """The sum of two numbers."""
    return x + y


def sum_of_lanes(numbers: Floats, begin: int, count: int) -> Real:
    """The sum of `count` numbers."""
    total = zero
    for i in lanes(count, 16):
        total = over_lanes(plus, total, numbers[begin + i])
    return total


# ---- matrix products


def copy_panel(
    depth: int, columns: int, b: Floats, b0: int, b_inner: int, b_column: int, panel: Floats
) -> None:
    """Copies `depth` rows of b to the panel: strip after strip, row after row."""
    strip = 2 * VECTOR
    for s in range(0, columns, strip):
        width, to, at = min(strip, columns - s), s * depth, b0 + s * b_column
        k = 0
        if width == strip and b_column == 1:
            while k < depth:
                for q in range(0, strip, 4):
                    copy_4(b, at + k * b_inner + q, panel, to + k * strip + q)
                k += 1
        elif width == strip and b_inner == 1:
            while k + 4 <= depth:
                for q in range(0, strip, 4):
                    p, two = at + k + q * b_column, 2 * b_column
                    transpose_4(
                        b, p, p + b_column, p + two, p + two + b_column,
                        panel, to + k * strip + q, strip,
                    )  # fmt: skip
                k += 4
        while k < depth:
            for q in range(width):
                panel[to + k * strip + q] = b[at + k * b_inner + q * b_column]
            for q in range(width, strip):
                panel[to + k * strip + q] = 0.0
            k += 1


def copy_block(
    rows: int, depth: int, a: Floats, a0: int, a_inner: int, panel: Floats, to: int
) -> None:
    """Copies columns of a, whose numbers lie side by side: six of each, then the next six."""
    sixes = rows // 6
    for k in range(depth):
        at, place = a0 + k * a_inner, to + 6 * k
        for i in range(0, rows, 8):
            prefetch(a, at + i + 16 * a_inner)
        for _ in range(sixes):
            copy_6(a, at, panel, place)
            at += 6
            place += 6 * depth
        for r in range(rows - 6 * sixes):
            panel[place + r] = a[at + r]


def tiles(
    how: int, values: Floats, start: int, rows: int, inner: int, columns: int,
    a: Floats, a0: int, a_tile: int, a_row: int, a_inner: int,
    b: Floats, b0: int, b_strip: int, b_inner: int,
    c: Floats, c0: int, c_row: int,
) -> None:  # fmt: skip
    """c += a · b, in tiles of c, whose sums stay in registers, or c = a · b, as `how` says.

    A tile is at most six rows and a strip, which is two vectors; of the columns that are left, a
    vector, or four. The last three are added one by one to what c has. The columns of c, and
    those of a strip, lie side by side. start: where the sums of tiles begin, for each row in c's
    memory; at 0 if it is below 0. how, values: as in `tape` and `multiply_and`; what is computed
    besides is not for the last three columns.
    """
    strip = 2 * VECTOR
    strips = columns // strip
    if strips > 0:
        tiles_of_strips(
            how, values, start, rows, strips, inner,
            a, a0, a_tile, a_row, a_inner, b, b0, b_strip, b_inner, c, c0, c_row,
        )  # fmt: skip
    left, q, p = columns - strips * strip, b0 + strips * b_strip, c0 + strips * strip
    if left >= VECTOR:
        tiles_of_vectors(
            how, values, start, rows, 1, inner,
            a, a0, a_tile, a_row, a_inner, b, q, 0, b_inner, c, p, c_row,
        )  # fmt: skip
        left, q, p = left - VECTOR, q + VECTOR, p + VECTOR
    if left >= 4:
        fours = left // 4
        tiles_of_fours(
            how, values, start, rows, fours, inner,
            a, a0, a_tile, a_row, a_inner, b, q, 4, b_inner, c, p, c_row,
        )  # fmt: skip
        left, q, p = left - 4 * fours, q + 4 * fours, p + 4 * fours
    for i in range(rows if left else 0):
        u = a0 + i // 6 * a_tile + i % 6 * a_row
        for j in range(left):
            total = zero
            for k in range(inner):
                total += a[u + k * a_inner] * b[q + j + k * b_inner]
            c[p + i * c_row + j] += total


def dots_of_rows(
    adds: int, rows: int, outer: int, inner: int, columns: int,
    a: Floats, a0: int, a_row: int, a_outer: int,
    b: Floats, b0: int, b_row: int, b_outer: int,
    c: Floats, c0: int, c_row: int,
) -> None:  # fmt: skip
    """c += the dots of rows of a with rows of b; c = the dots unless it `adds`.

    A row is `outer` times `inner` numbers side by side; inner and columns are some fours. Nothing
    is copied, and the numbers of a vector are added up once for each dot.
    """
    i, n = 0, columns // 4
    while i < rows:
        left, p, q = rows - i, a0 + i * a_row, c0 + i * c_row
        height = 3 if left == 3 or left > 4 else min(left, 2)
        if height == 3:
            dots_3_4(
                adds, n, outer, inner, a, p, a_row, a_outer, b, b0, b_row, b_outer, c, q, c_row
            )
        elif height == 2:
            dots_2_4(
                adds, n, outer, inner, a, p, a_row, a_outer, b, b0, b_row, b_outer, c, q, c_row
            )
        else:
            dots_1_4(
                adds, n, outer, inner, a, p, a_row, a_outer, b, b0, b_row, b_outer, c, q, c_row
            )
        i += height


def dots_by_columns(
    panel: Floats, adds: int, rows: int, inner: int, columns: int,
    a: Floats, a0: int, a_row: int, b: Floats, b0: int, b_row: int, c: Floats, c0: int,
) -> None:  # fmt: skip
    """As `dots_of_rows`, for rows of so few numbers that adding up a vector takes much of the time.

    The rows of b, at least 4 of some fours of numbers, become columns of the panel. Then the dots
    of a row of a, which lie side by side in c, are the lanes of vectors.
    """
    j = 0
    while j < columns:  # the last four may have some of those before once more
        j = min(j, columns - 4)
        p, two = b0 + j * b_row, 2 * b_row
        turn_four(b, p, p + b_row, p + two, p + two + b_row, inner, panel, j, columns)
        j += 4
    size = VECTOR if columns >= VECTOR else 4
    whole = columns if adds else columns // size * size
    tiles(
        ADDS * adds, c, -1, rows, inner, whole,
        a, a0, 6 * a_row, a_row, 1, panel, 0, 2 * VECTOR, columns, c, c0, columns,
    )  # fmt: skip
    if whole < columns:  # some of the columns before once more
        j = columns - size
        tiles(
            0, c, -1, rows, inner, size,
            a, a0, 6 * a_row, a_row, 1, panel, j, 0, columns, c, c0 + j, columns,
        )  # fmt: skip


def multiply_vectors(
    adds: int, rows: int, inner: int, columns: int,
    a: Floats, a0: int, a_row: int,
    b: Floats, b0: int, b_column: int,
    c: Floats, c0: int, c_row: int, c_column: int,
) -> None:  # fmt: skip
    """c += a · b for few numbers, or c = a · b; the inner elements of both lie side by side."""
    for i in range(rows):
        for j in range(columns):
            total = zero
            for k in range(inner):
                total += a[a0 + i * a_row + k] * b[b0 + j * b_column + k]
            at = c0 + i * c_row + j * c_column
            c[at] = c[at] + total if adds else total


def multiply_and(
    then: int, values: Floats,
    panel: Floats, adds: int, start: int, rows: int, inner: int, columns: int,
    a: Floats, a0: int, a_row: int, a_inner: int,
    b: Floats, b0: int, b_inner: int, b_column: int,
    c: Floats, c0: int, c_row: int, c_column: int,
) -> None:  # fmt: skip
    """c += a · b, or c = a · b unless it `adds`; and then what `then` says, if c is whole strips.

    then: NOTHING; or ACTIVATE, a relu of each number; or PASS_BACK: the numbers are the gradients
        of relus, whose results are at the same places of `values`, and become those of what the
        relus were computed of.
    start: where in c's memory the numbers are that are added to a · b, one for each row; they are 0
        if it is below 0. The strides say how far apart neighbours are in each direction.

    Small matrices are multiplied where they are. Numbers of others are first copied to where the
    CPU gets them fast (Goto and van de Geijn, 2008): those of b to a panel, which is strips of
    columns, the last filled up with zeros, and those of a, HEIGHT rows at a time, to tiles, unless
    they are read a few times only. The sums of a strip that is not whole are added to c one by one.
    A BLAS is not called: it is no faster where all three sizes are large, and slower where few
    columns meet a large matrix.
    """
    strip = 2 * VECTOR
    by_vectors = (rows < 4 or columns < 4) and a_inner == 1 and b_inner == 1 and start < 0
    if by_vectors:
        multiply_vectors(
            adds, rows, inner, columns, a, a0, a_row, b, b0, b_column, c, c0, c_row, c_column
        )
        return
    copied, sums = PANEL, PANEL + HEIGHT * DEPTH  # where rows of a begin, and sums of a strip
    few = rows < 4 or inner < 4 or (columns % VECTOR == 0 and inner * columns <= IN_PLACE)
    b_stays = few and b_column == 1 and c_column == 1
    if not adds:  # to the columns of whole tiles nothing is added
        tile = 4 if b_stays else strip
        first = columns // tile * tile if c_column == 1 else 0
        for i in range(rows):
            for j in range(first, columns):
                c[c0 + i * c_row + j * c_column] = c[start + i] if start >= 0 else zero
    # Such numbers of a have the same few places in the CPU's first cache, and drive each other out.
    crowded = a_row == 1 and a_inner % (16 * VECTOR) == 0
    a_stays = not crowded or columns <= 4 * strip or inner * a_inner <= IN_PLACE // 2
    is_ahead = not crowded and rows * inner > PANEL
    how = FAR * (rows * columns > IN_PLACE) + AHEAD * is_ahead
    if a_stays and b_stays and inner <= DEPTH:
        tiles(
            how + ADDS * adds + THEN * then, values, start, rows, inner, columns,
            a, a0, 6 * a_row, a_row, a_inner, b, b0, strip, b_inner, c, c0, c_row,
        )  # fmt: skip
        return
    breadth = columns if b_stays else max(PANEL // min(inner, DEPTH) // strip * strip, strip)
    most = DEPTH // 4 if a_row == 1 and is_ahead else DEPTH  # of rows, each in a line of its own
    for j in range(0, columns, breadth):
        n = min(breadth, columns - j)
        whole = n if b_stays else n // strip * strip if c_column == 1 else 0  # added at once
        for k in range(0, inner, most):
            depth = min(most, inner - k)
            y, y0, y_strip, y_inner = b, b0 + k * b_inner + j * b_column, strip, b_inner
            if not b_stays:
                copy_panel(depth, n, b, y0, b_inner, b_column, panel)
                y, y0, y_strip, y_inner = panel, 0, strip * depth, strip
            for i in range(0, rows, HEIGHT):
                height = min(HEIGHT, rows - i)
                x, x0, x_tile = a, a0 + i * a_row + k * a_inner, 6 * a_row
                x_row, x_inner = a_row, a_inner
                if not a_stays:
                    copy_block(height, depth, a, x0, a_inner, panel, copied)
                    x, x0, x_tile, x_row, x_inner = panel, copied, 6 * depth, 1, 6
                z0 = c0 + i * c_row + j * c_column
                first = start + i if start >= 0 and k == 0 else -1
                this = how + ADDS * (adds or k > 0) + (THEN * then if k + depth == inner else 0)
                tiles(
                    this, values, first, height, depth, whole,
                    x, x0, x_tile, x_row, x_inner, y, y0, y_strip, y_inner, c, z0, c_row,
                )  # fmt: skip
                for s in range(whole, n, strip):
                    tiles(
                        0, c, -1, height, depth, strip,
                        x, x0, x_tile, x_row, x_inner, y, y0 + s * depth, y_strip, y_inner,
                        panel, sums, strip,
                    )  # fmt: skip
                    for r in range(height):
                        for q in range(min(strip, n - s)):
                            c[z0 + r * c_row + (s + q) * c_column] += panel[sums + r * strip + q]


def multiply(
    panel: Floats, adds: int, start: int, rows: int, inner: int, columns: int,
    a: Floats, a0: int, a_row: int, a_inner: int,
    b: Floats, b0: int, b_inner: int, b_column: int,
    c: Floats, c0: int, c_row: int, c_column: int,
) -> None:  # fmt: skip
    """As `multiply_and`, and then nothing."""
    multiply_and(
        NOTHING, c, panel, adds, start, rows, inner, columns,
        a, a0, a_row, a_inner, b, b0, b_inner, b_column, c, c0, c_row, c_column,
    )  # fmt: skip


# ---- where an operand's numbers are


def element(where: Places, x: Pattern, i: int, k: int) -> int:
    """The place of element k of row i: a slot per example, or ~slot of a shared number."""
    if x.rule == BY_ELEMENT:
        return int(where[x.first_place + i * x.row_stride + k])
    if x.rule == BY_ROW:
        slot = int(where[x.first_place + i]) + k * x.stride
    else:
        slot = x.base + i * x.row_stride + k * x.stride
    return slot if x.per_example else ~slot


def begin_of(
    where: Places, lane_begin: int, rule: int, first_place: int, base: int, row_stride: int,
    per_example: int, i: int, width: int,
) -> int:  # fmt: skip
    """Where row i of an operand begins in `data`; given numbers stay in registers in a loop."""
    if rule == AFFINE:
        slot = base + i * row_stride
    elif rule == BY_ROW:
        slot = int(where[first_place + i])
    else:
        slot = int(where[first_place + i * row_stride])
        return lane_begin + slot * width if slot >= 0 else ~slot
    return lane_begin + slot * width if per_example else slot


def row_begin(work: Work, x: Pattern, i: int, width: int) -> int:
    """Where row i of an operand begins in `data`."""
    return begin_of(
        places(work.all_places), work.lane_begin, x.rule, x.first_place, x.base, x.row_stride,
        x.per_example, i, width,
    )  # fmt: skip


def has_runs(x: Pattern, length: int) -> int:
    """Whether rows of an operand, of one number each, are known to be the same as the next ones."""
    return length == 1 and (x.first_run >= 0 or (x.rule == AFFINE and x.row_stride == 0))


def run_at(x: Pattern, where: Places, i: int, count: int) -> int:
    """How many rows from row i on are the same, if the operand has runs; all are `count`."""
    return int(where[x.first_run + i]) if x.first_run >= 0 else count


def pack(
    work: Work, x: Pattern, first: int, count: int, length: int,
    width: int, begin: int, by_element: int,
) -> None:  # fmt: skip
    """Copies `count` rows of an operand, from row `first` on, to `begin`, side by side.

    Row after row, or, by element, all first elements and then all second ones.
    """
    data, where, lane_begin = floats(work.data), places(work.all_places), work.lane_begin
    # What the loops need of the operand stays in registers: no store to `data` can change it.
    rule, place, base, row_stride = x.rule, x.first_place, x.base, x.row_stride
    per_example, by_place = x.per_example, x.rule == BY_ELEMENT
    step = x.stride * width if per_example else x.stride
    if has_runs(x, length):
        i = 0
        while i < count:
            row = first + i
            n = min(count - i, run_at(x, where, row, count))
            at = begin_of(where, lane_begin, rule, place, base, row_stride, per_example, row, width)
            to = begin + i * width
            if per_example and width > 1:
                for lane in lanes(width, 16):
                    number = data[at + lane]
                    for k in range(n):
                        data[to + k * width + lane] = number
            else:
                fill(data, to, n * width, data[at])
            i += n
        return
    if length == 1 and width == 1 and rule != BY_ELEMENT:
        origin = lane_begin if per_example else 0
        if rule == BY_ROW:
            for i in range(count):
                data[begin + i] = data[origin + where[place + first + i]]
        else:
            for i in range(count):
                data[begin + i] = data[origin + base + (first + i) * row_stride]
        return
    if length == 1:
        for i in range(count):
            at = begin_of(
                where, lane_begin, rule, place, base, row_stride, per_example, first + i, width
            )
            if at >= lane_begin:
                copy(data, at, data, begin + i * width, width)
            else:
                fill(data, begin + i * width, width, data[at])
        return
    to_next, done = width * (count if by_element else 1), 0
    if by_element and width == 1 and step == 1 and not by_place:
        while done + 4 <= count:
            p, q = row_begin(work, x, first + done, 1), row_begin(work, x, first + done + 1, 1)
            r, s = row_begin(work, x, first + done + 2, 1), row_begin(work, x, first + done + 3, 1)
            turn_four(data, p, q, r, s, length, data, begin + done, count)
            done += 4
    for i in range(done, count):
        row = first + i
        at = begin_of(where, lane_begin, rule, place, base, row_stride, per_example, row, width)
        to = begin + width * (i if by_element else i * length)
        if width == 1 and not by_place:
            for k in range(length):
                data[to + k * to_next] = data[at + k * step]
            continue
        for k in range(length):
            if by_place:
                slot = int(where[place + row * row_stride + k])
                per_example = slot >= 0
                at = lane_begin + slot * width if per_example else ~slot
            if per_example:
                copy(data, at, data, to, width)
            else:
                fill(data, to, width, data[at])
            at += step
            to += to_next


def unpack(
    work: Work, x: Pattern, first: int, count: int, length: int,
    width: int, begin: int, by_element: int,
) -> None:  # fmt: skip
    """Adds the gradients of packed rows to those of the numbers that were packed."""
    grad, where, lane_begin = floats(work.grad), places(work.all_places), work.lane_begin
    rule, place, base, row_stride = x.rule, x.first_place, x.base, x.row_stride
    per_example, by_place = x.per_example, x.rule == BY_ELEMENT
    step = x.stride * width if per_example else x.stride
    if has_runs(x, length):
        i = 0
        while i < count:
            row = first + i
            n = min(count - i, run_at(x, where, row, count))
            at = begin_of(where, lane_begin, rule, place, base, row_stride, per_example, row, width)
            source = begin + i * width
            if per_example and width > 1:
                for lane in lanes(width, 16):
                    total = grad[at + lane]
                    for k in range(n):
                        total += grad[source + k * width + lane]
                    grad[at + lane] = total
            else:
                grad[at] += sum_of_lanes(grad, source, n * width)
            i += n
        return
    if length == 1 and width == 1 and rule != BY_ELEMENT:
        origin = lane_begin if per_example else 0
        if rule == BY_ROW:
            for i in range(count):
                grad[origin + where[place + first + i]] += grad[begin + i]
        else:
            for i in range(count):
                grad[origin + base + (first + i) * row_stride] += grad[begin + i]
        return
    if length == 1:
        for i in range(count):
            at = begin_of(
                where, lane_begin, rule, place, base, row_stride, per_example, first + i, width
            )
            if at >= lane_begin:
                add(grad, begin + i * width, grad, at, width)
            else:
                grad[at] += sum_of_lanes(grad, begin + i * width, width)
        return
    to_next = width * (count if by_element else 1)
    for i in range(count):
        row = first + i
        at = begin_of(where, lane_begin, rule, place, base, row_stride, per_example, row, width)
        to = begin + width * (i if by_element else i * length)
        if width == 1 and not by_place:
            for k in range(length):
                grad[at + k * step] += grad[to + k * to_next]
            continue
        for k in range(length):
            if by_place:
                slot = int(where[place + row * row_stride + k])
                per_example = slot >= 0
                at = lane_begin + slot * width if per_example else ~slot
            if per_example:
                add(grad, to, grad, at, width)
            else:
                grad[at] += sum_of_lanes(grad, to, width)
            at += step
            to += to_next


# ---- ops number by number: the loops that are written from the op table


def is_usable(usable: int, rows: int, width: int) -> int:
    """Whether so many rows can be read where they are; usable: as `Pattern` has it."""
    return (usable >> (2 * (rows > 1) + (width > 1))) & 1


def block_of(instruction: Instruction, width: int) -> int:
    """How many rows are done at a time: all, if no operand must be packed.

    One, if that is a vector, and there are examples enough for the CPU's vector units.
    """
    if instruction.kind == REDUCE and width >= 8:
        return 1
    numbers = instruction.count * instruction.length * width
    if numbers <= BLOCK or is_usable(instruction.usable, instruction.count, width):
        return int(instruction.count)
    return max(1, BLOCK // (instruction.length * width))


def locate(
    work: Work, instruction: Instruction, i: int, n: int, block: int, width: int, is_back: int
) -> None:
    """Writes to `work.at` where n rows of each operand are, from row i on, at most a block.

    Packs those that are not in place; in the backward pass only those that are read.
    """
    at = integers(work.at)
    for j in range(instruction.operand_count):
        x = pattern_at(work.patterns, instruction.first_operand + j)
        if is_usable(x.usable, block, width):
            at[j] = row_begin(work, x, i, width)
        else:
            at[j] = work.scratch_begin + j * work.region
            if x.is_read or not is_back:
                pack(work, x, i, n, instruction.length, width, at[j], instruction.kind == REDUCE)


def turns(count: int) -> int:
    """How many turns a loop over so many lanes has."""
    found, size = count // VECTOR, VECTOR // 2
    while size > 0:
        found += (count & size) // size
        size //= 2
    return found


def goes_along(work: Work, instruction: Instruction, width: int) -> int:
    """Whether vectors are reduced one by one, by loops along their elements; else all at once.

    That is so if they are where such a loop can read them, and it has fewer turns.
    """
    if instruction.kind != REDUCE or width > 1:
        return 0
    for j in range(instruction.operand_count):
        x = pattern_at(work.patterns, instruction.first_operand + j)
        if x.rule == BY_ELEMENT or (instruction.length > 1 and x.stride != 1):
            return 0
    count, length = instruction.count, instruction.length
    return count * turns(length) < length * turns(count)


def each_along(work: Work, instruction: Instruction, loop: int, out: int) -> None:
    """Runs a loop of an op that goes along a row, for all rows."""
    data, grad, at = floats(work.data), floats(work.grad), integers(work.at)
    for i in range(instruction.count):
        for operand in range(instruction.operand_count):
            x = pattern_at(work.patterns, instruction.first_operand + operand)
            at[operand] = row_begin(work, x, i, 1)
        call(loop, (instruction.length, 1, data, grad, out + i, at, 1))


def each_forward(work: Work, instruction: Instruction, out: int, width: int) -> None:
    """The results of one op, by the loop that is written from the op table."""
    data, grad, at = floats(work.data), floats(work.grad), integers(work.at)
    if goes_along(work, instruction, width):
        loop = integers(work.loops)[instruction.loop + 1 + instruction.operand_count]
        each_along(work, instruction, loop, out)
        return
    block = block_of(instruction, width)
    i = 0
    while i < instruction.count:
        n = min(block, instruction.count - i)
        locate(work, instruction, i, n, block, width, 0)
        loop = integers(work.loops)[instruction.loop]
        call(loop, (instruction.length, n * width, data, grad, out + i * width, at, 0))
        i += n


def each_backward(work: Work, instruction: Instruction, out: int, width: int) -> None:
    """The gradients of the operands of one op, by the loops that follow the forward one."""
    data, grad, at = floats(work.data), floats(work.grad), integers(work.at)
    if goes_along(work, instruction, width):
        first = instruction.loop + 2 + instruction.operand_count
        for j in range(instruction.operand_count):
            if pattern_at(work.patterns, instruction.first_operand + j).active:
                each_along(work, instruction, integers(work.loops)[first + j], out)
        return
    block = block_of(instruction, width)
    i = 0
    while i < instruction.count:
        n = min(block, instruction.count - i)
        locate(work, instruction, i, n, block, width, 1)
        for j in range(instruction.operand_count):
            x = pattern_at(work.patterns, instruction.first_operand + j)
            if x.active:
                loop = integers(work.loops)[instruction.loop + 1 + j]
                where_it_is = is_usable(x.usable, block, width)
                adds = where_it_is and not x.is_first
                call(loop, (instruction.length, n * width, data, grad, out + i * width, at, adds))
                if not where_it_is:
                    unpack(
                        work, x, i, n, instruction.length, width, at[j], instruction.kind == REDUCE
                    )
        i += n


# ---- dots, one by one


def begin_with(
    work: Work, instruction: Instruction, rows: int, columns: int, out: int, width: int
) -> None:
    """Sets results to the numbers that are added to them, which are shared."""
    data = floats(work.data)
    bias = pattern_at(work.patterns, instruction.first_operand + 2)
    for i in range(rows):
        for j in range(columns):
            number = data[~element(places(work.all_places), bias, i, j)]
            fill(data, out, width, number)
            out += width


def add_gradients(
    work: Work, instruction: Instruction, rows: int, columns: int, out: int, width: int
) -> None:
    """The gradients of the numbers that were added to results."""
    if instruction.operand_count < 3:
        return
    grad = floats(work.grad)
    bias = pattern_at(work.patterns, instruction.first_operand + 2)
    if bias.active:
        for i in range(rows):
            for j in range(columns):
                at = ~element(places(work.all_places), bias, i, j)
                grad[at] += sum_of_lanes(grad, out, width)
                out += width


def first_begin(work: Work, x: Pattern, width: int) -> int:
    """Where the first row of an operand begins; of one with a list of rows, where slot 0 is."""
    return int(work.lane_begin + x.base * width if x.per_example else x.base)


def to_next_row(x: Pattern, width: int) -> int:
    """How far apart rows are that follow each other; of an operand with a list of them, slots."""
    return (width if x.per_example else 1) * (1 if x.rule == BY_ROW else x.row_stride)


def begin_at(where: Places, first: int, to_next: int, is_listed: int, place: int, i: int) -> int:
    """Where row i begins, of which the two functions before say more; `place` is that of row 0."""
    return first + to_next * (int(where[place + i]) if is_listed else i)


def step_of(x: Pattern, width: int) -> int:
    """How far apart the elements of a row are; where they are packed, if they are listed."""
    if x.rule == BY_ELEMENT:
        return width
    return x.stride * width if x.per_example else x.stride


def has_lanes(x: Pattern) -> int:
    """Whether the elements of a row are numbers per example; listed ones are once packed."""
    return x.per_example or x.rule == BY_ELEMENT


def rows_alike(where: Places, x: Pattern, i: int, count: int) -> int:
    """How many dots from dot i on have the same row of x, which is not listed by element."""
    if x.rule == AFFINE:
        return count - i if x.row_stride == 0 else 1
    place, n = x.first_place + i, 1
    while i + n < count and where[place + n] == where[place]:
        n += 1
    return n


def run_of(where: Places, x: Pattern, y: Pattern, i: int, count: int) -> int:
    """How many dots from dot i on have the same row of x, and rows of y that lie side by side."""
    if x.rule == BY_ELEMENT or y.rule != AFFINE or y.row_stride != 1:
        return 1
    return rows_alike(where, x, i, count)


def dots_forward(work: Work, instruction: Instruction, out: int, width: int) -> None:
    """Dots, each of a row of x and a row of y.

    Adds them to the results if there is a number that is added to each.
    """
    x = pattern_at(work.patterns, instruction.first_operand)
    y = pattern_at(work.patterns, instruction.first_operand + 1)
    data, panel, where = floats(work.data), floats(work.panel), places(work.all_places)
    count, length = instruction.count, instruction.length
    x_step, x_first, x_next = step_of(x, width), first_begin(work, x, width), to_next_row(x, width)
    y_step, y_first, y_next = step_of(y, width), first_begin(work, y, width), to_next_row(y, width)
    x_listed, x_place, x_packed = x.rule == BY_ROW, x.first_place, x.rule == BY_ELEMENT
    y_listed, y_place, y_packed = y.rule == BY_ROW, y.first_place, y.rule == BY_ELEMENT
    adds = instruction.operand_count == 3  # to what `begin_with` has written
    x_lanes = has_lanes(x)
    by_fours = width == 1 and x_step == 1 and y_step == 1 and length % 4 == 0
    by_fours = by_fours and not (x_packed or y_packed)
    # The last four dots may have some of those before once more.
    i, fours = 0, count if count >= 4 and not adds else count // 4 * 4
    while by_fours and i < fours:
        i = min(i, count - 4)
        write_four_dots(
            adds,
            length,
            data,
            begin_at(where, x_first, x_next, x_listed, x_place, i),
            begin_at(where, x_first, x_next, x_listed, x_place, i + 1),
            begin_at(where, x_first, x_next, x_listed, x_place, i + 2),
            begin_at(where, x_first, x_next, x_listed, x_place, i + 3),
            data,
            begin_at(where, y_first, y_next, y_listed, y_place, i),
            begin_at(where, y_first, y_next, y_listed, y_place, i + 1),
            begin_at(where, y_first, y_next, y_listed, y_place, i + 2),
            begin_at(where, y_first, y_next, y_listed, y_place, i + 3),
            data,
            out + i,
        )  # fmt: skip
        i += 4
    while i < count:
        a, b, n = work.scratch_begin, work.scratch_begin + work.region, 1
        if x_packed:
            pack(work, x, i, 1, length, width, a, 0)
        else:
            a = begin_at(where, x_first, x_next, x_listed, x_place, i)
        if y_packed:
            pack(work, y, i, 1, length, width, b, 0)
        else:
            b = begin_at(where, y_first, y_next, y_listed, y_place, i)
        to = out + i * width
        if width == 1:
            n = run_of(where, x, y, i, count)
            for j in lanes(n):
                total = data[to + j] if adds else zero
                for k in range(length):
                    total += data[a + k * x_step] * data[b + k * y_step + j]
                data[to + j] = total
        elif x_lanes:
            for lane in lanes(width, 16):
                total = data[to + lane] if adds else zero
                for k in range(length):
                    total += data[a + k * x_step + lane] * data[b + k * y_step + lane]
                data[to + lane] = total
        else:
            multiply(
                panel, adds, -1, 1, length, width,
                data, a, 0, x_step, data, b, y_step, 1, data, to, 0, 1,
            )  # fmt: skip
        i += n


def dots_alike_backward(work: Work, instruction: Instruction, out: int, width: int) -> None:
    """As `dots_backward`, where nothing is packed, and both vectors have lanes, or there are none.

    Dots that follow each other and have the same row of x are done together, as those of a query
    with all keys are. The rows may be one and the same, and overlap: so what was added to y is
    there before something is added to x.
    """
    x = pattern_at(work.patterns, instruction.first_operand)
    y = pattern_at(work.patterns, instruction.first_operand + 1)
    data, grad, where = floats(work.data), floats(work.grad), places(work.all_places)
    count, length = instruction.count, instruction.length
    x_step, x_first, x_next = step_of(x, width), first_begin(work, x, width), to_next_row(x, width)
    y_step, y_first, y_next = step_of(y, width), first_begin(work, y, width), to_next_row(y, width)
    x_listed, x_place, x_active = x.rule == BY_ROW, x.first_place, x.active
    y_listed, y_place, y_active = y.rule == BY_ROW, y.first_place, y.active
    i = 0
    while i < count:
        a = begin_at(where, x_first, x_next, x_listed, x_place, i)
        b = begin_at(where, y_first, y_next, y_listed, y_place, i)
        to, n = out + i * width, 1
        is_square = a == b and x_step == y_step and x_active and y_active
        if not is_square:
            n = rows_alike(where, x, i, min(count, i + ROWS_ALIKE))
        if is_square and width == 1:
            g = grad[to] + grad[to]
            for k in lanes(length):
                grad[a + k] += g * data[a + k]
        elif width == 1 and n == 1:
            g = grad[to]
            if x_active:
                for k in lanes(length):
                    grad[a + k] += g * data[b + k]
            if y_active:
                for k in lanes(length):
                    grad[b + k] += g * data[a + k]
        elif width == 1:
            for k in lanes(length):
                number, total = data[a + k], zero
                for j in range(n):
                    q = begin_at(where, y_first, y_next, y_listed, y_place, i + j)
                    upstream = grad[to + j]
                    total += upstream * data[q + k]
                    if y_active:
                        grad[q + k] += upstream * number
                if x_active:
                    grad[a + k] += total
        elif is_square:
            for lane in lanes(width, 16):
                upstream = grad[to + lane] + grad[to + lane]
                for k in range(length):
                    p = a + k * x_step
                    grad[p + lane] += upstream * data[p + lane]
        else:
            for lane in lanes(width, 16):
                for k in range(length):
                    p, to_element = a + k * x_step, k * y_step
                    number, total = data[p + lane], zero
                    for j in range(n):
                        q = begin_at(where, y_first, y_next, y_listed, y_place, i + j) + to_element
                        upstream = grad[to + j * width + lane]
                        total += upstream * data[q + lane]
                        if y_active:
                            grad[q + lane] += upstream * number
                    if x_active:
                        grad[p + lane] += total
        i += n


def dots_backward(work: Work, instruction: Instruction, out: int, width: int) -> None:
    """The gradients of the elements of dots' vectors."""
    x = pattern_at(work.patterns, instruction.first_operand)
    y = pattern_at(work.patterns, instruction.first_operand + 1)
    data, grad, panel = floats(work.data), floats(work.grad), floats(work.panel)
    count, length, where = instruction.count, instruction.length, places(work.all_places)
    x_step, x_first, x_next = step_of(x, width), first_begin(work, x, width), to_next_row(x, width)
    y_step, y_first, y_next = step_of(y, width), first_begin(work, y, width), to_next_row(y, width)
    x_listed, x_place, x_packed = x.rule == BY_ROW, x.first_place, x.rule == BY_ELEMENT
    y_listed, y_place, y_packed = y.rule == BY_ROW, y.first_place, y.rule == BY_ELEMENT
    x_lanes, x_active, y_active = has_lanes(x), x.active, y.active
    by_rows = x_lanes if width > 1 else x_step == 1 and y_step == 1
    if by_rows and not (x_packed or y_packed):
        dots_alike_backward(work, instruction, out, width)
        return
    i = 0
    while i < count:
        a, b, n = work.scratch_begin, work.scratch_begin + work.region, 1
        if x_packed:
            pack(work, x, i, 1, length, width, a, 0)
            clear(grad, a, length * width)
        else:
            a = begin_at(where, x_first, x_next, x_listed, x_place, i)
        if y_packed:
            pack(work, y, i, 1, length, width, b, 0)
            clear(grad, b, length * width)
        else:
            b = begin_at(where, y_first, y_next, y_listed, y_place, i)
        to = out + i * width
        if width == 1 and x_step == 1 and y_step == 1:
            g = grad[to]
            if x_active:
                for k in lanes(length):
                    grad[a + k] += g * data[b + k]
            if y_active:
                for k in lanes(length):
                    grad[b + k] += g * data[a + k]
        elif width == 1:
            n = run_of(where, x, y, i, count)
            fours = length // 4 * 4 if x_active and x_step == 1 and n % 4 == 0 else 0
            for k in range(0, fours, 4):
                q, two = b + k * y_step, 2 * y_step
                write_four_dots(
                    1, n, grad, to, to, to, to,
                    data, q, q + y_step, q + two, q + two + y_step, grad, a + k,
                )  # fmt: skip
            for k in range(fours, length if x_active else 0):
                at, q = a + k * x_step, b + k * y_step
                total = grad[at]
                for j in lanes(n):
                    total = over_lanes(plus, total, grad[to + j] * data[q + j])
                grad[at] = total
            if y_active:
                for j in lanes(n):
                    upstream = grad[to + j]
                    for k in range(length):
                        grad[b + k * y_step + j] += upstream * data[a + k * x_step]
        elif x_lanes:
            for lane in lanes(width, 16):
                upstream = grad[to + lane]
                for k in range(length):
                    p, q = a + k * x_step, b + k * y_step
                    if x_active:
                        grad[p + lane] += upstream * data[q + lane]
                    if y_active:
                        grad[q + lane] += upstream * data[p + lane]
        else:
            if x_active:
                multiply(
                    panel, 1, -1, 1, width, length, grad, to, 0, 1,
                    data, b, 1, y_step, grad, a, 0, x_step,
                )  # fmt: skip
            if y_active:
                multiply(
                    panel, 1, -1, length, 1, width, data, a, x_step, 0,
                    grad, to, 0, 1, grad, b, y_step, 1,
                )  # fmt: skip
        if x_packed and x_active:
            unpack(work, x, i, 1, length, width, a, 0)
        if y_packed and y_active:
            unpack(work, y, i, 1, length, width, b, 0)
        i += n


# ---- dots that share their vectors: a matrix product


def is_matrix(x: Pattern) -> int:
    """Whether the rows of an operand can be multiplied where they are."""
    return x.rule == AFFINE and x.stride == 1


def is_done(joins: int, width: int) -> int:
    """Whether a product computes a relu, too, if it may: for so many examples as fill strips."""
    return joins and width % (2 * VECTOR) == 0


def matmul_forward(work: Work, instruction: Instruction, out: int, width: int) -> None:
    """`rows` vectors y, each times every one of the `columns` vectors x, which are shared."""
    x = pattern_at(work.patterns, instruction.first_operand)
    y = pattern_at(work.patterns, instruction.first_operand + 1)
    data, panel = floats(work.data), floats(work.panel)
    rows, columns, length = instruction.rows, instruction.columns, instruction.length
    then = ACTIVATE if is_done(instruction.joins, width) else NOTHING
    a, a_row = work.scratch_begin, length
    if is_matrix(x):
        a, a_row = x.base, x.row_stride
    else:
        pack(work, x, 0, columns, length, 1, a, 0)
    b, b_row = work.scratch_begin + work.region, length * width
    if is_matrix(y):
        b, b_row = row_begin(work, y, 0, width), y.row_stride * width
    else:
        pack(work, y, 0, rows, length, width, b, 0)
    adds, start, start_step = 0, -1, 0
    if instruction.operand_count == 3:
        bias = pattern_at(work.patterns, instruction.first_operand + 2)
        if width > 1 and bias.rule == AFFINE and bias.stride == 1:
            start, start_step = bias.base, bias.row_stride
        else:
            begin_with(work, instruction, rows, columns, out, width)
            adds = 1
    fits = width == 1 and length * columns <= 2 * IN_PLACE
    if fits and rows > 3 and columns > 3 and length % 4 == 0 and length <= FEW_VECTORS * VECTOR:
        dots_by_columns(
            panel, adds, rows, length, columns, data, b, b_row, data, a, a_row, data, out
        )
    elif fits and length % 4 == 0:
        fours = columns // 4 * 4
        dots_of_rows(
            adds, rows, 1, length, fours, data, b, b_row, 0, data, a, a_row, 0, data, out, columns
        )
        left = columns - fours
        if left and fours and not adds:  # some of the columns before once more
            dots_of_rows(
                0, rows, 1, length, 4, data, b, b_row, 0, data, a + (columns - 4) * a_row, a_row, 0,
                data, out + columns - 4, columns,
            )  # fmt: skip
        elif left:
            multiply_vectors(
                adds, rows, length, left, data, b, b_row, data, a + fours * a_row, a_row,
                data, out + fours, columns, 1,
            )  # fmt: skip
    elif width == 1 and rows < 4:
        multiply(
            panel, adds, -1, rows, length, columns, data, b, b_row, 1, data, a, 1, a_row,
            data, out, columns, 1,
        )  # fmt: skip
    elif width == 1:
        multiply(
            panel, adds, -1, columns, length, rows, data, a, a_row, 1, data, b, 1, b_row,
            data, out, 1, columns,
        )  # fmt: skip
    else:
        for i in range(rows):
            c, r = out + i * columns * width, b + i * b_row
            multiply_and(
                then, data, panel, adds, start, columns, length, width,
                data, a, a_row, 1, data, r, width, 1, data, c, width, 1,
            )  # fmt: skip
            start += start_step


def matmul_backward(work: Work, instruction: Instruction, out: int, width: int) -> None:
    """The gradients of both operands of a matrix product: two matrix products more."""
    x = pattern_at(work.patterns, instruction.first_operand)
    y = pattern_at(work.patterns, instruction.first_operand + 1)
    data, grad, panel = floats(work.data), floats(work.grad), floats(work.panel)
    rows, columns, length = instruction.rows, instruction.columns, instruction.length
    a, a_row = work.scratch_begin, length
    if is_matrix(x):
        a, a_row = x.base, x.row_stride
    else:
        pack(work, x, 0, columns, length, 1, a, 0)
        clear(grad, a, columns * length)
    b, b_row = work.scratch_begin + work.region, length * width
    if is_matrix(y):
        b, b_row = row_begin(work, y, 0, width), y.row_stride * width
    else:
        pack(work, y, 0, rows, length, width, b, 0)
    then = PASS_BACK if is_done(instruction.joins_back, width) else NOTHING
    y_adds = is_matrix(y) and not y.is_first
    x_adds = not (x.is_first and work.is_fresh)
    if width == 1:
        if y.active:
            multiply(
                panel, y_adds, -1, rows, columns, length, grad, out, columns, 1, data, a, a_row, 1,
                grad, b, b_row, 1,
            )  # fmt: skip
        if x.active:
            multiply(
                panel, x_adds, -1, columns, rows, length, grad, out, 1, columns, data, b, b_row, 1,
                grad, a, a_row, 1,
            )  # fmt: skip
    else:
        # Whether the gradients of x are added up over all rows of y, and then written once; few
        # columns are not worth that y is copied.
        at_once = (rows > 1 or columns <= 16) and length * columns <= 2 * IN_PLACE
        at_once = at_once and width >= VECTOR and width % 4 == 0 and length % 4 == 0
        for i in range(rows):
            c, r = out + i * columns * width, b + i * b_row
            if y.active:
                multiply_and(
                    then, data, panel, y_adds, -1, length, columns, width,
                    data, a, 1, a_row, grad, c, width, 1, grad, r, width, 1,
                )  # fmt: skip
            if x.active and not at_once:
                multiply(
                    panel, x_adds or i > 0, -1, columns, width, length, grad, c, width, 1,
                    data, r, 1, width, grad, a, a_row, 1,
                )  # fmt: skip
        if x.active and at_once:
            dots_of_rows(
                x_adds, columns, rows, width, length, grad, out, width, columns * width,
                data, b, width, b_row, grad, a, a_row,
            )  # fmt: skip
    if not is_matrix(x) and x.active:
        unpack(work, x, 0, columns, length, 1, a, 0)
    if not is_matrix(y) and y.active:
        unpack(work, y, 0, rows, length, width, b, 0)


# ---- picks


def picked(work: Work, values: Pattern, i: int, chosen: int, width: int, lane: int) -> int:
    """Where element `chosen` of row i is, for one lane."""
    slot = element(places(work.all_places), values, i, chosen)
    return work.lane_begin + slot * width + lane if slot >= 0 else ~slot


def pick_for_fours(
    work: Work, values: Pattern, at: int, count: int, out: int, fours: int, width: int, is_back: int
) -> None:
    """Picks numbers that lie side by side, as those of an embedding: four of them for four lanes.

    fours: how many lanes, of `width`; at: where the indices are.
    """
    data, grad, scratch = floats(work.data), floats(work.grad), work.scratch_begin
    for lane in range(0, fours, 4):
        to = out + lane
        p = picked(work, values, 0, int(data[at + lane]), width, lane)
        q = picked(work, values, 0, int(data[at + lane + 1]), width, lane + 1)
        r = picked(work, values, 0, int(data[at + lane + 2]), width, lane + 2)
        s = picked(work, values, 0, int(data[at + lane + 3]), width, lane + 3)
        for i in range(0, count, 4):
            u, two = to + i * width, 2 * width
            if is_back:
                transpose_4(grad, u, u + width, u + two, u + two + width, grad, scratch, 4)
                add(grad, scratch, grad, p + i, 4)
                add(grad, scratch + 4, grad, q + i, 4)
                add(grad, scratch + 8, grad, r + i, 4)
                add(grad, scratch + 12, grad, s + i, 4)
            else:
                transpose_4(data, p + i, q + i, r + i, s + i, data, u, width)


def picks(work: Work, instruction: Instruction, out: int, width: int, is_back: int) -> None:
    """Numbers, each taken from where the index says, which is the same for all rows.

    If `is_back`, the gradient of each goes to where it was taken.
    """
    index = pattern_at(work.patterns, instruction.first_operand)
    values = pattern_at(work.patterns, instruction.first_operand + 1)
    data, grad, at = floats(work.data), floats(work.grad), row_begin(work, index, 0, width)
    count, is_regular = instruction.count, values.rule == AFFINE
    to_next = values.row_stride * (width if values.per_example else 1)
    by_fours = is_regular and to_next == 1 and count % 4 == 0
    fours = width // 4 * 4 if by_fours else 0
    pick_for_fours(work, values, at, count, out, fours, width, is_back)
    for lane in range(fours, width):
        to, chosen = out + lane, int(data[at + lane])
        first = picked(work, values, 0, chosen, width, lane)
        if is_regular and width == 1 and to_next == 1 and is_back:
            add(grad, to, grad, first, count)
        elif is_regular and width == 1 and to_next == 1:
            copy(data, first, data, to, count)
        elif is_regular and is_back:
            for i in range(count):
                grad[first + i * to_next] += grad[to + i * width]
        elif is_regular:
            for i in range(count):
                data[to + i * width] = data[first + i * to_next]
        else:
            for i in range(count):
                place = picked(work, values, i, chosen, width, lane)
                if is_back:
                    grad[place] += grad[to + i * width]
                else:
                    data[to + i * width] = data[place]


# ---- the tape


def forward(work: Work, begin: int, end: int, width: int) -> None:
    """Computes the values of the instructions from `begin` to `end`."""
    for t in range(begin, end):
        instruction = instruction_at(work.instructions, t)
        out = (
            work.lane_begin + instruction.out * width
            if instruction.per_example
            else instruction.out
        )
        if instruction.kind == MATMUL:
            matmul_forward(work, instruction, out, width)
        elif instruction.kind == DOT:
            if instruction.operand_count == 3:
                begin_with(work, instruction, instruction.count, 1, out, width)
            dots_forward(work, instruction, out, width)
        elif instruction.kind == PICK:
            picks(work, instruction, out, width, 0)
        elif not is_done(instruction.joins, width):
            each_forward(work, instruction, out, width)


def clear_results(work: Work, begin: int, end: int, width: int) -> None:
    """Sets the gradients of the results of instructions to 0, where others are added to them."""
    for t in range(begin, end):
        instruction = instruction_at(work.instructions, t)
        if instruction.is_cleared:
            out = work.lane_begin + instruction.out * width
            clear(floats(work.grad), out, instruction.count * width)


def backward(work: Work, begin: int, end: int, width: int) -> None:
    """The chain rule: the instructions from `end` back to `begin`, each to its operands.

    The gradients of their results are 0 before, or the first that come from later ones are written.
    In float32, results below the smallest normal float, 1.2e-38, become 0: some processors
    take much longer for such numbers, and a long training has many.
    """
    before = flush_tiny()
    for t in range(end - 1, begin - 1, -1):
        instruction = instruction_at(work.instructions, t)
        out = (
            work.lane_begin + instruction.out * width
            if instruction.per_example
            else instruction.out
        )
        if instruction.kind == MATMUL:
            add_gradients(work, instruction, instruction.rows, instruction.columns, out, width)
            matmul_backward(work, instruction, out, width)
        elif instruction.kind == DOT:
            add_gradients(work, instruction, instruction.count, 1, out, width)
            dots_backward(work, instruction, out, width)
        elif instruction.kind == PICK:
            picks(work, instruction, out, width, 1)
        elif not is_done(instruction.joins_back, width):
            each_backward(work, instruction, out, width)
    keep_tiny(before)


# ---- one group of examples


def uniform(seed: int, count: int) -> float:
    """The random number in [0, 1) that belongs to `count`, in the series of `seed`.

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


def first_serial(step: int) -> int:
    """The serial number of the first example of a step; no other step's examples have it.

    It depends on the step alone, and not on how many steps one call runs.
    """
    return step << 32


def load_examples(work: Work, program: Header, first: int, serial: int, width: int) -> None:
    """Copies the inputs of `width` examples, and their random numbers, to their lanes."""
    data, inputs, seeds = floats(work.data), floats(work.inputs), integers(work.seeds)
    starts, lane = integers(work.starts), 0
    count, begin = program.inputs, work.lane_begin  # in registers, as no store can change them
    while lane + 4 <= width:  # eight at a time, as their numbers fill a line of the cache, or four
        end, j = lane + 8 if lane + 8 <= width else lane + 4, 0
        while j + 4 <= count:
            for k in range(lane, end, 4):
                i, to = first + k, begin + k + j * width
                p, q, r, s = starts[i], starts[i + 1], starts[i + 2], starts[i + 3]
                transpose_4(inputs, p + j, q + j, r + j, s + j, data, to, width)
            j += 4
        while j < count:
            for k in range(lane, end):
                data[begin + k + j * width] = inputs[starts[first + k] + j]
            j += 1
        lane = end
    while lane < width:
        start, to = starts[first + lane], begin + lane
        for j in range(count):
            data[to + j * width] = inputs[start + j]
        lane += 1
    for j in range(program.randoms):
        seed, to = seeds[program.first_seed + j], begin + (count + j) * width
        for lane in range(width):
            random = uniform(seed, (serial + lane) * program.randoms + j)
            data[to + lane] = min(random, below_one)


def store_outputs(work: Work, program: Header, first: int, width: int) -> None:
    """Copies what the program gives for `width` examples to where the outputs are stored."""
    data, outputs, where = floats(work.data), floats(work.outputs), places(work.all_places)
    for lane in range(width):
        to = integers(work.output_starts)[first + lane]
        for j in range(program.outputs_begin, program.outputs_end):
            slot = int(where[j])
            outputs[to] = data[work.lane_begin + slot * width + lane if slot >= 0 else ~slot]
            to += 1


def clear_gradients(work: Work, program: Header) -> None:
    """Sets the parameters' gradients to 0, but for those that a program writes."""
    grad, where, end = floats(work.grad), places(work.all_places), 0
    for i in range(program.written_begin, program.written_end, 2):
        clear(grad, end, where[i] - end)
        end = int(where[i + 1])
    clear(grad, end, work.parameters - end)


def run_group(
    work: Work, group: Group, begin: int, size: int, upstream: float, serial: int, is_first: int
) -> float:
    """Runs a program on `size` examples of a group, from `begin` on; the sum of their losses.

    The examples are taken as many at a time as there are lanes. The gradient of that sum times
    `upstream`, if that is not 0, is added to the gradients of the parameters, or written if the
    group is the first.
    """
    program = header_at(work.headers, group.program)
    data, grad, lane_begin = floats(work.data), floats(work.grad), work.lane_begin
    root, first = program.root, group.first + begin
    numbers = program.numbers_end - program.numbers_begin
    copy(floats(work.numbers), program.numbers_begin, data, program.own_begin, numbers)
    forward(work, program.shared_begin, program.shared_end, 1)
    if upstream != 0.0:
        if is_first:
            clear_gradients(work, program)
        clear(grad, program.own_begin, program.own_end - program.own_begin)
    total = 0.0
    done = 0
    passes = max(1, (size + program.lanes - 1) // program.lanes)
    even = (size + 8 * passes - 1) // (8 * passes) * 8  # of vector units
    while done < size:
        width = min(even, program.lanes, size - done)
        load_examples(work, program, first + done, serial + done, width)
        forward(work, program.per_example_begin, program.per_example_end, width)
        if work.stored:
            store_outputs(work, program, first + done, width)
        for lane in range(width):
            total += data[lane_begin + root * width + lane if root >= 0 else ~root]
        if upstream != 0.0:
            work.is_fresh = done == 0 and is_first != 0
            clear_results(work, program.per_example_begin, program.per_example_end, width)
            for lane in range(width):
                grad[lane_begin + root * width + lane if root >= 0 else ~root] += upstream
            backward(work, program.per_example_begin, program.per_example_end, width)
        done += width
    if upstream != 0.0:
        backward(work, program.shared_begin, program.shared_end, 1)
    return total


# ---- one part of a step


def part_size(examples: int, slots: int, parameters: int, most: int) -> int:
    """How many examples each part of a step has, of at most `most` parts.

    slots: how many numbers all examples have together. A part has so many of them that it is
    worth a thread, and that adding up its gradients takes little of its time. The number of parts
    is a power of 2, and their size one of vector units.
    """
    if most == 1:
        return examples
    worth = max(PART_SLOTS, 2 * parameters)
    fewest = min(64, max(8, worth * examples // max(slots, 1)))
    parts = 1
    while 2 * parts <= most and 2 * parts * fewest <= examples:
        parts *= 2
    return examples if parts == 1 else (-(-examples // parts) + 7) // 8 * 8


def run_part(work: Work, step: int, begin: int, end: int, upstream: float) -> float:
    """Runs the examples of a step from `begin` to `end` and returns the sum of their losses.

    Sets the gradients of the parameters to theirs.
    """
    total, first, is_first = 0.0, 0, 1
    for g in range(integers(work.steps)[step], integers(work.steps)[step + 1]):
        group = group_at(work.groups, g)
        low, high = max(begin, first), min(end, first + group.size)
        if low < high:
            serial = first_serial(step) + low
            total += run_group(work, group, low - first, high - low, upstream, serial, is_first)
            is_first = 0
        first += group.size
    return total


def add_parts(work: Work, parts: int, begin: int, end: int) -> None:
    """Adds up the parts' gradients of the parameters from `begin` to `end`, part after part."""
    source, total = integers(work.part_grads), floats(work.total_grad)
    if parts == 1 and source[0] == work.total_grad:
        return
    for i in lanes(end - begin):
        gradient = floats(source[0])[begin + i]
        for part in range(1, parts):
            gradient += floats(source[part])[begin + i]
        total[begin + i] = gradient


# ---- the update


def move(work: Work, update: int, begin: int, end: int) -> None:
    """Moves the parameters from `begin` to `end` once, for all threads.

    In float32, tiny numbers become 0.
    """
    data, grad, memory = floats(work.total_data), floats(work.total_grad), floats(work.memory)
    settings, settings_after = doubles(work.settings), doubles(work.settings_after)
    before = flush_tiny()
    call(update, (begin, end, work.moved, settings, settings_after, data, grad, memory))
    keep_tiny(before)
    for thread in range(1, work.threads):
        copy(data, begin, floats(integers(work.all_data)[thread]), begin, end - begin)


def count_update(work: Work) -> None:
    """Takes what is counted over after an update; a guarded run keeps what it was before."""
    settings, after = doubles(work.settings), doubles(work.settings_after)
    if work.guarded:
        for i in range(work.setting_count):
            settings[work.setting_count + i] = settings[i]
    for i in range(1, work.setting_count):
        settings[i] = after[i]


def diverged(loss: float, norm: float) -> int:
    """Whether a step must not be completed: its loss or gradient is inf or nan."""
    return not (math.isfinite(loss) and math.isfinite(norm))


def sum_of(numbers: Doubles, count: int) -> float:
    """The sum of `count` numbers."""
    total = 0.0
    for i in range(count):
        total += numbers[i]
    return total


# ---- threads: each begins with tasks of its own, and goes on with those that nobody has begun


def task_of(work: Work, turn: int, count: int) -> int:
    """The task of `count` ones that a thread looks at in this turn; it has as many turns.

    It begins with the same tasks in each step, so most of what they change stays in the cache of
    one processor.
    """
    return (work.number * count // work.threads + turn) % count


def takes(work: Work, task: int, phase: int) -> int:
    """Whether this thread does a task of a phase; then no other thread does it.

    phase: how many times there were tasks that can be done at the same time; from 1 on.
    """
    if work.threads == 1:
        return 1
    place = work.taken + 8 * task
    last = int(loaded(place))
    return last < phase and exchanged(place, last, phase)


def finish(work: Work, count: int) -> None:
    """Tells the other threads that so many tasks are finished."""
    if work.threads > 1 and count > 0:
        increment(work.finished, count)


def wait(work: Work, end: int) -> None:
    """Waits until `end` tasks of this run are finished.

    It takes some µs, or longer if the system runs another program in the place of a thread.
    """
    turns = 0
    while work.threads > 1 and loaded(work.finished) < end:
        turns += 1
        if turns < PAUSES:
            pause()
        else:
            give_way()


def run_parts(work: Work, step: int, size: int, examples: int, parts: int, phase: int) -> None:
    """The tasks that run one part of the examples each, `size` of them."""
    last, done = -1, 0
    upstream = 1.0 / examples if work.differentiated else 0.0
    for k in range(parts):
        part = task_of(work, k, parts)
        if takes(work, part, phase):
            if work.number > 0 and not work.has_parameters:  # later, those who move them write them
                copy(floats(work.total_data), 0, floats(work.data), 0, work.parameters)
                work.has_parameters = True
            if work.differentiated and done > 0:  # the gradients of the last are kept elsewhere
                room = integers(work.part_rooms)[last]
                copy(floats(work.grad), 0, floats(room), 0, work.parameters)
                integers(work.part_grads)[last] = room
            first = part * size
            loss = run_part(work, step, first, min(first + size, examples), upstream)
            doubles(work.part_losses)[part] = loss
            integers(work.part_grads)[part] = work.grad
            last = part
            done += 1
    finish(work, done)


def add_up(work: Work, parts: int, update: int, pieces: int, phase: int) -> None:
    """The tasks that add up the gradients of some parameters each, a piece of them.

    It also moves them, or, if the norm must be known before, adds up the gradients' squares.
    """
    moved, total, done = work.moved, floats(work.total_grad), 0
    for k in range(pieces):
        piece = task_of(work, k, pieces)
        if takes(work, piece, phase):
            first = piece * work.piece
            add_parts(work, parts, first, min(first + work.piece, work.parameters))
            last = min(first + work.piece, moved)
            if work.guarded or work.clip > 0.0:
                squares = 0.0
                for i in range(first, last):
                    squares += 1.0 * total[i] * total[i]  # with 64 bits
                doubles(work.squares)[piece] = squares
            elif first < last:
                move(work, update, first, last)
            done += 1
    finish(work, done)


def move_all(work: Work, update: int, loss: float, norm: float, pieces: int, phase: int) -> None:
    """The tasks that move some parameters each, once the norm is known."""
    moved, total, kept, done = work.moved, floats(work.total_grad), floats(work.guard), 0
    for k in range(pieces):
        piece = task_of(work, k, pieces)
        if takes(work, piece, phase):
            first = piece * work.piece
            count = min(work.piece, moved - first)
            if count > 0 and not (work.guarded and diverged(loss, norm)):
                if work.guarded:
                    copy(floats(work.total_data), first, kept, first, count)
                    for row in range(0, work.memory_size, moved):
                        copy(floats(work.memory), row + first, kept, moved + row + first, count)
                if work.clip > 0.0 and norm + 1e-6 > work.clip:
                    for i in range(first, first + count):
                        total[i] *= work.clip / (norm + 1e-6)
                move(work, update, first, first + count)
            done += 1
    finish(work, done)


# ---- a whole training


def run(address: int) -> int:
    """Runs the steps of the `Work` at this address and returns how many were completed.

    Several threads may do so at the same time, each with a `Work` of its own. A step s is the
    groups from steps[s] to steps[s + 1]. It is cut into tasks: parts of its examples, then pieces
    of the parameters, whose gradients are added up, and its end. Which thread does a task changes
    no result; so the results are the same for every number of threads.

    A guarded run ends before the update of a step whose loss or gradient is not finite; `guard`,
    and the second half of `settings`, then hold what the last update changed.
    """
    work = work_at(address, 0)
    rates, losses, norms = doubles(work.rates), doubles(work.losses), doubles(work.norms)
    normed = work.guarded or work.clip > 0.0
    update, pieces = work.first_update, -(-work.parameters // work.piece)
    if work.number == 0:
        doubles(work.settings)[0] = rates[0]
        if work.threads > 1:
            increment(work.begun, 1)
    while work.threads > 1 and loaded(work.begun) == 0:  # the first thread is not here yet
        give_way()
    phase, end = 1, 0  # and how many tasks this phase and those before it have
    for s in range(work.step_count):
        step = work.first_step + s
        examples, slots = 0, 0
        for g in range(integers(work.steps)[step], integers(work.steps)[step + 1]):
            group = group_at(work.groups, g)
            examples += group.size
            slots += group.size * header_at(work.headers, group.program).slots
        size = part_size(examples, slots, work.parameters, work.most_parts)
        parts = -(-examples // size)
        end += parts
        run_parts(work, step, size, examples, parts, phase)
        wait(work, end)
        loss = sum_of(doubles(work.part_losses), parts) / examples
        norm = 0.0
        if work.differentiated:
            phase, end = phase + 1, end + pieces
            add_up(work, parts, update, pieces, phase)
            wait(work, end)
            if normed:
                norm = math.sqrt(sum_of(doubles(work.squares), pieces))
                phase, end = phase + 1, end + pieces
                move_all(work, update, loss, norm, pieces, phase)
                wait(work, end)
            update = work.later_update
        phase, end = phase + 1, end + 1
        if takes(work, 0, phase):
            losses[s], norms[s] = loss, norm
            if work.moved and not (work.guarded and diverged(loss, norm)):
                count_update(work)
            if s + 1 < work.step_count:
                doubles(work.settings)[0] = rates[s + 1]
            finish(work, 1)
        wait(work, end)
        if work.guarded and diverged(losses[s], norms[s]):  # which later steps do not change
            return s
        phase += 1
        work.completed = s + 1
    return int(work.step_count)
