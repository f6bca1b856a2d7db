"""A graph's gradients derived as a textbook would: `print(explain(loss))`.

>>> from micrograd_plus.engine import Value
>>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
>>> print(explain(a * b + a, wrt=a))
Given
  a = 2, b = −3
<BLANKLINE>
Forward: each value from those before it
  v1 = a · b  = 2 × −3 = −6
  L  = v1 + a = −6 + 2 = −4
<BLANKLINE>
Local derivatives: how each value changes with what it was computed from
  ∂v1/∂a = b = −3
  ∂L/∂v1 = 1
  ∂L/∂a  = 1
<BLANKLINE>
Chain rule: the product along each path from L down, the sum over all paths
  ∂L/∂a: 2 paths
    ∂L/∂v1 · ∂v1/∂a = 1 × −3 = −3   through v1
    ∂L/∂a           = 1             directly
    sum             = −3 + 1 = −2
<BLANKLINE>
The gradients, which backward() computes as well
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

_MOST_VALUES = 60  # that are computed, and whose gradient is explained
_MOST_OPERANDS = 6  # of an op of vectors whose formula is written out
_MOST_CHARACTERS = 60  # of a local derivative's formula
_MOST_NAMES = 4  # that say which path it is
_WIDEST = 96  # line, in characters
_MARGIN = 24  # at most, before the equal signs of rows that take several lines


def explain(root: Value, wrt: Value | None = None) -> Explanation:
    """The derivation of the gradients of `root`: numbers, local derivatives, chain rule.

    wrt: the one Value whose gradient is explained, any that root was computed from; else all
        leaves. With it, only what depends on it is derived, and all else is given.

    Printed, it is text; in Jupyter, typeset. No `grad` is changed. ValueError for a graph of
    more than 60 computed values or leaves.
    """
    for value in (root, *([] if wrt is None else [wrt])):
        if not isinstance(value, Value):
            raise TypeError(f"explain takes Values, as explain(loss, wrt=w), not {value!r}")
    order = topological_order(root)
    explained = order if wrt is None else between(root, wrt)
    steps = [value for value in explained if value.op is not None and value is not wrt]
    leaves = [value for value in order if value.op is None and not isinstance(value, Constant)]
    targets = leaves if wrt is None else [wrt]
    if max(len(steps), len(targets)) > _MOST_VALUES:
        raise ValueError(
            f"a derivation of {len(steps):,} computed values and {len(targets):,} gradients is too "
            f"long to read; at most {_MOST_VALUES} of each are written: explain a smaller part, as "
            "one neuron's output, or one gradient with wrt= a value near the root; step_through() "
            "shows larger graphs"
        )
    return Explanation(order, steps, targets)


class Explanation:
    """The derivation that `explain` gives; `str()` is text, `_repr_markdown_` for Jupyter."""

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

    # ---- what is said, in a language

    def _sections(self, language: _Text | _Typeset) -> list[_Section]:
        name = language.formula(self._symbol(self._root))
        sections = [
            _Section(
                "Given", words=[" = ".join(self._number_of(x, language)) for x in self._given]
            ),
            _Section(
                "Forward: each value from those before it",
                tables=[("", [self._forward(value, language) for value in self._steps])],
            ),
            _Section(
                "Local derivatives: how each value changes with what it was computed from",
                tables=[("", [self._local(edge, language) for edge in self._edges])],
            ),
            _Section(
                "Chain rule: the product along each path from "
                f"{language.inline(name)} down, the sum over all paths",
                tables=self._chains(language),
            ),
            _Section(
                "The gradients, which backward() computes as well",
                tables=[("", self._results(language))],
            ),
        ]
        return [x for x in sections if x.words or any(rows for _, rows in x.tables)]

    def _symbol(self, value: Value) -> Any:
        """What stands for a value in a formula: its name, or a Constant's number."""
        return value.data if isinstance(value, Constant) else Symbol(self._names[value])

    def _rules_of(self, op: Op) -> Rules:
        if op not in self._rules:
            self._rules[op] = Rules(op)
        return self._rules[op]

    def _number_of(self, value: Value, language: _Text | _Typeset) -> tuple[str, str]:
        return language.formula(self._symbol(value)), language.figures(value.data)

    def _forward(self, value: Value, language: _Text | _Typeset) -> _Row:
        name, number = self._number_of(value, language)
        op, operands = value.op, value.operands
        if op is None or len(operands) > _MOST_OPERANDS:
            written = language.formula(expression(value, 1, self._names))
            return _Row([name, written, number])
        rules = self._rules_of(op)
        formula = rules.value([self._symbol(x) for x in operands])
        figures = rules.value([x.data for x in operands])
        return _Row([name, language.formula(formula), language.figures(figures), number])

    def _local(self, edge: Edge, language: _Text | _Typeset) -> _Row:
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
                numbers = {self._names[x]: x.data for x in (user, *operands)}
                cells.append(language.figures(substitute(formula, numbers)))
        return _Row([*cells, language.figures(edge.local)], language.note(" ".join(_place(edge))))

    def _derivative(self, edge: Edge, language: _Text | _Typeset) -> str:
        return language.derivative(self._symbol(edge.user), self._symbol(edge.operand))

    def _chains(self, language: _Text | _Typeset) -> list[tuple[str, list[_Row]]]:
        """A heading and rows for each gradient; those of one path stand together."""
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

    def _product(self, path: Path, language: _Text | _Typeset) -> list[str]:
        """The derivatives along the path, their numbers, and the product."""
        if not path.edges:
            return ["1"]
        times = language.times.join(self._derivative(edge, language) for edge in path.edges)
        numbers = reduce(_times, [edge.local for edge in path.edges], None)
        figures = [language.figures(numbers)] if len(path.edges) > 1 else []
        return [times, *figures, language.figures(path.product)]

    def _path(self, path: Path, language: _Text | _Typeset) -> _Row:
        """One of several paths, told from the others by what lies on it."""
        names = [language.formula(self._symbol(edge.operand)) for edge in path.edges[:-1]]
        if not names:
            note = language.note(", ".join(["directly", *_place(path.edges[-1])]))
        elif len(names) <= _MOST_NAMES:
            note = language.note(" ".join([*_place(path.edges[-1]), "through"]), names)
        else:
            note = ""
        return _Row(self._product(path, language), note)

    def _results(self, language: _Text | _Typeset) -> list[_Row]:
        """Every gradient; where backward() gives another one, as with a wrong rule, that too."""
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
    """What is equal: `a`, `b`, `c` for a = b = c; and a note behind it."""

    cells: list[str]
    note: str = ""


