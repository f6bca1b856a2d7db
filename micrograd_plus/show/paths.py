"""Where a gradient comes from: the paths from a value up to the root, and what each adds.

>>> from micrograd_plus.engine import Value
>>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
>>> found = paths(a * b + a, a)
>>> found.count, [path.product for path in found.largest], found.gradient
(2, [-3.0, 1.0], -2.0)
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import NamedTuple

from ..engine import Value, local_derivatives, topological_order


class Edge(NamedTuple):
    """One step of a path: from a value down to its operand at `position`.

    local: the derivative of the value by this operand.
    """

    user: Value
    position: int
    local: float

    @property
    def operand(self) -> Value:
        """The Value that the edge leads to."""
        return self.user.operands[self.position]


class Path(NamedTuple):
    """A way from the root down to a value; none of its edges if they are the same.

    product: that of the edges' local derivatives, which is what the path adds to the gradient.
    """

    edges: tuple[Edge, ...]
    product: float


@dataclass(frozen=True)
class Paths:
    """All paths from a root down to a value.

    count: how many there are; `a * a` has two to a.
    largest: those with the largest products, by size, the largest first.
    gradient: the sum of all products.
    """

    value: Value
    count: int
    largest: list[Path]
    gradient: float

    @property
    def rest(self) -> float:
        """What the paths that are not among the largest add up to."""
        return self.gradient - sum(path.product for path in self.largest)


class _Partial(NamedTuple):
    """The path from the root to some value: the last edge, and the path before it."""

    product: float
    edge: Edge | None = None
    before: _Partial | None = None

    def extended(self, edge: Edge) -> _Partial:
        return _Partial(self.product * edge.local, edge, self)

    @property
    def size(self) -> float:
        """What they are sorted by; nan counts as the largest."""
        return math.inf if math.isnan(self.product) else abs(self.product)

    def path(self) -> Path:
        edges: list[Edge] = []
        partial: _Partial | None = self
        while partial is not None and partial.edge is not None:
            edges.append(partial.edge)
            partial = partial.before
        return Path(tuple(reversed(edges)), self.product)


def paths(root: Value, value: Value, most: int = 8) -> Paths:
    """The paths from root to value: their number, the `most` largest, the sum of all.

    The time is that of a backward pass, times `most`, however many paths there are: a value's
    largest paths are among the largest of those that it is an operand of. (With infinite
    derivatives the order is not certain: 0 times infinity is nan.) ValueError if value is not
    part of the graph.
    """
    order = between(root, value)
    counts = dict.fromkeys(order, 0)
    gradients = dict.fromkeys(order, 0.0)
    arriving: dict[Value, list[_Partial]] = {node: [] for node in order}
    counts[root], gradients[root], arriving[root] = 1, 1.0, [_Partial(1.0)]
    for node in reversed(order):
        best = heapq.nlargest(most, arriving[node], key=lambda partial: partial.size)
        arriving[node] = best
        for edge in edges_of(node):
            if edge.operand in counts:
                counts[edge.operand] += counts[node]
                gradients[edge.operand] += gradients[node] * edge.local
                arriving[edge.operand] += [partial.extended(edge) for partial in best]
    largest = [partial.path() for partial in arriving[value]]
    return Paths(value, counts[value], largest, gradients[value])


def between(root: Value, value: Value) -> list[Value]:
    """What root is computed by from value, both included, each after its operands."""
    depends = {value: None}
    for node in topological_order(root):
        if any(operand in depends for operand in node.operands):
            depends[node] = None
    if root not in depends:
        raise ValueError(
            f"{value!r} is not part of the graph of {root!r}: give a Value that it was computed "
            "from"
        )
    return list(depends)


def edges_of(node: Value) -> list[Edge]:
    """The edges from a value to its operands, with their local derivatives."""
    return [Edge(node, i, local) for i, (_, local) in enumerate(local_derivatives(node))]
