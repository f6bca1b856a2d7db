"""ONNX files: sizes, edges of formulas, metadata, and what is refused. For parity see
test_export_parity."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from exported import CASES, DRAW
from parity import flat, noise, numbers, shaken

import micrograd_plus as mp
from micrograd_plus import nn
from micrograd_plus.export.inputs import CELLS, LAYERS
from micrograd_plus.export.onnx_file import NODES
from micrograd_plus.ops import TABLE, Op, op
from micrograd_plus.symbols import FUNCTIONS, ON_FLOATS, exp, function

np = pytest.importorskip("numpy")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # an error is raised, too
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def sizes(value: Any) -> list[Any]:
    dims = value.type.tensor_type.shape.dim
    return [dim.dim_value or dim.dim_param or None for dim in dims]


def test_every_module_has_nodes_or_is_written_alone() -> None:
    losses = {type(module) for module, _ in CASES if isinstance(module, nn.loss.Loss)}
    in_parts = {nn.Neuron, nn.Layer, nn.MLP}
    kinds = {type(module) for module, _ in CASES}
    assert {*NODES, *CELLS, *LAYERS} == kinds - losses - in_parts


# ---- sizes


@pytest.mark.parametrize(
    ("model", "before", "after"),
    [
        (nn.MLP(3, [4, 2]), ["batch", 3], ["batch", 2]),
        (nn.ReLU(), ["batch", "width"], ["batch", "width"]),
        (nn.BatchNorm1d(3), ["batch", 3], ["batch", 3]),
        (nn.Conv1d(2, 3, 2), ["batch", 2, "length"], ["batch", 3, None]),
        (nn.Sequential(nn.Tanh(), nn.Conv2d(1, 2, 1)), ["batch", 1, "height", "width"], None),
        (nn.Sequential(nn.Flatten(), nn.Linear(4, 1)), None, ["batch", 1]),
        (nn.Sequential(nn.Linear(3, 4), nn.TransformerBlock(4, 2)), ["batch", "length", 3], None),
        (nn.Sequential(nn.Embedding(5, 2), nn.Flatten(-2)), ["batch", "length"], ["batch", None]),
        (nn.LSTM(2, 3), ["batch", "length", 2], ["batch", "length", 3]),
    ],
    ids=lambda case: type(case).__name__,
)
def test_the_sizes_are_in_the_file(model: Any, before: Any, after: Any, tmp_path: Path) -> None:
    mp.export(model, tmp_path / "model.onnx")
    made = onnx.load(tmp_path / "model.onnx")
    assert (made.ir_version, [(v.domain, v.version) for v in made.opset_import]) == (8, [("", 17)])
    assert before in (None, sizes(made.graph.input[0]))
    assert after in (None, sizes(made.graph.output[0]))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_one_file_takes_batches_and_sequences_of_any_size(dtype: str, tmp_path: Path) -> None:
    gpt = shaken(nn.GPT(5, 4, 2, 1, context=6, **DRAW))
    rnn = shaken(nn.CharRNN(5, 3, 1, "rnn", **DRAW))
    cnn = shaken(nn.Conv2d(1, 2, (2, 3), 2, 1, **DRAW))
    near = 1e-12 if dtype == "float64" else 1e-6
    tokens: list[Any] = [[[3]], [[0, 1, 2, 3, 4, 0]], [[1, 2], [3, 4], [0, 0]]]
    images = [noise(1, 1, 1, 1), noise(2, 1, 5, 2), noise(1, 1, 4, 7)]
    for model, batches in ((gpt, tokens), (rnn, tokens), (cnn, images)):
        mp.export(model, tmp_path / "model.onnx", dtype=dtype)
        run = session(tmp_path / "model.onnx").run
        for batch in batches:
            x = np.array(batch) if model is not cnn else np.array(numbers(batch), dtype=dtype)
            assert flat(run(["y"], {"x": x})[0]) == pytest.approx(
                flat(numbers(model(batch))), rel=near, abs=near
            )


@pytest.mark.parametrize("context", [1, 2])
def test_what_eager_code_refuses_is_an_error_in_the_file(context: int, tmp_path: Path) -> None:
    gpt = nn.GPT(5, 4, 2, 1, context=context, **DRAW)
    mp.export(gpt, tmp_path / "model.onnx")
    run = session(tmp_path / "model.onnx").run
    for tokens in ([0] * (context + 1), [0] * (context + 4), [5], [-1], [-5], [-6]):
        with pytest.raises((ValueError, IndexError), match=r"at most|ints from 0 to 4"):
            gpt(tokens)
        with pytest.raises(Exception, match="Non-zero status code"):
            run(["y"], {"x": np.array([tokens])})


def test_a_batch_norm_after_a_convolution(tmp_path: Path) -> None:
    norm = nn.BatchNorm1d(3)
    model = shaken(nn.Sequential(nn.Conv1d(2, 3, 2, **DRAW), norm, nn.Flatten(-2)))
    model(noise(4, 2, 5, seed=1))
    mp.export(model.eval(), tmp_path / "model.onnx")
    x = noise(2, 2, 5)
    (y,) = session(tmp_path / "model.onnx").run(["y"], {"x": np.array(numbers(x))})
    assert flat(y) == pytest.approx(flat(numbers(model(x))), rel=1e-12, abs=1e-12)


# ---- formulas

ACTIVATIONS = [
    entry
    for entry in TABLE.values()
    if not entry.nary and len(entry.operands) - len(entry.defaults) == 1
]


def applied(entry: Op, path: Path, dtype: str, x: list[float]) -> list[float]:
    """What onnxruntime gives for an activation of a Neuron whose weighted sum is its input."""
    neuron = nn.Neuron(1, activation=entry.name)
    neuron.load_state_dict({"w": [1.0], "b": 0.0})
    mp.export(neuron, path, dtype=dtype)
    (y,) = session(path).run(["y"], {"x": np.array(x, dtype=dtype)[:, None]})
    return flat(y)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_activation_also_at_its_edges(dtype: str, tmp_path: Path) -> None:
    x = [*(sign * size for size in (0.0, 1e-9, 0.3, 2.5, 5.9, 6.1, 20.0, 80.0) for sign in (1, -1))]
    x += [math.inf, -math.inf, math.nan]
    x = np.array(x, dtype=dtype).tolist()  # the numbers that the file computes with
    near = 1e-12 if dtype == "float64" else 1e-6
    for entry in ACTIVATIONS:
        wanted = [entry.forward(number, *entry.defaults) for number in x]
        found = applied(entry, tmp_path / "model.onnx", dtype, x)
        assert found == pytest.approx(wanted, rel=20 * near, abs=near, nan_ok=True), entry.name


def test_the_error_function_to_the_last_digits(tmp_path: Path) -> None:
    mpmath = pytest.importorskip("mpmath")
    x = np.linspace(-6.5, 6.5, 2001).tolist()
    found = applied(TABLE["erf"], tmp_path / "model.onnx", "float64", x)
    assert max(abs(a - float(mpmath.erf(b))) for a, b in zip(found, x)) < 3e-16


def test_an_activation_of_ones_own(tmp_path: Path) -> None:
    none = lambda out, x, beta: 0.0  # noqa: E731
    swish = op("swish", lambda x, beta=1.5: x / (1 + exp(-beta * x)), none, none)
    try:
        assert applied(swish, tmp_path / "model.onnx", "float64", [0.5]) == pytest.approx(
            [0.5 / (1 + math.exp(-0.75))], rel=1e-12
        )
    finally:
        del TABLE["swish"]


# ---- metadata and refusals


def test_more_data_becomes_metadata(tmp_path: Path) -> None:
    mp.export(nn.ReLU(), tmp_path / "model.onnx", classes=["für", "wider"])
    read = session(tmp_path / "model.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(read["classes"]) == ["für", "wider"]


class Own(nn.Module):
    """A class that the table does not have."""


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with pytest.raises(TypeError, match=r"Own cannot be exported to ONNX .*, Linear, ReLU"):
        mp.export(nn.Sequential(Own()), path)
    with pytest.raises(TypeError, match=r"LSTM cannot .* it returns a state, too: .* alone, RNN"):
        mp.export(nn.Sequential(nn.LSTM(1, 1), nn.Linear(1, 1)), path)
    with pytest.raises(ValueError, match="dtype must be 'float64' or 'float32', not 'int8'"):
        mp.export(nn.ReLU(), path, dtype="int8")
    with pytest.raises(TypeError, match="MSELoss cannot be exported"):
        mp.export(nn.MSELoss(), path)
    gamma = function()(math.gamma)
    op("strange", lambda x: gamma(x), lambda out, x: 1)
    try:
        with pytest.raises(ValueError, match="ONNX has no function 'gamma'"):
            mp.export(nn.Neuron(1, activation="strange"), path)
    finally:
        del TABLE["strange"], FUNCTIONS["gamma"], ON_FLOATS["gamma"]
    assert list(tmp_path.iterdir()) == []
