"""Checkpoints: a training that is stopped at any moment and goes on ends with the same numbers."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from micrograd_plus import Value, data, fit, load, loggers, losses, nn, optim
from micrograd_plus.__main__ import main
from micrograd_plus.training import runs
from micrograd_plus.training.checkpoints import Checkpoints

X, Y = data.moons(12, noise=0.1, seed=1)


class Stop(BaseException):
    """Ends a training at once, as a kill does."""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoints"


@pytest.fixture
def stop_after(monkeypatch):
    """Stops a training after so many checkpoints."""
    write = Checkpoints.write

    def prepare(count):
        left = iter(range(count, 0, -1))

        def write_and_stop(self):
            write(self)
            if next(left, 0) == 1:
                raise Stop

        monkeypatch.setattr(Checkpoints, "write", write_and_stop)

    return prepare


def network(activation="tanh", width=4):
    return nn.MLP(2, [width, 1], activation=activation, generator=random.Random(0))


def train(folder=None, model=None, optimizer=None, gamma=0.9, **options):
    """Trains for 3 epochs of 3 steps; returns all that can be looked at afterwards."""
    model = model or network()
    optimizer = optimizer or optim.Adam(model.parameters(), lr=0.05)
    settings = {
        "X": X,
        "y": Y,
        "loss": "hinge",
        "epochs": 3,
        "batch_size": 5,
        "schedule": optim.ExponentialLR(optimizer, gamma),
        "checkpoint": folder,
        "checkpoint_seconds": 0,
        "progress": False,
        "compiled": False,
        **options,
    }
    history = fit(model, optimizer=optimizer, **settings)
    numbers = [parameter.data for parameter in optimizer.parameters]
    return history, model.state_dict(), optimizer.state_dict(), numbers


def newest(folder):
    return json.loads(max(folder.iterdir()).read_text())


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# ---- the same numbers


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_killed_twenty_times(engine, tmp_path):
    if engine == "compiled":
        pytest.importorskip("llvmlite")
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    script = Path(__file__).with_name("killed_training.py")
    command = [sys.executable, str(script), engine, str(tmp_path), "20"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout)
    assert ends["killed"] == ends["undisturbed"]
    loss = ends["killed"]["history"]["loss"]
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line.get("epoch", 0) for line in log] == [*range(len(loss) + 1)]  # each epoch once
    assert [line["loss"] for line in log[1:]] == loss
    assert not [*tmp_path.glob(".*")]  # nothing is left of the files that were not finished


def batchnorm():
    model = nn.Sequential(nn.Linear(2, 2, generator=random.Random(0)), nn.BatchNorm1d(2))
    return {"model": nn.Sequential(model, nn.Linear(2, 1, generator=random.Random(1)))}


def momentum_and_the_best_training_loss():
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.9, momentum=0.9)
    return {"model": model, "optimizer": optimizer, "early_stop": 1, "gamma": 0.5}


def a_parameter_of_the_loss():
    model, scale = network(), Value(1.0)
    optimizer = optim.RMSprop([scale, *model.layers[1].parameters()], lr=0.05)
    loss = lambda p, t: losses.hinge([scale * s for s in p], t)  # noqa: E731
    return {"model": model, "optimizer": optimizer, "loss": loss}


def batches_for_several_threads():
    X, y = data.moons(600, seed=3)
    return {"X": X, "y": y, "batch_size": 300}


@pytest.mark.parametrize(
    ("make", "engine"),
    [
        (batchnorm, "eager"),
        (momentum_and_the_best_training_loss, "eager"),
        (momentum_and_the_best_training_loss, "compiled"),
        (a_parameter_of_the_loss, "eager"),
        (a_parameter_of_the_loss, "compiled"),
        (batches_for_several_threads, "compiled"),
        (momentum_and_the_best_training_loss, "jax"),
    ],
)
def test_going_on_from_each_checkpoint(make, engine, folder, monkeypatch):
    if engine != "eager":
        pytest.importorskip("llvmlite" if engine == "compiled" else "jax")
    how = {"engine": "jax"} if engine == "jax" else {}
    how["compiled"] = engine != "eager"
    write, copies = Checkpoints.write, []

    def write_and_copy(self):
        write(self)
        if self.folder == folder:
            copies.append(shutil.copytree(folder, folder.with_name(f"after {self.number}")))

    monkeypatch.setattr(Checkpoints, "write", write_and_copy)
    expected = train(folder, **make(), **how)
    few = copies[1 :: len(copies) // 2]  # JAX compiles again for each
    for copy in few if engine == "jax" else copies:
        options = {"resume": True, "checkpoint_seconds": 1e9, **how}
        assert train(copy, **make(), **options) == expected, copy.name
    epochs = len(expected[0].loss)
    assert len(copies) > 2 * epochs  # some are in the middle of an epoch
    if engine != "jax":
        assert expected == train(**make(), **how)  # writing them changes nothing


@pytest.mark.parametrize("compiled", [False, True])
def test_divergence_after_going_on(compiled, folder, stop_after):
    """The numbers before the last update are those of before the kill."""
    if compiled:
        pytest.importorskip("llvmlite")

    def diverge(folder=None, **options):
        model = nn.Linear(1, 1, generator=random.Random(0))
        options |= {"optimizer": optim.SGD(model.parameters(), lr=1e60), "loss": "mse"}
        options |= {"batch_size": None, "epochs": 9, "gamma": 1.0, "compiled": compiled}
        return train(folder, model, X=[[1.0]], y=[0.0], **options)

    with pytest.warns(RuntimeWarning, match="became inf at step 4"):
        expected = diverge()
    assert expected[0].diverged
    for count in range(1, 8):
        stop_after(count)
        with pytest.raises(Stop):
            diverge(folder / str(count))
        with pytest.warns(RuntimeWarning, match="became inf at step 4"):
            assert diverge(folder / str(count), resume=True) == expected


@pytest.mark.parametrize("compiled", [False, True])
def test_interrupted_and_called_again_with_the_same_objects(compiled, folder):
    """As a cell of a notebook that is run again."""
    if compiled:
        pytest.importorskip("llvmlite")
    expected = train(compiled=compiled)
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    generator = random.Random(0)
    objects = {"model": model, "optimizer": optimizer, "generator": generator}
    objects["compiled"] = compiled
    objects["schedule"] = optim.ExponentialLR(optimizer, 0.9)

    def interrupt(history):
        if len(history.loss) == 2:
            raise KeyboardInterrupt

    stopped, *_ = train(folder, **objects, callbacks=[interrupt])
    assert stopped.stopped == "by Ctrl-C after 2 whole epochs"
    assert train(folder, **objects, resume=True) == expected


@pytest.fixture
def ctrl_c():
    """Presses Ctrl-C once, at a call of what it wraps: before it or after it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def pressed_at(call, function, after=False):
        left = iter(range(call, 0, -1))

        def wrapped(*arguments, **options):
            now = next(left, 0) == 1
            if now and not after:
                signal.raise_signal(signal.SIGINT)
            result = function(*arguments, **options)
            if now and after:
                signal.raise_signal(signal.SIGINT)
            return result

        return wrapped

    yield pressed_at
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("step", [1, 3, 4, 9])
def test_ctrl_c_in_a_step_loses_no_step(step, folder, ctrl_c, monkeypatch):
    log = folder.with_name("log.jsonl")
    options = {"checkpoint_seconds": 1e9, "logger": loggers.JSONLines(log)}
    monkeypatch.setattr(runs, "grad_norm", ctrl_c(step, optim.grad_norm))
    history, *_ = train(folder, **options)
    assert history.stopped == f"by Ctrl-C after {(step - 1) // 3} whole epochs"
    assert newest(folder)["training"]["run"]["steps"] == step
    assert train(folder, resume=True, **options) == train()
    epochs = [json.loads(line).get("epoch") for line in log.read_text().splitlines()]
    assert epochs == [None, 1, 2, 3]  # the settings, and each epoch once


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_ctrl_c_in_compiled_steps_loses_no_step(call, after, folder, ctrl_c, monkeypatch):
    """Python handles it when the machine code returns, which has made several steps."""
    native = pytest.importorskip("micrograd_plus.compiler.running").NativeMachine
    pytest.importorskip("llvmlite")
    options = {"checkpoint_seconds": 1e9, "compiled": True, "early_stop": 2}
    expected = train(**options)
    monkeypatch.setattr(native, "run", ctrl_c(call, native.run, after))
    history, *_ = train(folder, **options)
    assert history.stopped.startswith("by Ctrl-C after")
    assert newest(folder)["training"]["run"]["steps"] >= call
    assert train(folder, resume=True, **options) == expected


