"""`Value`: a number that knows how it was made, and the chain rule over a graph of them.

First what a Value is, then how an op makes one, then the chain rule, which is one loop. The engine
in use, `current_engine`, does both; inside `with no_grad():` and the like it is another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any, Union

from .numbers import Number, as_number
from .ops import TABLE, Methods, Op

Operand = Union["Value", float]  # what an operator takes; ints and NumPy scalars, too


def _operator(name: str) -> tuple[Callable[[Value, Operand], Value], ...]:
    """The two methods of a binary operator: for `value + other`, and for `other + value`."""
    op = TABLE[name]

    def left(self: Value, other: Operand) -> Value:
        b = other if isinstance(other, Value) else Constant(other)
        return engine_in_use().node(op, (self, b))

    def right(self: Value, other: Operand) -> Value:
        return engine_in_use().node(op, (Constant(other), self))  # type: ignore[arg-type]

    return left, right


class Value(Number, Methods):
    """A number in a computation graph.

    data: the number; a Python or NumPy int or float, kept as a float.
    grad: the derivative of the root by this value, once `root.backward()` has run.
    label: the name that pictures and messages use.
    op: the entry of the op table that made it; None for a leaf.
    operands: the Values that it was made from, in order.
    scope: the innermost `with scope(...)`, or call of a module, in which it was made.

    Every op of the table is a method too, `v.tanh()`. `Number` says how Values compare and print.

    >>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    >>> c = a * b + a.tanh()
    >>> c.backward()
    >>> print(f"c = {c:.4f}, dc/da = {a.grad:.4f}, dc/db = {b.grad:.4f}")
    c = -5.0360, dc/da = -2.9293, dc/db = 2.0000
    """

    __slots__ = ("data", "grad", "label", "op", "operands", "scope")
    __array_ufunc__ = None  # NumPy leaves `np.float64(2) * value` to Value
    data: float
    grad: float
    label: str
    op: Op | None
    operands: tuple[Value, ...]
    scope: Any  # a `context.scope`, or None

    def __init__(self, data: float, label: str = "") -> None:
        self.data = as_number(data)
        self.grad = 0.0
        self.label = label
        self.op = None
        self.operands = ()
        self.scope = None

    def backward(self, gradient: float = 1.0) -> None:
        """Sets `grad` to d(self)/d(value), times `gradient`, for every value below this one.

        The gradient of a leaf is added to its `grad`, so that the gradients of several examples
        add up; `zero_grad` sets it to 0. The gradient of any other value replaces its `grad`.
        """
        engine_in_use().backward(self, gradient)

    __add__, __radd__ = _operator("add")
    __sub__, __rsub__ = _operator("sub")
    __mul__, __rmul__ = _operator("mul")
    __truediv__, __rtruediv__ = _operator("div")
    __pow__, __rpow__ = _operator("pow")

    def __neg__(self) -> Value:
        return record(TABLE["neg"], (self,))

    def __abs__(self) -> Value:
        return record(TABLE["abs"], (self,))

    @staticmethod
    def apply(op: Op, *operands: Operand, **named: Operand) -> Value:
        """The Value that `op` makes of `operands`, in order.

        Numbers become Constants. Operands with a default may be omitted, and any may be given by
        name. For an op of vectors, the elements of all vectors follow one another.
        """
        if named or len(operands) != len(op.operands) or op.nary:
            operands = op.complete(operands, named)
        return record(op, tuple([x if isinstance(x, Value) else Constant(x) for x in operands]))

    def detach(self) -> Constant:
        """The number as a Constant: no gradient flows from it back to this value."""
        return Constant(self.data, self.label)

    @property
    def _prev(self) -> set[Value]:  # karpathy/micrograd's name
        return set(shown_operands(self))

    @property
    def _op(self) -> str:  # karpathy/micrograd's name
        return op_name(self)


class Constant(Value):
    """A number in an expression: a leaf whose `grad` nothing reads.

    >>> (2 * Value(3.0)).operands
    (Constant(data=2.0, grad=0.0), Value(data=3.0, grad=0.0))
    """

    __slots__ = ()


class Engine:
    """Makes Values and applies the chain rule. `context.py` has engines that do it otherwise."""

    def node(self, op: Op, operands: tuple[Value, ...]) -> Value:
        """The Value that `op` makes of `operands`: its number, and how it was made."""
        if op.binary:  # the most common case, and faster in this way
            a, b = operands
            data = op.forward(a.data, b.data)
        else:
            data = op.forward(*[operand.data for operand in operands])
        node = _new(Value)  # faster without __init__, which checks the number
        node.data = data
        node.grad = 0.0
        node.label = ""
        node.op = op
        node.operands = operands
        node.scope = innermost_scope()
        return node

    def constant(self, op: Op, operands: tuple[Value, ...]) -> Value:
        """The same number alone, as inside `with no_grad():`."""
        return Constant(op.forward(*[operand.data for operand in operands]))

    def backward(self, root: Value, gradient: float) -> None:
        """The chain rule, from the root to the leaves."""
        computed = [node for node in topological_order(root) if node.op is not None]
        for node in computed:  # a leaf keeps its gradient: the new one is added
            node.grad = 0.0
        root.grad += as_number(gradient)  # d(root)/d(root) = 1, times `gradient`
        for node in reversed(computed):
            upstream = node.grad  # complete: all that was made from this node came before it
            # d(root)/d(operand)  +=  d(root)/d(node)  *  d(node)/d(operand)
            if node.op and node.op.binary:  # the loop below, written out: faster, as in `node`
                a, b = node.operands
                by_a, by_b = node.op.partials(node.data, a.data, b.data)
                a.grad += upstream * by_a
                b.grad += upstream * by_b
            else:
                for operand, local in local_derivatives(node):
                    operand.grad += upstream * local


def topological_order(root: Value) -> list[Value]:
    """Every Value below `root`, each once and after its operands; `root` is the last.

    A depth-first walk with its own stack, so that a graph may be a million nodes deep.
    """
    order: list[Value] = []
    visited = {root}
    stack = [(root, iter(root.operands))]
    while stack:
        node, remaining = stack[-1]
        for operand in remaining:
            if operand not in visited:
                visited.add(operand)
                if operand.operands:
                    stack.append((operand, iter(operand.operands)))
                    break  # first what is below this operand, then the other operands
                order.append(operand)
        else:
            order.append(node)
            stack.pop()
    return order


def local_derivatives(node: Value) -> Iterable[tuple[Value, float]]:
    """Each operand of `node`, in order, with the derivative of `node` by it; none for a leaf."""
    numbers = [operand.data for operand in node.operands]
    return zip(node.operands, node.op.partials(node.data, *numbers)) if node.op else ()


current_engine: ContextVar[Engine] = ContextVar("current_engine", default=Engine())  # noqa: B039
"""The engine in use; another one inside `with no_grad():` and the like, in that thread alone."""
open_scope: ContextVar[Any] = ContextVar("open_scope", default=None)  # the innermost scope
engine_in_use, innermost_scope = current_engine.get, open_scope.get
_new, apply = Value.__new__, Value.apply


def record(op: Op, operands: tuple[Value, ...]) -> Value:
    """As `apply`, faster, for operands that are complete and all Values."""
    return engine_in_use().node(op, operands)


def as_value(operand: Operand) -> Value:
    """A Value as it is, a number as a Constant."""
    return operand if isinstance(operand, Value) else Constant(operand)


def shown_operands(node: Value) -> tuple[Value, ...]:
    """The operands without the constant that is part of the op's name, as the 2 in `x**2`."""
    inline = node.op is not None and node.op.inline and isinstance(node.operands[-1], Constant)
    return node.operands[:-1] if inline else node.operands


def op_name(node: Value) -> str:
    """The op as pictures show it: `*`, `tanh`, `**2`; nothing for a leaf."""
    inline = node.operands[len(shown_operands(node)) :]
    return node.op.shown_with(*[constant.data for constant in inline]) if node.op else ""
