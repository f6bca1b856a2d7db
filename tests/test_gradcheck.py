"""The checker itself: it must pass what is right, and find and name what is wrong."""

from __future__ import annotations

import math
import random
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import micrograd_plus.functional as mf
from micrograd_plus.context import no_grad
from micrograd_plus.engine import Constant, Value, apply, topological_order
from micrograd_plus.gradcheck import KINK, UNDEFINED, WRONG, gradcheck
from micrograd_plus.ops import TABLE

inf, nan = math.inf, math.nan


def one_op(name: str, numbers: list[float]) -> Value:
    """A graph around one op, with an op above it and labelled leaves below."""
    op = TABLE[name]
    count = 4 if op.nary else len(op.operands)
    leaves = [Value(x, label) for x, label in zip(numbers, "abcd", strict=False)][:count]
    return apply(op, *leaves) * 1.5


def large_graph(seed: int = 0) -> Value:
    """Several hundred nodes that share what is below them."""
    chosen = random.Random(seed)
    leaves = [Value(chosen.uniform(0.5, 1.5), label=f"v{i}") for i in range(20)]
    made = list(leaves)
    for _ in range(150):
        a, b = made[-1], chosen.choice([*leaves, *made[-5:]])
        made.append(chosen.choice([a.tanh() * b, a.sigmoid() + b, (a - b).sin(), a / (b + 1)]))
    return mf.sum(made[-5:])


# ---- what is right passes


@pytest.mark.parametrize("name", TABLE)
def test_right_rules_pass(name: str) -> None:
    # Differences over steps of 1e-7 and more cannot see what happens between 0 and 1e-40.
    number = st.floats(-4, 4).filter(lambda x: x == 0 or abs(x) > 1e-3)

    @given(st.tuples(*[number] * 4))
    def check(numbers: tuple[float, ...]) -> None:
        report = gradcheck(one_op(name, list(numbers)))
        assert report, report

    check()


def test_a_large_graph_passes() -> None:
    root = large_graph()
    assert sum(node.op is not None for node in topological_order(root)) > 300
    report = gradcheck(root)
    assert report, report
    assert str(report).startswith(f"gradcheck: all right ({len(report.leaves)} leaves, ")


@pytest.mark.parametrize(
    "root",
    [
        lambda: Value(1e8) ** 2 * Value(1e-12),
        lambda: Value(30.0).exp() * Value(1e-20).tanh(),
        lambda: Value(1000.0).sigmoid() + Value(-1000.0).softplus(),
        lambda: Value(1e4).sin() + Value(1e-200) * 1e200 + Value(1e-3).log(),
        lambda: Value(-2.0) ** 3 + Value(-2.0) ** -2,
        lambda: mf.logsumexp([Value(500.0), Value(499.0)]),
        lambda: Value(1e-6).sqrt(),
        lambda: Value(1e-12).sqrt() + Value(1e-12).log(),
        lambda: Value(1e-9).relu(),
        lambda: 1 / Value(1e-9) + 2 / Value(-1e-40),
    ],
)
def test_large_and_small_numbers_pass(root: Callable[[], Value]) -> None:
    report = gradcheck(root())
    assert report, report
    assert not [check for check in report.leaves if check.verdict != "ok"], report


def test_a_function_and_its_inputs() -> None:
    weight = Value(0.5, label="w")
    report = gradcheck(lambda x, y: (x * y + weight).tanh(), [1.0, Value(2.0, label="y")])
    assert report
    assert [check.what for check in report.leaves] == ["leaf x0", "leaf y", "leaf w"]
    slope = 1 - math.tanh(2.5) ** 2
    wanted = [2 * slope, slope, slope]
    assert [check.analytic for check in report.leaves] == pytest.approx(wanted)
    assert [check.numeric for check in report.leaves] == pytest.approx(wanted)
    assert weight.grad == 0.0


def test_single_values() -> None:
    assert gradcheck(Value(2.0))
    assert not gradcheck(Constant(2.0) * 3).leaves


def test_constants_are_not_checked() -> None:
    report = gradcheck(Value(-2.0, label="a") ** 2)  # by its exponent, this has no slope
    assert [check.what for check in report.ops + report.leaves] == ["a**2 by a", "leaf a"]


# ---- what is wrong is found and named

