"""Rows: nodes by their numbers, while a function is recorded.

A number begins with the space it counts in, so that all spaces can grow at the same time: the
parameters, the numbers and nodes that layers have once, and of one recording the leaves, the nodes
of stamps and all other nodes. This last space, OWN, begins at 0, the others before it. `numbering`
makes one space of them when all is known.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Self

from ..engine import Value
from ..ops import Op
from .operators import class_of_results, is_native
from .passes import LEAVES, OWN, PARAMETERS, STAMPED
from .recorded import Recorded

VECTOR_OP = "vector"  # what stands for the op of a vector; that of a pick is None


@dataclass
class Rows:
    """Nodes in the order in which they were made.

    ops: the op of each, or a stamp, which stands for many nodes; operands: one node's after
        another's. stamped: the ops of the nodes of stamps.
    lengths: of the vectors; any other node has as many operands as its op.
    frozen: the places of those through which no gradient flows.
    scopes: the places from which on nodes were made in another scope, and that scope.
    """

    ops: list[Any] = field(default_factory=list)
    operands: array[int] = field(default_factory=lambda: array("i"))
    lengths: list[int] = field(default_factory=list)
    frozen: list[int] = field(default_factory=list)
    scopes: list[tuple[int, Any]] = field(default_factory=list, compare=False)
    stamped: list[Any] = field(default_factory=list)

    def __iadd__(self, other: Rows) -> Self:
        """Adds the nodes of others."""
        self.frozen += [len(self.ops) + place for place in other.frozen]
        self.ops += other.ops
        self.operands += other.operands
        self.lengths += other.lengths
        self.scopes += other.scopes
        return self

    def sizes(self) -> list[int]:
        """How much there is in each list."""
        return [len(column) for column in vars(self).values()]

    def cut(self, sizes: Sequence[int]) -> Rows:
        """Removes what came after `sizes()` was this, and returns it."""
        removed = Rows(*[column[size:] for column, size in zip(vars(self).values(), sizes)])
        for column, size in zip(vars(self).values(), sizes):
            del column[size:]
        removed.frozen = [place - sizes[0] for place in removed.frozen]
        return removed

    def widths(self) -> list[int]:
        """How many operands each node has."""
        lengths = iter(self.lengths)
        return [next(lengths) if op == VECTOR_OP else width_of(op) for op in self.ops]


def width_of(op: Op | None) -> int:
    """How many operands a node of this op has; a pick has an index and a vector."""
    return len(op.operands) if op else 2


class Result(Recorded):
    """What an op of a recording made: `number` is that of a node in its rows.

    Each recording has a subclass of its own, so that a result that a module has kept from another
    one is not taken for one of this one. Few of its attributes are ever read, and are set.

    ops, stamped: those of the rows.
    """

    __slots__ = ()
    number: int
    ops: list[Any]
    stamped: list[Any]

    def __getattr__(self, name: str) -> Any:
        """Called for an attribute that was not set."""
        if name == "op":
            number = self.number
            return self.ops[number] if number >= OWN else self.stamped[number - STAMPED]
        if name not in _DEFAULTS:
            raise AttributeError(name)
        return _DEFAULTS[name]


_DEFAULTS = {"grad": 0.0, "label": "", "scope": None, "operands": ()}


def begins_with(values: list[Value], others: list[Value]) -> bool:
    """Whether the others are the first of these values. A part of a long list takes longer."""
    return others == (values if len(values) == len(others) else values[: len(others)])


def results_of(rows: Rows) -> type[Result]:
    """A new class, for the results of these rows."""
    if is_native():
        class_ = class_of_results(Result)
    else:
        class_ = type("Result", (Result,), {"__slots__": ("number",)})
    class_.ops, class_.stamped = rows.ops, rows.stamped
    return class_  # type: ignore[no-any-return]


class Places(dict[Value, int]):
    """The numbers of leaves: of the parameters, and of the other leaves of one recording.

    A Value that is not there is a leaf, which gets the next number.

    results: the class of the results of the recording.
    """

    def __init__(self) -> None:
        self.parameters: list[Value] = []
        self.leaves: list[Value] = []
        self.results: type[Result] = Result

    def __missing__(self, leaf: Value) -> int:
        self[leaf] = number = LEAVES + len(self.leaves)
        self.leaves.append(leaf)
        return number

    def of(self, values: Iterable[Value]) -> array[int]:
        """The numbers of Values; while something is recorded, machine code takes its place."""
        results = self.results
        numbers = [value.number if type(value) is results else self[value] for value in values]
        return array("i", numbers)

    def leaves_at(self, numbers: Iterable[int]) -> list[Value]:
        """The leaves of one recording that have these numbers."""
        return [self.leaves[number - LEAVES] for number in numbers]

    def know(self, parameters: Iterable[Value]) -> None:
        """Adds parameters to those that are known already."""
        values = list(parameters)
        if begins_with(self.parameters, values):
            return
        if self:
            values = [value for value in values if value not in self]
        size, begin = len(self), PARAMETERS + len(self.parameters)
        self.update(zip(values, count(begin)))
        if len(self) - size < len(values):  # some are there twice
            values = list(dict.fromkeys(values))
            self.update(zip(values, count(begin)))
        self.parameters += values

    def forget(self, begin: int = 0) -> list[Value]:
        """Removes the leaves from this one on, and returns them."""
        removed = self.leaves[begin:]
        del self.leaves[begin:]
        for leaf in removed:
            del self[leaf]
        return removed
