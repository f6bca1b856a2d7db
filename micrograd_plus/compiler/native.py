"""Native: the kernels, and the loops of ops and optimizers, as machine code.

numba compiles `kernels.py` as it is, and the text of `loops.py` when a program first needs it;
`machine_code.py` stores the result. What numba's Python cannot express is written here in LLVM's
language: the access to the records of `tape.py`, and the inner loop of a matrix product.
"""

from __future__ import annotations

import math
import sys
from functools import cache
from pathlib import Path
from typing import Any

from ..ops import Op
from ..optim.updates import Update
from . import machine_code
from .loops import OpLoops, indented, update_loop
from .tape import RECORDS, numpy_type

_NUMBA = """
import math
from numba import njit
from micrograd_plus.compiler.native import intrinsics, signature

inf, nan = math.inf, math.nan
globals().update(intrinsics())
"""

_EXP = f"""

@njit(fastmath={{"contract"}})
def exp(x):
    # e**x = 2**k * e**r, where r is at most log(2) / 2, and e**r a polynomial: no branch, so that
    # vector units compute it for many numbers at once. 2**k comes in two factors, so that the
    # largest and the smallest numbers come out too.
    y = -746.0 if x < -746.0 else 710.0 if x > 710.0 else x
    k = math.floor(y * 1.4426950408889634 + 0.5)
    r = (y - k * 0.69314718036912382) - k * 1.9082149292705877e-10
    half = math.floor(k * 0.5)
    p = {1 / math.factorial(13)!r}
{chr(10).join(f"    p = p * r + {1 / math.factorial(n)!r}" for n in range(12, -1, -1))}
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
            _kind = signature(_function)  # one signature for all callers
            globals()[_name] = njit(
                _kind, error_model="numpy", fastmath=_flags,
                no_cpython_wrapper=True, no_cfunc_wrapper=True,
            )(_function)
unit(run)
"""


@cache
def _types() -> dict[str, Any]:
    """The numba types of what the annotations of the kernels name."""
    from numba import from_dtype, types

    return {
        "int": types.int64,
        "float": types.float64,
        "None": types.void,
        "Floats": types.CPointer(types.float64),
        "Integers": types.CPointer(types.int64),
        "Places": types.CPointer(types.int32),
        **{record.__name__: from_dtype(numpy_type(record)) for record in RECORDS},
    }


def signature(function: Any) -> Any:
    """The numba signature that a kernel's annotations say."""
    annotations = function.__annotations__.values()
    *arguments, result = (_types()[annotation] for annotation in annotations)
    return result(*arguments)


@cache
def intrinsics() -> dict[str, Any]:
    """What numba's Python cannot express, in LLVM's language, by its name.

    floats(address), integers(address), places(address): the numbers at an address.
    pattern_at(address, i) and others: record i of those at an address.
    call(address, (arguments, …)): calls the loop of an op.
    loaded(address): the whole number there, and then all that other threads wrote before it.
    exchanged(address, old, new): whether `old` was there; then `new` is there instead.
    increment(address): adds 1 to the whole number there; what was written before is seen by all.
    pause(): waits about 10 ns; give_way(): lets other threads run.
    power_of_2(k): 2.0**k for a whole number k from -1022 to 1023, as a float.
    tile_4_8(…) and smaller ones: a piece of a matrix product, for `kernels.multiply`.
    """
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    real = ir.DoubleType()

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
            whole = ir.IntType(64)
            # The sum has k in its lowest bits, and a float its exponent, plus 1023, in its highest.
            sum_ = builder.fadd(given[0], ir.Constant(real, 1.5 * 2.0**52))
            exponent = builder.add(builder.bitcast(sum_, whole), ir.Constant(whole, 1023))
            return builder.bitcast(builder.shl(exponent, ir.Constant(whole, 52)), real)

        return types.float64(types.float64), generate

    def shared(builder: Any, address: Any) -> Any:
        return builder.inttoptr(address, ir.IntType(64).as_pointer())

    @intrinsic
    def loaded(typing: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, _: Any, given: Any) -> Any:
            return builder.load_atomic(shared(builder, given[0]), "acquire", align=8)

        return types.int64(address), generate

    @intrinsic
    def exchanged(typing: Any, address: Any, old: Any, new: Any) -> Any:
        def generate(context: Any, builder: Any, _: Any, given: Any) -> Any:
            place = shared(builder, given[0])
            found = builder.cmpxchg(place, given[1], given[2], "acq_rel", "acquire")
            return builder.extract_value(found, 1)

        return types.boolean(address, types.int64, types.int64), generate

    @intrinsic
    def increment(typing: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, _: Any, given: Any) -> Any:
            one = ir.Constant(ir.IntType(64), 1)
            builder.atomic_rmw("add", shared(builder, given[0]), one, "acq_rel")
            return context.get_dummy_value()

        return types.void(address), generate

    def calls(name: str, *numbers: int) -> Any:
        @intrinsic
        def called(typing: Any) -> Any:
            def generate(context: Any, builder: Any, _: Any, given: Any) -> Any:
                values = [ir.Constant(ir.IntType(32), number) for number in numbers]
                kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
                builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)
                return context.get_dummy_value()

            return types.void(), generate

        return called

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
                builder.store(builder.load(row_of_c(i), align=8), sum_)
            with cgutils.for_range(builder, inner) as loop:
                at = builder.bitcast(place(b, b0, (loop.index, b_inner)), vector.as_pointer())
                x = builder.load(at, align=8)
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
                builder.store(builder.load(sum_), row_of_c(i), align=8)
            return context.get_dummy_value()

        @intrinsic
        def piece(
            typing: Any, inner: Any, a: Any, a0: Any, a_row: Any, a_inner: Any,
            b: Any, b0: Any, b_inner: Any, c: Any, c0: Any, c_row: Any,
        ) -> Any:  # fmt: skip
            kinds = (inner, a, a0, a_row, a_inner, b, b0, b_inner, c, c0, c_row)
            return types.void(*kinds), generate

        return piece

    named = {f"tile_{rows}_{columns}": tile(rows, columns) for rows in (1, 4) for columns in (4, 8)}
    named |= {kind.lower(): numbers_at(_types()[kind]) for kind in ("Floats", "Integers", "Places")}
    named |= {f"{r.__name__.lower()}_at": record_at(_types()[r.__name__]) for r in RECORDS}
    named |= {"loaded": loaded, "exchanged": exchanged, "increment": increment}
    give_way = calls("SwitchToThread" if sys.platform == "win32" else "sched_yield")
    pause = give_way
    if _processor() == "x86_64":
        pause = calls("llvm.x86.sse2.pause")
    elif _processor() == "aarch64":
        pause = calls("llvm.aarch64.hint", 1)
    return {**named, "call": call, "power_of_2": power_of_2, "pause": pause, "give_way": give_way}


