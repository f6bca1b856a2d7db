"""Copies of graphs: of any depth, with everything that they share shared again."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import micrograd_plus as mp
from micrograd_plus.engine import Constant, Value, topological_order


def pickled(x: Any) -> Any:
    return pickle.loads(pickle.dumps(x))


COPIES: list[Callable[[Any], Any]] = [copy.deepcopy, pickled]


def chain(length: int) -> tuple[Value, Value]:
    leaf = root = Value(1.0, label="x")
    for _ in range(length):
        root = root * 0.5 + leaf
    return leaf, root


def described(root: Value) -> list[tuple[Any, ...]]:
    """Everything in a graph, without the identity of its values."""
    order = topological_order(root)
    place = {value: i for i, value in enumerate(order)}
    return [
        (type(v), v.data, v.grad, v.label, v.op, [place[operand] for operand in v.operands])
        for v in order
    ]


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("length", [0, 1, 100, 20_000])
def test_a_graph_of_any_depth(copied: Callable[[Any], Any], length: int) -> None:
    _, root = chain(length)
    root.backward()
    other = copied(root)
    assert described(other) == described(root)
    assert set(topological_order(other)).isdisjoint(topological_order(root))


@pytest.mark.parametrize("copied", COPIES)
def test_what_is_shared_stays_shared(copied: Callable[[Any], Any]) -> None:
    leaf, root = chain(50)
    middle = topological_order(root)[20]
    copies = copied({"root": root, "leaf": leaf, "middle": middle, "again": [root]})
    order = topological_order(copies["root"])
    assert copies["again"][0] is copies["root"]
    assert copies["leaf"] in order
    assert order[20] is copies["middle"]


@pytest.mark.parametrize("copied", COPIES)
def test_a_copy_has_a_life_of_its_own(copied: Callable[[Any], Any]) -> None:
    leaf, root = chain(5)
    other = copied(root)
    other.backward()
    assert leaf.grad == 0.0
    root.backward()
    assert leaf.grad != 0.0
    assert described(other) == described(root)


@pytest.mark.parametrize("copied", COPIES)
def test_a_model_and_its_loss_are_copied_together(copied: Callable[[Any], Any]) -> None:
    model = mp.nn.MLP(2, [3, 1])
    loss = mp.losses.hinge(model([[0.5, -1.0], [1.0, 2.0]]), [1, -1])
    model_2, loss_2 = copied((model, loss))
    loss_2.backward()
    assert all(p.grad == 0.0 for p in model.parameters())
    loss.backward()
    assert [p.grad for p in model_2.parameters()] == [p.grad for p in model.parameters()]
    assert any(p.grad for p in model.parameters())
    owners = {v.scope.owner for v in topological_order(loss_2) if v.scope is not None}
    assert model_2.layers[0].neurons[0] in owners
    assert model.layers[0].neurons[0] not in owners


@pytest.mark.parametrize("copied", COPIES)
def test_a_module_that_keeps_a_deep_graph(copied: Callable[[Any], Any]) -> None:
    model = mp.nn.Neuron(1)
    model.history = chain(5_000)[1]  # type: ignore[attr-defined]
    other = copied(model([2.0]))
    assert other.scope.owner.history.data == model.history.data  # type: ignore[attr-defined]


@pytest.mark.parametrize("copied", COPIES)
def test_constants_and_subclasses(copied: Callable[[Any], Any]) -> None:
    assert type(copied(Value(2.0) * 3).operands[1]) is Constant


def test_a_pickle_that_fails_leaves_nothing_behind() -> None:
    leaf, root = chain(2_000)
    leaf.label = lambda: None  # type: ignore[assignment]
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(root)
    leaf.label = "x"
    assert described(pickled(root)) == described(root)
