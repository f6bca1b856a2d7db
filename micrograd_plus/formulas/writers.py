"""Writes an expression tree as plain text, Python, JavaScript, LaTeX or MathML.

Each language is a small class. Its table holds a template and a precedence for each operation; a
method writes an operation for which a template is not enough. `Writer.write` uses both.

>>> from ..symbols import Symbol, exp, where
>>> x = Symbol("x")
>>> formula = where(x <= 0, 0, x) / (1 + exp(-x))
>>> print(Python().write(formula))
divide(0.0 if x <= 0.0 else x, 1.0 + exp(-x))
>>> print(JavaScript().write(formula))
(x <= 0 ? 0 : x) / (1 + Math.exp(-x))
>>> print(LaTeX().write(1 / (1 + exp(-x))))
\\frac{1}{1 + e^{-x}}
>>> print(MathML().write(x / 2))
<mfrac><mi>x</mi><mn>2</mn></mfrac>

The Python and JavaScript writers also write whole functions. In a function, each part that occurs
more than once, and each reduction over a vector, is computed once and stored in a variable.
"""

from __future__ import annotations

import html
import linecache
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..symbols import FUNCTIONS, Expression, Form, Function, Reduction, Symbol, nothing

_POWER = 7  # the precedence of a power
CALL = 9  # the precedence of a call or a name: higher than that of every operator


class _Argument:
    """An argument of a template: `{:5}` adds brackets if its precedence is below 5."""

    def __init__(self, writer: Writer, expression: Any) -> None:
        self.writer = writer
        self.expression = expression

    def __format__(self, at_least: str) -> str:
        return self.writer.write(self.expression, int(at_least or 0))


class Writer:
    """Writes plain text, as in messages; subclasses override what differs in other languages.

    The brackets in a + (b + c) are written, because with floats the result may differ from that of
    (a + b) + c.
    """

    separator = ", "  # between the arguments of a call
    power_of_ten = CALL  # the precedence of a number such as 1.2e7
    negative = 4  # the precedence of a negative number, as of a sum: 2 * (-3)
    operations: dict[str, tuple[int, str]] = {
        "where": (1, "{1:2} if {0:2} else {2:1}"),
        "and": (2, "{:2} and {:3}"),
        "equal": (3, "{:4} == {:4}"),
        "<": (3, "{:4} < {:4}"),
        "<=": (3, "{:4} <= {:4}"),
        ">": (3, "{:4} > {:4}"),
        ">=": (3, "{:4} >= {:4}"),
        "+": (4, "{:4} + {:5}"),
        "-": (4, "{:4} - {:5}"),
        "*": (5, "{:5} * {:6}"),
        "/": (5, "{:5} / {:6}"),
        "neg": (6, "-{:7}"),
        "**": (7, "{:8}**{:7}"),
    }

    def write(self, expression: Any, at_least: int = 0) -> str:
        """Returns the text, in brackets if the precedence of `expression` is below `at_least`."""
        if isinstance(expression, Symbol):
            written = self.symbol(expression)
            is_base = at_least > _POWER and expression.name.endswith("⁾")  # not w with index and ²
            return self.bracket(written) if is_base else written
        if not isinstance(expression, Expression):
            digits = f"{expression:.5g}"
            binds = self.power_of_ten if "e" in digits else CALL
            binds = self.negative if digits.startswith("-") else binds
            written = self.number(expression)
        elif special := getattr(self, f"write_{expression.name}", None):
            binds, written = special(*expression.args)
        elif expression.name in self.operations:
            binds, template = self.operations[expression.name]
            written = template.format(*[_Argument(self, arg) for arg in expression.args])
        else:
            binds, written = self._function(FUNCTIONS.get(expression.name), expression)
        return written if binds >= at_least else self.bracket(written)

    def _function(self, known: Function | None, expression: Expression) -> tuple[int, str]:
        """Returns the precedence and the text of a function, by its form or as a call."""
        form = known and self.form_of(known)
        if isinstance(known, Reduction):
            return self.reduction(known, expression.args)
        if not form:
            arguments = self.separator.join(map(self.write, expression.args))
            return CALL, self.call(expression.name, arguments)
        binds, template = form if isinstance(form, tuple) else (CALL, form)
        return binds, template.format(*[_Argument(self, arg) for arg in expression.args])

    def form_of(self, function: Function) -> Form:
        return None

    def reduction(self, known: Reduction, arguments: tuple[Any, ...]) -> tuple[int, str]:
        return CALL, self.call(known.name, self.separator.join(map(self.write, arguments)))

    def number(self, number: float) -> str:
        return f"{number:.5g}"

    def symbol(self, symbol: Symbol) -> str:
        return symbol.name

    def call(self, name: str, arguments: str) -> str:
        return f"{name}({arguments})"

    def bracket(self, written: str) -> str:
        return f"({written})"


