"""The steps of a training, eager or compiled, and the numbers to which it can go back."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from .. import losses
from ..compiler import Examples, Predict, Training, is_native, processors
from ..context import no_grad
from ..engine import Value
from ..nn import Module
from ..optim import Adam, Optimizer, Schedule, clip_grad_norm_, grad_norm
from ..support.nested import flatten, plain
from ..support.sweeping import in_a_sweep
from .history import History


class DivergedError(Exception):
    """The loss or the gradient is inf or nan."""


State = dict[str, list[float | None]]
"""An optimizer's state: for each name, the number of each parameter; None where it has none."""

Snapshot = tuple[list[float], State]
"""The numbers of the parameters, and the optimizer's state."""


@dataclass
class Epoch:
    """An epoch in progress: what its steps have added up so far.

    order: the positions of the examples, in the order in which the steps take them.
    seeds: for the random numbers of compiled steps.
    steps: how many are done; examples: how many these took. loss, grad_norm: sums of what the means
        are made of. right: the number of right predictions; None for regression.
    """

    order: list[int]
    seeds: list[int]
    steps: int = 0
    examples: int = 0
    loss: float = 0.0
    grad_norm: float = 0.0
    right: int | None = 0

    def add(self, examples: int, loss: float, grad_norm: float) -> None:
        """Adds a step."""
        self.steps += 1
        self.examples += examples
        self.loss += loss * examples
        self.grad_norm += grad_norm

    def add_right(self, right: int | None) -> None:
        """Adds the number of right predictions, of one step or of several."""
        self.right = None if self.right is None or right is None else self.right + right

    def means(self) -> dict[str, float | None]:
        """Returns the epoch's numbers for the history."""
        return {
            "loss": self.loss / self.examples,
            "accuracy": None if self.right is None else self.right / self.examples,
            "grad_norm": self.grad_norm / self.steps,
        }


@dataclass
class Best:
    """The lowest loss so far, its epoch, and the numbers to go back to; None if nothing will."""

    loss: float
    epoch: int
    numbers: Snapshot | None


