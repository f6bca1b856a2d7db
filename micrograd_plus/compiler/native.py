"""The kernels at native speed: compiled by numba, once per machine, and kept on disk.

`kernels.py` is compiled as it is. Around each formula and each partial derivative of the op
table a loop is written, and compiled when a program first needs it. Sources and machine code lie
in the user's cache folder; where nothing can be written, compiling is only slower.

>>> from ..ops import TABLE
>>> print("\\n".join(_Loops(TABLE["relu"]).forward()))
p0 = at[0]
for i in range(n):
    x_i = data[p0 + i]
    data[out + i] = 0.0 if x_i < 0.0 else x_i
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from ..files import write_atomically
from ..ops import Op
from ..symbols import Expression, Symbol
from ..writers import Python, Writer, name_shared_parts


class _Loops(Python):
    """The loops of one op, over numbers that lie side by side in `data` and `grad`.

    Operand j begins at at[j], the result at `out`. Of a vector, element k follows `width`
    numbers after element k - 1, and its sums are loops of their own.
    """

    operations = {
        **Python.operations,
        "/": Writer.operations["/"],
        "**": Writer.operations["**"],
        "abs": (9, "abs({})"),
    }
    reductions = {  # what a sum starts from, and what each element does to it
        "total": ("0.0", "{0} += {1}"),
        "largest": ("-inf", "{0} = {1} if {1} > {0} or {1} != {1} else {0}"),
        "inner": ("0.0", "{0} += {1} * {2}"),
    }

    def __init__(self, op: Op) -> None:
        self.op = op

    def symbol(self, symbol: Symbol) -> str:
        return f"{symbol.name}_{'k' if symbol.vector else 'i'}"

    def call(self, name: str, arguments: str) -> str:
        return f"math.{name}({arguments})"

    def forward(self) -> list[str]:
        """The lines that compute the op."""
        return self._loop(self.op.expression, ["data[out + i] = {}"])

    def backward(self, j: int) -> list[str]:
        """The lines that add the partial derivative by operand j times the gradient."""
        derivative = self.op.derivatives[j]
        if not self.op.nary:
            store = [f"grad[p{j} + i] += grad[out + i] * ({{}})"]
        else:
            place = f"grad[p{j} + k * width + i]"
            each = [*self._elements(derivative), f"{place} += grad[out + i] * ({{}})"]
            store = ["for k in range(n):", *_indented(each)]
        return self._loop(derivative, store)

    def _loop(self, formula: Any, store: list[str]) -> list[str]:
        shared, (result,) = name_shared_parts((formula,))
        body = []
        for part in _symbols(formula):
            if part.name == "out":
                body.append("out_i = data[out + i]")
            elif not part.vector:
                body.append(f"{part.name}_i = data[p{self._position(part)} + i]")
        for part, value in shared:
            body += self._assignment(self.symbol(part), value)
        if isinstance(result, Expression) and result.name in self.reductions:
            body += self._assignment("result", result)
            result = "result"
        else:
            result = self.write(result)
        body += [line.format(result) for line in store]
        places = [f"p{j} = at[{j}]" for j in range(len(self.op.operands))]
        return [*places, f"for i in range({'width' if self.op.nary else 'n'}):", *_indented(body)]

    def _assignment(self, name: str, value: Any) -> list[str]:
        if not isinstance(value, Expression) or value.name not in self.reductions:
            return [f"{name} = {self.write(value)}"]
        start, step = self.reductions[value.name]
        written = [self.write(argument) for argument in value.args]
        body = [*self._elements(value), step.format(name, *written)]
        return [f"{name} = {start}", "for k in range(n):", *_indented(body)]

    def _elements(self, formula: Any) -> Iterator[str]:
        """The assignments of the vectors' elements in `formula`."""
        for part in _symbols(formula):
            if part.vector:
                yield f"{part.name}_k = data[p{self._position(part)} + k * width + i]"

    def _position(self, operand: Symbol) -> int:
        return self.op.operands.index(operand.name)


def _symbols(formula: Any) -> list[Symbol]:
    """The symbols in `formula`, each once."""
    if isinstance(formula, Symbol):
        return [formula]
    parts = formula.args if isinstance(formula, Expression) else ()
    return list(dict.fromkeys(symbol for part in parts for symbol in _symbols(part)))


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]


# ---- from source to machine code


_NUMBA = """
import math
from numba import cfunc, njit
from micrograd_plus.compiler.native import calls, signature, unit

inf, nan = math.inf, math.nan
"""

