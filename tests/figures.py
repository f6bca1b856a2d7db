"""The opening picture of each notebook, drawn by the library.

python tests/figures.py           draws all into notebooks/figures
python tests/figures.py 04 05     draws those of these notebooks
"""

import sys
from pathlib import Path

import micrograd_plus as mp
from micrograd_plus.show.plots import new_figure

FOLDER = Path(__file__).parent.parent / "notebooks" / "figures"


def slope():
    """A curve, its tangent at 1, and the line through two of its points."""

    def f(x):
        return 3 * x**2 - 4 * x + 5

    xs = [i / 50 for i in range(-25, 126)]
    with new_figure(8, 4, 1, 1, None) as (figure, (ax,)):
        ax.plot(xs, [f(x) for x in xs], color="#000000", label="f(x) = 3x² − 4x + 5")
        for step, style, color in ((1.0, "--", "#D55E00"), (1e-6, "-", "#0072B2")):
            rate = (f(1 + step) - f(1)) / step
            name = "through two points, h = 1" if step == 1 else "the tangent, h almost 0"
            line = [f(1) + rate * (x - 1) for x in xs]
            ax.plot(xs, line, style, color=color, label=f"{name}: slope {rate:.0f}")
        ax.plot([1, 2], [f(1), f(2)], "o", color="#000000", markersize=8)
        ax.set(xlabel="x", ylim=(0, 14), xlim=(-0.5, 2.5))
        ax.grid(visible=True)
        ax.legend(loc="upper left")
    return figure


def layer():
    """The layer of two neurons that notebook 01 calculates."""
    made = mp.nn.Layer(3, 2, activation="sigmoid")
    made.neurons[0].load_state_dict({"w": [0.4, 0.7, 0.1], "b": -0.3})
    made.neurons[1].load_state_dict({"w": [-0.2, -1.5, 0.3], "b": 1.0})
    return mp.network(made)


def graph():
    """A small expression with its gradients."""
    root = mp.parse("tanh(a*b + c)", a=2, b=-0.5, c=1.5)
    root.backward()
    return mp.draw(root)


def two_paths():
    """A value that is used twice."""
    root = mp.parse("p * tanh(p + q)", p=1.5, q=-1)
    root.backward()
    return mp.draw(root)


FIGURES = {
    "00-slope.svg": slope,
    "01-layer.svg": layer,
    "02-graph.svg": graph,
    "02-tanh.svg": lambda: mp.plot_activations("tanh"),
    "03-two-paths.svg": two_paths,
}
"""For each file the function that returns its picture."""


if __name__ == "__main__":
    wanted = sys.argv[1:] or [name[:2] for name in FIGURES]
    for name, picture in FIGURES.items():
        if name[:2] in wanted:
            picture().save(FOLDER / name)
