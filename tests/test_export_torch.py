"""Models that go to PyTorch and come back: the same outputs, gradients, settings and mode."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import pytest
from parity import assert_alike, flat, in_torch, noise, numbers, parts, pytorch, seeded, shaken

import micrograd_plus as mp
from micrograd_plus import Value, nn
from micrograd_plus.export.parts import ACTIVATIONS, as_sequential
from micrograd_plus.export.pytorch import TWINS

CLOSE = {"rel": 1e-12, "abs": 1e-12}
DRAW = {"generator": seeded()}
TOKENS = [[2, 0, 4], [1, 2, 2]]

# Modules, each with inputs. A list of ints, or of lists of them, is tokens or classes.
CASES: list[tuple[nn.Module, tuple[Any, ...]]] = [
    (nn.Linear(3, 2, **DRAW), (noise(4, 3),)),
    (nn.Linear(3, 2, bias=False, **DRAW), (noise(3),)),
    (nn.ReLU(), (noise(2, 3),)),
    (nn.Tanh(), (noise(2, 3),)),
    (nn.Sigmoid(), (noise(2, 3),)),
    (nn.SiLU(), (noise(2, 3),)),
    (nn.Softplus(), ([Value(x) for x in (-50.0, -1.0, 19.0, 21.0, 35.0, 45.0)],)),
    (nn.LeakyReLU(0.3), (noise(2, 3),)),
    (nn.ELU(0.7), (noise(2, 3),)),
    (nn.GELU(), (noise(2, 3),)),
    (nn.GELU("tanh"), (noise(2, 3),)),
    (nn.Softmax(), (noise(2, 2, 3),)),
    (nn.Dropout(0.3).eval(), (noise(2, 3),)),
    (nn.LayerNorm(3, eps=1e-3), (noise(2, 3),)),
    (nn.LayerNorm(3, bias=False), (noise(2, 3),)),
    (nn.LayerNorm(3, elementwise_affine=False), (noise(2, 3),)),
    (nn.RMSNorm(3), (noise(2, 3),)),
    (nn.RMSNorm(3, 1e-3, elementwise_affine=False), (noise(2, 3),)),
    (nn.BatchNorm1d(3, 1e-3, 0.3), (noise(4, 3),)),
    (nn.BatchNorm1d(3).eval(), (noise(4, 3, 2),)),
    (nn.Embedding(5, 3, **DRAW), (TOKENS,)),
    (nn.Conv1d(2, 3, 2, 2, 1, bias=False, **DRAW), (noise(2, 2, 5),)),
    (nn.Conv2d(2, 3, (2, 1), (1, 2), (1, 0), (2, 1), **DRAW), (noise(2, 2, 4, 3),)),
    (nn.MaxPool2d(2, 1, 1), (noise(2, 1, 3, 4),)),
    (nn.AvgPool2d((2, 3), padding=(1, 0)), (noise(2, 1, 4, 6),)),
    (nn.Flatten(-2), (noise(2, 3, 2),)),
    (nn.RNNCell(2, 3, nonlinearity="relu", **DRAW), (noise(2, 2), noise(2, 3))),
    (nn.LSTMCell(2, 3, bias=False, **DRAW), (noise(2, 2), (noise(2, 3), noise(2, 3, seed=1)))),
    (nn.GRUCell(2, 3, **DRAW), (noise(2, 2), noise(2, 3))),
    (nn.RNN(2, 3, 2, nonlinearity="relu", **DRAW), (noise(2, 4, 2),)),
    (nn.LSTM(2, 3, 2, **DRAW), (noise(2, 4, 2),)),
    (nn.GRU(2, 3, bias=False, **DRAW), (noise(4, 2),)),
    (nn.MultiHeadAttention(4, 2, **DRAW), (noise(2, 3, 4), noise(2, 5, 4), noise(2, 5, 4, seed=1))),
    (nn.MultiHeadAttention(4, 1, bias=False, **DRAW), (noise(3, 4), noise(3, 4), noise(3, 4))),
    (nn.TransformerBlock(4, 2, **DRAW), (noise(2, 3, 4),)),
    (nn.TransformerBlock(4, 2, bias=False, norm="rms", **DRAW), (noise(3, 4),)),
    (nn.TransformerBlock(4, 2, norm="rms", **DRAW).eval(), (noise(2, 3, 4),)),
    (nn.LearnedPositions(5, 2, **DRAW), (noise(2, 3, 2),)),
    (nn.SinusoidalPositions(5), (noise(2, 3, 5),)),
    (nn.GPT(5, 4, 2, 2, 3, **DRAW), (TOKENS,)),
    (nn.CharRNN(5, 3, 2, "lstm", **DRAW), (TOKENS,)),
    (nn.CharRNN(5, 3, 1, "gru", **DRAW), (TOKENS,)),
    (nn.MSELoss(), (noise(3), noise(3, seed=1))),
    (nn.L1Loss("sum"), (noise(3), noise(3, seed=1))),
    (nn.HuberLoss(delta=0.3), (noise(3), noise(3, seed=1))),
    (nn.BCELoss(), ([Value(0.2), Value(0.7)], [Value(0.0), Value(1.0)])),
    (nn.BCEWithLogitsLoss("none"), (noise(2), [Value(0.0), Value(1.0)])),
    (nn.CrossEntropyLoss(), (noise(2, 3), [2, 0])),
    (nn.Neuron(3, activation="sigmoid", **DRAW), (noise(3),)),
    (nn.Layer(3, 2, activation="gelu_tanh", **DRAW), (noise(4, 3),)),
    (nn.MLP(3, [4, 4, 2], activation="tanh", **DRAW), (noise(4, 3),)),
    (
        nn.Sequential(
            nn.Sequential(nn.Conv1d(2, 3, 2, **DRAW), nn.BatchNorm1d(3)).eval(),
            nn.Flatten(-2),
            nn.MLP(9, [2, 2], activation="leaky_relu", **DRAW),
            nn.Dropout(0.0),
        ),
        (noise(2, 2, 4),),
    ),
]
IN_PARTS = {nn.Neuron, nn.Layer, nn.MLP}  # these become a Sequential
WITHOUT_TWIN = {nn.Module, nn.LanguageModel, nn.HingeLoss}


def whole(x: Any) -> bool:
    """Whether an input is tokens or classes."""
    return isinstance(flat(x)[0], int)


def assert_twins(module: Any, twin: Any, inputs: tuple[Any, ...]) -> None:
    """Equal outputs and gradients."""
    torch = pytorch()
    module.zero_grad()
    twin.zero_grad()
    their_inputs = [torch.tensor(x) if whole(x) else in_torch(x) for x in inputs]
    theirs = twin(*their_inputs)
    if isinstance(module, nn.MultiHeadAttention):
        theirs, _ = theirs
    if type(module) is nn.Neuron:
        theirs = theirs[0]
    fresh = [x if whole(x) else copied(x) for x in inputs]
    smooth = [i for i, x in enumerate(inputs) if not whole(x) and not is_target(module, i)]
    assert_alike(
        module(*fresh),
        theirs,
        [[parts(fresh[i]) for i in smooth], in_their_order(module)],
        [*parts(tuple(their_inputs[i] for i in smooth)), *twin.parameters()],
        CLOSE,
    )


def is_target(module: Any, place: int) -> bool:
    """Whether an input is the target of a loss."""
    return isinstance(module, nn.loss.Loss) and place == 1


def copied(x: Any) -> Any:
    """The same numbers in new Values, in the same lists and tuples."""
    return type(x)(map(copied, x)) if isinstance(x, (list, tuple)) else Value(x.data)


def in_their_order(module: Any) -> list[Value]:
    """The parameters in the order of the twin's, each once."""
    if type(module) in IN_PARTS:
        return as_sequential(module).parameters()
    if not isinstance(module, nn.Sequential):
        return module.parameters()
    return list(dict.fromkeys(flat([in_their_order(child) for child in module])))


