"""Numbering: what was recorded, Values and stamps, becomes a graph of numbered nodes."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence
from itertools import chain, count, repeat
from operator import attrgetter, not_
from typing import Any

from ..engine import Constant, Value
from ..ops import Op
from .graph import SIMPLIFIED, Graph, Numbers, row
from .native import passes
from .passes import INPUT, NUMBER, PARAMETER, PICK, RANDOM, VECTOR, Nodes
from .recorded import Input, Random, Vector
from .stamping import Binding, Part, Stamp, Templates

_op, _parts, _scope = attrgetter("op"), attrgetter("parts"), attrgetter("scope")
_keeps_graph = attrgetter("keeps_graph")


OWN = 1 << 40  # what the numbers of nodes that one recording made begin with, while it is numbered


class Kinds(dict[Any, int]):
    """The kind of each op; a new one gets the next."""

    def __init__(self) -> None:
        self.ops: list[Op] = [*SIMPLIFIED]
        super().__init__({op: kind for kind, op in enumerate(SIMPLIFIED)})
        self.update({None: PICK, Vector.op: VECTOR})

    def __missing__(self, op: Op) -> int:
        self[op] = len(self.ops)
        self.ops.append(op)
        return self[op]


class Rows:
    """Nodes while they are written; lengths: how many operands each has."""

    def __init__(self) -> None:
        self.kinds, self.tags, self.lengths = array("q"), array("q"), array("q")
        self.operands: list[int] = []
        self.scopes: list[Any] = []

    def __len__(self) -> int:
        return len(self.kinds)

    def leaves(self, kind: int, tags: Sequence[int]) -> None:
        """Adds leaves of one kind."""
        self.kinds += array("q", (kind,)) * len(tags)
        self.tags.extend(tags)
        self.lengths += row(len(tags))
        self.scopes += repeat(None, len(tags))

    def add(self, part: Part, kinds: array[int], numbers: Sequence[int], scope: Any) -> None:
        """Adds the nodes of a template, with these numbers as what its codes count."""
        self.kinds += kinds
        self.tags += part.tags
        self.lengths += part.lengths
        self.operands += part.operands(numbers)
        self.scopes += repeat(scope, len(kinds))


class Base(dict[Any, int]):
    """What all recordings of one function have: the parameters, and what layers have once.

    As a dictionary it has the number of each of these nodes; and while a graph is written, those
    of its own nodes. What is not there and was not made is a leaf, which gets -1, -2, …
    """

    def __init__(self) -> None:
        self.templates = Templates()
        self.kind_of = Kinds()
        self.rows = Rows()
        self.parameters: list[Value] = []
        self.numbers = Numbers()
        self.bound: dict[int, list[int]] = {}  # by the id of a binding: what its stamps use
        self.leaves: list[Value] = []  # of the graph that is written
        self.operands = array("q")  # those of the rows
        self._kinds: dict[int, array[int]] = {}  # by the id of a part of a template

    def __missing__(self, leaf: Value) -> int:
        self.leaves.append(leaf)
        self[leaf] = -len(self.leaves)
        return self[leaf]

    def know(self, parameters: Collection[Value]) -> None:
        """Adds parameters that are new, to those that are known already."""
        if len(parameters) > len(self.parameters):
            new = [value for value in parameters if value not in self]
            self.update(zip(new, count(len(self.rows))))
            self.rows.leaves(PARAMETER, range(len(self.parameters), len(parameters)))
            self.parameters += new

    def _constant(self, value: Value) -> int:
        self.rows.leaves(NUMBER, [self.numbers.tag(value.data)])
        return len(self.rows) - 1

    def kinds(self, part: Part) -> array[int]:
        """The kinds of the nodes of a part."""
        found = self._kinds.get(id(part))
        if found is None:
            kinds = map(self.kind_of.__getitem__, part.ops)
            found = self._kinds[id(part)] = array("q", kinds)
        return found

    def outside(self, binding: Binding) -> list[int]:
        """The numbers of what a binding's stamps use, which is added at the first of them."""
        found = self.bound.get(id(binding))
        if found is None:
            template = binding.template
            leaves = [
                *map(self.__getitem__, binding.values),
                *map(self._constant, template.constants),
            ]
            begin = len(self.rows)
            numbers = [*range(begin, begin + len(template.once.ops)), *leaves]
            self.rows.add(template.once, self.kinds(template.once), numbers, binding.scope)
            self.operands.extend(self.rows.operands)
            self.rows.operands.clear()
            found = self.bound[id(binding)] = [numbers[code] for code in template.uses]
        return found


