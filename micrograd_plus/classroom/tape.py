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

The steps are those of the engine, in the same order: one for each computed value, one for the
gradient of the root with respect to itself, and one for each edge in the backward pass. Constants
have no gradient, so edges to them are left out. The graph is not changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..engine import Constant, Value, local_derivatives, topological_order

FORWARD, SEED, BACKWARD = "forward", "seed", "backward"


class Step(NamedTuple):
    """One step, which computes one number.

    kind: "forward" computes the data of `value`; "seed" sets the gradient of the root to 1;
        "backward" adds to the gradient of `value`, which is operand number `position` of `user`.
    before, after: the data or the gradient, before and after the step.
    upstream, local: the gradient of `user`, and its derivative with respect to this operand.
    others: the derivatives of `user` with respect to its other operands.
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
    """Returns all steps of both passes, starting with gradients of 0."""
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
