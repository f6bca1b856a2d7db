"""Loggers: what they write is read back, and each epoch is there once."""

import json
import random
import struct
import sys
import types
from pathlib import Path

import pytest

from micrograd_plus import data, fit, loggers, nn

X, Y = data.moons(12, noise=0.1, seed=1)


class Stop(BaseException):
    """Ends a training at once, as a kill does."""


def train(logger, epochs=3, **options):
    model = nn.MLP(2, [3, 1], generator=random.Random(0))
    arguments = {"loss": "hinge", "validation": (X, Y), "compiled": False, "progress": False}
    return fit(model, X, Y, epochs=epochs, logger=logger, **arguments, **options)


def stop_after(epochs):
    def stop(history):
        if len(history.loss) == epochs:
            raise Stop

    return stop


def stopped_and_resumed(logger, folder):
    """Stops after 4 epochs, of which the checkpoint knows 2; goes on to 6."""
    train(logger, 2, checkpoint=folder)
    with pytest.raises(Stop):
        train(logger, 6, checkpoint=folder, resume=True, callbacks=[stop_after(4)])
    return train(logger, 6, checkpoint=folder, resume=True)


def columns(history):
    return {name: numbers for name, numbers in vars(history).items() if isinstance(numbers, list)}


# ---- what fit calls


class Note:
    """A logger of one's own."""

    def __init__(self):
        self.calls = []

    def begin(self, training, settings, epoch):
        self.calls.append(("begin", training, settings, epoch))

    def log(self, epoch, numbers):
        self.calls.append(("log", epoch, numbers))

    def close(self):
        self.calls.append(("close",))


def test_a_logger_of_ones_own():
    logger = Note()
    history = train(logger)
    (_, training, settings, epoch), *logs, close = logger.calls
    assert epoch == 0
    assert training
    wanted = {"loss": "hinge", "optimizer": "Adam", "lr": 0.01, "epochs": 3, "engine": "eager"}
    assert wanted.items() <= settings.items()
    assert settings["model"].startswith("MLP(2 → 3 → 1")
    assert [epoch for _, epoch, _ in logs] == [1, 2, 3]
    for name, numbers in columns(history).items():
        assert [noted[name] for *_, noted in logs] == numbers
    assert close == ("close",)
    other = Note()
    train(other)
    assert other.calls[0][1] != training


def test_a_training_that_goes_on(tmp_path):
    logger = Note()
    stopped_and_resumed(logger, tmp_path)
    begun = [call for call in logger.calls if call[0] == "begin"]
    assert [epoch for *_, epoch in begun] == [0, 2, 2]
    assert len({training for _, training, *_ in begun}) == 1
    assert [call[0] for call in logger.calls].count("close") == 3


def test_several_and_closed_after_an_error():
    two = [Note(), Note()]
    with pytest.raises(Stop):
        train(two, callbacks=[stop_after(1)])
    assert two[0].calls == two[1].calls
    assert [call[0] for call in two[0].calls] == ["begin", "log", "close"]


@pytest.mark.parametrize("method", ["log", "close"])
def test_a_logger_that_fails_is_left_out(method, monkeypatch):
    def fail(self, *arguments):
        raise OSError("connection lost")

    class Failing(Note):
        pass

    setattr(Failing, method, fail)
    failing, other = Failing(), Note()
    with pytest.warns(RuntimeWarning, match="Failing failed with OSError: connection lost") as seen:
        history = train([failing, other])
    assert seen[0].filename == __file__
    assert len(seen) == 1
    assert history == train(())
    assert [call[0] for call in other.calls] == ["begin", "log", "log", "log", "close"]


def test_a_logger_that_cannot_begin_is_an_error(tmp_path):
    class Failing(Note):
        def begin(self, training, settings, epoch):
            raise OSError("no server")

    first = Note()
    with pytest.raises(OSError, match="no server"):
        train([first, Failing()], checkpoint=tmp_path)
    assert first.calls[-1] == ("close",)
    assert len(train(first, checkpoint=tmp_path).loss) == 3  # nothing stands in the way


@pytest.mark.parametrize(
    ("logger", "named"),
    [
        ("log.jsonl", "'log.jsonl'"),
        (3, "3"),
        ([print], "<built-in"),
        (loggers.JSONLines, "<class"),
        ([None], "None"),
    ],
)
def test_what_is_no_logger(logger, named):
    what = r"such as loggers\.JSONLines\('log\.jsonl'\), or a list of them, not "
    with pytest.raises(TypeError, match=what + named):
        train(logger)


# ---- JSON lines


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_json_lines(tmp_path):
    path = tmp_path / "new" / "log.jsonl"
    history = train(loggers.JSONLines(path))
    first, *epochs = lines_of(path)
    assert first["settings"]["examples"].startswith("12, sha256")
    assert [line["epoch"] for line in epochs] == [1, 2, 3]
    for name, numbers in columns(history).items():
        assert [line[name] for line in epochs] == numbers


def test_json_lines_of_a_training_that_goes_on(tmp_path):
    logger = loggers.JSONLines(tmp_path / "log.jsonl")
    other = train(logger)
    history = stopped_and_resumed(logger, tmp_path / "checkpoints")
    lines = lines_of(logger.path)
    assert [line.get("epoch", 0) for line in lines] == [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6]
    assert [line["loss"] for line in lines[1:4]] == other.loss
    assert [line["loss"] for line in lines[5:]] == history.loss


