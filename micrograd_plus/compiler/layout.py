"""Lay out: from thousands of nodes to a few dozen instructions over numbers side by side.

Nodes at the same distance from the leaves cannot depend on each other. Those among them with the
same op become one instruction, and their results are stored side by side, in the order in which
they were made. Dots that share their vectors, as a layer's neurons share its inputs, become one
matrix product, for which the parameters are put in the order of its rows.

>>> from ..nn import MLP
>>> from .recording import record
>>> from .simplify import simplify
>>> model = MLP(2, [4, 1])
>>> store = Store(model.parameters())
>>> program = lay_out(simplify(record(model, [(2,)], model.parameters())), store, inputs=2)
>>> print(program)
for each example (2 numbers in, 11 values)
  matmul     1 × 4 dots of 2          MLP.Layer.Neuron
  relu       4                        MLP.Layer.Neuron
  dot        1 of 4                   MLP.Layer.Neuron
"""

from __future__ import annotations

import random
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from ..engine import Value
from ..ops import Op
from .dtypes import FLOAT64, Dtype
from .graph import Graph, new_table, row
from .loops import needs_operand
from .native import passes
from .passes import ACTIVE, NO_SLOT, NOWHERE, PER_EXAMPLE, RANDOM, UNKNOWN
from .passes import DOT as DOT_OP
from .passes import PICK as PICKED
from .rows import begins_with
from .tape import (
    AFFINE,
    BLOCK,
    BY_ELEMENT,
    BY_ROW,
    DOT,
    JOINED,
    MAP,
    MATMUL,
    PICK,
    REDUCE,
    Instruction,
    Pattern,
)

Row = Any  # an array of whole numbers

# The values and gradients of all lanes take so many bytes, so that they stay in the CPU's cache; or
# as many as the parameters', which do not fit there either, and are read once for all lanes.
LANE_BYTES = 1 << 19
FEWEST_LANES, MOST_LANES = 16, 128


class Store:
    """The parameters' slots; the parameters that the optimizer moves come first.

    A parameter gets its slot when a program first uses it, so that parameters that are used
    together are side by side.
    """

    def __init__(self, moved: Iterable[Value] = ()) -> None:
        self._listed = list(dict.fromkeys(moved))
        self.moved = self._count = len(self._listed)
        self._slots = array("i", (NO_SLOT,)) * self.moved  # of those that are listed
        self._is_moved = array("i", (1,)) * self.moved
        self.free = array("i", [0, self.moved])  # the next slot of one that is moved, or is not

    def add(self, graph: Graph) -> None:
        """Adds the parameters that a graph uses; they get their slots later."""
        slots, _ = self.rows(graph.parameters)
        self._count += graph.claim(slots)

    def moves_any(self, graph: Graph) -> bool:
        """Whether the optimizer moves any of the parameters that a graph uses."""
        _, is_moved = self.rows(graph.parameters)
        return any(moved for moved, is_used in zip(is_moved, graph.used()) if is_used)

    def rows(self, parameters: list[Value]) -> tuple[Row, Row]:
        """The slot of each of these, or NO_SLOT or UNKNOWN, and whether it is moved.

        Who writes into the first row gives slots to parameters. The rows may be longer than the
        list: they are kept for the next one, which mostly begins in the same way.
        """
        listed = self._listed
        if not (begins_with(listed, parameters) or begins_with(parameters, listed)):
            place = {parameter: k for k, parameter in enumerate(listed)}
            self._listed = list(dict.fromkeys([*parameters, *listed]))
            places = [place.get(parameter, -1) for parameter in self._listed]
            self._slots = array("i", [self._slots[k] if k >= 0 else UNKNOWN for k in places])
            self._is_moved = array("i", [k >= 0 and self._is_moved[k] for k in places])
        new = parameters[len(self._listed) :]
        self._listed += new
        self._slots += array("i", (UNKNOWN,)) * len(new)
        self._is_moved += row(len(new))
        return self._slots, self._is_moved

    @property
    def parameters(self) -> list[Value]:
        """All parameters."""
        if self._count == len(self._listed):
            return self._listed[:]
        return [value for value, slot in zip(self._listed, self._slots) if slot != UNKNOWN]

    def in_order(self) -> list[Value]:
        """All parameters in the order of their slots; unused ones get a slot now."""
        places = row(self._count)
        passes().place_parameters(len(self._listed), self._slots, self._is_moved, self.free, places)
        return list(map(self._listed.__getitem__, places))

    def slots(self, parameters: list[Value]) -> list[int]:
        """The slot of each of these."""
        return self.rows(parameters)[0][: len(parameters)].tolist()  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return self._count


