"""The ops as functions, and the functions made of them, against PyTorch and by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import micrograd_plus.functional as mf
from micrograd_plus.engine import Constant, Value
from micrograd_plus.ops import TABLE

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
        (lambda: mf.mean([]), ValueError, "at least one value"),
        (lambda: mf.min([]), ValueError, "at least one value"),
        (lambda: mf.softmax([]), ValueError, "at least one value"),
        (lambda: mf.var([1.0]), ValueError, "var of 1 values with correction=1 is 0 / 0"),
        (lambda: mf.dot([1, 2], [1]), ValueError, r"sequences of equal length, not of \[2, 1\]"),
        (lambda: mf.dot([1, 2]), TypeError, "dot takes 2 sequences, not 1"),
        (lambda: mf.sum([1], [2]), TypeError, "sum takes 1 sequences, not 2"),
        (lambda: mf.sum(Value(1)), TypeError, r"not the single Value\(data=1.0"),
        (lambda: mf.sum(1, 2), TypeError, "sum takes a sequence of Values or numbers, not the sin"),
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
