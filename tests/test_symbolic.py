"""A derivative as a formula must have the number that the chain rule gives."""

from __future__ import annotations

import ast
import math
from typing import Any

import mpmath
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from micrograd_plus import functional
from micrograd_plus.engine import Constant, Value, topological_order
from micrograd_plus.formulas.algebra import Algebra
from micrograd_plus.formulas.parse import parse
from micrograd_plus.formulas.symbolic import Formula, substitute, symbolic
from micrograd_plus.formulas.writers import Python, Writer, compile_python, walk
from micrograd_plus.ops import TABLE, Methods, op
from micrograd_plus.symbols import (
    ON_FLOATS,
    Expression,
    Symbol,
    equal,
    exp,
    inner,
    largest,
    log,
    tanh,
    total,
    where,
)

a, b, c, x = (Symbol(name) for name in "abcx")
NAMES = {**{op.name: op.forward for op in TABLE.values()}, **ON_FLOATS, "abs": abs}


def number(formula: Formula | Any, **numbers: float) -> float:
    """What the formula gives, computed by the Python that is written from it."""
    expression = formula.expression if isinstance(formula, Formula) else formula
    source = Python().function("f", [Symbol(name) for name in numbers], expression)
    (function,) = compile_python(source, "<test>", NAMES)
    return float(function(**numbers))


def leaves(root: Value) -> list[Value]:
    order = topological_order(root)
    return [v for v in order if v.op is None and not isinstance(v, Constant)]


def check(root: Value, rel: float = 1e-9) -> None:
    """Every derivative of root, and root itself, against the engine."""
    variables = leaves(root)
    numbers = {leaf.label: leaf.data for leaf in variables}
    for leaf in variables:
        leaf.grad = 0.0
    root.backward()
    approx = pytest.approx
    if math.isfinite(root.data):
        assert number(symbolic(root), **numbers) == approx(root.data, rel=rel, abs=1e-12)
    for leaf in variables:
        if math.isfinite(leaf.grad):
            formula = symbolic(root, wrt=leaf)
            assert number(formula, **numbers) == approx(leaf.grad, rel=rel, abs=1e-12), formula


# ---- the derivatives that a textbook would print


@pytest.mark.parametrize(
    ("text", "by", "derivative"),
    [
        ("x**2 + 3*x + 1", "x", "2 * x + 3"),
        ("x * x * x", "x", "3 * x**2"),
        ("x + x", "x", "2"),
        ("x - x", "x", "0"),
        ("x / 3", "x", "0.33333"),
        ("2*x / (3*y)", "x", "2 / (3 * y)"),
        ("(a*b + a)*c", "a", "c * (b + 1)"),
        ("(a*b + a)*c", "c", "a * b + a"),
        ("a / b", "b", "-a / b**2"),
        ("x*w + b", "b", "1"),
        ("tanh(x1*w1 + x2*w2 + b)", "x1", "w1 * (1 - tanh(x1 * w1 + x2 * w2 + b)**2)"),
        ("sigmoid(x)", "x", "sigmoid(x) * (1 - sigmoid(x))"),
        ("-log(sigmoid(x))", "x", "sigmoid(x) - 1"),
        ("silu(x)", "x", "sigmoid(x) * (1 + x * (1 - sigmoid(x)))"),
        ("softplus(x)", "x", "sigmoid(x)"),
        ("relu(w*x + b) * v", "w", "0 if w * x + b <= 0 else x * v"),
        ("abs(x)", "x", "1 if x > 0 else -1 if x < 0 else 0"),
        ("exp(log(x))", "x", "1"),
        ("sqrt(x**2 + y**2)", "x", "x / sqrt(x**2 + y**2)"),
        ("1 / x**2", "x", "-2 / x**3"),
        ("2**x", "x", "0.69315 * 2**x"),
        ("x**y", "x", "0 if y == 0 else y * x**(y - 1)"),
        ("y - x*2", "x", "-2"),
        ("dot(a, b, x, y)", "b", "y"),
        ("max(a, b)", "c", None),
        ("logsumexp(a, b) - a", "a", "exp(a - logsumexp(a, b)) - 1"),
        ("where(lt(a, b), a*c, b)", "a", "c if a < b else 0"),
        ("maximum(a, b)", "a", "0 if a < b else 0.5 if a == b else 1"),
        ("x * sigmoid(2) - x * sigmoid(2)", "x", "0"),
    ],
)
def test_derivatives_read_as_in_a_textbook(text: str, by: str, derivative: str | None) -> None:
    names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)} - {*TABLE}
    root = parse(text, dict.fromkeys(sorted(names), 0.7))
    wrt = {leaf.label: leaf for leaf in leaves(root)}.get(by)
    if derivative is None:
        with pytest.raises(ValueError, match="is not part of the graph"):
            symbolic(root, wrt=Value(1.0, label=by))
    else:
        assert str(symbolic(root, wrt=wrt)) == derivative


