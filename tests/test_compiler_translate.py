"""What is translated into LLVM's language gives what Python gives."""

from __future__ import annotations

import ast
import ctypes
import math
import re
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("llvmlite")

from micrograd_plus.compiler import machine_code, native
from micrograd_plus.compiler.translate import FLOAT32, FLOAT64, INT, Module, row_of

SOURCE = """
def divided(x: int, y: int) -> int:
    return x // y if y else 0

def rest(x: int, y: int) -> int:
    return x % y if y else 0

def bits(x: int, y: int) -> int:
    return (x & y) + 3 * (x | y) - (x ^ ~y) + (x >> 3) + (y << 2) - -x

def ordered(x: int, y: int) -> int:
    return (x < y) + 2 * (x <= y) + 4 * (x == y) + 8 * (x != y) + 16 * (x > y) + 32 * (x >= y)

def chosen(x: int, y: int) -> int:
    return min(x, y, 7) + 10 * max(x, y) + (100 if x in (1, 2, y) else 0)

def decided(x: int, y: int) -> int:
    return (x and y) + 2 * (x or y) + 4 * (not x) + 8 * (x > 1 and (y or x < 5)) + (x and y > x)

def sums(x: int, y: int) -> int:
    a = b = total = 0
    for i in range(x % 10):
        for k in range(i, y % 10, STEP):
            if k == 4:
                continue
            total += i * k
        total -= 1
    for a in range(x % 20, y % 20, -3):
        b += a
    while b > 30 and True:
        b, a = b - 7, b
        if a == 40:
            return -b
    return total + 1000 * a + b

def twice(x: int, y: int) -> int:
    return sums(sums(x, y), y)

def divisor(x: int, y: int) -> int:
    return divisor(y, x % y) if y else x
"""

FLOATS = """
def basic(x: float, y: float) -> float:
    return (x + y) * x - y / 3.0 + (-x if x > y else abs(y))

def kinks(x: float, y: float) -> float:
    return min(x, y) + 2 * max(x, y) + (x == y) + 2 * (x != y) + 4 * (x < y) + 8 * (x >= y)

def of_c(x: float, y: float) -> float:
    return math.sin(x) + math.cos(y) * math.erf(x) + math.sqrt(abs(y)) + math.isfinite(x * y)

def powers(x: float, y: float) -> float:
    return abs(x) ** 1.5 + 2.0**-3 + int(y) % 7
"""
LANES = """
def bent(x: float) -> float:
    y = 0.25 if x < 0.25 else x
    return x if x != x else math.sqrt(y) - math.erf(x)

def plus(x: float, y: float) -> float:
    return x + y

def larger(x: float, y: float) -> float:
    return y if y > x else x

def element_by_element(x: Row, y: Row, count: int, rows: int) -> None:
    for i in lanes(count):
        a = x[i]
        total = 0.0
        for k in range(rows):
            b = x[k * count + i]
            total += b * a if b > a or not b < 2.0 else bent(b) + min(a, 0.5) * 2
        y[i] += total if (a == 1.0 or a != a) else -abs(total) + (1.0 if math.isfinite(a) else 2.0)
        y[count + i] = 3 if rows else a
    total, largest = 0.0, 0.5
    for i in lanes(count, 16):
        a = 1.0 if x[i] > 1.0 else 0.0
        total = over_lanes(plus, total, a)
        largest = over_lanes(larger, largest, a * x[i] if a > 0.0 else 0.0)
    y[2 * count] = total
    y[2 * count + 1] = largest
"""
FUNCTIONS = ("divided", "rest", "bits", "ordered", "chosen", "decided", "sums", "twice")
STEP = 2


def compiled(text: str, kind: Any, dtype: Any) -> dict[str, Any]:
    """The functions of a source as C functions of two numbers."""
    kinds = {"int": INT, "float": kind, "Row": row_of(kind)}
    module = Module(kinds, {"STEP": STEP})
    symbols = {}
    for node in ast.parse(text).body:
        assert isinstance(node, ast.FunctionDef)
        symbols[node.name] = f"tested_{dtype.__name__}_{node.name}"
        module.add(node, symbol=symbols[node.name])
    addresses = machine_code._link(*machine_code.machine_code(symbols, str(module.ir)))
    function = ctypes.CFUNCTYPE(dtype, dtype, dtype)
    return {name: function(address) for name, address in addresses.items()}


@pytest.fixture(scope="module")
def of_ints() -> dict[str, Any]:
    return compiled(SOURCE, FLOAT64, ctypes.c_int64)


@pytest.fixture(scope="module")
def of_floats() -> dict[str, Any]:
    return compiled(FLOATS, FLOAT64, ctypes.c_double)


PYTHON: dict[str, Any] = {"STEP": STEP, "math": math, "Row": list}
PYTHON |= {"lanes": lambda count, *sizes: range(count), "over_lanes": lambda f, x, y: f(x, y)}
exec(SOURCE + FLOATS + LANES, PYTHON)


@pytest.mark.parametrize("name", FUNCTIONS)
@given(x=st.integers(-(10**6), 10**6) | st.integers(-9, 9), y=st.integers(-9, 9))
def test_whole_numbers(of_ints: dict[str, Any], name: str, x: int, y: int) -> None:
    assert of_ints[name](x, y) == PYTHON[name](x, y)


