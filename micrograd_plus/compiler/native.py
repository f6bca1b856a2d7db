"""The kernels at native speed: compiled by numba, once per machine, and kept on disk.

`kernels.py` is compiled as it is. Around each formula and each partial derivative of the op
table a loop is written, and compiled when a program first needs it. The machine code lies in
the user's cache folder, from where it is loaded without numba; where nothing can be written,
every new process compiles again. A file is found by everything that made it: the sources, the
versions of Python, numba and LLVM, and the processor. It begins with a digest of its content: a
damaged file is compiled again and never run.

>>> from ..ops import TABLE
>>> print("\\n".join(_Loops(TABLE["relu"]).forward()))
p0 = at[0]
for i in range(width):
    x_i = data[p0 + i]
    data[out + i] = 0.0 if x_i < 0.0 else x_i
"""

from __future__ import annotations

import hashlib
import marshal
import math
import os
import re
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from ..formulas.writers import Python, Writer, is_reduction, name_shared_parts, walk
from ..ops import Op
from ..optim.updates import Update, symbols_in
from ..support.files import write_atomically
from ..symbols import FUNCTIONS, Expression, Form, Function, Reduction, Symbol, flow


class _Numba(Python):
    """Python as numba compiles it; what differs from number to number ends in _i."""

    operations = {
        **Python.operations,
        "/": Writer.operations["/"],
        "**": Writer.operations["**"],
    }

    def form_of(self, function: Function) -> Form:
        return function.native

    def number(self, number: float) -> str:
        return repr(float(number))

    def symbol(self, symbol: Symbol) -> str:
        return f"{symbol.name}_{'k' if symbol.vector else 'i'}"


class _Loops(_Numba):
    """The loops of one op, over numbers that lie side by side in `data` and `grad`.

    Operand j begins at at[j], the result at `out`, and `width` results are computed. Element k of
    a vector follows `width` numbers after element k - 1; what must be known of a vector before
    the next pass over it is kept in the room behind at[-1].
    """

    def __init__(self, op: Op) -> None:
        self.op = op
        self.kept: list[Symbol] = []

    def forward(self) -> list[str]:
        """The lines that compute the op."""
        return self._passes(self.op.expression, "data[out + i] = {}")

    def backward(self, j: int) -> list[str]:
        """The lines that add the partial derivative by operand j times the gradient."""
        place = f"p{j} + k * width + i" if self.op.nary else f"p{j} + i"
        formula = flow(Symbol("upstream"), self.op.derivatives[j])
        return self._passes(formula, f"grad[{place}] += {{}}")

    def _passes(self, formula: Any, store: str) -> list[str]:
        """One loop for what is shared by all elements, in its order, and one for the result."""
        lines = [f"p{j} = at[{j}]" for j in range(len(self.op.operands))]
        shared, (result,) = name_shared_parts((formula,))
        if not self.op.nary:
            named = [f"{self.symbol(part)} = {self.write(value)}" for part, value in shared]
            return [*lines, *self._loop(formula, [*named, store.format(self.write(result))])]
        lines.append("room = at[-1]")
        whole = "k * width + i" not in store
        if whole and isinstance(result, Expression) and is_reduction(result):
            shared = [*shared, (Symbol("result"), result)]
            result = shared[-1][0]
        for part, value in shared:
            self.kept.append(part)
            lines += self._pass(value, f"{self._place(part)} = {{}}")
        return [*lines, *self._pass(result, store)]

    def _pass(self, value: Any, store: str) -> list[str]:
        """The loop that computes something of all lanes, or of all elements of all lanes."""
        known = FUNCTIONS.get(value.name) if isinstance(value, Expression) else None
        if isinstance(known, Reduction):
            place = store.removesuffix(" = {}")
            joined = known.join(Symbol("kept"), known.term(*value.args))
            begin = self._loop(None, [store.format(self.number(known.start))])
            each = self._loop(value, [f"kept_i = {place}", store.format(self.write(joined))])
            return [*begin, "for k in range(n):", *_indented(each)]
        each = self._loop(value, [store.format(self.write(value))])
        return ["for k in range(n):", *_indented(each)] if "k * width" in store else each

    def _loop(self, formula: Any, body: list[str]) -> list[str]:
        """The loop over the lanes, which first loads what `formula` needs."""
        loads = [f"{self.symbol(x)} = {self._place(x)}" for x in _symbols(formula)]
        return ["for i in range(width):", *_indented([*loads, *body])]

    def _place(self, symbol: Symbol) -> str:
        if symbol in self.kept:
            return f"data[room + {self.kept.index(symbol)} * width + i]"
        if symbol.name in ("out", "upstream"):
            return f"{'data' if symbol.name == 'out' else 'grad'}[out + i]"
        j = self.op.operands.index(symbol.name)
        return f"data[p{j} + k * width + i]" if symbol.vector else f"data[p{j} + i]"


