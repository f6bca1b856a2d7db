"""A reduction of the tests' own, for tests that add one to the library."""

import math
from collections.abc import Sequence

from micrograd_plus.symbols import Reduction


def squares_on_floats(values: Sequence[float]) -> float:
    return math.fsum(x * x for x in values)


squares_on_floats.__name__ = "sum_of_squares"


def sum_of_squares() -> Reduction:
    return Reduction(
        squares_on_floats,
        latex=r"\sum_i",
        mathml="∑",
        term=lambda x: x * x,
        start=0.0,
        join=lambda so_far, term: so_far + term,
    )