class _Code(Writer):
    """The common part of Python and JavaScript: functions, and loops over vectors."""

    negative = Writer.operations["neg"][0]  # 2 * -3
    assign: str
    unpack: str

    def reduction(self, known: Reduction, arguments: tuple[Any, ...]) -> tuple[int, str]:
        rows = [self.each(argument, vectors_in(argument)) for argument in arguments]
        return CALL, f"{known.name}({', '.join(rows)})"

    def function(self, name: str, arguments: Sequence[Symbol], result: Any) -> str:
        """Returns the source of a function; with a tuple as `result` it returns several numbers.

        Vectors are passed as one flat row of operands after the other arguments. For a function of
        two vectors, the first half of the row is the first vector. Results that are vectors are
        returned flat in the same way.
        """
        vectors = [argument for argument in arguments if argument.vector]
        parameters = [argument.name for argument in arguments if not argument.vector]
        lines = []
        if vectors:
            parameters.append(self.unpack.format("row"))
            if len(vectors) > 1:
                lines.append(self.assign.format("n", self.length("row", len(vectors))))
            for k, vector in enumerate(vectors):
                part = self.part("row", k) if len(vectors) > 1 else "row"
                lines.append(self.assign.format(vector.name, part))
        several = isinstance(result, tuple)
        shared, results = name_shared_parts(result if several else (result,))
        lines += [self.assign.format(part.name, self.write(value)) for part, value in shared]
        if not several:
            returned = self.write(results[0])
        elif vectors and len(results) == 1:
            returned = self.each(results[0], vectors)
        elif vectors:
            rows = [self.unpack.format(self.each(result, vectors)) for result in results]
            returned = f"[{', '.join(rows)}]"
        else:
            returned = f"[{', '.join(self.write(result) for result in results)}]"
        return self.definition(name, ", ".join(parameters), [*lines, f"return {returned}"])

    def each(self, element: Any, vectors: Sequence[Symbol]) -> str:
        """Returns code for the list of `element`, computed for each element of the vectors."""
        if element in vectors:
            return str(element.name)
        return self.loop(self.write(element), vectors_in(element) or vectors[:1])

    def loop(self, element: str, vectors: Sequence[Symbol]) -> str:
        raise NotImplementedError

    def length(self, row: str, parts: int) -> str:
        raise NotImplementedError

    def part(self, row: str, k: int) -> str:
        raise NotImplementedError

    def definition(self, name: str, parameters: str, lines: Sequence[str]) -> str:
        raise NotImplementedError


