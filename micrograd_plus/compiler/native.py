"""Native: the kernels, and the loops of ops and optimizers, as machine code.

`translate.py` translates `kernels.py` and `passes.py` as they are, and the text of `loops.py` when
a program first needs it; kernels and loops once for every dtype that is asked for.
`machine_code.py` makes machine code of it, and stores the result. What Python cannot express is
written here in LLVM's language: the access to the records of `tape.py`, and the inner loop of a
matrix product.
"""

from __future__ import annotations

import ast
import importlib.util
import math
import re
import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from ctypes import sizeof
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ..ops import TABLE, Op
from ..optim.updates import Update
from . import kernels, listing, machine_code, reading
from . import passes as python_passes
from .dtypes import FLOAT32, Dtype
from .loops import OpLoops, functions_of, indented, joins, literal, update_loop
from .reading import BUF, VIEW
from .tape import ACTIVATE, ADDS, JOINED, RECORDS, THEN, numbers_in, structure


def _polynomial(name: str, of: str, numbers: Sequence[str]) -> str:
    """The lines that compute the polynomial of a variable with these coefficients, lowest first.

    First terms are joined to pairs, then pairs to pairs of them (Estrin, 1960): few steps wait for
    the one before.
    """
    lines, level = list[str](), 0
    while len(numbers) > 1:
        joined = [f"{y} * {of} + {x}" for x, y in zip(numbers[::2], numbers[1::2])]
        joined += numbers[len(numbers) // 2 * 2 :]
        numbers = [f"{name}_{level}_{i}" for i in range(len(joined))]
        lines += [" = ".join(pair) for pair in zip(numbers, joined)]
        lines.append(f"{name}_{level} = {of} * {of}")
        of, level = f"{name}_{level}", level + 1
    return "\n".join(indented([*lines, f"{name} = {numbers[0]}"]))


def _functions(dtype: Dtype) -> dict[str, str]:
    """The source of exp, tanh and log: without a branch, so that vector units compute them.

    e**y = 2**k * e**r, where k is whole, and r at most log(2) / 2. e**r = 1 + r * series, which is
    a polynomial. A float of the size of `to_whole` has no digits after the point: adding it rounds.
    So does `to_power`, and the sum has the exponent of 2**k, as a float stores it, in its lowest
    bits.

    log(2**k * m) = k * log(2) + log(m), where m is between the roots of 1/2 and 2; and log(m) is
    2 * (s + s**3 / 3 + s**5 / 5 + …), where s = (m - 1) / (m + 1).
    """

    def number(x: float) -> str:
        return literal(x, dtype)

    to_whole = number(1.5 * 2.0 ** (dtype.digits - 1))
    to_power = number(1.5 * 2.0 ** (dtype.digits - 1) + dtype.bias)
    high, low = map(number, dtype.log2)
    lowest, highest = map(number, dtype.exp_range)
    of_exp = [number(1 / math.factorial(n)) for n in range(1, dtype.terms)]
    power = f"""
    k = (y * {number(1 / math.log(2))} + {to_whole}) - {to_whole}
    r = (y - k * {high}) - k * {low}
{_polynomial("series", "r", of_exp)}
"""
    largest_square = (math.sqrt(2) - 1) ** 4  # of s; what is left out is less than a digit
    of_log = [number(2 / 3)]
    while largest_square ** len(of_log) / (2 * len(of_log) + 1) > 2.0 ** -(dtype.digits + 2):
        of_log.append(number(2 / (2 * len(of_log) + 3)))
    smallest, scale = number(2.0 ** (1 - dtype.bias)), number(2.0**dtype.digits)
    zero, inf, nan = number(0), number(math.inf), number(math.nan)
    return {
        "exp": f"""
def exp(x: Real) -> Real:
    y = {lowest} if x < {lowest} else x
    y = {highest} if y > {highest} else y
{power}
    # 2**k comes in two factors, so that the largest and the smallest numbers come out too.
    half = k * {number(0.5)} + {to_power}
    first, second = power_of_2(half), power_of_2(k - (half - {to_power}) + {to_power})
    return (first * r * series + first) * second
""",
        "tanh": f"""
def tanh(x: Real) -> Real:
    y = {number(-44)} if x < {number(-22)} else {number(44)} if x > {number(22)} else x + x
{power}
    # m / (m + 2), where m is e**2x - 1; x is returned if it is tiny, a zero or nan.
    power = power_of_2(k + {to_power})
    m = power * r * series + (power - {number(1)})
    return m / (m + {number(2)}) if abs(x) > {number(2.0 ** (16 - dtype.bias))} else x
""",
        "log": f"""
def log(x: Real) -> Real:
    y = x * {scale} if x < {smallest} else x
    k = exponent_of(y) - ({number(dtype.digits)} if x < {smallest} else {zero})
    m = mantissa_of(y)
    s = (m - {number(1)}) / (m + {number(1)})
    square = s * s
{_polynomial("series", "square", of_log)}
    found = k * {high} + (k * {low} + (s * square * series + (s + s)))
    found = found if x < {inf} else x
    return found if x > {zero} or x != x else -{inf} if x == {zero} else {nan}
""",
    }


# Of the kernels, those in which sums may be added in another order, and products fused with sums;
# nothing else may change, so that inf and nan come out as they do in Python.
_SUMS = dict.fromkeys(
    ("tiles", "multiply_vectors", "dots_forward", "dots_backward", "dots_alike_backward"),
    ("reassoc", "contract"),
)
_FUSED = dict.fromkeys(("exp", "tanh", "log"), ("contract",))


# Tiles and single dots are functions of their own, so that all their addresses stay in registers.
_HEIGHTS = range(1, 7)  # of tiles, in rows
_BREADTHS = {"strip": "2 * VECTOR", "vector": "VECTOR", "four": "4"}  # of tiles, in columns
_DOTS = (3, 2, 1)  # rows, of four dots each
_TILE_NAMES = {(m, of): f"tile_{m}_{of}" for m in _HEIGHTS for of in _BREADTHS}
_DOTS_NAMES = tuple(f"dots_{rows}_4" for rows in _DOTS)
_APART = (
    *_TILE_NAMES.values(), *_DOTS_NAMES, "dots_forward", "dots_backward", "dots_alike_backward",
)  # fmt: skip
_TILE = """
def tile_{rows}_{of}(
    how: int, values: Floats, start: int, count: int, strips: int, inner: int,
    a: Floats, a0: int, a_tile: int, a_row: int, a_inner: int,
    b: Floats, b0: int, b_strip: int, b_inner: int, c: Floats, c0: int, c_row: int,
) -> None:
    for _ in range(count):
        q, p = b0, c0
        for s in range(strips):
            if how & FAR:
                for i in range({rows}):
                    prefetch(c, p + i * c_row)
                    prefetch(c, p + i * c_row + {breadth} - 1)
            if how >= THEN * PASS_BACK:
                for i in range({rows}):
                    prefetch(values, p + i * c_row)
            # A row of the next tile; all of them, if the numbers of a column are neighbours.
            ahead = a0 + (11 - min(s, 5)) * a_row if how & AHEAD else -1
            write_tile_{rows}_{of}(
                how, values, start, inner, ahead, a, a0, a_row, a_inner, b, q, b_inner, c, p, c_row
            )
            q += b_strip
            p += {breadth}
        start += {rows} if start >= 0 else 0
        a0 += a_tile
        c0 += {rows} * c_row
"""
_TILES = """
def tiles_of_{of}s(
    how: int, values: Floats, start: int, rows: int, strips: int, inner: int,
    a: Floats, a0: int, a_tile: int, a_row: int, a_inner: int,
    b: Floats, b0: int, b_strip: int, b_inner: int, c: Floats, c0: int, c_row: int,
) -> None:
    sixes = rows // 6
    if a_tile == 6 * a_row and sixes > 0 and 0 < rows - 6 * sixes and rows - 6 * sixes < 3:
        sixes -= 1  # a tile of one or two rows takes as long as one of four
    tile_6_{of}(
        how, values, start, sixes, strips, inner,
        a, a0, a_tile, a_row, a_inner, b, b0, b_strip, b_inner, c, c0, c_row,
    )
    i, u = 6 * sixes, a0 + sixes * a_tile
    while i < rows:
        height, p = rows - i if rows - i < 6 else 4, c0 + i * c_row
        first = start + i if start >= 0 else -1
{calls}
        i += height
        u += height * a_row
"""
_CALL = """\
        if height == {rows}:
            tile_{rows}_{of}(
                how, values, first, 1, strips, inner,
                a, u, 0, a_row, a_inner, b, b0, b_strip, b_inner, c, p, c_row,
            )
"""
_DOTS_TILE = """
def {0}(
    adds: int, count: int, outer: int, inner: int, a: Floats, a0: int, a_row: int, a_outer: int,
    b: Floats, b0: int, b_row: int, b_outer: int, c: Floats, c0: int, c_row: int,
) -> None:
    for _ in range(count):
        write_{0}(adds, outer, inner, a, a0, a_row, a_outer, b, b0, b_row, b_outer, c, c0, c_row)
        b0 += 4 * b_row
        c0 += 4
"""


@cache
def _kinds(dtype: Dtype | None) -> dict[str, Any]:
    """The kinds of what annotations name; Real and Floats are of the dtype."""
    from llvmlite import ir

    from .translate import FLOAT32 as SINGLE
    from .translate import FLOAT64 as DOUBLE
    from .translate import I64, INT, WHOLE, Record, Rows, row_of

    def record(of: type) -> Record:
        laid_out = structure(of)
        fields = tuple(
            (name, *kinds[kind], getattr(laid_out, name).offset) for name, kind in numbers_in(of)
        )
        return Record(of.__name__, ir.IntType(8).as_pointer(), fields, sizeof(laid_out))

    kinds = {"i4": (INT, ir.IntType(32)), "i8": (INT, I64), "f8": (DOUBLE, DOUBLE.ir)}
    known = {
        "int": INT,
        "float": DOUBLE,
        "None": None,
        "Doubles": row_of(DOUBLE),
        "Integers": row_of(INT),
        "Whole": WHOLE,
        "Places": WHOLE,
        "Letters": row_of(INT, ir.IntType(8)),
        **{of.__name__: record(of) for of in RECORDS},
        **{rows.__name__: Rows(rows.__name__, None, rows._fields) for rows in python_passes.ROWS},
    }
    if dtype:
        real = SINGLE if dtype is FLOAT32 else DOUBLE
        known |= {"Real": real, "Floats": row_of(real)}
    return known


def _memory(dtype: Dtype | None) -> dict[str, Any]:
    """What gives functions the memory at an address, by its name.

    floats(address), doubles(address), integers(address), places(address): the numbers there.
    letters(address): the bytes there. pattern_at(address, i) and others: record i of those there.
    """
    from .translate import I64, Body, Record, Row, Typed

    def numbers_at(kind: Any) -> Any:
        def numbers(body: Body, address: Typed) -> Typed:
            return Typed(kind, body.builder.inttoptr(address.ir, kind.ir))

        return numbers

    def record_at(kind: Any) -> Any:
        def record(body: Body, address: Typed, i: Typed) -> Typed:
            begin = body.builder.inttoptr(address.ir, kind.ir)
            return Typed(kind, body.builder.gep(begin, [body.builder.mul(i.ir, I64(kind.size))]))

        return record

    kinds = _kinds(dtype).items()
    return {
        **{name.lower(): numbers_at(kind) for name, kind in kinds if isinstance(kind, Row)},
        **{
            f"{name.lower()}_at": record_at(kind)
            for name, kind in kinds
            if isinstance(kind, Record)
        },
    }


@cache
def operations(dtype: Dtype) -> dict[str, Any]:
    """What functions cannot express, in LLVM's language, by its name; for a dtype.

    floats(address) and others: as `_memory` has them.
    call(address, (arguments, …)): calls the loop of an op.
    loaded(address): the whole number there, and then all that other threads wrote before it.
    exchanged(address, old, new): whether `old` was there; then `new` is there instead.
    increment(address, by): adds to the whole number there; what was written before is seen by all.
    pause(): waits about 10 ns; give_way(): lets other threads run.
    flush_tiny(): from now on, results below the smallest normal float32 are 0, if it is slow to
        compute them; `keep_tiny(before)` ends that, and is given what flush_tiny gave.
    power_of_2(sum): 2.0**k, where the sum has k + bias in its lowest bits.
    exponent_of(x), mantissa_of(x): k and m, where x = 2.0**k * m, and m is between the roots of 1/2
        and 2; for normal numbers above 0.
    write_tile_6_strip(…) and others: a piece of a matrix product, of 6 rows and 2 vectors.
    write_dots_3_4(…) and smaller ones: the dots of 3 vectors and 4 others.
    write_four_dots(adds, n, a, p, q, r, s, b, …, c, c0): the dots of 4 rows of a, from these places
        on, with 4 rows of b; n is some fours.
    prefetch(a, i): tells the CPU that the number will be needed soon.
    copy_4(a, i, c, k), copy_6(…), transpose_4(…): copies of 4 or 6 numbers, and of 4 rows of 4 as
        columns.
    VECTOR, zero, below_one: as `kernels` has them.
    """
    from llvmlite import binding, ir

    from .translate import BOOL, I64, INT, Body, Typed, Vector, vector_of

    kinds = _kinds(dtype)
    scalar = kinds["Real"]
    real, whole = scalar.ir, ir.IntType(8 * dtype.size)
    size = 64 if binding.get_host_cpu_features().get("avx512f") else 32  # of a vector, in bytes
    lanes = size // dtype.size
    i32 = ir.IntType(32)

    def call(body: Body, address: Typed, arguments: list[Typed]) -> None:
        numbers = [argument.ir for argument in arguments]
        kind = ir.FunctionType(ir.VoidType(), [number.type for number in numbers])
        body.builder.call(body.builder.inttoptr(address.ir, kind.as_pointer()), numbers)

    def power_of_2(body: Body, sum_: Typed) -> Typed:
        builder, to_exponent = body.builder, whole_of(sum_.kind, dtype.digits - 1)
        power = builder.shl(builder.bitcast(sum_.ir, to_exponent.type), to_exponent)
        return Typed(sum_.kind, builder.bitcast(power, sum_.kind.ir))

    def whole_of(kind: Any, number: int) -> Any:
        """A whole number of as many bits, or a vector of it if the kind is one of vectors."""
        if not isinstance(kind, Vector):
            return whole(number)
        return ir.Constant(ir.VectorType(whole, kind.ir.count), [number] * kind.ir.count)

    one, root_of_half = (
        int.from_bytes(array(dtype.code, [x]).tobytes(), sys.byteorder) for x in (1, math.sqrt(0.5))
    )
    stored = dtype.digits - 1  # how many bits of a mantissa are

    def exponent_of(body: Body, x: Typed) -> Typed:
        builder, kind = body.builder, x.kind
        bits = builder.bitcast(x.ir, whole_of(kind, 0).type)
        bits = builder.add(bits, whole_of(kind, one - root_of_half))
        exponent = builder.lshr(bits, whole_of(kind, stored))  # with the bias
        # The lowest bits of 2.0**stored are a whole number that is added to it.
        sum_ = builder.or_(exponent, whole_of(kind, dtype.bias + stored << stored))
        without = body.converted(kind, Typed(scalar, real(2.0**stored + dtype.bias)))
        return Typed(kind, builder.fsub(builder.bitcast(sum_, kind.ir), without))

    def mantissa_of(body: Body, x: Typed) -> Typed:
        builder, kind = body.builder, x.kind
        bits = builder.bitcast(x.ir, whole_of(kind, 0).type)
        bits = builder.sub(bits, whole_of(kind, root_of_half))
        bits = builder.and_(bits, whole_of(kind, (1 << stored) - 1))
        return Typed(
            kind, builder.bitcast(builder.add(bits, whole_of(kind, root_of_half)), kind.ir)
        )

    def shared(body: Body, address: Typed) -> Any:
        return body.builder.inttoptr(address.ir, I64.as_pointer())

    def loaded(body: Body, address: Typed) -> Typed:
        return Typed(INT, body.builder.load_atomic(shared(body, address), "acquire", align=8))

    def exchanged(body: Body, address: Typed, old: Typed, new: Typed) -> Typed:
        place = shared(body, address)
        found = body.builder.cmpxchg(place, old.ir, new.ir, "acq_rel", "acquire")
        return Typed(BOOL, body.builder.extract_value(found, 1))

    def increment(body: Body, address: Typed, by: Typed) -> None:
        body.builder.atomic_rmw("add", shared(body, address), by.ir, "acq_rel")

    def calls(name: str, *numbers: int) -> Any:
        def called(body: Body) -> None:
            function = body.module.declared(name, ir.VoidType(), [i32] * len(numbers))
            body.builder.call(function, [i32(number) for number in numbers])

        return called

    def place(body: Body, base: Typed, start: Any, *steps: tuple[Any, Any]) -> Any:
        for count, step in steps:
            start = body.builder.add(start, body.builder.mul(count, step))
        return body.builder.gep(base.ir, [start])

    def vector_at(body: Body, kind: Any, *where: Any) -> Any:
        return body.builder.bitcast(place(body, *where), kind.as_pointer())

    def tile(rows: int, of: str) -> Any:
        vectors, size = {"strip": (2, lanes), "vector": (1, lanes), "four": (1, 4)}[of]
        same = vector_of(scalar, size)
        kind = same.ir

        def piece(
            body: Body, how: Typed, values: Typed, start: Typed, inner: Typed, ahead: Typed,
            *given: Typed,
        ) -> None:  # fmt: skip
            builder = body.builder
            a, b, c = given[0], given[4], given[7]
            _, a0, a_row, a_inner, _, b0, b_inner, _, c0, c_row = (number.ir for number in given)
            grid = [(i, j) for i in range(rows) for j in range(vectors)]
            column = [I64(j * size) for j in range(vectors)]

            def of_c(i: int, j: int, of: Typed = c) -> Any:
                start = builder.add(c0, column[j])
                return vector_at(body, kind, of, start, (I64(i), c_row))

            def called(name: str, *numbers: Any) -> Any:
                return builder.call(body.module.names[name].of_vectors(size).function, numbers)

            sums = {at: body.room(kind) for at in grid}
            for sum_ in sums.values():
                builder.store(ir.Constant(kind, None), sum_)
            with builder.if_then(builder.icmp_signed(">=", start.ir, I64(0))):
                for i in range(rows):
                    w = builder.load(place(body, c, start.ir, (I64(i), I64(1))))
                    number = body.converted(same, Typed(scalar, w))
                    for j in range(vectors):
                        builder.store(number, sums[i, j])

            def add_products(k: Any) -> None:
                x = [
                    builder.load(
                        vector_at(body, kind, b, builder.add(b0, j), (k, b_inner)), align=dtype.size
                    )
                    for j in column
                ]
                for i in range(rows):
                    w = builder.load(place(body, a, a0, (I64(i), a_row), (k, a_inner)))
                    number = body.converted(same, Typed(scalar, w))
                    for j in range(vectors):
                        product = builder.fmul(number, x[j], flags=("contract",))
                        sum_ = builder.load(sums[i, j])
                        builder.store(builder.fadd(sum_, product, flags=("contract",)), sums[i, j])

            def add_all(*fetched: Any) -> None:
                with body.counted(I64(0), inner.ir, I64(1)) as k:
                    for begin in fetched:
                        prefetch(body, a, Typed(INT, builder.add(begin, builder.mul(k, a_inner))))
                    add_products(k)

            def end() -> None:
                # c comes last, so that the products need not wait for it; rows may be one and the
                # same.
                with builder.if_else(is_adding) as (adding, writing):
                    for is_added, block in ((True, adding), (False, writing)):
                        with block:
                            for at, sum_ in sums.items():
                                place_of_c, number = of_c(*at), builder.load(sum_)
                                if is_added:
                                    before = builder.load(place_of_c, align=dtype.size)
                                    number = builder.fadd(before, number)
                                builder.store(number, place_of_c, align=dtype.size)

            def go_on() -> None:
                with builder.if_then(is_adding):
                    for at, sum_ in sums.items():
                        before = builder.load(of_c(*at), align=dtype.size)
                        builder.store(builder.fadd(before, builder.load(sum_)), sum_)
                activates = builder.icmp_signed("<", how.ir, I64(THEN * (ACTIVATE + 1)))
                with builder.if_else(activates) as (activating, passing):
                    with activating:
                        for at, sum_ in sums.items():
                            number = called("activated", builder.load(sum_))
                            builder.store(number, of_c(*at), align=dtype.size)
                    with passing:
                        for at, sum_ in sums.items():
                            x = builder.load(of_c(*at, values), align=dtype.size)
                            number = called("passed_back", x, builder.load(sum_))
                            builder.store(number, of_c(*at), align=dtype.size)

            if rows == max(_HEIGHTS) and of == "strip":  # as large matrices have
                is_ahead = builder.icmp_signed(">=", ahead.ir, I64(0))
                with builder.if_else(is_ahead) as (fetching, not_fetching):
                    with fetching:
                        add_all(ahead.ir)
                    with not_fetching:
                        add_all()
            else:
                add_all()
            is_adding = builder.icmp_signed("!=", builder.and_(how.ir, I64(ADDS)), I64(0))
            if of == "strip":
                is_last = builder.icmp_signed("<", how.ir, I64(THEN))
                with builder.if_else(is_last) as (ending, going_on):
                    with ending:
                        end()
                    with going_on:
                        go_on()
            else:
                end()

        return piece

    def prefetch(body: Body, a: Typed, a0: Typed) -> None:
        byte = ir.IntType(8)
        types = [byte.as_pointer(), i32, i32, i32]
        function = body.module.declared("llvm.prefetch.p0i8", ir.VoidType(), types)
        read, into_all_caches, data = i32(0), i32(3), i32(1)
        where = vector_at(body, byte, a, a0.ir)
        body.builder.call(function, [where, read, into_all_caches, data])

    four = ir.VectorType(real, 4)

    def mixed(builder: Any, x: Any, y: Any, order: Sequence[int]) -> Any:
        """A vector of numbers of two: first those of x are counted, then those of y."""
        return builder.shuffle_vector(
            x, y, ir.Constant(ir.VectorType(i32, len(order)), list(order))
        )

    # Mixtures that the processor has an instruction for. From the evens and the odds of float32,
    # LLVM would make a sum of neighbours, which is one instruction, and slower than three.
    pairs = ((0, 4, 2, 6), (1, 5, 3, 7))
    if dtype is FLOAT32:
        pairs = ((0, 4, 1, 5), (2, 6, 3, 7))
    halves = ((0, 1, 4, 5), (2, 3, 6, 7))

    def filled(builder: Any, x: Any, count: int) -> Any:
        """A vector of `count` numbers: those of a shorter one, and then zeros."""
        if x.type.count == count:
            return x
        none = ir.Constant(x.type, None)
        return mixed(builder, x, none, [min(i, x.type.count) for i in range(count)])

    def sums_of_four(builder: Any, vectors: Sequence[Any]) -> Any:
        """The sum of each of four vectors, as a vector of four numbers."""
        count = vectors[0].type.count
        fours = range(0, count, 4)

        def added(x: Any, y: Any, *orders: Sequence[int]) -> Any:
            """The sum of two mixtures, which are the same for each four numbers of x and of y."""
            terms = [
                [i + at if at < 4 else i + at - 4 + count for i in fours for at in order]
                for order in orders
            ]
            return builder.fadd(*[mixed(builder, x, y, term) for term in terms])

        x, y = [added(*two, *pairs) for two in (vectors[:2], vectors[2:])]
        total = added(x, y, *halves)
        while count > 4:  # both halves become one
            count //= 2
            low, high = range(count), range(count, 2 * count)
            total = builder.fadd(
                mixed(builder, total, total, low), mixed(builder, total, total, high)
            )
        return total

    def dots(rows: int) -> Any:
        kind = ir.VectorType(real, lanes)

        def piece(body: Body, adds: Typed, outer: Typed, inner: Typed, *given: Typed) -> None:
            builder = body.builder
            a, b, c = given[0], given[4], given[8]
            _, a0, a_row, a_outer, _, b0, b_row, b_outer, _, c0, c_row = (x.ir for x in given)
            sums = [[body.room(kind) for _ in range(4)] for _ in range(rows)]
            for row in sums:
                for sum_ in row:
                    builder.store(ir.Constant(kind, None), sum_)

            def add_products(t: Any, begin: Any, end: Any, size: int) -> None:
                """Adds the products of so many numbers at a time, from `begin` to before `end`."""
                with body.counted(begin, end, I64(size)) as k:

                    def vector_of_row(of: Typed, start: Any, i: int, row: Any, step: Any) -> Any:
                        where = of, start, (I64(i), row), (t, step), (k, I64(1))
                        at = vector_at(body, ir.VectorType(real, size), *where)
                        return filled(builder, builder.load(at, align=dtype.size), lanes)

                    x = [vector_of_row(a, a0, i, a_row, a_outer) for i in range(rows)]
                    for j in range(4):
                        y = vector_of_row(b, b0, j, b_row, b_outer)
                        for i in range(rows):
                            product = builder.fmul(x[i], y, flags=("contract",))
                            sum_ = builder.load(sums[i][j])
                            sum_ = builder.fadd(sum_, product, flags=("contract",))
                            builder.store(sum_, sums[i][j])

            with body.counted(I64(0), outer.ir, I64(1)) as t:
                whole = builder.sub(inner.ir, builder.and_(inner.ir, I64(lanes - 1)))
                add_products(t, I64(0), whole, lanes)
                if lanes > 4:
                    add_products(t, whole, inner.ir, 4)
            for i, row in enumerate(sums):
                total = sums_of_four(builder, [builder.load(sum_) for sum_ in row])
                write_four(builder, adds, total, vector_at(body, four, c, c0, (I64(i), c_row)))

        return piece

    def write_four_dots(body: Body, adds: Typed, length: Typed, *given: Typed) -> None:
        builder = body.builder
        a, b, (c, c0) = given[:5], given[5:10], given[10:]
        sums = [body.room(four) for _ in range(4)]
        for sum_ in sums:
            builder.store(ir.Constant(four, None), sum_)
        with body.counted(I64(0), length.ir, I64(4)) as k:
            for i, sum_ in enumerate(sums, start=1):
                x, y = [
                    builder.load(
                        vector_at(body, four, row[0], row[i].ir, (k, I64(1))), align=dtype.size
                    )
                    for row in (a, b)
                ]
                product = builder.fmul(x, y, flags=("contract",))
                total = builder.fadd(builder.load(sum_), product, flags=("contract",))
                builder.store(total, sum_)
        total = sums_of_four(builder, [builder.load(sum_) for sum_ in sums])
        write_four(builder, adds, total, vector_at(body, four, c, c0.ir))

    def write_four(builder: Any, adds: Typed, numbers: Any, place_of_c: Any) -> None:
        before = builder.load(place_of_c, align=dtype.size)
        none = builder.icmp_signed("==", adds.ir, I64(0))
        before = builder.select(none, ir.Constant(four, None), before)
        builder.store(builder.fadd(before, numbers), place_of_c, align=dtype.size)

    def copy_of(count: int) -> Any:
        kind = ir.VectorType(real, count)

        def copied(body: Body, a: Typed, a0: Typed, c: Typed, c0: Typed) -> None:
            numbers = body.builder.load(vector_at(body, kind, a, a0.ir), align=dtype.size)
            body.builder.store(numbers, vector_at(body, kind, c, c0.ir), align=dtype.size)

        return copied

    def transpose_4(body: Body, a: Typed, *given: Typed) -> None:
        builder, (*starts, c, c0, c_row) = body.builder, given
        rows = [
            builder.load(vector_at(body, four, a, start.ir), align=dtype.size) for start in starts
        ]
        low, high = [
            [mixed(builder, x, y, order) for x, y in (rows[:2], rows[2:])] for order in pairs
        ]
        if dtype is FLOAT32:
            columns = [mixed(builder, x, y, order) for x, y in (low, high) for order in halves]
        else:
            columns = [mixed(builder, x, y, order) for order in halves for x, y in (low, high)]
        for i, column in enumerate(columns):
            to = vector_at(body, four, c, c0.ir, (I64(i), c_row.ir))
            builder.store(column, to, align=dtype.size)

    give_way = calls("SwitchToThread" if sys.platform == "win32" else "sched_yield")
    pause = give_way
    if _processor() == "x86_64":
        pause = calls("llvm.x86.sse2.pause")
    elif _processor() == "aarch64":
        pause = calls("llvm.aarch64.hint", 1)

    def of_mode(body: Body, name: str, room: Any) -> None:
        byte = ir.IntType(8).as_pointer()
        function = body.module.declared(f"llvm.x86.sse.{name}", ir.VoidType(), [byte])
        body.builder.call(function, [body.builder.bitcast(room, byte)])

    # For other kinds of processors tiny numbers are as fast as others.
    has_mode = dtype is FLOAT32 and _processor() == "x86_64"

    def flush_tiny(body: Body) -> Typed:
        if not has_mode:
            return Typed(INT, I64(0))
        room, changed = body.room(i32), body.room(i32)
        of_mode(body, "stmxcsr", room)
        before, flushes = body.builder.load(room), i32(1 << 15)
        body.builder.store(body.builder.or_(before, flushes), changed)
        of_mode(body, "ldmxcsr", changed)
        return Typed(INT, body.builder.zext(before, I64))

    def keep_tiny(body: Body, before: Typed) -> None:
        if has_mode:
            room = body.room(i32)
            body.builder.store(body.builder.trunc(before.ir, i32), room)
            of_mode(body, "ldmxcsr", room)

    return {
        **_memory(dtype),
        **{f"write_{name}": tile(*shape) for shape, name in _TILE_NAMES.items()},
        **{f"write_{name}": dots(rows) for name, rows in zip(_DOTS_NAMES, _DOTS)},
        "call": call,
        "loaded": loaded,
        "exchanged": exchanged,
        "increment": increment,
        "pause": pause,
        "give_way": give_way,
        "flush_tiny": flush_tiny,
        "keep_tiny": keep_tiny,
        "prefetch": prefetch,
        "write_four_dots": write_four_dots,
        "copy_4": copy_of(4),
        "copy_6": copy_of(6),
        "transpose_4": transpose_4,
        "power_of_2": power_of_2,
        "exponent_of": exponent_of,
        "mantissa_of": mantissa_of,
        "VECTOR": lanes,
        "zero": Typed(scalar, real(0.0)),
        "below_one": dtype.below_one,
        "inf": math.inf,
        "nan": math.nan,
    }


@cache
def _python() -> dict[str, Any]:
    """What functions that read Python's objects find by name.

    type_of(object): where its type is; put_type(object, type): it has this type.
    item_of(tuple, i): its item i; items_of(list): all of them. number_of(float): its number.
    value_of(variable): a context variable's value, which must be given back; 0 is an error.
    keep_address(address): kept() is this address from now on.
    PyList_Size(object) and others: functions of Python's C API.
    """
    from llvmlite import ir

    from .translate import FLOAT64, I64, INT, Body, Typed, row_of

    last_of_head = I64(object.__basicsize__ // 8 - 1)  # all objects begin so

    def place_of(body: Body, object_: Typed, place: Any) -> Any:
        words = body.builder.inttoptr(object_.ir, I64.as_pointer())
        return body.builder.gep(words, [place])

    def word(body: Body, object_: Typed, place: Any) -> Typed:
        return Typed(INT, body.builder.load(place_of(body, object_, place)))

    def type_of(body: Body, object_: Typed) -> Typed:
        return word(body, object_, last_of_head)

    def put_type(body: Body, object_: Typed, type_: Typed) -> None:
        body.builder.store(type_.ir, place_of(body, object_, last_of_head))

    def item_of(body: Body, tuple_: Typed, i: Typed) -> Typed:
        return word(body, tuple_, body.builder.add(i.ir, I64(tuple.__basicsize__ // 8)))

    def items_of(body: Body, list_: Typed) -> Typed:
        begin = word(body, list_, I64(list.__basicsize__ // 8 - 2))
        integers = row_of(INT)
        return Typed(integers, body.builder.inttoptr(begin.ir, integers.ir))

    def number_of(body: Body, float_: Typed) -> Typed:
        bits = word(body, float_, I64(float.__basicsize__ // 8 - 1))
        return Typed(FLOAT64, body.builder.bitcast(bits.ir, FLOAT64.ir))

    def value_of(body: Body, variable: Typed) -> Typed:
        builder, room, none = body.builder, body.room(I64), I64(0)
        types = [I64, I64, I64.as_pointer()]
        get = body.module.declared("PyContextVar_Get", i32, types)
        builder.store(none, room)
        builder.call(get, [variable.ir, none, room])
        return Typed(INT, builder.load(room))

    def place_of_kept(body: Body) -> Any:
        module, name = body.module.ir, "kept"
        if name not in module.globals:
            place = ir.GlobalVariable(module, I64, name)
            place.linkage, place.initializer = "internal", I64(0)
        return module.globals[name]

    def kept(body: Body) -> Typed:
        return Typed(INT, body.builder.load(place_of_kept(body)))

    def keep_address(body: Body, address: Typed) -> None:
        body.builder.store(address.ir, place_of_kept(body))

    def function(name: str, result: Any, types: Sequence[Any]) -> Any:
        def called(body: Body, *given: Typed) -> Typed:
            builder = body.builder
            numbers = [
                builder.trunc(number.ir, i32) if type_ is i32 else number.ir
                for number, type_ in zip(given, types)
            ]
            found = builder.call(body.module.declared(name, result, types), numbers)
            if result is i32:
                found = builder.sext(found, I64)
            return Typed(FLOAT64 if result is FLOAT64.ir else INT, found)

        return called

    i32 = ir.IntType(32)
    functions = {
        "PyDict_GetItemWithError": (I64, [I64, I64]),
        "PyTuple_New": (I64, [I64]),
        "PyTuple_SetItem": (i32, [I64, I64, I64]),
        "PyTuple_Size": (I64, [I64]),
        "PyTuple_GetItem": (I64, [I64, I64]),
        "PyList_Size": (I64, [I64]),
        "PyList_GetItem": (I64, [I64, I64]),
        "PyList_Append": (i32, [I64, I64]),
        "PyList_New": (I64, [I64]),
        "PyList_SetItem": (i32, [I64, I64, I64]),
        "PyLong_AsDouble": (FLOAT64.ir, [I64]),
        "PyLong_AsSsize_t": (I64, [I64]),
        "PyLong_FromSsize_t": (I64, [I64]),
        "PyBool_FromLong": (I64, [I64]),
        "PyErr_BadArgument": (i32, []),
        "PyErr_Occurred": (I64, []),
        "PyErr_Clear": (ir.VoidType(), []),
        "PyObject_CallObject": (I64, [I64, I64]),
        "PyObject_GC_Del": (ir.VoidType(), [I64]),
        "PyObject_GC_UnTrack": (ir.VoidType(), [I64]),
        "PyObject_GetAttr": (I64, [I64, I64]),
        "PyObject_GetBuffer": (i32, [I64, I64, i32]),
        "PyObject_GetItem": (I64, [I64, I64]),
        "PyObject_IsTrue": (i32, [I64]),
        "PyObject_Vectorcall": (I64, [I64, I64, I64, I64]),
        "PyBuffer_Release": (ir.VoidType(), [I64]),
        "PySequence_InPlaceConcat": (I64, [I64, I64]),
        "PySequence_Repeat": (I64, [I64, I64]),
        "PySequence_Tuple": (I64, [I64]),
        "PyType_IsSubtype": (i32, [I64, I64]),
        "Py_DecRef": (ir.VoidType(), [I64]),
        "Py_IncRef": (ir.VoidType(), [I64]),
        "_PyObject_GC_New": (I64, [I64]),
    }
    return {
        **_memory(None),
        **{name: function(name, *types) for name, types in functions.items()},
        "type_of": type_of,
        "put_type": put_type,
        "item_of": item_of,
        "items_of": items_of,
        "number_of": number_of,
        "value_of": value_of,
        "kept": kept,
        "keep_address": keep_address,
    }


def _processor() -> str:
    """The kind of processor, as LLVM names it."""
    from llvmlite import binding

    name: str = binding.get_process_triple().split("-")[0]
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


# ---- from source to machine code


def run_kernel(dtype: Dtype) -> Callable[[int], int]:
    """`kernels.run` in machine code, during which Python runs other threads.

    ImportError without llvmlite.
    """
    tiles = "".join(
        [
            *[_TILE.format(rows=rows, of=of, breadth=_BREADTHS[of]) for rows, of in _TILE_NAMES],
            *[
                _TILES.format(of=of, calls="".join(_CALL.format(rows=r, of=of) for r in _HEIGHTS))
                for of in _BREADTHS
            ],
            *map(_DOTS_TILE.format, _DOTS_NAMES),
        ]
    )
    text = (
        functions_of(TABLE[JOINED], dtype)
        + tiles
        + Path(kernels.__file__).read_text(encoding="utf-8")
    )
    compiled = partial(_announced, dtype, kernels, _SUMS, ["run"])
    addresses = machine_code.load(f"kernels_{dtype.name}", text, compiled)
    (run,) = _in_c(tuple(addresses.items()))(None)
    return run  # type: ignore[no-any-return]


@cache
def loops_of(op: Op, dtype: Dtype) -> list[int]:
    """The addresses of an op's loops: forward, and then backward by each operand.

    If the op reduces vectors, those that go along a row follow in the same order.
    """
    loops = {}
    for way in ("", "_of_row") if op.nary else ("",):
        writer = OpLoops(op, dtype, of_row=way != "")
        loops[f"forward{way}"] = writer.forward()
        loops |= {f"backward{way}_{j}": writer.backward(j) for j in range(len(op.operands))}
    arguments = "n: int, width: int, data: Floats, grad: Floats, out: int, at: Integers, adds: int"
    return _loop_addresses(f"op_{op.name}", arguments, loops, dtype)


def reader(own: tuple[Any, ...]) -> Callable[[tuple[Any, ...]], int]:
    """`reading.read` for what it belongs to."""
    (read,) = as_in_c(reading)(own)
    return read  # type: ignore[no-any-return]


@cache
def passes() -> Any:
    """The functions of `passes.py`: as machine code, or, without llvmlite, in Python."""
    if not is_installed():
        return python_passes
    functions = as_in_c(python_passes)(None)
    return SimpleNamespace(**dict(zip(python_passes.ENTRIES, functions)))


@cache
def lists() -> Any:
    """The functions of `listing.py`; None without llvmlite."""
    if not is_installed():
        return None
    return SimpleNamespace(**dict(zip(listing.ENTRIES, as_in_c(listing)((0.0,)))))


@cache
def addresses_in(source: Any) -> dict[str, int]:
    """The addresses of the functions of a module that Python can call, by their names."""
    path, exported = Path(source.__file__), (*source.ENTRIES, *getattr(source, "EXPORTED", ()))
    compiled = partial(_compiled, None, source, {}, exported)
    return machine_code.load(path.stem, path.read_text(encoding="utf-8"), compiled)


def as_in_c(source: Any) -> Callable[[Any], list[Any]]:
    """Gives, for what they belong to, the functions of a module as those that are written in C."""
    addresses = addresses_in(source)
    return _in_c(tuple([(name, addresses[name]) for name in source.ENTRIES]))


@cache  # what Python knows of each function must stay where it is
def _in_c(addresses: tuple[tuple[str, int], ...]) -> Callable[[Any], list[Any]]:
    """As `as_in_c`, for functions at these addresses.

    Python calls them without ctypes, which takes 5 µs for a pass.
    """
    import ctypes

    class Definition(ctypes.Structure):  # C's PyMethodDef
        _fields_ = (
            ("name", ctypes.c_char_p),
            ("address", ctypes.c_void_p),
            ("flags", ctypes.c_int),
            ("doc", ctypes.c_char_p),
        )

    in_a_row = 0x80  # the arguments: C's METH_FASTCALL
    definitions = [Definition(name.encode(), where, in_a_row, None) for name, where in addresses]
    types = (ctypes.POINTER(Definition), ctypes.py_object, ctypes.c_void_p)
    new = ctypes.PYFUNCTYPE(ctypes.py_object, *types)(("PyCFunction_NewEx", ctypes.pythonapi))
    return lambda own: [new(definition, own, None) for definition in definitions]


def is_installed() -> bool:
    """Whether there is what machine code is made with."""
    return importlib.util.find_spec("llvmlite") is not None


def update_addresses(name: str, update: Update, dtype: Dtype) -> list[int]:
    """The addresses of an optimizer's loops: for its first step, and for later ones."""
    formulas = {"first": update.first, "later": update.later}
    loops = {when: update_loop(update, new, dtype) for when, new in formulas.items()}
    arguments = (
        "begin: int, end: int, count: int, settings: Doubles, after: Doubles, "
        "data: Floats, grad: Floats, memory: Floats"
    )
    return _loop_addresses(f"update_{name}", arguments, loops, dtype)


def _loop_addresses(
    title: str, arguments: str, loops: dict[str, list[str]], dtype: Dtype
) -> list[int]:
    """The addresses of functions whose bodies are given by their names."""
    bodies = {name: "\n".join(indented(lines)) for name, lines in loops.items()}
    text = "".join(
        function
        for name, function in {**_functions(dtype), **joins(dtype)}.items()
        if any(re.search(rf"\b{name}\b", body) for body in bodies.values())
    )
    for name, body in bodies.items():
        text += f"\n\ndef {name}({arguments}) -> None:\n{body}\n"
    return list(_addresses(f"{title}_{dtype.name}", text, tuple(loops), dtype).values())


@cache
def _addresses(title: str, text: str, exported: Sequence[str], dtype: Dtype) -> dict[str, int]:
    """The addresses of the loops of this source, by their names."""
    compiled = partial(_compiled, dtype, None, _FUSED, exported)
    return machine_code.load(title, text, compiled)


def _add_call(module: Any, name: str, symbol: str, releases: bool) -> None:
    """Adds what `as_in_c` takes: it calls a function with the arrays and whole numbers given.

    releases: whether Python runs other threads meanwhile.
    """
    from llvmlite import ir

    from .translate import I64, INT, WHOLE, Rows

    function = ir.Function(module.ir, ir.FunctionType(I64, [I64, I64.as_pointer(), I64]), symbol)
    builder = ir.IRBuilder(function.append_basic_block())
    view = builder.alloca(I64, VIEW)
    view_address, i32 = builder.ptrtoint(view, I64), ir.IntType(32)

    def called(name: str, result: Any, *given: Any) -> Any:
        types = [number.type for number in given]
        return builder.call(module.declared(name, result, types), given)

    def word(begin: Any, place: int) -> Any:
        return builder.load(builder.gep(begin, [I64(place)]))

    def row_of(array: Any, kind: Any) -> Any:  # which stays where it is: the caller has it
        called("PyObject_GetBuffer", i32, array, view_address, i32(0))
        begin = builder.inttoptr(word(view, BUF), kind.ir)
        called("PyBuffer_Release", ir.VoidType(), view_address)
        return begin

    callee, arguments = module.names[name], list[Any]()
    for i, kind in enumerate(callee.parameters):
        given = word(function.args[1], i)
        if isinstance(kind, Rows):
            items, first = builder.inttoptr(given, I64.as_pointer()), tuple.__basicsize__ // 8
            arguments += [row_of(word(items, first + k), WHOLE) for k in range(len(kind.fields))]
        elif kind is INT:
            arguments.append(called("PyLong_AsSsize_t", I64, given))
        else:
            arguments.append(row_of(given, kind))
    thread = called("PyEval_SaveThread", I64) if releases else None
    found = builder.call(callee.function, arguments)
    if releases:
        called("PyEval_RestoreThread", ir.VoidType(), thread)
    builder.ret(called("PyLong_FromSsize_t", I64, found if callee.result else I64(0)))


def _announced(dtype: Dtype, *arguments: Any) -> machine_code.Code:
    """As `_compiled`, for what takes so long that a user must know what is happening."""
    print(
        f"compiling the {dtype.name} interpreter for this machine, once: about 3 s",
        file=sys.stderr,
        flush=True,
    )
    return _compiled(dtype, *arguments)


def _compiled(
    dtype: Dtype | None,
    python: Any,
    flags: Mapping[str, Sequence[str]],
    exported: Sequence[str],
    name: str,
    text: str,
) -> machine_code.Code:
    """The machine code of the functions of a source, each of which stands before its callers.

    python: the module that has the source, if there is one; its numbers are known by their names.
    flags: those of `translate.Module.add`, by the function's name.
    exported: the functions that can be called from outside.
    """
    from .translate import Module

    names: dict[str, Any] = {}
    if python:
        names |= {name: number for name, number in vars(python).items() if isinstance(number, int)}
    names |= operations(dtype) if dtype else _python()
    module = Module(_kinds(dtype), names)
    symbols = {function: f"{name}_{function}" for function in exported}
    inside = {} if python in (python_passes, kernels) else symbols
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            symbol, is_apart = inside.get(node.name, ""), node.name in _APART
            module.add(node, flags.get(node.name, ()), symbol, is_apart)
    if python in (python_passes, kernels):
        for function, symbol in symbols.items():
            _add_call(module, function, symbol, releases=python is kernels)
    return machine_code.machine_code(symbols, str(module.ir))