@dataclass(slots=True)
class Program:
    """What runs: instructions once per batch, and instructions for each example.

    numbers: the constants.
    own_begin, own_end: the program's own shared slots, behind those of the parameters: first the
        constants, then the results that depend on no example.
    slots: how many slots there are per example: inputs, random numbers, results.
    outputs: the places of the results, the loss first, as `Pattern.place` gives them.
    written: for each range of parameters whose gradients are written before any is added, in their
        order: its first slot, and the one after its last.
    dtype: of the numbers.
    """

    shared: list[Instruction]
    per_example: list[Instruction]
    numbers: list[float]
    own_begin: int
    own_end: int
    inputs: int
    generators: list[random.Random | None]
    slots: int
    outputs: list[int]
    written: list[int]
    nodes: int
    dtype: Dtype

    @property
    def lanes(self) -> int:
        """How many examples are computed together."""
        size = self.dtype.size
        fitting = max(LANE_BYTES, 2 * size * self.own_begin) // (2 * size * max(self.slots, 1))
        return max(FEWEST_LANES, min(MOST_LANES, fitting - fitting % 8))  # of vector units

    @property
    def region(self) -> int:
        """How many numbers the scratch must hold for one operand."""
        largest = [
            max([i.length * max(i.rows, i.columns, 1) for i in instructions], default=0)
            for instructions in (self.shared, self.per_example)
        ]
        return max(BLOCK, largest[0], largest[1] * self.lanes)

    def __str__(self) -> str:
        lines = []
        if self.shared:
            lines.append("once per batch")
            lines += [f"  {instruction}" for instruction in self.shared]
        if self.per_example:
            lines.append(f"for each example ({self.inputs} numbers in, {self.slots} values)")
            lines += [f"  {instruction}" for instruction in self.per_example]
        return "\n".join(lines)


# ---- from nodes to instructions


def lay_out(graph: Graph, store: Store, inputs: int, dtype: Dtype = FLOAT64) -> Program:
    """The program of a graph; its parameters must have been added to the store."""
    return _Layout(graph, store, inputs).program(dtype)


