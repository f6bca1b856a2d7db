"""Record: a function of one example becomes its graph, without a single number.

The function is called with Values without numbers in place of the example's numbers. Every op
adds a Value to the graph. Code that needs a number, such as `if x > 0`, raises an error that names
the line, because the program must do the same for every example.

>>> from ..functional import tanh
>>> w = Value(0.5, label="w")
>>> print(record(lambda x: tanh(w * x[0] + x[1]), [(2,)], []))
a0     parameter w
a1     input 0
a2     mul(a0, a1)
a3     input 1
a4     add(a2, a3)
a5     tanh(a4)
"""

from __future__ import annotations

import inspect
import linecache
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Any, NoReturn

from ..context import current_scope, no_grad, recorder, recording
from ..engine import Constant, Operand, Value, apply, as_value, topological_order
from ..ops import TABLE, Op
from ..support.nested import flatten

Shape = tuple[int, ...]
PACKAGE = str(Path(__file__).parent.parent)


class _Sealed(Value):
    """A Value whose number is not known, or must not be read, while a function is recorded."""

    __slots__ = ()

    def _refuse(self, what: str, instead: str) -> NoReturn:
        raise TypeError(
            f"{what} while it is recorded would freeze one example's number into the program; "
            f"{instead} ({_line()})"
        )

    @property
    def data(self) -> float:  # type: ignore[override]
        """Refused: there is no number yet."""
        self._refuse(
            "reading .data of a Value", "compute with the Value itself, or x.detach() of it"
        )

    def item(self) -> float:
        """Refused: there is no number yet."""
        self._refuse("reading item() of a Value", "compute with the Value itself")

    def __bool__(self) -> bool:
        self._refuse(
            "`if`, `and`, `or`, max() or sorted() on a Value",
            "write mp.where(condition, a, b) for a choice, mp.maximum, mp.minimum or mp.max for "
            "the largest, and mp.softmax for a safe one",
        )

    def __float__(self) -> NoReturn:
        self._refuse(
            "float(), int(), range() or an index from a Value",
            "write mp.pick(values, index) for an index, and v.exp() for math.exp(v)",
        )

    __int__ = __index__ = __complex__ = __float__

    def __format__(self, spec: str) -> str:
        return self._refuse("formatting the number of a Value", "print it after the step")

    def __repr__(self) -> str:
        return f"<Value {self.label}>" if self.label else "<recorded Value>"

    def backward(self, gradient: float = 1.0) -> None:
        """Refused: the compiled step computes the gradients."""
        raise TypeError(
            "backward() inside a function that is recorded: return the loss, and the compiled "
            f"step does the rest ({_line()})"
        )

    def detach(self) -> Any:
        """The same number, through which no gradient flows."""
        with no_grad():
            return self * 1.0

    # A comparison is a Value too, 1 or 0, for `mp.where`.

    def __lt__(self, other: Operand) -> Any:
        return apply(TABLE["lt"], self, other)

    def __le__(self, other: Operand) -> Any:
        return apply(TABLE["le"], self, other)

    def __gt__(self, other: Operand) -> Any:
        return apply(TABLE["lt"], other, self)

    def __ge__(self, other: Operand) -> Any:
        return apply(TABLE["le"], other, self)

    def __and__(self, other: Operand) -> Any:
        return apply(TABLE["minimum"], self, float(other) if isinstance(other, bool) else other)

    def __or__(self, other: Operand) -> Any:
        return apply(TABLE["maximum"], self, float(other) if isinstance(other, bool) else other)

    __rand__, __ror__ = __and__, __or__


class Recorded(_Sealed):
    """The result of an op. `keeps_graph` is False for one that was made under `no_grad`."""

    __slots__ = ("keeps_graph",)

    def __init__(self, op: Op | None, operands: tuple[Value, ...], keeps_graph: bool) -> None:
        self.grad, self.label, self.scope = 0.0, "", current_scope()
        self.op, self.operands, self.keeps_graph = op, operands, keeps_graph


class Input(Recorded):
    """One of the example's numbers."""

    __slots__ = ("position",)

    def __init__(self, position: int) -> None:
        super().__init__(None, (), True)
        self.position = position
        self.label = f"input {position}"


class Random(Recorded):
    """A random number from this generator; each example gets its own."""

    __slots__ = ("generator",)
    generator: random.Random | None

    def __init__(self, generator: random.Random | None) -> None:
        super().__init__(None, (), True)
        self.generator = generator


class Picked(Recorded):
    """One of several Values; the first operand, an input, is the index."""

    __slots__ = ()


