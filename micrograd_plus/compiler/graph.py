"""Graph: nodes by their numbers, each after its operands, in rows of whole numbers.

A vector, which is an operand of an op of vectors such as `dot`, is a node of its own, so that
dots that share a vector share a node:

>>> from ..engine import Value
>>> from ..functional import dot
>>> from .recording import record
>>> u, v = [Value(1.0, label="u")], [Value(2.0, label="v")]
>>> graph = record(lambda x: dot(u, x) + dot(v, x), [(1,)], []).graph
>>> print(graph)
a0     parameter u
a1     input 0
a2     dot(a0, a1)
a3     parameter v
a4     dot(a3, a1)
a5     add(a2, a4)
>>> graph.ops[graph.nodes.kinds[7]].name, graph.operands(7)
('dot', [6, 4])
"""

from __future__ import annotations

import random
import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from operator import itemgetter
from typing import Any

from ..engine import Value
from ..ops import TABLE, Op
from .native import passes
from .passes import INPUT, NUMBER, PARAMETER, PICK, RANDOM, UNKNOWN, VECTOR, Nodes, Table

SIMPLIFIED = [TABLE[name] for name in ("add", "mul", "pow", "sum", "dot")]  # as in passes.py


def row(length: int) -> array[int]:
    """A row of zeros."""
    return array("i", (0,)) * length


def new_nodes(most: int, most_operands: int) -> Nodes:
    """Rows with room for so many nodes."""
    return Nodes(row(most), row(most), row(most + 1), row(most_operands), row(most), row(most))


def new_table(most: int) -> Table:
    """An empty hash table for so many nodes, at least twice as long."""
    size = 2 << max(most, 1).bit_length()
    return Table(row(size), array("i", [size]))


@dataclass
class Graph:
    """Nodes by their numbers.

    nodes: the rows, as `passes.Nodes` says; count: how many nodes there are.
    ops: the ops, which the kinds of nodes count.
    parameters, numbers, generators: the leaves, which the tags of nodes count; the tag of an
        input is its position.
    scopes: the origins from which on nodes were made in another scope, and that scope.
    outputs: the nodes that the function returned.
    """

    nodes: Nodes
    count: int
    ops: list[Op]
    parameters: list[Value]
    numbers: list[float]
    generators: list[random.Random | None]
    scopes: Sequence[tuple[int, Any]]
    outputs: list[int]

    def __len__(self) -> int:
        """How many nodes but vectors the outputs depend on."""
        return passes().size(self.count, self.nodes, self.needed)  # type: ignore[no-any-return]

    @property
    def kinds(self) -> array[int]:
        """The kind of each node."""
        return self.nodes.kinds[: self.count]  # type: ignore[no-any-return]

    def op(self, i: int) -> Op | None:
        """The op of a node; None for a leaf, a vector or a pick."""
        kind = self.nodes.kinds[i]
        return self.ops[kind] if kind >= 0 else None

    def scope(self, i: int) -> Any:
        """The scope in which a node was made."""
        found = bisect_right(self.scopes, self.nodes.origins[i], key=itemgetter(0))
        return self.scopes[found - 1][1]

    def operands(self, i: int) -> list[int]:
        """The operands of a node: nodes, or vectors."""
        first = self.nodes.first
        return self.nodes.operands[first[i] : first[i + 1]].tolist()  # type: ignore[no-any-return]

    def elements(self, i: int) -> list[int]:
        """The operands of a node, with the elements of vectors in their place."""
        kinds = self.nodes.kinds
        rows = [self.operands(j) if kinds[j] == VECTOR else [j] for j in self.operands(i)]
        return [element for row in rows for element in row]

    def marked_outputs(self) -> array[int]:
        """1 for each output, 0 for any other node."""
        marks = row(self.count)
        for output in self.outputs:
            marks[output] = 1
        return marks

    @cached_property
    def needed(self) -> array[int]:
        """1 for each node on which an output depends, 0 for any other."""
        needed = self.marked_outputs()
        passes().mark(self.count, self.nodes, needed)
        return needed

    def claim(self, slots: array[int]) -> int:
        """The parameters on which an output depends get NO_SLOT for UNKNOWN; how many they are."""
        return passes().claim(self.count, self.nodes, self.needed, slots)  # type: ignore[no-any-return]

    def used(self) -> Iterator[bool]:
        """Whether an output depends on it, for each parameter."""
        every = array("i", (UNKNOWN,)) * len(self.parameters)
        self.claim(every)
        return (slot != UNKNOWN for slot in every)

    def in_order(self) -> list[int]:
        """The needed nodes but vectors, each after its operands, a leaf before its first use."""
        kinds, needed = self.kinds, self.needed
        inner = [i for i in range(self.count) if needed[i] and kinds[i] > VECTOR]
        uses = chain.from_iterable([*self.elements(i), i] for i in inner)
        return list(dict.fromkeys(chain(uses, self.outputs)))

    def listed(self) -> list[tuple[str, list[int]]]:
        """The same nodes: each as its op, or what leaf it is, and where its operands are listed."""
        order = self.in_order()
        place = {i: k for k, i in enumerate(order)}
        return [(self._name(i), [place[j] for j in self.elements(i)]) for i in order]

    def _name(self, i: int) -> str:
        kind, tag = self.nodes.kinds[i], self.nodes.tags[i]
        if kind == PARAMETER:
            return f"parameter {self.parameters[tag].label}".rstrip()
        if kind == NUMBER:
            return f"number {self.numbers[tag]:g}"
        names = {INPUT: f"input {tag}", RANDOM: "random", PICK: "pick"}
        return names[kind] if kind < 0 else self.ops[kind].name

    def __str__(self) -> str:
        return "\n".join(
            f"a{k:<5} {name}" + f"({', '.join(f'a{j}' for j in operands)})" * bool(operands)
            for k, (name, operands) in enumerate(self.listed())
        )


class Numbers:
    """Plain numbers, each with its tag; 0 and -0 are different numbers, and all nan are one."""

    def __init__(self, numbers: list[float] | None = None) -> None:
        self.list: list[float] = [] if numbers is None else numbers
        self.tags = {self._key(number): tag for tag, number in enumerate(self.list)}

    def tag(self, number: float) -> int:
        """The tag of a number."""
        tag = self.tags.setdefault(self._key(number), len(self.list))
        if tag == len(self.list):
            self.list.append(number)
        return tag

    @staticmethod
    def _key(number: float) -> bytes:
        return struct.pack("d", number) if number == number else b"nan"
