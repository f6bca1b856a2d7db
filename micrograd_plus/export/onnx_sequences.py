"""The nodes of modules over sequences: tokens, positions, attention, recurrent networks, a GPT.

Each function adds the nodes of a module that is applied to the array x, a batch of sequences of one
length, which may be any length. onnxruntime has RNN, LSTM and GRU in float32 only; here a Scan
repeats the nodes of a cell.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .. import nn
from .onnx_graph import Graph, States
from .onnx_layers import layer_norm, linear, rms_norm

Step = Callable[[Graph, Any, str, States], States]
"""Adds the nodes of a step of a cell, from its weighted input and states; returns the states."""


# ---- tokens and positions


def embedding(graph: Graph, module: Any, tokens: str) -> str:
    """The row of each token; a token that is none is an error there."""
    graph.axes += 1
    end = graph.constant(module.num_embeddings, "int64")  # Gather would count a negative one back
    row = graph.add("Where", graph.add("Less", tokens, graph.constant(0, "int64")), end, tokens)
    return graph.add("Gather", graph.constant(module.state_dict()["weight"]), row)


def learned_positions(graph: Graph, module: Any, x: str) -> str:
    """Adds a row of the table; a sequence beyond the context is an error there."""
    rows = graph.constant(module.state_dict()["weight"])
    rows = graph.add("Gather", rows, graph.places(x, 1))
    # onnxruntime makes a slice of it, which may be one row for any length: an error for Reshape.
    rows = graph.add("Reshape", rows, graph.add("Shape", x, start=1))
    return graph.add("Add", x, rows)


def sinusoidal_positions(graph: Graph, module: Any, x: str) -> str:
    """Adds waves, computed in float64 whatever the type of the file."""
    powers = [10000 ** (2 * (i // 2) / module.width) for i in range(module.width)]
    place = graph.add("Unsqueeze", graph.cast(graph.places(x, 1), "float64"), graph.whole(1))
    angles = graph.add("Div", place, graph.constant(powers, "float64"))
    even = graph.constant([i % 2 == 0 for i in range(module.width)], "bool")
    waves = graph.add("Where", even, graph.add("Sin", angles), graph.add("Cos", angles))
    return graph.add("Add", x, graph.cast(waves))


# ---- attention


def attention(graph: Graph, module: Any, x: str, causal: bool = False) -> str:
    """Every position attends to all, or, if it is causal, to those up to itself."""
    state, size = module.state_dict(), module.embed_dim // module.num_heads
    together = graph.linear(x, state["in_proj_weight"], state.get("in_proj_bias"))
    shape = graph.whole(0, 0, module.num_heads, size)  # 0 keeps an axis
    queries, keys, values = (
        graph.add("Transpose", graph.add("Reshape", part, shape), perm=order)
        for part, order in zip(
            graph.add_several(3, "Split", together, axis=-1),
            ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]),
        )
    )
    fits = graph.add("MatMul", queries, keys)
    fits = graph.add("Div", fits, graph.constant(math.sqrt(size)))
    if causal:
        key = graph.places(x, 1)
        query = graph.add("Unsqueeze", key, graph.whole(1))
        seen = graph.add("LessOrEqual", key, query)
        fits = graph.add("Where", seen, fits, graph.constant(-math.inf))
    answers = graph.add("MatMul", graph.add("Softmax", fits, axis=-1), values)
    answers = graph.add("Transpose", answers, perm=[0, 2, 1, 3])
    return linear(graph, module.out_proj, graph.add("Reshape", answers, graph.whole(0, 0, -1)))


def block(graph: Graph, module: Any, x: str, causal: bool = False) -> str:
    """Attention, then two weighted sums, each added to its input."""
    norm = layer_norm if module.norm == "layer" else rms_norm
    attended = attention(graph, module.self_attn, norm(graph, module.norm1, x), causal)
    x = graph.add("Add", x, attended)
    hidden = linear(graph, module.linear1, norm(graph, module.norm2, x))
    return graph.add("Add", x, linear(graph, module.linear2, graph.add("Relu", hidden)))


def gpt(graph: Graph, module: Any, tokens: str) -> str:
    """The logits after each token."""
    x = learned_positions(graph, module.positions, embedding(graph, module.tokens, tokens))
    x = rms_norm(graph, module.norm, x)
    for part in module.blocks:
        x = block(graph, part, x, causal=True)
    return linear(graph, module.head, x)


# ---- recurrence


def char_rnn(graph: Graph, module: Any, tokens: str) -> str:
    """The logits after each token."""
    x, _ = recurrent(graph, module.recurrent, embedding(graph, module.tokens, tokens))
    return linear(graph, module.head, x)


def recurrent(graph: Graph, module: Any, x: str) -> tuple[str, States]:
    """The hidden states of the last layer at every step, and each part of the last state.

    The first state is zeros.
    """
    lasts = []
    for cell in module.cells:
        size = graph.constant([cell.hidden_size], "int64")
        size = graph.add("Concat", graph.add("Shape", x, start=0, end=1), size, axis=0)
        zero = graph.onnx.numpy_helper.from_array(graph.numpy.zeros(1, graph.dtype))
        zeros = graph.add("ConstantOfShape", size, value=zero)

        def step(inside: Graph, weighted: str, states: States, cell: Any = cell) -> States:
            return STEPS[type(cell)](inside, cell, weighted, states)

        x, last = graph.scan(step, weighted_input(graph, cell, x), [zeros] * cell.parts)
        lasts.append([graph.add("Unsqueeze", part, graph.whole(0)) for part in last])
    return x, [graph.add("Concat", *parts, axis=0) for parts in zip(*lasts)]


def weighted_input(graph: Graph, cell: Any, x: str) -> str:
    """The part of the weighted sums that no state is in, for all steps at once."""
    state = cell.state_dict()
    return graph.linear(x, state["weight_ih"], state.get("bias_ih"))


def _weighted_state(graph: Graph, cell: Any, h: str) -> str:
    state = cell.state_dict()
    return graph.linear(h, state["weight_hh"], state.get("bias_hh"))


def _rnn(graph: Graph, cell: Any, x: str, states: States) -> States:
    total = graph.add("Add", x, _weighted_state(graph, cell, states[0]))
    return [graph.add(cell.nonlinearity.capitalize(), total)]


def _lstm(graph: Graph, cell: Any, x: str, states: States) -> States:
    h, c = states
    total = graph.add("Add", x, _weighted_state(graph, cell, h))
    i, f, g, o = graph.add_several(4, "Split", total, axis=-1)
    i, f, o = (graph.add("Sigmoid", gate) for gate in (i, f, o))
    kept, new = graph.add("Mul", f, c), graph.add("Mul", i, graph.add("Tanh", g))
    c = graph.add("Add", kept, new)
    return [graph.add("Mul", o, graph.add("Tanh", c)), c]


def _gru(graph: Graph, cell: Any, x: str, states: States) -> States:
    (h,) = states
    seen = graph.add_several(3, "Split", x, axis=-1)
    kept = graph.add_several(3, "Split", _weighted_state(graph, cell, h), axis=-1)
    r, z = (graph.add("Sigmoid", graph.add("Add", *pair)) for pair in zip(seen[:2], kept))
    n = graph.add("Tanh", graph.add("Add", seen[2], graph.add("Mul", r, kept[2])))
    # (1 - z) * n + z * h
    return [graph.add("Add", n, graph.add("Mul", z, graph.add("Sub", h, n)))]


STEPS: dict[type[nn.Module], Step] = {nn.RNNCell: _rnn, nn.LSTMCell: _lstm, nn.GRUCell: _gru}
"""The step of each cell."""