class Python(_Code):
    """Writes source for Python, which calls the functions of `symbols` by name."""

    operations = {
        **Writer.operations,
        "/": (CALL, "divide({}, {})"),
        "**": (CALL, "power({}, {})"),
    }
    assign, unpack = "{} = {}", "*{}"

    def number(self, number: float) -> str:
        return "nothing" if number is nothing else repr(float(number))

    def symbol(self, symbol: Symbol) -> str:
        return f"{symbol.name}_i" if symbol.vector else symbol.name

    def loop(self, element: str, vectors: Sequence[Symbol]) -> str:
        names = [vector.name for vector in vectors]
        source = names[0] if len(names) == 1 else f"zip({', '.join(names)})"
        return f"[{element} for {', '.join(f'{name}_i' for name in names)} in {source}]"

    def length(self, row: str, parts: int) -> str:
        return f"len({row}) // {parts}"

    def part(self, row: str, k: int) -> str:
        return f"{row}[{k} * n:{k + 1} * n]"

    def definition(self, name: str, parameters: str, lines: Sequence[str]) -> str:
        return f"def {name}({parameters}):\n" + "".join(f"    {line}\n" for line in lines)


class JavaScript(_Code):
    """Writes source for a browser or Node, to be run after `prelude()`."""

    operations = {
        **Writer.operations,
        "**": (CALL, "power({}, {})"),
        "and": (2, "{:2} && {:3}"),
        "equal": (3, "{:4} === {:4}"),
        "where": (1, "{:2} ? {:2} : {:1}"),
    }
    assign, unpack = "const {} = {};", "...{}"

    def prelude(self) -> str:
        """Returns the functions that the source calls, and NOTHING (see `symbols.nothing`)."""
        sources = ["const NOTHING = new Number(0);  // equals 0, but === distinguishes it from 0\n"]
        for known in FUNCTIONS.values():
            sources.append(known.javascript_source)
            if isinstance(known, Reduction):
                sources.append(self._loop_of(known))
        return "".join(sources)

    def _loop_of(self, known: Reduction) -> str:
        """Returns the function of a reduction: a loop that joins the terms."""
        names = known.term.__code__.co_varnames[: known.term.__code__.co_argcount]
        so_far = Symbol("soFar")
        joined = known.join(so_far, known.term(*[Symbol(name, vector=True) for name in names]))
        loop = f"for (let i = 0; i < {names[0]}.length; i++) soFar = {self.write(joined)}"
        lines = [f"let soFar = {self.number(known.start)}", loop, "return soFar"]
        return self.definition(known.name, ", ".join(names), lines)

    def form_of(self, function: Function) -> Form:
        return function.javascript

    def number(self, number: float) -> str:
        if number is nothing:
            return "NOTHING"
        if not math.isfinite(number):
            return "NaN" if math.isnan(number) else f"{'-' * (number < 0)}Infinity"
        return repr(float(number)).removesuffix(".0")

    def symbol(self, symbol: Symbol) -> str:
        return f"{symbol.name}[i]" if symbol.vector else symbol.name

    def loop(self, element: str, vectors: Sequence[Symbol]) -> str:
        return f"{vectors[0].name}.map((_, i) => {element})"

    def length(self, row: str, parts: int) -> str:
        return f"{row}.length / {parts}"

    def part(self, row: str, k: int) -> str:
        return f"{row}.slice({k} * n, {k + 1} * n)"

    def definition(self, name: str, parameters: str, lines: Sequence[str]) -> str:
        body = "".join(f"  {line.rstrip(';')};\n" for line in lines)
        return f"function {name}({parameters}) {{\n{body}}}\n"


