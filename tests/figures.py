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


FIGURES = {
    "04-activations.svg": activations,
    "05-boundary.png": boundary,
}
"""For each file the function that returns its picture."""


if __name__ == "__main__":
    wanted = sys.argv[1:] or [name[:2] for name in FIGURES]
    for name, picture in FIGURES.items():
        if name[:2] in wanted:
            picture().save(FOLDER / name)
