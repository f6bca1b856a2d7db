"""Native: the kernels, and the loops of ops and optimizers, as machine code.

numba compiles `kernels.py` and `passes.py` as they are, and the text of `loops.py` when a program
first needs it; kernels and loops once for every dtype that is asked for. `machine_code.py` stores
the result. What numba's Python cannot express is written here in LLVM's language: the access to the
records of `tape.py`, and the inner loop of a matrix product.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ..ops import Op
from ..optim.updates import Update
from . import machine_code
from . import passes as python_passes
from .dtypes import FLOAT32, Dtype
from .loops import OpLoops, indented, literal, update_loop
from .tape import RECORDS, numpy_type


def _begin(dtype: Dtype) -> str:
    """The beginning of a source text, or its middle: what its names stand for."""
    return f"""
import math
from numba import float32, float64
from micrograd_plus.compiler.dtypes import dtype_of
from micrograd_plus.compiler.native import intrinsics

inf, nan = math.inf, math.nan
globals().update(intrinsics(dtype_of({dtype.name!r})))
"""


def _functions(dtype: Dtype) -> dict[str, str]:
    """The source of exp and tanh: e**y = 2**k * e**r, where k is whole, and r at most log(2) / 2.

    p, e**r - 1, is a polynomial: no branch, so that vector units compute it for many numbers at
    once. Odd and even powers are apart, so that they need not wait for each other. A float of the
    size of `to_whole` has no digits after the point: adding it rounds.
    """

    def number(x: float) -> str:
        return literal(x, dtype)

    def sum_of(name: str, highest: int, lowest: int) -> str:
        terms = [number(1 / math.factorial(n)) for n in range(highest, lowest - 1, -2)]
        lines = [f"{name} = {terms[0]}", *[f"{name} = {name} * square + {x}" for x in terms[1:]]]
        return "\n".join(indented(lines))

    to_whole = number(1.5 * 2.0 ** (dtype.digits - 1))
    high, low = map(number, dtype.log2)
    lowest, highest = map(number, dtype.exp_range)
    power = f"""
    k = (y * {number(1 / math.log(2))} + {to_whole}) - {to_whole}
    r = (y - k * {high}) - k * {low}
    square = r * r
{sum_of("odd", dtype.terms - 1, 1)}
{sum_of("even", dtype.terms - 2, 2)}
    p = odd * r + even * square
"""
    return {
        "exp": f"""
def exp(x: Real) -> Real:
    y = {lowest} if x < {lowest} else {highest} if x > {highest} else x
{power}
    # 2**k comes in two factors, so that the largest and the smallest numbers come out too.
    half = (k * {number(0.5)} + {to_whole}) - {to_whole}
    return x if x != x else ({number(1)} + p) * power_of_2(half) * power_of_2(k - half)
""",
        "tanh": f"""
def tanh(x: Real) -> Real:
    y = {number(-44)} if x < {number(-22)} else {number(44)} if x > {number(22)} else x + x
{power}
    # m / (m + 2), where m is e**2x - 1; x is returned if it is tiny, a zero or nan.
    m = power_of_2(k) * p + (power_of_2(k) - {number(1)})
    return m / (m + {number(2)}) if abs(x) > {number(2.0 ** (16 - dtype.bias))} else x
""",
    }


_KERNELS = """
# Sums may be added in another order, and products fused with sums; nothing else may change, so
# that inf and nan come out as they do in Python.
SUMS = {"reassoc", "contract"}
WITH_SUMS = (
    "unpack", "add_gradients", "tiles", "multiply_vectors", "dots_forward", "dots_backward",
)

for _name, _function in list(globals().items()):
    if getattr(_function, "__module__", None) == __name__:
        unit(_function, SUMS if _name in WITH_SUMS else (), _name == "run")
"""


_PASSES = """
from micrograd_plus.compiler.passes import Nodes, Table, Terms

for _name, _function in list(globals().items()):
    if getattr(_function, "__module__", None) == __name__:
        unit(_function)