def test_ctrl_c_in_the_validation_waits_for_the_end_of_the_epoch(folder, ctrl_c, monkeypatch):
    options = {"validation": (X, Y), "checkpoint_seconds": 1e9}
    monkeypatch.setattr(runs, "loss_and_accuracy", ctrl_c(1, runs.loss_and_accuracy))
    history, *_ = train(folder, **options)
    assert history.stopped == "by Ctrl-C after 1 whole epochs"
    assert len(history.val_loss) == 1
    assert train(folder, resume=True, **options) == train(**options)


@pytest.mark.usefixtures("ctrl_c")
def test_a_second_ctrl_c_does_not_wait(folder):
    reached = []

    def press_three_times(history):
        for press in ("first", "second", "third"):
            signal.raise_signal(signal.SIGINT)
            reached.append(press)

    history, *_ = train(folder, callbacks=[press_three_times])
    assert reached == ["first"]
    assert history.stopped == "by Ctrl-C after 1 whole epochs"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert train(folder, resume=True) == train()


def test_a_handler_of_ones_own_stays(folder):
    calls = []
    before = signal.signal(signal.SIGINT, lambda *_: calls.append(1))
    try:
        train(folder, callbacks=[lambda history: signal.raise_signal(signal.SIGINT)])
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(calls) == 3


