"""Native: the kernels, and the loops of ops and optimizers, as machine code.

numba compiles `kernels.py` as it is, and the text of `loops.py` when a program first needs it, each
once for every dtype that is asked for; `machine_code.py` stores the result. What numba's Python
cannot express is written here in LLVM's language: the access to the records of `tape.py`, and the
inner loop of a matrix product.
"""

from __future__ import annotations

import math
from functools import cache, partial
from pathlib import Path
from typing import Any

from ..ops import Op
from ..optim.updates import Update
from . import machine_code
from .dtypes import FLOAT32, Dtype
from .loops import OpLoops, indented, literal, update_loop
from .tape import RECORDS, numpy_type


def _numba(dtype: Dtype) -> str:
    """The beginning of every source text: what its names stand for."""
    return f"""
import math
from numba import float32, float64, njit
from micrograd_plus.compiler.dtypes import dtype_of
from micrograd_plus.compiler.native import intrinsics, signature

dtype = dtype_of({dtype.name!r})
inf, nan = math.inf, math.nan
globals().update(intrinsics(dtype))
"""


def _functions(dtype: Dtype) -> str:
    """The source of exp and tanh: e**y = 2**k * e**r, where k is whole, and r at most log(2) / 2.

    e**r - 1 is a polynomial: no branch, so that vector units compute it for many numbers at once.
    Odd and even powers are apart, so that they need not wait for each other.
    """

    def number(x: float) -> str:
        return literal(x, dtype)

    def sum_of(name: str, highest: int, lowest: int) -> str:
        terms = [number(1 / math.factorial(n)) for n in range(highest, lowest - 1, -2)]
        lines = [f"{name} = {terms[0]}", *[f"{name} = {name} * square + {x}" for x in terms[1:]]]
        return "\n".join(indented(lines))

    lowest, highest = map(number, dtype.exp_range)
    high, low = map(number, dtype.log2)
    return f"""

# A float of this size has no digits after the point: adding it rounds.
TO_WHOLE = {number(1.5 * 2.0 ** (dtype.digits - 1))}


@njit(fastmath={{"contract"}})
def parts(y):
    k = (y * {number(1 / math.log(2))} + TO_WHOLE) - TO_WHOLE
    r = (y - k * {high}) - k * {low}
    square = r * r
{sum_of("odd", dtype.terms - 1, 1)}
{sum_of("even", dtype.terms - 2, 2)}
    return k, odd * r + even * square


@njit(fastmath={{"contract"}})
def exp(x):
    # 2**k comes in two factors, so that the largest and the smallest numbers come out too.
    k, p = parts({lowest} if x < {lowest} else {highest} if x > {highest} else x)
    half = (k * {number(0.5)} + TO_WHOLE) - TO_WHOLE
    return x if x != x else ({number(1)} + p) * power_of_2(half) * power_of_2(k - half)


@njit(fastmath={{"contract"}})
def tanh(x):
    # m / (m + 2), where m is e**2x - 1; x is returned if it is tiny, a zero or nan.
    y = {number(-22)} if x < {number(-22)} else {number(22)} if x > {number(22)} else x
    k, p = parts(y + y)
    whole = power_of_2(k)
    m = whole * p + (whole - {number(1)})
    return m / (m + {number(2)}) if abs(x) > {number(2.0 ** (16 - dtype.bias))} else x
"""


_KERNELS = """
# Sums may be added in another order, and products fused with sums; nothing else may change, so
# that inf and nan come out as they do in Python.
SUMS = {"reassoc", "contract"}
WITH_SUMS = (
    "unpack", "add_gradients", "tiles", "multiply_vectors", "dots_forward", "dots_backward",
)

for _name, _function in list(globals().items()):
    if getattr(_function, "__module__", None) == __name__:
        _flags = SUMS if _name in WITH_SUMS else set()
        if _name in ("tiles", "multiply", "forward", "backward"):
            globals()[_name] = unit(_function, _flags)
        elif _name != "run":
            _kind = signature(_function, dtype)  # one signature for all callers
            globals()[_name] = njit(
                _kind, error_model="numpy", fastmath=_flags,
                no_cpython_wrapper=True, no_cfunc_wrapper=True,
            )(_function)
unit(run)
"""


