"""Saving and loading: round trips, damaged files, and a crash while saving."""

import builtins
import json
import math
import os
import random
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from micrograd_plus import Value, nn
from micrograd_plus.nn import MLP, Layer, Linear, Module, Neuron, Sequential, load, save, saving
from micrograd_plus.support import files

EVERY_MODULE = [
    Neuron(2),
    Neuron(3, activation="tanh"),
    Neuron(2, nonlin=False),
    Layer(2, 3, activation="sigmoid"),
    Layer(2, 1, nonlin=False),
    MLP(2, [3, 1]),
    MLP(4, [2, 2, 3], activation="leaky_relu"),
    Linear(3, 2),
    Linear(3, 2, bias=False),
    Sequential(),
    Sequential(Linear(3, 8), nn.ReLU(), Linear(8, 1), nn.Sigmoid()),
    Sequential(Sequential(Linear(1, 2), nn.Dropout(0.2)), nn.Softmax(), MLP(2, [1])),
    nn.ReLU(),
    nn.Tanh(),
    nn.Sigmoid(),
    nn.SiLU(),
    nn.Softplus(),
    nn.LeakyReLU(0.3),
    nn.ELU(0.7),
    nn.GELU(approximate="tanh"),
    nn.Softmax(),
    nn.Dropout(0.3),
    nn.MSELoss(),
    nn.L1Loss(reduction="sum"),
    nn.HuberLoss(delta=0.5),
    nn.HingeLoss(),
    nn.BCELoss(reduction="none"),
    nn.BCEWithLogitsLoss(),
    nn.CrossEntropyLoss(),
    nn.Conv1d(2, 3, 3),
    nn.Conv2d(1, 2, (3, 2), padding=1, bias=False),
    nn.MaxPool2d(2),
    nn.AvgPool2d(2, 1),
    nn.Flatten(),
    nn.BatchNorm1d(3, momentum=0.2),
    nn.LayerNorm(3, eps=0.1, bias=False),
    nn.LayerNorm(3, elementwise_affine=False),
    nn.RMSNorm(2),
    nn.RMSNorm(2, eps=1e-5, elementwise_affine=False),
    nn.Embedding(4, 2),
    nn.LearnedPositions(4, 2),
    nn.SinusoidalPositions(4),
    nn.MultiHeadAttention(4, 2),
    nn.MultiHeadAttention(2, 1, bias=False),
    nn.TransformerBlock(4, 2),
    nn.TransformerBlock(2, 1, bias=False, norm="rms"),
    nn.GPT(5, 4, 2, 2, 6),
    nn.CharRNN(5, 4, 2, "gru"),
    nn.RNN(2, 3, nonlinearity="relu"),
    nn.LSTM(2, 3, num_layers=2),
    nn.GRU(2, 3, bias=False),
    nn.RNNCell(2, 3),
    nn.LSTMCell(2, 3, bias=False),
    nn.GRUCell(2, 3),
]


class Line(Module):
    """A class of the user's own."""

    def __init__(self):
        self.slope, self.intercept = Value(2.0), Value(-1.0)

    def forward(self, x):
        return self.slope * x + self.intercept


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.json"


@pytest.mark.parametrize("model", EVERY_MODULE, ids=lambda m: repr(m).splitlines()[0])
def test_round_trip(model, path):
    save(model, path)
    again = load(path)
    assert type(again) is type(model)
    assert repr(again) == repr(model)
    assert again.state_dict() == model.state_dict()
    assert again.training
    save(again, path.with_name("again.json"))
    assert path.with_name("again.json").read_bytes() == path.read_bytes()


def test_every_module_is_tested():
    classes = {
        name
        for name in nn.__all__
        if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), Module)
    }
    assert {type(m).__name__ for m in EVERY_MODULE} | {"Module", "LanguageModel"} == classes


def test_what_is_no_module_is_not_saved(path):
    with pytest.raises(TypeError, match=r"save takes a model, a Module, not \[1\]"):
        save([1], path)
    assert not path.exists()


def test_the_loaded_model_computes_the_same(path):
    model = MLP(2, [3, 1], activation="tanh")
    save(model, str(path))  # a path may be a str
    assert load(str(path))([0.3, -2.0]).data == model([0.3, -2.0]).data


