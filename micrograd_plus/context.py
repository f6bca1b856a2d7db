"""What holds inside a `with`, in this thread alone: `no_grad`, `detect_anomaly`, `scope`.

>>> from micrograd_plus.engine import Value
>>> a = Value(3.0, label="a")
>>> with no_grad():
...     b = a * a
>>> b, b.operands
(Constant(data=9.0, grad=0.0), ())
>>> with detect_anomaly():
...     (a - 3).log()
Traceback (most recent call last):
    ...
FloatingPointError: log(a - 3) with a - 3 = 0 became -inf

Inside `no_grad` and `detect_anomaly` the current engine is another one, a layer over the engine
that was current before: it does one thing differently and calls that one for the rest. So they can
be nested in any order. A `scope` changes no engine: new Values note it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, Self

from .engine import (
    Constant,
    Engine,
    Value,
    current_engine,
    local_derivatives,
    open_scope,
    topological_order,
)
from .formulas.description import formula
from .ops import Op


@contextmanager
def using(engine: Engine) -> Iterator[None]:
    """Inside `with using(engine):` that engine makes the Values and applies the chain rule."""
    token = current_engine.set(engine)
    try:
        yield
    finally:
        current_engine.reset(token)


class _Layer(Engine):
    """An engine that calls the one below it for everything; a subclass changes one thing."""

    def __init__(self, below: Engine) -> None:
        self.below = below

    def node(self, op: Op, operands: tuple[Value, ...]) -> Value:
        return self.below.node(op, operands)

    def constant(self, op: Op, operands: tuple[Value, ...]) -> Value:
        return self.below.constant(op, operands)

    def backward(self, root: Value, gradient: float) -> None:
        self.below.backward(root, gradient)


# ---- without a graph


@contextmanager
def no_grad() -> Iterator[None]:
    """Inside `with no_grad():`, or under `@no_grad()`, results keep no graph.

    For predictions and measurements: it saves the memory and most of the time.

    >>> a = Value(3.0)
    >>> with no_grad():
    ...     b = a * a
    >>> b.operands
    ()
    """
    with using(_NoGrad(current_engine.get())):
        yield


class _NoGrad(_Layer):
    def node(self, op: Op, operands: tuple[Value, ...]) -> Value:
        return self.below.constant(op, operands)


# ---- the first inf or nan


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Inside `with detect_anomaly():` the first inf or nan raises FloatingPointError.

    The message names the value, or the gradient, by how it was made, and its operands.

    >>> with detect_anomaly():
    ...     Value(0.0, label="a").log()
    Traceback (most recent call last):
        ...
    FloatingPointError: log(a) with a = 0 became -inf
    """
    with using(_AnomalyDetector(current_engine.get())):
        yield


class _AnomalyDetector(_Layer):
    def node(self, op: Op, operands: tuple[Value, ...]) -> Value:
        return self._checked(self.below.node(op, operands), op, operands)

    def constant(self, op: Op, operands: tuple[Value, ...]) -> Value:
        return self._checked(self.below.constant(op, operands), op, operands)

    def backward(self, root: Value, gradient: float) -> None:
        self.below.backward(root, gradient)
        for node in reversed(topological_order(root)):
            for operand, local in local_derivatives(node):
                if not (isinstance(operand, Constant) or math.isfinite(node.grad * local)):
                    raise FloatingPointError(
                        f"the gradient of {_name(operand)} became {node.grad * local}: in "
                        f"{_with_numbers(node)}, upstream gradient {node.grad:g} "
                        f"× local derivative {local:g}"
                    )

    def _checked(self, result: Value, op: Op, operands: tuple[Value, ...]) -> Value:
        if recorder() is None and not math.isfinite(result.data):
            made = _with_numbers(Engine().node(op, operands))  # `result` may have no operands
            raise FloatingPointError(f"{made} became {result.data}")
        return result


_MOST_NAMED = 6  # operands in a message


