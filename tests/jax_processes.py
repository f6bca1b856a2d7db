"""Trains on several devices, for test_engine_jax.py; what it prints is JSON, a line a training.

python jax_processes.py                          on all devices, and on one
python jax_processes.py ADDRESS COUNT NUMBER     as one of several processes, until one ends
"""

from __future__ import annotations

import json
import os
import random
import sys
from typing import Any

import jax

import micrograd_plus as mp


def trained(devices: Any) -> list[float]:
    """The numbers of a short training.

    The last batch is smaller, and 10 examples are not a multiple of 8 devices.
    """
    model = mp.nn.MLP(2, [6, 1], activation="tanh", generator=random.Random(1))
    optimizer = mp.optim.Adam(model.parameters(), lr=0.05)
    noise = random.Random(3)
    X, y = mp.data.moons(22, seed=1)

    def loss(x: Any, t: Any) -> mp.Value:
        return mp.losses.hinge(model(x) + 0.1 * mp.rand(noise), t)

    step = mp.compile(loss, optimizer, engine="jax", devices=devices)
    losses = step.run(X, y, epochs=3, batch_size=10, shuffle=True, progress=False)
    predictions = mp.compile(model, engine="jax", devices=devices)(X)
    weights = [parameter.data for parameter in model.parameters()]
    return [*losses, *weights, *predictions.ravel().tolist()]


def fitted(**how: Any) -> list[float]:
    """The losses that `fit` gives."""
    X, y = mp.data.moons(22, seed=1)
    model = mp.nn.MLP(2, [3, 1], activation="tanh", generator=random.Random(1))
    history = mp.fit(
        model, X, y, loss="hinge", epochs=2, batch_size=5, clip_grad_norm=0.1, progress=False, **how
    )
    return [*history.loss, *history.accuracy, *history.grad_norm]


def show(numbers: Any) -> None:
    print(json.dumps(numbers), flush=True)


def main() -> None:
    if len(sys.argv) == 1:
        show([len(jax.devices())])
        for devices in ("all", None):
            show(trained(devices))
        show(fitted(engine="jax", devices="all"))
        return
    address, count, number = sys.argv[1:]
    jax.distributed.initialize(address, int(count), int(number), heartbeat_timeout_seconds=10)
    try:
        while True:
            show(trained("all"))
    except RuntimeError as error:
        show(str(error))
        os._exit(3)  # at its end JAX waits for the others


if __name__ == "__main__":
    main()