def _update(update: Update, formulas: dict[str, Any]) -> list[str]:
    """The lines of the loop that moves every parameter once.

    settings: lr, and what is counted; memory: what is kept, one row for each name.
    """
    writer = _Numba()
    common, rest = update.hoisted(formulas)
    place = {"gradient": "grad[i]", "data": "data[i]"}
    place |= {name: f"memory[{j} * count + i]" for j, name in enumerate(update.kept)}
    place |= {name: f"settings[{j}]" for j, name in enumerate(("lr", *update.counted))}

    def loads(formulas: Iterable[Any], names: Iterable[str]) -> list[str]:
        needed = set().union(*map(symbols_in, formulas))
        return [f"{name}_i = {place[name]}" for name in names if name in needed]

    lines = loads([*common.values(), *rest.values()], ["lr", *update.counted])
    lines += [f"{name}_i = {writer.write(part)}" for name, part in common.items()]
    changing = {name: formula for name, formula in rest.items() if name not in update.counted}
    shared, results = name_shared_parts(tuple(changing.values()))
    body = loads(changing.values(), ["gradient", "data", *update.kept])
    body += [f"{writer.symbol(part)} = {writer.write(value)}" for part, value in shared]
    body += [f"{place[name]} = {writer.write(value)}" for name, value in zip(changing, results)]
    lines += ["for i in range(count):", *_indented(body)]
    return lines + [f"{place[name]} = {writer.write(rest[name])}" for name in update.counted]


def _symbols(formula: Any) -> list[Symbol]:
    """The symbols in `formula`, each once."""
    return list(dict.fromkeys(part for part in walk(formula) if isinstance(part, Symbol)))


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]


# ---- from source to machine code


_NUMBA = """
import math
from numba import njit
from micrograd_plus.compiler.native import intrinsics, signature

inf, nan = math.inf, math.nan
call, power_of_2, tile_4_8, tile_4_4, tile_1_8, tile_1_4 = intrinsics()
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
            _kind = signature(_function)  # one for all callers, whatever they know of the arguments
            globals()[_name] = njit(
                _kind, error_model="numpy", fastmath=_flags,
                no_cpython_wrapper=True, no_cfunc_wrapper=True,
            )(_function)
unit(run)
"""


def signature(function: Any) -> Any:
    """The numba signature that a kernel's annotations say."""
    from numba import types

    of = {
        "int": types.int64,
        "float": types.float64,
        "None": types.void,
        "Floats": types.CPointer(types.float64),
        "Integers": types.CPointer(types.int64),
        "Places": types.CPointer(types.int32),
    }
    *arguments, result = (of[annotation] for annotation in function.__annotations__.values())
    return result(*arguments)


@cache
def intrinsics() -> tuple[Any, ...]:
    """What numba's Python has no words for, in LLVM's.

    call(address, (arguments, …)): calls the loop of an op.
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

    return call, power_of_2, tile(4, 8), tile(4, 4), tile(1, 8), tile(1, 4)


# ---- on disk

_Code = tuple[str, list[str], bytes]
"""Of one function: its symbol, what it calls, and its machine code."""


def run_address() -> int:
    """Where the machine code of `kernels.run` is; ImportError without numba."""
    kernels = Path(__file__).with_name("kernels.py").read_text(encoding="utf-8")
    return _addresses("kernels", kernels + _NUMBA + _KERNELS)["run"]


@cache
def loop_addresses(op: Op) -> list[int]:
    """Where the machine code of an op's loops is: forward, then backward by each operand."""
    loops = {"forward": _Loops(op).forward()}
    loops |= {f"backward_{j}": _Loops(op).backward(j) for j in range(len(op.operands))}
    arguments = "n: int, width: int, data: Floats, grad: Floats, out: int, at: Integers"
    return _loop_addresses(f"op_{op.name}", arguments, loops)


def update_addresses(name: str, update: Update) -> list[int]:
    """Where the machine code of an optimizer's loops is: for its first step, and later ones."""
    loops = {"first": _update(update, update.first), "later": _update(update, update.later)}
    arguments = "count: int, settings: Floats, data: Floats, grad: Floats, memory: Floats"
    return _loop_addresses(f"update_{name}", arguments, loops)


def _loop_addresses(title: str, arguments: str, loops: dict[str, list[str]]) -> list[int]:
    """Where the machine code of functions is, whose bodies are given by their names."""
    text = "from __future__ import annotations\n" + _NUMBA + _EXP
    for name, lines in loops.items():
        body = "\n".join(_indented(lines))
        text += f"\n\ndef {name}({arguments}) -> None:\n{body}\n\n\nunit({name})\n"
    return list(_addresses(title, text).values())