def test_a_class_of_your_own(path):
    model = Line()
    model.slope.data = 7.0
    save(model, path)
    fresh = Line()
    assert load(path, fresh) is fresh
    assert fresh.state_dict() == {"slope": 7.0, "intercept": -1.0}
    with pytest.raises(ValueError, match=r"its model is a Line.*write load\(path, model\)"):
        load(path)


def test_into_a_model_that_has_no_length(path):
    save(Linear(1, 1), path)
    with pytest.raises(ValueError, match="does not fit this Sequential"):
        load(path, Sequential())


@given(st.lists(st.floats(allow_nan=False), min_size=3, max_size=3))
def test_numbers_come_back_exactly(tmp_path_factory, numbers):
    path = tmp_path_factory.mktemp("numbers") / "model.json"
    model = Neuron(2)
    model.load_state_dict({"w": numbers[:2], "b": numbers[2]})
    save(model, path)
    state = load(path).state_dict()
    assert [*state["w"], state["b"]] == numbers
    assert [math.copysign(1, x) for x in state["w"]] == [math.copysign(1, x) for x in numbers[:2]]


def test_numbers_that_json_does_not_know(path):
    model = Neuron(3)
    model.load_state_dict({"w": [1e-300, math.nan, -math.inf], "b": math.inf})
    save(model, path)
    state = load(path).state_dict()
    assert state["w"][0] == 1e-300
    assert math.isnan(state["w"][1])
    assert (state["w"][2], state["b"]) == (-math.inf, math.inf)


def test_the_file_is_readable(path):
    model = Sequential(Linear(2, 2), nn.ReLU())
    model.load_state_dict({"0.weight": [[0.5, -1.0], [2.0, 3.25]], "0.bias": [0.0, 1e-3]})
    save(model, path, note="nach α Schritten")
    assert path.read_text(encoding="utf-8") == (
        "{\n"
        ' "format": "micrograd_plus model 1",\n'
        ' "model": {\n'
        '  "class": "Sequential",\n'
        '  "modules": [\n'
        '   {"class": "Linear", "in_features": 2, "out_features": 2},\n'
        '   {"class": "ReLU"}\n'
        "  ]\n"
        " },\n"
        ' "note": "nach α Schritten",\n'
        ' "parameters": {\n'
        '  "0.weight": [\n'
        "   [0.5, -1.0],\n"
        "   [2.0, 3.25]\n"
        "  ],\n"
        '  "0.bias": [0.0, 0.001]\n'
        " }\n"
        "}\n"
    )


@example("[ a,  b ]")
@given(st.recursive(st.text(alphabet="[], \n{}\"'a"), st.lists))
def test_what_is_kept_beside_the_model_comes_back(tmp_path_factory, about):
    path = tmp_path_factory.mktemp("about") / "model.json"
    save(Line(), path, about=about)
    assert saving.read(path)["about"] == about


def test_sizes_that_were_numpy_integers(path):
    np = pytest.importorskip("numpy")
    save(Linear(np.int64(2), np.int64(1)), path)
    assert load(path).in_features == 2


# ---- files that are damaged, or of another kind


def _assert_refused(path, message="", model=None):
    model = model or Line()
    before = model.state_dict()
    with pytest.raises(ValueError, match=re.escape(str(path)) + f".*{message}"):
        load(path, model)
    assert model.state_dict() == before
    with pytest.raises(ValueError, match=re.escape(str(path))):
        load(path)


def test_truncated_anywhere(path):
    model = MLP(2, [2, 1], generator=random.Random(0))
    save(model, path)
    whole = path.read_bytes()
    for end in range(len(whole) - 1):  # without the last newline it is still whole
        path.write_bytes(whole[:end])
        _assert_refused(path, "not a complete JSON file", model)


@pytest.mark.parametrize(
    "foreign",
    [
        b"",
        b"hello",
        b"\x89PNG\r\n\x1a\n\x00\x00",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"1" * 10_000,
        b"[1, 2, 3]",
        b"null",
        b'"micrograd_plus model 1"',
        b"{}",
        b'{"format": "micrograd_plus model 99"}',
        b'{"format": ["micrograd_plus model 1"]}',
    ],
    ids=lambda content: repr(content[:20]),
)
def test_foreign_files(path, foreign):
    path.write_bytes(foreign)
    _assert_refused(path)