def test_killed_before_its_first_step(folder, stop_after):
    """Weights without a seed are those of the first process."""
    stop_after(1)
    first = nn.MLP(2, [1])
    with pytest.raises(Stop):
        train(folder, first)
    expected = train(None, first)
    assert train(folder, nn.MLP(2, [1]), resume=True) == expected


# ---- trainings that have ended


def test_a_training_that_has_ended_is_not_repeated(folder):
    calls = []
    first = train(folder)
    again = train(folder, resume=True, callbacks=[calls.append])
    assert again == first
    assert not calls


def test_more_epochs(folder, capsys):
    options = {"early_stop": 2, "progress": True}
    train(folder, epochs=2, **options)
    capsys.readouterr()
    result = train(folder, epochs=4, resume=True, **options)
    shown = capsys.readouterr().err
    assert "| 2/4" in shown
    assert "| 1/4" not in shown
    assert "| 4/4" in shown
    assert result == train(epochs=4, **options)


@pytest.mark.parametrize(
    "options",
    [{"callbacks": [lambda history: True]}, {"early_stop": 1, "validation": (X, [-t for t in Y])}],
)
def test_a_training_that_was_stopped_stays_so(folder, options):
    first = train(folder, epochs=9, **options)
    assert first[0].stopped
    assert train(folder, epochs=99, resume=True, **options) == first


def test_without_a_checkpoint_it_begins(folder):
    assert train(folder, resume=True) == train()


# ---- what is refused, and loses nothing


def test_a_folder_with_a_checkpoint(folder):
    train(folder)
    files, model = contents(folder), network()
    numbers = model.state_dict()
    with pytest.raises(FileExistsError, match=r"pass resume=True .* or name another"):
        train(folder, model)
    assert contents(folder) == files
    assert model.state_dict() == numbers