def _processor() -> str:
    """The kind of processor, as LLVM names it."""
    from llvmlite import binding

    name: str = binding.get_process_triple().split("-")[0]
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


# ---- from source to machine code


def run_address() -> int:
    """The address of the machine code of `kernels.run`; ImportError without numba."""
    kernels = Path(__file__).with_name("kernels.py").read_text(encoding="utf-8")
    return _addresses("kernels", kernels + _NUMBA + _KERNELS)["run"]


@cache
def loops_of(op: Op) -> tuple[list[int], int]:
    """The addresses of an op's loops, forward and then backward by each operand.

    And how many numbers they keep, at most, for each result that they compute.
    """
    writers = [OpLoops(op) for _ in (op, *op.operands)]
    loops = {"forward": writers[0].forward()}
    loops |= {f"backward_{j}": writer.backward(j) for j, writer in enumerate(writers[1:])}
    arguments = "n: int, width: int, data: Floats, grad: Floats, out: int, at: Integers"
    addresses = _loop_addresses(f"op_{op.name}", arguments, loops)
    return addresses, max(len(writer.kept) for writer in writers)


def update_addresses(name: str, update: Update) -> list[int]:
    """The addresses of an optimizer's loops: for its first step, and for later ones."""
    loops = {"first": update_loop(update, update.first), "later": update_loop(update, update.later)}
    arguments = (
        "begin: int, end: int, count: int, settings: Floats, after: Floats, "
        "data: Floats, grad: Floats, memory: Floats"
    )
    return _loop_addresses(f"update_{name}", arguments, loops)


def _loop_addresses(title: str, arguments: str, loops: dict[str, list[str]]) -> list[int]:
    """The addresses of functions whose bodies are given by their names."""
    text = "from __future__ import annotations\n" + _NUMBA + _EXP
    for name, lines in loops.items():
        body = "\n".join(indented(lines))
        text += f"\n\ndef {name}({arguments}) -> None:\n{body}\n\n\nunit({name})\n"
    return list(_addresses(title, text).values())


@cache
def _addresses(title: str, text: str) -> dict[str, int]:
    """The addresses of the units of this source, by their names."""
    return machine_code.load(title, text, _compiled)


def _compiled(name: str, text: str) -> dict[str, machine_code.Code]:
    """The machine code of each function that the source hands to `unit`.

    Such a function is compiled by itself and called by its address, where numba would compile
    it again inside every caller.
    """
    from llvmlite import binding
    from numba import cfunc, types

    codes: dict[str, machine_code.Code] = {}

    def unit(function: Any, flags: Any = ()) -> Any:
        kind = signature(function)
        made = cfunc(kind, error_model="numpy", fastmath=set(flags))(function)
        llvm = made.inspect_llvm()
        codes[function.__name__] = machine_code.machine_code(made.native_name, llvm)
        symbol = f"{name}_{function.__name__}"
        binding.add_symbol(symbol, made.address)
        return types.ExternalFunction(symbol, kind)

    surroundings = {"__name__": name, "__package__": __package__, "unit": unit}
    exec(compile(text, f"<{name}>", "exec"), surroundings)
    return codes
