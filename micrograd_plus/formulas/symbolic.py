"""Turns a graph and its derivatives into formulas.

>>> from ..engine import Value
>>> x, w, b = (Value(n, label=label) for n, label in [(2.0, "x"), (-3.0, "w"), (6.5, "b")])
>>> n = (x * w + b).tanh()
>>> print(symbolic(n))
tanh(x * w + b)
>>> print(symbolic(n, wrt=x))
w * (1 - tanh(x * w + b)**2)
>>> print(symbolic(n, wrt=x).latex)
w \\cdot \\left(1 - \\tanh\\left(x \\cdot w + b\\right)^{2}\\right)

A derivative is computed in the same way as a gradient: by the chain rule over the graph, with the
derivatives of each op from the op table. Here formulas are multiplied and added, not numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

from ..engine import Constant, Value, topological_order
from ..ops import TABLE, Op
from ..symbols import FUNCTIONS, ON_FLOATS, Expression, Reduction, Symbol
from .names import names_of
from .writers import LaTeX, Writer, vectors_in, walk

if TYPE_CHECKING:
    from .algebra import Sum

_MOST_VALUES = 10_000  # in a graph; computing its formula takes half a second
_MOST_OPERATIONS = 2000  # in a formula
_INSTEAD = (
    "use a smaller graph, such as the output of one neuron, or the derivative by a value near the "
    "root (wrt=value); explain() and step_through() show a graph step by step"
)
_DEEPEST = 200  # levels of nested operations; Python's stack ends at some 1,000 calls


class Formula(NamedTuple):
    """A formula. `print` shows it as text, Jupyter shows it typeset.

    expression: a tree of `symbols.Expression`, Symbols and numbers; the names are labels.
    """

    expression: Any

    @property
    def latex(self) -> str:
        """The formula as LaTeX, without dollar signs."""
        return LaTeX().write(self.expression)

    def __str__(self) -> str:
        return _Text().write(self.expression)

    def __repr__(self) -> str:
        return str(self)

    def _repr_latex_(self) -> str:
        return rf"$\displaystyle {self.latex}$"


class _Text(Writer):
    """Writes -(a * b) as -a * b, as textbooks do."""

    operations = {**Writer.operations, "neg": (4, "-{:5}")}  # noqa: RUF012


def symbolic(root: Value, wrt: Value | None = None) -> Formula:
    """Returns the simplified formula of d(root)/d(wrt), or of root itself without `wrt`.

    wrt: any Value that root was computed from. If it is not a leaf, the formula treats it as one.

    The names are those of `explain`: a leaf's label, or v1, v2, …; a parameter's place in its
    model. Constants are numbers. An op whose formula repeats an operand, such as sigmoid, is
    written as a call. ValueError for a graph of more than 10,000 computed values, and for a
    formula of more than 2,000 operations.

    >>> from micrograd_plus.engine import Value
    >>> x, w = Value(2.0, label="x"), Value(-3.0, label="w")
    >>> print(symbolic((w * x).tanh(), wrt=x))
    w * (1 - tanh(w * x)**2)
    """
    for value in (root, *([] if wrt is None else [wrt])):
        if not isinstance(value, Value):
            raise TypeError(f"symbolic takes Values, as in symbolic(loss, wrt=w), not {value!r}")
    order = _order(root, wrt)
    if wrt is not None and wrt not in order:
        raise ValueError(
            f"{wrt!r} is not part of the graph of {root!r}: as wrt, pass a Value that the root was "
            "computed from"
        )
    computed = sum(value.op is not None for value in order)
    if computed > _MOST_VALUES:
        raise ValueError(
            f"the formula of a graph of {computed:,} computed values is too long to read; at most "
            f"{_MOST_VALUES:,} are allowed: {_INSTEAD}"
        )
    derivation = _Derivation(order, wrt)
    result = derivation.values[root] if wrt is None else derivation.derivative_of(root)
    written = derivation.algebra.written(result)
    _check_length(written, "the formula" if wrt is None else "the derivative")
    return Formula(written)


def substitute(
    expression: Any,
    replacements: Mapping[str, Any],
    index: int = 0,
    make: Callable[..., Any] = Expression,
) -> Any:
    """Returns `expression` with symbols replaced by other expressions or by numbers.

    replacements: for the name of a symbol its replacement; for the name of a vector a list of its
        elements. Reductions over the vector are written out, element by element.
    index: outside of reductions, a vector is replaced by its element with this index.
    make: a function that builds an operation from its name and arguments.

    >>> x = Symbol("x", vector=True)
    >>> a, b = Symbol("a"), Symbol("b")
    >>> substitute(Expression("/", x, Expression("total", x)), {"x": [a, b]}, index=1)
    (/ b (+ a b))
    """

    def at(part: Any, index: int) -> Any:
        if isinstance(part, Symbol):
            found = replacements.get(part.name, part)
            return found[index] if part.vector and part.name in replacements else found
        if not isinstance(part, Expression):
            return part
        vectors = [vector for argument in part.args for vector in vectors_in(argument)]
        known = FUNCTIONS.get(part.name)
        if not isinstance(known, Reduction) or not vectors or vectors[0].name not in replacements:
            return make(part.name, *[at(argument, index) for argument in part.args])
        rows = [
            [at(argument, i) for i in range(len(replacements[vectors[0].name]))]
            for argument in part.args
        ]
        return _joined(known, rows, make)

    return at(expression, index)


def _joined(known: Reduction, rows: list[list[Any]], make: Callable[..., Any]) -> Any:
    """Writes out a reduction, given the elements of its vectors."""
    symbols = [Symbol(f"x{k}") for k in range(len(rows))]
    term = known.term(*symbols)
    terms = [
        substitute(term, {symbol.name: x for symbol, x in zip(symbols, elements)}, make=make)
        for elements in zip(*rows)
    ]
    if known.call:
        return make(known.call, *terms) if len(terms) > 1 else terms[0]
    join = known.join(Symbol("a"), Symbol("b"))
    return reduce(lambda a, b: substitute(join, {"a": a, "b": b}, make=make), terms)


def _added(make: Callable[..., Any], terms: list[Any]) -> Any:
    return reduce(lambda a, b: make("+", a, b), terms)


class _Derivation:
    """The formula and the derivative of every value of a graph."""

    def __init__(self, order: Sequence[Value], wrt: Value | None) -> None:
        from .algebra import Algebra  # here, so that `import micrograd_plus` is fast

        functions = {op.name: op.forward for op in TABLE.values()}
        self.algebra = Algebra({**functions, **ON_FLOATS})
        self.rules: dict[Op, Rules] = {}
        self.values: dict[Value, Sum] = {}
        self.derivatives: dict[Value, Sum] = {}
        names = names_of(order)
        for value in order:
            if value is wrt or _is_variable(value):
                self.values[value] = self.algebra.formula(Symbol(names[value]))
            elif value.op is None:
                self.values[value] = self.algebra.formula(value.data)
            else:
                self._compute(value, value.op)
            if value is wrt:
                self.derivatives[value] = self.algebra.formula(1)

    def derivative_of(self, value: Value) -> Sum:
        """Returns the derivative of a value with respect to wrt."""
        return self.derivatives.get(value, self.algebra.formula(0))

    def _compute(self, value: Value, op: Op) -> None:
        """Computes the value's formula and, by the chain rule, its derivative."""
        if op not in self.rules:
            self.rules[op] = Rules(op)
        rules, make = self.rules[op], self.algebra.make
        operands = [self.values[operand] for operand in value.operands]
        self.values[value] = result = rules.value(operands, make)
        terms = [
            make("*", rules.partial(i, result, operands, make), self.derivatives[operand])
            for i, operand in enumerate(value.operands)
            if operand in self.derivatives
        ]
        if terms:
            self.derivatives[value] = _added(make, terms)