def test_what_a_formula_shows() -> None:
    p, q = Value(2.0, label="p"), Value(3.0, label="q2")
    formula = symbolic(p * q / 2)
    assert str(formula) == repr(formula) == "p * q2 / 2"
    assert formula.latex == r"\frac{p \cdot q_{2}}{2}"
    assert formula._repr_latex_() == r"$\displaystyle \frac{p \cdot q_{2}}{2}$"
    assert formula.expression == Expression("/", Expression("*", Symbol("p"), Symbol("q2")), 2)


def test_the_gradients_stay_as_they_are() -> None:
    p = Value(2.0, label="p")
    p.grad = 5.0
    root = p * p
    root.grad = 7.0
    symbolic(root, wrt=p)
    assert (p.grad, root.grad) == (5.0, 7.0)


# ---- names


def test_leaves_without_a_label_are_v1_v2_and_constants_are_numbers() -> None:
    p, q = Value(2.0), Value(3.0)
    assert str(symbolic(p * 4 + q, wrt=None)) == "4 * v1 + v3"  # v2 is the product
    taken = Value(1.0, label="v1")
    assert str(symbolic(p * taken)) == "v2 * v1"
    assert str(symbolic(p + p.detach())) == "v1 + 2"


def test_equal_labels_are_told_apart() -> None:
    same = [Value(float(i), label="w") for i in range(3)]
    other = Value(9.0, label="w2")  # which is how w_2 would look
    root = functional.sum([*same, other])
    assert str(symbolic(root)) == "w + w_3 + w_4 + w2"
    assert str(symbolic(root * root, wrt=same[1])) == "2 * (w + w_3 + w_4 + w2)"
    both = Value(1.0, label="x1") - Value(2.0, label="x_1")
    assert str(symbolic(both)) == "x1 - x_1_2"


def test_an_inner_value_is_written_as_a_symbol() -> None:
    p = Value(2.0, label="p")
    inner_value = p * p
    root = (inner_value * inner_value).tanh() + p
    assert str(symbolic(root, wrt=inner_value)) == "2 * v1 * (1 - tanh(v1**2)**2)"
    inner_value.label = "s"
    assert str(symbolic(root, wrt=inner_value)) == "2 * s * (1 - tanh(s**2)**2)"
    assert str(symbolic(root, wrt=root)) == "1"
    assert str(symbolic(p, wrt=p)) == "1"


def test_hostile_labels_are_text() -> None:
    root = Value(2.0, label="</script>$x$") * Value(1.0, label="a\n\\b")
    assert "</script>" in str(symbolic(root))
    assert r"\$x\$" in symbolic(root).latex


# ---- what cannot be written


