"""Training a model: the usual loop, with progress, early stopping, schedules and checks.

>>> import random
>>> from micrograd_plus import data, losses, nn, optim
>>> X, y = data.moons(40, seed=1)
>>> model = nn.MLP(2, [8, 1], activation="tanh", generator=random.Random(1))
>>> optimizer = optim.Adam(model.parameters(), lr=0.1)
>>> history = fit(model, X, y, loss="hinge", optimizer=optimizer, epochs=50, progress=False)
>>> history
History(50 epochs, loss 0.07263, accuracy 100.0%)
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from . import losses
from .compiler import Examples, Predict, Training, is_native, processors
from .context import no_grad
from .data import batches, check_lengths
from .engine import Value
from .nn import Module
from .optim import Adam, Optimizer, Schedule, clip_grad_norm_, grad_norm
from .support.checks import generator_or, whole_number
from .support.nested import plain
from .support.progress import bar as progress_bar
from .support.rich import mimebundle
from .support.sweeping import in_a_sweep, warn

LOSSES: dict[str, Callable[..., Any]] = {
    name: getattr(losses, name)
    for name in ("mse", "l1", "huber", "hinge", "bce", "bce_with_logits", "cross_entropy")
}
"""The names for the argument `loss` of `fit`."""


@dataclass(repr=False)
class History:
    """The history of a training: one number per complete epoch in every list.

    loss, accuracy: means over the examples of the epoch, measured before each update; accuracy is
        empty for regression.
    val_loss, val_accuracy: the same for the validation data; empty without them.
    grad_norm: the mean norm of the gradient, before clipping. lr: the learning rate.
    stopped: the reason, if training ended before its last epoch.
    diverged: whether the loss or the gradient became inf or nan.
    threads: how many threads the last compiled steps used. `fit` chooses them by measuring; no
        other number depends on the choice.
    """

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    grad_norm: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    stopped: str = ""
    diverged: bool = False
    threads: int = field(default=1, compare=False)

    def append(self, **numbers: float | None) -> None:
        """Adds an epoch: a number for each list."""
        for name, number in numbers.items():
            if number is not None:
                getattr(self, name).append(number)

    def __repr__(self) -> str:
        parts = [f"{len(self.loss)} epochs"]
        for name in ("loss", "val_loss"):
            if series := getattr(self, name):
                parts.append(f"{name} {series[-1]:.4g}")
        for name in ("accuracy", "val_accuracy"):
            if series := getattr(self, name):
                parts.append(f"{name} {series[-1]:.1%}")
        if self.stopped:
            parts.append(f"stopped: {self.stopped}")
        return f"History({', '.join(parts)})"

    _repr_mimebundle_ = mimebundle


def fit(
    model: Module,
    X: Sequence[Any],
    y: Sequence[Any],
    *,
    loss: str | Callable[[Any, Any], Value],
    optimizer: Optimizer | None = None,
    epochs: int = 100,
    batch_size: int | None = None,
    validation: tuple[Sequence[Any], Sequence[Any]] | None = None,
    schedule: Schedule | None = None,
    clip_grad_norm: float | None = None,
    early_stop: int | None = None,
    callbacks: Iterable[Callable[[History], Any]] = (),
    generator: random.Random | None = None,
    progress: bool = True,
    compiled: bool | Literal["auto"] = "auto",
) -> History:
    """Trains `model` on the examples X with the targets y, and returns the `History`.

    loss: a name from `LOSSES`, or a function or module of (predictions, targets).
    optimizer: by default Adam with a learning rate of 0.01.
    batch_size: the number of examples for each step, by default all. With a number, the examples
        are shuffled by `generator`, by default one with seed 0.
    validation: X and y of examples on which the loss is measured after every epoch.
    schedule: stepped after every epoch.
    clip_grad_norm: the largest norm of the gradient; a longer gradient is scaled down.
    early_stop: ends the training if the loss (of the validation data, if there are any) has not
        improved for this many epochs. The model then gets the parameters with the best loss, even
        if the training did not end early.
    callbacks: functions that are called with the history after every epoch; a function that
        returns True ends the training.
    progress: whether to show a progress bar.
    compiled: whether to train with a compiled step (see `compile`), which is some thousand times
        faster. "auto" compiles if llvmlite is installed and the loss is known to be the mean over
        the examples; if compiling fails, a UserWarning says why, and eager code does the training.
        In compiled code Dropout draws other random numbers than in eager code. A compiled step
        of many examples runs in as many threads as the first steps show to be the fastest; the
        numbers are the same for every number of threads.

    If the loss or the gradient becomes inf or nan, the training ends with a RuntimeWarning, and the
    model gets the parameters with the last finite loss. After Ctrl-C it has the parameters of the
    last complete step. The model is in evaluation mode at the end.

    >>> import random
    >>> from micrograd_plus import data, nn
    >>> X, y = data.moons(40, seed=0)
    >>> model = nn.MLP(2, [4, 1], generator=random.Random(0))
    >>> history = fit(model, X, y, loss="hinge", epochs=5, compiled=False, progress=False)
    >>> len(history.loss), history.loss[-1] < history.loss[0]
    (5, True)
    """
    _check_kinds(validation, optimizer, schedule, callbacks, clip_grad_norm)
    X, y = _examples(X, y)
    validation = validation and _examples(*validation)
    epochs = whole_number("epochs", epochs, at_least=0)
    size = len(X) if batch_size is None else whole_number("batch_size", batch_size)
    patience = None if early_stop is None else whole_number("early_stop", early_stop)
    generator = generator_or(random.Random(0), generator)
    shuffler = None if batch_size is None else generator
    callbacks = list(callbacks)
    run = _run(compiled, model, _loss_function(loss), optimizer, schedule, clip_grad_norm, X, y)
    best, best_loss, best_epoch = run.snapshot(), math.inf, 0
    history = run.history
    bar = progress_bar(epochs, "epoch", progress)
    try:
        for epoch in bar:
            model.train()
            measured = run.epoch(X, y, size, shuffler)
            if epoch == 0 and run.why_eager:  # wrong data has already raised an error
                warn(
                    "fit trains with eager code, some thousand times slower than a compiled step, "
                    f"because compiling it failed: {run.why_eager}. A compiled step calls the "
                    "model with one example at a time. Pass compiled=False to train eagerly.",
                    UserWarning,
                    stacklevel=2,
                )
            if validation:
                val_loss, val_accuracy = run.evaluate(*validation)
                measured |= {"val_loss": val_loss, "val_accuracy": val_accuracy}
            history.append(**measured)
            if schedule:
                schedule.step()
            bar.set_postfix_str(_postfix(history), refresh=False)
            wishes = [callback(history) for callback in callbacks]
            if any(wishes):
                history.stopped = f"by a callback after epoch {epoch + 1}"
                break
            watched = (history.val_loss or history.loss)[-1]
            if watched < best_loss:  # the training loss was measured before the last update
                best_loss, best_epoch = watched, epoch
                if patience:
                    best = run.snapshot() if validation else run.good()
            elif patience and epoch - best_epoch >= patience:
                history.stopped = (
                    f"no improvement for {patience} epochs; the parameters are those of "
                    f"epoch {best_epoch + 1}"
                )
                break
        if patience:
            run.restore(best)
        run.check_last_update()
    except KeyboardInterrupt:
        if in_a_sweep():  # which ends as a whole
            raise
        if run.moving:  # half of the parameters may have moved
            run.go_back()
        history.stopped = f"by Ctrl-C after {len(history.loss)} whole epochs"
    except _DivergedError as diverged:
        run.go_back()
        history.stopped, history.diverged = str(diverged), True
        warn(str(diverged), RuntimeWarning, stacklevel=2)
    else:
        if len(history.loss) > 1 and history.loss[-1] > 100 * history.loss[0]:
            warn(
                f"the loss grew from {history.loss[0]:.4g} to {history.loss[-1]:.4g} with "
                f"lr={run.lr:g}: {run.advice()}",
                RuntimeWarning,
                stacklevel=2,
            )
    finally:
        bar.close()
        model.eval()
    return history


def evaluate(
    model: Module, X: Sequence[Any], y: Sequence[Any], *, loss: str | Callable[[Any, Any], Value]
) -> tuple[float, float | None]:
    """Returns the loss over all examples, and the accuracy (None for regression).

    The model is in evaluation mode during this call, and no graph is kept.

    >>> from micrograd_plus.nn import ReLU
    >>> evaluate(ReLU(), [1.0, 0.5], [1, -1], loss="hinge")
    (0.75, 0.5)
    """
    X, y = _examples(X, y)
    return _evaluate(model, model, X, y, _loss_function(loss))


def _evaluate(
    model: Module, predict: Callable[[Any], Any], X: list[Any], y: list[Any], loss: Any
) -> tuple[float, float | None]:
    """As `evaluate`, with the predictions of `predict`."""
    with model.evaluating(), no_grad():
        predictions = plain(predict(X))
        return _one(loss(predictions, y)).data, _accuracy(loss, predictions, y)


class _DivergedError(Exception):
    """The loss or the gradient is inf or nan."""


_Snapshot = tuple[list[float], list[dict[str, float]]]
"""The numbers of the parameters, and the optimizer's state of each."""


