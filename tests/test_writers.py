"""Whatever is written must mean the same as the tree that it was written from."""

from __future__ import annotations

import ast
import json
import linecache
import math
import traceback
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micrograd_plus.formulas.writers import (
    JavaScript,
    LaTeX,
    MathML,
    Python,
    Writer,
    compile_python,
)
from micrograd_plus.ops import TABLE
from micrograd_plus.symbols import (
    FUNCTIONS,
    ON_FLOATS,
    Expression,
    Symbol,
    divide,
    equal,
    erf,
    exp,
    inner,
    largest,
    log,
    power,
    tanh,
    total,
    where,
)

a, b, c, x = (Symbol(name) for name in "abcx")
u, v = Symbol("u", vector=True), Symbol("v", vector=True)
NUMBERS = {"a": 0.7, "b": -1.3, "c": 2.0}


# ---- random formulas: an interpreter of trees is the oracle

MEANING: dict[str, Callable[..., Any]] = {
    "+": lambda p, q: p + q,
    "-": lambda p, q: p - q,
    "*": lambda p, q: p * q,
    "/": divide,
    "**": power,
    "neg": lambda p: -p,
    "abs": abs,
    "<": lambda p, q: p < q,
    "<=": lambda p, q: p <= q,
    ">": lambda p, q: p > q,
    ">=": lambda p, q: p >= q,
    "and": lambda p, q: p and q,
    **{name: FUNCTIONS[name] for name in ("exp", "tanh", "erf", "log", "equal", "where")},
}


def interpret(tree: Any) -> Any:
    if isinstance(tree, Symbol):
        return NUMBERS[tree.name]
    if isinstance(tree, Expression):
        return MEANING[tree.name](*map(interpret, tree.args))
    return float(tree)


