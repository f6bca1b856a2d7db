"""Numbering: what was recorded becomes a graph of numbered nodes."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

from ..engine import Constant, Value, open_scope
from ..ops import Op
from .graph import SIMPLIFIED, Graph, Numbers, row
from .native import passes
from .passes import INPUT, NUMBER, PARAMETER, PICK, RANDOM, VECTOR, Nodes
from .recorded import Input, Random
from .rows import NUMBERS, ONCE, VECTOR_OP, Places, Rows, width_of
from .stamping import Binding, Templates


class Kinds(dict[Any, int]):
    """The kind of each op; a new one gets the next."""

    def __init__(self) -> None:
        self.ops: list[Op] = [*SIMPLIFIED]
        super().__init__({op: kind for kind, op in enumerate(SIMPLIFIED)})
        self.update({None: PICK, VECTOR_OP: VECTOR})

    def __missing__(self, op: Op) -> int:
        self[op] = len(self.ops)
        self.ops.append(op)
        return self[op]


class Columns:
    """Nodes as arrays: kind and tag of each, the lengths of vectors, and all operands."""

    def __init__(self, kinds: Kinds, rows: Rows) -> None:
        self.kinds = array("q", map(kinds.__getitem__, rows.ops))
        self.tags = row(len(rows.ops))
        for place in rows.frozen:
            self.tags[place] = 1
        self.lengths, self.operands = array("q", rows.lengths), array("q", rows.operands)

    def __iadd__(self, other: Columns) -> Columns:
        for name, column in vars(self).items():
            column += vars(other)[name]
        return self


class Base:
    """What all recordings of one function have: the parameters, and what layers have once.

    numbers, nodes: those that bindings have once; scopes: of the nodes, as in `Rows`.
    """

    def __init__(self) -> None:
        self.places, self.kinds = Places(), Kinds()
        self.templates = Templates()
        self.numbers = Numbers()
        self.nodes = Columns(self.kinds, Rows())
        self.scopes: list[tuple[int, Any]] = []

    def outside(self, binding: Binding) -> list[int]:
        """The numbers of what a binding's stamps use, which is added at the first of them."""
        if binding.outside is None:
            template, rows, begin = binding.template, Rows(), len(self.nodes.kinds)
            numbers = [
                *range(ONCE + begin, ONCE + begin + len(template.once.ops)),
                *binding.numbers,
                *[NUMBERS + self.numbers.tag(value.data) for value in template.constants],
            ]
            rows.add(template.once, template.once.take(numbers))
            self.nodes += Columns(self.kinds, rows)
            self.scopes.append((begin, open_scope.get()))
            binding.outside = [numbers[code] for code in template.uses]
        return binding.outside


def graph_of(
    rows: Rows,
    leaves: Sequence[Value],
    randoms: Sequence[Random],
    outputs: Sequence[int],
    base: Base,
) -> Graph:
    """The graph of what was recorded: the base, then other leaves, then what was made."""
    parameters, numbers = base.places.parameters, Numbers([*base.numbers.list])
    kinds = array("q", (PARAMETER,)) * len(parameters) + array("q", (NUMBER,)) * len(numbers.list)
    tags = base.places.tags + array("q", range(len(numbers.list)))
    kinds += base.nodes.kinds
    tags += base.nodes.tags
    begins = array("q", [0, len(parameters), len(parameters) + len(numbers.list), len(kinds)])
    for leaf in leaves:
        if isinstance(leaf, Input):
            kind, tag = INPUT, leaf.position
        elif isinstance(leaf, Random):
            kind, tag = RANDOM, leaf.position
        elif isinstance(leaf, Constant):
            kind, tag = NUMBER, numbers.tag(leaf.data)
        else:
            kind, tag = PARAMETER, len(parameters)
            parameters = [*parameters, leaf]
        kinds.append(kind)
        tags.append(tag)
    begins.append(len(kinds))
    own, once = Columns(base.kinds, rows), base.nodes
    run, operands, ends = passes(), once.operands + own.operands, array("q", outputs)
    for numbered in (operands, ends):
        run.renumber(len(numbered), numbered, begins)
    kinds += own.kinds
    first, widths = row(len(kinds) + 1), array("q", map(width_of, base.kinds.ops))
    run.add_up(len(kinds), kinds, widths, once.lengths + own.lengths, first)
    nodes = Nodes(kinds, tags + own.tags, first, operands, row(0), row(0))
    scopes = (base.scopes, begins[2]), (rows.scopes, begins[4])
    return Graph(
        nodes=nodes,
        count=len(kinds),
        ops=base.kinds.ops,
        parameters=parameters,
        numbers=numbers.list,
        generators=[drawn.generator for drawn in randoms],
        scopes=[(begin + place, scope) for part, begin in scopes for place, scope in part],
        outputs=ends.tolist(),
    )
