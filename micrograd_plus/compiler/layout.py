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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..engine import Value
from ..ops import TABLE, Op
from .dtypes import FLOAT64, Dtype
from .recording import Input, Random
from .simplify import PICK as PICKED
from .simplify import Graph
from .tape import (
    AFFINE,
    BLOCK,
    BY_ELEMENT,
    BY_ROW,
    DOT,
    MAP,
    MATMUL,
    PICK,
    REDUCE,
    Instruction,
    Pattern,
)

# The values and gradients of all lanes take so many bytes, so that they stay in the CPU's cache.
LANE_BYTES = 1 << 19
FEWEST_LANES, MOST_LANES = 16, 128


class Store:
    """The parameters' slots; the parameters that the optimizer moves come first.

    A parameter gets its slot when a program first uses it, so that parameters that are used
    together are side by side.
    """

    def __init__(self, moved: Iterable[Value] = ()) -> None:
        self.slots: dict[Value, int] = dict.fromkeys(moved, -1)  # none yet
        self.moved = len(self.slots)
        self._unused = set(self.slots)  # parameters that are moved and have no slot
        self._next = 0
        self._next_other = self.moved

    def add(self, parameters: Iterable[Value]) -> None:
        """Adds parameters that a program uses; they get their slots later."""
        for parameter in parameters:
            self.slots.setdefault(parameter, -1)

    def slot(self, parameter: Value) -> int:
        """The parameter's slot."""
        slot = self.slots[parameter]
        if slot < 0 and parameter in self._unused:
            self._unused.remove(parameter)
            slot, self._next = self._next, self._next + 1
        elif slot < 0:
            slot, self._next_other = self._next_other, self._next_other + 1
        self.slots[parameter] = slot
        return slot

    def in_order(self) -> list[Value]:
        """All parameters in the order of their slots; unused ones get a slot now."""
        return sorted(self.slots, key=self.slot)

    def __len__(self) -> int:
        return len(self.slots)


