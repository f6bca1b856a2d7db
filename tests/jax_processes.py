"""Trains on several devices, for test_engine_jax.py; what it prints is JSON, a line a training.

python jax_processes.py                          on all devices, and predicts on one
python jax_processes.py FOLDER KILLED            a GPT, with checkpoints; ends after so many epochs
python jax_processes.py ADDRESS COUNT NUMBER     as one of several processes, until one ends
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from typing import Any

import jax

import micrograd_plus as mp

DATA = mp.data.moons(22, seed=1)


def mlp() -> mp.nn.Module:
    return mp.nn.MLP(2, [6, 1], activation="tanh", generator=random.Random(1))


def predicted(model: mp.nn.Module, **how: Any) -> list[float]:
    """What a model predicts."""
    return mp.compile(model, **how)(DATA[0]).ravel().tolist()


def trained(**how: Any) -> list[list[float]]:
    """The losses of a short training, the weights after it, and what the model predicts.

    The last batch is smaller, and 10 examples are not a multiple of 8 devices.
    """
    model = mlp()
    optimizer = mp.optim.Adam(model.parameters(), lr=0.05)
    noise = random.Random(3)
    X, y = DATA

    def loss(x: Any, t: Any) -> mp.Value:
        return mp.losses.hinge(model(x) + 0.1 * mp.rand(noise), t)

    step = mp.compile(loss, optimizer, **how)
    losses = step.run(X, y, epochs=3, batch_size=10, shuffle=True, progress=False)
    weights = [parameter.data for parameter in model.parameters()]
    return [losses, weights, predicted(model, **how)]


def fitted(**how: Any) -> list[float]:
    """The losses that `fit` gives."""
    X, y = DATA
    model = mp.nn.MLP(2, [3, 1], activation="tanh", generator=random.Random(1))
    history = mp.fit(
        model, X, y, loss="hinge", epochs=2, batch_size=5, clip_grad_norm=0.1, progress=False, **how
    )
    return [*history.loss, *history.accuracy, *history.grad_norm]


def names_gpt(**how: Any) -> tuple[mp.nn.GPT, mp.train.History]:
    """A GPT that has read some names for four epochs, and its history."""
    names = [name for name in mp.data.names() if len(name) == 5][:12]
    tokenizer = mp.text.CharacterTokenizer("abcdefghijklmnopqrstuvwxyz")
    X = [[0, *tokenizer.encode(name)] for name in names]
    y = [[*tokens[1:], 0] for tokens in X]
    model = mp.nn.GPT(27, width=4, heads=2, layers=1, context=6, generator=random.Random(0))

    def loss(logits: Any, targets: Any) -> mp.Value:
        return mp.mean([mp.losses.cross_entropy(*pair) for pair in zip(logits, targets)])

    return model, mp.fit(model, X, y, loss=loss, epochs=4, batch_size=8, progress=False, **how)


def killed(history: mp.train.History, epochs: int) -> None:
    """A callback that ends the process as the system does for lack of memory."""
    if len(history.loss) == epochs:
        os.kill(os.getpid(), signal.SIGKILL)


def show(numbers: Any) -> None:
    print(json.dumps(numbers), flush=True)


def main() -> None:
    if len(sys.argv) == 1:
        show([len(jax.devices())])
        show(trained(engine="jax", devices="all"))
        show(predicted(mlp(), engine="jax"))
        show(fitted(engine="jax", devices="all"))
        return
    if len(sys.argv) == 3:
        folder, epochs = sys.argv[1], int(sys.argv[2])
        model, history = names_gpt(
            engine="jax", devices="all", checkpoint=folder, checkpoint_seconds=0, resume=True,
            callbacks=[lambda history: killed(history, epochs)],
        )  # fmt: skip
        mp.save(model, f"{folder}/model.json")
        show(history.loss)
        return
    address, count, number = sys.argv[1:]
    jax.config.update("jax_enable_recoverability", True)  # else JAX aborts at the end of this
    jax.distributed.initialize(address, int(count), int(number), coordinator_bind_address=address)
    try:
        while True:
            show(trained(engine="jax", devices="all"))
    except RuntimeError as error:
        show(str(error))
        sys.exit(3)


if __name__ == "__main__":
    main()
