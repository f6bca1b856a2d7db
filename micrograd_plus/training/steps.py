"""A training whose steps are those of a compiled function, with checkpoints as `fit` has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..compiler import Step
from ..nn import Module
from ..nn.init import GLOBAL
from ..optim import Schedule
from .checkpoints import Checkpoints
from .runs import Run
from .settings import settings_of


def run_steps(
    step: Step,
    model: Module,
    X: Sequence[Any],
    y: Sequence[Any],
    schedule: Schedule,
    checkpoint: str | Path | None = None,
    resume: bool = False,
) -> list[float]:
    """Runs a step for each example, in their order; returns the loss of each.

    model: the module that the steps train. schedule: stepped after every step.
    checkpoint, resume: as in `fit`; after Ctrl-C there is a checkpoint, and then KeyboardInterrupt.
    """
    run = Run(model, step.function, step.optimizer, schedule, None, list(X), list(y))
    run.engine = "compiled"
    settings = {} if checkpoint is None else settings_of(run, schedule, None)
    checkpoints = Checkpoints(checkpoint, 60.0, run, schedule, GLOBAL, settings)
    checkpoints.find(resume, epochs=len(X))
    try:
        checkpoints.begin()
        if (done := run.steps) < len(X):
            for part in step.parts((X[done:], y[done:]), batch_size=1, schedule=schedule):
                run.history.loss += part
                run.steps += len(part)
                checkpoints.write_if_due()
        checkpoints.write_if_due(last=True)
    finally:
        checkpoints.close()
    return run.history.loss
