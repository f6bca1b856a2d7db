"""A micrograd notebook goes on working after its imports are changed to micrograd_plus."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from micrograd_nn import nn_over, train

from micrograd_plus import engine
from micrograd_plus.engine import Value


def test_the_example_of_its_readme() -> None:
    a = Value(-4.0)
    b = Value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    assert f"{g.data:.4f}" == "24.7041"
    g.backward()
    assert f"{a.grad:.4f}" == "138.8338"
    assert f"{b.grad:.4f}" == "645.5773"


# ---- its own nn.py over our Value


def test_its_nn_trains_over_our_value(monkeypatch: pytest.MonkeyPatch) -> None:
    import micrograd.engine as original

    wanted = train(nn_over(original, monkeypatch), original.Value, steps=8)
    got = train(nn_over(engine, monkeypatch), Value, steps=8)
    assert got[0] == pytest.approx(wanted[0], rel=1e-12)
    assert got[1] == pytest.approx(wanted[1], rel=1e-12, abs=1e-15)
    assert got[0][-1] < 0.8 * got[0][0]


def test_its_nn_shows_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    nn = nn_over(engine, monkeypatch)
    assert str(nn.MLP(2, [2, 1])) == (
        "MLP of [Layer of [ReLUNeuron(2), ReLUNeuron(2)], Layer of [LinearNeuron(2)]]"
    )


# ---- what notebooks read from a Value


def test_names_of_ops() -> None:
    a, b = Value(2.0, label="a"), Value(3.0)
    made = [a + b, a * b, a**2, a**0.5, a.relu(), a.tanh(), a.exp(), a + 1, 2 * a]
    assert [node._op for node in made] == [
        "+",
        "*",
        "**2",
        "**0.5",
        "ReLU",
        "tanh",
        "exp",
        "+",
        "*",
    ]
    assert (a._op, a.label, b.label) == ("", "a", "")


def test_previous_values() -> None:
    a, b = Value(2.0), Value(3.0)
    assert a._prev == set()
    assert (a * b)._prev == {a, b}
    assert (a + a)._prev == {a}
    assert (a**2)._prev == {a}  # as there, a constant exponent is part of the op
    assert (a**b)._prev == {a, b}
    assert (a.leaky_relu(0.1))._prev == {a}
    assert {child.data for child in (a + 1)._prev} == {2.0, 1.0}


def test_walks_over_previous_values() -> None:
    def trace(root: Any) -> tuple[set[Any], set[Any]]:
        nodes: set[Any] = set()
        edges = set()

        def build(v: Any) -> None:
            if v not in nodes:
                nodes.add(v)
                for child in v._prev:
                    edges.add((child, v))
                    build(child)

        build(root)
        return nodes, edges

    x1, x2 = Value(2.0, label="x1"), Value(0.0, label="x2")
    w1, w2 = Value(-3.0, label="w1"), Value(1.0, label="w2")
    b = Value(6.8813735870195432, label="b")
    x1w1 = x1 * w1
    x1w1.label = "x1*w1"
    x2w2 = x2 * w2
    n = x1w1 + x2w2 + b
    n.label = "n"
    o = n.tanh()
    nodes, edges = trace(o)
    assert (len(nodes), len(edges)) == (10, 9)
    assert {node.label for node in nodes if node._op == ""} == {"x1", "x2", "w1", "w2", "b"}
    for node in nodes:
        assert f"{{ {node.label} | data {node.data:.4f} | grad {node.grad:.4f} }}"
    o.backward()
    assert o.data == pytest.approx(math.sqrt(0.5))
    assert [v.grad for v in (x1, w1, x2, w2)] == pytest.approx([-1.5, 1.0, 0.5, 0.0])


def test_gradients_may_be_set_to_an_int() -> None:
    a = Value(2.0)
    a.grad = 0
    (a * 3).backward()
    assert a.grad == 3.0


def test_data_may_be_set_to_an_int() -> None:
    a = Value(2.0)
    a.data = 3
    assert ((a * a).data, (a / 2).data, a.tanh().data) == (9, 1.5, math.tanh(3))


# ---- our nn


def test_our_nn_takes_the_arguments_of_its_nn() -> None:
    import micrograd.nn as original

    from micrograd_plus import nn

    for build in (
        lambda module: module.Neuron(3),
        lambda module: module.Neuron(3, nonlin=False),
        lambda module: module.Layer(3, 2),
        lambda module: module.Layer(3, 2, nonlin=False),
        lambda module: module.MLP(3, [4, 4, 1]),
    ):
        random.seed(7)
        wanted = build(original)
        random.seed(7)
        got = build(nn)
        assert [p.data for p in got.parameters()] == [p.data for p in wanted.parameters()]
        x = [0.5, -1.5, 2.0]
        outputs, expected = got(x), wanted(x)
        if isinstance(expected, list):
            outputs, expected = sum(outputs), sum(expected)
        assert outputs.data == pytest.approx(expected.data, rel=1e-14)
        outputs.backward()
        expected.backward()
        for p, q in zip(got.parameters(), wanted.parameters(), strict=True):
            assert p.grad == pytest.approx(q.grad, rel=1e-12)
        got.zero_grad()
        assert [p.grad for p in got.parameters()] == [0.0] * len(got.parameters())


def test_our_neuron_has_the_attributes_of_its_neuron() -> None:
    from micrograd_plus.nn import MLP

    model = MLP(2, [3, 1])
    neuron = model.layers[0].neurons[0]
    assert [w.data for w in neuron.w] == [p.data for p in neuron.parameters()[:2]]
    assert neuron.b.data == 0
    assert len(model.parameters()) == 13
