"""Kills one training many times at random moments, and prints what it ends with.

Run as a program of its own, which has one thread and has imported everything: each attempt is a
fork of it, so that it begins at once. It writes a checkpoint whenever it can. Before and after
everything that changes files, an attempt asks whether to go on. At a random question it is told to
go on, and is killed up to 2 ms later: during a step, or somewhere in the writing of a file.

    python killed_training.py eager|compiled FOLDER KILLS
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from micrograd_plus import data, fit, nn, optim
from micrograd_plus.loggers import JSONLines

X, Y = data.moons(20, noise=0.1, seed=1)
VALIDATION = data.moons(8, noise=0.1, seed=2)
EPOCHS = 12


def train(compiled: bool, **options: Any) -> dict[str, Any]:
    """A training that uses all that a checkpoint must keep; returns what it ends with."""
    random.seed(5)
    model = nn.Sequential(
        nn.Linear(2, 4, generator=random.Random(0)),
        nn.Tanh(),
        nn.Dropout(0.1, generator=random.Random(3)),
        nn.Dropout(0.1),  # with Python's own generator
        nn.Linear(4, 1, generator=random.Random(1)),
    )
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    generator = random.Random(7)
    schedule = optim.ExponentialLR(optimizer, gamma=0.95)
    history = fit(
        model,
        X,
        Y,
        loss="hinge",
        optimizer=optimizer,
        epochs=EPOCHS,
        batch_size=4,
        validation=VALIDATION,
        schedule=schedule,
        clip_grad_norm=1.0,
        early_stop=EPOCHS,
        generator=generator,
        progress=False,
        compiled=compiled,
        **options,
    )
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "history": {k: v for k, v in vars(history).items() if k != "threads"},
        "random": [generator.random(), random.random(), model[2].generator.random()],
    }


def asking(function: Any, questions: int, answers: int) -> Any:
    """The function, with a question before and after it."""

    def call(*arguments: Any, **options: Any) -> Any:
        ask(questions, answers)
        try:
            return function(*arguments, **options)
        finally:
            ask(questions, answers)

    return call


def ask(questions: int, answers: int) -> None:
    os.write(questions, b"?")
    os.read(answers, 1)


def attempt(compiled: bool, folder: Path, go_on: int | None) -> str | None:
    """Trains in a fork; kills it shortly after `go_on` questions. Returns what it ends with."""
    asked, questions = os.pipe()
    answers, answered = os.pipe()
    if not (child := os.fork()):
        os.close(asked)
        os.close(answered)
        for name in ("fsync", "replace", "unlink"):
            setattr(os, name, asking(getattr(os, name), questions, answers))
        end = train(
            compiled,
            checkpoint=folder,
            checkpoint_seconds=0,
            resume=True,
            logger=JSONLines(folder / "log.jsonl"),
        )
        (folder / "end.json").write_text(json.dumps(end))
        os._exit(0)
    os.close(questions)
    os.close(answers)
    while os.read(asked, 1):  # nothing when the other end is closed
        os.write(answered, b"!")
        if go_on is not None:
            go_on -= 1
            if not go_on:
                time.sleep(random.uniform(0, 0.002))
                os.kill(child, signal.SIGKILL)
                break
    os.close(asked)
    os.close(answered)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return None
    if status:
        raise RuntimeError(f"the training failed with status {status}")
    return (folder / "end.json").read_text()


def main(engine: str, folder: str, kills: str) -> None:
    compiled = engine == "compiled"
    undisturbed = train(compiled)
    moments = random.Random(0)
    for _ in range(int(kills)):
        if attempt(compiled, Path(folder), moments.randint(1, 40)) is not None:
            raise RuntimeError("the training ended before it was killed")
    end = attempt(compiled, Path(folder), None)
    print(json.dumps({"undisturbed": undisturbed, "killed": json.loads(end or "")}))


if __name__ == "__main__":
    main(*sys.argv[1:])