def _with_numbers(node: Value) -> str:
    """How a value was made, and the numbers of its operands: `log(a) with a = 0`."""
    not_finite_first = sorted(
        dict.fromkeys(node.operands), key=lambda operand: math.isfinite(operand.data)
    )
    known = [
        f"{_name(x)} = {x.data:g}" if x.label or x.op else f"the number {x.data:g}"
        for x in not_finite_first
        if x.label or x.op or not math.isfinite(x.data)
    ]
    return f"{formula(node)}{' with ' * bool(known)}{', '.join(known[:_MOST_NAMED])}"


def _name(node: Value) -> str:
    return node.label or formula(node, 1)


# ---- recording: a recorder is given each op, which is not computed


class Recorder(Protocol):
    """What `recording` gives each op to. It makes Values whose numbers are not known."""

    def reads_mode(self, module: Any) -> None:
        """Called when somebody reads `module.training`."""

    def scope_changed(self) -> None:
        """Called when a `with scope(owner):` begins or ends."""

    def refuses(self, error: Exception) -> None:
        """Called before an error that must not be caught by the function that is recorded."""

    def node(self, op: Op, operands: tuple[Value, ...]) -> Value:
        """The Value that stands for the result of `op`."""

    def constant(self, op: Op, operands: tuple[Value, ...]) -> Value:
        """The same, inside `no_grad`."""

    def call(self, function: Callable[..., Any], fixed: int, arguments: Sequence[Any]) -> Any:
        """What a function that is `recordable.stamped` returns."""

    def call_each(
        self, function: Callable[..., Any], given: Sequence[Any], calls: Sequence[Sequence[Any]]
    ) -> list[Any]:
        """What such a function returns for these varying arguments, after those that are given."""

    def random(self, generator: random.Random | None) -> Value:
        """The result of `rand`."""

    def pick(self, values: Sequence[Any], index: Value) -> Any:
        """The element, or row, of `values` at an index that is not known yet."""

    def require(self, value: Value, holds: Callable[[float], bool], message: str) -> None:
        """Called to have `value` checked as soon as its number is known."""


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Inside `with recording(recorder):` the recorder is given each op, which is not computed."""
    # The recording goes below the layers: inside no_grad, the recorder is asked for a constant.
    with using(_over(_Recording(recorder), current_engine.get())):
        yield


def _over(bottom: Engine, layers: Engine) -> Engine:
    """The same layers, over `bottom` in place of the engine at their bottom."""
    return type(layers)(_over(bottom, layers.below)) if isinstance(layers, _Layer) else bottom


def recorder() -> Recorder | None:
    """The recorder in use; None if nothing is recorded."""
    engine = current_engine.get()
    while isinstance(engine, _Layer):
        engine = engine.below
    return engine.recorder if isinstance(engine, _Recording) else None


def recorder_of_calls() -> Recorder | None:
    """The recorder, if nothing lies over it: not inside `no_grad` and the like."""
    engine = current_engine.get()
    return engine.recorder if isinstance(engine, _Recording) else None


class _Recording(Engine):
    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.node = recorder.node  # type: ignore[method-assign]  # without a call in between
        self.constant = recorder.constant  # type: ignore[method-assign]

    def backward(self, root: Value, gradient: float) -> None:
        raise TypeError(
            "backward() cannot be called inside a function that is compiled: return the loss, and "
            "the compiled step computes the gradients"
        )


# ---- which Values belong together


class scope:  # noqa: N801 - used as a function, as no_grad is
    """Inside `with scope("attention"):` new Values belong to that group.

    Pictures fold a group into one box. Every Module opens a scope around its call, so that
    the values of a neuron or a layer are known to belong together.

    owner: a name, or the object (a Module) whose class gives the name.

    >>> with scope("square"):
    ...     b = Value(3.0) ** 2
    >>> b.scope.name
    'square'
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
        self.parent, self.is_open = open_scope.get(), True
        open_scope.set(self)
        self._tell_recorder()
        return self

    def __exit__(self, *exception: object) -> None:
        self.is_open = False
        open_scope.set(self.parent)
        self._tell_recorder()

    def _tell_recorder(self) -> None:
        if (active := recorder()) is not None:
            active.scope_changed()


def current_scope() -> scope | None:
    """The innermost scope that is open."""
    return open_scope.get()  # type: ignore[no-any-return]
