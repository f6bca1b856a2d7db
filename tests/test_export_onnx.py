"""ONNX files: onnxruntime computes what the model computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from parity import flat, noise, numbers, seeded, shaken

import micrograd_plus as mp
from micrograd_plus import nn
from micrograd_plus.export.onnx_file import NODES

DRAW: Any = {"generator": seeded()}


def trained_norm() -> nn.Module:
    """A BatchNorm1d with a mean and a variance, in evaluation."""
    norm = nn.BatchNorm1d(3, eps=0.1)
    norm(noise(5, 3))
    return norm.eval()


CASES: list[nn.Module] = [
    nn.Linear(3, 2, **DRAW),
    nn.Linear(3, 2, bias=False, **DRAW),
    *(nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.SiLU(), nn.Softplus(), nn.LeakyReLU(0.3)),
    *(nn.ELU(0.7), nn.Softmax(), nn.Dropout().eval()),
    *(nn.LayerNorm(3, eps=0.1), nn.LayerNorm(3, elementwise_affine=False), nn.RMSNorm(3)),
    trained_norm(),
    nn.MLP(3, [4, 4, 1], activation="leaky_relu", **DRAW),
    nn.Sequential(nn.Linear(3, 4, **DRAW), nn.LayerNorm(4), nn.MLP(4, [2], **DRAW), nn.Softmax()),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("module", CASES, ids=lambda module: type(module).__name__)
def test_onnxruntime_computes_the_same(module: nn.Module, dtype: str, tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    onnxruntime = pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    path, module = tmp_path / "model.onnx", shaken(module)
    mp.export(module, path, dtype=dtype)
    made = onnx.load(path)
    assert (made.ir_version, made.opset_import[0].version) == (8, 17)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    near = 1e-12 if dtype == "float64" else 1e-6
    for batch in (1, 4):
        x = noise(batch, 3)
        (y,) = session.run(["y"], {"x": numpy.array(numbers(x), dtype=dtype)})
        assert y.dtype == dtype
        assert flat(y) == pytest.approx(flat(numbers(module(x))), rel=near, abs=near)


def test_every_entry_of_the_table_is_tested() -> None:
    assert {*NODES} <= {type(module) for module in CASES}


def test_the_widths_are_in_the_file(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    for model, expected in ((nn.MLP(3, [4, 2]), (3, 2)), (nn.ReLU(), ("width", "width"))):
        mp.export(model, tmp_path / "model.onnx")
        graph = onnx.load(tmp_path / "model.onnx").graph
        for value, width in zip((graph.input[0], graph.output[0]), expected, strict=True):
            batch, found = value.type.tensor_type.shape.dim
            assert batch.dim_param == "batch"
            assert (found.dim_value or found.dim_param) == width


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    path = tmp_path / "model.onnx"
    with pytest.raises(TypeError, match=r"Conv1d cannot be exported to ONNX: .*, Linear, ReLU"):
        mp.export(nn.Sequential(nn.Conv1d(1, 1, 1)), path)
    with pytest.raises(TypeError, match="the activation 'sin' cannot be exported"):
        mp.export(nn.MLP(1, [1, 1], activation="sin"), path)
    with pytest.raises(ValueError, match="dtype must be 'float64' or 'float32', not 'int8'"):
        mp.export(nn.ReLU(), path, dtype="int8")
    assert list(tmp_path.iterdir()) == []