class _Run:
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

    def snapshot(self) -> _Snapshot:
        numbers = [parameter.data for parameter in self.optimizer.parameters]
        return numbers, [dict(remembered) for remembered in self.optimizer.state]

    def restore(self, snapshot: _Snapshot) -> None:
        numbers, memory = snapshot
        for parameter, number in zip(self.optimizer.parameters, numbers):
            parameter.data = number
        self.optimizer.state = [dict(remembered) for remembered in memory]

    def good(self) -> _Snapshot:
        """Returns the numbers before the last update."""
        return self.before

    def go_back(self) -> None:
        """Restores the numbers before the last update."""
        self.restore(self.before)

    def evaluate(self, X: list[Any], y: list[Any]) -> tuple[float, float | None]:
        """Returns the loss and the accuracy, as `evaluate` does."""
        return _evaluate(self.model, self.model, X, y, self.loss)

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

    def diverged(self, what: str, number: float) -> _DivergedError:
        happened = f"{what} became {number} at step {self.steps} with lr={self.lr:g}"
        named = "use `with detect_anomaly():` to find the first value that is not finite"
        if math.isnan(self.good_loss):
            return _DivergedError(
                f"{happened}, before any update. Look for nan, inf and very large numbers in X "
                f"and y; {named}."
            )
        return _DivergedError(
            f"{happened}; the parameters are back where the loss was last finite "
            f"({self.good_loss:.4g}). {self.advice()[0].upper()}{self.advice()[1:]}; {named}."
        )

    def advice(self) -> str:
        """Returns advice for a loss that does not fall."""
        return (
            f"try lr={min(self.lr / 10, 0.01):g}, clip_grad_norm=1.0, or inputs and targets scaled "
            "to about -1 to 1"
        )