@cache
def _types(dtype: Dtype) -> dict[str, Any]:
    """The numba types of what the annotations of the kernels name."""
    from numba import from_dtype, types

    return {
        "int": types.int64,
        "float": types.float64,
        "None": types.void,
        "Floats": types.CPointer(getattr(types, dtype.name)),
        "Doubles": types.CPointer(types.float64),
        "Integers": types.CPointer(types.int64),
        "Places": types.CPointer(types.int32),
        **{record.__name__: from_dtype(numpy_type(record)) for record in RECORDS},
    }


def signature(function: Any, dtype: Dtype) -> Any:
    """The numba signature that a kernel's annotations say."""
    annotations = function.__annotations__.values()
    *arguments, result = (_types(dtype)[annotation] for annotation in annotations)
    return result(*arguments)


@cache
def intrinsics(dtype: Dtype) -> dict[str, Any]:
    """What numba's Python cannot express, in LLVM's language, by its name; for a dtype.

    floats(address), doubles(address), integers(address), places(address): the numbers there.
    pattern_at(address, i) and others: record i of those at an address.
    call(address, (arguments, …)): calls the loop of an op.
    power_of_2(k): 2.0**k for a whole number k that is an exponent of the dtype, as a float.
    tile_4_2(…) and smaller ones: a piece of a matrix product, for `kernels.tiles`; the numbers in
        the name are its rows and its vectors. copy_4, transpose_4: for `kernels.copy_panel`.
    VECTOR, zero, below_one: as `kernels` has them.
    """
    import numpy as np
    from llvmlite import binding, ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    kinds, scalar = _types(dtype), getattr(types, dtype.name)
    real = ir.FloatType() if dtype is FLOAT32 else ir.DoubleType()
    size = 64 if binding.get_host_cpu_features().get("avx512f") else 32  # of a vector, in bytes
    lanes = size // dtype.size

    @intrinsic
    def call(typing: Any, address: Any, arguments: Any) -> Any:
        def generate(context: Any, builder: Any, _: Any, given: Any) -> Any:
            numbers = cgutils.unpack_tuple(builder, given[1])
            kind = ir.FunctionType(ir.VoidType(), [number.type for number in numbers])
            builder.call(builder.inttoptr(given[0], kind.as_pointer()), numbers)
            return context.get_dummy_value()

        return types.void(address, arguments), generate

    @intrinsic
    def power_of_2(typing: Any, k: Any) -> Any:
        def generate(context: Any, builder: Any, _: Any, given: Any) -> Any:
            whole, stored = ir.IntType(8 * dtype.size), dtype.digits - 1
            # The sum has k in its lowest bits, and a float its exponent, plus bias, in its highest.
            sum_ = builder.fadd(given[0], ir.Constant(real, 1.5 * 2.0**stored))
            exponent = builder.add(builder.bitcast(sum_, whole), ir.Constant(whole, dtype.bias))
            return builder.bitcast(builder.shl(exponent, ir.Constant(whole, stored)), real)

        return scalar(scalar), generate

    def numbers_at(kind: Any) -> Any:
        @intrinsic
        def numbers(typing: Any, address: Any) -> Any:
            def generate(context: Any, builder: Any, _: Any, given: Any) -> Any:
                return builder.inttoptr(given[0], context.get_value_type(kind))

            return kind(address), generate

        return numbers

    def record_at(kind: Any) -> Any:
        @intrinsic
        def record(typing: Any, address: Any, i: Any) -> Any:
            def generate(context: Any, builder: Any, _: Any, given: Any) -> Any:
                records = builder.inttoptr(given[0], context.get_value_type(kind))
                return builder.gep(records, [given[1]])

            return kind(address, types.int64), generate

        return record

    def place(builder: Any, base: Any, start: Any, *steps: tuple[Any, Any]) -> Any:
        for count, step in steps:
            start = builder.add(start, builder.mul(count, step))
        return builder.gep(base, [start])

    def whole(i: int) -> Any:
        return ir.Constant(ir.IntType(64), i)

    def vector_at(builder: Any, kind: Any, *where: Any) -> Any:
        return builder.bitcast(place(builder, *where), kind.as_pointer())

    def tile(rows: int, vectors: int) -> Any:
        kind = ir.VectorType(real, lanes)
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)

        def generate(context: Any, builder: Any, _: Any, given: Any) -> Any:
            inner, a, a0, a_row, a_inner, b, b0, b_inner, c, c0, c_row = given
            grid = [(i, j) for i in range(rows) for j in range(vectors)]
            column = [whole(j * lanes) for j in range(vectors)]

            def of_c(i: int, j: int) -> Any:
                start = builder.add(c0, column[j])
                return vector_at(builder, kind, c, start, (whole(i), c_row))

            prefetch = cgutils.get_or_insert_function(
                builder.module,
                ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer(), *[ir.IntType(32)] * 3]),
                "llvm.prefetch.p0i8",
            )
            for i in range(rows):
                at = place(builder, c, c0, (whole(rows + i), c_row))
                builder.call(
                    prefetch,
                    [
                        builder.bitcast(at, ir.IntType(8).as_pointer()),
                        *[ir.Constant(ir.IntType(32), n) for n in (1, 3, 1)],
                    ],
                )
            sums = {at: cgutils.alloca_once(builder, kind) for at in grid}
            for sum_ in sums.values():
                builder.store(ir.Constant(kind, None), sum_)
            with cgutils.for_range(builder, inner) as loop:
                x = [
                    builder.load(
                        vector_at(builder, kind, b, builder.add(b0, j), (loop.index, b_inner)),
                        align=dtype.size,
                    )
                    for j in column
                ]
                for i in range(rows):
                    w = builder.load(
                        place(builder, a, a0, (whole(i), a_row), (loop.index, a_inner))
                    )
                    first = builder.insert_element(
                        ir.Constant(kind, ir.Undefined), w, ir.Constant(ir.IntType(32), 0)
                    )
                    spread = builder.shuffle_vector(first, first, everywhere)
                    for j in range(vectors):
                        product = builder.fmul(spread, x[j], flags=("contract",))
                        sum_ = builder.load(sums[i, j])
                        builder.store(builder.fadd(sum_, product, flags=("contract",)), sums[i, j])
            for at in grid:
                before = builder.load(of_c(*at), align=dtype.size)
                builder.store(
                    builder.fadd(before, builder.load(sums[at])), of_c(*at), align=dtype.size
                )
            return context.get_dummy_value()

        @intrinsic
        def piece(
            typing: Any, inner: Any, a: Any, a0: Any, a_row: Any, a_inner: Any,
            b: Any, b0: Any, b_inner: Any, c: Any, c0: Any, c_row: Any,
        ) -> Any:  # fmt: skip
            kinds = (inner, a, a0, a_row, a_inner, b, b0, b_inner, c, c0, c_row)
            return types.void(*kinds), generate

        return piece

    four = ir.VectorType(real, 4)

    @intrinsic
    def copy_4(typing: Any, a: Any, a0: Any, c: Any, c0: Any) -> Any:
        def generate(context: Any, builder: Any, _: Any, given: Any) -> Any:
            a, a0, c, c0 = given
            numbers = builder.load(vector_at(builder, four, a, a0), align=dtype.size)
            builder.store(numbers, vector_at(builder, four, c, c0), align=dtype.size)
            return context.get_dummy_value()

        return types.void(a, a0, c, c0), generate

    @intrinsic
    def transpose_4(typing: Any, a: Any, a0: Any, a_row: Any, c: Any, c0: Any, c_row: Any) -> Any:
        def generate(context: Any, builder: Any, _: Any, given: Any) -> Any:
            a, a0, a_row, c, c0, c_row = given

            def mixed(x: Any, y: Any, order: list[int]) -> Any:
                return builder.shuffle_vector(
                    x, y, ir.Constant(ir.VectorType(ir.IntType(32), 4), order)
                )

            rows = [
                builder.load(vector_at(builder, four, a, a0, (whole(i), a_row)), align=dtype.size)
                for i in range(4)
            ]
            # First pairs of numbers change places, then pairs of pairs.
            low = [mixed(rows[i], rows[i + 1], [0, 4, 2, 6]) for i in (0, 2)]
            high = [mixed(rows[i], rows[i + 1], [1, 5, 3, 7]) for i in (0, 2)]
            columns = [
                mixed(*pair, order)
                for order in ([0, 1, 4, 5], [2, 3, 6, 7])
                for pair in (low, high)
            ]
            for i, column in enumerate(columns):
                builder.store(
                    column, vector_at(builder, four, c, c0, (whole(i), c_row)), align=dtype.size
                )
            return context.get_dummy_value()

        return types.void(a, a0, a_row, c, c0, c_row), generate

    shapes = ((4, 2), (3, 2), (2, 2), (1, 2), (1, 1))
    addressed = ("Floats", "Doubles", "Integers", "Places")
    return {
        **{f"tile_{rows}_{vectors}": tile(rows, vectors) for rows, vectors in shapes},
        **{kind.lower(): numbers_at(kinds[kind]) for kind in addressed},
        **{f"{r.__name__.lower()}_at": record_at(kinds[r.__name__]) for r in RECORDS},
        "call": call,
        "copy_4": copy_4,
        "transpose_4": transpose_4,
        "power_of_2": power_of_2,
        "zero": np.dtype(dtype.name).type(0.0),
        "VECTOR": lanes,
        "below_one": dtype.below_one,
    }


