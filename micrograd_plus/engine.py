"""`Value`: a number that remembers how it was made, and the chain rule over what it remembers.

>>> a = Value(2.0, label="a")
>>> b = Value(-3.0, label="b")
>>> c = a * b + a.tanh()
>>> c.backward()
>>> print(f"c = {c:.4f}, dc/da = {a.grad:.4f}, dc/db = {b.grad:.4f}")
c = -5.0360, dc/da = -2.9293, dc/db = 2.0000

A Value holds six things: `data`, its number; `grad`, the derivative of the root by it, once
`root.backward()` has run; `label`, its name; `op`, the entry of the op table that made it, or
None for a leaf; `operands`, the Values it was made from, in order; and `scope`, the call it was
made in.
Whoever wants to list, draw, check or compile a graph walks `operands`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from numbers import Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol, Self, Union

from .formulas.writers import Writer
from .ops import TABLE, Methods, Op
from .symbols import Expression, Symbol

Operand = Union["Value", float]
"""What an operator takes: a Value, an int, a float or a NumPy scalar."""


def _operator(name: str) -> tuple[Callable[[Value, Operand], Value], ...]:
    """The methods of a binary operator: for a Value on the left, and for one on the right.

    The usual case is written out in both, as `record` has it: here it is a third faster.
    """
    op = TABLE[name]

    def left(self: Value, other: Operand) -> Value:
        b = other if isinstance(other, Value) else Constant(other)
        if _mode.get() is _USUAL:
            return _node(op, (self, b), op.forward(self.data, b.data))
        return record(op, (self, b))

    def right(self: Value, other: Operand) -> Value:
        a = Constant(other)  # type: ignore[arg-type]
        if _mode.get() is _USUAL:
            return _node(op, (a, self), op.forward(a.data, self.data))
        return record(op, (a, self))

    return left, right


class Value(Methods):
    """A number in a computation graph.

    data: the number; a Python or NumPy int or float, kept as a float.
    label: the name that pictures and messages use.
    """

    __slots__ = ("data", "grad", "label", "op", "operands", "scope")
    __array_ufunc__ = None  # NumPy leaves `np.float64(2) * value` to Value

    data: float
    grad: float
    label: str
    op: Op | None
    operands: tuple[Value, ...]
    scope: scope | None

    def __init__(self, data: float, label: str = "") -> None:
        self.data = as_number(data)
        self.grad = 0.0
        self.label = label
        self.op = None
        self.operands = ()
        self.scope = None

    # ---- the chain rule

    def backward(self, gradient: float = 1.0) -> None:
        """Sets `grad` to d(self)/d(value), times `gradient`, for every value below this one.

        A leaf's gradient is added to what its `grad` already holds, as over the examples of
        a batch; `zero_grad` starts anew. Everything else is assigned.
        """
        if recorder() is not None:
            raise TypeError(
                "backward() inside a function that is recorded: return the loss, and the compiled "
                "step does the rest"
            )
        order = topological_order(self)
        for node in order:
            if node.op is not None:
                node.grad = 0.0
        self.grad += as_number(gradient)

        for node in reversed(order):
            if node.op is not None:
                upstream = node.grad
                numbers = [operand.data for operand in node.operands]
                for operand, local in zip(node.operands, node.op.partials(node.data, *numbers)):
                    operand.grad += upstream * local

        if _mode.get().detects_anomalies:
            _check_gradients(order)

    # ---- operators

    __add__, __radd__ = _operator("add")
    __sub__, __rsub__ = _operator("sub")
    __mul__, __rmul__ = _operator("mul")
    __truediv__, __rtruediv__ = _operator("div")
    __pow__, __rpow__ = _operator("pow")

    def __neg__(self) -> Value:
        return self.apply(TABLE["neg"], self)

    def __abs__(self) -> Value:
        return self.apply(TABLE["abs"], self)

    @staticmethod
    def apply(op: Op, *operands: Operand, **named: Operand) -> Value:
        """The Value that `op` makes of `operands`, in order.

        Numbers become Constants, operands that have a default may be left out, and any may be
        given by name. For an op of vectors, the elements of all vectors follow one another.
        """
        if named or len(operands) != len(op.operands) or op.nary:
            operands = _complete(op, operands, named)
        return record(op, tuple([as_value(operand) for operand in operands]))

    def __lt__(self, other: Operand) -> bool:
        return self.data < number_of(other)

    def __le__(self, other: Operand) -> bool:
        return self.data <= number_of(other)

    def __gt__(self, other: Operand) -> bool:
        return self.data > number_of(other)

    def __ge__(self, other: Operand) -> bool:
        return self.data >= number_of(other)

    if TYPE_CHECKING:  # the ops of the table, which `Methods` adds

        def __getattr__(self, name: str) -> Callable[..., Value]: ...

    # ---- the number, with and without its graph

    def item(self) -> float:
        """The number itself, as `data`."""
        return self.data

    def detach(self) -> Constant:
        """The number as a Constant: what is computed from it does not lead back here."""
        return Constant(self.data, self.label)

    def __repr__(self) -> str:
        label = f", label={self.label!r}" if self.label else ""
        return f"{type(self).__name__}(data={self.data}, grad={self.grad}{label})"

    def __format__(self, spec: str) -> str:
        return format(self.data, spec) if spec else repr(self)

    def __float__(self) -> NoReturn:
        raise TypeError(
            "float() of a Value, and math.exp() or NumPy on one, would lose its graph: write "
            "v.data for the number, v.exp() or mp.exp(v) for a function of it"
        )

    __int__ = __index__ = __complex__ = __float__

    # ---- as karpathy/micrograd names them

    @property
    def _prev(self) -> set[Value]:
        return set(shown_operands(self))

    @property
    def _op(self) -> str:
        return op_name(self)


class Constant(Value):
    """A number written into an expression, as the 2 in `2 * v`.

    It is a leaf like any other, except that gradient checks, pictures and compiled programs
    know that nobody asked for its derivative.
    """

    __slots__ = ()


def topological_order(root: Value) -> list[Value]:
    """Every Value below `root`, each once and after its operands; `root` comes last.

    A depth-first walk with a stack of its own, so that a graph may be a million nodes deep.
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
                    break  # what is below it comes first; the others when it is done
                order.append(operand)
        else:
            order.append(node)
            stack.pop()
    return order


