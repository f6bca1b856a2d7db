"""Models that go to PyTorch and come back: the same outputs, gradients, settings and mode."""

from __future__ import annotations

import itertools
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from exported import CASES, CLOSE, DRAW, assert_twins
from parity import flat, in_torch, noise, numbers, parts, pytorch, shaken

import micrograd_plus as mp
from micrograd_plus import nn
from micrograd_plus.export.parts import ACTIVATIONS, as_sequential
from micrograd_plus.export.pytorch import EQUIVALENTS


@pytest.mark.parametrize(
    ("module", "inputs"),
    [
        (nn.BatchNorm1d(3, 1e-3, 0.3), (noise(4, 3),)),
        (nn.BatchNorm1d(3).eval(), (noise(4, 3, 2),)),
        (nn.Softmax(), (noise(2, 2, 3),)),
        (nn.Linear(3, 2, **DRAW), (noise(3),)),
        (nn.GRU(2, 3, **DRAW), (noise(4, 2),)),
        (nn.TransformerBlock(4, 2, **DRAW), (noise(3, 4),)),
    ],
    ids=lambda case: type(case).__name__,
)
def test_in_training_and_for_inputs_of_other_depths(
    module: nn.Module, inputs: tuple[Any, ...]
) -> None:
    pytorch()
    module = shaken(module)
    twin = mp.to_torch(module)
    state = module.state_dict()  # before a call, which changes the buffers
    back = mp.from_torch(twin)
    assert_twins(module, twin, inputs)
    assert back.config() == module.config()
    assert back.state_dict() == state
    assert back.training == module.training
    assert_twins(back, mp.to_torch(back), inputs)


def test_a_float32_model_of_pytorch_comes_with_the_same_numbers() -> None:
    torch = pytorch()
    torch.manual_seed(0)
    theirs = torch.nn.Sequential(
        torch.nn.Linear(3, 4),
        torch.nn.Softplus(),
        torch.nn.RMSNorm(4),
        torch.nn.LayerNorm((4,)),
        torch.nn.Softmax(dim=-1),
    )
    ours = mp.from_torch(theirs)
    assert ours.state_dict() == {k: v.tolist() for k, v in theirs.state_dict().items()}
    x = noise(2, 3)
    assert flat(numbers(ours(x))) == pytest.approx(flat(theirs.double()(in_torch(x))), **CLOSE)


@pytest.mark.parametrize("context", [1, 2])
def test_a_sequence_beyond_the_context_is_an_error(context: int) -> None:
    torch = pytorch()
    twin = mp.to_torch(nn.GPT(5, 4, 2, 1, context=context, **DRAW))
    assert twin(torch.zeros(2, context, dtype=torch.long)).shape == (2, context, 5)
    with pytest.raises(RuntimeError, match="exceeds dimension size"):
        twin(torch.zeros(2, context + 1, dtype=torch.long))


def test_building_draws_none_of_pytorchs_random_numbers() -> None:
    torch = pytorch()
    torch.manual_seed(7)
    expected = torch.rand(2).tolist()
    torch.manual_seed(7)
    mp.to_torch(nn.MLP(2, [3, 1]))
    assert torch.rand(2).tolist() == expected


def test_parameters_that_two_modules_share_stay_shared() -> None:
    pytorch()
    first, second, same = nn.Linear(2, 2, **DRAW), nn.Linear(2, 2, bias=False, **DRAW), nn.Tanh()
    second.weight = first.weight
    ours = nn.Sequential(first, same, second, same, first)
    twin = mp.to_torch(ours)
    assert twin[0].weight is twin[2].weight
    assert twin[0] is twin[4]
    back: Any = mp.from_torch(twin)
    assert back[0] is back[4]
    assert len(back.parameters()) == len(ours.parameters()) == 6
    for made in (ours, back):
        assert_twins(made, twin, (noise(3, 2),))


def test_each_module_keeps_its_mode() -> None:
    pytorch()
    ours = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2).eval(), nn.MLP(2, [1]).eval())
    twin = mp.to_torch(ours)
    assert [part.training for part in twin] == [True, False, False]
    assert twin.training
    back: Any = mp.from_torch(twin.eval())
    assert not any(part.training for part in back.modules())


@pytest.mark.parametrize("name", ["sin", "abs"])
def test_an_activation_that_is_no_module(name: str) -> None:
    pytorch()
    with pytest.raises(TypeError, match=f"the activation '{name}' has no equivalent in torch.nn: "):
        mp.to_torch(nn.MLP(2, [2, 1], activation=name))


@pytest.mark.parametrize("name", [*ACTIVATIONS, "sin"])
def test_a_layer_in_parts_computes_the_same(name: str) -> None:
    layer, x = nn.Layer(2, 3, activation=name, **DRAW), noise(4, 2)
    assert numbers(as_sequential(layer)(x)) == numbers(layer(x))


class Own(nn.Module):
    """A class that nobody else has."""


