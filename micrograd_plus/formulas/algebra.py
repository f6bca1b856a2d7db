"""Simplifies formulas while they are built: `x + x` becomes `2 * x` at once.

>>> from ..symbols import Symbol
>>> algebra = Algebra()
>>> product = algebra.make("*", Symbol("x"), Symbol("y"))
>>> print(algebra.written(algebra.make("+", product, product)))
(* (* 2 x) y)

Every formula is stored as a sum of terms. A term is a coefficient times a product of powers, as in
`3 * x * y**2 + 1`. Adding coefficients and exponents is therefore enough to remove 0 and 1, to
compute numbers, to move signs to the front, and to collect like terms and factors. Brackets are not
multiplied out. Terms keep the order in which they were first written. Factors are sorted: numbers,
symbols, functions, brackets.

If the original formula gives a finite number, the simplified one gives the same number, except for
rounding. If the original gives nan, as x / x does at 0, the simplified one may give a number.

Equal parts are stored once. A formula therefore takes no more memory than the graph that it comes
from, even if it would be very long when written out.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ..symbols import ON_FLOATS, Expression, Symbol, divide, power

_MOST_TERMS = 64  # a longer sum or product is nested: collecting its terms would be slow
_LARGEST = 10**9  # the limit for numerator and denominator; beyond it a coefficient is a float
_LARGEST_POWER = 10**6  # the limit for an exponent that is the product of two exponents

_OPERATORS: dict[str, Callable[..., Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "abs": abs,
}


@dataclass(eq=False, slots=True)
class Atom:
    """A symbol, a call of a function, inf or nan: a part that the algebra does not look into."""

    name: str
    args: tuple[Sum, ...]
    content: Any
    age: int


@dataclass(eq=False, slots=True)
class Sum:
    """A sum of products, each with its coefficient; no terms for 0."""

    terms: tuple[tuple[Product, Fraction], ...]
    age: int


Product = tuple[tuple[Atom | Sum, Fraction], ...]
"""A product of powers, as pairs of base and exponent; no pairs for 1."""

_ONE = Fraction(1)


class Algebra:
    """Builds formulas from formulas. Only formulas of the same Algebra can be combined.

    functions: for each name the function that computes it for numbers.
    """

    def __init__(self, functions: Mapping[str, Callable[..., float]] = ON_FLOATS) -> None:
        self._functions = {**functions, **_OPERATORS}
        self._made: dict[Any, Any] = {}  # every part, stored once

    # ---- making parts

    def formula(self, x: Any) -> Sum:
        """Returns a number or a symbol as a formula, and a formula unchanged."""
        if isinstance(x, Sum):
            return x
        if isinstance(x, Symbol):
            return self._single(self._atom(x.name, content=x))
        if not math.isfinite(x):
            return self._single(self._atom(repr(float(x)), content=float(x)))
        return self._sum({(): Fraction(x)})

    def make(self, name: str, *args: Any) -> Sum:
        """Returns the formula of an operation, which is named as in an Expression."""
        given = tuple([self.formula(x) for x in args])
        special = getattr(self, f"_make_{_NAMES.get(name, name)}", None)
        if special is not None:
            return special(*given)  # type: ignore[no-any-return]
        numbers = [number_in(x) for x in given]
        if name in self._functions and None not in numbers:
            return self.formula(float(self._functions[name](*map(float, numbers))))  # type: ignore[arg-type]
        return self._single(self._atom(name, given))

    def _atom(self, name: str, args: tuple[Sum, ...] = (), content: Any = None) -> Atom:
        key = (name, args, type(content))
        if key not in self._made:
            self._made[key] = Atom(name, args, content, len(self._made))
        return self._made[key]  # type: ignore[no-any-return]

    def _sum(self, terms: Mapping[Product, Fraction]) -> Sum:
        kept: dict[Product, Fraction] = {}
        for product, coefficient in terms.items():
            inner = product[0][0] if len(product) == 1 and product[0][1] == 1 else None
            if isinstance(inner, Sum) and abs(coefficient) == 1 and self._fit(kept, inner.terms):
                for part, by in inner.terms:
                    kept[part] = kept.get(part, 0) + coefficient * by
            else:
                kept[product] = kept.get(product, 0) + coefficient
        in_range = [self._in_range(product, by) for product, by in kept.items()]
        pairs = [(product, by) for product, by in in_range if by]
        key = frozenset(pairs)
        if key not in self._made:
            self._made[key] = Sum(tuple(pairs), len(self._made))
        return self._made[key]  # type: ignore[no-any-return]

    def _in_range(self, product: Product, by: Fraction) -> tuple[Product, Fraction]:
        """Rounds a long fraction to a float; an infinite coefficient becomes a factor inf."""
        if abs(by.numerator) < _LARGEST and by.denominator < _LARGEST:
            return product, by
        try:
            return product, Fraction(float(by))
        except OverflowError:
            factors: dict[Atom | Sum, Fraction] = {
                self._atom("inf", content=math.inf): _ONE,
                **dict(product),
            }
            return self._product(factors), Fraction(1 if by > 0 else -1)

    def _product(self, factors: Mapping[Atom | Sum, Fraction]) -> Product:
        pairs = tuple([(base, exponent) for base, exponent in factors.items() if exponent])
        return self._made.setdefault(("product", frozenset(pairs)), pairs)  # type: ignore[no-any-return]

    def _single(self, base: Atom | Sum, exponent: Fraction = _ONE) -> Sum:
        return self._sum({self._product({base: exponent}): _ONE})

    @staticmethod
    def _fit(one: Any, other: Any) -> bool:
        return len(one) + len(other) <= _MOST_TERMS

    # ---- arithmetic

    def _make_plus(self, a: Sum, b: Sum) -> Sum:
        if not self._fit(a.terms, b.terms):
            a, b = self._nested(a), self._nested(b)
        terms = dict(a.terms)
        for product, by in b.terms:
            terms[product] = terms.get(product, Fraction(0)) + by
        return self._sum(terms)

    def _nested(self, x: Sum) -> Sum:
        """Returns a sum as a single term, in brackets."""
        if len(x.terms) == 1:
            return x
        product = self._product({x: _ONE})
        key = ("nested", x)
        if key not in self._made:
            self._made[key] = Sum(((product, _ONE),), len(self._made))
        return self._made[key]  # type: ignore[no-any-return]

    def _make_minus(self, a: Sum, b: Sum) -> Sum:
        return self._make_plus(a, self._make_neg(b))

    def _make_neg(self, a: Sum) -> Sum:
        return self._sum({product: -by for product, by in a.terms})

    def _make_times(self, a: Sum, b: Sum) -> Sum:
        if not a.terms or not b.terms:
            return self.formula(0)
        (p, by_p), (q, by_q) = self._as_term(a), self._as_term(b)
        if not self._fit(p, q) or any(abs(power) > _LARGEST_POWER for _, power in (*p, *q)):
            p, q = self._as_factor(p), self._as_factor(q)
        factors = dict(p)
        for base, exponent in q:
            factors[base] = factors.get(base, Fraction(0)) + exponent
        for base in factors:
            if factors[base] == 1 and isinstance(base, Atom) and base.name == "where":
                condition, then, otherwise = base.args
                if _is_plain(then, otherwise) or _is_plain(otherwise, then):
                    del factors[base]
                    rest = self._sum({self._product(factors): by_p * by_q})
                    return self._make_where(
                        condition, self._make_times(rest, then), self._make_times(rest, otherwise)
                    )
        return self._sum({self._product(factors): by_p * by_q})

    def _as_term(self, x: Sum) -> tuple[Product, Fraction]:
        """Returns x as one product and its coefficient, which all terms have in common."""
        if len(x.terms) == 1:
            return x.terms[0]
        coefficients = [by for _, by in x.terms]
        shared = abs(coefficients[0])
        if any(abs(by) != shared for by in coefficients):
            shared = _ONE
        if max(coefficients) < 0:
            shared = -shared
        inner = x if shared == 1 else self._sum({p: by / shared for p, by in x.terms})
        return self._product({inner: _ONE}), shared

    def _as_factor(self, product: Product) -> Product:
        """Returns a product as a single factor, in brackets."""
        inside = self._sum({product: _ONE})
        return self._product({inside: _ONE})

    def _make_over(self, a: Sum, b: Sum) -> Sum:
        numbers = number_in(a), number_in(b)
        if numbers[1] == 0:
            if numbers[0] is not None:
                return self.formula(divide(float(numbers[0]), 0.0))
            return self._single(self._atom("/", (a, b)))
        return self._make_times(a, self._make_power(b, self.formula(-1)))

    def _make_power(self, a: Sum, b: Sum) -> Sum:
        base, exponent = number_in(a), number_in(b)
        if exponent is None:
            return self._single(self._atom("**", (a, b)))
        if exponent == 0:
            return self.formula(1)
        if base is not None:
            if exponent.denominator == 1 and abs(exponent) <= 2 and base:
                return self._sum({(): base**exponent.numerator})
            return self.formula(power(float(base), float(exponent)))
        product, by = self._as_term(a)
        if exponent.denominator == 1:
            raised = power(float(by), float(exponent))
            if abs(exponent) <= 2:
                factor = by**exponent.numerator
            elif math.isfinite(raised) and raised:
                factor = Fraction(raised)
            else:
                return self._single(a, exponent)
            factors = {inner: old * exponent for inner, old in product}
            if any(abs(new) > _LARGEST_POWER for new in factors.values()):
                return self._single(a, exponent)
            return self._sum({self._product(factors): factor})
        if by == 1 and len(product) == 1 and product[0][1] == 1:
            return self._single(product[0][0], exponent)
        return self._single(a, exponent)

    # ---- functions and conditions

    def _make_exp(self, x: Sum) -> Sum:
        return self._inverse("exp", "log", x)

    def _make_log(self, x: Sum) -> Sum:
        return self._inverse("log", "exp", x)

    def _inverse(self, name: str, of: str, x: Sum) -> Sum:
        number, inside = number_in(x), _function_in(x)
        if number is not None:
            return self.formula(self._functions[name](float(number)))
        if inside is not None and inside.name == of:
            return inside.args[0]
        return self._single(self._atom(name, (x,)))

    def _make_and(self, a: Sum, b: Sum) -> Sum:
        for one, other in ((a, b), (b, a)):
            number = number_in(one)
            if number is not None:
                return other if number else one
        return a if a is b else self._single(self._atom("and", (a, b)))

    def _make_where(self, condition: Sum, then: Sum, otherwise: Sum) -> Sum:
        known = number_in(condition)
        if known is not None:
            return then if known else otherwise
        test = _function_in(condition)
        if test is not None and test.name == "equal" and number_in(test.args[1]) == 0:
            holds = _truth(test.args[0])
            if holds is not None:
                return self._make_where(holds, otherwise, then)
        if then is otherwise:
            return then
        return self._single(self._atom("where", (condition, then, otherwise)))

    # ---- from formulas to Expressions

    def written(self, formula: Sum) -> Any:
        """Returns the formula as an Expression or a number; equal parts are one Expression."""
        parts: dict[Atom | Sum, None] = {}
        stack: list[Atom | Sum] = [formula]
        while stack:
            part = stack.pop()
            if part not in parts:
                parts[part] = None
                stack.extend(_parts_of(part))
        expressions: dict[Atom | Sum, Any] = {}
        for part in sorted(parts, key=lambda part: part.age):
            if isinstance(part, Sum):
                expressions[part] = _written_sum(part, expressions)
            elif part.args:
                expressions[part] = Expression(part.name, *[expressions[x] for x in part.args])
            else:
                expressions[part] = part.content
        return expressions[formula]


_NAMES = {"+": "plus", "-": "minus", "*": "times", "/": "over", "**": "power"}


def number_in(formula: Sum) -> Fraction | None:
    """Returns the number, if the formula is a finite number."""
    if not formula.terms:
        return Fraction(0)
    (product, by), *others = formula.terms
    return None if product or others else by


def _function_in(formula: Sum) -> Atom | None:
    """Returns the atom, if the formula consists of a single atom."""
    if len(formula.terms) == 1:
        product, by = formula.terms[0]
        if by == 1 and len(product) == 1 and product[0][1] == 1:
            base = product[0][0]
            return base if isinstance(base, Atom) else None
    return None


def _truth(formula: Sum) -> Sum | None:
    """Returns the condition under which the formula is not 0, if the formula is a condition."""
    test = _function_in(formula)
    if test is None:
        return None
    if test.name in ("<", "<=", ">", ">=", "equal", "and"):
        return formula
    if test.name == "where" and number_in(test.args[1]) and number_in(test.args[2]) == 0:
        return test.args[0]
    return None


def _is_plain(zero: Sum, other: Sum) -> bool:
    """Whether `zero` is 0, and `other` has no factor that is a `where`."""
    return not zero.terms and not any(
        isinstance(base, Atom) and base.name == "where"
        for product, _ in other.terms
        for base, _ in product
    )


def _parts_of(part: Atom | Sum) -> Iterable[Atom | Sum]:
    if isinstance(part, Atom):
        return part.args
    return [base for product, _ in part.terms for base, _ in product]


def _written_sum(formula: Sum, expressions: Mapping[Atom | Sum, Any]) -> Any:
    terms = list(formula.terms)
    sizes = {abs(by) for _, by in terms}
    if len(terms) > 1 and len(sizes) == 1 and sizes != {_ONE}:  # 2 * (a + b)
        (size,) = sizes
        sign = 1 if any(by > 0 for _, by in terms) else -1
        inner = [(product, by / size * sign) for product, by in terms]
        written = _with_coefficient(size, [_added(inner, expressions)], [])
        return written if sign > 0 else -written
    return _added(terms, expressions)


def _added(terms: list[tuple[Product, Fraction]], expressions: Mapping[Atom | Sum, Any]) -> Any:
    positive = [i for i, (_, by) in enumerate(terms) if by > 0]
    if positive:  # b - a rather than -a + b
        terms.insert(0, terms.pop(positive[0]))
    result: Any = 0
    for i, (product, by) in enumerate(terms):
        term = _written_product(product, abs(by), expressions)
        if i > 0:
            result = Expression("+" if by > 0 else "-", result, term)
        else:
            result = term if by > 0 else -term
    return result


def _written_product(product: Product, by: Fraction, expressions: Mapping[Atom | Sum, Any]) -> Any:
    if not product:
        return _plain_number(by)
    above: list[Any] = []
    below: list[Any] = []
    for base, exponent in sorted(product, key=_rank):
        power = _plain_number(abs(exponent))
        factor = expressions[base] if power == 1 else Expression("**", expressions[base], power)
        (above if exponent > 0 else below).append(factor)
    return _with_coefficient(by, above, below)


def _with_coefficient(by: Fraction, above: list[Any], below: list[Any]) -> Any:
    numerator, denominator = _ratio(by)
    above = above if numerator == 1 else [numerator, *above]
    below = below if denominator == 1 else [denominator, *below]
    return Expression("/", _times(above), _times(below)) if below else _times(above)


def _times(factors: list[Any]) -> Any:
    result = factors[0] if factors else 1
    for factor in factors[1:]:
        result = Expression("*", result, factor)
    return result


def _rank(factor: tuple[Atom | Sum, Fraction]) -> tuple[int, int]:
    """Sorts factors: infinity, symbols by age, functions, brackets, branches."""
    base = factor[0]
    if isinstance(base, Sum):
        return 3, 0
    if base.args:
        return (4, 0) if base.name == "where" else (2, 0)
    return (1, base.age) if isinstance(base.content, Symbol) else (0, 0)


def _ratio(by: Fraction) -> tuple[float, float]:
    """Returns a coefficient as numerator and denominator: 2 and 3 for 2/3, 0.75 and 1 for 3/4."""
    exact = Fraction(f"{float(by):.5g}") == by and by.numerator != 1
    if exact or max(by.numerator, by.denominator) > 1000:
        return _plain_number(by), 1
    return by.numerator, by.denominator


def _plain_number(number: Fraction) -> float:
    return number.numerator if number.denominator == 1 else float(number)
