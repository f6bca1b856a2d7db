"""The exercises of notebook 01."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from ...nn import Layer, Neuron
from ...ops import TABLE
from .exercise import Behaviour, Choice, Exercise, Number
from .plain import is_number, plain

Row = Sequence[float]

_sigmoid = TABLE["sigmoid"].forward
_WEIGHTS, _BIAS = [0.4, 0.7, 0.1], -0.3


def _sum(x: Row, w: Row) -> float:
    return sum(a * b for a, b in zip(x, w))


def _neuron(x: Row, w: Row, b: float) -> float:
    neuron = Neuron(len(w), activation="sigmoid")
    neuron.load_state_dict({"w": list(w), "b": b})
    output: float = neuron(list(x)).data
    return output


def _layer(x: Row, weights: Sequence[Row], biases: Row) -> list[float]:
    return [_neuron(x, w, b) for w, b in zip(weights, biases)]


@cache
def _size_of_a_layer() -> float:
    return float(len(Layer(784, 100).parameters()))


def _numbers(generator: random.Random, count: int) -> list[float]:
    return [generator.randint(-15, 15) / 10 for _ in range(count)]


def _neuron_case(generator: random.Random) -> tuple[list[float], list[float], float]:
    count = generator.randint(2, 4)
    return (
        _numbers(generator, count),
        _numbers(generator, count),
        generator.choice([-0.7, 0.4, 1.1]),
    )


def _layer_case(generator: random.Random) -> tuple[list[float], list[list[float]], list[float]]:
    """As many neurons as inputs: then a layer that takes columns for rows gives numbers, too."""
    count = generator.randint(2, 3)
    weights = [_numbers(generator, count) for _ in range(count)]
    return _numbers(generator, count), weights, generator.sample([-0.8, -0.2, 0.5, 1.0], count)


_NEURON = Behaviour(
    solution=_neuron,
    cases=_neuron_case,
    show=lambda x, w, b: f"x = {x}, w = {w}, b = {b}",
    mistakes=(
        (lambda x, w, b: _sum(x, w) + b, "This is the sum. Which function comes after it?"),
        (lambda x, w, b: _sigmoid(_sum(x, w)), "Where does the bias go?"),
        (
            lambda x, w, b: _sigmoid(_sum(x, w)) + b,
            "The bias is part of the sum: it is added before the sigmoid, not after.",
        ),
        (
            lambda x, w, b: sum(_sigmoid(a * c) for a, c in zip(x, w)) + b,
            "The sigmoid is applied once, to the whole sum, not to each product.",
        ),
        (
            lambda x, w, b: _sigmoid(sum(a * c + b for a, c in zip(x, w))),
            "The bias is counted once for each input. It is added once, at the end.",
        ),
        (
            lambda x, w, b: _sigmoid(x[0] * w[0] + b),
            "Only the first input counts. Does the function return before the loop ends?",
        ),
        (
            lambda x, w, b: _sigmoid(x[-1] * w[-1] + b),
            "Only the last input counts. In a loop, `=` replaces the sum and `+=` adds to it.",
        ),
        (
            lambda x, w, b: _sigmoid(sum(x) + sum(w) + b),
            "You add inputs and weights. Each input is multiplied by its weight.",
        ),
        (
            lambda x, w, b: _sigmoid(-_sum(x, w) - b),
            "The curve falls where it should rise. Look at the sign in the exponent.",
        ),
        (
            lambda x, w, b: _sigmoid(0.85 + b),
            "The sum is always that of section 1. Calculate it from `x` and `w`.",
        ),
        (
            lambda x, w, b: _sigmoid(sum(x) * sum(w) + b),
            "Each input has its own weight: first multiply the pairs, then add.",
        ),
        (
            lambda x, w, b: _sigmoid(_sum(x, w) - b),
            "The bias is added as it is, with its own sign.",
        ),
    ),
)

_LAYER = Behaviour(
    solution=_layer,
    cases=_layer_case,
    show=lambda x, weights, biases: f"x = {x}, weights = {weights}, biases = {biases}",
    mistakes=(
        (
            lambda x, weights, biases: _layer(x, list(zip(*weights)), biases),
            "You take the columns of `weights`. One row belongs to one neuron.",
        ),
        (
            lambda x, weights, biases: _layer(x, weights, [biases[0]] * len(biases)),
            "All neurons use the first bias. Each has its own.",
        ),
        (
            lambda x, weights, biases: _layer(x, weights, [0.0] * len(biases)),
            "Where do the biases go?",
        ),
        (
            lambda x, weights, biases: [_sum(x, w) + b for w, b in zip(weights, biases)],
            "These are the sums. Which function comes after each of them?",
        ),
        (
            lambda x, weights, biases: _layer(x, weights, biases)[:1],
            "There is one output only. Does the function return before the loop ends?",
        ),
        (
            lambda x, weights, biases: _layer(x, weights, biases)[-1],
            "This is the output of the last neuron. Begin with an empty list, and append each "
            "output to it.",
        ),
        (
            lambda x, weights, biases: [_neuron(x, w, b) for w in weights for b in biases],
            "You combine each row with each bias. One row and one bias belong together, as in "
            "`zip(weights, biases)`.",
        ),
        (
            lambda x, weights, biases: sum(_layer(x, weights, biases)),
            "A layer does not add up its neurons: it gives a list with one output for each.",
        ),
    ),
)

Gate = list[float]  # w1, w2 and b of a neuron
_CORNERS = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))
_IN_WORDS = "0 and 0, 0 and 1, 1 and 0, 1 and 1"
_AND, _OR, _NAND = [20.0, 20.0, -30.0], [20.0, 20.0, -10.0], [-20.0, -20.0, 30.0]
_NEVER, _ALWAYS, _FIRST, _NEITHER = (
    [0.0, 0.0, -9.0],
    [0.0, 0.0, 9.0],
    [20.0, 0.0, -10.0],
    [-20.0, -20.0, 10.0],
)


def _output(gate: Gate, x1: float, x2: float) -> float:
    w1, w2, b = gate
    return _sigmoid(w1 * x1 + w2 * x2 + b)


def _decisions(output: Callable[[float, float], float]) -> list[str]:
    return ["yes" if output(x1, x2) > 0.5 else "no" for x1, x2 in _CORNERS]


def _is_gate(thing: Any) -> bool:
    return isinstance(thing, list) and len(thing) == 3


def _run_gate(answer: Callable[[], Gate]) -> Any:
    gate = plain(answer())
    if not _is_gate(gate) or not all(map(is_number, gate)):
        return gate and "the answer is not a list of three numbers"
    return _decisions(lambda x1, x2: _output(gate, x1, x2))


def _run_network(answer: Callable[[], list[Gate]]) -> Any:
    gates = plain(answer())
    if not _is_gate(gates) or not all(
        _is_gate(gate) and all(map(is_number, gate)) for gate in gates
    ):
        return gates and "the answer is not a list of three lists of three numbers"
    first, second, last = gates
    return _decisions(lambda x1, x2: _output(last, _output(first, x1, x2), _output(second, x1, x2)))


_AND_NEURON = Behaviour(
    solution=lambda: _AND,
    cases=lambda _: (),
    run=_run_gate,
    show=lambda: _IN_WORDS,
    mistakes=(
        (
            lambda: _OR,
            "One input alone is enough for a yes. How low must the bias be, so that one weight "
            "alone cannot lift the sum above 0?",
        ),
        (
            lambda: _NEVER,
            "It never says yes. With both inputs 1 the sum is w1 + w2 + b: is it above 0?",
        ),
        (
            lambda: _ALWAYS,
            "It always says yes. With both inputs 0, only the bias is left. Which sign must it "
            "have?",
        ),
        (
            lambda: _NAND,
            "It says no exactly where it should say yes: all signs are the wrong way round.",
        ),
        (lambda: _FIRST, "Only the first input counts. Both weights have to be large."),
        (
            lambda: [0.0, 20.0, -10.0],
            "Only the second input counts. Both weights have to be large.",
        ),
        (lambda: _NEITHER, "It says yes if no input is 1. Which sign do the weights need?"),
    ),
)

_XOR = Behaviour(
    solution=lambda: [_OR, _NAND, _AND],
    cases=lambda _: (),
    run=_run_network,
    show=lambda: _IN_WORDS,
    mistakes=(
        (
            lambda: [_OR, _OR, _OR],
            "It says yes for 1 and 1, too. Which gate says no there, and only there?",
        ),
        (
            lambda: [_AND, _AND, _AND],
            "It says yes for 1 and 1 only. The third neuron may be right. What do the first two "
            "say?",
        ),
        (
            lambda: [_OR, _NAND, _OR],
            "It always says yes. The third neuron should need both of the first two.",
        ),
        (
            lambda: [_OR, _NAND, _NAND],
            "It says no exactly where it should say yes. Which gate must the third neuron be?",
        ),
        (
            lambda: [_NEVER, _NEVER, _AND],
            "It never says yes. Print the outputs of the first two neurons: are they near 0 and 1? "
            "Larger weights make them so.",
        ),
        (
            lambda: [_NAND, _NAND, _AND],
            "It says yes for 0 and 0, too. Which gate says no there, and only there?",
        ),
    ),
)

EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "01.1",
        "Another day",
        1,
        Number(
            lambda: _sum([0.2, 0.5, 1.0], _WEIGHTS) + _BIAS,
            mistakes=(
                (lambda: _sum([0.2, 0.5, 1.0], _WEIGHTS), "Something is missing after the sum."),
                (
                    lambda: _sum([0.2, 0.5, 1.0], _WEIGHTS) - _BIAS,
                    "Look at the sign of the bias.",
                ),
                (
                    lambda: _neuron([0.2, 0.5, 1.0], _WEIGHTS, _BIAS),
                    "This is the sigmoid of z. The task asks for z itself.",
                ),
                (lambda: 1.7 + _BIAS, "Each input is first multiplied by its weight."),
                (lambda: 0.85 + _BIAS, "This is z of the day before. Which numbers change?"),
            ),
        ),
    ),
    Exercise(
        "01.2",
        "The other half of the curve",
        1,
        Number(
            lambda: _sigmoid(-0.55),
            mistakes=(
                (
                    lambda: -_sigmoid(0.55),
                    "A sigmoid is never below 0. Look at the length of the bar for −1.",
                ),
                (
                    lambda: _sigmoid(0.55),
                    "The curve rises, so the number for −0.55 is smaller than that for 0.55.",
                ),
                (
                    lambda: 1 / _sigmoid(0.55),
                    "A sigmoid is never above 1. Put the bars for 1 and for −1 one after the "
                    "other: how long are they together?",
                ),
                (0.5, "This is the sigmoid of 0. For −0.55 it is smaller."),
                (0.269, "This is the sigmoid of −1. Do the two rows for 1 and −1 show a rule?"),
            ),
        ),
    ),
    Exercise("01.3", "A neuron", 2, _NEURON),
    Exercise(
        "01.4",
        "The neuron that cannot decide",
        2,
        Number(
            lambda: -_sum([0.5, 0.9, 0.2], _WEIGHTS),
            mistakes=(
                (
                    lambda: _sum([0.5, 0.9, 0.2], _WEIGHTS),
                    "Which number must be added to 0.85, so that the sum becomes what it should?",
                ),
                (-0.55, "This is how much the bias has to change. The task asks for the new bias."),
                (-0.35, "The output should be 0.5, not the sum. For which sum is it 0.5?"),
                (0.15, "With this bias the sum is 1. Which sum gives an output of 0.5?"),
                (0.5, "The output should be 0.5, not the bias. For which sum is it 0.5?"),
                (0.0, "The sum should be 0, not the bias. What is the sum without the bias?"),
            ),
        ),
    ),
    Exercise(
        "01.5",
        "How many parameters?",
        1,
        Number(
            _size_of_a_layer,
            tolerance=1e-6,
            mistakes=(
                (78400.0, "These are the weights. What else does each neuron have?"),
                (78.5, "In Python the point is the decimal sign: write a large number without it."),
                (785.0, "This is one neuron. How many are there?"),
                (78401.0, "One bias for the whole layer? Each neuron has its own."),
                (79184.0, "You count one bias for each input. A bias belongs to a neuron."),
                (884.0, "You add inputs and neurons. Each neuron has one weight for each input."),
            ),
        ),
    ),
    Exercise("01.6", "A layer", 2, _LAYER),
    Exercise("01.7", "And", 3, _AND_NEURON),
    Exercise("01.8", "Either, but not both", 3, _XOR),
    Exercise(
        "01.q1",
        "A sum of 0",
        1,
        Choice(
            "b",
            {
                "a": "The sum is 0, but the sigmoid comes after it: 1 / (1 + e⁰).",
                "b": "1 / (1 + 1) = 0.5: the neuron cannot decide.",
                "c": "The sigmoid reaches 1 only for very large sums.",
                "d": "The weights determine the sum, and the sum is known here.",
            },
        ),
    ),
    Exercise(
        "01.q2",
        "A larger bias",
        1,
        Choice(
            "a",
            {
                "a": "The bias is added to the sum for any inputs, and the sigmoid rises.",
                "b": "The bias is not multiplied by an input. That is true of the weights.",
                "c": "The sum grows, and the sigmoid rises everywhere.",
                "d": "The bias is part of the sum. When the sum grows, what does the sigmoid do?",
            },
        ),
    ),
    Exercise(
        "01.q3",
        "An input of 0",
        1,
        Choice(
            "d",
            {
                "a": "The weight is multiplied by the input first. What is w3 · 0?",
                "b": "A smaller output needs a smaller sum. What is w3 · 0?",
                "c": "One product is 0, but the other inputs and the bias are still there.",
                "d": "w3 · 0 is 0 for every w3. So this weight learns nothing from today.",
            },
        ),
    ),
    Exercise(
        "01.q4",
        "Neurons of a layer",
        1,
        Choice(
            "c",
            {
                "a": "With the same weights and biases, all would give the same output.",
                "b": "Each neuron has a bias of its own; count the parameters of the layer again.",
                "c": "All neurons of a layer see the same inputs; everything else is their own.",
                "d": "A layer gives a list, with one output for each neuron.",
            },
        ),
    ),
)