class _Section(NamedTuple):
    """words: single statements; tables: rows that are aligned, each table under its heading."""

    title: str
    words: Sequence[str] = ()
    tables: Sequence[tuple[str, list[_Row]]] = ()


def _times(a: Any, b: float) -> Any:
    return b if a is None else Expression("*", a, b)


def _plus(a: Any, b: float) -> Any:
    return b if a is None else Expression("-", a, -b) if b < 0 else Expression("+", a, b)


def _place(edge: Edge) -> list[str]:
    """Which operand it is, where the same Value is more than one."""
    several = edge.user.operands.count(edge.operand) > 1
    return [f"as operand {edge.position + 1}"] if several else []


# ---- the two languages


def _rounded(number: float) -> float:
    """A number with as many digits as a derivation shows."""
    return float(f"{number:.4g}")


class _Words(Writer):
    """Formulas as text with the signs of a textbook."""

    operations = {  # noqa: RUF012
        **Writer.operations,
        "equal": (3, "{:4} = {:4}"),
        "<=": (3, "{:4} ≤ {:4}"),
        ">=": (3, "{:4} ≥ {:4}"),
        "-": (4, "{:4} − {:5}"),
        "neg": (6, "−{:7}"),
        "sqrt": (9, "√({})"),
        "abs": (9, "|{}|"),
    }

    def __init__(self, times: str = "·") -> None:
        self.operations = {**self.operations, "*": (5, f"{{:5}} {times} {{:6}}")}

    def write(self, expression: Any, at_least: int = 0) -> str:
        """Small whole powers are raised."""
        if isinstance(expression, Expression) and expression.name == "**":
            base, exponent = expression.args
            if exponent in (2, 3, 4):
                written = self.write(base, 8) + "⁰¹²³⁴"[int(exponent)]
                return written if at_least <= 7 else self.bracket(written)
        return super().write(expression, at_least)

    def number(self, number: float) -> str:
        return f"{_rounded(number):.4g}".replace("-", "−").replace("inf", "∞")

    def symbol(self, symbol: Symbol) -> str:
        return " ".join(symbol.name.split())


class _Signs(LaTeX):
    def __init__(self, times: str = r"\cdot") -> None:
        self.operations = {**self.operations, "*": (5, f"{{:5}} {times} {{:6}}")}

    def number(self, number: float) -> str:
        return super().number(_rounded(number))

    def symbol(self, symbol: Symbol) -> str:
        return super().symbol(Symbol(" ".join(symbol.name.split())))


_MORE_THAN_IF = 2  # how tightly a part binds that may stand between two equal signs


class _Text:
    """A derivation's parts as plain text."""

    times = " · "

    def formula(self, expression: Any) -> str:
        """With names, as a · b."""
        return _Words().write(expression, _MORE_THAN_IF)

    def figures(self, expression: Any) -> str:
        """With numbers, as 2 × 3."""
        return _Words("×").write(expression, _MORE_THAN_IF)

    def derivative(self, of: Any, by: Any) -> str:
        """∂of/∂by."""
        return f"∂{self.formula(of)}/∂{self.formula(by)}"

    def note(self, words: str, names: Sequence[str] = ()) -> str:
        """Words, and formulas of names after them."""
        return " ".join([words, ", ".join(names)]).strip()

    def inline(self, written: str) -> str:
        """A formula inside a sentence."""
        return written


class _Typeset:
    """The same as LaTeX."""

    times = r" \cdot "

    def formula(self, expression: Any) -> str:
        return _Signs().write(expression)

    def figures(self, expression: Any) -> str:
        return _Signs(r"\times").write(expression)

    def derivative(self, of: Any, by: Any) -> str:
        return rf"\frac{{\partial {self.formula(of)}}}{{\partial {self.formula(by)}}}"

    def note(self, words: str, names: Sequence[str] = ()) -> str:
        return rf"\text{{{words}}}\ {', '.join(names)}" if words else ""

    def inline(self, written: str) -> str:
        return f"${written}$"


# ---- lines of text


def _aligned(rows: Sequence[_Row], indent: str) -> list[str]:
    """One line a row, with the equal signs below one another, if that is not too wide."""
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
    """A row in as many lines as it takes, each of which goes on with an equal sign."""
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
    """Words with commas between them, in lines that break between two of them."""
    text = ", ".join(word.replace(" ", "\N{NO-BREAK SPACE}") for word in words)
    lines = textwrap.wrap(text, _WIDEST, initial_indent="  ", subsequent_indent="  ")
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def _typeset_row(row: _Row) -> str:
    first, *others = row.cells
    return f"{first} &= {' = '.join(others)}" + rf" & \quad {row.note}" * bool(row.note)
