"""The Values of a recording: they stand for numbers that are not known yet.

Code that reads such a number raises an error, which names the line of the user's code.

>>> x = Input(0)
>>> print(x, x.op, x.operands)
<Value input 0> None ()
"""

from __future__ import annotations

import inspect
import linecache
import random
import sys
from collections.abc import Callable
from functools import cache
from numbers import Real
from pathlib import Path
from typing import Any, NoReturn

from ..context import no_grad, recorder
from ..engine import Operand, Value, apply
from ..ops import TABLE
from .operators import operators

PACKAGE = str(Path(__file__).parent.parent)


class _Sealed(Value):
    """A Value whose number is not known, or must not be read, while a function is recorded."""

    __slots__ = ()

    def _refuse(self, what: str, instead: str) -> NoReturn:
        if recorder() is None:
            raise TypeError(
                "this Value was kept from a function that was compiled, and has no number: "
                f"return it from the function, or compute it again ({user_line()})"
            )
        raise _refusal(
            TypeError,
            f"{what} while it is recorded would freeze one example's number into the program; "
            f"{instead}",
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
        raise _refusal(
            TypeError,
            "backward() inside a function that is recorded: return the loss, and the compiled "
            "step does the rest",
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
    """A leaf whose number is not known, or, as `rows.Result`, the result of an op."""

    __slots__ = ()
    __hash__ = Value.__hash__

    def __eq__(self, other: object) -> bool:
        # In eager code an input is a float, and `y == 1` may be true.
        if isinstance(other, Real):
            self._refuse(
                "`==`, `!=` or `in` with a number, on a Value",
                "write mp.where(y > 0.5, a, b) for a choice between the targets 0 and 1, and "
                "mp.pick(values, index) for an index",
            )
        return self is other


class _Leaf(Recorded):
    __slots__ = ()

    def __init__(self, label: str) -> None:
        self.grad, self.label, self.scope = 0.0, label, None
        self.op, self.operands = None, ()


class Input(_Leaf):
    """One of the example's numbers."""

    __slots__ = ("position",)

    def __init__(self, position: int) -> None:
        super().__init__(f"input {position}")
        self.position = position


class Random(_Leaf):
    """A random number from this generator, the one at this position of those that are drawn.

    Each example gets its own.
    """

    __slots__ = ("generator", "position")

    def __init__(self, generator: random.Random | None, position: int) -> None:
        super().__init__("")
        self.generator, self.position = generator, position


@cache
def watched_class(kind: type[Value]) -> type[Value]:
    """The class that parameters of class `kind` have while a function is recorded.

    In the thread that records, reading a number raises an error. Other threads see no difference.
    """
    if hasattr(kind, "watched"):
        return kind  # which is one
    members: dict[str, Any] = {"__slots__": (), "watched": True, "data": _sealed_data(kind)}
    for name, how in vars(_Sealed).items():
        if callable(how):
            members[name] = _while_recording(how, getattr(kind, name, None))
    bases = (*operators(), Value) if kind is Value else (kind,)  # another one may have its own
    return type("Watched", bases, members)


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
            raise _refusal(
                AttributeError,
                "writing .data of a parameter while a function is recorded: the compiled step "
                "updates the parameters",
            )
        number.__set__(self, data)

    return property(read, write)


def _refusal(kind: type[Exception], message: str) -> Exception:
    """The error, which names the user's line; the recorder raises it again if it is caught."""
    error = kind(f"{message} ({user_line()})")
    if (active := recorder()) is not None:
        active.refuses(error)
    return error


def user_line() -> str:
    """The current line of the user's code: `lesson.py, line 12: if x > 0:`."""
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    path, number = frame.f_code.co_filename, frame.f_lineno
    return f"{Path(path).name}, line {number}: {linecache.getline(path, number).strip()}"
