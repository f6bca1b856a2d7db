"""The exercises of notebook 03."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ...engine import Value, topological_order
from .exercise import Behaviour, Choice, Exercise, Number
from .graphs import Steps, built, gradient, in_words, random_steps, root_of
from .plain import written


def _by_hand(a: float, b: float, c: float) -> list[float]:
    """The gradients of d, s, c, a and b, for L = d**2 with d = s + c and s = a * b."""
    leaves = [Value(a), Value(b), Value(c)]
    s = leaves[0] * leaves[1]
    d = s + leaves[2]
    (d**2).backward()
    return [value.grad for value in (d, s, leaves[2], leaves[0], leaves[1])]


_BY_HAND = Behaviour(
    solution=_by_hand,
    cases=lambda generator: tuple(
        float(number) for number in generator.sample([-5, -3, -2, 2, 3, 4, 5, 7], 3)
    ),
    show=lambda a, b, c: f"by_hand({a:g}, {b:g}, {c:g})",
    mistakes=(
        (
            lambda a, b, c: [number / 2 for number in _by_hand(a, b, c)],
            "All numbers are half of what they should be. What is the derivative of d²?",
        ),
        (
            lambda a, b, c: [*_by_hand(a, b, c)[:3], b, a],
            "The last two are local derivatives. What are they multiplied by?",
        ),
        (
            lambda a, b, c: [_by_hand(a, b, c)[i] for i in (0, 1, 2, 4, 3)],
            "The last two are exchanged. Which factor is the slope with respect to a?",
        ),
        (
            lambda a, b, c: [_by_hand(a, b, c)[0], 1.0, 1.0, b, a],
            "You stop after d: 1 is only the local derivative of the sum. What is upstream?",
        ),
        (
            lambda a, b, c: _by_hand(a, b, c)[::-1],
            "The numbers are right, but in the reverse order. The task asks for d, s, c, a, b.",
        ),
        (
            lambda a, b, c: [_by_hand(a, b, c)[i] for i in (3, 4, 2, 1, 0)],
            "The numbers are right, but in another order. The task asks for d, s, c, a, b.",
        ),
        (
            lambda a, b, c: [a * b + c, a * b, c, a, b],
            "These are the values themselves. The task asks for their gradients.",
        ),
        (
            lambda a, b, c: [2.0, 2.0, 2.0, 2.0 * b, 2.0 * a],
            "The derivative of d² depends on d: it is not 2 alone.",
        ),
    ),
)


def _gradient_and_uses(answer: Callable[[Value], Any], number: float) -> Any:
    p = Value(number, label="p")
    out = answer(p)
    if not isinstance(out, Value):
        return out
    out.backward()
    uses = sum(operand is p for value in topological_order(out) for operand in value.operands)
    return [p.grad, "p is used at least twice" if uses > 1 else "p is not used twice"]


_NO_EFFECT = Behaviour(
    solution=lambda p: p - p,
    cases=lambda generator: (generator.choice([-1, 1]) * generator.randint(5, 40) / 10,),
    run=_gradient_and_uses,
    show=lambda number: f"p = Value({number:g}); p.grad, and whether p is used twice",
    mistakes=(
        (
            lambda p: p + p,
            "Both paths contribute 1. What must one of them contribute to make the sum 0?",
        ),
        (
            lambda p: p * p,
            "Both paths contribute p. Their sum is 0 only if p is 0.",
        ),
        (
            lambda p: 0 * p,
            "The gradient is 0, but p is used once, or not at all. Two paths can cancel out.",
        ),
        (
            lambda p: 0.0,
            "The result is a plain number. Calculate with p, so that the result is a Value.",
        ),
        (
            lambda p: p**2 - p,
            "The two paths contribute 2p and −1. They cancel out for one p only, not for every p.",
        ),
    ),
)


def _updated(parameters: Iterable[float], gradients: Iterable[float], lr: float) -> list[float]:
    return [number - lr * gradient for number, gradient in zip(parameters, gradients)]


def _update_case(generator: random.Random) -> tuple[list[float], list[float], float]:
    count = generator.randint(2, 4)
    rows = [[generator.randint(-20, 20) / 10 + 0.05 for _ in range(count)] for _ in range(2)]
    return rows[0], rows[1], generator.choice([0.1, 0.05, 0.5])


def _run_update(
    answer: Callable[..., Any], parameters: list[float], gradients: list[float], lr: float
) -> Any:
    before = [*parameters], [*gradients]
    result = answer(parameters, gradients, lr)
    if result is not None and (parameters, gradients) != before:
        return "a list that was given has been changed"
    return result


def _in_place(parameters: list[float], gradients: Sequence[float], lr: float) -> list[float]:
    parameters[:] = _updated(parameters, gradients, lr)
    return parameters


_UPDATE = Behaviour(
    solution=_updated,
    cases=_update_case,
    run=_run_update,
    show=lambda *case: f"updated({', '.join(map(written, case))})",
    mistakes=(
        (
            lambda parameters, gradients, lr: _updated(parameters, gradients, -lr),
            "This goes uphill: the loss grows. Which sign is in front of the gradient?",
        ),
        (
            lambda parameters, gradients, lr: _updated(parameters, gradients, 1.0),
            "The step is too large: where does the learning rate go?",
        ),
        (
            lambda parameters, gradients, lr: [lr * gradient for gradient in gradients],
            "This is how far each parameter moves. From where does it start?",
        ),
        (
            lambda parameters, gradients, lr: [-lr * gradient for gradient in gradients],
            "This is the step alone, with the right sign. It is added to the old parameter.",
        ),
        (
            lambda parameters, gradients, lr: [
                number * (1 - lr * gradient) for number, gradient in zip(parameters, gradients)
            ],
            "The step is learning rate times gradient; the parameter is no factor of it.",
        ),
        (_in_place, "You change the list that was given. Begin with a new, empty list."),
        (
            lambda parameters, gradients, lr: list(parameters),
            "The numbers are the old ones. In a loop, `p = …` gives a new number to the name `p` "
            "only: append it to a new list.",
        ),
        (
            lambda parameters, gradients, lr: [number - lr for number in parameters],
            "All parameters move by the same amount. Which number of each one is missing?",
        ),
    ),
)

_DOUBLINGS = 30


def _graph_case(generator: random.Random) -> tuple[Steps | int]:
    """A small graph, or so many doublings that walking along each path takes too long."""
    graphs: list[Steps | int] = [_DOUBLINGS, *[random_steps(generator) for _ in range(3)]]
    return (generator.choice(graphs),)


def _run_paths(answer: Callable[[Value, Value], Any], graph: Steps | int) -> Any:
    if not isinstance(graph, int):
        leaves, root = built(graph)
        return answer(root, leaves[0])
    leaf = root = Value(1.0, label="a")
    for _ in range(graph):
        root = root + root
    return answer(root, leaf)


def _counted(root: Value, leaf: Value, *, counts_twice: bool = True) -> int:
    paths = {root: 1}
    for value in reversed(topological_order(root)):
        operands = value.operands if counts_twice else tuple(dict.fromkeys(value.operands))
        for operand in operands:
            paths[operand] = paths.get(operand, 0) + paths[value]
    return paths.get(leaf, 0)


def _counted_from_the_leaves(root: Value, leaf: Value) -> int:
    paths = {root: 1}
    for value in topological_order(root):
        for operand in value.operands:
            paths[operand] = paths.get(operand, 0) + paths.get(value, 0)
    return paths.get(leaf, 0)


def _gradient_of_leaf(root: Value, leaf: Value) -> float:
    root.backward()
    return leaf.grad


_PATHS = Behaviour(
    solution=_counted,
    cases=_graph_case,
    run=_run_paths,
    show=lambda graph: (
        f"{graph} times `root = root + root`, beginning with `root = a`; paths from root to a"
        if isinstance(graph, int)
        else f"{in_words(graph)}; paths from {root_of(graph)} to a"
    ),
    mistakes=(
        (
            lambda root, leaf: _counted(root, leaf, counts_twice=False),
            "p + p has two arrows to p. Do you count both?",
        ),
        (
            lambda root, leaf: sum(
                operand is leaf for value in topological_order(root) for operand in value.operands
            ),
            "You count the arrows that leave the leaf. Each of them may be the beginning of "
            "several paths.",
        ),
        (
            lambda root, leaf: len(topological_order(root)),
            "This is the number of values, not of paths.",
        ),
        (
            _counted_from_the_leaves,
            "You begin at the leaves, where no path has been counted yet. At which end of the "
            "order is the root?",
        ),
        (
            _gradient_of_leaf,
            "This is the gradient. It counts the paths only if the product along each of them is "
            "1, as in section 3.",
        ),
        (
            lambda root, leaf: sum(leaf in value.operands for value in topological_order(root)),
            "You count the values that use the leaf. Several paths may lead to each of them.",
        ),
        (
            lambda root, leaf: 1,
            "You find one path. A value that has been visited already is part of more paths: how "
            "many paths lead from the root to it?",
        ),
        (
            lambda root, leaf: sum(len(value.operands) for value in topological_order(root)),
            "This is the number of arrows in the graph, not of paths.",
        ),
    ),
)

EXERCISES: tuple[Exercise, ...] = (
    Exercise("03.1", "The backward pass by hand", 2, _BY_HAND),
    Exercise(
        "03.2",
        "A quotient",
        1,
        Number(
            lambda: gradient("p / q", "q", p=1, q=2),
            mistakes=(
                (
                    lambda: gradient("p / q", "p", p=1, q=2),
                    "This is the gradient of p, or the quotient itself. What happens to r when q "
                    "grows?",
                ),
                (0.25, "When you divide by a larger number, the result becomes smaller."),
                (-0.5, "The sign is right. In the derivative of 1/q, which power of q is below?"),
                (-1.0, "The sign is right. Where has q gone?"),
                (1.0, "This is p. How does 1/q change when q grows?"),
            ),
        ),
    ),
    Exercise(
        "03.3",
        "Three uses",
        1,
        Number(
            lambda: gradient("p*p*p", "p", p=2),
            mistakes=(
                (4.0, "This is one path. How many arrows leave p?"),
                (8.0, "This is y itself, or two of the paths. How many arrows leave p?"),
                (3.0, "This is the number of paths. What does each of them contribute?"),
                (6.0, "There are three paths. The product along each of them is not 2."),
            ),
        ),
    ),
    Exercise("03.4", "Used twice, without effect", 3, _NO_EFFECT),
    Exercise(
        "03.5",
        "Where the neuron learns most",
        2,
        Number(
            6.0,
            mistakes=(
                (-6.0, "The sum without b is −6. What must be added, so that it becomes steepest?"),
                (0.0, "The slope of tanh is largest where the sum is 0, not where b is 0."),
                (6.88, "With this b the sum is 0.88. Is tanh steepest there?"),
                (2.0, "This is how large the gradient can become. Which b leads to it?"),
                (3.0, "The sum is x1 · w1 + x2 · w2 + b. What is x1 · w1?"),
                (10.0, "With this b the neuron is saturated. Drag b down and watch w1."),
            ),
        ),
    ),
    Exercise("03.6", "An update", 2, _UPDATE),
    Exercise("03.7", "Count the paths", 3, _PATHS),
    Exercise(
        "03.q1",
        "A step with something before it",
        1,
        Choice(
            "b",
            {
                "a": "This is what the step contributes. The operand already has something.",
                "b": "1 + (−2) · 3 = −5: the product is added to what is there.",
                "c": "The step contributes −2 · 3, which is not 0.",
                "d": "The product of −2 and 3 is negative.",
            },
        ),
    ),
    Exercise(
        "03.q2",
        "Paths through two layers",
        1,
        Choice(
            "c",
            {
                "a": "4 + 4 counts the neurons. A path goes through one neuron of each layer.",
                "b": "4 + 4 + 1 counts neurons and output. How many ways are there in each layer?",
                "c": "4 ways in the first layer, and for each of them 4 in the second.",
                "d": "There are two layers in between, not three.",
            },
        ),
    ),
    Exercise(
        "03.q3",
        "A saturated neuron",
        1,
        Choice(
            "d",
            {
                "a": "Learning goes with the gradient, and tanh is flat at 6.",
                "b": "tanh(6) is nearly 1.",
                "c": "The local derivative of tanh at 6 is nearly 0, and it is a factor.",
                "d": "tanh is flat there: the gradients that pass through it are nearly 0.",
            },
        ),
    ),
    Exercise(
        "03.q4",
        "Which way",
        1,
        Choice(
            "a",
            {
                "a": "New = old − 0.1 · (−0.5): minus times minus is plus.",
                "b": "The update subtracts the gradient, and this gradient is negative.",
                "c": "The direction is right. Where is the learning rate?",
                "d": "The step is learning rate times gradient, not the learning rate alone.",
            },
        ),
    ),
)