@cache
def _watched(kind: type[Value]) -> type[Value]:
    """The class that parameters of class `kind` have while a function is recorded.

    In the thread that records, reading a number raises an error. Other threads see no difference.
    """
    members: dict[str, Any] = {"__slots__": (), "data": _sealed_data(kind)}
    for name, how in vars(_Sealed).items():
        if callable(how):
            members[name] = _while_recording(how, getattr(kind, name, None))
    return type("Watched", (kind,), members)


def _while_recording(sealed: Callable[..., Any], usual: Callable[..., Any] | None) -> Any:
    def method(self: Value, *arguments: Any) -> Any:
        if recorder() is None:
            return usual(self, *arguments) if usual is not None else NotImplemented
        return sealed(self, *arguments)

    return method


def _sealed_data(kind: type[Value]) -> property:
    number: Any = inspect.getattr_static(kind, "data")  # the slot

    def read(self: Value) -> float:
        if recorder() is not None:
            return _Sealed.data.fget(self)  # type: ignore[attr-defined, misc, no-any-return]
        return number.__get__(self)  # type: ignore[no-any-return]

    def write(self: Value, data: float) -> None:
        if recorder() is not None:
            raise AttributeError(
                "writing .data of a parameter while a function is recorded: the compiled step "
                f"updates the parameters ({_line()})"
            )
        number.__set__(self, data)

    return property(read, write)


@dataclass
class Requirement:
    """A condition that an input must meet at every replay."""

    position: int
    holds: Callable[[float], bool]
    message: str


@dataclass
class Recording:
    """The graph of a function: `order` holds every Value, each after its operands.

    outputs: the Values that the function returned, in one list.
    structure: the nested lists that it returned, with None in place of each Value.
    randoms: in the order in which they are drawn. modules: those that were called.
    """

    order: list[Value]
    outputs: list[Value]
    structure: Any
    inputs: list[Input]
    randoms: list[Random]
    requirements: list[Requirement]
    modules: list[Any]

    @property
    def parameters(self) -> list[Value]:
        """The leaves that are neither inputs nor plain numbers, in the order of their first use."""
        return [
            value
            for value in self.order
            if not value.operands and not isinstance(value, (Recorded, Constant))
        ]

    def __str__(self) -> str:
        names = {value: f"a{i}" for i, value in enumerate(self.order)}
        return "\n".join(f"{names[value]:6} {_written(value, names)}" for value in self.order)


def _written(value: Value, names: dict[Value, str]) -> str:
    """One line of a recording."""
    if isinstance(value, Input):
        return value.label
    if isinstance(value, Random):
        return "random"
    if isinstance(value, Constant):
        return f"number {value.data:g}"
    if not value.operands:
        return f"parameter {value.label}".rstrip()
    name = value.op.name if value.op else "pick"
    return f"{name}({', '.join(names[operand] for operand in value.operands)})"


class _Recorder:
    """Makes Values without numbers, as the protocol `context.Recorder` says."""

    def __init__(self) -> None:
        self.requirements: list[Requirement] = []
        self.randoms: list[Random] = []
        self.modules: dict[int, Any] = {}

    def entered(self, owner: Any) -> None:
        if hasattr(owner, "training"):
            self.modules[id(owner)] = owner

    def node(self, op: Op, operands: tuple[Value, ...], keeps_graph: bool) -> Value:
        return Recorded(op, operands, keeps_graph)

    def random(self, generator: random.Random | None) -> Value:
        self.randoms.append(Random(generator))
        return self.randoms[-1]

    def pick(self, values: Sequence[Any], index: Value) -> Any:
        if not isinstance(index, Input):
            raise TypeError(
                "mp.pick takes an int, or a number that comes straight from the inputs of the "
                f"compiled function, and not a result ({_line()})"
            )
        count = len(values)
        self.require(
            index,
            lambda number: number == int(number) and 0 <= number < count,
            f"there is no index {{}} in {count} values: 0 to {count - 1}",
        )
        rows = [list(flatten(row)) for row in values]
        if len({len(row) for row in rows}) != 1:
            raise ValueError(f"mp.pick takes values, or rows of one length ({_line()})")
        columns = [tuple(map(as_value, column)) for column in zip(*rows)]
        picked = iter([Picked(None, (index, *column), True) for column in columns])
        return refilled(values[0], picked)

    def require(self, value: Value, holds: Callable[[float], bool], message: str) -> None:
        if isinstance(value, Input):
            self.requirements.append(Requirement(value.position, holds, message))