WRONG_RULES: dict[str, Callable[[list[float]], list[float]]] = {
    "a little too large": lambda row: [1.001 * x for x in row],
    "of the wrong sign": lambda row: [-x for x in row],
    "forgotten": lambda row: [0.0 * x for x in row],
    "shifted": lambda row: [x + 0.01 for x in row],
    "nan": lambda row: [nan for _ in row],
    "inf": lambda row: [inf for _ in row],
}


FLAT = ("lt", "le")  # their slope is 0, and so is a multiple of it


@pytest.mark.parametrize(
    ("name", "how"),
    [
        (name, how)
        for name in TABLE
        for how, distort in WRONG_RULES.items()
        if name not in FLAT or distort([0.0]) != [0.0]
    ],
)
def test_a_wrong_rule_is_named(name: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right, distort = TABLE[name].partials, WRONG_RULES[how]
    root = one_op(name, [0.7, 0.4, 1.3, 0.9])
    assert gradcheck(root)
    monkeypatch.setattr(TABLE[name], "partials", lambda *numbers: distort(right(*numbers)))
    report = gradcheck(root)
    assert not report
    assert {check.op for check in report.wrong if check.op} == {name}
    assert any(  # of maximum one operand's slope is 0, and only the other can be to blame
        f"the op {name!r} by its operand {operand!r}" in report.verdict
        for operand in TABLE[name].operands
    )


@pytest.mark.parametrize("name", ["sub", "mul", "div", "pow", "maximum", "leaky_relu", "dot"])
def test_swapped_rules_are_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = TABLE[name].partials
    monkeypatch.setattr(TABLE[name], "partials", lambda *numbers: right(*numbers)[::-1])
    report = gradcheck(one_op(name, [0.7, 0.4, 1.3, 0.9]))
    assert {check.op for check in report.wrong if check.op} == {name}
    for operand in TABLE[name].operands:
        assert f"{name!r} by its operand {operand!r}" in report.verdict


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("tanh", lambda out, x: [1 - out]),
        ("sin", lambda out, x: [-math.cos(x)]),
        ("div", lambda out, a, b: [1 / b, out / b]),
    ],
)
def test_a_wrong_rule_in_a_large_graph_is_named(
    name: str, rule: Callable[..., list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TABLE[name], "partials", rule)
    report = gradcheck(large_graph())
    assert {check.op for check in report.wrong if check.op} == {name}
    assert report.verdict == (
        f"WRONG: the derivative of the op {name!r} by its operand {TABLE[name].operands[-1]!r}"
    )
    assert len(str(report).splitlines()) < 25


def test_lost_gradients_are_blamed_on_no_op(monkeypatch: pytest.MonkeyPatch) -> None:
    def overwriting(self: Value, gradient: float = 1.0) -> None:
        self.grad = gradient
        for node in reversed(topological_order(self)):
            if node.op is not None:
                numbers = [operand.data for operand in node.operands]
                partials = node.op.partials(node.data, *numbers)
                for operand, local in zip(node.operands, partials, strict=True):
                    operand.grad = node.grad * local  # where += is due

    root = large_graph()
    unshared = Value(2.0).tanh() * Value(3.0)
    monkeypatch.setattr(Value, "backward", overwriting)
    report = gradcheck(root)
    assert not report
    assert not [check for check in report.wrong if check.op]
    assert report.verdict.startswith("WRONG for ")
    assert "gradients are lost or doubled in the backward pass" in report.verdict
    assert gradcheck(unshared)


def test_the_table_shows_analytic_beside_numeric(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TABLE["sin"], "partials", lambda out, x: [-math.cos(x)])
    a, b = Value(0.0, label="a"), Value(2.0, label="b")
    assert str(gradcheck(a.sin() + b)) == repr(gradcheck(a.sin() + b))
    assert str(gradcheck(a.sin() + b)).splitlines() == [
        "gradcheck: WRONG: the derivative of the op 'sin' by its operand 'x'",
        "                   chain rule      difference",
        "  sin(a) by x              -1               1  WRONG",
        "  leaf a                   -1               1  WRONG",
        "  leaf b                    1               1  ok",
    ]


def test_the_element_of_a_vector_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    right = TABLE["dot"].partials

    def wrong(*numbers: float) -> list[float]:
        partials = right(*numbers)
        partials[-1] *= 2
        return partials

    monkeypatch.setattr(TABLE["dot"], "partials", wrong)
    a, b = Value(3.0, label="a"), Value(2.0, label="b")
    (check, _) = gradcheck(mf.dot([a, a], [1, b])).wrong
    assert check[:3] == ("dot(a, a, 1, b) by y[1]", 6.0, pytest.approx(3.0))
    assert (check.op, check.operand) == ("dot", "y")


# ---- kinks, and slopes that do not exist


def verdicts(root: Value) -> set[str]:
    report = gradcheck(root)
    assert report, report
    return {check.verdict for check in report.leaves}


@pytest.mark.parametrize(
    "at_a_kink",
    [
        lambda: Value(0.0).relu(),
        lambda: abs(Value(0.0)),
        lambda: Value(0.0).leaky_relu(),
        lambda: Value(0.0).elu(2.0),
        lambda: Value(2.0).maximum(Value(2.0)),
        lambda: Value(2.0).minimum(2),
        lambda: mf.max([Value(1.0), Value(1.0)]),
        lambda: (Value(0.0) * 3).relu() * -5,
    ],
)
def test_kinks_are_reported(at_a_kink: Callable[[], Value]) -> None:
    assert verdicts(at_a_kink()) == {KINK}


def test_a_slope_that_is_wrong_even_for_a_kink_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TABLE["relu"], "partials", lambda out, x: [1.5])
    report = gradcheck(Value(0.0).relu())
    assert [check.verdict for check in report.wrong] == [WRONG, WRONG]


