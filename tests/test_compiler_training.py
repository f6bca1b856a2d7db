"""Compiled training: whole trajectories, what optimizers remember, and what interrupts it."""

from __future__ import annotations

import itertools
import marshal
import math
import os
import random
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
from interrupts import ctrl_c
from machines import values
from optimizers import CASES, SCHEDULES, ids, start, valley

import micrograd_plus as mp
from micrograd_plus import Value, data, losses, nn, optim, symbols
from micrograd_plus.compiler import machine_code, native, running
from micrograd_plus.support import store

STEPS = 200


def network(seed: int = 0, activation: str = "tanh") -> nn.MLP:
    return nn.MLP(2, [6, 5, 1], activation=activation, generator=random.Random(seed))


def numbers(model: nn.Module) -> list[float]:
    return [p.data for p in model.parameters()]


def square_loss(model: nn.Module) -> Any:
    """A smooth loss with a penalty."""
    parameters = model.parameters()
    return lambda x, y: losses.mse(model(x), [y]) + 1e-3 * mp.dot(parameters, parameters)


# ---- trajectories


@pytest.mark.parametrize(("name", "settings"), CASES, ids=ids)
def test_a_trajectory_of_each_optimizer(machine: str, name: str, settings: dict[str, Any]) -> None:
    """The number of each parameter and all that is remembered; plain Python takes fewer steps."""
    close = (
        1e-6 if settings.get("betas") == (0.0, 0.0) or name == "RMSprop" else 1e-9
    )  # small gradients count fully
    eager = getattr(optim, name)([Value(x) for x in start()], **settings)
    ours = getattr(optim, name)([Value(x) for x in start()], **settings)
    step = mp.compile(lambda scale: valley(ours.parameters, scale), ours)
    for _ in range(STEPS if machine == "native" else STEPS // 4):
        eager.zero_grad()
        total = valley(eager.parameters, 1.0)
        total.backward()
        eager.step()
        assert step([1.0]) == pytest.approx(total.data, rel=close)
    for p, q in zip(ours.parameters, eager.parameters):
        assert p.data == pytest.approx(q.data, rel=close)
    for mine, theirs in zip(ours.state, eager.state):
        assert mine == pytest.approx(theirs, rel=100 * close, abs=1e-10)
        assert {k: type(v) for k, v in mine.items()} == {k: type(v) for k, v in theirs.items()}


@pytest.mark.parametrize(("name", "settings"), CASES, ids=ids)
def test_a_trajectory_like_torch(fast: None, name: str, settings: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    theirs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in start()]
    torch_optimizer = getattr(torch.optim, name)(theirs, **settings)
    ours = getattr(optim, name)([Value(x) for x in start()], **settings)
    close = 1e-6 if settings.get("betas") == (0.0, 0.0) or name == "RMSprop" else 1e-9
    step = mp.compile(lambda scale: valley(ours.parameters, scale), ours)
    got = step.run([1.0], epochs=STEPS)
    for loss in got:
        torch_optimizer.zero_grad()
        total = valley(theirs)
        total.backward()
        torch_optimizer.step()
        assert loss == pytest.approx(total.item(), rel=close)
    for p, q in zip(ours.parameters, theirs):
        assert p.data == pytest.approx(q.item(), rel=close)


@pytest.mark.parametrize("batch_size", [None, 1, 7])
def test_a_network_like_torch(fast: None, batch_size: int | None) -> None:
    torch = pytest.importorskip("torch")
    X, y = data.moons(20, seed=2)
    layers = [nn.Linear(2, 8, generator=random.Random(1)), nn.Linear(8, 1)]
    model = nn.Sequential(layers[0], nn.Tanh(), layers[1])
    theirs = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    theirs = theirs.double()
    state = {name: torch.tensor(n, dtype=torch.float64) for name, n in model.state_dict().items()}
    theirs.load_state_dict(state)
    step = mp.compile(
        lambda x, t: losses.mse(model(x), [t]), optim.Adam(model.parameters(), lr=0.01)
    )
    got = step.run(X, y, epochs=30, batch_size=batch_size)
    optimizer = torch.optim.Adam(theirs.parameters(), lr=0.01)
    expected = []
    for _ in range(30):
        for rows, targets in data.batches(X, y, batch_size or 20):
            optimizer.zero_grad()
            inputs = torch.tensor(rows, dtype=torch.float64)
            goals = torch.tensor(targets, dtype=torch.float64)[:, None]
            loss = torch.nn.functional.mse_loss(theirs(inputs), goals)
            loss.backward()
            optimizer.step()
            expected.append(loss.item())
    assert got == pytest.approx(expected, rel=1e-9)
    for name, parameter in theirs.state_dict().items():
        flat = [number for row in [model.state_dict()[name]] for number in _flat(row)]
        assert flat == pytest.approx(parameter.flatten().tolist(), rel=1e-7, abs=1e-9)


def _flat(x: Any) -> list[float]:
    return [number for item in x for number in _flat(item)] if isinstance(x, list) else [x]


def test_shuffled_batches_are_those_of_the_data_helper(machine: str) -> None:
    X, y = data.moons(11, seed=3)
    one, two = network(), network()
    step = mp.compile(square_loss(one), optim.SGD(one.parameters(), lr=0.05))
    got = step.run(X, y, epochs=3, batch_size=4, shuffle=True, generator=random.Random(5))
    by_hand = mp.compile(square_loss(two), optim.SGD(two.parameters(), lr=0.05))
    order = random.Random(5)
    expected = [
        by_hand(rows, targets) for _ in range(3) for rows, targets in data.batches(X, y, 4, order)
    ]
    assert got == pytest.approx(expected, rel=1e-12)


def test_a_schedule_is_stepped_after_every_step(machine: str) -> None:
    X, y = data.moons(11, seed=3)
    one, two = network(), network()
    sgds = [optim.SGD(model.parameters(), lr=0.1, momentum=0.9) for model in (one, two)]
    schedule, other = (optim.LinearLR(sgd, 1.0, 0.0, 8) for sgd in sgds)
    step = mp.compile(square_loss(one), sgds[0])
    got = step.run(X, y, epochs=3, batch_size=4, schedule=schedule)
    by_hand = mp.compile(square_loss(two), sgds[1])
    expected = []
    for rows, targets in [batch for _ in range(3) for batch in data.batches(X, y, 4)]:
        expected.append(by_hand(rows, targets))
        other.step()
    assert got == pytest.approx(expected, rel=1e-12)
    assert (schedule.last_epoch, sgds[0].lr) == (9, 0.0)
    with pytest.raises(ValueError, match="of another optimizer"):
        step.run(X, y, schedule=other)


def test_examples_of_different_shapes_in_one_batch(machine: str) -> None:
    """A batch is one mean, whatever programs its examples need."""
    weight = Value(0.3)
    X = [[1.0], [2.0, -1.0], [0.5], [1.0, 2.0, 3.0], [4.0, 1.0]]

    def loss(x: Any) -> Value:
        return (weight * mp.sum(x) - len(x)) ** 2

    step = mp.compile(loss, optim.SGD([weight], lr=0.01))
    eager = Value(0.3)
    for _ in range(5):
        expected = sum(((eager * sum(x) - len(x)) ** 2 for x in X), Value(0.0)) / len(X)
        eager.grad = 0.0
        expected.backward()
        assert step(X) == pytest.approx(expected.data, rel=1e-12)
        assert weight.grad == pytest.approx(eager.grad, rel=1e-12)
        eager.data -= 0.01 * eager.grad
        assert weight.data == pytest.approx(eager.data, rel=1e-12)
    assert len(step.programs) == 3
    losses_of_each = step.run(X, batch_size=1)
    assert len(losses_of_each) == 5


def test_the_loss_of_held_out_examples_changes_nothing(machine: str) -> None:
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    step = mp.compile(square_loss(model), optimizer)
    held_out, targets = [[0.3, -0.2], [1.0, 2.0], [0.0, 0.5]], [1.0, -1.0, 0.5]

    def seen() -> list[Any]:
        return [*[(p.data, p.grad) for p in model.parameters()], optimizer.state]

    for _ in range(2):  # at first without any state
        before = seen()
        loss = step.loss(held_out, targets)
        eager = [square_loss(model)(x, y).data for x, y in zip(held_out, targets)]
        assert loss == pytest.approx(sum(eager) / 3, rel=1e-12)
        assert seen() == before
        step([[1.0, 0.0]], [0.5])
    assert len(step.programs) == 1
    assert mp.compile(square_loss(model)).loss(held_out, targets) == pytest.approx(
        step.loss(held_out, targets), rel=1e-12
    )


# ---- what is the user's remains the user's


def test_numbers_written_between_steps_are_seen(machine: str) -> None:
    w = Value(1.0)
    step = mp.compile(lambda x: (w * x - 3.0) ** 2, optim.SGD([w], lr=0.1))
    step([1.0])
    w.data = 3  # an int, as people write it
    assert step([1.0]) == 0.0
    assert w.data == 3.0


def test_settings_and_states_may_change_between_steps(machine: str) -> None:
    one, two = network(), network()
    X, y = data.moons(6, seed=1)
    eager = optim.SGD(two.parameters(), lr=0.05, momentum=0.5)
    mine = optim.SGD(one.parameters(), lr=0.05, momentum=0.5)
    step, loss = mp.compile(square_loss(one), mine), square_loss(two)

    def by_hand() -> None:
        eager.zero_grad()
        (sum((loss(x, t) for x, t in zip(X, y)), Value(0.0)) / 6).backward()
        eager.step()

    def both(times: int = 3) -> None:
        for _ in range(times):
            step(X, y)
            by_hand()
        assert numbers(one) == pytest.approx(numbers(two), rel=1e-10, abs=1e-12)

    both()
    mine.lr = eager.lr = 0.01
    both()
    mine.momentum = eager.momentum = 0.9
    both()
    saved = mine.state_dict()
    assert saved["state"][0]["velocity"] == pytest.approx(eager.state[0]["velocity"], rel=1e-9)
    both()
    mine.load_state_dict(saved)
    eager.load_state_dict(saved)
    both()
    mine.step()  # an eager step in between
    eager.step()
    both()
    mine.state = [{} for _ in mine.parameters]
    eager.state = [{} for _ in eager.parameters]
    both()


def test_two_steps_of_one_optimizer_share_what_it_remembers(machine: str) -> None:
    one, two = network(), network()
    X, y = data.moons(6, seed=1)
    adam = optim.Adam(one.parameters(), lr=0.01)
    first, second = (mp.compile(square_loss(one), adam) for _ in range(2))
    alone = mp.compile(square_loss(two), optim.Adam(two.parameters(), lr=0.01))
    for _ in range(3):
        first(X, y)
        second(X, y)
        alone.run(X, y, epochs=2)
    assert numbers(one) == pytest.approx(numbers(two), rel=1e-12)
    assert adam.state[0]["steps"] == 6


def test_an_optimizer_of_the_users_own(machine: str) -> None:
    class SignSGD(optim.Optimizer):
        def update(self, gradient: float, data: float, state: dict[str, float]) -> float:
            state["steps"] = state.get("steps", 0) + 1
            size = abs(gradient) + 1e-3
            return data - self.lr * gradient / size

    w = Value(2.0)
    step = mp.compile(lambda x: (w * x) ** 2, SignSGD([w], lr=0.1))
    step([1.0])
    assert w.data == pytest.approx(2.0 - 0.1 * 4.0 / 4.001, rel=1e-12)
    assert step.optimizer.state == [{"steps": 1}]


def test_an_optimizer_that_needs_numbers_is_refused() -> None:
    class Clipped(optim.Optimizer):
        def update(self, gradient: float, data: float, state: dict[str, float]) -> float:
            return data - self.lr * (gradient if abs(gradient) < 1 else math.sqrt(gradient))

    w = Value(2.0)
    step = mp.compile(lambda x: (w * x) ** 2, Clipped([w], lr=0.1))
    with pytest.raises(TypeError, match=r"Clipped\.update cannot be compiled.*where"):
        step([1.0])
    assert w.data == 2.0


def test_parameters_that_the_loss_does_not_reach_decay_as_in_eager_code(machine: str) -> None:
    w, other = Value(1.0), Value(1.0)
    sgd = optim.SGD([other, w], lr=0.1, weight_decay=0.5)
    mp.compile(lambda x: w * x, sgd)([1.0])
    assert other.data == pytest.approx(0.95)
    assert other.grad == 0.0


# ---- interruptions


def test_an_exception_while_examples_are_read_changes_nothing(machine: str) -> None:
    model = network()
    step = mp.compile(square_loss(model), optim.Adam(model.parameters()))
    X, y = data.moons(4)
    step(X, y)
    before = numbers(model), step.optimizer.state_dict()
    with pytest.raises(ValueError, match="nan"):
        step.run([[math.nan, 1.0]], [1])
    assert (numbers(model), step.optimizer.state_dict()) == before


def test_ctrl_c_leaves_the_last_whole_step(fast: None) -> None:
    """The loss of an uninterrupted training, at the parameters that were left behind."""
    X, y = data.moons(50, seed=1)
    model = network()
    step = mp.compile(square_loss(model), optim.SGD(model.parameters(), lr=0.01))
    step(X, y)
    first = model.parameters()[0]
    before = first.data
    with ctrl_c(lambda: first.data != before):
        step.run(X, y, epochs=100_000_000)
    left = numbers(model)
    again = network()
    other = mp.compile(square_loss(again), optim.SGD(again.parameters(), lr=0.01))
    loss_at_left = step(X, y)  # the model is usable, and where some whole step left it:
    path: list[float] = []
    for _ in range(5):
        path += other.run(X, y, epochs=50_000)
        if loss_at_left in path:
            break
    assert loss_at_left in path
    assert all(map(math.isfinite, left))


def test_a_run_begins_with_parts_as_long_as_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "perf_counter", itertools.count(0, 0.001).__next__)  # of each part
    w = Value(1.0)
    step = mp.compile(lambda x: (w - x) ** 2, optim.SGD([w], lr=0.1))

    def steps_of_parts(batch_size: int) -> list[int]:
        return [*map(len, step.parts([[0.5, 0.25]], 1000, batch_size, progress=False))]

    assert steps_of_parts(2) == [1, 8, 64, 512, 415]
    assert steps_of_parts(2) == [1000]
    assert steps_of_parts(1)[:3] == [1, 8, 64]


