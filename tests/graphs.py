"""The random graphs that hypothesis makes, over Values or over PyTorch's tensors."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

import micrograd_plus.functional as mf
from micrograd_plus.engine import Value

UNARY = [
    *("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tan", "tanh", "sigmoid", "relu"),
    *("softplus", "gelu", "gelu_tanh", "silu", "abs", "erf", "neg", "leaky_relu", "elu"),
]


BINARY = ["add", "sub", "mul", "div", "pow", "maximum", "minimum"]


LISTS = ["sum", "dot", "max", "min", "logsumexp"]


CONDITIONS = ["lt", "le"]  # which `where` takes


def random_step(name: str, chosen: list[Any], library: Any) -> Any:
    """One op over earlier results, moved to where it is smooth and stays moderate."""
    a, b = chosen[0], chosen[1]
    if name in ("log", "sqrt", "log1p"):
        a = a * a + 0.5
    elif name == "exp" or name == "expm1":
        a = library("tanh", a)
    elif name == "div":
        b = b * b + 0.5
    elif name == "pow":
        a, b = a * a + 0.5, library("tanh", b)
    elif name == "tan":
        a = library("sin", a)
    if name in CONDITIONS:
        return library("where", library(name, a, b), a, b)
    if name in UNARY:
        return library(name, a)
    if name in BINARY:
        return library(name, a, b)
    return library(name, *([chosen, chosen[::-1]] if name == "dot" else [chosen]))


def ours(name: str, *operands: Any) -> Value:
    method = getattr(mf, name)
    return method(*operands, 0.2) if name in ("leaky_relu", "elu") else method(*operands)


def pytorchs(name: str, *operands: Any) -> Any:
    import torch

    functional = torch.nn.functional
    if name in LISTS:
        operands = tuple(torch.stack(row) for row in operands)
    special = {
        "relu": functional.relu,
        "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
        "gelu": functional.gelu,
        "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
        "silu": functional.silu,
        "leaky_relu": lambda x: functional.leaky_relu(x, 0.2),
        "elu": lambda x: functional.elu(x, 0.2),
        "lt": lambda a, b: (a < b).double(),
        "le": lambda a, b: (a <= b).double(),
        "where": lambda condition, a, b: torch.where(condition != 0, a, b),
        "max": torch.max,
        "logsumexp": lambda x: torch.logsumexp(x, 0),
    }
    return (special.get(name) or getattr(torch, name))(*operands)


STEPS = st.lists(
    st.tuples(
        st.sampled_from([*UNARY, *BINARY, *LISTS, *CONDITIONS]),
        st.lists(st.integers(0, 10**6), min_size=2, max_size=4),
    ),
    min_size=3,
    max_size=25,
)


LEAVES = st.lists(st.floats(-2, 2), min_size=2, max_size=4)


def build(leaves: list[Any], steps: Any, library: Any) -> Any:
    made = list(leaves)
    for name, places in steps:
        # Mostly recent results, and often the same twice: deep graphs with shared nodes.
        chosen = [made[-1 - place % min(len(made), 6)] for place in places]
        result = random_step(name, chosen, library)
        made.append(library("tanh", result * 0.3))
    return library("sum", made)
