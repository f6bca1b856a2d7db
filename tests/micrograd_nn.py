"""micrograd's own nn.py over another engine, and its training loop."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def nn_over(engine_module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A fresh copy of micrograd's nn, which finds `engine_module` as micrograd.engine."""
    monkeypatch.setitem(sys.modules, "micrograd.engine", engine_module)
    package = importlib.util.find_spec("micrograd")
    assert package is not None
    assert package.origin is not None
    path = Path(package.origin).with_name("nn.py")
    spec = importlib.util.spec_from_file_location(f"nn_over_{engine_module.__name__}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.Value is engine_module.Value  # type: ignore[attr-defined]
    return module


def train(nn: Any, value: Any, steps: int) -> tuple[list[float], list[float]]:
    """The losses and the last parameters of the training in micrograd's demo notebook."""
    random.seed(1337)
    model = nn.MLP(2, [8, 8, 1])
    points = [(random.uniform(-1, 1), random.uniform(-1, 1)) for _ in range(20)]
    targets = [1 if x * y > 0 else -1 for x, y in points]
    losses = []
    for step in range(steps):
        scores = [model(list(map(value, point))) for point in points]
        hinges = [
            (1 + -target * score).relu() for target, score in zip(targets, scores, strict=True)
        ]
        data_loss = sum(hinges) * (1.0 / len(hinges))
        total = data_loss + 1e-4 * sum(p * p for p in model.parameters())
        model.zero_grad()
        total.backward()
        for p in model.parameters():
            p.data -= (1.0 - 0.9 * step / 100) * p.grad
        losses.append(total.data)
    return losses, [p.data for p in model.parameters()]