# ---- from source to machine code


def run_address(dtype: Dtype) -> int:
    """The address of the machine code of `kernels.run`; ImportError without numba."""
    kernels = Path(__file__).with_name("kernels.py").read_text(encoding="utf-8")
    return _addresses("kernels", kernels + _numba(dtype) + _KERNELS, dtype)["run"]


@cache
def loops_of(op: Op, dtype: Dtype) -> tuple[list[int], int]:
    """The addresses of an op's loops, forward and then backward by each operand.

    And how many numbers they keep, at most, for each result that they compute.
    """
    writers = [OpLoops(op, dtype) for _ in (op, *op.operands)]
    loops = {"forward": writers[0].forward()}
    loops |= {f"backward_{j}": writer.backward(j) for j, writer in enumerate(writers[1:])}
    arguments = "n: int, width: int, data: Floats, grad: Floats, out: int, at: Integers"
    addresses = _loop_addresses(f"op_{op.name}", arguments, loops, dtype)
    return addresses, max(len(writer.kept) for writer in writers)


def update_addresses(name: str, update: Update, dtype: Dtype) -> list[int]:
    """The addresses of an optimizer's loops: for its first step, and for later ones."""
    formulas = {"first": update.first, "later": update.later}
    loops = {when: update_loop(update, new, dtype) for when, new in formulas.items()}
    arguments = "count: int, settings: Doubles, data: Floats, grad: Floats, memory: Floats"
    return _loop_addresses(f"update_{name}", arguments, loops, dtype)


