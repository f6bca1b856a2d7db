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


def _exp(dtype: Dtype) -> str:
    """The source of exp: e**x = 2**k * e**r, where r is at most log(2) / 2.

    e**r is a polynomial: no branch, so that vector units compute it for many numbers at once.
    2**k comes in two factors, so that the largest and the smallest numbers come out too.
    """
    lowest, highest = (literal(edge, dtype) for edge in dtype.exp_range)
    high, low = (literal(part, dtype) for part in dtype.log2)
    half, per_log2 = literal(0.5, dtype), literal(1 / math.log(2), dtype)
    terms = [literal(1 / math.factorial(n), dtype) for n in range(dtype.terms - 1, -1, -1)]
    return f"""

@njit(fastmath={{"contract"}})
def exp(x):
    y = {lowest} if x < {lowest} else {highest} if x > {highest} else x
    k = floor(y * {per_log2} + {half})
    r = (y - k * {high}) - k * {low}
    half = floor(k * {half})
    p = {terms[0]}
{chr(10).join(f"    p = p * r + {term}" for term in terms[1:])}
    return x if x != x else p * power_of_2(half) * power_of_2(k - half)
"""


_KERNELS = """
# Sums may be added in another order, and products fused with sums; nothing else may change, so
# that inf and nan come out as they do in Python.
SUMS = {"reassoc", "contract"}
WITH_SUMS = (
    "unpack", "add_gradients", "multiply", "multiply_transposed", "dots_forward", "dots_backward",
)

for _name, _function in list(globals().items()):
    if getattr(_function, "__module__", None) == __name__:
        _flags = SUMS if _name in WITH_SUMS else set()
        if _name in ("multiply", "multiply_transposed", "forward", "backward"):
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
    floor(x): the largest whole number up to x, as a float; numba's own is an integer, which vector
        units convert back slowly.
    power_of_2(k): 2.0**k for a whole number k that is an exponent of the dtype, as a float.
    tile_4_16(…) and smaller ones: a piece of a matrix product, for `kernels.multiply`.
    zero, widest, below_one: as `kernels` has them.
    """
    import numpy as np
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    kinds, scalar = _types(dtype), getattr(types, dtype.name)
    real = ir.FloatType() if dtype is FLOAT32 else ir.DoubleType()

    @intrinsic
    def call(typing: Any, address: Any, arguments: Any) -> Any:
        def generate(context: Any, builder: Any, _: Any, given: Any) -> Any:
            numbers = cgutils.unpack_tuple(builder, given[1])
            kind = ir.FunctionType(ir.VoidType(), [number.type for number in numbers])
            builder.call(builder.inttoptr(given[0], kind.as_pointer()), numbers)
            return context.get_dummy_value()

        return types.void(address, arguments), generate

    @intrinsic
    def floor(typing: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, _: Any, given: Any) -> Any:
            return builder.call(builder.module.declare_intrinsic("llvm.floor", [real]), given)

        return scalar(scalar), generate

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

    def tile(rows: int, columns: int) -> Any:
        vector = ir.VectorType(real, columns)
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), columns), [0] * columns)

        def generate(context: Any, builder: Any, _: Any, given: Any) -> Any:
            inner, a, a0, a_row, a_inner, b, b0, b_inner, c, c0, c_row = given

            def place(base: Any, start: Any, *steps: tuple[Any, Any]) -> Any:
                for count, step in steps:
                    start = builder.add(start, builder.mul(count, step))
                return builder.gep(base, [start])

            def number(i: int) -> Any:
                return ir.Constant(ir.IntType(64), i)

            def row_of_c(i: int) -> Any:
                at = place(c, c0, (number(i), c_row))
                return builder.bitcast(at, vector.as_pointer())

            sums = [cgutils.alloca_once(builder, vector) for _ in range(rows)]
            for i, sum_ in enumerate(sums):
                builder.store(builder.load(row_of_c(i), align=dtype.size), sum_)
            with cgutils.for_range(builder, inner) as loop:
                at = builder.bitcast(place(b, b0, (loop.index, b_inner)), vector.as_pointer())
                x = builder.load(at, align=dtype.size)
                for i, sum_ in enumerate(sums):
                    w = builder.load(place(a, a0, (number(i), a_row), (loop.index, a_inner)))
                    first = builder.insert_element(
                        ir.Constant(vector, ir.Undefined), w, ir.Constant(ir.IntType(32), 0)
                    )
                    spread = builder.shuffle_vector(first, first, everywhere)
                    product = builder.fmul(spread, x, flags=("contract",))
                    builder.store(
                        builder.fadd(builder.load(sum_), product, flags=("contract",)), sum_
                    )
            for i, sum_ in enumerate(sums):
                builder.store(builder.load(sum_), row_of_c(i), align=dtype.size)
            return context.get_dummy_value()

        @intrinsic
        def piece(
            typing: Any, inner: Any, a: Any, a0: Any, a_row: Any, a_inner: Any,
            b: Any, b0: Any, b_inner: Any, c: Any, c0: Any, c_row: Any,
        ) -> Any:  # fmt: skip
            kinds = (inner, a, a0, a_row, a_inner, b, b0, b_inner, c, c0, c_row)
            return types.void(*kinds), generate

        return piece

    sizes = [(rows, columns) for rows in (1, 4) for columns in (4, 8, 16)]
    addressed = ("Floats", "Doubles", "Integers", "Places")
    return {
        **{f"tile_{rows}_{columns}": tile(rows, columns) for rows, columns in sizes},
        **{kind.lower(): numbers_at(kinds[kind]) for kind in addressed},
        **{f"{r.__name__.lower()}_at": record_at(kinds[r.__name__]) for r in RECORDS},
        "call": call,
        "floor": floor,
        "power_of_2": power_of_2,
        "zero": np.dtype(dtype.name).type(0.0),
        "widest": 64 // dtype.size,
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
    text = "from __future__ import annotations\n" + _numba(dtype) + _exp(dtype)
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