def test_what_is_no_value_is_refused() -> None:
    with pytest.raises(TypeError, match="symbolic takes Values"):
        symbolic(2.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not 'a'"):
        symbolic(Value(2.0), wrt="a")  # type: ignore[arg-type]


def test_a_formula_of_astronomic_length_is_refused_at_once() -> None:
    leaf = value = Value(0.5, label="x")
    for _ in range(400):
        value = value * value.tanh()
    with pytest.raises(ValueError, match=r"about 10\^\d+ operations; at most 2,000"):
        symbolic(value)
    with pytest.raises(ValueError, match=r"the derivative would have about 10\^\d+ operations"):
        symbolic(value, wrt=leaf)


def test_shared_parts_that_collapse_are_written() -> None:
    leaf = value = Value(1.0, label="x")
    for _ in range(10):
        value = value * value
    assert str(symbolic(value)) == "x**1024"
    assert str(symbolic(value, wrt=leaf)) == "1024 * x**1023"


@pytest.mark.parametrize("step", [lambda v: v.tanh(), lambda v: v.relu() * 3 - 1])
def test_deep_graphs(step: Any) -> None:
    leaf = value = Value(0.5, label="x")
    for _ in range(1200):  # deeper than Python's stack
        value = step(value)
    for wrt in (None, leaf):
        with pytest.raises(ValueError, match=r"nested|operations; at most"):
            symbolic(value, wrt=wrt)


def test_a_large_graph_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("micrograd_plus.formulas.symbolic._Derivation", None)  # no work
    leaf = value = Value(0.5, label="x")
    for _ in range(10_001):
        value = value + leaf
    for wrt in (None, leaf):
        with pytest.raises(ValueError, match=r"of 10,001 computed values .* at most 10,000 are"):
            symbolic(value, wrt=wrt)


def test_the_deepest_that_is_written_can_be_written() -> None:
    value = Value(0.5, label="x")
    for _ in range(200):
        value = value.sin()
    formula = symbolic(value)
    assert str(formula).count("sin") == formula.latex.count("sin") == 200
    with pytest.raises(ValueError, match="nested 201 deep"):
        symbolic(value.sin())


# ---- the numbers are the engine's


@pytest.mark.parametrize(
    "entry", [op for op in TABLE.values() if not op.nary], ids=lambda o: o.name
)
@pytest.mark.parametrize(
    "numbers", [(0.7, 1.3, 0.4), (1.3, 0.7, -0.4), (-0.6, 2.0, 2.0), (0, 0, 0)]
)
def test_every_op(entry: Any, numbers: tuple[float, ...]) -> None:
    operands = [Value(n, label=f"x{i}") for i, n in enumerate(numbers[: len(entry.operands)])]
    check(Value.apply(entry, *operands))
    check(Value.apply(entry, *[v * 2 + operands[0] for v in operands]))


@pytest.mark.parametrize("entry", [op for op in TABLE.values() if op.nary], ids=lambda o: o.name)
@pytest.mark.parametrize("numbers", [(0.7, 1.3, 0.4, -2.0), (1.3, 1.3, 1.3, 1.3), (-0.6, 0, 0, 3)])
def test_every_op_of_vectors(entry: Any, numbers: tuple[float, ...]) -> None:
    operands = [Value(n, label=f"x{i}") for i, n in enumerate(numbers)]
    check(Value.apply(entry, *operands))
    check(Value.apply(entry, *[v * operands[0] for v in operands]))


def test_an_op_of_ones_own() -> None:
    op("cube", lambda x: x * x * x, lambda out, x: 3 * x * x)
    try:
        p = Value(2.0, label="p")
        assert str(symbolic((p * 2).cube())) == "cube(2 * p)"
        assert str(symbolic((p * 2).cube(), wrt=p)) == "24 * p**2"
    finally:
        del TABLE["cube"], Methods.cube  # type: ignore[attr-defined]


SMOOTH = ["exp", "tanh", "sigmoid", "sin", "cos", "softplus", "gelu", "silu", "erf"]
KINDS = ["+", "-", "*", "/", "neg", "pow", "by", "plus", "one", "max", "dot", "where"]
KINKED = ["relu", "abs", "leaky_relu", "elu"]


@st.composite
def graphs(draw: st.DrawFn) -> Value:
    """A graph of shared values, over leaves that are mostly moderate."""
    numbers = st.sampled_from([0.0, 1.0, -1.0, 2.0, 0.5, -0.3, 1.7])
    values = [Value(draw(numbers), label=f"x{i}") for i in range(3)]
    for _ in range(draw(st.integers(1, 9))):
        p, q = draw(st.sampled_from(values)), draw(st.sampled_from(values))
        constant = draw(numbers)
        kind = draw(st.sampled_from(KINDS))
        if kind in "+-*/":
            made = {"+": p + q, "-": p - q, "*": p * q, "/": p / q}[kind]
        elif kind == "one":
            made = Value.apply(TABLE[draw(st.sampled_from(SMOOTH + KINKED))], p)
        else:
            made = {
                "neg": lambda p, q, n: -p,
                "pow": lambda p, q, n: p ** draw(st.sampled_from([2, 3, -1, 0.5])),
                "by": lambda p, q, n: p * n,
                "plus": lambda p, q, n: n - p,
                "max": lambda p, q, n: functional.max([p, q, Constant(n)]),
                "dot": lambda p, q, n: functional.dot([p, q], [q, p]),
                "where": lambda p, q, n: functional.where(p.lt(q), p, q * 2),
            }[kind](p, q, constant)
        values.append(made)
    return values[-1]


@settings(max_examples=300)
@given(graphs())
def test_random_graphs(root: Value) -> None:
    order = topological_order(root)
    root.backward()
    assume(all(math.isfinite(v.data) and abs(v.data) < 1e4 for v in order))
    assume(all(math.isfinite(v.grad) and abs(v.grad) < 1e6 for v in order))
    # Where a sum cancels or a base is 0, the last digits are all that is left.
    assume(all(abs(v.data) > 1e-3 or v.data == 0 for v in order))
    # rel: against the largest gradient in the graph, because terms may cancel.
    scale = max(1.0, *[abs(v.grad) for v in order], *[abs(v.data) for v in order])
    variables = leaves(root)
    numbers = {leaf.label: leaf.data for leaf in variables}
    for leaf in variables:
        leaf.grad = 0.0
    root.backward()
    assert number(symbolic(root), **numbers) == pytest.approx(root.data, abs=1e-9 * scale)
    for leaf in variables:
        found = number(symbolic(root, wrt=leaf), **numbers)
        assert found == pytest.approx(leaf.grad, abs=1e-9 * scale), symbolic(root, wrt=leaf)


# ---- other oracles


@pytest.mark.parametrize(
    ("text", "by"),
    [
        ("gelu(x*y + y)", "x"),
        ("silu(x/y) * logsumexp(x, y, 2)", "y"),
        ("x**y + sqrt(x*y) - log(x + y)**2", "y"),
        ("gelu_tanh(x) / (1 + exp(-x*y))", "x"),
    ],
)
def test_differences_of_fifty_digits(text: str, by: str) -> None:
    """The value's formula, with 50 digits and differences, against the derivative's."""
    exact: dict[str, Any] = {
        "x": mpmath.mpf("0.7"), "y": mpmath.mpf("1.3"), "exp": mpmath.exp, "log": mpmath.log,
        "sqrt": mpmath.sqrt, "gelu": lambda x: x * mpmath.ncdf(x),
        "silu": lambda x: x / (1 + mpmath.exp(-x)),
        "gelu_tanh": lambda x: x / 2 * (1 + mpmath.tanh(
            mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3))),
        "logsumexp": lambda *row: mpmath.log(sum(map(mpmath.exp, row))),
    }  # fmt: skip
    root = parse(text, x=0.7, y=1.3)
    wrt = {leaf.label: leaf for leaf in leaves(root)}[by]
    with mpmath.workdps(50):
        slope = mpmath.diff(lambda n: eval(text, {**exact, by: n}), exact[by])
    assert number(symbolic(root, wrt=wrt), x=0.7, y=1.3) == pytest.approx(float(slope), rel=1e-12)


