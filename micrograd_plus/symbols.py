"""Formulas that compute on numbers and can also be looked at.

A formula is an ordinary Python expression over the functions of this module. Called with
floats it gives a float; called with symbols it gives an `Expression`, a small tree that the
writers in `formulas/writers.py` turn into Python, JavaScript, LaTeX or plain text:

>>> tanh(0.0)
0.0
>>> x = Symbol("x")
>>> 1 - tanh(x) * tanh(x)
(- 1 (* (tanh x) (tanh x)))

On floats every function follows IEEE 754, as PyTorch's float64 does: where Python's `math`
raises an error, these give inf or nan, so that training which diverges shows it and continues.

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
    """A variable of a formula; a `vector` symbol is a variable for a list of numbers.

    In a formula over vectors the operators work element by element, and `total`, `largest`
    and `inner` reduce them to one number.
    """

    __slots__ = ("vector",)

    def __init__(self, name: str, vector: bool = False) -> None:
        super().__init__(name)
        self.vector = vector


class Function:
    """A function of formulas, and how each language writes it: one row, beside its definition.

    Called with numbers it computes; called with an `Expression` it gives an `Expression`.

    A form is a template with one {} for each argument. In LaTeX and MathML it may be a pair of a
    precedence and a template, as for operators in `formulas.writers`; None is a plain call, f(x).
    `javascript_source` defines what the JavaScript form calls, if that is not built in.

    arrays: the form for whole arrays, in which `np.` stands for NumPy, PyTorch or jax.numpy; or a
        form for each of "numpy", "jax" and "torch". Without one it is np.f(x).
    """

    def __init__(
        self,
        on_floats: Callable[..., Any],
        javascript: str | None = None,
        latex: Form = None,
        mathml: Form = None,
        native: str | None = None,
        javascript_source: str = "",
        arrays: str | dict[str, str] | None = None,
    ) -> None:
        self.name = self.__name__ = on_floats.__name__
        self.__doc__ = on_floats.__doc__
        self.on_floats = on_floats
        self.javascript = javascript
        self.latex = latex
        self.mathml = mathml
        self.native = native or f"math.{self.name}({{}})"
        self.javascript_source = javascript_source
        self.arrays: str | dict[str, str] = arrays or f"np.{self.name}({{}})"
        FUNCTIONS[self.name] = self
        ON_FLOATS[self.name] = on_floats

    def __call__(self, *args: Any) -> Any:
        """A number for numbers, an Expression if one of the arguments is one."""
        for argument in args:
            if isinstance(argument, Expression):
                return Expression(self.name, *args)
        return self.on_floats(*args)


class Reduction(Function):
    """A function of whole vectors, as a sum: it joins the terms of all elements to one number.

    term: the term, from one element of each vector.
    start, join: the number to start with, and how it is joined with each term: 0 and + for a sum.
        The JavaScript and the native loop are written from them.
    latex, mathml: the sign before the terms.
    call: the name by which the terms are joined where they are written out, as max(a, b, c);
        without it they are written as `join` joins them, a + b + c.
    arrays: the name of the function that reduces an axis of an array; without it, the code is a
        loop over `join`.
    """

    def __init__(
        self,
        on_floats: Callable[..., float],
        latex: str,
        mathml: str,
        term: Callable[..., Any],
        start: float,
        join: Callable[[Any, Any], Any],
        call: str = "",
        arrays: str = "",
    ) -> None:
        super().__init__(on_floats, latex=latex, mathml=mathml)
        self.arrays = f"np.{arrays}({{}}, axis=-1, keepdims=True)" if arrays else ""
        self.term, self.start, self.join, self.call = term, start, join, call


Form = str | tuple[int, str] | None

FUNCTIONS: dict[str, Function] = {}
"""Every function of formulas by its name."""


class _Nothing(float):
    """A 0 whose product with any number is 0, with inf and nan, too."""

    def __mul__(self, other: Any) -> Any:
        return Expression("*", self, other) if isinstance(other, Expression) else 0.0

    __rmul__ = __mul__


nothing = _Nothing(0.0)
"""The derivative of an op that selects, by an operand that it did not choose.

