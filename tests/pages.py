"""Graphs that are shown in pages, and what the pages' own engine should find in them."""

from __future__ import annotations

import json
import math
import random
from importlib.resources import files
from typing import Any

import pytest

import micrograd_plus as mp
from micrograd_plus import nn
from micrograd_plus.classroom import faults
from micrograd_plus.engine import Value, topological_order
from micrograd_plus.explorer import Explorer
from micrograd_plus.explorer.lesson import functions, language
from micrograd_plus.ops import TABLE

HOSTILE = [
    "</script><script>window.hacked = 1</script>",
    '"><img src=x onerror="window.hacked = 1">',
    "${window.hacked = 1} $title $$ $& &lt;b&gt;",
    "'\\\"`<!--",
    "🎓 شبكة \u202e",
    "one\ntwo\u2028three",
    "w" * 500,
]


def neuron() -> Value:
    """Karpathy's example."""
    return mp.parse("tanh(x1*w1 + x2*w2 + b)", x1=2, x2=0.5, w1=-3, w2=1, b=6.88)


def mlp(*sizes: int, activation: str = "relu") -> nn.MLP:
    generator = random.Random(0)
    return nn.MLP(sizes[0], sizes[1:], activation=activation, generator=generator)


def diamonds(depth: int) -> Value:
    """x + x of x + x of …: 2**depth paths."""
    x = Value(1.0, label="x")
    for _ in range(depth):
        x = x + x
    return x


def close(a: float, b: float, scale: float = 0.0) -> bool:
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or abs(a - b) <= 1e-12 * max(abs(a), abs(b), scale)


def chain(length: int) -> Value:
    x = Value(0.3, label="x")
    for _ in range(length):
        x = x.tanh()
    return x


def played(fault: faults.Fault, root: Value) -> tuple[list[float], list[float]]:
    """The numbers of the engine with a fault: those of both passes, where zero_grad is missing."""
    order = topological_order(root)
    for value in order:
        value.grad = 0.0
    with fault():
        if fault.doubled:
            for value in order:
                if value.op is not None:
                    value.data = value.op.forward(*[x.data for x in value.operands])
        for _ in range(1 + fault.keeps):
            root.backward()
    return [value.data for value in order], [value.grad for value in order]


def corrected(fault: faults.Fault, root: Value) -> tuple[list[float], list[float]]:
    """The numbers as they should be: with both passes changed, where the forward pass was."""
    order = topological_order(root)
    data = [value.data for value in order]
    if fault.doubled:
        op = TABLE[fault.doubled]
        original = op.partials

        def partials(out: float, *numbers: float) -> list[float]:
            return [2 * partial for partial in original(out / 2, *numbers)]

        with fault(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(op, "partials", partials)
            for value in order:
                if value.op is not None:
                    value.data = value.op.forward(*[x.data for x in value.operands])
            found = [value.data for value in order], gradients(root)
        for value, number in zip(order, data):
            value.data = number
        return found
    return data, gradients(root)


def gradients(root: Value) -> list[float]:
    order = topological_order(root)
    for value in order:
        value.grad = 0.0
    root.backward()
    return [value.grad for value in order]


_ENGINE = ("tape.js", "words.js", "boxes.js")


def in_the_page(explorer: Explorer, expression: str) -> str:
    """A script for Node: the page's engine and words, and an expression to be printed."""
    lesson = explorer.lesson
    data = {**language(lesson.ops), **lesson.data(), "views": explorer.views.data()}
    folder = files("micrograd_plus.explorer")
    scripts = [folder.joinpath(name).read_text("utf-8") for name in _ENGINE]
    plain = "(_, x) => (ArrayBuffer.isView(x) ? [...x] : x)"
    numbers = "(k, x) => (typeof x === 'number' && !Number.isFinite(x) ? String(x) : x)"
    return "\n".join(
        [
            f"const LESSON = {json.dumps(data)};",
            functions(lesson.ops, lesson.optimizer),
            *scripts,
            "const NUMBERS = LESSON.nodes.map(({ data }) => Number(data));",
            f"const RESULT = JSON.parse(JSON.stringify({expression}, "
            f"(k, x) => ({numbers})(k, ({plain})(k, x))));",
            "console.log(JSON.stringify(RESULT));",
        ]
    )


def numbers_in(found: Any) -> Any:
    if isinstance(found, list):
        return [numbers_in(item) for item in found]
    if isinstance(found, dict):
        return {key: numbers_in(item) for key, item in found.items()}
    return float(found) if found in ("NaN", "Infinity", "-Infinity") else found
