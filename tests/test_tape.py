"""The tape: the steps of both passes are those that `backward()` takes."""

from __future__ import annotations

from typing import Any

import pytest
from graphs import LEAVES, STEPS, build, ours
from hypothesis import given

from micrograd_plus import Value
from micrograd_plus.classroom.tape import BACKWARD, FORWARD, SEED, Step, tape
from micrograd_plus.engine import Constant, topological_order
from micrograd_plus.functional import dot


def labelled() -> tuple[Value, Value, Value]:
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    root = a * b + a
    root.label = "L"
    root.operands[0].label = "v"
    return a, b, root


def test_every_step_of_a_small_graph() -> None:
    a, b, root = labelled()
    v = root.operands[0]
    assert tape(root) == [
        Step(FORWARD, v, 0.0, -6.0),
        Step(FORWARD, root, 0.0, -4.0),
        Step(SEED, root, 0.0, 1.0),
        Step(BACKWARD, v, 0.0, 1.0, root, 0, 1.0, 1.0, (1.0,)),
        Step(BACKWARD, a, 0.0, 1.0, root, 1, 1.0, 1.0, (1.0,)),
        Step(BACKWARD, a, 1.0, -2.0, v, 0, 1.0, -3.0, (2.0,)),
        Step(BACKWARD, b, 0.0, 2.0, v, 1, 1.0, 2.0, (-3.0,)),
    ]


def test_a_leaf_has_its_seed_alone() -> None:
    leaf = Value(3.0)
    assert tape(leaf) == [Step(SEED, leaf, 0.0, 1.0)]


def test_constants_get_no_gradient() -> None:
    a = Value(2.0)
    root = 3 * a**2 + 1
    received = [step.value for step in tape(root) if step.kind == BACKWARD]
    assert received[-1] is a
    assert not any(isinstance(value, Constant) for value in received)


def test_the_derivatives_by_the_other_operands() -> None:
    a, b, c = Value(2.0), Value(-3.0), Value(0.5)
    steps = [step for step in tape(dot([a, b], [c, a])) if step.kind == BACKWARD]
    assert [(step.value, step.local, step.others) for step in steps] == [
        (a, 0.5, (2.0, 2.0, -3.0)),
        (b, 2.0, (0.5, 2.0, -3.0)),
        (c, 2.0, (0.5, 2.0, -3.0)),
        (a, -3.0, (0.5, 2.0, 2.0)),
    ]


@given(LEAVES, STEPS)
def test_the_steps_of_random_graphs_are_those_of_backward(numbers: list[float], steps: Any) -> None:
    leaves = [Value(x) for x in numbers]
    root = build(leaves, steps, ours)
    order = topological_order(root)
    for i, node in enumerate(order):
        node.grad = i + 0.5  # must neither be read nor changed
    before = [(node.data, node.grad, node.op, node.operands) for node in order]
    recorded = tape(root)
    assert [(node.data, node.grad, node.op, node.operands) for node in order] == before

    # Forward, once for each computed value, after its operands.
    computed = [node for node in order if node.op is not None]
    forward = recorded[: len(computed)]
    assert [(step.kind, step.value, step.after) for step in forward] == [
        (FORWARD, node, node.data) for node in computed
    ]
    assert recorded[len(computed)] == Step(SEED, root, 0.0, 1.0)

    # Backward, edge by edge in the engine's order, each step from where the last one ended.
    backward = recorded[len(computed) + 1 :]
    assert [(step.user, step.position, step.value) for step in backward] == [
        (node, position, operand)
        for node in reversed(order)
        for position, operand in enumerate(node.operands)
        if not isinstance(operand, Constant)
    ]
    so_far = {root: 1.0}
    for step in backward:
        assert step.kind == BACKWARD
        assert step.before == so_far.get(step.value, 0.0)
        assert step.after == step.before + step.upstream * step.local
        assert step.user is not None
        assert step.upstream == so_far[step.user]
        assert len(step.others) == len(step.user.operands) - 1
        so_far[step.value] = step.after

    for leaf in leaves:
        leaf.grad = 0.0
    root.backward()
    for node in order:
        if not isinstance(node, Constant):
            assert so_far.get(node, 0.0) == pytest.approx(node.grad, rel=1e-12, abs=0)
