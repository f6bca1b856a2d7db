"""Ops that select hand the gradient to what they chose, and nothing to the rest, as PyTorch does.

Random graphs whose numbers are inf, nan, signed zeros and ties are where it shows: nothing is 0
whatever comes from above, where 0 * inf would be nan.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest

import micrograd_plus as mp
from micrograd_plus import functional
from micrograd_plus.engine import Value, apply
from micrograd_plus.ops import TABLE
from micrograd_plus.symbols import Symbol, flow, nothing, where

NUMBERS = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -2.0, 3.0, math.inf, -math.inf, math.nan, 1e-3, -0.5]
ONE = [
    *("neg", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "abs", "sigmoid", "tanh"),
    *("exp", "log", "sqrt", "sin", "cos", "erf", "expm1", "log1p"),
]
TWO = ["add", "sub", "mul", "div", "pow", "maximum", "minimum"]
MANY = ["max", "min", "sum"]


class Graph(NamedTuple):
    """Leaves, and steps: the name of an op and the places of its operands."""

    leaves: list[float]
    steps: list[tuple[str, list[int]]]


def random_graph(seed: int) -> Graph:
    rng = random.Random(seed)
    leaves = [rng.choice(NUMBERS) for _ in range(rng.randint(1, 3))]
    steps = []
    for size in range(len(leaves), len(leaves) + rng.randint(1, 6)):
        name = rng.choice([*ONE, *TWO, *MANY, "where"])
        count = rng.randint(1, 3) if name in MANY else 2 if name in TWO else 1
        operands = [rng.randrange(size) for _ in range(count)]
        if name == "where":  # PyTorch's conditions are bools, behind which there is no graph
            operands = [rng.randrange(len(leaves)), rng.randrange(size), rng.randrange(size)]
        steps.append((name, operands))
    return Graph(leaves, steps)


def result(graph: Graph, leaves: Sequence[Any], make: Callable[..., Any]) -> Any:
    values = list(leaves)
    for name, operands in graph.steps:
        values.append(make(name, *[values[i] for i in operands]))
    return values[-1]


def ours(name: str, *operands: Value) -> Value:
    if TABLE[name].nary:
        return functional.__getattr__(name)(operands)
    return apply(TABLE[name], *operands)


def eager(graph: Graph) -> list[float]:
    leaves = [Value(x) for x in graph.leaves]
    root = result(graph, leaves, ours)
    root.backward()
    return [root.data, *[leaf.grad for leaf in leaves]]


def compiled(graph: Graph) -> list[float]:
    leaves = [Value(x) for x in graph.leaves]
    step = mp.compile(lambda x: result(graph, leaves, ours))
    loss = step([[0.0]])
    return [loss, *[leaf.grad for leaf in leaves]]


def in_pytorch() -> Callable[..., Any]:
    torch = pytest.importorskip("torch")
    zero = torch.zeros((), dtype=torch.float64)
    named = {
        **{name: getattr(torch.nn.functional, name) for name in ("elu", "gelu", "silu")},
        "leaky_relu": lambda x: torch.nn.functional.leaky_relu(x, 0.01),
        "softplus": lambda x: torch.logaddexp(x, zero),
        "max": lambda *x: torch.max(torch.stack(x)),
        "min": lambda *x: torch.min(torch.stack(x)),
        "sum": lambda *x: sum(x[1:], x[0]),
        "where": lambda c, a, b: torch.where(c != 0, a, b),
    }
    return lambda name, *operands: (named.get(name) or getattr(torch, name))(*operands)


def theirs(graph: Graph, make: Callable[..., Any]) -> list[float]:
    import torch

    leaves = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in graph.leaves]
    root = result(graph, leaves, make)
    gradients = torch.autograd.grad(root, leaves, allow_unused=True)
    return [root.item(), *[0.0 if g is None else g.item() for g in gradients]]


def differ(a: float, b: float) -> bool:
    # x / x has the gradient 1/x - x/x²: exactly 0 or the rounding of 1/x
    return not (a == b or (a != a and b != b) or abs(a - b) <= 1e-9 * max(abs(a), abs(b), 1e-3))


def differences(count: int, one: Callable[[Graph], list[float]], other: Any) -> list[Any]:
    graphs = [random_graph(seed) for seed in range(count)]
    return [
        (graph, got, wanted)
        for graph in graphs
        if any(map(differ, got := one(graph), wanted := other(graph)))
    ]


def test_20_000_random_graphs_agree_with_pytorch() -> None:
    make = in_pytorch()
    found = differences(20_000, eager, lambda graph: theirs(graph, make))
    assert not found, f"{len(found)} graphs differ, the first: {found[0]}"


def test_compiled_graphs_agree_with_eager_ones() -> None:
    pytest.importorskip("llvmlite")
    found = differences(500, compiled, eager)
    assert not found, f"{len(found)} graphs differ, the first: {found[0]}"


def test_the_example_of_the_report() -> None:
    x = Value(-1.0)
    x.relu().sqrt().backward()  # sqrt has the slope inf at 0
    assert x.grad == 0.0


def test_nothing_is_0_whatever_it_is_multiplied_by() -> None:
    for x in (math.inf, -math.inf, math.nan, 2.0, 3):
        assert (x * nothing, nothing * x) == (0.0, 0.0)
    assert nothing == 0.0
    assert nothing + 1.0 == 1.0


def test_flow_leaves_what_was_not_chosen_alone() -> None:
    x, g = Symbol("x"), Symbol("g")
    assert flow(g, where(x > 0, x, nothing)) == where(x > 0, g * x, 0.0)
    assert flow(g, x) == g * x
    assert flow(g, nothing) == 0.0