"""


@cache
def _types(dtype: Dtype | None) -> dict[str, Any]:
    """The numba types of what annotations name; Real and Floats are of the dtype."""
    from numba import from_dtype, types

    known = {
        "int": types.int64,
        "float": types.float64,
        "None": types.void,
        "Doubles": types.CPointer(types.float64),
        "Integers": types.CPointer(types.int64),
        "Places": types.CPointer(types.int32),
        **{record.__name__: from_dtype(numpy_type(record)) for record in RECORDS},
        **{
            rows.__name__: types.NamedUniTuple(types.CPointer(types.int64), len(rows._fields), rows)
            for rows in python_passes.ROWS
        },
    }
    if dtype:
        real = getattr(types, dtype.name)
        known |= {"Real": real, "Floats": types.CPointer(real)}
    return known


def signature(function: Any, dtype: Dtype | None) -> Any:
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
    loaded(address): the whole number there, and then all that other threads wrote before it.
    exchanged(address, old, new): whether `old` was there; then `new` is there instead.
    increment(address): adds 1 to the whole number there; what was written before is seen by all.
    pause(): waits about 10 ns; give_way(): lets other threads run.
    power_of_2(k): 2.0**k for a whole number k that is an exponent of the dtype, as a float.
    tile_4_2(…) and smaller ones: a piece of a matrix product, of 4 rows and 2 vectors.
    copy_4(a, i, c, k), transpose_4(…): copies of 4 numbers, and of 4 × 4 with rows as columns.
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
                mixed(x, y, order) for order in ([0, 1, 4, 5], [2, 3, 6, 7]) for x, y in (low, high)
            ]
            for i, column in enumerate(columns):
                builder.store(
                    column, vector_at(builder, four, c, c0, (whole(i), c_row)), align=dtype.size
                )
            return context.get_dummy_value()

        return types.void(a, a0, a_row, c, c0, c_row), generate

    shapes = ((4, 2), (3, 2), (2, 2), (1, 2), (1, 1))
    give_way = calls("SwitchToThread" if sys.platform == "win32" else "sched_yield")
    pause = give_way
    if _processor() == "x86_64":
        pause = calls("llvm.x86.sse2.pause")
    elif _processor() == "aarch64":
        pause = calls("llvm.aarch64.hint", 1)
    addressed = ("Floats", "Doubles", "Integers", "Places")
    return {
        **{f"tile_{rows}_{vectors}": tile(rows, vectors) for rows, vectors in shapes},
        **{kind.lower(): numbers_at(kinds[kind]) for kind in addressed},
        **{f"{r.__name__.lower()}_at": record_at(kinds[r.__name__]) for r in RECORDS},
        "call": call,
        "loaded": loaded,
        "exchanged": exchanged,
        "increment": increment,
        "pause": pause,
        "give_way": give_way,
        "copy_4": copy_4,
        "transpose_4": transpose_4,
        "power_of_2": power_of_2,
        "VECTOR": lanes,
        "zero": np.dtype(dtype.name).type(0.0),
        "below_one": dtype.below_one,
    }


def _processor() -> str:
    """The kind of processor, as LLVM names it."""
    from llvmlite import binding

    name: str = binding.get_process_triple().split("-")[0]
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


# ---- from source to machine code


def run_address(dtype: Dtype) -> int:
    """The address of the machine code of `kernels.run`; ImportError without numba."""
    kernels = Path(__file__).with_name("kernels.py").read_text(encoding="utf-8")
    text = kernels + _begin(dtype) + _KERNELS
    return machine_code.load(f"kernels_{dtype.name}", text, partial(_announced, dtype))["run"]


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


@cache
def passes() -> Any:
    """The functions of `passes.py`: as machine code, or, without numba, in Python."""
    if importlib.util.find_spec("numba") is None:
        return python_passes
    source = Path(python_passes.__file__).read_text(encoding="utf-8")
    entries = {name: _entry(getattr(python_passes, name)) for name in python_passes.ENTRIES}
    text = source + _PASSES + "".join(entries.values())
    addresses = _addresses("passes", text)
    return SimpleNamespace(
        **{
            name: _callable(getattr(python_passes, name), addresses[f"run_{name}"])
            for name in entries
        }
    )


def _entry(function: Any) -> str:
    """The text of a unit that calls a pass; it gets a tuple of rows as its single rows."""
    rows = {kind.__name__: kind for kind in python_passes.ROWS}
    taken, given = [], []
    for name, kind in function.__annotations__.items():
        fields = [f"{name}_{field}" for field in rows[kind]._fields] if kind in rows else [name]
        if name != "return":
            taken += [f"{field}: {'Integers' if kind in rows else kind}" for field in fields]
            given.append(f"{kind}({', '.join(fields)})" if kind in rows else name)
    name, result = function.__name__, function.__annotations__["return"]
    return f"""