# ---- making nodes


def record(op: Op, operands: tuple[Value, ...]) -> Value:
    """As `apply`, for operands that are known to be complete and to be Values."""
    mode = _mode.get()
    if mode is _USUAL:
        return _node(op, operands, op.forward(*[x.data for x in operands]))
    if mode.recorder is not None:
        return mode.recorder.node(op, operands, mode.keeps_graph)
    data = op.forward(*[x.data for x in operands])
    if mode.detects_anomalies and not math.isfinite(data):
        raise FloatingPointError(f"{_made_of(op, operands)} became {data}")
    return _node(op, operands, data) if mode.keeps_graph else Constant(data)


def _node(op: Op, operands: tuple[Value, ...], data: float) -> Value:
    node = _new(Value)
    node.data = data
    node.grad = 0.0
    node.label = ""
    node.op = op
    node.operands = operands
    node.scope = _scope.get()
    return node


_new = Value.__new__
apply = Value.apply


# ---- what is in force inside a `with`, in this thread alone


class _Mode(NamedTuple):
    keeps_graph: bool = True
    detects_anomalies: bool = False
    recorder: Recorder | None = None


_USUAL = _Mode()
_mode = ContextVar("mode", default=_USUAL)


@contextmanager
def _switched(**settings: Any) -> Iterator[None]:
    token = _mode.set(_mode.get()._replace(**settings))
    try:
        yield
    finally:
        _mode.reset(token)


@contextmanager
def no_grad() -> Iterator[None]:
    """Inside `with no_grad():`, or under `@no_grad()`, results keep no graph.

    For predictions and measurements: it saves the memory and most of the time.
    """
    with _switched(keeps_graph=False):
        yield