def test_reentrance_from_a_callback(fast: None) -> None:
    """A callback may use the model, and even train it with another step."""
    X, y = data.moons(20, seed=1)
    model = network()
    predict = mp.compile(model)
    other = mp.compile(square_loss(model), optim.SGD(model.parameters(), lr=1e-3))
    seen = []

    def callback(history: Any) -> None:
        seen.append((predict(X)[0], model(X)[0].data))
        other(X, y)

    mp.fit(model, X, y, loss="hinge", epochs=5, callbacks=[callback], progress=False)
    assert len(seen) == 5
    for fast, slow in seen:
        assert fast == pytest.approx(slow, rel=1e-12)


# ---- fit


def test_fit_compiled_and_eager_have_the_same_history(fast: None) -> None:
    X, y = data.spirals(30, classes=3)
    histories = []
    for how in (True, False):
        model = nn.MLP(2, [8, 3], activation="tanh", generator=random.Random(0))
        sgd = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        histories.append(
            mp.fit(
                model, X, y, loss="cross_entropy", optimizer=sgd, epochs=8, batch_size=7,
                validation=(X[:9], y[:9]), clip_grad_norm=0.7, progress=False, compiled=how,
            )
        )  # fmt: skip
    ours, theirs = (vars(history) for history in histories)
    for name in ("loss", "accuracy", "grad_norm", "lr", "val_loss", "val_accuracy"):
        assert ours[name] == pytest.approx(theirs[name], rel=1e-9), name