_KERNELS = """
call = calls()

# Sums may be added in another order, and products fused with sums; nothing else may change, so
# that inf and nan come out as they do in Python.
SUMS = {"reassoc", "contract"}


def inlined(function, flags=frozenset()):
    return njit(error_model="numpy", fastmath=set(flags))(function)


for _name in (
    "element", "place", "in_place", "pack", "clear", "block_of", "vector", "step_of", "is_laned",
    "is_matrix", "picked", "picks_forward", "picks_backward", "uniform", "load_numbers", "keep",
):
    globals()[_name] = inlined(globals()[_name])
unpack = inlined(unpack, SUMS)
multiply = unit(multiply, SUMS)
multiply_transposed = unit(multiply_transposed, SUMS)
for _name in ("dots_forward", "dots_backward"):
    globals()[_name] = inlined(globals()[_name], SUMS)
for _name in ("each_forward", "each_backward", "matmul_forward", "matmul_backward"):
    globals()[_name] = inlined(globals()[_name])
forward, backward = unit(forward), unit(backward)
for _name in ("run_group", "update"):
    globals()[_name] = inlined(globals()[_name])
address = cfunc(signature(run), cache=True, error_model="numpy")(run).address
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


def unit(function: Any, flags: Any = ()) -> Any:
    """A kernel that is compiled by itself, as others call it.

    numba would compile it anew inside every caller.
    """
    from llvmlite.binding import add_symbol
    from numba import cfunc, types

    compiled = cfunc(signature(function), cache=True, error_model="numpy", fastmath=set(flags))(
        function
    )
    name = f"{function.__module__}_{function.__name__}"
    add_symbol(name, compiled.address)
    return types.ExternalFunction(name, signature(function))


def calls() -> Any:
    """What the kernels call an op's loop with: call(address, (arguments, …))."""
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    @intrinsic
    def call(typing: Any, address: Any, arguments: Any) -> Any:
        def generate(context: Any, builder: Any, _: Any, given: Any) -> Any:
            numbers = cgutils.unpack_tuple(builder, given[1])
            kind = ir.FunctionType(ir.VoidType(), [number.type for number in numbers])
            builder.call(builder.inttoptr(given[0], kind.as_pointer()), numbers)
            return context.get_dummy_value()

        return types.void(address, arguments), generate

    return call


def cache_folder() -> Path:
    """Where compiled kernels are kept: MICROGRAD_PLUS_CACHE, or the user's cache folder."""
    if chosen := os.environ.get("MICROGRAD_PLUS_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "micrograd_plus"


@cache
def run_address() -> int:
    """Where the machine code of `kernels.run` is; ImportError without numba."""
    kernels = Path(__file__).with_name("kernels.py").read_text(encoding="utf-8")
    return int(_module("kernels", kernels + _NUMBA + _KERNELS).address)


@cache
def loop_addresses(op: Op) -> list[int]:
    """Where the machine code of an op's loops is: forward, then backward by each operand."""
    loops = {"forward": _Loops(op).forward()}
    loops |= {f"backward_{j}": _Loops(op).backward(j) for j in range(len(op.operands))}
    arguments = "n: int, width: int, data: Floats, grad: Floats, out: int, at: Integers"
    text = _NUMBA
    for name, lines in loops.items():
        text += f"\n\ndef {name}({arguments}) -> None:\n" + "\n".join(_indented(lines)) + "\n"
    text += f"""

addresses = [
    cfunc(signature(loop), cache=True, error_model="numpy", fastmath={_flags(op)!r})(loop).address
    for loop in ({", ".join(loops)})
]
"""
    return list(_module(f"op_{op.name}", "from __future__ import annotations\n" + text).addresses)


def _flags(op: Op) -> set[str]:
    """What a compiler may change: only the order in which a vector is summed."""
    return {"reassoc"} if op.nary else set()


def _module(title: str, text: str) -> ModuleType:
    """The module with this source, in a file beside which numba keeps its machine code."""
    name = f"{title}_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    for folder in (cache_folder, lambda: Path(tempfile.mkdtemp(prefix="micrograd_plus_"))):
        try:
            path = folder() / f"{name}.py"
            if not path.exists():
                write_atomically(path, text)
            return _loaded(f"micrograd_plus_{name}", path)
        except (OSError, RuntimeError):  # no home folder, no room, or nothing may be written
            continue
    raise OSError("compiled kernels can be kept nowhere, not even in a temporary folder")


def _loaded(name: str, path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise OSError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # numba looks a function's module up by its name
    specification.loader.exec_module(module)
    return module