def _loop_addresses(
    title: str, arguments: str, loops: dict[str, list[str]], dtype: Dtype
) -> list[int]:
    """The addresses of functions whose bodies are given by their names."""
    text = "from __future__ import annotations\n" + _numba(dtype) + _functions(dtype)
    for name, lines in loops.items():
        body = "\n".join(indented(lines))
        text += f"\n\ndef {name}({arguments}) -> None:\n{body}\n\n\nunit({name})\n"
    return list(_addresses(title, text, dtype).values())


@cache
def _addresses(title: str, text: str, dtype: Dtype) -> dict[str, int]:
    """The addresses of the units of this source, by their names."""
    return machine_code.load(f"{title}_{dtype.name}", text, partial(_compiled, dtype))


def _compiled(dtype: Dtype, name: str, text: str) -> dict[str, machine_code.Code]:
    """The machine code of each function that the source hands to `unit`.

    Such a function is compiled by itself and called by its address, where numba would compile
    it again inside every caller.
    """
    from llvmlite import binding
    from numba import cfunc, types

    codes: dict[str, machine_code.Code] = {}

    def unit(function: Any, flags: Any = ()) -> Any:
        kind = signature(function, dtype)
        made = cfunc(kind, error_model="numpy", fastmath=set(flags))(function)
        llvm = made.inspect_llvm()
        codes[function.__name__] = machine_code.machine_code(made.native_name, llvm)
        symbol = f"{name}_{function.__name__}"
        binding.add_symbol(symbol, made.address)
        return types.ExternalFunction(symbol, kind)

    surroundings = {"__name__": name, "__package__": __package__, "unit": unit}
    exec(compile(text, f"<{name}>", "exec"), surroundings)
    return codes