class Means(nn.Module):
    """Scores of rows of any length, from the mean of each."""

    def __init__(self, classes: int) -> None:
        self.head = nn.Linear(1, classes, generator=random.Random(0))

    def forward(self, rows: Any) -> Any:
        if isinstance(rows[0], list):
            return [self.forward(row) for row in rows]
        return self.head([sum(rows) / len(rows)])


@pytest.mark.parametrize(("loss", "classes"), [("hinge", 1), ("cross_entropy", 3), ("mse", 1)])
@pytest.mark.parametrize("batch_size", [None, 4])
def test_fit_counts_examples_of_several_lengths(
    machine: str, loss: str, classes: int, batch_size: int | None
) -> None:
    generator = random.Random(1)
    X = [[generator.uniform(-1, 1) for _ in range(2 + i % 3)] for i in range(11)]
    y = [(1 if sum(row) > 0 else -1) if classes == 1 else i % 3 for i, row in enumerate(X)]
    histories = []
    for how in (True, False):
        model = Means(classes)
        settings = {"epochs": 3, "batch_size": batch_size, "validation": (X[:5], y[:5])}
        histories.append(mp.fit(model, X, y, loss=loss, progress=False, compiled=how, **settings))
    ours, theirs = histories
    assert (ours.accuracy, ours.val_accuracy) == (theirs.accuracy, theirs.val_accuracy)
    assert ours.loss == pytest.approx(theirs.loss, rel=1e-12)
    assert ours.val_loss == pytest.approx(theirs.val_loss, rel=1e-12)
    assert len(ours.accuracy) == (0 if loss == "mse" else 3)


