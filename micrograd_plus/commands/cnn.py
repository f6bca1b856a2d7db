"""`micrograd-plus train cnn`: trains a convolutional network on images of digits."""

from __future__ import annotations

import argparse
import random
from typing import Any

from .. import compiler, show
from ..data import digits, train_test_split
from ..nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from ..optim import Adam
from ..support.files import make_folder
from ..support.nested import plain
from ..train import fit
from .arguments import add_checkpoint, add_command, add_lr, add_number, add_output, checkpoint_of
from .output import require_an_epoch, write_model, write_pictures

_CLASSES = "0123456789"


def add(models: Any) -> None:
    """Adds the command and its arguments."""
    help_ = "a convolutional network for 1,797 scanned digits of 8 × 8 pixels"
    parser = add_command(models, "cnn", help_, "micrograd-plus train cnn --epochs 10 --out cnn")
    add_checkpoint(parser)
    add_output(parser, "trained-cnn")
    add_number(parser, "--epochs", 20)
    add_lr(parser, 0.005)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Trains, tests on a held-out fifth, saves and draws; prints the path of each file."""
    going_on = checkpoint_of(options)
    X, y = digits(images=True)
    make_folder(options.out)
    X, X_held_out, y, y_held_out = train_test_split(X, y, 0.2, seed=options.seed)
    model = network(random.Random(options.seed))
    print(f"{len(X)} digits to train on, {len(X_held_out)} held out\n{model}")
    history = fit(
        model,
        X,
        y,
        loss="cross_entropy",
        optimizer=Adam(model.parameters(), lr=options.lr),
        epochs=options.epochs,
        batch_size=32,
        validation=(X_held_out, y_held_out),
        generator=random.Random(options.seed),
        **going_on,
    )
    require_an_epoch(history)
    predicted = [row.index(max(row)) for row in plain(compiler.compile(model)(X_held_out))]
    right = sum(guess == truth for guess, truth in zip(predicted, y_held_out))
    print(f"\naccuracy on the held-out digits: {right / len(y_held_out):.1%}")
    write_model(model, options.out)
    write_pictures(
        {
            "loss": lambda: show.plot_loss(history),
            "filters": lambda: show.plot_filters(model[0]),
            "feature-maps": lambda: show.plot_feature_maps(model, X_held_out[0]),
            "confusion-matrix": lambda: show.plot_confusion_matrix(y_held_out, predicted, _CLASSES),
            "mistakes": lambda: show.plot_mistakes(X_held_out, y_held_out, predicted, _CLASSES),
        },
        options.out,
    )
    return 0


def network(generator: random.Random) -> Sequential:
    """Two convolutions, each followed by pooling that halves the image size, then a Linear."""
    return Sequential(
        Conv2d(1, 16, kernel_size=3, padding=1, generator=generator),
        ReLU(),
        MaxPool2d(2),
        Conv2d(16, 32, kernel_size=3, padding=1, generator=generator),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(32 * 2 * 2, len(_CLASSES), generator=generator),
    )