class Recorder(Protocol):
    """What takes the place of computing, inside `with recording(...):`.

    The engine hands it each op as it is applied, and reads no number.
    """

    def entered(self, owner: Any) -> None:
        """Hears that a scope of this owner was opened."""

    def node(self, op: Op, operands: tuple[Value, ...], keeps_graph: bool) -> Value:
        """The Value that stands for the result of `op`."""

    def random(self, generator: random.Random | None) -> Value:
        """What `rand` gives."""

    def pick(self, values: Sequence[Any], index: Value) -> Any:
        """The element, or row, of `values` whose index is not known yet."""

    def require(self, value: Value, holds: Callable[[float], bool], message: str) -> None:
        """Sees to it that `value` is checked once its number is known."""


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Inside `with recording(recorder):` ops are handed to it and not computed."""
    with _switched(recorder=recorder):
        yield


def recorder() -> Recorder | None:
    """What records now, if anything does."""
    return _mode.get().recorder


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Inside `with detect_anomaly():` the first inf or nan raises FloatingPointError.

    The message names the value, or the gradient, by how it was made, and its operands.
    """
    with _switched(detects_anomalies=True):
        yield


class scope:  # noqa: N801 - used as a function, as no_grad is
    """Inside `with scope("attention"):` new Values belong to that group.

    Pictures fold a group into one box. Every Module opens a scope around its call, so that
    a neuron's or a layer's values are known to belong together.

    owner: a name, or the object (a Module) whose class gives the name.
    """

    __slots__ = ("is_open", "owner", "parent")

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.parent: scope | None = None
        self.is_open = False

    @property
    def name(self) -> str:
        """The owner's name."""
        return self.owner if isinstance(self.owner, str) else type(self.owner).__name__

    def __enter__(self) -> Self:
        if self.is_open:
            raise RuntimeError(f"the scope {self.name!r} is open already: make a new one")
        self.parent, self.is_open = _scope.get(), True
        _scope.set(self)
        active = recorder()
        if active is not None:
            active.entered(self.owner)
        return self

    def __exit__(self, *exception: object) -> None:
        self.is_open = False
        _scope.set(self.parent)


_scope: ContextVar[scope | None] = ContextVar("scope", default=None)


def current_scope() -> scope | None:
    """The innermost scope that is open."""
    return _scope.get()


# ---- numbers in and out


def as_number(data: Any) -> float:
    """`data` as a float, if it is an int, a float or a NumPy scalar; else TypeError."""
    kind = type(data)
    if kind is float:
        return data  # type: ignore[no-any-return]
    numpy_scalar = kind.__module__ == "numpy" and isinstance(data, Real)
    if (isinstance(data, (int, float)) or numpy_scalar) and kind is not bool:
        with suppress(OverflowError):
            return float(data)
    raise TypeError(_why_not_a_number(data))


def _why_not_a_number(data: Any) -> str:
    kind = type(data).__name__
    shown = f"of {data.bit_length()} bits" if kind == "int" else repr(data)
    given = f"{kind} {shown if len(shown) <= 40 else shown[:37] + '...'}"
    if isinstance(data, Value):
        advice = "it is a Value already: use it as it is, or value.detach() for a copy"
    elif data is None:
        advice = "a function without a return gives None"
    elif kind in ("bool", "bool_"):
        advice = "write 1.0 or 0.0"
    elif isinstance(data, int):
        advice = "it is larger than the largest float, about 1.8e308"
    elif isinstance(data, (str, bytes)):
        advice = f"write float({shown[:20]}) if it holds a number"
    elif hasattr(data, "item"):
        advice = "write .item() if it holds one number, else make one Value for each element"
    elif hasattr(data, "__iter__"):
        advice = "make one Value for each element: [Value(x) for x in ...]"
    else:
        advice = "write float(...) if it stands for a number"
    return f"a Value takes an int, a float or a NumPy scalar, not the {given}; {advice}"


def as_value(operand: Operand) -> Value:
    """A Value as it is, a number as a Constant."""
    return operand if isinstance(operand, Value) else Constant(operand)


def number_of(operand: Operand) -> float:
    """A Value's number, or the number itself."""
    return operand.data if isinstance(operand, Value) else as_number(operand)


