"""Check: does the function, called again, do what was recorded?

A program replays what the function did once. If the function does something else the next time,
because it counts its calls or reads a clock, the program is wrong; so the function is recorded a
second time, and the two graphs are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any

from ..engine import Constant, Value, apply
from ..formulas.description import formula
from ..support.nested import flatten, plain
from .graph import Graph
from .passes import INPUT, NUMBER, PARAMETER, PICK, RANDOM, VECTOR
from .recorded import Input, Random, Recorded
from .recording import Recording, Shape, record_again, with_numbers
from .stamping import are_same


def check(
    function: Callable[..., Any],
    recording: Recording,
    shapes: Sequence[Shape],
    example: Sequence[Any],
) -> None:
    """Calls `function` again; ValueError if it does something else, with numbers of `example`."""
    again = record_again(function, shapes, recording)
    if len(again.outputs) != len(recording.outputs):
        raise ValueError(
            f"the compiled function returned {len(recording.outputs)} Values when it was "
            f"recorded, and {len(again.outputs)} when it was called again"
        )
    if not _did_the_same(recording, again):
        again = with_numbers(again)
        _compare(recording.graph, again.graph, list(flatten(list(map(plain, example)))))


def _did_the_same(one: Recording, other: Recording) -> bool:
    """Whether both made the same nodes in the same order: a fast comparison of what they did."""
    return (
        one.rows == other.rows
        and one.ends == other.ends
        and len(one.leaves) == len(other.leaves)
        and all(_are_twins(*pair, one.base.places) for pair in zip(one.leaves, other.leaves))
    )


def _are_twins(x: Value, y: Value, known: Container[Value]) -> bool:
    """Whether two leaves are the same, or stand for the same number."""
    if isinstance(x, Input) and isinstance(y, Input):
        return x.position == y.position
    if isinstance(x, Random) and isinstance(y, Random):
        return x.position == y.position and x.generator is y.generator
    if isinstance(x, Constant) and _is_number(y, known):
        return are_same(x.data, y.data)
    return x is y


def _is_number(x: Value, known: Container[Value]) -> bool:
    """Whether this is a plain number: a Constant, or a Value that the function made."""
    return x.op is None and not isinstance(x, Recorded) and x not in known


def _compare(one: Graph, other: Graph, inputs: Sequence[float]) -> None:
    """Walks both graphs from their outputs down; ValueError with the first difference."""
    pairs = list(zip(one.outputs, other.outputs))
    known = set(pairs)
    different: list[tuple[int, int]] = []
    for i, j in pairs:  # which grows
        if _are_same_node(one, i, other, j):
            new = dict.fromkeys(zip(one.elements(i), other.elements(j))).keys() - known
            known |= new
            pairs += new
        else:
            different.append((i, j))
    if different:
        i, j = min(different)
        raise ValueError(
            "the compiled function does not do the same every time: it was recorded with "
            f"{_described(one, i, inputs)}, and called again it had "
            f"{_described(other, j, inputs)} there; a choice that "
            "changes belongs into mp.where or mp.pick, a random number into mp.rand"
        )


def _are_same_node(one: Graph, i: int, other: Graph, j: int) -> bool:
    """Whether two nodes are the same leaf, or one op of as many operands."""
    kind, tag, other_tag = one.nodes.kinds[i], one.nodes.tags[i], other.nodes.tags[j]
    if kind < 0 and kind != other.nodes.kinds[j]:
        return False
    if kind == PARAMETER:
        return one.parameters[tag] is other.parameters[other_tag]
    if kind == NUMBER:
        return are_same(one.numbers[tag], other.numbers[other_tag])
    if kind >= 0 and one.op(i) is not other.op(j):
        return False
    return tag == other_tag and len(one.elements(i)) == len(other.elements(j))


def _described(graph: Graph, i: int, inputs: Sequence[float]) -> str:
    """A node in words, with its number for these inputs."""
    value = _values(graph, i, inputs)[i]
    if isinstance(value, Constant):
        return f"the number {value.data}"
    if value.op is None:
        return value.label or f"a leaf of {value.data:g}"
    return f"{formula(value, 1)} = {value.data:g}"


def _values(graph: Graph, last: int, inputs: Sequence[float]) -> dict[int, Value]:
    """The Values, in eager mode, of the nodes up to `last`."""
    values: dict[int, Value] = {}
    for i, (kind, tag) in enumerate(zip(graph.kinds[: last + 1], graph.nodes.tags)):
        operands = [values[j] for j in graph.elements(i)] if kind != VECTOR else []
        if kind == PARAMETER:
            values[i] = graph.parameters[tag]
        elif kind == INPUT:
            values[i] = Value(float(inputs[tag]), label=f"input {tag}")
        elif kind == RANDOM:
            values[i] = Value(0.5, label="random")  # as good as any other in [0, 1)
        elif kind == NUMBER:
            values[i] = Constant(graph.numbers[tag])
        elif kind == PICK:
            values[i] = operands[1 + int(operands[0].data)]
        elif kind != VECTOR:
            values[i] = apply(graph.ops[kind], *operands)
    return values
