"""`micrograd-plus train rnn` and `lstm`: the adding problem, and a network that writes names."""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from functools import partial
from typing import Any

from .. import compiler, show
from ..data import adding
from ..losses import mse
from ..nn import LSTM, RNN, CharRNN, Linear, Module
from ..optim import Adam, CosineAnnealingLR
from ..support.nested import plain
from ..train import History, fit
from .arguments import add_command, add_lr, add_number, add_output
from .output import require_an_epoch, write_pictures
from .writing import add_texts, learn_to_write, read_texts

_KINDS = {kind.__name__: kind for kind in (RNN, LSTM)}
_WIDTH = 8
_LR_OF_NAMES = 0.01


def add(models: Any) -> None:
    """Adds both commands and their arguments."""
    for name in _KINDS:
        command = name.lower()
        help_ = f"RNN and LSTM on the adding problem, then an {name} that writes names"
        parser = add_command(models, command, help_, f"micrograd-plus train {command} --length 20")
        add_output(parser, f"trained-{command}")
        problem = parser.add_argument_group("the adding problem")
        add_number(problem, "--length", 30, "steps of each sequence")
        add_number(problem, "--epochs", 30, "passes over the data")
        add_lr(problem, 0.02)
        names = parser.add_argument_group("names")
        add_texts(names, steps=5000)
        add_number(names, "--width", 32, "numbers in the state")
        parser.set_defaults(run=run, cell=command)


def run(options: argparse.Namespace) -> int:
    """Compares both on the adding problem, then trains one of them to write names."""
    texts = read_texts(options.text)
    options.out.mkdir(parents=True, exist_ok=True)
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
    """Trains both on the adding problem, tests them on new sequences, and draws."""
    X, y = adding(2000, options.length, seed=options.seed)
    X_new, y_new = adding(500, options.length, seed=options.seed + 1)
    print(f"the adding problem: add the two marked numbers of {options.length}")
    models, histories = {}, {}
    for name, kind in _KINDS.items():
        models[name] = LastState(kind, random.Random(options.seed))
        print(f"\n{models[name].recurrent}")
        histories[name] = _learn(models[name], X, y, options)
        require_an_epoch(histories[name])
    guesses = {name: plain(compiler.compile(model)(X_new)) for name, model in models.items()}
    states = {name: _backward(model, X_new[0], y_new[0]) for name, model in models.items()}

    print(f"\nmean squared error on {len(X_new)} new sequences")
    always = [sum(y) / len(y)] * len(y_new)
    for name, numbers in {"always the mean": always, **guesses}.items():
        print(f"  {name:16}  {mse(numbers, y_new).data:.4f}")
    print()
    pictures: dict[str, Callable[[], Any]] = {
        f"sums-{name.lower()}": partial(show.plot_residuals, y_new, numbers, f"sum, {name}")
        for name, numbers in guesses.items()
    }
    pictures["adding-loss"] = lambda: show.plot_loss(histories)
    pictures["gradient-through-time"] = lambda: show.plot_gradient_through_time(states)
    write_pictures(pictures, options.out)
    print()


class LastState(Module):
    """Predicts one number for a sequence, from the last state of a recurrent network."""

    def __init__(self, kind: type[RNN | LSTM], generator: random.Random) -> None:
        self.recurrent = kind(2, _WIDTH, generator=generator)
        self.head = Linear(_WIDTH, 1, generator=generator)

    def forward(self, x: Any) -> Any:
        """Returns the number for one sequence."""
        states, _ = self.recurrent(x)
        return self.head(states[-1])[0]


def _learn(model: LastState, X: Any, y: Any, options: argparse.Namespace) -> History:
    optimizer = Adam(model.parameters(), lr=options.lr)
    return fit(
        model,
        X,
        y,
        loss="mse",
        optimizer=optimizer,
        epochs=options.epochs,
        batch_size=20,
        schedule=CosineAnnealingLR(optimizer, options.epochs),
        generator=random.Random(options.seed),
        compiled=True,  # the model takes one sequence, not a batch
    )


def _backward(model: LastState, x: Any, target: float) -> Any:
    """Returns the states of one sequence after `backward()` from its loss."""
    states, _ = model.recurrent(x)
    mse(model.head(states[-1]), [target]).backward()
    return states
