"""`micrograd-plus demo`: trains a network on two moons and draws it."""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from typing import Any

from .. import show
from ..data import moons
from ..engine import Value
from ..nn import MLP, Neuron
from ..optim import Adam
from ..support.files import make_folder
from ..train import evaluate, fit
from .arguments import add_command, add_number, add_output
from .output import write_pictures

FORMATS = ("svg", "png")


def add(commands: Any) -> None:
    """Adds the command and its arguments."""
    help_ = "train a network on two moons and draw it"
    parser = add_command(commands, "demo", help_, "micrograd-plus demo --out pictures")
    add_output(parser, "demo-output")
    add_number(parser, "--epochs", 80)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Trains, draws, and prints the path of each picture."""
    make_folder(options.out)
    X, y = moons(100, noise=0.1, seed=options.seed)
    model = MLP(2, [16, 16, 1], generator=random.Random(options.seed))
    print(f"{model}\n\n100 points on two moons, hinge loss, Adam:")
    optimizer = Adam(model.parameters(), lr=0.02, weight_decay=1e-4)
    history = fit(model, X, y, loss="hinge", optimizer=optimizer, epochs=options.epochs)
    loss, accuracy = evaluate(model, X, y, loss="hinge")
    print(f"\ntraining accuracy {accuracy:.0%}, loss {loss:.4f}\n")

    pictures: dict[str, Callable[[], Any]] = {
        "loss": lambda: show.plot_loss(history),
        "decision-boundary": lambda: show.plot_decision_boundary(model, X, y),
        "network": lambda: show.network(model),
        "neuron": lambda: show.draw(neuron_after_backward()),
    }
    write_pictures(pictures, options.out, FORMATS)
    return 0


def neuron_after_backward() -> Value:
    """Returns the output of a tanh neuron with two inputs, as in many introductions."""
    neuron = Neuron(2, activation="tanh")
    neuron.load_state_dict({"w": [-3.0, 1.0], "b": 6.88})
    named = {"w1": neuron.w[0], "w2": neuron.w[1], "b": neuron.b}
    for label, value in named.items():
        value.label = label
    out: Value = neuron([Value(2.0, label="x1"), Value(0.0, label="x2")])
    out.label = "out"
    out.backward()
    return out