def _larger(smaller: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    compare = st.builds(
        Expression, st.sampled_from(["<", "<=", ">", ">=", "equal"]), smaller, smaller
    )
    condition = compare | st.builds(Expression, st.just("and"), compare, compare)
    return st.one_of(
        st.builds(Expression, st.sampled_from(["+", "-", "*", "/", "**"]), smaller, smaller),
        st.builds(Expression, st.sampled_from(["neg", "abs", "exp", "tanh", "erf"]), smaller),
        st.builds(Expression, st.just("where"), condition, smaller, smaller),
    )


ATOMS = st.sampled_from([a, b, c, 0, -0.0, 2, -3, 0.5, -1e-7, 1e300, math.inf, -math.inf])
TREES = st.recursive(ATOMS, _larger, max_leaves=12)


@given(TREES)
def test_python_means_what_the_tree_means(tree: Any) -> None:
    result = eval(Python().write(tree), {**ON_FLOATS, **NUMBERS})
    assert str(float(result)) == str(float(interpret(tree)))


@given(TREES, TREES)
def test_a_python_function_means_what_its_trees_mean(one: Any, other: Any) -> None:
    source = Python().function("f", [a, b, c], (one, other, one))
    (function,) = compile_python(source, "<test>", ON_FLOATS)
    results = function(**NUMBERS)
    wanted = [interpret(one), interpret(other), interpret(one)]
    assert [str(float(r)) for r in results] == [str(float(w)) for w in wanted]


def test_javascript_means_what_the_tree_means(run_javascript: Callable[[str], str]) -> None:
    trees: list[Any] = []

    @given(TREES)
    def collect(tree: Any) -> None:
        trees.append(tree)

    collect()
    written = ", ".join(f"() => {JavaScript().write(tree)}" for tree in trees)
    script = f"""
        {JavaScript().prelude()}
        const a = 0.7, b = -1.3, c = 2;
        console.log(JSON.stringify([{written}].map(f => String(f()))));
    """
    for tree, result in zip(trees, json.loads(run_javascript(script)), strict=True):
        wanted = pytest.approx(interpret(tree), rel=1e-9, abs=1e-12, nan_ok=True)
        assert float(result) == wanted, JavaScript().write(tree)


@given(TREES)
def test_plain_text_has_the_brackets_that_it_needs(tree: Any) -> None:
    def python(node: Any) -> str:  # fully bracketed
        if not isinstance(node, Expression) or isinstance(node, Symbol):
            return f"({Writer().write(node)})"
        parts = [python(argument) for argument in node.args]
        if node.name == "where":
            return f"({parts[1]} if {parts[0]} else {parts[2]})"
        if node.name == "neg":
            return f"(-{parts[0]})"
        if len(parts) == 2:
            return f"({parts[0]} {'==' if node.name == 'equal' else node.name} {parts[1]})"
        return f"{node.name}({', '.join(parts)})"

    assert ast.dump(ast.parse(Writer().write(tree))) == ast.dump(ast.parse(python(tree)))


# ---- single sentences


@pytest.mark.parametrize(
    ("tree", "plain", "python", "javascript"),
    [
        (a + (b + c), "a + (b + c)", "a + (b + c)", "a + (b + c)"),
        (a - (b - c) - a, "a - (b - c) - a", "a - (b - c) - a", "a - (b - c) - a"),
        (-(a**2), "-a**2", "-power(a, 2.0)", "-power(a, 2)"),
        ((-a) ** 2, "(-a)**2", "power(-a, 2.0)", "power(-a, 2)"),
        (a ** (b**c), "a**b**c", "power(a, power(b, c))", "power(a, power(b, c))"),
        ((a**b) ** c, "(a**b)**c", "power(power(a, b), c)", "power(power(a, b), c)"),
        (Expression("**", -2.0, x), "(-2)**x", "power(-2.0, x)", "power(-2, x)"),
        (a / (b * c), "a / (b * c)", "divide(a, b * c)", "a / (b * c)"),
        (abs(a), "abs(a)", "abs(a)", "Math.abs(a)"),
        (a - -3, "a - (-3)", "a - -3.0", "a - -3"),
        (equal(a, 0) & (b >= 0), "a == 0 and b >= 0", "a == 0.0 and b >= 0.0", "a === 0 && b >= 0"),
        (
            1 + where(a < 0, 0, a),
            "1 + (0 if a < 0 else a)",
            "1.0 + (0.0 if a < 0.0 else a)",
            "1 + (a < 0 ? 0 : a)",
        ),
        (0.1 + 0.2 * a, "0.1 + 0.2 * a", "0.1 + 0.2 * a", "0.1 + 0.2 * a"),
        (a * math.pi, "a * 3.1416", "a * 3.141592653589793", "a * 3.141592653589793"),
        (a * -math.inf, "a * (-inf)", "a * -inf", "a * -Infinity"),
        (Expression("neg", -0.0), "-(-0)", "-(-0.0)", "-(-0)"),
        (erf(a), "erf(a)", "erf(a)", "erf(a)"),
    ],
)
def test_written(tree: Any, plain: str, python: str, javascript: str) -> None:
    assert (Writer().write(tree), Python().write(tree), JavaScript().write(tree)) == (
        plain,
        python,
        javascript,
    )


@pytest.mark.parametrize(
    ("tree", "latex"),
    [
        (a * (b + c), r"a \cdot \left(b + c\right)"),
        ((a / b) ** 2, r"\left(\frac{a}{b}\right)^{2}"),
        (a ** (b + 1), "a^{b + 1}"),
        (exp(-a) ** 2, r"\left(e^{-a}\right)^{2}"),
        (a - (-b), r"a - \left(-b\right)"),
        (total(u) * a, r"\left(\sum_i u_i\right) \cdot a"),
        (inner(u, v) * a, r"\left(\sum_i u_i \cdot v_i\right) \cdot a"),
        (total(u * v), r"\sum_i u_i \cdot v_i"),
        (total(u - a), r"\sum_i \left(u_i - a\right)"),
        (largest(u) + a, r"\max_i u_i + a"),
        (abs(a) * log(b), r"\left|a\right| \cdot \log\left(b\right)"),
        (equal(a, 0) & (b >= 0), r"a = 0 \text{ and } b \ge 0"),
        (
            1 + where(a < 0, 0, where(a < 1, a, 1)),
            r"1 + \left(\begin{cases} 0 & \text{if } a < 0 \\ a & \text{if } a < 1 \\ "
            r"1 & \text{otherwise} \end{cases}\right)",
        ),
        (a + 1.25e-7, r"a + 1.25 \cdot {10^{-7}}"),
        (a - 1e300, r"a - 1 \cdot {10^{300}}"),
        (a * -math.inf, r"a \cdot \left(-\infty\right)"),
        (a + math.nan, r"a + \mathrm{nan}"),
        (Expression("log1p", a), r"\operatorname{log1p}\left(a\right)"),
        (Expression("gelu_tanh", a), r"\operatorname{gelu\_tanh}\left(a\right)"),
        (Symbol("w12"), "w_{12}"),
        (Symbol("x_3"), "x_{3}"),
        (Symbol("loss"), r"\mathrm{loss}"),
        (Symbol("w₁,₄⁽¹⁾"), "{w_{1,4}^{(1)}}"),
        (Symbol("w₁,₄⁽¹⁾") ** 2, r"\left({w_{1,4}^{(1)}}\right)^{2}"),
        (Symbol("b⁽¹²⁾"), "{b^{(12)}}"),
        (Symbol("self_attn.W_q₁₂,₁"), r"\mathrm{self\_attn.}W_{q,12,1}"),
        (Symbol("50% & #1_{a}"), r"\mathrm{50\% \& \#1\_\{a\}}"),
        (Symbol("a\\b~c^d$"), r"\mathrm{a∖b{\sim}c{\wedge}d\$}"),
        (Symbol("…"), r"\mathrm{…}"),
    ],
)
def test_latex(tree: Any, latex: str) -> None:
    assert LaTeX().write(tree) == latex


# ---- functions


def test_a_part_that_is_used_twice_is_computed_once() -> None:
    e = exp(-x)
    assert Python().function("f", [x], e / (1 + e) + e) == (
        "def f(x):\n    t0 = exp(-x)\n    return divide(t0, 1.0 + t0) + t0\n"
    )
    assert JavaScript().function("f", [x], (tanh(x), 1 - tanh(x))) == (
        "function f(x) {\n  const t0 = Math.tanh(x);\n  return [t0, 1 - t0];\n}\n"
    )


def test_parts_inside_shared_parts_are_named_before_them() -> None:
    e = exp(x)
    source = Python().function("f", [x], (tanh(e) * tanh(e), e))
    assert source == ("def f(x):\n    t0 = exp(x)\n    t1 = tanh(t0)\n    return [t1 * t1, t0]\n")


def test_functions_of_vectors_take_one_row() -> None:
    source = Python().function("f", [a, u, v], (total(u * v) * u, a * v))
    (function,) = compile_python(source, "<test>", ON_FLOATS)
    assert function(10.0, 1.0, 2.0, 3.0, 4.0) == [11.0, 22.0, 30.0, 40.0]
    assert "    n = len(row) // 2\n    u = row[0 * n:1 * n]\n" in source


def test_a_reduction_is_computed_before_the_loop() -> None:
    assert Python().function("f", [u], (u / total(u),)) == (
        "def f(*row):\n    u = row\n    t0 = total(u)\n    return [divide(u_i, t0) for u_i in u]\n"
    )
    assert JavaScript().function("f", [u], (exp(u - largest(u)),)) == (
        "function f(...row) {\n"
        "  const u = row;\n"
        "  const t0 = largest(u);\n"
        "  return u.map((_, i) => Math.exp(u[i] - t0));\n"
        "}\n"
    )


def test_a_traceback_shows_the_written_line() -> None:
    source = Python().function("f", [a], Expression("missing", a))
    (function,) = compile_python(source, "<written f>", {})
    with pytest.raises(NameError) as error:
        function(1.0)
    assert "return missing(a)" in "".join(traceback.format_exception(error.value))
    assert linecache.getline("<written f>", 1) == "def f(a):\n"


# ---- MathML

LAYOUT = {"mrow", "mfrac", "msup", "msub", "msqrt", "munder", "mtable", "mtr", "mtd"}
TOKENS = {"mi", "mn", "mo", "mtext"}
CHILDREN = {"mfrac": 2, "msup": 2, "msub": 2, "munder": 2, "msqrt": 1}


def mathml(tree: Any) -> ElementTree.Element:
    """What is written, parsed, after a look at what every MathML must keep to."""
    written = ElementTree.fromstring(MathML().write(tree))
    for element in written.iter():
        assert element.tag in LAYOUT | TOKENS
        assert len(element) == CHILDREN.get(element.tag, len(element))
        assert element.tag in LAYOUT or len(element) == 0
        assert element.tag in TOKENS or not element.text
        assert not element.tail
    return written


def flat(element: ElementTree.Element) -> str:
    """The formula in a line: {} around what a fraction, a power or a root puts in its place."""
    if element.tag == "mrow":
        return "".join(map(flat, element))
    if element.tag in TOKENS:
        return (element.text or "").replace("\u2061", "")
    return f"{element.tag}{''.join(f'{{{flat(child)}}}' for child in element)}"


@pytest.mark.parametrize("op", TABLE.values(), ids=lambda op: op.name)
def test_every_op_is_written_in_mathml(op: Any) -> None:
    for tree in (op.expression, *op.derivatives):
        mathml(tree)


@given(TREES)
def test_mathml_has_the_brackets_that_latex_has(tree: Any) -> None:
    assert flat(mathml(tree)).count("(") == LaTeX().write(tree).count(r"\left(")


@pytest.mark.parametrize(
    ("tree", "line"),
    [
        (a * (b + c), "a·(b+c)"),
        (a - (b - c) - a, "a−(b−c)−a"),
        ((a / b) ** 2, "msup{(mfrac{a}{b})}{2}"),
        (a ** (b + 1), "msup{a}{b+1}"),
        (exp(-a) ** 2, "msup{(msup{e}{−a})}{2}"),
        (a - (-b), "a−(−b)"),
        (a * -3, "a·(−3)"),
        (abs(a) * log(b), "|a|·log(b)"),
        (Expression("sqrt", a + b), "msqrt{a+b}"),
        (1 - tanh(a) ** 2, "1−msup{tanh(a)}{2}"),
        (total(u) * a, "(munder{∑}{i}msub{u}{i})·a"),
        (total(u - a), "munder{∑}{i}(msub{u}{i}−a)"),
        (inner(u, v), "munder{∑}{i}msub{u}{i}·msub{v}{i}"),
        (largest(u) + a, "munder{max}{i}msub{u}{i}+a"),
        (equal(a, 0) & (b >= 0), "a=0\N{NO-BREAK SPACE}and\N{NO-BREAK SPACE}b≥0"),
        (Expression("maximum", a, b), "maximum(a,b)"),
        (
            where(a < 0, 0, where(a <= 1, a, 1)),
            "{mtable{mtr{mtd{0}}{mtd{if\N{NO-BREAK SPACE}}{a<0}}}"
            "{mtr{mtd{a}}{mtd{if\N{NO-BREAK SPACE}}{a≤1}}}{mtr{mtd{1}}{mtd{otherwise}}}",
        ),
        (a + 1.25e-7, "a+1.25·msup{10}{−7}"),
        (Expression("**", 1e9, a), "msup{(1·msup{10}{9})}{a}"),
        (a * -math.inf, "a·(−∞)"),
        (Expression("+", math.nan, -0.0), "nan+(−0)"),
        (a * math.pi, "a·3.1416"),
        (Symbol("x12"), "msub{x}{12}"),
        (Symbol("x_1"), "msub{x}{1}"),
        (Symbol("w²"), "w²"),
        (Symbol("loss"), "loss"),
    ],
)
def test_mathml(tree: Any, line: str) -> None:
    assert flat(mathml(tree)) == line


@pytest.mark.parametrize(
    "name", ["</script><b>", "\"'&amp;", "😀 a", "two\nlines", "x\x00\ud800", " ", "$$", "\\{"]
)
def test_any_name_is_text_in_mathml(name: str) -> None:
    written = mathml(Symbol(name) + Expression(name, a))
    shown = name.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")
    assert [element.text for element in written.iter("mi")] == [shown, shown, "a"]


def test_a_subclass_writes_values_and_running_elements_in_its_own_way() -> None:
    class Marked(MathML):
        def symbol(self, symbol: Symbol) -> str:
            return f'<mi class="{symbol.name}"/>'

        def bound(self, symbol: Symbol) -> str:
            return f"<mn>{symbol.name}</mn>"

    written = Marked().write(u / total(u * a) + inner(u, v) - largest(v))
    parsed = ElementTree.fromstring(written)
    assert [element.get("class") for element in parsed.iter("mi") if not element.text] == ["u", "a"]
    assert [element.text for element in parsed.iter("mn")] == ["u", "u", "v", "v"]
