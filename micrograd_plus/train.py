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

import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from . import losses
from .compiler import is_native
from .data import check_lengths
from .engine import Value
from .loggers import Logger, Loggers
from .nn import Module
from .optim import Optimizer, Schedule
from .support.checks import generator_or, whole_number
from .support.nested import plain
from .support.progress import bar as progress_bar
from .support.sweeping import in_a_sweep, warn
from .support.words import in_short
from .training.checkpoints import Checkpoints
from .training.history import History
from .training.runs import Best, CompiledRun, DivergedError, Run, loss_and_accuracy
from .training.settings import settings_of

__all__ = ["LOSSES", "History", "evaluate", "fit"]

LOSSES: dict[str, Callable[..., Any]] = {
    name: getattr(losses, name)
    for name in ("mse", "l1", "huber", "hinge", "bce", "bce_with_logits", "cross_entropy")
}
"""The names for the argument `loss` of `fit`."""


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
    engine: str = "native",
    devices: int | str | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 60.0,
    resume: bool = False,
    logger: Logger | Iterable[Logger] = (),
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
    engine, devices: what runs the compiled step, and on how many devices, as in `compile`. Another
        engine than "native" always compiles: an error says if that is not possible.
    checkpoint: a folder for checkpoints. There is one at the beginning, one after every
        `checkpoint_seconds`, between two steps, and one at the end. Each replaces the one before
        the last. After Ctrl-C there is one, too: the training ends after the step in progress, or
        at once after a second Ctrl-C. A folder that has the checkpoint of a training is refused
        without `resume`.
    resume: continues from the newest checkpoint in the folder; from the beginning if there is none.
        Then a training that was killed or interrupted, and is called again with the same arguments,
        ends with the numbers that it would have had, to the last bit on the same machine. Only
        `epochs`, `callbacks` and `logger` may change; more epochs continue a finished training.
        The random generators that continue are `generator`, those that modules have as attributes,
        and Python's own.
    logger: one of `loggers`, or a list of several. They get the settings, and the numbers of each
        epoch. One that fails after the beginning is left out, with a RuntimeWarning.

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
    _check_kinds(model, validation, optimizer, schedule, callbacks, clip_grad_norm)
    X, y = _examples(X, y)
    validation = validation and _examples(*validation)
    epochs = whole_number("epochs", epochs, at_least=0)
    size = len(X) if batch_size is None else whole_number("batch_size", batch_size)
    patience = None if early_stop is None else whole_number("early_stop", early_stop)
    generator = generator_or(random.Random(0), generator)
    shuffler = None if batch_size is None else generator
    callbacks = list(callbacks)
    loggers = Loggers(logger)
    compiled_by = _compiled_by(compiled, engine, devices)
    run = _run(*compiled_by, model, _loss_function(loss), optimizer, schedule, clip_grad_norm, X, y)
    if patience:
        run.best.numbers = run.snapshot()
    history = run.history
    settings = {}
    if checkpoint is not None or loggers.given:
        arguments = {"batch_size": batch_size, "early_stop": patience}
        settings = settings_of(run, schedule, validation, **arguments)
    checkpoints = Checkpoints(checkpoint, checkpoint_seconds, run, schedule, generator, settings)
    checkpoints.find(resume, epochs)
    begun = len(history.loss)
    bar = progress_bar(begun if history.stopped else epochs, "epoch", progress, done=begun)
    try:
        checkpoints.begin()
        loggers.begin(checkpoints.training, {**settings, "epochs": epochs}, begun)
        for epoch in bar:
            if epoch == begun or callbacks:  # a callback may have changed the mode
                model.train()
            run.epoch = run.epoch or run.begin_epoch(shuffler)
            for _ in run.steps_of(run.epoch, size):
                checkpoints.write_if_due()
            if epoch == begun and run.why_eager:  # wrong data has already raised an error
                warn(
                    "fit trains with eager code, some thousand times slower than a compiled step, "
                    f"because compiling it failed: {run.why_eager}. A compiled step calls the "
                    "model with one example at a time. Pass compiled=False to train eagerly.",
                    UserWarning,
                    stacklevel=2,
                )
            measured = run.epoch.means() | {"lr": run.optimizer.lr}
            if validation:
                val_loss, val_accuracy = run.evaluate(*validation)
                measured |= {"val_loss": val_loss, "val_accuracy": val_accuracy}
            history.append(**measured)
            run.epoch = None
            if schedule:
                schedule.step()
            bar.set_postfix_str(_postfix(history), refresh=False)
            loggers.log(epoch + 1, {k: v for k, v in measured.items() if v is not None})
            wishes = [callback(history) for callback in callbacks]
            if any(wishes):
                history.stopped = f"by a callback after epoch {epoch + 1}"
                break
            if patience and _epochs_since_the_best(run) >= patience:
                history.stopped = (
                    f"no improvement for {patience} epochs; the parameters are those of "
                    f"epoch {run.best.epoch + 1}"
                )
                break
            checkpoints.write_if_due()
        checkpoints.write_if_due(last=True)
        if run.best.numbers:
            run.restore(run.best.numbers)
        run.check_last_update()
    except KeyboardInterrupt:
        if in_a_sweep():  # which ends as a whole
            raise
        if run.moving:  # half of the parameters may have moved
            run.go_back()
        history.stopped = f"by Ctrl-C after {len(history.loss)} whole epochs"
    except DivergedError as diverged:
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
        checkpoints.close()
        loggers.close()
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
    return loss_and_accuracy(model, X, y, _loss_function(loss))


