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
a1     parameter w1
a2     input 0
a3     input 1
a4     parameter b
a5     dot(a0, a1, a2, a3, a4)
a6     relu(a5)

A `dot` with a third operand adds it, the bias, which does not depend on the example. The loops
over the nodes are in `passes.py`.
"""

from __future__ import annotations

from array import array
from dataclasses import replace

from .graph import Graph, Numbers, new_nodes, new_table, row
from .native import passes
from .passes import NUMBER, Terms
from .recording import Recording


def simplify(recording: Recording) -> Graph:
    """The graph of a recording in its simplest form."""
    graph = _with_known_numbers(recording.graph)
    joined, uses = _joined(graph)
    return _rebuilt(joined, uses)


def _with_known_numbers(graph: Graph) -> Graph:
    """The graph in which what depends on numbers alone is a number."""
    known = row(graph.count)
    if not passes().mark_numbers(graph.count, graph.nodes, graph.needed, known):
        return graph
    kinds, tags = graph.nodes.kinds[:], graph.nodes.tags[:]
    numbers = Numbers(graph.numbers)
    for i, is_known in enumerate(known):
        if is_known and kinds[i] >= 0:
            operands = [graph.numbers[tags[j]] for j in graph.elements(i)]
            kinds[i], tags[i] = NUMBER, numbers.tag(graph.ops[kinds[i]].forward(*operands))
    return replace(graph, nodes=graph.nodes._replace(kinds=kinds, tags=tags))


def _joined(graph: Graph) -> tuple[Graph, array[int]]:
    """The graph with each computation once; and how many operands each node is."""
    size = graph.count
    nodes = new_nodes(size, len(graph.nodes.operands))
    table = new_table(size - len(graph.parameters))  # which are not looked for
    renamed, uses = row(size), row(size)
    two = Numbers(graph.numbers).tag(2.0)
    count = passes().join(size, graph.nodes, graph.needed, two, renamed, nodes, table, uses)
    outputs = [renamed[output] for output in graph.outputs]
    for output in outputs:
        uses[output] += 2  # an output is never merged into a sum
    return replace(graph, nodes=nodes, count=count, outputs=outputs), uses


def _rebuilt(graph: Graph, uses: array[int]) -> Graph:
    """The nodes on which an output depends, with each sum as few ops."""
    size, run = graph.count, passes()
    links = run.most_links(size, graph.nodes)
    terms = Terms(row(size), row(size), row(links), row(links), row(links))
    run.link_sums(size, graph.nodes, uses, terms)
    needed = graph.marked_outputs()
    run.mark_terms(size, graph.nodes, terms, needed)
    sizes = row(2)
    run.room(size, graph.nodes, terms, needed, sizes)
    most, most_operands = sizes
    nodes, renamed = new_nodes(most, most_operands), row(size)
    count = run.rebuild(size, graph.nodes, terms, needed, renamed, nodes, new_table(most))
    outputs = [renamed[output] for output in graph.outputs]
    return replace(graph, nodes=nodes, count=count, outputs=outputs)