class Rules:
    """Writes an op and its derivatives with given expressions as operands.

    make: as in `substitute`.
    """

    def __init__(self, op: Op) -> None:
        self._op = op
        by_name = {
            substitute(known.expression, {known.operands[0]: Symbol(operand)}): Expression(
                known.name, Symbol(operand)
            )
            for known in TABLE.values()
            if len(known.operands) == 1 and not known.nary and not opens(known)
            for operand in op.operands
        }
        self._derivatives = [_with_names(derivative, by_name) for derivative in op.derivatives]

    def value(self, operands: Sequence[Any], make: Callable[..., Any] = Expression) -> Any:
        """Returns the op's formula, or a call of the op if `opens` is false."""
        if opens(self._op):
            return substitute(self._op.expression, self._places(operands), make=make)
        return make(self._op.name, *operands)

    def partial(
        self,
        position: int,
        out: Any,
        operands: Sequence[Any],
        make: Callable[..., Any] = Expression,
    ) -> Any:
        """Returns the derivative with respect to the operand at `position`; `out` is the result."""
        vector, index = divmod(position, len(operands) // len(self._op.operands))
        places = {**self._places(operands), "out": out}
        return substitute(self._derivatives[vector], places, index, make)

    def _places(self, operands: Sequence[Any]) -> dict[str, Any]:
        """Returns the expression for each operand of the op; for a vector, a list."""
        op = self._op
        if not op.nary:
            return dict(zip(op.operands, operands))
        length = len(operands) // len(op.operands)
        return {name: operands[k * length : (k + 1) * length] for k, name in enumerate(op.operands)}


def opens(op: Op) -> bool:
    """Whether to write the op's formula instead of its name: only if no operand is repeated."""
    symbols = [part for part in walk(op.expression) if isinstance(part, Symbol)]
    return len(symbols) == len(set(symbols))


def _with_names(expression: Any, by_name: Mapping[Expression, Expression]) -> Any:
    """Returns `expression` with the formulas of known functions replaced by calls."""
    if not isinstance(expression, Expression) or not expression.args:
        return expression
    if expression in by_name:
        return by_name[expression]
    return Expression(expression.name, *[_with_names(x, by_name) for x in expression.args])


def _is_variable(value: Value) -> bool:
    return value.op is None and not isinstance(value, Constant)


def _order(root: Value, wrt: Value | None) -> list[Value]:
    """Returns the values needed to compute root if wrt is known, in topological order."""
    needed = {root}
    order = topological_order(root)
    for value in reversed(order):
        if value in needed and value is not wrt:
            needed.update(value.operands)
    return [value for value in order if value in needed]


def _check_length(expression: Any, what: str) -> None:
    """ValueError if the expression is too long or too deeply nested."""
    size, depth = _measure(expression)
    if size > _MOST_OPERATIONS:
        shown = f"{size:,}" if size < 10**15 else f"about 10^{math.log10(size):.0f}"
        found = f"{shown} operations; at most {_MOST_OPERATIONS:,} are allowed"
    elif depth > _DEEPEST:
        found = f"operations nested {depth:,} deep; at most {_DEEPEST} levels are allowed"
    else:
        return
    raise ValueError(f"{what} would have {found}: {_INSTEAD}")


def _measure(expression: Any) -> tuple[int, int]:
    """Returns the number of operations and their depth; repeated parts count each time."""
    found: dict[int, tuple[int, int]] = {}
    stack = [expression]
    while stack:
        part = stack[-1]
        arguments = part.args if isinstance(part, Expression) else ()
        missing = [x for x in arguments if id(x) not in found]
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        sizes, depths = [], []
        for x in arguments:
            size, depth = found[id(x)]
            sizes.append(size)
            depths.append(depth)
        is_operation = bool(arguments)
        found[id(part)] = (is_operation + sum(sizes), is_operation + max(depths, default=0))
    return found[id(expression)]
