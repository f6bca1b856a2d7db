"""Turns an expression typed as text into a graph. The text is parsed, never run as Python code.

>>> n = parse("tanh(x1*w1 + x2*w2 + b)", x1=2, x2=0, w1=-3, w2=1, b=6.88)
>>> n.backward()
>>> print(f"{n:.4f}")
0.7064

An expression consists of numbers, names, brackets, the operators + - * / ** and the functions of
the op table. Functions such as `max(a, b, c)` take any number of values; `dot(a, b, x, y)` is the
dot product of the first half with the second half. For anything else the ValueError points at the
place of the error.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from ..engine import Operand, Value, apply
from ..ops import TABLE

_LONGEST = 10_000  # characters; nested brackets take much memory in the parser
_OPERATORS = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.Pow: "pow",
    ast.USub: "neg",
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
        raise ValueError(
            f"the expression has {len(text):,} characters; at most {_LONGEST:,} are allowed"
        )
    reader = _Reader(" ".join(text.split()), numbers)
    root = reader.read()
    unused = sorted(numbers.keys() - reader.leaves.keys())
    if unused:
        raise ValueError(f"{', '.join(unused)} does not occur in {text!r}")
    return root if isinstance(root, Value) else Value(root)


class _Reader:
    def __init__(self, text: str, numbers: Mapping[str, float]) -> None:
        self.text = text
        self.numbers = numbers
        self.leaves: dict[str, Value] = {}

    def read(self) -> Operand:
        try:
            tree = ast.parse(self.text, mode="eval")
        except SyntaxError as error:
            raise self.wrong(error.msg, error.offset or 1) from None
        except (RecursionError, MemoryError):
            raise self.too_deep() from None
        except ValueError as error:  # characters that are not allowed in source code
            raise self.wrong(str(error), 1) from None
        try:
            return self.value(tree.body)
        except RecursionError:
            raise self.too_deep() from None

    def too_deep(self) -> ValueError:
        return ValueError("the expression has too many nested brackets or operators")

    def value(self, node: ast.expr) -> Operand:
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                try:
                    return float(number)
                except OverflowError:
                    raise self.at(node, "this number is larger than any float") from None
            case ast.Name(id=name):
                return self.leaf(name, node)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.value(operand)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant()):
                return -self.value(node.operand)
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
                return apply(TABLE[_OPERATORS[type(op)]], self.value(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return apply(TABLE[_OPERATORS[type(op)]], self.value(left), self.value(right))
            case ast.BinOp(op=ast.BitXor()):
                raise self.at(node, "^ is not a power here: write a ** b")
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                if name not in TABLE:
                    known = ", ".join(TABLE)
                    raise self.at(node, f"there is no function {name!r}; the functions are {known}")
                try:
                    return apply(TABLE[name], *[self.value(argument) for argument in arguments])
                except TypeError as error:
                    raise self.at(node, str(error)) from None
        raise self.at(
            node, "only numbers, names, + - * / **, brackets and functions are allowed here"
        )

    def leaf(self, name: str, node: ast.expr) -> Value:
        if name not in self.numbers:
            raise self.at(node, f"{name!r} has no number: add {name}=...")
        if name not in self.leaves:
            self.leaves[name] = Value(self.numbers[name], label=name)
        return self.leaves[name]

    def at(self, node: ast.expr, message: str) -> ValueError:
        before = self.text.encode()[: node.col_offset]  # ast counts bytes
        return self.wrong(message, len(before.decode()) + 1)

    def wrong(self, message: str, column: int) -> ValueError:
        start = max(0, column - 40)
        pointer = " " * (column - 1 - start) + "^"
        return ValueError(f"{message}\n  {self.text[start : start + 72]}\n  {pointer}")
