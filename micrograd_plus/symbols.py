"""Formulas that compute on numbers and can also be looked at.

A formula is an ordinary Python expression over the functions of this module. Called with
floats it gives a float; called with symbols it gives an `Expression`, a small tree that the
writers in `writers.py` turn into Python, JavaScript, LaTeX or plain text:

>>> tanh(0.0)
0.0
>>> x = Symbol("x")
>>> 1 - tanh(x) * tanh(x)
(- 1 (* (tanh x) (tanh x)))

On floats every function follows IEEE 754, as PyTorch's float64 does: where Python's `math`
raises an error, these give inf or nan, so that a run which diverges shows it and goes on.

>>> exp(1000.0), log(0.0), log(-1.0), divide(1.0, 0.0), power(-8.0, 1 / 3)
(inf, -inf, nan, inf, nan)
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

inf, nan = math.inf, math.nan


class Expression:
    """One operation of a formula: its name and its arguments (expressions or numbers).

    Two expressions are equal when they are written the same; inside a formula, compare with
    `equal(a, b)`, which is an expression itself.
    """

    __slots__ = ("name", "args")

    def __init__(self, name: str, *args: Any) -> None:
        self.name = name
        self.args = args

    def __add__(self, other: Any) -> Expression:
        return Expression("+", self, other)

    def __radd__(self, other: Any) -> Expression:
        return Expression("+", other, self)

    def __sub__(self, other: Any) -> Expression:
        return Expression("-", self, other)

    def __rsub__(self, other: Any) -> Expression:
        return Expression("-", other, self)

    def __mul__(self, other: Any) -> Expression:
        return Expression("*", self, other)

    def __rmul__(self, other: Any) -> Expression:
        return Expression("*", other, self)

    def __truediv__(self, other: Any) -> Expression:
        return Expression("/", self, other)

    def __rtruediv__(self, other: Any) -> Expression:
        return Expression("/", other, self)

    def __pow__(self, other: Any) -> Expression:
        return Expression("**", self, other)

    def __rpow__(self, other: Any) -> Expression:
        return Expression("**", other, self)

    def __neg__(self) -> Expression:
        return Expression("neg", self)

    def __abs__(self) -> Expression:
        return Expression("abs", self)

    def __lt__(self, other: Any) -> Expression:
        return Expression("<", self, other)

    def __le__(self, other: Any) -> Expression:
        return Expression("<=", self, other)

    def __gt__(self, other: Any) -> Expression:
        return Expression(">", self, other)

    def __ge__(self, other: Any) -> Expression:
        return Expression(">=", self, other)

    def __and__(self, other: Any) -> Expression:
        return Expression("and", self, other)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Expression)
            and type(self) is type(other)
            and (self.name, self.args) == (other.name, other.args)
        )

    def __hash__(self) -> int:
        return hash((self.name, self.args))

    def __bool__(self) -> bool:
        raise TypeError(
            f"whether {self} holds is not known before its symbols have numbers: "
            "write where(condition, a, b) for if, and & for and"
        )

    def __repr__(self) -> str:
        return f"({' '.join([self.name, *map(repr, self.args)])})" if self.args else self.name


class Symbol(Expression):
    """A named place in a formula; a `vector` symbol stands for a list of numbers.

    In a formula over vectors the operators work element by element, and `total`, `largest`
    and `inner` reduce them to one number.
    """

    __slots__ = ("vector",)

    def __init__(self, name: str, vector: bool = False) -> None:
        super().__init__(name)
        self.vector = vector


FUNCTIONS: dict[str, Any] = {"inf": inf, "nan": nan}
"""What written Python may call: the functions below by name, as they compute on floats."""


def _overloaded(on_floats: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, which gives an `Expression` when an argument is one."""
    name = on_floats.__name__
    FUNCTIONS[name] = on_floats

    def function(*args: Any) -> Any:
        for argument in args:
            if isinstance(argument, Expression):
                return Expression(name, *args)
        return on_floats(*args)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = on_floats.__doc__
    return function


@_overloaded
def exp(x: float) -> float:
    """e to the power x; inf where that is larger than any double."""
    try:
        return math.exp(x)
    except OverflowError:
        return inf


@_overloaded
def expm1(x: float) -> float:
    """exp(x) - 1 without the loss of digits near 0."""
    try:
        return math.expm1(x)
    except OverflowError:
        return inf


@_overloaded
def log(x: float) -> float:
    """The natural logarithm; -inf at 0, nan below."""
    try:
        return math.log(x)
    except ValueError:
        return -inf if x == 0 else nan


@_overloaded
def log1p(x: float) -> float:
    """log(1 + x) without the loss of digits near 0; -inf at -1, nan below."""
    try:
        return math.log1p(x)
    except ValueError:
        return -inf if x == -1 else nan


@_overloaded
def sqrt(x: float) -> float:
    """The square root; nan below 0."""
    try:
        return math.sqrt(x)
    except ValueError:
        return nan


@_overloaded
def sin(x: float) -> float:
    """The sine of x radians; nan at infinity."""
    try:
        return math.sin(x)
    except ValueError:
        return nan


@_overloaded
def cos(x: float) -> float:
    """The cosine of x radians; nan at infinity."""
    try:
        return math.cos(x)
    except ValueError:
        return nan


@_overloaded
def tan(x: float) -> float:
    """The tangent of x radians; nan at infinity."""
    try:
        return math.tan(x)
    except ValueError:
        return nan


@_overloaded
def tanh(x: float) -> float:
    """The hyperbolic tangent."""
    return math.tanh(x)


@_overloaded
def erf(x: float) -> float:
    """The error function."""
    return math.erf(x)


@_overloaded
def divide(a: float, b: float) -> float:
    """a / b; signed infinity where b is 0, nan for 0 / 0."""
    try:
        return a / b
    except ZeroDivisionError:
        return nan if a == 0 or a != a else math.copysign(inf, a) * math.copysign(1.0, b)


@_overloaded
def power(a: float, b: float) -> float:
    """a to the power b; nan for a negative a with a fractional b, inf on overflow."""
    try:
        return math.pow(a, b)
    except (ValueError, OverflowError):
        if a < 0 and b != math.floor(b):
            return nan
        odd = b % 2 == 1
        return math.copysign(inf, a) if odd else inf


@_overloaded
def equal(a: float, b: float) -> bool:
    """Whether a equals b (`==` between expressions compares how they are written)."""
    return a == b


@_overloaded
def where(condition: bool, a: float, b: float) -> float:
    """a where the condition holds, else b."""
    return a if condition else b


@_overloaded
def total(values: Sequence[float]) -> float:
    """The sum of a vector's elements, added from left to right.

    Python's own sum rounds differently from version 3.12 on, and from every other language.
    """
    return reduce(operator.add, values, 0.0)


@_overloaded
def largest(values: Sequence[float]) -> float:
    """The largest of a vector's elements; nan if one of them is nan."""
    result = values[0]
    for value in values:
        if value > result or value != value:
            result = value
    return result


@_overloaded
def inner(x: Sequence[float], y: Sequence[float]) -> float:
    """The inner product of two vectors: the sum of x * y over their elements."""
    return reduce(operator.add, map(operator.mul, x, y), 0.0)
