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
    """x_1, x1 and x₁ are all typeset as x with an index."""
    return re.sub(r"_(\d+)$", r"\1", name).translate({0x2080 + i: str(i) for i in range(10)})


@given(
    st.lists(st.sampled_from(["", "a", "a_2", "a2", "a_2_2", "a (1)", "a₂", "L", "v1", "v_2", "2"]))
)
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
    assert [name.path for name in called] == list(whole)


def found_in(model: nn.Module, root: Value) -> dict[str, tuple[str, str]]:
    """The names of a model's parameters in a graph, by their paths."""
    found = names_of(topological_order(root))
    whole = dict(model.named_parameters())
    assert all(found[p].path == path for path, p in whole.items() if p in found)
    return {path: (str(found[p]), found[p].words) for path, p in whole.items() if p in found}


def test_the_names_of_an_mlp() -> None:
    model = nn.MLP(2, [4, 1], generator=random.Random(0))
    found = found_in(model, model([0.5, -1.0]))
    assert found["layers.0.neurons.3.w[0]"] == ("w₁,₄⁽¹⁾", "layer 1, neuron 4, weight 1")
    assert found["layers.0.neurons.3.b"] == ("b₄⁽¹⁾", "layer 1, neuron 4, bias")
    assert found["layers.1.neurons.0.w[3]"] == ("w₄,₁⁽²⁾", "layer 2, neuron 1, weight 4")


def test_the_names_of_linear_layers() -> None:
    generator = random.Random(0)
    model = nn.Sequential(
        nn.Linear(2, 12, generator=generator), nn.ReLU(), nn.Linear(12, 1, generator=generator)
    )
    found = found_in(model, model([0.5, -1.0])[0])
    assert found["0.weight[11][1]"] == ("W₁₂,₂⁽¹⁾", "layer 1, weight, row 12, column 2")
    assert found["2.bias[0]"] == ("b₁⁽²⁾", "layer 2, bias 1")
    linear = nn.Linear(2, 1, generator=generator)
    assert found_in(linear, linear([0.5, -1.0])[0])["weight[0][1]"][0] == "W₁,₂"


@pytest.mark.parametrize(
    ("cell", "path", "name", "words"),
    [
        (nn.RNN, "weight_hh_l0[1][0]", "W_hh₂,₁", "hidden weight, row 2, column 1"),
        (
            nn.LSTM, "weight_hh_l0[3][0]", "W_hf₂,₁",
            "forget gate, hidden weight, row 2, column 1",
        ),
        (nn.LSTM, "bias_ih_l0[6]", "b_io₁", "output gate, input bias 1"),
        (nn.GRU, "weight_ih_l0[5][0]", "W_in₂,₁", "candidate, input weight, row 2, column 1"),
    ],
)  # fmt: skip
def test_the_names_of_gates(cell: type[nn.Module], path: str, name: str, words: str) -> None:
    """As in the formulas of PyTorch's documentation: W_hf, from the hidden state to the gate f."""
    model = cell(1, 2, generator=random.Random(0))  # type: ignore[call-arg]
    output, _ = model([[0.5], [1.0]])
    assert found_in(model, output[-1][0] + output[-1][1])[path] == (name, words)


def test_several_layers_of_cells_are_numbered() -> None:
    model = nn.LSTM(1, 1, 2, generator=random.Random(0))
    found = found_in(model, model([[0.5], [1.0]])[0][-1][0])
    assert found["weight_hh_l1[1][0]"] == (
        "W_hf₁,₁⁽²⁾", "layer 2, forget gate, hidden weight, row 1, column 1",
    )  # fmt: skip


def test_the_names_in_a_gpt() -> None:
    model = nn.GPT(3, 2, 1, 2, 4, generator=random.Random(0))
    found = found_in(model, mp.losses.cross_entropy(model([0, 1, 2]), [1, 2, 0]))
    assert found["tokens.weight[2][0]"] == ("tokens.W₃,₁", "tokens, weight, row 3, column 1")
    assert found["blocks.1.linear1.weight[4][1]"][0] == "linear1.W₅,₂⁽²⁾"
    assert found["blocks.0.self_attn.in_proj_weight[5][0]"] == (
        "self_attn.W_v₂,₁⁽¹⁾", "block 1, self attn, value, weight, row 2, column 1",
    )  # fmt: skip
    assert len({name for name, _ in found.values()}) == len(found)


def test_the_names_of_a_kernel() -> None:
    model = nn.Conv2d(1, 2, 2, generator=random.Random(0))
    found = found_in(model, model([[[1.0, 2.0], [3.0, 4.0]]])[1][0][0])
    assert found["weight[1][0][1][0]"] == (
        "W₂,₁,₂,₁", "weight, output channel 2, input channel 1, row 2, column 1",
    )  # fmt: skip


def test_a_parameter_of_a_class_of_ones_own() -> None:
    class Line(nn.Module):
        def __init__(self) -> None:
            self.slope, self.table = Value(2.0), {"x": [Value(1.0)]}

        def forward(self, x: float) -> Value:
            return self.slope * x + self.table["x"][0]

    line = Line()
    found = found_in(line, line(3.0))
    assert found == {"slope": ("slope", "slope"), "table.x[0]": ("table.x₁", "table.x 1")}


def test_a_neuron_needs_no_path() -> None:
    neuron = nn.Neuron(2, generator=random.Random(0))
    found = names_of(topological_order(neuron([0.5, -1.0])))
    assert [found[p] for p in neuron.parameters()] == ["w₁", "w₂", "b"]


def test_a_parameters_label_comes_first() -> None:
    neuron = nn.Neuron(2, generator=random.Random(0))
    neuron.b.label = "bias"
    found = names_of(topological_order(neuron([0.5, -1.0])))
    assert [found[p] for p in neuron.parameters()] == ["w₁", "w₂", "bias"]


def test_two_models_side_by_side() -> None:
    pair = [nn.Neuron(1, generator=random.Random(i)) for i in range(2)]
    found = names_of(topological_order(pair[0]([1.0]) + pair[1]([2.0])))
    called = [found[p] for neuron in pair for p in neuron.parameters()]
    assert called == ["model1.w₁", "model1.b", "model2.w₁", "model2.b"]
    assert called[2].words == "model 2, weight 1"


def test_a_part_of_a_model_that_is_called_again_is_no_model_of_its_own() -> None:
    model = nn.MLP(2, [2, 1], generator=random.Random(0))
    x = [0.5, -1.0]
    found = found_in(model, model.layers[0](x)[0] + model(x))
    assert found["layers.0.neurons.1.b"][0] == "b₂⁽¹⁾"
