"""Native: the kernels, and the loops of ops and optimizers, as machine code.

numba compiles `kernels.py` and `passes.py` as they are, and the text of `loops.py` when a program
first needs it; `machine_code.py` stores the result. What numba's Python cannot express is written
here in LLVM's language: the access to the records of `tape.py`, and the inner loop of a matrix
product.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ..ops import Op
from ..optim.updates import Update
from . import machine_code
from . import passes as python_passes
from .loops import OpLoops, indented, update_loop
from .tape import RECORDS, numpy_type

_BEGIN = """
import math
from micrograd_plus.compiler.native import intrinsics

inf, nan = math.inf, math.nan
globals().update(intrinsics())
"""

# e**y = 2**k * e**r, where k is whole, and r at most log(2) / 2: then p, e**r - 1, is a polynomial.
# No branch, so that vector units compute it for many numbers at once; odd and even powers apart,
# so that they need not wait for each other. A float of the size of TO_WHOLE has no digits after
# the point: adding it rounds.
_POWER = f"""
    k = (y * 1.4426950408889634 + TO_WHOLE) - TO_WHOLE
    r = (y - k * 0.69314718036912382) - k * 1.9082149292705877e-10
    square = r * r
    odd, even = {1 / math.factorial(13)!r}, {1 / math.factorial(12)!r}
{chr(10).join(f"    odd = odd * square + {1 / math.factorial(n)!r}" for n in range(11, 0, -2))}
{chr(10).join(f"    even = even * square + {1 / math.factorial(n)!r}" for n in range(10, 1, -2))}
    p = odd * r + even * square
"""

_FUNCTIONS = {
    "exp": f"""
def exp(x: float) -> float:
    y = -746.0 if x < -746.0 else 710.0 if x > 710.0 else x
{_POWER}
    # 2**k comes in two factors, so that the largest and the smallest numbers come out too.
    half = (k * 0.5 + TO_WHOLE) - TO_WHOLE
    return x if x != x else (1.0 + p) * power_of_2(half) * power_of_2(k - half)
""",
    "tanh": f"""
def tanh(x: float) -> float:
    y = -44.0 if x < -22.0 else 44.0 if x > 22.0 else 2.0 * x
{_POWER}
    # m / (m + 2), where m is e**2x - 1; x is returned if it is tiny, a zero or nan.
    m = power_of_2(k) * p + (power_of_2(k) - 1.0)
    return m / (m + 2.0) if abs(x) > 1e-300 else x
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
        **{
            rows.__name__: types.NamedUniTuple(types.CPointer(types.int64), len(rows._fields), rows)
            for rows in python_passes.ROWS
        },
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
    from llvmlite import binding, ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    real = ir.DoubleType()
    lanes = 8 if binding.get_host_cpu_features().get("avx512f") else 4  # of a vector

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
                        align=8,
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
                before = builder.load(of_c(*at), align=8)
                builder.store(builder.fadd(before, builder.load(sums[at])), of_c(*at), align=8)
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
            numbers = builder.load(vector_at(builder, four, a, a0), align=8)
            builder.store(numbers, vector_at(builder, four, c, c0), align=8)
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
                builder.load(vector_at(builder, four, a, a0, (whole(i), a_row)), align=8)
                for i in range(4)
            ]
            # First pairs of numbers change places, then pairs of pairs.
            low = [mixed(rows[i], rows[i + 1], [0, 4, 2, 6]) for i in (0, 2)]
            high = [mixed(rows[i], rows[i + 1], [1, 5, 3, 7]) for i in (0, 2)]
            columns = [
                mixed(x, y, order) for order in ([0, 1, 4, 5], [2, 3, 6, 7]) for x, y in (low, high)
            ]
            for i, column in enumerate(columns):
                builder.store(column, vector_at(builder, four, c, c0, (whole(i), c_row)), align=8)
            return context.get_dummy_value()

        return types.void(a, a0, a_row, c, c0, c_row), generate

    shapes = ((4, 2), (3, 2), (2, 2), (1, 2), (1, 1))
    named = {f"tile_{rows}_{vectors}": tile(rows, vectors) for rows, vectors in shapes}
    named |= {"copy_4": copy_4, "transpose_4": transpose_4, "VECTOR": lanes}
    named |= {"TO_WHOLE": 1.5 * 2.0**52}
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
    return machine_code.load("kernels", kernels + _BEGIN + _KERNELS, _announced)["run"]


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

    rows = {kind.__name__: len(kind._fields) for kind in python_passes.ROWS}
    sizes = [rows.get(kind, 1) for kind in function.__annotations__.values()]
    call = ctypes.CFUNCTYPE(*[ctypes.c_int64] * sum(sizes))(address)

    def run(*arguments: Any) -> Any:
        numbers: list[int] = []
        for argument in arguments:
            if isinstance(argument, int):
                numbers.append(argument)
            elif isinstance(argument, tuple):
                numbers += [rows.buffer_info()[0] for rows in argument]
            else:
                numbers.append(argument.buffer_info()[0])
        return call(*numbers)

    return run


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
    bodies = {name: "\n".join(indented(lines)) for name, lines in loops.items()}
    text = "from __future__ import annotations\n" + _BEGIN
    for name, function in _FUNCTIONS.items():
        if any(f"{name}(" in body for body in bodies.values()):
            text += f'{function}\n\nunit({name}, {{"contract"}})\n'
    for name, body in bodies.items():
        text += f"\n\ndef {name}({arguments}) -> None:\n{body}\n\n\nunit({name}, (), True)\n"
    return list(_addresses(title, text).values())


@cache
def _addresses(title: str, text: str) -> dict[str, int]:
    """The addresses of the exported functions of this source, by their names."""
    return machine_code.load(title, text, _compiled)


def _announced(name: str, text: str) -> machine_code.Code:
    """As `_compiled`, for what takes so long that a user must know what is happening."""
    print(
        "compiling the interpreter for this machine, once: about 8 s", file=sys.stderr, flush=True
    )
    return _compiled(name, text)


def _compiled(name: str, text: str) -> machine_code.Code:
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
        kind: Any = signature(function)
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
