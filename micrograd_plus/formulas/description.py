"""Describes how a Value was computed: as an expression tree, or as text.

>>> from micrograd_plus.engine import Value
>>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
>>> formula((a * b + 1).tanh(), depth=3)
'tanh(a * b + 1)'
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..engine import Value
from ..symbols import Expression, Symbol
from .writers import Writer

_MOST_SHOWN = 6  # operands of an op of vectors
_NO_NAMES: Mapping[Value, str] = MappingProxyType({})


def expression(node: Value, depth: int = 2, names: Mapping[Value, str] = _NO_NAMES) -> Any:
    """Returns the formula of `node`, made of labels and numbers, down to `depth` unnamed ops.

    names: a name for each Value, used instead of its label.
    """
    if node.op is None:
        name = names.get(node, node.label)
        return Symbol(name) if name else node.data
    if depth == 0:
        return Symbol("…")
    arguments = [
        Symbol(name)
        if (name := names.get(operand, operand.label))
        else expression(operand, depth - 1, names)
        for operand in node.operands[:_MOST_SHOWN]
    ]
    if len(node.operands) > _MOST_SHOWN:
        arguments.append(Symbol("…"))
    infix = node.op.symbol in Writer.operations and not node.op.nary and len(arguments) == 2
    return Expression(node.op.symbol if infix else node.op.name, *arguments)


def formula(node: Value, depth: int = 2, names: Mapping[Value, str] = _NO_NAMES) -> str:
    """Returns the formula as text, such as `tanh(n)` or `a * b + c`; arguments as above."""
    return Writer().write(expression(node, depth, names))