def test_a_module_without_a_twin_is_refused_and_told_what_is_allowed() -> None:
    torch = pytorch()
    with pytest.raises(
        TypeError, match=r"Own has no equivalent in torch\.nn: .*Sequential, .*Linear"
    ):
        mp.to_torch(nn.Sequential(nn.Linear(1, 1), Own()))
    with pytest.raises(
        TypeError, match=r"Bilinear has no equivalent in micrograd_plus\.nn: .*Linear"
    ):
        mp.from_torch(torch.nn.Sequential(torch.nn.Bilinear(1, 1, 1)))
    with pytest.raises(TypeError, match="takes three inputs: use a TransformerBlock"):
        mp.to_torch(nn.Sequential(nn.MultiHeadAttention(2, 1)))
    with pytest.raises(TypeError, match="to_torch takes a model"):
        mp.to_torch(torch.nn.Linear(1, 1))
    with pytest.raises(TypeError, match=r"from_torch takes a torch\.nn\.Module, not Linear"):
        mp.from_torch(nn.Linear(1, 1))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "arguments", "complaint"),
    [
        ("LSTM", {"input_size": 1, "hidden_size": 1}, "batch_first=False"),
        (
            "GRU",
            {"input_size": 1, "hidden_size": 1, "batch_first": True, "bidirectional": True},
            "bi",
        ),
        (
            "Softmax",
            {"dim": 0},
            "dim=0 has no equivalent in micrograd_plus.nn, only one with dim=-1",
        ),
        ("BatchNorm1d", {"num_features": 2, "affine": False}, "affine=False"),
        ("BatchNorm1d", {"num_features": 2, "momentum": None}, "momentum=None"),
        (
            "Conv1d",
            {"in_channels": 2, "out_channels": 2, "kernel_size": 1, "groups": 2},
            "groups=2",
        ),
        ("LayerNorm", {"normalized_shape": (2, 3)}, r"normalized_shape must be .* not \(2, 3\)"),
        ("TransformerEncoderLayer", {"d_model": 2, "nhead": 1}, "norm_first=False"),
        (
            "TransformerEncoderLayer",
            {
                **{"d_model": 2, "nhead": 1, "dim_feedforward": 8, "dropout": 0.0},
                **{"norm_first": True, "batch_first": True, "activation": partial(abs)},
            },
            "only one with activation.__name__='relu'",
        ),
        ("CrossEntropyLoss", {"label_smoothing": 0.1}, "label_smoothing=0.1"),
    ],
)
def test_a_setting_that_ours_lacks_is_refused(name: str, arguments: Any, complaint: str) -> None:
    torch = pytorch()
    with pytest.raises(ValueError, match=complaint):
        mp.from_torch(getattr(torch.nn, name)(**arguments))


def test_without_pytorch_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="pip install torch"):
        mp.to_torch(nn.ReLU())


# ---- the table for those who go on

TABLE_FILE = Path(__file__).parent.parent / "notebooks" / "guide" / "going-on.md"
TABLE_HEADING = "| ours, in `nn` | theirs, in `torch.nn` |"
GROUPS = {
    "their cells": (nn.RNNCell, nn.LSTMCell, nn.GRUCell),
    "activations": (
        *(nn.ReLU, nn.Tanh, nn.Sigmoid, nn.SiLU, nn.Softplus, nn.LeakyReLU, nn.ELU, nn.GELU),
        nn.Softmax,
    ),
    "pooling": (nn.MaxPool2d, nn.AvgPool2d),
    "losses": tuple(twin.ours for twin in EQUIVALENTS if issubclass(twin.ours, nn.loss.Loss)),
    "positions": (nn.LearnedPositions, nn.SinusoidalPositions),
}


def rows_of_the_table() -> list[tuple[str, str]]:
    lines = TABLE_FILE.read_text("utf-8").partition(TABLE_HEADING)[2].splitlines()[2:]
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines)
    return [tuple(map(str.strip, row.strip("|").split("|"))) for row in rows]  # type: ignore[misc]


def named(ours: str) -> list[type[nn.Module]]:
    """The classes of a row's first cell."""
    found = [getattr(nn, name) for name in re.findall(r"`(\w+)", ours)]
    return [*found, *(kind for group in GROUPS if group in ours for kind in GROUPS[group])]


def assert_as_the_table_says(module: nn.Module, ours: str, theirs: str) -> None:
    torch = pytorch()
    twin, name = mp.to_torch(module), type(module).__name__
    is_of_torch = type(twin) is getattr(torch.nn, type(twin).__name__, None)
    assert is_of_torch == (theirs != "classes that `to_torch` gives")
    if theirs.startswith("the same"):
        assert type(twin).__name__ == name
    if "with the same arguments" in theirs and not isinstance(module, nn.Sequential):
        assert repr(type(twin)(**module.config()).double()) == repr(twin)
    if "`batch_first=True`" in theirs and name in ("RNN", "LSTM", "GRU"):
        assert twin.batch_first
    if theirs == "`Sequential` of `Linear` and activations":
        assert type(twin) is torch.nn.Sequential
        kinds = {type(part).__name__ for part in twin}
        assert kinds <= {"Linear", *(kind.__name__ for kind in GROUPS["activations"])}
    if "(" in theirs:  # it is written how they are made
        sizes = {"width": 4, "heads": 2}
        made = eval(theirs.strip("`"), vars(torch.nn) | sizes).double()
        there = mp.to_torch(eval(ours.strip("`"), vars(nn) | sizes))
        made.load_state_dict(there.state_dict())
        x = [in_torch(noise(2, 3, 4))] * (3 if name == "MultiHeadAttention" else 1)
        found, wanted = (parts((module(*x),))[0] for module in (made, there))
        assert flat(found) == flat(wanted)


def test_each_row_of_the_table_is_true() -> None:
    rows = rows_of_the_table()
    assert rows
    seen = []
    for ours, theirs in rows:
        kinds = named(ours)
        assert kinds, ours
        for kind in kinds:
            for module, _ in CASES:
                if type(module) is kind:
                    assert_as_the_table_says(module, ours, theirs)
        seen += kinds
    assert len(seen) == len({*seen})
    assert {*seen} == {type(module) for module, _ in CASES}
