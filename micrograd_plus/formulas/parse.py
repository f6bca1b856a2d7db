"""Turns an expression typed as text into a graph. The text is parsed, never run as Python code.

>>> n = parse("tanh(x1*w1 + x2*w2 + b)", x1=2, x2=0, w1=-3, w2=1, b=6.88)
>>> n.backward()
>>> print(f"{n:.4f}")
0.7064

An expression consists of numbers, names, brackets, the operators + - * / ** and the functions of
the op table. Functions such as `max(a, b, c)` take any number of values; `dot(a, b, x, y)` is the
dot product of the first half with the second half. For anything else the ValueError points at the
place of the error.

Tables define the language: the operators with the precedence that the writers give them,
how numbers are written, and the messages. `grammar()` returns them as data, for the page that reads
expressions as well (`explorer/reading.js`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from string import Formatter
from typing import Any, NamedTuple

from ..engine import Operand, Value, apply
from ..ops import CALLED_AS, TABLE
from .writers import Writer

_LONGEST = 10_000  # characters
_BEFORE_PLACE, _SHOWN = 40, 72  # characters of the text that an error shows: before, and in all


class Sign(NamedTuple):
    """An operator: the op that it stands for, and how strongly it binds.

    op: a name of the op table; empty for a + before a value, which changes nothing.
    operands: 2 between two values, 1 before a value.
    binds: its precedence. right: the lowest precedence inside its right operand.
    """

    op: str
    operands: int
    binds: int
    right: int


def _sign(op: str, written: str) -> Sign:
    binds, template = Writer.operations[written]
    specs = [spec for _, field, spec, _ in Formatter().parse(template) if field is not None]
    return Sign(op, len(specs), binds, int(specs[-1] or 0))


_BETWEEN = {TABLE[x].symbol: _sign(x, TABLE[x].symbol) for x in ("add", "sub", "mul", "div", "pow")}
_BEFORE = {"-": _sign("neg", "neg"), "+": _sign("", "neg")}

_SPACE = r"[ \t\n\r\f\v\xa0]+"
_NUMBER = (  # 12, 1_000, 0.5, .5, 1e-3, 0xff
    r"0[xX][0-9a-fA-F]+"
    r"|(?:(?:0|[1-9][0-9]*(?:_[0-9]+)*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
)
_MESSAGES = {
    "long": "the expression has {count} characters; at most {most} are allowed",
    "sign": "only numbers, names, + - * / **, brackets and functions are allowed here",
    "power": "^ is not a power here: write a ** b",
    "value": "a number, a name or an opening bracket is missing here",
    "operator": "an operator, such as + or *, is missing here",
    "opening": "this bracket was never opened",
    "closing": "this bracket was never closed",
    "comma": "a comma is only allowed between the values of a function, as in max(a, b)",
    "large": "this number is larger than any float",
    "function": "there is no function '{name}'; the functions are {known}",
    "call": CALLED_AS,
    "unused": "there is no {names} in '{text}'",
}


def grammar() -> dict[str, Any]:
    """Returns the tables of the language as data."""
    return {
        "between": {sign: how._asdict() for sign, how in _BETWEEN.items()},
        "before": {sign: how._asdict() for sign, how in _BEFORE.items()},
        "space": _SPACE,
        "number": _NUMBER,
        "longest": _LONGEST,
        "messages": _MESSAGES,
    }


def parse(text: str, values: Mapping[str, float] | None = None, /, **named: float) -> Value:
    """Returns the Value of the expression `text`; every name in it becomes one labelled leaf.

    values, named: the number for each name. ValueError for text that is no such expression, for a
    name without a number, and for a number whose name does not occur.

    >>> root = parse("a*b + tanh(a)", {"a": 2.0, "b": -3.0})
    >>> print(f"{root:.4f}")
    -5.0360
    """
    numbers = {**(values or {}), **named}
    if len(text) > _LONGEST:
        most = f"{_LONGEST:,}"
        raise ValueError(_MESSAGES["long"].format(count=f"{len(text):,}", most=most))
    reader = _Reader(re.sub(_SPACE, " ", text).strip(" "), numbers)
    root = reader.read()
    unused = sorted(numbers.keys() - reader.leaves.keys())
    if unused:
        raise ValueError(_MESSAGES["unused"].format(names=", ".join(unused), text=text))
    return root if isinstance(root, Value) else Value(root)


class _Open(NamedTuple):
    """An open bracket. function: what it calls; empty for a plain bracket.

    column: where it, or the function's name, begins. before: how many values came before it.
    """

    function: str
    column: int
    before: int


class _Reader:
    """Reads from left to right: complete values, and the signs and brackets that wait for more.

    A sign is applied as soon as one comes that binds less than its right operand: Dijkstra's
    "shunting yard" of 1961. Nothing is recursive: brackets may be nested to any depth.
    """

    def __init__(self, text: str, numbers: Mapping[str, float]) -> None:
        self.text = text
        self.numbers = numbers
        self.leaves: dict[str, Value] = {}
        self.at = 0  # the place of the next token
        self.values: list[Operand] = []
        self.waiting: list[Sign | _Open] = []

    def read(self) -> Operand:
        """Returns the value of the whole text."""
        self.read_value()
        while self.read_operator():
            self.read_value()
        return self.values.pop()

    def read_value(self) -> None:
        """Reads signs and opening brackets, and the number or name after them."""
        while True:
            column, token = self.next()
            if token in _BEFORE:
                self.waiting.append(_BEFORE[token])
            elif token == "(":
                self.waiting.append(_Open("", column, len(self.values)))
            elif token.isidentifier() and self.peek() == "(":
                if token not in TABLE:
                    raise self.wrong("function", column, name=token, known=", ".join(TABLE))
                self.next()
                self.waiting.append(_Open(token, column, len(self.values)))
                if self.peek() == ")":
                    return
            elif token.isidentifier():
                self.values.append(self.leaf(token, column))
                return
            elif _is_number(token):
                self.values.append(self.number(token, column))
                return
            else:
                raise self.unexpected(token, "value", column)

    def read_operator(self) -> bool:
        """Reads closing brackets, and the operator or comma after them; False at the end."""
        while True:
            column, token = self.next()
            if token in _BETWEEN:
                self.apply_signs(_BETWEEN[token].binds)
                self.waiting.append(_BETWEEN[token])
                return True
            if token not in (")", ",", ""):
                raise self.unexpected(token, "operator", column)
            self.apply_signs(0)
            bracket = self.waiting[-1] if self.waiting else None
            if token == "" and isinstance(bracket, _Open):
                raise self.wrong("closing", bracket.column)
            if token == "":
                return False
            if token == "," and isinstance(bracket, _Open) and bracket.function:
                return True
            if token == ",":
                raise self.wrong("comma", column)
            if not isinstance(bracket, _Open):
                raise self.wrong("opening", column)
            self.waiting.pop()
            self.close(bracket)

    def apply_signs(self, binds: int) -> None:
        """Applies the signs whose right operand ends before an operator that binds like this."""
        while self.waiting and isinstance(sign := self.waiting[-1], Sign) and sign.right > binds:
            self.waiting.pop()
            right = self.values.pop()
            if sign.operands == 2:
                right = apply(TABLE[sign.op], self.values.pop(), right)
            elif sign.op:
                right = -right  # the minus of -2 is part of the number
            self.values.append(right)

    def close(self, bracket: _Open) -> None:
        """Replaces the values in a function's brackets by its result."""
        if bracket.function:
            operands = self.values[bracket.before :]
            del self.values[bracket.before :]
            try:
                self.values.append(apply(TABLE[bracket.function], *operands))
            except TypeError as error:
                raise self.at_column(str(error), bracket.column) from None

    def leaf(self, name: str, column: int) -> Value:
        if name not in self.numbers:
            raise self.at_column(f"{name!r} has no number: add {name}=...", column)
        if name not in self.leaves:
            self.leaves[name] = Value(self.numbers[name], label=name)
        return self.leaves[name]

    def number(self, token: str, column: int) -> float:
        number = float(int(token, 16)) if token[1:2] in ("x", "X") else float(token)
        if math.isinf(number):
            raise self.wrong("large", column)
        return number

    # ---- tokens

    def next(self) -> tuple[int, str]:
        """Returns the column of the next token, and the token; the empty one at the end."""
        if self.text[self.at : self.at + 1] == " ":
            self.at += 1
        column, token = self.at, self._token()
        self.at += len(token)
        return column, token

    def peek(self) -> str:
        at = self.at
        _, token = self.next()
        self.at = at
        return token

    def _token(self) -> str:
        """Returns a number, a name, ** or one character."""
        if found := re.compile(_NUMBER).match(self.text, self.at):
            return found[0]
        end = self.at + 1
        while end <= len(self.text) and self.text[self.at : end].isidentifier():
            end += 1
        if self.text.startswith("**", self.at):
            return "**"
        return self.text[self.at : max(self.at + 1, end - 1)]

    # ---- errors

    def unexpected(self, token: str, missing: str, column: int) -> ValueError:
        """The error at a token that is wrong here: what it is, or what is missing before it."""
        if token == "^":
            return self.wrong("power", column)
        known = token in ("", "(", ")", ",", *_BETWEEN) or token.isidentifier() or _is_number(token)
        return self.wrong(missing if known else "sign", column)

    def wrong(self, message: str, column: int, **fields: str) -> ValueError:
        return self.at_column(_MESSAGES[message].format(**fields), column)

    def at_column(self, message: str, column: int) -> ValueError:
        start = max(0, column - _BEFORE_PLACE)
        pointer = " " * (column - start) + "^"
        return ValueError(f"{message}\n  {self.text[start : start + _SHOWN]}\n  {pointer}")


def _is_number(token: str) -> bool:
    return re.fullmatch(_NUMBER, token) is not None
