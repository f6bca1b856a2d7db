"""The exercises of notebook 12, going on."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from .exercise import Behaviour, Choice, Exercise, Number
from .plain import plain

Rows = Sequence[Sequence[float]]
Named = dict[str, list[float]]


def _rows(generator: random.Random, count: int, size: int) -> list[list[float]]:
    return [[round(generator.uniform(-2, 2), 1) for _ in range(size)] for _ in range(count)]


# ---- shapes


def shape(numbers: Any) -> list[int]:
    """The sizes of nested lists, from the outside to the inside."""
    return [len(numbers), *shape(numbers[0])] if isinstance(numbers, list) else []


def _count(numbers: Any) -> int:
    return sum(map(_count, numbers)) if isinstance(numbers, list) else 1


def _always_list(numbers: Any) -> list[int]:
    return [len(numbers), *_always_list(numbers[0])]


def _nested_shape(numbers: Any) -> list[Any]:
    return [len(numbers), _nested_shape(numbers[0])] if isinstance(numbers, list) else []


def _shape_of_all(numbers: Any) -> list[Any]:
    return [len(numbers), *map(_shape_of_all, numbers)] if isinstance(numbers, list) else []


def _nested(generator: random.Random) -> tuple[Any, ...]:
    sizes = generator.sample((2, 3, 4), k=generator.choice((0, 1, 2, 3)))
    numbers: Any = 0.5
    for size in sizes:
        numbers = [numbers] * size
    return (numbers,)


# ---- gradients of a layer


def bias_gradient(grads: Rows) -> list[float]:
    """The sum over the points."""
    return [sum(column) for column in zip(*grads)]


def weight_gradient(points: Rows, grads: Rows) -> list[list[float]]:
    """Outputs × inputs: the sum over the points of gradient times input."""
    return _products(points, grads, sum)


def _products(points: Rows, grads: Rows, join: Callable[[list[float]], float]) -> list[list[float]]:
    return [
        [join([g[o] * x[i] for x, g in zip(points, grads)]) for i in range(len(points[0]))]
        for o in range(len(grads[0]))
    ]


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def _grads(generator: random.Random) -> tuple[Any, ...]:
    return (_rows(generator, generator.choice((3, 4)), 2),)


def _points_and_grads(generator: random.Random) -> tuple[Any, ...]:
    count = generator.choice((3, 4))
    return _rows(generator, count, 2), _rows(generator, count, 3)


# ---- an update without a change


def updated(parameters: Named, gradients: Named, lr: float) -> Named:
    """A new dictionary, one step of gradient descent further."""
    return {
        name: [p - lr * g for p, g in zip(numbers, gradients[name])]
        for name, numbers in parameters.items()
    }


def _changed(parameters: Named, gradients: Named, lr: float) -> Named:
    for name, numbers in parameters.items():
        for i, gradient in enumerate(gradients[name]):
            numbers[i] -= lr * gradient
    return parameters


def _before_and_after(
    update: Callable[..., Any], parameters: Named, gradients: Named, lr: float
) -> Any:
    new = update(parameters, gradients, lr)
    return new if new is None else {"new": new, "old, afterwards": parameters}


def _parameters(generator: random.Random) -> tuple[Any, ...]:
    parameters, gradients = (
        {"weight": _rows(generator, 1, 2)[0], "bias": _rows(generator, 1, 1)[0]} for _ in range(2)
    )
    return parameters, gradients, generator.choice((0.1, 0.5))


# ---- the project

Lists = tuple[list[Any], ...]

_FEWEST_ROWS = 20


def _verdict(project: Callable[[], Any]) -> str:
    """What the three lists of a project show, in words."""
    given = plain(project())
    if isinstance(given, list) and None in given:
        raise NotImplementedError  # it is not begun
    if not isinstance(given, list) or [type(one) for one in given] != [list] * 3:
        return "project() does not give three lists"
    guesses, truth, known = given
    if len(guesses) != len(truth):
        return "there is not one guess for each held-out row"
    if len(truth) < _FEWEST_ROWS:
        return f"there are fewer than {_FEWEST_ROWS} held-out rows"
    if any(isinstance(guess, (list, tuple)) for guess in guesses):
        return "a guess is a list, not a class"
    if not any(target in truth for target in known):
        return "no target of the training rows is a class of the held-out rows"
    if not any(guess in truth for guess in guesses):
        return "no guess is a class of the held-out rows"
    common = max(known, key=known.count)
    right = sum(guess == target for guess, target in zip(guesses, truth))
    if right <= sum(common == target for target in truth):
        return "not better than the baseline on the held-out rows"
    return "better than the baseline on the held-out rows"


_TRUTH, _KNOWN = [0, 1, 1] * 10, [0, 1, 1] * 20


def project() -> Lists:
    """Right for nine of ten rows, where the most common class is right for two of three."""
    guesses = [1 - target if i % 10 == 0 else target for i, target in enumerate(_TRUTH)]
    return guesses, _TRUTH, _KNOWN


EXERCISES = (
    Exercise(
        "12.1",
        "The shape of nested lists",
        2,
        Behaviour(
            shape,
            _nested,
            (
                (
                    lambda numbers: shape(numbers)[::-1],
                    "The sizes are right, but you begin at the inside.",
                ),
                (
                    _count,
                    "This is how many numbers there are in all, not how they are arranged.",
                ),
                (
                    lambda numbers: shape(numbers)[:1],
                    "Only the outer list is counted. What are its items?",
                ),
                (
                    lambda numbers: [len(numbers), len(numbers[0])],
                    "Your function looks at exactly two levels. How deep the lists are is not "
                    "known before.",
                ),
                (
                    lambda numbers: [len(numbers), *_always_list(numbers[0])],
                    "Something that is not a list has no length: what is the shape of one number?",
                ),
                (
                    _nested_shape,
                    "Your sizes are lists inside lists. A shape is one flat list of numbers.",
                ),
                (
                    _shape_of_all,
                    "All items of a list have the same shape: it is enough to ask the first one.",
                ),
                (
                    lambda numbers: len(shape(numbers)),
                    "This is how deep the lists are. Ask each level for its length.",
                ),
            ),
        ),
    ),
    Exercise(
        "12.2",
        "A gradient's shape",
        1,
        Number(
            3 * 5,
            (
                (1500, "The points of a batch do not get gradients of their own: they are added."),
                (500, "These are the results: 100 points with 5 numbers. The weights are fewer."),
                (300, "These are the inputs. The question is about the weights."),
                (20, "The matrix is asked for, without the biases."),
                (8, "A matrix has outputs times inputs, not outputs plus inputs."),
            ),
        ),
    ),
    Exercise(
        "12.3",
        "The gradient of a bias",
        2,
        Behaviour(
            bias_gradient,
            _grads,
            (
                (
                    lambda grads: [_mean(column) for column in zip(*grads)],
                    "You divide by the number of points. If the loss is a mean, this factor is in "
                    "the gradients already.",
                ),
                (
                    lambda grads: list(map(sum, grads)),
                    "You add along the rows, one number for each point. A bias has a column.",
                ),
                (
                    lambda grads: list(grads[-1]),
                    "This is the contribution of the last point alone: = where += is needed?",
                ),
                (
                    lambda grads: list(grads[0]),
                    "This is the contribution of the first point alone. The bias is used for every "
                    "point.",
                ),
                (
                    lambda grads: [list(column) for column in zip(*grads)],
                    "You have the contributions to each bias. What becomes of them?",
                ),
                (
                    lambda grads: sum(map(sum, grads)),
                    "You add everything. Each bias has a gradient of its own.",
                ),
            ),
        ),
    ),
    Exercise(
        "12.4",
        "The gradient of a weight matrix",
        3,
        Behaviour(
            weight_gradient,
            _points_and_grads,
            (
                (
                    lambda points, grads: weight_gradient(grads, points),
                    "The numbers are right, but they are arranged as inputs × outputs.",
                ),
                (
                    lambda points, grads: _products(points, grads, _mean),
                    "You take the mean over the points. The chain rule adds.",
                ),
                (
                    lambda points, grads: _products(points, grads, lambda parts: parts[-1]),
                    "Only the last point counts in your result: = where += is needed?",
                ),
                (
                    lambda points, grads: (
                        [[sum(column) for column in zip(*weight_gradient(points, grads))]]
                        * len(grads[0])
                    ),
                    "All rows of your result are one list: `[row] * n` does not make new rows.",
                ),
                (
                    lambda points, grads: _products(points, grads, lambda parts: parts[0]),
                    "Only the first point counts in your result.",
                ),
                (
                    lambda points, grads: [
                        [sum(xs) * sum(gs) for xs in zip(*points)] for gs in zip(*grads)
                    ],
                    "You add first and multiply then. Each point gives a product of its own.",
                ),
                (
                    lambda points, grads: [
                        [total] * len(points[0]) for total in bias_gradient(grads)
                    ],
                    "These are the gradients of the biases. With which number was each weight "
                    "multiplied?",
                ),
            ),
        ),
    ),
    Exercise(
        "12.5",
        "An update that changes nothing",
        2,
        Behaviour(
            updated,
            _parameters,
            (
                (
                    _changed,
                    "The new numbers are right, but you changed the old ones: make new lists.",
                ),
                (
                    lambda parameters, gradients, lr: updated(parameters, gradients, -lr),
                    "The loss would grow: in which direction does a step go?",
                ),
                (
                    lambda parameters, gradients, lr: updated(parameters, gradients, 1.0),
                    "The learning rate is not used.",
                ),
                (
                    lambda parameters, gradients, lr: parameters,
                    "The new numbers are the old ones. Where is the step?",
                ),
                (
                    lambda parameters, gradients, lr: [
                        *updated(parameters, gradients, lr).values()
                    ],
                    "The numbers are right, but their names are lost: return a dictionary.",
                ),
                (
                    lambda parameters, gradients, lr: {
                        name: [-lr * gradient for gradient in numbers]
                        for name, numbers in gradients.items()
                    },
                    "This is the step alone. Where does it begin?",
                ),
            ),
            run=_before_and_after,
        ),
    ),
    Exercise(
        "12.6",
        "A project of your own",
        3,
        Behaviour(
            project,
            lambda generator: (),
            (
                (
                    lambda: ([1] * len(_TRUTH), _TRUTH, _KNOWN),
                    "Always saying the most common class is as good. Look at the loss on the "
                    "training rows: if it falls there, train less; if it does not, change the "
                    "learning rate or the inputs. Perhaps the data cannot answer the question: "
                    "this is a result too.",
                ),
                (
                    lambda: (_TRUTH[:12], _TRUTH[:12], _KNOWN),
                    "With so few rows luck decides. Hold out more, or take more data.",
                ),
                (
                    lambda: (_KNOWN, _TRUTH, _KNOWN),
                    "Are the guesses those for the training rows? Compute them for the held-out "
                    "ones.",
                ),
                (
                    lambda: ([[0.1, 0.9]] * len(_TRUTH), _TRUTH, _KNOWN),
                    "These are scores. The class is the place of the largest one.",
                ),
                (
                    lambda: (_TRUTH, _TRUTH),
                    "Three lists are needed: guesses, truth, and the targets of the training rows, "
                    "which give the baseline.",
                ),
                (
                    lambda: (_TRUTH, _TRUTH, [[0.5, 1.5]] * 20),
                    "The third list holds the targets of the training rows, not their inputs. Are "
                    "they written as in truth?",
                ),
                (
                    lambda: (["one"] * len(_TRUTH), _TRUTH, _KNOWN),
                    "Guesses and truth must be written in the same way: both as numbers, or both "
                    "as texts.",
                ),
            ),
            run=_verdict,
            show=lambda: "your lists",
        ),
    ),
    Exercise(
        "12.q1",
        "The eighth digit",
        1,
        Choice(
            "b",
            {
                "a": "The chain rule is the same, and so are its numbers.",
                "b": "A float of 32 bits has about seven digits.",
                "c": "It would be too large in both programs, with the same losses.",
                "d": "The weights were carried across, so the first ones do not matter.",
            },
        ),
    ),
    Exercise(
        "12.q2",
        "The gradient of a matrix",
        1,
        Choice(
            "a",
            {
                "a": "One number for each weight; the points are added up.",
                "b": "That would be a gradient for each point. The weights are shared.",
                "c": "This is the shape of the results.",
                "d": "A gradient is arranged as its weights are: outputs × inputs.",
            },
        ),
    ),
    Exercise(
        "12.q3",
        "New parameters at each step",
        1,
        Choice(
            "b",
            {
                "a": "They can; PyTorch does so.",
                "b": "What it gives depends on its arguments alone, so the recording stays true.",
                "c": "For a moment it needs more: old and new.",
                "d": "Momentum keeps a sum of gradients, not the old parameters.",
            },
        ),
    ),
    Exercise(
        "12.q4",
        "When 90 % is not good",
        1,
        Choice(
            "a",
            {
                "a": "Saying this class every time would be right more often.",
                "b": "More rows make the number more reliable.",
                "c": "A small gap is normal. A large one would be a problem.",
                "d": "Guessing would be right for one row in ten.",
            },
        ),
    ),
)
