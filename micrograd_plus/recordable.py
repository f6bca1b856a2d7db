"""`rand`, `pick` and `require`: the steps that a compiled program repeats at every replay.

In eager code they are Python's `random()`, `values[index]` and an `if` that raises an error. While
a function is recorded, there is no number yet, and the recorder adds the step to the program.

>>> from micrograd_plus.engine import Value
>>> pick([Value(10.0), Value(20.0)], 1)
Value(data=20.0, grad=0.0)
>>> require(Value(-1.0), lambda x: x > 0, "{} is not positive")
Traceback (most recent call last):
    ...
ValueError: -1.0 is not positive
"""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Sequence
from functools import wraps
from itertools import repeat
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from .context import recorder, recorder_of_calls
from .engine import Constant, Operand, Value
from .numbers import number_of
from .support.checks import generator_or

P = ParamSpec("P")
R = TypeVar("R")


def rand(generator: random.Random | None = None) -> Value:
    """A random number in [0, 1), uniformly distributed, as a Constant.

    A compiled program draws another one at every replay, and for every example. Without a
    generator, Python's own is used, which `random.seed` seeds.

    >>> import random
    >>> 0.0 <= rand(random.Random(0)).data < 1.0
    True
    """
    generator = generator_or(None, generator)
    active = recorder()
    if active is not None:
        return active.random(generator)
    return Constant((generator or random).random())


def pick(values: Sequence[Any], index: Any) -> Any:
    """values[index], for an index from 0 to len(values) - 1: one value, or a row of a table.

    In a compiled program the index may be one of its inputs, as a token or a class is.
    IndexError if there is no such element, TypeError if the index is no int.

    >>> from micrograd_plus.engine import Value
    >>> pick([Value(10.0), Value(20.0)], 1)
    Value(data=20.0, grad=0.0)
    """
    active = recorder()
    if active is not None and isinstance(index, Value):
        return active.pick(values, index)
    try:
        i = operator.index(index)
    except TypeError:
        raise TypeError(f"an index is an int, as 0 or 3, not {index!r}") from None
    if not 0 <= i < len(values):
        raise IndexError(f"there is no index {i} in {len(values)} values: 0 to {len(values) - 1}")
    return values[i]


class Stamped(Protocol[P, R]):
    """A function that is `stamped`."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The function itself."""

    def each(self, *arguments: Any) -> list[R]:
        """What it returns in several calls.

        The fixed arguments come first. Of any other, there is a list with one for each call; or
        it is a setting, which is the same in all calls.
        """


def stamped(fixed: int) -> Callable[[Callable[P, R]], Stamped[P, R]]:
    """Marks a function that a recorder runs once for each shape of its arguments.

    fixed: how many of the first arguments are the same from call to call, as the weights of a
        layer; nested lists of Values, or None.

    What the function returns must follow from the Values in its arguments alone: it changes
    nothing, reads no number and draws none. Its arguments are Values, lists of Values or lists of
    such lists, and settings.
    """

    def mark(function: Callable[P, R]) -> Stamped[P, R]:
        @wraps(function)
        def call(*arguments: Any) -> Any:
            active = recorder_of_calls()
            if active is None:
                return function(*arguments)  # type: ignore[call-arg]
            return active.call(function, fixed, arguments)

        def each(*arguments: Any) -> list[Any]:
            active, given, varying = recorder_of_calls(), arguments[:fixed], arguments[fixed:]
            columns = [x if isinstance(x, (list, tuple)) else repeat(x) for x in varying]
            if active is None:
                return [function(*given, *call) for call in zip(*columns)]  # type: ignore[call-arg]
            return active.call_each(function, given, list(zip(*columns)))

        call.each = each  # type: ignore[attr-defined]
        return cast(Stamped[P, R], call)

    return mark


def require(x: Operand, holds: Callable[[float], bool], message: str) -> None:
    """Raises ValueError unless `holds(number)` is true for the number of x.

    message: the text of the error, with {} for the number.

    A compiled program checks its inputs in this way at every replay.
    """
    active = recorder()
    if active is not None and isinstance(x, Value) and not isinstance(x, Constant):
        active.require(x, holds, message)
    elif not holds(number := number_of(x)):
        raise ValueError(message.format(number))