@dataclass(slots=True)
class Program:
    """What runs: instructions once per batch, and instructions for each example.

    numbers: the constants.
    own_begin, own_end: the program's own shared slots, behind those of the parameters: first the
        constants, then the results that depend on no example.
    slots: how many slots there are per example: inputs, random numbers, results.
    outputs: the places of the results, the loss first, as `Pattern.place` gives them.
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
    nodes: int
    dtype: Dtype

    @property
    def lanes(self) -> int:
        """How many examples are computed together."""
        fitting = LANE_BYTES // (2 * self.dtype.size * max(self.slots, 1))
        return max(FEWEST_LANES, min(MOST_LANES, fitting - fitting % 8))  # of vector units

    @property
    def region(self) -> int:
        """How many numbers the scratch must hold for one operand."""
        largest = BLOCK
        for instruction, width in [
            *[(instruction, 1) for instruction in self.shared],
            *[(instruction, self.lanes) for instruction in self.per_example],
        ]:
            rows = max(instruction.rows, instruction.columns, 1)
            largest = max(largest, rows * instruction.length * width)
        return largest

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
        self.place: list[int | None] = [None] * len(graph)  # the place of each node
        self.numbers: list[float] = []
        self.generators: list[random.Random | None] = []
        for i, source in enumerate(graph.sources):
            if isinstance(source, float):
                self.place[i] = ~(len(store) + len(self.numbers))
                self.numbers.append(source)
            elif isinstance(source, Input):
                self.place[i] = source.position
            elif isinstance(source, Random):
                self.place[i] = inputs + len(self.generators)
                self.generators.append(source.generator)
        self.next_shared = len(store) + len(self.numbers)
        self.next_per_example = inputs + len(self.generators)
        self.instructions: dict[bool, list[Instruction]] = {False: [], True: []}

    def program(self, dtype: Dtype) -> Program:
        for nodes in self._groups():
            op = self.graph.ops[nodes[0]]
            if op is TABLE["dot"]:
                self._dots(nodes)
            elif isinstance(op, Op):
                self._each(op, nodes)
            else:
                self._picks(nodes)
        return Program(
            shared=self.instructions[False],
            per_example=self.instructions[True],
            numbers=self.numbers,
            own_begin=len(self.store),
            own_end=self.next_shared,
            inputs=self.inputs,
            generators=self.generators,
            slots=self.next_per_example,
            outputs=self._places(self.graph.outputs),
            nodes=len(self.graph),
            dtype=dtype,
        )

    def _groups(self) -> list[list[int]]:
        """Groups of nodes with the same op at the same distance from the leaves, nearest first."""
        graph = self.graph
        levels = [0] * len(graph)
        groups: dict[tuple[object, ...], list[int]] = {}
        for i, op in enumerate(graph.ops):
            if op is not None:
                operands = graph.operands[i]
                level = levels[i] = 1 + max([levels[operand] for operand in operands])
                index = operands[0] if op == PICKED else None
                key = (graph.per_example[i], level, op, len(operands), graph.active[i], index)
                groups.setdefault(key, []).append(i)
        return [groups[key] for key in sorted(groups, key=lambda key: key[1])]  # type: ignore

    def _places(self, nodes: Sequence[int]) -> list[int]:
        """The places of nodes; a parameter's slot is given at its first use."""
        place, sources = self.place, self.graph.sources
        for node in nodes:
            if place[node] is None:
                place[node] = ~self.store.slot(sources[node])  # type: ignore[arg-type]
        return [place[node] for node in nodes]  # type: ignore[misc]

    def _add(
        self, kind: int, nodes: Sequence[int], length: int, operands: list[Pattern],
        rows: int = 0, columns: int = 0,
    ) -> None:  # fmt: skip
        """Adds an instruction, whose results get the next free places."""
        per_example = self.graph.per_example[nodes[0]]
        op = self.graph.ops[nodes[0]]
        if per_example:
            out = self.next_per_example
            self.next_per_example += len(nodes)
            for slot, node in enumerate(nodes, start=out):
                self.place[node] = slot
        else:
            out = self.next_shared
            self.next_shared += len(nodes)
            for slot, node in enumerate(nodes, start=out):
                self.place[node] = ~slot
        self.instructions[per_example].append(
            Instruction(
                kind=kind,
                op=op if isinstance(op, Op) else None,
                count=len(nodes),
                length=length,
                out=out,
                per_example=per_example,
                operands=operands,
                rows=rows,
                columns=columns,
                scope=self.graph.scopes[nodes[0]],
            )
        )

    def _pattern(self, user: int, nodes: Sequence[int], length: int = 1) -> Pattern:
        """The pattern of `nodes`, rows of `length` after one another, as operands of `user`."""
        active = self.graph.active
        flows = active[user] and any(active[node] for node in nodes)
        return _pattern(self._places(nodes), length, flows)

    def _each(self, op: Op, nodes: list[int]) -> None:
        """Any op but dot: operand j of all nodes is one pattern."""
        operands = self.graph.operands
        length = len(operands[nodes[0]]) // len(op.operands)
        patterns = []
        for j in range(len(op.operands)):
            if op.nary:
                elements = [x for i in nodes for x in operands[i][j * length : (j + 1) * length]]
            else:
                elements = [operands[i][j] for i in nodes]
            patterns.append(self._pattern(nodes[0], elements, length))
        self._add(REDUCE if op.nary else MAP, nodes, length, patterns)

    def _picks(self, nodes: list[int]) -> None:
        """Picks by the same index, which is the first operand of each."""
        operands = self.graph.operands
        index = self._pattern(nodes[0], [operands[i][0] for i in nodes])
        length = len(operands[nodes[0]]) - 1
        values = self._pattern(nodes[0], [x for i in nodes for x in operands[i][1:]], length)
        self._add(PICK, nodes, length, [index, values])

    # ---- dots

    def _dots(self, nodes: list[int]) -> None:
        """Dots of one length, all with a bias or all without: as matrix products where possible."""
        operands = self.graph.operands
        length = len(operands[nodes[0]]) // 2
        lefts: dict[tuple[int, ...], int] = {}
        by_right: dict[tuple[int, ...], dict[int, int]] = {}  # right → left's number → node
        single: list[int] = []
        for i in nodes:
            left, right = operands[i][:length], operands[i][length : 2 * length]
            number = lefts.setdefault((*left, *operands[i][2 * length :]), len(lefts))
            if any(self.graph.per_example[x] for x in left):
                single.append(i)
            else:
                by_right.setdefault(right, {})[number] = i
        products: dict[tuple[int, ...], list[dict[int, int]]] = {}
        for row in by_right.values():
            products.setdefault(tuple(sorted(row)), []).append(row)
        for columns, rows in products.items():
            if len(columns) * len(rows) == 1:
                single += rows[0].values()
            else:
                self._matmul([[row[j] for j in columns] for row in rows], length)
        if single:
            self._single_dots(sorted(single), length)

    def _matmul(self, rows: list[list[int]], length: int) -> None:
        """The dots of a grid: a row shares its right vector, a column its left one."""
        operands, nodes = self.graph.operands, [i for row in rows for i in row]
        lefts = [x for i in rows[0] for x in operands[i][:length]]
        rights = [x for row in rows for x in operands[row[0]][length : 2 * length]]
        patterns = [self._pattern(nodes[0], side, length) for side in (lefts, rights)]
        patterns += self._bias(nodes, length, len(rows[0]))
        self._add(MATMUL, nodes, length, patterns, len(rows), len(rows[0]))

    def _single_dots(self, nodes: list[int], length: int) -> None:
        """Dots that share no vector; those whose vectors have the same steps go together."""
        operands = self.graph.operands
        alike: dict[tuple[object, ...], list[tuple[int, Sequence[int], Sequence[int]]]] = {}
        for i in nodes:
            left: Sequence[int] = operands[i][:length]
            right: Sequence[int] = operands[i][length : 2 * length]
            steps = _steps(self._places(left)), _steps(self._places(right))
            if None in steps:  # in another order the steps may be equal
                pairs = sorted(zip(self._places(left), self._places(right), left, right))
                left, right = [pair[2] for pair in pairs], [pair[3] for pair in pairs]
                steps = _steps(self._places(left)), _steps(self._places(right))
            alike.setdefault(steps, []).append((i, left, right))
        for group in alike.values():
            numbers = [i for i, _, _ in group]
            lefts = [x for _, left, _ in group for x in left]
            rights = [x for _, _, right in group for x in right]
            patterns = [self._pattern(numbers[0], side, length) for side in (lefts, rights)]
            self._add(DOT, numbers, length, patterns + self._bias(numbers, length, 1))

    def _bias(self, nodes: Sequence[int], length: int, columns: int) -> list[Pattern]:
        """The pattern of the numbers that are added to dots, if there are any."""
        biases = [x for i in nodes for x in self.graph.operands[i][2 * length :]]
        return [self._pattern(nodes[0], biases, columns)] if biases else []