@cache
def _addresses(title: str, text: str) -> dict[str, int]:
    """Where the machine code of the units of this source is, by their names."""
    name = f"micrograd_plus_{title}_{_key(text)}"
    path = _folder() / f"{name}.bin"
    try:
        codes = _read(path)
    except (OSError, ValueError):  # not there yet, or damaged
        codes = _compiled(name, text)
        with suppress(OSError):  # nothing may be written there: the next program compiles again
            _write(path, codes)
            _remove_unused(path, f"micrograd_plus_{title}_*.bin")
    return {unit: _link(f"{name}_{unit}", *code) for unit, code in codes.items()}


def _key(text: str) -> str:
    """What machine code depends on, as a short text: if any of it changes, so does the key."""
    from importlib.metadata import version

    from llvmlite import binding

    made_of = [
        Path(__file__).read_text(encoding="utf-8"),  # the intrinsics, and how units are made
        text,
        sys.version,
        version("numba"),
        version("llvmlite"),
        str(binding.llvm_version_info),
        binding.get_process_triple(),
        binding.get_host_cpu_name(),
        binding.get_host_cpu_features().flatten(),
    ]
    return hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:20]


_DIGEST = hashlib.sha256().digest_size


def _read(path: Path) -> dict[str, _Code]:
    """The machine code of each unit in a file; ValueError if it is damaged."""
    content = path.read_bytes()
    if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
        raise ValueError(f"{path} is damaged")
    with suppress(OSError):
        os.utime(path)  # it is in use
    return marshal.loads(content[_DIGEST:])  # type: ignore[no-any-return]


def _write(path: Path, codes: dict[str, _Code]) -> None:
    content = marshal.dumps(codes)
    write_atomically(path, hashlib.sha256(content).digest() + content)


def _remove_unused(path: Path, pattern: str) -> None:
    """Removes what was compiled for the same units with another key, and not used for a month."""
    for other in path.parent.glob(pattern):
        if other != path and time.time() - other.stat().st_mtime > _MONTH:
            other.unlink(missing_ok=True)


_MONTH = 30 * 24 * 3600  # seconds; several versions in use at a time do not remove each other's


def _compiled(name: str, text: str) -> dict[str, _Code]:
    """The machine code of each function that the source hands to `unit`.

    Such a function is compiled by itself and called by its address, where numba would compile
    it again inside every caller.
    """
    from llvmlite import binding
    from numba import cfunc, types

    codes: dict[str, _Code] = {}

    def unit(function: Any, flags: Any = ()) -> Any:
        kind = signature(function)
        made = cfunc(kind, error_model="numpy", fastmath=set(flags))(function)
        module = made.inspect_llvm()
        called = re.findall(r"^(?:declare .*?|(?=@))@(\w+)(?:\(| = external)", module, re.MULTILINE)
        called += re.findall(r"^declare .*?@llvm\.(\w+)\.f64\(", module, re.MULTILINE)
        code = _target().emit_object(binding.parse_assembly(module))
        codes[function.__name__] = made.native_name, called, code
        symbol = f"{name}_{function.__name__}"
        binding.add_symbol(symbol, made.address)
        return types.ExternalFunction(symbol, kind)

    exec(compile(text, f"<{name}>", "exec"), {"__name__": name, "unit": unit})
    return codes


@cache
def _libraries() -> list[Any]:
    """Where the C functions are that machine code calls."""
    import ctypes

    windows = ("ucrtbase", "vcruntime140")
    return [ctypes.CDLL(name) for name in (windows if sys.platform == "win32" else (None,))]


def _resolve(name: str) -> None:
    """Tells LLVM where a C function is.

    What numba writes to report errors has no place without numba; kernels raise none.
    """
    import ctypes

    from llvmlite import binding

    if binding.address_of_symbol(name) is None:
        known = [getattr(library, name, None) for library in _libraries()]
        function = next(filter(None, known), _libraries()[0].abort)
        binding.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)


def _target() -> Any:
    """This machine, as LLVM writes code for it; an engine keeps the one that it is given."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(),
        features=binding.get_host_cpu_features().flatten(),
        opt=3,
        codemodel="jitdefault",
        jit=True,
    )


_engines: list[Any] = []  # what holds machine code in memory


def _link(name: str, symbol: str, called: list[str], code: bytes) -> int:
    """Loads machine code; its address, which other code finds by `name`."""
    from llvmlite import binding

    for function in (*called, "memset", "memcpy", "memmove"):  # which LLVM adds
        _resolve(function)
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), _target())
    engine.add_object_file(binding.object_file.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    address = engine.get_function_address(symbol)
    binding.add_symbol(name, address)
    return int(address)


def _folder() -> Path:
    """Where machine code is kept: MICROGRAD_PLUS_CACHE, or the user's cache folder."""
    if chosen := os.environ.get("MICROGRAD_PLUS_CACHE"):
        return Path(chosen)
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "micrograd_plus"
