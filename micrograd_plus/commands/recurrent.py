"""`micrograd-plus train rnn` and `lstm`: what a network remembers, and then names."""

from __future__ import annotations

import argparse
import random
from typing import Any

from .. import compiler, show
from ..data import adding
from ..losses import mse
from ..nn import LSTM, RNN, CharRNN, Linear, Module
from ..optim import Adam, CosineAnnealingLR
from ..train import History, fit
from .arguments import add_command, add_training, at_least_one
from .output import write_pictures
from .writing import add_texts, learn_to_write

_KINDS = {"rnn": RNN, "lstm": LSTM}
_WIDTH = 8


def add(models: Any) -> None:
    """The commands' arguments."""
    for name, kind in _KINDS.items():
        help_ = (
            f"an {kind.__name__}: the adding problem, {' and '.join(_names())} beside each other"
        )
        help_ += ", and names that it writes"
        example = f"micrograd-plus train {name} --length 20 --out {name}"
        parser = add_command(models, name, help_, example)
        add_training(parser, out=f"trained-{name}", epochs=30, lr=0.02)
        parser.add_argument(
            "--length", type=at_least_one, default=30, help="of the sequences [%(default)s]"
        )
        add_texts(parser, width=32, steps=5000)
        parser.set_defaults(run=run, kind=name)


def run(options: argparse.Namespace) -> int:
    """Trains both on the adding problem, measures and draws them; then writes names."""
    options.out.mkdir(parents=True, exist_ok=True)
    X, y = adding(2000, options.length, seed=options.seed)
    X_held_out, y_held_out = adding(500, options.length, seed=options.seed + 1)
    print(
        f"the adding problem: {len(X)} sequences of {options.length} numbers, of which two are "
        "marked; what is their sum?"
    )
    models, histories = {}, {}
    for name, kind in zip(_names(), _KINDS.values()):
        models[name] = LastState(kind, random.Random(options.seed))
        print(f"\n{models[name].recurrent}")
        histories[name] = _learn(models[name], X, y, options)
    predicted = {
        name: compiler.compile(model)(X_held_out).tolist() for name, model in models.items()
    }
    print(f"\nmean squared error on {len(X_held_out)} new sequences")
    mean = sum(y) / len(y)
    for name, guesses in {"the mean, always": [mean] * len(X_held_out), **predicted}.items():
        print(f"  {name:16}  {mse(guesses, y_held_out).data:.4f}")
    print()

    x, target = X_held_out[0], y_held_out[0]
    write_pictures(
        {
            "adding-loss": show.plot_loss(histories),
            "gradient-through-time": show.plot_gradient_through_time(
                {name: states_after_backward(model, x, target) for name, model in models.items()}
            ),
            **{
                f"sums-{name.lower()}": show.plot_residuals(y_held_out, guesses, f"sum, {name}")
                for name, guesses in predicted.items()
            },
        },
        options.out,
    )
    learn_to_write(
        lambda vocabulary, context, generator: CharRNN(
            vocabulary, options.width, cell=options.kind, generator=generator
        ),
        options,
    )
    return 0


class LastState(Module):
    """One number for a whole sequence, made of the network's last state."""

    def __init__(self, kind: type[RNN | LSTM], generator: random.Random) -> None:
        self.recurrent = kind(2, _WIDTH, generator=generator)
        self.head = Linear(_WIDTH, 1, generator=generator)

    def forward(self, x: Any) -> Any:
        """The number for one sequence."""
        output, _ = self.recurrent(x)
        return self.head(output[-1])[0]


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
    )


def states_after_backward(model: LastState, x: Any, target: float) -> Any:
    """The hidden states along one sequence, with the gradients of its loss."""
    states, _ = model.recurrent(x)
    mse(model.head(states[-1]), [target]).backward()
    return states


def _names() -> list[str]:
    return [kind.__name__ for kind in _KINDS.values()]
