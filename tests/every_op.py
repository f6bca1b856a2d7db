"""A sum in which every op of the table has a term, for tests of what runs programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import micrograd_plus as mp
from micrograd_plus.engine import Value
from micrograd_plus.ops import TABLE


def sum_of_every_op(w: Sequence[Value], x: Any) -> Value:
    """The sum for three parameters and two inputs; each term has a weight of its own."""
    terms = []
    for entry in TABLE.values():
        if entry.nary:
            rows = [[w[0] * x[0], w[1] * x[1], w[2] + x[0]]] * len(entry.operands)
            terms.append(entry(*rows))
        else:
            given = [w[0] * x[0], w[0] * x[1] + w[1], w[2] * x[1]]
            required = len(entry.operands) - len(entry.defaults)
            terms.append(entry(*given[:required]))
    return mp.sum([term * (i + 1) for i, term in enumerate(terms)])