def test_a_checkpoint_without_a_step_is_no_loss(folder, stop_after):
    stop_after(1)
    with pytest.raises(Stop):
        train(folder)
    assert train(folder, batch_size=4, resume=True) == train(batch_size=4)
    assert len(contents(folder)) == 2


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"model": network(width=5)}, r"model is MLP\(2 → 4 → 1.* there and MLP\(2 → 5 → 1"),
        ({"model": network("relu")}, r"model is MLP\(2 → 4 → 1, tanh.* and MLP\(2 → 4 → 1, relu"),
        ({"X": X[:-1], "y": Y[:-1]}, "examples is 12, sha256 .* there and 11, sha256"),
        ({"X": [[0.0, 0.0], *X[1:]]}, "examples is 12, sha256 .* there and 12, sha256"),
        ({"y": [-Y[0], *Y[1:]]}, "examples is 12, sha256"),
        ({"validation": (X, Y)}, "validation is None there and 12, sha256"),
        ({"loss": "mse"}, "loss is hinge there and mse here"),
        ({"batch_size": 4}, "batch_size is 5 there and 4 here"),
        ({"clip_grad_norm": 1.0}, "clip_grad_norm is None there and 1.0 here"),
        ({"early_stop": 3}, "early_stop is None there and 3 here"),
        ({"gamma": 0.8}, "'gamma': 0.9.* there and .*'gamma': 0.8"),
        ({"schedule": None}, "schedule is {'class': 'ExponentialLR'.* there and None here"),
        ({"epochs": 2}, "epoch 3 has begun there, and epochs is 2 here"),
    ],
)
def test_another_training(folder, options, difference):
    train(folder)
    files = contents(folder)
    model = options.pop("model", None) or network()
    numbers = model.state_dict()
    with pytest.raises(ValueError, match=f"is of another training: .*{difference}.* Nothing was"):
        train(folder, model, resume=True, **options)
    assert contents(folder) == files
    assert model.state_dict() == numbers


def test_another_optimizer(folder):
    train(folder)
    model = network()
    with pytest.raises(ValueError, match=r"lr is 0\.05 there and 0\.1 here"):
        train(folder, model, optim.Adam(model.parameters(), lr=0.1), resume=True)
    with pytest.raises(ValueError, match=r"parameters is 17, sha256 .* there and 17, sha256"):
        train(folder, model, optim.Adam(model.parameters()[::-1], lr=0.05), resume=True)
    with pytest.raises(ValueError, match="optimizer is Adam there and AdamW here"):
        train(folder, model, optim.AdamW(model.parameters(), lr=0.05), resume=True)


def test_another_engine(folder):
    pytest.importorskip("llvmlite")
    train(folder, compiled="auto")
    with pytest.raises(ValueError, match="engine is compiled there and eager here"):
        train(folder, resume=True, compiled=False)


def test_another_number_of_generators(folder):
    def dropouts(*generators):
        return nn.Sequential(nn.Linear(2, 1), *[nn.Dropout(0.5, generator=g) for g in generators])

    shared = random.Random(0)
    train(folder, dropouts(shared, shared))
    with pytest.raises(ValueError, match="there are 3 random generators there and 4 here"):
        train(folder, dropouts(random.Random(0), random.Random(0)), resume=True)


def test_a_function_that_draws_more_numbers(folder, stop_after):
    pytest.importorskip("llvmlite")

    class Noisy(nn.Module):
        def __init__(self, layers):
            self.layer, self.layers = nn.Linear(2, 1, generator=random.Random(0)), layers

        def forward(self, x):
            for _ in range(self.layers):
                x = nn.Dropout(0.5)(x)
            return self.layer(x)

    stop_after(2)
    with pytest.raises(Stop):
        train(folder, Noisy(1), compiled=True)
    with pytest.raises(ValueError, match=r"draws 4 random numbers .* seeds for 2: it was another"):
        train(folder, Noisy(2), compiled=True, resume=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resume": True}, "resume=True needs checkpoint=FOLDER"),
        ({"folder": "x", "checkpoint_seconds": -1}, "must be 0 or more seconds, not -1"),
        ({"folder": "x", "checkpoint_seconds": float("nan")}, "must be 0 or more seconds, not nan"),
    ],
)
def test_arguments_that_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        train(**options)


# ---- files


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: content.replace(b"0.05", b"0.06"),
    ],
    ids=["empty", "half", "almost whole", "another number"],
)
def test_a_damaged_file(folder, stop_after, damage):
    stop_after(7)
    with pytest.raises(Stop):
        train(folder)
    before, newest = sorted(folder.iterdir())
    newest.write_bytes(damage(newest.read_bytes()))
    with pytest.warns(RuntimeWarning, match=f"{newest.name} is damaged: .*{before.name}"):
        assert train(folder, resume=True) == train()
    assert newest not in folder.iterdir()
    for path in folder.iterdir():
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"are damaged: there is no checkpoint to continue from"):
        train(folder, resume=True)


