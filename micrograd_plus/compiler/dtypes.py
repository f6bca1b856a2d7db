"""Dtypes: the kinds of floats that a compiled program computes with, float64 and float32.

What the rest of the compiler must know of a kind of float is an attribute of its `Dtype`.

>>> dtype_of("float32").digits
24
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Dtype:
    """A kind of IEEE 754 floats.

    name: NumPy's and PyTorch's; code: that of Python's `array`; size: in bytes.
    digits: how many bits the mantissa has, with the leading 1, which is not stored.
    terms: how many terms of its series e**r needs, for |r| up to log(2) / 2.
    log2: log(2) as the sum of two floats; the first has so few bits that its product with an
        exponent is exact.
    """

    name: str
    code: str
    size: int
    digits: int
    terms: int
    log2: tuple[float, float]

    @property
    def bias(self) -> int:
        """What is added to an exponent where it is stored: the largest exponent."""
        return (1 << 8 * self.size - self.digits - 1) - 1

    @property
    def exp_range(self) -> tuple[float, float]:
        """Below the first number e**x is 0, above the second it is inf."""
        smallest = 2 - self.bias - self.digits  # the exponent of the smallest float above 0
        return math.floor((smallest - 1) * math.log(2)), math.ceil((self.bias + 1) * math.log(2))

    @property
    def below_one(self) -> float:
        """The largest float below 1."""
        return 1 - 2.0**-self.digits


FLOAT64 = Dtype("float64", "d", 8, 53, 14, (0.69314718036912382, 1.9082149292705877e-10))
FLOAT32 = Dtype("float32", "f", 4, 24, 8, (0.693359375, math.log(2) - 0.693359375))


def dtype_of(given: Any) -> Dtype:
    """The `Dtype` of this name; NumPy's and PyTorch's own dtypes are taken, too."""
    name = getattr(given, "__name__", str(given)).removeprefix("torch.")
    for dtype in (FLOAT64, FLOAT32):
        if dtype.name == name:
            return dtype
    raise ValueError(f'dtype is "float64" or "float32", and not {given!r}')