class LaTeX(Writer):
    """Writes formulas for notebooks and papers."""

    power_of_ten = 6
    operations = {
        **Writer.operations,
        "and": (2, r"{:2} \text{{ and }} {:3}"),
        "equal": (3, "{:4} = {:4}"),
        "<=": (3, r"{:4} \le {:4}"),
        ">=": (3, r"{:4} \ge {:4}"),
        "*": (5, r"{:5} \cdot {:6}"),
        "/": (7, r"\frac{{{}}}{{{}}}"),
        "neg": (4, "-{:5}"),
        "**": (7, "{:8}^{{{}}}"),
    }

    def form_of(self, function: Function) -> Form:
        return function.latex

    def reduction(self, known: Reduction, arguments: tuple[Any, ...]) -> tuple[int, str]:
        return 4, f"{known.latex} {self.write(known.term(*arguments), 5)}"

    def number(self, number: float) -> str:
        digits, _, exponent = super().number(number).partition("e")
        if exponent:
            return rf"{digits} \cdot {{10^{{{int(exponent)}}}}}"
        return digits.replace("inf", r"\infty").replace("nan", r"\mathrm{nan}")

    def symbol(self, symbol: Symbol) -> str:
        """Writes `x12` as x with an index, and a longer name upright; special signs are escaped."""
        prefix, base, lower, upper = split_name(symbol.name)
        name = base if len(base) == 1 and base.isalpha() else self._upright(base)
        name = self._upright(prefix) + name if prefix else name
        if upper:
            return f"{{{name}{f'_{{{lower}}}' if lower else ''}^{{({upper})}}}}"
        name += f"_{{{lower}}}" if lower else ""
        return f"{name}_i" if symbol.vector else name

    def _upright(self, name: str) -> str:
        literal = re.sub(r"([#$%&_{}])", r"\\\1", name.replace("\\", "∖"))
        literal = literal.replace("~", r"{\sim}").replace("^", r"{\wedge}")
        return rf"\mathrm{{{literal}}}"

    def call(self, name: str, arguments: str) -> str:
        name = name.replace("_", r"\_")
        return rf"\operatorname{{{name}}}\left({arguments}\right)"

    def bracket(self, written: str) -> str:
        return rf"\left({written}\right)"

    def write_where(self, condition: Any, then: Any, otherwise: Any) -> tuple[int, str]:
        cases, otherwise = _cases(condition, then, otherwise)
        rows = [rf"{self.write(x)} & \text{{if }} {self.write(holds)}" for holds, x in cases]
        rows.append(rf"{self.write(otherwise)} & \text{{otherwise}}")
        return 1, r"\begin{cases} " + r" \\ ".join(rows) + r" \end{cases}"