@pytest.mark.parametrize("name", ["basic", "kinks", "of_c", "powers"])
@given(x=st.floats(-1e3, 1e3) | st.integers(-2, 2), y=st.floats(-1e3, 1e3) | st.integers(-2, 2))
def test_floats(of_floats: dict[str, Any], name: str, x: float, y: float) -> None:
    assert of_floats[name](x, y) == pytest.approx(PYTHON[name](x, y), rel=1e-12)


@pytest.mark.parametrize("x", [math.nan, math.inf, -math.inf, 0.0, -0.0])
@pytest.mark.parametrize("y", [math.nan, math.inf, 1.0])
def test_inf_and_nan(of_floats: dict[str, Any], x: float, y: float) -> None:
    for name in ("basic", "kinks"):
        assert of_floats[name](x, y) == pytest.approx(PYTHON[name](x, y), nan_ok=True)


def test_a_number_of_32_bits_stays_one() -> None:
    """A number as 0.1, which has 64 bits, makes 64 bits of a sum, but not of what is stored."""
    function = compiled("def sum_(x: float, y: float) -> float:\n    return x + y", *SINGLE)["sum_"]
    assert function(1.0, 2.0**-30) == 1.0
    wide = "def wide(x: float, y: float) -> float:\n    return (x + 1e-9 - x) * 1e9 + y"
    assert compiled(wide, *SINGLE)["wide"](1.0, 0.0) == pytest.approx(1.0, abs=1e-6)
    narrow = wide.replace("1e-9", "float32(1e-9)").replace("wide", "narrow")
    assert compiled(narrow, *SINGLE)["narrow"](1.0, 0.0) == 0.0


@pytest.mark.parametrize("vector", [4, 8])
@pytest.mark.parametrize("dtype", [(FLOAT64, ctypes.c_double), (FLOAT32, ctypes.c_float)])
@given(
    x=st.lists(st.sampled_from([-1.5, 0.0, 1.0, 2.0, 3.25, math.inf, math.nan]), max_size=40),
    rows=st.integers(0, 3),
)
def test_lanes_are_a_range(dtype: Any, vector: int, x: list[float], rows: int) -> None:
    """Whatever their number: 16 of them at once, or VECTOR, half as many, and so on."""
    kind, number = dtype
    count = len(x) // max(rows, 1)
    found = (number * (2 * count + 2))(*[1.0] * count)
    given = (number * len(x))(*x)
    in_lanes(kind, vector)(ctypes.addressof(given), ctypes.addressof(found), count, rows)
    wanted = [1.0] * count + [0.0] * (count + 2)
    PYTHON["element_by_element"](x, wanted, count, rows)
    assert list(found) == pytest.approx(wanted, rel=1e-5, abs=1e-5, nan_ok=True)


@cache
def in_lanes(kind: Any, vector: int) -> Any:
    """`element_by_element` as a C function of two addresses and two whole numbers."""
    kinds = {"float": kind, "int": INT, "Row": row_of(kind), "None": None}
    module = Module(kinds, {"VECTOR": vector})
    symbols = {"element_by_element": f"tested_lanes_{kind.name}_{vector}"}
    for node in ast.parse(re.sub(r"\d+\.\d+", rf"{kind.name}(\g<0>)", LANES)).body:
        assert isinstance(node, ast.FunctionDef)
        module.add(node, symbol=symbols.get(node.name, ""))
    addresses = machine_code._link(*machine_code.machine_code(symbols, str(module.ir)))
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(*addresses.values())


SINGLE = FLOAT32, ctypes.c_float


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("return [x]", r"line 2, \[x\]: the part of Python"),
        ("return 0 < x < y", "0 < x < y: write two comparisons"),
        ("with x: pass", "the part of Python"),
        ("return x.first", r"x\.first: int has nothing there"),
        ("for i in lanes(x): y = 0.5 if i else 1.0", "lane where bool is needed"),
        ("return 1.5", "refused.*: float64 where int is needed"),
    ],
)
def test_what_is_not_translated_is_refused(line: str, error: str) -> None:
    module = Module({"int": INT}, {"VECTOR": 4})
    (node,) = ast.parse(f"def refused(x: int, y: int) -> int:\n    {line}").body
    assert isinstance(node, ast.FunctionDef)
    with pytest.raises(TypeError, match=error):
        module.add(node)


def test_on_windows_machine_code_finds_the_functions_of_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There the C libraries of the system have none of them."""
    import llvmlite.binding

    asked: list[str] = []
    added: dict[str, int] = {}

    class Library:
        def __init__(self, name: str) -> None:
            asked.append(name)
            self.abort = ctypes.pythonapi.Py_FatalError

    monkeypatch.setattr(machine_code.sys, "platform", "win32")
    monkeypatch.setattr(machine_code, "_libraries", machine_code._libraries.__wrapped__)
    monkeypatch.setattr(ctypes, "CDLL", Library)
    monkeypatch.setattr(llvmlite.binding, "address_of_symbol", lambda name: None)
    monkeypatch.setattr(llvmlite.binding, "add_symbol", added.__setitem__)
    names = [name for name in native._python() if re.match("Py[A-Z]|Py_", name)]
    for name in names:
        machine_code._resolve(name)
    assert "ucrtbase" in asked
    for name in names:
        of_python = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value
        assert added[name] == of_python
