"""The playground: the explorer as one page in which a visitor types an expression.

>>> page = playground()
>>> page.startswith("<!DOCTYPE html>")
True

The page reads the expression itself. It gets what it must know as data: the grammar from
`formulas/parse.py`, the formulas and derivatives of all ops from the op table, and ready examples.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from .. import data
from ..engine import Value
from ..formulas.parse import grammar
from ..functional import dot, softmax
from ..losses import hinge
from ..nn import MLP
from ..ops import TABLE
from ..optim import SGD
from .explorer import SCRIPTS, STYLES, read, write_page
from .lesson import Lesson, functions, language
from .views import MOST_IN_ONE, Views

_DEFAULTS = (0.5, -1.5, 2.0, 0.8, -0.6, 1.2)
"""The numbers of names that have none yet, in turn."""
_RATE = 0.5  # of the two-moons network, which separates all points after some 250 steps
_POINTS = 60


def playground() -> str:
    """The page, whole: one HTML file that needs neither Python nor a network.

    Its visitor types an expression and steps through both of its passes, or chooses a neuron, an
    LSTM gate, an attention head or a network that learns to separate two moons.
    """
    return write_page(
        "page.html",
        title="micrograd_plus playground",
        data={
            **language(TABLE.values()),
            "grammar": grammar(),
            "defaults": _DEFAULTS,
            "most": MOST_IN_ONE,
            "library": [_NEURON, _GATE, attention_head(), two_moons()],
        },
        styles=(*STYLES, "playground.css"),
        functions=functions(TABLE.values(), _optimizer(_network())),
        scripts=(*SCRIPTS, "reading.js", "boundary.js", "playground.js"),
        bar=read("playground.html"),
        card=read("boundary.html"),
        start="",
    )


# ---- the examples: a formula with numbers, or a lesson


_NEURON = {
    "id": "neuron",
    "name": "Neuron",
    "title": "A neuron: a weighted sum of its inputs and a bias, through tanh",
    "formula": "tanh(x1*w1 + x2*w2 + b)",
    "numbers": {"x1": 2.0, "w1": -3.0, "x2": 0.5, "w2": 1.0, "b": 6.88},
}
_GATE = {
    "id": "gate",
    "name": "LSTM gate",
    "title": "The forget gate of an LSTM: which share of the memory c is kept",
    "formula": "sigmoid(w*x + u*h + b) * c",
    "numbers": {"w": 0.8, "x": 1.0, "u": -1.2, "h": 0.5, "b": 0.6, "c": 1.5},
}


def attention_head() -> dict[str, Any]:
    """A query, and the keys and values of three tokens, each of one number.

    Source: Vaswani and others, "Attention is all you need" (2017), formula 1.
    """
    q, keys = Value(1.5, label="q"), _leaves("k", [0.9, -0.4, 0.3])
    scores = [_named(f"score{i}", q * key) for i, key in enumerate(keys, 1)]
    weights = softmax(scores)
    for i, weight in enumerate(weights, 1):
        (logarithm,) = _named(f"weight{i}", weight).operands
        _named(f"log{i}", logarithm)
        _named("lse", logarithm.operands[1])
    values = _leaves("v", [2.0, -1.0, 0.5])
    return {
        "id": "attention",
        "name": "Attention head",
        "title": "An attention head of width 1: a weighted mean of the values of three tokens",
        "lesson": _drawn(Lesson(_named("out", dot(weights, values)))),
    }


def two_moons() -> dict[str, Any]:
    """A network 2-5-1 with the loss of one point, and all points to train it with."""
    X, y = data.moons(_POINTS, noise=0.1, seed=0)
    X = [[round(x, 3) for x in row] for row in X]  # which an address holds without long numbers
    model = _network()
    x, target = _leaves("x", X[0]), Value(y[0], label="y")
    score = model(x)
    loss = _named("loss", hinge(score, target))
    lesson = Lesson(loss, _optimizer(model))
    index = lesson.index
    examples = {
        "inputs": [index[value] for value in x],
        "target": index[target],
        "output": index[score],
        "rows": [[row, label] for row, label in zip(X, y)],
    }
    return {
        "id": "moons",
        "name": "Two moons",
        "title": "A network 2-5-1 that learns to separate two moons",
        "lesson": {**_drawn(lesson), "examples": examples},
    }


def _network() -> MLP:
    return MLP(2, [5, 1], activation="tanh", generator=random.Random(2))


def _optimizer(model: MLP) -> SGD:
    return SGD(model.parameters(), lr=_RATE)


def _leaves(name: str, numbers: Sequence[float]) -> list[Value]:
    return [Value(x, label=f"{name}{i}") for i, x in enumerate(numbers, 1)]


def _named(label: str, value: Value) -> Value:
    value.label = label
    return value


def _drawn(lesson: Lesson) -> dict[str, Any]:
    return {**lesson.data(), "views": Views(lesson, fold=None, around=None, depth=0).data()}