def test_a_checkpoint_is_the_file_of_a_model(folder):
    _, numbers, *_ = train(folder)
    assert len(contents(folder)) == 2
    assert load(max(folder.iterdir())).state_dict() == numbers


@pytest.mark.parametrize(("seconds", "count"), [(0, 14), (10, 5), (25, 3), (1e9, 2)])
def test_how_often_there_is_one(folder, monkeypatch, seconds, count):
    """By a clock on which an epoch takes 10 s: at the beginning, when it is due, and at the end."""
    now = 0.0

    def epoch(history):
        nonlocal now
        now += 10.0

    monkeypatch.setattr(time, "monotonic", lambda: now)
    train(folder, checkpoint_seconds=seconds, callbacks=[epoch])
    newest = max(path.name for path in folder.iterdir())
    assert newest.startswith(f"checkpoint-{count:06}-")


def test_a_full_disk_does_not_end_the_training(folder, monkeypatch):
    replace = os.replace
    full = False

    def fill_or_empty(history):
        nonlocal full
        full = len(history.loss) == 1

    def replace_if_there_is_room(source, target):
        if full:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_if_there_is_room)
    with pytest.warns(RuntimeWarning, match="could not be written: .*No space left.*The last one"):
        assert train(folder, callbacks=[fill_or_empty]) == train()
    assert train(folder, resume=True) == train()


def test_a_folder_that_cannot_be_written_is_an_error_at_once(tmp_path):
    (tmp_path / "file").touch()
    model = network()
    numbers = model.state_dict()
    with pytest.raises(NotADirectoryError, match="is a file, not a folder"):
        train(tmp_path / "file", model)
    assert model.state_dict() == numbers


def test_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.chdir(tmp_path)
    rows = [f"{a:.3f},{b:.3f},{'ab'[t > 0]}" for (a, b), t in zip(X, Y)]
    Path("moons.csv").write_text("\n".join(["x,y,kind", *rows]))
    command = "train --csv moons.csv --target kind --epochs 2 --checkpoint run {}"
    assert main(command.format("").split()) == 0
    model = Path("trained/model.json").read_text()
    assert main(command.format("").split()) == 2
    complaint = capsys.readouterr().err
    assert "run has the checkpoint of a training: " in complaint
    assert "in a command --resume" in complaint
    assert main(command.format("--resume").split()) == 0
    assert Path("trained/model.json").read_text() == model


@pytest.mark.parametrize(
    ("command", "pressed"),
    [
        ("gpt --steps 30 --width 4 --heads 2", [("begin", 1), ("write_if_due", 2)]),
        (
            "lstm --steps 20 --width 3 --runs 1 --epochs 2 --length 2",
            [("write_if_due", 2), ("begin", 2), ("begin", 3)],  # in both trainings, and the texts
        ),
    ],
)
def test_a_command_that_goes_on_after_ctrl_c(
    command, pressed, tmp_path, monkeypatch, capsys, ctrl_c
):
    pytest.importorskip("llvmlite")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.chdir(tmp_path)

    def run(options):
        status = main(["train", *command.split(), *options.split()])
        printed = capsys.readouterr().out
        return status, [line for line in printed.splitlines() if " steps" not in line]

    expected = run("--out whole")
    assert expected[0] == 0
    for name, call in pressed:
        with monkeypatch.context() as patch:
            patch.setattr(
                Checkpoints, name, ctrl_c(call, getattr(Checkpoints, name), name == "begin")
            )
            assert run("--checkpoint run --resume")[0] == 130
    assert not [*Path().glob("trained-*/*")]
    assert run("--checkpoint run --resume --out whole") == expected
    assert run("--checkpoint run")[0] == 2


@pytest.mark.parametrize("model", ["cnn", "rnn", "lstm", "gpt", "--csv x.csv --target y"])
def test_resume_needs_a_folder(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *model.split(), "--resume"]) == 2
    assert (
        "--resume needs --checkpoint FOLDER, the folder with the checkpoint"
        in capsys.readouterr().err
    )
