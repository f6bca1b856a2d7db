"""The opening picture of each notebook, drawn by the library.

python tests/figures.py           draws all into notebooks/figures
python tests/figures.py 04 05     draws those of these notebooks
"""

import random
import sys
from pathlib import Path

import micrograd_plus as mp
from micrograd_plus import nn

FOLDER = Path(__file__).parent.parent / "notebooks" / "figures"


def activations():
    """Three activations with their slopes."""
    return mp.plot_activations(["relu", "tanh", "sigmoid"])


def boundary():
    """What a network learned of two moons."""
    X, y = mp.data.moons(100, noise=0.1, seed=0)
    model = nn.MLP(2, [16, 16, 1], generator=random.Random(0))
    optimizer = mp.optim.Adam(model.parameters(), lr=0.02)
    mp.fit(model, X, y, loss="hinge", optimizer=optimizer, epochs=60, progress=False)
    return mp.plot_decision_boundary(model, X, y)


def learning_rates():
    """The losses of a network with four learning rates."""
    X, y = mp.data.moons(100, noise=0.1, seed=0)

    def train(lr, seed):
        model = nn.MLP(2, [16, 16, 1], generator=random.Random(seed))
        optimizer = mp.optim.SGD(model.parameters(), lr=lr)
        return mp.fit(model, X, y, loss="hinge", optimizer=optimizer, epochs=100, progress=False)

    rates = mp.sweep(train, {"lr": [0.001, 0.03, 0.3, 10.0]}, seeds=5, jobs=1, progress=False)
    return mp.plot_sweep(rates, name="loss", unit="step")


def overwritten():
    """A graph whose gradients come from an engine with = in place of +=."""
    a, b = mp.Value(2.0, label="a"), mp.Value(-3.0, label="b")
    L = a * b + a
    L.label = "L"
    with mp.faults.overwrite_gradients():
        L.backward()
    return mp.draw(L)


FIGURES = {
    "04-activations.svg": activations,
    "05-boundary.png": boundary,
    "06-learning-rates.svg": learning_rates,
    "07-overwritten.svg": overwritten,
}
"""For each file the function that returns its picture."""


if __name__ == "__main__":
    wanted = sys.argv[1:] or [name[:2] for name in FIGURES]
    for name, picture in FIGURES.items():
        if name[:2] in wanted:
            picture().save(FOLDER / name)
