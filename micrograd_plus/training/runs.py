"""The steps of a training, eager or compiled, and the numbers to which it can go back."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

from .. import losses
from ..compiler import Examples, Predict, Training, processors
from ..context import no_grad
from ..data import batches
from ..engine import Value
from ..nn import Module
from ..optim import Adam, Optimizer, Schedule, clip_grad_norm_, grad_norm
from ..support.nested import plain
from ..support.sweeping import in_a_sweep
from .history import History


class DivergedError(Exception):
    """The loss or the gradient is inf or nan."""


Snapshot = tuple[list[float], list[dict[str, float]]]
"""The numbers of the parameters, and the optimizer's state of each."""


class Run:
    """The state of one training: the counters, and the numbers to restore after a failure."""

    def __init__(
        self,
        model: Module,
        loss: Callable[[Any, Any], Value],
        optimizer: Optimizer | None,
        schedule: Schedule | None,
        clip: float | None,
    ) -> None:
        self.model = model
        self.loss = loss
        parameters = model.parameters()
        self.optimizer = optimizer or Adam(parameters, lr=0.01)
        # The optimizer may lack some of the model's parameters, and have others.
        self.values = [*parameters, *self.optimizer.parameters]
        if set(parameters).isdisjoint(self.optimizer.parameters):
            raise ValueError(
                "the optimizer updates none of the model's parameters: make a new one from "
                "model.parameters() of this model"
            )
        if schedule:
            schedule.require(self.optimizer)
        self.clip = clip
        self.history = History()
        self.steps = 0
        self.batch: tuple[list[Any], list[Any]] = ([], [])
        self.lr = self.optimizer.lr  # of the last update
        self.before = self.snapshot()  # before the last update; good_loss is the loss there
        self.good_loss = math.nan
        self.moving = False  # whether an update is in progress
        self.why_eager = ""  # the error with which compiling failed

    def snapshot(self) -> Snapshot:
        numbers = [parameter.data for parameter in self.optimizer.parameters]
        return numbers, [dict(remembered) for remembered in self.optimizer.state]

    def restore(self, snapshot: Snapshot) -> None:
        numbers, memory = snapshot
        for parameter, number in zip(self.optimizer.parameters, numbers):
            parameter.data = number
        self.optimizer.state = [dict(remembered) for remembered in memory]

    def good(self) -> Snapshot:
        """Returns the numbers before the last update."""
        return self.before

    def go_back(self) -> None:
        """Restores the numbers before the last update."""
        self.restore(self.before)

    def evaluate(self, X: list[Any], y: list[Any]) -> tuple[float, float | None]:
        """Returns the loss and the accuracy, as `evaluate` does."""
        return loss_and_accuracy(self.model, self.model, X, y, self.loss)

    def epoch(
        self, X: list[Any], y: list[Any], size: int, shuffler: random.Random | None
    ) -> dict[str, float | None]:
        """Makes one update per batch; returns the epoch's numbers for the history."""
        seen, loss_sum, right, norms = 0, 0.0, 0.0, []
        for rows, targets in batches(X, y, size, shuffler):
            loss, accuracy, norm = self.step(rows, targets)
            seen += len(rows)
            loss_sum += loss * len(rows)
            right += (accuracy or 0.0) * len(rows)
            norms.append(norm)
        return {
            "loss": loss_sum / seen,
            "accuracy": None if accuracy is None else right / seen,
            "grad_norm": sum(norms) / len(norms),
            "lr": self.optimizer.lr,
        }

    def step(self, rows: list[Any], targets: list[Any]) -> tuple[float, float | None, float]:
        """Makes one update; returns loss, accuracy and gradient norm before it."""
        self.steps += 1
        self.batch = rows, targets
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
        return loss.data, _accuracy(self.loss, predictions, targets), norm

    def check_last_update(self) -> None:
        """Checks that the loss is finite after the last update, which no later step would show."""
        if not self.steps:
            return
        loss, _ = self.evaluate(*self.batch)
        if not math.isfinite(loss):
            raise self.diverged("the loss", loss)
        for parameter in self.optimizer.parameters:
            if not math.isfinite(parameter.data):
                raise self.diverged("a parameter", parameter.data)

    def diverged(self, what: str, number: float) -> DivergedError:
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
    """A training with a compiled step, which runs a whole epoch in one call."""

    def __init__(self, X: list[Any], y: list[Any], *settings: Any) -> None:
        super().__init__(*settings)
        self.examples = Examples(("X", "y"), (X, y))
        threads = 1 if in_a_sweep() else processors()  # a sweep uses the others itself
        self.stepper = Training(self._one_example, self.optimizer, threads)
        self.predict = Predict(self.model)
        self.model.train()
        self.stepper.prepare(self.examples)
        reached = set(self.stepper.parameters)
        self.unreached = [value for value in self.values if value not in reached]

    def _one_example(self, x: Any, y: Any) -> tuple[Any, Any]:
        prediction = self.model(x)
        return _one(self.loss([prediction], [y])), prediction

    def good(self) -> Snapshot:
        now = self.snapshot()
        self.stepper.go_back()
        before = self.snapshot()
        self.restore(now)
        return before

    def go_back(self) -> None:
        if not math.isnan(self.good_loss):  # there was an update
            self.stepper.go_back()

    def evaluate(self, X: list[Any], y: list[Any]) -> tuple[float, float | None]:
        return loss_and_accuracy(self.model, self.predict, X, y, self.loss)

    def epoch(
        self, X: list[Any], y: list[Any], size: int, shuffler: random.Random | None
    ) -> dict[str, float | None]:
        order = list(range(len(X)))
        if shuffler:
            shuffler.shuffle(order)
        for value in self.unreached:  # the step sets the gradients of the others
            value.grad = 0.0
        clip = self.clip or 0.0
        losses, norms, predictions = self.stepper.epoch(self.examples, order, size, clip)
        parts = [order[begin : begin + size] for begin in range(0, len(order), size)]
        last = parts[len(losses) - 1]
        self.steps += len(losses)
        self.batch = [X[i] for i in last], [y[i] for i in last]
        for loss, norm in zip(losses, norms):
            for what, number in (("the loss", loss), ("the gradient's norm", norm)):
                if not math.isfinite(number):
                    raise self.diverged(what, number)
            self.good_loss, self.lr = loss, self.optimizer.lr
        self.history.threads = self.stepper.threads or 1
        accuracy = _accuracy(self.loss, predictions, [y[i] for i in order])
        return {
            "loss": sum(loss * len(part) for loss, part in zip(losses, parts)) / len(order),
            "accuracy": accuracy,
            "grad_norm": sum(norms) / len(norms),
            "lr": self.optimizer.lr,
        }


def loss_and_accuracy(
    model: Module, predict: Callable[[Any], Any], X: list[Any], y: list[Any], loss: Any
) -> tuple[float, float | None]:
    """As `evaluate`, with the predictions of `predict`."""
    with model.evaluating(), no_grad():
        predictions = plain(predict(X))
        return _one(loss(predictions, y)).data, _accuracy(loss, predictions, y)


def _one(loss: Any) -> Value:
    if not isinstance(loss, Value):
        raise TypeError(f"the loss must be one Value, not {loss!r}")
    return loss


def _accuracy(
    loss: Callable[[Any, Any], Value], predictions: Sequence[Any], targets: Sequence[Any]
) -> float | None:
    rule = getattr(type(loss), "function", loss)  # the function of a loss module
    decisions = [losses.is_correct(rule, p, t) for p, t in zip(predictions, targets)]
    return None if None in decisions else sum(map(bool, decisions)) / len(decisions)
