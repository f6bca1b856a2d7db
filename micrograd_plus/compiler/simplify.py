"""Simplify: the same numbers from fewer operations.

Operations on numbers alone are computed now. An operation that occurs twice is computed once.
Products that are used in one sum only become one `dot`; sums of sums become one `sum`, at any
depth. Nodes on which no output depends are removed.

>>> from ..engine import Value
>>> from .recording import record
>>> w = [Value(1.0, label=name) for name in ("w0", "w1", "b")]
>>> neuron = lambda x: (w[0] * x[0] + w[1] * x[1] + w[2]).relu()
>>> print(simplify(record(neuron, [(2,)], [])))
a0     parameter w0
a1     input 0
a2     parameter w1
a3     input 1
a4     parameter b
a5     dot(a0, a2, a1, a3, a4)
a6     relu(a5)

A `dot` of an odd number of nodes adds the last one, the bias, which does not depend on the example.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..engine import Constant, Value
from ..ops import TABLE, Op
from .recording import Input, Picked, Random, Recorded, Recording

PICK = "pick"
Key = tuple[Any, ...]


@dataclass
class Graph:
    """Nodes by their numbers, each after its operands.

    sources: a leaf's Value, or its number as a float; None for a result.
    ops: the op of a result, PICK for a pick, None for a leaf.
    operands: the numbers of the operands.
    per_example: whether a node depends on the example.
    active: whether a parameter's gradient flows through it.
    scopes: the `engine.scope` that a node was made in.
    """

    sources: list[Value | float | None]
    ops: list[Op | str | None]
    operands: list[tuple[int, ...]]
    per_example: list[bool]
    active: list[bool]
    scopes: list[Any]
    outputs: list[int]

    def add(
        self, source: Value | float | None, op: Op | str | None, operands: tuple[int, ...],
        per_example: bool, active: bool, scope: Any,
    ) -> int:  # fmt: skip
        """Adds a node and returns its number."""
        self.sources.append(source)
        self.ops.append(op)
        self.operands.append(operands)
        self.per_example.append(per_example)
        self.active.append(active)
        self.scopes.append(scope)
        return len(self.ops) - 1

    def __len__(self) -> int:
        return len(self.ops)

    def __str__(self) -> str:
        return "\n".join(f"a{i:<5} {self._written(i)}" for i in range(len(self)))

    def _written(self, i: int) -> str:
        source, op = self.sources[i], self.ops[i]
        if isinstance(source, float):
            return f"number {source:g}"
        if isinstance(source, Recorded):
            return source.label or "random"
        if source is not None:
            return f"parameter {source.label}".rstrip()
        name = op.name if isinstance(op, Op) else op
        return f"{name}({', '.join(f'a{operand}' for operand in self.operands[i])})"


def empty() -> Graph:
    """A graph without nodes."""
    return Graph([], [], [], [], [], [], [])


def simplify(recording: Recording) -> Graph:
    """The graph of a recording in its simplest form."""
    graph, uses = _joined(recording)
    return _rebuilt(graph, _sums(graph, uses))


def _joined(recording: Recording) -> tuple[Graph, list[int]]:
    """The graph with each computation once and constants computed; and each node's uses."""
    graph = empty()
    sources, per_example, active = graph.sources, graph.per_example, graph.active
    number_of: dict[Value, int] = {}
    known: dict[Key, int] = {}
    uses: list[int] = []
    square, multiply = TABLE["pow"], TABLE["mul"]

    for value in recording.order:
        op = value.op
        if op is None and not value.operands:  # a leaf
            number: float | None = None
            if isinstance(value, Constant):
                number = value.data
                key: Key = (number, math.copysign(1.0, number)) if number == number else ("nan",)
            else:
                key = (value,)
            i = known.get(key)
            if i is None:
                depends = isinstance(value, (Input, Random))
                learns = number is None and not depends
                i = known[key] = graph.add(
                    value if number is None else number, None, (), depends, learns, value.scope
                )
                uses.append(0)
            number_of[value] = i
            continue
        numbers = tuple([number_of[operand] for operand in value.operands])
        keeps = not isinstance(value, Recorded) or value.keeps_graph
        if op is square and sources[numbers[1]] == 2.0:
            op, numbers = multiply, (numbers[0], numbers[0])
        key = (op, keeps, numbers)
        i = known.get(key)
        if i is None:
            depends = learns = constant = False
            for operand in numbers:
                depends = depends or per_example[operand]
                learns = learns or active[operand]
            if op is not None and not depends and not learns:
                constant = all(type(sources[operand]) is float for operand in numbers)
            if constant and op is not None:
                folded = op.forward(*[sources[operand] for operand in numbers])
                i = graph.add(float(folded), None, (), False, False, None)
            else:
                kind = PICK if isinstance(value, Picked) else op
                i = graph.add(None, kind, numbers, depends, learns and keeps, value.scope)
                for operand in numbers:
                    uses[operand] += 1
            known[key] = i
            uses.append(0)
        number_of[value] = i
    graph.outputs = [number_of[value] for value in recording.outputs]
    for output in graph.outputs:
        uses[output] += 2  # an output is never merged into a sum
    return graph, uses


