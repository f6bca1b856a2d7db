"""Programs of PyTorch, .pt2 files: they run without any class of ours, for batches of any size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from exported import CLOSE, DRAW
from parity import flat, in_torch, noise, numbers, parts, pytorch, shaken

import micrograd_plus as mp
from micrograd_plus import nn

CNN = nn.Sequential(
    nn.Conv2d(1, 2, 3, padding=1, **DRAW),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(2 * 9, 3, **DRAW),
)
CASES: list[tuple[nn.Module, list[tuple[Any, ...]]]] = [
    (nn.MLP(3, [4, 2], **DRAW), [(noise(1, 3),), (noise(5, 3),)]),
    (CNN, [(noise(1, 1, 6, 6),), (noise(3, 1, 6, 6),)]),
    (nn.Conv2d(1, 2, 3, **DRAW), [(noise(1, 1, 4, 8),), (noise(3, 1, 5, 4),)]),
    (nn.LSTMCell(2, 3, **DRAW), [(noise(4, 2), (noise(4, 3), noise(4, 3, seed=1)))]),
    (
        nn.MultiHeadAttention(4, 2, **DRAW),
        [(noise(2, 3, 4), noise(2, 3, 4, seed=1), noise(2, 3, 4, seed=2))],
    ),
    (nn.GPT(5, 4, 2, 1, 3, **DRAW), [([[2]],), ([[2, 0, 4], [1, 2, 2], [3, 3, 0]],)]),
]


@pytest.mark.parametrize(("module", "calls"), CASES, ids=lambda case: type(case).__name__)
def test_a_program_computes_the_same(module: Any, calls: Any, tmp_path: Path) -> None:
    torch = pytorch()
    path, module = tmp_path / "model.pt2", shaken(module)
    mp.export(module, path)
    program = torch.export.load(path).module()
    for inputs in calls:
        found = program(
            *(torch.tensor(x) if isinstance(flat(x)[0], int) else in_torch(x) for x in inputs)
        )
        if isinstance(module, nn.MultiHeadAttention):
            found, _ = found
        for ours, theirs in zip(parts((module(*inputs),)), parts((found,)), strict=True):
            assert flat(theirs.tolist()) == pytest.approx(flat(numbers(ours)), **CLOSE)


def test_a_program_in_float32_with_more_data(tmp_path: Path) -> None:
    torch = pytorch()
    module, x = nn.Sequential(nn.Linear(2, 2, **DRAW), nn.Dropout()), noise(4, 2)
    mp.export(module, tmp_path / "model.pt2", dtype="float32", classes=["no", "yes"])
    extra = {"classes.json": ""}
    program = torch.export.load(tmp_path / "model.pt2", extra_files=extra).module()
    assert json.loads(extra["classes.json"]) == ["no", "yes"]
    found = program(in_torch(x).float())
    assert found.dtype == torch.float32
    assert flat(found.tolist()) == pytest.approx(flat(numbers(module.eval()(x))), rel=1e-6)


def test_what_has_no_program_is_refused(tmp_path: Path) -> None:
    pytorch()
    path = tmp_path / "model.pt2"
    for module in (nn.CharRNN(5, 3), nn.Sequential(nn.Linear(2, 2), nn.GRU(2, 2))):
        with pytest.raises(TypeError, match="for sequences of one length only"):
            mp.export(module, path)
    narrow = nn.Sequential(nn.Conv2d(1, 1, (1, 2)), nn.Flatten(), nn.Linear(7, 1))
    with pytest.raises(ValueError, match="takes no input of batch × 1 × height × width whose"):
        mp.export(narrow, path)
    with pytest.raises(TypeError, match="takes no targets: export the model"):
        mp.export(nn.MSELoss(), path)
    assert list(tmp_path.iterdir()) == []
