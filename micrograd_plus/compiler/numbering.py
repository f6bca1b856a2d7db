"""Numbering: what was recorded becomes a graph of numbered nodes."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from ..engine import Constant, Value, open_scope
from ..ops import Op
from .graph import SIMPLIFIED, Graph, Numbers, row
from .native import lists, passes
from .passes import INPUT, NUMBER, NUMBERS, ONCE, PARAMETER, PICK, RANDOM, STAMP, VECTOR, Nodes
from .recorded import Input, Random
from .rows import VECTOR_OP, Places, Rows, width_of
from .stamping import Binding, Templates


class Kinds(dict[Any, int]):
    """The kind of each op; a new one gets the next."""

    def __init__(self) -> None:
        self.ops: list[Op] = [*SIMPLIFIED]
        super().__init__({op: kind for kind, op in enumerate(SIMPLIFIED)})
        self.update({None: PICK, VECTOR_OP: VECTOR})

    def __missing__(self, op: Op | Binding) -> int:
        self[op] = STAMP if isinstance(op, Binding) else len(self.ops)
        if isinstance(op, Op):
            self.ops.append(op)
        return self[op]

    def of(self, ops: list[Any]) -> array[int]:
        """The kind of each of these."""
        if machine := lists():
            kinds = row(len(ops))
            machine.copy_found(ops, self, kinds.buffer_info()[0])
            return kinds
        return array("i", map(self.__getitem__, ops))

    def widths(self) -> array[int]:
        """How many operands each op has."""
        return array("i", map(width_of, self.ops))


class Columns:
    """Nodes as arrays: kind and tag of each, the lengths of vectors, and all operands."""

    def __init__(self, kinds: Kinds, rows: Rows) -> None:
        self.kinds = kinds.of(rows.ops)
        self.tags = row(len(rows.ops))
        for place in rows.frozen:
            self.tags[place] = 1
        self.lengths, self.operands = array("i", rows.lengths), rows.operands

    def __iadd__(self, other: Columns) -> Columns:
        for name, column in vars(self).items():
            column += vars(other)[name]
        return self


class Base:
    """What all recordings of one function have: the parameters, and what layers have once.

    stamps_calls: whether calls are stamped, or every one is run.
    numbers, nodes: those that bindings have once; scopes: of the nodes, as in `Rows`.
    stamps: the nodes of all templates; begins: where each one's begin; taken: how many operands
        its stamps have.
    """

    def __init__(self, stamps_calls: bool = True) -> None:
        self.stamps_calls = stamps_calls
        self.places, self.kinds = Places(), Kinds()
        self.templates = Templates()
        self.numbers = Numbers()
        self.nodes = Columns(self.kinds, Rows())
        self.scopes: list[tuple[int, Any]] = []
        self.stamps = Columns(self.kinds, Rows())
        self.begins, self.taken = row(1), row(0)

    def outside(self, binding: Binding) -> array[int]:
        """The numbers of what a binding's stamps use, which is added at the first of them."""
        if binding.outside is None:
            template, rows, begin = binding.template, Rows(), len(self.nodes.kinds)
            numbers = [
                *range(ONCE + begin, ONCE + begin + len(template.once.ops)),
                *binding.numbers,
                *[NUMBERS + self.numbers.tag(value.data) for value in template.constants],
            ]
            rows += replace(
                template.once, operands=array("i", [numbers[k] for k in template.once.operands])
            )
            self.nodes += Columns(self.kinds, rows)
            self.scopes.append((begin, open_scope.get()))
            binding.outside = array("i", [numbers[place] for place in template.uses])
        return binding.outside

    def nodes_of_templates(self) -> tuple[Nodes, list[int]]:
        """The nodes of all templates, and how many operands those of each one have."""
        for template in self.templates.made[len(self.taken) :]:
            self.stamps += Columns(self.kinds, template.each)
            self.begins.append(len(self.stamps.kinds))
            self.taken.append(template.taken)
        each = self.stamps
        first = _add_up(each.kinds, self.kinds.widths(), each.lengths, len(each.kinds))
        nodes = Nodes(each.kinds, each.tags, first, each.operands, row(0), row(0))
        return nodes, [first[end] - first[begin] for begin, end in pairwise(self.begins)]


def _counted(count: int) -> array[int]:
    """The numbers 0, 1, 2, …, so many."""
    numbers = row(count)
    passes().count_up(count, numbers)
    return numbers


def _add_up(kinds: array[int], widths: array[int], lengths: array[int], most: int) -> array[int]:
    """Where the operands of nodes of these kinds begin and end, with room for `most` nodes."""
    first = row(most + 1)
    passes().add_up(len(kinds), kinds, widths, lengths, first)
    return first


def graph_of(
    rows: Rows,
    leaves: Sequence[Value],
    randoms: Sequence[Random],
    outputs: Sequence[int],
    base: Base,
) -> Graph:
    """The graph of what was recorded: the base, then other leaves, then what was made."""
    parameters, numbers = base.places.parameters, Numbers([*base.numbers.list])
    kinds = array("i", (PARAMETER,)) * len(parameters) + array("i", (NUMBER,)) * len(numbers.list)
    tags = _counted(len(parameters)) + _counted(len(numbers.list))
    kinds += base.nodes.kinds
    tags += base.nodes.tags
    begins = array("i", [0, len(parameters), len(parameters) + len(numbers.list), len(kinds)])
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
    own, once, made, run = Columns(base.kinds, rows), base.nodes, len(kinds), passes()
    templates, sizes = base.nodes_of_templates()
    stamps = array("i", [binding.template.number for binding in stamps_of(rows)])
    count = made + len(rows.ops) - len(stamps) + len(rows.stamped)
    room_of_operands = len(own.operands)
    room_of_operands += sum(sizes[template] - base.taken[template] for template in stamps)
    widths, operands = base.kinds.widths(), once.operands[:]
    first = _add_up(kinds, widths, once.lengths, count)
    for column, room in ((kinds, count - made), (tags, count - made), (operands, room_of_operands)):
        column.extend(row(room))
    nodes = Nodes(kinds, tags, first, operands, row(0), row(0))
    own_numbers, stamped_numbers = row(len(rows.ops)), row(len(rows.stamped))
    run.expand(
        len(rows.ops), own.kinds, own.tags, widths, own.lengths, own.operands, stamps, templates,
        base.begins, base.taken, made, nodes, own_numbers, stamped_numbers,
    )  # fmt: skip
    ends = array("i", outputs)
    for numbered in (operands, ends):
        run.renumber(len(numbered), numbered, begins, own_numbers, stamped_numbers)
    scopes = [(begins[2] + place, scope) for place, scope in base.scopes]
    scopes += [(own_numbers[place], scope) for place, scope in rows.scopes if place < len(rows.ops)]
    return Graph(
        nodes=nodes,
        count=count,
        ops=base.kinds.ops,
        parameters=parameters,
        numbers=numbers.list,
        generators=[drawn.generator for drawn in randoms],
        scopes=scopes,
        outputs=ends.tolist(),
    )


def stamps_of(rows: Rows) -> list[Binding]:
    """The stamps among what was recorded, in order."""
    return [op for op in rows.ops if isinstance(op, Binding)] if rows.stamped else []
