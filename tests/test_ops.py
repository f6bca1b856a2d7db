"""Every op of the table, against mpmath, against PyTorch at the edges, and in JavaScript."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

import micrograd_plus.functional as mf
from micrograd_plus.engine import Value
from micrograd_plus.formulas.parse import parse
from micrograd_plus.formulas.writers import JavaScript
from micrograd_plus.gradcheck import gradcheck
from micrograd_plus.ops import TABLE, Methods, Op, op
from micrograd_plus.symbols import FUNCTIONS, total

inf, nan = math.inf, math.nan
ULP = 2.0**-52
TINY = 2.0**-1022  # below the smallest normal double, digits are lost
FIXED = [name for name, entry in TABLE.items() if not entry.nary]
NARY = [name for name, entry in TABLE.items() if entry.nary]


# ---- what each op should be: formulas for mpmath, written without looking at ours

mp = mpmath.mp.clone()  # a context of its own: its precision is set below


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def _gelu_tanh(x: Any) -> Any:
    return x / 2 * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (x + mp.mpf("0.044715") * x**3)))


def _halves(values: Sequence[Any]) -> Any:
    half = len(values) // 2
    return zip(values[:half], values[half:], strict=True)


ORACLES: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda a: -a,
    # 0 is the border of the domain, left to PyTorch
    "pow": lambda a, b: mp.power(a, b) if a else 1 / a,
    "exp": lambda x: mp.exp(x),
    "expm1": lambda x: mp.exp(x) - 1,
    "log": lambda x: mp.log(x),
    "log1p": lambda x: mp.log(1 + x),
    "sqrt": lambda x: mp.sqrt(x),
    "sin": lambda x: mp.sin(x),
    "cos": lambda x: mp.cos(x),
    "tan": lambda x: mp.sin(x) / mp.cos(x),
    "tanh": lambda x: mp.tanh(x),
    "sigmoid": _sigmoid,
    "relu": lambda x: max(x, mp.zero),
    "leaky_relu": lambda x, slope: x if x > 0 else slope * x,
    "elu": lambda x, alpha: x if x > 0 else alpha * (mp.exp(x) - 1),
    "softplus": lambda x: mp.log(1 + mp.exp(x)),
    "gelu": lambda x: x / 2 * (1 + mp.erf(x / mp.sqrt(2))),
    "gelu_tanh": _gelu_tanh,
    "silu": lambda x: x * _sigmoid(x),
    "abs": lambda x: mp.fabs(x),
    "maximum": lambda a, b: max(a, b),
    "minimum": lambda a, b: min(a, b),
    "erf": lambda x: mp.erf(x),
    "lt": lambda a, b: mp.mpf(a < b),
    "le": lambda a, b: mp.mpf(a <= b),
    "where": lambda condition, a, b: a if condition else b,
    "sum": lambda *x: mp.fsum(x),
    "dot": lambda *row: mp.fdot(_halves(row)),
    "max": lambda *x: max(x),
    "min": lambda *x: min(x),
    "logsumexp": lambda *x: mp.log(mp.fsum(map(mp.exp, x))),
}


class Tolerance(NamedTuple):
    """How far a result may be from the exact one, in units of the last place (ulp).

    Besides these every result may be off by the smallest normal double.
    """

    relative: float = 4
    absolute: Callable[..., float] = lambda *operands: 0.0  # in ulps of 1


def _size(*operands: float) -> float:
    return sum(map(abs, operands))


# Where a formula cancels, its error is an ulp of the terms, not of the difference.
FORWARD_TOLERANCES = {
    "sum": Tolerance(absolute=lambda *x: len(x) * _size(*x)),
    "dot": Tolerance(absolute=lambda *row: len(row) * sum(abs(a * b) for a, b in _halves(row))),
    # the largest + log(...): the two may cancel
    "logsumexp": Tolerance(absolute=lambda *x: 4 + max(map(abs, x))),
    # 1 + erf and 1 + tanh round to ulps of 1 before they are multiplied by x
    "gelu": Tolerance(absolute=_size),
    "gelu_tanh": Tolerance(absolute=_size),
}
PARTIAL_TOLERANCES = {
    # 1 - out² and out(1 - out), as PyTorch has them too, round to ulps of 1
    "tanh": Tolerance(absolute=lambda x: 2),
    "sigmoid": Tolerance(absolute=lambda x: 1),
    # σ(1 + x(1 - σ)) has a zero; near it, ulps of its terms remain, further out σ is tiny
    "silu": Tolerance(absolute=lambda x: 4 + min(abs(x), 40)),
    # x times what rounds to ulps of 1, and exp(-x²/2), whose exponent is rounded before
    "gelu": Tolerance(absolute=lambda x: 8),
    "gelu_tanh": Tolerance(absolute=lambda x: 16),
    # exponents up to 745 are rounded to 2^-43 before exp sees them
    "erf": Tolerance(relative=1600),
    "logsumexp": Tolerance(relative=1600, absolute=lambda *x: 2 * max(map(abs, x))),
    # b - 1 is rounded where b is small; log|a| up to 710 multiplies that
    "pow": Tolerance(relative=1600),
}

# Here our derivatives deviate from the exact ones, and just as PyTorch's do.
GIVEN_UP: dict[str, Callable[..., bool]] = {
    "gelu_tanh": lambda x: abs(x) > 1e150,  # x² overflows: nan
    "pow": lambda a, b: a < 0 and abs(b) >= 2**53,  # b - 1 is rounded: an odd one becomes even
}


# ---- values and derivatives against mpmath


def oracle(name: str) -> Callable[..., Any]:
    if name not in ORACLES:
        pytest.fail(f"the op {name!r} has no formula for mpmath: add one to ORACLES in {__file__}")
    return ORACLES[name]


def exact(name: str, points: Sequence[Any]) -> Any:
    """The op's value; None at the border of its domain."""
    try:
        return oracle(name)(*points)
    except (ZeroDivisionError, ValueError):
        return None