def _compiled_by(compiled: bool | str, engine: str, devices: Any) -> tuple[bool | str, str, Any]:
    """Whether to compile, and how; ValueError for what cannot be."""
    if compiled not in (True, False, "auto"):
        raise ValueError(f"compiled is True, False or 'auto', not {compiled!r}")
    if engine == "native" and devices is None:
        return compiled, engine, devices
    if compiled is False:
        raise ValueError("engine and devices are for compiled steps: leave out compiled=False")
    return True, engine, devices


def _run(
    compiled: bool | str, engine: str, devices: Any, model: Module, loss: Any, *settings: Any
) -> Run:
    """Returns a training, compiled if requested and possible."""
    if compiled is True:
        return CompiledRun(engine, devices, model, loss, *settings)
    if compiled == "auto" and _is_mean(loss) and is_native():
        try:
            return CompiledRun(engine, devices, model, loss, *settings)
        except (TypeError, ValueError) as error:
            run = Run(model, loss, *settings)
            run.why_eager = str(error)
            return run
    return Run(model, loss, *settings)


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


def _check_kinds(
    model: Any, validation: Any, optimizer: Any, schedule: Any, callbacks: Any, clip_grad_norm: Any
) -> None:
    """TypeError or ValueError for common mistakes in the arguments of `fit`."""
    if not isinstance(model, Module):
        raise TypeError(f"fit takes a model, a Module of micrograd_plus.nn, not {in_short(model)}")
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
    if not isinstance(callbacks, Iterable):
        raise TypeError("callbacks must be a list of functions: write callbacks=[function]")
    if clip_grad_norm is not None and not clip_grad_norm > 0:
        raise ValueError(f"clip_grad_norm must be above 0, not {clip_grad_norm!r}")


def _examples(X: Any, y: Any) -> tuple[list[Any], list[Any]]:
    """Returns X and y as lists; ValueError if their lengths differ."""
    X, y = list(plain(X)), list(plain(y))
    check_lengths(X, y)
    return X, y


def _epochs_since_the_best(run: Run) -> int:
    """How long the loss has not improved; keeps the parameters of the best epoch."""
    history = run.history
    epoch = len(history.loss) - 1
    watched = (history.val_loss or history.loss)[-1]
    if watched < run.best.loss:  # the training loss is of before the last update
        numbers = run.snapshot() if history.val_loss else run.good()
        run.best = Best(watched, epoch, numbers)
    return epoch - run.best.epoch


def _postfix(history: History) -> str:
    parts = [f"loss {history.loss[-1]:.4f}"]
    if history.accuracy:
        parts.append(f"accuracy {history.accuracy[-1]:.1%}")
    if history.val_loss:
        parts.append(f"val_loss {history.val_loss[-1]:.4f}")
    return ", ".join(parts)
