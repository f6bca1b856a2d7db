"""The forward and the backward pass of a graph as a list of single steps.

>>> from micrograd_plus.engine import Value
>>> a, b = Value(2.0, label="a"), Value(-3.0, label="b")
>>> for step in tape(a * b + a):
...     print(step.kind, step.value.label, step.before, step.after)
forward  0.0 -6.0
forward  0.0 -4.0
seed  0.0 1.0
backward  0.0 1.0
backward a 0.0 1.0
backward a 1.0 -2.0
backward b 0.0 2.0

The steps are those of the engine, in its order: one for each value that is computed, one for
the gradient of the root by itself, and one for each edge back. A Constant's gradient is nobody's
question, and its edges are left out. Nothing in the graph is changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..engine import Constant, Value, local_derivatives, topological_order

FORWARD, SEED, BACKWARD = "forward", "seed", "backward"


class Step(NamedTuple):
    """One number that becomes known.

    kind: "forward" for the data of `value`; "seed" for the root's gradient by itself, which is
        1; "backward" for what `value`, operand number `position` of `user`, gets from there.
    before, after: the number before and after the step: the data, or the gradient.
    upstream, local: the user's gradient, and its derivative by this operand.
    others: its derivatives by its other operands.
    """

    kind: str
    value: Value
    before: float
    after: float
    user: Value | None = None
    position: int = 0
    upstream: float = 1.0
    local: float = 1.0
    others: tuple[float, ...] = ()


def tape(root: Value) -> list[Step]:
    """Every step, as if all gradients were 0 at the start."""
    order = topological_order(root)
    steps = [Step(FORWARD, node, 0.0, node.data) for node in order if node.op is not None]
    steps.append(Step(SEED, root, 0.0, 1.0))
    return steps + list(_backward(root, order))


def _backward(root: Value, order: list[Value]) -> Iterator[Step]:
    grads = dict.fromkeys(order, 0.0)
    grads[root] = 1.0
    for node in reversed(order):
        upstream, edges = grads[node], list(local_derivatives(node))
        for position, (operand, local) in enumerate(edges):
            if not isinstance(operand, Constant):
                before, after = grads[operand], grads[operand] + upstream * local
                grads[operand] = after
                others = tuple(other for _, other in edges[:position] + edges[position + 1 :])
                yield Step(
                    BACKWARD, operand, before, after, node, position, upstream, local, others
                )
