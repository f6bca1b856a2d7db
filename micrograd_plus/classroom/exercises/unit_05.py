"""The exercises of notebook 05."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

from ... import functional, losses
from ...nn import MLP, Layer, Neuron
from .exercise import Behaviour, Choice, Exercise, Number

Row = Sequence[float]
Rows = Sequence[Row]


def _score() -> float:
    neuron = Neuron(2, nonlin=False)
    neuron.load_state_dict({"w": [2.0, -1.0], "b": -1.0})
    score: float = neuron([3.0, 4.0]).data
    return score


def _line(generator: random.Random) -> tuple[float, ...]:
    def number() -> float:
        return float(generator.choice([-5, -4, -3, -2, 2, 3, 4, 5]))

    return number(), number(), number(), number()


def _boundary(w1: float, w2: float, b: float, x1: float) -> float:
    return -(w1 * x1 + b) / w2


def _layer_case(generator: random.Random) -> tuple[list[Any], ...]:
    inputs, neurons = generator.sample(range(2, 5), 2)

    def row(width: int) -> list[int]:
        return [generator.choice([-3, -2, -1, 1, 2, 3]) for _ in range(width)]

    return [row(inputs) for _ in range(neurons)], row(neurons), row(inputs)


def _layer(weights: Rows, biases: Row, x: Row) -> list[float]:
    layer = Layer(len(x), len(biases))
    for neuron, w, b in zip(layer.neurons, weights, biases):
        neuron.load_state_dict({"w": w, "b": b})
    return [output.data for output in layer(x)]


def _sum(w: Row, x: Row) -> float:
    return sum(a * b for a, b in zip(w, x))


def _choice(generator: random.Random) -> tuple[list[float], int]:
    scores = [generator.randint(-20, 20) / 10 for _ in range(generator.randint(3, 4))]
    return scores, generator.randrange(len(scores))


def _cross_entropy(scores: Row, right: int) -> float:
    loss: float = losses.cross_entropy(scores, right).data
    return loss


def _probabilities(scores: Row) -> list[float]:
    return [p.data for p in functional.softmax(scores)]


def _rows(generator: random.Random) -> tuple[list[list[int]], list[int]]:
    width = generator.randint(2, 3)
    table = [[generator.randint(-9, 9) for _ in range(width)] for _ in range(4)]
    indices = generator.sample(range(4), 2)
    return table, [*indices, indices[0]]


def _mean_row(table: Rows, indices: Sequence[int]) -> list[float]:
    return [functional.mean(column).data for column in zip(*[table[i] for i in indices])]


def _point(generator: random.Random) -> tuple[float, float]:
    """A point in the first quarter, a little inside the border of the diamond or outside."""
    size, share = generator.choice([0.9, 1.1]), generator.randint(1, 19) / 20
    return round(size * share, 3), round(size * (1 - share), 3)


def _around(x1: float, x2: float) -> list[tuple[float, float]]:
    """The point, its mirror images in the other quarters, and one nearer and one farther away."""
    return [(x1, x2), (-x1, x2), (-x1, -x2), (x1, -x2), (x1 / 4, x2 / 4), (2 * x1, 2 * x2)]


def _is_inside(score: Callable[[float, float], Any], x1: float, x2: float) -> list[bool]:
    return [bool(score(*point) > 0) for point in _around(x1, x2)]


def _relu(x: float) -> float:
    return functional.relu(x).data


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "05.1",
        "Which side of the line",
        1,
        Number(
            _score,
            (
                (2.0, "The weighted sum is right. What does the neuron add to it?"),
                (9.0, "The second weight is negative."),
                (3.0, "Look at the sign of the bias."),
                (4.0, "Each input is multiplied by its own weight: 3 by 2, and 4 by −1."),
            ),
        ),
    ),
    Exercise(
        "05.2",
        "Where the line is",
        2,
        Behaviour(
            _boundary,
            _line,
            (
                (
                    lambda w1, w2, b, x1: (w1 * x1 + b) / w2,
                    "When a term goes to the other side of the equation, its sign changes.",
                ),
                (
                    lambda w1, w2, b, x1: (-w1 * x1 + b) / w2,
                    "One of the two terms that go to the other side has kept its sign.",
                ),
                (
                    lambda w1, w2, b, x1: -w1 * x1 / w2,
                    "This line goes through the origin. What moves it away from there?",
                ),
                (
                    lambda w1, w2, b, x1: -(w1 * x1 + b),
                    "This is w2 · x2. One step is missing.",
                ),
                (
                    lambda w1, w2, b, x1: -(w2 * x1 + b) / w1,
                    "The two weights are exchanged: w2 belongs to x2.",
                ),
                (
                    lambda w1, w2, b, x1: w1 * x1 + w2 * 0 + b,
                    "This is the score at (x1, 0). The question is where the score is 0.",
                ),
                (
                    lambda w1, w2, b, x1: -(w1 * x1) - b / w2,
                    "Both terms are divided by w2. Python divides before it adds: where are "
                    "brackets missing?",
                ),
                (
                    lambda w1, w2, b, x1: -b / w2,
                    "This is right for x1 = 0 only. The line is not horizontal.",
                ),
            ),
        ),
    ),
    Exercise(
        "05.3",
        "Count the parameters",
        1,
        Number(
            lambda: sum(1 for _ in MLP(3, [8, 4, 2]).parameters()),
            (
                (64, "These are the weights. Each neuron has one number more."),
                (14, "These are the neurons. Each of them has several parameters."),
                (81, "The 3 inputs are no neurons: they have no bias."),
                (24 + 32 + 8 + 3, "A bias belongs to each neuron, not to each layer."),
                (76, "The neurons of the last layer have biases, too."),
                (3 * 8 * 4 * 2, "The layers come one after another: their weights are added."),
                (17, "These are the inputs and the neurons. How many weights has each neuron?"),
            ),
            tolerance=0.001,
        ),
    ),
    Exercise(
        "05.4",
        "Your own layer",
        2,
        Behaviour(
            _layer,
            _layer_case,
            (
                (
                    lambda weights, biases, x: [_sum(w, x) + b for w, b in zip(weights, biases)],
                    "The sums are right. What happens to a negative one?",
                ),
                (
                    lambda weights, biases, x: [_relu(_sum(w, x)) for w in weights],
                    "The biases are missing.",
                ),
                (
                    lambda weights, biases, x: [
                        _relu(_sum(w, x)) + b for w, b in zip(weights, biases)
                    ],
                    "The bias belongs to the sum: it is added before relu is applied.",
                ),
                (
                    lambda weights, biases, x: [
                        sum(_relu(w * number) for w, number in zip(row, x)) + b
                        for row, b in zip(weights, biases)
                    ],
                    "relu is applied once for each neuron, to the whole sum, not to each product.",
                ),
                (
                    lambda weights, biases, x: [
                        _relu(sum(w * number + b for w, number in zip(row, x)))
                        for row, b in zip(weights, biases)
                    ],
                    "The bias is added several times. Each neuron adds it once.",
                ),
                (
                    lambda weights, biases, x: _layer(weights, biases, x)[0],
                    "This is the output of the first neuron. The layer has more.",
                ),
                (
                    lambda weights, biases, x: sum(_layer(weights, biases, x)),
                    "The outputs of the neurons are a list; they are not added.",
                ),
                (
                    lambda weights, biases, x: [
                        abs(_sum(w, x) + b) for w, b in zip(weights, biases)
                    ],
                    "relu does not change the sign of a negative sum. What does it give?",
                ),
                (
                    lambda weights, biases, x: [
                        functional.sigmoid(_sum(w, x) + b).data for w, b in zip(weights, biases)
                    ],
                    "This layer has the sigmoid as its activation. Asked for is relu.",
                ),
                (
                    lambda weights, biases, x: [
                        functional.tanh(_sum(w, x) + b).data for w, b in zip(weights, biases)
                    ],
                    "This layer has tanh as its activation. Asked for is relu.",
                ),
            ),
        ),
    ),
    Exercise(
        "05.5",
        "Your own cross-entropy",
        2,
        Behaviour(
            _cross_entropy,
            _choice,
            (
                (
                    lambda scores, right: -_cross_entropy(scores, right),
                    "The logarithm of a probability is negative or 0, but a loss is not negative.",
                ),
                (
                    lambda scores, right: _probabilities(scores)[right],
                    "This is the probability of the right class. The loss is made of it.",
                ),
                (
                    lambda scores, right: 1 - _probabilities(scores)[right],
                    "This is the probability of being wrong. The cross-entropy uses a logarithm.",
                ),
                (
                    lambda scores, right: _cross_entropy(scores, right) / math.log(10),
                    "The logarithm is the natural one, not the one to the base 10.",
                ),
                (
                    lambda scores, right: _cross_entropy(scores, right) / math.log(2),
                    "The logarithm is the natural one, not the one to the base 2.",
                ),
                (
                    lambda scores, right: _cross_entropy(scores, scores.index(max(scores))),
                    "This is the loss of the class with the largest score. Which class counts?",
                ),
                (
                    lambda scores, right: _cross_entropy(scores, right - 1),
                    "The index is wrong by one: classes are counted from 0, as in Python.",
                ),
                (
                    lambda scores, right: -scores[right],
                    "A score is no probability. Which function makes probabilities of scores?",
                ),
                (
                    lambda scores, right: -_probabilities(scores)[right],
                    "The probability is the one that is needed. Its logarithm is missing.",
                ),
                (
                    lambda scores, right: -math.log(1 - _probabilities(scores)[right]),
                    "This is large if the right class has a large probability. A loss must be "
                    "small then.",
                ),
                (
                    lambda scores, right: -sum(math.log(p) for p in _probabilities(scores)),
                    "This adds up all classes. The loss looks at the right class only.",
                ),
            ),
        ),
    ),
    Exercise(
        "05.6",
        "The mean of some rows",
        2,
        Behaviour(
            _mean_row,
            _rows,
            (
                (
                    lambda table, indices: [sum(c) for c in zip(*[table[i] for i in indices])],
                    "This is the sum of the rows. A mean is divided by a number: which one?",
                ),
                (
                    lambda table, indices: [
                        sum(c) / len(table) for c in zip(*[table[i] for i in indices])
                    ],
                    "Divide by the number of indices, not by the number of rows in the table.",
                ),
                (
                    lambda table, indices: _mean_row(table, sorted(set(indices))),
                    "An index that occurs twice counts twice.",
                ),
                (
                    lambda table, indices: _mean_row(table, range(len(table))),
                    "This is the mean of the whole table. Only the rows of the indices count.",
                ),
                (
                    lambda table, indices: [table[i] for i in indices],
                    "These are the right rows. Now take the mean of each column.",
                ),
                (
                    lambda table, indices: [functional.mean(table[i]).data for i in indices],
                    "This is the mean of each row. The result has one number for each column.",
                ),
                (
                    lambda table, indices: _mean_row(table, [i - 1 for i in indices]),
                    "The index 0 belongs to the first row.",
                ),
                (
                    lambda table, indices: [
                        sum(c) // len(indices) for c in zip(*[table[i] for i in indices])
                    ],
                    "`//` cuts off what comes after the decimal point.",
                ),
                (
                    lambda table, indices: [
                        sum(c) / len(table[0]) for c in zip(*[table[i] for i in indices])
                    ],
                    "Divide by the number of rows that were added, not by the length of a row.",
                ),
            ),
        ),
    ),
    Exercise(
        "05.7",
        "A diamond made of relus",
        3,
        Behaviour(
            lambda x1, x2: 1 - abs(x1) - abs(x2),
            _point,
            (
                (
                    lambda x1, x2: 1 - _relu(x1) - _relu(x2),
                    "The right upper side is there. A negative x1 must count as well: which relu "
                    "sees it?",
                ),
                (
                    lambda x1, x2: 1 - x1 - x2,
                    "This is a single line. The diamond has four sides.",
                ),
                (
                    lambda x1, x2: abs(x1) + abs(x2) - 1,
                    "The border is right, but the score is positive outside.",
                ),
                (
                    lambda x1, x2: 2 - abs(x1) - abs(x2),
                    "The form is right, but this diamond has its corners at 2 and −2.",
                ),
                (
                    lambda x1, x2: 1 - abs(x1 + x2) - abs(x1 - x2),
                    "This is a square with sides along the axes, and smaller. Take |x1| and |x2|.",
                ),
                (
                    lambda x1, x2: _relu(x1) + _relu(-x1) + _relu(x2) + _relu(-x2),
                    "This is |x1| + |x2|. The score must be positive where it is below 1.",
                ),
                (
                    lambda x1, x2: 1 - _relu(x1 + x2) - _relu(-x1 - x2),
                    "This is 1 − |x1 + x2|, a stripe between two lines. Use |x1| and |x2|.",
                ),
                (
                    lambda x1, x2: 1 - max(abs(x1), abs(x2)),
                    "This is a square with sides along the axes. The corners of the diamond lie "
                    "on the axes.",
                ),
            ),
            run=_is_inside,
            show=lambda *point: (
                "is it positive at " + ", ".join(f"({x1:g}, {x2:g})" for x1, x2 in _around(*point))
            ),
        ),
    ),
    Exercise(
        "05.q1",
        "A weight of 0",
        1,
        Choice(
            "c",
            {
                "a": "The equation w2 · x2 + b = 0 still has solutions.",
                "b": "A vertical line is x1 = …, but x1 does not occur in the equation any more.",
                "c": "The equation is w2 · x2 + b = 0, so x2 is the same for each x1.",
                "d": "Only a line with the bias 0 goes through the origin.",
            },
        ),
    ),
    Exercise(
        "05.q2",
        "Why a hidden layer solves XOR",
        1,
        Choice(
            "b",
            {
                "a": "A single layer with thousands of parameters still has a straight line.",
                "b": "Yes: in the plane of the hidden neurons one line is enough.",
                "c": "The learning rate says how large the steps are, not what a network can do.",
                "d": "The last neuron had no activation in this notebook.",
            },
        ),
    ),
    Exercise(
        "05.q3",
        "Three equal scores",
        1,
        Choice(
            "c",
            {
                "a": "These are the scores. Probabilities add up to 1.",
                "b": "Probabilities add up to 1.",
                "c": "Equal scores give equal probabilities, and they add up to 1.",
                "d": "Softmax sees the scores only. The right class is used by the loss.",
            },
        ),
    ),
    Exercise(
        "05.q4",
        "A product as an input",
        1,
        Choice(
            "c",
            {
                "a": "Then product 40 counts as four times product 10. The number is only a name.",
                "b": "This makes the numbers smaller, but product 40 is still four times product "
                "10.",
                "c": "Each product gets its own row of numbers, and training chooses them.",
                "d": "The numbers 0 to 49 are 50 products, and each needs a row.",
            },
        ),
    ),
)
