"""Every module, wherever it goes, gives the outputs that it gives here."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from exported import CASES, IN_PARTS, assert_twins, whole
from parity import flat, numbers, parts, pytorch, shaken

import micrograd_plus as mp
from micrograd_plus import nn
from micrograd_plus.export.pytorch import EQUIVALENTS

np = pytest.importorskip("numpy")
WITHOUT_TWIN = {nn.Module, nn.LanguageModel, nn.HingeLoss}


def plain(x: Any) -> Any:
    return x if whole(x) else numbers(x)


def each_of(inputs: tuple[Any, ...]) -> list[Any]:
    """What is in tuples, one after the other."""
    return [part for x in inputs for part in parts(x if isinstance(x, tuple) else (x,))]


def outputs_here(module: nn.Module, inputs: tuple[Any, ...]) -> list[list[float]]:
    return [flat(numbers(part)) for part in parts((module(*inputs),))]


def in_onnx(module: nn.Module, inputs: tuple[Any, ...], folder: Path, dtype: str) -> None:
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    path = folder / "model.onnx"
    if isinstance(module, nn.loss.Loss):
        with pytest.raises(TypeError, match="takes no targets: export the model"):
            mp.export(module, path)
        return
    if isinstance(module, nn.MultiHeadAttention):
        inputs = inputs[:1]  # a sequence attends to itself
    mp.export(module, path, dtype=dtype)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = {
        put.name: np.array(plain(x), dtype="int64" if whole(x) else dtype)
        for put, x in zip(session.get_inputs(), each_of(inputs), strict=True)
    }
    near = 1e-12 if dtype == "float64" else 1e-6
    expected = outputs_here(module, inputs)
    for found, wanted in zip(session.run(None, given), expected, strict=True):
        assert found.dtype == dtype
        assert flat(found) == pytest.approx(wanted, rel=near, abs=near)


def in_safetensors(module: nn.Module, inputs: tuple[Any, ...], folder: Path) -> None:
    pytest.importorskip("safetensors")
    mp.export(module, folder / "model.safetensors")
    other = shaken(copy.deepcopy(module))
    mp.load_weights(other, folder / "model.safetensors")
    assert other.state_dict() == module.state_dict()
    assert outputs_here(other, inputs) == outputs_here(module, inputs)


def to_torch(module: nn.Module, inputs: tuple[Any, ...], folder: Path) -> None:
    pytorch()
    assert_twins(module, mp.to_torch(module), inputs)


def from_torch(module: nn.Module, inputs: tuple[Any, ...], folder: Path) -> None:
    pytorch()
    back = mp.from_torch(mp.to_torch(module))
    if type(module) not in IN_PARTS and not isinstance(module, nn.Sequential):
        assert type(back) is type(module)
        assert back.config() == module.config()
        assert back.state_dict() == module.state_dict()
    assert back.training == module.training
    assert outputs_here(back, inputs) == outputs_here(module, inputs)


def as_source(module: nn.Module, inputs: tuple[Any, ...], folder: Path, library: str) -> None:
    package = pytest.importorskip(library)
    if not isinstance(module, nn.loss.Loss):
        inputs = inputs[:1]  # a state begins as zeros, and a sequence attends to itself
    batches = [plain(x) for x in inputs]
    names: dict[str, Any] = {}
    exec(mp.as_source(module, library, *[batch[0] for batch in batches]), names)
    predict = names["predict"]
    if library == "jax":
        predict = package.jit(predict, compiler_options={"xla_backend_optimization_level": "0"})
    found = np.asarray(predict(names["PARAMETERS"], *map(np.array, batches)))
    wanted = [
        [x for part in outputs_here(module, example) for x in part] for example in zip(*inputs)
    ]
    assert math.prod(found.shape) == len(flat(wanted))
    assert flat(found) == pytest.approx(flat(wanted), rel=1e-9, abs=1e-9)


TARGETS: dict[str, Callable[[nn.Module, tuple[Any, ...], Path], None]] = {
    "onnx float64": lambda *case: in_onnx(*case, "float64"),
    "onnx float32": lambda *case: in_onnx(*case, "float32"),
    "safetensors": in_safetensors,
    "to_torch": to_torch,
    "from_torch": from_torch,
    "numpy source": lambda *case: as_source(*case, "numpy"),
    "jax source": lambda *case: as_source(*case, "jax"),
    "torch source": lambda *case: as_source(*case, "torch"),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("module", "inputs"), CASES, ids=lambda case: type(case).__name__)
def test_a_module_computes_the_same(
    module: nn.Module, inputs: tuple[Any, ...], target: str, tmp_path: Path
) -> None:
    TARGETS[target](shaken(copy.deepcopy(module)), inputs, tmp_path)


def test_every_module_is_a_case() -> None:
    public = {thing for thing in vars(nn).values() if isinstance(thing, type)}
    modules = {thing for thing in public if issubclass(thing, nn.Module)}
    assert {type(module) for module, _ in CASES} == modules - WITHOUT_TWIN
    twins = [twin.ours for twin in EQUIVALENTS]
    assert len(twins) == len({*twins})
    assert {*twins} | IN_PARTS | {nn.Sequential} == modules - WITHOUT_TWIN