def refilled(structure: Any, values: Iterator[Any]) -> Any:
    """Nested lists as `structure`, holding what `values` gives, in order."""
    if isinstance(structure, (list, tuple)):
        return [refilled(item, values) for item in structure]
    return next(values)


def example(shapes: Sequence[Shape], make: Callable[[int], Any]) -> list[Any]:
    """Nested lists of these shapes, filled with make(0), make(1), …"""
    position = iter(range(sys.maxsize))

    def filled(shape: Shape) -> Any:
        if not shape:
            return make(next(position))
        return [filled(shape[1:]) for _ in range(shape[0])]

    return [filled(shape) for shape in shapes]


def record(
    function: Callable[..., Any], shapes: Sequence[Shape], known: Sequence[Value]
) -> Recording:
    """The graph of `function` for arguments of these shapes; () is a single number.

    known: parameters that are known before. Reading their numbers is an error. If the function
    uses parameters that were not known, it is recorded again, with these known as well. A Value
    that the function makes at each call, as in `total = Value(0.0)`, is not a parameter but a
    plain number.
    """
    watched, new = list(dict.fromkeys([*known, *_in_reach(function)])), set[Value]()
    while True:
        with _watching(watched):
            recording = _record(function, shapes)
        reached = set(recording.parameters)
        if new and new.isdisjoint(reached):
            for value in reached.difference(watched):
                value.__class__ = Constant
            return recording
        new = reached.difference(watched)
        if not new:
            return recording
        watched += new


def _in_reach(function: Callable[..., Any]) -> Iterator[Value]:
    """The parameters in the variables that a function refers to: most of those it will use."""
    code = getattr(function, "__code__", None)
    around = [function.__globals__.get(name) for name in code.co_names] if code else []
    for cell in getattr(function, "__closure__", None) or ():
        with suppress(ValueError):  # a variable that has no value yet
            around.append(cell.cell_contents)
    for thing in around:
        if isinstance(getattr(thing, "training", None), bool):
            yield from getattr(thing, "parameters", list)()
        elif isinstance(thing, (Value, list, tuple)):
            yield from _leaves(thing)
        else:
            yield from _leaves(list(getattr(thing, "__dict__", {}).values()))


def _leaves(x: Any) -> Iterator[Value]:
    """The parameters in nested lists."""
    if isinstance(x, (list, tuple)):
        for item in x:
            yield from _leaves(item)
    elif isinstance(x, Value) and not (x.op or isinstance(x, Constant)):
        yield x


def _record(function: Callable[..., Any], shapes: Sequence[Shape]) -> Recording:
    active = _Recorder()
    inputs: list[Input] = []

    def make(position: int) -> Input:
        inputs.append(Input(position))
        return inputs[-1]

    with recording(active):
        returned = function(*example(shapes, make))
    outputs = list(flatten(returned))
    for value in outputs:
        if not isinstance(value, Value):
            raise TypeError(
                f"the compiled function returns Values, and returned {_short(returned)}"
            )
    return Recording(
        order=_order(outputs),
        outputs=outputs,
        structure=refilled(returned, iter([None] * len(outputs))),
        inputs=inputs,
        randoms=active.randoms,
        requirements=active.requirements,
        modules=list(active.modules.values()),
    )


def _order(outputs: list[Value]) -> list[Value]:
    """Every Value on which an output depends, each after its operands."""
    return topological_order(Recorded(None, tuple(outputs), True))[:-1]


_one_at_a_time = RLock()


@contextmanager
def _watching(parameters: Sequence[Value]) -> Iterator[None]:
    """Inside, the numbers of the parameters cannot be read in this thread.

    Threads record one at a time, because two of them may share parameters.
    """
    with _one_at_a_time:
        for parameter in parameters:
            _ = parameter.data  # which brings it home, if a machine has it
        classes = [(parameter, type(parameter)) for parameter in parameters]
        try:
            for parameter, kind in classes:
                parameter.__class__ = _watched(kind)  # type: ignore[arg-type]
            yield
        finally:
            for parameter, kind in classes:
                watched = _watched(kind)  # type: ignore[arg-type]
                if type(parameter) is watched:  # and not in another thread's machine
                    parameter.__class__ = kind


def _short(returned: Any) -> str:
    shown = repr(returned)
    return f"{type(returned).__name__} {shown if len(shown) < 60 else shown[:57] + '...'}"


def _line() -> str:
    """The current line of the user's code: `lesson.py, line 12: if x > 0:`."""
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    path, number = frame.f_code.co_filename, frame.f_lineno
    return f"{Path(path).name}, line {number}: {linecache.getline(path, number).strip()}"
