"""Names for the values of a graph: labels where there are some, and all different."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import micrograd_plus as mp
from micrograd_plus import Value, nn
from micrograd_plus.engine import Constant, topological_order
from micrograd_plus.formulas.names import names_of


def names(root: Value) -> list[str]:
    order = topological_order(root)
    found = names_of(order)
    assert list(found) == order
    return list(found.values())


def test_labels_numbers_and_the_rest() -> None:
    a, b = Value(2.0, label="a"), Value(-3.0)
    assert names((a * b + 0.5 * a).tanh()) == ["a", "v1", "v2", "0.5", "v3", "v4", "L"]


def test_the_root() -> None:
    a = Value(2.0, label="a")
    assert names(a) == ["a"]
    assert names(Value(2.0)) == ["v1"]
    root = 2 * a
    root.label = "loss"
    assert names(root) == ["2", "a", "loss"]
    assert names(Value(1.0, label="L") * a) == ["L", "a", "v1"]


def test_a_label_that_looks_like_a_name_of_ours() -> None:
    assert names(Value(1.0, label="v1") + Value(2.0) * Value(3.0)) == ["v1", "v2", "v3", "v4", "L"]


def test_a_constant_with_a_label() -> None:
    x = Value(2.0, label="x").detach()
    assert names(x * Value(1.0, label="w")) == ["x", "w", "L"]


def test_labels_that_occur_again() -> None:
    row = [Value(float(i), label="w") for i in range(3)]
    found = names(row[0] * row[1] * row[2])
    assert found[0] == "w"
    assert len(set(found)) == len(found)
    assert all(name.startswith("w") for name in found if name not in ("v1", "L"))


def look(name: str) -> str:
    """x_1 and x1 are both typeset as x with an index."""
    return re.sub(r"_(\d+)$", r"\1", name)


@given(st.lists(st.sampled_from(["", "a", "a_2", "a2", "a_2_2", "a (1)", "L", "v1", "v_2", "2"])))
def test_no_two_are_the_same(labels: list[str]) -> None:
    root = Value(0.0)
    for i, label in enumerate(labels):
        root = root * Value(float(i), label=label) + 1
    order = topological_order(root)
    found = names_of(order)
    of_values = [name for x, name in found.items() if not isinstance(x, Constant)]
    assert len(set(of_values)) == len(of_values)
    assert len({look(name) for name in of_values}) == len(of_values)
    looks = [look(label) for label in labels]
    for value in order:
        if value.label and looks.count(look(value.label)) == 1:
            assert found[value] == value.label


# ---- parameters


@pytest.mark.parametrize("widths", [[1], [2, 1], [3, 3, 1]])
def test_parameters_are_called_by_their_place(widths: list[int]) -> None:
    model = nn.MLP(2, widths, generator=random.Random(0))
    order = topological_order(mp.losses.mse(model([0.5, -1.0]), 1.0))
    found = names_of(order)
    whole = dict(model.named_parameters())
    called = [found[p] for p in whole.values()]
    assert len(set(called)) == len(called)
    for path, p in whole.items():
        assert found[p].split(".")[-1] == path.split(".")[-1]


def test_a_neuron_needs_no_path() -> None:
    neuron = nn.Neuron(2, generator=random.Random(0))
    found = names_of(topological_order(neuron([0.5, -1.0])))
    assert [found[p] for p in neuron.parameters()] == ["w[0]", "w[1]", "b"]


def test_a_parameters_label_comes_first() -> None:
    neuron = nn.Neuron(2, generator=random.Random(0))
    neuron.b.label = "bias"
    found = names_of(topological_order(neuron([0.5, -1.0])))
    assert [found[p] for p in neuron.parameters()] == ["w[0]", "w[1]", "bias"]


def test_two_models_side_by_side() -> None:
    pair = [nn.Neuron(1, generator=random.Random(i)) for i in range(2)]
    found = names_of(topological_order(pair[0]([1.0]) + pair[1]([2.0])))
    called = [found[p] for neuron in pair for p in neuron.parameters()]
    assert len(set(called)) == 4
