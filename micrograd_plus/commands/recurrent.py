"""`micrograd-plus train rnn` and `lstm`: the adding problem, and a network that writes names."""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from .. import compiler, show
from ..data import adding
from ..losses import mse
from ..nn import LSTM, RNN, CharRNN, Linear, Module
from ..optim import Adam, CosineAnnealingLR
from ..support.files import make_folder
from ..support.nested import plain
from ..support.words import many
from ..train import History, fit
from .arguments import add_checkpoint, add_command, add_lr, add_number, add_output, checkpoint_of
from .output import require_an_epoch, write_pictures
from .writing import add_texts, learn_to_write, read_texts

_KINDS = {kind.__name__: kind for kind in (RNN, LSTM)}
_WIDTH = 8
_MEASURED = 4  # sequences, of each training, whose gradients are drawn
_LR_OF_NAMES = 0.01


def add(models: Any) -> None:
    """Adds both commands and their arguments."""
    for name in _KINDS:
        command = name.lower()
        help_ = f"RNN and LSTM on the adding problem, then an {name} that writes names"
        parser = add_command(models, command, help_, f"micrograd-plus train {command} --length 20")
        add_checkpoint(parser)
        add_output(parser, f"trained-{command}")
        problem = parser.add_argument_group("the adding problem")
        add_number(problem, "--length", 30, "steps of each sequence")
        add_number(problem, "--epochs", 30, "passes over the data")
        add_number(problem, "--runs", 5, "trainings of each network, from different seeds")
        add_lr(problem, 0.02)
        names = parser.add_argument_group("names")
        add_texts(names, steps=5000)
        add_number(names, "--width", 32, "numbers in the state")
        parser.set_defaults(run=run, cell=command)


def run(options: argparse.Namespace) -> int:
    """Compares both on the adding problem, then trains one of them to write names."""
    texts = read_texts(options.text)
    make_folder(options.out)
    compare(options)
    learn_to_write(
        texts,
        lambda vocabulary, context, generator: CharRNN(
            vocabulary, options.width, cell=options.cell, generator=generator
        ),
        _LR_OF_NAMES,
        options,
    )
    return 0


def compare(options: argparse.Namespace) -> None:
    """Trains both on the adding problem, tests them on new sequences, and draws.

    Each is trained several times, because a single training of the RNN shows little: rounding
    differs between machines, and decides which minimum it finds.
    """
    X, y = adding(1000, options.length, seed=options.seed)
    new = adding(500, options.length, seed=options.seed + 1)
    print(
        f"the adding problem: add the two marked numbers of {options.length}; "
        f"{many(options.runs, 'training')} each"
    )
    runs = {
        name: [_run(kind, options.seed + i, X, y, new, options) for i in range(options.runs)]
        for name, kind in _KINDS.items()
    }

    print(f"\nmean squared error on {len(new[1])} new sequences")
    always = mse([sum(y) / len(y)] * len(new[1]), new[1]).data
    print(f"  {'always the mean':16}  {always:.4f}")
    for name, of_kind in runs.items():
        errors = sorted(run.error for run in of_kind)
        print(f"  {name:16}  {_middle(errors):.4f}   ({errors[0]:.4f} to {errors[-1]:.4f})")
    print()
    typical = {name: _middle(sorted(r, key=lambda run: run.error)) for name, r in runs.items()}
    pictures: dict[str, Callable[[], Any]] = {
        f"sums-{name.lower()}": partial(show.plot_residuals, new[1], run.guesses, f"sum, {name}")
        for name, run in typical.items()
    }
    histories = {name: run.history for name, run in typical.items()}
    pictures["adding-loss"] = lambda: show.plot_loss(histories)
    pictures["gradient-through-time"] = lambda: show.plot_gradient_through_time(
        {
            title: {name: [s for run in r for s in states(run)] for name, r in runs.items()}
            for title, states in _TIMES.items()
        }
    )
    write_pictures(pictures, options.out)
    print()


@dataclass
class _Run:
    """One training: its history, what it predicts, and the states of some sequences.

    at_first, trained: the states of each sequence after `backward()`, before and after training.
    """

    history: History
    guesses: list[float]
    error: float
    at_first: list[Any]
    trained: list[Any]


_TIMES: dict[str, Callable[[_Run], list[Any]]] = {
    "before training": lambda run: run.at_first,
    "after training": lambda run: run.trained,
}


def _run(
    kind: type[RNN | LSTM], seed: int, X: Any, y: Any, new: tuple[Any, Any], options: Any
) -> _Run:
    """Trains a model from `seed`."""
    model = LastState(kind, random.Random(seed))
    print(f"\n{model.recurrent}, seed {seed}")
    X_new, y_new = new
    at_first = [_backward(model, x, t) for x, t in zip(X_new[:_MEASURED], y_new)]
    history = _learn(model, X, y, seed, options)
    if history.stopped and not history.diverged:  # by Ctrl-C, which ends the comparison
        raise KeyboardInterrupt
    require_an_epoch(history)
    guesses = plain(compiler.compile(model)(X_new))
    trained = [_backward(model, x, t) for x, t in zip(X_new[:_MEASURED], y_new)]
    return _Run(history, guesses, mse(guesses, y_new).data, at_first, trained)


def _middle(ordered: Sequence[Any]) -> Any:
    return ordered[len(ordered) // 2]


class LastState(Module):
    """Predicts one number for a sequence, from the last state of a recurrent network."""

    def __init__(self, kind: type[RNN | LSTM], generator: random.Random) -> None:
        self.recurrent = kind(2, _WIDTH, generator=generator)
        self.head = Linear(_WIDTH, 1, generator=generator)

    def forward(self, x: Any) -> Any:
        """Returns the number for one sequence."""
        states, _ = self.recurrent(x)
        return self.head(states[-1])[0]


def _learn(model: LastState, X: Any, y: Any, seed: int, options: argparse.Namespace) -> History:
    optimizer = Adam(model.parameters(), lr=options.lr)
    return fit(
        model,
        X,
        y,
        loss="mse",
        optimizer=optimizer,
        epochs=options.epochs,
        batch_size=10,
        schedule=CosineAnnealingLR(optimizer, options.epochs),
        generator=random.Random(seed),
        compiled=True,  # the model takes one sequence, not a batch
        **checkpoint_of(options, f"{type(model.recurrent).__name__.lower()}-{seed}"),
    )


def _backward(model: LastState, x: Any, target: float) -> Any:
    """Returns the states of one sequence after `backward()` from its loss."""
    states, _ = model.recurrent(x)
    mse(model.head(states[-1]), [target]).backward()
    return states