class Run:
    """The state of one training: the counters, and the numbers to restore after a failure."""

    engine = "eager"

    def __init__(
        self,
        model: Module,
        loss: Callable[[Any, Any], Value],
        optimizer: Optimizer | None,
        schedule: Schedule | None,
        clip: float | None,
        X: list[Any],
        y: list[Any],
    ) -> None:
        self.model = model
        self.loss = loss
        self.X, self.y = X, y
        parameters = model.parameters()
        self.optimizer = optimizer or Adam(parameters, lr=0.01)
        # The optimizer may lack some of the model's parameters, and have others.
        own = set(parameters)
        self.others = [value for value in self.optimizer.parameters if value not in own]
        self.values = [*parameters, *self.others]
        if len(self.others) == len(self.optimizer.parameters):
            raise ValueError(
                "the optimizer updates none of the model's parameters: make a new one from "
                "model.parameters() of this model"
            )
        if schedule:
            schedule.require(self.optimizer)
        self.clip = clip
        self.history = History()
        self.epoch: Epoch | None = None  # the one in progress
        self.steps = 0
        self.last: list[int] = []  # the examples of the last step
        self.lr = self.optimizer.lr  # of the last update
        self.before = self.snapshot()  # before the last update; good_loss is the loss there
        self.good_loss = math.nan
        self.best = Best(math.inf, 0, None)
        self.moving = False  # whether an update is in progress
        self.why_eager = ""  # the error with which compiling failed

    def snapshot(self) -> Snapshot:
        """Returns the numbers as they are now."""
        numbers = [parameter.data for parameter in self.optimizer.parameters]
        return numbers, _columns(self.optimizer.state)

    def restore(self, snapshot: Snapshot) -> None:
        """Sets the numbers to those of a snapshot."""
        numbers, memory = snapshot
        for parameter, number in zip(self.optimizer.parameters, numbers):
            parameter.data = number
        self.optimizer.state = _rows(memory, len(numbers))

    def good(self) -> Snapshot:
        """Returns the numbers before the last update."""
        return self.before

    def go_back(self) -> None:
        """Restores the numbers before the last update."""
        self.restore(self.good())

    def evaluate(self, X: list[Any], y: list[Any]) -> tuple[float, float | None]:
        """Returns the loss and the accuracy, as `evaluate` does."""
        return loss_and_accuracy(self.model, X, y, self.loss)

    # ---- what a checkpoint keeps of it

    def state_dict(self) -> dict[str, Any]:
        """Returns all that changes but the model's own numbers, in types that JSON has."""
        return {
            "optimizer": {**self.optimizer.state_dict(), "state": _columns(self.optimizer.state)},
            "others": [parameter.data for parameter in self.others],
            "before": self.good(),
            "good_loss": self.good_loss,
            "lr": self.lr,
            "steps": self.steps,
            "last": self.last,
            "epoch": self.epoch and vars(self.epoch),
            "best": vars(self.best),
            "history": vars(self.history),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from where `state_dict` was called."""
        optimizer = state["optimizer"]
        rows = _rows(optimizer["state"], len(self.optimizer.parameters))
        self.optimizer.load_state_dict({**optimizer, "state": rows})
        for parameter, number in zip(self.others, state["others"]):
            parameter.data = number
        self.before = state["before"]
        self.good_loss, self.lr = state["good_loss"], state["lr"]
        self.steps, self.last = state["steps"], state["last"]
        self.epoch = state["epoch"] and Epoch(**state["epoch"])
        self.best = Best(**state["best"])
        vars(self.history).update(state["history"])

    # ---- steps

    def begin_epoch(self, shuffler: random.Random | None) -> Epoch:
        """Returns a new epoch, for `steps_of`."""
        order = list(range(len(self.X)))
        if shuffler:
            shuffler.shuffle(order)
        return Epoch(order, self.seeds())

    def seeds(self) -> list[int]:
        """Returns seeds for an epoch; eager code needs none, it draws from the generators."""
        return []

    def steps_of(self, epoch: Epoch, size: int) -> Iterator[None]:
        """Makes the epoch's updates that are left, one per batch; yields after each."""
        for begin in range(epoch.steps * size, len(epoch.order), size):
            self.last = epoch.order[begin : begin + size]
            loss, norm, right = self.step(*self.examples_of(self.last))
            epoch.add(len(self.last), loss, norm)
            epoch.add_right(right)
            yield

    def examples_of(self, positions: Sequence[int]) -> tuple[list[Any], list[Any]]:
        """Returns the rows and the targets at these positions."""
        return [self.X[i] for i in positions], [self.y[i] for i in positions]

    def step(self, rows: list[Any], targets: list[Any]) -> tuple[float, float, int | None]:
        """Makes one update; returns loss, gradient norm and right predictions before it."""
        self.steps += 1
        for value in self.values:
            value.grad = 0.0
        predictions = self.model(rows)
        loss = _one(self.loss(predictions, targets))
        if loss.op is None:
            raise RuntimeError(
                "the loss does not depend on any parameter: it was computed inside "
                "`with no_grad():`, or from numbers (v.data) instead of Values"
            )
        if not math.isfinite(loss.data):
            raise self.diverged("the loss", loss.data)
        loss.backward()
        norm = grad_norm(self.optimizer.parameters)
        if not math.isfinite(norm):
            raise self.diverged("the gradient's norm", norm)
        self.before, self.good_loss, self.lr = self.snapshot(), loss.data, self.optimizer.lr
        if self.clip is not None:
            clip_grad_norm_(self.optimizer.parameters, self.clip)
        self.moving = True
        self.optimizer.step()
        self.moving = False
        return loss.data, norm, _right(self.loss, predictions, targets)

    def check_last_update(self) -> None:
        """Checks that the loss is finite after the last update, which no later step would show."""
        if not self.steps:
            return
        loss = self.loss_of_last()
        if not math.isfinite(loss):
            raise self.diverged("the loss", loss)
        for parameter in self.optimizer.parameters:
            if not math.isfinite(parameter.data):
                raise self.diverged("a parameter", parameter.data)

    def loss_of_last(self) -> float:
        """Returns the loss now, over the examples of the last step."""
        return self.evaluate(*self.examples_of(self.last))[0]

    def diverged(self, what: str, number: float) -> DivergedError:
        """Returns the error that says what became inf or nan, and what to do."""
        happened = f"{what} became {number} at step {self.steps} with lr={self.lr:g}"
        named = "use `with detect_anomaly():` to find the first value that is not finite"
        if math.isnan(self.good_loss):
            return DivergedError(
                f"{happened}, before any update. Look for nan, inf and very large numbers in X "
                f"and y; {named}."
            )
        return DivergedError(
            f"{happened}; the parameters are back where the loss was last finite "
            f"({self.good_loss:.4g}). {self.advice()[0].upper()}{self.advice()[1:]}; {named}."
        )

    def advice(self) -> str:
        """Returns advice for a loss that does not fall."""
        return (
            f"try lr={min(self.lr / 10, 0.01):g}, clip_grad_norm=1.0, or inputs and targets scaled "
            "to about -1 to 1"
        )


class CompiledRun(Run):
    """A training with a compiled step, which runs many of them in one call."""

    engine = "compiled"

    def __init__(self, engine: str, devices: Any, *settings: Any) -> None:
        super().__init__(*settings)
        if engine != "native":
            self.engine = f"compiled, in {engine}"
        elif not is_native():
            self.engine = "compiled, in plain Python"
        self.examples = Examples(("X", "y"), (self.X, self.y))
        threads = 1 if in_a_sweep() else processors()  # a sweep uses the others itself
        self.stepper = Training(self.one_example, self.optimizer, threads, engine, devices)
        self.measure = Predict(_Measured(self), engine=engine, devices=devices)
        self.right = losses.right_decisions(_rule(self.loss), self.y)
        self.in_machine = False  # whether the numbers before the last update are still there
        self.model.train()
        self.stepper.prepare(self.examples)
        reached = set(self.stepper.parameters)
        self.unreached = [value for value in self.values if value not in reached]

    def one_example(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Returns the loss and the prediction of one example."""
        prediction = self.model(x)
        return _one(self.loss([prediction], [y])), prediction

    def good(self) -> Snapshot:
        """Returns the numbers before the last update."""
        if self.in_machine:
            now = self.snapshot()
            self.stepper.go_back()
            self.before = self.snapshot()
            self.in_machine = False
            self.restore(now)
        return self.before

    def evaluate(self, X: list[Any], y: list[Any]) -> tuple[float, float | None]:
        """Returns the loss and the accuracy, as `evaluate` does for a loss that is a mean."""
        with self.model.evaluating(), no_grad():
            rows = self.measure(X, y)
        loss = sum([float(row[0]) for row in rows]) / len(rows)
        return loss, _share(_right(self.loss, _predictions(rows), y), y)

    def loss_of_last(self) -> float:
        """Returns the loss now, over the examples of the last step."""
        return self.stepper.loss_of(self.examples, self.last)

    def seeds(self) -> list[int]:
        """Returns a seed for each random number of the compiled step."""
        return self.stepper.seeds(self.examples)

    def steps_of(self, epoch: Epoch, size: int) -> Iterator[None]:
        """Makes the epoch's updates that are left; yields after about 0.1 s of them."""
        for value in self.unreached:  # the step sets the gradients of the others
            value.grad = 0.0
        for of_steps, norms, rows in self.stepper.epoch(
            self.examples, epoch.order, size, self.clip or 0.0, epoch.seeds, epoch.steps
        ):
            first = epoch.examples
            for loss, norm in zip(of_steps, norms):
                self.steps += 1
                self.last = epoch.order[epoch.examples : epoch.examples + size]
                for what, number in (("the loss", loss), ("the gradient's norm", norm)):
                    if not math.isfinite(number):
                        raise self.diverged(what, number)
                epoch.add(len(self.last), loss, norm)
                self.good_loss, self.lr, self.in_machine = loss, self.optimizer.lr, True
            right = [self.right[i] for i in epoch.order[first : epoch.examples]]
            epoch.add_right(losses.count_correct(_rule(self.loss), _predictions(rows), right))
            self.history.threads = self.stepper.threads or 1
            yield


def _columns(state: Sequence[Mapping[str, float]]) -> State:
    names = dict.fromkeys(chain.from_iterable(state))
    return {name: [remembered.get(name) for remembered in state] for name in names}


def _rows(columns: State, count: int) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = [{} for _ in range(count)]
    for name, numbers in columns.items():
        for remembered, number in zip(rows, numbers):
            if number is not None:
                remembered[name] = number
    return rows


class _Measured:
    """What `evaluate` measures of one example, as a model that can be compiled."""

    def __init__(self, run: CompiledRun) -> None:
        self.run = run

    def parameters(self) -> list[Value]:
        """Those of the model."""
        return self.run.model.parameters()

    def __call__(self, x: Any, y: Any) -> list[Any]:
        """A row: the loss, and the numbers of the prediction."""
        loss, prediction = self.run.one_example(x, y)
        return [loss, *flatten(prediction)]


def loss_and_accuracy(
    model: Module, X: list[Any], y: list[Any], loss: Any
) -> tuple[float, float | None]:
    """As `evaluate`."""
    with model.evaluating(), no_grad():
        predictions = plain(model(X))
        accuracy = _share(_right(loss, predictions, y), y)
        return _one(loss(predictions, y)).data, accuracy


def _share(right: int | None, of: Sequence[Any]) -> float | None:
    return None if right is None else right / len(of)


def _one(loss: Any) -> Value:
    if not isinstance(loss, Value):
        raise TypeError(f"the loss must be one Value, not {loss!r}")
    return loss


def _right(
    loss: Callable[[Any, Any], Value], predictions: Sequence[Any], targets: Sequence[Any]
) -> int | None:
    """The number of right predictions; None for regression."""
    rule = _rule(loss)
    return losses.count_correct(rule, predictions, losses.right_decisions(rule, targets))


def _rule(loss: Callable[[Any, Any], Value]) -> Callable[..., Any]:
    """The function that a loss computes: of a loss module its function."""
    return getattr(type(loss), "function", loss)


def _predictions(rows: Any) -> Any:
    """Rows of outputs without the first one, the loss."""
    return rows[:, 1:] if hasattr(rows, "shape") else [row[1:] for row in rows]