class MathML(Writer):
    """Writes formulas for web pages; the browser typesets them.

    The result is the content of a `<math>` element: one element, with all text escaped. A subclass
    may override `symbol`, which writes the symbols that stand for a value, and `bound`, which
    writes the x_i that runs over a vector under a ∑ or a max.
    """

    separator = "<mo>,</mo>"
    power_of_ten = 6
    operations = {
        "and": (2, "<mrow>{:2}<mtext>&#xA0;and&#xA0;</mtext>{:3}</mrow>"),
        "equal": (3, "<mrow>{:4}<mo>=</mo>{:4}</mrow>"),
        "<": (3, "<mrow>{:4}<mo>&lt;</mo>{:4}</mrow>"),
        "<=": (3, "<mrow>{:4}<mo>≤</mo>{:4}</mrow>"),
        ">": (3, "<mrow>{:4}<mo>&gt;</mo>{:4}</mrow>"),
        ">=": (3, "<mrow>{:4}<mo>≥</mo>{:4}</mrow>"),
        "+": (4, "<mrow>{:4}<mo>+</mo>{:5}</mrow>"),
        "-": (4, "<mrow>{:4}<mo>−</mo>{:5}</mrow>"),
        "neg": (4, "<mrow><mo>−</mo>{:5}</mrow>"),
        "*": (5, "<mrow>{:5}<mo>·</mo>{:6}</mrow>"),
        "/": (7, "<mfrac>{}{}</mfrac>"),
        "**": (7, "<msup>{:8}{}</msup>"),
    }

    def form_of(self, function: Function) -> Form:
        return function.mathml

    def number(self, number: float) -> str:
        digits, _, exponent = f"{abs(number):.5g}".partition("e")
        written = _MATHML_NUMBERS.get(digits, f"<mn>{digits}</mn>")
        if exponent:
            power = f"<msup><mn>10</mn>{self.number(int(exponent))}</msup>"
            written = f"<mrow>{written}<mo>·</mo>{power}</mrow>"
        minus = math.copysign(1, number) < 0 and not math.isnan(number)
        return f"<mrow><mo>−</mo>{written}</mrow>" if minus else written

    def symbol(self, symbol: Symbol) -> str:
        """Writes `x12` as x with an index; browsers show a longer name upright."""
        prefix, base, lower, upper = split_name(symbol.name)
        name = self._name(base)
        below = self._indices(lower) if lower else ""
        above = f"<mrow><mo>(</mo>{self._indices(upper)}<mo>)</mo></mrow>" if upper else ""
        if below or above:
            tag = "m" + "sub" * bool(below) + "sup" * bool(above)
            name = f"<{tag}>{name}{below}{above}</{tag}>"
        if prefix:
            name = f"<mrow>{self._name(prefix)}{name}</mrow>"
        return f"<msub>{name}<mi>i</mi></msub>" if symbol.vector else name

    def bound(self, symbol: Symbol) -> str:
        """Writes the element of a vector that a reduction runs over."""
        return MathML.symbol(self, symbol)

    def call(self, name: str, arguments: str) -> str:
        return f"<mrow>{self._name(name)}<mo>&#x2061;</mo>{self.bracket(arguments)}</mrow>"

    def bracket(self, written: str) -> str:
        return f"<mrow><mo>(</mo>{written}<mo>)</mo></mrow>"

    def write_where(self, condition: Any, then: Any, otherwise: Any) -> tuple[int, str]:
        cases, otherwise = _cases(condition, then, otherwise)
        rows = [
            (self.write(x), f"<mtext>if&#xA0;</mtext>{self.write(holds)}") for holds, x in cases
        ]
        rows.append((self.write(otherwise), "<mtext>otherwise</mtext>"))
        cell = '<mtd style="text-align: left">{}</mtd>'
        table = "".join(
            f"<mtr>{cell.format(x)}{cell.format(condition)}</mtr>" for x, condition in rows
        )
        return 1, f"<mrow><mo>{{</mo><mtable>{table}</mtable></mrow>"

    def reduction(self, known: Reduction, arguments: tuple[Any, ...]) -> tuple[int, str]:
        running = _with_elements(known.term(*arguments))
        sign = f"<munder><mo>{known.mathml}</mo><mi>i</mi></munder>"
        return 4, f"<mrow>{sign}{self.write(running, 5)}</mrow>"

    def write_element(self, vector: Symbol) -> tuple[int, str]:
        return CALL, self.bound(vector)

    def _indices(self, text: str) -> str:
        parts = [f"<mn>{x}</mn>" if x.isdigit() else self._name(x) for x in text.split(",")]
        return parts[0] if len(parts) == 1 else f"<mrow>{'<mo>,</mo>'.join(parts)}</mrow>"

    def _name(self, name: str) -> str:
        allowed = re.sub(_NOT_IN_XML, "\N{REPLACEMENT CHARACTER}", name)
        return f"<mi>{html.escape(allowed)}</mi>"


_INDEXED = re.compile(r"([A-Za-z])_?(\d+)", re.ASCII)
_NAME = re.compile(  # self_attn. W _q ₂,₁ ⁽¹⁾
    r"((?:\w+\.)*)(\w+?)(?:_([a-z]+))?([₀-₉]+(?:,[₀-₉]+)*)?(?:⁽([⁰¹²³⁴-⁹,]+)⁾)?"
)
_DIGITS = str.maketrans("₀₁₂₃₄₅₆₇₈₉⁰¹²³⁴⁵⁶⁷⁸⁹", "01234567890123456789")


