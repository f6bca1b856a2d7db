"""The functions of formulas: on floats against NumPy, on symbols by the tree they give."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from micrograd_plus import symbols
from micrograd_plus.symbols import (
    FUNCTIONS,
    Expression,
    Symbol,
    divide,
    equal,
    exp,
    largest,
    power,
    tanh,
    total,
    where,
)

inf, nan = math.inf, math.nan
EDGES = [
    *(0.0, -0.0, 0.25, -0.25, 1 / 3, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 20.5, 1000.0, -1000.0),
    *(5e-324, 1e-300, -1e-300, 1e300, -1e300, 2.0**53 + 2, -(2.0**53) - 2, inf, -inf, nan),
]
x, y = Symbol("x"), Symbol("y")


def same(got: float, wanted: float) -> bool:
    if wanted != wanted or wanted == 0 or math.isinf(wanted):
        return str(float(got)) == str(float(wanted))  # the sign of 0 included
    return math.isclose(got, wanted, rel_tol=1e-14, abs_tol=5e-324)


@pytest.mark.parametrize(
    "name", ["exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tan", "tanh"]
)
def test_functions_follow_ieee_754(name: str) -> None:
    with np.errstate(all="ignore"):
        for number in EDGES:
            wanted = getattr(np, name)(np.float64(number))
            assert same(getattr(symbols, name)(number), wanted), (name, number)


@pytest.mark.parametrize(("function", "ufunc"), [(divide, np.divide), (power, np.power)])
def test_functions_of_two_numbers_follow_ieee_754(function, ufunc) -> None:
    with np.errstate(all="ignore"):
        for a, b in itertools.product(EDGES, repeat=2):
            assert same(function(a, b), ufunc(np.float64(a), np.float64(b))), (a, b)


def test_the_error_function() -> None:
    assert [symbols.erf(number) for number in (0.0, inf, -inf)] == [0, 1, -1]
    assert symbols.erf(0.5) == pytest.approx(0.5204998778130465, rel=1e-15)


def test_reductions() -> None:
    assert (total([1.0, 2.0, 3.0]), largest([1.0, 3.0, 2.0])) == (6.0, 3.0)
    assert symbols.inner([1.0, 2.0], [3.0, 4.0]) == 11.0
    for row in itertools.permutations([nan, inf, 1.0]):
        assert math.isnan(largest(row)), row
    assert largest([-inf, -inf]) == -inf


def test_choices() -> None:
    assert (where(True, 1.0, 2.0), where(False, 1.0, 2.0)) == (1.0, 2.0)
    assert (equal(0.0, -0.0), equal(nan, nan), equal(1.0, 2.0)) == (True, False, False)


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - {"abs"}))
def test_every_function_of_a_symbol_is_an_expression(name: str) -> None:
    function = getattr(symbols, name)
    count = FUNCTIONS[name].on_floats.__code__.co_argcount
    arguments = [x, 2.0, y][:count]
    assert function(*arguments) == Expression(name, *arguments)
    assert function.__doc__
    assert function.__name__ == name
    if count == 2:  # a symbol in any place will do
        assert function(2.0, x) == Expression(name, 2.0, x)


def test_operators_keep_the_order_of_what_they_join() -> None:
    assert repr((x + 1, 1 + x, x - 1, 1 - x)) == "((+ x 1), (+ 1 x), (- x 1), (- 1 x))"
    assert repr((x * 2, 2 * x, x / 2, 2 / x)) == "((* x 2), (* 2 x), (/ x 2), (/ 2 x))"
    assert repr((x**2, -x, abs(x))) == "((** x 2), (neg x), (abs x))"
    assert repr((x < 1, x <= 1, x > 1, x >= 1)) == "((< x 1), (<= x 1), (> x 1), (>= x 1))"
    assert repr((x < 1) & (y > 0)) == "(and (< x 1) (> y 0))"


def test_equality_is_that_of_writing() -> None:
    assert exp(x + 1) == exp(Symbol("x") + 1)
    assert exp(x + 1) != exp(1 + x)
    assert Symbol("x") != Expression("x")
    assert x != "x"
    assert len({tanh(x), tanh(Symbol("x")), tanh(y)}) == 2


def test_an_expression_is_neither_true_nor_false() -> None:
    with pytest.raises(TypeError, match=r"whether \(> x 0\) holds is not known .* where\(cond"):
        bool(x > 0)
    with pytest.raises(TypeError, match="write where"):
        max(x, y)


def test_sums_round_as_every_language_rounds_them():
    from micrograd_plus.symbols import inner, total

    assert total([0.1] * 10) == 0.9999999999999999  # from left to right, on every Python
    assert total([1e16, 1.0, -1e16]) == 0.0
    assert inner([1e8, 1.0, -1e8], [1e8, 1.0, 1e8]) == 0.0