def exact_slopes(name: str, points: Sequence[Any], here: Any, i: int) -> tuple[float, float] | None:
    """The op's slopes to the left and right of operand i; None at the border of its domain.

    Differences over a step so small, at a precision so high, that 50 digits are right.
    here: the op's value at the points.
    """
    step = mp.mpf(10) ** (-mp.dps // 2)
    left, right = (
        exact(name, [*points[:i], points[i] + shift, *points[i + 1 :]]) for shift in (-step, step)
    )
    if any(value is None or isinstance(value, mp.mpc) for value in (left, here, right)):
        return None
    return float((here - left) / step), float((right - here) / step)


def precise_enough(numbers: Sequence[float]) -> Any:
    """Far more than 50 digits, so that even a slope of 1e-300 comes out right to 50.

    The difference of two values near 1 then still has digits, and so has the sum of 1e300
    and 1e-300.
    """
    magnitude = max([abs(math.log10(abs(x))) for x in numbers if x], default=0)
    return mp.workdps(720 + 4 * math.ceil(magnitude))


def close(got: float, wanted: float, tolerance: Tolerance, numbers: Sequence[float]) -> bool:
    if wanted != wanted or math.isinf(wanted) or math.isinf(got):
        return got == wanted or (got != got and wanted != wanted)
    allowed = ULP * (tolerance.relative * abs(wanted) + tolerance.absolute(*numbers)) + TINY
    return abs(got - wanted) <= allowed


def check_against_mpmath(name: str, numbers: Sequence[float]) -> None:
    entry = TABLE[name]
    with precise_enough(numbers):
        points = [mp.mpf(x) for x in numbers]
        out, here = entry.forward(*numbers), exact(name, points)
        where = f"{name}{tuple(numbers)}"
        forward = FORWARD_TOLERANCES.get(name, Tolerance())
        if here is None:
            return
        wanted = nan if isinstance(here, mp.mpc) else float(here)
        assert close(out, wanted, forward, numbers), f"{where} is {wanted}, not {out}"
        if GIVEN_UP.get(name, lambda *_: False)(*numbers):
            return
        for i, partial in enumerate(entry.partials(out, *numbers)):
            slopes = exact_slopes(name, points, here, i)
            if slopes is None:
                continue
            tolerance = PARTIAL_TOLERANCES.get(name, Tolerance())
            slope = min(max(partial, min(slopes)), max(slopes))  # between the two, at a kink
            assert close(partial, slope, tolerance, numbers), (
                f"the derivative of {where} by operand {i} is {slopes}, not {partial}"
            )


MAGNITUDES = [1e-300, 1e-17, 1e-8, 0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 10.0, 30.0, 700.0, 1000.0, 1e300]
POINTS = [0.0, *MAGNITUDES, *[-x for x in MAGNITUDES]]
PAIRS = [(a, b) for a in POINTS[::2] for b in POINTS[1::2]] + [(a, a) for a in POINTS]

TRIPLES = [(x, *pair) for x in (0.0, 1e-300, 1.0, -2.0) for pair in PAIRS[::7]]


def fixed_points(entry: Op) -> Sequence[tuple[float, ...]]:
    if entry.nary:
        rows = [(x,) * k for x in (0.0, 2.0, -1000.0, 1000.0) for k in (1, 2, 3)]
        rows += [(1e-300, 1.0, -1000.0), (1000.0, 999.0, -1e100), (1.0, 2.0, 3.0, 4.0, 5.0)]
        return [row * len(entry.operands) for row in rows]
    return {1: [(x,) for x in POINTS], 2: PAIRS, 3: TRIPLES}[len(entry.operands)]


@pytest.mark.parametrize("name", TABLE)
def test_the_derivatives_are_right_at_fixed_points(name: str) -> None:
    for numbers in fixed_points(TABLE[name]):
        check_against_mpmath(name, numbers)


# Products, quotients and powers of these stay inside the range of doubles, or leave it for good.
ANY = st.one_of(
    st.floats(-50, 50, allow_subnormal=False),
    st.floats(-1e150, 1e150, allow_subnormal=False).filter(lambda x: not 0 < abs(x) < 1e-150),
)


@pytest.mark.parametrize("name", FIXED)
def test_the_derivatives_are_right_everywhere(name: str) -> None:
    count = len(TABLE[name].operands)

    @given(st.tuples(*[ANY] * count))
    def check(numbers: tuple[float, ...]) -> None:
        check_against_mpmath(name, numbers)

    check()


@pytest.mark.parametrize("name", NARY)
def test_the_derivatives_are_right_for_lists(name: str) -> None:
    count = len(TABLE[name].operands)
    element = st.one_of(st.floats(-50, 50), st.floats(-1e100, 1e100))
    rows = st.integers(1, 6).flatmap(lambda n: st.tuples(*[element] * (n * count)))

    @given(rows)
    def check(numbers: tuple[float, ...]) -> None:
        check_against_mpmath(name, numbers)

    check()


def test_an_op_without_a_formula_for_mpmath_fails_by_name() -> None:
    with pytest.raises(pytest.fail.Exception, match="'cube' has no formula for mpmath"):
        oracle("cube")


# ---- edges, kinks and ties against PyTorch

EDGES = [
    *(0.0, -0.0, 0.5, -0.5, 1 / 3, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 1000.0, -1000.0),
    *(1e-300, -1e-300, 1e300, -1e300, inf, -inf, nan),
]
EDGE_LISTS = [
    *([0.0], [5.0], [inf], [-inf], [nan], [0.0, 0.0], [0.0, -0.0], [1.0, 1.0, 0.0]),
    *([1000.0, 1000.0], [-1000.0, -1000.0], [1e300, -1e300], [inf, 1.0], [inf, inf]),
    *([-inf, -inf], [-inf, 1.0], [inf, -inf], [nan, 1.0], [1.0, nan], [nan, inf], [inf, nan, 1.0]),
]


def flat(rows: Sequence[Sequence[Any]]) -> list[Any]:
    return [x for row in rows for x in row]


def in_pytorch(name: str) -> Callable[..., Any]:
    """PyTorch's function, element by element; of a whole list if the op is one of lists."""
    import torch

    functions = torch.nn.functional
    zero = torch.tensor(0.0, dtype=torch.float64)

    def one_by_one(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *vectors: torch.stack(list(map(function, *vectors)))

    differently_named = {
        "neg": torch.neg,
        "relu": functions.relu,
        "gelu": functions.gelu,
        "gelu_tanh": lambda x: functions.gelu(x, approximate="tanh"),
        "silu": functions.silu,
        # PyTorch's own softplus is x itself above 20, 2e-9 too small: we keep all digits
        "softplus": lambda x: torch.logaddexp(x, zero),
        # the slope is a parameter that learns in prelu alone
        "leaky_relu": lambda x, slope: functions.prelu(x[None], slope)[0],
        # alpha is a constant to PyTorch
        "elu": one_by_one(lambda x, alpha: functions.elu(x, alpha.item())),
        # with SIMD, the larger of 0 and -0 depends on their places
        "maximum": one_by_one(torch.maximum),
        "minimum": one_by_one(torch.minimum),
        # conditions are bools to PyTorch, without a gradient
        "lt": lambda a, b: torch.lt(a, b).double().requires_grad_(),
        "le": lambda a, b: torch.le(a, b).double().requires_grad_(),
        "where": lambda condition, a, b: torch.where(condition.bool(), a, b),
        "max": torch.max,
        "logsumexp": lambda x: torch.logsumexp(x, 0),
    }
    return differently_named.get(name) or getattr(torch, name)


def is_pytorchs(got: float, wanted: float) -> bool:
    if got != got or wanted != wanted:
        return got != got and wanted != wanted
    return got == wanted or abs(got - wanted) <= max(1e-13 * abs(wanted), TINY) < inf


def check_against_pytorch(
    name: str, numbers: Sequence[float], wanted: float, slopes: Sequence[float | None]
) -> None:
    """slopes: None where PyTorch has no derivative."""
    entry = TABLE[name]
    value = entry.forward(*numbers)
    assert is_pytorchs(value, wanted), f"{name}{tuple(numbers)} is {wanted}, not {value}"
    same_sign = str(value) == str(wanted) or name in ("max", "min")  # of 0 and -0, PyTorch's
    assert same_sign or value != 0, f"{name}{numbers}: the sign of 0 differs"  # depends on SIMD
    for got, slope in zip(entry.partials(value, *numbers), slopes, strict=True):
        assert slope is None or is_pytorchs(got, slope), (
            f"the derivatives of {name}{tuple(numbers)} are {slopes}, not {got}"
        )


def torch_gradients(out: Any, tensors: Sequence[Any]) -> list[list[float | None]]:
    """The gradients of the sum of a tensor, for each of the tensors."""
    import torch

    gradients = torch.autograd.grad(out.sum(), tensors, allow_unused=True)
    return [
        [None] * tensor.numel() if gradient is None else gradient.tolist()
        for tensor, gradient in zip(tensors, gradients, strict=True)
    ]


def torch_vector(numbers: Sequence[float]) -> Any:
    import torch

    return torch.tensor(numbers, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("name", FIXED)
def test_edges_kinks_and_ties_are_those_of_pytorch(name: str) -> None:
    pytest.importorskip("torch")
    rows = list(itertools.product(EDGES, repeat=len(TABLE[name].operands)))
    columns = [torch_vector(column) for column in zip(*rows)]
    out = in_pytorch(name)(*columns)
    slopes = zip(*torch_gradients(out, columns))
    for row, wanted, row_slopes in zip(rows, out.tolist(), slopes, strict=True):
        check_against_pytorch(name, row, wanted, row_slopes)


@pytest.mark.parametrize("name", NARY)
def test_edges_and_ties_of_lists_are_those_of_pytorch(name: str) -> None:
    pytest.importorskip("torch")
    for rows in itertools.product(EDGE_LISTS, repeat=len(TABLE[name].operands)):
        if len({len(row) for row in rows}) > 1:
            continue
        tensors = [torch_vector(row) for row in rows]
        out = in_pytorch(name)(*tensors)
        check_against_pytorch(name, flat(rows), out.item(), flat(torch_gradients(out, tensors)))


def test_the_edges_that_the_design_names() -> None:
    def value(name: str, *numbers: float) -> float:
        return TABLE[name].forward(*numbers)

    def slopes(name: str, *numbers: float) -> list[float]:
        return TABLE[name].partials(value(name, *numbers), *numbers)

    assert value("exp", 1000.0) == value("div", 1.0, 0.0) == value("pow", 0.0, -1.0) == inf
    assert value("log", 0.0) == value("div", -1.0, 0.0) == value("pow", -0.0, -1.0) == -inf
    assert math.isnan(value("log", -1.0))
    assert math.isnan(value("pow", -8.0, 1 / 3))
    assert math.isnan(value("div", 0.0, 0.0))
    assert value("pow", 0.0, 0.0) == 1
    assert (value("pow", -2.0, 3.0), value("pow", -2.0, -2.0)) == (-8, 0.25)
    assert slopes("pow", 0.0, 2.0) == slopes("pow", 0.0, 0.0) == [0, 0]
    assert slopes("pow", 0.0, -1.0) == [-inf, -inf]
    assert (value("sigmoid", 1000.0), value("sigmoid", -1000.0)) == (1, 0)
    assert (value("softplus", 1000.0), value("softplus", -1000.0)) == (1000, 0)
    assert (value("tanh", 1000.0), value("tanh", -1000.0)) == (1, -1)
    assert slopes("relu", 0.0) == slopes("abs", 0.0) == [0]
    assert slopes("maximum", 2.0, 2.0) == slopes("minimum", 2.0, 2.0) == [0.5, 0.5]
    assert slopes("max", 2.0, 1.0, 2.0, 2.0) == [1 / 3, 0, 1 / 3, 1 / 3]
    assert value("logsumexp", 1000.0, 1000.0) == 1000 + math.log(2)
    assert value("logsumexp", -inf, -inf) == -inf
    assert value("logsumexp", inf, 0.0) == inf
    assert math.isnan(value("relu", nan))
    for name in ("maximum", "minimum", "max"):
        for row in [(nan, 1.0), (1.0, nan), (nan, inf), (-inf, nan)]:
            assert math.isnan(value(name, *row)), (name, row)


# ---- JavaScript


def in_javascript(run: Callable[[str], str], calls: Sequence[tuple[str, Sequence[float]]]) -> Any:
    """Every call's value and partials, from one Node process."""
    # JSON has no nan and no inf, and loses the sign of 0: numbers travel as text.
    script = f"""
        {JavaScript().prelude()}
        {"".join(entry.javascript for entry in TABLE.values())}
        const ops = {{ {", ".join(f"{x}: [{x}_forward, {x}_partials]" for x in TABLE)} }};
        const text = x => Object.is(x, -0) ? "-0" : String(x);
        const results = {json.dumps([[name, [repr(x) for x in row]] for name, row in calls])}
            .map(([name, row]) => {{
                const numbers = row.map(x => Number(
                    x.replace("inf", "Infinity").replace("nan", "NaN")));
                const out = ops[name][0](...numbers);
                return [out, ...ops[name][1](out, ...numbers)].map(text);
            }});
        console.log(JSON.stringify(results));
    """
    return [[float(x) for x in row] for row in json.loads(run(script))]


def test_javascript_gives_the_same_numbers(run_javascript: Callable[[str], str]) -> None:
    more = [x / 4 for x in range(-60, 61)]
    calls: list[tuple[str, Sequence[float]]] = []
    for name, entry in TABLE.items():
        calls += [(name, row) for row in fixed_points(entry)]
        if entry.nary:
            lists = itertools.product(EDGE_LISTS, repeat=len(entry.operands))
            calls += [(name, flat(rows)) for rows in lists if len({*map(len, rows)}) == 1]
        else:
            calls += [(name, row) for row in itertools.product(EDGES, repeat=len(entry.operands))]
            calls += [(name, (x, *[1.5] * (len(entry.operands) - 1))) for x in more]
    for (name, numbers), got in zip(calls, in_javascript(run_javascript, calls), strict=True):
        entry = TABLE[name]
        out = entry.forward(*numbers)
        wanted = [out, *entry.partials(out, *numbers)]
        allowed = [FORWARD_TOLERANCES.get(name, Tolerance())]
        allowed += [PARTIAL_TOLERANCES.get(name, Tolerance())] * (len(wanted) - 1)
        for x, y, tolerance in zip(got, wanted, allowed, strict=True):
            loose = tolerance._replace(relative=max(tolerance.relative, 1e-12 / ULP))
            assert close(x, y, loose, numbers), f"{name}{tuple(numbers)} is {got} in JavaScript"


def test_the_error_function_in_javascript(run_javascript: Callable[[str], str]) -> None:
    points = [x / 64 for x in range(-450, 451)] + [1e-300, -1e-17, 1e-8, 2.0000001, 5.999999, 1e300]
    results = in_javascript(run_javascript, [("erf", [x]) for x in points])
    for x, (got, _) in zip(points, results, strict=True):
        assert abs(got - float(mpmath.erf(x))) < 1e-14, x
        assert math.copysign(1, got) == math.copysign(1, x), x


# ---- LaTeX


def check_latex(source: str) -> None:
    """Braces, brackets and environments are closed in the order in which they were opened."""
    opened = []
    for token in re.findall(r"\\left\b|\\right\b|\\begin{\w+}|\\end{\w+}|\\.|[{}]", source):
        if token in ("{", r"\left") or token.startswith(r"\begin"):
            opened.append(token.replace("begin", "end"))
        elif token in ("}", r"\right") or token.startswith(r"\end"):
            pairs = {"}": "{", r"\right": r"\left"}
            assert opened, source
            assert opened.pop() == pairs.get(token, token), source
    assert not opened, source
    assert not re.search(r"Infinity|\binf\b|\bnan\b|\*\*|\w_\w\w", source), source


@pytest.mark.parametrize("name", TABLE)
def test_latex_is_well_formed(name: str) -> None:
    check_latex(TABLE[name].latex)
    assert len(TABLE[name].latex_partials) == len(TABLE[name].operands)
    for partial in TABLE[name].latex_partials:
        check_latex(partial)


@pytest.mark.parametrize("bad", ["{", "}", r"\left(x", r"\begin{cases} {x \end{cases}}", "a**b"])
def test_malformed_latex_would_be_found(bad: str) -> None:
    with pytest.raises(AssertionError):
        check_latex(bad)


@pytest.mark.parametrize(
    ("name", "formula", "partials"),
    [
        ("mul", r"a \cdot b", ("b", "a")),
        ("sub", "a - b", ("1", "-1")),
        ("tanh", r"\tanh\left(x\right)", (r"1 - \mathrm{out} \cdot \mathrm{out}",)),
        ("log1p", r"\operatorname{log1p}\left(x\right)", (r"\frac{1}{1 + x}",)),
        ("sqrt", r"\sqrt{x}", (r"\frac{1}{2 \cdot \mathrm{out}}",)),
        ("dot", r"\sum_i x_i \cdot y_i", ("y_i", "x_i")),
        (
            "relu",
            r"\begin{cases} 0 & \text{if } x < 0 \\ x & \text{otherwise} \end{cases}",
            (r"\begin{cases} 0 & \text{if } x \le 0 \\ 1 & \text{otherwise} \end{cases}",),
        ),
    ],
)
def test_latex_of(name: str, formula: str, partials: tuple[str, ...]) -> None:
    assert TABLE[name].latex == formula
    assert TABLE[name].latex_partials == partials


# ---- one entry is all there is to an op


@pytest.fixture
def cube() -> Any:
    """An op that did not exist when everything else was imported."""
    yield op("cube", lambda x: x * x * x, lambda out, x: 3 * x * x, doc="x times x times x")
    del TABLE["cube"]
    del Methods.cube  # type: ignore[attr-defined]


def test_a_new_op_works_everywhere(cube: Op, run_javascript: Callable[[str], str]) -> None:
    import micrograd_plus as package

    x = Value(2.0, label="x")
    for function in (x.cube, lambda: mf.cube(x), lambda: package.cube(x), lambda: mf.cube(x=x)):
        x.grad = 0.0
        out = function()
        out.backward()
        assert (out.data, x.grad, out.op) == (8.0, 12.0, cube)
    assert Value.cube.__doc__ == "cube(x): x times x times x."
    assert package.cube.__doc__.startswith(f"{Value.cube.__doc__}\n\n>>> ")
    assert parse("1 + cube(x)", x=2).data == 9
    assert gradcheck(x.cube() + x)
    assert "def cube_partials(out, x):\n    return [3.0 * x * x]" in cube.python
    assert cube.latex_partials == (r"3 \cdot x \cdot x",)
    assert in_javascript(run_javascript, [("cube", [2.0])]) == [[8.0, 12.0]]


def test_a_new_op_leaves_nothing_behind() -> None:
    import micrograd_plus as package

    assert not any(hasattr(place, "cube") for place in (Value, mf, package))


def test_a_new_op_of_vectors() -> None:
    entry = op(
        "sum_of_squares",
        lambda x: total(x * x),
        lambda out, x: 2 * x,
        nary=True,
    )
    try:
        values = [Value(1.0), Value(-2.0)]
        mf.sum_of_squares(values).backward()
        assert [value.grad for value in values] == [2.0, -4.0]
        assert not hasattr(Value, "sum_of_squares")
        assert entry.latex == r"\sum_i x_i \cdot x_i"
    finally:
        del TABLE["sum_of_squares"]


def test_errors_of_op() -> None:
    with pytest.raises(ValueError, match="Python identifier, not 'my op'"):
        op("my op", lambda x: x, lambda out, x: 1)
    form = r"2 derivatives, one for each operand, each of the form `lambda out, a, b: \.\.\.`"
    with pytest.raises(ValueError, match=form):
        op("mine", lambda a, b: a + b, lambda out, a, b: 1)
    with pytest.raises(ValueError, match=form):
        op("mine", lambda a, b: a + b, lambda a, b: 1, lambda a, b: 1)
    with pytest.raises(TypeError, match=r"functions of micrograd_plus\.symbols"):
        op("mine", lambda x: math.sin(x), lambda out, x: 1)
    for functions in ([math.sin, lambda out, x: 1], [lambda x: 2 * x, 2.0]):
        with pytest.raises(TypeError, match=r"such as lambda x: .*symbols, not (<built-in|2\.0)"):
            op("mine", *functions)
    assert not TABLE.keys() & {"my op", "mine"}
    tanh = TABLE["tanh"]
    with pytest.raises(ValueError, match="the library has an op 'tanh' already"):
        op("tanh", lambda x: x, lambda out, x: 1)
    assert TABLE["tanh"] is tanh


def test_every_op_says_what_it_is() -> None:
    for entry in TABLE.values():
        assert entry.doc, entry
    assert repr(TABLE["pow"]) == "<op pow(a, b)>"
    assert TABLE["leaky_relu"].signature == "leaky_relu(x, slope=0.01)"
    assert mf.leaky_relu.__doc__.startswith(Value.leaky_relu.__doc__)
    assert Value.exp.__doc__ == "exp(x): e to the power x."


def test_no_name_of_an_operand_shadows_a_function() -> None:
    reserved = {*FUNCTIONS, "out", "row", "n", "i"}
    for entry in TABLE.values():
        assert not reserved & set(entry.operands), entry


@given(st.floats())
def test_an_idempotent_op_needs_no_operand_once_there_is_a_result(x: float) -> None:
    idempotent = [entry for entry in TABLE.values() if entry.idempotent]
    assert idempotent
    for entry in idempotent:
        out = entry.forward(x)
        assert repr(entry.forward(out)) == repr(out)
        assert repr(entry.partials(out, out)) == repr(entry.partials(out, x))


def test_a_rule_can_be_exchanged_before_its_first_use(
    cube: Op, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = cube.partials
    monkeypatch.setattr(cube, "partials", lambda *numbers: [2 * x for x in right(*numbers)])
    for _ in range(2):
        assert cube.partials(cube.forward(2.0), 2.0) == [24.0]
    monkeypatch.undo()
    for _ in range(2):
        assert cube.partials(cube.forward(2.0), 2.0) == [12.0]
    assert cube.partials.__name__ == "cube_partials"  # from now on, the compiled one