def test_the_validation_loss_is_a_mean_as_the_training_loss(fast: None) -> None:
    X, y = data.xor()

    def total(predictions: Any, targets: Any) -> Value:
        return losses.mse(predictions, targets, reduction="sum")

    model = network()
    sgd = optim.SGD(model.parameters(), lr=0.0)
    settings = {"optimizer": sgd, "epochs": 1, "validation": (X, y), "progress": False}
    history = mp.fit(model, X, y, loss=total, compiled=True, **settings)
    assert history.val_loss == pytest.approx(history.loss)
    assert history.loss[0] == pytest.approx(mp.evaluate(model, X, y, loss="mse")[0])


@pytest.mark.parametrize("loss", [nn.MSELoss(), losses.huber, "l1", nn.BCEWithLogitsLoss()])
def test_fit_compiles_losses_that_are_means(fast: None, loss: Any) -> None:
    X, y = data.xor()
    runs = []
    for how in (True, "auto", False):
        model = network()
        history = mp.fit(model, X, y, loss=loss, epochs=4, progress=False, compiled=how)
        runs.append(history.loss)
    assert runs[0] == runs[1] == pytest.approx(runs[2], rel=1e-9)


def test_fit_is_eager_where_it_must_be() -> None:
    """A loss that is no mean over the examples; a model that looks at its numbers."""
    X, y = data.xor()

    class Curious(nn.Module):
        def __init__(self) -> None:
            self.w = Value(0.5)

        def forward(self, x: Any) -> Any:
            return [row[0] * self.w if self.w.data < 9 else row[1] * self.w for row in x]

    model = Curious()
    with pytest.warns(UserWarning, match="fit trains with eager code"):
        assert mp.fit(model, X, y, loss="mse", epochs=3, progress=False).loss
    with pytest.raises((TypeError, ValueError)):
        mp.fit(Curious(), X, y, loss="mse", epochs=3, progress=False, compiled=True)
    total = mp.fit(network(), X, y, loss=nn.MSELoss("sum"), epochs=2, progress=False)
    mean = mp.fit(network(), X, y, loss=nn.MSELoss(), epochs=2, progress=False, compiled=False)
    assert total.loss[0] == pytest.approx(4 * mean.loss[0])
    with pytest.raises(ValueError, match="compiled is True, False or 'auto', not 'yes'"):
        mp.fit(network(), X, y, loss="mse", compiled="yes")  # type: ignore[arg-type]