def graph_of(
    segments: Sequence[list[Any] | Stamp], outputs: Sequence[Value], randoms: Sequence[Random],
    base: Base,
) -> Graph:  # fmt: skip
    """The graph of what was recorded: the base, then other leaves, then what was made."""
    try:
        return _graph_of(segments, outputs, randoms, base)
    finally:
        for segment in segments:
            made = segment.results if isinstance(segment, Stamp) else segment
            for node in made:
                base.pop(node, None)
        for leaf in base.leaves:
            base.pop(leaf, None)
        base.leaves.clear()


def _graph_of(
    segments: Sequence[list[Any] | Stamp], outputs: Sequence[Value], randoms: Sequence[Random],
    base: Base,
) -> Graph:  # fmt: skip
    own, numbers_of = Rows(), base.__getitem__
    for segment in segments:
        begin = OWN + len(own)
        if isinstance(segment, Stamp):
            template = segment.binding.template
            outside = base.outside(segment.binding)
            mine = range(begin, begin + len(template.each.ops))
            numbers = [*outside, *mine, *map(numbers_of, segment.values)]
            own.add(template.each, base.kinds(template.each), numbers, segment.scope)
            base.update(zip(segment.results, map(mine.__getitem__, template.outputs)))
        else:
            base.update(zip(segment, count(begin)))
            parts = list(map(_parts, segment))
            own.kinds.extend(map(base.kind_of.__getitem__, map(_op, segment)))
            own.tags.extend(map(not_, map(_keeps_graph, segment)))
            own.lengths.extend(map(len, parts))
            own.operands += map(numbers_of, chain.from_iterable(parts))
            own.scopes += map(_scope, segment)
    ends = array("q", map(numbers_of, outputs))
    leaves, parameters, plain = Rows(), base.parameters, Numbers([*base.numbers.list])
    for leaf in base.leaves:
        if isinstance(leaf, Input):
            leaves.leaves(INPUT, [leaf.position])
        elif isinstance(leaf, Random):
            leaves.leaves(RANDOM, [randoms.index(leaf)])
        elif isinstance(leaf, Constant):
            leaves.leaves(NUMBER, [plain.tag(leaf.data)])
        else:
            leaves.leaves(PARAMETER, [len(parameters)])
            parameters = [*parameters, leaf]
    run = passes()
    operands = array("q", own.operands)
    for numbered in (operands, ends):
        run.shift(len(numbered), numbered, OWN, len(base.rows), len(leaves))
    lengths = base.rows.lengths + leaves.lengths + own.lengths
    first = row(len(lengths) + 1)
    run.add_up(len(lengths), lengths, first)
    return Graph(
        nodes=Nodes(
            kinds=base.rows.kinds + leaves.kinds + own.kinds,
            tags=base.rows.tags + leaves.tags + own.tags,
            first=first,
            operands=base.operands + operands,
            flags=row(0),
            origins=row(0),
        ),
        count=len(lengths),
        ops=base.kind_of.ops,
        parameters=parameters,
        numbers=plain.list,
        generators=[drawn.generator for drawn in randoms],
        scopes=[*base.rows.scopes, *leaves.scopes, *own.scopes],
        outputs=ends.tolist(),
    )