def run_{name}({", ".join(taken)}) -> {result}:
    return {name}({", ".join(given)})


unit(run_{name}, (), True)
"""


def _callable(function: Any, address: int) -> Any:
    """A pass, at this address, as a function of arrays and whole numbers."""
    import ctypes

    rows = {kind.__name__: kind._fields for kind in python_passes.ROWS}
    names: list[str] = []
    given: list[str] = []
    for name, kind in function.__annotations__.items():
        if name == "return":
            continue
        names.append(name)
        places = [f"{name}.{field}" for field in rows[kind]] if kind in rows else [name]
        given += places if kind == "int" else [f"{place}.buffer_info()[0]" for place in places]
    call = ctypes.CFUNCTYPE(*[ctypes.c_int64] * (1 + len(given)))(address)
    return eval(f"lambda {', '.join(names)}: call({', '.join(given)})", {"call": call})


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
    text = "from __future__ import annotations\n" + _begin(dtype)
    for name, function in _functions(dtype).items():
        if any(f"{name}(" in body for body in bodies.values()):
            text += f'{function}\n\nunit({name}, {{"contract"}})\n'
    for name, body in bodies.items():
        text += f"\n\ndef {name}({arguments}) -> None:\n{body}\n\n\nunit({name}, (), True)\n"
    return list(_addresses(f"{title}_{dtype.name}", text, dtype).values())


@cache
def _addresses(title: str, text: str, dtype: Dtype | None = None) -> dict[str, int]:
    """The addresses of the exported functions of this source, by their names."""
    return machine_code.load(title, text, partial(_compiled, dtype))


def _announced(dtype: Dtype, name: str, text: str) -> machine_code.Code:
    """As `_compiled`, for what takes so long that a user must know what is happening."""
    print(
        f"compiling the {dtype.name} interpreter for this machine, once: about 8 s",
        file=sys.stderr,
        flush=True,
    )
    return _compiled(dtype, name, text)


def _compiled(dtype: Dtype | None, name: str, text: str) -> machine_code.Code:
    """The machine code of a source, whose functions are handed to `unit`, each before its callers.

    numba writes all of them, unchanged, into one module, which LLVM then improves once. Used as
    decorators, its compilers would improve and load each function by itself, and again inside
    every caller.
    """
    from numba.core import compiler
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.cpu_options import FastMathOptions
    from numba.core.registry import cpu_target
    from numba.core.typing.templates import make_concrete_template

    typing_context = cpu_target.typing_context
    context = cpu_target.target_context.with_aot_codegen(name, cpu_name="host")
    library = context.codegen().create_library(name)
    symbols: dict[str, str] = {}

    def unit(function: Any, flags: Any = (), exported: bool = False) -> None:
        kind: Any = signature(function, dtype)
        options: Any = compiler.Flags()
        options.no_compile = options.no_cpython_wrapper = options.no_rewrites = True
        options.no_cfunc_wrapper = not exported
        options.error_model, options.fastmath = "numpy", FastMathOptions(set(flags))
        made = compiler.compile_extra(
            typing_context, context, function, kind.args, kind.return_type, options, {},
            library=library,
        )  # fmt: skip
        context.insert_user_function(function, made.fndesc)
        typing_context.insert_user_function(
            function, make_concrete_template(function.__name__, function, [kind])
        )
        if exported:
            symbols[function.__name__] = made.fndesc.llvm_cfunc_wrapper_name

    surroundings = {"__name__": name, "__package__": __package__, "unit": unit}
    exec(compile(text, f"<{name}>", "exec"), surroundings)
    for function in library.get_defined_functions():
        if function.name not in symbols.values():
            function.linkage = "internal"
    with global_compiler_lock:
        library.finalize()
    return machine_code.machine_code(symbols, library.get_llvm_str())