@pytest.mark.parametrize("how", [True, False])
def test_fit_that_diverges_goes_back(fast: None, how: bool) -> None:
    X, y = data.linear(8)
    model = nn.MLP(1, [1], generator=random.Random(0))
    sgd = optim.SGD(model.parameters(), lr=1e200)
    with pytest.warns(RuntimeWarning, match=r"became (inf|nan) at step \d+ with lr=1e\+200"):
        history = mp.fit(
            model, X, y, loss="mse", optimizer=sgd, epochs=50, progress=False, compiled=how
        )
    assert "became" in history.stopped
    assert all(map(math.isfinite, numbers(model)))
    assert math.isfinite(mp.evaluate(model, X, y, loss="mse")[0])


def test_fit_keeps_the_best_parameters(fast: None) -> None:
    X, y = data.moons(20, seed=1)
    model = network()
    adam = optim.Adam(model.parameters(), lr=0.5)
    history = mp.fit(
        model, X, y, loss="hinge", optimizer=adam, epochs=60, early_stop=5, progress=False,
        validation=(X[:10], y[:10]), compiled=True,
    )  # fmt: skip
    best = min(history.val_loss)
    assert mp.evaluate(model, X[:10], y[:10], loss="hinge")[0] == pytest.approx(best, rel=1e-9)


