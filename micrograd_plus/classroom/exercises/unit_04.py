"""The exercises of notebook 04."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

from ... import functional
from ...engine import as_value
from ...nn import LeakyReLU, Linear
from .exercise import Behaviour, Choice, Exercise, Number

Row = Sequence[float]
Rows = Sequence[Row]


def _number(generator: random.Random) -> tuple[float]:
    return (generator.randint(-30, 30) / 10,)


def _leaky_relu(x: float) -> float:
    return LeakyReLU().one(as_value(x)).data


def _two_layers(generator: random.Random) -> tuple[float, ...]:
    return tuple(float(generator.choice([-4, -3, -2, 2, 3, 4])) for _ in range(4))


def _collapse(a: float, b: float, c: float, d: float) -> tuple[float, float]:
    return c * a, c * b + d


def _matrices(generator: random.Random) -> tuple[list[Any], ...]:
    inputs, hidden, outputs = generator.sample(range(1, 5), 3)

    def row(width: int) -> list[int]:
        return [generator.randint(-3, 3) for _ in range(width)]

    first, second = [row(inputs) for _ in range(hidden)], [row(hidden) for _ in range(outputs)]
    return first, row(hidden), second, row(outputs)


def _collapse_layers(W1: Rows, b1: Row, W2: Rows, b2: Row) -> tuple[list[list[float]], list[float]]:
    def network(x: list[float]) -> list[float]:
        """The two layers as the library computes them."""
        for weights, biases in ((W1, b1), (W2, b2)):
            layer = Linear(len(weights[0]), len(weights))
            layer.load_state_dict({"weight": weights, "bias": biases})
            x = [value.data for value in layer(x)]
        return x

    width = len(W1[0])
    bias = network([0.0] * width)
    columns = [network([float(i == k) for i in range(width)]) for k in range(width)]
    weights = [[column[i] - bias[i] for column in columns] for i in range(len(bias))]
    return weights, bias


def _product(left: Rows, right: Rows) -> list[list[float]]:
    return [[functional.dot(row, column).data for column in zip(*right)] for row in left]


def _scores(generator: random.Random) -> tuple[list[float]]:
    return ([generator.randint(-20, 20) / 10 for _ in range(generator.randint(2, 4))],)


def _large_scores(generator: random.Random) -> tuple[list[float]]:
    middle = generator.choice([-1000.0, 0.0, 1000.0])
    return ([middle + generator.randint(-3, 3) for _ in range(generator.randint(2, 4))],)


def _softmax(scores: Row) -> list[float]:
    return [p.data for p in functional.softmax(scores)]


def _shares(numbers: Sequence[Any]) -> list[Any]:
    return [number / sum(numbers) for number in numbers]


def _clipped_softmax(scores: Row) -> list[float]:
    return _shares([math.exp(max(-700.0, min(score, 700.0))) for score in scores])


def _divided_softmax(scores: Row) -> list[float]:
    largest = max(map(abs, scores)) or 1.0
    return _shares([math.exp(score / largest) for score in scores])


def _relu(x: float) -> float:
    return functional.relu(x).data


def _hat(x: float) -> float:
    return _relu(x) - 2 * _relu(x - 1) + _relu(x - 2)


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "04.1",
        "A leaky relu",
        1,
        Behaviour(
            _leaky_relu,
            _number,
            (
                (_relu, "This is relu itself. What does the leaky relu give for a negative x?"),
                (lambda x: x if x > 0 else 0.01, "On the left side the result depends on x too."),
                (
                    lambda x: x if x > 0 else -0.01 * x,
                    "For a negative x the result is negative as well.",
                ),
                (lambda x: 0.01 * x if x > 0 else x, "The two sides are exchanged."),
                (
                    lambda x: x if x > 0 else 0.1 * x,
                    "The slope on the left side is smaller: look at the number in the task.",
                ),
                (
                    lambda x: x if x > 0 else -0.01,
                    "For a negative x the result must change when x changes.",
                ),
                (
                    lambda x: _relu(x) + 0.01 * x,
                    "The left side is right. On the right side the result is x itself.",
                ),
            ),
        ),
    ),
    Exercise(
        "04.2",
        "Two layers in one",
        2,
        Behaviour(
            _collapse,
            _two_layers,
            (
                (
                    lambda a, b, c, d: (c * a, b + d),
                    "The slope is right. What does the second layer do to the b of the first one?",
                ),
                (
                    lambda a, b, c, d: (a + c, b + d),
                    "The second layer is applied to the output of the first one: put a * x + b in "
                    "the place of h, and multiply out.",
                ),
                (
                    lambda a, b, c, d: (c * a, c * b),
                    "Which number does the second layer add at the end?",
                ),
                (
                    lambda a, b, c, d: (c * a, a * d + b),
                    "The order is exchanged: the first layer comes first.",
                ),
                (
                    lambda a, b, c, d: (c * b + d, c * a),
                    "Both numbers are right, but the slope comes first.",
                ),
                (
                    lambda a, b, c, d: (c * a, c * (b + d)),
                    "The slope is right. The second layer adds d after it has multiplied.",
                ),
                (
                    lambda a, b, c, d: (c * a, b * d),
                    "The slope is right. The intercept is the result for x = 0: which number "
                    "leaves the first layer then?",
                ),
            ),
        ),
    ),
    Exercise(
        "04.3",
        "Two layers of vectors",
        3,
        Behaviour(
            _collapse_layers,
            _matrices,
            (
                (
                    lambda W1, b1, W2, b2: (_product(W2, W1), list(b2)),
                    "The weights are right. The biases of the first layer go through the second "
                    "layer as well.",
                ),
                (
                    lambda W1, b1, W2, b2: (
                        _product(W2, W1),
                        [functional.dot(row, b1).data for row in W2],
                    ),
                    "The weights are right. Which numbers does the second layer add at the end?",
                ),
                (
                    lambda W1, b1, W2, b2: (
                        [list(column) for column in zip(*_product(W2, W1))],
                        _collapse_layers(W1, b1, W2, b2)[1],
                    ),
                    "The biases are right. W has one row for each output, and one column for each "
                    "input.",
                ),
            ),
        ),
    ),
    Exercise(
        "04.4",
        "A slope in numbers",
        1,
        Number(
            lambda: 1 - 0.8**2,
            (
                (0.2, "The output of tanh must be squared first."),
                (0.64, "This is the square of the output. What does the formula do with it?"),
                (
                    lambda: 1 - math.tanh(0.8) ** 2,
                    "0.8 is already the output, so tanh is not applied to it again.",
                ),
                (
                    lambda: 0.8 * (1 - 0.8),
                    "This is the formula for the slope of a sigmoid. The neuron is a tanh neuron.",
                ),
                (1.64, "Look at the sign before the square."),
                (0.04, "Only the output is squared, and the square is subtracted from 1."),
                (lambda: math.tanh(0.8), "0.8 is already the output of tanh."),
            ),
        ),
    ),
    Exercise(
        "04.5",
        "Your own softmax",
        2,
        Behaviour(
            _softmax,
            _scores,
            (
                (
                    lambda scores: [math.exp(score) for score in scores],
                    "The powers are right, but they do not add up to 1 yet.",
                ),
                (
                    lambda scores: [score / sum(scores) for score in scores],
                    "A score may be negative, but a probability is not. Which function makes every "
                    "number positive?",
                ),
                (
                    lambda scores: [1 / (1 + math.exp(-score)) for score in scores],
                    "This is the sigmoid of each score alone. In softmax each probability depends "
                    "on all scores.",
                ),
                (
                    lambda scores: [
                        math.exp(score) / max(map(math.exp, scores)) for score in scores
                    ],
                    "The largest result is 1. Divide by a number that makes the sum equal to 1.",
                ),
                (
                    lambda scores: _shares([math.exp(-score) for score in scores]),
                    "The smallest score gets the largest probability: look at a sign.",
                ),
                (
                    lambda scores: [float(score == max(scores)) for score in scores],
                    "This chooses the largest score. Softmax gives the others a share, too.",
                ),
                (
                    lambda scores: [math.exp(score) / math.exp(sum(scores)) for score in scores],
                    "Below the line is the sum of the powers, and not the power of the sum.",
                ),
                (
                    lambda scores: _shares([abs(score) for score in scores]),
                    "The scores −1 and 1 would get the same probability. Which function keeps "
                    "the order of the scores and gives positive numbers?",
                ),
                (
                    lambda scores: _shares([2**score for score in scores]),
                    "The base of the powers is e, and not 2.",
                ),
            ),
        ),
    ),
    Exercise(
        "04.6",
        "Softmax for large scores",
        3,
        Behaviour(
            _softmax,
            _large_scores,
            (
                (
                    lambda scores: _shares([math.exp(score) for score in scores]),
                    "This is the formula without a change. Which number can you subtract from all "
                    "scores, so that no power is too large?",
                ),
                (
                    _clipped_softmax,
                    "Scores that are cut off lose their differences, and only these count.",
                ),
                (
                    _divided_softmax,
                    "Dividing the scores makes their differences smaller. Which operation leaves "
                    "the differences as they are?",
                ),
                (
                    lambda scores: [float(score == max(scores)) for score in scores],
                    "This chooses the largest score. Softmax gives the others a share, too.",
                ),
                (
                    lambda scores: [math.exp(score - max(scores)) for score in scores],
                    "The powers are no longer too large, but they do not add up to 1 yet.",
                ),
                (
                    lambda scores: _shares([functional.exp(score) for score in scores]),
                    "`mp.exp` gives inf where `math.exp` raises an error, and inf divided by inf "
                    "is no number. The scores must become smaller first.",
                ),
                (
                    lambda scores: _shares([math.exp(score - 1000) for score in scores]),
                    "Subtracting 1000 helps only if the scores are near 1000. Which number is "
                    "near the scores in every list?",
                ),
            ),
        ),
    ),
    Exercise(
        "04.7",
        "A hat made of relus",
        2,
        Behaviour(
            _hat,
            _number,
            (
                (_relu, "The first relu is right. The function must turn around at x = 1."),
                (
                    lambda x: _relu(x) - _relu(x - 1),
                    "After x = 1 this stays at 1. By how much must the slope change, from +1 to "
                    "−1?",
                ),
                (
                    lambda x: _relu(x) - 2 * _relu(x - 1),
                    "Up to x = 2 it is right. What stops the fall at x = 2?",
                ),
                (
                    lambda x: _relu(x) - _relu(x - 1) - _relu(x - 2),
                    "The slope must change by −2 at x = 1, and by +1 at x = 2.",
                ),
                (
                    lambda x: _relu(x) + _relu(x - 1) + _relu(x - 2),
                    "With plus signs the slope only grows. Where must it become smaller?",
                ),
                (
                    lambda x: _relu(x) - _relu(x - 1) + _relu(x - 2),
                    "Between 1 and 2 this is flat. Which slope does the hat have there?",
                ),
                (
                    lambda x: _relu(x) - 2 * _relu(x - 1) + 2 * _relu(x - 2),
                    "Up to x = 2 it is right, but after it the function rises.",
                ),
                (
                    lambda x: _relu(x) - 2 * _relu(x - 1) - _relu(x - 2),
                    "Up to x = 2 it is right, but after it the function falls even faster.",
                ),
                (
                    lambda x: _relu(x) - 2 * _relu(x + 1) + _relu(x + 2),
                    "relu(x + 1) has its corner at x = −1: look at the signs in the brackets.",
                ),
            ),
        ),
    ),
    Exercise(
        "04.q1",
        "Five layers without activation",
        1,
        Choice(
            "c",
            {
                "a": "Without kinks or curves the result is a straight line or plane.",
                "b": "Nowhere is x multiplied by x: a layer multiplies x only with weights.",
                "c": "A linear function of a linear function is linear, however many there are.",
                "d": "The gradient does come through: without activations no slope is 0. But what "
                "can be learned is only a straight line.",
            },
        ),
    ),
    Exercise(
        "04.q2",
        "Where a sigmoid passes gradient",
        1,
        Choice(
            "b",
            {
                "a": "There the curve is flat: it is saturated.",
                "b": "There it is steepest, with a slope of 1/4.",
                "c": "There the curve is flat, close to 0.",
                "d": "Look at the dashed curve in the first picture: the slope of the sigmoid.",
            },
        ),
    ),
    Exercise(
        "04.q3",
        "A relu that is always 0",
        1,
        Choice(
            "c",
            {
                "a": "A weight changes by its gradient. What is the gradient here?",
                "b": "The output is 0, but this is no reason for the weights to be 0.",
                "c": "The slope of relu is 0 there, so every gradient is 0: the neuron is dead.",
                "d": "A weight changes by its gradient. What is the gradient here?",
            },
        ),
    ),
    Exercise(
        "04.q4",
        "Scores that all grow",
        1,
        Choice(
            "a",
            {
                "a": "Only the difference of the scores counts, and it is the same as before.",
                "b": "These are not probabilities: they do not add up to 1.",
                "c": "The scores are still different, by as much as before.",
                "d": "This happens if the scores are multiplied by a large number.",
            },
        ),
    ),
)