# ---- substitution and simplification


def simplified(expression: Any) -> Any:
    """The Expression that an `Algebra` makes of an Expression."""
    algebra = Algebra()

    def formula(part: Any) -> Any:
        if isinstance(part, Symbol) or not isinstance(part, Expression):
            return algebra.formula(part)
        return algebra.make(part.name, *map(formula, part.args))

    return algebra.written(formula(expression))


def test_substitute_writes_reductions_out() -> None:
    u, v = Symbol("u", vector=True), Symbol("v", vector=True)
    row = {"u": [a, b], "v": [c, 2], "out": x}
    assert substitute(total(u * v), row) == a * c + b * 2
    assert substitute(inner(u, v), row) == a * c + b * 2
    assert substitute(largest(u), row) == Expression("max", a, b)
    assert substitute(largest(u), {"u": [a]}) == a
    assert substitute(u / total(u) - Symbol("out"), row, 1) == b / (a + b) - x
    assert substitute(total(u - largest(u)), row) == (
        (a - Expression("max", a, b)) + (b - Expression("max", a, b))
    )
    assert substitute(total(u) + a, {"a": 3.0}) == total(u) + 3.0
    assert substitute(a + b, {"a": b, "b": a}) == b + a


@pytest.mark.parametrize(
    ("given_", "simple"),
    [
        (x * 1 + 0, "x"),
        (x * 0 + a, "a"),
        (a - (b - a), "2 * a - b"),
        (-(a - b), "b - a"),
        ((-a) * (-b), "a * b"),
        (a * -2 * b / 4, "-(a * b / 2)"),
        ((a + b) * (b + a), "(a + b)**2"),
        ((2 * a + 2 * b) * c, "2 * c * (a + b)"),
        (a / 3 + a / 3, "2 * a / 3"),
        (0.1 * a + 0.75 * b, "0.1 * a + 0.75 * b"),
        (a * a**-3, "1 / a**2"),
        ((a**2) ** 3, "a**6"),
        ((a**2) ** 0.5, "(a**2)**0.5"),
        (exp(log(a)) + log(exp(b)), "a + b"),
        (1 - tanh(a) * tanh(a), "1 - tanh(a)**2"),
        (where(a < b, c, c), "c"),
        (where(equal(a < b, 0), 1, 2), "2 if a < b else 1"),
        (where(equal(where(a < b, 1, 0), 0), 1, 2), "2 if a < b else 1"),
        (where(equal(a, 0) & (Symbol("b") >= 0), a, b), "a if a == 0 and b >= 0 else b"),
        (where(Expression("and", Expression("<", 1, 2), a < b), 1, 0), "1 if a < b else 0"),
        (where(a < 0, 0, 1) * b * c, "0 if a < 0 else b * c"),
        (Expression("/", 1, 0) * a, "inf * a"),
        (a * 1e300 * 1e300, "inf * a"),
        (a / 0, "a / 0"),
        (a * 1e-300 * 1e-300, "0"),
        (a**1e300, "a**1e+300"),
    ],
)
def test_simplified(given_: Any, simple: str) -> None:
    assert Writer().write(simplified(given_)) == simple


