"""Files of weights: what is written, what PyTorch writes, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from parity import flat, noise, numbers, pytorch, seeded, shaken

import micrograd_plus as mp
from micrograd_plus import nn


def made(seed: int) -> dict[str, nn.Module]:
    draw = {"generator": seeded(seed)}
    return {
        "MLP": nn.MLP(2, [3, 3, 1], activation="sin", **draw),
        "Neuron": nn.Neuron(3, **draw),
        "CNN": nn.Sequential(nn.Conv1d(2, 3, 2, **draw), nn.BatchNorm1d(3), nn.MLP(3, [2], **draw)),
        "LSTM": nn.LSTM(2, 3, 2, **draw),
        "GPT": nn.GPT(5, 4, 2, **draw),
        "ReLU": nn.ReLU(),
    }


@pytest.mark.parametrize("name", made(0))
def test_weights_come_back_to_the_last_bit(name: str, tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    model, other = shaken(made(0)[name]), made(1)[name]
    mp.export(model, tmp_path / "model.safetensors")
    mp.load_weights(other, tmp_path / "model.safetensors")
    assert other.state_dict() == model.state_dict()


def test_weights_in_float32(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    model = made(0)["LSTM"]
    mp.export(model, tmp_path / "model.safetensors", dtype="float32")
    arrays = safetensors.load_file(tmp_path / "model.safetensors")
    assert {array.dtype.name for array in arrays.values()} == {"float32"}
    for name, weights in model.state_dict().items():
        assert arrays[name].ravel().tolist() == pytest.approx(flat(weights), rel=1e-7)


def test_pytorch_reads_the_file(tmp_path: Path) -> None:
    pytorch()
    safetensors = pytest.importorskip("safetensors.torch")
    model = made(0)["CNN"]
    mp.export(model, tmp_path / "model.safetensors")
    twin = mp.to_torch(made(1)["CNN"])
    twin.load_state_dict(safetensors.load_file(tmp_path / "model.safetensors"))
    assert mp.from_torch(twin).state_dict() == mp.from_torch(mp.to_torch(model)).state_dict()


@pytest.mark.parametrize("kind", ["float64", "float32", "float16"])
def test_a_file_that_pytorch_wrote_loads(kind: str, tmp_path: Path) -> None:
    torch = pytorch()
    safetensors = pytest.importorskip("safetensors.torch")
    theirs = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    theirs = theirs.to(getattr(torch, kind))
    safetensors.save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")
    model, x = nn.MLP(2, [3, 1]), noise(4, 2)
    mp.load_weights(model, tmp_path / "theirs.safetensors")
    assert numbers(model(x)) == [row[0] for row in numbers(mp.from_torch(theirs)(x))]


def test_a_type_of_numbers_that_numpy_lacks(tmp_path: Path) -> None:
    torch = pytorch()
    safetensors = pytest.importorskip("safetensors.torch")
    path = tmp_path / "theirs.safetensors"
    safetensors.save_file(torch.nn.Linear(2, 1).bfloat16().state_dict(), path)
    with pytest.raises(ValueError, match="the type 'BF16', which NumPy lacks: write them as F32"):
        mp.load_weights(nn.Linear(2, 1), path)


def test_what_does_not_fit_is_named_and_changes_nothing(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    path = tmp_path / "model.safetensors"
    mp.export(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), path)
    model: Any = nn.Sequential(nn.Linear(2, 3), nn.Linear(4, 1, bias=False), nn.BatchNorm1d(1))
    before = model.state_dict()
    with pytest.raises(ValueError, match="cannot be loaded") as error:
        mp.load_weights(model, path)
    for complaint in (
        str(path),
        "1.bias is unknown",
        "1.weight has shape (1, 3), not (1, 4)",
        "2.running_mean is missing",
    ):
        assert complaint in str(error.value)
    assert model.state_dict() == before


@pytest.mark.parametrize("kept", [0, 7, 100, -1])
def test_a_file_that_is_not_complete_is_refused(kept: int, tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    path, model = tmp_path / "model.safetensors", nn.Linear(2, 1)
    mp.export(model, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match="is not a complete safetensors file"):
        mp.load_weights(model, path)
    with pytest.raises(FileNotFoundError):
        mp.load_weights(model, tmp_path / "none.safetensors")


def test_bad_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"files that end in \.safetensors.*, not 'model\.doc'"):
        mp.export(nn.ReLU(), tmp_path / "model.doc")
    with pytest.raises(TypeError, match="export takes a model"):
        mp.export([1.0], tmp_path / "model.safetensors")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="load_weights takes a model"):
        mp.load_weights("model", tmp_path / "model.safetensors")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("library", ["safetensors", "onnx"])
def test_without_the_library_the_error_names_the_command(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == library] + [library]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"{library}: pip install .*\[export\]"):
        mp.export(nn.ReLU(), tmp_path / f"model.{library}")