def split_name(name: str) -> tuple[str, str, str, str]:
    """Splits `self_attn.W_q₂,₁⁽¹⁾` into "self_attn.", "W", its lower indices "q,2,1", and "1"."""
    if indexed := _INDEXED.fullmatch(name):
        return "", indexed[1], indexed[2], ""
    found = _NAME.fullmatch(name)
    if found is None or not (found[4] or found[5]):
        return "", name, "", ""
    prefix, base, letters, lower, upper = (part or "" for part in found.groups())
    if len(base) > 1 and letters:
        base, letters = f"{base}_{letters}", ""
    below = ",".join(filter(None, [letters, lower.translate(_DIGITS)]))
    return prefix, base, below, upper.translate(_DIGITS)


_MATHML_NUMBERS = {"inf": "<mi>∞</mi>", "nan": "<mi>nan</mi>"}
# A text: compiling it takes an eighth of the time of `import micrograd_plus`, so MathML does it.
_NOT_IN_XML = "[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"


def _cases(condition: Any, then: Any, otherwise: Any) -> tuple[list[tuple[Any, Any]], Any]:
    """Returns the cases of nested `where`s as (condition, result), and the last `otherwise`."""
    cases = [(condition, then)]
    while isinstance(otherwise, Expression) and otherwise.name == "where":
        condition, then, otherwise = otherwise.args
        cases.append((condition, then))
    return cases, otherwise


def _with_elements(expression: Any) -> Any:
    """Returns `expression` with each vector marked as the element of a reduction."""
    if isinstance(expression, Symbol):
        return Expression("element", expression) if expression.vector else expression
    if not isinstance(expression, Expression) or is_reduction(expression):
        return expression
    return Expression(expression.name, *map(_with_elements, expression.args))


def is_reduction(expression: Any) -> bool:
    """Whether the expression reduces vectors to one number."""
    return isinstance(FUNCTIONS.get(expression.name), Reduction)


def walk(expression: Any) -> Iterator[Expression]:
    """Yields every part of `expression`, arguments first; numbers are left out."""
    if isinstance(expression, Expression):
        for argument in expression.args:
            yield from walk(argument)
        yield expression


def vectors_in(expression: Any) -> list[Symbol]:
    """Returns the vectors that occur outside of reductions, in order."""
    if isinstance(expression, Symbol):
        return [expression] if expression.vector else []
    if not isinstance(expression, Expression) or is_reduction(expression):
        return []
    found = [vector for argument in expression.args for vector in vectors_in(argument)]
    return list(dict.fromkeys(found))


def name_shared_parts(
    results: tuple[Any, ...],
) -> tuple[list[tuple[Symbol, Any]], tuple[Any, ...]]:
    """Gives a name to each part that is used more than once, and to each reduction.

    Returns the named parts in the order in which they must be computed, and the results with the
    names inserted. A part that is different for each element of a vector gets no name.
    """
    parts = dict.fromkeys(part for result in results for part in walk(result))
    uses = [argument for part in parts for argument in part.args] + list(results)
    names: dict[Expression, Symbol] = {}
    for part in parts:
        reduction = is_reduction(part) and part not in results
        if (reduction or uses.count(part) > 1) and part.args and not vectors_in(part):
            names[part] = Symbol(f"t{len(names)}")

    def with_names(expression: Any) -> Any:
        if not isinstance(expression, Expression) or not expression.args:
            return expression
        if expression in names:
            return names[expression]
        return Expression(expression.name, *map(with_names, expression.args))

    def definition(part: Expression) -> Expression:
        return Expression(part.name, *map(with_names, part.args))

    named = [(name, definition(part)) for part, name in names.items()]
    return named, tuple(with_names(result) for result in results)


def compile_python(source: str, filename: str, names: dict[str, Any]) -> list[Callable[..., Any]]:
    """Runs `source` and returns the functions that it defines, in order.

    filename: the name that debuggers and tracebacks show, together with the lines of the source.
    names: the functions that the source may call, by name.
    """
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace = dict(names)
    exec(compile(source, filename, "exec"), namespace)
    return [namespace[name] for name in re.findall(r"^def (\w+)", source, re.MULTILINE)]