GOOD = {
    "format": "micrograd_plus model 1",
    "model": {"class": "Linear", "in_features": 1, "out_features": 1},
    "parameters": {"weight": [[1.0]], "bias": [2.0]},
}


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("model", None, ""),
        ("model", "Linear", ""),
        ("model", {}, "it contains no 'class'"),
        ("model", {"class": "Linaer"}, "its model is a Linaer, which is not a class"),
        ("model", {"class": "save"}, "not a class"),
        ("model", {"class": ["Linear"]}, "not a class"),
        ("model", {"class": "Sequential"}, "it contains no 'modules'"),
        ("model", {"class": "Sequential", "modules": 3}, ""),
        ("model", {"class": "Linear", "in_features": 1}, "out_features"),
        ("model", {"class": "Linear", "in_features": 0, "out_features": 1}, "at least 1"),
        ("model", {"class": "Linear", "in_features": 1, "out_features": 1, "x": 1}, "'x'"),
        ("parameters", None, "takes a dictionary"),
        ("parameters", [1.0], "takes a dictionary"),
        ("parameters", {}, "weight is missing"),
        ("parameters", {"weight": [[1.0, 2.0]], "bias": [2.0]}, "shape"),
        ("parameters", {"weight": [[1.0]], "bias": ["2.0"]}, "a Value takes"),
        ("parameters", {"weight": [[1.0]], "bias": [None]}, "a Value takes"),
        ("parameters", {"weight": [[1.0]], "bias": [10**400]}, "a Value takes"),
    ],
)
def test_files_edited_by_hand(path, part, value, message):
    path.write_text(json.dumps({**GOOD, part: value}))
    with pytest.raises(ValueError, match=re.escape(str(path)) + f" cannot be loaded: .*{message}"):
        load(path)
    if part == "parameters":
        _assert_refused(path, message, Linear(1, 1))


@pytest.mark.parametrize("part", ["model", "parameters"])
def test_files_with_a_part_missing(path, part):
    path.write_text(json.dumps({k: v for k, v in GOOD.items() if k != part}))
    with pytest.raises(ValueError, match=f"it contains no '{part}'"):
        load(path)


def test_wrong_shapes(path):
    save(Linear(2, 3), path)
    model = Linear(3, 2)
    before = model.state_dict()
    with pytest.raises(ValueError, match=r"weight has shape \(3, 2\), not \(2, 3\)"):
        load(path, model)
    assert model.state_dict() == before


def test_no_file(path):
    with pytest.raises(FileNotFoundError):
        load(path)


# ---- a crash while saving


class CrashError(Exception):
    pass


def _crash(*args, **options):
    raise CrashError


class DiskFull:
    """A file that takes half of what is written."""

    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.file.close()

    def write(self, text):
        self.file.write(text[: len(text) // 2])
        self.file.flush()
        raise CrashError


@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
def test_a_crash_leaves_the_old_file(where, path, monkeypatch):
    model = Line()
    save(model, path)
    before = path.read_bytes()
    model.slope.data = 99.0
    with monkeypatch.context() as patch:
        if where == "write":
            ordinary = builtins.open
            patch.setattr(files, "open", lambda *a, **k: DiskFull(ordinary(*a, **k)), raising=False)
        else:
            patch.setattr(os, where, _crash)
        with pytest.raises(CrashError):
            save(model, path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]  # nothing half-written is left behind
    save(model, path)
    assert load(path, Line()).slope.data == 99.0
    assert os.listdir(path.parent) == [path.name]


def test_what_json_cannot_hold_leaves_the_old_file(path):
    save(Line(), path)
    before = path.read_bytes()
    with pytest.raises(TypeError, match="not JSON serializable"):
        save(Line(), path, about=object())
    assert path.read_bytes() == before


# ---- beside the functions, methods


def test_a_module_saves_itself_and_a_class_loads_it(path):
    model = MLP(2, [3, 1], generator=random.Random(0))
    model.save(path)
    for made in (MLP.load(path), Module.load(path)):
        assert type(made) is MLP
        assert made.state_dict() == model.state_dict()
    with pytest.raises(TypeError, match=r"contains a MLP, not a Linear: write MLP\.load\(path\)"):
        Linear.load(path)
