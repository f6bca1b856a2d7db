"""Threads: the same numbers for every number of them, whatever happens on the way."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from array import array
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from interrupts import ctrl_c
from kernels_in_python import kernels_in_python

import micrograd_plus as mp
from micrograd_plus import data, losses, nn, optim
from micrograd_plus.compiler import kernels
from micrograd_plus.compiler import threads as threads_
from micrograd_plus.compiler.kernels import part_size

pytest.importorskip("llvmlite")

COUNTS = (1, 2, 3, 8)
Made = tuple[nn.Module, Callable[..., Any], Sequence[Any], Sequence[Any]]
"""A model, the loss of one example, and examples in two arguments."""


def perceptron() -> Made:
    """A penalty is computed once for each part."""
    X, y = data.moons(300, seed=1)
    model = nn.MLP(2, [6, 5, 1], activation="tanh", generator=random.Random(0))
    parameters = model.parameters()
    return (
        model,
        lambda x, y: losses.hinge(model(x), y) + 1e-3 * mp.dot(parameters, parameters),
        X,
        y,
    )


def convolutions() -> Made:
    images, digits = data.digits()
    X = [[[image[8 * i : 8 * i + 8] for i in range(2, 8)]] for image in images[:130]]
    generator = random.Random(0)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, generator=generator), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(12, 10, generator=generator),
    )  # fmt: skip
    return model, lambda x, y: losses.cross_entropy(model(x), y), X, [int(y) for y in digits[:130]]


def names() -> Made:
    """Texts of three lengths, with dropout."""
    model = nn.Sequential(
        nn.GPT(6, 4, 2, 1, 8, generator=random.Random(0)),
        nn.Dropout(0.2, generator=random.Random(2)),
    )
    draw = random.Random(1)
    texts = [[draw.randrange(6) for _ in range(draw.choice((2, 3, 4)))] for _ in range(90)]
    return model, lambda x, y: losses.cross_entropy(model(x), y), texts, [t[::-1] for t in texts]


def trained(
    made: Callable[[], Made], threads: int | None, dtype: str = "float64", **settings: Any
) -> list[float]:
    """The losses and the parameters after some steps."""
    model, loss, X, y = made()
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    step = mp.compile(loss, optimizer, threads=threads, dtype=dtype)
    schedule = optim.StepLR(optimizer, step_size=2) if settings.pop("scheduled", False) else None
    got = step.run(X, y, epochs=2, schedule=schedule, progress=False, **settings)
    return [*got, *(p.data for p in model.parameters()), *(p.grad for p in model.parameters())]


@pytest.mark.parametrize(
    ("made", "batch_size"), [(perceptron, 150), (convolutions, 128), (names, None)]
)
def test_a_training_does_not_depend_on_the_number_of_threads(
    made: Callable[[], Made], batch_size: int | None
) -> None:
    settings = {"batch_size": batch_size, "shuffle": True}
    one = trained(made, 1, **settings)
    for count in COUNTS[1:]:
        assert trained(made, count, **settings) == one
    assert one == pytest.approx(trained(made, None, **settings), rel=1e-9, abs=1e-12)


def test_a_training_in_float32_does_not_depend_on_the_number_of_threads() -> None:
    one, two = (trained(names, count, "float32", shuffle=True) for count in (1, 2))
    assert one == two
    assert one == pytest.approx(trained(names, 1, shuffle=True), rel=1e-3, abs=1e-4)


def test_a_schedule_does_not_depend_on_the_number_of_threads() -> None:
    one, two = (trained(perceptron, count, batch_size=128, scheduled=True) for count in (1, 2))
    assert one == two


def test_a_gradient_is_that_of_eager_code() -> None:
    model, loss, X, y = perceptron()
    total = sum(loss(x, t) for x, t in zip(X, y)) / len(X)
    total.backward()
    expected = [p.grad for p in model.parameters()]
    for count in COUNTS:
        assert mp.compile(loss, threads=count)(X, y) == pytest.approx(total.data, rel=1e-12)
        grads = [p.grad for p in model.parameters()]
        assert grads == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_predictions_do_not_depend_on_the_number_of_threads() -> None:
    model, _, X, _ = perceptron()
    expected = mp.compile(model)(X).tolist()
    for count in COUNTS:
        assert mp.compile(model, threads=count)(X).tolist() == expected


def test_parts_are_those_that_threads_share() -> None:
    """Some 60 examples each, fewer if each has many numbers; what is small is not cut."""
    assert [part_size(n, 100 * n, 50, 8) for n in (1, 100, 128, 129, 512, 4096)] == [
        1, 100, 64, 72, 64, 512,
    ]  # fmt: skip
    assert [part_size(n, 5000 * n, 50, 8) for n in (8, 16, 64)] == [8, 8, 8]
    assert part_size(128, 1800 * 128, 1800, 16) == 16
    assert part_size(128, 1800 * 128, 100_000, 16) == 64  # whose gradients take long to add up
    assert part_size(100, 0, 0, 8) == 100
    assert part_size(4096, 4096, 50, 1) == 4096


def test_each_task_is_done_by_one_thread() -> None:
    """A thread begins with its own tasks, and does what others have not begun when it is there."""
    taken = array("q", [0] * 5)
    works = [
        SimpleNamespace(number=number, threads=3, taken=taken.buffer_info()[0])
        for number in range(3)
    ]

    def done(number: int, phase: int, most: int = 5) -> list[int]:
        work = works[number]
        order = [kernels.task_of(work, k, 5) for k in range(5)]
        return [task for task in order[:most] if kernels.takes(work, task, phase)]

    with kernels_in_python():
        assert [done(i, phase=1, most=1) for i in range(3)] == [[0], [1], [3]]
        assert [done(i, phase=1) for i in (1, 2, 0)] == [[2, 4], [], []]
        assert done(2, phase=3) == [3, 4, 0, 1, 2]
        assert done(1, phase=2) == []  # it comes late


# ---- fit


def fitted(monkeypatch: pytest.MonkeyPatch, chosen: int, **settings: Any) -> Any:
    """The history of a training in which that number of threads is chosen, and the parameters."""
    monkeypatch.setattr(
        threads_.Choice, "took", lambda choice, *_: setattr(choice, "threads", chosen)
    )
    X, y = data.moons(300, seed=1)
    model = nn.MLP(2, [6, 5, 1], activation="tanh", generator=random.Random(0))
    history = mp.fit(model, X, y, loss="hinge", epochs=4, progress=False, compiled=True, **settings)
    assert history.threads == chosen
    return history, [p.data for p in model.parameters()]


@pytest.mark.parametrize("settings", [{}, {"batch_size": 128, "clip_grad_norm": 0.1}])
def test_a_fit_does_not_depend_on_the_choice(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    one, two = (fitted(monkeypatch, count, **settings) for count in (1, 2))
    assert one == two


def test_a_guarded_fit_ends_where_one_thread_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = []
    for count in (1, 2):
        model = nn.MLP(2, [6, 1], generator=random.Random(0))
        sgd = optim.SGD(model.parameters(), lr=1e160)
        monkeypatch.setattr(
            threads_.Choice, "took", lambda choice, *_, n=count: setattr(choice, "threads", n)
        )
        X, y = data.moons(300, seed=1)
        with pytest.warns(RuntimeWarning, match="became"):
            history = mp.fit(
                model, X, y, loss="mse", optimizer=sgd, batch_size=128, progress=False,
                compiled=True,
            )  # fmt: skip
        ends.append((history.stopped, [p.data for p in model.parameters()]))
    assert ends[0] == ends[1]


def test_the_fastest_number_of_threads_is_chosen() -> None:
    """Each is measured as many steps as the others; the least time counts."""
    for fastest in (1, 2, 4, 6):
        choice, asked = threads_.Choice(6), []
        while not choice.is_made():
            asked.append(choice.threads)
            disturbed = 5.0 if asked.count(choice.threads) == 2 else 0.0
            choice.took(3 * (1.0 + (choice.threads != fastest) + disturbed), steps=3)
        assert sorted(asked) == sorted([1, 2, 4, 6] * 3)
        assert choice.threads == fastest
    assert threads_.processors() >= 1


# ---- what may interrupt it


def test_ctrl_c_ends_a_run_after_a_whole_step() -> None:
    """What threads have done then is what one thread does in so many steps."""
    model, loss, X, y = perceptron()
    optimizer = optim.Adam(model.parameters(), lr=1e-4)
    step = mp.compile(loss, optimizer, threads=2)
    step(X, y)
    first = model.parameters()[0]
    before = first.data
    with ctrl_c(lambda: first.data != before):
        step.run(X, y, epochs=10_000_000, progress=False)
    steps = int(optimizer.state[0]["steps"])
    after = [p.data for p in model.parameters()]
    again, loss, X, y = perceptron()
    adam = optim.Adam(again.parameters(), lr=1e-4)
    mp.compile(loss, adam, threads=1).run(X, y, epochs=steps, progress=False)
    assert [p.data for p in again.parameters()] == after


def test_nothing_is_done_by_others_if_the_first_thread_cannot_begin() -> None:
    model, loss, X, y = perceptron()
    step = mp.compile(loss, optim.SGD(model.parameters(), lr=0.1), threads=2)
    step(X, y)
    machine = step._programs.machine
    kernel, before = machine.run_kernel, [p.data for p in model.parameters()]

    def interrupted(address: int) -> int:
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        return int(kernel(address))

    machine.run_kernel = interrupted
    with pytest.raises(KeyboardInterrupt):
        step(X, y)
    assert [p.data for p in model.parameters()] == before
    machine.run_kernel = kernel
    step(X, y)
    assert [p.data for p in model.parameters()] != before


def test_many_short_runs_and_runs_in_several_threads() -> None:
    expected = trained(perceptron, 1, batch_size=150)
    results: list[list[float]] = []

    def train() -> None:
        results.extend(trained(perceptron, 3, batch_size=150) for _ in range(3))

    runners = [threading.Thread(target=train) for _ in range(3)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    assert results == [expected] * 9
    model, loss, X, y = perceptron()
    step = mp.compile(loss, optim.Adam(model.parameters(), lr=0.01), threads=2)
    for _ in range(500):
        step(X, y)
    again, loss, X, y = perceptron()
    mp.compile(loss, optim.Adam(again.parameters(), lr=0.01), threads=1).run(
        X, y, epochs=500, progress=False
    )
    assert [p.data for p in model.parameters()] == [p.data for p in again.parameters()]


FORKED = """
import os, random
import micrograd_plus as mp
from micrograd_plus import data, nn, optim

X, y = data.moons(300, seed=1)
model = nn.MLP(2, [4, 1], generator=random.Random(0))
loss = lambda x, t: mp.losses.hinge(model(x), t)
step = mp.compile(loss, optim.SGD(model.parameters(), lr=0.1), threads=2)
step(X, y)
child = os.fork()
got = step(X, y)
if child:
    _, status = os.waitpid(child, 0)
    print(got, os.waitstatus_to_exitcode(status))
else:
    print(got, flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_process_and_its_fork_run_on_and_end() -> None:
    printed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED],
        capture_output=True, text=True, check=True, timeout=600,
    ).stdout.split()  # fmt: skip
    assert printed[0] == printed[1]
    assert printed[2] == "0"


# ---- what is given


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "all"])
def test_threads_are_a_whole_number(threads: Any) -> None:
    with pytest.raises(ValueError, match="threads must be a whole number of at least 1, not"):
        mp.compile(nn.MLP(2, [1]), threads=threads)


def test_plain_python_takes_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("micrograd_plus.compiler.running.is_native", lambda: False)
    monkeypatch.setattr("micrograd_plus.compiler.running._note_slowness", lambda: None)
    one, four = (trained(perceptron, count, batch_size=150) for count in (None, 4))
    assert one == four
