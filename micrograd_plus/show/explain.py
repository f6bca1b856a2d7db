"""Derives the gradients of a graph step by step, as a textbook does: `print(explain(loss))`.

>>> from micrograd_plus.engine import Value
>>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
>>> print(explain(a * b + a, wrt=a))
Given
  a = 2, b = −3
<BLANKLINE>
Forward: each value, computed from earlier values
  v1 = a · b  = 2 × (−3) = −6
  L  = v1 + a = −6 + 2   = −4
<BLANKLINE>
Local derivatives: the slope of each value with respect to each operand
  ∂v1/∂a = b = −3
  ∂L/∂v1 = 1
  ∂L/∂a  = 1
<BLANKLINE>
Chain rule: multiply along each path from L down, then add all paths
  ∂L/∂a: 2 paths
    ∂L/∂v1 · ∂v1/∂a = 1 × (−3) = −3   through v1
    ∂L/∂a           = 1               directly
    sum             = −3 + 1   = −2
<BLANKLINE>
Gradients, the same as those of backward()
  ∂L/∂a = −2
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

from ..engine import Constant, Value, topological_order
from ..formulas.algebra import Algebra
from ..formulas.description import expression
from ..formulas.names import names_of
from ..formulas.symbolic import Rules, substitute
from ..formulas.writers import LaTeX, Writer
from ..gradcheck import gradients_of
from ..ops import Op
from ..symbols import Expression, Symbol
from .paths import Edge, Path, between, edges_of, paths

_MOST_VALUES = 60  # computed values, and gradients
_MOST_OPERANDS = 6  # of an op whose formula is written out
_MOST_CHARACTERS = 60  # of a local derivative's formula
_MOST_NAMES = 4  # of values that describe a path
_WIDEST = 96  # characters in a line
_MARGIN = 24  # the widest column before the equal signs, if a row needs several lines
_MORE_THAN_IF = 2  # the lowest precedence between equal signs; `a if b else c` needs brackets


def explain(root: Value, wrt: Value | None = None) -> Explanation:
    """Derives the gradients of `root`: numbers, local derivatives, chain rule.

    wrt: the Value whose gradient is derived, any Value that root was computed from; by default all
        leaves. With `wrt`, values that do not depend on it are given, not derived.

    `print` shows the derivation as text, Jupyter shows it typeset. No `grad` is changed. ValueError
    for a graph of more than 60 computed values or leaves.

    >>> from micrograd_plus.engine import Value
    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> print(explain(a * b + a, wrt=a))
    Given
      a = 2, b = −3
    ...
    """
    for value in (root, *([] if wrt is None else [wrt])):
        if not isinstance(value, Value):
            raise TypeError(f"explain takes Values, as in explain(loss, wrt=w), not {value!r}")
    order = topological_order(root)
    explained = order if wrt is None else between(root, wrt)
    steps = [value for value in explained if value.op is not None and value is not wrt]
    leaves = [value for value in order if value.op is None and not isinstance(value, Constant)]
    targets = leaves if wrt is None else [wrt]
    if max(len(steps), len(targets)) > _MOST_VALUES:
        raise ValueError(
            f"a derivation of {len(steps):,} computed values and {len(targets):,} gradients is too "
            f"long to read; at most {_MOST_VALUES} of each are allowed: explain a smaller part, "
            "such as the output of one neuron, or the gradient of one value near the root "
            "(wrt=value); step_through() shows larger graphs"
        )
    return Explanation(order, steps, targets)


class Explanation:
    """A derivation, as text by `str()`, and as Markdown for Jupyter."""

    def __init__(self, order: list[Value], steps: list[Value], targets: list[Value]) -> None:
        self._root = order[-1]
        self._steps = steps
        self._names = names_of(order)
        computed = set(steps)
        used = {operand for value in steps for operand in value.operands} | {*targets}
        self._given = [
            value
            for value in order
            if value in used and value not in computed and not isinstance(value, Constant)
        ]
        changing = {*steps, *targets}
        self._edges = [
            edge for value in steps for edge in edges_of(value) if edge.operand in changing
        ]
        self._found = [paths(self._root, target) for target in targets]
        self._gradients = gradients_of(self._root, order)
        self._rules: dict[Op, Rules] = {}

    def __str__(self) -> str:
        blocks = []
        for section in self._sections(_Text()):
            lines = [section.title, *_wrapped(section.words)]
            for heading, rows in section.tables:
                if heading:
                    lines.append(f"  {heading}")
                lines += _aligned(rows, "    " if heading else "  ")
            blocks.append("\n".join(lines))
        return "\n\n".join(blocks)

    def __repr__(self) -> str:
        return str(self)

    def _repr_markdown_(self) -> str:
        blocks = []
        for section in self._sections(_Typeset()):
            title, colon, rest = section.title.partition(":")
            blocks.append(f"**{title}**{colon}{rest}")
            if section.words:
                blocks.append(", ".join(f"${word}$" for word in section.words))
            for heading, rows in section.tables:
                blocks += [heading] * bool(heading)
                lines = r" \\[2pt] ".join(map(_typeset_row, rows))
                blocks.append(rf"$$\begin{{aligned}} {lines} \end{{aligned}}$$")
        return "\n\n".join(blocks)

    # ---- the sections, in one of the two languages

    def _sections(self, language: _Language) -> list[_Section]:
        name = language.formula(self._symbol(self._root))
        sections = [
            _Section(
                "Given", words=[" = ".join(self._number_of(x, language)) for x in self._given]
            ),
            _Section(
                "Forward: each value, computed from earlier values",
                tables=[("", [self._forward(value, language) for value in self._steps])],
            ),
            _Section(
                "Local derivatives: the slope of each value with respect to each operand",
                tables=[("", [self._local(edge, language) for edge in self._edges])],
            ),
            _Section(
                f"Chain rule: multiply along each path from {language.inline(name)} down, then add "
                "all paths",
                tables=self._chains(language),
            ),
            _Section(
                "Gradients, the same as those of backward()",
                tables=[("", self._results(language))],
            ),
        ]
        return [x for x in sections if x.words or any(rows for _, rows in x.tables)]

    def _symbol(self, value: Value) -> Any:
        """Returns the symbol with a value's name, or the number of a Constant."""
        return value.data if isinstance(value, Constant) else Symbol(self._names[value])

    def _rules_of(self, op: Op) -> Rules:
        if op not in self._rules:
            self._rules[op] = Rules(op)
        return self._rules[op]

    def _number_of(self, value: Value, language: _Language) -> tuple[str, str]:
        return language.formula(self._symbol(value)), language.figures(value.data)

    def _forward(self, value: Value, language: _Language) -> _Row:
        name, number = self._number_of(value, language)
        op, operands = value.op, value.operands
        if op is None or len(operands) > _MOST_OPERANDS:
            written = language.formula(expression(value, 1, self._names))
            return _Row([name, written, number])
        rules = self._rules_of(op)
        formula = rules.value([self._symbol(x) for x in operands])
        figures = rules.value([x.data for x in operands])
        return _Row([name, language.formula(formula), language.figures(figures), number])

    def _local(self, edge: Edge, language: _Language) -> _Row:
        user, operands = edge.user, edge.user.operands
        algebra = Algebra()
        rules = self._rules_of(user.op)  # type: ignore[arg-type]
        places = [self._symbol(x) for x in operands]
        partial = rules.partial(edge.position, self._symbol(user), places, algebra.make)
        formula = algebra.written(algebra.formula(partial))
        cells = [self._derivative(edge, language)]
        if isinstance(formula, Expression) and len(str(formula)) <= _MOST_CHARACTERS:
            cells.append(language.formula(formula))
            if formula.args:
                numbers: dict[str, Any] = {self._names[x]: x.data for x in (user, *operands)}
                cells.append(language.figures(substitute(formula, numbers)))
        return _Row([*cells, language.figures(edge.local)], language.note(" ".join(_place(edge))))

    def _derivative(self, edge: Edge, language: _Language) -> str:
        return language.derivative(self._symbol(edge.user), self._symbol(edge.operand))

    def _chains(self, language: _Language) -> list[tuple[str, list[_Row]]]:
        """Returns tables of rows with headings; gradients with a single path share one table."""
        tables: list[tuple[str, list[_Row]]] = []
        for found in self._found:
            wanted = language.derivative(self._symbol(self._root), self._symbol(found.value))
            if found.count == 1:
                product = self._product(found.largest[0], language)
                if not tables or tables[-1][0]:
                    tables.append(("", []))
                tables[-1][1].append(_Row([wanted, *product[product[0] == wanted :]]))
                continue
            heading = f"{language.inline(wanted)}: {found.count:,} paths"
            rows = [self._path(path, language) for path in found.largest]
            added = [path.product for path in found.largest]
            note = ""
            if found.count > len(added):
                heading += f", the {len(added)} largest first"
                note = language.note(f"the last from the other {found.count - len(added):,} paths")
                added.append(found.rest)
            total = language.figures(reduce(_plus, added, None))
            gradient = language.figures(found.gradient)
            rows.append(_Row([language.note("sum"), total, gradient], note))
            tables.append((heading, rows))
        return tables

    def _product(self, path: Path, language: _Language) -> list[str]:
        """Returns the derivatives along a path, their numbers, and the product."""
        if not path.edges:
            return ["1"]
        times = language.times.join(self._derivative(edge, language) for edge in path.edges)
        numbers = reduce(_times, [edge.local for edge in path.edges], None)
        figures = [language.figures(numbers)] if len(path.edges) > 1 else []
        return [times, *figures, language.figures(path.product)]

    def _path(self, path: Path, language: _Language) -> _Row:
        """Returns the row of one of several paths, with the names of the values on it."""
        names = [language.formula(self._symbol(edge.operand)) for edge in path.edges[:-1]]
        if not names:
            note = language.note(", ".join(["directly", *_place(path.edges[-1])]))
        elif len(names) <= _MOST_NAMES:
            note = language.note(" ".join([*_place(path.edges[-1]), "through"]), names)
        else:
            note = ""
        return _Row(self._product(path, language), note)

    def _results(self, language: _Language) -> list[_Row]:
        """Returns every gradient, and that of backward() if it differs, as with a wrong rule."""
        rows = []
        for found in self._found:
            by, computed = found.gradient, self._gradients[found.value]
            equal = math.isclose(by, computed, rel_tol=1e-9, abs_tol=1e-12)
            equal = equal or (math.isnan(by) and math.isnan(computed))
            other = language.note(f"but backward() gives {_Text().figures(computed)}")
            wanted = language.derivative(self._symbol(self._root), self._symbol(found.value))
            rows.append(_Row([wanted, language.figures(by)], "" if equal else other))
        return rows


