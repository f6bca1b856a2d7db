"""What counts as a number, and how a Value behaves as one: it compares, prints, and stays a Value.

>>> as_number(3)
3.0
>>> as_number("3")
Traceback (most recent call last):
    ...
TypeError: a Value takes an int, a float or a NumPy scalar, not the str '3'; write float('3') if \
it holds a number
"""

from __future__ import annotations

from numbers import Real
from typing import Any, NoReturn, Self

from .support.words import cut


class Number:
    """How a Value compares, prints, and refuses to become a float."""

    __slots__ = ()
    data: float
    grad: float
    label: str

    def item(self) -> float:
        """The number, as `data`."""
        return self.data

    def __pos__(self) -> Self:
        return self

    def __lt__(self, other: Any) -> bool:
        return self.data < number_of(other)

    def __le__(self, other: Any) -> bool:
        return self.data <= number_of(other)

    def __gt__(self, other: Any) -> bool:
        return self.data > number_of(other)

    def __ge__(self, other: Any) -> bool:
        return self.data >= number_of(other)

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


def number_of(x: Number | float) -> float:
    """A Value's number, or the number itself."""
    return x.data if isinstance(x, Number) else as_number(x)


def as_number(data: Any) -> float:
    """`data` as a float if it is an int, a float or a NumPy scalar; else TypeError."""
    kind = type(data)
    if kind is float:
        return data  # type: ignore[no-any-return]
    is_number = isinstance(data, (int, float)) and kind is not bool
    if is_number or (kind.__module__ == "numpy" and isinstance(data, Real)):
        try:
            return float(data)
        except OverflowError:  # of an int
            pass
    raise TypeError(_why_not_a_number(data))


def _why_not_a_number(data: Any) -> str:
    kind = type(data).__name__
    shown = f"of {data.bit_length()} bits" if kind == "int" else repr(data)
    given = f"{kind} {cut(shown, 40)}"
    if isinstance(data, Number):
        advice = "it is a Value already: use it as it is, or value.data for its number"
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
