"""What a call of a compiled function copies, and what it does to the parameters between calls."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import random
import re
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from interrupts import ctrl_c
from machines import values
from optimizers import SCHEDULES

import micrograd_plus as mp
from micrograd_plus import Value, data, losses, nn, optim
from micrograd_plus.compiler.interpreter import PlainMachine
from micrograd_plus.compiler.running import NativeMachine

X, Y = data.moons(20, seed=1)


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the methods that copied parameters, or an optimizer's state, in their order."""
    called: list[str] = []

    def noted(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            called.append(name)
            return method(*arguments)

        return call

    for kind in (NativeMachine, PlainMachine):
        for name in ("read", "write", "copy_from", "read_state", "write_state"):
            monkeypatch.setattr(kind, name, noted(name, getattr(kind, name)))
    return called


def model_and_loss(seed: int = 0) -> tuple[nn.MLP, Callable[[Any, Any], Value]]:
    model = nn.MLP(2, [4, 1], activation="tanh", generator=random.Random(seed))
    return model, lambda x, y: losses.mse(model(x), [y])


def numbers(model: nn.Module) -> list[float]:
    return [p.data for p in model.parameters()]


# ---- nothing is copied until somebody looks


def test_calls_that_nobody_looks_between_copy_nothing(machine: str, copied: list[str]) -> None:
    model, loss_fn = model_and_loss()
    step = mp.compile(loss_fn, optim.Adam(model.parameters(), lr=0.01))
    seen = [step(X, Y)]
    copied.clear()
    seen += [step(X, Y), *step.run(X, Y, epochs=3, batch_size=7), step(X, Y)]
    assert copied == []
    other, other_loss = model_and_loss()
    looked_at = mp.compile(other_loss, optim.Adam(other.parameters(), lr=0.01))
    expected = []
    for rows, targets in [(X, Y), (X, Y), *3 * list(data.batches(X, Y, 7)), (X, Y)]:
        expected.append(looked_at(rows, targets))
        numbers(other)
    assert seen == expected
    assert numbers(model) == numbers(other)


def test_one_look_brings_all_numbers_home(machine: str, copied: list[str]) -> None:
    model, loss_fn = model_and_loss()
    step = mp.compile(loss_fn, optim.SGD(model.parameters(), lr=0.1))
    step(X, Y)
    copied.clear()
    parameters = model.parameters()
    assert isinstance(parameters[-1].data, float)
    assert {type(p) for p in parameters} == {Value}
    numbers(model)
    assert copied == ["read"]
    step(X, Y)
    assert copied == ["read", "write"]


def test_predictions_take_the_numbers_from_the_step(machine: str, copied: list[str]) -> None:
    """From machine to machine; the parameters are not touched, and nor are their gradients."""
    model, loss_fn = model_and_loss()
    step = mp.compile(loss_fn, optim.SGD(model.parameters(), lr=0.1))
    predict = mp.compile(model)
    predict(X)
    step(X, Y)
    copied.clear()
    for _ in range(3):
        predictions = predict(X)
        step(X, Y)
    assert copied == ["copy_from"] * 3
    again, loss_again = model_and_loss()
    twin = mp.compile(loss_again, optim.SGD(again.parameters(), lr=0.1))
    for _ in range(3):
        twin(X, Y)
    assert list(predictions) == pytest.approx([again(x).data for x in X], rel=1e-12)


def test_predictions_alone_leave_gradients_alone(machine: str, copied: list[str]) -> None:
    model, _ = model_and_loss()
    for i, parameter in enumerate(model.parameters()):
        parameter.grad = float(i)
    predict = mp.compile(model)
    predict(X)
    copied.clear()
    predict(X)
    assert copied == []
    assert [p.grad for p in model.parameters()] == list(range(len(model.parameters())))


def test_numbers_outlive_the_compiled_function(machine: str) -> None:
    w = Value(1.0)
    step = mp.compile(lambda x: (w * x - 3.0) ** 2, optim.SGD([w], lr=0.1))
    step([1.0])
    gone = weakref.ref(step)
    del step
    gc.collect()
    assert gone() is None
    assert w.data == pytest.approx(1.4)


# ---- whoever looks sees the numbers, wherever it is

LOOKS: dict[str, Callable[[list[Value], optim.Optimizer], Any]] = {
    "data": lambda w, o: [p.data for p in w],
    "grad": lambda w, o: [p.grad for p in w],
    "grad first": lambda w, o: (w[1].grad, w[0].data),
    "item": lambda w, o: w[0].item(),
    "repr": lambda w, o: repr(w),
    "format": lambda w, o: f"{w[0]:.12f}",
    "comparison": lambda w, o: (w[0] < w[1], w[0] >= w[1], sorted(w, key=lambda p: p.data)[0].data),
    "eager code": lambda w, o: (w[0] * w[1] + w[2].tanh()).data,
    "detach": lambda w, o: w[2].detach().data,
    "copy": lambda w, o: repr(copy.copy(w[1])),
    "deepcopy": lambda w, o: [(type(p), repr(p)) for p in copy.deepcopy(w)],
    "pickle": lambda w, o: [(type(p), repr(p)) for p in pickle.loads(pickle.dumps(w))],
    "norm": lambda w, o: optim.grad_norm(w),
    "clipping": lambda w, o: (optim.clip_grad_norm_(w, 0.1), repr(w)),
    "eager step": lambda w, o: (o.step(), repr(w)),
    "zero_grad": lambda w, o: (o.zero_grad(), repr(w)),
    "backward": lambda w, o: ((w[0] * w[1]).backward(), repr(w)),
    "type after a look": lambda w, o: (w[2].data, [type(p) for p in w]),
    "is a Value": lambda w, o: [isinstance(p, Value) for p in w],
    "hash": lambda w, o: [{p: i}[p] for i, p in enumerate(w)],
    "name of the type": lambda w, o: [(type(p).__name__, type(p).__module__) for p in w],
}


@pytest.mark.parametrize("name", LOOKS)
def test_a_look_sees_the_numbers_of_the_last_step(machine: str, name: str) -> None:
    """The same look at parameters that an eager twin has moved."""
    seen = []
    for compiled in (True, False):
        w = values(0.5, -1.0, 2.0)
        optimizer = optim.SGD(w, lr=0.1, momentum=0.5)

        def loss_fn(x: Any, w: list[Value] = w) -> Value:
            return (w[0] * x + w[1] * x) * x + w[2] * w[0]

        step = mp.compile(loss_fn, optimizer)
        for _ in range(3):
            if compiled:
                step([2.0])
            else:
                optimizer.zero_grad()
                loss_fn(2.0).backward()
                optimizer.step()
        seen.append(LOOKS[name](w, optimizer))
        for p in w:
            assert type(p) is Value or name in ("is a Value", "hash", "name of the type")
    ours, theirs = map(repr, seen)
    floats = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
    assert floats.sub("", ours) == floats.sub("", theirs)
    assert [float(number) for number in floats.findall(ours)] == pytest.approx(
        [float(number) for number in floats.findall(theirs)], rel=1e-12
    )


def test_what_is_written_anywhere_is_honoured(machine: str, copied: list[str]) -> None:
    w = values(1.0, 1.0)
    step = mp.compile(lambda x: w[0] * x + w[1], optim.SGD(w, lr=0.0))
    assert step([2.0]) == 3.0
    w[1].data = 5.0
    assert step([2.0]) == 7.0
    w[0].grad = 3.0  # which the next step replaces
    assert step([2.0]) == 7.0
    assert [p.grad for p in w] == [2.0, 1.0]
    w[0].data += 1
    assert mp.compile(lambda x: w[0] * x + w[1])([2.0]) == 9.0


def test_two_steps_that_share_some_parameters(machine: str) -> None:
    a, b, c = w = values(1.0, 2.0, 3.0)
    first = mp.compile(lambda x: a * b * x, optim.SGD([a, b], lr=0.1))
    second = mp.compile(lambda x: b * c * x, optim.SGD([b, c], lr=0.1))
    eager = values(1.0, 2.0, 3.0)
    for _ in range(4):
        first([1.0])
        second([1.0])
        for i, j in ((0, 1), (1, 2)):
            one, two = eager[i].data, eager[j].data
            eager[i].data, eager[j].data = one - 0.1 * two, two - 0.1 * one
    assert [p.data for p in w] == pytest.approx([p.data for p in eager], rel=1e-12)


def test_parameters_of_a_class_of_the_user_come_home_at_once(machine: str) -> None:
    class Noted(Value):
        """A Value that notes what is written."""

        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if name == "data":
                written.append(value)

    written: list[float] = []
    w = Noted(1.0)
    step = mp.compile(lambda x: w * x, optim.SGD([w], lr=0.5))
    written.clear()
    step([1.0])
    assert (written, type(w), w.grad) == ([0.5], Noted, 1.0)


def test_a_new_shape_is_recorded_with_the_numbers_at_home(machine: str) -> None:
    w = Value(1.0)
    step = mp.compile(lambda x: w * mp.sum(x), optim.SGD([w], lr=0.1))
    step([[1.0]])
    assert step([[1.0, 2.0]]) == pytest.approx(0.9 * 3)
    assert w.data == pytest.approx(0.6)


# ---- threads, and Ctrl-C


def test_a_thread_that_looks_waits_for_whole_steps(machine: str) -> None:
    """Both parameters move by the same amount, so a half step would show."""
    w = values(0.0, 0.0)
    step = mp.compile(lambda x: (w[0] + w[1]) * x, optim.SGD(w, lr=1.0))
    step([1.0])
    ended = threading.Event()
    halves: list[Any] = []

    def look() -> None:
        while not ended.is_set():
            pair = [p.data for p in copy.deepcopy(w)]
            halves.extend(pair for number in pair if number != int(number))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(200):
            step.run([1.0], epochs=2, progress=False)
    finally:
        ended.set()
        thread.join()
    assert halves == []
    assert [p.data for p in w] == [-401.0, -401.0]


def test_threads_that_train_the_same_parameters_do_not_wait_for_each_other_forever() -> None:
    w = values(0.0, 0.0)
    sgd = optim.SGD(w, lr=1.0)
    steps = [mp.compile(lambda x: (w[0] + w[1]) * x, sgd) for _ in range(2)]

    def train(step: Any) -> None:
        for _ in range(100):
            step([1.0])

    threads = [threading.Thread(target=train, args=(step,), daemon=True) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert -200.0 <= w[0].data <= -100.0


@pytest.mark.parametrize("stop", range(1, 40, 3))
def test_ctrl_c_while_numbers_come_and_go(machine: str, stop: int) -> None:
    """The signal comes at the n-th change of a class or line: each number is old or new."""
    w = values(*[0.0] * 5)
    step = mp.compile(lambda x: sum(w, Value(0.0)) * x, optim.SGD(w, lr=1.0))
    step([1.0])
    lines = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal lines
        if frame.f_code.co_filename.endswith("parameter_memory.py"):
            lines += event == "line"
            if lines == stop:
                lines += 1
                raise KeyboardInterrupt
            return trace
        return trace if frame.f_code.co_filename == __file__ else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        assert w[2].data == -1.0
        step([1.0])
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    found = [p.data for p in w]
    assert found in ([-1.0] * 5, [-2.0] * 5)
    w[0].data = 7.0
    step([1.0])
    assert [p.data for p in w] == [6.0, *[number - 1 for number in found[1:]]]


# ---- schedules


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_gives_the_same_numbers_as_steps_one_by_one(machine: str, name: str) -> None:
    """Bit for bit, over parts of any length."""
    runs = []
    for at_once in (True, False):
        model, loss_fn = model_and_loss()
        adam = optim.Adam(model.parameters(), lr=0.1)
        schedule = getattr(optim, name)(adam, **SCHEDULES[name])
        step = mp.compile(loss_fn, adam)
        if at_once:
            got = step.run(X, Y, epochs=9, batch_size=7, schedule=schedule)
        else:
            got = []
            for rows, targets in 9 * list(data.batches(X, Y, 7)):
                got.append(step(rows, targets))
                schedule.step()
        runs.append((got, numbers(model), schedule.state_dict(), adam.lr, adam.state))
    assert runs[0] == runs[1]


def test_the_first_rate_is_the_one_that_the_user_has_set(machine: str) -> None:
    w = Value(0.0)
    sgd = optim.SGD([w], lr=1.0)
    schedule = optim.ExponentialLR(sgd, gamma=0.5)
    sgd.lr = 100.0
    mp.compile(lambda x: w * x, sgd).run([1.0], epochs=3, schedule=schedule)
    assert w.data == -100.0 - 0.5 - 0.25


def test_a_schedule_stands_where_the_steps_stand_after_ctrl_c(machine: str) -> None:
    """The signal comes while a part runs; each step moves the parameter by its learning rate."""
    w = Value(0.0)
    sgd = optim.SGD([w], lr=1.0)
    schedule = optim.LinearLR(sgd, 1.0, 0.0, total_iters=10**7)
    step = mp.compile(lambda x: w * x, sgd)
    with ctrl_c(lambda: w.data != 0.0):
        step.run([1.0], epochs=10**7, schedule=schedule, progress=False)
    done = schedule.last_epoch
    assert 0 < done < 10**7
    assert sgd.lr == schedule.lr_at(done)
    moved = math.fsum(schedule.lr_at(epoch) for epoch in range(done))
    if machine == "native":  # in plain Python, Ctrl-C may come in the middle of a step
        assert w.data == pytest.approx(-moved, rel=1e-9)


def test_a_schedule_of_the_user_is_stepped_by_its_own_code(machine: str) -> None:
    class Halving(optim.Schedule):
        """Remembers a number of its own."""

        def __init__(self, optimizer: optim.Optimizer) -> None:
            self.factor = 1.0
            super().__init__(optimizer)

        def lr_at(self, epoch: int) -> float:
            return self.factor

        def step(self) -> None:
            self.factor /= 2
            super().step()

    w = Value(0.0)
    sgd = optim.SGD([w], lr=1.0)
    schedule = Halving(sgd)
    mp.compile(lambda x: w * x, sgd).run([1.0], epochs=5, schedule=schedule)
    assert w.data == -(1 + 1 / 2 + 1 / 4 + 1 / 8 + 1 / 16)
    assert (schedule.factor, sgd.lr, schedule.last_epoch) == (1 / 32, 1 / 32, 5)


# ---- examples


@pytest.mark.parametrize("kind", ["lists", "arrays", "tuples", "array and list"])
def test_examples_may_change_between_calls(machine: str, kind: str) -> None:
    """Also in place: a list that is the same object may hold other numbers."""
    np = pytest.importorskip("numpy")
    make: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
        "lists": (lambda rows: [list(row) for row in rows], list),
        "arrays": (np.array, np.array),
        "tuples": (tuple, tuple),
        "array and list": (np.array, list),
    }
    w = Value(2.0)
    loss = mp.compile(lambda x, y: (w * x[0] + x[1]) * y)
    rows, targets = make[kind][0]([(1.0, 2.0), (3.0, 4.0)]), make[kind][1]([1, -1])
    assert loss(rows, targets) == ((2 * 1 + 2) - (2 * 3 + 4)) / 2
    if kind != "tuples":
        rows[0][0] = 5.0
        assert loss(rows, targets) == ((2 * 5 + 2) - (2 * 3 + 4)) / 2
    assert loss(rows[:1], targets[:1]) == 2 * rows[0][0] + 2
    assert loss([(1.0, 1.0)] * 3, [1, 1, 1]) == 3.0


def test_shapes_and_numbers_of_examples_may_alternate(machine: str) -> None:
    w = Value(2.0)
    loss, predict = mp.compile(lambda x: w * mp.sum(x)), mp.compile(nn.Softmax())
    for rows in ([[1.0], [2.0]], [[1.0, 2.0]], [[4.0]], [[3.0, 4.0], [5.0, 6.0]]) * 3:
        assert loss(rows) == sum(2 * sum(row) for row in rows) / len(rows)
        expected = [[v.data for v in nn.Softmax()(row)] for row in rows]
        assert [list(row) for row in predict(rows)] == [pytest.approx(row) for row in expected]


def test_a_call_in_the_memory_of_the_last_one_is_as_strict(machine: str) -> None:
    np = pytest.importorskip("numpy")
    w = Value(2.0)
    loss = mp.compile(lambda x, y: losses.hinge(w * x[0] + x[1], y))
    rows, targets = np.array([(1.0, 2.0), (3.0, 4.0)]), np.array([1, -1])
    for _ in range(2):
        assert loss(rows, targets) == (0 + (1 + 2 * 3 + 4)) / 2
    refused: list[tuple[str, Any, Any]] = [
        ("number 1 of example 1 .* is nan", np.array([(1.0, 2.0), (3.0, math.nan)]), targets),
        ("the target of hinge is -1 or 1, not 2", rows, np.array([1, 2])),
        ("x has 2, y has 3", rows, np.array([1, 1, 1])),
        ("not the bool", rows, np.array([True, False])),
    ]
    for message, x, y in refused:
        # The second call makes the reader, and each one tells it which numbers are right.
        for labels, expected in (([1, 1], 0.0), *[(targets, (0 + (1 + 2 * 3 + 4)) / 2)] * 3):
            assert loss(rows, labels) == expected
        with pytest.raises((ValueError, TypeError), match=message):
            loss(x, y)
    assert loss(rows.astype("f2"), targets.astype("i1")) == (0 + (1 + 2 * 3 + 4)) / 2


def test_a_call_without_arguments_is_refused_whatever_came_before(machine: str) -> None:
    w = Value(2.0)
    loss = mp.compile(lambda x: w * mp.sum(x))
    assert loss([[1.0], [1.0, 1.0]]) == 3.0
    for _ in range(2):
        with pytest.raises(TypeError, match="takes 1 arguments, x, and was given 0"):
            loss()


def test_memory_of_many_shapes_is_not_kept(machine: str) -> None:
    w = Value(2.0)
    loss = mp.compile(lambda x: w * mp.sum(x), cache_size=2)
    for _ in range(2):
        for count in range(1, 6):
            for width in range(1, 4):
                assert loss([[1.0] * width] * count) == 2 * width
    assert len(loss._others) <= 2


def test_a_call_keeps_none_of_its_arrays(machine: str) -> None:
    np = pytest.importorskip("numpy")
    w = Value(2.0)
    loss = mp.compile(lambda x: w * x)
    rows = np.array([1.0, 2.0])
    assert loss(rows) == 3.0
    reference = weakref.ref(rows)
    del rows
    assert reference() is None


def test_threads_that_call_at_once_do_not_mix_their_examples() -> None:
    np = pytest.importorskip("numpy")
    w = Value(2.0)
    loss, model = mp.compile(lambda x: w * x), mp.compile(nn.MLP(1, [1]))
    wrong: list[int] = []

    def call(number: int) -> None:
        rows = np.full(500, number)
        expected = model(rows[:, None]).tolist()
        for _ in range(100):
            if loss(rows) != 2 * number or model(rows[:, None]).tolist() != expected:
                wrong.append(number)

    loss([1.0]), model([[1.0]])
    threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_outputs_of_one_call_stay_as_they_are(machine: str) -> None:
    model, _ = model_and_loss()
    predict = mp.compile(model)
    first = predict(X)
    kept = list(first)
    assert list(predict([[0.0, 0.0]] * len(X))) != kept
    assert list(first) == kept


# ---- copies


COPIES: list[Callable[[Any], Any]] = [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]


@pytest.mark.parametrize("copied", COPIES)
def test_a_copy_of_an_optimizer_goes_on_with_its_state(copied: Callable[[Any], Any]) -> None:
    model, loss_fn = model_and_loss()
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    step = mp.compile(loss_fn, optimizer)
    step(X, Y)
    model_2, optimizer_2 = copied((model, optimizer))
    step_2 = mp.compile(lambda x, y: losses.mse(model_2(x), [y]), optimizer_2)
    assert [step_2(X, Y) for _ in range(3)] == [step(X, Y) for _ in range(3)]
    assert numbers(model_2) == numbers(model)
    assert optimizer_2.state == optimizer.state


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_copy_of_a_compiled_model(copied: Callable[[Any], Any], dtype: str) -> None:
    predict = mp.compile(model_and_loss()[0], cache_size=2, dtype=dtype)
    expected = predict(X).tolist()
    other = copied(predict)
    assert repr(other) == repr(predict)
    assert other(X).tolist() == expected
    other.function.parameters()[0].data += 1
    assert other(X).tolist() != expected == predict(X).tolist()


def test_a_copy_of_a_step() -> None:
    model, loss_fn = model_and_loss()
    step = mp.compile(loss_fn, optim.SGD(model.parameters(), lr=0.1))
    step(X, Y)
    other = copy.copy(step)
    assert other.optimizer is step.optimizer
    assert step.loss(X, Y) == other(X, Y) > step.loss(X, Y)