class _Row(NamedTuple):
    """Equal terms, `a`, `b`, `c` for a = b = c, and a note after them."""

    cells: list[str]
    note: str = ""


class _Section(NamedTuple):
    """words: short texts in one line; tables: a heading and aligned rows each."""

    title: str
    words: Sequence[str] = ()
    tables: Sequence[tuple[str, list[_Row]]] = ()


def _times(a: Any, b: float) -> Any:
    return b if a is None else Expression("*", a, b)


def _plus(a: Any, b: float) -> Any:
    return b if a is None else Expression("-", a, -b) if b < 0 else Expression("+", a, b)


def _place(edge: Edge) -> list[str]:
    """Returns the number of the operand, if the same Value occurs several times."""
    several = edge.user.operands.count(edge.operand) > 1
    return [f"as operand {edge.position + 1}"] if several else []


# ---- the two languages


def _rounded(number: float) -> float:
    """Rounds a number to the four digits that a derivation shows."""
    return float(f"{number:.4g}")


def _without_minus_0(expression: Any) -> Any:
    return expression if isinstance(expression, (Expression, Symbol)) else expression + 0.0


class _Text(Writer):
    """Writes a derivation as plain text, with the signs of a textbook."""

    times = " · "
    operations = {  # noqa: RUF012
        **Writer.operations,
        "equal": (3, "{:4} = {:4}"),
        "<=": (3, "{:4} ≤ {:4}"),
        ">=": (3, "{:4} ≥ {:4}"),
        "-": (4, "{:4} − {:5}"),
        "*": (5, f"{{:5}}{times}{{:6}}"),
        "neg": (6, "−{:7}"),
        "sqrt": (9, "√({})"),
        "abs": (9, "|{}|"),
    }

    def write(self, expression: Any, at_least: int = 0) -> str:
        """Writes the powers 2, 3 and 4 as raised digits."""
        if isinstance(expression, Expression) and expression.name == "**":
            base, exponent = expression.args
            if exponent in (2, 3, 4):
                written = self.write(base, 8) + "⁰¹²³⁴"[int(exponent)]
                return written if at_least <= 7 else self.bracket(written)
        return super().write(_without_minus_0(expression), at_least)

    def number(self, number: float) -> str:
        return f"{_rounded(number):.4g}".replace("-", "−").replace("inf", "∞")

    def symbol(self, symbol: Symbol) -> str:
        return " ".join(symbol.name.split())

    def formula(self, expression: Any) -> str:
        """Writes a formula with names, such as a · b."""
        return self.write(expression, _MORE_THAN_IF)

    def figures(self, expression: Any) -> str:
        """Writes a formula with numbers, such as 2 × 3."""
        return self.formula(expression).replace(self.times, " × ")

    def derivative(self, of: Any, by: Any) -> str:
        """Writes ∂of/∂by."""
        return f"∂{self.formula(of)}/∂{self.formula(by)}"

    def note(self, words: str, names: Sequence[str] = ()) -> str:
        """Writes words, and names after them."""
        return " ".join([words, ", ".join(names)]).strip()

    def inline(self, written: str) -> str:
        """Writes a formula inside a sentence."""
        return written


