"""The paths from a root down to a value, and the contribution of each path to the gradient.

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

    local: the derivative of the value with respect to this operand.
    """

    user: Value
    position: int
    local: float

    @property
    def operand(self) -> Value:
        """The operand at the lower end of the edge."""
        return self.user.operands[self.position]


class Path(NamedTuple):
    """A path from the root down to a value; without edges if the value is the root.

    product: the product of the edges' local derivatives, the path's contribution to the gradient.
    """

    edges: tuple[Edge, ...]
    product: float


@dataclass(frozen=True)
class Paths:
    """All paths from a root down to a value.

    count: the number of paths; `a * a` has two paths to a.
    largest: the paths with the largest |product|, the largest first.
    gradient: the sum of the products of all paths.
    """

    value: Value
    count: int
    largest: list[Path]
    gradient: float

    @property
    def rest(self) -> float:
        """The sum of the products of all paths that are not among the largest."""
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
        """|product|, by which paths are sorted; nan counts as the largest."""
        return math.inf if math.isnan(self.product) else abs(self.product)

    def path(self) -> Path:
        edges: list[Edge] = []
        partial: _Partial | None = self
        while partial is not None and partial.edge is not None:
            edges.append(partial.edge)
            partial = partial.before
        return Path(tuple(reversed(edges)), self.product)


def paths(root: Value, value: Value, most: int = 8) -> Paths:
    """Finds the paths from root to value: their number, the `most` largest, the sum of all.

    It takes `most` times the time of a backward pass, for any number of paths: a largest path to a
    value always continues a largest path to one of its users. (With infinite derivatives the order
    is not certain, because 0 times infinity is nan.) ValueError if value is not part of the graph.
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
    """Returns the values that lie on paths from value to root, in topological order."""
    depends = {value: None}
    for node in topological_order(root):
        if any(operand in depends for operand in node.operands):
            depends[node] = None
    if root not in depends:
        raise ValueError(
            f"{value!r} is not part of the graph of {root!r}: pass a Value that the root was "
            "computed from"
        )
    return list(depends)


def edges_of(node: Value) -> list[Edge]:
    """Returns the edges from a value to its operands, with the local derivatives."""
    return [Edge(node, i, local) for i, (_, local) in enumerate(local_derivatives(node))]