class _Layout:
    """Gives each node a place while the instructions are made."""

    def __init__(self, graph: Graph, store: Store, inputs: int) -> None:
        self.graph = graph
        self.store = store
        self.inputs = inputs
        self.run = passes()
        self.place = row(graph.count)  # the place of each node
        self.slots, self.is_moved = store.rows(graph.parameters)
        self.found, self.ends = row(2), row(2)  # what `locate` writes
        self.numbers_of_vectors = row(graph.count), row(graph.count)  # on either side of dots
        tags = row(len(graph.numbers))
        found = self.run.place_leaves(
            graph.count, graph.nodes, self.slots, ~len(store), self.place, tags
        )
        self.numbers = [graph.numbers[tag] for tag in tags[:found]]
        self.generators: list[random.Random | None] = []
        if graph.generators:
            for i, kind in enumerate(graph.kinds):
                if kind == RANDOM:
                    self.place[i] = inputs + len(self.generators)
                    self.generators.append(graph.generators[graph.nodes.tags[i]])
        self.next_shared = len(store) + len(self.numbers)
        self.next_per_example = inputs + len(self.generators)
        self.instructions: dict[bool, list[Instruction]] = {False: [], True: []}

    def program(self, dtype: Dtype) -> Program:
        graph = self.graph
        for nodes in self._groups():
            kind = graph.nodes.kinds[nodes[0]]
            if kind == DOT_OP:
                self._dots(nodes)
            elif kind == PICKED:
                self._picks(nodes)
            else:
                self._each(graph.ops[kind], nodes)
        outputs = self._places(array("i", graph.outputs), -1, 1).tolist()
        mark_first(self.instructions[True], outputs[0])
        return Program(
            shared=self.instructions[False],
            per_example=self.instructions[True],
            numbers=self.numbers,
            own_begin=len(self.store),
            own_end=self.next_shared,
            inputs=self.inputs,
            generators=self.generators,
            slots=self.next_per_example,
            outputs=outputs,
            written=mark_written(self.instructions[True], len(self.store)),
            nodes=len(graph),
            dtype=dtype,
        )

    def _groups(self) -> Iterator[Row]:
        """Groups of nodes with the same op at the same distance from the leaves, nearest first."""
        graph, count = self.graph, self.graph.count
        levels, groups, samples, ends = row(count), row(count), row(count), row(count)
        self.run.level(count, graph.nodes, levels)
        reductions = array("i", [op.nary for op in graph.ops])
        found = self.run.group(
            count, graph.nodes, reductions, levels, groups, new_table(count), samples, ends
        )
        begins = array("i", accumulate(ends[:found], initial=0))
        members = row(begins[-1])
        ends = begins[:]
        self.run.collect(count, groups, ends, members)
        for group in sorted(range(found), key=lambda group: levels[samples[group]]):
            yield members[begins[group] : ends[group]]

    # ---- the operands of nodes

    def _column(self, nodes: Row, j: int) -> Row:
        """Operand j of each node."""
        column = row(len(nodes))
        self.run.column(len(nodes), nodes, self.graph.nodes, j, column)
        return column

    def _length(self, node: int, j: int) -> int:
        """How many elements a vector has, which is operand j of a node."""
        first = self.graph.nodes.first
        vector = self.graph.nodes.operands[first[node] + j]
        return first[vector + 1] - first[vector]  # type: ignore[no-any-return]

    def _places(self, nodes: Row, j: int, width: int, of_vectors: bool = False) -> Row:
        """The places of operand j of nodes, as `locate` writes them."""
        places = array("i", (0,)) * (len(nodes) * (width if of_vectors else 1))
        self.run.locate(
            len(nodes), nodes, self.graph.nodes, j, width, of_vectors, self.place, self.slots,
            self.is_moved, self.store.free, places, self.found, self.ends,
        )  # fmt: skip
        return places

    def _add(
        self, kind: int, nodes: Row, length: int, operands: list[Pattern],
        rows: int = 0, columns: int = 0,
    ) -> None:  # fmt: skip
        """Adds an instruction, whose results get the next free places."""
        graph = self.graph
        sample = nodes[0]
        per_example = bool(graph.nodes.flags[sample] & PER_EXAMPLE)
        if per_example:
            out = self.next_per_example
            self.next_per_example += len(nodes)
            self.run.put(len(nodes), nodes, out, 1, self.place)
        else:
            out = self.next_shared
            self.next_shared += len(nodes)
            self.run.put(len(nodes), nodes, ~out, -1, self.place)
        op = graph.nodes.kinds[sample]
        self.instructions[per_example].append(
            Instruction(
                kind=kind,
                op=graph.ops[op] if op >= 0 else None,
                count=len(nodes),
                length=length,
                out=out,
                per_example=per_example,
                operands=operands,
                rows=rows,
                columns=columns,
                scope=graph.scope(sample),
            )
        )

    def _pattern(self, nodes: Row, j: int, width: int, of_vectors: bool = False) -> Pattern:
        """The pattern of operand j of nodes: vectors of this width, or others, so many in a row."""
        places = self._places(nodes, j, width, of_vectors)
        rule, active = self.found
        flows = self._flows(nodes) and active != 0
        return self._pattern_of(places, width, rule, flows, tuple(self.ends))

    def _flows(self, nodes: Row) -> bool:
        """Whether a gradient flows through nodes, which are all alike."""
        return bool(self.graph.nodes.flags[nodes[0]] & ACTIVE)

    def _pattern_of(
        self, places: Row, length: int, rule: int, active: bool, ends: tuple[int, ...]
    ) -> Pattern:
        """The pattern of these places, in rows of `length` that go as `find_steps` says.

        ends: the lowest and the highest place.
        """
        per_example, sign = places[0] >= 0, 1 if places[0] >= 0 else -1
        if rule == BY_ELEMENT:
            return Pattern(BY_ELEMENT, False, 0, length, 0, active, places, ends)
        stride = sign * (places[1] - places[0]) if length > 1 else 0
        starts = places[::length] if length > 1 else places
        if rule == BY_ROW:
            if not per_example:
                starts = array("i", [~start for start in starts])
                ends = ~ends[1], ~ends[0]
            return Pattern(BY_ROW, per_example, 0, 0, stride, active, starts, ends)
        row_stride = sign * (starts[1] - starts[0]) if len(starts) > 1 else 0
        first = starts[0] if per_example else ~starts[0]
        return Pattern(AFFINE, per_example, first, row_stride, stride, active, ())

    # ---- instructions

    def _each(self, op: Op, nodes: Row) -> None:
        """Any op but dot: operand j of all nodes is one pattern."""
        length = self._length(nodes[0], 0) if op.nary else 1
        patterns = [self._pattern(nodes, j, length, op.nary) for j in range(len(op.operands))]
        self._add(REDUCE if op.nary else MAP, nodes, length, patterns)

    def _picks(self, nodes: Row) -> None:
        """Picks by the same index, which is the first operand of each."""
        length = self._length(nodes[0], 1)
        patterns = [self._pattern(nodes, 0, 1), self._pattern(nodes, 1, length, True)]
        self._add(PICK, nodes, length, patterns)

    # ---- dots

    def _dots(self, nodes: Row) -> None:
        """Dots of one length, all with a bias or all without: as matrix products where possible."""
        cells = row(len(nodes))
        columns = self.run.grid(
            len(nodes), nodes, self.graph.nodes, *self.numbers_of_vectors, row(len(nodes)), cells
        )
        if columns > 0:  # the most common case
            self._matmul(cells, columns)
            return
        if columns < 0:
            self._single_dots(nodes)
            return
        first, flags = self.graph.nodes.first, self.graph.nodes.flags
        sides = [self._column(nodes, j) for j in range(first[nodes[0] + 1] - first[nodes[0]])]
        lefts: dict[tuple[int, ...], int] = {}  # a left vector, and what is added → its number
        by_right: dict[int, dict[int, int]] = {}  # right → left's number → node
        single: list[int] = []
        for i, left, right, *bias in zip(nodes, *sides):
            if flags[left] & PER_EXAMPLE:
                single.append(i)
            else:
                number = lefts.setdefault((left, *bias), len(lefts))
                by_right.setdefault(right, {})[number] = i
        products: dict[tuple[int, ...], list[dict[int, int]]] = {}
        for own in by_right.values():
            products.setdefault(tuple(sorted(own)), []).append(own)
        for numbers, rows in products.items():
            if len(numbers) * len(rows) == 1:
                single += rows[0].values()
            else:
                self._matmul(array("i", [own[j] for own in rows for j in numbers]), len(numbers))
        if single:
            self._single_dots(array("i", sorted(single)))

    def _matmul(self, nodes: Row, columns: int) -> None:
        """The dots of a grid: a row shares its right vector, a column its left one."""
        length = self._length(nodes[0], 0)
        sides = nodes[:columns], nodes[::columns]
        patterns = [self._pattern(side, j, length, True) for j, side in enumerate(sides)]
        patterns += self._bias(nodes, columns)
        self._add(MATMUL, nodes, length, patterns, len(nodes) // columns, columns)

    def _single_dots(self, nodes: Row) -> None:
        """Dots that share no vector; those whose vectors have the same steps go together."""
        length = self._length(nodes[0], 0)
        places, reached = [], []
        for j in (0, 1):
            places.append(self._places(nodes, j, length, True))
            reached.append(self.found[1] != 0)
        steps = [row(len(nodes)) for _ in places]
        irregular = [self.run.row_steps(len(nodes), length, *pair) for pair in zip(places, steps)]
        if any(irregular):
            self._sort_irregular(length, places, steps)
        alike: dict[tuple[int, ...], list[int]] = {}
        for number, key in enumerate(zip(*steps)):
            alike.setdefault(key, []).append(number)
        for numbers in alike.values():
            chosen = array("i", [nodes[number] for number in numbers])
            patterns = []
            for side, is_reached in zip(places, reached):
                own = side if len(numbers) == len(nodes) else array("i")
                if own is not side:
                    for number in numbers:
                        own += side[number * length : (number + 1) * length]
                rule = self.run.find_steps(len(own), length, own)
                active = self._flows(chosen) and is_reached
                patterns.append(self._pattern_of(own, length, rule, active, _ends(own)))
            self._add(DOT, chosen, length, patterns + self._bias(chosen, 1))

    def _sort_irregular(self, length: int, places: list[Row], steps: list[Row]) -> None:
        """Sorts the products of dots whose vectors have no steps: in another order they may.

        By rising slots, as steps back are slower; the places of shared numbers are negative.
        """
        for number, key in enumerate(zip(*steps)):
            if NOWHERE in key:
                own = slice(number * length, (number + 1) * length)
                is_shared = places[0][own.start] < 0
                pairs = sorted(zip(*[side[own] for side in places]), reverse=is_shared)
                for side, column in zip(places, zip(*pairs)):
                    side[own] = array("i", column)
        for pair in zip(places, steps):
            self.run.row_steps(len(steps[0]), length, *pair)

    def _bias(self, nodes: Row, columns: int) -> list[Pattern]:
        """The pattern of the numbers that are added to dots, if there are any."""
        first = self.graph.nodes.first
        if first[nodes[0] + 1] - first[nodes[0]] < 3:
            return []
        return [self._pattern(nodes, 2, columns)]


# ---- which gradients are written, and not added, and which results over others


def mark_first(instructions: list[Instruction], root: int) -> None:
    """Marks the operands that are the first in the backward pass to get their gradients.

    instructions: those for each example. root: the place of the loss, which has a gradient already.
    """
    begins = [instruction.out for instruction in instructions]
    reached = bytearray(len(instructions))  # 1 for those that have a gradient

    def reach(first: int, end: int, is_whole: bool) -> bool:
        """Whether these slots get their first gradients, and are all results of instructions."""
        found = _owners(begins, first, end)
        if not found:
            return False
        these = slice(found.start, found.stop)
        is_first = is_whole and begins[found[0]] == first and 1 not in reached[these]
        reached[these] = b"\1" * len(found)
        last = instructions[found[-1]]
        if not is_first or last.out + last.count != end:
            return False
        for instruction in instructions[these]:
            instruction.is_cleared = False
        return True

    reach(root, root + 1, False)
    for instruction in reversed(instructions):
        for j, x in enumerate(instruction.operands):
            if x.active:
                x.is_first = reach(*_span(instruction, j, True), _is_whole(instruction, j))


def mark_written(instructions: list[Instruction], parameters: int) -> list[int]:
    """Marks the matrices of parameters that are the first to get their gradients; their ranges.

    instructions: those for each example. parameters: how many there are.
    """
    chosen = [
        i.kind == MATMUL and i.operands[0].stride == 1 and _is_side_by_side(i, 0, False)
        for i in instructions
    ]
    if not any(chosen):
        return []
    reached: list[tuple[int, int]] = []  # what gets a gradient before, in the backward pass
    written: list[tuple[int, int]] = []
    for instruction, is_matrix in zip(reversed(instructions), reversed(chosen)):
        for j, x in reversed([*enumerate(instruction.operands)]):  # the matrix comes last
            first, end = _span(instruction, j, False) if x.active else (0, 0)
            if is_matrix and j == 0 and first < end <= parameters:
                x.is_first = not any(first < e and f < end for f, e in reached)
                if x.is_first:
                    written.append((first, end))
            reached.append((first, end))
    return [slot for pair in sorted(written) for slot in pair]


def overwriting(instructions: list[Instruction], outputs: Iterable[int]) -> list[Instruction]:
    """These instructions, where activations write their results over those of their product.

    They may if nothing else reads the product, and the slope can be computed without it. Their
    gradients get the same places. So less memory has to go through the CPU's cache.

    instructions: those for each example, after `mark_first`. outputs: the places of the results.
    """
    begins = [instruction.out for instruction in instructions]
    products: dict[int, int] = {}  # the number of an activation → that of its product
    for t, i in enumerate(instructions):
        is_map_of_one = i.kind == MAP and len(i.operands) == 1
        if is_map_of_one and i.operands[0].is_first and i.op and not needs_operand(i.op):
            owners = _owners(begins, *_span(i, 0, True))
            if len(owners) == 1 and instructions[owners[0]].kind == MATMUL:
                products[t] = owners[0]
    if not products:
        return instructions
    readers: list[list[tuple[int, int, bool]]] = [[] for _ in instructions]
    for r, i in enumerate(instructions):
        for j, x in enumerate(i.operands):
            first, end = _span(i, j, True)
            owners = _owners(begins, first, end)
            for t in owners:  # whether it reads in steps, and nothing but these results
                readers[t].append((r, j, x.rule == AFFINE and len(owners) == 1))
    kept = {t for place in outputs for t in _owners(begins, place, place + 1)}
    changed = instructions[:]
    for t, product in products.items():
        is_free = kept.isdisjoint((t, product)) and len(readers[product]) == 1
        if is_free and all(is_simple for _, _, is_simple in readers[t]):
            op = instructions[t].op
            joins = op is not None and op.name == JOINED
            joins_back = joins and _reads_alone(instructions, t, readers[t])
            changed[product] = replace(changed[product], joins=joins)
            changed[t] = replace(
                changed[t], out=begins[product], joins=joins, joins_back=joins_back
            )
            for r, j, _ in readers[t]:
                operands = changed[r].operands[:]
                base = operands[j].base - begins[t] + begins[product]
                operands[j] = replace(operands[j], base=base)
                changed[r] = replace(
                    changed[r], operands=operands, joins_back=changed[r].joins_back or joins_back
                )
    return changed


def _reads_alone(
    instructions: list[Instruction], t: int, readers: list[tuple[int, int, bool]]
) -> bool:
    """Whether one matrix product writes the gradients of all results of instruction t."""
    if len(readers) != 1:
        return False
    (r, j, _), begin = readers[0], instructions[t].out
    reader, span = instructions[r], (begin, begin + instructions[t].count)
    is_product = reader.kind == MATMUL and j == 1
    return is_product and reader.operands[1].is_first and _span(reader, 1, True) == span


def _owners(begins: list[int], first: int, end: int) -> range:
    """The instructions that have results between these slots, by where each one's begin."""
    return range(max(0, bisect_right(begins, first) - 1), bisect_left(begins, end))


def _rows(instruction: Instruction, j: int) -> int:
    """How many rows operand j has."""
    if instruction.kind == MATMUL:
        return (instruction.columns, instruction.rows, instruction.rows)[j]
    return instruction.count


def _length(instruction: Instruction, j: int) -> int:
    """How many elements a row of operand j has."""
    if j == 2 and instruction.kind in (DOT, MATMUL):  # what is added to the results
        return max(instruction.columns, 1)
    return 1 if instruction.kind == PICK and j == 0 else instruction.length


def _span(instruction: Instruction, j: int, per_example: bool) -> tuple[int, int]:
    """From which slot on, and before which, all numbers of operand j are.

    per_example: whether that is asked of the slots of an example, or of those that all share.
    """
    x = instruction.operands[j]
    if x.rule == BY_ELEMENT:
        lowest, highest = x.bounds
        return (max(0, lowest), highest + 1) if per_example else (0, max(0, -lowest))
    if x.per_example != per_example:
        return 0, 0
    if x.rule == BY_ROW:
        lowest, highest = x.bounds
        return lowest, highest + 1
    across = (_length(instruction, j) - 1) * x.stride
    down = (_rows(instruction, j) - 1) * x.row_stride
    first = x.base + min(0, across) + min(0, down)
    return first, x.base + max(0, across) + max(0, down) + 1


def _ends(places: Row) -> tuple[int, ...]:
    """The lowest and the highest of places."""
    found = row(2)
    passes().find_ends(len(places), places, found)
    return tuple(found)


def _is_side_by_side(instruction: Instruction, j: int, per_example: bool) -> bool:
    """Whether the numbers of operand j follow each other, in an example or in what all share."""
    x, rows, length = instruction.operands[j], _rows(instruction, j), _length(instruction, j)
    return (
        x.rule == AFFINE
        and x.per_example == per_example
        and (length == 1 or x.stride == 1)
        and (rows == 1 or x.row_stride == length)
    )


def _is_whole(instruction: Instruction, j: int) -> bool:
    """Whether the kernels can write the gradients of operand j, which follow each other."""
    is_written = instruction.kind == MAP or (instruction.kind == MATMUL and j == 1)
    return is_written and _is_side_by_side(instruction, j, True)