@pytest.mark.parametrize(
    "without_slope",
    [
        lambda: Value(0.0).sqrt(),
        lambda: Value(0.0).log(),
        lambda: 1 / Value(0.0),
        lambda: Value(-1.0).log(),
        lambda: Value(0.0) ** 0.5,
        lambda: Value(inf) * 2,
        lambda: Value(nan) * 2,
        lambda: (Value(0.0) ** 2).sqrt(),  # a kink below, but nan by the chain rule
        lambda: (Value(0.0) ** 4).sqrt(),
    ],
)
def test_slopes_that_do_not_exist_are_reported(without_slope: Callable[[], Value]) -> None:
    assert verdicts(without_slope()) == {UNDEFINED}


# ---- manners


def test_nothing_is_changed() -> None:
    root = large_graph()
    root.backward()
    order = topological_order(root)
    before = [(node.data, node.grad) for node in order]
    assert gradcheck(root)
    assert [(node.data, node.grad) for node in order] == before


def test_nothing_is_changed_when_the_check_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    a = Value(2.0)
    root = a.tanh()
    root.backward()
    before = a.grad

    def broken(*numbers: float) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(TABLE["tanh"], "partials", broken)
    with pytest.raises(ZeroDivisionError):
        gradcheck(root)
    assert a.grad == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((3.0,), r"takes a Value, or a function and a list of its inputs: .* was given 3.0"),
        ((math.sin,), "takes a Value, or a function and a list of its inputs"),
        (([1.0], [1.0]), "takes a Value, or a function"),
        ((lambda x: x.data, [1.0]), "the function must return a Value; it returned 1.0"),
        ((lambda x: None, [1.0]), "the function must return a Value; it returned None"),
        ((lambda x: x, ["1"]), "not the str '1'"),
    ],
)
def test_errors(arguments: tuple[Any, ...], says: str) -> None:
    with pytest.raises(TypeError, match=says):
        gradcheck(*arguments)


def test_a_graph_that_the_function_loses_is_found() -> None:
    for function, slope in (
        (lambda x: x * 2 + x.data, 3.0),
        (lambda x: Value(x.data**2), 2.0),
        (no_grad()(lambda x: x * 5), 5.0),
    ):
        report = gradcheck(function, [1.0])
        assert not report
        assert [check.what for check in report.wrong] == ["leaf x0"]
        assert report.wrong[0].numeric == pytest.approx(slope)
        assert "lost" in report.verdict


def test_an_input_that_the_function_does_not_use_has_no_slope() -> None:
    report = gradcheck(lambda x, unused: x * x, [3.0, 4.0])
    assert report
    assert [check.analytic for check in report.leaves] == [6.0, 0.0]


def test_the_leaves_are_checked_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one leaf needs is as long as the graph: all of them at a time would fill the memory."""
    module = sys.modules["micrograd_plus.gradcheck"]
    function_of, alive, most = module._as_function_of, weakref.WeakSet[Any](), list[int]()

    def counted(leaf: Value, order: list[Value]) -> Callable[[float], float]:
        function = function_of(leaf, order)
        alive.add(function)
        most.append(len(alive))
        return function

    monkeypatch.setattr(module, "_as_function_of", counted)
    assert gradcheck(sum([Value(1.0) for _ in range(30)]))
    assert len(most) == 30
    assert max(most) <= 2