def test_a_long_sum_is_nested_and_not_lost() -> None:
    symbols = [Symbol(f"x{i}") for i in range(150)]
    for name in "+*":
        expression: Any = symbols[0]
        for symbol in symbols[1:]:
            expression = Expression(name, expression, symbol)
        written = simplified(expression)
        assert {str(part) for part in walk(written) if not part.args} == {*map(str, symbols)}
        assert len([part for part in walk(written) if part.args]) == 149


def test_powers_of_powers_without_end() -> None:
    algebra = Algebra()
    formula = algebra.formula(x)
    for _ in range(1100):  # to the power 2 ** 1100, which no float can be
        formula = algebra.make("*", formula, formula)
    written = algebra.written(formula)
    assert number(written, x=1.0) == 1.0
    assert number(written, x=1.5) == math.inf
    assert Writer().write(written).startswith("(" * 10)


def test_equal_parts_stay_one_object() -> None:
    deep: Any = x
    for _ in range(12):
        deep = tanh(deep + a) * deep
    seen = {id(part) for part in walk(simplified(deep))}
    assert len(seen) < 200  # of some 2 ** 12 written out


MOSTLY_SMALL = st.sampled_from([a, b, c, 0, 1, 2, -3, 0.5, -1])


def _larger(smaller: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    compare = st.builds(
        Expression, st.sampled_from(["<", "<=", ">", ">=", "equal"]), smaller, smaller
    )
    condition = compare | st.builds(Expression, st.just("and"), compare, compare)
    return st.one_of(
        st.builds(Expression, st.sampled_from(["+", "-", "*", "/"]), smaller, smaller),
        st.builds(Expression, st.just("**"), smaller, st.sampled_from([2, 3, -1, -2, 0.5, 0, 1])),
        st.builds(Expression, st.sampled_from(["neg", "abs", "exp", "tanh", "log"]), smaller),
        st.builds(Expression, st.just("where"), condition, smaller, smaller),
    )


@settings(max_examples=500)
@given(st.recursive(MOSTLY_SMALL, _larger, max_leaves=10))
def test_a_simplified_formula_has_the_same_number(tree: Any) -> None:
    numbers = {"a": 0.71, "b": -1.37, "c": 2.13}  # of which no short formula happens to be 0
    before = number(tree, **numbers)
    parts = [number(part, **numbers) for part in walk(tree)] if isinstance(tree, Expression) else []
    assume(all(math.isfinite(part) and abs(part) < 1e6 for part in parts))
    assume(all(abs(part) > 1e-6 or part == 0 for part in parts))
    scale = max([1.0, *map(abs, parts)])
    assert number(simplified(tree), **numbers) == pytest.approx(before, abs=1e-9 * scale), tree
