"""`copy.deepcopy` and `pickle` of Values, for graphs of any depth.

The default of both follows the operands of a Value by recursion, which fails at a few hundred
ops. Here the values below it come first, in topological order: whenever a value is copied, its
operands have been copied already.

>>> import copy
>>> from micrograd_plus.engine import Value
>>> x = root = Value(1.0)
>>> for _ in range(10_000):
...     root = root * 1.0
>>> copy.deepcopy(root).data
1.0
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from .engine import Value, topological_order
from .ops import Op


def _deepcopy(self: Value, memo: dict[int, Any]) -> Value:
    """The copy of a Value, with copies of everything below it."""
    for node in topological_order(self):
        if id(node) not in memo:
            operands = tuple([memo[id(operand)] for operand in node.operands])
            memo[id(node)] = copied = _made(None, operands, *_content(node))
            copied.scope = node.scope and copy.deepcopy(node.scope, memo)
    return memo[id(self)]  # type: ignore[no-any-return]


def _reduce(self: Value, protocol: int) -> tuple[Any, ...]:
    """A Value in pickle's form: a function, its arguments, and the state to set afterwards.

    The scope is set afterwards because its owner, a module, may contain this Value.
    """
    below = None if self in _one_by_one.get() else _Below(topological_order(self)[:-1])
    scope = (None, {"scope": self.scope}) if self.scope is not None else None
    return _made, (below, self.operands, *_content(self)), scope


def _content(value: Value) -> tuple[type[Value], float, float, str, Op | None]:
    data, grad = (
        value.data,
        value.grad,
    )  # first: the class may change, see compiler/parameter_memory
    return type(value), data, grad, value.label, value.op


def _made(
    below: _Below | None, operands: tuple[Value, ...],
    kind: type[Value], data: float, grad: float, label: str, op: Op | None,
) -> Value:  # fmt: skip
    """A Value with this content.

    `below` is not used: it is the first argument so that pickle stores, and loads, the values
    below this one before its operands, which then refer to them.
    """
    value = kind.__new__(kind)
    value.data, value.grad, value.label, value.op = data, grad, label, op
    value.operands, value.scope = operands, None
    return value


_one_by_one: ContextVar[frozenset[Value]] = ContextVar("_one_by_one", default=frozenset())
"""The values that a `_Below` is giving to pickle: their operands have been stored already."""


class _Below(list[Value]):
    """The values below one that is pickled. Pickle stores them one by one, without recursion."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _Below, (), None, self._each()

    def _each(self) -> Iterator[Value]:
        token = _one_by_one.set(_one_by_one.get() | frozenset(self))
        try:
            yield from self
        finally:
            _one_by_one.reset(token)


Value.__deepcopy__ = _deepcopy  # type: ignore[attr-defined]
Value.__reduce_ex__ = _reduce  # type: ignore[assignment, method-assign]