def test_dropout_is_random_and_reproducible(fast: None) -> None:
    X, y = data.moons(30, seed=1)
    runs = []
    for seed in (1, 1, 2):
        model = nn.Sequential(
            nn.Linear(2, 16, generator=random.Random(0)),
            nn.ReLU(),
            nn.Dropout(0.5, generator=random.Random(seed)),
            nn.Linear(16, 1, generator=random.Random(1)),
        )
        runs.append(mp.fit(model, X, y, loss="mse", epochs=6, progress=False, compiled=True).loss)
    assert runs[0] == runs[1] != runs[2]
    generator = random.Random(1)
    dropout = nn.Dropout(0.5, generator=generator)
    model = nn.Sequential(nn.Linear(2, 1, generator=random.Random(0)), dropout)
    states = []
    note = {"callbacks": [lambda _: states.append(generator.getstate())]}
    mp.fit(model, X, y, loss="mse", epochs=2, progress=False, compiled=True, **note)
    assert generator.getstate() == states[-1]  # the check of the last update draws nothing
    generator, weight = random.Random(3), Value(0.0)
    frozen = mp.compile(lambda x: mp.rand(generator) * x + weight)
    first, second = frozen([1.0] * 500), frozen([1.0] * 500)
    assert first != second
    assert abs(first - 0.5) < 0.05


