"""The colours and line widths that show the sign and the size of a number, in every picture.

Orange is negative, blue positive, white zero: these colours can be distinguished with every kind of
colour vision. The strength grows with the square root of |number| / largest, so that a gradient of
a hundredth of the largest is still visible. A legend shows the colours of a few numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from math import isfinite
from typing import Any, NamedTuple

from ..formulas.shared import Shared
from ..symbols import equal, where

NEGATIVE, POSITIVE = "#f59b4c", "#62aaf0"  # the strongest fills; black text is legible on them
NEGATIVE_LINE, POSITIVE_LINE = "#c05a00", "#1f6fb4"
MIXED = "#c4c4cc"  # for a box that contains numbers of both signs
NOT_FINITE, NOT_FINITE_LINE = "#e3a6dc", "#a0219a"
NEUTRAL_LINE = "#757575"
TEXT = "#1a1a1a"

FAINTEST = 0.12  # the strength of the smallest number that is not 0
_THINNEST = 0.8  # line, in points


def _strength(size: Any, largest: Any, exponent: Any) -> Any:
    share = where(size < largest, size / largest, 1)
    visible = where(equal(largest, 0), 0, FAINTEST + (1 - FAINTEST) * share**exponent)
    return where(equal(size - size, 0), where(equal(size, 0), 0, visible), 1)


strength = Shared("strength", _strength)
"""strength(size, largest, exponent): 0 for a size of 0; 1 for the largest, inf and nan."""


class Scale(NamedTuple):
    """Colours and widths for numbers from -largest to largest; inf and nan have other colours.

    power: the strength is (|number| / largest) to this power.
    thickest: the width of the largest number's line, in points.
    """

    largest: float
    power: float = 0.5
    thickest: float = 5.0

    @classmethod
    def over(cls, numbers: Iterable[float], **how: float) -> Scale:
        """Returns the scale for these numbers; inf and nan are ignored."""
        largest = max((abs(number) for number in numbers if isfinite(number)), default=0.0)
        return cls(largest, **how)

    def strength(self, numbers: Sequence[float]) -> float:
        """Returns the strength of the largest of these numbers, from 0 to 1."""
        size = max(map(abs, numbers)) if all(map(isfinite, numbers)) else math.inf
        return float(strength(size, self.largest, self.power))

    def fill(self, *numbers: float) -> str:
        """Returns the colour of a box with these numbers, as #rrggbb."""
        return _mix(_hue(numbers, NEGATIVE, MIXED, POSITIVE, NOT_FINITE), self.strength(numbers))

    def line(self, *numbers: float) -> dict[str, str]:
        """Returns the colour and the width of an arrow or line, dashed if all numbers are 0."""
        if not any(numbers):
            return {"color": NEUTRAL_LINE, "penwidth": f"{_THINNEST}", "style": "dashed"}
        width = _THINNEST + (self.thickest - _THINNEST) * self.strength(numbers)
        color = _hue(numbers, NEGATIVE_LINE, NEUTRAL_LINE, POSITIVE_LINE, NOT_FINITE_LINE)
        return {"color": color, "penwidth": f"{width:.2f}"}

    def key(self) -> list[tuple[str, str]]:
        """Returns five numbers and their colours for a legend; none if all numbers are 0."""
        numbers = [self.largest * step for step in (-1.0, -0.25, 0.0, 0.25, 1.0)]
        return [(number(x, 2), self.fill(x)) for x in numbers if self.largest]


def _hue(numbers: Sequence[float], negative: str, mixed: str, positive: str, wild: str) -> str:
    if not all(map(isfinite, numbers)):
        return wild
    if min(numbers) < 0 < max(numbers):
        return mixed
    return negative if min(numbers) < 0 else positive


def _mix(color: str, strength: float) -> str:
    """Mixes white (strength 0) with `color` (strength 1)."""
    parts = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(255 - (255 - part) * strength):02x}" for part in parts)


def number(x: float, precision: int = 4) -> str:
    """`x` with up to `precision` digits after the first, as the explorer's page writes it too.

    Zeros at the end are left out; what is very small or large is written in powers of ten.

    >>> number(-1.50294), number(123456.7), number(2e-9, precision=1)
    ('−1.5029', '123460', '2e−9')
    """
    if not isfinite(x):
        return "nan" if math.isnan(x) else "∞" if x > 0 else "−∞"
    if x == 0:
        return "0"
    # Ties are rounded away from zero, as JavaScript does; Python's own formats round to even.
    short = Context(prec=precision + 1, rounding=ROUND_HALF_UP).plus(Decimal(x)).normalize()
    power = short.adjusted()
    is_plain = -4 <= power < 6
    text = f"{short:f}" if is_plain else f"{short.scaleb(-power):f}e{power}"
    return text.replace("-", "−")
