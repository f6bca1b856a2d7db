"""What the tests of exporting share: every module with a batch, and outputs and gradients there."""

from __future__ import annotations

from typing import Any

from parity import assert_alike, flat, in_torch, noise, parts, pytorch, seeded

from micrograd_plus import Value, nn
from micrograd_plus.export.parts import as_sequential

CLOSE = {"rel": 1e-12, "abs": 1e-12}
DRAW: Any = {"generator": seeded()}
TOKENS = [[2, 0, 4], [1, 2, 2]]


def _trained_norm() -> nn.Module:
    """A BatchNorm1d with a mean and a variance, in evaluation."""
    norm = nn.BatchNorm1d(3, eps=0.1)
    norm(noise(5, 3))
    return norm.eval()


# Modules, each with the arguments of a call, which are batches. A list of ints, or of lists of
# them, is tokens or classes.
CASES: list[tuple[nn.Module, tuple[Any, ...]]] = [
    (nn.Linear(3, 2, **DRAW), (noise(4, 3),)),
    (nn.Linear(3, 2, bias=False, **DRAW), (noise(4, 3),)),
    (nn.ReLU(), (noise(2, 3),)),
    (nn.Tanh(), (noise(2, 3),)),
    (nn.Sigmoid(), (noise(2, 3),)),
    (nn.SiLU(), (noise(2, 3),)),
    (nn.Softplus(), ([[Value(x)] for x in (-50.0, -1.0, 19.0, 21.0, 35.0, 45.0)],)),
    (nn.LeakyReLU(0.3), (noise(2, 3),)),
    (nn.ELU(0.7), (noise(2, 3),)),
    (nn.GELU(), (noise(2, 3),)),
    (nn.GELU("tanh"), (noise(2, 3),)),
    (nn.Softmax(), (noise(2, 3),)),
    (nn.Dropout(0.3).eval(), (noise(2, 3),)),
    (nn.LayerNorm(3, eps=1e-3), (noise(2, 3),)),
    (nn.LayerNorm(3, bias=False), (noise(2, 3),)),
    (nn.LayerNorm(3, elementwise_affine=False), (noise(2, 3),)),
    (nn.RMSNorm(3), (noise(2, 3),)),
    (nn.RMSNorm(3, 1e-3, elementwise_affine=False), (noise(2, 3),)),
    (_trained_norm(), (noise(4, 3),)),
    (nn.Embedding(5, 3, **DRAW), (TOKENS,)),
    (nn.Conv1d(2, 3, 2, 2, 1, 2, bias=False, **DRAW), (noise(2, 2, 5),)),
    (nn.Conv2d(2, 3, (2, 1), (1, 2), (1, 0), (2, 1), **DRAW), (noise(2, 2, 4, 3),)),
    (nn.MaxPool2d(2, 1, 1), (noise(2, 1, 3, 4),)),
    (nn.AvgPool2d((2, 3), padding=(1, 0)), (noise(2, 1, 4, 6),)),
    (nn.Flatten(-2), (noise(2, 3, 2),)),
    (nn.Flatten(), (noise(2, 1, 3, 2),)),
    (nn.RNNCell(2, 3, nonlinearity="relu", **DRAW), (noise(2, 2), noise(2, 3))),
    (nn.LSTMCell(2, 3, bias=False, **DRAW), (noise(2, 2), (noise(2, 3), noise(2, 3, seed=1)))),
    (nn.GRUCell(2, 3, **DRAW), (noise(2, 2), noise(2, 3))),
    (nn.RNN(2, 3, 2, nonlinearity="relu", **DRAW), (noise(2, 3, 2),)),
    (nn.LSTM(2, 3, 2, **DRAW), (noise(2, 3, 2),)),
    (nn.GRU(2, 3, bias=False, **DRAW), (noise(2, 3, 2),)),
    (nn.MultiHeadAttention(4, 2, **DRAW), (noise(2, 3, 4), noise(2, 5, 4), noise(2, 5, 4, seed=1))),
    (nn.MultiHeadAttention(4, 1, bias=False, **DRAW), (noise(2, 3, 4),) * 3),
    (nn.TransformerBlock(4, 2, **DRAW), (noise(2, 3, 4),)),
    (nn.TransformerBlock(4, 2, bias=False, norm="rms", **DRAW), (noise(2, 3, 4),)),
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
    (nn.Neuron(3, activation="sigmoid", **DRAW), (noise(4, 3),)),
    (nn.Layer(3, 2, activation="gelu_tanh", **DRAW), (noise(4, 3),)),
    (nn.MLP(3, [4, 4, 2], activation="tanh", **DRAW), (noise(4, 3),)),
    (
        nn.Sequential(
            nn.Sequential(nn.Conv1d(2, 3, 2, **DRAW), nn.SiLU()),
            nn.Flatten(-2),
            nn.MLP(9, [2, 2], activation="leaky_relu", **DRAW),
            nn.Dropout(0.3),
        ).eval(),
        (noise(2, 2, 4),),
    ),
]
IN_PARTS = {nn.Neuron, nn.Layer, nn.MLP}  # these become a Sequential


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
        theirs = theirs[..., 0]
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