def test_random_numbers_do_not_depend_on_how_fast_steps_run(
    machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`run` divides its steps into parts by the clock; the parts may not change the numbers."""

    def run(seconds: float) -> list[float]:
        monkeypatch.setattr("micrograd_plus.compiler.compiled._PART", seconds)
        w, generator = Value(0.0), random.Random(1)
        step = mp.compile(lambda x: (w - mp.rand(generator) * x) ** 2, optim.SGD([w], lr=0.1))
        return step.run([1.0, 2.0, 3.0], epochs=10, batch_size=2, progress=False)

    assert len(set(run(1e-9))) == 20  # each step is a part of its own
    assert run(1e-9) == run(10.0)


# ---- the machine code on disk


SCRIPT = (
    "import sys, micrograd_plus as mp; w = mp.Value(2.0);"
    "step = mp.compile(lambda x: (w * x).exp(), mp.optim.SGD([w], lr=0.1));"
    "print(step([1.0]), w.data, 'micrograd_plus.compiler.translate' in sys.modules)"
)


def run_with_cache(folder: Path) -> list[str]:
    """What a new process prints: the loss, the parameter, and whether it compiled."""
    environment = {**os.environ, "MICROGRAD_PLUS_CACHE": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "compiling" not in done.stderr  # it says so if it compiles the interpreter
    return done.stdout.split()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder that a first process has filled, and what that process printed.

    All but the ops is there already, as it takes long to compile: this process has compiled it.
    """
    pytest.importorskip("llvmlite")
    weight = Value(2.0)
    mp.compile(lambda x: weight * x, optim.SGD([weight], lr=0.1))([1.0])
    folder = tmp_path_factory.mktemp("cache")
    for path in store.folder().glob("*.bin"):
        if "_op_" not in path.name:
            shutil.copy(path, folder)
    return folder, run_with_cache(folder)


def test_machine_code_is_kept(cache: tuple[Path, list[str]]) -> None:
    folder, first = cache
    assert {path.suffix for path in folder.iterdir()} == {".bin"}
    assert first[2] == "True"
    assert run_with_cache(folder) == [*first[:2], "False"]


def with_changed_bytes(content: bytes, seed: int) -> bytes:
    """The content with 16 bytes changed, which are chosen by the seed."""
    random_, changed = random.Random(seed), bytearray(content)
    for place in random_.sample(range(len(content)), 16):
        changed[place] ^= 1 + random_.randrange(255)
    return bytes(changed)


DAMAGES = {
    "cut off": lambda content: content[: len(content) // 2],
    "another content": lambda content: b"no machine code",
    "16 changed bytes": lambda content: with_changed_bytes(content, 0),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_machine_code_is_compiled_again(
    cache: tuple[Path, list[str]], tmp_path: Path, damage: str
) -> None:
    """Of the op's loops, a small file."""
    folder, first = cache
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (path,) = tmp_path.glob("micrograd_plus_op_exp_*.bin")
    content = path.read_bytes()
    path.write_bytes(DAMAGES[damage](content))
    assert run_with_cache(tmp_path) == first
    assert path.read_bytes() == content


def test_changed_bytes_are_found_wherever_they_are(
    cache: tuple[Path, list[str]], tmp_path: Path
) -> None:
    (path,) = cache[0].glob("micrograd_plus_op_exp_*.bin")
    content, changed = path.read_bytes(), tmp_path / "changed.bin"
    for seed in range(200):
        changed.write_bytes(with_changed_bytes(content, seed))
        with pytest.raises(ValueError, match="is damaged"):
            store.content_of(changed)


def test_a_file_of_the_cache_that_cannot_be_written(
    cache: tuple[Path, list[str]], tmp_path: Path
) -> None:
    """A folder has the place of a small file: this code is compiled in every process."""
    folder, first = cache
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (path,) = tmp_path.glob("micrograd_plus_op_exp_*.bin")
    path.unlink()
    path.mkdir()
    assert run_with_cache(tmp_path) == first
    assert run_with_cache(tmp_path) == first


def test_a_cache_that_cannot_be_written(
    cache: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The code is compiled, and runs; here, compiling gives the code of another folder."""
    (path,) = cache[0].glob("micrograd_plus_op_exp_*.bin")
    code = marshal.loads(store.content_of(path))
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MICROGRAD_PLUS_CACHE", str(tmp_path / "file" / "cache"))
    asked = []

    def compiled(name: str, text: str) -> machine_code.Code:
        asked.append(text)
        return code

    for text in ("once", "again", "once"):
        assert machine_code.load("unwritable", text, compiled).keys() == code[0].keys()
    assert asked == ["once", "again", "once"]


def test_the_key_of_machine_code_holds_all_that_made_it(
    fast: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import llvmlite
    from llvmlite import binding

    def key(text: str = "text") -> str:
        machine_code._surroundings.cache_clear()  # as in another process
        return machine_code.key(text)

    keys = {key(), key("another text")}
    sources = Path(native.__file__).parent
    for name in machine_code._SOURCES:
        shutil.copy(sources / name, tmp_path)
    for name in machine_code._SOURCES:
        path = tmp_path / name
        text = path.read_text()
        path.write_text(text + "# changed\n")
        with monkeypatch.context() as patch:
            patch.setattr(machine_code, "_HERE", tmp_path)
            keys.add(key())
        path.write_text(text)
    for target, name, value in (
        (sys, "version", "4.0"),
        (llvmlite, "__version__", "99"),
        (binding, "llvm_version_info", (99, 0)),
        (binding, "get_host_cpu_name", lambda: "abacus"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, value)
            keys.add(key())
    assert len(keys) == 11
    assert key() in keys


def test_machine_code_that_is_not_used_is_removed(tmp_path: Path) -> None:
    names = ["kernels_new", "kernels_recent", "kernels_old", "op_exp_old"]
    new, recent, old, other = (tmp_path / f"micrograd_plus_{name}.bin" for name in names)
    for path in (new, recent, old, other):
        path.write_bytes(b"")
    for path in (old, other):
        os.utime(path, (0, 0))
    store.remove_unused(new, "micrograd_plus_kernels_*.bin")
    assert sorted(tmp_path.iterdir()) == sorted([new, recent, other])


def test_an_op_of_the_users_own_compiles(machine: str) -> None:
    cube = mp.op("cube", lambda x: x * x * x, lambda out, x: 3 * x * x)
    try:
        w = Value(2.0)
        value_and_grad = mp.compile(lambda x: mp.cube(w * x))  # type: ignore[attr-defined]
        assert value_and_grad([1.0, 2.0]) == pytest.approx((8 + 64) / 2)
        assert w.grad == pytest.approx((12 + 96) / 2)
    finally:
        del mp.ops.TABLE[cube.name], mp.ops.Methods.cube  # type: ignore[attr-defined]


def test_an_op_of_vectors_that_keeps_many_numbers(machine: str) -> None:
    """Each sum that another one needs is kept for every result that is computed at a time."""

    def nested(x: Any) -> Any:
        y: Any = 0.0
        for k in range(1, 13):
            y = symbols.log(2.0 + symbols.total(symbols.sin(x * k + y)) ** 2)
        return y

    many = mp.op("many_sums", nested, lambda out, x: x * 0.0 + out, nary=True)
    try:
        w = values(*[0.01 * i for i in range(1100)])
        loss = mp.compile(lambda x: mp.sum([many([wi]) for wi in w]) * x)
        assert loss([1.0]) == pytest.approx(sum(many([wi]).data for wi in w), rel=1e-9)
        assert [wi.grad for wi in w] == pytest.approx([many([wi]).data for wi in w], rel=1e-9)
    finally:
        del mp.ops.TABLE[many.name]


def test_without_llvmlite_a_note_says_once_how_to_get_the_speed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running, "is_native", lambda: False)
    running._note_slowness.cache_clear()
    w = Value(2.0)
    with pytest.warns(UserWarning, match=r'pip install "micrograd-plus\[fast\]"'):
        mp.compile(lambda x: w * x)([1.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mp.compile(lambda x: w * x)([1.0])


def test_schedules_move_the_learning_rate_of_a_compiled_step(machine: str) -> None:
    one, two = Value(1.0), Value(1.0)
    fast, slow = optim.SGD([one], lr=0.1), optim.SGD([two], lr=0.1)
    step = mp.compile(lambda x: (one * x) ** 2, fast)
    name = "StepLR"
    schedules = [getattr(optim, name)(o, **SCHEDULES[name]) for o in (fast, slow)]
    for _ in range(9):
        step([1.0])
        slow.zero_grad()
        (two**2).backward()
        slow.step()
        for schedule in schedules:
            schedule.step()
    assert one.data == pytest.approx(two.data, rel=1e-12)


def test_exp_of_the_kernels_is_exact_to_the_last_digits(fast: None) -> None:
    mpmath = pytest.importorskip("mpmath")
    x = Value(0.0)
    value_and_grad = mp.compile(lambda one: x.exp() * one)
    points = [random.Random(1).uniform(-745, 709) for _ in range(300)]
    points += [0.0, -0.0, 1e-300, 1.0, 709.78, 710.0, -745.1, -746.0, math.inf, -math.inf]
    for point in points:
        x.data = point
        with mpmath.workdps(50):
            exact = float(mpmath.exp(point)) if math.isfinite(point) else math.exp(point)
        got = value_and_grad([1.0])
        if point > 709.79:
            assert got == math.inf
        else:
            assert got == pytest.approx(exact, rel=1e-15, abs=5e-324)
    x.data = math.nan
    assert math.isnan(value_and_grad([1.0]))
    assert store.folder().name