@pytest.mark.parametrize(("module", "inputs"), CASES, ids=lambda case: type(case).__name__)
def test_a_module_goes_to_pytorch_and_back(module: nn.Module, inputs: tuple[Any, ...]) -> None:
    pytorch()
    module = shaken(module)
    twin = mp.to_torch(module)
    state = module.state_dict()  # before a call, which changes the buffers
    back = mp.from_torch(twin)
    assert_twins(module, twin, inputs)
    if type(module) not in IN_PARTS and not isinstance(module, nn.Sequential):
        assert type(back) is type(module)
        assert back.config() == module.config()
        assert back.state_dict() == state
    assert back.training == module.training
    if type(module) is not nn.Neuron:
        assert_twins(back, mp.to_torch(back), inputs)


def test_every_module_is_in_the_table_or_has_no_twin() -> None:
    public = {thing for thing in vars(nn).values() if isinstance(thing, type)}
    modules = {thing for thing in public if issubclass(thing, nn.Module)}
    table = [twin.ours for twin in TWINS]
    assert len(table) == len({*table})
    assert {*table} | IN_PARTS | WITHOUT_TWIN | {nn.Sequential} == modules
    assert not {*table} & WITHOUT_TWIN
    assert {type(module) for module, _ in CASES} == {*table} | IN_PARTS | {nn.Sequential}


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
    with pytest.raises(TypeError, match=f"the activation '{name}' has no twin in torch.nn: "):
        mp.to_torch(nn.MLP(2, [2, 1], activation=name))


@pytest.mark.parametrize("name", [*ACTIVATIONS, "sin"])
def test_a_layer_in_parts_computes_the_same(name: str) -> None:
    layer, x = nn.Layer(2, 3, activation=name, **DRAW), noise(4, 2)
    assert numbers(as_sequential(layer)(x)) == numbers(layer(x))


class Own(nn.Module):
    """A class that nobody else has."""


def test_a_module_without_a_twin_is_refused_and_told_what_is_allowed() -> None:
    torch = pytorch()
    with pytest.raises(TypeError, match=r"Own has no twin in torch\.nn: .*Sequential, .*Linear"):
        mp.to_torch(nn.Sequential(nn.Linear(1, 1), Own()))
    with pytest.raises(TypeError, match=r"Bilinear has no twin in micrograd_plus\.nn: .*Linear"):
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
        ("Softmax", {"dim": 0}, "dim=0 has no twin in micrograd_plus.nn, only one with dim=-1"),
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