class _CompiledRun(_Run):
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

    def good(self) -> _Snapshot:
        now = self.snapshot()
        self.stepper.go_back()
        before = self.snapshot()
        self.restore(now)
        return before

    def go_back(self) -> None:
        if not math.isnan(self.good_loss):  # there was an update
            self.stepper.go_back()

    def evaluate(self, X: list[Any], y: list[Any]) -> tuple[float, float | None]:
        return _evaluate(self.model, self.predict, X, y, self.loss)

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


def _run(compiled: bool | str, *arguments: Any) -> _Run:
    """Returns a training, compiled if requested and possible; the last arguments are X, y."""
    *settings, X, y = arguments
    if compiled not in (True, False, "auto"):
        raise ValueError(f"compiled is True, False or 'auto', not {compiled!r}")
    _, loss, *_ = settings
    if compiled is True:
        return _CompiledRun(X, y, *settings)
    if compiled == "auto" and _is_mean(loss) and is_native():
        try:
            return _CompiledRun(X, y, *settings)
        except (TypeError, ValueError) as error:
            run = _Run(*settings)
            run.why_eager = str(error)
            return run
    return _Run(*settings)


def _is_mean(loss: Any) -> bool:
    """Whether a loss is known to be the mean over the examples."""
    return loss in LOSSES.values() or getattr(loss, "reduction", "") == "mean"


def _loss_function(loss: str | Callable[[Any, Any], Value]) -> Callable[[Any, Any], Value]:
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise ValueError(f"there is no loss {loss!r}; the losses are {', '.join(LOSSES)}")
        return LOSSES[loss]
    if not callable(loss) or isinstance(loss, type):
        raise TypeError(
            f"loss must be a name, a function, or a module such as nn.BCELoss(), not {loss!r}"
        )
    return loss


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


def _check_kinds(
    validation: Any, optimizer: Any, schedule: Any, callbacks: Any, clip_grad_norm: Any
) -> None:
    """TypeError or ValueError for common mistakes in the arguments of `fit`."""
    if validation is not None and not (
        isinstance(validation, (list, tuple)) and len(validation) == 2
    ):
        raise TypeError(
            "validation must be a pair of examples and targets, such as (X_test, y_test)"
        )
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise TypeError(
            "optimizer must be an Optimizer, such as optim.Adam(model.parameters(), lr=0.01), not "
            f"{optimizer!r}"
        )
    if schedule is not None and not isinstance(schedule, Schedule):
        raise TypeError(
            "schedule must be a Schedule, such as optim.StepLR(optimizer, step_size=10), not "
            f"{schedule!r}"
        )
    if callable(callbacks):
        raise TypeError("callbacks must be a list of functions: write callbacks=[function]")
    if clip_grad_norm is not None and not clip_grad_norm > 0:
        raise ValueError(f"clip_grad_norm must be above 0, not {clip_grad_norm!r}")


def _examples(X: Any, y: Any) -> tuple[list[Any], list[Any]]:
    """Returns X and y as lists; ValueError if their lengths differ."""
    X, y = list(plain(X)), list(plain(y))
    check_lengths(X, y)
    return X, y


def _postfix(history: History) -> str:
    parts = [f"loss {history.loss[-1]:.4f}"]
    if history.accuracy:
        parts.append(f"accuracy {history.accuracy[-1]:.1%}")
    if history.val_loss:
        parts.append(f"val_loss {history.val_loss[-1]:.4f}")
    return ", ".join(parts)