@pytest.mark.parametrize("end", [1, 8, 20, -1])
def test_a_line_whose_writer_was_killed(tmp_path, end):
    logger = loggers.JSONLines(tmp_path / "log.jsonl")
    logger.begin("one", {}, 0)
    logger.log(1, {"loss": 0.5})
    logger.close()
    whole = logger.path.read_text()
    logger.path.write_text(whole + whole.splitlines()[-1][:end])
    logger.begin("one", {}, 1)
    logger.close()
    assert logger.path.read_text() == whole


@pytest.mark.parametrize("content", ["my notes\n", "my notes", "[1]\n", '{"a": 1}\n', '{"a": 1}'])
def test_a_file_of_somebody_else(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_text(content)
    with pytest.raises(ValueError, match="is not a file of this logger, and is left as it is"):
        train(loggers.JSONLines(path))
    assert path.read_text() == content


def test_numbers_that_json_does_not_have(tmp_path):
    logger = loggers.JSONLines(tmp_path / "log.jsonl")
    logger.begin("one", {}, 0)
    logger.log(1, {"val_loss": float("inf"), "loss": float("nan")})
    logger.close()
    assert lines_of(logger.path)[1] == {
        "training": "one",
        "epoch": 1,
        "val_loss": None,
        "loss": None,
    }


# ---- TensorBoard


def fields(message):
    """The fields of a message in protobuf's wire format, by number."""
    found, at = {}, 0

    def varint():
        nonlocal at
        number = shift = 0
        while True:
            byte = message[at]
            at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while at < len(message):
        key = varint()
        kind = key & 7
        if kind == 0:
            value = varint()
        else:
            size = {1: 8, 5: 4}.get(kind) or varint()
            value = message[at : at + size]
            at += size
        found.setdefault(key >> 3, []).append(value)
    return found


def events_of(folder):
    """The events of a folder's files, in the order of their names, as TensorBoard reads them.

    A file is a series of records: 8 bytes for the length, 4 of a checksum, the event, 4 of another
    checksum. An event has its step in field 2, its curves in 5, and the mark of a new begin in 7.
    """
    for path in sorted(folder.iterdir()):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (size,) = struct.unpack_from("<Q", content, at)
            yield fields(content[at + 12 : at + 12 + size])
            at += 12 + size + 4


def curves_of(folder):
    """What TensorBoard shows: a new begin at a step makes what came after that step outdated."""
    points = []
    for event in events_of(folder):
        step = event.get(2, [0])[0]
        if 7 in event:
            points = [point for point in points if point[1] < step]
        for summary in event.get(5, []):
            for value in fields(summary)[1]:
                parts = fields(value)
                if 2 in parts:
                    points.append((parts[1][0].decode(), step, struct.unpack("<f", parts[2][0])[0]))
    curves = {}
    for name, step, number in points:
        curves.setdefault(name, []).append((step, number))
    return curves


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboardX")
    logger = loggers.TensorBoard(tmp_path / "board")
    history = stopped_and_resumed(logger, tmp_path / "checkpoints")
    curves = curves_of(tmp_path / "board")
    wanted = columns(history)
    assert curves.keys() == wanted.keys()
    for name, numbers in wanted.items():
        assert [step for step, _ in curves[name]] == [1, 2, 3, 4, 5, 6]
        assert [number for _, number in curves[name]] == pytest.approx(numbers, rel=1e-6)
    content = b"".join(path.read_bytes() for path in (tmp_path / "board").iterdir())
    assert content.count(b"| loss | `hinge` |") == 1


def test_tensorboard_needs_a_writer(monkeypatch, tmp_path):
    writers = []

    class SummaryWriter:
        def __init__(self, folder, purge_step, filename_suffix):
            writers.append((folder, purge_step))
            self.add_text = self.add_scalar = lambda *arguments: None
            self.flush = self.close = lambda: None

    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match=r"torch\.utils\.tensorboard: pip install tensorboardX"):
        train(loggers.TensorBoard(tmp_path))
    stub = types.SimpleNamespace(SummaryWriter=SummaryWriter)
    for name in ("torch", "torch.utils", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, name, stub)
    train(loggers.TensorBoard(tmp_path))
    assert writers == [(str(tmp_path), 0)]


# ---- MLflow


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A folder as MLflow's store: the cheapest, which it has left for others."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    pytest.importorskip("mlflow")
    return tmp_path / "mlruns"


def test_mlflow(store, tmp_path):
    logger = loggers.MLflow("moons", store.as_uri())
    train(logger)
    history = stopped_and_resumed(logger, tmp_path / "checkpoints")
    runs = {path.parent for path in store.glob("*/*/metrics")}
    (run,) = [run for run in runs if len(read(run / "metrics" / "loss")) == 6]
    assert len(runs) == 2
    for name, numbers in columns(history).items():
        points = read(run / "metrics" / name)
        assert [int(step) for _, _, step, *_ in points] == [1, 2, 3, 4, 5, 6]
        assert [float(number) for _, number, *_ in points] == numbers
    assert (run / "params" / "optimizer").read_text() == "Adam"
    assert (run / "params" / "lr").read_text() == "0.01"
    assert "status: 3" in (run / "meta.yaml").read_text()  # finished
    (experiment,) = {run.parent for run in runs}
    assert "name: moons" in (experiment / "meta.yaml").read_text()


def read(path: Path):
    return [line.split() for line in path.read_text().splitlines()]


def test_mlflow_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(
        ImportError, match="MLflow's runs are written by mlflow: pip install mlflow"
    ):
        train(loggers.MLflow())
