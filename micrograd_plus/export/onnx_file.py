"""Networks as ONNX files, which onnxruntime and many other programs run.

`NODES` is the table: for each class, what adds its nodes to the graph. A node is an operation of
ONNX over a whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .. import nn
from ..support.files import write_atomically
from . import onnx_layers as layers
from . import onnx_sequences as sequences
from .inputs import CELLS, LAYERS, taken
from .onnx_graph import Graph
from .parts import Function, in_parts

Writer = Callable[[Graph, Any, str], str]
"""Adds the nodes of a module that is applied to the result of this name; returns the new name."""


def _sequential(graph: Graph, module: Any, x: str) -> str:
    for part in module:
        x = written(graph, part, x)
    return x


NODES: dict[type[nn.Module], Writer] = {
    nn.Sequential: _sequential,
    nn.Linear: layers.linear,
    **dict.fromkeys(
        (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.SiLU, nn.Softplus, nn.LeakyReLU, nn.ELU),
        layers.activation,
    ),
    nn.GELU: layers.gelu,
    nn.Softmax: layers.softmax,
    nn.Dropout: layers.same,
    nn.LayerNorm: layers.layer_norm,
    nn.RMSNorm: layers.rms_norm,
    nn.BatchNorm1d: layers.batch_norm,
    nn.Conv1d: layers.conv,
    nn.Conv2d: layers.conv,
    nn.MaxPool2d: layers.max_pool,
    nn.AvgPool2d: layers.average_pool,
    nn.Flatten: layers.flatten,
    nn.Embedding: sequences.embedding,
    nn.LearnedPositions: sequences.learned_positions,
    nn.SinusoidalPositions: sequences.sinusoidal_positions,
    nn.MultiHeadAttention: sequences.attention,
    nn.TransformerBlock: sequences.block,
    nn.GPT: sequences.gpt,
    nn.CharRNN: sequences.char_rnn,
}


def write(model: nn.Module, path: Path, dtype: str, about: Mapping[str, Any]) -> None:
    """Writes `model` as a graph; TypeError for a module that is not in the table."""
    graph, model = Graph(dtype), in_parts(model)
    axes, tokens = taken(model)
    graph.axes = len(axes)
    x = graph.add_input("x", axes, "int64" if tokens else None)
    if isinstance(model, CELLS):
        results = _stepped(graph, model, x)
    elif isinstance(model, LAYERS):
        output, states = sequences.recurrent(graph, model, x)
        results = dict(zip(("y", "h_n", "c_n"), (output, *states)))
    else:
        results = {"y": written(graph, model, x)}
    for name, result in results.items():
        graph.add_output(name, result)
    write_atomically(path, graph.model(about).SerializeToString())


def _stepped(graph: Graph, cell: Any, x: str) -> dict[str, str]:
    """The state of a cell after one step, from the state before, which is an input, too."""
    size = ("batch", cell.hidden_size)
    before = [graph.add_input(name, size) for name in ("h_0", "c_0")[: cell.parts]]
    weighted = sequences.weighted_input(graph, cell, x)
    after = sequences.STEPS[type(cell)](graph, cell, weighted, before)
    return dict(zip(("h_1", "c_1"), after))


def written(graph: Graph, module: nn.Module, x: str) -> str:
    """Adds the nodes of a module that is applied to x; returns the result."""
    if isinstance(module, Function):
        return layers.activation(graph, module, x)
    if type(module) not in NODES:
        kinds = [nn.MLP, nn.Layer, nn.Neuron, *NODES]
        state = ", as it returns a state, too" * isinstance(module, (*CELLS, *LAYERS))
        alone = [kind.__name__ for kind in (*CELLS, *LAYERS)]
        raise TypeError(
            f"{type(module).__name__} cannot be exported to ONNX as a part of a model{state}: only "
            f"{', '.join(kind.__name__ for kind in kinds)}; and, alone, {', '.join(alone)}"
        )
    return NODES[type(module)](graph, module, x)