Terms = tuple[list[tuple[int, int]], list[int]]
"""What a sum adds up: products, and other nodes."""


def _sums(graph: Graph, uses: Sequence[int]) -> dict[int, Terms]:
    """The terms of every sum, after merging those terms that nothing else uses."""
    add, multiply, total, dot = (TABLE[name] for name in ("add", "mul", "sum", "dot"))
    ops, operands, per_example, active = graph.ops, graph.operands, graph.per_example, graph.active
    sums: dict[int, Terms] = {}

    def merged(term: int, i: int) -> Terms | None:
        """The terms of a term of sum i, if nothing else uses it; else None."""
        op = ops[term]
        if uses[term] != 1 or per_example[term] != per_example[i]:
            return None
        if active[term] != any(active[x] for x in operands[term]):
            return None  # made under no_grad: no gradient flows through it
        if term in sums:
            return sums.pop(term)
        if op is multiply:
            x, y = operands[term]
            return [(x, y)], []
        if op is dot:
            half = len(operands[term]) // 2
            return list(zip(operands[term][:half], operands[term][half:])), []
        return None

    for i, op in enumerate(ops):
        if op is not add and op is not total:
            continue
        products: list[tuple[int, int]] = []
        others: list[int] = []
        for term in operands[i]:
            inner = merged(term, i)
            if inner is None:
                others.append(term)
                continue
            more_products, more_others = inner
            if len(more_products) > len(products):  # keep the longer list: a chain may be long
                products, more_products = more_products, products
            if len(more_others) > len(others):
                others, more_others = more_others, others
            products += more_products
            others += more_others
        sums[i] = products, others
    return sums


def _rebuilt(graph: Graph, sums: dict[int, Terms]) -> Graph:
    """The nodes on which an output depends, with each sum as few ops."""
    needed = [False] * len(graph)
    for output in graph.outputs:
        needed[output] = True
    for i in range(len(graph) - 1, -1, -1):
        if needed[i]:
            if i in sums:
                products, others = sums[i]
                for x, y in products:
                    needed[x] = needed[y] = True
                for other in others:
                    needed[other] = True
            else:
                for operand in graph.operands[i]:
                    needed[operand] = True

    new = empty()
    renamed: list[int] = [-1] * len(graph)
    for i, op in enumerate(graph.ops):
        if not needed[i]:
            continue
        depends, learns, scope = graph.per_example[i], graph.active[i], graph.scopes[i]
        if op is None:
            renamed[i] = new.add(graph.sources[i], None, (), depends, learns, scope)
            continue
        if i in sums:
            products, others = sums[i]
            terms = [renamed[other] for other in others]
        elif op is TABLE["dot"]:
            half = len(graph.operands[i]) // 2
            products = list(zip(graph.operands[i][:half], graph.operands[i][half:]))
            terms = []
        else:
            numbers = tuple([renamed[operand] for operand in graph.operands[i]])
            renamed[i] = new.add(None, op, numbers, depends, learns, scope)
            continue
        if products:
            pairs = [(renamed[x], renamed[y]) for x, y in products]
            ordered = [
                (y, x) if new.per_example[x] and not new.per_example[y] else (x, y)
                for x, y in pairs
            ]
            xs, ys = zip(*ordered)
            is_dot = len(pairs) > 1 or op is TABLE["dot"]
            if is_dot and len(terms) == 1 and not new.per_example[terms[0]]:
                operands = (*xs, *ys, terms[0])
                renamed[i] = new.add(None, TABLE["dot"], operands, depends, learns, scope)
                continue
            product = TABLE["dot" if is_dot else "mul"]
            terms.insert(0, new.add(None, product, (*xs, *ys), depends, learns, scope))
            if len(terms) > 2:
                rest = new.add(None, TABLE["sum"], tuple(terms[1:]), depends, learns, scope)
                terms = [terms[0], rest]
            if len(terms) == 1:
                renamed[i] = terms[0]
                continue
        kind = TABLE["add" if len(terms) == 2 else "sum"]
        renamed[i] = new.add(None, kind, tuple(terms), depends, learns, scope)
    new.outputs = [renamed[output] for output in graph.outputs]
    return new