No gradient flows there: `upstream * nothing` is 0 for any upstream, where inf * 0 would be nan.
"""

ON_FLOATS: dict[str, Any] = {"inf": inf, "nan": nan, "nothing": nothing}
"""What written Python may call: the functions as they compute on floats, and three numbers."""


def function(**how: Any) -> Callable[[Callable[..., Any]], Function]:
    """Makes a `Function` from a function of floats: `@function(javascript="Math.exp({})")`."""
    return lambda on_floats: Function(on_floats, **how)


def reduction(**how: Any) -> Callable[[Callable[..., float]], Reduction]:
    """Makes a `Reduction` from a function of lists of floats."""
    return lambda on_floats: Reduction(on_floats, **how)


_HIGHEST = 9  # the precedence of a name, a call or a bracket: above every operator


def _upright(name: str) -> dict[str, Any]:
    """A function that JavaScript has in Math, and LaTeX under the same name."""
    return {
        "javascript": f"Math.{name}({{}})",
        "latex": (_HIGHEST, rf"\{name}\left({{}}\right)"),
    }


@function(
    javascript="Math.exp({})",
    latex=(7, "e^{{{}}}"),
    mathml=(7, "<msup><mi>e</mi>{}</msup>"),
    native="exp({})",
)
def exp(x: float) -> float:
    """e to the power x; inf where that is larger than any double."""
    try:
        return math.exp(x)
    except OverflowError:
        return inf


@function(javascript="Math.expm1({})")
def expm1(x: float) -> float:
    """exp(x) - 1 without the loss of digits near 0."""
    try:
        return math.expm1(x)
    except OverflowError:
        return inf


@function(**_upright("log"), native="log({})")
def log(x: float) -> float:
    """The natural logarithm; -inf at 0, nan below."""
    try:
        return math.log(x)
    except ValueError:
        return -inf if x == 0 else nan


@function(javascript="Math.log1p({})")
def log1p(x: float) -> float:
    """log(1 + x) without the loss of digits near 0; -inf at -1, nan below."""
    try:
        return math.log1p(x)
    except ValueError:
        return -inf if x == -1 else nan


@function(
    javascript="Math.sqrt({})",
    latex=(_HIGHEST, r"\sqrt{{{}}}"),
    mathml=(_HIGHEST, "<msqrt>{}</msqrt>"),
)
def sqrt(x: float) -> float:
    """The square root; nan below 0."""
    try:
        return math.sqrt(x)
    except ValueError:
        return nan


@function(**_upright("sin"))
def sin(x: float) -> float:
    """The sine of x radians; nan at infinity."""
    try:
        return math.sin(x)
    except ValueError:
        return nan


@function(**_upright("cos"))
def cos(x: float) -> float:
    """The cosine of x radians; nan at infinity."""
    try:
        return math.cos(x)
    except ValueError:
        return nan


@function(**_upright("tan"))
def tan(x: float) -> float:
    """The tangent of x radians; nan at infinity."""
    try:
        return math.tan(x)
    except ValueError:
        return nan


@function(**_upright("tanh"), native="tanh({})")
def tanh(x: float) -> float:
    """The hyperbolic tangent."""
    return math.tanh(x)


@function(
    arrays={
        "numpy": "np.vectorize(math.erf)({})",
        "jax": "jax.scipy.special.erf({})",
        "torch": "torch.erf({})",
    },
    javascript_source="""\
function erf(x) {
  const z = Math.abs(x), twoBySqrtPi = 2 / Math.sqrt(Math.PI);
  if (z > 6) return Math.sign(x);  // 1 - erf(6) is below the last digit of a double
  if (!(z > 2)) {  // the Maclaurin series
    let power = x, sum = x;
    for (let n = 1; n < 60; n++) {
      power *= -x * x / n;
      sum += power / (2 * n + 1);
    }
    return twoBySqrtPi * sum;
  }
  let fraction = z;  // the continued fraction of 1 - erf
  for (let k = 80; k > 0; k--) fraction = z + k / 2 / fraction;
  return Math.sign(x) * (1 - twoBySqrtPi / 2 * Math.exp(-z * z) / fraction);
}
""",
)
def erf(x: float) -> float:
    """The error function."""
    return math.erf(x)


# What operators and conditions compute; how they are written is defined in `formulas.writers`.


@function()
def divide(a: float, b: float) -> float:
    """a / b; signed infinity where b is 0, nan for 0 / 0."""
    try:
        return a / b
    except ZeroDivisionError:
        return nan if a == 0 or a != a else math.copysign(inf, a) * math.copysign(1.0, b)


@function(
    javascript_source="""\
