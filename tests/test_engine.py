"""Value: its operators, the chain rule, what it refuses, and what it says about itself."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
import random
import threading
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from graphs import (
    BINARY,
    CONDITIONS,
    LEAVES,
    LISTS,
    STEPS,
    UNARY,
    build,
    ours,
    pytorchs,
)
from hypothesis import given
from sealed import Computing, Sealed, reveal

import micrograd_plus.functional as mf
from micrograd_plus.context import detect_anomaly, no_grad, recorder, recording, scope
from micrograd_plus.engine import Constant, Value, apply, op_name, topological_order
from micrograd_plus.formulas.description import formula
from micrograd_plus.ops import TABLE
from micrograd_plus.recordable import rand, require

inf, nan = math.inf, math.nan


def gradients(root: Value, *values: Value) -> list[float]:
    for value in values:
        value.grad = 0.0
    root.backward()
    return [value.grad for value in values]


# ---- numbers

NUMBERS = [
    *(3, 3.0, np.float16(3), np.float32(3), np.float64(3), np.longdouble(3)),
    *(np.int8(3), np.uint8(3), np.int16(3), np.int32(3), np.uint32(3), np.int64(3), np.uint64(3)),
]
OPERATORS: list[tuple[Callable[[Any, Any], Any], str]] = [
    (lambda a, b: a + b, "add"),
    (lambda a, b: a - b, "sub"),
    (lambda a, b: a * b, "mul"),
    (lambda a, b: a / b, "div"),
    (lambda a, b: a**b, "pow"),
]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: type(number).__name__)
@pytest.mark.parametrize(("operator", "name"), OPERATORS, ids=[name for _, name in OPERATORS])
def test_operators_take_numbers_on_either_side(
    number: Any, operator: Callable[[Any, Any], Any], name: str
) -> None:
    v = Value(2.0)
    for result, wanted in (
        (operator(v, number), operator(2.0, 3.0)),
        (operator(number, v), operator(3.0, 2.0)),
    ):
        assert type(result) is Value
        assert type(result.data) is float
        assert (result.data, result.op) == (wanted, TABLE[name])
        assert sorted(type(x).__name__ for x in result.operands) == ["Constant", "Value"]
        result.backward()
        assert type(v.grad) is float
    in_place = v
    in_place += number
    assert (in_place.data, v.data) == (5.0, 2.0)


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: type(number).__name__)
def test_data_is_a_float(number: Any) -> None:
    for data in (Value(number).data, Value(1.0).maximum(number).data, mf.sum([number]).data):
        assert type(data) is float
        assert data == 3.0
    assert Value(2.0) < number
    assert not number < Value(2.0)
    v = Value(2.0) * 2
    v.backward(number)
    assert type(v.grad) is float
    assert v.grad == 3.0


def test_unary_operators() -> None:
    a = Value(-2.0)
    assert [(-a).data, abs(a).data, (-a).op, abs(a).op] == [2, 2, TABLE["neg"], TABLE["abs"]]
    assert gradients(-a * 3 + abs(a), a) == [-4.0]


def test_python_sums_values() -> None:
    a, b = Value(1.0), Value(2.0)
    total = sum([a, b, a])
    assert total.data == 4.0
    assert gradients(total, a, b) == [2.0, 1.0]


# ---- what is not a number

REFUSED = [
    ("2", r"the str '2'; write float\('2'\)"),
    (b"2", r"the bytes b'2'; write float\(b'2'\)"),
    (True, "the bool True; write 1.0 or 0.0"),
    (np.True_, "the bool.* write 1.0 or 0.0"),
    ([1.0], r"the list \[1.0\]; make one Value for each element: \[Value\(x\) for x in"),
    ((1.0,), r"the tuple \(1.0,\); make one Value for each element"),
    ({1.0}, r"the set {1.0}; make one Value for each element"),
    (range(3), r"the range range\(0, 3\); make one Value for each element"),
    ((x for x in [1.0]), "the generator .* make one Value for each element"),
    (np.array([1.0, 2.0]), r"the ndarray array.* write .item\(\) if it holds one number"),
    (np.array(1.0), r"the ndarray array\(1.\); write .item\(\) if it holds one number"),
    (None, "the NoneType None; a function without a return gives None"),
    (1j, r"the complex 1j; write float\(...\)"),
    (np.complex128(1), r"the complex128 .*; write .item\(\)"),
    (Fraction(1, 2), r"the Fraction Fraction\(1, 2\); write float\(...\)"),
    (Decimal(1), r"the Decimal Decimal\('1'\); write float\(...\)"),
    (10**400, "the int of 1329 bits; it is larger than the largest float, about 1.8e308"),
    (10**5000, "the int of 16610 bits; it is larger than the largest float"),
    (math.exp, r"the builtin_function_or_method .* write float\(...\)"),
]


@pytest.mark.parametrize(("given_", "says"), REFUSED, ids=[type(x).__name__ for x, _ in REFUSED])
def test_anything_else_is_refused(given_: Any, says: str) -> None:
    says = "a Value takes an int, a float or a NumPy scalar, not " + says
    v = Value(2.0)
    with pytest.raises(TypeError, match=says):
        Value(given_)
    for operator, _ in OPERATORS:
        with pytest.raises(TypeError, match=says):
            operator(v, given_)
        # NumPy's scalars refuse in their own words; a Fraction's power is that of its float.
        if not isinstance(given_, (np.generic, Fraction)):
            with pytest.raises(TypeError, match=says):
                operator(given_, v)
    for compare in (Value.__lt__, Value.__le__, Value.__gt__, Value.__ge__):
        with pytest.raises(TypeError, match=says):
            compare(v, given_)
    with pytest.raises(TypeError, match=says):
        v.maximum(given_)
    with pytest.raises(TypeError, match=says):
        (v * 2).backward(given_)


def test_a_long_text_is_shortened() -> None:
    with pytest.raises(TypeError) as error:
        Value("x" * 1000)  # type: ignore[arg-type]
    assert len(str(error.value)) < 200


def test_a_value_of_a_value_is_refused() -> None:
    with pytest.raises(TypeError, match=r"a Value already: use it as it is, or value.data for"):
        Value(Value(1.0))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "convert",
    [
        float,
        int,
        complex,
        math.exp,
        math.floor,
        np.float64,
        lambda v: [1, 2][v],
    ],
)
def test_a_value_does_not_turn_into_a_number_in_silence(convert: Callable[[Value], Any]) -> None:
    with pytest.raises(TypeError, match=r"would lose its graph: write v.data .* v.exp\(\)"):
        convert(Value(1.0))


def test_numpy_functions_refuse_a_value() -> None:
    for function in (np.exp, np.tanh):
        with pytest.raises(TypeError):
            function(Value(1.0))
    with pytest.raises(TypeError):
        np.add(np.float64(1), Value(1.0))
    with pytest.raises(TypeError, match="would lose its graph"):
        np.array([Value(1.0)], dtype=float)


def test_a_plus_sign_changes_nothing() -> None:
    v = Value(-1.0)
    assert +v is v


def test_ops_refuse_what_does_not_fit() -> None:
    v = Value(1.0)
    for call, says in [
        (lambda: v.tanh(1), r"tanh\(x\) was called as tanh\(a value, a value\)"),
        (lambda: v.maximum(), r"maximum\(a, b\) was called as maximum\(a value\)"),
        (lambda: v.leaky_relu(slop=1), r"leaky_relu\(x, slope=0.01\) was called as .*slop=..."),
        (lambda: v.leaky_relu(1, slope=1), r"called as leaky_relu\(a value, a value, slope=...\)"),
        (lambda: v.leaky_relu(x=1), r"called as leaky_relu\(a value, x=...\)"),
        (lambda: apply(TABLE["dot"], v, v, v), r"dot\(x, y\) was called as dot\(a value, a value,"),
        (lambda: apply(TABLE["sum"]), r"sum\(x\) was called as sum\(\)"),
        (lambda: apply(TABLE["sum"], v, x=v), r"sum\(x\) was called as sum\(a value, x=...\)"),
    ]:
        with pytest.raises(TypeError, match=says):
            call()


def test_defaults_and_names_of_operands() -> None:
    v = Value(-1.0)
    assert v.leaky_relu().data == -0.01
    assert v.leaky_relu(0.2).data == v.leaky_relu(slope=0.2).data == -0.2
    slope = Value(0.5)
    assert gradients(v.leaky_relu(slope=slope), v, slope) == [0.5, -1.0]


# ---- what a Value says about itself


def test_repr_and_format() -> None:
    v = Value(2.5, label="w")
    assert repr(v) == str(v) == f"{v}" == "Value(data=2.5, grad=0.0, label='w')"
    assert repr(Value(1)) == "Value(data=1.0, grad=0.0)"
    assert repr(Value(1).detach()) == "Constant(data=1.0, grad=0.0)"
    assert f"{v:.3f}|{v:>6}|{v:g}|{v:+.1e}" == "2.500|   2.5|2.5|+2.5e+00"
    with pytest.raises(ValueError, match="format"):
        f"{v:d}"


def test_ordering_compares_data() -> None:
    one, two = Value(1.0), Value(2.0)
    assert one < two <= Value(2.0)
    assert two > one >= Value(1.0)
    assert one < 2
    assert not one < nan
    assert max([one, two]) is two
    assert sorted([two, one]) == [one, two]


def test_equality_and_hash_are_identity() -> None:
    one = Value(1.0)
    assert one == one
    assert one != Value(1.0)
    assert one != 1.0
    assert len({one, Value(1.0), one}) == 2


def test_item_and_detach() -> None:
    a = Value(3.0, label="a")
    b = a * a
    b.label = "b"
    cut = b.detach()
    assert (b.item(), type(b.item()), cut.data, cut.label, cut.op) == (9.0, float, 9.0, "b", None)
    assert gradients(cut * a, a) == [9.0]


def test_nothing_can_be_misspelt_onto_a_value() -> None:
    with pytest.raises(AttributeError):
        Value(1.0).gard = 1.0  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="tnah"):
        Value(1.0).tnah()


# ---- the chain rule


def test_shared_nodes() -> None:
    a = Value(3.0)
    b = a + a
    c = b + b
    assert gradients(c, a) == [4.0]
    assert (a + a).operands == (a, a)
    assert gradients(a * a, a) == [6.0]
    assert gradients(a - a, a) == [0.0]
    assert gradients((a * a) * (a * a), a) == [108.0]
    d = a * 2
    assert gradients(d * d + d, a) == [2 * (2 * 6 + 1)]


def test_a_diamond_visits_every_node_once() -> None:
    v = Value(1.0)
    for _ in range(200):  # 2**200 paths
        v = v + v
    assert len(topological_order(v)) == 201
    v.backward()
    assert topological_order(v)[0].grad == 2.0**200


def test_topological_order() -> None:
    a, b = Value(1.0), Value(2.0)
    root = (a * b + a) * b
    order = topological_order(root)
    assert order[-1] is root
    assert len(order) == len(set(order)) == 5
    for node in order:
        assert all(order.index(operand) < order.index(node) for operand in node.operands)
    assert topological_order(a) == [a]


def test_a_second_backward_accumulates_in_leaves_alone() -> None:
    a = Value(2.0)
    b = a * a
    c = b * 3
    for calls in (1, 2, 3):
        c.backward()
        assert (c.grad, b.grad, a.grad) == (1.0, 3.0, 12.0 * calls)


def test_a_second_root_over_a_shared_graph() -> None:
    a = Value(2.0)
    shared = a * a
    first, second = shared * 3, shared.exp()
    first.backward()
    second.backward()
    assert shared.grad == second.data
    assert a.grad == 12 + 4 * math.exp(4)
    (first + second).backward()
    assert a.grad == pytest.approx(2 * (12 + 4 * math.exp(4)), rel=1e-15)


def test_backward_from_the_middle_leaves_what_is_above() -> None:
    a = Value(2.0)
    b = a * a
    c = b * b
    c.backward()
    b.backward()
    assert (c.grad, b.grad, a.grad) == (1.0, 1.0, 32.0 + 4.0)


def test_a_gradient_from_outside() -> None:
    a = Value(2.0)
    (a * 3).backward(gradient=0.5)
    assert a.grad == 1.5
    (a * 3).backward(-1)
    assert a.grad == -1.5


def test_backward_on_a_leaf() -> None:
    a = Value(2.0)
    a.backward()
    a.backward(2.0)
    assert a.grad == 3.0


def test_a_chain_of_a_million_nodes() -> None:
    x = Value(1.0)
    chain = x
    for _ in range(1_000_000):
        chain = chain + 1.0
    assert chain.data == 1_000_001.0
    chain.backward()
    assert x.grad == 1.0
    del chain


def test_numbers_in_an_expression_are_constants() -> None:
    a = Value(2.0)
    constants = [type(node) is Constant for node in topological_order(2 * a + 1)]
    assert constants.count(True) == 2


# ---- random graphs against PyTorch


def test_the_random_graphs_know_every_op() -> None:
    assert {*UNARY, *BINARY, *LISTS, *CONDITIONS, "where"} == TABLE.keys()


@given(LEAVES, STEPS)
def test_random_graphs_are_those_of_pytorch(numbers: list[float], steps: Any) -> None:
    torch = pytest.importorskip("torch")
    values = [Value(x) for x in numbers]
    tensors = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in numbers]
    root, wanted = build(values, steps, ours), build(tensors, steps, pytorchs)
    root.backward()
    wanted.backward()
    assert root.data == pytest.approx(wanted.item(), rel=1e-9, abs=1e-12)
    for value, tensor in zip(values, tensors, strict=True):
        assert value.grad == pytest.approx(tensor.grad.item(), rel=1e-9, abs=1e-12)


# ---- without a graph


def test_no_grad() -> None:
    a = Value(2.0)
    with no_grad():
        results = [a * a, 1 - a, a.tanh(), mf.sum([a, a]), -a, a**2]
        with no_grad():
            results.append(a + 1)
        results.append(a + 2)
    for result in results:
        assert (result.op, result.operands) == (None, ())
    assert [result.data for result in results] == [4, -1, math.tanh(2), 4, -2, 4, 3, 4]
    assert (a * a).op is TABLE["mul"]


def test_no_grad_as_a_decorator() -> None:
    @no_grad()
    def predict(x: Value) -> Value:
        return x * 2

    a = Value(2.0)
    for _ in range(2):
        assert predict(a).operands == ()
    assert (a * 2).operands


def test_no_grad_ends_with_an_exception() -> None:
    a = Value(1.0)
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert (a * 2).operands


# ---- the first inf or nan


def anomaly(function: Callable[[], Any]) -> str:
    with pytest.raises(FloatingPointError) as error, detect_anomaly():
        function()
    return str(error.value)


def test_an_anomaly_on_the_way_forward() -> None:
    a, b = Value(2.0, label="a"), Value(6.0, label="b")
    h = a * 3
    assert anomaly(lambda: b / (h - b)) == "b / (… - b) with b = 6, … - b = 0 became inf"
    h.label = "h"
    assert anomaly(lambda: (h - b).log()) == "log(h - b) with h - b = 0 became -inf"
    assert anomaly(lambda: (h - 7).log()) == "log(h - 7) with h - 7 = -1 became nan"
    assert anomaly(lambda: mf.dot([a, h], [h, 1e308])) == (
        "dot(a, h, h, 1e+308) with a = 2, h = 6 became inf"
    )
    assert anomaly(lambda: a**5000) == "a**5000 with a = 2 became inf"
    assert anomaly(lambda: Value(0.0) / 0) == "0 / 0 became nan"
    assert anomaly(lambda: mf.sum([a + k for k in range(9)] + [inf])) == (
        "sum(a + 0, a + 1, a + 2, a + 3, a + 4, a + 5, …) with the number inf, "
        "a + 0 = 2, a + 1 = 3, a + 2 = 4, a + 3 = 5, a + 4 = 6 became inf"
    )


def test_an_anomaly_in_a_deep_graph_without_labels() -> None:
    x = Value(3.0)

    def diverge(x: Value) -> None:
        for _ in range(20):
            x = (x * x + 1.5) * 3

    assert anomaly(lambda: diverge(x)) == "… * 3 * (… * 3) with … * 3 = 2.63111e+252 became inf"


def test_an_anomaly_on_the_way_back() -> None:
    a, b = Value(2.0, label="a"), Value(0.0, label="b")
    assert anomaly(lambda: ((b * a).sqrt() + a).backward()) == (
        "the gradient of b * a became inf: in sqrt(b * a) with b * a = 0, "
        "upstream gradient 1 × local derivative inf"
    )
    assert anomaly(lambda: (b.sqrt() * 0 + a).backward()) == (
        "the gradient of b became nan: in sqrt(b) with b = 0, "
        "upstream gradient 0 × local derivative inf"
    )
    q = b * 2
    q.label = "q"
    assert anomaly(lambda: q.sqrt().backward()).startswith("the gradient of q became inf: in sq")


def test_what_is_finite_passes() -> None:
    a = Value(0.0, label="a")
    with detect_anomaly():
        root = (a.relu() + 2**a) * a.exp()
        root.backward()
        assert gradients(a * a, a) == [0.0]
        # by its exponent the power of a negative number has no slope, but who asks for it?
        assert gradients(Value(-2.0) ** 2 + a, a) == [1.0]
    assert Value(1.0) / 0  # outside, nothing is checked
    Value(0.0).sqrt().backward()


def test_anomalies_are_detected_only_inside() -> None:
    zero = Value(0.0)
    with pytest.raises(ZeroDivisionError), detect_anomaly():
        raise ZeroDivisionError
    assert zero.log().data == -inf
    with detect_anomaly():
        with detect_anomaly():
            pass
        with pytest.raises(FloatingPointError):
            zero.log()
    with no_grad(), pytest.raises(FloatingPointError), detect_anomaly():
        zero.log()


# ---- scopes


def test_scopes() -> None:
    class Attention:
        pass

    a = Value(1.0)
    with scope("block") as outer:
        b = a * 2
        with scope(Attention()) as inner:
            c = b.tanh()
        d = c + 1
    e = d * 2
    assert [node.scope for node in (a, b, c, d, e)] == [None, outer, inner, outer, None]
    assert (inner.name, inner.parent, outer.name, outer.parent) == (
        "Attention",
        outer,
        "block",
        None,
    )
    with pytest.raises(KeyError), scope("broken"):
        raise KeyError
    assert (a + 1).scope is None


# ---- copies


@pytest.mark.parametrize("how", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_copies_of_a_graph(how: Callable[[Value], Value]) -> None:
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    with scope("block"):
        root = mf.sum([a * b, (a * b).tanh(), a**2, a])
    root.backward()
    twin = how(root)
    originals, twins = topological_order(root), topological_order(twin)
    assert not {*originals} & {*twins}
    for one, other in zip(originals, twins, strict=True):
        assert type(one) is type(other)
        assert (one.data, one.grad, one.label) == (other.data, other.grad, other.label)
        assert one.op is other.op
    twin.backward()
    assert twins[0].label == "a"
    assert twins[0].grad == 2 * a.grad
    assert twin.scope is not None
    assert twin.scope.name == "block"


# ---- names and formulas


def test_names_of_ops() -> None:
    a, b = Value(2.0, label="a"), Value(3.0, label="b")
    nodes = [a, a + b, a * b, a - b, a / b, a**2, a**b, 2**a, -a, a.relu(), a.leaky_relu(0.2)]
    names = ["", "+", "*", "-", "/", "**2", "**", "**", "-", "ReLU", "leaky_relu(0.2)"]
    assert [op_name(node) for node in nodes] == names


def test_formulas() -> None:
    a, b = Value(2.0, label="a"), Value(3.0, label="b")
    n = a * b
    for node, text in [
        (a, "a"),
        (Value(2.5), "2.5"),
        (n + b, "a * b + b"),
        ((a + b) * -a, "(a + b) * -a"),
        (a.tanh().exp().log(), "log(exp(…))"),
        ((a + 1) ** 2, "(a + 1)**2"),
        (abs(a) / 3, "abs(a) / 3"),
        (mf.dot([a, b], [b, 1.0]), "dot(a, b, b, 1)"),
        (mf.sum([a, b]), "sum(a, b)"),
        (a.leaky_relu(0.2), "leaky_relu(a, 0.2)"),
    ]:
        assert formula(node) == text
    n.label = "n"
    assert formula(n) == "a * b"  # how it was made
    assert formula(n.tanh()) == "tanh(n)"  # what others are made of
    assert formula(n.tanh().exp() + n, depth=3) == "exp(tanh(n)) + n"
    assert formula(a.tanh().exp().log(), depth=3) == "log(exp(tanh(a)))"


def test_every_op_can_be_named_and_written() -> None:
    for name, op in TABLE.items():
        count = 4 if op.nary else len(op.operands)
        node = apply(op, *[Value(0.5, label=x) for x in itertools.islice("abcd", count)])
        assert op_name(node)
        assert "a" in formula(node), name


def test_a_scope_that_is_open_cannot_be_opened_again():
    block = scope("block")
    with block, scope("inner"):
        with pytest.raises(RuntimeError, match="the scope 'block' is open already"):
            block.__enter__()
        assert (Value(1.0) + 1).scope.parent is block
    with block:
        assert (Value(1.0) + 1).scope is block


def test_an_engine_is_used_in_one_thread_alone():
    inside, done = threading.Barrier(2), threading.Barrier(2)

    def other():
        with no_grad(), scope("other"):
            inside.wait()
            done.wait()

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait()
    here = Value(1.0) * 2
    done.wait()
    thread.join()
    for node in (here, Value(1.0) * 2):
        assert node.op is not None
        assert node.scope is None


@pytest.mark.parametrize("order", [(no_grad, detect_anomaly), (detect_anomaly, no_grad)])
def test_anomalies_are_detected_without_a_graph_too(order):
    outer, inner = order
    with outer(), inner():
        assert (Value(1.0) * 2).op is None
        with pytest.raises(FloatingPointError, match="log"):
            Value(0.0).log()
    assert (Value(1.0) * 2).op is not None


# ---- recording: nothing is computed, and no number is read


def test_a_recorder_is_handed_every_op():
    active, x = Computing(), Sealed(0.5)
    assert recorder() is None
    with recording(active):
        assert recorder() is active
        for name, op in TABLE.items():
            operands = [x] * (4 if op.nary else len(op.operands))
            node = apply(op, *operands)
            assert (node.op, node.operands) == (op, tuple(operands))
            assert active.asked.pop() == (name, True)
            assert reveal(node) == op.forward(*[0.5] * len(operands))
        mixed = [x.leaky_relu(), mf.elu(x, alpha=x), mf.maximum(2, x), mf.dot([x, 1], [2, x])]
    assert reveal(mixed) == [0.5, 0.5, 2.0, 1.5]
    assert recorder() is None
    assert type(Value(1.0) + 1) is Value


@pytest.mark.parametrize(("operator", "name"), OPERATORS, ids=[name for _, name in OPERATORS])
def test_operators_are_recorded_with_numbers_on_either_side(operator, name):
    active, x = Computing(), Sealed(2.0)
    with recording(active):
        results = [operator(x, x), operator(x, 3), operator(3, x), operator(x, Value(3.0))]
    assert [reveal(v) for v in results] == [
        operator(a, b) for a, b in [(2, 2), (2, 3), (3, 2), (2, 3)]
    ]
    assert active.asked == [(name, True)] * 4
    assert [type(v) for v in results[1].operands] == [Sealed, Constant]


def test_unary_operators_and_powers_are_recorded():
    active, x = Computing(), Sealed(-2.0)
    with recording(active):
        assert [reveal(v) for v in (-x, abs(x), x**2, sum([x, x]))] == [2, 2, 4, -4]
    assert [name for name, _ in active.asked] == ["neg", "abs", "pow", "add", "add"]


@pytest.mark.parametrize("outer_first", [True, False])
def test_a_recorder_hears_of_no_grad(outer_first):
    active = Computing()
    blocks = [recording(active), no_grad()]
    outer, inner = blocks if outer_first else blocks[::-1]
    with outer:
        with inner:
            result = Sealed(2.0) * 3
        assert reveal(result) == 6
    assert active.asked == [("mul", False)]


def test_anomalies_are_not_looked_for_while_recording():
    with detect_anomaly(), recording(Computing()):
        assert reveal(Sealed(0.0).log()) == -inf
    with recording(Computing()), detect_anomaly():
        assert reveal(1 / Sealed(0.0)) == inf


def test_recording_ends_with_an_exception_and_an_inner_one_with_its_block():
    first, second = Computing(), Computing()
    with recording(first):
        with pytest.raises(TypeError), recording(second):
            Sealed(1.0) + "1"
        assert recorder() is first
    assert recorder() is None


def test_rand():
    random.seed(5)
    wanted = [random.random(), random.random()]
    random.seed(5)
    drawn = [rand(), rand()]
    assert [v.data for v in drawn] == wanted
    assert {type(v) for v in drawn} == {Constant}
    assert rand(random.Random(3)).data == random.Random(3).random()
    for seed in (0, 7):
        with pytest.raises(TypeError, match=rf"generator is a random.Random.* not {seed}"):
            rand(seed)


def test_rand_is_recorded():
    active, generator = Computing(), random.Random(3)
    with recording(active):
        assert reveal(rand(generator)) == random.Random(3).random()
        rand()
    assert active.asked == [("random", generator), ("random", None)]


def positive(x):
    return x > 0


@pytest.mark.parametrize("number", [1, 0.5, Value(2.0), Constant(2.0), np.float32(2)])
def test_require(number):
    require(number, positive, "{} is not positive")
    with pytest.raises(ValueError, match=r"^-1.5 is not positive$"):
        require(number * 0 - 1.5, positive, "{} is not positive")


def test_require_takes_numbers_alone():
    with pytest.raises(TypeError, match="not the str '1'"):
        require("1", positive, "{} is not positive")


def test_require_is_recorded():
    active, x = Computing(), Sealed(-1.0)
    with recording(active):
        require(x, positive, "{} is not positive")
        assert active.asked == [("require", x, False, "{} is not positive")]
        for number in (-1, Constant(-1)):  # known now
            with pytest.raises(ValueError, match=r"-1\.0 is not positive"):
                require(number, positive, "{} is not positive")
