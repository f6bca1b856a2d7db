"""The opening picture of each notebook, drawn by the library.

python tests/figures.py           draws all into notebooks/figures
python tests/figures.py 04 05     draws those of these notebooks
"""

import random
import sys
from pathlib import Path

import micrograd_plus as mp
from micrograd_plus import Value, nn
from micrograd_plus.show.style import new_figure

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


def recorded_neuron():
    """The neuron that notebook 08 records."""
    neuron = mp.parse("tanh(w0*x0 + w1*x1 + b)", w0=0.5, x0=2, w1=-1, x1=1.5, b=0.25)
    neuron.backward()
    return mp.draw(neuron)


def feature_maps():
    """What three kernels with fixed weights find in a scanned digit."""
    conv = nn.Conv2d(1, 3, kernel_size=3, padding=1, bias=False)
    kernels = (
        [[1, 1, 1], [0, 0, 0], [-1, -1, -1]],
        [[1, 0, -1], [1, 0, -1], [1, 0, -1]],
        [[-1, 0, 1], [0, 1, 0], [1, 0, -1]],
    )
    conv.load_state_dict({"weight": [[kernel] for kernel in kernels]})
    images, _ = mp.data.digits(images=True)
    return mp.plot_feature_maps(nn.Sequential(conv, nn.ReLU(), nn.MaxPool2d(2)), images[2])


def unrolled():
    """A recurrent network of one number over three steps."""
    w, u = Value(1.0, label="w"), Value(0.5, label="u")
    h = Value(0.0, label="h0")
    for t, number in enumerate((1.0, -0.5, 0.5), start=1):
        with mp.scope("step"):
            h = (w * Value(number, label=f"x{t}") + u * h).tanh()
        h.label = f"h{t}"
    h.backward()
    return mp.draw(h, fold="step")


def two_heads():
    """Two heads over a name: one looks at equal letters, the other at the letter before."""
    word = "marianna"

    def weights(fit):
        return [
            [weight.data for weight in mp.softmax([fit(i, k) for k in range(i + 1)])]
            + [0.0] * (len(word) - 1 - i)
            for i in range(len(word))
        ]

    same = weights(lambda i, k: 3.0 * (word[i] == word[k]))
    before = weights(lambda i, k: 4.0 * (k == i - 1))
    return mp.plot_attention([same, before], word)


def network():
    """The network that notebook 12 trains three times."""
    return mp.network(nn.MLP(2, [8, 8, 1], activation="tanh", generator=random.Random(0)))


FIGURES = {
    "00-slope.svg": slope,
    "01-layer.svg": layer,
    "02-graph.svg": graph,
    "02-tanh.svg": lambda: mp.plot_activations("tanh"),
    "03-two-paths.svg": two_paths,
    "04-activations.svg": activations,
    "05-boundary.png": boundary,
    "06-learning-rates.svg": learning_rates,
    "07-overwritten.svg": overwritten,
    "08-neuron.svg": recorded_neuron,
    "09-feature-maps.png": feature_maps,
    "10-unrolled.svg": unrolled,
    "11-two-heads.png": two_heads,
    "12-network.svg": network,
}
"""For each file the function that returns its picture."""


if __name__ == "__main__":
    wanted = sys.argv[1:] or [name[:2] for name in FIGURES]
    for name, picture in FIGURES.items():
        if name[:2] in wanted:
            picture().save(FOLDER / name)
