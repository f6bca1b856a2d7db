"""The ops as functions, and the functions made of them, against PyTorch and by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sealed import Computing, Sealed, reveal, sealed

import micrograd_plus.functional as mf
from micrograd_plus.context import recording
from micrograd_plus.engine import Constant, Value
from micrograd_plus.ops import TABLE
from micrograd_plus.recordable import pick

ROWS = st.lists(st.floats(-30, 30), min_size=2, max_size=6)


@pytest.mark.parametrize("name", TABLE)
def test_every_op_is_a_function(name: str) -> None:
    op, function = TABLE[name], getattr(mf, name)
    numbers = [0.5, 0.25, 0.75][: len(op.operands)]
    operands: list[Any] = [[x, x] for x in numbers] if op.nary else numbers
    row = [x for pair in operands for x in pair] if op.nary else numbers
    result = function(*operands)
    assert result.data == op.forward(*row)
    assert (result.op, function.__name__) == (op, name)
    assert all(type(operand) is Constant for operand in result.operands)
    assert op.doc in function.__doc__
    assert name in dir(mf)


def test_functions_of_values() -> None:
    a, b = Value(2.0), Value(-1.0)
    mf.maximum(a, b).backward()
    mf.leaky_relu(b, slope=0.2).backward()
    mf.leaky_relu(x=b).backward()
    assert (a.grad, b.grad) == (1.0, 0.21000000000000002)


@pytest.mark.parametrize("make", [list, tuple, iter, np.array, lambda row: (x for x in row)])
def test_any_iterable_is_a_vector(make: Callable[[list[float]], Any]) -> None:
    row = [1.0, 2.0, 4.0]
    assert mf.sum(make(row)).data == 7.0
    assert mf.dot(make(row), make(row)).data == 21.0
    assert mf.mean(make(row)).data == 7 / 3
    assert mf.min(make(row)).data == 1.0
    assert mf.var(make(row)).data == pytest.approx(7 / 3)
    assert math.fsum(p.data for p in mf.softmax(make(row))) == pytest.approx(1)


def test_numbers_and_values_may_be_mixed() -> None:
    a = Value(3.0)
    mf.dot([a, 2], [4, a]).backward()
    assert a.grad == 6.0
    result = mf.min([a, 5, 3.0])
    result.backward()
    assert (result.data, a.grad) == (3.0, 6.5)


@given(ROWS)
def test_composed_functions_are_those_of_pytorch(numbers: list[float]) -> None:
    torch = pytest.importorskip("torch")

    def compare(ours: Callable[[Any], Any], theirs: Callable[[Any], Any]) -> None:
        values = [Value(x) for x in numbers]
        tensor = torch.tensor(numbers, dtype=torch.float64, requires_grad=True)
        result, wanted = ours(values), theirs(tensor)
        row = result if isinstance(result, list) else [result]
        assert [x.data for x in row] == pytest.approx(
            wanted.reshape(-1).tolist(), rel=1e-12, abs=1e-12
        )
        weights = [math.sin(k + 1) for k in range(len(row))]
        mf.dot(weights, row).backward()
        torch.dot(torch.tensor(weights, dtype=torch.float64), wanted.reshape(-1)).backward()
        slopes = [value.grad for value in values]
        assert slopes == pytest.approx(tensor.grad.tolist(), rel=1e-10, abs=1e-12)

    compare(mf.mean, torch.mean)
    compare(mf.min, torch.amin)
    compare(mf.softmax, lambda x: torch.softmax(x, 0))
    compare(mf.log_softmax, lambda x: torch.log_softmax(x, 0))
    compare(mf.var, torch.var)
    compare(lambda x: mf.var(x, correction=0), lambda x: torch.var(x, correction=0))


def test_softmax_at_the_edges() -> None:
    assert [p.data for p in mf.softmax([1000.0, 1000.0])] == pytest.approx([0.5, 0.5])
    assert [p.data for p in mf.softmax([0.0, -1000.0])] == [1.0, 0.0]
    assert [p.data for p in mf.softmax([0.0, -math.inf])] == [1.0, 0.0]
    assert [p.data for p in mf.log_softmax([0.0, -1000.0])] == [0.0, -1000.0]


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: mf.sum([]), ValueError, "sum takes at least one value, and was given none"),
        (lambda: mf.max(iter([])), ValueError, "max takes at least one value"),
        (lambda: mf.mean([]), ValueError, "mean takes at least one value"),
        (lambda: mf.min([]), ValueError, "at least one value"),
        (lambda: mf.softmax([]), ValueError, "softmax takes at least one value"),
        (lambda: mf.var([1.0]), ValueError, "var of 1 values with correction=1 is 0 / 0"),
        (lambda: mf.dot([1, 2], [1]), ValueError, "equal length, and was given 2 and 1 num"),
        (lambda: mf.dot([1, 2]), TypeError, "dot takes 2 sequences, not 1"),
        (lambda: mf.sum([1], [2]), TypeError, "sum takes 1 sequences, not 2"),
        (lambda: mf.sum(Value(1)), TypeError, r"not the single Value\(data=1.0"),
        (lambda: mf.sum(1, 2), TypeError, "sum takes a sequence of Values or numbers, not the sin"),
        (lambda: mf.softmax(Value(1)), TypeError, "softmax takes a sequence of Values or numbers"),
        (lambda: mf.log_softmax(1), TypeError, "log_softmax takes a sequence of .* the single 1"),
        (lambda: mf.mean(3.0), TypeError, "mean takes a sequence of Values or numbers"),
        (lambda: mf.var(Value(1)), TypeError, "var takes a sequence of Values or numbers"),
        (lambda: mf.sum("12"), TypeError, "not the str '1'"),
        (lambda: mf.sum([[1, 2]]), TypeError, r"not the list \[1, 2\]"),
        (lambda: mf.tanh("1"), TypeError, "not the str '1'"),
        (lambda: mf.tanh([1.0]), TypeError, "make one Value for each element"),
        (lambda: mf.tanh(), TypeError, r"tanh\(x\) was called as tanh\(\)"),
        (lambda: mf.tanh(1, 2), TypeError, r"tanh\(x\) was called as tanh\(a value, a value\)"),
        (lambda: mf.tnah(1), AttributeError, "no attribute 'tnah'"),
    ],
)
def test_errors(call: Callable[[], Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()


# ---- conditions and indices


@pytest.mark.parametrize(("condition", "chosen"), [(True, 0), (False, 1)])
def test_a_bool_chooses_at_once(condition: bool, chosen: int) -> None:
    a, b = Value(2.0), Value(3.0)
    for known in (condition, np.bool_(condition)):
        assert mf.where(known, a, b) is (a, b)[chosen]
        result = mf.where(known, 2.0, 3.0)
        assert (type(result), result.data) == (Constant, (2.0, 3.0)[chosen])


@pytest.mark.parametrize("condition", [0.0, -0.0, 1.0, -2.0, math.nan])
def test_a_number_is_a_condition_of_the_graph(condition: float) -> None:
    torch = pytest.importorskip("torch")
    for given_condition in (condition, Value(condition)):
        a, b = Value(2.0), Value(3.0)
        result = mf.where(given_condition, a, b)
        result.backward()
        assert result.op is TABLE["where"]
        assert result.data == torch.where(torch.tensor(condition).bool(), 2.0, 3.0).item()
        assert (a.grad, b.grad) == ((1.0, 0.0) if result.data == 2.0 else (0.0, 1.0))
    assert mf.where(condition=Value(1.0), a=2, b=3).data == Value(1.0).where(2, 3).data == 2.0


def test_conditions() -> None:
    a = Value(1.0)
    assert [mf.lt(a, 1).data, mf.le(a, 1).data, mf.lt(0, a).data, a.le(0.5).data] == [0, 1, 1, 0]


def test_pick() -> None:
    values = [Value(1.0), Value(2.0), Value(3.0)]
    table = [values, values[::-1]]
    for index in (0, np.int64(0)):
        assert pick(values, index) is values[0]
        assert pick(table, index) is values
    assert pick(pick(table, 1), 2) is values[0]
    assert pick((1, 2), 1) == 2


@pytest.mark.parametrize("index", [3, -1, 10**30])
def test_pick_out_of_range(index: int) -> None:
    with pytest.raises(IndexError, match=f"no index {index} in 3 values: 0 to 2"):
        pick([1.0, 2.0, 3.0], index)


@pytest.mark.parametrize("index", [1.0, "a", None, [0], Value(1.0), Constant(1.0)])
def test_pick_by_what_is_no_index(index: Any) -> None:
    with pytest.raises(TypeError, match=r"an index is an int, as 0 or 3, not "):
        pick([1.0, 2.0, 3.0], index)


# ---- recording


def test_composed_functions_read_no_number_while_recording() -> None:
    numbers = [0.5, -1.0, 2.0]
    composed = [mf.mean, mf.var, mf.min, mf.softmax, mf.log_softmax, mf.sum, mf.max, mf.logsumexp]
    for function in composed:
        with recording(Computing()):
            recorded = function(sealed(numbers))
        assert reveal(recorded) == reveal(function(numbers)), function


def test_conditions_are_recorded() -> None:
    active, a, b = Computing(), Sealed(2.0), Sealed(3.0)
    with recording(active):
        results = [mf.where(a < b, a, b), mf.where(a >= b, a, 0.0), mf.where(b, 1, 2)]
        assert mf.where(True, a, b) is a
    assert reveal(results) == [2.0, 0.0, 1.0]
    assert [name for name, _ in active.asked] == ["lt", "where", "le", "where", "where"]


def test_an_index_is_recorded() -> None:
    active, values, index = Computing(), sealed([[1.0, 2.0], [3.0, 4.0]]), Sealed(1)
    with recording(active):
        assert pick(values, index) is values[1]
        assert pick(values, 1) is values[1]
    assert active.asked == [("pick", index)]