def _complete(
    op: Op, operands: tuple[Operand, ...], named: dict[str, Operand]
) -> tuple[Operand, ...]:
    """All operands of `op` in order, with defaults filled in; TypeError if they do not fit."""
    if op.nary and not named and operands and len(operands) % len(op.operands) == 0:
        return operands
    given = dict(zip(op.operands, operands))
    defaults = dict(zip(reversed(op.operands), reversed(op.defaults)))
    complete = {**defaults, **given, **named}
    too_many = len(operands) > len(op.operands) or given.keys() & named
    if op.nary or too_many or set(complete) != set(op.operands):
        given_as = ", ".join([*["a value"] * len(operands), *[f"{x}=..." for x in named]])
        raise TypeError(f"{op.signature} was called as {op.name}({given_as})")
    return tuple([complete[x] for x in op.operands])


# ---- what a recorder does in its own way


def rand(generator: random.Random | None = None) -> Value:
    """A random number from 0 up to, but not, 1, each equally likely, as a Constant.

    A compiled program draws it anew at every replay, and for every example. Without a
    generator, Python's own is used, which `random.seed` seeds.
    """
    if not (generator is None or isinstance(generator, random.Random)):
        raise TypeError(f"generator is a random.Random, as random.Random(0), not {generator!r}")
    active = recorder()
    if active is not None:
        return active.random(generator)
    return Constant((generator or random).random())


def require(x: Operand, holds: Callable[[float], bool], message: str) -> None:
    """ValueError unless `holds` says so of the number of x.

    message: what the error says, with {} for the number.

    A compiled program checks its inputs so at every replay.
    """
    active = recorder()
    if active is not None and isinstance(x, Value) and not isinstance(x, Constant):
        active.require(x, holds, message)
    elif not holds(number := number_of(x)):
        raise ValueError(message.format(number))


# ---- Values in words


def shown_operands(node: Value) -> tuple[Value, ...]:
    """The operands without the constant that is part of the op's name, as the 2 in `x**2`."""
    inline = node.op is not None and node.op.inline and isinstance(node.operands[-1], Constant)
    return node.operands[:-1] if inline else node.operands


def op_name(node: Value) -> str:
    """The op as pictures show it: `*`, `tanh`, `**2`; nothing for a leaf."""
    if node.op is None:
        return ""
    if len(shown_operands(node)) == len(node.operands):
        return node.op.symbol
    number = f"{node.operands[-1].data:g}"
    infix = not node.op.symbol.isidentifier()
    return node.op.symbol + (number if infix else f"({number})")


_MOST_SHOWN = 6  # operands of an op of vectors
_NO_NAMES: Mapping[Value, str] = MappingProxyType({})


def expression(node: Value, depth: int = 2, names: Mapping[Value, str] = _NO_NAMES) -> Any:
    """The formula of `node` over labels and numbers, opened down to `depth` unnamed ops.

    names: what to call Values, in place of their labels.
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
    """How `node` was made, as text: `tanh(n)`, `a * b + c`; arguments as for `expression`."""
    return Writer().write(expression(node, depth, names))


# ---- finding the first inf or nan


def _check_gradients(order: list[Value]) -> None:
    for node in reversed(order):
        if node.op is not None:
            numbers = [operand.data for operand in node.operands]
            for operand, local in zip(node.operands, node.op.partials(node.data, *numbers)):
                if isinstance(operand, Constant) or math.isfinite(node.grad * local):
                    continue
                raise FloatingPointError(
                    f"the gradient of {_name(operand)} became {node.grad * local}: in "
                    f"{_made_of(node.op, node.operands)}, upstream gradient {node.grad:g} "
                    f"× local derivative {local:g}"
                )


def _name(node: Value) -> str:
    return node.label or formula(node, 1)


def _made_of(op: Op, operands: tuple[Value, ...]) -> str:
    made = formula(_node(op, operands, math.nan))
    culprits_first = sorted(dict.fromkeys(operands), key=lambda x: math.isfinite(x.data))
    known = [
        f"{_name(x)} = {x.data:g}" if x.label or x.op else f"the number {x.data:g}"
        for x in culprits_first
        if x.label or x.op or not math.isfinite(x.data)
    ]
    return f"{made}{' with ' * bool(known)}{', '.join(known[:_MOST_SHOWN])}"