function power(a, b) {  // in IEEE 754, 1 to any power is 1, and so is -1 to an infinite one
  return a === 1 || (a === -1 && Math.abs(b) === Infinity) ? 1 : Math.pow(a, b);
}
""",
)
def power(a: float, b: float) -> float:
    """a to the power b; nan for a negative a with a fractional b, inf on overflow."""
    try:
        return math.pow(a, b)
    except (ValueError, OverflowError):
        if a < 0 and b != math.floor(b):
            return nan
        odd = b % 2 == 1
        return math.copysign(inf, a) if odd else inf


@function()
def equal(a: float, b: float) -> bool:
    """Whether a equals b; between expressions, `==` compares how they are written."""
    return a == b


@function(
    javascript="same({}, {})",
    latex=(3, "{:4} = {:4}"),
    mathml=(3, "<mrow>{:4}<mo>=</mo>{:4}</mrow>"),
    native="({0} == {1} or ({0} != {0} and {1} != {1}))",
    arrays="(({0:4} == {1:4}) | ({0:4} != {0:4}) & ({1:4} != {1:4}))",
    javascript_source="""\
function same(a, b) { return a === b || (a !== a && b !== b); }
""",
)
def same(a: float, b: float) -> bool:
    """Whether a equals b, or both are nan."""
    return a == b or (a != a and b != b)


@function()
def where(condition: bool, a: float, b: float) -> float:
    """a where the condition holds, else b."""
    return a if condition else b


Function(
    abs,
    javascript="Math.abs({})",
    latex=(_HIGHEST, r"\left|{}\right|"),
    mathml=(_HIGHEST, "<mrow><mo>|</mo>{}<mo>|</mo></mrow>"),
    native="abs({})",
)


@reduction(
    latex=r"\sum_i",
    mathml="∑",
    term=lambda x: x,
    start=0.0,
    join=lambda so_far, term: so_far + term,
    arrays="sum",
)
def total(values: Sequence[float]) -> float:
    """The sum of a vector's elements, added from left to right.

    Python's own sum rounds differently from version 3.12 on, and from every other language.
    """
    return reduce(operator.add, values, 0.0)


@reduction(
    latex=r"\max_i",
    mathml="max",
    term=lambda x: x,
    start=-inf,
    join=lambda so_far, term: where(term > so_far, term, where(equal(term, term), so_far, term)),
    call="max",
    arrays="amax",
)
def largest(values: Sequence[float]) -> float:
    """The largest of a vector's elements; nan if one of them is nan."""
    result = values[0]
    for value in values:
        if value > result or value != value:
            result = value
    return result


@reduction(
    latex=r"\min_i",
    mathml="min",
    term=lambda x: x,
    start=inf,
    join=lambda so_far, term: where(term < so_far, term, where(equal(term, term), so_far, term)),
    call="min",
    arrays="amin",
)
def smallest(values: Sequence[float]) -> float:
    """The smallest of a vector's elements; nan if one of them is nan."""
    result = values[0]
    for value in values:
        if value < result or value != value:
            result = value
    return result


@reduction(
    latex=r"\sum_i",
    mathml="∑",
    term=lambda x, y: x * y,
    start=0.0,
    join=lambda so_far, term: so_far + term,
)
def inner(x: Sequence[float], y: Sequence[float]) -> float:
    """The inner product of two vectors: the sum of x * y over their elements."""
    return reduce(operator.add, map(operator.mul, x, y), 0.0)


def flow(upstream: Any, derivative: Any) -> Any:
    """upstream * derivative as an Expression, and 0 wherever the derivative is `nothing`."""
    if derivative is nothing:
        return 0.0
    if isinstance(derivative, Expression) and derivative.name == "where":
        condition, chosen, otherwise = derivative.args
        return where(condition, flow(upstream, chosen), flow(upstream, otherwise))
    return upstream * derivative