class _Typeset(LaTeX):
    """Writes a derivation as LaTeX."""

    times = r" \cdot "

    def write(self, expression: Any, at_least: int = 0) -> str:
        """Writes −0 as 0."""
        return super().write(_without_minus_0(expression), at_least)

    def number(self, number: float) -> str:
        return super().number(_rounded(number))

    def symbol(self, symbol: Symbol) -> str:
        return super().symbol(Symbol(" ".join(symbol.name.split())))

    def formula(self, expression: Any) -> str:
        return self.write(expression)

    def figures(self, expression: Any) -> str:
        return self.formula(expression).replace(self.times, r" \times ")

    def derivative(self, of: Any, by: Any) -> str:
        return rf"\frac{{\partial {self.formula(of)}}}{{\partial {self.formula(by)}}}"

    def note(self, words: str, names: Sequence[str] = ()) -> str:
        return rf"\text{{{words}}}\ {', '.join(names)}" if words else ""

    def inline(self, written: str) -> str:
        return f"${written}$"


_Language = _Text | _Typeset

# ---- lines of text


def _aligned(rows: Sequence[_Row], indent: str) -> list[str]:
    """Writes each row in one line, with aligned equal signs, if the lines are not too wide."""
    columns = range(max(len(row.cells) for row in rows))
    widths = [max(len(row.cells[i]) for row in rows if i < len(row.cells)) for i in columns]
    lines = [
        indent + " = ".join(cell.ljust(width) for cell, width in zip(row.cells, widths)).rstrip()
        for row in rows
    ]
    widest = max(map(len, lines))
    lines = [f"{line:{widest}}   {row.note}".rstrip() for line, row in zip(lines, rows)]
    if max(map(len, lines)) <= _WIDEST:
        return lines
    return [line for row in rows for line in _filled(row, indent, widths[0])]


def _filled(row: _Row, indent: str, width: int) -> list[str]:
    """Writes a row in several lines; each new line continues with an equal sign."""
    width = min(width, _MARGIN)
    first, *others = row.cells
    lines = [indent + first.ljust(width)]
    for cell in others:
        only_a_name = len(lines[-1]) <= len(indent) + width
        if len(f"{lines[-1]} = {cell}") > _WIDEST and not only_a_name:
            lines.append(indent + " " * width)
        lines[-1] += f" = {cell}"
    lines[-1] += f"   {row.note}".rstrip()
    return lines


def _wrapped(words: Sequence[str]) -> list[str]:
    """Joins words with commas, in lines that break between two words."""
    text = ", ".join(word.replace(" ", "\N{NO-BREAK SPACE}") for word in words)
    lines = textwrap.wrap(text, _WIDEST, initial_indent="  ", subsequent_indent="  ")
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def _typeset_row(row: _Row) -> str:
    first, *others = row.cells
    return f"{first} &= {' = '.join(others)}" + rf" & \quad {row.note}" * bool(row.note)