def _steps(places: Sequence[int]) -> tuple[bool, int] | None:
    """Whether places are per example, and their step; None if they have no common one."""
    step = places[1] - places[0] if len(places) > 1 else 0
    regular = list(places) == (
        list(range(places[0], places[0] + step * len(places), step))
        if step
        else [places[0]] * len(places)
    )
    return (places[0] >= 0, step) if regular and (places[0] >= 0) == (places[-1] >= 0) else None


def _pattern(places: list[int], length: int, active: bool) -> Pattern:
    """The simplest rule that gives these places, in rows of `length`."""
    per_example, sign = places[0] >= 0, 1 if places[0] >= 0 else -1
    steps = (
        {_steps(places[i : i + length]) for i in range(0, len(places), length)}
        if length > 1
        else {(per_example, 0) if all((place >= 0) == per_example for place in places) else None}
    )
    if len(steps) > 1 or None in steps:
        return Pattern(BY_ELEMENT, False, 0, length, 0, active, array("i", places))
    ((_, stride),) = steps  # type: ignore[misc]
    starts = places[::length]
    slots = [start if per_example else ~start for start in starts]
    between = _steps(starts)
    if between is not None:
        return Pattern(AFFINE, per_example, slots[0], sign * between[1], sign * stride, active, ())
    return Pattern(BY_ROW, per_example, 0, 0, sign * stride, active, array("i", slots))
